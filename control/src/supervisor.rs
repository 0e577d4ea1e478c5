//! What systemd, or whoever started the program, is told.

use std::time::Duration;

use sd_notify::NotifyState;

/// Calls are taken.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
}

/// The program is about to end.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The configuration is being read again; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(time) => notify(&[NotifyState::Reloading, time]),
        Err(error) => tracing::debug!(%error, "the clock could not be read for the supervisor"),
    }
}

/// Still alive.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often [`alive`] is to be told, if at all: half of what the supervisor waits for.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

fn notify(states: &[NotifyState<'_>]) {
    // Without a supervisor there is nobody to be told.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the supervisor could not be told");
    }
}
