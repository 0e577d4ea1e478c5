//! As much of an HTTP client as one needs who asks his own server a question: one connection a request.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Failure;
use crate::server::Server;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks, and returns what was answered, whatever its status.
pub(crate) async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, Failure> {
    let answer = timeout(PATIENCE, exchange(server, method, path, body)).await;
    let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answer.map_err(|source| Failure::Unreachable { address: server.authority.clone(), source })
}

/// Asks, and returns the answer's JSON; any status but success is a failure.
pub(crate) async fn get(server: &Server, method: &str, path: &str) -> Result<Value, Failure> {
    let answer = ask(server, method, path, None).await?;
    if (200..300).contains(&answer.status) { Ok(answer.json()) } else { Err(refused(server, &answer)) }
}

/// The failure that an answer tells of.
pub(crate) fn refused(server: &Server, answer: &Answer) -> Failure {
    let reason = match answer.status {
        401 => "a token is needed, or the one given is not known (--token or DUOGATE_TOKEN)".to_owned(),
        403 => "the token lacks the right".to_owned(),
        status => {
            let text = answer.text();
            let line = crate::screen::shown(text.lines().next().unwrap_or_default());
            format!("status {status} {line}")
        }
    };
    Failure::Refused(format!("{} refuses: {reason}", server.authority))
}

/// Calls a JSON-RPC method.
pub(crate) async fn rpc(server: &Server, method: &str, params: &Value) -> Result<Value, Failure> {
    let request = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = ask(server, "POST", "/rpc", Some(&request)).await?;
    if answer.status != 200 {
        return Err(refused(server, &answer));
    }
    crate::rpc::result(answer.json())
}

async fn exchange(server: &Server, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut request =
        format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n", server.authority);
    if let Some(token) = &server.token {
        request += &format!("Authorization: Bearer {token}\r\n");
    }
    if !body.is_empty() {
        request += "Content-Type: application/json\r\n";
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(&server.authority).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// HTTP/1.0: the body lasts until the connection closes.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let line = str::from_utf8(&answer[..end]).ok()?.lines().next()?;
    let status = line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: answer[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = parse(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{\"a\": 1}").unwrap();
        assert_eq!((answer.status, answer.json()["a"].as_u64()), (503, Some(1)));
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_none());
    }
}
