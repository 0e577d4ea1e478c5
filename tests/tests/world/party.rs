//! A model party: a phone that is called, and does what its script says, as its manners want it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::digesting::{Guard, Judgement};
use crate::manners::{Manners, Timer, Turn};
use crate::network::{Key, Wake};
use crate::script::{OnCancel, Script, Step};
use crate::text::{Text, close, media_port};

/// T1 and T2 of RFC 3261, and how often anything is sent.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const SENDINGS: u8 = 11;

/// A session timer in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) seconds: u32,
    /// The party refreshes.
    pub(crate) own: bool,
    /// Counts refreshes.
    pub(crate) generation: u32,
}

/// One call at a party.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) invite: Text,
    /// The address at which it was called.
    pub(crate) at: SocketAddr,
    /// Last response to the INVITE.
    response: Option<Vec<u8>>,
    /// What is sent again until somebody answers.
    pub(crate) open: Vec<(Key, Vec<u8>)>,
    guard: Option<Guard>,
    /// Its script has begun.
    begun: bool,
    pub(crate) answered: Option<String>,
    pub(crate) final_sent: bool,
    pub(crate) over: bool,
    /// Where Duogate receives the party's sound.
    pub(crate) their_port: Option<u16>,
    pub(crate) media: u8,
    /// RSeq of the last reliable response, by tag.
    pub(crate) rseqs: BTreeMap<u8, u32>,
    pub(crate) session: Option<Session>,
    pub(crate) glared: bool,
}

/// A phone.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) place: usize,
    pub(crate) address: SocketAddr,
    pub(crate) script: Script,
    pub(crate) manners: Manners,
    pub(crate) calls: Vec<Call>,
    pub(crate) seen: BTreeMap<String, Vec<u8>>,
    pub(crate) sequence: u16,
    pub(crate) cseq: u32,
    /// It neither hears nor says anything any more, but for its sound.
    pub(crate) mute: bool,
    /// It says something every now and then: once, however many dialogs it rings in.
    pub(crate) speaking: bool,
}

/// What a party wants done.
pub(crate) enum Wish {
    Send {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Wake {
        after: Duration,
        wake: Wake,
    },
    /// Duogate has done what it must not.
    Complain(String),
}

impl Party {
    pub(crate) fn new(place: usize, address: SocketAddr, script: Script, manners: Manners) -> Self {
        let (calls, seen) = (vec![], BTreeMap::new());
        Self {
            place,
            address,
            script,
            manners,
            calls,
            seen,
            sequence: 0,
            cseq: 100,
            mute: false,
            speaking: false,
        }
    }

    pub(crate) fn contact(&self, at: SocketAddr) -> String {
        format!("sip:p{}@{at}", self.place)
    }

    /// Where it receives sound, by the media address that it has given.
    pub(crate) fn media(&self, media: u8) -> SocketAddr {
        SocketAddr::new(self.address.ip(), 30_000 + u16::from(media) * 2)
    }

    pub(crate) fn description(&self, media: u8, hold: bool) -> String {
        let address = self.media(media);
        let (ip, port, codec) = (address.ip(), address.port(), self.script.codec);
        let name = if codec == 8 { "PCMA" } else { "PCMU" };
        let (events, map) =
            if self.script.keys { (" 101", "a=rtpmap:101 telephone-event/8000\r\n") } else { ("", "") };
        let direction = if hold { "a=inactive\r\n" } else { "" };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {codec}{events}\r\n\
             a=rtpmap:{codec} {name}/8000\r\n{map}{direction}"
        )
    }

    /// A datagram has come from Duogate, to one of the party's addresses.
    pub(crate) fn receive(&mut self, at: SocketAddr, bytes: &[u8], wishes: &mut Vec<Wish>) {
        if self.script.dead || self.mute {
            return;
        }
        let text = Text::read(bytes);
        match text.method() {
            "" => self.response(&text, wishes),
            "INVITE" if text.is_first_invite() => self.invited(at, text, wishes),
            "ACK" => self.acknowledged(&text, wishes),
            "CANCEL" => self.cancelled(at, &text, wishes),
            _ => self.asked(at, &text, wishes),
        }
    }

