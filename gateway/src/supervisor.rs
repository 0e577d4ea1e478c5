//! The main thread: builds everything, then watches over the others until it is told to end.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use duogate_channel::counters::Counter;
use duogate_channel::descriptors::Doorbell;
use duogate_channel::handover::Doorway;
use duogate_channel::identity::Shard as ShardName;
use duogate_channel::message::ShardDescription;
use duogate_channel::page::PageWriter;
use duogate_channel::time::Instant;
use duogate_configuration::Configuration;
use duogate_media::Limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use crate::attach::{self, Reception, ShardDoor};
use crate::helpers::{HelpLine, Helpers, ShardHelp};
use crate::inbox::{Inbox, Notice, Sounds};
use crate::limits::{self, Keep, Share};
use crate::ready::ReadySounds;
use crate::recorder::{self, Desk, HANDED};
use crate::setup::Setup;
use crate::tap::{Line, RecorderBell, ShardTap};
use crate::xdp::Xdp;
use crate::{clock, cores, uring, worker};

/// A shard that has not turned its loop for so long does not work any more: it never sleeps longer than half a
/// second.
const STUCK: Duration = Duration::from_secs(5);

/// How long the ports of a gateway that died may take to become free.
const PORTS_PATIENCE: Duration = Duration::from_secs(1);

/// How often the shards are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Recordings longer than this cannot be; also what "no silence timeout" becomes.
const NEVER: Duration = Duration::from_secs(30 * 86_400);

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No io_uring; the message says what to do.
    #[error("{0}")]
    NoRing(String),
    /// Too few descriptors for a single session.
    #[error(
        "{0} open descriptors are too few for even one session: raise RLIMIT_NOFILE (systemd: LimitNOFILE=)"
    )]
    NoDescriptors(u64),
    /// No port can be bound there.
    #[error(
        "media.address, media.more_addresses: no RTP port can be bound on {address}: {error}; it must be an address of \
         this host"
    )]
    Address {
        /// The address.
        address: IpAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The listening socket.
    #[error("{0}")]
    Doorway(#[from] duogate_channel::handover::HandoverError),
    /// Shared memory.
    #[error("{0}")]
    Segment(#[from] duogate_channel::segment::SegmentError),
    /// The system refused something else.
    #[error("{what}: {error}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A thread ended that should not.
    #[error("{0}")]
    ThreadEnded(String),
}

fn system(what: &'static str) -> impl Fn(io::Error) -> GatewayError {
    move |error| GatewayError::System { what, error }
}

/// Everything that runs.
struct House {
    shards: Vec<JoinHandle<()>>,
    recorder: JoinHandle<io::Result<()>>,
    attach: JoinHandle<()>,
    inboxes: Vec<Arc<Inbox>>,
    pages: Vec<PageWriter>,
    desk: Arc<Desk>,
    helpers: Helpers,
    bell: Doorbell,
    closing: Arc<AtomicBool>,
    xdp: Xdp,
}

/// Runs the gateway until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps it from starting, or from going on.
pub fn run(configuration: &Configuration) -> Result<(), GatewayError> {
    let signals = signals().map_err(system("signals"))?;
    let house = build(configuration)?;
    tracing::info!(
        socket = %configuration.channel.socket.display(),
        shards = house.shards.len(),
        "ready: waiting for a control plane"
    );
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let outcome = watch(&house, &signals);
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    close(house);
    outcome
}

/// A socket that becomes readable when the process is told to end.
fn signals() -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGTERM, write.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGINT, write)?;
    // A limit of file sizes is an error of one recording (EFBIG), not the end of all calls.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(read)
}

/// Can the gateway run here, as far as one can see without starting it?
///
/// # Errors
/// No io_uring, or an address that is not this host's.
pub fn check(configuration: &Configuration) -> Result<(), GatewayError> {
    uring::check().map_err(|error| GatewayError::NoRing(uring::explain(&error, uring::disabled())))?;
    for address in configuration.media.addresses() {
        UdpSocket::bind((address, 0)).map_err(|error| GatewayError::Address { address, error })?;
    }
    Ok(())
}

