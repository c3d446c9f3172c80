//! Flows of datagrams, which have no end.

use std::net::UdpSocket;

use super::*;
use crate::model::spec::service::Protocol;

fn udp(within: &Namespace, port: u16) -> UdpSocket {
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let socket = within.within(bind).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Which of the sockets gets a datagram; none if it is refused.
fn goes(from: &UdpSocket, to: &str, sockets: &[&UdpSocket]) -> Option<usize> {
    // What was refused before is said now.
    let _ = from
        .send_to(b"word", to)
        .or_else(|_| from.send_to(b"word", to));
    let fds = sockets.iter().copied().chain([from]);
    let mut fds: Vec<_> = fds
        .map(|socket| PollFd::new(socket, PollFlags::IN))
        .collect();
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: 300_000_000,
    };
    poll(&mut fds, Some(&limit)).unwrap();
    let got = |socket: &&UdpSocket| socket.recv(&mut [0; 16]).is_ok();
    sockets.iter().position(got)
}

#[test]
fn a_flow_of_datagrams_moves_at_once_when_its_task_leaves_or_the_first_one_comes() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (front, ingress) = (network(1, ""), network(9, "ingress"));
    let client = scene.task(1, &[(front.clone(), "10.0.1.11")]);
    let mut task = |id: u8| {
        let (own, outer) = (format!("10.0.1.2{id}"), format!("10.0.9.2{id}"));
        let on = [(front.clone(), &own[..]), (ingress.clone(), &outer[..])];
        scene.task(id.into(), &on)
    };
    let (two, three) = (task(2), task(3));
    let networks = [(front, "10.0.1.100"), (ingress, "10.0.9.100")];
    let ports = [PortConfig {
        protocol: Protocol::Udp,
        ..port(5000, 53)
    }];
    let (a, b) = (udp(&two, 53), udp(&three, 53));
    let both = [&a, &b];
    scene.tell(&[], &networks, &ports);
    for (from, to) in [
        (&client, "10.0.1.100:53"),
        (&scene.outside, "192.0.2.1:5000"),
    ] {
        scene.tell(&[], &networks, &ports);
        let socket = udp(from, 4000);
        assert_eq!(goes(&socket, to, &both), None, "{to}: nobody is there");
        scene.tell(&[2, 3], &networks, &ports);
        let first = goes(&socket, to, &both).expect("somebody is there");
        for _ in 0..3 {
            assert_eq!(goes(&socket, to, &both), Some(first), "{to}: a flow stays");
        }
        let (left, other) = if first == 0 { (3, 1) } else { (2, 0) };
        scene.tell(&[left], &networks, &ports);
        assert_eq!(goes(&socket, to, &both), Some(other), "{to}: it moves");
        scene.tell(&[2, 3], &networks, &ports);
        assert_eq!(goes(&socket, to, &both), Some(other), "{to}: and stays");
    }
}
