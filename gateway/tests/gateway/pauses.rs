//! What the gateway lets a party hear of its own accord, by its content: noise in pauses, keys as tones. And the keys
//! that it hears as tones.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::digits::{Key, Keys};
use duogate_channel::event::{ActionOutcome, Event};
use duogate_channel::identity::{Action, Party, Session};
use duogate_channel::sound::Codec;
use duogate_codecs::{Encoder, Purpose, Rate};
use duogate_media::{dtmf, noise};

use crate::house::{Control, Gateway, until};
use crate::party::{Packet, Phone, call, joined, paced};
use crate::transcoding::{decoded, purity};

/// Longer than any pause between packets of a stream.
const QUIET: Duration = Duration::from_millis(150);

fn all_that_came(phone: &Phone) -> Vec<Packet> {
    std::iter::from_fn(|| phone.hear_within(QUIET)).collect()
}

/// One sequence, a clock that goes with it, one name; where the clock jumps there is a marker.
fn check(packets: &[Packet], codec: Codec) {
    for pair in packets.windows(2) {
        assert_eq!((pair[1].ssrc, pair[1].sequence), (pair[0].ssrc, pair[0].sequence.wrapping_add(1)));
        let (step, packet) = (pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160 * codec.ticks());
        assert!(step == packet || step > packet && pair[1].marker, "{step}: {pair:?}");
    }
}

/// Sends keys to a party until the gateway has made their tones, which takes it a moment after its start.
fn dial(control: &mut Control, session: Session, party: Party, phone: &Phone, keys: &str) -> Vec<Packet> {
    until("keys are sent", || {
        let (action, keys) = (Action(control.number()), Keys::from_text(keys).unwrap());
        control.send(Command::SendKeys { session, party, action, keys });
        let outcome = loop {
            if let Event::ActionEnded { action: ended, outcome, .. } = control.event()
                && ended == action
            {
                break outcome;
            }
        };
        let heard = all_that_came(phone);
        (outcome == ActionOutcome::Finished).then_some(heard)
    })
}

#[test]
fn keys_are_heard_as_their_tones_in_every_codec() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    for codec in [Codec::G722, Codec::Opus, Codec::Pcmu] {
        let (session, phones) = joined(&mut control, [codec, Codec::Pcma]);
        let deaf = FarEnd { telephone_event: None, ..phones[0].far_end() };
        control.far_end(session, Party::One, deaf);
        let heard = dial(&mut control, session, Party::One, &phones[0], "5#");
        assert_eq!(heard.len(), 20, "{codec:?}: tone and pause are sound without a hole");
        check(&heard, codec);
        let samples = decoded(codec, &heard);
        for (key, tones) in [[770.0, 1336.0], [941.0, 1477.0]].into_iter().enumerate() {
            // The codec's own delay is left out at both ends.
            let begin = key * 1_600;
            let heard = &samples[begin + 160..begin + 720];
            let share: f64 = tones.into_iter().map(|tone| purity(heard, tone)).sum();
            assert!(share > 0.8, "{codec:?}: {share} of key {key} is its tones");
            let pause = noise::level(&samples[begin + 1_200..begin + 1_600]);
            assert!(pause > 40, "{codec:?}: a pause of −{pause} dBov");
        }
        control.close(session);
    }
}

#[test]
fn keys_that_a_g722_or_opus_party_sends_as_tones_are_told_once_each() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    for codecs in [[Codec::G722, Codec::G722], [Codec::Opus, Codec::Pcma]] {
        let (session, mut phones) = joined(&mut control, codecs);
        let tones = FarEnd { telephone_event: None, in_band: true, ..phones[0].far_end() };
        control.far_end(session, Party::One, tones);
        let mut encoder = Encoder::new(codecs[0], Rate::Narrow, Purpose::Talk).unwrap();
        let keys = ['1', '9', '#', '0'];
        let steps = keys.into_iter().flat_map(|key| (0..10).map(move |step| (key, step)));
        paced(steps, |(key, step)| {
            let (mut samples, mut payload) = ([0; 160], Vec::new());
            if step < 5 {
                dtmf::samples(Key::from_char(key).unwrap(), step * 160, &mut samples);
            }
            encoder.encode(&samples, &mut payload).unwrap();
            phones[0].say(&payload);
        });
        let mut told = Vec::new();
        while let Some(event) = control.event_within(Duration::from_millis(500)) {
            if let Event::Pressed { party: Party::One, key, milliseconds, .. } = event {
                told.push(key.sign());
                assert!((30..150).contains(&milliseconds), "{key:?} for {milliseconds} ms");
            }
        }
        assert_eq!(told, keys, "{codecs:?}");
        control.close(session);
    }
}

#[test]
fn a_pause_is_filled_with_noise_of_the_told_level_in_the_listeners_codec() {
    let (_gateway, mut control, first, phones) = call([Codec::G722, Codec::G722]);
    let deaf = FarEnd { telephone_event: None, ..phones[0].far_end() };
    control.far_end(first, Party::One, deaf);
    dial(&mut control, first, Party::One, &phones[0], "1");
    control.close(first);
    // Whatever was to be told of it.
    while control.event_within(Duration::from_millis(50)).is_some() {}
    for (from, to) in [(Codec::Pcma, Codec::Opus), (Codec::Pcmu, Codec::G722), (Codec::Pcma, Codec::Pcma)] {
        let (session, [mut one, two]) = joined(&mut control, [from, to]);
        let silence = vec![if from == Codec::Pcma { 0xd5 } else { 0xff }; 160];
        paced(0..10, |_| drop(one.say(&silence)));
        let noise = Packet { payload_type: 13, ..one.next(&[48]) };
        one.send(&noise);
        // The pause itself, a second.
        paced(0..50, |_| {});
        one.timestamp = one.timestamp.wrapping_add(49 * 160);
        paced(0..10, |_| drop(one.say(&silence)));
        // Else the pause after that would be filled, too.
        control.close(session);
        let heard = all_that_came(&two);
        assert!((66..=71).contains(&heard.len()), "{from:?} to {to:?}: {} packets", heard.len());
        check(&heard, to);
        let samples = decoded(to, &heard);
        // From where the codec has found into it to where the pause ends.
        let found = noise::level(&samples[20 * 160..55 * 160]);
        assert!(found.abs_diff(48) <= 3, "{from:?} to {to:?}: noise of −{found} dBov for −48");
    }
}
