//! The folder of pins: what of the fast path outlives the process.
//!
//! `FOLDER/v1-SIGNATURE/` holds the maps by their names, `ringN`, and a link per interface, `link-NUMBER-MODE`. The
//! name of the inner folder carries the layout's version and whatever else maps depend on, so that a process finds
//! either exactly what it would make itself, or something to be removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, fstatfs};

use crate::error::Error;
use crate::interfaces::Interface;
use crate::settings::{InterfaceMode, Settings};

/// Version of the layout: of an entry, of the counters, of the tap's records, of the names here.
const VERSION: u32 = 3;

/// `BPF_FS_MAGIC` of linux/magic.h.
pub(crate) const BPF_FILE_SYSTEM: i64 = 0xcafe_4a11;

/// The folder, held by this process alone.
#[derive(Debug)]
pub(crate) struct Pins {
    outer: PathBuf,
    inner: PathBuf,
    /// Kept for the lock on it.
    _lock: File,
    /// An earlier process left this very folder.
    pub(crate) adopted: bool,
    /// An earlier process left something else, which was removed.
    pub(crate) removed: bool,
}

impl Pins {
    /// Takes the folder, and removes what does not fit.
    ///
    /// # Errors
    /// [`Error::InUse`] and [`Error::Pins`]; the latter means that there can be no pins here.
    pub(crate) fn take(folder: &Path, settings: &Settings) -> Result<Self, Error> {
        let fault = |source| Error::Pins { folder: folder.to_path_buf(), source };
        fs::create_dir_all(folder).map_err(fault)?;
        let lock = lock(folder)?;
        let inner = folder.join(format!("v{VERSION}-{:016x}", signature(settings)));
        let adopted = inner.join("table").exists();
        let mut removed = false;
        for path in left(folder).map_err(fault)? {
            if path != inner {
                fs::remove_dir_all(&path).map_err(fault)?;
                removed = true;
            }
        }
        fs::create_dir_all(&inner).map_err(fault)?;
        Ok(Self { outer: folder.to_path_buf(), inner, _lock: lock, adopted, removed })
    }

    /// Where the maps are.
    pub(crate) fn folder(&self) -> &Path {
        &self.inner
    }

    /// Where the link of an interface is pinned.
    pub(crate) fn link(&self, interface: &Interface, mode: InterfaceMode) -> PathBuf {
        self.inner.join(format!("link-{}-{mode}", interface.number))
    }

    /// Removes every link but these: interfaces that carry media no more, or in another mode.
    pub(crate) fn keep_links(&self, wanted: &[PathBuf]) -> Result<(), Error> {
        let fault = |source| Error::Pins { folder: self.inner.clone(), source };
        for entry in fs::read_dir(&self.inner).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let is_link = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-"));
            if is_link && !wanted.contains(&path) {
                fs::remove_file(&path).map_err(fault)?;
            }
        }
        Ok(())
    }

    /// Removes all pins.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let fault = |source| Error::Pins { folder: self.outer.clone(), source };
        fs::remove_dir_all(&self.inner).map_err(fault)?;
        remove_if_empty(&self.outer).map_err(fault)
    }
}

/// Takes down what a process that lives no more has left pinned in `folder`: its program leaves the interfaces, and
/// its flows end. For a process that does not use the fast path, or cannot. Says whether there was anything.
///
/// # Errors
/// [`Error::InUse`] where its process lives: nothing is changed then; [`Error::Pins`] where they cannot be removed.
pub fn take_down(folder: &Path) -> Result<bool, Error> {
    let fault = |source| Error::Pins { folder: folder.to_path_buf(), source };
    match left(folder) {
        Ok(left) if left.is_empty() => return Ok(false),
        Ok(_) => {}
        // Where this process may not even look, no process like it has left anything.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(false);
        }
        Err(error) => return Err(fault(error)),
    }
    let _lock = lock(folder)?;
    let mut found = false;
    for path in left(folder).map_err(fault)? {
        // A process that failed to load may have left a folder with nothing in it.
        found |= fs::read_dir(&path).map_err(fault)?.next().is_some();
        fs::remove_dir_all(&path).map_err(fault)?;
    }
    remove_if_empty(folder).map_err(fault)?;
    Ok(found)
}

/// Takes the folder, which must be on a BPF file system, for this process alone.
fn lock(folder: &Path) -> Result<File, Error> {
    let fault = |source| Error::Pins { folder: folder.to_path_buf(), source };
    let directory = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or(0);
    let lock = OpenOptions::new().read(true).custom_flags(directory).open(folder).map_err(fault)?;
    let kind = fstatfs(&lock).map_err(|error| fault(error.into()))?.f_type;
    if kind != BPF_FILE_SYSTEM {
        return Err(fault(io::Error::other("not on a BPF file system")));
    }
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => Error::InUse(folder.to_path_buf()),
        error => fault(error.into()),
    })?;
    Ok(lock)
}

/// The folders in it that processes like this one have made.
fn left(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    entries.filter(|path| path.as_ref().map_or(true, |path| is_ours(path))).collect()
}

fn remove_if_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        // A mount point, or a folder that someone else keeps: nothing of ours is in it.
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::ResourceBusy
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Only names that this module gives are ever removed: the folder may hold pins of others.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let parts = name.strip_prefix('v').and_then(|name| name.split_once('-'));
    parts.is_some_and(|(version, signature)| {
        version.parse::<u32>().is_ok()
            && signature.len() == 16
            && signature.bytes().all(|octet| octet.is_ascii_hexdigit())
    })
}

/// What the maps depend on, as a number (FNV-1a).
fn signature(settings: &Settings) -> u64 {
    let text = format!("{:?} {} {}", settings.addresses, settings.rings, settings.ring_octets);
    let step = |sum: u64, octet: u8| (sum ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_nothing_to_take_down_where_nothing_was_pinned() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!take_down(&folder.path().join("none")).unwrap());
        fs::create_dir(folder.path().join("others")).unwrap();
        assert!(!take_down(folder.path()).unwrap() && folder.path().join("others").exists());
        let like_ours = folder.path().join("v1-0123456789abcdef");
        fs::create_dir(&like_ours).unwrap();
        assert!(matches!(take_down(folder.path()), Err(Error::Pins { .. })), "not on a BPF file system");
        assert!(like_ours.exists());
    }

    #[test]
    fn only_what_this_module_names_is_its_own() {
        for (name, ours) in [
            ("/sys/fs/bpf/v1-0123456789abcdef", true),
            ("/sys/fs/bpf/v12-0123456789abcdef", true),
            ("/sys/fs/bpf/v1-0123456789abcde", false),
            ("/sys/fs/bpf/vx-0123456789abcdef", false),
            ("/sys/fs/bpf/maps", false),
            ("/sys/fs/bpf/v1", false),
            ("/", false),
        ] {
            assert_eq!(is_ours(Path::new(name)), ours, "{name}");
        }
    }
}
