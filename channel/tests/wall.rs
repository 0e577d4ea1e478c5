//! The hand-over as a whole: greeting, descriptors, refusals, and what flows afterwards.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use duogate_channel::command::{Command, LegOpening};
use duogate_channel::counters::Counter;
use duogate_channel::event::Event;
use duogate_channel::handover::{Connection, Doorway, HandoverError};
use duogate_channel::identity::{Recording, Session, Shard, Sound, Tag};
use duogate_channel::message::{Rejection, ShardDescription, ToControl, ToGateway};
use duogate_channel::page::PageWriter;
use duogate_channel::record::{ABI_VERSION, RecordError};
use duogate_channel::segment::{SealedBytes, SegmentError};
use duogate_channel::sides::{AttachError, Attachment, GatewaySide, ShardOffer, offer_shard, welcome};
use duogate_channel::sound::Codec;

const EPOCH: u64 = 77;
const PATIENCE: Duration = Duration::from_secs(10);

fn description(index: u16) -> ShardDescription {
    ShardDescription {
        shard: Shard(index),
        core: index,
        addresses: 1,
        first_port: 20_000,
        last_port: 29_999,
        sessions: 8,
    }
}

fn shard(index: u16) -> (GatewaySide, ShardOffer, PageWriter) {
    let page = PageWriter::create(EPOCH, 8).unwrap();
    let (side, offer) = offer_shard(description(index), EPOCH, &page, 16, 32).unwrap();
    (side, offer, page)
}

/// Attaches over a pair of sockets to a gateway that does what `gateway` does.
fn attach(gateway: impl FnOnce(&Connection) + Send) -> Result<Attachment, AttachError> {
    let (ours, theirs) = Connection::pair().unwrap();
    theirs.set_timeout(Some(PATIENCE)).unwrap();
    ours.set_timeout(Some(PATIENCE)).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || gateway(&theirs));
        Attachment::greet(ours)
    })
}

#[test]
fn commands_events_and_figures_cross_the_wall() {
    let (mut first, first_offer, page) = shard(0);
    let (mut second, second_offer, _) = shard(1);
    let mut attachment = attach(|connection| {
        assert_eq!(connection.receive_hello().unwrap(), Ok(std::process::id()));
        welcome(connection, EPOCH, &[first_offer, second_offer]).unwrap();
    })
    .unwrap();
    assert_eq!(attachment.epoch, EPOCH);
    assert_eq!(attachment.shards[1].description, description(1));
    let open = |number| Command::Open { tag: Tag(number), legs: [LegOpening::FRESH; 2] };
    assert_eq!(second.commands.prepare_sleep(), Ok(true));
    for (index, side) in attachment.shards.iter_mut().enumerate() {
        side.send(&open(index as u64 + 1)).unwrap();
    }
    assert!(second.command_doorbell.wait(PATIENCE), "the sleeping shard was not woken");
    assert_eq!(first.commands.pop(), Ok(Some(open(1))));
    assert_eq!(second.commands.pop(), Ok(Some(open(2))));
    let joined = Event::Joined { session: Session { slot: 1, generation: 1 } };
    first.events.push(&joined).unwrap();
    first.flush();
    page.set(Counter::PortsTotal, 10_000);
    assert_eq!(attachment.shards[0].wait_event(PATIENCE), Ok(Some(joined)));
    assert_eq!(attachment.shards[0].page.get(Counter::PortsTotal), 10_000);
    assert_eq!(attachment.shards[1].wait_event(Duration::from_millis(1)), Ok(None));
}

#[test]
fn a_gateway_of_another_abi_is_refused_with_both_versions() {
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        let strange = ToControl::Welcome { abi: ABI_VERSION + 1, epoch: EPOCH, shards: 1 };
        connection.send(&strange, &[]).unwrap();
    });
    assert!(
        matches!(refused, Err(AttachError::Abi { theirs, ours: ABI_VERSION }) if theirs == ABI_VERSION + 1)
    );
}