    pub(crate) fn find(&self, text: &Text) -> Option<usize> {
        self.calls.iter().position(|call| call.invite.call_id() == text.call_id())
    }

    /// Says something in a call.
    pub(crate) fn say(&self, call: usize, bytes: Vec<u8>, wishes: &mut Vec<Wish>) {
        wishes.push(Wish::Send { from: self.calls[call].at, bytes });
    }

    /// Says it, and again until [`Party::settled`].
    pub(crate) fn insist(&mut self, call: usize, key: Key, bytes: Vec<u8>, wishes: &mut Vec<Wish>) {
        self.calls[call].open.push((key, bytes.clone()));
        self.say(call, bytes, wishes);
        wishes.push(Wish::Wake { after: T1, wake: Wake::Resend { call, key, sent: 1 } });
    }

    /// True if it had been said.
    pub(crate) fn settled(&mut self, call: usize, key: Key) -> bool {
        let open = &mut self.calls[call].open;
        let before = open.len();
        open.retain(|(known, _)| *known != key);
        open.len() < before
    }

    fn invited(&mut self, at: SocketAddr, text: Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(&text) else {
            let name = format!("p{}", self.place);
            self.calls.push(Call {
                their_port: media_port(&text.body),
                invite: text,
                at,
                response: None,
                open: Vec::new(),
                guard: self.manners.demand.map(|demand| Guard::new(demand, name)),
                begun: false,
                answered: None,
                final_sent: false,
                over: false,
                media: 0,
                rseqs: BTreeMap::new(),
                session: None,
                glared: false,
            });
            return self.consider(self.calls.len() - 1, wishes);
        };
        let entry = &mut self.calls[call];
        if text.cseq().0 > entry.invite.cseq().0 {
            // The last one was refused for what this one may have.
            entry.invite = text;
            (entry.final_sent, entry.over, entry.response) = (false, false, None);
            entry.open.clear();
            return self.consider(call, wishes);
        }
        let known = text.branch() == entry.invite.branch();
        if let Some(response) = entry.response.clone().filter(|_| known) {
            self.say(call, response, wishes);
        }
    }

    /// What becomes of an INVITE.
    fn consider(&mut self, call: usize, wishes: &mut Vec<Wish>) {
        let manners = self.manners;
        let entry = &mut self.calls[call];
        match entry.guard.as_mut().map(|guard| guard.judge(&entry.invite)) {
            None | Some(Judgement::Fine) => {}
            Some(Judgement::Ask(status, lines)) => return self.refuse(call, status, &lines, wishes),
            Some(Judgement::Broken(what)) => return wishes.push(Wish::Complain(what)),
        }
        if let (Some(minimum), Some((seconds, _))) = (manners.minimum, entry.invite.session())
            && manners.timer != Timer::Unaware
            && seconds < minimum
        {
            return self.refuse(call, 422, &format!("Min-SE: {minimum}\r\n"), wishes);
        }
        let (user, host) = entry.invite.user_and_host();
        match manners.detour.turn(stage(user)) {
            Turn::Here => {}
            Turn::Nowhere => return self.refuse(call, 480, "", wishes),
            Turn::There(users) => {
                let contact = |(to, q): &(u8, &str)| {
                    let user = if *to == 0 { String::new() } else { format!("-{to}") };
                    format!("Contact: <sip:p{}{user}@{host}>{q}\r\n", self.place)
                };
                let lines: String = users.iter().map(contact).collect();
                return self.refuse(call, if users.len() > 1 { 300 } else { 302 }, &lines, wishes);
            }
        }
        if !std::mem::replace(&mut self.calls[call].begun, true) {
            self.schedule(call, 0, wishes);
        }
    }

    fn schedule(&self, call: usize, step: usize, wishes: &mut Vec<Wish>) {
        if let Some((after, _)) = self.script.steps.get(step) {
            wishes.push(Wish::Wake { after: *after, wake: Wake::Step { call, step } });
        }
    }

