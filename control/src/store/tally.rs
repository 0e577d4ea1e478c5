//! How many events wait in the outbox, and for whom: counted as rows come and go, for to count them anew would read
//! them all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::rows::{Keeping, Totals};

/// What is added to the counts, and taken from them, by one transaction.
#[derive(Default, Debug)]
pub(super) struct Difference {
    hosts: HashMap<String, i64>,
    uncollected: i64,
}

impl Difference {
    /// So many more rows for a webhook, or for whoever subscribes.
    pub(super) fn add(&mut self, callback_url: Option<&str>, rows: i64) {
        match callback_url {
            None => self.uncollected += rows,
            Some(url) => {
                let host = host(url);
                match self.hosts.get_mut(host) {
                    Some(count) => *count += rows,
                    None => {
                        self.hosts.insert(host.to_owned(), rows);
                    }
                }
            }
        }
    }

    /// What became of the events that wait for a subscriber.
    pub(super) fn uncollected(&self) -> i64 {
        self.uncollected
    }
}

/// The counts.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
    most: u64,
    most_per_host: u64,
}

#[derive(Default, Debug)]
struct Counts {
    totals: Totals,
    hosts: HashMap<String, u64>,
}

impl Tally {
    /// Counts what a former process left, by an index.
    pub(super) fn new(connection: &Connection, keeping: &Keeping) -> rusqlite::Result<Self> {
        let all: i64 = connection.query_row("SELECT COUNT(*) FROM outbox", [], |row| row.get(0))?;
        let mut difference = Difference::default();
        let mut statement =
            connection.prepare("SELECT callback_url FROM outbox WHERE callback_url IS NOT NULL")?;
        let mut rows = statement.query([])?;
        let mut for_webhooks = 0;
        while let Some(row) = rows.next()? {
            difference.add(Some(row.get_ref(0)?.as_str()?), 1);
            for_webhooks += 1;
        }
        difference.uncollected = all - for_webhooks;
        let (most, most_per_host) = (keeping.webhook_events, keeping.webhook_events_per_host);
        let tally = Self { counts: Mutex::default(), most, most_per_host };
        tally.apply(difference);
        Ok(tally)
    }

    /// The counts; every change leaves them whole.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction was committed.
    pub(super) fn apply(&self, difference: Difference) {
        let mut counts = self.counts();
        let Counts { totals, hosts } = &mut *counts;
        totals.uncollected = totals.uncollected.saturating_add_signed(difference.uncollected);
        for (host, rows) in difference.hosts {
            totals.for_webhooks = totals.for_webhooks.saturating_add_signed(rows);
            let count = hosts.entry(host).or_default();
            *count = count.saturating_add_signed(rows);
        }
        hosts.retain(|_, count| *count > 0);
    }

    pub(super) fn totals(&self) -> Totals {
        self.counts().totals
    }

    /// Whether a further callback may send its events to a webhook.
    pub(super) fn has_room(&self, callback_url: &str) -> bool {
        let counts = self.counts();
        let of_host = counts.hosts.get(host(callback_url)).copied().unwrap_or(0);
        counts.totals.for_webhooks < self.most && of_host < self.most_per_host
    }
}

/// Host and port of a URL: whoever shares them shares a receiver. Only what was checked when the callback was placed
/// comes here; of anything else the whole is its own host.
pub(crate) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_between_scheme_and_path() {
        for (url, expected) in [
            ("http://a.example/x?y", "a.example"),
            ("https://user:word@a.example:8443/x", "a.example:8443"),
            ("http://[::1]:80?x", "[::1]:80"),
            ("http://a.example#@b", "a.example"),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
