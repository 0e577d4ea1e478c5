//! A called party played by SIPp from a list of steps.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::ports;
use crate::process::Process;

/// How long SIPp may take for its whole scenario before it calls that a failure.
const SCENARIO_LIMIT_SECONDS: u32 = 40;

/// How often [`Step::AnswerRepeatedly`] answers.
const ANSWERS: usize = 3;

/// How often SIPp is started anew when a port that was free is taken before SIPp has bound it.
const STARTS: usize = 5;

/// What the party does next. Its first step, to receive the INVITE, needs no telling.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Sends this provisional response without a session description.
    Provisional(u16),
    /// Sends this provisional response with a session description: early media.
    EarlyMedia(u16),
    /// Does nothing for so many milliseconds, whatever comes.
    Pause(u32),
    /// Answers with 200 and a session description, and expects the ACK.
    Answer,
    /// Answers with the same 200 [`ANSWERS`] times, as if the ACK got lost, and expects an ACK each time.
    AnswerRepeatedly,
    /// Refuses with this final response and expects the ACK.
    Refuse(u16),
    /// Expects a CANCEL, accepts it, and ends the INVITE with 487.
    ExpectCancel,
    /// Expects a CANCEL, and answers the INVITE with 200 all the same: both crossed on the way.
    AnswerAcrossCancel,
    /// The same of a party behind a proxy that stays in the route.
    AnswerAcrossCancelRouted,
    /// Expects a BYE and accepts it.
    ExpectBye,
    /// Hangs up with BYE.
    HangUp,
    /// Puts the other side on hold (`sendonly`), expects an answer that it is held.
    Hold,
    /// Sends a request of this method within the dialog and expects this status.
    Request(&'static str, u16),
}

/// A party of one callback.
pub struct Party {
    port: u16,
    tcp: bool,
    folder: TempDir,
    process: Process,
}

impl Party {
    /// Starts SIPp on a free port with these steps, ready to be called over UDP.
    ///
    /// # Panics
    /// If SIPp is not installed, or lost its ports to other programs [`STARTS`] times.
    #[must_use]
    pub fn start(steps: &[Step]) -> Self {
        Self::start_over(false, steps)
    }

    /// The same, to be called over TCP.
    ///
    /// # Panics
    /// As [`Party::start`].
    #[must_use]
    pub fn start_tcp(steps: &[Step]) -> Self {
        Self::start_over(true, steps)
    }

    fn start_over(tcp: bool, steps: &[Step]) -> Self {
        for _ in 0..STARTS {
            let port = if tcp { ports::free_tcp_port() } else { ports::free_udp_port() };
            let mut party = Self::launch(port, tcp, steps);
            if wait_until_bound(&mut party.process, port, tcp) {
                return party;
            }
        }
        panic!("sipp did not bind its ports in {STARTS} tries");
    }

