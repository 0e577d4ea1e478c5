//! One continuous RTP stream towards each party, across every change of what it hears.

use crate::support::{Listener, MILLISECOND, PACKET, Speech, World, far_end, limits, parse};
use duogate_channel::command::{Beginning, Command, LegOpening, Repeat, Source};
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;
use duogate_media::DropReason;

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn steady(steps: &[(u32, bool)]) {
    for (at, step) in steps.iter().enumerate() {
        assert_eq!(*step, (160, false), "packet {at} of {}", steps.len());
    }
}

#[test]
fn a_party_that_hears_another_gets_its_sound_untouched_in_a_stream_of_its_own() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut speech = Speech::new(0xaaaa, 65_530, 0xffff_ff00);
    speech.byte = 0x5a;
    world.talk(session, Party::One, &mut speech, 20);
    let heard = world.heard(session, Party::Two);
    assert_eq!(heard.len(), 20);
    let steps = Listener::default().follow(&heard);
    assert_eq!(steps[0], (0, true), "the first packet has the marker");
    steady(&steps[1..]);
    let (header, payload) = parse(&heard[5]);
    assert_ne!(header.ssrc, 0xaaaa);
    assert_eq!(payload, [0x5a; 160]);
    assert!(world.heard(session, Party::One).is_empty(), "nobody hears himself");
}

#[test]
fn a_stream_that_another_gateway_began_goes_on() {
    let mut world = World::new(limits());
    let beginning = Beginning { ssrc: 0x1234_5678, sequence: 65_535, timestamp: 0xffff_ff80 };
    let first = LegOpening { beginning: Some(beginning), ..LegOpening::FRESH };
    let session = world.pair_of([first, LegOpening::FRESH], BOTH);
    world.pass(MILLISECOND * 500);
    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 7, 9);
    world.talk(session, Party::Two, &mut speech, 3);
    let heard = world.heard(session, Party::One);
    let headers: Vec<_> = heard.iter().map(|packet| parse(packet).0).collect();
    assert!(headers.iter().all(|header| header.ssrc == 0x1234_5678));
    assert_eq!(headers.iter().map(|header| header.sequence).collect::<Vec<_>>(), [65_535, 0, 1]);
    assert!(headers[0].marker, "a gap lies before it");
    // Half a second has passed since the session opened, at 8 kHz.
    let ahead = headers[0].timestamp.wrapping_sub(beginning.timestamp);
    assert!((4_000..=4_160).contains(&ahead), "{ahead}");
}

#[test]
fn tone_prompt_early_media_and_party_share_one_line() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![1; 8000]));
    world.sounds.0.insert(2, (Codec::Pcma, vec![2; 480]));
    let session = world.pair(BOTH);
    let mut ear = Listener::default();

    world.play(session, Party::One, 1, Repeat::Forever);
    world.pass(PACKET * 10);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert_eq!((steps.len(), steps[0]), (10, (0, true)));
    steady(&steps[1..]);

    world.play(session, Party::One, 2, Repeat::Times(1));
    world.pass(MILLISECOND * 100);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert_eq!(steps.len(), 3);
    assert!(steps[0].1, "a marker at the change");
    assert!((160..=320).contains(&steps[0].0), "the line goes on: {}", steps[0].0);
    steady(&steps[1..]);

    // Half a second of nothing, then the other party's early media from two senders.
    world.pass(MILLISECOND * 500);
    world.hear(session, Party::One, Source::Peer);
    let mut early = Speech::new(5, 1, 999_999);
    world.talk(session, Party::Two, &mut early, 10);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert!(steps[0].1);
    assert!((4300..=4800).contains(&steps[0].0), "silence has passed on the line too: {}", steps[0].0);
    steady(&steps[1..]);

    let mut answered = Speech::new(6, 40_000, 3);
    world.talk(session, Party::Two, &mut answered, 10);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert_eq!(steps[0], (160, true), "another sender, the same stream");
    steady(&steps[1..]);

    world.command(Command::Join { session });
    world.talk(session, Party::Two, &mut answered, 10);
    steady(&ear.follow(&world.heard(session, Party::One)));
}

