//! The phone itself: its sockets, and the threads that work them.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::client::TICK;
use crate::ear::Reception;
use crate::line::{Line, Output, What};
use crate::rtcp::Reports;
use crate::script::{Script, Step};
use crate::sound::{self, Sounding};
use crate::tone::{Heard, Tone, listen};
use crate::violation::Violation;

/// The longest datagram that is read.
pub(crate) const MAX_DATAGRAM: usize = 65_536;

/// Something that happened at a phone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When, counted from the phone's origin.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// A running phone. It stops when dropped.
#[derive(Debug)]
pub struct Phone {
    sip: SocketAddr,
    orders: Sender<Order>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What its owner wants a phone to do.
#[derive(Debug)]
enum Order {
    Script(Script),
    Call(SocketAddr),
    Act(Step),
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) origin: Instant,
    pub(crate) stop: AtomicBool,
    /// The socket for RTP; another one after a move.
    media: Mutex<Arc<UdpSocket>>,
    pub(crate) sound: Mutex<Sounding>,
    /// Told when there is something to send.
    pub(crate) speaks: Condvar,
    log: Mutex<Log>,
    logged: Condvar,
}

#[derive(Default, Debug)]
struct Log {
    events: Vec<Event>,
    invites: Vec<Vec<u8>>,
}

/// The lock, whoever died with it: what it guards is only ever added to.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn media(&self) -> Arc<UdpSocket> {
        Arc::clone(&lock(&self.media))
    }

    fn rtp(&self) -> io::Result<SocketAddr> {
        self.media().local_addr()
    }
}

impl Phone {
    /// A phone on free ports of 127.0.0.1. Times in what it tells are counted from `origin`.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub fn start(script: Script, origin: Instant) -> io::Result<Self> {
        Self::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), script, origin)
    }

    /// A phone on free ports of an address of this host.
    ///
    /// # Errors
    /// No socket or thread is to be had, or the address is not this host's.
    pub fn start_at(ip: IpAddr, script: Script, origin: Instant) -> io::Result<Self> {
        let signaling = UdpSocket::bind((ip, 0))?;
        signaling.set_read_timeout(Some(TICK))?;
        let media = even_port(ip)?;
        let (sip, rtp) = (signaling.local_addr()?, media.local_addr()?);
        let shared = Arc::new(Shared {
            origin,
            stop: AtomicBool::new(false),
            media: Mutex::new(Arc::new(media)),
            sound: Mutex::new(Sounding::new(origin)),
            speaks: Condvar::new(),
            log: Mutex::default(),
            logged: Condvar::new(),
        });
        let (orders, inbox) = channel();
        let line = Line::new(sip, rtp, script, random());
        let mut phone = Self { sip, orders, shared: Arc::clone(&shared), threads: Vec::new() };
        let (hearing, speaking) = (Arc::clone(&shared), Arc::clone(&shared));
        phone.spawn("signaling", move || converse(&signaling, line, &inbox, &shared))?;
        phone.spawn("ear", move || sound::hear(&hearing))?;
        phone.spawn("voice", move || sound::speak(&speaking))?;
        Ok(phone)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(format!("phone {name}")).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it speaks SIP.
    #[must_use]
    pub const fn sip_address(&self) -> SocketAddr {
        self.sip
    }

    /// Where it receives RTP.
    ///
    /// # Errors
    /// The system's.
    pub fn rtp_address(&self) -> io::Result<SocketAddr> {
        self.shared.rtp()
    }

    /// A URI that leads to it.
    #[must_use]
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.sip)
    }

    /// Behaves differently from the next call on.
    pub fn set_script(&self, script: Script) {
        self.order(Order::Script(script));
    }

    /// Calls another phone, unless it is in a call already. The script's steps run from now.
    pub fn call(&self, target: SocketAddr) {
        self.order(Order::Call(target));
    }

    /// Does one thing now.
    pub fn act(&self, step: Step) {
        self.order(Order::Act(step));
    }

    fn order(&self, order: Order) {
        // The signaling thread ends before its phone only by a panic, which the join would show.
        let _ = self.orders.send(order);
    }

    /// All that has happened.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared.log).events.clone()
    }

    /// The INVITEs that called it, as they came.
    #[must_use]
    pub fn invites(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.log).invites.clone()
    }

    /// Waits until something has happened, at most so long; true if it has.
    pub fn wait(&self, longest: Duration, mut happened: impl FnMut(&What) -> bool) -> bool {
        let log = lock(&self.shared.log);
        let absent = |log: &mut Log| !log.events.iter().any(|event| happened(&event.what));
        let waited = self.shared.logged.wait_timeout_while(log, longest, absent);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    /// How what it received was, in its latest call.
    #[must_use]
    pub fn reception(&self) -> Reception {
        lock(&self.shared.sound).ear.reception()
    }

    /// What it said and was told by RTCP, in its latest call.
    #[must_use]
    pub fn reports(&self) -> Reports {
        lock(&self.shared.sound).reports()
    }

    /// Rules of RTP that were broken in any of its calls.
    #[must_use]
    pub fn broken(&self) -> Vec<Violation> {
        lock(&self.shared.sound).broken()
    }

    /// Which of `tones` it heard when, in its latest call.
    #[must_use]
    pub fn heard(&self, tones: &[Tone]) -> Vec<Heard> {
        let samples = self.samples();
        listen(&samples, tones)
    }

    /// All that it heard in its latest call, sample by sample from its origin on.
    #[must_use]
    pub fn samples(&self) -> Vec<i16> {
        lock(&self.shared.sound).ear.samples().to_vec()
    }

    /// RTP packets that it sent in its latest call.
    #[must_use]
    pub fn sent(&self) -> u64 {
        lock(&self.shared.sound).sent()
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.speaks.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in a thread has been printed; there is nobody to hand it to.
            let _ = thread.join();
        }
    }
}

