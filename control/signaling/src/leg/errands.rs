//! Requests of our own inside a dialog, beside the call's BYE: PRACK (RFC 3262), the refreshes of a session that is
//! watched (RFC 4028; UPDATE, RFC 3311, or re-INVITE), and the BYEs of forks that answered too late.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::time::Instant;

use super::Leg;
use super::face::{Assertion, SessionInterval};
use super::requests::{Described, Reply, description};
use super::responses::Asked;
use super::state::Stimulus;
use super::watch::{Due, MIN_SE, Refresh, Watch};
use crate::dialog::{Content, SERVED};
use crate::message::{Message, Method, Name, Refresher, Status};
use crate::transaction::{CancelError, ClientId, Path, Way};

/// PRACKs and refreshes at once. Reliable provisional responses beyond are not acknowledged; they come again.
pub(super) const MAX_ERRANDS: usize = 16;

/// The most that a party can make us ask for by `Min-SE`, in seconds: an interval beyond would watch nothing.
const LONGEST_MINIMUM: u32 = 86_400;

/// A refresh that failed for no reason that says when to try again is tried after this.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// A re-INVITE of ours waits so long while one of the party is not over.
const AFTER_COLLISION: Duration = Duration::from_secs(1);

/// Bounds of the wait after a 491, for the side that made the Call-ID (RFC 3261 section 14.1), and its step.
const GLARE: (u64, u64) = (2_100, 4_000);
const GLARE_STEP: u64 = 10;

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) id: ClientId,
    pub(super) path: Path,
    pub(super) kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Of the early dialog with this tag, with this RAck.
    Prack { tag: String, rack: String },
    /// By UPDATE.
    Update,
    /// By re-INVITE of this CSeq; once answered, with the branch of its ACK.
    Invite { cseq: u32, ack_branch: Option<String> },
    /// BYE to the fork with this tag, whose answer came too late.
    Dismissal { tag: String },
}

/// What our side of the session timer knows, and what the INVITE says beside the call itself.
#[derive(Debug)]
pub(super) struct Renewal {
    assertion: Assertion,
    /// What we ask for; none: nothing.
    wanted: Option<SessionInterval>,
    /// What the path asked for at least, once it has.
    minimum: Option<u32>,
    /// The interval in force, which a refresh asks for again (RFC 4028 section 7.4).
    agreed: Option<u32>,
    watch: Watch,
    /// May the session be refreshed by UPDATE?
    by_update: bool,
}

impl Renewal {
    pub(super) const fn new(assertion: Assertion, wanted: Option<SessionInterval>) -> Self {
        Self { assertion, wanted, minimum: None, agreed: None, watch: Watch::Off, by_update: false }
    }

    /// Goes on with the interval of a dialog that another process began. When it was refreshed last is not known: if
    /// that is ours to do, it is done `soon`; the party's next one is awaited for a whole interval.
    pub(super) fn resume(&mut self, now: Instant, refresh: Refresh, soon: Duration) {
        let Refresh { seconds, by_us, by_update } = refresh;
        let seconds = seconds.clamp(MIN_SE, LONGEST_MINIMUM);
        let agreed = Watch::agreed(now, seconds, by_us);
        self.agreed = Some(seconds);
        self.by_update = by_update;
        self.watch = match agreed {
            Watch::Ours { at, until } => Watch::Ours { at: at.min(now + soon), until },
            other => other,
        };
    }

    /// The interval in force.
    pub(super) fn refresh(&self) -> Option<Refresh> {
        let by_us = match self.watch {
            Watch::Off => return None,
            Watch::Theirs { .. } => false,
            Watch::Ours { .. } | Watch::Asking { .. } => true,
        };
        Some(Refresh { seconds: self.agreed?, by_us, by_update: self.by_update })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.watch.deadline()
    }

    /// Header lines of the INVITE.
    pub(super) fn invite_headers(&self) -> Vec<(Name, String)> {
        let mut lines = Vec::new();
        if let Some(identity) = &self.assertion.identity {
            lines.push((Name::PAssertedIdentity, format!("<{identity}>")));
        }
        if self.assertion.private {
            lines.push((Name::Privacy, "id".to_string()));
        }
        self.push_interval(&mut lines, "");
        lines
    }

    fn push_interval(&self, lines: &mut Vec<(Name, String)>, refresher: &str) {
        let wanted = self.wanted.map(|wanted| wanted.seconds);
        let interval = self.agreed.or(wanted).or(self.minimum);
        if let Some(seconds) = interval.map(|seconds| seconds.max(self.minimum.unwrap_or(MIN_SE))) {
            lines.push((Name::SessionExpires, format!("{seconds}{refresher}")));
        }
        if let Some(minimum) = self.minimum {
            lines.push((Name::MinSe, minimum.to_string()));
        }
    }

