//! Phantom tokens.

use auth::Issuer;
use auth_jwks::KeyLocation;
use auth_phantom::{
    Audiences, DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, MIN_TTL_SECONDS, Minter, MinterError,
};
use env_config::Env;

use crate::phantom::{KeysLocation, PhantomSettings};

/// The settings, if `PHANTOM_ISSUER` is set.
pub(super) fn settings(
    env: &mut Env<'_>,
    issuers: &[(Issuer, KeyLocation)],
) -> Option<PhantomSettings> {
    const NAMES: [&str; 3] = ["PHANTOM_KEYS_ARN", "PHANTOM_KEYS_FILE", "PHANTOM_AUDIENCES"];
    let range = MIN_TTL_SECONDS..=MAX_TTL_SECONDS;
    let ttl_seconds = env.number("PHANTOM_TTL_SECONDS", DEFAULT_TTL_SECONDS, range);
    let [arn, file, audiences] = NAMES.map(|name| env.optional(name));
    let Some(issuer) = env.optional("PHANTOM_ISSUER") else {
        for (name, value) in NAMES.iter().zip([&arn, &file, &audiences]) {
            if value.is_some() {
                env.problem(name, "has no meaning without PHANTOM_ISSUER");
            }
        }
        return None;
    };
    if !Minter::accepts(&issuer) {
        env.problem("PHANTOM_ISSUER", &MinterError::Issuer.to_string());
    }
    if issuers.iter().any(|(known, _)| known.url == issuer) {
        // A backend's token would be accepted as a caller's credential.
        env.problem("PHANTOM_ISSUER", "is an accepted issuer");
    }
    let keys = match (arn, file) {
        (Some(arn), None) => Some(KeysLocation::Secret(arn)),
        (None, Some(file)) => Some(KeysLocation::File(file.into())),
        (None, None) => {
            env.problem(
                "PHANTOM_ISSUER",
                "needs PHANTOM_KEYS_ARN or PHANTOM_KEYS_FILE",
            );
            None
        }
        (Some(_), Some(_)) => {
            env.problem(
                "PHANTOM_KEYS_FILE",
                "and PHANTOM_KEYS_ARN exclude each other",
            );
            None
        }
    };
    let audiences = match audiences.as_deref().map(Audiences::from_json) {
        Some(Ok(audiences)) => Some(audiences),
        Some(Err(error)) => {
            env.problem("PHANTOM_AUDIENCES", &error.to_string());
            None
        }
        None => {
            env.problem("PHANTOM_ISSUER", "needs PHANTOM_AUDIENCES");
            None
        }
    };
    Some(PhantomSettings {
        issuer,
        keys: keys?,
        audiences: audiences?,
        ttl_seconds,
    })
}
