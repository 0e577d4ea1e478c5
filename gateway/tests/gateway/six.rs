//! Calls on the fast path with IPv6, and what their recordings hold.

use std::f64::consts::TAU;

use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::g711;
use duogate_channel::sound::{Codec, RecordHold};

use crate::beside::Call;
use crate::party::paced;
use crate::spaces::{GATEWAY_SIX, PARTIES_SIX};
use crate::tape::{Tape, channel};

/// What the parties say: tones that have whole periods in 20 ms.
const TONES: [f64; 2] = [450.0, 1250.0];

/// Packets of a recording: two seconds.
const PACKETS: u32 = 100;

/// A packet's worth of a tone, in A-law.
#[allow(clippy::cast_possible_truncation, reason = "at most 12,000")]
fn tone(hertz: f64) -> Vec<u8> {
    let sample = |number: u32| (12_000.0 * (TAU * hertz * f64::from(number) / 8000.0).sin()) as i16;
    (0..160).map(|number| g711::encode(Codec::Pcma, sample(number))).collect()
}

/// How much of a tone there is: the amplitude, by correlation.
fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (number, sample) in (0_u32..).zip(samples) {
        let (sine, cosine) = (TAU * hertz * f64::from(number) / 8000.0).sin_cos();
        real += cosine * f64::from(*sample);
        imaginary += sine * f64::from(*sample);
    }
    2.0 * f64::hypot(real, imaginary) / samples.len() as f64
}

#[test]
fn a_call_with_ipv6_goes_by_the_path() {
    let Some(mut call) = Call::between(GATEWAY_SIX, PARTIES_SIX) else { return };
    let by_socket = call.figure(Counter::PacketsForwarded);
    call.talk(100);
    call.wait_for(Counter::PathForwarded, 200);
    assert!(call.figure(Counter::PacketsForwarded) <= by_socket + 4, "XDP forwarded them");
    let mut digit = call.phones[0].next(&[5, 10, 0, 160]);
    digit.payload_type = 101;
    call.phones[0].send(&digit);
    assert_eq!(call.hears(1, Some(160)).payload_type, 101);
    call.talk(20);
    let Event::Closed { statistics, .. } = call.control.close(call.session) else { panic!("closed") };
    assert_eq!(statistics.map(|leg| leg.packets_lost), [0, 0]);
    let (status, log) = call.gateway.terminate();
    assert!(status.success() && log.contains("fast path: XDP"), "{log}");
}

#[test]
fn a_recording_from_the_path_has_each_partys_tone_in_its_own_channel() {
    let Some(mut call) = Call::between(GATEWAY_SIX, PARTIES_SIX) else { return };
    let tape = Tape::begin(&mut call.control, (&call.gateway, call.session), RecordHold::Silence);
    call.settle();
    paced(0..PACKETS, |_| {
        for (phone, hertz) in call.phones.iter_mut().zip(TONES) {
            phone.say(&tone(hertz));
        }
        let _ = (call.hears(0, Some(160)), call.hears(1, Some(160)));
    });
    let samples = tape.end(&mut call.control);
    call.wait_for(Counter::PathTapped, 2 * u64::from(PACKETS));
    for number in 0..2 {
        let heard = channel(&samples, number);
        // Between the silence before the first packet and that after the last.
        let first = heard.iter().position(|sample| sample.abs() > 1000).unwrap();
        let said = &heard[first..first + 160 * (PACKETS as usize - 1)];
        // A line that is moved a few samples on has a seam in some packets; most have none.
        let mut clean = 0;
        for packet in said.chunks_exact(160) {
            let [own, other] = [TONES[number], TONES[1 - number]].map(|hertz| amplitude(packet, hertz));
            assert!(own > 2.0 * other, "channel {number}: {own} beside the other party's {other}");
            clean += u32::from((11_500.0..12_500.0).contains(&own) && other < 100.0);
        }
        assert!(clean >= PACKETS / 2, "channel {number}: {clean} packets as they were said");
    }
}
