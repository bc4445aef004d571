//! The authorizer's response in the format of each kind of API.
//! Source: AWS, "Output from an API Gateway Lambda authorizer"; "AWS Lambda authorizers" for HTTP
//! APIs (simple response); "`AWS_LAMBDA` authorization" for AppSync.

use std::borrow::Cow;

use api_gateway::{Effect, IamPolicy};
use auth::{Principal, VerifiedClaims};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::context::{Context, ContextClaim, ContextClaims};
use crate::event::Kind;
use crate::outcome::{Authorization, AuthorizeError};

/// API Gateway's limit for an authorizer's response.
const MAX_ANSWER_BYTES: usize = 8 * 1024;

/// The response format that an HTTP API with payload format 2.0 is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpApiResponse {
    /// An IAM policy.
    Iam,
    /// `isAuthorized` (`EnableSimpleResponses`).
    Simple,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IamAnswer<'a> {
    principal_id: Cow<'a, str>,
    policy_document: IamPolicy,
    context: Context<'a>,
    /// The key whose usage plan counts this request, for an API with `apiKeySource: AUTHORIZER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_identifier_key: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SimpleAnswer<'a> {
    is_authorized: bool,
    context: Context<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppSyncAnswer<'a> {
    is_authorized: bool,
    resolver_context: Context<'a>,
    /// Seconds for which AppSync may cache the response.
    ttl_override: u32,
}

/// The response to a known caller, in the format for `kind`. If no route is allowed, the context is
/// omitted, because no backend would receive it.
///
/// # Errors
/// A claim of the context is unfit and the request is allowed, or the response would exceed the API's limit.
pub(crate) fn decided(
    kind: Kind,
    http_api_response: HttpApiResponse,
    claims: &VerifiedClaims,
    mut authorization: Authorization,
    chosen: &ContextClaims,
) -> Result<Box<RawValue>, AuthorizeError> {
    let is_authorized = authorization.effect == Effect::Allow;
    let mut some_allowed = is_authorized
        || authorization
            .policy
            .as_ref()
            .is_some_and(IamPolicy::has_allow);
    let mut signed = Vec::new();
    if some_allowed {
        match chosen.signed.members(claims) {
            Ok(members) => signed = members,
            Err(unfit) if is_authorized => return Err(unfit.into()),
            // The rules refuse this request, which is a 403; the allowed routes lack their context.
            Err(_) => {
                some_allowed = false;
                authorization.policy = authorization.policy.map(IamPolicy::denied);
            }
        }
    }
    let context = Context {
        own: &chosen.own,
        required: match kind {
            Kind::WebSocket => &ContextClaim::OF_CONNECTION,
            Kind::Token | Kind::Request | Kind::Http | Kind::AppSync => &[],
        },
        claims: some_allowed.then_some(claims),
        signed,
    };
    let answer = match (kind, http_api_response, authorization.policy) {
        (Kind::AppSync, _, _) => serde_json::value::to_raw_value(&AppSyncAnswer {
            is_authorized,
            resolver_context: context,
            ttl_override: 0,
        }),
        (Kind::Http, HttpApiResponse::Simple, _) => {
            serde_json::value::to_raw_value(&SimpleAnswer {
                is_authorized,
                context,
            })
        }
        (_, _, Some(policy_document)) => serde_json::value::to_raw_value(&IamAnswer {
            principal_id: principal_id(claims),
            policy_document,
            context,
            usage_identifier_key: claims.usage_plan_key(),
        }),
        (_, _, None) => return Err(AuthorizeError::AnswerTooLarge),
    };
    answer
        .ok()
        .filter(|json| json.get().len() <= MAX_ANSWER_BYTES)
        .ok_or(AuthorizeError::AnswerTooLarge)
}

/// The caller's id for API Gateway's logs and quotas and for backends that read no context. A `sub`
/// is unique only per issuer, so for issuers other than the user pool the alias precedes it.
fn principal_id(claims: &VerifiedClaims) -> Cow<'_, str> {
    let id = match claims.principal() {
        Principal::User | Principal::ApiKey => claims.subject(),
        Principal::Client => claims.client_id(),
    };
    match claims.issuer_alias() {
        None => Cow::Borrowed(id),
        Some(alias) => Cow::Owned([alias, "|", id].concat()),
    }
}

/// AppSync reads a refusal from the response, other APIs from the error.
pub(crate) fn refused(kind: Kind) -> Option<Box<RawValue>> {
    let answer = AppSyncAnswer {
        is_authorized: false,
        resolver_context: Context {
            own: &[],
            required: &[],
            claims: None,
            signed: Vec::new(),
        },
        ttl_override: 0,
    };
    match kind {
        Kind::AppSync => serde_json::value::to_raw_value(&answer).ok(),
        Kind::Token | Kind::Request | Kind::WebSocket | Kind::Http => None,
    }
}
