//! Offers and answers by RFC 3264.

use std::net::SocketAddr;

use duogate_channel::command::Rtcp;
use duogate_channel::sound::Codec;
use duogate_signaling::sdp::{Direction, LocalDescription, Negotiated, SdpError};
use proptest::prelude::*;

use crate::wire;

fn local() -> LocalDescription {
    LocalDescription::new(42, "192.0.2.1:20000".parse().expect("an address"), &[Codec::Pcma, Codec::Pcmu])
}

fn text(description: Vec<u8>) -> String {
    String::from_utf8(description).expect("ASCII").replace("\r\n", "\n")
}

/// A description of a party at 192.0.2.9, its media lines given.
fn party(media: &str) -> Vec<u8> {
    wire(&format!("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n{media}"))
}

fn accept(media: &str) -> Result<Negotiated, SdpError> {
    local().accept(&party(media))
}

#[test]
fn our_offer_in_print() {
    assert_eq!(
        text(local().offer()),
        "v=0\no=- 42 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 20000 RTP/AVP 8 0 101\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n\
         a=ptime:20\na=sendrecv\na=rtcp-mux\n"
    );
    let address = "[2001:db8::1]:20000".parse().expect("an address");
    let six = text(LocalDescription::new(u64::MAX, address, &[Codec::Pcmu]).offer());
    assert!(
        six.starts_with("v=0\no=- 9223372036854775807 1 IN IP6 2001:db8::1\ns=-\nc=IN IP6 2001:db8::1\n")
    );
    assert!(six.contains("m=audio 20000 RTP/AVP 0 101\n"));
}

#[test]
fn rfc3264_6_1_an_answer_chooses() {
    let chosen =
        accept("m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\na=ptime:30\n").expect("good");
    let far_end = chosen.far_end;
    assert_eq!(far_end.address, "192.0.2.9:4000".parse::<SocketAddr>().expect("an address"));
    assert_eq!((far_end.codec, far_end.payload_type), (Codec::Pcmu, 0));
    assert_eq!(far_end.telephone_event, Some(96));
    assert_eq!((far_end.send, far_end.receive, chosen.hold), (true, true, false));
    assert_eq!(chosen.packet_time, Some(30));
}

#[test]
fn rfc3550_11_rtcp_is_on_the_port_above_unless_the_answer_says_otherwise() {
    let told = |attributes: &str| {
        accept(&format!("m=audio 4000 RTP/AVP 8\n{attributes}")).expect("good").far_end.rtcp
    };
    assert_eq!(told(""), Rtcp::Port(4001));
    // RFC 3605 section 2.1.
    assert_eq!(told("a=rtcp:4711\n"), Rtcp::Port(4711));
    assert_eq!(told("a=rtcp:4711 IN IP4 192.0.2.9\n"), Rtcp::Port(4711));
    assert_eq!(told("a=rtcp:4711 IN IP4 192.0.2.66\n"), Rtcp::Off, "another host is not sent to");
    assert_eq!(told("a=rtcp:0\n"), Rtcp::Off);
    assert_eq!(told("a=rtcp:x\n"), Rtcp::Off);
    assert_eq!(accept("m=audio 65535 RTP/AVP 8\n").expect("good").far_end.rtcp, Rtcp::Off);
}

#[test]
fn rfc5761_5_1_1_rtcp_shares_the_port_where_both_say_so() {
    let chosen = accept("m=audio 4000 RTP/AVP 8\na=rtcp:4711\na=rtcp-mux\n").expect("good");
    assert_eq!(chosen.far_end.rtcp, Rtcp::Muxed);
    let mut callee = local();
    let (answer, negotiated) = callee.answer(&party("m=audio 4000 RTP/AVP 8\na=rtcp-mux\n")).expect("good");
    assert_eq!(negotiated.far_end.rtcp, Rtcp::Muxed);
    assert!(text(answer).contains("a=rtcp-mux\n"));
    let (answer, negotiated) = callee.answer(&party("m=audio 4000 RTP/AVP 8\n")).expect("good");
    assert_eq!(negotiated.far_end.rtcp, Rtcp::Port(4001));
    assert!(!text(answer).contains("rtcp"), "not where the offer does not have it");
}

