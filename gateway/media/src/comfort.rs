//! Comfort noise (RFC 3389): what a party hears while the other one sends nothing, because it is silent and says so.
//!
//! Where both agreed on it the telling packet is passed on, and the listener makes the noise itself. Otherwise its line
//! would be dead in every pause, so it is sent noise of the level that was told:
//!
//! ```text
//!             comfort noise that the listener did not negotiate: of its level
//!             nothing for PAUSE, in a direction that is translated: of the background's, for a second
//!   (talks) ───────────────────────────────────────────────────────────────────────> (quiet) ──┐ comfort noise:
//!      ^                                                                              │   ^ <───┘ of its level
//!      └── sound or a key of the speaker; something else to hear; a speaker on hold ──┘
//! ```
//! Where nothing is translated a pause without a word about it is the listener's to fill: its codec is the speaker's, and
//! it sees the pause as it is. A recording has silence where its party was: it says what came.

use ::core::time::Duration;

use duogate_channel::command::Source;
use duogate_channel::g711;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::core::Core;
use crate::guard;
use crate::help::Job;
use crate::noise;
use crate::opening::{leg_name, leg_of};
use crate::outlet::{Outlet, Ready, SoundStore};
use crate::pacing::Paced;
use crate::path::Path;
use crate::player::{LATEST, PACKET_SAMPLES, PACKET_TICKS};
use crate::relay::{Content, examine};
use crate::rtp::HEADER_BYTES;
use crate::table::Leg;
use crate::verdict::Origin;
use crate::wheel::{tick_at, tick_from, tick_time};

/// A translated speaker of whom nothing came for so long has paused (DTX): six packets, which few networks delay.
const PAUSE: Duration = Duration::from_millis(120);

/// Packets of noise in a pause without a word: a second. Opus speaks again after 400 ms at the latest (RFC 7587 section
/// 3.1.3, RFC 6716 section 2.1.9); who is silent for longer may as well be gone, and that is not to be covered up.
const LONGEST_UNTOLD: u8 = 50;

/// The loudest background that is believed where nobody told its level: what never pauses is music, or a tone.
const LOUDEST_FLOOR: u8 = 45;

/// The level of noise where nothing is known.
const USUAL_FLOOR: u8 = 65;

/// Noise that a party hears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comfort {
    /// In −dBov.
    level: u8,
    /// Counts packets, and wraps.
    step: u8,
    /// Packets until it ends, where nobody told of it.
    left: Option<u8>,
    /// RTP timestamp of the next packet; `None` before the first.
    pub(crate) timestamp: Option<u32>,
    /// Place of its packets in the 20 ms.
    pub(crate) phase: u8,
}

/// The level in a packet of comfort noise, in −dBov (RFC 3389 section 3).
pub(crate) fn told_level(payload: &[u8]) -> u8 {
    payload.first().map_or(USUAL_FLOOR, |level| level & 0x7f)
}

impl<P: Path> Core<P> {
    /// A party is silent, and the other one is to hear noise of this level.
    #[cold]
    #[inline(never)]
    pub(crate) fn fall_quiet(&mut self, now: Instant, name: u32, level: u8) {
        self.hush(now, name, level, None);
    }

    fn hush(&mut self, now: Instant, name: u32, level: u8, left: Option<u8>) {
        let (place, party) = leg_of(name);
        let slot = &mut self.table.slots[place as usize];
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        if !listener.relaying {
            return;
        }
        if let Some(comfort) = &mut listener.comfort {
            (comfort.level, comfort.left) = (level, left);
            return;
        }
        let (tick, phase) = self.phases.claim(tick_from(now));
        // One of twenty.
        let phase = u8::try_from(phase).unwrap_or(0);
        listener.comfort = Some(Comfort { level, step: 0, left, timestamp: None, phase });
        speaker.hush(true);
        self.wheel.arm(self.timers.player(place, party.other()), tick);
    }

    /// A party says something again, or is not to be heard any more: the other one hears no noise in its place.
    pub(crate) fn stir(&mut self, place: u32, party: Party) {
        let slot = &mut self.table.slots[place as usize];
        let (speaker, listener) = slot.speaker_and_listener(party.index());
        let Some(comfort) = listener.comfort.take() else { return };
        speaker.hush(false);
        self.phases.release(usize::from(comfort.phase));
        if comfort.timestamp.is_some() {
            listener.stream.interrupt();
        }
        if !listener.acts.covers() {
            self.wheel.cancel(self.timers.player(place, party.other()));
        }
    }

    /// A packet came from a party: if it is silent and the packet ends that, it does.
    pub(crate) fn stir_by(&mut self, name: u32, origin: Origin, datagram: &[u8]) {
        let (place, party) = leg_of(name);
        let speaker = self.table.slots[place as usize].leg(party);
        if speaker.quiet
            && let Ok((_, Content::Sound | Content::TelephoneEvent, _)) = examine(speaker, origin, datagram)
        {
            self.stir(place, party);
        }
    }

