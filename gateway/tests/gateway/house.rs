//! A running gateway, and a control plane as small as can be.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command as Program, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use duogate_channel::command::{Command, FarEnd, LegOpening, Repeat, Source};
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Recording, Session, Sound, Tag};
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::segment::SealedBytes;
use duogate_channel::sides::Attachment;
use duogate_channel::sound::Codec;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Ports of one gateway.
const PORTS: u16 = 64;

/// A gateway process; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) folder: TempDir,
}

impl Gateway {
    /// Starts one with these settings added to `[media]`, and waits until it listens.
    pub(crate) fn start(media: &str) -> Self {
        Self::start_limited(media, "true")
    }

    /// The same, after a shell command that sets limits.
    pub(crate) fn start_limited(media: &str, limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let first_port = free_ports();
        let last_port = first_port + PORTS - 1;
        let file = folder.path().join("duogate.toml");
        let sessions = if media.contains("sessions") { "" } else { "sessions = 8" };
        let ports = format!("ports = \"{first_port}-{last_port}\"");
        let ports = if media.contains("ports") { "" } else { &ports };
        fs::write(&file, format!("[media]\n{ports}\n{sessions}\n{media}\n[limits]\nmax_calls = 1\n"))
            .unwrap();
        let mut shell = Program::new("sh");
        shell.arg("-c").arg(format!("{limits} && exec \"$0\" --config \"$1\""));
        shell.arg(env!("CARGO_BIN_EXE_duogate-gateway")).arg(&file);
        let child = shell.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let gateway = Self { child, folder };
        until("the gateway listens", || gateway.socket().exists().then_some(()));
        gateway
    }

    /// Ends the process and starts another one in its place, at once.
    pub(crate) fn restart_after(mut self, end: Signal) -> Self {
        kill_process(self.pid(), end).unwrap();
        self.child.wait().unwrap();
        let _stale = fs::remove_file(self.socket());
        let mut program = Program::new(env!("CARGO_BIN_EXE_duogate-gateway"));
        program.arg("--config").arg(self.folder.path().join("duogate.toml"));
        self.child = program.stderr(Stdio::piped()).spawn().unwrap();
        until("the gateway listens", || self.socket().exists().then_some(()));
        self
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/gateway.sock")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn attach(&self) -> Control {
        // The socket has its name a moment before it listens.
        let attachment = until("the gateway takes us", || Attachment::open(&self.socket(), DEADLINE).ok());
        Control { attachment, next: 1 }
    }

    /// Sends SIGTERM, waits for the end, and gives what was logged.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.wait()
    }

    /// Waits for the end, and gives what was logged.
    fn wait(&mut self) -> (ExitStatus, String) {
        let status = until("the gateway ends", || self.child.try_wait().unwrap());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status, log)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until there is something, or the deadline passes.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited too long: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A range of ports that nobody uses now, different for each test process.
fn free_ports() -> u16 {
    let ranges = 300;
    let start = std::process::id() % ranges;
    for offset in 0..ranges {
        let range = u16::try_from((start + offset * 7) % ranges).unwrap();
        let first = 12_000 + range * PORTS;
        if (first..first + PORTS).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no free ports");
}

/// A control plane with one shard.
pub(crate) struct Control {
    pub(crate) attachment: Attachment,
    next: u32,
}

impl Control {
    pub(crate) fn send(&mut self, command: Command) {
        self.attachment.shards[0].send(&command).unwrap();
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Event {
        self.event_within(DEADLINE).expect("an event")
    }

    pub(crate) fn event_within(&mut self, time: Duration) -> Option<Event> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.attachment.shards[0].wait_event(left).unwrap();
            if event.is_some() || left.is_zero() {
                return event;
            }
        }
    }

    /// A new session and its ports.
    pub(crate) fn open(&mut self) -> (Session, [u16; 2]) {
        let tag = Tag(u64::from(self.number()));
        self.send(Command::Open { tag, legs: [LegOpening::FRESH; 2] });
        match self.event() {
            Event::Opened { tag: opened, session, ports } if opened == tag => {
                (session, ports.map(|port| port.port))
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn far_end(&mut self, session: Session, party: Party, far_end: FarEnd) {
        self.send(Command::FarEnd { session, party, far_end });
    }

    pub(crate) fn play(&mut self, session: Session, party: Party, sound: Sound, repeat: Repeat) {
        self.send(Command::Hear { session, party, source: Source::Sound { sound, repeat } });
    }

    pub(crate) fn join(&mut self, session: Session) {
        self.send(Command::Join { session });
        assert_eq!(self.event(), Event::Joined { session });
    }

    /// Closes a session and waits for the report.
    pub(crate) fn close(&mut self, session: Session) -> Event {
        self.send(Command::Close { session });
        loop {
            let event = self.event();
            if matches!(event, Event::Closed { session: closed, .. } if closed == session) {
                return event;
            }
        }
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Hands a sound over.
    pub(crate) fn sound(&mut self, codec: Codec, octets: &[u8]) -> Sound {
        let sound = Sound(self.number());
        let file = SealedBytes::create(octets).unwrap();
        let message = ToGateway::Sound { sound, codec, bytes: octets.len() as u64 };
        self.attachment.connection.send(&message, &[file.as_fd()]).unwrap();
        assert_eq!(self.answer(), ToControl::SoundReady { sound });
        sound
    }

    /// Hands a file over to record into.
    pub(crate) fn recording(&mut self, path: &std::path::Path) -> Recording {
        let recording = Recording(u64::from(self.number()));
        let file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        self.hand_over(recording, &file);
        assert_eq!(self.answer(), ToControl::RecordingReady { recording });
        recording
    }

    pub(crate) fn hand_over(&self, recording: Recording, file: impl AsFd) {
        self.attachment.connection.send(&ToGateway::Recording { recording }, &[file.as_fd()]).unwrap();
    }

    pub(crate) fn answer(&self) -> ToControl {
        self.attachment.connection.receive::<ToControl>().unwrap().0
    }
}
