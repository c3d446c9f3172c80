//! Templates, from the command line to what a container sees of them.

use crate::host::Host;

const CONFIG: &str = "{{.Service.Name}} on {{.Node.Hostname}} as {{env \"COLOUR\"}} with \
                      {{secret \"token\"}} for {{index .Service.Labels \"of.tier\"}}";
const PROGRAM: &str =
    "hostname; echo $WHO; cat /site; echo; echo x > /data/$(hostname); sleep 1000";

#[test]
fn a_task_is_filled_in_with_what_it_is_and_where() {
    let Some(host) = Host::swarm("templates") else {
        return;
    };
    std::fs::write(host.path("token"), "s3cret").expect("a file for the secret");
    std::fs::write(host.path("site"), CONFIG).expect("a file for the config");
    let path = |name: &str| host.path(name).to_string_lossy().into_owned();
    host.skep(&["secret", "create", "token", &path("token")]);
    let args = ["config", "create", "--template-driver"];
    host.skep(&[&args[..], &["golang", "site", &path("site")]].concat());
    let refused = host.try_skep(&[&args[..], &["jinja", "other", &path("site")]].concat());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("only \"golang\" is possible"), "{error}");

    let create = ["service", "create", "-d", "--name", "web", "--replicas=2"];
    let wrong = ["--env=SLOT={{.Task.Slots}}", "bb:1"];
    let refused = host.try_skep(&[&create[..], &wrong].concat());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expect = "Env: \"SLOT={{.Task.Slots}}\": template parsing error: executing \"\" at \
                  <.Task.Slots>: no such field";
    assert!(error.contains(expect), "{error}");

    let flags = [
        "--label=of.tier=front",
        "--hostname={{.Service.Name}}-{{.Task.Slot}}",
        "--env=WHO={{.Task.Name}}",
        "--env=COLOUR=red",
        "--mount=type=volume,source=data-{{.Task.Slot}},target=/data",
        "--secret=token",
        "--config=source=site,target=/site",
    ];
    let program = ["bb:1", "sh", "-c", PROGRAM];
    host.skep(&[&create[..], &flags, &program].concat());
    host.until("two have started", || {
        host.skep(&["service", "logs", "--raw", "web"])
            .lines()
            .count()
            == 6
    });
    let logs = host.skep(&["service", "logs", "--raw", "web"]);
    let mut lines: Vec<_> = logs.lines().collect();
    lines.sort_unstable();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let site = format!("web on {} as red with s3cret for front", hostname.trim());
    assert_eq!(lines[..4], [&site, &site, "web-1", "web-2"], "{logs}");
    for number in 1..=2 {
        let file = format!("state/volumes/data-{number}/_data/web-{number}");
        assert!(host.path(&file).exists(), "{file}");
        let name = format!("web.{number}.");
        assert!(lines.iter().any(|line| line.starts_with(&name)), "{logs}");
    }
}
