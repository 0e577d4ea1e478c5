//! What the commands say without a running Duogate: help, wrong input, wrong configurations.

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// Runs `duogate` in a folder of its own, away from any configuration and environment.
fn duogate(arguments: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(&folder, arguments);
    (folder, output)
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("duogate").expect("the program is built");
    command.current_dir(folder.path()).env_remove("DUOGATE_URL").env_remove("DUOGATE_TOKEN");
    command.args(arguments).output().expect("it runs")
}

#[track_caller]
fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let (_folder, output) = duogate(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: {part:?} is not in {error:?}");
    }
}

#[test]
fn help_names_every_command() {
    let (_folder, output) = duogate(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    for command in ["up", "demo", "call", "list", "check", "drain", "top", "doctor"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
        let (_folder, output) = duogate(&[command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(output.stdout.len() > 200, "{command} has no real help");
    }
    fails(&[], 2, &["Usage: duogate <COMMAND>"]);
}

#[test]
fn wrong_usage_is_named() {
    fails(&["dance"], 2, &["unrecognized subcommand 'dance'"]);
    fails(&["call", "sip:1@127.0.0.1"], 2, &["<TO2>"]);
    fails(&["call", "a", "b", "--prompt-mode", "4", "--prompt", "x"], 2, &["4 is not in 0..=3"]);
    fails(&["call", "a", "b", "--prompt-mode", "1"], 2, &["--prompt <FILE>"]);
    fails(&["drain", "--wait", "--undo"], 2, &["cannot be used with"]);
    fails(&["list", "--url", "https://a"], 1, &["\"https://a\" is no URL, expected http://HOST:PORT"]);
    fails(&["list", "--url", "http://a", "--token", "a b"], 1, &["the token has characters"]);
    fails(&["up", "--config", "absent.toml"], 1, &["absent.toml: No such file"]);
}

#[test]
fn nobody_there_is_said() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = format!("http://{free}");
    for arguments in [&["list"][..], &["drain"], &["top"], &["call", "1@127.0.0.1", "2@127.0.0.1"]] {
        let arguments = [arguments, &["--url", &url]].concat();
        fails(&arguments, 1, &[&format!("cannot reach Duogate at {free}"), "is `duogate up` running there?"]);
    }
}

#[test]
fn check_says_good_or_where_it_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../duogate.toml");
    fs::copy(example, folder.path().join("duogate.toml")).expect("a copy");
    let output = run(&folder, &["check"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with("duogate.toml: good\n"), "{said}");
    assert!(said.contains("udp:127.0.0.1:5060") && said.contains("20000-39999"), "{said}");

    fs::write(folder.path().join("bad.toml"), "[media]\n\nprots = \"1-2\"\n").expect("a file");
    let output = run(&folder, &["check", "bad.toml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("bad.toml: line 3, column 1: media.prots: unknown field `prots`"), "{error}");

    let several = "[sip]\nlisten = []\n[media]\ncores = []\n";
    fs::write(folder.path().join("bad.toml"), several).expect("a file");
    let output = run(&folder, &["check", "bad.toml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("line 2, column 10: sip.listen") && error.contains("line 4, column 9: media.cores"),
        "{error}"
    );
}

#[test]
fn the_configuration_says_where_to_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    fs::write(folder.path().join("duogate.toml"), format!("[http]\nlisten = \"{free}\"\n")).expect("a file");
    let output = run(&folder, &["list"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&free.to_string()), "{error}");
}

#[test]
fn no_colors_where_nobody_looks() {
    let (_folder, output) = duogate(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("kernel ") && !said.contains('\u{1b}'), "{said}");
}
