//! Keeps a core from halting, as `idle=poll` does: in a virtual machine a halted core is given away, and wakes up late
//! by whatever the host does meanwhile, which is no forwarder's fault.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::process::pin;

/// A thread of the lowest priority that never sleeps, until this is dropped.
#[derive(Debug)]
pub struct Awake {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Awake {
    /// Keeps `core` awake.
    ///
    /// # Errors
    /// There is no such core.
    pub fn keep(core: usize) -> io::Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let ask = Arc::clone(&done);
        let work = move || {
            pin(core)?;
            let number = rustix::thread::gettid().as_raw_nonzero().to_string();
            let status = Command::new("chrt").args(["--idle", "--pid", "0", &number]).status()?;
            if !status.success() {
                return Err(io::Error::other("chrt fails"));
            }
            // Without a pause instruction: to a hypervisor that is a reason to give the core away.
            while !ask.load(Ordering::Relaxed) {}
            Ok(())
        };
        let thread = Some(std::thread::Builder::new().name("awake".into()).spawn(work)?);
        Ok(Self { done, thread })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it says no longer matters.
            let _ended = thread.join();
        }
    }
}
