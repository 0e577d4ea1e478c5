//! SDP: any bytes are an answer, an offer, or are refused; what we answer has a line for each of the offer's.
#![no_main]

use duogate_channel::sound::Codec;
use duogate_signaling::sdp::LocalDescription;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(address) = "192.0.2.1:20000".parse() else { return };
    let mut ours = LocalDescription::new(1, address, &[Codec::Pcma, Codec::Pcmu]);
    let _ = ours.offer();
    let _ = ours.accept(input);
    if let Ok((answer, chosen)) = ours.answer(input) {
        assert!(chosen.far_end.payload_type < 128);
        assert!(chosen.far_end.address.port() != 0);
        let lines =
            |text: &[u8]| text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"m=")).count();
        assert_eq!(lines(&answer), lines(input));
        // A party that is like us can read it.
        let mut theirs = LocalDescription::new(2, address, &[Codec::Pcma, Codec::Pcmu]);
        let _ = theirs.answer(&answer);
        assert_eq!(ours.answer(input).map(|(_, again)| again), Ok(chosen));
    }
});
