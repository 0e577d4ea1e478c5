//! The real control plane, with a folder and ports of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::gateway::{FakeGateway, Sounds};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane, and a gateway that it is attached to.
pub(crate) struct Node {
    pub(crate) folder: TempDir,
    pub(crate) http: u16,
    process: Option<Child>,
    gateway: Option<FakeGateway>,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Calls again until it gives something, or fails the test.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Node {
    /// With the usual configuration.
    pub(crate) fn start() -> Self {
        Self::start_with("", "")
    }

    /// With more lines in `[http]`, and more sections (not `[http]`, not `[sip]`).
    pub(crate) fn start_with(http: &str, sections: &str) -> Self {
        let mut node = Self::prepare(http, sections);
        node.start_gateway();
        node.start_control();
        node.wait_until_ready();
        node
    }

    /// Everything but the processes.
    pub(crate) fn prepare(more: &str, sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        // T1 of 50 ms: a party that does not answer is given up after 3.2 s.
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:{http}\"\n{more}\n[sip]\nlisten = [\"udp:127.0.0.1:{sip}\"]\n\
             t1_milliseconds = 50\n{sections}"
        );
        std::fs::write(folder.path().join("duogate.toml"), text).unwrap();
        Self { folder, http, process: None, gateway: None }
    }

    pub(crate) fn start_gateway(&mut self) {
        self.gateway = Some(FakeGateway::start(&self.folder.path().join("run/gateway.sock")));
    }

    /// What the gateway has to play.
    pub(crate) fn sounds(&self) -> MutexGuard<'_, Sounds> {
        self.gateway.as_ref().unwrap().sounds()
    }

    pub(crate) fn stop_gateway(&mut self) {
        self.gateway = None;
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_duogate-control"));
        command.arg("--config").arg(self.folder.path().join("duogate.toml"));
        command
    }

    pub(crate) fn start_control(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    fn log_file(&self) -> std::path::PathBuf {
        self.folder.path().join("control.log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill_control(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        let id = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = until("the control plane ends", || process.try_wait().unwrap());
        status.code()
    }

    pub(crate) fn wait_until_ready(&self) {
        until("the control plane is ready", || {
            self.try_request("GET", "/readyz", "", "").filter(|answer| answer.status == 200)
        });
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn try_request(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Response> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        // A server that refuses a large body may close before it has read all of it.
        let _ = stream.write_all(text.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some(Response { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// One HTTP request. `headers` are whole lines.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}; log:\n{}", self.log()))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, "", "")
    }

    pub(crate) fn post(&self, body: &str) -> Response {
        self.request("POST", "/rpc", "Content-Type: application/json\r\n", body)
    }

    /// One call: its result, or its error object.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(&request.to_string()).json();
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"].clone()),
        }
    }

    pub(crate) fn construct(&self, params: &Value) -> Result<Value, Value> {
        self.call("ext.duo_callback.construct", params)
    }

    /// Looks at a resource until it is in a state.
    pub(crate) fn wait_for_state(&self, res_id: &str, state: &str) -> Value {
        until(&format!("{res_id} is {state}"), || {
            let view = self.call("ext.duo_callback.get", &json!([res_id])).unwrap();
            (view["state"] == state).then_some(view)
        })
    }

    pub(crate) fn websocket(&self) -> Socket {
        let stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{}/rpc", self.http), stream).unwrap();
        Socket { socket, events: Vec::new() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A WebSocket.
pub(crate) struct Socket {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) events: Vec<Value>,
}

impl Socket {
    fn read(&mut self) -> Value {
        self.socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Sends a text as it is and gives the message that comes next.
    pub(crate) fn text(&mut self, text: &str) -> Value {
        self.socket.send(Message::text(text)).unwrap();
        self.read()
    }

    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": "call", "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let message = self.read();
            if message["id"] == "call" {
                return message;
            }
            self.events.push(message);
        }
    }

    /// All events up to the first of this method.
    pub(crate) fn events_until(&mut self, method: &str) -> Vec<Value> {
        loop {
            if let Some(place) = self.events.iter().position(|event| event["method"] == method) {
                return self.events.drain(..=place).collect();
            }
            let message = self.read();
            self.events.push(message);
        }
    }
}

/// Writes a 16-bit WAV of a tone.
pub(crate) fn write_wav(path: &Path, rate: u32, channels: u16, bits: u16, frames: u32) {
    let specification = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: bits,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, specification).unwrap();
    for frame in 0..frames {
        for _ in 0..channels {
            let sample = i32::try_from(frame % 40).unwrap() * 100;
            writer.write_sample(if bits == 8 { sample / 100 } else { sample }).unwrap();
        }
    }
    writer.finalize().unwrap();
}
