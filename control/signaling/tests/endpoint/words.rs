//! What a party may say to a message of ours: likely and unlikely answers, and requests of its own.

use duogate_signaling::message::{Message, Method};

use super::world::Tape;

/// Session descriptions, the good ones first.
pub(crate) const DESCRIPTIONS: &[&str] = &[
    "v=0\r\no=- 1 1 IN IP4 192.0.2.21\r\ns=-\r\nc=IN IP4 192.0.2.21\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 101\r\n\
     a=rtpmap:101 telephone-event/8000\r\n",
    "v=0\r\no=- 1 2 IN IP4 192.0.2.22\r\ns=-\r\nc=IN IP4 192.0.2.22\r\nt=0 0\r\nm=audio 40002 RTP/AVP 0\r\na=sendonly\r\n",
    "",
    "v=0\r\no=- 1 3 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 40002 RTP/AVP 8\r\n",
    "v=0\r\no=- 1 3 IN IP4 192.0.2.22\r\ns=-\r\nt=0 0\r\nm=video 40002 RTP/AVP 31\r\n",
    "nonsense",
];

const STATUSES: &[u16] = &[
    200, 180, 183, 100, 202, 300, 302, 400, 401, 407, 408, 420, 422, 423, 481, 486, 487, 488, 491, 500, 503,
    600, 199,
];

const METHODS: &[&str] = &[
    "BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "ACK", "CANCEL", "PRACK", "MESSAGE", "REFER", "NOTIFY",
    "STRANGE",
];

const TAGS: &[&str] = &["theirs", "fork", "third", "", "x"];

/// Header lines that may join any message.
const EXTRAS: &[&str] = &[
    "",
    "Contact: <sip:b@192.0.2.20:5060>\r\n",
    "Contact: <sip:b@party.example;transport=tcp>\r\n",
    "Contact: <sip:b@192.0.2.23;transport=tcp>;q=0.5, <sip:c@carrier.example>\r\n",
    "Contact: <sips:b@192.0.2.20>\r\n",
    "Contact: <tel:+49301234>\r\n",
    "Record-Route: <sip:192.0.2.24;lr>, <sip:proxy.example;lr>\r\nContact: <sip:b@192.0.2.20>\r\n",
    "Record-Route: <sip:192.0.2.24>\r\nContact: <sip:b@192.0.2.20>\r\n",
    "Require: 100rel\r\nRSeq: 1\r\n",
    "Require: 100rel\r\nRSeq: 4294967295\r\n",
    "Session-Expires: 90;refresher=uac\r\nAllow: UPDATE\r\n",
    "Session-Expires: 1;refresher=uas\r\nSupported: timer\r\n",
    "Min-SE: 2000\r\n",
    "Min-SE: 99999999999\r\n",
    "Retry-After: 1\r\n",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n",
    "Proxy-Authenticate: Digest realm=\"p\", nonce=\"m\", stale=true\r\nWWW-Authenticate: Basic realm=\"r\"\r\n",
    "Require: nothing\r\n",
    "Accept: text/plain\r\n",
    "Reason: SIP;cause=480;text=\"gone\"\r\n",
    "Content-Type: application/dtmf-relay\r\n",
    "RAck: 1 1 INVITE\r\n",
];

/// What a party makes of a message that we sent. None for what is no message.
pub(crate) fn reply(ours: &[u8], tape: &mut Tape<'_>) -> Option<Vec<u8>> {
    let message = Message::parse(ours).ok()?;
    match tape.octet() % 4 {
        0 | 1 if message.is_request() => Some(response(ours, tape)),
        2 | 3 => request(&message, tape),
        _ => Some(ours.to_vec()),
    }
}

/// The lines of a message of ours that begin so.
fn lines<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.split_inclusive("\r\n").filter(move |line| line.starts_with(name))
}

fn response(ours: &[u8], tape: &mut Tape<'_>) -> Vec<u8> {
    let text = String::from_utf8_lossy(ours);
    let mut out = format!("SIP/2.0 {} Whatever\r\n", tape.one(STATUSES));
    for name in ["Via:", "From:", "Call-ID:", "CSeq:"] {
        out.extend(lines(&text, name));
    }
    let to = lines(&text, "To:").next().unwrap_or_default().trim_end();
    let tag = tape.one(TAGS);
    if to.contains(";tag=") || tag.is_empty() {
        out += &format!("{to}\r\n");
    } else {
        out += &format!("{to};tag={tag}\r\n");
    }
    finish(out, tape)
}

fn request(ours: &Message<'_>, tape: &mut Tape<'_>) -> Option<Vec<u8>> {
    let method = tape.one(METHODS);
    let (us, them) = match ours.is_request() {
        true => (ours.from(), ours.to()),
        false => (ours.to(), ours.from()),
    };
    let branch = tape.octet() % 8;
    let number = tape.octet() % 8;
    let tag = tape.one(TAGS);
    let their_tag = them.tag().unwrap_or(tag);
    let target = us.uri.as_str();
    // An ACK or CANCEL of ours has no dialog of its own.
    let our_tag = us.tag().filter(|_| ours.method() != Method::Cancel)?;
    let out = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKp{branch}\r\nMax-Forwards: 70\r\n\
         From: <{}>;tag={their_tag}\r\nTo: <{target}>;tag={our_tag}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n",
        them.uri.as_str(),
        ours.call_id(),
    );
    Some(finish(out, tape))
}

fn finish(mut out: String, tape: &mut Tape<'_>) -> Vec<u8> {
    for _ in 0..=tape.octet() % 2 {
        out += tape.one(EXTRAS);
    }
    let body = tape.one(DESCRIPTIONS);
    if !body.is_empty() && !out.contains("Content-Type:") {
        out += "Content-Type: application/sdp\r\n";
    }
    out += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    out.into_bytes()
}

/// One edit: an octet changed, taken out or put in, or the end cut off.
pub(crate) fn spoil(message: &mut Vec<u8>, tape: &mut Tape<'_>) {
    if message.is_empty() {
        return;
    }
    let at = (usize::from(tape.octet()) << 8 | usize::from(tape.octet())) % message.len();
    match tape.octet() % 4 {
        0 => message[at] = tape.octet(),
        1 => drop(message.remove(at)),
        2 => message.insert(at, tape.octet()),
        _ => message.truncate(at),
    }
}
