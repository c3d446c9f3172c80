//! `/images` and `/distribution`: the images of this host.

use std::collections::BTreeMap;

use futures_lite::{StreamExt, stream};
use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::{Context, Host};
use crate::api::convert::image as convert;
use crate::api::endpoints::registry::{self, error_line};
use crate::api::endpoints::volumes::has_label;
use crate::api::failure::Failure;
use crate::api::merge::merged;
use crate::api::types::Labels;
use crate::api::types::image as json;
use crate::api::{download, upload};
use crate::host::clock;
use crate::host::wait::blocking;
use crate::image::arrivals::Progress;
use crate::image::commit::Loaded;
use crate::image::import::Import;
use crate::image::reference::Reference;
use crate::image::removal::{InUse, Removed};
use crate::image::store::Image;
use crate::wire::control::Filters;

/// Lines of progress that wait for the client.
const PROGRESS_MAX: usize = 16;
/// As much of a layer's digest as Docker shows.
const SHORT_ID_CHARS: usize = 12;

pub async fn list(call: Call) -> Result<Answer, Failure> {
    let filters = call.query.filters()?;
    check_filters(
        &filters,
        &["before", "dangling", "label", "reference", "since"],
    )?;
    let images = call.context.host.images.clone();
    let found = blocking(move || images.list()).await;
    let bounds = Bounds::read(&found, &filters)?;
    let used = in_use(&call.context.host);
    let found = found
        .iter()
        .filter(|image| bounds.hold(image) && fits(image, &filters));
    let shown = found.map(|image| {
        let containers = i64::from(used.contains_key(&image.id));
        convert::show_summary(image, -1, containers)
    });
    Ok(answer::json(&shown.collect::<Vec<_>>()))
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    Ok(answer::json(&convert::show(&find(&call).await?)))
}

pub async fn history(call: Call) -> Result<Answer, Failure> {
    Ok(answer::json(&convert::show_history(&find(&call).await?)))
}

pub async fn save_one(call: Call) -> Result<Answer, Failure> {
    let names = vec![call.name().to_owned()];
    save(&call, names).await
}

pub async fn save_many(call: Call) -> Result<Answer, Failure> {
    let names: Vec<_> = call.query.all("names").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Failure::bad("the parameter names is missing"));
    }
    save(&call, names).await
}

/// `docker load`. As Docker does, it answers 200 and says in the stream how far it is and what went
/// wrong.
pub async fn load(call: Call) -> Result<Answer, Failure> {
    let quiet = call.query.flag("quiet");
    let (context, mut body) = (call.context, call.request.into_body());
    let (tell, told) = async_channel::bounded(PROGRESS_MAX);
    let working = async move {
        let (images, telling) = (context.host.images.clone(), tell.clone());
        let mut progress = move |progress| {
            if !quiet {
                // A client that reads slowly misses some; the load does not wait for it.
                let _ = telling.try_send(progress_line(progress));
            }
        };
        let loaded = upload::receive(&mut body, move |archive| {
            images
                .load(archive, &mut progress)
                .map_err(|e| e.to_string())
        });
        let lines = match loaded.await {
            Ok(Ok(loaded)) => {
                loaded
                    .iter()
                    .for_each(|image| publish_loaded(&context, image));
                loaded.iter().flat_map(said_of).collect()
            }
            Ok(Err(message)) | Err(Failure { message, .. }) => vec![error_line(message)],
        };
        for line in lines {
            // Nobody listens to a load whose client is gone.
            let _ = tell.send(line).await;
        }
    };
    let lines = told.map(|line| answer::line(&line));
    let worked = stream::once_future(working).filter_map(|()| None);
    let lines = merged(Box::pin(lines), Box::pin(worked));
    Ok(answer::stream("application/json", lines))
}

/// `docker import`, and `docker pull`.
pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    if call.query.has("fromImage") {
        return registry::pull(call).await;
    }
    match call.query.text("fromSrc") {
        "-" => {}
        "" => return Err(Failure::bad("the parameter fromSrc is missing")),
        _ => {
            return Err(Failure::bad(
                "skep imports from what the client sends, not from a URL",
            ));
        }
    }
    let import = Import {
        name: import_name(&call),
        message: call.query.text("message").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
    };
    let (images, now) = (call.context.host.images.clone(), clock::now());
    let body = call.request.body_mut();
    let made = upload::receive(body, move |archive| images.import(archive, &import, now)).await?;
    let id = made?.to_string();
    publish(&call.context, "import", &id, &id);
    let status = json::Progress {
        status: id,
        ..json::Progress::default()
    };
    Ok(lines_of(vec![status]))
}

