//! One leg and the script of its party, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;
use duogate_signaling::leg::{Assertion, Dial, Identity, Input, Leg, MediaOffer, Output};
use duogate_signaling::message::{Message, UriBuf};
use duogate_signaling::sdp::KeyWay;
use duogate_signaling::transaction::{Listener, Local, Path, Place, Question, Settings, Transport};

use crate::text::{self, Reply, Text};

/// Where the party is.
pub(crate) const PARTY: &str = "192.0.2.20:5060";
/// The party's Contact.
pub(crate) const CONTACT: &str = "sip:party@192.0.2.20:5060";

/// A session description that anyone can use.
pub(crate) fn plain_sdp() -> String {
    text::sdp("192.0.2.21", 40_000, "8 101", "sendrecv")
}

/// A leg under test.
pub(crate) struct Call {
    pub(crate) leg: Leg,
    pub(crate) now: Instant,
    /// Datagrams sent and not yet looked at.
    pub(crate) sent: Vec<(Path, Text)>,
    /// Everything else that the leg said and nobody looked at.
    pub(crate) said: Vec<Output>,
    /// Hosts that are being looked for.
    pub(crate) asked: Vec<Question>,
}

/// From us to the party.
pub(crate) fn party_path() -> Path {
    let address = PARTY.parse().expect("an address");
    Path { listener: Listener(0), transport: Transport::Udp, address }
}

/// Our sockets: one of each transport.
pub(crate) fn exits() -> [Local; 3] {
    [(Transport::Udp, 5060), (Transport::Tcp, 5070), (Transport::Tls, 5061)]
        .map(|(transport, port)| Local { transport, address: SocketAddr::from(([192, 0, 2, 10], port)) })
}

pub(crate) fn a_dial() -> Dial {
    Dial {
        target: UriBuf::parse("sip:1389@192.0.2.20:5060").expect("a URI"),
        path: party_path(),
        wide: None,
        exits: exits().into(),
        caller: UriBuf::parse("sip:4711@192.0.2.10").expect("a URI"),
        local: "192.0.2.10:5060".parse().expect("an address"),
        offer: MediaOffer {
            address: "192.0.2.11:20000".parse().expect("an address"),
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            keys: KeyWay::Any,
            own_keys: None,
        },
        user_agent: "Duogate".into(),
        login: None,
        assertion: Assertion::default(),
        session: None,
        timers: Settings::default(),
    }
}

impl Call {
    /// Dials, and gives the INVITE too.
    pub(crate) fn dial() -> (Self, Text) {
        Self::dial_with(|_| {})
    }

    /// The same with a dial that differs.
    pub(crate) fn dial_with(change: impl FnOnce(&mut Dial)) -> (Self, Text) {
        let now = Instant::from_nanoseconds(1_000_000_000);
        let identity = Identity { call_id: 0xC0FFEE, tag: 0x7A6, branch: 0xB4A };
        let mut dial = a_dial();
        change(&mut dial);
        let leg = Leg::dial(now, dial, identity);
        let mut call = Self { leg, now, sent: Vec::new(), said: Vec::new(), asked: Vec::new() };
        call.drain();
        let invite = call.one("INVITE");
        (call, invite)
    }

    /// A call that was answered, with the 200's ACK looked at: the leg, the INVITE.
    pub(crate) fn answered() -> (Self, Text) {
        let (mut call, invite) = Self::dial();
        call.answer(&invite, 200, "one", &plain_sdp());
        call.one("ACK");
        assert!(matches!(call.said.as_slice(), [Output::Answered { .. }]), "{:?}", call.said);
        call.said.clear();
        (call, invite)
    }

    /// The party answers a request.
    pub(crate) fn answer(&mut self, request: &Text, status: u16, tag: &str, sdp: &str) {
        self.deliver(&text::response(request, status, &Reply { tag, contact: CONTACT, headers: &[], sdp }));
    }

    /// A datagram arrives from the party.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("a message");
        self.leg.handle(self.now, Input::Received { path: party_path(), message: &message });
        self.drain();
    }

    /// The host that is being looked for is at these places.
    pub(crate) fn located(&mut self, places: &[(Transport, &str)]) {
        let question = self.asked.remove(0);
        let place = |(transport, address): &(Transport, &str)| Place {
            transport: *transport,
            address: address.parse().expect("an address"),
        };
        let places: Vec<Place> = places.iter().map(place).collect();
        self.leg.handle(self.now, Input::Located { question: &question, places: &places });
        self.drain();
    }

    /// The application's side gives up.
    pub(crate) fn release(&mut self, cause: u16) {
        self.leg.handle(self.now, Input::Release { cause });
        self.drain();
    }

    /// The shell says that nothing can be sent to that address.
    pub(crate) fn unreachable(&mut self, address: &str) {
        let address = address.parse().expect("an address");
        self.leg.handle(self.now, Input::Unreachable { path: Path { address, ..party_path() } });
        self.drain();
    }

    /// Time passes, and every deadline on the way is kept.
    pub(crate) fn elapse(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.leg.next_deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline >= self.now || deadline.nanoseconds() > 0, "a deadline");
            self.now = self.now.max(deadline);
            self.leg.handle(self.now, Input::Tick);
            self.drain();
        }
        self.now = end;
    }

    /// The only datagram sent since the last look; it must be of this method, or this status.
    pub(crate) fn one(&mut self, kind: &str) -> Text {
        let mut sent = self.take(kind);
        assert_eq!(sent.len(), 1, "one {kind}");
        sent.remove(0)
    }

    /// The datagrams sent since the last look, all of this method or status.
    pub(crate) fn take(&mut self, kind: &str) -> Vec<Text> {
        let kinds: Vec<String> = self.sent.iter().map(|(_, text)| text.kind().to_owned()).collect();
        assert!(kinds.iter().all(|other| other == kind), "sent {kinds:?}, expected only {kind}");
        self.sent.drain(..).map(|(_, text)| text).collect()
    }

    /// Everything sent since the last look: methods and statuses.
    pub(crate) fn kinds(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|(_, text)| text.kind().to_owned()).collect()
    }

    /// Nothing was sent and nothing said.
    pub(crate) fn silent(&self) {
        assert!(self.sent.is_empty(), "sent {:?}", self.sent);
        assert!(self.said.is_empty(), "said {:?}", self.said);
    }

    /// Time passes until the leg is gone; nothing but `Gone` may be said, and it comes last.
    pub(crate) fn ends(&mut self) {
        self.elapse(Duration::from_secs(200));
        assert!(self.leg.is_gone(), "the leg should be gone: {:?}", self.leg);
        assert_eq!(self.said, [Output::Gone]);
        assert_eq!(self.leg.next_deadline(), None);
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                Output::Send { path, bytes } => self.sent.push((path, Text::read(&bytes))),
                Output::Locate { question } => self.asked.push(question),
                other => self.said.push(other),
            }
        }
    }
}
