//! What a manager answers through the API: a real one, on a disk of memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use async_executor::LocalExecutor;
use futures_lite::future::{self, BoxedLocal};
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use super::Rig;
use crate::api::context::{Cluster, ClusterError, Init, Join, Loss, MemberState, Membership};
use crate::api::types::registry::AuthConfig;
use crate::host::clock;
use crate::host::rng::Rng;
use crate::identity::founding;
use crate::identity::text::{base64, from_base64};
use crate::identity::token::Token;
use crate::manager::figures::Figures;
use crate::manager::genesis::Genesis;
use crate::manager::run::{self, ManagerHandle, Session};
use crate::model::id::{ClusterId, NodeId};
use crate::model::object::{ContainerStatus, TaskState, TaskStatus};
use crate::model::spec::node::{EngineDescription, NodeDescription, NodeResources, Platform};
use crate::model::trust::TokenSecret;
use crate::store::manager_store::ManagerStore;
use crate::store::memory_disk::MemoryDisk;
use crate::wire::control;
use crate::wire::session::{Assignments, StatusUpdate, ToAgent, ToManager};

const NODE: NodeId = NodeId(7);

/// A manager of one node, and the session of that node's agent, which the test plays.
#[derive(Debug)]
pub struct Managed {
    executor: Rc<LocalExecutor<'static>>,
    manager: RefCell<Option<ManagerHandle>>,
    session: RefCell<Option<Rc<Session>>>,
}

impl Managed {
    pub fn new(executor: Rc<LocalExecutor<'static>>) -> Self {
        Self {
            executor,
            manager: RefCell::default(),
            session: RefCell::default(),
        }
    }

    fn begin(&self, init: Init) -> ManagerHandle {
        let (mut store, _) = ManagerStore::open(Arc::new(MemoryDisk::default())).unwrap();
        let secret = |byte| TokenSecret([byte; 16]);
        let trust = founding::found(clock::now(), [1; 16], secret(1), secret(2)).unwrap();
        let genesis = Genesis {
            cluster: ClusterId(1),
            spec: init.spec,
            address_pools: vec!["10.0.0.0/8".into()],
            subnet_size: init.subnet_size,
            data_path_port: 4789,
            node: NODE,
            description: description(),
            availability: init.availability,
            address: "192.0.2.7".into(),
            manager_address: "192.0.2.7:2377".into(),
            raft_id: 1,
            key: None,
            trust,
        };
        let opened = run::found(&mut store, genesis, clock::now()).unwrap();
        let manager = run::resume(opened, 1, 1).unwrap();
        let (handle, inbox) = run::channel();
        let running = run::run(manager, store, Rng::from_seed(1), inbox);
        self.executor.spawn(running).detach();
        handle
    }
}

impl Cluster for Rc<Managed> {
    fn request(
        &self,
        request: control::Request,
    ) -> BoxedLocal<Result<control::Response, ClusterError>> {
        let manager = self.manager.borrow().clone();
        Box::pin(async move {
            let manager = manager.ok_or(ClusterError::NotInSwarm)?;
            Ok(manager.request(request).await?)
        })
    }

    fn figures(&self) -> BoxedLocal<Option<Figures>> {
        let manager = self.manager.borrow().clone();
        Box::pin(async move { manager?.figures().await })
    }

    fn membership(&self) -> Membership {
        let is_manager = self.manager.borrow().is_some();
        Membership {
            state: if is_manager {
                MemberState::Active
            } else {
                MemberState::Inactive
            },
            node: is_manager.then_some(NODE),
            address: "192.0.2.7".into(),
            is_manager,
            ..Membership::default()
        }
    }

    fn init(&self, init: Init) -> BoxedLocal<Result<NodeId, ClusterError>> {
        let managed = self.clone();
        Box::pin(async move {
            let manager = managed.begin(init);
            let session = manager.connect().await.unwrap();
            let description = description();
            session
                .send(ToManager::Hello {
                    node: NODE,
                    description,
                })
                .await;
            managed.manager.replace(Some(manager));
            managed.session.replace(Some(Rc::new(session)));
            Ok(NODE)
        })
    }

    fn join(&self, _: Join) -> BoxedLocal<Result<(), ClusterError>> {
        Box::pin(future::ready(Err(ClusterError::AlreadyInSwarm)))
    }

    fn leave(&self, _: bool) -> BoxedLocal<Result<(), ClusterError>> {
        Box::pin(future::ready(Err(ClusterError::StillManager(
            Loss::Everything,
        ))))
    }
}

