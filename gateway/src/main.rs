//! `duogate-gateway`: the data plane. Carries the sound of two-way callbacks; a control plane tells it what to do.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use duogate_configuration::{Configuration, LogFormat};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Duogate's data plane: receives, rewrites, forwards, plays and records RTP.
///
/// It takes its calls from a control plane (duogate-control) over the Unix socket channel.socket and needs Linux 6.1
/// or later with io_uring. SIGTERM or SIGINT ends it: sessions are closed and recordings are finished.
#[derive(Parser)]
#[command(name = "duogate-gateway", version)]
struct Arguments {
    /// The configuration file, the same for all of Duogate's programs.
    #[arg(long, value_name = "FILE", default_value = "duogate.toml")]
    config: PathBuf,
    /// Checks the configuration, the media address and whether io_uring works here, then ends.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let configuration = match Configuration::load(&arguments.config) {
        Ok(configuration) => configuration,
        Err(error) => return fail(&error.to_string()),
    };
    start_log(&configuration);
    let outcome = if arguments.check {
        duogate_gateway::supervisor::check(&configuration)
    } else {
        duogate_gateway::supervisor::run(&configuration)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("duogate-gateway: {message}");
    ExitCode::FAILURE
}

/// Logs go to standard error. RUST_LOG, where it is set, has the last word on how much.
fn start_log(configuration: &Configuration) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(configuration.log.level.name()));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match configuration.log.format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
