//! From the configuration's words to the endpoint's.

use std::sync::Arc;
use std::time::Duration;

use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::srtp::Suite;
use duogate_configuration::{
    Codec as Named, Configuration, Dtmf, Listen, Media, RecordHold as Hold, Srtp, Suite as WrittenSuite,
    Transport as NamedTransport, Trunk as Written,
};
use duogate_signaling::endpoint::settings::{
    Credentials, KeyWay, Ping, Rate, Registration, Security, SessionInterval, Transport, Waits,
};
use duogate_signaling::endpoint::{Admission, Limits, Local, Policy, Settings, Trunk};
use duogate_signaling::transaction::Settings as Timers;

/// What the endpoint is told about its node.
pub(crate) fn signaling(configuration: &Configuration) -> Settings {
    let limits = &configuration.limits;
    let milliseconds = |value: u32| Duration::from_millis(value.into());
    Settings {
        node: configuration.node.name.clone(),
        user_agent: configuration.sip.user_agent.clone(),
        listeners: configuration.sip.listen.iter().map(local).collect(),
        media_addresses: configuration.media.addresses(),
        codecs: codecs(&configuration.media.codecs),
        record_hold: match configuration.media.record_hold {
            Hold::Silence => RecordHold::Silence,
            Hold::Pause => RecordHold::Pause,
        },
        limits: Limits {
            admission: Admission {
                max_calls: limits.max_calls,
                calls_per_second: limits.calls_per_second.into(),
                // A second's worth may come at once.
                burst: limits.calls_per_second,
            },
            max_transcoded: configuration.media.transcoded_sessions(),
            ..Limits::default()
        },
        trunks: configuration.trunks.iter().map(|written| trunk(written, configuration)).collect(),
        policy: Policy {
            allow_any_destination: configuration.policy.allow_any_destination,
            default_trunk: configuration.default_trunk().map(|trunk| Arc::from(trunk.name.as_str())),
            webhook_hosts: configuration.policy.webhook_hosts.clone(),
        },
        timers: Timers {
            t1: milliseconds(configuration.sip.t1_milliseconds),
            t2: milliseconds(configuration.sip.t2_milliseconds),
            t4: milliseconds(configuration.sip.t4_milliseconds),
            ..Timers::default()
        },
        waits: Waits {
            recovery: Duration::from_secs(configuration.media.recovery_seconds.into()),
            prompt: Duration::from_secs(configuration.limits.prompt_seconds.into()),
            ..Waits::default()
        },
        session: (configuration.sip.session_expires_seconds > 0)
            .then_some(SessionInterval { seconds: configuration.sip.session_expires_seconds }),
        max_redirects: configuration.sip.max_redirects,
    }
}

/// Puts settings that the gateway takes from its start back to those values, and names those that had others.
pub(crate) fn keep(start: &Media, read: &mut Media) -> Vec<&'static str> {
    let mut kept = Vec::new();
    for (name, start, read) in [
        ("media.transcoders", start.transcoders, &mut read.transcoders),
        ("media.max_transcoded", start.max_transcoded, &mut read.max_transcoded),
    ] {
        if *read != start {
            *read = start;
            kept.push(name);
        }
    }
    kept
}

