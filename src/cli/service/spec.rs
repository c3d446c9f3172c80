//! The ServiceSpec that the flags of `service create` describe, as docker's client builds it: what
//! was not asked for is left out.

use serde_json::{Map, Value, json};

use crate::cli::env_file;
use crate::cli::failure::Failure;
use crate::cli::flags::Parsed;
use crate::cli::service::value::{self, map};
use crate::cli::service::{mount, port};
use crate::cli::units;
use crate::model::device;

/// The delay between restarts of a service that says anything of restarts but that.
pub const RESTART_DELAY_NS: i64 = 5_000_000_000;
/// For how long an update watches its tasks if it says anything but that.
pub const MONITOR_NS: i64 = 5_000_000_000;

/// The spec for the image and the arguments given; networks, secrets and configs are still names.
pub fn build(parsed: &Parsed) -> Result<Value, Failure> {
    let mode = mode(parsed)?;
    let update = update_config(parsed, "update");
    let rollback = update_config(parsed, "rollback");
    let is_job = mode
        .get("ReplicatedJob")
        .or_else(|| mode.get("GlobalJob"))
        .is_some();
    if is_job && (update.is_some() || rollback.is_some()) {
        return Err(Failure::Conflict(
            "update and rollback configuration is not supported for jobs",
        ));
    }
    let mut task = Map::new();
    task.insert("ContainerSpec".to_owned(), container(parsed)?);
    task.insert("Resources".to_owned(), resources(parsed));
    put(&mut task, "RestartPolicy", restart_policy(parsed));
    task.insert("Placement".to_owned(), placement(parsed));
    put(&mut task, "LogDriver", log_driver(parsed)?);
    task.insert("ForceUpdate".to_owned(), 0.into());

    let mut spec = Map::new();
    put(&mut spec, "Name", text(parsed, "name"));
    spec.insert("Labels".to_owned(), map(parsed.list("label")));
    spec.insert("TaskTemplate".to_owned(), task.into());
    spec.insert("Mode".to_owned(), mode);
    put(&mut spec, "UpdateConfig", update);
    put(&mut spec, "RollbackConfig", rollback);
    spec.insert("EndpointSpec".to_owned(), endpoint(parsed));
    Ok(spec.into())
}

fn container(parsed: &Parsed) -> Result<Value, Failure> {
    let mut all = Map::new();
    let image = parsed.args.first().cloned().unwrap_or_default();
    all.insert("Image".to_owned(), image.into());
    let mut labels = map(parsed.list("container-label"));
    if !parsed.list("device").is_empty() {
        labels[device::LABEL] = parsed.list("device").join(",").into();
    }
    put(&mut all, "Labels", some(labels));
    let command = parsed
        .text("entrypoint")
        .and_then(|text| value::words(text).ok());
    put(&mut all, "Command", command.map(Value::from));
    put(
        &mut all,
        "Args",
        strings(parsed.args.get(1..).unwrap_or_default()),
    );
    put(&mut all, "Hostname", text(parsed, "hostname"));
    put(&mut all, "Env", strings(&env_file::environment(parsed)?));
    put(&mut all, "Dir", text(parsed, "workdir"));
    put(&mut all, "User", text(parsed, "user"));
    put(&mut all, "Groups", strings(parsed.list("group")));
    put(&mut all, "Privileges", privileges(parsed));
    all.insert("Init".to_owned(), parsed.on("init").into());
    put(&mut all, "StopSignal", text(parsed, "stop-signal"));
    put(&mut all, "TTY", parsed.on("tty").then(|| true.into()));
    put(
        &mut all,
        "ReadOnly",
        parsed.on("read-only").then(|| true.into()),
    );
    let mounts = parsed
        .list("mount")
        .iter()
        .filter_map(|text| mount::parse(text).ok());
    put(&mut all, "Mounts", some(mounts.collect::<Vec<_>>().into()));
    put(
        &mut all,
        "StopGracePeriod",
        parsed.duration_ns("stop-grace-period").map(Value::from),
    );
    put(&mut all, "Healthcheck", health(parsed)?);
    put(&mut all, "Hosts", some(value::hosts(parsed.list("host"))));
    all.insert("DNSConfig".to_owned(), dns(parsed));
    put(&mut all, "Isolation", text(parsed, "isolation"));
    put(&mut all, "Sysctls", some(map(parsed.list("sysctl"))));
    let (add, mut drop) = (
        value::capabilities(parsed.list("cap-add")),
        value::capabilities(parsed.list("cap-drop")),
    );
    drop.retain(|name| !add.contains(name));
    put(&mut all, "CapabilityAdd", strings(&add));
    put(&mut all, "CapabilityDrop", strings(&drop));
    let ulimits = parsed
        .list("ulimit")
        .iter()
        .filter_map(|text| value::ulimit(text).ok());
    put(
        &mut all,
        "Ulimits",
        some(ulimits.collect::<Vec<_>>().into()),
    );
    let score = parsed.int("oom-score-adj").filter(|score| *score != 0);
    put(&mut all, "OomScoreAdj", score.map(Value::from));
    Ok(all.into())
}

