//! Pairs whose parties speak different codecs: what decoding and encoding costs, and how long a packet waits for it,
//! beside rtpengine, which does the same, in the same run.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use duogate_channel::sound::Codec;
use duogate_codecs::{Encoder, Purpose, Rate};

use crate::awake::Awake;
use crate::clock;
use crate::datagrams::{Inbox, send};
use crate::gateway::Gateway;
use crate::generator::Generator;
use crate::process::{Process, remark};
use crate::rows::MEASURED_CORE;
use crate::rtp;
use crate::rtpengine::Rtpengine;
use crate::table::{Table, microseconds, quantile};

/// A packet of each stream every so often.
const PACKET_NANOSECONDS: u64 = 20_000_000;

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

/// What a run came to.
struct Run {
    /// Processor time of a packet that came back, in nanoseconds.
    cost: f64,
    /// Nanoseconds from leaving to coming back: p50, p99, worst.
    delay: [u64; 3],
    sent: usize,
    received: usize,
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
    let Run { cost, delay: [p50, p99, worst], sent, received } = *run;
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
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let count = u32::try_from(pairs).unwrap_or(u32::MAX);
    let mut gateway = Gateway::start(MEASURED_CORE, count, folder)?;
    let open = gateway.open_as(pairs, generator.address()?, [Codec::Pcma, codec])?;
    gateway.join(&open)?;
    let legs = open.iter().flat_map(|pair| pair.ports.into_iter().zip([Codec::Pcma, codec]));
    let run = measure(&mut generator, legs.collect(), duration, &gateway.process)?;
    gateway.close(&open)?;
    Ok(run)
}

fn rtpengine(pairs: usize, codec: Codec, duration: Duration, folder: &Path) -> io::Result<Run> {
    let mut generator = Generator::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let mut engine = Rtpengine::start(MEASURED_CORE, folder)?;
    let legs = engine.transcoded(pairs, generator.address()?, codec)?;
    let legs = legs.into_iter().flat_map(|ports| ports.into_iter().zip([Codec::Pcma, codec]));
    measure(&mut generator, legs.collect(), duration, &engine.process)
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

/// Sends on all legs, 20 ms apart on each and evenly spread, and receives what comes back.
fn measure(
    generator: &mut Generator,
    legs: Vec<(SocketAddrV4, Codec)>,
    duration: Duration,
    process: &Process,
) -> io::Result<Run> {
    let sounds: HashMap<Codec, Vec<Vec<u8>>> =
        legs.iter().map(|(_, codec)| Ok((*codec, sound(*codec)?))).collect::<io::Result<_>>()?;
    let mut streams: Vec<Stream> =
        (1..).zip(legs).map(|(ssrc, (to, codec))| Stream { to, codec, ssrc, sent: Vec::new() }).collect();
    let places: HashMap<SocketAddrV4, usize> =
        streams.iter().enumerate().map(|(place, stream)| (stream.to, place)).collect();
    let mut heard: Vec<Option<u16>> = vec![None; streams.len()];
    let (mut delays, mut inbox) = (Vec::new(), Inbox::new());
    let (cpu, start) = (process.cpu()?, clock::monotonic());
    let length = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (mut done, mut sent) = (0_u64, 0);
    loop {
        let now = clock::monotonic() - start;
        // What is on its way is waited for.
        if now >= length + 200_000_000 {
            break;
        }
        let due = now.min(length) * streams.len() as u64 / PACKET_NANOSECONDS;
        while done < due {
            let place = usize::try_from(done).unwrap_or(0) % streams.len();
            let packet = next(&mut streams[place], &sounds);
            sent += send(generator.socket(), &[(&packet, streams[place].to)])?;
            done += 1;
        }
        inbox.receive(generator.socket(), |arrival| {
            let now = clock::monotonic();
            let Some(place) = places.get(&arrival.source) else { return };
            let Some(sequence) = rtp::sequence(arrival.bytes) else { return };
            // It is what the other party said: the n-th packet of one is the n-th of the other.
            let first = *heard[*place].get_or_insert(sequence);
            let number = usize::from(sequence.wrapping_sub(first));
            if let Some(left) = streams[place ^ 1].sent.get(number) {
                delays.push(now.saturating_sub(*left));
            }
        })?;
        clock::sleep_microseconds(100);
    }
    let cpu = process.cpu()? - cpu;
    delays.sort_unstable();
    #[allow(clippy::cast_precision_loss)] // A quotient for people.
    let cost = cpu as f64 / delays.len().max(1) as f64;
    let delay = [0.5, 0.99, 1.0].map(|share| quantile(&delays, share));
    Ok(Run { cost, delay, sent, received: delays.len() })
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
