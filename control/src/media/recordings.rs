//! Files of recordings, from their first byte to their name.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use duogate_channel::identity::Recording;
use serde_json::Value;

use super::manifest::{self, Manifest};
use super::ogg;
use super::problem::FileProblem;
use super::roots::{PART, Root};
use super::wav::{self, Length};
use crate::clock;

/// The recording root.
#[derive(Debug)]
pub(crate) struct Recordings {
    root: Root,
    _lock: Option<OwnedFd>,
    next: AtomicU64,
    manifest: Manifest,
    /// Names that this process records into or repairs: unfinished files of others were left over.
    own: Mutex<HashSet<PathBuf>>,
}

/// A file that waits to be recorded into.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Its name at the gateway.
    pub(crate) recording: Recording,
    /// Where it will lie beneath the root.
    pub(crate) path: PathBuf,
    /// The open, empty file.
    pub(crate) file: File,
}

impl Recordings {
    /// Opens the root, making it if it is not there. It is this process's own from then on: a second control
    /// plane would take recordings under way for left over. Its manifest may be so large; 0: none.
    pub(crate) fn open(path: &Path, manifest_bytes: u64) -> std::io::Result<Self> {
        // Names are never used twice, also not by two lives of this process at one gateway.
        let base = u64::try_from(clock::unix_milliseconds()).unwrap_or(1) << 20;
        let root = Root::open(path)?;
        let lock = root.lock()?;
        let manifest = Manifest::open(root.path(), manifest_bytes)?;
        Ok(Self { root, _lock: lock, next: AtomicU64::new(base | 1), manifest, own: Mutex::default() })
    }

    /// Where the root is.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Whether a path as the application gives it, beneath the root or from the root of all, is the one that a
    /// recording was claimed by.
    pub(crate) fn is_same(&self, given: &str, claimed: &Path) -> bool {
        self.root.relative(given).is_ok_and(|path| path == claimed)
    }

    /// Adds a line to the manifest, soon.
    pub(crate) fn list(&self, line: &Value) {
        self.manifest.add(line);
    }

