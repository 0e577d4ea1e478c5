//! Two SIPp trunks in traffic, of which one dies: no callback is lost, and after a while nobody waits for the dead one.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::sipp::Crowd;
use serde_json::json;

/// Callbacks before the first trunk dies, and after.
const BEFORE: usize = 12;
const AFTER: usize = 24;

/// Between two of them.
const GAP: Duration = Duration::from_millis(100);

/// How long all of them may take: those that meet the dead trunk wait 64 times T1, 3.2 s, for it.
const ALL: Duration = Duration::from_secs(40);

fn changes(trunks: [&Crowd; 2]) -> Changes {
    let mut tables = String::new();
    for (name, crowd) in ["first", "second"].into_iter().zip(trunks) {
        let _ = writeln!(
            tables,
            "[[trunk]]\nname = \"{name}\"\nhosts = [\"{name}.example\"]\nproxy = \"{}\"\nping_seconds = 1\n\
             ping_failures = 1\nping_successes = 1",
            crowd.address()
        );
    }
    Changes::none()
        .with("sip", "t1_milliseconds = 50")
        .with("sip", "t2_milliseconds = 500")
        .with("[trunk]", &tables)
}

fn figure(duogate: &Duogate, name: &str, trunk: &str) -> f64 {
    duogate.metric(&format!("duogate_trunk_{name}{{trunk=\"{trunk}\"}}")).unwrap_or(0.0)
}

#[test]
fn rfc3263_4_3_calls_go_on_when_a_trunk_dies_in_mid_traffic() {
    let [mut first, second, one] = [Crowd::start(), Crowd::start(), Crowd::start()];
    let duogate = Duogate::start_with(&changes([&first, &second]));
    let up = |trunk: &str, up: f64| {
        until(&format!("{trunk} is {up}"), Duration::from_secs(20), || {
            (figure(&duogate, "up", trunk) - up).abs() < 0.5
        });
    };
    up("first", 1.0);
    let mut application = duogate.application();
    let to1 = format!("sip:one@{}", one.address());
    let parameters = json!({
        "to1_uri": to1, "to2_uri": ["sip:two@first.example", "sip:two@second.example"], "max_answer_seconds": 1
    });
    for number in 0..BEFORE + AFTER {
        if number == BEFORE {
            first.kill();
        }
        application.construct(&parameters);
        std::thread::sleep(GAP);
    }
    let mut events = Vec::new();
    let (released, deadline) = ("on_released", Instant::now() + ALL);
    let count = |events: &[duogate_tests::application::Event], name: &str| {
        events.iter().filter(|event| event.name == name).count()
    };
    while count(&events, released) < BEFORE + AFTER && Instant::now() < deadline {
        events.extend(application.events_until(released, ALL));
    }
    assert_eq!(count(&events, released), BEFORE + AFTER);
    assert_eq!(count(&events, "on_connected"), BEFORE + AFTER, "every one came through");
    // It is known by now; the second trunk has taken what the first could not.
    up("first", 0.0);
    assert!(figure(&duogate, "answered_total", "first") >= 1.0, "the first was used while it lived");
    assert!(figure(&duogate, "answered_total", "second") >= 20.0, "and then the second");
    let begun = Instant::now();
    application.construct(&parameters);
    let _ = application.events_until("on_connected", ALL);
    assert!(begun.elapsed() < Duration::from_secs(3), "nobody waits for the dead one any more");
    assert!(figure(&duogate, "skipped_total", "first") >= 1.0, "it is passed over");
}
