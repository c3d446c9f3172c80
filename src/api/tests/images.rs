//! Images through the API, in a real store.

use serde_json::{Value, json};

use super::Rig;

/// A root file system with one file.
fn root() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "hello", &b"hello"[..])
        .unwrap();
    archive.into_inner().unwrap()
}

fn imported() -> (Rig, String) {
    let rig = Rig::new();
    let path = "/images/create?fromSrc=-&repo=bb&tag=1&message=made&changes=CMD%20%2Fhello";
    let (status, answer) = rig.ask_bytes("POST", path, root());
    let line: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200, "{line}");
    (rig, line["status"].as_str().unwrap().to_owned())
}

#[test]
fn an_imported_image_is_listed_inspected_tagged_and_removed() {
    let (rig, id) = imported();
    let (_, images) = rig.ask("GET", "/images/json", "");
    assert_eq!(images[0]["RepoTags"], json!(["bb:1"]));
    assert_eq!(images[0]["Id"], id);
    let (_, image) = rig.ask("GET", "/images/bb:1/json", "");
    assert_eq!(image["Config"]["Cmd"], json!(["/bin/sh", "-c", "/hello"]));
    assert_eq!(image["Comment"], "made");
    let (_, history) = rig.ask("GET", "/images/bb:1/history", "");
    assert_eq!(history[0]["Id"], id);
    assert_eq!(
        rig.ask("POST", "/images/bb:1/tag?repo=localhost:5000/a/b&tag=2", "")
            .0,
        201
    );
    assert_eq!(
        rig.ask("GET", "/images/localhost:5000/a/b:2/json", "").1["Id"],
        id
    );
    let (_, distribution) = rig.ask("GET", "/distribution/localhost:5000/a/b:2/json", "");
    assert_eq!(distribution["Platforms"][0]["os"], "linux");
    assert_eq!(distribution["Descriptor"]["digest"], id);
    for pinned in [format!("bb:1@{id}"), format!("bb@{id}")] {
        let path = format!("/images/{pinned}/json");
        assert_eq!(rig.ask("GET", &path, "").1["Id"], id);
    }
    let other = format!("bb:1@{}", id.replace(&id[7..12], "00000"));
    let expect = format!("No such image: {other}");
    rig.check_refused("GET", &format!("/images/{other}/json"), "", (404, &expect));
    let filters = "/images/json?filters=%7B%22reference%22%3A%7B%22nope%22%3Atrue%7D%7D";
    assert_eq!(rig.ask("GET", filters, "").1, json!([]));
    let (status, removed) = rig.ask("DELETE", "/images/bb:1", "");
    assert_eq!((status, removed), (200, json!([{"Untagged": "bb:1"}])));
    let (_, removed) = rig.ask("DELETE", "/images/localhost:5000/a/b:2", "");
    assert!(
        removed
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["Deleted"] == id)
    );
    rig.check_refused("GET", "/images/bb:1/json", "", (404, "No such image: bb:1"));
}

#[test]
fn a_saved_image_can_be_loaded_elsewhere() {
    let (rig, id) = imported();
    let (status, archive) = rig.ask_bytes("GET", "/images/get?names=bb:1", Vec::new());
    assert_eq!(status, 200);
    let other = Rig::new();
    let (_, answer) = other.ask_bytes("POST", "/images/load?quiet=1", archive.clone());
    let line: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(line["stream"], "Loaded image: bb:1\n");
    assert_eq!(other.ask("GET", "/images/bb:1/json", "").1["Id"], id);
    let loaded = other.context.events.listen().take().unwrap();
    assert_eq!(
        (loaded.kind.as_str(), loaded.action.as_str()),
        ("image", "load")
    );
    assert_eq!(loaded.actor.attributes["name"], "bb:1");
    let (_, usage) = other.ask("GET", "/system/df", "");
    assert_eq!(usage["Images"][0]["Containers"], 0);
    assert!(usage["LayersSize"].as_i64() > Some(0));
    let third = Rig::new();
    let (_, answer) = third.ask_bytes("POST", "/images/load?quiet=0", archive.clone());
    let lines = answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let [layer, loaded] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(layer["status"], "Loading layer");
    assert_eq!(
        layer["progressDetail"]["current"],
        layer["progressDetail"]["total"]
    );
    let (_, image) = third.ask("GET", "/images/bb:1/json", "");
    let diff_id = image["RootFS"]["Layers"][0].as_str().unwrap();
    assert_eq!(layer["id"], diff_id[7..19]);
    assert_eq!(loaded["stream"], "Loaded image: bb:1\n");
    let cut = archive[..archive.len() / 2].to_vec();
    let third = Rig::new();
    let (status, answer) = third.ask_bytes("POST", "/images/load", cut);
    let line: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200);
    assert_eq!(line["error"], line["errorDetail"]["message"]);
    assert_eq!(third.ask("GET", "/images/json", "").1, json!([]));
}

#[test]
fn what_skep_does_not_do_with_images_is_said_in_one_line() {
    let rig = Rig::new();
    let pull = "/images/create?fromImage=alpine&tag=3";
    let expect = "cannot reach registry-1.docker.io: lookup registry-1.docker.io: no such host";
    rig.check_refused("POST", pull, "", (500, expect));
    let expect = "skep does not pull all tags of a repository: name one";
    rig.check_refused("POST", "/images/create?fromImage=a", "", (400, expect));
    rig.check_refused(
        "GET",
        "/images/nope/get",
        "",
        (404, "No such image: nope:latest"),
    );
    let expect = "invalid reference format: repository name (library/BB) must be lowercase";
    rig.check_refused("GET", "/images/BB/json", "", (400, expect));
    rig.check_refused(
        "GET",
        "/images/json?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D",
        "",
        (400, "invalid filter 'odd'"),
    );
    let (status, pruned) = rig.ask("POST", "/images/prune", "");
    let expect = json!({"ImagesDeleted": null, "SpaceReclaimed": 0});
    assert_eq!((status, pruned), (200, expect));
}

#[test]
fn containers_are_made_by_services_alone() {
    let rig = Rig::new();
    let expect = "skep runs containers as tasks of services: use service create --name NAME IMAGE";
    rig.check_refused("POST", "/containers/create?name=x", "{}", (400, expect));
    assert_eq!(
        rig.ask("GET", "/containers/json?all=1", ""),
        (200, json!([]))
    );
    for path in [
        "/containers/nope/json",
        "/containers/nope/top",
        "/containers/nope/stats",
    ] {
        rig.check_refused("GET", path, "", (404, "No such container: nope"));
    }
    let exec = r#"{"Cmd": ["sh"]}"#;
    rig.check_refused(
        "POST",
        "/containers/nope/exec",
        exec,
        (404, "No such container: nope"),
    );
    rig.check_refused(
        "POST",
        "/exec/nope/start",
        "{}",
        (404, "No such exec instance: nope"),
    );
    assert_eq!(
        rig.ask("POST", "/containers/prune", "").1["SpaceReclaimed"],
        0
    );
    assert_eq!(rig.ask("POST", "/build/prune", "").1["SpaceReclaimed"], 0);
    rig.check_refused(
        "GET",
        "/plugins/nope/json",
        "",
        (404, "plugin \"nope\" not found"),
    );
}
