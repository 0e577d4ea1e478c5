//! The gateway is killed under calls, and the next one goes on with them: nobody is hung up on, and what each party
//! receives is the same RTP stream, with a gap.

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use duogate_channel::srtp::Suite;
use duogate_phone::violation::Violation;
use duogate_phone::{Step, What};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::judged::Judged;
use duogate_tests::patience::until;
use duogate_tests::process::Process;
use duogate_tests::scene::{STEP, Scene, answers, phone, rings};
use duogate_tests::secured::SecuredParty;
use duogate_tests::story::Story;
use duogate_tests::wav;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// The longest silence on loopback while the gateway is started anew.
const GAP: Duration = Duration::from_millis(500);

/// The same where debug builds of a hundred phones and both processes share two cores.
const BUSY_GAP: Duration = Duration::from_millis(1_000);

/// The process number of the gateway that `up` runs.
fn gateway(up: &Process) -> Option<u32> {
    let all = fs::read_to_string(format!("/proc/{0}/task/{0}/children", up.id())).unwrap_or_default();
    all.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').next().is_some_and(|path| path.ends_with("duogate-gateway"))
    })
}

fn kill(duogate: &mut Duogate) {
    let pid = gateway(duogate.supervisor()).and_then(|pid| i32::try_from(pid).ok());
    kill_process(pid.and_then(Pid::from_raw).expect("it runs"), Signal::KILL).expect("it runs");
    duogate.streams_broke_off();
}

fn up() -> Duogate {
    Duogate::up(&Changes::none().with("shutdown", "grace_seconds = 0"))
}

/// Numbers that a new gateway leaves out because nobody knows whether they were sent, in samples. A gap shorter than
/// that has fewer samples than numbers; the stream's clock goes with the wall clock all the same.
const SPARED: i64 = 18 * 160;

/// Demands that what a phone receives has been one RTP stream all the time, and that it was never silent for long.
fn demand_one_stream(phone: &Judged, longest_gap: Duration) {
    phone.forgive("numbers that a new gateway leaves out are judged here");
    let reception = phone.reception();
    let broken = reception.violations.iter().filter(|violation| match violation {
        Violation::Timestamp { advanced, expected, .. } => *advanced <= 0 || expected - advanced > SPARED,
        _ => true,
    });
    assert_eq!(broken.count(), 0, "one SSRC, its clock going on: {reception:#?}");
    assert_eq!((reception.duplicates, reception.reordered), (0, 0), "no number comes twice: {reception:#?}");
    assert!(reception.longest_gap < longest_gap, "{:?} of silence: {reception:#?}", reception.longest_gap);
}

