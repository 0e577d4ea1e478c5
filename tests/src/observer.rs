//! A judge beside the line: it sees every packet that the gateway sends to whatever party, and demands the rules of RTP
//! of every stream: sequence, timestamps, markers, one SSRC from the first packet to the BYE.
//!
//! Our own phones judge what they receive themselves. baresip and SIPp do not; their streams are judged here, on the way.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use duogate_channel::sound::{OFFERED_TELEPHONE_EVENT, OFFERED_WIDE_EVENT};
use duogate_phone::codec::{Codec, ticks};
use duogate_phone::judge::{Content, Judge, Media, Reception};
use duogate_phone::rtp::Header;
use duogate_phone::violation::Violation;

use crate::capture::{Capture, Datagram};

/// How long packets gather before they are looked at. Their times are the kernel's.
const GATHER: Duration = Duration::from_millis(10);

/// Watches the ports of a gateway until it is asked for its verdict.
pub struct Observer {
    watch: Arc<Mutex<Watch>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<u32>>>,
}

/// What the observer saw.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// RTP packets, all streams together.
    pub packets: u64,
    /// Rules that were broken, by the port of the leg, as many as are kept.
    pub broken: Vec<(u16, Violation)>,
    /// Packets that the observer itself missed: then it has judged nothing.
    pub missed: u32,
}

impl Verdict {
    /// Demands that the observer saw everything, and that everything kept the rules.
    ///
    /// # Panics
    /// If not; the panic says who failed.
    pub fn demand(&self) {
        assert_eq!(self.missed, 0, "the observer itself missed packets, and has judged nothing");
        let some = &self.broken[..self.broken.len().min(SHOWN)];
        assert_eq!(some, [], "streams of the gateway broke rules, by the ports of their legs");
    }
}

/// Broken rules that a panic shows at most.
const SHOWN: usize = 20;

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer {
    /// Begins to watch what comes from these ports, RTP from the even ones and RTCP from either.
    ///
    /// # Errors
    /// The system's; without the right, [`io::ErrorKind::PermissionDenied`].
    pub fn start(first: u16, last: u16) -> io::Result<Self> {
        Self::over(Capture::from_ports(first, last)?)
    }

    /// The same over a capture that was made already.
    ///
    /// # Errors
    /// The system's, if there is no thread.
    pub fn over(mut capture: Capture) -> io::Result<Self> {
        let watch = Arc::new(Mutex::new(Watch::new(Instant::now())));
        let stop = Arc::new(AtomicBool::new(false));
        let (watching, stopping) = (Arc::clone(&watch), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("observer".to_owned()).spawn(move || {
            loop {
                // Read before, so that a last look follows the stop.
                let over = stopping.load(Ordering::Acquire);
                while let Some(datagram) = capture.take()? {
                    lock(&watching).see(&datagram);
                }
                if over {
                    return capture.missed();
                }
                std::thread::sleep(GATHER);
            }
        })?;
        Ok(Self { watch, stop, thread: Some(thread) })
    }

    /// The gateway was killed: its streams ended without a BYE, or another gateway goes on with them and leaves out
    /// numbers of which nobody knows whether they were sent. Each may begin anew.
    pub fn broken_off(&self) {
        // With its time, for packets of before may still wait to be looked at.
        lock(&self.watch).broken_off.push(Instant::now());
    }

    /// RTP packets seen so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        lock(&self.watch).packets()
    }

    /// Ends the watch.
    ///
    /// # Panics
    /// If the observer could not read its socket.
    #[must_use]
    pub fn verdict(mut self) -> Verdict {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().expect("only the verdict takes it");
        let missed =
            thread.join().expect("the observer does not panic").expect("a packet socket can be read");
        let watch = lock(&self.watch);
        let broken =
            watch.legs.iter().flat_map(|(port, leg)| leg.broken().into_iter().map(|broken| (*port, broken)));
        Verdict { packets: watch.packets(), broken: broken.collect(), missed }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It is dropped with its verdict unasked only where a test has failed already.
            let _ = thread.join();
        }
    }
}

/// All legs, by the ports of their RTP.
struct Watch {
    origin: Instant,
    legs: BTreeMap<u16, Leg>,
    /// When gateways were killed.
    broken_off: Vec<Instant>,
}

struct Leg {
    judge: Judge,
    /// The stream that has said BYE.
    ended: Option<u32>,
    /// When its last packet came.
    last: Instant,
    /// How many deaths of gateways it has gone through.
    deaths: usize,
}

