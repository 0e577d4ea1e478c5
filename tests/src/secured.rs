//! A called party that speaks SRTP (RFC 3711, keys by RFC 4568), and watches what it hears as an attacker would: with a
//! stream cipher, no packet index may ever come twice under one key.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use duogate_channel::srtp::{Master, Suite};
use duogate_srtp::{Incoming, Outgoing};

const PACKET_TIME: Duration = Duration::from_millis(20);

/// Octets of sound in a packet, the number of the packet among them.
const SOUND: usize = 160;

/// The highest number of its first stream is reached after so many packets: the rollover counter counts then.
const BEFORE_ROLLOVER: u16 = 100;

/// Packets that are sent again in a millisecond.
const REPLAYS: usize = 5;

/// What it has heard.
#[derive(Clone, Default, Debug)]
pub struct Hearing {
    /// Packets that were authentic.
    pub packets: u64,
    /// Packets that were not, or came again.
    pub refused: u64,
    /// Packets whose index had been there before, under the same key and with the same SSRC.
    pub reused: u64,
    /// Packets of the other party whose sound had been heard before.
    pub repeated: u64,
    /// Packets that were not of the other party.
    pub strange: u64,
    /// The streams, in their order.
    pub streams: Vec<u32>,
    /// The longest time between two packets.
    pub longest_gap: Duration,
    /// Has the peer hung up?
    pub ended: bool,
}

/// The party. It answers every call at once, and ends when dropped.
pub struct SecuredParty {
    sip: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    hearing: Mutex<Hearing>,
    /// What it has said, as it was sent.
    said: Mutex<Vec<Vec<u8>>>,
    replays: Mutex<Vec<Vec<u8>>>,
    over: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SecuredParty {
    /// Starts one that says this octet, and expects to hear that one.
    ///
    /// # Panics
    /// If there are no ports.
    #[must_use]
    pub fn start(suite: Suite, says: u8, hears: u8) -> Self {
        let [sip, media] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
            socket.set_nonblocking(true).expect("sockets can be that");
            socket
        });
        let address = sip.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            hearing: Mutex::default(),
            said: Mutex::default(),
            replays: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let mut party = Party { sip, media, suite, says, hears, call: None, known: HashSet::new() };
        let thread = thread::spawn(move || {
            while !theirs.over.load(Ordering::Acquire) {
                party.turn(&theirs);
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { sip: address, shared, thread: Some(thread) }
    }

    /// Where it is called.
    #[must_use]
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.sip)
    }

    /// What it has heard so far.
    #[must_use]
    pub fn hearing(&self) -> Hearing {
        lock(&self.shared.hearing).clone()
    }

    /// Packets that it has said so far.
    #[must_use]
    pub fn said(&self) -> usize {
        lock(&self.shared.said).len()
    }

    /// Sends again, octet by octet, what it said among its first packets: as somebody could who has listened.
    pub fn replay(&self, packets: usize) {
        let said: Vec<Vec<u8>> = lock(&self.shared.said).iter().take(packets).cloned().collect();
        lock(&self.shared.replays).extend(said);
    }
}

impl Drop for SecuredParty {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Party {
    sip: UdpSocket,
    media: UdpSocket,
    suite: Suite,
    says: u8,
    hears: u8,
    call: Option<Call>,
    /// Indices that have come: SSRC and sequence number extended by the turns it has made.
    known: HashSet<(u32, u64)>,
}

struct Call {
    peer: SocketAddr,
    outgoing: Outgoing,
    incoming: Incoming,
    sequence: u16,
    number: u32,
    due: Instant,
    /// The stream that is heard: its SSRC, and the highest index of it.
    stream: Option<(u32, u64)>,
    heard_at: Option<Instant>,
    numbers: HashSet<u32>,
}

impl Party {
    fn turn(&mut self, shared: &Shared) {
        let mut datagram = [0; 4096];
        while let Ok((length, source)) = self.sip.recv_from(&mut datagram) {
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            self.request(&text, source, shared);
        }
        while let Ok((length, _)) = self.media.recv_from(&mut datagram) {
            // RTCP is not looked at (RFC 5761 section 4).
            if length > 12 && datagram[1] >> 5 != 6 {
                self.hear(&mut datagram[..length], shared);
            }
        }
        self.speak(shared);
    }

    fn request(&mut self, request: &str, source: SocketAddr, shared: &Shared) {
        let method = request.split(' ').next().unwrap_or_default();
        let body = match method {
            "INVITE" => self.answer(request),
            "ACK" | "SIP/2.0" => return,
            "BYE" => {
                self.call = None;
                lock(&shared.hearing).ended = true;
                String::new()
            }
            _ => String::new(),
        };
        let mut response = "SIP/2.0 200 OK\r\n".to_owned();
        for line in request.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            match name.as_str() {
                "via" | "from" | "call-id" | "cseq" => response += &format!("{line}\r\n"),
                "to" if line.contains(";tag=") => response += &format!("{line}\r\n"),
                "to" => response += &format!("{line};tag=party\r\n"),
                _ => {}
            }
        }
        let own = self.sip.local_addr().expect("a bound socket has an address");
        // Writing to a string cannot fail.
        let _ = write!(
            response,
            "Contact: <sip:{own}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.sip.send_to(response.as_bytes(), source);
    }

