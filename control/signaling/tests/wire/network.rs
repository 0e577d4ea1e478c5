//! Two layers and a bad network between them: whatever is lost, doubled or late, each keeps its promises.

use duogate_channel::time::Instant;
use duogate_signaling::message::{Message, Method};
use duogate_signaling::transaction::{ClientId, Delivery, Layer, Output, ServerId, Settings};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::transactions::{UDP, at, outputs, request, response};

/// What happens to one datagram: how many copies arrive, and how late each is in milliseconds.
type Fate = Vec<u64>;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Side {
    Client,
    Server,
}

#[derive(Default, Debug)]
struct Record {
    finals_delivered: u32,
    timed_out: u32,
    client_ended: u32,
    requests_delivered: u32,
    unacknowledged: u32,
    server_ended: u32,
    sent: u32,
}

struct World {
    client: Layer,
    server: Layer,
    id: ClientId,
    served: Option<ServerId>,
    code: u16,
    /// By arrival; the number keeps the order of those that arrive together.
    network: BTreeMap<(Instant, u32), (Side, Vec<u8>)>,
    fates: std::vec::IntoIter<Fate>,
    record: Record,
}

impl World {
    fn new(method: Method<'_>, code: u16, fates: Vec<Fate>) -> Self {
        let mut client = Layer::new(Settings::default());
        let id = client.request(at(0), UDP, request(method, "z9hG4bK1", 1)).expect("begun");
        Self {
            client,
            server: Layer::new(Settings::default()),
            id,
            served: None,
            code,
            network: BTreeMap::new(),
            fates: fates.into_iter(),
            record: Record::default(),
        }
    }

    fn send(&mut self, now: Instant, to: Side, bytes: &[u8]) {
        // Once the fates are told, the network is good.
        for delay in self.fates.next().unwrap_or_else(|| vec![10]) {
            self.record.sent += 1;
            let key = (now + Duration::from_millis(delay), self.record.sent);
            self.network.insert(key, (to, bytes.to_vec()));
        }
    }

    fn drain(&mut self, now: Instant) {
        for output in outputs(&mut self.client) {
            match output {
                Output::Send { bytes, .. } => self.send(now, Side::Server, &bytes),
                Output::TimedOut(_) => {
                    assert_eq!(self.record.finals_delivered, 0, "who was answered is not told otherwise");
                    self.record.timed_out += 1;
                }
                Output::ClientEnded(_) => self.record.client_ended += 1,
                other => panic!("{other:?} from a client"),
            }
        }
        for output in outputs(&mut self.server) {
            match output {
                Output::Send { bytes, .. } => self.send(now, Side::Client, &bytes),
                Output::Unacknowledged(_) => self.record.unacknowledged += 1,
                Output::ServerEnded(_) => self.record.server_ended += 1,
                other => panic!("{other:?} from a server"),
            }
        }
    }

    fn arrive(&mut self, now: Instant, side: Side, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("valid");
        match side {
            Side::Client => match self.client.receive(now, &message) {
                Delivery::Response(id) => {
                    assert_eq!(id, self.id);
                    let status = message.status().expect("a response");
                    self.record.finals_delivered += u32::from(!status.is_provisional());
                    if status.is_success() && message.method() == Method::Invite {
                        let ack = request(Method::Ack, "z9hG4bKack", 1);
                        self.send(now, Side::Server, &ack);
                    }
                }
                Delivery::Absorbed | Delivery::Stray => {}
                other => panic!("{other:?} for a client"),
            },
            Side::Server => match self.server.receive(now, &message) {
                Delivery::Request => {
                    self.record.requests_delivered += 1;
                    let id = self.server.accept(now, UDP, &message).expect("begun");
                    self.served = Some(id);
                    self.server.respond(now, id, response(bytes, self.code, "b")).expect("taken");
                }
                Delivery::Acknowledgement => {
                    self.server.acknowledged(now, self.served.expect("there was an INVITE"));
                }
                Delivery::Absorbed => {}
                other => panic!("{other:?} for a server"),
            },
        }
    }

    /// Runs until nothing is left to happen.
    fn run(mut self) -> Record {
        let mut now = at(0);
        self.drain(now);
        loop {
            let arrival = self.network.keys().next().map(|(when, _)| *when);
            let deadlines = [self.client.next_deadline(), self.server.next_deadline(), arrival];
            let Some(next) = deadlines.into_iter().flatten().min() else { break };
            assert!(next >= now, "time runs forward");
            now = next;
            if arrival == Some(now) {
                let (_, (side, bytes)) = self.network.pop_first().expect("looked at");
                self.arrive(now, side, &bytes);
            } else {
                self.client.advance(now);
                self.server.advance(now);
            }
            self.drain(now);
            assert!(self.record.sent < 300, "no storm: {:?}", self.record);
        }
        assert!(self.client.is_empty() && self.server.is_empty(), "nothing stays behind");
        self.record
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    // Later than the gap between timers 31.5 s and 32 s would be beyond what T1 and T4 promise.
    let delay = 0_u64..400;
    let fate = prop_oneof![
        3 => Just(Vec::new()),
        4 => delay.clone().prop_map(|delay| vec![delay]),
        2 => proptest::collection::vec(delay, 2..4),
    ];
    proptest::collection::vec(fate, 0..30)
}

proptest! {
    #[test]
    fn every_transaction_ends_once_and_says_how(
        fates in fates(),
        (method, code) in prop_oneof![
            Just((Method::Invite, 200)), Just((Method::Invite, 486)), Just((Method::Bye, 200)), Just((Method::Options, 404)),
        ],
    ) {
        let lossless = fates.iter().all(|fate| !fate.is_empty());
        let record = World::new(method, code, fates).run();
        prop_assert_eq!(record.client_ended, 1);
        prop_assert!(record.requests_delivered <= 1, "the server's user sees it once: {record:?}");
        prop_assert_eq!(record.server_ended, record.requests_delivered);
        if (method, code) == (Method::Invite, 200) {
            // A 200 that comes after the time-out is still delivered, so that the call can be ended.
            prop_assert!(record.timed_out <= 1 && record.timed_out + record.finals_delivered >= 1, "{:?}", record);
        } else {
            prop_assert_eq!(record.timed_out + record.finals_delivered, 1, "one word and one only: {:?}", record);
        }
        if lossless {
            prop_assert_eq!((record.timed_out, record.unacknowledged), (0, 0));
        }
    }
}

#[test]
fn a_network_that_takes_all_ends_in_a_time_out() {
    let record = World::new(Method::Invite, 200, vec![Vec::new(); 30]).run();
    assert_eq!((record.timed_out, record.client_ended, record.requests_delivered), (1, 1, 0));
}

#[test]
fn an_answer_that_comes_after_the_time_out_is_still_delivered() {
    // The seventh INVITE, half a second before the time-out, is the first that comes through; the first 200 is lost.
    let mut fates = vec![Vec::new(); 6];
    fates.extend([vec![0], Vec::new()]);
    let record = World::new(Method::Invite, 200, fates).run();
    assert_eq!(
        (record.timed_out, record.finals_delivered.min(1), record.unacknowledged),
        (1, 1, 0),
        "{record:?}"
    );
}
