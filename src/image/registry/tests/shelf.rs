//! What a registry of a test has, and pulls from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::image::digest::Digest;
use crate::image::manifest::{INDEX_TYPE, MANIFEST_TYPE};
use crate::image::pull::{Order, PullError, Pulled, Step};
use crate::image::reference::Reference;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::pace::Cancel;
use crate::image::registry::settings::Settings;
use crate::image::registry::tests::server::{Asked, Reply, Server};
use crate::image::store::ImageStore;
use crate::image::tests::kit;

/// Everything that can be asked for below `/v2/team/app/`.
#[derive(Clone, Default)]
pub struct Shelf {
    things: BTreeMap<String, (String, Vec<u8>)>,
}

impl Shelf {
    pub fn put(&mut self, path: &str, kind: &str, bytes: &[u8]) -> Digest {
        let thing = (kind.to_owned(), bytes.to_vec());
        self.things.insert(path.to_owned(), thing);
        Digest::of(bytes)
    }

    pub fn blob(&mut self, bytes: &[u8]) -> serde_json::Value {
        let digest = Digest::of(bytes);
        self.put(
            &format!("blobs/{digest}"),
            "application/octet-stream",
            bytes,
        );
        json!({"digest": digest.to_string(), "size": bytes.len()})
    }

    /// A manifest under its digest and a tag.
    pub fn manifest(&mut self, tag: &str, kind: &str, manifest: &serde_json::Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        self.put(&format!("manifests/{tag}"), kind, &bytes);
        let digest = Digest::of(&bytes);
        self.put(&format!("manifests/{digest}"), kind, &bytes)
    }

    /// An image of some layers, each packed or not.
    pub fn image(&mut self, tag: &str, platform: &str, layers: &[(&[u8], Vec<u8>)]) -> Digest {
        let plain: Vec<&[u8]> = layers.iter().map(|(plain, _)| *plain).collect();
        let config = self.blob(&kit::config(&plain, platform));
        let packed: Vec<_> = layers.iter().map(|(_, packed)| self.blob(packed)).collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": packed});
        self.manifest(tag, MANIFEST_TYPE, &manifest)
    }

    pub fn index(&mut self, tag: &str, builds: &[(&str, Digest)]) -> Digest {
        let builds = builds.iter().map(|(platform, digest)| {
            let mut parts = platform.split('/');
            let mut part = || parts.next().unwrap_or_default();
            let platform = json!({"os": part(), "architecture": part(), "variant": part()});
            json!({"mediaType": MANIFEST_TYPE, "digest": digest.to_string(), "size": 1,
                "platform": platform})
        });
        let builds: Vec<_> = builds.collect();
        let index = json!({"schemaVersion": 2, "manifests": builds});
        self.manifest(tag, INDEX_TYPE, &index)
    }

    /// What a registry would answer.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let Some(path) = asked.path.strip_prefix("/v2/team/app/") else {
            return Reply::new(200, "{}");
        };
        let Some((kind, bytes)) = self.things.get(path) else {
            let code = if path.starts_with("blobs") {
                "BLOB"
            } else {
                "MANIFEST"
            };
            let text = code.to_ascii_lowercase();
            let error = json!({"code": format!("{code}_UNKNOWN"),
                "message": format!("{text} unknown")});
            return Reply::new(404, json!({"errors": [error]}).to_string());
        };
        let range = asked
            .headers
            .get("range")
            .and_then(|r| r.strip_prefix("bytes="));
        let from = range.and_then(|r| r.trim_end_matches('-').parse::<usize>().ok());
        match from {
            Some(from) => Reply::new(206, &bytes[from..]).header(
                "content-range",
                format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()),
            ),
            None => Reply::new(200, bytes.clone()),
        }
        .header("content-type", kind)
    }

    pub fn serve(self) -> Server {
        Server::start(move |asked| self.answer(asked))
    }
}

/// Pulls from a server, and the steps of it.
pub fn pull_with(
    store: &ImageStore,
    server: &Server,
    name: &str,
    credentials: &Credentials,
) -> (Result<Pulled, PullError>, Vec<Step>) {
    let (_wanted, cancel) = Cancel::new();
    let order = Order {
        reference: Reference::parse(&format!("{}/team/app{name}", server.authority)).unwrap(),
        credentials: credentials.clone(),
        platform: None,
    };
    let mut steps = Vec::new();
    let tell = &mut |step| steps.push(step);
    let pulled = store.pull(&Settings::default(), &order, &cancel, tell);
    (pulled, steps)
}

pub fn pull(store: &ImageStore, server: &Server, name: &str) -> Result<Pulled, PullError> {
    pull_with(store, server, name, &Credentials::default()).0
}

/// A layer that does not pack well.
pub fn noise(name: &str, bytes: usize) -> Vec<u8> {
    let mut rng = crate::host::rng::Rng::from_seed(bytes as u64);
    let words = std::iter::repeat_with(|| rng.next_u64().to_le_bytes());
    let noise: Vec<u8> = words.take(bytes / 8).flatten().collect();
    kit::LayerTar::new().file(name, &noise).bytes()
}

/// Answers so often with an error before it answers.
pub struct Moody(AtomicUsize);

impl Moody {
    pub fn new(times: usize) -> Self {
        Self(AtomicUsize::new(times))
    }

    pub fn is_out_of_sorts(&self) -> bool {
        let left = |n: usize| n.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }
}
