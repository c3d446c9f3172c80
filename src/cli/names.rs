//! Names for ids, asked for once each.

use std::collections::BTreeMap;

use crate::cli::answer::text;
use crate::cli::client::{Client, Error, escape};

/// Finds the names of nodes and services.
#[derive(Debug)]
pub struct Names<'a> {
    client: &'a Client,
    resolve: bool,
    known: BTreeMap<String, String>,
}

impl<'a> Names<'a> {
    /// Asks the daemon, or gives ids back as they are if not to `resolve`.
    pub fn new(client: &'a Client, resolve: bool) -> Self {
        Self {
            client,
            resolve,
            known: BTreeMap::new(),
        }
    }

    /// The node's host name, or its id if it is gone.
    pub async fn node(&mut self, id: &str) -> Result<String, Error> {
        let pointers = ["/Spec/Name", "/Description/Hostname"];
        self.find("/nodes/", id, &pointers).await
    }

    /// The service's name, or its id if it is gone.
    pub async fn service(&mut self, id: &str) -> Result<String, Error> {
        self.find("/services/", id, &["/Spec/Name"]).await
    }

    async fn find(&mut self, path: &str, id: &str, pointers: &[&str]) -> Result<String, Error> {
        if id.is_empty() || !self.resolve {
            return Ok(id.to_owned());
        }
        if let Some(name) = self.known.get(id) {
            return Ok(name.clone());
        }
        let name = match self.client.get(&format!("{path}{}", escape(id))).await {
            Ok(object) => {
                let mut names = pointers.iter().map(|pointer| text(&object, pointer));
                names.find(|n| !n.is_empty()).unwrap_or(id).to_owned()
            }
            Err(Error::Daemon { .. }) => id.to_owned(),
            Err(error) => return Err(error),
        };
        self.known.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}
