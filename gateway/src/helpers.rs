//! Helpers: threads that decode and encode what a shard cannot make from a payload by itself.
//!
//! A shard hands a payload over in a parcel from a pool that is made at start, by a bounded queue, and goes on with the
//! next packet; a helper does the work and puts the parcel on the shard's tray, from which the shard sends it, under
//! numbers of its own. Where the pool is empty or a queue is full the payload is dropped, and counted: nothing here can
//! hold a packet of another call up.
//!
//! ```text
//!            queue of helper n (place modulo helpers)                    tray
//!  shard ───────────────────────────────────────────────> helper n ─────────────> shard
//!    └───────────────────────────── pool of empty parcels <──────────────────────────┘
//! ```
//! All payloads of one session go to one helper, and so stay in their order.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::queue::ArrayQueue;
use duogate_channel::identity::Party;
use duogate_channel::time::Instant;
use duogate_codecs::{Transcoded, Transcoder, Wanted};
use duogate_media::{Core, Job, Made, NoOutlet, Outlet, Path, Tap};

use crate::buffers::{BUFFER_OCTETS, SCRATCH_OCTETS};
use crate::inbox::Inbox;
use crate::tap::RecorderBell;

/// Parcels for each session that may be helped: both directions, four packets each, which are 80 ms of sound.
const PARCELS_EACH: usize = 8;

/// Parcels beside those, so that few sessions can have a burst.
const PARCELS_SPARE: usize = 32;

/// Parcels taken from one shard before the others have their turn.
const TURN: usize = 64;

/// Octets that a shard can send of what a helper made: a scratch packet without its header.
const LONGEST: usize = SCRATCH_OCTETS - 12;

// The longest packet of Opus (RFC 7587 section 4.2) fits as G.711.
const _: () = assert!(LONGEST >= 120 * 8);

/// A payload on its way to a helper and back.
struct Parcel {
    job: Option<Job>,
    payload: [u8; BUFFER_OCTETS],
    length: usize,
    made: Transcoded,
    good: bool,
}

impl Parcel {
    fn empty() -> Self {
        // Longer than 60 ms of any codec: a helper does not grow them.
        let room = || Vec::with_capacity(BUFFER_OCTETS);
        let made = Transcoded { payload: room(), recorded: room(), floor: None };
        Self { job: None, payload: [0; BUFFER_OCTETS], length: 0, made, good: false }
    }

    /// What was asked, and what came of it.
    fn outcome(&self) -> Option<(&Job, Made<'_>)> {
        let job = self.job.as_ref()?;
        let payload = if job.is_sound() { &self.made.payload[..] } else { &self.payload[..self.length] };
        let good = self.good && payload.len() <= LONGEST;
        let made = if good {
            Made::Good { payload, recorded: &self.made.recorded, floor: self.made.floor }
        } else {
            Made::Bad
        };
        Some((job, made))
    }
}

enum Message {
    Work(Box<Parcel>),
    /// What is remembered of the streams of this place is not needed any more.
    Forget(u32),
}

/// What a shard and the helpers share.
pub struct HelpLine {
    /// One for each helper.
    queues: Vec<ArrayQueue<Message>>,
    pool: ArrayQueue<Box<Parcel>>,
    tray: ArrayQueue<Box<Parcel>>,
    inbox: Arc<Inbox>,
}

impl HelpLine {
    /// For so many sessions at once, and so many helpers. `inbox` wakes the shard.
    #[must_use]
    pub fn new(sessions: u32, helpers: usize, inbox: Arc<Inbox>) -> Self {
        let sessions = if helpers == 0 { 0 } else { usize::try_from(sessions).unwrap_or(0) };
        let parcels = if sessions == 0 { 0 } else { sessions * PARCELS_EACH + PARCELS_SPARE };
        let room = parcels.max(1);
        let line = Self {
            // Every parcel, and one end of every session: never full.
            queues: (0..helpers).map(|_| ArrayQueue::new(room + sessions)).collect(),
            pool: ArrayQueue::new(room),
            tray: ArrayQueue::new(room),
            inbox,
        };
        for _ in 0..parcels {
            // As many as there is room for.
            let _ = line.pool.push(Box::new(Parcel::empty()));
        }
        line
    }