fn build(configuration: &Configuration) -> Result<House, GatewayError> {
    check(configuration)?;
    let (share, keep) = share(configuration)?;
    let socket = &configuration.channel.socket;
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder).map_err(system("folder of channel.socket"))?;
    }
    let doorway = Doorway::open(socket)?;
    await_ports(configuration);
    let mut xdp = Xdp::start(configuration);
    let epoch = epoch();
    let recorder_bell = Arc::new(RecorderBell::new().map_err(io::Error::from).map_err(system("eventfd"))?);
    let mut helpers =
        Helpers::new(configuration.media.transcoders as usize).map_err(system("helper threads"))?;
    let ready = ReadySounds::default();
    let mut help_lines = Vec::new();
    let (mut doors, mut setups, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..configuration.media.shards() {
        let inbox = Arc::new(Inbox::new().map_err(io::Error::from).map_err(system("eventfd"))?);
        let line = Arc::new(Line::new(share.sessions, Arc::clone(&inbox)));
        let page = PageWriter::create(epoch, share.sessions)?;
        let tap = ShardTap::new(Arc::clone(&line), Arc::clone(&recorder_bell));
        let places = transcoded(configuration, share);
        let help = Arc::new(HelpLine::new(places, helpers.bells().len(), Arc::clone(&inbox)));
        help_lines.push(Arc::clone(&help));
        let lines_of_shard = (tap, ShardHelp::new(help, helpers.bells()), ready.clone());
        let (setup, door) =
            shard(configuration, index, (share, keep), page, (&inbox, lines_of_shard, &mut xdp))?;
        setups.push(setup);
        doors.push(door);
        lines.push(line);
    }
    xdp.forget_strays(&setups.iter().map(|setup| setup.limits).collect::<Vec<_>>());
    let closing = AtomicBool::new(false);
    let (papers, open) = (ArrayQueue::new(HANDED), AtomicUsize::new(0));
    let desk = Arc::new(Desk { papers, bell: recorder_bell, lines, open, closing });
    let inboxes = doors.iter().map(|door| Arc::clone(&door.inbox)).collect();
    let pages = doors.iter().map(|door| door.page.clone()).collect();
    let recorder = start_recorder(&desk, configuration.media.encoders, configuration.media.cores.clone())?;
    helpers.start(&help_lines).map_err(system("helper threads"))?;
    let shards = start_shards(&configuration.media.cores, setups)?;
    let bell = Doorbell::polled().map_err(io::Error::from).map_err(system("eventfd"))?;
    let closing = Arc::new(AtomicBool::new(false));
    let reception = Reception {
        doorway,
        epoch,
        shards: doors,
        desk: Arc::clone(&desk),
        bell: bell.try_clone().map_err(system("eventfd"))?,
        closing: Arc::clone(&closing),
    };
    let attach = attach::start(reception).map_err(system("attach thread"))?;
    Ok(House { shards, recorder, attach, inboxes, pages, desk, helpers, bell, closing, xdp })
}

/// What one shard's thread needs, and what the attach thread knows of it.
fn shard(
    configuration: &Configuration,
    index: u16,
    (share, keep): (Share, Keep),
    page: PageWriter,
    (inbox, (tap, help, ready), xdp): (&Arc<Inbox>, (ShardTap, ShardHelp, ReadySounds), &mut Xdp),
) -> Result<(Setup, ShardDoor), GatewayError> {
    let media = &configuration.media;
    let limits = shard_limits(configuration, index, share)?;
    let description = ShardDescription {
        shard: ShardName(index),
        core: media.cores[usize::from(index)],
        addresses: limits.addresses,
        first_port: limits.first_port,
        last_port: limits.last_port,
        sessions: share.sessions,
    };
    let door = ShardDoor { description, page: page.clone(), inbox: Arc::clone(inbox) };
    let setup = Setup {
        limits,
        addresses: media.addresses(),
        traffic_class: u32::from(media.dscp) << 2,
        budget: Duration::from_micros(u64::from(media.latency_budget_microseconds)),
        realtime_priority: media.realtime_priority,
        page,
        inbox: Arc::clone(inbox),
        tap,
        help,
        sounds: Sounds::new(ready),
        path: xdp.shard(index, limits),
        adopted: xdp.is_adopted(),
        keep,
    };
    Ok((setup, door))
}

