//! What is wrong is refused with line, column, key, and what was expected.

use duogate_configuration::{Configuration, Error, PortRange, Ringback};
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str) -> String {
    let Err(findings) = Configuration::parse(text) else { panic!("not refused:\n{text}") };
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn refused_with(text: &str, parts: &[&str]) {
    let message = refused(text);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn unknown_keys_are_named_at_every_level() {
    refused_with("[nodes]\n", &["line 1, column 2", "unknown field `nodes`", "`node`"]);
    refused_with(
        "[node]\nnmae = \"x\"\n",
        &["line 2, column 1", "node.nmae", "unknown field `nmae`, expected `name`"],
    );
    refused_with("[[trunk]]\nname = \"a\"\nhost = []\n", &["line 3", "trunk[0].host", "`hosts`"]);
    refused_with("[[http.tokens]]\nright = 1\n", &["line 2", "http.tokens[0].right", "`rights`"]);
}

#[test]
fn interfaces_are_names_and_each_is_listed_once() {
    refused_with("[gateway]\ninterfaces = [\"eth0\", \"eth0\"]\n", &["gateway.interfaces[1]", "twice"]);
    refused_with("[gateway]\ninterfaces = [\"/dev/eth0\"]\n", &["gateway.interfaces[0]", "eth0"]);
    refused_with("[gateway]\ninterfaces = [\"\"]\n", &["gateway.interfaces[0]"]);
    let nine = (0..9).map(|index| format!("\"e{index}\"")).collect::<Vec<_>>().join(", ");
    refused_with(&format!("[gateway]\ninterfaces = [{nine}]\n"), &["gateway.interfaces", "at most 8"]);
    refused_with("[gateway]\nfast_path = \"on\"\n", &["gateway.fast_path", "`auto`", "`off`", "`native`"]);
}

#[test]
fn wrong_types_and_ranges_name_what_was_expected() {
    refused_with(
        "[media]\n\nsessions = \"many\"\n",
        &["line 3, column 12", "media.sessions", "an integer from 1 to"],
    );
    refused_with(
        "[media]\nsessions = 0\n",
        &["media.sessions", "0 is out of range, expected an integer from 1"],
    );
    refused_with("[media]\nsessions = -1\n", &["-1 is out of range"]);
    refused_with("[media]\nsessions = 9223372036854775807\n", &["out of range"]);
    refused_with("[media]\ndscp = 64\n", &["media.dscp", "from 0 to 63"]);
    refused_with(
        "[media]\naddress = \"here\"\n",
        &["line 2, column 11", "media.address", "invalid IP address"],
    );
    refused_with("[media]\nringback = \"xx\"\n", &["unknown variant `xx`", "`cn`"]);
    refused_with(
        "[media]\ncodecs = [\"PCMA\", \"G729\"]\n",
        &["line 2, column 10", "media.codecs", "\"G729\""],
    );
    refused_with("[http]\nlisten = \"127.0.0.1\"\n", &["http.listen", "invalid socket address"]);
    refused_with("[log]\nlevel = \"loud\"\n", &["log.level", "`info`"]);
    refused_with("[media\n", &["line 1"]);
}

#[test]
fn further_addresses_are_few_and_different_and_carry_more() {
    refused_with(
        "[media]\nmore_addresses = [\"127.0.0.2\", \"0.0.0.0\"]\n",
        &["media.more_addresses[1]", "parties cannot send to 0.0.0.0"],
    );
    refused_with("[media]\nmore_addresses = [\"127.0.0.1\"]\n", &["media.more_addresses[0]", "listed twice"]);
    refused_with("[media]\nmore_addresses = [\"::1\", \"::1\"]\n", &["more_addresses[1]", "listed twice"]);
    let addresses = |count: u8| (2..2 + count).map(|last| format!("\"127.0.0.{last}\"")).collect::<Vec<_>>();
    let media = |count| format!("[media]\nmore_addresses = [{}]\n", addresses(count).join(", "));
    refused_with(&media(8), &["media.more_addresses", "8 are listed, expected at most 7"]);
    let full = media(7) + "ports = \"20000-20399\"\nsessions = 800\n";
    let configuration = Configuration::parse(&full).unwrap();
    assert_eq!(configuration.media.addresses().len(), 8);
    assert_eq!(configuration.media.addresses()[7].to_string(), "127.0.0.8");
    refused_with(&full.replace("800", "801"), &["for 800 sessions"]);
}

#[test]
fn ports_are_even_to_odd_and_enough() {
    refused_with("[media]\nports = \"20001-20002\"\n", &["media.ports", "no even port"]);
    refused_with("[media]\nports = \"20001-20000\"\n", &["not above"]);
    refused_with("[media]\nports = \"80-20001\"\n", &["privileged"]);
    refused_with("[media]\nports = \"20000-70001\"\n", &["expected FIRST-LAST"]);
    refused_with("[media]\nports = \"20000-20001\"\n", &["line 2, column 9", "for 0 sessions"]);
    refused_with(
        "[media]\nports = \"20000-20399\"\nsessions = 101\n",
        &["line 2, column 9", "for 100 sessions", "101"],
    );
    assert!(Configuration::parse("[media]\nports = \"20000-20399\"\nsessions = 100\n").is_ok());
    // Two shards of 50 ports each carry 25 sessions each.
    assert!(
        Configuration::parse("[media]\ncores = [0, 1]\nports = \"20000-20199\"\nsessions = 50\n").is_ok()
    );
    refused_with("[media]\ncores = [0, 1]\nports = \"20000-20199\"\nsessions = 51\n", &["for 50 sessions"]);
}

#[test]
fn addresses_must_be_reachable() {
    refused_with("[http]\nlisten = \"0.0.0.0:8080\"\n", &["http.listen", "without a token"]);
    refused_with("[http]\nlisten = \"127.0.0.1:0\"\n", &["http.listen", "port 0"]);
    refused_with("[sip]\nlisten = [\"tcp:0.0.0.0:5060\"]\n", &["sip.listen[0]", "peers cannot answer"]);
    refused_with("[sip]\nlisten = [\"tls:127.0.0.1:5061\"]\n", &["tls: needs sip.certificate and sip.key"]);
    refused_with(
        "[sip]\nlisten = [\"127.0.0.1:5060\"]\n",
        &["sip.listen", "\"127.0.0.1:5060\"", "expected udp:ADDRESS:PORT"],
    );
    refused_with("[sip]\nlisten = [\"udp:0.0.0.0:5060\"]\n", &["expected an address of this host"]);
    refused_with("[sip]\nlisten = []\n", &["sip.listen", "empty"]);
    refused_with("[media]\naddress = \"0.0.0.0\"\n", &["media.address", "expected an address of this host"]);
    assert!(Configuration::parse("[sip]\nlisten = [\"udp:[::1]:5060\"]\n").is_ok());
}

#[test]
fn tokens_are_hashes_and_never_print() {
    let good = "a".repeat(64);
    let token = |sha256: &str, rights: &str| {
        format!(
            "[http]\nlisten = \"192.0.2.1:8080\"\n[[http.tokens]]\nname = \"a\"\nsha256 = \"{sha256}\"\nrights = {rights}\n"
        )
    };
    let configuration = Configuration::parse(&token(&good, "[\"call\", \"read\"]")).unwrap();
    assert_eq!(configuration.http.tokens[0].sha256.bytes(), &[0xaa; 32]);
    assert!(!format!("{configuration:?}").contains("aaaa") && !format!("{configuration:?}").contains("170"));
    let message = refused(&token("my-plain-token", "[\"call\"]"));
    assert!(
        message.contains("line 5") && message.contains("sha256sum") && !message.contains("my-plain-token")
    );
    refused_with(&token(&good, "[]"), &["http.tokens[0].rights", "opens nothing"]);
    refused_with(&token(&good, "[\"all\"]"), &["unknown variant `all`", "`operate`"]);
}

#[test]
fn secrets_never_print() {
    let configuration = Configuration::parse("[webhook]\nsecret = \"correct horse battery\"\n").unwrap();
    assert!(!format!("{configuration:?}").contains("horse"));
    assert!(!refused("[webhook]\nsecret = \"horse\"\n").contains("horse"));
}

#[test]
fn trunks_are_told_apart() {
    refused_with("[[trunk]]\nhosts = [\"a\"]\n", &["line 1", "trunk", "missing field `name`"]);
    refused_with(
        "[[trunk]]\nname = \"a\"\nhosts = [\"x\"]\n[[trunk]]\nname = \"a\"\nhosts = [\"X\"]\n",
        &["line 5, column 8: trunk[1].name", "line 6, column 10: trunk[1].hosts[0]"],
    );
    let default =
        |name: &str| format!("[[trunk]]\nname = \"{name}\"\nhosts = [\"{name}\"]\ndefault = true\n");
    refused_with(&(default("a") + &default("b")), &["trunk[1].default", "\"a\" is the default already"]);
    for host in ["", "a b", "-a", "1.2.3", "a:5060", "sip:a", "[::1", "a..b"] {
        let text = format!("[[trunk]]\nname = \"a\"\nhosts = [\"{host}\"]\n");
        refused_with(&text, &["trunk[0].hosts[0]", "is no host"]);
    }
    refused_with("[[trunk]]\nname = \"a\"\n", &["trunk[0].name", "no call ever goes here"]);
    refused_with("[[trunk]]\nname = \"a\"\nhosts = [\"a\"]\nsrtp = \"on\"\n", &["line 4", "on"]);
    refused_with("[[trunk]]\nname = \"a\"\nhosts = [\"a\"]\nsrtp_suites = []\n", &["line 4", "empty"]);
    refused_with(
        "[[trunk]]\nname = \"a\"\nhosts = [\"a\"]\nproxy = \"a:0\"\n",
        &["trunk[0].proxy", "HOST:PORT"],
    );
    refused_with(
        "[[trunk]]\nname = \"a\"\nhosts = [\"a\"]\ncaller_id = \"sip:a@b\\r\\nX: y\"\n",
        &["trunk[0].caller_id", "\\r\\n", "expected sip:USER@HOST"],
    );
    let good = "[[trunk]]\nname = \"a\"\nhosts = [\"sip.example.com\", \"192.0.2.1\", \"[2001:db8::1]\"]\nproxy = \"[::1]:5070\"\ndefault = true\n";
    assert!(Configuration::parse(good).is_ok());
}

#[test]
fn trunk_settings_are_of_use_and_within_bounds() {
    let trunk = |lines: &str| format!("[[trunk]]\nname = \"a\"\nhosts = [\"a\"]\n{lines}\n");
    for (lines, parts) in [
        ("username = \"u\"", &["trunk[0].username", "of no use without password"][..]),
        ("password = \"secret\"", &["trunk[0].password", "of no use without username"]),
        ("register = \"tel:+1234\"", &["trunk[0].register", "expected sip:USER@HOST"]),
        ("register = \"carrier.example\"", &["trunk[0].register", "no SIP URI"]),
        ("register_seconds = 59", &["register_seconds", "59 is out of range"]),
        ("caller_fixed = true", &["trunk[0].caller_fixed", "of no use without caller_id"]),
        ("transport = \"tcp\"", &["trunk[0].transport", "\"tcp\" is not served"]),
        ("transport = \"sctp\"", &["transport", "sctp"]),
        ("ping_seconds = 3601", &["ping_seconds", "out of range"]),
        ("ping_failures = 0", &["ping_failures", "out of range"]),
        ("ping_successes = 101", &["ping_successes", "out of range"]),
        ("calls_per_second = -1", &["calls_per_second"]),
        ("queue = 100001", &["queue", "out of range"]),
        ("allowed_prefixes = \"86\"", &["allowed_prefixes", "line 4"]),
        ("codecs = []", &["trunk[0].codecs", "empty"]),
    ] {
        refused_with(&trunk(lines), parts);
    }
    let secret = refused(&trunk("password = \"hunter2\""));
    assert!(!secret.contains("hunter2"), "{secret}");
    let good = "username = \"u\"\npassword = \"p\"\nregister = \"sip:u@a\"\nregister_seconds = 60\n\
                ping_seconds = 10\ncalls_per_second = 5\nqueue = 0\nallowed_prefixes = [\"86\"]";
    assert!(Configuration::parse(&trunk(good)).is_ok());
}

#[test]
fn all_findings_come_at_once() {
    let text = "[node]\nname = \"\"\n[sip]\nlisten = []\n[media]\ncores = []\n";
    assert_eq!(Configuration::parse(text).unwrap_err().len(), 3);
}

#[test]
fn relative_paths_are_seen_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("duogate.toml");
    std::fs::write(&file, "[media]\nprompts = \"/srv/prompts\"\n").unwrap();
    let configuration = Configuration::load(&file).unwrap();
    assert_eq!(configuration.channel.socket, folder.path().join("run/gateway.sock"));
    assert_eq!(configuration.media.prompts.to_str(), Some("/srv/prompts"));
}

#[test]
fn load_names_the_file_and_what_the_host_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    assert!(matches!(Configuration::load(&file), Err(Error::Unreadable { .. })));
    std::fs::write(&file, "[media]\ncores = [65000]\n").unwrap();
    let message = Configuration::load(&file).unwrap_err().to_string();
    assert!(
        message.contains("x.toml: line 2, column 10: media.cores[0]: this host has no core 65000"),
        "{message}"
    );
}

