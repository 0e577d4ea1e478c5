//! `duogate check`: is a configuration right?

use std::path::PathBuf;

use clap::Args;
use duogate_configuration::Configuration;

use crate::Failure;
use crate::screen::{Look, Screen};

/// Check a configuration; names line and key of what is wrong.
///
/// Reads a configuration as the programs would, and checks it against this host: cores, and what values mean
/// together. All findings are told at once, with line, column, key and what was expected.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration file
    #[arg(value_name = "CONFIG", default_value = "duogate.toml")]
    file: PathBuf,
}

pub(crate) fn run(screen: &Screen, options: &Options) -> Result<(), Failure> {
    let file = &options.file;
    let configuration = Configuration::load(file)?;
    screen.line(format_args!("{}: {}", file.display(), screen.paint(Look::Good, "good")));
    let sip: Vec<String> = configuration.sip.listen.iter().map(ToString::to_string).collect();
    let trunks: Vec<&str> = configuration.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
    let media = &configuration.media;
    let addresses: Vec<String> = media.addresses().iter().map(ToString::to_string).collect();
    screen.line(format_args!(
        "  node {}, sip {}, http {}",
        configuration.node.name,
        sip.join(" "),
        configuration.http.listen
    ));
    screen.line(format_args!(
        "  {} shard(s) on {} with ports {}, {} sessions; trunks: {}",
        media.shards(),
        addresses.join(" "),
        media.ports,
        media.sessions,
        if trunks.is_empty() { "none".to_owned() } else { trunks.join(", ") }
    ));
    for trunk in configuration.trunks.iter().filter(|trunk| trunk.exposes_keys()) {
        screen.line(format_args!(
            "  {}: trunk {} has srtp, but not transport = \"tls\": whoever reads its signaling has the keys",
            screen.paint(Look::Attention, "warning"),
            trunk.name
        ));
    }
    Ok(())
}
