//! The authorizer's environment variables, described in `docs/configuration.md`.

use auth::env::{ConfigError, Env, is_name_byte};
use auth::routes::Route;
use auth::{
    IAT_LEEWAY_SECONDS, Issuer, MAX_IAT_LEEWAY_SECONDS, MAX_TOKEN_BYTES, ResourceAudience,
    TokenRules, TokenUse,
};
use auth_cedar::CedarPolicies;
use auth_jwks::KeyLocation;

use crate::cedar::{self, PolicyScope};
use crate::context::ContextClaim;
use crate::report::LogRules;

/// A valid configuration: [`Config::from_lookup`] rejects all others.
pub struct Config {
    /// The issuers and the locations of their keys.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// The requirements for tokens.
    pub token_rules: TokenRules,
    /// `REVOCATION_TABLE`.
    pub revocation_table: String,
    /// `API_KEY_TABLE`; without it, API keys are not accepted.
    pub api_key_table: Option<String>,
    /// All other settings.
    pub settings: Settings,
}

/// Settings for reading, deciding and answering requests.
pub struct Settings {
    /// The Cedar policies of `POLICIES_DIR`.
    pub policies: CedarPolicies,
    /// The API's routes, from `openapi.yaml`.
    pub routes: Vec<Route>,
    /// `POLICY_SCOPE`: what an IAM policy covers.
    pub scope: PolicyScope,
    /// `TOKEN_SOURCES` and `TOKEN_COOKIE`: where a request may have its token.
    pub token_sources: TokenSources,
    /// `MAX_TOKEN_BYTES`: the longest accepted token.
    pub max_token_bytes: usize,
    /// `API_KEY_HEADER`: where a request may have an API key; `None` without `API_KEY_TABLE`.
    pub api_key_header: Option<ApiKeyHeader>,
    /// `ALLOWED_ORIGINS`: origins whose pages may open a WebSocket; all if empty.
    pub allowed_origins: Vec<String>,
    /// `HTTP_API_RESPONSE`.
    pub http_api_response: HttpApiResponse,
    /// `CONTEXT_CLAIMS`: the claims that backends receive.
    pub context_claims: Vec<ContextClaim>,
    /// Which decisions are logged.
    pub log: LogRules,
}

/// A part of a request that may contain a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer <token>`.
    Header,
    /// `?access_token=<token>`.
    Query,
    /// The cookie `TOKEN_COOKIE`.
    Cookie,
    /// `Sec-WebSocket-Protocol: bearer, <token>`.
    Subprotocol,
}

/// The places of tokens in requests.
#[derive(Clone, Debug)]
pub struct TokenSources {
    /// `None`: the header, and for a WebSocket also the query and the subprotocol, because browsers
    /// cannot set headers there.
    chosen: Option<Vec<TokenSource>>,
    /// The cookie's name.
    pub cookie: String,
}

impl TokenSources {
    /// The sources to read.
    pub(crate) fn to_try(&self, web_socket: bool) -> impl Iterator<Item = TokenSource> {
        const PLAIN: &[TokenSource] = &[TokenSource::Header];
        const WEB_SOCKET: &[TokenSource] = &[
            TokenSource::Header,
            TokenSource::Query,
            TokenSource::Subprotocol,
        ];
        let by_default = if web_socket { WEB_SOCKET } else { PLAIN };
        self.chosen.as_deref().unwrap_or(by_default).iter().copied()
    }

    /// The source that must be empty: unless the configuration names the sources, a token in the
    /// query is a second credential (RFC 6750 section 2).
    pub(crate) fn must_be_empty(&self, web_socket: bool) -> Option<TokenSource> {
        (self.chosen.is_none() && !web_socket).then_some(TokenSource::Query)
    }
}

/// The header that may contain an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyHeader {
    /// `Authorization: ApiKey <key>`.
    Authorization,
    /// Only the key, in a header of this lower-case name.
    Named(String),
}

