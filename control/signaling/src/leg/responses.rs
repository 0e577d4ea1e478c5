//! What the responses to our INVITE bring (RFC 3261 sections 13.2.2, 17.1.1.3).

use alloc::string::String;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

use super::forks::{Dismissed, MAX_DISMISSED, Media};
use super::requests::{Described, description};
use super::state::{Stimulus, Why};
use super::{INVITE_CSEQ, Leg, MAX_INVITES, Output};
use crate::dialog::{Content, Dialog};
use crate::message::{Message, Method, Name, Scheme, Status};
use crate::sdp::SdpError;
use crate::transaction::{CancelError, ClientId, Path};

/// The longest text that a failure carries upward, in octets.
const MAX_TEXT: usize = 128;

/// The most places that one redirection is followed to.
const MAX_CONTACTS: usize = 8;

/// The dialog that the call consists of.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) dialog: Dialog,
    /// The branch of the ACK, which may have to be repeated.
    pub(crate) ack_branch: String,
}

/// A request in the chosen dialog that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) id: ClientId,
    pub(crate) cseq: u32,
    pub(crate) path: Path,
}

/// Why the INVITE failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: u16,
    retry_after: Option<u32>,
    text: String,
    contacts: Vec<String>,
    /// Why the answer could not be used.
    unusable: Option<SdpError>,
    /// No final response came: another address of the same name may do better.
    silent: bool,
}

impl Default for Failure {
    /// The INVITE could not even be begun.
    fn default() -> Self {
        let text = "the INVITE could not be written".into();
        Self { status: 500, retry_after: None, text, contacts: Vec::new(), unusable: None, silent: false }
    }
}

impl Failure {
    fn new(status: Status, text: &str) -> Self {
        Self {
            status: status.code(),
            retry_after: None,
            text: text.into(),
            contacts: Vec::new(),
            unusable: None,
            silent: false,
        }
    }

    /// An answer that cannot be used.
    fn unusable(error: SdpError) -> Self {
        let text = alloc::format!("{error}");
        Self { unusable: Some(error), ..Self::new(Status::NOT_ACCEPTABLE_HERE, &text) }
    }

    /// RFC 3261 section 8.1.3.1.
    pub(crate) fn timeout() -> Self {
        Self { silent: true, ..Self::new(Status::REQUEST_TIMEOUT, "no response") }
    }

    /// RFC 3261 section 8.1.3.1.
    pub(crate) fn unreachable() -> Self {
        Self { silent: true, ..Self::new(Status::SERVICE_UNAVAILABLE, "cannot be reached") }
    }

    /// What the party or a proxy says. A Warning tells more than the reason phrase.
    fn of_response(response: &Message<'_>) -> Self {
        let warning = response.header(Name::Warning).and_then(|value| value.split('"').nth(1));
        let text = warning.or(response.reason_phrase()).unwrap_or_default();
        Self {
            status: response.status().map_or(500, Status::code),
            retry_after: response.retry_after().ok().flatten(),
            text: harmless(text),
            contacts: redirections(response),
            unusable: None,
            silent: false,
        }
    }
}

/// Where a 3xx points, by preference; what is no SIP URI is of no use to a telephone call.
fn redirections(response: &Message<'_>) -> Vec<String> {
    if !response.status().is_some_and(|status| (300..400).contains(&status.code())) {
        return Vec::new();
    }
    let contacts = response.contacts().flatten().take(MAX_CONTACTS);
    let sip = contacts.filter(|contact| matches!(contact.uri.scheme(), Scheme::Sip | Scheme::Sips));
    let mut found: Vec<(u16, String)> =
        sip.map(|contact| (contact.preference(), contact.uri.as_str().into())).collect();
    found.sort_by_key(|(preference, _)| core::cmp::Reverse(*preference));
    found.into_iter().map(|(_, uri)| uri).collect()
}

/// Text of a stranger, free of control characters and short.
fn harmless(text: &str) -> String {
    let mut clean = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if clean.len() + character.len_utf8() > MAX_TEXT {
            break;
        }
        clean.push(character);
    }
    clean
}

impl Leg {
    /// A response of the INVITE's transaction.
    pub(super) fn invite_response(&mut self, now: Instant, source: Path, response: &Message<'_>) {
        match response.status().map_or(0, Status::code) {
            100 => self.step(now, Stimulus::Trying),
            status @ 101..=199 => self.provisional(now, status, response),
            200..=299 => self.success(now, response),
            status @ 300..=699 => {
                self.failure = Failure::of_response(response);
                let again = self.state.awaits_answer() && self.may_invite_again(status, source, response);
                self.step(now, if again { Stimulus::Refused } else { Stimulus::Rejected });
            }
            _ => {} // The parser lets no other number through.
        }
    }

