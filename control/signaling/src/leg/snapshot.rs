//! What a later control plane has to know of a leg to send a request inside its dialog.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Leg;
use super::watch::Refresh;
use crate::transaction::Path;

/// A leg's dialog (RFC 3261 section 12). Before one exists, what the INVITE says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Call-ID.
    pub call_id: String,
    /// Our tag, in From.
    pub local_tag: String,
    /// The party's tag, in To; empty before the answer.
    pub remote_tag: String,
    /// Our URI, as From has it.
    pub local_uri: String,
    /// The party's URI, as To has it.
    pub remote_uri: String,
    /// Where requests in the dialog go (Contact).
    pub remote_target: String,
    /// Route set, in the order of use, each `<uri>`.
    pub routes: Vec<String>,
    /// What the branches of our requests begin with; with it, the INVITE can be repeated as it was.
    pub branch: u64,
    /// Our last CSeq.
    pub local_sequence: u32,
    /// The party's last CSeq, if it sent any.
    pub remote_sequence: Option<u32>,
    /// Where the INVITE went.
    pub path: Path,
    /// Is there a dialog that was answered and not yet ended?
    pub answered: bool,
    /// The session description that we sent last; empty where keys stand in it.
    pub description: String,
    /// The session's interval, if one is in force.
    pub refresh: Option<Refresh>,
}

impl Leg {
    /// The leg's dialog as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let call = &self.call;
        let dialog = self.chosen.as_ref().map(|chosen| &chosen.dialog);
        Snapshot {
            call_id: call.call_id.clone(),
            local_tag: call.tag.clone(),
            remote_tag: dialog.map_or_else(String::new, |dialog| dialog.remote_tag.clone()),
            local_uri: call.caller.to_string(),
            remote_uri: call.target.to_string(),
            remote_target: dialog.map_or(call.target.as_str(), |dialog| dialog.target()).to_string(),
            routes: dialog.map_or_else(Vec::new, |dialog| dialog.routes().to_vec()),
            branch: self.branch.0,
            local_sequence: dialog.map_or(self.invite_cseq, |dialog| dialog.local_sequence()),
            remote_sequence: dialog.and_then(|dialog| dialog.remote_sequence()),
            path: self.path,
            answered: self.state.is_talking(),
            description: self.local.plainly_said(),
            refresh: self.renewal.refresh(),
        }
    }
}
