//! Live frames: a generator, a sink and the barest rewriter as BPF programs on a cable between two namespaces. They
//! reach rates that no socket reaches.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aya::maps::{Array, MapData};
use aya::programs::xdp::{XdpLinkId, XdpMode};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, Pod};

use zerocopy::{FromBytes, Immutable, IntoBytes, transmute};

use crate::awake::Awake;
use crate::clock;
use crate::flight::Flight;
use crate::generator::Route;
use crate::process::{Class, FAVOR, pin, schedule};
use crate::rows::{GENERATOR_CORE, MEASURED_CORE};
use crate::veth::{Cable, FAR_END, FAR_END_MAC, GATEWAY_MAC};

/// The object that build.rs made of `bpf/rig.c`; empty where there was no clang.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/rig.o"));

/// Length of a frame: Ethernet, IPv4, UDP, RTP and 160 octets.
const FRAME: usize = 14 + 20 + 8 + 12 + 160;

/// Streams that the generator's table holds.
pub const MOST_STREAMS: usize = 65_536;

/// Frames between two looks of the kernel at whether somebody else wants the core: few where packets are to leave
/// punctually, more where they are to be many. A veth's ring of 256 has room for them beside what waits for polling.
const fn batch(rate: u64) -> u32 {
    match rate {
        0..=250_000 => 16,
        250_001..=1_000_000 => 64,
        _ => 128,
    }
}

/// Nanoseconds that a frame takes about that is sent, with its sink on the same core, and at first one for which it is
/// too early: from these follows how many frames a run has.
const SENT_FRAME: u64 = 380;
const IDLE_FRAME: u64 = 70;

/// Buckets of the sink.
const DELAYS: usize = 16_384;

/// `struct delays` of `bpf/rig.c`.
type Delays = [u64; DELAYS];

/// Packets under way at once over a cable that loses none: fewer than a veth's ring of 256 takes, so that all of them
/// may wait at either end.
const WINDOW: u64 = 192;

/// What is on its way when the last packet has left has come when nothing more comes for so long.
const QUIET: Duration = Duration::from_millis(8);
/// It is waited for no longer than this.
const SETTLING: Duration = Duration::from_millis(100);

/// `struct stream` of `bpf/rig.c`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Stream {
    to: [u8; 4],
    back_from: [u8; 4],
    to_port: [u8; 2],
    back_from_port: [u8; 2],
    ssrc: u32,
    timestamp: u32,
    sequence: u32,
}

/// `struct schedule` of `bpf/rig.c`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Schedule {
    start: u64,
    length: u64,
    rate: u64,
    done: u64,
    now: u64,
    credit: u64,
    sent: u64,
    window: u64,
    given_up: u64,
    come: u64,
    come_at: u64,
    streams: u32,
    turn: u32,
    from: [u8; 4],
    from_port: [u8; 2],
    to_mac: [u8; 6],
    from_mac: [u8; 6],
    filler: [u8; 6],
}

/// `struct seen` of `bpf/rig.c`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Seen {
    received: u64,
    astray: u64,
    octets: u64,
}

/// `struct leg` of `bpf/rig.c`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Leg {
    to: [u8; 4],
    to_port: [u8; 2],
    from_port: [u8; 2],
    ssrc: u32,
    timestamp_offset: u32,
    sequence_offset: u16,
    filler: u16,
}

/// Whom the generator goes before on its core. The sink goes before the generator in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Courtesy {
    /// Everybody, so that it keeps its time. But all that wakes up in the house then goes to the measured core.
    First,
    /// Nobody, so that all else comes to its core and not to the measured one, where a system call of another program
    /// holds polling up for longer than a veth's ring lasts. What the generator is too late for is not sent, and counted
    /// as due.
    Last,
}

/// A cable with its programs.
pub struct Bench {
    /// What they run on.
    pub cable: Cable,
    bpf: Ebpf,
    streams: u32,
    rewriter: Option<XdpLinkId>,
    /// Nanoseconds of a frame for which it is too early, as seen last.
    idle_frame: u64,
    courtesy: Courtesy,
    /// As long as a packet has to wait rather than be lost on the cable.
    lossless: bool,
    awake: Arc<Awake>,
}

fn told(error: impl std::error::Error) -> io::Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    io::Error::other(text)
}

impl Bench {
    /// Lays a cable, and puts the sink at its far end.
    ///
    /// # Errors
    /// We are not root, the rig was built without clang, or the kernel refuses.
    pub fn new() -> io::Result<Self> {
        Self::with(Arc::new(Awake::keep(MEASURED_CORE)?))
    }

    /// One more beside this one, at the same cores: what is flown over them in turn can be compared.
    ///
    /// # Errors
    /// As [`Bench::new`].
    pub fn another(&self) -> io::Result<Self> {
        Self::with(Arc::clone(&self.awake))
    }

