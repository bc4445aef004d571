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
