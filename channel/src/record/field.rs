//! Fields of records: one writer and one reader, and the shared vocabulary on top of them.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

use crate::command::{Beginning, FarEnd, LegOpening, PortChoice, Repeat, Rtcp, Source};
use crate::digits::{Key, Keys};
use crate::event::{LegStatistics, Track};
use crate::identity::{Action, LocalPort, MOST_ADDRESSES, Party, Recording, Session, Sound, Tag};
use crate::record::RecordError;
use crate::sound::Codec;
use crate::time::Instant;

/// Writes fields one after the other into a block of zeros.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// Begins at the start of `block`, which is all zero and longer than all fields together: the records' sizes
    /// are constants, and the tests write the longest value of each.
    pub(crate) const fn new(block: &'a mut [u8]) -> Self {
        Self { rest: block }
    }

    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        let rest = core::mem::take(&mut self.rest);
        let (field, rest) = rest.split_at_mut(N);
        field.copy_from_slice(&bytes);
        self.rest = rest;
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.put([value])
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.put(value.to_le_bytes())
    }

    pub(crate) fn duration(&mut self, value: Duration) -> &mut Self {
        self.u64(value.as_secs()).u32(value.subsec_nanos())
    }

    pub(crate) fn instant(&mut self, value: Instant) -> &mut Self {
        self.u64(value.nanoseconds())
    }

    pub(crate) fn tag(&mut self, tag: Tag) -> &mut Self {
        self.u64(tag.0)
    }

    pub(crate) fn recording(&mut self, recording: Recording) -> &mut Self {
        self.u64(recording.0)
    }

    pub(crate) fn sound(&mut self, sound: Sound) -> &mut Self {
        self.u32(sound.0)
    }

    pub(crate) fn session(&mut self, session: Session) -> &mut Self {
        self.u32(session.slot).u32(session.generation)
    }

    pub(crate) fn action(&mut self, action: Action) -> &mut Self {
        self.u32(action.0)
    }

    pub(crate) fn key(&mut self, key: Key) -> &mut Self {
        self.u8(key.code())
    }

    /// How many, then the code of each.
    pub(crate) fn keys(&mut self, keys: &Keys) -> &mut Self {
        // At most `Keys::MOST`.
        self.u8(u8::try_from(keys.len()).unwrap_or(u8::MAX));
        keys.iter().fold(self, |w, key| w.key(key))
    }

    pub(crate) fn party(&mut self, party: Party) -> &mut Self {
        self.u8(party.number())
    }

    pub(crate) fn codec(&mut self, codec: Codec) -> &mut Self {
        self.u8(match codec {
            Codec::Pcma => 1,
            Codec::Pcmu => 2,
            Codec::G722 => 3,
            Codec::Opus => 4,
        })
    }

    pub(crate) fn ports(&mut self, ports: [u16; 2]) -> &mut Self {
        self.u16(ports[0]).u16(ports[1])
    }

    pub(crate) fn local_port(&mut self, port: LocalPort) -> &mut Self {
        self.u8(port.address).u16(port.port)
    }

    pub(crate) fn leg_opening(&mut self, leg: &LegOpening) -> &mut Self {
        match leg.port {
            PortChoice::Any { addresses } => self.u8(1).u8(addresses).u16(0),
            PortChoice::This(port) => self.u8(2).local_port(port),
        };
        let stream = leg.beginning.unwrap_or(Beginning { ssrc: 0, sequence: 0, timestamp: 0 });
        self.flag(leg.beginning.is_some()).u32(stream.ssrc).u16(stream.sequence).u32(stream.timestamp)
    }

    pub(crate) fn address(&mut self, address: SocketAddr) -> &mut Self {
        match address {
            SocketAddr::V4(v4) => self.u8(4).u16(v4.port()).put(v4.ip().octets()).put([0; 12]).u32(0).u32(0),
            SocketAddr::V6(v6) => {
                self.u8(6).u16(v6.port()).put(v6.ip().octets()).u32(v6.flowinfo()).u32(v6.scope_id())
            }
        }
    }

    pub(crate) fn far_end(&mut self, far_end: &FarEnd) -> &mut Self {
        self.address(far_end.address).codec(far_end.codec).u8(far_end.payload_type);
        self.optional(far_end.telephone_event);
        self.flag(far_end.send).flag(far_end.receive).optional(far_end.comfort_noise);
        match far_end.rtcp {
            Rtcp::Off => self.u8(1).u16(0),
            Rtcp::Muxed => self.u8(2).u16(0),
            Rtcp::Port(port) => self.u8(3).u16(port),
        };
        self.flag(far_end.in_band)
    }

    fn optional(&mut self, payload_type: Option<u8>) -> &mut Self {
        self.flag(payload_type.is_some()).u8(payload_type.unwrap_or(0))
    }

    pub(crate) fn source(&mut self, source: Source) -> &mut Self {
        let (kind, sound, repeat) = match source {
            Source::Silence => (1, Sound(0), 0),
            Source::Peer => (2, Sound(0), 0),
            Source::Sound { sound, repeat: Repeat::Forever } => (3, sound, 0),
            Source::Sound { sound, repeat: Repeat::Times(times) } => (4, sound, times),
        };
        self.u8(kind).sound(sound).u16(repeat)
    }

    pub(crate) fn track(&mut self, track: &Track) -> &mut Self {
        self.u32(track.lost).u32(track.gaps).u32(track.silent_milliseconds)
    }

    pub(crate) fn statistics(&mut self, leg: &LegStatistics) -> &mut Self {
        self.u64(leg.packets_received).u64(leg.octets_received).u64(leg.packets_sent).u64(leg.octets_sent);
        self.i64(leg.packets_lost).u64(leg.packets_refused);
        self.u32(leg.jitter_microseconds).u32(leg.worst_jitter_microseconds);
        self.instant(leg.first_packet).instant(leg.last_packet).quality(&leg.quality)
    }
}

