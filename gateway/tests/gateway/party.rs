//! A party: a socket that speaks RTP.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use duogate_channel::command::{FarEnd, Rtcp};
use duogate_channel::identity::{Party as Side, Session};
use duogate_channel::sound::Codec;

use crate::house::{Control, DEADLINE, Gateway};

/// One RTP packet, taken apart (RFC 3550 section 5.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    pub(crate) fn parse(octets: &[u8]) -> Self {
        assert!(octets.len() >= 12 && octets[0] == 0x80, "not plain RTP: {octets:x?}");
        Self {
            marker: octets[1] & 0x80 != 0,
            payload_type: octets[1] & 0x7f,
            sequence: u16::from_be_bytes([octets[2], octets[3]]),
            timestamp: u32::from_be_bytes(octets[4..8].try_into().unwrap()),
            ssrc: u32::from_be_bytes(octets[8..12].try_into().unwrap()),
            payload: octets[12..].to_vec(),
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0x80, self.payload_type | u8::from(self.marker) << 7];
        octets.extend(self.sequence.to_be_bytes());
        octets.extend(self.timestamp.to_be_bytes());
        octets.extend(self.ssrc.to_be_bytes());
        octets.extend(&self.payload);
        octets
    }
}

/// Does something for each packet of a stream, 20 ms apart, and waits as long after the last.
pub(crate) fn paced<N>(numbers: impl IntoIterator<Item = N>, mut each: impl FnMut(N)) {
    let mut next = Instant::now();
    for number in numbers {
        each(number);
        next += Duration::from_millis(20);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

pub(crate) struct Phone {
    pub(crate) socket: UdpSocket,
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) telephone_event: Option<u8>,
    pub(crate) rtcp: Rtcp,
    pub(crate) gateway: SocketAddr,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
}

impl Phone {
    pub(crate) fn new(codec: Codec) -> Self {
        Self::at("127.0.0.1:0", codec)
    }

    pub(crate) fn at(address: &str, codec: Codec) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let payload_type = codec.payload_type();
        let gateway = "127.0.0.1:9".parse().unwrap();
        let ssrc = u32::from(socket.local_addr().unwrap().port()) << 8;
        Self {
            socket,
            codec,
            payload_type,
            telephone_event: Some(101),
            rtcp: Rtcp::Off,
            gateway,
            ssrc,
            sequence: 65_530,
            timestamp: 7,
        }
    }

    pub(crate) fn far_end(&self) -> FarEnd {
        FarEnd {
            payload_type: self.payload_type,
            telephone_event: self.telephone_event,
            rtcp: self.rtcp,
            ..FarEnd::new(self.socket.local_addr().unwrap(), self.codec)
        }
    }

    /// The next packet of the stream, 20 ms on.
    pub(crate) fn next(&mut self, payload: &[u8]) -> Packet {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160 * self.codec.ticks());
        Packet {
            marker: false,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn say(&mut self, payload: &[u8]) -> Packet {
        let packet = self.next(payload);
        self.send(&packet);
        packet
    }

    pub(crate) fn send(&self, packet: &Packet) {
        self.socket.send_to(&packet.octets(), self.gateway).unwrap();
    }

    pub(crate) fn hear(&self) -> Packet {
        self.hear_within(DEADLINE).expect("a packet")
    }

    pub(crate) fn hear_within(&self, time: Duration) -> Option<Packet> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut octets = [0; 2048];
        let (length, source) = self.socket.recv_from(&mut octets).ok()?;
        assert_eq!(source, self.gateway);
        Some(Packet::parse(&octets[..length]))
    }
}

/// A session with both parties joined, and spoken in: the streams of both are believed.
pub(crate) fn joined(control: &mut Control, codecs: [Codec; 2]) -> (Session, [Phone; 2]) {
    let (session, phones) = opened(control, codecs);
    control.join(session);
    (session, phones)
}

/// A session with both far ends set.
pub(crate) fn opened(control: &mut Control, codecs: [Codec; 2]) -> (Session, [Phone; 2]) {
    opened_with(control, codecs.map(Phone::new))
}

/// The same for phones that are there already.
pub(crate) fn opened_with(control: &mut Control, mut phones: [Phone; 2]) -> (Session, [Phone; 2]) {
    let (session, ports) = control.open();
    for ((party, phone), port) in Side::BOTH.into_iter().zip(&mut phones).zip(ports) {
        phone.gateway = ([127, 0, 0, 1], port).into();
        control.far_end(session, party, phone.far_end());
    }
    (session, phones)
}

/// Speaks until the other side hears it; the first packets may be needed to be believed. Gives both ends of what
/// came through.
pub(crate) fn warm_up(from: &mut Phone, to: &Phone) -> (Packet, Packet) {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        let payload: Vec<u8> = from.sequence.to_be_bytes().into_iter().cycle().take(160).collect();
        let said = from.say(&payload);
        if let Some(heard) = to.hear_within(Duration::from_millis(20)) {
            return (said, heard);
        }
    }
    panic!("nothing came through");
}

/// A gateway, a control plane, and a joined session in it.
pub(crate) fn call(codecs: [Codec; 2]) -> (Gateway, Control, Session, [Phone; 2]) {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, phones) = joined(&mut control, codecs);
    (gateway, control, session, phones)
}
