//! What the values must mean, beyond their types.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::Unplaced;
use crate::values::Transport;
use crate::{Configuration, Gateway, Http, Media, Sip, Trunk};

type Findings = Vec<Unplaced>;

fn add(findings: &mut Findings, key: impl Into<String>, message: impl Into<String>) {
    findings.push(Unplaced { key: key.into(), message: message.into() });
}

/// Everything that can be said without looking at the host.
pub(crate) fn values(configuration: &Configuration) -> Findings {
    let mut findings = Findings::new();
    let out = &mut findings;
    name(out, "node.name", &configuration.node.name);
    http(out, &configuration.http);
    sip(out, &configuration.sip);
    media(out, &configuration.media);
    gateway(out, &configuration.gateway);
    for (index, host) in configuration.policy.webhook_hosts.iter().enumerate() {
        host_name(out, format!("policy.webhook_hosts[{index}]"), host);
    }
    if configuration.webhook.secret.as_ref().is_some_and(|secret| secret.expose().len() < 16) {
        add(out, "webhook.secret", "too short to be safe, expected at least 16 characters");
    }
    trunks(out, &configuration.trunks);
    let session = configuration.sip.session_expires_seconds;
    if (1..90).contains(&session) {
        let message = format!("{session} is less than RFC 4028 allows, expected 0, or 90 or more");
        add(out, "sip.session_expires_seconds", message);
    }
    for (index, trunk) in configuration.trunks.iter().enumerate() {
        let served = |named| configuration.sip.listen.iter().any(|listen| listen.transport == named);
        if let Some(named) = trunk.transport.filter(|named| !served(*named)) {
            let name = named.name();
            let message = format!("\"{name}\" is not served, expected one that sip.listen names");
            add(out, format!("trunk[{index}].transport"), message);
        }
    }
    findings
}

/// What only this host can tell: whether it has the cores.
pub(crate) fn on_host(configuration: &Configuration) -> Findings {
    let mut findings = Findings::new();
    // Where the list cannot be read (a jail without /sys), the gateway finds out when it pins its threads.
    let Ok(online) = fs::read_to_string("/sys/devices/system/cpu/online") else { return findings };
    for (index, core) in configuration.media.cores.iter().enumerate() {
        if !lists(&online, *core) {
            let message = format!("this host has no core {core}, only {}", online.trim());
            add(&mut findings, format!("media.cores[{index}]"), message);
        }
    }
    findings
}

/// Is `number` in a list such as `0-3,8`?
fn lists(list: &str, number: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
    })
}

fn http(out: &mut Findings, http: &Http) {
    if http.listen.port() == 0 {
        add(out, "http.listen", "port 0 cannot be reached, expected ADDRESS:PORT");
    }
    if http.tokens.is_empty() && !http.listen.ip().is_loopback() {
        let message =
            "reachable from other hosts without a token; add [[http.tokens]] or listen on 127.0.0.1";
        add(out, "http.listen", message);
    }
    let mut names = BTreeSet::new();
    for (index, token) in http.tokens.iter().enumerate() {
        name(out, &format!("http.tokens[{index}].name"), &token.name);
        if !names.insert(&token.name) {
            let message = format!("\"{}\" is the name of another token too", token.name);
            add(out, format!("http.tokens[{index}].name"), message);
        }
        if token.rights.is_empty() {
            let message = "opens nothing, expected some of \"call\", \"read\", \"operate\"";
            add(out, format!("http.tokens[{index}].rights"), message);
        }
    }
}

