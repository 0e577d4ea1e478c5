//! The world: the real signaling endpoint and the real media core, between model parties, a model network, a
//! model application and a model journal, all on one virtual clock.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::{Command, PortChoice};
use duogate_channel::snapshot::Snapshot;
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::{Endpoint, Output};

use crate::acting::Acted;
use crate::application::endpoint;
use crate::audit::{Audit, Broken};
use crate::gateway::{Effect, Gateway};
use crate::network::{Deed, Occurrence, Schedule, Weather};
use crate::party::{Party, script};
use crate::random::Random;
use crate::streams::Streams;
use crate::text::Text;

/// Callbacks in one world.
pub(crate) const CALLBACKS: usize = 25;
/// Lines of the story that a failure tells.
const STORY: usize = 60;
/// When the world must have come to rest, at the latest: a prompt before the call to party 2 may take 600 s if an
/// action plays to party 1 for ever in its place.
const LAST: Duration = Duration::from_secs(750);

/// A fault that is put in on purpose, to see that it is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    None,
    /// Our BYE is never sent.
    NoBye,
    /// Our ACK to a 200 is never sent.
    NoAck,
    /// CANCEL is never sent.
    NoCancel,
    /// Every twentieth event is reported twice.
    DoubleEvent,
    /// Every twentieth event is lost.
    LostEvent,
    /// Sessions are not closed.
    NoClose,
    /// Every fiftieth packet goes to somebody else.
    Leak,
    /// Timers of the control plane never fire.
    NoTimers,
    /// A gateway that dies leaves no pages.
    NoPages,
    /// The next gateway is not told where streams go on.
    NoBeginning,
    /// The next gateway is not told on which ports sessions were.
    OtherPorts,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) mutation: Mutation,
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) schedule: Schedule,
    pub(crate) endpoint: Endpoint,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) lives: u32,
    /// The life that the control plane believes it is attached to.
    pub(crate) attached: Option<u32>,
    /// What the last gateway left.
    pub(crate) left: Vec<Snapshot>,
    pub(crate) parties: Vec<Party>,
    /// Who receives SIP or sound where.
    pub(crate) addresses: BTreeMap<std::net::IpAddr, usize>,
    pub(crate) calls: Vec<Option<String>>,
    /// Nothing is lost on the way, and the gateway lives.
    pub(crate) calm: bool,
    /// Callbacks that the application cancels or drops, perhaps.
    pub(crate) disturbed: Vec<bool>,
    pub(crate) audit: Audit,
    pub(crate) streams: Streams,
    /// What actions have let each party hear.
    pub(crate) acted: Vec<Acted>,
    pub(crate) story: Vec<String>,
    pub(crate) sent: u64,
}

pub(crate) fn us() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 255, 0, 1), 5060))
}

