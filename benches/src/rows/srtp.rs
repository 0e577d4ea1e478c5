//! Pairs whose party 1 speaks SRTP and party 2 plain RTP: what encrypting and checking costs beside plain forwarding and
//! beside rtpengine, which does the same, in the same run.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

use duogate_channel::srtp::{Master, MasterKeys, Suite};
use duogate_srtp::{Incoming, Outgoing};

use crate::awake::Awake;
use crate::clock;
use crate::datagrams::{Arrival, send};
use crate::gateway::Gateway;
use crate::generator::Generator;
use crate::paced::{self, Load, Run, Spoiled};
use crate::process::{Process, remark};
use crate::rows::MEASURED_CORE;
use crate::rtp::{self, Packet};
use crate::rtpengine::Rtpengine;
use crate::table::{Table, microseconds};

/// How party 1's packets are protected; nothing: plain forwarding, for comparison.
const WAYS: [Option<Suite>; 3] = [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AeadAes128Gcm)];

/// Octets of the master key of the generator, and of the gateway's: any will do, where nobody listens.
const MASTERS: [u8; 2] = [0x11, 0x22];

/// The two legs of a pair, and the keys of the first as its far end has them.
struct Legs {
    ports: [SocketAddrV4; 2],
    keys: Option<MasterKeys>,
}

/// One direction of one pair, from the generator and back to it.
struct Stream {
    to: SocketAddrV4,
    packet: Packet,
    seal: Option<Outgoing>,
    /// Opens what the *other* party says: it comes from where this one sends to.
    open: Option<Incoming>,
}

/// All streams, party 1's and party 2's of a pair beside each other, and where each comes back from.
struct Pairs {
    streams: Vec<Stream>,
    places: HashMap<SocketAddrV4, usize>,
}

/// Runs `pairs` pairs for `duration` through each, in each way.
///
/// # Errors
/// The system's and the gateway's; rtpengine's absence is told and it is left out.
pub fn run(pairs: usize, duration: Duration, folder: &Path) -> io::Result<Table> {
    let _awake = Awake::keep(MEASURED_CORE)?;
    let mut table = Table::default();
    let mut plain = None;
    for way in WAYS {
        let name = way.map_or("plain RTP", Suite::name);
        let ours = duogate(pairs, way, duration, folder)?;
        tell(&mut table, "Duogate", name, pairs, &ours);
        let whole = ours.sent == ours.received;
        let verdict = format!("{} lost, {} spoiled of {}", lost(&ours), ours.spoiled, ours.sent);
        table.judged(&format!("{pairs} pairs {name}: lost inside Duogate"), verdict, "0", whole);
        let plain = *plain.get_or_insert(ours.cost);
        if way.is_some() {
            let ratio = ours.cost / plain;
            let what = format!("{pairs} pairs {name}: CPU a packet, Duogate / Duogate with plain RTP");
            table.ratio_told(&what, format!("{ratio:.2}"));
            table.raw(format!("secured.{name}.to_plain.ratio"), ratio);
        }
        match rtpengine(pairs, way, duration, folder) {
            Ok(theirs) => {
                tell(&mut table, "rtpengine", name, pairs, &theirs);
                let ratio = ours.cost / theirs.cost;
                let what = format!("{pairs} pairs {name}: CPU a packet, Duogate / rtpengine");
                table.ratio_told(&what, format!("{ratio:.2}"));
                table.raw(format!("secured.{name}.to_rtpengine.ratio"), ratio);
            }
            Err(error) => remark(&format!("rtpengine left out with {name}: {error}")),
        }
    }
    Ok(table)
}

fn tell(table: &mut Table, who: &str, name: &str, pairs: usize, run: &Run) {
    let [p50, p99, worst] = run.delay;
    table.told(
        &format!("{who}, {pairs} pairs {name} to plain and back"),
        format!(
            "{:.2} µs CPU a packet; delay p50 {}, p99 {}, worst {}; lost {} of {}, spoiled {}",
            run.cost / 1000.0,
            microseconds(p50),
            microseconds(p99),
            microseconds(worst),
            lost(run),
            run.sent,
            run.spoiled
        ),
    );
    let key = format!("secured.{name}.{}", who.to_lowercase());
    table.raw(format!("{key}.cpu_ns_per_packet"), run.cost);
    #[allow(clippy::cast_precision_loss)] // For people.
    for (what, value) in [("p50_ns", p50), ("p99_ns", p99), ("worst_ns", worst), ("lost_packets", lost(run))]
    {
        table.raw(format!("{key}.{what}"), value as f64);
    }
}

/// What left and never came back.
const fn lost(run: &Run) -> u64 {
    run.sent.saturating_sub(run.received + run.spoiled)
}

