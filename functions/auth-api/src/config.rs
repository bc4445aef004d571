//! What auth-api reads from its environment. `docs/configuration.md` has the table.

use std::time::Duration;

use auth::Issuer;
use auth_jwks::KeyLocation;
use env_config::{BrowserSessionSettings, ConfigError, Env, Var, vars};
use runtime::log::{self, Level};
use usernames::Domains;

/// A valid configuration.
pub struct Config {
    /// `USER_POOL_ID`.
    pub user_pool_id: String,
    /// `ISSUER`, `JWKS_URI`, `JWKS`: the issuer of tokens on routes without an authorizer.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// The first of `APP_CLIENT_IDS`: the app client that users sign in to.
    pub app_client_id: String,
    /// `APP_CLIENT_SECRET_ARN`: the secret of the app client, if it has one.
    pub app_client_secret_arn: Option<String>,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `SESSION_TABLE`: the table of sign-ins; sign-ins are not recorded without it.
    pub session_table: Option<String>,
    /// `REFRESH_TOKEN_TTL_SECONDS`.
    pub refresh_token_ttl_seconds: u64,
    /// `CLOCK_LEEWAY_SECONDS`.
    pub leeway_seconds: u64,
    /// `RETRY_QUEUE_URL`: the queue for revocations that could not be written.
    pub retry_queue_url: Option<String>,
    /// `ATTEMPT_TABLE`, `ATTEMPTS_PER_USER`, `ATTEMPTS_PER_ADDRESS`.
    pub limits: Option<Limits>,
    /// `REFUSAL_GRID_MILLISECONDS`: a response that depends on Cognito's knowledge of a name is
    /// delayed to a multiple of this time, counted from the start of the request. Zero disables the
    /// delay.
    pub refusal_grid: Duration,
    /// `COOKIE_MODE=tokens` with `TOKEN_COOKIE` and `REFRESH_COOKIE`: tokens are sent in cookies instead of bodies.
    pub cookies: Option<Cookies>,
    /// `COOKIE_MODE=session`: a cookie carries the id of a session, whose tokens stay in a table.
    pub browser_sessions: Option<BrowserSessionSettings>,
    /// `ALLOWED_ORIGINS`, and the origin of `APP_BASE_URL`: the origins that may call.
    pub allowed_origins: Vec<String>,
    /// `APP_NAME`.
    pub app_name: String,
    /// `SIGN_IN_URL`: the link of the page that is shown after a confirmation.
    pub sign_in_url: Option<String>,
    /// `DEFAULT_LOCALE`.
    pub default_locale: String,
    /// `PASSWORD_POLICY`: the pool's password policy as a text for users.
    pub password_policy: String,
    /// `USERNAME_CASE_SENSITIVE`.
    pub case_sensitive: bool,
    /// `REVEAL_EXISTING_USERS`: sign-up reports that a name is taken, and sign-in that an account is
    /// not confirmed.
    pub reveals_existing: bool,
    /// `PASSWORD_CHANGE_ATTRIBUTE`: the custom attribute of users who must change their password
    /// before a sign-in returns tokens.
    pub change_attribute: Option<String>,
    /// `SIGN_UP_GUARD`: whether a changed address is checked as pre-sign-up checks a new one,
    /// against the domains below.
    pub guards: bool,
    /// `ALLOWED_EMAIL_DOMAINS`; empty for all.
    pub allowed_domains: Domains,
    /// `DENIED_EMAIL_DOMAINS`. Takes precedence over the allowed domains.
    pub denied_domains: Domains,
    /// `SIGN_UP_ATTRIBUTES`: the attributes that a user may set at sign-up and change later.
    pub attributes: Vec<String>,
    /// `LOG_LEVEL`.
    pub log_level: Level,
}

/// The limits on attempts within five minutes.
pub struct Limits {
    /// The table that counts attempts.
    pub table: String,
    /// Attempts for one user name.
    pub per_user: u64,
    /// Attempts from one address.
    pub per_address: u64,
}

