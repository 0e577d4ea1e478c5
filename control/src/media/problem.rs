//! What can be wrong with a file that the application names.

use std::io;

use rustix::io::Errno;

/// Why a prompt cannot be played or a recording cannot be made. The text is for the application.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileProblem {
    /// The path's form.
    #[error("the path {0}")]
    BadName(&'static str),
    /// `..`, an absolute path elsewhere, or a symbolic link.
    #[error("the path leaves its root")]
    LeavesRoot,
    /// No such file.
    #[error("there is no such file")]
    Missing,
    /// A recording of that name.
    #[error("the file exists already")]
    Exists,
    /// A folder, a device, a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// Zero bytes, or a header and no sound.
    #[error("the file holds no sound")]
    Empty,
    /// Neither WAV, MP3, FLAC nor Ogg.
    #[error("it is not a sound file: {0}")]
    NotSound(String),
    /// A sound file of a kind that is not decoded here.
    #[error("its sound is not supported: {0}")]
    Unsupported(String),
    /// Fewer samples than the header promises.
    #[error("the file is truncated: {found} of {promised} samples are there")]
    Truncated {
        /// Samples that are there.
        found: u64,
        /// Samples that the header promises.
        promised: u64,
    },
    /// Longer than `media.longest_prompt_seconds` or larger than the size limit.
    #[error("the sound is too long: {0}")]
    TooLong(String),
    /// Anything else the file system says.
    #[error("the file system says: {0}")]
    Io(io::Error),
}

impl FileProblem {
    /// A word for programs, in `data.problem` of an error.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::BadName(_) => "bad_name",
            Self::LeavesRoot => "leaves_root",
            Self::Missing => "missing",
            Self::Exists => "exists",
            Self::NotAFile => "not_a_file",
            Self::Empty => "empty",
            Self::NotSound(_) => "not_a_sound_file",
            Self::Unsupported(_) => "unsupported",
            Self::Truncated { .. } => "truncated",
            Self::TooLong(_) => "too_long",
            Self::Io(_) => "file_system",
        }
    }
}

impl From<Errno> for FileProblem {
    fn from(error: Errno) -> Self {
        match error {
            Errno::XDEV | Errno::LOOP => Self::LeavesRoot,
            Errno::NOENT => Self::Missing,
            Errno::EXIST => Self::Exists,
            Errno::ISDIR | Errno::NOTDIR => Self::NotAFile,
            other => Self::Io(other.into()),
        }
    }
}
