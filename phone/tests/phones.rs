//! Two phones that call each other over loopback.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use duogate_phone::codec::Codec;
use duogate_phone::phone::Phone;
use duogate_phone::tone::{Heard, Sound, Tone};
use duogate_phone::{Script, Step, What};

const LONG: Duration = Duration::from_secs(10);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn tones() -> [Tone; 3] {
    [Tone::new(450), Tone::new(620), Tone::new(1000)]
}

/// Two phones, the first of which calls the second.
fn call(caller: Script, callee: Script) -> (Phone, Phone) {
    let origin = Instant::now();
    let callee = Phone::start(callee, origin).expect("a phone on loopback");
    let caller = Phone::start(caller, origin).expect("a phone on loopback");
    caller.call(callee.sip_address());
    (caller, callee)
}

fn length_of(heard: &[Heard], tone: u16) -> Duration {
    heard.iter().filter(|heard| heard.sound == Sound::Tone(tone)).map(Heard::length).sum()
}

fn has(phone: &Phone, what: &What) -> bool {
    phone.events().iter().any(|event| event.what == *what)
}

#[test]
fn early_media_then_each_hears_the_other() {
    let callee = Script::new(Tone::new(620)).rings_at(50).early_media_at(100, Tone::new(450)).answers_at(800);
    let callee = callee.codecs(&[Codec::Pcmu]).hangs_up_at(1800);
    let (caller, callee) = call(Script::new(Tone::new(1000)), callee);
    assert!(caller.wait(LONG, |what| *what == What::Ended), "{:?}", caller.events());
    for phone in [&caller, &callee] {
        let reception = phone.reception();
        assert_eq!(reception.violations, [], "{reception:?}");
        assert_eq!((reception.lost, reception.duplicates), (0, 0));
    }
    let heard = caller.heard(&tones());
    assert!(length_of(&heard, 450).abs_diff(ms(700)) < ms(150), "{heard:?}");
    assert!(length_of(&heard, 620).abs_diff(ms(1000)) < ms(150), "{heard:?}");
    assert!(length_of(&callee.heard(&tones()), 1000) > ms(900));
    let told: Vec<What> = caller.events().into_iter().map(|event| event.what).collect();
    let expected = [What::Calling, What::Progress(180), What::Progress(183), What::Connected, What::Ended];
    assert_eq!(told, expected);
    assert!(callee.wait(LONG, |what| *what == What::HungUp) && has(&callee, &What::Acknowledged));
    assert!(String::from_utf8_lossy(&callee.invites()[0]).starts_with("INVITE sip:phone@127.0.0.1:"));
}

#[test]
fn a_refusal_is_acknowledged_and_the_phone_is_free_again() {
    let (caller, callee) =
        call(Script::new(Tone::silence()), Script::new(Tone::silence()).refuses_at(30, 486));
    assert!(caller.wait(LONG, |what| *what == What::Failed(486)));
    callee.set_script(Script::new(Tone::silence()).answers_at(0));
    caller.call(callee.sip_address());
    assert!(caller.wait(LONG, |what| *what == What::Connected));
    caller.act(Step::HangUp);
    assert!(callee.wait(LONG, |what| *what == What::Ended));
    assert!(!has(&callee, &What::Unanswered("final response".to_owned())));
}

#[test]
fn a_caller_gives_up() {
    let (caller, callee) =
        call(Script::new(Tone::silence()).hangs_up_at(300), Script::new(Tone::silence()).rings_at(0));
    assert!(callee.wait(LONG, |what| *what == What::Canceled));
    assert!(caller.wait(LONG, |what| *what == What::Failed(487)));
}

#[test]
fn a_phone_in_a_call_is_busy() {
    let (_first, callee) = call(Script::new(Tone::silence()), Script::new(Tone::silence()).answers_at(0));
    assert!(callee.wait(LONG, |what| *what == What::Acknowledged));
    let second = Phone::start(Script::new(Tone::silence()), Instant::now()).expect("a phone on loopback");
    second.call(callee.sip_address());
    assert!(second.wait(LONG, |what| *what == What::Failed(486)));
}

