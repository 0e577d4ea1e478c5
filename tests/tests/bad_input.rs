//! Whatever further processes and applications try: the call that is up hears nothing of it. (Garbage at its ports
//! is in `load_leaks.rs`.)

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use duogate_channel::handover::Connection;
use duogate_channel::message::{Rejection, ToControl, ToGateway};
use duogate_channel::record::ABI_VERSION;
use duogate_phone::tone::Tone;
use duogate_phone::{Script, What};
use duogate_tests::application::Application;
use duogate_tests::duogate::Duogate;
use duogate_tests::judged::Judged;
use duogate_tests::process::program;
use duogate_tests::story::Story;
use duogate_tests::{patience, ports, wav};
use serde_json::json;

/// How long one step may take here.
const STEP: Duration = Duration::from_secs(8);

/// A connected, recorded callback between two phones that speak.
struct Call {
    duogate: Duogate,
    application: Application,
    phones: [Judged; 2],
    res_id: String,
    connected: Vec<duogate_tests::application::Event>,
}

impl Call {
    fn start() -> Self {
        let duogate = Duogate::start();
        let phone = |hertz| {
            let script = Script::new(Tone::new(hertz)).answers_at(20);
            Judged::start(script, Instant::now())
        };
        let phones = [phone(440), phone(700)];
        let mut application = duogate.application();
        let res_id = application.construct(&json!({
            "to1_uri": phones[0].uri("1"), "to2_uri": phones[1].uri("2"), "record_file": "call.wav"
        }));
        let connected = application.events_until("on_connected", STEP);
        Self { duogate, application, phones, res_id, connected }
    }

    /// It is still up, sound flows both ways and not a packet is missing; it then ends in good order with its
    /// recording.
    fn demand_untouched(mut self) {
        let before = self.phones.each_ref().map(|phone| phone.reception().packets);
        for (phone, before) in self.phones.iter().zip(before) {
            patience::until("sound goes on", STEP, || phone.reception().packets >= before + 10);
            let reception = phone.reception();
            assert_eq!((reception.lost, reception.violations.len()), (0, 0), "{:?}", reception.violations);
        }
        let view = self.application.resource("get", &self.res_id).expect("get");
        assert_eq!(view["state"], "Connected");
        self.application.resource("drop", &self.res_id).expect("drop");
        let story = Story::continued(self.connected, &mut self.application, &self.res_id, 2);
        story.demand_release(603, 0);
        assert!(story.field("on_record_completed", "error").is_null(), "{story:#?}");
        assert_eq!(wav::read(&self.duogate.recording("call.wav")).channels.len(), 2);
        assert!(self.phones.iter().all(|phone| phone.wait(STEP, |what| *what == What::Ended)));
    }
}

fn control(call: &Call, configuration: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("duogate.toml");
    std::fs::write(&file, configuration).expect("a file in the temporary folder");
    let socket = call.duogate.folder().join("run/gateway.sock");
    assert!(socket.exists());
    let mut command = Command::new("timeout");
    // It goes on trying to attach until it is ended.
    command.args(["--signal=TERM", "2"]).arg(program("duogate-control")).arg("--config").arg(file);
    command.output().expect("it runs")
}

#[test]
fn a_second_control_plane_is_turned_away_and_told_why() {
    let call = Call::start();
    let socket = call.duogate.folder().join("run/gateway.sock");
    let output = control(
        &call,
        &format!(
            "[http]\nlisten = \"127.0.0.1:{}\"\n[sip]\nlisten = [\"udp:127.0.0.1:{}\"]\n[channel]\nsocket = {socket:?}\n",
            ports::free_tcp_port(),
            ports::free_udp_port()
        ),
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another control plane is attached"), "{said}");
    call.demand_untouched();
}

#[test]
fn a_second_control_plane_with_the_same_configuration_ends_at_once() {
    let call = Call::start();
    let mut command = Command::new(program("duogate-control"));
    command.arg("--config").arg(call.duogate.folder().join("duogate.toml"));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("sip.listen") && said.contains("in use"), "the first thing that is taken: {said}");
    call.demand_untouched();
}

#[test]
fn a_second_gateway_ends_at_once() {
    let call = Call::start();
    let mut command = Command::new(program("duogate-gateway"));
    command.arg("--config").arg(call.duogate.folder().join("duogate.toml"));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gateway.sock") && said.contains("already"), "{said}");
    call.demand_untouched();
}

#[test]
fn a_control_plane_of_another_abi_version_is_told_both_versions() {
    let call = Call::start();
    let connection =
        Connection::open(&call.duogate.folder().join("run/gateway.sock")).expect("the gateway listens");
    connection.set_timeout(Some(STEP)).expect("a socket option");
    connection.send(&ToGateway::Hello { abi: ABI_VERSION + 1, pid: std::process::id() }, &[]).expect("sent");
    let (answer, _) = connection.receive::<ToControl>().expect("an answer");
    let mismatch = Rejection::AbiMismatch { theirs: ABI_VERSION + 1, ours: ABI_VERSION };
    assert_eq!(answer, ToControl::Reject(mismatch));
    call.demand_untouched();
}

#[test]
fn a_bad_request_is_named_and_costs_the_call_nothing() {
    let mut call = Call::start();
    let bomb = "[".repeat(60_000);
    let large = "x".repeat(70_000);
    for (body, status, part) in
        [(bomb.as_str(), 200, "-32700"), (&large, 413, "65536"), ("{\"jsonrpc\":\"1.0\"}", 200, "-32600")]
    {
        let (found, said) = call.duogate.post("/rpc", body).expect("an answer");
        assert_eq!(found, status, "{said}");
        assert!(said.contains(part), "{said}");
    }
    let good = json!({"to1_uri": "a@127.0.0.1:9", "to2_uri": "b@127.0.0.1:9"});
    for (name, value, code, problem) in [
        ("record_file", json!("call.wav"), -32005, "exists"),
        ("record_file", json!("../call.wav"), -32602, ""),
        ("ring_play_file", json!("none.wav"), -32005, "missing"),
        ("user_data", json!("用".repeat(1_366)), -32602, ""),
        ("callback_url", json!("http://192.0.2.1/"), -32006, ""),
        ("form1_uri", json!("sip:a@b"), -32602, ""),
    ] {
        let mut params = good.clone();
        params[name] = value;
        let error = call.application.call("ext.duo_callback.construct", &params).expect_err("a refusal");
        assert_eq!((error.code, &error.data["parameter"]), (code, &json!(name)), "{error:?}");
        assert_eq!(error.data["problem"].as_str().unwrap_or(""), problem, "{error:?}");
        assert!(error.message.contains(name), "{error:?}");
    }
    call.demand_untouched();
}
