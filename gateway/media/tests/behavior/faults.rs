//! One-way sound and silence are found within 5 s, and quality is scored.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::{Event, LegStatistics};
use duogate_channel::identity::{Party, Session};
use duogate_channel::quality::Fault;
use duogate_channel::sound::Codec;
use duogate_channel::srtp::{Master, MasterKeys, Suite};
use duogate_channel::time::Instant;
use duogate_srtp::Outgoing;

use crate::support::{PACKET, Speech, Table, World, far_end, limits, payload_type};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

/// A-law silence.
const SILENCE: u8 = 0xd5;

fn joined(world: &mut World) -> Session {
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    session
}

fn faults(world: &World) -> Vec<(Party, Option<Fault>)> {
    let of = |event: &Event| match event {
        Event::Fault { party, fault, .. } => Some((*party, *fault)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

fn statistics(world: &World, session: Session, party: Party) -> LegStatistics {
    world.core.snapshot(session.slot).unwrap().legs[party.index()].statistics
}

/// Two parties that talk side by side, each with its next packet or nothing.
struct Talk {
    session: Session,
    speech: [Speech; 2],
}

impl Talk {
    fn new(session: Session) -> Self {
        Self { session, speech: [Speech::new(71, 1, 1), Speech::new(72, 1, 1)] }
    }

    /// For so many packets' time, what each says: nothing, or octets of this.
    fn go_on(&mut self, world: &mut World, packets: usize, says: [Option<u8>; 2]) {
        for _ in 0..packets {
            for party in Party::BOTH {
                let packet = self.speech[party.index()].next();
                if let Some(byte) = says[party.index()] {
                    let _verdict = world.arrive(self.session, party, Speech { byte, ..packet }.bytes());
                }
            }
            world.pass(PACKET);
        }
    }

    /// The same until the next fault is told, or 20 s have passed.
    fn until_told(&mut self, world: &mut World, says: [Option<u8>; 2]) -> Duration {
        let (start, told): (Instant, usize) = (world.now, faults(world).len());
        while faults(world).len() == told && world.now.since(start) < Duration::from_secs(20) {
            self.go_on(world, 1, says);
        }
        world.now.since(start)
    }
}

#[test]
fn a_party_that_sends_nothing_is_found_within_5_seconds() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    let after = talk.until_told(&mut world, [None, Some(0x11)]);
    assert_eq!(faults(&world), [(Party::One, Some(Fault::Absent))], "one never spoke");
    assert!((3..5).contains(&after.as_secs()), "{after:?}");
    talk.until_told(&mut world, [Some(0x11), Some(0x11)]);
    assert_eq!(faults(&world)[1..], [(Party::One, None)]);
    assert_eq!(statistics(&world, session, Party::One).quality.fault, None);
    // In mid-call, on the sockets or not.
    talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
    let after = talk.until_told(&mut world, [Some(0x11), None]);
    assert!((3..5).contains(&after.as_secs()), "{after:?}");
    assert_eq!(faults(&world)[2..], [(Party::Two, Some(Fault::Absent))]);
    let quality = statistics(&world, session, Party::Two).quality;
    assert_eq!(quality.fault, Some(Fault::Absent));
    assert!(quality.absent_milliseconds > 3_000, "{quality:?}");
    assert_eq!(world.core.counters().found_absent, 2);
}

#[test]
fn absence_shows_on_the_path_too() {
    let mut world = World::with_table(limits(), Table::with_taps(false));
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    let after = talk.until_told(&mut world, [Some(0x11), None]);
    assert!((3..5).contains(&after.as_secs()), "{after:?}");
    assert_eq!(faults(&world), [(Party::Two, Some(Fault::Absent))]);
    assert!(world.is_on(session, Party::Two), "looking takes nothing off");
}

#[test]
fn a_party_that_says_nothing_but_silence_is_found_while_the_other_talks() {
    let mut world = World::with_table(limits(), Table::with_taps(false));
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    let after = talk.until_told(&mut world, [Some(SILENCE), Some(0x11)]);
    assert!((3..5).contains(&after.as_secs()), "{after:?}");
    assert_eq!(faults(&world), [(Party::One, Some(Fault::Mute))]);
    assert!(world.is_on(session, Party::Two), "the one who talks is on the path meanwhile");
    assert!(world.is_on(session, Party::One), "and so is the other, who is heard there");
    assert!(statistics(&world, session, Party::One).quality.mute_milliseconds > 3_000);
    talk.until_told(&mut world, [Some(0x11), Some(0x11)]);
    assert_eq!(faults(&world)[1..], [(Party::One, None)]);
    assert!(world.is_on(session, Party::One));
    assert_eq!(world.core.counters().found_mute, 1);
}

#[test]
fn silence_in_mid_call_is_found_on_the_sockets() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
    // A-law silence with its sign changing, then mu-law's would be: 0x55 is minus zero.
    let after = talk.until_told(&mut world, [Some(0x11), Some(0x55)]);
    assert!((3..=5).contains(&after.as_secs()), "{after:?}");
    assert_eq!(faults(&world), [(Party::Two, Some(Fault::Mute))]);
}

#[test]
fn silence_in_mid_call_is_found_on_the_path_and_takes_nothing_off_it() {
    for codec in [Codec::Pcma, Codec::Pcmu] {
        // Silence and the loudest that is as good as silence, of each law and with either sign.
        let quiet = if codec == Codec::Pcma { [0xd5, 0x54] } else { [0xff, 0x7c] };
        for octet in quiet {
            let mut world = World::with_table(limits(), Table::with_taps(false));
            let session = world.pair([codec; 2]);
            world.command(Command::Join { session });
            let mut talk = Talk::new(session);
            talk.speech.iter_mut().for_each(|speech| speech.payload_type = payload_type(codec));
            talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
            let moves = world.core.counters().path_moves;
            assert!(world.is_on(session, Party::Two));
            let after = talk.until_told(&mut world, [Some(0x11), Some(octet)]);
            assert!((3..5).contains(&after.as_secs()), "{after:?}");
            assert_eq!(faults(&world), [(Party::Two, Some(Fault::Mute))]);
            let quality = statistics(&world, session, Party::Two).quality;
            assert!((3_000..5_000).contains(&quality.mute_milliseconds), "{quality:?}");
            talk.until_told(&mut world, [Some(0x11), Some(0x11)]);
            assert_eq!(faults(&world)[1..], [(Party::Two, None)]);
            assert_eq!(world.core.counters().path_moves, moves, "looking takes nothing off");
        }
    }
}

#[test]
fn who_speaks_now_and_then_is_not_mute_on_the_path_either() {
    let mut world = World::with_table(limits(), Table::with_taps(false));
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    for _ in 0..10 {
        talk.go_on(&mut world, 1, [Some(0x11), Some(0x11)]);
        talk.go_on(&mut world, 124, [Some(0x11), Some(SILENCE)]);
    }
    assert_eq!(faults(&world), []);
}

#[test]
fn silence_in_mid_call_is_found_where_keys_are_searched_for() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let far_end = FarEnd { telephone_event: None, in_band: true, ..far_end(Party::Two, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::Two, far_end });
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
    let after = talk.until_told(&mut world, [Some(0x11), Some(SILENCE)]);
    assert!((3..=5).contains(&after.as_secs()), "{after:?}");
    assert_eq!(faults(&world), [(Party::Two, Some(Fault::Mute))]);
}

