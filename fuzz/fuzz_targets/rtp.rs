//! Any bytes are an RTP packet that lies inside them, or none; rewritten it is a plain packet with the same
//! payload.
#![no_main]

use duogate_media::rtp::{Header, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(view) = Packet::new_checked(input) else { return };
    let payload = &input[view.payload.clone()];
    let header = Header { marker: false, payload_type: 8, sequence: 1, timestamp: 2, ssrc: 3 };
    let mut bytes = input.to_vec();
    let length = view.rewrite(&mut bytes, &header);
    assert!(length <= input.len());
    let again = Packet::new_checked(&bytes[..length]).expect("a plain packet");
    assert_eq!((again.header, &bytes[again.payload]), (header, payload));
});
