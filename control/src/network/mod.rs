//! The sockets of SIP: datagrams, streams, and encrypted streams.

mod connection;
mod framing;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;

use duogate_configuration::{Configuration, Listen, Transport};
use duogate_signaling::endpoint::Listener;
use prometheus::IntCounter;
use tokio::sync::mpsc;

pub(crate) use connection::Heard;
use streams::Streams;
pub(crate) use tls::{Papers, TlsError};
pub(crate) use udp::BATCH;
use udp::Datagrams;

/// Why the sockets cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// An address cannot be had.
    #[error("sip.listen: {listen}: {source}")]
    Bind {
        /// Which.
        listen: Listen,
        /// Why.
        source: io::Error,
    },
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// All sockets, in the order of `sip.listen`.
#[derive(Debug)]
pub(crate) struct Network {
    /// The socket of each listener that is one of datagrams.
    datagrams: Datagrams,
    streams: Streams,
    listens: Vec<Listen>,
}

impl Network {
    /// Binds all sockets; what streams bring comes out of the receiver. `refused` counts messages that could not be
    /// sent.
    pub(crate) fn bind(
        configuration: &Configuration,
        refused: IntCounter,
    ) -> Result<(Self, mpsc::Receiver<Heard>), NetworkError> {
        let sip = &configuration.sip;
        let listens = sip.listen.clone();
        let udp = |(index, listen): (usize, &Listen)| {
            (listen.transport == Transport::Udp).then_some((index, *listen))
        };
        let datagrams = Datagrams::bind(listens.iter().enumerate().filter_map(udp), refused.clone())?;
        let (streams, heard) = Streams::bind(sip, refused)?;
        Ok((Self { datagrams, streams, listens }, heard))
    }

    /// Certificates and keys, to be renewed.
    pub(crate) fn papers(&self) -> Papers {
        self.streams.papers().clone()
    }

    /// Waits until a socket of datagrams has something. Safe to be dropped and called again.
    pub(crate) async fn readable(&self) -> usize {
        self.datagrams.readable().await
    }

    /// Takes one datagram from a socket, if there is one.
    pub(crate) fn receive(&mut self, index: usize) -> Option<(Listener, SocketAddr, &[u8])> {
        self.datagrams.receive(index)
    }

    /// Sends a message. One that cannot be sent is counted; over datagrams, SIP sends it again; over streams the
    /// failure is heard of.
    pub(crate) fn send(&mut self, listener: Listener, destination: SocketAddr, bytes: &[u8]) {
        match self.listens.get(usize::from(listener.0)).map(|listen| listen.transport) {
            Some(Transport::Udp) => self.datagrams.send(listener, destination, bytes),
            Some(Transport::Tcp | Transport::Tls) => self.streams.send(listener, destination, bytes),
            None => {}
        }
    }

    /// A name leads to an address: that is whose certificate is to be shown there (RFC 5922 section 7.1).
    pub(crate) fn located(&mut self, name: &str, address: SocketAddr) {
        self.streams.located(name, address);
    }

    /// Notes what a connection has come to. True if something was to be received.
    pub(crate) fn heard(&mut self, heard: &Heard) {
        self.streams.heard(heard);
    }
}
