//! Reads the trusted issuers and the locations of their keys from the environment.

use std::sync::Arc;

use auth::{
    Algorithm, IAT_LEEWAY_SECONDS, Issuer, IssuerKind, KeySet, LARGEST_MAX_LIFETIME_SECONDS,
    MAX_IAT_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, ResourceAudience, TokenRules, TokenUse,
};
use env_config::{Env, Var, vars};
use http::Uri;
use serde::Deserialize;

use crate::KeyLocation;

/// Every variable that [`issuers`] reads.
pub const VARS: &[Var] = &[
    vars::USER_POOL_ID,
    vars::APP_CLIENT_IDS,
    Var::new(
        "ISSUER",
        "`https://cognito-idp.<region>.amazonaws.com/<pool>`",
        "What `iss` must equal, byte for byte; a comma list is allowed. A pool that was \
         switched to the updated issuer form has tokens of both forms until the old ones \
         expire.",
    ),
    Var::new(
        "JWKS_URI",
        "`<issuer>/.well-known/jwks.json`",
        "The address of the keys, one for all issuers or one for each: `https://` at the \
         issuer's own host, or `http://` on the loopback interface.",
    ),
    Var::new(
        "JWKS",
        "unset",
        "The key set itself, as JSON, for a network without internet access. Never fetched, \
         never stale; not together with `JWKS_URI`.",
    ),
];

/// The user pool's issuers, in all their forms, with the location of the keys of each.
///
/// Problems are recorded in `env`; the result is valid only without problems.
pub fn issuers(env: &mut Env<'_>) -> Vec<(Issuer, KeyLocation)> {
    let pool = env.user_pool_id();
    let client_ids = env.app_client_ids();
    let urls = env
        .list("ISSUER")
        .unwrap_or_else(|| vec![default_issuer(&pool)]);
    let uris = env.list("JWKS_URI");
    let inline = inline_keys(env);
    if uris
        .as_ref()
        .is_some_and(|uris| ![1, urls.len()].contains(&uris.len()))
    {
        env.problem("JWKS_URI", "must name one address, or one for each ISSUER");
    }
    if uris.is_some() && inline.is_some() {
        env.problem("JWKS", "and JWKS_URI exclude each other");
    }

    let mut issuers: Vec<(Issuer, KeyLocation)> = Vec::new();
    for (index, url) in urls.into_iter().enumerate() {
        let Some(issuer_host) = host_of_issuer(&url) else {
            env.problem("ISSUER", "is not a list of plain https:// addresses");
            continue;
        };
        if issuers.iter().any(|(known, _)| known.url == url) {
            env.problem("ISSUER", "names an issuer twice");
            continue;
        }
        let given = uris
            .as_ref()
            .and_then(|uris| uris.get(index).or_else(|| uris.first()))
            .cloned();
        let text = given.unwrap_or_else(|| format!("{url}/.well-known/jwks.json"));
        let location = match (&inline, key_uri(&text, Some(&issuer_host))) {
            (Some(keys), _) => KeyLocation::Inline(keys.clone()),
            (None, Some(uri)) => KeyLocation::Uri(uri),
            (None, None) => {
                env.problem(
                    "JWKS_URI",
                    "is neither https:// at the issuer's host nor http:// on the loopback interface",
                );
                continue;
            }
        };
        let issuer = Issuer::user_pool(pool.as_str().into(), url, client_ids.clone());
        issuers.push((issuer, location));
    }
    issuers
}

/// The requirements for tokens: `TOKEN_USE`, `RESOURCE_AUDIENCE`, the leeways, `REQUIRE_SESSION` and
/// `ALLOW_DELEGATED_TOKENS`.
pub fn token_rules(env: &mut Env<'_>) -> TokenRules {
    let token_uses = match env.optional("TOKEN_USE").as_deref() {
        None | Some("access") => vec![TokenUse::Access],
        Some("id") => vec![TokenUse::Id],
        Some("any") => vec![TokenUse::Access, TokenUse::Id],
        Some(_) => {
            env.problem("TOKEN_USE", "is not `access`, `id` or `any`");
            Vec::new()
        }
    };
    TokenRules {
        token_uses,
        resource_audience: match env.optional("RESOURCE_AUDIENCE").as_deref() {
            None => ResourceAudience::Unbound,
            Some("*") => ResourceAudience::Any,
            Some(audience) => ResourceAudience::Required(audience.to_owned()),
        },
        leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
        iat_leeway_seconds: env.number(
            "IAT_LEEWAY_SECONDS",
            IAT_LEEWAY_SECONDS,
            0..=MAX_IAT_LEEWAY_SECONDS,
        ),
        require_session: env.flag("REQUIRE_SESSION", true),
        allow_delegated: env.flag("ALLOW_DELEGATED_TOKENS", false),
        expired_for_seconds: 0,
    }
}

