//! How long packets between nodes may be: what the kernel knows of the way, less what encryption
//! adds. It knows the links of this host, and what machines on the way have complained about.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// What a link of 1500 has room for.
const MTU_DEFAULT: u32 = 1420;
/// Every link takes what the least link of IPv6 does; nobody's takes more than this.
const MTU_MIN: u32 = 1280 - OVERHEAD;
const MTU_MAX: u32 = 9000 - OVERHEAD;
/// The headers of IPv6, UDP and WireGuard, and the seal.
const OVERHEAD: u32 = 40 + 8 + 16 + 16;

/// Nobody has this address: the way there is that to everybody else.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Nothing is sent to it.
const PORT: u16 = 9;

/// The longest packet that an encrypted one to there has room for.
pub fn mtu(to: IpAddr) -> u32 {
    known(to).map_or(MTU_DEFAULT, room)
}

/// The same, before it is known whereto.
pub fn mtu_elsewhere() -> u32 {
    mtu(ELSEWHERE)
}

fn room(datagram: u32) -> u32 {
    datagram.saturating_sub(OVERHEAD).clamp(MTU_MIN, MTU_MAX)
}

/// The longest datagram that the kernel would send there.
fn known(to: IpAddr) -> io::Result<u32> {
    let (any, level, option) = match to {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), libc::IPPROTO_IP, libc::IP_MTU),
        IpAddr::V6(_) => {
            let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
            (any, libc::IPPROTO_IPV6, libc::IPV6_MTU)
        }
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect((to, PORT))?;
    let mut mtu: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&mtu)).unwrap_or_default();
    // SAFETY: the option is an int, which `mtu` is, and both outlive the call.
    #[allow(unsafe_code)]
    let got = unsafe {
        let value = (&raw mut mtu).cast();
        libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut length)
    };
    match got {
        0 => u32::try_from(mtu).map_err(io::Error::other),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_encryption_adds_is_left_room_for_within_reason() {
        let expected = [
            (1500, 1420),
            (1280, 1200),
            (576, 1200),
            (0, 1200),
            (65_536, 8920),
        ];
        for (link, packet) in expected {
            assert_eq!(room(link), packet);
        }
        assert_eq!(mtu(Ipv4Addr::LOCALHOST.into()), 8920);
    }
}
