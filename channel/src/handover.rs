//! The hand-over socket: a Unix `SOCK_SEQPACKET` socket, one message a datagram, descriptors beside it.
//!
//! A [`Connection`] may be used blocking (by a thread) or not (behind an event loop that watches its descriptor).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fchmod, fcntl_setfl, flock, open, statat, unlink};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

use crate::descriptors;
use crate::message::{Message, Rejection, ToControl, ToGateway};
use crate::record::{ABI_VERSION, RecordError};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4;

/// How often, and with which gap, the lock on the socket's folder is tried: two seconds in all.
const LOCK_TRIES: u32 = 100;
const LOCK_GAP: Duration = Duration::from_millis(20);

/// Why talking over the hand-over socket failed.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The system refused.
    #[error("hand-over socket: {0}")]
    System(#[from] Errno),
    /// Nothing came or went within the time that was set, or a non-blocking socket has nothing.
    #[error("hand-over socket: nothing came in time")]
    WouldBlock,
    /// The peer hung up.
    #[error("hand-over socket: the peer has hung up")]
    Closed,
    /// A datagram is not a message.
    #[error("hand-over socket: {0}")]
    Record(#[from] RecordError),
    /// A message without, or with the wrong number of, descriptors.
    #[error("hand-over socket: {found} descriptors came, expected {expected}")]
    Descriptors {
        /// How many came.
        found: usize,
        /// How many belong to the message.
        expected: usize,
    },
    /// A gateway listens on this path already.
    #[error("a gateway listens on {0} already")]
    InUse(PathBuf),
    /// Something that is no socket lies at this path.
    #[error("{0} exists and is not a socket")]
    NotASocket(PathBuf),
}

impl HandoverError {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            other => Self::System(other),
        }
    }
}

fn new_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The gateway's listening socket; the file goes when it is dropped.
#[derive(Debug)]
pub struct Doorway {
    socket: OwnedFd,
    path: PathBuf,
    file: (u64, u64),
}

impl Doorway {
    /// Listens on `path`, with access for its owner only. A socket that a dead gateway left behind is replaced;
    /// one that somebody listens on, and anything that is no socket, is left alone.
    ///
    /// # Errors
    /// A gateway that lives there, a file in the way, and the system's errors.
    pub fn open(path: &Path) -> Result<Self, HandoverError> {
        // Only one starter at a time may judge and replace the file: they queue for the folder.
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = open(
            folder.unwrap_or_else(|| Path::new(".")),
            OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY,
            Mode::empty(),
        )?;
        lock(&folder)?;
        let socket = new_socket()?;
        // Before the file exists, so that it never exists with wider access.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        let address = SocketAddrUnix::new(path)?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, &address)?;
                bind(&socket, &address)?;
            }
            bound => bound?,
        }
        listen(&socket, BACKLOG)?;
        Ok(Self { socket, path: path.to_owned(), file: identity(path)? })
    }

    /// Waits for a control plane.
    ///
    /// # Errors
    /// The system's.
    pub fn accept(&self) -> Result<Connection, HandoverError> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => Ok(Connection { socket }),
            Err(errno) => Err(HandoverError::of(errno)),
        }
    }
}

impl Drop for Doorway {
    fn drop(&mut self) {
        // Another gateway may have taken the path since, after somebody had removed our file.
        if identity(&self.path) == Ok(self.file) {
            // Nothing can be done, and nothing needs to be, if it has gone meanwhile.
            let _gone = unlink(&self.path);
        }
    }
}

impl AsFd for Doorway {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Which file lies at `path`: device and inode.
fn identity(path: &Path) -> Result<(u64, u64), Errno> {
    let status = statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((status.st_dev, status.st_ino))
}

/// Takes the folder's lock, which nobody holds for longer than a moment.
fn lock(folder: &OwnedFd) -> Result<(), HandoverError> {
    for _ in 0..LOCK_TRIES {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_GAP),
            result => return Ok(result?),
        }
    }
    Err(HandoverError::WouldBlock)
}

fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), HandoverError> {
    let status = statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_socket() {
        return Err(HandoverError::NotASocket(path.to_owned()));
    }
    match connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) => Ok(unlink(path)?),
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(HandoverError::InUse(path.to_owned())),
        Err(other) => Err(HandoverError::System(other)),
    }
}

