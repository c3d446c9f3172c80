//! What comes, and what does not need to.

use std::sync::Mutex;

use crate::image::digest::Digest;
use crate::image::pull::Step;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::tests::server::{Reply, Server};
use crate::image::registry::tests::shelf::{Moody, Shelf, noise, pull, pull_with};
use crate::image::tests::kit::{self, Scratch, gzip, in_words, zstd};

#[test]
fn an_image_is_pulled_by_tag_and_by_digest_and_comes_once() {
    if !kit::is_root() {
        return;
    }
    let (one, two) = (in_words("dir a; file a/b"), in_words("file c"));
    let mut shelf = Shelf::default();
    let digest = shelf.image(
        "1",
        "linux/amd64",
        &[(&one, gzip(&one)), (&two, zstd(&two))],
    );
    let server = shelf.serve();
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    let pulled = pull(&store, &server, ":1").unwrap();
    assert_eq!((pulled.digest, pulled.is_new), (digest, true));
    let image = store
        .resolve(&format!("{}/team/app:1", server.authority))
        .unwrap();
    assert_eq!(image.id, pulled.id);
    let contents = std::fs::read_to_string(image.layers[1].dir.join("c")).unwrap();
    assert_eq!(contents, "c");
    let pinned = format!("{}/team/app@{digest}", server.authority);
    assert_eq!(store.resolve(&pinned).unwrap().id, pulled.id);
    let asked = server.log().len();
    let (again, steps) = pull_with(&store, &server, ":1", &Credentials::default());
    assert!(!again.unwrap().is_new);
    let exists = steps.iter().filter(|step| matches!(step, Step::Exists(_)));
    assert_eq!((exists.count(), steps.len()), (2, 3));
    // Whether the tag still means the same, and nothing more.
    assert_eq!(
        server.log()[asked..],
        ["GET /v2/", "GET /v2/team/app/manifests/1"]
    );
    let other = Scratch::new();
    let other = kit::open(&other);
    assert_eq!(
        pull(&other, &server, &format!("@{digest}")).unwrap().id,
        pulled.id
    );
    assert_eq!(other.resolve(&pinned).unwrap().tags, []);
}

#[test]
fn the_build_for_this_host_is_taken_from_an_index() {
    if !kit::is_root() {
        return;
    }
    let (mine, other) = (in_words("file mine"), in_words("file other"));
    let mut shelf = Shelf::default();
    let build = shelf.image("a", "linux/amd64", &[(&mine, gzip(&mine))]);
    let arm = shelf.image("b", "linux/arm64", &[(&other, gzip(&other))]);
    let index = shelf.index("latest", &[("linux/arm64", arm), ("linux/amd64", build)]);
    shelf.index("arms", &[("linux/arm64", arm), ("linux/arm/v7", arm)]);
    shelf.index("deep", &[("linux/amd64", index)]);
    let server = shelf.serve();
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    let pulled = pull(&store, &server, "").unwrap();
    assert_eq!(pulled.digest, index);
    let image = store
        .resolve(&format!("{}/team/app@{index}", server.authority))
        .unwrap();
    assert!(image.layers[0].dir.join("mine").exists());
    let error = pull(&store, &server, ":arms").unwrap_err().to_string();
    let expect = ": no matching manifest for linux/amd64 in the manifest list entries: it has \
                  linux/arm64, linux/arm/v7";
    assert!(error.ends_with(expect), "{error}");
    let error = pull(&store, &server, ":deep").unwrap_err().to_string();
    assert!(
        error.ends_with("an index in an index has another index in it"),
        "{error}"
    );
}

#[test]
fn a_layer_that_is_here_is_not_asked_for() {
    if !kit::is_root() {
        return;
    }
    let (base, one, two) = (
        noise("base", 80_000),
        in_words("file a"),
        in_words("file b"),
    );
    let mut shelf = Shelf::default();
    shelf.image(
        "1",
        "linux/amd64",
        &[(&base, gzip(&base)), (&one, gzip(&one))],
    );
    // The same layer packed in another way, and twice in the image.
    let layers = [
        (&base[..], zstd(&base)),
        (&two, gzip(&two)),
        (&two, gzip(&two)),
    ];
    shelf.image("2", "linux/amd64", &layers);
    let server = shelf.serve();
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    pull(&store, &server, ":1").unwrap();
    let asked = server.log().len();
    pull(&store, &server, ":2").unwrap();
    let blobs = server.log()[asked..]
        .iter()
        .filter(|line| line.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 2, "the config and one layer");
}

#[test]
fn a_pull_that_is_cut_goes_on_where_it_was() {
    if !kit::is_root() {
        return;
    }
    let layer = noise("data", 1 << 20);
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, layer.clone())]);
    let blob = format!("/v2/team/app/blobs/{}", Digest::of(&layer));
    let cuts = Moody::new(20);
    let lengths = Mutex::new(crate::host::rng::Rng::from_seed(3));
    let server = Server::start(move |asked| {
        let mut reply = shelf.answer(asked);
        if asked.path == blob && cuts.is_out_of_sorts() {
            let length = 20_000 + lengths.lock().unwrap().below(40_000);
            reply.cut = usize::try_from(length).ok();
        }
        reply
    });
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    pull(&store, &server, ":1").unwrap();
    let sent = server.sent();
    assert!(
        sent > layer.len() as u64 && sent < layer.len() as u64 * 12 / 10,
        "{sent}"
    );
    let gets = server
        .log()
        .iter()
        .filter(|line| line.contains("/blobs/"))
        .count();
    assert_eq!(gets, 22, "the config, and the layer in 21 pieces");
}

#[test]
fn a_registry_that_cannot_go_on_begins_anew() {
    if !kit::is_root() {
        return;
    }
    let layer = noise("data", 200_000);
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, layer.clone())]);
    let cuts = Moody::new(2);
    let server = Server::start(move |asked| {
        let mut asked = asked.clone();
        asked.headers.remove("range");
        let mut reply = shelf.answer(&asked);
        if reply.body.len() > 100_000 && cuts.is_out_of_sorts() {
            reply.cut = Some(100_000);
        }
        reply
    });
    let scratch = Scratch::new();
    pull(&kit::open(&scratch), &server, ":1").unwrap();
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    if !kit::is_root() {
        return;
    }
    let layer = in_words("file a");
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, gzip(&layer))]);
    let (busy, broken) = (Moody::new(2), Moody::new(1));
    let server = Server::start(move |asked| match asked.path.as_str() {
        path if path.contains("manifests") && busy.is_out_of_sorts() => {
            Reply::new(429, "").header("retry-after", "0")
        }
        path if path.contains("blobs") && broken.is_out_of_sorts() => Reply::new(502, "x"),
        _ => shelf.answer(asked),
    });
    let scratch = Scratch::new();
    pull(&kit::open(&scratch), &server, ":1").unwrap();
}

#[test]
fn steps_tell_how_far_a_pull_is() {
    if !kit::is_root() {
        return;
    }
    let layer = noise("data", 1 << 20);
    let digest = Digest::of(&layer);
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, layer.clone())]);
    let server = shelf.serve();
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    let (pulled, steps) = pull_with(&store, &server, ":1", &Credentials::default());
    pulled.unwrap();
    assert_eq!(steps[..2], [Step::Found, Step::Layer(digest)]);
    assert_eq!(steps.last(), Some(&Step::Arrived(digest)));
    let total = layer.len() as u64;
    let all = Step::Arriving {
        layer: digest,
        received: total,
        total,
    };
    assert_eq!(steps[steps.len() - 2], all);
    assert!(steps.len() > 5, "{steps:?}");
}
