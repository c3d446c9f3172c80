//! The whole API: every method and path, and the endpoint that answers.

use futures_lite::future::BoxedLocal;
use hyper::{Method, StatusCode};

use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::endpoints::{
    access, backup, containers, disk, distribution, doctor, events, exec, images, logs, metrics,
    networks, nodes, push, registry, secrets, services, stats, swarm, system, tasks, volumes,
};
use crate::api::failure::Failure;
use crate::api::query::decode;

/// One line of the table. `{x}` stands for one segment of the path, `{x*}` for one or more.
pub struct Route {
    method: Method,
    pattern: &'static str,
    pub run: fn(Call) -> BoxedLocal<Result<Answer, Failure>>,
}

impl Route {
    /// Whether it concerns containers of the host, or their commands.
    pub fn is_for_managers(&self) -> bool {
        let starts = [
            "/containers/{id}/",
            "/exec/{id}/",
            "/skep/logs/",
            "/skep/doctor",
        ];
        starts.iter().any(|start| self.pattern.starts_with(start))
    }
}

macro_rules! routes {
    ($($method:ident $pattern:literal $endpoint:path;)*) => {
        &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            run: |call| Box::pin($endpoint(call)),
        },)*]
    };
}

/// The first line that fits counts.
const ROUTES: &[Route] = routes! {
    GET    "/_ping"                          system::ping;
    HEAD   "/_ping"                          system::ping;
    GET    "/version"                        system::version;
    GET    "/info"                           system::info;
    GET    "/events"                         events::stream;
    GET    "/metrics"                        metrics::show;
    GET    "/system/df"                      disk::usage;
    POST   "/auth"                           registry::auth;

    GET    "/swarm"                          swarm::inspect;
    POST   "/swarm/init"                     swarm::init;
    POST   "/swarm/join"                     swarm::join;
    POST   "/swarm/leave"                    swarm::leave;
    POST   "/swarm/update"                   swarm::update;
    GET    "/swarm/unlockkey"                swarm::unlock_key;
    POST   "/swarm/unlock"                   swarm::unlock;
    POST   "/skep/client-cert"               access::client;
    GET    "/skep/doctor"                    doctor::examine;
    GET    "/skep/backup"                    backup::backup;
    POST   "/skep/restore"                   backup::restore;

    GET    "/nodes"                          nodes::list;
    GET    "/nodes/{id}"                     nodes::inspect;
    POST   "/nodes/{id}/update"              nodes::update;
    DELETE "/nodes/{id}"                     nodes::remove;

    GET    "/services"                       services::list;
    POST   "/services/create"                services::create;
    GET    "/services/{id}"                  services::inspect;
    POST   "/services/{id}/update"           services::update;
    DELETE "/services/{id}"                  services::remove;

    GET    "/services/{id}/logs"             logs::service;

    GET    "/tasks"                          tasks::list;
    GET    "/tasks/{id}"                     tasks::inspect;
    GET    "/tasks/{id}/logs"                logs::task;

    GET    "/networks"                       networks::list;
    POST   "/networks/create"                networks::create;
    POST   "/networks/prune"                 networks::prune;
    GET    "/networks/{id}"                  networks::inspect;
    DELETE "/networks/{id}"                  networks::remove;

    GET    "/secrets"                        secrets::list_secrets;
    POST   "/secrets/create"                 secrets::create_secret;
    GET    "/secrets/{id}"                   secrets::inspect_secret;
    POST   "/secrets/{id}/update"            secrets::update_secret;
    DELETE "/secrets/{id}"                   secrets::remove_secret;
    GET    "/configs"                        secrets::list_configs;
    POST   "/configs/create"                 secrets::create_config;
    GET    "/configs/{id}"                   secrets::inspect_config;
    POST   "/configs/{id}/update"            secrets::update_config;
    DELETE "/configs/{id}"                   secrets::remove_config;

    GET    "/volumes"                        volumes::list;
    POST   "/volumes/create"                 volumes::create;
    POST   "/volumes/prune"                  volumes::prune;
    GET    "/volumes/{name}"                 volumes::inspect;
    DELETE "/volumes/{name}"                 volumes::remove;

    GET    "/images/json"                    images::list;
    POST   "/images/load"                    images::load;
    POST   "/images/create"                  images::create;
    POST   "/images/prune"                   images::prune;
    GET    "/images/get"                     images::save_many;
    GET    "/images/search"                  images::search;
    GET    "/images/{name*}/json"            images::inspect;
    GET    "/images/{name*}/history"         images::history;
    GET    "/images/{name*}/get"             images::save_one;
    POST   "/images/{name*}/tag"             images::tag;
    POST   "/images/{name*}/push"            push::push;
    DELETE "/images/{name*}"                 images::remove;
    GET    "/distribution/{name*}/json"      distribution::inspect;

    GET    "/containers/json"                containers::list;
    POST   "/containers/create"              containers::create;
    POST   "/containers/prune"               containers::prune;
    GET    "/containers/{id}/json"           containers::inspect;
    GET    "/containers/{id}/top"            containers::top;
    GET    "/containers/{id}/logs"           logs::container;
    GET    "/containers/{id}/stats"          stats::stats;
    GET    "/containers/{id}/changes"        containers::files;
    GET    "/containers/{id}/archive"        containers::files;
    PUT    "/containers/{id}/archive"        containers::files;
    GET    "/containers/{id}/export"         containers::files;
    POST   "/containers/{id}/attach"         containers::attach;
    POST   "/containers/{id}/kill"           containers::kill;
    POST   "/containers/{id}/stop"           containers::stop;
    POST   "/containers/{id}/wait"           containers::wait;
    POST   "/containers/{id}/start"          containers::belongs;
    POST   "/containers/{id}/restart"        containers::belongs;
    POST   "/containers/{id}/pause"          containers::belongs;
    POST   "/containers/{id}/unpause"        containers::belongs;
    POST   "/containers/{id}/rename"         containers::belongs;
    POST   "/containers/{id}/update"         containers::belongs;
    DELETE "/containers/{id}"                containers::belongs;

    POST   "/containers/{id}/exec"           exec::create;
    POST   "/exec/{id}/start"                exec::start;
    POST   "/exec/{id}/resize"               exec::resize;
    GET    "/exec/{id}/json"                 exec::inspect;

    GET    "/skep/logs/{kind}/{id}"          logs::lines;

    POST   "/build"                          disk::not_here;
    POST   "/build/prune"                    disk::prune_builds;
    POST   "/commit"                         disk::not_here;
    GET    "/plugins"                        disk::no_plugins;
    GET    "/plugins/{name*}/json"           disk::no_plugin;
};