#[test]
fn a_control_plane_of_another_abi_is_told_both_versions() {
    let (ours, theirs) = Connection::pair().unwrap();
    ours.send(&ToGateway::Hello { abi: 99, pid: 1 }, &[]).unwrap();
    let rejection = Rejection::AbiMismatch { theirs: 99, ours: ABI_VERSION };
    assert_eq!(theirs.receive_hello().unwrap(), Err(rejection));
    assert_eq!(ours.receive::<ToControl>().unwrap().0, ToControl::Reject(rejection));
}

#[test]
fn a_second_control_plane_is_told_so() {
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        connection.reject(Rejection::AlreadyAttached).unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Rejected(Rejection::AlreadyAttached))));
}

#[test]
fn who_does_not_greet_is_not_taken() {
    let (ours, theirs) = Connection::pair().unwrap();
    ours.send(&ToGateway::ForgetSound { sound: Sound(1) }, &[]).unwrap();
    assert_eq!(theirs.receive_hello().unwrap(), Err(Rejection::NoHello));
    rustix::net::send(&ours, b"garbage", rustix::net::SendFlags::empty()).unwrap();
    assert_eq!(theirs.receive_hello().unwrap(), Err(Rejection::NoHello));
    drop(ours);
    assert!(matches!(theirs.receive_hello(), Err(HandoverError::Closed)));
}

#[test]
fn messages_out_of_order_are_refused() {
    let (_side, offer, _page) = shard(1);
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        welcome(connection, EPOCH, &[offer]).unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Unexpected("not the next shard"))));
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        connection.send(&ToControl::SoundReady { sound: Sound(1) }, &[]).unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Unexpected(_))));
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        connection.send(&ToControl::Welcome { abi: ABI_VERSION, epoch: EPOCH, shards: 0 }, &[]).unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Unexpected(_))));
}

#[test]
fn rings_of_another_life_or_without_seals_are_refused() {
    let (_side, offer, _page) = shard(0);
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        welcome(connection, EPOCH + 1, &[offer]).unwrap();
    });
    let epoch = SegmentError::Epoch { found: EPOCH, expected: EPOCH + 1 };
    assert!(matches!(refused, Err(AttachError::Segment(error)) if error == epoch));
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
        connection.send(&ToControl::Welcome { abi: ABI_VERSION, epoch: EPOCH, shards: 1 }, &[]).unwrap();
        let file = SealedBytes::create(&[0; 4096]).unwrap();
        let page = PageWriter::create(EPOCH, 1).unwrap();
        // Sealed bytes lack no seal, so they get as far as their header; a plain file does not.
        let plain = OwnedFd::from(tempfile::tempfile().unwrap());
        let files = [plain.as_fd(), page.file(), file.as_fd(), file.as_fd()];
        connection.send(&ToControl::Shard(description(0)), &files).unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Segment(_))));
}

#[test]
fn a_gateway_that_says_nothing_or_dies_is_an_error_in_time() {
    let (ours, theirs) = Connection::pair().unwrap();
    ours.set_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(matches!(Attachment::greet(ours), Err(AttachError::Handover(HandoverError::WouldBlock))));
    drop(theirs);
    let refused = attach(|connection| {
        connection.receive_hello().unwrap().unwrap();
    });
    assert!(matches!(refused, Err(AttachError::Handover(HandoverError::Closed))));
}

#[test]
fn descriptors_arrive_with_their_message_and_only_as_many_as_belong_to_it() {
    let (ours, theirs) = Connection::pair().unwrap();
    let sound = SealedBytes::create(&[0xD5; 160]).unwrap();
    let message = ToGateway::Sound { sound: Sound(3), codec: Codec::Pcma, bytes: 160 };
    ours.send(&message, &[sound.as_fd()]).unwrap();
    let (received, files) = theirs.receive::<ToGateway>().unwrap();
    assert_eq!(received, message);
    assert_eq!(&*SealedBytes::open(files[0].as_fd(), 160).unwrap(), &[0xD5; 160]);
    assert!(matches!(ours.send(&message, &[]), Err(HandoverError::Descriptors { found: 0, expected: 1 })));
    let forget = ToGateway::ForgetRecording { recording: Recording(1) };
    assert!(ours.send(&forget, &[sound.as_fd()]).is_err());
}