pub async fn tag(call: Call) -> Result<Answer, Failure> {
    let (source, repository) = (call.name().to_owned(), call.query.text("repo"));
    let target = match call.query.text("tag") {
        "" => repository.to_owned(),
        tag => format!("{repository}:{tag}"),
    };
    let images = call.context.host.images.clone();
    let name = target.clone();
    blocking(move || images.tag(&source, &target)).await?;
    publish(&call.context, "tag", &name, &name);
    Ok(answer::empty(StatusCode::CREATED))
}

pub async fn remove(call: Call) -> Result<Answer, Failure> {
    let (name, force) = (call.name().to_owned(), call.query.flag("force"));
    let (images, used) = (call.context.host.images.clone(), in_use(&call.context.host));
    let removed = blocking(move || images.remove(&name, force, &used)).await?;
    removed
        .iter()
        .for_each(|removed| publish_removed(&call.context, removed));
    Ok(answer::json(
        &removed
            .iter()
            .map(convert::show_removed)
            .collect::<Vec<_>>(),
    ))
}

pub async fn prune(call: Call) -> Result<Answer, Failure> {
    let mut filters = call.query.filters()?;
    check_filters(&filters, &["dangling", "label", "label!"])?;
    let dangling = filters.0.remove("dangling").unwrap_or_default();
    // Docker's default: only those without a name.
    let nameless_only = !dangling
        .iter()
        .any(|value| matches!(value.as_str(), "false" | "0"));
    let (images, used) = (call.context.host.images.clone(), in_use(&call.context.host));
    let pruned = blocking(move || {
        let wanted =
            |image: &Image| (!nameless_only || image.is_dangling()) && fits(image, &filters);
        images.prune(&wanted, &used)
    });
    let pruned = pruned.await?;
    pruned
        .removed
        .iter()
        .for_each(|removed| publish_removed(&call.context, removed));
    let deleted: Vec<_> = pruned.removed.iter().map(convert::show_removed).collect();
    Ok(answer::json(&json::ImagesPruned {
        images_deleted: Some(deleted).filter(|deleted| !deleted.is_empty()),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}

/// Only Docker's own registry can be searched, by a protocol of its own.
pub async fn search(_: Call) -> Result<Answer, Failure> {
    Err(Failure::internal("skep does not search registries"))
}

/// The images of this host's containers, each with the name of one that uses it.
pub fn in_use(host: &Host) -> InUse {
    let containers = host.runtime.list().unwrap_or_default();
    let users = containers.into_iter().filter_map(|container| {
        let origin = container.plan.origin;
        Some((origin.image_id.parse().ok()?, origin.name))
    });
    users.collect()
}

async fn find(call: &Call) -> Result<Image, Failure> {
    let (images, name) = (call.context.host.images.clone(), call.name().to_owned());
    Ok(blocking(move || images.resolve(&name)).await?)
}

async fn save(call: &Call, names: Vec<String>) -> Result<Answer, Failure> {
    let images = call.context.host.images.clone();
    let wanted = names.clone();
    let checking = images.clone();
    // Before the head of the answer: later a failure can only cut the stream.
    blocking(move || {
        wanted
            .iter()
            .try_for_each(|name| checking.resolve(name).map(drop))
    })
    .await?;
    let archive = download::send(move |out| images.save(&names, out));
    Ok(answer::stream("application/x-tar", archive))
}

fn import_name(call: &Call) -> Option<String> {
    let repository = call.query.text("repo");
    match (repository, call.query.text("tag")) {
        ("", _) => None,
        (repository, "") => Some(repository.to_owned()),
        (repository, tag) => Some(format!("{repository}:{tag}")),
    }
}

fn progress_line(progress: Progress) -> json::Progress {
    json::Progress {
        status: "Loading layer".to_owned(),
        progress_detail: Some(json::ProgressDetail {
            current: progress.received_bytes,
            total: progress.total_bytes,
        }),
        id: short_name(&progress.layer),
        ..json::Progress::default()
    }
}

/// `blobs/sha256/<hex>` and `<hex>/layer.tar` are shown as Docker shows a layer.
fn short_name(layer: &str) -> String {
    let name = layer.strip_suffix("/layer.tar").unwrap_or(layer);
    let name = name.rsplit('/').next().unwrap_or(name);
    name.chars().take(SHORT_ID_CHARS).collect()
}

fn said_of(loaded: &Loaded) -> Vec<json::Progress> {
    let said = |text: String| json::Progress {
        stream: text,
        ..json::Progress::default()
    };
    let taken = loaded.taken.iter().map(|(name, old)| {
        said(format!(
            "The image {} already exists, renaming the old one with ID {old} to empty string\n",
            name.familiar()
        ))
    });
    // As Docker, only names that people gave; an index adds one with a digest.
    let tagged: Vec<_> = loaded
        .names
        .iter()
        .filter(|name| name.digest.is_none())
        .collect();
    let names = tagged
        .iter()
        .map(|name| said(format!("Loaded image: {}\n", name.familiar())));
    let mut lines: Vec<_> = taken.chain(names).collect();
    if tagged.is_empty() {
        lines.push(said(format!("Loaded image ID: {}\n", loaded.id)));
    }
    lines
}

fn lines_of(lines: Vec<json::Progress>) -> Answer {
    let lines = lines.into_iter().map(|line| answer::line(&line));
    answer::stream("application/json", stream::iter(lines.collect::<Vec<_>>()))
}

fn check_filters(filters: &Filters, known: &[&str]) -> Result<(), Failure> {
    match filters.0.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Failure::bad(format!("invalid filter '{key}'"))),
        None => Ok(()),
    }
}

fn fits(image: &Image, filters: &Filters) -> bool {
    let labels = &image.config.config.labels;
    filters.0.iter().all(|(key, values)| match key.as_str() {
        "dangling" => values
            .iter()
            .any(|value| image.is_dangling() == matches!(value.as_str(), "true" | "1")),
        "label" => values.iter().all(|value| has_label(labels, value)),
        "label!" => !values.iter().any(|value| has_label(labels, value)),
        "reference" => values.iter().any(|pattern| {
            image
                .tags
                .iter()
                .any(|name| matches_reference(name, pattern))
        }),
        _ => true,
    })
}

/// `bb`, `bb:1`, `*/bb`, `b*:1*`: a pattern without a tag fits every tag.
fn matches_reference(name: &Reference, pattern: &str) -> bool {
    let (whole, bare) = (name.familiar(), name.familiar_repository());
    matches_glob(&whole, pattern) || matches_glob(&bare, pattern)
}

/// `*` stands for anything within a segment of the path.
fn matches_glob(text: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(rest) = text.strip_prefix(before) else {
        return false;
    };
    let segment = rest.find('/').unwrap_or(rest.len());
    (0..=segment).any(|at| rest.get(at..).is_some_and(|rest| matches_glob(rest, after)))
}

/// The moments that images are wanted between.
struct Bounds {
    before: Option<i64>,
    since: Option<i64>,
}

impl Bounds {
    fn read(images: &[Image], filters: &Filters) -> Result<Self, Failure> {
        let created = |key: &str| -> Result<Option<i64>, Failure> {
            let name = filters.0.get(key).and_then(|names| names.first());
            let Some(name) = name else {
                return Ok(None);
            };
            let reference = Reference::parse(name).ok().map(Reference::or_latest);
            let found = images.iter().find(|image| {
                reference.as_ref().is_some_and(|r| image.tags.contains(r))
                    || image
                        .id
                        .hex()
                        .starts_with(name.trim_start_matches("sha256:"))
            });
            let found = found.ok_or_else(|| Failure::not_found(format!("No such image: {name}")));
            Ok(Some(found?.config.created_s()))
        };
        Ok(Self {
            before: created("before")?,
            since: created("since")?,
        })
    }

    fn hold(&self, image: &Image) -> bool {
        let at = image.config.created_s();
        self.before.is_none_or(|before| at < before) && self.since.is_none_or(|since| at > since)
    }
}

fn publish_loaded(context: &Context, loaded: &Loaded) {
    let id = loaded.id.to_string();
    let name = loaded
        .names
        .first()
        .map_or_else(|| id.clone(), Reference::familiar);
    publish(context, "load", &id, &name);
}

fn publish_removed(context: &Context, removed: &Removed) {
    match removed {
        Removed::Deleted(digest) => {
            let id = digest.to_string();
            publish(context, "delete", &id, &id);
        }
        Removed::Untagged(name) => publish(context, "untag", &name.familiar(), &name.familiar()),
    }
}

fn publish(context: &Context, action: &str, id: &str, name: &str) {
    let attributes: Labels = BTreeMap::from([("name".to_owned(), name.to_owned())]);
    let actor = (id.to_owned(), attributes);
    context
        .events
        .publish_local(clock::now(), "image", action, actor);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, pattern: &str, expect: bool) {
        let name = Reference::parse(name).unwrap();
        assert_eq!(matches_reference(&name, pattern), expect, "{pattern}");
    }

    #[test]
    fn layers_are_shown_by_the_beginning_of_their_digest() {
        let hex = "6dbb9cc54074106d46d4ccb330f2a40a682d49dda5f4844962b7dce9daee4d50";
        for name in [format!("blobs/sha256/{hex}"), format!("{hex}/layer.tar")] {
            assert_eq!(short_name(&name), "6dbb9cc54074");
        }
        assert_eq!(short_name("0/layer.tar"), "0");
    }

    #[test]
    fn reference_patterns_fit_names_as_in_docker() {
        check("bb:1", "bb", true);
        check("bb:1", "bb:1", true);
        check("bb:1", "b*", true);
        check("bb:1", "bb:2", false);
        check("team/bb:1", "bb", false);
        check("team/bb:1", "*/bb", true);
        check("team/bb:1", "t*:1", false);
        check("localhost:5000/bb:1", "localhost:5000/*:*", true);
    }
}