fn sip(out: &mut Findings, sip: &Sip) {
    if sip.listen.is_empty() {
        add(out, "sip.listen", "empty, expected at least one udp:ADDRESS:PORT");
    }
    for (index, listen) in sip.listen.iter().enumerate() {
        let key = format!("sip.listen[{index}]");
        if listen.transport == Transport::Tls && (sip.certificate.is_none() || sip.key.is_none()) {
            add(out, key, "tls: needs sip.certificate and sip.key");
        } else if listen.address.ip().is_unspecified() {
            add(
                out,
                key,
                format!("peers cannot answer to {}, expected an address of this host", listen.address.ip()),
            );
        } else if listen.address.port() == 0 {
            add(out, key, "port 0 cannot be reached, expected udp:ADDRESS:PORT");
        } else if sip.listen[..index].contains(listen) {
            add(out, key, format!("{listen} is listed twice"));
        }
    }
    if sip.client_certificates && sip.authorities.is_none() {
        add(out, "sip.client_certificates", "of no use without sip.authorities");
    }
    if sip.user_agent.is_empty()
        || sip.user_agent.len() > 128
        || !sip.user_agent.chars().all(|c| matches!(c, ' '..='~'))
    {
        add(out, "sip.user_agent", "expected 1 to 128 printable ASCII characters");
    }
    if sip.t2_milliseconds < sip.t1_milliseconds {
        add(
            out,
            "sip.t2_milliseconds",
            format!("below t1_milliseconds, expected at least {}", sip.t1_milliseconds),
        );
    }
}

fn media(out: &mut Findings, media: &Media) {
    if media.address.is_unspecified() || media.address.is_multicast() {
        let message = format!("parties cannot send to {}, expected an address of this host", media.address);
        add(out, "media.address", message);
    }
    more_addresses(out, media);
    if media.cores.is_empty() {
        add(out, "media.cores", "empty, expected at least one core, such as [0]");
    } else {
        let possible = media.possible_sessions();
        if media.sessions_per_shard() * u32::from(media.shards()) > possible {
            let message = format!(
                "{} has ports for {possible} sessions, media.sessions asks for {}",
                media.ports, media.sessions
            );
            add(out, "media.ports", message);
        }
    }
    for (index, core) in media.cores.iter().enumerate() {
        if media.cores[..index].contains(core) {
            add(out, format!("media.cores[{index}]"), format!("core {core} is listed twice"));
        }
    }
    if media.codecs.is_empty() {
        add(out, "media.codecs", "empty, expected one of \"PCMA\", \"PCMU\", \"G722\", \"opus\"");
    }
    for (key, path) in [("media.prompts", &media.prompts), ("media.recordings", &media.recordings)] {
        if path.as_os_str().is_empty() {
            add(out, key, "empty, expected a folder");
        }
    }
}

fn gateway(out: &mut Findings, gateway: &Gateway) {
    if gateway.interfaces.len() > Gateway::MOST_INTERFACES {
        let message = format!("{} are listed, expected at most 8", gateway.interfaces.len());
        add(out, "gateway.interfaces", message);
    }
    for (index, interface) in gateway.interfaces.iter().enumerate() {
        let key = format!("gateway.interfaces[{index}]");
        // IFNAMSIZ is 16 with the closing zero.
        let fits = (1..=15).contains(&interface.len())
            && interface.chars().all(|c| matches!(c, '!'..='~') && !matches!(c, '/' | ':'));
        if !fits {
            let message =
                format!("\"{}\" is no interface, expected a name such as eth0", interface.escape_debug());
            add(out, key, message);
        } else if gateway.interfaces[..index].contains(interface) {
            add(out, key, format!("{interface} is listed twice"));
        }
    }
}

fn more_addresses(out: &mut Findings, media: &Media) {
    if media.more_addresses.len() > Media::MOST_MORE_ADDRESSES {
        let message = format!("{} are listed, expected at most 7", media.more_addresses.len());
        add(out, "media.more_addresses", message);
    }
    for (index, address) in media.more_addresses.iter().enumerate() {
        let key = format!("media.more_addresses[{index}]");
        if address.is_unspecified() || address.is_multicast() {
            add(out, key, format!("parties cannot send to {address}, expected an address of this host"));
        } else if *address == media.address || media.more_addresses[..index].contains(address) {
            add(out, key, format!("{address} is listed twice"));
        }
    }
}

