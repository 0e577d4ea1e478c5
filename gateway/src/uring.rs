//! The only file that knows io_uring: one ring of a shard, which most have one of (see `rings`).
//!
//! Datagrams arrive by one multishot receive for each socket and leave by sends that the kernel carries out
//! while it takes them from the submission queue. A UDP send with `MSG_DONTWAIT` never waits and is never
//! handed to a poll or a worker: it has either copied the packet or failed (`EAGAIN` when the socket's send
//! buffer is full) when the submission returns. So after a submission that emptied the queue, every buffer
//! named by a send is free again, and only failures need a completion.

// Unsafe: submission entries name memory by address, and the buffer ring is registered by address.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};

use crate::buffers::{GROUP, RECEIVE_BUFFERS, ReceiveBuffers, Scratch};

/// Submissions that fit before the queue must be handed over. Kernels without preemption, which servers mostly have, carry
/// out all of a call before anybody else has the core, and a send takes some 3 µs: 128 of them keep a network card's
/// polling waiting for 0.4 ms, 512 for longer than a ring of 256 packets lasts at 180,000 a second.
const SUBMISSIONS: u32 = 128;

/// Completions that fit: all 4096 receive buffers full, and as much again for receives that end, sends that fail
/// and doorbells. 8192 × 16 octets are 128 KiB a shard. Beyond that the kernel keeps them for us (`NODROP`).
const COMPLETIONS: u32 = 8192;

/// Completions that make a full batch: from here on a longer wait would save next to nothing for a packet. The kernel also
/// receives so many without letting go of the core.
pub const BATCH: usize = 128;

/// What one completion tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Completion {
    /// A datagram lies in a receive buffer.
    Received {
        /// The socket's place in the file table.
        place: u32,
        /// Which arming of that place received it.
        epoch: u32,
        /// Which buffer.
        buffer: u16,
        /// Its length in octets.
        length: usize,
        /// Will there be more without arming again?
        more: bool,
    },
    /// A receive ended without a datagram.
    Ended {
        /// The socket's place in the file table.
        place: u32,
        /// Which arming of that place ended.
        epoch: u32,
        /// The system's error number; 0 for an empty datagram.
        errno: i32,
        /// A buffer that came back unused, if one was taken.
        buffer: Option<u16>,
    },
    /// A send failed.
    SendFailed {
        /// The socket's place in the file table.
        place: u32,
        /// The system's error number.
        errno: i32,
    },
    /// A socket that is watched has something to read, or an error; it is watched no more.
    Readable {
        /// The socket's place in the file table.
        place: u32,
        /// Which watch of that place.
        epoch: u32,
    },
    /// A doorbell was rung.
    Rang {
        /// Which, as given to [`Uring::watch`].
        bell: u32,
        /// Is it still watched?
        more: bool,
    },
    /// Another ring of this shard has something to do; it is watched no more.
    Stirred {
        /// Which, as given to [`Uring::watch_ring`].
        ring: u32,
    },
    /// Nothing that anybody waits for.
    Nothing,
}

/// A packet in a receive buffer, for a send of this or another ring of the shard.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    start: *const u8,
    length: usize,
}

/// Kinds of requests, in the top octet of their token.
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const BELL: u64 = 3;
const CANCEL: u64 = 4;
const READABLE: u64 = 5;
const STIRRED: u64 = 6;
const LENT: u64 = 7;

/// Completions of deferred work that the kernel runs in a call that does not wait (`IO_LOCAL_TW_DEFAULT_MAX`).
const RUN_AT_ONCE: usize = 20;

/// `IORING_ENTER_GETEVENTS` of linux/io_uring.h, which the crate keeps to itself.
const GET_EVENTS: u32 = 1;

/// Epochs fit 24 bits of a token; a place would have to be armed 16 million times between a completion and its
/// reading to be mistaken.
pub const EPOCHS: u32 = 1 << 24;

const fn token(kind: u64, epoch: u32, place: u32) -> u64 {
    kind << 56 | ((epoch % EPOCHS) as u64) << 32 | place as u64
}