    /// What a helper has let pass or made was given to the listener, if `sent`.
    pub(crate) fn passed_on(&mut self, now: Instant, job: &Job, sent: bool, payload: &[u8]) {
        let (place, party) = (job.session.slot, job.party);
        let listener = self.table.slots[place as usize].leg(party.other());
        match job.content {
            Content::ComfortNoise if sent => self.counters.noise_passed += 1,
            Content::ComfortNoise => {
                let negotiated = listener.far_end.is_some_and(|far_end| far_end.comfort_noise.is_some());
                if !negotiated {
                    self.fall_quiet(now, leg_name(place, party), told_level(payload));
                }
            }
            Content::Sound if sent && listener.comfort.is_none() && !listener.acts.covers() => {
                self.wheel.arm(self.timers.player(place, party.other()), tick_from(now + PAUSE));
            }
            _ => {}
        }
    }

    /// Sends the noise that is due at `tick`; or it is due to begin.
    pub(crate) fn comfort(
        &mut self,
        now: Instant,
        tick: u64,
        (place, party): (u32, Party),
        sounds: &impl SoundStore,
        outlet: &mut impl Outlet,
    ) {
        let leg = self.table.slots[place as usize].leg(party);
        if leg.hears != Source::Peer {
            return;
        }
        let Some(mut comfort) = leg.comfort else { return self.pause(now, place, party.other()) };
        comfort.left = match comfort.left {
            Some(0) => return self.stir(place, party.other()),
            left => left.map(|left| left - 1),
        };
        if comfort.timestamp.is_none() {
            // From here on the numbers are ours.
            leg.stream.interrupt();
        }
        let on_time = tick_at(now).saturating_sub(tick) <= LATEST;
        let paced = leg.send_comfort(&mut comfort, tick_time(tick), on_time, sounds, outlet);
        leg.comfort = Some(comfort);
        self.counters.noise_made += u64::from(matches!(paced, Paced::Sent));
        self.counters.paced(paced);
        self.wheel.arm(self.timers.player(place, party), tick + PACKET_TICKS);
    }

    /// Nothing has come from a party for a while: if what it says is translated, it has paused.
    fn pause(&mut self, now: Instant, place: u32, party: Party) {
        let slot = &mut self.table.slots[place as usize];
        let codecs = slot.legs.each_ref().map(|leg| leg.far_end.map(|far_end| far_end.codec));
        let [Some(one), Some(two)] = codecs else { return };
        let help = self.helps.get(slot.help).filter(|_| !one.joins(two));
        if let Some(help) = help {
            let level = help.floors[party.index()].unwrap_or(USUAL_FLOOR).max(LOUDEST_FLOOR);
            self.hush(now, leg_name(place, party), level, Some(LONGEST_UNTOLD));
        }
    }
}

impl Leg {
    /// The other party hears noise until its next packet, or no more.
    pub(crate) fn hush(&mut self, quiet: bool) {
        self.quiet = quiet;
        self.settle_beside();
    }

    /// Sends the next 20 ms of noise, that were due at `due`.
    fn send_comfort(
        &mut self,
        comfort: &mut Comfort,
        due: Instant,
        on_time: bool,
        sounds: &impl SoundStore,
        outlet: &mut impl Outlet,
    ) -> Paced {
        let timestamp = comfort.timestamp.unwrap_or_else(|| self.stream.timestamp_at(due));
        comfort.timestamp = Some(timestamp.wrapping_add(u32::from(self.stream.paced_ticks())));
        comfort.step = comfort.step.wrapping_add(1);
        let (Some(far_end), Some(socket)) = (self.reachable().copied(), self.socket) else {
            self.stream.marker = true;
            return Paced::Held;
        };
        let ready = match far_end.codec.is_g711() {
            true => None,
            false => match sounds.ready(Ready::Noise(comfort.level), far_end.codec, comfort.step) {
                Some(ready) => Some(ready),
                None => return Paced::Lost,
            },
        };
        let mut header = self.stream.next(timestamp);
        header.payload_type = far_end.payload_type;
        let octets = ready.map_or(usize::from(PACKET_SAMPLES), <[u8]>::len);
        let (level, sent_before) = (comfort.level, self.stream.packets);
        let sent = on_time
            && guard::send(&mut self.guard, outlet, socket, HEADER_BYTES + octets, |packet| {
                if let Some((place, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
                    header.emit(place);
                    match ready {
                        Some(ready) => payload.copy_from_slice(ready),
                        None => render(level, sent_before, far_end.codec, payload),
                    }
                }
            });
        if !sent {
            self.stream.marker = true;
            return Paced::Lost;
        }
        self.stream.paced(due, timestamp, octets);
        Paced::Sent
    }
}

/// Noise in G.711; another one for every number.
fn render(level: u8, number: u64, codec: Codec, payload: &mut [u8]) {
    let mut samples = [0; PACKET_SAMPLES as usize];
    // Far from each other for numbers that are near.
    let mut seed = (number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xffff_ffff) as u32;
    noise::fill(level, &mut seed, &mut samples);
    for (byte, sample) in payload.iter_mut().zip(samples) {
        *byte = g711::encode(codec, sample);
    }
}