/// A gateway that was killed sends nothing more, but what it had sent may come after; its successor takes longer than
/// this to start.
const SUCCESSION: Duration = Duration::from_millis(40);

impl Leg {
    fn new(origin: Instant) -> Self {
        Self { judge: Judge::new(origin), ended: None, last: origin, deaths: 0 }
    }

    fn hear(&mut self, at: Instant, header: &Header, sound: &[u8], broken_off: &[Instant]) {
        let deaths = broken_off.iter().filter(|death| **death <= at).count();
        let succeeded = deaths > self.deaths && at.saturating_duration_since(self.last) >= SUCCESSION;
        self.last = at;
        if self.ended == Some(header.ssrc) {
            return self.judge.note(Violation::AfterBye);
        }
        if succeeded {
            self.deaths = deaths;
            self.judge.interrupt();
        } else if self.ended.is_some() && self.ended == self.judge.ssrc() {
            self.judge.end();
        }
        self.judge.judge(at, header, sound, media(header.payload_type, sound));
    }

    fn broken(&self) -> Vec<Violation> {
        let Reception { violations, duplicates, .. } = self.judge.reception();
        // The way to us neither doubles packets nor loses any: whatever came twice was sent twice.
        let twice = (duplicates > 0).then_some(Violation::Repeated(duplicates));
        violations.into_iter().chain(twice).collect()
    }
}

/// What a payload type stands for in the gateway's offers; the parties that are watched take its numbers. Of others, and
/// of comfort noise, the length is not known.
fn media(payload_type: u8, payload: &[u8]) -> Media {
    let sound = |codec: Codec, payload: &[u8]| Media {
        rate: codec.clock_rate(),
        content: ticks(codec, payload).map_or(Content::Untold, Content::Sound),
    };
    let event = |rate| Media { rate, content: Content::Event };
    match payload_type {
        0 | 8 | 9 => sound(Codec::Pcma, unsealed(payload)),
        OFFERED_TELEPHONE_EVENT if payload.len() == EVENT => event(Codec::Pcma.clock_rate()),
        OFFERED_WIDE_EVENT if payload.len() == EVENT => event(Codec::Opus.clock_rate()),
        number if number == Codec::Opus.payload_type() => sound(Codec::Opus, payload),
        _ => Media { rate: Codec::Pcma.clock_rate(), content: Content::Untold },
    }
}

/// Octets of a telephone-event; a sealed one is longer, and tells nothing.
const EVENT: usize = 4;

/// A payload of G.711 or G.722 without the tag of SRTP: packets are of 10 ms or a multiple of that, 80 octets, and the
/// tags of our suites have 10 octets (RFC 3711 section 5.2) or 16 (RFC 7714 section 13.2).
fn unsealed(payload: &[u8]) -> &[u8] {
    match payload.len() % 80 {
        tag @ (10 | 16) => &payload[..payload.len() - tag],
        _ => payload,
    }
}

/// The stream that says BYE in a compound packet (RFC 3550 section 6.6). A sealed one (SRTCP) shows nothing but its
/// first header, so that the end of a secured stream goes unseen.
fn bye(compound: &[u8]) -> Option<u32> {
    const BYE: u8 = 203;
    let mut rest = compound;
    while let &[_, kind, high, low, ..] = rest {
        let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        if kind == BYE {
            return rest.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
        }
        rest = rest.get(length..)?;
    }
    None
}

impl Watch {
    fn new(origin: Instant) -> Self {
        Self { origin, legs: BTreeMap::new(), broken_off: Vec::new() }
    }

    fn packets(&self) -> u64 {
        self.legs.values().map(|leg| leg.judge.reception().packets).sum()
    }

    fn see(&mut self, datagram: &Datagram<'_>) {
        let Datagram { at, source, payload } = *datagram;
        let origin = self.origin;
        let leg = self.legs.entry(source & !1).or_insert_with(|| Leg::new(origin));
        // RFC 5761 section 4: what looks like these types is RTCP.
        let rtcp = payload.get(1).is_some_and(|kind| (192..=223).contains(kind));
        if rtcp || source % 2 == 1 {
            leg.ended = bye(payload).or(leg.ended);
            return;
        }
        match Header::parse(payload) {
            Ok((header, sound)) => leg.hear(at, &header, sound, &self.broken_off),
            Err(error) => leg.judge.note(Violation::NotRtp(error)),
        }
    }
}
