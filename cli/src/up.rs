//! `duogate up`: both processes in the foreground.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use duogate_configuration::Configuration;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;
use crate::look::is_ready;
use crate::screen::Screen;
use crate::server::Server;
use crate::supervisor::{Logs, Supervisor};

/// How often the processes are looked after.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Run both processes in the foreground, until SIGTERM or Ctrl-C.
///
/// Runs the gateway and the control plane, and starts each again if it fails.
///
/// Prints one line, "ready http=… sip=…", when calls are taken. Everything else goes to standard error. SIGTERM or
/// Ctrl-C ends both: running calls get shutdown.grace_seconds to end. A second one ends them at once.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "duogate.toml")]
    config: PathBuf,
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals(Signal, Signal);

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::system("signals"));
        Ok(Self(listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?))
    }

    /// One of them has come.
    pub(crate) async fn come(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

pub(crate) async fn run(screen: &Screen, options: Options) -> Result<(), Failure> {
    let configuration = Configuration::load(&options.config)?;
    let grace = Duration::from_secs(u64::from(configuration.shutdown.grace_seconds));
    let mut supervisor = Supervisor::new(&options.config, grace, &Logs::StandardError)?;
    let mut signals = Signals::new()?;
    let outcome = tokio::select! {
        outcome = keep_up(screen, &configuration, &mut supervisor) => outcome,
        () = signals.come() => Ok(()),
    };
    tokio::select! {
        () = supervisor.stop() => return outcome,
        () = signals.come() => {}
    }
    supervisor.kill().await;
    outcome
}

/// Looks after the processes until something is beyond help.
async fn keep_up(
    screen: &Screen,
    configuration: &Configuration,
    supervisor: &mut Supervisor,
) -> Result<(), Failure> {
    let server = Server::at(configuration.http.listen);
    // Else the other one's answer would be taken for ours.
    if TcpStream::connect(&server.authority).await.is_ok() {
        let message = format!("something listens on {} already: another Duogate?", server.authority);
        return Err(Failure::Refused(message));
    }
    start(&server, supervisor).await?;
    let sip: Vec<String> = configuration.sip.listen.iter().map(ToString::to_string).collect();
    screen.line(format_args!("ready http={} sip={}", configuration.http.listen, sip.join(",")));
    loop {
        supervisor.tend()?;
        tokio::time::sleep(TICK).await;
    }
}

/// Starts both processes and returns when calls are taken.
pub(crate) async fn start(server: &Server, supervisor: &mut Supervisor) -> Result<(), Failure> {
    loop {
        supervisor.tend()?;
        if is_ready(server).await {
            supervisor.is_ready();
            return Ok(());
        }
        tokio::time::sleep(TICK).await;
    }
}
