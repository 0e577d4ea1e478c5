//! One shard: the core, and everything of the shell that serves it. Each method is one step of the worker's loop.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::RecordOutcome;
use duogate_channel::identity::Session;
use duogate_channel::time::Instant;
use duogate_media::{Action, Core, Origin, Outlet, Socket, Verdict, session_of};

use crate::ahead;
use crate::buffers::BUFFER_OCTETS;
use crate::clock;
use crate::figures::{Page, ShellFigures};
use crate::helpers::ShardHelp;
use crate::inbox::{Inbox, Notice, Sounds};
use crate::load::Load;
use crate::ports::Ports;
use crate::rings::Rings;
use crate::setup::Setup;
use crate::tap::ShardTap;
use crate::uring::{BATCH, Completion, Wait};
use crate::wall::{INBOX_BELL, Wall};
use crate::xdp_shard::ShardPath;

/// Commands obeyed in one turn: each may bind two sockets (about 30 µs each), and packets wait meanwhile.
const COMMANDS_A_TURN: u64 = 16;

/// How long a shard that carries traffic waits at most, instead of telling the control plane that it sleeps: its
/// commands then need no doorbell.
const DOZE: Duration = Duration::from_millis(1);

/// Completions in one turn that make a shard busy.
const BUSY: usize = 8;

/// How long an idle shard sleeps at most: it must show that it lives.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// How often events are tried again while the control plane's ring is full.
const FULL_RING_RETRY: Duration = Duration::from_millis(5);

/// A packet of a prompt that leaves more than this after its time is late.
const LATE: Duration = Duration::from_millis(2);

/// Packets of prompts in one turn that take so long to send, some 3 µs each, that the clock is read anew after them.
const MANY_PACED: u64 = 16;

/// How often copies of recorded packets are taken from the fast path: seldom enough to be a batch, often enough for
/// them to find their place beside what comes through sockets.
pub const DRAIN: Duration = Duration::from_millis(5);

/// How long after a control plane has attached it may take over the calls that a gateway before this one left on the
/// fast path; what it has not taken then is switched off. It opens sessions anew as fast as ports can be bound.
const ADOPTION: Duration = Duration::from_secs(60);

/// Places of the table that are looked at in one turn when what nobody took over is switched off.
const DISOWNED_A_TURN: u32 = 512;

/// How long closing recordings may take when the gateway ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// Calls on the fast path that a gateway before this one has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Legacy {
    /// None, or all dealt with.
    Settled,
    /// No control plane has attached yet.
    Waiting,
    /// It has, and may take them over until then.
    Until(Instant),
    /// From this place of the table on they are switched off.
    Ending(u32),
}

/// One shard.
pub struct Shard {
    core: Core<ShardPath>,
    uring: Rings,
    ports: Ports,
    wall: Wall,
    inbox: Arc<Inbox>,
    sounds: Sounds,
    tap: ShardTap,
    help: ShardHelp,
    page: Page,
    figures: ShellFigures,
    budget: Duration,
    load: Load,
    busy: bool,
    more_commands: bool,
    /// The newest turn had many packets of prompts to send.
    many_paced: bool,
    touched: Vec<Session>,
    stopping: Option<Instant>,
    next_drain: Instant,
    legacy: Legacy,
}

impl Shard {
    /// Takes all memory and makes the ring, on the thread that will run the shard.
    ///
    /// # Errors
    /// The system's, and limits that contradict each other.
    pub fn new(setup: Setup, now: Instant) -> io::Result<Self> {
        let core = Core::with_path(setup.limits, now, setup.path).map_err(io::Error::other)?;
        let mut uring = Rings::new(setup.limits.places(), setup.keep)?;
        uring.watch(setup.inbox.bell().as_fd(), INBOX_BELL)?;
        let ports = Ports::new(setup.addresses, setup.traffic_class, setup.limits.places());
        let page = Page::new(setup.page, &core);
        page.heartbeat(now);
        Ok(Self {
            core,
            uring,
            ports,
            wall: Wall::default(),
            inbox: setup.inbox,
            sounds: setup.sounds,
            tap: setup.tap,
            help: setup.help,
            page,
            figures: ShellFigures::default(),
            budget: setup.budget,
            load: Load::new(setup.budget, now),
            busy: false,
            more_commands: false,
            many_paced: false,
            touched: Vec::new(),
            stopping: None,
            next_drain: now,
            legacy: if setup.adopted { Legacy::Waiting } else { Legacy::Settled },
        })
    }

    /// The ring, to reap from.
    pub const fn uring(&mut self) -> &mut Rings {
        &mut self.uring
    }

