//! Parties behind a translator of addresses, with real sockets: they are learned where they send from, for a bounded
//! time, by a rule that strangers do not pass; then all is as strict as with everybody.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Rtcp};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::rtcp::{Block, Report, is_rtcp};

use crate::house::{Control, Gateway, until};
use crate::party::{Packet, Phone};
use crate::spray::{STRANGE, ports, quiet, said, spray};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Says that the party may be elsewhere, and where it says that it is.
fn translated(control: &mut Control, session: Session, party: Party, far_end: FarEnd) {
    control.send(Command::Learn { session, party, signaling: LOCAL });
    control.far_end(session, party, far_end);
}

/// A joined call whose party 1 sends from another place than it says: to that place nobody listens.
fn call(gateway: &Gateway) -> (Control, Session, Phone, Phone, Phone) {
    call_with(gateway, Rtcp::Off)
}

/// The same, with RTCP for party 1.
fn call_with(gateway: &Gateway, rtcp: Rtcp) -> (Control, Session, Phone, Phone, Phone) {
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    let [mut one, mut two] = [Phone::new(Codec::Pcma), Phone::new(Codec::Pcma)];
    one.gateway.set_port(ports[0]);
    two.gateway.set_port(ports[1]);
    // Behind a translator: a private address of its own, which is not ours to send to. Here, another socket.
    let inside = Phone::at("127.0.0.3:0", Codec::Pcma);
    translated(&mut control, session, Party::One, FarEnd { rtcp, ..inside.far_end() });
    control.far_end(session, Party::Two, two.far_end());
    control.join(session);
    (control, session, one, two, inside)
}

/// One says something until two hears it.
fn warm(one: &mut Phone, two: &Phone) -> Packet {
    until("the party is learned", || {
        one.say(&[1; 160]);
        two.hear_within(Duration::from_millis(20))
    })
}

#[test]
fn a_party_is_learned_where_it_sends_from_and_then_heard_and_sent_to() {
    let gateway = Gateway::start("");
    let (control, _, mut one, mut two, inside) = call(&gateway);
    two.say(&[9; 160]);
    assert!(one.hear_within(Duration::from_millis(100)).is_none(), "nobody is sent to before");
    assert!(inside.hear_within(Duration::from_millis(20)).is_none());
    warm(&mut one, &two);
    until("it hears", || {
        two.say(&[2; 160]);
        one.hear_within(Duration::from_millis(20))
    });
    let page = control.attachment.shards[0].page.clone();
    until("it is counted", || (page.get(Counter::SourcesLearned) == 1).then_some(()));
}

#[test]
fn one_packet_or_two_teach_nothing_nor_do_gaps_or_other_payloads() {
    let gateway = Gateway::start("");
    let (_control, _, mut one, two, _inside) = call(&gateway);
    let mut stranger = Phone::new(Codec::Pcma);
    stranger.gateway = one.gateway;
    for _ in 0..20 {
        // Two in a row, then a gap; never three.
        stranger.say(&[STRANGE; 160]);
        stranger.say(&[STRANGE; 160]);
        stranger.sequence = stranger.sequence.wrapping_add(7);
    }
    let mut other = Phone::new(Codec::Pcma);
    other.gateway = one.gateway;
    other.payload_type = 77;
    for _ in 0..20 {
        other.say(&[STRANGE; 160]);
    }
    quiet([&two].into_iter(), "nobody was learned");
    let packet = warm(&mut one, &two);
    assert_eq!(packet.payload, vec![1; 160]);
}

#[test]
fn a_spray_before_during_and_after_learning_is_neither_forwarded_nor_does_it_divert_a_stream() {
    let gateway = Gateway::start("");
    let all = ports(&gateway);
    let (mut control, session, mut one, mut two, inside) = call(&gateway);
    // From an address that is neither the signaling's nor the description's: never believed, whatever it sends.
    let stranger = Phone::at("127.0.0.2:0", Codec::Pcma);
    let persistent = |stranger: &Phone, to: &Phone| {
        let mut like = Phone::at("127.0.0.2:0", Codec::Pcma);
        like.gateway = to.gateway;
        for _ in 0..10 {
            like.say(&[STRANGE; 160]);
        }
        spray(stranger, to, all.clone());
        like
    };
    let first = persistent(&stranger, &one);
    quiet([&one, &two, &inside, &stranger, &first].into_iter(), "while it is learned");
    warm(&mut one, &two);
    while said(&two).is_some() {}
    for round in 0..3u8 {
        let other = persistent(&stranger, &one);
        // The same address, another port: it was believed before, and is no longer.
        let mut neighbor = Phone::new(Codec::Pcma);
        neighbor.gateway = one.gateway;
        for _ in 0..10 {
            neighbor.say(&[STRANGE; 160]);
        }
        one.say(&[round; 160]);
        let heard = until("the real packet comes", || said(&two));
        assert_eq!(heard.payload, vec![round; 160]);
        two.say(&[round + 50; 160]);
        let heard = until("and the other way", || said(&one));
        assert_eq!(heard.payload, vec![round + 50; 160]);
        quiet([&inside, &stranger, &other, &neighbor].into_iter(), "after it was learned");
        if round == 1 {
            // A re-INVITE: it is learned anew, from another port of its translator.
            let mut moved = Phone::new(Codec::Pcma);
            moved.gateway = one.gateway;
            one = moved;
            translated(&mut control, session, Party::One, inside.far_end());
            let third = persistent(&stranger, &one);
            quiet([&inside, &stranger, &third].into_iter(), "while it is learned again");
            warm(&mut one, &two);
            while said(&two).is_some() {}
        }
    }
}

