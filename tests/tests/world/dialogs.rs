//! What a party says and hears inside a dialog: PRACK (RFC 3262), refreshes of a session (RFC 4028), offers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::digesting::Judgement;
use crate::manners::{Line, Timer};
use crate::network::{Key, Wake};
use crate::party::{Party, Session, Wish};
use crate::text::{Text, close};

/// The interval that a party asks for where Duogate names none.
const INTERVAL: u32 = 150;

/// How long it waits after a 491 to a request of its own (RFC 3261 section 14.1).
const AFTER_GLARE: Duration = Duration::from_millis(1_300);

impl Party {
    /// Has a reliable response of that dialog no PRACK yet?
    pub(crate) fn is_unsure_of(&self, call: usize, tag: u8) -> bool {
        let open = &self.calls[call].open;
        open.iter().any(|(key, _)| matches!(key, Key::Reliable { tag: known, .. } if *known == tag))
    }

    /// A provisional response that wants PRACK; a hasty party sends the one after it first.
    pub(crate) fn provisional_reliably(
        &mut self,
        call: usize,
        (status, tag): (u16, u8),
        body: &str,
        wishes: &mut Vec<Wish>,
    ) {
        let (name, contact) = (self.tag(tag), self.contact(self.calls[call].at));
        let entry = &mut self.calls[call];
        let last = entry.rseqs.entry(tag).or_insert(41);
        let rseq = *last + 1;
        // The first one of a dialog may have any number: nobody could know that it is not the first.
        let hasty = self.manners.hasty && rseq > 42;
        *last += if hasty { 2 } else { 1 };
        let invite = entry.invite.clone();
        let print = |rseq: u32, body: &str| {
            let lines = format!("Contact: <{contact}>\r\nRequire: 100rel\r\nRSeq: {rseq}\r\n");
            invite.answer_with(status, &name, &lines, body)
        };
        if hasty {
            self.insist(call, Key::Reliable { tag, rseq: rseq + 1 }, print(rseq + 1, ""), wishes);
        }
        self.insist(call, Key::Reliable { tag, rseq }, print(rseq, body), wishes);
    }

    /// A request inside a dialog, but for ACK.
    pub(crate) fn asked(&mut self, at: SocketAddr, text: &Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(text) else {
            let bytes = text.answer(481, "x", &self.contact(at), "");
            return wishes.push(Wish::Send { from: at, bytes });
        };
        if let Some(bytes) = self.seen.get(text.branch()).cloned() {
            return self.say(call, bytes, wishes);
        }
        let contact = format!("Contact: <{}>\r\n", self.contact(at));
        let (status, lines, body) = match self.admit(call, text) {
            Ok(()) => self.serve(call, text, wishes),
            Err(Judgement::Ask(status, lines)) => (status, lines, String::new()),
            Err(Judgement::Broken(what)) => return wishes.push(Wish::Complain(what)),
            Err(Judgement::Fine) => return,
        };
        let bytes = text.answer_with(status, "x", &format!("{contact}{lines}"), &body);
        self.seen.insert(text.branch().to_owned(), bytes.clone());
        if text.method() == "INVITE" && status == 200 {
            let key = Key::Again { cseq: text.cseq().0 };
            return self.insist(call, key, bytes, wishes);
        }
        self.say(call, bytes, wishes);
    }

    fn admit(&mut self, call: usize, text: &Text) -> Result<(), Judgement> {
        let asks = self.manners.demand.is_some_and(|demand| demand.all && !demand.wrong);
        match self.calls[call].guard_of(asks).map(|guard| guard.judge(text)) {
            None | Some(Judgement::Fine) => Ok(()),
            Some(other) => Err(other),
        }
    }