/// Waits for the ports of a gateway that has just died: the kernel lets go of a ring's sockets some time after the
/// end of its process. Looks at one port of sixteen, which finds every gateway that had more than a few calls.
fn await_ports(configuration: &Configuration) {
    let media = &configuration.media;
    let addresses = media.addresses();
    let ports = || (media.ports.first..=media.ports.last).step_by(32);
    let sample = || addresses.iter().flat_map(|address| ports().map(|port| (*address, port)));
    let taken = || sample().filter(|place| UdpSocket::bind(place).is_err()).count();
    let start = clock::now();
    let mut count = taken();
    while count > 0 && clock::now().since(start) < PORTS_PATIENCE {
        thread::sleep(Duration::from_millis(20));
        count = taken();
    }
    if count > 0 {
        let (taken, looked_at) = (count, sample().count());
        tracing::warn!(
            taken,
            looked_at,
            "ports of media.ports cannot be bound; other ports serve in their place"
        );
    }
}

/// What each shard may have, after a look at the descriptors.
fn share(configuration: &Configuration) -> Result<(Share, Keep), GatewayError> {
    let media = &configuration.media;
    let descriptors = limits::raise_descriptors();
    let each = (0..media.shards()).map(|index| media.shard_ports(index).rtp_ports()).min().unwrap_or(0);
    let ports = each.saturating_mul(u32::from(address_count(configuration)));
    let report_ports = if media.rtcp_seconds == 0 { 0 } else { ports };
    let wanted = Share { sessions: media.sessions_per_shard(), ports, report_ports };
    let tables = uring::can_lend();
    let (share, keep) = limits::fit(wanted, u32::from(media.shards()), descriptors, tables);
    if share.sessions == 0 {
        return Err(GatewayError::NoDescriptors(descriptors));
    }
    if share != wanted {
        tracing::warn!(
            descriptors,
            sessions = share.sessions,
            of_sessions = wanted.sessions,
            rtp_ports = share.ports,
            of_rtp_ports = wanted.ports,
            rtcp_ports = share.report_ports,
            of_rtcp_ports = wanted.report_ports,
            "too few open descriptors are allowed for media.sessions and media.ports: each shard has fewer. Raise \
             RLIMIT_NOFILE (systemd: LimitNOFILE=), or ask for less"
        );
    }
    tell_capacity(configuration, share, keep, descriptors);
    Ok((share, keep))
}

/// How many calls fit, and what holds their sockets.
fn tell_capacity(configuration: &Configuration, share: Share, keep: Keep, descriptors: u64) {
    let shards = u32::from(configuration.media.shards());
    let pairs = share.sessions.saturating_mul(shards);
    match keep {
        Keep::Descriptors => tracing::info!(pairs, descriptors, "a descriptor holds each socket"),
        Keep::Tables { rings, each } => tracing::info!(
            pairs,
            descriptors,
            rings,
            sockets_each = each,
            "descriptors are too few for all sockets: file tables of io_uring hold them; recordings at once may be \
             no more than descriptors. RLIMIT_NOFILE (systemd: LimitNOFILE=) makes one ring enough"
        ),
    }
}

/// One of so many callbacks may have a second recording, on demand beside the one that it was constructed with, or one
/// whose file the recorder has not finished. What comes on top is refused, and its event says so.
const RECORDED_TWICE: u32 = 4;

/// Places for recordings beside those.
const RECORDED_SPARE: u32 = 16;

fn shard_limits(configuration: &Configuration, index: u16, share: Share) -> Result<Limits, GatewayError> {
    let media = &configuration.media;
    let ports = media.shard_ports(index);
    // A share beginning with an odd port loses it: RTP ports are even (RFC 3550 section 11).
    let first_port = ports.first + ports.first % 2;
    let addresses = address_count(configuration);
    let each = share.ports / u32::from(addresses);
    let span = u16::try_from(each.saturating_mul(2).saturating_sub(1)).unwrap_or(u16::MAX);
    let seconds = |seconds: u32, zero: Duration| {
        if seconds == 0 { zero } else { Duration::from_secs(u64::from(seconds)) }
    };
    Ok(Limits {
        sessions: share.sessions,
        recordings: share
            .sessions
            .saturating_add(share.sessions / RECORDED_TWICE)
            .saturating_add(RECORDED_SPARE),
        transcoded: transcoded(configuration, share),
        addresses,
        first_port,
        last_port: ports.last.min(first_port.saturating_add(span)),
        rest: seconds(media.rest_seconds, Duration::from_millis(1)),
        silence_timeout: seconds(media.silence_timeout_seconds, NEVER),
        report_ports: share.report_ports,
        report_interval: Duration::from_secs(u64::from(media.rtcp_seconds)),
        epoch: clock::epoch(),
        seed: random().map_err(system("/dev/urandom"))?,
    })
}

