//! The variables that several functions read.

use super::Var;

/// The app clients.
pub const APP_CLIENT_IDS: Var = Var::new(
    "APP_CLIENT_IDS",
    "required",
    "The app clients whose tokens are accepted, and which an administrator may revoke, \
     comma-separated. `*` is refused. auth-api signs users in with the first.",
);

/// The secret of the first app client.
pub const APP_CLIENT_SECRET_ARN: Var = Var::new(
    "APP_CLIENT_SECRET_ARN",
    "unset",
    "The ARN in Secrets Manager of the secret of the first app client in `APP_CLIENT_IDS`.",
);

/// The tolerated difference of clocks.
pub const CLOCK_LEEWAY_SECONDS: Var = Var::new(
    "CLOCK_LEEWAY_SECONDS",
    "`0`",
    "How far the issuer's clock and the function's may differ, at most 60. It delays `exp` by \
     as much, and every `not_before` is as far in the future.",
);

/// The keys of browser sessions.
pub const BROWSER_SESSION_KEYS_ARN: Var = Var::new(
    "BROWSER_SESSION_KEYS_ARN",
    "unset; required with `BROWSER_SESSION_TABLE`",
    "The ARN in Secrets Manager of the keys that seal browser sessions, read at the start: \
     `{\"keys\": [{\"id\": \"…\", \"key\": \"<32 bytes in base64>\"}], \"generated\": \"…\"}`. The key that \
     `seal_with` names seals, by default the first, and each of them opens ([operations.md](operations.md#the-keys-of-browser-sessions)).",
);

/// The table of browser sessions.
pub const BROWSER_SESSION_TABLE: Var = Var::new(
    "BROWSER_SESSION_TABLE",
    "unset",
    "The DynamoDB table of browser sessions. Set with `BROWSER_SESSION_KEYS_ARN`.",
);

/// The cookie of browser sessions.
pub const SESSION_COOKIE: Var = Var::new(
    "SESSION_COOKIE",
    "`__Host-session`",
    "The cookie that carries the id of a browser session, beginning with `__Host-`, 64 characters at most.",
);

/// The table of WebSocket connections.
pub const CONNECTION_TABLE: Var = Var::new(
    "CONNECTION_TABLE",
    "required",
    "The DynamoDB table of live WebSocket connections.",
);

/// How much is logged.
pub const LOG_LEVEL: Var = Var::new(
    "LOG_LEVEL",
    "`INFO`",
    "`INFO` logs every decision, `WARN` refusals and errors, `ERROR` errors. Audit lines, the \
     heartbeat of user-events and the report of user-sweep, whose metrics alarms read, are \
     written at every level.",
);

/// The namespace of the metrics.
pub const METRICS_NAMESPACE: Var = Var::new(
    "METRICS_NAMESPACE",
    "`Gatehouse`",
    "The CloudWatch namespace of the function's metrics, at most 126 characters of letters, digits \
     and `._-/#`, not beginning with `AWS/`. The template's alarms and its dashboard use the same.",
);

/// The table of groups that wait for their user.
pub const PENDING_GROUPS_TABLE: Var = Var::new(
    "PENDING_GROUPS_TABLE",
    "required",
    "The table where groups wait for their user to sign in.",
);

/// The lifetime of refresh tokens.
pub const REFRESH_TOKEN_TTL_SECONDS: Var = Var::new(
    "REFRESH_TOKEN_TTL_SECONDS",
    "`2592000`",
    "How long a refresh token lives, 3600 to 315360000. It must not be less than the app \
     client's `RefreshTokenValidity`: a revocation lives a day longer than that, because until \
     then a refresh could return new tokens of a revoked session.",
);

/// The table of revocations.
pub const REVOCATION_TABLE: Var = Var::new(
    "REVOCATION_TABLE",
    "required",
    "The DynamoDB table of revocations.",
);

/// Whether the pool's user names are case-sensitive.
pub const USERNAME_CASE_SENSITIVE: Var = Var::new(
    "USERNAME_CASE_SENSITIVE",
    "`false`",
    "As the user pool's `UsernameConfiguration`. `false`: names are lower-cased before they \
     are compared or sent to Cognito. `true`: pre-sign-up accepts only lower case, and no name \
     that exists in the pool in another case.",
);

/// The table of profiles.
pub const USERS_TABLE: Var = Var::new(
    "USERS_TABLE",
    "unset",
    "The DynamoDB table of profiles (`sub`, `email`, `status`, `created_at`, `status_at`), \
     kept in step with the pool. Unset: no profiles.",
);

/// The user pool.
pub const USER_POOL_ID: Var = Var::new(
    "USER_POOL_ID",
    "required",
    "The user pool, as in `us-east-1_AbC123xyz`. Revocations are kept under this id.",
);

