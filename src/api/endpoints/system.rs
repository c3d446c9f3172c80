//! The daemon and its host: `_ping`, `version`, `info`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hyper::header::{CACHE_CONTROL, HeaderValue, PRAGMA};

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::{Context, MemberState, Membership};
use crate::api::convert::swarm as convert;
use crate::api::facts::{self, Controllers};
use crate::api::failure::Failure;
use crate::api::types::Labels;
use crate::api::types::swarm::{Peer, SwarmInfo};
use crate::api::types::system as json;
use crate::api::types::timestamp::rfc3339_nano;
use crate::api::version::{NEWEST, OLDEST};
use crate::host::clock;
use crate::wire::control::{Filters, Request, Response};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ENGINE: &str = "Engine";

pub async fn ping(call: Call) -> Result<Answer, Failure> {
    let mut answer = answer::text("OK");
    let swarm = HeaderValue::from_static(swarm_word(&call.context.cluster.membership()));
    let headers = answer.headers_mut();
    headers.insert("Swarm", swarm);
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

pub async fn version(call: Call) -> Result<Answer, Failure> {
    let description = &call.context.host.description;
    let version = json::Version {
        platform: json::PlatformName {
            name: "skep".into(),
        },
        components: Vec::new(),
        version: VERSION.into(),
        api_version: NEWEST.to_string(),
        min_api_version: OLDEST.to_string(),
        git_commit: option_env!("SKEP_COMMIT").unwrap_or_default().into(),
        go_version: format!("rust{}", env!("CARGO_PKG_RUST_VERSION")),
        os: description.platform.os.clone(),
        arch: go_architecture(&description.platform.architecture).into(),
        kernel_version: description.kernel.clone(),
        experimental: false,
        build_time: String::new(),
    };
    let components = vec![engine(&version)];
    Ok(answer::json(&json::Version {
        components,
        ..version
    }))
}

pub async fn info(call: Call) -> Result<Answer, Failure> {
    let context = &*call.context;
    let swarm = swarm_info(&call).await;
    Ok(answer::json(&info_of(context, swarm)))
}

fn swarm_word(membership: &Membership) -> &'static str {
    match membership.state {
        MemberState::Active if membership.is_manager => "active/manager",
        MemberState::Active => "active/worker",
        other => other.name(),
    }
}

