//! The fast path: brought up at start, counted once a second, taken away at the end.

use std::net::IpAddr;
use std::path::PathBuf;

use duogate_channel::counters::Counter;
use duogate_channel::page::PageWriter;
use duogate_configuration::{Configuration, FastPathMode};
use duogate_fastpath::{Error, FastPath, FlowIndex, FlowTable, Mode, PassReason, Settings, Tap};
use duogate_media::Limits;

use crate::xdp_shard::ShardPath;

/// Octets of a shard's tap. 5,000 recorded pairs make 500,000 copies of some 200 octets a second, 100 MB; the shard
/// empties it every [`crate::shard::DRAIN`], and this holds 60 times as much: where kernel, shard and recorder share one
/// core, or a host takes it away, the shard may come to it a quarter of a second late.
pub const RING_OCTETS: u32 = 32 * 1024 * 1024;

/// The fast path of this process.
#[derive(Debug)]
pub enum Xdp {
    /// In use.
    Loaded(Box<FastPath>),
    /// Not in use, and nobody expects it.
    Unwanted,
    /// Not in use, though the configuration asks for it.
    Missing,
}

impl Xdp {
    /// Brings it up as the configuration wants it, and says in the log what came of it. Where it cannot be had, all
    /// packets go through the sockets, and what an earlier process left at work is taken down.
    #[must_use]
    pub fn start(configuration: &Configuration) -> Self {
        let this = Self::bring(configuration);
        if !matches!(this, Self::Loaded(_)) {
            take_down(configuration);
        }
        this
    }

    fn bring(configuration: &Configuration) -> Self {
        let wanted = &configuration.gateway;
        let mode = match wanted.fast_path {
            FastPathMode::Off => {
                tracing::info!("fast path: off, all packets go through sockets (gateway.fast_path)");
                return Self::Unwanted;
            }
            FastPathMode::Auto if configuration.media.addresses().iter().any(IpAddr::is_loopback) => {
                tracing::info!(
                    "fast path: off, all packets go through sockets: media on the loopback interface never comes to \
                     a network driver"
                );
                return Self::Unwanted;
            }
            FastPathMode::Auto => Mode::Auto,
            FastPathMode::Generic => Mode::Generic,
            FastPathMode::Native => Mode::Native,
        };
        match FastPath::load(&settings(configuration, mode)) {
            Ok(path) => {
                tell(&path);
                Self::Loaded(Box::new(path))
            }
            Err(error) => {
                tracing::warn!(%error, "fast path: not in use, all packets go through sockets");
                if matches!((mode, &error), (Mode::Auto, Error::Loopback)) {
                    Self::Unwanted
                } else {
                    Self::Missing
                }
            }
        }
    }

    /// What a shard needs of it.
    pub fn shard(&mut self, index: u16, limits: Limits) -> ShardPath {
        let Self::Loaded(path) = self else { return ShardPath::none(limits) };
        let ring = u8::try_from(index).ok();
        let tap: Option<(u8, Tap)> = ring.and_then(|ring| Some((ring, path.take_tap(ring)?)));
        ShardPath::new(limits, path.table().clone(), tap)
    }

    /// Switches off what an earlier process left for ports that no shard has any more.
    pub fn forget_strays(&self, shards: &[Limits]) {
        let Self::Loaded(path) = self else { return };
        let table: &FlowTable = path.table();
        let strays: Vec<FlowIndex> = table.entries_on().filter(|index| !is_ours(*index, shards)).collect();
        if path.is_adopted() {
            let left = table.entries_on().count() - strays.len();
            tracing::info!(
                directions = left,
                "fast path: an earlier gateway's calls go on; sessions that are opened anew take them over"
            );
        }
        for index in strays {
            let _ = table.off(index);
        }
    }

