//! The listening socket of HTTP: so many connections at once and no more, each only as long as it is of use.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::shares::{Share, Shares};

/// Connections beside WebSockets. Each costs some 20 kB.
const PLAIN: usize = 1_024;

/// Pause when the host has no descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may be open before a request of it has shown a token, or has been one that needs none where
/// there are no tokens. Until then it holds a place that belongs to others.
const STRANGER: Duration = Duration::from_secs(10);

/// Such connections of one address. A proxy's show a token at once; a flood of others leaves places to everybody else.
const STRANGERS_OF_ONE: usize = 256;

/// How long the head of a request may take, and how long a connection may be idle between two.
const HEAD: Duration = Duration::from_secs(75);

/// Whether a request of a connection was allowed in. Until then the connection has one of what its address may have of
/// strangers.
#[derive(Clone, Debug)]
pub(crate) struct Known(Arc<Mutex<Option<Share>>>);

impl Known {
    fn not_yet(share: Share) -> Self {
        Self(Arc::new(Mutex::new(Some(share))))
    }

    /// A request of this connection was allowed in.
    pub(crate) fn set(&self) {
        drop(self.lock().take());
    }

    fn is_set(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Share>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts a bounded number of connections; more wait in the kernel's queue.
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    strangers: Arc<Shares>,
}

impl Bounded {
    /// Bounds a listener to so many WebSockets and some connections more.
    pub(crate) fn new(listener: TcpListener, websockets: usize) -> Self {
        let places = Arc::new(Semaphore::new(websockets + PLAIN));
        Self { listener, places, strangers: Shares::of(STRANGERS_OF_ONE) }
    }

    /// Serves until the program is about to end, and then until the last request is answered.
    pub(crate) async fn serve(self, router: Router, mut closed: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (stream, known) = self.accept() => {
                    connections.spawn(connection(stream, known, router.clone(), closed.clone()));
                }
                Some(_) = connections.join_next() => {}
                () = closing(&mut closed) => break,
            }
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(&self) -> (Held, Known) {
        // The semaphore is never closed, so there is always a place in the end.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, source)) => {
                    // Beyond its share it is closed at once.
                    let Some(share) = self.strangers.take(source.ip()) else { continue };
                    // Answers are short and somebody waits for each. A socket that refuses is only slower.
                    let _ = stream.set_nodelay(true);
                    return (Held { stream, _place: place }, Known::not_yet(share));
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn closing(closed: &mut watch::Receiver<bool>) {
    // The sender lives as long as the program.
    let _ = closed.wait_for(|closing| *closing).await;
}

/// Serves one connection to its end.
async fn connection(stream: Held, known: Known, router: Router, mut closed: watch::Receiver<bool>) {
    let service = Knowing { inner: TowerToHyperService::new(router), known: known.clone() };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let mut stranger = pin!(tokio::time::sleep(STRANGER));
    let (mut told, mut looked) = (false, false);
    loop {
        tokio::select! {
            // How it ended is for the other end, which knows.
            _ = connection.as_mut() => return,
            () = stranger.as_mut(), if !looked => {
                if !known.is_set() {
                    return;
                }
                looked = true;
            }
            () = closing(&mut closed), if !told => {
                connection.as_mut().graceful_shutdown();
                told = true;
            }
        }
    }
}

/// Lets requests mark their connection.
struct Knowing {
    inner: TowerToHyperService<Router>,
    known: Known,
}

impl Service<Request<Incoming>> for Knowing {
    type Response = Response;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.known.clone());
        self.inner.call(request)
    }
}

/// A connection that gives its place back when it ends.
pub(crate) struct Held {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
