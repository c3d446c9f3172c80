//! Pulls and logins through the API, from a registry of the test's own.

use serde_json::{Value, json};

use super::Rig;
use crate::image::digest::Digest;
use crate::image::registry::tests::pushing;
use crate::image::registry::tests::server::{Reply, Server};
use crate::image::registry::tests::shelf::Shelf;
use crate::image::tests::kit::{gzip, in_words, is_root};

fn lines(answer: &[u8]) -> Vec<Value> {
    let lines = answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn a_pull_tells_its_steps_in_dockers_words() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    let packed = gzip(&layer);
    let id = Digest::of(&packed).hex()[..12].to_owned();
    let mut shelf = Shelf::default();
    let digest = shelf.image("1", "linux/amd64", &[(&layer, packed)]);
    let server = shelf.serve();
    let rig = Rig::new();
    let name = format!("{}/team/app", server.authority);
    let path = format!("/images/create?fromImage={name}&tag=1&platform=linux/amd64");
    let (status, answer) = rig.ask_bytes("POST", &path, Vec::new());
    let lines = lines(&answer);
    assert_eq!(status, 200, "{lines:?}");
    assert_eq!(
        lines[0],
        json!({"status": "Pulling from team/app", "id": "1"})
    );
    assert_eq!(lines[1]["status"], "Pulling fs layer");
    assert_eq!(lines[1]["id"], id);
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["status"].as_str().unwrap())
        .collect();
    assert!(told.contains(&"Pull complete"), "{told:?}");
    let end = [
        format!("Digest: {digest}"),
        format!("Status: Downloaded newer image for {name}:1"),
    ];
    assert_eq!(told[told.len() - 2..], end);
    let pulled = rig.context.events.listen().take().unwrap();
    assert_eq!(
        (pulled.kind.as_str(), pulled.action.as_str()),
        ("image", "pull")
    );
    assert_eq!(
        rig.ask("GET", &format!("/images/{name}@{digest}/json"), "")
            .0,
        200
    );
    let (_, answer) = rig.ask_bytes("POST", &path, Vec::new());
    let again = String::from_utf8(answer).unwrap();
    assert!(again.contains("Already exists") && again.contains("Image is up to date"));
    let missing = format!("/images/create?fromImage={name}&tag=2");
    let expect = format!("manifest for {name}:2 not found: manifest unknown: manifest unknown");
    rig.check_refused("POST", &missing, "", (404, &expect));
    let odd = format!("{path}&platform=linux/a/b/c");
    assert_eq!(
        rig.ask("POST", &odd.replacen("&platform=linux/amd64", "", 1), "")
            .0,
        400
    );
}

#[test]
fn a_pull_that_breaks_off_says_so_in_the_stream() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, gzip(&layer))]);
    let blob = format!("/v2/team/app/blobs/{}", Digest::of(&gzip(&layer)));
    let server = Server::start(move |asked| match asked.path == blob {
        true => Reply::new(403, ""),
        false => shelf.answer(asked),
    });
    let rig = Rig::new();
    let path = format!(
        "/images/create?fromImage={}/team/app&tag=1",
        server.authority
    );
    let (status, answer) = rig.ask_bytes("POST", &path, Vec::new());
    let lines = lines(&answer);
    let expect = format!("{} answered 403 Forbidden", server.authority);
    assert_eq!(
        (status, lines.last().unwrap()["error"].as_str()),
        (200, Some(expect.as_str()))
    );
    assert_eq!(lines.last().unwrap()["errorDetail"]["message"], expect);
}

#[test]
fn a_login_asks_the_registry() {
    let server = Server::start(|asked| match asked.headers.get("authorization") {
        Some(given) if given == "Basic bWU6c2VjcmV0" => Reply::new(200, "{}"),
        _ => Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""),
    });
    let rig = Rig::new();
    let at = &server.authority;
    let login = |word: &str| json!({"username": "me", "password": word, "serveraddress": at});
    let (status, answer) = rig.ask("POST", "/auth", &login("secret").to_string());
    let expect = json!({"Status": "Login Succeeded", "IdentityToken": ""});
    assert_eq!((status, answer), (200, expect));
    let expect = format!("{} answered 401 Unauthorized", server.authority);
    rig.check_refused("POST", "/auth", &login("wrong").to_string(), (401, &expect));
    let nowhere = json!({"serveraddress": "https://a b/"}).to_string();
    assert_eq!(rig.ask("POST", "/auth", &nowhere).0, 400);
}

