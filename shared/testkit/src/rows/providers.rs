//! Tokens of OpenID Connect providers other than Cognito. `iss`, `iat` and `exp` come from
//! [`token`]; the other claims are those that the provider's documentation shows.

use serde_json::{Value, json};

use super::{Expected, TokenRow, refused};
use crate::keys::SigningKey;
use crate::token::{TokenBuilder, now};

/// `kid` of every provider's key.
pub const KID: &str = "k1";
/// The accepted audience in all tables but [`known_providers`].
pub const AUDIENCE: &str = "api";

/// Claims, and the decision about a token that has them.
pub struct ClaimsRow {
    /// What is special about the claims.
    pub name: &'static str,
    /// The claims.
    pub claims: Value,
    /// The decision.
    pub expected: Expected,
}

/// A provider's name, configuration and a valid token's claims.
pub struct KnownProvider {
    /// Its alias in the configuration.
    pub alias: &'static str,
    /// Its `iss`.
    pub issuer: &'static str,
    /// Its signature algorithm.
    pub alg: &'static str,
    /// The configured audience.
    pub audience: &'static str,
    /// Claims of a user's token.
    pub claims: Value,
    /// The resulting scope.
    pub scope: &'static str,
}

/// A new key for this algorithm.
#[must_use]
pub fn key_for(alg: &str) -> SigningKey {
    match alg {
        "ES256" => SigningKey::p256(),
        "EdDSA" => SigningKey::ed25519(),
        _ => SigningKey::rsa(),
    }
}

/// A token of an hour with these claims.
#[must_use]
pub fn token<'k>(issuer: &str, alg: &str, key: &'k SigningKey, claims: &Value) -> TokenBuilder<'k> {
    let header = json!({"alg": alg, "kid": KID, "typ": "JWT"});
    TokenBuilder::new(&header, claims, key)
        .claim("iss", issuer)
        .claim("iat", now() - 5)
        .claim("exp", now() + 3_600)
}

/// Providers as their documentation describes them.
#[must_use]
pub fn known_providers() -> Vec<KnownProvider> {
    vec![
        KnownProvider {
            alias: "auth0",
            issuer: "https://tenant.eu.auth0.com/",
            alg: "RS256",
            audience: "https://api.example",
            claims: json!({"sub": "auth0|5f7c8ec7", "azp": "client1",
                "scope": "openid read:orders",
                "aud": ["https://api.example", "https://tenant.eu.auth0.com/userinfo"]}),
            scope: "openid read:orders",
        },
        KnownProvider {
            alias: "okta",
            issuer: "https://dev-1.okta.com/oauth2/default",
            alg: "RS256",
            audience: "api://default",
            claims: json!({"sub": "ada@example.com", "aud": "api://default", "cid": "0oa1",
                "uid": "00u1", "scp": ["openid", "orders"], "ver": 1, "jti": "AT.x",
                "auth_time": now() - 60}),
            scope: "openid orders",
        },
        KnownProvider {
            alias: "entra",
            issuer: "https://login.microsoftonline.com/t/v2.0",
            alg: "RS256",
            audience: "11111111-api",
            claims: json!({"sub": "AAAAAA", "aud": "11111111-api", "azp": "client",
                "scp": "Orders.Read", "oid": "o", "tid": "t", "sid": "s1", "groups": ["g1"],
                "preferred_username": "ada@example.com", "nbf": now() - 5, "ver": "2.0"}),
            scope: "Orders.Read",
        },
        KnownProvider {
            alias: "google",
            issuer: "https://accounts.google.com",
            alg: "ES256",
            audience: "1234.apps.googleusercontent.com",
            claims: json!({"sub": "110169484474386276334",
                "aud": "1234.apps.googleusercontent.com",
                "azp": "1234.apps.googleusercontent.com",
                "email": "ada@example.com", "email_verified": true}),
            scope: "",
        },
        KnownProvider {
            alias: "keycloak",
            issuer: "https://sso.example/realms/r",
            alg: "EdDSA",
            audience: "account",
            claims: json!({"sub": "f:1:ada", "aud": ["x", "account"], "azp": "app",
                "typ": "Bearer", "sid": "s1", "realm_access": {"roles": ["user"]},
                "scope": "openid email", "preferred_username": "ada"}),
            scope: "openid email",
        },
    ]
}

