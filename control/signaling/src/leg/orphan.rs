//! Calls of a process that has died, taken over to be ended, or to go on.
//!
//! One that was answered gets its BYE from what the journal knows of the dialog. One that was not is dialled again
//! with its former identity: to the party this INVITE is a repetition of the first (RFC 3261 section 17.2.3), so
//! nothing rings anew, and its answer tells whether CANCEL or BYE is due.

use alloc::string::String;
use alloc::vec::Vec;

use core::time::Duration;

use duogate_channel::command::FarEnd;
use duogate_channel::time::Instant;

use super::responses::Answer;
use super::state::State;
use super::watch::Refresh;
use super::{Dial, INVITE_CSEQ, Identity, Leg};
use crate::dialog::Dialog;
use crate::message::UriBuf;
use crate::sdp::SdpError;

/// Requests that a former process may have sent in a dialog since it was last written down: refreshes, each at least 45
/// seconds after the one before, some of them twice with credentials. A party takes any higher number (RFC 3261 section
/// 12.2.2).
const SPARE_SEQUENCES: u32 = 10_000;

/// The largest number of a request is 2³¹ − 1 (RFC 3261 section 8.1.1.5).
const LARGEST_SEQUENCE: u32 = (1 << 31) - 1;

/// Calls that are taken over together refresh their sessions spread over this time, which is less than half of the
/// shortest interval.
const SPREAD: u64 = 30_000;

/// What the journal knows of an answered dialog (RFC 3261 section 12).
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// The party's tag.
    pub remote_tag: String,
    /// Where requests in the dialog go.
    pub remote_target: UriBuf,
    /// Route set, in the order of use, each `<uri>`.
    pub routes: Vec<String>,
    /// Our last CSeq.
    pub local_sequence: u32,
    /// The party's last CSeq, if it sent any.
    pub remote_sequence: Option<u32>,
}

impl Leg {
    /// Sends the INVITE of a former process again, the one numbered `cseq`: to the party it is the same.
    #[must_use]
    pub fn dial_again(now: Instant, dial: Dial, identity: Identity, cseq: u32) -> Self {
        let mut leg = Self::new(dial, identity);
        leg.invite_cseq = cseq.max(INVITE_CSEQ);
        leg.invite(now);
        leg.settle(now);
        leg
    }

    /// Takes over an answered call that goes on: `description` is what was said last of our media, `refresh` the
    /// interval in force. Of `identity` the branch must be a new one, Call-ID and tag those of the call.
    ///
    /// # Errors
    /// What was said last cannot be read.
    pub fn resume(
        now: Instant,
        dial: Dial,
        identity: Identity,
        kept: Kept,
        (description, refresh): (&str, Option<Refresh>),
    ) -> Result<Self, SdpError> {
        let sequence = kept.local_sequence.saturating_add(SPARE_SEQUENCES).min(LARGEST_SEQUENCE);
        let mut leg = Self::adopt(dial, identity, Kept { local_sequence: sequence, ..kept });
        leg.local.go_on(description.as_bytes())?;
        let soon = Duration::from_millis(identity.tag % SPREAD);
        refresh.into_iter().for_each(|refresh| leg.renewal.resume(now, refresh, soon));
        leg.ask_for_chosen();
        Ok(leg)
    }

    /// Where the party's media is, as the gateway knows it.
    pub fn found(&mut self, far_end: FarEnd) {
        self.far_end = Some(far_end);
    }

    /// Takes over an answered call; it says nothing until it is released or the party does something. Of
    /// `identity` the branch must be a new one, Call-ID and tag those of the call.
    #[must_use]
    pub fn adopt(dial: Dial, identity: Identity, kept: Kept) -> Self {
        let mut leg = Self::new(dial, identity);
        let ack_branch = leg.next_branch();
        let Kept { remote_tag, remote_target, routes, local_sequence, remote_sequence } = kept;
        let dialog = Dialog::with(remote_tag, remote_target, routes, (local_sequence, remote_sequence));
        leg.chosen = Some(Answer { dialog, ack_branch });
        leg.state = State::Confirmed;
        leg.hops.taken_over = true;
        leg
    }
}
