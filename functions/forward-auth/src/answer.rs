//! The response to a proxy.

use auth_phantom::JWKS_MAX_AGE_SECONDS;
use auth_tower::Challenges;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, Method, Response, StatusCode};

use crate::outcome::{DENIED, Outcome};

/// `Retry-After` of every 503.
const RETRY: HeaderValue = HeaderValue::from_static("1");

/// A response with its whole body.
pub type Answer = Response<String>;

fn challenge<'c>(challenges: &'c Challenges, outcome: &Outcome) -> Option<&'c HeaderValue> {
    match outcome {
        Outcome::Refused(refusal) => challenges.of_refusal(refusal),
        Outcome::Denied { reason, .. } if *reason == DENIED => {
            Some(challenges.insufficient_scope())
        }
        Outcome::Denied { .. }
        | Outcome::Allowed(_)
        | Outcome::LoggedOut(_)
        | Outcome::ForeignOrigin
        | Outcome::NotSigned
        | Outcome::InvalidOriginal
        | Outcome::HeadersTooLarge => None,
    }
}

/// The response to a request for a decision; of an allowed request, with these headers. The client must not learn the
/// reason, so it has no body.
pub(crate) fn decided(
    outcome: &Outcome,
    challenges: &Challenges,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Answer {
    let status = outcome.status();
    let mut answer = empty(status);
    let map = answer.headers_mut();
    for (name, value) in headers {
        map.insert(name, value);
    }
    if let Some(challenge) = challenge(challenges, outcome) {
        map.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        map.insert(RETRY_AFTER, RETRY);
    }
    answer
}

/// The response while no dependency can tell.
pub(crate) fn unavailable() -> Answer {
    let mut answer = empty(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(RETRY_AFTER, RETRY);
    answer
}

/// The response to another method than the resource has ([RFC 9110 section 15.5.6]).
///
/// [RFC 9110 section 15.5.6]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
pub(crate) fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
    let methods = HeaderValue::from_static(methods);
    answer.headers_mut().insert(ALLOW, methods);
    answer
}

/// The response of a resource that can only be read.
pub(crate) fn read_only(method: &Method, read: impl FnOnce() -> Answer) -> Answer {
    match *method {
        Method::GET | Method::HEAD => read(),
        _ => not_allowed("GET, HEAD"),
    }
}

/// An empty response that is not cached.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(String::new());
    *answer.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, no_store);
    answer
}

/// Public keys ([RFC 7517 section 8.5.2]), which verifiers may keep for as long as their rotation allows.
///
/// [RFC 7517 section 8.5.2]: https://www.rfc-editor.org/rfc/rfc7517#section-8.5.2
pub(crate) fn key_set(jwks: String) -> Answer {
    let mut answer = text("application/jwk-set+json", jwks);
    let age = format!("public, max-age={JWKS_MAX_AGE_SECONDS}");
    if let Ok(age) = HeaderValue::try_from(age) {
        answer.headers_mut().insert(CACHE_CONTROL, age);
    }
    answer
}

/// A text with its media type.
pub(crate) fn text(media_type: &'static str, body: String) -> Answer {
    let mut answer = empty(StatusCode::OK);
    let media_type = HeaderValue::from_static(media_type);
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    *answer.body_mut() = body;
    answer
}

#[cfg(test)]
mod tests {
    use auth::{Cause, ClaimsBuilder, DenyReason, Dependency, UnixSeconds};
    use auth_tower::{Caller, Refusal};

    use super::*;

    fn caller() -> Caller {
        Caller::from(ClaimsBuilder::user("ada", UnixSeconds(1_800_000_000)).build())
    }

    #[test]
    fn each_outcome_has_its_status_and_challenge() {
        const URL: &str = "https://api.example/.well-known/oauth-protected-resource";
        let failed = Dependency::Revocations.unavailable(Cause::Timeout);
        let refused = Outcome::Refused;
        let denied = |reason| Outcome::Denied {
            reason,
            caller: caller(),
        };
        let rows = [
            (Outcome::Allowed(caller()), 200, None),
            (denied("denied"), 403, Some("error=\"insufficient_scope\"")),
            (denied("unclear_path"), 403, None),
            (denied("identity_too_large"), 403, None),
            (
                refused(Refusal::Unauthorized(DenyReason::MissingToken)),
                401,
                Some(""),
            ),
            (
                refused(Refusal::Unauthorized(DenyReason::Expired)),
                401,
                Some("error=\"invalid_token\""),
            ),
            (
                refused(Refusal::Revoked(DenyReason::SessionRevoked, "1".to_owned())),
                401,
                Some("error=\"invalid_token\""),
            ),
            (refused(Refusal::Unavailable(failed)), 503, None),
            (refused(Refusal::OutOfTime), 503, None),
            (Outcome::NotSigned, 503, None),
            (Outcome::LoggedOut(caller()), 204, None),
            (Outcome::ForeignOrigin, 403, None),
            (Outcome::InvalidOriginal, 400, None),
            (Outcome::HeadersTooLarge, 431, None),
        ];
        let plain = Challenges::new(None).unwrap();
        let with_url = Challenges::new(Some(URL)).unwrap();
        for (outcome, status, error) in rows {
            let name = outcome.reason();
            let answer = decided(&outcome, &plain, Vec::new());
            assert_eq!(answer.status().as_u16(), status, "{name}");
            assert_eq!(answer.body(), "", "{name}");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store", "{name}");
            let retry = answer.headers().contains_key(RETRY_AFTER);
            assert_eq!(retry, status == 503, "{name}");
            let challenge = |answer: &Answer| {
                let value = answer.headers().get(WWW_AUTHENTICATE)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let expected = error.map(|error| format!("Bearer {error}").trim_end().to_owned());
            assert_eq!(challenge(&answer), expected, "{name}");
            let metadata = format!("resource_metadata=\"{URL}\"");
            let expected = error.map(|error| match error {
                "" => format!("Bearer {metadata}"),
                _ => format!("Bearer {error}, {metadata}"),
            });
            let answer = decided(&outcome, &with_url, Vec::new());
            assert_eq!(challenge(&answer), expected, "{name}");
        }
    }
}
