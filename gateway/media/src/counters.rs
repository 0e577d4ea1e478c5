//! What a shard counts.

use crate::verdict::DropReason;

/// Totals of a shard since its start. `received` is always `forwarded` plus `handed` plus the sum of `dropped`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Datagrams given to [`crate::Core::receive`].
    pub received: u64,
    /// Bytes in them.
    pub received_bytes: u64,
    /// Datagrams forwarded.
    pub forwarded: u64,
    /// Bytes in them.
    pub forwarded_bytes: u64,
    /// Datagrams given to a helper in place of being forwarded.
    pub handed: u64,
    /// Payloads that came back from helpers.
    pub helped: u64,
    /// Packets that were sent with what helpers made.
    pub help_sent: u64,
    /// Payloads for which helpers had no room.
    pub help_full: u64,
    /// Payloads that could not be decoded, or not encoded.
    pub help_failed: u64,
    /// Times that a session needed help, and all places were taken.
    pub help_refused: u64,
    /// Datagrams dropped, by [`DropReason`] as index.
    pub dropped: [u64; DropReason::COUNT],
    /// Paced packets sent.
    pub paced: u64,
    /// Paced packets left out because the outlet had no buffer, or because the shard was stopped for too long.
    pub paced_lost: u64,
    /// Packets of comfort noise that were passed on as they came.
    pub noise_passed: u64,
    /// Packets of comfort noise that were made; they are among the paced.
    pub noise_made: u64,
    /// Packets of telephone-events sent; not among the paced.
    pub event_packets: u64,
    /// Keys that parties pressed.
    pub presses: u64,
    /// Commands for sessions that do not exist any more.
    pub stale_commands: u64,
    /// `Event::Played` replaced by a later one before the control plane could take it.
    pub events_lost: u64,
    /// Sessions opened.
    pub opened: u64,
    /// Sessions refused.
    pub refused: u64,
    /// Sessions closed.
    pub closed: u64,
    /// Times that a party was found silent for too long.
    pub silent: u64,
    /// Times that a connected party was found to send nothing.
    pub found_absent: u64,
    /// Times that a connected party was found to send nothing but silence.
    pub found_mute: u64,
    /// RTCP packets sent.
    pub reports_sent: u64,
    /// RTCP packets of parties that were read.
    pub reports_received: u64,
    /// What came from a party as RTCP and is none.
    pub reports_malformed: u64,
    /// Legs that do without RTCP because no port could be had for it.
    pub report_ports_refused: u64,
    /// Legs that are secured now.
    pub secured: u64,
    /// Times that nothing from a party was authentic.
    pub unauthentic: u64,
    /// Times that a party was found where it sends from.
    pub learned: u64,
    /// Times that it was not, within its time.
    pub unlearned: u64,
    /// Recordings begun.
    pub recordings: u64,
    /// Blocks of recordings left out because the pool was empty.
    pub blocks_lost: u64,
    /// Directions that are on the path now.
    pub offloaded: u64,
    /// Times that a direction was put on the path.
    pub path_moves: u64,
    /// Directions that the path was asked to carry and would not.
    pub path_refused: u64,
    /// Directions taken over from a gateway before this one.
    pub inherited: u64,
    /// Entries that a gateway before this one left and no session took over.
    pub disowned: u64,
    /// Copies that came from the path.
    pub tapped: u64,
    /// Packets that came too late for their place in a recording.
    pub late_for_recording: u64,
}

impl Counters {
    /// Packets of RTP that were given to the shell for sending.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.forwarded + self.help_sent + self.paced + self.event_packets
    }

    /// Datagrams dropped for one reason.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}
