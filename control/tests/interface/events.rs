//! Idempotency and webhooks.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::node::{Node, PATIENCE, until};
use crate::party::{Manner, Party};

/// One post as an application received it.
struct Post {
    headers: Vec<(String, String)>,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An application that refuses the first posts of each connection with 500.
fn application(refusals: usize) -> (String, Receiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
    let (posts, received) = channel();
    std::thread::spawn(move || {
        let mut left = refusals;
        for stream in listener.incoming() {
            receive(stream.unwrap(), &mut left, &posts);
        }
    });
    (url, received)
}

fn receive(mut stream: TcpStream, left: &mut usize, posts: &Sender<Post>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut headers = Vec::new();
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap_or(0) > 0 && line.trim() != "" {
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            line.clear();
        }
        let Some(length) = headers.iter().find(|(name, _)| name == "content-length") else { return };
        let mut body = vec![0; length.1.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let status = if *left > 0 { "500 Not Now" } else { "204 No Content" };
        *left = left.saturating_sub(1);
        let _ = posts.send(Post { headers, body: String::from_utf8(body).unwrap() });
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
}

#[test]
fn events_are_posted_in_order_signed_and_until_they_are_taken() {
    let secret = "a secret of sixteen and more";
    let node = Node::start_with("", &format!("[webhook]\nsecret = \"{secret}\"\n"));
    let party = Party::start(Manner::Busy);
    let (url, posts) = application(1);
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "callback_url": url});
    let res_id = node.construct(&params).unwrap()["res_id"].clone();
    let received: Vec<Post> = (0..4).map(|_| posts.recv_timeout(PATIENCE).unwrap()).collect();
    let numbers: Vec<Value> = received.iter().map(|post| post.json()["params"]["seq"].clone()).collect();
    assert_eq!(
        numbers,
        [json!(1), json!(1), json!(2), json!(3)],
        "the first was refused once, none overtook it"
    );
    for post in &received {
        let event = post.json();
        assert_eq!(event["jsonrpc"], "2.0");
        assert_eq!(event["params"]["res_id"], res_id);
        assert_eq!(post.header("duogate-event-id"), event["params"]["event_id"].as_str().unwrap());
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{}.{}", post.header("duogate-timestamp"), post.body).as_bytes());
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(post.header("duogate-signature"), format!("v1={expected}"));
    }
    until("the outbox is empty", || {
        node.get("/metrics").body.contains("duogate_outbox_events{waiting_for=\"webhook\"} 0\n").then_some(())
    });
}

#[test]
fn events_that_no_webhook_took_outlive_the_process() {
    let mut node = Node::start();
    let party = Party::start(Manner::Busy);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9",
        "callback_url": format!("http://127.0.0.1:{port}/late")});
    let res_id = node.construct(&params).unwrap()["res_id"].as_str().unwrap().to_owned();
    node.wait_for_state(&res_id, "Released");
    until("all three wait", || {
        node.get("/metrics").body.contains("duogate_outbox_events{waiting_for=\"webhook\"} 3\n").then_some(())
    });
    node.kill_control();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (sender, posts) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            receive(stream.unwrap(), &mut 0, &sender);
        }
    });
    node.start_control();
    let numbers: Vec<Value> =
        (0..3).map(|_| posts.recv_timeout(PATIENCE).unwrap().json()["params"]["seq"].clone()).collect();
    assert_eq!(numbers, [json!(1), json!(2), json!(3)]);
}

#[test]
fn a_request_that_comes_again_is_answered_again_and_not_done_again() {
    let mut node = Node::start();
    let party = Party::start(Manner::Busy);
    let mut params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "request_id": "key-1"});
    let first = node.construct(&params).unwrap();
    assert_eq!(node.construct(&params).unwrap(), first);
    params["user_data"] = json!("another body");
    let error = node.construct(&params).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32004), &json!("request_id_conflict")));
    let by_header = |key: &str, params: &Value| {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": "ext.duo_callback.construct", "params": params});
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        node.request("POST", "/rpc", &headers, &request.to_string()).json()
    };
    let plain = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9"});
    assert_eq!(by_header("key-1", &plain)["result"], first, "the header and the parameter are one");
    assert_eq!(by_header("key-2", &params)["error"]["code"], -32602, "two keys that differ");
    let listed = node.call("ext.duo_callback.get", &json!([first["res_id"]])).unwrap();
    assert_eq!(listed["res_id"], first["res_id"]);
    node.kill_control();
    node.start_control();
    node.wait_until_ready();
    params["user_data"] = Value::Null;
    assert_eq!(node.construct(&params).unwrap(), first, "also by the next process");
}

#[test]
fn two_equal_requests_at_once_place_one_callback() {
    let node = Node::start();
    let party = Party::start(Manner::Busy);
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "request_id": "twice"});
    let results: Vec<Value> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| node.construct(&params).unwrap())).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
}

fn note(seen: &mut BTreeSet<(String, u64)>, event: &Value) {
    let params = &event["params"];
    seen.insert((params["res_id"].as_str().unwrap().to_owned(), params["seq"].as_u64().unwrap()));
}

