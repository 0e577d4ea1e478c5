//! Decoding in a process of its own: a file that somebody has prepared to make a decoder panic, or turn in circles, ends
//! that process and not this one with all its calls.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::decode;
use super::problem::FileProblem;

/// The argument that makes this program decode its standard input; the longest sound in seconds follows it.
pub(crate) const ARGUMENT: &str = "--decode-prompt";

/// Processor time that a file may take: ten minutes of sound take a few seconds.
const MOST_TIME: Duration = Duration::from_secs(60);

/// Octets at most of what a process says that decodes nothing.
const MOST_WORDS: usize = 1024;

/// What a process says first: samples follow, or what is wrong.
mod said {
    pub(super) const SAMPLES: u8 = 0;
    pub(super) const EMPTY: u8 = 1;
    pub(super) const NOT_SOUND: u8 = 2;
    pub(super) const UNSUPPORTED: u8 = 3;
    pub(super) const TRUNCATED: u8 = 4;
    pub(super) const TOO_LONG: u8 = 5;
    pub(super) const IO: u8 = 6;
}

/// As [`decode::decode`], by another process. Blocking.
pub(crate) fn decode(file: File, longest_seconds: u32) -> Result<Vec<i16>, FileProblem> {
    // Whatever has become of the program's own file meanwhile.
    let mut child = Command::new("/proc/self/exe")
        .arg(ARGUMENT)
        .arg(longest_seconds.to_string())
        .stdin(Stdio::from(file))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(FileProblem::Io)?;
    let limit = Rlimit { current: Some(MOST_TIME.as_secs()), maximum: Some(MOST_TIME.as_secs()) };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && let Err(error) = prlimit(Some(pid), Resource::Cpu, limit)
        && error != rustix::io::Errno::SRCH
    {
        // One that has ended already needs no limit.
        let (_killed, _reaped) = (child.kill(), child.wait());
        return Err(FileProblem::Io(error.into()));
    }
    let output = child.wait_with_output().map_err(FileProblem::Io)?;
    if !output.status.success() {
        return Err(FileProblem::NotSound(format!("its decoder gave up: {}", output.status)));
    }
    read(&output.stdout)
}

/// What the other process has said.
fn read(octets: &[u8]) -> Result<Vec<i16>, FileProblem> {
    let broken = || FileProblem::NotSound("its decoder says nothing".into());
    let (kind, rest) = octets.split_first().ok_or_else(broken)?;
    let text = || String::from_utf8_lossy(&rest[..rest.len().min(MOST_WORDS)]).into_owned();
    Err(match *kind {
        said::SAMPLES => {
            return Ok(rest.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect());
        }
        said::EMPTY => FileProblem::Empty,
        said::NOT_SOUND => FileProblem::NotSound(text()),
        said::UNSUPPORTED => FileProblem::Unsupported(text()),
        said::TRUNCATED => {
            let numbers = rest.as_chunks::<8>().0;
            let [found, promised] =
                [0, 1].map(|at| numbers.get(at).map_or(0, |octets| u64::from_le_bytes(*octets)));
            FileProblem::Truncated { found, promised }
        }
        said::TOO_LONG => FileProblem::TooLong(text()),
        said::IO => FileProblem::Io(io::Error::other(text())),
        _ => broken(),
    })
}

/// What is said of an outcome.
fn write(outcome: Result<Vec<i16>, FileProblem>) -> Vec<u8> {
    let (kind, rest) = match outcome {
        Ok(samples) => (said::SAMPLES, samples.into_iter().flat_map(i16::to_le_bytes).collect()),
        Err(FileProblem::Empty) => (said::EMPTY, Vec::new()),
        Err(FileProblem::NotSound(text)) => (said::NOT_SOUND, text.into_bytes()),
        Err(FileProblem::Unsupported(text)) => (said::UNSUPPORTED, text.into_bytes()),
        Err(FileProblem::Truncated { found, promised }) => {
            (said::TRUNCATED, [found, promised].iter().flat_map(|number| number.to_le_bytes()).collect())
        }
        Err(FileProblem::TooLong(text)) => (said::TOO_LONG, text.into_bytes()),
        Err(FileProblem::Io(error)) => (said::IO, error.to_string().into_bytes()),
        // Of a file that is open these cannot be.
        Err(other) => (said::IO, other.to_string().into_bytes()),
    };
    let mut octets = vec![kind];
    octets.extend_from_slice(&rest);
    octets
}

/// The other process: decodes standard input to standard output.
pub(crate) fn serve(longest_seconds: u32) -> ExitCode {
    let file = io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(FileProblem::Io);
    let outcome = file.and_then(|file| decode::decode(file, longest_seconds));
    match io::stdout().lock().write_all(&write(outcome)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_comes_through_as_it_is() {
        assert_eq!(read(&write(Ok(vec![0, -1, i16::MAX, i16::MIN]))).unwrap(), [0, -1, i16::MAX, i16::MIN]);
        for problem in [
            FileProblem::Empty,
            FileProblem::NotSound("a".into()),
            FileProblem::Unsupported("b".into()),
            FileProblem::Truncated { found: 5, promised: u64::MAX },
            FileProblem::TooLong("c".into()),
            FileProblem::Io(io::Error::other("d")),
        ] {
            let (word, text) = (problem.word(), problem.to_string());
            let through = read(&write(Err(problem))).unwrap_err();
            assert_eq!((through.word(), through.to_string()), (word, text));
        }
        for broken in [&[][..], &[7], &[255, 1, 2]] {
            assert!(matches!(read(broken), Err(FileProblem::NotSound(_))));
        }
    }
}
