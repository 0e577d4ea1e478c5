//! Frames, built and read octet by octet.

use std::net::{IpAddr, SocketAddr};

use aya::TestRun as _;
use aya::programs::TestRunOptions;
use duogate_fastpath::FastPath;

use crate::host::{GATEWAY_MAC, INTERFACE, PARTY_MAC};

/// What becomes of a frame (linux/bpf.h: enum xdp_action).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Drop,
    Pass,
    Send,
    Other(u32),
}

/// A frame after the program has seen it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    pub(crate) action: Action,
    pub(crate) frame: Vec<u8>,
}

/// Runs the program on one frame, as if it had come to the gateway's interface.
pub(crate) fn run(path: &FastPath, frame: &[u8]) -> Outcome {
    let mut out = vec![0; 4096];
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let length = u32::try_from(frame.len()).unwrap();
    let context: Vec<u8> = [0, length, 0, INTERFACE, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.data_out = Some(&mut out);
    options.ctx_in = Some(&context);
    let result = path.program().unwrap().test_run(options).unwrap();
    out.truncate(usize::try_from(result.data_size_out).unwrap());
    let action = match result.return_value {
        1 => Action::Drop,
        2 => Action::Pass,
        3 => Action::Send,
        other => Action::Other(other),
    };
    Outcome { action, frame: out }
}

pub(crate) fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn sum(words: &[u8]) -> u64 {
    words
        .chunks(2)
        .map(|pair| u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

fn checksum(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn pseudo(source: IpAddr, destination: IpAddr, length: usize) -> u64 {
    sum(&octets(source)) + sum(&octets(destination)) + length as u64 + 17
}

/// An Ethernet frame with a UDP datagram, all checksums right.
pub(crate) fn frame(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let mut udp = Vec::new();
    udp.extend(source.port().to_be_bytes());
    udp.extend(destination.port().to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let check = checksum(pseudo(source.ip(), destination.ip(), udp.len()) + sum(&udp));
    udp[6..8].copy_from_slice(&check.to_be_bytes());
    let mut frame = [GATEWAY_MAC, PARTY_MAC].concat();
    if source.is_ipv4() {
        frame.extend([0x08, 0x00, 0x45, 0x10]);
        frame.extend((length + 20).to_be_bytes());
        frame.extend([0x12, 0x34, 0x40, 0, 17, 17, 0, 0]);
    } else {
        frame.extend([0x86, 0xdd, 0x61, 0x23, 0x45, 0x67]);
        frame.extend(length.to_be_bytes());
        frame.extend([17, 33]);
    }
    frame.extend(octets(source.ip()));
    frame.extend(octets(destination.ip()));
    if source.is_ipv4() {
        let check = checksum(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&check.to_be_bytes());
    }
    frame.extend(udp);
    frame
}

/// A frame taken apart; its checksums must be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Parts {
    pub(crate) macs: [[u8; 6]; 2],
    pub(crate) traffic_class: u8,
    pub(crate) hops: u8,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// There is a checksum over the datagram.
    pub(crate) summed: bool,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn parts(frame: &[u8]) -> Parts {
    let ip = &frame[14..];
    let four = frame[12..14] == [0x08, 0x00];
    let (traffic_class, hops, source, destination, udp) = if four {
        assert_eq!(checksum(sum(&ip[..20])), 0, "the header's checksum");
        let at = |place: usize| IpAddr::from(<[u8; 4]>::try_from(&ip[place..place + 4]).unwrap());
        (ip[1], ip[8], at(12), at(16), &ip[20..])
    } else {
        let at = |place: usize| IpAddr::from(<[u8; 16]>::try_from(&ip[place..place + 16]).unwrap());
        (ip[0] << 4 | ip[1] >> 4, ip[7], at(8), at(24), &ip[40..])
    };
    let udp = &udp[..usize::from(u16::from_be_bytes([udp[4], udp[5]]))];
    let summed = udp[6..8] != [0, 0];
    if summed {
        assert_eq!(checksum(pseudo(source, destination, udp.len()) + sum(udp)), 0, "the datagram's checksum");
    }
    assert!(summed || four, "IPv6 has a checksum");
    let port = |place: usize| u16::from_be_bytes([udp[place], udp[place + 1]]);
    Parts {
        macs: [frame[..6].try_into().unwrap(), frame[6..12].try_into().unwrap()],
        traffic_class,
        hops,
        source: SocketAddr::new(source, port(0)),
        destination: SocketAddr::new(destination, port(2)),
        summed,
        payload: udp[8..].to_vec(),
    }
}