/// The stack.
pub const STACK_NAME: Var = Var::new(
    "STACK_NAME",
    "unset",
    "The name of the stack, the dimension `stack` of the function's metrics. Unset: they have no \
     such dimension.",
);

/// Issuers besides the user pool.
pub const TRUSTED_ISSUERS: Var = Var::new(
    "TRUSTED_ISSUERS",
    "unset",
    "Further issuers, a JSON list of `{\"issuer\", \"alias\", \"audiences\", \
     \"jwks_uri\", \"algorithms\", \"kind\", \"clients\", \"token\", \
     \"max_lifetime_seconds\"}`, the first three required. `alias` is the issuer's \
     name in rules, and in revocations too unless it is a user pool: its revocations \
     are kept under its pool id, as its own deployment writes them. `principalId` is \
     `alias|sub`. `audiences`: one of them must be in `aud`. `clients`: the client \
     (`client_id`, `azp`, `cid` or `appid`) must be one of these. `token`: `access`, \
     or `id` to accept ID tokens too (`nonce`, `at_hash`). `max_lifetime_seconds`: \
     from `iat` to `exp` at most, 86400 unless set, up to 2592000; where it is more \
     than `REFRESH_TOKEN_TTL_SECONDS`, raise that too, because revocations must \
     outlive tokens. `jwks_uri` defaults to `<issuer>/.well-known/jwks.json`, \
     `algorithms` to `[\"RS256\"]` (also `ES256`, `EdDSA`), `kind` to `cognito` for a \
     user pool's address, whose `audiences` are its app clients, else to `oidc`. \
     `TOKEN_USE` and `REQUIRE_SESSION` apply to Cognito only: other providers' \
     sessions are their `sid`, and where they send no `auth_time`, `iat` counts, which \
     a refresh moves past a `not_before`.",
);

/// Whether delegated tokens are accepted.
pub const ALLOW_DELEGATED_TOKENS: Var = Var::new(
    "ALLOW_DELEGATED_TOKENS",
    "`false`",
    "Accept tokens with `act`, in which an actor acts for the user (RFC 8693).",
);

/// The kinds of token.
pub const TOKEN_USE: Var = Var::new(
    "TOKEN_USE",
    "`access`",
    "Which tokens are accepted: `access`, `id` or `any`.",
);

/// The `aud` of access tokens.
pub const RESOURCE_AUDIENCE: Var = Var::new(
    "RESOURCE_AUDIENCE",
    "unset",
    "The `aud` that an access token must carry (resource binding, RFC 8707). Unset: a \
     token that has an `aud` other than its own client is bound to another resource \
     and is refused; Cognito's ordinary access tokens have none. `*`: any `aud` is \
     accepted, also a missing one.",
);

/// The leeway of `iat`.
pub const IAT_LEEWAY_SECONDS: Var = Var::new(
    "IAT_LEEWAY_SECONDS",
    "`5`",
    "How far `iat` may be ahead of this clock, at most 60; `CLOCK_LEEWAY_SECONDS`, if \
     that is more. A token is often used within the second in which it was issued, by \
     a clock that is not this one. It delays neither `exp` nor any `not_before`.",
);

/// The longest token.
pub const MAX_TOKEN_BYTES: Var = Var::new(
    "MAX_TOKEN_BYTES",
    "`8192`",
    "The longest token that is parsed, 1024 to 10240: API Gateway accepts 10,240 bytes \
     of headers in all. A user of many groups may have a longer token than the \
     default.",
);

/// Whether a user's token needs a session.
pub const REQUIRE_SESSION: Var = Var::new(
    "REQUIRE_SESSION",
    "`true`",
    "Refuse a user's token without `origin_jti`: its session could not be revoked.",
);

/// The table of API keys.
pub const API_KEY_TABLE: Var = Var::new(
    "API_KEY_TABLE",
    "unset",
    "The table of API keys. Unset: no API key is accepted, and no header is searched \
     for one. See [api-keys.md](api-keys.md).",
);

/// Where API keys are.
pub const API_KEY_HEADER: Var = Var::new(
    "API_KEY_HEADER",
    "`authorization`",
    "Where a request may carry its API key: `authorization` (`Authorization: ApiKey \
     <key>`), or another header's name, such as `x-api-key`, with the key alone.",
);

/// How many allowed requests are logged.
pub const LOG_ALLOWED_PERCENT: Var = Var::new(
    "LOG_ALLOWED_PERCENT",
    "`100`",
    "The percentage of allowed requests with a log line. The metric still counts all: \
     a line also counts the unlogged ones before it.",
);

/// How many refusals are logged.
pub const LOG_REFUSALS_PER_SECOND: Var = Var::new(
    "LOG_REFUSALS_PER_SECOND",
    "`100`",
    "The maximum of log lines a second about refusals, for each process, so that an \
     attack does not increase the bill. The metric still counts all. Lines about revoked \
     credentials, which are acts, have a limit of their own, 100.",
);
