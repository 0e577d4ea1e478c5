//! What is used up is refused with its name, and whoever is served already is not touched.

use std::time::{Duration, Instant};

use duogate_phone::{Step, What};
use duogate_tests::application::{Application, RpcError};
use duogate_tests::duogate::Changes;
use duogate_tests::judged::Judged;
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, answers, phone};
use serde_json::{Value, json};

/// A further pair of phones that is called.
struct Pair([Judged; 2]);

impl Pair {
    fn new() -> Self {
        Self([0, 1].map(|party| phone(answers(party))))
    }

    fn parameters(&self) -> Value {
        json!({"to1_uri": self.0[0].uri("one"), "to2_uri": self.0[1].uri("two")})
    }

    fn demand_untouched(&self) {
        for phone in &self.0 {
            assert!(phone.invites().is_empty(), "{:?}", phone.events());
        }
    }
}

fn refusal(scene: &mut Scene, parameters: &Value) -> RpcError {
    scene.application.call("ext.duo_callback.construct", parameters).expect_err("there is no room")
}

fn demand_overloaded(refusal: &RpcError) {
    assert_eq!((refusal.code, &refusal.data["reason"]), (-32003, &json!("overloaded")));
    assert!(refusal.data["retry_after_seconds"].as_u64() >= Some(1), "{refusal:?}");
}

#[test]
fn ports_for_two_callbacks() {
    let changes = Changes::none().with_rtp_ports(8).with("media", "rest_seconds = 1");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    let (second, third) = (Pair::new(), Pair::new());
    let other = scene.application.construct(&second.parameters());
    scene.until("on_connected");
    let refused = refusal(&mut scene, &third.parameters());
    demand_overloaded(&refused);
    third.demand_untouched();
    scene.demand_sound();

    // A place is free, its ports rest: the next one is told so, or works; after the rest it works.
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    until("a third callback", STEP, || {
        let Ok(answer) = scene.application.call("ext.duo_callback.construct", &third.parameters()) else {
            return false;
        };
        let id = &answer["res_id"];
        loop {
            let event = scene.application.next_event(STEP).expect("its release or its connection");
            if event.fields["res_id"] != *id {
                continue;
            }
            match event.name.as_str() {
                "on_connected" => return true,
                "on_released" => {
                    assert_eq!(event.fields["error"]["reason"], "media_refused", "{event:?}");
                    return false;
                }
                _ => {}
            }
        }
    });
    assert_eq!(scene.view(&other)["state"], "Connected", "the second was never touched");
    assert_eq!(scene.view(&res_id)["state"], "Released");
}

#[test]
fn max_calls() {
    let mut scene = Scene::with(&Changes::none().with("limits", "max_calls = 1"), [answers(0), answers(1)]);
    let _ = scene.connect(&json!({}));
    let second = Pair::new();
    let refused = refusal(&mut scene, &second.parameters());
    demand_overloaded(&refused);
    second.demand_untouched();
    scene.demand_sound();
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    scene.demand_new_callback();
}

#[test]
fn calls_per_second() {
    let changes = Changes::none().with("limits", "calls_per_second = 2");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let _ = scene.connect(&json!({}));
    let pair = Pair::new();
    let mut taken = 0;
    let refused = loop {
        match scene.application.call("ext.duo_callback.construct", &pair.parameters()) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < 20, "at most a burst of two and what two a second allow");
    };
    demand_overloaded(&refused);
    scene.demand_sound();
    until("room again", STEP, || {
        scene.application.call("ext.duo_callback.construct", &pair.parameters()).is_ok()
    });
}

/// Ten times what is admitted: the node places what it may, refuses the rest with a time to come back, and whoever
/// talks already neither hears of it nor is kept from ending.
#[test]
fn ten_times_the_admitted_rate() {
    const ADMITTED: usize = 10;
    const SECONDS: usize = 3;
    let changes = Changes::none().with("limits", "calls_per_second = 10");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    let pair = Pair::new();
    let (parameters, port) = (pair.parameters(), scene.duogate.http_port());
    let begun = Instant::now();
    let (taken, refused) = std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..ADMITTED)
            .map(|_| scope.spawn(|| ask_every_100_milliseconds(port, &parameters, SECONDS * 10)))
            .collect();
        scene.demand_sound();
        scene.phones[0].act(Step::HangUp);
        scene.until("on_released");
        crowd.into_iter().map(|one| one.join().expect("it asks")).fold((0, Vec::new()), |mut sum, one| {
            sum.0 += one.0;
            sum.1.extend(one.1);
            sum
        })
    });
    let passed = begun.elapsed().as_secs_f64();
    assert_eq!(scene.view(&res_id)["state"], "Released");
    assert_eq!(taken + refused.len(), ADMITTED * SECONDS * 10);
    assert!(taken * 10 >= ADMITTED * SECONDS * 9, "{taken} were taken");
    // What a second admits, may come at once after a pause.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let most = ADMITTED as f64 * (passed + 2.0);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let taken = taken as f64;
    assert!(taken <= most, "{taken} were taken in {passed} s");
    refused.iter().for_each(|(refusal, _)| demand_overloaded(refusal));
    let mut times: Vec<Duration> = refused.iter().map(|(_, took)| *took).collect();
    times.sort_unstable();
    // The goal is 5 ms where the machine has nothing else to do; the bench holds it.
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
}