/// A datagram that no honest peer sends.
fn send_raw(connection: &Connection, bytes: &[u8], files: &[std::os::fd::BorrowedFd<'_>]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(files)));
    sendmsg(connection, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn too_many_descriptors_and_wrong_lengths_are_refused_and_closed() {
    use duogate_channel::record::Record;
    let (ours, theirs) = Connection::pair().unwrap();
    let sound = SealedBytes::create(b"x").unwrap();
    let hello = ToGateway::Hello { abi: ABI_VERSION, pid: 1 }.encode();
    for count in [1, 4, 16] {
        send_raw(&ours, &hello, &vec![sound.as_fd(); count]);
        let received = theirs.receive::<ToGateway>();
        assert!(matches!(received, Err(HandoverError::Descriptors { expected: 0, .. })), "{received:?}");
    }
    for length in [1, 63, 65, 1000] {
        let mut long = hello.to_vec();
        long.resize(length, 0);
        send_raw(&ours, &long, &[sound.as_fd()]);
        let received = theirs.receive::<ToGateway>();
        assert!(matches!(received, Err(HandoverError::Record(RecordError::Length { .. }))), "{received:?}");
    }
    // Nothing of all that stayed open: the file's only holder is the test itself.
    let holders = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.to_string_lossy().contains("duogate-sound"));
    // Other tests of this process may hold sounds of their own, a few.
    assert!(holders.count() < 8);
}

#[test]
fn a_socket_without_anything_to_read_says_so_when_it_does_not_block() {
    let (ours, _theirs) = Connection::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    assert!(matches!(ours.receive::<ToControl>(), Err(HandoverError::WouldBlock)));
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    (folder, path)
}

#[test]
fn the_socket_is_for_its_owner_and_goes_with_the_gateway() {
    let (_folder, path) = folder();
    let doorway = Doorway::open(&path).unwrap();
    let file = std::fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let control = Connection::open(&path).unwrap();
    let gateway = doorway.accept().unwrap();
    assert_eq!(gateway.peer_process().unwrap(), i32::try_from(std::process::id()).unwrap());
    drop((doorway, control));
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_dead_gateway_left_is_replaced_and_a_live_one_is_not() {
    let (_folder, path) = folder();
    // A listener of the standard library leaves its file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let doorway = Doorway::open(&path).unwrap();
    assert!(matches!(Doorway::open(&path), Err(HandoverError::InUse(_))));
    let _control = Connection::open(&path).unwrap();
    assert!(doorway.accept().is_ok(), "the refused starter has taken the doorway's connection");
}

#[test]
fn a_gateway_that_ends_leaves_its_successors_socket() {
    let (_folder, path) = folder();
    let first = Doorway::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = Doorway::open(&path).unwrap();
    drop(first);
    assert!(Connection::open(&path).is_ok());
}

#[test]
fn a_folder_that_somebody_keeps_locked_is_an_error_in_time() {
    let (folder, path) = folder();
    let holder = std::fs::File::open(folder.path()).unwrap();
    rustix::fs::flock(&holder, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(Doorway::open(&path), Err(HandoverError::WouldBlock)));
    drop(holder);
    assert!(Doorway::open(&path).is_ok());
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let (_folder, path) = folder();
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Doorway::open(&path), Err(HandoverError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_missing_folder_and_a_path_too_long_are_errors() {
    let (folder, _) = folder();
    assert!(Doorway::open(&folder.path().join("none/gateway.sock")).is_err());
    assert!(Doorway::open(&folder.path().join("x".repeat(200))).is_err());
    assert!(Connection::open(&folder.path().join("gateway.sock")).is_err());
}
