//! The rig: Duogate against its opponents and its goals, in one table.
#![allow(clippy::print_stdout)] // The table is what this program is for.

use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use duogate_benches::floor::{self, Kind};
use duogate_benches::process::{pin, raise_descriptor_limit, remark};
use duogate_benches::rows::{GENERATOR_CORE, memory, prompts, relay, setup};
use duogate_benches::table::Table;

/// Measures Duogate on two cores over loopback, beside rtpengine and bare forwarders; ends by itself.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    row: Option<Row>,
}

#[derive(Clone, Debug, Subcommand)]
enum Row {
    /// Connected pairs through one shard: loss, processor time a packet, delay.
    Relay {
        /// Pairs: 100 packets a second in, and as many out, each.
        #[arg(long, default_value_t = 1000)]
        pairs: u16,
        /// Length of each run.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Runs of each forwarder.
        #[arg(long, default_value_t = 3)]
        repeats: usize,
        /// Without its opponents: to profile it.
        #[arg(long)]
        alone: bool,
    },
    /// Prompts at once: how far packets are from their schedule.
    Prompts {
        /// Prompts.
        #[arg(long, default_value_t = 1000)]
        count: usize,
        /// How long they are listened to.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Memory of a connected pair in the gateway.
    Memory,
    /// Callbacks set up and torn down through SIPp, with both programs.
    Setup {
        /// Callbacks a second.
        #[arg(long, default_value_t = 200)]
        rate: u32,
        /// For so long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// How long a conversation lasts.
        #[arg(long, default_value_t = 5)]
        talk: u64,
    },
    /// A bare forwarder; the rig starts it for the relay row.
    #[command(hide = true)]
    Floor {
        /// Which.
        kind: Kind,
        /// Pairs.
        #[arg(long)]
        pairs: u16,
        /// Where all packets come from and go to.
        #[arg(long)]
        far_end: SocketAddrV4,
        /// Lifetime.
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().row) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            remark(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Gives whether every goal was met.
fn run(row: Option<Row>) -> io::Result<bool> {
    raise_descriptor_limit()?;
    if let Some(Row::Floor { kind, pairs, far_end, seconds }) = row {
        floor::run(kind, pairs, far_end, Duration::from_secs(seconds))?;
        return Ok(true);
    }
    pin(GENERATOR_CORE)?;
    let folder = std::env::temp_dir().join(format!("duogate-rig-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let rows = match row {
        Some(row) => vec![row],
        None => vec![
            Row::Relay { pairs: 1000, seconds: 10, repeats: 3, alone: false },
            Row::Prompts { count: 1000, seconds: 10 },
            Row::Memory,
            Row::Setup { rate: 200, seconds: 60, talk: 5 },
        ],
    };
    let mut table = Table::default();
    let mut complete = true;
    for row in rows {
        match measure(&row, &folder) {
            Ok(rows) => table.append(rows),
            Err(error) => {
                remark(&format!("{row:?} failed: {error}"));
                complete = false;
            }
        }
    }
    print!("{}", table.text());
    if complete {
        std::fs::remove_dir_all(&folder)?;
    } else {
        remark(&format!("logs are in {}", folder.display()));
    }
    Ok(complete && table.all_met())
}

fn measure(row: &Row, folder: &Path) -> io::Result<Table> {
    match *row {
        Row::Relay { pairs, seconds, repeats, alone } => {
            let load = relay::Load { pairs, duration: Duration::from_secs(seconds), repeats, alone };
            relay::run(load, folder)
        }
        Row::Prompts { count, seconds } => prompts::run(count, Duration::from_secs(seconds), folder),
        Row::Memory => memory::run(&[1000, 4000], folder),
        Row::Setup { rate, seconds, talk } => {
            setup::run(setup::Load { rate, duration: Duration::from_secs(seconds), talk }, folder)
        }
        Row::Floor { .. } => Ok(Table::default()),
    }
}
