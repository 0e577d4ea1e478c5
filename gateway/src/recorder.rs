//! The recorder: one thread that writes all recordings. The only file that knows tokio-uring.
//!
//! Blocks come from the shards in order, become octets at once (their memory goes back to the shard), and are
//! written in chunks, at most one write of a file at a time. Nothing here can hold a call up: a file system that
//! stalls lets octets wait up to a limit, then blocks are left out and the outcome says `Overrun`.
//!
//! What is durable when: samples go to the page cache about once a second and from there to the disk as the
//! kernel sees fit (by default within 30 s), so a crash of the gateway loses a second at most, and a power cut
//! half a minute of a call that it has ended anyway. At the end the header gets its sizes and the file is synced
//! *before* the recording is reported as saved: what has been announced survives a power cut. To sync more often
//! would make every call in the house pay for each recording's last seconds.
//!
//! When the gateway ends, what is open is written for [`REST`] at the most: a disk that stalls does not keep it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File as StandardFile;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use duogate_channel::event::RecordOutcome;
use duogate_channel::identity::Recording;
use duogate_channel::sound::RecordFormat;
use duogate_media::Take;
use tokio_uring::fs::File;

use crate::encoding::Encoder;
use crate::opus::OpusFile;
use crate::tap::{Finished, Line, Message, RecorderBell};
use crate::timeline::Timeline;
use crate::wav::{Layout, RATE};

/// Recordings handed over and not yet begun, at most: also the notices about them that may wait.
pub const HANDED: usize = 8192;

/// Messages taken from one shard before the others have their turn.
const TURN: usize = 256;

/// Writes and syncs that the ring takes at once; more of them wait for their turn.
const WRITES: u32 = 1024;

/// How long the recorder may write on when the gateway ends, after the seconds that the shards have waited for it
/// (`FAREWELL` in the shard). Together they stay below the ten seconds after which systemd kills the gateway.
pub const REST: Duration = Duration::from_secs(4);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// What the attach thread tells the recorder.
pub enum Paper {
    /// A file to record into later.
    Handed(Recording, StandardFile),
    /// It will not be needed.
    Forget(Recording),
    /// None of those that have not begun will be needed: their control plane has gone.
    ForgetAll,
}

/// What the recorder's thread shares with the others.
pub struct Desk {
    /// From the attach thread.
    pub papers: ArrayQueue<Paper>,
    /// Wakes the recorder.
    pub bell: Arc<RecorderBell>,
    /// The shards' lines, in their order.
    pub lines: Vec<Arc<Line>>,
    /// Recordings whose files are open.
    pub open: AtomicUsize,
    /// Set when no shard will say anything any more: the recorder ends when all is written.
    pub closing: AtomicBool,
}

/// Lets the recorder write what is left, for so long at the most, and says in the log what came of it. True if all is
/// written.
pub fn finish(desk: &Desk, recorder: JoinHandle<io::Result<()>>, limit: Duration) -> bool {
    desk.closing.store(true, Ordering::Release);
    desk.bell.wake();
    let end = Instant::now() + limit;
    while !recorder.is_finished() {
        if Instant::now() >= end {
            let recordings = desk.open.load(Ordering::Relaxed);
            tracing::error!(
                recordings,
                ?limit,
                "the file system is too slow: these recordings lack their ends, and the sizes in their headers"
            );
            return false;
        }
        thread::sleep(LOOK);
    }
    match recorder.join() {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::error!(%error, "the recorder has failed"),
        Err(_) => tracing::error!("the recorder has panicked"),
    }
    false
}

/// Runs the recorder, with so many threads that encode, until the desk closes.
///
/// # Errors
/// The system's, at start only.
pub fn run(desk: &Arc<Desk>, encoders: u32) -> io::Result<()> {
    let bell = desk.bell.file()?;
    let encoder = Encoder::start(encoders)?;
    tokio_uring::builder().entries(WRITES).start(async {
        let bell = File::from_std(bell.into());
        let mut recorder = Recorder::new(Arc::clone(desk), encoder);
        loop {
            if recorder.turn() {
                // Lets writes that have completed go on.
                let _ = tokio_uring::no_op().await;
                continue;
            }
            if desk.closing.load(Ordering::Acquire) && recorder.is_done() {
                return Ok(());
            }
            desk.bell.prepare_sleep();
            if recorder.is_idle() && !(desk.closing.load(Ordering::Acquire) && recorder.is_done()) {
                let (result, _) = bell.read_at(vec![0; 8], 0).await;
                result?;
            }
        }
    })
}