/// One end of a connection between the two processes.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl Connection {
    /// Connects to a gateway that listens on `path`.
    ///
    /// # Errors
    /// The system's; no gateway listens.
    pub fn open(path: &Path) -> Result<Self, HandoverError> {
        let socket = new_socket()?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self { socket })
    }

    /// Two ends of one connection, for tests.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> Result<(Self, Self), HandoverError> {
        let family = AddressFamily::UNIX;
        let (one, two) = rustix::net::socketpair(family, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: one }, Self { socket: two }))
    }

    /// Chooses between blocking (as opened) and non-blocking use.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<(), HandoverError> {
        let flags = if nonblocking { OFlags::NONBLOCK } else { OFlags::empty() };
        Ok(fcntl_setfl(&self.socket, flags)?)
    }

    /// Bounds how long a blocking send or receive may last; `None` for ever.
    ///
    /// # Errors
    /// The system's.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), HandoverError> {
        set_socket_timeout(&self.socket, Timeout::Recv, timeout)?;
        Ok(set_socket_timeout(&self.socket, Timeout::Send, timeout)?)
    }

    /// The process at the other end when the connection was made.
    ///
    /// # Errors
    /// The system's.
    pub fn peer_process(&self) -> Result<i32, HandoverError> {
        Ok(socket_peercred(&self.socket)?.pid.as_raw_pid())
    }

    /// Sends a message with its descriptors; the sender keeps its own.
    ///
    /// # Errors
    /// The wrong number of descriptors, a peer that hung up, a full socket (`WouldBlock`), the system's.
    pub fn send<M: Message>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), HandoverError> {
        if descriptors.len() != message.descriptors() {
            let (found, expected) = (descriptors.len(), message.descriptors());
            return Err(HandoverError::Descriptors { found, expected });
        }
        retry(|| descriptors::send(self.socket.as_fd(), &message.encode(), descriptors))
            .map_err(HandoverError::of)
    }

    /// Receives a message with its descriptors: exactly as many as it should bring.
    ///
    /// # Errors
    /// A peer that hung up (`Closed`) or sent what is no message, nothing there (`WouldBlock`), the system's.
    pub fn receive<M: Message>(&self) -> Result<(M, Vec<OwnedFd>), HandoverError> {
        // One byte more than a message, so that a longer datagram shows.
        let mut buffer = [0; 65];
        let datagram =
            retry(|| descriptors::receive(self.socket.as_fd(), &mut buffer)).map_err(HandoverError::of)?;
        if datagram.length == 0 {
            return Err(HandoverError::Closed);
        }
        let Some((bytes, [_])) = buffer.split_first_chunk::<64>() else { return Err(HandoverError::Closed) };
        if datagram.length != bytes.len() {
            return Err(RecordError::Length { length: datagram.length }.into());
        }
        let message = M::decode(bytes)?;
        let (found, expected) = (datagram.descriptors.len(), message.descriptors());
        if found != expected || datagram.truncated {
            return Err(HandoverError::Descriptors { found, expected });
        }
        Ok((message, datagram.descriptors))
    }

    /// Gateway: takes the greeting of a control plane that connected, and refuses one of another version, or one
    /// that does not greet, telling it why. Gives its process number as it says.
    ///
    /// # Errors
    /// As [`Connection::receive`], and the rejection that was sent.
    pub fn receive_hello(&self) -> Result<Result<u32, Rejection>, HandoverError> {
        let rejection = match self.receive::<ToGateway>() {
            Ok((ToGateway::Hello { abi: ABI_VERSION, pid }, _)) => return Ok(Ok(pid)),
            Ok((ToGateway::Hello { abi, .. }, _)) => {
                Rejection::AbiMismatch { theirs: abi, ours: ABI_VERSION }
            }
            Ok(_) | Err(HandoverError::Record(_) | HandoverError::Descriptors { .. }) => Rejection::NoHello,
            Err(other) => return Err(other),
        };
        self.reject(rejection)?;
        Ok(Err(rejection))
    }

    /// Gateway: tells a control plane that it is not taken.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn reject(&self, rejection: Rejection) -> Result<(), HandoverError> {
        self.send(&ToControl::Reject(rejection), &[])
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A signal that interrupts the call is no reason to fail.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
