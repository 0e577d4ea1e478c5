use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn key(code: u8) -> Key {
    Key::from_code(code).unwrap()
}

/// The packets of a press as RFC 4733 has them sent: growing, then three ends.
fn press(code: u8, timestamp: u32, steps: u16) -> Vec<EventPacket> {
    let packet = |step: u16| EventPacket {
        timestamp,
        code,
        end: step >= steps,
        duration: step.min(steps) * 160,
        ticks: 1,
    };
    (1..steps).chain([steps; 3]).map(packet).collect()
}

fn hear(packets: &[EventPacket]) -> Vec<(Key, u16)> {
    let mut presses = Presses::new();
    let mut told: Vec<_> = packets.iter().flat_map(|packet| presses.take(1, *packet)).flatten().collect();
    told.extend(presses.lost());
    told
}

#[test]
fn a_press_is_told_at_its_end_with_its_length() {
    let mut presses = Presses::new();
    let packets = press(5, 1000, 5);
    for packet in &packets[..4] {
        assert_eq!(presses.take(1, *packet), [None, None]);
    }
    assert!(presses.is_open());
    assert_eq!(presses.take(1, packets[4]), [None, Some((key(5), 100))]);
    assert!(!presses.is_open());
    assert_eq!(presses.take(1, packets[5]), [None, None]);
    assert_eq!(presses.lost(), None);
}

#[test]
fn the_same_key_twice_is_two_presses() {
    let packets = [press(1, 1000, 5), press(1, 2600, 5)].concat();
    assert_eq!(hear(&packets), [(key(1), 100); 2]);
}

#[test]
fn where_all_ends_are_lost_the_next_press_or_time_ends_it() {
    let packets = [&press(1, 1000, 5)[..3], &press(2, 2600, 5)[..2]].concat();
    assert_eq!(hear(&packets), [(key(1), 60), (key(2), 40)]);
}

#[test]
fn a_packet_after_time_ended_a_press_is_not_another_one() {
    let mut presses = Presses::new();
    let packets = press(7, 1000, 50);
    presses.take(1, packets[0]);
    assert_eq!(presses.lost(), Some((key(7), 20)));
    assert!(packets[1..].iter().all(|packet| presses.take(1, *packet) == [None, None]));
}

#[test]
fn a_press_longer_than_a_segment_is_one() {
    // Eight seconds and more: the second segment begins where the first one's duration ends.
    let mut packets = vec![];
    let whole = |timestamp, end, duration| EventPacket { timestamp, code: 9, end, duration, ticks: 1 };
    packets.push(whole(500, false, 160));
    packets.push(whole(500, false, 0xffff));
    packets.push(whole(500 + 0xffff, false, 160));
    packets.push(whole(500, false, 0xffff));
    packets.push(whole(500 + 0xffff, true, 1600));
    assert_eq!(hear(&packets), [(key(9), 8391)]);
}

#[test]
fn a_new_sender_ends_what_the_one_before_it_pressed() {
    let mut presses = Presses::new();
    presses.take(1, press(3, 1000, 5)[0]);
    let told = presses.take(2, press(3, 1000, 5)[0]);
    assert_eq!(told, [Some((key(3), 20)), None]);
    assert_eq!(presses.lost(), Some((key(3), 20)));
}

#[test]
fn what_is_no_key_is_nothing() {
    // 16 is flash (RFC 4733 table 3), and there are tones above.
    assert_eq!(hear(&press(16, 1000, 5)), []);
    assert_eq!(EventPacket::parse(0, 1, &[1, 2, 3]), None);
}

/// What the network does to one packet: copies of it, and how many packets later each comes.
fn fate() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        4 => Just(vec![0]),
        3 => Just(vec![]),
        1 => proptest::collection::vec(0..14_usize, 1..4),
    ]
}

proptest! {
    /// Lost, doubled, late: a press of which anything arrives is told exactly once, and nothing else is told.
    #[test]
    fn each_press_of_which_anything_arrives_is_told_once(
        start in any::<u32>(),
        keys in proptest::collection::vec((0..16_u8, 2..12_u16, 1..8_u32), 1..12),
        fates in proptest::collection::vec(fate(), 200),
    ) {
        let mut timestamp = start;
        let mut sent = vec![];
        for (code, steps, gap) in keys {
            sent.extend(press(code, timestamp, steps));
            timestamp = timestamp.wrapping_add((u32::from(steps) + gap) * 160);
        }
        let mut arriving: Vec<(usize, usize, EventPacket)> = vec![];
        for (at, packet) in sent.iter().enumerate() {
            let late = &fates[at % fates.len()];
            arriving.extend(late.iter().map(|late| (at + late, at, *packet)));
        }
        arriving.sort_by_key(|(when, at, _)| (*when, *at));
        let arrived: Vec<EventPacket> = arriving.iter().map(|(_, _, packet)| *packet).collect();
        let mut expected: Vec<(u32, u8)> =
            arrived.iter().map(|packet| (packet.timestamp.wrapping_sub(start), packet.code)).collect();
        expected.sort_unstable();
        expected.dedup();
        let mut keys: Vec<u8> = expected.iter().map(|(_, code)| *code).collect();
        let mut told: Vec<u8> = hear(&arrived).iter().map(|(key, _)| key.code()).collect();
        keys.sort_unstable();
        told.sort_unstable();
        prop_assert_eq!(told, keys);
    }
}
