//! How an application may name a party, what is then sent to it, and which caller it is shown.

use std::net::UdpSocket;
use std::time::Duration;

use duogate_tests::application::Application;
use duogate_tests::duogate::{Changes, Duogate};
use serde_json::{Value, json};

/// How long an INVITE may take to come.
const STEP: Duration = Duration::from_secs(8);

/// A trunk's peer: it is sent every INVITE of the trunk, whatever its URI, and refuses it.
struct Peer {
    socket: UdpSocket,
}

impl Peer {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
        socket.set_read_timeout(Some(STEP)).expect("a socket option");
        Self { socket }
    }

    fn address(&self) -> String {
        self.socket.local_addr().expect("a bound socket has an address").to_string()
    }

    /// The next INVITE, refused with 486 on the spot. Repetitions and ACKs are passed over.
    fn invite(&self, seen: &mut Vec<String>) -> Invite {
        let mut buffer = [0; 4096];
        loop {
            let (length, source) = self.socket.recv_from(&mut buffer).expect("an INVITE comes");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let invite = Invite { text };
            if !invite.text.starts_with("INVITE ") {
                continue;
            }
            let kept =
                ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}", invite.header(name)));
            let to = invite.header("To");
            let answer = format!(
                "SIP/2.0 486 Busy Here\r\n{}\r\nTo: {to};tag=peer\r\nContent-Length: 0\r\n\r\n",
                kept.join("\r\n")
            );
            self.socket.send_to(answer.as_bytes(), source).expect("the peer answers");
            let id = invite.header("Call-ID").to_owned();
            if !seen.contains(&id) {
                seen.push(id);
                return invite;
            }
        }
    }
}

struct Invite {
    text: String,
}

impl Invite {
    fn target(&self) -> &str {
        self.text.split(' ').nth(1).expect("a Request-URI")
    }

    fn header(&self, name: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    fn caller(&self) -> &str {
        self.header("From").split(";tag=").next().expect("a part before the tag")
    }
}

struct Scene {
    peer: Peer,
    _duogate: Duogate,
    application: Application,
    seen: Vec<String>,
}

impl Scene {
    /// The one trunk has its peer as proxy and does not say that it is the default.
    fn new(trunk: &str) -> Self {
        let peer = Peer::start();
        let changes = Changes::none()
            .with("[trunk]", &format!("proxy = \"{}\"", peer.address()))
            .with("[trunk]", trunk);
        let duogate = Duogate::start_with(&changes);
        let application = duogate.application();
        Self { peer, _duogate: duogate, application, seen: Vec::new() }
    }

    fn invite(&mut self, params: &Value) -> Invite {
        self.application.construct(params);
        self.peer.invite(&mut self.seen)
    }
}

#[test]
fn every_short_form_reaches_the_trunk_as_a_full_uri() {
    let mut scene = Scene::new("");
    for (given, expected) in [
        ("sip:1389@127.0.0.1:5071", "sip:1389@127.0.0.1:5071"),
        ("1389@127.0.0.1", "sip:1389@127.0.0.1"),
        ("127.0.0.1:5071", "sip:127.0.0.1:5071"),
        ("127.0.0.1", "sip:127.0.0.1"),
        ("sip:127.0.0.1;user=phone", "sip:127.0.0.1;user=phone"),
        ("4711", "sip:4711@127.0.0.1"),
        ("+86-138", "sip:+86138@127.0.0.1"),
        ("tel:+49-30-(1)", "sip:+49301@127.0.0.1"),
    ] {
        let invite = scene.invite(&json!({"to1_uri": given, "to2_uri": "other@127.0.0.1"}));
        assert_eq!(invite.target(), expected, "{given}");
        assert_eq!(invite.header("To"), format!("<{expected}>"), "{given}");
        let events = scene.application.events_until("on_dial1_completed", STEP);
        let told = &events.last().expect("it was waited for").fields["to_uri"];
        assert_eq!(*told, given, "events name the party as the application did");
    }
}

#[test]
fn the_caller_is_shown_as_given_or_else_as_the_trunk_has_it() {
    let mut scene = Scene::new("caller_id = \"sip:4008001234@carrier.example\"");
    for (given, expected) in [
        (Value::Null, "<sip:4008001234@carrier.example>"),
        (json!("sip:10086@shop.example:5070"), "<sip:10086@shop.example:5070>"),
        (json!("10086@shop.example"), "<sip:10086@shop.example>"),
        (json!("tel:+8610086"), "<tel:+8610086>"),
    ] {
        let params = json!({"from1_uri": given, "to1_uri": "1@127.0.0.1", "to2_uri": "2@127.0.0.1"});
        let invite = scene.invite(&params);
        assert_eq!(invite.caller(), expected, "{given}");
    }
}

#[test]
fn what_names_no_party_or_the_same_party_is_refused_by_name() {
    let mut scene = Scene::new("");
    for (parameter, to1, to2, code) in [
        ("to2_uri", json!("4711"), json!("sip:4711@127.0.0.1"), -32602),
        ("to2_uri", json!("a@127.0.0.1:5060"), json!(["b@127.0.0.1", "sip:a@127.0.0.1"]), -32602),
        ("to1_uri", json!("sips:a@127.0.0.1"), json!("b@127.0.0.1"), -32602),
        ("to1_uri", json!("sip:a@127.0.0.1;transport=tcp"), json!("b@127.0.0.1"), -32602),
        ("to1_uri", json!("a@127.0.0.1\r\nX-Evil: yes"), json!("b@127.0.0.1"), -32602),
        ("to1_uri", json!("a%0d%0a@[::1"), json!("b@127.0.0.1"), -32602),
        ("to2_uri", json!("a@127.0.0.1"), json!("b@192.0.2.9"), -32006),
    ] {
        let params = json!({"to1_uri": to1, "to2_uri": to2});
        let error = scene.application.call("ext.duo_callback.construct", &params).expect_err("a refusal");
        assert_eq!((error.code, &error.data["parameter"]), (code, &json!(parameter)), "{params}: {error:?}");
        assert!(error.message.starts_with(parameter), "{error:?}");
    }
    let list = scene.application.call("ext.duo_callback.list", &json!({})).expect("list");
    assert_eq!(list["resources"], json!([]), "nothing was called");
}
