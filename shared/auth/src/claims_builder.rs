//! [`VerifiedClaims`] without a token, for tests.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::api_key;
use crate::claims::{Principal, TokenUse, VerifiedClaims};
use crate::time::UnixSeconds;

/// Builds [`VerifiedClaims`] that no token was verified for.
///
/// Only with the feature `test-helpers`, which belongs into `[dev-dependencies]`.
///
/// # Examples
/// ```
/// use auth::{ClaimsBuilder, DenyReason, Revocations, UnixSeconds};
///
/// let claims = ClaimsBuilder::user("ada", UnixSeconds(1_800_000_000))
///     .groups(["admins"])
///     .claim("tenant", "acme")
///     .build();
/// assert_eq!(claims.subject(), "ada");
///
/// let revocations = Revocations { user_disabled: true, ..Revocations::default() };
/// assert_eq!(revocations.check(&claims), Err(DenyReason::UserDisabled));
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClaimsBuilder {
    claims: VerifiedClaims,
    others: Map<String, Value>,
}

impl ClaimsBuilder {
    /// An access token of a user who signed in at `now`: user pool `us-east-1_Example`, client
    /// `example-client`, session `example-session`, token `example-token`, valid for an hour.
    pub fn user(subject: &str, now: UnixSeconds) -> Self {
        Self {
            claims: VerifiedClaims {
                issuer_id: Arc::from("us-east-1_Example"),
                issuer_alias: None,
                principal: Principal::User,
                token_use: Some(TokenUse::Access),
                subject: subject.to_owned(),
                client_id: "example-client".to_owned(),
                username: Some(subject.to_owned()),
                groups: Vec::new(),
                scope: "aws.cognito.signin.user.admin".to_owned(),
                session: Some("example-session".to_owned()),
                token_id: Some("example-token".to_owned()),
                authenticated_at: now,
                issued_at: now,
                expires_at: now.plus(60 * 60),
                usage_plan_key: None,
                payload: String::new(),
            },
            others: Map::new(),
        }
    }

    /// An access token of the app client `client_id` on its own behalf: no user name, no session.
    pub fn machine(client_id: &str, now: UnixSeconds) -> Self {
        let mut builder = Self::user(client_id, now);
        builder.claims.principal = Principal::Client;
        builder.claims.username = None;
        builder.claims.session = None;
        builder.client_id(client_id).scope("")
    }

    /// An API key of `owner` with this id, created at `now`.
    pub fn api_key(owner: &str, id: &str, now: UnixSeconds) -> Self {
        let mut builder = Self::machine(owner, now);
        builder.claims.principal = Principal::ApiKey;
        builder.claims.token_use = None;
        builder.client_id(api_key::CLIENT_ID).token_id(Some(id))
    }

    /// The issuer's short name.
    pub fn issuer_id(mut self, id: &str) -> Self {
        self.claims.issuer_id = Arc::from(id);
        self
    }

    /// The alias of an additional trusted issuer.
    pub fn issuer_alias(mut self, alias: &str) -> Self {
        self.claims.issuer_alias = Some(Arc::from(alias));
        self
    }

    /// `client_id` or `aud`.
    pub fn client_id(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.claims.client_id);
        self
    }

    /// `token_use`.
    pub fn token_use(mut self, token_use: TokenUse) -> Self {
        self.claims.token_use = Some(token_use);
        self
    }

    /// `username` or `cognito:username`.
    pub fn username(mut self, username: &str) -> Self {
        self.claims.username = Some(username.to_owned());
        self
    }

    /// `cognito:groups`.
    pub fn groups<'g>(mut self, groups: impl IntoIterator<Item = &'g str>) -> Self {
        self.claims.groups = groups.into_iter().map(str::to_owned).collect();
        self
    }

    /// `scope`: words, separated by spaces.
    pub fn scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.claims.scope);
        self
    }

    /// `origin_jti`.
    pub fn session(mut self, session: Option<&str>) -> Self {
        self.claims.session = session.map(str::to_owned);
        self
    }

    /// `jti`, or the id of an API key.
    pub fn token_id(mut self, id: Option<&str>) -> Self {
        self.claims.token_id = id.map(str::to_owned);
        self
    }

    /// `auth_time`.
    pub fn authenticated_at(mut self, time: UnixSeconds) -> Self {
        self.claims.authenticated_at = time;
        self
    }

    /// `iat`.
    pub fn issued_at(mut self, time: UnixSeconds) -> Self {
        self.claims.issued_at = time;
        self
    }

    /// `exp`.
    pub fn expires_at(mut self, time: UnixSeconds) -> Self {
        self.claims.expires_at = time;
        self
    }

    /// The API Gateway key whose usage plan counts the requests of an API key.
    pub fn usage_plan_key(mut self, id: &str) -> Self {
        self.claims.usage_plan_key = Some(id.to_owned());
        self
    }

    /// A claim that has no method of its own, for [`VerifiedClaims::list`] and
    /// [`VerifiedClaims::other_claims`].
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.others.insert(name.to_owned(), value.into());
        self
    }

    /// The claims.
    #[must_use]
    pub fn build(self) -> VerifiedClaims {
        let mut claims = self.claims;
        let mut payload = Map::new();
        // An API key has no claims set.
        if let Some(token_use) = claims.token_use {
            let (client, username) = match token_use {
                TokenUse::Access => ("client_id", "username"),
                TokenUse::Id => ("aud", "cognito:username"),
            };
            let mut set = |name: &str, value: Option<Value>| {
                value.map(|value| payload.insert(name.to_owned(), value))
            };
            set("sub", Some(claims.subject.as_str().into()));
            set("token_use", Some(token_use.as_str().into()));
            set(client, Some(claims.client_id.as_str().into()));
            set(username, claims.username.as_deref().map(Value::from));
            set("scope", Some(claims.scope.as_str().into()));
            set("cognito:groups", Some(claims.groups.clone().into()));
            set("origin_jti", claims.session.as_deref().map(Value::from));
            set("jti", claims.token_id.as_deref().map(Value::from));
            set("auth_time", Some(claims.authenticated_at.0.into()));
            set("iat", Some(claims.issued_at.0.into()));
            set("exp", Some(claims.expires_at.0.into()));
        }
        payload.extend(self.others);
        claims.payload = Value::Object(payload).to_string();
        claims
    }
}
