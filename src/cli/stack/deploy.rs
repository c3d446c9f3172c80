//! `stack deploy`.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};

use crate::api::types::base64::Base64;
use crate::cli::answer::{text, uint};
use crate::cli::client::{self, Client, escape, with_query};
use crate::cli::commands::Run;
use crate::cli::compose::ComposeError;
use crate::cli::compose::convert;
use crate::cli::compose::resources::{IMAGE, Need, Stack, is_predefined};
use crate::cli::context::{Context, print, print_error_bytes};
use crate::cli::credentials::Keychain;
use crate::cli::failure::Failure;
use crate::cli::flags::{Args, Command, Flag, Kind, Parsed};
use crate::cli::resource::content;
use crate::cli::service::{pin, progress, warn};
use crate::cli::stack::config::{FILES, project};
use crate::cli::stack::{SERVICE, belonging, remove, stack_of};
use crate::host::wait::blocking;

/// `stack deploy`.
pub const DEPLOY: Command = Command {
    names: &["stack deploy", "stack up"],
    usage: "[OPTIONS] STACK",
    about: "Deploy a new stack or update an existing stack",
    args: Args::Exactly(1),
    flags: &[
        FILES,
        Flag::new(
            "detach",
            Kind::Switch,
            "Exit immediately instead of waiting for the stack services to converge (default true)",
        )
        .short('d'),
        Flag::new(
            "prune",
            Kind::Switch,
            "Prune services that are no longer referenced",
        ),
        Flag::new("quiet", Kind::Switch, "Suppress progress output").short('q'),
        Flag::new(
            "resolve-image",
            Kind::One("string", check_resolve),
            "Query the registry to resolve image digest and supported platforms (\"always\", \
             \"changed\", \"never\") (default \"always\")",
        ),
        Flag::new(
            "with-registry-auth",
            Kind::Switch,
            "Send registry authentication details to Swarm agents",
        ),
    ],
    run: Run(|context, parsed| Box::pin(deploy(context, parsed))),
};

fn check_resolve(text: &str) -> Result<(), String> {
    match text {
        "always" | "changed" | "never" => Ok(()),
        _ => Err("must be always, changed or never".to_owned()),
    }
}

async fn deploy(context: Context, parsed: Parsed) -> Result<(), Failure> {
    let name = stack_of(&parsed)?.to_owned();
    let project = project(&parsed, false).await?;
    let stack = Stack {
        name,
        config: project.config,
    };
    check(&stack)?;
    let is_detached = !parsed.given("detach") || parsed.on("detach");
    if !parsed.given("detach") {
        let note = "Since --detach=false was not specified, tasks will be created in the \
                    background.\nIn a future release, --detach=false will become the default.\n";
        print_error_bytes(note.as_bytes())?;
    }
    let deploying = Deploying {
        client: &context.client,
        parsed: &parsed,
        stack: &stack,
    };
    if parsed.on("prune") {
        deploying.prune().await?;
    }
    deploying.networks().await?;
    let mut ids = BTreeMap::new();
    for (kind, path) in [("secrets", "/secrets"), ("configs", "/configs")] {
        for need in stack.contents(kind) {
            let id = deploying.content(path, &need).await?;
            ids.insert((kind.to_owned(), need.name), id);
        }
    }
    let services = deploying.services(&ids).await?;
    if is_detached {
        return Ok(());
    }
    progress::wait(&context, &services, parsed.on("quiet")).await
}

/// All that is wrong with the services, before anything is made of them.
fn check(stack: &Stack) -> Result<(), ComposeError> {
    let any = |_: &str, _: &str| Some(String::new());
    let services = stack.section("services");
    let specs = services.map(|(name, given)| convert::service(stack, name, given, &any));
    let faults: Vec<String> = specs.filter_map(Result::err).collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(ComposeError(faults)),
    }
}

struct Deploying<'a> {
    client: &'a Client,
    parsed: &'a Parsed,
    stack: &'a Stack,
}

