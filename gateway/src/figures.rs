//! The shard's page: counters and session snapshots, as the control plane reads them.

use std::time::Duration;

use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::identity::Session;
use duogate_channel::page::PageWriter;
use duogate_channel::snapshot::{LegSnapshot, SessionState, Snapshot};
use duogate_channel::time::Instant;
use duogate_media::DropReason as D;
use duogate_media::{Core, Counters, DropReason, Path, Phase};

/// The page shows every session at least this often, in slices.
const WALK: Duration = Duration::from_secs(1);

/// Sessions of a slice at most, while there are not too many of them: some 10 µs, for which packets wait.
const SLICE: u32 = 8;

/// Time between two slices.
const SLICE_TIMES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

/// What the shell counts by itself, beside the core's counters.
#[derive(Clone, Copy, Default, Debug)]
pub struct ShellFigures {
    /// Datagrams that did not fit a receive buffer.
    pub oversized: u64,
    /// Times that the receive buffers ran out.
    pub no_buffer: u64,
    /// Packets that the kernel refused to send.
    pub send_failed: u64,
    /// Of those: packets that met an ICMP error of an earlier one.
    pub send_refused: u64,
    /// RTCP packets that met an ICMP error of an earlier one.
    pub reports_unheard: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
    /// Datagrams that were queued before a port was connected.
    pub drained: u64,
    /// Datagrams from strangers that slipped in while a port was being connected.
    pub strangers: u64,
    /// Datagrams of an earlier far end, received but not read when a port was moved.
    pub stale: u64,
    /// Turns of the loop.
    pub loops: u64,
    /// Turns that began with a sleep.
    pub wakeups: u64,
    /// Completions taken.
    pub completions: u64,
    /// Paced packets sent late.
    pub played_late: u64,
    /// Commands taken.
    pub commands: u64,
    /// Events handed over.
    pub events: u64,
    /// Recordings that ended with an error.
    pub recorder_errors: u64,
}

/// The page, and where its walk over the sessions is.
pub struct Page {
    writer: PageWriter,
    next_slice: Instant,
    slot: u32,
}

impl Page {
    /// Takes over a fresh page.
    #[must_use]
    pub fn new(writer: PageWriter, core: &Core<impl Path>) -> Self {
        writer.set(Counter::SessionsCapacity, u64::from(core.limits().sessions));
        writer.set(Counter::PortsTotal, u64::from(core.limits().sockets()));
        Self { writer, next_slice: Instant::ZERO, slot: 0 }
    }

    /// The loop turns.
    pub fn heartbeat(&self, now: Instant) {
        self.writer.set(Counter::Heartbeat, now.nanoseconds());
    }

    /// Is a control plane attached?
    pub fn attached(&self, attached: bool) {
        self.writer.set(Counter::Attached, u64::from(attached));
    }

    /// When the next slice is due.
    #[must_use]
    pub const fn next_slice(&self) -> Instant {
        self.next_slice
    }

    /// Shows a slot as it is now, and gives what it shows.
    pub fn show(&self, now: Instant, core: &Core<impl Path>, slot: u32) -> Option<duogate_media::Snapshot> {
        let snapshot = core.snapshot(slot);
        match &snapshot {
            Some(snapshot) => self.writer.show(&translate(now, snapshot)),
            None => self.writer.hide(Session { slot, generation: 0 }),
        }
        snapshot
    }

    /// Shows what an event changes.
    pub fn show_event(&self, now: Instant, core: &Core<impl Path>, event: &Event) {
        match event {
            Event::Opened { session, .. }
            | Event::Joined { session }
            | Event::Played { session, .. }
            | Event::ActionEnded { session, .. }
            | Event::Pressed { session, .. }
            | Event::Silent { session, .. }
            | Event::Fault { session, .. }
            | Event::Unauthentic { session, .. }
            | Event::Recorded { session, .. }
            | Event::Closed { session, .. } => drop(self.show(now, core, session.slot)),
            Event::Refused { .. } => {}
        }
    }

