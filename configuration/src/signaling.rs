//! The tables of signaling: `[sip]` and `[[trunk]]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::number::{within, within_u8};
use crate::ringback::Ringback;
use crate::values::{Codec, Dtmf, Listen, Secret, Transport};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `[sip]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// Where SIP is heard and sent from.
    pub listen: Vec<Listen>,
    /// `User-Agent` and `Server` of our messages.
    pub user_agent: String,
    /// Estimate of the round trip, T1 (RFC 3261 section 17.1.1.1).
    #[serde(deserialize_with = "within::<_, 50, 10_000>")]
    pub t1_milliseconds: u32,
    /// Longest gap between retransmissions of a non-INVITE request, T2.
    #[serde(deserialize_with = "within::<_, 500, 60_000>")]
    pub t2_milliseconds: u32,
    /// Longest time that a message stays in the network, T4.
    #[serde(deserialize_with = "within::<_, 500, 60_000>")]
    pub t4_milliseconds: u32,
    /// The session interval that is asked for (RFC 4028): a party that dies without BYE is noticed after it; 0: none.
    #[serde(deserialize_with = "within::<_, 0, 86_400>")]
    pub session_expires_seconds: u32,
    /// Redirections (3xx) that one call follows; 0: none.
    #[serde(deserialize_with = "within_u8::<_, 0, 20>")]
    pub max_redirects: u8,
    /// Name servers, `ADDRESS:PORT`; empty: those of the host.
    pub name_servers: Vec<SocketAddr>,
    /// Connections (TCP and TLS) at once, both ways.
    #[serde(deserialize_with = "within::<_, 1, 100_000>")]
    pub max_connections: u32,
    /// A connection over which no message goes for so long is closed.
    #[serde(deserialize_with = "within::<_, 30, 86_400>")]
    pub idle_seconds: u32,
    /// Our certificate and those above it (PEM), for `tls:`: shown to those who connect, and to peers that ask for it.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// Certificates (PEM) of those whose word on a peer's name is taken.
    pub authorities: Option<PathBuf>,
    /// Must those who connect show a certificate that an authority has signed?
    pub client_certificates: bool,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: vec![Listen { transport: Transport::Udp, address: SocketAddr::new(LOOPBACK, 5060) }],
            user_agent: "Duogate".to_owned(),
            t1_milliseconds: 500,
            t2_milliseconds: 4000,
            t4_milliseconds: 5000,
            session_expires_seconds: 1800,
            max_redirects: 5,
            name_servers: Vec::new(),
            max_connections: 1000,
            idle_seconds: 3600,
            certificate: None,
            key: None,
            authorities: None,
            client_certificates: false,
        }
    }
}

/// Is media secured?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    /// Plain RTP.
    #[default]
    Off,
    /// Keys are offered beside plain RTP (RFC 8643): whoever takes them has secured media.
    Optional,
    /// Secured media or no call.
    Required,
}

/// How secured packets are protected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
pub enum Suite {
    /// RFC 3711: what everybody has.
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    AesCm128HmacSha1_80,
    /// RFC 7714: quicker.
    #[serde(rename = "AEAD_AES_128_GCM")]
    AeadAes128Gcm,
}

impl Trunk {
    /// Do keys of secured media go through the network in the clear? Whoever reads the signaling then hears the call.
    #[must_use]
    pub fn exposes_keys(&self) -> bool {
        self.srtp != Srtp::Off && self.transport != Some(Transport::Tls)
    }
}

/// `[[trunk]]`: a peer that calls may go to.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// For logs and figures.
    pub name: String,
    /// URIs with these hosts go over this trunk. Names and addresses, without ports.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Does this trunk take bare numbers and `tel:` URIs? At most one trunk says so; if none does, it is the first.
    #[serde(default)]
    pub default: bool,
    /// Where requests are sent, `HOST` or `HOST:PORT`, whatever the URI's host; none: where the URI says.
    #[serde(default)]
    pub proxy: Option<String>,
    /// How requests travel; none: as the URI and locating say, UDP by default.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// The caller that is shown when the application names none: a SIP URI.
    #[serde(default)]
    pub caller_id: Option<String>,
    /// Is `caller_id` shown whatever the application names?
    #[serde(default)]
    pub caller_fixed: bool,
    /// Is the caller asserted to the peer (`P-Asserted-Identity`, RFC 3325)? Only for peers that trust us.
    #[serde(default)]
    pub assert_identity: bool,
    /// Is the caller kept from the party (`Privacy: id`, RFC 3323)?
    #[serde(default)]
    pub private: bool,
    /// User name for the peer's challenges (RFC 7616).
    #[serde(default)]
    pub username: Option<String>,
    /// Password for them.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The one realm that is answered; none: any that the peer's own address names.
    #[serde(default)]
    pub realm: Option<String>,
    /// Address of record to register with the peer, a SIP URI; none: no registration.
    #[serde(default)]
    pub register: Option<String>,
    /// How long a registration shall hold; the registrar may decide otherwise.
    #[serde(default = "hour", deserialize_with = "within::<_, 60, 604_800>")]
    pub register_seconds: u32,
    /// Between two OPTIONS that tell whether the peer is there; 0: none, it counts as up.
    #[serde(default, deserialize_with = "within::<_, 0, 3600>")]
    pub ping_seconds: u32,
    /// It is down after so many OPTIONS in a row without an answer.
    #[serde(default = "two", deserialize_with = "within::<_, 1, 100>")]
    pub ping_failures: u32,
    /// It is up again after so many in a row with one.
    #[serde(default = "two", deserialize_with = "within::<_, 1, 100>")]
    pub ping_successes: u32,
    /// Calls at once over this trunk; 0: as many as `limits.max_calls` allows.
    #[serde(default, deserialize_with = "within::<_, 0, 1_000_000>")]
    pub max_calls: u32,
    /// Calls begun a second over this trunk, paced evenly; 0: no limit of its own.
    #[serde(default, deserialize_with = "within::<_, 0, 100_000>")]
    pub calls_per_second: u32,
    /// Calls that may wait for their turn; further ones go to the next URI of their list.
    #[serde(default = "hundred", deserialize_with = "within::<_, 0, 100_000>")]
    pub queue: u32,
    /// Numbers and users that begin so may be called; empty: all.
    #[serde(default)]
    pub allowed_prefixes: Vec<String>,
    /// Of these, not those that begin so.
    #[serde(default)]
    pub refused_prefixes: Vec<String>,
    /// Codecs to offer here, best first; none: those of `[media]`.
    #[serde(default)]
    pub codecs: Option<Vec<Codec>>,
    /// The ringback tone that is made where a party called over this trunk sends none; none: that of `[media]`.
    #[serde(default)]
    pub ringback: Option<Ringback>,
    /// How keys are told, both ways.
    #[serde(default)]
    pub dtmf: Dtmf,
    /// Is media over it secured (SRTP, RFC 3711) by keys in session descriptions (RFC 4568)?
    #[serde(default)]
    pub srtp: Srtp,
    /// The suites to offer then, the one liked best first.
    #[serde(default = "suites")]
    pub srtp_suites: Vec<Suite>,
    /// Are its parties behind a translator of addresses, so that where they send from has to be learned?
    #[serde(default)]
    pub nat: bool,
}

const fn hour() -> u32 {
    3600
}

const fn two() -> u32 {
    2
}

const fn hundred() -> u32 {
    100
}

fn suites() -> Vec<Suite> {
    vec![Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm]
}

impl Trunk {
    /// The trunk of a configuration that names none: whoever listens on this host.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            name: "loopback".to_owned(),
            hosts: vec!["127.0.0.1".to_owned()],
            default: false,
            proxy: None,
            transport: None,
            caller_id: None,
            caller_fixed: false,
            assert_identity: false,
            private: false,
            username: None,
            password: None,
            realm: None,
            register: None,
            register_seconds: hour(),
            ping_seconds: 0,
            ping_failures: two(),
            ping_successes: two(),
            max_calls: 0,
            calls_per_second: 0,
            queue: hundred(),
            allowed_prefixes: Vec::new(),
            refused_prefixes: Vec::new(),
            codecs: None,
            ringback: None,
            dtmf: Dtmf::Auto,
            srtp: Srtp::Off,
            srtp_suites: suites(),
            nat: false,
        }
    }
}
