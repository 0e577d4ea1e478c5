//! Streams between two networks, and between one and a peer that does not behave.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use duogate_configuration::{Configuration, Sip, Transport};
use duogate_signaling::endpoint::Listener;
use prometheus::IntCounter;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::{Ends, KEEP_ALIVE, Work, carry};
use super::{Heard, Network};

const MESSAGE: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody";

/// A network that listens on a free port of that transport.
struct Node {
    network: Network,
    heard: mpsc::Receiver<Heard>,
    address: SocketAddr,
}

fn free() -> SocketAddr {
    free_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn free_at(address: IpAddr) -> SocketAddr {
    std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

impl Node {
    fn new(transport: Transport, change: impl FnOnce(&mut Sip)) -> Self {
        Self::at(free(), transport, change)
    }

    fn at(address: SocketAddr, transport: Transport, change: impl FnOnce(&mut Sip)) -> Self {
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
async fn rfc3261_18_1_1_many_messages_at_once_go_over_one_connection() {
    const MANY: usize = 1_000;
    let mut node = Node::new(Transport::Tcp, |_| {});
    let peer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = peer.local_addr().unwrap();
    for _ in 0..MANY {
        node.send(address);
    }
    let (mut stream, _) = timeout(Duration::from_secs(10), peer.accept()).await.unwrap().unwrap();
    let mut all = vec![0; MANY * MESSAGE.len()];
    timeout(Duration::from_secs(10), stream.read_exact(&mut all)).await.unwrap().unwrap();
    assert!(all.chunks(MESSAGE.len()).all(|message| message == MESSAGE));
    assert!(timeout(Duration::from_millis(100), peer.accept()).await.is_err(), "no other was made");
}

#[tokio::test]
async fn rfc3261_8_1_3_1_a_peer_that_is_not_there_is_told_of() {
    let mut node = Node::new(Transport::Tcp, |_| {});
    let nobody = free();
    node.send(nobody);
    assert_eq!(node.failure().await, nobody);
}

#[tokio::test]
async fn rfc3261_26_3_2_4_connections_that_say_nothing_take_a_bounded_share() {
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

/// Certificate and key of one folder, the authority of another; who connects has to show a certificate.
fn papers(sip: &mut Sip, folder: &Path, authority: &Path) {
    sip.certificate = Some(folder.join("certificate.pem"));
    sip.key = Some(folder.join("key.pem"));
    sip.authorities = Some(authority.join("authority.pem"));
    sip.client_certificates = true;
}

fn secure(folder: &Path, authority: &Path) -> Node {
    Node::new(Transport::Tls, |sip| papers(sip, folder, authority))
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

/// A message goes to the other node, and one comes back over the same connection.
async fn talk(one: &mut Node, two: &mut Node) {
    one.send(two.address);
    let (source, bytes) = two.message().await;
    assert_eq!(bytes, MESSAGE);
    two.send(source);
    assert_eq!(one.message().await, (two.address, MESSAGE.to_vec()));
}

#[tokio::test]
async fn rfc3261_18_streams_over_ipv6() {
    let ours = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let mut one = Node::at(free_at(ours), Transport::Tcp, |_| {});
    let mut two = Node::at(free_at(ours), Transport::Tcp, |_| {});
    talk(&mut one, &mut two).await;

    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["::1"]);
    let mut one = Node::at(free_at(ours), Transport::Tls, |sip| papers(sip, folder.path(), folder.path()));
    let mut two = Node::at(free_at(ours), Transport::Tls, |sip| papers(sip, folder.path(), folder.path()));
    talk(&mut one, &mut two).await;
}

#[tokio::test]
async fn rfc3261_18_several_addresses_at_once_each_with_its_own_connections() {
    let six = free_at(IpAddr::V6(Ipv6Addr::LOCALHOST));
    let second = free();
    let mut node = Node::new(Transport::Tcp, |sip| {
        sip.listen.push(format!("tcp:{second}").parse().unwrap());
        sip.listen.push(format!("tcp:{six}").parse().unwrap());
        sip.listen.push(format!("udp:{six}").parse().unwrap());
    });
    let mut others = [Node::new(Transport::Tcp, |_| {}), Node::at(free_at(six.ip()), Transport::Tcp, |_| {})];
    for (listener, other) in [(0, 0), (1, 0), (2, 1)] {
        let to = others[other].address;
        node.network.send(Listener(listener), to, MESSAGE);
        let (source, _) = others[other].message().await;
        others[other].send(source);
        let heard = loop {
            let heard = timeout(Duration::from_secs(10), node.heard.recv()).await.unwrap().unwrap();
            node.network.heard(&heard);
            if let Heard::Message { listener, source, .. } = heard {
                break (listener, source);
            }
        };
        assert_eq!(heard, (Listener(listener), to), "what comes back is of the socket that was used");
    }
    let datagram = std::net::UdpSocket::bind("[::1]:0").unwrap();
    datagram.send_to(MESSAGE, six).unwrap();
    let index = timeout(Duration::from_secs(10), node.network.readable()).await.unwrap();
    let (listener, source, bytes) = node.network.receive(index).unwrap();
    let own = datagram.local_addr().unwrap();
    assert_eq!((listener, source, bytes), (Listener(3), own, MESSAGE));
}

#[tokio::test]
async fn rfc5626_3_5_1_our_idle_connections_are_kept_alive() {
    assert!((95..=120).contains(&KEEP_ALIVE.as_secs()), "section 4.4.1");
    let (ours, mut theirs) = tokio::io::duplex(1_024);
    let (heard, mut hears) = mpsc::channel(1);
    let (messages, queue) = mpsc::channel(1);
    let ends = Ends { listener: Listener(0), peer: free() };
    let gap = Duration::from_millis(20);
    let work = Work { ends, heard, messages: queue, keep_alive: Some(gap), idle: Duration::from_secs(60) };
    let carried = tokio::spawn(carry(ours, work));
    for _ in 0..3 {
        let mut ping = [0; 4];
        timeout(Duration::from_secs(10), theirs.read_exact(&mut ping)).await.unwrap().unwrap();
        assert_eq!(&ping, b"\r\n\r\n");
        theirs.write_all(b"\r\n").await.unwrap();
    }
    // The answers are no messages, and messages still pass.
    theirs.write_all(MESSAGE).await.unwrap();
    let heard = timeout(Duration::from_secs(10), hears.recv()).await.unwrap().unwrap();
    assert!(matches!(heard, Heard::Message { bytes, .. } if bytes == MESSAGE));
    drop(messages);
    assert!(!carried.await.unwrap(), "its end is no failure");
}

#[tokio::test]
async fn new_connections_use_certificates_that_were_read_again() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["127.0.0.1"]);
    let mut one = secure(folder.path(), folder.path());
    let mut two = secure(folder.path(), folder.path());
    talk(&mut one, &mut two).await;

    // Another authority: who still has the old papers trusts nobody of it.
    certificates(folder.path(), &["127.0.0.1"]);
    let renew = |node: &Node| {
        let mut sip = Sip { listen: node.network.listens.clone(), ..Sip::default() };
        papers(&mut sip, folder.path(), folder.path());
        let papers = node.network.papers();
        papers.renew(papers.read_again(&sip).unwrap());
    };
    renew(&two);
    talk(&mut one, &mut two).await; // over the connection that is open
    let mut third = secure(folder.path(), folder.path());
    talk(&mut third, &mut two).await;
    third.send(one.address);
    assert_eq!(third.failure().await, one.address, "it was not told");
    renew(&one);
    talk(&mut third, &mut one).await;

    // What cannot be used changes nothing.
    std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
    let mut sip = Sip { listen: one.network.listens.clone(), ..Sip::default() };
    papers(&mut sip, folder.path(), folder.path());
    assert!(one.network.papers().read_again(&sip).is_err());
    certificates(folder.path(), &["127.0.0.1"]);
}

#[tokio::test]
async fn rfc3261_26_3_1_who_shows_no_certificate_is_refused_where_one_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), &["127.0.0.1"]);
    let mut node = secure(folder.path(), folder.path());
    let authority = folder.path().join("authority.pem");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_file_iter(authority).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let anonymous = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(anonymous));
    let stream = TcpStream::connect(node.address).await.unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(node.address.ip().into());
    // In TLS 1.3 the refusal comes after the client's part is done.
    if let Ok(mut stream) = connector.connect(name, stream).await {
        let _ = stream.write_all(MESSAGE).await;
        let ended = timeout(Duration::from_secs(10), stream.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
    assert!(node.heard.try_recv().is_err(), "nothing of it is heard");
}
