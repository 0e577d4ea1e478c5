//! A group of changes is as good as its changes one by one.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::super::rows::{Change, EventRow, ResourceRow};
use super::super::schema;
use super::apply_all;

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
        resource("a", "Connected", None),
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
}
