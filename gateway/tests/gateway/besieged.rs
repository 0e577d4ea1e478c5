//! Calls on the fast path under attack: RTP, RTCP and STUN of strangers to every port. Nothing of theirs is forwarded, no
//! stream goes to them, and no call leaves the path for it.

use std::net::IpAddr;
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Rtcp};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;

use crate::beside::Call;
use crate::party::Phone;
use crate::spaces::{GATEWAY, PARTIES, STRANGER};
use crate::spray::{STRANGE, ports, quiet, spray};

/// Packets of one attack on one port: STUN, two of RTCP, three of RTP.
const SPRAYED: u64 = 6;

/// From an address of its own, and from those of the parties, whose ports are others.
fn strangers(call: &Call) -> [Phone; 3] {
    [STRANGER, PARTIES[0], PARTIES[1]].map(|address| {
        let mut stranger = Phone::new(Codec::Pcma);
        stranger.socket = call.spaces.socket(address);
        stranger
    })
}

/// All strangers to all ports, as each of the parties; and each party to the port of the other.
fn attack(call: &Call, strangers: &[Phone]) {
    let all = ports(&call.gateway);
    for victim in &call.phones {
        strangers.iter().for_each(|stranger| spray(stranger, victim, all.clone()));
    }
    for (stranger, victim) in [(0, 1), (1, 0)] {
        let port = call.phones[victim].gateway.port();
        spray(&call.phones[stranger], &call.phones[victim], port..=port);
    }
}

/// Attacks a call that is on the path, again and again while both talk. Each of them hears the other and nothing else.
fn besiege(call: &mut Call, strangers: &[Phone; 3]) {
    let (moves, passed) = (call.figure(Counter::PathMoves), call.figure(Counter::PathPassedStranger));
    for _ in 0..3 {
        attack(call, strangers);
        call.talk(20);
    }
    quiet(call.phones.iter().chain(strangers), "nothing but what the parties said");
    // Those that came to the two ports of RTP, by six packets from each of seven: nearly all of them, for a queue may
    // have been full.
    call.wait_for(Counter::PathPassedStranger, passed + 3 * 2 * 5 * SPRAYED);
    assert_eq!(call.figure(Counter::PathMoves), moves, "it stayed on the path");
    assert_eq!(call.figure(Counter::PathDirections), 2);
}

/// Nothing of the strangers' RTCP was believed, and none of their packets counts as a party's.
fn demand_untouched(mut call: Call) {
    let Event::Closed { statistics, .. } = call.control.close(call.session) else { panic!("closed") };
    for leg in statistics {
        let quality = leg.quality;
        assert_eq!((quality.reports_received, quality.bye, leg.packets_lost), (0, false, 0), "{quality:?}");
    }
}

#[test]
fn a_spray_at_a_call_on_the_path_is_not_forwarded_diverts_nothing_and_takes_nothing_off_it() {
    for rtcp in [Rtcp::Muxed, Rtcp::Port(9)] {
        let Some(mut call) = Call::reporting(GATEWAY, PARTIES, rtcp) else { return };
        let strangers = strangers(&call);
        besiege(&mut call, &strangers);
        demand_untouched(call);
    }
}

#[test]
fn nor_does_it_where_a_party_is_learned_before_it_goes_on_the_path() {
    let Some(mut call) = Call::reporting(GATEWAY, PARTIES, Rtcp::Muxed) else { return };
    let strangers = strangers(&call);
    for _ in 0..2 {
        // It says that it is elsewhere, at a port where nobody is, and it is learned anew.
        let described = (PARTIES[0].parse::<IpAddr>().unwrap(), 9).into();
        let far_end = FarEnd { address: described, ..call.phones[0].far_end() };
        let (session, signaling) = (call.session, described.ip());
        call.control.send(Command::Learn { session, party: Party::One, signaling });
        call.control.far_end(session, Party::One, far_end);
        call.settle();
        // Three in a row and more, but from an address that nobody has named.
        let mut persistent = Phone::new(Codec::Pcma);
        persistent.socket = call.spaces.socket(STRANGER);
        persistent.gateway = call.phones[0].gateway;
        for _ in 0..10 {
            persistent.say(&[STRANGE; 160]);
        }
        attack(&call, &strangers);
        quiet(call.phones.iter().chain(&strangers), "while it is learned");
        assert!(call.figure(Counter::PathDirections) < 2, "the path knows nobody who is still being learned");
        call.warm_up();
        while call.phones.iter().any(|phone| phone.hear_within(Duration::from_millis(50)).is_some()) {}
        call.warm_up();
        besiege(&mut call, &strangers);
        quiet([&persistent].into_iter(), "nor did it get anything");
    }
}
