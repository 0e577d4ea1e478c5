//! The program beside a model of it, on random packets.

use duogate_fastpath::{FastPath, FlowNumbers, Position};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::frames::{Action, Outcome, frame, parts, rtp, run};
use crate::host::{FAMILIES, Family, Host, flow, index, leg, party};

/// What the sockets' path does, written once more: RFC 3550 A.1, A.3 and A.8 as the gateway's core takes them.
struct Model {
    numbers: FlowNumbers,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Forwarded,
    Duplicate,
    Passed,
}

impl Model {
    fn fate(&self, sequence: u16, timestamp: u32) -> Fate {
        let position = &self.numbers.position;
        let step = sequence.wrapping_sub(position.highest);
        if (1..=3000).contains(&step) {
            let forward = timestamp.wrapping_sub(position.timestamp) < 80_000;
            return if forward { Fate::Forwarded } else { Fate::Passed };
        }
        let back = position.highest.wrapping_sub(sequence);
        match back {
            0..64 if position.seen & (1 << back) != 0 => Fate::Duplicate,
            0..64 if back <= position.span => Fate::Forwarded,
            _ => Fate::Passed,
        }
    }

    /// Takes a packet of A-law, all of it this octet, that arrived at `now`.
    fn take(&mut self, sequence: u16, timestamp: u32, (payload, octet): (u16, u8), now: u64) -> Fate {
        let fate = self.fate(sequence, timestamp);
        if fate == Fate::Passed {
            return fate;
        }
        let numbers = &mut self.numbers;
        numbers.received += 1;
        numbers.octets += u64::from(payload);
        numbers.position.last = now;
        if fate == Fate::Duplicate {
            numbers.duplicates += 1;
            numbers.duplicate_octets += u32::from(payload);
            return fate;
        }
        let position = &mut numbers.position;
        let step = sequence.wrapping_sub(position.highest);
        if step < 0x8000 {
            numbers.expected += u32::from(step);
            numbers.loud += u16::from(payload >= 8 && (octet ^ 0x55) & 0x7f > 1);
            position.highest = sequence;
            position.seen = position.seen.checked_shl(u32::from(step)).unwrap_or(0) | 1;
            position.span = position.span.saturating_add(step);
            if timestamp != position.timestamp {
                (position.timestamp, position.stood, position.samples) = (timestamp, now, payload);
            }
        } else {
            position.seen |= 1 << step.wrapping_neg();
        }
        let samples = u32::try_from(now / 125_000 % (1 << 32)).unwrap();
        let transit = samples.wrapping_sub(timestamp);
        let difference = transit.wrapping_sub(position.transit).cast_signed().unsigned_abs();
        position.transit = transit;
        if difference < 80_000 {
            position.jitter = position.jitter + difference - ((position.jitter + 8) >> 4);
            position.worst = position.worst.max(position.jitter);
        }
        fate
    }
}

/// A packet's number as a distance from the one before, mostly a small one.
fn steps() -> impl Strategy<Value = i32> {
    prop_oneof![6 => Just(1), 3 => -3..6_i32, 2 => -70..70_i32, 1 => 2_995..3_005_i32, 1 => any::<i32>()]
}

/// Of A-law: silence mostly.
fn octets() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0xd5), 2 => 0x50..0x58_u8, 1 => any::<u8>()]
}

fn timestamp_steps() -> impl Strategy<Value = i32> {
    prop_oneof![8 => Just(160), 2 => -400..900_i32, 1 => 79_990..80_010_i32, 1 => any::<i32>()]
}

/// By how much the number and the timestamp of a packet differ from those before; its length, and what it consists of.
type Step = (i32, i32, (u16, u8));

