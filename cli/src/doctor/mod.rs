//! `duogate doctor`: what this host lacks, and how to mend it.

mod facts;
mod fast_path;
mod findings;

use std::path::PathBuf;

use clap::Args;
use duogate_configuration::Configuration;

use crate::Failure;
use crate::screen::{Look, Screen};
use facts::Facts;
use findings::{Finding, Grade};

/// Look at this host: what Duogate needs, what is missing, and how to mend it.
///
/// Looks at kernel, limits, memory, ports and folders, and says how to mend what is not right.
///
/// Exit code 1 if something keeps Duogate from working.
#[derive(Args)]
pub(crate) struct Options {
    /// The configuration that the host shall fit; if there is no such file, the defaults
    #[arg(long, value_name = "FILE", default_value = "duogate.toml")]
    config: PathBuf,
}

pub(crate) fn run(screen: &Screen, options: &Options) -> Result<(), Failure> {
    let configuration = if options.config.exists() {
        Configuration::load(&options.config)?
    } else {
        let mut configuration = Configuration::default();
        let folder = std::env::current_dir().map_err(Failure::system("the current folder"))?;
        configuration.resolve(&folder).map_err(Failure::system("the current folder"))?;
        configuration
    };
    let facts = Facts::gather(&configuration, &options.config);
    let findings = findings::examine(&facts, &configuration);
    for finding in &findings {
        show(screen, finding);
    }
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Bad).count();
    if bad == 0 { Ok(()) } else { Err(Failure::Told) }
}

fn show(screen: &Screen, finding: &Finding) {
    let (look, word) = match finding.grade {
        Grade::Good => (Look::Good, "good"),
        Grade::Unsure => (Look::Attention, "look"),
        Grade::Bad => (Look::Bad, "bad "),
    };
    screen.line(format_args!("{}  {}", screen.paint(look, word), finding.what));
    if let Some(fix) = &finding.fix {
        screen.line(format_args!("      {}", screen.paint(Look::Bold, fix)));
    }
}
