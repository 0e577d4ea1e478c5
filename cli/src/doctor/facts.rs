//! What can be seen of this host.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use duogate_configuration::{Configuration, Transport};
use duogate_fastpath::Probe;
use rustix::process::{Resource, getrlimit};

use super::fast_path;

/// What can be seen of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// As in `uname -r`.
    pub(crate) kernel: String,
    /// What the gateway says about io_uring: nothing if it works, none if there is no gateway to ask.
    pub(crate) io_uring: Option<Result<(), String>>,
    /// Hard limit of open files; none: unlimited.
    pub(crate) files: Option<u64>,
    /// `net.core.rmem_max` in bytes.
    pub(crate) receive_memory: Option<u64>,
    /// `net.ipv4.ip_local_port_range`.
    pub(crate) ephemeral: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub(crate) reserved: Vec<(u16, u16)>,
    /// UDP datagrams that this host dropped because a socket was full, since boot.
    pub(crate) receive_errors: u64,
    /// Places that are listened on already, or are not this host's.
    pub(crate) unbindable: Vec<String>,
    /// Folders that cannot be written, or prompts that cannot be read.
    pub(crate) folders: Vec<String>,
    /// What the fast path finds; none if it is switched off.
    pub(crate) fast_path: Option<Probe>,
}

impl Facts {
    pub(crate) fn gather(configuration: &Configuration, config: &Path) -> Self {
        Self {
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
            io_uring: ask_gateway(config),
            files: getrlimit(Resource::Nofile).maximum,
            receive_memory: line("/proc/sys/net/core/rmem_max").and_then(|text| text.parse().ok()),
            ephemeral: line("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| {
                let mut numbers = text.split_whitespace().map(str::parse);
                Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
            }),
            reserved: line("/proc/sys/net/ipv4/ip_local_reserved_ports")
                .map(|text| ranges(&text))
                .unwrap_or_default(),
            receive_errors: fs::read_to_string("/proc/net/snmp")
                .map(|text| udp_errors(&text))
                .unwrap_or_default(),
            unbindable: unbindable(configuration),
            folders: folders(configuration),
            fast_path: fast_path::gather(configuration),
        }
    }
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The gateway knows best whether it can work; it ends after the check.
fn ask_gateway(config: &Path) -> Option<Result<(), String>> {
    let gateway = std::env::current_exe().ok()?.with_file_name("duogate-gateway");
    let mut command = Command::new(gateway);
    command.arg("--check").stdin(Stdio::null()).stdout(Stdio::null());
    if config.exists() {
        command.arg("--config").arg(config);
    } else {
        // An empty file is the default configuration.
        command.arg("--config").arg("/dev/null");
    }
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Some(if output.status.success() { Ok(()) } else { Err(said) })
}

/// A list such as `1-3,8`.
pub(crate) fn ranges(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

/// `RcvbufErrors` of the lines `Udp:`.
pub(crate) fn udp_errors(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let place = names.split(' ').position(|name| name == "RcvbufErrors");
    place.and_then(|place| values.split(' ').nth(place)?.parse().ok()).unwrap_or(0)
}

fn unbindable(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    let http = configuration.http.listen;
    if let Err(error) = TcpListener::bind(http) {
        found.push(format!("http {http}: {error}"));
    }
    for listen in &configuration.sip.listen {
        let bound = match listen.transport {
            Transport::Udp => UdpSocket::bind(listen.address).map(drop),
            Transport::Tcp | Transport::Tls => TcpListener::bind(listen.address).map(drop),
        };
        if let Err(error) = bound {
            found.push(format!("sip {listen}: {error}"));
        }
    }
    for address in configuration.media.addresses() {
        if let Err(error) = UdpSocket::bind((address, 0)) {
            found.push(format!("media {address}: {error}"));
        }
    }
    found
}

fn folders(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    if let Err(error) = fs::read_dir(&configuration.media.prompts) {
        found.push(format!("prompts {}: {error}", configuration.media.prompts.display()));
    }
    let parent = |path: &Path| path.parent().map(Path::to_path_buf);
    let written = [
        Some(configuration.media.recordings.clone()),
        parent(&configuration.store.path),
        parent(&configuration.channel.socket),
    ];
    for folder in written.into_iter().flatten() {
        // A folder that is not there yet is made at the start, if the nearest one above may be written.
        let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        if rustix::fs::access(existing, rustix::fs::Access::WRITE_OK).is_err() {
            found.push(format!("{}: {} cannot be written", folder.display(), existing.display()));
        }
    }
    found
}