/// Defects that make a valid token of a provider unacceptable.
#[must_use]
pub fn defects(token: &TokenBuilder<'_>) -> Vec<TokenRow> {
    let with = |name: &str, value: Value| token.clone().claim(name, value).build();
    let without = |name: &str| token.clone().without(name).build();
    let mut rows = refused(
        "wrong_audience",
        [
            ("another aud", with("aud", json!("other"))),
            ("a list of others as aud", with("aud", json!(["other"]))),
            ("an empty list as aud", with("aud", json!([]))),
        ],
    );
    rows.extend(refused(
        "invalid_claims",
        [
            ("without aud", without("aud")),
            ("null as aud", with("aud", json!(null))),
            ("without exp", without("exp")),
            ("without sub", without("sub")),
            ("a number as sid", with("sid", json!(7))),
            ("a string as groups", with("groups", json!("admins"))),
        ],
    ));
    rows.extend(refused(
        "expired",
        [("exp passed", with("exp", json!(now() - 1)))],
    ));
    rows.extend(refused(
        "unknown_issuer",
        [("another issuer", with("iss", json!("https://evil.example")))],
    ));
    rows.extend(refused(
        "wrong_algorithm",
        [("alg none", token.clone().header("alg", "none").build())],
    ));
    rows
}

/// Tokens of machines and of users, by the claims that tell them apart.
#[must_use]
pub fn machines_and_users() -> Vec<ClaimsRow> {
    use Expected::{Machine, User};
    let rows = [
        (
            "Auth0: @clients",
            Machine,
            json!({"sub": "abc@clients", "azp": "abc", "gty": "client-credentials"}),
        ),
        (
            "Auth0: gty as a list",
            Machine,
            json!({"sub": "x|y", "azp": "abc", "gty": ["client_credentials"]}),
        ),
        (
            "Okta: sub is cid",
            Machine,
            json!({"sub": "0oaMachine", "cid": "0oaMachine", "scp": ["api.read"], "ver": 1}),
        ),
        (
            "Entra ID: idtyp app",
            Machine,
            json!({"sub": "sp-oid", "oid": "sp-oid", "azp": "cli", "idtyp": "app",
                "roles": ["r"]}),
        ),
        (
            "Entra ID: roles only",
            Machine,
            json!({"sub": "sp-oid", "oid": "sp-oid", "azp": "cli", "roles": ["r"], "tid": "t"}),
        ),
        (
            "Entra ID, version 1",
            Machine,
            json!({"sub": "sp-oid", "oid": "sp-oid", "appid": "cli", "roles": ["r"],
                "ver": "1.0"}),
        ),
        (
            "Keycloak: service account by its name",
            Machine,
            json!({"sub": "u", "azp": "Batch", "preferred_username": "service-account-batch",
                "scope": "email profile"}),
        ),
        (
            "Keycloak: service account by its host",
            Machine,
            json!({"sub": "u", "azp": "batch", "clientHost": "192.0.2.1", "sid": "s"}),
        ),
        ("no sign of a person", Machine, json!({"sub": "u"})),
        (
            "its own subject, with an address",
            Machine,
            json!({"sub": "u", "azp": "u", "email": "x@example.com"}),
        ),
        (
            "Okta: user",
            User,
            json!({"sub": "00u1", "cid": "0oa1", "uid": "00u1", "scp": ["openid"]}),
        ),
        (
            "Entra ID: user",
            User,
            json!({"sub": "AAA", "azp": "cli", "scp": "Orders.Read", "idtyp": "user"}),
        ),
        (
            "Auth0: user",
            User,
            json!({"sub": "auth0|1", "azp": "abc", "scope": "read:orders"}),
        ),
        (
            "user with the name of another client's service account",
            User,
            json!({"sub": "u", "azp": "app", "preferred_username": "service-account-other"}),
        ),
        ("openid", User, json!({"sub": "u", "scope": "openid"})),
    ];
    rows.map(|(name, expected, mut claims)| {
        claims["aud"] = json!(AUDIENCE);
        ClaimsRow {
            name,
            claims,
            expected,
        }
    })
    .into()
}

