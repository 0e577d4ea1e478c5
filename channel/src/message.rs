//! Messages of the hand-over socket: one record of 64 bytes a datagram, with file descriptors beside it.

use crate::identity::{Recording, Shard, Sound};
use crate::record::field::{Reader, Writer, impossible};
use crate::record::{MAGIC, Record, RecordError};
use crate::sound::Codec;

/// A message that says how many descriptors it brings.
pub trait Message: Record<Bytes = [u8; 64]> {
    /// Descriptors that go with the message, no fewer and no more.
    fn descriptors(&self) -> usize;
}

/// What the control plane sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToGateway {
    /// First of all messages. Its layout is the same in every ABI version.
    Hello {
        /// The sender's ABI version.
        abi: u32,
        /// The sender's process number, for logs only.
        pid: u32,
    },
    /// A sound to play later, with the sealed memory file that holds it. Answered by `SoundReady` or
    /// `SoundRefused`.
    Sound {
        /// Its name from now on; not in use for another.
        sound: Sound,
        /// The codec that its octets are in.
        codec: Codec,
        /// Its octets, which is also the size of the memory file.
        bytes: u64,
    },
    /// The sound will not be asked for again; where it plays it plays on.
    ForgetSound {
        /// The sound.
        sound: Sound,
    },
    /// A file to record into later, with that file, empty and open for writing. Answered by `RecordingReady` or
    /// `RecordingRefused`.
    Recording {
        /// Its name from now on; never used before.
        recording: Recording,
    },
    /// The recording will not be started. One that runs goes on.
    ForgetRecording {
        /// The recording.
        recording: Recording,
    },
}

/// What the gateway sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToControl {
    /// Answers `Hello`; as many `Shard` messages follow as it says. Its layout is the same in every ABI version.
    Welcome {
        /// The gateway's ABI version.
        abi: u32,
        /// This life of the gateway; every segment carries it.
        epoch: u64,
        /// How many `Shard` messages follow.
        shards: u16,
    },
    /// Answers `Hello` and every connection after the first: the sender hangs up.
    Reject(Rejection),
    /// One shard, with four descriptors: rings, page, command doorbell, event doorbell.
    Shard(ShardDescription),
    /// The sound can be played.
    SoundReady {
        /// The sound.
        sound: Sound,
    },
    /// The sound cannot be played.
    SoundRefused {
        /// The sound.
        sound: Sound,
        /// Why.
        reason: FileRefusal,
    },
    /// The recording can be started.
    RecordingReady {
        /// The recording.
        recording: Recording,
    },
    /// The recording cannot be started.
    RecordingRefused {
        /// The recording.
        recording: Recording,
        /// Why.
        reason: FileRefusal,
    },
}

/// Why the gateway does not take a control plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// The two programs are of different versions.
    #[error("ABI version {theirs} does not fit the gateway's {ours}")]
    AbiMismatch {
        /// The control plane's version.
        theirs: u32,
        /// The gateway's version.
        ours: u32,
    },
    /// Another control plane is attached.
    #[error("another control plane is attached")]
    AlreadyAttached,
    /// The first message was not a `Hello`.
    #[error("the first message was no greeting")]
    NoHello,
    /// The gateway could not make rings for it (memory, descriptors).
    #[error("the gateway has no memory or descriptors left")]
    NoMemory,
}

/// Why the gateway does not take a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileRefusal {
    /// The memory file could still change.
    #[error("the memory file is not sealed")]
    Unsealed,
    /// It is empty, or not of the size that the message said.
    #[error("the file has the wrong size")]
    Size,
    /// It is not a file of the needed sort, or not open for what is needed.
    #[error("not a file that can be used")]
    Unusable,
    /// The name is in use.
    #[error("the name is in use")]
    InUse,
    /// The table of such files is full.
    #[error("too many files")]
    TooMany,
}

/// One shard, as it introduces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardDescription {
    /// Its place in the list.
    pub shard: Shard,
    /// The processor core that it is pinned to.
    pub core: u16,
    /// Media addresses, on each of which its range of ports exists; at least one.
    pub addresses: u8,
    /// First RTP port of its range.
    pub first_port: u16,
    /// Last port of its range, included.
    pub last_port: u16,
    /// Session slots.
    pub sessions: u32,
}

const HELLO: u8 = 1;
const SOUND: u8 = 2;
const FORGET_SOUND: u8 = 3;
const RECORDING: u8 = 4;
const FORGET_RECORDING: u8 = 5;

const WELCOME: u8 = 129;
const REJECT: u8 = 130;
const SHARD: u8 = 131;
const SOUND_READY: u8 = 132;
const SOUND_REFUSED: u8 = 133;
const RECORDING_READY: u8 = 134;
const RECORDING_REFUSED: u8 = 135;

impl Message for ToGateway {
    fn descriptors(&self) -> usize {
        match self {
            Self::Sound { .. } | Self::Recording { .. } => 1,
            Self::Hello { .. } | Self::ForgetSound { .. } | Self::ForgetRecording { .. } => 0,
        }
    }
}

impl Message for ToControl {
    fn descriptors(&self) -> usize {
        match self {
            Self::Shard(_) => 4,
            _ => 0,
        }
    }
}

impl Record for ToGateway {
    type Bytes = [u8; 64];

    const SIZE: usize = 64;
    const ZERO: Self::Bytes = [0; 64];

