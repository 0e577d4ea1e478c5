//! What a shard counts about itself.

/// Whether a figure only grows or moves both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    /// Grows from zero since the gateway started.
    Counter,
    /// The state of things now.
    Gauge,
}

/// Declares [`Counter`] with what each figure is called and means.
macro_rules! counters {
    ($($variant:ident, $measure:ident, $name:literal, $help:literal;)+) => {
        /// One figure of a shard. Its number is its place in the page.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Counter {
            $(#[doc = $help] $variant,)+
        }

        impl Counter {
            /// All figures, in the order of their places.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// A short name in snake case, with the unit where there is one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }

            /// Counter or gauge.
            #[must_use]
            pub const fn measure(self) -> Measure {
                match self { $(Self::$variant => Measure::$measure,)+ }
            }
        }
    };
}

counters! {
    PacketsReceived, Counter, "packets_received", "RTP datagrams read from sockets.";
    OctetsReceived, Counter, "octets_received", "Octets in datagrams read from sockets.";
    PacketsForwarded, Counter, "packets_forwarded", "Packets passed on from one party to the other.";
    PacketsPlayed, Counter, "packets_played", "Packets of prompts and tones sent.";
    PacketsSent, Counter, "packets_sent", "All packets that the kernel took for sending.";
    OctetsSent, Counter, "octets_sent", "Octets in packets of parties, prompts and tones that the kernel took for sending (paced ones reckoned as 172).";
    DroppedMalformed, Counter, "dropped_malformed", "Datagrams that are not RTP.";
    DroppedPayloadType, Counter, "dropped_payload_type", "RTP packets of a payload type that was not negotiated, and comfort noise or events that the listener lacks.";
    DroppedStranger, Counter, "dropped_stranger", "Datagrams from a source that is not the party.";
    DroppedNoFarEnd, Counter, "dropped_no_far_end", "Datagrams that came before the party's address was known.";
    DroppedLate, Counter, "dropped_late", "Packets out of their time: to a port at rest or not open yet, repeated, or behind what was already passed on.";
    DroppedUnheard, Counter, "dropped_unheard", "Packets of a party that nobody listens to at that moment.";
    DroppedHold, Counter, "dropped_hold", "Packets for a listener that has us on hold, or from one that may not send.";
    DroppedUnauthentic, Counter, "dropped_unauthentic", "SRTP packets that do not pass the check of their keys, or plain ones in their place.";
    DroppedReplayed, Counter, "dropped_replayed", "SRTP packets that were there before, or are older than the replay window.";
    DroppedOversized, Counter, "dropped_oversized", "Datagrams longer than a receive buffer.";
    DroppedNoBuffer, Counter, "dropped_no_buffer", "Times that the receive buffers ran out.";
    DroppedSend, Counter, "dropped_send", "Packets that the kernel refused to send.";
    DroppedSendUnheard, Counter, "dropped_send_unheard", "Of those: packets that met the ICMP error of an earlier one.";
    DroppedKernel, Counter, "dropped_kernel", "Datagrams that the kernel dropped because a socket's queue was full.";
    SessionsOpened, Counter, "sessions_opened", "Sessions opened.";
    SessionsRefused, Counter, "sessions_refused", "Sessions refused for want of a slot, port or socket.";
    SessionsSilent, Counter, "sessions_silent", "Times that a party was found silent for too long.";
    LegsUnauthentic, Counter, "legs_unauthentic", "Times that nothing from a party passed the check of its keys.";
    LegsSecured, Gauge, "legs_secured", "Legs whose packets are encrypted (SRTP) now.";
    SourcesLearned, Counter, "sources_learned", "Times that a party behind a translator of addresses was found where it sends from.";
    SourcesUnlearned, Counter, "sources_unlearned", "Times that it was not, within its time: the session description holds.";
    SessionsActive, Gauge, "sessions_active", "Sessions open now.";
    SessionsCapacity, Gauge, "sessions_capacity", "Session slots.";
    PortsTotal, Gauge, "ports_total", "RTP ports of this shard.";
    PortsInUse, Gauge, "ports_in_use", "RTP ports of open sessions.";
    PortsResting, Gauge, "ports_resting", "RTP ports that rest after a session.";
    PacketsTranscoded, Counter, "packets_transcoded", "Packets sent that a helper had decoded and encoded.";
    HelpedSessions, Gauge, "helped_sessions", "Sessions whose codecs differ, or are decoded for a recording.";
    HelpedPayloads, Counter, "helped_payloads", "Payloads that came back from helpers.";
    HelpFull, Counter, "help_full", "Payloads dropped because helpers had no room for them.";
    HelpFailed, Counter, "help_failed", "Payloads that could not be decoded or encoded.";
    HelpRefused, Counter, "help_refused", "Times that a session needed help and all places were taken.";
    DroppedNoHelp, Counter, "dropped_no_help", "Packets whose listener speaks another codec, in a session without help.";
    RecordingsActive, Gauge, "recordings_active", "Recordings that run.";
    RecorderQueued, Gauge, "recorder_queued_blocks", "Blocks of sound that wait for the recorder.";
    RecorderBlocks, Counter, "recorder_blocks", "Blocks of sound handed to the recorder.";
    RecorderLost, Counter, "recorder_lost_blocks", "Blocks of sound lost because the recorder's queue was full.";
    RecordedLate, Counter, "recorded_late", "Packets that came too late for a recording, or out of order for its decoder.";
    RecorderErrors, Counter, "recorder_errors", "Recordings that did not end as saved: file system, overrun, never begun.";
    Wakeups, Counter, "wakeups", "Times that the shard slept and was woken.";
    Loops, Counter, "loop_iterations", "Turns of the shard's loop.";
    Completions, Counter, "completions", "Completions taken from the kernel's ring.";
    PlayedLost, Counter, "played_lost", "Packets of prompts and tones left out: no buffer, or the shard was stopped for too long.";
    PlayedLate, Counter, "played_late", "Packets of prompts and tones sent more than 2 ms after their schedule.";
    Commands, Counter, "commands", "Commands taken from the control plane.";
    CommandsStale, Counter, "commands_stale", "Commands for a session that has ended already.";
    Events, Counter, "events", "Events given to the control plane.";
    EventsDropped, Counter, "events_dropped", "Events that were not terminal and found the ring full, or nobody attached.";
    EventsPending, Gauge, "events_pending", "Terminal events that wait for room in the ring.";
    KeysPressed, Counter, "keys_pressed", "Keys that parties pressed.";
    NoisePassed, Counter, "noise_passed", "Packets of comfort noise (RFC 3389) that were passed on as they came.";
    NoiseMade, Counter, "noise_made", "Packets of comfort noise that were made for a listener who has none negotiated, or in place of a pause; among those played.";
    EventPacketsSent, Counter, "event_packets_sent", "Packets of telephone-events sent for the application.";
    ReportsSent, Counter, "reports_sent", "RTCP packets sent to parties.";
    ReportsReceived, Counter, "reports_received", "RTCP packets of parties that were read.";
    ReportsMalformed, Counter, "reports_malformed", "Packets of parties that came as RTCP and are none.";
    ReportsUnheard, Counter, "reports_unheard", "RTCP packets sent to parties that have nobody at the port for it.";
    ReportPortsRefused, Counter, "report_ports_refused", "Legs without RTCP because no port could be had for it.";
    FoundAbsent, Counter, "found_absent", "Times that nothing came from a connected party for seconds: one-way sound.";
    FoundMute, Counter, "found_mute", "Times that nothing but silence came from a connected party while the other talked.";
    PathForwarded, Counter, "path_forwarded", "Packets that the fast path forwarded, whichever shard's (shard 0 tells for all).";
    PathOctets, Counter, "path_octets", "Octets of RTP payload in packets that the fast path forwarded (shard 0 tells for all).";
    PathDuplicates, Counter, "path_duplicates", "Packets that were there before, dropped by the fast path (shard 0 tells for all).";
    PathTapped, Counter, "path_tapped", "Packets that the fast path copied for recordings (shard 0 tells for all).";
    PathTapFull, Counter, "path_tap_full", "Packets that it forwarded, but found no room to copy (shard 0 tells for all).";
    PathPassedOff, Counter, "path_passed_off", "Packets left to the sockets: no call is on the fast path at that port.";
    PathPassedStranger, Counter, "path_passed_stranger", "Packets left to the sockets: not from the party.";
    PathPassedContent, Counter, "path_passed_content", "Packets left to the sockets: not plain RTP.";
    PathPassedSsrc, Counter, "path_passed_ssrc", "Packets left to the sockets: another SSRC.";
    PathPassedPayloadType, Counter, "path_passed_payload_type", "Packets left to the sockets: not of the call's sound.";
    PathPassedSequence, Counter, "path_passed_sequence", "Packets left to the sockets: a sequence number far away.";
    PathPassedTimestamp, Counter, "path_passed_timestamp", "Packets left to the sockets: the sender has set its clock.";
    PathPassedNoNextHop, Counter, "path_passed_no_next_hop", "Packets left to the sockets: no neighbor to send to.";
    PathPassedContended, Counter, "path_passed_contended", "Packets left to the sockets: two processors had one call's at once.";
    PathPassedUnusual, Counter, "path_passed_unusual", "Packets left to the sockets: IP options, fragments, extension headers.";
    PathDirections, Gauge, "path_directions", "Directions of calls that are on the fast path now.";
    PathMoves, Counter, "path_moves", "Times that a direction of a call was put on the fast path.";
    PathRefused, Counter, "path_refused", "Times that the fast path would not have a direction of a call.";
    PathInherited, Counter, "path_inherited", "Directions of calls taken over from a gateway that died.";
    PathDisowned, Counter, "path_disowned", "Directions of calls that a gateway left behind and nobody took over.";
    PathLoaded, Gauge, "path_loaded", "1 if the fast path is in use (shard 0 tells for all).";
    PathMissing, Gauge, "path_missing", "1 if the configuration asks for the fast path and it is not in use (shard 0 tells for all).";
    Attached, Gauge, "control_attached", "1 while a control plane is attached.";
    Heartbeat, Gauge, "heartbeat_nanoseconds", "Monotonic time of the shard's last turn, in nanoseconds.";
}