fn subscription() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "sys.subscribe", "params": ["all"]}).to_string()
}

#[test]
fn a_websocket_that_does_not_keep_up_is_closed_and_its_events_wait_in_the_outbox() {
    let node = Node::start_with("", "[limits]\nwebsocket_queue = 1\n");
    let party = Party::start(Manner::Busy);
    let mut slow = node.websocket();
    slow.call("sys.subscribe", &json!(["all"]));
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9"});
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "ext.duo_callback.construct", "params": params});
    let batch = Value::from(vec![request; 30]).to_string();
    let answers = node.post(&batch).json();
    let made: Vec<String> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["result"]["res_id"].as_str().unwrap().to_owned())
        .collect();
    let mut seen = BTreeSet::new();
    loop {
        match slow.socket.read() {
            Ok(tungstenite::Message::Text(text)) => note(&mut seen, &serde_json::from_str(&text).unwrap()),
            Ok(tungstenite::Message::Close(frame)) => {
                let frame = frame.unwrap();
                assert_eq!(u16::from(frame.code), 1008);
                assert!(frame.reason.contains("too slow"), "{frame}");
                break;
            }
            Ok(_) => {}
            Err(error) => panic!("no closing frame: {error}"),
        }
    }
    for res_id in &made {
        node.wait_for_state(res_id, "Released");
    }
    // One that goes without having read takes nothing with it.
    let mut hasty = node.websocket();
    hasty.socket.send(tungstenite::Message::text(subscription())).unwrap();
    drop(hasty);
    until("the rest is collected", || {
        // This one may be too slow as well; what it was sent counts all the same.
        let mut socket = node.websocket();
        socket.socket.send(tungstenite::Message::text(subscription())).unwrap();
        socket.socket.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        while let Ok(message) = socket.socket.read() {
            let tungstenite::Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["method"].is_string() {
                note(&mut seen, &message);
            }
        }
        let empty =
            node.get("/metrics").body.contains("duogate_outbox_events{waiting_for=\"subscriber\"} 0\n");
        (empty && seen.len() >= made.len() * 3).then_some(())
    });
    let expected = made.iter().flat_map(|res_id| (1..=3).map(|seq| (res_id.clone(), seq))).collect();
    assert_eq!(seen, expected, "every event came to somebody");
}

/// Puts events into the outbox of a control plane that does not run.
fn leave(node: &Node, events: u32) {
    let mut store = rusqlite::Connection::open(node.path("state/duogate.db")).unwrap();
    let transaction = store.transaction().unwrap();
    for number in 0..events {
        let body = json!({"jsonrpc": "2.0", "method": "test", "params": {"number": number}}).to_string();
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let time = i64::try_from(time.as_millis()).unwrap();
        transaction
            .prepare_cached(
                "INSERT INTO outbox (event_id, res_id, seq, time, body) VALUES (?1, ?1, 1, ?2, ?3)",
            )
            .unwrap()
            .execute(rusqlite::params![format!("left-{number}"), time, body])
            .unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_long_backlog_comes_to_its_subscriber_as_fast_as_that_reads() {
    const LEFT: u32 = 70_000;
    let mut node = Node::start();
    node.terminate();
    leave(&node, LEFT);
    node.start_control();
    node.wait_until_ready();
    let mut socket = node.websocket();
    socket.socket.send(tungstenite::Message::text(subscription())).unwrap();
    let mut next = 0;
    while next < LEFT {
        let message = socket.socket.read().unwrap();
        let tungstenite::Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["method"] == "test" {
            assert_eq!(message["params"]["number"], next, "in order, each once");
            next += 1;
        } else {
            assert_eq!(message["id"], 1, "answered before the replay is over");
            assert!(next < LEFT);
        }
    }
    until("all is confirmed", || {
        // Reading answers the last ping.
        socket.socket.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        let _ = socket.socket.read();
        node.get("/metrics")
            .body
            .contains("duogate_outbox_events{waiting_for=\"subscriber\"} 0\n")
            .then_some(())
    });
}

#[test]
fn a_webhook_that_takes_nothing_has_a_limit_and_others_have_their_own() {
    let node = Node::start_with("", "[limits]\nwebhook_events_per_host = 2\n");
    let party = Party::start(Manner::Busy);
    let construct = |callback_url: Value| {
        let params =
            json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "callback_url": callback_url});
        node.construct(&params)
    };
    let made = construct(json!("http://127.0.0.1:9/dead")).unwrap();
    node.wait_for_state(made["res_id"].as_str().unwrap(), "Released");
    let refusal =
        until("its events fill the host's share", || construct(json!("http://127.0.0.1:9/other")).err());
    assert_eq!((&refusal["code"], &refusal["data"]["parameter"]), (&json!(-32003), &json!("callback_url")));
    assert_eq!(refusal["data"]["reason"], "overloaded");
    assert!(refusal["data"]["retry_after_seconds"].is_u64(), "{refusal}");
    assert!(construct(json!("http://127.0.0.1:10/")).is_ok(), "another port is another receiver");
    assert!(construct(Value::Null).is_ok(), "no webhook, no limit of it");
}