    /// Shard: a parcel is empty again.
    fn give_back(&self, mut parcel: Box<Parcel>) {
        parcel.job = None;
        // There is a place for every parcel.
        let _ = self.pool.push(parcel);
    }
}

/// The shard's end.
pub struct ShardHelp {
    line: Arc<HelpLine>,
    bells: Vec<Arc<RecorderBell>>,
    /// Helpers that were told something since the last flush.
    spoken: Vec<bool>,
}

impl ShardHelp {
    /// The shard's end, with the bells of all helpers.
    #[must_use]
    pub fn new(line: Arc<HelpLine>, bells: Vec<Arc<RecorderBell>>) -> Self {
        let spoken = vec![false; bells.len()];
        Self { line, bells, spoken }
    }

    /// Hands over the payload that the core's last verdict was about.
    #[cold]
    pub fn ask(&mut self, core: &mut Core<impl Path>, now: Instant, datagram: &[u8], tap: &mut impl Tap) {
        let Some(job) = core.take_job() else { return };
        let payload = core.payload_of(&job, datagram);
        if let Err(job) = self.hand(job, payload) {
            core.helped(now, &job, Made::Full, &mut NoOutlet, tap);
        }
    }

    /// Gives the core what helpers have made.
    pub fn take_back(
        &mut self,
        core: &mut Core<impl Path>,
        now: Instant,
        outlet: &mut impl Outlet,
        tap: &mut impl Tap,
    ) {
        while let Some(parcel) = self.line.tray.pop() {
            if let Some((job, made)) = parcel.outcome() {
                core.helped(now, job, made, outlet, tap);
            }
            self.line.give_back(parcel);
        }
    }

    /// Hands a payload over.
    ///
    /// # Errors
    /// The job, if there is no room.
    fn hand(&mut self, job: Job, payload: &[u8]) -> Result<(), Job> {
        let Some(mut parcel) = self.line.pool.pop() else { return Err(job) };
        let Some(place) = parcel.payload.get_mut(..payload.len()) else { return Err(job) };
        place.copy_from_slice(payload);
        let (of, ..) = job.stream();
        (parcel.length, parcel.job) = (payload.len(), Some(job));
        match self.say(of, Message::Work(parcel)) {
            Ok(()) => Ok(()),
            Err(Message::Work(mut parcel)) => {
                let job = parcel.job.take();
                self.line.give_back(parcel);
                job.map_or(Ok(()), Err)
            }
            Err(Message::Forget(_)) => Ok(()),
        }
    }

    /// What is remembered of a place can go.
    pub fn forget(&mut self, place: u32) {
        // There is room for one of every session; were there none, the next use of the place would replace it.
        let _ = self.say(place, Message::Forget(place));
    }

    fn say(&mut self, place: u32, message: Message) -> Result<(), Message> {
        let Some(number) = (place as usize).checked_rem(self.line.queues.len()) else { return Err(message) };
        self.spoken[number] = true;
        self.line.queues[number].push(message)
    }

    /// Wakes the helpers that were told something.
    pub fn flush(&mut self) {
        for (bell, spoken) in self.bells.iter().zip(&mut self.spoken) {
            if std::mem::take(spoken) {
                bell.wake();
            }
        }
    }
}

/// All helpers.
pub struct Helpers {
    bells: Vec<Arc<RecorderBell>>,
    threads: Vec<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

impl Helpers {
    /// So many bells, for as many threads to be started.
    ///
    /// # Errors
    /// The system's.
    pub fn new(count: usize) -> io::Result<Self> {
        let bells: rustix::io::Result<Vec<_>> =
            (0..count).map(|_| RecorderBell::new().map(Arc::new)).collect();
        Ok(Self { bells: bells?, threads: Vec::new(), closing: Arc::default() })
    }

