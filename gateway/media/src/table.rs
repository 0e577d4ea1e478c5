//! The sessions of a shard: slots, their generations, and what a session knows of its two parties.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::offset_of;

use duogate_channel::command::{FarEnd, PortChoice, Source};
use duogate_channel::event::{PlayOutcome, Refusal};
use duogate_channel::identity::{Party, Session, Sound, Tag};
use duogate_channel::time::Instant;

use crate::action::Socket;
use crate::acts::Acts;
use crate::arrival::{Arrival, Figures};
use crate::comfort::Comfort;
use crate::guard::Guard;
use crate::help::NOBODY;
use crate::offload::Way;
use crate::player::Player;
use crate::recordings::NONE;
use crate::stream::Stream;
use crate::tones::Tones;

/// How far a slot's use has come.
///
/// ```text
///        Open           both ports bound        Join
///  Free ──────> Opening ────────────────> Open ──────> Joined
///   ^             │ no port                 │ Close      │ Close
///   │             v                         v            v
///   └────────── Ended <─────────────────────┴────────────┘
///      Refused or Closed taken
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Free,
    Opening,
    Open,
    Joined,
    Ended,
}

/// Events of a session that the control plane has not been given, as bits in the order in which they are given.
pub(crate) mod pending {
    pub(crate) const REFUSED: u32 = 1;
    pub(crate) const OPENED: u32 = 1 << 1;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const PLAYED: u32 = 1 << 2;
    pub(crate) const JOINED: u32 = 1 << 4;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const SILENT: u32 = 1 << 5;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const PRESSED: u32 = 1 << 7;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const PLAY_ENDED: u32 = 1 << 9;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const KEYS_ENDED: u32 = 1 << 11;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const FAULT: u32 = 1 << 13;
    /// Of party 1; of party 2 one bit higher.
    pub(crate) const UNAUTHENTIC: u32 = 1 << 15;
    /// The last that a session has to tell.
    pub(crate) const CLOSED: u32 = 1 << 17;
}

/// One party's side. What each of its packets needs comes first, and with its lines of the processor's cache in mind: with
/// thousands of pairs nearly every one of them is a miss.
///
/// ```text
///   line 0   stream, socket             of the one who listens
///   line 1   far end, how it is served  of both
///   line 2   arrival, figures           of the one who speaks
///   line 3   figures
/// ```
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) stream: Stream,
    /// Our port, while there is one.
    pub(crate) socket: Option<Socket>,
    pub(crate) far_end: Option<FarEnd>,
    /// It hears the other party, and may be sent to.
    pub(crate) relaying: bool,
    /// Its packets are copied on the path.
    pub(crate) tapped: bool,
    /// Its next packets are looked at: is there anything but silence in them?
    pub(crate) listening: bool,
    /// It has fallen silent, and the other party hears noise meanwhile: its next packet ends that.
    pub(crate) quiet: bool,
    /// Its packets are not judged by the straight way, for one of those reasons.
    pub(crate) beside: bool,
    pub(crate) bound: bool,
    pub(crate) silent_told: bool,
    /// Since when the party is expected to send.
    pub(crate) watched_since: Instant,
    pub(crate) arrival: Arrival,
    pub(crate) figures: Figures,
    /// Which port the control plane wants for it.
    pub(crate) choice: PortChoice,
    pub(crate) hears: Source,
    pub(crate) player: Option<Player>,
    /// The noise that it hears while the other party, whom it hears, is silent.
    pub(crate) comfort: Option<Comfort>,
    /// The way that what it says takes to the other party.
    pub(crate) way: Way,
    /// The last sound that ended, and how, while its event is pending.
    pub(crate) played: Option<(Sound, PlayOutcome)>,
    pub(crate) acts: Acts,
    /// While what it says is searched for keys.
    pub(crate) tones: Option<Box<Tones>>,
    /// What most legs do not have: keys, and a source that is still to be learned.
    pub(crate) guard: Option<Box<Guard>>,
}

/// Octets of one line of the processor's cache.
pub(crate) const LINE: usize = 64;

// A leg is laid out as its picture says.
const _: () = {
    assert!(offset_of!(Leg, socket) + size_of::<Option<Socket>>() <= LINE);
    assert!(offset_of!(Leg, far_end) >= LINE && offset_of!(Leg, beside) < 2 * LINE);
    assert!(offset_of!(Leg, arrival) >= 2 * LINE && offset_of!(Leg, choice) <= 4 * LINE);
};

