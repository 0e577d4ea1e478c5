//! Requests that are too large for a datagram.

use duogate_channel::time::Instant;
use duogate_signaling::leg::{Dial, Identity, Input, Leg, Output, Way};
use duogate_signaling::message::UriBuf;
use duogate_signaling::transaction::{Listener, Path, Transport};

use crate::call::{Call, a_dial, party_path, plain_sdp};

fn wide() -> Way {
    let path = Path { listener: Listener(1), transport: Transport::Tcp, ..party_path() };
    Way { path, local: "192.0.2.10:5070".parse().expect("an address") }
}

/// A dial whose INVITE has this many octets more than others.
fn larger(dial: &mut Dial, octets: usize) {
    let caller = format!("sip:4711{}@192.0.2.10", "1".repeat(octets));
    dial.caller = UriBuf::parse(&caller).expect("a URI");
}

/// Octets of the INVITE as nothing is changed.
fn usual_size() -> usize {
    let identity = Identity { call_id: 0xC0FFEE, tag: 0x7A6, branch: 0xB4A };
    let mut leg = Leg::dial(Instant::from_nanoseconds(1_000_000_000), a_dial(), identity);
    match leg.poll_output() {
        Some(Output::Send { bytes, .. }) => bytes.len(),
        other => panic!("an INVITE, not {other:?}"),
    }
}

#[test]
fn rfc3261_18_1_1_a_large_invite_moves_its_call_to_tcp() {
    let (_, small) = Call::dial_with(|dial| dial.wide = Some(wide()));
    assert!(small.header("Via").starts_with("SIP/2.0/UDP 192.0.2.10:5060;"), "{small:?}");
    let room = 1_300 - usual_size();
    let (_, fits) = Call::dial_with(|dial| {
        dial.wide = Some(wide());
        larger(dial, room);
    });
    assert!(fits.header("Via").starts_with("SIP/2.0/UDP"), "1,300 octets are not too many: {fits:?}");

    let (mut call, large) = Call::dial_with(|dial| {
        dial.wide = Some(wide());
        larger(dial, room + 1);
    });
    assert!(large.header("Via").starts_with("SIP/2.0/TCP 192.0.2.10:5070;"), "{large:?}");
    assert_eq!(large.header("Contact"), "<sip:192.0.2.10:5070;transport=tcp>");
    assert_eq!(call.leg.path(), wide().path);
    assert_eq!(call.leg.snapshot().path, wide().path, "the journal knows where");
    call.answer(&large, 200, "one", &plain_sdp());
    let ack = call.sent.remove(0);
    assert_eq!((ack.0, ack.1.kind()), (wide().path, "ACK"), "all the call goes there");
}

#[test]
fn rfc3261_18_1_1_where_the_transport_is_fixed_a_large_invite_goes_by_udp() {
    let (call, large) = Call::dial_with(|dial| larger(dial, 1_300));
    assert!(large.header("Via").starts_with("SIP/2.0/UDP"), "{large:?}");
    assert_eq!(call.leg.path(), party_path());
}

#[test]
fn rfc3261_18_1_1_where_no_connection_can_be_made_a_large_invite_goes_by_udp() {
    let (mut call, _) = Call::dial_with(|dial| {
        dial.wide = Some(wide());
        larger(dial, 1_300);
    });
    call.leg.handle(call.now, Input::Unreachable { path: wide().path });
    call.drain();
    assert_eq!(call.said, [Output::Again], "the journal is told, and nobody else");
    call.said.clear();
    let again = call.one("INVITE");
    assert!(again.header("Via").starts_with("SIP/2.0/UDP 192.0.2.10:5060;"), "{again:?}");
    call.answer(&again, 200, "one", &plain_sdp());
    assert_eq!(call.one("ACK").to_tag(), "one");
    assert!(matches!(call.said.as_slice(), [Output::Answered { .. }]), "{:?}", call.said);
}

#[test]
fn a_call_that_was_released_meanwhile_is_not_begun_again() {
    let (mut call, _) = Call::dial_with(|dial| {
        dial.wide = Some(wide());
        larger(dial, 1_300);
    });
    call.release(487);
    call.leg.handle(call.now, Input::Unreachable { path: wide().path });
    call.drain();
    assert!(call.sent.is_empty(), "{:?}", call.sent);
    assert!(call.leg.is_gone());
}
