//! `/skep/doctor`: what keeps a host from doing its part, and what mends it.

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::failure::Failure;
use crate::api::types::node as json;

pub async fn examine(call: Call) -> Result<Answer, Failure> {
    let found = call.context.cluster.examine().await;
    let found = found.into_iter().map(|found| json::Finding {
        check: found.check,
        outcome: found.outcome.name().into(),
        found: found.found,
        mend: found.mend,
    });
    Ok(answer::json(&found.collect::<Vec<_>>()))
}
