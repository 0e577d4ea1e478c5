//! How the process starts and ends.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command as Program;

use rustix::process::Signal;

use crate::house::{DEADLINE, Gateway, until};

fn run(text: &str, arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("duogate.toml");
    std::fs::write(&file, text).unwrap();
    let mut program = Program::new(env!("CARGO_BIN_EXE_duogate-gateway"));
    let output = program.arg("--config").arg(&file).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_setting_is_named_with_its_line() {
    let (success, message) = run("[media]\nlatency = 3\n", &[]);
    assert!(!success);
    assert!(message.contains("line 2") && message.contains("latency"), "{message}");
}

#[test]
fn check_only_checks() {
    let (success, message) = run("", &["--check"]);
    assert!(success, "{message}");
}

#[test]
fn an_address_of_another_host_is_named() {
    for arguments in [&["--check"][..], &[]] {
        let (success, message) = run("[media]\naddress = \"192.0.2.1\"\n", arguments);
        assert!(!success && message.contains("media.address") && message.contains("192.0.2.1"), "{message}");
    }
}

#[test]
fn two_gateways_do_not_share_a_socket() {
    let gateway = Gateway::start("");
    let mut second = Program::new(env!("CARGO_BIN_EXE_duogate-gateway"));
    let output = second.arg("--config").arg(gateway.folder.path().join("duogate.toml")).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("listens on"), "{message}");
    gateway.attach();
}

#[test]
fn too_few_descriptors_mean_fewer_sessions_and_a_warning() {
    let gateway = Gateway::start_limited("sessions = 16", "ulimit -n 110");
    let control = gateway.attach();
    let sessions = control.attachment.shards[0].description.sessions;
    assert!((2..16).contains(&sessions), "{sessions}");
    let (status, log) = gateway.terminate();
    assert!(status.success() && log.contains("RLIMIT_NOFILE"), "{log}");
}

#[test]
fn sigterm_is_a_clean_end() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    control.open();
    let socket = gateway.socket();
    let (status, log) = gateway.terminate();
    assert!(status.success(), "{log}");
    assert!(!socket.exists());
    until("the control plane notices", || {
        control.attachment.connection.receive::<duogate_channel::message::ToControl>().err()
    });
}

#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let environment = format!("export NOTIFY_SOCKET={} WATCHDOG_USEC=300000", path.display());
    let gateway = Gateway::start_limited("", &environment);
    let heard = |message: &str| {
        let mut octets = [0; 256];
        let length = manager.recv(&mut octets).unwrap();
        String::from_utf8_lossy(&octets[..length]).lines().any(|line| line == message)
    };
    until("READY", || heard("READY=1").then_some(()));
    until("the first heartbeat", || heard("WATCHDOG=1").then_some(()));
    until("the next heartbeat", || heard("WATCHDOG=1").then_some(()));
    gateway.terminate();
    until("the end", || heard("STOPPING=1").then_some(()));
}

#[test]
fn a_new_gateway_has_its_predecessors_ports() {
    for end in [Signal::TERM, Signal::KILL] {
        let mut gateway = Gateway::start("sessions = 16");
        let ports = all_ports(&gateway);
        gateway = gateway.restart_after(end);
        assert_eq!(all_ports(&gateway), ports, "after {end:?}");
    }
}

/// The ports of as many sessions as there can be.
fn all_ports(gateway: &Gateway) -> BTreeSet<u16> {
    let mut control = gateway.attach();
    (0..16).flat_map(|_| control.open().1).collect()
}
