//! Only the parties are heard.

use std::net::UdpSocket;
use std::time::Duration;

use duogate_channel::command::{Command, Source};
use duogate_channel::counters::Counter;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;

use crate::house::{Gateway, until};
use crate::party::{Phone, call, warm_up};

const QUIET: Duration = Duration::from_millis(150);

#[test]
fn strangers_are_not_forwarded() {
    let (_gateway, _control, _session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    let mut stranger = Phone::new(Codec::Pcma);
    stranger.gateway = one.gateway;
    stranger.ssrc = one.ssrc;
    for _ in 0..20 {
        stranger.say(&[66; 160]);
    }
    assert_eq!(two.hear_within(QUIET), None, "before the first real packet");
    warm_up(&mut one, &two);
    for _ in 0..20 {
        stranger.say(&[66; 160]);
    }
    one.say(&[7; 160]);
    assert_eq!(two.hear().payload, vec![7; 160]);
    assert_eq!(two.hear_within(QUIET), None);
}

#[test]
fn what_strangers_queued_before_the_far_end_was_known_is_thrown_away() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    let mut stranger = Phone::new(Codec::Pcma);
    stranger.gateway = ([127, 0, 0, 1], ports[0]).into();
    for _ in 0..20 {
        stranger.say(&[66; 160]);
    }
    let (mut one, mut two) = (Phone::new(Codec::Pcma), Phone::new(Codec::Pcma));
    one.gateway = ([127, 0, 0, 1], ports[0]).into();
    two.gateway = ([127, 0, 0, 1], ports[1]).into();
    control.far_end(session, Party::One, one.far_end());
    control.far_end(session, Party::Two, two.far_end());
    control.join(session);
    assert_eq!(two.hear_within(QUIET), None);
    let page = &control.attachment.shards[0].page;
    until("the drained packets are counted", || (page.get(Counter::DroppedNoFarEnd) == 20).then_some(()));
    assert_ne!(warm_up(&mut one, &two).1.payload[0], 66);
}

#[test]
fn garbage_on_a_port_harms_nobody() {
    let (_gateway, control, _session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    warm_up(&mut one, &two);
    let page = &control.attachment.shards[0].page;
    let before = page.get(Counter::DroppedMalformed);
    let mut sent = 0;
    for length in [0usize, 1, 4, 11, 12, 13, 172, 1024, 1400, 9000] {
        for octet in [0x00, 0x40, 0x80, 0x9f, 0xbf, 0xff] {
            one.socket.send_to(&vec![octet; length], one.gateway).unwrap();
            sent += 1;
        }
    }
    until("the garbage is counted", || {
        (page.get(Counter::DroppedMalformed) + page.get(Counter::DroppedOversized) > before + sent / 3)
            .then_some(())
    });
    while two.hear_within(Duration::from_millis(20)).is_some() {}
    warm_up(&mut one, &two);
}

#[test]
fn a_far_end_that_answers_with_icmp_errors_does_not_stop_the_stream() {
    let (_gateway, mut control, session, [mut one, mut two]) = call([Codec::Pcma, Codec::Pcma]);
    // A port that nobody has: every packet to it is answered with "port unreachable".
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    control.far_end(
        session,
        Party::One,
        duogate_channel::command::FarEnd { address: nobody, ..one.far_end() },
    );
    control.send(Command::Hear { session, party: Party::One, source: Source::Peer });
    let page = &control.attachment.shards[0].page;
    until("packets go to nobody, and errors come back", || {
        two.say(&[1; 160]);
        (page.get(Counter::PacketsForwarded) >= 10).then_some(())
    });
    control.far_end(session, Party::One, one.far_end());
    warm_up(&mut one, &two);
    warm_up(&mut two, &one);
}

#[test]
fn ports_rest_after_a_session() {
    let gateway = Gateway::start("rest_seconds = 1\nsessions = 2");
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    control.close(session);
    let (other, others) = control.open();
    assert!(ports.iter().all(|port| !others.contains(port)), "a resting port is not given out");
    assert!(UdpSocket::bind(("127.0.0.1", ports[0])).is_err(), "it is still bound");
    until("the ports are released", || {
        ports.iter().all(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok()).then_some(())
    });
    control.close(other);
}
