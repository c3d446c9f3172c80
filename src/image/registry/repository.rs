//! One repository of a registry, with whatever it takes to get in.

mod upload;

use std::sync::{Mutex, PoisonError};

use ureq::http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};

use crate::image::digest::Digest;
use crate::image::manifest;
use crate::image::registry::challenge::{Bearer, Challenge};
use crate::image::registry::credentials::Credentials;
use crate::image::registry::endpoint::Endpoint;
use crate::image::registry::failure::{Refusal, RegistryError};
use crate::image::registry::http::{Answer, Ask, Http};
use crate::image::registry::settings::Settings;
use crate::image::registry::token;

/// What the distribution API allows.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// What is understood, the preferred first. The last two are taken to be refused by name.
const ACCEPTED: [&str; 6] = [
    manifest::INDEX_TYPE,
    manifest::DOCKER_LIST_TYPE,
    manifest::MANIFEST_TYPE,
    manifest::DOCKER_MANIFEST_TYPE,
    manifest::SCHEMA1_SIGNED_TYPE,
    manifest::SCHEMA1_TYPE,
];

/// A repository at one of the hosts that answer for its registry.
#[derive(Debug)]
pub struct Repository {
    http: Http,
    path: String,
    /// What is to be done there: `pull`, or `pull,push`.
    actions: &'static str,
    credentials: Credentials,
    way_in: Mutex<WayIn>,
}

/// How to get in.
#[derive(Clone)]
enum WayIn {
    Open,
    Basic,
    Bearer {
        bearer: Bearer,
        token: Option<String>,
    },
}

/// A manifest, or an index of manifests, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    pub media_type: String,
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

impl Repository {
    /// Finds out how to get in. Nothing of the repository is asked for yet.
    pub fn open(
        settings: &Settings,
        endpoint: &Endpoint,
        path: &str,
        actions: &'static str,
        credentials: &Credentials,
    ) -> Result<Self, RegistryError> {
        let http = Http::new(settings, endpoint);
        // A copy of the registry is someone else.
        let credentials = match endpoint.is_mirror {
            true => Credentials::default(),
            false => credentials.clone(),
        };
        let answer = http.send(Ask::get(format!("{}/v2/", endpoint.base())))?;
        let way_in = match answer.status() {
            200..=299 => WayIn::Open,
            401 => WayIn::choose(&http, answer)?,
            404 => {
                return Err(RegistryError::Nonsense {
                    host: endpoint.authority.clone(),
                    what: "404 for /v2/: it is no registry that speaks version 2".to_owned(),
                });
            }
            _ => return Err(RegistryError::Refused(answer.refusal())),
        };
        Ok(Self {
            http,
            path: path.to_owned(),
            actions,
            credentials,
            way_in: Mutex::new(way_in),
        })
    }

    /// Whether the registry lets these credentials in at all.
    pub fn check_login(&self) -> Result<(), RegistryError> {
        self.fetch(|| Ask::get(format!("{}/v2/", self.base())))
            .map(drop)
    }

    /// The host that it is at.
    pub fn host(&self) -> &str {
        &self.http.endpoint().authority
    }

    /// The manifest with a tag or a digest. What a digest names is checked.
    pub fn manifest(&self, name: &str) -> Result<Fetched, RegistryError> {
        let expected: Option<Digest> = match name.contains(':') {
            true => Some(
                name.parse()
                    .map_err(|_| RegistryError::DigestText(name.chars().take(100).collect()))?,
            ),
            false => None,
        };
        let url = self.url("manifests", name);
        let answer = self.fetch(|| {
            ACCEPTED
                .iter()
                .fold(Ask::get(url.clone()), |ask, accepted| {
                    ask.header(ACCEPT.as_str(), *accepted)
                })
        })?;
        let media_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        let announced = answer.header("docker-content-digest");
        let expected = expected.or_else(|| announced?.parse().ok());
        let bytes = answer.bytes("a manifest", MANIFEST_BYTES_MAX)?;
        let found = Digest::of(&bytes);
        match expected {
            Some(expected) if expected != found => Err(RegistryError::Digest {
                host: self.host().to_owned(),
                expected,
                found,
            }),
            _ => Ok(Fetched {
                media_type,
                digest: found,
                bytes,
            }),
        }
    }

