//! The judge beside the line: it sees every packet, knows a broken stream, and does not take its own failure for a good one.

use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};

use duogate_phone::rtp::Header;
use duogate_phone::violation::Violation;
use duogate_phone::{Step, What};
use duogate_tests::capture::Capture;
use duogate_tests::observer::{Observer, Verdict};
use duogate_tests::patience::until;
use duogate_tests::ports::{self, RtpBlock};
use duogate_tests::scene::{STEP, Scene, answers};
use serde_json::json;

const SSRC: u32 = 0x0102_0304;

/// What the other tests silently do without, this one demands.
fn capture(block: &RtpBlock) -> Capture {
    let (first, last) = block.bounds();
    Capture::from_ports(first, last).expect(
        "a packet socket: without root or CAP_NET_RAW the streams towards baresip and SIPp ARE NOT JUDGED in any test",
    )
}

/// What the observer says of packets from a leg's ports: each with its port (RTP 0, RTCP 1).
fn judged(packets: &[(usize, Vec<u8>)]) -> Verdict {
    let block = RtpBlock::take();
    let (first, _) = block.bounds();
    let observer = Observer::over(capture(&block)).expect("a thread");
    let leg = [first + 2, first + 3].map(|port| UdpSocket::bind(("127.0.0.1", port)).expect("a free port"));
    let party = ports::free_udp_port();
    for (port, packet) in packets {
        leg[*port].send_to(packet, ("127.0.0.1", party)).expect("sent");
    }
    observer.verdict()
}

/// Packets of one leg, each as [`packet`] and `change` make it.
fn stream(change: impl Fn(u16, &mut Header)) -> Vec<(usize, Vec<u8>)> {
    let packets = (0..20_u16).map(|count| {
        let timestamp = u32::from(count) * 160;
        let mut header = Header {
            marker: count == 0,
            payload_type: 8,
            sequence: 65_530_u16.wrapping_add(count),
            timestamp,
            ssrc: SSRC,
        };
        change(count, &mut header);
        (0, header.with_payload(&[0xd5; 160]))
    });
    packets.collect()
}

fn broken(packets: &[(usize, Vec<u8>)]) -> Vec<Violation> {
    judged(packets).broken.into_iter().map(|(_, broken)| broken).collect()
}

#[test]
fn this_machine_lets_us_judge_the_streams_towards_real_parties() {
    let _ = capture(&RtpBlock::take());
}

#[test]
fn a_good_stream_is_good_and_all_of_it_is_seen() {
    let verdict = judged(&stream(|_, _| {}));
    assert_eq!(verdict, Verdict { packets: 20, broken: Vec::new(), missed: 0 });
    verdict.demand();
}

#[test]
fn every_broken_rule_is_told() {
    assert_eq!(broken(&stream(|_, header| header.marker = false)), [Violation::NoMarkerAtStart]);
    let twice = stream(|count, header| header.sequence -= u16::from(count == 10));
    assert!(broken(&twice).contains(&Violation::Repeated(1)), "{:?}", broken(&twice));
    let changed = stream(|count, header| header.ssrc += u32::from(count >= 10));
    let expected = [Violation::SsrcChanged { from: SSRC, to: SSRC + 1 }, Violation::NoMarkerAtStart];
    assert_eq!(broken(&changed), expected);
    let leap = stream(|count, header| header.timestamp += if count >= 10 { 160 } else { 0 });
    let expected = [Violation::Timestamp { sequence: 4, advanced: 320, expected: 160 }];
    assert_eq!(broken(&leap), expected);
    let back = stream(|count, header| header.timestamp -= if count >= 10 { 80 } else { 0 });
    assert!(matches!(broken(&back)[..], [Violation::Timestamp { advanced: 80, .. }]));
    let mut rubbish = stream(|_, _| {});
    rubbish.push((0, b"hello, world".to_vec()));
    assert!(matches!(broken(&rubbish)[..], [Violation::NotRtp(_)]));
    let panic = catch_unwind(AssertUnwindSafe(|| judged(&rubbish).demand())).expect_err("demanded");
    assert!(
        panic
            .downcast_ref::<String>()
            .is_some_and(|text| text.contains("streams of the gateway broke rules"))
    );
}

#[test]
fn a_bye_ends_a_stream_and_the_next_one_may_begin() {
    let mut packets = stream(|_, _| {});
    // A receiver report without blocks, and BYE.
    let mut compound = vec![0x80, 201, 0, 1];
    compound.extend(SSRC.to_be_bytes());
    compound.extend([0x81, 203, 0, 1]);
    compound.extend(SSRC.to_be_bytes());
    packets.push((1, compound));
    let ended = packets.clone();
    packets.extend(stream(|_, header| header.ssrc += 1));
    assert_eq!(broken(&packets), []);
    // But nothing more of the one that has ended.
    packets = ended;
    packets.extend(
        stream(|_, header| header.sequence = header.sequence.wrapping_add(1_000)).into_iter().take(1),
    );
    assert_eq!(broken(&packets), [Violation::AfterBye]);
}

#[test]
fn what_the_observer_itself_missed_is_its_own_failure() {
    let block = RtpBlock::take();
    let (first, last) = block.bounds();
    let capture = Capture::with_buffer(first, last, 4_096).expect("a packet socket");
    let leg = UdpSocket::bind(("127.0.0.1", first + 2)).expect("a free port");
    let party = ports::free_udp_port();
    for (_, packet) in stream(|_, _| {}) {
        leg.send_to(&packet, ("127.0.0.1", party)).expect("sent");
    }
    let verdict = Observer::over(capture).expect("a thread").verdict();
    // And what others sent before the capture had its filter.
    assert!(verdict.missed > 0 && verdict.packets + u64::from(verdict.missed) >= 20, "{verdict:?}");
    let panic = catch_unwind(AssertUnwindSafe(|| verdict.demand())).expect_err("it has judged nothing");
    assert!(
        panic
            .downcast_ref::<String>()
            .is_some_and(|text| text.contains("the observer itself missed packets"))
    );
}

#[test]
fn it_sees_every_packet_that_the_gateway_sends() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let _ = scene.connect(&json!({}));
    scene.phones[1].act(Step::HangUp);
    scene.until("on_released");
    scene.demand(0, &What::Ended);
    scene.demand_no_media();
    let sent = || scene.duogate.metric("duogate_shard_packets_sent_total{shard=\"0\"}");
    #[expect(clippy::cast_precision_loss, reason = "hundreds of packets")]
    let seen = || scene.duogate.observed().map(|packets| packets as f64);
    until("as many packets seen as sent", STEP, || seen() == sent());
    assert!(sent() > Some(20.0), "{:?}", sent());
}
