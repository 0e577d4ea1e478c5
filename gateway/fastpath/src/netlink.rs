//! What the kernel says over netlink: addresses of interfaces, and what XDP can do on them.

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::GENERIC;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// `NLMSG_ERROR` and `NLMSG_DONE` of linux/netlink.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST`, and with `NLM_F_DUMP`.
const REQUEST: u16 = 1;
const REQUEST_DUMP: u16 = 0x301;

/// `RTM_GETADDR` and `RTM_NEWADDR` of linux/rtnetlink.h, and the octets before an address's attributes.
const GET_ADDRESS: u16 = 22;
const NEW_ADDRESS: u16 = 20;
const ADDRESS_HEADER: usize = 8;
/// `IFA_ADDRESS` and `IFA_LOCAL`: what an address is called, and with IPv4 our own end.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// linux/genetlink.h: the family of families, its request for one by name, and the octets before attributes.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const GENERIC_HEADER: usize = 4;

/// linux/netdev.h: the request for one interface, and what XDP can do there.
const GET_DEVICE: u8 = 1;
const DEVICE_NUMBER: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;

/// Octets of a message's header.
const HEADER: usize = 16;

/// Answers that are read, at the most: each carries dozens of addresses.
const MOST_ANSWERS: usize = 256;

/// All addresses of this network namespace with the numbers of their interfaces (rtnetlink(7)).
pub(crate) fn addresses() -> io::Result<Vec<(u32, IpAddr)>> {
    let mut found = Vec::new();
    ask(None, GET_ADDRESS, REQUEST_DUMP, &[0; ADDRESS_HEADER], |kind, message| {
        found.extend((kind == NEW_ADDRESS).then(|| read_address(message)).flatten());
    })?;
    Ok(found)
}

/// What XDP can do on an interface: `enum netdev_xdp_act` of linux/netdev.h. `None` where the kernel does not say:
/// before 6.3.
pub(crate) fn xdp_features(interface: u32) -> Option<u64> {
    let mut family = None;
    let request = generic(GET_FAMILY, FAMILY_NAME, b"netdev\0");
    ask(Some(GENERIC), CONTROL, REQUEST, &request, |_, message| {
        let message = message.get(GENERIC_HEADER..).unwrap_or_default();
        family = family.or(attribute(message, FAMILY_ID).and_then(|value| half(value, 0)));
    })
    .ok()?;
    let mut features = None;
    let request = generic(GET_DEVICE, DEVICE_NUMBER, &interface.to_ne_bytes());
    ask(Some(GENERIC), family?, REQUEST, &request, |_, message| {
        let message = message.get(GENERIC_HEADER..).unwrap_or_default();
        let value = attribute(message, DEVICE_XDP_FEATURES);
        features = value.and_then(|value| Some(u64::from_ne_bytes(value.try_into().ok()?)));
    })
    .ok()?;
    features
}

/// A request of generic netlink with one attribute.
fn generic(command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut request = vec![command, 1, 0, 0];
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(request.len().next_multiple_of(4), 0);
    request
}

/// Asks, and gives kind and content of each message of the answer.
fn ask(
    protocol: Option<Protocol>,
    kind: u16,
    flags: u16,
    content: &[u8],
    mut take: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let socket: OwnedFd =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    let length = u32::try_from(HEADER + content.len()).unwrap_or(u32::MAX);
    let mut request = Vec::with_capacity(HEADER + content.len());
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8]);
    request.extend(content);
    send(&socket, &request, SendFlags::empty())?;
    for _ in 0..MOST_ANSWERS {
        let mut buffer = [MaybeUninit::uninit(); 32_768];
        let ((octets, _), _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        // An answer that is no dump is one datagram.
        if read_messages(octets, &mut take) || flags == REQUEST {
            break;
        }
    }
    Ok(())
}

/// Takes the messages of one datagram; true if there is nothing behind it.
fn read_messages(mut rest: &[u8], take: &mut impl FnMut(u16, &[u8])) -> bool {
    while let Some((length, kind)) = word(rest, 0).zip(half(rest, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if kind == DONE || kind == ERROR || length < HEADER {
            return true;
        }
        let Some(message) = rest.get(HEADER..length) else { return true };
        take(kind, message);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn read_address(message: &[u8]) -> Option<(u32, IpAddr)> {
    let interface = word(message, 4)?;
    let attributes = message.get(ADDRESS_HEADER..)?;
    let value = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    Some((interface, as_address(value)?))
}

/// The value of the first attribute of a kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((length, kind)) = half(rest, 0).zip(half(rest, 2)) {
        let length = usize::from(length);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    None
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
        assert!(all.contains(&(1, IpAddr::from([127, 0, 0, 1]))), "{all:?}");
    }

    #[test]
    fn what_no_interface_has_cannot_be_asked() {
        assert_eq!(xdp_features(u32::MAX - 1), None);
        // The loopback interface has no driver that could run XDP.
        assert_eq!(xdp_features(1).unwrap_or(0) & 1, 0);
    }

    #[test]
    fn a_torn_answer_is_no_harm() {
        let mut count = 0;
        for length in 0..64 {
            read_messages(&[0xff_u8; 64][..length], &mut |_, _| count += 1);
            assert_eq!(attribute(&[0xff_u8; 64][..length], 1), None);
            assert_eq!(read_address(&[1_u8, 0].repeat(32)[..length]), None);
        }
        assert_eq!(count, 0);
    }
}
