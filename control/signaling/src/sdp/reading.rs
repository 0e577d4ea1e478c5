//! What a description says of the sound stream.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use duogate_channel::command::Rtcp;
use duogate_channel::sound::Codec;
use sdp_types::{AddrType, Connection, Media, NetType, Session};

use super::crypto::{PLAIN, is_secured};
use super::printing::Others;
use super::{Direction, SdpError};

/// Octets of a description that is read at all; what telephones send has 200 to 2,000.
const MAX_DESCRIPTION: usize = 16 * 1024;
/// Media lines of a description.
const MAX_MEDIA: usize = 32;
/// Formats of a media line, and attributes of one.
const MAX_FORMATS: usize = 64;
const MAX_ATTRIBUTES: usize = 256;

/// Payload types that RTCP packet types would be taken for (RFC 5761 section 4).
const RTCP_LOOKALIKES: core::ops::RangeInclusive<u8> = 72..=76;

/// A description, its size checked, free of stray control characters.
pub(super) fn session(text: &[u8]) -> Result<Session, SdpError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(SdpError::Missing);
    }
    if text.len() > MAX_DESCRIPTION {
        return Err(SdpError::TooLarge);
    }
    // Lines end with CR LF or LF (RFC 8866 section 5); anything else of this kind would be printed back by us.
    let stray = |at: usize| match text[at] {
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        byte => (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f,
    };
    if (0..text.len()).any(stray) {
        return Err(SdpError::Syntax);
    }
    let session = Session::parse(text).map_err(|_| SdpError::Syntax)?;
    let too_many = |media: &Media| {
        media.fmt.split_ascii_whitespace().count() > MAX_FORMATS || media.attributes.len() > MAX_ATTRIBUTES
    };
    if session.medias.len() > MAX_MEDIA || session.medias.iter().any(too_many) {
        return Err(SdpError::TooLarge);
    }
    Ok(session)
}

/// A sound stream of the far end's description.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) address: SocketAddr,
    pub(super) direction: Direction,
    /// The codecs that we know, in its order, with the payload type of each.
    pub(super) codecs: Vec<(Codec, u8)>,
    /// Telephone-event at 8 kHz, at 48 kHz, and comfort noise.
    pub(super) others: Others,
    pub(super) packet_time: Option<u8>,
    pub(super) rtcp: Rtcp,
}

/// Sound over RTP, plain or secured?
pub(super) fn is_sound(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
        && (media.proto.eq_ignore_ascii_case(PLAIN) || is_secured(media))
}

/// What a media line and the session say of a stream. The port is not 0.
pub(super) fn stream(session: &Session, media: &Media) -> Result<Stream, SdpError> {
    let connection = media.connections.first().or(session.connection.as_ref());
    let ip = address(connection.ok_or(SdpError::NoAddress)?)?;
    let formats = formats(media)?;
    let codecs = formats.iter().filter_map(|format| Some((format.codec()?, format.payload_type))).collect();
    let number =
        |name, clock| formats.iter().find(|format| format.is(name, clock)).map(|format| format.payload_type);
    let others = Others {
        narrow_event: number("telephone-event", 8_000),
        wide_event: number("telephone-event", 48_000),
        comfort_noise: number("CN", 8_000),
    };
    Ok(Stream {
        address: SocketAddr::new(ip, media.port),
        direction: direction(session, media),
        codecs,
        others,
        packet_time: attribute(media, "ptime").and_then(|text| text.trim().parse().ok()).filter(|ms| *ms > 0),
        rtcp: rtcp(media, ip),
    })
}

