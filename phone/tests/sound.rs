//! What a talker sends, an ear hears, and what is wrong with a stream, it tells.

use std::time::{Duration, Instant};

use duogate_phone::codec::{Codec, ticks};
use duogate_phone::ear::{Ear, Payloads};
use duogate_phone::rtp::{Header, Key};
use duogate_phone::talker::{Start, Talker};
use duogate_phone::tone::{Sound, Tone};
use duogate_phone::violation::Violation;

const START: Start = Start { ssrc: 7, sequence: 65_530, timestamp: 0xffff_ff00 };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

struct Pair {
    origin: Instant,
    talker: Talker,
    ear: Ear,
}

impl Pair {
    fn new(codec: Codec) -> Self {
        let origin = Instant::now();
        let payloads = Payloads::of(codec, Some(101));
        let talker = Talker::new(origin + ms(500), START, payloads, Tone::new(450)).expect("an encoder");
        let mut ear = Ear::new(origin);
        ear.expect(Payloads::of(codec, Some(101)));
        Self { origin, talker, ear }
    }

    /// Packets for so long, each passed on by `change` at its due time.
    fn run(&mut self, time: Duration, mut change: impl FnMut(u64, Vec<u8>) -> Vec<Vec<u8>>) {
        let end = self.talker.due() + time;
        let mut count = 0;
        while self.talker.due() < end {
            let due = self.talker.due();
            for packet in self.talker.packet().map_or_else(Vec::new, |packet| change(count, packet)) {
                self.ear.receive(due, &packet);
            }
            count += 1;
        }
    }

    fn run_well(&mut self, time: Duration) {
        self.run(time, |_, packet| vec![packet]);
    }
}

fn rewritten(packet: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let (mut header, payload) = Header::parse(packet).expect("a talker's packet");
    change(&mut header);
    header.with_payload(payload)
}

#[test]
fn a_good_stream_is_heard_over_the_turn_of_its_numbers() {
    for codec in Codec::ALL {
        let mut pair = Pair::new(codec);
        pair.run_well(ms(1000));
        pair.talker.speak(Tone::new(620));
        pair.run_well(ms(1000));
        let reception = pair.ear.reception();
        assert_eq!((reception.packets, reception.lost, reception.duplicates), (100, 0, 0));
        assert_eq!(reception.violations, []);
        assert_eq!(reception.first, Some(ms(500)));
        assert!(reception.worst_jitter < ms(1), "{reception:?}");
        let heard = pair.ear.heard(&[Tone::new(450), Tone::new(620)]);
        let sounds: Vec<Sound> = heard.iter().map(|heard| heard.sound).collect();
        assert_eq!(sounds, [Sound::Silence, Sound::Tone(450), Sound::Tone(620)]);
        assert!(
            heard[1].from.abs_diff(ms(500)) <= ms(20) && heard[1].to.abs_diff(ms(1500)) <= ms(40),
            "{heard:?}"
        );
    }
}

#[test]
fn loss_duplicates_and_reordering_are_counted() {
    let mut pair = Pair::new(Codec::Pcma);
    let mut held = None;
    pair.run(ms(1000), |count, packet| match count {
        10 | 11 => vec![],
        20 => vec![packet.clone(), packet],
        30 => {
            held = Some(packet);
            vec![]
        }
        31 => vec![packet, held.take().unwrap()],
        _ => vec![packet],
    });
    let reception = pair.ear.reception();
    assert_eq!((reception.packets, reception.lost), (48, 2));
    assert_eq!((reception.duplicates, reception.reordered), (1, 1));
    assert_eq!(reception.violations, []);
    assert_eq!(reception.longest_gap, ms(60));
}

#[test]
fn a_pause_needs_a_marker_and_time_passes() {
    let mut pair = Pair::new(Codec::Pcma);
    pair.run_well(ms(400));
    pair.talker.quiet(true);
    pair.run_well(ms(1000));
    pair.talker.quiet(false);
    pair.run_well(ms(400));
    assert_eq!(pair.ear.reception().violations, []);
    assert_eq!(pair.ear.reception().markers, 2);
    let heard = pair.ear.heard(&[Tone::new(450)]);
    assert_eq!(heard.len(), 4, "{heard:?}");
    assert!(heard[2].length().abs_diff(ms(1000)) <= ms(40), "{heard:?}");

    pair.talker.quiet(true);
    pair.run_well(ms(100));
    pair.talker.quiet(false);
    pair.run(ms(40), |_, packet| vec![rewritten(&packet, |header| header.marker = false)]);
    assert!(matches!(
        pair.ear.reception().violations[..],
        [Violation::Timestamp { advanced: 960, expected: 160, .. }]
    ));
}

