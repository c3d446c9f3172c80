//! From what a user asked for to a plan: the spec, the image's defaults and the node's answers
//! merged as Docker merges them. What cannot be given is refused by name, never left out.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::model::device::Device;
use crate::model::spec::Labels;
use crate::model::spec::container::{ContainerSpec, Healthcheck};
use crate::model::spec::task::Resources;
use crate::runtime::plan::{
    DevicePlan, FilePlan, Limits, LogPlan, Network, Origin, Plan, Resolver,
};

mod health;
mod process;
mod mounts;
mod security;
#[cfg(test)]
mod tests;

/// The label that gives a container the right to gain privileges (setuid programs) back.
pub const NO_NEW_PRIVILEGES_LABEL: &str = "skep.no-new-privileges";

/// What an image says about its containers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageDefaults {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    pub dir: String,
    pub user: String,
    /// Folders that stay writable when the root is not.
    pub volumes: Vec<String>,
    /// Empty if the image names none.
    pub stop_signal: String,
    pub healthcheck: Option<Healthcheck>,
    /// What runs a health check that is a line; empty is `/bin/sh -c`.
    pub shell: Vec<String>,
}

/// Everything that a container is made from.
#[derive(Clone, Debug)]
pub struct ContainerRequest<'a> {
    /// 64 hexadecimal digits.
    pub id: &'a str,
    pub spec: &'a ContainerSpec,
    pub resources: Option<&'a Resources>,
    pub image: &'a ImageDefaults,
    /// Unpacked layers, the lowest first.
    pub layers: Vec<PathBuf>,
    /// A folder for the writable layer, removed with the container.
    pub writable: PathBuf,
    /// The host name if the spec has none.
    pub hostname: &'a str,
    pub network: Network,
    pub origin: Origin,
    /// The container's labels, kept for whoever lists containers.
    pub labels: Labels,
    /// Variables that the node adds; the spec's win.
    pub env: Vec<String>,
    /// Where each named volume of the spec lies on this host.
    pub volumes: BTreeMap<String, PathBuf>,
    /// Files that the container is handed: secrets and configs.
    pub files: Vec<FilePlan>,
    /// The networks that it is on, if it is on some.
    pub joined: Option<Joined>,
    /// Device files that it is given beside those that the spec's labels name.
    pub devices: Vec<Device>,
    /// Where its output goes.
    pub log: LogPlan,
}

/// What a container finds of its networks.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Where its interfaces are already.
    pub namespace: PathBuf,
    /// Whom it asks for names.
    pub nameserver: Ipv4Addr,
    /// Its own addresses.
    pub addresses: Vec<Ipv4Addr>,
}

/// The spec asks for what this node cannot give, or for what does not make sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("{what} {value:?} is not valid")]
    Invalid { what: &'static str, value: String },
    #[error("no command specified: neither the service nor its image has one")]
    NoCommand,
    #[error("volume {0} is not on this node")]
    NoVolume(String),
    #[error("{0}")]
    Device(String),
}

/// Says whether a container of this spec could be planned on any node: for the moment when a user
/// can still be told.
pub fn check(spec: &ContainerSpec, resources: Option<&Resources>) -> Result<(), Refused> {
    security::check(spec)?;
    mounts::check(&spec.mounts)?;
    process::check(spec)?;
    limits(resources).map(|_| ())
}

/// Answers every question a shim could have.
pub fn plan(request: ContainerRequest<'_>) -> Result<Plan, Refused> {
    let ContainerRequest {
        spec,
        resources,
        image,
        network,
        ..
    } = request;
    check(spec, resources)?;
    let hostname = if spec.hostname.is_empty() {
        request.hostname
    } else {
        &spec.hostname
    };
    let mut mounts = mounts::plan(&spec.mounts, &request.volumes, &request.writable)?;
    mounts::check_files(&request.files, &mounts)?;
    if spec.read_only {
        mounts.extend(mounts::image_volumes(
            &image.volumes,
            &request.writable,
            &mounts,
        ));
    }
    let mut resolver = resolver(spec)?;
    if let Some(joined) = &request.joined {
        join(&mut resolver, joined, hostname);
    }
    Ok(Plan {
        id: request.id.to_owned(),
        layers: request.layers,
        process: process::plan(spec, image, hostname, &request.env)?,
        hostname: hostname.to_owned(),
        domain: String::new(),
        network,
        resolver,
        mounts,
        files: request.files,
        read_only: spec.read_only,
        sysctls: security::sysctls(spec, network)?,
        limits: limits(resources)?,
        security: security::plan(spec, &request.labels)?,
        check: health::plan(spec.healthcheck.as_ref(), image),
        labels: request.labels,
        origin: request.origin,
        writable: request.writable,
        namespace: request.joined.map(|joined| joined.namespace),
        devices: devices(spec, request.devices)?,
        log: request.log,
    })
}

