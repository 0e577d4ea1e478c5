//! The opponent: Debian's rtpengine in user space, one worker thread, driven over its NG port.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use duogate_channel::sound::Codec;
use duogate_channel::srtp::{Master, Suite};

use crate::bencode;
use crate::generator::Route;
use crate::process::Process;

/// Where it forwards; apart from Duogate's address, so that all ports are free.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A running rtpengine.
#[derive(Debug)]
pub struct Rtpengine {
    /// Its process.
    pub process: Process,
    control: UdpSocket,
    cookie: u64,
}

impl Rtpengine {
    /// Starts it on one core.
    ///
    /// # Errors
    /// It is not there, or does not answer.
    pub fn start(core: usize, folder: &Path) -> io::Result<Self> {
        Self::start_with(core, folder, None)
    }

    /// The same; calls can be recorded into a folder: all packets as they come, in one file a call.
    ///
    /// # Errors
    /// It is not there, or does not answer.
    pub fn start_with(core: usize, folder: &Path, recordings: Option<&Path>) -> io::Result<Self> {
        let port = UdpSocket::bind((ADDRESS, 0))?.local_addr()?.port();
        let mut arguments = vec![
            "--foreground".to_owned(),
            "--table=-1".to_owned(),
            "--log-stderr".to_owned(),
            "--log-level=3".to_owned(),
            "--num-threads=1".to_owned(),
            "--media-num-threads=1".to_owned(),
            format!("--interface={ADDRESS}"),
            format!("--listen-ng={ADDRESS}:{port}"),
            "--port-min=10000".to_owned(),
            "--port-max=60000".to_owned(),
            "--delete-delay=0".to_owned(),
        ];
        if let Some(recordings) = recordings {
            // The other method, "proc", needs its kernel module.
            arguments.push("--recording-method=pcap".to_owned());
            arguments.push(format!("--recording-dir={}", recordings.display()));
        }
        let log = folder.join("rtpengine.log");
        let process = Process::start("rtpengine", Some(core), Path::new("rtpengine"), &arguments, &log)?;
        let control = UdpSocket::bind((ADDRESS, 0))?;
        control.connect((ADDRESS, port))?;
        let mut engine = Self { process, control, cookie: 0 };
        engine.control.set_read_timeout(Some(Duration::from_millis(200)))?;
        for _ in 0..50 {
            if engine.ask(&[("command", "ping")]).is_ok() {
                engine.control.set_read_timeout(Some(Duration::from_secs(5)))?;
                return Ok(engine);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "rtpengine does not answer"))
    }

    /// Makes so many pairs, both parties of each at `far_end`; gives each pair's two routes.
    ///
    /// # Errors
    /// It refuses, or says what is not understood.
    pub fn pairs(&mut self, count: usize, far_end: SocketAddrV4) -> io::Result<Vec<Route>> {
        let mut routes = Vec::with_capacity(count * 2);
        let sdp = description(far_end);
        for number in 0..count {
            let call = format!("pair-{number}");
            let common =
                [("call-id", call.as_str()), ("from-tag", "a"), ("sdp", sdp.as_str()), ("ICE", "remove")];
            // The answer to each description shows the port that the *other* party is to send to.
            let offer = self.ask(&[&common[..], &[("command", "offer")]].concat())?;
            let answer = self.ask(&[&common[..], &[("command", "answer"), ("to-tag", "b")]].concat())?;
            let second = media_port(&offer).ok_or_else(|| strange(&offer))?;
            let first = media_port(&answer).ok_or_else(|| strange(&answer))?;
            let [first, second] = [first, second].map(|port| SocketAddrV4::new(ADDRESS, port));
            routes.push(Route { to: first, from: second });
            routes.push(Route { to: second, from: first });
        }
        Ok(routes)
    }

    /// Records so many of the pairs that [`Self::pairs`] made.
    ///
    /// # Errors
    /// It refuses.
    pub fn record(&mut self, count: usize) -> io::Result<()> {
        for number in 0..count {
            self.ask(&[("command", "start recording"), ("call-id", &format!("pair-{number}"))])?;
        }
        Ok(())
    }

    /// Ends so many of the pairs that [`Self::pairs`] made, and with them their recordings.
    ///
    /// # Errors
    /// It refuses.
    pub fn end(&mut self, count: usize) -> io::Result<()> {
        for number in 0..count {
            let call = format!("pair-{number}");
            self.ask(&[("command", "delete"), ("call-id", &call), ("from-tag", "a")])?;
        }
        Ok(())
    }

