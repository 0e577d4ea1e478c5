//! How a party is reached, and what it is particular about: patterns that go beside its script.

use std::time::Duration;

use crate::digesting::Demand;
use crate::random::Random;

/// How a party is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    /// By its own address, over no trunk.
    Direct,
    /// Over the trunk that we have credentials for.
    Keyed,
    /// Over either of two trunks, which may die.
    Pair,
    /// Over a name that leads to several places, some of them dead or busy.
    Pool,
}

/// Where it sends who calls it (RFC 3261 section 8.1.3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detour {
    None,
    /// To one other place.
    Straight,
    /// To three: the first refuses, the second is it, the third is never to be tried.
    Several,
    /// Back to where the call came from.
    Loop,
    /// From place to place, more often than anybody follows.
    Endless,
}

/// Users that a detour names, after the party's own: where it answers, where it refuses, and where nobody shall ask.
pub(crate) const HOME: u8 = 9;
const DEAD_END: u8 = 5;
const LAST: u8 = 6;

/// What the user's number says to a call.
pub(crate) enum Turn {
    /// The party is here.
    Here,
    /// Elsewhere: users, with their preference.
    There(Vec<(u8, &'static str)>),
    /// Nobody is.
    Nowhere,
}

impl Turn {
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }
}

impl Detour {
    pub(crate) fn turn(self, stage: u8) -> Turn {
        match (self, stage) {
            (Self::None, _) | (Self::Straight | Self::Several, HOME) => Turn::Here,
            (Self::Straight, _) => Turn::There(vec![(HOME, "")]),
            (Self::Several, 0) => Turn::There(vec![(LAST, ";q=0.1"), (DEAD_END, ";q=0.9"), (HOME, ";q=0.5")]),
            (Self::Several, _) => Turn::Nowhere,
            (Self::Loop, 0) => Turn::There(vec![(1, "")]),
            (Self::Loop, _) => Turn::There(vec![(0, "")]),
            (Self::Endless, stage) => Turn::There(vec![(stage + 1, "")]),
        }
    }

    /// Is there a way to the party?
    pub(crate) fn leads_home(self) -> bool {
        matches!(self, Self::None | Self::Straight | Self::Several)
    }

    /// May that user be asked, when those before were?
    pub(crate) fn may_ask(self, stage: u8, before: &[u8], redirects: u8) -> bool {
        match self {
            // Never the same again (RFC 3261 section 8.1.3.4).
            _ if before.contains(&stage) => false,
            Self::Several if stage == HOME => before.contains(&DEAD_END),
            Self::Several if stage == LAST => before.contains(&HOME),
            Self::Endless => stage <= redirects,
            _ => true,
        }
    }
}

/// What it thinks of session timers (RFC 4028).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// Nothing.
    Unaware,
    /// Duogate shall refresh.
    Theirs,
    /// It refreshes itself.
    Own,
}

/// What a party is particular about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) line: Line,
    pub(crate) demand: Option<Demand>,
    pub(crate) detour: Detour,
    /// Its 18x are reliable (RFC 3262).
    pub(crate) reliable: bool,
    /// It sends the one after the next before the next.
    pub(crate) hasty: bool,
    pub(crate) timer: Timer,
    /// It takes and sends UPDATE (RFC 3311).
    pub(crate) updates: bool,
    /// It says so, and refuses UPDATE all the same.
    pub(crate) grudges: bool,
    /// The shortest interval that it bears.
    pub(crate) minimum: Option<u32>,
    /// It dies so long after it answered: its signaling does, its sound goes on.
    pub(crate) dies: Option<Duration>,
    /// It refuses the first refresh, because it has just begun a re-INVITE itself.
    pub(crate) glares: bool,
}

impl Manners {
    pub(crate) fn draw(random: &mut Random, line: Line) -> Self {
        let asks = random.chance(if line == Line::Keyed { 70 } else { 3 });
        let demand = asks.then(|| Demand::draw(random));
        let may_turn = matches!(line, Line::Direct | Line::Keyed);
        let detours =
            [Detour::None, Detour::Straight, Detour::Several, Detour::Several, Detour::Loop, Detour::Endless];
        let detour = if may_turn && random.chance(20) { random.one_of(&detours) } else { Detour::None };
        let timer =
            if random.chance(25) { random.one_of(&[Timer::Theirs, Timer::Own]) } else { Timer::Unaware };
        let after = Duration::from_secs(random.between(5, 100));
        let dies = (timer != Timer::Unaware && random.chance(35)).then_some(after);
        Self {
            line,
            demand,
            detour,
            reliable: random.chance(30),
            hasty: random.chance(20),
            timer,
            updates: random.chance(50),
            grudges: random.chance(15),
            minimum: random.chance(30).then(|| u32::try_from(random.between(91, 150)).expect("small")),
            dies,
            glares: random.chance(30),
        }
    }

    /// Will it be talked to for long?
    pub(crate) fn is_lasting(&self) -> bool {
        self.timer != Timer::Unaware
    }

    /// May it take several places, one after the other, until somebody answers?
    pub(crate) fn is_far(&self) -> bool {
        matches!(self.line, Line::Pair | Line::Pool)
    }

    /// Can a call come to it at all, if nothing goes wrong on the way?
    pub(crate) fn is_reachable(&self) -> bool {
        let open = self.demand.is_none_or(|demand| self.line == Line::Keyed && !demand.wrong);
        open && self.detour.leads_home()
    }

    /// The URIs that an application knows.
    pub(crate) fn uris(&self, place: usize, own: std::net::SocketAddr) -> Vec<String> {
        match self.line {
            Line::Direct => vec![format!("sip:p{place}@{own}")],
            Line::Keyed => vec![format!("sip:p{place}@keyed.example")],
            Line::Pair => vec![format!("sip:p{place}@east.example"), format!("sip:p{place}@west.example")],
            Line::Pool => vec![format!("sip:p{place}@pool.example")],
        }
    }
}
