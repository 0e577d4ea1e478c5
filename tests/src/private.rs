//! Tests that mount file systems, in a mount namespace of their own: the host sees nothing of it, and the kernel
//! takes everything down when the last process is gone.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Tells a test that it runs in its own namespace.
const INSIDE: &str = "DUOGATE_TEST_HAS_OWN_MOUNTS";

/// The program of Debian's util-linux, with what keeps mounts from spreading.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).stdin(Stdio::null());
    command
}

/// Runs the test of this name (as the harness prints it) once more, in a namespace of its own, and there `body`.
/// Where that is not allowed, says so and does nothing.
///
/// # Panics
/// If the test fails there.
pub fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if !unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        // Past the harness, which keeps what passing tests print to itself.
        let _ = writeln!(io::stderr(), "{test} is left out: to mount file systems takes root and `unshare`");
        return;
    }
    let executable = std::env::current_exe().expect("a running test has a path");
    let mut command = unshare();
    command.arg(executable).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("unshare was there a moment ago");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Mounts a file system in memory of so many kibibytes; what the folder holds is copied into it.
///
/// # Panics
/// If that cannot be done.
pub fn mount_small(folder: &Path, kibibytes: u32) {
    let held: Vec<_> = fs::read_dir(folder).expect("the folder").flatten().collect();
    assert!(held.is_empty(), "{} is empty", folder.display());
    mount(&["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "tmpfs"], folder);
}

/// Forbids writing, or allows it again.
pub fn set_writable(folder: &Path, writable: bool) {
    mount(&["-o", if writable { "remount,rw" } else { "remount,ro" }], folder);
}

/// Mounts a disk of so many kibibytes, which is this file, with ext4: it can be made to [`fail`].
///
/// # Panics
/// If that cannot be done; it takes a loop device.
pub fn mount_failing(folder: &Path, image: &Path, kibibytes: u64) {
    let file = fs::File::options().write(true).open(image).expect("the file");
    file.set_len(kibibytes << 10).expect("room for a disk");
    let status = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image).status().expect("e2fsprogs");
    assert!(status.success(), "mkfs.ext4 {}: {status}", image.display());
    let image = image.to_str().expect("the name of a temporary file");
    mount(&["-t", "ext4", "-o", "loop", image], folder);
}

/// Lets a file system of [`mount_failing`] find an error in itself: from then on it is read-only, whatever is open in it.
///
/// # Panics
/// If that cannot be done.
pub fn fail(folder: &Path) {
    mount(&["-o", "remount,abort"], folder);
}

/// Takes a file system from its place to another; what is open in it stays open.
///
/// # Panics
/// If that cannot be done.
pub fn shift(from: &Path, to: &Path) {
    let mut command = Command::new("mount");
    let status = command.arg("--move").args([from, to]).status().expect("mount is installed");
    assert!(status.success(), "mount --move {} {}: {status}", from.display(), to.display());
}

/// Fills a file system to its last octet; the file that does it can be removed again.
///
/// # Panics
/// If the file cannot even be made.
pub fn fill(file: &Path) {
    let mut filler = fs::File::create(file).expect("a file that fills the disk");
    for size in [65_536, 4_096, 512, 1] {
        let block = vec![0; size];
        while filler.write_all(&block).is_ok() {}
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    let status = Command::new("mount").args(arguments).arg(folder).status().expect("mount is installed");
    assert!(status.success(), "mount {arguments:?} {}: {status}", folder.display());
}
