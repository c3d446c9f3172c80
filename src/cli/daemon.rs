//! `daemon`: this host's daemon, in the foreground.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::api::listen::Address;
use crate::cli::commands::Run;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::daemon::{self, Options, RUN_DIR, RegistryOptions, STATE_DIR};
use crate::image::garbage::Thresholds;
use crate::image::registry::endpoint::{Insecure, Mirror};
use crate::model::generic;

const SOCKET: &str = "skep.sock";

/// `daemon`.
pub const DAEMON: Command = Command {
    names: &["daemon"],
    usage: "[OPTIONS]",
    about: "Run the daemon of this host in the foreground",
    args: Args::None,
    flags: &[
        Flag::new(
            "data-path-port",
            Kind::One("uint16", check::<NonZeroU16>),
            "UDP port of the tunnels to other nodes, for one of several daemons of a machine \
             (default the swarm's)",
        ),
        Flag::new(
            "host",
            Kind::Many("list", check::<Address>),
            "Socket to serve the API at: unix://PATH, or tcp://IP:PORT, without TLS on loopback, \
             and elsewhere with TLS, while this host is a manager, for those who have a \
             certificate of \"swarm client-cert\" (default unix://RUN-DIR/skep.sock)",
        )
        .short('H'),
        Flag::new(
            "image-gc-high-threshold",
            Kind::One("percent", check_percent),
            "How full the disk of the images may be before those go that tasks have brought and \
             none uses any more; never if it is 100 (default 85)",
        ),
        Flag::new(
            "image-gc-low-threshold",
            Kind::One("percent", check_percent),
            "How full that disk may be for no more of them to go (default 80)",
        ),
        Flag::new(
            "images-dir",
            Kind::Text,
            "Directory of image archives that are loaded at the start; their images are not \
             pruned (default STATE-DIR/images.d)",
        ),
        Flag::new(
            "insecure-registry",
            Kind::Many("list", check::<Insecure>),
            "Registry, or network of registries, that may be spoken to without TLS or with a \
             certificate that nobody signed",
        ),
        Flag::new(
            "listen",
            Kind::One("ip:port", check::<SocketAddr>),
            "Address that a swarm listens at if whoever begins it does not say (default \
             0.0.0.0:2377)",
        ),
        Flag::new(
            "log-level",
            Kind::One("string", check::<LevelFilter>),
            "What is logged: error, warn, info, debug, off (default \"info\")",
        )
        .short('l'),
        Flag::new(
            "metrics-addr",
            Kind::One("ip:port", check::<SocketAddr>),
            "Address that metrics for Prometheus are served at, without TLS, beside the API's \
             own /metrics",
        ),
        Flag::new(
            "node-generic-resource",
            Kind::Many("list", check_generic),
            "Resource that this node has to give: KIND=NUMBER, or KIND=NAME for each that has a \
             name; a name below /dev is a device that its task may open",
        ),
        Flag::new(
            "registry-mirror",
            Kind::Many("list", check::<Mirror>),
            "Copy of Docker's registry that is asked before it",
        ),
        Flag::new(
            "run-dir",
            Kind::Text,
            "Directory of what a reboot may forget: containers, logs, the socket (default \
             /run/skep)",
        ),
        Flag::new(
            "state-dir",
            Kind::Text,
            "Directory of what is kept: state, images, volumes (default /var/lib/skep)",
        ),
    ],
    run: Run(|context, parsed| Box::pin(run(context, parsed))),
};

async fn run(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let level = parsed
        .text("log-level")
        .and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
    let directory = |flag, default: &str| PathBuf::from(parsed.text(flag).unwrap_or(default));
    let run_dir = directory("run-dir", RUN_DIR);
    let mut api: Vec<Address> = parsed
        .list("host")
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    if api.is_empty() {
        api.push(Address::Unix(run_dir.join(SOCKET)));
    }
    let options = Options {
        state_dir: directory("state-dir", STATE_DIR),
        run_dir,
        api,
        listen: parsed
            .text("listen")
            .and_then(|address| address.parse().ok()),
        metrics: parsed
            .text("metrics-addr")
            .and_then(|address| address.parse().ok()),
        generic: generic::parse_all(parsed.list("node-generic-resource")).map_err(|error| {
            Failure::Value {
                what: "node-generic-resource",
                value: parsed.list("node-generic-resource").join(","),
                why: error.to_string(),
            }
        })?,
        garbage: thresholds(&parsed)?,
        images_dir: parsed.text("images-dir").map(PathBuf::from),
        data_path_port: parsed
            .text("data-path-port")
            .and_then(|port| port.parse().ok()),
        registries: RegistryOptions {
            insecure: many(&parsed, "insecure-registry"),
            mirrors: many(&parsed, "registry-mirror"),
        },
    };
    Ok(daemon::run(context.executor, options).await?)
}

/// How full the disk of the images may be.
fn thresholds(parsed: &Parsed) -> Result<Thresholds, Failure> {
    let percent = |flag| parsed.text(flag).and_then(|text| text.parse().ok());
    let default = Thresholds::default();
    let high = percent("image-gc-high-threshold").unwrap_or(default.high);
    let low = percent("image-gc-low-threshold").unwrap_or_else(|| default.low.min(high));
    match low <= high {
        true => Ok(Thresholds { high, low }),
        false => Err(Failure::Conflict(
            "--image-gc-low-threshold must not be above --image-gc-high-threshold",
        )),
    }
}

fn check_percent(value: &str) -> Result<(), String> {
    match value.parse() {
        Ok(0..=100_u8) => Ok(()),
        _ => Err("it is not a number from 0 to 100".into()),
    }
}

/// What was checked when it was read.
fn many<T: std::str::FromStr>(parsed: &Parsed, flag: &str) -> Vec<T> {
    let values = parsed.list(flag).iter();
    values.filter_map(|value| value.parse().ok()).collect()
}

fn check_generic(value: &str) -> Result<(), String> {
    generic::parse(value)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn check<T: std::str::FromStr<Err: std::fmt::Display>>(value: &str) -> Result<(), String> {
    value
        .parse::<T>()
        .map(drop)
        .map_err(|error| error.to_string())
}
