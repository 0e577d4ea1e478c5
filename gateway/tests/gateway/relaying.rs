//! Two parties hear each other.

use std::net::Ipv6Addr;
use std::time::Duration;

use duogate_channel::event::Event;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;

use crate::house::Gateway;
use crate::party::{Phone, call, joined, warm_up};

#[test]
fn each_hears_what_the_other_says() {
    let (_gateway, mut control, session, [mut one, mut two]) = call([Codec::Pcma, Codec::Pcma]);
    let (_, first) = warm_up(&mut one, &two);
    let (_, back) = warm_up(&mut two, &one);
    assert_ne!(first.ssrc, back.ssrc);
    let mut last = first;
    for number in 0..100u8 {
        let said = one.say(&[number; 160]);
        let heard = two.hear();
        assert_eq!(heard.payload, said.payload);
        assert_eq!(heard.payload_type, 8);
        assert_eq!(heard.ssrc, last.ssrc, "one stream");
        assert_eq!(heard.sequence, last.sequence.wrapping_add(1));
        assert_eq!(heard.timestamp, last.timestamp.wrapping_add(160));
        last = heard;
    }
    let Event::Closed { statistics, .. } = control.close(session) else { panic!("closed") };
    assert!(statistics[0].packets_received >= 100 && statistics[1].packets_sent >= 100, "{statistics:?}");
}

#[test]
fn a_budget_of_zero_forwards_at_once() {
    let gateway = Gateway::start("latency_budget_microseconds = 0");
    let mut control = gateway.attach();
    let (_, [mut one, two]) = joined(&mut control, [Codec::Pcma, Codec::Pcma]);
    warm_up(&mut one, &two);
    for number in 0..20 {
        one.say(&[number; 160]);
        assert_eq!(two.hear_within(Duration::from_millis(200)).unwrap().payload, vec![number; 160]);
    }
}

#[test]
fn parties_with_ipv6_addresses() {
    let gateway = Gateway::start("address = \"::1\"");
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    let mut phones = [Phone::at("[::1]:0", Codec::Pcma), Phone::at("[::1]:0", Codec::Pcma)];
    for ((party, phone), port) in Party::BOTH.into_iter().zip(&mut phones).zip(ports) {
        phone.gateway = (Ipv6Addr::LOCALHOST, port).into();
        control.far_end(session, party, phone.far_end());
    }
    control.join(session);
    let [mut one, mut two] = phones;
    warm_up(&mut one, &two);
    warm_up(&mut two, &one);
}

#[test]
fn a_new_source_continues_the_listeners_stream() {
    let (_gateway, _control, _session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    let (_, before) = warm_up(&mut one, &two);
    one.ssrc = 0xdead_beef;
    one.sequence = 100;
    one.timestamp = 1_000_000;
    let (_, after) = warm_up(&mut one, &two);
    assert_eq!(after.ssrc, before.ssrc);
    assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    let step = after.timestamp.wrapping_sub(before.timestamp);
    assert!((1..8000).contains(&step), "time went on by {step}");
}

#[test]
fn alaw_and_ulaw_understand_each_other() {
    let (_gateway, _control, _session, [mut one, mut two]) = call([Codec::Pcma, Codec::Pcmu]);
    warm_up(&mut one, &two);
    // The loudest of one law is the loudest of the other, on the same side of zero (ITU-T G.711 tables 3 and 4).
    for (alaw, ulaw) in [(0xaa, 0x80), (0x2a, 0x00)] {
        one.say(&[alaw; 160]);
        let heard = two.hear();
        assert_eq!((heard.payload_type, heard.payload), (0, vec![ulaw; 160]));
    }
    warm_up(&mut two, &one);
    for (ulaw, alaw) in [(0x80, 0xaa), (0x00, 0x2a)] {
        two.say(&[ulaw; 160]);
        let heard = one.hear();
        assert_eq!((heard.payload_type, heard.payload), (8, vec![alaw; 160]));
    }
}

#[test]
fn digits_keep_each_sides_payload_number() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, [mut one, mut two]) = joined(&mut control, [Codec::Pcma, Codec::Pcma]);
    two.telephone_event = Some(96);
    control.far_end(session, Party::Two, two.far_end());
    warm_up(&mut one, &two);
    warm_up(&mut two, &one);
    let mut digit = one.next(&[5, 10, 0, 160]);
    digit.payload_type = 101;
    digit.marker = true;
    one.send(&digit);
    let heard = two.hear();
    assert_eq!((heard.payload_type, heard.marker, heard.payload), (96, true, vec![5, 10, 0, 160]));
}

#[test]
fn a_moved_far_end_takes_the_stream_along() {
    let (_gateway, mut control, session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    let (_, before) = warm_up(&mut one, &two);
    let mut moved = Phone::new(Codec::Pcma);
    moved.gateway = two.gateway;
    control.far_end(session, Party::Two, moved.far_end());
    let (_, after) = warm_up(&mut one, &moved);
    assert_eq!(after.ssrc, before.ssrc);
    assert!((1..=2000).contains(&after.sequence.wrapping_sub(before.sequence)), "the sequence goes on");
    while two.hear_within(Duration::from_millis(20)).is_some() {}
    one.say(&[1; 160]);
    assert_eq!(two.hear_within(Duration::from_millis(100)), None, "the old place hears nothing any more");
    warm_up(&mut moved, &one);
}

#[test]
fn a_silent_party_is_noticed() {
    let gateway = Gateway::start("silence_timeout_seconds = 1");
    let mut control = gateway.attach();
    let (session, [mut one, two]) = joined(&mut control, [Codec::Pcma, Codec::Pcma]);
    let silent = loop {
        warm_up(&mut one, &two);
        if let Some(event) = control.event_within(Duration::from_millis(10)) {
            break event;
        }
    };
    assert_eq!(silent, Event::Silent { session, party: Party::Two });
}
