//! Registries that fail, lie or never end: one line each, and nothing is left of the pull.

use serde_json::json;

use crate::image::digest::Digest;
use crate::image::manifest::MANIFEST_TYPE;
use crate::image::registry::tests::server::{Asked, Reply, Server};
use crate::image::registry::tests::shelf::{Shelf, noise, pull};
use crate::image::tests::kit::{self, EMPTY, Scratch, gzip, in_words, listing};

/// Pulls from a registry that answers like this, and checks what is said; `HOST` is its name.
#[track_caller]
fn check(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static, expect: &str) {
    if !kit::is_root() {
        return;
    }
    let server = Server::start(answer);
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    let error = pull(&store, &server, ":1").unwrap_err().to_string();
    let error = error.replace(&server.authority, "HOST");
    assert!(error.starts_with(expect), "{error}");
    assert!(!error.contains('\n') && error.len() < 600, "{error}");
    assert_eq!(listing(scratch.path()), EMPTY);
}

/// Answers manifests like this.
fn manifest(reply: Reply) -> impl Fn(&Asked) -> Reply + Send + Sync {
    move |asked| match asked.path.as_str() {
        "/v2/" => Reply::new(200, "{}"),
        _ => reply.clone(),
    }
}

fn shelf() -> (Shelf, Vec<u8>) {
    let layer = noise("data", 100_000);
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, layer.clone())]);
    (shelf, layer)
}

/// A good registry, but for what it answers for its one layer.
fn layer(change: impl Fn(Reply) -> Reply + Send + Sync) -> impl Fn(&Asked) -> Reply + Send + Sync {
    let (shelf, layer) = shelf();
    let path = format!("/v2/team/app/blobs/{}", Digest::of(&layer));
    move |asked| match asked.path == path {
        true => change(shelf.answer(asked)),
        false => shelf.answer(asked),
    }
}

#[test]
fn refusals_are_told_in_dockers_words() {
    let denied = r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
    let expect = "pull access denied for HOST/team/app, repository does not exist or may require \
                  'docker login': denied: requested access is denied";
    check(manifest(Reply::new(403, denied)), expect);
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let expect = "manifest for HOST/team/app:1 not found: manifest unknown: manifest unknown";
    check(manifest(Reply::new(404, unknown)), expect);
    let later = Reply::new(429, "").header("retry-after", "4000");
    let expect = "HOST answered 429 Too Many Requests (HOST asks to wait 4000 s)";
    check(manifest(later), expect);
    check(manifest(Reply::new(418, "")), "HOST answered 418");
    check(
        |_| Reply::new(404, ""),
        "HOST sent 404 for /v2/: it is no registry that speaks",
    );
}

#[test]
fn manifests_that_cannot_be_are_refused() {
    let of = |text: &str| Reply::new(200, text).header("content-type", MANIFEST_TYPE);
    check(
        manifest(of("{")),
        "HOST/team/app:1: the manifest is not valid: ",
    );
    let endless = Reply::new(200, vec![b' '; 5 << 20]);
    check(
        manifest(endless),
        "HOST sent more than 4194304 bytes where a manifest was expected",
    );
    let old = "HOST/team/app:1: it is an image of the old manifest schema 1, which nobody can";
    check(manifest(of(r#"{"schemaVersion":1}"#)), old);
    let descriptor = json!({"digest": Digest::of(b"").to_string(), "size": 0});
    let many = json!({"config": descriptor, "layers": vec![descriptor.clone(); 10_000]});
    let expect = "HOST/team/app:1: the manifest is not valid: more than 4096 items in a list";
    check(manifest(of(&many.to_string())), expect);
    let wrong = of("{}").header("docker-content-digest", Digest::of(b"x").to_string());
    let expect = format!(
        "digest does not match: {} was asked for, HOST",
        Digest::of(b"x")
    );
    check(manifest(wrong), &expect);
    let nameless = json!({"config": {"digest": "md5:00", "size": 1}, "layers": []});
    let expect = "a manifest names something by \"md5:00\" is not a sha256 digest";
    check(manifest(of(&nameless.to_string())), expect);
    let large = json!({"config": {"digest": Digest::of(b"").to_string(), "size": 1u64 << 40}});
    let expect = "an image config of 1099511627776 bytes is larger than the 4194304 that are";
    check(manifest(of(&large.to_string())), expect);
}

#[test]
fn layers_that_are_not_what_was_announced_are_refused() {
    let sent = |length: usize| {
        format!("HOST sent a blob of {length} bytes from byte 0 on where byte 0 of ")
    };
    let whole = shelf().1.len();
    let shorter = layer(|mut reply| {
        reply.body.truncate(1000);
        reply
    });
    check(shorter, &sent(1000));
    let longer = layer(|mut reply| {
        reply.body.push(0);
        reply
    });
    check(longer, &sent(whole + 1));
    let endless = layer(|mut reply| {
        reply.body.resize(reply.body.len() + (1 << 20), 0);
        reply.open_ended = true;
        reply
    });
    check(
        endless,
        &format!("HOST sent more than the {whole} bytes of a blob"),
    );
    let other = layer(|mut reply| {
        reply.body[20_000] ^= 1;
        reply
    });
    check(other, "digest does not match: sha256:");
    check(
        layer(|_| Reply::new(206, "")),
        "HOST sent a part of a blob, and not which",
    );
    let part = Reply::new(206, "x").header("content-range", "bytes 5-5/100");
    check(
        layer(move |_| part.clone()),
        "HOST sent a blob of 100 bytes from byte 5 on where",
    );
    let error = r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#;
    check(
        layer(move |_| Reply::new(404, error)),
        "blob unknown: blob unknown",
    );
}

#[test]
fn an_image_whose_layers_are_not_those_of_its_config_is_refused() {
    let (one, two) = (in_words("file a"), in_words("file b"));
    let mut shelf = Shelf::default();
    // The registry has another layer under a right digest.
    shelf.image("1", "linux/amd64", &[(&one, gzip(&two))]);
    let expect = format!(
        "digest does not match: {} was announced, {} came",
        Digest::of(&one),
        Digest::of(&two)
    );
    check(move |asked| shelf.answer(asked), &expect);
    let mut shelf = Shelf::default();
    let config = shelf.blob(&kit::config(&[&one, &two], "linux/amd64"));
    let layers = [shelf.blob(&one)];
    shelf.manifest(
        "1",
        MANIFEST_TYPE,
        &json!({"config": config, "layers": layers}),
    );
    let expect = "the manifest has 1 layers, the config 2";
    check(move |asked| shelf.answer(asked), expect);
}

#[test]
fn redirects_end_and_lead_to_no_other_scheme() {
    let round = Reply::new(307, "").header("location", "/v2/team/app/again");
    check(manifest(round), "HOST sent more than 5 redirects");
    let file = Reply::new(302, "").header("location", "file:///etc/shadow?key=hidden");
    let expect = "HOST sent to \"file:///etc/shadow\", which is no place to go";
    check(manifest(file), expect);
    let challenge = Reply::new(401, "").header("www-authenticate", "Bearer realm=\"ftp://x/\"");
    check(
        move |_| challenge.clone(),
        "HOST sent for a token to \"ftp://x/\"",
    );
}
