//! What a shard is made of.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use duogate_channel::page::PageWriter;
use duogate_media::Limits;

use crate::helpers::ShardHelp;
use crate::inbox::{Inbox, Sounds};
use crate::limits::Keep;
use crate::tap::ShardTap;
use crate::xdp_shard::ShardPath;

/// Everything that a shard is made of, before its thread runs.
pub struct Setup {
    /// Sizes and times.
    pub limits: Limits,
    /// Where ports are bound: as many as [`Limits::addresses`].
    pub addresses: Vec<IpAddr>,
    /// The traffic class octet of RTP packets.
    pub traffic_class: u32,
    /// How long packets may be gathered.
    pub budget: Duration,
    /// The real-time priority of its thread; 0: none.
    pub realtime_priority: u8,
    /// Its page.
    pub page: PageWriter,
    /// Its inbox.
    pub inbox: Arc<Inbox>,
    /// Its line to the recorder.
    pub tap: ShardTap,
    /// Its line to the helpers.
    pub help: ShardHelp,
    /// What it can play.
    pub sounds: Sounds,
    /// Its view of the fast path.
    pub path: ShardPath,
    /// A gateway before this one has left calls on the fast path.
    pub adopted: bool,
    /// What holds its sockets.
    pub keep: Keep,
}
