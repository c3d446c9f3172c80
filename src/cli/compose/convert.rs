//! A service of a stack as the API has it.

use serde_json::{Map, Value, json};

use crate::cli::answer::{int, list, pairs, text, texts};
use crate::cli::compose::load::labels;
use crate::cli::compose::resources::{IMAGE, Stack, is_predefined};
use crate::cli::service::value::{capabilities, hosts};
use crate::cli::units;
use crate::image::reference::Reference;
use crate::model::device;

const FILE_MODE: u64 = 0o444;

/// Finds the id of a secret (`secrets`) or config (`configs`) by its name in the swarm.
pub type Ids<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// The spec of a service.
pub fn service(stack: &Stack, name: &str, given: &Value, ids: Ids<'_>) -> Result<Value, String> {
    let converting = Converting {
        stack,
        name,
        given,
        ids,
    };
    let wrong = |why: String| format!("services.{name}: {why}");
    converting.spec().map_err(wrong)
}

struct Converting<'a> {
    stack: &'a Stack,
    name: &'a str,
    given: &'a Value,
    ids: Ids<'a>,
}

impl Converting<'_> {
    fn spec(&self) -> Result<Value, String> {
        let given = self.given;
        let image = text(given, "/image");
        if image.is_empty() {
            return Err("no image specified".to_owned());
        }
        let deploy = &given["deploy"];
        let mut labels = self.stack.labelled(labels(deploy));
        labels.insert(IMAGE.to_owned(), image.into());
        let mut spec = json!({
            "Name": self.stack.scoped(self.name),
            "Labels": labels,
            "TaskTemplate": {
                "ContainerSpec": self.container()?,
                "Resources": resources(deploy)?,
                "Placement": placement(deploy),
                "Networks": self.networks()?,
            },
            "Mode": mode(deploy)?,
            "EndpointSpec": {"Ports": ports(given)},
        });
        put(&mut spec["EndpointSpec"], "Mode", &deploy["endpoint_mode"]);
        let task = &mut spec["TaskTemplate"];
        put(task, "RestartPolicy", &restart(given)?);
        if !given["logging"].is_null() {
            task["LogDriver"] = json!({"Name": text(given, "/logging/driver")});
            put(
                &mut task["LogDriver"],
                "Options",
                &given["logging"]["options"],
            );
        }
        put(
            &mut spec,
            "UpdateConfig",
            &update(&deploy["update_config"])?,
        );
        put(
            &mut spec,
            "RollbackConfig",
            &update(&deploy["rollback_config"])?,
        );
        Ok(spec)
    }

    fn container(&self) -> Result<Value, String> {
        let given = self.given;
        let mut spec = json!({
            "Image": tagged(text(given, "/image")),
            "Labels": self.stack.labelled(labels(given)),
            "Env": environment(given),
            "Mounts": self.mounts()?,
            "Secrets": self.files("secrets", "Secret")?,
            "Configs": self.files("configs", "Config")?,
            "Privileges": privileges(given),
        });
        for (field, name) in [
            ("Command", "entrypoint"),
            ("Args", "command"),
            ("Hostname", "hostname"),
            ("Dir", "working_dir"),
            ("User", "user"),
            ("StopSignal", "stop_signal"),
            ("TTY", "tty"),
            ("OpenStdin", "stdin_open"),
            ("ReadOnly", "read_only"),
            ("Isolation", "isolation"),
            ("Init", "init"),
            ("Sysctls", "sysctls"),
            ("OomScoreAdj", "oom_score_adj"),
        ] {
            put(&mut spec, field, &given[name]);
        }
        put(
            &mut spec,
            "StopGracePeriod",
            &span(&given["stop_grace_period"])?,
        );
        put(&mut spec, "Healthcheck", &health(&given["healthcheck"])?);
        let owned = |name: &str| -> Vec<String> {
            texts(given, name).into_iter().map(str::to_owned).collect()
        };
        let extra = owned("/extra_hosts");
        if !extra.is_empty() {
            spec["Hosts"] = hosts(&extra);
        }
        let devices = texts(given, "/devices");
        if !devices.is_empty() {
            // Docker's services have no word for them.
            spec["Labels"][device::LABEL] = devices.join(",").into();
        }
        let (servers, search) = (texts(given, "/dns"), texts(given, "/dns_search"));
        if !servers.is_empty() || !search.is_empty() {
            spec["DNSConfig"] = json!({"Nameservers": servers, "Search": search});
        }
        for (field, name) in [
            ("CapabilityAdd", "/cap_add"),
            ("CapabilityDrop", "/cap_drop"),
        ] {
            let capabilities = capabilities(&owned(name));
            if !capabilities.is_empty() {
                spec[field] = json!(capabilities);
            }
        }
        let limits = given["ulimits"].as_object().into_iter().flatten();
        let limits = limits.map(|(name, limit)| {
            let one = |field: &str| limit.get(field).unwrap_or(limit).clone();
            json!({"Name": name, "Soft": one("soft"), "Hard": one("hard")})
        });
        put(&mut spec, "Ulimits", &limits.collect());
        Ok(spec)
    }

    fn networks(&self) -> Result<Vec<Value>, String> {
        let attachments = self.stack.attachments(self.given)?.into_iter();
        let attached = attachments.map(|(network, how)| {
            let mut attached = json!({"Target": network});
            put(&mut attached, "DriverOpts", &how["driver_opts"]);
            if !is_predefined(&network) {
                let mut aliases = texts(&how, "/aliases");
                aliases.push(self.name);
                attached["Aliases"] = json!(aliases);
            }
            attached
        });
        Ok(attached.collect())
    }

    fn mounts(&self) -> Result<Vec<Value>, String> {
        let mounts = list(self.given, "/volumes")
            .iter()
            .map(|mount| self.mount(mount));
        let mut mounts = mounts.collect::<Result<Vec<_>, _>>()?;
        mounts.extend(texts(self.given, "/tmpfs").iter().map(|target| {
            let target = target.split(':').next().unwrap_or_default();
            json!({"Type": "tmpfs", "Target": target})
        }));
        Ok(mounts)
    }

    fn mount(&self, given: &Value) -> Result<Value, String> {
        let kind = text(given, "/type");
        let mut mount = json!({"Type": kind, "Target": given["target"]});
        put(&mut mount, "Source", &given["source"]);
        put(&mut mount, "ReadOnly", &given["read_only"]);
        put(&mut mount, "Consistency", &given["consistency"]);
        match kind {
            "bind" if !given["bind"].is_null() => {
                mount["BindOptions"] = json!({"Propagation": text(given, "/bind/propagation")});
            }
            "tmpfs" if !given["tmpfs"].is_null() => {
                mount["TmpfsOptions"] = json!({"SizeBytes": int(given, "/tmpfs/size")});
            }
            "tmpfs" if !given["source"].is_null() => {
                return Err(format!(
                    "a tmpfs at {} has no source",
                    text(given, "/target")
                ));
            }
            "volume" => self.volume(given, &mut mount)?,
            "npipe" | "cluster" => return Err(format!("mounts of type {kind} are not supported")),
            _ => {}
        }
        Ok(mount)
    }

    fn volume(&self, given: &Value, mount: &mut Value) -> Result<(), String> {
        let mut options = json!({});
        put(&mut options, "NoCopy", &given["volume"]["nocopy"]);
        put(&mut options, "Subpath", &given["volume"]["subpath"]);
        let source = text(given, "/source");
        if !source.is_empty() {
            let volume = self.stack.find("volumes", source);
            let volume = volume.ok_or_else(|| format!("undefined volume {source:?}"))?;
            mount["Source"] = self.stack.real_name(volume, source).into();
            if volume["external"] != true {
                options["Labels"] = self.stack.labelled(labels(volume)).into();
                let (driver, driver_options) = (&volume["driver"], &volume["driver_opts"]);
                if !driver.is_null() || !driver_options.is_null() {
                    options["DriverConfig"] = json!({});
                    put(&mut options["DriverConfig"], "Name", driver);
                    put(&mut options["DriverConfig"], "Options", driver_options);
                }
            }
        }
        if options != json!({}) {
            mount["VolumeOptions"] = options;
        }
        Ok(())
    }

    /// Secrets or configs, sorted by name.
    fn files(&self, section: &str, kind: &str) -> Result<Vec<Value>, String> {
        let mut files = Vec::new();
        for given in list(self.given, &format!("/{section}")) {
            let source = text(given, "/source");
            let content = self.stack.find(section, source);
            let one = section.trim_end_matches('s');
            let content = content.ok_or_else(|| format!("undefined {one} {source:?}"))?;
            let name = self.stack.real_name(content, source);
            let id = (self.ids)(section, &name);
            let id = id.ok_or_else(|| format!("{section} {name:?} not found"))?;
            let or = |field: &str, other: &str| match text(given, field) {
                "" => other.to_owned(),
                given => given.to_owned(),
            };
            let mode = given["mode"].as_u64().unwrap_or(FILE_MODE);
            files.push(json!({
                "File": {
                    "Name": or("/target", source),
                    "UID": or("/uid", "0"),
                    "GID": or("/gid", "0"),
                    "Mode": mode,
                },
                format!("{kind}ID"): id,
                format!("{kind}Name"): name,
            }));
        }
        let name = format!("/{kind}Name");
        files.sort_by(|a, b| text(a, &name).cmp(text(b, &name)));
        Ok(files)
    }
}

