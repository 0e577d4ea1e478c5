//! All connections: those that we make and those that are made to us, each used for whatever goes to its peer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use duogate_configuration::{Listen, Sip, Transport};
use duogate_signaling::endpoint::Listener;
use prometheus::IntCounter;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::NetworkError;
use super::connection::{Ends, Heard, KEEP_ALIVE, Number, QUEUE, WAITING, Waiting, Work, carry};
use super::tls::Papers;
use crate::shares::{Share, Shares};

/// What connections have told and the switchboard has not yet heard.
const HEARD: usize = 1_024;

/// How long a connection may take to be made, its handshake included.
const CONNECTING: Duration = Duration::from_secs(5);

/// Connections that one address may have made to us: a flood of them leaves room for others.
const MOST_PER_SOURCE: usize = 64;

/// Addresses whose names are remembered.
const MOST_NAMES: usize = 4_096;

/// Connections waiting to be accepted.
const BACKLOG: i32 = 1_024;

/// A connection as the table knows it.
#[derive(Debug)]
struct Known {
    number: Number,
    messages: mpsc::Sender<Waiting>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    heard: mpsc::Sender<Heard>,
    papers: Papers,
    idle: Duration,
    most: usize,
    open: AtomicUsize,
    numbers: AtomicU64,
    /// Room for messages that wait to be written.
    waiting: Arc<Semaphore>,
    /// Connections made to us, by source.
    sources: Arc<Shares>,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Streams {
    shared: Arc<Shared>,
    listens: Vec<Listen>,
    connections: HashMap<Ends, Known>,
    names: HashMap<SocketAddr, String>,
    refused: IntCounter,
}

impl Streams {
    pub(super) fn bind(
        sip: &Sip,
        refused: IntCounter,
    ) -> Result<(Self, mpsc::Receiver<Heard>), NetworkError> {
        let (heard, receiver) = mpsc::channel(HEARD);
        let shared = Arc::new(Shared {
            heard,
            papers: Papers::read(sip)?,
            idle: Duration::from_secs(sip.idle_seconds.into()),
            most: sip.max_connections as usize,
            open: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            waiting: Arc::new(Semaphore::new(WAITING)),
            sources: Shares::of(MOST_PER_SOURCE),
        });
        for (index, listen) in sip.listen.iter().enumerate() {
            if listen.transport != Transport::Udp {
                let socket = listening(listen.address);
                let socket = socket.map_err(|source| NetworkError::Bind { listen: *listen, source })?;
                let listener = Listener(u16::try_from(index).unwrap_or(u16::MAX));
                tokio::spawn(accept(socket, listener, listen.transport, Arc::clone(&shared)));
            }
        }
        let listens = sip.listen.clone();
        Ok((Self { shared, listens, connections: HashMap::new(), names: HashMap::new(), refused }, receiver))
    }

    pub(super) fn papers(&self) -> &Papers {
        &self.shared.papers
    }

    /// A name leads to an address.
    pub(super) fn located(&mut self, name: &str, address: SocketAddr) {
        if self.names.len() >= MOST_NAMES && !self.names.contains_key(&address) {
            self.names.clear();
        }
        self.names.insert(address, name.to_owned());
    }

    /// Sends over the connection there is, or over a new one (RFC 3261 section 18.1.1).
    pub(super) fn send(&mut self, listener: Listener, peer: SocketAddr, bytes: &[u8]) {
        let ends = Ends { listener, peer };
        let sent = Waiting::new(bytes, &self.shared.waiting).is_some_and(|message| self.pass(ends, message));
        if !sent {
            self.refused.inc();
        }
    }

    /// Leaves a message with its connection. One that has ended is replaced, never one that lives: answers to what went
    /// before come back over it.
    fn pass(&mut self, ends: Ends, message: Waiting) -> bool {
        let message = match self.connections.get(&ends) {
            Some(known) => match known.messages.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Full(_)) => return false,
                Err(TrySendError::Closed(message)) => message,
            },
            None => message,
        };
        self.connect(ends, message)
    }

    fn connect(&mut self, ends: Ends, message: Waiting) -> bool {
        self.connections.remove(&ends);
        let Some(listen) = self.listens.get(usize::from(ends.listener.0)).copied() else { return false };
        let number = self.shared.number();
        let Some(place) = Place::take(&self.shared, None) else {
            self.shared.tell(Heard::Closed { ends, number, failed: true });
            return false;
        };
        let (messages, queue) = mpsc::channel(QUEUE);
        // The queue is new and empty.
        let taken = messages.try_send(message).is_ok();
        self.connections.insert(ends, Known { number, messages });
        let name = self.names.get(&ends.peer).cloned();
        tokio::spawn(make(place, listen, ends, number, name, queue));
        taken
    }

    /// Notes what a connection has come to.
    pub(super) fn heard(&mut self, heard: &Heard) {
        match heard {
            Heard::Opened { ends, number, messages } => {
                self.connections.insert(*ends, Known { number: *number, messages: messages.clone() });
            }
            Heard::Closed { ends, number, .. } => {
                if self.connections.get(ends).is_some_and(|known| known.number == *number) {
                    self.connections.remove(ends);
                }
            }
            Heard::Message { .. } => {}
        }
    }
}