/// Packets, and where the flow stands when they begin.
fn packets() -> impl Strategy<Value = (Position, Vec<Step>)> {
    let position = (any::<u16>(), any::<u64>(), 0..100_u16, any::<u32>(), any::<u32>(), 0..100_000_u32);
    let position = position.prop_map(|(highest, seen, span, timestamp, transit, jitter)| Position {
        highest,
        seen: seen | 1,
        span,
        timestamp,
        transit,
        jitter,
        worst: jitter,
        ..Position::default()
    });
    (position, prop::collection::vec((steps(), timestamp_steps(), (1..400_u16, octets())), 1..120))
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn follow(path: &FastPath, begin: Position, packets: &[Step]) -> Result<(), TestCaseError> {
    let family = Family::Four;
    let mut flow = flow(family);
    flow.position = begin;
    let table = path.table().clone();
    let _ = table.off(index(0, family));
    table.on(index(0, family), &flow).unwrap();
    let mut model = Model { numbers: FlowNumbers { position: begin, ..FlowNumbers::default() } };
    let (mut sequence, mut timestamp) = (begin.highest, begin.timestamp);
    for (step, timestamp_step, (length, octet)) in packets {
        sequence = u16::try_from((i64::from(sequence) + i64::from(*step)).rem_euclid(65_536)).unwrap();
        timestamp = timestamp.wrapping_add_signed(*timestamp_step);
        let sent = rtp(8, sequence, timestamp, flow.ssrc, &vec![*octet; usize::from(*length)]);
        let outcome = run(path, &frame(party(0, family), leg(0, family), &sent));
        let found = table.read(index(0, family)).unwrap();
        // The clock is the kernel's; when it looked is what it wrote.
        let fate = model.take(sequence, timestamp, (*length, *octet), found.position.last);
        let expected = match fate {
            Fate::Forwarded => Action::Send,
            Fate::Duplicate => Action::Drop,
            Fate::Passed => Action::Pass,
        };
        prop_assert_eq!(outcome.action, expected, "{:?}", model.numbers);
        prop_assert_eq!(found, model.numbers);
        // A jump that was passed is not where the sender stands.
        (sequence, timestamp) = (found.position.highest, found.position.timestamp);
    }
    prop_assert_eq!(table.off(index(0, family)), Some(model.numbers));
    Ok(())
}

#[test]
fn the_program_judges_counts_and_measures_like_its_model() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let result = runner(150).run(&packets(), |(begin, packets)| follow(&path, begin, &packets));
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// A frame of a flow that is on, with some octets changed, or a frame of nothing at all.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let changed = (any::<bool>(), prop::collection::vec((0..90_usize, any::<u8>()), 0..4), 0..260_usize);
    let changed = changed.prop_map(|(six, changes, length)| {
        let family = FAMILIES[usize::from(six)];
        let sound = rtp(8, 1000, 50_000, flow(family).ssrc, &[0xd5; 160]);
        let mut frame = frame(party(0, family), leg(0, family), &sound);
        for (place, octet) in changes {
            frame[place] = octet;
        }
        frame.truncate(length.max(14));
        frame
    });
    prop_oneof![3 => changed, 1 => prop::collection::vec(any::<u8>(), 14..200)]
}

#[test]
fn no_frame_comes_out_changed_unless_it_is_a_flows() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let table = path.table().clone();
    let on = |family| {
        let _ = table.off(index(0, family));
        table.on(index(0, family), &flow(family)).unwrap();
    };
    FAMILIES.into_iter().for_each(on);
    let result = runner(4000).run(&frames(), |sent| {
        let Outcome { action, frame } = run(&path, &sent);
        match action {
            Action::Pass => prop_assert_eq!(frame, sent),
            Action::Send => {
                let family = FAMILIES[usize::from(sent[12] == 0x86)];
                // What a change may touch and still be the flow's: MAC addresses, TOS and hops, the number, the
                // marker, the timestamp, the sound, and checksums, whose place is not looked at here.
                let ip = if family == Family::Four { 34 } else { 54 };
                prop_assert_eq!(sent[ip + 8], 0x80);
                prop_assert_eq!(sent[ip + 9] & 0x7f, 8);
                prop_assert_eq!(&sent[ip + 16..ip + 20], &flow(family).ssrc.to_be_bytes());
                prop_assert_eq!(&sent[ip..ip + 2], &party(0, family).port().to_be_bytes());
                prop_assert_eq!(&frame[ip + 2..ip + 4], &party(1, family).port().to_be_bytes());
                prop_assert_eq!(frame.len(), sent.len());
                prop_assert_eq!(&frame[ip + 20..], &sent[ip + 20..]);
                on(family);
            }
            Action::Drop => prop_assert!(false, "dropped"),
            Action::Other(other) => prop_assert!(false, "{}", other),
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    FAMILIES.into_iter().for_each(on);
    for family in FAMILIES {
        let sound = rtp(8, 1000, 50_000, flow(family).ssrc, &[0xd5; 160]);
        let outcome = run(&path, &frame(party(0, family), leg(0, family), &sound));
        assert_eq!(parts(&outcome.frame).destination, party(1, family));
    }
}
