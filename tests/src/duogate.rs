//! The two processes under test, with a configuration and a folder of their own.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::application::Application;
use crate::observer::Observer;
use crate::ports::{self, RtpBlock};
use crate::process::{POLL, Process, program};

/// How long both processes may take until they accept calls.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A gateway and a control plane on free loopback ports.
pub struct Duogate {
    folder: TempDir,
    http_port: u16,
    sip_port: u16,
    gateway: Option<Process>,
    control: Option<Process>,
    /// `duogate up`, where it watches over both.
    up: Option<Process>,
    /// Judges every stream towards every party, where this process may look at packets.
    observer: Option<Observer>,
    _rtp: RtpBlock,
}

/// What a test wants otherwise than the default: lines of TOML, by section.
#[derive(Clone)]
pub struct Changes {
    lines: Vec<(&'static str, String)>,
    rtp_ports: u16,
}

impl Changes {
    /// Nothing is changed.
    #[must_use]
    pub fn none() -> Self {
        Self { lines: Vec::new(), rtp_ports: ports::RTP_PORTS }
    }

    /// Gives the gateway so many ports only.
    #[must_use]
    pub const fn with_rtp_ports(mut self, ports: u16) -> Self {
        self.rtp_ports = ports;
        self
    }

    /// Adds a line (`key = value`) to a section of the configuration, in place of the one that has this key.
    #[must_use]
    pub fn with(mut self, section: &'static str, line: &str) -> Self {
        self.lines.push((section, line.to_owned()));
        self
    }
}

impl Duogate {
    /// Starts both processes with the default configuration and waits until they take calls.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Changes::none())
    }

    /// Starts both processes with some settings changed and waits until they take calls.
    ///
    /// # Panics
    /// If they are not ready in time; the panic shows the end of their logs.
    #[must_use]
    pub fn start_with(changes: &Changes) -> Self {
        Self::start_prepared(changes, |_| {})
    }

    /// The same, after something was done with the folder that they will use.
    ///
    /// # Panics
    /// As [`Duogate::start_with`].
    #[must_use]
    pub fn start_prepared(changes: &Changes, prepare: impl FnOnce(&Path)) -> Self {
        let mut duogate = Self::prepared(changes);
        prepare(duogate.folder());
        duogate.start_gateway();
        duogate.start_control();
        duogate.wait_until_ready();
        duogate
    }

    /// Starts `duogate up`, which starts both and watches over them.
    ///
    /// # Panics
    /// As [`Duogate::start_with`].
    #[must_use]
    pub fn up(changes: &Changes) -> Self {
        let mut duogate = Self::prepared(changes);
        duogate.up = Some(duogate.launch("duogate", &[], &["up"]));
        duogate.wait_until_ready();
        duogate
    }

