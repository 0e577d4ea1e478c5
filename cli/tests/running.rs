//! The commands with the two real processes behind them.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use duogate_phone::phone::Phone;
use duogate_phone::tone::Tone;
use duogate_phone::{Script, What};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(30);

fn duogate() -> PathBuf {
    let program = assert_cmd::cargo::cargo_bin("duogate");
    for name in ["duogate-gateway", "duogate-control"] {
        let path = program.with_file_name(name);
        assert!(
            path.exists(),
            "{} is not built: run `cargo build --workspace` or `make test`",
            path.display()
        );
    }
    program
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(duogate());
    command.current_dir(folder).env_remove("DUOGATE_URL").env_remove("DUOGATE_TOKEN");
    command.args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn terminate(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// A running `duogate up` in a folder of its own.
struct Up {
    folder: TempDir,
    child: Child,
    http: String,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["prompts", "recordings"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let http = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let sip = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let configuration = format!(
            "[http]\nlisten = \"{http}\"\n[sip]\nlisten = [\"udp:{sip}\"]\n\
             [media]\nports = \"{}\"\nsessions = 8\n[shutdown]\ngrace_seconds = 1\n",
            free_range()
        );
        fs::write(folder.path().join("duogate.toml"), configuration).expect("a file");
        let mut command = Command::new(duogate());
        let log = fs::File::create(folder.path().join("up.log")).expect("a file");
        command.current_dir(folder.path()).arg("up").stdout(Stdio::piped()).stderr(log);
        let mut up = Self { child: command.spawn().expect("it starts"), folder, http: http.to_string() };
        let out = up.child.stdout.take().expect("piped");
        let mut line = String::new();
        let mut lines = BufReader::new(out);
        lines.read_line(&mut line).expect("a line");
        assert_eq!(line, format!("ready http={http} sip=udp:{sip}\n"), "{}", up.complaints());
        up.child.stdout = Some(lines.into_inner());
        up
    }

    /// What it wrote to standard error.
    fn complaints(&self) -> String {
        fs::read_to_string(self.path().join("up.log")).unwrap_or_default()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The process with that name that `up` has started.
    fn child_named(&self, name: &str) -> Option<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| {
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.split('\0').next().is_some_and(|program| program.ends_with(name))
        })
    }

    fn is_ready(&self) -> bool {
        run(self.path(), &["drain", "--status"]).status.success()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            terminate(self.child.id(), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Sixty-four ports that are free now, as the configuration writes them; begun anywhere, for tests run at once.
fn free_range() -> String {
    let begin = u16::try_from(RandomState::new().build_hasher().finish() % 600).expect("below 600");
    let first = (0..600).map(|place| 20_000 + (begin + place) % 600 * 64).find(|first| {
        let sockets: Result<Vec<_>, _> =
            (*first..*first + 64).map(|port| UdpSocket::bind(("127.0.0.1", port))).collect();
        sockets.is_ok()
    });
    let first = first.expect("free ports");
    format!("{first}-{}", first + 63)
}

#[track_caller]
fn until(what: &str, mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !happens() {
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn phone(script: Script) -> Phone {
    Phone::start(script, Instant::now()).expect("a phone on loopback")
}

#[test]
fn demo_shows_a_callback_and_proves_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["demo", "--folder", "shown"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    assert_eq!(said.matches("\ngood  ").count(), 9, "{said}");
    for part in ["party 1 rings", "both are connected", "released: party 2 hung up", "loss 0.0 %", "jitter"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let recording = folder.path().join("shown/recordings/callback.wav");
    assert!(said.contains(&recording.display().to_string()) && recording.is_file(), "{said}");
}

#[test]
fn up_call_list_drain_and_the_end() {
    let mut up = Up::start();
    let one = phone(Script::new(Tone::new(400)).rings_at(20).answers_at(100));
    let two = phone(Script::new(Tone::new(700)).rings_at(20).answers_at(200).hangs_up_at(1500));
    let called = std::thread::scope(|scope| {
        let folder = up.path();
        let parties = [one.uri("1"), two.uri("2")];
        let call = scope.spawn(move || run(folder, &["call", &parties[0], &parties[1], "--record", "a.wav"]));
        assert!(two.wait(LONG, |what| *what == What::Acknowledged), "{:?}", two.events());
        until("the call is listed", || {
            text(&run(folder, &["list"]).stdout).contains("  Connected  sip:1@127.0.0.1")
        });
        let top = text(&run(folder, &["top", "--times", "1"]).stdout);
        assert!(top.contains("1 call  ") && top.contains("Connected 1") && top.contains("shard 0"), "{top}");
        call.join().expect("the call's thread")
    });
    let said = text(&called.stdout);
    assert!(called.status.success(), "{said}\n{}", text(&called.stderr));
    for part in [
        "party 1 rings",
        "party 2 is called at sip:2@",
        "both are connected",
        "recorded: a.wav",
        "party 2 hung up",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(up.path().join("recordings/a.wav").is_file());

    one.set_script(Script::new(Tone::silence()).refuses_at(0, 486));
    let busy = run(up.path(), &["call", &one.uri("1"), &two.uri("2")]);
    assert_eq!(busy.status.code(), Some(1), "{}\n{:?}", text(&busy.stdout), one.events());
    assert!(
        text(&busy.stdout).contains("party 1 is not reached") && text(&busy.stdout).contains("486"),
        "{}",
        text(&busy.stdout)
    );
    let wrong = run(up.path(), &["call", &one.uri("1"), &one.uri("1")]);
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("-32602"), "{}", text(&wrong.stderr));

    let drained = run(up.path(), &["drain", "--wait"]);
    assert!(
        drained.status.success() && text(&drained.stdout).contains("no new calls are taken"),
        "{drained:?}"
    );
    let refused = run(up.path(), &["call", &one.uri("1"), &two.uri("2")]);
    assert!(text(&refused.stderr).contains("-32007"), "{}", text(&refused.stderr));
    assert!(text(&run(up.path(), &["drain", "--undo"]).stdout).contains("calls are taken; "));

    let pids = ["duogate-gateway", "duogate-control"].map(|name| up.child_named(name).expect("it runs"));
    terminate(up.child.id(), Signal::TERM);
    let status = up.child.wait().expect("it ends");
    let mut rest = String::new();
    up.child.stdout.take().expect("piped").read_to_string(&mut rest).expect("text");
    assert!(status.success(), "{status}");
    assert_eq!(rest, "", "standard output has the ready line alone");
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left behind");
    }
}

#[test]
fn a_process_that_dies_is_started_again() {
    let up = Up::start();
    for name in ["duogate-control", "duogate-gateway"] {
        let killed = up.child_named(name).expect("it runs");
        terminate(killed, Signal::KILL);
        until("another process", || up.child_named(name).is_some_and(|pid| pid != killed));
        until("it answers again", || up.is_ready());
    }
    let second = run(up.path(), &["up"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains(&format!("something listens on {} already", up.http)), "{said}");
}
