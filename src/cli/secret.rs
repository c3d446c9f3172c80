//! `secret`: what services may know and nobody else.

use serde_json::Value;

use crate::cli::answer::text;
use crate::cli::commands::Run;
use crate::cli::flags::{Args, Command, FILTER, FORMAT, FORMAT_INSPECT, Flag, Kind, PRETTY, QUIET};
use crate::cli::inspect::Subject;
use crate::cli::node::moment;
use crate::cli::resource;
use crate::cli::service::check::check_label;
use crate::cli::table::Listing;

/// `secret create`.
pub const CREATE: Command = Command {
    names: &["secret create"],
    usage: "[OPTIONS] SECRET [file|-]",
    about: "Create a secret from a file or STDIN as content",
    args: Args::Between(1, 2),
    flags: &[
        Flag::new("driver", Kind::Text, "Secret driver").short('d'),
        Flag::new("label", Kind::Many("list", check_label), "Secret labels").short('l'),
        Flag::new("template-driver", Kind::Text, "Template driver"),
    ],
    run: Run(|context, parsed| Box::pin(resource::create(context, parsed, KIND))),
};

/// `secret ls`.
pub const LS: Command = Command {
    names: &["secret ls", "secret list"],
    usage: "[OPTIONS]",
    about: "List secrets",
    args: Args::None,
    flags: &[FILTER, FORMAT, QUIET],
    run: Run(|context, parsed| Box::pin(resource::ls(context, parsed, KIND))),
};

/// `secret inspect`.
pub const INSPECT: Command = Command {
    names: &["secret inspect"],
    usage: "[OPTIONS] SECRET [SECRET...]",
    about: "Display detailed information on one or more secrets",
    args: Args::AtLeast(1),
    flags: &[FORMAT_INSPECT, PRETTY],
    run: Run(|context, parsed| Box::pin(resource::inspect(context, parsed, KIND))),
};

/// `secret rm`.
pub const RM: Command = Command {
    names: &["secret rm", "secret remove"],
    usage: "SECRET [SECRET...]",
    about: "Remove one or more secrets",
    args: Args::AtLeast(1),
    flags: &[],
    run: Run(|context, parsed| Box::pin(resource::rm(context, parsed, KIND))),
};

const KIND: resource::Kind = resource::Kind {
    path: "/secrets",
    subject: Subject {
        kind: None,
        path: "/secrets/",
        suffix: "",
    },
    listing: &LISTING,
    tell,
};

const LISTING: Listing = Listing {
    fields: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("CreatedAt", "CREATED"),
        ("UpdatedAt", "UPDATED"),
        ("Labels", "LABELS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    quiet: "{{.ID}}",
};

fn tell(secret: &Value) -> String {
    let at = |pointer| text(secret, pointer);
    format!(
        "ID:              {}\nName:              {}\n{}Driver:            {}\n\
         Created at:        {}\nUpdated at:        {}\n",
        at("/ID"),
        at("/Spec/Name"),
        resource::labels(secret),
        at("/Spec/Driver/Name"),
        moment(at("/CreatedAt")),
        moment(at("/UpdatedAt")),
    )
}