#[test]
fn a_torn_stream_is_noticed() {
    let mut pair = Pair::new(Codec::Pcma);
    pair.run(ms(600), |count, packet| {
        vec![rewritten(&packet, |header| {
            if count >= 10 {
                header.ssrc = 8;
            }
            if count == 20 {
                header.payload_type = 3;
            }
        })]
    });
    let violations = pair.ear.reception().violations;
    let expected =
        [Violation::SsrcChanged { from: 7, to: 8 }, Violation::NoMarkerAtStart, Violation::PayloadType(3)];
    assert_eq!(violations, expected);

    let mut pair = Pair::new(Codec::Pcma);
    pair.run(ms(1300), |count, packet| {
        vec![rewritten(&packet, |header| {
            if count >= 26 {
                header.timestamp = header.timestamp.wrapping_add(16_000);
                header.marker = true;
            }
        })]
    });
    assert_eq!(pair.ear.reception().violations, [Violation::Drift]);

    // A second in which nothing was heard, and then all of it at once: late, but not torn.
    let mut pair = Pair::new(Codec::Pcma);
    let mut kept = Vec::new();
    pair.run(ms(3000), |count, packet| {
        kept.push(packet);
        // The very first ones, too, which set the clock.
        if count < 10 || (60..110).contains(&count) { vec![] } else { std::mem::take(&mut kept) }
    });
    assert_eq!(pair.ear.reception().violations, []);
}

#[test]
fn strangers_and_rubbish_are_noticed() {
    let origin = Instant::now();
    let mut ear = Ear::new(origin);
    ear.receive(origin, &[0x80; 30]);
    ear.expect(Payloads::of(Codec::Pcma, None));
    ear.receive(origin, b"hello");
    ear.stranger();
    let violations = ear.reception().violations;
    assert!(matches!(violations[..], [Violation::Unexpected, Violation::NotRtp(_), Violation::Stranger]));
    for _ in 0..100 {
        ear.stranger();
    }
    assert_eq!((ear.reception().violations.len(), ear.reception().more_violations), (50, 53));
}

#[test]
fn keys_are_pressed_and_heard() {
    // An event counts in the clock of the codec beside it.
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut pair = Pair::new(codec);
        pair.run_well(ms(100));
        pair.talker.press("1#".chars().filter_map(Key::new));
        pair.run_well(ms(1000));
        let reception = pair.ear.reception();
        assert_eq!(reception.violations, []);
        assert_eq!(reception.lost, 0);
        let keys: Vec<_> =
            reception.keys.iter().map(|key| (key.key.character(), key.held, key.ended)).collect();
        assert_eq!(keys, [('1', ms(100), true), ('#', ms(100), true)]);
        assert_eq!(reception.keys[0].at, pair.talker.due() - pair.origin - ms(1000));
    }
}

#[test]
fn a_stream_may_change_its_codec_and_with_it_its_clock() {
    let mut pair = Pair::new(Codec::Pcma);
    pair.run_well(ms(1000));
    let wide = Payloads::of(Codec::Opus, Some(101));
    let start = Start { sequence: START.sequence.wrapping_add(50), timestamp: 77, ..START };
    pair.talker = Talker::new(pair.talker.due(), start, wide, Tone::new(620)).expect("an encoder");
    pair.ear.expect(wide);
    pair.run_well(ms(2000));
    let reception = pair.ear.reception();
    assert_eq!((reception.packets, reception.lost, &reception.violations[..]), (150, 0, &[][..]));
    let heard = pair.ear.heard(&[Tone::new(450), Tone::new(620)]);
    let long = heard.iter().find(|heard| heard.sound == Sound::Tone(620)).expect("the second tone");
    assert!(long.length() >= ms(1900), "{heard:?}");
}

#[test]
fn a_packet_of_opus_says_how_long_it_is() {
    let length = |first: u8, second: u8| ticks(Codec::Opus, &[first, second]);
    // RFC 6716 section 3.1, tables 2 and 3: SILK, hybrid and CELT, one frame, two frames, a number of them.
    assert_eq!((length(1 << 3, 0), length(3 << 3 | 1, 0)), (Some(960), Some(5_760)));
    assert_eq!((length(13 << 3, 0), length(14 << 3, 0)), (Some(960), Some(480)));
    assert_eq!(
        (length(16 << 3, 0), length(31 << 3 | 2, 0), length(19 << 3 | 3, 6)),
        (Some(120), Some(1_920), Some(5_760))
    );
    // 140 ms, no frame, no second octet, nothing.
    assert_eq!((length(19 << 3 | 3, 7), length(3, 0)), (None, None));
    assert_eq!(
        (ticks(Codec::Opus, &[3]), ticks(Codec::Opus, &[]), ticks(Codec::G722, &[0; 160])),
        (None, None, Some(160))
    );
}
