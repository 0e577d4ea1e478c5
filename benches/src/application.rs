//! The application that asks for callbacks: a few kept-alive HTTP connections, one JSON-RPC request after the other,
//! paced by the clock and not by the answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::clock;
use crate::process::remark;

/// Connections for this many callbacks a second, at least [`CONNECTIONS`]: enough that one answer in a while may be slow
/// without holding up the next request.
const RATE_OF_A_CONNECTION: u32 = 50;
const CONNECTIONS: u32 = 16;

/// What is to be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Duogate's HTTP port.
    pub http: u16,
    /// The SIP ports of the parties.
    pub parties: [u16; 2],
    /// How many callbacks.
    pub calls: u32,
    /// How many a second.
    pub rate: u32,
}

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Which callback: a number that stands in both parties' URIs.
    pub number: u32,
    /// Wall-clock nanoseconds just before the request was written.
    pub left: u64,
    /// Nanoseconds until its answer was read.
    pub took: u64,
    /// The answer was a result.
    pub accepted: bool,
    /// The answer says when to try again.
    pub later: bool,
}

fn connect(http: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, http))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

/// A GET request on a connection of its own: status and body.
///
/// # Errors
/// The system's, and an answer that is not HTTP.
pub fn get(http: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(http)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    answer(&mut stream)
}

/// Asks for all callbacks, each at its time.
///
/// # Errors
/// The system's.
pub fn construct_all(order: Order) -> io::Result<Vec<Asked>> {
    let next = AtomicU32::new(0);
    let start = clock::monotonic();
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let connections = (order.rate / RATE_OF_A_CONNECTION).max(CONNECTIONS);
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(|| ask(order, &next, start))).collect();
        for thread in threads {
            let asked =
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a connection's thread died")))?;
            all.extend(asked);
        }
        Ok(all)
    })
}

/// One connection: takes the next callback that nobody has taken, waits for its time, asks for it.
fn ask(order: Order, next: &AtomicU32, start: u64) -> io::Result<Vec<Asked>> {
    let mut stream = connect(order.http)?;
    let mut asked = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= order.calls {
            return Ok(asked);
        }
        let due = start + u64::from(number) * 1_000_000_000 / u64::from(order.rate.max(1));
        let early = due.saturating_sub(clock::monotonic());
        std::thread::sleep(Duration::from_nanos(early));
        let request = request(order, number);
        let (left, began) = (clock::wall(), clock::monotonic());
        stream.write_all(request.as_bytes())?;
        let (status, body) = answer(&mut stream)?;
        let took = clock::monotonic() - began;
        let accepted = status == 200 && body.contains("\"result\"");
        let later = body.contains("retry_after_seconds");
        if !accepted && !later {
            remark(&format!("callback {number} was refused: {status} {body}"));
        }
        asked.push(Asked { number, left, took, accepted, later });
    }
}

fn request(order: Order, number: u32) -> String {
    let [first, second] = order.parties;
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{number},\"method\":\"ext.duo_callback.construct\",\"params\":{{\
         \"from1_uri\":\"sip:rig@127.0.0.1\",\"to1_uri\":\"sip:a{number}@127.0.0.1:{first}\",\
         \"from2_uri\":\"sip:rig@127.0.0.1\",\"to2_uri\":\"sip:b{number}@127.0.0.1:{second}\",\
         \"user_data\":\"{number}\"}}}}"
    );
    format!(
        "POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one HTTP answer with a Content-Length.
fn answer(stream: &mut TcpStream) -> io::Result<(u16, String)> {
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer");
    let mut bytes = Vec::with_capacity(1024);
    let mut buffer = [0; 16_384];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            return Ok((status.ok_or_else(strange)?, body.to_owned()));
        }
    }
}
