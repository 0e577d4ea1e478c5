//! The systemd units, held against systemd's own checker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use duogate_tests::process::program;

const UNITS: [&str; 2] = ["duogate-gateway", "duogate-control"];

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../systemd/{name}.service"));
    fs::read_to_string(path).expect("a unit in systemd/")
}

/// Both units in a folder, with the programs as they are built here in place of the installed ones.
fn installed(folder: &Path) -> Vec<PathBuf> {
    UNITS
        .iter()
        .map(|name| {
            let built = program(name).display().to_string();
            let path = folder.join(format!("{name}.service"));
            fs::write(&path, unit(name).replace(&format!("/usr/bin/{name}"), &built)).expect("a unit file");
            path
        })
        .collect()
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> String {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .args(units)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .expect("systemd-analyze; `make test` installs it");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "systemd-analyze {arguments:?}: {text}");
    text
}

#[test]
fn units_are_clean_to_systemd_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = analyze(&["verify"], &installed(folder.path()));
    assert_eq!(text.trim(), "", "systemd-analyze verify says nothing of clean units");
}

#[test]
fn units_leave_little_exposed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for unit in installed(folder.path()) {
        // Exposure in tenths, from 0 to 100; systemd calls 20 and less "OK".
        analyze(&["security", "--offline=true", "--threshold=20"], std::slice::from_ref(&unit));
    }
}

#[test]
fn the_gateway_may_use_io_uring_and_xdp_and_nothing_else_that_is_privileged() {
    let text = unit("duogate-gateway");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(text.contains(call), "{call} is let through: no system call group carries it");
    }
    for line in [
        "Type=notify",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n",
        "AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON\n",
        "ReadWritePaths=-/sys/fs/bpf\n",
        "SystemCallFilter=bpf\n",
        "MemoryDenyWriteExecute=yes",
    ] {
        assert!(text.contains(line), "{line} is missing");
    }
}

#[test]
fn the_configuration_beside_the_units_is_good_and_keeps_to_their_folders() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/duogate.toml");
    let checked = Command::new(program("duogate")).arg("check").arg(&path).output().expect("it runs");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success(), "{said}");
    let text = fs::read_to_string(&path).expect("a configuration in systemd/");
    let paths = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('"').nth(1));
    let paths: Vec<&str> = paths.collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    for path in paths {
        assert!(path.starts_with("/var/lib/duogate/") || path.starts_with("/run/duogate/"), "{path}");
    }
    let control = unit("duogate-control");
    for line in
        ["StateDirectory=duogate\n", "RuntimeDirectory=duogate\n", "ExecReload=/bin/kill -HUP $MAINPID\n"]
    {
        assert!(control.contains(line), "{line} is missing");
    }
}

#[test]
fn the_kernel_is_told_to_look_up_next_hops() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/sysctl.d/60-duogate.conf");
    let text = fs::read_to_string(path).expect("the kernel's settings in systemd/sysctl.d/");
    let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(settings, ["net.ipv4.conf.lo.forwarding = 1", "-net.ipv6.conf.lo.forwarding = 1"]);
    // The gateway itself may not (ProtectKernelTunables=): its unit does so before it starts.
    let unit = unit("duogate-gateway");
    let before = unit.lines().find(|line| line.starts_with("ExecStartPre=-+")).expect("done with all rights");
    assert!(before.contains("/conf/lo/forwarding"), "{before}");
}