impl Deploying<'_> {
    /// Removes services of the stack that its files no longer have.
    async fn prune(&self) -> Result<(), Failure> {
        for service in belonging(self.client, SERVICE, &self.stack.name).await? {
            let name = text(&service, "/Spec/Name");
            let is_wanted = |(known, _): (&String, &Value)| self.stack.scoped(known) == name;
            if !self.stack.section("services").any(is_wanted) {
                print(&format!("Removing service {name}\n"))?;
                remove(self.client, SERVICE, &service).await?;
            }
        }
        Ok(())
    }

    async fn networks(&self) -> Result<(), Failure> {
        let needs = self.stack.networks();
        // What has to be there is looked for before anything is made.
        for need in needs.iter().filter(|need| need.is_external) {
            if !is_predefined(&need.name) && self.network(&need.name).await?.is_none() {
                return Err(Failure::Reported(format!(
                    "network {:?} is declared as external, but could not be found. You need to \
                     create a swarm-scoped network before the stack is deployed",
                    need.name
                )));
            }
        }
        for need in needs.iter().filter(|need| !need.is_external) {
            if self.network(&need.name).await?.is_none() {
                print(&format!("Creating network {}\n", need.name))?;
                self.client.post("/networks/create", &need.spec).await?;
            }
        }
        Ok(())
    }

    /// A network of the swarm with this name.
    async fn network(&self, name: &str) -> Result<Option<Value>, client::Error> {
        let path = format!("/networks/{}?scope=swarm", escape(name));
        match self.client.get(&path).await {
            Ok(network) if text(&network, "/Name") == name => Ok(Some(network)),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a secret or config, or changes the labels of one that is there; its id.
    async fn content(&self, path: &str, need: &Need) -> Result<String, Failure> {
        let word = path.trim_start_matches('/').trim_end_matches('s');
        let found = self
            .client
            .get(&format!("{path}/{}", escape(&need.name)))
            .await;
        let found = match found {
            Ok(found) if text(&found, "/Spec/Name") == need.name => Some(found),
            Ok(_) => None,
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if need.is_external {
            let found = found.ok_or_else(|| Failure::Missing {
                kind: "external secret or config",
                name: need.name.clone(),
            })?;
            return Ok(text(&found, "/ID").to_owned());
        }
        let mut spec = need.spec.clone();
        if let Some(file) = need.file.clone() {
            let data = blocking(move || content(&file)).await?;
            spec["Data"] = json!(Base64(data));
        }
        match found {
            Some(found) => {
                let id = text(&found, "/ID");
                let version = uint(&found, "/Version/Index").to_string();
                let update = format!("{path}/{id}/update");
                let update = with_query(&update, &[("version", &version)]);
                self.client.post(&update, &spec).await?;
                Ok(id.to_owned())
            }
            None => {
                print(&format!("Creating {word} {}\n", need.name))?;
                let created = self.client.post(&format!("{path}/create"), &spec).await?;
                Ok(text(&created, "/ID").to_owned())
            }
        }
    }

    /// Makes or changes all services; their ids.
    async fn services(
        &self,
        contents: &BTreeMap<(String, String), String>,
    ) -> Result<Vec<String>, Failure> {
        let before = belonging(self.client, SERVICE, &self.stack.name).await?;
        let find =
            |kind: &str, name: &str| contents.get(&(kind.to_owned(), name.to_owned())).cloned();
        let mut ids = Vec::new();
        for (name, given) in self.stack.section("services") {
            let spec = convert::service(self.stack, name, given, &find);
            let spec = spec.map_err(ComposeError::one)?;
            let old = before.iter();
            let old = old.clone().find(|old| old["Spec"]["Name"] == spec["Name"]);
            ids.push(match old {
                Some(old) => self.update(old, spec).await?,
                None => self.create(spec).await?,
            });
        }
        Ok(ids)
    }

    async fn create(&self, mut spec: Value) -> Result<String, Failure> {
        print(&format!("Creating service {}\n", text(&spec, "/Name")))?;
        let auth = self.auth(&spec)?;
        if self.parsed.text("resolve-image") != Some("never") {
            self.pin(&mut spec, auth.clone()).await?;
        }
        let request = client::json(&spec).signed(self.sent(auth));
        let created = self
            .client
            .json(Method::POST, "/services/create", request)
            .await?;
        warn(&created)?;
        Ok(text(&created, "/ID").to_owned())
    }

    async fn update(&self, old: &Value, mut spec: Value) -> Result<String, Failure> {
        let id = text(old, "/ID");
        print(&format!(
            "Updating service {} (id: {id})\n",
            text(&spec, "/Name")
        ))?;
        let auth = self.auth(&spec)?;
        let is_changed = spec["Labels"][IMAGE] != old["Spec"]["Labels"][IMAGE];
        match self.parsed.text("resolve-image").unwrap_or("always") {
            "always" => self.pin(&mut spec, auth.clone()).await?,
            "changed" if is_changed => self.pin(&mut spec, auth.clone()).await?,
            // As it was pinned.
            _ if !is_changed => {
                let before = &old["Spec"]["TaskTemplate"];
                let task = &mut spec["TaskTemplate"];
                task["ContainerSpec"]["Image"] = before["ContainerSpec"]["Image"].clone();
                if !before["Placement"]["Platforms"].is_null() {
                    task["Placement"]["Platforms"] = before["Placement"]["Platforms"].clone();
                }
            }
            _ => {}
        }
        // Nobody asked for a restart of tasks that stay the same.
        let forced = &old["Spec"]["TaskTemplate"]["ForceUpdate"];
        spec["TaskTemplate"]["ForceUpdate"] = forced.clone();
        let version = uint(old, "/Version/Index").to_string();
        let mut query = vec![("version", version.as_str())];
        let auth = self.sent(auth);
        if auth.is_none() {
            query.push(("registryAuthFrom", "spec"));
        }
        let path = with_query(&format!("/services/{id}/update"), &query);
        let request = client::json(&spec).signed(auth);
        let answer = self.client.json(Method::POST, &path, request).await?;
        warn(&answer)?;
        Ok(id.to_owned())
    }

    async fn pin(&self, spec: &mut Value, auth: Option<String>) -> Result<(), Failure> {
        let image = text(spec, "/TaskTemplate/ContainerSpec/Image").to_owned();
        match pin::pin(self.client, &mut spec["TaskTemplate"], auth).await {
            true => Ok(()),
            false => print_error_bytes(format!("{}\n", pin::warning(&image)).as_bytes()),
        }
    }

    fn auth(&self, spec: &Value) -> Result<Option<String>, Failure> {
        Keychain::of_user().header_for(text(spec, "/TaskTemplate/ContainerSpec/Image"))
    }

    /// What of a user's credentials goes with the service.
    fn sent(&self, auth: Option<String>) -> Option<String> {
        auth.filter(|_| self.parsed.on("with-registry-auth"))
    }
}