/// Sessions that one shard may have helped: any of all, wherever they come together.
fn transcoded(configuration: &Configuration, share: Share) -> u32 {
    configuration.media.transcoded_sessions().min(share.sessions)
}

/// Media addresses; the checks of the configuration have seen that they are at most 8.
fn address_count(configuration: &Configuration) -> u8 {
    u8::try_from(configuration.media.addresses().len()).unwrap_or(u8::MAX)
}

fn start_recorder(
    desk: &Arc<Desk>,
    encoders: u32,
    shards: Vec<u16>,
) -> Result<JoinHandle<io::Result<()>>, GatewayError> {
    let desk = Arc::clone(desk);
    let thread = thread::Builder::new().name("recorder".into());
    let work = move || {
        cores::keep_off(&shards);
        recorder::run(&desk, encoders)
    };
    thread.spawn(work).map_err(system("recorder thread"))
}

fn start_shards(cores: &[u16], setups: Vec<Setup>) -> Result<Vec<JoinHandle<()>>, GatewayError> {
    let (started, reports) = mpsc::channel();
    let mut shards = Vec::new();
    for ((index, core), setup) in (0..).zip(cores).zip(setups) {
        shards.push(worker::start(index, *core, setup, started.clone()).map_err(system("shard thread"))?);
    }
    drop(started);
    for report in reports.iter().take(shards.len()) {
        report.map_err(|error| GatewayError::NoRing(uring::explain(&error, uring::disabled())))?;
    }
    Ok(shards)
}

/// Looks at the shards until the process is told to end.
fn watch(house: &House, mut signals: &UnixStream) -> Result<(), GatewayError> {
    let pause = sd_notify::watchdog_enabled().map_or(LOOK, |watchdog| (watchdog / 3).min(LOOK));
    let pause = Timespec::try_from(pause).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
    let mut stuck = vec![false; house.pages.len()];
    loop {
        let mut told = [PollFd::new(&signals, PollFlags::IN)];
        let _ = poll(&mut told, Some(&pause));
        if matches!(signals.read(&mut [0; 16]), Ok(count) if count > 0) {
            tracing::info!("ending: sessions are closed, recordings are finished");
            return Ok(());
        }
        if let Some(page) = house.pages.first() {
            house.xdp.count(page);
        }
        if let Some(name) = ended(house) {
            return Err(GatewayError::ThreadEnded(format!(
                "the {name} thread has ended; the gateway cannot go on"
            )));
        }
        if all_alive(&house.pages, &mut stuck) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}

fn ended(house: &House) -> Option<&'static str> {
    if house.shards.iter().any(JoinHandle::is_finished) {
        return Some("shard");
    }
    house.recorder.is_finished().then_some("recorder").or(house.attach.is_finished().then_some("attach"))
}

/// Do all shards turn their loops? Says so once for each that stops, and once when it is back.
fn all_alive(pages: &[PageWriter], stuck: &mut [bool]) -> bool {
    let now = clock::now();
    for ((shard, page), was_stuck) in pages.iter().enumerate().zip(&mut *stuck) {
        let silent = now.since(Instant::from_nanoseconds(page.get(Counter::Heartbeat)));
        let is_stuck = silent > STUCK;
        if is_stuck && !*was_stuck {
            tracing::error!(shard, ?silent, "a shard makes no progress");
        } else if *was_stuck && !is_stuck {
            tracing::warn!(shard, "the shard makes progress again");
        }
        *was_stuck = is_stuck;
    }
    !stuck.contains(&true)
}

/// Ends everything in order: first the sessions, while the control plane still hears how they and their recordings
/// ended; then it is sent away; then what is left to write is written.
fn close(house: House) {
    for inbox in &house.inboxes {
        // A shard whose inbox is full does not run any more.
        let _ = inbox.leave(Notice::Stop);
    }
    for shard in house.shards {
        let _ = shard.join();
    }
    house.helpers.close();
    house.xdp.end();
    house.closing.store(true, Ordering::Release);
    house.bell.ring();
    let _ = house.attach.join();
    let _ = recorder::finish(&house.desk, house.recorder, recorder::REST);
}

/// A number that no other life of a gateway on this host has had: nanoseconds since 1970.
fn epoch() -> u64 {
    let time = clock_gettime(ClockId::Realtime);
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn random() -> io::Result<u64> {
    let mut octets = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(u64::from_ne_bytes(octets))
}
