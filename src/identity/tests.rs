//! Certificates from one end to the other: made by an authority, shown by a peer, verified.

use rustls_pki_types::CertificateDer;

use crate::host::rng::Rng;
use crate::identity::authority::{Authority, AuthorityError, NODE_LIFE_MS_MIN, Order};
use crate::identity::certificate::{
    CERTIFICATE_BYTES_MAX, CHAIN_MAX, CertificateError, Dates, Facts, Peer, verify,
};
use crate::identity::key::{PrivateKey, public_digest};
use crate::model::id::{ClusterId, NodeId};
use crate::model::spec::node::Role;
use crate::model::time::Time;

const NOW: Time = Time(1_800_000_000_000);
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const SWARM: ClusterId = ClusterId(5);
const NODE: NodeId = NodeId(7);

type Chain = Vec<CertificateDer<'static>>;

fn founded() -> Authority {
    Authority::found(NOW, [1; 16]).unwrap()
}

fn order(request: &[u8]) -> Order<'_> {
    Order {
        request,
        node: NODE,
        role: Role::Worker,
        cluster: SWARM,
        life_ms: 90 * DAY_MS,
        serial: [2; 16],
    }
}

/// A worker's certificate of 90 days, made at `now`, and its key.
fn issued(authority: &Authority, now: Time) -> (CertificateDer<'static>, PrivateKey) {
    let key = PrivateKey::generate().unwrap();
    let request = key.request().unwrap();
    (authority.issue(&order(&request), now).unwrap(), key)
}

fn check(chain: &Chain, authority: &Authority, dates: Dates) -> Result<Peer, CertificateError> {
    let roots = [authority.root().clone()];
    verify(chain, &roots, Some(SWARM), dates)
}

fn bytes(rng: &mut Rng, length: usize) -> Vec<u8> {
    let draws = std::iter::repeat_with(|| rng.next_u64().to_le_bytes()[0]);
    draws.take(length).collect()
}

#[test]
fn a_peer_is_who_its_certificate_says() {
    let authority = founded();
    let (certificate, key) = issued(&authority, NOW);
    let peer = check(&vec![certificate], &authority, Dates::At(NOW)).unwrap();
    assert_eq!(
        (peer.node, peer.role, peer.cluster),
        (NODE, Role::Worker, SWARM)
    );
    assert_eq!(peer.public_key, public_digest(&key.public()));
    assert_eq!(peer.not_before, Time(NOW.0 - HOUR_MS));
    assert_eq!(peer.not_after, NOW.plus_ms(90 * DAY_MS));
}

#[test]
fn a_root_lives_for_twenty_years_and_comes_back_from_what_is_stored() {
    let authority = founded();
    let facts = Facts::read(authority.root()).unwrap();
    assert!(facts.is_root);
    assert_eq!(facts.not_before, Time(NOW.0 - HOUR_MS));
    assert_eq!(facts.not_after.since_ms(NOW), 20 * 365 * DAY_MS);
    let (root, key) = (authority.root().to_vec(), authority.key().pkcs8().to_vec());
    let again = Authority::from_stored(root.clone(), &key).unwrap();
    let (certificate, _) = issued(&again, NOW);
    assert!(check(&vec![certificate.clone()], &authority, Dates::At(NOW)).is_ok());

    let other = founded();
    assert!(matches!(
        Authority::from_stored(root, other.key().pkcs8()),
        Err(AuthorityError::OtherKey)
    ));
    assert!(matches!(
        Authority::from_stored(certificate.to_vec(), &key),
        Err(AuthorityError::NotARoot)
    ));
}

#[test]
fn another_root_and_another_swarm_are_refused() {
    let (ours, theirs) = (founded(), founded());
    let (certificate, _) = issued(&theirs, NOW);
    let chain = vec![certificate];
    for dates in [Dates::At(NOW), Dates::Unchecked] {
        assert!(matches!(
            check(&chain, &ours, dates),
            Err(CertificateError::Foreign(_))
        ));
        let roots = [theirs.root().clone()];
        let found = verify(&chain, &roots, Some(ClusterId(6)), dates);
        assert!(matches!(found, Err(CertificateError::OtherSwarm { .. })));
        assert!(verify(&chain, &roots, None, dates).is_ok());
        assert!(verify(&chain, &[], None, dates).is_err());
    }
}

