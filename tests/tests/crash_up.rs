//! `duogate up` with a call under way: a process that dies is started again, and Ctrl-C ends all of it.

use std::fs;
use std::path::Path;

use duogate_phone::{Step, What};
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::process::Process;
use duogate_tests::scene::{STEP, Scene, answers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// The child of `up` that runs this program.
fn child(up: &Process, program: &str) -> Option<u32> {
    let all = fs::read_to_string(format!("/proc/{0}/task/{0}/children", up.id())).unwrap_or_default();
    all.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').next().is_some_and(|path| path.ends_with(program))
    })
}

fn scene() -> Scene {
    let changes = Changes::none().with("shutdown", "grace_seconds = 0");
    Scene::of(Duogate::up(&changes), [answers(0), answers(1)])
}

/// Kills a child, waits for the next one, and gives the number of the killed one.
fn kill(scene: &mut Scene, program: &str) -> u32 {
    let killed = child(scene.duogate.supervisor(), program).expect("it runs");
    let pid = i32::try_from(killed).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("it runs");
    scene.duogate.streams_broke_off();
    let up = scene.duogate.supervisor();
    until("another process", STEP, || child(up, program).is_some_and(|pid| pid != killed));
    killed
}

#[test]
fn the_control_plane_dies_and_its_successor_goes_on() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    let _ = kill(&mut scene, "duogate-control");
    scene.seen.extend(scene.application.rest());
    scene.duogate.wait_until_ready();
    scene.application = scene.duogate.application();
    scene.application.subscribe_all();
    scene.demand_sound();
    scene.demand_new_callback();
    scene.phones[0].act(Step::HangUp);
    scene.story(&res_id, 2).demand_release(200, 1);
    scene.demand(1, &What::Ended);
}

#[test]
fn the_gateway_dies_and_the_next_one_goes_on() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    let _ = kill(&mut scene, "duogate-gateway");
    for phone in &scene.phones {
        phone.forgive("a new gateway leaves numbers out, for nobody knows whether they were sent");
    }
    scene.demand_sound();
    scene.duogate.wait_until_ready();
    scene.demand_new_callback();
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 1);
    scene.demand(1, &What::Ended);
}

#[test]
fn an_interrupt_ends_everything() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    let up = scene.duogate.supervisor();
    let children = ["duogate-control", "duogate-gateway"].map(|name| child(up, name).expect("it runs"));
    up.signal(Signal::INT);
    let status = up.wait(STEP);
    assert!(status.success(), "{status}\n{}", scene.duogate.logs());
    for pid in children {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left behind");
    }
    scene.seen.extend(scene.application.rest());
    let story = scene.story(&res_id, 2);
    assert_eq!(story.field("on_released", "error")["reason"], "shutdown");
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Ended);
}
