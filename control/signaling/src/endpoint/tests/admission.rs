//! Who is let in, and what is said to those who are not.

use core::time::Duration;

use duogate_channel::identity::{Recording, Shard};
use duogate_channel::sound::Codec;

use super::node::{Node, settings};
use crate::endpoint::Admission;
use crate::message::Message;
use crate::resource::action::{self, ActionParameters};
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;
use crate::resource::plan::Prepared;
use crate::resource::view::State;

#[test]
fn the_rate_is_bounded_and_the_refusal_says_when_to_come_again() {
    let mut node = Node::new(settings());
    for _ in 0..8 {
        node.construct_one();
    }
    let refusal = node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]).unwrap_err();
    assert_eq!(refusal, ApiError::Overloaded { retry_after_seconds: 1 });
    node.now.instant = node.now.instant + Duration::from_millis(210);
    node.construct_one();
    assert_eq!(node.endpoint.counters().refused_rate, 1);
}

#[test]
fn calls_at_once_are_bounded_and_an_end_makes_room() {
    let mut settings = settings();
    settings.limits.admission = Admission { max_calls: 2, calls_per_second: 100.0, burst: 100 };
    let mut node = Node::new(settings);
    let first = node.construct_one();
    node.construct_one();
    let refusal = node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]).unwrap_err();
    assert!(matches!(refusal, ApiError::Overloaded { .. }));
    node.endpoint.drop_call(node.now, &first.res_id, None).unwrap();
    node.construct_one();
}

#[test]
fn places_to_decode_what_is_recorded_are_bounded_and_an_end_makes_room() {
    let mut settings = settings();
    settings.codecs = alloc::vec![Codec::G722, Codec::Pcma];
    settings.limits.max_transcoded = 1;
    let mut node = Node::new(settings);
    let mut first = None;
    // Payload type 9 is G.722 (RFC 3551 section 6).
    for (slot, (offered, held, refused)) in
        [("RTP/AVP 9 8 ", 1, 0), ("RTP/AVP 8 ", 1, 1), ("RTP/AVP 9 8 ", 1, 1)].into_iter().enumerate()
    {
        let parameters = Parameters {
            to1_uri: alloc::vec!["1@192.0.2.1".into()],
            to2_uri: alloc::vec!["2@192.0.2.2".into()],
            record_file: Some("a.wav".into()),
            ..Parameters::default()
        };
        let plan = node.endpoint.check(node.now, &parameters).unwrap();
        let recording = Some(Recording(slot as u64 + 1));
        let prepared = Prepared { recording, ..Prepared::default() };
        let view = node.endpoint.construct(node.now, plan, prepared).unwrap();
        node.drain();
        node.noted(&view);
        node.open(u32::try_from(slot).unwrap());
        let (_, invite) = node.sent.last().unwrap();
        let body = Message::parse(invite).unwrap().body().to_vec();
        let body = alloc::string::String::from_utf8(body).unwrap();
        assert!(body.contains(offered), "{body}");
        let counters = node.endpoint.counters();
        assert_eq!((counters.transcoded, counters.transcoding_refused), (held, refused));
        if slot == 0 {
            first = Some(view.res_id);
        } else if let Some(res_id) = first.take() {
            node.endpoint.drop_call(node.now, &res_id, None).unwrap();
            node.wait(Duration::from_secs(40));
            assert_eq!(node.endpoint.counters().transcoded, 0);
        }
    }
}

#[test]
fn draining_and_a_missing_gateway_refuse() {
    let mut node = Node::new(settings());
    node.endpoint.drain(true);
    assert_eq!(node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]), Err(ApiError::Draining));
    node.endpoint.drain(false);
    node.endpoint.media_lost(node.now);
    assert_eq!(node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]), Err(ApiError::NoMedia));
    node.endpoint.media_attached(node.now, &[1]);
    node.construct_one();
    let full = node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]);
    assert!(matches!(full, Err(ApiError::Overloaded { .. })), "the only session is taken");
}

#[test]
fn sessions_go_to_the_shard_with_most_room_and_avoid_a_congested_one() {
    let mut node = Node::new(settings());
    let mut shards = alloc::vec::Vec::new();
    for _ in 0..3 {
        node.construct_one();
        shards.push(node.asked().0);
    }
    assert_eq!(shards, [Shard(0), Shard(1), Shard(0)]);
    node.endpoint.media_congested(Shard(1));
    node.construct_one();
    assert_eq!(node.asked().0, Shard(0));
    assert_eq!(node.endpoint.shard_sessions(), [3, 1]);
}

