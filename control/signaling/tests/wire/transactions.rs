//! Transactions in virtual time, by the sections of RFC 3261 and RFC 6026.

use std::net::SocketAddr;
use std::time::Duration;

use duogate_channel::time::Instant;
use duogate_signaling::message::{Builder, Message, Method, Name, Status};
use duogate_signaling::transaction::{
    CancelError, ClientId, Delivery, Layer, Listener, Output, Path, RequestError, RespondError, ServerId,
    Settings, Transport,
};

pub(crate) const UDP: Path = path(Transport::Udp);
const TCP: Path = path(Transport::Tcp);

const fn path(transport: Transport) -> Path {
    let address = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 5060);
    Path { listener: Listener(0), transport, address }
}

pub(crate) fn at(milliseconds: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(milliseconds)
}

pub(crate) fn request(method: Method<'_>, branch: &str, number: u32) -> Vec<u8> {
    Builder::request(method, "sip:b@192.0.2.2")
        .header(Name::Via, format_args!("SIP/2.0/UDP 192.0.2.1:5060;branch={branch};rport"))
        .header(Name::MaxForwards, 70)
        .header(Name::From, "<sip:a@192.0.2.1>;tag=a")
        .header(Name::To, "<sip:b@192.0.2.2>")
        .header(Name::CallId, "call")
        .header(Name::CSeq, format_args!("{number} {method}"))
        .header(Name::Route, "<sip:proxy;lr>")
        .build()
        .expect("good")
}

pub(crate) fn response(request: &[u8], code: u16, tag: &str) -> Vec<u8> {
    let request = Message::parse(request).expect("valid");
    let status = Status::new(code).expect("a status");
    let source = "192.0.2.1:5060".parse().expect("an address");
    Builder::response_to(&request, source, status, Some(tag)).build().expect("good")
}

fn layer() -> Layer {
    Layer::new(Settings::default())
}

fn feed(layer: &mut Layer, now: Instant, bytes: &[u8]) -> Delivery {
    layer.receive(now, &Message::parse(bytes).expect("valid"))
}

pub(crate) fn outputs(layer: &mut Layer) -> Vec<Output> {
    std::iter::from_fn(|| layer.poll_output()).collect()
}

/// Start lines of what is sent, in words what else comes out.
fn story(layer: &mut Layer) -> Vec<String> {
    let told = outputs(layer).into_iter().map(|output| match output {
        Output::Send { bytes, .. } => {
            String::from_utf8_lossy(&bytes).split(['\r', ' ']).take(2).collect::<Vec<_>>().join(" ")
        }
        Output::TimedOut(_) => "timed out".to_owned(),
        Output::Failed(_) => "failed".to_owned(),
        Output::Unacknowledged(_) => "unacknowledged".to_owned(),
        Output::ClientEnded(_) | Output::ServerEnded(_) => "ended".to_owned(),
    });
    told.collect()
}

/// Runs all timers up to a time; tells when what came out, in milliseconds.
fn run(layer: &mut Layer, until: Instant) -> Vec<(u128, String)> {
    let mut told = Vec::new();
    while let Some(deadline) = layer.next_deadline().filter(|deadline| *deadline <= until) {
        layer.advance(deadline);
        let when = deadline.since(Instant::ZERO).as_millis();
        told.extend(story(layer).into_iter().map(|what| (when, what)));
    }
    told
}

fn times(told: &[(u128, String)], wanted: &str) -> Vec<u128> {
    told.iter().filter(|(_, what)| what.starts_with(wanted)).map(|(when, _)| *when).collect()
}

fn begin(layer: &mut Layer, path: Path, method: Method<'_>) -> (ClientId, Vec<u8>) {
    let bytes = request(method, "z9hG4bK1", 1);
    let id = layer.request(at(0), path, bytes.clone()).expect("begun");
    assert_eq!(story(layer).len(), 1);
    (id, bytes)
}

