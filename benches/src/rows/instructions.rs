//! Instructions of the media core for each packet, counted by callgrind: free of noise, so that a small step back is
//! seen.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use duogate_channel::command::Repeat;
use duogate_channel::sound::Codec;

use crate::shard::Shard;
use crate::table::{Table, thousands};

/// What the core does with packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Work {
    /// Both parties speak the same codec.
    Forward,
    /// One speaks A-law, the other µ-law.
    Transcode,
    /// Forwarded and recorded.
    Record,
    /// A prompt's packets sent by the clock.
    Prompt,
}

impl Work {
    const ALL: [Self; 4] = [Self::Forward, Self::Transcode, Self::Record, Self::Prompt];

    /// As the command line calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Transcode => "transcode",
            Self::Record => "record",
            Self::Prompt => "prompt",
        }
    }
}

/// Sessions of the shard: enough that no figure is one session's.
const PAIRS: u32 = 100;

/// Packets of the two runs; what each of them takes to begin with falls out of the difference.
const FEW: u32 = 20_000;
const MANY: u32 = 120_000;

/// What a forwarded packet may cost, the rig's own part (some 60) included: a feature that is paid for by packets that do
/// not use it shows here.
const MOST_TO_FORWARD: u64 = 450;

/// Does the work on so many packets; this is what runs under callgrind.
pub fn work(work: Work, packets: u32) {
    let mut shard = Shard::new(PAIRS);
    let (same, other) = ([Codec::Pcma; 2], [Codec::Pcma, Codec::Pcmu]);
    match work {
        Work::Forward => shard.join_all(same, false),
        Work::Transcode => shard.join_all(other, false),
        Work::Record => shard.join_all(same, true),
        Work::Prompt => {
            shard.play_all(Codec::Pcma, Repeat::Forever);
            // Every party hears a packet each 20 ms.
            return shard.pass(Duration::from_millis(20) * (packets / (PAIRS * 2)));
        }
    }
    for _ in 0..packets {
        black_box(shard.packet());
    }
}

/// Counts each work.
///
/// # Errors
/// valgrind is not there, or does not understand this processor.
pub fn run(folder: &Path) -> io::Result<Table> {
    let mut table = Table::default();
    for work in Work::ALL {
        let (few, many) = (count(work, FEW, folder)?, count(work, MANY, folder)?);
        let each = many.saturating_sub(few) / u64::from(MANY - FEW);
        let what = format!("instructions of the media core a packet: {}", work.name());
        match work {
            Work::Forward => {
                let _met = table.judged(&what, thousands(each), "≤ 450", each <= MOST_TO_FORWARD);
            }
            Work::Transcode | Work::Record | Work::Prompt => table.told(&what, thousands(each)),
        }
        #[allow(clippy::cast_precision_loss)] // Some hundreds.
        table.raw(format!("instructions.{}", work.name()), each as f64);
    }
    Ok(table)
}

/// Instructions of one whole run.
fn count(work: Work, packets: u32, folder: &Path) -> io::Result<u64> {
    let out = folder.join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())])
        .arg(std::env::current_exe()?)
        .args(["core", work.name(), &packets.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
    if !status.success() {
        return Err(io::Error::other(format!("valgrind: {status}")));
    }
    let text = fs::read_to_string(&out)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    let total = total.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    total.ok_or_else(|| io::Error::other("callgrind told no total"))
}
