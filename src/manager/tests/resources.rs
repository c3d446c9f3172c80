//! Secrets and configs: made, labelled, refused while in use, removed.

use crate::manager::tests::swarm::{Swarm, create_request};
use crate::model::spec::container::{ConfigReference, FileTarget, SecretReference};
use crate::model::spec::{ConfigSpec, Labels, SecretSpec};
use crate::wire::control::{Filters, Request, Response, ServiceUpdate};

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

#[test]
fn what_a_service_names_must_be_there_and_stays_while_it_is_named() {
    let mut swarm = Swarm::new();
    let secret_id = create(&mut swarm, Request::CreateSecret(secret("token", "x")));
    let config_id = create(&mut swarm, Request::CreateConfig(config("site", "y")));
    let reference = |name: &str| SecretReference {
        file: file("key"),
        secret_id: secret_id.clone(),
        secret_name: name.into(),
    };
    let service = |name: &str, secrets| {
        let Request::CreateService(mut spec) = create_request(name, 1) else {
            unreachable!()
        };
        spec.task.container.secrets = secrets;
        spec.task.container.configs = vec![ConfigReference {
            file: file("/site.conf"),
            config_id: config_id.clone(),
            config_name: "site".into(),
            ..ConfigReference::default()
        }];
        Request::CreateService(spec)
    };
    let other = service("web", vec![reference("other")]);
    refused(&mut swarm, other, "secret not found: other");
    let gone = SecretReference {
        secret_id: config_id.clone(),
        file: file("b"),
        ..reference("gone")
    };
    let two = service("web", vec![reference("other"), gone]);
    refused(&mut swarm, two, "secrets not found: other, gone");
    swarm.ask(service("web", vec![reference("token")])).unwrap();
    swarm.ask(service("db", Vec::new())).unwrap();

    let remove = Request::RemoveSecret("token".into());
    let expect = "secret 'token' is in use by the following service: web";
    refused(&mut swarm, remove.clone(), expect);
    let expect = "config 'site' is in use by the following services: ";
    let refusal = swarm
        .ask(Request::RemoveConfig("site".into()))
        .unwrap_err()
        .to_string();
    assert!(refusal.starts_with(expect), "{refusal}");
    swarm.update("web", |spec| spec.task.container.secrets.clear());
    swarm.ask(remove).unwrap();
    let rollback = ServiceUpdate::Rollback;
    let version = swarm
        .state()
        .services()
        .by_name("web")
        .unwrap()
        .meta
        .version;
    let back = Request::UpdateService {
        service: "web".into(),
        version,
        update: rollback,
    };
    refused(&mut swarm, back, "secret not found: token");
}

fn file(name: &str) -> Option<FileTarget> {
    Some(FileTarget {
        name: name.into(),
        ..FileTarget::default()
    })
}
