//! Any bytes are a compound RTCP packet that says no more than it holds, or none.
#![no_main]

use duogate_media::rtcp::Compound;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(compound) = Compound::new_checked(input) else { return };
    let mut said = 0;
    compound.statements(|_| said += 1);
    assert!(said * 4 <= input.len());
});
