//! Secured legs (SRTP) with real sockets: what is authentic is relayed, encrypted for the other side or in plain;
//! what is not is neither relayed nor heard, and a wrong key is told.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Repeat};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::srtp::{Master, MasterKeys, Suite};
use duogate_srtp::{Incoming, Outgoing};

use crate::house::{Control, Gateway, until};
use crate::party::{Packet, Phone, paced};
use crate::tape::{Tape, demand_hold, demand_tones};
use crate::transcoding::{TONES, decoded, packets, purity};

/// A phone that speaks SRTP.
struct SecurePhone {
    phone: Phone,
    outgoing: Outgoing,
    incoming: Incoming,
    keys: MasterKeys,
}

fn master(suite: Suite, seed: u8) -> Master {
    Master::new(suite, &vec![seed; suite.master_octets()]).unwrap()
}

impl SecurePhone {
    /// `keys` are the gateway's view: its own key is what the phone hears with.
    fn new(phone: Phone, suite: Suite, seed: u8) -> Self {
        let keys = MasterKeys { suite, ours: master(suite, seed), theirs: master(suite, seed + 1) };
        let outgoing = Outgoing::new(suite, &keys.theirs);
        Self { phone, outgoing, incoming: Incoming::new(suite, &keys.ours, None), keys }
    }

    fn sealed(&mut self, packet: &Packet) -> Vec<u8> {
        let mut octets = packet.octets();
        let length = octets.len();
        octets.resize(length + 32, 0);
        let sealed = self.outgoing.seal_rtp(&mut octets, length).unwrap();
        octets.truncate(sealed);
        octets
    }

    fn say(&mut self, payload: &[u8]) -> Vec<u8> {
        let packet = self.phone.next(payload);
        let octets = self.sealed(&packet);
        self.phone.socket.send_to(&octets, self.phone.gateway).unwrap();
        octets
    }

    /// What comes next, in plain; everything that comes must be authentic.
    fn hear(&mut self) -> Option<Packet> {
        self.phone.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut octets = [0; 2048];
        let (length, _) = self.phone.socket.recv_from(&mut octets).ok()?;
        let plain =
            self.incoming.open_rtp(&mut octets[..length]).expect("the gateway's packets are authentic");
        Some(Packet::parse(&octets[..plain]))
    }
}

fn secure(control: &mut Control, session: Session, party: Party, keys: Option<MasterKeys>) {
    control.send(Command::Secure { session, party, keys, heard: None });
}

/// A joined call: party 1 secured, party 2 with plain RTP.
fn half_secured(gateway: &Gateway, suite: Suite) -> (Control, Session, SecurePhone, Phone) {
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    let mut phones = [Phone::new(Codec::Pcma), Phone::new(Codec::Pcma)];
    for (phone, port) in phones.iter_mut().zip(ports) {
        phone.gateway.set_port(port);
    }
    let [one, two] = phones;
    let one = SecurePhone::new(one, suite, 10);
    secure(&mut control, session, Party::One, Some(one.keys));
    control.far_end(session, Party::One, one.phone.far_end());
    control.far_end(session, Party::Two, two.far_end());
    control.join(session);
    (control, session, one, two)
}

/// Both speak until both are heard.
fn warm(one: &mut SecurePhone, two: &mut Phone) {
    until("the plain party hears the secured one", || {
        one.say(&[1; 160]);
        two.hear_within(Duration::from_millis(50))
    });
    until("the secured party hears the plain one", || {
        two.say(&[2; 160]);
        one.hear()
    });
    while two.hear_within(Duration::from_millis(50)).is_some() {}
    while one.hear().is_some() {}
}

