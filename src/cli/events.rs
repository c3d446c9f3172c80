//! `events`: what happens, as it happens.

use hyper::Method;
use serde_json::Value;

use crate::cli::answer::{filters, int, pairs, text};
use crate::cli::client::{empty, with_query};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FILTER, FORMAT_OBJECT, Flag, Kind, Parsed};
use crate::cli::json_lines::JsonLines;
use crate::cli::moment;
use crate::host::clock;
use crate::template::Template;

/// `events`.
pub const EVENTS: Command = Command {
    names: &["system events", "events"],
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    args: Args::None,
    flags: &[
        FILTER,
        FORMAT_OBJECT,
        Flag::new(
            "since",
            Kind::Text,
            "Show all events created since timestamp",
        ),
        Flag::new("until", Kind::Text, "Stream events until this timestamp"),
    ],
    run: Run(|context, parsed| Box::pin(events(context, parsed))),
};

async fn events(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let format = parsed.text("format").filter(|f| !f.is_empty());
    let template = format
        .filter(|f| *f != "json")
        .map(Template::parse)
        .transpose()?;
    let filters = filters(parsed.list("filter"));
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(filters.map(|filters| ("filters", filters)));
    for name in ["since", "until"] {
        if let Some(given) = parsed.text(name).filter(|t| !t.is_empty()) {
            query.push((name, moment::parse(given, clock::now())?));
        }
    }
    let query: Vec<(&str, &str)> = query.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let path = with_query("/events", &query);
    let mut lines = JsonLines::new(context.client.stream(Method::GET, &path, empty()).await?);
    while let Some((line, event)) = lines.next().await? {
        match (&template, format) {
            (Some(template), _) => print(&format!("{}\n", template.render(&event)?))?,
            (None, Some(_)) => print(&format!("{line}\n"))?,
            (None, None) => print(&tell(&event))?,
        }
    }
    Ok(())
}

fn tell(event: &Value) -> String {
    let ns = match int(event, "/timeNano") {
        0 => int(event, "/time").saturating_mul(1_000_000_000),
        ns => ns,
    };
    let moment = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap_or_default();
    let when = moment.strftime("%Y-%m-%dT%H:%M:%S%.9fZ");
    let (kind, action) = (text(event, "/Type"), text(event, "/Action"));
    let attributes = pairs(event, "/Actor/Attributes");
    let shown: Vec<String> = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let shown = if shown.is_empty() {
        String::new()
    } else {
        format!(" ({})", shown.join(", "))
    };
    format!(
        "{when} {kind} {action} {}{shown}\n",
        text(event, "/Actor/ID")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_one_line() {
        let event = serde_json::json!({
            "Type": "service", "Action": "create", "time": 1_700_000_000,
            "timeNano": 1_700_000_000_123_456_789_i64,
            "Actor": {"ID": "abc", "Attributes": {"name": "web", "a": "1"}},
        });
        let expect = "2023-11-14T22:13:20.123456789Z service create abc (a=1, name=web)\n";
        assert_eq!(tell(&event), expect);
    }
}
