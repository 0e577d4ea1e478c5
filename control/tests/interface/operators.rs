//! The operators' interface: tokens, health, metrics, drain, records, the console.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::node::{Node, until};
use crate::party::{Manner, Party};

/// SHA-256 of `caller-token`, `reader-token`, `operator-token`.
const TOKENS: &str = "
[[http.tokens]]
name = \"app\"
sha256 = \"42759dabeaa13003b4a08844d414105fbbe66726b223dccb182613678f2c0d1a\"
rights = [\"call\"]
[[http.tokens]]
name = \"monitor\"
sha256 = \"ba5005a40cf5212e4ac0190104cc127edab013294bb71279a975b27a80982d45\"
rights = [\"read\"]
[[http.tokens]]
name = \"operator\"
sha256 = \"0850123315d21ab90f4f7236408a52ef6dbd6a02a6550e5c10dc73f4d993680e\"
rights = [\"operate\", \"read\"]
";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n")
}

#[test]
fn tokens_open_what_their_rights_say_and_nothing_else() {
    let node = Node::start_with(TOKENS, "");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ext.duo_callback.drop","params":["x"]}"#;
    for headers in ["Content-Type: application/json\r\n".to_owned(), bearer("wrong"), bearer("")] {
        let answer = node.request("POST", "/rpc", &headers, body);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"duogate\""));
        assert_eq!(answer.json()["error"]["data"]["reason"], "forbidden");
    }
    let code =
        |token: &str| node.request("POST", "/rpc", &bearer(token), body).json()["error"]["code"].clone();
    assert_eq!(code("caller-token"), -32001, "allowed, and not there");
    assert_eq!(code("reader-token"), -32006);
    let status =
        |method: &str, path: &str, token: &str| node.request(method, path, &bearer(token), "").status;
    for (method, path) in
        [("GET", "/v1/callbacks"), ("GET", "/v1/cdrs"), ("GET", "/v1/shards"), ("GET", "/metrics")]
    {
        assert_eq!(status(method, path, "reader-token"), 200, "{path}");
        assert_eq!(status(method, path, "caller-token"), 403, "{path}");
        assert_eq!(status(method, path, "x"), 401, "{path}");
    }
    for (method, path) in [("POST", "/v1/drain"), ("DELETE", "/v1/drain"), ("POST", "/v1/reload")] {
        assert_eq!(status(method, path, "reader-token"), 403, "{path}");
        assert_eq!(status(method, path, "operator-token"), 200, "{path}");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/"] {
        assert_eq!(node.get(path).status, 200, "{path}");
    }
    assert!(!node.log().contains("-token"), "tokens are not logged");
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let node = Node::prepare("", "");
    let file = node.path("duogate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("127.0.0.1", "0.0.0.0", 1)).unwrap();
    let output = node.command().output().unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("http.listen") && complaint.contains("token"), "{complaint}");
}

#[test]
fn a_taken_port_is_named() {
    let (node, other) = (Node::start(), Node::prepare("", ""));
    let text = std::fs::read_to_string(node.path("duogate.toml")).unwrap();
    let free = std::fs::read_to_string(other.path("duogate.toml")).unwrap();
    let sip = |text: &str| text.lines().find(|line| line.contains("udp:")).unwrap().to_owned();
    for (key, taken) in [
        ("sip.listen", free.replace(&sip(&free), &sip(&text))),
        ("http.listen", text.replace(&sip(&text), &sip(&free))),
    ] {
        std::fs::write(other.path("duogate.toml"), taken).unwrap();
        let output = other.command().output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{key}");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(complaint.contains(key) && complaint.contains("in use"), "{complaint}");
        assert!(!complaint.contains('\u{1b}'), "a log that is no terminal has no colors: {complaint}");
    }
}

