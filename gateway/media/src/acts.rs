//! Actions: a prompt or keys in the place of what a party hears otherwise.
//!
//! ```text
//!   keys     ┌───┐                          heard first
//!   prompt   │   │    ┌─────────┐           where there are no keys
//!   source ──┘   └────┘         └───────    the other party, a sound, silence: what `Hear` and `Join` set
//! ```
//! What is covered goes on below: the other party's packets are dropped, a sound waits where it stood. The stream
//! towards the party is one through all of that; each change begins with a marker.

use alloc::boxed::Box;

use duogate_channel::command::Repeat;
use duogate_channel::digits::{Key, Keys};
use duogate_channel::event::{ActionOutcome, Event};
use duogate_channel::identity::{Action, Party, Session, Sound};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::core::Core;
use crate::dialer::{Dialer, Step};
use crate::opening::leg_of;
use crate::outlet::{Outlet, SoundStore};
use crate::pacing::Paced;
use crate::path::Path;
use crate::player::{LATEST, PACKET_TICKS, Player};
use crate::presses::{EventPacket, LOST_AFTER, Presses};
use crate::relay::{Content, examine};
use crate::rtp::Packet;
use crate::table::{Leg, pending};
use crate::tones::{Told, Tones};
use crate::verdict::Origin;
use crate::wheel::{tick_at, tick_from, tick_time};

/// Presses of one party that wait for room in the event ring. A finger makes ten a second at most; if more wait, the
/// newest are lost and counted.
const WAITING: usize = 8;

/// Which of a leg's two actions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Play,
    Keys,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Play, Self::Keys];

    const fn index(self) -> usize {
        match self {
            Self::Play => 0,
            Self::Keys => 1,
        }
    }

    /// The bit of its event, of this party.
    const fn pending(self, party: Party) -> u32 {
        match self {
            Self::Play => pending::PLAY_ENDED << party.index(),
            Self::Keys => pending::KEYS_ENDED << party.index(),
        }
    }
}

/// What one leg does beside relaying.
#[derive(Debug)]
pub(crate) struct Acts {
    play: Option<(Action, Player)>,
    dialer: Option<Dialer>,
    /// Ended, and not told yet, by [`Kind`].
    ended: [Option<(Action, ActionOutcome)>; 2],
    presses: Presses,
    pressed: [(Key, u16); WAITING],
    waiting: u8,
}

impl Acts {
    pub(crate) const fn new() -> Self {
        let nothing = match Key::from_code(0) {
            Some(key) => (key, 0),
            None => unreachable!(), // 0 is a key
        };
        Self {
            play: None,
            dialer: None,
            ended: [None; 2],
            presses: Presses::new(),
            pressed: [nothing; WAITING],
            waiting: 0,
        }
    }

    /// Does something cover what the party hears otherwise?
    pub(crate) const fn covers(&self) -> bool {
        self.play.is_some() || self.dialer.is_some()
    }

    /// The sound of the prompt, while there is one.
    pub(crate) fn sound(&self) -> Option<Sound> {
        self.play.as_ref().map(|(_, player)| player.sound)
    }

    /// Place in the 20 ms of what is heard.
    fn phase(&self) -> Option<usize> {
        let play = self.play.as_ref().map(|(_, player)| player.phase);
        self.dialer.as_ref().map(|dialer| dialer.phase).or(play)
    }

    /// Notes a press. False if there is no room.
    fn press(&mut self, key: Key, milliseconds: u16) -> bool {
        let Some(place) = self.pressed.get_mut(usize::from(self.waiting)) else { return false };
        *place = (key, milliseconds);
        self.waiting += 1;
        true
    }

    /// The oldest event of a bit; none if it is not one of these.
    pub(crate) fn event(&self, bit: u32, session: Session, party: Party) -> Option<Event> {
        if bit == pending::PRESSED << party.index() {
            let (key, milliseconds) = self.pressed[0];
            return (self.waiting > 0).then_some(Event::Pressed { session, party, key, milliseconds });
        }
        let kind = Kind::BOTH.into_iter().find(|kind| kind.pending(party) == bit)?;
        let (action, outcome) = self.ended[kind.index()]?;
        Some(Event::ActionEnded { session, party, action, outcome })
    }

    /// The event of a bit has been taken. Is there another?
    pub(crate) fn taken(&mut self, bit: u32, party: Party) -> bool {
        if bit == pending::PRESSED << party.index() {
            self.pressed.rotate_left(1);
            self.waiting = self.waiting.saturating_sub(1);
            return self.waiting > 0;
        }
        if let Some(kind) = Kind::BOTH.into_iter().find(|kind| kind.pending(party) == bit) {
            self.ended[kind.index()] = None;
        }
        false
    }
}

