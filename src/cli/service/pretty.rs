//! `service inspect --pretty`: a service told to people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::answer::{ago, int, is_on, list, pairs, text, texts, uint};
use crate::cli::units;

const NS_PER_CPU: f64 = 1e9;

/// The service in docker's words.
pub fn tell(service: &Value) -> String {
    let spec = &service["Spec"];
    let mut out = format!(
        "\nID:\t\t{}\nName:\t\t{}\n",
        text(service, "/ID"),
        text(spec, "/Name")
    );
    let labels = pairs(spec, "/Labels");
    if !labels.is_empty() {
        out.push_str("Labels:\n");
        labels
            .iter()
            .for_each(|(k, v)| line(&mut out, &format!(" {k}={v}")));
    }
    mode(&mut out, spec);
    update_status(&mut out, service);
    placement(&mut out, spec);
    update_config(
        &mut out,
        "UpdateConfig",
        "Update order:     ",
        &spec["UpdateConfig"],
    );
    update_config(
        &mut out,
        "RollbackConfig",
        "Rollback order:   ",
        &spec["RollbackConfig"],
    );
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    tell_container(&mut out, container);
    mounts(&mut out, container);
    references(&mut out, "Configs", &container["Configs"], "Config");
    references(&mut out, "Secrets", &container["Secrets"], "Secret");
    let log = &spec["TaskTemplate"]["LogDriver"];
    if !text(log, "/Name").is_empty() {
        line(
            &mut out,
            &format!("Log Driver:\n Name:\t\t{}", text(log, "/Name")),
        );
        let options = pairs(log, "/Options");
        if !options.is_empty() {
            out.push_str(" LogOpts:\n");
            options
                .iter()
                .for_each(|(k, v)| line(&mut out, &format!("  {k}:       {v}")));
        }
        out.push('\n');
    }
    resources(&mut out, &spec["TaskTemplate"]["Resources"]);
    let networks = list(spec, "/TaskTemplate/Networks");
    if !networks.is_empty() {
        let names: Vec<&str> = networks
            .iter()
            .map(|network| text(network, "/Target"))
            .collect();
        line(&mut out, &format!("Networks: {} ", names.join(" ")));
    }
    line(
        &mut out,
        &format!("Endpoint Mode:\t{}", text(service, "/Endpoint/Spec/Mode")),
    );
    ports(&mut out, service);
    health(&mut out, &container["Healthcheck"]);
    out.push('\n');
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn mode(out: &mut String, spec: &Value) {
    let mode = &spec["Mode"];
    out.push_str("Service Mode:\t");
    match () {
        () if !mode["Global"].is_null() => line(out, "Global"),
        () if !mode["GlobalJob"].is_null() => line(out, "Global Job"),
        () if !mode["ReplicatedJob"].is_null() => {
            line(out, "Replicated Job");
            let concurrent = uint(mode, "/ReplicatedJob/MaxConcurrent");
            let total = uint(mode, "/ReplicatedJob/TotalCompletions");
            line(out, &format!(" Max Concurrent Replicas:\t{concurrent}"));
            line(out, &format!(" Total Completions:\t\t{total}"));
        }
        () if !mode["Replicated"].is_null() => {
            line(out, "Replicated");
            line(
                out,
                &format!(" Replicas:\t{}", uint(mode, "/Replicated/Replicas")),
            );
        }
        () => out.push('\n'),
    }
}

fn update_status(out: &mut String, service: &Value) {
    let status = &service["UpdateStatus"];
    if !status.is_object() {
        return;
    }
    line(
        out,
        &format!("UpdateStatus:\n State:\t\t{}", text(status, "/State")),
    );
    for (name, field) in [("Started", "/StartedAt"), ("Completed", "/CompletedAt")] {
        if !text(status, field).is_empty() {
            line(out, &format!(" {name}:\t{}", ago(text(status, field))));
        }
    }
    line(out, &format!(" Message:\t{}", text(status, "/Message")));
}

fn placement(out: &mut String, spec: &Value) {
    out.push_str("Placement:\n");
    let placement = &spec["TaskTemplate"]["Placement"];
    let constraints = texts(placement, "/Constraints");
    if !constraints.is_empty() {
        line(out, &format!(" Constraints:\t[{}]", constraints.join(" ")));
    }
    let spread = |p: &Value| format!("spread={}", text(p, "/Spread/SpreadDescriptor"));
    let preferences: Vec<String> = list(placement, "/Preferences").iter().map(spread).collect();
    if !preferences.is_empty() {
        line(out, &format!(" Preferences:   [{}]", preferences.join(" ")));
    }
    match uint(placement, "/MaxReplicas") {
        0 => {}
        most => line(out, &format!(" Max Replicas Per Node:   {most}")),
    }
}

fn update_config(out: &mut String, title: &str, order: &str, config: &Value) {
    if !config.is_object() {
        return;
    }
    line(
        out,
        &format!("{title}:\n Parallelism:\t{}", uint(config, "/Parallelism")),
    );
    if int(config, "/Delay") > 0 {
        line(
            out,
            &format!(" Delay:\t\t{}", units::duration(int(config, "/Delay"))),
        );
    }
    line(
        out,
        &format!(" On failure:\t{}", text(config, "/FailureAction")),
    );
    if int(config, "/Monitor") > 0 {
        line(
            out,
            &format!(
                " Monitoring Period: {}",
                units::duration(int(config, "/Monitor"))
            ),
        );
    }
    let ratio = config["MaxFailureRatio"].as_f64().unwrap_or_default();
    line(
        out,
        &format!(" Max failure ratio: {}", units::significant(ratio, 6)),
    );
    line(out, &format!(" {order} {}", text(config, "/Order")));
}

fn tell_container(out: &mut String, container: &Value) {
    line(
        out,
        &format!("ContainerSpec:\n Image:\t\t{}", text(container, "/Image")),
    );
    for (name, field) in [("Command", "/Command"), ("Args", "/Args"), ("Env", "/Env")] {
        let values = texts(container, field);
        if !values.is_empty() {
            let tabs = if name == "Command" { "\t" } else { "\t\t" };
            line(out, &format!(" {name}:{tabs}{} ", values.join(" ")));
        }
    }
    if !text(container, "/Dir").is_empty() {
        line(out, &format!(" Dir:\t\t{}", text(container, "/Dir")));
    }
    if container["Init"].is_boolean() {
        line(out, &format!(" Init:\t\t{}", is_on(container, "/Init")));
    }
    if !text(container, "/User").is_empty() {
        line(out, &format!(" User: {}", text(container, "/User")));
    }
    let (add, drop) = (
        texts(container, "/CapabilityAdd"),
        texts(container, "/CapabilityDrop"),
    );
    if !add.is_empty() || !drop.is_empty() {
        out.push_str("Capabilities:\n");
        let named = [("Add", add), ("Drop", drop)];
        for (name, capabilities) in named.iter().filter(|(_, all)| !all.is_empty()) {
            line(out, &format!(" {name}: {}", capabilities.join(", ")));
        }
    }
    let sysctls = pairs(container, "/Sysctls");
    if !sysctls.is_empty() {
        out.push_str("SysCtls:\n");
        sysctls
            .iter()
            .for_each(|(k, v)| line(out, &format!(" {k}: {v}")));
    }
    let ulimits = list(container, "/Ulimits");
    if !ulimits.is_empty() {
        out.push_str("Ulimits:\n");
        for limit in ulimits {
            let (soft, hard) = (int(limit, "/Soft"), int(limit, "/Hard"));
            line(out, &format!(" {}: {soft}:{hard}", text(limit, "/Name")));
        }
    }
}

fn mounts(out: &mut String, container: &Value) {
    let mounts = list(container, "/Mounts");
    if !mounts.is_empty() {
        out.push_str("Mounts:\n");
    }
    for mount in mounts {
        line(out, &format!(" Target:\t{}", text(mount, "/Target")));
        line(out, &format!("  Source:\t{}", text(mount, "/Source")));
        line(out, &format!("  ReadOnly:\t{}", is_on(mount, "/ReadOnly")));
        line(out, &format!("  Type:\t\t{}", text(mount, "/Type")));
    }
}

fn references(out: &mut String, title: &str, references: &Value, kind: &str) {
    let references = list(references, "");
    if !references.is_empty() {
        line(out, &format!("{title}:"));
    }
    for reference in references {
        line(out, &format!(" Target:\t{}", text(reference, "/File/Name")));
        line(
            out,
            &format!("  Source:\t{}", text(reference, &format!("/{kind}Name"))),
        );
    }
}

fn resources(out: &mut String, resources: &Value) {
    if !resources.is_object() {
        return;
    }
    let set = |side: &&str| {
        ["NanoCPUs", "MemoryBytes", "Pids"]
            .iter()
            .any(|f| resources[side][f].is_number())
    };
    out.push_str("Resources:\n");
    for side in ["Reservations", "Limits"].into_iter().filter(set) {
        let side_of = &resources[side];
        line(out, &format!(" {side}:"));
        if int(side_of, "/NanoCPUs") > 0 {
            let cpus = side_of["NanoCPUs"].as_f64().unwrap_or_default() / NS_PER_CPU;
            line(out, &format!("  CPU:\t\t{}", units::significant(cpus, 17)));
        }
        if int(side_of, "/MemoryBytes") > 0 {
            let bytes = units::size_binary(uint(side_of, "/MemoryBytes"));
            line(out, &format!("  Memory:\t{bytes}"));
        }
        if int(side_of, "/Pids") > 0 {
            line(out, &format!("  PIDs:\t\t{}", int(side_of, "/Pids")));
        }
    }
}

fn ports(out: &mut String, service: &Value) {
    let ports = list(service, "/Endpoint/Ports");
    if !ports.is_empty() {
        out.push_str("Ports:\n");
    }
    for port in ports {
        let _ = write!(
            out,
            " PublishedPort = {}\n  Protocol = {}\n  TargetPort = {}\n  PublishMode = {} \n",
            uint(port, "/PublishedPort"),
            text(port, "/Protocol"),
            uint(port, "/TargetPort"),
            text(port, "/PublishMode"),
        );
    }
}

fn health(out: &mut String, health: &Value) {
    if !health.is_object() {
        return;
    }
    let time = |field: &str| units::duration(int(health, field));
    let _ = write!(
        out,
        " Healthcheck:\n  Interval = {}\n  Retries = {}\n  StartPeriod =\t{}\n  Timeout =\t{}\n",
        time("/Interval"),
        int(health, "/Retries"),
        time("/StartPeriod"),
        time("/Timeout"),
    );
    let tests = texts(health, "/Test");
    if !tests.is_empty() {
        line(
            out,
            &format!("  Tests:\n\t Test = {} ", tests.join("\n\t Test = ")),
        );
    }
}
