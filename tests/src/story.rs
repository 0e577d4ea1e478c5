//! What an application saw of one callback, from construct to the last event.

use std::time::Duration;

use serde_json::Value;

use crate::application::{Application, Event};

/// How long after its last expected step a callback may take to be over.
const END_LIMIT: Duration = Duration::from_secs(15);

/// The events of a callback whose parties ring and answer, until it is connected.
const UNTIL_CONNECTED: [&str; 6] = [
    "on_ringing1",
    "on_dial1_completed",
    "on_dial2_started",
    "on_ringing2",
    "on_dial2_completed",
    "on_connected",
];

/// The events of such a callback, and what comes after.
#[must_use]
pub fn connected_then(last: &[&'static str]) -> Vec<&'static str> {
    [&UNTIL_CONNECTED, last].concat()
}

/// The events of one callback, checked for what must hold in every story: `seq` counts from 1 without holes,
/// every event carries its resource and its own id, and there is exactly one `on_released`.
#[derive(Debug)]
pub struct Story {
    events: Vec<Event>,
}

impl Story {
    /// Reads a resource's events until it is released and the CDRs of `legs` legs have come.
    ///
    /// # Panics
    /// If that does not happen in time, or if the events break a promise.
    #[must_use]
    pub fn read(application: &mut Application, res_id: &str, legs: usize) -> Self {
        Self::continued(Vec::new(), application, res_id, legs)
    }

    /// The same, where some events have been read already.
    ///
    /// # Panics
    /// As [`Story::read`].
    #[must_use]
    pub fn continued(
        mut events: Vec<Event>,
        application: &mut Application,
        res_id: &str,
        legs: usize,
    ) -> Self {
        while !over(&events, legs) {
            let Some(event) = application.next_event(END_LIMIT) else {
                panic!("{res_id} was not over {END_LIMIT:?} after its last event: {events:#?}");
            };
            events.push(event);
        }
        let story = Self { events };
        story.check(res_id);
        story
    }

    /// The same across the end of a server: what was seen `before` may come once more, since nobody knows whether it
    /// arrived, but then it must be the same. Events of other resources are passed over.
    ///
    /// # Panics
    /// As [`Story::read`], or if an event comes again with other contents.
    #[must_use]
    pub fn across(before: Vec<Event>, application: &mut Application, res_id: &str, legs: usize) -> Self {
        let mut events: Vec<Event> = Vec::new();
        let mut add = |event: Event| {
            let known = events.iter().find(|known| known.fields["event_id"] == event.fields["event_id"]);
            match known {
                Some(known) => {
                    assert_eq!(known.fields, event.fields, "an event that comes again is the same");
                }
                None if event.fields["res_id"] == res_id => events.push(event),
                None => {}
            }
            over(&events, legs)
        };
        let mut done = before.into_iter().fold(false, |_, event| add(event));
        while !done {
            let Some(event) = application.next_event(END_LIMIT) else {
                panic!("{res_id} was not over {END_LIMIT:?} after its last event: {events:#?}");
            };
            done = add(event);
        }
        let story = Self { events };
        story.check(res_id);
        story
    }

    fn check(&self, res_id: &str) {
        let mut ids = std::collections::HashSet::new();
        for (place, event) in self.events.iter().enumerate() {
            let fields = &event.fields;
            assert_eq!(fields["res_id"], res_id, "an event of another resource: {event:?}");
            assert_eq!(fields["seq"], place + 1, "seq counts without holes: {self:#?}");
            assert!(fields["time"].is_f64() || fields["time"].is_i64(), "an event has its time: {event:?}");
            assert!(fields.get("user_data").is_some(), "an event carries user_data: {event:?}");
            let id = fields["event_id"].as_str().unwrap_or_else(|| panic!("an event has its id: {event:?}"));
            assert!(ids.insert(id.to_owned()), "an event id came twice: {id}");
        }
        assert_eq!(self.count("on_released"), 1, "exactly one on_released: {self:#?}");
    }

    /// How many events of this name came.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.name == name).count()
    }

    /// The names of all events, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.events.iter().map(|event| event.name.as_str()).collect()
    }

    /// Demands exactly these events in this order; the CDRs of the legs, which come last, may be left out.
    ///
    /// # Panics
    /// If others came.
    pub fn demand_order(&self, expected: &[&str]) {
        let names: Vec<&str> =
            self.names().into_iter().filter(|name| *name != "sys.on_chan_closed").collect();
        assert_eq!(names, expected, "the order of events: {self:#?}");
    }

    /// A field of the first event of that name.
    ///
    /// # Panics
    /// If no such event came.
    #[must_use]
    pub fn field(&self, event: &str, field: &str) -> &Value {
        let Some(found) = self.events.iter().find(|candidate| candidate.name == event) else {
            panic!("no {event}: {self:#?}");
        };
        &found.fields[field]
    }

    /// Demands how the callback was released.
    ///
    /// # Panics
    /// If it ended otherwise.
    pub fn demand_release(&self, cause: u16, released_by: u8) {
        assert_eq!(self.field("on_released", "cause"), cause, "the cause: {self:#?}");
        assert_eq!(self.field("on_released", "released_by"), released_by, "who released: {self:#?}");
    }
}

fn over(events: &[Event], legs: usize) -> bool {
    let closed = events.iter().filter(|event| event.name == "sys.on_chan_closed").count();
    let released = events.iter().any(|event| event.name == "on_released");
    released && closed >= legs
}