/// How long the ear waits for a packet before it looks whether the phone has stopped or moved.
const LISTEN: Duration = Duration::from_millis(50);

/// A socket on a free even port: RTP's (RFC 3550 section 11).
fn even_port(ip: IpAddr) -> io::Result<UdpSocket> {
    let mut odd = Vec::new();
    for _ in 0..100 {
        let socket = UdpSocket::bind((ip, 0))?;
        if socket.local_addr()?.port() % 2 == 0 {
            socket.set_read_timeout(Some(LISTEN))?;
            return Ok(socket);
        }
        // Kept open for a while, so that the system does not hand it out again.
        odd.push(socket);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no even port is free"))
}

/// A number that nobody could foresee.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The signaling thread.
fn converse(socket: &UdpSocket, mut line: Line, inbox: &Receiver<Order>, shared: &Shared) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    while !shared.stop.load(Ordering::Acquire) {
        obey(&mut line, inbox);
        line.advance(Instant::now());
        carry_out(socket, &mut line, shared);
        // Timeouts, and errors that ICMP reports about earlier packets, mean the same: nothing came.
        if let Ok((length, source)) = socket.recv_from(&mut datagram) {
            // An order that was given before the datagram was sent comes before it.
            obey(&mut line, inbox);
            let (now, calls) = (Instant::now(), line.output.len());
            line.receive(now, source, &datagram[..length]);
            let invited = |output: &Output| matches!(output, Output::Event(What::Invited { .. }));
            if line.output.iter().skip(calls).any(invited) {
                lock(&shared.log).invites.push(datagram[..length].to_vec());
            }
            carry_out(socket, &mut line, shared);
        }
    }
}

fn obey(line: &mut Line, inbox: &Receiver<Order>) {
    let now = Instant::now();
    for order in inbox.try_iter() {
        match order {
            Order::Script(script) => line.script = script,
            Order::Call(target) => line.dial(now, target),
            Order::Act(step) => line.act(now, step),
        }
    }
}

fn carry_out(socket: &UdpSocket, line: &mut Line, shared: &Shared) {
    while let Some(output) = line.output.pop_front() {
        match output {
            Output::Send { bytes, to } => {
                // A datagram that cannot be sent is a lost one; it will be repeated.
                let _ = socket.send_to(&bytes, to);
            }
            Output::Event(what) => {
                if matches!(what, What::Invited { .. } | What::Calling) {
                    lock(&shared.sound).begin(shared.origin, what == What::Calling);
                }
                let event = Event { at: shared.origin.elapsed(), what };
                lock(&shared.log).events.push(event);
                shared.logged.notify_all();
            }
            Output::Agree(agreement) => lock(&shared.sound).agree(agreement),
            Output::Speak(tone) => lock(&shared.sound).speak(tone),
            Output::Mute(muted) => lock(&shared.sound).mute(muted),
            Output::Move => relocate(line, shared),
            Output::Press(keys) => lock(&shared.sound).press(&keys),
            Output::Stop => {
                if let Some((bye, peer)) = lock(&shared.sound).stop(Instant::now()) {
                    // What cannot be sent is lost.
                    let _ = shared.media().send_to(&bye, peer);
                }
            }
        }
        shared.speaks.notify_all();
    }
}

/// Another port for RTP. Without one the phone stays where it is, and its owner misses the re-INVITE.
fn relocate(line: &mut Line, shared: &Shared) {
    let moved = shared.rtp().and_then(|rtp| even_port(rtp.ip()));
    if let Ok(socket) = moved
        && let Ok(rtp) = socket.local_addr()
    {
        *lock(&shared.media) = Arc::new(socket);
        line.move_to(Instant::now(), rtp);
    }
}
