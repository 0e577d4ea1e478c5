//! The way of a received packet: the hottest path there is.
//!
//! Its functions are each called from two places at most, one of them cold: left alone, a compiler makes calls of them,
//! which hand packets over through memory. That was a fifth of the path's instructions.
#![allow(clippy::inline_always, reason = "counted: see above, and the row `instructions` of the rig")]

use duogate_channel::command::FarEnd;
use duogate_channel::g711;
use duogate_channel::sound::{Codec, OFFERED_TELEPHONE_EVENT};
use duogate_channel::time::Instant;

use crate::action::Socket;
use crate::arrival::Order;
use crate::block::Tap;
use crate::comfort::told_level;
use crate::core::Core;
use crate::length;
use crate::path::Path;
use crate::presses::EventPacket;
use crate::recordings::NONE;
use crate::reel::Said;
use crate::rtp::{HEADER_BYTES, Malformed, Packet};
use crate::sockets;
use crate::table::Leg;
use crate::verdict::{DropReason, Origin, Verdict};

/// Comfort noise (RFC 3389 section 5.1), static in RFC 3551.
const COMFORT_NOISE: u8 = 13;

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Sound,
    TelephoneEvent,
    ComfortNoise,
    /// A packet without payload.
    Nothing,
}

/// A packet that is the party's, and has not been there before.
pub(crate) struct Accepted {
    pub(crate) packet: Packet,
    pub(crate) content: Content,
    pub(crate) order: Order,
    pub(crate) codec: Codec,
}

impl Accepted {
    /// What the packet says of a press, if it is a telephone-event.
    #[inline(always)]
    pub(crate) fn event(&self, datagram: &[u8], ticks: u32) -> Option<EventPacket> {
        if self.content != Content::TelephoneEvent {
            return None;
        }
        EventPacket::parse(self.packet.header.timestamp, ticks, datagram.get(self.packet.payload.clone())?)
    }

    /// What the packet says to a recording.
    #[inline(always)]
    pub(crate) fn said<'a>(&self, party: usize, now: Instant, epoch: u32, datagram: &'a [u8]) -> Said<'a> {
        Said {
            party,
            now,
            epoch,
            order: self.order,
            timestamp: self.packet.header.timestamp,
            codec: self.codec,
            payload: &datagram[self.packet.payload.clone()],
        }
    }
}

impl<P: Path> Core<P> {
    #[inline(always)]
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        socket: Socket,
        origin: Origin,
        (buffer, length): (&mut [u8], usize),
        tap: &mut impl Tap,
    ) -> Verdict {
        let name = match self.sockets.user(socket) {
            Ok(name) => name,
            Err(sockets::State::Resting) => return Verdict::Drop(DropReason::Resting),
            Err(sockets::State::Reporting) => {
                return self.judge_report(now, socket, origin, &mut buffer[..length]);
            }
            Err(_) => return Verdict::Drop(DropReason::NotOpen),
        };
        if self.table.slots[name as usize / 2].legs[name as usize % 2].beside {
            return self.judge_beside(now, name, origin, (buffer, length), tap);
        }
        match buffer.get_mut(..length) {
            Some(datagram) => self.judge_by_socket(now, name, origin, datagram, tap),
            None => Verdict::Drop(DropReason::Malformed),
        }
    }

    /// Judges a packet of the leg of this name, nothing of which is forwarded beside the sockets.
    #[inline(always)]
    pub(crate) fn judge_by_socket(
        &mut self,
        now: Instant,
        name: u32,
        origin: Origin,
        datagram: &mut [u8],
        tap: &mut impl Tap,
    ) -> Verdict {
        let (slot, party) = (&mut self.table.slots[name as usize / 2], name as usize % 2);
        let recordings = slot.recordings;
        let (speaker, listener) = slot.speaker_and_listener(party);
        let accepted = match accept(now, speaker, origin, datagram, 1) {
            Ok(accepted) => accepted,
            Err(reason) => return Verdict::Drop(self.turned_away(now, name, reason, datagram)),
        };
        let epoch = speaker.arrival.epoch;
        if recordings != NONE && accepted.content == Content::Sound {
            let said = accepted.said(party, now, epoch, datagram);
            self.counters.late_for_recording += self.recordings.tap(recordings, &said, tap);
        }
        let event = accepted.event(datagram, 1);
        let content = accepted.content;
        let relayed = relay::<false>(now, epoch, listener, &accepted, datagram);
        // One rare branch for all that is not sound.
        if content != Content::Sound {
            if let Some(event) = event {
                self.heard_event(now, name, epoch, event);
            }
            self.counters.noise_passed += u64::from(content == Content::ComfortNoise && relayed.is_ok());
        }
        match relayed {
            Ok((socket, length)) => Verdict::Forward { socket, length },
            Err(reason) => {
                if reason == DropReason::ComfortNoise {
                    self.fall_quiet(now, name, told_level(&datagram[accepted.packet.payload]));
                }
                Verdict::Drop(reason)
            }
        }
    }
}

