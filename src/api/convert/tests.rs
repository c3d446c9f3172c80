//! What real clients sent, read into the model and shown again.

use serde_json::{Value, json};

use crate::api::body;
use crate::api::convert::{defaults, service, swarm};
use crate::api::types::service::ServiceSpec;
use crate::api::types::swarm::InitRequest;
use crate::model::spec::cluster::ClusterSpec;

/// Bodies of `service create` from docker CLI 20.10.24 and 28.2.2, and others that fill what those
/// leave empty.
const RECORDED: &str = include_str!("recorded.json");

fn echo(sent: &Value) -> Value {
    let spec: ServiceSpec = body::parse(sent.to_string().as_bytes()).unwrap();
    serde_json::to_value(service::show_spec(&service::read(spec).unwrap())).unwrap()
}

/// Everything in `sent` is in `shown`, with the same value.
fn assert_kept(path: &str, sent: &Value, shown: &Value) {
    match (sent, shown) {
        (Value::Object(sent), shown) => {
            for (name, value) in sent {
                let kept = shown.get(name).unwrap_or(&Value::Null);
                assert_kept(&format!("{path}.{name}"), value, kept);
            }
        }
        (Value::Array(sent), Value::Array(shown)) => {
            assert_eq!(sent.len(), shown.len(), "{path}");
            for (sent, shown) in sent.iter().zip(shown) {
                assert_kept(path, sent, shown);
            }
        }
        (Value::Number(sent), Value::Number(shown)) => {
            assert_eq!(sent.as_f64(), shown.as_f64(), "{path}");
        }
        (sent, shown) => {
            let zero = [json!(""), json!(false), json!([]), Value::Null].contains(sent);
            assert!(sent == shown || zero, "{path}: {sent} became {shown}");
        }
    }
}

#[test]
fn every_field_of_a_recorded_service_comes_back() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert!(recorded.len() >= 6);
    for sent in recorded {
        let shown = echo(&sent);
        assert_kept("", &sent, &shown);
        assert_eq!(echo(&shown), shown, "what is shown can be sent back");
    }
}

#[test]
fn no_field_of_a_spec_gets_lost_whatever_else_is_set() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    for whole in &recorded {
        for path in paths("", whole) {
            let mut one_less = whole.clone();
            let (parent, name) = path.rsplit_once('/').unwrap();
            if let Some(Value::Object(fields)) = one_less.pointer_mut(parent) {
                fields.remove(name);
            }
            let Ok(spec) = body::parse::<ServiceSpec>(one_less.to_string().as_bytes()) else {
                continue;
            };
            if service::read(spec).is_ok() {
                assert_kept("", &one_less, &echo(&one_less));
            }
        }
    }
}

fn paths(at: &str, value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, v)| (name.replace('~', "~0").replace('/', "~1"), v))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, v)| (i.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    let below = children.into_iter().flat_map(|(name, child)| {
        let path = format!("{at}/{name}");
        let mut all = paths(&path, child);
        all.push(path);
        all
    });
    below.collect()
}

#[track_caller]
fn check_refused(sent: Value, expect: &str) {
    let spec: ServiceSpec = body::parse(sent.to_string().as_bytes()).unwrap();
    assert_eq!(service::read(spec).unwrap_err().to_string(), expect);
}

#[test]
fn all_problems_are_named_with_their_paths() {
    check_refused(json!({}), "TaskTemplate.ContainerSpec is missing");
    check_refused(
        json!({
            "TaskTemplate": {
                "ContainerSpec": {"Image": "a:b:c", "Mounts": [{}]},
                "RestartPolicy": {"Condition": "sometimes"},
                "Placement": {"Preferences": [{}]},
                "Runtime": "plugin",
            },
            "Mode": {"Replicated": {}, "Global": {}},
            "UpdateConfig": {"Order": "last-first"},
            "EndpointSpec": {"Ports": [{"TargetPort": 70000}]},
        }),
        "TaskTemplate.Runtime: \"plugin\" is not container; \
         TaskTemplate.ContainerSpec.Image: \"a:b:c\": invalid reference format; \
         TaskTemplate.ContainerSpec.Mounts[0].Type is missing: expected bind, volume or tmpfs; \
         TaskTemplate.RestartPolicy.Condition: \"sometimes\" is not one of none, on-failure, any; \
         TaskTemplate.Placement.Preferences[0].Spread is missing; \
         Mode: must specify only one service mode; \
         UpdateConfig.Order: \"last-first\" is not one of stop-first, start-first; \
         EndpointSpec.Ports[0].TargetPort: 70000 is not a port: ports end at 65535",
    );
}

#[test]
fn defaults_fill_only_what_is_absent() {
    let sent = json!({
        "TaskTemplate": {"ContainerSpec": {"Image": "a", "StopGracePeriod": 0}},
        "UpdateConfig": {"Parallelism": 0, "Order": "start-first"},
    });
    let spec: ServiceSpec = body::parse(sent.to_string().as_bytes()).unwrap();
    let mut shown = service::show_spec(&service::read(spec).unwrap());
    defaults::insert(&mut shown);
    let task = &shown.task_template;
    assert_eq!(
        task.container_spec.as_ref().unwrap().stop_grace_period,
        Some(0)
    );
    assert_eq!(task.restart_policy.as_ref().unwrap().condition, "any");
    assert_eq!(shown.update_config.as_ref().unwrap().parallelism, 0);
    assert_eq!(shown.update_config.as_ref().unwrap().order, "start-first");
    assert_eq!(shown.rollback_config.as_ref().unwrap().parallelism, 1);
    assert_eq!(shown.mode.replicated.unwrap().replicas, Some(1));
}

#[test]
fn swarm_init_takes_defaults_where_the_cli_sends_zero() {
    let sent = r#"{"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "10.0.0.1", "DataPathAddr": "",
        "DataPathPort": 0, "ForceNewCluster": false, "Spec": {"Labels": null,
        "Orchestration": {"TaskHistoryRetentionLimit": 3}, "Raft": {"SnapshotInterval": 5,
        "ElectionTick": 0, "HeartbeatTick": 0}, "Dispatcher": {}, "CAConfig": {},
        "TaskDefaults": {}, "EncryptionConfig": {"AutoLockManagers": false}},
        "AutoLockManagers": false, "Availability": "", "DefaultAddrPool": null, "SubnetSize": 24}"#;
    let request: InitRequest = body::parse(sent.as_bytes()).unwrap();
    let default = ClusterSpec::default();
    let spec = swarm::read(request.spec, &default);
    assert_eq!(spec.name, "default");
    assert_eq!(spec.orchestration.task_history_limit, Some(3));
    assert_eq!(spec.raft.snapshot_interval, 5);
    assert_eq!(spec.raft.election_tick, default.raft.election_tick);
    assert_eq!(spec.heartbeat_period_ns, default.heartbeat_period_ns);
}
