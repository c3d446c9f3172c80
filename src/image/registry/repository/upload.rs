//! The way up: blobs and manifests that the registry is given.

use ureq::http::Method;
use ureq::http::header::{CONTENT_TYPE, LOCATION};

use crate::image::digest::Digest;
use crate::image::registry::failure::RegistryError;
use crate::image::registry::http::{Ask, Outgoing, join};
use crate::image::registry::repository::Repository;

impl Repository {
    /// Whether it has a blob.
    pub fn has_blob(&self, digest: Digest) -> Result<bool, RegistryError> {
        let url = self.url("blobs", &digest.to_string());
        match self.fetch(|| Ask::new(Method::HEAD, url.clone())) {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it a blob.
    pub fn send_blob(&self, digest: Digest, body: Outgoing<'_>) -> Result<(), RegistryError> {
        let begin = self.url("blobs", "uploads/");
        let begun = self.fetch(|| Ask::new(Method::POST, begin.clone()))?;
        let location = begun.header(LOCATION.as_str()).unwrap_or_default();
        let place = begin.parse().ok().filter(|_| !location.is_empty());
        let place = place.map(|from| join(&from, location));
        let place = place.ok_or_else(|| RegistryError::Nonsense {
            host: self.host().to_owned(),
            what: "no place for a blob".to_owned(),
        })?;
        let joint = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{joint}digest=sha256%3A{}", digest.hex());
        self.put(url, "application/octet-stream", body)
    }

    /// Gives it a manifest, under a tag.
    pub fn send_manifest(&self, tag: &str, kind: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let length = bytes.len() as u64;
        let bytes = &mut &*bytes;
        self.put(self.url("manifests", tag), kind, Outgoing { bytes, length })
    }

    /// Once: whoever has the bytes can begin anew.
    fn put(&self, url: String, kind: &str, body: Outgoing<'_>) -> Result<(), RegistryError> {
        let mut ask = Ask::new(Method::PUT, url).header(CONTENT_TYPE.as_str(), kind);
        // Some keep their blobs elsewhere, and the way there is all that it takes.
        if self.http.is_own(&ask.url) {
            ask = self.signed(ask)?;
        }
        ask.body = Some(body);
        self.http.fetch(ask).map(drop)
    }
}
