//! The configurations that everyone begins with, in a fresh folder: both processes start, make their folders, take
//! calls, and end when told.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use duogate_tests::application::Application;
use duogate_tests::ports;
use duogate_tests::process::{Process, program};
use rustix::process::Signal;
use serde_json::json;

/// How long the programs may take to end.
const END: Duration = Duration::from_secs(20);

/// The settings whose names never change, as the interface lists them.
const FIXED: &str = r#"
[node]
name = "duogate-1"
[http]
listen = "127.0.0.1:8080"          # JSON-RPC, REST, metrics, console
[sip]
listen = ["udp:127.0.0.1:5060"]    # also tcp:, tls:
[media]
address = "127.0.0.1"              # in SDP, and where RTP ports are bound
ports = "20000-39999"
cores = [0]                        # one shard each
latency_budget_microseconds = 500
prompts = "./prompts"              # media root
recordings = "./recordings"        # recording root
ringback = "cn"
silence_timeout_seconds = 60
[channel]
socket = "./run/gateway.sock"
[store]
path = "./state/duogate.db"
[policy]
allow_any_destination = false      # true: any host in a URI may be called
[[trunk]]
name = "loopback"
hosts = ["127.0.0.1"]              # URIs with these hosts go over this trunk
"#;

/// Runs `duogate up` on this text, but for ports that tests at the same time do not use, and gives the line that it
/// printed and where it is reached.
fn works(text: &str, end: Signal) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (http, sip, rtp) = (ports::free_tcp_port(), ports::free_udp_port(), ports::RtpBlock::take());
    let mut text = text.to_owned();
    for (usual, free) in [
        ("\"127.0.0.1:8080\"", format!("\"127.0.0.1:{http}\"")),
        ("\"udp:127.0.0.1:5060\"", format!("\"udp:127.0.0.1:{sip}\"")),
        ("\"20000-39999\"", format!("\"{}\"", rtp.range(ports::RTP_PORTS))),
        ("sessions = 4000", "sessions = 50".to_owned()),
    ] {
        text = text.replace(usual, &free);
    }
    fs::write(folder.path().join("duogate.toml"), text).expect("a file in the temporary folder");
    let log = fs::File::create(folder.path().join("log")).expect("a file in the temporary folder");
    let mut command = Command::new(program("duogate"));
    command.current_dir(folder.path()).arg("up").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut up = Process::start("duogate", &mut command);
    let mut output = BufReader::new(up.output());
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let said = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    assert_eq!(line, format!("ready http=127.0.0.1:{http} sip=udp:127.0.0.1:{sip}\n"), "{}", said());
    for made in ["prompts", "recordings", "run/gateway.sock", "state/duogate.db"] {
        assert!(folder.path().join(made).exists(), "{made} is made where it is not there");
    }
    takes_calls(http);
    up.signal(end);
    let status = up.wait(END);
    assert!(status.success(), "{status}: {}", said());
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "", "one line is all that standard output gets");
    assert!(!said().contains('\u{1b}'), "a log that is no terminal has no colors: {}", said());
}

/// Party 1 is called, over the trunk that its host names.
fn takes_calls(http: u16) {
    let party = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
    party.set_read_timeout(Some(END)).expect("a socket option");
    let address = party.local_addr().expect("a bound socket has an address");
    let mut application = Application::connect(http);
    let res_id = application.construct(&json!({"to1_uri": address.to_string(), "to2_uri": "4711"}));
    let mut buffer = [0; 2048];
    let (length, _) = party.recv_from(&mut buffer).expect("an INVITE");
    let invite = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(invite.starts_with(&format!("INVITE sip:{address} SIP/2.0\r\n")), "{invite}");
    application.resource("drop", &res_id).expect("drop");
    application.events_until("on_released", END);
}

#[test]
fn the_fixed_settings_alone_work_as_the_interface_lists_them() {
    works(FIXED, Signal::INT);
}

#[test]
fn the_commented_configuration_works_as_it_is() {
    works(include_str!("../../duogate.toml"), Signal::TERM);
}