    /// Are there flows of an earlier process?
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        matches!(self, Self::Loaded(path) if path.is_adopted())
    }

    /// Writes its figures into a page. One system call.
    pub fn count(&self, page: &PageWriter) {
        page.set(Counter::PathLoaded, u64::from(matches!(self, Self::Loaded(_))));
        page.set(Counter::PathMissing, u64::from(matches!(self, Self::Missing)));
        let Self::Loaded(path) = self else { return };
        let counters = match path.counters() {
            Ok(counters) => counters,
            Err(error) => {
                tracing::debug!(%error, "the fast path's counters cannot be read");
                return;
            }
        };
        for (counter, value) in [
            (Counter::PathForwarded, counters.forwarded),
            (Counter::PathOctets, counters.octets),
            (Counter::PathDuplicates, counters.duplicates),
            (Counter::PathTapped, counters.tapped),
            (Counter::PathTapFull, counters.tap_full),
        ] {
            page.set(counter, value);
        }
        for reason in PassReason::ALL {
            page.set(passed(*reason), counters.passed(*reason));
        }
    }

    /// The gateway ends as it should: nothing stays in the kernel.
    pub fn end(self) {
        if let Self::Loaded(path) = self
            && let Err(error) = path.unload(true)
        {
            tracing::warn!(%error, "the fast path's pins stay");
        }
    }
}

/// Takes down what a gateway that died has left pinned: its calls would be relayed on, and nobody would know them.
fn take_down(configuration: &Configuration) {
    let Some(folder) = pin(configuration) else { return };
    match duogate_fastpath::take_down(&folder) {
        Ok(false) => {}
        Ok(true) => tracing::warn!(
            pins = %folder.display(),
            "fast path: what an earlier gateway left at work there was taken down; calls that still went by it end"
        ),
        // Whoever lives there looks after them.
        Err(error @ Error::InUse(_)) => tracing::debug!(%error, "fast path: the pins stay"),
        Err(error) => {
            tracing::warn!(%error, "fast path: what an earlier gateway left at work cannot be taken down");
        }
    }
}

/// Where to pin, if anywhere.
fn pin(configuration: &Configuration) -> Option<PathBuf> {
    Some(configuration.gateway.pin.clone()).filter(|folder| !folder.as_os_str().is_empty())
}

fn settings(configuration: &Configuration, mode: Mode) -> Settings {
    let (gateway, media) = (&configuration.gateway, &configuration.media);
    Settings {
        mode,
        interfaces: gateway.interfaces.clone(),
        addresses: media.addresses(),
        pin: pin(configuration),
        rings: u8::try_from(usize::from(media.shards()).min(duogate_fastpath::MOST_RINGS)).unwrap_or(0),
        ring_octets: RING_OCTETS,
        traffic_class: media.dscp << 2,
    }
}

/// Says what is in use.
fn tell(path: &FastPath) {
    for attached in path.attached() {
        let (interface, mode) = (&attached.interface, attached.mode);
        match &attached.fallback {
            None => tracing::info!(%interface, %mode, "fast path: XDP"),
            Some(reason) => {
                tracing::warn!(%interface, %mode, %reason, "fast path: XDP, but not in the driver");
            }
        }
    }
    for warning in path.warnings() {
        tracing::warn!("fast path: {warning}");
    }
}

fn is_ours(index: FlowIndex, shards: &[Limits]) -> bool {
    let port = duogate_channel::identity::LocalPort { address: index.address, port: index.port };
    shards.iter().any(|limits| limits.socket(port).is_some())
}

const fn passed(reason: PassReason) -> Counter {
    match reason {
        PassReason::Off => Counter::PathPassedOff,
        PassReason::Stranger => Counter::PathPassedStranger,
        PassReason::Content => Counter::PathPassedContent,
        PassReason::Ssrc => Counter::PathPassedSsrc,
        PassReason::PayloadType => Counter::PathPassedPayloadType,
        PassReason::Sequence => Counter::PathPassedSequence,
        PassReason::Timestamp => Counter::PathPassedTimestamp,
        PassReason::NoNextHop => Counter::PathPassedNoNextHop,
        PassReason::Contended => Counter::PathPassedContended,
        PassReason::Unusual => Counter::PathPassedUnusual,
    }
}