fn trunks(out: &mut Findings, trunks: &[Trunk]) {
    let mut names = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    let mut default = None;
    for (index, trunk) in trunks.iter().enumerate() {
        let key = |name: &str| format!("trunk[{index}].{name}");
        name(out, &key("name"), &trunk.name);
        if !names.insert(&trunk.name) {
            add(out, key("name"), format!("\"{}\" is the name of another trunk too", trunk.name));
        }
        for (place, host) in trunk.hosts.iter().enumerate() {
            let key = format!("trunk[{index}].hosts[{place}]");
            host_name(out, key.clone(), host);
            if !hosts.insert(host.to_ascii_lowercase()) {
                add(out, key, format!("\"{host}\" is listed before, expected each host on one trunk"));
            }
        }
        if let (true, Some(other)) = (trunk.default, default) {
            add(out, key("default"), format!("\"{other}\" is the default already"));
        }
        default = default.or(trunk.default.then_some(&trunk.name));
        one_trunk(out, trunk, key);
    }
}

fn one_trunk(out: &mut Findings, trunk: &Trunk, key: impl Fn(&str) -> String) {
    if trunk.username.is_some() != trunk.password.is_some() {
        let (there, missing) =
            if trunk.username.is_some() { ("username", "password") } else { ("password", "username") };
        add(out, key(there), format!("of no use without {missing}"));
    }
    if trunk.register.as_deref().is_some_and(|aor| !is_caller(aor) || !aor.starts_with("sip")) {
        add(out, key("register"), "no SIP URI, expected sip:USER@HOST");
    }
    if trunk.caller_fixed && trunk.caller_id.is_none() {
        add(out, key("caller_fixed"), "of no use without caller_id");
    }
    if trunk.hosts.is_empty() && !trunk.default {
        add(out, key("name"), "no call ever goes here, expected hosts or default = true");
    }
    if trunk.default && trunk.hosts.is_empty() && trunk.proxy.is_none() {
        add(out, key("default"), "a bare number has nowhere to go, expected hosts or a proxy");
    }
    if let Some(proxy) = &trunk.proxy
        && !is_host_and_port(proxy)
    {
        add(out, key("proxy"), format!("\"{}\" is not HOST or HOST:PORT", proxy.escape_debug()));
    }
    if let Some(caller) = &trunk.caller_id
        && !is_caller(caller)
    {
        add(
            out,
            key("caller_id"),
            format!("\"{}\" is not a SIP URI, expected sip:USER@HOST", caller.escape_debug()),
        );
    }
    if trunk.codecs.as_ref().is_some_and(Vec::is_empty) {
        add(out, key("codecs"), "empty, expected one of \"PCMA\", \"PCMU\", \"G722\", \"opus\"");
    }
    if trunk.srtp_suites.is_empty() {
        add(out, key("srtp_suites"), "empty, expected AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM or both");
    }
}

fn name(out: &mut Findings, key: &str, name: &str) {
    let fits = (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !fits {
        add(
            out,
            key,
            format!("\"{}\" is no name, expected 1 to 64 of A-Z a-z 0-9 . _ -", name.escape_debug()),
        );
    }
}

fn host_name(out: &mut Findings, key: String, host: &str) {
    if !is_host(host) {
        let message =
            format!("\"{}\" is no host, expected a name or an address without port", host.escape_debug());
        add(out, key, message);
    }
}

/// An address, an IPv6 address in brackets, or a domain name (RFC 1123 section 2.1).
fn is_host(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number = host.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    host.len() <= 253 && !last_is_number && host.split('.').all(label)
}

fn is_host_and_port(text: &str) -> bool {
    if is_host(text) {
        return true;
    }
    text.rsplit_once(':').is_some_and(|(host, port)| {
        is_host(host)
            && (host.starts_with('[') || !host.contains(':'))
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// A caller in a form that signaling can be given: what it means is signaling's to say.
fn is_caller(text: &str) -> bool {
    let rest = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        (1..=256).contains(&rest.len())
            && rest.chars().all(|c| matches!(c, '!'..='~') && !matches!(c, '<' | '>' | '"'))
    })
}
