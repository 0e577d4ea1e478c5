//! Posts events to the applications that asked for it.
//!
//! ```text
//! idle --event committed--> due --worker free--> posting --2xx, more to come--> posting
//!   ^                        ^                      |  \
//!   |                        +------- gap over -----+   +--2xx, nothing left--> idle
//!   +-- a day has passed: the store lets the event go --+
//! ```
//!
//! One worker at a time posts the events of one resource, oldest first, each until it was answered with 2xx;
//! so they arrive in order. Bodies stay in the store until then: what is held here is one small entry a
//! resource, and the store bounds how many there can be. Hosts take turns, and each has a share of the workers, a small
//! one while it does not take what it is sent: whoever shares a node with a dead webhook is not delayed by it.

mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duogate_configuration::{Secret, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use prometheus::{IntCounterVec, IntGauge};
use sha2::Sha256;
use tokio::time::Instant;

use crate::clock;
use crate::store::rows::{Change, EventRow};
use crate::store::{Job, Reader, Store};
use table::{Outcome, Table};

/// Events that a worker reads from the store at a time.
const PAGE: u32 = 32;

/// The first gap after a failure; each further one is twice as long.
const FIRST_GAP: Duration = Duration::from_secs(1);

/// The longest gap.
const LONGEST_GAP: Duration = Duration::from_secs(3_600);

/// How often the store is searched for events that the quick way missed.
const SEARCH_EVERY: Duration = Duration::from_secs(30);

/// Resources that one search asks the store for at a time.
const SEARCH_PAGE: u32 = 1_000;

/// What the sender tells about itself.
#[derive(Clone, Debug)]
pub(crate) struct WebhookMetrics {
    /// Posts by outcome: `delivered`, `refused` (not 2xx), `unreachable`.
    pub(crate) posts: IntCounterVec,
    /// Resources with events that wait after a failure.
    pub(crate) waiting: IntGauge,
}

#[derive(Debug)]
struct Inner {
    table: Mutex<Table>,
    client: reqwest::Client,
    secret: Option<Secret>,
    store: Store,
    reader: Reader,
    metrics: WebhookMetrics,
}

/// The sender. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks {
    inner: Arc<Inner>,
}

impl Webhooks {
    /// A sender that does nothing until [`Webhooks::run`].
    pub(crate) fn new(
        settings: &Webhook,
        store: Store,
        reader: Reader,
        metrics: WebhookMetrics,
    ) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.timeout_seconds.into()))
            // A redirect could lead to a host that the policy does not allow.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("Duogate")
            .pool_max_idle_per_host(16)
            .build()?;
        let secret = settings.secret.clone();
        let table = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { table, client, secret, store, reader, metrics }) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A resource has an event to be posted there.
    pub(crate) fn due(&self, res_id: &str, callback_url: &str) {
        self.table().due(res_id, crate::store::host(callback_url));
        self.employ();
    }

    /// Sets workers to what is due.
    fn employ(&self) {
        while let Some(visit) = self.table().take() {
            let own = self.clone();
            tokio::spawn(async move {
                let outcome = own.deliver(&visit.res_id).await;
                own.table().put_back(visit, outcome, Instant::now());
                own.employ();
            });
        }
    }

    /// Works until the program ends.
    pub(crate) async fn run(self) {
        self.table().open();
        let mut search = tokio::time::interval(SEARCH_EVERY);
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        loop {
            tokio::select! {
                // What a former process left, then only what found no room on its way here.
                _ = search.tick() => if self.inner.store.take_missed() {
                    self.search().await;
                },
                _ = tick.tick() => {
                    let waiting = self.table().wake(Instant::now());
                    self.inner.metrics.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                    self.employ();
                }
            }
        }
    }

    /// Finds what a former process, or an overflow, left in the outbox.
    async fn search(&self) {
        let mut cursor = String::new();
        loop {
            match self.inner.reader.with_pending(cursor, SEARCH_PAGE).await {
                Ok(page) => {
                    for (res_id, callback_url) in &page {
                        self.due(res_id, callback_url);
                    }
                    let Some((last, _)) = page.last().filter(|_| page.len() == SEARCH_PAGE as usize) else {
                        return;
                    };
                    cursor = last.clone();
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    return;
                }
            }
        }
    }

    /// Posts what a resource has in the outbox, in order.
    async fn deliver(&self, res_id: &str) -> Outcome {
        let mut some_delivered = false;
        loop {
            let page = match self.inner.reader.pending(res_id.to_owned(), PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, res_id, "the outbox cannot be read");
                    return Outcome::Failed { some_delivered };
                }
            };
            if page.is_empty() {
                return Outcome::Done;
            }
            for event in page {
                if !self.post(&event).await || !self.forget(event.event_id).await {
                    return Outcome::Failed { some_delivered };
                }
                some_delivered = true;
            }
        }
    }

    async fn post(&self, event: &EventRow) -> bool {
        let Some(url) = &event.callback_url else { return true };
        let timestamp = (clock::unix_milliseconds() / 1_000).to_string();
        let mut request = self
            .inner
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("duogate-event-id", &event.event_id)
            .header("duogate-timestamp", &timestamp);
        if let Some(secret) = &self.inner.secret {
            request =
                request.header("duogate-signature", signature(secret.expose(), &timestamp, &event.body));
        }
        let outcome = match request.body(event.body.clone()).send().await {
            Ok(answer) if answer.status().is_success() => "delivered",
            Ok(answer) => {
                tracing::warn!(
                    res_id = event.res_id,
                    status = answer.status().as_u16(),
                    "a webhook refused an event"
                );
                "refused"
            }
            Err(error) => {
                // Without its URL: that may carry a secret of the application.
                tracing::warn!(res_id = event.res_id, error = %error.without_url(), "a webhook cannot be reached");
                "unreachable"
            }
        };
        self.inner.metrics.posts.with_label_values(&[outcome]).inc();
        outcome == "delivered"
    }

    /// Takes a delivered event out of the outbox and waits for it, so that it is not read again.
    async fn forget(&self, event_id: String) -> bool {
        let (done, forgotten) = tokio::sync::oneshot::channel();
        let then = Box::new(move |outcome: crate::store::Answer<()>| {
            let _ = done.send(outcome.is_ok());
        });
        let job = Job::keep_then(vec![Change::Delivered(vec![event_id])], then);
        self.inner.store.submit(job).is_ok() && forgotten.await.unwrap_or(false)
    }
}

/// The wait after so many failures in a row: 1 s, 2 s, 4 s … one hour, less up to a tenth so that many that
/// failed together do not come back together.
fn gap(failures: u32) -> Duration {
    let doubled = FIRST_GAP.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(LONGEST_GAP);
    let share = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    whole - whole / 10 * share / 255
}

/// `v1=` and the HMAC-SHA256 (RFC 2104) over timestamp, full stop and body, in hexadecimal digits.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    use std::fmt::Write;
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    for part in [timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    let mut text = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_grow_to_an_hour() {
        assert!(gap(1) > Duration::from_millis(890) && gap(1) <= FIRST_GAP);
        assert!(gap(5) > Duration::from_millis(14_300) && gap(5) <= Duration::from_secs(16));
        for failures in [13, 32, 33, u32::MAX] {
            assert!(gap(failures) > LONGEST_GAP * 8 / 10 && gap(failures) <= LONGEST_GAP);
        }
    }

    #[test]
    fn the_signature_is_hmac_sha256_of_timestamp_and_body() {
        // Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac key`.
        let expected = "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature("key", "1700000000", "{}"), expected);
    }
}
