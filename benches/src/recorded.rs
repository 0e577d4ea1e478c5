//! Recordings of the rig's own gateway: files handed over, started, and judged at their end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::Recording;
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::sound::{RecordChannels, RecordFormat, RecordHold};

use crate::gateway::{Gateway, Pair};
use crate::leavings;
use crate::process::remark;

/// What became of the recordings of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Recordings that ended, all of them in their file.
    pub saved: usize,
    /// Recordings that ended in another way.
    pub spoiled: usize,
    /// Packets whose copies were lost: silence in the files.
    pub missing: u64,
    /// Packets that never came, by their numbers.
    pub lost: u64,
    /// Places in the files where a party is not heard between two packets of it.
    pub gaps: u64,
    /// Octets in all files.
    pub octets: u64,
}

impl Tally {
    /// Notes an event, if it ends a recording.
    pub fn note(&mut self, event: &Event) {
        if let Event::Recorded { outcome, bytes, missing, tracks, .. } = event {
            match outcome {
                RecordOutcome::Saved => self.saved += 1,
                RecordOutcome::WriteFailed { .. } | RecordOutcome::Overrun | RecordOutcome::Missing => {
                    if self.spoiled == 0 {
                        remark(&format!("the first recording that was not saved: {event:?}"));
                    }
                    self.spoiled += 1;
                }
            }
            self.octets += bytes;
            self.missing += u64::from(*missing);
            for track in tracks {
                self.lost += u64::from(track.lost);
                self.gaps += u64::from(track.gaps);
            }
        }
    }
}

/// A folder in memory: the disk of the host is not what is measured. Removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh one.
    ///
    /// # Errors
    /// The host has no file system in memory.
    pub fn new() -> io::Result<Self> {
        let folder = leavings::recordings();
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is gone already is as good.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Records every pair into a file of its own, party 1 left and party 2 right.
///
/// # Errors
/// The system's and the gateway's.
pub fn record(gateway: &mut Gateway, pairs: &[Pair], folder: &Path, format: RecordFormat) -> io::Result<()> {
    gateway.attachment.connection.set_timeout(Some(Duration::from_secs(5))).map_err(io::Error::other)?;
    for (number, pair) in (1..).zip(pairs) {
        let recording = Recording(number);
        let file = File::create(folder.join(format!("pair-{number}")))?;
        let connection = &gateway.attachment.connection;
        connection.send(&ToGateway::Recording { recording }, &[file.as_fd()]).map_err(io::Error::other)?;
        match connection.receive::<ToControl>().map_err(io::Error::other)?.0 {
            ToControl::RecordingReady { .. } => {}
            other => return Err(io::Error::other(format!("the file was not taken: {other:?}"))),
        }
        gateway.tell(&Command::RecordStart {
            session: pair.session,
            recording,
            format,
            channels: RecordChannels::Separate,
            hold: RecordHold::Silence,
        })?;
        gateway.recordings += 1;
    }
    Ok(())
}
