//! Command, variables, user and limits of the process.

use crate::model::spec::container::{ContainerSpec, Ulimit};
use crate::runtime::plan::{ProcessPlan, UlimitPlan};
use crate::runtime::request::{ImageDefaults, Refused};
use crate::runtime::signal;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What can be judged without an image.
pub fn check(spec: &ContainerSpec) -> Result<(), Refused> {
    if !spec.stop_signal.is_empty() && signal::parse(&spec.stop_signal).is_none() {
        return Err(Refused::Invalid {
            what: "stop signal",
            value: spec.stop_signal.clone(),
        });
    }
    if !spec.dir.is_empty() && !spec.dir.starts_with('/') {
        return Err(Refused::Invalid {
            what: "working directory",
            value: spec.dir.clone(),
        });
    }
    if !(-1000..=1000).contains(&spec.oom_score_adj) {
        let value = spec.oom_score_adj.to_string();
        return Err(Refused::Invalid {
            what: "OOM score",
            value,
        });
    }
    spec.ulimits
        .iter()
        .try_for_each(|limit| ulimit(limit).map(|_| ()))
}

/// Merges as Docker does: a command replaces the image's entrypoint and drops its arguments.
pub fn plan(
    spec: &ContainerSpec,
    image: &ImageDefaults,
    hostname: &str,
    node_env: &[String],
) -> Result<ProcessPlan, Refused> {
    let args: Vec<String> = if spec.command.is_empty() {
        let rest = if spec.args.is_empty() {
            &image.cmd
        } else {
            &spec.args
        };
        image.entrypoint.iter().chain(rest).cloned().collect()
    } else {
        spec.command.iter().chain(&spec.args).cloned().collect()
    };
    if args.is_empty() {
        return Err(Refused::NoCommand);
    }
    let dir = [&spec.dir, &image.dir]
        .into_iter()
        .find(|dir| !dir.is_empty());
    let dir = dir.map_or("/", |dir| dir.trim_start_matches('/'));
    let user = if spec.user.is_empty() {
        &image.user
    } else {
        &spec.user
    };
    let oom_score_adj = i32::try_from(spec.oom_score_adj).unwrap_or_default();
    Ok(ProcessPlan {
        args,
        env: env(spec, image, hostname, node_env),
        dir: format!("/{}", dir.trim_start_matches('/')),
        user: user.clone(),
        groups: spec.groups.clone(),
        tty: spec.tty,
        init: spec.init.unwrap_or(false),
        ulimits: spec.ulimits.iter().map(ulimit).collect::<Result<_, _>>()?,
        oom_score_adj,
        stop_signal: stop_signal(spec, image)?,
        open_stdin: spec.open_stdin,
    })
}

/// The spec's, else the image's, else SIGTERM.
fn stop_signal(spec: &ContainerSpec, image: &ImageDefaults) -> Result<i32, Refused> {
    let names = [&spec.stop_signal, &image.stop_signal];
    let Some(name) = names.into_iter().find(|name| !name.is_empty()) else {
        return Ok(signal::DEFAULT);
    };
    signal::parse(name).ok_or_else(|| Refused::Invalid {
        what: "stop signal",
        value: name.clone(),
    })
}

/// Later ones win; a name without a value takes the variable away.
fn env(
    spec: &ContainerSpec,
    image: &ImageDefaults,
    hostname: &str,
    node_env: &[String],
) -> Vec<String> {
    let mut first = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if spec.tty {
        first.push("TERM=xterm".to_owned());
    }
    let mut all: Vec<String> = Vec::new();
    for entry in first
        .iter()
        .chain(node_env)
        .chain(&image.env)
        .chain(&spec.env)
    {
        let name = entry.split('=').next().unwrap_or("");
        let place = all
            .iter()
            .position(|old| old.split('=').next() == Some(name));
        match (place, entry.contains('=')) {
            (Some(place), true) => all[place] = entry.clone(),
            (Some(place), false) => {
                all.remove(place);
            }
            (None, true) => all.push(entry.clone()),
            (None, false) => {}
        }
    }
    all
}

fn ulimit(limit: &Ulimit) -> Result<UlimitPlan, Refused> {
    let invalid = || Refused::Invalid {
        what: "ulimit",
        value: limit.name.clone(),
    };
    if !ULIMITS.contains(&limit.name.as_str()) {
        return Err(invalid());
    }
    let number = |value: i64| match value {
        -1 => Ok(u64::MAX),
        value => u64::try_from(value).map_err(|_| invalid()),
    };
    let (soft, hard) = (number(limit.soft)?, number(limit.hard)?);
    if soft > hard {
        return Err(invalid());
    }
    Ok(UlimitPlan {
        name: limit.name.clone(),
        soft,
        hard,
    })
}