    fn launch(port: u16, tcp: bool, steps: &[Step]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let scenario = folder.path().join("party.xml");
        fs::write(&scenario, scenario_xml(steps)).expect("a file in the temporary folder");
        let output = fs::File::create(folder.path().join("output")).expect("a file in the temporary folder");
        let mut command = Command::new("sipp");
        command.args(["-sf".as_ref(), scenario.as_os_str()]);
        command.args(["-i", "127.0.0.1", "-p", &port.to_string(), "-t", if tcp { "t1" } else { "u1" }]);
        command.args(["-mp", &ports::free_udp_port().to_string()]);
        command.args(["-m", "1", "-nostdin", "-timeout_error", "-trace_msg", "-trace_err"]);
        command.args(["-timeout", &SCENARIO_LIMIT_SECONDS.to_string(), "-deadcall_wait", "0"]);
        if steps.iter().any(|step| matches!(step, Step::AnswerRepeatedly)) {
            // Else SIPp takes every ACK after the first for a repetition of it and lets it pass unseen.
            command.arg("-nr");
        }
        command.arg("-message_file").arg(folder.path().join("messages"));
        command.arg("-error_file").arg(folder.path().join("errors"));
        command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).current_dir(folder.path());
        let process = Process::start("sipp", &mut command);
        Self { port, tcp, folder, process }
    }

    /// The party's SIP URI.
    #[must_use]
    pub fn uri(&self) -> String {
        let transport = if self.tcp { ";transport=tcp" } else { "" };
        format!("sip:party@127.0.0.1:{}{transport}", self.port)
    }

    /// Waits for SIPp's own verdict: every step happened, and nothing else did.
    ///
    /// # Panics
    /// If a step failed; the panic shows what SIPp said.
    pub fn finish(mut self) {
        let status = self.process.wait(Duration::from_secs(u64::from(SCENARIO_LIMIT_SECONDS) + 5));
        assert!(
            status.success(),
            "the party at {} saw something else than its steps ({status}):\n{}\n{}",
            self.uri(),
            self.read("errors"),
            self.messages(),
        );
    }

    /// Every message that the party sent or received, as SIPp noted them.
    #[must_use]
    pub fn messages(&self) -> String {
        self.read("messages")
    }

    fn read(&self, name: &str) -> String {
        let path: &Path = self.folder.path();
        let text = fs::read(path.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Any number of parties at one SIPp, over UDP: each rings, answers and waits for the end. It answers OPTIONS, too.
pub struct Crowd {
    port: u16,
    /// Its scenarios live as long as it does.
    _folder: TempDir,
    process: Option<Process>,
}

impl Crowd {
    /// Starts SIPp on a free port.
    ///
    /// # Panics
    /// If SIPp is not installed, or lost its ports to other programs [`STARTS`] times.
    #[must_use]
    pub fn start() -> Self {
        for _ in 0..STARTS {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let scenario = folder.path().join("crowd.xml");
            fs::write(&scenario, crowd_xml()).expect("a file in the temporary folder");
            let port = ports::free_udp_port();
            let mut command = Command::new("sipp");
            command.args(["-sf".as_ref(), scenario.as_os_str()]);
            command.args(["-i", "127.0.0.1", "-p", &port.to_string(), "-t", "u1", "-nostdin"]);
            command.args(["-mp", &ports::free_udp_port().to_string(), "-deadcall_wait", "0"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = Process::start("sipp", command.current_dir(folder.path()));
            if wait_until_bound(&mut process, port, false) {
                return Self { port, _folder: folder, process: Some(process) };
            }
        }
        panic!("sipp did not bind its ports in {STARTS} tries");
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it as `kill -9` does; nobody is at its port any more.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

/// A call, or else OPTIONS: SIPp takes both for calls, and goes on at another place for OPTIONS.
fn crowd_xml() -> String {
    let call = scenario_xml(&[Step::Provisional(180), Step::Answer, Step::ExpectBye]);
    let ping = "<recv request=\"OPTIONS\" optional=\"true\" next=\"1\"/>\n<recv request=\"INVITE\"";
    let mut xml = call.replacen("<recv request=\"INVITE\"", ping, 1).replace("</scenario>\n", "");
    xml.push_str("<nop next=\"2\"/>\n<label id=\"1\"/>\n");
    send(&mut xml, &accept(), "");
    xml.push_str("<label id=\"2\"/>\n<pause milliseconds=\"1\"/>\n</scenario>\n");
    xml
}

/// Is a process there to be called? Not if it ended because another program took one of its ports meanwhile.
fn wait_until_bound(process: &mut Process, port: u16, tcp: bool) -> bool {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while process.ended().is_none() && std::time::Instant::now() < deadline {
        let address = ("127.0.0.1", port);
        let bound = match tcp {
            true => std::net::TcpListener::bind(address).is_err(),
            false => std::net::UdpSocket::bind(address).is_err(),
        };
        if bound {
            return true;
        }
        std::thread::sleep(crate::process::POLL);
    }
    false
}

fn scenario_xml(steps: &[Step]) -> String {
    let mut xml = String::from(
        r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="party">
<recv request="INVITE" rrs="true"><action>
<ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" assign_to="cseq"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="called"/>
<ereg regexp=".*" search_in="hdr" header="Record-Route:" assign_to="route"/>
<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="1" assign_to="via"/>
<ereg regexp=".*" search_in="hdr" header="Via:" occurrence="2" assign_to="below"/>
</action></recv>
"#,
    );
    let mut sequence = 100;
    for step in steps {
        sequence += 1;
        step_xml(&mut xml, *step, sequence);
    }
    // Unused variables are an error to SIPp.
    xml.push_str("<Reference variables=\"cseq,caller,called,route,via,below\"/>\n</scenario>\n");
    xml
}

fn step_xml(xml: &mut String, step: Step, sequence: u32) {
    match step {
        Step::Provisional(status) => send(xml, &response(status, ""), ""),
        Step::EarlyMedia(status) => send(xml, &response(status, &description("sendrecv")), ""),
        Step::Pause(milliseconds) => {
            let _ = writeln!(xml, "<pause milliseconds=\"{milliseconds}\"/>");
        }
        Step::Answer => {
            send(xml, &response(200, &description("sendrecv")), " retrans=\"500\"");
            receive(xml, "ACK");
        }
        Step::AnswerRepeatedly => {
            for _ in 0..ANSWERS {
                send(xml, &response(200, &description("sendrecv")), "");
                receive(xml, "ACK");
            }
        }
        Step::Refuse(status) => {
            send(xml, &response(status, ""), " retrans=\"500\"");
            receive(xml, "ACK");
        }
        Step::ExpectCancel => {
            receive(xml, "CANCEL");
            send(xml, &accept(), "");
            send(xml, &response(487, ""), " retrans=\"500\"");
            receive(xml, "ACK");
        }
        Step::AnswerAcrossCancel | Step::AnswerAcrossCancelRouted => {
            receive(xml, "CANCEL");
            send(xml, &accept(), "");
            let answer = response(200, &description("sendrecv"));
            let answer =
                if matches!(step, Step::AnswerAcrossCancelRouted) { routed(&answer) } else { answer };
            send(xml, &answer, " retrans=\"500\"");
            receive(xml, "ACK");
        }
        Step::ExpectBye => {
            receive(xml, "BYE");
            send(xml, &accept(), "");
        }
        Step::HangUp => {
            send(xml, &request("BYE", sequence, ""), " retrans=\"500\"");
            let _ = writeln!(xml, "<recv response=\"200\"/>");
        }
        Step::Hold => {
            send(xml, &request("INVITE", sequence, &description("sendonly")), " retrans=\"500\"");
            let _ = writeln!(xml, "<recv response=\"100\" optional=\"true\"/>");
            let _ = writeln!(
                xml,
                "<recv response=\"200\"><action><ereg regexp=\"a=(recvonly|inactive)\" search_in=\"body\" \
                 check_it=\"true\" assign_to=\"held\"/></action></recv>\n<Reference variables=\"held\"/>"
            );
            send(xml, &request("ACK", sequence, ""), "");
        }
        Step::Request(method, status) => {
            send(xml, &request(method, sequence, ""), " retrans=\"500\"");
            let _ = writeln!(xml, "<recv response=\"{status}\"/>");
        }
    }
}

fn receive(xml: &mut String, method: &str) {
    let _ = writeln!(xml, "<recv request=\"{method}\"/>");
}

fn send(xml: &mut String, message: &str, attributes: &str) {
    let _ = writeln!(xml, "<send{attributes}><![CDATA[\n\n{message}\n]]></send>");
}

/// A response to the INVITE, whatever was received last.
fn response(status: u16, body: &str) -> String {
    let content = content(body);
    format!(
        "SIP/2.0 {status} Status\n[last_Via:]\nFrom:[$caller]\nTo:[$called];tag=party[pid][call_number]\n\
         [last_Call-ID:]\nCSeq: [$cseq] INVITE\n[last_Record-Route:]\n\
         Contact: <sip:party@[local_ip]:[local_port];transport=[transport]>\n{content}"
    )
}

/// The response with the ways of the INVITE, where the request received last was another: a CANCEL names no route,
/// and the nearest proxy alone in Via.
fn routed(response: &str) -> String {
    let response = response.replace("[last_Record-Route:]", "Record-Route:[$route]");
    response.replace("[last_Via:]", "Via:[$via]\nVia:[$below]")
}

/// 200 to the request received last.
fn accept() -> String {
    "SIP/2.0 200 OK\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n"
        .to_owned()
}

/// A request within the dialog.
fn request(method: &str, sequence: u32, body: &str) -> String {
    let content = content(body);
    format!(
        "{method} [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
         From:[$called];tag=party[pid][call_number]\nTo:[$caller]\n[last_Call-ID:]\n\
         CSeq: {sequence} {method}\nMax-Forwards: 70\nContact: <sip:party@[local_ip]:[local_port];transport=[transport]>\n{content}"
    )
}

fn content(body: &str) -> String {
    if body.is_empty() {
        return "Content-Length: 0\n".to_owned();
    }
    format!("Content-Type: application/sdp\nContent-Length: [len]\n\n{body}")
}

fn description(direction: &str) -> String {
    format!(
        "v=0\no=party 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\nm=audio [media_port] RTP/AVP 8 101\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na={direction}\n"
    )
}
