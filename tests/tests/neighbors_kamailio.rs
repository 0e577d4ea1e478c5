//! Callbacks through Kamailio: a proxy that wants credentials and stays in the route, over each transport; forks.

use duogate_phone::What;
use duogate_tests::certificates::Certificates;
use duogate_tests::duogate::Changes;
use duogate_tests::kamailio::{Kamailio, Manner, Transport};
use duogate_tests::ports;
use duogate_tests::scene::{Scene, answers};
use duogate_tests::sipp::{Party, Step};
use serde_json::json;

/// Duogate with Kamailio as its only way out.
fn changes(kamailio: &Kamailio, transport: Transport, certificates: &Certificates) -> Changes {
    let port = if transport == Transport::Udp { ports::free_udp_port() } else { ports::free_tcp_port() };
    let listen = format!("listen = [\"{}:127.0.0.1:{port}\"]", transport.name());
    let mut changes = Changes::none().with("sip", &listen);
    if transport == Transport::Tls {
        for setting in certificates.settings() {
            changes = changes.with("sip", &setting);
        }
    }
    for line in kamailio.trunk(transport) {
        changes = changes.with("[trunk]", &line);
    }
    changes
}

/// A callback that Duogate ends, and one that a party ends: in both, every dialog's messages go through the proxy.
fn two_callbacks(transport: Transport, manner: &Manner) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificates = Certificates::write(folder.path());
    let kamailio = Kamailio::start(manner, Some(&certificates));
    let mut scene = Scene::with(&changes(&kamailio, transport, &certificates), [answers(0), answers(1)]);

    let res_id = scene.connect(&json!({}));
    let drop = json!({"res_id": res_id});
    scene.application.call("ext.duo_callback.drop", &drop).expect("a call that is up can be dropped");
    scene.until("on_released");
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
    let from = format!("from {}", transport.name());
    kamailio.demand(&format!("INVITE {from}"), 4);
    kamailio.demand(&format!("ACK {from}"), 2);
    // Who may use a nonce again need not be asked again.
    let byes = if manner.one_time { 4 } else { 2 };
    kamailio.demand(&format!("BYE {from}"), byes);

    let _ = scene.connect(&json!({}));
    scene.phones[1].act(duogate_phone::Step::HangUp);
    scene.until("on_released");
    let release = scene.seen.last().expect("the one waited for");
    assert_eq!((&release.fields["cause"], &release.fields["released_by"]), (&json!(200), &json!(2)));
    kamailio.demand("BYE from", byes + byes / 2 + 1);
    scene.demand_no_media();
}

#[test]
fn over_udp_with_a_nonce_for_each_request() {
    two_callbacks(Transport::Udp, &Manner { one_time: true, ..Manner::default() });
}

#[test]
fn over_tcp_with_sha_256() {
    two_callbacks(Transport::Tcp, &Manner { algorithm: "SHA-256", ..Manner::default() });
}

#[test]
fn over_tls_with_certificates_of_both_sides() {
    two_callbacks(Transport::Tls, &Manner::default());
}

/// A callback of which party 2 is two parties behind Kamailio.
struct Fork {
    scene: Scene,
    parties: [Party; 2],
    _kamailio: Kamailio,
    _folder: tempfile::TempDir,
}

impl Fork {
    fn connect(steps: [&[Step]; 2]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificates = Certificates::write(folder.path());
        let parties = steps.map(Party::start);
        let manner = Manner { fork: parties.iter().map(Party::uri).collect(), ..Manner::default() };
        let kamailio = Kamailio::start(&manner, None);
        let mut scene =
            Scene::with(&changes(&kamailio, Transport::Udp, &certificates), [answers(0), answers(1)]);
        scene.construct(&json!({"to2_uri": "sip:fork@127.0.0.1"}));
        scene.until("on_connected");
        Self { scene, parties, _kamailio: kamailio, _folder: folder }
    }

    /// Party 1 hangs up; everybody must have seen what it expected, and nothing else.
    fn finish(mut self) {
        self.scene.phones[0].act(duogate_phone::Step::HangUp);
        self.scene.until("on_released");
        for party in self.parties {
            party.finish();
        }
        let count = |name: &str| self.scene.seen.iter().filter(|event| event.name == name).count();
        assert_eq!((count("on_dial2_started"), count("on_connected")), (1, 1), "{:#?}", self.scene.seen);
    }
}

#[test]
fn rfc3261_16_7_of_two_that_ring_one_answers_and_the_other_is_cancelled() {
    let rings = [Step::Provisional(180), Step::ExpectCancel];
    let answers = [Step::Provisional(180), Step::Pause(300), Step::Answer, Step::ExpectBye];
    Fork::connect([&rings, &answers]).finish();
}

#[test]
fn rfc3261_13_2_2_4_of_two_that_answer_at_once_the_second_gets_ack_and_bye() {
    let first = [Step::Provisional(180), Step::Pause(300), Step::Answer, Step::ExpectBye];
    let crossing = [Step::Provisional(180), Step::AnswerAcrossCancelRouted, Step::ExpectBye];
    Fork::connect([&first, &crossing]).finish();
}

#[test]
fn a_successor_goes_on_with_the_calls_of_a_dead_control_plane_and_ends_them_with_credentials() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let certificates = Certificates::write(folder.path());
    let kamailio = Kamailio::start(&Manner { one_time: true, ..Manner::default() }, None);
    let mut scene = Scene::with(&changes(&kamailio, Transport::Tcp, &certificates), [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    scene.kill_control();
    scene.restart_control();
    scene.demand_sound();
    scene.application.resource("drop", &res_id).expect("dropped");
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
    // Without credentials, and with them.
    kamailio.demand("BYE from tcp", 4);
}

#[test]
fn rfc3261_18_1_1_a_large_invite_goes_by_tcp_and_a_small_one_by_udp() {
    let kamailio = Kamailio::start(&Manner::default(), None);
    let listen = format!(
        "listen = [\"udp:127.0.0.1:{}\", \"tcp:127.0.0.1:{}\"]",
        ports::free_udp_port(),
        ports::free_tcp_port()
    );
    let mut changes = Changes::none().with("sip", &listen);
    for line in kamailio.trunk(Transport::Udp).iter().filter(|line| !line.starts_with("transport")) {
        changes = changes.with("[trunk]", line);
    }
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let caller = format!("sip:{}@127.0.0.1", "1".repeat(450));
    scene.connect(&json!({"from1_uri": caller}));
    scene.phones[0].act(duogate_phone::Step::HangUp);
    scene.until("on_released");
    scene.demand(1, &What::Ended);
    // Party 1's becomes too large by its credentials.
    for (line, count) in
        [("INVITE from tcp", 1), ("ACK from tcp", 1), ("INVITE from udp", 3), ("ACK from udp", 1)]
    {
        kamailio.demand(line, count);
    }
}
