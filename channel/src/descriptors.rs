//! File descriptors as the wall uses them: doorbells, and datagrams that carry descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, read, write};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors that one datagram may bring.
pub(crate) const MOST_DESCRIPTORS: usize = 4;

/// An eventfd: its owner rings, the other side waits for it to become readable.
#[derive(Debug)]
pub struct Doorbell(OwnedFd);

impl Doorbell {
    /// A doorbell whose reads block: for a reader that reads it through io_uring, where a non-blocking one would
    /// answer "try again" at once.
    ///
    /// # Errors
    /// The system's.
    pub fn blocking() -> rustix::io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC).map(Self)
    }

    /// A doorbell whose reads do not block: for a reader that polls.
    ///
    /// # Errors
    /// The system's.
    pub fn polled() -> rustix::io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self)
    }

    /// A doorbell that the peer made.
    pub(crate) const fn from_peer(file: OwnedFd) -> Self {
        Self(file)
    }

    /// Wakes the other side. Never blocks: if the count is full the other side has not read it yet.
    pub fn ring(&self) {
        let mut room = [PollFd::new(&self.0, PollFlags::OUT)];
        if matches!(poll(&mut room, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1)) {
            // A refusal can only mean that the count is full, and then the bell rings already.
            let _rung = write(&self.0, &1_u64.to_ne_bytes());
        }
    }

    /// Takes what has been rung; false if nothing was. Only for a doorbell that is polled.
    pub fn drain(&self) -> bool {
        let mut count = [0; 8];
        read(&self.0, &mut count).is_ok()
    }

    /// Waits until it rings, at most so long; true if it has rung. The ring is taken.
    #[must_use]
    pub fn wait(&self, timeout: core::time::Duration) -> bool {
        let Ok(timeout) = Timespec::try_from(timeout) else { return false };
        let mut rung = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(poll(&mut rung, Some(&timeout)), Ok(1)) && self.drain()
    }

    /// A second handle on the same doorbell.
    ///
    /// # Errors
    /// The system's.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// One datagram as it came.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Its length; 0 when the peer has hung up.
    pub(crate) length: usize,
    /// It, or its descriptors, did not fit.
    pub(crate) truncated: bool,
    /// The descriptors that it brought; closed if nobody takes them.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Sends one datagram with its descriptors.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    if sent == bytes.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

/// Receives one datagram with its descriptors, all of them close-on-exec.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> rustix::io::Result<Datagram> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::with_capacity(MOST_DESCRIPTORS);
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = ancillary {
            descriptors.extend(rights);
        }
    }
    let truncated = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Datagram { length: message.bytes, truncated, descriptors })
}
