//! What the facts mean.

use duogate_configuration::{Configuration, PortRange};

use super::facts::Facts;
use super::fast_path;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Grade {
    /// As it should be.
    Good,
    /// Duogate works, though not as well as it could, or only in part.
    Unsure,
    /// Duogate cannot work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) grade: Grade,
    pub(crate) what: String,
    /// What to do.
    pub(crate) fix: Option<String>,
}

impl Finding {
    pub(super) fn good(what: impl Into<String>) -> Self {
        Self { grade: Grade::Good, what: what.into(), fix: None }
    }

    pub(super) fn with(grade: Grade, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { grade, what: what.into(), fix: Some(fix.into()) }
    }
}

/// Descriptors beside those of the sessions: rings, HTTP, the database, prompts, recordings being handed over.
const OTHER_FILES: u64 = 1024;
/// Descriptors of a session: two ports, two that rest, and a recording.
const FILES_OF_A_SESSION: u64 = 5;
/// Tables of sockets that a shard of the gateway makes at most, each as large as there may be open files.
const MOST_TABLES: u64 = 8;
/// Receive memory that carries the SIP socket over a burst: 4 MiB.
const RECEIVE_MEMORY: u64 = 4 * 1024 * 1024;

/// Everything, in the order in which it is needed.
pub(crate) fn examine(facts: &Facts, configuration: &Configuration) -> Vec<Finding> {
    let mut findings = vec![
        kernel(&facts.kernel),
        io_uring(facts.io_uring.as_ref()),
        files(facts.files, u64::from(configuration.media.sessions), &facts.kernel),
        memory(facts.receive_memory),
        ports(facts, configuration.media.ports),
        errors(facts.receive_errors),
    ];
    findings.extend(fast_path::examine(facts.fast_path.as_ref()));
    findings.extend(facts.unbindable.iter().map(|place| {
        let fix = "is `duogate up` running? Else end what listens there, or change the address (ss -lntup shows it)";
        Finding::with(Grade::Unsure, format!("cannot listen on {place}"), fix)
    }));
    findings.extend(configuration.trunks.iter().filter(|trunk| trunk.exposes_keys()).map(|trunk| {
        let what = format!("trunk {} has srtp, and its keys go through the network in the clear", trunk.name);
        Finding::with(Grade::Unsure, what, "set transport = \"tls\" for it")
    }));
    findings.extend(facts.folders.iter().map(|folder| {
        Finding::with(
            Grade::Unsure,
            format!("folder {folder}"),
            "mkdir it, or chown it to the user that runs Duogate",
        )
    }));
    findings
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn kernel(release: &str) -> Finding {
    let version = version(release);
    // IORING_SETUP_DEFER_TASKRUN came with 6.1.
    if version >= (6, 1) {
        Finding::good(format!("kernel {release}"))
    } else {
        let what = format!("kernel {release} is too old: the gateway's io_uring needs 6.1");
        Finding::with(
            Grade::Bad,
            what,
            "install a newer kernel: Debian 12 has 6.1, bookworm-backports later ones",
        )
    }
}

fn io_uring(said: Option<&Result<(), String>>) -> Finding {
    match said {
        Some(Ok(())) => Finding::good("io_uring works, with all that the gateway needs of it"),
        Some(Err(said)) => Finding::with(
            Grade::Bad,
            format!("the gateway cannot work: {said}"),
            "sysctl -w kernel.io_uring_disabled=0; in a container, allow io_uring_* in its seccomp profile",
        ),
        None => Finding::with(
            Grade::Unsure,
            "io_uring was not tried: duogate-gateway is not beside this program",
            "cargo build --release, or install the package whole",
        ),
    }
}

/// Whether all sessions have sockets, and what holds those.
fn files(hard: Option<u64>, sessions: u64, kernel: &str) -> Finding {
    let needed = sessions * FILES_OF_A_SESSION + OTHER_FILES;
    let Some(hard) = hard else { return Finding::good("open files without limit") };
    let pairs = hard.saturating_sub(OTHER_FILES) / FILES_OF_A_SESSION;
    if hard >= needed {
        return Finding::good(format!(
            "{hard} open files at most: one for each socket of {pairs} calls; {needed} needed"
        ));
    }
    // IORING_OP_FIXED_FD_INSTALL came with 6.8: sockets need no descriptors.
    let beyond = hard / 2 * MOST_TABLES;
    if version(kernel) >= (6, 8) && hard > OTHER_FILES && beyond >= sessions {
        return Finding::good(format!(
            "{hard} open files at most, enough for {pairs} calls; io_uring's own tables hold the sockets of up to \
             {beyond}"
        ));
    }
    Finding::with(
        Grade::Unsure,
        format!("{hard} open files at most, enough for {pairs} calls of {sessions}: fewer will fit"),
        format!("systemd: LimitNOFILE={needed}; a shell: raise nofile in /etc/security/limits.conf"),
    )
}

fn memory(limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) if limit < RECEIVE_MEMORY => Finding::with(
            Grade::Unsure,
            format!("sockets may hold {limit} bytes of unread packets: a burst of SIP may overflow"),
            format!("sysctl -w net.core.rmem_max={RECEIVE_MEMORY}"),
        ),
        Some(limit) => Finding::good(format!("sockets may hold {limit} bytes of unread packets")),
        None => {
            Finding::with(Grade::Unsure, "net.core.rmem_max cannot be read", "look at /proc/sys/net/core")
        }
    }
}

