//! What the fast path finds on this host.

use duogate_configuration::{Configuration, FastPathMode};
use duogate_fastpath::{InterfaceProbe, Mode, Probe, Settings, probe};

use super::findings::{Finding, Grade};

/// Looks at the host, unless the configuration does without the fast path.
pub(super) fn gather(configuration: &Configuration) -> Option<Probe> {
    let gateway = &configuration.gateway;
    let mode = match gateway.fast_path {
        FastPathMode::Off => return None,
        FastPathMode::Auto => Mode::Auto,
        FastPathMode::Generic => Mode::Generic,
        FastPathMode::Native => Mode::Native,
    };
    Some(probe(&Settings {
        mode,
        interfaces: gateway.interfaces.clone(),
        addresses: configuration.media.addresses(),
        pin: Some(gateway.pin.clone()).filter(|folder| !folder.as_os_str().is_empty()),
        rings: 0,
        ring_octets: 0,
        traffic_class: 0,
    }))
}

/// What that means: one finding if the path cannot be, else one for each interface, and one each for pins and next hops
/// that cannot be.
pub(super) fn examine(found: Option<&Probe>) -> Vec<Finding> {
    let Some(found) = found else {
        return vec![Finding::good("the fast path is switched off: calls go through sockets")];
    };
    let interfaces = match hindrance(found) {
        Ok(interfaces) => interfaces,
        Err((why, fix)) => {
            let what = format!("no fast path, calls go through sockets: {why}");
            return vec![Finding::with(Grade::Unsure, what, fix)];
        }
    };
    let mut findings: Vec<_> = interfaces.iter().map(|one| interface(one, found.processors)).collect();
    if let Err(why) = &found.pins {
        findings.push(Finding::with(
            Grade::Unsure,
            format!("calls on the fast path end with the gateway: {why}"),
            "mount -t bpf bpf /sys/fs/bpf, and let gateway.pin be a folder there",
        ));
    }
    if let Some(setting) = found.lookups {
        findings.push(Finding::with(
            Grade::Unsure,
            format!("no fast path: the kernel looks up no next hops, and this user may not change {setting}"),
            "install systemd/sysctl.d/60-duogate.conf in /etc/sysctl.d, and run sysctl --system (the systemd unit sets it too)",
        ));
    }
    findings
}

/// The interfaces; or what keeps the path from being, and the way out.
fn hindrance(found: &Probe) -> Result<&[InterfaceProbe], (&str, &'static str)> {
    let interfaces = found.interfaces.as_deref().map_err(|why| {
        (
            why.as_str(),
            "set media.address to an address of a network interface, or name it in gateway.interfaces",
        )
    })?;
    found.program.as_ref().map_err(|why| (why.as_str(), "apt-get install clang, and build again"))?;
    if !found.permitted {
        let why = "this user may not load BPF programs";
        return Err((
            why,
            "run as root, or give the gateway CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (systemd: AmbientCapabilities)",
        ));
    }
    Ok(interfaces)
}

fn interface(found: &InterfaceProbe, processors: usize) -> Finding {
    let InterfaceProbe { name, driver, native, queues, interrupted } = found;
    let called = driver.as_ref().map_or(format!("{name} (virtual)"), |driver| format!("{name} ({driver})"));
    let unsure = |what, fix| Finding::with(Grade::Unsure, what, fix);
    if *native == Some(false) {
        let what =
            format!("fast path: the driver of {called} cannot run XDP, so it runs behind it, and slower");
        return unsure(
            what,
            "use an interface whose driver can: ice, i40e, ixgbe, igb, mlx5, ena, virtio_net, veth"
                .to_owned(),
        );
    }
    if driver.is_none() {
        let what =
            format!("fast path: {called} gives packets back only if its other end takes them from XDP");
        return unsure(what, format!("at the other end of {name}, if it is a veth: ethtool -K PEER gro on"));
    }
    if *queues < processors {
        let what = format!("fast path: {called} has {queues} receive queues for {processors} processors");
        return unsure(
            what,
            format!("ethtool -L {name} combined {processors}, if the device has so many (ethtool -l {name})"),
        );
    }
    if *interrupted == 1 && processors > 1 {
        let what = format!("fast path: all interrupts of {called} go to one processor");
        return unsure(what, "spread them: irqbalance, or /proc/irq/NUMBER/smp_affinity_list".to_owned());
    }
    match native {
        Some(_) => Finding::good(format!("fast path: the driver of {called} runs XDP, on {queues} queues")),
        None => unsure(
            format!("fast path: this kernel does not say whether the driver of {called} runs XDP"),
            "look at the gateway's log when it starts: it says native or generic".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> InterfaceProbe {
        let (name, driver) = ("eth0".to_owned(), Some("ice".to_owned()));
        InterfaceProbe { name, driver, native: Some(true), queues: 8, interrupted: 8 }
    }

    fn host(interface: InterfaceProbe) -> Probe {
        let interfaces = Ok(vec![interface]);
        Probe { program: Ok(()), permitted: true, pins: Ok(()), lookups: None, interfaces, processors: 8 }
    }

    #[test]
    fn a_sound_host_is_good() {
        let findings = examine(Some(&host(sound())));
        assert_eq!(findings.iter().map(|one| one.grade).collect::<Vec<_>>(), [Grade::Good]);
        assert_eq!(examine(None)[0].grade, Grade::Good);
    }

    #[test]
    fn every_fault_is_found_with_its_fix() {
        let error = || Err("reason".to_owned());
        let good = || host(sound());
        let faults = [
            (Probe { program: error(), ..good() }, "clang"),
            (Probe { permitted: false, ..good() }, "CAP_BPF"),
            (Probe { interfaces: Err("reason".to_owned()), ..good() }, "media.address"),
            (Probe { pins: error(), ..good() }, "mount -t bpf"),
            (Probe { lookups: Some("a file"), ..good() }, "60-duogate.conf"),
            (host(InterfaceProbe { native: Some(false), ..sound() }), "whose driver can"),
            (host(InterfaceProbe { native: None, ..sound() }), "log"),
            (host(InterfaceProbe { driver: None, ..sound() }), "gro on"),
            (host(InterfaceProbe { queues: 2, ..sound() }), "ethtool -L eth0 combined 8"),
            (host(InterfaceProbe { interrupted: 1, ..sound() }), "irqbalance"),
        ];
        for (probe, fix) in faults {
            let findings = examine(Some(&probe));
            let last = findings.last().unwrap();
            assert_eq!(last.grade, Grade::Unsure, "{probe:?}");
            assert!(last.fix.as_ref().unwrap().contains(fix), "{last:?}");
        }
    }
}
