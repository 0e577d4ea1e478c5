//! What a rig makes outside its own memory, in one place, so that it goes however the rig ends. Processes end with the
//! rig by their parent's death signal, namespaces with the last descriptor; folders must be removed.

use std::fs;
use std::io;
use std::path::PathBuf;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn name() -> String {
    format!("duogate-rig-{}", std::process::id())
}

/// Settings, logs and sockets of this run.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::temp_dir().join(name())
}

/// Recordings of this run, in memory.
#[must_use]
pub fn recordings() -> PathBuf {
    PathBuf::from("/dev/shm").join(name())
}

/// Removes all.
pub fn remove() {
    for folder in [folder(), recordings()] {
        // What is not there need not go.
        let _none = fs::remove_dir_all(folder);
    }
}

/// From now on an interrupted rig leaves nothing.
///
/// # Errors
/// The system's.
pub fn removed_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            remove();
            std::process::exit(128 + signal);
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}