/// One element of `TRUSTED_ISSUERS`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trusted {
    issuer: String,
    alias: String,
    jwks_uri: Option<String>,
    audiences: Vec<String>,
    #[serde(default)]
    algorithms: Vec<String>,
    kind: Option<Kind>,
    #[serde(default)]
    clients: Vec<String>,
    #[serde(default)]
    token: Token,
    max_lifetime_seconds: Option<u64>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Token {
    #[default]
    Access,
    Id,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Oidc,
    Cognito,
}

/// Adds the issuers of `TRUSTED_ISSUERS` to the pool's.
pub fn add_trusted(env: &mut Env<'_>, issuers: &mut Vec<(Issuer, KeyLocation)>) {
    const NAME: &str = "TRUSTED_ISSUERS";
    let Some(text) = env.optional(NAME) else {
        return;
    };
    let Ok(list) = serde_json::from_str::<Vec<Trusted>>(&text) else {
        env.problem(
            NAME,
            "is not a JSON list of objects with `issuer`, `alias`, `audiences`, and, if wanted, \
             `jwks_uri`, `algorithms`, `kind`, `clients`, `token`, `max_lifetime_seconds`",
        );
        return;
    };
    for trusted in list {
        match trusted.checked(issuers) {
            Ok(issuer) => issuers.push(issuer),
            Err(problem) => env.problem(NAME, problem),
        }
    }
}

impl Trusted {
    fn checked(
        self,
        known: &[(Issuer, KeyLocation)],
    ) -> Result<(Issuer, KeyLocation), &'static str> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if self.alias.is_empty() || self.alias.len() > 55 || !self.alias.bytes().all(plain) {
            return Err("has an alias that is not 1 to 55 letters, digits, `-` and `_`");
        }
        let has_name = |issuer: &Issuer| {
            *issuer.id == *self.alias || issuer.alias.as_deref() == Some(&*self.alias)
        };
        if known.iter().any(|(issuer, _)| has_name(issuer)) {
            return Err("uses an alias twice");
        }
        if known.iter().any(|(issuer, _)| issuer.url == self.issuer) {
            return Err("names an issuer twice");
        }
        let uri: Option<Uri> = self.issuer.parse().ok();
        let is_https =
            uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.query().is_none());
        if !is_https || self.issuer.contains(['@', '#']) {
            return Err("has an issuer that is not a plain https:// address");
        }
        let no_audience = |audience: &String| audience.is_empty() || audience == "*";
        if self.audiences.is_empty() || self.audiences.iter().any(no_audience) {
            return Err("has an issuer without audiences, or with an empty one or `*`");
        }
        let named = self
            .algorithms
            .iter()
            .map(|name| Algorithm::from_name(name));
        let mut algorithms = named
            .collect::<Option<Vec<_>>>()
            .ok_or("has an algorithm other than RS256, ES256, EdDSA")?;
        if algorithms.is_empty() {
            algorithms.push(Algorithm::Rs256);
        }
        let base = self.issuer.trim_end_matches('/');
        let text = self
            .jwks_uri
            .unwrap_or_else(|| format!("{base}/.well-known/jwks.json"));
        // A provider may publish its keys on another host than its issuer's, as Google does.
        let location = key_uri(&text, None)
            .ok_or("has a jwks_uri that is neither https:// nor on the loopback interface")?;
        let kind = match self.kind {
            Some(Kind::Cognito) => IssuerKind::Cognito,
            Some(Kind::Oidc) => IssuerKind::Oidc,
            None if is_cognito(&self.issuer) => IssuerKind::Cognito,
            None => IssuerKind::Oidc,
        };
        let lifetime = self.max_lifetime_seconds.unwrap_or(MAX_LIFETIME_SECONDS);
        let longest = match kind {
            IssuerKind::Cognito => MAX_LIFETIME_SECONDS,
            IssuerKind::Oidc => LARGEST_MAX_LIFETIME_SECONDS,
        };
        if !(1..=longest).contains(&lifetime) {
            return Err(
                "has a max_lifetime_seconds that is not 1 to 2592000, or 86400 for a user pool",
            );
        }
        let for_oidc_alone = !self.clients.is_empty() || self.token == Token::Id;
        if kind == IssuerKind::Cognito && for_oidc_alone {
            return Err(
                "has `clients` or `token` for a user pool: use `audiences` and TOKEN_USE instead",
            );
        }
        // Revocations of another pool's users are stored under its id, by its own deployment.
        let alias: Arc<str> = self.alias.into();
        let id = match pool_of(&self.issuer).filter(|_| kind == IssuerKind::Cognito) {
            Some(pool) => pool.into(),
            None => Arc::clone(&alias),
        };
        let shares_id = |issuer: &Issuer| {
            // Both forms of another pool's issuer belong to one pool.
            let is_that_pool = issuer.alias.is_some() && issuer.kind == IssuerKind::Cognito;
            *issuer.id == *id && !(is_that_pool && kind == IssuerKind::Cognito)
        };
        if known.iter().any(|(issuer, _)| shares_id(issuer)) {
            return Err(
                "names a user pool whose id is in use; both forms of this pool belong in ISSUER",
            );
        }
        let issuer = Issuer {
            id,
            alias: Some(alias),
            url: self.issuer,
            algorithms,
            audiences: self.audiences,
            kind,
            clients: self.clients,
            takes_id_tokens: self.token == Token::Id,
            max_lifetime_seconds: lifetime,
        };
        Ok((issuer, KeyLocation::Uri(location)))
    }
}

