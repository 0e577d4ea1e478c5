//! A phone's signaling, without socket and clock: datagrams, commands and time go in, datagrams, orders for the
//! sound, and events come out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use duogate_signaling::message::{Builder, Message, Method, Name, Status, refusal};

use crate::call::{ALLOW, Agreement, Call, Repeat, Stage, T2};
use crate::client::Client;
use crate::script::{Script, Step};
use crate::sdp::{Description, Direction, Ours};
use crate::tone::Tone;

/// What comes out.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Output {
    /// A datagram to send.
    Send { bytes: Vec<u8>, to: SocketAddr },
    /// Sound starts, or its terms change.
    Agree(Agreement),
    /// Another tone is spoken.
    Speak(Tone),
    /// Keys are pressed.
    Press(String),
    /// No packets are sent, or they are again.
    Mute(bool),
    /// Another port for RTP is wanted; [`Line::move_to`] is to be told.
    Move,
    /// Sound ends.
    Stop,
    /// Something happened.
    Event(What),
}

/// What happened at a phone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// It was called.
    Invited {
        /// From, as it stands in the INVITE.
        from: String,
        /// The Request-URI.
        uri: String,
    },
    /// It sent a provisional response.
    Sent(u16),
    /// It sent a provisional response with early media.
    SentEarlyMedia(u16),
    /// It answered.
    Answered,
    /// The ACK for its answer came.
    Acknowledged,
    /// It refused.
    Refused(u16),
    /// The caller gave up.
    Canceled,
    /// It hung up.
    HungUp,
    /// The peer hung up.
    Ended,
    /// The peer changed the session; says which way sound flows, seen from the peer.
    Changed(Direction),
    /// It asked the peer to change the session, and this came of it.
    ChangeAnswered(u16),
    /// A request without effect on the call was answered: OPTIONS, INFO, or one that is refused.
    Asked(String),
    /// It calls.
    Calling,
    /// The one it calls sent a provisional response.
    Progress(u16),
    /// The one it called answered.
    Connected,
    /// The call was refused, or nobody was there (408).
    Failed(u16),
    /// A request or a final response of ours was never answered.
    Unanswered(String),
    /// A datagram could not be read.
    Unreadable(String),
}

/// Unique words for tags, branches and Call-IDs: splitmix64 over a seed.
#[derive(Clone, Debug)]
pub(crate) struct Words(pub(crate) u64);

impl Words {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn word(&mut self) -> String {
        format!("{:016x}", self.number())
    }
}

/// A response that was sent, for when its request comes again.
#[derive(Clone, Debug)]
struct Answer {
    branch: String,
    method: String,
    bytes: Vec<u8>,
    to: SocketAddr,
}

/// Answers that are remembered.
const ANSWERS: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sip: SocketAddr,
    pub(crate) rtp: SocketAddr,
    pub(crate) script: Script,
    pub(crate) words: Words,
    answers: VecDeque<Answer>,
    pub(crate) clients: Vec<Client>,
    pub(crate) call: Option<Call>,
    pub(crate) output: VecDeque<Output>,
}

impl Line {
    pub(crate) fn new(sip: SocketAddr, rtp: SocketAddr, script: Script, seed: u64) -> Self {
        let (answers, output) = (VecDeque::new(), VecDeque::new());
        Self { sip, rtp, script, words: Words(seed), answers, clients: Vec::new(), call: None, output }
    }

    pub(crate) fn event(&mut self, what: What) {
        self.output.push_back(Output::Event(what));
    }

    pub(crate) fn send(&mut self, bytes: Vec<u8>, to: SocketAddr) {
        self.output.push_back(Output::Send { bytes, to });
    }

    pub(crate) fn ours(&mut self) -> Ours {
        Ours {
            session: self.words.number() >> 1,
            version: 1,
            address: self.rtp,
            muxed: self.script.reports,
            direction: Direction::BOTH,
        }
    }

    pub(crate) fn contact(&self) -> String {
        format!("<sip:phone@{}>", self.sip)
    }