#[test]
fn rfc3261_17_1_1_2_an_invite_without_answer_is_repeated_and_times_out() {
    // RFC 3261 section 17.1.1.2: timers A and B.
    let mut layer = layer();
    begin(&mut layer, UDP, Method::Invite);
    let told = run(&mut layer, at(100_000));
    assert_eq!(times(&told, "INVITE"), [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!((times(&told, "timed out"), times(&told, "ended")), (vec![32_000], vec![64_000]));
    assert!(layer.is_empty() && layer.next_deadline().is_none());
}

#[test]
fn rfc3261_17_1_1_2_over_a_reliable_transport_nothing_is_repeated() {
    let mut layer = layer();
    begin(&mut layer, TCP, Method::Invite);
    assert_eq!(run(&mut layer, at(100_000)), [(32_000, "timed out".into()), (64_000, "ended".into())]);
    let (_, bytes) = begin(&mut layer, TCP, Method::Options);
    let ok = response(&bytes, 200, "b");
    assert!(matches!(feed(&mut layer, at(10), &ok), Delivery::Response(_)));
    // Timer K is zero.
    assert_eq!(run(&mut layer, at(10)), [(10, "ended".into())]);
}

#[test]
fn rfc3261_17_1_1_2_a_provisional_response_ends_the_repeating() {
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Invite);
    let ringing = response(&bytes, 180, "b");
    assert_eq!(feed(&mut layer, at(100), &ringing), Delivery::Response(id));
    assert_eq!(layer.next_deadline(), None);
    assert_eq!(feed(&mut layer, at(90_000), &ringing), Delivery::Response(id));
}

#[test]
fn rfc3261_17_1_1_2_a_refusal_is_acknowledged_as_often_as_it_comes_and_delivered_once() {
    // RFC 3261 sections 17.1.1.2, 17.1.1.3: timer D.
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Invite);
    let busy = response(&bytes, 486, "b");
    assert_eq!(feed(&mut layer, at(100), &busy), Delivery::Response(id));
    let Some(Output::Send { path, bytes }) = layer.poll_output() else { panic!("an ACK") };
    let ack = Message::parse(&bytes).expect("valid");
    assert_eq!((path, ack.method(), ack.via().branch()), (UDP, Method::Ack, Some("z9hG4bK1")));
    assert_eq!((ack.to().tag(), ack.routes().count()), (Some("b"), 1));
    assert_eq!(feed(&mut layer, at(200), &busy), Delivery::Absorbed);
    assert_eq!(story(&mut layer), ["ACK sip:b@192.0.2.2"]);
    assert_eq!(run(&mut layer, at(100_000)), [(32_100, "ended".into())]);
    assert_eq!(feed(&mut layer, at(100_000), &busy), Delivery::Stray);
}

#[test]
fn rfc6026_7_2_every_2xx_reaches_the_user_for_64_t1() {
    // RFC 6026 section 7.2: Accepted, timer M; forks have tags of their own.
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Invite);
    for (when, tag) in [(100, "b"), (600, "b"), (700, "c")] {
        assert_eq!(feed(&mut layer, at(when), &response(&bytes, 200, tag)), Delivery::Response(id));
    }
    assert_eq!(feed(&mut layer, at(800), &response(&bytes, 486, "d")), Delivery::Absorbed);
    assert_eq!(story(&mut layer), Vec::<String>::new());
    assert_eq!(run(&mut layer, at(100_000)), [(32_100, "ended".into())]);
}

#[test]
fn rfc3261_16_7_a_2xx_after_a_refusal_reaches_the_user_too() {
    // RFC 3261 section 16.7 step 5.
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Invite);
    feed(&mut layer, at(100), &response(&bytes, 486, "b"));
    assert_eq!(feed(&mut layer, at(200), &response(&bytes, 200, "c")), Delivery::Response(id));
}

#[test]
fn rfc3261_9_1_cancel_waits_for_a_provisional_response_and_bounds_the_rest() {
    // RFC 3261 section 9.1.
    let mut layer = layer();
    let (invite, bytes) = begin(&mut layer, UDP, Method::Invite);
    assert_eq!(layer.cancel(at(50), invite, None), Err(CancelError::TooEarly));
    feed(&mut layer, at(100), &response(&bytes, 180, "b"));
    let cancel = layer.cancel(at(200), invite, Some("SIP;cause=408")).expect("begun");
    let Some(Output::Send { bytes: sent, .. }) = layer.poll_output() else { panic!("a CANCEL") };
    let message = Message::parse(&sent).expect("valid");
    assert_eq!((message.method(), message.via().branch()), (Method::Cancel, Some("z9hG4bK1")));
    assert_eq!(message.header(Name::Reason), Some("SIP;cause=408"));
    assert_eq!(layer.cancel(at(300), invite, None), Err(CancelError::TooLate));
    assert_eq!(feed(&mut layer, at(300), &response(&sent, 200, "b")), Delivery::Response(cancel));
    // No final response comes to the INVITE.
    let told = run(&mut layer, at(100_000));
    assert_eq!(times(&told, "timed out"), [32_200]);
    assert!(layer.is_empty());
}

