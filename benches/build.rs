//! Compiles the rig's BPF programs. Where clang is missing the rig is built without them, and says so when a row needs
//! them.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let object = folder.join("rig.o");
    let built = Command::new("clang")
        .args(["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", "-c", "bpf/rig.c", "-o"])
        .arg(&object)
        .status();
    match built {
        Ok(status) if status.success() => {}
        // A program that does not compile is a fault; a compiler that is not there is not.
        Ok(status) => panic!("clang: {status}"),
        Err(error) => {
            println!("cargo::warning=the rig's veth rows are left out: clang: {error}");
            if let Err(error) = std::fs::write(&object, []) {
                panic!("{}: {error}", object.display());
            }
        }
    }
}
