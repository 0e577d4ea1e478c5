//! The callback survives its gateway: what was left of its streams, and how the next gateway is brought to where it is.

use core::time::Duration;

use duogate_channel::command::{Beginning, Source};
use duogate_channel::event::LegStatistics;
use duogate_channel::identity::Party;
use duogate_channel::snapshot::LegSnapshot;
use duogate_channel::srtp::Heard;
use duogate_channel::time::Instant;

use super::DuoCallback;
use super::hearing::Hears;
use super::phase::{Phase, Stimulus};
use crate::clock::Now;
use crate::resource::report::Reason;
use crate::resource::view::State;

/// Packets that may have left beside the steady ones: the ends of telephone-events, and late ones that came together,
/// after a radio link stood still for 320 ms. A listener takes those that were not sent for lost.
const SPARE_PACKETS: u32 = 16;

/// Samples in a packet where none was sent yet: 20 ms (RFC 3551 section 4.2).
const USUAL_SAMPLES: u16 = 160;

/// The farthest jump of sequence numbers that a listener takes for losses and not for another sender
/// (`MAX_DROPOUT` of RFC 3550 appendix A.1 is 3,000).
const LONGEST_JUMP: u32 = 2_800;

/// What a gateway left of the stream towards a party: enough for the next one to go on with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Remains {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Ticks in a packet, and in 125 µs.
    step: u16,
    ticks: u32,
    /// When sequence and timestamp were so.
    at: Instant,
}

impl Remains {
    /// As a shard's page last showed it.
    #[must_use]
    pub fn of(leg: &LegSnapshot, taken_at: Instant) -> Self {
        let LegSnapshot { ssrc, sequence, timestamp, packet_samples, .. } = *leg;
        let ticks = leg.far_end.map_or(1, |far_end| far_end.codec.ticks());
        let usual = USUAL_SAMPLES.saturating_mul(u16::try_from(ticks).unwrap_or(1));
        let step = if packet_samples == 0 { usual } else { packet_samples };
        Self { ssrc, sequence, timestamp, step, ticks, at: taken_at }
    }

    /// The stream at the end of its gateway: ahead by the time that has passed, and by at least as many packets as
    /// may have been sent in it, so that no number comes twice. Not by many more: the gap that the listener hears
    /// should account for them.
    fn ended(self, at: Instant) -> Self {
        let passed = at.since(self.at);
        let passed = samples(passed).wrapping_mul(self.ticks);
        let steady = passed / u32::from(self.step);
        let packets = steady.saturating_add(SPARE_PACKETS).min(LONGEST_JUMP);
        let packets = u16::try_from(packets).unwrap_or(u16::MAX);
        Self {
            sequence: self.sequence.wrapping_add(packets),
            timestamp: self.timestamp.wrapping_add(passed),
            at: at.max(self.at),
            ..self
        }
    }

    /// Where a session that opens now goes on.
    fn beginning(self, now: Instant) -> Beginning {
        let timestamp = self.timestamp.wrapping_add(samples(now.since(self.at)).wrapping_mul(self.ticks));
        Beginning { ssrc: self.ssrc, sequence: self.sequence, timestamp }
    }
}

/// So much time on an RTP clock of 8 kHz, which wraps (RFC 3550 section 5.1).
fn samples(time: Duration) -> u32 {
    let samples = time.as_micros() / 125;
    u32::try_from(samples & u128::from(u32::MAX)).unwrap_or(0)
}

/// Two legs' streams, and what they had carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// Party 1's and party 2's.
    pub streams: [Remains; 2],
    /// The same.
    pub statistics: [LegStatistics; 2],
    /// How far their secured streams were heard.
    pub heard: [Option<Heard>; 2],
}

/// The streams of a session through all its gateways.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Past {
    streams: Option<[Remains; 2]>,
    /// Carried by gateways that are gone.
    carried: Option<[LegStatistics; 2]>,
    /// How far secured streams were heard.
    heard: [Option<Heard>; 2],
}

