//! Many datagrams in one system call, with the time at which the kernel saw each.
//!
//! The generator must cost little beside what it measures; the safe interfaces know neither `recvmmsg` nor
//! receive timestamps.
#![allow(unsafe_code)] // recvmmsg, sendmmsg and two socket options that no safe interface has.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

/// Datagrams of one call.
pub const BATCH: usize = 64;

/// Longest datagram that is wanted whole: SIP over UDP and RTP fit.
const LONGEST: usize = 2048;

/// Room for one timestamp among the control data, aligned as the kernel writes it.
type Control = [u64; 8];

/// A socket bound to an address with the largest receive queue that the host grants.
///
/// # Errors
/// The system's.
pub fn generator_socket(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    receive_queue(&socket)?;
    timestamps(&socket)?;
    Ok(socket)
}

/// Gives a socket the largest receive queue that the host grants: beyond its limit if we may, else up to it.
///
/// # Errors
/// The system's.
pub fn receive_queue(socket: &impl AsFd) -> io::Result<()> {
    let queue: libc::c_int = 64 << 20;
    set_option(socket, libc::SO_RCVBUFFORCE, queue).or_else(|_| set_option(socket, libc::SO_RCVBUF, queue))
}

/// Asks for the time of arrival of every datagram of a socket.
///
/// # Errors
/// The system's.
pub fn timestamps(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SO_TIMESTAMPNS, 1)
}

fn set_option(socket: &impl AsFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: the descriptor is open, and the value is an int that lives across the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Its sender.
    pub source: SocketAddrV4,
    /// Wall-clock nanoseconds at which the kernel took it, if the socket has timestamps.
    pub time: Option<u64>,
}

/// Receives up to [`BATCH`] datagrams a call.
#[derive(Debug)]
pub struct Inbox {
    buffers: Vec<[u8; LONGEST]>,
    controls: Vec<Control>,
    sources: Vec<libc::sockaddr_in>,
    headers: Vec<libc::mmsghdr>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbox {
    /// With buffers of its own.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: both are plain C structures of integers and pointers, for which all zero is a value.
        let (source, header) = unsafe { (zeroed::<libc::sockaddr_in>(), zeroed::<libc::mmsghdr>()) };
        Self {
            buffers: vec![[0; LONGEST]; BATCH],
            controls: vec![[0; 8]; BATCH],
            sources: vec![source; BATCH],
            headers: vec![header; BATCH],
        }
    }

    /// Takes what is there, without waiting, and hands each datagram to `each`; gives how many there were.
    ///
    /// # Errors
    /// The system's.
    pub fn receive(&mut self, socket: &impl AsFd, mut each: impl FnMut(Arrival<'_>)) -> io::Result<usize> {
        let mut vectors: [libc::iovec; BATCH] = core::array::from_fn(|index| libc::iovec {
            iov_base: self.buffers[index].as_mut_ptr().cast(),
            iov_len: LONGEST,
        });
        for (index, vector) in vectors.iter_mut().enumerate() {
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut self.sources[index]).cast();
            header.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(16);
            header.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
        }
        // SAFETY: every header points to a vector, a buffer, an address and control room that live across the
        // call and are as long as it says; `vectors` outlives the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                u32::try_from(BATCH).unwrap_or(1),
                libc::MSG_DONTWAIT,
                core::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        for index in 0..count {
            let length = usize::try_from(self.headers[index].msg_len).unwrap_or(0).min(LONGEST);
            let source = &self.sources[index];
            let address = Ipv4Addr::from(u32::from_be(source.sin_addr.s_addr));
            each(Arrival {
                bytes: &self.buffers[index][..length],
                source: SocketAddrV4::new(address, u16::from_be(source.sin_port)),
                time: self.time(index),
            });
        }
        Ok(count)
    }

    /// The kernel's timestamp among the control data of one datagram.
    fn time(&self, index: usize) -> Option<u64> {
        let header = &self.headers[index].msg_hdr;
        // SAFETY: the kernel has filled the control room that the header points to and set its length.
        let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !control.is_null() {
            // SAFETY: the macros give pointers within the control room only, to whole headers.
            let this = unsafe { &*control };
            if this.cmsg_level == libc::SOL_SOCKET && this.cmsg_type == libc::SCM_TIMESTAMPNS {
                // SAFETY: a control message of this type carries one timespec.
                let time: libc::timespec =
                    unsafe { libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned() };
                let (seconds, rest) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
                return Some(seconds * 1_000_000_000 + rest);
            }
            // SAFETY: as above.
            control = unsafe { libc::CMSG_NXTHDR(header, control) };
        }
        None
    }
}

/// Sends each packet to its address, all in one call where the kernel takes them; gives how many it took.
///
/// # Errors
/// The system's, if it took none at all.
pub fn send(socket: &impl AsFd, packets: &[(&[u8], SocketAddrV4)]) -> io::Result<usize> {
    let packets = &packets[..packets.len().min(BATCH)];
    // SAFETY: plain C structures of integers and pointers, for which all zero is a value.
    let (mut headers, mut vectors, mut targets) = unsafe {
        (
            zeroed::<[libc::mmsghdr; BATCH]>(),
            zeroed::<[libc::iovec; BATCH]>(),
            zeroed::<[libc::sockaddr_in; BATCH]>(),
        )
    };
    for (index, (bytes, target)) in packets.iter().enumerate() {
        vectors[index] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        targets[index].sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(2);
        targets[index].sin_port = target.port().to_be();
        targets[index].sin_addr.s_addr = u32::from(*target.ip()).to_be();
        let header = &mut headers[index].msg_hdr;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut targets[index]).cast();
        header.msg_namelen = u32::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(16);
    }
    let count = u32::try_from(packets.len()).unwrap_or(0);
    // SAFETY: the first `count` headers point to vectors, packets and addresses that live across the call; the
    // kernel only reads the packets.
    let sent = unsafe {
        libc::sendmmsg(socket.as_fd().as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The IPv4 address and port of a bound socket.
///
/// # Errors
/// The system's, or a socket of another family.
pub fn local(socket: &UdpSocket) -> io::Result<SocketAddrV4> {
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}
