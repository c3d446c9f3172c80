//! What must hold for any body that a client of the API sends.
//!
//! Each function is a fuzz target; tests/fuzz_corpus.rs calls it for each file of its corpus.

use serde::Serialize;
use serde::de::DeserializeOwned;
use skep::api::body;
use skep::api::convert::{defaults, node, service, swarm};
use skep::api::types::exec::{ExecConfig, ExecStart};
use skep::api::types::node::NodeSpec;
use skep::api::types::service::ServiceSpec;
use skep::api::types::swarm::{InitRequest, SwarmSpec};
use skep::api::types::volume::VolumeCreate;
use skep::api::version;
use skep::model::spec::cluster::ClusterSpec;
use skep::model::validate;
use skep::runtime::request;
use skep::wire::control::Request;
use skep::wire::frame;

/// A body is read or refused in one line. The first byte chooses what is asked for.
pub fn body(bytes: &[u8]) {
    let Some((kind, sent)) = bytes.split_first() else {
        return;
    };
    match kind % 8 {
        0 | 1 => create_service(sent),
        2 => update_node(sent),
        3 => {
            if let Some(given) = read::<SwarmSpec>(sent) {
                update_swarm(given);
            }
        }
        4 => {
            if let Some(given) = read::<InitRequest>(sent) {
                update_swarm(given.spec);
            }
        }
        5 => drop(read::<VolumeCreate>(sent)),
        6 => drop((read::<ExecConfig>(sent), read::<ExecStart>(sent))),
        _ => drop(version::split(&String::from_utf8_lossy(sent))),
    }
}

/// A service that is shown can be sent back, and is the same.
fn create_service(sent: &[u8]) {
    let Some(given) = read::<ServiceSpec>(sent) else {
        return;
    };
    let spec = match service::read(given) {
        Ok(spec) => spec,
        Err(problems) => return one_line(&problems.to_string()),
    };
    let mut shown = service::show_spec(&spec);
    let again = service::read(echo(&shown)).expect("what is shown is possible");
    assert_eq!(service::show_spec(&again), shown);
    defaults::insert(&mut shown);
    service::read(echo(&shown)).expect("defaults are possible");
    validate::service(&spec).iter().for_each(|p| one_line(p));
    if let Err(refused) = request::check(&spec.task.container, spec.task.resources.as_ref()) {
        one_line(&refused.to_string());
    }
    let request = Request::CreateService(spec);
    let sent = frame::encode(&request).expect("a request can be sent");
    let read: Request = frame::decode(&sent).expect("and read");
    assert_eq!(read, request);
}

fn update_node(sent: &[u8]) {
    let Some(given) = read::<NodeSpec>(sent) else {
        return;
    };
    match node::read(given) {
        Ok(spec) => validate::node(&spec).iter().for_each(|p| one_line(p)),
        Err(problems) => one_line(&problems.to_string()),
    }
}

fn update_swarm(given: SwarmSpec) {
    let spec = swarm::read(given, &ClusterSpec::default());
    validate::cluster(&spec).iter().for_each(|p| one_line(p));
}

fn read<T: Serialize + DeserializeOwned>(sent: &[u8]) -> Option<T> {
    let read = body::parse(sent);
    read.map_err(|error| one_line(&error.to_string())).ok()
}

fn echo<T: Serialize + DeserializeOwned>(shown: &T) -> T {
    let sent = serde_json::to_vec(shown).expect("what is shown is JSON");
    body::parse(&sent).expect("what is shown can be sent back")
}

fn one_line(message: &str) {
    assert!(!message.contains('\n'), "{message:?}");
}