#[test]
fn a_cancelled_invite_ends_with_487_or_with_the_200_that_crossed() {
    for (code, acknowledged) in [(487, 1), (200, 0)] {
        let mut layer = layer();
        let (invite, bytes) = begin(&mut layer, UDP, Method::Invite);
        feed(&mut layer, at(100), &response(&bytes, 180, "b"));
        layer.cancel(at(200), invite, None).expect("begun");
        story(&mut layer);
        assert_eq!(feed(&mut layer, at(300), &response(&bytes, code, "b")), Delivery::Response(invite));
        assert_eq!(story(&mut layer).len(), acknowledged);
        assert_eq!(layer.cancel(at(300), invite, None), Err(CancelError::TooLate));
    }
}

#[test]
fn rfc3261_17_1_2_2_another_request_is_repeated_up_to_t2_and_times_out() {
    // RFC 3261 section 17.1.2.2: timers E and F.
    let mut layer = layer();
    begin(&mut layer, UDP, Method::Bye);
    let told = run(&mut layer, at(100_000));
    assert_eq!(
        times(&told, "BYE"),
        [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
    );
    assert_eq!(times(&told, "timed out"), [32_000]);
}

#[test]
fn rfc3261_17_1_2_2_another_request_in_proceeding_is_repeated_every_t2() {
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Options);
    assert_eq!(feed(&mut layer, at(100), &response(&bytes, 100, "b")), Delivery::Response(id));
    let told = run(&mut layer, at(9_000));
    assert_eq!(times(&told, "OPTIONS"), [500, 4_500, 8_500]);
    let ok = response(&bytes, 200, "b");
    assert_eq!(feed(&mut layer, at(9_000), &ok), Delivery::Response(id));
    assert_eq!(feed(&mut layer, at(9_100), &ok), Delivery::Absorbed);
    // Timer K.
    assert_eq!(run(&mut layer, at(100_000)), [(14_000, "ended".into())]);
}

#[test]
fn rfc3261_17_1_4_a_transport_that_fails_ends_the_request() {
    // RFC 3261 section 8.1.3.1.
    for method in [Method::Invite, Method::Bye] {
        let mut layer = layer();
        let (id, _) = begin(&mut layer, UDP, method);
        layer.transport_failed(at(10), id);
        assert_eq!(outputs(&mut layer), [Output::Failed(id), Output::ClientEnded(id)]);
        layer.transport_failed(at(10), id);
        assert_eq!((outputs(&mut layer), layer.next_deadline()), (Vec::new(), None));
    }
}

#[test]
fn rfc3261_17_1_3_responses_match_by_branch_sent_by_and_method_alone() {
    // RFC 3261 sections 17.1.3, 18.1.2, 8.1.3.3.
    let mut layer = layer();
    let (id, bytes) = begin(&mut layer, UDP, Method::Invite);
    let good = String::from_utf8(response(&bytes, 180, "b")).expect("ASCII");
    for (from, to) in [
        ("z9hG4bK1", "z9hG4bK2"),
        ("192.0.2.1:5060", "192.0.2.1:5061"),
        ("CSeq: 1 INVITE", "CSeq: 1 CANCEL"),
        ("From:", "Via: SIP/2.0/UDP elsewhere\r\nFrom:"),
    ] {
        assert_eq!(feed(&mut layer, at(1), good.replace(from, to).as_bytes()), Delivery::Stray, "{to}");
    }
    assert_eq!(
        feed(&mut layer, at(1), good.replace("z9hG4bK1", "Z9HG4BK1").as_bytes()),
        Delivery::Response(id)
    );
}

#[test]
fn what_cannot_be_begun() {
    let mut layer = Layer::new(Settings { limit: 1, ..Settings::default() });
    let begin = |layer: &mut Layer, bytes: Vec<u8>| layer.request(at(0), UDP, bytes).map(|_| ());
    assert_eq!(begin(&mut layer, b"garbage".to_vec()), Err(RequestError::NotARequest));
    assert_eq!(begin(&mut layer, request(Method::Ack, "z9hG4bK1", 1)), Err(RequestError::NotARequest));
    assert_eq!(begin(&mut layer, request(Method::Bye, "old", 1)), Err(RequestError::NotARequest));
    let bye = request(Method::Bye, "z9hG4bK1", 1);
    assert_eq!(begin(&mut layer, response(&bye, 200, "b")), Err(RequestError::NotARequest));
    assert_eq!(begin(&mut layer, bye.clone()), Ok(()));
    assert_eq!(begin(&mut layer, request(Method::Bye, "z9hG4bK2", 1)), Err(RequestError::Full));
    let mut roomy = Layer::new(Settings::default());
    assert_eq!(
        (begin(&mut roomy, bye.clone()), begin(&mut roomy, bye)),
        (Ok(()), Err(RequestError::Duplicate))
    );
}

