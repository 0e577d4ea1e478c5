//! The tables of the file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::number::{within, within_u8};
use crate::ringback::Ringback;
use crate::values::{
    Codec, FastPathMode, LogFormat, LogLevel, PortRange, RecordHold, Right, Secret, TokenHash,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// `[node]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Begins every resource id: letters, digits, `.`, `_`, `-`, at most 64.
    pub name: String,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "duogate-1".to_owned() }
    }
}

/// `[http]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where JSON-RPC, REST, metrics and the console are served.
    pub listen: SocketAddr,
    /// Who may do what. With none, everyone who reaches the address may do everything; allowed on loopback only.
    pub tokens: Vec<Token>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::new(LOOPBACK, 8080), tokens: Vec::new() }
    }
}

/// `[[http.tokens]]`: the header `Authorization: Bearer TOKEN` opens the interface.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// For logs.
    pub name: String,
    /// The token's hash.
    pub sha256: TokenHash,
    /// What its holder may do.
    pub rights: Vec<Right>,
}

/// `[media]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// In session descriptions, and where RTP ports are bound.
    pub address: IpAddr,
    /// Further addresses of this host; [`Self::ports`] exists on each of them. At most [`Self::MOST_MORE_ADDRESSES`].
    pub more_addresses: Vec<IpAddr>,
    /// Ports for RTP, shared out among the shards.
    pub ports: PortRange,
    /// The processor cores that carry sound: one shard each.
    pub cores: Vec<u16>,
    /// Sessions (callbacks) at once, all shards together. Memory for them is taken at start.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000>")]
    pub sessions: u32,
    /// How long a shard may wait for more packets before it handles those that it has.
    #[serde(deserialize_with = "within::<_, 0, 20_000>")]
    pub latency_budget_microseconds: u32,
    /// The real-time priority of the shards' threads (`SCHED_FIFO`, 1 to 99); 0: none.
    #[serde(deserialize_with = "within_u8::<_, 0, 99>")]
    pub realtime_priority: u8,
    /// A connected party that should send and does not for so long ends the callback; 0: never.
    #[serde(deserialize_with = "within::<_, 0, 86_400>")]
    pub silence_timeout_seconds: u32,
    /// How often a party gets an RTCP report, on average; 0: no RTCP.
    #[serde(deserialize_with = "within::<_, 0, 60>")]
    pub rtcp_seconds: u32,
    /// How long calls wait for the next gateway when one dies; 0: they end at once.
    #[serde(deserialize_with = "within::<_, 0, 60>")]
    pub recovery_seconds: u32,
    /// How long a port rests after a call before another call may have it.
    #[serde(deserialize_with = "within::<_, 0, 600>")]
    pub rest_seconds: u32,
    /// Differentiated services code point of RTP packets (RFC 4594: 46 is expedited forwarding).
    #[serde(deserialize_with = "within_u8::<_, 0, 63>")]
    pub dscp: u8,
    /// Root of prompts.
    pub prompts: PathBuf,
    /// Root of recordings.
    pub recordings: PathBuf,
    /// The largest manifest of recordings (`recordings.jsonl` in their root); one more is kept; 0: none.
    #[serde(deserialize_with = "within::<_, 0, 100_000>")]
    pub manifest_megabytes: u32,
    /// What recordings make of the time in which a party holds the other.
    pub record_hold: RecordHold,
    /// The ringback tone that is made where party 2 sends none.
    pub ringback: Ringback,
    /// Codecs to offer, best first.
    pub codecs: Vec<Codec>,
    /// Threads that decode and encode where parties speak different codecs, or a codec must be decoded for a
    /// recording; 0: none, such calls are not made.
    #[serde(deserialize_with = "within::<_, 0, 64>")]
    pub transcoders: u32,
    /// Callbacks at once that need them.
    #[serde(deserialize_with = "within::<_, 0, 100_000>")]
    pub max_transcoded: u32,
    /// Threads that encode recordings in Opus.
    #[serde(deserialize_with = "within::<_, 1, 64>")]
    pub encoders: u32,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            address: LOOPBACK,
            more_addresses: Vec::new(),
            ports: PortRange { first: 20_000, last: 39_999 },
            cores: vec![0],
            sessions: 4000,
            latency_budget_microseconds: 500,
            realtime_priority: 0,
            silence_timeout_seconds: 60,
            rtcp_seconds: 5,
            recovery_seconds: 5,
            rest_seconds: 5,
            dscp: 46,
            prompts: PathBuf::from("./prompts"),
            recordings: PathBuf::from("./recordings"),
            manifest_megabytes: 64,
            record_hold: RecordHold::Silence,
            ringback: Ringback::Cn,
            codecs: vec![Codec::Pcma, Codec::Pcmu],
            transcoders: 1,
            max_transcoded: 100,
            encoders: 1,
        }
    }
}

impl Media {
    /// The most addresses beside the first: the gateway and the control plane tell eight apart.
    pub const MOST_MORE_ADDRESSES: usize = 7;

