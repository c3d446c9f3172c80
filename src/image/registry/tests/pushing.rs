//! What goes up, and what does not need to.

use std::sync::{Arc, Mutex};

use crate::image::digest::Digest;
use crate::image::pull::Order;
use crate::image::push::{PushError, Pushed, Step};
use crate::image::reference::Reference;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::pace::Cancel;
use crate::image::registry::settings::Settings;
use crate::image::registry::tests::server::{Asked, Reply, Server};
use crate::image::registry::tests::shelf::{Moody, Shelf, noise, pull};
use crate::image::store::ImageStore;
use crate::image::tests::kit::{self, Scratch, gzip, in_words};

/// What a registry answers that takes blobs and manifests; their digests are to be right.
fn take(shelf: &mut Shelf, asked: &Asked, uploads: &str) -> Reply {
    let path = asked.path.split('?').next().unwrap_or_default();
    let thing = path.strip_prefix("/v2/team/app/").unwrap_or_default();
    match asked.method.as_str() {
        "POST" if thing == "blobs/uploads/" => Reply::new(202, "").header("location", uploads),
        "PUT" if path.starts_with("/uploads/") => {
            let digest = asked.path.rsplit("digest=sha256%3A").next().unwrap();
            if digest != Digest::of(&asked.body).hex() {
                return Reply::new(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            let kind = "application/octet-stream";
            shelf.put(&format!("blobs/sha256:{digest}"), kind, &asked.body);
            Reply::new(201, "")
        }
        "PUT" => {
            let kind = &asked.headers["content-type"];
            let digest = shelf.put(thing, kind, &asked.body);
            shelf.put(&format!("manifests/{digest}"), kind, &asked.body);
            Reply::new(201, "")
        }
        _ => shelf.answer(asked),
    }
}

/// A registry that takes one repository.
pub fn registry() -> Server {
    let shelf = Mutex::new(Shelf::default());
    Server::start(move |asked| take(&mut shelf.lock().unwrap(), asked, "/uploads/1?state=x"))
}

/// A store with an image that is to go to a server, under its tag `1`.
fn stocked(scratch: &Scratch, server: &Server, layers: &[&[u8]]) -> ImageStore {
    let mut shelf = Shelf::default();
    let packed: Vec<_> = layers.iter().map(|plain| (*plain, gzip(plain))).collect();
    shelf.image("1", "linux/amd64", &packed);
    let source = shelf.serve();
    let store = kit::open(scratch);
    pull(&store, &source, ":1").unwrap();
    let target = format!("{}/team/app:1", server.authority);
    store
        .tag(&format!("{}/team/app:1", source.authority), &target)
        .unwrap();
    store
}

fn push(store: &ImageStore, server: &Server) -> (Result<Pushed, PushError>, Vec<Step>) {
    let (_wanted, cancel) = Cancel::new();
    let order = Order {
        reference: Reference::parse(&format!("{}/team/app:1", server.authority)).unwrap(),
        credentials: Credentials {
            username: "me".into(),
            password: "secret".into(),
            ..Credentials::default()
        },
        platform: None,
    };
    let mut steps = Vec::new();
    let tell = &mut |step| steps.push(step);
    let pushed = store.push(&Settings::default(), &order, &cancel, tell);
    (pushed, steps)
}

#[test]
fn an_image_goes_up_once_and_comes_back_the_same() {
    if !kit::is_root() {
        return;
    }
    let (server, scratch) = (registry(), Scratch::new());
    let (small, large) = (
        in_words("dir a; file a/b; symlink c a"),
        noise("n", 600 << 10),
    );
    let store = stocked(&scratch, &server, &[&small, &large, &small]);
    let name = format!("{}/team/app:1", server.authority);
    let image = store.resolve(&name).unwrap();
    let (pushed, steps) = push(&store, &server);
    let pushed = pushed.unwrap();
    assert_eq!(steps[0], Step::Begun);
    let sent = steps
        .iter()
        .filter(|step| matches!(step, Step::Sent(_)))
        .count();
    let told = steps
        .iter()
        .any(|step| matches!(step, Step::Sending { .. }));
    assert!(sent == 2 && told, "{steps:?}");
    let digests = store.resolve(&name).unwrap().digests;
    let expect = format!("{}/team/app@{}", server.authority, pushed.digest);
    assert!(
        digests.iter().any(|digest| digest.to_string() == expect),
        "{digests:?}"
    );

    let asked = server.log().len();
    let (again, steps) = push(&store, &server);
    assert_eq!(again.unwrap(), pushed);
    assert!(!steps.iter().any(|step| matches!(step, Step::Sent(_))));
    let puts: Vec<_> = server.log().split_off(asked);
    let puts: Vec<_> = puts.iter().filter(|line| line.starts_with('P')).collect();
    assert_eq!(puts, ["PUT /v2/team/app/manifests/1"]);

    let other = Scratch::new();
    let other = kit::open(&other);
    let pulled = pull(&other, &server, ":1").unwrap();
    assert_eq!((pulled.id, pulled.digest), (image.id, pushed.digest));
    let here = pull(&store, &server, ":1").unwrap();
    assert!(!here.is_new, "what was pushed is here");
}

#[test]
fn a_push_goes_on_after_an_error_that_passes_and_says_what_does_not() {
    if !kit::is_root() {
        return;
    }
    let shelf = Mutex::new(Shelf::default());
    let moody = Moody::new(2);
    let server = Server::start(move |asked| {
        if asked.method == "PUT" && moody.is_out_of_sorts() {
            return Reply::new(503, "");
        }
        take(&mut shelf.lock().unwrap(), asked, "/uploads/1")
    });
    let scratch = Scratch::new();
    let store = stocked(&scratch, &server, &[&noise("n", 300 << 10)]);
    push(&store, &server).0.unwrap();

    let closed = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => Reply::new(200, "{}"),
        _ => Reply::new(403, ""),
    });
    let from = format!("{}/team/app:1", server.authority);
    store
        .tag(&from, &format!("{}/team/app:1", closed.authority))
        .unwrap();
    let error = push(&store, &closed).0.unwrap_err().to_string();
    let expect = format!(
        "push access denied for {0}/team/app, it may require 'docker login': {0} answered 403 \
         Forbidden",
        closed.authority
    );
    assert_eq!(error, expect);

    let layer = store.resolve(&from).unwrap().layers.remove(0);
    std::fs::write(layer.dir.join("n"), vec![7; 300 << 10]).unwrap();
    let error = push(&store, &server).0.unwrap_err();
    assert!(
        matches!(error, PushError::Changed(id) if id == layer.diff_id),
        "{error}"
    );
}

#[test]
fn a_place_elsewhere_is_shown_no_password() {
    if !kit::is_root() {
        return;
    }
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let there = shelf.clone();
    let elsewhere = Server::start(move |asked| take(&mut there.lock().unwrap(), asked, ""));
    let uploads = format!("http://{}/uploads/1", elsewhere.authority);
    let server = Server::start(move |asked| match asked.headers.get("authorization") {
        Some(_) => take(&mut shelf.lock().unwrap(), asked, &uploads),
        None => Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""),
    });
    let scratch = Scratch::new();
    let store = stocked(&scratch, &server, &[&in_words("file a")]);
    push(&store, &server).0.unwrap();
    let asked = elsewhere.asked.lock().unwrap();
    let shown = |asked: &Asked| asked.headers.contains_key("authorization");
    assert!(asked.len() == 2 && !asked.iter().any(shown), "{asked:?}");
}