fn engine(version: &json::Version) -> json::Component {
    let details = [
        ("ApiVersion", version.api_version.clone()),
        ("Arch", version.arch.clone()),
        ("BuildTime", version.build_time.clone()),
        ("Experimental", version.experimental.to_string()),
        ("GitCommit", version.git_commit.clone()),
        ("GoVersion", version.go_version.clone()),
        ("KernelVersion", version.kernel_version.clone()),
        ("MinAPIVersion", version.min_api_version.clone()),
        ("Os", version.os.clone()),
    ];
    json::Component {
        name: ENGINE.into(),
        version: version.version.clone(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// Docker names architectures as Go does.
pub fn go_architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv6l" | "armv7l" | "armv8l" => "arm",
        "i386" | "i486" | "i586" | "i686" => "386",
        other => other,
    }
}

async fn swarm_info(call: &Call) -> SwarmInfo {
    let membership = call.context.cluster.membership();
    let node_id = membership
        .node
        .map(|node| node.to_string())
        .unwrap_or_default();
    let mut info = SwarmInfo {
        node_id: node_id.clone(),
        node_addr: membership.address.clone(),
        local_node_state: membership.state.name().into(),
        control_available: membership.state == MemberState::Active && membership.is_manager,
        error: membership.error,
        ..SwarmInfo::default()
    };
    if !info.control_available {
        let peer = |address: &SocketAddr| Peer {
            addr: address.to_string(),
            ..Peer::default()
        };
        let managers: Vec<_> = membership.managers.iter().map(peer).collect();
        info.remote_managers = (!managers.is_empty()).then_some(managers);
        return info;
    }
    if let Ok(Response::Cluster(cluster)) = call.ask(Request::Cluster).await {
        info.cluster = Some(convert::show_openly(&cluster));
    }
    if let Ok(Response::Nodes(nodes)) = call.ask(Request::Nodes(Filters::default())).await {
        let managers = nodes.iter().filter_map(|view| {
            let addr = view.node.manager.as_ref()?.address.clone();
            let node_id = view.node.id.to_string();
            Some(Peer { node_id, addr })
        });
        let managers: Vec<_> = managers.collect();
        info.nodes = u64::try_from(nodes.len()).unwrap_or(0);
        info.managers = u64::try_from(managers.len()).unwrap_or(0);
        info.remote_managers = Some(managers);
    }
    info
}

fn info_of(context: &Context, swarm: SwarmInfo) -> json::Info {
    let host = &context.host;
    let description = &host.description;
    let controllers = Controllers::of_host(description.cgroup_version);
    let (operating_system, os_version) = facts::operating_system();
    let containers = host.runtime.list().unwrap_or_default();
    let running = containers
        .iter()
        .filter(|container| container.is_running())
        .count();
    let count = |count: usize| u64::try_from(count).unwrap_or(0);
    let number = |figure: i64| u64::try_from(figure).unwrap_or(0);
    let kernel = of_kernel(&controllers, description.cgroup_version);
    let mut warnings = [controllers.warnings(), host.runtime.warnings()].concat();
    if context.cluster.membership().keeps_secrets {
        warnings.push(SECRETS_AT_REST.into());
    }
    json::Info {
        id: host.id.clone(),
        containers: count(containers.len()),
        containers_running: count(running),
        containers_stopped: count(containers.len() - running),
        images: count(host.images.state().index.images.len()),
        driver: "overlayfs".into(),
        plugins: plugins(),
        n_fd: facts::open_files(),
        system_time: rfc3339_nano(clock::now()),
        logging_driver: "ring".into(),
        cgroup_driver: "cgroupfs".into(),
        cgroup_version: description.cgroup_version.to_string(),
        n_events_listener: count(context.events.listeners()),
        kernel_version: description.kernel.clone(),
        operating_system,
        os_version,
        os_type: description.platform.os.clone(),
        architecture: description.platform.architecture.clone(),
        index_server_address: "https://index.docker.io/v1/".into(),
        registry_config: Some(json::RegistryConfig::default()),
        ncpu: number(description.resources.nano_cpus / 1_000_000_000),
        mem_total: number(description.resources.memory_bytes),
        docker_root_dir: host.root_dir.to_string_lossy().into_owned(),
        name: description.hostname.clone(),
        labels: show_labels(&description.engine.labels),
        server_version: VERSION.into(),
        runtimes: BTreeMap::from([("skep".to_owned(), json::Runtime::default())]),
        default_runtime: "skep".into(),
        swarm,
        live_restore_enabled: true,
        init_binary: "skep".into(),
        security_options: security_options(description.cgroup_version),
        warnings: Some(warnings),
        ..kernel
    }
}

/// Which limits the kernel keeps, and how it is set.
fn of_kernel(controllers: &Controllers, cgroup_version: u8) -> json::Info {
    json::Info {
        ipv4_forwarding: facts::is_on("net/ipv4/ip_forward"),
        bridge_nf_iptables: facts::is_on("net/bridge/bridge-nf-call-iptables"),
        bridge_nf_ip6tables: facts::is_on("net/bridge/bridge-nf-call-ip6tables"),
        // A switch of the first version's groups alone.
        oom_kill_disable: cgroup_version == 1 && controllers.has("memory"),
        memory_limit: controllers.has("memory"),
        swap_limit: controllers.has("memory"),
        cpu_cfs_period: controllers.has("cpu"),
        cpu_cfs_quota: controllers.has("cpu"),
        cpu_shares: controllers.has("cpu"),
        cpu_set: controllers.has("cpuset"),
        pids_limit: controllers.has("pids"),
        ..json::Info::default()
    }
}

fn plugins() -> json::Plugins {
    json::Plugins {
        volume: owned(facts::VOLUME_DRIVERS),
        network: owned(facts::NETWORK_DRIVERS),
        authorization: None,
        log: owned(facts::LOG_DRIVERS),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What the sealing of secrets on this disk is worth.
const SECRETS_AT_REST: &str = "WARNING: Secrets of tasks lie on this disk, sealed under a key that \
                               lies beside them: a stolen card opens them";

fn security_options(cgroup_version: u8) -> Vec<String> {
    let mut options = vec!["name=seccomp,profile=builtin".to_owned()];
    if cgroup_version == 2 {
        options.push("name=cgroupns".into());
    }
    options.push("name=no-new-privileges".into());
    options
}

fn show_labels(labels: &Labels) -> Vec<String> {
    labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}
