//! The host's interfaces: which of them carry the media addresses.

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::error::Error;
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

/// `RTM_NEWADDR` and `RTM_GETADDR` of linux/rtnetlink.h.
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// `NLMSG_DONE` and `NLMSG_ERROR`.
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
/// `IFA_ADDRESS` and `IFA_LOCAL`: what an address is called, and with IPv4 our own end.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Octets of a netlink header, and of the header of an address.
const HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// Answers that are read, at the most: each carries dozens of addresses.
const MOST_ANSWERS: usize = 256;

/// All addresses of this network namespace with the numbers of their interfaces (rtnetlink(7)).
pub(crate) fn addresses() -> io::Result<Vec<(u32, IpAddr)>> {
    let socket: OwnedFd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut request = Vec::with_capacity(HEADER + ADDRESS_HEADER);
    request.extend(24_u32.to_ne_bytes());
    request.extend(GET_ADDRESS.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8 + ADDRESS_HEADER]);
    send(&socket, &request, SendFlags::empty())?;
    let mut found = Vec::new();
    for _ in 0..MOST_ANSWERS {
        let mut buffer = [MaybeUninit::uninit(); 32_768];
        let ((octets, _), _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        if read_answer(octets, &mut found) {
            break;
        }
    }
    Ok(found)
}

/// Takes the addresses from one answer; true if it was the last.
fn read_answer(mut rest: &[u8], found: &mut Vec<(u32, IpAddr)>) -> bool {
    while let Some((length, kind)) = word(rest, 0).zip(half(rest, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if kind == DONE || kind == ERROR || length < HEADER {
            return true;
        }
        let Some(message) = rest.get(HEADER..length) else { return true };
        if kind == NEW_ADDRESS
            && let Some(address) = read_address(message)
        {
            found.push(address);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn read_address(message: &[u8]) -> Option<(u32, IpAddr)> {
    let interface = word(message, 4)?;
    let mut rest = message.get(ADDRESS_HEADER..)?;
    let (mut address, mut local) = (None, None);
    while let Some((length, kind)) = half(rest, 0).zip(half(rest, 2)) {
        let length = usize::from(length);
        let value = rest.get(4..length)?;
        match kind {
            IFA_ADDRESS => address = as_address(value),
            IFA_LOCAL => local = as_address(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some((interface, local.or(address)?))
}

fn as_address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(Into::into)
}

fn word(octets: &[u8], place: usize) -> Option<u32> {
    octets.get(place..place + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(octets: &[u8], place: usize) -> Option<u16> {
    octets.get(place..place + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_carries_its_address() {
        let all = addresses().unwrap();
        assert!(all.contains(&(LOOPBACK, IpAddr::from([127, 0, 0, 1]))), "{all:?}");
    }

    #[test]
    fn a_torn_answer_is_no_harm() {
        let mut found = Vec::new();
        for length in 0..64 {
            read_answer(&[0xff_u8; 64][..length], &mut found);
            read_answer(&[17_u8, 0, 0, 0].repeat(16)[..length], &mut found);
        }
        assert!(found.is_empty());
    }
}
