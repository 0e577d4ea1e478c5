//! A group of changes is as good as its changes one by one.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::super::rows::{Change, EventRow, Keeping, ResourceRow};
use super::super::schema;
use super::super::tally::Tally;
use super::{apply_all, tidy};

fn resource(res_id: &str, state: &'static str, released: Option<i64>) -> Change {
    let dialogs = if released.is_none() { vec![(1, json!({"of": state}))] } else { Vec::new() };
    Change::Resource(Box::new(ResourceRow {
        res_id: res_id.into(),
        created: 1,
        released,
        state,
        callback_url: None,
        view: json!({"state": state}),
        note: json!({}),
        dialogs,
    }))
}

/// A version that changes only the dialogs of these parties.
fn dialogs(res_id: &str, state: &'static str, parties: &[u8]) -> Change {
    let Change::Resource(mut row) = resource(res_id, state, None) else { unreachable!() };
    row.dialogs = parties.iter().map(|party| (*party, json!({"of": state}))).collect();
    Change::Resource(row)
}

fn event(res_id: &str, seq: u64) -> Change {
    Change::Event(Box::new(EventRow {
        event_id: format!("{res_id}/{seq}"),
        res_id: res_id.into(),
        seq,
        time: 2,
        callback_url: None,
        body: "{}".into(),
        owner: None,
    }))
}

fn database() -> Connection {
    schema::open_for_writing(Path::new(":memory:")).expect("a database")
}

/// Everything that the store shows of its resources, events and dialogs.
fn contents(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare(
            "SELECT res_id || state || last_seq || view || coalesce(released, '-') FROM resources UNION ALL
             SELECT event_id || seq FROM outbox UNION ALL
             SELECT res_id || party || detail FROM dialogs ORDER BY 1",
        )
        .expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("text")).collect()
}

#[test]
fn versions_of_a_row_that_share_a_commit_leave_what_the_last_one_says() {
    let changes = [
        resource("a", "Initiated", None),
        resource("b", "Initiated", None),
        event("a", 1),
        event("a", 2),
        resource("a", "Answer1", None),
        event("b", 1),
        resource("b", "Released", Some(9)),
        event("a", 3),
        dialogs("a", "Answer2", &[1, 2]),
        dialogs("a", "Connected", &[]),
    ];
    let mut together = database();
    apply_all(&mut together, changes.iter()).expect("written");
    let mut alone = database();
    for change in &changes {
        apply_all(&mut alone, std::iter::once(change)).expect("written");
    }
    assert_eq!(contents(&together), contents(&alone));
    assert!(
        contents(&together).iter().any(|row| row.starts_with("aConnected3")),
        "{:?}",
        contents(&together)
    );
    for party in [1, 2] {
        let dialog = format!("a{party}{}", json!({"of": "Answer2"}));
        assert!(contents(&together).contains(&dialog), "{:?}", contents(&together));
    }
}

fn hook(res_id: &str, seq: u64, callback_url: &str) -> Change {
    let Change::Event(mut row) = event(res_id, seq) else { unreachable!() };
    row.callback_url = Some(callback_url.into());
    Change::Event(row)
}

fn keeping() -> Keeping {
    Keeping {
        released_seconds: 60,
        events_seconds: 60,
        events: 3,
        webhook_events: 8,
        webhook_events_per_host: 5,
        cdrs_seconds: 60,
    }
}

#[test]
fn the_limit_of_uncollected_events_counts_those_and_no_others() {
    let mut connection = database();
    let tally = Tally::new(&connection, &keeping()).expect("counted");
    let mut changes: Vec<Change> = (1..=3).map(|seq| event("a", seq)).collect();
    changes.extend((1..=20).map(|seq| hook("b", seq, "http://h/")));
    tally.apply(apply_all(&mut connection, changes.iter()).expect("written"));
    let uncollected = tally.totals().uncollected;
    let (tidied, difference) = tidy(&mut connection, 3, &keeping(), uncollected).expect("tidied");
    tally.apply(difference);
    assert_eq!((tidied.lost, tally.totals().uncollected), (0, 3));
    tally.apply(apply_all(&mut connection, [event("a", 4), event("a", 5)].iter()).expect("written"));
    let (tidied, difference) = tidy(&mut connection, 3, &keeping(), 5).expect("tidied");
    tally.apply(difference);
    assert_eq!((tidied.lost, tally.totals().uncollected, tally.totals().for_webhooks), (2, 3, 20));
    assert!(!contents(&connection).contains(&"a/22".to_owned()), "the oldest went");
    assert!(contents(&connection).contains(&"a/33".to_owned()));
}

#[test]
fn the_counts_of_the_outbox_are_those_of_its_rows() {
    let mut connection = database();
    let tally = Tally::new(&connection, &keeping()).expect("counted");
    let mut do_all =
        |changes: &[Change]| tally.apply(apply_all(&mut connection, changes.iter()).expect("written"));
    do_all(&[event("a", 1), event("a", 1), event("a", 2)]);
    for seq in 1..=4 {
        do_all(&[hook("b", seq, "http://one/x")]);
        assert!(tally.has_room("http://one/y"), "{seq} wait");
    }
    do_all(&[hook("b", 5, "https://one/z")]);
    assert!(!tally.has_room("http://one/"), "five of one host are enough");
    assert!(tally.has_room("http://two/"), "but not of all");
    do_all(&[hook("c", 1, "http://two/"), hook("c", 2, "http://two/"), hook("c", 3, "http://two/")]);
    assert!(!tally.has_room("http://three/"), "eight of all are enough");
    let collected = ["a/1", "b/2", "a/none"].map(str::to_owned).to_vec();
    do_all(&[Change::Collected(collected), Change::Delivered(vec!["b/1".into(), "b/1".into()])]);
    assert!(tally.has_room("http://three/") && tally.has_room("http://one/"), "one was delivered");
    let totals = tally.totals();
    assert_eq!((totals.uncollected, totals.for_webhooks), (1, 7));
    let anew = Tally::new(&connection, &keeping()).expect("counted").totals();
    assert_eq!((anew.uncollected, anew.for_webhooks), (1, 7), "as the next process counts them");
}
