//! The ways of requests inside a dialog: transports, names, sizes, and what is lost on the way.

use duogate_signaling::leg::{Input, SessionInterval};
use duogate_signaling::message::UriBuf;
use duogate_signaling::transaction::{Listener, Path, Question, Transport, Way};

use crate::call::{Call, a_dial, party_path, plain_sdp};
use crate::text::{self, Reply, Text};

/// Answers with this Contact and these header lines.
fn answer(call: &mut Call, invite: &Text, contact: &str, headers: &[&str]) {
    let sdp = plain_sdp();
    call.deliver(&text::response(invite, 200, &Reply { tag: "one", contact, headers, sdp: &sdp }));
}

/// The way of the only message that was sent, and its Via's beginning.
fn way(call: &mut Call, kind: &str) -> (Transport, String, String) {
    let (path, text) = call.sent.remove(0);
    assert_eq!(text.kind(), kind);
    assert!(call.sent.is_empty(), "{:?}", call.sent);
    let via = text.header("Via").split(';').next().unwrap_or_default().to_owned();
    (path.transport, path.address.to_string(), via)
}

fn is(way: &(Transport, String, String), transport: Transport, address: &str, via: &str) {
    assert_eq!(*way, (transport, address.to_owned(), via.to_owned()));
}

#[test]
fn rfc3261_8_1_2_a_dialog_goes_by_the_transport_that_its_target_names() {
    for (contact, transport, address, via) in [
        ("sip:b@192.0.2.40", Transport::Udp, "192.0.2.40:5060", "SIP/2.0/UDP 192.0.2.10:5060"),
        ("sip:b@192.0.2.40;transport=tcp", Transport::Tcp, "192.0.2.40:5060", "SIP/2.0/TCP 192.0.2.10:5070"),
        ("sip:b@192.0.2.40;transport=TLS", Transport::Tls, "192.0.2.40:5061", "SIP/2.0/TLS 192.0.2.10:5061"),
        ("sips:b@192.0.2.40", Transport::Tls, "192.0.2.40:5061", "SIP/2.0/TLS 192.0.2.10:5061"),
        ("sip:b@192.0.2.40;transport=sctp", Transport::Udp, "192.0.2.40:5060", "SIP/2.0/UDP 192.0.2.10:5060"),
        (
            "sip:b@b.example;maddr=192.0.2.41",
            Transport::Udp,
            "192.0.2.41:5060",
            "SIP/2.0/UDP 192.0.2.10:5060",
        ),
    ] {
        let (mut call, invite) = Call::dial();
        answer(&mut call, &invite, contact, &[]);
        is(&way(&mut call, "ACK"), transport, address, via);
        call.release(200);
        is(&way(&mut call, "BYE"), transport, address, via);
    }
}

#[test]
fn rfc3261_12_2_1_1_the_first_route_decides_and_not_the_target() {
    let (mut call, invite) = Call::dial();
    let routes = ["Record-Route: <sip:192.0.2.50;transport=tcp;lr>"];
    answer(&mut call, &invite, "sip:b@192.0.2.40;transport=tls", &routes);
    is(&way(&mut call, "ACK"), Transport::Tcp, "192.0.2.50:5060", "SIP/2.0/TCP 192.0.2.10:5070");
}

/// An UPDATE of the party, from another Contact.
fn update(invite: &Text, cseq: u32, contact: &str) -> Vec<u8> {
    let usual = text::request(invite, "UPDATE", cseq, "one", &[], "");
    let text = String::from_utf8(usual).expect("text");
    text.replace("Contact: <sip:party@192.0.2.20:5060>", &format!("Contact: <{contact}>")).into_bytes()
}

#[test]
fn rfc3261_12_2_2_a_target_that_moves_takes_its_transport_along() {
    let (mut call, invite) = Call::answered();
    call.deliver(&update(&invite, 1, "sip:b@192.0.2.44;transport=tcp"));
    call.one("200");
    call.said.clear();
    call.release(200);
    is(&way(&mut call, "BYE"), Transport::Tcp, "192.0.2.44:5060", "SIP/2.0/TCP 192.0.2.10:5070");
}

#[test]
fn rfc3263_4_a_target_that_is_a_name_is_located_before_anything_is_sent() {
    let (mut call, invite) = Call::dial();
    answer(&mut call, &invite, "sip:b@party.example", &[]);
    let question = Question { host: "party.example".into(), port: None, transport: None };
    assert_eq!(call.asked, [question]);
    call.silent();
    // Its repetitions wait too, and nothing else does.
    answer(&mut call, &invite, "sip:b@party.example", &[]);
    assert_eq!(call.asked.len(), 1);
    call.located(&[(Transport::Tcp, "192.0.2.60:5080"), (Transport::Udp, "192.0.2.61:5060")]);
    assert_eq!(call.kinds(), ["ACK", "ACK"], "one for each");
    assert_eq!(call.said.len(), 1, "{:?}", call.said);
    call.said.clear();
    call.release(200);
    is(&way(&mut call, "BYE"), Transport::Tcp, "192.0.2.60:5080", "SIP/2.0/TCP 192.0.2.10:5070");
}

#[test]
fn rfc3263_4_a_name_that_is_nowhere_is_reached_as_the_invite_was() {
    let (mut call, invite) = Call::dial();
    answer(&mut call, &invite, "sip:b@nowhere.example;transport=tcp", &[]);
    call.located(&[]);
    is(&way(&mut call, "ACK"), Transport::Udp, "192.0.2.20:5060", "SIP/2.0/UDP 192.0.2.10:5060");
}

