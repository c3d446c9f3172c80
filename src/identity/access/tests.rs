use super::*;
use crate::identity::authority::Order;
use crate::identity::certificate::verify;
use crate::identity::key::PrivateKey;
use crate::model::id::NodeId;
use crate::model::spec::node::Role;

const NOW: Time = Time(1_800_000_000_000);
const HOUR_MS: u64 = 3_600_000;
const SWARM: ClusterId = ClusterId(5);

fn access(authority: &Authority, bearer: Bearer) -> CertificateDer<'static> {
    let order = AccessOrder {
        request: PrivateKey::generate().unwrap().request().unwrap(),
        bearer,
        life_ms: 2 * HOUR_MS,
    };
    authority.give_access(&order, SWARM, [3; 16], NOW).unwrap()
}

fn client(authority: &Authority) -> CertificateDer<'static> {
    access(authority, Bearer::Client("ann".into()))
}

#[track_caller]
fn check(shown: CertificateDer<'_>, authority: &Authority, now: Time, expect: Result<&str, &str>) {
    let roots = [authority.root().clone()];
    let client = verify_client(&[shown], &roots, SWARM, Dates::At(now));
    let client = client.map(|client| client.name).map_err(|e| e.to_string());
    assert_eq!(client.as_deref().map_err(String::as_str), expect);
}

#[test]
fn a_client_is_let_in_under_its_name_until_its_certificate_runs_out() {
    let authority = Authority::found(NOW, [1; 16]).unwrap();
    let later = |ms| NOW.plus_ms(ms);
    check(client(&authority), &authority, NOW, Ok("ann"));
    check(
        client(&authority),
        &authority,
        later(2 * HOUR_MS),
        Ok("ann"),
    );
    let late = "the certificate of client \"ann\" ran out at 2027-01-15T10:00:00Z";
    check(
        client(&authority),
        &authority,
        later(3 * HOUR_MS),
        Err(late),
    );
}

#[test]
fn nobody_else_is() {
    let [authority, other] = [1, 2].map(|serial| Authority::found(NOW, [serial; 16]).unwrap());
    let none = "the certificate is not for clients: \"skep swarm client-cert\" makes one that is";
    let roots = [authority.root().clone()];
    let shown = access(&authority, Bearer::Manager(Reached::Name("pi".into())));
    let manager = verify_client(&[shown], &roots, SWARM, Dates::At(NOW));
    assert!(
        manager
            .unwrap_err()
            .to_string()
            .contains("RequiredEkuNotFound")
    );
    let node = Order {
        request: &PrivateKey::generate().unwrap().request().unwrap(),
        node: NodeId(7),
        role: Role::Manager,
        cluster: SWARM,
        life_ms: HOUR_MS,
        serial: [2; 16],
    };
    let node = authority.issue(&node, NOW).unwrap();
    check(node, &authority, NOW, Err(none));
    let foreign = "the certificate was not issued by this swarm: InvalidSignatureForPublicKey";
    check(client(&other), &authority, NOW, Err(foreign));
    let elsewhere = verify_client(&[client(&authority)], &roots, ClusterId(6), Dates::At(NOW));
    assert_eq!(elsewhere, Err(ClientError::OtherSwarm("ann".into())));
}

#[test]
fn a_client_is_no_node() {
    let authority = Authority::found(NOW, [1; 16]).unwrap();
    let roots = [authority.root().clone()];
    let shown = verify(&[client(&authority)], &roots, Some(SWARM), Dates::At(NOW));
    assert_eq!(shown, Err(CertificateError::Unreadable("it names no node")));
}

#[test]
fn a_client_whose_name_is_a_nodes_is_no_node_either() {
    let authority = Authority::found(NOW, [1; 16]).unwrap();
    let roots = [authority.root().clone()];
    let posing = access(&authority, Bearer::Client(NodeId(7).to_string()));
    let shown = verify(&[posing], &roots, Some(SWARM), Dates::At(NOW));
    assert_eq!(shown, Err(CertificateError::Unreadable("it names no role")));
}

#[test]
fn names_of_clients_are_short_and_can_be_read() {
    assert!(is_client_name("ann@laptop") && is_client_name(&"é".repeat(64)));
    for name in ["", " ", "a\nb", &"x".repeat(65)] {
        assert!(!is_client_name(name), "{name:?}");
    }
}