    /// A blob from its byte `offset` on.
    pub fn blob(&self, digest: Digest, offset: u64) -> Result<Answer, RegistryError> {
        let url = self.url("blobs", &digest.to_string());
        self.fetch(|| match offset {
            0 => Ask::get(url.clone()),
            _ => Ask::get(url.clone()).header("range", format!("bytes={offset}-")),
        })
    }

    /// Asks with what it takes to get in, once more if the registry wants to see something else.
    pub fn fetch<'a>(&self, ask: impl Fn() -> Ask<'a>) -> Result<Answer, RegistryError> {
        let answer = self.http.send(self.signed(ask())?)?;
        if answer.status() != 401 {
            return answer.accepted();
        }
        // Whoever the registry redirected to has no say in who is told the password.
        let challenges = match answer.host == self.host() {
            true => WayIn::challenges(&answer),
            false => Vec::new(),
        };
        let refusal = answer.refusal();
        // A token that has run out is the usual reason.
        if !self.may_try_again(challenges)? {
            return Err(RegistryError::Refused(refusal));
        }
        self.http.send(self.signed(ask())?)?.accepted()
    }

    fn signed<'a>(&self, mut ask: Ask<'a>) -> Result<Ask<'a>, RegistryError> {
        ask.authorization = self.authorization()?;
        Ok(ask)
    }

    fn authorization(&self) -> Result<Option<String>, RegistryError> {
        if !self.credentials.registry_token.is_empty() {
            return Ok(Some(format!("Bearer {}", self.credentials.registry_token)));
        }
        // Held while a token is fetched: the layers that are fetched at once need one together.
        let mut way_in = self.way_in.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *way_in {
            WayIn::Open => Ok(None),
            WayIn::Basic => Ok(self.credentials.basic()),
            WayIn::Bearer { bearer, token } => {
                let token = match token {
                    Some(token) => token.clone(),
                    None => {
                        let scope = self.scope(bearer);
                        let new = token::fetch(&self.http, bearer, &scope, &self.credentials)?;
                        token.insert(new).clone()
                    }
                };
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    /// Forgets the token; false if nothing is left to try.
    fn may_try_again(&self, challenges: Vec<Challenge>) -> Result<bool, RegistryError> {
        if !self.credentials.registry_token.is_empty() {
            return Ok(false);
        }
        let Some(next) = WayIn::from(&self.http, challenges)? else {
            return Ok(false);
        };
        let mut way_in = self.way_in.lock().unwrap_or_else(PoisonError::into_inner);
        let is_basic_again = matches!((&*way_in, &next), (WayIn::Basic, WayIn::Basic));
        *way_in = next;
        Ok(!is_basic_again)
    }

    /// What a token is asked for; the login check is about no repository.
    fn scope(&self, bearer: &Bearer) -> String {
        match self.path.is_empty() {
            true => bearer.scope.clone(),
            false => format!("repository:{}:{}", self.path, self.actions),
        }
    }

    fn url(&self, kind: &str, name: &str) -> String {
        format!("{}/v2/{}/{kind}/{name}", self.base(), self.path)
    }

    fn base(&self) -> String {
        self.http.endpoint().base()
    }
}

impl WayIn {
    fn challenges(answer: &Answer) -> Vec<Challenge> {
        let headers = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let texts = headers.filter_map(|header| header.to_str().ok());
        texts.flat_map(Challenge::parse).collect()
    }

    fn choose(http: &Http, answer: Answer) -> Result<Self, RegistryError> {
        let challenges = Self::challenges(&answer);
        let refusal: Refusal = answer.refusal();
        Self::from(http, challenges)?.ok_or(RegistryError::Refused(refusal))
    }

    /// By a token rather than by a password with every request.
    fn from(http: &Http, challenges: Vec<Challenge>) -> Result<Option<Self>, RegistryError> {
        let has_basic = challenges.contains(&Challenge::Basic);
        let bearer = challenges
            .into_iter()
            .find_map(|challenge| match challenge {
                Challenge::Bearer(bearer) => Some(bearer),
                Challenge::Basic => None,
            });
        if let Some(bearer) = bearer {
            token::check_realm(http, &bearer)?;
            return Ok(Some(Self::Bearer {
                bearer,
                token: None,
            }));
        }
        Ok(has_basic.then_some(Self::Basic))
    }
}

impl std::fmt::Debug for WayIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Basic => "Basic",
            Self::Bearer { .. } => "Bearer",
        })
    }
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetched({}, {})", self.media_type, self.digest)
    }
}