#[test]
fn a_worker_is_no_manager_and_no_authority() {
    let authority = founded();
    let (certificate, key) = issued(&authority, NOW);
    let peer = check(&vec![certificate.clone()], &authority, Dates::At(NOW)).unwrap();
    assert_eq!(peer.require(Role::Worker), Ok(()));
    let refused = peer.require(Role::Manager).unwrap_err();
    assert_eq!(refused.to_string(), format!("node {NODE} is no manager"));

    // A node that signs with its own key convinces nobody, even if it shows its certificate.
    let signer = rcgen::Issuer::from_ca_cert_der(&certificate, key.pair()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (rcgen::DnType::OrganizationName, SWARM.to_string()),
        (
            rcgen::DnType::OrganizationalUnitName,
            "swarm-manager".into(),
        ),
        (rcgen::DnType::CommonName, NODE.to_string()),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let own = PrivateKey::generate().unwrap();
    let forged = params.signed_by(own.pair(), &signer).unwrap();
    let chain = vec![forged.der().clone(), certificate];
    for dates in [Dates::At(NOW), Dates::Unchecked] {
        let found = check(&chain, &authority, dates);
        assert!(
            matches!(found, Err(CertificateError::Foreign(_))),
            "{found:?}"
        );
    }
}

#[test]
fn dates_count_unless_the_clock_is_not_known() {
    let authority = founded();
    let (certificate, _) = issued(&authority, NOW);
    let chain = vec![certificate];
    let behind = check(&chain, &authority, Dates::At(Time(NOW.0 - HOUR_MS)));
    assert!(behind.is_ok(), "a clock may be an hour behind");
    let early = check(&chain, &authority, Dates::At(Time(NOW.0 - HOUR_MS - 1)));
    assert!(matches!(early, Err(CertificateError::NotYet(_))));
    let late = check(&chain, &authority, Dates::At(NOW.plus_ms(91 * DAY_MS))).unwrap_err();
    assert!(
        late.to_string()
            .ends_with("ran out at 2027-04-15T08:00:00Z"),
        "{late}"
    );
    let CertificateError::Expired(peer) = late else {
        panic!("{late}");
    };
    assert_eq!(peer.node, NODE);
    assert!(check(&chain, &authority, Dates::At(Time(0))).is_err());
    assert!(check(&chain, &authority, Dates::Unchecked).is_ok());
}

#[test]
fn a_certificate_lives_for_an_hour_at_least_and_never_longer_than_its_root() {
    let authority = founded();
    let key = PrivateKey::generate().unwrap();
    let request = key.request().unwrap();
    let life = |life_ms, now: Time| {
        let order = Order {
            life_ms,
            ..order(&request)
        };
        let facts = Facts::read(&authority.issue(&order, now).unwrap()).unwrap();
        (facts.not_before, facts.not_after)
    };
    assert_eq!(life(1, NOW).1, NOW.plus_ms(NODE_LIFE_MS_MIN));
    let root = Facts::read(authority.root()).unwrap();
    assert_eq!(life(u64::MAX, NOW).1, root.not_after);
    // A manager whose clock has gone back, and one whose clock has run away.
    assert_eq!(life(DAY_MS, Time(0)), (root.not_before, root.not_before));
    assert_eq!(
        life(DAY_MS, Time(u64::MAX)),
        (root.not_after, root.not_after)
    );
}

#[test]
fn a_swarm_can_begin_in_1970() {
    let authority = Authority::found(Time(0), [0; 16]).unwrap();
    let (certificate, _) = issued(&authority, Time(5));
    let chain = vec![certificate];
    let peer = check(&chain, &authority, Dates::At(Time(5000))).unwrap();
    assert_eq!(peer.not_before, Time(0));
    assert!(check(&chain, &authority, Dates::Unchecked).is_ok());
}

#[test]
fn renewal_falls_between_half_and_four_fifths_of_the_life() {
    let authority = founded();
    let (certificate, _) = issued(&authority, NOW);
    let peer = check(&vec![certificate], &authority, Dates::At(NOW)).unwrap();
    let mut rng = Rng::from_seed(1);
    let percents: Vec<u64> = (0..500)
        .map(|_| peer.renewal(&mut rng).since_ms(NOW) * 100 / (90 * DAY_MS))
        .collect();
    assert_eq!(percents.iter().min(), Some(&50));
    assert_eq!(percents.iter().max(), Some(&79));
}

#[test]
fn a_new_root_is_trusted_through_the_old_one() {
    let old = founded();
    let later = NOW.plus_ms(80 * DAY_MS);
    let (kept, _) = issued(&old, NOW);
    let new = Authority::found(later, [3; 16]).unwrap();
    let cross = old.cross_sign(&new, [4; 16]).unwrap();
    let (fresh, _) = issued(&new, later);

    let lone = vec![fresh.clone()];
    let crossed = vec![fresh, cross.clone()];
    for dates in [Dates::At(later), Dates::Unchecked] {
        assert!(check(&lone, &old, dates).is_err());
        assert!(check(&crossed, &old, dates).is_ok());
        assert!(check(&lone, &new, dates).is_ok());
        assert!(check(&crossed, &new, dates).is_ok());
        // During the rotation nodes know both roots, and managers show the chain in any case.
        let roots = [old.root().clone(), new.root().clone()];
        for chain in [&lone, &crossed, &vec![kept.clone(), cross.clone()]] {
            assert!(verify(chain, &roots, Some(SWARM), dates).is_ok());
        }
    }
    // The cross-signed root leads only to the new root's certificates.
    assert!(check(&vec![kept, cross], &new, Dates::At(later)).is_err());
}

#[test]
fn a_request_has_to_hold() {
    let authority = founded();
    let key = PrivateKey::generate().unwrap();
    let good = key.request().unwrap();
    let refused = |request: &[u8]| {
        let issued = authority.issue(&order(request), NOW);
        matches!(issued, Err(AuthorityError::Request(_)))
    };
    assert!(!refused(&good));
    assert!(refused(&[]));
    assert!(refused(&[good.clone(), vec![0]].concat()));
    assert!(refused(&vec![0x30; CERTIFICATE_BYTES_MAX + 1]));
    // Whatever is changed in it, a request never makes a certificate for another key.
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(issued) = authority.issue(&order(&changed), NOW) {
            assert_eq!(Facts::read(&issued).unwrap().public, key.public());
        }
    }
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(refused(&forged));
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let other = rcgen::CertificateParams::default()
        .serialize_request(&p384)
        .unwrap();
    assert!(refused(other.der()));
}

