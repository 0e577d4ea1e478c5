//! A look at the wire: when which INVITE and which answer passed, by the kernel's clock. Needs CAP_NET_RAW.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use crate::clock;
use crate::datagrams::{BATCH, Inbox, receive_queue, timestamps};

/// When the messages of one callback passed first, in wall-clock nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sighting {
    /// INVITE to party 1.
    pub first_invite: Option<u64>,
    /// Party 1's 200.
    pub first_answer: Option<u64>,
    /// INVITE to party 2.
    pub second_invite: Option<u64>,
}

/// What a datagram was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Passed {
    FirstInvite(u32),
    FirstAnswer(u32),
    SecondInvite(u32),
}

/// A socket that sees all UDP datagrams of this host.
///
/// # Errors
/// No right to one.
pub fn open() -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::UDP))?;
    receive_queue(&socket)?;
    timestamps(&socket)?;
    Ok(socket)
}

/// Watches until `done`, for messages between Duogate's SIP port and the parties'.
///
/// # Errors
/// The system's.
pub fn watch(
    socket: &OwnedFd,
    sip: u16,
    parties: [u16; 2],
    done: &AtomicBool,
) -> io::Result<HashMap<u32, Sighting>> {
    let mut seen: HashMap<u32, Sighting> = HashMap::new();
    let mut inbox = Inbox::new();
    while !done.load(Ordering::Relaxed) {
        let count = inbox.receive(socket, |arrival| {
            let Some(passed) = recognize(arrival.bytes, sip, parties) else { return };
            let (Passed::FirstInvite(number) | Passed::FirstAnswer(number) | Passed::SecondInvite(number)) =
                passed;
            let sighting = seen.entry(number).or_default();
            let place = match passed {
                Passed::FirstInvite(_) => &mut sighting.first_invite,
                Passed::FirstAnswer(_) => &mut sighting.first_answer,
                Passed::SecondInvite(_) => &mut sighting.second_invite,
            };
            // The first one counts; later ones are retransmissions.
            *place = place.or(arrival.time);
        })?;
        if count < BATCH {
            clock::sleep_microseconds(2_000);
        }
    }
    Ok(seen)
}

/// An IPv4 packet with a UDP datagram in it.
fn recognize(packet: &[u8], sip: u16, parties: [u16; 2]) -> Option<Passed> {
    let header = usize::from(packet.first()? & 15) * 4;
    let (udp, message) = packet.get(header..)?.split_first_chunk::<8>()?;
    let from = u16::from_be_bytes([udp[0], udp[1]]);
    let to = u16::from_be_bytes([udp[2], udp[3]]);
    if from == sip && message.starts_with(b"INVITE ") {
        if to == parties[0] {
            return number(message, "sip:a").map(Passed::FirstInvite);
        }
        if to == parties[1] {
            return number(message, "sip:b").map(Passed::SecondInvite);
        }
    }
    let answers_invite = from == parties[0] && to == sip && message.starts_with(b"SIP/2.0 200");
    if answers_invite && find(message, b" INVITE\r\n").is_some() {
        let to_header = find(message, b"\r\nTo:")?;
        return number(&message[to_header..], "sip:a").map(Passed::FirstAnswer);
    }
    None
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The callback's number behind `prefix`.
fn number(message: &[u8], prefix: &str) -> Option<u32> {
    let start = find(message, prefix.as_bytes())? + prefix.len();
    let rest = &message[start..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(from: u16, to: u16, message: &str) -> Vec<u8> {
        let mut packet = vec![0x45; 20];
        packet.extend_from_slice(&from.to_be_bytes());
        packet.extend_from_slice(&to.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(message.as_bytes());
        packet
    }

    #[test]
    fn invites_and_the_answer_are_recognized_and_nothing_else() {
        let parties = [6000, 7000];
        let see = |from, to, message| recognize(&packet(from, to, message), 5060, parties);
        let invite = "INVITE sip:a17@127.0.0.1:6000 SIP/2.0\r\n";
        assert_eq!(see(5060, 6000, invite), Some(Passed::FirstInvite(17)));
        assert_eq!(see(5061, 6000, invite), None);
        assert_eq!(see(5060, 7000, "INVITE sip:b9@h SIP/2.0\r\n"), Some(Passed::SecondInvite(9)));
        let answer = "SIP/2.0 200 OK\r\nFrom: <sip:rig@h>\r\nTo: <sip:a17@h>;tag=1\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(see(6000, 5060, answer), Some(Passed::FirstAnswer(17)));
        assert_eq!(see(6000, 5060, &answer.replace("INVITE", "BYE")), None);
        assert_eq!(recognize(&[0x45], 5060, parties), None);
    }
}
