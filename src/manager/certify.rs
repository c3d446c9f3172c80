//! Signs the certificates of nodes that were admitted, and new roots. Keys and signatures draw on
//! randomness that nobody can provide, so this is no part of `Manager::step`: whoever runs a
//! manager does it where the request came in, with the key that every manager has.

use crate::host::rng::Rng;
use crate::identity::authority::{Authority, AuthorityError, Order, SERIAL_BYTES};
use crate::identity::certificate::Facts;
use crate::model::object::Cluster;
use crate::model::state::State;
use crate::model::time::{Time, ms_of_ns};
use crate::model::trust::{Hidden, Rotation};
use crate::wire::access::{Access, AccessOrder};
use crate::wire::control::{NewRoot, Refusal, Request, Response};
use crate::wire::join::{Admission, Certified};

/// The answer with a certificate in the place of the permission to sign one.
pub fn certify(
    state: &State,
    now: Time,
    rng: &mut Rng,
    response: Response,
) -> Result<Response, Refusal> {
    let admission = match response {
        Response::Admitted(admission) => admission,
        Response::MayAccess(order) => return give_access(state, now, rng, &order),
        response => return Ok(response),
    };
    let cluster = state.cluster().ok_or(Refusal::NoLeader)?;
    let signed = sign(cluster, now, rng, &admission);
    let chain = signed.map_err(|error| Refusal::NoCertificate(error.to_string()))?;
    let members = state.managers().filter_map(|node| node.manager.as_ref());
    Ok(Response::Certified(Certified {
        node: admission.node,
        role: admission.role,
        raft_id: admission.raft_id,
        cluster: cluster.id,
        chain,
        roots: cluster.trust.roots(),
        managers: members.map(|member| member.address.clone()).collect(),
        at: now,
    }))
}

fn give_access(
    state: &State,
    now: Time,
    rng: &mut Rng,
    order: &AccessOrder,
) -> Result<Response, Refusal> {
    let cluster = state.cluster().ok_or(Refusal::NoLeader)?;
    let (root, key) = cluster.trust.issuer();
    let serial = rng.next_u128().to_be_bytes();
    let signed = authority(root, key)
        .and_then(|authority| authority.give_access(order, cluster.id, serial, now));
    let certificate = signed.and_then(|signed| Ok((Facts::read(&signed)?.not_after, signed)));
    let (not_after, certificate) =
        certificate.map_err(|error| Refusal::NoCertificate(error.to_string()))?;
    let path = cluster.trust.path().into_iter();
    Ok(Response::Access(Access {
        chain: std::iter::once(certificate.to_vec()).chain(path).collect(),
        roots: cluster.trust.roots(),
        cluster: cluster.id,
        not_after,
    }))
}

fn sign(
    cluster: &Cluster,
    now: Time,
    rng: &mut Rng,
    admission: &Admission,
) -> Result<Vec<Vec<u8>>, AuthorityError> {
    let (root, key) = cluster.trust.issuer();
    let authority = authority(root, key)?;
    let order = Order {
        request: &admission.request,
        node: admission.node,
        role: admission.role,
        cluster: cluster.id,
        life_ms: ms_of_ns(cluster.spec.ca.node_cert_expiry_ns),
        serial: rng.next_u128().to_be_bytes(),
    };
    let certificate = authority.issue(&order, now)?.to_vec();
    let path = cluster.trust.path().into_iter();
    Ok([certificate].into_iter().chain(path).collect())
}

/// The request with a new root in it, signed by the old one, if it asks for one.
pub fn prepare(
    state: &State,
    now: Time,
    rng: &mut Rng,
    mut request: Request,
) -> Result<Request, Refusal> {
    if let Request::UpdateCluster { spec, root, .. } = &mut request
        && let Some(cluster) = state.cluster()
        && spec.ca.force_rotate != cluster.spec.ca.force_rotate
        && cluster.trust.rotation.is_none()
    {
        let new = new_root(cluster, now, rng);
        let new = new.map_err(|error| Refusal::NoCertificate(error.to_string()))?;
        *root = Some(Box::new(new));
    }
    Ok(request)
}

fn new_root(cluster: &Cluster, now: Time, rng: &mut Rng) -> Result<NewRoot, AuthorityError> {
    let trust = &cluster.trust;
    let old = authority(&trust.root, trust.key.as_ref())?;
    let new = Authority::found(now, rng.next_u128().to_be_bytes())?;
    let cross = old.cross_sign(&new, rng.next_u128().to_be_bytes())?;
    Ok(NewRoot {
        old: trust.root.clone(),
        rotation: Rotation {
            root: new.root().to_vec(),
            key: Some(Hidden(new.key().pkcs8().to_vec())),
            cross: cross.to_vec(),
        },
    })
}

