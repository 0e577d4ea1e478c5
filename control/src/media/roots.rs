//! Folders that paths from the application are confined to.
//!
//! The kernel does the confining (`openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`), so there is no
//! moment between a check and its use.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, flock};
use rustix::io::Errno;

use super::problem::FileProblem;

/// Longest path that is taken from the application, in bytes. `PATH_MAX` leaves room for the root itself.
const LONGEST_PATH: usize = 1_024;

/// Longest name of one file or folder, in bytes: `NAME_MAX` less the `.part` of a recording under way.
const LONGEST_NAME: usize = 255 - PART.len();

/// What the name of a recording ends in while it is being written.
pub(crate) const PART: &str = ".part";

/// The file that marks a folder as taken. Not the folder itself is locked: a gateway locks the one of its socket.
const LOCK: &str = ".duogate.lock";

/// A folder, held open, beneath which everything happens.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    folder: OwnedFd,
}

impl Root {
    /// Opens a folder as a root, making it first if it is not there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let path = path.canonicalize()?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self { path, folder })
    }

    /// Keeps other control planes out of this folder until the file that it gives is closed. None: the folder
    /// cannot be written or knows no locks, and nobody can be kept out.
    ///
    /// # Errors
    /// One is there already.
    pub(crate) fn lock(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let locked =
            rustix::fs::openat(&self.folder, LOCK, flags, Mode::RUSR | Mode::WUSR).and_then(|file| {
                flock(&file, FlockOperation::NonBlockingLockExclusive)?;
                Ok(file)
            });
        match locked {
            Ok(file) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => {
                Err(io::Error::new(io::ErrorKind::WouldBlock, "another control plane uses this folder"))
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the folder cannot be locked");
                Ok(None)
            }
        }
    }

    /// Where the root is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path beneath the root that a string from the application means, checked for form alone.
    pub(crate) fn relative(&self, text: &str) -> Result<PathBuf, FileProblem> {
        if text.len() > LONGEST_PATH {
            return Err(FileProblem::BadName("longer than 1024 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(FileProblem::BadName("contains control characters"));
        }
        if text.ends_with('/') {
            return Err(FileProblem::BadName("names a folder"));
        }
        let given = Path::new(text);
        let beneath = if given.is_absolute() {
            given.strip_prefix(&self.path).map_err(|_| FileProblem::LeavesRoot)?
        } else {
            given
        };
        let mut clean = PathBuf::new();
        for component in beneath.components() {
            match component {
                Component::Normal(name) if name.len() > LONGEST_NAME => {
                    return Err(FileProblem::BadName("a name in it is longer than 250 bytes"));
                }
                Component::Normal(name) => clean.push(name),
                Component::CurDir => {}
                _ => return Err(FileProblem::LeavesRoot),
            }
        }
        if clean.as_os_str().is_empty() {
            return Err(FileProblem::BadName("is empty"));
        }
        Ok(clean)
    }

    /// Opens a regular file beneath the root for reading.
    pub(crate) fn read(&self, relative: &Path) -> Result<File, FileProblem> {
        // Not blocking: a FIFO that somebody put there must not hold us up.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(self.resolve(relative, flags, Mode::empty())?);
        if file.metadata().map_err(FileProblem::Io)?.is_file() {
            Ok(file)
        } else {
            Err(FileProblem::NotAFile)
        }
    }

    /// Opens an existing file beneath the root for reading and writing.
    pub(crate) fn edit(&self, relative: &Path) -> Result<File, FileProblem> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(self.resolve(relative, flags, Mode::empty())?))
    }

    /// Makes a new file beneath the root, and the folders above it; refuses if it is there already.
    pub(crate) fn create(&self, relative: &Path) -> Result<File, FileProblem> {
        if let Some(parent) = relative.parent() {
            self.make_folders(parent)?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        Ok(File::from(self.resolve(relative, flags, Mode::from_raw_mode(0o640))?))
    }

    /// Whether anything bears that name, a dangling symbolic link too.
    pub(crate) fn exists(&self, relative: &Path) -> Result<bool, FileProblem> {
        let (parent, name) = self.parent_of(relative)?;
        let Some(parent) = parent else { return Ok(false) };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file its final name; refuses to replace another.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), FileProblem> {
        let (Some(parent), old) = self.parent_of(from)? else { return Err(FileProblem::Missing) };
        let (Some(to_parent), new) = self.parent_of(to)? else { return Err(FileProblem::Missing) };
        rustix::fs::renameat_with(&parent, old, &to_parent, new, RenameFlags::NOREPLACE)?;
        Ok(())
    }

    /// Removes a file, for example the empty one of a recording that never began.
    pub(crate) fn remove(&self, relative: &Path) -> Result<(), FileProblem> {
        let (Some(parent), name) = self.parent_of(relative)? else { return Ok(()) };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn make_folders(&self, folder: &Path) -> Result<(), FileProblem> {
        let mut made = PathBuf::new();
        for component in folder.components() {
            let parent = if made.as_os_str().is_empty() {
                rustix::io::fcntl_dupfd_cloexec(&self.folder, 0)?
            } else {
                self.resolve(&made, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?
            };
            match rustix::fs::mkdirat(&parent, component.as_os_str(), Mode::from_raw_mode(0o750)) {
                Ok(()) | Err(Errno::EXIST) => made.push(component),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The folder that holds a path, if it is there, and the last name in it.
    fn parent_of<'a>(&self, relative: &'a Path) -> Result<(Option<OwnedFd>, &'a Path), FileProblem> {
        let name = relative.file_name().ok_or(FileProblem::BadName("is empty"))?;
        let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = match parent.map(|parent| self.resolve(parent, flags, Mode::empty())) {
            None => Some(rustix::io::fcntl_dupfd_cloexec(&self.folder, 0)?),
            Some(Ok(folder)) => Some(folder),
            Some(Err(FileProblem::Missing)) => None,
            Some(Err(problem)) => return Err(problem),
        };
        Ok((folder, Path::new(name)))
    }

    fn resolve(&self, relative: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, FileProblem> {
        let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.folder, relative, flags, mode, confined) {
                // The kernel could not rule out a race with a rename; it says so and asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}
