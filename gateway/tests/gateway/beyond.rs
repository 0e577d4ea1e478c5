//! More sockets than descriptors: file tables of several rings hold them, and everything works as ever.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Recording, Session};
use duogate_channel::message::ToControl;
use duogate_channel::sound::Codec;
use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::house::{Control, Gateway, until};
use crate::party::{Phone, paced, warm_up};

/// An address of this test's own: its ports are more than the others leave free.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 9, 1, 1);

/// Sessions, and their ports: the sockets of one in the middle are in two tables.
const SESSIONS: usize = 800;
const DESCRIPTORS: usize = 1_100;

fn start(address: Ipv4Addr) -> Gateway {
    let media = format!("address = \"{address}\"\nports = \"20000-23999\"\nsessions = {SESSIONS}");
    Gateway::start_limited(&media, &format!("ulimit -n {DESCRIPTORS}"))
}

fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid().as_raw_nonzero())).unwrap().count()
}

/// Joins two phones on a session.
fn joined(control: &mut Control, address: Ipv4Addr, (session, ports): (Session, [u16; 2])) -> [Phone; 2] {
    let mut phones = [Phone::new(Codec::Pcma), Phone::new(Codec::Pcma)];
    for ((party, phone), port) in Party::BOTH.into_iter().zip(&mut phones).zip(ports) {
        phone.gateway = (IpAddr::from(address), port).into();
        control.far_end(session, party, phone.far_end());
    }
    control.join(session);
    phones
}

#[test]
fn every_session_has_its_sockets_and_they_can_be_moved_and_closed() {
    let gateway = start(ADDRESS);
    let mut control = gateway.attach();
    assert_eq!(control.attachment.shards[0].description.sessions as usize, SESSIONS);
    let before = descriptors(&gateway);
    let sessions: Vec<_> = (0..SESSIONS).map(|_| control.open()).collect();
    // One is lent for a moment now and then.
    until("sockets hold no descriptors", || (descriptors(&gateway) <= before).then_some(()));
    for number in [0, DESCRIPTORS / 2 - 1, DESCRIPTORS / 2, DESCRIPTORS / 2 + 1, SESSIONS - 1] {
        let [mut one, mut two] = joined(&mut control, ADDRESS, sessions[number]);
        warm_up(&mut one, &two);
        warm_up(&mut two, &one);
        // The far end moves: the new place is heard and sent to, the old one is a stranger.
        let mut moved = Phone::new(Codec::Pcma);
        moved.gateway = one.gateway;
        control.far_end(sessions[number].0, Party::One, moved.far_end());
        warm_up(&mut moved, &two);
        warm_up(&mut two, &moved);
        while two.hear_within(Duration::from_millis(20)).is_some() {}
        one.say(&[9; 160]);
        assert!(two.hear_within(Duration::from_millis(50)).is_none());
    }
    for (session, _) in &sessions {
        assert!(matches!(control.close(*session), Event::Closed { .. }));
    }
    let (session, _) = control.open();
    control.close(session);
    let (status, log) = gateway.terminate();
    assert!(status.success() && log.contains("file tables"), "{log}");
}

#[test]
fn a_translated_party_is_learned_through_a_table() {
    let address = Ipv4Addr::new(127, 9, 1, 2);
    let gateway = start(address);
    let mut control = gateway.attach();
    let (session, ports) = control.open();
    let [mut one, mut two] = [Phone::new(Codec::Pcma), Phone::new(Codec::Pcma)];
    one.gateway = (IpAddr::from(address), ports[0]).into();
    two.gateway = (IpAddr::from(address), ports[1]).into();
    let inside = Phone::at("127.0.0.3:0", Codec::Pcma);
    let signaling = IpAddr::from(Ipv4Addr::LOCALHOST);
    control.send(Command::Learn { session, party: Party::One, signaling });
    control.far_end(session, Party::One, inside.far_end());
    control.far_end(session, Party::Two, two.far_end());
    control.join(session);
    until("it is learned", || {
        one.say(&[1; 160]);
        two.hear_within(Duration::from_millis(20))
    });
    until("it hears", || {
        two.say(&[2; 160]);
        one.hear_within(Duration::from_millis(20))
    });
}

#[test]
fn a_gateway_after_it_has_its_ports() {
    for (end, last) in [(Signal::TERM, 3), (Signal::KILL, 4)] {
        let gateway = start(Ipv4Addr::new(127, 9, 1, last));
        let mut control = gateway.attach();
        let ports: Vec<_> = (0..SESSIONS).map(|_| control.open().1).collect();
        drop(control);
        // The next one has descriptors for all.
        let gateway = gateway.restart_after(end);
        let mut control = gateway.attach();
        let again: Vec<_> = (0..SESSIONS).map(|_| control.open().1).collect();
        assert_eq!(again, ports, "after {end:?}");
    }
}

#[test]
fn recordings_leave_the_descriptors_that_calls_need() {
    let address = Ipv4Addr::new(127, 9, 1, 5);
    let gateway = start(address);
    let mut control = gateway.attach();
    let file = |name: &str| std::fs::File::create_new(gateway.folder.path().join(name)).unwrap();
    let handed = (1..=DESCRIPTORS as u64).map(|number| {
        control.hand_over(Recording(number << 32), file(&number.to_string()));
        control.answer()
    });
    let last = handed.take_while(|answer| matches!(answer, ToControl::RecordingReady { .. })).count() as u64;
    assert!((900..DESCRIPTORS as u64 - 20).contains(&last), "{last} recordings had room");
    // Sockets are bound, connected, moved, closed; nothing of that waits for a recording to end.
    let (session, ports) = control.open();
    let [mut one, mut two] = joined(&mut control, address, (session, ports));
    warm_up(&mut one, &two);
    warm_up(&mut two, &one);
    assert!(matches!(control.close(session), Event::Closed { .. }));
    // Another control plane finds room, too; with the first one its recordings went that had not begun.
    drop(control);
    let control = gateway.attach();
    let mut number = 0;
    until("a recording has room", || {
        number += 1;
        control.hand_over(Recording(number), file(&format!("again {number}")));
        matches!(control.answer(), ToControl::RecordingReady { .. }).then_some(())
    });
}

#[test]
fn while_no_descriptor_is_left_calls_go_on_and_later_ones_have_sound_again() {
    let address = Ipv4Addr::new(127, 9, 1, 6);
    let gateway = start(address);
    let mut control = gateway.attach();
    let [talking, learned, deaf, later] = std::array::from_fn(|_| control.open());
    let [mut one, mut two] = joined(&mut control, address, talking);
    warm_up(&mut one, &two);
    let [three, _four] = joined(&mut control, address, learned);
    let allow = |most: usize| {
        let limit = Rlimit { current: Some(most as u64), maximum: Some(DESCRIPTORS as u64) };
        prlimit(Some(gateway.pid()), Resource::Nofile, limit).unwrap();
    };
    allow(3);
    let _phones = joined(&mut control, address, deaf);
    let signaling = IpAddr::from(Ipv4Addr::LOCALHOST);
    control.send(Command::Learn { session: learned.0, party: Party::One, signaling });
    control.far_end(learned.0, Party::One, three.far_end());
    paced(0..10, |_| drop(three.socket.send_to(&[0x80; 172], three.gateway)));
    warm_up(&mut one, &two);
    warm_up(&mut two, &one);
    allow(DESCRIPTORS);
    let [mut one, two] = joined(&mut control, address, later);
    warm_up(&mut one, &two);
    let (status, log) = gateway.terminate();
    assert!(status.success() && log.contains("cannot be reached"), "{log}");
}