#[test]
fn a_release_does_not_wait_for_a_name() {
    let (mut call, invite) = Call::dial();
    call.answer(&invite, 180, "one", "");
    call.said.clear();
    answer(&mut call, &invite, "sip:b@party.example", &[]);
    call.release(487);
    assert_eq!(call.kinds(), ["CANCEL"]);
    call.said.clear();
    call.located(&[(Transport::Udp, "192.0.2.60:5060")]);
    assert_eq!(call.kinds(), ["ACK", "BYE"], "the answer had come before");
}

#[test]
fn a_party_cannot_have_names_looked_for_without_end() {
    let (mut call, invite) = Call::answered();
    for number in 1..=40 {
        call.deliver(&update(&invite, number, &format!("sip:b@host{number}.example")));
    }
    assert_eq!(call.asked.len(), 8);
}

#[test]
fn rfc3263_4_3_a_bye_goes_to_the_next_place_of_its_host() {
    let (mut call, invite) = Call::dial();
    answer(&mut call, &invite, "sip:b@party.example", &[]);
    call.located(&[(Transport::Tcp, "192.0.2.60:5060"), (Transport::Tcp, "192.0.2.61:5060")]);
    call.one("ACK");
    call.said.clear();
    call.release(200);
    let (path, _) = call.sent.remove(0);
    call.leg.handle(call.now, Input::Unreachable { path });
    call.drain();
    is(&way(&mut call, "BYE"), Transport::Tcp, "192.0.2.61:5060", "SIP/2.0/TCP 192.0.2.10:5070");
}

#[test]
fn rfc3261_18_4_a_lost_connection_is_made_anew_for_a_request_and_not_for_ever() {
    let (mut call, invite) = Call::dial();
    answer(&mut call, &invite, "sip:b@192.0.2.40;transport=tcp", &[]);
    call.one("ACK");
    call.said.clear();
    call.release(200);
    let mut tries = 0;
    while let Some((path, text)) = call.sent.pop() {
        assert_eq!(text.kind(), "BYE");
        tries += 1;
        call.leg.handle(call.now, Input::Unreachable { path });
        call.drain();
    }
    assert_eq!(tries, 5);
    call.ends();
}

/// A call whose party is refreshed by re-INVITE, which is too large for a datagram.
fn with_large_refresh() -> (Call, Text) {
    let path = Path { listener: Listener(1), transport: Transport::Tcp, ..party_path() };
    let usual = a_dial();
    let (mut call, invite) = Call::dial_with(|dial| {
        dial.wide = Some(Way { path, local: "192.0.2.10:5070".parse().expect("an address") });
        dial.session = Some(SessionInterval { seconds: 1_800 });
        dial.caller = UriBuf::parse(&format!("{}{}", usual.caller, ";x=y".repeat(60))).expect("a URI");
    });
    let contact = format!("sip:{}@192.0.2.20", "b".repeat(500));
    answer(&mut call, &invite, &contact, &["Session-Expires: 1800;refresher=uac", "Supported: timer"]);
    call.one("ACK");
    call.said.clear();
    (call, invite)
}

#[test]
fn rfc3261_18_1_1_a_large_refresh_goes_by_tcp_and_the_dialog_stays() {
    let (mut call, invite) = with_large_refresh();
    assert!(invite.header("Via").starts_with("SIP/2.0/UDP"), "{invite:?}");
    call.elapse(std::time::Duration::from_secs(901));
    let (path, refresh) = call.sent.remove(0);
    assert_eq!((refresh.kind(), path.transport, path.listener), ("INVITE", Transport::Tcp, Listener(1)));
    assert!(refresh.header("Via").starts_with("SIP/2.0/TCP 192.0.2.10:5070;"), "{refresh:?}");
    assert_eq!(refresh.header("CSeq"), "2 INVITE");
    call.answer(&refresh, 200, "one", &plain_sdp());
    is(&way(&mut call, "ACK"), Transport::Udp, "192.0.2.20:5060", "SIP/2.0/UDP 192.0.2.10:5060");
}

#[test]
fn rfc3261_18_1_1_where_no_connection_can_be_made_a_large_refresh_goes_by_udp() {
    let (mut call, _) = with_large_refresh();
    call.elapse(std::time::Duration::from_secs(901));
    let (path, _) = call.sent.remove(0);
    call.leg.handle(call.now, Input::Unreachable { path });
    call.drain();
    let (path, refresh) = call.sent.remove(0);
    assert_eq!((refresh.kind(), path.transport), ("INVITE", Transport::Udp));
    assert_eq!(refresh.header("CSeq"), "3 INVITE");
}

#[test]
fn rfc3261_26_2_2_a_secure_call_goes_by_tls_on_every_hop() {
    let (mut call, invite) = Call::dial_with(|dial| {
        dial.target = UriBuf::parse("sips:1389@192.0.2.20").expect("a URI");
        dial.path = Path { listener: Listener(2), transport: Transport::Tls, ..party_path() };
    });
    assert!(invite.header("Via").starts_with("SIP/2.0/TLS"), "{invite:?}");
    answer(&mut call, &invite, "sip:b@192.0.2.40;transport=udp", &[]);
    is(&way(&mut call, "ACK"), Transport::Tls, "192.0.2.40:5061", "SIP/2.0/TLS 192.0.2.10:5061");
}