/// How many were taken, and the refusals with the time that each took.
fn ask_every_100_milliseconds(
    port: u16,
    parameters: &Value,
    times: usize,
) -> (usize, Vec<(RpcError, Duration)>) {
    let mut application = Application::connect(port);
    let (mut taken, mut refused) = (0, Vec::new());
    let begun = Instant::now();
    for number in 0..times {
        let due = Duration::from_millis(100) * u32::try_from(number).expect("few");
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let asked = Instant::now();
        match application.call("ext.duo_callback.construct", parameters) {
            Ok(_) => taken += 1,
            Err(refusal) => refused.push((refusal, asked.elapsed())),
        }
    }
    (taken, refused)
}

#[test]
fn a_trunk_that_is_full() {
    let changes = Changes::none().with("[trunk]", "max_calls = 1");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.construct(&json!({}));
    scene.until("on_released");
    let release = scene.seen.last().expect("the one waited for");
    assert_eq!(release.fields["res_id"], res_id.as_str());
    assert_eq!(release.fields["error"]["reason"], "no_route", "party 2 finds the trunk full: {release:?}");
    assert!(scene.phones[1].invites().is_empty());
    scene.demand(0, &What::Ended);
}

#[test]
fn few_descriptors_mean_few_sessions_and_a_warning() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let sample = "duogate_shard_sessions_capacity{shard=\"0\"}";
    let all = scene.duogate.metric(sample).expect("a capacity");
    scene.duogate.kill_gateway();
    scene.duogate.start_gateway_under(&["prlimit", "--nofile=150:150"]);
    until("another gateway", STEP, || scene.duogate.get("/readyz").is_some_and(|(status, _)| status == 200));
    until("its capacity", STEP, || scene.duogate.metric(sample).is_some_and(|fitted| fitted < all));
    let fitted = scene.duogate.metric(sample).expect("a capacity");
    assert!(fitted >= 1.0 && fitted < all, "{fitted} of {all}");
    let log = std::fs::read_to_string(scene.duogate.folder().join("duogate-gateway.log")).expect("a log");
    assert!(log.contains("too few open descriptors") && log.contains("LimitNOFILE"), "{log}");
    scene.demand_new_callback();

    scene.duogate.kill_gateway();
    scene.duogate.start_gateway_under(&["prlimit", "--nofile=60:60"]);
    let status = scene.duogate.gateway().wait(STEP);
    assert!(!status.success());
    let log = std::fs::read_to_string(scene.duogate.folder().join("duogate-gateway.log")).expect("a log");
    assert!(log.contains("too few for even one session"), "{log}");
}

#[test]
fn a_dead_webhook_holds_nobody_up_and_loses_nothing() {
    use duogate_tests::receiver::{Manner, Receiver};
    let changes = Changes::none().with("webhook", "timeout_seconds = 1");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let receiver = Receiver::start(Manner::Silent);
    let start = std::time::Instant::now();
    let res_id = scene.connect(&json!({"callback_url": receiver.url()}));
    assert!(start.elapsed() < Duration::from_secs(4), "set up in {:?}", start.elapsed());
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    until("a try", STEP, || receiver.tries() > 0);
    receiver.behave(Manner::Status(503));
    let tries = receiver.tries();
    until("another try", STEP, || receiver.tries() > tries);
    assert!(receiver.taken(&res_id).is_empty());
    receiver.behave(Manner::Status(200));
    until("all events", STEP, || receiver.taken(&res_id).len() >= 9);
    let numbers: Vec<u64> = receiver.taken(&res_id).into_iter().map(|(_, seq)| seq).collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<u64>>(), "each once, in order");
}
