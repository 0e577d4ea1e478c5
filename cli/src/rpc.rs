//! JSON-RPC over a WebSocket: requests, their answers, and the events in between.

use std::collections::VecDeque;
use std::io;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Failure;
use crate::screen::shown;
use crate::server::Server;

/// An open WebSocket.
pub(crate) struct Connection {
    authority: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    /// Events that came while an answer was awaited.
    events: VecDeque<Event>,
}

/// A notification.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// `ext.duo_callback.on_…`
    pub(crate) method: String,
    pub(crate) params: Value,
}

impl Event {
    /// The method without its prefix.
    pub(crate) fn name(&self) -> &str {
        self.method.rsplit('.').next().unwrap_or_default()
    }

    fn from_message(message: &Value) -> Option<Self> {
        let method = message.get("method")?.as_str()?.to_owned();
        Some(Self { method, params: message.get("params").cloned().unwrap_or(Value::Null) })
    }
}

/// The result in a response, or the failure that its error tells of.
pub(crate) fn result(mut response: Value) -> Result<Value, Failure> {
    if let Some(error) = response.get("error").filter(|error| !error.is_null()) {
        let message = shown(error["message"].as_str().unwrap_or("an error without a message"));
        let data = match &error["data"] {
            Value::Null => String::new(),
            data => format!(" {data}"),
        };
        return Err(Failure::Refused(format!("{message} ({}){data}", error["code"])));
    }
    match response.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(Failure::Refused("the answer has neither result nor error".to_owned())),
    }
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Result<Self, Failure> {
        let failed = |error| failure(&server.authority, error);
        let mut request = format!("ws://{}/rpc", server.authority).into_client_request().map_err(failed)?;
        if let Some(token) = &server.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::Usage("the token has characters that no token has".to_owned()))?;
            request.headers_mut().insert("Authorization", value);
        }
        let (socket, _) = connect_async(request).await.map_err(failed)?;
        Ok(Self { authority: server.authority.clone(), socket, last_id: 0, events: VecDeque::new() })
    }

    /// Calls a method and waits for its answer; events that come first are kept.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let sent = self.socket.send(Message::text(request.to_string())).await;
        sent.map_err(|error| failure(&self.authority, error))?;
        loop {
            let message = self.message().await?;
            match Event::from_message(&message) {
                Some(event) => self.events.push_back(event),
                None if message["id"] == json!(id) => return result(message),
                None => {}
            }
        }
    }

    /// The next event. Dropping this before it is done loses nothing.
    pub(crate) async fn event(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let message = self.message().await?;
            self.events.extend(Event::from_message(&message));
        }
    }

    async fn message(&mut self) -> Result<Value, Failure> {
        loop {
            let message = self.socket.next().await.unwrap_or(Err(Error::ConnectionClosed));
            match message.map_err(|error| failure(&self.authority, error))? {
                Message::Text(text) => {
                    return serde_json::from_str(&text)
                        .map_err(|_| Failure::Refused(format!("{} does not speak JSON", self.authority)));
                }
                Message::Close(_) => return Err(failure(&self.authority, Error::ConnectionClosed)),
                _ => {}
            }
        }
    }
}

fn failure(authority: &str, error: Error) -> Failure {
    let source = match error {
        Error::Io(source) => source,
        Error::Http(response) if response.status() == 401 => {
            let needed = "a token is needed, or the one given is not known (--token or DUOGATE_TOKEN)";
            return Failure::Refused(format!("{authority} refuses: {needed}"));
        }
        other => io::Error::other(other),
    };
    Failure::Unreachable { address: authority.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_events_are_told_apart() {
        assert_eq!(result(json!({"id": 1, "result": {"a": 1}})).unwrap()["a"], 1);
        let error = json!({"id": 1, "error": {"code": -32602, "message": "bad \u{1b}x", "data": {"parameter": "to1_uri"}}});
        let message = result(error).unwrap_err().to_string();
        assert_eq!(message, "bad \u{fffd}x (-32602) {\"parameter\":\"to1_uri\"}");
        assert!(result(json!({"id": 1})).is_err());
        let event =
            Event::from_message(&json!({"method": "ext.duo_callback.on_connected", "params": {}})).unwrap();
        assert_eq!(event.name(), "on_connected");
        assert!(Event::from_message(&json!({"id": 1, "result": 1})).is_none());
    }
}