/// A master key of equal octets.
fn master(suite: Suite, octet: u8) -> io::Result<Master> {
    Master::new(suite, &vec![octet; suite.master_octets()])
        .ok_or_else(|| io::Error::other("a master key of another length than its suite says"))
}

fn duogate(pairs: usize, way: Option<Suite>, duration: Duration, folder: &Path) -> io::Result<Run> {
    let generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let count = u32::try_from(pairs).unwrap_or(u32::MAX);
    let mut gateway = Gateway::start(MEASURED_CORE, count, folder)?;
    let ends = match way {
        None => None,
        Some(suite) => {
            let [far, near] = [master(suite, MASTERS[0])?, master(suite, MASTERS[1])?];
            Some([
                MasterKeys { suite, ours: near, theirs: far },
                MasterKeys { suite, ours: far, theirs: near },
            ])
        }
    };
    let open = gateway.open_secured(pairs, generator.address()?, ends.map(|[near, _]| near))?;
    gateway.join(&open)?;
    let legs = open.iter().map(|pair| Legs { ports: pair.ports, keys: ends.map(|[_, far]| far) });
    let run = measure(&generator, legs, duration, &gateway.process)?;
    gateway.close(&open)?;
    Ok(run)
}

fn rtpengine(pairs: usize, way: Option<Suite>, duration: Duration, folder: &Path) -> io::Result<Run> {
    let generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
    let far_end = generator.address()?;
    let legs: Vec<Legs> = match way {
        None => {
            let routes = engine.pairs(pairs, far_end)?;
            routes.chunks_exact(2).map(|both| Legs { ports: [both[0].to, both[1].to], keys: None }).collect()
        }
        Some(suite) => {
            let ours = master(suite, MASTERS[0])?;
            let secured = engine.secured(pairs, far_end, suite, &ours)?;
            let keys = |theirs| Some(MasterKeys { suite, ours, theirs });
            secured.into_iter().map(|(ports, theirs)| Legs { ports, keys: keys(theirs) }).collect()
        }
    };
    measure(&generator, legs.into_iter(), duration, &engine.process)
}

fn measure(
    generator: &Generator,
    legs: impl Iterator<Item = Legs>,
    duration: Duration,
    process: &Process,
) -> io::Result<Run> {
    let mut streams: Vec<Stream> = Vec::new();
    for Legs { ports, keys } in legs {
        for (to, keys) in ports.into_iter().zip([keys, None]) {
            let packet = Packet::new(u32::try_from(streams.len()).unwrap_or(u32::MAX));
            let seal = keys.map(|keys| Outgoing::new(keys.suite, &keys.ours));
            let open = keys.map(|keys| Incoming::new(keys.suite, &keys.theirs, None));
            streams.push(Stream { to, packet, seal, open });
        }
    }
    let places = streams.iter().enumerate().map(|(place, stream)| (stream.to, place)).collect();
    paced::run(&mut Pairs { streams, places }, generator.socket(), duration, process)
}

impl Load for Pairs {
    fn streams(&self) -> usize {
        self.streams.len()
    }

    fn leave(&mut self, socket: &UdpSocket, stream: usize) -> io::Result<usize> {
        let stream = &mut self.streams[stream];
        stream.packet.step(clock::monotonic());
        let mut buffer = [0; rtp::LENGTH + duogate_srtp::MOST_GROWTH];
        buffer[..rtp::LENGTH].copy_from_slice(stream.packet.bytes());
        let length = match &mut stream.seal {
            Some(seal) => seal.seal_rtp(&mut buffer, rtp::LENGTH).map_err(io::Error::other)?,
            None => rtp::LENGTH,
        };
        send(socket, &[(&buffer[..length], stream.to)])
    }

    fn come_back(&mut self, arrival: &Arrival<'_>) -> Result<u64, Spoiled> {
        let left = self.left(arrival).ok_or(Spoiled)?;
        // The kernel stamps by the wall clock, we by the monotonic one.
        let ahead = clock::wall() - clock::monotonic();
        Ok(arrival.time.unwrap_or_else(clock::wall).saturating_sub(left + ahead))
    }
}

impl Pairs {
    /// When it left, if it is authentic and the other party's of the pair.
    fn left(&mut self, arrival: &Arrival<'_>) -> Option<u64> {
        let place = *self.places.get(&arrival.source)?;
        let mut buffer = [0; rtp::LENGTH + duogate_srtp::MOST_GROWTH];
        let packet = buffer.get_mut(..arrival.bytes.len())?;
        packet.copy_from_slice(arrival.bytes);
        let length = match &mut self.streams[place].open {
            Some(open) => open.open_rtp(packet).ok()?,
            None => packet.len(),
        };
        let stamp = rtp::stamp(&packet[..length])?;
        (usize::try_from(stamp.stream) == Ok(place ^ 1)).then_some(stamp.left)
    }
}