/// Claims of a user's token with a session, and `more`.
#[must_use]
pub fn user_with(more: &Value) -> Value {
    let mut claims = json!({"sub": "u", "sid": "s", "aud": AUDIENCE});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// The claims that can name the client.
pub const CLIENT_CLAIMS: [&str; 4] = ["client_id", "azp", "cid", "appid"];

/// For a provider whose clients are limited to `app1` and `app2`.
#[must_use]
pub fn limited_clients() -> Vec<ClaimsRow> {
    let rows = [
        ("listed azp", Expected::User, json!({"azp": "app2"})),
        (
            "another azp",
            Expected::Refused("wrong_audience"),
            json!({"azp": "app3"}),
        ),
        (
            "another cid",
            Expected::Refused("wrong_audience"),
            json!({"cid": "app3"}),
        ),
        ("no client", Expected::Refused("wrong_audience"), json!({})),
    ];
    rows.map(|(name, expected, more)| ClaimsRow {
        name,
        claims: user_with(&more),
        expected,
    })
    .into()
}

/// Claims, and the decisions of a deployment that takes the provider's access tokens, and of one
/// that takes its ID tokens as well.
pub struct KindRow {
    /// The kind of token.
    pub name: &'static str,
    /// The claims.
    pub claims: Value,
    /// Whether it is accepted as an access token.
    pub is_access: bool,
    /// Whether it is accepted as an ID token.
    pub is_id: bool,
}

/// Access tokens, ID tokens, and those that are neither.
#[must_use]
pub fn token_kinds() -> Vec<KindRow> {
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let rows = [
        ("access token", json!({}), true, false),
        (
            "Keycloak's access token with a nonce",
            json!({"nonce": "n", "typ": "Bearer"}),
            true,
            false,
        ),
        ("nonce", json!({"nonce": "n"}), false, true),
        ("at_hash", json!({"at_hash": "h"}), false, true),
        (
            "c_hash",
            json!({"c_hash": "h", "typ": "Bearer"}),
            false,
            true,
        ),
        ("typ ID", json!({"typ": "ID"}), false, true),
        ("logout event", json!({"events": logout}), false, false),
        ("typ Logout", json!({"typ": "Logout"}), false, false),
        ("typ Refresh", json!({"typ": "Refresh"}), false, false),
    ];
    rows.map(|(name, more, is_access, is_id)| KindRow {
        name,
        claims: user_with(&more),
        is_access,
        is_id,
    })
    .into()
}

/// A lifetime from now on, and whether it is accepted with the limit of a day, or of 30 days.
pub struct LifetimeRow {
    /// Seconds from now to `exp`.
    pub seconds: u64,
    /// Accepted with the limit of a day.
    pub within_a_day: bool,
    /// Accepted with the limit of 30 days.
    pub within_30_days: bool,
}

/// Lifetimes around both limits.
#[must_use]
pub fn lifetimes() -> Vec<LifetimeRow> {
    const DAY: u64 = 24 * 60 * 60;
    let rows = [
        (DAY - 60, true, true),
        (2 * DAY, false, true),
        (30 * DAY - 60, false, true),
        (31 * DAY, false, false),
    ];
    rows.map(|(seconds, within_a_day, within_30_days)| LifetimeRow {
        seconds,
        within_a_day,
        within_30_days,
    })
    .into()
}
