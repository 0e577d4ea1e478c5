//! What a message costs in allocations. The numbers are those of today; one that grows has to have a reason.

use duogate_channel::sound::Codec;
use duogate_signaling::message::{Builder, Message, Method, Name, Status};
use duogate_signaling::sdp::LocalDescription;

use crate::allocator::during;
use crate::world::{PARTY, STRANGER, World};

fn offer() -> Vec<u8> {
    LocalDescription::new(7, PARTY, &[Codec::Pcma, Codec::Pcmu]).offer()
}

fn invite(offer: &[u8]) -> Vec<u8> {
    Builder::request(Method::Invite, "sip:+4930123456789@192.0.2.5:5060;user=phone")
        .header(Name::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport")
        .header(Name::MaxForwards, 70)
        .header(Name::From, "\"Duogate\" <sip:4940555@192.0.2.1>;tag=88a7s1928301774")
        .header(Name::To, "<sip:+4930123456789@192.0.2.5;user=phone>")
        .header(Name::CallId, "0123456789abcdef0123456789abcdef")
        .header(Name::CSeq, "1 INVITE")
        .header(Name::Contact, "<sip:4940555@192.0.2.1:5060>")
        .header(Name::Supported, "100rel, timer")
        .build_with("application/sdp", offer)
        .expect("an INVITE")
}

#[test]
fn reading_a_message_allocates_its_index_alone() {
    let bytes = invite(&offer());
    let (read, allocations, _) = during(|| Message::parse(&bytes).is_ok());
    assert!(read);
    assert!(allocations <= 1, "{allocations} allocations");
}

#[test]
fn writing_a_message_allocates_its_bytes_alone() {
    let (described, of_offer, _) = during(offer);
    let (_, allocations, _) = during(|| invite(&described));
    assert!(of_offer <= 44, "{of_offer} allocations for an offer");
    assert!(allocations <= 1, "{allocations} allocations");
    let bytes = invite(&offer());
    let message = Message::parse(&bytes).expect("valid");
    let answer = || Builder::response_to(&message, PARTY, Status::RINGING, Some("t")).build();
    let (_, allocations, _) = during(answer);
    assert!(allocations <= 1, "{allocations} allocations");
}

#[test]
fn a_stranger_costs_few_allocations_and_a_call_a_bounded_number() {
    let mut world = World::with_calls(1);
    let bytes = invite(&offer());
    world.deliver_strange(&bytes);
    let ((), allocations, _) = during(|| world.deliver(STRANGER, &bytes));
    assert!(allocations <= 3, "{allocations} allocations for a stranger's INVITE");
    // From its construction to its end, when others run out.
    let mut busy = World::with_calls(0);
    (0..100).for_each(|_| busy.callback());
    let ((), whole, _) = during(|| (0..100).for_each(|_| busy.callback()));
    assert!(whole / 100 <= 600, "{} allocations from construct to the end", whole / 100);
    // A callback that is up: its resource, two INVITEs, two answers, two ACKs, and what the gateway is told.
    let (_, allocations, held) = during(|| World::with_calls(11));
    let (_, one, first) = during(|| World::with_calls(1));
    let (each, octets) = ((allocations - one) / 10, (held - first) / 10);
    assert!(each <= 450, "{each} allocations for a callback");
    assert!(octets <= 20 * 1024, "{octets} octets are held for a callback");
}
