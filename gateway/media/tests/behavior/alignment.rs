//! The two tracks of a long recording stay side by side.

use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::identity::{Party, Recording};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};

use crate::support::{Speech, World, limits};

const HOUR: f64 = 3600.0;
/// How far each sender's clock is off: they part by 400 ppm, 1.4 s in the hour.
const CLOCKS: [f64; 2] = [200e-6, -200e-6];
/// What every packet takes at least.
const DELAY: f64 = 0.010;
/// Values of packets; none of them is silence.
const VALUES: u32 = 200;
const QUIET: u8 = 0xd5;
/// 20 ms.
const MOST: f64 = 160.0;

/// Small and the same on every run (Marsaglia's xorshift).
struct Chance(u64);

impl Chance {
    /// A number of packets in up to so many seconds.
    fn packets(&mut self, seconds: f64) -> u32 {
        whole(50.0 * self.up_to(seconds))
    }

    fn up_to(&mut self, most: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX) * most
    }
}

/// When packet `n` of a party's clock is said, in seconds.
fn said(party: usize, n: u32) -> f64 {
    f64::from(n) * 0.020 * (1.0 + CLOCKS[party])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "packets of an hour, none negative"
)]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

fn value(n: u32) -> u8 {
    u8::try_from(n % VALUES + 1).unwrap()
}

/// All packets of one party that arrive, with the time of it: it talks and pauses (nothing is sent then), 5 % are
/// lost, each is held up by up to 30 ms, and some by up to 60.
fn packets(party: usize, chance: &mut Chance) -> Vec<(f64, usize, Speech)> {
    let (mut all, mut sequence, mut n) = (Vec::new(), 0u16, 0);
    while said(party, n) < HOUR {
        let spurt = n + 5 + chance.packets(20.0);
        for n in n..spurt {
            sequence = sequence.wrapping_add(1);
            if chance.up_to(1.0) < 0.05 {
                continue;
            }
            let longest = if chance.up_to(1.0) < 0.03 { 0.060 } else { 0.030 };
            let held_up = chance.up_to(longest);
            let speech = Speech { byte: value(n), ..Speech::new(1, sequence, 160 * n) };
            all.push((said(party, n) + DELAY + held_up, party, speech));
        }
        n = spurt + 10 + chance.packets(15.0);
    }
    all
}

/// Where whole packets lie, and how far that is from where they were said, in samples.
fn offsets(party: usize, track: &[u8]) -> Vec<(f64, f64)> {
    let (mut found, mut at) = (Vec::new(), 0);
    for run in track.chunk_by(|one, other| one == other) {
        let place = f64::from(u32::try_from(at).unwrap());
        at += run.len();
        if run[0] == QUIET || run.len() < 150 {
            continue;
        }
        // The packet of that value that was said nearest to it: they are four seconds apart.
        let near = i64::from(whole(place / 8000.0 / 0.020 / (1.0 + CLOCKS[party])));
        let values = i64::from(VALUES);
        let off = (i64::from(run[0]) - 1 - near).rem_euclid(values);
        let n = near + if off > values / 2 { off - values } else { off };
        if let Ok(n) = u32::try_from(n) {
            found.push((place / 8000.0, place - 8000.0 * (said(party, n) + DELAY)));
        }
    }
    found
}

#[test]
fn an_hour_with_two_clocks_that_differ_loss_reordering_and_pauses() {
    let mut world = World::new(limits());
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    world.command(Command::Join { session });
    let recording = Recording(1);
    let (format, channels) = (RecordFormat::Pcm16, RecordChannels::Separate);
    let hold = RecordHold::Silence;
    world.command(Command::RecordStart { session, recording, format, channels, hold });
    let begin = world.now;
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut all: Vec<_> = (0..2).flat_map(|party| packets(party, &mut chance)).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (arrives, party, speech) in all {
        let arrives = begin + Duration::from_secs_f64(arrives);
        world.pass(arrives.since(world.now));
        world.say(session, Party::BOTH[party], speech).unwrap();
        world.sent.packets.clear();
    }
    world.command(Command::RecordStop { session, recording });
    let tracks = [0, 1].map(|party| offsets(party, &world.tape.track(1, party, QUIET)));
    assert!(tracks.iter().all(|track| track.len() > 80_000), "most packets are found whole");
    let (mut least, mut most) = (f64::MAX, f64::MIN);
    // The first packets may have been held up; that is made good within seconds.
    for (place, offset) in tracks.iter().flatten().filter(|(place, _)| *place > 5.0) {
        (least, most) = (least.min(*offset), most.max(*offset));
        assert!(most - least <= MOST, "{least} to {most} samples at {place:.1} s");
    }
    assert!(world.core.counters().late_for_recording < 100, "{:?}", world.core.counters());
}