fn ports(facts: &Facts, ports: PortRange) -> Finding {
    let covered = |port| facts.reserved.iter().any(|(first, last)| (*first..=*last).contains(&port));
    let overlaps = facts.ephemeral.is_some_and(|(first, last)| ports.first <= last && first <= ports.last);
    if !overlaps || (ports.first..=ports.last).all(covered) {
        return Finding::good(format!("RTP ports {ports} are kept from other programs"));
    }
    let (first, last) = facts.ephemeral.unwrap_or_default();
    Finding::with(
        Grade::Unsure,
        format!("RTP ports {ports} overlap those that the system gives to any program ({first}-{last})"),
        format!("sysctl -w net.ipv4.ip_local_reserved_ports={ports}"),
    )
}

fn errors(count: u64) -> Finding {
    if count == 0 {
        return Finding::good("no UDP packet was dropped for want of memory since boot");
    }
    Finding::with(
        Grade::Unsure,
        format!("{count} UDP packets were dropped for want of memory since boot, by whichever program"),
        "watch RcvbufErrors (nstat UdpRcvbufErrors); if it grows under load, give Duogate more cores",
    )
}

#[cfg(test)]
mod tests {
    use super::super::facts::{ranges, udp_errors};
    use super::*;

    fn sound() -> Facts {
        Facts {
            kernel: "6.1.0-28-amd64".to_owned(),
            io_uring: Some(Ok(())),
            files: Some(1_048_576),
            receive_memory: Some(RECEIVE_MEMORY),
            ephemeral: Some((40_000, 60_999)),
            reserved: Vec::new(),
            receive_errors: 0,
            unbindable: Vec::new(),
            folders: Vec::new(),
            fast_path: None,
        }
    }

    fn grades(facts: &Facts) -> Vec<Grade> {
        let findings = examine(facts, &Configuration::default());
        assert!(findings.iter().all(|finding| (finding.grade == Grade::Good) == finding.fix.is_none()));
        findings.iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn a_sound_host_is_good() {
        assert_eq!(grades(&sound()), [Grade::Good; 7]);
    }

    #[test]
    fn every_fault_is_found_at_its_place_with_a_fix() {
        let faults: [(usize, Grade, Facts); 6] = [
            (0, Grade::Bad, Facts { kernel: "5.10.0-1".to_owned(), ..sound() }),
            (1, Grade::Bad, Facts { io_uring: Some(Err("disabled".to_owned())), ..sound() }),
            (2, Grade::Unsure, Facts { files: Some(1024), ..sound() }),
            (3, Grade::Unsure, Facts { receive_memory: Some(212_992), ..sound() }),
            (4, Grade::Unsure, Facts { ephemeral: Some((32_768, 60_999)), ..sound() }),
            (5, Grade::Unsure, Facts { receive_errors: 5, ..sound() }),
        ];
        for (place, grade, facts) in faults {
            let mut expected = [Grade::Good; 7];
            expected[place] = grade;
            assert_eq!(grades(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn few_open_files_are_enough_where_sockets_need_none() {
        let few = |kernel: &str| Facts { files: Some(20_000), kernel: kernel.to_owned(), ..sound() };
        assert_eq!(grades(&few("6.7.9"))[2], Grade::Unsure);
        assert_eq!(grades(&few("6.8.0"))[2], Grade::Good);
        assert_eq!(grades(&Facts { files: Some(900), ..few("6.18.0") })[2], Grade::Unsure);
    }

    #[test]
    fn reserved_ports_do_not_overlap() {
        let facts =
            Facts { ephemeral: Some((32_768, 60_999)), reserved: ranges("20000-39999,50000"), ..sound() };
        assert_eq!(grades(&facts)[4], Grade::Good);
    }

    #[test]
    fn tables_of_the_kernel_are_read() {
        assert_eq!(ranges("1-3, 8\n".trim()), [(1, 3), (8, 8)]);
        assert_eq!(udp_errors("Udp: InDatagrams RcvbufErrors Sndbuf\nUdp: 12 34 5\n"), 34);
        assert_eq!(udp_errors("Tcp: x\n"), 0);
    }
}