impl<P: Path> Core<P> {
    /// Begins a prompt; one that runs is replaced.
    pub(crate) fn begin_play(
        &mut self,
        now: Instant,
        (place, party): (u32, Party),
        action: Action,
        (sound, repeat): (Sound, Repeat),
    ) {
        self.end_act(now, place, party, Kind::Play, Some(ActionOutcome::Replaced));
        let (tick, phase) = self.phases.claim(tick_from(now));
        let leg = self.table.slots[place as usize].leg(party);
        leg.acts.play = Some((action, Player::new(sound, repeat, phase)));
        if leg.acts.dialer.is_none() {
            leg.cover();
            self.wheel.arm(self.timers.player(place, party), tick);
        }
    }

    /// Ends a prompt, if it is this one.
    pub(crate) fn stop_play(&mut self, now: Instant, place: u32, party: Party, action: Action) {
        let leg = self.table.slots[place as usize].leg(party);
        if leg.acts.play.as_ref().is_some_and(|(playing, _)| *playing == action) {
            self.end_act(now, place, party, Kind::Play, Some(ActionOutcome::Stopped));
        }
    }

    /// Begins to send keys; those that are being sent are replaced.
    pub(crate) fn begin_keys(
        &mut self,
        now: Instant,
        (place, party): (u32, Party),
        action: Action,
        keys: Keys,
    ) {
        self.end_act(now, place, party, Kind::Keys, Some(ActionOutcome::Replaced));
        let (tick, phase) = self.phases.claim(tick_from(now));
        let leg = self.table.slots[place as usize].leg(party);
        leg.acts.dialer = Some(Dialer::new(action, keys, phase));
        leg.cover();
        self.wheel.arm(self.timers.player(place, party), tick);
    }

    /// The session is over: what runs ends untold.
    pub(crate) fn end_acts(&mut self, now: Instant, place: u32, party: Party) {
        for kind in Kind::BOTH {
            self.end_act(now, place, party, kind, None);
        }
        self.wheel.cancel(self.timers.player(place, party));
        self.wheel.cancel(self.timers.press(place, party));
        self.table.slots[place as usize].leg(party).tones = None;
    }

    /// Ends an action, if it runs; `outcome` is told. What it covered is heard again.
    fn end_act(
        &mut self,
        now: Instant,
        place: u32,
        party: Party,
        kind: Kind,
        outcome: Option<ActionOutcome>,
    ) {
        let slot = &mut self.table.slots[place as usize];
        let acts = &mut slot.leg(party).acts;
        let ended = match kind {
            Kind::Play => acts.play.take().map(|(action, player)| (action, player.phase)),
            Kind::Keys => acts.dialer.take().map(|dialer| (dialer.action, dialer.phase)),
        };
        let Some((action, phase)) = ended else { return };
        self.phases.release(phase);
        if let Some(outcome) = outcome {
            let lost = acts.ended[kind.index()].replace((action, outcome)).is_some();
            self.counters.events_lost += u64::from(lost);
            self.events.tell(place, slot, kind.pending(party));
        }
        self.uncover(now, place, party);
        self.find_way(place);
    }

    /// Lets a party hear what is on top now, from its next packet on.
    fn uncover(&mut self, now: Instant, place: u32, party: Party) {
        let leg = self.table.slots[place as usize].leg(party);
        leg.stream.interrupt();
        let below = leg.player.as_mut();
        let player = leg.acts.play.as_mut().map(|(_, player)| player).or(below);
        // Its time line went on without it.
        player.into_iter().for_each(|player| player.timestamp = None);
        leg.comfort.iter_mut().for_each(|comfort| comfort.timestamp = None);
        let below = leg.player.as_ref().map(|player| player.phase);
        let phase = leg.acts.phase().or(below).or(leg.comfort.map(|comfort| usize::from(comfort.phase)));
        leg.refresh();
        let timer = self.timers.player(place, party);
        match phase {
            Some(phase) => self.wheel.arm(timer, self.phases.next(tick_from(now), phase)),
            None => self.wheel.cancel(timer),
        }
    }

    /// Does what is due at `tick` for a party whose source is covered.
    pub(crate) fn go_on(
        &mut self,
        now: Instant,
        tick: u64,
        (place, party): (u32, Party),
        sounds: &impl SoundStore,
        outlet: &mut impl Outlet,
    ) {
        let leg = self.table.slots[place as usize].leg(party);
        let on_time = tick_at(now).saturating_sub(tick) <= LATEST;
        let due = tick_time(tick);
        let ended = if let Some(mut dialer) = leg.acts.dialer.take() {
            let over = dialer.is_over();
            if !over {
                let step = leg.dial(&mut dialer, due, on_time, sounds, outlet);
                self.counters.dialed(step);
            }
            leg.acts.dialer = Some(dialer);
            let outcome = if dialer.held { ActionOutcome::Held } else { ActionOutcome::Finished };
            over.then_some((Kind::Keys, outcome))
        } else if let Some((action, mut player)) = leg.acts.play.take() {
            let ended = match sounds.sound(player.sound) {
                None => Some(ActionOutcome::Missing),
                Some(sound) if player.is_over(sound.bytes.len()) => Some(ActionOutcome::Finished),
                Some(sound) => {
                    let paced = leg.pace(&mut player, due, sound, on_time, outlet);
                    self.counters.paced(paced);
                    None
                }
            };
            leg.acts.play = Some((action, player));
            ended.map(|outcome| (Kind::Play, outcome))
        } else {
            return;
        };
        match ended {
            None => self.wheel.arm(self.timers.player(place, party), tick + PACKET_TICKS),
            Some((kind, outcome)) => self.end_act(now, place, party, kind, Some(outcome)),
        }
    }

