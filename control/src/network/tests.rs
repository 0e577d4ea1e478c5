//! Streams between two networks, and between one and a peer that does not behave.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use duogate_configuration::{Configuration, Sip, Transport};
use duogate_signaling::endpoint::Listener;
use prometheus::IntCounter;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Heard, Network};

const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";

/// A network that listens on a free port of that transport.
struct Node {
    network: Network,
    heard: mpsc::Receiver<Heard>,
    address: SocketAddr,
}

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Node {
    fn new(transport: Transport, change: impl FnOnce(&mut Sip)) -> Self {
        let address = free();
        let mut sip = Sip {
            listen: vec![format!("{}:{address}", transport.name()).parse().unwrap()],
            ..Sip::default()
        };
        change(&mut sip);
        let configuration = Configuration { sip, ..Configuration::default() };
        let refused = IntCounter::new("refused", "refused").unwrap();
        let (network, heard) = Network::bind(&configuration, refused).unwrap();
        Self { network, heard, address }
    }

    fn send(&mut self, to: SocketAddr) {
        self.network.send(Listener(0), to, MESSAGE);
    }

    /// The next message, and where it came from.
    async fn message(&mut self) -> (SocketAddr, Vec<u8>) {
        loop {
            let heard = timeout(Duration::from_secs(10), self.heard.recv()).await.unwrap().unwrap();
            self.network.heard(&heard);
            if let Heard::Message { source, bytes, .. } = heard {
                return (source, bytes);
            }
        }
    }

    /// The next place that could not be reached.
    async fn failure(&mut self) -> SocketAddr {
        loop {
            let heard = timeout(Duration::from_secs(10), self.heard.recv()).await.unwrap().unwrap();
            self.network.heard(&heard);
            if let Some((_, peer)) = heard.unreachable() {
                return peer;
            }
        }
    }
}

#[tokio::test]
async fn rfc3261_18_a_connection_is_used_both_ways_and_again() {
    let mut one = Node::new(Transport::Tcp, |_| {});
    let mut two = Node::new(Transport::Tcp, |_| {});
    one.send(two.address);
    one.send(two.address);
    let (source, bytes) = two.message().await;
    assert_eq!(bytes, MESSAGE);
    assert_eq!(two.message().await.0, source, "over the same connection");
    two.send(source);
    assert_eq!(one.message().await.0, two.address, "and back over it");
}

#[tokio::test]
async fn rfc3261_18_3_messages_are_found_in_pieces_and_in_heaps() {
    let mut node = Node::new(Transport::Tcp, |_| {});
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&[MESSAGE, b"\r\n", MESSAGE, &MESSAGE[..20]].concat()).await.unwrap();
    assert_eq!(node.message().await.1, MESSAGE);
    assert_eq!(node.message().await.1, MESSAGE);
    stream.write_all(&MESSAGE[20..]).await.unwrap();
    assert_eq!(node.message().await.1, MESSAGE);
}

#[tokio::test]
async fn rfc5626_4_4_1_a_keep_alive_is_answered_and_nonsense_ends_the_connection() {
    let node = Node::new(Transport::Tcp, |_| {});
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    timeout(Duration::from_secs(10), stream.read_exact(&mut pong)).await.unwrap().unwrap();
    assert_eq!(&pong, b"\r\n");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let ended = timeout(Duration::from_secs(10), stream.read(&mut pong)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn rfc3261_8_1_3_1_a_peer_that_is_not_there_is_told_of() {
    let mut node = Node::new(Transport::Tcp, |_| {});
    let nobody = free();
    node.send(nobody);
    assert_eq!(node.failure().await, nobody);
}

#[tokio::test]
async fn connections_that_say_nothing_take_a_bounded_share() {
    let mut node = Node::new(Transport::Tcp, |sip| sip.max_connections = 3);
    let mut silent = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(MESSAGE).await.unwrap();
        node.message().await;
        silent.push(stream);
    }
    let mut fourth = TcpStream::connect(node.address).await.unwrap();
    let ended = timeout(Duration::from_secs(10), fourth.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "closed at once");
    // When one goes, there is room again.
    silent.pop();
    loop {
        let mut again = TcpStream::connect(node.address).await.unwrap();
        let _ = again.write_all(MESSAGE).await;
        if timeout(Duration::from_millis(500), node.message()).await.is_ok() {
            break;
        }
    }
}

/// An authority's file, and a certificate of its for these names.
fn certificates(folder: &Path, names: &[&str]) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

fn secure(folder: &Path, authority: &Path) -> Node {
    Node::new(Transport::Tls, |sip| {
        sip.certificate = Some(folder.join("certificate.pem"));
        sip.key = Some(folder.join("key.pem"));
        sip.authorities = Some(authority.join("authority.pem"));
        sip.client_certificates = true;
    })
}

#[tokio::test]
async fn rfc3261_26_2_tls_with_certificates_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["127.0.0.1", "carrier.example"]);
    let mut one = secure(folder.path(), folder.path());
    let mut two = secure(folder.path(), folder.path());
    one.send(two.address);
    let (source, bytes) = two.message().await;
    assert_eq!(bytes, MESSAGE);
    two.send(source);
    assert_eq!(one.message().await.1, MESSAGE);
}

#[tokio::test]
async fn rfc5922_7_1_the_name_that_was_looked_up_is_the_one_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["carrier.example"]);
    for (name, good) in [("carrier.example", true), ("other.example", false)] {
        let mut one = secure(folder.path(), folder.path());
        let mut two = secure(folder.path(), folder.path());
        one.network.located(name, two.address);
        one.send(two.address);
        if good {
            assert_eq!(two.message().await.1, MESSAGE);
        } else {
            assert_eq!(one.failure().await, two.address);
        }
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(folder.path(), &["127.0.0.1"]);
    certificates(other.path(), &["127.0.0.1"]);
    let mut one = secure(folder.path(), other.path());
    let two = secure(folder.path(), folder.path());
    one.send(two.address);
    assert_eq!(one.failure().await, two.address);
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["127.0.0.1"]);
    std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
    let sip = Sip {
        certificate: Some(folder.path().join("certificate.pem")),
        key: Some(folder.path().join("key.pem")),
        ..Sip::default()
    };
    let error = super::tls::Tls::new(&sip).unwrap_err().to_string();
    assert!(error.starts_with("sip.key: ") && error.contains("key.pem"), "{error}");
}
