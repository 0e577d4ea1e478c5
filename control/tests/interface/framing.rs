//! JSON-RPC's framing, over HTTP and WebSocket.

use serde_json::{Value, json};

use crate::node::Node;

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[test]
fn what_is_no_request_gets_the_error_that_json_rpc_has_for_it() {
    let node = Node::start();
    for (body, expected) in [
        ("", -32700),
        ("{", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} x", -32700),
        ("\u{0}", -32700),
        ("1", -32600),
        ("[]", -32600),
        ("{}", -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"a\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ext.duo_callback.play_begin\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ext.duo_callback.play_start\"}", -32602),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ext.duo_callback.get\",\"params\":7}", -32602),
    ] {
        let answer = node.post(body);
        assert_eq!(answer.status, 200, "{body}");
        let answer = answer.json();
        assert_eq!(code(&answer), expected, "{body}: {answer}");
        assert!(answer["error"]["data"]["reason"].is_string(), "{answer}");
    }
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let answer = node.post(&deep).json();
    assert_eq!(code(&answer), -32700);
    assert!(answer["error"]["message"].as_str().unwrap().contains("deep"), "{answer}");
}

#[test]
fn the_transport_refuses_what_is_too_large_or_of_another_type() {
    let node = Node::start();
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}", "x".repeat(65_536));
    assert_eq!(node.post(&body).status, 413);
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(node.request("POST", "/rpc", kind, "{}").status, 415, "{kind}");
    }
    assert_eq!(node.request("PUT", "/rpc", "", "").status, 405);
    assert_eq!(node.get("/rpc").status, 400, "no upgrade");
    assert_eq!(node.get("/nowhere").status, 404);
    let foreign = "Content-Type: application/json\r\nOrigin: http://evil.example\r\n";
    assert_eq!(node.request("POST", "/rpc", foreign, "{}").status, 403);
}

#[test]
fn batches_answer_each_request_and_no_notification() {
    let node = Node::start();
    let exists = |id: Option<u64>| {
        let mut request =
            json!({"jsonrpc": "2.0", "method": "ext.duo_callback.exists", "params": {"res_id": "x"}});
        if let Some(id) = id {
            request["id"] = id.into();
        }
        request
    };
    let answer = node.post(&json!([exists(Some(1)), exists(None), 7, exists(Some(2))]).to_string()).json();
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 3, "{answer}");
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!(1), &json!(false)));
    assert_eq!(code(&answers[1]), -32600);
    assert_eq!(answers[2]["id"], 2);
    let quiet = node.post(&json!([exists(None)]).to_string());
    assert_eq!((quiet.status, quiet.body.as_str()), (204, ""));
    let key = "Content-Type: application/json\r\nIdempotency-Key: k\r\n";
    let keyed = node.request("POST", "/rpc", key, &json!([exists(Some(1))]).to_string()).json();
    assert_eq!(code(&keyed), -32600, "one key cannot stand for several requests");
    let many: Vec<Value> = (0..101).map(|id| exists(Some(id))).collect();
    assert_eq!(code(&node.post(&Value::from(many).to_string()).json()), -32600);
}

#[test]
fn a_websocket_speaks_the_same() {
    let node = Node::start();
    let mut socket = node.websocket();
    assert_eq!(socket.call("ext.duo_callback.exists", &json!(["x"]))["result"], false);
    assert_eq!(code(&socket.call("no.such", &json!([]))), -32601);
    assert_eq!(socket.call("sys.subscribe", &json!({"resources": "all"}))["result"]["resources"], "all");
    assert_eq!(code(&socket.call("sys.subscribe", &json!({"resources": "some"}))), -32602);
    assert_eq!(code(&socket.call("sys.unsubscribe", &json!({"x": 1}))), -32602);
    assert!(socket.call("sys.unsubscribe", &json!([])).get("result").is_some());
    let large = socket.text(&format!("\"{}\"", "x".repeat(65_535)));
    assert_eq!((code(&large), large["error"]["message"].as_str()), (-32600, Some("larger than 65536 bytes")));
    assert_eq!(socket.call("ext.duo_callback.exists", &json!(["x"]))["result"], false, "it goes on");
    assert_eq!(
        node.call("sys.subscribe", &json!([])).unwrap_err()["code"],
        -32600,
        "events need a WebSocket"
    );
}