impl Shared {
    fn number(&self) -> Number {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells without waiting; where there is no room, timers of SIP find out.
    fn tell(&self, heard: Heard) {
        let _ = self.heard.try_send(heard);
    }
}

/// A place among the connections, given back when dropped.
struct Place {
    shared: Arc<Shared>,
    _share: Option<Share>,
}

impl Place {
    /// None where there is no room, or where `source` has more than its share.
    fn take(shared: &Arc<Shared>, source: Option<IpAddr>) -> Option<Self> {
        let share = source.map(|source| shared.sources.take(source).ok_or(())).transpose().ok()?;
        let free = |open: usize| (open < shared.most).then_some(open + 1);
        shared.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Self { shared: Arc::clone(shared), _share: share })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes connections until the program ends.
async fn accept(socket: TcpListener, listener: Listener, transport: Transport, shared: Arc<Shared>) {
    loop {
        let Ok((stream, peer)) = socket.accept().await else {
            // No descriptor is left, or the like: a moment for others to give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Beyond its share it is closed at once.
        let Some(place) = Place::take(&shared, Some(peer.ip())) else { continue };
        tokio::spawn(serve(place, stream, Ends { listener, peer }, transport));
    }
}

/// A connection that somebody made to us.
async fn serve(place: Place, stream: TcpStream, ends: Ends, transport: Transport) {
    let shared = Arc::clone(&place.shared);
    let (messages, queue) = mpsc::channel(QUEUE);
    let number = shared.number();
    let _ = stream.set_nodelay(true);
    let opened = Heard::Opened { ends, number, messages };
    let work =
        |messages| Work { ends, heard: shared.heard.clone(), messages, keep_alive: None, idle: shared.idle };
    let tls = if transport == Transport::Tls { shared.papers.now() } else { None };
    let failed = match tls {
        Some(tls) => {
            let Ok(Ok(stream)) = timeout(CONNECTING, tls.accept(stream)).await else { return };
            if shared.heard.send(opened).await.is_err() {
                return;
            }
            carry(stream, work(queue)).await
        }
        None => {
            if shared.heard.send(opened).await.is_err() {
                return;
            }
            carry(stream, work(queue)).await
        }
    };
    let _ = shared.heard.send(Heard::Closed { ends, number, failed }).await;
}

/// A connection that we make.
async fn make(
    place: Place,
    listen: Listen,
    ends: Ends,
    number: Number,
    name: Option<String>,
    queue: mpsc::Receiver<Waiting>,
) {
    let shared = Arc::clone(&place.shared);
    let work = Work {
        ends,
        heard: shared.heard.clone(),
        messages: queue,
        keep_alive: Some(KEEP_ALIVE),
        idle: shared.idle,
    };
    let tls = if listen.transport == Transport::Tls { shared.papers.now() } else { None };
    let failed = match timeout(CONNECTING, connect(listen.address, ends.peer)).await {
        Ok(Ok(stream)) => match tls {
            Some(tls) => match timeout(CONNECTING, tls.connect(stream, ends.peer, name.as_deref())).await {
                Ok(Ok(stream)) => carry(stream, work).await,
                Ok(Err(error)) => {
                    tracing::warn!(peer = %ends.peer, %error, "a TLS connection could not be made");
                    true
                }
                Err(_) => true,
            },
            None => carry(stream, work).await,
        },
        Ok(Err(error)) => {
            tracing::debug!(peer = %ends.peer, %error, "a connection could not be made");
            true
        }
        Err(_) => true,
    };
    let _ = shared.heard.send(Heard::Closed { ends, number, failed }).await;
}

/// From our listening address, so that the peer knows us by it, but from any port.
async fn connect(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(local.ip(), 0))?;
    let stream = socket.connect(peer).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
