//! What a tunnel is made of: a link whose packets come to this program, and a socket.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::network::tunnel::burst;

const DEVICE: &str = "/dev/net/tun";
/// What bursts may need while this program is not scheduled.
const BUFFER_BYTES: usize = 4 << 20;

/// Makes a link whose packets are read from the file, and written to it, each behind the header of
/// [`segments`](crate::network::tunnel::segments). It is gone when the file is closed.
pub fn link(name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let file = options.custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    // SAFETY: all zeros are a request without a name and without flags.
    #[allow(unsafe_code)]
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    for (place, byte) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *place = std::ffi::c_char::from_ne_bytes([byte]);
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap_or_default();
    // SAFETY: the descriptor is open, and the request is of the kind that this call reads.
    #[allow(unsafe_code)]
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    // Where the kernel cannot, packets come one by one and with their sums.
    let long = libc::c_ulong::from(libc::TUN_F_CSUM | libc::TUN_F_TSO4);
    // SAFETY: the descriptor is open, and the call takes a number.
    #[allow(unsafe_code)]
    unsafe {
        libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, long);
    }
    Ok(file)
}

/// A socket for the datagrams of both protocols, or of the old one where there is no other.
pub fn socket(port: u16) -> io::Result<UdpSocket> {
    let bound = bind(AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, port).into());
    let socket = match bound {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            bind(AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, port).into())?
        }
        bound => bound?,
    };
    // Less room than this is no failure.
    let _ = sockopt::set_socket_recv_buffer_size_force(socket.as_fd(), BUFFER_BYTES);
    let _ = sockopt::set_socket_send_buffer_size_force(socket.as_fd(), BUFFER_BYTES);
    burst::accept(&socket);
    Ok(socket)
}

fn bind(family: AddressFamily, address: SocketAddr) -> io::Result<UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if family == AddressFamily::INET6 {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}
