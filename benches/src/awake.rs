//! Keeps a core from halting, as `idle=poll` does: in a virtual machine a halted core is given away, and wakes up late
//! by whatever the host does meanwhile, which is no forwarder's fault.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::process::Pid;

use crate::process::{Class, pin, schedule};

/// A thread that never sleeps, until this is dropped; of the lowest priority, if nothing else was said.
#[derive(Debug)]
pub struct Awake {
    number: Pid,
    done: Arc<AtomicBool>,
    /// It takes its share.
    share: AtomicBool,
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
        let (tell, number) = mpsc::channel();
        let work = move || {
            pin(core)?;
            let number = rustix::thread::gettid();
            schedule(number, Class::Idle)?;
            // Whoever asked waits for it.
            let _told = tell.send(number);
            // Without a pause instruction: to a hypervisor that is a reason to give the core away.
            while !ask.load(Ordering::Relaxed) {}
            Ok(())
        };
        let thread = std::thread::Builder::new().name("awake".into()).spawn(work)?;
        match number.recv() {
            Ok(number) => Ok(Self { number, done, share: AtomicBool::new(false), thread: Some(thread) }),
            Err(_) => Err(thread.join().map_or_else(
                |_| io::Error::other("the thread that keeps a core awake has panicked"),
                |ended: io::Result<()>| ended.err().unwrap_or_else(|| io::ErrorKind::NotFound.into()),
            )),
        }
    }

    /// As any other thread from now on, or again of the lowest priority. To the scheduler a core with a thread of the
    /// lowest priority is as good as a free one, to which whatever wakes up in the house is brought: not so where only
    /// the kernel forwards there, and is to be held up by no system call of others.
    ///
    /// # Errors
    /// We are not root.
    pub fn takes_its_share(&self, share: bool) -> io::Result<()> {
        if self.share.swap(share, Ordering::Relaxed) == share {
            return Ok(());
        }
        schedule(self.number, if share { Class::Normal } else { Class::Idle })
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
