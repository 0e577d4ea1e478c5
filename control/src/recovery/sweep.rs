//! Looks through the recordings' folder for files that a former process left unfinished and that no journal names, and
//! repairs them: in the background, some entries at a time, for such a folder may hold millions of files.

use std::fs::ReadDir;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rescue_one;
use crate::media::recordings::Recordings;
use crate::media::roots::PART;

/// Entries of folders that one step looks at.
const STEP: usize = 512;

/// Pause between two steps: some 50,000 entries a second, at a small part of a core.
const PAUSE: Duration = Duration::from_millis(10);

/// How often the log hears how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Folders deep that files are looked for; bounds the open folders of a walk too.
const DEEPEST: usize = 16;

/// A walk over all files beneath a folder. Symbolic links are not followed.
struct Walk {
    root: PathBuf,
    /// The folders on the way to where it is, by their paths beneath the root.
    folders: Vec<(PathBuf, ReadDir)>,
    entries: u64,
}

impl Walk {
    fn of(root: &Path) -> Self {
        let mut walk = Self { root: root.to_owned(), folders: Vec::new(), entries: 0 };
        walk.enter(PathBuf::new());
        walk
    }

    fn enter(&mut self, folder: PathBuf) {
        // One that cannot be read holds nothing that could be repaired.
        if let Ok(entries) = std::fs::read_dir(self.root.join(&folder)) {
            self.folders.push((folder, entries));
        }
    }

    fn is_over(&self) -> bool {
        self.folders.is_empty()
    }

    /// Looks at so many more entries; gives the final names of files that end in `.part`.
    fn step(&mut self, most: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for _ in 0..most {
            let Some((folder, entries)) = self.folders.last_mut() else { break };
            let Some(entry) = entries.next() else {
                self.folders.pop();
                continue;
            };
            self.entries += 1;
            let Ok((entry, kind)) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))
            else {
                continue;
            };
            let path = folder.join(entry.file_name());
            if kind.is_dir() && self.folders.len() <= DEEPEST {
                self.enter(path);
            } else if kind.is_file()
                && let Some(name) = path.to_str().and_then(|path| path.strip_suffix(PART))
            {
                found.push(PathBuf::from(name));
            }
        }
        found
    }
}

/// Repairs what a former process left, but for what this one records into.
pub(super) async fn sweep(recordings: Arc<Recordings>) {
    let (begun, mut told, mut left) = (Instant::now(), Instant::now(), 0);
    let mut walk = Walk::of(recordings.path());
    while !walk.is_over() {
        let folder = Arc::clone(&recordings);
        let step = tokio::task::spawn_blocking(move || {
            let found = walk.step(STEP);
            let left = found.iter().filter(|path| folder.take(path)).map(|path| rescue_one(&folder, path));
            let left = left.count();
            (walk, left)
        });
        // It does not panic; if it did, the files would wait for the next start.
        let Ok((walked, more)) = step.await else { return };
        walk = walked;
        left += more;
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            tracing::info!(entries = walk.entries, left, "recordings are searched for unfinished ones");
        }
        tokio::time::sleep(PAUSE).await;
    }
    let seconds = begun.elapsed().as_secs();
    tracing::info!(entries = walk.entries, left, seconds, "recordings were searched for unfinished ones");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_bounded_and_all_steps_find_everything_once() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("2026/11");
        std::fs::create_dir_all(&deep).unwrap();
        for number in 0..100 {
            std::fs::write(deep.join(format!("{number}.wav")), b"").unwrap();
        }
        std::fs::write(deep.join("lost.wav.part"), b"").unwrap();
        std::fs::write(folder.path().join("too.wav.part"), b"").unwrap();
        std::os::unix::fs::symlink(folder.path(), deep.join("again")).unwrap();
        let mut walk = Walk::of(folder.path());
        let (mut found, mut steps) = (Vec::new(), 0);
        while !walk.is_over() {
            let before = walk.entries;
            found.append(&mut walk.step(10));
            assert!(walk.entries - before <= 10);
            steps += 1;
        }
        found.sort();
        assert_eq!(found, [Path::new("2026/11/lost.wav"), Path::new("too.wav")]);
        assert!(steps > 10);
    }

    #[tokio::test]
    async fn what_this_process_records_into_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Arc::new(Recordings::open(folder.path(), 0).unwrap());
        for name in ["inherited.wav", "left.wav"] {
            std::fs::write(folder.path().join(format!("{name}{PART}")), b"").unwrap();
        }
        assert!(recordings.take(Path::new("inherited.wav")));
        let claim = recordings.claim("deep/claimed.wav").unwrap();
        let there = |name: &str| folder.path().join(format!("{name}{PART}")).exists();
        sweep(Arc::clone(&recordings)).await;
        assert!(there("deep/claimed.wav") && there("inherited.wav"));
        assert!(!there("left.wav"), "it holds no sound");
        recordings.complete(&claim.path).unwrap();
        // As if somebody had brought one of that name back.
        std::fs::write(folder.path().join("deep/claimed.wav.part"), b"").unwrap();
        sweep(Arc::clone(&recordings)).await;
        assert!(!there("deep/claimed.wav"), "it is no longer this process's own");
    }
}
