//! What Prometheus is told.

use super::Rig;
use crate::api::serve::Serves;
use crate::api::tests::swarm::swarm;

fn metrics(rig: &Rig) -> String {
    let (status, body) = rig.ask_bytes("GET", "/metrics", Vec::new());
    assert_eq!(status, 200);
    String::from_utf8(body).unwrap()
}

#[track_caller]
fn says(text: &str, line: &str) {
    assert!(text.lines().any(|has| has == line), "{line} in {text}");
}

#[test]
fn a_host_without_a_swarm_tells_of_itself() {
    let rig = Rig::new();
    let text = metrics(&rig);
    says(&text, "swarm_node_manager 0");
    says(
        &text,
        "engine_daemon_container_states_containers{state=\"running\"} 0",
    );
    says(&text, "# TYPE engine_daemon_engine_info gauge");
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    assert!(!text.contains("swarm_manager_"), "{text}");
}

#[test]
fn a_manager_counts_what_is_in_its_swarm_and_how_long_it_takes() {
    let (rig, _managed) = swarm();
    let spec = r#"{"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}},
        "Mode": {"Replicated": {"Replicas": 3}}}"#;
    rig.ask("POST", "/services/create", spec);
    let text = metrics(&rig);
    says(&text, "swarm_node_manager 1");
    says(&text, "swarm_manager_leader 1");
    says(&text, "swarm_manager_nodes{state=\"ready\"} 1");
    says(&text, "swarm_manager_nodes{state=\"down\"} 0");
    says(&text, "swarm_manager_tasks_total{state=\"assigned\"} 3");
    says(&text, "swarm_manager_tasks_total{state=\"new\"} 0");
    says(&text, "swarm_manager_services_total 1");
    let count = "swarm_raft_transaction_latency_seconds_count ";
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix(count))
        .unwrap();
    assert!(count.parse::<u64>().unwrap() > 0);
    rig.ask("DELETE", "/services/web", "");
    says(&metrics(&rig), "swarm_manager_services_total 0");
}

#[test]
fn a_place_for_metrics_alone_shows_nothing_else() {
    let mut rig = Rig::new();
    rig.serves = Serves::Metrics;
    says(&metrics(&rig), "swarm_node_manager 0");
    let expect = (404, "page not found: only /metrics is here");
    for path in ["/info", "/v1.47/metrics", "/containers/json", "/metrics/"] {
        rig.check_refused("GET", path, "", expect);
    }
    rig.check_refused("POST", "/metrics", "", (405, "method not allowed"));
}
