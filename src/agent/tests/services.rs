//! How services are reached on a host that has started without a manager.

use super::*;
use crate::model::id::{NetworkId, ServiceId};
use crate::model::spec::service::PortConfig;
use crate::wire::reach::{Reach, ServiceView, TaskView};

/// `web`, with tasks on this node and on another.
fn web(published: u16) -> Reach {
    let service = assignment("web.1", "running").service;
    let task = |number: u8, node: u128| TaskView {
        id: TaskId(number.into()),
        name: format!("web.{number}"),
        node: NodeId(node),
        addresses: vec![(NetworkId(1), [10, 0, 0, number].into())],
    };
    let view = ServiceView {
        id: service,
        name: "web".into(),
        networks: Vec::new(),
        ports: vec![PortConfig {
            published_port: published,
            ..PortConfig::default()
        }],
        tasks: vec![task(1, 1), task(9, 2)],
    };
    Reach {
        services: vec![Arc::new(view)],
        all: Some(vec![service]),
        ..Reach::default()
    }
}

/// `web.1` runs here, and managers have said how it is reached.
fn world() -> World {
    let mut world = World::default();
    world.clause("connected");
    world.hear(ToAgent::Reach(web(80)));
    for clause in ["full web.1 running", "prepared", "started"] {
        world.clause(clause);
    }
    world
}

/// The published ports and the tasks of each service, of what the networks were told.
fn told(effects: &[Effect]) -> Vec<(u16, Vec<u128>)> {
    let news = effects.iter().filter_map(|effect| match effect {
        Effect::Reach(news) => Some(&news.services),
        _ => None,
    });
    let services = news.flatten().map(|service| {
        let tasks = service.tasks.iter().map(|task| task.id.0);
        (service.ports[0].published_port, tasks.collect())
    });
    services.collect()
}

#[test]
fn a_host_that_boots_alone_leads_to_its_own_tasks_as_they_come_and_go() {
    let mut world = world();
    world.clause("the host restarts");
    assert_eq!(told(&world.wait("9999ms")), []);
    assert_eq!(told(&world.wait("1ms")), [(80, vec![])]);
    world.clause("is removed");
    world.clause("prepared");
    let attempt = world.records[&TaskId(1)].attempt;
    let mut hear = |news| world.step(Event::Container { attempt, news });
    assert_eq!(told(&hear(started(Health::Starting))), []);
    assert_eq!(told(&hear(News::Health(Health::Healthy))), [(80, vec![1])]);
    let exits = News::Exited(Exit::default());
    assert_eq!(told(&hear(exits)), [(80, vec![])]);
}

#[test]
fn what_managers_say_counts_again_once_they_say_it() {
    let mut world = world();
    world.clause("the host restarts");
    world.clause("connected");
    assert_eq!(
        told(&world.hear(ToAgent::Reach(web(81)))),
        [(81, vec![1, 9])]
    );
    world.clause("disconnected");
    assert_eq!(told(&world.wait("900s")), []);
}

#[test]
fn containers_of_an_earlier_daemon_keep_their_names_and_ports() {
    let mut world = world();
    world.clause("restarted, running");
    assert_eq!(told(&world.wait("10s")), [(80, vec![1])]);
    assert_eq!(told(&world.wait("900s")), []);
}

#[test]
fn a_service_is_kept_without_its_tasks_as_long_as_one_runs_here() {
    let kept = |world: &World| {
        let services = world.kept.values().filter_map(|kept| match kept {
            Kept::Service(service) => Some(service.clone()),
            _ => None,
        });
        services.collect::<Vec<_>>()
    };
    let mut world = world();
    let first = kept(&world);
    let [service] = &first[..] else {
        panic!("{first:?}");
    };
    assert_eq!(
        (service.tasks.len(), service.ports[0].published_port),
        (0, 80)
    );
    let keeps = |effects: &[Effect]| {
        let keeps = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Keep(_)));
        keeps.count()
    };
    let mut other = web(80);
    Arc::make_mut(&mut other.services[0]).tasks.clear();
    assert_eq!(keeps(&world.hear(ToAgent::Reach(other))), 0);
    assert_eq!(keeps(&world.hear(ToAgent::Reach(web(81)))), 1);
    assert_eq!(kept(&world)[0].ports[0].published_port, 81);
    world.hear(ToAgent::Reach(Reach {
        services: vec![Arc::new(ServiceView {
            id: ServiceId(99),
            ..(*first[0]).clone()
        })],
        ..Reach::default()
    }));
    assert_eq!(kept(&world).len(), 1);
    world.clause("removed");
    world.clause("exits 1");
    assert_eq!(kept(&world), []);
}