    fn with(awake: Arc<Awake>) -> io::Result<Self> {
        if OBJECT.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the rig was built without clang"));
        }
        let cable = Cable::new()?;
        let mut bpf = Ebpf::load(OBJECT).map_err(told)?;
        for name in ["generate", "sink", "rewrite"] {
            program(&mut bpf, name)?.load().map_err(told)?;
        }
        let sink = program(&mut bpf, "sink")?;
        let interface = cable.far_interface.clone();
        cable.far.inside(|| sink.attach(&interface, XdpMode::Driver).map(drop).map_err(told))?;
        cable.pin()?;
        Ok(Self {
            cable,
            bpf,
            streams: 0,
            rewriter: None,
            idle_frame: IDLE_FRAME,
            courtesy: Courtesy::First,
            lossless: false,
            awake,
        })
    }

    fn map<V: Pod>(&mut self, name: &str) -> io::Result<Array<&mut MapData, V>> {
        let map = self.bpf.map_mut(name).ok_or_else(|| io::Error::other(format!("no map {name}")))?;
        Array::try_from(map).map_err(told)
    }

    fn schedule(&mut self) -> io::Result<Schedule> {
        Ok(transmute!(self.map::<[u8; size_of::<Schedule>()]>("SCHEDULE")?.get(&0, 0).map_err(told)?))
    }

    /// Whether the measured core belongs to whoever forwards there alone: then whatever else wakes up in the house is drawn
    /// to the generator's core. Where others are to have their share of it, the generator keeps its time.
    pub const fn leave_alone(&mut self, alone: bool) {
        self.courtesy = if alone { Courtesy::Last } else { Courtesy::First };
    }

    /// Streams from now on over these routes, each from its beginning.
    ///
    /// # Errors
    /// There are none, or more than the table holds.
    pub fn take(&mut self, routes: &[Route]) -> io::Result<()> {
        if routes.is_empty() || routes.len() > MOST_STREAMS {
            return Err(io::Error::other(format!("{} streams", routes.len())));
        }
        let mut map = self.map::<[u8; size_of::<Stream>()]>("STREAM")?;
        for (place, route) in (0..).zip(routes) {
            let stream = Stream {
                to: route.to.ip().octets(),
                back_from: route.from.ip().octets(),
                to_port: route.to.port().to_be_bytes(),
                back_from_port: route.from.port().to_be_bytes(),
                // As the packet has it.
                ssrc: (place + 1_u32).to_be(),
                timestamp: 0,
                sequence: 0,
            };
            let bytes: [u8; size_of::<Stream>()] = transmute!(stream);
            map.set(place, bytes, 0).map_err(told)?;
        }
        self.streams = u32::try_from(routes.len()).unwrap_or(0);
        Ok(())
    }

    /// Sends `rate` packets a second over all routes in turn for `duration`, from where the streams were, and waits
    /// until what is on its way has come.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn fly(&mut self, rate: u64, duration: Duration) -> io::Result<Flight> {
        self.fly_beside(rate, duration, &|| Ok(0))
    }

    /// The same; `cpu` is the processor time of the process that forwards, so far.
    ///
    /// # Errors
    /// The kernel refuses, or what `cpu` says.
    pub fn fly_beside(
        &mut self,
        rate: u64,
        duration: Duration,
        cpu: &dyn Fn() -> io::Result<u64>,
    ) -> io::Result<Flight> {
        self.cable.pin()?;
        self.cable.expect(rate)?;
        self.awake.takes_its_share(self.courtesy == Courtesy::Last)?;
        self.forget()?;
        let length = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2);
        self.plan(rate, length)?;
        let before = self.cable.counts()?;
        let [process, polling] = [cpu()?, self.cable.polling_time()?];
        self.generate(rate, length)?;
        let polling = self.cable.polling_time()?.saturating_sub(polling);
        let process = cpu()?.saturating_sub(process);
        let seen = self.settled()?;
        let counts = self.cable.counts()?.since(before);
        let done = self.schedule()?;
        let delays = self.map::<Delays>("DELAY")?.get(&0, 0).map_err(told)?.to_vec();
        Ok(Flight {
            sent: done.sent,
            due: done.done,
            received: seen.received,
            astray: seen.astray,
            counts,
            seconds: duration.as_secs_f64(),
            cpu: process + polling,
            process,
            delays,
        })
    }

    /// Whether the generator holds back what the cable has no room for, from now on. Without, the cable loses it.
    pub const fn hold_back(&mut self, lossless: bool) {
        self.lossless = lossless;
    }

    /// What the sink has seen of a flight before is over.
    fn forget(&mut self) -> io::Result<()> {
        let bytes: [u8; size_of::<Seen>()] = transmute!(Seen::default());
        self.map::<[u8; size_of::<Seen>()]>("SEEN")?.set(0, bytes, 0).map_err(told)?;
        self.map::<Delays>("DELAY")?.set(0, [0; DELAYS], 0).map_err(told)
    }

    fn seen(&mut self) -> io::Result<Seen> {
        Ok(transmute!(self.map::<[u8; size_of::<Seen>()]>("SEEN")?.get(&0, 0).map_err(told)?))
    }

    /// What the sink has seen when nothing more comes.
    fn settled(&mut self) -> io::Result<Seen> {
        let end = Instant::now() + SETTLING;
        let mut seen = self.seen()?;
        loop {
            std::thread::sleep(QUIET);
            let now = self.seen()?;
            if now.received == seen.received || Instant::now() > end {
                return Ok(now);
            }
            seen = now;
        }
    }

    /// Tells the generator what to send.
    fn plan(&mut self, rate: u64, length: u64) -> io::Result<()> {
        let turn = self.schedule()?.turn;
        let schedule = Schedule {
            length,
            rate,
            window: if self.lossless { WINDOW } else { 0 },
            streams: self.streams,
            turn: if turn < self.streams { turn } else { 0 },
            from: FAR_END.ip().octets(),
            from_port: FAR_END.port().to_be_bytes(),
            to_mac: GATEWAY_MAC,
            from_mac: FAR_END_MAC,
            ..Schedule::default()
        };
        let bytes: [u8; size_of::<Schedule>()] = transmute!(schedule);
        self.map::<[u8; size_of::<Schedule>()]>("SCHEDULE")?.set(0, bytes, 0).map_err(told)
    }

    /// Runs the generator on its core until its schedule is over.
    fn generate(&mut self, rate: u64, length: u64) -> io::Result<()> {
        loop {
            let begun = self.schedule()?.start;
            let now = clock::monotonic();
            let left = if begun == 0 { length } else { (begun + length).saturating_sub(now) };
            if left == 0 {
                return Ok(());
            }
            // One call for all: to begin and to end one takes the kernel some ten milliseconds, in which none is sent.
            let sent = left * rate / 1_000_000_000;
            let idle = left.saturating_sub(sent * SENT_FRAME) / self.idle_frame;
            let frames = (sent + idle) * 17 / 16 + 1;
            self.call(rate, u32::try_from(frames).unwrap_or(u32::MAX))?;
            let took = (clock::monotonic() - now).saturating_sub(sent * SENT_FRAME);
            if idle > frames / 2 {
                self.idle_frame = (took / (frames - sent)).clamp(20, 200);
            }
        }
    }

    fn call(&mut self, rate: u64, frames: u32) -> io::Result<()> {
        let interface = self.cable.far_interface.clone();
        let courtesy = self.courtesy;
        let generator = program(&mut self.bpf, "generate")?;
        self.cable.far.inside(|| {
            pin(GENERATOR_CORE)?;
            match courtesy {
                Courtesy::Last => schedule(rustix::thread::gettid(), Class::Idle)?,
                // Of this thread alone.
                Courtesy::First => rustix::process::setpriority_process(None, FAVOR)?,
            }
            let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
            let context = context(rustix::net::netdevice::name_to_index(socket, &interface)?);
            let options = TestRunOptions {
                data_in: Some(&[0xD5; FRAME]),
                ctx_in: Some(&context),
                repeat: frames,
                attrs: TestRunAttrs::new().xdp_live_frames(batch(rate)),
                ..TestRunOptions::new()
            };
            generator.test_run(options).map(drop).map_err(told)
        })
    }

    /// Puts the barest rewriter at the gateway's side: what comes to a route goes back from where it is to.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn rewrite(&mut self, routes: &[Route]) -> io::Result<()> {
        let mut map = self.map::<[u8; size_of::<Leg>()]>("LEG")?;
        for (place, route) in (0..).zip(routes) {
            let leg = Leg {
                to: FAR_END.ip().octets(),
                to_port: FAR_END.port().to_be_bytes(),
                from_port: route.from.port().to_be_bytes(),
                ssrc: place,
                timestamp_offset: 1000,
                sequence_offset: 100,
                filler: 0,
            };
            let bytes: [u8; size_of::<Leg>()] = transmute!(leg);
            map.set(u32::from(route.to.port()), bytes, 0).map_err(told)?;
        }
        let interface = self.cable.gateway_interface.clone();
        let rewriter = program(&mut self.bpf, "rewrite")?;
        let attach = || rewriter.attach(&interface, XdpMode::Driver).map_err(told);
        self.rewriter = Some(self.cable.gateway.inside(attach)?);
        Ok(())
    }

    /// Takes the rewriter away again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn stop_rewriting(&mut self) -> io::Result<()> {
        let Some(link) = self.rewriter.take() else { return Ok(()) };
        program(&mut self.bpf, "rewrite")?.detach(link).map_err(told)
    }
}

fn program<'a>(bpf: &'a mut Ebpf, name: &str) -> io::Result<&'a mut Xdp> {
    let program = bpf.program_mut(name).ok_or_else(|| io::Error::other(format!("no program {name}")))?;
    program.try_into().map_err(told)
}

/// `struct xdp_md`: the packets are as if they had come in at this interface.
fn context(interface: u32) -> [u8; 24] {
    let mut context = [0; 24];
    // data_end
    context[4..8].copy_from_slice(&u32::try_from(FRAME).unwrap_or(0).to_ne_bytes());
    // ingress_ifindex
    context[12..16].copy_from_slice(&interface.to_ne_bytes());
    context
}
