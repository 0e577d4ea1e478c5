//! More packets at once than there are buffers.

use std::time::Duration;

use duogate_channel::counters::Counter;
use duogate_channel::identity::Session;
use duogate_channel::sound::Codec;
use rustix::process::{Signal, kill_process};

use crate::house::{Gateway, until};
use crate::party::{Phone, joined, warm_up};

/// As many calls as the ports are enough for.
const CALLS: usize = 16;

/// Packets of each party that wait in its socket: together twice as many as the kernel has buffers for at first.
const WAITING: u8 = 64;

#[test]
fn what_finds_no_buffer_waits_and_each_party_has_its_turn() {
    let gateway = Gateway::start(&format!("sessions = {CALLS}"));
    let mut control = gateway.attach();
    let mut calls: Vec<(Session, [Phone; 2])> =
        (0..CALLS).map(|_| joined(&mut control, [Codec::Pcma, Codec::Pcma])).collect();
    for (_, [one, two]) in &mut calls {
        warm_up(one, two);
        warm_up(two, one);
        while [&*one, &*two].iter().any(|phone| phone.hear_within(Duration::from_millis(1)).is_some()) {}
    }
    kill_process(gateway.pid(), Signal::STOP).unwrap();
    for phone in calls.iter_mut().flat_map(|(_, phones)| phones) {
        (0..WAITING).for_each(|number| drop(phone.say(&[number; 160])));
    }
    kill_process(gateway.pid(), Signal::CONT).unwrap();
    for (number, phone) in calls.iter().flat_map(|(_, phones)| phones).enumerate() {
        let heard: Vec<u8> = (0..WAITING).map(|_| phone.hear().payload[0]).collect();
        assert_eq!(heard, Vec::from_iter(0..WAITING), "party {number}");
    }
    let parties = 2 * CALLS as u64;
    let page = &control.attachment.shards[0].page;
    // It is shown some time after.
    let starved =
        until("some found no buffer", || Some(page.get(Counter::DroppedNoBuffer)).filter(|count| *count > 0));
    assert!(starved <= parties, "{parties} parties were tried in vain {starved} times");
}
