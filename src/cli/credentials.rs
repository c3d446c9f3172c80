//! A user's credentials for registries, in the file that docker's client keeps: each client finds
//! what the other was told, but for what docker gives to a credentials helper.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::cli::answer::text;
use crate::cli::failure::Failure;
use crate::identity::text::{base64, from_base64};
use crate::image::reference::Reference;

/// The name that the file gives to Docker's own registry.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB: &str = "docker.io";
const FILE_BYTES_MAX: u64 = 4 << 20;
const MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// The file.
#[derive(Debug, Clone)]
pub struct Keychain {
    path: PathBuf,
}

impl Keychain {
    /// The file of this user: in the folder `$DOCKER_CONFIG`, or in `.docker` at home.
    pub fn of_user() -> Self {
        let given = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty());
        let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/".into()));
        let dir = given.map_or_else(|| home().join(".docker"), PathBuf::from);
        Self {
            path: dir.join("config.json"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What goes with a request about an image: the credentials for its registry, if there are any.
    pub fn header_for(&self, image: &str) -> Result<Option<String>, Failure> {
        // A name that is none is for the daemon to refuse.
        match Reference::parse(image) {
            Ok(reference) => self.header(&reference.registry),
            Err(_) => Ok(None),
        }
    }

    fn header(&self, registry: &str) -> Result<Option<String>, Failure> {
        let config = self.read()?;
        let entries = config.get("auths").and_then(Value::as_object);
        let own = entries.into_iter().flatten();
        let own = own.filter(|(key, _)| registry_of(key) == registry);
        // The very key of a login comes before other spellings, and what says nothing counts not.
        let (exact, others): (Vec<_>, Vec<_>) = own.partition(|(key, _)| **key == key_of(registry));
        let mut all = exact.into_iter().chain(others);
        let header = all.find_map(|(key, entry)| auth(key, entry));
        Ok(header.map(|auth| encoded(&auth)))
    }

    /// Keeps a name and a password, as docker does: not encrypted, for this user alone.
    pub fn keep(&self, registry: &str, username: &str, password: &str) -> Result<(), Failure> {
        let mut config = self.read()?;
        let auth = base64(format!("{username}:{password}").as_bytes());
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Some(all) = auths.as_object_mut() {
            all.retain(|key, _| registry_of(key) != registry);
        }
        auths[key_of(registry)] = json!({"auth": auth});
        self.write(&config)
    }

    /// Forgets the credentials for a registry; false if there are none.
    pub fn forget(&self, registry: &str) -> Result<bool, Failure> {
        let mut config = self.read()?;
        let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else {
            return Ok(false);
        };
        let before = auths.len();
        auths.retain(|key, _| registry_of(key) != registry);
        let forgotten = auths.len() < before;
        if forgotten {
            self.write(&config)?;
        }
        Ok(forgotten)
    }

    fn read(&self) -> Result<Map<String, Value>, Failure> {
        let bytes = match crate::image::disk::read_bounded(&self.path, FILE_BYTES_MAX) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(self.failure("read", error.source)),
            Ok(bytes) => bytes,
        };
        serde_json::from_slice(&bytes).map_err(|error| self.failure("read", error.into()))
    }

    /// A file that is there keeps its content until the new one is whole.
    fn write(&self, config: &Map<String, Value>) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            // A link to the file stays one.
            let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
            if let Some(dir) = path.parent() {
                let mut private = fs::DirBuilder::new();
                private.recursive(true).mode(DIR_MODE).create(dir)?;
            }
            let new = path.with_extension(format!("json.{}", std::process::id()));
            // Of a process that was killed, which had this one's number.
            let _ = fs::remove_file(&new);
            let mut options = File::options();
            let mut file = options.write(true).create_new(true).mode(MODE).open(&new)?;
            let written = file
                .write_all(format!("{:#}\n", Value::Object(config.clone())).as_bytes())
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::rename(&new, &path));
            written.inspect_err(|_| drop(fs::remove_file(&new)))
        };
        write().map_err(|error| self.failure("write", error))
    }

    fn failure(&self, action: &'static str, source: io::Error) -> Failure {
        Failure::File {
            action,
            path: self.path.display().to_string(),
            source,
        }
    }
}