    /// A party's telephone-event came.
    #[cold]
    pub(crate) fn heard_event(&mut self, now: Instant, name: u32, epoch: u32, packet: EventPacket) {
        let (place, party) = leg_of(name);
        let presses = &mut self.table.slots[place as usize].leg(party).acts.presses;
        let told = presses.take(epoch, packet);
        let timer = self.timers.press(place, party);
        if presses.is_open() {
            self.wheel.arm(timer, tick_from(now + LOST_AFTER));
        } else {
            self.wheel.cancel(timer);
        }
        self.tell_presses(place, party, told);
    }

    /// A packet came whose sound is to be searched for keys. What is not the party's, or no sound, has none.
    pub(crate) fn search(&mut self, now: Instant, name: u32, origin: Origin, datagram: &[u8]) {
        let (place, party) = leg_of(name);
        let leg = self.table.slots[place as usize].leg(party);
        let Ok((packet, Content::Sound, codec)) = examine(leg, origin, datagram) else { return };
        let (Some(tones), true) = (&mut leg.tones, codec.is_g711()) else { return };
        let Packet { header, payload } = packet;
        let told = tones.hear((header.ssrc, header.timestamp), codec, &datagram[payload]);
        self.heard_tones(now, (place, party), told);
    }

    /// The same with what a helper has decoded: A-law, and where it stands in its sender's clock at 8 kHz.
    pub(crate) fn hear_tones(
        &mut self,
        now: Instant,
        place: u32,
        party: Party,
        from: (u32, u32),
        sound: &[u8],
    ) {
        let leg = self.table.slots[place as usize].leg(party);
        let wanted = leg.far_end.is_some_and(|far_end| !far_end.codec.is_g711());
        let (Some(tones), true) = (&mut leg.tones, wanted) else { return };
        let told = tones.hear(from, Codec::Pcma, sound);
        self.heard_tones(now, (place, party), told);
    }

    /// Tells the keys that were found, and waits for the end of one that is not over.
    fn heard_tones(&mut self, now: Instant, (place, party): (u32, Party), told: Told) {
        let leg = self.table.slots[place as usize].leg(party);
        let Some(tones) = &leg.tones else { return };
        let timer = self.timers.press(place, party);
        if tones.is_open() {
            self.wheel.arm(timer, tick_from(now + LOST_AFTER));
        } else if !leg.acts.presses.is_open() {
            self.wheel.cancel(timer);
        }
        self.tell_presses(place, party, told);
    }

    /// What a party says is searched for keys from now on, or no longer.
    pub(crate) fn set_search(&mut self, place: u32, party: Party, wanted: bool) {
        let leg = self.table.slots[place as usize].leg(party);
        if wanted == leg.tones.is_some() {
            return;
        }
        // Once in a call at the most, when its far end is told.
        let before = leg.tones.take();
        leg.tones = wanted.then(|| Box::new(Tones::new()));
        let told = before.and_then(|mut tones| tones.lost());
        self.tell_presses(place, party, [told]);
    }

    /// The end of a press is lost.
    pub(crate) fn press_lost(&mut self, place: u32, party: Party) {
        let leg = self.table.slots[place as usize].leg(party);
        let told = [leg.acts.presses.lost(), leg.tones.as_mut().and_then(|tones| tones.lost())];
        self.tell_presses(place, party, told);
    }

    fn tell_presses(&mut self, place: u32, party: Party, told: impl IntoIterator<Item = Option<(Key, u16)>>) {
        let slot = &mut self.table.slots[place as usize];
        for (key, milliseconds) in told.into_iter().flatten() {
            if slot.leg(party).acts.press(key, milliseconds) {
                self.counters.presses += 1;
                self.events.tell(place, slot, pending::PRESSED << party.index());
            } else {
                self.counters.events_lost += 1;
            }
        }
    }
}

impl Leg {
    /// Something covers what the party hears.
    fn cover(&mut self) {
        self.stream.interrupt();
        self.refresh();
    }
}

impl crate::counters::Counters {
    fn dialed(&mut self, step: Step) {
        match step {
            Step::Sound => self.paced += 1,
            Step::Event => self.event_packets += 1,
            Step::Lost => self.paced_lost += 1,
            Step::Nothing => {}
        }
    }

    /// Counts a packet that was due.
    pub(crate) fn paced(&mut self, paced: Paced) {
        match paced {
            Paced::Sent => self.paced += 1,
            Paced::Lost => self.paced_lost += 1,
            Paced::Held => {}
        }
    }
}