/// How long to wait, and for how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// The wait ends after this time with whatever has come, before it only with a full batch; zero: with the first
    /// completion. The kernel's own minimum (`min_wait_usec`), after which the first one would do, sets two timers for
    /// each wait, and who gathers has packets coming.
    pub gather: Duration,
    /// The wait ends at this time whatever happens.
    pub at_most: Duration,
}

/// One shard's ring.
pub struct Uring {
    // Dropped first: the kernel lets go of the buffers before they are unmapped.
    ring: IoUring,
    /// The receive buffers of this ring.
    pub buffers: ReceiveBuffers,
    scratch: Scratch,
    /// The place of the first socket of the file table.
    first: u32,
    /// What completed while a descriptor was being lent, in order.
    kept: Vec<Completion>,
}

impl Uring {
    /// Makes the ring on the calling thread, which is from then on the only one that may use it, with a table
    /// for `files` sockets, whose places begin at `first`.
    ///
    /// # Errors
    /// The system's; [`explain`] says what they mean here.
    pub fn new(first: u32, files: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        if !ring.params().is_feature_skip_cqe_on_success() || !ring.params().is_feature_nodrop() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let buffers = ReceiveBuffers::new()?;
        // SAFETY: the address is that of a page-aligned mapping with room for that many entries, which lives in
        // the same value as the ring and is dropped after it.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(buffers.address(), RECEIVE_BUFFERS, GROUP, 0)?;
        }
        ring.submitter().register_files_sparse(files)?;
        let scratch = Scratch::new();
        Ok(Self { ring, buffers, scratch, first, kept: Vec::new() })
    }

    /// Puts a socket into the file table.
    ///
    /// # Errors
    /// The system's.
    pub fn enter_file(&self, place: u32, file: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_files_update(place - self.first, &[file.as_raw_fd()]).map(drop)
    }

    /// Takes a socket out of the file table.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_file(&self, place: u32) -> io::Result<()> {
        self.ring.submitter().register_files_update(place - self.first, &[-1]).map(drop)
    }

    /// A socket of the file table by its place.
    const fn file(&self, place: u32) -> Fixed {
        Fixed(place - self.first)
    }

    /// A descriptor for a socket that only the file table holds, for system calls that ask for one (Linux 6.8).
    ///
    /// # Errors
    /// The system's: nothing is at that place, or no descriptor is left.
    pub fn lend(&mut self, place: u32) -> io::Result<OwnedFd> {
        let entry = opcode::FixedFdInstall::new(self.file(place), 0).build();
        self.push(&entry.user_data(token(LENT, 0, place)))?;
        self.submit()?;
        let mut lent = None;
        // The kernel installs while it takes the request; only a full completion queue keeps its word back.
        for _ in 0..2 {
            for entry in self.ring.completion() {
                if entry.user_data() == token(LENT, 0, place) {
                    lent = Some(entry.result());
                } else {
                    self.kept.push(read(&entry));
                }
            }
            if lent.is_some() {
                break;
            }
            self.collect()?;
        }
        match lent {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
            Some(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::Error::from_raw_os_error(libc::EBUSY)),
        }
    }

    /// Tells once, with a [`Completion::Stirred`], that another ring of this thread has something to do.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn watch_ring(&mut self, other: &Self, number: u32) -> io::Result<()> {
        let entry = opcode::PollAdd::new(types::Fd(other.ring.as_raw_fd()), libc::POLLIN as u32).build();
        self.push(&entry.user_data(token(STIRRED, 0, number)))
    }

    /// Hands all queued requests over and runs what has been put aside, without waiting: a wait that ends at once
    /// would set a timer, which costs more than all of this.
    ///
    /// # Errors
    /// The system's, except that the completion queue is full.
    pub fn collect(&mut self) -> io::Result<()> {
        let mut before = self.ring.completion().len();
        for _ in 0..BATCH / RUN_AT_ONCE + 1 {
            let queued = u32::try_from(self.ring.submission().len()).unwrap_or(0);
            // SAFETY: no argument is given whose memory would have to live; what entries name lives, see `push`.
            let outcome = unsafe { self.ring.submitter().enter::<()>(queued, 0, GET_EVENTS, None) };
            match outcome {
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => break,
                Err(error) => return Err(error),
            }
            let ready = self.ring.completion().len();
            if ready < before + RUN_AT_ONCE {
                break;
            }
            before = ready;
        }
        self.issued();
        Ok(())
    }

    /// Receives from this place until told otherwise.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn receive(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        let entry = opcode::RecvMulti::new(self.file(place), GROUP).build();
        self.push(&entry.user_data(token(RECEIVE, epoch, place)))
    }

    /// Tells once, with a [`Completion::Readable`], that this place has something to read.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn watch_socket(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        let entry = opcode::PollAdd::new(self.file(place), libc::POLLIN as u32).build();
        self.push(&entry.user_data(token(READABLE, epoch, place)))
    }

    /// No longer watches the place that was watched with this epoch.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn unwatch_socket(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.cancel_token(token(READABLE, epoch, place), place, epoch)
    }

    /// Ends the receiving that was armed with this epoch.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn cancel(&mut self, place: u32, epoch: u32) -> io::Result<()> {
        self.cancel_token(token(RECEIVE, epoch, place), place, epoch)
    }

    fn cancel_token(&mut self, target: u64, place: u32, epoch: u32) -> io::Result<()> {
        let target = CancelBuilder::user_data(target);
        let entry = opcode::AsyncCancel2::new(target).build();
        self.push(&entry.user_data(token(CANCEL, epoch, place)))
    }

    /// The first `length` octets of a receive buffer, to be sent. The caller gives the buffer back as usual.
    ///
    /// # Errors
    /// `EINVAL` for a buffer that does not exist.
    pub fn name(&mut self, buffer: u16, length: usize) -> io::Result<Named> {
        let packet = self.buffers.packet(buffer, length);
        let packet = packet.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(Named { start: packet.as_ptr(), length: packet.len() })
    }

    /// Sends a packet of a receive buffer of this ring or another.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn send(&mut self, place: u32, packet: Named) -> io::Result<()> {
        self.push(&send(self.file(place), place, packet.start, packet.length))
    }

    /// Sends a packet of `length` octets that `fill` writes. False, without having called `fill`, if it is longer
    /// than a scratch packet or the kernel does not take what is queued already.
    pub fn send_made(&mut self, place: u32, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        // Room comes first: handing the queue over makes every place free, this packet's too, and the next packets would
        // be written over it before it is sent.
        let full = self.scratch.is_full() || self.ring.submission().is_full();
        if full && (self.submit().is_err() || self.ring.submission().is_full()) {
            return false;
        }
        let Some(packet) = self.scratch.packet(length) else { return false };
        fill(packet);
        let start = packet.as_ptr();
        self.push(&send(self.file(place), place, start, length)).is_ok()
    }

    /// Tells with a [`Completion::Rang`] each time that the eventfd is written. It is never read: a write wakes
    /// the watch whatever the count is.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn watch(&mut self, eventfd: BorrowedFd<'_>, bell: u32) -> io::Result<()> {
        let entry =
            opcode::PollAdd::new(types::Fd(eventfd.as_raw_fd()), libc::POLLIN as u32).multi(true).build();
        self.push(&entry.user_data(token(BELL, 0, bell)))
    }

    /// No longer watches that doorbell.
    ///
    /// # Errors
    /// The system's, when the queue had to be handed over first.
    pub fn unwatch(&mut self, bell: u32) -> io::Result<()> {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::user_data(token(BELL, 0, bell))).build();
        self.push(&entry.user_data(token(CANCEL, 0, bell)))
    }

    /// Hands all queued requests over; does not wait, and runs no completions.
    ///
    /// # Errors
    /// The system's.
    pub fn submit(&mut self) -> io::Result<()> {
        let outcome = self.ring.submitter().submit().map(drop);
        self.issued();
        outcome
    }

    /// Has every queued request been issued? Then the memory of this ring that its sends named is free again; receive
    /// buffers may also be named by sends of the shard's other rings.
    pub fn issued(&mut self) -> bool {
        let issued = self.ring.submission().is_empty();
        if issued {
            self.scratch.clear();
        }
        issued
    }

    /// Hands all queued requests over and waits. The caller lends the returned buffers to the kernel again.
    ///
    /// The wait names a whole batch as its minimum, because a call with a minimum of 0 or 1 runs only a handful
    /// ([`RUN_AT_ONCE`]) of the completions that `DEFER_TASKRUN` has put aside.
    ///
    /// # Errors
    /// The system's, except that time ran out, a signal came or the completion queue is full: those end the wait.
    pub fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let outcome = if wait.at_most.is_zero() {
            self.collect()
        } else if wait.gather.is_zero() {
            self.enter(1, wait.at_most)
        } else {
            self.enter(BATCH, wait.gather.min(wait.at_most))
        };
        self.issued();
        outcome
    }

    fn enter(&self, want: usize, at_most: Duration) -> io::Result<()> {
        let at_most = Timespec::from(at_most);
        match self.ring.submitter().submit_with_args(want, &SubmitArgs::new().timespec(&at_most)) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes what has completed, at most as much as `batch` has room for. Returns false when nothing had.
    pub fn reap(&mut self, batch: &mut Vec<Completion>) -> bool {
        batch.clear();
        let room = batch.capacity();
        if !self.kept.is_empty() {
            batch.extend(self.kept.drain(..room.min(self.kept.len())));
        }
        let room = room - batch.len();
        batch.extend(self.ring.completion().take(room).map(|entry| read(&entry)));
        !batch.is_empty()
    }

    /// Receive buffers that the kernel has free, at least: it fills none but while we wait.
    pub fn free_buffers(&mut self) -> usize {
        usize::from(self.buffers.lent()).saturating_sub(self.ring.completion().len() + self.kept.len())
    }

    /// Are there completions that have not been taken?
    pub fn has_more(&mut self) -> bool {
        !self.kept.is_empty() || !self.ring.completion().is_empty()
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: the entries made in this file name memory that lives until they have been issued: receive
        // buffers (lent back only when the queue is empty) and packets whose callers promised it.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.submit()?;
        }
        Ok(())
    }
}

