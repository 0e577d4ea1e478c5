//! One connection: frames in, messages out, keep-alives and limits of time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use duogate_signaling::endpoint::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::framing::{Frame, LONGEST_MESSAGE, look};

/// Messages that may wait for a peer that reads slowly: two for each of 4,000 calls that end at once over one
/// connection. More are as if they could not be sent.
pub(super) const QUEUE: usize = 8_192;

/// Octets that may wait on all connections together, in units of [`UNIT`]: 64 MiB.
pub(super) const WAITING: usize = 65_536;

/// What an octet that waits is counted in.
const UNIT: usize = 1_024;

/// A message that waits to be written, and holds its room until it is.
#[derive(Debug)]
pub(crate) struct Waiting {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    /// None: there is no room.
    pub(super) fn new(bytes: &[u8], room: &Arc<Semaphore>) -> Option<Self> {
        let units = u32::try_from(bytes.len().div_ceil(UNIT)).ok()?;
        let room = Arc::clone(room).try_acquire_many_owned(units).ok()?;
        Some(Self { bytes: bytes.to_vec(), _room: room })
    }
}

/// How long the first message of a connection may take, and the rest of one that has begun.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two keep-alives on a connection of ours (RFC 5626 section 4.4.1: 95 to 120 s).
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(95);

/// How long the peer may take to take one message.
const WRITING: Duration = Duration::from_secs(10);

/// Names a connection for as long as the program runs.
pub(super) type Number = u64;

/// One connection's ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Ends {
    pub(super) listener: Listener,
    pub(super) peer: SocketAddr,
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Somebody has connected.
    Opened {
        /// Whose it is.
        ends: Ends,
        /// Which.
        number: Number,
        /// Takes messages for the peer.
        messages: mpsc::Sender<Waiting>,
    },
    /// A whole message.
    Message {
        /// At which socket.
        listener: Listener,
        /// From whom.
        source: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// It has ended.
    Closed {
        /// Whose it was.
        ends: Ends,
        /// Which.
        number: Number,
        /// It could not be made, or broke while messages were waiting.
        failed: bool,
    },
}

impl Heard {
    /// Whose messages cannot be sent.
    pub(crate) fn unreachable(&self) -> Option<(Listener, SocketAddr)> {
        match self {
            Self::Closed { ends, failed: true, .. } => Some((ends.listener, ends.peer)),
            _ => None,
        }
    }
}

/// What one connection works with.
pub(super) struct Work {
    pub(super) ends: Ends,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) messages: mpsc::Receiver<Waiting>,
    /// Between two keep-alives, if it was made by us.
    pub(super) keep_alive: Option<Duration>,
    /// How long no message may come or go.
    pub(super) idle: Duration,
}

/// Carries messages until either end has enough. True if a message could not be sent.
pub(super) async fn carry<S>(stream: S, mut work: Work) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut buffer: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 4096];
    let mut used = Instant::now();
    let mut first = true;
    let mut begun: Option<Instant> = None;
    let mut alive = work.keep_alive.map(|gap| Instant::now() + gap);
    loop {
        let mut until = used + if first && work.keep_alive.is_none() { PATIENCE } else { work.idle };
        if let Some(begun) = begun {
            until = until.min(begun + PATIENCE);
        }
        let wake = alive.map_or(until, |alive| until.min(alive));
        tokio::select! {
            read = reading.read(&mut chunk) => match read {
                Ok(0) | Err(_) => return false,
                Ok(octets) => {
                    buffer.extend_from_slice(&chunk[..octets]);
                    match take(&mut buffer, &work, &mut writing).await {
                        Some(0) => {}
                        Some(_) => (used, first) = (Instant::now(), false),
                        None => return false,
                    }
                    begun = (!buffer.is_empty()).then(|| begun.unwrap_or_else(Instant::now));
                }
            },
            message = work.messages.recv() => match message {
                None => return false,
                Some(message) => {
                    if !write(&mut writing, &message.bytes).await {
                        return true;
                    }
                    used = Instant::now();
                }
            },
            () = tokio::time::sleep_until(wake) => {
                if wake == until {
                    return false;
                }
                if !write(&mut writing, b"\r\n\r\n").await {
                    return false;
                }
                alive = work.keep_alive.map(|gap| Instant::now() + gap);
            }
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(writing: &mut W, bytes: &[u8]) -> bool {
    let whole = async {
        writing.write_all(bytes).await?;
        writing.flush().await
    };
    matches!(timeout(WRITING, whole).await, Ok(Ok(())))
}

/// Takes whole messages off the buffer and passes them on; tells how many. None: the connection is of no more use.
async fn take<W: AsyncWrite + Unpin>(buffer: &mut Vec<u8>, work: &Work, writing: &mut W) -> Option<usize> {
    let mut start = 0;
    let mut messages = 0;
    loop {
        match look(&buffer[start..]) {
            Frame::Partial => break,
            Frame::Broken => return None,
            Frame::Empty { octets, ping } => {
                start += octets;
                if ping && !write(writing, b"\r\n").await {
                    return None;
                }
            }
            Frame::Message(octets) => {
                let bytes = buffer[start..start + octets].to_vec();
                start += octets;
                messages += 1;
                let Ends { listener, peer } = work.ends;
                // Waits when the switchboard is behind: then the peer waits too.
                work.heard.send(Heard::Message { listener, source: peer, bytes }).await.ok()?;
            }
        }
    }
    buffer.drain(..start);
    debug_assert!(buffer.len() <= LONGEST_MESSAGE + 4096, "a longer one is broken");
    Some(messages)
}