fn trunk(written: &Written, configuration: &Configuration) -> Trunk {
    // Without a proxy each request goes where its URI says.
    let (address, port) = written.proxy.as_deref().map_or((None, None), |proxy| {
        let (host, port) = host_and_port(proxy);
        (Some(host), port)
    });
    Trunk {
        name: Arc::from(written.name.as_str()),
        hosts: written.hosts.clone(),
        address,
        port,
        transport: written.transport.map(transport),
        caller_id: written.caller_id.clone(),
        caller_fixed: written.caller_fixed,
        asserts_identity: written.assert_identity,
        private: written.private,
        credentials: credentials(written),
        max_calls: (written.max_calls > 0).then_some(written.max_calls),
        rate: (written.calls_per_second > 0)
            .then(|| Rate { per_second: written.calls_per_second.into(), queue: written.queue as usize }),
        allowed: written.allowed_prefixes.clone(),
        refused: written.refused_prefixes.clone(),
        ping: (written.ping_seconds > 0).then(|| Ping {
            every: Duration::from_secs(written.ping_seconds.into()),
            failures: written.ping_failures,
            successes: written.ping_successes,
        }),
        registration: written.register.as_ref().map(|aor| Registration {
            aor: aor.clone(),
            expires: Duration::from_secs(written.register_seconds.into()),
            retry: REGISTER_RETRY,
        }),
        codecs: codecs(written.codecs.as_ref().unwrap_or(&configuration.media.codecs)),
        security: match written.srtp {
            Srtp::Off => Security::Off,
            Srtp::Optional => Security::Optional,
            Srtp::Required => Security::Required,
        },
        suites: written
            .srtp_suites
            .iter()
            .map(|suite| match suite {
                WrittenSuite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
                WrittenSuite::AeadAes128Gcm => Suite::AeadAes128Gcm,
            })
            .collect(),
        nat: written.nat,
        keys: match written.dtmf {
            Dtmf::Auto => KeyWay::Any,
            Dtmf::Rfc4733 => KeyWay::Events,
            Dtmf::Info => KeyWay::Info,
            Dtmf::Inband => KeyWay::Tones,
        },
        listener: 0,
    }
}

/// Between two tries to register with a registrar that does not take us.
const REGISTER_RETRY: Duration = Duration::from_secs(30);

fn local(listen: &Listen) -> Local {
    Local { transport: transport(listen.transport), address: listen.address }
}

fn transport(named: NamedTransport) -> Transport {
    match named {
        NamedTransport::Udp => Transport::Udp,
        NamedTransport::Tcp => Transport::Tcp,
        NamedTransport::Tls => Transport::Tls,
    }
}

fn credentials(written: &Written) -> Option<Arc<Credentials>> {
    let password = written.password.as_ref()?;
    Some(Arc::new(Credentials {
        username: written.username.clone()?,
        password: password.expose().into(),
        realm: written.realm.clone(),
    }))
}

/// Splits `HOST` or `HOST:PORT`; an IPv6 address with a port stands in brackets.
fn host_and_port(text: &str) -> (String, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host.to_owned(), Some(port)),
            Err(_) => (text.to_owned(), None),
        },
        _ => (text.to_owned(), None),
    }
}

/// All codecs that the file names.
pub(crate) fn all_codecs(configuration: &Configuration) -> Vec<Codec> {
    let of_trunks = configuration.trunks.iter().filter_map(|trunk| trunk.codecs.as_ref());
    of_trunks.chain([&configuration.media.codecs]).flat_map(|named| codecs(named)).collect()
}

fn codecs(named: &[Named]) -> Vec<Codec> {
    named
        .iter()
        .map(|codec| match codec {
            Named::Pcma => Codec::Pcma,
            Named::Pcmu => Codec::Pcmu,
            Named::G722 => Codec::G722,
            Named::Opus => Codec::Opus,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_have_a_port_or_none() {
        assert_eq!(host_and_port("a.example"), ("a.example".into(), None));
        assert_eq!(host_and_port("a.example:5070"), ("a.example".into(), Some(5070)));
        assert_eq!(host_and_port("2001:db8::1"), ("2001:db8::1".into(), None));
        assert_eq!(host_and_port("[2001:db8::1]:5070"), ("[2001:db8::1]".into(), Some(5070)));
    }

    #[test]
    fn what_the_gateway_takes_from_its_start_is_kept_and_named() {
        let start = Media { transcoders: 1, max_transcoded: 100, ..Media::default() };
        let mut read = Media { max_transcoded: 5_000, silence_timeout_seconds: 7, ..start.clone() };
        assert_eq!(keep(&start, &mut read), ["media.max_transcoded"]);
        assert_eq!((read.max_transcoded, read.silence_timeout_seconds), (100, 7));
        assert!(keep(&start, &mut read).is_empty());
    }
}