/// The route of a request and what its braces stand for.
pub fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>), Failure> {
    let mut fits = ROUTES
        .iter()
        .filter_map(|route| Some((route, fit(route.pattern, path)?)));
    let mut other_method = false;
    let found = fits.find(|(route, _)| {
        let same = route.method == *method;
        other_method |= !same;
        same
    });
    found.ok_or_else(|| match other_method {
        true => Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        false => Failure::not_found("page not found"),
    })
}

/// What the braces of `pattern` stand for in `path`, if it fits.
fn fit(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut given: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let wanted: Vec<&str> = pattern.strip_prefix('/')?.split('/').collect();
    let joined;
    if let Some(at) = wanted.iter().position(|segment| segment.ends_with("*}")) {
        let extra = given.len().checked_sub(wanted.len())?;
        joined = given[at..=at + extra].join("/");
        given.splice(at..=at + extra, [joined.as_str()]);
    }
    if given.len() != wanted.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.starts_with('{') {
            true if given.is_empty() => return None,
            true => parameters.push(decode(given)),
            false if wanted != given => return None,
            false => {}
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expect: Option<&[&str]>) {
        let expect = expect.map(|list| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(fit(pattern, path), expect, "{pattern} {path}");
    }

    #[test]
    fn paths_fit_their_patterns() {
        check("/services", "/services", Some(&[]));
        check("/services", "/services/", None);
        check("/services/{id}", "/services/web", Some(&["web"]));
        check("/services/{id}", "/services/", None);
        check("/services/{id}", "/services/a%2Fb", Some(&["a/b"]));
        check("/services/{id}", "/services/a/b", None);
        check(
            "/images/{name*}/json",
            "/images/localhost:5000/a/b:1/json",
            Some(&["localhost:5000/a/b:1"]),
        );
        check("/images/{name*}/json", "/images/json", None);
        check("/images/{name*}", "/images/a/b", Some(&["a/b"]));
        check("/services", "services", None);
    }

    #[test]
    fn a_known_path_with_another_method_is_told_from_an_unknown_path() {
        assert_eq!(find(&Method::GET, "/nodes/a").unwrap().1, ["a"]);
        assert_eq!(
            find(&Method::PUT, "/nodes/a")
                .err()
                .unwrap()
                .status
                .as_u16(),
            405
        );
        assert_eq!(
            find(&Method::GET, "/nope").err().unwrap().message,
            "page not found"
        );
    }
}