impl Past {
    /// The gateway is gone. Without word of the session it may have sent since it was last known of.
    pub(super) fn ended(&mut self, now: Instant, left: Option<Left>) {
        self.streams = left.map(|left| left.streams).or(self.streams);
        self.streams = self.streams.map(|legs| legs.map(|leg| leg.ended(now)));
        if let Some(left) = left {
            self.heard = [left.heard[0].or(self.heard[0]), left.heard[1].or(self.heard[1])];
            self.carried = Some(self.total(left.statistics));
        }
    }

    /// Where both streams go on in a session that opens now.
    pub(super) fn beginnings(&mut self, now: Instant) -> [Option<Beginning>; 2] {
        let Some(streams) = self.streams else { return [None; 2] };
        let beginnings = streams.map(|leg| leg.beginning(now));
        self.streams =
            Some(streams.map(|leg| Remains { timestamp: leg.beginning(now).timestamp, at: now, ..leg }));
        beginnings.map(Some)
    }

    /// What all gateways carried, this one's figures being the last.
    pub(super) fn total(&self, last: [LegStatistics; 2]) -> [LegStatistics; 2] {
        let Some([first, second]) = self.carried else { return last };
        [first.then(&last[0]), second.then(&last[1])]
    }

    pub(super) const fn heard(&self, party: Party) -> Option<Heard> {
        self.heard[party.index()]
    }

    /// What gateways that are gone carried, if that is known.
    pub(super) const fn carried(&self) -> Option<[LegStatistics; 2]> {
        self.carried
    }
}

impl DuoCallback {
    /// Does it wait for the next gateway?
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.media.is_away()
    }

    /// The gateway is gone and the next one is awaited. Recordings and actions that ran are over; everything else stands
    /// still on the media's side and goes on on the parties'.
    pub(super) fn media_away(&mut self, now: Now, left: Option<Left>) -> Option<Stimulus> {
        self.media.away(now.instant, left);
        let ran = self.is_recording();
        self.lose_recordings(now);
        if self.state() == State::Released {
            self.media.lost();
            return Some(Stimulus::MediaLost);
        }
        self.cut_actions(now, Reason::MediaLost);
        if matches!(self.phase, Phase::Opening | Phase::Joining) {
            // The gateway's answer: whoever waits for the next gateway says how long.
            self.deadline = None;
        }
        ran.then_some(Stimulus::Filed)
    }

    /// There is a gateway again: the session is asked for, on the same ports and with the same streams.
    pub(super) fn media_back(&mut self, now: Now) {
        let secured = Party::BOTH.map(|party| self.call(party).keys.is_some());
        let Some(command) = self.media.reopen(now.instant, secured) else { return };
        self.send_to_shard(command);
        if self.phase == Phase::Opening {
            self.deadline = Some(now.instant + self.waits.media_answer);
        }
    }

    /// The session is open again. It goes on at once if it needs nothing that is still being handed over.
    pub(super) fn reopened(&mut self, now: Now) -> Option<Stimulus> {
        let talks = matches!(self.phase, Phase::Joining | Phase::Connected) && !self.recorder.needs_file();
        if talks || self.state() == State::Released {
            return self.resume(now);
        }
        if self.phase == Phase::Opening {
            // The gateway has answered; what it is handed over is waited for elsewhere.
            self.deadline = None;
        }
        None
    }

    /// Brings the new session to where the callback is.
    pub(super) fn resume(&mut self, now: Now) -> Option<Stimulus> {
        if !self.media.resume() {
            return None;
        }
        if self.phase == Phase::Opening || self.state() == State::Released {
            return self.ready(now);
        }
        for party in Party::BOTH {
            if self.call(party).keys.is_some() {
                self.send_keys(party, self.media.heard(party));
            }
            if let Some(far_end) = self.call(party).far_end {
                self.send_far_end(party, far_end);
            }
        }
        match self.phase {
            Phase::Joining | Phase::Connected => self.send_join(),
            _ if self.hears == Hears::Silence => {}
            _ => {
                let source: Source = self.source(self.hears);
                self.send_hear(Party::One, source);
            }
        }
        if self.phase == Phase::Joining {
            self.deadline = Some(now.instant + self.waits.media_answer);
        }
        self.record_due(now);
        None
    }
}
