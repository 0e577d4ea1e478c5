//! Duogate's control plane: SIP, resources, HTTP.
//!
//! ```text
//! api/ ──requests──> switchboard ──Endpoint──> network, media/link
//!   ^                    │
//!   └─events── store <───┘ ──> webhooks
//! ```

mod api;
mod clock;
mod events;
mod json;
mod media;
mod metrics;
mod names;
mod network;
mod program;
mod recovery;
mod settings;
mod shares;
mod store;
mod supervisor;
mod switchboard;
mod turns;
mod webhooks;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use duogate_configuration::{Configuration, LogFormat};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The control plane of Duogate.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "duogate.toml")]
    config: PathBuf,
    /// Decodes a sound file of at most so many seconds, from standard input to standard output; for this program's own use.
    #[arg(long, hide = true, value_name = "SECONDS")]
    decode_prompt: Option<u32>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(longest_seconds) = arguments.decode_prompt {
        return media::apart::serve(longest_seconds);
    }
    let configuration = match Configuration::load(&arguments.config) {
        Ok(configuration) => configuration,
        Err(error) => return complain(&error.to_string()),
    };
    start_log(&configuration);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    match runtime.block_on(program::run(configuration, arguments.config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the control plane ends");
            complain(&error.to_string())
        }
    }
}

/// Tells whoever started the program why it does not run.
fn complain(message: &str) -> ExitCode {
    eprintln!("duogate-control: {message}");
    ExitCode::FAILURE
}

fn start_log(configuration: &Configuration) {
    // RUST_LOG, where it is set, outranks the configuration: for a closer look at one module.
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(configuration.log.level.name()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match configuration.log.format {
        // Colors are for people who look on; in a file they would be in the way.
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}