    /// Sleeps until there is something to do.
    ///
    /// # Errors
    /// The system's.
    pub fn sleep(&mut self, mut now: Instant) -> io::Result<()> {
        if std::mem::take(&mut self.many_paced) {
            // Sending them takes a good part of the time until the next are due, and a wait begins after it.
            self.uring.submit()?;
            now = clock::now();
        }
        if self.ports.are_starved() {
            // Half for them, half for those that receive.
            let free = self.uring.refill()?;
            self.ports.feed(&mut self.uring, free / 2)?;
        }
        let mut at_most = self.time_left(now);
        if self.busy {
            at_most = at_most.min(DOZE.max(self.budget));
        } else if !at_most.is_zero() && !self.wall.prepare_sleep() {
            at_most = Duration::ZERO;
        }
        self.figures.loops += 1;
        self.figures.wakeups += u64::from(!at_most.is_zero());
        let outcome = self.uring.wait(Wait { gather: self.load.gather(), at_most });
        self.wall.wake();
        outcome
    }

    /// Until the next planned thing. Paced packets leave at their time: plans are not gathered as packets are.
    fn time_left(&mut self, now: Instant) -> Duration {
        if self.more_commands || self.ports.are_starved() || self.uring.has_more() {
            return Duration::ZERO;
        }
        let deadlines = [self.core.next_deadline(), self.ports.next_deadline(), self.stopping];
        let mut left = deadlines.into_iter().flatten().map(|deadline| deadline.since(now)).min();
        // A busy shard comes by within a millisecond anyway, and a wake-up of its own for what is not urgent costs much.
        if self.core.active_sessions() > 0 && !self.busy {
            left = Some(left.unwrap_or(LONGEST_SLEEP).min(self.page.next_slice().since(now)));
        }
        let mut left = left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        if self.wall.is_full() {
            left = left.min(FULL_RING_RETRY);
        }
        if self.core.tapped() > 0 && !self.busy {
            left = left.min(self.next_drain.since(now));
        }
        if let Legacy::Ending(_) = self.legacy {
            left = Duration::ZERO;
        }
        left
    }

    /// Has the processor fetch what completions a few places behind the first will need.
    pub fn foresee(&self, batch: &[Completion]) {
        ahead::foresee(batch, &self.core, &self.ports, &self.uring);
    }

    /// Takes one completion.
    ///
    /// # Errors
    /// The system's.
    pub fn complete(&mut self, now: Instant, completion: Completion) -> io::Result<()> {
        self.figures.completions += 1;
        match completion {
            Completion::Received { place, epoch, buffer, length, more } => {
                if self.ports.is_current(place, epoch) {
                    self.packet(now, place, buffer, length)?;
                } else {
                    self.figures.stale += 1;
                }
                self.uring.give_back(place, buffer);
                if more { Ok(()) } else { self.ports.rearm(&mut self.uring, place, epoch) }
            }
            Completion::Ended { place, epoch, errno, buffer } => {
                if let Some(buffer) = buffer {
                    self.uring.give_back(place, buffer);
                }
                if errno == libc::ENOBUFS {
                    self.figures.no_buffer += 1;
                    self.ports.starve(place, epoch);
                    return Ok(());
                }
                self.ports.rearm(&mut self.uring, place, epoch)
            }
            // The party has nobody at its port for RTCP, as many do.
            Completion::SendFailed { place, errno: libc::ECONNREFUSED }
                if place >= self.core.limits().sockets() =>
            {
                self.figures.reports_unheard += 1;
                Ok(())
            }
            Completion::SendFailed { errno, .. } => {
                self.figures.send_failed += 1;
                self.figures.send_refused += u64::from(errno == libc::ECONNREFUSED);
                Ok(())
            }
            Completion::Readable { place, epoch } => self.hear_anybody(now, place, epoch),
            Completion::Rang { more: true, .. } => Ok(()),
            Completion::Rang { bell: INBOX_BELL, .. } => {
                self.uring.watch(self.inbox.bell().as_fd(), INBOX_BELL)
            }
            Completion::Rang { bell, .. } => self.wall.watch_again(&mut self.uring, bell),
            Completion::Stirred { .. } | Completion::Nothing => Ok(()),
        }
    }

    fn packet(&mut self, now: Instant, place: u32, buffer: u16, length: usize) -> io::Result<()> {
        if length >= BUFFER_OCTETS {
            self.figures.oversized += 1;
            return Ok(());
        }
        // The whole buffer: encryption makes a packet longer.
        let Some(whole) = self.uring.packet(place, buffer, BUFFER_OCTETS) else { return Ok(()) };
        let (socket, origin) = (Socket(place), Origin::Connected);
        match self.core.receive_into(now, socket, origin, (&mut *whole, length), &mut self.tap) {
            Verdict::Forward { socket, length } => self.uring.send_buffer(socket.0, place, buffer, length),
            Verdict::Drop(_) => Ok(()),
            Verdict::Help => {
                self.help.ask(&mut self.core, now, whole, &mut self.tap);
                Ok(())
            }
            Verdict::HelpToo { socket, length } => {
                self.help.ask(&mut self.core, now, whole, &mut self.tap);
                self.uring.send_buffer(socket.0, place, buffer, length)
            }
        }
    }

