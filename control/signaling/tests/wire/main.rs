//! The wire: messages, session descriptions and transactions, by their public faces.

mod answers;
mod network;
mod parsing;
mod printing;
mod properties;
mod sdp;
mod torture;
mod transactions;
mod uris;

/// Turns the line ends of a readable test message into those of the wire.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// A message with these start line and headers, the six that every message needs added, and a body.
fn message(start: &str, extra: &str, body: &str) -> Vec<u8> {
    let method = match start.starts_with("SIP/") {
        true => "INVITE",
        false => start.split(' ').next().unwrap_or_default(),
    };
    wire(&format!(
        "{start}\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest;rport\nMax-Forwards: 70\n\
         From: <sip:a@192.0.2.1>;tag=from1\nTo: <sip:b@192.0.2.2>\nCall-ID: call-1@192.0.2.1\n\
         CSeq: 7 {method}\n{extra}Content-Length: {}\n\n{body}",
        body.replace('\n', "\r\n").len()
    ))
}
