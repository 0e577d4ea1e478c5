//! A party that behaves by the book, for worlds in which messages are lost, doubled and overtaken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use duogate_channel::time::Instant;

use crate::call::{CONTACT, plain_sdp};
use crate::text::{self, Reply, Text};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What the party does with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pattern {
    /// 200 at once.
    Answers,
    /// 180, then 200.
    RingsThenAnswers,
    /// 183 with a description, then 200 without one.
    EarlyMediaThenAnswers,
    /// Two branches of a fork: 183 and 183, then 200 and 200.
    ForksTwice,
    /// 486.
    Busy,
    /// 180, and never a final response but to CANCEL.
    RingsForever,
    /// 180, and then it is dead.
    RingsAndDies,
    /// Nothing, ever.
    Dead,
    /// 200 with a description that nobody can use.
    AnswersStrangely,
}

impl Pattern {
    pub(crate) const ALL: [Self; 9] = [
        Self::Answers,
        Self::RingsThenAnswers,
        Self::EarlyMediaThenAnswers,
        Self::ForksTwice,
        Self::Busy,
        Self::RingsForever,
        Self::RingsAndDies,
        Self::Dead,
        Self::AnswersStrangely,
    ];

    /// What it sends, and when after the INVITE: status, tag, description.
    fn script(self) -> Vec<(u64, u16, &'static str, String)> {
        let (none, plain) = (String::new, plain_sdp);
        match self {
            Self::Answers => vec![(0, 200, "one", plain())],
            Self::RingsThenAnswers => vec![(50, 180, "one", none()), (3_000, 200, "one", plain())],
            Self::EarlyMediaThenAnswers => vec![(50, 183, "one", plain()), (3_000, 200, "one", none())],
            Self::ForksTwice => vec![
                (50, 183, "one", plain()),
                (90, 183, "two", plain()),
                (3_000, 200, "two", plain()),
                (3_100, 200, "one", plain()),
            ],
            Self::Busy => vec![(50, 100, "", none()), (900, 486, "one", none())],
            Self::RingsForever | Self::RingsAndDies => vec![(50, 180, "one", none())],
            Self::Dead => vec![],
            Self::AnswersStrangely => {
                vec![(0, 200, "one", text::sdp("192.0.2.21", 40_000, "18", "sendrecv"))]
            }
        }
    }
}

/// Something that is sent again until it is answered.
#[derive(Clone, Debug)]
struct Repeated {
    bytes: Vec<u8>,
    next: Instant,
    gap: Duration,
    until: Instant,
}

impl Repeated {
    fn new(now: Instant, bytes: Vec<u8>) -> Self {
        Self { bytes, next: now + T1, gap: T1, until: now + GIVE_UP }
    }
}

/// The party.
pub(crate) struct Party {
    pattern: Pattern,
    hangs_up: Option<Duration>,
    invite: Option<Text>,
    plan: Vec<(Instant, u16, &'static str, String)>,
    /// Final responses without ACK, by tag.
    finals: BTreeMap<String, (u16, Repeated)>,
    /// The party's own BYE without an answer.
    bye: Option<Repeated>,
    bye_at: Option<Instant>,
    /// Tags of dialogs that it believes in.
    pub(crate) open: BTreeSet<String>,
    last_provisional: Option<Vec<u8>>,
    pub(crate) to_send: Vec<Vec<u8>>,
}

impl Party {
    pub(crate) fn new(pattern: Pattern, hangs_up: Option<Duration>) -> Self {
        Self {
            pattern,
            hangs_up,
            invite: None,
            plan: Vec::new(),
            finals: BTreeMap::new(),
            bye: None,
            bye_at: None,
            open: BTreeSet::new(),
            last_provisional: None,
            to_send: Vec::new(),
        }
    }

    pub(crate) fn receive(&mut self, now: Instant, message: &Text) {
        let dead = self.pattern == Pattern::Dead
            || (self.pattern == Pattern::RingsAndDies && self.invite.is_some() && self.plan.is_empty());
        match message.kind() {
            _ if dead => {}
            "INVITE" => self.invited(now, message),
            "ACK" => {
                self.finals.remove(message.to_tag());
            }
            "CANCEL" => self.canceled(now, message),
            "BYE" => {
                let status = if self.open.remove(message.to_tag()) { 200 } else { 481 };
                self.finals.remove(message.to_tag());
                self.to_send.push(text::response(message, status, &Reply::default()));
            }
            _ if message.is_response() && message.cseq_method() == "BYE" => self.bye = None,
            other => panic!("the leg sent {other}"),
        }
    }

