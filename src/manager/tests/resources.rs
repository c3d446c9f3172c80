//! Secrets and configs: made, labelled, refused while in use, removed.

use crate::manager::tests::swarm::Swarm;
use crate::model::spec::{ConfigSpec, Labels, SecretSpec};
use crate::wire::control::{Filters, Request, Response};

fn secret(name: &str, data: &str) -> SecretSpec {
    SecretSpec {
        name: name.into(),
        data: data.into(),
        ..SecretSpec::default()
    }
}

fn config(name: &str, data: &str) -> ConfigSpec {
    ConfigSpec {
        name: name.into(),
        data: data.into(),
        ..ConfigSpec::default()
    }
}

/// Makes an object; its id.
pub fn create(swarm: &mut Swarm, request: Request) -> String {
    match swarm.ask(request) {
        Ok(Response::Created { id, .. }) => id,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(swarm: &mut Swarm, request: Request, expect: &str) {
    let before = swarm.rows();
    assert_eq!(swarm.ask(request).unwrap_err().to_string(), expect);
    assert_eq!(swarm.rows(), before);
}

fn labels() -> Labels {
    Labels::from([("a".to_owned(), "b".to_owned())])
}

#[test]
fn secrets_are_made_once_labelled_and_removed() {
    let mut swarm = Swarm::new();
    let id = create(&mut swarm, Request::CreateSecret(secret("token", "x")));
    let again = Request::CreateSecret(secret("token", "y"));
    refused(&mut swarm, again, "secret token already exists");
    let empty = Request::CreateSecret(secret("empty", ""));
    let expect = "invalid secret: Data: secret data must be larger than 0 and less than 512000 \
                  bytes";
    refused(&mut swarm, empty, expect);

    let version = swarm
        .state()
        .secrets()
        .by_name("token")
        .unwrap()
        .meta
        .version;
    let update = |spec, version| Request::UpdateSecret {
        secret: id.clone(),
        version,
        spec,
    };
    let only = "invalid secret: only updates to Labels are allowed";
    refused(&mut swarm, update(secret("token", "y"), version), only);
    refused(&mut swarm, update(secret("other", ""), version), only);
    let labelled = SecretSpec {
        labels: labels(),
        ..secret("token", "")
    };
    swarm.ask(update(labelled.clone(), version)).unwrap();
    let kept = swarm.state().secrets().by_name("token").unwrap().clone();
    assert_eq!(
        (&kept.spec.labels, &kept.spec.data[..]),
        (&labels(), &b"x"[..])
    );
    assert!(
        swarm.ask(update(labelled, version)).is_err(),
        "an old version"
    );

    swarm
        .ask(Request::RemoveSecret(id[..9].to_owned()))
        .unwrap();
    refused(
        &mut swarm,
        Request::RemoveSecret(id.clone()),
        &format!("secret {id} not found"),
    );
}

#[test]
fn configs_are_made_once_labelled_and_removed() {
    let mut swarm = Swarm::new();
    let id = create(&mut swarm, Request::CreateConfig(config("site", "x")));
    let again = Request::CreateConfig(config("site", "y"));
    refused(&mut swarm, again, "config site already exists");
    let version = swarm
        .state()
        .configs()
        .by_name("site")
        .unwrap()
        .meta
        .version;
    let update = |spec| Request::UpdateConfig {
        config: "site".into(),
        version,
        spec,
    };
    let only = "invalid config: only updates to Labels are allowed";
    refused(&mut swarm, update(config("site", "y")), only);
    let labelled = ConfigSpec {
        labels: labels(),
        ..config("site", "x")
    };
    swarm.ask(update(labelled)).unwrap();
    let wanted = Filters([("label".to_owned(), ["a=b".to_owned()].into())].into());
    match swarm.ask(Request::Configs(wanted)) {
        Ok(Response::Configs(found)) => assert_eq!(found[0].id.to_string(), id),
        other => panic!("{other:?}"),
    }
    swarm.ask(Request::RemoveConfig("site".into())).unwrap();
    refused(
        &mut swarm,
        Request::RemoveConfig("site".into()),
        "config site not found",
    );
}
