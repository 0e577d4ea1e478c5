//! Phones whose streams are judged: at its end a phone demands that every packet which it received, in all its calls, kept
//! the rules of RTP, whether a test thought of that or not.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use duogate_phone::Script;
use duogate_phone::phone::Phone;

/// A phone that panics when it is dropped if one of its streams broke a rule of RTP: sequence, timestamps, markers,
/// payload types, SSRC, source.
#[derive(Debug)]
pub struct Judged {
    phone: Phone,
    forgiven: AtomicBool,
}

impl Judged {
    /// A phone on loopback. Times in what it tells are counted from `origin`.
    ///
    /// # Panics
    /// If the host has no socket for it.
    #[must_use]
    pub fn start(script: Script, origin: Instant) -> Self {
        let phone = Phone::start(script, origin).expect("a phone on loopback");
        Self { phone, forgiven: AtomicBool::new(false) }
    }

    /// Its streams may break rules, for this reason: the test judges them itself, or something was killed.
    pub fn forgive(&self, _why: &str) {
        self.forgiven.store(true, Ordering::Relaxed);
    }
}

impl Deref for Judged {
    type Target = Phone;

    fn deref(&self) -> &Phone {
        &self.phone
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        let broken = self.phone.broken();
        if !self.forgiven.load(Ordering::Relaxed) && !std::thread::panicking() {
            assert_eq!(
                broken,
                [],
                "the streams towards {}: {:?}",
                self.phone.sip_address(),
                self.phone.reception()
            );
        }
    }
}
