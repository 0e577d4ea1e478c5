//! Asking the name service.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use duogate_configuration::{Sip, Transport as Named};
use duogate_signaling::endpoint::output::Transport;
use duogate_signaling::endpoint::{Place, Question};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::time::timeout;
use uuid::Uuid;

use super::choice::{Pointer, Server, absolute, default_port, order, service, srv_name};

/// Records of one kind that are followed, and places that one host is said to be reached at.
const MOST_RECORDS: usize = 16;
const MOST_PLACES: usize = 16;

/// How long one name server may take.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How long NAPTR and SRV records and the addresses that they lead to may take, of the time that a look-up has.
const RECORDS: Duration = Duration::from_secs(4);

/// How soon the host's own addresses are asked for beside them.
const HEAD_START: Duration = Duration::from_millis(500);

/// Finds hosts.
pub(crate) struct Finder {
    /// None where the host names no server; then its own look-up of addresses has to do.
    resolver: Option<TokioResolver>,
    /// Transports that are served, in the order of `sip.listen`.
    served: Vec<Transport>,
    lot: AtomicU64,
}

impl std::fmt::Debug for Finder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finder").field("served", &self.served).finish_non_exhaustive()
    }
}

impl Finder {
    /// One that asks the servers of the settings, or those of the host.
    pub(crate) fn new(sip: &Sip) -> Self {
        let mut served = Vec::new();
        for listen in &sip.listen {
            let transport = match listen.transport {
                Named::Udp => Transport::Udp,
                Named::Tcp => Transport::Tcp,
                Named::Tls => Transport::Tls,
            };
            if !served.contains(&transport) {
                served.push(transport);
            }
        }
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self { resolver: resolver(&sip.name_servers), served, lot: AtomicU64::new(high ^ low) }
    }

    /// Where a host is reached, the best place first (RFC 3263 section 4). Empty where it is not known.
    pub(super) async fn find(&self, question: &Question) -> Vec<Place> {
        let Question { host, port, transport } = question;
        let fallback = transport.or(self.served.first().copied()).unwrap_or(Transport::Udp);
        if let Some(port) = port {
            // Section 4.2: a port that is named leaves only the address to be found; UDP where it is served.
            let udp = transport.is_none() && self.served.contains(&Transport::Udp);
            let transport = if udp { Transport::Udp } else { fallback };
            return self.places(host, *port, transport).await;
        }
        let mut found = Vec::new();
        let mut early = None;
        {
            // Some name servers, and boxes before them, drop what they do not know instead of saying so.
            let records = timeout(RECORDS, self.by_records(host, *transport, &mut found));
            let (mut records, mut plain) = (pin!(records), pin!(self.early_places(host, fallback)));
            loop {
                tokio::select! {
                    _ = records.as_mut() => break,
                    places = plain.as_mut(), if early.is_none() => early = Some(places),
                }
            }
        }
        if found.is_empty() {
            found = match early {
                Some(places) => places,
                None => self.places(host, default_port(fallback), fallback).await,
            };
        }
        found.truncate(MOST_PLACES);
        found
    }

    /// Adds the places that NAPTR and SRV records lead to. What has been found when the time is up stays.
    async fn by_records(&self, host: &str, transport: Option<Transport>, found: &mut Vec<Place>) {
        let pointers = match transport {
            Some(transport) => vec![(transport, srv_name(host, transport))],
            None => self.pointers(host).await,
        };
        for (transport, name) in pointers {
            for Server { port, target, .. } in self.servers(&name).await {
                found.extend(self.places(&target, port, transport).await);
            }
            if found.len() >= MOST_PLACES {
                break;
            }
        }
    }

    /// The addresses of the host itself, asked for while its records are slow to come.
    async fn early_places(&self, host: &str, transport: Transport) -> Vec<Place> {
        tokio::time::sleep(HEAD_START).await;
        self.places(host, default_port(transport), transport).await
    }

    /// Names of SRV records by preference: those that NAPTR records lead to, or else of each transport that is served.
    async fn pointers(&self, host: &str) -> Vec<(Transport, String)> {
        let mut pointers = Vec::new();
        for data in self.records(&absolute(host), RecordType::NAPTR).await {
            let RData::NAPTR(naptr) = data else { continue };
            let known = service(&naptr.services).filter(|transport| self.served.contains(transport));
            if let (Some(transport), true) = (known, naptr.flags.eq_ignore_ascii_case(b"s")) {
                let (order, preference) = (naptr.order, naptr.preference);
                let replacement = naptr.replacement.to_ascii();
                pointers.push(Pointer { order, preference, transport, replacement });
            }
        }
        pointers.sort_by_key(|pointer| (pointer.order, pointer.preference));
        if pointers.is_empty() {
            return self.served.iter().map(|transport| (*transport, srv_name(host, *transport))).collect();
        }
        pointers.into_iter().map(|pointer| (pointer.transport, pointer.replacement)).collect()
    }

    async fn servers(&self, name: &str) -> Vec<Server> {
        let mut servers = Vec::new();
        for data in self.records(name, RecordType::SRV).await {
            let RData::SRV(srv) = data else { continue };
            // RFC 2782: the root as a target says that the service is not there.
            if !srv.target.is_root() {
                let target = srv.target.to_ascii();
                servers.push(Server { priority: srv.priority, weight: srv.weight, port: srv.port, target });
            }
        }
        order(servers, |most| self.draw(most))
    }

    async fn records(&self, name: &str, kind: RecordType) -> Vec<RData> {
        let Some(resolver) = &self.resolver else { return Vec::new() };
        let Ok(answer) = resolver.lookup(name, kind).await else { return Vec::new() };
        answer.answers().iter().take(MOST_RECORDS).map(|record| record.data.clone()).collect()
    }

    async fn places(&self, host: &str, port: u16, transport: Transport) -> Vec<Place> {
        let addresses: Vec<IpAddr> = match &self.resolver {
            Some(resolver) => match resolver.lookup_ip(host).await {
                Ok(found) => found.iter().take(MOST_RECORDS).collect(),
                Err(_) => Vec::new(),
            },
            None => match tokio::net::lookup_host((host.trim_end_matches('.'), port)).await {
                Ok(found) => found.take(MOST_RECORDS).map(|address| address.ip()).collect(),
                Err(_) => Vec::new(),
            },
        };
        let place = |address| Place { transport, address: SocketAddr::new(address, port) };
        addresses.into_iter().map(place).collect()
    }

    /// A number from 0 to `most`: enough of a lottery to share calls out, and nothing is kept secret by it.
    fn draw(&self, most: u32) -> u32 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.lot.fetch_add(STEP, Ordering::Relaxed).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u32::try_from((mixed >> 32) % (u64::from(most) + 1)).unwrap_or(0)
    }
}

fn resolver(servers: &[SocketAddr]) -> Option<TokioResolver> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().ok()?
    } else {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = address.port();
            }
            NameServerConfig::new(address.ip(), true, connections)
        };
        let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    builder.options_mut().timeout = PATIENCE;
    builder.options_mut().attempts = 2;
    builder.build().ok()
}