    /// A 422: is its minimum something new, and something that we go along with (RFC 4028 section 7.3)?
    pub(super) fn lengthen(&mut self, response: &Message<'_>) -> bool {
        let Ok(Some(minimum)) = response.min_se() else { return false };
        if minimum > LONGEST_MINIMUM || self.minimum.is_some_and(|before| minimum <= before) {
            return false;
        }
        self.minimum = Some(minimum);
        true
    }

    /// A 2xx to an INVITE or UPDATE of ours says who refreshes (RFC 4028 section 7.2). Without an interval there
    /// is none.
    pub(super) fn agreed_by(&mut self, now: Instant, response: &Message<'_>) {
        if response.lists(Name::Allow, "UPDATE") {
            self.by_update = true;
        }
        let agreed = response.session_expires().ok().flatten();
        self.agreed = agreed.map(|agreed| agreed.seconds.clamp(MIN_SE, LONGEST_MINIMUM));
        self.watch = match agreed {
            Some(agreed) => Watch::agreed(now, agreed.seconds, agreed.refresher != Some(Refresher::Uas)),
            None => Watch::Off,
        };
    }

    /// Is the interval of the party's request long enough (RFC 4028 section 9)? Only who knows of timers can be
    /// told so.
    pub(super) fn judge(&self, request: &Message<'_>) -> Result<(), Reply> {
        match request.session_expires() {
            Ok(Some(asked)) if asked.seconds < MIN_SE && request.lists(Name::Supported, SERVED) => {
                let status = Status::SESSION_INTERVAL_TOO_SMALL;
                Err(Reply::new(status).with(Name::MinSe, MIN_SE.to_string()))
            }
            Err(_) => Err(Reply::new(Status::BAD_REQUEST)),
            _ => Ok(()),
        }
    }

    /// What our 2xx to the party's INVITE or UPDATE says of the interval (RFC 4028 section 9, table 2).
    pub(super) fn answer(&mut self, now: Instant, request: &Message<'_>) -> Vec<(Name, String)> {
        if request.lists(Name::Allow, "UPDATE") {
            self.by_update = true;
        }
        let asked = request.session_expires().ok().flatten();
        let wanted = asked.map(|asked| asked.seconds).or(self.wanted.map(|wanted| wanted.seconds));
        let Some(seconds) = wanted.map(|seconds| seconds.clamp(MIN_SE, LONGEST_MINIMUM)) else {
            (self.watch, self.agreed) = (Watch::Off, None);
            return Vec::new();
        };
        self.agreed = Some(seconds);
        let can = request.lists(Name::Supported, SERVED);
        let named = asked.and_then(|asked| asked.refresher);
        // One that knows of timers and asks for one goes on refreshing; one that does not cannot.
        let by_us = match named {
            _ if !can => true,
            Some(refresher) => refresher == Refresher::Uas,
            None => asked.is_none(),
        };
        self.watch = Watch::agreed(now, seconds, by_us);
        let mut lines = Vec::new();
        if !by_us {
            lines.push((Name::Require, SERVED.to_string()));
        }
        let refresher = if by_us { "uas" } else { "uac" };
        lines.push((Name::SessionExpires, format!("{seconds};refresher={refresher}")));
        lines
    }
}