/// All recordings whose files are open, by shard and take.
type Shelf = Rc<RefCell<HashMap<(usize, Take), Rc<RefCell<Running>>>>>;

struct Recorder {
    desk: Arc<Desk>,
    encoder: Encoder,
    handed: HashMap<Recording, StandardFile>,
    running: Shelf,
}

/// A recording whose file is open: what the shard has said, and the task that writes it.
struct Running {
    timeline: Timeline,
    /// Blocks that the shard had to leave out; known at the end.
    lost: u32,
    writer: Option<Waker>,
}

impl Running {
    fn wake(&mut self) {
        if (self.timeline.is_due() || self.timeline.has_ended())
            && let Some(writer) = self.writer.take()
        {
            writer.wake();
        }
    }
}

impl Recorder {
    fn new(desk: Arc<Desk>, encoder: Encoder) -> Self {
        Self { desk, encoder, handed: HashMap::new(), running: Rc::default() }
    }

    fn is_idle(&self) -> bool {
        self.desk.papers.is_empty() && self.desk.lines.iter().all(|line| line.is_empty())
    }

    fn is_done(&self) -> bool {
        self.is_idle() && self.running.borrow().is_empty()
    }

    /// Takes what waits, a bounded part of it. False when nothing did.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        let desk = Arc::clone(&self.desk);
        for (shard, line) in desk.lines.iter().enumerate() {
            for message in std::iter::from_fn(|| line.take()).take(TURN) {
                busy = true;
                self.message(shard, line, message);
            }
        }
        self.papers() || busy
    }

    fn papers(&mut self) -> bool {
        let mut busy = false;
        while let Some(paper) = self.desk.papers.pop() {
            busy = true;
            match paper {
                Paper::Handed(recording, file) => drop(self.handed.insert(recording, file)),
                Paper::Forget(recording) => drop(self.handed.remove(&recording)),
                Paper::ForgetAll => self.handed.clear(),
            }
        }
        busy
    }

    fn message(&mut self, shard: usize, line: &Arc<Line>, message: Message) {
        match message {
            Message::Begin(take, layout) => self.begin(shard, line, take, layout),
            Message::Block(block) => {
                // A recording whose file refused has been reported and forgotten.
                if let Some(running) = self.running.borrow().get(&(shard, block.take)) {
                    running.borrow_mut().timeline.place(&block);
                    running.borrow_mut().wake();
                }
                line.give_back(block);
            }
            Message::End(take, samples, lost) => {
                if let Some(running) = self.running.borrow().get(&(shard, take)) {
                    let mut running = running.borrow_mut();
                    running.lost = lost;
                    running.timeline.end(samples);
                    running.wake();
                }
            }
        }
    }

    fn begin(&mut self, shard: usize, line: &Arc<Line>, take: Take, layout: Layout) {
        // Its file was handed over before the command was given, so at least its paper is here.
        self.papers();
        let Some(file) = self.handed.remove(&take.recording) else {
            let outcome = RecordOutcome::Missing;
            line.finish(Finished { take, outcome, duration: Duration::ZERO, bytes: 0 });
            return;
        };
        let is_opus = layout.format == RecordFormat::Opus;
        if is_opus && self.encoder.is_behind() {
            tracing::warn!(
                recording = take.recording.0,
                "not begun: the encoders cannot keep up with those that run"
            );
            let outcome = RecordOutcome::Overrun;
            line.finish(Finished { take, outcome, duration: Duration::ZERO, bytes: 0 });
            return;
        }
        let running = Running { timeline: Timeline::new(layout, take.place), lost: 0, writer: None };
        let running = Rc::new(RefCell::new(running));
        self.running.borrow_mut().insert((shard, take), Rc::clone(&running));
        let (shelf, line, desk) = (Rc::clone(&self.running), Arc::clone(line), Arc::clone(&self.desk));
        let encoder = is_opus.then(|| self.encoder.clone());
        desk.open.fetch_add(1, Ordering::Relaxed);
        tokio_uring::spawn(async move {
            let file = File::from_std(file);
            let finished = match encoder {
                Some(encoder) => write_opus(take, &file, &running, &encoder).await,
                None => write_out(take, &file, &running).await,
            };
            shelf.borrow_mut().remove(&(shard, take));
            desk.open.fetch_sub(1, Ordering::Relaxed);
            line.finish(finished);
            // The recorder itself may wait for this one to end.
            desk.bell.wake();
        });
    }
}

