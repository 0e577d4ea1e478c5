//! The rings of one shard: one, and more where the host allows fewer descriptors than there are sockets.
//!
//! A socket needs no descriptor while a ring's file table holds it: what a system call needs one for is done with one
//! that the ring lends for the moment (`FIXED_FD_INSTALL`, Linux 6.8). The kernel lets a table have as many places as
//! the process may have descriptors (`RLIMIT_NOFILE`), but a process may have many rings, each with a table. The first
//! ring is the one that the shard waits on; it watches the others, which are asked after every wait.
//!
//! ```text
//!   places  0 … each-1    each … 2·each-1    …
//!           ring 0        ring 1             …
//!             ^─── POLL ────┘
//! ```
//! A packet may come in by one ring and leave by another, from the same buffer: buffers go back to the kernel when no
//! ring has a request queued any more.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::limits::Keep;
use crate::uring::{Completion, Uring, Wait};

/// The rings of one shard.
pub struct Rings {
    first: Uring,
    more: Vec<More>,
    /// Places of each ring but the last, which may have fewer.
    each: u32,
    keep: Keep,
}

struct More {
    ring: Uring,
    watched: bool,
}

impl Rings {
    /// Makes the rings on the calling thread, which is from then on the only one that may use them, for so many
    /// sockets.
    ///
    /// # Errors
    /// The system's; [`crate::uring::explain`] says what they mean here.
    pub fn new(places: u32, keep: Keep) -> io::Result<Self> {
        let each = match keep {
            Keep::Descriptors => places.max(1),
            Keep::Tables { each, .. } => each.clamp(1, places.max(1)),
        };
        let mut more = Vec::new();
        let mut begin = each;
        while begin < places {
            more.push(More { ring: Uring::new(begin, each.min(places - begin))?, watched: false });
            begin += each;
        }
        Ok(Self { first: Uring::new(0, each)?, more, each, keep })
    }

    /// Do file tables alone hold the sockets?
    #[must_use]
    pub const fn holds_sockets(&self) -> bool {
        matches!(self.keep, Keep::Tables { .. })
    }

    fn of(&mut self, place: u32) -> &mut Uring {
        if place < self.each { &mut self.first } else { self.another(place) }
    }

    #[cold]
    fn another(&mut self, place: u32) -> &mut Uring {
        let number = place / self.each - 1;
        match self.more.get_mut(usize::try_from(number).unwrap_or(usize::MAX)) {
            Some(more) => &mut more.ring,
            // A place that there is not: the ring says so.
            None => &mut self.first,
        }
    }

    /// Puts a socket into its file table.
    ///
    /// # Errors
    /// The system's.
    pub fn enter_file(&mut self, place: u32, file: BorrowedFd<'_>) -> io::Result<()> {
        self.of(place).enter_file(place, file)
    }