    /// Does another INVITE have what this one lacked: credentials, or a longer interval (RFC 4028 section 7.3)?
    fn may_invite_again(&mut self, status: u16, source: Path, response: &Message<'_>) -> bool {
        if self.invite_cseq >= INVITE_CSEQ + MAX_INVITES - 1 {
            return false;
        }
        match status {
            401 | 407 => self.is_answerable(self.path.address, source, response),
            422 => self.renewal.lengthen(response),
            _ => false,
        }
    }

    /// The INVITE once more, as a new one of the same call (RFC 3261 sections 8.1.3.5, 22.2). Early dialogs of the
    /// last one are over.
    pub(super) fn invite_again(&mut self, now: Instant) {
        self.early = super::EarlyDialogs::default();
        self.far_end = None;
        self.invite_cseq += 1;
        self.invite(now);
        self.outputs.push_back(Output::Again);
    }

    /// A response that no transaction knows. A 2xx to our INVITE makes a dialog all the same (RFC 3261 section
    /// 13.2.2.4), and its party waits for an ACK.
    pub(super) fn stray_response(&mut self, now: Instant, response: &Message<'_>) {
        let is_success = response.status().is_some_and(Status::is_success);
        let is_ours = response.from().tag() == Some(self.call.tag.as_str());
        // More than one Via: it was not meant for us (RFC 3261 section 8.1.3.3).
        let is_ours = is_ours && response.vias().count() == 1;
        let cseq = response.cseq();
        if is_success && is_ours && cseq.method == Method::Invite && cseq.number == self.invite_cseq {
            self.success(now, response);
        }
    }

    fn provisional(&mut self, now: Instant, status: u16, response: &Message<'_>) {
        if !self.acknowledge_provisional(now, response) {
            return;
        }
        let answer = self.read_answer(response).and_then(Result::ok);
        if let Some(media) = answer {
            self.secure(media.keys);
            self.far_end = Some(media.far_end);
        }
        let stimulus = if response.to().tag().is_some() {
            let early = self.early.of_response(&self.call, response);
            early.media = answer.or(early.media);
            Stimulus::Ringing
        } else {
            Stimulus::Progress
        };
        self.progress = status;
        self.step(now, stimulus);
    }

    fn success(&mut self, now: Instant, response: &Message<'_>) {
        let tag = response.to().tag().unwrap_or_default();
        match &self.chosen {
            None => self.choose(now, response),
            Some(chosen) if chosen.dialog.remote_tag == tag => self.step(now, Stimulus::Repeated),
            Some(_) => self.another_success(now, response, tag),
        }
    }

    /// The first 2xx: its dialog is the call. The answer that it carries counts; without one, the answer that an
    /// earlier response of the same dialog carried (RFC 3261 section 13.2.1, reliable or not).
    fn choose(&mut self, now: Instant, response: &Message<'_>) {
        let answer = self.read_answer(response);
        let early = self.early.confirm(response);
        let early_media = early.as_ref().and_then(|early| early.media);
        let dialog = match early {
            Some(mut early) => {
                early.dialog.confirm(response);
                early.dialog
            }
            None => Dialog::from_response(&self.call, response),
        };
        self.chosen = Some(Answer { dialog, ack_branch: self.next_branch() });
        if let Some(wallet) = &mut self.wallet {
            wallet.accepted(response);
        }
        self.renewal.agreed_by(now, response);
        let media = answer.unwrap_or_else(|| early_media.ok_or(SdpError::Missing));
        match media {
            Ok(media) => {
                self.secure(media.keys);
                self.far_end = Some(media.far_end);
                self.step(now, Stimulus::Accepted);
            }
            Err(error) => {
                self.failure = Failure::unusable(error);
                self.step(now, Stimulus::Unusable);
            }
        }
    }

    /// A 2xx of another dialog than the chosen one: new, or repeated because our ACK was lost.
    fn another_success(&mut self, now: Instant, response: &Message<'_>, tag: &str) {
        let known = self.dismissed.iter().find(|dismissed| dismissed.dialog.remote_tag == tag);
        if let Some(known) = known {
            let way = self.way(&known.dialog);
            let ack = known.dialog.acknowledge(&self.call, way, self.invite_cseq, &known.ack_branch, &[]);
            self.send(way, ack);
        } else if self.dismissed.len() < MAX_DISMISSED {
            let dialog = Dialog::from_response(&self.call, response);
            let ack_branch = self.next_branch();
            self.dismissed.push(Dismissed { dialog, ack_branch });
            self.step(now, Stimulus::Forked);
        }
    }

    /// The answer in a response to our offer; `None` if it carries no session description.
    fn read_answer(&self, response: &Message<'_>) -> Option<Result<Media, SdpError>> {
        match description(response) {
            Described::Sdp(body) => {
                let answer = self.local.accept(body);
                Some(answer.map(|answer| Media { far_end: answer.far_end, keys: answer.keys }))
            }
            Described::Nothing => None,
            // Nothing that could be an answer.
            Described::Foreign => Some(Err(SdpError::Missing)),
        }
    }

