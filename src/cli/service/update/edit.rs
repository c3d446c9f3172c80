//! What the flags of `service update` change of a spec; what they do not name stays as it is.

use serde_json::{Map, Value, json};

use crate::cli::answer::{list, text, uint};
use crate::cli::failure::Failure;
use crate::cli::flags::Parsed;
use crate::cli::service::spec::{self, MONITOR_NS, RESTART_DELAY_NS};
use crate::cli::service::update::lists;
use crate::cli::service::value;
use crate::cli::units;

/// Changes a spec as the flags say; networks, secrets and configs are left to the caller.
pub fn apply(parsed: &Parsed, spec: &mut Value) -> Result<(), Failure> {
    lists::labels(parsed, &mut spec["Labels"], "label");
    let task = &mut spec["TaskTemplate"];
    container(parsed, &mut task["ContainerSpec"])?;
    resources(parsed, &mut task["Resources"])?;
    restart(parsed, task);
    lists::placement(parsed, &mut task["Placement"]);
    if let Some(most) = parsed.uint("replicas-max-per-node") {
        task["Placement"]["MaxReplicas"] = most.into();
    }
    if let Some(driver) = spec::log_driver(parsed)? {
        task["LogDriver"] = driver;
    }
    if parsed.on("force") {
        task["ForceUpdate"] = (uint(task, "/ForceUpdate") + 1).into();
    }
    mode(parsed, &mut spec["Mode"])?;
    update(parsed, "update", &mut spec["UpdateConfig"]);
    update(parsed, "rollback", &mut spec["RollbackConfig"]);
    if let Some(mode) = parsed.text("endpoint-mode") {
        spec["EndpointSpec"]["Mode"] = mode.to_lowercase().into();
    }
    lists::ports(parsed, &mut spec["EndpointSpec"]);
    Ok(())
}

fn container(parsed: &Parsed, container: &mut Value) -> Result<(), Failure> {
    let texts = [
        ("image", "Image"),
        ("workdir", "Dir"),
        ("user", "User"),
        ("hostname", "Hostname"),
        ("isolation", "Isolation"),
        ("stop-signal", "StopSignal"),
    ];
    for (flag, field) in texts {
        if let Some(text) = parsed.text(flag) {
            container[field] = text.into();
        }
    }
    for (flag, field) in [("args", "Args"), ("entrypoint", "Command")] {
        if let Some(words) = parsed.text(flag).and_then(|text| value::words(text).ok()) {
            container[field] = words.into();
        }
    }
    for (flag, field) in [("init", "Init"), ("tty", "TTY"), ("read-only", "ReadOnly")] {
        if parsed.given(flag) {
            container[field] = parsed.on(flag).into();
        }
    }
    if let Some(period) = parsed.duration_ns("stop-grace-period") {
        container["StopGracePeriod"] = period.into();
    }
    if let Some(score) = parsed.int("oom-score-adj") {
        container["OomScoreAdj"] = score.into();
    }
    match parsed.text("credential-spec").map(value::credential_spec) {
        Some(Ok(given)) => container["Privileges"]["CredentialSpec"] = given,
        // Only no text at all is no credential spec.
        Some(Err(_)) => container["Privileges"]["CredentialSpec"] = Value::Null,
        None => {}
    }
    lists::container(parsed, container);
    health(parsed, container)
}

fn health(parsed: &Parsed, container: &mut Value) -> Result<(), Failure> {
    let durations = [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ];
    let is_given = durations.iter().any(|(flag, _)| parsed.given(flag))
        || parsed.given("health-cmd")
        || parsed.given("health-retries");
    if parsed.on("no-healthcheck") {
        return match is_given {
            true => Err(Failure::Conflict(
                "--no-healthcheck conflicts with --health-* options",
            )),
            false => {
                container["Healthcheck"] = json!({"Test": ["NONE"]});
                Ok(())
            }
        };
    }
    if !is_given {
        return Ok(());
    }
    let health = &mut container["Healthcheck"];
    if text(health, "/Test/0") == "NONE" {
        health["Test"] = json!([]);
    }
    for (flag, field) in durations {
        if let Some(duration) = parsed.duration_ns(flag) {
            health[field] = duration.into();
        }
    }
    if let Some(retries) = parsed.int("health-retries") {
        health["Retries"] = retries.into();
    }
    if let Some(command) = parsed.text("health-cmd") {
        health["Test"] = match command {
            "" => json!([]),
            command => json!(["CMD-SHELL", command]),
        };
    }
    Ok(())
}

