//! `skep hello`: the program of the built-in image. It answers every HTTP request with who it is,
//! shares its port with its siblings on one network (SO_REUSEPORT), and ends at once on SIGTERM.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

const PORT: u16 = 8080;
const BACKLOG: i32 = 128;
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// A client that does not finish its request would hold up the others.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until a signal ends the process.
pub fn run() -> ExitCode {
    default_signals();
    let number = |port: String| port.parse().ok();
    let port = std::env::var("PORT").ok().and_then(number).unwrap_or(PORT);
    let listener = match listen(port) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("hello: cannot listen on port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let text = greeting();
    // The log says so; without one there is nobody to tell.
    let _ = writeln!(io::stdout(), "hello: listening on port {port}");
    for client in listener.incoming().flatten() {
        // A client that goes away is no reason to end.
        let _ = answer(client, &text);
    }
    ExitCode::SUCCESS
}

fn greeting() -> String {
    let variable = |name: &str| std::env::var(name).ok();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let task = variable("SKEP_TASK").unwrap_or_else(|| host.clone());
    let node = variable("SKEP_NODE").unwrap_or(host);
    format!("hello from task {task} on node {node}\n")
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn answer(mut client: TcpStream, text: &str) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut request = [0; REQUEST_BYTES_MAX];
    let mut length = 0;
    while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut request[length..])? {
            0 => return Ok(()),
            more => length += more,
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    write!(client, "{head}Content-Length: {}\r\n\r\n{text}", text.len())
}

/// As pid 1 only signals with a handler arrive.
fn default_signals() {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: _exit is async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(0)
        }
    }
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: the handler calls nothing but _exit.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(signal, end as *const () as libc::sighandler_t);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_a_request_that_comes_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let (served, _) = listener.accept().unwrap();
        answer(served, "hello\n").unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(
            reply.ends_with("Content-Length: 6\r\n\r\nhello\n"),
            "{reply}"
        );
    }

    #[test]
    fn siblings_share_a_port() {
        let first = listen(0).unwrap();
        let port = first.local_addr().unwrap().port();
        listen(port).unwrap();
    }
}
