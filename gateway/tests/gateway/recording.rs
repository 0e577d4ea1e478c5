//! Recordings.

use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, RecordOutcome};
use duogate_channel::identity::{Recording, Session};
use duogate_channel::message::{FileRefusal, ToControl};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::house::{Control, Gateway};
use crate::party::{Phone, call, joined, paced, warm_up};

fn record(
    control: &mut Control,
    session: Session,
    recording: Recording,
    format: RecordFormat,
    channels: RecordChannels,
) {
    let hold = RecordHold::Silence;
    control.send(Command::RecordStart { session, recording, format, channels, hold });
}

/// Both parties talk for so many packets, each its own octet.
fn talk(phones: &mut [Phone; 2], octets: [u8; 2], packets: u32) {
    paced(0..packets, |_| {
        for (phone, octet) in phones.iter_mut().zip(octets) {
            phone.say(&[octet; 160]);
        }
    });
}

fn recorded(control: &mut Control) -> (RecordOutcome, Duration, u64) {
    loop {
        if let Event::Recorded { outcome, duration, bytes, .. } = control.event() {
            return (outcome, duration, bytes);
        }
    }
}

#[test]
fn party_one_is_left_and_party_two_is_right() {
    let (gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let path = gateway.folder.path().join("a.wav.part");
    let recording = control.recording(&path);
    let [one, two] = &mut phones;
    warm_up(one, two);
    warm_up(two, one);
    record(&mut control, session, recording, RecordFormat::Pcm16, RecordChannels::Separate);
    talk(&mut phones, [0xaa, 0x2a], 75);
    control.send(Command::RecordStop { session, recording });
    let (outcome, duration, bytes) = recorded(&mut control);
    assert_eq!(outcome, RecordOutcome::Saved);
    assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
    let wav = hound::WavReader::open(&path).unwrap();
    let spec = wav.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 8000, 16));
    let samples: Vec<i16> = wav.into_samples().map(Result::unwrap).collect();
    let seconds = samples.len() as f64 / 16_000.0;
    assert!((seconds - duration.as_secs_f64()).abs() < 0.001);
    assert!(seconds > 1.4, "{seconds}");
    let count = |channel: usize, value: i16| {
        samples.iter().skip(channel).step_by(2).filter(|sample| **sample == value).count()
    };
    // 75 packets of 160 samples, of which a few may have come before the recording began. A talker that is held up
    // more and more is followed by a few samples.
    let said = 70 * 160..=75 * 160 + 80;
    assert!(said.contains(&count(0, 32_256)), "left is party 1: {}", count(0, 32_256));
    assert!(said.contains(&count(1, -32_256)), "right is party 2: {}", count(1, -32_256));
    assert_eq!((count(0, -32_256), count(1, 32_256)), (0, 0), "and nobody is on the other side");
}

#[test]
fn stored_formats_have_their_headers() {
    for (format, tag, bits) in
        [(RecordFormat::Alaw, 6, 8), (RecordFormat::Ulaw, 7, 8), (RecordFormat::Pcm16, 1, 16)]
    {
        let gateway = Gateway::start("");
        let mut control = gateway.attach();
        let (session, mut phones) = joined(&mut control, [Codec::Pcma, Codec::Pcmu]);
        let path = gateway.folder.path().join("b.wav.part");
        let recording = control.recording(&path);
        record(&mut control, session, recording, format, RecordChannels::Mixed);
        talk(&mut phones, [0xd5, 0xff], 20);
        control.send(Command::Close { session });
        assert_eq!(recorded(&mut control).0, RecordOutcome::Saved);
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[20..24], [tag, 0, 1, 0], "{format:?}, one channel");
        assert_eq!(file[34..36], [bits, 0]);
        let data = file.windows(4).position(|name| name == b"data").unwrap();
        let size = u32::from_le_bytes(file[data + 4..data + 8].try_into().unwrap()) as usize;
        let end = data + 8 + size;
        assert_eq!(file.len(), end + size % 2);
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
    }
}

