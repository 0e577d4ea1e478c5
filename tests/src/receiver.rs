//! A webhook: an HTTP server that takes events, or does not.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// How it behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Answers with this status.
    Status(u16),
    /// Accepts the connection, reads, and never answers.
    Silent,
}

#[derive(Default)]
struct Shared {
    events: Mutex<Vec<Value>>,
    tries: AtomicU16,
    manner: AtomicU16,
    over: AtomicBool,
}

/// The webhook. It ends when dropped.
pub struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on a port of 127.0.0.1.
    ///
    /// # Panics
    /// If the port is taken.
    #[must_use]
    pub fn start_on(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port for the webhook");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let mut receiver = Self { port, shared, thread: None };
        receiver.behave(manner);
        receiver.thread = Some(std::thread::spawn(move || serve(&listener, &theirs)));
        receiver
    }

    /// The same on a free port.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        Self::start_on(0, manner)
    }

    /// Behaves differently from now on.
    pub fn behave(&self, manner: Manner) {
        let number = match manner {
            Manner::Status(status) => status,
            Manner::Silent => 0,
        };
        self.shared.manner.store(number, Ordering::Release);
    }

    /// For `callback_url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// The events that it took, in the order of arrival.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.shared.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often somebody tried, taken or not.
    #[must_use]
    pub fn tries(&self) -> u16 {
        self.shared.tries.load(Ordering::Acquire)
    }

    /// The events of one resource that it took: method and `seq`.
    #[must_use]
    pub fn taken(&self, res_id: &str) -> Vec<(String, u64)> {
        let events = self.events().into_iter().filter(|event| event["params"]["res_id"] == res_id);
        let named = events.map(|event| {
            let method = event["method"].as_str().unwrap_or_default().to_owned();
            (method, event["params"]["seq"].as_u64().unwrap_or(0))
        });
        named.collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // Wakes the thread from its accept.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.over.load(Ordering::Acquire) {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || converse(stream, &shared));
    }
}

/// Serves one connection until it ends.
fn converse(stream: TcpStream, shared: &Shared) {
    // So that the thread ends soon after its owner.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let Ok(mut answers) = stream.try_clone() else { return };
    let mut requests = BufReader::new(stream);
    while let Some(body) = request(&mut requests) {
        if shared.over.load(Ordering::Acquire) {
            return;
        }
        shared.tries.fetch_add(1, Ordering::AcqRel);
        let status = shared.manner.load(Ordering::Acquire);
        if status == 0 {
            continue;
        }
        if (200..300).contains(&status) {
            let event = serde_json::from_slice(&body).unwrap_or(Value::Null);
            shared.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
        let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n\r\n");
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The body of the next request.
fn request(requests: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    requests.read_exact(&mut body).ok()?;
    Some(body)
}