    pub(super) fn acknowledge(&mut self) {
        let Some(chosen) = &self.chosen else {
            return; // The table acknowledges only what was chosen.
        };
        let way = self.way(&chosen.dialog);
        // Credentials go nowhere but where they were asked for.
        let is_ours = way.path.address == self.path.address;
        let credentials = if is_ours { self.invite_credentials.as_slice() } else { &[] };
        let (cseq, branch) = (self.invite_cseq, &chosen.ack_branch);
        let ack = chosen.dialog.acknowledge(&self.call, way, cseq, branch, credentials);
        self.send(way, ack);
    }

    pub(super) fn dismiss_newest_fork(&mut self, now: Instant) {
        let Some(fork) = self.dismissed.last() else {
            return; // The table dismisses only what was pushed.
        };
        let tag = fork.dialog.remote_tag.clone();
        let way = self.way(&fork.dialog);
        let ack = fork.dialog.acknowledge(&self.call, way, self.invite_cseq, &fork.ack_branch, &[]);
        self.send(way, ack);
        if let Some(wallet) = &mut self.wallet {
            wallet.begin();
        }
        self.send_dismissal(now, &tag);
    }

    pub(super) fn cancel(&mut self, now: Instant) {
        let reason = self.cause.map(crate::dialog::reason);
        let Some(invite) = self.invite else {
            return;
        };
        match self.layer.cancel(now, invite, reason.as_deref()) {
            // Too late: the final response is already here, or on its way up.
            Ok(_) | Err(CancelError::TooLate) => {}
            // The INVITE must end all the same: as if it could not be sent.
            Err(CancelError::TooEarly | CancelError::Request(_)) => self.layer.transport_failed(now, invite),
        }
    }

    pub(super) fn bye(&mut self, now: Instant) {
        if let Some(wallet) = &mut self.wallet {
            wallet.begin();
        }
        self.send_bye(now);
    }

    pub(super) fn send_bye(&mut self, now: Instant) {
        if self.bye_has_to_wait() {
            return;
        }
        let asked = self.ask(now, Method::Bye, self.cause, &[], None);
        self.bye = asked.map(|asked| asked.id);
        self.hops.bye = asked.map(|asked| asked.path);
    }

    /// A BYE that is challenged is sent again with credentials, once at most: the call is over all the same.
    pub(super) fn bye_response(&mut self, now: Instant, source: Path, response: &Message<'_>) {
        let status = response.status().map_or(0, Status::code);
        if status < 200 {
            return;
        }
        let asked = self.bye.and_then(|bye| self.layer.path(bye)).map(|path| path.address);
        if matches!(status, 401 | 407)
            && asked.is_some_and(|asked| self.is_answerable(asked, source, response))
        {
            return self.send_bye(now);
        }
        self.step(now, Stimulus::ByeOver);
    }

    /// Sends a request in the chosen dialog: its transaction and its CSeq.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        method: Method<'_>,
        reason: Option<u16>,
        headers: &[(Name, String)],
        body: Option<&[u8]>,
    ) -> Option<Asked> {
        let branch = self.next_branch();
        let dialog = &self.chosen.as_ref()?.dialog;
        let (way, uri) = (self.way(dialog), dialog.request_uri());
        let mut all = headers.to_vec();
        let credentials = self.credentials(way.path.address, method, &uri);
        all.extend_from_slice(&credentials);
        if method == Method::Invite {
            self.invite_credentials = credentials;
        }
        let content = Content { method, branch: &branch, reason, headers: &all, body };
        let chosen = self.chosen.as_mut()?;
        let bytes = chosen.dialog.request(&self.call, way, &content)?;
        let cseq = chosen.dialog.local_sequence();
        let dialog = &self.chosen.as_ref()?.dialog;
        let (way, bytes) = match self.wide_way(dialog, way, bytes.len()) {
            Some(wide) => (wide, dialog.rewrite(&self.call, wide, &content)?),
            None => (way, bytes),
        };
        let id = self.layer.request(now, way.path, bytes).ok()?;
        Some(Asked { id, cseq, path: way.path })
    }

    pub(super) fn report_progress(&mut self) {
        self.outputs.push_back(Output::Provisional { status: self.progress, early_media: self.far_end });
    }

    pub(super) fn report_answer(&mut self) {
        if let Some(far_end) = self.far_end {
            self.outputs.push_back(Output::Answered { far_end });
        }
    }

    pub(super) fn report_failure(&mut self, why: Why) {
        if why == Why::Released {
            self.failure = Failure::new(Status::REQUEST_TERMINATED, "released before the answer");
        }
        let Failure { status, retry_after, text, contacts, unusable, silent } = self.failure.clone();
        self.outputs.push_back(Output::Failed { status, retry_after, text, contacts, unusable, silent });
    }
}