#[test]
fn a_name_is_pinned_to_what_the_registry_has_and_else_to_what_is_here() {
    if !is_root() {
        return;
    }
    let (layer, next) = (in_words("file a"), in_words("file b"));
    let mut shelf = Shelf::default();
    let arm = shelf.image("arm", "linux/arm64", &[(&layer, gzip(&layer))]);
    let amd = shelf.image("amd", "linux/amd64", &[(&next, gzip(&next))]);
    let index = shelf.index("1", &[("linux/arm64", arm), ("linux/amd64", amd)]);
    let server = shelf.serve();
    let rig = Rig::new();
    let name = format!("{}/team/app", server.authority);
    let ask = |name: &str| rig.ask("GET", &format!("/distribution/{name}/json"), "");
    let (status, found) = ask(&format!("{name}:1"));
    assert_eq!(
        (status, found["Descriptor"]["digest"].as_str()),
        (200, Some(&*index.to_string()))
    );
    let platforms: Vec<_> = found["Platforms"].as_array().unwrap().iter().collect();
    assert_eq!(
        platforms[0],
        &json!({"architecture": "arm64", "os": "linux"})
    );
    assert_eq!(platforms.len(), 2);
    let (_, one) = ask(&format!("{name}:arm"));
    assert_eq!(
        one["Platforms"],
        json!([{"architecture": "arm64", "os": "linux"}])
    );
    assert_eq!(ask(&format!("{name}:none")).0, 404);
    let pull = format!("/images/create?fromImage={name}&tag=1&platform=linux/amd64");
    assert_eq!(rig.ask_bytes("POST", &pull, Vec::new()).0, 200);
    let asked = server.log().len();
    let (_, pinned) = ask(&format!("{name}@{index}"));
    assert_eq!(pinned["Descriptor"]["digest"], index.to_string());
    assert_eq!(
        server.log().len(),
        asked,
        "no registry is asked for what is here"
    );
    drop(server);
    let (status, offline) = ask(&format!("{name}:1"));
    assert_eq!(
        (status, &offline["Descriptor"]["digest"]),
        (200, &json!(index.to_string()))
    );
    assert_eq!(ask(&format!("{name}:none")).0, 500);
}

#[test]
fn a_push_tells_its_steps_in_dockers_words() {
    if !is_root() {
        return;
    }
    let layer = in_words("file a");
    let mut shelf = Shelf::default();
    shelf.image("1", "linux/amd64", &[(&layer, gzip(&layer))]);
    let (source, server) = (shelf.serve(), pushing::registry());
    let rig = Rig::new();
    let (from, name) = (
        format!("{}/team/app", source.authority),
        format!("{}/team/app", server.authority),
    );
    let pull = format!("/images/create?fromImage={from}&tag=1&platform=linux/amd64");
    assert_eq!(rig.ask_bytes("POST", &pull, Vec::new()).0, 200);
    let tag = format!("/images/{from}:1/tag?repo={name}&tag=2");
    assert_eq!(rig.ask("POST", &tag, "").0, 201);
    let (status, answer) = rig.ask_bytes("POST", &format!("/images/{name}/push?tag=2"), Vec::new());
    let lines = lines(&answer);
    assert_eq!(status, 200, "{lines:?}");
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["status"].as_str().unwrap_or_default())
        .collect();
    let begun = format!("The push refers to repository [{name}]");
    assert_eq!(told[..3], [&begun, "Preparing", "Pushed"]);
    let result = &lines[4]["aux"];
    let (digest, size) = (result["Digest"].as_str().unwrap(), &result["Size"]);
    assert_eq!(result["Tag"], "2");
    assert_eq!(told[3], format!("2: digest: {digest} size: {size}"));
    assert_eq!(
        rig.ask("GET", &format!("/images/{name}@{digest}/json"), "")
            .0,
        200
    );

    let push = |name: &str| format!("/images/{name}/push?tag=none");
    let expect = format!("An image does not exist locally with the tag: {name}");
    rig.check_refused("POST", &push(&name), "", (404, &expect));
    let expect = "skep does not push all tags of a repository: name one";
    rig.check_refused("POST", &format!("/images/{name}/push"), "", (400, expect));
}
