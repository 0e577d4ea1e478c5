//! Control planes come and go.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use duogate_channel::command::{Command, LegOpening};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::handover::{Connection, HandoverError};
use duogate_channel::identity::{Party, Sound, Tag};
use duogate_channel::message::{FileRefusal, Rejection, ToControl, ToGateway};
use duogate_channel::record::ABI_VERSION;
use duogate_channel::segment::SealedBytes;
use duogate_channel::sides::{AttachError, Attachment};
use duogate_channel::snapshot::SessionState;
use duogate_channel::sound::Codec;

use crate::house::{DEADLINE, Gateway, until};
use crate::party::{call, warm_up};

fn connect(gateway: &Gateway) -> Connection {
    until("the gateway listens", || Connection::open(&gateway.socket()).ok())
}

#[test]
fn a_second_control_plane_is_refused() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let error = Attachment::open(&gateway.socket(), DEADLINE).unwrap_err();
    assert!(matches!(error, AttachError::Rejected(Rejection::AlreadyAttached)), "{error}");
    control.open();
}

#[test]
fn another_abi_version_is_refused() {
    let gateway = Gateway::start("");
    let connection = connect(&gateway);
    connection.send(&ToGateway::Hello { abi: 4711, pid: 1 }, &[]).unwrap();
    let (answer, _) = connection.receive::<ToControl>().unwrap();
    assert!(matches!(answer, ToControl::Reject(Rejection::AbiMismatch { theirs: 4711, .. })), "{answer:?}");
    gateway.attach();
}

#[test]
fn calls_survive_their_control_plane() {
    let (gateway, control, session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    let (_, before) = warm_up(&mut one, &two);
    let epoch = control.attachment.epoch;
    drop(control);
    for number in 0..50 {
        one.say(&[number; 160]);
        assert_eq!(two.hear().payload, vec![number; 160], "nothing is lost meanwhile");
    }
    let mut control =
        until("the gateway takes another", || Attachment::open(&gateway.socket(), DEADLINE).ok());
    assert_eq!(control.epoch, epoch);
    let page = &control.shards[0].page;
    let snapshot = page.snapshot(session.slot).unwrap().expect("the session is shown");
    assert_eq!((snapshot.session, snapshot.state), (session, SessionState::Joined));
    assert_eq!(snapshot.legs[1].ssrc, before.ssrc);
    assert_eq!(snapshot.legs[1].far_end.unwrap().address, two.socket.local_addr().unwrap());
    control.shards[0].send(&Command::Close { session }).unwrap();
    let closed = until("closed", || control.shards[0].wait_event(Duration::from_millis(50)).unwrap());
    assert!(matches!(closed, Event::Closed { session: closed, .. } if closed == session), "{closed:?}");
    let page = &control.shards[0].page;
    until("the slot is empty", || page.snapshot(session.slot).unwrap().is_none().then_some(()));
}

#[test]
fn events_wait_for_room_in_the_ring() {
    let gateway = Gateway::start("sessions = 16\nrest_seconds = 0");
    let mut control = gateway.attach();
    // More answers than the event ring holds, with nobody reading: 4096 events fit.
    let rounds = 2200u64;
    for tag in 1..=rounds {
        let command = Command::Open { tag: Tag(tag), legs: [LegOpening::FRESH; 2] };
        until("room for a command", || control.attachment.shards[0].send(&command).ok());
    }
    let mut answers = 0;
    while answers < rounds {
        match control.event() {
            Event::Opened { session, .. } => {
                answers += 1;
                let close = Command::Close { session };
                until("room for a command", || control.attachment.shards[0].send(&close).ok());
            }
            Event::Refused { .. } => answers += 1,
            _ => {}
        }
    }
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let gateway = Gateway::start("");
    let control = gateway.attach();
    let connection = &control.attachment.connection;
    let good = SealedBytes::create(&[1; 320]).unwrap();
    let unsealed = tempfile::tempfile().unwrap();
    for (bytes, file, reason) in
        [(321, good.as_fd(), FileRefusal::Size), (0, unsealed.as_fd(), FileRefusal::Unsealed)]
    {
        let sound = Sound(5);
        connection.send(&ToGateway::Sound { sound, codec: Codec::Pcma, bytes }, &[file]).unwrap();
        let answer = control.answer();
        let refused = |answer| {
            matches!(answer, ToControl::SoundRefused { sound: Sound(5), reason: found }
            if found == reason || found == FileRefusal::Unusable)
        };
        assert!(refused(answer), "{answer:?}");
    }
}

#[test]
fn the_page_counts() {
    let (_gateway, control, session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    for _ in 0..20 {
        warm_up(&mut one, &two);
    }
    let page = &control.attachment.shards[0].page;
    until("counters", || (page.get(Counter::PacketsForwarded) >= 20).then_some(()));
    assert_eq!(page.get(Counter::SessionsActive), 1);
    assert_eq!(page.get(Counter::Attached), 1);
    let leg = until("snapshot", || {
        let snapshot = page.snapshot(session.slot).unwrap()?;
        let leg = snapshot.legs[Party::One.index()];
        (leg.statistics.packets_received >= 20).then_some(leg)
    });
    assert_eq!(leg.far_end.unwrap().address, one.socket.local_addr().unwrap());
}

#[test]
fn a_control_plane_that_poisons_its_ring_must_go() {
    let (gateway, control, _session, [mut one, two]) = call([Codec::Pcma, Codec::Pcma]);
    drop(control);
    let connection = until("the gateway takes another", || {
        let connection = connect(&gateway);
        let hello = ToGateway::Hello { abi: ABI_VERSION, pid: std::process::id() };
        connection.send(&hello, &[]).ok()?;
        let (answer, _) = connection.receive::<ToControl>().ok()?;
        matches!(answer, ToControl::Welcome { .. }).then_some(connection)
    });
    let (_, files) = connection.receive::<ToControl>().unwrap();
    let [rings, _page, doorbell, _]: [OwnedFd; 4] = files.try_into().unwrap();
    // The first word behind the header of 16 is the index of the command ring's producer.
    File::from(rings).write_all_at(&u64::MAX.to_le_bytes(), 16 * 8).unwrap();
    File::from(doorbell).write_all(&1u64.to_ne_bytes()).unwrap();
    connection.set_timeout(Some(DEADLINE)).unwrap();
    let outcome = connection.receive::<ToControl>();
    assert!(matches!(outcome, Err(HandoverError::Closed)), "{outcome:?}");
    warm_up(&mut one, &two);
    until("the gateway takes another", || Attachment::open(&gateway.socket(), DEADLINE).ok());
}

#[test]
fn garbage_at_the_socket_is_refused() {
    let gateway = Gateway::start("");
    let connection = connect(&gateway);
    rustix::net::send(&connection, &[7; 200], rustix::net::SendFlags::empty()).unwrap();
    let (answer, _) = connection.receive::<ToControl>().unwrap();
    assert_eq!(answer, ToControl::Reject(Rejection::NoHello));
    gateway.attach();
}