    fn cancelled(&mut self, at: SocketAddr, text: &Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(text) else {
            let bytes = text.answer(481, "x", &self.contact(at), "");
            return wishes.push(Wish::Send { from: at, bytes });
        };
        if self.script.on_cancel == OnCancel::Ignore {
            return;
        }
        let bytes = text.answer(200, "c", &self.contact(at), "");
        self.say(call, bytes, wishes);
        if self.calls[call].final_sent {
            return;
        }
        match self.script.on_cancel {
            OnCancel::Cross => self.accept(call, 1, 0, wishes),
            OnCancel::CrossTwice => {
                self.accept(call, 1, 0, wishes);
                self.accept_too(call, 12, wishes);
            }
            OnCancel::Late => {
                self.refuse(call, 487, "", wishes);
                self.accept_too(call, 12, wishes);
            }
            OnCancel::Obey | OnCancel::Ignore => self.refuse(call, 487, "", wishes),
        }
    }

    pub(crate) fn tag(&self, tag: u8) -> String {
        format!("t{}-{tag}", self.place)
    }

    /// A final refusal.
    pub(crate) fn refuse(&mut self, call: usize, status: u16, lines: &str, wishes: &mut Vec<Wish>) {
        let entry = &mut self.calls[call];
        let bytes = entry.invite.answer_with(status, &format!("t{}-0", self.place), lines, "");
        entry.final_sent = true;
        entry.over = true;
        entry.response = Some(bytes.clone());
        entry.open.clear();
        self.insist(call, Key::Final, bytes, wishes);
    }

    /// The 200.
    fn accept(&mut self, call: usize, tag: u8, media: u8, wishes: &mut Vec<Wish>) {
        let bytes = self.success(call, tag, media);
        let name = self.tag(tag);
        let entry = &mut self.calls[call];
        entry.final_sent = true;
        entry.response = Some(bytes.clone());
        entry.answered = Some(name);
        entry.media = media;
        entry.open.clear();
        wishes.push(Wish::Wake { after: Duration::from_millis(40), wake: Wake::Speak });
        self.insist(call, Key::Final, bytes, wishes);
    }

    /// The 200 of another branch (RFC 3261 section 13.3.1.4: it too is sent until its ACK comes).
    fn accept_too(&mut self, call: usize, tag: u8, wishes: &mut Vec<Wish>) {
        let bytes = self.success(call, tag, 7);
        self.insist(call, Key::Also(tag), bytes, wishes);
    }

    fn success(&self, call: usize, tag: u8, media: u8) -> Vec<u8> {
        let entry = &self.calls[call];
        let contact = self.contact(entry.at);
        let lines = format!("Contact: <{contact}>\r\n{}", self.session_lines(call));
        entry.invite.answer_with(200, &self.tag(tag), &lines, &self.description(media, false))
    }

    /// The time has come for something.
    pub(crate) fn wake(&mut self, wake: Wake, wishes: &mut Vec<Wish>) {
        if self.mute {
            return;
        }
        match wake {
            Wake::Step { call, step } => {
                if self.step(call, step, wishes) {
                    self.schedule(call, step + 1, wishes);
                } else {
                    let after = Duration::from_millis(200);
                    wishes.push(Wish::Wake { after, wake: Wake::Step { call, step } });
                }
            }
            Wake::Resend { call, key, sent } => self.resend(call, key, sent, wishes),
            Wake::Session { call, generation } => self.session_due(call, generation, wishes),
            Wake::Speak => {}
        }
    }

    fn resend(&mut self, call: usize, key: Key, sent: u8, wishes: &mut Vec<Wish>) {
        let open = self.calls[call].open.iter().find(|(known, _)| *known == key);
        let Some((_, bytes)) = open.cloned() else { return };
        if sent >= SENDINGS {
            self.settled(call, key);
            // RFC 3262 section 3: who gets no PRACK refuses.
            if matches!(key, Key::Reliable { .. }) && !self.calls[call].final_sent {
                self.refuse(call, 500, "", wishes);
            }
            return;
        }
        self.say(call, bytes, wishes);
        let after = (T1 * 2_u32.pow(u32::from(sent.min(4)))).min(T2);
        wishes.push(Wish::Wake { after, wake: Wake::Resend { call, key, sent: sent + 1 } });
    }

