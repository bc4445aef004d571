//! The environment variables of logout, described in `docs/configuration.md`.

use auth::Issuer;
use auth_jwks::KeyLocation;
use env_config::{BrowserSessionSettings, ConfigError, Env, Var, vars};
use runtime::log::{self, Level};

use crate::hosted_ui::HostedUi;
use crate::request::Cookies;

/// A valid configuration: [`Config::from_lookup`] rejects all others.
pub struct Config {
    /// The issuers and the locations of their keys.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `REFRESH_TOKEN_TTL_SECONDS`: how long a session can be refreshed.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `TOKEN_COOKIE`, `REFRESH_COOKIE` and, with `BROWSER_SESSION_TABLE`, `SESSION_COOKIE`.
    pub cookies: Cookies,
    /// `BROWSER_SESSION_TABLE` and `BROWSER_SESSION_KEYS_ARN`: the sessions behind `SESSION_COOKIE`.
    pub browser_sessions: Option<BrowserSessionSettings>,
    /// `ALLOWED_ORIGINS`: origins whose pages may log out; all if empty.
    pub allowed_origins: Vec<String>,
    /// `APP_CLIENT_SECRET_ARN`: the secret of the first app client, if it has one.
    pub app_client_secret_arn: Option<String>,
    /// `RETRY_QUEUE_URL`: the queue for failed calls to Cognito.
    pub retry_queue_url: Option<String>,
    /// `HOSTED_UI_URL` and `LOGOUT_REDIRECT_URI`: where a browser goes to delete the hosted UI's
    /// cookie.
    pub hosted_ui: Option<HostedUi>,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [Var] = &[
        vars::REVOCATION_TABLE,
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::CLOCK_LEEWAY_SECONDS,
        Var::new(
            "TOKEN_COOKIE",
            "unset",
            "The cookie that carries a token: logout reads the token from it too, and clears \
             it.",
        ),
        Var::new(
            "REFRESH_COOKIE",
            "unset",
            "The cookie that carries the refresh token: logout revokes that token at Cognito, \
             and clears the cookie.",
        ),
        vars::SESSION_COOKIE,
        vars::BROWSER_SESSION_TABLE,
        vars::BROWSER_SESSION_KEYS_ARN,
        Var::new(
            "ALLOWED_ORIGINS",
            "unset; required if tokens are in cookies",
            "Comma-separated origins: pages that may log out. `Sec-Fetch-Site: cross-site` \
             without a listed `Origin` is refused.",
        ),
        vars::APP_CLIENT_SECRET_ARN,
        Var::new(
            "RETRY_QUEUE_URL",
            "unset",
            "The SQS queue for calls to Cognito that failed. Unset: they are reported as \
             `failed`.",
        ),
        Var::new(
            "HOSTED_UI_URL",
            "unset",
            "The hosted UI's `https://` address. With it, the response has a `logout_url`, \
             which clears Cognito's own cookie in the browser.",
        ),
        Var::new(
            "LOGOUT_REDIRECT_URI",
            "unset",
            "Where the hosted UI redirects to after a logout, one of the app client's `LogoutURLs`. \
             Set with `HOSTED_UI_URL`.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let issuers = auth_jwks::config::issuers(&mut env);
        let browser_sessions = BrowserSessionSettings::read(&mut env);
        let session = browser_sessions.as_ref();
        let cookies = Cookies {
            access: env.cookie_name("TOKEN_COOKIE"),
            refresh: env.cookie_name("REFRESH_COOKIE"),
            session: session.map(|settings| settings.cookie.clone()),
        };
        if cookies.session.is_some() && (cookies.access.is_some() || cookies.refresh.is_some()) {
            env.problem(
                "TOKEN_COOKIE",
                "and REFRESH_COOKIE cannot be set with BROWSER_SESSION_TABLE",
            );
        }
        let config = Self {
            user_pool_id: env.optional("USER_POOL_ID").unwrap_or_default(),
            issuers,
            revocation_table: env.required("REVOCATION_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            allowed_origins: allowed_origins(&mut env, &cookies),
            cookies,
            browser_sessions,
            app_client_secret_arn: env.optional("APP_CLIENT_SECRET_ARN"),
            retry_queue_url: env.optional("RETRY_QUEUE_URL"),
            hosted_ui: hosted_ui(&mut env),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}

/// A browser adds cookies to requests of any page: with cookies, the origin must be known.
fn allowed_origins(env: &mut Env<'_>, cookies: &Cookies) -> Vec<String> {
    let origins = env.origins("ALLOWED_ORIGINS");
    if origins.is_empty() && cookies.any() {
        env.problem("ALLOWED_ORIGINS", "must be set if tokens come in cookies");
    }
    origins
}

fn hosted_ui(env: &mut Env<'_>) -> Option<HostedUi> {
    let url = env.optional("HOSTED_UI_URL");
    let redirect_uri = env.optional("LOGOUT_REDIRECT_URI");
    if url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
        env.problem("HOSTED_UI_URL", "is not an https:// address");
    }
    match (url, redirect_uri) {
        (None, None) => None,
        (Some(url), Some(redirect_uri)) => Some(HostedUi {
            url: url.trim_end_matches('/').to_owned(),
            redirect_uri,
        }),
        (Some(_), None) => {
            env.problem("LOGOUT_REDIRECT_URI", "must be set with HOSTED_UI_URL");
            None
        }
        (None, Some(_)) => {
            env.problem("HOSTED_UI_URL", "must be set with LOGOUT_REDIRECT_URI");
            None
        }
    }
}
