//! What is pinned outlives the process, and is adopted by the next.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use duogate_fastpath::{Error, FastPath, InterfaceMode, Mode, Settings, Warning, probe, take_down};

use crate::frames::rtp;
use crate::host::{Family, Host, Side, flow, index, leg, party};

/// Says to [`a_gateway_that_will_be_killed`] where to pin.
const PIN: &str = "DUOGATE_TEST_PIN";

fn pinned(host: &Host) -> Settings {
    Settings { pin: Some(host.pin()), ..host.settings() }
}

/// Not a test by itself: the process that another test starts and kills.
#[test]
fn a_gateway_that_will_be_killed() {
    let Ok(pin) = std::env::var(PIN) else { return };
    let settings = Settings { pin: Some(pin.into()), ..Host::settings_of_any() };
    let mut path = FastPath::load(&settings).unwrap();
    path.table().on(index(0, Family::Four), &flow(Family::Four)).unwrap();
    assert!(path.take_tap(0).is_some());
    eprintln!("ready");
    std::thread::sleep(Duration::from_secs(60));
}

/// A child that is killed at the latest when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a gateway in another process; returns when its flow is on.
fn start(host: &Host) -> Killed {
    let arguments = ["--exact", "restart::a_gateway_that_will_be_killed", "--nocapture"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).env(PIN, host.pin()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = Killed(command.spawn().unwrap());
    let said = BufReader::new(child.0.stderr.take().unwrap());
    let lines: Vec<_> = said.lines().map_while(Result::ok).take_while(|line| line != "ready").collect();
    assert!(child.0.try_wait().unwrap().is_none(), "{lines:?}");
    child
}

struct Sockets {
    speaker: UdpSocket,
    listener: UdpSocket,
}

/// Sends one packet and says whether it was heard.
fn is_heard(sockets: &Sockets, step: u16) -> bool {
    let sent = rtp(8, 1000 + step, 50_000 + 160 * u32::from(step), flow(Family::Four).ssrc, &[0xd5; 160]);
    sockets.speaker.send_to(&sent, leg(0, Family::Four)).unwrap();
    sockets.listener.recv(&mut [0; 2048]).is_ok()
}

fn sockets(host: &Host) -> Sockets {
    Sockets {
        speaker: host.socket(Side::Parties, party(0, Family::Four)),
        listener: host.socket(Side::Parties, party(1, Family::Four)),
    }
}

#[test]
fn a_pair_talks_on_while_gateways_come_and_go() {
    let Some(host) = Host::new() else { return };
    if host.load(&host.settings()).is_none() {
        return;
    }
    let sockets = sockets(&host);
    let first = start(&host);
    assert!(is_heard(&sockets, 0));
    assert!(matches!(FastPath::load(&pinned(&host)), Err(Error::InUse(_))), "two gateways with one folder");
    drop(first);
    assert!(is_heard(&sockets, 1) && is_heard(&sockets, 2), "the gateway is dead");

    let second = FastPath::load(&pinned(&host)).unwrap();
    assert!(second.is_adopted());
    assert_eq!(second.warnings(), []);
    assert_eq!(second.attached()[0].mode, InterfaceMode::Native);
    assert_eq!(second.table().entries_on().collect::<Vec<_>>(), [index(0, Family::Four)]);
    let found = second.table().flow(index(0, Family::Four)).unwrap();
    assert_eq!(duogate_fastpath::Flow { position: flow(Family::Four).position, ..found }, flow(Family::Four));
    assert_eq!(found.position.highest, 1002);
    assert!(is_heard(&sockets, 3));
    assert_eq!(second.counters().unwrap().forwarded, 4, "the counters go on");
    assert_eq!(second.table().read(index(0, Family::Four)).unwrap().forwarded(), 4);

    // A regular end that leaves the path at work, and one more gateway.
    second.unload(false).unwrap();
    assert!(is_heard(&sockets, 4));
    let third = FastPath::load(&pinned(&host)).unwrap();
    assert_eq!(third.table().off(index(0, Family::Four)).unwrap().forwarded(), 5);
    assert!(!is_heard(&sockets, 5), "off is off");
    third.unload(true).unwrap();
    assert!(!host.pin().exists());
}

#[test]
fn what_a_dead_gateway_left_is_taken_down_and_what_a_living_one_uses_is_not() {
    let Some(host) = Host::new() else { return };
    if host.load(&host.settings()).is_none() {
        return;
    }
    let sockets = sockets(&host);
    let gateway = start(&host);
    assert!(matches!(take_down(&host.pin()), Err(Error::InUse(_))));
    assert!(is_heard(&sockets, 0));
    drop(gateway);
    assert!(is_heard(&sockets, 1), "its call goes on");
    assert!(take_down(&host.pin()).unwrap());
    // The kernel takes a program whose last pin is gone from its interface in the background.
    let off = |step| {
        std::thread::sleep(Duration::from_millis(10));
        !is_heard(&sockets, step)
    };
    assert!((2..1000).any(off), "off at last");
    assert!(!host.pin().exists() && !take_down(&host.pin()).unwrap(), "nothing is left");
}

#[test]
fn without_pins_the_path_ends_with_the_process() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&host.settings()) else { return };
    let sockets = sockets(&host);
    path.table().on(index(0, Family::Four), &flow(Family::Four)).unwrap();
    assert!(is_heard(&sockets, 0));
    drop(path);
    assert!(!is_heard(&sockets, 1));
    let again = FastPath::load(&host.settings()).unwrap();
    assert_eq!(again.table().entries_on().count(), 0);
}

