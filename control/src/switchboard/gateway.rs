//! The shards of the attached gateway: commands out, events in.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::task::Poll;

use duogate_channel::command::Command;
use duogate_channel::descriptors::Doorbell;
use duogate_channel::event::Event;
use duogate_channel::identity::{Session, Shard};
use duogate_channel::page::PageReader;
use duogate_channel::ring::{Poisoned, PushError};
use duogate_channel::sides::ControlSide;
use duogate_channel::snapshot::Snapshot;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::turns::Turns;

/// Events taken from one shard before all else has its turn again.
pub(crate) const BATCH: usize = 256;

/// Commands that wait for room, per session slot of the shard: between the turns of a shard that lives, a
/// session gets no more than opening, two far ends, two sources, joining, recording and closing.
const BACKLOG_PER_SESSION: usize = 8;

/// A doorbell that Tokio can watch.
#[derive(Debug)]
struct Bell(Doorbell);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[derive(Debug)]
struct ShardLink {
    side: ControlSide,
    bell: AsyncFd<Bell>,
    /// The shard knows that it must ring.
    asleep: bool,
    backlog: VecDeque<Command>,
}

/// What came of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// It is on the ring, or waits in order behind others.
    Taken,
    /// It waits, and it is the first that does: the shard falls behind.
    Congested,
    /// Ring and backlog are full, or the ring is poisoned: this gateway is of no use.
    Unusable,
}

/// All shards; empty while no gateway is attached.
#[derive(Debug, Default)]
pub(crate) struct Gateway {
    shards: Vec<ShardLink>,
    turns: Turns,
}

impl Gateway {
    /// Takes the shards of a gateway that has just been attached.
    pub(crate) fn attach(sides: Vec<ControlSide>) -> io::Result<Self> {
        let mut shards = Vec::with_capacity(sides.len());
        for side in sides {
            let bell = Bell(side.event_doorbell.try_clone()?);
            #[expect(
                deprecated,
                reason = "its successor is unsafe for types whose descriptor might change; ours owns one"
            )]
            let bell = AsyncFd::with_interest(bell, Interest::READABLE)?;
            shards.push(ShardLink { side, bell, asleep: false, backlog: VecDeque::new() });
        }
        Ok(Self { shards, turns: Turns::default() })
    }

    /// Is no gateway attached, or none of use?
    pub(crate) fn is_none(&self) -> bool {
        self.shards.is_empty()
    }

    /// What the pages show of every session. They can be read after their gateway has died, too; what it left
    /// half-written is left out.
    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        self.pages().into_iter().map(|(_, snapshot)| snapshot).collect()
    }

    /// The same, each with its shard.
    pub(crate) fn pages(&self) -> Vec<(Shard, Snapshot)> {
        let pages = (0_u16..).zip(self.shards.iter().map(|shard| &shard.side.page));
        let shown = |(index, page): (u16, &PageReader)| {
            let page = page.clone();
            (0..page.sessions()).filter_map(move |slot| Some((Shard(index), page.snapshot(slot).ok()??)))
        };
        pages.flat_map(shown).collect()
    }

    /// What its shard's page shows of a session, if that is still this one.
    pub(crate) fn snapshot(&self, shard: Shard, session: Session) -> Option<Snapshot> {
        let page = &self.shards.get(usize::from(shard.0))?.side.page;
        page.snapshot(session.slot).ok()?.filter(|snapshot| snapshot.session == session)
    }

    /// Session slots of each shard.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        self.shards.iter().map(|shard| shard.side.description.sessions).collect()
    }

    /// Whether commands wait for room.
    pub(crate) fn has_backlog(&self) -> bool {
        self.shards.iter().any(|shard| !shard.backlog.is_empty())
    }

    /// Puts a command on a shard's ring; [`Gateway::flush`] after a batch.
    pub(crate) fn send(&mut self, shard: Shard, command: Command) -> Sent {
        let Some(link) = self.shards.get_mut(usize::from(shard.0)) else { return Sent::Taken };
        if link.backlog.is_empty() {
            match link.side.commands.push(&command) {
                Ok(()) => return Sent::Taken,
                Err(PushError::Full) => {}
                Err(PushError::Poisoned(_)) => return Sent::Unusable,
            }
        }
        let first = link.backlog.is_empty();
        if link.backlog.len() >= link.side.description.sessions as usize * BACKLOG_PER_SESSION {
            return Sent::Unusable;
        }
        link.backlog.push_back(command);
        if first { Sent::Congested } else { Sent::Taken }
    }

    /// Moves what waits to rings that have room, and rings the shards that sleep. False: a ring is poisoned.
    pub(crate) fn flush(&mut self) -> bool {
        for link in &mut self.shards {
            while let Some(command) = link.backlog.front() {
                match link.side.commands.push(command) {
                    Ok(()) => drop(link.backlog.pop_front()),
                    Err(PushError::Full) => break,
                    Err(PushError::Poisoned(_)) => return false,
                }
            }
            link.side.flush();
        }
        true
    }

    /// Waits until a shard has something to say. Safe to be dropped and called again; for ever while there
    /// is no gateway.
    pub(crate) async fn ready(&mut self) -> Result<usize, Poisoned> {
        for index in self.turns.of(self.shards.len()) {
            let link = &mut self.shards[index];
            if !link.asleep {
                if !link.side.events.prepare_sleep()? {
                    return Ok(index);
                }
                link.asleep = true;
            }
        }
        let (shards, turns) = (&mut self.shards, self.turns);
        let index = poll_fn(|context| {
            for index in turns.of(shards.len()) {
                if let Poll::Ready(Ok(mut guard)) = shards[index].bell.poll_read_ready(context) {
                    guard.get_inner().0.drain();
                    guard.clear_ready();
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        })
        .await;
        Ok(index)
    }

    /// Takes up to [`BATCH`] events of a shard.
    pub(crate) fn take(&mut self, index: usize, into: &mut Vec<Event>) -> Result<(), Poisoned> {
        let Some(link) = self.shards.get_mut(index) else { return Ok(()) };
        self.turns.served(index);
        link.side.events.wake();
        link.asleep = false;
        while into.len() < BATCH {
            match link.side.events.pop()? {
                Some(event) => into.push(event),
                None => break,
            }
        }
        Ok(())
    }
}