    fn serve(&mut self, call: usize, text: &Text, wishes: &mut Vec<Wish>) -> (u16, String, String) {
        let plain = |status| (status, String::new(), String::new());
        match text.method() {
            "BYE" => {
                let entry = &mut self.calls[call];
                if entry.answered.as_deref() == Some(text.tag_of_to()) {
                    entry.over = true;
                    entry.open.retain(|(key, _)| matches!(key, Key::Also(_)));
                }
                plain(200)
            }
            "PRACK" => plain(self.pracked(call, text)),
            "UPDATE" if self.manners.grudges => plain(405),
            "UPDATE" | "INVITE" => self.refreshed(call, text, wishes),
            _ => plain(200),
        }
    }

    fn pracked(&mut self, call: usize, text: &Text) -> u16 {
        let mut parts = text.header("rack").split(' ');
        let rseq = parts.next().and_then(|rseq| rseq.parse().ok()).unwrap_or(0);
        let tag = text.tag_of_to().rsplit('-').next().and_then(|tag| tag.parse().ok()).unwrap_or(0);
        if self.settled(call, Key::Reliable { tag, rseq }) { 200 } else { 481 }
    }

    /// Duogate refreshes the session, or offers again.
    fn refreshed(&mut self, call: usize, text: &Text, wishes: &mut Vec<Wish>) -> (u16, String, String) {
        let entry = &mut self.calls[call];
        if entry.over || entry.answered.is_none() {
            return (481, String::new(), String::new());
        }
        if self.manners.glares && !std::mem::replace(&mut entry.glared, true) {
            self.offer(call, false, false, wishes);
            return (491, String::new(), String::new());
        }
        let media = entry.media;
        let mut lines = String::new();
        if let Some((seconds, _)) = text.session()
            && self.manners.timer != Timer::Unaware
        {
            lines = format!(
                "Session-Expires: {seconds};refresher=uac\r\nRequire: timer\r\nSupported: timer\r\n{}",
                self.allows()
            );
            self.watch(call, seconds, false, wishes);
        }
        let body = if text.body.is_empty() { String::new() } else { self.description(media, false) };
        (200, lines, body)
    }

