use std::sync::atomic::AtomicBool;

use super::*;
use crate::command::Source;
use crate::event::LegStatistics;
use crate::identity::{LocalPort, Tag};
use crate::snapshot::{LegSnapshot, SessionState};

fn pair(sessions: u32) -> (PageWriter, PageReader) {
    let writer = PageWriter::create(5, sessions).unwrap();
    let reader = PageReader::open(writer.file(), 5).unwrap();
    (writer, reader)
}

/// A snapshot in which every figure is `number`.
fn snapshot(slot: u32, number: u64) -> Snapshot {
    let small = u16::try_from(number & 0x7FFF).unwrap();
    let leg = LegSnapshot {
        port: LocalPort { address: 3, port: small },
        far_end: None,
        hears: Source::Peer,
        ssrc: u32::from(small),
        sequence: small,
        timestamp: u32::from(small),
        packet_samples: small,
        heard: None,
        statistics: LegStatistics {
            packets_received: number,
            packets_sent: number,
            ..LegStatistics::default()
        },
    };
    let session = Session { slot, generation: 1 };
    Snapshot {
        tag: Tag(number),
        session,
        taken_at: Instant::from_nanoseconds(number),
        state: SessionState::Joined,
        legs: [leg; 2],
    }
}

#[test]
fn counters_are_seen_across_the_wall() {
    let (writer, reader) = pair(1);
    for (number, which) in (1..).zip(Counter::ALL) {
        writer.set(*which, number);
        writer.add(*which, 100);
        writer.add_shared(*which, 1000);
    }
    for (number, which) in (1..).zip(Counter::ALL) {
        assert_eq!(reader.get(*which), number + 1100, "{}", which.name());
        assert_eq!(writer.get(*which), number + 1100);
    }
    assert_eq!(reader.heartbeat().nanoseconds(), Counter::ALL.len() as u64 + 1100);
}

#[test]
fn counter_names_are_unlike_and_speak_snake_case() {
    let mut names: Vec<_> = Counter::ALL.iter().map(|which| which.name()).collect();
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    assert!(Counter::ALL.iter().all(|which| which.help().ends_with('.')));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Counter::ALL.len());
}

#[test]
fn a_session_is_shown_and_hidden_in_its_own_slot() {
    let (writer, reader) = pair(3);
    assert_eq!(reader.sessions(), 3);
    writer.show(&snapshot(1, 7));
    assert_eq!(reader.snapshot(0), Ok(None));
    assert_eq!(reader.snapshot(1), Ok(Some(snapshot(1, 7))));
    assert_eq!(reader.snapshot(2), Ok(None));
    assert_eq!(reader.snapshot(3), Err(SnapshotError::NoSuchSlot(3)));
    writer.show(&snapshot(3, 7));
    writer.hide(snapshot(1, 7).session);
    assert_eq!(reader.snapshot(1), Ok(None));
}

#[test]
fn a_slot_left_half_written_is_busy_and_heals_with_the_next_write() {
    let (writer, reader) = pair(1);
    writer.show(&snapshot(0, 7));
    let (sequence, _) = slot_words(&writer.segment, 0, 1).unwrap();
    sequence.store(sequence.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    assert_eq!(reader.snapshot(0), Err(SnapshotError::Busy(0)));
    writer.show(&snapshot(0, 8));
    assert_eq!(reader.snapshot(0), Ok(Some(snapshot(0, 8))));
}

#[test]
fn garbage_in_a_slot_is_told() {
    let (writer, reader) = pair(2);
    let (_, data) = slot_words(&writer.segment, 1, 2).unwrap();
    data[0].store(0xFF, Ordering::Relaxed);
    assert!(matches!(reader.snapshot(1), Err(SnapshotError::Garbage { slot: 1, .. })));
    writer.write(1, &snapshot(0, 7).encode());
    assert!(matches!(reader.snapshot(1), Err(SnapshotError::Garbage { slot: 1, .. })));
}

#[test]
fn a_reader_never_sees_half_of_a_snapshot() {
    let (writer, reader) = pair(1);
    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let counted = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                // A writer that never rests may starve a reader; what it does read must be whole.
                if let Ok(Some(seen)) = reader.snapshot(0) {
                    assert_eq!(seen, snapshot(0, seen.tag.0));
                    reads += 1;
                }
            }
            reads
        });
        for number in 1..=20_000 {
            writer.show(&snapshot(0, number));
            if number % 16 == 0 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        counted.join().unwrap()
    });
    assert_eq!(reader.snapshot(0), Ok(Some(snapshot(0, 20_000))));
    assert!(reads > 0, "the reader never came to read");
}

#[test]
fn a_page_of_another_life_or_shape_is_refused() {
    let writer = PageWriter::create(5, 4).unwrap();
    let epoch = SegmentError::Epoch { found: 5, expected: 6 };
    assert_eq!(PageReader::open(writer.file(), 6).map(|_| ()), Err(epoch));
    assert!(PageWriter::create(5, 0).is_err());
    assert!(PageWriter::create(5, u32::MAX).is_err());
    for parameters in [[4, 1, 0, 0], [3, Counter::ALL.len() as u64, 0, 0], [u64::MAX, 0, 0, 0]] {
        let header = SegmentHeader { kind: SegmentKind::Page, epoch: 5, parameters };
        let (_, file) = Segment::create(&header, words(4).unwrap()).unwrap();
        assert!(PageReader::open(file.as_fd(), 5).is_err(), "{parameters:?}");
    }
}
