//! What services and tasks are given.

use crate::manager::allocator::{nodes, services, tasks};
use crate::manager::words::{World, check, check_first};
use crate::model::change::Change;
use crate::model::id::{NetworkId, NodeId, ServiceId};
use crate::model::object::Endpoint;

const NETS: &str = "network ingress 10.0.0.0/24; network front 10.0.1.0/24; \
                    network tiny 10.0.2.0/29; ";

#[track_caller]
fn check_services(given: &str, expected: &str) {
    check(services::pass, &format!("{NETS}{given}"), expected);
}

#[track_caller]
fn check_tasks(given: &str, expected: &str) {
    check(tasks::pass, &format!("{NETS}{given}"), expected);
}

/// What a request for the last service of a world is refused with.
#[track_caller]
fn check_refused(given: &str, expected: &str) {
    let mut world = World::of(&format!("{NETS}{given}"));
    for id in 1.. {
        let Some(service) = world.state.services().find(ServiceId(id)).cloned() else {
            panic!("nothing is refused in {given}");
        };
        let none = Endpoint::default();
        match services::endpoint(&world.state, service.id, &service.spec, &none) {
            Ok(endpoint) => world.apply(vec![Change::AllocateService {
                id: service.id,
                endpoint,
            }]),
            Err(error) => return assert_eq!(error.to_string(), expected),
        }
    }
}

#[test]
fn a_service_has_an_address_on_each_of_its_networks() {
    check_services("service web x1", "");
    check_services("service web x1 network front", "web has 10.0.1.2");
    let given = "service web x1 network front network tiny network front";
    check_services(given, "web has 10.0.1.2, 10.0.2.2");
    check_services("service web x1 network front mode dnsrr", "");
}

#[test]
fn a_published_port_has_the_number_that_is_asked_for_or_the_first_free_one() {
    let given = "service web x1 publish 8080:80";
    check_services(given, "web has 10.0.0.2, port 8080");
    let given = "service a x1 publish :80; service b x1 publish :80 publish 30001:81";
    let expected = "a has 10.0.0.2, port 30000; b has 10.0.0.3, port 30002, port 30001";
    check_services(given, expected);
}

#[test]
fn the_same_number_is_given_for_each_protocol_and_on_nodes_of_their_own() {
    let given = "service a x1 publish 53:53; service b x1 publish 53:53/udp";
    check_services(given, "a has 10.0.0.2, port 53; b has 10.0.0.3, port 53");
    let given = "service a x1 publish 53:53/host; service b x1 publish 53:53/host";
    check_services(given, "a has 10.0.0.2, port 53; b has 10.0.0.3, port 53");
}

#[test]
fn what_cannot_be_given_is_refused() {
    let id = ServiceId(1);
    check_refused(
        "service a x1 publish 80:80; service b x1 publish 80:81",
        &format!("port '80' is already in use by service 'a' ({id}) as an ingress port"),
    );
    check_refused(
        "service a x1 publish 80:80/host; service b x1 publish 80:81",
        &format!("port '80' is already in use by service 'a' ({id}) as a host-published port"),
    );
    let five: String = ["a", "b", "c", "d", "e", "f"]
        .map(|name| format!("service {name} x1 network tiny; "))
        .concat();
    check_refused(&five, "network tiny has no address left in 10.0.2.0/29");
    check_refused("service a x1 network back", "network back not found");
}

#[test]
fn a_port_that_is_free_again_goes_to_the_service_that_waits_for_it() {
    let given = format!("{NETS}service a x1 publish 80:80; service b x1 publish 80:80");
    let mut world = check_first(
        services::pass,
        &given,
        "a has 10.0.0.2, port 80; b has port '80' is already in use by service 'a' \
         (0000000000000000000000001) as an ingress port",
    );
    assert_eq!(world.state.unreached().collect::<Vec<_>>(), [ServiceId(2)]);
    world.apply(vec![Change::RemoveService { id: ServiceId(1) }]);
    world.check_next(services::pass, "b has 10.0.0.2, port 80");
}

#[test]
fn a_task_has_an_address_on_each_network_before_it_has_a_node() {
    let given = "service web x2 network front publish 80:80; node a up; task 1 web/1 new";
    check_tasks(given, "1 has 10.0.1.2, 10.0.0.2");
    check_tasks("service web x1; task 1 web/1 new", "");
    let given = "service web x2 network front; node a up; task 1 web/1 on a running";
    check_tasks(given, "");
}

#[test]
fn a_task_waits_for_an_address_and_says_so() {
    let mut given = String::from("service web x6 network tiny; ");
    for task in 1..=6 {
        given.push_str(&format!("task {task} web/{task} new; "));
    }
    let expected = "1 has 10.0.2.2; 2 has 10.0.2.3; 3 has 10.0.2.4; 4 has 10.0.2.5; \
                    5 has 10.0.2.6; 6 waits: network tiny has no address left in 10.0.2.0/29";
    check_tasks(&given, expected);
}

#[test]
fn a_node_has_an_address_in_the_ingress_network_as_long_as_there_is_one() {
    check(nodes::pass, "node a up; node b up", "");
    let given = format!("{NETS}node a up; node b up");
    check(nodes::pass, &given, "a has 10.0.0.2; b has 10.0.0.3");
    let mut world = World::of(&given);
    world.check_next(nodes::pass, "a has 10.0.0.2; b has 10.0.0.3");
    let taken = |world: &World, last| world.state.is_taken(NetworkId(1), [10, 0, 0, last].into());
    world.apply(vec![Change::RemoveNode { id: NodeId(1) }]);
    assert!(!taken(&world, 2) && taken(&world, 3));
    world.apply(vec![Change::RemoveNetwork { id: NetworkId(1) }]);
    assert!(!taken(&world, 3));
    world.check_next(nodes::pass, "");
    // Those that find none left wait.
    let given = "network ingress 10.0.0.0/29; node a up; node b up; node c up; node d up; \
                 node e up; node f up";
    let five = "a has 10.0.0.2; b has 10.0.0.3; c has 10.0.0.4; d has 10.0.0.5; e has 10.0.0.6";
    check(nodes::pass, given, five);
}