/// The names of the cookies that hold tokens.
pub struct Cookies {
    /// The cookie of the access token.
    pub access: String,
    /// The cookie of the refresh token.
    pub refresh: String,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [Var] = &[
        vars::APP_CLIENT_SECRET_ARN,
        vars::REVOCATION_TABLE,
        Var::new(
            "SESSION_TABLE",
            "unset",
            "The DynamoDB table in which sign-ins are recorded, for `/auth/sessions`.",
        ),
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::CLOCK_LEEWAY_SECONDS,
        Var::new(
            "RETRY_QUEUE_URL",
            "unset",
            "The SQS queue for revocations that could not be written; `logout-retry` writes \
             them.",
        ),
        Var::new(
            "ATTEMPT_TABLE",
            "unset",
            "The DynamoDB table that counts attempts. Unset: only API Gateway and Cognito \
             limit them.",
        ),
        Var::new(
            "ATTEMPTS_PER_USER",
            "`5`",
            "Attempts of one kind (login, resend, forgotten password and so on) for one user \
             name from one network in the last five minutes; from all networks together four \
             times as many, not counting those from which the user has signed in within a \
             month or two. A sign-in, a code or a refresh that succeeds is not counted. The \
             first step of SRP and a refresh by cookie have ten times the limit, and none for \
             all networks. \
             Cognito's own lock comes after five wrong passwords.",
        ),
        Var::new(
            "ATTEMPTS_PER_ADDRESS",
            "`200`",
            "Attempts of one kind from one source address (of IPv6, its first 64 bits), which \
             API Gateway reports, in the last five minutes; headers are never read. It is counted \
             first: an address over its limit counts for no name. Behind CloudFront the address is the edge's.",
        ),
        Var::new(
            "REFUSAL_GRID_MILLISECONDS",
            "`1000`",
            "A refused sign-in, sign-up, code or password, and each response to a request for \
             an email, leaves at a multiple of this since the request arrived, after 14 s at \
             the latest, so that its time does not reveal who has an account. It must be \
             longer than Cognito and its triggers take. The template sets 2000 while \
             `LegacySource` is set: `migrate-user` refuses at 500, 1000 or 1500 ms, because a \
             hash may take about a second, and Cognito adds to that. `0`: at once. At most \
             5000.",
        ),
        Var::new(
            "COOKIE_MODE",
            "`tokens`",
            "`tokens`: tokens are in `TOKEN_COOKIE` and `REFRESH_COOKIE`, or in bodies without them. `session`: \
             `SESSION_COOKIE` carries the id of a session, and its tokens stay in `BROWSER_SESSION_TABLE`, sealed \
             ([tokens.md](tokens.md#browser-sessions)).",
        ),
        vars::SESSION_COOKIE,
        vars::BROWSER_SESSION_TABLE,
        vars::BROWSER_SESSION_KEYS_ARN,
        Var::new(
            "TOKEN_COOKIE",
            "unset: tokens are in the response's body",
            "The cookie for the access token, beginning with `__Host-`. Set with \
             `REFRESH_COOKIE`.",
        ),
        Var::new(
            "REFRESH_COOKIE",
            "unset: tokens are in the response's body",
            "The cookie for the refresh token, beginning with `__Host-` (`Path=/`: the browser \
             sends it with each request to the host) or with `__Secure-`: then only to the \
             routes under `/auth`, at the path that API Gateway saw. Not behind a proxy that \
             rewrites paths. After a change from `__Host-x` to `__Secure-x` the old cookie is \
             read and cleared.",
        ),
        Var::new(
            "ALLOWED_ORIGINS",
            "unset",
            "Pages that may call and read the responses (CORS), besides those of \
             `APP_BASE_URL`'s origin. A request that, according to the browser, comes from \
             another page is refused.",
        ),
        Var::new(
            "APP_NAME",
            "`Gatehouse`",
            "The application's name on pages and in authenticator apps.",
        ),
        Var::new(
            "APP_BASE_URL",
            "unset",
            "The base of confirmation links; pages of its origin may call the API.",
        ),
        Var::new(
            "SIGN_IN_URL",
            "unset",
            "Where the confirmation page links to after a confirmation.",
        ),
        Var::new(
            "DEFAULT_LOCALE",
            "`en`",
            "The pages' language for browsers whose language is not supported: `en`, `de`, \
             `es`, `ja`, `ar`.",
        ),
        Var::new(
            "PASSWORD_POLICY",
            "`Use at least 12 characters.`",
            "The password policy, in words, shown when a password does not meet it.",
        ),
        vars::USERNAME_CASE_SENSITIVE,
        Var::new(
            "REVEAL_EXISTING_USERS",
            "`false`",
            "Sign-up responds with 409 for an existing name, and sign-in with 403 for an \
             unconfirmed account.",
        ),
        Var::new(
            "PASSWORD_CHANGE_ATTRIBUTE",
            "unset",
            "The attribute that migrate-user sets for users whose migrated password the pool's \
             policy would refuse. A sign-in of such a user returns no tokens until the password \
             is changed ([migration.md](migration.md#passwords-that-the-new-pool-would-refuse)).",
        ),
        usernames::vars::SIGN_UP_GUARD,
        usernames::vars::ALLOWED_EMAIL_DOMAINS,
        usernames::vars::DENIED_EMAIL_DOMAINS,
        Var::new(
            "SIGN_UP_ATTRIBUTES",
            "`name,locale`",
            "The attributes that users may set at sign-up and change later, besides their \
             e-mail address. The template's parameter accepts Cognito's standard attributes, \
             and lets the app client write them.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
    ];

    /// Whether the browser's cookies authenticate requests.
    pub(crate) fn uses_cookies(&self) -> bool {
        self.cookies.is_some() || self.browser_sessions.is_some()
    }

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration, at once.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let user_pool_id = env.user_pool_id();
        let app_client_id = env.app_client_ids().into_iter().next();
        let issuers = auth_jwks::config::issuers(&mut env);
        let mut allowed_origins = env.origins("ALLOWED_ORIGINS");
        allowed_origins.extend(own_origin(&mut env));
        let default_locale = env.optional("DEFAULT_LOCALE");
        let (cookies, browser_sessions) = cookie_mode(&mut env);
        let config = Self {
            user_pool_id,
            issuers,
            app_client_id: app_client_id.unwrap_or_default(),
            app_client_secret_arn: env.optional("APP_CLIENT_SECRET_ARN"),
            revocation_table: env.required("REVOCATION_TABLE"),
            session_table: env.optional("SESSION_TABLE"),
            refresh_token_ttl_seconds: env.refresh_token_ttl_seconds(),
            leeway_seconds: env.number("CLOCK_LEEWAY_SECONDS", 0, 0..=60),
            retry_queue_url: env.optional("RETRY_QUEUE_URL"),
            limits: limits(&mut env),
            refusal_grid: Duration::from_millis(env.number(
                "REFUSAL_GRID_MILLISECONDS",
                1_000,
                0..=5_000,
            )),
            cookies,
            browser_sessions,
            allowed_origins,
            app_name: app_name(&mut env),
            sign_in_url: sign_in_url(&mut env),
            default_locale: default_locale.unwrap_or_else(|| "en".to_owned()),
            password_policy: env
                .optional("PASSWORD_POLICY")
                .unwrap_or_else(|| "Use at least 12 characters.".to_owned()),
            case_sensitive: env.flag("USERNAME_CASE_SENSITIVE", false),
            reveals_existing: env.flag("REVEAL_EXISTING_USERS", false),
            change_attribute: change_attribute(&mut env),
            guards: env.flag("SIGN_UP_GUARD", true),
            allowed_domains: Domains::read(&mut env, "ALLOWED_EMAIL_DOMAINS"),
            denied_domains: Domains::read(&mut env, "DENIED_EMAIL_DOMAINS"),
            attributes: attributes(&mut env),
            log_level: log::read(&mut env),
        };
        env.finish(config)
    }
}