    fn allows(&self) -> &'static str {
        if self.manners.updates || self.manners.grudges {
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE\r\n"
        } else {
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK\r\n"
        }
    }

    /// What its 200 says of the session's interval.
    pub(crate) fn session_lines(&self, call: usize) -> String {
        let invite = &self.calls[call].invite;
        if self.manners.timer == Timer::Unaware || !invite.lists("supported", "timer") {
            return String::new();
        }
        let seconds = invite.session().map_or(INTERVAL, |(seconds, _)| seconds);
        let refresher = if self.manners.timer == Timer::Own { "uas" } else { "uac" };
        format!(
            "Session-Expires: {seconds};refresher={refresher}\r\nRequire: timer\r\nSupported: timer\r\n{}",
            self.allows()
        )
    }

    fn watch(&mut self, call: usize, seconds: u32, own: bool, wishes: &mut Vec<Wish>) {
        let entry = &mut self.calls[call];
        let generation = entry.session.map_or(0, |session| session.generation) + 1;
        entry.session = Some(Session { seconds, own, generation });
        let whole = Duration::from_secs(seconds.into());
        let after = if own { whole / 2 } else { whole };
        wishes.push(Wish::Wake { after, wake: Wake::Session { call, generation } });
    }

    /// It is time to refresh, or to wonder why nobody did.
    pub(crate) fn session_due(&mut self, call: usize, generation: u32, wishes: &mut Vec<Wish>) {
        let entry = &self.calls[call];
        let Some(session) = entry.session.filter(|session| session.generation == generation) else { return };
        if entry.over {
            return;
        }
        if session.own {
            if !self.offer(call, false, self.manners.updates, wishes) {
                let wake = Wake::Session { call, generation };
                wishes.push(Wish::Wake { after: AFTER_GLARE, wake });
            }
            return;
        }
        // Behind a trunk that is dead, nobody hears of refreshes.
        if matches!(self.manners.line, Line::Direct | Line::Keyed) {
            let call_id = entry.invite.call_id();
            wishes.push(Wish::Complain(format!("{call_id}: the session was not refreshed in time")));
        }
        self.hang_up(call, wishes);
    }

    /// An offer in mid-call, which refreshes the session as well. False if it is not the time for it.
    pub(crate) fn offer(&mut self, call: usize, hold: bool, update: bool, wishes: &mut Vec<Wish>) -> bool {
        let entry = &self.calls[call];
        // One at a time, and none before the last answer of its own is acknowledged (section 14.1).
        if entry.open.iter().any(|(key, _)| !matches!(key, Key::Also(_))) {
            return false;
        }
        let mut lines = self.allows().to_owned();
        if let Some(session) = entry.session {
            let refresher = if session.own { "uac" } else { "uas" };
            let seconds = session.seconds;
            lines += &format!("Supported: timer\r\nSession-Expires: {seconds};refresher={refresher}\r\n");
        }
        let body = self.description(entry.media, hold);
        self.request(call, if update { "UPDATE" } else { "INVITE" }, &lines, &body, wishes);
        true
    }

    /// The answer to one of its own requests.
    pub(crate) fn response(&mut self, text: &Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(text).filter(|_| text.status() >= 200) else { return };
        let (cseq, method) = text.cseq();
        if method == "INVITE" {
            let bytes = self.acknowledgement(call, text);
            self.say(call, bytes, wishes);
        }
        if !self.settled(call, Key::Request { cseq }) || self.calls[call].over {
            return;
        }
        match (text.status(), text.session()) {
            (200, Some((seconds, refresher))) if self.calls[call].session.is_some() => {
                self.watch(call, seconds, refresher != "uas", wishes);
            }
            (200, _) => {}
            (481 | 408, _) => self.calls[call].over = true,
            // Whoever refreshes tries again.
            _ => {
                if let Some(Session { own: true, generation, .. }) = self.calls[call].session {
                    let wake = Wake::Session { call, generation };
                    wishes.push(Wish::Wake { after: AFTER_GLARE, wake });
                }
            }
        }
    }

    /// ACK to the final response to its INVITE: of the same transaction, or for a 200 of its own.
    fn acknowledgement(&self, call: usize, text: &Text) -> Vec<u8> {
        let target = self.calls[call].invite.header("contact").trim_matches(['<', '>']).to_owned();
        let suffix = if text.status() == 200 { "-ack" } else { "" };
        let cseq = text.cseq().0;
        let ack = format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{}-{cseq}{suffix};rport\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} ACK\r\n",
            self.calls[call].at,
            self.place,
            text.header("from"),
            text.header("to"),
            text.call_id(),
        );
        close(ack, "")
    }

    /// ACK.
    pub(crate) fn acknowledged(&mut self, text: &Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(text) else { return };
        let (cseq, tag) = (text.cseq().0, text.tag_of_to());
        if self.settled(call, Key::Again { cseq }) {
            return;
        }
        let entry = &self.calls[call];
        if cseq != entry.invite.cseq().0 {
            return;
        }
        if let Some(answered) = entry.answered.clone().filter(|_| tag != format!("t{}-0", self.place)) {
            if tag != answered {
                let other = tag.rsplit('-').next().and_then(|tag| tag.parse().ok()).unwrap_or(0);
                self.settled(call, Key::Also(other));
            } else if self.settled(call, Key::Final)
                && let Some((seconds, own)) = self.session_agreed(call)
            {
                self.watch(call, seconds, own, wishes);
            }
            return;
        }
        let other = tag.rsplit('-').next().and_then(|tag| tag.parse().ok()).unwrap_or(0);
        if !self.settled(call, Key::Also(other)) {
            self.settled(call, Key::Final);
        }
    }

    fn session_agreed(&self, call: usize) -> Option<(u32, bool)> {
        if self.session_lines(call).is_empty() {
            return None;
        }
        let asked = self.calls[call].invite.session();
        Some((asked.map_or(INTERVAL, |(seconds, _)| seconds), self.manners.timer == Timer::Own))
    }
}
