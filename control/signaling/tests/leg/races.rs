//! A leg and a party by the book over a network that loses, doubles and reorders: whatever happens, each leg
//! ends, says its outcome once, and leaves no dialog behind that it knows of.

use std::collections::BTreeSet;
use std::time::Duration;

use duogate_channel::time::Instant;
use duogate_signaling::leg::{Identity, Input, Leg, Output};
use duogate_signaling::message::Message;
use proptest::prelude::*;

use crate::call::{a_dial, party_path};
use crate::party::{Party, Pattern};
use crate::text::Text;

/// One case.
#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    pattern: Pattern,
    /// Lost datagrams, in percent.
    loss: u64,
    /// Doubled datagrams, in percent.
    doubled: u64,
    /// Longest delay of a datagram.
    delay_milliseconds: u64,
    /// When the application's side gives up or hangs up.
    release_milliseconds: u64,
    /// When the party hangs up after its 200.
    hangs_up_milliseconds: Option<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let pattern = prop::sample::select(Pattern::ALL.to_vec());
    let loss = prop_oneof![Just(0_u64), 0_u64..60];
    let hangs_up = prop::option::of(0_u64..8_000);
    let release = prop_oneof![Just(120_000), 0_u64..6_000];
    (any::<u64>(), pattern, loss, 0_u64..40, 1_u64..900, release, hangs_up).prop_map(
        |(seed, pattern, loss, doubled, delay_milliseconds, release_milliseconds, hangs_up_milliseconds)| {
            Case {
                seed,
                pattern,
                loss,
                doubled,
                delay_milliseconds,
                release_milliseconds,
                hangs_up_milliseconds,
            }
        },
    )
}

struct World {
    case: Case,
    random: u64,
    now: Instant,
    leg: Leg,
    party: Party,
    /// Datagrams on their way: when, towards the leg, what.
    network: Vec<(Instant, bool, Vec<u8>)>,
    release_at: Option<Instant>,
    said: Vec<Output>,
    /// Tags whose 2xx reached the leg; whose ACK left it; whose BYE went either way.
    answered: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    ended: BTreeSet<String>,
    heard_provisional: bool,
}

impl World {
    fn new(case: Case) -> Self {
        let now = Instant::from_nanoseconds(1_000_000_000);
        let leg = Leg::dial(now, a_dial(), Identity { call_id: 1, tag: 2, branch: 3 });
        let party = Party::new(case.pattern, case.hangs_up_milliseconds.map(Duration::from_millis));
        let release_at = Some(now + Duration::from_millis(case.release_milliseconds));
        let mut world = Self {
            random: case.seed | 1,
            case,
            now,
            leg,
            party,
            network: Vec::new(),
            release_at,
            said: Vec::new(),
            answered: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            ended: BTreeSet::new(),
            heard_provisional: false,
        };
        world.drain();
        world
    }

    /// xorshift: all that the network does follows from the seed.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn post(&mut self, to_leg: bool, bytes: &[u8]) {
        if self.draw(100) < self.case.loss {
            return;
        }
        let copies = if self.draw(100) < self.case.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let delay = Duration::from_millis(1 + self.draw(self.case.delay_milliseconds));
            self.network.push((self.now + delay, to_leg, bytes.to_vec()));
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.leg.poll_output() {
            match output {
                Output::Send { bytes, .. } => self.sent(&bytes),
                other => self.said.push(other),
            }
        }
        for bytes in std::mem::take(&mut self.party.to_send) {
            self.post(true, &bytes);
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        let message = Text::read(bytes);
        let tag = message.to_tag().to_owned();
        match message.kind() {
            "CANCEL" => assert!(self.heard_provisional, "CANCEL before a provisional response"),
            "ACK" => self.acknowledged.extend([tag]),
            "BYE" => self.ended.extend([tag]),
            _ => {}
        }
        self.post(false, bytes);
    }

    fn arrive(&mut self, to_leg: bool, bytes: &[u8]) {
        let text = Text::read(bytes);
        if !to_leg {
            self.party.receive(self.now, &text);
            return;
        }
        match text.kind() {
            _ if self.leg.is_gone() => {}
            "BYE" => self.ended.extend([text.sender_tag().to_owned()]),
            "200" if text.cseq_method() == "INVITE" => self.answered.extend([text.to_tag().to_owned()]),
            "100" | "180" | "183" => self.heard_provisional = true,
            _ => {}
        }
        let message = Message::parse(bytes).expect("a message");
        self.leg.handle(self.now, Input::Received { path: party_path(), message: &message });
    }

    /// The next thing that happens; false when nothing will.
    fn step(&mut self) -> bool {
        let mail = self.network.iter().map(|(at, ..)| *at).min();
        let deadlines = [mail, self.release_at, self.leg.next_deadline(), self.party.next_deadline()];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        if let Some(place) = self.network.iter().position(|(at, ..)| *at <= self.now) {
            let (_, to_leg, bytes) = self.network.remove(place);
            self.arrive(to_leg, &bytes);
        } else if self.release_at.is_some_and(|at| at <= self.now) {
            self.release_at = None;
            self.leg.handle(self.now, Input::Release { cause: 408 });
        }
        self.leg.handle(self.now, Input::Tick);
        self.party.advance(self.now);
        self.drain();
        true
    }

    fn run(&mut self) {
        for _ in 0..20_000 {
            if !self.step() {
                return;
            }
        }
        panic!("no end at {:?}: {:?}", self.now, self.leg);
    }

