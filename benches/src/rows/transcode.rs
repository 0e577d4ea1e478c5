//! Pairs whose parties speak different codecs: what decoding and encoding costs, and how long a packet waits for it,
//! beside rtpengine, which does the same, in the same run.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

use duogate_channel::sound::Codec;
use duogate_codecs::{Encoder, Purpose, Rate};

use crate::awake::Awake;
use crate::clock;
use crate::datagrams::{Arrival, send};
use crate::gateway::Gateway;
use crate::generator::Generator;
use crate::paced::{self, Load, Run, Spoiled};
use crate::process::{Process, remark};
use crate::rows::MEASURED_CORE;
use crate::rtp;
use crate::rtpengine::Rtpengine;
use crate::table::{Table, microseconds};

/// Packets of sound that each stream repeats: a second.
const PACKETS: usize = 50;

/// What party 2 speaks; party 1 speaks A-law.
const CODECS: [Codec; 2] = [Codec::G722, Codec::Opus];

/// One direction of one pair.
struct Stream {
    to: SocketAddrV4,
    codec: Codec,
    ssrc: u32,
    sent: Vec<u64>,
}

/// All streams, party 1's and party 2's of a pair beside each other, and where each comes back from.
struct Pairs {
    streams: Vec<Stream>,
    places: HashMap<SocketAddrV4, usize>,
    sounds: HashMap<Codec, Vec<Vec<u8>>>,
    /// The first number heard from where each stream goes.
    heard: Vec<Option<u16>>,
}

/// Runs `pairs` pairs for `duration` through each, with each codec.
///
/// # Errors
/// The system's and the gateway's; rtpengine's absence is told and it is left out.
pub fn run(pairs: usize, duration: Duration, folder: &Path) -> io::Result<Table> {
    let _awake = Awake::keep(MEASURED_CORE)?;
    let mut table = Table::default();
    for codec in CODECS {
        let name = codec.name();
        let ours = duogate(pairs, codec, duration, folder)?;
        tell(&mut table, "Duogate", name, pairs, &ours);
        match rtpengine(pairs, codec, duration, folder) {
            Ok(theirs) => {
                tell(&mut table, "rtpengine", name, pairs, &theirs);
                let ratio = theirs.cost / ours.cost;
                table.ratio_told(
                    &format!("PCMA to {name} and back: processor time, rtpengine to Duogate"),
                    format!("{ratio:.2}"),
                );
                table.raw(format!("transcoded.{name}.ratio"), ratio);
            }
            Err(error) => remark(&format!("rtpengine left out with {name}: {error}")),
        }
    }
    Ok(table)
}

fn tell(table: &mut Table, who: &str, codec: &str, pairs: usize, run: &Run) {
    let Run { cost, delay: [p50, p99, worst], sent, received, .. } = *run;
    let lost = sent.saturating_sub(received);
    // A pair is 100 packets a second.
    let a_core = 1e9 / (100.0 * cost);
    table.told(
        &format!("{who}, {pairs} pairs PCMA to {codec} and back"),
        format!(
            "{:.1} µs CPU a packet: {a_core:.0} pairs a core; delay p50 {}, p99 {}, worst {}; lost {lost} of {sent}",
            cost / 1000.0,
            microseconds(p50),
            microseconds(p99),
            microseconds(worst)
        ),
    );
    let key = who.to_lowercase();
    table.raw(format!("transcoded.{codec}.{key}.cpu_ns_per_packet"), cost);
    table.raw(format!("transcoded.{codec}.{key}.pairs_per_core"), a_core);
    #[allow(clippy::cast_precision_loss)] // For people.
    for (what, value) in [("p50", p50), ("p99", p99), ("worst", worst)] {
        table.raw(format!("transcoded.{codec}.{key}.{what}_ns"), value as f64);
    }
}

fn duogate(pairs: usize, codec: Codec, duration: Duration, folder: &Path) -> io::Result<Run> {
    let generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let count = u32::try_from(pairs).unwrap_or(u32::MAX);
    let mut gateway = Gateway::start(MEASURED_CORE, count, folder)?;
    let open = gateway.open_as(pairs, generator.address()?, [Codec::Pcma, codec])?;
    gateway.join(&open)?;
    let legs = open.iter().flat_map(|pair| pair.ports.into_iter().zip([Codec::Pcma, codec]));
    let run = measure(&generator, legs.collect(), duration, &gateway.process)?;
    gateway.close(&open)?;
    Ok(run)
}