    /// Makes so many pairs of which party 1 speaks A-law and party 2 another codec; gives the ports at which they send.
    ///
    /// # Errors
    /// It refuses, or says what is not understood.
    pub fn transcoded(
        &mut self,
        count: usize,
        far_end: SocketAddrV4,
        codec: Codec,
    ) -> io::Result<Vec<[SocketAddrV4; 2]>> {
        let (name, number) = (codec.name(), codec.payload_type());
        let channels = if codec == Codec::Opus { "/2" } else { "" };
        let other = description(far_end).replace("RTP/AVP 8", &format!("RTP/AVP {number}")).replace(
            "a=rtpmap:8 PCMA/8000",
            &format!("a=rtpmap:{number} {name}/{}{channels}", codec.clock_rate()),
        );
        let flags = bencode::list(&["codec-mask-PCMA", &format!("codec-transcode-{name}")]);
        let first = description(far_end);
        let mut pairs = Vec::with_capacity(count);
        for pair in 0..count {
            let call = format!("transcoded-{name}-{pair}");
            let common = [("call-id", call.as_str()), ("from-tag", "a"), ("ICE", "remove")];
            let offer = [&common[..], &[("command", "offer"), ("sdp", &first)]].concat();
            let offer = self.ask_so(&bencode::with(&bencode::dictionary(&offer), "flags", &flags))?;
            let answer = [&common[..], &[("command", "answer"), ("to-tag", "b"), ("sdp", &other)]].concat();
            let answer = self.ask(&answer)?;
            let second = media_port(&offer).ok_or_else(|| strange(&offer))?;
            let first = media_port(&answer).ok_or_else(|| strange(&answer))?;
            pairs.push([first, second].map(|port| SocketAddrV4::new(ADDRESS, port)));
        }
        Ok(pairs)
    }

    /// Makes so many pairs of which party 1 speaks SRTP with keys in its description (RFC 4568), its own being `key`;
    /// gives the ports at which they send, and the key that party 1 hears.
    ///
    /// # Errors
    /// It refuses, or says what is not understood.
    pub fn secured(
        &mut self,
        count: usize,
        far_end: SocketAddrV4,
        suite: Suite,
        key: &Master,
    ) -> io::Result<Vec<([SocketAddrV4; 2], Master)>> {
        let (name, key) = (suite.name(), BASE64.encode(key.expose(suite)));
        let plain = description(far_end);
        let secured = plain.replace("RTP/AVP", "RTP/SAVP") + &format!("a=crypto:1 {name} inline:{key}\r\n");
        let mut pairs = Vec::with_capacity(count);
        for pair in 0..count {
            let call = format!("secured-{name}-{pair}");
            let common = [("call-id", call.as_str()), ("from-tag", "a"), ("ICE", "remove")];
            let plainly = [("transport-protocol", "RTP/AVP"), ("command", "offer"), ("sdp", &secured)];
            let offer = self.ask(&[&common[..], &plainly].concat())?;
            let answered = [("command", "answer"), ("to-tag", "b"), ("sdp", &plain)];
            let answer = self.ask(&[&common[..], &answered].concat())?;
            let second = media_port(&offer).ok_or_else(|| strange(&offer))?;
            let first = media_port(&answer).ok_or_else(|| strange(&answer))?;
            let key = crypto(&answer, suite).ok_or_else(|| strange(&answer))?;
            pairs.push(([first, second].map(|port| SocketAddrV4::new(ADDRESS, port)), key));
        }
        Ok(pairs)
    }

    fn ask(&mut self, request: &[(&str, &str)]) -> io::Result<String> {
        self.ask_so(&bencode::dictionary(request))
    }

    fn ask_so(&mut self, request: &str) -> io::Result<String> {
        self.cookie += 1;
        let cookie = self.cookie.to_string();
        self.control.send(format!("{cookie} {request}").as_bytes())?;
        let mut buffer = [0; 8192];
        loop {
            let length = self.control.recv(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if let Some((found, reply)) = text.split_once(' ')
                && found == cookie
            {
                return match bencode::string(reply, "result") {
                    Some("ok" | "pong") => Ok(reply.to_owned()),
                    _ => Err(strange(reply)),
                };
            }
        }
    }
}

fn strange(reply: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("rtpengine says {reply}"))
}

fn description(far_end: SocketAddrV4) -> String {
    let (ip, port) = (far_end.ip(), far_end.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )
}

fn media_port(reply: &str) -> Option<u16> {
    let sdp = bencode::string(reply, "sdp")?;
    let line = sdp.lines().find_map(|line| line.strip_prefix("m=audio "))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The master key of the answer's crypto attribute.
fn crypto(reply: &str, suite: Suite) -> Option<Master> {
    let sdp = bencode::string(reply, "sdp")?;
    let value = sdp.lines().find_map(|line| line.strip_prefix("a=crypto:1 "))?;
    let (name, key) = value.split_once(" inline:")?;
    let key = key.split(['|', ' ']).next()?;
    (name == suite.name()).then(|| Master::new(suite, &BASE64.decode(key).ok()?)).flatten()
}
