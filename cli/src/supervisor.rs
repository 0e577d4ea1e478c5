//! The two processes, kept alive.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Failure;

/// The first pause before a program is started again, while calls wait for it; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran so long was sound: the next pause is the first again.
const SOUND_AFTER: Duration = Duration::from_secs(30);
/// Failures of one program after which a start is given up.
const START_FAILURES: u32 = 4;
/// How long the gateway may take to end: it has only recordings to close.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(10);
/// How long the control plane may take beyond its grace: 8 s for the ends of calls, 2 s for registrars, 5 s each for its store (twice),
/// its events, its WebSockets and its HTTP connections. Where nothing is slow it takes none of that.
const CONTROL_PATIENCE: Duration = Duration::from_secs(35);

/// Where the programs write what they have to say.
#[derive(Clone)]
pub(crate) enum Logs {
    /// To our own standard error.
    StandardError,
    /// To a file each, `NAME.log` in this folder.
    Folder(PathBuf),
}

/// One program, and the process that runs it.
struct Program {
    name: &'static str,
    path: PathBuf,
    config: PathBuf,
    logs: Logs,
    child: Option<Child>,
    started: Instant,
    next_start: Instant,
    pause: Duration,
    failures: u32,
}

/// Both programs.
pub(crate) struct Supervisor {
    gateway: Program,
    control: Program,
    grace: Duration,
    ready: bool,
}

impl Supervisor {
    /// Finds the programs; starts nothing yet.
    pub(crate) fn new(config: &Path, grace: Duration, logs: &Logs) -> Result<Self, Failure> {
        let config = std::path::absolute(config).map_err(Failure::system("the configuration's path"))?;
        let program = |name| Program::find(name, config.clone(), logs.clone());
        let (gateway, control) = (program("duogate-gateway")?, program("duogate-control")?);
        Ok(Self { gateway, control, grace, ready: false })
    }

    /// Starts what does not run and is due; to be called many times a second.
    ///
    /// # Errors
    /// A program cannot be started, or fails again and again before the first call of [`Supervisor::is_ready`].
    pub(crate) fn tend(&mut self) -> Result<(), Failure> {
        let give_up = !self.ready;
        for program in [&mut self.gateway, &mut self.control] {
            program.tend(give_up)?;
        }
        Ok(())
    }

    /// From now on, failures are overcome however many they are.
    pub(crate) const fn is_ready(&mut self) {
        self.ready = true;
    }

    /// Ends both: first the control plane, which needs the gateway to end its calls.
    pub(crate) async fn stop(&mut self) {
        self.control.stop(self.grace + CONTROL_PATIENCE).await;
        self.gateway.stop(GATEWAY_PATIENCE).await;
    }

    /// Ends both at once, whatever they are doing.
    pub(crate) async fn kill(&mut self) {
        for program in [&mut self.control, &mut self.gateway] {
            program.stop(Duration::ZERO).await;
        }
    }
}

impl Program {
    /// Programs lie beside the one that runs.
    fn find(name: &'static str, config: PathBuf, logs: Logs) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::system("the place of this program"))?;
        let path = own.with_file_name(name);
        if !path.is_file() {
            return Err(Failure::Missing(path));
        }
        let now = Instant::now();
        let (child, pause, failures) = (None, FIRST_PAUSE, 0);
        Ok(Self { name, path, config, logs, child, started: now, next_start: now, pause, failures })
    }

    fn tend(&mut self, give_up: bool) -> Result<(), Failure> {
        let now = Instant::now();
        if let Some(child) = &mut self.child {
            let status = child.try_wait().map_err(Failure::system(self.name))?;
            let Some(status) = status else { return Ok(()) };
            self.child = None;
            self.failed(now, status, give_up)?;
        }
        if now >= self.next_start {
            self.start(now)?;
        }
        Ok(())
    }

    fn failed(&mut self, now: Instant, status: ExitStatus, give_up: bool) -> Result<(), Failure> {
        if now.duration_since(self.started) >= SOUND_AFTER {
            (self.pause, self.failures) = (FIRST_PAUSE, 0);
        }
        self.failures += 1;
        if give_up && self.failures >= START_FAILURES {
            let (name, times) = (self.name, self.failures);
            return Err(Failure::KeepsFailing { name, times, status: status.to_string() });
        }
        eprintln!("duogate: {} ended with {status}; it is started again in {:?}", self.name, self.pause);
        self.next_start = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn start(&mut self, now: Instant) -> Result<(), Failure> {
        let (out, err) = self.outputs().map_err(Failure::system(format!("the log of {}", self.name)))?;
        let mut command = Command::new(&self.path);
        command.arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(out).stderr(err);
        // A group of its own: Ctrl-C reaches only this program, which ends the others in their order.
        command.process_group(0);
        let child = command.spawn().map_err(Failure::system(self.path.display().to_string()))?;
        (self.child, self.started) = (Some(child), now);
        Ok(())
    }

    /// Standard output is for the `ready` line alone, so programs write all to their logs.
    fn outputs(&self) -> io::Result<(Stdio, Stdio)> {
        match &self.logs {
            Logs::StandardError => Ok((io::stderr().into(), io::stderr().into())),
            Logs::Folder(folder) => {
                let path = folder.join(format!("{}.log", self.name));
                let file: File = OpenOptions::new().create(true).append(true).open(path)?;
                Ok((file.try_clone()?.into(), file.into()))
            }
        }
    }

    /// Asks the process to end, and ends it if it does not. Canceled on the way, it can be called again.
    async fn stop(&mut self, patience: Duration) {
        let Some(child) = &mut self.child else { return };
        // The process is ours and not reaped, so its number cannot be another's.
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| !patience.is_zero()) {
            // Fails only if it has ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(patience, child.wait()).await.is_err() {
            if !patience.is_zero() {
                eprintln!("duogate: {} does not end; it is killed", self.name);
            }
            // Fails only if it has ended meanwhile.
            let _ = child.kill().await;
        }
        self.child = None;
    }
}
