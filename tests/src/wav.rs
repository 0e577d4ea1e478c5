//! Sound files for tests.

use std::fs;
use std::path::Path;
use std::time::Duration;

use duogate_phone::tone::Tone;
use duogate_phone::wave;

/// Writes a prompt: 16-bit mono at 8 kHz, one tone.
///
/// # Panics
/// If the file cannot be written.
pub fn write_tone(path: &Path, hertz: u16, length: Duration) {
    fs::write(path, wave::write_mono(&Tone::new(hertz).samples(length)))
        .expect("a prompt in the test's folder");
}

/// Reads a recording.
///
/// # Panics
/// If it is not there or not a WAV file.
#[must_use]
pub fn read(path: &Path) -> wave::Wave {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    wave::read(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
