//! Timers of all machines (RFC 3261 table 4, RFC 6026), and what a transition brings about.

use core::time::Duration;

use duogate_channel::time::Instant;

use super::{Settings, Transport};

/// A timer by the letter that the RFCs give it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Timer {
    /// INVITE is repeated: T1, doubled each time.
    A,
    /// INVITE has no answer: 64·T1.
    B,
    /// INVITE was cancelled and has no final response: 64·T1 (RFC 3261 section 9.1; it has no letter).
    Cancelled,
    /// Retransmitted final responses to INVITE are waited for.
    D,
    /// A request is repeated: T1, doubled each time up to T2; T2 from the first provisional response on.
    E,
    /// A request has no final response: 64·T1.
    F,
    /// A final response other than 2xx to INVITE is repeated: T1, doubled up to T2.
    G,
    /// No ACK for it: 64·T1.
    H,
    /// Retransmitted ACKs are waited for: T4.
    I,
    /// Retransmitted requests are waited for: 64·T1.
    J,
    /// Retransmitted responses are waited for: T4.
    K,
    /// Retransmitted INVITEs and the ACK are waited for after a 2xx: 64·T1 (RFC 6026).
    L,
    /// Retransmitted and forked 2xx are waited for: 64·T1 (RFC 6026).
    M,
    /// An INVITE without answer gets 100 (RFC 3261 section 17.2.1).
    Trying,
    /// A 2xx to INVITE is repeated: T1, doubled up to T2, whatever the transport (RFC 3261 section 13.3.1.4).
    Success,
}

/// Two timers run at once at most: one that repeats a message, and one that ends the state.
const SLOTS: usize = 2;

impl Timer {
    const fn slot(self) -> usize {
        match self {
            Self::A | Self::E | Self::G | Self::Success | Self::Trying => 0,
            Self::B
            | Self::Cancelled
            | Self::D
            | Self::F
            | Self::H
            | Self::I
            | Self::J
            | Self::K
            | Self::L
            | Self::M => 1,
        }
    }

    /// How long it runs, after it ran `before` without a stop; none if it does not run on that transport.
    fn duration(
        self,
        settings: &Settings,
        transport: Transport,
        before: Option<Duration>,
    ) -> Option<Duration> {
        let doubled = before.map_or(settings.t1, |before| before.saturating_mul(2));
        let reliable = transport.is_reliable();
        let unless_reliable = |duration| Some(if reliable { Duration::ZERO } else { duration });
        match self {
            Self::A | Self::E | Self::G if reliable => None,
            Self::A => Some(doubled),
            Self::E | Self::G | Self::Success => Some(doubled.min(settings.t2)),
            Self::B | Self::Cancelled | Self::F | Self::H | Self::L | Self::M => Some(settings.t1 * 64),
            Self::D => unless_reliable(settings.d),
            Self::I | Self::K => unless_reliable(settings.t4),
            Self::J => unless_reliable(settings.t1 * 64),
            Self::Trying => Some(settings.trying),
        }
    }
}

/// What a transition brings about, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// The request, or the latest response, is sent.
    Send,
    /// ACK is sent for the response that has come.
    Acknowledge,
    /// The prepared 100 becomes the latest response and is sent.
    SendTrying,
    /// The user gets the message that has come.
    Deliver,
    /// The user learns that no final response came.
    TimedOut,
    /// The user learns that the transport failed.
    Failed,
    /// The user learns that no ACK came.
    Unacknowledged,
    /// A timer starts, and takes the place of the other that repeats, or the other that ends a state.
    Start(Timer),
    /// It starts at T2 at once.
    StartAtT2(Timer),
    /// A timer stops, if it runs.
    Stop(Timer),
}

/// Where a machine goes, and what that brings about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step<S> {
    pub(super) next: S,
    pub(super) effects: &'static [Effect],
}

impl<S> Step<S> {
    pub(super) const fn to(next: S, effects: &'static [Effect]) -> Self {
        Self { next, effects }
    }

    /// Enters the state, hands out the effects.
    pub(super) fn take(self, state: &mut S) -> &'static [Effect] {
        *state = self.next;
        self.effects
    }
}

/// A timer that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Running {
    timer: Timer,
    duration: Duration,
    deadline: Instant,
}

/// The timers of one transaction.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Timers([Option<Running>; SLOTS]);

impl Timers {
    /// Starts a timer. One that has just fired doubles its duration, if its kind does.
    pub(super) fn start(&mut self, now: Instant, timer: Timer, settings: &Settings, transport: Transport) {
        let slot = &mut self.0[timer.slot()];
        let before = slot.filter(|running| running.timer == timer).map(|running| running.duration);
        *slot = timer.duration(settings, transport, before).map(|duration| Running {
            timer,
            duration,
            deadline: now + duration,
        });
    }

    /// Starts a timer at T2, if it runs on that transport.
    pub(super) fn start_at_t2(
        &mut self,
        now: Instant,
        timer: Timer,
        settings: &Settings,
        transport: Transport,
    ) {
        let duration = settings.t2;
        let runs = timer.duration(settings, transport, None).is_some();
        self.0[timer.slot()] = runs.then_some(Running { timer, duration, deadline: now + duration });
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        let slot = &mut self.0[timer.slot()];
        if slot.is_some_and(|running| running.timer == timer) {
            *slot = None;
        }
    }

    /// The earliest deadline.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().flatten().map(|running| running.deadline).min()
    }

    /// A timer that is due; the one that ends the state goes first. It keeps its place until the transition has
    /// started or stopped it, with its deadline out of the way.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = |slot: &&mut Option<Running>| slot.is_some_and(|running| running.deadline <= now);
        let slot = self.0.iter_mut().rev().find(due)?;
        let running = slot.as_mut()?;
        running.deadline = Instant::from_nanoseconds(u64::MAX);
        Some(running.timer)
    }

    /// Clears a timer that fired and was not started again.
    pub(super) fn clear_fired(&mut self) {
        let fired = Instant::from_nanoseconds(u64::MAX);
        for slot in &mut self.0 {
            if slot.is_some_and(|running| running.deadline == fired) {
                *slot = None;
            }
        }
    }
}
