//! Datagrams.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use duogate_configuration::Listen;
use duogate_signaling::endpoint::Listener;
use prometheus::IntCounter;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::NetworkError;
use crate::turns::Turns;

/// Receive buffer: a burst of 4,000 messages of 1 kB that comes while a batch is being worked on. The kernel
/// grants at most `net.core.rmem_max`, which `duogate doctor` looks at.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Send buffer: 1,000 messages of 1 kB on their way to the wire.
const SEND_BUFFER: usize = 1 << 20;

/// No UDP datagram is longer.
const LONGEST_DATAGRAM: usize = 65_535;

/// Datagrams taken from one socket before all else has its turn again.
pub(crate) const BATCH: usize = 64;

/// The sockets of datagrams, each with its place in `sip.listen`.
#[derive(Debug)]
pub(super) struct Datagrams {
    sockets: Vec<(Listener, UdpSocket)>,
    buffer: Box<[u8]>,
    refused: IntCounter,
    turns: Turns,
}

impl Datagrams {
    /// Binds all sockets. `refused` counts datagrams that the kernel did not take.
    pub(super) fn bind(
        listens: impl Iterator<Item = (usize, Listen)>,
        refused: IntCounter,
    ) -> Result<Self, NetworkError> {
        let sockets = listens.map(|(index, listen)| {
            let listener = Listener(u16::try_from(index).unwrap_or(u16::MAX));
            let socket = socket(listen.address).map_err(|source| NetworkError::Bind { listen, source });
            socket.map(|socket| (listener, socket))
        });
        let sockets = sockets.collect::<Result<_, _>>()?;
        Ok(Self {
            sockets,
            buffer: vec![0; LONGEST_DATAGRAM].into_boxed_slice(),
            refused,
            turns: Turns::default(),
        })
    }

    /// Waits until a socket has something. Safe to be dropped and called again.
    pub(super) async fn readable(&self) -> usize {
        poll_fn(|context| {
            let mut turns = self.turns.of(self.sockets.len());
            let ready = turns.find(|index| self.sockets[*index].1.poll_recv_ready(context).is_ready());
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Takes one datagram from a socket, if there is one.
    pub(super) fn receive(&mut self, index: usize) -> Option<(Listener, SocketAddr, &[u8])> {
        let (listener, socket) = self.sockets.get(index)?;
        self.turns.served(index);
        loop {
            match socket.try_recv_from(&mut self.buffer) {
                Ok((length, source)) => {
                    return Some((*listener, source, &self.buffer[..length]));
                }
                // An earlier datagram of ours met a closed port: nothing to do with what comes in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends a datagram. One that the kernel does not take is counted; SIP sends it again.
    pub(super) fn send(&self, listener: Listener, destination: SocketAddr, bytes: &[u8]) {
        let Some((_, socket)) = self.sockets.iter().find(|(place, _)| *place == listener) else { return };
        if let Err(error) = socket.try_send_to(bytes, destination) {
            self.refused.inc();
            tracing::debug!(%destination, %error, "a SIP message could not be sent");
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_socket_does_not_starve_another() {
        let listens: Vec<Listen> =
            ["udp:127.0.0.1:0", "udp:127.0.0.2:0"].map(|text| text.parse().unwrap()).into();
        let refused = IntCounter::new("refused", "refused").unwrap();
        let mut datagrams = Datagrams::bind(listens.into_iter().enumerate(), refused).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for (_, socket) in &datagrams.sockets {
            for _ in 0..3 {
                sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            }
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            let index = datagrams.readable().await;
            assert!(datagrams.receive(index).is_some());
            order.push(index);
        }
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
    }
}