#[test]
fn two_who_talk_go_on_talking() {
    let mut scene = Scene::of(up(), [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    let part = scene.duogate.recording("talk.wav.part");
    until("some sound in the file", STEP, || fs::metadata(&part).is_ok_and(|file| file.len() > 8_000));
    for life in 1..=2 {
        kill(&mut scene.duogate);
        let before = scene.packets();
        until("both hear each other again", STEP, || {
            scene.packets().iter().zip(before).all(|(now, before)| *now > before + 60)
        });
        for phone in &scene.phones {
            demand_one_stream(phone, GAP);
        }
        let view = scene.view(&res_id);
        assert_eq!(view["state"], "Connected", "after {life} deaths");
    }
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 1);
    scene.demand(1, &What::Ended);
    // The figures of all three gateways together.
    let heard = scene.phones[0].reception().packets;
    let sent = story.field("on_released", "quality1")["packets_sent"].as_u64().expect("a number");
    assert!(sent <= heard + 5 && heard <= sent + 160, "{sent} were sent as the pages show, {heard} came");
    assert_eq!(story.count("on_record_completed"), 1);
    demand_broken_off(&scene, &story, "talk.wav");
}

/// Demands that a recording ended with its gateway: what there is of it plays, and is as long as the event says.
fn demand_broken_off(scene: &Scene, story: &Story, file: &str) {
    assert_eq!(story.field("on_record_completed", "error")["reason"], "media_lost");
    let path = scene.duogate.recording(file);
    let octets = fs::metadata(&path).expect("the recording").len();
    assert_eq!(story.field("on_record_completed", "bytes"), octets);
    let length = story.field("on_record_completed", "duration_seconds").as_f64().expect("a number");
    let frames = u32::try_from(wav::read(&path).channels[0].len()).expect("a short recording");
    assert!(frames > 0 && (f64::from(frames) / 8_000.0 - length).abs() < 0.02, "{frames} frames, {length} s");
    assert!(!scene.duogate.recording(&format!("{file}.part")).exists());
}

#[test]
fn fifty_pairs_go_on_talking() {
    let mut duogate = Duogate::up(
        &Changes::none()
            .with("shutdown", "grace_seconds = 0")
            .with("limits", "max_calls = 50")
            .with("media", "sessions = 50")
            .with_rtp_ports(400),
    );
    let phones: Vec<[Judged; 2]> = (0..50).map(|_| [0, 1].map(|party| phone(answers(party)))).collect();
    let mut application = duogate.application();
    for [one, two] in &phones {
        application.construct(&json!({"to1_uri": one.uri("one"), "to2_uri": two.uri("two")}));
    }
    let packets = || phones.iter().flatten().map(|phone| phone.reception().packets).collect::<Vec<u64>>();
    let all_hear = |more: u64| {
        let before = packets();
        until("all hear each other", 2 * STEP, || {
            packets().iter().zip(&before).all(|(now, before)| *now > before + more)
        });
    };
    all_hear(60);
    kill(&mut duogate);
    all_hear(60);
    assert_eq!(duogate.metric("duogate_calls{state=\"Connected\"}"), Some(50.0));
    assert_eq!(duogate.metric("duogate_resumed_sessions_total{kind=\"resumed\"}"), Some(50.0));
    for phone in phones.iter().flatten() {
        demand_one_stream(phone, BUSY_GAP);
    }
}

#[test]
fn a_call_in_set_up_goes_on_with_its_tone_and_its_recording_to_come() {
    let mut scene = Scene::of(up(), [answers(0), rings(1)]);
    let res_id = scene.construct(&json!({"record_file": "later.wav"}));
    scene.until("on_ringing2");
    let hears = |scene: &Scene, more: u64| {
        let before = scene.packets()[0];
        until("the ringback tone", STEP, || scene.packets()[0] > before + more);
    };
    hears(&scene, 10);
    kill(&mut scene.duogate);
    // The tone was handed to a gateway that is dead, and so was the file.
    hears(&scene, 60);
    demand_one_stream(&scene.phones[0], GAP);
    scene.phones[1].act(Step::Answer);
    scene.until("on_connected");
    scene.demand_sound();
    scene.demand_figure("recordings_active", 1.0);
    scene.phones[1].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 2);
    assert!(story.field("on_record_completed", "error").is_null(), "{story:#?}");
    assert!(!wav::read(&scene.duogate.recording("later.wav")).channels[0].is_empty());
    scene.demand(0, &What::Ended);
    scene.demand_no_media();
}

