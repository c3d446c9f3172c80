//! Which address of this host other nodes reach it at.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use nix::sys::socket::SockaddrStorage;

/// No address could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error(
        "advertise address {0:?} is neither an IP address nor a network interface with one: give \
         an IP address, with or without a port"
    )]
    NotAnAddress(String),
    #[error(
        "could not choose an IP address to advertise: this host has no default route; give one \
         with --advertise-addr"
    )]
    NoRoute,
}

/// The address to tell others: the one that was given, the one that is listened at, or the one
/// that this host's default route leaves from.
pub fn advertised(given: &str, listen: SocketAddr) -> Result<SocketAddr, AddressError> {
    let port = listen.port();
    if let Ok(address) = given.parse::<SocketAddr>() {
        return Ok(address);
    }
    if !given.is_empty() {
        let literal = given.parse().ok().or_else(|| of_interface(given));
        let ip = literal.ok_or_else(|| AddressError::NotAnAddress(given.to_owned()))?;
        return Ok(SocketAddr::new(ip, port));
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen);
    }
    Ok(SocketAddr::new(
        outgoing().ok_or(AddressError::NoRoute)?,
        port,
    ))
}

/// Where this host is found instead, if its address was `known` and is not any more.
pub fn moved(known: &str) -> Option<IpAddr> {
    let known: IpAddr = known.parse().ok()?;
    let mut interfaces = nix::ifaddrs::getifaddrs().ok()?;
    let is_here = interfaces.any(|interface| interface.address.and_then(ip) == Some(known));
    match is_here {
        true => None,
        false => outgoing(),
    }
}

/// The first address of an interface, an IPv4 one if it has any.
fn of_interface(name: &str) -> Option<IpAddr> {
    let interfaces = nix::ifaddrs::getifaddrs().ok()?;
    let of_name = interfaces.filter(|interface| interface.interface_name == name);
    let mut addresses: Vec<_> = of_name
        .filter_map(|interface| ip(interface.address?))
        .collect();
    addresses.sort();
    addresses.into_iter().next()
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
}

/// The address that a packet to the outside would carry. Nothing is sent.
fn outgoing() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, listen: &str, expect: Option<&str>) {
        let address = advertised(given, listen.parse().unwrap()).ok();
        assert_eq!(
            address.map(|address| address.to_string()).as_deref(),
            expect
        );
    }

    #[test]
    fn what_was_given_wins_and_the_port_is_the_one_listened_at() {
        check("10.1.2.3", "0.0.0.0:2377", Some("10.1.2.3:2377"));
        check("10.1.2.3:99", "0.0.0.0:2377", Some("10.1.2.3:99"));
        check("", "127.0.0.1:2377", Some("127.0.0.1:2377"));
        check("nosuch0", "0.0.0.0:2377", None);
    }

    #[test]
    fn an_address_of_this_host_stays_and_what_is_none_never_moves() {
        assert_eq!(moved("127.0.0.1"), None);
        assert_eq!(moved("manager.example.org"), None);
        let new = moved("192.0.2.200");
        assert_eq!(new, outgoing());
    }

    #[test]
    fn an_interface_stands_for_its_address() {
        check("lo", "0.0.0.0:2377", Some("127.0.0.1:2377"));
    }
}