#[test]
fn silence_in_mid_call_is_found_in_what_is_encrypted() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let suite = Suite::AesCm128HmacSha1_80;
    let master = Master::new(suite, &[1; 30]).unwrap();
    let keys = Some(MasterKeys { suite, ours: master, theirs: master });
    world.command(Command::Secure { session, party: Party::Two, keys, heard: None });
    let mut sealer = Outgoing::new(suite, &master);
    let mut speech = [Speech::new(71, 1, 1), Speech::new(72, 1, 1)];
    let mut say = |world: &mut World, byte| {
        let [one, two] = speech.each_mut().map(|speech| speech.next());
        world.arrive(session, Party::One, Speech { byte: 0x11, ..one }.bytes()).unwrap();
        let mut packet = Speech { byte, ..two }.bytes();
        let length = packet.len();
        packet.resize(length + suite.tag_octets(), 0);
        sealer.seal_rtp(&mut packet, length).unwrap();
        world.arrive(session, Party::Two, packet).unwrap();
        world.pass(PACKET);
    };
    (0..500).for_each(|_| say(&mut world, 0x11));
    assert_eq!(faults(&world), []);
    (0..250).for_each(|_| say(&mut world, SILENCE));
    assert_eq!(faults(&world), [(Party::Two, Some(Fault::Mute))]);
    (0..60).for_each(|_| say(&mut world, 0x11));
    assert_eq!(faults(&world)[1..], [(Party::Two, None)]);
}

