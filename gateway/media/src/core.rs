//! The one face of the data plane's core.

use ::core::time::Duration;
use duogate_channel::command::{Command, Rtcp};
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::time::Instant;

use crate::action::{Action, BindError, Socket};
use crate::block::{Take, Tap};
use crate::commands::{is_somewhere, session_of};
use crate::counters::Counters;
use crate::events::Events;
use crate::help::{Aside, Helps, Job};
use crate::limits::{Limits, LimitsError};
use crate::opening::leg_of;
use crate::outlet::{Outlet, SoundStore};
use crate::pacing::Timers;
use crate::path::{NoPath, Path};
use crate::player::Phases;
use crate::recordings::Recordings;
use crate::reports::Reports;
use crate::snapshot::Snapshot;
use crate::sockets::{Sockets, Told};
use crate::table::Table;
use crate::verdict::{Origin, Verdict};
use crate::wheel::Wheel;

/// Octets behind a received datagram that its encryption may need.
pub const ROOM: usize = duogate_srtp::MOST_GROWTH;

/// The sessions of one shard.
#[derive(Debug)]
pub struct Core<P = NoPath> {
    pub(crate) path: P,
    pub(crate) helps: Helps,
    /// What the last verdict asks of a helper.
    pub(crate) job: Option<Job>,
    pub(crate) aside: Aside,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) table: Table,
    pub(crate) sockets: Sockets,
    pub(crate) recordings: Recordings,
    pub(crate) events: Events,
    pub(crate) wheel: Wheel,
    pub(crate) timers: Timers,
    pub(crate) phases: Phases,
    pub(crate) reports: Reports,
    /// Directions whose packets are copied on the path.
    pub(crate) tapped: u32,
}

impl Core {
    /// A shard without sessions, all of whose packets go through sockets. All its memory is taken here:
    /// [`Limits::memory`].
    ///
    /// # Errors
    /// If the limits contradict each other.
    pub fn new(limits: Limits, now: Instant) -> Result<Self, LimitsError> {
        Self::with_path(limits, now, NoPath)
    }
}

impl<P: Path> Core<P> {
    /// A shard without sessions, with a path beside its sockets.
    ///
    /// # Errors
    /// If the limits contradict each other.
    pub fn with_path(limits: Limits, now: Instant, path: P) -> Result<Self, LimitsError> {
        limits.check()?;
        let timers = Timers::new(limits.sessions, limits.places());
        Ok(Self {
            path,
            helps: Helps::new(limits.transcoded),
            job: None,
            aside: Aside::new(),
            limits,
            counters: Counters::default(),
            table: Table::new(limits.sessions, limits.seed),
            sockets: Sockets::new(limits.addresses, limits.sockets_each(), limits.report_ports),
            recordings: Recordings::new(limits.recordings),
            events: Events::new(limits.sessions, limits.recordings),
            wheel: Wheel::new(timers.count(), now),
            timers,
            phases: Phases::default(),
            reports: Reports::new(limits.sessions, limits.seed),
            tapped: 0,
        })
    }

    /// The limits it was made with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// May another command be given? False while answers that may not be lost fill their place because the
    /// event ring is full; the shell then leaves commands in their ring, which is how the control plane learns.
    #[must_use]
    pub fn accepts_commands(&self) -> bool {
        self.events.has_room()
    }

