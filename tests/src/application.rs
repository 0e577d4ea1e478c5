//! An application that asks for callbacks: JSON-RPC over a WebSocket, with the events that come back.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client};

/// How long an answer to a request may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A WebSocket to the control plane.
pub struct Application {
    socket: WebSocket<TcpStream>,
    next_id: u64,
    events: VecDeque<Event>,
}

/// One event as it came: the method without its `ext.duo_callback.`, and its parameters.
#[derive(Clone, Debug)]
pub struct Event {
    /// The name, such as `on_released`.
    pub name: String,
    /// All of its fields.
    pub fields: Value,
}

/// An error answer of the JSON-RPC interface.
#[derive(Clone, Debug)]
pub struct RpcError {
    /// The JSON-RPC code.
    pub code: i64,
    /// The text for people.
    pub message: String,
    /// `data`, with at least a `reason`.
    pub data: Value,
}

impl Application {
    /// Connects to `GET /rpc`.
    ///
    /// # Panics
    /// If the control plane does not accept the WebSocket.
    #[must_use]
    pub fn connect(http_port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", http_port)).expect("the HTTP port accepts");
        stream.set_nodelay(true).expect("a TCP option");
        let (socket, _) =
            client(format!("ws://127.0.0.1:{http_port}/rpc"), stream).expect("a WebSocket at /rpc");
        Self { socket, next_id: 1, events: VecDeque::new() }
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// The error that the control plane answered.
    ///
    /// # Panics
    /// If no answer comes in time.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).expect("the WebSocket takes a request");
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let answer = self.read(deadline).unwrap_or_else(|| panic!("no answer to {method} {params}"));
            if answer["id"] != json!(id) {
                self.keep(&answer);
                continue;
            }
            assert_eq!(answer["jsonrpc"], "2.0", "every answer names its protocol: {answer}");
            return match answer.get("error") {
                Some(error) => Err(RpcError {
                    code: error["code"].as_i64().expect("an error has a code"),
                    message: error["message"].as_str().expect("an error has a message").to_owned(),
                    data: error["data"].clone(),
                }),
                None => Ok(answer["result"].clone()),
            };
        }
    }

    /// Constructs a callback and gives its resource id.
    ///
    /// # Panics
    /// If it is refused.
    pub fn construct(&mut self, params: &Value) -> String {
        let result = self
            .call("ext.duo_callback.construct", params)
            .unwrap_or_else(|error| panic!("construct {params} was refused: {error:?}"));
        result["res_id"].as_str().unwrap_or_else(|| panic!("no res_id in {result}")).to_owned()
    }

    /// Calls a method of one resource.
    ///
    /// # Errors
    /// The error that the control plane answered.
    pub fn resource(&mut self, method: &str, res_id: &str) -> Result<Value, RpcError> {
        self.call(&format!("ext.duo_callback.{method}"), &json!({"res_id": res_id}))
    }

    /// The next event, if one comes within `limit`.
    pub fn next_event(&mut self, limit: Duration) -> Option<Event> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let message = self.read(deadline)?;
            self.keep(&message);
        }
    }

    /// Reads events up to and with the first of this name, and gives all of them.
    ///
    /// # Panics
    /// If it does not come within `limit`; the panic lists what came.
    pub fn events_until(&mut self, name: &str, limit: Duration) -> Vec<Event> {
        let deadline = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            let Some(event) = self.next_event(deadline.saturating_duration_since(Instant::now())) else {
                panic!("no {name} within {limit:?}; came: {seen:#?}");
            };
            let found = event.name == name;
            seen.push(event);
            if found {
                return seen;
            }
        }
    }

    /// Asks for the events of all resources, those included that nobody has collected.
    ///
    /// # Panics
    /// If that is refused.
    pub fn subscribe_all(&mut self) {
        self.call("sys.subscribe", &json!({"resources": "all"})).expect("anybody may subscribe");
    }

    /// After the end of the server: all events that had come and were not read.
    #[must_use]
    pub fn rest(&mut self) -> Vec<Event> {
        while let Ok(message) = self.socket.read() {
            if let Message::Text(text) = message {
                self.keep(&serde_json::from_str(&text).expect("the server sends JSON"));
            }
        }
        self.events.drain(..).collect()
    }

    fn keep(&mut self, message: &Value) {
        let Some(method) = message["method"].as_str() else {
            panic!("neither the answer waited for nor an event: {message}");
        };
        let name = method.strip_prefix("ext.duo_callback.").unwrap_or(method).to_owned();
        self.events.push_back(Event { name, fields: message["params"].clone() });
    }

    fn read(&mut self, deadline: Instant) -> Option<Value> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.get_ref().set_read_timeout(Some(left)).expect("a TCP option");
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(&text).expect("the server sends JSON"));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return None;
                }
                Err(error) => panic!("the WebSocket broke: {error}"),
            }
        }
    }
}