#[test]
fn who_is_not_learned_in_time_is_where_its_description_says() {
    let gateway = Gateway::start("");
    let (control, _, mut one, mut two, mut inside) = call(&gateway);
    let page = control.attachment.shards[0].page.clone();
    until("the time is over", || (page.get(Counter::SourcesUnlearned) == 1).then_some(()));
    inside.gateway = one.gateway;
    until("it is sent to there", || {
        two.say(&[2; 160]);
        inside.hear_within(Duration::from_millis(20))
    });
    warm(&mut inside, &two);
    while said(&two).is_some() {}
    for _ in 0..10 {
        one.say(&[STRANGE; 160]);
    }
    quiet([&two, &one].into_iter(), "nobody else is believed any more");
}

/// What a party of this SSRC says about our stream to it.
fn report(ssrc: u32, lost: i32, about: u32) -> Vec<u8> {
    let block = Some(Block { ssrc: about, lost, ..Block::default() });
    let report = Report { ssrc, sender: None, block, cname: [b'x'; 16], bye: false };
    let mut octets = vec![0; report.length()];
    report.emit(&mut octets);
    octets
}

#[test]
fn rtcp_on_a_port_of_its_own_is_learned_after_rtp_by_its_ssrc_and_from_nobody_else() {
    let gateway = Gateway::start("rtcp_seconds = 1");
    // What it says of its port is as private as what it says of its address.
    let (mut control, session, mut one, mut two, _inside) = call_with(&gateway, Rtcp::Port(4711));
    let page = control.attachment.shards[0].page.clone();
    let (ours, theirs) = (("127.0.0.1", one.gateway.port() + 1), UdpSocket::bind("127.0.0.1:0").unwrap());
    let strangers = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| UdpSocket::bind(address).unwrap());
    let lie = |socket: &UdpSocket, ssrc| {
        for about in [0, 1] {
            socket.send_to(&report(ssrc, 4711, about), ours).unwrap();
        }
    };
    // Its own comes too early as well: RTP comes first.
    lie(&theirs, one.ssrc);
    strangers.iter().for_each(|stranger| lie(stranger, one.ssrc));
    warm(&mut one, &two);
    let heard = until("it hears", || {
        two.say(&[2; 160]);
        one.hear_within(Duration::from_millis(20))
    });
    // Another address, or another SSRC; and RTP is no RTCP.
    lie(&strangers[1], one.ssrc);
    lie(&strangers[0], one.ssrc + 1);
    lie(&theirs, one.ssrc + 1);
    strangers[0].send_to(&one.next(&[STRANGE; 160]).octets(), ours).unwrap();
    until("they were refused", || (page.get(Counter::DroppedStranger) >= 8).then_some(()));
    assert_eq!(page.get(Counter::ReportsReceived), 0);
    theirs.send_to(&report(one.ssrc, 5, heard.ssrc), ours).unwrap();
    until("it was believed", || (page.get(Counter::ReportsReceived) == 1).then_some(()));
    // From now on nobody else is, whatever it knows, and reports go there.
    strangers.iter().for_each(|stranger| lie(stranger, one.ssrc));
    theirs.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut octets = [0; 2048];
    let (length, source) = until("a report comes there", || {
        one.say(&[1; 160]);
        two.say(&[2; 160]);
        theirs.recv_from(&mut octets).ok()
    });
    assert!(is_rtcp(&octets[..length]) && source.port() == ours.1);
    strangers.iter().for_each(|stranger| {
        stranger.set_nonblocking(true).unwrap();
        assert!(stranger.recv_from(&mut octets).is_err(), "nothing went to strangers");
    });
    let Event::Closed { statistics, .. } = control.close(session) else { panic!("closed") };
    let quality = statistics[0].quality;
    assert_eq!((quality.reports_received, quality.heard_lost), (1, 5));
}
