//! A model party: a phone that is called, and does what its script says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::network::Wake;
use crate::random::Random;
use crate::text::{Text, close, media_port};

/// T1 and T2 of RFC 3261, and how long anything is sent again.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// One thing that a party does after the INVITE came, and how long it waits before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A provisional response; `tag` and `media` tell dialogs and media addresses apart.
    Provisional { status: u16, tag: u8, media: Option<u8> },
    /// A 200.
    Answer { tag: u8, media: u8 },
    /// A second 200 from another branch of a fork.
    AlsoAnswer { tag: u8 },
    /// A final refusal.
    Refuse { status: u16 },
    /// BYE, if it was answered.
    HangUp,
    /// A re-INVITE that says the same again, or holds.
    Reinvite { hold: bool },
}

/// What a party does when CANCEL comes before its final response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnCancel {
    /// 200 to the CANCEL, 487 to the INVITE.
    Obey,
    /// 200 to the CANCEL, and 200 to the INVITE that had crossed it.
    Cross,
    /// Nothing.
    Ignore,
}

/// All that a party does.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) on_cancel: OnCancel,
    /// It never answers to anything.
    pub(crate) dead: bool,
    pub(crate) codec: u8,
    /// It presses keys, and takes telephone-events.
    pub(crate) keys: bool,
}

/// One call at a party.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    invite: Text,
    /// Last response to the INVITE.
    response: Option<Vec<u8>>,
    /// Its final response, until the ACK comes.
    unacknowledged: Option<Vec<u8>>,
    pub(crate) answered: Option<String>,
    pub(crate) final_sent: bool,
    pub(crate) over: bool,
    bye: Option<Vec<u8>>,
    /// Where Duogate receives the party's sound.
    pub(crate) their_port: Option<u16>,
    media: u8,
}

/// A phone.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) place: usize,
    pub(crate) address: SocketAddr,
    pub(crate) script: Script,
    pub(crate) calls: Vec<Call>,
    seen: BTreeMap<String, Vec<u8>>,
    pub(crate) sequence: u16,
    cseq: u32,
}

/// What a party wants done.
pub(crate) enum Wish {
    Send { bytes: Vec<u8> },
    Wake { after: Duration, wake: Wake },
}

impl Party {
    pub(crate) fn new(place: usize, address: SocketAddr, script: Script) -> Self {
        Self { place, address, script, calls: vec![], seen: BTreeMap::new(), sequence: 0, cseq: 100 }
    }

    pub(crate) fn contact(&self) -> String {
        format!("sip:p{}@{}", self.place, self.address)
    }

    /// Where it receives sound, by the media address that it has given.
    pub(crate) fn media(&self, media: u8) -> SocketAddr {
        SocketAddr::new(self.address.ip(), 30_000 + u16::from(media) * 2)
    }

