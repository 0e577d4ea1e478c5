//! One call of a phone: the dialog (RFC 3261 section 12) and what was agreed about sound.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use duogate_signaling::message::{Builder, Host, Message, Method, Name, NameAddress, Uri};

use crate::ear::Payloads;
use crate::script::{Script, Step};
use crate::sdp::{Description, Direction, Ours};
use crate::tone::RATE;

/// Estimate of the round trip (RFC 3261 section 17.1.1.1).
pub(crate) const T1: Duration = Duration::from_millis(500);
/// Longest gap between retransmissions.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// When to give up: 64·T1.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(32);
/// What this phone answers.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// ```text
/// callee: Invited ──answer──► Answered ──ACK──► Confirmed ──BYE──► Ended
///            └──refuse, CANCEL─────────────────────────────────────►
/// caller: Calling ──200────────────────────────► Confirmed ──BYE──► Ended
///            └──failure────────────────────────────────────────────►
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Called, and no final response sent.
    Invited,
    /// Called and answered; the ACK is awaited.
    Answered,
    /// Calling.
    Calling,
    /// Both sides know that the call is up.
    Confirmed,
    /// Over; what is left of the transactions runs out.
    Ended,
}

/// A message that is sent again until something comes back.
#[derive(Clone, Debug)]
pub(crate) struct Repeat {
    pub(crate) bytes: Vec<u8>,
    pub(crate) to: SocketAddr,
    next: Instant,
    gap: Duration,
    until: Instant,
}

impl Repeat {
    pub(crate) fn new(now: Instant, bytes: Vec<u8>, to: SocketAddr) -> Self {
        Self { bytes, to, next: now + T1, gap: T1, until: now + GIVE_UP }
    }

    pub(crate) fn expired(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Is it time again? Then the next time is set: gaps double up to `longest`.
    pub(crate) fn due(&mut self, now: Instant, longest: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.gap = (self.gap * 2).min(longest);
            self.next = now + self.gap;
        }
        due
    }
}

/// What both sides agreed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Agreement {
    pub(crate) peer: SocketAddr,
    pub(crate) payloads: Payloads,
    /// Is there RTCP on the port of RTP?
    pub(crate) reports: bool,
    /// Every so manieth packet is missed.
    pub(crate) misses: u64,
    /// May we speak?
    pub(crate) speak: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    /// Our address with our tag, as it stands in From of our requests.
    pub(crate) ours: String,
    /// Theirs, with their tag once it is known.
    pub(crate) theirs: String,
    pub(crate) our_tag: String,
    pub(crate) their_tag: Option<String>,
    pub(crate) target: String,
    pub(crate) routes: Vec<String>,
    /// Where requests go if neither route nor target is an address.
    pub(crate) source: SocketAddr,
    pub(crate) stage: Stage,
    pub(crate) our_cseq: u32,
    pub(crate) their_cseq: u32,
    /// The INVITE that called us, or that we called with.
    pub(crate) invite: Vec<u8>,
    pub(crate) offer: Option<Description>,
    pub(crate) agreement: Option<Agreement>,
    pub(crate) description: Ours,
    pub(crate) misses: u64,
    pub(crate) steps: VecDeque<(Instant, Step)>,
    /// Our final response, until its ACK comes.
    pub(crate) repeat: Option<Repeat>,
    /// Our ACK to their 200, for when the 200 comes again.
    pub(crate) acknowledgement: Option<(Vec<u8>, SocketAddr)>,
}

/// The steps of a script at the times when they are due.
pub(crate) fn schedule(script: &Script, now: Instant) -> VecDeque<(Instant, Step)> {
    script.steps.iter().map(|(after, step)| (now + *after, step.clone())).collect()
}

/// The codec for an offer: the first of the caller's that the phone accepts, and telephone-event in its clock.
pub(crate) fn choose(script: &Script, offer: &Description) -> Option<Payloads> {
    let (codec, payload_type) =
        offer.codecs.iter().copied().find(|(codec, _)| script.codecs.contains(codec))?;
    let event_type = if codec.clock_rate() == RATE { offer.event_type } else { offer.wide_event_type };
    Some(Payloads { codec, payload_type, event_type: event_type.filter(|_| script.keys) })
}

