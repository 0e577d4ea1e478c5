//! The host's interfaces: which of them carry the media addresses.

use std::path::Path;

use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::error::Error;
use crate::netlink::addresses;
use crate::settings::{MOST_INTERFACES, Settings};

/// Number of the loopback interface, on every Linux.
const LOOPBACK: u32 = 1;

/// An interface of this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) number: u32,
    /// There is no device behind it (veth and the like): checksums of what comes from it may be partial.
    pub(crate) is_virtual: bool,
}

/// The interfaces that the program shall run on: those named, or those that carry the addresses.
pub(crate) fn choose(settings: &Settings) -> Result<Vec<Interface>, Error> {
    let system = |what| move |error: rustix::io::Errno| Error::System { what, source: error.into() };
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(system("asking for interfaces"))?;
    let mut numbers = Vec::new();
    if settings.interfaces.is_empty() {
        let carried = addresses().map_err(|source| Error::System { what: "asking for addresses", source })?;
        for address in &settings.addresses {
            let number = carried.iter().find(|(_, carried)| carried == address);
            numbers.push(number.ok_or(Error::NoInterface(*address))?.0);
        }
    } else {
        for name in &settings.interfaces {
            let number = name_to_index(&socket, name);
            numbers.push(number.map_err(|_| Error::MissingInterface(name.clone()))?);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.contains(&LOOPBACK) {
        return Err(Error::Loopback);
    }
    if numbers.len() > MOST_INTERFACES {
        return Err(Error::Settings("more than eight interfaces"));
    }
    let describe = |number| {
        let name = index_to_name(&socket, number).map_err(system("asking for the name of an interface"))?;
        let is_virtual = !Path::new("/sys/class/net").join(&name).join("device").exists();
        Ok(Interface { name, number, is_virtual })
    };
    numbers.into_iter().map(describe).collect()
}
