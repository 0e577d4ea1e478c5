//! The two ends of a shard's part of the wall, complete: rings, page and doorbells in one value each.
//!
//! The gateway makes everything ([`ShardWall`] for its life, a [`GatewaySide`] for each control plane that
//! attaches) and hands it over; the control plane calls [`Attachment::open`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::command::Command;
use crate::descriptors::Doorbell;
use crate::event::Event;
use crate::handover::{Connection, HandoverError};
use crate::message::{Rejection, ShardDescription, ToControl, ToGateway};
use crate::page::{PageReader, PageWriter};
use crate::record::ABI_VERSION;
use crate::ring::{Consumer, Place, Poisoned, Producer, PushError};
use crate::segment::{HEADER_WORDS, Segment, SegmentError, SegmentHeader, SegmentKind};

/// The most shards that a gateway may have: one a core, with room to spare.
const MOST_SHARDS: u16 = 1024;

/// Why the control plane could not attach.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The socket failed, or something that is no message came.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The gateway does not take us.
    #[error("the gateway refused: {0}")]
    Rejected(Rejection),
    /// The gateway is of another version.
    #[error("the gateway has ABI version {theirs}, ours is {ours}")]
    Abi {
        /// Its version.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The gateway's shared memory is not as it must be.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// Another message than the protocol has at that point, or an impossible number of shards.
    #[error("the gateway sent an unexpected message: {0}")]
    Unexpected(&'static str),
}

/// The gateway's end of one shard, for one attached control plane.
#[derive(Debug)]
pub struct GatewaySide {
    /// What the control plane tells the shard.
    pub commands: Consumer<Command>,
    /// What the shard tells the control plane; [`GatewaySide::flush`] after a batch.
    pub events: Producer<Event>,
    /// Rung by the control plane when the shard sleeps; read it through io_uring (it blocks).
    pub command_doorbell: Doorbell,
    /// Rung by the shard when the control plane sleeps.
    pub event_doorbell: Doorbell,
}

impl GatewaySide {
    /// Rings the control plane's doorbell if it sleeps. To be called once after each batch of events.
    #[inline]
    pub fn flush(&mut self) {
        if self.events.doorbell_due() {
            self.event_doorbell.ring();
        }
    }
}

/// What the gateway hands over for one shard.
#[derive(Debug)]
pub struct ShardOffer {
    description: ShardDescription,
    rings: OwnedFd,
    page: PageWriter,
    command_doorbell: Doorbell,
    event_doorbell: Doorbell,
}

impl ShardOffer {
    /// Sends it over the connection.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send(&self, connection: &Connection) -> Result<(), HandoverError> {
        let files = [
            self.rings.as_fd(),
            self.page.file(),
            self.command_doorbell.as_fd(),
            self.event_doorbell.as_fd(),
        ];
        connection.send(&ToControl::Shard(self.description), &files)
    }
}

/// Gateway: makes fresh rings and doorbells for one shard and one control plane; the page lives as long as the
/// gateway. `commands` and `events` are capacities in records, powers of two.
///
/// # Errors
/// A capacity that cannot be, and the system's.
pub fn offer_shard(
    description: ShardDescription,
    epoch: u64,
    page: &PageWriter,
    commands: u32,
    events: u32,
) -> Result<(GatewaySide, ShardOffer), SegmentError> {
    let parameters = [u64::from(commands), u64::from(events), u64::from(description.shard.0), 0];
    let (places, words) = places(parameters)?;
    let header = SegmentHeader { kind: SegmentKind::Rings, epoch, parameters };
    let (segment, rings) = Segment::create(&header, words)?;
    let segment = Arc::new(segment);
    let (command_doorbell, event_doorbell) = (Doorbell::blocking()?, Doorbell::polled()?);
    let copy = |bell: &Doorbell| bell.try_clone().map_err(|error| errno_of(&error));
    let side = GatewaySide {
        commands: Consumer::new(Arc::clone(&segment), places[0]),
        events: Producer::new(segment, places[1]),
        command_doorbell: copy(&command_doorbell)?,
        event_doorbell: copy(&event_doorbell)?,
    };
    let page = page.clone();
    Ok((side, ShardOffer { description, rings, page, command_doorbell, event_doorbell }))
}

/// Gateway: answers a control plane that has greeted with everything that it needs.
///
/// # Errors
/// As [`Connection::send`].
pub fn welcome(connection: &Connection, epoch: u64, shards: &[ShardOffer]) -> Result<(), HandoverError> {
    let count = u16::try_from(shards.len()).unwrap_or(MOST_SHARDS);
    connection.send(&ToControl::Welcome { abi: ABI_VERSION, epoch, shards: count }, &[])?;
    shards.iter().try_for_each(|shard| shard.send(connection))
}

/// The control plane's end of one shard.
#[derive(Debug)]
pub struct ControlSide {
    /// The shard as it introduced itself.
    pub description: ShardDescription,
    /// What the control plane tells the shard; [`ControlSide::flush`] after a batch, or use [`ControlSide::send`].
    pub commands: Producer<Command>,
    /// What the shard tells the control plane.
    pub events: Consumer<Event>,
    /// Counters and session snapshots.
    pub page: PageReader,
    /// Rung by the control plane when the shard sleeps.
    pub command_doorbell: Doorbell,
    /// Rung by the shard when the control plane sleeps; does not block, for an event loop.
    pub event_doorbell: Doorbell,
}