fn resources(parsed: &Parsed, resources: &mut Value) -> Result<(), Failure> {
    let cpus = |flag| value::cpus(parsed, flag);
    let bytes = |flag| value::bytes(parsed, flag);
    let amounts = [
        ("Limits", "NanoCPUs", cpus("limit-cpu")),
        ("Limits", "MemoryBytes", bytes("limit-memory")),
        ("Limits", "Pids", parsed.int("limit-pids")),
        ("Reservations", "NanoCPUs", cpus("reserve-cpu")),
        ("Reservations", "MemoryBytes", bytes("reserve-memory")),
    ];
    for (part, field, amount) in amounts {
        if let Some(amount) = amount {
            resources[part][field] = amount.into();
        }
    }
    lists::generic(parsed, resources)
}

fn restart(parsed: &Parsed, task: &mut Value) {
    let flags = [
        "restart-condition",
        "restart-delay",
        "restart-max-attempts",
        "restart-window",
    ];
    if !flags.iter().any(|flag| parsed.given(flag)) {
        return;
    }
    let policy = &mut task["RestartPolicy"];
    if policy.is_null() {
        *policy = json!({"Condition": "any", "Delay": RESTART_DELAY_NS, "MaxAttempts": 0});
    }
    if let Some(condition) = parsed.text("restart-condition") {
        policy["Condition"] = condition.into();
    }
    if let Some(attempts) = parsed.uint("restart-max-attempts") {
        policy["MaxAttempts"] = attempts.into();
    }
    for (flag, field) in [("restart-delay", "Delay"), ("restart-window", "Window")] {
        if let Some(duration) = parsed.duration_ns(flag) {
            policy[field] = duration.into();
        }
    }
}

fn mode(parsed: &Parsed, mode: &mut Value) -> Result<(), Failure> {
    if let Some(replicas) = parsed.uint("replicas") {
        if mode["Replicated"].is_object() {
            mode["Replicated"]["Replicas"] = replicas.into();
        } else if mode["ReplicatedJob"].is_object() {
            mode["ReplicatedJob"]["TotalCompletions"] = replicas.into();
        } else {
            return Err(Failure::Conflict(
                "replicas can only be used with replicated or replicated-job mode",
            ));
        }
    }
    match parsed.uint("max-concurrent") {
        Some(most) if mode["ReplicatedJob"].is_object() => {
            mode["ReplicatedJob"]["MaxConcurrent"] = most.into();
            Ok(())
        }
        Some(_) => Err(Failure::Conflict(
            "max-concurrent can only be used with replicated-job mode",
        )),
        None => Ok(()),
    }
}

/// The update or rollback settings, whose flags differ in their first word only.
fn update(parsed: &Parsed, kind: &str, config: &mut Value) {
    let flag = |name: &str| format!("{kind}-{name}");
    let ratio = parsed.text(&flag("max-failure-ratio"));
    let fields: [(&str, Option<Value>); 6] = [
        (
            "Parallelism",
            parsed.uint(&flag("parallelism")).map(Value::from),
        ),
        ("Delay", parsed.duration_ns(&flag("delay")).map(Value::from)),
        (
            "FailureAction",
            parsed.text(&flag("failure-action")).map(Value::from),
        ),
        (
            "Monitor",
            parsed.duration_ns(&flag("monitor")).map(Value::from),
        ),
        (
            "MaxFailureRatio",
            ratio
                .and_then(|text| units::parse_float(text).ok())
                .map(Value::from),
        ),
        ("Order", parsed.text(&flag("order")).map(Value::from)),
    ];
    let given: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(field, value)| Some((field.to_owned(), value?)))
        .collect();
    if given.is_empty() {
        return;
    }
    if config.is_null() {
        *config = json!({
            "Parallelism": 1, "FailureAction": "pause", "Monitor": MONITOR_NS,
            "MaxFailureRatio": 0.0, "Order": "stop-first",
        });
    }
    for (field, value) in given {
        config[&field] = value;
    }
}

/// The texts of a list, as a list of their own.
pub fn owned(value: &Value, pointer: &str) -> Vec<String> {
    let texts = list(value, pointer).iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}