    fn encode(&self) -> Self::Bytes {
        let mut bytes = Self::ZERO;
        let mut w = Writer::new(&mut bytes);
        match self {
            Self::Hello { abi, pid } => w.u8(HELLO).u64(MAGIC).u32(*abi).u32(*pid),
            Self::Sound { sound, codec, bytes } => w.u8(SOUND).sound(*sound).codec(*codec).u64(*bytes),
            Self::ForgetSound { sound } => w.u8(FORGET_SOUND).sound(*sound),
            Self::Recording { recording } => w.u8(RECORDING).recording(*recording),
            Self::ForgetRecording { recording } => w.u8(FORGET_RECORDING).recording(*recording),
        };
        bytes
    }

    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8()? {
            HELLO => {
                magic(&mut r)?;
                Self::Hello { abi: r.u32()?, pid: r.u32()? }
            }
            SOUND => Self::Sound { sound: r.sound()?, codec: r.codec()?, bytes: r.u64()? },
            FORGET_SOUND => Self::ForgetSound { sound: r.sound()? },
            RECORDING => Self::Recording { recording: r.recording()? },
            FORGET_RECORDING => Self::ForgetRecording { recording: r.recording()? },
            kind => return Err(RecordError::UnknownKind { record: "message", kind }),
        };
        r.end(message)
    }
}

impl Record for ToControl {
    type Bytes = [u8; 64];

    const SIZE: usize = 64;
    const ZERO: Self::Bytes = [0; 64];

    fn encode(&self) -> Self::Bytes {
        let mut bytes = Self::ZERO;
        let mut w = Writer::new(&mut bytes);
        match self {
            Self::Welcome { abi, epoch, shards } => {
                w.u8(WELCOME).u64(MAGIC).u32(*abi).u64(*epoch).u16(*shards)
            }
            Self::Reject(rejection) => {
                let (kind, theirs, ours) = match rejection {
                    Rejection::AbiMismatch { theirs, ours } => (1, *theirs, *ours),
                    Rejection::AlreadyAttached => (2, 0, 0),
                    Rejection::NoHello => (3, 0, 0),
                    Rejection::NoMemory => (4, 0, 0),
                };
                w.u8(REJECT).u8(kind).u32(theirs).u32(ours)
            }
            Self::Shard(shard) => {
                w.u8(SHARD).u16(shard.shard.0).u16(shard.core).u8(shard.addresses);
                w.ports([shard.first_port, shard.last_port]).u32(shard.sessions)
            }
            Self::SoundReady { sound } => w.u8(SOUND_READY).sound(*sound),
            Self::SoundRefused { sound, reason } => {
                w.u8(SOUND_REFUSED).sound(*sound).u8(refusal_number(*reason))
            }
            Self::RecordingReady { recording } => w.u8(RECORDING_READY).recording(*recording),
            Self::RecordingRefused { recording, reason } => {
                w.u8(RECORDING_REFUSED).recording(*recording).u8(refusal_number(*reason))
            }
        };
        bytes
    }

    fn decode(bytes: &Self::Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let message = match r.u8()? {
            WELCOME => {
                magic(&mut r)?;
                Self::Welcome { abi: r.u32()?, epoch: r.u64()?, shards: r.u16()? }
            }
            REJECT => Self::Reject(rejection(r.u8()?, r.u32()?, r.u32()?)?),
            SHARD => Self::Shard(ShardDescription {
                shard: Shard(r.u16()?),
                core: r.u16()?,
                addresses: r.u8()?,
                first_port: r.u16()?,
                last_port: r.u16()?,
                sessions: r.u32()?,
            }),
            SOUND_READY => Self::SoundReady { sound: r.sound()? },
            SOUND_REFUSED => Self::SoundRefused { sound: r.sound()?, reason: refusal(r.u8()?)? },
            RECORDING_READY => Self::RecordingReady { recording: r.recording()? },
            RECORDING_REFUSED => {
                Self::RecordingRefused { recording: r.recording()?, reason: refusal(r.u8()?)? }
            }
            kind => return Err(RecordError::UnknownKind { record: "message", kind }),
        };
        r.end(message)
    }
}

fn magic(r: &mut Reader<'_>) -> Result<(), RecordError> {
    match r.u64()? {
        MAGIC => Ok(()),
        other => impossible("magic", other),
    }
}

fn rejection(number: u8, theirs: u32, ours: u32) -> Result<Rejection, RecordError> {
    match (number, theirs, ours) {
        (1, theirs, ours) => Ok(Rejection::AbiMismatch { theirs, ours }),
        (2, 0, 0) => Ok(Rejection::AlreadyAttached),
        (3, 0, 0) => Ok(Rejection::NoHello),
        (4, 0, 0) => Ok(Rejection::NoMemory),
        (other, ..) => impossible("rejection", other),
    }
}

const fn refusal_number(reason: FileRefusal) -> u8 {
    match reason {
        FileRefusal::Unsealed => 1,
        FileRefusal::Size => 2,
        FileRefusal::Unusable => 3,
        FileRefusal::InUse => 4,
        FileRefusal::TooMany => 5,
    }
}

fn refusal(number: u8) -> Result<FileRefusal, RecordError> {
    match number {
        1 => Ok(FileRefusal::Unsealed),
        2 => Ok(FileRefusal::Size),
        3 => Ok(FileRefusal::Unusable),
        4 => Ok(FileRefusal::InUse),
        5 => Ok(FileRefusal::TooMany),
        other => impossible("file refusal", other),
    }
}
