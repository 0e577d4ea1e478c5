//! Session descriptions (RFC 4566), as far as a phone with one audio stream needs them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::codec::Codec;
use crate::ear::Payloads;
use crate::tone::RATE;

/// The payload type that a phone offers for telephone-event in the clock of Opus.
const WIDE_EVENT: u8 = 102;

/// Which way sound flows, seen from who says it (RFC 3264 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Direction {
    /// "I send."
    pub send: bool,
    /// "I receive."
    pub receive: bool,
}

impl Direction {
    /// Both ways.
    pub const BOTH: Self = Self { send: true, receive: true };

    const fn attribute(self) -> &'static str {
        match (self.send, self.receive) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }

    fn from_attribute(attribute: &str) -> Option<Self> {
        let (send, receive) = match attribute {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { send, receive })
    }
}

/// What a peer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Where it receives RTP; port 0 if it refuses the stream.
    pub address: SocketAddr,
    /// The codecs that we know, with its payload types, in its order.
    pub codecs: Vec<(Codec, u8)>,
    /// Its payload type for telephone-event in the clock of 8 kHz.
    pub event_type: Option<u8>,
    /// The same in the clock of 48 kHz, beside Opus.
    pub wide_event_type: Option<u8>,
    /// Can it take RTCP on the port of RTP?
    pub muxed: bool,
    /// Which way it wants sound to flow.
    pub direction: Direction,
    /// Lines `m=` of the streams that are not ours, to be refused in the answer, and whether ours comes before.
    others: Vec<(bool, String)>,
}

/// Why a description cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DescriptionError {
    /// Not UTF-8, or not begun by `v=0`.
    #[error("no session description")]
    NotSdp,
    /// No audio stream over RTP/AVP.
    #[error("no audio stream")]
    NoAudio,
    /// No address for it.
    #[error("no address for the audio stream")]
    NoAddress,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(body: &[u8]) -> Result<Self, DescriptionError> {
        let text = str::from_utf8(body).map_err(|_| DescriptionError::NotSdp)?;
        if !text.starts_with("v=0") {
            return Err(DescriptionError::NotSdp);
        }
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line.trim_end()));
        let port = reader.port.ok_or(DescriptionError::NoAudio)?;
        let ip = reader.media_ip.or(reader.session_ip).ok_or(DescriptionError::NoAddress)?;
        let mut direction = reader.direction.unwrap_or(Direction::BOTH);
        // The old way to say hold (RFC 3264 section 8.4).
        direction.receive &= !ip.is_unspecified();
        let codecs = reader.payloads.iter().filter_map(|payload| match payload {
            8 => Some((Codec::Pcma, 8)),
            0 => Some((Codec::Pcmu, 0)),
            9 => Some((Codec::G722, 9)),
            other => (reader.opus_type == Some(*other)).then_some((Codec::Opus, *other)),
        });
        let agreed = |event: &u8| reader.payloads.contains(event);
        Ok(Self {
            address: SocketAddr::new(ip, port),
            codecs: codecs.collect(),
            event_type: reader.event_type.filter(agreed),
            wide_event_type: reader.wide_event_type.filter(agreed),
            muxed: reader.muxed,
            direction,
            others: reader.others,
        })
    }
}

#[derive(Default)]
struct Reader {
    session_ip: Option<IpAddr>,
    media_ip: Option<IpAddr>,
    port: Option<u16>,
    payloads: Vec<u8>,
    event_type: Option<u8>,
    wide_event_type: Option<u8>,
    opus_type: Option<u8>,
    muxed: bool,
    direction: Option<Direction>,
    others: Vec<(bool, String)>,
    /// Whose lines are read: the session's, ours, another stream's.
    section: Section,
}

#[derive(Default, PartialEq, Eq)]
enum Section {
    #[default]
    Session,
    Audio,
    Other,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some((kind, value)) = line.split_once('=') else { return };
        match kind {
            "m" => self.media(value),
            "c" if self.section == Section::Session => self.session_ip = connection(value),
            "c" if self.section == Section::Audio => self.media_ip = connection(value),
            "a" if self.section != Section::Other => self.attribute(value),
            _ => {}
        }
    }

    fn media(&mut self, value: &str) {
        let mut words = value.split(' ');
        let (kind, port, profile) = (words.next(), words.next(), words.next());
        let port = port.and_then(|port| port.parse().ok());
        if kind == Some("audio") && profile == Some("RTP/AVP") && self.port.is_none() && port.is_some() {
            self.port = port;
            self.payloads = words.filter_map(|payload| payload.parse().ok()).collect();
            self.section = Section::Audio;
        } else {
            self.others.push((self.port.is_some(), value.to_owned()));
            self.section = Section::Other;
        }
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = Direction::from_attribute(value) {
            self.direction = Some(direction);
        }
        self.muxed |= value == "rtcp-mux" && self.section == Section::Audio;
        let Some((payload, name)) = value.strip_prefix("rtpmap:").and_then(|map| map.split_once(' ')) else {
            return;
        };
        let payload = payload.parse().ok();
        match name.to_ascii_lowercase().as_str() {
            name if name.starts_with("telephone-event/8000") => self.event_type = payload,
            name if name.starts_with("telephone-event/48000") => self.wide_event_type = payload,
            name if name.starts_with("opus/48000") => self.opus_type = payload,
            _ => {}
        }
    }
}

fn connection(value: &str) -> Option<IpAddr> {
    value.split(' ').nth(2)?.split('/').next()?.parse().ok()
}

