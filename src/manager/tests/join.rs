//! Hosts with tokens at the managers' door, and nodes that want their next certificate.

use crate::identity::key::{PrivateKey, public_digest};
use crate::manager::tests::swarm::{NODE, Swarm};
use crate::model::id::NodeId;
use crate::model::object::{Node, NodeState};
use crate::model::spec::cluster::ClusterSpec;
use crate::model::spec::node::{Availability, NodeDescription, Role};
use crate::model::trust::tests::a_trust;
use crate::model::trust::{Inadmissible, JoinToken, NewTokens, TokenSecret};
use crate::wire::control::{Refusal, Request, Response};
use crate::wire::join::{Admission, Joining, Shown};

fn host(key: &PrivateKey, token: &JoinToken) -> Joining {
    Joining {
        secret: token.secret,
        request: key.request().unwrap(),
        description: NodeDescription {
            hostname: "pi".into(),
            ..NodeDescription::default()
        },
        availability: Availability::Pause,
        address: "192.0.2.9".into(),
        port: 2377,
    }
}

fn join(swarm: &mut Swarm, host: Joining) -> Result<Admission, Refusal> {
    admitted(swarm, Request::Join(Box::new(host)))
}

fn renew(swarm: &mut Swarm, shown: Shown, key: &PrivateKey) -> Result<Admission, Refusal> {
    let request = key.request().unwrap();
    admitted(swarm, Request::Renew { shown, request })
}

fn admitted(swarm: &mut Swarm, request: Request) -> Result<Admission, Refusal> {
    match swarm.ask(request)? {
        Response::Admitted(admission) => Ok(admission),
        other => panic!("{other:?}"),
    }
}

fn node(swarm: &Swarm, id: NodeId) -> Node {
    Node::clone(swarm.state().nodes().find(id).unwrap())
}

fn digest(key: &PrivateKey) -> [u8; 32] {
    public_digest(&key.public())
}

/// Rotates the worker's token.
fn rotate(swarm: &mut Swarm, worker: JoinToken) {
    let request = Request::UpdateCluster {
        version: swarm.state().cluster().unwrap().meta.version,
        spec: ClusterSpec::default(),
        tokens: NewTokens {
            unlock: None,
            worker: Some(worker),
            manager: None,
        },
        root: None,
    };
    swarm.ask(request).unwrap();
}

#[test]
fn a_host_joins_as_what_its_token_says() {
    let mut swarm = Swarm::new();
    let key = PrivateKey::generate().unwrap();
    let admitted = join(&mut swarm, host(&key, &a_trust().worker)).unwrap();
    assert_eq!((admitted.role, admitted.raft_id), (Role::Worker, None));
    let worker = node(&swarm, admitted.node);
    assert_eq!(worker.spec.role, Role::Worker);
    assert_eq!(worker.spec.availability, Availability::Pause);
    assert_eq!(worker.description.hostname, "pi");
    assert_eq!(worker.status.state, NodeState::Unknown);
    assert_eq!(worker.status.address, "192.0.2.9");
    assert_eq!((worker.key, worker.manager), (Some(digest(&key)), None));

    let key = PrivateKey::generate().unwrap();
    let admitted = join(&mut swarm, host(&key, &a_trust().manager)).unwrap();
    let manager = node(&swarm, admitted.node);
    assert_eq!(
        (admitted.role, manager.spec.role),
        (Role::Manager, Role::Manager)
    );
    let member = manager.manager.unwrap();
    assert_eq!(Some(member.raft_id), admitted.raft_id);
    assert_eq!(member.address, "192.0.2.9:2377");
}

#[test]
fn a_host_whose_answer_got_lost_is_the_same_node_when_it_asks_again() {
    let mut swarm = Swarm::new();
    rotate(&mut swarm, limited(1));
    let key = PrivateKey::generate().unwrap();
    let first = join(&mut swarm, host(&key, &a_trust().manager)).unwrap();
    let again = join(&mut swarm, host(&key, &a_trust().manager)).unwrap();
    assert_eq!(
        (first.node, first.role, first.raft_id),
        (again.node, again.role, again.raft_id)
    );
    assert_eq!(swarm.state().nodes().len(), 2);
}

fn limited(uses: u64) -> JoinToken {
    JoinToken {
        uses_max: Some(uses),
        ..JoinToken::new(TokenSecret([9; 16]))
    }
}