    /// Takes in a datagram.
    pub(crate) fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if datagram.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match Message::parse(datagram) {
            Ok(message) if message.is_request() => self.request(now, source, &message, datagram),
            Ok(message) => self.response(now, &message),
            Err(error) => {
                self.event(What::Unreadable(error.to_string()));
                if let Some(answer) = refusal(datagram, &error, source) {
                    self.send(answer, source);
                }
            }
        }
    }

    fn request(&mut self, now: Instant, source: SocketAddr, request: &Message<'_>, datagram: &[u8]) {
        if request.method() == Method::Ack {
            return self.acknowledged(request);
        }
        let branch = request.via().branch().unwrap_or_default();
        let method = request.method().as_str();
        let known = self.answers.iter().find(|answer| answer.branch == branch && answer.method == method);
        if let Some(answer) = known.cloned() {
            return self.send(answer.bytes, answer.to);
        }
        let required = request.header(Name::Require).filter(|_| request.method() != Method::Cancel);
        if let Some(required) = required {
            let builder = Builder::response_to(request, source, Status::BAD_EXTENSION, Some("x"));
            self.reply(request, source, builder.header(Name::Unsupported, required), None);
            return;
        }
        match request.method() {
            Method::Invite if request.to().tag().is_none() => self.invited(now, source, request, datagram),
            Method::Invite | Method::Update => self.changed(now, source, request),
            Method::Cancel => self.canceled(now, source, request),
            Method::Bye => self.ended(now, source, request),
            Method::Options | Method::Info => {
                self.event(What::Asked(method.to_owned()));
                self.simply(request, source, 200);
            }
            Method::Extension(_) => self.simply(request, source, 501),
            _ => self.simply(request, source, 405),
        }
    }

    /// Sends a response and remembers it.
    pub(crate) fn reply(
        &mut self,
        request: &Message<'_>,
        source: SocketAddr,
        builder: Builder,
        sdp: Option<&str>,
    ) -> Option<Vec<u8>> {
        let to = request.via().reply_address(source);
        let builder = builder.header(Name::Allow, ALLOW);
        let built = match sdp {
            Some(sdp) => builder.build_with("application/sdp", sdp.as_bytes()),
            None => builder.build(),
        };
        let Ok(bytes) = built else { return None };
        let branch = request.via().branch().unwrap_or_default();
        let method = request.method().as_str();
        self.answers.retain(|answer| answer.branch != branch || answer.method != method);
        self.answers.push_back(Answer {
            branch: branch.to_owned(),
            method: method.to_owned(),
            bytes: bytes.clone(),
            to,
        });
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
        self.send(bytes.clone(), to);
        Some(bytes)
    }

    /// A response that needs nothing but its status.
    pub(crate) fn simply(&mut self, request: &Message<'_>, source: SocketAddr, status: u16) {
        let tag = self.words.word();
        let builder = Builder::response_to(request, source, status_of(status), Some(&tag));
        self.reply(request, source, builder, None);
    }

    /// Time has come for steps and repetitions.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.advance_clients(now);
        let Some(call) = &mut self.call else { return };
        if let Some(repeat) = &mut call.repeat {
            if repeat.expired(now) {
                call.repeat = None;
                self.event(What::Unanswered("final response".to_owned()));
            } else if repeat.due(now, T2) {
                let (bytes, to) = (repeat.bytes.clone(), repeat.to);
                self.send(bytes, to);
            }
        }
        while let Some(step) = self.next_step(now) {
            self.act(now, step);
        }
    }

    fn next_step(&mut self, now: Instant) -> Option<Step> {
        let call = self.call.as_mut()?;
        let (due, step) = call.steps.front()?;
        // Hanging up before the ACK has to wait for it.
        let waits = *step == Step::HangUp && call.stage == Stage::Answered;
        if *due > now || waits { None } else { call.steps.pop_front().map(|(_, step)| step) }
    }

    /// Does one thing now; what the call's stage does not allow is left out.
    pub(crate) fn act(&mut self, now: Instant, step: Step) {
        let Some(stage) = self.call.as_ref().map(|call| call.stage) else { return };
        match (step, stage) {
            (Step::Provisional(status), Stage::Invited) => self.provisional(status, None),
            (Step::EarlyMedia(status, tone), Stage::Invited) => self.provisional(status, Some(tone)),
            (Step::Answer, Stage::Invited) => self.answer(now),
            (Step::AnswerHeld, Stage::Invited) => self.answer_held(now),
            (Step::Refuse(status), Stage::Invited) => self.refuse(now, status, What::Refused(status)),
            (Step::HangUp, Stage::Confirmed) => self.hang_up(now),
            (Step::HangUp, Stage::Calling) => self.give_up(now),
            (Step::Hold, Stage::Confirmed) => self.change(now, Direction { send: true, receive: false }),
            (Step::Direct(direction), Stage::Confirmed) => self.change(now, direction),
            (Step::Move, Stage::Confirmed) => self.output.push_back(Output::Move),
            (Step::Mute(mute), _) => self.output.push_back(Output::Mute(mute)),
            (Step::Resume, Stage::Confirmed) => self.change(now, Direction::BOTH),
            (Step::Speak(tone), _) => self.output.push_back(Output::Speak(tone)),
            (Step::Press(keys), _) => self.output.push_back(Output::Press(keys)),
            _ => {}
        }
    }

    /// RTP is received at another address from now on: the peer is told.
    pub(crate) fn move_to(&mut self, now: Instant, rtp: SocketAddr) {
        self.rtp = rtp;
        let Some(call) = &mut self.call else { return };
        call.description.address = rtp;
        let direction = call.description.direction;
        self.change(now, direction);
    }

    pub(crate) fn agreed(&mut self, agreement: Agreement, tone: Option<Tone>) {
        self.output.push_back(Output::Agree(agreement));
        if let Some(tone) = tone {
            self.output.push_back(Output::Speak(tone));
        }
    }

    /// Sends a final response to the INVITE again and again until its ACK comes.
    pub(crate) fn repeat(&mut self, now: Instant, bytes: Option<Vec<u8>>, to: SocketAddr) {
        if let (Some(call), Some(bytes)) = (&mut self.call, bytes) {
            call.repeat = Some(Repeat::new(now, bytes, to));
        }
    }
}

/// A status of which the number is known to be good; 500 if it is not.
pub(crate) fn status_of(code: u16) -> Status {
    Status::new(code).unwrap_or(Status::SERVER_INTERNAL_ERROR)
}

/// The description in a message, if it has one.
pub(crate) fn description(
    message: &Message<'_>,
) -> Result<Option<Description>, crate::sdp::DescriptionError> {
    if message.body().is_empty() { Ok(None) } else { Description::parse(message.body()).map(Some) }
}
