//! [`Event`] as a record of 256 bytes.

use crate::event::{ActionOutcome, Event, PlayOutcome, RecordOutcome, Refusal};
use crate::record::field::{Reader, Writer, impossible};
use crate::record::{Record, RecordError};

const OPENED: u8 = 1;
const REFUSED: u8 = 2;
const JOINED: u8 = 3;
const PLAYED: u8 = 4;
const SILENT: u8 = 5;
const RECORDED: u8 = 6;
const CLOSED: u8 = 7;
const ACTION_ENDED: u8 = 8;
const PRESSED: u8 = 9;
const FAULT: u8 = 10;
const UNAUTHENTIC: u8 = 11;

impl Record for Event {
    type Bytes = [u8; 256];

    const SIZE: usize = 256;
    const ZERO: Self::Bytes = [0; 256];

    fn encode(&self) -> Self::Bytes {
        let mut bytes = Self::ZERO;
        let mut w = Writer::new(&mut bytes);
        match self {
            Self::Opened { tag, session, ports: [first, second] } => {
                w.u8(OPENED).tag(*tag).session(*session).local_port(*first).local_port(*second)
            }
            Self::Refused { tag, reason } => w.u8(REFUSED).tag(*tag).u8(refusal_number(*reason)),
            Self::Joined { session } => w.u8(JOINED).session(*session),
            Self::Played { session, party, sound, outcome } => {
                w.u8(PLAYED).session(*session).party(*party).sound(*sound).u8(play_number(*outcome))
            }
            Self::ActionEnded { session, party, action, outcome } => {
                w.u8(ACTION_ENDED).session(*session).party(*party).action(*action).u8(action_number(*outcome))
            }
            Self::Pressed { session, party, key, milliseconds } => {
                w.u8(PRESSED).session(*session).party(*party).key(*key).u16(*milliseconds)
            }
            Self::Silent { session, party } => w.u8(SILENT).session(*session).party(*party),
            Self::Fault { session, party, fault } => {
                w.u8(FAULT).session(*session).party(*party).fault(*fault)
            }
            Self::Unauthentic { session, party } => w.u8(UNAUTHENTIC).session(*session).party(*party),
            Self::Recorded { session, recording, outcome, duration, bytes, missing, tracks } => {
                let (kind, errno) = record_numbers(*outcome);
                w.u8(RECORDED).session(*session).recording(*recording).u8(kind).i32(errno);
                w.duration(*duration).u64(*bytes).u32(*missing).track(&tracks[0]).track(&tracks[1])
            }
            Self::Closed { session, tag, statistics: [first, second] } => {
                w.u8(CLOSED).session(*session).tag(*tag).statistics(first).statistics(second)
            }
        };
        bytes
    }

    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let event = match r.u8()? {
            OPENED => Self::Opened {
                tag: r.tag()?,
                session: r.session()?,
                ports: [r.local_port()?, r.local_port()?],
            },
            REFUSED => Self::Refused { tag: r.tag()?, reason: refusal(r.u8()?)? },
            JOINED => Self::Joined { session: r.session()? },
            PLAYED => Self::Played {
                session: r.session()?,
                party: r.party()?,
                sound: r.sound()?,
                outcome: play_outcome(r.u8()?)?,
            },
            ACTION_ENDED => Self::ActionEnded {
                session: r.session()?,
                party: r.party()?,
                action: r.action()?,
                outcome: action_outcome(r.u8()?)?,
            },
            PRESSED => Self::Pressed {
                session: r.session()?,
                party: r.party()?,
                key: r.key()?,
                milliseconds: r.u16()?,
            },
            SILENT => Self::Silent { session: r.session()?, party: r.party()? },
            FAULT => Self::Fault { session: r.session()?, party: r.party()?, fault: r.fault()? },
            UNAUTHENTIC => Self::Unauthentic { session: r.session()?, party: r.party()? },
            RECORDED => Self::Recorded {
                session: r.session()?,
                recording: r.recording()?,
                outcome: record_outcome(r.u8()?, r.i32()?)?,
                duration: r.duration()?,
                bytes: r.u64()?,
                missing: r.u32()?,
                tracks: [r.track()?, r.track()?],
            },
            CLOSED => Self::Closed {
                session: r.session()?,
                tag: r.tag()?,
                statistics: [r.statistics()?, r.statistics()?],
            },
            kind => return Err(RecordError::UnknownKind { record: "event", kind }),
        };
        r.end(event)
    }
}

const fn refusal_number(reason: Refusal) -> u8 {
    match reason {
        Refusal::NoSlot => 1,
        Refusal::NoPort => 2,
        Refusal::NoSocket => 3,
    }
}

fn refusal(number: u8) -> Result<Refusal, RecordError> {
    match number {
        1 => Ok(Refusal::NoSlot),
        2 => Ok(Refusal::NoPort),
        3 => Ok(Refusal::NoSocket),
        other => impossible("refusal", other),
    }
}

const fn play_number(outcome: PlayOutcome) -> u8 {
    match outcome {
        PlayOutcome::Finished => 1,
        PlayOutcome::Replaced => 2,
        PlayOutcome::Missing => 3,
    }
}

fn play_outcome(number: u8) -> Result<PlayOutcome, RecordError> {
    match number {
        1 => Ok(PlayOutcome::Finished),
        2 => Ok(PlayOutcome::Replaced),
        3 => Ok(PlayOutcome::Missing),
        other => impossible("play outcome", other),
    }
}

const fn action_number(outcome: ActionOutcome) -> u8 {
    match outcome {
        ActionOutcome::Finished => 1,
        ActionOutcome::Stopped => 2,
        ActionOutcome::Replaced => 3,
        ActionOutcome::Missing => 4,
        ActionOutcome::Held => 5,
    }
}

fn action_outcome(number: u8) -> Result<ActionOutcome, RecordError> {
    match number {
        1 => Ok(ActionOutcome::Finished),
        2 => Ok(ActionOutcome::Stopped),
        3 => Ok(ActionOutcome::Replaced),
        4 => Ok(ActionOutcome::Missing),
        5 => Ok(ActionOutcome::Held),
        other => impossible("action outcome", other),
    }
}

const fn record_numbers(outcome: RecordOutcome) -> (u8, i32) {
    match outcome {
        RecordOutcome::Saved => (1, 0),
        RecordOutcome::WriteFailed { errno } => (2, errno),
        RecordOutcome::Overrun => (3, 0),
        RecordOutcome::Missing => (4, 0),
    }
}

fn record_outcome(number: u8, errno: i32) -> Result<RecordOutcome, RecordError> {
    match (number, errno) {
        (1, 0) => Ok(RecordOutcome::Saved),
        (2, errno) => Ok(RecordOutcome::WriteFailed { errno }),
        (3, 0) => Ok(RecordOutcome::Overrun),
        (4, 0) => Ok(RecordOutcome::Missing),
        (other, _) => impossible("record outcome", other),
    }
}
