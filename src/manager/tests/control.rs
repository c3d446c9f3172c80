//! What users ask and how they are answered.

use std::collections::BTreeSet;

use crate::manager::tests::swarm::{NODE, Swarm, create_request};
use crate::model::object::TaskState;
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::network::{HOST, NetworkSpec};
use crate::model::spec::service::ServiceMode;
use crate::model::trust::{Hidden, JoinToken, NewTokens, Rotation, TokenSecret};
use crate::wire::control::{
    Filters, NewRoot, ObjectKind, Refusal, Request, Response, ServiceUpdate,
};

fn filters(pairs: &[(&str, &str)]) -> Filters {
    let mut filters = Filters::default();
    for (key, value) in pairs {
        let values = filters
            .0
            .entry((*key).to_owned())
            .or_insert_with(BTreeSet::new);
        values.insert((*value).to_owned());
    }
    filters
}

/// A swarm with three services, all running.
fn swarm() -> Swarm {
    let mut swarm = Swarm::new();
    for (name, replicas) in [("web", 2), ("web-db", 1), ("cache", 1)] {
        swarm.create(name, replicas);
    }
    swarm.update("cache", |spec| {
        spec.labels.extend([("tier".to_owned(), "back".to_owned())]);
    });
    swarm.settle();
    swarm
}

fn services(swarm: &mut Swarm, pairs: &[(&str, &str)]) -> Vec<String> {
    match swarm.ask(Request::Services(filters(pairs))) {
        Ok(Response::Services(views)) => {
            let mut names: Vec<_> = views.iter().map(|v| v.service.spec.name.clone()).collect();
            names.sort();
            names
        }
        other => panic!("{other:?}"),
    }
}

