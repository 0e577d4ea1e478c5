//! Against a name server of a few lines on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use duogate_configuration::{Listen, Sip};
use duogate_signaling::endpoint::output::Transport;
use duogate_signaling::endpoint::{Query, Question};
use tokio::net::UdpSocket;

use super::choice::{Server, order};
use super::{Finder, Names};

/// Answers by name and type, each the data of a record.
type Zone = Arc<Mutex<HashMap<(String, u16), Vec<Vec<u8>>>>>;

const A: u16 = 1;
const NAPTR: u16 = 35;
const SRV: u16 = 33;

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Vec<u8> {
    [&priority.to_be_bytes()[..], &weight.to_be_bytes(), &port.to_be_bytes(), &name(target)].concat()
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let head = [order.to_be_bytes(), preference.to_be_bytes()].concat();
    [head, text("s"), text(service), text(""), name(replacement)].concat()
}

/// Serves a zone until the test ends; every record may be kept for no time at all.
async fn serve(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((octets, from)) = socket.recv_from(&mut buffer).await {
            let asked = &buffer[12..octets];
            let end = asked.iter().position(|octet| *octet == 0).unwrap() + 1;
            let mut labels = Vec::new();
            let mut at = 0;
            while asked[at] != 0 {
                let length = usize::from(asked[at]);
                labels.push(String::from_utf8_lossy(&asked[at + 1..=at + length]).to_ascii_lowercase());
                at += length + 1;
            }
            let kind = u16::from_be_bytes([asked[end], asked[end + 1]]);
            let found = zone.lock().unwrap().get(&(labels.join("."), kind)).cloned().unwrap_or_default();
            if found.iter().any(Vec::is_empty) {
                // Dropped, as some boxes do with what they do not know.
                continue;
            }
            let count = u16::try_from(found.len()).unwrap().to_be_bytes();
            let code = if found.is_empty() { 3 } else { 0 };
            let mut answer = [&buffer[..2], &[0x84, code, 0, 1, count[0], count[1], 0, 0, 0, 0]].concat();
            answer.extend_from_slice(&asked[..end + 4]);
            for data in found {
                answer.extend_from_slice(&[0xc0, 12]);
                answer.extend_from_slice(&kind.to_be_bytes());
                answer.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
                answer.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
                answer.extend_from_slice(&data);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    });
    address
}

fn zone(records: Vec<(&str, u16, Vec<u8>)>) -> Zone {
    let mut zone: HashMap<(String, u16), Vec<Vec<u8>>> = HashMap::new();
    for (name, kind, data) in records {
        zone.entry((name.to_owned(), kind)).or_default().push(data);
    }
    Arc::new(Mutex::new(zone))
}

async fn finder(zone: Zone, listen: &[&str]) -> Finder {
    let listen: Vec<Listen> = listen.iter().map(|text| text.parse().unwrap()).collect();
    Finder::new(&Sip { listen, name_servers: vec![serve(zone).await], ..Sip::default() })
}

async fn find(finder: &Finder, host: &str, port: Option<u16>, transport: Option<Transport>) -> Vec<String> {
    let question = Question { host: host.to_owned(), port, transport };
    let found = finder.find(&question).await;
    found.iter().map(|place| format!("{}:{}", place.transport.as_str(), place.address)).collect()
}

fn carrier() -> Zone {
    zone(vec![
        ("carrier.example", NAPTR, naptr(20, 1, "SIP+D2U", "_sip._udp.carrier.example")),
        ("carrier.example", NAPTR, naptr(10, 1, "SIP+D2T", "_sip._tcp.carrier.example")),
        ("carrier.example", NAPTR, naptr(5, 1, "SIPS+D2T", "_sips._tcp.carrier.example")),
        ("carrier.example", A, vec![192, 0, 2, 9]),
        ("_sip._udp.carrier.example", SRV, srv(20, 0, 5070, "b.carrier.example")),
        ("_sip._udp.carrier.example", SRV, srv(10, 0, 5060, "a.carrier.example")),
        ("_sip._tcp.carrier.example", SRV, srv(10, 0, 5080, "a.carrier.example")),
        ("_sips._tcp.carrier.example", SRV, srv(10, 0, 5061, "a.carrier.example")),
        ("a.carrier.example", A, vec![192, 0, 2, 1]),
        ("b.carrier.example", A, vec![192, 0, 2, 2]),
    ])
}