    /// Takes a socket out of its file table.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_file(&mut self, place: u32) -> io::Result<()> {
        self.of(place).remove_file(place)
    }

    /// A descriptor for a socket that only its file table holds.
    ///
    /// # Errors
    /// The system's: nothing is at that place, or no descriptor is left.
    pub fn lend(&mut self, place: u32) -> io::Result<OwnedFd> {
        self.of(place).lend(place)
    }

    /// See [`Uring::receive`].
    ///
    /// # Errors
    /// As there.
    pub fn receive(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.of(place).receive(place, epoch)
    }

    /// See [`Uring::watch_socket`].
    ///
    /// # Errors
    /// As there.
    pub fn watch_socket(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.of(place).watch_socket(place, epoch)
    }

    /// See [`Uring::unwatch_socket`].
    ///
    /// # Errors
    /// As there.
    pub fn unwatch_socket(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.of(place).unwatch_socket(place, epoch)
    }

    /// See [`Uring::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.of(place).cancel(place, epoch)
    }

    /// The first `length` octets of a buffer that was received into at this place; `None` if there is no such buffer.
    pub fn packet(&mut self, place: u32, buffer: u16, length: usize) -> Option<&mut [u8]> {
        self.of(place).buffers.packet(buffer, length)
    }

    /// Where a buffer begins that was received into at this place; `None` if there is no such buffer.
    #[must_use]
    pub fn address(&self, place: u32, buffer: u16) -> Option<*const u8> {
        let ring = match place.checked_sub(self.each) {
            None => &self.first,
            Some(behind) => &self.more.get(usize::try_from(behind / self.each).ok()?)?.ring,
        };
        ring.buffers.start(buffer)
    }

    /// Nobody needs this buffer, received into at this place, when the sends queued so far have been issued.
    pub fn give_back(&mut self, place: u32, buffer: u16) {
        self.of(place).buffers.give_back(buffer);
    }

    /// Sends, from the socket at `to`, the first `length` octets of a buffer that was received into at `from`. The
    /// caller gives the buffer back as usual.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first, and `EINVAL` for a buffer that does not exist.
    pub fn send_buffer(&mut self, to: u32, from: u32, buffer: u16, length: usize) -> io::Result<()> {
        let packet = self.of(from).name(buffer, length)?;
        self.of(to).send(to, packet)
    }

    /// See [`Uring::send_made`].
    pub fn send_made(&mut self, place: u32, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        self.of(place).send_made(place, length, fill)
    }

    /// See [`Uring::watch`].
    ///
    /// # Errors
    /// As there.
    pub fn watch(&mut self, eventfd: BorrowedFd<'_>, bell: u32) -> io::Result<()> {
        self.first.watch(eventfd, bell)
    }

    /// See [`Uring::unwatch`].
    ///
    /// # Errors
    /// As there.
    pub fn unwatch(&mut self, bell: u32) -> io::Result<()> {
        self.first.unwatch(bell)
    }

    /// Hands all queued requests over; does not wait, and runs no completions.
    ///
    /// # Errors
    /// The system's.
    pub fn submit(&mut self) -> io::Result<()> {
        self.first.submit()?;
        self.more.iter_mut().try_for_each(|more| more.ring.submit())
    }

    /// Hands all queued requests over and waits. Afterwards returned buffers are lent to the kernel again.
    ///
    /// # Errors
    /// As [`Uring::wait`].
    pub fn wait(&mut self, wait: Wait) -> io::Result<()> {
        if !self.more.is_empty() {
            self.prepare(!wait.at_most.is_zero())?;
        }
        let outcome = self.first.wait(wait);
        for More { ring, .. } in &mut self.more {
            ring.collect()?;
        }
        self.publish();
        outcome
    }

    /// Lends returned buffers to the kernel, if no ring has a request queued any more.
    fn publish(&mut self) {
        let mut issued = self.first.issued();
        for More { ring, .. } in &mut self.more {
            issued &= ring.issued();
        }
        if issued {
            self.first.buffers.publish();
            self.more.iter_mut().for_each(|more| more.ring.buffers.publish());
        }
    }

    /// Hands all queued requests over, lends returned buffers to the kernel, and tells how many it has free in each ring
    /// at least.
    ///
    /// # Errors
    /// The system's.
    pub fn refill(&mut self) -> io::Result<usize> {
        self.submit()?;
        self.publish();
        let more = self.more.iter_mut().map(|more| more.ring.free_buffers()).min().unwrap_or(usize::MAX);
        Ok(self.first.free_buffers().min(more))
    }

    /// Hands over what is queued in the rings that are not waited on, and watches them if there is a wait to end.
    fn prepare(&mut self, waits: bool) -> io::Result<()> {
        for (number, More { ring, watched }) in (0..).zip(&mut self.more) {
            ring.submit()?;
            if waits && !*watched {
                self.first.watch_ring(ring, number)?;
                *watched = true;
            }
        }
        Ok(())
    }

    /// Takes what has completed, at most as much as `batch` has room for. Returns false when nothing had.
    pub fn reap(&mut self, batch: &mut Vec<Completion>) -> bool {
        if self.first.reap(batch) {
            if !self.more.is_empty() {
                self.note(batch);
            }
            return true;
        }
        self.more.iter_mut().any(|more| more.ring.reap(batch))
    }

    /// A ring that has told once that it has something to do is to be watched again.
    fn note(&mut self, batch: &[Completion]) {
        for completion in batch {
            if let Completion::Stirred { ring } = completion
                && let Some(more) = usize::try_from(*ring).ok().and_then(|ring| self.more.get_mut(ring))
            {
                more.watched = false;
            }
        }
    }

    /// Are there completions that have not been taken?
    pub fn has_more(&mut self) -> bool {
        self.first.has_more() || self.more.iter_mut().any(|more| more.ring.has_more())
    }
}

#[cfg(test)]
mod tests;