fn tasks(swarm: &mut Swarm, pairs: &[(&str, &str)]) -> Vec<String> {
    match swarm.ask(Request::Tasks(filters(pairs))) {
        Ok(Response::Tasks(tasks)) => {
            let mut names: Vec<_> = tasks.iter().map(|task| task.name()).collect();
            names.sort();
            names
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_root_needs_one_signed_by_the_newest_and_one_is_rotated_at_a_time() {
    let mut swarm = Swarm::new();
    let new_root = |old: &[u8]| NewRoot {
        old: old.to_vec(),
        rotation: Rotation {
            root: b"new".to_vec(),
            key: Some(Hidden(b"NEW!".to_vec())),
            cross: b"cross".to_vec(),
        },
    };
    let mut rotate = |force_rotate, root: Option<NewRoot>| {
        let mut spec = ClusterSpec::default();
        spec.ca.force_rotate = force_rotate;
        let request = Request::UpdateCluster {
            version: swarm.state().cluster().unwrap().meta.version,
            spec,
            tokens: NewTokens::default(),
            root: root.map(Box::new),
        };
        let refused = swarm.ask(request).err();
        let rotation = swarm.state().cluster().unwrap().trust.rotation.clone();
        (refused, rotation.is_some())
    };
    let stale = "it does not know the newest root yet; try again".to_owned();
    let stale = Some(Refusal::NoCertificate(stale));
    assert_eq!(rotate(1, None), (stale.clone(), false));
    assert_eq!(rotate(1, Some(new_root(b"older"))), (stale, false));
    // Nobody asked for one.
    assert_eq!(rotate(0, Some(new_root(b"root"))), (None, false));
    assert_eq!(rotate(1, Some(new_root(b"root"))), (None, true));
    let (refused, _) = rotate(2, Some(new_root(b"root")));
    assert_eq!(refused, Some(Refusal::Rotating));
    let Ok(Response::Cluster(shown)) = swarm.ask(Request::Cluster) else {
        panic!("no cluster");
    };
    assert_eq!(shown.trust.rotation.as_ref().unwrap().key, None);
}

#[test]
fn a_swarm_shows_its_tokens_but_never_its_key_and_rotates_one_token_at_a_time() {
    let mut swarm = Swarm::new();
    let shown = |swarm: &mut Swarm| match swarm.ask(Request::Cluster) {
        Ok(Response::Cluster(cluster)) => cluster,
        other => panic!("{other:?}"),
    };
    let before = shown(&mut swarm);
    assert_eq!(before.trust.key, None);
    let token = JoinToken::new(TokenSecret([9; 16]));
    let rotation = |version| Request::UpdateCluster {
        version,
        spec: ClusterSpec::default(),
        tokens: NewTokens {
            unlock: None,
            worker: Some(token),
            manager: None,
        },
        root: None,
    };
    swarm.ask(rotation(before.meta.version)).unwrap();
    let after = shown(&mut swarm);
    assert_eq!(after.trust.worker, token);
    assert_eq!(after.trust.manager, before.trust.manager);
    assert!(swarm.state().cluster().unwrap().trust.key.is_some());
    let stale = swarm.ask(rotation(before.meta.version)).unwrap_err();
    assert!(matches!(stale, Refusal::OutOfSequence { .. }), "{stale}");
}

#[test]
fn a_service_is_found_by_id_name_and_start_of_id() {
    let mut swarm = swarm();
    let id = swarm
        .state()
        .services()
        .by_name("web")
        .unwrap()
        .id
        .to_string();
    for reference in ["web", &id, &id[..8]] {
        let found = swarm.ask(Request::Service(reference.to_owned()));
        let Ok(Response::Service(view)) = found else {
            panic!("{reference}: {found:?}");
        };
        assert_eq!(view.service.spec.name, "web");
        assert_eq!((view.running, view.desired), (2, 2));
    }
    for reference in ["we", "", "WEB"] {
        let refusal = swarm
            .ask(Request::Service(reference.to_owned()))
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("service {reference} not found")
        );
    }
}

#[test]
fn a_start_that_several_ids_share_is_ambiguous() {
    let mut swarm = Swarm::new();
    for n in 0..40 {
        swarm.create(&format!("s{n}"), 0);
    }
    let mut starts = BTreeSet::new();
    let services = swarm.state().services().iter();
    let ids: Vec<_> = services.map(|service| service.id.to_string()).collect();
    let again = ids.iter().find(|id| !starts.insert(&id[..1]));
    let shared = again.unwrap()[..1].to_owned();
    let refusal = swarm.ask(Request::Service(shared)).unwrap_err();
    assert!(
        matches!(refusal, Refusal::Ambiguous { matches: 2.., .. }),
        "{refusal:?}"
    );
}

#[test]
fn services_are_filtered_as_docker_does() {
    let mut swarm = swarm();
    let swarm = &mut swarm;
    assert_eq!(services(swarm, &[]), ["cache", "web", "web-db"]);
    assert_eq!(services(swarm, &[("name", "web")]), ["web", "web-db"]);
    assert_eq!(
        services(swarm, &[("name", "web-"), ("name", "cache")]),
        ["cache", "web-db"]
    );
    assert_eq!(services(swarm, &[("label", "tier")]), ["cache"]);
    assert_eq!(services(swarm, &[("label", "tier=back")]), ["cache"]);
    assert_eq!(services(swarm, &[("label", "tier=front")]), [""; 0]);
    assert_eq!(services(swarm, &[("mode", "global")]), [""; 0]);
    assert_eq!(
        services(swarm, &[("mode", "replicated"), ("name", "cache")]),
        ["cache"]
    );
}

#[test]
fn tasks_are_filtered_as_docker_does() {
    let mut swarm = swarm();
    swarm.crash("web.1");
    swarm.settle();
    let node = NODE.to_string();
    let swarm = &mut swarm;
    assert_eq!(
        tasks(swarm, &[("service", "web")]),
        ["web.1", "web.1", "web.2"]
    );
    let running = [("service", "web"), ("desired-state", "running")];
    assert_eq!(tasks(swarm, &running), ["web.1", "web.2"]);
    let dead = [("service", "web"), ("desired-state", "shutdown")];
    assert_eq!(tasks(swarm, &dead), ["web.1"]);
    assert_eq!(
        tasks(swarm, &[("node", &node), ("name", "cache")]),
        ["cache.1"]
    );
    assert_eq!(tasks(swarm, &[("node", "nobody")]), [""; 0]);
    assert_eq!(tasks(swarm, &[("service", "nothing")]), [""; 0]);
    swarm.update("cache", |spec| spec.task.force_update = 1);
    let old = [("service", "cache"), ("_up-to-date", "false")];
    assert_eq!(tasks(swarm, &old), ["cache.1"]);
    let new = [("service", "cache"), ("_up-to-date", "true")];
    assert_eq!(tasks(swarm, &new), ["cache.1"]);
}

#[test]
fn filters_that_nobody_knows_are_refused() {
    let mut swarm = Swarm::new();
    for request in [
        Request::Services,
        Request::Nodes,
        Request::Tasks,
        Request::Networks,
    ] {
        let refusal = swarm
            .ask(request(filters(&[("colour", "red")])))
            .unwrap_err();
        assert!(
            matches!(refusal, Refusal::UnknownFilter { .. }),
            "{refusal:?}"
        );
    }
}

#[test]
fn nodes_networks_and_tasks_are_found() {
    let mut swarm = swarm();
    let leader = filters(&[("role", "manager")]);
    let Ok(Response::Nodes(nodes)) = swarm.ask(Request::Nodes(leader)) else {
        panic!("no nodes");
    };
    assert_eq!(nodes.len(), 1);
    assert!(nodes[0].leader && nodes[0].reachable);
    let host = swarm.ask(Request::Network("host".into()));
    assert!(matches!(host, Ok(Response::Network(network)) if network.id == HOST.0));
    let builtin = swarm.ask(Request::Networks(filters(&[("type", "builtin")])));
    assert!(matches!(builtin, Ok(Response::Networks(networks)) if networks.len() == 3));
    let task = swarm.tasks("web")[0].clone();
    for reference in [task.id.to_string(), format!("{}.{}", task.name(), task.id)] {
        let found = swarm.ask(Request::Task(reference));
        assert!(matches!(found, Ok(Response::Task(found)) if found.id == task.id));
    }
}

#[test]
fn an_update_needs_the_objects_version_and_scaling_by_the_system_does_not_move_it() {
    let mut swarm = swarm();
    let service = swarm.state().services().by_name("web").unwrap().clone();
    swarm.crash("web.1");
    swarm.settle();
    let update = |version| Request::UpdateService {
        service: "web".into(),
        version,
        update: ServiceUpdate::Spec((*service.spec).clone()),
    };
    swarm.ask(update(service.meta.version)).unwrap();
    let refusal = swarm.ask(update(service.meta.version)).unwrap_err();
    assert!(
        matches!(refusal, Refusal::OutOfSequence { .. }),
        "{refusal:?}"
    );
}

#[test]
fn what_cannot_be_changed_is_refused_and_changes_nothing() {
    let mut swarm = swarm();
    let before = swarm.rows();
    let mut attempt = |change: fn(&mut crate::model::spec::service::ServiceSpec)| {
        let service = swarm.state().services().by_name("web").unwrap().clone();
        let mut spec = (*service.spec).clone();
        change(&mut spec);
        let request = Request::UpdateService {
            service: "web".into(),
            version: service.meta.version,
            update: ServiceUpdate::Spec(spec),
        };
        swarm.ask(request).unwrap_err().to_string()
    };
    assert!(attempt(|spec| spec.name = "other".into()).contains("renaming services"));
    assert!(attempt(|spec| spec.mode = ServiceMode::Global).contains("mode change"));
    assert!(attempt(|spec| spec.task.container.tty = true).contains("TTY"));
    let refusal = swarm.ask(create_request("web", 1)).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::NameTaken {
            kind: ObjectKind::Service,
            ..
        }
    ));
    let refusal = swarm
        .ask(Request::RemoveService("nothing".into()))
        .unwrap_err();
    assert!(matches!(refusal, Refusal::NotFound { .. }));
    let force = Request::RemoveNode {
        node: NODE.to_string(),
        force: true,
    };
    assert_eq!(swarm.ask(force), Err(Refusal::NodeIsManager(NODE)));
    assert_eq!(swarm.rows(), before);
}

