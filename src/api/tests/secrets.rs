//! Secrets and configs as clients see them.

use serde_json::json;

use super::swarm::swarm;

#[test]
fn a_secret_is_never_shown_again() {
    let (rig, _managed) = swarm();
    let create = r#"{"Name": "token", "Labels": {"a": "b"}, "Data": "czNjcmV0"}"#;
    let (status, created) = rig.ask("POST", "/secrets/create", create);
    assert_eq!(status, 201, "{created}");
    let id = created["ID"].as_str().unwrap();
    for path in [
        "/secrets".to_owned(),
        "/secrets/token".to_owned(),
        format!("/secrets/{id}"),
    ] {
        let (status, shown) = rig.ask("GET", &path, "");
        assert_eq!(status, 200);
        let text = shown.to_string();
        assert!(
            !text.contains("czNjcmV0") && !text.contains("Data"),
            "{text}"
        );
        assert!(text.contains("token") && text.contains(id), "{text}");
    }
    rig.check_refused(
        "POST",
        "/secrets/create",
        create,
        (409, "secret token already exists"),
    );
    let none = r#"{"Name": "none", "Data": "%"}"#;
    let expect = "invalid JSON: Data: expected base64";
    rig.check_refused("POST", "/secrets/create", none, (400, expect));
    assert_eq!(rig.ask("DELETE", "/secrets/token", "").0, 204);
    rig.check_refused(
        "DELETE",
        "/secrets/token",
        "",
        (404, "secret token not found"),
    );
}

#[test]
fn a_config_is_shown_whole_and_its_labels_can_be_changed() {
    let (rig, _managed) = swarm();
    let create = r#"{"Name": "site", "Data": "aGk="}"#;
    assert_eq!(rig.ask("POST", "/configs/create", create).0, 201);
    let (_, shown) = rig.ask("GET", "/configs/site", "");
    let expect = json!({"Name": "site", "Labels": {}, "Data": "aGk="});
    assert_eq!(shown["Spec"], expect);
    let mut spec = shown["Spec"].clone();
    spec["Labels"] = json!({"k": "v"});
    let path = format!("/configs/site/update?version={}", shown["Version"]["Index"]);
    assert_eq!(rig.ask("POST", &path, &spec.to_string()).0, 200);
    assert_eq!(rig.ask("GET", "/configs/site", "").1["Spec"], spec);
    let (status, stale) = rig.ask("POST", &path, &spec.to_string());
    assert_eq!(status, 500, "{stale}");
    let (status, missing) = rig.ask("POST", "/configs/site/update", &spec.to_string());
    assert_eq!(
        (status, &missing["message"]),
        (400, &json!("the parameter version is missing"))
    );
}