#[test]
fn rfc3264_6_1_the_first_codec_that_is_ours_counts() {
    // RFC 3264 section 6.1: in the answerer's order.
    let chosen = accept("m=audio 4000 RTP/AVP 18 97 8\na=rtpmap:97 pcmu/8000/1\n").expect("good");
    assert_eq!((chosen.far_end.codec, chosen.far_end.payload_type), (Codec::Pcmu, 97));
    let chosen = accept("m=audio 4000 RTP/AVP 0 8\na=rtpmap:0 G726-32/8000\n").expect("good");
    assert_eq!(chosen.far_end.codec, Codec::Pcma, "0 has another meaning here");
    assert_eq!(accept("m=audio 4000 RTP/AVP 18\n"), Err(SdpError::NoCodec));
    assert_eq!(accept("m=audio 4000 RTP/AVP 96\na=rtpmap:96 PCMA/16000\n"), Err(SdpError::NoCodec));
}

fn wide() -> LocalDescription {
    let codecs = [Codec::Opus, Codec::G722, Codec::Pcma];
    LocalDescription::new(42, "192.0.2.1:20000".parse().expect("an address"), &codecs)
}

#[test]
fn wideband_codecs_in_print() {
    // RFC 7587 section 7, RFC 3551 section 4.5.2 (G.722 says 8000), RFC 4733 section 2.1 (an event clock each).
    let offer = text(wide().offer());
    assert!(offer.contains("m=audio 20000 RTP/AVP 107 9 8 101 110\n"), "{offer}");
    for line in [
        "a=rtpmap:107 opus/48000/2\na=fmtp:107 useinbandfec=1;stereo=0;sprop-stereo=0\n",
        "a=ptime:20\na=maxptime:60\n",
        "a=rtpmap:9 G722/8000\n",
        "a=rtpmap:101 telephone-event/8000\n",
        "a=rtpmap:110 telephone-event/48000\n",
    ] {
        assert!(offer.contains(line), "{offer}");
    }
}

#[test]
fn rfc4733_2_4_1_events_and_comfort_noise_go_with_the_clock_of_the_codec() {
    let media = |order: &str| {
        party(&format!(
            "m=audio 4000 RTP/AVP {order}\na=rtpmap:96 OPUS/48000/2\na=rtpmap:97 telephone-event/48000\n\
             a=rtpmap:98 telephone-event/8000\n"
        ))
    };
    let chosen = |order: &str| wide().accept(&media(order)).expect("good").far_end;
    let opus = chosen("96 9 97 98 13");
    assert_eq!((opus.codec, opus.payload_type), (Codec::Opus, 96));
    assert_eq!((opus.telephone_event, opus.comfort_noise), (Some(97), None));
    let g722 = chosen("9 96 97 98 13");
    assert_eq!((g722.codec, g722.payload_type), (Codec::G722, 9));
    assert_eq!((g722.telephone_event, g722.comfort_noise), (Some(98), Some(13)));
    assert_eq!(chosen("96 98").telephone_event, None, "8 kHz events do not fit a clock of 48 kHz");
}

#[test]
fn rfc3264_6_1_a_dynamic_number_of_the_far_end_stays() {
    // RFC 3264 section 8.3.2.
    let mut ours = wide();
    let offer =
        party("m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/48000\n");
    let (answer, negotiated) = ours.answer(&offer).expect("good");
    assert_eq!(negotiated.far_end.codec, Codec::Opus);
    assert!(text(answer).contains("RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\n"));
    assert!(text(ours.offer()).contains("RTP/AVP 96 9 8 101 97\n"));
}

#[test]
fn rfc8866_5_7_the_medias_own_address_goes_before_the_sessions() {
    let chosen = accept("m=audio 4000 RTP/AVP 8\nc=IN IP4 192.0.2.77\n").expect("good");
    assert_eq!(chosen.far_end.address.to_string(), "192.0.2.77:4000");
    let without = wire("v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 8\n");
    assert_eq!(local().accept(&without), Err(SdpError::NoAddress));
}

#[test]
fn rfc3264_8_4_hold_in_all_its_forms() {
    // RFC 3264 sections 5.1, 8.4.
    let told = |direction: &str| {
        let chosen = accept(&format!("m=audio 4000 RTP/AVP 8\n{direction}")).expect("good");
        (chosen.far_end.send, chosen.far_end.receive, chosen.hold)
    };
    assert_eq!(told("a=sendrecv\n"), (true, true, false));
    assert_eq!(told("a=sendonly\n"), (false, true, true));
    assert_eq!(told("a=recvonly\n"), (true, false, false));
    assert_eq!(told("a=inactive\n"), (false, false, true));
    assert_eq!(told("c=IN IP4 0.0.0.0\n"), (false, true, true));
    let session = wire(
        "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\na=inactive\nm=audio 4000 RTP/AVP 8\na=recvonly\n",
    );
    assert_eq!(
        local().accept(&session).expect("good").direction,
        Direction::ReceiveOnly,
        "the media's own counts"
    );
}

