//! A party that answers every call in one way.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it does with an INVITE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 486.
    Busy,
    /// 180, and 487 when it is cancelled.
    Rings,
    /// 200 with an answer.
    Answers,
}

/// Listens until it is dropped.
pub(crate) struct Party {
    port: u16,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Party {
    pub(crate) fn start(manner: Manner) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || serve(&socket, manner, &ended));
        Self { port, end, thread: Some(thread) }
    }

    /// Its URI.
    pub(crate) fn uri(&self) -> String {
        format!("sip:party@127.0.0.1:{}", self.port)
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(socket: &UdpSocket, manner: Manner, end: &AtomicBool) {
    let port = socket.local_addr().unwrap().port();
    let mut invite = String::new();
    let mut buffer = [0; 4_096];
    while !end.load(Ordering::Relaxed) {
        let Ok((length, source)) = socket.recv_from(&mut buffer) else { continue };
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let method = request.split(' ').next().unwrap();
        let send = |response: String| {
            socket.send_to(response.as_bytes(), source).unwrap();
        };
        match (method, manner) {
            ("INVITE", Manner::Busy) => send(response(&request, "486 Busy Here", port, "")),
            ("INVITE", Manner::Rings) => {
                send(response(&request, "180 Ringing", port, ""));
                invite = request;
            }
            ("INVITE", Manner::Answers) => send(response(&request, "200 OK", port, &answer())),
            ("CANCEL", _) => {
                send(response(&request, "200 OK", port, ""));
                send(response(&invite, "487 Request Terminated", port, ""));
            }
            ("ACK", _) => {}
            _ => send(response(&request, "200 OK", port, "")),
        }
    }
}

fn answer() -> String {
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 45000 RTP/AVP 8\r\n\
     a=rtpmap:8 PCMA/8000\r\n"
        .to_owned()
}

/// A response with the headers that the request must find in it again.
fn response(request: &str, status: &str, port: u16, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines() {
        let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        if ["via", "from", "call-id", "cseq"].contains(&name.as_str()) {
            text += &format!("{line}\r\n");
        } else if name == "to" {
            let tag = if line.contains(";tag=") { "" } else { ";tag=party" };
            text += &format!("{line}{tag}\r\n");
        } else if line.is_empty() {
            break;
        }
    }
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text + &format!("Contact: <sip:party@127.0.0.1:{port}>\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