#[test]
fn other_settings_start_anew() {
    let Some(host) = Host::new() else { return };
    let Some(path) = host.load(&pinned(&host)) else { return };
    assert!(!path.is_adopted());
    path.table().on(index(0, Family::Four), &flow(Family::Four)).unwrap();
    drop(path);
    let other = Settings { ring_octets: 8192, ..pinned(&host) };
    let path = FastPath::load(&other).unwrap();
    assert!(!path.is_adopted());
    assert_eq!(path.warnings(), [Warning::StartedAnew]);
    assert_eq!(path.table().entries_on().count(), 0);
    drop(path);
    // Another mode keeps the flows.
    let generic = Settings { mode: Mode::Generic, ..other };
    let path = FastPath::load(&generic).unwrap();
    assert!(path.is_adopted());
    assert_eq!(path.attached()[0].mode, InterfaceMode::Generic);
    path.unload(true).unwrap();
}

#[test]
fn an_interface_made_anew_gets_the_program_too() {
    let Some(mut host) = Host::new() else { return };
    let Some(path) = host.load(&pinned(&host)) else { return };
    drop(path);
    host.replace_interfaces();
    let path = FastPath::load(&pinned(&host)).unwrap();
    assert!(path.is_adopted());
    let sockets = sockets(&host);
    path.table().on(index(0, Family::Four), &flow(Family::Four)).unwrap();
    assert!(is_heard(&sockets, 0));
    path.unload(true).unwrap();
}

#[test]
fn a_folder_that_holds_no_pins_is_a_warning() {
    let Some(host) = Host::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { pin: Some(folder.path().join("pins")), ..host.settings() };
    let Some(path) = host.load(&settings) else { return };
    assert!(matches!(path.warnings(), [Warning::NoPins { .. }]), "{:?}", path.warnings());
    let sockets = sockets(&host);
    path.table().on(index(0, Family::Four), &flow(Family::Four)).unwrap();
    assert!(is_heard(&sockets, 0));
}

#[test]
fn what_stands_in_the_way_is_said() {
    let Some(host) = Host::new() else { return };
    if host.load(&host.settings()).is_none() {
        return;
    }
    let named = |name: &str| Settings { interfaces: vec![name.to_owned()], ..host.settings() };
    let error = |settings: &Settings| FastPath::load(settings).unwrap_err();
    assert!(matches!(error(&named("g9")), Error::MissingInterface(name) if name == "g9"));
    assert!(matches!(error(&named("lo")), Error::Loopback));
    let elsewhere = Settings { addresses: vec!["192.0.2.7".parse().unwrap()], ..host.settings() };
    assert!(matches!(error(&elsewhere), Error::NoInterface(_)));
    let loopback = Settings { addresses: vec!["127.0.0.1".parse().unwrap()], ..host.settings() };
    assert!(matches!(error(&loopback), Error::Loopback));
    let odd_ring = Settings { ring_octets: 5000, ..host.settings() };
    assert!(matches!(error(&odd_ring), Error::Settings(_)));
    let none = Settings { addresses: Vec::new(), ..host.settings() };
    assert!(matches!(error(&none), Error::Settings(_)));

    // A driver without XDP: refused, or by the generic hook.
    host.add_bridge();
    let native = Settings { mode: Mode::Native, ..named("b0") };
    assert!(matches!(error(&native), Error::NotNative { interface, .. } if interface == "b0"));
    let path = FastPath::load(&named("b0")).unwrap();
    assert_eq!(path.attached()[0].mode, InterfaceMode::Generic);
    assert!(path.attached()[0].fallback.is_some());

    // Another program on the interface.
    let taken = FastPath::load(&host.settings()).unwrap();
    assert!(matches!(error(&host.settings()), Error::Attach { .. }));
    drop(taken);
    assert!(FastPath::load(&host.settings()).is_ok());
}

#[test]
fn a_probe_says_what_would_be() {
    let Some(host) = Host::new() else { return };
    let found = probe(&pinned(&host));
    assert!(found.permitted && found.processors > 0);
    assert_eq!((found.program, found.pins, found.lookups), (Ok(()), Ok(()), None));
    let [interface] = found.interfaces.unwrap().try_into().unwrap();
    assert_eq!((interface.name.as_str(), interface.driver), ("g0", None));
    assert_ne!(interface.native, Some(false));
    host.add_bridge();
    let bridge = probe(&Settings { interfaces: vec!["b0".to_owned()], ..host.settings() });
    assert_ne!(bridge.interfaces.unwrap()[0].native, Some(true));
    let missing = probe(&Settings { interfaces: vec!["g9".to_owned()], ..host.settings() });
    assert!(missing.interfaces.unwrap_err().contains("g9"));
}
