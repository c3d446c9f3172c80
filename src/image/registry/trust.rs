//! Whom this host trusts, and what it shows of itself: certificates from files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use crate::image::disk;

/// Where systems keep the roots that they trust, all in one file.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Far more than any system's bundle.
const BUNDLE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 256;

/// The roots that this host trusts for every registry: the system's, or those that the environment
/// names, as OpenSSL reads it.
pub fn system_roots() -> Vec<Certificate<'static>> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let (file, dir) = (set("SSL_CERT_FILE"), set("SSL_CERT_DIR"));
    if file.is_none() && dir.is_none() {
        let bundle = BUNDLES.iter().map(Path::new).find(|path| path.exists());
        return bundle.map(read).unwrap_or_default();
    }
    let in_dir = dir.map(|dir| files_in(&dir, &["crt", "pem", "0"]));
    let files = file.into_iter().chain(in_dir.into_iter().flatten());
    files.flat_map(|file| read(&file)).collect()
}

/// The roots that this host trusts for one registry only.
pub fn own_roots(folders: &[PathBuf], authority: &str) -> Vec<Certificate<'static>> {
    let files = folders
        .iter()
        .flat_map(|folder| files_in(&folder.join(authority), &["crt"]));
    files.flat_map(|file| read(&file)).collect()
}

/// What this host shows to one registry: a certificate and its key, side by side under one name.
pub fn client(folders: &[PathBuf], authority: &str) -> Option<ClientCert> {
    let mut files = folders
        .iter()
        .flat_map(|folder| files_in(&folder.join(authority), &["cert"]));
    files.find_map(|file| {
        let chain = read(&file);
        let key = read_key(&file.with_extension("key"))?;
        (!chain.is_empty()).then(|| ClientCert::new_with_certs(&chain, key))
    })
}

/// The files of a folder with one of these endings, in the order of their names.
fn files_in(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<_> = paths
        .filter(|path| {
            let ending = path.extension().and_then(OsStr::to_str);
            ending.is_some_and(|ending| endings.contains(&ending))
        })
        .take(FILES_MAX)
        .collect();
    paths.sort();
    paths
}

/// The certificates of a file; a damaged one is passed over.
fn read(path: &Path) -> Vec<Certificate<'static>> {
    let bytes = disk::read_bounded(path, BUNDLE_BYTES_MAX);
    let bytes = bytes.inspect_err(|error| tracing::warn!("{error}"));
    let items = parse_pem(bytes.as_deref().unwrap_or_default());
    let certificates = items.filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    certificates.collect()
}

fn read_key(path: &Path) -> Option<PrivateKey<'static>> {
    let bytes = disk::read_bounded(path, BUNDLE_BYTES_MAX);
    let bytes = bytes.inspect_err(|error| tracing::warn!("{error}")).ok()?;
    parse_pem(&bytes).find_map(|item| match item {
        Ok(PemItem::PrivateKey(key)) => Some(key),
        _ => None,
    })
}