#[test]
fn two_who_are_silent_are_not_at_fault() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 500, [Some(0x11), Some(0x11)]);
    talk.go_on(&mut world, 1000, [Some(SILENCE), Some(SILENCE)]);
    assert_eq!(faults(&world), []);
}

#[test]
fn comfort_noise_alone_is_silence() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let (mut speech, mut noise) = (Speech::new(72, 1, 1), Speech::new(71, 1, 1));
    for _ in 0..250 {
        let packet = Speech { payload_type: 13, length: 1, ..noise.next() };
        let _verdict = world.say(session, Party::One, packet);
        world.talk(session, Party::Two, &mut speech, 1);
    }
    assert_eq!(faults(&world), [(Party::One, Some(Fault::Mute))]);
}

#[test]
fn nobody_on_hold_is_at_fault() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    let hold = FarEnd { send: true, receive: false, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end: hold });
    talk.go_on(&mut world, 500, [None, Some(0x11)]);
    assert_eq!(faults(&world), []);
    world.command(Command::FarEnd { session, party: Party::One, far_end: far_end(Party::One, Codec::Pcma) });
    let after = talk.until_told(&mut world, [None, Some(0x11)]);
    assert!((3..5).contains(&after.as_secs()), "watched anew: {after:?}");
}

#[test]
fn quality_is_scored_every_5_seconds_and_at_the_end() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 260, [Some(0x11), Some(0x11)]);
    let good = statistics(&world, session, Party::One).quality;
    assert_eq!((good.sent.last, good.sent.average, good.sent.worst), (438, 438, 438), "{good:?}");
    assert_eq!((good.interval_loss, good.burst_ratio, good.heard.last), (0, 0, 0));
    // A tenth of party 1's packets are lost, ten in a row each time.
    for _ in 0..5 {
        talk.go_on(&mut world, 45, [Some(0x11), Some(0x11)]);
        talk.go_on(&mut world, 5, [None, Some(0x11)]);
    }
    talk.go_on(&mut world, 20, [Some(0x11), Some(0x11)]);
    let bad = statistics(&world, session, Party::One).quality;
    assert!((700..=1000).contains(&bad.interval_loss), "{bad:?}");
    assert!((300..=500).contains(&bad.burst_ratio), "five in a row: {bad:?}");
    assert!(bad.sent.last < 330 && bad.sent.worst == bad.sent.last, "{bad:?}");
    assert!(bad.sent.worst < bad.sent.average && bad.sent.average < 438, "{bad:?}");
    assert_eq!(statistics(&world, session, Party::Two).quality.sent.worst, 438, "the other is not to blame");
    talk.go_on(&mut world, 300, [Some(0x11), Some(0x11)]);
    let last = statistics(&world, session, Party::One).quality.sent.last;
    talk.go_on(&mut world, 5, [None, Some(0x11)]);
    talk.go_on(&mut world, 50, [Some(0x11), Some(0x11)]);
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.last() else { panic!("{:?}", world.events) };
    assert!(statistics[0].quality.sent.last < last, "what came since the last interval counts");
}

#[test]
fn a_call_too_short_for_an_interval_has_a_score_all_the_same() {
    let mut world = World::new(limits());
    let session = joined(&mut world);
    let mut talk = Talk::new(session);
    talk.go_on(&mut world, 60, [Some(0x11), Some(0x11)]);
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.last() else { panic!("{:?}", world.events) };
    assert_eq!(statistics.map(|leg| leg.quality.sent.average), [438, 438]);
}