/// The response format that an HTTP API with payload format 2.0 is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpApiResponse {
    /// An IAM policy.
    Iam,
    /// `isAuthorized` (`EnableSimpleResponses`).
    Simple,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [&'static str] = &[
        "TRUSTED_ISSUERS",
        "ALLOW_DELEGATED_TOKENS",
        "TOKEN_USE",
        "RESOURCE_AUDIENCE",
        "CLOCK_LEEWAY_SECONDS",
        "IAT_LEEWAY_SECONDS",
        "MAX_TOKEN_BYTES",
        "REQUIRE_SESSION",
        "REVOCATION_TABLE",
        "API_KEY_TABLE",
        "API_KEY_HEADER",
        "CONTEXT_CLAIMS",
        "POLICIES_DIR",
        "POLICY_SCOPE",
        "AUTHORIZER_TTL_SECONDS",
        "TOKEN_SOURCES",
        "TOKEN_COOKIE",
        "ALLOWED_ORIGINS",
        "HTTP_API_RESPONSE",
        "LOG_LEVEL",
        "LOG_ALLOWED_PERCENT",
        "LOG_REFUSALS_PER_SECOND",
    ];

    /// Reads the configuration through `lookup`.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut env = Env::new(lookup);
        let mut issuers = auth_jwks::config::issuers(&mut env);
        auth_jwks::config::add_trusted(&mut env, &mut issuers);
        let pool = env.optional("USER_POOL_ID").unwrap_or_default();
        let policies = cedar::read(&mut env, &pool);
        let routes = cedar::routes(&mut env);
        let scope = cedar::scope(&mut env, &routes, policies.as_ref());
        let token_rules = token_rules(&mut env);
        let revocation_table = env.required("REVOCATION_TABLE");
        let api_key_table = env.optional("API_KEY_TABLE");
        let api_key_header = api_key_header(&mut env).filter(|_| api_key_table.is_some());
        let context_claims = context_claims(&mut env);
        let token_sources = token_sources(&mut env);
        let max_token_bytes = env.number("MAX_TOKEN_BYTES", 8_192, 1_024..=10_240);
        let allowed_origins = allowed_origins(&mut env, &token_sources);
        let http_api_response = http_api_response(&mut env);
        if matches!(scope, PolicyScope::Api(_)) && http_api_response == HttpApiResponse::Simple {
            env.problem(
                "HTTP_API_RESPONSE",
                "cannot be `simple` with POLICY_SCOPE=api",
            );
        }
        let has_cookies = |web_socket| {
            let mut sources = token_sources.to_try(web_socket);
            sources.any(|source| source == TokenSource::Cookie)
        };
        if matches!(scope, PolicyScope::Api(_)) && has_cookies(false) {
            env.problem(
                "POLICY_SCOPE",
                "cannot be `api` with tokens in cookies: what is remembered for one page's request \
                 would pass another's",
            );
        }
        let log = LogRules {
            level: lambda::log::Level::read(&mut env),
            allowed_percent: env.number("LOG_ALLOWED_PERCENT", 100, 0..=100),
            refusals_per_second: env.number("LOG_REFUSALS_PER_SECOND", 100, 0..=10_000),
        };
        let Some(policies) = policies else {
            return Err(env.into_error());
        };
        env.finish(Self {
            issuers,
            token_rules,
            revocation_table,
            api_key_table,
            settings: Settings {
                policies,
                routes,
                scope,
                token_sources,
                max_token_bytes: usize::try_from(max_token_bytes).unwrap_or(MAX_TOKEN_BYTES),
                api_key_header,
                allowed_origins,
                http_api_response,
                context_claims,
                log,
            },
        })
    }
}

fn token_sources(env: &mut Env<'_>) -> TokenSources {
    let names = env.list("TOKEN_SOURCES");
    let chosen = names.map(|names| {
        names
            .iter()
            .filter_map(|name| match name.as_str() {
                "header" => Some(TokenSource::Header),
                "query" => Some(TokenSource::Query),
                "cookie" => Some(TokenSource::Cookie),
                "subprotocol" => Some(TokenSource::Subprotocol),
                _ => {
                    env.problem(
                        "TOKEN_SOURCES",
                        "is not a list of `header`, `query`, `cookie`, `subprotocol`",
                    );
                    None
                }
            })
            .collect()
    });
    let cookie = env
        .cookie_name("TOKEN_COOKIE")
        .unwrap_or_else(|| "__Host-access_token".to_owned());
    TokenSources { chosen, cookie }
}

fn api_key_header(env: &mut Env<'_>) -> Option<ApiKeyHeader> {
    const NAME: &str = "API_KEY_HEADER";
    let Some(name) = env.optional(NAME) else {
        return Some(ApiKeyHeader::Authorization);
    };
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "authorization" => Some(ApiKeyHeader::Authorization),
        "cookie" | "sec-websocket-protocol" => {
            env.problem(NAME, "is a header with another meaning");
            None
        }
        _ if name.bytes().all(is_name_byte) => Some(ApiKeyHeader::Named(name)),
        _ => {
            env.problem(NAME, "is not a header's name");
            None
        }
    }
}

/// A browser adds cookies to a WebSocket that any page opens: with cookies, the origin must be
/// known.
fn allowed_origins(env: &mut Env<'_>, sources: &TokenSources) -> Vec<String> {
    let origins = env.origins("ALLOWED_ORIGINS");
    if origins.is_empty()
        && sources
            .to_try(true)
            .any(|source| source == TokenSource::Cookie)
    {
        env.problem("ALLOWED_ORIGINS", "must be set if tokens come in cookies");
    }
    origins
}

fn http_api_response(env: &mut Env<'_>) -> HttpApiResponse {
    match env.optional("HTTP_API_RESPONSE").as_deref() {
        None | Some("iam") => HttpApiResponse::Iam,
        Some("simple") => HttpApiResponse::Simple,
        Some(_) => {
            env.problem("HTTP_API_RESPONSE", "is neither `iam` nor `simple`");
            HttpApiResponse::Iam
        }
    }
}

fn token_rules(env: &mut Env<'_>) -> TokenRules {
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

fn context_claims(env: &mut Env<'_>) -> Vec<ContextClaim> {
    let Some(names) = env.list("CONTEXT_CLAIMS") else {
        return ContextClaim::default_choice();
    };
    names
        .iter()
        .filter_map(|name| {
            let known = ContextClaim::ALL
                .iter()
                .find(|claim| claim.as_str() == name);
            if known.is_none() {
                env.problem("CONTEXT_CLAIMS", "names an unknown claim");
            }
            known.copied()
        })
        .collect()
}
