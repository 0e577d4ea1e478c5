//! Where RTCP goes with a party behind a translator of addresses: learned after RTP, for a bounded time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Rtcp};
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::rtcp::{Block, Report, is_rtcp};
use duogate_media::{Action, DropReason, Limits, Origin, Socket, Verdict};

use crate::support::{PACKET, Speech, World, address, far_end, limits};

/// Where the translator sends from for the party.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

const DESCRIBED: u16 = 4711;

fn outside(port: u16) -> SocketAddr {
    SocketAddr::new(OUTSIDE, port)
}

fn from(world: &mut World, socket: Socket, source: SocketAddr, mut octets: Vec<u8>) -> Verdict {
    let verdict =
        world.core.receive(world.now, socket, Origin::Address(source), &mut octets, &mut world.tape);
    world.drain();
    verdict
}

/// A call whose party 1 has been learned outside, and the socket for its RTCP.
fn learned(world: &mut World) -> (Session, Socket) {
    let session = world.open();
    let rtcp = Rtcp::Port(DESCRIBED);
    world.command(Command::Learn { session, party: Party::One, signaling: OUTSIDE });
    let far_ends = [FarEnd { rtcp, ..far_end(Party::One, Codec::Pcma) }, far_end(Party::Two, Codec::Pcma)];
    for (party, far_end) in Party::BOTH.into_iter().zip(far_ends) {
        world.command(Command::FarEnd { session, party, far_end });
    }
    world.command(Command::Join { session });
    let socket = world.socket(session, Party::One);
    let places = world.core.limits().sockets();
    let reports = world.actions.iter().find_map(|action| match action {
        Action::Bind { socket, .. } if socket.0 >= places => Some(*socket),
        _ => None,
    });
    let reports = reports.expect("an odd port");
    assert!(!is_connected(world, reports), "nobody knows where to");
    let early = report(71);
    assert_eq!(from(world, reports, outside(9), early), Verdict::Drop(DropReason::Stranger));
    let mut speech = Speech::new(71, 1, 1);
    for _ in 0..5 {
        let _ = from(world, socket, outside(7), speech.next().bytes());
    }
    assert!(world.actions.contains(&Action::Connect { socket, address: outside(7) }));
    assert!(!is_connected(world, reports), "RTP says nothing of RTCP's port");
    (session, reports)
}

fn is_connected(world: &World, reports: Socket) -> bool {
    world.actions.iter().any(|action| matches!(action, Action::Connect { socket, .. } if *socket == reports))
}

fn report(ssrc: u32) -> Vec<u8> {
    let report = Report { ssrc, sender: None, block: Some(Block::default()), cname: [b'x'; 16], bye: false };
    let mut octets = vec![0; report.length()];
    report.emit(&mut octets);
    octets
}

fn world() -> World {
    World::new(Limits { report_interval: Duration::from_secs(5), report_ports: 4, ..limits() })
}

#[test]
fn the_first_report_of_the_ssrc_that_was_learned_says_where() {
    let mut world = world();
    let (_, reports) = learned(&mut world);
    for (source, ssrc) in [(outside(8), 72), (SocketAddr::new(address(Party::Two).ip(), 8), 71)] {
        assert_eq!(from(&mut world, reports, source, report(ssrc)), Verdict::Drop(DropReason::Stranger));
    }
    let mut cut = report(71);
    cut.pop();
    assert_eq!(from(&mut world, reports, outside(8), cut), Verdict::Drop(DropReason::Stranger));
    assert!(!is_connected(&world, reports));
    assert_eq!(from(&mut world, reports, outside(8), report(71)), Verdict::Drop(DropReason::Report));
    assert!(world.actions.contains(&Action::Connect { socket: reports, address: outside(8) }));
    assert_eq!(from(&mut world, reports, outside(9), report(71)), Verdict::Drop(DropReason::Stranger));
}

#[test]
fn nothing_is_sent_before_and_when_the_time_is_over_its_description_counts() {
    let mut world = world();
    let (session, reports) = learned(&mut world);
    let mut speech = Speech::new(72, 1, 1);
    let mut talk = |world: &mut World, packets: usize| {
        for _ in 0..packets {
            let _ = world.say(session, Party::Two, speech.next());
            world.pass(PACKET);
        }
    };
    talk(&mut world, 700);
    assert!(!is_connected(&world, reports));
    let told =
        |world: &World| world.sent.packets.iter().any(|(from, octets)| *from == reports && is_rtcp(octets));
    assert!(!told(&world), "14 s");
    talk(&mut world, 450);
    assert!(world.actions.contains(&Action::Connect { socket: reports, address: outside(DESCRIBED) }));
    assert!(told(&world), "23 s");
    assert_eq!(from(&mut world, reports, outside(8), report(71)), Verdict::Drop(DropReason::Stranger));
    assert_eq!(from(&mut world, reports, outside(DESCRIBED), report(71)), Verdict::Drop(DropReason::Report));
}

#[test]
fn where_rtp_is_not_learned_rtcp_is_not_either() {
    let mut world = world();
    let session = world.open();
    world.command(Command::Learn { session, party: Party::One, signaling: OUTSIDE });
    let far_end = FarEnd { rtcp: Rtcp::Port(DESCRIBED), ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end });
    world.pass(Duration::from_secs(6));
    let mut described = far_end.address;
    described.set_port(DESCRIBED);
    let connected =
        |action: &Action| matches!(action, Action::Connect { address, .. } if *address == described);
    assert!(world.actions.iter().any(connected), "{:?}", world.actions);
}