/// An image's name with its tag, if it is a name.
fn tagged(image: &str) -> String {
    let name = Reference::parse(image).map(Reference::or_latest);
    name.map_or_else(|_| image.to_owned(), |name| name.familiar())
}

/// Puts a value in that is there.
fn put(object: &mut Value, field: &str, value: &Value) {
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    if !value.is_null() && !is_empty {
        object[field] = value.clone();
    }
}

fn environment(given: &Value) -> Vec<String> {
    let variables = given["environment"].as_object().into_iter().flatten();
    let mut variables: Vec<String> = variables
        .map(|(name, value)| match value.as_str() {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        })
        .collect();
    variables.sort_unstable();
    variables
}

fn privileges(given: &Value) -> Value {
    let credentials = pairs(given, "/credential_spec").into_iter();
    let credentials: Map<String, Value> = credentials
        .map(|(kind, name)| (crate::cli::answer::capital(kind), name.into()))
        .collect();
    match credentials.is_empty() {
        true => json!({}),
        false => json!({ "CredentialSpec": credentials }),
    }
}

/// Nanoseconds of a duration.
fn span(given: &Value) -> Result<Value, String> {
    match given.as_str() {
        Some(text) => units::parse_duration(text).map(Value::from),
        None => Ok(Value::Null),
    }
}

