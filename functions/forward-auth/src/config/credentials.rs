//! Where requests have their credentials.

use auth_tower::{ApiKeyPlace, Places};
use env_config::{BrowserSessionSettings, Env};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, HOST};

pub(super) fn api_key_place(env: &mut Env<'_>) -> Option<ApiKeyPlace> {
    const NAME: &str = "API_KEY_HEADER";
    let Some(name) = env.optional(NAME) else {
        return Some(ApiKeyPlace::Authorization);
    };
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(http::header::AUTHORIZATION) => Some(ApiKeyPlace::Authorization),
        Ok(http::header::COOKIE) => {
            env.problem(NAME, "is a header with another meaning");
            None
        }
        Ok(name) => Some(ApiKeyPlace::Named(name)),
        Err(_) => {
            env.problem(NAME, "is not a header's name");
            None
        }
    }
}

pub(super) fn places(
    env: &mut Env<'_>,
    api_key: Option<ApiKeyPlace>,
    sessions: Option<&BrowserSessionSettings>,
) -> Places {
    let sources = env.list("TOKEN_SOURCES");
    let sources = sources.unwrap_or_else(|| vec!["header".to_owned()]);
    let known = |source: &String| matches!(source.as_str(), "header" | "cookie" | "session");
    if !sources.iter().all(known) {
        env.problem(
            "TOKEN_SOURCES",
            "is not a list of `header`, `cookie`, `session`",
        );
    }
    let has = |name: &str| sources.iter().any(|source| source == name);
    let cookie = env
        .cookie_name("TOKEN_COOKIE")
        .unwrap_or_else(|| "__Host-access_token".to_owned());
    let allowed_origins = env.origins("ALLOWED_ORIGINS");
    if (has("cookie") || has("session")) && allowed_origins.is_empty() {
        env.problem(
            "ALLOWED_ORIGINS",
            "must be set if tokens or sessions come in cookies",
        );
    }
    if has("session") && sessions.is_none() {
        env.problem(
            "TOKEN_SOURCES",
            "names sessions without BROWSER_SESSION_TABLE",
        );
    }
    let session = sessions.map(|settings| settings.cookie.clone());
    if has("cookie") && has("session") && session.as_ref() == Some(&cookie) {
        env.problem("SESSION_COOKIE", "is TOKEN_COOKIE, too");
    }
    Places {
        header: has("header"),
        cookie: Some(cookie).filter(|_| has("cookie")),
        session: session.filter(|_| has("session")),
        api_key,
        allowed_origins,
    }
}

pub(super) fn credential_header(env: &mut Env<'_>) -> Option<HeaderName> {
    const NAME: &str = "CREDENTIAL_HEADER";
    let name = env.optional(NAME)?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(AUTHORIZATION) => None,
        Ok(COOKIE | HOST) => {
            env.problem(NAME, "is a header with another meaning");
            None
        }
        Ok(name) => Some(name),
        Err(_) => {
            env.problem(NAME, "is not a header's name");
            None
        }
    }
}