    /// The bells.
    #[must_use]
    pub fn bells(&self) -> Vec<Arc<RecorderBell>> {
        self.bells.clone()
    }

    /// Starts the threads, for these shards.
    ///
    /// # Errors
    /// The system's.
    pub fn start(&mut self, lines: &[Arc<HelpLine>]) -> io::Result<()> {
        for (number, bell) in self.bells.iter().enumerate() {
            let helper = Helper {
                number,
                lines: lines.to_vec(),
                bell: Arc::clone(bell),
                file: bell.file()?,
                closing: Arc::clone(&self.closing),
                streams: HashMap::new(),
            };
            let thread = thread::Builder::new().name(format!("helper-{number}"));
            self.threads.push(thread.spawn(move || helper.run())?);
        }
        Ok(())
    }

    /// Ends the threads. No shard may hand anything over any more.
    pub fn close(self) {
        self.closing.store(true, Ordering::Release);
        self.bells.iter().for_each(|bell| bell.wake());
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a helper has panicked");
            }
        }
    }
}

/// A stream by shard, place and party.
type Name = (usize, u32, Party);

struct Helper {
    number: usize,
    lines: Vec<Arc<HelpLine>>,
    bell: Arc<RecorderBell>,
    file: OwnedFd,
    closing: Arc<AtomicBool>,
    /// What is remembered, and the serial number for which it holds: at most two for each session that is helped.
    streams: HashMap<Name, (u32, Transcoder)>,
}

impl Helper {
    fn run(mut self) {
        loop {
            if self.turn() {
                continue;
            }
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            self.bell.prepare_sleep();
            let idle = self.lines.iter().all(|line| line.queues[self.number].is_empty());
            if idle && !self.closing.load(Ordering::Acquire) {
                // An interrupted wait is one more look at the queues.
                let _ = rustix::io::read(&self.file, &mut [0; 8]);
            }
        }
    }

    /// Does what waits, a bounded part of it. False if nothing did.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for (shard, line) in self.lines.clone().iter().enumerate() {
            let mut made = false;
            for _ in 0..TURN {
                match line.queues[self.number].pop() {
                    None => break,
                    Some(Message::Work(mut parcel)) => {
                        self.work(shard, &mut parcel);
                        // There is a place for every parcel.
                        let _ = line.tray.push(parcel);
                        made = true;
                    }
                    Some(Message::Forget(place)) => {
                        for party in Party::BOTH {
                            self.streams.remove(&(shard, place, party));
                        }
                    }
                }
            }
            if made {
                line.inbox.bell().ring();
            }
            busy |= made;
        }
        busy
    }

    fn work(&mut self, shard: usize, parcel: &mut Parcel) {
        let Parcel { job: Some(job), payload, length, made, good } = parcel else { return };
        made.payload.clear();
        made.recorded.clear();
        made.floor = None;
        if !job.is_sound() {
            *good = true;
            return;
        }
        let (from, to, recorded) = job.wanted();
        let (place, party, serial) = job.stream();
        let (name, wanted) = ((shard, place, party), Wanted { from, to, recorded });
        let known =
            self.streams.get(&name).is_some_and(|(of, known)| *of == serial && known.wanted() == wanted);
        if !known {
            match Transcoder::new(wanted) {
                Ok(transcoder) => drop(self.streams.insert(name, (serial, transcoder))),
                Err(error) => tracing::error!(%error, "a codec cannot be made"),
            }
        }
        *good = match self.streams.get_mut(&name) {
            Some((of, transcoder)) if *of == serial => {
                transcoder.miss(job.missing());
                transcoder.transcode(&payload[..*length], made).is_ok()
            }
            _ => false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_helpers_nothing_is_taken() {
        let line = HelpLine::new(5, 0, Arc::new(Inbox::new().unwrap()));
        assert!(line.pool.is_empty() && line.queues.is_empty());
        let mut help = ShardHelp::new(Arc::new(line), Vec::new());
        help.forget(3);
        help.flush();
    }
}