    /// Does one step. False if it is not the time for it yet.
    fn step(&mut self, call: usize, step: usize, wishes: &mut Vec<Wish>) -> bool {
        let what = self.script.steps[step].1;
        let entry = &self.calls[call];
        let (early, talking) = (!entry.final_sent, entry.answered.is_some() && !entry.over);
        let unsure = entry.open.iter().any(|(key, _)| matches!(key, Key::Reliable { .. }));
        match what {
            // RFC 3262 section 3: one after the other in each dialog, and the answer after them.
            Step::Provisional { tag, .. } if early && self.is_unsure_of(call, tag) => return false,
            Step::Answer { .. } if early && unsure => return false,
            Step::Provisional { status, tag, media } if early => {
                self.provisional(call, status, tag, media, wishes);
            }
            Step::Answer { tag, media } if early => self.accept(call, tag, media, wishes),
            Step::AlsoAnswer { tag } if talking => self.accept_too(call, tag, wishes),
            Step::Refuse { status } if early => self.refuse(call, status, "", wishes),
            Step::HangUp if talking => self.hang_up(call, wishes),
            Step::Offer { hold, update } if talking => {
                self.offer(call, hold, update, wishes);
            }
            Step::Die if talking => self.mute = entry.session.is_some(),
            _ => {}
        }
        true
    }

    fn provisional(&mut self, call: usize, status: u16, tag: u8, media: Option<u8>, wishes: &mut Vec<Wish>) {
        let body = media.map_or_else(String::new, |media| self.description(media, false));
        if let Some(media) = media {
            self.calls[call].media = media;
            wishes.push(Wish::Wake { after: Duration::from_millis(20), wake: Wake::Speak });
        }
        if status > 100 && self.manners.reliable && self.calls[call].invite.lists("supported", "100rel") {
            return self.provisional_reliably(call, (status, tag), &body, wishes);
        }
        let (name, contact) = (self.tag(tag), self.contact(self.calls[call].at));
        let entry = &mut self.calls[call];
        let bytes = entry.invite.answer(status, &name, &contact, &body);
        entry.response = Some(bytes.clone());
        self.say(call, bytes, wishes);
    }

    pub(crate) fn hang_up(&mut self, call: usize, wishes: &mut Vec<Wish>) {
        self.calls[call].over = true;
        self.calls[call].open.clear();
        self.request(call, "BYE", "", "", wishes);
    }

    /// A request inside the dialog that its 200 made, sent until it is answered.
    pub(crate) fn request(
        &mut self,
        call: usize,
        method: &'static str,
        lines: &str,
        body: &str,
        wishes: &mut Vec<Wish>,
    ) {
        self.cseq += 1;
        let cseq = self.cseq;
        let entry = &self.calls[call];
        let (invite, tag) = (&entry.invite, entry.answered.clone().unwrap_or_default());
        let target = invite.header("contact").trim_matches(['<', '>']).to_owned();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{}-{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <{}>\r\n{lines}",
            entry.at,
            self.place,
            invite.header("to"),
            invite.header("from"),
            invite.call_id(),
            self.contact(entry.at),
        );
        self.insist(call, Key::Request { cseq }, close(text, body), wishes);
    }

    /// Does it send sound now, from where, and to which port?
    pub(crate) fn speaks(&self) -> Option<(SocketAddr, u16)> {
        let call = self.calls.last()?;
        let port = call.their_port?;
        (!call.over && !self.script.dead).then(|| (self.media(call.media), port))
    }

    /// All who ask for credentials ask anew.
    pub(crate) fn renew_guards(&mut self) {
        self.calls.iter_mut().filter_map(|call| call.guard.as_mut()).for_each(Guard::renew);
    }
}

impl Call {
    /// Who looks at credentials, if they are asked for.
    pub(crate) fn guard_of(&mut self, asks: bool) -> Option<&mut Guard> {
        self.guard.as_mut().filter(|_| asks)
    }
}

/// The number after the party's own in a user's name.
pub(crate) fn stage(user: &str) -> u8 {
    user.split_once('-').and_then(|(_, stage)| stage.parse().ok()).unwrap_or(0)
}