fn change_attribute(env: &mut Env<'_>) -> Option<String> {
    const NAME: &str = "PASSWORD_CHANGE_ATTRIBUTE";
    let name = env.optional(NAME);
    if name
        .as_ref()
        .is_some_and(|name| name.len() <= 7 || !name.starts_with("custom:"))
    {
        env.problem(NAME, "is not a `custom:` attribute");
    }
    name
}

fn limits(env: &mut Env<'_>) -> Option<Limits> {
    let table = env.optional("ATTEMPT_TABLE");
    let per_user = env.number("ATTEMPTS_PER_USER", 5, 1..=1_000_000);
    let per_address = env.number("ATTEMPTS_PER_ADDRESS", 200, 1..=1_000_000);
    Some(Limits {
        table: table?,
        per_user,
        per_address,
    })
}

/// The cookies of `COOKIE_MODE`.
fn cookie_mode(env: &mut Env<'_>) -> (Option<Cookies>, Option<BrowserSessionSettings>) {
    let cookies = cookies(env);
    let browser_sessions = BrowserSessionSettings::read(env);
    match env.optional("COOKIE_MODE").as_deref() {
        None | Some("tokens") => {
            if browser_sessions.is_some() {
                env.problem(
                    "COOKIE_MODE",
                    "is not `session`, which BROWSER_SESSION_TABLE needs",
                );
            }
        }
        Some("session") => {
            if browser_sessions.is_none() {
                env.problem(
                    "BROWSER_SESSION_TABLE",
                    "must be set with COOKIE_MODE=session",
                );
            }
            if cookies.is_some() {
                env.problem("TOKEN_COOKIE", "cannot be set with COOKIE_MODE=session");
            }
        }
        Some(_) => env.problem("COOKIE_MODE", "is neither `tokens` nor `session`"),
    }
    (cookies, browser_sessions)
}

