//! The dashboard and the alert rules, held against a real Prometheus that scrapes running processes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use duogate_channel::counters::{Counter, Measure};
use duogate_tests::duogate::Duogate;
use duogate_tests::ports;
use duogate_tests::process::{POLL, Process};
use duogate_tests::sipp::{Party, Step};
use duogate_tests::story::Story;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long Prometheus may take until it has scraped often enough for rates.
const SCRAPE_LIMIT: Duration = Duration::from_secs(30);

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

#[test]
fn alert_rules_are_sound() {
    let output = Command::new("promtool")
        .args(["check", "rules"])
        .arg(dashboards().join("duogate.rules.yml"))
        .output()
        .expect("promtool; `make test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A Prometheus that scrapes one Duogate four times a second.
struct Prometheus {
    port: u16,
    folder: TempDir,
    _process: Process,
}

impl Prometheus {
    fn start(http_port: u16) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = ports::free_tcp_port();
        fs::copy(dashboards().join("duogate.rules.yml"), folder.path().join("duogate.rules.yml"))
            .expect("rules");
        let configuration = format!(
            "global: {{scrape_interval: 250ms, evaluation_interval: 1s}}\nrule_files: [duogate.rules.yml]\n\
             scrape_configs: [{{job_name: duogate, static_configs: [{{targets: ['127.0.0.1:{http_port}']}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), configuration).expect("a configuration");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new("prometheus");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = Process::start("prometheus", &mut command);
        Self { port, folder, _process: process }
    }

    /// The answer of the query interface, or nothing while Prometheus starts.
    fn query(&self, expression: &str) -> Option<Value> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn samples(&self, expression: &str) -> usize {
        self.query(expression)
            .and_then(|answer| Some(answer["data"]["result"].as_array()?.len()))
            .unwrap_or(0)
    }

    /// Waits until an expression has an answer.
    fn wait_for(&self, expression: &str) {
        let deadline = Instant::now() + SCRAPE_LIMIT;
        while self.samples(expression) == 0 {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{expression} has no answer after {SCRAPE_LIMIT:?}: {log}");
            std::thread::sleep(POLL);
        }
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Every expression of the dashboard, with Grafana's variables filled in.
fn expressions() -> Vec<(String, String)> {
    let text = fs::read_to_string(dashboards().join("duogate.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("a dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels");
    let targets = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().expect("a panel has a title");
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (title.to_owned(), target))
    });
    targets
        .map(|(title, target)| {
            let expression = target["expr"].as_str().expect("a target has an expression");
            (title, expression.replace("$__rate_interval", "1m").replace("$instance", ".*"))
        })
        .collect()
}

/// Counters of the shards that no panel shows, and why.
const ABSENT: &[(Counter, &str)] = &[
    (
        Counter::Loops,
        "only beside wake-ups and completions, which are there, for somebody who looks for a spinning loop",
    ),
    (Counter::PathOctets, "packets by path are there, and octets go with them"),
];

#[test]
fn every_counter_is_in_a_panel_or_left_out_for_a_reason() {
    let expressions = expressions();
    let shown = |counter: Counter| {
        let name = match counter {
            // The control plane tells its age, which is what matters.
            Counter::Heartbeat => "heartbeat_age_seconds",
            counter => counter.name(),
        };
        let ends = match counter.measure() {
            Measure::Counter => "_total{",
            Measure::Gauge => "{",
        };
        let metric = format!("duogate_shard_{name}{ends}");
        expressions.iter().any(|(_, expression)| expression.contains(&metric))
    };
    let absent = |counter| ABSENT.iter().any(|(absent, _)| *absent == counter);
    let wrong: Vec<&str> = Counter::ALL
        .iter()
        .filter(|counter| shown(**counter) == absent(**counter))
        .map(|counter| counter.name())
        .collect();
    assert_eq!(wrong, [""; 0], "neither in a panel nor left out for a reason, or both");
}

#[test]
fn every_panel_has_an_answer() {
    let duogate = Duogate::start();
    let prometheus = Prometheus::start(duogate.http_port());
    let first = Party::start(&[Step::Provisional(180), Step::Answer, Step::ExpectBye]);
    let second = Party::start(&[Step::Provisional(180), Step::Answer, Step::ExpectBye]);
    let mut application = duogate.application();
    prometheus.wait_for("duogate_calls");
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 2, "record_file": "a.wav",
    }));
    let _ = Story::read(&mut application, &res_id, 2);
    prometheus.wait_for("increase(duogate_callbacks_total{outcome=\"connected\"}[1m]) > 0");

    let expressions = expressions();
    assert!(expressions.len() > 30, "the dashboard has its panels: {}", expressions.len());
    let silent: Vec<String> = expressions
        .iter()
        .filter(|(_, expression)| prometheus.samples(expression) == 0)
        .map(|(title, expression)| format!("{title}: {expression}"))
        .collect();
    assert!(silent.is_empty(), "panels without an answer:\n{}", silent.join("\n"));
    assert_eq!(prometheus.samples("ALERTS{alertname=~\"Duogate.*\"}"), 0, "no alert at a healthy node");
}
