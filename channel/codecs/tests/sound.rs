//! What goes in as a tone comes out as that tone, whatever lies between.

use std::f64::consts::TAU;

use duogate_channel::sound::{Codec, OPUS_FRAME_OCTETS};
use duogate_codecs::{
    Decoder, Downsampler, Encoder, Purpose, Rate, Transcoded, Transcoder, Upsampler, Wanted,
};
use proptest::prelude::*;

fn tone(frequency: f64, rate: Rate, milliseconds: usize) -> Vec<i16> {
    (0..rate.samples() * milliseconds)
        .map(|at| {
            let time = f64::from(u32::try_from(at).expect("works")) / f64::from(rate.hertz());
            #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
            let sample = (8_000.0 * (TAU * frequency * time).sin()).round() as i16;
            sample
        })
        .collect()
}

/// The share of the power that lies at one frequency, and the root of the mean power.
fn spectrum(samples: &[i16], frequency: f64, rate: Rate) -> (f64, f64) {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let phase = TAU * frequency * f64::from(u32::try_from(at).expect("works")) / f64::from(rate.hertz());
        let value = f64::from(*sample);
        sine += value * phase.sin();
        cosine += value * phase.cos();
        power += value * value;
    }
    let count = f64::from(u32::try_from(samples.len()).expect("works"));
    (2.0 * (sine * sine + cosine * cosine) / (count * power.max(1.0)), (power / count).sqrt())
}

/// Encodes in packets of so many milliseconds.
fn packets(codec: Codec, samples: &[i16], rate: Rate, milliseconds: usize, purpose: Purpose) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, rate, purpose).expect("works");
    let pieces = samples.chunks(rate.samples() * milliseconds);
    pieces
        .map(|piece| {
            let mut payload = Vec::new();
            encoder.encode(piece, &mut payload).expect("works");
            payload
        })
        .collect()
}

fn decoded(codec: Codec, packets: &[Vec<u8>], rate: Rate) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, rate).expect("works");
    let mut samples = Vec::new();
    packets.iter().for_each(|packet| decoder.decode(packet, &mut samples).expect("works"));
    samples
}

#[test]
fn any_codec_to_any_other_keeps_a_tone_and_its_level() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let sent = packets(from, &tone(1_000.0, Rate::Narrow, 1_000), Rate::Narrow, 20, Purpose::Talk);
            let wanted = Wanted { from, to: Some(to), recorded: true };
            let mut transcoder = Transcoder::new(wanted).expect("works");
            let (mut through, mut recorded) = (Vec::new(), Vec::new());
            for packet in &sent {
                let mut made = Transcoded::default();
                transcoder.transcode(packet, &mut made).expect("works");
                through.push(made.payload);
                recorded.push(made.recorded);
            }
            for (codec, packets) in [(to, through), (Codec::Pcma, recorded)] {
                let heard = decoded(codec, &packets, Rate::Narrow);
                assert_eq!(heard.len(), 8_000, "{from:?} {to:?}");
                let (purity, level) = spectrum(&heard[1_600..], 1_000.0, Rate::Narrow);
                assert!(purity > 0.98, "{from:?} {to:?} {codec:?}: {purity}");
                assert!((5_000.0..6_400.0).contains(&level), "{from:?} {to:?} {codec:?}: {level}");
            }
        }
    }
}

#[test]
fn wideband_codecs_carry_what_narrow_ones_cannot() {
    for codec in [Codec::G722, Codec::Opus] {
        let sent = packets(codec, &tone(5_500.0, Rate::Wide, 1_000), Rate::Wide, 20, Purpose::Talk);
        let (purity, level) = spectrum(&decoded(codec, &sent, Rate::Wide)[3_200..], 5_500.0, Rate::Wide);
        assert!(purity > 0.9 && level > 4_000.0, "{codec:?}: {purity} {level}");
        let folded = decoded(codec, &sent, Rate::Narrow);
        let (_, level) = spectrum(&folded[1_600..], 2_500.0, Rate::Narrow);
        assert!(level < 60.0, "{codec:?}: what lies above 4 kHz folds back at {level}");
    }
}

#[test]
fn packets_of_10_to_60_milliseconds_keep_their_length() {
    for milliseconds in [10, 20, 30, 40, 50, 60] {
        for (from, to) in [(Codec::Pcma, Codec::Opus), (Codec::Opus, Codec::G722), (Codec::G722, Codec::Pcmu)]
        {
            let wide = tone(440.0, Rate::Narrow, 600);
            let sent = packets(from, &wide, Rate::Narrow, milliseconds, Purpose::Talk);
            let mut transcoder =
                Transcoder::new(Wanted { from, to: Some(to), recorded: false }).expect("works");
            for packet in &sent {
                let mut made = Transcoded::default();
                transcoder.transcode(packet, &mut made).expect("works");
                let heard = decoded(to, &[made.payload], Rate::Narrow);
                assert_eq!(heard.len(), milliseconds * 8, "{from:?} {to:?}");
            }
        }
    }
}

#[test]
fn prompts_in_opus_have_packets_of_one_length() {
    for rate in [Rate::Narrow, Rate::Wide] {
        let mut sound = tone(700.0, rate, 400);
        sound.extend(vec![0; rate.samples() * 400]);
        for packet in packets(Codec::Opus, &sound, rate, 20, Purpose::Prompt) {
            assert_eq!(packet.len(), OPUS_FRAME_OCTETS);
        }
    }
}

#[test]
fn the_filter_passes_speech_and_holds_what_would_fold_back() {
    let down = |frequency: f64| {
        let (mut filter, mut out) = (Downsampler::new(), Vec::new());
        tone(frequency, Rate::Wide, 500).into_iter().for_each(|sample| filter.push(sample, &mut out));
        out.split_off(100)
    };
    let up = |frequency: f64| {
        let (mut filter, mut out) = (Upsampler::new(), Vec::new());
        tone(frequency, Rate::Narrow, 500).into_iter().for_each(|sample| filter.push(sample, &mut out));
        out.split_off(200)
    };
    let level = |samples: &[i16]| spectrum(samples, 0.0, Rate::Wide).1 / (8_000.0 / 2.0_f64.sqrt());
    for frequency in [300.0, 1_000.0, 2_500.0, 3_400.0] {
        assert!((level(&down(frequency)) - 1.0).abs() < 0.012, "{frequency}");
        let widened = up(frequency);
        assert!((level(&widened) - 1.0).abs() < 0.012, "{frequency}");
        let (purity, _) = spectrum(&widened, frequency, Rate::Wide);
        assert!(purity > 0.999, "{frequency}: an image of it is there too: {purity}");
    }
    for frequency in [4_600.0, 5_500.0, 7_000.0] {
        assert!(level(&down(frequency)) < 0.001, "{frequency}");
    }
}

proptest! {
    #[test]
    fn no_payload_is_too_strange(
        from in 0..4_usize, to in 0..4_usize, payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
    ) {
        let wanted = Wanted { from: Codec::ALL[from], to: Some(Codec::ALL[to]), recorded: true };
        let mut transcoder = Transcoder::new(wanted).expect("works");
        let mut made = Transcoded::default();
        for payload in &payloads {
            let _ = transcoder.transcode(payload, &mut made);
            transcoder.miss(1);
        }
    }
}