#[test]
fn a_service_without_a_previous_spec_cannot_go_back() {
    let mut swarm = swarm();
    let version = swarm
        .state()
        .services()
        .by_name("web")
        .unwrap()
        .meta
        .version;
    let refusal = swarm.ask(Request::UpdateService {
        service: "web".into(),
        version,
        update: ServiceUpdate::Rollback,
    });
    assert_eq!(refusal, Err(Refusal::NoPreviousSpec("web".into())));
}

#[test]
fn a_drained_node_gives_its_tasks_up_and_an_active_one_takes_them() {
    use crate::model::spec::node::Availability;

    let mut swarm = swarm();
    let set = |swarm: &mut Swarm, availability| {
        let node = swarm.state().nodes().find(NODE).unwrap().clone();
        let mut spec = node.spec.clone();
        spec.availability = availability;
        let version = node.meta.version;
        let node = NODE.to_string();
        swarm
            .ask(Request::UpdateNode {
                node,
                version,
                spec,
            })
            .unwrap();
        swarm.settle();
    };
    set(&mut swarm, Availability::Drain);
    assert_eq!(swarm.containers(), 0);
    let live = |task: &std::sync::Arc<crate::model::object::Task>| task.is_live();
    let waiting: Vec<_> = swarm.tasks("web").into_iter().filter(live).collect();
    assert_eq!(waiting.len(), 2);
    assert!(
        waiting
            .iter()
            .all(|task| task.status.state == TaskState::Pending)
    );
    set(&mut swarm, Availability::Active);
    assert_eq!(swarm.running("web"), 2);
}

