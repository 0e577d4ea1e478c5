//! A gateway that carries no sound but says what a gateway says: enough to try the control plane against.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{ActionOutcome, Event, LegStatistics, RecordOutcome, Track};
use duogate_channel::handover::{Connection, Doorway, HandoverError};
use duogate_channel::identity::{LocalPort, Recording, Session, Shard, Tag};
use duogate_channel::message::{ShardDescription, ToControl, ToGateway};
use duogate_channel::page::PageWriter;
use duogate_channel::sides::{GatewaySide, offer_shard, welcome};

/// How often the gateway looks for commands and messages.
const TURN: Duration = Duration::from_millis(1);

/// Runs until it is dropped.
pub(crate) struct FakeGateway {
    end: Arc<AtomicBool>,
    sounds: Arc<Mutex<Sounds>>,
    thread: Option<JoinHandle<()>>,
}

/// What was handed over to be played.
#[derive(Default)]
pub(crate) struct Sounds {
    /// How many ever came.
    pub(crate) handed: usize,
}

impl FakeGateway {
    /// Listens on `path` and serves one control plane after the other.
    pub(crate) fn start(path: &Path) -> Self {
        let doorway = Doorway::open(path).unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let sounds = Arc::<Mutex<Sounds>>::default();
        let (ended, heard) = (Arc::clone(&end), Arc::clone(&sounds));
        let thread = std::thread::spawn(move || serve(&doorway, &ended, &heard));
        Self { end, sounds, thread: Some(thread) }
    }

    /// What it has to play.
    pub(crate) fn sounds(&self) -> MutexGuard<'_, Sounds> {
        self.sounds.lock().unwrap()
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(doorway: &Doorway, end: &AtomicBool, sounds: &Arc<Mutex<Sounds>>) {
    use std::os::fd::AsFd;
    while !end.load(Ordering::Relaxed) {
        let mut ready =
            [rustix::event::PollFd::from_borrowed_fd(doorway.as_fd(), rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        if rustix::event::poll(&mut ready, Some(&patience)).unwrap() > 0 {
            attached(&doorway.accept().unwrap(), end, sounds);
        }
    }
}

fn attached(connection: &Connection, end: &AtomicBool, sounds: &Arc<Mutex<Sounds>>) {
    if connection.receive_hello().unwrap().is_err() {
        return;
    }
    let description = ShardDescription {
        shard: Shard(0),
        core: 0,
        addresses: 1,
        first_port: 40_000,
        last_port: 40_199,
        sessions: 50,
    };
    let page = PageWriter::create(7, description.sessions).unwrap();
    let (side, offer) = offer_shard(description, 7, &page, 256, 256).unwrap();
    welcome(connection, 7, &[offer]).unwrap();
    connection.set_nonblocking(true).unwrap();
    let sounds = Arc::clone(sounds);
    let mut shard = FakeShard { side, next: 0, sessions: HashMap::new(), files: HashMap::new(), sounds };
    while !end.load(Ordering::Relaxed) {
        if !shard.messages(connection) {
            return;
        }
        shard.commands();
        std::thread::sleep(TURN);
    }
}

struct FakeShard {
    side: GatewaySide,
    next: u32,
    sessions: HashMap<u32, (Tag, Option<Recording>)>,
    files: HashMap<Recording, std::fs::File>,
    sounds: Arc<Mutex<Sounds>>,
}

impl FakeShard {
    /// False: the control plane has gone.
    fn messages(&mut self, connection: &Connection) -> bool {
        loop {
            let answer = match connection.receive::<ToGateway>() {
                Err(HandoverError::WouldBlock) => return true,
                Err(_) => return false,
                Ok((ToGateway::Sound { sound, .. }, _)) => {
                    self.sounds.lock().unwrap().handed += 1;
                    ToControl::SoundReady { sound }
                }
                Ok((ToGateway::Recording { recording }, files)) => {
                    let file = files.into_iter().next().unwrap();
                    self.files.insert(recording, file.into());
                    ToControl::RecordingReady { recording }
                }
                Ok(_) => continue,
            };
            if connection.send(&answer, &[]).is_err() {
                return false;
            }
        }
    }

    fn commands(&mut self) {
        while let Some(command) = self.side.commands.pop().unwrap() {
            match command {
                Command::Open { tag, .. } => {
                    self.next += 1;
                    self.sessions.insert(self.next, (tag, None));
                    let session = Session { slot: self.next, generation: 1 };
                    self.say(Event::Opened {
                        tag,
                        session,
                        ports: [LocalPort::first(40_000), LocalPort::first(40_002)],
                    });
                }
                Command::Join { session } => self.say(Event::Joined { session }),
                Command::RecordStart { session, recording, .. } => {
                    if let Some(kept) = self.sessions.get_mut(&session.slot) {
                        kept.1 = Some(recording);
                    }
                }
                Command::Close { session } => self.close(session),
                // A prompt plays until it is stopped; keys are sent in no time.
                Command::PlayStop { session, party, action } => {
                    let outcome = ActionOutcome::Stopped;
                    self.say(Event::ActionEnded { session, party, action, outcome });
                }
                Command::SendKeys { session, party, action, .. } => {
                    let outcome = ActionOutcome::Finished;
                    self.say(Event::ActionEnded { session, party, action, outcome });
                }
                Command::FarEnd { .. }
                | Command::Secure { .. }
                | Command::Learn { .. }
                | Command::Hear { .. }
                | Command::RecordStop { .. }
                | Command::Play { .. } => {}
            }
        }
        self.side.flush();
    }

    fn close(&mut self, session: Session) {
        let Some((tag, recording)) = self.sessions.remove(&session.slot) else { return };
        if let Some((recording, mut file)) =
            recording.and_then(|recording| Some((recording, self.files.remove(&recording)?)))
        {
            file.write_all(b"a recording").unwrap();
            let (outcome, duration) = (RecordOutcome::Saved, Duration::from_millis(1_500));
            let tracks = [Track { lost: 1, gaps: 2, silent_milliseconds: 30 }; 2];
            self.say(Event::Recorded {
                session,
                recording,
                outcome,
                duration,
                bytes: 11,
                missing: 0,
                tracks,
            });
        }
        self.say(Event::Closed { session, tag, statistics: [LegStatistics::default(); 2] });
    }

    fn say(&mut self, event: Event) {
        self.side.events.push(&event).unwrap();
    }
}
