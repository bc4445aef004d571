//! Which issuers are trusted and where their keys are, from the environment.

use auth::env::Env;
use auth::jwks::KeySet;
use auth::{Algorithm, Issuer, IssuerKind};
use http::Uri;
use serde::Deserialize;

use crate::KeyLocation;

/// Every variable that [`issuers`] reads.
pub const VARS: &[&str] = &[
    "USER_POOL_ID",
    "APP_CLIENT_IDS",
    "ISSUER",
    "JWKS_URI",
    "JWKS",
];

/// The user pool's issuers, in all their forms, with the location of the keys of each.
///
/// Problems are noted in `env`; the result is of use only if there are none.
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
        let issuer = Issuer {
            id: pool.as_str().into(),
            url,
            algorithms: vec![Algorithm::Rs256],
            audiences: client_ids.clone(),
            kind: IssuerKind::Cognito,
        };
        issuers.push((issuer, location));
    }
    issuers
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
             `jwks_uri`, `algorithms`, `kind`",
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
            return Err("has an alias of more than letters, digits, `-` and `_`");
        }
        if known.iter().any(|(issuer, _)| *issuer.id == *self.alias) {
            return Err("gives an alias twice");
        }
        if known.iter().any(|(issuer, _)| issuer.url == self.issuer) {
            return Err("names an issuer twice");
        }
        let uri: Option<Uri> = self.issuer.parse().ok();
        let is_https =
            uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.query().is_none());
        if !is_https || self.issuer.contains(['@', '#']) {
            return Err("has an issuer that is no plain https:// address");
        }
        let no_audience = |audience: &String| audience.is_empty() || audience == "*";
        if self.audiences.is_empty() || self.audiences.iter().any(no_audience) {
            return Err("has an issuer without audiences of its own");
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
        // A provider may keep its keys at another host than its issuer's, as Google does.
        let location = key_uri(&text, None)
            .ok_or("has a jwks_uri that is neither https:// nor on the loopback interface")?;
        let kind = match self.kind {
            Some(Kind::Cognito) => IssuerKind::Cognito,
            Some(Kind::Oidc) => IssuerKind::Oidc,
            None if is_cognito(&self.issuer) => IssuerKind::Cognito,
            None => IssuerKind::Oidc,
        };
        let issuer = Issuer {
            id: self.alias.into(),
            url: self.issuer,
            algorithms,
            audiences: self.audiences,
            kind,
        };
        Ok((issuer, KeyLocation::Uri(location)))
    }
}

/// Either form of a user pool's issuer.
fn is_cognito(issuer: &str) -> bool {
    ["https://cognito-idp.", "https://issuer-cognito-idp."]
        .iter()
        .any(|prefix| issuer.starts_with(prefix))
}

/// The issuers, and where [`crate::HttpsKeys`] finds the keys of each.
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
            env.problem("JWKS", &format!("cannot be used: {error}"));
            None
        }
    }
}

/// The host in `https://host/path` without user, query or last slash.
fn host_of_issuer(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let plain = uri.scheme_str() == Some("https")
        && uri.query().is_none()
        && !url.contains(['@', '#'])
        && !url.ends_with('/');
    uri.host().filter(|_| plain).map(str::to_owned)
}

/// The address of a key set: `https://`, at the required host if there is one, or `http://` on this
/// machine.
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