#[test]
fn answers_that_cannot_be_used() {
    assert_eq!(accept("m=audio 0 RTP/AVP 8\n"), Err(SdpError::Refused));
    assert_eq!(accept(""), Err(SdpError::MediaMismatch));
    assert_eq!(accept("m=video 4000 RTP/AVP 8\n"), Err(SdpError::MediaMismatch));
    assert_eq!(accept("m=audio 4000 RTP/SAVP 8\n"), Err(SdpError::MediaMismatch));
    assert_eq!(accept("m=audio 4000 RTP/AVP 8\nm=video 5000 RTP/AVP 99\n"), Err(SdpError::MediaMismatch));
    assert!(accept("m=audio 4000 RTP/AVP 8\nm=video 0 RTP/AVP 99\n").is_ok());
    assert_eq!(accept("m=audio 4000 RTP/AVP 128 8\n"), Err(SdpError::PayloadType));
    assert_eq!(accept("m=audio 4000 RTP/AVP x\n"), Err(SdpError::PayloadType));
    let twice = "m=audio 4000 RTP/AVP 96\na=rtpmap:96 PCMA/8000\na=rtpmap:96 PCMU/8000\n";
    assert_eq!(accept(twice), Err(SdpError::PayloadType));
    for address in [
        "IP4 224.0.0.1",
        "IP4 255.255.255.255",
        "IP4 example.com",
        "IP6 2001:db8::1",
        "IP6 192.0.2.9",
        "IP4 ::1",
    ] {
        let media = format!("m=audio 4000 RTP/AVP 8\nc=IN {address}\n");
        assert_eq!(accept(&media), Err(SdpError::Address), "{address}");
    }
    assert_eq!(accept("m=audio 4000 RTP/AVP 8\nc=TN E164 +4930\n"), Err(SdpError::Address));
    assert_eq!(accept("m=audio 70000 RTP/AVP 8\n"), Err(SdpError::Syntax));
    assert_eq!(accept("m=audio\n"), Err(SdpError::Syntax));
    assert_eq!(local().accept(b"garbage"), Err(SdpError::Syntax));
    assert_eq!(local().accept(b""), Err(SdpError::Missing));
    assert_eq!(local().accept(b"\r\n"), Err(SdpError::Missing));
    assert_eq!(local().accept(&party("m=audio 4000 RTP/AVP 8\na=x:\0\n")), Err(SdpError::Syntax));
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(accept(&"a=x\n".repeat(5_000)), Err(SdpError::TooLarge));
    assert_eq!(accept(&"m=audio 0 RTP/AVP 8\n".repeat(33)), Err(SdpError::TooLarge));
    assert_eq!(accept(&format!("m=audio 4000 RTP/AVP{}\n", " 8".repeat(65))), Err(SdpError::TooLarge));
    assert_eq!(accept(&format!("m=audio 4000 RTP/AVP 8\n{}", "a=x\n".repeat(257))), Err(SdpError::TooLarge));
}

#[test]
fn rfc3264_6_an_offer_of_several_lines_is_answered_line_by_line() {
    // RFC 3264 section 6.
    let offer = "m=video 5000 RTP/AVP 99 100\na=rtpmap:99 H264/90000\nm=audio 0 RTP/AVP 8\nm=audio 6000 RTP/SAVP 8\n\
                 m=audio 4000 RTP/AVP 18 0 8 96\na=rtpmap:96 telephone-event/8000\na=sendonly\nm=image 7000 udptl t38\n";
    let mut local = local();
    let (answer, chosen) = local.answer(&party(offer)).expect("good");
    assert_eq!(
        text(answer),
        "v=0\no=- 42 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=video 0 RTP/AVP 99 100\n\
         m=audio 0 RTP/AVP 8\nm=audio 0 RTP/SAVP 8\nm=audio 20000 RTP/AVP 0 96\na=rtpmap:0 PCMU/8000\n\
         a=rtpmap:96 telephone-event/8000\na=fmtp:96 0-15\na=ptime:20\na=recvonly\nm=image 0 udptl t38\n"
    );
    assert_eq!((chosen.far_end.codec, chosen.hold), (Codec::Pcmu, true));
    // Section 8: a later offer of ours keeps the lines and the numbers.
    let offer = text(local.offer());
    let lines: Vec<_> = offer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines[3], "m=audio 20000 RTP/AVP 8 0 96");
    assert_eq!((lines.len(), lines[0], lines[4]), (5, "m=video 0 RTP/AVP 99 100", "m=image 0 udptl t38"));
    let answer = "m=video 0 RTP/AVP 99\nm=audio 0 RTP/AVP 8\nm=audio 0 RTP/SAVP 8\nm=audio 4000 RTP/AVP 8\nm=image 0 udptl t38\n";
    assert_eq!(local.accept(&party(answer)).expect("good").far_end.codec, Codec::Pcma);
    assert_eq!(local.accept(&party("m=audio 4000 RTP/AVP 8\n")), Err(SdpError::MediaMismatch));
}