fn rtpengine(pairs: usize, codec: Codec, duration: Duration, folder: &Path) -> io::Result<Run> {
    let generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
    let legs = engine.transcoded(pairs, generator.address()?, codec)?;
    let legs = legs.into_iter().flat_map(|ports| ports.into_iter().zip([Codec::Pcma, codec]));
    measure(&generator, legs.collect(), duration, &engine.process)
}

/// A second of a tone in packets.
fn sound(codec: Codec) -> io::Result<Vec<Vec<u8>>> {
    let mut encoder = Encoder::new(codec, Rate::Narrow, Purpose::Talk).map_err(io::Error::other)?;
    (0..PACKETS)
        .map(|number| {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Within 16 bits.
            let sample = |at: usize| {
                let time = at as f64 / 8_000.0;
                // Something like a voice: two tones that swell.
                let swell = (std::f64::consts::TAU * 3.0 * time).sin().abs();
                (swell * 6_000.0 * ((4_398.0 * time).sin() + (1_382.0 * time).sin())) as i16
            };
            let samples: Vec<i16> = (number * 160..(number + 1) * 160).map(sample).collect();
            let mut payload = Vec::new();
            encoder.encode(&samples, &mut payload).map_err(io::Error::other)?;
            Ok(payload)
        })
        .collect()
}

fn measure(
    generator: &Generator,
    legs: Vec<(SocketAddrV4, Codec)>,
    duration: Duration,
    process: &Process,
) -> io::Result<Run> {
    let sounds =
        legs.iter().map(|(_, codec)| Ok((*codec, sound(*codec)?))).collect::<io::Result<HashMap<_, _>>>()?;
    let streams: Vec<Stream> =
        (1..).zip(legs).map(|(ssrc, (to, codec))| Stream { to, codec, ssrc, sent: Vec::new() }).collect();
    let places = streams.iter().enumerate().map(|(place, stream)| (stream.to, place)).collect();
    let heard = vec![None; streams.len()];
    paced::run(&mut Pairs { streams, places, sounds, heard }, generator.socket(), duration, process)
}

impl Load for Pairs {
    fn streams(&self) -> usize {
        self.streams.len()
    }

    fn leave(&mut self, socket: &UdpSocket, stream: usize) -> io::Result<usize> {
        let stream = &mut self.streams[stream];
        let packet = next(stream, &self.sounds);
        send(socket, &[(&packet, stream.to)])
    }

    fn come_back(&mut self, arrival: &Arrival<'_>) -> Result<u64, Spoiled> {
        let now = clock::monotonic();
        let place = *self.places.get(&arrival.source).ok_or(Spoiled)?;
        let sequence = rtp::sequence(arrival.bytes).ok_or(Spoiled)?;
        // It is what the other party said: the n-th packet of one is the n-th of the other.
        let first = *self.heard[place].get_or_insert(sequence);
        let number = usize::from(sequence.wrapping_sub(first));
        let left = self.streams[place ^ 1].sent.get(number).ok_or(Spoiled)?;
        Ok(now.saturating_sub(*left))
    }
}

fn next(stream: &mut Stream, sounds: &HashMap<Codec, Vec<Vec<u8>>>) -> Vec<u8> {
    let number = stream.sent.len();
    stream.sent.push(clock::monotonic());
    let mut packet = vec![0x80, stream.codec.payload_type()];
    let [.., high, low] = number.to_be_bytes();
    packet.extend([high, low]);
    let ticks = u32::try_from(number).unwrap_or(0).wrapping_mul(160 * stream.codec.ticks());
    packet.extend(ticks.to_be_bytes());
    packet.extend(stream.ssrc.to_be_bytes());
    if let Some(payloads) = sounds.get(&stream.codec) {
        packet.extend(&payloads[number % PACKETS]);
    }
    packet
}
