//! Trunks that die, come back, register and are unregistered; Kamailio is behind each of them.

use std::fmt::Write as _;

use duogate_phone::{Step, What};
use duogate_tests::duogate::Changes;
use duogate_tests::kamailio::{Kamailio, Manner, Transport};
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, answers};
use serde_json::json;

/// Two trunks, each for the domain of its name, with OPTIONS every second, and short timers.
fn changes(trunks: [&Kamailio; 2]) -> Changes {
    let mut tables = String::new();
    for (name, kamailio) in ["first", "second"].into_iter().zip(trunks) {
        let lines = kamailio.trunk(Transport::Udp).join("\n");
        let _ = writeln!(
            tables,
            "[[trunk]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\nping_seconds = 1\nping_failures = 2\n\
             ping_successes = 1\n{lines}"
        );
    }
    Changes::none()
        .with("sip", "t1_milliseconds = 50")
        .with("sip", "t2_milliseconds = 500")
        .with("[trunk]", &tables)
}

/// Party 2 by way of the first trunk, or else the second.
fn call(scene: &mut Scene) {
    let port = scene.phones[1].uri("two").rsplit(':').next().expect("a port").to_owned();
    let list = ["first", "second"].map(|trunk| format!("sip:two@{trunk}.example:{port}"));
    scene.connect(&json!({"to2_uri": list}));
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    scene.demand(1, &What::Ended);
}

fn demand_up(scene: &Scene, up: bool) {
    let sample = "duogate_trunk_up{trunk=\"first\"}";
    let value = f64::from(u8::from(up));
    until(&format!("up is {up}"), STEP, || scene.duogate.metric(sample) == Some(value));
}

#[test]
fn calls_go_on_over_the_second_trunk_while_the_first_is_dead() {
    let mut first = Kamailio::start(&Manner::default(), None);
    let second = Kamailio::start(&Manner::default(), None);
    let mut scene = Scene::with(&changes([&first, &second]), [answers(0), answers(1)]);
    demand_up(&scene, true);
    call(&mut scene);
    // Refused for want of credentials, then taken.
    assert_eq!((first.saw("INVITE"), second.saw("INVITE")), (2, 0), "{}", first.log());

    // Nobody has noticed yet: the call finds out by itself.
    first.stop();
    call(&mut scene);
    assert_eq!(second.saw("INVITE"), 2, "{}", second.log());

    // Now it is known, and the first trunk is passed over at once.
    demand_up(&scene, false);
    let figure = |scene: &Scene, name: &str| {
        scene.duogate.metric(&format!("duogate_trunk_{name}_total{{trunk=\"first\"}}")).expect("a figure")
    };
    let (skipped, attempts) = (figure(&scene, "skipped"), figure(&scene, "attempts"));
    call(&mut scene);
    assert!((figure(&scene, "skipped") - skipped - 1.0).abs() < 0.5, "passed over once");
    assert!((figure(&scene, "attempts") - attempts).abs() < 0.5, "not tried");
    assert_eq!(second.saw("INVITE"), 4, "{}", second.log());

    // It comes back.
    first.start_again();
    demand_up(&scene, true);
    call(&mut scene);
    assert_eq!((first.saw("INVITE"), second.saw("INVITE")), (4, 4), "{}", first.log());
}

/// A scene whose trunk is registered at Kamailio, and whose control plane ends without waiting for calls.
fn registered(kamailio: &Kamailio) -> Scene {
    let mut changes = Changes::none().with("shutdown", "grace_seconds = 0");
    for line in kamailio.trunk(Transport::Udp) {
        changes = changes.with("[trunk]", &line);
    }
    let changes = changes.with("[trunk]", "register = \"sip:duogate@kamailio.example\"");
    let scene = Scene::with(&changes, [answers(0), answers(1)]);
    let sample = "duogate_trunk_registered{trunk=\"loopback\"}";
    until("registered", STEP, || scene.duogate.metric(sample) == Some(1.0));
    scene
}

/// Its control plane is told to end, and does so well.
fn demand_good_end(scene: &mut Scene) {
    scene.duogate.terminate_control();
    let status = scene.duogate.control().wait(STEP);
    assert!(status.success(), "{status}");
}

#[test]
fn rfc3261_10_2_2_a_registration_is_taken_back_at_the_end() {
    let kamailio = Kamailio::start(&Manner::default(), None);
    let mut scene = registered(&kamailio);
    kamailio.demand("REGISTER from udp expires=3600", 2);
    demand_good_end(&mut scene);
    // Its nonce is still good: no challenge this time.
    assert_eq!(kamailio.saw("REGISTER from udp expires=0"), 1, "{}", kamailio.log());
}

#[test]
fn a_registrar_that_is_dead_holds_the_end_up_for_two_seconds() {
    let mut kamailio = Kamailio::start(&Manner::default(), None);
    let mut scene = registered(&kamailio);
    kamailio.stop();
    demand_good_end(&mut scene);
}

#[test]
fn rfc3261_10_2_2_a_registration_that_a_reload_takes_away_is_taken_back() {
    let kamailio = Kamailio::start(&Manner::default(), None);
    let scene = registered(&kamailio);
    kamailio.demand("REGISTER from udp expires=3600", 2);
    let file = scene.duogate.folder().join("duogate.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("register =")).collect();
    std::fs::write(&file, without.join("\n")).expect("it can be written");
    let (status, body) = scene.duogate.post("/v1/reload", "").expect("an answer");
    assert_eq!(status, 200, "{body}");
    kamailio.demand("REGISTER from udp expires=0", 1);
    let sample = "duogate_trunk_registered{trunk=\"loopback\"}";
    until("no longer told of", STEP, || scene.duogate.metric(sample).is_none());
}
