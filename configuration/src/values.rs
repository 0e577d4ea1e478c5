//! Single settings that are more than a number or a text.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Reads a value from a text by its `FromStr`, so that its error carries the place.
fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

macro_rules! deserialize_from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    )*};
}

deserialize_from_text!(Listen, PortRange, TokenHash, Codec);

/// How SIP travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// An encrypted stream.
    Tls,
}

impl Transport {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A place where SIP is heard, written `udp:192.0.2.1:5060` or `udp:[2001:db8::1]:5060`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Listen {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a listening place, expected udp:ADDRESS:PORT");
        let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            _ => return Err(wrong()),
        };
        Ok(Self { transport, address: address.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.name(), self.address)
    }
}

/// Ports for RTP, both ends included: `first` is even, `last` is odd. Each even port carries RTP, the odd port
/// above it is kept for RTCP (RFC 3550 section 11). Read from text, a port without its partner is left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl PortRange {
    /// How many RTP ports there are: every second one.
    #[must_use]
    pub const fn rtp_ports(self) -> u32 {
        (self.last as u32 - self.first as u32).div_ceil(2)
    }

    /// The part that the shard at `index` of `shards` works with: equal shares, in order, each beginning with
    /// an even port. Ports that do not divide evenly stay unused.
    #[must_use]
    pub fn share(self, index: u16, shards: u16) -> Self {
        let pairs = self.rtp_ports() / u32::from(shards.max(1));
        let first = u32::from(self.first) + u32::from(index) * pairs * 2;
        let last = (first + pairs * 2).saturating_sub(1);
        let narrow = |port: u32| u16::try_from(port).unwrap_or(self.last).min(self.last);
        Self { first: narrow(first), last: narrow(last) }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a port range, expected FIRST-LAST, such as 20000-39999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (port(first)?, port(last)?);
        if first < 1024 {
            return Err(format!("port {first} is privileged, expected 1024 or higher"));
        }
        if last <= first {
            return Err(format!("port {last} is not above {first}"));
        }
        // An odd port at the beginning and an even one at the end have no partner: they stay unused.
        let (first, last) = (first.next_multiple_of(2), if last % 2 == 0 { last - 1 } else { last });
        if last <= first {
            return Err(format!(
                "\"{text}\" has no even port with the odd one above it, as RTP and RTCP need"
            ));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// A codec that may be offered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus.
    Opus,
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            _ if text.eq_ignore_ascii_case("pcma") => Ok(Self::Pcma),
            _ if text.eq_ignore_ascii_case("pcmu") => Ok(Self::Pcmu),
            _ if text.eq_ignore_ascii_case("g722") => Ok(Self::G722),
            _ if text.eq_ignore_ascii_case("opus") => Ok(Self::Opus),
            _ => Err(format!("unknown codec \"{text}\", expected \"PCMA\", \"PCMU\", \"G722\" or \"opus\"")),
        }
    }
}

/// What a recording makes of the time in which a party holds the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordHold {
    /// It goes on.
    Silence,
    /// It pauses.
    Pause,
}

/// How the keys that a party presses are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtmf {
    /// By telephone-events (RFC 4733) or SIP INFO.
    #[default]
    Auto,
    /// By telephone-events alone.
    Rfc4733,
    /// By SIP INFO alone.
    Info,
    /// By their tones in the sound.
    Inband,
}

/// What the holder of a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Make and steer callbacks.
    Call,
    /// See callbacks, CDRs, recordings, metrics.
    Read,
    /// Drain, reload.
    Operate,
}

/// The SHA-256 of a token, written as 64 hexadecimal digits. Does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The 32 bytes, for a comparison in constant time.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not repeated: a token may stand here by mistake, unhashed.
        let wrong =
            || "not a SHA-256, expected 64 hexadecimal digits (printf %s TOKEN | sha256sum)".to_owned();
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A secret text. Does not print, and is wiped from memory when dropped.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    /// For tests; takes a time that depends on the secrets.
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// How much the programs say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And what happens, call by call.
    Info,
    /// And what is decided on the way.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Whether the gateway forwards calls beside the kernel's network stack, and how.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FastPathMode {
    /// In the network driver, else in the kernel's generic hook, else not at all.
    Auto,
    /// Not at all.
    Off,
    /// In the kernel's generic hook.
    Generic,
    /// In the network driver.
    Native,
}

/// How the programs say it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
