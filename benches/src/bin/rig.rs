//! The rig: Duogate against its opponents and its goals, in one table.
#![allow(clippy::print_stdout)] // The table is what this program is for.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use duogate_benches::floor::{self, Kind};
use duogate_benches::process::{pin, raise_descriptor_limit, remark};
use duogate_benches::rows::instructions::{self, Work};
use duogate_benches::rows::subject::Subject;
use duogate_benches::rows::{
    GENERATOR_CORE, cable, growth, memory, overload, prompts, recorded, relay, setup, srtp, transcode,
};
use duogate_benches::table::Table;
use duogate_benches::{leavings, plot};

/// Measures Duogate on two cores beside its opponents in the same run, and prints one table: ratios first, then goals
/// and figures. Without a row: all of them, in less than ten minutes. Ends by itself; leaves no process, namespace or
/// pinned map.
///
/// The measured core is kept from halting, as idle=poll does: in a virtual machine a halted core wakes up late, which is
/// no forwarder's doing, and befalls all alike.
///
/// The rows "capacity", "growth" and "prompts" need root, iproute2 and util-linux, the first two also a rig that was built
/// with clang; "relay" runs without rtpengine too; "setup" and "overload" need SIPp; "instructions" needs valgrind. What a row lacks is told, and the row
/// is left out.
#[derive(Debug, Parser)]
#[command(verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    row: Option<Row>,
    /// Folder for the raw figures (figures.json), the table (figures.md) and the plot (figures.svg).
    #[arg(long, global = true, value_name = "FOLDER")]
    figures: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Row {
    /// Loopback: connected pairs through one shard, rtpengine and bare forwarders: processor time a packet, delay, loss.
    Relay {
        /// Pairs: 100 packets a second in, and as many out, each.
        #[arg(long, default_value_t = 1000)]
        pairs: u16,
        /// Length of each slice, in milliseconds.
        #[arg(long, default_value_t = 300)]
        slice: u64,
        /// Slices of each forwarder.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
        /// Without its opponents: to profile it.
        #[arg(long)]
        alone: bool,
    },
    /// A cable (veth) between two namespaces: highest rate without loss of one core, and delay, of every path.
    Capacity {
        /// Which forwarders; all where none is named.
        subjects: Vec<Subject>,
        /// No search: so many packets a second, to profile.
        #[arg(long)]
        rate: Option<u64>,
        /// At that rate: pairs.
        #[arg(long, default_value_t = 20_000, requires = "rate")]
        pairs: u16,
        /// At that rate: for so long.
        #[arg(long, default_value_t = 5, requires = "rate")]
        seconds: u64,
    },
    /// The same cable: what a packet costs from 100 to 20,000 pairs at a constant rate.
    Growth {
        /// Which forwarders; Duogate's where none is named.
        subjects: Vec<Subject>,
    },
    /// Recorded pairs through the sockets of one shard: whether their files are whole, and processor time a packet, beside
    /// rtpengine; and how many recordings in Opus an encoder carries.
    Recorded {
        /// Pairs.
        #[arg(default_values_t = [500, 1000, 2000])]
        pairs: Vec<u16>,
        /// Length of each run.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
    },
    /// Prompts at once over the same cable, with and without real-time priority: how far packets are from their schedule.
    Prompts {
        /// Prompts.
        #[arg(long, default_value_t = 1000)]
        count: usize,
        /// How long they are listened to.
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Runs; the middle one counts.
        #[arg(long, default_value_t = 5)]
        repeats: usize,
    },
    /// Pairs whose parties speak different codecs, through one shard and a helper, beside rtpengine.
    Transcode {
        /// Pairs.
        #[arg(long, default_value_t = 20)]
        pairs: usize,
        /// How long each is measured.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Pairs of which party 1 speaks SRTP, beside plain ones and beside rtpengine.
    Srtp {
        /// Pairs.
        #[arg(long, default_value_t = 400)]
        pairs: usize,
        /// How long each is measured.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Memory of a connected pair in the gateway.
    Memory,
    /// Instructions of the media core for each packet, counted by callgrind.
    Instructions,
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
    /// Ten times the callbacks that are admitted: what is placed, and how fast the rest is refused.
    Overload {
        /// Callbacks a second that are admitted.
        #[arg(long, default_value_t = 200)]
        admitted: u32,
        /// How many times that are asked for.
        #[arg(long, default_value_t = 10)]
        times: u32,
        /// For so long.
        #[arg(long, default_value_t = 8)]
        seconds: u32,
    },
    /// A bare forwarder; the rig starts it for the relay row.
    #[command(hide = true)]
    Floor {
        /// Which.
        kind: Kind,
        /// Where it forwards.
        #[arg(long)]
        address: Ipv4Addr,
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
    /// The media core alone; the rig starts it under callgrind.
    #[command(hide = true)]
    Core {
        /// On what packets.
        work: Work,
        /// How many.
        packets: u32,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            remark(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// All rows, the quickest to answer first.
fn all() -> Vec<Row> {
    let relay = |pairs, rounds| Row::Relay { pairs, slice: 300, rounds, alone: false };
    vec![
        relay(1000, 7),
        relay(250, 2),
        relay(500, 2),
        relay(2000, 2),
        Row::Capacity { subjects: Vec::new(), rate: None, pairs: 0, seconds: 0 },
        Row::Growth { subjects: Vec::new() },
        Row::Recorded { pairs: vec![2000], seconds: 4 },
        Row::Prompts { count: 1000, seconds: 2, repeats: 3 },
        Row::Prompts { count: 5000, seconds: 2, repeats: 3 },
        Row::Transcode { pairs: 20, seconds: 5 },
        Row::Srtp { pairs: 400, seconds: 3 },
        Row::Memory,
        Row::Instructions,
        Row::Setup { rate: 200, seconds: 60, talk: 5 },
        Row::Overload { admitted: 200, times: 10, seconds: 8 },
    ]
}

/// Gives whether every goal was met.
fn run(arguments: Arguments) -> io::Result<bool> {
    raise_descriptor_limit()?;
    match arguments.row {
        Some(Row::Floor { kind, address, pairs, far_end, seconds }) => {
            floor::run(kind, address, pairs, far_end, Duration::from_secs(seconds))?;
            return Ok(true);
        }
        Some(Row::Core { work, packets }) => {
            instructions::work(work, packets);
            return Ok(true);
        }
        _ => {}
    }
    pin(GENERATOR_CORE)?;
    let folder = leavings::folder();
    std::fs::create_dir_all(&folder)?;
    leavings::removed_on_signals()?;
    let mut table = Table::default();
    let mut complete = true;
    for row in arguments.row.map_or_else(all, |row| vec![row]) {
        let begun = std::time::Instant::now();
        match measure(&row, &folder) {
            Ok(rows) => table.append(rows),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remark(&format!("{row:?} left out: {error}"));
            }
            Err(error) => {
                remark(&format!("{row:?} failed: {error}"));
                complete = false;
            }
        }
        remark(&format!("{row:?} took {:.0} s", begun.elapsed().as_secs_f64()));
    }
    print!("{}", table.text());
    if let Some(folder) = arguments.figures {
        plot::write(&table, &folder)?;
    }
    if complete {
        leavings::remove();
    } else {
        remark(&format!("logs are in {}", folder.display()));
    }
    Ok(complete && table.all_met())
}

fn measure(row: &Row, folder: &Path) -> io::Result<Table> {
    match row {
        Row::Relay { pairs, slice, rounds, alone } => {
            let slice = Duration::from_millis(*slice);
            relay::run(relay::Load { pairs: *pairs, slice, rounds: *rounds, alone: *alone }, folder)
        }
        Row::Capacity { subjects, rate: Some(rate), pairs, seconds } => {
            let duration = Duration::from_secs(*seconds);
            cable::at(or_all(subjects, &[Subject::Path]), *pairs, *rate, duration, folder)
        }
        Row::Capacity { subjects, .. } => cable::run(or_all(subjects, &Subject::ALL), folder),
        Row::Growth { subjects } => {
            growth::run(or_all(subjects, &[Subject::Sockets, Subject::Path, Subject::Program]), folder)
        }
        Row::Recorded { pairs, seconds } => recorded::run(pairs, Duration::from_secs(*seconds), folder),
        Row::Prompts { count, seconds, repeats } => {
            prompts::run(*count, Duration::from_secs(*seconds), *repeats, folder)
        }
        Row::Transcode { pairs, seconds } => transcode::run(*pairs, Duration::from_secs(*seconds), folder),
        Row::Srtp { pairs, seconds } => srtp::run(*pairs, Duration::from_secs(*seconds), folder),
        Row::Memory => memory::run(&[1000, 4000], folder),
        Row::Instructions => instructions::run(folder),
        Row::Setup { rate, seconds, talk } => setup::run(
            setup::Load { rate: *rate, duration: Duration::from_secs(*seconds), talk: *talk },
            folder,
        ),
        Row::Overload { admitted, times, seconds } => {
            overload::run(overload::Crowd { admitted: *admitted, times: *times, seconds: *seconds }, folder)
        }
        Row::Floor { .. } | Row::Core { .. } => Ok(Table::default()),
    }
}

fn or_all<'a>(named: &'a [Subject], all: &'a [Subject]) -> &'a [Subject] {
    if named.is_empty() { all } else { named }
}
