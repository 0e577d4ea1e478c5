//! The order of what the name service says.

use duogate_signaling::endpoint::output::Transport;

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Server {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// A NAPTR record that leads to SRV records (RFC 3263 section 4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pointer {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) transport: Transport,
    /// The name of the SRV records.
    pub(super) replacement: String,
}

/// Brings servers into the order in which they shall be tried: by priority, and among equals by lot, the more likely
/// the greater their weight. `draw` gives a number from 0 to its argument, both included.
pub(super) fn order(mut servers: Vec<Server>, mut draw: impl FnMut(u32) -> u32) -> Vec<Server> {
    // Weightless ones first, so that they have their small chance too.
    servers.sort_by_key(|server| (server.priority, server.weight > 0));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(first) = servers.first() {
        let equals = servers.iter().take_while(|server| server.priority == first.priority).count();
        let sum: u32 = servers[..equals].iter().map(|server| u32::from(server.weight)).sum();
        let mut lot = draw(sum);
        let drawn = servers[..equals].iter().position(|server| {
            let hit = lot <= u32::from(server.weight);
            lot = lot.saturating_sub(server.weight.into());
            hit
        });
        ordered.push(servers.remove(drawn.unwrap_or(0)));
    }
    ordered
}

/// The transport that a NAPTR service stands for.
pub(super) fn service(services: &[u8]) -> Option<Transport> {
    [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)]
        .into_iter()
        .find(|(name, _)| services.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, transport)| transport)
}

/// The name of a host's SRV records.
pub(super) fn srv_name(host: &str, transport: Transport) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{}", absolute(host))
}

/// A name that no search list is tried with.
pub(super) fn absolute(host: &str) -> String {
    if host.ends_with('.') { host.to_owned() } else { format!("{host}.") }
}

/// The port where none is named (RFC 3261 section 19.1.2).
pub(super) const fn default_port(transport: Transport) -> u16 {
    if matches!(transport, Transport::Tls) { 5061 } else { 5060 }
}
