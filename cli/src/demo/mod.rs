//! `duogate demo`: one callback between two built-in phones, watched, and checked by its sound.

mod chime;
mod evidence;
mod house;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use duogate_phone::codec::Codec;
use duogate_phone::wave;

use crate::screen::{Look, Screen};
use crate::{Failure, up};
use evidence::{Check, Ear};
use house::House;
use stage::{Played, Stage};

/// A pause of this program that can be heard: the phones, which are part of it, pause too.
const STALL: Duration = Duration::from_millis(60);
/// How long the processes may take to start.
const START: Duration = Duration::from_secs(20);

/// Watch one callback between two built-in phones, checked by its sound (about 15 seconds).
///
/// Starts both processes and two phones on free loopback ports, makes one callback with a prompt, ringback and a
/// recording, shows what happens as it happens, and checks by content what each party heard.
///
/// Exit code 1 if anything was not as it should be. The recording and the logs stay in the folder.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder for configuration, logs and recording [default: a new one for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// What the phones speak: PCMA, PCMU, G722 or opus; two, separated by a comma, if each speaks its own
    #[arg(long, value_name = "CODEC", value_delimiter = ',', value_parser = codec, num_args = 1..=2)]
    codec: Vec<Codec>,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "no codec of the phones: PCMA, PCMU, G722, opus".to_owned())
}

pub(crate) async fn run(screen: &Screen, options: &Options) -> Result<(), Failure> {
    let house = House::build(options.folder.as_deref())?;
    let mut supervisor = house.supervisor()?;
    let mut signals = up::Signals::new()?;
    screen.line(format_args!(
        "{}: gateway and control plane, SIP {}, HTTP {}",
        screen.paint(Look::Bold, "Duogate"),
        house.sip,
        house.http
    ));
    let outcome = tokio::select! {
        outcome = perform(screen, &house, &options.codec, &mut supervisor) => outcome,
        () = signals.come() => Err(Failure::Refused("interrupted".to_owned())),
    };
    supervisor.stop().await;
    if let Err(failure) = &outcome {
        screen.line(screen.paint(Look::Bad, failure));
        screen.line(format_args!(
            "The programs' last words ({}):\n{}",
            house.folder.display(),
            house.last_words()
        ));
    }
    let good = outcome? && tell_recording(screen, &house);
    if good { Ok(()) } else { Err(Failure::Told) }
}

/// Plays the whole, and returns whether every check was good.
async fn perform(
    screen: &Screen,
    house: &House,
    codecs: &[Codec],
    supervisor: &mut crate::supervisor::Supervisor,
) -> Result<bool, Failure> {
    let start = tokio::time::timeout(START, up::start(&house.server(), supervisor)).await;
    start.unwrap_or_else(|_| Err(Failure::Refused(format!("not ready within {START:?}"))))?;
    let stage = Stage::open(screen, codecs)?;
    let played = stage.play(&house.server()).await?;
    let checks = examine(&played, house);
    screen.line("");
    screen.line(screen.paint(Look::Bold, "What was heard"));
    for (party, ear) in ["party 1", "party 2"].iter().zip(&played.ears) {
        screen.line(format_args!("  {party}: {}", evidence::in_words(&ear.heard)));
    }
    screen.line("");
    screen.line(screen.paint(Look::Bold, "Sound quality at the phones"));
    for (party, ear) in ["party 1", "party 2"].iter().zip(&played.ears) {
        screen.line(format_args!("  {party}: {}", quality(ear)));
    }
    if played.stall >= STALL {
        let stall = played.stall.as_millis();
        let words = format!("  this host is busy: it kept the phones from running for {stall} ms at a time");
        screen.line(screen.paint(Look::Attention, words));
    }
    screen.line("");
    for check in &checks {
        show(screen, check);
    }
    Ok(checks.iter().all(|check| check.found.is_ok()))
}

fn examine(played: &Played, house: &House) -> Vec<Check> {
    let Played { ears, times, events, .. } = played;
    let mut checks = vec![evidence::events(events)];
    match times {
        None => {
            checks
                .push(Check { what: "both parties were connected", found: Err("they were not".to_owned()) });
        }
        Some(times) => {
            let [one, two] = ears;
            checks.push(evidence::prompt(one, *times));
            checks.push(evidence::ringback(one, *times));
            checks.push(evidence::voice("party 1 heard party 2", one, evidence::VOICE2, *times));
            checks.push(evidence::voice("party 2 heard party 1", two, evidence::VOICE1, *times));
            checks.push(evidence::nothing_else(two));
            checks.push(recording(house, *times));
        }
    }
    checks.push(evidence::stream("the stream to party 1 is sound", &ears[0]));
    checks.push(evidence::stream("the stream to party 2 is sound", &ears[1]));
    checks
}

fn recording(house: &House, times: evidence::Times) -> Check {
    let file = std::fs::read(house.recording()).map_err(|error| error.to_string());
    match file.and_then(|file| wave::read(&file).map_err(|error| error.to_string())) {
        Ok(wave) => evidence::recording(&wave, times),
        Err(error) => Check { what: "the recording can be read", found: Err(error) },
    }
}

fn quality(ear: &Ear) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let reception = &ear.reception;
    let all = reception.packets + reception.lost;
    let lost = if all == 0 { 0.0 } else { 100.0 * to_float(reception.lost) / to_float(all) };
    format!(
        "{} packets, loss {lost:.1} %, jitter {:.2} ms (worst {:.2} ms), longest gap {:.0} ms",
        reception.packets,
        milliseconds(reception.jitter),
        milliseconds(reception.worst_jitter),
        milliseconds(reception.longest_gap),
    )
}

fn to_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn show(screen: &Screen, check: &Check) {
    let (look, word, found) = match &check.found {
        Ok(found) => (Look::Good, "good", found),
        Err(found) => (Look::Bad, "BAD ", found),
    };
    screen.line(format_args!("{}  {:<46} {found}", screen.paint(look, word), check.what));
}

fn tell_recording(screen: &Screen, house: &House) -> bool {
    let recording = house.recording();
    let there = recording.is_file();
    screen.line("");
    if there {
        screen.line(format_args!("Recording: {}", screen.paint(Look::Bold, recording.display())));
    }
    screen.line(format_args!("Logs:      {}", house.folder.display()));
    there
}
