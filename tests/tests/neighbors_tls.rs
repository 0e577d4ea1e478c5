//! Certificates that are replaced while calls are up: new connections see the new ones, those that are there go on.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use duogate_tests::application::Application;
use duogate_tests::baresip::Baresip;
use duogate_tests::certificates::Certificates;
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::patience::until;
use duogate_tests::ports;
use duogate_tests::scene::STEP;
use serde_json::json;

/// PEM without what is only typography.
fn plain(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_whitespace()).collect()
}

/// The certificate in a file, without its borders.
fn body(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("a certificate");
    text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect()
}

/// What OpenSSL's client says of who answers at this port.
fn seen(port: u16, certificates: &Certificates) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-verify_return_error", "-CAfile"]);
    command.arg(&certificates.authority).arg("-cert").arg(&certificates.certificate).arg("-key");
    let output = command.arg(&certificates.key).stdin(Stdio::null()).output().expect("openssl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Two phones that trust these certificates and show them.
fn phones(certificates: &Certificates) -> [Baresip; 2] {
    [440, 800].map(|hertz| Baresip::start_tls(hertz, certificates))
}

fn connect(application: &mut Application, phones: &[Baresip; 2]) -> String {
    let res_id = application.construct(&json!({"to1_uri": phones[0].uri(), "to2_uri": phones[1].uri()}));
    application.events_until("on_connected", STEP);
    res_id
}

/// The phones are told of the end of their calls, by the connections that they have.
fn drop_call(application: &mut Application, phones: &[Baresip; 2], res_id: &str) {
    application.call("ext.duo_callback.drop", &json!({"res_id": res_id})).expect("it is dropped");
    application.events_until("on_released", STEP);
    for phone in phones {
        until("the phone hears of it", STEP, || phone.output().contains("session closed"));
    }
}

#[test]
fn new_certificates_are_shown_after_a_reload_and_calls_over_old_connections_end_well() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [own, others] = ["own", "others"].map(|name| folder.path().join(name));
    for folder in [&own, &others] {
        std::fs::create_dir(folder).expect("a folder in it");
    }
    let old = Certificates::write(&own);
    let port = ports::free_tcp_port();
    let listen = format!("listen = [\"tls:127.0.0.1:{port}\"]");
    let mut changes = Changes::none().with("sip", &listen).with("[trunk]", "transport = \"tls\"");
    for setting in old.settings() {
        changes = changes.with("sip", &setting);
    }
    let duogate = Duogate::start_with(&changes);
    let mut application = duogate.application();
    // The phones, and whoever asks, have copies: what is replaced is the node's.
    let theirs = copy(&old, &others);
    let first = phones(&theirs);
    let res_id = connect(&mut application, &first);
    let old_body = body(&theirs.certificate);
    assert!(plain(&seen(port, &theirs)).contains(&old_body));

    // Another authority, another certificate, in the same files.
    let new = Certificates::write(&own);
    let new_body = body(&new.certificate);
    assert_ne!(new_body, old_body);
    assert!(plain(&seen(port, &theirs)).contains(&old_body), "not before it is told to");
    let (status, answer) = duogate.post("/v1/reload", "").expect("an answer");
    assert_eq!(status, 200, "{answer}");
    until("a new connection sees the new certificate", STEP, || plain(&seen(port, &new)).contains(&new_body));
    let refused = seen(port, &theirs);
    assert!(
        !refused.contains("Verify return code: 0"),
        "who trusts the old authority only sees that: {refused}"
    );

    let second = phones(&new);
    let other = connect(&mut application, &second);
    drop_call(&mut application, &second, &other);
    // No connection could be made to them any more: neither side trusts the other's authority.
    drop_call(&mut application, &first, &res_id);
    application.construct(&json!({"to1_uri": phones(&theirs)[0].uri(), "to2_uri": second[0].uri()}));
    let events = application.events_until("on_released", Duration::from_secs(40));
    assert!(!events.iter().any(|event| event.name == "on_ringing1"), "{events:?}");
}

/// The same certificates in another folder.
fn copy(certificates: &Certificates, folder: &Path) -> Certificates {
    let copied = |file: &Path| {
        let to = folder.join(file.file_name().expect("it has a name"));
        std::fs::copy(file, &to).expect("it can be copied");
        to
    };
    Certificates {
        certificate: copied(&certificates.certificate),
        key: copied(&certificates.key),
        both: copied(&certificates.both),
        authority: copied(&certificates.authority),
    }
}