pub(crate) fn stranger() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(203, 0, 113, 66), 4444))
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Mutation) -> Self {
        let mut random = Random::new(seed);
        let bad = random.chance(70);
        let weather = Weather {
            loss: if bad { random.between(0, 15) } else { 0 },
            duplication: if bad { random.between(0, 10) } else { 0 },
            delay_milliseconds: (1, if bad { random.between(2, 300) } else { 3 }),
        };
        let start = Instant::from_nanoseconds(5_000_000_000);
        let mut world = Self {
            seed,
            mutation,
            weather,
            start,
            now: start,
            schedule: Schedule::default(),
            endpoint: endpoint(seed, start),
            gateway: None,
            lives: 0,
            attached: None,
            left: Vec::new(),
            parties: Vec::new(),
            addresses: BTreeMap::new(),
            calls: vec![None; CALLBACKS],
            calm: !bad,
            disturbed: vec![false; CALLBACKS],
            audit: Audit::default(),
            streams: Streams::default(),
            acted: vec![Acted::default(); CALLBACKS * 2],
            story: Vec::new(),
            sent: 0,
            random,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        self.schedule.at(self.start, Occurrence::GatewayReturns);
        for call in 0..CALLBACKS {
            let codec = if self.random.chance(30) { 0 } else { 8 };
            for _ in 0..2 {
                let place = self.parties.len();
                let number = u16::try_from(place).expect("few parties").to_be_bytes();
                let address = SocketAddr::from((Ipv4Addr::new(10, 1, number[0], number[1]), 5060));
                let script = script(&mut self.random, codec);
                self.addresses.insert(address.ip(), place);
                self.parties.push(Party::new(place, address, script));
            }
            let when = self.start + Duration::from_millis(self.random.between(1, 15_000));
            self.schedule.at(when, Occurrence::Application { call, deed: Deed::Construct });
            let later = when + Duration::from_millis(self.random.between(0, 9_000));
            let deeds = [Deed::Cancel, Deed::Drop, Deed::Look];
            for _ in 0..self.random.between(0, 12) {
                let when = when + Duration::from_millis(self.random.between(0, 15_000));
                self.schedule.at(when, Occurrence::Act { call });
            }
            if self.random.chance(30) {
                let deed = self.random.one_of(&deeds);
                self.disturbed[call] = deed != Deed::Look;
                self.schedule.at(later, Occurrence::Application { call, deed });
            }
        }
        for second in 0..30 {
            let when = self.start + Duration::from_secs(second);
            self.schedule.at(when, Occurrence::Stranger);
        }
        self.foresee_crashes();
    }

    pub(crate) fn clock(&self) -> Now {
        let passed = self.now.since(self.start).as_millis();
        let passed = i64::try_from(passed).expect("a short world");
        Now { instant: self.now, unix: UnixTime::from_milliseconds(1_800_000_000_000 + passed) }
    }

    /// Lets the world run until nothing is left to happen.
    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        let result = self.run_to_rest();
        result.map_err(|broken| {
            let story = self.story.join("\n  ");
            format!(
                "{broken}\nin the world of seed {} at {:?} ({:?}).\nReplay it: DUOGATE_WORLD_SEED={} cargo nextest \
                 run -p duogate-tests --test world replay\nThe end of its story:\n  {story}",
                self.seed,
                self.now.since(self.start),
                self.weather,
                self.seed
            )
        })
    }

    fn run_to_rest(&mut self) -> Result<(), Broken> {
        while let Some(next) = self.next_moment() {
            if next > self.start + LAST {
                return Err("the world does not come to rest".into());
            }
            self.now = self.now.max(next);
            self.step()?;
        }
        self.audit.accounts_closed()?;
        self.audit.invites_ended()?;
        if !self.endpoint.is_idle() {
            return Err(format!("something outlives its resource: {:?}", self.endpoint.counters().states));
        }
        match &self.gateway {
            Some(gateway) if gateway.sessions() > 0 => Err("a session outlives its resource".into()),
            Some(gateway) if gateway.open_ports() > 0 => Err("a port outlives its rest".into()),
            _ => Ok(()),
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        let timers = (self.mutation != Mutation::NoTimers).then(|| self.endpoint.next_deadline()).flatten();
        let gateway = self.gateway.as_ref().and_then(Gateway::next_deadline);
        [self.schedule.next(), timers, gateway].into_iter().flatten().min()
    }

    fn step(&mut self) -> Result<(), Broken> {
        if self.schedule.next().is_some_and(|next| next <= self.now)
            && let Some(occurrence) = self.schedule.take()
        {
            self.happen(occurrence)?;
        }
        if self.mutation != Mutation::NoTimers
            && self.endpoint.next_deadline().is_some_and(|deadline| deadline <= self.now)
        {
            self.endpoint.advance(self.clock());
        }
        self.drain()?;
        self.tend_gateway()
    }

    /// Keeps the last lines of the story.
    pub(crate) fn tell(&mut self, line: &str) {
        if self.story.len() == STORY {
            self.story.remove(0);
        }
        self.story.push(format!("{:>9.3}  {line}", self.now.since(self.start).as_secs_f64()));
    }

    /// Does what the control plane wants.
    fn drain(&mut self) -> Result<(), Broken> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { destination, bytes, .. } => self.send(destination, bytes)?,
                Output::Media { command, .. } => self.send_command(command),
                Output::Report(report) => {
                    self.tell(&format!("{} {} {:?}", report.res_id, report.seq, report.event));
                    self.sent += 1;
                    let twentieth = self.sent.is_multiple_of(20);
                    match self.mutation {
                        Mutation::LostEvent if twentieth => {}
                        Mutation::DoubleEvent if twentieth => {
                            self.audit.report(&report)?;
                            self.audit.report(&report)?;
                        }
                        _ => self.audit.report(&report)?,
                    }
                }
                Output::Locate { query, .. } => {
                    let when = self.now + Duration::from_millis(self.random.between(1, 2_000));
                    self.schedule.at(when, Occurrence::Located { query, found: false });
                }
                Output::Note(_) | Output::Measured(_) => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), Broken> {
        let text = Text::read(&bytes);
        let lost = match self.mutation {
            Mutation::NoBye => text.method() == "BYE",
            Mutation::NoAck => text.method() == "ACK",
            Mutation::NoCancel => text.method() == "CANCEL",
            _ => false,
        };
        if lost || to == stranger() {
            return Ok(());
        }
        self.tell(&format!("us > {to}: {} ({})", text.start, text.call_id()));
        self.audit.sent(&bytes)?;
        let occurrence = Occurrence::SipToParty { to, bytes };
        self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
        Ok(())
    }

    fn send_command(&mut self, mut command: Command) {
        let Some(gateway) = &self.gateway else { return };
        if self.mutation == Mutation::NoClose && matches!(command, Command::Close { .. }) {
            return;
        }
        if let Command::Open { legs, .. } = &mut command {
            for leg in legs {
                match self.mutation {
                    Mutation::NoBeginning => leg.beginning = None,
                    Mutation::OtherPorts => leg.port = PortChoice::Any { addresses: u8::MAX },
                    _ => {}
                }
            }
        }
        // The ring keeps its order.
        let when = self.now + Duration::from_micros(300);
        self.schedule.at(when, Occurrence::Command { life: gateway.life, command });
    }

    /// Lets the gateway do what is due, and does what it wants.
    fn tend_gateway(&mut self) -> Result<(), Broken> {
        let Some(gateway) = self.gateway.as_mut() else { return Ok(()) };
        let mut effects = Vec::new();
        if gateway.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            gateway.advance(self.now, &mut effects);
        }
        gateway.settle(self.now, &mut effects);
        effects.into_iter().try_for_each(|effect| self.effect(effect))
    }

    pub(crate) fn effect(&mut self, effect: Effect) -> Result<(), Broken> {
        let Some(life) = self.gateway.as_ref().map(|gateway| gateway.life) else { return Ok(()) };
        match effect {
            Effect::Bind(socket) => {
                let when = self.now + Duration::from_micros(self.random.between(50, 500));
                self.schedule.at(when, Occurrence::Bound { life, socket });
            }
            Effect::Send { port, to, bytes } => {
                self.sent += 1;
                if let Some(place) = self.addresses.get(&to.ip()) {
                    self.streams.sent(*place, life, port, &bytes)?;
                }
                let astray = self.mutation == Mutation::Leak && self.sent.is_multiple_of(50);
                let to = if astray { self.parties[1].address } else { to };
                let occurrence = Occurrence::RtpToParty { port, to, bytes };
                self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
            }
            Effect::Event(event) => {
                let when = self.now + Duration::from_micros(200);
                self.schedule.at(when, Occurrence::Event { life, event });
            }
            Effect::Written { take, samples } => {
                let when = self.now + Duration::from_millis(self.random.between(0, 50));
                self.schedule.at(when, Occurrence::Written { life, take, samples });
            }
        }
        Ok(())
    }
}