fn accept(layer: &mut Layer, now: Instant, bytes: &[u8]) -> ServerId {
    assert_eq!(feed(layer, now, bytes), Delivery::Request);
    layer.accept(now, UDP, &Message::parse(bytes).expect("valid")).expect("begun")
}

#[test]
fn rfc3261_17_2_2_a_served_request_is_answered_again_when_it_comes_again() {
    // RFC 3261 section 17.2.2: timer J.
    let mut layer = layer();
    let bye = request(Method::Bye, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &bye);
    assert_eq!(feed(&mut layer, at(10), &bye), Delivery::Absorbed);
    assert_eq!(story(&mut layer), Vec::<String>::new());
    assert_eq!(layer.respond(at(20), id, b"garbage".to_vec()), Err(RespondError::NotAResponse));
    assert_eq!(layer.respond(at(20), id, response(&bye, 200, "us")), Ok(()));
    assert_eq!(layer.respond(at(20), id, response(&bye, 200, "us")), Err(RespondError::Answered));
    assert_eq!(feed(&mut layer, at(30), &bye), Delivery::Absorbed);
    assert_eq!(story(&mut layer), ["SIP/2.0 200", "SIP/2.0 200"]);
    assert_eq!(run(&mut layer, at(100_000)), [(32_020, "ended".into())]);
    assert_eq!(layer.respond(at(100_000), id, response(&bye, 200, "us")), Err(RespondError::Gone));
    assert!(layer.is_empty());
}

#[test]
fn rfc3261_17_2_1_an_invite_whose_user_takes_its_time_gets_100() {
    // RFC 3261 section 17.2.1.
    let mut layer = layer();
    let invite = request(Method::Invite, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &invite);
    assert_eq!(run(&mut layer, at(1_000)), [(200, "SIP/2.0 100".into())]);
    assert_eq!(feed(&mut layer, at(1_000), &invite), Delivery::Absorbed);
    assert_eq!(story(&mut layer), ["SIP/2.0 100"]);
    layer.respond(at(1_100), id, response(&invite, 180, "us")).expect("taken");
    feed(&mut layer, at(1_200), &invite);
    assert_eq!(story(&mut layer), ["SIP/2.0 180", "SIP/2.0 180"]);
}

#[test]
fn rfc3261_17_2_1_a_refused_invite_waits_for_its_ack() {
    // RFC 3261 section 17.2.1: timers G, H, I.
    let mut layer = layer();
    let invite = request(Method::Invite, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &invite);
    layer.respond(at(0), id, response(&invite, 488, "us")).expect("taken");
    assert_eq!(story(&mut layer), ["SIP/2.0 488"]);
    let told = run(&mut layer, at(5_000));
    assert_eq!(times(&told, "SIP/2.0 488"), [500, 1_500, 3_500]);
    let ack = request(Method::Ack, "z9hG4bKs", 2);
    assert_eq!(feed(&mut layer, at(5_000), &ack), Delivery::Absorbed);
    assert_eq!(feed(&mut layer, at(5_100), &ack), Delivery::Absorbed);
    story(&mut layer);
    assert_eq!(run(&mut layer, at(100_000)), [(10_000, "ended".into())]);
}

#[test]
fn rfc3261_17_2_1_a_refused_invite_without_ack_is_told() {
    let mut layer = layer();
    let invite = request(Method::Invite, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &invite);
    layer.respond(at(0), id, response(&invite, 488, "us")).expect("taken");
    assert_eq!(story(&mut layer), ["SIP/2.0 488"]);
    let told = run(&mut layer, at(100_000));
    assert_eq!((times(&told, "unacknowledged"), times(&told, "ended")), (vec![32_000], vec![32_000]));
    assert_eq!(times(&told, "SIP/2.0 488").len(), 10);
}