    /// Sessions, recordings and refusals that have something to tell which the control plane has not taken.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.events.waiting()
    }

    /// Obeys one command. A command for a session that has ended is counted and ignored.
    pub fn command(&mut self, now: Instant, command: Command, tap: &mut impl Tap) {
        self.clear_way(&command, tap);
        self.obey(now, command, tap);
        if let Some(session) = session_of(&command)
            && self.table.find(session).is_some()
        {
            self.find_way(session.slot);
        }
    }

    /// Says how a [`Action::Bind`] ended. Like every input it carries the time, though nothing depends on it now.
    pub fn bound(&mut self, _now: Instant, socket: Socket, result: Result<(), BindError>) {
        self.port_bound(socket, result);
    }

    /// Judges one received datagram, and rewrites it in place if it is to be forwarded. One that has to be encrypted
    /// does not find the room for that: [`Core::receive_into`].
    pub fn receive(
        &mut self,
        now: Instant,
        socket: Socket,
        origin: Origin,
        datagram: &mut [u8],
        tap: &mut impl Tap,
    ) -> Verdict {
        let length = datagram.len();
        self.receive_into(now, socket, origin, (datagram, length), tap)
    }

    /// Judges the datagram in the first octets of a buffer, as many as are said, and rewrites it in place if it is to
    /// be forwarded. With [`ROOM`] octets behind the datagram it can be encrypted for a secured listener.
    #[inline]
    pub fn receive_into(
        &mut self,
        now: Instant,
        socket: Socket,
        origin: Origin,
        (buffer, length): (&mut [u8], usize),
        tap: &mut impl Tap,
    ) -> Verdict {
        self.counters.received += 1;
        self.counters.received_bytes += length as u64;
        let verdict = self.judge(now, socket, origin, (buffer, length), tap);
        match verdict {
            Verdict::Forward { length, .. } => {
                self.counters.forwarded += 1;
                self.counters.forwarded_bytes += length as u64;
            }
            Verdict::Drop(reason) => self.counters.dropped[reason as usize] += 1,
            Verdict::HelpToo { length, .. } => {
                self.counters.forwarded += 1;
                self.counters.forwarded_bytes += length as u64;
            }
            Verdict::Help => self.counters.handed += 1,
        }
        verdict
    }

    /// Lets time come to `now`: paced packets that are due, parties that fell silent, ports that have rested.
    pub fn advance(&mut self, now: Instant, sounds: &impl SoundStore, outlet: &mut impl Outlet) {
        self.run_timers(now, sounds, outlet);
    }

    /// When [`Core::advance`] has something to do next; `None` if nothing is planned.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// The writer has finished with a recording, or given it up before its end. `duration` and `bytes` are what
    /// the file holds. Blocks of the recording that the core still holds go back through `tap`. A session does not
    /// wait for its recordings' files: `Event::Recorded` may come after `Event::Closed`.
    pub fn recorded(
        &mut self,
        take: Take,
        outcome: RecordOutcome,
        duration: Duration,
        bytes: u64,
        tap: &mut impl Tap,
    ) {
        let Some(session) = self.recordings.session(take) else { return };
        self.clear_session(session, tap);
        let slot = self.table.find(session).map(|slot| {
            let lost = slot.lost();
            (&mut slot.recordings, lost)
        });
        self.recordings.done(take, (outcome, duration, bytes), slot, tap);
        self.events.recorded(take.place);
        if self.table.find(session).is_some() {
            self.find_way(session.slot);
        }
    }

    /// The next thing for the shell's sockets. The shell takes them until there is none, after every batch.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(place) = self.helps.left() {
            return Some(Action::Unhelp { place });
        }
        loop {
            let (socket, told) = self.sockets.poll()?;
            let for_reports = self.sockets.is_for_reports(socket);
            return Some(match told {
                Told::Bind(name) if for_reports => {
                    let (place, party) = leg_of(name);
                    // The leg still has the RTP port for which this one was claimed.
                    let Some(port) = self.report_port(place, party) else { continue };
                    Action::Bind { socket, port }
                }
                Told::Bind(_) => Action::Bind { socket, port: self.limits.port(socket) },
                Told::Listen => Action::Listen { socket },
                Told::Release => Action::Release { socket },
                Told::Connect(name) => {
                    let (place, party) = leg_of(name);
                    let Some(far_end) = self.table.slots[place as usize].leg(party).far_end else { continue };
                    let mut address = far_end.address;
                    match far_end.rtcp {
                        Rtcp::Port(port) if for_reports => address.set_port(port),
                        // Where it was last.
                        Rtcp::Off | Rtcp::Muxed if for_reports => continue,
                        Rtcp::Off | Rtcp::Muxed | Rtcp::Port(_) => {}
                    }
                    if !is_somewhere(address) {
                        continue;
                    }
                    Action::Connect { socket, address }
                }
            });
        }
    }

    /// The oldest event that the control plane has not been given. It stays until [`Core::event_taken`]: while the
    /// event ring is full, or no control plane is attached, the shell just does not take it, and nothing is lost.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        self.oldest_event()
    }

    /// The event that [`Core::event`] showed has been handed over.
    pub fn event_taken(&mut self) {
        self.take_event();
    }

    /// Sessions that are in use.
    #[must_use]
    pub fn active_sessions(&self) -> u32 {
        self.table.in_use()
    }

    /// Sessions that are helped.
    #[must_use]
    pub fn helped_sessions(&self) -> u32 {
        self.helps.in_use()
    }

    /// RTP ports that are neither in use nor resting.
    #[must_use]
    pub fn free_ports(&self) -> u32 {
        self.sockets.free()
    }

    /// The session in a slot, if the slot is in use.
    #[must_use]
    pub fn snapshot(&self, slot: u32) -> Option<Snapshot> {
        self.session_snapshot(slot)
    }

    /// Totals since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use ::core::mem::size_of;

    use crate::table::Slot;
    use crate::{reports, sockets, wheel};

    #[test]
    fn a_session_without_recordings_takes_at_most_1568_octets() {
        // Its slot, two ports, and eight timers: a player, a watch and a press for each party, a rest for each port. What few
        // legs need (reports, quality, searched sound) is boxed: a pointer for each leg here. Noise in a pause is not: it
        // begins and ends with every sentence. Legs begin at lines of the cache, which is the last 96 octets.
        let session = size_of::<Slot>() + 2 * sockets::PORT_OCTETS + 8 * wheel::TIMER_OCTETS;
        assert!(session <= 1568, "{session}");
    }

    #[test]
    fn the_quality_of_a_session_takes_at_most_1024_octets_apart_from_what_packets_touch() {
        // Both legs', three timers, and two ports for RTCP with the timers of their rest.
        let port = sockets::PORT_OCTETS + wheel::TIMER_OCTETS;
        let quality = 2 * reports::DOSSIER_OCTETS + 3 * wheel::TIMER_OCTETS + 2 * port;
        assert!(quality <= 1024, "{quality}");
    }
}