/// Writes a recording from beginning to end.
async fn write_out(take: Take, file: &File, running: &RefCell<Running>) -> Finished {
    let layout = running.borrow().timeline.layout();
    let start = layout.header_octets();
    let mut data = 0;
    let mut failure = write(file, layout.header(None), 0).await.err();
    while failure.is_none() {
        let Some(chunk) = poll_fn(|context| next_chunk(&mut running.borrow_mut(), context)).await else {
            break;
        };
        let length = chunk.len() as u64;
        match write(file, chunk, start + data).await {
            Ok(()) => data += length,
            Err(error) => failure = Some(error),
        }
    }
    if let Err(error) = close(file, layout, data).await {
        failure.get_or_insert(error);
    }
    let frames = data / u64::from(layout.frame_octets());
    finished(take, failure.as_ref(), running, (frames, start + data + data % 2))
}

/// What came of a recording of so many samples and octets.
fn finished(
    take: Take,
    failure: Option<&io::Error>,
    running: &RefCell<Running>,
    (frames, bytes): (u64, u64),
) -> Finished {
    let outcome = match failure {
        Some(error) => {
            tracing::warn!(recording = take.recording.0, %error, "a recording cannot be written; the call goes on");
            RecordOutcome::WriteFailed { errno: error.raw_os_error().unwrap_or(libc::EIO) }
        }
        None if running.borrow().lost > 0 || running.borrow().timeline.lost() => {
            tracing::warn!(
                recording = take.recording.0,
                no_room = running.borrow().lost,
                not_written = running.borrow().timeline.lost(),
                "a recording lacks sound: it came faster than it was taken and written"
            );
            RecordOutcome::Overrun
        }
        None => RecordOutcome::Saved,
    };
    let duration = Duration::from_micros(frames * (1_000_000 / u64::from(RATE)));
    Finished { take, outcome, duration, bytes }
}

/// The same for one in Opus. What was written before a failure can be played as it is.
async fn write_opus(take: Take, file: &File, running: &RefCell<Running>, encoder: &Encoder) -> Finished {
    let mut written = (0, 0);
    let outcome = write_pages(take, file, running, (encoder, &mut written)).await;
    finished(take, outcome.err().as_ref(), running, written)
}

/// Writes page after page; `written` counts samples and octets that are in the file.
async fn write_pages(
    take: Take,
    file: &File,
    running: &RefCell<Running>,
    (encoder, written): (&Encoder, &mut (u64, u64)),
) -> io::Result<()> {
    let channels = running.borrow().timeline.layout().channels;
    // The lower half counts; it sets the streams of files apart that somebody joins.
    let serial = u32::try_from(take.recording.0 & u64::from(u32::MAX)).unwrap_or(0);
    let (mut opus, mut octets) = encoder.header(OpusFile::new(channels, serial)?).await?;
    let mut more = true;
    while more {
        let length = octets.len() as u64;
        write(file, octets, written.1).await?;
        *written = (opus.given(), written.1 + length);
        let chunk = poll_fn(|context| next_chunk(&mut running.borrow_mut(), context)).await;
        more = chunk.is_some();
        (opus, octets) = match chunk {
            Some(samples) => encoder.samples(opus, samples).await?,
            None => encoder.end(opus).await?,
        };
    }
    let length = octets.len() as u64;
    write(file, octets, written.1).await?;
    *written = (opus.given(), written.1 + length);
    file.sync_data().await
}