/// What a phone says.
#[derive(Clone, Debug)]
pub struct Ours {
    /// Names the session in `o=`.
    pub session: u64,
    /// Rises with every change.
    pub version: u64,
    /// Where we receive RTP.
    pub address: SocketAddr,
    /// Do we take RTCP on the port of RTP, if they do?
    pub muxed: bool,
    /// Which way sound shall flow.
    pub direction: Direction,
}

impl Ours {
    /// An offer, with telephone-event in the clock of each codec.
    #[must_use]
    pub fn offer(&self, codecs: &[Codec], event_type: Option<u8>) -> String {
        let all: Vec<Payloads> = codecs
            .iter()
            .map(|codec| {
                let wide =
                    event_type.map(|narrow| if narrow == WIDE_EVENT { narrow - 1 } else { WIDE_EVENT });
                let event_type = if codec.clock_rate() == RATE { event_type } else { wide };
                Payloads::of(*codec, event_type)
            })
            .collect();
        self.write(&all, self.muxed, &[])
    }

    /// An answer: every stream of the offer has its line, those that are not ours are refused (RFC 3264
    /// section 6).
    #[must_use]
    pub fn answer(&self, offer: &Description, payloads: Payloads) -> String {
        self.write(&[payloads], self.muxed && offer.muxed, &offer.others)
    }

    fn write(&self, payloads: &[Payloads], muxed: bool, others: &[(bool, String)]) -> String {
        let ip = self.address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let mut text = format!(
            "v=0\r\no=phone {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n",
            self.session, self.version
        );
        let refuse = |text: &mut String, after: bool| {
            for (_, line) in others.iter().filter(|(place, _)| *place == after) {
                let mut words: Vec<&str> = line.split(' ').collect();
                if let Some(port) = words.get_mut(1) {
                    *port = "0";
                }
                // Writing to a string cannot fail.
                let _ = write!(text, "m={}\r\n", words.join(" "));
            }
        };
        refuse(&mut text, false);
        self.audio(&mut text, payloads);
        if muxed {
            text.push_str("a=rtcp-mux\r\n");
        }
        refuse(&mut text, true);
        text
    }

    fn audio(&self, text: &mut String, payloads: &[Payloads]) {
        let mut events: Vec<(u8, u32)> = Vec::new();
        for each in payloads {
            let event = each.event_type.map(|event| (event, each.codec.clock_rate()));
            events.extend(event.filter(|event| !events.contains(event)));
        }
        let numbers =
            payloads.iter().map(|each| each.payload_type).chain(events.iter().map(|(event, _)| *event));
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, "m=audio {} RTP/AVP {}\r\n", self.address.port(), numbers.join(" "));
        for Payloads { codec, payload_type, .. } in payloads {
            // RFC 7587 section 7: two channels in the map, whatever is sent.
            let channels = if *codec == Codec::Opus { "/2" } else { "" };
            let (name, rate) = (codec.name(), codec.clock_rate());
            let _ = write!(text, "a=rtpmap:{payload_type} {name}/{rate}{channels}\r\n");
        }
        for (event, rate) in events {
            let _ = write!(text, "a=rtpmap:{event} telephone-event/{rate}\r\na=fmtp:{event} 0-15\r\n");
        }
        let _ = write!(text, "a=ptime:20\r\na={}\r\n", self.direction.attribute());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=video 4000 RTP/AVP 96\r\nc=IN IP4 192.0.2.9\r\na=inactive\r\n\
        m=audio 5000 RTP/AVP 0 8 96\r\na=rtpmap:96 telephone-event/8000\r\na=sendonly\r\n\
        m=audio 6000 RTP/AVP 0\r\na=inactive\r\n";

    #[test]
    fn an_offer_is_read() {
        let offer = Description::parse(OFFER.as_bytes()).unwrap();
        assert_eq!(offer.address, "192.0.2.1:5000".parse().unwrap());
        assert_eq!(offer.codecs, [(Codec::Pcmu, 0), (Codec::Pcma, 8)]);
        assert_eq!(offer.event_type, Some(96));
        assert_eq!(offer.direction, Direction { send: true, receive: false });
    }

    #[test]
    fn an_answer_refuses_what_is_not_ours_in_place() {
        let offer = Description::parse(OFFER.as_bytes()).unwrap();
        let address = "192.0.2.2:7000".parse().unwrap();
        let direction = Direction { send: false, receive: true };
        let answer = Ours { session: 1, version: 2, address, muxed: true, direction }
            .answer(&offer, Payloads::of(Codec::Pcma, Some(96)));
        let media: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(media, ["m=video 0 RTP/AVP 96", "m=audio 7000 RTP/AVP 8 96", "m=audio 0 RTP/AVP 0"]);
        let read = Description::parse(answer.as_bytes()).unwrap();
        assert_eq!((read.address, read.direction), (address, direction));
    }

    #[test]
    fn hold_by_address_and_missing_parts() {
        let held = OFFER.replace("192.0.2.1", "0.0.0.0").replace("sendonly", "sendrecv");
        assert!(!Description::parse(held.as_bytes()).unwrap().direction.receive);
        assert_eq!(Description::parse(b"x"), Err(DescriptionError::NotSdp));
        assert_eq!(Description::parse(b"v=0\r\n"), Err(DescriptionError::NoAudio));
        assert_eq!(Description::parse(b"v=0\r\nm=audio 1 RTP/AVP 0\r\n"), Err(DescriptionError::NoAddress));
    }
}
