//! What forking upstream brings: several early dialogs, and answers that come too late.

use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::command::FarEnd;
use duogate_channel::srtp::MasterKeys;

use crate::dialog::{Call, Dialog};
use crate::message::Message;

/// Early dialogs at once. A proxy that tries more branches makes us forget the oldest; its 2xx would still be
/// taken.
pub(crate) const MAX_EARLY: usize = 8;

/// Dismissed dialogs of one call. Answers beyond are ignored: nobody forks that far, but anybody could make us
/// send two datagrams for one.
pub(crate) const MAX_DISMISSED: usize = 8;

/// What a session description said: where media is, and how it is secured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Media {
    pub(crate) far_end: FarEnd,
    pub(crate) keys: Option<MasterKeys>,
}

/// A dialog that exists before the call is answered.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    pub(crate) dialog: Dialog,
    /// What its session description said, if one came.
    pub(crate) media: Option<Media>,
    /// RSeq of the reliable provisional response that was acknowledged last (RFC 3262 section 4).
    pub(crate) rseq: Option<u32>,
}

/// All early dialogs, the oldest first.
#[derive(Default, Debug)]
pub(crate) struct EarlyDialogs(Vec<EarlyDialog>);

impl EarlyDialogs {
    /// The early dialog of a provisional response, made if it is new (RFC 3261 section 12.1.2).
    pub(crate) fn of_response(&mut self, call: &Call, response: &Message<'_>) -> &mut EarlyDialog {
        let tag = response.to().tag().unwrap_or_default();
        let known = self.0.iter().position(|early| early.dialog.remote_tag == tag);
        let place = known.unwrap_or_else(|| {
            if self.0.len() == MAX_EARLY {
                self.0.remove(0);
            }
            let dialog = Dialog::from_response(call, response);
            self.0.push(EarlyDialog { dialog, media: None, rseq: None });
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// The early dialog that the party's request belongs to.
    pub(crate) fn of_request(&mut self, request: &Message<'_>) -> Option<&mut EarlyDialog> {
        self.0.iter_mut().find(|early| early.dialog.matches(request))
    }

    /// The early dialog of that tag.
    pub(crate) fn of_tag(&mut self, tag: &str) -> Option<&mut EarlyDialog> {
        self.0.iter_mut().find(|early| early.dialog.remote_tag == tag)
    }

    /// The same, to be looked at.
    pub(crate) fn get(&self, tag: &str) -> Option<&EarlyDialog> {
        self.0.iter().find(|early| early.dialog.remote_tag == tag)
    }

    /// Ends the early dialog that the party's request belongs to.
    pub(crate) fn forget(&mut self, request: &Message<'_>) {
        self.0.retain(|early| !early.dialog.matches(request));
    }

    /// Ends all, and gives the one that a 2xx confirms, if it was known.
    pub(crate) fn confirm(&mut self, response: &Message<'_>) -> Option<EarlyDialog> {
        let tag = response.to().tag().unwrap_or_default();
        let all = core::mem::take(&mut self.0);
        all.into_iter().find(|early| early.dialog.remote_tag == tag)
    }
}

/// A dialog whose answer lost against an earlier one: it got ACK and BYE.
#[derive(Debug)]
pub(crate) struct Dismissed {
    pub(crate) dialog: Dialog,
    /// The branch of its ACK, which may have to be repeated.
    pub(crate) ack_branch: String,
}