/// Reads fields one after the other, refusing what no writer writes.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

pub(crate) type Read<T> = Result<T, RecordError>;

/// The error for a field that holds `value` and cannot.
pub(crate) fn impossible<T>(field: &'static str, value: impl Into<u64>) -> Read<T> {
    Err(RecordError::Impossible { field, value: value.into() })
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((field, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(RecordError::Length { length: self.rest.len() });
        };
        self.rest = rest;
        Ok(*field)
    }

    /// Ends the record: whatever was not read must be zero.
    pub(crate) fn end<T>(self, value: T) -> Read<T> {
        if self.rest.iter().any(|byte| *byte != 0) {
            return Err(RecordError::Trailing);
        }
        Ok(value)
    }

    pub(crate) fn u8(&mut self) -> Read<u8> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(crate) fn flag(&mut self, field: &'static str) -> Read<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => impossible(field, other),
        }
    }

    pub(crate) fn u16(&mut self) -> Read<u16> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(crate) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(crate) fn i32(&mut self) -> Read<i32> {
        Ok(i32::from_le_bytes(self.take()?))
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    pub(crate) fn i64(&mut self) -> Read<i64> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    pub(crate) fn duration(&mut self) -> Read<Duration> {
        let (seconds, nanoseconds) = (self.u64()?, self.u32()?);
        if nanoseconds >= 1_000_000_000 {
            return impossible("nanoseconds", nanoseconds);
        }
        Ok(Duration::new(seconds, nanoseconds))
    }

    pub(crate) fn instant(&mut self) -> Read<Instant> {
        Ok(Instant::from_nanoseconds(self.u64()?))
    }

    pub(crate) fn tag(&mut self) -> Read<Tag> {
        match self.u64()? {
            0 => impossible("tag", 0_u8),
            tag => Ok(Tag(tag)),
        }
    }

    pub(crate) fn recording(&mut self) -> Read<Recording> {
        match self.u64()? {
            0 => impossible("recording", 0_u8),
            recording => Ok(Recording(recording)),
        }
    }

    pub(crate) fn sound(&mut self) -> Read<Sound> {
        Ok(Sound(self.u32()?))
    }

    /// Slot and generation as they stand; whether such a session exists, only the shard's table can tell.
    pub(crate) fn session(&mut self) -> Read<Session> {
        Ok(Session { slot: self.u32()?, generation: self.u32()? })
    }

    pub(crate) fn action(&mut self) -> Read<Action> {
        Ok(Action(self.u32()?))
    }

    pub(crate) fn key(&mut self) -> Read<Key> {
        let code = self.u8()?;
        Key::from_code(code).map_or_else(|| impossible("key", code), Ok)
    }

    pub(crate) fn keys(&mut self) -> Read<Keys> {
        let count = self.u8()?;
        if !(1..=Keys::MOST).contains(&usize::from(count)) {
            return impossible("number of keys", count);
        }
        let mut keys = Keys::NONE;
        for _ in 0..count {
            keys.push(self.key()?);
        }
        Ok(keys)
    }

    pub(crate) fn party(&mut self) -> Read<Party> {
        match self.u8()? {
            1 => Ok(Party::One),
            2 => Ok(Party::Two),
            other => impossible("party", other),
        }
    }

    pub(crate) fn codec(&mut self) -> Read<Codec> {
        match self.u8()? {
            1 => Ok(Codec::Pcma),
            2 => Ok(Codec::Pcmu),
            3 => Ok(Codec::G722),
            4 => Ok(Codec::Opus),
            other => impossible("codec", other),
        }
    }

    pub(crate) fn local_port(&mut self) -> Read<LocalPort> {
        match self.u8()? {
            address if address < MOST_ADDRESSES => Ok(LocalPort { address, port: self.u16()? }),
            other => impossible("media address", other),
        }
    }

    pub(crate) fn leg_opening(&mut self) -> Read<LegOpening> {
        let port = match self.u8()? {
            1 => match (self.u8()?, self.u16()?) {
                (addresses @ 1.., 0) => PortChoice::Any { addresses },
                (addresses, _) => return impossible("media addresses", addresses),
            },
            2 => PortChoice::This(self.local_port()?),
            other => return impossible("port choice", other),
        };
        let present = self.flag("beginning")?;
        let stream = Beginning { ssrc: self.u32()?, sequence: self.u16()?, timestamp: self.u32()? };
        match (present, stream) {
            (true, stream) => Ok(LegOpening { port, beginning: Some(stream) }),
            (false, Beginning { ssrc: 0, sequence: 0, timestamp: 0 }) => {
                Ok(LegOpening { port, beginning: None })
            }
            (false, stream) => impossible("beginning", stream.ssrc),
        }
    }

    pub(crate) fn address(&mut self) -> Read<SocketAddr> {
        let (family, port) = (self.u8()?, self.u16()?);
        let (octets, flow, scope) = (self.take::<16>()?, self.u32()?, self.u32()?);
        match family {
            4 => {
                let [a, b, c, d, rest @ ..] = octets;
                if rest != [0; 12] || flow != 0 || scope != 0 {
                    return impossible("IPv4 address", u32::from_be_bytes([a, b, c, d]));
                }
                Ok(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port)))
            }
            6 => Ok(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope))),
            other => impossible("address family", other),
        }
    }

    /// A payload type has seven bits (RFC 3550 section 5.1).
    fn payload_type(&mut self) -> Read<u8> {
        match self.u8()? {
            number @ 0..=127 => Ok(number),
            other => impossible("payload type", other),
        }
    }

    fn optional(&mut self, field: &'static str) -> Read<Option<u8>> {
        match (self.flag(field)?, self.payload_type()?) {
            (true, number) => Ok(Some(number)),
            (false, 0) => Ok(None),
            (false, number) => impossible(field, number),
        }
    }

    pub(crate) fn far_end(&mut self) -> Read<FarEnd> {
        let (address, codec, payload_type) = (self.address()?, self.codec()?, self.payload_type()?);
        let telephone_event = self.optional("telephone-event")?;
        let (send, receive) = (self.flag("send")?, self.flag("receive")?);
        let comfort_noise = self.optional("comfort noise")?;
        let rtcp = match (self.u8()?, self.u16()?) {
            (1, 0) => Rtcp::Off,
            (2, 0) => Rtcp::Muxed,
            (3, port) => Rtcp::Port(port),
            (kind, _) => return impossible("rtcp", kind),
        };
        let in_band = self.flag("in-band")?;
        Ok(FarEnd {
            address,
            codec,
            payload_type,
            telephone_event,
            comfort_noise,
            send,
            receive,
            rtcp,
            in_band,
        })
    }

    pub(crate) fn source(&mut self) -> Read<Source> {
        match (self.u8()?, self.sound()?, self.u16()?) {
            (1, Sound(0), 0) => Ok(Source::Silence),
            (2, Sound(0), 0) => Ok(Source::Peer),
            (3, sound, 0) => Ok(Source::Sound { sound, repeat: Repeat::Forever }),
            (4, sound, times @ 1..) => Ok(Source::Sound { sound, repeat: Repeat::Times(times) }),
            (kind, ..) => impossible("source", kind),
        }
    }

    pub(crate) fn track(&mut self) -> Read<Track> {
        Ok(Track { lost: self.u32()?, gaps: self.u32()?, silent_milliseconds: self.u32()? })
    }

    pub(crate) fn statistics(&mut self) -> Read<LegStatistics> {
        Ok(LegStatistics {
            packets_received: self.u64()?,
            octets_received: self.u64()?,
            packets_sent: self.u64()?,
            octets_sent: self.u64()?,
            packets_lost: self.i64()?,
            packets_refused: self.u64()?,
            jitter_microseconds: self.u32()?,
            worst_jitter_microseconds: self.u32()?,
            first_packet: self.instant()?,
            last_packet: self.instant()?,
            quality: self.quality()?,
        })
    }
}
