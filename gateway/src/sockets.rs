//! RTP sockets: how they are opened, connected, emptied, and asked what the kernel dropped.

// Unsafe: one getsockopt that no safe crate offers (SO_MEMINFO).
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// Receive buffer asked for, in octets; Linux doubles it for its own bookkeeping. A 172-octet packet weighs
/// about 768 there, so 2 × 32 KiB hold some 85 packets: 1.7 s of one stream, longer than any stall to survive.
const RECEIVE_BUFFER: usize = 32 * 1024;

/// Send buffer asked for, in octets: the same sum. It fills only when the network card itself does not drain.
const SEND_BUFFER: usize = 32 * 1024;

/// Place of the drop counter in what SO_MEMINFO returns (`SK_MEMINFO_DROPS` of linux/sock_diag.h).
const MEMINFO_DROPS: usize = 8;
/// Figures in what SO_MEMINFO returns (`SK_MEMINFO_VARS`).
const MEMINFO_FIGURES: usize = 9;

/// One bound RTP port.
pub struct RtpSocket {
    socket: Socket,
}

impl RtpSocket {
    /// Binds a port. The address is not shared (no SO_REUSEADDR): a port that somebody else has is an error.
    ///
    /// Never in non-blocking mode, because io_uring would then fail a receive instead of waiting for it.
    ///
    /// # Errors
    /// The system's: `EADDRINUSE`, `EADDRNOTAVAIL`, `EMFILE`, …
    pub fn bind(address: SocketAddr, traffic_class: u32) -> io::Result<Self> {
        let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv4() {
            socket.set_tos_v4(traffic_class)?;
        } else {
            socket.set_only_v6(true)?;
            socket.set_tclass_v6(traffic_class)?;
        }
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(&address.into())?;
        Ok(Self { socket })
    }

    /// From now on the kernel takes packets from `far_end` alone, and sends there.
    ///
    /// # Errors
    /// The system's, `ENETUNREACH` for one.
    pub fn connect(&self, far_end: SocketAddr) -> io::Result<()> {
        self.socket.connect(&far_end.into())
    }

    /// From now on nothing can be sent; to be used when a far end cannot be connected, so that the one before it
    /// is not sent to any longer.
    pub fn disconnect(&self) {
        if let Err(error) = rustix::net::connect_unspec(&self.socket) {
            tracing::error!(%error, "a socket cannot be disconnected");
        }
    }

    /// Throws away what is queued, which may be a stranger's, and returns how many datagrams that were. At most
    /// `limit`, so that nobody can keep the shard here by sending.
    pub fn drain(&self, limit: usize) -> usize {
        let mut octet = [0u8; 1];
        let mut count = 0;
        while count < limit {
            match rustix::net::recv(&self.socket, &mut octet[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                // A pending ICMP error is taken off by reading it.
                Ok(_) | Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::INTR) => count += 1,
                Err(_) => break,
            }
        }
        count
    }

    /// The next datagram that is queued, with its source; `None` when there is none. One that is longer than the
    /// buffer is cut, as io_uring does it.
    pub fn receive_from(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        loop {
            match rustix::net::recvfrom(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((length, _, Some(source))) => {
                    if let Ok(source) = SocketAddr::try_from(source) {
                        return Some((length, source));
                    }
                }
                Ok(_) | Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Datagrams that the kernel dropped on this socket since it was opened (full buffer, bad checksum).
    pub fn kernel_drops(&self) -> u32 {
        let mut figures = [0u32; MEMINFO_FIGURES];
        let mut length = u32::try_from(mem::size_of_val(&figures)).unwrap_or(0);
        // SAFETY: the pointer and the length describe `figures`, which outlives the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                figures.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 { figures[MEMINFO_DROPS] } else { 0 }
    }
}

impl From<OwnedFd> for RtpSocket {
    fn from(descriptor: OwnedFd) -> Self {
        Self { socket: descriptor.into() }
    }
}

impl AsFd for RtpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