/// An entry of the file as the API wants it.
fn auth(key: &str, entry: &Value) -> Option<Value> {
    let pair = String::from_utf8(from_base64(text(entry, "/auth"))?).ok()?;
    let (username, password) = pair.split_once(':').unwrap_or_default();
    // Docker ends some with a NUL.
    let password = password.trim_end_matches('\0');
    let auth = json!({
        "username": username,
        "password": password,
        "identitytoken": text(entry, "/identitytoken"),
        "registrytoken": text(entry, "/registrytoken"),
        "serveraddress": key,
    });
    let is_empty = username.is_empty()
        && text(entry, "/identitytoken").is_empty()
        && text(entry, "/registrytoken").is_empty();
    (!is_empty).then_some(auth)
}

/// As it stands in the header: base 64 for URLs.
fn encoded(auth: &Value) -> String {
    base64(auth.to_string().as_bytes())
        .replace('+', "-")
        .replace('/', "_")
}

/// The registry that a key of the file names.
pub fn registry_of(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" => HUB,
        host => host,
    }
}

/// The key that docker gives to a registry.
pub fn key_of(registry: &str) -> &str {
    if registry == HUB { HUB_KEY } else { registry }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Home(Keychain);

    impl Home {
        fn new(name: &str) -> Self {
            let name = format!("skep-keychain-{}-{name}", std::process::id());
            let path = env::temp_dir().join(name).join("sub/config.json");
            Self(Keychain { path })
        }

        fn decoded(&self, image: &str) -> Option<Value> {
            let header = self.0.header_for(image).unwrap()?;
            Some(serde_json::from_slice(&from_base64(&header).unwrap()).unwrap())
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(
                self.0.path.parent().unwrap().parent().unwrap(),
            ));
        }
    }

    #[test]
    fn credentials_are_kept_for_this_user_alone_and_forgotten() {
        let home = Home::new("kept");
        assert_eq!(home.decoded("alpine"), None);
        home.0.keep("docker.io", "me", "p:q").unwrap();
        home.0.keep("r.example:5000", "you", "ü").unwrap();
        let mode = fs::metadata(home.0.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let kept: Value = serde_json::from_slice(&fs::read(home.0.path()).unwrap()).unwrap();
        assert_eq!(kept["auths"][HUB_KEY]["auth"], "bWU6cDpx");
        let mine = home.decoded("alpine").unwrap();
        assert_eq!(
            (&mine["username"], &mine["password"]),
            (&json!("me"), &json!("p:q"))
        );
        let yours = home.decoded("r.example:5000/a/b:1").unwrap();
        assert_eq!(
            (&yours["username"], &yours["password"]),
            (&json!("you"), &json!("ü"))
        );
        assert_eq!(home.decoded("other.example/a"), None);
        assert!(home.0.forget("docker.io").unwrap());
        assert!(!home.0.forget("docker.io").unwrap());
        assert_eq!(home.decoded("alpine"), None);
        assert!(home.decoded("r.example:5000/a").is_some());
    }

    #[test]
    fn what_docker_wrote_is_understood_and_stays() {
        let home = Home::new("docker");
        fs::create_dir_all(home.0.path.parent().unwrap()).unwrap();
        let written = r#"{"auths": {"https://a.example/v2/": {"auth": "bWU6cAA="},
            "b.example": {"auth": "", "identitytoken": "t"}, "c.example": {}},
            "detachKeys": "ctrl-x"}"#;
        fs::write(home.0.path(), written).unwrap();
        assert_eq!(home.decoded("a.example/x").unwrap()["password"], "p");
        assert_eq!(home.decoded("b.example/x").unwrap()["identitytoken"], "t");
        assert_eq!(home.decoded("c.example/x"), None);
        home.0.keep("d.example", "me", "p").unwrap();
        let kept = fs::read_to_string(home.0.path()).unwrap();
        assert!(kept.contains("ctrl-x") && kept.contains("https://a.example/v2/"));
        fs::write(home.0.path(), "{").unwrap();
        let error = home.0.header_for("a.example/x").unwrap_err().to_string();
        assert!(
            error.starts_with("read ") && !error.contains('\n'),
            "{error}"
        );
    }
}