impl Leg {
    fn new(random: &mut Random) -> Self {
        let (numbers, ssrc) = (random.next(), random.next());
        // RFC 3550 section 5.1: first sequence number and timestamp, and the SSRC, are random.
        let stream = Stream::new(
            (ssrc & 0xffff_ffff) as u32,
            (numbers & 0xffff) as u16,
            (numbers >> 32 & 0xffff_ffff) as u32,
        );
        Self {
            socket: None,
            bound: false,
            choice: PortChoice::ANY,
            relaying: false,
            silent_told: false,
            far_end: None,
            arrival: Arrival::default(),
            stream,
            figures: Figures::default(),
            hears: Source::Silence,
            player: None,
            comfort: None,
            way: Way::Sockets,
            tapped: false,
            listening: true,
            quiet: false,
            beside: true,
            watched_since: Instant::ZERO,
            played: None,
            acts: Acts::new(),
            tones: None,
            guard: None,
        }
    }

    /// Its far end, if the party may be sent to: it does not hold, and is not being looked for.
    pub(crate) fn reachable(&self) -> Option<&FarEnd> {
        self.far_end.as_ref().filter(|far_end| far_end.send && !self.is_learning())
    }

    /// Decides anew whether the other party is relayed to this one.
    pub(crate) fn refresh(&mut self) {
        let relaying = self.hears == Source::Peer && self.reachable().is_some() && !self.acts.covers();
        if self.relaying && !relaying {
            self.stream.interrupt();
        }
        self.relaying = relaying;
    }
}

/// One slot.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    pub(crate) state: State,
    /// Other ports that were tried because one was taken.
    pub(crate) attempts: u8,
    /// See [`pending`].
    pub(crate) pending: u32,
    /// The first running recording, `NONE` if none runs.
    pub(crate) recordings: u32,
    /// Its place among those that are helped, `NOBODY` if it needs no help.
    pub(crate) help: u32,
    pub(crate) legs: [Leg; 2],
    pub(crate) tag: Tag,
    pub(crate) refusal: Refusal,
}

impl Slot {
    /// The speaker's leg and the other one.
    #[inline]
    pub(crate) fn speaker_and_listener(&mut self, party: usize) -> (&mut Leg, &mut Leg) {
        let [one, two] = &mut self.legs;
        if party == 0 { (one, two) } else { (two, one) }
    }

    /// Does a party speak something other than G.711?
    pub(crate) fn is_apart(&self) -> bool {
        self.legs.iter().any(|leg| leg.far_end.is_some_and(|far_end| !far_end.codec.is_g711()))
    }

    pub(crate) fn leg(&mut self, party: Party) -> &mut Leg {
        &mut self.legs[party.index()]
    }

    /// Packets of each party that never came, so far.
    pub(crate) fn lost(&self) -> [i64; 2] {
        [self.legs[0].figures.lost(), self.legs[1].figures.lost()]
    }
}

/// All slots. Free ones wait in a queue: the one that was used longest ago is used next.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) slots: Box<[Slot]>,
    free: VecDeque<u32>,
    random: Random,
}

impl Table {
    pub(crate) fn new(sessions: u32, seed: u64) -> Self {
        let mut random = Random(seed);
        let slots: Vec<Slot> = (0..sessions)
            .map(|_| Slot {
                generation: 0,
                state: State::Free,
                attempts: 0,
                pending: 0,
                recordings: NONE,
                help: NOBODY,
                legs: [Leg::new(&mut random), Leg::new(&mut random)],
                tag: Tag(0),
                refusal: Refusal::NoSlot,
            })
            .collect();
        Self { slots: slots.into_boxed_slice(), free: (0..sessions).collect(), random }
    }

    /// Takes a free slot: its generation becomes odd.
    pub(crate) fn claim(&mut self, tag: Tag) -> Option<u32> {
        let place = self.free.pop_front()?;
        let legs = [Leg::new(&mut self.random), Leg::new(&mut self.random)];
        let slot = &mut self.slots[place as usize];
        *slot = Slot {
            generation: slot.generation.wrapping_add(1),
            state: State::Opening,
            attempts: 0,
            pending: 0,
            recordings: NONE,
            help: NOBODY,
            legs,
            tag,
            refusal: Refusal::NoSlot,
        };
        Some(place)
    }

    /// Gives a slot back: its generation becomes even, and every handle to it stale.
    pub(crate) fn release(&mut self, place: u32) {
        let slot = &mut self.slots[place as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free;
        self.free.push_back(place);
    }

    /// The slot that a handle means, if the session is open.
    pub(crate) fn find(&mut self, session: Session) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(session.slot as usize)?;
        let open = matches!(slot.state, State::Open | State::Joined);
        (open && slot.generation == session.generation).then_some(slot)
    }

    /// A number that nobody foresees, not for secrets.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random.next()
    }

    /// The handle of a slot's present use.
    pub(crate) fn session(&self, place: u32) -> Session {
        Session { slot: place, generation: self.slots[place as usize].generation }
    }

    pub(crate) fn in_use(&self) -> u32 {
        u32::try_from(self.slots.len() - self.free.len()).unwrap_or(u32::MAX)
    }
}

/// Numbers that nobody needs to foresee (splitmix64). Not for secrets.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
