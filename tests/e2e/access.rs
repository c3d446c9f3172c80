//! The API over TLS, for clients elsewhere.

use std::path::Path;
use std::process::{Command, Output};

use crate::fleet::Fleet;
use crate::host::{Host, SKEP};
use crate::tools;

const PORT: &str = "2376";

/// Makes certificates for a client.
fn client_cert(host: &Host, name: &str) -> String {
    let dir = host.path(name).display().to_string();
    let said = host.skep(&["swarm", "client-cert", "--name", name, &dir]);
    assert!(
        said.contains("ca.pem, cert.pem and key.pem are in"),
        "{said}"
    );
    dir
}

/// What a client on another machine of the network says of `daemon`.
fn elsewhere(fleet: &Fleet, program: &Path, daemon: &str, dir: &str, args: &[&str]) -> Output {
    let mut command = Command::new("nsenter");
    let namespace = fleet.lan.seat(1).namespace;
    command.arg(format!("--net=/run/netns/{namespace}"));
    command.arg(program).args(["-H", daemon, "--tlsverify"]);
    for (flag, file) in [
        ("--tlscacert", "ca.pem"),
        ("--tlscert", "cert.pem"),
        ("--tlskey", "key.pem"),
    ] {
        command.arg(format!("{flag}={dir}/{file}"));
    }
    command.args(args).output().expect("nsenter runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn whoever_has_a_clients_certificate_rules_the_swarm_from_elsewhere_and_nobody_else() {
    let Some(mut fleet) = Fleet::start("access", 2) else {
        return;
    };
    for host in &mut fleet.hosts {
        host.stop_daemon();
        host.add_flags(&["-H", &format!("tcp://0.0.0.0:{PORT}")]);
        host.start_daemon();
    }
    fleet.until_ready(2);
    let ann = client_cert(fleet.manager(), "ann");
    let [manager, worker] = [0, 1].map(|at| format!("tcp://{}:{PORT}", fleet.lan.seat(at).address));
    let skep = Path::new(SKEP);
    let ask = |daemon: &str, dir: &str, args: &[&str]| {
        let output = elsewhere(&fleet, skep, daemon, dir, args);
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    };

    let nodes = ask(&manager, &ann, &["node", "ls", "-q"]).unwrap();
    assert_eq!(nodes.lines().count(), 2);
    let create = [
        "service", "create", "-d", "--name", "web", "bb:1", "sleep", "1000",
    ];
    ask(&manager, &ann, &create).unwrap();
    fleet
        .manager()
        .until("it runs", || fleet.manager().running("web") == 1);
    // A connection that is handed over goes through TLS as well.
    let said = ask(&manager, &ann, &["exec", "web.1", "echo", "hello"]);
    assert_eq!(said.as_deref(), Ok("hello\n"));
    for cli in tools::docker_clis() {
        let args = ["service", "ls", "--format", "{{.Name}} {{.Replicas}}"];
        let output = elsewhere(&fleet, cli, &manager, &ann, &args);
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(said, "web 1/1\n", "{}: {error}", cli.display());
    }

    let again = fleet.manager().try_skep(&["swarm", "client-cert", &ann]);
    assert!(
        text(&again.stderr).contains("ca.pem: file exists"),
        "{}",
        text(&again.stderr)
    );
    let refused = ask(&worker, &ann, &["info"]).unwrap_err();
    assert!(
        refused.contains("cannot connect") || refused.contains("TLS"),
        "{refused}"
    );
    let log = fleet.hosts[1].log();
    assert!(log.contains("over TLS only managers answer"), "{log}");

    // Somebody of another swarm, who knows this one's roots, and who believes in others.
    let other = Host::swarm("access-other").expect("the tools are there");
    let eve = client_cert(&other, "eve");
    let refused = ask(&manager, &eve, &["info"]).unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    std::fs::copy(format!("{ann}/ca.pem"), format!("{eve}/ca.pem")).unwrap();
    let refused = ask(&manager, &eve, &["info"]).unwrap_err();
    assert!(!refused.contains("Swarm"), "{refused}");
    let log = fleet.manager().log();
    assert!(log.contains("was not issued by this swarm"), "{log}");
}
