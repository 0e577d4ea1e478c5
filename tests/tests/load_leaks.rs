//! Nothing outlives its resource, and strangers' noise changes nothing.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use duogate_phone::tone::Tone;
use duogate_phone::{Script, Step};
use duogate_tests::application::Application;
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::process::resident_kibibytes;
use duogate_tests::scene::{STEP, Scene, answers, phone, rings};
use serde_json::{Value, json};

/// How long many callbacks may take here.
const LONG: Duration = Duration::from_secs(25);

/// Open descriptors of a process.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn both(duogate: &mut Duogate) -> [u32; 2] {
    [duogate.gateway().id(), duogate.control().id()]
}

/// Constructs and reads until so many callbacks are released.
fn run(application: &mut Application, count: usize, mut parameters: impl FnMut(usize) -> Value) {
    let (mut released, mut constructed) = (0, 0);
    let deadline = Instant::now() + LONG;
    while released < count {
        assert!(Instant::now() < deadline, "only {released} of {count} were released");
        // A few at a time: this is not about speed.
        if constructed < count && constructed < released + 8 {
            application.construct(&parameters(constructed));
            constructed += 1;
            continue;
        }
        let event = application.next_event(STEP).expect("a callback ends");
        released += usize::from(event.name == "on_released");
    }
}

#[test]
fn after_fifty_callbacks_of_all_endings_nothing_is_left() {
    let changes = Changes::none().with("media", "rest_seconds = 1");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    scene.demand_new_callback();
    scene.demand_no_media();
    scene.demand_figure("ports_resting", 0.0);
    let pids = both(&mut scene.duogate);
    let before = pids.map(descriptors);

    let silent = || Script::new(Tone::silence());
    let busy = phone(silent().refuses_at(0, 486));
    let ringing = phone(rings(0));
    let talkers: Vec<_> = (0..16).map(|index| phone(answers(index % 2).hangs_up_at(400))).collect();
    let calls = |index: usize| {
        let one = &talkers[index % 8];
        let two = &talkers[8 + index % 8];
        let mut parameters = match index % 4 {
            0 => json!({"to1_uri": busy.uri("1"), "to2_uri": two.uri("2")}),
            1 => json!({"to1_uri": ringing.uri("1"), "to2_uri": two.uri("2"), "max_ring_seconds": 1}),
            2 => json!({"to1_uri": one.uri("1"), "to2_uri": busy.uri("2")}),
            _ => json!({"to1_uri": one.uri("1"), "to2_uri": two.uri("2")}),
        };
        parameters["record_file"] = json!(format!("{index}.wav"));
        parameters["record_mode"] = json!(index % 3);
        parameters
    };
    run(&mut scene.application, 50, calls);

    scene.demand_no_media();
    scene.demand_figure("ports_resting", 0.0);
    scene.demand_figure("recorder_queued_blocks", 0.0);
    until("as many descriptors as before", STEP, || {
        pids.map(descriptors).iter().zip(before).all(|(now, before)| *now <= before)
    });
    let left: Vec<_> = std::fs::read_dir(scene.duogate.folder().join("recordings"))
        .expect("the folder")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    scene.demand_new_callback();
}