    /// The slots of the slice that is due, if one is, and whether it is the last of a walk.
    pub fn slice(&mut self, now: Instant, slots: u32) -> Option<(std::ops::Range<u32>, bool)> {
        if now < self.next_slice {
            return None;
        }
        let time = (WALK * SLICE / slots.max(1)).clamp(SLICE_TIMES.0, SLICE_TIMES.1);
        self.next_slice = now + time;
        let slices = u32::try_from(WALK.as_nanos() / time.as_nanos()).unwrap_or(1);
        let first = self.slot;
        let end = (first + slots.div_ceil(slices).max(1)).min(slots);
        self.slot = if end == slots { 0 } else { end };
        Some((first..end, end == slots))
    }

    /// Writes all counters.
    pub fn count(&self, core: &Core<impl Path>, shell: &ShellFigures) {
        let page = &self.writer;
        let core_counters = core.counters();
        let dropped =
            |reasons: &[DropReason]| reasons.iter().map(|reason| core_counters.dropped(*reason)).sum::<u64>();
        for (counter, value) in [
            (Counter::PacketsReceived, core_counters.received + shell.oversized),
            (Counter::OctetsReceived, core_counters.received_bytes),
            (Counter::PacketsForwarded, core_counters.forwarded),
            (Counter::PacketsPlayed, core_counters.paced),
            (Counter::PacketsSent, core_counters.sent().saturating_sub(shell.send_failed)),
            (
                Counter::OctetsSent,
                core_counters.forwarded_bytes + core_counters.paced * 172 + core_counters.event_packets * 16,
            ),
            (Counter::KeysPressed, core_counters.presses),
            (Counter::EventPacketsSent, core_counters.event_packets),
            (Counter::DroppedMalformed, dropped(&[D::Malformed, D::Rtcp, D::Empty])),
            (Counter::DroppedPayloadType, dropped(&[D::PayloadType, D::ComfortNoise, D::NoTelephoneEvent])),
            (Counter::DroppedStranger, dropped(&[D::Stranger]) + shell.strangers),
            (Counter::DroppedNoFarEnd, dropped(&[D::NoFarEnd, D::Learning]) + shell.drained),
            (
                Counter::DroppedLate,
                dropped(&[D::NotOpen, D::Resting, D::Late, D::Duplicate, D::Probation, D::Unsealed])
                    + shell.stale,
            ),
            (Counter::DroppedUnheard, dropped(&[D::NobodyListens])),
            (Counter::DroppedHold, dropped(&[D::Held])),
            (Counter::DroppedOversized, shell.oversized),
            (Counter::DroppedNoBuffer, shell.no_buffer),
            (Counter::DroppedSend, shell.send_failed),
            (Counter::DroppedSendUnheard, shell.send_refused),
            (Counter::DroppedKernel, shell.kernel_drops),
            (Counter::SessionsOpened, core_counters.opened),
            (Counter::SessionsRefused, core_counters.refused),
            (Counter::SessionsSilent, core_counters.silent),
            (Counter::SessionsActive, u64::from(core.active_sessions())),
            (Counter::PortsInUse, u64::from(core.active_sessions()) * 2),
            (Counter::RecorderLost, core_counters.blocks_lost),
            (Counter::RecorderErrors, shell.recorder_errors),
            (Counter::Wakeups, shell.wakeups),
            (Counter::Loops, shell.loops),
            (Counter::Completions, shell.completions),
            (Counter::PlayedLate, shell.played_late),
            (Counter::PlayedLost, core_counters.paced_lost),
            (Counter::RecordedLate, core_counters.late_for_recording),
            (Counter::Commands, shell.commands),
            (Counter::CommandsStale, core_counters.stale_commands),
            (Counter::Events, shell.events),
            (Counter::EventsDropped, core_counters.events_lost),
            (Counter::EventsPending, core.events_waiting() as u64),
        ] {
            page.set(counter, value);
        }
        self.count_quality(core_counters, shell);
        self.count_path(core_counters);
        self.count_help(core_counters, core.helped_sessions());
        let free = u64::from(core.free_ports()) + u64::from(core.active_sessions()) * 2;
        page.set(Counter::PortsResting, u64::from(core.limits().sockets()).saturating_sub(free));
    }