#[test]
fn what_a_request_says_of_its_sender_does_not_count() {
    let authority = founded();
    let key = PrivateKey::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["swarm-manager".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationalUnitName, "swarm-manager");
    let request = params.serialize_request(key.pair()).unwrap();
    let certificate = authority.issue(&order(request.der()), NOW).unwrap();
    assert!(!Facts::read(&certificate).unwrap().is_root);
    let peer = check(&vec![certificate], &authority, Dates::At(NOW)).unwrap();
    assert_eq!((peer.node, peer.role), (NODE, Role::Worker));
}

#[test]
fn damaged_and_random_certificates_are_refused() {
    let authority = founded();
    let (good, _) = issued(&authority, NOW);
    let mut rng = Rng::from_seed(13);
    for _ in 0..600 {
        let mut changed = good.to_vec();
        let at = usize::try_from(rng.below(changed.len() as u64)).unwrap();
        changed[at] ^= 1 << rng.below(8);
        let chain = vec![changed.into()];
        for dates in [Dates::At(NOW), Dates::Unchecked] {
            assert!(check(&chain, &authority, dates).is_err(), "byte {at}");
        }
        let length = usize::try_from(rng.below(700)).unwrap();
        let mut random = bytes(&mut rng, length);
        random.splice(0..random.len().min(4), [0x30, 0x82, 1, 0]);
        assert!(check(&vec![random.into()], &authority, Dates::Unchecked).is_err());
    }
}

#[test]
fn long_chains_and_long_certificates_are_refused_unread() {
    let authority = founded();
    let (good, _) = issued(&authority, NOW);
    let found = check(
        &vec![good.clone(); CHAIN_MAX + 1],
        &authority,
        Dates::At(NOW),
    );
    assert_eq!(found, Err(CertificateError::TooMany(CHAIN_MAX + 1)));
    let long = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    let found = check(&vec![good, long.into()], &authority, Dates::At(NOW));
    assert_eq!(
        found,
        Err(CertificateError::TooLong(CERTIFICATE_BYTES_MAX + 1))
    );
    assert_eq!(
        check(&Vec::new(), &authority, Dates::Unchecked),
        Err(CertificateError::None)
    );
}

#[test]
fn certificates_have_any_serial_number() {
    for serial in [[0; 16], [255; 16], [128; 16]] {
        let authority = Authority::found(NOW, serial).unwrap();
        let key = PrivateKey::generate().unwrap();
        let request = key.request().unwrap();
        let order = Order {
            serial,
            ..order(&request)
        };
        let certificate = authority.issue(&order, NOW).unwrap();
        assert!(check(&vec![certificate], &authority, Dates::At(NOW)).is_ok());
    }
}

#[test]
fn an_authority_never_shows_its_key() {
    let authority = founded();
    assert!(format!("{authority:?}").contains("key: PrivateKey,"));
}
