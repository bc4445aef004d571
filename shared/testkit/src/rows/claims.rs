//! The claims other than times: issuer, client, subject, session, groups.

use serde_json::json;

use super::{Expected, TokenRow, accepted, refused, same, valid};
use crate::pool::Pool;

/// The resource of [`required_audience`] and [`any_audience`].
pub const RESOURCE: &str = "https://resource.example";

/// Issuers that are similar to the configured one, and other issuers.
#[must_use]
pub fn unknown_issuers() -> Vec<TokenRow> {
    let issuer = Pool::ours().issuer();
    let rows = [
        ("trailing slash", format!("{issuer}/")),
        ("upper case", issuer.to_uppercase()),
        ("http", issuer.replace("https", "http")),
        ("scheme in upper case", issuer.replace("https", "HTTPS")),
        ("longer path", format!("{issuer}/x")),
        ("user name", issuer.replace("https://", "https://user@")),
        ("port", issuer.replace(".com", ".com:443")),
        ("look-alike", issuer.replace("amazonaws", "\u{430}mazonaws")),
        (
            "last character missing",
            issuer[..issuer.len() - 1].to_owned(),
        ),
        ("one character more", format!("{issuer}x")),
        (
            "the issuer as a path",
            issuer.replace("https://", "https://attacker.example/https://"),
        ),
        (
            "the other form of the same pool",
            issuer.replace("cognito-idp", "issuer-cognito-idp"),
        ),
        ("leading space", format!(" {issuer}")),
        ("another pool", Pool::foreign().issuer()),
        ("another provider", "https://accounts.google.com".to_owned()),
        (
            "Cognito's identity pools",
            "https://cognito-identity.amazonaws.com".to_owned(),
        ),
    ];
    let rows = rows.map(|(name, iss)| (name, valid().claim("iss", iss).build()));
    let foreign = Pool::foreign().access_token().build();
    let foreign = ("another pool's token", foreign);
    refused("unknown_issuer", rows.into_iter().chain([foreign]))
}

/// `iss` is missing, empty or not a string.
#[must_use]
pub fn invalid_issuers() -> Vec<TokenRow> {
    let issuer = Pool::ours().issuer();
    let rows = [
        ("empty", json!("")),
        ("a list", json!([issuer])),
        ("an object", json!({"a": issuer})),
        ("null", json!(null)),
        ("a number", json!(1)),
    ];
    let rows = rows.map(|(name, iss)| (name, valid().claim("iss", iss).build()));
    let without = ("without iss", valid().without("iss").build());
    refused("invalid_claims", rows.into_iter().chain([without]))
}

/// `token_use` where only access tokens are accepted.
#[must_use]
pub fn token_uses() -> Vec<TokenRow> {
    let with = |value| valid().claim("token_use", value).build();
    let mut rows = refused(
        "wrong_token_use",
        [
            ("a refresh token", with(json!("refresh"))),
            ("id", with(json!("id"))),
            ("ID in upper case", with(json!("ID"))),
            ("access in upper case", with(json!("Access"))),
            ("without token_use", valid().without("token_use").build()),
            ("an ID token", Pool::ours().id_token().build()),
        ],
    );
    rows.extend(refused(
        "invalid_claims",
        [
            ("null", with(json!(null))),
            ("a list", with(json!(["access"]))),
        ],
    ));
    rows
}

/// `client_id` of an access token.
#[must_use]
pub fn clients() -> Vec<TokenRow> {
    let client = Pool::ours().client_id;
    let with = |value| valid().claim("client_id", value).build();
    let mut rows = refused(
        "wrong_audience",
        [
            ("without client_id", valid().without("client_id").build()),
            ("another client", with(json!("unlisted"))),
            ("a wildcard", with(json!("*"))),
            ("trailing space", with(json!(format!("{client} ")))),
            (
                "client only in aud",
                valid()
                    .claim("client_id", "unlisted")
                    .claim("aud", client)
                    .build(),
            ),
        ],
    );
    rows.extend(refused(
        "invalid_claims",
        [
            ("a list", with(json!([client]))),
            ("null", with(json!(null))),
            ("empty", with(json!(""))),
        ],
    ));
    rows
}

/// `aud` of an access token that is bound to a resource (RFC 8707), where no resource is configured.
#[must_use]
pub fn audiences() -> Vec<TokenRow> {
    let client = Pool::ours().client_id;
    let with = |value| valid().claim("aud", value).build();
    let mut rows = refused(
        "wrong_audience",
        [
            ("a resource", with(json!(RESOURCE))),
            ("a list", with(json!(["a", "b"]))),
            ("a list of the client", with(json!([client]))),
            ("an empty list", with(json!([]))),
            ("another client", with(json!("unlisted"))),
            ("empty", with(json!(""))),
        ],
    );
    rows.extend(refused(
        "invalid_claims",
        [
            ("null", with(json!(null))),
            ("a number", with(json!(1))),
            ("a list of numbers", with(json!([1]))),
        ],
    ));
    rows.extend(accepted([("the token's client", with(json!(client)))]));
    rows
}

/// `sub`.
#[must_use]
pub fn subjects() -> Vec<TokenRow> {
    let with = |value| valid().claim("sub", value).build();
    let mut rows = refused(
        "invalid_claims",
        [
            ("without sub", valid().without("sub").build()),
            ("empty", with(json!(""))),
            ("a number", with(json!(1))),
            ("null", with(json!(null))),
            ("with a NUL", with(json!("a\0b"))),
            ("with a line break", with(json!("a\r\nb"))),
            ("257 bytes", with(json!("a".repeat(257)))),
        ],
    );
    rows.extend(accepted([
        ("with a space", with(json!("google|1234 5678"))),
        ("256 bytes", with(json!("a".repeat(256)))),
    ]));
    rows
}

