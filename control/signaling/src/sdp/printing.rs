//! Our descriptions in print.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::sound::Codec;
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use super::Direction;

/// One media line of ours.
#[derive(Clone, Copy)]
pub(super) enum Line<'l> {
    /// The sound stream.
    Sound {
        codecs: &'l [(Codec, u8)],
        others: Others,
        direction: Direction,
        muxed: bool,
        /// The profile, and the values of `a=crypto`.
        security: &'l (&'static str, Vec<String>),
    },
    /// A stream that is refused: port 0 (RFC 3264 section 6).
    Refused(&'l Refused),
}

/// What is said beside the codecs, by payload type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Others {
    /// Telephone-event at 8 kHz, beside codecs of that clock.
    pub(super) narrow_event: Option<u8>,
    /// The same at 48 kHz, beside Opus: events count in the clock of the sound (RFC 4733 section 2.1).
    pub(super) wide_event: Option<u8>,
    /// Comfort noise (RFC 3389).
    pub(super) comfort_noise: Option<u8>,
}

/// What has to be said of a refused stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub(super) media: String,
    pub(super) proto: String,
    pub(super) formats: String,
}

/// `session`, `version` and `address` go into `o=`; the times are the offer's (RFC 3264 section 6).
pub(super) fn print<'l>(
    (session, version): (u64, u64),
    address: SocketAddr,
    times: &[Time],
    lines: impl Iterator<Item = Line<'l>>,
) -> Vec<u8> {
    let mut description = Session::new(Origin::with_ip_addr(session, version, address.ip()), "-");
    description.connection = Some(Connection::from_ip_addr(address.ip()));
    description.times = times.to_vec();
    description.medias = lines.map(|line| media(line, address.port())).collect();
    let mut text = Vec::with_capacity(512);
    match description.write(&mut text) {
        Ok(()) => text,
        Err(_) => Vec::new(), // a vector takes everything
    }
}

fn media(line: Line<'_>, port: u16) -> Media {
    match line {
        Line::Sound { codecs, others, direction, muxed, security: (profile, keys) } => {
            let mut media = sound(port, codecs, others, direction);
            media.proto = String::from(*profile);
            let crypto = keys.iter().map(|value| Attribute::with_value("crypto", value.clone()));
            media.attributes.extend(crypto);
            if muxed {
                media.attributes.push(Attribute::new("rtcp-mux"));
            }
            media
        }
        Line::Refused(Refused { media, proto, formats }) => blank(media, 0, proto, formats.clone()),
    }
}

fn sound(port: u16, codecs: &[(Codec, u8)], others: Others, direction: Direction) -> Media {
    let events = [(others.narrow_event, 8_000), (others.wide_event, 48_000)];
    let beside = others.comfort_noise.into_iter().chain(events.iter().filter_map(|(number, _)| *number));
    let numbers = codecs.iter().map(|(_, number)| *number).chain(beside);
    let formats: Vec<String> = numbers.map(|number| number.to_string()).collect();
    let mut media = blank("audio", port, "RTP/AVP", formats.join(" "));
    let mut say = |name: &str, value: String| media.attributes.push(Attribute::with_value(name, value));
    for (codec, number) in codecs {
        // RFC 7587 section 7: two channels in the map, whatever is sent.
        let channels = if *codec == Codec::Opus { "/2" } else { "" };
        say("rtpmap", format!("{number} {}/{}{channels}", codec.name(), codec.clock_rate()));
        if *codec == Codec::Opus {
            say("fmtp", format!("{number} useinbandfec=1;stereo=0;sprop-stereo=0"));
        }
    }
    if let Some(number) = others.comfort_noise {
        say("rtpmap", format!("{number} CN/8000"));
    }
    for (number, clock) in events.into_iter().filter_map(|(number, clock)| Some((number?, clock))) {
        say("rtpmap", format!("{number} telephone-event/{clock}"));
        say("fmtp", format!("{number} 0-15"));
    }
    say("ptime", String::from("20"));
    if codecs.iter().any(|(codec, _)| *codec == Codec::Opus) {
        // RFC 7587 section 6.1: without it 120 ms, which reach a party of another codec in one long packet.
        say("maxptime", String::from("60"));
    }
    media.attributes.push(Attribute::new(match direction {
        Direction::SendReceive => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::ReceiveOnly => "recvonly",
        Direction::Inactive => "inactive",
    }));
    media
}

fn blank(media: &str, port: u16, proto: &str, formats: String) -> Media {
    Media {
        media: String::from(media),
        port,
        num_ports: None,
        proto: String::from(proto),
        fmt: formats,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}