impl Call {
    /// The call that an INVITE brings.
    pub(crate) fn from_invite(
        invite: &Message<'_>,
        bytes: &[u8],
        at: (Instant, SocketAddr),
        own: Own<'_>,
    ) -> Self {
        let (now, source) = at;
        let plain = |name| invite.header(name).unwrap_or_default().to_owned();
        Self {
            id: invite.call_id().to_owned(),
            ours: format!("{};tag={}", plain(Name::To), own.tag),
            theirs: plain(Name::From),
            our_tag: own.tag,
            their_tag: invite.from().tag().map(str::to_owned),
            target: contact(invite).unwrap_or_default(),
            routes: invite.record_routes().flatten().map(|route| route.to_string()).collect(),
            source,
            stage: Stage::Invited,
            our_cseq: 0,
            their_cseq: invite.cseq().number,
            invite: bytes.to_vec(),
            offer: None,
            agreement: None,
            description: own.description,
            misses: own.script.misses,
            steps: schedule(own.script, now),
            repeat: None,
            acknowledgement: None,
        }
    }

    /// Is a request part of this dialog?
    pub(crate) fn owns(&self, request: &Message<'_>) -> bool {
        request.call_id() == self.id
            && request.to().tag() == Some(self.our_tag.as_str())
            && request.from().tag() == self.their_tag.as_deref()
    }

    /// A request within the dialog, and where it goes. The caller adds what is special, and the body.
    pub(crate) fn request(
        &self,
        method: Method<'_>,
        cseq: u32,
        via: impl std::fmt::Display,
    ) -> (Builder, SocketAddr) {
        let mut builder =
            Builder::request(method, &self.target).header(Name::Via, via).header(Name::MaxForwards, 70);
        for route in &self.routes {
            builder = builder.header(Name::Route, route);
        }
        let builder = builder
            .header(Name::From, &self.ours)
            .header(Name::To, &self.theirs)
            .header(Name::CallId, &self.id)
            .header(Name::CSeq, format_args!("{cseq} {method}"));
        (builder, self.next_hop())
    }

    /// The first route, or the target. Names are not looked up: their packets go back where the INVITE came from.
    fn next_hop(&self) -> SocketAddr {
        let route =
            self.routes.first().and_then(|route| NameAddress::parse(route).ok().map(|route| route.uri));
        let uri = route.or_else(|| Uri::parse(&self.target).ok());
        match uri.and_then(|uri| Some((uri.host()?, uri.port()))) {
            Some((Host::Ip(ip), port)) => SocketAddr::new(ip, port.unwrap_or(5060)),
            _ => self.source,
        }
    }

    /// Accepts an offer; none if no codec is common.
    pub(crate) fn agree(&mut self, script: &Script, offer: &Description) -> Option<Agreement> {
        Some(self.settle(offer, choose(script, offer)?))
    }

    /// Takes in the answer to our offer; none if it has no codec of ours.
    pub(crate) fn take_answer(&mut self, script: &Script, answer: &Description) -> Option<Agreement> {
        Some(self.settle(answer, choose(script, answer)?))
    }

    fn settle(&mut self, theirs: &Description, payloads: Payloads) -> Agreement {
        let speak = theirs.direction.receive && self.description.direction.send;
        let misses = self.misses;
        let reports = theirs.muxed && self.description.muxed;
        let agreement = Agreement { peer: theirs.address, payloads, reports, misses, speak };
        self.agreement = Some(agreement);
        agreement
    }

    /// Our answer to an offer that was agreed to.
    pub(crate) fn answer(&self, offer: &Description, agreement: Agreement) -> String {
        let Direction { send, receive } = self.description.direction;
        let direction =
            Direction { send: send && offer.direction.receive, receive: receive && offer.direction.send };
        let ours = Ours { direction, ..self.description.clone() };
        ours.answer(offer, agreement.payloads)
    }

    /// Our offer.
    pub(crate) fn our_offer(&self, script: &Script) -> String {
        self.description.offer(&script.codecs, script.keys.then_some(script.event_type))
    }
}

/// What a call has from its phone.
pub(crate) struct Own<'a> {
    pub(crate) tag: String,
    pub(crate) description: Ours,
    pub(crate) script: &'a Script,
}

/// The URI of the first Contact.
pub(crate) fn contact(message: &Message<'_>) -> Option<String> {
    message.contacts().next()?.ok().map(|contact| contact.uri.to_string())
}