    /// All addresses, in the order in which the gateway and the control plane number them.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = vec![self.address];
        addresses.extend(&self.more_addresses);
        addresses
    }

    /// How many addresses there are.
    fn address_count(&self) -> u32 {
        u32::try_from(self.more_addresses.len() + 1).unwrap_or(u32::MAX)
    }

    /// Callbacks at once whose sound can be decoded and encoded.
    #[must_use]
    pub const fn transcoded_sessions(&self) -> u32 {
        if self.transcoders == 0 { 0 } else { self.max_transcoded }
    }

    /// How many shards there are: one a core.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.cores.len()).unwrap_or(u16::MAX)
    }

    /// Session slots of one shard: its share of [`Self::sessions`], rounded up.
    #[must_use]
    pub fn sessions_per_shard(&self) -> u32 {
        self.sessions.div_ceil(u32::from(self.shards().max(1)))
    }

    /// Callbacks for which there are ports, all shards and addresses together: each takes two.
    #[must_use]
    pub fn possible_sessions(&self) -> u32 {
        let ports = self.shard_ports(0).rtp_ports().saturating_mul(self.address_count());
        (ports / 2).saturating_mul(u32::from(self.shards()))
    }

    /// The ports of the shard at `index`, on each address.
    #[must_use]
    pub fn shard_ports(&self, index: u16) -> PortRange {
        self.ports.share(index, self.shards())
    }
}

/// `[gateway]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Are connected calls forwarded by XDP?
    pub fast_path: FastPathMode,
    /// The network interfaces that carry media; none: those that have the media addresses. At most
    /// [`Self::MOST_INTERFACES`].
    pub interfaces: Vec<String>,
    /// Folder on a BPF file system where the fast path outlives the process; empty: it does not.
    pub pin: PathBuf,
}

impl Gateway {
    /// The most interfaces: the fast path's program knows eight.
    pub const MOST_INTERFACES: usize = 8;
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            fast_path: FastPathMode::Auto,
            interfaces: Vec::new(),
            pin: PathBuf::from("/sys/fs/bpf/duogate"),
        }
    }
}

/// `[channel]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Channel {
    /// The Unix socket at which the gateway awaits the control plane.
    pub socket: PathBuf,
}

impl Default for Channel {
    fn default() -> Self {
        Self { socket: PathBuf::from("./run/gateway.sock") }
    }
}

/// `[store]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The database.
    pub path: PathBuf,
    /// How long `get` still knows a released callback.
    #[serde(deserialize_with = "within::<_, 0, 31_536_000>")]
    pub keep_released_seconds: u32,
    /// How long an event that could not be delivered is tried again and kept.
    #[serde(deserialize_with = "within::<_, 0, 31_536_000>")]
    pub keep_events_seconds: u32,
    /// How long call detail records are kept.
    #[serde(deserialize_with = "within::<_, 60, 1_000_000_000>")]
    pub keep_cdrs_seconds: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./state/duogate.db"),
            keep_released_seconds: 86_400,
            keep_events_seconds: 86_400,
            keep_cdrs_seconds: 7_776_000,
        }
    }
}

/// `[limits]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Callbacks at once, never more than `media.sessions` once parsed; more are refused as overloaded.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000>")]
    pub max_calls: u32,
    /// New callbacks a second; more are refused as overloaded.
    #[serde(deserialize_with = "within::<_, 1, 100_000>")]
    pub calls_per_second: u32,
    /// Requests in one JSON-RPC batch.
    #[serde(deserialize_with = "within::<_, 1, 10_000>")]
    pub max_batch: u32,
    /// WebSockets open at once.
    #[serde(deserialize_with = "within::<_, 1, 100_000>")]
    pub max_websockets: u32,
    /// Events that may wait for a slow WebSocket before it is closed.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000>")]
    pub websocket_queue: u32,
    /// Events that may wait for webhooks; with so many, callbacks with a `callback_url` are refused as overloaded.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000_000>")]
    pub webhook_events: u32,
    /// Events that may wait for the webhooks of one host and port; as above.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000_000>")]
    pub webhook_events_per_host: u32,
    /// Events without a webhook that may wait for somebody to subscribe; the oldest make room.
    #[serde(deserialize_with = "within::<_, 1, 1_000_000_000>")]
    pub uncollected_events: u32,
    /// Longest prompt.
    #[serde(deserialize_with = "within::<_, 1, 86_400>")]
    pub prompt_seconds: u32,
    /// Memory for prompts that have been decoded and may be played again.
    #[serde(deserialize_with = "within::<_, 1, 100_000>")]
    pub prompt_megabytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls: 4000,
            calls_per_second: 500,
            max_batch: 100,
            max_websockets: 1000,
            websocket_queue: 10_000,
            webhook_events: 4_000_000,
            webhook_events_per_host: 2_000_000,
            uncollected_events: 1_000_000,
            prompt_seconds: 600,
            prompt_megabytes: 128,
        }
    }
}

/// `[policy]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// May any host in a URI be called? If not, only the hosts of the trunks.
    pub allow_any_destination: bool,
    /// Hosts that a `callback_url` may name.
    pub webhook_hosts: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_any_destination: false,
            webhook_hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        }
    }
}

/// `[webhook]`
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Key of the signatures (HMAC-SHA256). Without one, events are sent unsigned.
    pub secret: Option<Secret>,
    /// How long a receiver may take to answer.
    #[serde(deserialize_with = "within::<_, 1, 300>")]
    pub timeout_seconds: u32,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { secret: None, timeout_seconds: 10 }
    }
}

/// `[shutdown]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long running callbacks may go on after SIGTERM; then they are ended.
    #[serde(deserialize_with = "within::<_, 0, 86_400>")]
    pub grace_seconds: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_seconds: 30 }
    }
}

/// `[log]`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// For people or for programs.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}