    /// Reads from a port whose far end is being learned.
    #[cold]
    fn hear_anybody(&mut self, now: Instant, place: u32, epoch: u32) -> io::Result<()> {
        let (core, tap) = (&mut self.core, &mut self.tap);
        self.ports.hear(&mut self.uring, place, epoch, |uring, (buffer, length), source| {
            let origin = Origin::Address(source);
            let verdict = core.receive_into(now, Socket(place), origin, (&mut *buffer, length), tap);
            if let Verdict::Forward { socket, length } = verdict {
                uring.send_made(socket.0, length, |packet| packet.copy_from_slice(&buffer[..length]));
            }
        });
        // If the source is known now, the port is connected before it would be heard again.
        self.act(now)?;
        self.ports.hear_on(&mut self.uring, place, epoch)
    }

    /// Takes what the attach thread and the recorder have to say.
    ///
    /// # Errors
    /// The system's.
    pub fn hear(&mut self, now: Instant) -> io::Result<()> {
        while let Some(notice) = self.inbox.take() {
            match notice {
                Notice::Attach(side, attachment) => {
                    self.wall.attach(&mut self.uring, *side, attachment)?;
                    self.page.attached(true);
                    if self.legacy == Legacy::Waiting {
                        self.legacy = Legacy::Until(now + ADOPTION);
                    }
                }
                Notice::Detach => {
                    self.wall.detach(&mut self.uring)?;
                    self.page.attached(false);
                    self.sounds.retire_all();
                }
                Notice::Sound(sound, stored) => self.sounds.keep(sound, stored),
                Notice::Forget(sound) => self.sounds.retire(sound),
                Notice::Stop => self.stop(now),
            }
        }
        self.help.take_back(&mut self.core, now, &mut RingOutlet(&mut self.uring), &mut self.tap);
        while let Some(finished) = self.tap.finished() {
            self.figures.recorder_errors += u64::from(finished.outcome != RecordOutcome::Saved);
            let (outcome, duration, bytes) = (finished.outcome, finished.duration, finished.bytes);
            self.core.recorded(finished.take, outcome, duration, bytes, &mut self.tap);
        }
        Ok(())
    }

    fn stop(&mut self, now: Instant) {
        self.stopping = Some(now + FAREWELL);
        self.legacy = Legacy::Settled;
        self.core.leave_paths(&mut self.tap);
        for slot in 0..self.core.limits().sessions {
            if let Some(snapshot) = self.core.snapshot(slot) {
                self.core.command(now, Command::Close { session: snapshot.session }, &mut self.tap);
            }
        }
    }