#[test]
fn a_token_that_was_rotated_used_up_or_expired_lets_nobody_in() {
    let mut swarm = Swarm::new();
    let refused = |swarm: &mut Swarm, token: &JoinToken, why| {
        let before = swarm.state().nodes().len();
        let key = PrivateKey::generate().unwrap();
        let refused = join(swarm, host(&key, token)).unwrap_err();
        assert_eq!(refused, Refusal::Inadmissible(why));
        assert_eq!(swarm.state().nodes().len(), before);
    };
    refused(
        &mut swarm,
        &JoinToken::new(TokenSecret([1; 16])),
        Inadmissible::Wrong,
    );

    rotate(&mut swarm, limited(2));
    refused(&mut swarm, &a_trust().worker, Inadmissible::Wrong);
    for _ in 0..2 {
        let key = PrivateKey::generate().unwrap();
        join(&mut swarm, host(&key, &limited(2))).unwrap();
    }
    refused(&mut swarm, &limited(2), Inadmissible::UsedUp);

    let short = JoinToken {
        expires_at: Some(swarm.now().plus_ms(1_000)),
        ..JoinToken::new(TokenSecret([8; 16]))
    };
    rotate(&mut swarm, short);
    let key = PrivateKey::generate().unwrap();
    join(&mut swarm, host(&key, &short)).unwrap();
    assert_eq!(swarm.state().cluster().unwrap().trust.worker.uses, 0);
    swarm.pass(1_000);
    refused(&mut swarm, &short, Inadmissible::Expired);
}

#[test]
fn a_host_that_says_nonsense_of_itself_is_refused() {
    let mut swarm = Swarm::new();
    let key = PrivateKey::generate().unwrap();
    let good = host(&key, &a_trust().worker);
    let mut refused = |change: &dyn Fn(&mut Joining), line: &str| {
        let mut host = good.clone();
        change(&mut host);
        let refused = join(&mut swarm, host).unwrap_err().to_string();
        assert!(refused.contains(line), "{refused}");
    };
    refused(
        &|host| host.address.clear(),
        "\"\" is none that others can reach",
    );
    refused(
        &|host| host.address = "0.0.0.0".into(),
        "none that others can reach",
    );
    refused(
        &|host| host.address = "x".repeat(9_000),
        "none that others can reach",
    );
    let long = "x".repeat(70_000);
    refused(
        &|host| host.description.hostname.clone_from(&long),
        "at most 65536",
    );
    refused(&|host| host.request.clear(), "it is no request");
    refused(&|host| host.request = vec![0x30; 9_000], "it is too long");
    refused(
        &|host| *host.request.last_mut().unwrap() ^= 1,
        "its signature is not of its key",
    );
    assert_eq!(swarm.state().nodes().len(), 1);
}

#[test]
fn a_node_renews_its_certificate_with_the_same_key_or_another() {
    let mut swarm = Swarm::new();
    let (old, new) = (
        PrivateKey::generate().unwrap(),
        PrivateKey::generate().unwrap(),
    );
    let id = join(&mut swarm, host(&old, &a_trust().worker))
        .unwrap()
        .node;
    let shown = |key, ran_out| Shown {
        node: id,
        key: digest(key),
        ran_out,
    };
    let index = swarm.state().index();
    let admitted = renew(&mut swarm, shown(&old, false), &old).unwrap();
    assert_eq!((admitted.node, admitted.role), (id, Role::Worker));
    assert_eq!(swarm.state().index(), index, "nothing has to be remembered");
    renew(&mut swarm, shown(&old, false), &new).unwrap();
    assert_eq!(node(&swarm, id).key, Some(digest(&new)));

    // After it was switched off for long.
    renew(&mut swarm, shown(&new, true), &new).unwrap();
    let refused = renew(&mut swarm, shown(&old, true), &old).unwrap_err();
    assert_eq!(refused, Refusal::OtherKey(id));
}

#[test]
fn a_removed_node_gets_no_certificate() {
    let mut swarm = Swarm::new();
    let key = PrivateKey::generate().unwrap();
    let id = join(&mut swarm, host(&key, &a_trust().worker))
        .unwrap()
        .node;
    let remove = Request::RemoveNode {
        node: id.to_string(),
        force: true,
    };
    swarm.ask(remove).unwrap();
    let shown = Shown {
        node: id,
        key: digest(&key),
        ran_out: false,
    };
    let refused = renew(&mut swarm, shown, &key).unwrap_err();
    assert_eq!(refused, Refusal::NodeRemoved(id));
    // Who has a token may come back, as a new node.
    let again = join(&mut swarm, host(&key, &a_trust().worker)).unwrap();
    assert_ne!(again.node, id);
}

#[test]
fn a_managers_certificate_says_so_until_it_has_left_the_quorum() {
    let mut swarm = Swarm::new();
    let key = PrivateKey::generate().unwrap();
    let shown = Shown {
        node: NODE,
        key: [0; 32],
        ran_out: false,
    };
    let admitted = renew(&mut swarm, shown, &key).unwrap();
    assert_eq!((admitted.role, admitted.raft_id), (Role::Manager, Some(1)));
}
