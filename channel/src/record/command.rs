//! [`Command`] as a record of 128 bytes.

use crate::command::{Command, Source};
use crate::record::field::{Reader, Writer, impossible};
use crate::record::{Record, RecordError};
use crate::sound::{RecordChannels, RecordFormat, RecordHold};

const OPEN: u8 = 1;
const FAR_END: u8 = 2;
const HEAR: u8 = 3;
const JOIN: u8 = 4;
const RECORD_START: u8 = 5;
const RECORD_STOP: u8 = 6;
const CLOSE: u8 = 7;
const PLAY: u8 = 8;
const PLAY_STOP: u8 = 9;
const SEND_KEYS: u8 = 10;
const SECURE: u8 = 11;
const LEARN: u8 = 12;

impl Record for Command {
    type Bytes = [u8; 128];

    const SIZE: usize = 128;
    const ZERO: Self::Bytes = [0; 128];

    fn encode(&self) -> Self::Bytes {
        let mut bytes = Self::ZERO;
        let mut w = Writer::new(&mut bytes);
        match self {
            Self::Open { tag, legs: [first, second] } => {
                w.u8(OPEN).tag(*tag).leg_opening(first).leg_opening(second)
            }
            Self::FarEnd { session, party, far_end } => {
                w.u8(FAR_END).session(*session).party(*party).far_end(far_end)
            }
            Self::Secure { session, party, keys, heard } => {
                w.u8(SECURE).session(*session).party(*party).secret(keys.as_ref()).heard(*heard)
            }
            Self::Learn { session, party, signaling } => {
                w.u8(LEARN).session(*session).party(*party).ip(*signaling)
            }
            Self::Hear { session, party, source } => {
                w.u8(HEAR).session(*session).party(*party).source(*source)
            }
            Self::Join { session } => w.u8(JOIN).session(*session),
            Self::RecordStart { session, recording, format, channels, hold } => {
                w.u8(RECORD_START).session(*session).recording(*recording);
                w.u8(format_number(*format)).u8(channels_number(*channels)).flag(*hold == RecordHold::Pause)
            }
            Self::RecordStop { session, recording } => {
                w.u8(RECORD_STOP).session(*session).recording(*recording)
            }
            Self::Play { session, party, action, sound, repeat } => {
                w.u8(PLAY).session(*session).party(*party).action(*action);
                w.source(Source::Sound { sound: *sound, repeat: *repeat })
            }
            Self::PlayStop { session, party, action } => {
                w.u8(PLAY_STOP).session(*session).party(*party).action(*action)
            }
            Self::SendKeys { session, party, action, keys } => {
                w.u8(SEND_KEYS).session(*session).party(*party).action(*action).keys(keys)
            }
            Self::Close { session } => w.u8(CLOSE).session(*session),
        };
        bytes
    }

    fn is_secret(&self) -> bool {
        matches!(self, Self::Secure { .. })
    }

    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let command = match r.u8()? {
            OPEN => Self::Open { tag: r.tag()?, legs: [r.leg_opening()?, r.leg_opening()?] },
            FAR_END => Self::FarEnd { session: r.session()?, party: r.party()?, far_end: r.far_end()? },
            SECURE => Self::Secure {
                session: r.session()?,
                party: r.party()?,
                keys: r.secret()?,
                heard: r.heard()?,
            },
            LEARN => Self::Learn { session: r.session()?, party: r.party()?, signaling: r.ip()? },
            HEAR => Self::Hear { session: r.session()?, party: r.party()?, source: r.source()? },
            JOIN => Self::Join { session: r.session()? },
            RECORD_START => Self::RecordStart {
                session: r.session()?,
                recording: r.recording()?,
                format: format(r.u8()?)?,
                channels: channels(r.u8()?)?,
                hold: if r.flag("record hold")? { RecordHold::Pause } else { RecordHold::Silence },
            },
            RECORD_STOP => Self::RecordStop { session: r.session()?, recording: r.recording()? },
            PLAY => {
                let (session, party, action) = (r.session()?, r.party()?, r.action()?);
                let Source::Sound { sound, repeat } = r.source()? else {
                    return impossible("source", 0_u8);
                };
                Self::Play { session, party, action, sound, repeat }
            }
            PLAY_STOP => Self::PlayStop { session: r.session()?, party: r.party()?, action: r.action()? },
            SEND_KEYS => Self::SendKeys {
                session: r.session()?,
                party: r.party()?,
                action: r.action()?,
                keys: r.keys()?,
            },
            CLOSE => Self::Close { session: r.session()? },
            kind => return Err(RecordError::UnknownKind { record: "command", kind }),
        };
        r.end(command)
    }
}

const fn format_number(format: RecordFormat) -> u8 {
    match format {
        RecordFormat::Alaw => 1,
        RecordFormat::Ulaw => 2,
        RecordFormat::Pcm16 => 3,
        RecordFormat::Opus => 4,
    }
}

fn format(number: u8) -> Result<RecordFormat, RecordError> {
    match number {
        1 => Ok(RecordFormat::Alaw),
        2 => Ok(RecordFormat::Ulaw),
        3 => Ok(RecordFormat::Pcm16),
        4 => Ok(RecordFormat::Opus),
        other => impossible("record format", other),
    }
}

const fn channels_number(channels: RecordChannels) -> u8 {
    match channels {
        RecordChannels::Mixed => 1,
        RecordChannels::Separate => 2,
    }
}

fn channels(number: u8) -> Result<RecordChannels, RecordError> {
    match number {
        1 => Ok(RecordChannels::Mixed),
        2 => Ok(RecordChannels::Separate),
        other => impossible("record channels", other),
    }
}