/// The sizes into the header, an octet of padding after an odd number of samples, and all of it to the disk.
async fn close(file: &File, layout: Layout, data: u64) -> io::Result<()> {
    if data % 2 == 1 {
        write(file, vec![0], layout.header_octets() + data).await?;
    }
    write(file, layout.header(Some(data)), 0).await?;
    file.sync_data().await
}

async fn write(file: &File, octets: Vec<u8>, position: u64) -> io::Result<()> {
    file.write_all_at(octets, position).await.0
}

/// What to write next, once there is something; `None` after the end.
fn next_chunk(running: &mut Running, context: &Context<'_>) -> Poll<Option<Vec<u8>>> {
    if running.timeline.is_due()
        && let Some(chunk) = running.timeline.chunk()
    {
        return Poll::Ready(Some(chunk));
    }
    if running.timeline.has_ended() {
        return Poll::Ready(None);
    }
    running.writer = Some(context.waker().clone());
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, Write};
    use std::os::fd::OwnedFd;

    use duogate_channel::sound::RecordChannels;
    use duogate_media::Tap;

    use super::*;
    use crate::inbox::Inbox;
    use crate::tap::ShardTap;

    /// Longer than any of this takes.
    const DEADLINE: Duration = Duration::from_secs(10);

    /// What a pipe holds (pipe(7)).
    const PIPE_OCTETS: usize = 65_536;

    fn until(what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < end, "waited too long: {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A recorder with one recording, which has ended, but whose file, a full pipe, takes nothing.
    fn stalled() -> (Arc<Desk>, JoinHandle<io::Result<()>>, PipeReader) {
        let line = Arc::new(Line::new(1, Arc::new(Inbox::new().unwrap())));
        let bell = Arc::new(RecorderBell::new().unwrap());
        let mut tap = ShardTap::new(Arc::clone(&line), Arc::clone(&bell));
        let desk = Arc::new(Desk {
            papers: ArrayQueue::new(1),
            bell,
            lines: vec![line],
            open: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[0; PIPE_OCTETS]).unwrap();
        let file = StandardFile::from(OwnedFd::from(writer));
        assert!(desk.papers.push(Paper::Handed(Recording(7), file)).is_ok());
        let take = Take { place: 0, recording: Recording(7) };
        tap.begin(take, RecordFormat::Alaw, RecordChannels::Mixed).unwrap();
        tap.end(take, 800, 0);
        let recorder = {
            let desk = Arc::clone(&desk);
            thread::spawn(move || run(&desk, 1))
        };
        until("the recorder has taken all", || {
            desk.lines[0].is_empty() && desk.open.load(Ordering::Relaxed) == 1
        });
        (desk, recorder, reader)
    }

    #[test]
    fn the_recorder_ends_as_soon_as_its_last_file_is_written() {
        let (desk, recorder, mut reader) = stalled();
        let reading = thread::spawn(move || {
            // Some time after the recorder was told to end.
            thread::sleep(Duration::from_millis(200));
            let mut octets = Vec::new();
            reader.read_to_end(&mut octets).map(|_| octets)
        });
        assert!(finish(&desk, recorder, DEADLINE));
        assert_eq!(desk.open.load(Ordering::Relaxed), 0);
        let octets = reading.join().unwrap().unwrap();
        assert!(octets[PIPE_OCTETS..].starts_with(b"RIFF"), "it was written");
    }

    #[test]
    fn a_file_system_that_stalls_does_not_keep_the_gateway() {
        let (desk, recorder, reader) = stalled();
        let start = Instant::now();
        assert!(!finish(&desk, recorder, Duration::from_millis(100)));
        assert!(start.elapsed() < DEADLINE / 2);
        assert_eq!(desk.open.load(Ordering::Relaxed), 1);
        drop(reader);
    }
}