fn description() -> NodeDescription {
    NodeDescription {
        hostname: "pi".into(),
        platform: Platform {
            architecture: "aarch64".into(),
            os: "linux".into(),
        },
        resources: NodeResources {
            nano_cpus: 4_000_000_000,
            memory_bytes: 512 << 20,
            generic: Vec::new(),
        },
        engine: EngineDescription {
            version: "0.1.0".into(),
            ..EngineDescription::default()
        },
        ..NodeDescription::default()
    }
}

/// A rig whose host has begun a swarm.
pub fn swarm() -> (Rig, Rc<Managed>) {
    let (rig, managed) = Rig::managed();
    let (status, node) = rig.ask("POST", "/swarm/init", r#"{"SubnetSize": 24}"#);
    assert_eq!((status, node), (200, json!(NODE.to_string())));
    (rig, managed)
}

/// Plays the agent until its manager has given it `count` tasks, and reports them all as running.
fn run_tasks(rig: &Rig, managed: &Managed, count: usize) {
    let session = managed.session.borrow().clone().unwrap();
    rig.run(async {
        let mut running = 0;
        while running < count {
            let Some(ToAgent::Assignments(assignments)) = session.receive().await else {
                continue;
            };
            let tasks = match assignments {
                Assignments::Full { tasks, .. } | Assignments::Part { tasks } => tasks,
                Assignments::Difference { set, .. } => set,
            };
            running += tasks.len();
            let updates = tasks.into_iter().map(|assignment| StatusUpdate {
                task: assignment.task,
                status: TaskStatus {
                    state: TaskState::Running,
                    at: clock::now(),
                    message: "started".into(),
                    error: String::new(),
                    restarts: None,
                    container: Some(ContainerStatus {
                        container_id: "c0".repeat(32),
                        pid: 42,
                        ..ContainerStatus::default()
                    }),
                },
            });
            session.send(ToManager::Status(updates.collect())).await;
        }
    });
}

/// Replaces what differs from run to run.
fn steady(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "CreatedAt" | "UpdatedAt" | "Timestamp" => *field = "TIME".into(),
                    "Index" => *field = "INDEX".into(),
                    "ID" | "ServiceID" => *field = "ID".into(),
                    "TrustRoot" | "CertIssuerPublicKey" => *field = "BASE64".into(),
                    "Worker" | "Manager" => *field = "TOKEN".into(),
                    _ => steady(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(steady),
        _ => {}
    }
}

#[track_caller]
fn check_golden(mut answer: Value, golden: &str) {
    steady(&mut answer);
    let golden: Value = serde_json::from_str(golden).unwrap();
    let text = serde_json::to_string_pretty(&answer).unwrap();
    assert_eq!(answer, golden, "\n{text}");
}

const WEB: &str = r#"{"Name": "web", "Labels": {"k": "v"}, "TaskTemplate": {"ContainerSpec":
    {"Image": "hello", "Env": ["A=1"], "Init": false, "DNSConfig": {}}, "Resources":
    {"Limits": {"MemoryBytes": 67108864}, "Reservations": {}}, "Placement": {}, "ForceUpdate": 0},
    "Mode": {"Replicated": {"Replicas": 2}}, "EndpointSpec": {"Mode": "vip"}}"#;

#[test]
fn services_and_tasks_are_shown_as_docker_shows_them() {
    let (rig, managed) = swarm();
    let (status, created) = rig.ask("POST", "/services/create", WEB);
    assert_eq!(status, 201, "{created}");
    run_tasks(&rig, &managed, 2);
    check_golden(
        rig.ask("GET", "/services/web", "").1,
        include_str!("golden/service.json"),
    );
    let (_, listed) = rig.ask("GET", "/services?status=true", "");
    let counts = &listed[0]["ServiceStatus"];
    assert_eq!(counts["DesiredTasks"], 2);
    let filters = "/tasks?filters=%7B%22service%22%3A%7B%22web%22%3Atrue%7D%7D";
    let wait = |rig: &Rig| loop {
        let (_, tasks) = rig.ask("GET", filters, "");
        if tasks
            .as_array()
            .is_some_and(|t| t.iter().all(|t| t["Status"]["State"] == "running"))
        {
            break tasks;
        }
    };
    let tasks = wait(&rig);
    assert_eq!(tasks.as_array().unwrap().len(), 2);
    let first = tasks
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["Slot"] == 1)
        .unwrap();
    check_golden(first.clone(), include_str!("golden/task.json"));
    let id = first["ID"].as_str().unwrap();
    assert_eq!(
        rig.ask("GET", &format!("/tasks/{}", &id[..10]), "").1["ID"],
        id
    );
}