fn cookies(env: &mut Env<'_>) -> Option<Cookies> {
    let access = env.cookie_name("TOKEN_COOKIE");
    let refresh = env.cookie_name("REFRESH_COOKIE");
    match (access, refresh) {
        (None, None) => None,
        (Some(access), Some(refresh)) => {
            // The prefix `__Host-` makes browsers require Secure, no Domain and the path `/`;
            // `__Secure-` requires Secure alone, so the path can be as narrow as possible.
            if !access.starts_with("__Host-")
                || !["__Host-", "__Secure-"]
                    .iter()
                    .any(|prefix| refresh.starts_with(prefix))
            {
                env.problem(
                    "TOKEN_COOKIE",
                    "or REFRESH_COOKIE doesn't begin with `__Host-` (REFRESH_COOKIE: or `__Secure-`)",
                );
            }
            if access == refresh {
                env.problem("REFRESH_COOKIE", "is the same as TOKEN_COOKIE");
            }
            Some(Cookies { access, refresh })
        }
        _ => {
            env.problem("TOKEN_COOKIE", "and REFRESH_COOKIE are only set together");
            None
        }
    }
}

/// The origin of confirmation links: the page posts back to it.
fn own_origin(env: &mut Env<'_>) -> Option<String> {
    let url = env.optional("APP_BASE_URL")?;
    let origin = url.split_once("://").map(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{host}")
    });
    let origin = origin.filter(|origin| is_web_address(origin) && !origin.contains('@'));
    if origin.is_none() {
        env.problem("APP_BASE_URL", "has a base address that is not https://");
    }
    origin
}

fn sign_in_url(env: &mut Env<'_>) -> Option<String> {
    let url = env.optional("SIGN_IN_URL")?;
    if !is_web_address(&url) {
        env.problem("SIGN_IN_URL", "is not an https:// address");
    }
    Some(url)
}

/// `https://`, or `http://` on this machine for development.
fn is_web_address(url: &str) -> bool {
    let local = |rest: &&str| {
        let host = rest.split(['/', ':']).next();
        matches!(host, Some("localhost" | "127.0.0.1"))
    };
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://").filter(local));
    host.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic())
    })
}

fn app_name(env: &mut Env<'_>) -> String {
    let name = env.optional("APP_NAME");
    let name = name.unwrap_or_else(|| "Gatehouse".to_owned());
    if name.chars().count() > 40 || name.contains(|c: char| c.is_control() || c == ':') {
        env.problem(
            "APP_NAME",
            "is not a name of 1 to 40 characters without `:`",
        );
    }
    name
}

/// The default is `name` and `locale`. Rejects attributes that an application decides by.
fn attributes(env: &mut Env<'_>) -> Vec<String> {
    const NAME: &str = "SIGN_UP_ATTRIBUTES";
    let names = env.list(NAME);
    let names = names.unwrap_or_else(|| vec!["name".to_owned(), "locale".to_owned()]);
    let is_sensitive = |name: &String| {
        name == "sub"
            || name == "identities"
            || name.ends_with("_verified")
            || name.starts_with("cognito:")
            || name.starts_with("dev:")
    };
    if names.iter().any(is_sensitive) {
        env.problem(NAME, "holds an attribute that no user may set");
    }
    names
}
