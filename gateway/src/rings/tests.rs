//! Several rings as one.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::*;

const LONG: Wait = Wait { gather: Duration::ZERO, at_most: Duration::from_secs(5) };

/// Two places of each of three rings.
fn three() -> Rings {
    Rings::new(6, Keep::Tables { rings: 3, each: 2 }).unwrap()
}

/// A socket at a place, held by its table alone, and its far end.
fn placed(rings: &mut Rings, place: u32) -> UdpSocket {
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    near.connect(far.local_addr().unwrap()).unwrap();
    far.connect(near.local_addr().unwrap()).unwrap();
    far.set_read_timeout(Some(LONG.at_most)).unwrap();
    rings.enter_file(place, near.as_fd()).unwrap();
    rings.receive(place, 1).unwrap();
    far
}

/// The next datagram: its place and buffer.
fn received(rings: &mut Rings) -> (u32, u16) {
    let mut batch = Vec::with_capacity(8);
    let start = Instant::now();
    loop {
        rings.wait(LONG).unwrap();
        while rings.reap(&mut batch) {
            for completion in &batch {
                if let Completion::Received { place, buffer, more: true, .. } = completion {
                    return (*place, *buffer);
                }
            }
        }
        assert!(start.elapsed() < LONG.at_most, "no datagram");
    }
}

#[test]
fn a_packet_comes_in_by_one_ring_and_leaves_by_any() {
    let mut rings = three();
    let places = [0, 3, 4];
    let far: Vec<UdpSocket> = places.iter().map(|place| placed(&mut rings, *place)).collect();
    for (from, sender) in places.iter().zip(&far) {
        for (to, receiver) in places.iter().zip(&far) {
            let said = [u8::try_from(*from).unwrap(), u8::try_from(*to).unwrap(), 7];
            sender.send(&said).unwrap();
            let (place, buffer) = received(&mut rings);
            assert_eq!(place, *from);
            assert_eq!(rings.packet(place, buffer, 3).unwrap(), said);
            rings.send_buffer(*to, place, buffer, 3).unwrap();
            rings.give_back(place, buffer);
            rings.wait(Wait { at_most: Duration::ZERO, ..LONG }).unwrap();
            let mut heard = [0; 8];
            assert_eq!(receiver.recv(&mut heard).unwrap(), 3);
            assert_eq!(heard[..3], said);
        }
    }
}

#[test]
fn a_lent_descriptor_is_the_socket_and_nothing_that_came_meanwhile_is_lost() {
    let mut rings = three();
    let far = placed(&mut rings, 5);
    rings.wait(Wait { at_most: Duration::ZERO, ..LONG }).unwrap();
    far.send(b"one").unwrap();
    let lent = UdpSocket::from(rings.lend(5).unwrap());
    assert_eq!(lent.peer_addr().unwrap(), far.local_addr().unwrap());
    drop(lent);
    assert_eq!(received(&mut rings).0, 5);
    far.send(b"two").unwrap();
    assert_eq!(received(&mut rings).0, 5, "it lives on in the table");
    assert!(rings.lend(0).is_err(), "there is none at this place");
    rings.remove_file(5).unwrap();
    assert!(rings.lend(5).is_err());
}

#[test]
fn rings_that_are_idle_do_not_end_a_wait() {
    let mut rings = three();
    let far = placed(&mut rings, 2);
    far.send(b"one").unwrap();
    received(&mut rings);
    let mut batch = Vec::with_capacity(8);
    let mut ended = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        rings.wait(Wait { gather: Duration::ZERO, at_most: Duration::from_millis(50) }).unwrap();
        while rings.reap(&mut batch) {}
        ended += 1;
    }
    assert!(ended < 12, "{ended} waits of 50 ms in 200 ms");
}
