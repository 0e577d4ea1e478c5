//! The encoder: one thread that turns recorded samples into Opus, beside the recorder, which goes on writing meanwhile.
//!
//! A recording has one piece with the encoder at a time, so what waits here is bounded by the recordings there are. If
//! the encoder cannot keep up with all of them, their samples wait in their timelines up to a limit, then blocks are left
//! out and the outcome says `Overrun`.

use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

use crate::opus::OpusFile;

/// A file with what is to be done to it next, and what came of it.
type Work = (OpusFile, Step);

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

/// A handle on the encoder. Its thread ends with the last one.
#[derive(Clone)]
pub struct Encoder {
    work: Sender<(Work, Shared)>,
}

impl Encoder {
    /// Starts its thread.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> io::Result<Self> {
        let (work, waiting) = channel();
        thread::Builder::new().name("encoder".into()).spawn(move || run(&waiting))?;
        Ok(Self { work })
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
        self.work.send(((file, step), Arc::clone(&slot))).map_err(|_| gone())?;
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

fn run(waiting: &Receiver<(Work, Shared)>) {
    while let Ok(((mut file, step), slot)) = waiting.recv() {
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