    fn check(&self) {
        assert!(self.leg.is_gone(), "{:?}", self.leg);
        assert_eq!(self.leg.next_deadline(), None);
        let decides = |output: &&Output| matches!(output, Output::Answered { .. } | Output::Failed { .. });
        assert_eq!(self.said.iter().filter(decides).count(), 1, "{:?}", self.said);
        let decided = self.said.iter().position(|output| decides(&output)).expect("an outcome");
        let later = self.said[decided + 1..].iter();
        assert!(
            later.clone().all(|output| matches!(output, Output::Ended { .. } | Output::Gone)),
            "{:?}",
            self.said
        );
        let ends = later.filter(|output| matches!(output, Output::Ended { .. })).count();
        let answered = matches!(self.said[decided], Output::Answered { .. });
        assert!(ends <= usize::from(answered), "{:?}", self.said);
        let gone = self.said.iter().filter(|output| **output == Output::Gone).count();
        assert_eq!((gone, self.said.last()), (1, Some(&Output::Gone)));
        // No answer that reached us is left without ACK, and no dialog without BYE.
        assert!(self.answered.is_subset(&self.acknowledged), "{:?} {:?}", self.answered, self.acknowledged);
        assert!(self.answered.is_subset(&self.ended), "{:?} {:?}", self.answered, self.ended);
        if self.case.loss == 0 {
            assert!(self.party.open.is_empty(), "the party still believes in {:?}", self.party.open);
            assert!(self.party.is_at_rest());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_network_does_each_leg_ends_as_it_should(case in case()) {
        let mut world = World::new(case);
        world.run();
        world.check();
    }

    #[test]
    fn whatever_is_spoiled_on_the_way_nothing_breaks(
        pick in 0_usize..8,
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
        early in any::<bool>(),
    ) {
        spoiled(pick, &spoils, early);
    }

    #[test]
    fn whatever_arrives_in_whatever_order_the_leg_stays_sane(
        picks in prop::collection::vec((0_usize..22, 1_u32..6, 0_usize..3), 0..40),
        release in 0_usize..40,
    ) {
        babble(&picks, release);
    }
}

/// A party that says anything at any time; then the application's side hangs up, and the party is silent.
fn babble(picks: &[(usize, u32, usize)], release: usize) {
    use crate::text::{Reply, request, response};
    const METHODS: [&str; 11] =
        ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "DANCE"];
    const STATUSES: [u16; 11] = [100, 180, 183, 200, 202, 302, 401, 486, 487, 503, 603];
    let (mut call, invite) = crate::call::Call::dial();
    let sdp = crate::call::plain_sdp();
    for (step, (pick, cseq, tag)) in picks.iter().enumerate() {
        let tag = ["one", "two", "three"][*tag];
        let sdp = if cseq % 2 == 0 { sdp.as_str() } else { "" };
        if step == release {
            call.release(200);
        }
        match METHODS.get(*pick) {
            Some(method) => call.deliver(&request(&invite, method, *cseq, tag, &[], sdp)),
            None => {
                let reply = Reply { tag, contact: crate::call::CONTACT, headers: &[], sdp };
                call.deliver(&response(&invite, STATUSES[*pick - METHODS.len()], &reply));
            }
        }
        call.elapse(Duration::from_millis(u64::from(*cseq) * 300));
    }
    call.release(200);
    call.elapse(Duration::from_secs(300));
    assert!(call.leg.is_gone(), "{:?}", call.leg);
    let count = |wanted: fn(&Output) -> bool| call.said.iter().filter(|output| wanted(output)).count();
    assert_eq!(count(|output| matches!(output, Output::Answered { .. } | Output::Failed { .. })), 1);
    assert_eq!(count(|output| *output == Output::Gone), 1);
    assert_eq!(call.said.last(), Some(&Output::Gone));
}

/// A good message of the party with some octets changed, taken out or put in. Whatever the leg sends after that
/// is still a message (`Text::read` checks it), and the leg still ends.
fn spoiled(pick: usize, spoils: &[(prop::sample::Index, u8, u8)], early: bool) {
    use crate::text::{Reply, request, response};
    let (mut call, invite) = if early { crate::call::Call::dial() } else { crate::call::Call::answered() };
    let sdp = crate::call::plain_sdp();
    let routes =
        ["Record-Route: <sip:10.0.0.2;lr>, \"a\" <sip:10.0.0.1>;x=y", "Require: 100rel", "Retry-After: 5"];
    let reply = Reply { tag: "one", contact: crate::call::CONTACT, headers: &routes, sdp: &sdp };
    let mut bytes = match pick {
        0 => response(&invite, 183, &reply),
        1 => response(&invite, 200, &reply),
        2 => response(&invite, 503, &reply),
        3 => request(&invite, "INVITE", 1, "one", &["Subject: x"], &sdp),
        4 => request(&invite, "BYE", 1, "one", &["Reason: SIP;cause=480"], ""),
        5 => request(&invite, "INFO", 1, "one", &["Info-Package: x"], ""),
        6 => request(&invite, "DANCE", 1, "one", &routes, ""),
        _ => request(&invite, "UPDATE", 1, "one", &[], &sdp),
    };
    for (place, byte, how) in spoils {
        let at = place.index(bytes.len());
        match how {
            0 => bytes[at] = *byte,
            1 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, *byte),
        }
    }
    // What the endpoint does: only what can be read, and has the leg's Call-ID, gets here.
    if Message::parse(&bytes).is_ok_and(|message| message.call_id() == call.leg.call_id()) {
        call.deliver(&bytes);
    }
    call.release(200);
    call.elapse(Duration::from_secs(300));
    assert!(call.leg.is_gone(), "{:?}", call.leg);
}
