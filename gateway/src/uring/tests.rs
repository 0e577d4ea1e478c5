//! The ring against real sockets, and its messages.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use super::*;

#[test]
fn every_reason_names_its_cure() {
    let explained = |errno, disabled| explain(&io::Error::from_raw_os_error(errno), disabled);
    for (errno, disabled, cure) in [
        (libc::ENOSYS, None, "seccomp"),
        (libc::EPERM, Some(2), "kernel.io_uring_disabled"),
        (libc::EPERM, Some(1), "kernel.io_uring_group"),
        (libc::EPERM, Some(0), "SystemCallFilter"),
        (libc::EINVAL, Some(0), "Linux 6.1"),
        (libc::ENOMEM, None, "LimitMEMLOCK"),
        (libc::EMFILE, None, "LimitNOFILE"),
    ] {
        let text = explained(errno, disabled);
        assert!(text.contains(cure), "{text}");
    }
    assert!(explained(libc::EIO, None).contains("os error 5"));
}

#[test]
fn a_wait_ends_in_time_whatever_its_plan() {
    let mut uring = Uring::new(0, 4).unwrap();
    let milliseconds = Duration::from_millis;
    for (gather, at_most) in [(0, 0), (0, 5), (1, 5), (5, 1), (5, 5), (1, 0)] {
        let start = std::time::Instant::now();
        uring.wait(Wait { gather: milliseconds(gather), at_most: milliseconds(at_most) }).unwrap();
        let least = if gather == 0 { at_most } else { at_most.min(gather) };
        assert!(start.elapsed() >= milliseconds(least), "{gather} {at_most}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

/// A ring with a socket at place 3, and whom it is connected to.
fn line() -> (Uring, UdpSocket, UdpSocket) {
    let uring = Uring::new(0, 4).unwrap();
    let [near, far] = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    uring.enter_file(3, near.as_fd()).unwrap();
    (uring, near, far)
}

#[test]
fn packets_that_find_the_queue_full_are_sent_as_they_were_made() {
    // Whatever else is queued before them: the queue is full at another of them each time.
    for others in 0..5 {
        let (mut uring, _near, far) = line();
        for epoch in 0..others {
            uring.unwatch_socket(3, epoch).unwrap();
        }
        far.set_nonblocking(true).unwrap();
        let made: Vec<[u8; 4]> = (0..SUBMISSIONS * 4).map(u32::to_be_bytes).collect();
        let mut came = Vec::new();
        let mut packet = [0; 4];
        for octets in &made {
            assert!(uring.send_made(3, 4, |place| place.copy_from_slice(octets)));
            // Over loopback what was sent is there.
            while far.recv(&mut packet).is_ok() {
                came.push(packet);
            }
        }
        uring.submit().unwrap();
        while far.recv(&mut packet).is_ok() {
            came.push(packet);
        }
        assert!(came == made, "behind {others} others: {came:?}");
    }
}

#[test]
fn a_socket_is_echoed_from_its_buffers() {
    let (mut uring, _near, far) = line();
    uring.receive(3, 77).unwrap();
    let mut batch = Vec::with_capacity(16);
    // More rounds than there are buffers, so that each has been lent, used and given back.
    for round in 0..2 * u32::from(RECEIVE_BUFFERS) {
        far.send(&round.to_be_bytes()).unwrap();
        let completion = loop {
            uring.wait(Wait { gather: Duration::from_micros(1), at_most: Duration::from_secs(5) }).unwrap();
            if uring.reap(&mut batch) {
                break batch[0];
            }
        };
        let Completion::Received { place: 3, epoch: 77, buffer, length: 4, more: true } = completion else {
            panic!("{completion:?}");
        };
        uring.buffers.packet(buffer, 4).unwrap()[0] = 0xff;
        let packet = uring.name(buffer, 4).unwrap();
        uring.send(3, packet).unwrap();
        uring.buffers.give_back(buffer);
        uring.submit().unwrap();
        uring.buffers.publish();
        let mut answer = [0; 8];
        assert_eq!(far.recv(&mut answer).unwrap(), 4);
        assert_eq!(answer[..4], [[0xff].as_slice(), &round.to_be_bytes()[1..]].concat());
    }
    uring.cancel(3, 77).unwrap();
    uring.wait(Wait { gather: Duration::ZERO, at_most: Duration::from_millis(100) }).unwrap();
    uring.reap(&mut batch);
    let ended = Completion::Ended { place: 3, epoch: 77, errno: libc::ECANCELED, buffer: None };
    assert!(batch.contains(&ended), "{batch:?}");
}
