//! Kamailio as the neighbor that carriers often are: a proxy that asks for credentials, stays in the route of every
//! dialog, changes between transports, and forks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::ports;
use crate::process::{POLL, Process};

pub use duogate_configuration::Transport;

/// Where Debian puts Kamailio's modules, by architecture.
const MODULES: &str =
    "/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/";

/// Whom it knows: the realm, and the password of everybody.
pub const REALM: &str = "kamailio.example";
/// As above.
pub const PASSWORD: &str = "a good password";

/// What the proxy does with calls.
#[derive(Clone, Debug)]
pub struct Manner {
    /// How digests are made: `MD5` or `SHA-256`.
    pub algorithm: &'static str,
    /// Is each nonce good for one request alone? Then every request is challenged, `stale` from the second on.
    pub one_time: bool,
    /// Calls of the user `fork` go to all of these URIs at once.
    pub fork: Vec<String>,
}

impl Default for Manner {
    fn default() -> Self {
        Self { algorithm: "MD5", one_time: false, fork: Vec::new() }
    }
}

/// A Kamailio on free ports of loopback.
pub struct Kamailio {
    port: u16,
    tls_port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Kamailio {
    /// Starts it and waits until it takes calls over UDP, TCP and, with certificates, TLS.
    ///
    /// # Panics
    /// If Kamailio is not installed or does not start; the panic shows its log.
    #[must_use]
    pub fn start(manner: &Manner, certificates: Option<&Certificates>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (port, tls_port) = (ports::free_port(), ports::free_tcp_port());
        let text = configuration(port, tls_port, manner, certificates);
        fs::write(folder.path().join("kamailio.cfg"), text).expect("a file in the temporary folder");
        let mut kamailio = Self { port, tls_port, folder, process: None };
        kamailio.start_again();
        kamailio
    }

    /// Starts it (again), on the same ports.
    ///
    /// # Panics
    /// As [`Kamailio::start`].
    pub fn start_again(&mut self) {
        let folder = self.folder.path();
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
        let log = log.expect("a file in the temporary folder");
        let errors = log.try_clone().expect("a second handle of the log file");
        let mut command = Command::new("/usr/sbin/kamailio");
        command.args(["-DD", "-E", "-m", "32", "-M", "4", "-f"]).arg(folder.join("kamailio.cfg"));
        command.arg("-Y").arg(folder).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.process = Some(Process::start("kamailio", &mut command));
        self.wait_until_bound();
    }

    /// Ends it; who sends to it afterwards hears nothing.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Killed, it would leave its children behind.
        process.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }

    /// The sockets of streams are bound after those of datagrams.
    fn wait_until_bound(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none() && Instant::now() < deadline, "kamailio did not start:\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }

    /// `HOST:PORT` for that transport.
    #[must_use]
    pub fn address(&self, transport: Transport) -> String {
        format!("127.0.0.1:{}", if transport == Transport::Tls { self.tls_port } else { self.port })
    }

    /// The lines of a trunk that goes through it, beside name and hosts.
    #[must_use]
    pub fn trunk(&self, transport: Transport) -> [String; 4] {
        [
            format!("proxy = \"{}\"", self.address(transport)),
            format!("transport = \"{}\"", transport.name()),
            "username = \"duogate\"".to_owned(),
            format!("password = \"{PASSWORD}\""),
        ]
    }

    /// What it printed: one line `seen METHOD …` for each request.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many requests it saw of which the line contains this, repetitions not counted.
    #[must_use]
    pub fn saw(&self, part: &str) -> usize {
        let log = self.log();
        let seen = log.lines().filter_map(|line| line.split_once("seen ")).map(|(_, seen)| seen);
        seen.filter(|line| line.contains(part)).collect::<BTreeSet<&str>>().len()
    }

    /// Waits until it has seen so many requests of which the line contains this.
    ///
    /// # Panics
    /// If it does not see them in time; the panic shows its log.
    pub fn demand(&self, part: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(8);
        while self.saw(part) != count {
            assert!(Instant::now() < deadline, "not {count} of {part:?}:\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(port: u16, tls_port: u16, manner: &Manner, certificates: Option<&Certificates>) -> String {
    let mut text = format!(
        "debug=1\nlog_stderror=yes\nchildren=1\ntcp_children=1\nauto_aliases=no\ndns=no\nmpath=\"{MODULES}\"\n\
         listen=udp:127.0.0.1:{port}\nlisten=tcp:127.0.0.1:{port}\n"
    );
    let modules = "corex tm tmx sl rr pv maxfwd textops siputils auth usrloc registrar xlog";
    if let Some(certificates) = certificates {
        let Certificates { certificate, key, authority, .. } = certificates;
        let (certificate, key, authority) = (certificate.display(), key.display(), authority.display());
        let _ = write!(
            text,
            "enable_tls=yes\nlisten=tls:127.0.0.1:{tls_port}\nloadmodule \"tls.so\"\n\
             modparam(\"tls\", \"certificate\", \"{certificate}\")\n\
             modparam(\"tls\", \"private_key\", \"{key}\")\nmodparam(\"tls\", \"ca_list\", \"{authority}\")\n\
             modparam(\"tls\", \"verify_certificate\", 1)\nmodparam(\"tls\", \"require_certificate\", 1)\n\
             modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n"
        );
    }
    for module in modules.split(' ') {
        let _ = writeln!(text, "loadmodule \"{module}.so\"");
    }
    let Manner { algorithm, one_time, fork } = manner;
    let counted = if *one_time { "one_time_nonce" } else { "nonce_count" };
    let _ = writeln!(
        text,
        "modparam(\"auth\", \"algorithm\", \"{algorithm}\")\nmodparam(\"auth\", \"{counted}\", 1)\n\
         modparam(\"registrar\", \"min_expires\", 60)"
    );
    // An empty block is a mistake to Kamailio.
    let mut branches = "setflag(1);\n".to_owned();
    for (place, uri) in fork.iter().enumerate() {
        let _ = match place {
            0 => writeln!(branches, "$ru = \"{uri}\";"),
            _ => writeln!(branches, "append_branch(\"{uri}\");"),
        };
    }
    text + &ROUTES.replace("REALM", REALM).replace("PASSWORD", PASSWORD).replace("BRANCHES", &branches)
}

/// What is done with each request. BYE of Duogate is challenged, too: carriers differ in that.
const ROUTES: &str = r#"
request_route {
    xlog("L_ERR", "seen $rm from $proto expires=$hdr(Expires) cseq=$cs $ru $ci\n");
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (has_totag()) {
        if (loose_route()) {
            if (is_method("BYE|UPDATE") && $fU == "duogate") { route(CREDENTIALS); }
            t_relay();
            exit;
        }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not Here");
        exit;
    }
    t_check_trans();
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("REALM", "PASSWORD", "0")) { www_challenge("REALM", "1"); exit; }
        save("location");
        exit;
    }
    if ($rd =~ "\.example$") { $rd = "127.0.0.1"; }
    if (!is_method("INVITE")) { sl_send_reply("405", "Method Not Allowed"); exit; }
    route(CREDENTIALS);
    record_route();
    if ($rU == "fork") { BRANCHES }
    t_relay();
}

route[CREDENTIALS] {
    if (!pv_proxy_authenticate("REALM", "PASSWORD", "0")) { proxy_challenge("REALM", "1"); exit; }
    consume_credentials();
}
"#;