    /// The names; every change leaves them whole.
    fn own(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a name this process's own, until it is complete, rescued, disposed of or released. False: it is already.
    pub(crate) fn take(&self, path: &Path) -> bool {
        self.own().insert(path.to_owned())
    }

    /// The opposite of [`Recordings::take`].
    pub(crate) fn release(&self, path: &Path) {
        self.own().remove(path);
    }

    /// Makes the file of a new recording. Blocking.
    pub(crate) fn claim(&self, text: &str) -> Result<Claim, FileProblem> {
        let path = self.root.relative(text)?;
        if path.as_os_str().as_encoded_bytes().ends_with(PART.as_bytes()) {
            return Err(FileProblem::BadName("ends in .part, which marks recordings under way"));
        }
        if [manifest::NAME, manifest::OLD].iter().any(|name| path == Path::new(name)) {
            return Err(FileProblem::BadName("is that of the manifest"));
        }
        if self.root.exists(&path)? || !self.take(&path) {
            return Err(FileProblem::Exists);
        }
        let file = self.root.create(&part(&path)).inspect_err(|_| self.release(&path))?;
        let recording = Recording(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(Claim { recording, path, file })
    }

    /// Opens the file of a recording that was claimed and has not begun, for another gateway. Blocking.
    pub(crate) fn open_again(&self, path: &Path) -> Result<File, FileProblem> {
        self.root.edit(&part(path))
    }

    /// Removes the file of a recording that never began.
    pub(crate) fn dispose(&self, path: &Path) {
        if let Err(problem) = self.root.remove(&part(path)) {
            tracing::warn!(path = %path.display(), %problem, "the file of a recording that never began stays");
        }
        self.release(path);
    }

    /// Gives a complete recording its name.
    pub(crate) fn complete(&self, path: &Path) -> Result<(), FileProblem> {
        let named = self.root.rename(&part(path), path);
        self.release(path);
        named
    }

    /// Keeps what there is of a recording that broke off: repaired and named. None: there was no sound in it.
    pub(crate) fn rescue(&self, path: &Path) -> Result<Option<Length>, FileProblem> {
        let kept = self.repair(path);
        self.release(path);
        kept
    }

    fn repair(&self, path: &Path) -> Result<Option<Length>, FileProblem> {
        let mut file = self.root.edit(&part(path))?;
        match repair(&mut file).map_err(FileProblem::Io)? {
            Some(length) => self.complete(path).map(|()| Some(length)),
            None if is_ours(&mut file).map_err(FileProblem::Io)? => {
                self.dispose(path);
                Ok(None)
            }
            None => {
                tracing::warn!(path = %part(path).display(), "is no recording, and stays");
                Ok(None)
            }
        }
    }

    /// What a recording holds that had its name already when its process died, before anybody was told. None: there is
    /// no such file. Blocking.
    pub(crate) fn named(&self, path: &Path) -> Option<Length> {
        let mut file = self.root.edit(path).ok()?;
        repair(&mut file).ok().flatten()
    }

    /// Opens a recording for reading; its path is one that was claimed before.
    pub(crate) fn read(&self, path: &str) -> Result<File, FileProblem> {
        self.root.read(&self.root.relative(path)?)
    }

    /// Waits until a rescued recording is on the disk. Blocking, for as long as the disk takes.
    pub(crate) fn sync(&self, path: &Path) {
        let outcome = self.root.read(path).and_then(|file| file.sync_all().map_err(FileProblem::Io));
        if let Err(problem) = outcome {
            tracing::error!(path = %path.display(), %problem, "a recording may be lost if the power fails now");
        }
    }

    /// Is a gateway writing this recording, or was one until it died? Blocking.
    pub(crate) fn is_open(&self, path: &Path) -> bool {
        let file = self.root.edit(&part(path));
        file.is_ok_and(|mut file| is_open(&mut file).unwrap_or(false))
    }

    /// Is it still without its name? Blocking.
    pub(crate) fn is_unfinished(&self, path: &Path) -> bool {
        self.root.exists(&part(path)).unwrap_or(false)
    }
}

/// Completes a recording of either kind that was not closed, and tells its length. None: it holds no sound.
fn repair(file: &mut File) -> std::io::Result<Option<Length>> {
    if ogg::is_one(file)? { ogg::repair(file) } else { wav::repair(file) }
}

/// Is a file without sound one of ours: with nothing in it, or a header only?
fn is_ours(file: &mut File) -> std::io::Result<bool> {
    Ok(file.metadata()?.len() == 0 || ogg::is_one(file)? || wav::is_one(file)?)
}

fn is_open(file: &mut File) -> std::io::Result<bool> {
    if ogg::is_one(file)? { ogg::is_open(file) } else { wav::is_open(file) }
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn recordings() -> (tempfile::TempDir, Recordings) {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::open(&folder.path().join("root"), 1 << 20).unwrap();
        (folder, recordings)
    }

    #[test]
    fn a_recording_gets_its_name_at_the_end_and_never_replaces_another() {
        let (_folder, recordings) = recordings();
        let mut claim = recordings.claim("2026/11/a.wav").unwrap();
        claim.file.write_all(b"sound").unwrap();
        assert!(!recordings.path().join("2026/11/a.wav").exists());
        assert!(matches!(recordings.claim("2026/11/a.wav"), Err(FileProblem::Exists)), "under way");
        recordings.complete(&claim.path).unwrap();
        assert_eq!(std::fs::read(recordings.path().join("2026/11/a.wav")).unwrap(), b"sound");
        assert!(matches!(recordings.claim("2026/11/a.wav"), Err(FileProblem::Exists)), "complete");
        std::fs::write(recordings.path().join("b.wav.part"), b"x").unwrap();
        std::fs::write(recordings.path().join("b.wav"), b"older").unwrap();
        assert!(matches!(recordings.complete(Path::new("b.wav")), Err(FileProblem::Exists)));
        assert_eq!(std::fs::read(recordings.path().join("b.wav")).unwrap(), b"older");
    }

    #[test]
    fn nothing_leaves_the_root() {
        let (folder, recordings) = recordings();
        symlink(folder.path(), recordings.path().join("out")).unwrap();
        symlink("/etc/passwd", recordings.path().join("link.wav")).unwrap();
        for path in ["../a.wav", "a/../../b.wav", "/tmp/a.wav", "out/a.wav"] {
            assert!(matches!(recordings.claim(path), Err(FileProblem::LeavesRoot)), "{path}");
        }
        assert!(matches!(recordings.claim("link.wav"), Err(FileProblem::Exists)));
        for path in [
            "",
            "a/",
            "a\r\nb.wav",
            "a.wav.part",
            "recordings.jsonl",
            "./recordings.jsonl.1",
            &"x/".repeat(600),
            &"n".repeat(251),
        ] {
            assert!(matches!(recordings.claim(path), Err(FileProblem::BadName(_))), "{path}");
        }
        assert!(folder.path().read_dir().unwrap().count() == 1, "only the root itself");
        let inside = recordings.path().join("inside.wav");
        assert!(recordings.claim(inside.to_str().unwrap()).is_ok(), "absolute, but beneath the root");
    }

    #[test]
    fn a_recording_is_known_by_its_whole_path() {
        let (folder, recordings) = recordings();
        let within = |name: &str| recordings.path().join(name).display().to_string();
        symlink(recordings.path(), folder.path().join("link")).unwrap();
        let linked = folder.path().join("link/a.wav").display().to_string();
        let (short, long) = (Path::new("a.wav"), Path::new("x/a.wav"));
        for (given, claimed) in [
            ("a.wav", short),
            ("./x/./a.wav", long),
            ("x//a.wav", long),
            (&within("a.wav"), short),
            (&within("./x/a.wav"), long),
        ] {
            assert!(recordings.is_same(given, claimed), "{given}");
        }
        for (given, claimed) in [
            ("", short),
            ("ba.wav", short),
            ("x/a.wav", short),
            ("a.wav", long),
            ("x/../a.wav", short),
            ("/a.wav", short),
            (&within("x/a.wav"), short),
            (&within("../root/a.wav"), short),
            (&linked, short),
        ] {
            assert!(!recordings.is_same(given, claimed), "{given}");
        }
        assert_eq!(recordings.claim("./x/./a.wav").unwrap().path, long, "as it is claimed");
    }

    #[test]
    fn files_of_others_stay_whatever_their_names() {
        let (_folder, recordings) = recordings();
        let theirs = recordings.path().join("download.part");
        std::fs::write(&theirs, b"not sound").unwrap();
        assert!(matches!(recordings.rescue(Path::new("download")), Ok(None)));
        assert_eq!(std::fs::read(&theirs).unwrap(), b"not sound");
    }

    #[test]
    fn what_holds_no_sound_goes_and_its_name_is_free_again() {
        let (_folder, recordings) = recordings();
        let path = recordings.claim("deep/er/c.wav").unwrap().path;
        assert!(recordings.is_unfinished(&path) && !recordings.is_open(&path) && !recordings.take(&path));
        assert!(matches!(recordings.rescue(&path), Ok(None)));
        assert!(!recordings.path().join("deep/er/c.wav.part").exists());
        assert!(recordings.claim("deep/er/c.wav").is_ok());
    }
}
