//! Brings up `lo` in a container's own network namespace.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Enters the namespace of `pid` for a moment; the calling process must have one thread.
pub fn bring_up(pid: i32) -> io::Result<()> {
    let own = File::open("/proc/self/ns/net")?;
    let other = File::open(format!("/proc/{pid}/ns/net"))?;
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(other.as_fd(), kind)?;
    let result = set_up();
    move_into_link_name_space(own.as_fd(), kind)?;
    result
}

fn set_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or_default();
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which this is.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            std::ptr::from_ref(&request),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