impl Leg {
    /// Sees to a provisional response that wants to be acknowledged (RFC 3262 section 4). False if it is a
    /// repetition or has overtaken another: then it is as if it had not come.
    pub(super) fn acknowledge_provisional(&mut self, now: Instant, response: &Message<'_>) -> bool {
        let Some(tag) = response.to().tag().filter(|_| response.lists(Name::Require, "100rel")) else {
            return true;
        };
        let Ok(Some(rseq)) = response.rseq() else { return true };
        if self.errands.len() >= MAX_ERRANDS {
            return false;
        }
        let early = self.early.of_response(&self.call, response);
        if early.rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
            return false;
        }
        early.rseq = Some(rseq);
        let rack = format!("{rseq} {} INVITE", response.cseq().number);
        if let Some(wallet) = &mut self.wallet {
            wallet.begin();
        }
        self.send_prack(now, tag, rack);
        true
    }

    pub(super) fn send_prack(&mut self, now: Instant, tag: &str, rack: String) {
        let branch = self.next_branch();
        let Some(early) = self.early.get(tag) else { return };
        let (way, uri) = (self.way(&early.dialog), early.dialog.request_uri());
        let mut headers = alloc::vec![(Name::RAck, rack.clone())];
        headers.extend(self.credentials(way.path.address, Method::Prack, &uri));
        let content =
            Content { method: Method::Prack, branch: &branch, reason: None, headers: &headers, body: None };
        let Some(early) = self.early.of_tag(tag) else { return };
        let bytes = early.dialog.request(&self.call, way, &content);
        self.begin(now, way, bytes, Kind::Prack { tag: tag.into(), rack });
    }

    /// Sends the BYE of a fork whose answer came too late.
    pub(super) fn send_dismissal(&mut self, now: Instant, tag: &str) {
        let branch = self.next_branch();
        let Some(fork) = self.dismissed.iter().find(|fork| fork.dialog.remote_tag == tag) else { return };
        let (way, uri) = (self.way(&fork.dialog), fork.dialog.request_uri());
        let headers = self.credentials(way.path.address, Method::Bye, &uri);
        let content =
            Content { method: Method::Bye, branch: &branch, reason: None, headers: &headers, body: None };
        let fork = self.dismissed.iter_mut().find(|fork| fork.dialog.remote_tag == tag);
        let bytes = fork.and_then(|fork| fork.dialog.request(&self.call, way, &content));
        self.begin(now, way, bytes, Kind::Dismissal { tag: tag.into() });
    }

    fn begin(&mut self, now: Instant, way: Way, bytes: Option<Vec<u8>>, kind: Kind) {
        let path = way.path;
        let id = bytes.and_then(|bytes| self.layer.request(now, path, bytes).ok());
        self.errands.extend(id.map(|id| Errand { id, path, kind }));
    }

    /// Is a re-INVITE of ours without its final response?
    pub(super) fn is_reinviting(&self) -> bool {
        self.errands.iter().any(|errand| matches!(errand.kind, Kind::Invite { ack_branch: None, .. }))
    }

    /// Time has passed over an answered call.
    pub(super) fn watch_session(&mut self, now: Instant) {
        match self.renewal.watch.tick(now) {
            Due::Nothing => {}
            Due::Refresh => {
                if let Some(wallet) = &mut self.wallet {
                    wallet.begin();
                }
                self.refresh(now);
            }
            Due::Expired => self.step(now, Stimulus::Lost),
        }
    }

    pub(super) fn refresh(&mut self, now: Instant) {
        let mut headers = Vec::new();
        self.renewal.push_interval(&mut headers, ";refresher=uac");
        if self.renewal.by_update {
            let sent = self.ask(now, Method::Update, None, &headers, None);
            let errand = sent.map(|Asked { id, path, .. }| Errand { id, path, kind: Kind::Update });
            self.errands.extend(errand);
        } else if self.pending.is_some() || self.invite.is_some() {
            self.renewal.watch = self.renewal.watch.later(now, AFTER_COLLISION);
        } else {
            let body = self.local.repeated();
            let sent = self.ask(now, Method::Invite, None, &headers, Some(&body));
            let errand = sent.map(|Asked { id, cseq, path }| {
                let kind = Kind::Invite { cseq, ack_branch: None };
                Errand { id, path, kind }
            });
            self.errands.extend(errand);
        }
    }

    /// The conversation is over, and nothing is refreshed any more. A re-INVITE that nobody answers must end all
    /// the same.
    pub(super) fn stop_refreshing(&mut self, now: Instant) {
        self.renewal.watch = Watch::Off;
        let open = self.errands.iter().filter(|errand| matches!(errand.kind, Kind::Invite { .. }));
        let open: Vec<ClientId> = open.map(|errand| errand.id).collect();
        for id in open {
            self.give_up(now, id);
        }
    }

    /// Cancels a re-INVITE. One that has no response yet cannot be (RFC 3261 section 9.1): it goes on until it has one,
    /// or times out, so that whatever comes is acknowledged.
    fn give_up(&mut self, now: Instant, id: ClientId) {
        if let Err(CancelError::Request(_)) = self.layer.cancel(now, id, None) {
            self.layer.transport_failed(now, id);
        }
    }

    /// A response to one of these requests, or to one that nothing depends on.
    pub(super) fn errand_response(
        &mut self,
        now: Instant,
        id: ClientId,
        source: Path,
        response: &Message<'_>,
    ) {
        let Some(place) = self.errands.iter().position(|errand| errand.id == id) else { return };
        let status = response.status().map_or(0, Status::code);
        if status < 200 {
            // A re-INVITE that was given up, and comes to ring after all.
            if !self.state.is_talking() && matches!(self.errands[place].kind, Kind::Invite { .. }) {
                self.give_up(now, id);
            }
            return;
        }
        let kind = self.errands[place].kind.clone();
        let asked = self.layer.path(id).map(|path| path.address);
        if matches!(status, 401 | 407)
            && asked.is_some_and(|asked| self.is_answerable(asked, source, response))
        {
            self.errands.remove(place);
            return match kind {
                Kind::Prack { tag, rack } => self.send_prack(now, &tag, rack),
                Kind::Dismissal { tag } => self.send_dismissal(now, &tag),
                Kind::Update | Kind::Invite { .. } if self.state.is_talking() => self.refresh(now),
                Kind::Update | Kind::Invite { .. } => {}
            };
        }
        match kind {
            Kind::Prack { .. } | Kind::Dismissal { .. } => {}
            Kind::Invite { cseq, ack_branch } if status < 300 => {
                self.reinvited(now, place, (cseq, ack_branch), response);
            }
            Kind::Update if status < 300 => self.refreshed(now, response),
            Kind::Update | Kind::Invite { .. } => self.not_refreshed(now, place, status, response),
        }
    }

    /// A 2xx to our re-INVITE: ACK each time (RFC 3261 section 13.2.2.4), and once what it says.
    fn reinvited(
        &mut self,
        now: Instant,
        place: usize,
        (cseq, acknowledged): (u32, Option<String>),
        response: &Message<'_>,
    ) {
        let first = acknowledged.is_none();
        let branch = acknowledged.unwrap_or_else(|| self.next_branch());
        if first {
            self.refreshed(now, response);
        }
        if let Some(dialog) = self.chosen.as_ref().map(|chosen| &chosen.dialog) {
            let way = self.way(dialog);
            let is_ours = way.path.address == self.path.address;
            let credentials = if is_ours { self.invite_credentials.as_slice() } else { &[] };
            let ack = dialog.acknowledge(&self.call, way, cseq, &branch, credentials);
            self.send(way, ack);
        }
        if let Some(errand) = self.errands.get_mut(place) {
            errand.kind = Kind::Invite { cseq, ack_branch: Some(branch) };
        }
        if let (true, Described::Sdp(answer)) = (first && self.state.is_talking(), description(response))
            && let Ok(answer) = self.local.accept(answer)
        {
            self.agreed(&answer);
        }
    }

    fn refreshed(&mut self, now: Instant, response: &Message<'_>) {
        if let Some(wallet) = &mut self.wallet {
            wallet.accepted(response);
        }
        if let Some(chosen) = &mut self.chosen {
            chosen.dialog.refresh(response);
        }
        self.ask_for_chosen();
        self.revision = self.revision.wrapping_add(1);
        if self.state.is_talking() {
            self.renewal.agreed_by(now, response);
        }
    }

    fn not_refreshed(&mut self, now: Instant, place: usize, status: u16, response: &Message<'_>) {
        if !self.state.is_talking() {
            return;
        }
        let retry_after = response.retry_after().ok().flatten();
        match status {
            // RFC 3261 section 12.2.1.2, RFC 4028 section 7.3.
            408 | 481 => return self.step(now, Stimulus::Lost),
            422 if self.renewal.lengthen(response) => {
                self.errands.remove(place);
                return self.refresh(now);
            }
            400 | 405 | 420 | 488 | 501 if self.renewal.by_update => {
                self.renewal.by_update = false;
                self.errands.remove(place);
                return self.refresh(now);
            }
            _ => {}
        }
        let wait = match (status, retry_after) {
            (491, _) => self.glare(),
            (_, Some(seconds)) => Duration::from_secs(seconds.max(1).into()),
            _ => AFTER_FAILURE,
        };
        self.renewal.watch = self.renewal.watch.later(now, wait);
        // Its transaction runs out by itself; another refresh may begin before.
        self.errands.remove(place);
    }

    /// How long to wait after a 491: different for each call and each time.
    fn glare(&self) -> Duration {
        let (low, high) = GLARE;
        let steps = (high - low) / GLARE_STEP + 1;
        let drawn = self.branch.0.rotate_left(self.branch.1 % 64) % steps;
        Duration::from_millis(low + drawn * GLARE_STEP)
    }

    /// No final response came, or the request could not be sent: as a 408 (RFC 3261 section 8.1.3.1).
    pub(super) fn errand_unanswered(&mut self, now: Instant, id: ClientId) {
        let refresh = self.errands.iter().any(|errand| {
            errand.id == id && matches!(errand.kind, Kind::Update | Kind::Invite { ack_branch: None, .. })
        });
        if refresh && self.state.is_talking() {
            self.step(now, Stimulus::Lost);
        }
    }
}