#[test]
fn nodes_the_swarm_and_info_are_shown_as_docker_shows_them() {
    let (rig, _managed) = swarm();
    let ready = |rig: &Rig| loop {
        let (_, nodes) = rig.ask("GET", "/nodes", "");
        if nodes[0]["Status"]["State"] == "ready" {
            break nodes[0].clone();
        }
    };
    check_golden(ready(&rig), include_str!("golden/node.json"));
    check_golden(
        rig.ask("GET", "/swarm", "").1,
        include_str!("golden/swarm.json"),
    );
    let (_, info) = rig.ask("GET", "/info", "");
    let swarm = &info["Swarm"];
    assert_eq!(swarm["Cluster"]["JoinTokens"], Value::Null);
    assert_eq!(
        swarm["Cluster"]["TLSInfo"],
        rig.ask("GET", "/swarm", "").1["TLSInfo"]
    );
    assert_eq!(swarm["NodeID"], NODE.to_string());
    assert_eq!(swarm["LocalNodeState"], "active");
    assert_eq!(
        (&swarm["Nodes"], &swarm["Managers"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(swarm["RemoteManagers"][0]["Addr"], "192.0.2.7:2377");
    assert_eq!(rig.ask("GET", "/networks/host", "").1["Driver"], "host");
}

#[test]
fn join_tokens_pin_the_root_and_are_rotated_one_by_one() {
    let (rig, _managed) = swarm();
    let (_, before) = rig.ask("GET", "/swarm", "");
    let token = |swarm: &Value, role: &str| -> Token {
        swarm["JoinTokens"][role].as_str().unwrap().parse().unwrap()
    };
    let pem = before["TLSInfo"]["TrustRoot"].as_str().unwrap();
    let root: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(token(&before, "Worker").pins(&from_base64(&root).unwrap()));

    let version = before["Version"]["Index"].as_u64().unwrap();
    let path = format!("/swarm/update?version={version}&rotateWorkerToken=true");
    let spec = before["Spec"].to_string();
    assert_eq!(rig.ask("POST", &path, &spec).0, 200);
    let (_, after) = rig.ask("GET", "/swarm", "");
    assert_ne!(token(&after, "Worker"), token(&before, "Worker"));
    assert_eq!(token(&after, "Manager"), token(&before, "Manager"));
    assert_eq!(after["Spec"], before["Spec"]);
    assert_eq!(
        rig.ask("POST", &path, &spec).0,
        500,
        "the version is of before"
    );
}

#[test]
fn what_a_swarm_cannot_be_set_to_is_refused() {
    let (rig, _) = Rig::managed();
    let short = r#"{"Spec": {"CAConfig": {"NodeCertExpiry": 1800000000000}}}"#;
    let expect = "CAConfig.NodeCertExpiry: 1800000000000 ns: must be at least 1h";
    rig.check_refused("POST", "/swarm/init", short, (400, expect));
}

#[test]
fn a_spec_that_is_read_and_sent_back_changes_nothing_but_what_was_changed() {
    let (rig, _managed) = swarm();
    rig.ask("POST", "/services/create", WEB);
    let (_, before) = rig.ask("GET", "/services/web?insertDefaults=false", "");
    let mut spec = before["Spec"].clone();
    spec["Mode"]["Replicated"]["Replicas"] = json!(3);
    let version = before["Version"]["Index"].as_u64().unwrap();
    let path = format!("/services/web/update?version={version}");
    assert_eq!(
        rig.ask("POST", &path, &spec.to_string()),
        (200, json!({"Warnings": null}))
    );
    let (_, after) = rig.ask("GET", "/services/web", "");
    assert_eq!(after["Spec"], spec);
    assert_eq!(after["PreviousSpec"], before["Spec"]);
    assert!(after["Version"]["Index"].as_u64() > Some(version));
    let (status, stale) = rig.ask("POST", &path, &spec.to_string());
    assert_eq!(status, 500);
    let message = stale["message"].as_str().unwrap();
    assert!(message.contains("update out of sequence"), "{message}");
}

#[test]
fn refusals_have_dockers_status() {
    let (rig, _managed) = swarm();
    rig.ask("POST", "/services/create", WEB);
    let (status, _) = rig.ask("POST", "/services/create", WEB);
    assert_eq!(status, 409);
    rig.check_refused("GET", "/services/nope", "", (404, "service nope not found"));
    rig.check_refused(
        "DELETE",
        "/services/nope",
        "",
        (404, "service nope not found"),
    );
    rig.check_refused("GET", "/nodes/nope", "", (404, "node nope not found"));
    rig.check_refused("GET", "/tasks/nope", "", (404, "task nope not found"));
    rig.check_refused("GET", "/secrets/nope", "", (404, "secret nope not found"));
    let port = "\"vip\", \"Ports\": [{\"TargetPort\": 80, \"PublishedPort\": 8080}]";
    let published = WEB.replace("\"vip\"", port);
    let (status, created) = rig.ask("POST", "/services/create", &published.replace("web", "two"));
    assert_eq!(status, 201, "{created}");
    let id = created["ID"].as_str().unwrap();
    let taken = format!("port '8080' is already in use by service 'two' ({id}) as an ingress port");
    rig.check_refused(
        "POST",
        "/services/create",
        &published.replace("web", "three"),
        (400, &taken),
    );
    let lost = WEB.replace(
        "\"TaskTemplate\": {",
        "\"TaskTemplate\": {\"Networks\": [{\"Target\": \"nope\"}], ",
    );
    rig.check_refused(
        "POST",
        "/services/create",
        &lost.replace("web", "three"),
        (404, "network nope not found"),
    );
    let (status, _) = rig.ask(
        "GET",
        "/services?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D",
        "",
    );
    assert_eq!(status, 400);
    let update = "the parameter version is missing";
    rig.check_refused("POST", "/services/web/update", WEB, (400, update));
    let odd = "/services/web/update?version=1&rollback=next";
    rig.check_refused("POST", odd, WEB, (400, "unrecognized rollback option next"));
    let expect = "version: \"x\" is not a number";
    rig.check_refused("POST", "/services/web/update?version=x", WEB, (400, expect));
}

#[test]
fn logs_of_a_service_without_containers_here_are_empty() {
    let (rig, _managed) = swarm();
    rig.ask("POST", "/services/create", WEB);
    let logs = "/services/web/logs?stdout=1&stderr=1&tail=all";
    assert_eq!(
        rig.ask("GET", logs, ""),
        (200, Value::String(String::new()))
    );
    let expect = "Bad parameters: you must choose at least one stream";
    rig.check_refused("GET", "/services/web/logs", "", (400, expect));
    rig.check_refused(
        "GET",
        "/services/x/logs?stdout=1",
        "",
        (404, "service x not found"),
    );
}

/// The credentials that come with the next tasks for the agent.
fn next_auth(rig: &Rig, managed: &Managed) -> Option<String> {
    let session = managed.session.borrow().clone().unwrap();
    rig.run(async {
        loop {
            let said = session.receive().await;
            if let Some(ToAgent::Assignments(Assignments::Difference { set, .. })) = said
                && let Some(task) = set.first()
            {
                let config = AuthConfig::read(task.registry_auth.0.as_bytes()).unwrap();
                return Some(config.username).filter(|name| !name.is_empty());
            }
        }
    })
}

#[test]
fn credentials_go_with_the_tasks_and_are_shown_to_nobody() {
    let (rig, managed) = swarm();
    let send = |path: &str, spec: &Value, user: &str| {
        let auth = json!({"username": user, "password": "hidden"}).to_string();
        let mut request = Request::post(path).header("Host", "skep");
        if !user.is_empty() {
            request = request.header("X-Registry-Auth", base64(auth.as_bytes()));
        }
        let body = Full::from(spec.to_string());
        let (status, answer) = rig.ask_for(request.body(body).unwrap());
        assert!(status < 300, "{}", String::from_utf8_lossy(&answer));
    };
    let spec =
        |image: &str| json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}});
    let update = |image: &str, more: &str, user: &str| {
        let (_, before) = rig.ask("GET", "/services/web", "");
        assert!(!before.to_string().contains("hidden"));
        let path = format!(
            "/services/web/update?version={}{more}",
            before["Version"]["Index"]
        );
        send(&path, &spec(image), user);
    };
    send("/services/create", &spec("a"), "first");
    assert_eq!(next_auth(&rig, &managed).as_deref(), Some("first"));
    update("b", "", "");
    assert_eq!(
        next_auth(&rig, &managed).as_deref(),
        Some("first"),
        "an update keeps them"
    );
    update("c", "&registryAuthFrom=spec", "second");
    assert_eq!(next_auth(&rig, &managed).as_deref(), Some("second"));
    update("d", "&registryAuthFrom=previous-spec", "");
    assert_eq!(next_auth(&rig, &managed).as_deref(), Some("first"));
    let state = format!(
        "{:?}",
        rig.run(managed.request(control::Request::Service("web".into())))
    );
    assert!(
        state.contains("RegistryAuth(…)") && !state.contains("hidden"),
        "{state}"
    );
    let wrong = "/services/web/update?version=1&registryAuthFrom=nobody";
    let expect = (400, "unsupported registryAuthFrom value");
    rig.check_refused("POST", wrong, &spec("a").to_string(), expect);
}