#[test]
fn fewer_ports_mean_fewer_sessions() {
    let configuration = Configuration::parse("[media]\nports = \"20001-20400\"\n").unwrap();
    assert_eq!((configuration.media.ports.first, configuration.media.ports.last), (20002, 20399));
    assert_eq!((configuration.media.sessions, configuration.limits.max_calls), (99, 99));
}

#[test]
fn fewer_sessions_mean_fewer_calls() {
    let configuration = Configuration::parse("[media]\nsessions = 7\n").unwrap();
    assert_eq!(configuration.limits.max_calls, 7);
}

#[test]
fn ringback_names_are_those_that_are_read() {
    for ringback in Ringback::ALL {
        let text = format!("[media]\nringback = \"{}\"\n", ringback.name());
        assert_eq!(Configuration::parse(&text).unwrap().media.ringback, ringback);
    }
}

proptest! {
    /// Shares are even-first, do not overlap, and stay within the range.
    #[test]
    fn shards_share_ports_without_overlap(first in 512_u16..20_000, pairs in 1_u16..10_000, shards in 1_u16..32) {
        let range = PortRange { first: first * 2, last: first * 2 + pairs * 2 - 1 };
        prop_assert_eq!(range.rtp_ports(), u32::from(pairs));
        prop_assume!(pairs >= shards);
        let mut next = range.first;
        for index in 0..shards {
            let share = range.share(index, shards);
            prop_assert_eq!(share.first, next);
            prop_assert_eq!(share.first % 2, 0);
            prop_assert_eq!(share.rtp_ports(), u32::from(pairs / shards));
            prop_assert!(share.last <= range.last);
            next = share.last.wrapping_add(1);
        }
    }

    /// Whatever stands in the file, the reader answers with a configuration or with findings.
    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        if let Err(findings) = Configuration::parse(&text) {
            prop_assert!(!findings.is_empty());
        }
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        key in "(media|sip|http|trunk|log|webhook)\\.(ports|listen|tokens|codecs|cores|hosts|level|secret)",
        value in "(\"[ -~&&[^\"\\\\]]{0,20}\"|-?[0-9]{1,20}|\\[\"?[a-z0-9:.-]{0,12}\"?\\]|\\{a = 1\\})",
    ) {
        if let Err(findings) = Configuration::parse(&format!("{key} = {value}\n")) {
            prop_assert!(!findings.is_empty());
        }
    }
}
