//! What `service create` does with an image's name: pins it to what the daemon has under it, so
//! that all nodes run the same.

use hyper::Method;
use serde_json::{Value, json};

use crate::cli::answer::{list, text};
use crate::cli::client::{Client, empty, escape};
use crate::image::reference::Reference;

/// Pins the image of a task's spec, to a digest and to the platforms that there are builds for. If
/// the daemon does not know it, the answer is false, and each node looks for the name itself.
pub async fn pin(client: &Client, task: &mut Value, auth: Option<String>) -> bool {
    let image = text(task, "/ContainerSpec/Image").to_owned();
    let path = format!("/distribution/{}/json", escape(&image));
    let request = empty().signed(auth);
    let Ok(found) = client.json(Method::GET, &path, request).await else {
        return false;
    };
    if let Some(pinned) = with_digest(&image, text(&found, "/Descriptor/digest")) {
        task["ContainerSpec"]["Image"] = pinned.into();
    }
    let platforms: Vec<Value> = list(&found, "/Platforms").iter().map(platform).collect();
    if !platforms.is_empty() {
        task["Placement"]["Platforms"] = platforms.into();
    }
    true
}

/// What docker's client says then.
pub fn warning(image: &str) -> String {
    format!(
        "image {image} could not be accessed on a registry to record\nits digest. Each node will \
         access {image} independently,\npossibly leading to different nodes running \
         different\nversions of the image.\n"
    )
}

/// `bb:1` as `bb:1@sha256:…`, unless it has a digest or is no name.
fn with_digest(image: &str, digest: &str) -> Option<String> {
    let name = Reference::parse(image).ok()?;
    if name.digest.is_some() || digest.is_empty() {
        return None;
    }
    Some(format!("{}@{digest}", name.or_latest().familiar()))
}

/// As docker's client: a build for some ARM runs on all of them.
fn platform(platform: &Value) -> Value {
    let architecture = match text(platform, "/architecture") {
        "arm" => "",
        architecture => architecture,
    };
    json!({"Architecture": architecture, "OS": text(platform, "/os")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(image: &str, expect: Option<&str>) {
        assert_eq!(with_digest(image, "sha256:ab").as_deref(), expect);
    }

    #[test]
    fn a_name_is_pinned_as_docker_pins_it() {
        check("bb", Some("bb:latest@sha256:ab"));
        check("docker.io/library/bb:1", Some("bb:1@sha256:ab"));
        check("x.y:5000/bb:1", Some("x.y:5000/bb:1@sha256:ab"));
        check(&format!("bb@sha256:{}", "0".repeat(64)), None);
        check("BB", None);
        assert_eq!(with_digest("bb", ""), None);
    }

    #[test]
    fn a_build_for_arm_may_run_on_any_arm() {
        let arm = json!({"architecture": "arm", "os": "linux", "variant": "v7"});
        assert_eq!(platform(&arm), json!({"Architecture": "", "OS": "linux"}));
        let amd64 = json!({"architecture": "amd64", "os": "linux"});
        assert_eq!(platform(&amd64)["Architecture"], "amd64");
    }
}