#[test]
fn a_file_where_a_folder_should_be_is_named() {
    for (folder, key) in
        [("recordings", "media.recordings"), ("prompts", "media.prompts"), ("state", "store.path")]
    {
        let node = Node::prepare("", "");
        std::fs::write(node.path(folder), b"a file").unwrap();
        let output = node.command().output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{key}");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        let path = node.path(folder).display().to_string();
        assert!(complaint.contains(key) && complaint.contains(&path), "{complaint}");
    }
}

/// Else it would take recordings under way for left over.
#[test]
fn a_second_process_on_the_same_recordings_ends_before_it_touches_any() {
    let node = Node::start();
    let root = node.path("recordings");
    let other = Node::prepare("", &format!("[media]\nrecordings = {root:?}\n"));
    std::fs::write(root.join("under-way.wav.part"), b"sound").unwrap();
    let output = other.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        complaint.contains("media.recordings") && complaint.contains("another control plane"),
        "{complaint}"
    );
    assert_eq!(std::fs::read(root.join("under-way.wav.part")).unwrap(), b"sound");
}

#[test]
fn a_second_process_on_the_same_store_does_not_start() {
    let node = Node::start();
    let other =
        Node::prepare("", &format!("[store]\npath = \"{}\"\n", node.path("state/duogate.db").display()));
    let output = other.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("store.path") && complaint.contains("another process"), "{complaint}");
}

#[test]
fn draining_refuses_new_calls_by_name_and_can_be_taken_back() {
    let node = Node::start();
    let party = Party::start(Manner::Busy);
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9"});
    assert_eq!(node.request("POST", "/v1/drain", "", "").json()["draining"], true);
    assert_eq!(node.get("/readyz").status, 503);
    let error = node.construct(&params).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32007), &json!("draining")));
    assert_eq!(node.request("DELETE", "/v1/drain", "", "").json()["draining"], false);
    node.construct(&params).unwrap();
}

#[test]
fn limits_refuse_with_a_time_to_come_back() {
    let node = Node::start_with("", "[limits]\nmax_calls = 1\n");
    let party = Party::start(Manner::Rings);
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9"});
    let first = node.construct(&params).unwrap();
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "ext.duo_callback.construct", "params": params});
    let answer = node.post(&request.to_string());
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32003), &json!("overloaded")));
    let seconds = error["data"]["retry_after_seconds"].to_string();
    assert_eq!(answer.header("retry-after"), Some(seconds.as_str()));
    let path = format!("/v1/callbacks/{}", first["res_id"].as_str().unwrap());
    assert_eq!(node.get(&path).json()["res_id"], first["res_id"]);
    assert_eq!(node.request("DELETE", &path, "", "").status, 204);
    node.wait_for_state(first["res_id"].as_str().unwrap(), "Released");
    until("it is over for REST too", || (node.request("DELETE", &path, "", "").status == 409).then_some(()));
    assert_eq!(node.request("DELETE", "/v1/callbacks/none", "", "").status, 404);
}

