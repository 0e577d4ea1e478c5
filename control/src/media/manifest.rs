//! The manifest of recordings: a line of JSON for each that has ended, in a file beside them.
//!
//! A thread of its own writes it, so no call and no event waits for the disk. The file is bounded: when it is full it
//! takes the place of the one before it. A line is written when the recording's end is told; if the process is killed
//! in that very moment, `on_record_completed` tells, and the line is missing.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, Mode, OFlags};

/// The file in the recording root.
pub(crate) const NAME: &str = "recordings.jsonl";

/// The one before it.
pub(crate) const OLD: &str = "recordings.jsonl.1";

/// Lines that may wait for the disk: as many as recordings may end at once, if a gateway dies with all of them.
const WAITING: usize = 16_384;

/// Who writes the lines. When it is dropped, what waits is written first.
#[derive(Debug)]
pub(crate) struct Manifest {
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Manifest {
    /// Begins to write into a folder. A file may be so large; 0: no manifest.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: &Path, most_bytes: u64) -> std::io::Result<Self> {
        if most_bytes == 0 {
            return Ok(Self { lines: None, writer: None });
        }
        let (lines, waiting) = sync_channel(WAITING);
        let book =
            Book { path: folder.join(NAME), old: folder.join(OLD), most_bytes, open: None, failed: false };
        let writer = thread::Builder::new().name("manifest".into()).spawn(move || book.write(&waiting))?;
        Ok(Self { lines: Some(lines), writer: Some(writer) })
    }

    /// Adds a line, soon.
    pub(crate) fn add(&self, line: &serde_json::Value) {
        let Some(lines) = &self.lines else { return };
        match lines.try_send(format!("{line}\n")) {
            Ok(()) => {}
            Err(TrySendError::Full(line) | TrySendError::Disconnected(line)) => {
                tracing::error!(line = line.trim_end(), "the manifest of recordings cannot take this line");
            }
        }
    }
}

impl Drop for Manifest {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the manifest has panicked");
        }
    }
}

/// The file at work.
#[derive(Debug)]
struct Book {
    path: PathBuf,
    old: PathBuf,
    most_bytes: u64,
    /// The file and its size.
    open: Option<(File, u64)>,
    /// The last line could not be written.
    failed: bool,
}

impl Book {
    fn write(mut self, lines: &Receiver<String>) {
        while let Ok(first) = lines.recv() {
            for line in std::iter::once(first).chain(lines.try_iter()) {
                self.note(&line);
            }
            // Nobody keeps a file open in which nothing is written.
            self.open = None;
        }
    }

    fn note(&mut self, line: &str) {
        match (self.add(line), self.failed) {
            (Ok(()), _) => self.failed = false,
            // Once, not for each of thousands.
            (Err(error), false) => {
                tracing::error!(path = %self.path.display(), %error, "the manifest of recordings cannot be written");
                (self.failed, self.open) = (true, None);
            }
            (Err(_), true) => self.open = None,
        }
    }

    fn add(&mut self, line: &str) -> std::io::Result<()> {
        let length = line.len() as u64;
        let (mut file, size) = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        if size > 0 && size + length > self.most_bytes {
            std::fs::rename(&self.path, &self.old)?;
            let (fresh, _) = self.open_file()?;
            (&fresh).write_all(line.as_bytes())?;
            self.open = Some((fresh, length));
            return Ok(());
        }
        // One call: a line is there whole or, if the process dies or the disk is full, cut at the end of the file.
        file.write_all(line.as_bytes())?;
        self.open = Some((file, size + length));
        Ok(())
    }

    fn open_file(&self) -> std::io::Result<(File, u64)> {
        let flags = OFlags::CREATE
            | OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(CWD, &self.path, flags, Mode::from_raw_mode(0o640))?);
        let size = file.metadata()?.len();
        Ok((self.whole(file, size)?, size))
    }

    /// Ends a line that was cut, so that the next one begins as one.
    fn whole(&self, mut file: File, size: u64) -> std::io::Result<File> {
        let mut last = [b'\n'];
        if size > 0 {
            let reader = File::open(&self.path)?;
            std::os::unix::fs::FileExt::read_exact_at(&reader, &mut last, size - 1)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
    }

    #[test]
    fn lines_follow_each_other_over_restarts_and_after_a_cut_one() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::open(folder.path(), 1 << 20).unwrap();
        manifest.add(&json!({"n": 1}));
        manifest.add(&json!({"n": "a line\nin two"}));
        drop(manifest);
        let path = folder.path().join(NAME);
        assert_eq!(lines(&path), [json!({"n": 1}), json!({"n": "a line\nin two"})]);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":").unwrap();
        let manifest = Manifest::open(folder.path(), 1 << 20).unwrap();
        manifest.add(&json!({"n": 3}));
        drop(manifest);
        assert_eq!(lines(&path)[2..], [Value::Null, json!({"n": 3})]);
    }

    #[test]
    fn a_full_file_takes_the_place_of_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::open(folder.path(), 80).unwrap();
        (0..23).for_each(|n| manifest.add(&json!({"number": 100 + n})));
        drop(manifest);
        // Five lines of 15 octets each fill a file.
        let numbers = |name: &str| -> Vec<i64> {
            lines(&folder.path().join(name)).iter().map(|line| line["number"].as_i64().unwrap()).collect()
        };
        assert_eq!(numbers(OLD), [115, 116, 117, 118, 119]);
        assert_eq!(numbers(NAME), [120, 121, 122]);
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_end_and_none_may_be_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let away = folder.path().join("away");
        let manifest = Manifest::open(&away, 1 << 20).unwrap();
        manifest.add(&json!({"n": 1}));
        std::fs::create_dir(&away).unwrap();
        // The writer may have met the folder before it was there, or not.
        manifest.add(&json!({"n": 2}));
        drop(manifest);
        let none = Manifest::open(folder.path(), 0).unwrap();
        none.add(&json!({"n": 3}));
        drop(none);
        assert!(!folder.path().join(NAME).exists());
    }
}
