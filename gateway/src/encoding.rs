//! The encoders: threads that turn recorded samples into Opus, beside the recorder, which goes on writing meanwhile.
//!
//! A recording has one piece with them at a time, so what waits here is bounded by the recordings there are, and whichever
//! thread is free takes the next piece. If they cannot keep up, samples wait in their timelines up to a limit, then blocks
//! are left out and the outcome says `Overrun`; so that it does not come to this for all, no further recording begins
//! while they are behind ([`Encoder::is_behind`]).

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::opus::OpusFile;

/// A piece is a second of sound or a little more. Whoever waits so long for a thread is served slower than it speaks.
const BEHIND: Duration = Duration::from_secs(1);

/// A file with what is to be done to it next, and since when that waits.
type Work = (OpusFile, Step, Instant);

/// What is to be done.
enum Step {
    Header,
    Samples(Vec<u8>),
    End,
}

/// A file with the octets that are to be written next.
type Done = (OpusFile, io::Result<Vec<u8>>);

/// Where what was done is waited for.
#[derive(Default)]
struct Slot {
    done: Option<Done>,
    waker: Option<Waker>,
}

type Shared = Arc<Mutex<Slot>>;

/// What is common to all threads.
#[derive(Default)]
struct Load {
    /// Pieces that no thread has taken yet.
    waiting: AtomicUsize,
    /// The newest piece to be taken had waited for [`BEHIND`].
    late: AtomicBool,
}

impl Load {
    /// A thread takes a piece that waits since then.
    fn take(&self, since: Instant) {
        self.late.store(since.elapsed() >= BEHIND, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A handle on the encoders. Their threads end with the last one.
#[derive(Clone)]
pub struct Encoder {
    work: Sender<(Work, Shared)>,
    load: Arc<Load>,
}

impl Encoder {
    /// Starts so many threads.
    ///
    /// # Errors
    /// The system's.
    pub fn start(threads: u32) -> io::Result<Self> {
        let (work, waiting) = channel();
        let (waiting, load) = (Arc::new(Mutex::new(waiting)), Arc::<Load>::default());
        for number in 0..threads {
            let (waiting, load) = (Arc::clone(&waiting), Arc::clone(&load));
            thread::Builder::new().name(format!("encoder-{number}")).spawn(move || run(&waiting, &load))?;
        }
        Ok(Self { work, load })
    }

    /// Do pieces wait longer than their sound lasts?
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.load.late.load(Ordering::Relaxed) && self.load.waiting.load(Ordering::Relaxed) > 0
    }

    /// The beginning of a file.
    ///
    /// # Errors
    /// The encoder's; the file is gone then.
    pub async fn header(&self, file: OpusFile) -> io::Result<(OpusFile, Vec<u8>)> {
        self.step(file, Step::Header).await
    }

    /// Samples of 16 bits become pages.
    ///
    /// # Errors
    /// The encoder's; the file is gone then.
    pub async fn samples(&self, file: OpusFile, samples: Vec<u8>) -> io::Result<(OpusFile, Vec<u8>)> {
        self.step(file, Step::Samples(samples)).await
    }

    /// The end of a file.
    ///
    /// # Errors
    /// The encoder's; the file is gone then.
    pub async fn end(&self, file: OpusFile) -> io::Result<(OpusFile, Vec<u8>)> {
        self.step(file, Step::End).await
    }

    async fn step(&self, file: OpusFile, step: Step) -> io::Result<(OpusFile, Vec<u8>)> {
        let slot = Shared::default();
        let gone = || io::Error::other("the encoder has ended");
        self.load.waiting.fetch_add(1, Ordering::Relaxed);
        self.work.send(((file, step, Instant::now()), Arc::clone(&slot))).map_err(|_| gone())?;
        let (file, octets) = poll_fn(|context| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.done.take() {
                Some(done) => Poll::Ready(done),
                None => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        Ok((file, octets?))
    }
}

fn run(waiting: &Mutex<Receiver<(Work, Shared)>>, load: &Load) {
    loop {
        // One thread waits for work, the others for their turn to wait.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(((mut file, step, since), slot)) = next else { return };
        load.take(since);
        let octets = match step {
            Step::Header => Ok(file.header()),
            Step::Samples(samples) => file.push(&samples),
            Step::End => file.finish(),
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.done = Some((file, octets));
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Wake};

    use duogate_channel::sound::RecordChannels;

    use super::*;

    /// Longer than any of this takes.
    const DEADLINE: Duration = Duration::from_secs(10);

    struct Parked(thread::Thread);

    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        let waker = Arc::new(Parked(thread::current())).into();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done;
            }
            assert!(Instant::now() < end, "waited too long");
            thread::park_timeout(DEADLINE);
        }
    }

    #[test]
    fn several_threads_encode_several_files_each_in_its_order() {
        let encoder = Encoder::start(3).unwrap();
        let alone = |number: u32| {
            let mut file = OpusFile::new(RecordChannels::Mixed, number).unwrap();
            let mut octets = file.header();
            for piece in 0..4 {
                octets.extend(file.push(&sound(number, piece)).unwrap());
            }
            octets.extend(file.finish().unwrap());
            octets
        };
        let together = |number: u32| {
            let encoder = encoder.clone();
            thread::spawn(move || {
                wait(async {
                    let file = OpusFile::new(RecordChannels::Mixed, number)?;
                    let (mut file, mut octets) = encoder.header(file).await?;
                    for piece in 0..4 {
                        let (next, more) = encoder.samples(file, sound(number, piece)).await?;
                        file = next;
                        octets.extend(more);
                    }
                    octets.extend(encoder.end(file).await?.1);
                    io::Result::Ok(octets)
                })
                .unwrap()
            })
        };
        let running: Vec<_> = (0..5).map(|number| (number, together(number))).collect();
        for (number, file) in running {
            assert!(file.join().unwrap() == alone(number), "file {number}");
        }
        assert!(!encoder.is_behind(), "nothing waits");
    }

    /// A second of something.
    fn sound(number: u32, piece: u32) -> Vec<u8> {
        let sample = |at: u32| (at * (90 + 30 * number) + piece * 7).to_le_bytes();
        (0..8_000).flat_map(|at| [sample(at)[0], sample(at)[1] & 0x1f]).collect()
    }

    #[test]
    fn encoders_are_behind_while_pieces_wait_longer_than_they_sound() {
        // None to do the work: the test takes its place.
        let (work, waiting) = channel();
        let encoder = Encoder { work, load: Arc::default() };
        let begin = Instant::now().checked_sub(BEHIND).unwrap();
        for (waited, since) in [(true, begin), (false, Instant::now() + BEHIND)] {
            let file = OpusFile::new(RecordChannels::Mixed, 1).unwrap();
            encoder.load.waiting.fetch_add(2, Ordering::Relaxed);
            encoder.work.send(((file, Step::Header, since), Shared::default())).unwrap();
            encoder.load.late.store(!waited, Ordering::Relaxed);
            let ((_, _, since), _) = waiting.recv().unwrap();
            encoder.load.take(since);
            assert_eq!(encoder.is_behind(), waited);
            encoder.load.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        encoder.load.late.store(true, Ordering::Relaxed);
        assert!(!encoder.is_behind(), "what was late is done");
    }
}