/// Two parties with SRTP, and two lives of the gateway: each hears the other all the time, no packet index is ever used
/// twice, and what was listened to in one life is not believed in the next.
fn secured(suite: Suite) {
    let suites = format!("srtp_suites = [\"{}\"]", suite.name());
    let changes =
        Changes::none().with("shutdown", "grace_seconds = 0").with("[trunk]", "srtp = \"required\"");
    let mut duogate = Duogate::up(&changes.with("[trunk]", &suites));
    let parties = [SecuredParty::start(suite, 0x11, 0x22), SecuredParty::start(suite, 0x22, 0x11)];
    let mut application = duogate.application();
    let parameters = json!({"to1_uri": parties[0].uri("one"), "to2_uri": parties[1].uri("two")});
    let res_id = application.construct(&parameters);
    application.events_until("on_connected", STEP);
    let packets = || parties.each_ref().map(|party| party.hearing().packets);
    let both_hear = |more: u64| {
        let before = packets();
        until("both hear each other", STEP, || {
            packets().iter().zip(before).all(|(now, before)| *now > before + more)
        });
    };
    // Beyond the end of the sequence numbers: the new gateway cannot know how often they have turned but by being told.
    both_hear(150);
    for life in 1..=2 {
        let said = parties.each_ref().map(SecuredParty::said);
        // What is said from now on has certainly been heard of when the gateway dies.
        both_hear(50);
        kill(&mut duogate);
        both_hear(60);
        for (party, said) in parties.iter().zip(said) {
            party.replay(said);
        }
        both_hear(60);
        for party in &parties {
            let hearing = party.hearing();
            assert_eq!((hearing.refused, hearing.reused, hearing.repeated), (0, 0, 0), "{hearing:?}");
            assert!(hearing.strange <= 5, "{hearing:?}");
            assert!(hearing.longest_gap < BUSY_GAP, "{hearing:?}");
            assert_eq!(
                hearing.streams.len(),
                1 + life,
                "a stream of its own under the same key: {hearing:?}"
            );
        }
        let sent_again = said.iter().sum::<usize>().to_string().parse::<f64>().expect("a number");
        // The counters are the new gateway's.
        until("all of it is refused", STEP, || {
            duogate
                .metric("duogate_shard_dropped_replayed_total{shard=\"0\"}")
                .is_some_and(|replayed| replayed >= sent_again)
        });
        assert_eq!(duogate.metric("duogate_shard_dropped_unauthentic_total{shard=\"0\"}"), Some(0.0));
    }
    assert_eq!(duogate.metric("duogate_calls{state=\"Connected\"}"), Some(1.0));
    application.call("ext.duo_callback.drop", &json!({"res_id": res_id})).expect("it is dropped");
    until("both are hung up", STEP, || parties.iter().all(|party| party.hearing().ended));
}

#[test]
fn two_whose_sound_is_encrypted_go_on_talking_and_no_packet_index_is_used_twice() {
    secured(Suite::AesCm128HmacSha1_80);
}

#[test]
fn with_galois_counter_mode_too() {
    secured(Suite::AeadAes128Gcm);
}

#[test]
fn who_hangs_up_meanwhile_has_hung_up() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    scene.duogate.kill_gateway();
    scene.phones[1].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 2);
    let quality = story.field("on_released", "quality1");
    assert!(quality["packets_received"].as_u64() > Some(0), "as the dead gateway last showed it: {quality}");
    scene.demand(0, &What::Ended);
    scene.duogate.start_gateway();
    scene.duogate.wait_until_ready();
    scene.demand_new_callback();
}

#[test]
fn a_call_whose_port_is_taken_ends_and_the_others_go_on() {
    let changes = Changes::none().with("media", "recovery_seconds = 2");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    let others = [0, 1].map(|party| phone(answers(party)));
    let parameters = json!({"to1_uri": others[0].uri("one"), "to2_uri": others[1].uri("two")});
    let mut application = scene.duogate.application();
    let other = application.construct(&parameters);
    application.events_until("on_connected", STEP);
    let port = offered_port(&scene.phones[0]);
    scene.duogate.kill_gateway();
    // The kernel lets go of the dead gateway's sockets some time after its end.
    let mut taken = None;
    until("the port", STEP, || {
        taken = UdpSocket::bind(("127.0.0.1", port)).ok();
        taken.is_some()
    });
    scene.duogate.start_gateway();
    let story = scene.story(&res_id, 2);
    story.demand_release(500, 0);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Ended);
    assert_eq!(scene.view(&other)["state"], "Connected");
    let before = others.each_ref().map(|phone| phone.reception().packets);
    until("the others hear each other", STEP, || {
        others.iter().zip(before).all(|(phone, before)| phone.reception().packets > before + 10)
    });
    drop(taken);
}

/// The RTP port that a phone was offered.
fn offered_port(phone: &Judged) -> u16 {
    let invite = phone.invites().pop().expect("it was called");
    let text = String::from_utf8_lossy(&invite).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("an offer");
    line.split(' ').next().and_then(|port| port.parse().ok()).expect("a port")
}
