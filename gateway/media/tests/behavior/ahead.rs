//! Where the memory lies that a packet will need.

use duogate_channel::command::Command;
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::Socket;

use crate::support::{World, limits};

/// Octets of a line of the cache.
const LINE: usize = 64;

fn pair(world: &mut World) -> Session {
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    world.command(Command::Join { session });
    session
}

fn lines(world: &World, session: Session, party: Party) -> Vec<usize> {
    let memory = world.core.memory_of(world.socket(session, party)).unwrap();
    let mut lines: Vec<usize> = memory.iter().map(|address| address.addr() / LINE).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[test]
fn a_packet_needs_few_lines_of_the_cache() {
    let mut world = World::new(limits());
    let session = pair(&mut world);
    for party in Party::BOTH {
        assert_eq!(lines(&world, session, party).len(), 6);
    }
}

#[test]
fn parties_of_a_pair_share_some_and_pairs_none() {
    let mut world = World::new(limits());
    let (session, other) = (pair(&mut world), pair(&mut world));
    let [one, two] = Party::BOTH.map(|party| lines(&world, session, party));
    let shared = one.iter().filter(|line| two.contains(line)).count();
    assert_eq!(shared, 3, "how each is served, and whether the session is recorded");
    let strange = lines(&world, other, Party::One);
    assert!(!one.iter().chain(&two).any(|line| strange.contains(line)));
}

#[test]
fn a_port_without_a_leg_needs_nothing() {
    let mut world = World::new(limits());
    let session = pair(&mut world);
    let socket = world.socket(session, Party::One);
    world.command(Command::Close { session });
    assert_eq!(world.core.memory_of(socket), None, "it rests");
    assert_eq!(world.core.memory_of(Socket(u32::MAX)), None);
    assert_eq!(world.core.entry_of(Socket(u32::MAX)), None);
}
