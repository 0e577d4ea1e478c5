//! A joined party that sends nothing is told once.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::Event;
use duogate_channel::identity::Party;
use duogate_channel::sound::Codec;

use crate::support::{MILLISECOND, PACKET, Speech, World, far_end, limits};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn silent(world: &World) -> Vec<Party> {
    let of = |event: &Event| match event {
        Event::Silent { party, .. } => Some(*party),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn silence_is_told_after_the_time_since_the_last_packet_and_once() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.pass(Duration::from_secs(60));
    assert_eq!(silent(&world), [], "not before the parties are joined");
    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::One, &mut speech, 100);
    world.pass(Duration::from_secs(3) - MILLISECOND * 2);
    assert_eq!(silent(&world), []);
    world.pass(MILLISECOND * 4);
    assert_eq!(silent(&world), [Party::Two], "two never spoke");
    world.pass(Duration::from_secs(2));
    assert_eq!(silent(&world), [Party::Two, Party::One]);
    world.talk(session, Party::One, &mut speech, 10);
    world.pass(Duration::from_secs(60));
    assert_eq!(silent(&world).len(), 2, "once");
    assert_eq!(world.core.counters().silent, 2, "and counted");
}

#[test]
fn a_party_on_hold_need_not_send_and_is_watched_again_afterwards() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    let mut hold = far_end(Party::One, Codec::Pcma);
    hold.receive = false;
    world.command(Command::FarEnd { session, party: Party::One, far_end: hold });
    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::Two, &mut speech, 500);
    assert_eq!(silent(&world), []);
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    world.talk(session, Party::Two, &mut speech, 240);
    assert_eq!(silent(&world), []);
    world.talk(session, Party::Two, &mut speech, 20);
    assert_eq!(silent(&world), [Party::One]);
}

#[test]
fn nobody_on_hold_is_silent_whichever_way_the_sound_still_flows() {
    for (send, receive) in [(false, true), (true, false), (false, false)] {
        let mut world = World::new(limits());
        let session = world.pair(BOTH);
        world.command(Command::Join { session });
        let mut speech = Speech::new(1, 1, 1);
        world.talk(session, Party::Two, &mut speech, 100);
        let hold = FarEnd { send, receive, ..far_end(Party::One, Codec::Pcma) };
        world.command(Command::FarEnd { session, party: Party::One, far_end: hold });
        for _ in 0..500 {
            let _ = world.say(session, Party::Two, speech.next());
            world.pass(PACKET);
        }
        assert_eq!(silent(&world), [], "send {send}, receive {receive}");
        let back = far_end(Party::One, Codec::Pcma);
        world.command(Command::FarEnd { session, party: Party::One, far_end: back });
        world.talk(session, Party::Two, &mut speech, 240);
        assert_eq!(silent(&world), [], "the watch begins anew: send {send}, receive {receive}");
        world.talk(session, Party::Two, &mut speech, 20);
        assert_eq!(silent(&world), [Party::One], "send {send}, receive {receive}");
    }
}

#[test]
fn comfort_noise_is_a_sign_of_life() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 1, 1);
    let mut noise = Speech { payload_type: 13, length: 1, ..speech };
    for _ in 0..10 {
        let _ = world.say(session, Party::One, noise.next());
        world.talk(session, Party::Two, &mut speech, 200);
        world.pass(PACKET);
    }
    assert_eq!(silent(&world), []);
}
