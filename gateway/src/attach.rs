//! The attach thread: takes control planes in, one at a time, and what they hand over.
//!
//! ```text
//!              connect, Hello fits             message
//!   (waiting) ─────────────────────> attached ─────────> sound, recording: handed on, answered
//!       ^                               │
//!       │   EOF, garbage, poisoned ring │
//!       └───────────────────────────────┘     sessions live on; the next one gets fresh rings and the same pages
//! ```
//! Whoever else connects meanwhile is told `AlreadyAttached`.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use duogate_channel::descriptors::Doorbell;
use duogate_channel::handover::{Connection, Doorway, HandoverError};
use duogate_channel::identity::{Recording, Sound};
use duogate_channel::message::{FileRefusal, Rejection, ShardDescription, ToControl, ToGateway};
use duogate_channel::page::PageWriter;
use duogate_channel::segment::{SealedBytes, SegmentError};
use duogate_channel::sides::{offer_shard, welcome};
use duogate_channel::sound::Codec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use crate::inbox::{Attachment, Inbox, Notice, StoredSound};
use crate::limits;
use crate::recorder::{Desk, HANDED, Paper};

/// Commands that may wait in a shard's ring: a burst of some hundred calls set up at once, ten commands each.
const COMMAND_RING: u32 = 4096;

/// Events that may wait in a shard's ring; what finds no room stays in the shard.
const EVENT_RING: u32 = 4096;

/// Sounds that one control plane may have handed over at once.
const MOST_SOUNDS: usize = 4096;

/// How long a peer may take over its greeting, and over reading an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same for somebody who will be refused anyway, while the guest waits.
const IMPATIENCE: Duration = Duration::from_millis(200);

/// One shard, as the attach thread knows it.
pub struct ShardDoor {
    /// How it introduces itself.
    pub description: ShardDescription,
    /// Its page.
    pub page: PageWriter,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
}

/// What the attach thread needs.
pub struct Reception {
    /// The listening socket.
    pub doorway: Doorway,
    /// This life of the gateway.
    pub epoch: u64,
    /// All shards, in order.
    pub shards: Vec<ShardDoor>,
    /// The recorder's.
    pub desk: Arc<Desk>,
    /// Rung when a shard condemns its rings, or the gateway ends.
    pub bell: Doorbell,
    /// The gateway ends.
    pub closing: Arc<AtomicBool>,
}

/// Starts the thread; the socket listens already.
///
/// # Errors
/// The system's, if there is no thread to be had.
pub fn start(reception: Reception) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("attach".into()).spawn(move || {
        let mut hall = Hall { reception, guest: None };
        while !hall.reception.closing.load(Ordering::Acquire) {
            if let Err(error) = hall.turn() {
                tracing::error!(%error, "the hand-over socket has failed");
                // Nothing that could be done at once; the thread must not spin.
                thread::sleep(PATIENCE);
            }
        }
    })
}

/// Names of recordings that are remembered: far more than can be under way at once.
const REMEMBERED: usize = 65_536;

/// The names of recordings that were handed over, the latest of them: no two may have the same.
#[derive(Default)]
struct Names {
    known: HashSet<Recording>,
    order: VecDeque<Recording>,
}

impl Names {
    /// False: it is known.
    fn insert(&mut self, recording: Recording) -> bool {
        if !self.known.insert(recording) {
            return false;
        }
        self.order.push_back(recording);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// It may come again.
    fn remove(&mut self, recording: Recording) {
        if self.known.remove(&recording) {
            self.order.retain(|known| *known != recording);
        }
    }
}

/// The attached control plane.
struct Guest {
    connection: Connection,
    attachment: Arc<Attachment>,
    sounds: HashSet<Sound>,
    recordings: Names,
    pid: u32,
}

struct Hall {
    reception: Reception,
    guest: Option<Guest>,
}

impl Hall {
    /// Waits for something, and deals with it.
    fn turn(&mut self) -> Result<(), HandoverError> {
        let (came, spoke) = self.wait()?;
        self.reception.bell.drain();
        if self.guest.as_ref().is_some_and(|guest| guest.attachment.is_broken()) {
            self.farewell("its rings were poisoned");
        }
        if spoke && self.guest.is_some() {
            self.listen();
        }
        if came { self.receive() } else { Ok(()) }
    }

