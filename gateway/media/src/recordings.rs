//! The shard's table of recordings.

use ::core::time::Duration;
use alloc::boxed::Box;
use alloc::vec::Vec;

use duogate_channel::event::{Event, RecordOutcome, Track};
use duogate_channel::identity::{Recording, Session};
use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::time::Instant;

use crate::block::{Take, Tap};
use crate::reel::{Reel, Said};

pub(crate) const NONE: u32 = u32::MAX;

/// ```text
///        start            stop or close              the writer has finished        the event is taken
///  Free ───────> Running ──────────────> Finishing ─────────────────────────> Done ───────────────────> Free
///                   └────────────── the writer has given it up ──────────────> ^
/// ```
#[derive(Debug)]
enum State {
    Free,
    Running(Reel),
    Finishing,
    Done(Event),
}

#[derive(Debug)]
struct Entry {
    state: State,
    session: Session,
    recording: Recording,
    /// Packets that could not be copied for it.
    missing: u32,
    /// Packets of each party that were lost before it began.
    lost_before: [i64; 2],
    /// What it has of each party, once it does not run any more.
    tracks: [Track; 2],
    /// The session's next recording, or the next free place.
    next: u32,
}

/// How a recording begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) now: Instant,
    /// In which the parties speak.
    pub(crate) codecs: [Codec; 2],
    pub(crate) hold: RecordHold,
    /// Packets of each party that were lost until then.
    pub(crate) lost: [i64; 2],
}

impl Entry {
    /// `lost` is what each party has lost until now.
    fn count_lost(&mut self, lost: [i64; 2]) {
        for ((track, now), before) in self.tracks.iter_mut().zip(lost).zip(self.lost_before) {
            // Late and repeated packets can make up for more than was lost meanwhile.
            track.lost = u32::try_from((now - before).max(0)).unwrap_or(u32::MAX);
        }
    }
}

/// Memory of one place.
pub(crate) const RECORDING_OCTETS: usize = size_of::<Entry>();

/// All recordings of a shard. Those of one session that run are linked; the session holds the first.
#[derive(Debug)]
pub(crate) struct Recordings {
    entries: Box<[Entry]>,
    free: u32,
}

impl Recordings {
    pub(crate) fn new(count: u32) -> Self {
        let nobody = Session { slot: 0, generation: 0 };
        let entries: Vec<Entry> = (1..=count)
            .map(|next| Entry {
                state: State::Free,
                session: nobody,
                recording: Recording(0),
                missing: 0,
                lost_before: [0; 2],
                tracks: [Track::default(); 2],
                next: if next == count { NONE } else { next },
            })
            .collect();
        Self { entries: entries.into_boxed_slice(), free: if count == 0 { NONE } else { 0 } }
    }

    /// A place for a new recording, if one is free.
    pub(crate) fn vacancy(&self, recording: Recording) -> Option<Take> {
        (self.free != NONE).then_some(Take { place: self.free, recording })
    }

    /// Begins a recording in the place that [`Recordings::vacancy`] gave.
    pub(crate) fn start(&mut self, take: Take, session: Session, beginning: &Beginning, first: &mut u32) {
        let entry = &mut self.entries[take.place as usize];
        self.free = entry.next;
        *entry = Entry {
            state: State::Running(Reel::new(take, beginning)),
            session,
            recording: take.recording,
            missing: 0,
            lost_before: beginning.lost,
            tracks: [Track::default(); 2],
            next: *first,
        };
        *first = take.place;
    }

    /// The place of a recording among the running ones of a session.
    pub(crate) fn find(&self, first: u32, recording: Recording) -> Option<u32> {
        self.running(first).find(|&place| self.entries[place as usize].recording == recording)
    }

    /// Places of the running recordings of a session.
    pub(crate) fn running(&self, first: u32) -> impl Iterator<Item = u32> {
        let exists = |place: u32| (place != NONE).then_some(place);
        ::core::iter::successors(exists(first), move |&place| exists(self.entries[place as usize].next))
    }