#[tokio::test]
async fn rfc3263_4_1_naptr_chooses_among_the_transports_that_are_served() {
    let both = finder(carrier(), &["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]).await;
    let expected = ["TCP:192.0.2.1:5080", "UDP:192.0.2.1:5060", "UDP:192.0.2.2:5070"];
    assert_eq!(find(&both, "carrier.example", None, None).await, expected);
    let udp = finder(carrier(), &["udp:127.0.0.1:5060"]).await;
    assert_eq!(find(&udp, "carrier.example", None, None).await, expected[1..]);
}

#[tokio::test]
async fn rfc3263_4_2_a_port_leaves_the_address_and_a_transport_leaves_srv() {
    let finder = finder(carrier(), &["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]).await;
    assert_eq!(find(&finder, "carrier.example", Some(5099), None).await, ["UDP:192.0.2.9:5099"]);
    let tcp = Some(Transport::Tcp);
    assert_eq!(find(&finder, "carrier.example", Some(5099), tcp).await, ["TCP:192.0.2.9:5099"]);
    assert_eq!(find(&finder, "carrier.example", None, tcp).await, ["TCP:192.0.2.1:5080"]);
    assert_eq!(find(&finder, "a.carrier.example", None, tcp).await, ["TCP:192.0.2.1:5060"]);
}

#[tokio::test]
async fn rfc3263_4_2_without_any_record_but_the_address_that_has_to_do() {
    let zone = zone(vec![("plain.example", A, vec![192, 0, 2, 5])]);
    let finder = finder(Arc::clone(&zone), &["udp:127.0.0.1:5060"]).await;
    assert_eq!(find(&finder, "plain.example", None, None).await, ["UDP:192.0.2.5:5060"]);
    assert!(find(&finder, "gone.example", None, None).await.is_empty());
    // The name service is asked anew when what it said has run out.
    zone.lock().unwrap().insert(("plain.example".into(), A), vec![vec![192, 0, 2, 6]]);
    assert_eq!(find(&finder, "plain.example", None, None).await, ["UDP:192.0.2.6:5060"]);
}

#[tokio::test]
async fn a_name_server_that_drops_what_it_does_not_know_does_not_hide_the_address() {
    let zone = zone(vec![
        ("dull.example", NAPTR, Vec::new()),
        ("_sip._udp.dull.example", SRV, Vec::new()),
        ("_sip._tcp.dull.example", SRV, Vec::new()),
        ("dull.example", A, vec![192, 0, 2, 7]),
    ]);
    let (names, mut located) = Names::new(finder(zone, &["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]).await);
    let question = Question { host: "dull.example".into(), port: None, transport: None };
    assert!(names.locate(Query(1), question));
    let found = located.recv().await.unwrap().found.unwrap();
    assert_eq!(found[0].address.to_string(), "192.0.2.7:5060");
}

#[test]
fn rfc2782_priorities_decide_and_weights_share_out() {
    let server = |priority, weight, port| Server { priority, weight, port, target: String::new() };
    let servers = vec![server(2, 100, 3), server(1, 1, 1), server(1, 3, 2), server(1, 0, 0)];
    let mut first = [0; 4];
    for lot in 0..=4 {
        let mut lots = [lot].into_iter();
        let ordered = order(servers.clone(), |_| lots.next().unwrap_or(0));
        assert_eq!(ordered.last().unwrap().port, 3);
        assert_eq!(ordered.len(), 4);
        first[usize::from(ordered[0].port)] += 1;
    }
    assert_eq!(first, [1, 1, 3, 0]);
}