fn privileges(parsed: &Parsed) -> Option<Value> {
    let given = value::credential_spec(parsed.text("credential-spec")?);
    given.ok().map(|given| json!({"CredentialSpec": given}))
}

fn mode(parsed: &Parsed) -> Result<Value, Failure> {
    let mode = parsed.text("mode").unwrap_or("replicated");
    let replicas = parsed.uint("replicas");
    let concurrent = parsed.uint("max-concurrent");
    if concurrent.is_some() && mode != "replicated-job" {
        let conflict = "max-concurrent can only be used with replicated-job mode";
        return Err(Failure::Conflict(conflict));
    }
    let counted = matches!(mode, "replicated" | "replicated-job");
    if replicas.is_some() && !counted {
        let conflict = "replicas can only be used with replicated or replicated-job mode";
        return Err(Failure::Conflict(conflict));
    }
    if parsed.uint("replicas-max-per-node").is_some_and(|n| n > 0) && !counted {
        let conflict =
            "replicas-max-per-node can only be used with replicated or replicated-job mode";
        return Err(Failure::Conflict(conflict));
    }
    Ok(match mode {
        "global" => json!({"Global": {}}),
        "global-job" => json!({"GlobalJob": {}}),
        "replicated" => json!({"Replicated": object([("Replicas", replicas.map(Value::from))])}),
        "replicated-job" => json!({"ReplicatedJob": object([
            ("MaxConcurrent", concurrent.or(replicas).map(Value::from)),
            ("TotalCompletions", replicas.map(Value::from)),
        ])}),
        other => {
            let why = "use replicated, global, replicated-job or global-job".to_owned();
            return Err(Failure::Value {
                what: "mode",
                value: other.to_owned(),
                why,
            });
        }
    })
}

fn resources(parsed: &Parsed) -> Value {
    let cpus = |flag| value::cpus(parsed, flag);
    let bytes = |flag| value::bytes(parsed, flag);
    let set = |number: Option<i64>| number.filter(|n| *n != 0).map(Value::from);
    let generic = parsed.list("generic-resource").iter();
    let generic = generic.filter_map(|text| value::generic(text).ok());
    json!({
        "Limits": object([
            ("NanoCPUs", set(cpus("limit-cpu"))),
            ("MemoryBytes", set(bytes("limit-memory"))),
            ("Pids", set(parsed.int("limit-pids"))),
        ]),
        "Reservations": object([
            ("NanoCPUs", set(cpus("reserve-cpu"))),
            ("MemoryBytes", set(bytes("reserve-memory"))),
            ("GenericResources", some(generic.collect::<Vec<_>>().into())),
        ]),
    })
}

fn restart_policy(parsed: &Parsed) -> Option<Value> {
    let flags = [
        "restart-condition",
        "restart-delay",
        "restart-max-attempts",
        "restart-window",
    ];
    flags.iter().any(|flag| parsed.given(flag)).then(|| {
        object([
            (
                "Condition",
                Some(parsed.text("restart-condition").unwrap_or("any").into()),
            ),
            (
                "Delay",
                Some(
                    parsed
                        .duration_ns("restart-delay")
                        .unwrap_or(RESTART_DELAY_NS)
                        .into(),
                ),
            ),
            (
                "MaxAttempts",
                Some(parsed.uint("restart-max-attempts").unwrap_or(0).into()),
            ),
            (
                "Window",
                parsed.duration_ns("restart-window").map(Value::from),
            ),
        ])
    })
}

