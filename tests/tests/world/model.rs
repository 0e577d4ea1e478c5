//! The world: the real signaling endpoint and the real media core, between model parties, a model network, a
//! model application and a model journal, all on one virtual clock.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use duogate_channel::command::{Command, PortChoice};
use duogate_channel::snapshot::Snapshot;
use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::{Endpoint, Output};
use duogate_signaling::resource::note::Note;
use duogate_signaling::resource::report::Report;

use crate::acting::Acted;
use crate::application::endpoint;
use crate::audit::{Audit, Broken};
use crate::duties::Duties;
use crate::gateway::{Effect, Gateway};
use crate::manners::{Line, Manners};
use crate::mutation::Mutation;
use crate::network::{Deed, Occurrence, Schedule, Weather};
use crate::party::Party;
use crate::random::Random;
use crate::script::script;
use crate::servers::{Servers, is_server};
use crate::streams::Streams;
use crate::text::Text;

/// Callbacks in one world.
pub(crate) const CALLBACKS: usize = 25;
/// Parties that the one-call trunk leads to.
pub(crate) const ON_TRUNK_ONE: [usize; 3] = [0, 3, 4];
/// Lines of the story that a failure tells.
const STORY: usize = 160;
/// When the world must have come to rest, at the latest: a prompt before the call to party 2 may take 600 s if an
/// action plays to party 1 for ever in its place.
const LAST: Duration = Duration::from_secs(750);

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) mutation: Mutation,
    pub(crate) random: Random,
    pub(crate) weather: Weather,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) schedule: Schedule,
    pub(crate) endpoint: Endpoint,
    /// Which control plane that is.
    pub(crate) reign: u32,
    pub(crate) reign_began: Instant,
    /// The last row of each resource that is not over, and the number of its last event.
    pub(crate) journal: BTreeMap<Arc<str>, Note>,
    /// Calls that a later control plane went on with.
    pub(crate) taken_over: u64,
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
    pub(crate) servers: Servers,
    pub(crate) audit: Audit,
    pub(crate) duties: Duties,
    pub(crate) streams: Streams,
    /// What actions have let each party hear.
    pub(crate) acted: Vec<Acted>,
    pub(crate) story: Vec<String>,
    pub(crate) sent: u64,
}

pub(crate) fn us() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 255, 0, 1), 5060))
}

