//! A client of the registries that keep images: OCI's distribution API, and Docker's before it.
//!
//! The code blocks; callers run it on a blocking thread. It trusts a registry with nothing: every
//! answer has a limit in size and in time, and what a digest names is checked against it.

pub mod challenge;
pub mod credentials;
pub mod proxy;
pub mod trust;
pub mod endpoint;
pub mod settings;
pub mod failure;
pub mod http;
pub mod token;
pub mod repository;
pub mod choice;
pub mod pace;
pub mod blob;

#[cfg(test)]
pub(crate) mod tests;
