//! Waiting for something without guessing how long it takes.

use std::time::{Duration, Instant};

use crate::process::POLL;

/// Looks again and again until it is so.
///
/// # Panics
/// If it is not so within `limit`; the panic says `what` was waited for.
pub fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(POLL);
    }
}
