//! Keys that a party presses, as telephone-events tell them (RFC 4733): each press once, whatever is lost.

use ::core::time::Duration;

use duogate_channel::digits::Key;

/// After so long without a packet of a press that has not ended, its end has been lost. Senders repeat themselves
/// every 20 to 50 ms (RFC 4733 section 2.5.1.2 allows more); what comes later is still the same press.
pub(crate) const LOST_AFTER: Duration = Duration::from_millis(200);

/// The longest duration that one segment can tell (RFC 4733 section 2.5.1.3); a longer press goes on in the next.
const SEGMENT: u32 = 0xffff;

/// Presses whose late packets are still known as theirs. A packet comes late by 64 numbers at most, and a press has
/// seldom less than seven.
const REMEMBERED: usize = 8;

/// What one packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EventPacket {
    /// Of the packet: when the event began.
    pub(crate) timestamp: u32,
    pub(crate) code: u8,
    pub(crate) end: bool,
    /// In ticks, since the timestamp.
    pub(crate) duration: u16,
    /// Ticks of the sender's clock in 125 µs.
    pub(crate) ticks: u8,
}

impl EventPacket {
    /// Reads a payload (RFC 4733 section 2.3); none if it is too short.
    pub(crate) fn parse(timestamp: u32, ticks: u32, payload: &[u8]) -> Option<Self> {
        let [code, flags, duration @ ..] = payload.first_chunk::<4>()?;
        let duration = u16::from_be_bytes(*duration);
        let ticks = u8::try_from(ticks).unwrap_or(1);
        Some(Self { timestamp, code: *code, end: flags & 0x80 != 0, duration, ticks })
    }
}

/// A press that has begun.
#[derive(Clone, Copy, Debug)]
struct Press {
    key: Key,
    /// Of the present segment.
    timestamp: u32,
    duration: u16,
    /// Ticks of the segments before it.
    before: u32,
    ticks: u8,
}

impl Press {
    const fn begun(key: Key, packet: EventPacket) -> Self {
        let EventPacket { timestamp, duration, ticks, .. } = packet;
        Self { key, timestamp, duration, before: 0, ticks }
    }

    fn milliseconds(&self) -> u16 {
        let samples = self.before.saturating_add(u32::from(self.duration));
        u16::try_from(samples / 8 / u32::from(self.ticks.max(1))).unwrap_or(u16::MAX)
    }
}

/// One party's presses.
///
/// ```text
///             a packet of a new event                 its end, or nothing for LOST_AFTER: told
///  (none) ────────────────────────────> (a press) ──────────────────────────────────────────> (none)
///    ^                                   │     ^
///    └── end and beginning in one: told ─┘     └── a later event begins: the one before it is told
///  A packet of a press that was told changes nothing. One of an earlier press that was not is told at once.
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presses {
    press: Option<Press>,
    /// The sender that all this is of.
    epoch: u32,
    /// Timestamps of the segments told last, the newest first.
    told: [u32; REMEMBERED],
    known: u8,
}

/// What has been told in one step: two at most, one that the other's beginning ended.
pub(crate) type Told = [Option<(Key, u16)>; 2];

impl Presses {
    pub(crate) const fn new() -> Self {
        Self { press: None, epoch: 0, told: [0; REMEMBERED], known: 0 }
    }

    /// Is a press under way, whose end may be lost?
    pub(crate) const fn is_open(&self) -> bool {
        self.press.is_some()
    }

    /// Nothing more came: the press under way is over.
    pub(crate) fn lost(&mut self) -> Option<(Key, u16)> {
        let press = self.press.take()?;
        self.remember(press.timestamp);
        Some((press.key, press.milliseconds()))
    }

    /// Takes a packet of the sender of this epoch.
    pub(crate) fn take(&mut self, epoch: u32, packet: EventPacket) -> Told {
        let Some(key) = Key::from_code(packet.code) else { return [None; 2] };
        let mut told = [None; 2];
        if epoch != self.epoch {
            told[0] = self.lost();
            (self.epoch, self.known) = (epoch, 0);
        }
        if self.told[..usize::from(self.known)].contains(&packet.timestamp) {
            return told;
        }
        match &mut self.press {
            Some(press) if press.timestamp == packet.timestamp => {
                press.duration = press.duration.max(packet.duration);
            }
            Some(press) if goes_on(press, key, packet.timestamp) => {
                let before = press.timestamp;
                press.before = press.before.saturating_add(SEGMENT);
                (press.timestamp, press.duration) = (packet.timestamp, packet.duration);
                self.remember(before);
            }
            Some(press) if packet.timestamp.wrapping_sub(press.timestamp).cast_signed() < 0 => {
                let late = Press::begun(key, packet);
                self.remember(packet.timestamp);
                return [Some((key, late.milliseconds())), None];
            }
            _ => {
                told[0] = told[0].or(self.lost());
                let begun = Press::begun(key, packet);
                self.press = Some(begun);
            }
        }
        if packet.end {
            told[1] = self.lost();
        }
        told
    }

    fn remember(&mut self, timestamp: u32) {
        self.told.rotate_right(1);
        self.told[0] = timestamp;
        self.known = (self.known + 1).min(8);
    }
}

/// Is this the next segment of a press that is longer than one can tell?
fn goes_on(press: &Press, key: Key, timestamp: u32) -> bool {
    press.key == key && timestamp.wrapping_sub(press.timestamp) == SEGMENT
}

#[cfg(test)]
mod tests;
