//! Names are looked up at a small server on this machine. Its zone is written in words: a name,
//! and what the server says of it: records, `SERVFAIL`, `mute`, or `long`, which is told by stream.

use std::time::Duration;

use async_net::{TcpListener, UdpSocket};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa, Cname};
use futures_lite::future::{block_on, or};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::*;

const ZONE: &str = "\
    web.example A 10.0.0.1; web.example AAAA fd00::1; \
    www.example CNAME web.example; \
    pi.lab.example A 10.0.0.2; \
    six.example AAAA fd00::6; \
    broken.example SERVFAIL; \
    mute.example mute; \
    long.example long; long.example A 10.0.0.3; \
    pi.local A 10.0.0.4; corp.local SERVFAIL";

/// What a server with this zone answers to a message.
pub fn reply(zone: &str, question: &[u8], by_stream: bool) -> Option<Vec<u8>> {
    let question = Message::from_slice(question).ok()?;
    let asked = question.sole_question().ok()?;
    let mut name = asked.qname().to_string().to_ascii_lowercase();
    let lines: Vec<Vec<_>> = zone
        .split("; ")
        .map(|line| line.split(' ').collect())
        .collect();
    let about = |name: &str| -> Vec<Vec<&str>> {
        lines
            .iter()
            .filter(|line| line[0] == name.trim_end_matches('.'))
            .cloned()
            .collect()
    };
    let has = |name: &str, word: &str| about(name).iter().any(|line| line[1] == word);
    if has(&name, "mute") {
        return None;
    }
    let rcode = match about(&name).is_empty() {
        true => Rcode::NXDOMAIN,
        false if has(&name, "SERVFAIL") => Rcode::SERVFAIL,
        false => Rcode::NOERROR,
    };
    let mut answer = MessageBuilder::new_vec()
        .start_answer(question, rcode)
        .ok()?;
    if has(&name, "long") && !by_stream {
        answer.header_mut().set_tc(true);
        return Some(answer.finish());
    }
    let owner = |name: &str| Name::vec_from_str(name).unwrap();
    if let Some(alias) = about(&name).iter().find(|line| line[1] == "CNAME") {
        let record = (owner(&name), Class::IN, 5_u32, Cname::new(owner(alias[2])));
        answer.push(record).unwrap();
        name = alias[2].to_owned();
    }
    for line in about(&name) {
        match (line[1], asked.qtype()) {
            ("A", Rtype::A) => {
                let a = A::new(line[2].parse().unwrap());
                answer.push((owner(&name), Class::IN, 5_u32, a)).unwrap();
            }
            ("AAAA", Rtype::AAAA) => {
                let aaaa = Aaaa::new(line[2].parse().unwrap());
                answer.push((owner(&name), Class::IN, 5_u32, aaaa)).unwrap();
            }
            _ => {}
        }
    }
    Some(answer.finish())
}

/// A server on a port of its own, for datagrams and streams.
struct Server {
    datagrams: UdpSocket,
    streams: TcpListener,
}

impl Server {
    async fn new() -> Self {
        loop {
            let streams = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = streams.local_addr().unwrap();
            if let Ok(datagrams) = UdpSocket::bind(address).await {
                return Self { datagrams, streams };
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.datagrams.local_addr().unwrap()
    }

    /// Serves for ever. Each good datagram comes after one with another id.
    async fn serve<T>(&self) -> T {
        or(self.serve_datagrams(), self.serve_streams()).await
    }

    async fn serve_datagrams<T>(&self) -> T {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = self.datagrams.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = reply(ZONE, &buffer[..length], false) {
                let mut stray = answer.clone();
                stray[0] ^= 1;
                self.datagrams.send_to(&stray, from).await.unwrap();
                self.datagrams.send_to(&answer, from).await.unwrap();
            }
        }
    }

    async fn serve_streams<T>(&self) -> T {
        loop {
            let (mut stream, _) = self.streams.accept().await.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).await.unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).await.unwrap();
            let answer = reply(ZONE, &question, true).unwrap();
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

fn resolver(nameservers: Vec<SocketAddr>) -> Resolver {
    let config = Config {
        search: vec!["lab.example".into()],
        timeout: Duration::from_millis(100),
        attempts: 1,
        nameservers: nameservers.clone(),
        ..Config::default()
    };
    let hosts = Hosts::parse("10.1.1.1 known web.known");
    Resolver {
        hosts,
        config,
        neighbours: nameservers[0],
    }
}

/// Looks up a name with the search list `lab.example`; the addresses, or the error.
#[track_caller]
fn check(name: &str, expect: &str) {
    let found = block_on(async {
        let server = Server::new().await;
        let resolver = resolver(vec![server.address()]);
        let found = look_up(&resolver, name);
        let port = format!(":{}", server.address().port());
        or(found, server.serve()).await.replace(&port, "")
    });
    assert_eq!(found, expect, "{name}");
}

async fn look_up(resolver: &Resolver, name: &str) -> String {
    match resolver.addresses(name, &mut Rng::from_seed(1)).await {
        Ok(found) => found
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn addresses_stand_for_themselves_and_files_come_before_servers() {
    check("192.168.1.1", "192.168.1.1");
    check("fd00::9", "fd00::9");
    check("Known", "10.1.1.1");
    check("web.known", "10.1.1.1");
    check("localhost", "127.0.0.1 ::1");
    check("db.localhost.", "127.0.0.1 ::1");
}

#[test]
fn servers_are_asked_for_both_kinds_of_address() {
    check("web.example", "10.0.0.1 fd00::1");
    check("WWW.example.", "10.0.0.1 fd00::1");
    check("six.example", "fd00::6");
}

#[test]
fn a_short_name_is_looked_for_in_the_search_list() {
    check("pi", "10.0.0.2");
    check("pi.", "lookup pi: no such host");
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_stream() {
    check("long.example", "10.0.0.3");
}

#[test]
fn what_is_not_known_or_not_answered_is_said_in_one_line() {
    check("gone.example", "lookup gone.example: no such host");
    check(
        "broken.example",
        "lookup broken.example: 127.0.0.1 answers SERVFAIL",
    );
    check(
        "mute.example",
        "lookup mute.example: 127.0.0.1 does not answer: no answer within 0.1 s",
    );
}

#[test]
fn what_is_no_name_is_not_asked_for() {
    check("", "\"\" is not a host name");
    check("a..example", "\"a..example\" is not a host name");
    check("a/b", "\"a/b\" is not a host name");
    let long = "a.".repeat(127) + "a";
    check(&long, &format!("{:?} is not a host name", &long[..253]));
}

#[test]
fn names_of_the_link_are_asked_of_the_neighbours_and_then_of_servers() {
    check("pi.local", "10.0.0.4");
    check(
        "corp.local",
        "lookup corp.local: 127.0.0.1 answers SERVFAIL",
    );
}

#[test]
fn the_next_server_is_asked_when_one_is_silent_or_not_there() {
    let found = block_on(async {
        let (mute, server) = (Server::new().await, Server::new().await);
        let gone = Server::new().await.address();
        let resolver = resolver(vec![gone, mute.address(), server.address()]);
        or(look_up(&resolver, "web.example"), server.serve()).await
    });
    assert_eq!(found, "10.0.0.1 fd00::1");
}
