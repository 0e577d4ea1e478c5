//! The gateway dies, and the endpoint waits for the next one.

use core::time::Duration;

use duogate_channel::command::Command;
use duogate_channel::event::{Event, Refusal};
use duogate_channel::identity::{Shard, Tag};

use super::node::{Node, settings};
use crate::resource::error::ApiError;
use crate::resource::report;

const MILLISECOND: Duration = Duration::from_millis(1);

impl Node {
    /// A node with one call that has a session, and whose gateway has died.
    fn away() -> (Self, Shard, Tag) {
        let mut node = Self::new(settings());
        node.place(&["1@192.0.2.1"], 1);
        let (shard, tag) = node.asked();
        node.endpoint.media_away(node.now, &[]);
        node.drain();
        (node, shard, tag)
    }

    fn comes(&mut self) {
        self.endpoint.media_attached(self.now, &[100, 100]);
        self.drain();
    }

    fn opens(&self) -> usize {
        self.commands.iter().filter(|(_, command)| matches!(command, Command::Open { .. })).count()
    }

    fn is_released(&self) -> bool {
        self.reports.iter().any(|event| matches!(event, report::Event::Released(_)))
    }
}

#[test]
fn who_does_not_wait_loses_its_calls_at_once() {
    let mut settings = settings();
    settings.waits.recovery = Duration::ZERO;
    let mut node = Node::new(settings);
    node.place(&["1@192.0.2.1"], 1);
    node.endpoint.media_away(node.now, &[]);
    node.drain();
    assert!(node.is_released());
}

#[test]
fn a_port_that_is_still_taken_is_asked_for_again_until_the_time_is_over() {
    let (mut node, shard, tag) = Node::away();
    node.comes();
    let refused = |node: &mut Node| {
        node.endpoint.media(node.now, shard, Event::Refused { tag, reason: Refusal::NoPort });
        node.drain();
    };
    for opens in 2..6 {
        assert_eq!(node.opens(), opens);
        refused(&mut node);
        node.wait(MILLISECOND * 19);
        assert_eq!(node.opens(), opens);
        // New calls would take the ports of those that wait.
        let new = node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]);
        assert!(matches!(new, Err(ApiError::NoMedia)), "{new:?}");
        node.wait(MILLISECOND);
    }
    assert!(!node.is_released());
    node.wait(Duration::from_secs(5));
    assert!(node.is_released());
}

#[test]
fn a_gateway_that_dies_again_prolongs_nothing() {
    let (mut node, ..) = Node::away();
    for _ in 0..4 {
        node.wait(Duration::from_secs(1));
        node.comes();
        node.endpoint.media_away(node.now, &[]);
        node.drain();
    }
    assert!(!node.is_released());
    node.wait(Duration::from_secs(1));
    assert!(node.is_released());
}