#[test]
fn a_secured_and_a_plain_party_hear_each_other() {
    for suite in Suite::ALL {
        let gateway = Gateway::start("");
        let (control, _, mut one, mut two) = half_secured(&gateway, suite);
        warm(&mut one, &mut two);
        for round in 0..20u8 {
            let cipher = one.say(&[round; 160]);
            let heard = until("the plain party hears", || two.hear_within(Duration::from_millis(50)));
            assert_eq!(heard.payload, vec![round; 160]);
            assert_ne!(cipher[12..172], [round; 160]);
            two.say(&[round + 100; 160]);
            let heard = until("the secured party hears", || one.hear());
            assert_eq!(heard.payload, vec![round + 100; 160]);
        }
        let page = control.attachment.shards[0].page.clone();
        until("the secured leg is counted", || (page.get(Counter::LegsSecured) == 1).then_some(()));
    }
}

#[test]
fn what_is_not_authentic_is_never_heard() {
    for suite in Suite::ALL {
        let gateway = Gateway::start("");
        let (control, _, mut one, mut two) = half_secured(&gateway, suite);
        warm(&mut one, &mut two);
        let good = one.say(&[5; 160]);
        assert_eq!(until("it comes", || two.hear_within(Duration::from_millis(50))).payload, vec![5; 160]);
        let to = one.phone.gateway;
        // Again, changed, cut, in plain. What has the number of one that was there is refused before it is checked.
        for at in [0, 1, 2, 3, 8, 12, 100, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            one.phone.socket.send_to(&changed, to).unwrap();
        }
        one.phone.socket.send_to(&good, to).unwrap();
        one.phone.socket.send_to(&good[..good.len() - 4], to).unwrap();
        let plain = one.phone.next(&[66; 160]);
        one.phone.send(&plain);
        assert!(two.hear_within(Duration::from_millis(200)).is_none(), "nothing of that is relayed");
        one.say(&[6; 160]);
        let next = until("it goes on", || two.hear_within(Duration::from_millis(50)));
        assert_eq!(next.payload, vec![6; 160]);
        let page = control.attachment.shards[0].page.clone();
        until("refusals are counted", || {
            (page.get(Counter::DroppedUnauthentic) >= 3 && page.get(Counter::DroppedReplayed) >= 7)
                .then_some(())
        });
    }
}

#[test]
fn prompts_and_keys_to_a_secured_party_are_encrypted() {
    for suite in Suite::ALL {
        let gateway = Gateway::start("");
        let (mut control, session, mut one, _) = half_secured(&gateway, suite);
        let sound = control.sound(Codec::Pcma, &[7; 1600]);
        control.play(session, Party::One, sound, Repeat::Times(1));
        let mut heard = 0;
        until("all ten packets come, authentic", || {
            let packet = one.hear()?;
            assert_eq!(packet.payload, vec![7; 160]);
            heard += 1;
            (heard == 10).then_some(())
        });
    }
}

#[test]
fn a_wrong_key_is_told_and_never_heard() {
    let gateway = Gateway::start("");
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut control, session, mut one, two) = half_secured(&gateway, suite);
    one.outgoing = Outgoing::new(suite, &master(suite, 99));
    let event = until("the gateway tells", || {
        one.say(&[1; 160]);
        // That the party is not heard is told, too.
        control.event_within(Duration::from_millis(20)).filter(|event| !matches!(event, Event::Fault { .. }))
    });
    assert_eq!(event, Event::Unauthentic { session, party: Party::One });
    assert!(two.hear_within(Duration::from_millis(100)).is_none(), "not one octet was passed on");
}

#[test]
fn other_keys_in_mid_call_go_on_without_a_packet_in_the_clear() {
    let gateway = Gateway::start("");
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut control, session, mut one, mut two) = half_secured(&gateway, suite);
    warm(&mut one, &mut two);
    // The party gives another key, ours stays: its stream goes on under the old counter.
    one.keys.theirs = master(suite, 50);
    one.outgoing = Outgoing::new(suite, &one.keys.theirs);
    secure(&mut control, session, Party::One, Some(one.keys));
    until("it is heard under the other key", || {
        one.say(&[3; 160]);
        two.hear_within(Duration::from_millis(50))
    });
    let before = until("and hears under its own", || {
        two.say(&[4; 160]);
        one.hear()
    });
    // Now another suite, and so another key of ours: the stream begins anew, with an SSRC that no key has seen.
    let suite = Suite::AeadAes128Gcm;
    while one.hear().is_some() {}
    one.keys = MasterKeys { suite, ours: master(suite, 60), theirs: master(suite, 61) };
    one.outgoing = Outgoing::new(suite, &one.keys.theirs);
    one.incoming = Incoming::new(suite, &one.keys.ours, None);
    secure(&mut control, session, Party::One, Some(one.keys));
    until("the commands are obeyed", || {
        one.say(&[3; 160]);
        two.hear_within(Duration::from_millis(50)).filter(|packet| packet.payload == [3; 160])
    });
    let after = until("it hears under the new key", || {
        two.say(&[4; 160]);
        one.hear()
    });
    assert_ne!(before.ssrc, after.ssrc);
}

