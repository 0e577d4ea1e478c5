//! RTP as bytes (RFC 3550 section 5.1).

use duogate_media::rtp::{Header, Malformed, Packet};
use proptest::prelude::{any, prop, proptest};

fn header() -> Header {
    Header { marker: true, payload_type: 101, sequence: 0xbeef, timestamp: 0x0102_0304, ssrc: 0xfeed_f00d }
}

fn packet(first: u8, behind: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    header().emit(bytes.first_chunk_mut().unwrap());
    bytes[0] = first;
    bytes.extend_from_slice(behind);
    bytes
}

#[test]
fn a_plain_packet_is_header_and_payload() {
    let bytes = packet(0x80, b"sound");
    assert_eq!(bytes[..12], [0x80, 0xe5, 0xbe, 0xef, 1, 2, 3, 4, 0xfe, 0xed, 0xf0, 0x0d]);
    let view = Packet::new_checked(&bytes).unwrap();
    assert_eq!((view.header, &bytes[view.payload]), (header(), &b"sound"[..]));
}

#[test]
fn contributing_sources_extension_and_padding_are_stepped_over() {
    let mut behind = vec![9; 8];
    behind.extend_from_slice(&[0xbe, 0xde, 0, 1, 7, 7, 7, 7]);
    behind.extend_from_slice(b"sound");
    behind.extend_from_slice(&[0, 0, 3]);
    let mut bytes = packet(0x80 | 0x20 | 0x10 | 2, &behind);
    let view = Packet::new_checked(&bytes).unwrap();
    assert_eq!(&bytes[view.payload.clone()], b"sound");
    let length = view.rewrite(&mut bytes, &header());
    assert_eq!(bytes[..length], packet(0x80, b"sound"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let short = Err(Malformed::Short);
    assert_eq!(Packet::new_checked(&packet(0x80, b"")[..11]), short);
    assert_eq!(Packet::new_checked(b""), short);
    assert_eq!(Packet::new_checked(&packet(0x81, b"abc")), short, "a contributing source is missing");
    assert_eq!(Packet::new_checked(&packet(0x90, b"abc")), short, "half an extension header");
    assert_eq!(Packet::new_checked(&packet(0x90, &[0, 0, 0, 2, 0, 0, 0, 0])), short);
    assert_eq!(Packet::new_checked(&packet(0x00, b"x")), Err(Malformed::Version));
    assert_eq!(Packet::new_checked(&packet(0xc0, b"x")), Err(Malformed::Version));
    for padding in [&b""[..], &[0], &[9, 9, 4]] {
        assert_eq!(Packet::new_checked(&packet(0xa0, padding)), Err(Malformed::Padding));
    }
    let mut control = packet(0x80, b"report");
    control[1] = 200;
    assert_eq!(Packet::new_checked(&control), Err(Malformed::Rtcp));
    assert!(Packet::new_checked(&packet(0xa0, &[1, 1, 3])).unwrap().payload.is_empty(), "padding alone");
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_inside_them_or_none(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(view) = Packet::new_checked(&bytes) {
            assert!(view.payload.start >= 12 && view.payload.start <= view.payload.end);
            let payload = bytes[view.payload.clone()].to_vec();
            let length = view.rewrite(&mut bytes, &header());
            let again = Packet::new_checked(&bytes[..length]).unwrap();
            assert_eq!(again.header, header());
            assert_eq!(bytes[again.payload], payload);
        }
    }
}