#[test]
fn a_lowered_history_limit_is_applied_at_once() {
    let mut swarm = swarm();
    for _ in 0..4 {
        swarm.crash("web.1");
        swarm.settle();
    }
    assert_eq!(swarm.tasks("web").len(), 6);
    let cluster = swarm.state().cluster().unwrap().clone();
    let mut spec = cluster.spec.clone();
    spec.orchestration.task_history_limit = Some(1);
    let version = cluster.meta.version;
    let tokens = NewTokens::default();
    let update = Request::UpdateCluster {
        version,
        spec,
        tokens,
        root: None,
    };
    swarm.ask(update).unwrap();
    assert_eq!(swarm.tasks("web").len(), 3);
}

#[test]
fn filters_for_what_nothing_can_be_are_refused() {
    let mut swarm = Swarm::new();
    let mut check = |request: fn(Filters) -> Request, key, value, expect: &str| {
        let refusal = swarm.ask(request(filters(&[(key, value)]))).unwrap_err();
        assert_eq!(refusal.to_string(), expect);
    };
    let role = "filter role: \"king\" is not known for nodes; known are worker, manager";
    check(Request::Nodes, "role", "king", role);
    let mode = "filter mode: \"odd\" is not known for services; \
                known are replicated, global, replicated-job, global-job";
    check(Request::Services, "mode", "odd", mode);
    let state = "filter desired-state: \"gone\" is not known for tasks; known are new, pending, \
                 assigned, accepted, preparing, ready, starting, running, complete, shutdown, \
                 failed, rejected, remove, orphaned";
    check(Request::Tasks, "desired-state", "gone", state);
}

fn network(swarm: &mut Swarm, name: &str, subnet: &str) -> Result<String, Refusal> {
    let mut spec = NetworkSpec {
        name: name.into(),
        ..NetworkSpec::default()
    };
    if !subnet.is_empty() {
        let pools = &mut spec.ipam.get_or_insert_default().pools;
        pools.push(crate::model::spec::network::IpamPool {
            subnet: subnet.into(),
            ..Default::default()
        });
    }
    swarm.ask(Request::CreateNetwork(spec))?;
    let Ok(Response::Network(network)) = swarm.ask(Request::Network(name.into())) else {
        panic!("{name} is not there");
    };
    Ok(network.block.unwrap().subnet.to_string())
}

#[test]
fn networks_get_subnets_of_their_own_and_give_them_back() {
    let mut swarm = Swarm::new();
    let ingress = swarm.state().networks().by_name("ingress").unwrap().clone();
    assert_eq!(ingress.block.unwrap().subnet.to_string(), "10.0.0.0/24");
    assert_eq!(network(&mut swarm, "a", ""), Ok("10.0.1.0/24".into()));
    assert_eq!(
        network(&mut swarm, "b", "10.0.2.0/23"),
        Ok("10.0.2.0/23".into())
    );
    assert_eq!(network(&mut swarm, "c", ""), Ok("10.0.4.0/24".into()));
    let refusal = network(&mut swarm, "d", "10.0.3.0/24").unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("overlaps 10.0.2.0/23 of network b"),
        "{refusal}"
    );
    let taken = network(&mut swarm, "a", "").unwrap_err();
    assert!(matches!(taken, Refusal::NameTaken { .. }), "{taken}");
    swarm.ask(Request::RemoveNetwork("a".into())).unwrap();
    assert_eq!(network(&mut swarm, "e", ""), Ok("10.0.1.0/24".into()));
    swarm.restart();
    assert_eq!(network(&mut swarm, "f", ""), Ok("10.0.5.0/24".into()));
}

#[test]
fn predefined_networks_stay_and_there_is_one_ingress_network() {
    let mut swarm = Swarm::new();
    let refusal = swarm
        .ask(Request::RemoveNetwork("host".into()))
        .unwrap_err();
    assert_eq!(refusal, Refusal::Predefined("host".into()));
    let spec = NetworkSpec {
        name: "mesh".into(),
        ingress: true,
        ..NetworkSpec::default()
    };
    let refusal = swarm.ask(Request::CreateNetwork(spec.clone())).unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("ingress is the ingress network already"),
        "{refusal}"
    );
    swarm.ask(Request::RemoveNetwork("ingress".into())).unwrap();
    swarm.ask(Request::CreateNetwork(spec)).unwrap();
}
