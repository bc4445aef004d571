//! What the decision log says about a decision. It contains no data from the client.

use std::time::Duration;

use api_gateway::Effect;
use auth::{AuthError, DenyReason};
use runtime::decision_log::{Caller, Decided};
use runtime::log::Level;

use crate::outcome::{AuthorizeError, Decision};

/// The members of the line about `decision`.
pub(crate) fn describe<'a>(
    decision: &'a Result<Decision, AuthorizeError>,
    issuer: Option<&'a str>,
    request_id: &'a str,
    took: Duration,
) -> Decided<'a> {
    let (level, outcome, reason) = match decision {
        Ok(decision) if decision.effect == Effect::Allow => (Level::Info, "allowed", "allowed"),
        Ok(decision) => {
            let reason = decision.reason.map_or("denied", DenyReason::as_str);
            (Level::Warn, "denied", reason)
        }
        Err(
            rejection @ (AuthorizeError::Refused(AuthError::Unauthorized(_))
            | AuthorizeError::Revoked(..)),
        ) => (Level::Warn, "unauthorized", rejection.as_str()),
        Err(rejection) => (Level::Error, "error", rejection.as_str()),
    };
    Decided {
        level,
        outcome,
        reason,
        cause: decision.as_ref().err().and_then(AuthorizeError::cause),
        caller: match decision {
            Ok(Decision { claims, .. }) => Caller::Known(claims),
            Err(AuthorizeError::Revoked(_, subject_hash)) => Caller::Revoked(subject_hash),
            Err(_) => Caller::Unknown,
        },
        issuer,
        request_id: Some(request_id),
        took,
    }
}