#[test]
fn records_come_as_json_and_csv_page_by_page() {
    let node = Node::start();
    let party = Party::start(Manner::Busy);
    for _ in 0..3 {
        let params =
            json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "user_data": "a,\"b\""});
        let res_id = node.construct(&params).unwrap()["res_id"].clone();
        node.wait_for_state(res_id.as_str().unwrap(), "Released");
    }
    let all = until("three records", || {
        let records = node.get("/v1/cdrs").json()["cdrs"].as_array().unwrap().clone();
        (records.len() == 3).then_some(records)
    });
    assert_eq!((&all[0]["cause"], &all[0]["party"]), (&json!(486), &json!(1)));
    let page = node.get("/v1/cdrs?limit=2").json();
    let next = page["next"].as_str().unwrap();
    let rest = node.get(&format!("/v1/cdrs?cursor={next}")).json();
    assert_eq!((rest["cdrs"].as_array().unwrap().len(), &rest["next"]), (1, &serde_json::Value::Null));
    assert_eq!(node.get("/v1/cdrs?since=4000000000").json()["cdrs"], json!([]));
    for path in ["/v1/callbacks/%ff", "/v1/recordings/%ff", "/v1/recordings/..%2fduogate.toml"] {
        let answer = node.get(path);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!(-32001)), "{path}");
    }
    let csv = node.request("GET", "/v1/cdrs", "Accept: text/csv\r\n", "");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert!(csv.body.contains("\"a,\"\"b\"\"\"") && csv.body.contains(",486,busy,"), "{}", csv.body);
    for (query, parameter) in
        [("since=x", "since"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("a=1", "a")]
    {
        let answer = node.get(&format!("/v1/cdrs?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["error"]["data"]["parameter"], parameter);
    }
}

#[test]
fn metrics_health_and_pages_are_there() {
    let node = Node::start();
    let metrics = node.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for name in [
        "duogate_calls{state=\"Connected\"} 0",
        "duogate_shard_packets_received_total{shard=\"0\"} 0",
        "duogate_shard_dropped_kernel_total{shard=\"0\"} 0",
        "duogate_shard_heartbeat_age_seconds{shard=\"0\"}",
        "duogate_construct_to_invite_seconds_count 0",
        "duogate_answer_to_invite_seconds_count 0",
        "duogate_set_up_seconds_count 0",
        "duogate_outbox_events{waiting_for=\"webhook\"} 0",
        "duogate_store_commit_seconds_count",
        "duogate_node{condition=\"media_attached\"} 1",
    ] {
        assert!(metrics.body.lines().any(|line| line.starts_with(name)), "{name} in\n{}", metrics.body);
    }
    assert_eq!(node.get("/healthz").status, 200);
    let ready = node.get("/readyz").json();
    assert_eq!((&ready["media_attached"], &ready["store_writable"]), (&json!(true), &json!(true)));
    let shards = node.get("/v1/shards").json();
    assert_eq!((&shards["attached"], &shards["shards"][0]["sessions"]), (&json!(true), &json!(50)));
    let trunk = node.get("/v1/trunks").json()["trunks"][0].clone();
    assert_eq!(
        (&trunk["name"], &trunk["up"], &trunk["registered"]),
        (&json!("loopback"), &json!(true), &json!(null))
    );
    for key in ["calls", "attempts", "answered", "waiting", "skipped"] {
        assert_eq!(trunk[key], 0, "{key}");
    }
    let page = node.get("/");
    assert!(page.body.contains("<title>Duogate</title>") && !page.body.contains("https://"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(node.get("/openapi.json").json()["openapi"], "3.1.0");
}

#[test]
fn a_wrong_configuration_is_not_taken_at_reload() {
    let node = Node::start();
    assert_eq!(node.request("POST", "/v1/reload", "", "").json()["reloaded"], true);
    let file = node.path("duogate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + "\n[limits]\nmax_cals = 1\n").unwrap();
    let answer = node.request("POST", "/v1/reload", "", "");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("max_cals"), "{}", answer.body);
    assert_eq!(node.get("/readyz").status, 200);
}

/// Connects from an address of this host, and asks for nothing.
fn idle(node: &Node, last: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], node.http)).into()).unwrap();
    socket.into()
}

#[test]
fn connections_that_ask_for_nothing_leave_room_for_those_that_do() {
    let node = Node::start_with("", "[limits]\nmax_websockets = 1\n");
    // As many as there are places, and a few that wait in the kernel; none of an address is beyond its share.
    let idle: Vec<TcpStream> =
        (10..16).flat_map(|last| (0..172).map(move |_| last)).map(|last| idle(&node, last)).collect();
    assert_eq!(node.get("/healthz").status, 200, "as soon as the idle ones were sent away");
    drop(idle);
}

