//! What a node has to give beside processors and memory: generic resources, and devices.

use crate::host::Host;

/// It goes on when it may open the device in that way.
fn tries(way: &str) -> String {
    format!("if (: {way}) 2>/dev/null; then echo opens; else echo denied; fi; ")
}

#[test]
fn generic_resources_are_shared_out_and_a_named_device_is_given_with_its_name() {
    let flags = [
        "--node-generic-resource=gpu=one",
        "--node-generic-resource=gpu=two",
        "--node-generic-resource=fuse=/dev/fuse",
        "--node-generic-resource=ssd=4",
    ];
    let Some(host) = Host::swarm_with("generic", &flags) else {
        return;
    };
    let resources = "{{json .Description.Resources.GenericResources}}";
    let shown = host.skep(&["node", "inspect", "self", "-f", resources]);
    assert!(shown.contains(r#"{"Kind":"gpu","Value":"two"}"#), "{shown}");
    let create = ["service", "create", "-d", "--replicas=3", "--name", "gpu"];
    let wants = ["--generic-resource=gpu=1", "--generic-resource=ssd=1"];
    let program = ["bb:1", "sh", "-c", "env | grep DOCKER_; sleep 1000"];
    host.skep(&[&create[..], &wants, &program].concat());
    host.until("two have a gpu each", || {
        let logs = host.skep(&["service", "logs", "--raw", "gpu"]);
        let mut lines: Vec<_> = logs.lines().collect();
        lines.sort_unstable();
        lines
            == [
                "DOCKER_RESOURCE_GPU=one",
                "DOCKER_RESOURCE_GPU=two",
                "DOCKER_RESOURCE_SSD=1",
                "DOCKER_RESOURCE_SSD=1",
            ]
    });
    let errors = host.skep(&[
        "service",
        "ps",
        "gpu",
        "--no-trunc",
        "--format",
        "{{.Error}}",
    ]);
    let expect = "\"no suitable node (insufficient resources on 1 node)\"";
    assert!(errors.lines().any(|line| line == expect), "{errors}");

    let script = tries("<> /dev/fuse") + &tries("< /dev/loop-control") + "sleep 1000";
    let create = ["service", "create", "-d", "--name", "fuse"];
    let program = ["--generic-resource=fuse=1", "bb:1", "sh", "-c", &script];
    host.skep(&[&create[..], &program].concat());
    host.until("the one with the device can open it", || {
        let logs = host.skep(&["service", "logs", "--raw", "fuse"]);
        logs == "opens\ndenied\n"
    });
}

#[test]
fn a_device_is_there_under_its_name_and_can_be_opened_as_it_was_said() {
    let Some(host) = Host::swarm("devices") else {
        return;
    };
    let script = tries("< /dev/mine")
        + &tries("> /dev/mine")
        + &tries("<> /dev/net/tun")
        + "ls /dev/net; sleep 1000";
    let create = ["service", "create", "-d", "--name", "web"];
    let refused = host.try_skep(&[&create[..], &["--device=/etc/passwd", "bb:1"]].concat());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("only files below /dev are possible"),
        "{error}"
    );
    let devices = [
        "--device=/dev/loop-control:/dev/mine:r",
        "--device=/dev/net/tun",
    ];
    let program = ["bb:1", "sh", "-c", &script];
    host.skep(&[&create[..], &devices, &program].concat());
    host.until("the program has tried", || {
        let logs = host.skep(&["service", "logs", "--raw", "web"]);
        logs == "opens\ndenied\nopens\ntun\n"
    });
    // Both CLIs know the devices by a label of the container.
    let label = "{{index .Spec.TaskTemplate.ContainerSpec.Labels \"skep.devices\"}}";
    let shown = host.skep(&["service", "inspect", "web", "-f", label]);
    assert_eq!(shown.trim(), "/dev/loop-control:/dev/mine:r,/dev/net/tun");
    let gone = ["--device-rm=/dev/mine", "--device-rm=/dev/net/tun"];
    host.skep(&[&["service", "update", "-d"], &gone[..], &["web"]].concat());
    host.until("the next has none", || {
        let logs = host.skep(&["service", "logs", "--raw", "web"]);
        // A file is made where there is no device.
        logs.contains("denied\nopens\ndenied\n")
    });
}