fn clock(start: Instant, now: Instant) -> Now {
    let passed = i64::try_from(now.since(start).as_millis()).expect("a short world");
    Now { instant: now, unix: UnixTime::from_milliseconds(1_800_000_000_000 + passed) }
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
            endpoint: endpoint(seed, mutation, 0, clock(start, start)),
            reign: 0,
            reign_began: start,
            journal: BTreeMap::new(),
            taken_over: 0,
            gateway: None,
            lives: 0,
            attached: None,
            left: Vec::new(),
            parties: Vec::new(),
            addresses: BTreeMap::new(),
            calls: vec![None; CALLBACKS],
            calm: !bad,
            disturbed: vec![false; CALLBACKS],
            servers: Servers::new(start),
            audit: Audit::default(),
            duties: Duties::default(),
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
                self.add_party(codec);
            }
            let roams = self.parties[call * 2..]
                .iter()
                .any(|party| matches!(party.manners.line, Line::Pair | Line::Pool));
            let last = if roams { 200_000 } else { 15_000 };
            let when = self.start + Duration::from_millis(self.random.between(1, last));
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
        self.foresee_servers();
    }

    fn add_party(&mut self, codec: u8) {
        let place = self.parties.len();
        let number = u16::try_from(place).expect("few parties").to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(10, 1, number[0], number[1]), 5060));
        let line = match self.random.between(0, 99) {
            _ if ON_TRUNK_ONE.contains(&place) => Line::Direct,
            0..60 => Line::Direct,
            60..76 => Line::Keyed,
            76..88 => Line::Pair,
            _ => Line::Pool,
        };
        let manners = Manners::draw(&mut self.random, line);
        let script = script(&mut self.random, codec, &manners);
        self.addresses.insert(address.ip(), place);
        self.parties.push(Party::new(place, address, script, manners));
    }

    pub(crate) fn clock(&self) -> Now {
        clock(self.start, self.now)
    }

    /// Lets the world run until nothing is left to happen.
    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        let result = self.run_to_rest();
        result.map_err(|broken| {
            let story = self.story_of(&broken).join("\n  ");
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
        self.duties.are_done()?;
        self.tend_gateway()
    }

    /// What is told of the call or callback that a failure names, and the end of all.
    fn story_of(&self, broken: &str) -> Vec<&str> {
        let word = broken.split([':', ' ', '"']).find(|word| word.len() >= 30).unwrap_or("nobody");
        let name = std::env::var("DUOGATE_WORLD_STORY").unwrap_or_else(|_| word.to_owned());
        let end = self.story.len().saturating_sub(STORY / 2);
        let of_it = self.story[..end].iter().filter(|line| line.contains(&name)).rev().take(STORY);
        let mut lines: Vec<&str> = of_it.map(String::as_str).collect();
        lines.reverse();
        lines.extend(self.story[end..].iter().map(String::as_str));
        lines
    }

    /// Keeps a line of the story.
    pub(crate) fn tell(&mut self, line: &str) {
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
                    if let Some(note) = self.journal.get_mut(&report.res_id) {
                        note.seq = report.seq;
                    }
                    self.sent += 1;
                    let twentieth = self.sent.is_multiple_of(20);
                    match self.mutation {
                        Mutation::LostEvent if twentieth => {}
                        Mutation::DoubleEvent if twentieth => {
                            self.reported(&report)?;
                            self.reported(&report)?;
                        }
                        _ => self.reported(&report)?,
                    }
                }
                Output::Locate { query, question } => self.locate(query, &question),
                Output::Note(note) if note.over => drop(self.journal.remove(&note.res_id)),
                Output::Note(note) => drop(self.journal.insert(note.res_id.clone(), *note)),
                Output::Measured(_) => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, to: SocketAddr, mut bytes: Vec<u8>) -> Result<(), Broken> {
        let text = Text::read(&bytes);
        if to == stranger() || self.is_lost(&text) || self.is_withheld(&text) {
            return Ok(());
        }
        self.tell(&format!("us > {to}: {} ({})", text.start, text.call_id()));
        if self.mutation == Mutation::WrongRack {
            bytes = String::from_utf8_lossy(&bytes).replace("RAck: ", "RAck: 1").into_bytes();
        }
        let text = Text::read(&bytes);
        self.audit.sent(&text)?;
        self.duties.shows(to, &text)?;
        if text.method() == "PRACK" {
            self.duties.pracks(&text)?;
        }
        if text.is_first_invite() {
            self.begins(to, &text)?;
        }
        self.haunt(to, &text);
        let occurrence = Occurrence::SipToParty { to, bytes };
        self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
        Ok(())
    }

    /// Is a message of ours lost on purpose?
    fn is_lost(&self, text: &Text) -> bool {
        let inside = !text.tag_of_to().is_empty();
        match self.mutation {
            Mutation::NoBye => text.method() == "BYE",
            Mutation::NoAck => text.method() == "ACK",
            Mutation::NoCancel => text.method() == "CANCEL",
            Mutation::NoPrack => text.method() == "PRACK",
            Mutation::NoRefresh => text.method() == "UPDATE" || (text.method() == "INVITE" && inside),
            Mutation::NoForkBye => text.method() == "BYE" && self.audit.is_fork(text),
            _ => false,
        }
    }

    /// An INVITE begins a call.
    fn begins(&mut self, to: SocketAddr, text: &Text) -> Result<(), Broken> {
        let Some(place) = place_of(text.user_and_host().0) else { return Ok(()) };
        let manners = self.parties[place].manners;
        self.audit.dials(text, place, self.now);
        self.duties.invites(place, &manners, text)?;
        if !is_server(to) {
            return Ok(());
        }
        let name = self.calls[place / 2].clone().unwrap_or_default();
        let since = self.audit.accounts.get(&name).map_or(self.start, |account| account.since);
        let repeated = !self.audit.is_new(text);
        if repeated { Ok(()) } else { self.may_go_there(to, text, since) }
    }

    /// A refresh goes to a party that died: somebody else answers, if that is the fault.
    fn haunt(&mut self, to: SocketAddr, text: &Text) {
        let refresh =
            text.method() == "UPDATE" || (text.method() == "INVITE" && !text.tag_of_to().is_empty());
        let Some(party) = self.parties.iter().find(|party| party.find(text).is_some()) else { return };
        if self.mutation != Mutation::GhostRefresh || !refresh || !party.mute {
            return;
        }
        let seconds = text.session().map_or(90, |(seconds, _)| seconds);
        let lines = format!("Contact: <sip:ghost@{to}>\r\nSession-Expires: {seconds};refresher=uac\r\n");
        let body = if text.body.is_empty() { String::new() } else { party.description(0, false) };
        let bytes = text.answer_with(200, "", &lines, &body);
        self.schedule.at(self.now + Duration::from_millis(5), Occurrence::SipToUs { from: to, bytes });
    }

    /// An event of ours.
    fn reported(&mut self, report: &Report) -> Result<(), Broken> {
        let reachable = |party: &Party| party.manners.line == Line::Keyed && party.manners.is_reachable();
        let welcome = [0, 1].map(|leg| {
            let call = self.calls.iter().position(|name| name.as_deref() == Some(&*report.res_id));
            call.is_some_and(|call| reachable(&self.parties[call * 2 + leg]))
        });
        self.audit.report(report, welcome)
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

/// The party that a user's name means.
pub(crate) fn place_of(user: &str) -> Option<usize> {
    user.strip_prefix('p')?.split('-').next()?.parse().ok()
}
