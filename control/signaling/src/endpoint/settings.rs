//! What the endpoint is told about its node.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::srtp::Suite;

pub use crate::digest::Credentials;
pub use crate::leg::SessionInterval;
pub use crate::peer::{Ping, Registration};
pub use crate::resource::plan::Waits;
pub use crate::sdp::{KeyWay, Security};
pub use crate::transaction::{Local, Transport};

/// Everything that an operator can set about signaling.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// `node.name`: begins every resource's id.
    pub node: String,
    /// User-Agent header.
    pub user_agent: String,
    /// Where other SIP elements reach us, in the order of `sip.listen`. Never empty; never port 0.
    pub listeners: Vec<Local>,
    /// `media.address` and `media.more_addresses`: where parties send RTP to, as the gateway numbers them. Never
    /// empty.
    pub media_addresses: Vec<IpAddr>,
    /// Codecs to offer where neither application nor trunk says otherwise.
    pub codecs: Vec<Codec>,
    /// What recordings make of the time in which a party holds the other.
    pub record_hold: RecordHold,
    /// Bounds.
    pub limits: Limits,
    /// Trunks. A host that two of them name belongs to the first.
    pub trunks: Vec<Trunk>,
    /// Who may be called, and whom events may be sent to.
    pub policy: Policy,
    /// How long the gateway may take.
    pub waits: Waits,
    /// The session interval to ask for (RFC 4028); none: none.
    pub session: Option<SessionInterval>,
    /// Redirections (3xx) that one attempt follows; 0: none.
    pub max_redirects: u8,
    /// T1, T2 and their like.
    pub timers: crate::transaction::Settings,
}

/// What is admitted at once and over time.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Bounds of new calls.
    pub admission: Admission,
    /// URIs in a `to1_uri` or `to2_uri` list.
    pub max_uris: usize,
    /// Bytes of one URI.
    pub max_uri_bytes: usize,
    /// Bytes of `user_data`.
    pub max_user_data_bytes: usize,
    /// Bytes of a path.
    pub max_path_bytes: usize,
    /// `media.max_transcoded`: callbacks at once whose sound is decoded and encoded.
    pub max_transcoded: u32,
}

/// Bounds of new calls.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Admission {
    /// `limits.max_calls`: resources not yet over.
    pub max_calls: u32,
    /// `limits.calls_per_second`: sustained rate of construct.
    pub calls_per_second: f64,
    /// How many may come at once after a pause.
    pub burst: u32,
}

/// One way out to the world.
#[derive(Clone, PartialEq, Debug)]
pub struct Trunk {
    /// Its name.
    pub name: Arc<str>,
    /// URIs with these hosts go over it.
    pub hosts: Vec<String>,
    /// Host name or address that its requests are sent to; none: the URI's own host.
    pub address: Option<String>,
    /// Port for `address`, or for URIs that name none; default 5060.
    pub port: Option<u16>,
    /// How its requests travel; none: as URI and locating say, UDP by default.
    pub transport: Option<Transport>,
    /// Caller that is shown where the application names none.
    pub caller_id: Option<String>,
    /// Is `caller_id` shown whatever the application names?
    pub caller_fixed: bool,
    /// Is the caller asserted to it (`P-Asserted-Identity`, RFC 3325)?
    pub asserts_identity: bool,
    /// Is the caller kept from the party (`Privacy: id`, and From anonymous)?
    pub private: bool,
    /// Who we are to it; none: its challenges are not answered.
    pub credentials: Option<Arc<Credentials>>,
    /// Calls at once; none: no limit of its own.
    pub max_calls: Option<u32>,
    /// Calls begun a second; none: no limit of its own.
    pub rate: Option<Rate>,
    /// Numbers and users that begin so may be called; empty: all.
    pub allowed: Vec<String>,
    /// Of these, not those that begin so.
    pub refused: Vec<String>,
    /// OPTIONS that tell whether it is there; none: it counts as up.
    pub ping: Option<Ping>,
    /// REGISTER, kept alive; none: we are known to it without.
    pub registration: Option<Registration>,
    /// Codecs to offer over it, where the application does not say.
    pub codecs: Vec<Codec>,
    /// Is media over it secured?
    pub security: Security,
    /// The suites to offer where it may be, the one liked best first.
    pub suites: Vec<Suite>,
    /// May its parties send from elsewhere than they say?
    pub nat: bool,
    /// How keys are told over it.
    pub keys: KeyWay,
    /// Index of the listening socket that it uses.
    pub listener: u16,
}

impl Default for Trunk {
    /// A name to be filled in, without any peculiarity.
    fn default() -> Self {
        Self {
            name: "".into(),
            hosts: Vec::new(),
            address: None,
            port: None,
            transport: None,
            caller_id: None,
            caller_fixed: false,
            asserts_identity: false,
            private: false,
            credentials: None,
            max_calls: None,
            rate: None,
            allowed: Vec::new(),
            refused: Vec::new(),
            ping: None,
            registration: None,
            codecs: Vec::new(),
            security: Security::Off,
            suites: Suite::ALL.to_vec(),
            nat: false,
            keys: KeyWay::Any,
            listener: 0,
        }
    }
}

/// How fast calls may go over a trunk. They are paced evenly: one, then a gap.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// Calls a second, more than 0.
    pub per_second: f64,
    /// Calls that may wait for their turn; further ones go to the next URI of their list.
    pub queue: usize,
}

/// Who may be called, and where events may go.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// May a host be called that is no trunk's?
    pub allow_any_destination: bool,
    /// The trunk that routes `tel:` URIs and bare numbers, over its first host; none: they are refused.
    pub default_trunk: Option<Arc<str>>,
    /// Hosts that `callback_url` may name; empty: none may be given.
    pub webhook_hosts: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            admission: Admission { max_calls: 10_000, calls_per_second: 200.0, burst: 200 },
            max_uris: 16,
            max_uri_bytes: 512,
            max_user_data_bytes: 4096,
            max_path_bytes: 1024,
            max_transcoded: 100,
        }
    }
}