/// The user pool's id, with which both forms of its issuer end.
fn pool_of(issuer: &str) -> Option<&str> {
    let (_, last) = issuer.rsplit_once('/')?;
    let (region, name) = last.split_once('_')?;
    let is_region = region
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_region && is_name && region.contains('-') && !name.is_empty()).then_some(last)
}

/// Whether it is either form of a user pool's issuer.
fn is_cognito(issuer: &str) -> bool {
    ["https://cognito-idp.", "https://issuer-cognito-idp."]
        .iter()
        .any(|prefix| issuer.starts_with(prefix))
}

/// The issuers, and the key location of each for [`crate::HttpsKeys`].
#[must_use]
pub fn split(issuers: Vec<(Issuer, KeyLocation)>) -> (Vec<Issuer>, Vec<(String, KeyLocation)>) {
    issuers
        .into_iter()
        .map(|(issuer, location)| {
            let url = issuer.url.clone();
            (issuer, (url, location))
        })
        .unzip()
}

/// Cognito's original form of the issuer.
/// Source: AWS, "Verifying JSON web tokens".
fn default_issuer(pool: &str) -> String {
    let region = pool.split('_').next().unwrap_or_default();
    let suffix = match region {
        region if region.starts_with("cn-") => "amazonaws.com.cn",
        region if region.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    };
    format!("https://cognito-idp.{region}.{suffix}/{pool}")
}

fn inline_keys(env: &mut Env<'_>) -> Option<KeySet> {
    let text = env.optional("JWKS")?;
    match KeySet::parse(text.as_bytes()) {
        Ok(keys) => Some(keys),
        Err(error) => {
            env.problem("JWKS", &format!("is invalid: {error}"));
            None
        }
    }
}

/// The host in `https://host/path`; `None` for a URL with a user, a query or a trailing slash.
fn host_of_issuer(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let plain = uri.scheme_str() == Some("https")
        && uri.query().is_none()
        && !url.contains(['@', '#'])
        && !url.ends_with('/');
    uri.host().filter(|_| plain).map(str::to_owned)
}

/// The URL of a key set: `https://`, on the required host if there is one, or `http://` on the
/// loopback interface.
fn key_uri(text: &str, required_host: Option<&str>) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let host = uri.host()?;
    let allowed = match uri.scheme_str()? {
        "https" => required_host.is_none_or(|required| host == required) && !text.contains('@'),
        "http" => matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    };
    allowed.then_some(uri)
}
