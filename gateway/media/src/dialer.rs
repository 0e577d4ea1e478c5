//! Sends keys to a party: telephone-events (RFC 4733), or tones in its codec where it has none.
//!
//! ```text
//!   20 ms steps    0     1     2     3     4     5     6     7     8     9  │ 0 of the next key
//!   event          M     .     .     .    end   end   end    -     -     -  │ M   one timestamp a key, duration grows
//!   tones          tone  tone  tone  tone  tone  silence ────────────────── │     sound like any other
//! ```

use duogate_channel::digits::{Key, Keys};
use duogate_channel::identity::Action;
use duogate_channel::time::Instant;

use crate::dtmf::{self, KEY_STEPS, TONE_STEPS};
use crate::guard;
use crate::outlet::{Outlet, Ready, SoundStore};
use crate::player::PACKET_SAMPLES;
use crate::rtp::HEADER_BYTES;
use crate::table::Leg;

/// The end of an event is sent three times (RFC 4733 section 2.5.1.4).
const LAST_END: u8 = TONE_STEPS - 1 + 2;
/// Level of an event in −dBm0: that of the tones that it stands for.
const VOLUME: u8 = 10;
/// Octets of a telephone-event.
pub(crate) const EVENT_OCTETS: usize = 4;

/// Keys that are being sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    pub(crate) action: Action,
    keys: Keys,
    /// The key that is being sent.
    at: u8,
    step: u8,
    /// When that key began, and its RTP timestamp.
    began: Instant,
    timestamp: u32,
    /// By tones?
    tones: bool,
    /// Has anything of it been sent?
    sent: bool,
    /// Something was due and the party could not be sent to.
    pub(crate) held: bool,
    /// Place of its packets in the 20 ms.
    pub(crate) phase: usize,
}

/// What became of one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Sound was sent.
    Sound,
    /// A packet of an event was sent.
    Event,
    /// Nothing was due, or the party cannot be sent to.
    Nothing,
    /// Nowhere to put it, or far too late.
    Lost,
}

impl Dialer {
    pub(crate) const fn new(action: Action, keys: Keys, phase: usize) -> Self {
        Self {
            action,
            keys,
            at: 0,
            step: 0,
            began: Instant::ZERO,
            timestamp: 0,
            tones: false,
            sent: false,
            held: false,
            phase,
        }
    }

    /// Has the last key been sent, with its gap?
    pub(crate) const fn is_over(&self) -> bool {
        self.at as usize >= self.keys.len()
    }

    fn next(&mut self) {
        self.step += 1;
        if self.step == KEY_STEPS {
            self.step = 0;
            self.at += 1;
        }
    }

    /// Ticks from the beginning of the key to the end of this step, while it is held; a step has so many.
    fn duration(&self, ticks: u16) -> u16 {
        ticks * u16::from(self.step.saturating_add(1).min(TONE_STEPS))
    }

    /// The payload of this step's event (RFC 4733 section 2.3).
    fn event(&self, key: Key, ticks: u16) -> [u8; EVENT_OCTETS] {
        let end = if self.step + 1 >= TONE_STEPS { 0x80 } else { 0 };
        let [high, low] = self.duration(ticks).to_be_bytes();
        [key.code(), end | VOLUME, high, low]
    }
}

impl Leg {
    /// Does the step of its keys that was due at `due`.
    pub(crate) fn dial(
        &mut self,
        dialer: &mut Dialer,
        due: Instant,
        on_time: bool,
        sounds: &impl SoundStore,
        outlet: &mut impl Outlet,
    ) -> Step {
        let Some(key) = dialer.keys.get(usize::from(dialer.at)) else { return Step::Nothing };
        let far_end = self.reachable().copied();
        if dialer.step == 0 {
            dialer.began = due;
            dialer.timestamp = self.stream.timestamp_at(due);
            dialer.tones = far_end.is_some_and(|far_end| far_end.telephone_event.is_none());
            dialer.sent = false;
        }
        let done = match far_end {
            None => {
                dialer.held |= dialer.step <= LAST_END;
                self.stream.marker = true;
                Step::Nothing
            }
            Some(_) if !on_time => Step::Lost,
            Some(far_end) if dialer.tones && far_end.codec.is_g711() => {
                self.dial_tone(dialer, key, None, outlet)
            }
            Some(far_end) if dialer.tones => {
                match sounds.ready(Ready::Key(key), far_end.codec, dialer.step) {
                    Some(payload) => self.dial_tone(dialer, key, Some(payload), outlet),
                    None => {
                        dialer.held = true;
                        Step::Nothing
                    }
                }
            }
            Some(far_end) => match far_end.telephone_event {
                Some(payload_type) if dialer.step <= LAST_END => {
                    self.dial_event(dialer, key, payload_type, outlet)
                }
                _ => Step::Nothing,
            },
        };
        dialer.next();
        done
    }

    fn dial_event(
        &mut self,
        dialer: &mut Dialer,
        key: Key,
        payload_type: u8,
        outlet: &mut impl Outlet,
    ) -> Step {
        let Some(socket) = self.socket else { return Step::Nothing };
        let mut header = self.stream.next(dialer.timestamp);
        header.payload_type = payload_type;
        // RFC 4733 section 2.5.1.1: the marker stands for the beginning of an event, whatever stood before.
        header.marker = !dialer.sent;
        let payload = dialer.event(key, self.stream.paced_ticks());
        let sent = guard::send(&mut self.guard, outlet, socket, HEADER_BYTES + EVENT_OCTETS, |packet| {
            if let Some((place, rest)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
                header.emit(place);
                rest.copy_from_slice(&payload);
            }
        });
        if !sent {
            return Step::Lost;
        }
        dialer.sent = true;
        self.stream.event(
            dialer.began,
            dialer.timestamp,
            dialer.duration(self.stream.paced_ticks()),
            EVENT_OCTETS,
        );
        Step::Event
    }

    /// Sends 20 ms of a key's tones, which are made here if they do not lie ready.
    fn dial_tone(
        &mut self,
        dialer: &mut Dialer,
        key: Key,
        ready: Option<&[u8]>,
        outlet: &mut impl Outlet,
    ) -> Step {
        let Some((socket, far_end)) = self.socket.zip(self.far_end) else { return Step::Nothing };
        let step = dialer.step;
        let timestamp = dialer.timestamp.wrapping_add(u32::from(step) * u32::from(self.stream.paced_ticks()));
        let mut header = self.stream.next(timestamp);
        header.payload_type = far_end.payload_type;
        let key = (step < TONE_STEPS).then_some(key);
        let octets = ready.map_or(usize::from(PACKET_SAMPLES), <[u8]>::len);
        let sent = guard::send(&mut self.guard, outlet, socket, HEADER_BYTES + octets, |packet| {
            if let Some((place, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
                header.emit(place);
                match ready {
                    Some(ready) => payload.copy_from_slice(ready),
                    None => {
                        let passed = usize::from(step) * usize::from(PACKET_SAMPLES);
                        dtmf::render(key, passed, far_end.codec, payload);
                    }
                }
            }
        });
        if !sent {
            self.stream.marker = true;
            return Step::Lost;
        }
        dialer.sent = true;
        let due = dialer.began + ::core::time::Duration::from_millis(u64::from(step) * 20);
        self.stream.paced(due, timestamp, octets);
        Step::Sound
    }
}
