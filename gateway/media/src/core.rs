//! The one face of the data plane's core.

use ::core::time::Duration;
use duogate_channel::command::Command;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::time::Instant;

use crate::action::{Action, BindError, Socket};
use crate::block::{Take, Tap};
use crate::counters::Counters;
use crate::limits::{Limits, LimitsError};
use crate::outlet::{Outlet, SoundStore};
use crate::snapshot::Snapshot;
use crate::verdict::{DropReason, Origin, Verdict};

/// The sessions of one shard.
#[derive(Debug)]
pub struct Core {
    limits: Limits,
    counters: Counters,
}

impl Core {
    /// A shard without sessions. All its memory is taken here.
    ///
    /// # Errors
    /// If the limits contradict each other.
    pub fn new(limits: Limits, now: Instant) -> Result<Self, LimitsError> {
        limits.check()?;
        let _ = now;
        Ok(Self { limits, counters: Counters::default() })
    }

    /// The limits it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// May another command be given? False while answers that may not be lost fill their place because the
    /// event ring is full; the shell then leaves commands in their ring, which is how the control plane learns.
    #[must_use]
    pub const fn accepts_commands(&self) -> bool {
        true
    }

    /// Obeys one command. A command for a session that has ended is counted and ignored.
    pub fn command(&mut self, now: Instant, command: Command, tap: &mut impl Tap) {
        let _ = (now, command, tap);
    }

    /// Says how a [`Action::Bind`] ended.
    pub fn bound(&mut self, now: Instant, socket: Socket, result: Result<(), BindError>) {
        let _ = (now, socket, result);
    }

    /// Judges one received datagram, and rewrites it in place if it is to be forwarded.
    pub fn receive(
        &mut self,
        now: Instant,
        socket: Socket,
        origin: Origin,
        datagram: &mut [u8],
        tap: &mut impl Tap,
    ) -> Verdict {
        let _ = (now, socket, origin, datagram, tap);
        Verdict::Drop(DropReason::NotOpen)
    }

    /// Lets time come to `now`: paced packets that are due, parties that fell silent, ports that have rested.
    pub fn advance(&mut self, now: Instant, sounds: &impl SoundStore, outlet: &mut impl Outlet) {
        let _ = (now, sounds, outlet);
    }

    /// When [`Core::advance`] has something to do next; `None` if nothing is planned.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The writer has finished with a recording, or given it up before its end. `duration` and `bytes` are what
    /// the file holds. Blocks of the recording that the core still holds go back through `tap`.
    pub fn recorded(
        &mut self,
        take: Take,
        outcome: RecordOutcome,
        duration: Duration,
        bytes: u64,
        tap: &mut impl Tap,
    ) {
        let _ = (take, outcome, duration, bytes, tap);
    }

    /// The next thing for the shell's sockets. The shell takes them until there is none, after every batch.
    pub fn poll_action(&mut self) -> Option<Action> {
        None
    }

    /// The oldest event that the control plane has not been given. It stays until [`Core::event_taken`]: while the
    /// event ring is full, or no control plane is attached, the shell just does not take it, and nothing is lost.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        None
    }

    /// The event that [`Core::event`] showed has been handed over.
    pub fn event_taken(&mut self) {}

    /// Sessions that are in use.
    #[must_use]
    pub const fn active_sessions(&self) -> u32 {
        0
    }

    /// RTP ports that are neither in use nor resting.
    #[must_use]
    pub const fn free_ports(&self) -> u32 {
        0
    }

    /// The session in a slot, if the slot is in use.
    #[must_use]
    pub fn snapshot(&self, slot: u32) -> Option<Snapshot> {
        let _ = slot;
        None
    }

    /// Totals since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}
