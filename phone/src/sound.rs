//! A phone's sound: the threads that send and receive it, and what they share.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::call::Agreement;
use crate::ear::Ear;
use crate::line::Words;
use crate::phone::{MAX_DATAGRAM, Shared, lock, random};
use crate::rtcp::{Reporter, Reports, Sent};
use crate::rtp::Key;
use crate::talker::{Start, Talker};
use crate::tone::Tone;
use crate::violation::Violation;

/// How long the voice sleeps when it has nothing to say; it is woken when it has.
const IDLE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Sounding {
    pub(crate) ear: Ear,
    agreement: Option<Agreement>,
    talker: Option<Talker>,
    tone: Option<Tone>,
    muted: bool,
    sent: u64,
    reporter: Option<Reporter>,
    /// Packets that came, missed or not.
    came: u64,
    /// Rules that streams of earlier calls broke.
    broken: Vec<Violation>,
    /// Packets that came between our offer and the answer to it, which may be slower (RFC 3264 section 5.1).
    ahead: Option<Vec<(Instant, SocketAddr, Vec<u8>)>>,
}

/// Broken rules that are kept of a phone's calls.
const BROKEN: usize = 100;

/// Packets that are kept until the answer comes: one second.
const AHEAD: usize = 50;

impl Sounding {
    pub(crate) fn new(origin: Instant) -> Self {
        let (ear, broken) = (Ear::new(origin), Vec::new());
        Self {
            ear,
            agreement: None,
            talker: None,
            tone: None,
            muted: false,
            sent: 0,
            reporter: None,
            came: 0,
            broken,
            ahead: None,
        }
    }

    /// A new call: what was heard in the last one is forgotten. Did we offer, or were we offered?
    pub(crate) fn begin(&mut self, origin: Instant, offered: bool) {
        let broken = self.broken();
        *self = Self { ahead: offered.then(Vec::new), broken, ..Self::new(origin) };
    }

    /// Rules that the streams of all calls broke, as many as are kept.
    pub(crate) fn broken(&self) -> Vec<Violation> {
        let now = self.ear.reception().violations;
        self.broken.iter().copied().chain(now).take(BROKEN).collect()
    }

    fn receive(&mut self, at: Instant, source: SocketAddr, packet: &[u8]) {
        match (self.agreement, &mut self.ahead) {
            (Some(agreement), _) if agreement.peer != source => self.ear.stranger(),
            // RFC 5761 section 4: what looks like these types is RTCP.
            (Some(_), _) if packet.get(1).is_some_and(|kind| (192..=223).contains(kind)) => {
                if let Some(reporter) = &mut self.reporter {
                    reporter.take(at, packet, self.ear.standing());
                } else {
                    self.ear.receive(at, packet);
                }
            }
            (Some(agreement), _) => {
                self.came += 1;
                if agreement.misses == 0 || !self.came.is_multiple_of(agreement.misses) {
                    self.ear.receive(at, packet);
                }
            }
            (None, Some(ahead)) if ahead.len() < AHEAD => ahead.push((at, source, packet.to_vec())),
            (None, _) => {}
        }
    }

    pub(crate) fn agree(&mut self, agreement: Agreement) {
        let Agreement { payloads, speak, .. } = agreement;
        let same_codec = self.agreement.is_some_and(|old| old.payloads == payloads);
        self.agreement = Some(agreement);
        if agreement.reports && self.reporter.is_none() {
            // Of who says nothing yet.
            self.reporter = Some(Reporter::new(Instant::now(), (random() >> 32) as u32));
        }
        self.ear.expect(payloads);
        for (at, source, packet) in self.ahead.take().into_iter().flatten() {
            self.receive(at, source, &packet);
        }
        if !same_codec && let Some(old) = self.talker.take() {
            self.sent += old.sent();
        }
        self.open();
        if let Some(talker) = &mut self.talker {
            talker.quiet(!speak || self.muted);
        }
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
        let speak = self.agreement.is_some_and(|agreement| agreement.speak);
        if let Some(talker) = &mut self.talker {
            talker.quiet(!speak || muted);
        }
    }