fn authority(root: &[u8], key: Option<&Hidden>) -> Result<Authority, AuthorityError> {
    let key = key.ok_or(AuthorityError::NoKey)?;
    Authority::from_stored(root.to_vec(), &key.0)
}

const _: () = assert!(SERIAL_BYTES == size_of::<u128>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::certificate::{Dates, verify};
    use crate::identity::founding::found;
    use crate::identity::key::{PrivateKey, public_digest};
    use crate::manager::genesis::genesis;
    use crate::manager::tests::swarm::{NODE, a_genesis};
    use crate::model::change::{Batch, Change};
    use crate::model::spec::node::Role;
    use crate::model::trust::{NewTokens, TokenSecret};

    const NOW: Time = Time(1_800_000_000_000);
    const HOUR_MS: u64 = 3_600_000;

    fn state(has_key: bool) -> State {
        let secret = TokenSecret([1; 16]);
        let mut start = a_genesis();
        start.trust = found(NOW, [1; 16], secret, secret).unwrap();
        start.spec.ca.node_cert_expiry_ns = 7_200_000_000_000;
        if !has_key {
            start.trust.key = None;
        }
        let mut state = State::default();
        let changes = genesis(start, NOW);
        state.apply(1, &Batch { at: NOW, changes });
        state
    }

    fn certified(state: &State, key: &PrivateKey) -> Result<Certified, Refusal> {
        let admission = Admission {
            node: NODE,
            role: Role::Manager,
            raft_id: Some(1),
            request: key.request().unwrap(),
        };
        let rng = &mut Rng::from_seed(1);
        match certify(state, NOW, rng, Response::Admitted(admission))? {
            Response::Certified(certified) => Ok(certified),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_was_admitted_gets_a_certificate_that_leads_to_the_root() {
        let state = state(true);
        let key = PrivateKey::generate().unwrap();
        let certified = certified(&state, &key).unwrap();
        let chain: Vec<_> = certified.chain.into_iter().map(Into::into).collect();
        let roots: Vec<_> = certified.roots.into_iter().map(Into::into).collect();
        assert_eq!(chain.last(), roots.first());
        let cluster = Some(certified.cluster);
        let peer = verify(&chain, &roots, cluster, Dates::At(NOW)).unwrap();
        assert_eq!((peer.node, peer.role), (NODE, Role::Manager));
        assert_eq!(peer.public_key, public_digest(&key.public()));
        assert_eq!(peer.not_after, NOW.plus_ms(2 * HOUR_MS));
        assert_eq!(certified.managers, ["127.0.0.1:2377"]);
    }

    #[test]
    fn a_manager_without_the_key_says_so() {
        let key = PrivateKey::generate().unwrap();
        let refused = certified(&state(false), &key).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the manager cannot sign a certificate: the root's key is not here"
        );
    }

    #[test]
    fn a_new_root_is_made_where_one_is_asked_for_and_issues_at_once() {
        let mut state = state(true);
        let rng = &mut Rng::from_seed(1);
        let cluster = state.cluster().unwrap().clone();
        let mut update = |force_rotate| {
            let mut spec = cluster.spec.clone();
            spec.ca.force_rotate = force_rotate;
            let request = Request::UpdateCluster {
                version: 1,
                spec,
                tokens: NewTokens::default(),
                root: None,
            };
            match prepare(&state, NOW, rng, request).unwrap() {
                Request::UpdateCluster { root, .. } => root,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(update(0), None);
        let new = update(1).unwrap();
        assert_eq!(new.old, cluster.trust.root);
        let begin = vec![Change::BeginRotation(new.rotation.clone())];
        let batch = Batch {
            at: NOW,
            changes: begin,
        };
        state.apply(2, &batch);

        let key = PrivateKey::generate().unwrap();
        let certified = certified(&state, &key).unwrap();
        let chain: Vec<_> = certified.chain.into_iter().map(Into::into).collect();
        for root in [cluster.trust.root.clone(), new.rotation.root] {
            assert!(
                chain.contains(&root.clone().into()),
                "hosts that join look for it"
            );
            let believed = verify(&chain, &[root.into()], None, Dates::At(NOW));
            assert_eq!(believed.unwrap().node, NODE);
        }
        assert_eq!(certified.roots, state.cluster().unwrap().trust.roots());
    }

    #[test]
    fn other_answers_pass() {
        let done = Response::Done {
            warnings: Vec::new(),
        };
        let rng = &mut Rng::from_seed(1);
        assert_eq!(certify(&state(true), NOW, rng, done.clone()), Ok(done));
    }
}
