//! What every `inspect` does: objects as the daemon wrote them, by a template, or told to people.

use serde_json::Value;

use crate::cli::client::{Client, Error, escape};
use crate::cli::commands::Run;
use crate::cli::context::{Context, print};
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, FORMAT_INSPECT, Flag, Kind, Parsed};
use crate::template::Template;

/// `inspect`, of whatever has the name.
pub const INSPECT: Command = Command {
    names: &["inspect"],
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on Docker objects",
    args: Args::AtLeast(1),
    flags: &[
        FORMAT_INSPECT,
        Flag::new(
            "size",
            Kind::Switch,
            "Display total file sizes if the type is container",
        )
        .short('s'),
        Flag::new("type", Kind::Text, "Only inspect objects of the given type"),
    ],
    run: Run(|context, parsed| Box::pin(inspect(context, parsed))),
};

/// The kinds of things with their paths, in the order in which a name is looked for.
const KINDS: [(&str, &str, &str); 9] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
    ("service", "/services/", ""),
    ("task", "/tasks/", ""),
    ("node", "/nodes/", ""),
    ("secret", "/secrets/", ""),
    ("config", "/configs/", ""),
];

/// How one kind of thing is fetched and named.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The word for it in `no such X`; none if the daemon's own words are to be shown.
    pub kind: Option<&'static str>,
    /// The path before the name.
    pub path: &'static str,
    /// The path after it.
    pub suffix: &'static str,
}

impl Subject {
    /// Fetches the object as the daemon wrote it.
    pub async fn fetch(&self, client: &Client, name: &str) -> Result<String, Failure> {
        let path = format!("{}{}{}", self.path, escape(name), self.suffix);
        let answer = client.get_text(&path).await;
        answer.map_err(|error| match self.kind {
            Some(kind) if error.is_not_found() => {
                let name = name.to_owned();
                Failure::About(Box::new(Failure::NoSuch { kind, name }))
            }
            _ => Failure::Client(error),
        })
    }
}

/// Shows objects by `--format`, or all as one list; what was found is shown even if some were not.
pub async fn show(
    context: &Context,
    parsed: &Parsed,
    names: &[String],
    subject: Subject,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        match subject.fetch(&context.client, name).await {
            Ok(object) => found.push(object),
            Err(Failure::Client(error @ Error::NoDaemon { .. })) => return Err(error.into()),
            Err(error) => missing.push(error),
        }
    }
    print(&render(&found, parsed.text("format"))?)?;
    Failure::gather(missing)
}

/// Shows objects in words: each by `tell`, with a blank line between.
pub async fn tell(
    context: &Context,
    names: &[String],
    subject: Subject,
    tell: impl AsyncFn(Value) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (i, name) in names.iter().enumerate() {
        match subject.fetch(&context.client, name).await {
            Ok(object) => {
                let value = serde_json::from_str(&object).map_err(|source| Error::Json {
                    path: subject.path.to_owned(),
                    source,
                })?;
                let gap = if i > 0 { "\n" } else { "" };
                print(&format!("{gap}{}", tell(value).await?))?;
            }
            Err(error) => missing.push(error),
        }
    }
    Failure::gather(missing)
}

async fn inspect(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let only = parsed.text("type");
    if let Some(wanted) = only.filter(|wanted| !KINDS.iter().any(|(kind, ..)| kind == wanted)) {
        let why = "use container, image, service, task, node and the like".to_owned();
        return Err(Failure::Value {
            what: "type",
            value: wanted.to_owned(),
            why,
        });
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &parsed.args {
        match search(&context.client, name, only).await? {
            Some(object) => found.push(object),
            None => {
                let failure = Failure::NoSuch {
                    kind: "object",
                    name: name.clone(),
                };
                missing.push(Failure::About(Box::new(failure)));
            }
        }
    }
    print(&render(&found, parsed.text("format"))?)?;
    Failure::gather(missing)
}

/// Looks for a name among all kinds of things; a kind that is not served here has none of it.
async fn search(client: &Client, name: &str, only: Option<&str>) -> Result<Option<String>, Error> {
    for (_, path, suffix) in KINDS
        .iter()
        .filter(|(kind, ..)| only.is_none_or(|o| o == *kind))
    {
        match client
            .get_text(&format!("{path}{}{suffix}", escape(name)))
            .await
        {
            Ok(object) => return Ok(Some(object)),
            Err(Error::Daemon { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn render(objects: &[String], format: Option<&str>) -> Result<String, Failure> {
    match format.filter(|f| !f.is_empty()) {
        None => Ok(indented(objects)),
        Some("json") => Ok(objects.iter().map(|object| format!("{object}\n")).collect()),
        Some(format) => {
            let template = Template::parse(format)?;
            let mut out = String::new();
            for object in objects {
                let value: Value = serde_json::from_str(object).unwrap_or_default();
                out.push_str(&template.render(&value)?);
                out.push('\n');
            }
            Ok(out)
        }
    }
}

/// Objects as one list with four blanks a level, their fields in the order the daemon gave.
fn indented(objects: &[String]) -> String {
    let mut out = String::new();
    let (mut level, mut in_text, mut escaped) = (0_usize, false, false);
    let list = format!("[{}]", objects.join(","));
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => in_text = true,
            _ if c.is_whitespace() => continue,
            _ => {}
        }
        match c {
            '{' | '[' => {
                while chars.next_if(|c| c.is_whitespace()).is_some() {}
                out.push(c);
                if let Some(end) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    level += 1;
                    new_line(&mut out, level);
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                new_line(&mut out, level);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

fn new_line(out: &mut String, level: usize) {
    out.push('\n');
    out.push_str(&"    ".repeat(level));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_indented_and_keep_their_order() {
        let object = r#"{"b": {}, "a":[ ],"t":"x: {\"y\", z\\","n":[1,{"k":null}]}"#;
        let expect = r#"[
    {
        "b": {},
        "a": [],
        "t": "x: {\"y\", z\\",
        "n": [
            1,
            {
                "k": null
            }
        ]
    }
]
"#;
        assert_eq!(indented(&[object.to_owned()]), expect);
        assert_eq!(indented(&[]), "[]\n");
    }

    #[test]
    fn a_template_is_filled_for_each_object() {
        let objects = [r#"{"ID":"a"}"#.to_owned(), r#"{"ID":"b"}"#.to_owned()];
        assert_eq!(
            render(&objects, Some("{{.ID}}")).ok().as_deref(),
            Some("a\nb\n")
        );
        assert_eq!(
            render(&objects, Some("json")).ok().as_deref(),
            Some("{\"ID\":\"a\"}\n{\"ID\":\"b\"}\n")
        );
    }
}