    /// Answers an offer, with the keys for both directions; the call goes on if there is one.
    fn answer(&mut self, offer: &str) -> String {
        let line = |start: &str| offer.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default();
        let port = line("m=audio ").split(' ').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let ip = line("c=IN IP4 ").trim().parse().expect("an address");
        let crypto = offer
            .lines()
            .filter_map(|line| line.strip_prefix("a=crypto:"))
            .find(|line| line.contains(self.suite.name()))
            .expect("the suite is offered");
        let (tag, key) = (crypto.split(' ').next(), crypto.split("inline:").nth(1));
        let key = key.and_then(|key| key.split(['|', ' ', '\r']).next()).expect("a key");
        let theirs = Master::new(self.suite, &STANDARD.decode(key).expect("base64")).expect("its length");
        let ours = vec![self.says; self.suite.master_octets()];
        let master = Master::new(self.suite, &ours).expect("its length");
        self.call.get_or_insert_with(|| Call {
            peer: SocketAddr::new(ip, port),
            outgoing: Outgoing::new(self.suite, &master),
            incoming: Incoming::new(self.suite, &theirs, None),
            sequence: u16::MAX - BEFORE_ROLLOVER,
            number: 0,
            due: Instant::now(),
            stream: None,
            heard_at: None,
            numbers: HashSet::new(),
        });
        let port = self.media.local_addr().expect("a bound socket has an address").port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\n\
             a=crypto:{} {} inline:{}\r\n",
            tag.unwrap_or("1"),
            self.suite.name(),
            STANDARD.encode(ours)
        )
    }

    fn hear(&mut self, packet: &mut [u8], shared: &Shared) {
        let Some(call) = &mut self.call else { return };
        let mut hearing = lock(&shared.hearing);
        let word =
            |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (sequence, ssrc) = (word(0) & 0xffff, word(8));
        let now = Instant::now();
        let Ok(length) = call.incoming.open_rtp(packet) else {
            hearing.refused += 1;
            return;
        };
        let index = match call.stream {
            // The nearest with this sequence number.
            Some((known, highest)) if known == ssrc => {
                let ahead = (sequence.wrapping_sub((highest & 0xffff) as u32) & 0xffff) as u16;
                highest.wrapping_add_signed(i64::from(ahead.cast_signed()))
            }
            _ => {
                hearing.streams.push(ssrc);
                u64::from(sequence) + 0x1_0000
            }
        };
        let highest = call.stream.filter(|(known, _)| *known == ssrc).map_or(index, |(_, highest)| highest);
        call.stream = Some((ssrc, highest.max(index)));
        hearing.reused += u64::from(!self.known.insert((ssrc, index)));
        hearing.packets += 1;
        if let Some(before) = call.heard_at.replace(now) {
            hearing.longest_gap = hearing.longest_gap.max(now - before);
        }
        let sound = &packet[12..length];
        if let Some((number, rest)) = sound.split_first_chunk::<4>()
            && rest.len() == SOUND - 4
            && rest.iter().all(|octet| *octet == self.hears)
        {
            hearing.repeated += u64::from(!call.numbers.insert(u32::from_be_bytes(*number)));
        } else {
            hearing.strange += 1;
        }
    }

    fn speak(&mut self, shared: &Shared) {
        let Some(call) = &mut self.call else { return };
        let mut replays = lock(&shared.replays);
        // Not more at once than a socket's buffer holds.
        let some = replays.len().min(REPLAYS);
        for packet in replays.drain(..some) {
            let _ = self.media.send_to(&packet, call.peer);
        }
        drop(replays);
        let now = Instant::now();
        if call.due > now {
            return;
        }
        // What a busy host has kept from being said is said at once.
        call.due += PACKET_TIME;
        let mut packet = vec![0x80, 8];
        packet.extend(call.sequence.to_be_bytes());
        packet.extend((call.number * 160).to_be_bytes());
        packet.extend([self.says; 4]);
        packet.extend(call.number.to_be_bytes());
        packet.extend([self.says; SOUND - 4]);
        (call.sequence, call.number) = (call.sequence.wrapping_add(1), call.number + 1);
        let length = packet.len();
        packet.resize(length + duogate_srtp::MOST_GROWTH, 0);
        let sealed = call.outgoing.seal_rtp(&mut packet, length).expect("there is room");
        packet.truncate(sealed);
        let _ = self.media.send_to(&packet, call.peer);
        lock(&shared.said).push(packet);
    }
}
