//! A network that loses, doubles, delays and reorders, and the clock that everything in the world goes by.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::time::Instant;
use duogate_media::{Socket, Take};
use duogate_signaling::endpoint::{LocateFailure, Query};

use crate::random::Random;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Occurrence {
    /// A SIP datagram reaches Duogate.
    SipToUs { from: SocketAddr, bytes: Vec<u8> },
    /// A SIP datagram reaches a party.
    SipToParty { to: SocketAddr, bytes: Vec<u8> },
    /// An RTP datagram reaches one of our ports.
    RtpToUs { from: SocketAddr, port: u16, bytes: Vec<u8> },
    /// An RTP datagram from one of our ports reaches somebody.
    RtpToParty { port: u16, to: SocketAddr, bytes: Vec<u8> },
    /// A party does the next thing on its list.
    Party { party: usize, wake: Wake },
    /// A command reaches the gateway that is the `life`-th.
    Command { life: u32, command: Command },
    /// An event of the gateway reaches the control plane.
    Event { life: u32, event: Event },
    /// The kernel has opened a port.
    Bound { life: u32, socket: Socket },
    /// The writer has finished a file.
    Written { life: u32, take: Take, samples: u64 },
    /// The application does something.
    Application { call: usize, deed: Deed },
    /// The application starts or stops an action.
    Act { call: usize },
    /// A stranger sends something.
    Stranger,
    /// The gateway dies.
    GatewayDies,
    /// The control plane notices that.
    GatewayMissed,
    /// A new gateway attaches.
    GatewayReturns,
    /// The control plane dies, if all that goes on are conversations, and the next one takes its place.
    ControlDies { tries: u32 },
    /// The next control plane attaches to the gateway that lives.
    ControlAttaches,
    /// The gateway that is the `life`-th has been handed all sounds and files.
    Furnished { life: u32 },
    /// A host name has been looked up, for nothing or with these addresses.
    Located { reign: u32, query: Query, places: Result<Vec<SocketAddr>, LocateFailure> },
    /// A server dies.
    ServerDies { server: usize },
    /// It comes back.
    ServerReturns { server: usize },
    /// It wants no more calls for so many seconds.
    ServerBusy { server: usize, seconds: u32 },
    /// The system says that nobody is there.
    Unreachable { to: SocketAddr },
    /// Names lead elsewhere from now on.
    NamesChange,
    /// What is said of trunks and of long calls is held against what is so.
    Inspect,
    /// We take our registrations back.
    LeaveTrunks,
}

/// What a party says again until somebody answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    /// The final response to the INVITE.
    Final,
    /// The 200 of another branch, by its tag.
    Also(u8),
    /// A reliable provisional response.
    Reliable { tag: u8, rseq: u32 },
    /// The 200 to an INVITE of Duogate's in mid-call.
    Again { cseq: u32 },
    /// A request of its own.
    Request { cseq: u32 },
}

/// What a party set itself to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wake {
    /// The step of its script with this number.
    Step { call: usize, step: usize },
    /// Send something again, after so many times.
    Resend { call: usize, key: Key, sent: u8 },
    /// Refresh the session, or see that nobody has.
    Session { call: usize, generation: u32 },
    /// Say something.
    Speak,
}

/// What an application does to a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    Construct,
    /// The journal has the first note, or could not write it.
    Noted {
        durable: bool,
    },
    Cancel,
    Drop,
    Look,
}

/// Percentages, and the span of delays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) delay_milliseconds: (u64, u64),
}

/// All that is going to happen, in order.
#[derive(Default)]
pub(crate) struct Schedule {
    order: u64,
    queue: BTreeMap<(Instant, u64), Occurrence>,
}

impl Schedule {
    pub(crate) fn at(&mut self, when: Instant, occurrence: Occurrence) {
        self.order += 1;
        self.queue.insert((when, self.order), occurrence);
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((when, _), _)| *when)
    }

    pub(crate) fn take(&mut self) -> Option<Occurrence> {
        self.queue.pop_first().map(|(_, occurrence)| occurrence)
    }

    /// Sends it over the network: never, once or twice, each time after its own delay.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        random: &mut Random,
        weather: Weather,
        occurrence: &Occurrence,
    ) {
        if random.chance(weather.loss) {
            return;
        }
        let copies = if random.chance(weather.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            let (low, high) = weather.delay_milliseconds;
            let delay = Duration::from_millis(random.between(low, high));
            self.at(now + delay, occurrence.clone());
        }
    }
}
