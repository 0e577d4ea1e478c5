//! The fields of a leg's quality.

use crate::quality::{Fault, Quality, Scores};
use crate::record::field::{Read, Reader, Writer, impossible};

impl Writer<'_> {
    pub(crate) fn fault(&mut self, fault: Option<Fault>) -> &mut Self {
        self.u8(match fault {
            None => 1,
            Some(Fault::Absent) => 2,
            Some(Fault::Mute) => 3,
        })
    }

    fn scores(&mut self, scores: Scores) -> &mut Self {
        self.u16(scores.last).u16(scores.average).u16(scores.worst)
    }

    pub(crate) fn quality(&mut self, quality: &Quality) -> &mut Self {
        self.u32(quality.reports_sent).u32(quality.reports_received).u32(quality.round_trip_microseconds);
        self.i32(quality.heard_lost).u8(quality.heard_fraction).u32(quality.heard_jitter_microseconds);
        self.scores(quality.sent).scores(quality.heard);
        self.u16(quality.interval_loss).u16(quality.burst_ratio);
        self.u32(quality.absent_milliseconds).u32(quality.mute_milliseconds);
        self.fault(quality.fault).flag(quality.bye)
    }
}

impl Reader<'_> {
    pub(crate) fn fault(&mut self) -> Read<Option<Fault>> {
        match self.u8()? {
            1 => Ok(None),
            2 => Ok(Some(Fault::Absent)),
            3 => Ok(Some(Fault::Mute)),
            other => impossible("fault", other),
        }
    }

    fn scores(&mut self) -> Read<Scores> {
        Ok(Scores { last: self.u16()?, average: self.u16()?, worst: self.u16()? })
    }

    pub(crate) fn quality(&mut self) -> Read<Quality> {
        Ok(Quality {
            reports_sent: self.u32()?,
            reports_received: self.u32()?,
            round_trip_microseconds: self.u32()?,
            heard_lost: self.i32()?,
            heard_fraction: self.u8()?,
            heard_jitter_microseconds: self.u32()?,
            sent: self.scores()?,
            heard: self.scores()?,
            interval_loss: self.u16()?,
            burst_ratio: self.u16()?,
            absent_milliseconds: self.u32()?,
            mute_milliseconds: self.u32()?,
            fault: self.fault()?,
            bye: self.flag("bye")?,
        })
    }
}