/// The update or rollback settings, whose flags differ in their first word only.
fn update_config(parsed: &Parsed, kind: &str) -> Option<Value> {
    let flag = |name: &str| format!("{kind}-{name}");
    let names = [
        "delay",
        "failure-action",
        "max-failure-ratio",
        "monitor",
        "order",
        "parallelism",
    ];
    names.iter().any(|name| parsed.given(&flag(name))).then(|| {
        let ratio = parsed.text(&flag("max-failure-ratio"));
        let ratio = ratio
            .and_then(|text| units::parse_float(text).ok())
            .unwrap_or(0.0);
        let action = parsed.text(&flag("failure-action")).unwrap_or("pause");
        let order = parsed.text(&flag("order")).unwrap_or("stop-first");
        let monitor = parsed.duration_ns(&flag("monitor")).unwrap_or(MONITOR_NS);
        object([
            (
                "Parallelism",
                Some(parsed.uint(&flag("parallelism")).unwrap_or(1).into()),
            ),
            ("Delay", duration(parsed, &flag("delay"))),
            ("FailureAction", Some(action.into())),
            ("Monitor", Some(monitor.into())),
            ("MaxFailureRatio", Some(ratio.into())),
            ("Order", Some(order.into())),
        ])
    })
}

fn placement(parsed: &Parsed) -> Value {
    let preferences = parsed
        .list("placement-pref")
        .iter()
        .filter_map(|p| value::preference(p).ok());
    let most = parsed.uint("replicas-max-per-node").filter(|n| *n > 0);
    object([
        ("Constraints", strings(parsed.list("constraint"))),
        ("Preferences", some(preferences.collect::<Vec<_>>().into())),
        ("MaxReplicas", most.map(Value::from)),
    ])
}

/// The log driver, with its options.
pub fn log_driver(parsed: &Parsed) -> Result<Option<Value>, Failure> {
    let name = parsed.text("log-driver").filter(|name| !name.is_empty());
    if name.is_none() && parsed.given("log-opt") {
        return Err(Failure::Conflict(
            "log-opt can only be used with log-driver",
        ));
    }
    Ok(name.map(|name| {
        object([
            ("Name", Some(name.into())),
            ("Options", some(map(parsed.list("log-opt")))),
        ])
    }))
}

fn endpoint(parsed: &Parsed) -> Value {
    let ports = parsed
        .list("publish")
        .iter()
        .filter_map(|text| port::parse(text).ok());
    object([
        (
            "Mode",
            Some(
                parsed
                    .text("endpoint-mode")
                    .unwrap_or("vip")
                    .to_lowercase()
                    .into(),
            ),
        ),
        ("Ports", some(ports.flatten().collect::<Vec<_>>().into())),
    ])
}

fn health(parsed: &Parsed) -> Result<Option<Value>, Failure> {
    let flags = [
        "health-cmd",
        "health-interval",
        "health-retries",
        "health-start-interval",
        "health-start-period",
        "health-timeout",
    ];
    let given = flags.iter().any(|flag| parsed.given(flag));
    if parsed.on("no-healthcheck") {
        return match given {
            true => Err(Failure::Conflict(
                "--no-healthcheck conflicts with --health-* options",
            )),
            false => Ok(Some(json!({"Test": ["NONE"]}))),
        };
    }
    let test = parsed
        .text("health-cmd")
        .filter(|command| !command.is_empty());
    let retries = parsed.int("health-retries").filter(|retries| *retries != 0);
    Ok(given.then(|| {
        object([
            ("Test", test.map(|command| json!(["CMD-SHELL", command]))),
            ("Interval", duration(parsed, "health-interval")),
            ("Timeout", duration(parsed, "health-timeout")),
            ("StartPeriod", duration(parsed, "health-start-period")),
            ("StartInterval", duration(parsed, "health-start-interval")),
            ("Retries", retries.map(Value::from)),
        ])
    }))
}

fn dns(parsed: &Parsed) -> Value {
    object([
        ("Nameservers", strings(parsed.list("dns"))),
        ("Search", strings(parsed.list("dns-search"))),
        ("Options", strings(parsed.list("dns-option"))),
    ])
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    object.extend(value.map(|value| (name.to_owned(), value)));
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let set = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(set.collect())
}

/// The value unless it is an empty list or object.
fn some(value: Value) -> Option<Value> {
    let empty =
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    (!empty).then_some(value)
}

fn text(parsed: &Parsed, flag: &str) -> Option<Value> {
    parsed
        .text(flag)
        .filter(|text| !text.is_empty())
        .map(Value::from)
}

fn duration(parsed: &Parsed, flag: &str) -> Option<Value> {
    parsed
        .duration_ns(flag)
        .filter(|ns| *ns != 0)
        .map(Value::from)
}

fn strings(values: &[String]) -> Option<Value> {
    some(values.to_vec().into())
}

#[cfg(test)]
mod tests;
