//! The kernel's switch without which it looks up no next hops.
//!
//! It looks routes up only where forwarding is on; the program asks as if from the loopback interface, whose own switch
//! does not make the host a router.

use std::fs;

use rustix::fs::{Access, access};

use crate::load::Warning;
use crate::settings::Settings;

const IPV4: &str = "/proc/sys/net/ipv4/conf/lo/forwarding";
const IPV6: &str = "/proc/sys/net/ipv6/conf/lo/forwarding";

/// The switches that are off and that the addresses need on.
fn off(settings: &Settings) -> Vec<&'static str> {
    let needed = |six| settings.addresses.iter().any(|address| address.is_ipv6() == six);
    let is_on = |switch: &str| fs::read_to_string(switch).is_ok_and(|text| text.trim() == "1");
    let switches = [(false, IPV4), (true, IPV6)];
    switches
        .into_iter()
        .filter(|(six, switch)| needed(*six) && !is_on(switch))
        .map(|(_, switch)| switch)
        .collect()
}

/// Switches on what is needed, or warns.
pub(crate) fn allow(settings: &Settings, warnings: &mut Vec<Warning>) {
    for setting in off(settings) {
        if let Err(error) = fs::write(setting, "1") {
            warnings.push(Warning::NoForwarding { setting, reason: error.to_string() });
        }
    }
}

/// A switch that is needed, off, and not this process's to change.
pub(crate) fn forbidden(settings: &Settings) -> Option<&'static str> {
    off(settings).into_iter().find(|switch| access(*switch, Access::WRITE_OK).is_err())
}
