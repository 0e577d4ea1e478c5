//! How well a leg carries sound: what RTCP says, and what is made of it.

use crate::event::LegStatistics;

/// What is wrong with a party's sound, though its call is connected and nobody holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// Nothing comes from it: one-way sound.
    Absent,
    /// Packets come, but all that they say is digital silence or comfort noise, while the other party talks.
    Mute,
}

impl Fault {
    /// Name in the interface and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Mute => "mute",
        }
    }
}

/// Mean opinion scores (ITU-T P.800.1: MOS-CQE, by the E-model) in hundredths, 100 to 450; 0: not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scores {
    /// Of the newest interval.
    pub last: u16,
    /// Over all intervals.
    pub average: u16,
    /// Of the worst interval.
    pub worst: u16,
}

impl Scores {
    /// Those of two stretches of one call, the second of which came later. The average is that of the longer one:
    /// how long each lasted is not kept.
    #[must_use]
    const fn then(self, later: Self, later_is_longer: bool) -> Self {
        if self.last == 0 {
            return later;
        }
        if later.last == 0 {
            return self;
        }
        let worst = if self.worst < later.worst { self.worst } else { later.worst };
        let average = if later_is_longer { later.average } else { self.average };
        Self { last: later.last, average, worst }
    }
}

/// The quality of one leg: of what its party sends, as the gateway sees it, and of what the party hears, as its RTCP
/// tells (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Quality {
    /// RTCP packets (compound ones) sent to the party.
    pub reports_sent: u32,
    /// RTCP packets that came from the party and were understood.
    pub reports_received: u32,
    /// The newest round trip between gateway and party, in microseconds; 0: not known.
    pub round_trip_microseconds: u32,
    /// How many of our packets the party has lost, as it last said.
    pub heard_lost: i32,
    /// What share of our packets it lost between its last two reports, in 1/256.
    pub heard_fraction: u8,
    /// The interarrival jitter that it last told, in microseconds.
    pub heard_jitter_microseconds: u32,
    /// Of what the party sends.
    pub sent: Scores,
    /// Of what the party hears.
    pub heard: Scores,
    /// Loss of what the party sent in the newest interval, in hundredths of a percent.
    pub interval_loss: u16,
    /// Burst ratio (ITU-T G.107) of that loss over the whole call, in hundredths: 100 for random loss; 0: not known.
    pub burst_ratio: u16,
    /// How long nothing came from it, in milliseconds, while [`Fault::Absent`] was found.
    pub absent_milliseconds: u32,
    /// How long it was mute, in milliseconds, while [`Fault::Mute`] was found.
    pub mute_milliseconds: u32,
    /// What is wrong now.
    pub fault: Option<Fault>,
    /// It has said by RTCP that it leaves (RFC 3550 section 6.6).
    pub bye: bool,
}

impl Quality {
    /// The quality of a leg whose session was carried twice, by this gateway first and by another later.
    pub(crate) fn then(&self, before: &LegStatistics, later: &LegStatistics) -> Self {
        let new = &later.quality;
        let reported = new.reports_received > 0;
        let longer = later.packets_received > before.packets_received;
        Self {
            reports_sent: self.reports_sent.saturating_add(new.reports_sent),
            reports_received: self.reports_received.saturating_add(new.reports_received),
            round_trip_microseconds: match new.round_trip_microseconds {
                0 => self.round_trip_microseconds,
                known => known,
            },
            // The party counts on: the stream towards it is the same.
            heard_lost: if reported { new.heard_lost } else { self.heard_lost },
            heard_fraction: if reported { new.heard_fraction } else { self.heard_fraction },
            heard_jitter_microseconds: if reported {
                new.heard_jitter_microseconds
            } else {
                self.heard_jitter_microseconds
            },
            sent: self.sent.then(new.sent, longer),
            heard: self.heard.then(new.heard, longer),
            interval_loss: if later.packets_received > 0 { new.interval_loss } else { self.interval_loss },
            burst_ratio: if longer { new.burst_ratio } else { self.burst_ratio },
            absent_milliseconds: self.absent_milliseconds.saturating_add(new.absent_milliseconds),
            mute_milliseconds: self.mute_milliseconds.saturating_add(new.mute_milliseconds),
            fault: new.fault,
            bye: self.bye || new.bye,
        }
    }
}