/// `jti` and `origin_jti`, where a session is required.
#[must_use]
pub fn sessions() -> Vec<TokenRow> {
    let mut rows = Vec::new();
    for (name, value) in [
        ("a number", json!(1)),
        ("null", json!(null)),
        ("a list", json!(["a"])),
        ("3,000 bytes", json!("a".repeat(3_000))),
        ("empty", json!("")),
    ] {
        let token = valid().claim("jti", value.clone()).build();
        rows.extend(refused("invalid_claims", [(name, token)]));
        let token = valid().claim("origin_jti", value).build();
        rows.extend(refused("invalid_claims", [(name, token)]));
    }
    rows.extend(refused(
        "no_session",
        [("without origin_jti", valid().without("origin_jti").build())],
    ));
    rows.extend(accepted([
        ("without jti", valid().without("jti").build()),
        (
            "separators in origin_jti",
            valid().claim("origin_jti", "a#b*c").build(),
        ),
    ]));
    rows
}

/// `cognito:groups` and `scope`.
#[must_use]
pub fn groups_and_scopes() -> Vec<TokenRow> {
    let groups = [
        ("a string as groups", json!("admins")),
        ("groups of numbers", json!([1])),
        ("groups of null", json!([null])),
        ("an object as groups", json!({"a": 1})),
        ("null as groups", json!(null)),
        ("groups of lists", json!([["admins"]])),
    ];
    let groups = groups.map(|(name, value)| (name, valid().claim("cognito:groups", value).build()));
    let scopes = [
        ("a list as scope", json!(["a"])),
        ("a number as scope", json!(1)),
        ("null as scope", json!(null)),
    ];
    let scopes = scopes.map(|(name, value)| (name, valid().claim("scope", value).build()));
    let mut rows = refused("invalid_claims", groups.into_iter().chain(scopes));
    let many: Vec<String> = (0..100).map(|n| format!("group-{n}")).collect();
    rows.extend(accepted([
        ("many groups", valid().claim("cognito:groups", many).build()),
        (
            "scopes with repeated spaces",
            valid().claim("scope", "a  b a\tc").build(),
        ),
        ("without scope", valid().without("scope").build()),
    ]));
    rows
}

/// `act` (RFC 8693 section 4.1), where delegation is not allowed.
#[must_use]
pub fn delegation() -> Vec<TokenRow> {
    let with = |value| valid().claim("act", value).build();
    refused(
        "delegated",
        [
            ("an actor", with(json!({"sub": "x"}))),
            ("null", with(json!(null))),
        ],
    )
}

/// Tokens of a client on its own behalf.
#[must_use]
pub fn machines() -> Vec<TokenRow> {
    let machine = || Pool::ours().machine_token();
    same(
        Expected::Machine,
        [
            ("client credentials", machine().build()),
            ("without auth_time", machine().without("auth_time").build()),
            (
                "with a session",
                machine()
                    .claim("origin_jti", "session-of-a-machine")
                    .build(),
            ),
        ],
    )
}

/// A deployment that accepts ID and access tokens, without a session too.
#[must_use]
pub fn any_token_use() -> Vec<TokenRow> {
    let id = || Pool::ours().id_token();
    let client = Pool::ours().client_id;
    let with_aud = |value| id().claim("aud", value).build();
    let mut rows = accepted([
        ("ID token", id().build()),
        ("access token", valid().build()),
        (
            "client_id of an ID token is ignored",
            id().claim("client_id", "unlisted").build(),
        ),
        ("without origin_jti", valid().without("origin_jti").build()),
    ]);
    rows.extend(refused(
        "wrong_audience",
        [
            ("another aud", with_aud(json!("unlisted"))),
            ("a list as aud", with_aud(json!([client]))),
            ("a longer list as aud", with_aud(json!([client, "other"]))),
            ("without aud", id().without("aud").build()),
            (
                "client only in client_id",
                id().claim("aud", "unlisted")
                    .claim("client_id", client)
                    .build(),
            ),
        ],
    ));
    rows.extend(refused(
        "invalid_claims",
        [("null as aud", with_aud(json!(null)))],
    ));
    rows
}

/// A deployment that accepts ID tokens only.
#[must_use]
pub fn id_tokens_only() -> Vec<TokenRow> {
    let mut rows = accepted([("ID token", Pool::ours().id_token().build())]);
    rows.extend(refused(
        "wrong_token_use",
        [("access token", valid().build())],
    ));
    rows
}

/// A deployment that requires [`RESOURCE`] in `aud`.
#[must_use]
pub fn required_audience() -> Vec<TokenRow> {
    let with = |value| valid().claim("aud", value).build();
    let mut rows = accepted([("the resource", with(json!(RESOURCE)))]);
    rows.extend(refused(
        "wrong_audience",
        [
            ("another resource", with(json!("https://other.example"))),
            ("a list of the resource", with(json!([RESOURCE]))),
            ("without aud", valid().build()),
        ],
    ));
    rows
}

/// A deployment that accepts any `aud`.
#[must_use]
pub fn any_audience() -> Vec<TokenRow> {
    let with = |value| valid().claim("aud", value).build();
    accepted([
        ("without aud", valid().build()),
        ("a resource", with(json!(RESOURCE))),
        ("a list", with(json!([RESOURCE, "b"]))),
    ])
}