#[test]
fn hold_silences_and_keys_arrive() {
    let callee = Script::new(Tone::new(620)).answers_at(0);
    let caller = Script::new(Tone::new(1000)).at(500, Step::Hold).at(1000, Step::Resume);
    let caller = caller.at(1200, Step::Press("5*".to_owned())).hangs_up_at(2000);
    let (caller, callee) = call(caller, callee);
    assert!(callee.wait(LONG, |what| *what == What::Ended), "{:?}", callee.events());
    let changes = |event: &&duogate_phone::phone::Event| matches!(event.what, What::Changed(_));
    assert_eq!(callee.events().iter().filter(changes).count(), 2);
    let heard = caller.heard(&tones());
    let silences = heard.iter().filter(|heard| heard.sound == Sound::Silence && heard.length() > ms(350));
    assert_eq!(silences.count(), 1, "{heard:?}");
    assert_eq!(caller.reception().violations, []);
    let keys: String = callee.reception().keys.iter().map(|key| key.key.character()).collect();
    assert_eq!(keys, "5*");
    assert_eq!(callee.reception().violations, []);
}

/// Sends a request by hand and returns the answers that come within 300 ms.
fn ask(phone: &Phone, request: &str) -> Vec<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(ms(300))).expect("a timeout");
    let text = request.replace('\n', "\r\n");
    socket.send_to(text.as_bytes(), phone.sip_address()).expect("sent");
    let mut datagram = [0; 4096];
    let mut answers = Vec::new();
    while let Ok(length) = socket.recv(&mut datagram) {
        answers.push(String::from_utf8_lossy(&datagram[..length]).into_owned());
    }
    answers
}

fn request(method: &str, extra: &str) -> String {
    format!(
        "{method} sip:phone@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{method};rport\n\
         From: <sip:a@b>;tag=1\nTo: <sip:c@d>{extra}\nCall-ID: x{method}\nCSeq: 1 {method}\nMax-Forwards: 70\n\
         Contact: <sip:a@127.0.0.1:9>\nContent-Length: 0\n\n"
    )
}

#[test]
fn requests_outside_calls_are_answered() {
    let phone = Phone::start(Script::new(Tone::silence()), Instant::now()).expect("a phone on loopback");
    for (method, extra, status) in [
        ("OPTIONS", "", "200 OK"),
        ("INFO", "", "200 OK"),
        ("BYE", ";tag=z", "481 "),
        ("CANCEL", "", "481 "),
        ("INVITE", ";tag=z", "481 "),
        ("UPDATE", ";tag=z", "481 "),
        ("SUBSCRIBE", "", "405 "),
        ("DANCE", "", "501 "),
        ("OPTIONS", "\nRequire: magic", "420 "),
    ] {
        let method_text = request(method, extra);
        let unique = method_text.replace("z9hG4bK", &format!("z9hG4bK{}", extra.len()));
        let answers = ask(&phone, &unique);
        assert_eq!(answers.len(), 1, "{method}: {answers:?}");
        assert!(answers[0].starts_with(&format!("SIP/2.0 {status}")), "{method}: {}", answers[0]);
        assert!(answers[0].contains("Allow: INVITE"), "{method}: {}", answers[0]);
    }
    assert_eq!(ask(&phone, "OPTIONS sip:x SIP/2.0\n\n"), Vec::<String>::new());
    assert!(phone.wait(LONG, |what| matches!(what, What::Unreadable(_))));
}

#[test]
fn an_answer_is_repeated_until_its_ack_and_an_invite_without_offer_gets_one() {
    let phone = Phone::start(Script::new(Tone::silence()).answers_at(0), Instant::now())
        .expect("a phone on loopback");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(ms(1000))).expect("a timeout");
    let invite = request("INVITE", "").replace('\n', "\r\n");
    socket.send_to(invite.as_bytes(), phone.sip_address()).expect("sent");
    let mut datagram = [0; 4096];
    let mut receive = || {
        let length = socket.recv(&mut datagram).expect("an answer");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    };
    assert!(receive().starts_with("SIP/2.0 100"));
    let first = receive();
    assert!(
        first.starts_with("SIP/2.0 200") && first.contains("m=audio") && first.contains("PCMA/8000"),
        "{first}"
    );
    assert_eq!(receive(), first);
}
