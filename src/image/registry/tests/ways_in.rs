//! Credentials: who sees them, and who does not.

use crate::image::pull::{Order, locate};
use crate::image::reference::Reference;
use crate::image::registry::credentials::Credentials;
use crate::image::registry::endpoint;
use crate::image::registry::pace::Cancel;
use crate::image::registry::repository::Repository;
use crate::image::registry::settings::Settings;
use crate::image::registry::tests::server::{Asked, Reply, Server};
use crate::image::registry::tests::shelf::{Moody, Shelf, pull, pull_with};
use crate::image::tests::kit::{self, Scratch, gzip, in_words};

const BASIC: &str = "Basic bWU6c2VjcmV0";

fn me() -> Credentials {
    Credentials {
        username: "me".into(),
        password: "secret".into(),
        ..Credentials::default()
    }
}

fn shelf() -> Shelf {
    let layer = in_words("file a");
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, gzip(&layer))]);
    shelf
}

fn authorization(asked: &Asked) -> Option<&str> {
    asked.headers.get("authorization").map(String::as_str)
}

fn unauthorized(challenge: &str) -> Reply {
    let error = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Reply::new(401, error).header("www-authenticate", challenge)
}

#[test]
fn a_password_is_shown_to_a_registry_that_wants_it() {
    let shelf = shelf();
    let server = Server::start(move |asked| match authorization(asked) {
        Some(BASIC) => shelf.answer(asked),
        _ => unauthorized("Basic realm=\"x\""),
    });
    let scratch = Scratch::new();
    let store = kit::open(&scratch);
    let error = pull(&store, &server, ":1").unwrap_err().to_string();
    let expect = format!(
        "pull access denied for {}/team/app, repository does not exist or may require 'docker \
         login': unauthorized: authentication required",
        server.authority
    );
    assert_eq!(error, expect);
    if kit::is_root() {
        pull_with(&store, &server, ":1", &me()).0.unwrap();
    }
}

#[test]
fn tokens_are_fetched_once_and_anew_when_they_run_out() {
    if !kit::is_root() {
        return;
    }
    let (shelf, expired) = (shelf(), Moody::new(1));
    let server = Server::start(move |asked| {
        let challenge = format!(
            "Bearer realm=\"http://{}/token\",service=\"reg\"",
            asked.headers["host"]
        );
        if let Some(query) = asked.path.strip_prefix("/token?") {
            let expect = "service=reg&scope=repository%3Ateam%2Fapp%3Apull&account=me";
            assert_eq!((query, authorization(asked)), (expect, Some(BASIC)));
            return Reply::new(200, r#"{"token":"t.1","expires_in":60}"#);
        }
        let is_blob = asked.path.contains("/blobs/");
        match authorization(asked) {
            Some("Bearer t.1") if is_blob && expired.is_out_of_sorts() => unauthorized(&challenge),
            Some("Bearer t.1") => shelf.answer(asked),
            _ => unauthorized(&challenge),
        }
    });
    let scratch = Scratch::new();
    pull_with(&kit::open(&scratch), &server, ":1", &me())
        .0
        .unwrap();
    let tokens = server
        .log()
        .iter()
        .filter(|line| line.contains("/token"))
        .count();
    assert_eq!(tokens, 2);
}

#[test]
fn an_identity_token_stands_for_a_password() {
    if !kit::is_root() {
        return;
    }
    let shelf = shelf();
    let server = Server::start(move |asked| {
        if asked.path == "/token" {
            let expect = "grant_type=refresh_token&refresh_token=id%2F1&service=&\
                          scope=repository%3Ateam%2Fapp%3Apull&client_id=skep";
            assert_eq!(String::from_utf8_lossy(&asked.body), expect);
            return Reply::new(200, r#"{"access_token":"t"}"#);
        }
        match authorization(asked) {
            Some("Bearer t") => shelf.answer(asked),
            _ => unauthorized(&format!(
                "Bearer realm=\"http://{}/token\"",
                asked.headers["host"]
            )),
        }
    });
    let credentials = Credentials {
        identity_token: "id/1".into(),
        ..Credentials::default()
    };
    let scratch = Scratch::new();
    pull_with(&kit::open(&scratch), &server, ":1", &credentials)
        .0
        .unwrap();
}

#[test]
fn another_host_does_not_say_who_is_told_the_password() {
    let thief = Server::start(|asked| panic!("asked for a token: {}", asked.path));
    let realm = format!("Bearer realm=\"http://{}/token\"", thief.authority);
    let other = Server::start(move |_| unauthorized(&realm));
    let there = other.authority.clone();
    let server = Server::start(move |asked| match authorization(asked) {
        Some(BASIC) => {
            Reply::new(307, "").header("location", format!("http://{there}{}", asked.path))
        }
        _ => unauthorized("Basic realm=\"x\""),
    });
    let scratch = Scratch::new();
    pull_with(&kit::open(&scratch), &server, ":1", &me())
        .0
        .unwrap_err();
    assert_eq!((other.log().len(), thief.log().len()), (1, 0));
}

#[test]
fn another_host_that_a_blob_lies_at_sees_no_credentials() {
    if !kit::is_root() {
        return;
    }
    let (shelf, store) = (shelf(), shelf());
    let other = Server::start(move |asked| {
        assert_eq!(authorization(asked), None);
        store.answer(asked)
    });
    let there = other.authority.clone();
    let server = Server::start(move |asked| match authorization(asked) {
        Some(BASIC) if asked.path.contains("/blobs/") => {
            Reply::new(307, "").header("location", format!("http://{there}{}", asked.path))
        }
        Some(BASIC) => shelf.answer(asked),
        _ => unauthorized("Basic realm=\"x\""),
    });
    let scratch = Scratch::new();
    pull_with(&kit::open(&scratch), &server, ":1", &me())
        .0
        .unwrap();
    assert_eq!(other.log().len(), 2);
}

#[test]
fn a_login_is_checked() {
    let server = Server::start(|asked| match authorization(asked) {
        Some(BASIC) => Reply::new(200, "{}"),
        _ => unauthorized("Basic realm=\"x\""),
    });
    let settings = Settings::default();
    let plain = endpoint::endpoints(&server.authority, &settings)
        .pop()
        .unwrap();
    let check = |credentials: &Credentials| {
        Repository::open(&settings, &plain, "", "", credentials)?.check_login()
    };
    check(&me()).unwrap();
    assert_eq!(
        check(&Credentials::default()).unwrap_err().status(),
        Some(401)
    );
}

#[test]
fn a_mirror_goes_first_and_what_it_lacks_the_next_has() {
    let (_wanted, cancel) = Cancel::new();
    let mirror = Server::start(|asked| {
        assert_eq!(authorization(asked), None);
        match asked.path.as_str() {
            "/v2/" => Reply::new(200, "{}"),
            _ => Reply::new(404, ""),
        }
    });
    let settings = Settings {
        mirrors: vec![format!("http://{}", mirror.authority).parse().unwrap()],
        ..Settings::default()
    };
    let order = Order {
        reference: Reference::parse("alpine").unwrap(),
        credentials: me(),
        platform: None,
    };
    // Names lead nowhere here, so the registry itself cannot be reached.
    let error = locate(&settings, &order, "pull", &cancel).unwrap_err();
    let expect = "cannot reach registry-1.docker.io: lookup registry-1.docker.io: no such host";
    assert_eq!(error.to_string(), expect);
    let asked = ["GET /v2/", "GET /v2/library/alpine/manifests/latest"];
    assert_eq!(mirror.log()[..2], asked);
}