#[test]
fn a_gap_of_the_sender_is_a_gap_of_its_timestamps_only() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut ear = Listener::default();
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::One, &mut speech, 3);
    world.pass(MILLISECOND * 4000);
    speech.timestamp += 32_000;
    speech.marker = true;
    world.say(session, Party::One, speech.next()).unwrap();
    let steps = ear.follow(&world.heard(session, Party::Two));
    assert_eq!(steps[3], (32_160, true), "its talkspurt's marker goes through");
}

#[test]
fn hold_lets_time_pass_and_sends_nothing() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![1; 8000]));
    let session = world.pair(BOTH);
    let mut ear = Listener::default();
    world.play(session, Party::One, 1, Repeat::Forever);
    world.pass(PACKET * 5);
    ear.follow(&world.heard(session, Party::One));

    let mut held = far_end(Party::One, Codec::Pcma);
    held.send = false;
    world.command(Command::FarEnd { session, party: Party::One, far_end: held });
    world.pass(PACKET * 50);
    assert!(world.heard(session, Party::One).is_empty());
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    world.pass(PACKET * 5);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert_eq!((steps.len(), steps[0]), (5, (51 * 160, true)));
    steady(&steps[1..]);

    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::Two, &mut speech, 5);
    world.command(Command::FarEnd { session, party: Party::One, far_end: held });
    for _ in 0..10 {
        assert_eq!(world.say(session, Party::Two, speech.next()), Err(DropReason::NobodyListens));
        world.pass(PACKET);
    }
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    world.talk(session, Party::Two, &mut speech, 5);
    let steps = ear.follow(&world.heard(session, Party::One));
    assert_eq!(steps[5], (11 * 160, true), "the line after the hold");
    steady(&steps[6..]);
}

#[test]
fn what_a_party_says_while_it_should_not_is_no_loss_to_the_other() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut ear = Listener::default();
    let mut speech = Speech::new(1, 500, 90_000);
    world.talk(session, Party::One, &mut speech, 10);
    let mut quiet = far_end(Party::One, Codec::Pcma);
    quiet.receive = false;
    world.command(Command::FarEnd { session, party: Party::One, far_end: quiet });
    for _ in 0..50 {
        assert_eq!(world.say(session, Party::One, speech.next()), Err(DropReason::Held));
        world.pass(PACKET);
    }
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    world.talk(session, Party::One, &mut speech, 10);
    let steps = ear.follow(&world.heard(session, Party::Two));
    assert_eq!(steps.len(), 20);
    steady(&steps[1..10]);
    assert_eq!(steps[10], (51 * 160, true), "a new beginning after the time that has passed");
    steady(&steps[11..]);
}

#[test]
fn a_moved_far_end_and_a_changed_codec_keep_the_stream() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut ear = Listener::default();
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::One, &mut speech, 3);
    let mut moved = far_end(Party::Two, Codec::Pcmu);
    moved.address.set_port(5000);
    world.actions.clear();
    world.command(Command::FarEnd { session, party: Party::Two, far_end: moved });
    world.command(Command::FarEnd { session, party: Party::Two, far_end: moved });
    assert_eq!(world.actions.len(), 1, "connected anew once: {:?}", world.actions);
    world.talk(session, Party::One, &mut speech, 3);
    let heard = world.heard(session, Party::Two);
    steady(&ear.follow(&heard)[1..]);
    assert_eq!(parse(&heard[3]).0.payload_type, 0);
}

#[test]
fn nothing_is_sent_before_the_listener_is_known() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![1; 8000]));
    let session = world.open();
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    world.hear(session, Party::Two, Source::Peer);
    let mut speech = Speech::new(1, 1, 1);
    assert_eq!(world.say(session, Party::One, speech.next()), Err(DropReason::NobodyListens));
    world.play(session, Party::Two, 1, Repeat::Forever);
    world.pass(PACKET * 5);
    assert!(world.sent.packets.is_empty());
}

#[test]
fn a_sound_is_not_interrupted_by_what_is_heard_already() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    let mut ear = Listener::default();
    let mut speech = Speech::new(1, 1, 1);
    world.hear(session, Party::Two, Source::Peer);
    world.talk(session, Party::One, &mut speech, 2);
    world.hear(session, Party::Two, Source::Peer);
    world.command(Command::Join { session });
    world.talk(session, Party::One, &mut speech, 2);
    steady(&ear.follow(&world.heard(session, Party::Two))[1..]);
}