impl ControlSide {
    /// Pushes one command and wakes the shard if it sleeps.
    ///
    /// # Errors
    /// As [`Producer::push`].
    pub fn send(&mut self, command: &Command) -> Result<(), PushError> {
        self.commands.push(command)?;
        self.flush();
        Ok(())
    }

    /// Rings the shard's doorbell if it sleeps. To be called once after each batch of commands.
    pub fn flush(&mut self) {
        if self.commands.doorbell_due() {
            self.command_doorbell.ring();
        }
    }

    /// Takes the next event, waiting at most `timeout` for it; for callers without an event loop.
    ///
    /// # Errors
    /// The ring is poisoned.
    pub fn wait_event(&mut self, timeout: Duration) -> Result<Option<Event>, Poisoned> {
        if let Some(event) = self.events.pop()? {
            return Ok(Some(event));
        }
        if self.events.prepare_sleep()? {
            let _rung = self.event_doorbell.wait(timeout);
            self.events.wake();
        }
        self.events.pop()
    }

    fn open(description: ShardDescription, files: Vec<OwnedFd>, epoch: u64) -> Result<Self, AttachError> {
        // The message has been checked to bring four.
        let Ok([rings, page, commands, events]) = <[OwnedFd; 4]>::try_from(files) else {
            return Err(AttachError::Unexpected("a shard without its descriptors"));
        };
        let (segment, parameters) = Segment::open(rings.as_fd(), SegmentKind::Rings, epoch)?;
        let (places, words) = places(parameters)?;
        segment.expect_payload(words)?;
        let page = PageReader::open(page.as_fd(), epoch)?;
        let segment = Arc::new(segment);
        Ok(Self {
            description,
            commands: Producer::new(Arc::clone(&segment), places[0]),
            events: Consumer::new(segment, places[1]),
            page,
            command_doorbell: Doorbell::from_peer(commands),
            event_doorbell: Doorbell::from_peer(events),
        })
    }
}

/// Where the two rings lie in their segment, and how many words it has behind the header.
fn places(parameters: [u64; 4]) -> Result<([Place; 2], usize), SegmentError> {
    let [commands, events, ..] = parameters;
    let command_words = Place::words::<Command>(commands)?;
    let event_words = Place::words::<Event>(events)?;
    // Both at most 2^20: `Place::words` has checked.
    let capacity = |value: u64| u32::try_from(value).unwrap_or(0);
    let first = Place { base: HEADER_WORDS, capacity: capacity(commands) };
    let second = Place { base: HEADER_WORDS + command_words, capacity: capacity(events) };
    Ok(([first, second], command_words + event_words))
}

fn errno_of(error: &std::io::Error) -> SegmentError {
    rustix::io::Errno::from_io_error(error).map_or(SegmentError::Mapping(0), SegmentError::System)
}

/// The control plane's attachment to a gateway. While it lives no other control plane is taken; the calls go on
/// when it is dropped.
#[derive(Debug)]
pub struct Attachment {
    /// For sounds and recordings, and to see when the gateway hangs up. Blocking, as it is given.
    pub connection: Connection,
    /// This life of the gateway.
    pub epoch: u64,
    /// All its shards, in order.
    pub shards: Vec<ControlSide>,
}

impl Attachment {
    /// Attaches to the gateway that listens on `path`, waiting at most `timeout` for each of its messages.
    ///
    /// # Errors
    /// No gateway, one that refuses, one of another version, or one whose messages or memory are not as they
    /// must be.
    pub fn open(path: &Path, timeout: Duration) -> Result<Self, AttachError> {
        let connection = Connection::open(path)?;
        connection.set_timeout(Some(timeout))?;
        let attachment = Self::greet(connection)?;
        attachment.connection.set_timeout(None)?;
        Ok(attachment)
    }

    /// Greets over a connection that is open already, and takes what the gateway hands over.
    ///
    /// # Errors
    /// As [`Attachment::open`].
    pub fn greet(connection: Connection) -> Result<Self, AttachError> {
        connection.send(&ToGateway::Hello { abi: ABI_VERSION, pid: std::process::id() }, &[])?;
        let (epoch, count) = match connection.receive()?.0 {
            ToControl::Welcome { abi: ABI_VERSION, epoch, shards: count @ 1..=MOST_SHARDS } => (epoch, count),
            ToControl::Welcome { abi: ABI_VERSION, .. } => {
                return Err(AttachError::Unexpected("an impossible number of shards"));
            }
            ToControl::Welcome { abi, .. } => {
                return Err(AttachError::Abi { theirs: abi, ours: ABI_VERSION });
            }
            ToControl::Reject(rejection) => return Err(AttachError::Rejected(rejection)),
            _ => return Err(AttachError::Unexpected("neither welcome nor rejection")),
        };
        let mut shards = Vec::with_capacity(usize::from(count));
        for index in 0..count {
            match connection.receive()? {
                (ToControl::Shard(shard), files) if shard.shard.0 == index => {
                    shards.push(ControlSide::open(shard, files, epoch)?);
                }
                _ => return Err(AttachError::Unexpected("not the next shard")),
            }
        }
        Ok(Self { connection, epoch, shards })
    }
}