#[test]
fn five_hundred_callbacks_take_no_memory_with_them() {
    // Short timers, so that what must linger after a call (RFC 3261 section 17) is soon gone.
    let changes = Changes::none()
        .with("sip", "t1_milliseconds = 50")
        .with("sip", "t2_milliseconds = 500")
        .with("sip", "t4_milliseconds = 500")
        .with("media", "rest_seconds = 0");
    let mut duogate = Duogate::start_with(&changes);
    duogate.forgive_streams("without a rest, a port may have its next call before the BYE of the last one");
    let mut application = duogate.application();
    let phones: Vec<_> = (0..16)
        .map(|_| [answers(0), Script::new(Tone::silence()).answers_at(0).hangs_up_at(40)].map(phone))
        .collect();
    let parameters = |index: usize| {
        let [one, two] = &phones[index % 16];
        json!({"to1_uri": one.uri("1"), "to2_uri": two.uri("2")})
    };
    let pids = both(&mut duogate);
    let measured = |application: &mut Application, count: usize| {
        run(application, count, parameters);
        until("nothing is left of them", STEP, || {
            duogate.metric("duogate_calls{state=\"Released\"}") == Some(0.0)
        });
        pids.map(resident_kibibytes)
    };
    // The first ones fill caches and pools.
    let before = measured(&mut application, 150);
    let after = measured(&mut application, 500);
    // The gateway took its memory at start; of that, 4 MiB of receive buffers become resident one by one.
    for (process, growth, place) in [("gateway", 4_096 + 512, 0), ("control plane", 1_536, 1)] {
        let (before, after) = (before[place], after[place]);
        assert!(after <= before + growth, "{process}: {before} KiB, then {after} KiB");
    }
}

/// A stranger who sends what comes to mind.
struct Noise {
    socket: UdpSocket,
    ports: Vec<u16>,
    invite: Vec<u8>,
    state: u32,
}

impl Noise {
    /// Aimed at the SIP port and both RTP ports of a callback, and the port above one of those.
    fn at(scene: &Scene) -> Self {
        let mut ports = vec![scene.duogate.sip_port()];
        for phone in &scene.phones {
            let invite = String::from_utf8_lossy(&phone.invites()[0]).into_owned();
            let line =
                invite.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("an offer").to_owned();
            ports.push(line.split(' ').next().and_then(|port| port.parse().ok()).expect("a port"));
        }
        ports.push(ports[1] + 1);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        Self { socket, ports, invite: scene.phones[0].invites()[0].clone(), state: 0x9e37_79b9 }
    }

    /// Xorshift: the same noise in every run.
    fn random(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn datagram(&mut self) -> Vec<u8> {
        let length = self.random() as usize % 1_400;
        let mut octets: Vec<u8> = (0..length).map(|_| self.random().to_le_bytes()[1]).collect();
        match self.random() % 3 {
            0 => {
                // Nearly a message: that of the call, with a few octets changed.
                octets.clone_from(&self.invite);
                for _ in 0..3 {
                    let place = self.random() as usize % octets.len();
                    octets[place] = self.random().to_le_bytes()[2];
                }
            }
            1 if length > 12 => octets[..2].copy_from_slice(&[0x80, 8]), // Nearly RTP.
            _ => {}
        }
        octets
    }

    fn spray(&mut self, count: usize) {
        for _ in 0..count {
            let datagram = self.datagram();
            for port in &self.ports {
                // A closed port may answer an earlier one with an error.
                let _ = self.socket.send_to(&datagram, ("127.0.0.1", *port));
            }
        }
    }
}

#[test]
fn garbage_at_every_port_touches_no_call() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    let pids = both(&mut scene.duogate);
    let mut noise = Noise::at(&scene);
    noise.spray(500);
    scene.demand_sound();
    let before = pids.map(resident_kibibytes);
    noise.spray(3_000);
    scene.demand_sound();
    let after = pids.map(resident_kibibytes);
    for (before, after) in before.iter().zip(after) {
        assert!(after <= before + 4_096, "{before} KiB, then {after} KiB");
    }
    assert_eq!(scene.view(&res_id)["state"], "Connected");
    let malformed = scene.duogate.metric("duogate_sip_datagrams_total{kind=\"malformed\"}");
    assert!(malformed > Some(100.0), "they arrived: {malformed:?}");
    for phone in &scene.phones {
        let reception = phone.reception();
        assert_eq!(reception.violations, [], "{reception:?}");
    }
    scene.phones[0].act(Step::HangUp);
    scene.until("on_released");
    let release = scene.seen.last().expect("the one waited for");
    assert_eq!((&release.fields["cause"], &release.fields["released_by"]), (&json!(200), &json!(1)));
}
