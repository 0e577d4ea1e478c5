//! Packets that pass the loopback interface, as the kernel saw them: a packet socket (packet(7)) with a filter. It takes
//! root or CAP_NET_RAW.
#![allow(unsafe_code)] // recvmsg with a time stamp, and two socket options that no safe interface has.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant, SystemTime};

use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// The address of every gateway under test. What passes from other addresses, over whatever interface, is not ours.
const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The EtherType of IPv4. A socket for one protocol sees a packet when it comes in, and not when it goes out, too.
const IPV4: u16 = 0x0800;

/// Octets that a packet socket may hold for us: seconds of what a test sends, so that a busy host loses nothing.
const BUFFER: usize = 32 << 20;

/// The longest packet that is taken whole: longer than any of the gateway's.
const LONGEST: usize = 2_048;

/// Room for the one control message that is asked for: a time stamp.
const CONTROL: usize = 64;

/// IPv4 packets with UDP from some ports.
pub struct Capture {
    socket: Socket,
    first: u16,
    last: u16,
    packet: [u8; LONGEST],
}

/// A UDP datagram that passed.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// When the kernel saw it.
    pub at: Instant,
    /// The port that it came from.
    pub source: u16,
    /// What was in it.
    pub payload: &'a [u8],
}

impl Capture {
    /// Sees what comes from these ports, from now on.
    ///
    /// # Errors
    /// The system's; without the right, [`io::ErrorKind::PermissionDenied`].
    pub fn from_ports(first: u16, last: u16) -> io::Result<Self> {
        Self::with_buffer(first, last, BUFFER)
    }

    /// The same with so many octets of memory in the kernel.
    ///
    /// # Errors
    /// As [`Capture::from_ports`].
    pub fn with_buffer(first: u16, last: u16, octets: usize) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(IPV4.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        // Root may have more than the host's limit; where even that is refused, losses will be seen.
        if sockopt::set_socket_recv_buffer_size_force(&socket, octets).is_err() {
            socket.set_recv_buffer_size(octets)?;
        }
        stamp_times(&socket)?;
        socket.attach_filter(&filter(first, last))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, first, last, packet: [0; LONGEST] })
    }

    /// The next datagram, if there is one.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&mut self) -> io::Result<Option<Datagram<'_>>> {
        loop {
            let (length, stamp) = match receive(&self.socket, &mut self.packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                received => received?,
            };
            // What came before the filter was there is looked at once more.
            let ours = udp(&self.packet[..length]);
            if let Some((source, from, to)) =
                ours.filter(|(source, ..)| (self.first..=self.last).contains(source))
            {
                let ago =
                    stamp.and_then(|stamp| SystemTime::now().duration_since(stamp).ok()).unwrap_or_default();
                let now = Instant::now();
                let at = now.checked_sub(ago).unwrap_or(now);
                return Ok(Some(Datagram { at, source, payload: &self.packet[from..to] }));
            }
        }
    }

    /// How many packets there was no room for since this was last asked.
    ///
    /// # Errors
    /// The system's.
    pub fn missed(&self) -> io::Result<u32> {
        statistics(&self.socket).map(|statistics| statistics.tp_drops)
    }
}

/// Where the payload of an IPv4 packet with UDP lies, and which port it is from.
fn udp(packet: &[u8]) -> Option<(u16, usize, usize)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let &[s0, s1, _, _, l0, l1, ..] = packet.get(header..)? else { return None };
    let end = header + usize::from(u16::from_be_bytes([l0, l1]));
    let is_udp = packet.get(9) == Some(&17) && end <= packet.len() && end >= header + 8;
    let is_ours = packet.get(12..16) == Some(&ADDRESS.octets()[..]);
    (is_udp && is_ours).then_some((u16::from_be_bytes([s0, s1]), header + 8, end))
}

/// The classic filter program for the same: UDP, our address, and the source port within bounds.
fn filter(first: u16, last: u16) -> [SockFilter; 10] {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_OCTET: u16 = 0x30;
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    const IF_EQUAL: u16 = 0x15;
    const IF_AT_LEAST: u16 = 0x35;
    const IF_ABOVE: u16 = 0x25;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_OCTET, 0, 0, 9),
        SockFilter::new(IF_EQUAL, 0, 7, 17),
        SockFilter::new(LOAD_WORD, 0, 0, 12),
        SockFilter::new(IF_EQUAL, 0, 5, ADDRESS.to_bits()),
        SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_BEHIND, 0, 0, 0),
        SockFilter::new(IF_AT_LEAST, 0, 2, u32::from(first)),
        SockFilter::new(IF_ABOVE, 1, 0, u32::from(last)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Asks for the time of every packet.
fn stamp_times(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of_val(&on)).expect("four octets");
    // SAFETY: the option takes an int; the pointer and the length are of one that lives.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a packet socket says of itself; asking sets it back.
fn statistics(socket: &Socket) -> io::Result<libc::tpacket_stats> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&statistics)).expect("eight octets");
    // SAFETY: the kernel writes at most `size` octets, which is what there is room for; any octets are two numbers.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut size,
        )
    };
    if outcome == 0 { Ok(statistics) } else { Err(io::Error::last_os_error()) }
}

/// One packet, and when it came.
fn receive(socket: &Socket, packet: &mut [u8]) -> io::Result<(usize, Option<SystemTime>)> {
    // Words, so that it is aligned as the headers within it must be.
    let mut control = [0_u64; CONTROL / 8];
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
    // SAFETY: all of it may be zero: no name, no parts, no control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut control).cast(), CONTROL);
    // SAFETY: the part and the control point to memory of the lengths beside them, which lives until the call is over.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let Ok(length) = usize::try_from(received) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has filled the control to the length that it wrote into the message.
    let first = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    if first.is_null() {
        return Ok((length, None));
    }
    // SAFETY: it points to a header within the control.
    let header = unsafe { &*first };
    let stamped = (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
    // SAFETY: that kind of message holds a timespec, perhaps not aligned.
    let time = stamped.then(|| unsafe { libc::CMSG_DATA(first).cast::<libc::timespec>().read_unaligned() });
    let since = time.and_then(|time| {
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    });
    Ok((length, since.map(|since| SystemTime::UNIX_EPOCH + since)))
}