    /// Closes all ports before the thread ends, so that the next gateway finds them free: what a ring still holds
    /// when its process ends is let go by the kernel some time later.
    ///
    /// # Errors
    /// The system's.
    pub fn close(mut self) -> io::Result<()> {
        for place in 0..self.core.limits().places() {
            self.ports.release(&mut self.uring, Socket(place))?;
        }
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.uring.wait(Wait { gather: Duration::ZERO, at_most: Duration::ZERO })?;
            if !self.uring.reap(&mut batch) {
                return Ok(());
            }
        }
    }

    /// Has everything been ended that had to be?
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        let told = || !self.wall.is_attached() || self.core.event().is_none();
        self.stopping.is_some_and(|deadline| (self.tap.running() == 0 && told()) || now >= deadline)
    }

    /// Obeys commands, a bounded number.
    ///
    /// # Errors
    /// The system's.
    pub fn obey(&mut self, now: Instant) -> io::Result<()> {
        self.touched.clear();
        let before = self.figures.commands;
        while self.figures.commands - before < COMMANDS_A_TURN && self.core.accepts_commands() {
            let Some(command) = self.wall.command() else { break };
            // A sound that the command names was announced before it: its notice is there by now.
            self.hear(now)?;
            self.figures.commands += 1;
            self.sounds.heed(&command);
            self.core.command(now, command, &mut self.tap);
            self.touched.extend(session_of(&command));
        }
        self.more_commands = self.figures.commands - before == COMMANDS_A_TURN;
        Ok(())
    }

    /// Takes what the fast path has copied, and ends what a gateway before this one has left there, in slices.
    fn tend_path(&mut self, now: Instant) {
        if self.core.tapped() > 0 && now >= self.next_drain {
            self.core.drain_path(&mut self.tap);
            self.next_drain = now + DRAIN;
        }
        self.legacy = match self.legacy {
            Legacy::Until(end) if now >= end => Legacy::Ending(0),
            Legacy::Ending(first) => {
                let all = self.core.limits().sockets();
                let end = (first + DISOWNED_A_TURN).min(all);
                self.core.disown(first..end);
                if end == all { Legacy::Settled } else { Legacy::Ending(end) }
            }
            other => other,
        };
    }

    /// Lets time pass in the core: paced packets, time-outs.
    pub fn advance(&mut self, now: Instant) {
        self.tend_path(now);
        let deadline = self.core.next_deadline();
        let paced = self.core.counters().paced;
        self.core.advance(now, &self.sounds, &mut RingOutlet(&mut self.uring));
        let paced = self.core.counters().paced - paced;
        self.many_paced = paced >= MANY_PACED;
        if deadline.is_some_and(|deadline| now.since(deadline) > LATE) {
            self.figures.played_late += paced;
        }
    }

    /// Does what the core asks of sockets.
    ///
    /// # Errors
    /// The system's.
    pub fn act(&mut self, now: Instant) -> io::Result<()> {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Bind { socket, port } => {
                    let result = self.ports.bind(&mut self.uring, socket, port);
                    self.core.bound(now, socket, result);
                }
                Action::Connect { socket, address } => {
                    match self.ports.connect(&mut self.uring, now, socket, address) {
                        Ok(drained) => self.figures.drained += drained as u64,
                        Err(error) => {
                            tracing::warn!(%address, %error, "a far end cannot be reached from this host");
                        }
                    }
                }
                Action::Listen { socket } => self.ports.listen(&mut self.uring, socket)?,
                Action::Unhelp { place } => self.help.forget(place),
                Action::Release { socket } => {
                    self.figures.kernel_drops += u64::from(self.ports.release(&mut self.uring, socket)?);
                }
            }
        }
        self.settle(now)
    }

    fn settle(&mut self, now: Instant) -> io::Result<()> {
        while let Some(socket) = self.ports.settled(now) {
            let (core, tap) = (&mut self.core, &mut self.tap);
            let strangers = self.ports.settle(&mut self.uring, now, socket, |uring, (buffer, length)| {
                let verdict = core.receive_into(now, socket, Origin::Connected, (&mut *buffer, length), tap);
                // What came in this moment and needs help is dropped.
                if let Verdict::Forward { socket, length } | Verdict::HelpToo { socket, length } = verdict {
                    uring.send_made(socket.0, length, |packet| packet.copy_from_slice(&buffer[..length]));
                }
            })?;
            self.figures.strangers += strangers as u64;
        }
        Ok(())
    }

    /// Hands events over while there is somebody, with room for them.
    pub fn report(&mut self, now: Instant) {
        while self.wall.is_attached()
            && let Some(event) = self.core.event()
            && self.wall.tell(&event)
        {
            self.core.event_taken();
            self.page.show_event(now, &self.core, &event);
        }
        self.figures.events += self.wall.flush();
    }

    /// Everything slow, in slices: the page, the kernel's drops, sounds that nobody hears any more.
    pub fn account(&mut self, now: Instant, completions: usize) {
        self.busy = completions >= BUSY;
        self.load.count(now, completions);
        self.tap.flush();
        self.help.flush();
        self.page.heartbeat(now);
        for session in &self.touched {
            let _shown = self.page.show(now, &self.core, session.slot);
        }
        let Some((slots, last)) = self.page.slice(now, self.core.limits().sessions) else { return };
        if slots.start == 0 {
            self.sounds.begin_walk();
        }
        let count = slots.len();
        for slot in slots {
            let shown = self.page.show(now, &self.core, slot);
            shown.iter().flat_map(|snapshot| &snapshot.legs).for_each(|leg| self.sounds.heard_by(leg));
        }
        if last {
            self.sounds.end_walk();
        }
        // Two ports a session, and at least one place a slice; a walk over all of them takes some seconds.
        self.figures.kernel_drops += u64::from(self.ports.sweep_drops(&mut self.uring, count.div_ceil(4)));
        self.page.recorder(self.tap.running(), self.tap.backlog(), self.tap.blocks());
        self.page.count(&self.core, &self.figures);
    }
}

/// Paced packets into the ring.
struct RingOutlet<'a>(&'a mut Rings);

impl Outlet for RingOutlet<'_> {
    fn send(&mut self, socket: Socket, length: usize, fill: impl FnOnce(&mut [u8])) -> bool {
        self.0.send_made(socket.0, length, fill)
    }
}