/// What the spec names comes first; one place has one device.
fn devices(spec: &ContainerSpec, given: Vec<Device>) -> Result<Vec<DevicePlan>, Refused> {
    let named = Device::of_labels(&spec.labels);
    let named = named.map_err(|error| Refused::Device(error.to_string()))?;
    let mut plans = Vec::<DevicePlan>::new();
    for device in named.into_iter().chain(given) {
        let target = PathBuf::from(&device.container);
        if !plans.iter().any(|plan| plan.target == target) {
            plans.push(DevicePlan {
                source: device.host.into(),
                target,
                access: device.access,
            });
        }
    }
    Ok(plans)
}

/// Names are asked of the node, which asks whom the spec names in turn; what looks whole is asked
/// for as it is first, as Docker has it.
fn join(resolver: &mut Resolver, joined: &Joined, hostname: &str) {
    resolver.nameservers = vec![joined.nameserver.to_string()];
    if resolver.options.is_empty() {
        resolver.options = vec!["ndots:0".into()];
    }
    let own = joined.addresses.iter();
    let own = own.map(|address| (address.to_string(), hostname.to_owned()));
    resolver.hosts.extend(own);
}

fn resolver(spec: &ContainerSpec) -> Result<Resolver, Refused> {
    let dns = spec.dns.clone().unwrap_or_default();
    let mut hosts = Vec::new();
    for entry in &spec.hosts {
        let invalid = || Refused::Invalid {
            what: "host entry",
            value: entry.clone(),
        };
        let (address, names) = entry.trim().split_once([' ', '\t']).ok_or_else(invalid)?;
        let address: std::net::IpAddr = address.parse().map_err(|_| invalid())?;
        if names.contains('\n') {
            return Err(invalid());
        }
        hosts.push((address.to_string(), names.trim().to_owned()));
    }
    for address in &dns.nameservers {
        if address.parse::<std::net::IpAddr>().is_err() {
            return Err(Refused::Invalid {
                what: "nameserver",
                value: address.clone(),
            });
        }
    }
    for word in dns.search.iter().chain(&dns.options) {
        if word.is_empty() || word.contains(char::is_whitespace) {
            return Err(Refused::Invalid {
                what: "DNS option",
                value: word.clone(),
            });
        }
    }
    let (nameservers, search, options) = (dns.nameservers, dns.search, dns.options);
    Ok(Resolver {
        hosts,
        nameservers,
        search,
        options,
    })
}

/// Docker's rules: no limit is 0, swap is as large as memory if nothing is said, -1 lifts it.
fn limits(resources: Option<&Resources>) -> Result<Limits, Refused> {
    let Some(resources) = resources else {
        return Ok(Limits::default());
    };
    let limits = resources.limits.clone().unwrap_or_default();
    let reserved = resources
        .reservations
        .as_ref()
        .map_or(0, |reserved| reserved.memory_bytes);
    let memory_bytes = positive("memory limit", limits.memory_bytes)?;
    let swap_bytes = match (resources.swap_bytes, memory_bytes) {
        (None, memory) => memory,
        (Some(-1), Some(_)) => Some(i64::MAX.unsigned_abs()),
        (Some(0), Some(_)) => Some(0),
        (Some(bytes), Some(_)) => positive("swap limit", bytes)?,
        (Some(0), None) => None,
        (Some(_), None) => {
            return Err(Refused::Unsupported(
                "a swap limit without a memory limit".to_owned(),
            ));
        }
    };
    let swappiness = match resources.memory_swappiness {
        None | Some(-1) => None,
        Some(percent) => {
            let invalid = || Refused::Invalid {
                what: "swappiness",
                value: percent.to_string(),
            };
            let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
            Some(percent.ok_or_else(invalid)?)
        }
    };
    Ok(Limits {
        memory_bytes,
        memory_reserved_bytes: positive("memory reservation", reserved)?,
        swap_bytes,
        swappiness,
        nano_cpus: positive("cpu limit", limits.nano_cpus)?,
        // Docker's API takes -1 for no limit.
        pids: positive("pids limit", limits.pids.max(0))?,
    })
}

fn positive(what: &'static str, value: i64) -> Result<Option<u64>, Refused> {
    match u64::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(Refused::Invalid {
            what,
            value: value.to_string(),
        }),
    }
}