/// Where the far end has its RTCP: on the port of RTP (RFC 5761 section 5.1.1), where `a=rtcp` says (RFC 3605), or on
/// the port above RTP's (RFC 3550 section 11). RTCP of one call at two hosts is not served: none then.
fn rtcp(media: &Media, ip: IpAddr) -> Rtcp {
    if media.attributes.iter().any(|attribute| attribute.attribute == "rtcp-mux") {
        return Rtcp::Muxed;
    }
    let port = match attribute(media, "rtcp") {
        None => media.port.checked_add(1),
        Some(text) => {
            let mut words = text.split_ascii_whitespace();
            let port = words.next().and_then(|word| word.parse().ok());
            let same_host = match (words.next(), words.next(), words.next(), words.next()) {
                (None, ..) => true,
                (Some("IN"), Some("IP4" | "IP6"), Some(address), None) => address.parse() == Ok(ip),
                _ => false,
            };
            port.filter(|_| same_host)
        }
    };
    port.filter(|port| *port != 0).map_or(Rtcp::Off, Rtcp::Port)
}

/// A unicast address, or the unspecified one (RFC 3264 section 8.4: hold as RFC 2543 had it).
fn address(connection: &Connection) -> Result<IpAddr, SdpError> {
    if connection.nettype != NetType::In {
        return Err(SdpError::Address);
    }
    let ip: IpAddr = connection.connection_address.trim().parse().map_err(|_| SdpError::Address)?;
    let family_agrees = match connection.addrtype {
        AddrType::Ip4 => ip.is_ipv4(),
        AddrType::Ip6 => ip.is_ipv6(),
        _ => false,
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if family_agrees && !broadcast && !ip.is_multicast() { Ok(ip) } else { Err(SdpError::Address) }
}

/// The media's direction, or else the session's, or else both ways (RFC 3264 section 5.1).
fn direction(session: &Session, media: &Media) -> Direction {
    let all = media.attributes.iter().chain(&session.attributes);
    let mut found = all.filter_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendReceive),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::ReceiveOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    });
    found.next().unwrap_or(Direction::SendReceive)
}

fn attribute<'m>(media: &'m Media, name: &str) -> Option<&'m str> {
    let mut found = media.attributes.iter().filter(|attribute| attribute.attribute == name);
    found.next().and_then(|attribute| attribute.value.as_deref())
}

/// A payload type and what it means.
struct Format<'m> {
    payload_type: u8,
    /// `name/clock[/channels]`.
    meaning: Option<&'m str>,
}

impl Format<'_> {
    fn codec(&self) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| self.is(codec.name(), codec.clock_rate()))
    }

    /// That encoding, one channel? Opus says two of any stream (RFC 7587 section 7).
    fn is(&self, name: &str, clock: u32) -> bool {
        let Some(meaning) = self.meaning else {
            return false;
        };
        let mut parts = meaning.split('/');
        parts.next().is_some_and(|encoding| encoding.eq_ignore_ascii_case(name))
            && parts.next().and_then(|rate| rate.parse().ok()) == Some(clock)
            && match parts.next() {
                None | Some("" | "1") => true,
                Some(channels) => channels == "2" && name == Codec::Opus.name(),
            }
    }
}

/// The formats of a media line in their order, with what `rtpmap` or RFC 3551 says that they mean.
fn formats(media: &Media) -> Result<Vec<Format<'_>>, SdpError> {
    let mut formats: Vec<Format<'_>> = Vec::new();
    for word in media.fmt.split_ascii_whitespace() {
        let payload_type: u8 = word.parse().ok().filter(|pt| *pt < 128).ok_or(SdpError::PayloadType)?;
        let meaning = meaning(media, payload_type)?;
        if !RTCP_LOOKALIKES.contains(&payload_type) {
            formats.push(Format { payload_type, meaning });
        }
    }
    Ok(formats)
}

/// What one payload type means: once only.
fn meaning(media: &Media, payload_type: u8) -> Result<Option<&str>, SdpError> {
    let maps = media.attributes.iter().filter(|attribute| attribute.attribute == "rtpmap");
    let values = maps.filter_map(|attribute| attribute.value.as_deref()?.trim().split_once(' '));
    let mut ours =
        values.filter(|(number, _)| number.parse() == Ok(payload_type)).map(|(_, text)| text.trim());
    let first = ours.next();
    if ours.any(|other| !first.is_some_and(|first| first.eq_ignore_ascii_case(other))) {
        return Err(SdpError::PayloadType);
    }
    Ok(first.or(match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        13 => Some("CN/8000"),
        _ => None,
    }))
}