#[test]
fn a_file_system_that_refuses_ends_the_recording_and_not_the_call() {
    let (gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let path = gateway.folder.path().join("full.wav.part");
    let recording = control.recording(&path);
    // From here on no file may grow beyond 20,000 octets: the disk is as good as full.
    let limit = Rlimit { current: Some(20_000), maximum: Some(20_000) };
    prlimit(Some(gateway.pid()), Resource::Fsize, limit).unwrap();
    record(&mut control, session, recording, RecordFormat::Pcm16, RecordChannels::Separate);
    talk(&mut phones, [0xaa, 0x2a], 75);
    let (outcome, duration, _) = recorded(&mut control);
    assert!(matches!(outcome, RecordOutcome::WriteFailed { .. }), "{outcome:?}");
    assert!(duration < Duration::from_secs(1), "{duration:?}");
    let [one, two] = &mut phones;
    warm_up(one, two);
    assert!(hound::WavReader::open(&path).is_ok(), "what was written before can be read");
}

#[test]
fn only_a_file_that_can_be_written_is_taken() {
    let (gateway, mut control, session, _) = call([Codec::Pcma, Codec::Pcma]);
    let full = gateway.folder.path().join("full");
    std::fs::write(&full, "something").unwrap();
    let writable = |path: &str| std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let full = full.to_str().unwrap();
    for (file, reason) in [
        (writable("/dev/null"), FileRefusal::Unusable),
        (std::fs::File::open(full).unwrap(), FileRefusal::Unusable),
        (writable(full), FileRefusal::Size),
    ] {
        control.hand_over(Recording(99), &file);
        assert_eq!(control.answer(), ToControl::RecordingRefused { recording: Recording(99), reason });
    }
    record(&mut control, session, Recording(99), RecordFormat::Alaw, RecordChannels::Separate);
    assert_eq!(recorded(&mut control).0, RecordOutcome::Missing);
}

#[test]
fn the_end_of_the_gateway_finishes_recordings() {
    let (gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let path = gateway.folder.path().join("c.wav.part");
    let recording = control.recording(&path);
    record(&mut control, session, recording, RecordFormat::Pcm16, RecordChannels::Separate);
    talk(&mut phones, [1, 2], 30);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.wav");
    std::fs::hard_link(&path, &kept).unwrap();
    let (status, log) = gateway.terminate();
    assert!(status.success(), "{log}");
    let wav = hound::WavReader::open(&kept).unwrap();
    assert!(wav.duration() > 3000, "{}", wav.duration());
}

/// Flags and position of every page of an Ogg file; what is cut at its end is left out.
fn pages(file: &[u8]) -> Vec<(u8, u64)> {
    let (mut pages, mut rest) = (Vec::new(), file);
    while rest.len() > 27 {
        assert_eq!(&rest[..5], b"OggS\0");
        let segments = usize::from(rest[26]);
        let body: usize = rest[27..].iter().take(segments).map(|segment| usize::from(*segment)).sum();
        let Some((page, behind)) = rest.split_at_checked(27 + segments + body) else { break };
        assert_eq!(page[22..26], duogate_channel::ogg::checksum(page).to_le_bytes());
        pages.push((page[5], u64::from_le_bytes(page[6..14].try_into().unwrap())));
        rest = behind;
    }
    pages
}

#[test]
fn a_recording_in_opus_is_an_ogg_file_of_its_length() {
    let (gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let path = gateway.folder.path().join("d.opus.part");
    let recording = control.recording(&path);
    record(&mut control, session, recording, RecordFormat::Opus, RecordChannels::Separate);
    talk(&mut phones, [0xaa, 0x2a], 120);
    control.send(Command::RecordStop { session, recording });
    let (outcome, duration, bytes) = recorded(&mut control);
    assert_eq!(outcome, RecordOutcome::Saved);
    let file = std::fs::read(&path).unwrap();
    assert_eq!(file.len() as u64, bytes);
    let skip = u64::from(u16::from_le_bytes([file[38], file[39]]));
    let pages = pages(&file);
    let (flags, end) = *pages.last().unwrap();
    assert_eq!(flags, duogate_channel::ogg::END);
    let samples = u64::try_from(duration.as_micros()).unwrap() * 48 / 1000;
    assert_eq!(end, samples + skip);
    assert!(duration > Duration::from_millis(2_300), "{duration:?}");
    assert!(pages.len() >= 2 + 2 && file.len() < 20_000, "{} pages, {} octets", pages.len(), file.len());
}

#[test]
fn what_was_recorded_in_opus_can_be_played_when_the_gateway_is_killed() {
    let (gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let path = gateway.folder.path().join("e.opus.part");
    let recording = control.recording(&path);
    record(&mut control, session, recording, RecordFormat::Opus, RecordChannels::Mixed);
    talk(&mut phones, [0xaa, 0x2a], 250);
    rustix::process::kill_process(gateway.pid(), rustix::process::Signal::KILL).unwrap();
    let pages = pages(&std::fs::read(&path).unwrap());
    let (flags, position) = *pages.last().unwrap();
    // Of five seconds, up to two are on their way into a page and to the file.
    assert!(flags == 0 && position >= 2 * 48_000, "{position}");
}
