//! Secrets and configs, from the command line to the files that a container reads.

use std::path::Path;
use std::process::Command;

use crate::host::Host;
use crate::tools;

const SECRET: &str = "s3cret-bTk4xQ";
const PROGRAM: &str = "cd /run/secrets; for f in token db/key /site.conf; do stat -c '%n %u:%g %a' \
                       $f; cat $f; echo; done; stat -f -c %T token; sleep 1000";
const EXPECT: [&str; 7] = [
    "token 0:0 444",
    SECRET,
    "db/key 7:8 400",
    SECRET,
    "/site.conf 0:0 444",
    "listen 80",
    "tmpfs",
];

#[test]
fn a_service_reads_its_secrets_and_configs_and_both_clis_show_them_alike() {
    let Some(mut host) = Host::swarm("secrets") else {
        return;
    };
    std::fs::write(host.path("token"), SECRET).expect("a file for the secret");
    std::fs::write(host.path("site"), "listen 80").expect("a file for the config");
    let (token, site) = (path(&host, "token"), path(&host, "site"));
    host.skep(&["secret", "create", "-l", "use=db", "token", &token]);
    host.skep(&["config", "create", "site", &site]);
    for cli in tools::docker_clis() {
        looks_alike(&host, cli);
    }
    serves(&host, |args| host.skep(args), "web");
    for (number, cli) in tools::docker_clis().iter().enumerate() {
        serves(
            &host,
            |args| host.docker(cli, args),
            &format!("web{number}"),
        );
        host.skep(&["service", "rm", &format!("web{number}")]);
    }

    let refused = host.try_skep(&["secret", "rm", "token"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    let expect = "secret 'token' is in use by the following service: web";
    assert!(error.contains(expect), "{error}");
    outlives_its_daemon(&mut host);
    is_on_no_disk(&host);

    host.skep(&["service", "rm", "web"]);
    assert_eq!(host.skep(&["secret", "rm", "token"]), "token\n");
    assert_eq!(host.skep(&["config", "rm", "site"]), "site\n");
}

fn path(host: &Host, name: &str) -> String {
    host.path(name).to_string_lossy().into_owned()
}

/// The words of a text without those of ages, which go on while one looks.
fn ageless(text: &str) -> Vec<&str> {
    const OF_AGES: &str = "Less than a second seconds About minute minutes";
    let is_of_age = |word: &&str| {
        word.parse::<u32>().is_ok() || OF_AGES.split(' ').any(|of_age| of_age == *word)
    };
    text.split_whitespace()
        .filter(|word| !is_of_age(word))
        .collect()
}

/// What `docker` prints, `skep` prints.
fn looks_alike(host: &Host, cli: &Path) {
    for args in [
        &["secret", "ls"][..],
        &["secret", "inspect", "token"],
        &["secret", "inspect", "--pretty", "token"],
        &[
            "secret",
            "ls",
            "--format",
            "{{.Name}} {{.Labels}} {{.Driver}}",
        ],
        &["config", "ls", "--filter", "name=site"],
        &["config", "inspect", "--pretty", "site"],
        &["config", "ls", "-q"],
    ] {
        let (ours, theirs) = (host.skep(args), host.docker(cli, args));
        assert_eq!(ageless(&ours), ageless(&theirs), "{args:?}");
    }
    let shown = host.docker(cli, &["secret", "inspect", "token"]);
    assert!(
        !shown.contains("Data") && !shown.contains(SECRET),
        "{shown}"
    );
}

/// A service made by one of the CLIs finds its files.
fn serves(host: &Host, run: impl Fn(&[&str]) -> String, name: &str) {
    run(&[
        "service",
        "create",
        "-d",
        "--name",
        name,
        "--secret",
        "token",
        "--secret",
        "source=token,target=db/key,uid=7,gid=8,mode=0400",
        "--config",
        "source=site,target=/site.conf",
        "bb:1",
        "sh",
        "-c",
        PROGRAM,
    ]);
    host.until("the container has read its files", || {
        let logs = host.skep(&["service", "logs", "--raw", name]);
        logs.lines().eq(EXPECT)
    });
    let args = ["service", "inspect", name, "-f", "{{json .Spec}}"];
    let spec: serde_json::Value = serde_json::from_str(&host.skep(&args)).expect("a spec");
    // Docker's older CLI sends them in any order.
    let secrets = spec["TaskTemplate"]["ContainerSpec"]["Secrets"].as_array();
    let mut secrets = secrets.expect("secrets").iter();
    let named = secrets.find(|secret| secret["File"]["Name"] == "token");
    let named = named.expect("the file token");
    assert_eq!(named["SecretName"], "token");
    assert_eq!(named["File"]["Mode"], 0o444);
}

/// The container goes on with its files, and what is started after needs the manager to send them.
fn outlives_its_daemon(host: &mut Host) {
    host.stop_daemon();
    host.start_daemon();
    host.until("the container is there", || host.running("web") == 1);
    let id = host.skep(&["ps", "-q", "--filter", "name=web.1."]);
    let read = host.skep(&["exec", id.trim(), "cat", "/run/secrets/token"]);
    assert_eq!(read, SECRET);
    host.skep(&["service", "scale", "-d", "web=2"]);
    host.until("two have read their files", || {
        let logs = host.skep(&["service", "logs", "--raw", "web"]);
        logs.lines().count() == 2 * EXPECT.len()
    });
}

/// What a node is given lies nowhere but in memory.
fn is_on_no_disk(host: &Host) {
    let mut grep = Command::new("grep");
    grep.args(["-rl", SECRET])
        .args([host.path("run"), host.path("state/layers")]);
    let found = grep.output().expect("grep runs");
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let but_the_logs: Vec<_> = found
        .lines()
        .filter(|path| !path.contains("/log."))
        .collect();
    assert_eq!(but_the_logs, Vec::<&str>::new());
    let log = std::fs::read_to_string(host.path("log")).unwrap_or_default();
    assert!(!log.contains(SECRET), "{log}");
}