    /// Has somebody connected, and has the guest said something?
    fn wait(&self) -> Result<(bool, bool), HandoverError> {
        let door = self.reception.doorway.as_fd();
        let guest = self.guest.as_ref().map_or(door, |guest| guest.connection.as_fd());
        let mut files = [
            PollFd::from_borrowed_fd(door, PollFlags::IN),
            PollFd::new(&self.reception.bell, PollFlags::IN),
            PollFd::from_borrowed_fd(guest, PollFlags::IN),
        ];
        match poll(&mut files, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((!files[0].revents().is_empty(), !files[2].revents().is_empty()))
    }

    /// Takes in whoever stands before the door, or says why not.
    fn receive(&mut self) -> Result<(), HandoverError> {
        let connection = self.reception.doorway.accept()?;
        let outcome = connection.set_timeout(Some(PATIENCE)).and_then(|()| self.admit(connection));
        if let Err(error) = outcome {
            tracing::warn!(%error, "a control plane could not attach");
        }
        Ok(())
    }

    fn admit(&mut self, connection: Connection) -> Result<(), HandoverError> {
        if self.guest.is_some() {
            // The greeting is heard out, briefly: whoever is still writing it would not read the answer.
            connection.set_timeout(Some(IMPATIENCE))?;
        }
        let pid = match connection.receive_hello()? {
            Ok(pid) => pid,
            Err(rejection) => {
                tracing::warn!(%rejection, "a control plane was refused");
                return Ok(());
            }
        };
        if self.guest.is_some() {
            tracing::warn!(pid, "a second control plane was refused");
            return connection.reject(Rejection::AlreadyAttached);
        }
        let attachment = match self.reception.bell.try_clone() {
            Ok(bell) => Arc::new(Attachment::new(bell)),
            Err(_) => return connection.reject(Rejection::NoMemory),
        };
        let (mut sides, mut offers) = (Vec::new(), Vec::new());
        for shard in &self.reception.shards {
            match offer_shard(shard.description, self.reception.epoch, &shard.page, COMMAND_RING, EVENT_RING)
            {
                Ok((side, offer)) => {
                    sides.push(side);
                    offers.push(offer);
                }
                Err(error) => {
                    tracing::error!(%error, "no rings for a control plane");
                    return connection.reject(Rejection::NoMemory);
                }
            }
        }
        welcome(&connection, self.reception.epoch, &offers)?;
        connection.set_timeout(Some(PATIENCE))?;
        for (shard, side) in self.reception.shards.iter().zip(sides) {
            leave(shard, Notice::Attach(Box::new(side), Arc::clone(&attachment)));
        }
        tracing::info!(pid, "control plane attached");
        let (sounds, recordings) = (HashSet::new(), Names::default());
        self.guest = Some(Guest { connection, attachment, sounds, recordings, pid });
        Ok(())
    }

    /// Takes one message of the guest.
    fn listen(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        let outcome = match guest.connection.receive::<ToGateway>() {
            // It was only a rumor; whatever there is to read comes.
            Err(HandoverError::WouldBlock) => Ok(()),
            Ok((message, files)) => answer(&self.reception, guest, &message, files),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {}
            Err(HandoverError::Closed) => self.farewell("it hung up"),
            Err(HandoverError::WouldBlock) => self.farewell("it does not read its answers"),
            Err(error) => self.farewell(&error.to_string()),
        }
    }

    /// The guest has gone, or must go. Its sessions live on.
    fn farewell(&mut self, why: &str) {
        let Some(guest) = self.guest.take() else { return };
        tracing::warn!(pid = guest.pid, why, "control plane detached; its sessions go on");
        for shard in &self.reception.shards {
            leave(shard, Notice::Detach);
        }
        paper(&self.reception.desk, Paper::ForgetAll);
    }
}

/// Deals with one message and answers it.
fn answer(
    reception: &Reception,
    guest: &mut Guest,
    message: &ToGateway,
    files: Vec<OwnedFd>,
) -> Result<(), HandoverError> {
    let reply = match *message {
        ToGateway::Hello { .. } => return Err(HandoverError::Closed),
        ToGateway::Sound { sound, codec, bytes } => {
            match keep_sound(reception, guest, sound, codec, bytes, &files) {
                Ok(()) => ToControl::SoundReady { sound },
                Err(reason) => ToControl::SoundRefused { sound, reason },
            }
        }
        ToGateway::ForgetSound { sound } => {
            if guest.sounds.remove(&sound) {
                reception.shards.iter().for_each(|shard| leave(shard, Notice::Forget(sound)));
            }
            return Ok(());
        }
        ToGateway::Recording { recording } => match keep_recording(reception, guest, recording, files) {
            Ok(()) => ToControl::RecordingReady { recording },
            Err(reason) => ToControl::RecordingRefused { recording, reason },
        },
        ToGateway::ForgetRecording { recording } => {
            guest.recordings.remove(recording);
            paper(&reception.desk, Paper::Forget(recording));
            return Ok(());
        }
    };
    guest.connection.send(&reply, &[])
}

fn keep_sound(
    reception: &Reception,
    guest: &mut Guest,
    sound: Sound,
    codec: Codec,
    bytes: u64,
    files: &[OwnedFd],
) -> Result<(), FileRefusal> {
    if guest.sounds.contains(&sound) {
        return Err(FileRefusal::InUse);
    }
    if guest.sounds.len() >= MOST_SOUNDS {
        return Err(FileRefusal::TooMany);
    }
    let file = files.first().ok_or(FileRefusal::Unusable)?;
    let octets = SealedBytes::open(file.as_fd(), bytes).map_err(|error| match error {
        SegmentError::Unsealed { .. } => FileRefusal::Unsealed,
        SegmentError::Size { .. } => FileRefusal::Size,
        _ => FileRefusal::Unusable,
    })?;
    let stored = Arc::new(StoredSound { codec, octets });
    for shard in &reception.shards {
        leave(shard, Notice::Sound(sound, Arc::clone(&stored)));
    }
    guest.sounds.insert(sound);
    Ok(())
}

fn keep_recording(
    reception: &Reception,
    guest: &mut Guest,
    recording: Recording,
    files: Vec<OwnedFd>,
) -> Result<(), FileRefusal> {
    if !guest.recordings.insert(recording) {
        return Err(FileRefusal::InUse);
    }
    let outcome = files.into_iter().next().ok_or(FileRefusal::Unusable).and_then(|file| {
        check_recording(&file)?;
        if !limits::leaves_room(file.as_fd(), reception.shards.len()) {
            return Err(FileRefusal::TooMany);
        }
        let paper = Paper::Handed(recording, File::from(file));
        reception.desk.papers.push(paper).map_err(|_| FileRefusal::TooMany)?;
        reception.desk.bell.wake();
        Ok(())
    });
    if outcome.is_err() {
        guest.recordings.remove(recording);
    }
    outcome
}

/// A regular, empty file that may be written at any place.
fn check_recording(file: &OwnedFd) -> Result<(), FileRefusal> {
    let status = fstat(file).map_err(|_| FileRefusal::Unusable)?;
    let flags = fcntl_getfl(file).map_err(|_| FileRefusal::Unusable)?;
    let regular = FileType::from_raw_mode(status.st_mode).is_file();
    let writable = flags.intersects(OFlags::WRONLY | OFlags::RDWR) && !flags.contains(OFlags::APPEND);
    match (regular && writable, status.st_size) {
        (true, 0) => Ok(()),
        (true, _) => Err(FileRefusal::Size),
        (false, _) => Err(FileRefusal::Unusable),
    }
}

/// Leaves a notice with a shard. A full inbox means that the shard does not run; it is told until it takes it,
/// because a lost notice would leave both sides with different ideas.
fn leave(shard: &ShardDoor, notice: Notice) {
    let mut rejected = shard.inbox.leave(notice);
    while let Err(notice) = rejected {
        thread::sleep(Duration::from_millis(1));
        rejected = shard.inbox.leave(notice);
    }
}

fn paper(desk: &Desk, mut paper: Paper) {
    while let Err(rejected) = desk.papers.push(paper) {
        desk.bell.wake();
        thread::sleep(Duration::from_millis(1));
        paper = rejected;
    }
    desk.bell.wake();
}

const _: () = assert!(HANDED >= 1024, "a burst of calls hands over as many files");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_recordings_are_remembered_up_to_a_bound_and_none_twice() {
        let mut names = Names::default();
        for number in 0..3 * REMEMBERED as u64 {
            assert!(names.insert(Recording(number)));
        }
        assert_eq!((names.known.len(), names.order.len()), (REMEMBERED, REMEMBERED));
        let latest = Recording(3 * REMEMBERED as u64 - 1);
        assert!(!names.insert(latest), "it is in use");
        names.remove(latest);
        assert!(names.insert(latest), "it was taken back");
        assert_eq!(names.order.len(), REMEMBERED);
    }
}