    /// Records what a party said in every running recording of the session; returns how many missed it.
    pub(crate) fn tap(&mut self, first: u32, said: &Said<'_>, tap: &mut impl Tap) -> u64 {
        let (mut place, mut missed) = (first, 0);
        while let Some(entry) = self.entries.get_mut(place as usize) {
            if let State::Running(reel) = &mut entry.state {
                missed += u64::from(!reel.place(said, tap));
            }
            place = entry.next;
        }
        missed
    }

    /// Notes that packets of a party could not be copied for the running recordings of the session.
    pub(crate) fn miss(&mut self, first: u32, packets: u32) {
        if packets == 0 {
            return;
        }
        let mut place = first;
        while let Some(entry) = self.entries.get_mut(place as usize) {
            entry.missing = entry.missing.saturating_add(packets);
            place = entry.next;
        }
    }

    /// One party of the session holds the other, or no longer does.
    pub(crate) fn hold(&mut self, first: u32, now: Instant, held: bool) {
        let mut place = first;
        while let Some(entry) = self.entries.get_mut(place as usize) {
            if let State::Running(reel) = &mut entry.state {
                reel.hold(now, held);
            }
            place = entry.next;
        }
    }

    /// Ends a running recording; its outcome comes from the writer. `lost` is what each party has lost until now.
    /// Returns the blocks lost.
    pub(crate) fn stop(
        &mut self,
        place: u32,
        (now, lost): (Instant, [i64; 2]),
        first: &mut u32,
        tap: &mut impl Tap,
    ) -> u32 {
        self.unlink(place, first);
        let entry = &mut self.entries[place as usize];
        match ::core::mem::replace(&mut entry.state, State::Finishing) {
            State::Running(mut reel) => {
                entry.tracks = reel.tracks(reel.position_at(now));
                entry.count_lost(lost);
                reel.end(now, tap)
            }
            State::Free | State::Finishing | State::Done(_) => 0,
        }
    }

    /// The session of a recording of which the writer has not told the outcome yet.
    pub(crate) fn session(&self, take: Take) -> Option<Session> {
        let entry = self.entries.get(take.place as usize)?;
        let open = matches!(entry.state, State::Running(_) | State::Finishing);
        (open && entry.recording == take.recording).then_some(entry.session)
    }

    /// The writer has told the outcome. `session` is the session's first running recording, and what each party has
    /// lost until now, if the session still is.
    pub(crate) fn done(
        &mut self,
        take: Take,
        (outcome, duration, bytes): (RecordOutcome, Duration, u64),
        session: Option<(&mut u32, [i64; 2])>,
        tap: &mut impl Tap,
    ) {
        let lost = session.map(|(first, lost)| {
            self.unlink(take.place, first);
            lost
        });
        let entry = &mut self.entries[take.place as usize];
        if let State::Running(reel) = &mut entry.state {
            reel.abandon(tap);
            entry.tracks = reel.tracks(reel.heard());
            lost.into_iter().for_each(|lost| entry.count_lost(lost));
        }
        let (session, recording) = (entry.session, entry.recording);
        let (missing, tracks) = (entry.missing, entry.tracks);
        let event = Event::Recorded { session, recording, outcome, duration, bytes, missing, tracks };
        entry.state = State::Done(event);
    }

    /// The event of a finished recording.
    pub(crate) fn event(&self, place: u32) -> Option<Event> {
        match self.entries.get(place as usize)?.state {
            State::Done(event) => Some(event),
            State::Free | State::Running(_) | State::Finishing => None,
        }
    }

    /// The event has been taken: the place is free.
    pub(crate) fn release(&mut self, place: u32) {
        let entry = &mut self.entries[place as usize];
        entry.state = State::Free;
        entry.next = self.free;
        self.free = place;
    }

    /// Takes a running recording out of its session's list.
    fn unlink(&mut self, place: u32, first: &mut u32) {
        let next = self.entries[place as usize].next;
        if *first == place {
            *first = next;
            return;
        }
        let mut before = *first;
        while let Some(entry) = self.entries.get_mut(before as usize) {
            if entry.next == place {
                entry.next = next;
                return;
            }
            before = entry.next;
        }
    }
}
