//! What a host without a swarm answers.

use serde_json::json;

use super::Rig;

const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker \
                        swarm join\" to connect this node to swarm and try again.";

#[test]
fn info_and_version_describe_the_host() {
    let rig = Rig::new();
    let (status, info) = rig.ask("GET", "/v1.41/info", "");
    assert_eq!(status, 200);
    assert_eq!(info["Name"], "pi");
    assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    assert_eq!(info["Swarm"]["ControlAvailable"], false);
    assert_eq!(info["DockerRootDir"], rig.dir.to_str().unwrap());
    let (_, version) = rig.ask("GET", "/version", "");
    assert_eq!(version["ApiVersion"], "1.47");
    assert_eq!(version["MinAPIVersion"], "1.24");
    assert_eq!(version["Components"][0]["Name"], "Engine");
}

#[test]
fn without_a_swarm_the_swarms_objects_are_503() {
    let rig = Rig::new();
    for path in [
        "/nodes",
        "/services",
        "/tasks",
        "/secrets",
        "/configs",
        "/swarm",
        "/services/x",
    ] {
        rig.check_refused("GET", path, "", (503, NO_SWARM));
    }
    let spec = r#"{"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "hello"}}}"#;
    rig.check_refused("POST", "/services/create", spec, (503, NO_SWARM));
    rig.check_refused(
        "POST",
        "/swarm/leave",
        "",
        (503, "This node is not part of a swarm"),
    );
}

#[test]
fn swarm_init_checks_what_it_is_given() {
    let rig = Rig::new();
    let init = "/swarm/init";
    let odd = r#"{"ListenAddr": "eth0", "Availability": "lazy", "DataPathPort": 70000}"#;
    let expect = "Availability: \"lazy\" is not one of active, pause, drain; \
                  DataPathPort: 70000 is not a port: ports end at 65535; \
                  ListenAddr: \"eth0\" is not an IP address with or without a port";
    rig.check_refused("POST", init, odd, (400, expect));
    let expect = "cannot use \"192.0.2.1\" as an address: it is not an address of this host";
    rig.check_refused(
        "POST",
        init,
        r#"{"AdvertiseAddr": "192.0.2.1"}"#,
        (400, expect),
    );
}

#[test]
fn predefined_networks_are_there_without_a_swarm() {
    let rig = Rig::new();
    let (_, networks) = rig.ask("GET", "/networks", "");
    assert_eq!(networks[0]["Name"], "host");
    assert_eq!(rig.ask("GET", "/networks/none", "").1["Driver"], "null");
    rig.check_refused("GET", "/networks/web", "", (404, "network web not found"));
    let expect = "host is a pre-defined network and cannot be removed";
    rig.check_refused("DELETE", "/networks/host", "", (403, expect));
}

#[test]
fn volumes_are_made_listed_and_removed() {
    let rig = Rig::new();
    let create = r#"{"Name": "data", "Labels": {"a": "b"}, "DriverOpts": {}}"#;
    let (status, volume) = rig.ask("POST", "/volumes/create", create);
    assert_eq!(status, 201);
    assert_eq!(volume["Labels"], json!({"a": "b"}));
    assert!(
        volume["Mountpoint"]
            .as_str()
            .unwrap()
            .ends_with("volumes/data/_data")
    );
    let (status, nameless) = rig.ask("POST", "/volumes/create", "");
    assert_eq!(status, 201);
    assert_eq!(
        rig.ask("GET", "/volumes", "").1["Volumes"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let filtered = "/volumes?filters=%7B%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D";
    assert_eq!(
        rig.ask("GET", filtered, "").1["Volumes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    rig.check_refused(
        "GET",
        "/volumes/none",
        "",
        (404, "get none: no such volume"),
    );
    let tape = r#"{"Name": "x", "Driver": "tape"}"#;
    let expect = "skep has the volume driver local and not \"tape\"";
    rig.check_refused("POST", "/volumes/create", tape, (400, expect));
    assert_eq!(rig.ask("DELETE", "/volumes/data", "").0, 204);
    rig.check_refused(
        "DELETE",
        "/volumes/data",
        "",
        (404, "get data: no such volume"),
    );
    assert_eq!(
        rig.ask("POST", "/volumes/prune", "").1["VolumesDeleted"],
        json!([nameless["Name"]])
    );
}
