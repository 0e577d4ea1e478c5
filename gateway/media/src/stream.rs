//! The one continuous RTP stream towards a party, whatever it hears.

use duogate_channel::command::Beginning;
use duogate_channel::time::Instant;

use crate::arrival::{Order, samples};
use crate::path::{Flow, FlowCounts, FlowNumbers};
use crate::rtp::Header;

/// Not relaying: offsets of nobody.
const NOBODY: u32 = 0;

/// Sequence numbers rise by one, timestamps go with the time that passes, across every change of what is heard:
/// while one sender is relayed, its numbers are shifted by fixed offsets, and so its own losses and reordering
/// stay visible to the listener; at each change the offsets are made anew from where the stream stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    /// The epoch of the relayed sender for which the offsets hold.
    epoch: u32,
    timestamp_offset: u32,
    /// Of the newest packet sent.
    pub(crate) timestamp: u32,
    sequence_offset: u16,
    /// Of the next packet.
    pub(crate) sequence: u16,
    /// Sender's numbers since the offsets were made, saturating: what lies before them is not taken any more.
    span: u16,
    /// Ticks that the newest packet with sound lasts.
    pub(crate) samples: u16,
    /// Ticks of the listener's clock in 125 µs.
    pub(crate) ticks: u8,
    /// The next packet with sound gets the marker.
    pub(crate) marker: bool,
    /// When the newest packet was sent; zero if none was.
    pub(crate) sent_at: Instant,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