fn health(given: &Value) -> Result<Value, String> {
    if given.is_null() {
        return Ok(Value::Null);
    }
    if given["disable"] == true {
        return match texts(given, "/test").is_empty() {
            true => Ok(json!({"Test": ["NONE"]})),
            false => Err("healthcheck: test and disable cannot be set at the same time".to_owned()),
        };
    }
    let mut health = json!({});
    put(&mut health, "Test", &given["test"]);
    put(&mut health, "Retries", &given["retries"]);
    for (field, name) in [
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start_period"),
        ("StartInterval", "start_interval"),
    ] {
        put(&mut health, field, &span(&given[name])?);
    }
    Ok(health)
}

fn mode(deploy: &Value) -> Result<Value, String> {
    let replicas = &deploy["replicas"];
    let counted = |field: &str| match replicas {
        Value::Null => json!({}),
        replicas => json!({ field: replicas }),
    };
    match text(deploy, "/mode") {
        "global" | "global-job" if !replicas.is_null() => Err(
            "deploy.replicas can only be used with replicated or replicated-job mode".to_owned(),
        ),
        "global" => Ok(json!({"Global": {}})),
        "global-job" => Ok(json!({"GlobalJob": {}})),
        "replicated-job" => {
            let mut job = counted("TotalCompletions");
            put(&mut job, "MaxConcurrent", replicas);
            Ok(json!({ "ReplicatedJob": job }))
        }
        _ => Ok(json!({"Replicated": counted("Replicas")})),
    }
}