#[test]
fn rfc3264_6_1_directions_are_answered_with_their_reverse() {
    // RFC 3264 section 6.1.
    for (offered, answered) in [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ] {
        let (answer, _) =
            local().answer(&party(&format!("m=audio 4000 RTP/AVP 8\na={offered}\n"))).expect("good");
        assert!(text(answer).ends_with(&format!("a={answered}\n")), "{offered}");
    }
}

#[test]
fn rfc3264_8_the_version_counts_what_is_new() {
    // RFC 3264 section 8.
    let version = |description: Vec<u8>| {
        let text = text(description);
        text.split(' ').nth(2).and_then(|word| word.parse::<u64>().ok()).expect("a version")
    };
    let mut local = local();
    assert_eq!(version(local.offer()), 1);
    assert_eq!(version(local.offer()), 1);
    let hold = party("m=audio 4000 RTP/AVP 8\na=sendonly\n");
    assert_eq!(version(local.answer(&hold).expect("good").0), 2);
    assert_eq!(version(local.answer(&hold).expect("good").0), 2);
    assert_eq!(version(local.answer(&party("m=audio 4000 RTP/AVP 8\n")).expect("good").0), 3);
    assert_eq!(local.answer(&party("m=audio 4000 RTP/AVP 18\n")), Err(SdpError::NoCodec));
    assert_eq!(version(local.answer(&party("m=audio 4000 RTP/AVP 8\n")).expect("good").0), 3);
}

#[test]
fn offers_that_cannot_be_accepted() {
    let answer = |media: &str| local().answer(&party(media)).map(|_| ());
    assert_eq!(answer("m=video 4000 RTP/AVP 99\n"), Err(SdpError::NoAudio));
    assert_eq!(answer("m=audio 0 RTP/AVP 8\n"), Err(SdpError::NoAudio));
    assert_eq!(answer("m=audio 4000 RTP/AVP 18\n"), Err(SdpError::NoCodec));
    assert_eq!(local().answer(b"").map(|_| ()), Err(SdpError::Missing));
    assert!(SdpError::Syntax.is_malformed() && !SdpError::NoCodec.is_malformed());
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = local().accept(&bytes);
        let _ = local().answer(&bytes);
    }

    #[test]
    fn any_lines_are_answered_or_refused(
        lines in proptest::collection::vec("(m=audio [0-9]{1,6} RTP/AVP( [0-9]{1,3}){0,4}|c=IN IP[46] [0-9.:a-f/]{0,20}|a=rtpmap:[0-9]{1,3} (PCM[AU]|telephone-event)/[0-9]{1,5}|[a-z]=.{0,20})", 0..12)
    ) {
        let description = party(&(lines.join("\n") + "\n"));
        if let Ok((answer, chosen)) = local().answer(&description) {
            // What we answer is good SDP, and has as many media lines as the offer.
            let count = |text: &[u8]| String::from_utf8_lossy(text).matches("\nm=").count();
            prop_assert_eq!(count(&answer), count(&description));
            prop_assert!(chosen.far_end.payload_type < 128 && chosen.far_end.address.port() != 0);
        }
    }

    #[test]
    fn two_of_us_understand_each_other(port in 1_u16.., alaw_first: bool, six: bool) {
        let ip = if six { "[2001:db8::5]" } else { "192.0.2.5" };
        let address: SocketAddr = format!("{ip}:{port}").parse().expect("an address");
        let codecs = if alaw_first { [Codec::Pcma, Codec::Pcmu] } else { [Codec::Pcmu, Codec::Pcma] };
        let mut caller = LocalDescription::new(1, address, &codecs);
        let mut callee = LocalDescription::new(2, address, &[Codec::Pcma, Codec::Pcmu]);
        let (answer, theirs) = callee.answer(&caller.offer()).expect("good");
        let ours = caller.accept(&answer).expect("good");
        prop_assert_eq!(ours.far_end, theirs.far_end);
        prop_assert_eq!(ours.far_end.codec, codecs[0]);
        prop_assert_eq!(ours.far_end.telephone_event, Some(101));
    }
}