impl Stream {
    pub(crate) const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self {
            ssrc,
            epoch: NOBODY,
            timestamp_offset: 0,
            timestamp,
            sequence_offset: 0,
            sequence,
            span: 0,
            samples: 0,
            ticks: 1,
            marker: true,
            sent_at: Instant::ZERO,
            packets: 0,
            octets: 0,
        }
    }

    /// One that another gateway began: its clock runs on from `now`.
    pub(crate) const fn resumed(now: Instant, beginning: Beginning) -> Self {
        let Beginning { ssrc, sequence, timestamp } = beginning;
        Self { sent_at: now, ..Self::new(ssrc, sequence, timestamp) }
    }

    /// Begins anew as far as a listener's keys count: with an SSRC that they have not seen, and a sequence number that
    /// leaves no doubt about its first wrap (RFC 3711 section 3.3.1). Nothing was sent yet: the SSRC may stay.
    pub(crate) fn begin_anew(&mut self, ssrc: u32) {
        if self.sent_at != Instant::ZERO {
            self.ssrc = ssrc;
            self.interrupt();
        }
        self.sequence &= 0x7fff;
    }

    /// Nobody is relayed any more: the next packet begins something new.
    pub(crate) fn interrupt(&mut self) {
        self.epoch = NOBODY;
        self.marker = true;
    }

    /// The timestamp of sound that begins at `now`: as far behind the newest as time has passed since, and not
    /// before that one's sound is over.
    pub(crate) fn timestamp_at(&self, now: Instant) -> u32 {
        if self.sent_at == Instant::ZERO {
            return self.timestamp;
        }
        let passed = samples(now.nanoseconds().saturating_sub(self.sent_at.nanoseconds()));
        let passed = passed.wrapping_mul(u32::from(self.ticks));
        self.timestamp.wrapping_add(passed.max(u32::from(self.samples)))
    }

    /// The header for a packet that is relayed; `None` if it is too old for this stream. `sound` is the samples
    /// of the packet, 0 for a telephone-event.
    #[inline]
    pub(crate) fn relay(
        &mut self,
        now: Instant,
        epoch: u32,
        order: Order,
        from: &Header,
        sound: u16,
    ) -> Option<Header> {
        let anchored = self.epoch != epoch;
        match order {
            // Before the first packet that this stream took from the sender its numbers belong to others.
            Order::Late(back) if anchored || back > self.span => return None,
            _ if anchored => self.anchor(now, epoch, from, sound),
            _ => {}
        }
        let sequence = from.sequence.wrapping_add(self.sequence_offset);
        let timestamp = from.timestamp.wrapping_add(self.timestamp_offset);
        if let Order::Next(step) = order
            && !anchored
        {
            self.span = self.span.saturating_add(step);
            // A telephone-event's packets all carry the time of its beginning (RFC 4733 section 2.3.1): the
            // stream's clock is only ever read from a timestamp that moved.
            if timestamp.wrapping_sub(self.timestamp).cast_signed() > 0 {
                self.stand(now, timestamp, sound);
            }
        }
        if !matches!(order, Order::Late(_)) {
            self.sequence = sequence.wrapping_add(1);
        }
        let marker = from.marker || (self.marker && sound != 0);
        self.marker &= sound == 0;
        Some(Header { marker, payload_type: 0, sequence, timestamp, ssrc: self.ssrc })
    }

    #[cold]
    fn anchor(&mut self, now: Instant, epoch: u32, from: &Header, sound: u16) {
        let timestamp = self.timestamp_at(now);
        self.epoch = epoch;
        self.sequence_offset = self.sequence.wrapping_sub(from.sequence);
        self.timestamp_offset = timestamp.wrapping_sub(from.timestamp);
        self.span = 0;
        self.marker = true;
        self.stand(now, timestamp, sound);
    }

    fn stand(&mut self, now: Instant, timestamp: u32, sound: u16) {
        self.timestamp = timestamp;
        self.sent_at = now;
        if sound != 0 {
            self.samples = sound;
        }
    }

    /// A packet of the relayed sender is not passed on, though in order: close its number, so that the listener
    /// does not take it for lost.
    pub(crate) fn skip(&mut self, epoch: u32, order: Order) {
        if self.epoch == epoch && matches!(order, Order::Next(_)) {
            self.sequence_offset = self.sequence_offset.wrapping_sub(1);
            self.span = 0;
        }
    }

    /// What is added to sequence numbers and timestamps of the sender of this epoch, and how far back its packets are
    /// taken; `None` unless the newest packet with sound was that sender's.
    pub(crate) const fn offsets(&self, epoch: u32) -> Option<(u16, u32, u16)> {
        if self.epoch == NOBODY || self.epoch != epoch || self.marker {
            return None;
        }
        Some((self.sequence_offset, self.timestamp_offset, self.span))
    }

    /// Ticks of a packet of so many octets. Those of Opus tell nothing of its length: it is taken for 20 ms, as nearly
    /// all are.
    fn ticks_of(&self, octets: u16) -> u16 {
        if self.ticks == 1 { octets } else { u16::from(self.ticks) * 160 }
    }

    /// Takes in what somebody else has sent to the listener by the same offsets.
    pub(crate) fn absorb(&mut self, fresh: &FlowCounts, numbers: &FlowNumbers) {
        self.packets += u64::from(fresh.forwarded);
        self.octets += fresh.forwarded_octets;
        if fresh.expected > 0 {
            self.follow(numbers);
        }
    }

    /// The newest number and the newest time are now those that somebody else has sent.
    fn follow(&mut self, numbers: &FlowNumbers) {
        let standing = &numbers.standing;
        self.sequence = standing.highest.wrapping_add(self.sequence_offset).wrapping_add(1);
        self.span = standing.span;
        let timestamp = standing.timestamp.wrapping_add(self.timestamp_offset);
        if timestamp.wrapping_sub(self.timestamp).cast_signed() > 0 {
            self.stand(numbers.newest, timestamp, self.ticks_of(numbers.samples));
        }
    }

    /// Goes on where a stream of the same SSRC stands that somebody else has sent; with its sender, if that one's
    /// epoch is known here.
    pub(crate) fn adopt(&mut self, now: Instant, epoch: Option<u32>, flow: &Flow, numbers: &FlowNumbers) {
        (self.sequence_offset, self.timestamp_offset) = (flow.sequence_offset, flow.timestamp_offset);
        self.timestamp = numbers.standing.timestamp.wrapping_add(self.timestamp_offset);
        self.sent_at = if numbers.newest == Instant::ZERO { now } else { numbers.newest };
        self.samples = self.ticks_of(numbers.samples);
        self.follow(numbers);
        if let Some(epoch) = epoch {
            self.epoch = epoch;
            self.marker = false;
        }
    }

    /// The header for a paced packet of `sound` samples with this timestamp. [`Stream::paced`] must follow if it
    /// is sent.
    pub(crate) const fn next(&self, timestamp: u32) -> Header {
        Header { marker: self.marker, payload_type: 0, sequence: self.sequence, timestamp, ssrc: self.ssrc }
    }

    /// A paced packet of 20 ms and so many octets that was due at `now` has been sent.
    pub(crate) fn paced(&mut self, now: Instant, timestamp: u32, octets: usize) {
        self.sequence = self.sequence.wrapping_add(1);
        self.marker = false;
        self.stand(now, timestamp, self.paced_ticks());
        self.count(octets);
    }

    /// A packet of a telephone-event that `began` then has been sent; `samples` is how long it has lasted. The next
    /// sound still gets its marker.
    pub(crate) fn event(&mut self, began: Instant, timestamp: u32, samples: u16, octets: usize) {
        self.sequence = self.sequence.wrapping_add(1);
        self.stand(began, timestamp, samples);
        self.count(octets);
    }

    /// Ticks of a paced packet.
    pub(crate) fn paced_ticks(&self) -> u16 {
        crate::player::PACKET_SAMPLES * u16::from(self.ticks)
    }

    #[inline]
    pub(crate) fn count(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }
}