    /// Writes what RTCP and the watch over the parties' sound have come to.
    fn count_quality(&self, core: &Counters, shell: &ShellFigures) {
        for (counter, value) in [
            (Counter::ReportsSent, core.reports_sent),
            (Counter::ReportsReceived, core.reports_received),
            (Counter::ReportsMalformed, core.reports_malformed),
            (Counter::ReportsUnheard, shell.reports_unheard),
            (Counter::ReportPortsRefused, core.report_ports_refused),
            (Counter::NoisePassed, core.noise_passed),
            (Counter::NoiseMade, core.noise_made),
            (Counter::FoundAbsent, core.found_absent),
            (Counter::FoundMute, core.found_mute),
        ] {
            self.writer.set(counter, value);
        }
    }

    /// Writes what became of legs that are secured, or had to be learned.
    fn count_guards(&self, core: &Counters) {
        for (counter, value) in [
            (Counter::DroppedUnauthentic, core.dropped(DropReason::Unauthentic)),
            (Counter::DroppedReplayed, core.dropped(DropReason::Replayed)),
            (Counter::LegsUnauthentic, core.unauthentic),
            (Counter::LegsSecured, core.secured),
            (Counter::SourcesLearned, core.learned),
            (Counter::SourcesUnlearned, core.unlearned),
        ] {
            self.writer.set(counter, value);
        }
    }

    /// Writes what helpers have made.
    fn count_help(&self, core: &Counters, sessions: u32) {
        for (counter, value) in [
            (Counter::PacketsTranscoded, core.help_sent),
            (Counter::HelpedSessions, u64::from(sessions)),
            (Counter::HelpedPayloads, core.helped),
            (Counter::HelpFull, core.help_full),
            (Counter::HelpFailed, core.help_failed),
            (Counter::HelpRefused, core.help_refused),
            (Counter::DroppedNoHelp, core.dropped(DropReason::NoHelp)),
        ] {
            self.writer.set(counter, value);
        }
    }

    /// Writes what the core has put on the fast path; its packets are counted by [`crate::xdp::Xdp::count`].
    fn count_path(&self, core: &Counters) {
        self.count_guards(core);
        for (counter, value) in [
            (Counter::PathDirections, core.offloaded),
            (Counter::PathMoves, core.path_moves),
            (Counter::PathRefused, core.path_refused),
            (Counter::PathInherited, core.inherited),
            (Counter::PathDisowned, core.disowned),
        ] {
            self.writer.set(counter, value);
        }
    }

    /// Writes what the recorder's line has to say.
    pub fn recorder(&self, running: u32, queued: usize, blocks: u64) {
        self.writer.set(Counter::RecordingsActive, u64::from(running));
        self.writer.set(Counter::RecorderQueued, queued as u64);
        self.writer.set(Counter::RecorderBlocks, blocks);
    }
}

fn translate(now: Instant, snapshot: &duogate_media::Snapshot) -> Snapshot {
    let state = match snapshot.phase {
        Phase::Opening => SessionState::Opening,
        Phase::Open => SessionState::Open,
        Phase::Joined => SessionState::Joined,
        Phase::Ended => SessionState::Closing,
    };
    let legs = snapshot.legs.map(|leg| LegSnapshot {
        port: leg.port,
        far_end: leg.far_end,
        hears: leg.hears,
        ssrc: leg.ssrc,
        sequence: leg.sequence,
        timestamp: if leg.sent_at == Instant::ZERO {
            leg.timestamp
        } else {
            ahead(
                leg.timestamp,
                now.since(leg.sent_at),
                leg.far_end.map_or(1, |far_end| far_end.codec.ticks()),
            )
        },
        packet_samples: leg.packet_samples,
        heard: leg.heard,
        statistics: leg.statistics,
    });
    Snapshot { tag: snapshot.tag, session: snapshot.session, taken_at: now, state, legs }
}

/// The timestamp after so much time on a clock of so many ticks in 125 µs.
fn ahead(timestamp: u32, passed: Duration, ticks: u32) -> u32 {
    let samples = passed.as_micros() / 125 * u128::from(ticks);
    // Timestamps wrap (RFC 3550 section 5.1).
    timestamp.wrapping_add(u32::try_from(samples & u128::from(u32::MAX)).unwrap_or(0))
}
