//! Images from a registry: Debian's, with TLS and passwords, on a network of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use skep::identity::text::base64;

use crate::host::{Host, signal};
use crate::lan::{Lan, Seat};
use crate::tools;

const USER: &str = "me";
const PASSWORD: &str = "s3cret-word";
/// The password as bcrypt has it.
const HASHED: &str = "$2y$05$abcdefghijklmnopqrstuuEpHRRKIlpAGo.iP7Bpa.htQEJMAAnRe";

/// Nothing in the image heeds a stop signal.
const STOPPED_SOON: [&str; 2] = ["--stop-grace-period", "1s"];

/// A registry at a seat of a network. It runs until it is dropped.
struct Registry {
    authority: String,
    certificate: String,
    seat: Seat,
    dir: PathBuf,
    process: Child,
}

impl Registry {
    fn start(program: &Path, seat: Seat) -> Self {
        let authority = format!("{}:5000", seat.address);
        let dir = std::env::temp_dir().join(format!("skep-e2e-registry-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the registry");
        let pair = rcgen::generate_simple_self_signed(vec![seat.address.clone()]);
        let pair = pair.expect("a certificate");
        let certificate = pem("CERTIFICATE", pair.cert.der());
        let config = json!({
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": dir.join("data")}},
            "http": {
                "addr": authority,
                "tls": {"certificate": dir.join("crt"), "key": dir.join("key")},
            },
            "auth": {"htpasswd": {"realm": "test", "path": dir.join("passwords")}},
        });
        for (name, text) in [
            ("crt", &certificate),
            (
                "key",
                &pem("PRIVATE KEY", &pair.signing_key.serialize_der()),
            ),
            ("passwords", &format!("{USER}:{HASHED}\n")),
            ("config", &config.to_string()),
        ] {
            fs::write(dir.join(name), text).expect("the registry's files can be written");
        }
        let mut command = inside(&seat);
        command.arg(program).arg("serve").arg(dir.join("config"));
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).expect("a log for the registry"))
            .spawn()
            .expect("the registry starts");
        Self {
            authority,
            certificate,
            seat,
            dir,
            process,
        }
    }

    /// Puts an index of the image with a tag there, as a client of several platforms would.
    fn put_index(&self, repository: &str, digest: &str, tag: &str) {
        let build = |architecture: &str| {
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest, "size": 1,
                "platform": {"os": "linux", "architecture": architecture},
            })
        };
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({
            "schemaVersion": 2, "mediaType": kind, "manifests": [build("amd64"), build("arm64")],
        });
        let url = format!("https://{}/v2/{repository}/manifests/{tag}", self.authority);
        let mut command = inside(&self.seat);
        command
            .args(["curl", "-sSf", "-X", "PUT", "--cacert"])
            .arg(self.dir.join("crt"))
            .args(["-u", &format!("{USER}:{PASSWORD}")])
            .args(["-H", &format!("Content-Type: {kind}")])
            .args(["--data", &index.to_string(), &url]);
        let status = command.status().expect("curl runs");
        assert!(status.success(), "curl: {status}");
    }

    fn stop(&mut self) {
        signal(self.process.id(), rustix::process::Signal::KILL);
        self.process.wait().expect("the registry is ours to reap");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A command in the network of a seat.
fn inside(seat: &Seat) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", seat.namespace));
    command
}

/// A manager, a worker and a registry.
struct Site {
    registry: Registry,
    manager: Host,
    worker: Host,
    _lan: Lan,
}

impl Site {
    fn start() -> Option<Self> {
        if !tools::root() {
            return None;
        }
        let (Some(busybox), Some(program)) = (tools::busybox(), tools::registry()) else {
            tools::skipped("no static busybox or no docker-registry, and none could be had");
            return None;
        };
        if !tools::curl() {
            tools::skipped("no curl, and it could not be installed");
            return None;
        }
        let lan = Lan::make("registry", 3)?;
        let registry = Registry::start(program, lan.seat(2));
        let manager = Host::at("registry0", lan.seat(0));
        let worker = Host::at("registry1", lan.seat(1));
        manager.load(busybox);
        manager.skep(&["swarm", "init"]);
        let token = manager.skep(&["swarm", "join-token", "-q", "worker"]);
        let at = format!("{}:2377", lan.seat(0).address);
        worker.skep(&["swarm", "join", "--token", token.trim(), &at]);
        Some(Self {
            registry,
            manager,
            worker,
            _lan: lan,
        })
    }