    fn description(&self, media: u8, hold: bool) -> String {
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

    /// A datagram has come from Duogate.
    pub(crate) fn receive(&mut self, bytes: &[u8], wishes: &mut Vec<Wish>) {
        if self.script.dead {
            return;
        }
        let text = Text::read(bytes);
        match text.method() {
            "" => self.response(&text),
            "INVITE" => self.invited(text, wishes),
            "ACK" => {
                if let Some(call) = self.find(&text) {
                    let call = &mut self.calls[call];
                    if call.answered.as_deref().is_none_or(|tag| tag == text.tag_of_to()) {
                        call.unacknowledged = None;
                    }
                }
            }
            "CANCEL" => self.cancelled(&text, wishes),
            "BYE" => {
                let call = self.find(&text);
                let status = if call.is_some() { 200 } else { 481 };
                if let Some(call) = call.map(|call| &mut self.calls[call])
                    && call.answered.as_deref() == Some(text.tag_of_to())
                {
                    call.over = true;
                    call.unacknowledged = None;
                }
                self.say(text.answer(status, "x", &self.contact(), ""), wishes);
            }
            _ => self.say(text.answer(200, "x", &self.contact(), ""), wishes),
        }
    }

    /// All that it sends goes to the one Duogate there is.
    fn say(&self, bytes: Vec<u8>, wishes: &mut Vec<Wish>) {
        wishes.push(Wish::Send { bytes });
    }

    fn find(&self, text: &Text) -> Option<usize> {
        self.calls.iter().position(|call| call.invite.call_id() == text.call_id())
    }

    fn invited(&mut self, text: Text, wishes: &mut Vec<Wish>) {
        if let Some(call) = self.find(&text) {
            if let Some(response) = self.calls[call].response.clone() {
                self.say(response, wishes);
            }
            return;
        }
        let their_port = media_port(&text.body);
        self.calls.push(Call {
            invite: text,
            response: None,
            unacknowledged: None,
            answered: None,
            final_sent: false,
            over: false,
            bye: None,
            their_port,
            media: 0,
        });
        self.schedule(0, wishes);
    }

    fn schedule(&self, step: usize, wishes: &mut Vec<Wish>) {
        if let Some((after, _)) = self.script.steps.get(step) {
            wishes.push(Wish::Wake { after: *after, wake: Wake::Step(step) });
        }
    }

    fn cancelled(&mut self, text: &Text, wishes: &mut Vec<Wish>) {
        let Some(call) = self.find(text) else {
            return self.say(text.answer(481, "x", &self.contact(), ""), wishes);
        };
        if self.script.on_cancel == OnCancel::Ignore {
            return;
        }
        self.say(text.answer(200, "c", &self.contact(), ""), wishes);
        if !self.calls[call].final_sent {
            match self.script.on_cancel {
                OnCancel::Cross => self.finally(call, 200, 1, 0, wishes),
                OnCancel::Obey | OnCancel::Ignore => self.finally(call, 487, 1, 0, wishes),
            }
        }
    }

    fn tag(&self, tag: u8) -> String {
        format!("t{}-{tag}", self.place)
    }

    /// A final response, sent again until the ACK comes (RFC 3261 sections 13.3.1.4 and 17.2.1).
    fn finally(&mut self, call: usize, status: u16, tag: u8, media: u8, wishes: &mut Vec<Wish>) {
        let body = if status == 200 { self.description(media, false) } else { String::new() };
        let (tag, contact) = (self.tag(tag), self.contact());
        let entry = &mut self.calls[call];
        let bytes = entry.invite.answer(status, &tag, &contact, &body);
        entry.final_sent = true;
        entry.response = Some(bytes.clone());
        entry.unacknowledged = Some(bytes.clone());
        if status == 200 {
            entry.answered = Some(tag);
            entry.media = media;
            wishes.push(Wish::Wake { after: Duration::from_millis(40), wake: Wake::Speak });
        } else {
            entry.over = true;
        }
        self.say(bytes, wishes);
        wishes.push(Wish::Wake { after: T1, wake: Wake::Resend { call, after: T1 } });
    }

    /// The time has come for something.
    pub(crate) fn wake(&mut self, wake: Wake, wishes: &mut Vec<Wish>) {
        match wake {
            Wake::Step(step) => {
                self.step(step, wishes);
                self.schedule(step + 1, wishes);
            }
            Wake::Resend { call, after } => {
                if let Some(bytes) = self.calls[call].unacknowledged.clone() {
                    self.say(bytes, wishes);
                    self.again(after, wishes, |after| Wake::Resend { call, after });
                }
            }
            Wake::ResendBye { call, after } => {
                if let Some(bytes) = self.calls[call].bye.clone() {
                    self.say(bytes, wishes);
                    self.again(after, wishes, |after| Wake::ResendBye { call, after });
                }
            }
            Wake::Speak => {}
        }
    }

    fn again(&self, after: Duration, wishes: &mut Vec<Wish>, wake: impl Fn(Duration) -> Wake) {
        // Doubling from T1, eleven times at T2 make 32 s; the sum is what counts.
        let next = after * 2;
        if next <= GIVE_UP {
            wishes.push(Wish::Wake { after: next.min(T2), wake: wake(next) });
        }
    }

    fn step(&mut self, step: usize, wishes: &mut Vec<Wish>) {
        let Some(call) = self.calls.len().checked_sub(1) else { return };
        let what = self.script.steps[step].1;
        let entry = &self.calls[call];
        let (early, talking) = (!entry.final_sent, entry.answered.is_some() && !entry.over);
        match what {
            Step::Provisional { status, tag, media } if early => {
                let body = media.map_or_else(String::new, |media| self.description(media, false));
                let (tag, contact) = (self.tag(tag), self.contact());
                let entry = &mut self.calls[call];
                let bytes = entry.invite.answer(status, &tag, &contact, &body);
                entry.response = Some(bytes.clone());
                if let Some(media) = media {
                    entry.media = media;
                    wishes.push(Wish::Wake { after: Duration::from_millis(20), wake: Wake::Speak });
                }
                self.say(bytes, wishes);
            }
            Step::Answer { tag, media } if early => self.finally(call, 200, tag, media, wishes),
            Step::AlsoAnswer { tag } if talking => {
                let body = self.description(7, false);
                let bytes = entry.invite.answer(200, &self.tag(tag), &self.contact(), &body);
                self.say(bytes, wishes);
            }
            Step::Refuse { status } if early => self.finally(call, status, 1, 0, wishes),
            Step::HangUp if talking => self.hang_up(call, wishes),
            Step::Reinvite { hold } if talking => {
                let body = self.description(entry.media, hold);
                let bytes = self.request(call, "INVITE", &body);
                self.say(bytes, wishes);
            }
            _ => {}
        }
    }

    fn hang_up(&mut self, call: usize, wishes: &mut Vec<Wish>) {
        let bytes = self.request(call, "BYE", "");
        let entry = &mut self.calls[call];
        entry.over = true;
        entry.unacknowledged = None;
        entry.bye = Some(bytes.clone());
        self.say(bytes, wishes);
        wishes.push(Wish::Wake { after: T1, wake: Wake::ResendBye { call, after: T1 } });
    }

    /// A request inside the dialog that its 200 made.
    fn request(&mut self, call: usize, method: &str, body: &str) -> Vec<u8> {
        self.cseq += 1;
        let (cseq, contact, address) = (self.cseq, self.contact(), self.address);
        let entry = &self.calls[call];
        let (invite, tag) = (&entry.invite, entry.answered.clone().unwrap_or_default());
        let target = invite.header("contact").trim_matches(['<', '>']).to_owned();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK-{}-{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <{contact}>\r\n",
            self.place,
            invite.header("to"),
            invite.header("from"),
            invite.call_id(),
        );
        close(text, body)
    }

    /// The answer to one of its own requests.
    fn response(&mut self, text: &Text) {
        let Some(call) = self.find(text) else { return };
        let (_, method) = text.cseq();
        if method == "BYE" && text.status() >= 200 {
            self.calls[call].bye = None;
        }
        if method == "INVITE" && text.status() == 200 {
            let key = text.branch().to_owned();
            self.seen.insert(key, Vec::new());
        }
    }

    /// The ACK to a 200 that answered its re-INVITE, if this is one.
    pub(crate) fn acknowledgement(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let text = Text::read(bytes);
        if text.status() != 200 || text.cseq().1 != "INVITE" {
            return None;
        }
        self.find(&text)?;
        let target = text.header("contact").trim_matches(['<', '>']).to_owned();
        let ack = format!(
            "ACK {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{}-ack{};rport\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n",
            self.address,
            self.place,
            text.cseq().0,
            text.header("from"),
            text.header("to"),
            text.call_id(),
            text.cseq().0,
        );
        Some(close(ack, ""))
    }

    /// Does it send sound now, from where, and to which port?
    pub(crate) fn speaks(&self) -> Option<(SocketAddr, u16)> {
        let call = self.calls.last()?;
        let port = call.their_port?;
        (!call.over && !self.script.dead).then(|| (self.media(call.media), port))
    }
}

impl Script {
    /// When it answers, after the INVITE came; none if it does not.
    pub(crate) fn answers_after(&self) -> Option<Duration> {
        let place = self.steps.iter().position(|(_, step)| matches!(step, Step::Answer { .. }))?;
        (!self.dead).then(|| self.steps[..=place].iter().map(|(after, _)| *after).sum())
    }