fn resources(deploy: &Value) -> Result<Value, String> {
    let mut resources = json!({});
    for (field, name) in [("Limits", "limits"), ("Reservations", "reservations")] {
        let given = &deploy["resources"][name];
        if given.is_null() {
            continue;
        }
        let mut amount = json!({});
        if let Some(cpus) = given["cpus"].as_str() {
            let cpus = units::parse_cpus(cpus);
            let wrong = |why| format!("deploy.resources.{name}.cpus: {why}");
            amount["NanoCPUs"] = cpus.map_err(wrong)?.into();
        }
        if let Some(bytes) = given["memory"].as_str() {
            amount["MemoryBytes"] = units::parse_bytes(bytes)?.into();
        }
        put(&mut amount, "Pids", &given["pids"]);
        let generic = list(given, "/generic_resources").iter().map(|resource| {
            let spec = &resource["discrete_resource_spec"];
            json!({"DiscreteResourceSpec": {"Kind": spec["kind"], "Value": spec["value"]}})
        });
        put(&mut amount, "GenericResources", &generic.collect());
        resources[field] = amount;
    }
    Ok(resources)
}

fn placement(deploy: &Value) -> Value {
    let given = &deploy["placement"];
    let mut constraints = texts(given, "/constraints");
    constraints.sort_unstable();
    let mut placement = json!({});
    put(&mut placement, "Constraints", &json!(constraints));
    put(
        &mut placement,
        "MaxReplicas",
        &given["max_replicas_per_node"],
    );
    let preferences = list(given, "/preferences").iter();
    let preferences =
        preferences.map(|preference| json!({"Spread": {"SpreadDescriptor": preference["spread"]}}));
    put(&mut placement, "Preferences", &preferences.collect());
    placement
}

/// When tasks are replaced: as `deploy` says, or else as `restart` does for a single container.
fn restart(given: &Value) -> Result<Value, String> {
    let policy = &given["deploy"]["restart_policy"];
    if policy.is_null() {
        let restart = text(given, "/restart");
        let (condition, attempts) = restart.split_once(':').unwrap_or((restart, ""));
        return match (condition, attempts) {
            ("" | "no", "") => Ok(Value::Null),
            ("always" | "unless-stopped", "") => Ok(json!({"Condition": "any"})),
            ("on-failure", "") => Ok(json!({"Condition": "on-failure", "MaxAttempts": 0})),
            ("on-failure", attempts) if attempts.parse::<u32>().is_ok() => {
                let attempts: u32 = attempts.parse().unwrap_or_default();
                Ok(json!({"Condition": "on-failure", "MaxAttempts": attempts}))
            }
            _ => Err(format!("invalid restart policy {restart:?}")),
        };
    }
    let mut restart = json!({});
    put(&mut restart, "Condition", &policy["condition"]);
    put(&mut restart, "MaxAttempts", &policy["max_attempts"]);
    put(&mut restart, "Delay", &span(&policy["delay"])?);
    put(&mut restart, "Window", &span(&policy["window"])?);
    Ok(restart)
}

fn update(given: &Value) -> Result<Value, String> {
    if given.is_null() {
        return Ok(Value::Null);
    }
    let mut update = json!({"Parallelism": 1});
    put(&mut update, "Parallelism", &given["parallelism"]);
    put(&mut update, "Delay", &span(&given["delay"])?);
    put(&mut update, "FailureAction", &given["failure_action"]);
    put(&mut update, "Monitor", &span(&given["monitor"])?);
    put(&mut update, "MaxFailureRatio", &given["max_failure_ratio"]);
    put(&mut update, "Order", &given["order"]);
    Ok(update)
}

fn ports(given: &Value) -> Vec<Value> {
    let mut ports: Vec<Value> = list(given, "/ports")
        .iter()
        .map(|port| {
            let mut published = json!({"TargetPort": port["target"]});
            put(&mut published, "Protocol", &port["protocol"]);
            put(&mut published, "PublishedPort", &port["published"]);
            put(&mut published, "PublishMode", &port["mode"]);
            published
        })
        .collect();
    ports.sort_by_key(|port| int(port, "/PublishedPort"));
    ports
}