    fn image(&self, rest: &str) -> String {
        format!("{}/team/bb{rest}", self.registry.authority)
    }

    fn log_in(&self, host: &Host, password: &str) -> String {
        let args = [
            "login",
            "-u",
            USER,
            "-p",
            password,
            &self.registry.authority,
        ];
        let output = host.try_skep(&args);
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The worker has nothing of the image any more.
    fn forget(&self) {
        let ids = self.worker.skep(&["image", "ls", "-q"]);
        for id in ids.lines() {
            self.worker.until("the image is removed", || {
                let removed = self.worker.try_skep(&["image", "rm", "-f", id]);
                removed.status.success()
                    || String::from_utf8_lossy(&removed.stderr).contains("No such image")
            });
        }
        assert_eq!(self.worker.skep(&["image", "ls", "-q"]), "");
    }

    /// A service that runs on both hosts has come up, pinned; and it goes.
    fn runs_everywhere(&self, service: &str, digest: &str) {
        let manager = &self.manager;
        manager.until("both tasks run", || manager.running(service) == 2);
        let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
        let image = manager.skep(&["service", "inspect", service, "--format", format]);
        assert!(image.trim().ends_with(&format!("@{digest}")), "{image}");
        manager.skep(&["service", "rm", service]);
        self.worker.until("its container is gone", || {
            self.worker.skep(&["container", "ls", "-aq"]).is_empty()
        });
    }
}

#[test]
fn images_come_from_a_registry_with_tls_and_passwords() {
    let Some(mut site) = Site::start() else {
        return;
    };
    logins_are_checked(&site);
    let digest = image_goes_up(&site);
    image_comes_down(&site, &digest);
    services_are_deployed(&site, &digest);
    for cli in tools::docker_clis() {
        docker_deploys(&site, cli, &digest);
    }
    nobody_saw_the_password(&site);
    site.registry.stop();
    without_a_registry(&site, &digest);
}

fn logins_are_checked(site: &Site) {
    let manager = &site.manager;
    manager.until("the registry answers", || {
        site.log_in(manager, PASSWORD)
            .contains("its certificate is signed by nobody whom this host trusts")
    });
    for host in [manager, &site.worker] {
        fs::write(host.path("roots.crt"), &site.registry.certificate).expect("roots");
    }
    let wrong = site.log_in(manager, "wrong");
    assert!(wrong.contains("unauthorized"), "{wrong}");
    let right = site.log_in(manager, PASSWORD);
    assert!(right.contains("Login Succeeded"), "{right}");
}

fn image_goes_up(site: &Site) -> String {
    let (manager, name) = (&site.manager, site.image(":1"));
    manager.skep(&["image", "tag", "bb:1", &name]);
    let pushed = manager.skep(&["image", "push", &name]);
    let digest = pushed.rsplit("digest: ").next().unwrap_or_default();
    let digest = digest.split(' ').next().unwrap_or_default().to_owned();
    assert!(
        digest.starts_with("sha256:") && pushed.contains("Pushed"),
        "{pushed}"
    );
    let again = manager.skep(&["push", &name]);
    assert!(
        again.contains("Layer already exists") && again.contains(&digest),
        "{again}"
    );
    site.registry.put_index("team/bb", &digest, "several");
    digest
}

fn image_comes_down(site: &Site, digest: &str) {
    let worker = &site.worker;
    let refused = worker.try_skep(&["pull", &site.image(":1")]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("pull access denied for"), "{error}");
    site.log_in(worker, PASSWORD);
    let id = |name: &str| worker.skep(&["image", "inspect", "--format", "{{.Id}}", name]);
    let mut ids = Vec::new();
    for rest in [":1", &format!("@{digest}"), ":several"] {
        let name = site.image(rest);
        let pulled = worker.skep(&["pull", &name]);
        assert!(
            pulled.contains("Status: Downloaded newer image"),
            "{pulled}"
        );
        ids.push(id(&name));
        site.forget();
    }
    ids.push(
        site.manager
            .skep(&["image", "inspect", "--format", "{{.Id}}", "bb:1"]),
    );
    ids.dedup();
    assert_eq!(ids.len(), 1, "the same image by all names: {ids:?}");
    let missing = worker.try_skep(&["pull", &site.image(":none")]);
    let error = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(error.contains("manifest unknown"), "{error}");
    worker.skep(&["logout", &site.registry.authority]);
}

fn services_are_deployed(site: &Site, digest: &str) {
    let manager = &site.manager;
    let create = |image: &str, more: &[&str]| {
        let args = [
            &["service", "create", "-d", "--mode", "global", "--name", "s"],
            &STOPPED_SOON[..],
            more,
            &[image, "sleep", "1000"],
        ];
        manager.skep(&args.concat());
    };
    create(&site.image(":1"), &["--with-registry-auth"]);
    site.runs_everywhere("s", digest);
    site.forget();

    // The worker has no password, and takes what the manager has from there.
    create(&site.image(":1"), &[]);
    site.runs_everywhere("s", digest);
    site.forget();

    // What only the registry has under this name, nobody gets without one.
    create(&site.image(":several"), &[]);
    let told = || manager.skep(&["service", "ps", "--no-trunc", "--format", "{{.Error}}", "s"]);
    manager.until("the worker is refused", || {
        told().contains("repository does not exist or may require 'docker login'")
    });
    manager.skep(&["service", "rm", "s"]);
}

fn docker_deploys(site: &Site, cli: &Path, digest: &str) {
    let (manager, image) = (&site.manager, site.image(":several"));
    println!("{}", manager.docker(cli, &["--version"]).trim());
    manager.docker(cli, &["logout", &site.registry.authority]);
    let login = [
        "login",
        "-u",
        USER,
        "-p",
        PASSWORD,
        &site.registry.authority,
    ];
    manager.docker(cli, &login);
    let create = ["service", "create", "-d", "--mode", "global", "--name", "d"];
    let auth = ["--with-registry-auth", &image, "sleep", "1000"];
    manager.docker(cli, &[&create[..], &STOPPED_SOON, &auth].concat());
    manager.until("both tasks run", || manager.running("d") == 2);
    let update = ["service", "update", "-d", "--with-registry-auth", "--image"];
    manager.docker(cli, &[&update[..], &[&site.image(":1"), "d"]].concat());
    manager.until("both tasks are replaced", || {
        manager.task_states("d").len() == 4 && manager.running("d") == 2
    });
    site.runs_everywhere("d", digest);
    let pushed = manager.docker(cli, &["push", &site.image(":1")]);
    assert!(pushed.contains(digest), "{pushed}");
    site.forget();
}

fn nobody_saw_the_password(site: &Site) {
    let config = site.manager.path("docker-config/config.json");
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&config)
            .expect("the credentials")
            .permissions()
            .mode()
    };
    assert_eq!(mode & 0o777, 0o600);
    let config = fs::read_to_string(config).expect("the credentials can be read");
    let config: serde_json::Value = serde_json::from_str(&config).expect("they are JSON");
    let auth = config["auths"][&site.registry.authority]["auth"].as_str();
    let auth = auth.expect("the manager is logged in").to_owned();
    for host in [&site.manager, &site.worker] {
        let log = host.log();
        assert!(!log.contains(PASSWORD) && !log.contains(&auth), "{log}");
    }
}

fn without_a_registry(site: &Site, digest: &str) {
    let manager = &site.manager;
    let create = |name: &str, image: &str| {
        let args = [
            "service",
            "create",
            "-d",
            "--constraint",
            "node.role==manager",
            "--name",
        ];
        let output = manager
            .try_skep(&[&args[..], &[name], &STOPPED_SOON, &[image, "sleep", "1000"]].concat());
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let warned = create("absent", &site.image(":absent"));
    let expect = format!(
        "image {} could not be accessed on a registry to record",
        site.image(":absent")
    );
    assert!(warned.starts_with(&expect), "{warned}");
    // What is here needs none.
    for (name, image) in [("local", "bb:1"), ("pushed", &site.image(":1"))] {
        assert_eq!(create(name, image), "");
        manager.until("it runs", || manager.running(name) == 1);
    }
    let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    let pinned = manager.skep(&["service", "inspect", "pushed", "--format", format]);
    let (_, pinned) = pinned.trim().split_once('@').expect("it is pinned");
    let image = site.image(":1");
    let known = manager.skep(&["image", "inspect", "--format", "{{.RepoDigests}}", &image]);
    assert!(
        known.contains(pinned) && known.contains(digest),
        "{pinned} {known}"
    );
}