/// Checks where a packet comes from, and what it is.
#[inline(always)]
pub(crate) fn examine(
    speaker: &Leg,
    origin: Origin,
    datagram: &[u8],
) -> Result<(Packet, Content, Codec), DropReason> {
    let far_end = speaker.far_end.as_ref().ok_or(DropReason::NoFarEnd)?;
    if let Origin::Address(address) = origin
        && address != far_end.address
    {
        return Err(DropReason::Stranger);
    }
    if !far_end.receive {
        return Err(DropReason::Held);
    }
    let packet = Packet::new_checked(datagram).map_err(|malformed| match malformed {
        Malformed::Rtcp => DropReason::Rtcp,
        Malformed::Short | Malformed::Version | Malformed::Padding => DropReason::Malformed,
    })?;
    let content = content(far_end, &packet)?;
    Ok((packet, content, far_end.codec))
}

/// Checks where a packet comes from, what it is, and where it stands; counts it. `ticks` of its clock are 125 µs.
#[inline(always)]
pub(crate) fn accept(
    now: Instant,
    speaker: &mut Leg,
    origin: Origin,
    datagram: &[u8],
    ticks: u32,
) -> Result<Accepted, DropReason> {
    let (packet, content, codec) = examine(speaker, origin, datagram)?;
    let header = packet.header;
    let mut order = speaker.arrival.take(header.ssrc, header.sequence);
    if order == Order::Probation {
        return Err(DropReason::Probation);
    }
    let figures = &mut speaker.figures;
    let waited = now.nanoseconds().saturating_sub(figures.last.nanoseconds());
    figures.count(now, order, packet.payload.len());
    if order == Order::Duplicate {
        return Err(DropReason::Duplicate);
    }
    // A new sender may begin with a telephone-event: its clock begins there too.
    if content == Content::Sound || order == Order::First {
        order = speaker.arrival.follow(header.timestamp, order, waited, ticks);
    }
    if content == Content::Sound {
        figures.measure(now, header.timestamp, order == Order::First, ticks);
    }
    Ok(Accepted { packet, content, order, codec })
}

/// What the payload type means with this party.
#[inline(always)]
pub(crate) fn content(far_end: &FarEnd, packet: &Packet) -> Result<Content, DropReason> {
    let payload_type = packet.header.payload_type;
    let content = if payload_type == far_end.payload_type {
        Content::Sound
    } else if far_end.telephone_event == Some(payload_type)
        || far_end.telephone_event.is_some() && payload_type == OFFERED_TELEPHONE_EVENT
    {
        Content::TelephoneEvent
    } else if payload_type == COMFORT_NOISE || far_end.comfort_noise == Some(payload_type) {
        return Ok(Content::ComfortNoise);
    } else {
        return Err(DropReason::PayloadType);
    };
    Ok(if packet.payload.is_empty() { Content::Nothing } else { content })
}

/// Rewrites a packet for the listener. What it cannot take leaves no hole in its stream. `APART`: an octet of sound need
/// not be a tick of the clock.
#[inline(always)]
pub(crate) fn relay<const APART: bool>(
    now: Instant,
    epoch: u32,
    listener: &mut Leg,
    accepted: &Accepted,
    datagram: &mut [u8],
) -> Result<(Socket, usize), DropReason> {
    let (true, Some(far_end), Some(socket)) = (listener.relaying, &listener.far_end, listener.socket) else {
        return Err(DropReason::NobodyListens);
    };
    let payload_type = match (accepted.content, far_end.telephone_event) {
        (Content::Sound, _) => Ok(far_end.payload_type),
        (Content::TelephoneEvent, Some(payload_type)) => Ok(payload_type),
        (Content::TelephoneEvent, None) => Err(DropReason::NoTelephoneEvent),
        (Content::ComfortNoise, _) => far_end.comfort_noise.ok_or(DropReason::ComfortNoise),
        (Content::Nothing, _) => Err(DropReason::Empty),
    };
    let payload_type = payload_type.inspect_err(|_| listener.stream.skip(epoch, accepted.order))?;
    let packet = &accepted.packet;
    let sound = if accepted.content == Content::Sound { packet.payload.len() } else { 0 };
    let sound = match sound {
        1.. if APART => length::ticks(accepted.codec, &datagram[packet.payload.clone()]),
        octets => u16::try_from(octets).unwrap_or(u16::MAX),
    };
    let mut header =
        listener.stream.relay(now, epoch, accepted.order, &packet.header, sound).ok_or(DropReason::Late)?;
    header.payload_type = payload_type;
    let length = packet.rewrite(datagram, &header);
    if sound != 0 && accepted.codec != far_end.codec {
        g711::translate(&mut datagram[HEADER_BYTES..length], accepted.codec, far_end.codec);
    }
    listener.stream.count(length - HEADER_BYTES);
    Ok((socket, length))
}