#[test]
fn connections_of_one_address_that_ask_for_nothing_leave_room_for_others_at_once() {
    let node = Node::start_with("", "[limits]\nmax_websockets = 1\n");
    // One that has been allowed in is none of them.
    let mut known = idle(&node, 10);
    let ask = b"GET /v1/trunks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let answered = |stream: &mut TcpStream| {
        stream.write_all(ask).unwrap();
        let mut answer = [0; 4_096];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
    };
    answered(&mut known);
    let idle: Vec<TcpStream> = (0..1_030).map(|_| idle(&node, 10)).collect();
    let asked = Instant::now();
    assert_eq!(node.get("/healthz").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(5), "places were free: {:?}", asked.elapsed());
    answered(&mut known);
    let closed = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    until("those beyond its share are closed", || {
        (idle.iter().filter(|stream| closed(stream)).count() >= 1_030 - 256).then_some(())
    });
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let node = Node::start();
    let mut stream = TcpStream::connect(("127.0.0.1", node.http)).unwrap();
    stream.set_read_timeout(Some(crate::node::PATIENCE)).unwrap();
    let head = "POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn each_recording_of_a_callback_is_fetched_by_its_name() {
    let node = Node::start();
    let store = rusqlite::Connection::open(node.path("state/duogate.db")).unwrap();
    for (name, created) in [("one.wav", 1), ("x/two.wav", 2), ("two.wav", 3)] {
        let file = node.path("recordings").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, name).unwrap();
        store
            .execute(
                "INSERT INTO recordings (res_id, path, created, completed) VALUES ('r', ?1, ?2, 9)",
                rusqlite::params![name, created],
            )
            .unwrap();
    }
    for (query, expected) in [
        ("", "one.wav"),
        ("?file=two.wav", "two.wav"),
        ("?file=x/two.wav", "x/two.wav"),
        (&format!("?file={}", node.path("recordings/x/two.wav").display()), "x/two.wav"),
    ] {
        let answer = node.get(&format!("/v1/recordings/r{query}"));
        assert_eq!((answer.status, answer.body.as_str()), (200, expected), "{query}");
    }
    assert_eq!(node.get("/v1/recordings/r?file=three.wav").status, 404);
    assert_eq!(node.get("/v1/recordings/r?name=two.wav").status, 400);
}

#[test]
fn a_callback_that_is_still_being_ended_after_a_crash_is_not_said_to_be_released() {
    let node = Node::start();
    let store = rusqlite::Connection::open(node.path("state/duogate.db")).unwrap();
    store
        .execute(
            "INSERT INTO resources (res_id, created, state, view, note)
             VALUES ('r', 1, 'Connected', '{\"state\": \"Connected\"}', '{}')",
            [],
        )
        .unwrap();
    assert_eq!(node.call("ext.duo_callback.get", &json!(["r"])).unwrap()["state"], "Connected");
    let refusal = node.call("ext.duo_callback.drop", &json!(["r"])).unwrap_err();
    assert_eq!((&refusal["code"], &refusal["data"]["retry_after_seconds"]), (&json!(-32003), &json!(1)));
}

#[test]
fn a_token_that_is_taken_back_closes_its_websockets() {
    let node = Node::start_with(TOKENS, "");
    let address = format!("ws://127.0.0.1:{}/rpc", node.http).parse().unwrap();
    let request =
        tungstenite::ClientRequestBuilder::new(address).with_header("Authorization", "Bearer caller-token");
    let stream = TcpStream::connect(("127.0.0.1", node.http)).unwrap();
    stream.set_read_timeout(Some(crate::node::PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let file = node.path("duogate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("42759dab", "00000000")).unwrap();
    assert_eq!(node.request("POST", "/v1/reload", &bearer("operator-token"), "").status, 200);
    loop {
        match socket.read().unwrap() {
            tungstenite::Message::Close(frame) => {
                let frame = frame.unwrap();
                assert_eq!(u16::from(frame.code), 1008);
                assert!(frame.reason.contains("token"), "{frame}");
                break;
            }
            tungstenite::Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
