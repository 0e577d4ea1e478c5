//! Compiles the XDP program with clang, where there is one. Where there is none, the crate builds all the same and
//! says at run time what it lacks.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs built by this script; the second is the measure that the first is compared with.
const PROGRAMS: &[&str] = &["fastpath", "bare"];

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for program in PROGRAMS {
        let object = folder.join(format!("{program}.o"));
        let failure = compile(program, &object).err();
        if let Some(failure) = &failure {
            println!("cargo::warning=the fast path is not built: {failure}");
            // An empty object is what the crate takes for "not built".
            if let Err(error) = std::fs::write(&object, []) {
                println!("cargo::error=no object can be written: {error}");
            }
        }
        let reason = failure.unwrap_or_default().replace('\n', " ");
        println!("cargo::rustc-env=DUOGATE_{}_FAILURE={reason}", program.to_uppercase());
    }
}

/// Compiles one program, or says why it cannot be.
fn compile(program: &str, object: &Path) -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let mut command = Command::new(&clang);
    command.args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpf"]);
    // Atomic operations with a result: kernels from 5.12.
    command.arg("-mcpu=v3");
    // Debian keeps asm/types.h with the architecture.
    command.arg(format!("-I/usr/include/{architecture}-linux-gnu"));
    if architecture == "x86_64" {
        // Loads are never reordered with loads, nor stores with stores.
        command.arg("-DORDERED_MEMORY");
    }
    command.args(["-c", &format!("bpf/{program}.c"), "-o"]).arg(object);
    let output = command.output().map_err(|error| format!("{clang} does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{clang} failed: {}", said.lines().next().unwrap_or("no reason given")))
}