#[test]
fn a_list_comes_in_pages_and_shows_the_living() {
    let mut node = Node::new(settings());
    let views: alloc::vec::Vec<_> = (0..5).map(|_| node.construct_one()).collect();
    node.endpoint.drop_call(node.now, &views[1].res_id, None).unwrap();
    let first = node.endpoint.list(None, None, Some(3)).unwrap();
    let names = |page: &crate::resource::view::Page| {
        page.views.iter().map(|view| view.res_id.clone()).collect::<alloc::vec::Vec<_>>()
    };
    assert_eq!(names(&first), [&views[0], &views[2], &views[3]].map(|view| view.res_id.clone()));
    let second = node.endpoint.list(None, first.next.as_deref(), Some(3)).unwrap();
    assert_eq!(names(&second), [views[4].res_id.clone()]);
    assert_eq!(second.next, None);
    let released = node.endpoint.list(Some(State::Released), None, None).unwrap();
    assert_eq!(names(&released), [views[1].res_id.clone()]);
    for (cursor, limit, parameter) in
        [(Some("x"), None, "cursor"), (None, Some(0), "limit"), (None, Some(1001), "limit")]
    {
        let error = node.endpoint.list(None, cursor, limit).unwrap_err();
        assert_eq!(error.parameter(), Some(parameter));
    }
}

#[test]
fn names_that_are_almost_right_are_not_found() {
    let mut node = Node::new(settings());
    let view = node.construct_one();
    assert!(view.res_id.starts_with("n1-ext.duo_callback-"));
    assert!(node.endpoint.get(&view.res_id).is_ok());
    let other = alloc::format!("{}0", &view.res_id[..view.res_id.len() - 1]);
    let wrong = if *other == *view.res_id { alloc::format!("{}1", &other[..other.len() - 1]) } else { other };
    for name in ["", "-", "x", &wrong, "n1-ext.duo_callback-äöüäöüäöüäöü"] {
        assert_eq!(node.endpoint.get(name), Err(ApiError::NotFound), "{name}");
    }
    assert_eq!(node.endpoint.cancel(node.now, "x"), Err(ApiError::NotFound));
}

#[test]
fn drop_knows_its_causes_and_happens_once() {
    let mut node = Node::new(settings());
    let view = node.construct_one();
    let error = node.endpoint.drop_call(node.now, &view.res_id, Some(200)).unwrap_err();
    assert_eq!(error.parameter(), Some("cause"));
    node.endpoint.drop_call(node.now, &view.res_id, Some(486)).unwrap();
    let again = node.endpoint.drop_call(node.now, &view.res_id, None);
    assert_eq!(again, Err(ApiError::WrongState { state: State::Released }));
}

/// A callback whose party 1 has answered in G.722.
fn answered_wide(node: &mut Node, slot: u32) -> alloc::sync::Arc<str> {
    let view = node.construct(&["1@192.0.2.1"], &["2@192.0.2.2"]).unwrap();
    node.noted(&view);
    node.open(slot);
    node.accept(9);
    assert_eq!(node.endpoint.get(&view.res_id).unwrap().state, State::Answer1);
    view.res_id
}

#[test]
fn a_recording_on_demand_that_must_be_decoded_needs_a_place() {
    let mut settings = settings();
    settings.codecs = alloc::vec![Codec::G722];
    settings.limits.max_transcoded = 1;
    let mut node = Node::new(settings);
    let [first, second] = [0, 1].map(|slot| answered_wide(&mut node, slot));
    assert_eq!(node.endpoint.counters().transcoded, 0, "what both speak need not be decoded");
    let record =
        |name: &str| ActionParameters { record_file: Some(name.into()), ..ActionParameters::default() };
    let check = |node: &Node, res_id: &str| {
        node.endpoint.check_action(res_id, action::Method::Record, &record("a.wav"))
    };
    let order = check(&node, &first).unwrap();
    let late = check(&node, &second).unwrap();
    let prepared =
        |number| action::Prepared { recording: Some(Recording(number)), ..action::Prepared::default() };
    node.endpoint.start_action(node.now, &first, order, prepared(7)).unwrap();
    node.drain();
    assert_eq!(node.endpoint.counters().transcoded, 1);
    assert!(matches!(check(&node, &second), Err(ApiError::Overloaded { .. })));
    let refused = node.endpoint.start_action(node.now, &second, late, prepared(8));
    assert!(matches!(refused, Err(ApiError::Overloaded { .. })), "the place was taken meanwhile");
    node.endpoint.drop_call(node.now, &first, None).unwrap();
    node.drain();
    assert!(check(&node, &second).is_ok(), "an end makes room");
}
