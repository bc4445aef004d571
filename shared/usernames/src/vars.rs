//! The variables that limit which addresses may sign up, or be changed to.

use env_config::Var;

/// The accepted domains.
pub const ALLOWED_EMAIL_DOMAINS: Var = Var::new(
    "ALLOWED_EMAIL_DOMAINS",
    "unset",
    "Domains whose addresses may sign up, or be changed to: `example.com` is that one, \
     `*.example.com` those below it.",
);

/// The refused domains.
pub const DENIED_EMAIL_DOMAINS: Var = Var::new(
    "DENIED_EMAIL_DOMAINS",
    "unset",
    "Domains whose addresses may not sign up, or be changed to. It takes precedence over `ALLOWED_EMAIL_DOMAINS`.",
);

/// Whether addresses and names are checked.
pub const SIGN_UP_GUARD: Var = Var::new(
    "SIGN_UP_GUARD",
    "`true`",
    "`false`: neither addresses nor names nor domains are looked at, and only names of the old \
     store (`LEGACY_SOURCE`) are refused.",
);