    fn prepared(changes: &Changes) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (http_port, sip_port) = (ports::free_tcp_port(), ports::free_udp_port());
        for name in ["prompts", "recordings", "run", "state"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in the temporary folder");
        }
        let rtp = RtpBlock::take();
        let ports = rtp.range(changes.rtp_ports);
        let configuration = configuration(http_port, sip_port, &ports, changes);
        fs::write(folder.path().join("duogate.toml"), configuration).expect("a file in the temporary folder");
        let observer = observe(&rtp);
        Self { observer, _rtp: rtp, folder, http_port, sip_port, gateway: None, control: None, up: None }
    }

    /// Starts the gateway (again).
    pub fn start_gateway(&mut self) {
        self.streams_broke_off();
        self.gateway = Some(self.launch("duogate-gateway", &[], &[]));
    }

    /// Starts the gateway by a program that changes something about itself and then becomes the gateway.
    pub fn start_gateway_under(&mut self, changer: &[&str]) {
        self.gateway = Some(self.launch("duogate-gateway", changer, &[]));
    }

    /// Starts the control plane (again).
    pub fn start_control(&mut self) {
        self.control = Some(self.launch("duogate-control", &[], &[]));
    }

    /// Ends the gateway as `kill -9` does.
    pub fn kill_gateway(&mut self) {
        self.gateway = None;
    }

    /// The gateway's streams broke off where it was killed: what comes next on their ports may begin anywhere.
    pub fn streams_broke_off(&self) {
        if let Some(observer) = &self.observer {
            observer.broken_off();
        }
    }

    /// Packets of RTP that the observer has seen on their way to whatever party; none if it may not look.
    #[must_use]
    pub fn observed(&self) -> Option<u64> {
        self.observer.as_ref().map(Observer::packets)
    }

    /// The streams are not judged by the observer, for this reason.
    pub fn forgive_streams(&mut self, _why: &str) {
        self.observer = None;
    }

    /// Hands the gateway's process over; it is killed when dropped.
    ///
    /// # Panics
    /// If it was killed already.
    #[must_use]
    pub fn take_gateway(&mut self) -> Process {
        self.gateway.take().expect("the gateway was started")
    }

    /// Ends the control plane as `kill -9` does.
    pub fn kill_control(&mut self) {
        self.control = None;
    }

    /// The control plane's process.
    ///
    /// # Panics
    /// If it was killed.
    #[must_use]
    pub fn control(&mut self) -> &mut Process {
        self.control.as_mut().expect("the control plane was started")
    }

    /// The gateway's process.
    ///
    /// # Panics
    /// If it was killed.
    #[must_use]
    pub fn gateway(&mut self) -> &mut Process {
        self.gateway.as_mut().expect("the gateway was started")
    }

    /// `duogate up`.
    ///
    /// # Panics
    /// If that is not how they were started.
    #[must_use]
    pub fn supervisor(&mut self) -> &mut Process {
        self.up.as_mut().expect("started by `duogate up`")
    }

    /// Asks the control plane to end in good order.
    pub fn terminate_control(&mut self) {
        self.control().signal(Signal::TERM);
    }

    fn launch(&self, name: &str, changer: &[&str], arguments: &[&str]) -> Process {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{name}.log")))
            .expect("a log file in the temporary folder");
        let errors = log.try_clone().expect("a second handle of the log file");
        let program = program(name);
        let mut command = match changer {
            [] => Command::new(program),
            [changer, its_own @ ..] => {
                let mut command = Command::new(changer);
                command.args(its_own).arg(program);
                command
            }
        };
        command.args(arguments).arg("--config").arg(self.folder.path().join("duogate.toml"));
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Process::start(name, &mut command)
    }

    /// Waits until both processes take calls.
    ///
    /// # Panics
    /// If they are not ready in time; the panic shows the end of their logs.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        while self.get("/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < deadline, "not ready after {START_LIMIT:?}:\n{}", self.logs());
            let processes = [&mut self.gateway, &mut self.control].into_iter().flatten();
            let ended: Vec<_> = processes.filter_map(Process::ended).collect();
            assert!(ended.is_empty(), "a process ended while starting ({ended:?}):\n{}", self.logs());
            std::thread::sleep(POLL);
        }
    }

    /// One HTTP GET: status and body, or nothing where nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        self.http(&format!("GET {path} HTTP/1.1\r\nHost: duogate\r\nConnection: close\r\n\r\n"))
    }

    /// One HTTP POST of JSON: status and body, or nothing where nobody answers.
    #[must_use]
    pub fn post(&self, path: &str, body: &str) -> Option<(u16, String)> {
        let length = body.len();
        self.http(&format!(
            "POST {path} HTTP/1.1\r\nHost: duogate\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends one HTTP request as it stands and reads the answer to its end.
    #[must_use]
    pub fn http(&self, request: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        // A server that refuses a large body may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        Some((status, body))
    }

    /// The value of one sample of `/metrics`, by its name with labels as they are printed.
    #[must_use]
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let (_, body) = self.get("/metrics")?;
        body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// An application connected by WebSocket.
    #[must_use]
    pub fn application(&self) -> Application {
        Application::connect(self.http_port)
    }

    /// The folder with prompts, recordings, state and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a recording of this name lies.
    #[must_use]
    pub fn recording(&self, name: &str) -> PathBuf {
        self.folder.path().join("recordings").join(name)
    }

    /// The TCP port of JSON-RPC, REST and metrics.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The UDP port on which the control plane speaks SIP.
    #[must_use]
    pub fn sip_port(&self) -> u16 {
        self.sip_port
    }

    /// The end of both logs, for messages.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for name in ["duogate-gateway", "duogate-control", "duogate"] {
            let log = fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            let _ = write!(text, "--- {name}\n{end}\n");
        }
        text
    }
}

impl Drop for Duogate {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take().filter(|_| !std::thread::panicking()) {
            observer.verdict().demand();
        }
        // Killed, it would leave its children behind.
        if let Some(up) = &mut self.up {
            up.signal(Signal::TERM);
            up.signal(Signal::TERM);
            let deadline = Instant::now() + START_LIMIT;
            while up.ended().is_none() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
    }
}

/// Watches all RTP ports of a Duogate, if this process may. Where it may not, a test of the observer's own fails and says
/// so, and the others do without.
fn observe(rtp: &RtpBlock) -> Option<Observer> {
    let (first, last) = rtp.bounds();
    match Observer::start(first, last) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        started => Some(started.expect("a packet socket where the right is there")),
    }
}

/// A core for the shard. Tests that run at the same time use different ones, by their process ids.
fn core() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    usize::try_from(std::process::id()).map_or(0, |id| id % cores)
}

fn configuration(http_port: u16, sip_port: u16, rtp_ports: &str, changes: &Changes) -> String {
    let sections = [
        ("node", "name = \"test-1\"".to_owned()),
        ("http", format!("listen = \"127.0.0.1:{http_port}\"")),
        ("sip", format!("listen = [\"udp:127.0.0.1:{sip_port}\"]")),
        ("media", format!("ports = \"{rtp_ports}\"\ncores = [{}]", core())),
        ("limits", String::new()),
        ("policy", String::new()),
        ("store", String::new()),
        ("shutdown", String::new()),
        ("webhook", String::new()),
        ("[trunk]", "name = \"loopback\"\nhosts = [\"127.0.0.1\"]".to_owned()),
    ];
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let mut text = String::new();
    for (section, lines) in sections {
        let changed: Vec<&str> = changes
            .lines
            .iter()
            .filter(|(name, _)| *name == section)
            .map(|(_, line)| line.as_str())
            .collect();
        let kept = lines.lines().filter(|line| changed.iter().all(|changed| key(changed) != key(line)));
        let _ = writeln!(text, "[{section}]");
        for line in kept.chain(changed.iter().copied()) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}