    pub(crate) fn hangs_up(&self) -> bool {
        self.steps.iter().any(|(_, step)| *step == Step::HangUp)
    }
}

/// A script by chance: every answer pattern, with its own times.
pub(crate) fn script(random: &mut Random, codec: u8) -> Script {
    let short = |random: &mut Random| Duration::from_millis(random.between(0, 400));
    let long = |random: &mut Random| Duration::from_millis(random.between(200, 3000));
    let ring = |status, media| Step::Provisional { status, tag: 1, media };
    let other = |status, media| Step::Provisional { status, tag: 2, media };
    let answer = Step::Answer { tag: 1, media: 0 };
    let (a, b, c) = (short(random), long(random), long(random));
    let mut steps = match random.between(0, 21) {
        0 => vec![(a, answer)],
        1..=4 | 16..=21 => vec![(a, ring(180, None)), (b, answer)],
        5 => vec![(a, ring(183, Some(0))), (b, answer)],
        6 => vec![(a, ring(180, None)), (b, ring(183, Some(0))), (c, answer)],
        7 => vec![(a, ring(183, Some(0))), (b, ring(180, None)), (c, answer)],
        8 => vec![(a, ring(183, Some(0))), (b, ring(183, Some(1))), (c, Step::Answer { tag: 1, media: 1 })],
        9 => vec![(a, ring(183, Some(0))), (b, other(183, Some(2))), (c, Step::Answer { tag: 2, media: 2 })],
        10 => vec![(a, other(183, Some(2))), (b, answer), (a, Step::AlsoAnswer { tag: 3 })],
        11 => vec![(a, Step::Refuse { status: random.one_of(&[486, 404, 403, 503]) })],
        12 => vec![(a, ring(180, None)), (b, Step::Refuse { status: random.one_of(&[480, 603, 600]) })],
        13 => vec![(a, ring(180, None))],
        14 => vec![],
        _ => vec![(a, ring(100, None)), (b, answer)],
    };
    if random.chance(10) {
        steps.push((c, Step::Reinvite { hold: random.chance(50) }));
    }
    if random.chance(50) {
        let talk = Duration::from_millis(random.between(100, 9_000));
        steps.push((talk, Step::HangUp));
    }
    let on_cancel = random.one_of(&[OnCancel::Obey, OnCancel::Obey, OnCancel::Cross, OnCancel::Ignore]);
    Script { steps, on_cancel, dead: random.chance(2), codec, keys: random.chance(60) }
}