#[test]
fn rfc6026_7_1_an_accepted_invite_is_repeated_until_the_user_has_the_ack() {
    // RFC 3261 section 13.3.1.4, RFC 6026 section 7.1: timer L.
    let mut layer = layer();
    let invite = request(Method::Invite, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &invite);
    layer.respond(at(0), id, response(&invite, 200, "us")).expect("taken");
    assert_eq!(story(&mut layer), ["SIP/2.0 200"]);
    assert_eq!(times(&run(&mut layer, at(2_000)), "SIP/2.0 200"), [500, 1_500]);
    assert_eq!(feed(&mut layer, at(2_000), &invite), Delivery::Absorbed);
    assert_eq!(
        feed(&mut layer, at(2_100), &request(Method::Ack, "z9hG4bKother", 2)),
        Delivery::Acknowledgement
    );
    // Some clients use the INVITE's branch for it.
    assert_eq!(feed(&mut layer, at(2_100), &request(Method::Ack, "z9hG4bKs", 2)), Delivery::Acknowledgement);
    layer.acknowledged(at(2_100), id);
    story(&mut layer);
    assert_eq!(run(&mut layer, at(100_000)), [(32_000, "ended".into())]);
}

#[test]
fn rfc6026_7_1_an_accepted_invite_without_ack_is_told() {
    let mut layer = layer();
    let invite = request(Method::Invite, "z9hG4bKs", 2);
    let id = accept(&mut layer, at(0), &invite);
    layer.respond(at(0), id, response(&invite, 200, "us")).expect("taken");
    assert_eq!(story(&mut layer), ["SIP/2.0 200"]);
    let told = run(&mut layer, at(100_000));
    assert_eq!(times(&told, "unacknowledged"), [32_000]);
}

#[test]
fn rfc3261_9_2_a_cancel_finds_its_invite() {
    // RFC 3261 section 9.2.
    let mut layer = layer();
    let cancel = request(Method::Cancel, "z9hG4bKs", 2);
    assert_eq!(feed(&mut layer, at(0), &cancel), Delivery::Request, "to be answered 481");
    let id = accept(&mut layer, at(0), &request(Method::Invite, "z9hG4bKs", 2));
    assert_eq!(feed(&mut layer, at(10), &cancel), Delivery::Cancel(id));
    let own = layer.accept(at(10), UDP, &Message::parse(&cancel).expect("valid")).expect("begun");
    layer.respond(at(10), own, response(&cancel, 200, "us")).expect("taken");
    assert_eq!(feed(&mut layer, at(20), &cancel), Delivery::Absorbed);
    assert_eq!(story(&mut layer), ["SIP/2.0 200", "SIP/2.0 200"]);
}

#[test]
fn rfc3261_17_2_3_old_clients_without_a_unique_branch_are_matched_by_all_else() {
    // RFC 3261 section 17.2.3.
    let mut layer = layer();
    let invite = request(Method::Invite, "1", 2);
    let id = accept(&mut layer, at(0), &invite);
    assert_eq!(feed(&mut layer, at(1), &invite), Delivery::Absorbed);
    assert_eq!(feed(&mut layer, at(1), &request(Method::Invite, "1", 3)), Delivery::Request);
    layer.respond(at(1), id, response(&invite, 486, "us")).expect("taken");
    let ack = String::from_utf8(request(Method::Ack, "1", 2)).expect("ASCII");
    let ack = ack.replace("To: <sip:b@192.0.2.2>", "To: <sip:b@192.0.2.2>;tag=us");
    assert_eq!(feed(&mut layer, at(2), ack.as_bytes()), Delivery::Absorbed);
    story(&mut layer);
    assert_eq!(run(&mut layer, at(100_000)), [(5_002, "ended".into())]);
}

#[test]
fn rfc3261_18_2_2_answers_go_where_the_request_came_from() {
    let mut layer = layer();
    let bye = request(Method::Bye, "z9hG4bKs", 2);
    let source: SocketAddr = "198.51.100.7:40000".parse().expect("an address");
    let message = Message::parse(&bye).expect("valid");
    let id = layer.accept(at(0), Path { address: source, ..UDP }, &message).expect("begun");
    layer.respond(at(0), id, response(&bye, 200, "us")).expect("taken");
    // Whoever repeats it: the answer goes to the first source.
    layer.receive(at(1), &message);
    for output in outputs(&mut layer) {
        assert!(matches!(output, Output::Send { path, .. } if path.address == source), "{output:?}");
    }
}