    pub(crate) fn speak(&mut self, tone: Tone) {
        self.tone = Some(tone);
        match &mut self.talker {
            Some(talker) => talker.speak(tone),
            None => self.open(),
        }
    }

    /// Begins the stream as soon as there is something to say and somebody to say it to.
    fn open(&mut self) {
        if let (None, Some(agreement), Some(tone)) = (&self.talker, self.agreement, self.tone) {
            let mut words = Words(random());
            let [s0, s1, s2, s3, q0, q1, ..] = words.number().to_be_bytes();
            let [t0, t1, t2, t3, ..] = words.number().to_be_bytes();
            let start = Start {
                ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
                sequence: u16::from_be_bytes([q0, q1]),
                timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            };
            // Without memory for an encoder, nothing is said.
            let talker = Talker::new(Instant::now(), start, agreement.payloads, tone);
            self.talker = talker.ok().map(|mut talker| {
                talker.quiet(self.muted || !agreement.speak);
                talker
            });
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        if let Some(talker) = &mut self.talker {
            talker.press(keys.chars().filter_map(Key::new));
        }
    }

    /// The call is over: nothing more is sent but the BYE that this gives, and what still comes in is not heard.
    pub(crate) fn stop(&mut self, now: Instant) -> Option<(Vec<u8>, SocketAddr)> {
        let last = self.report(now, true);
        self.sent = self.sent();
        (self.agreement, self.talker, self.tone, self.ahead) = (None, None, None, None);
        last
    }

    /// What was said and told by RTCP.
    pub(crate) fn reports(&self) -> Reports {
        self.reporter.as_ref().map(|reporter| reporter.told).unwrap_or_default()
    }

    /// The report that is due, or the last one.
    fn report(&mut self, now: Instant, last: bool) -> Option<(Vec<u8>, SocketAddr)> {
        let (agreement, reporter) = (self.agreement?, self.reporter.as_mut()?);
        if !last && reporter.due() > now {
            return None;
        }
        let sent = self.talker.as_ref().map(|talker| {
            reporter.ssrc = talker.ssrc();
            Sent { timestamp: talker.timestamp_at(now), packets: talker.sent(), octets: talker.octets() }
        });
        Some((reporter.report(now, sent, self.ear.standing(), last), agreement.peer))
    }

    /// When there is something to send next.
    fn due(&self) -> Option<Instant> {
        let report = self.agreement.and(self.reporter.as_ref()).map(Reporter::due);
        self.talker.as_ref().map(Talker::due).into_iter().chain(report).min()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent + self.talker.as_ref().map_or(0, Talker::sent)
    }

    /// The packet that is due, and where it goes.
    fn packet(&mut self, now: Instant) -> Option<(Vec<u8>, SocketAddr)> {
        if let Some(report) = self.report(now, false) {
            return Some(report);
        }
        let (talker, agreement) = (self.talker.as_mut()?, self.agreement?);
        if talker.due() > now { None } else { talker.packet().map(|packet| (packet, agreement.peer)) }
    }
}

/// The thread that hears.
pub(crate) fn hear(shared: &Shared) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    while !shared.stop.load(Ordering::Acquire) {
        let socket = shared.media();
        // Timeouts, and errors that ICMP reports about our own packets, mean the same: nothing came.
        let Ok((length, source)) = socket.recv_from(&mut datagram) else { continue };
        let at = Instant::now();
        lock(&shared.sound).receive(at, source, &datagram[..length]);
    }
}

/// The thread that speaks.
pub(crate) fn speak(shared: &Shared) {
    while !shared.stop.load(Ordering::Acquire) {
        let now = Instant::now();
        let mut sound = lock(&shared.sound);
        if let Some((packet, peer)) = sound.packet(now) {
            drop(sound);
            // A packet that cannot be sent is a lost one.
            let _ = shared.media().send_to(&packet, peer);
            continue;
        }
        let pause = sound.due().map_or(IDLE, |due| due.saturating_duration_since(now));
        if sound.talker.is_some() {
            drop(sound);
            std::thread::sleep(pause);
        } else {
            // Woken early or late makes no difference: the state is looked at again. What is said comes at once, though
            // the next report has time.
            drop(shared.speaks.wait_timeout(sound, pause.min(IDLE)));
        }
    }
}