fn send(file: Fixed, place: u32, start: *const u8, length: usize) -> squeue::Entry {
    opcode::Send::new(file, start, u32::try_from(length).unwrap_or(0))
        .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        .build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(token(SEND, 0, place))
}

#[allow(clippy::cast_possible_truncation, reason = "tokens are taken apart by width")]
fn read(entry: &cqueue::Entry) -> Completion {
    let (result, flags) = (entry.result(), entry.flags());
    let place = entry.user_data() as u32;
    let epoch = (entry.user_data() >> 32) as u32 % EPOCHS;
    let more = cqueue::more(flags);
    match entry.user_data() >> 56 {
        RECEIVE => match (usize::try_from(result), cqueue::buffer_select(flags)) {
            (Ok(length), Some(buffer)) if length > 0 => {
                Completion::Received { place, epoch, buffer, length, more }
            }
            (_, buffer) => Completion::Ended { place, epoch, errno: (-result).max(0), buffer },
        },
        SEND if result < 0 => Completion::SendFailed { place, errno: -result },
        READABLE if result != -libc::ECANCELED => Completion::Readable { place, epoch },
        STIRRED => Completion::Stirred { ring: place },
        BELL if result >= 0 || result != -libc::ECANCELED => Completion::Rang { bell: place, more },
        _ => Completion::Nothing,
    }
}

/// Can a ring be made here, as shards need it?
///
/// # Errors
/// The system's; [`explain`] says what they mean.
pub fn check() -> io::Result<()> {
    Uring::new(0, 1).map(drop)
}

/// Can this kernel lend a descriptor for a socket that only a file table holds (Linux 6.8)?
pub fn can_lend() -> bool {
    let mut probe = Probe::new();
    let asked = IoUring::new(1).and_then(|ring| ring.submitter().register_probe(&mut probe));
    asked.is_ok() && probe.is_supported(opcode::FixedFdInstall::CODE)
}

mod reasons;

pub use reasons::{disabled, explain};

#[cfg(test)]
mod tests;
