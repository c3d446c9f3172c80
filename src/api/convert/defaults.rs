//! `insertDefaults`: what applies where a spec says nothing. Only shown, never stored.

use crate::api::types::service::{ServiceSpec, UpdateConfig};
use crate::api::types::task_spec::RestartPolicy;
use crate::model::spec::container::STOP_GRACE_PERIOD_NS;

const MONITOR_NS: i64 = 5_000_000_000;

/// Fills in what applies where `spec` says nothing.
pub fn insert(spec: &mut ServiceSpec) {
    let task = &mut spec.task_template;
    let container = task.container_spec.get_or_insert_default();
    container
        .stop_grace_period
        .get_or_insert(STOP_GRACE_PERIOD_NS);
    container.dns_config.get_or_insert_default();
    let resources = task.resources.get_or_insert_default();
    resources.limits.get_or_insert_default();
    resources.reservations.get_or_insert_default();
    insert_restart(task.restart_policy.get_or_insert_default());
    task.placement.get_or_insert_default();
    insert_update(&mut spec.update_config);
    insert_update(&mut spec.rollback_config);
    let endpoint = spec.endpoint_spec.get_or_insert_default();
    if endpoint.mode.is_empty() {
        endpoint.mode = "vip".into();
    }
}

fn insert_restart(policy: &mut RestartPolicy) {
    if policy.condition.is_empty() {
        policy.condition = "any".into();
    }
    policy.delay.get_or_insert(0);
    policy.max_attempts.get_or_insert(0);
}

fn insert_update(config: &mut Option<UpdateConfig>) {
    let config = config.get_or_insert_with(|| UpdateConfig {
        parallelism: 1,
        failure_action: "pause".into(),
        order: "stop-first".into(),
        ..UpdateConfig::default()
    });
    if config.monitor == 0 {
        config.monitor = MONITOR_NS;
    }
}
