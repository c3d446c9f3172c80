//! `config`: files that services are given.

use serde_json::Value;

use crate::api::types::base64::Base64;
use crate::cli::answer::text;
use crate::cli::commands::Run;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, FORMAT_INSPECT, Flag, Kind, PRETTY, QUIET};
use crate::cli::inspect::Subject;
use crate::cli::node::moment;
use crate::cli::resource;
use crate::cli::service::check::check_label;
use crate::cli::table::Listing;

/// `config create`.
pub const CREATE: Command = Command {
    names: &["config create"],
    usage: "[OPTIONS] CONFIG file|-",
    about: "Create a config from a file or STDIN",
    args: Args::Exactly(2),
    flags: &[
        Flag::new("label", Kind::Many("list", check_label), "Config labels").short('l'),
        Flag::new("template-driver", Kind::Text, "Template driver"),
    ],
    run: Run(|context, parsed| Box::pin(resource::create(context, parsed, KIND))),
};

/// `config ls`.
pub const LS: Command = Command {
    names: &["config ls", "config list"],
    usage: "[OPTIONS]",
    about: "List configs",
    args: Args::None,
    flags: &[FILTER, FORMAT, QUIET],
    run: Run(|context, parsed| Box::pin(resource::ls(context, parsed, KIND))),
};

/// `config inspect`.
pub const INSPECT: Command = Command {
    names: &["config inspect"],
    usage: "[OPTIONS] CONFIG [CONFIG...]",
    about: "Display detailed information on one or more configs",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT, PRETTY],
    run: Run(|context, parsed| Box::pin(resource::inspect(context, parsed, KIND))),
};

/// `config rm`.
pub const RM: Command = Command {
    names: &["config rm", "config remove"],
    usage: "CONFIG [CONFIG...]",
    about: "Remove one or more configs",
    args: Args::AtLeast(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(resource::rm(context, parsed, KIND))),
};

const KIND: resource::Kind = resource::Kind {
    path: "/configs",
    subject: Subject {
        kind: None,
        path: "/configs/",
        suffix: "",
    },
    listing: &LISTING,
    tell,
};

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("CreatedAt", "CREATED"),
        ("UpdatedAt", "UPDATED"),
        ("Labels", "LABELS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    quiet: "{{.ID}}",
};

fn tell(config: &Value) -> String {
    let at = |pointer| text(config, pointer);
    let data: Base64 = serde_json::from_value(config["Spec"]["Data"].clone()).unwrap_or_default();
    format!(
        "ID:\t\t\t{}\nName:\t\t\t{}\n{}Created at:            \t{}\n\
         Updated at:            \t{}\nData:\n{}\n",
        at("/ID"),
        at("/Spec/Name"),
        resource::labels(config),
        moment(at("/CreatedAt")),
        moment(at("/UpdatedAt")),
        String::from_utf8_lossy(&data.0),
    )
}