/// Records while both say their tones, `say` being told the number of the packet and what each says.
fn record(
    control: &mut Control,
    call: (&Gateway, Session),
    codec: Codec,
    mut say: impl FnMut([&[u8]; 2]),
) -> Vec<i16> {
    let tape = Tape::begin(control, call, RecordHold::Silence);
    let said = TONES.map(|tone| packets(codec, tone, 75));
    paced(0..75, |number: usize| say(said.each_ref().map(|said| &said[number][..])));
    tape.end(control)
}

#[test]
fn what_two_secured_parties_say_is_in_the_recording_whatever_they_speak() {
    let suite = Suite::AesCm128HmacSha1_80;
    for codec in [Codec::G722, Codec::Opus, Codec::Pcma] {
        let gateway = Gateway::start("");
        let mut control = gateway.attach();
        let (session, ports) = control.open();
        let mut phones = [10, 20].map(|seed| SecurePhone::new(Phone::new(codec), suite, seed));
        for ((phone, port), party) in phones.iter_mut().zip(ports).zip(Party::BOTH) {
            phone.phone.gateway.set_port(port);
            secure(&mut control, session, party, Some(phone.keys));
            control.far_end(session, party, phone.phone.far_end());
        }
        control.join(session);
        let samples = record(&mut control, (&gateway, session), codec, |says| {
            for (phone, payload) in phones.iter_mut().zip(says) {
                phone.say(payload);
            }
        });
        demand_tones(&samples, &format!("{codec:?}"));
        // What went to the ears was encrypted and is whole all the same.
        for (listener, tone) in [(0, TONES[1]), (1, TONES[0])] {
            let heard: Vec<Packet> = std::iter::from_fn(|| phones[listener].hear()).collect();
            assert!(heard.len() >= 74, "{codec:?}: {}", heard.len());
            assert!(purity(&decoded(codec, &heard)[1_600..], tone) > 0.95, "{codec:?}");
        }
    }
}

#[test]
fn what_a_secured_and_a_plain_party_say_is_in_the_recording() {
    for suite in Suite::ALL {
        let gateway = Gateway::start("");
        let (mut control, session, mut one, mut two) = half_secured(&gateway, suite);
        let samples = record(&mut control, (&gateway, session), Codec::Pcma, |says| {
            one.say(says[0]);
            two.say(says[1]);
        });
        demand_tones(&samples, suite.name());
    }
}

#[test]
fn while_a_secured_party_is_on_hold_its_recording_has_silence_or_pauses() {
    let suite = Suite::AeadAes128Gcm;
    for hold in RecordHold::ALL {
        let gateway = Gateway::start("");
        let (mut control, session, mut one, mut two) = half_secured(&gateway, suite);
        let tape = Tape::begin(&mut control, (&gateway, session), hold);
        let mut talk = |packets: u32| {
            paced(0..packets, |_| {
                one.say(&[0xaa; 160]);
                two.say(&[0x2a; 160]);
            });
            one.phone.far_end()
        };
        let far_end = talk(25);
        control.far_end(session, Party::One, FarEnd { send: false, receive: false, ..far_end });
        talk(50);
        control.far_end(session, Party::One, far_end);
        talk(25);
        demand_hold(&tape.end(&mut control), hold);
    }
}
