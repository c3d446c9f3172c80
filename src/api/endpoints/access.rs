//! `/skep/client-cert`: certificates for clients of the API over TLS.

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::swarm as json;
use crate::api::types::timestamp::rfc3339;
use crate::identity::access::{NAME_CHARS_MAX, is_client_name};
use crate::identity::authority::{NODE_LIFE_MS_MIN, requested_key};
use crate::identity::text::certificate_pem;
use crate::model::time::ms_of_ns;
use crate::wire::access::{AccessOrder, Bearer};
use crate::wire::control::{Request, Response};

/// Ten years: whoever wants a certificate that never ends has not thought of the day it is lost.
const LIFE_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;

pub async fn client(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ClientCertRequest = call.json().await?;
    if !is_client_name(&given.name) {
        return Err(Failure::bad(format!(
            "invalid name {:?}: a client has a name of 1 to {NAME_CHARS_MAX} characters",
            given.name
        )));
    }
    let life_ms = ms_of_ns(given.expiry);
    if !(NODE_LIFE_MS_MIN..=LIFE_MS_MAX).contains(&life_ms) {
        return Err(Failure::bad(
            "invalid expiry: a client's certificate lives for 1 hour to 10 years",
        ));
    }
    requested_key(&given.request.0).map_err(|why| {
        Failure::bad(format!(
            "the request for a certificate does not hold: {why}"
        ))
    })?;
    let order = AccessOrder {
        request: given.request.0,
        bearer: Bearer::Client(given.name.clone()),
        life_ms,
    };
    let Response::Access(access) = call.ask(Request::Access(order)).await? else {
        return Err(odd_answer());
    };
    tracing::info!("{:?} is a client of the API now", given.name);
    let pem = |all: &[Vec<u8>]| all.iter().map(|one| certificate_pem(one)).collect();
    Ok(answer::json(&json::ClientCert {
        certificate: pem(&access.chain),
        ca: pem(&access.roots),
        not_after: rfc3339(access.not_after),
    }))
}