    fn invited(&mut self, now: Instant, invite: &Text) {
        if self.invite.is_some() {
            let again = self.finals.values().map(|(_, repeated)| repeated.bytes.clone());
            let again: Vec<_> = again.chain(self.last_provisional.clone()).take(1).collect();
            self.to_send.extend(again);
            return;
        }
        self.invite = Some(invite.clone());
        let plan = self.pattern.script().into_iter();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        self.plan = plan.map(|(after, status, tag, sdp)| (at(after), status, tag, sdp)).collect();
        self.advance(now);
    }

    fn canceled(&mut self, now: Instant, cancel: &Text) {
        self.to_send.push(text::response(cancel, 200, &Reply { tag: "one", ..Reply::default() }));
        let answered = !self.finals.is_empty() || !self.open.is_empty();
        if let Some(invite) = self.invite.clone().filter(|_| !answered) {
            self.plan.clear();
            self.say(now, &invite, 487, "one", "");
        }
    }

    fn say(&mut self, now: Instant, invite: &Text, status: u16, tag: &str, sdp: &str) {
        let reply = Reply { tag, contact: CONTACT, headers: &[], sdp };
        let bytes = text::response(invite, status, &reply);
        self.to_send.push(bytes.clone());
        if status < 200 {
            self.last_provisional = Some(bytes);
            return;
        }
        if status < 300 {
            self.open.insert(tag.to_owned());
            self.bye_at = self.hangs_up.map(|after| now + after);
        }
        self.finals.insert(tag.to_owned(), (status, Repeated::new(now, bytes)));
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        let Some(invite) = self.invite.clone() else { return };
        while self.plan.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, status, tag, sdp) = self.plan.remove(0);
            self.say(now, &invite, status, tag, &sdp);
        }
        let mut lost = Vec::new();
        for (tag, (status, repeated)) in &mut self.finals {
            if now >= repeated.until {
                lost.push((tag.clone(), *status));
            } else if now >= repeated.next {
                repeated.gap = (repeated.gap * 2).min(T2);
                repeated.next = now + repeated.gap;
                self.to_send.push(repeated.bytes.clone());
            }
        }
        // RFC 3261 section 13.3.1.4: no ACK came; the dialog is over.
        for (tag, _) in lost {
            self.finals.remove(&tag);
            self.open.remove(&tag);
        }
        self.hang_up(now, &invite);
    }

    fn hang_up(&mut self, now: Instant, invite: &Text) {
        // Before the ACK a callee may not send BYE (RFC 3261 section 15).
        let settled = self.finals.is_empty() && self.open.len() == 1;
        if settled && self.bye_at.is_some_and(|at| at <= now) {
            let tag = self.open.pop_first().expect("one dialog");
            let bytes = text::request(invite, "BYE", 1, &tag, &[], "");
            self.to_send.push(bytes.clone());
            self.bye = Some(Repeated::new(now, bytes));
            self.bye_at = None;
        }
        let Some(bye) = &mut self.bye else { return };
        if now >= bye.until {
            self.bye = None;
        } else if now >= bye.next {
            bye.gap = (bye.gap * 2).min(T2);
            bye.next = now + bye.gap;
            self.to_send.push(bye.bytes.clone());
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let finals = self.finals.values().map(|(_, repeated)| repeated.next.min(repeated.until));
        let plan = self.plan.iter().map(|(at, ..)| *at);
        let bye = self.bye.iter().map(|bye| bye.next.min(bye.until));
        let settled = self.finals.is_empty() && self.open.len() == 1;
        finals.chain(plan).chain(bye).chain(self.bye_at.filter(|_| settled)).min()
    }

    /// Has it nothing to wait for?
    pub(crate) fn is_at_rest(&self) -> bool {
        self.finals.is_empty() && self.bye.is_none() && self.plan.is_empty()
    }
}
