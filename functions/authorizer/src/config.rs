//! The authorizer's environment variables, described in `docs/configuration.md`.

use api_gateway::routes::Route;
use auth::{Issuer, MAX_TOKEN_BYTES, TokenRules};
use auth_cedar::CedarPolicies;
use auth_jwks::KeyLocation;
use env_config::{BrowserSessionSettings, ConfigError, Env, Var, is_name_byte, vars};
use runtime::LogRules;

use crate::answer::HttpApiResponse;
use crate::cedar;
use crate::context::ContextClaims;
use crate::credential::{ApiKeyHeader, TokenSource, TokenSources};
use crate::policy_scope::{self, PolicyScope};

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
    /// `BROWSER_SESSION_TABLE` and `BROWSER_SESSION_KEYS_ARN`, if `TOKEN_SOURCES` names `session`.
    pub browser_sessions: Option<BrowserSessionSettings>,
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
    /// `TOKEN_SOURCES`, `TOKEN_COOKIE` and `SESSION_COOKIE`: where a request may have its token.
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
    pub context_claims: ContextClaims,
    /// Which decisions are logged.
    pub log: LogRules,
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [Var] = &[
        vars::TRUSTED_ISSUERS,
        vars::ALLOW_DELEGATED_TOKENS,
        vars::TOKEN_USE,
        vars::RESOURCE_AUDIENCE,
        vars::CLOCK_LEEWAY_SECONDS,
        vars::IAT_LEEWAY_SECONDS,
        vars::MAX_TOKEN_BYTES,
        vars::REQUIRE_SESSION,
        vars::REVOCATION_TABLE,
        vars::API_KEY_TABLE,
        vars::API_KEY_HEADER,
        Var::new(
            "CONTEXT_CLAIMS",
            "`sub,username,client_id,scope,groups,token_use,auth_time,session,key_id,issuer`",
            "The claims that the backend receives: a choice of these, `token_id` (`jti`) and `issued_at` (`iat`), and \
             any other claim by its name in the token, such as `roles`, `tenant`, `email` or \
             `custom:plan`; `custom:*` for every custom attribute. Keys, types and bounds are in \
             [context.md](context.md#claim-by-claim). `$connect` of a WebSocket API always has those by which \
             connections are closed: `sub`, `client_id`, `auth_time`, `session`, `key_id`, `issuer`, \
             `token_id` and `issued_at`.",
        ),
        Var::new(
            "POLICIES_DIR",
            "`policies` beside the binary, else the compiled-in ones",
            "A folder with `*.cedar` and `schema.cedarschema`. See [rules.md](rules.md).",
        ),
        Var::new(
            "POLICY_SCOPE",
            "`request`",
            "What a policy covers: `request`, this route alone, for an authorizer TTL of 0; or \
             `api`, every route of `openapi.yaml`, for a TTL above 0, which is then the bound \
             between a logout and the first refusal. See [rules.md](rules.md#caching).",
        ),
        Var::new(
            "AUTHORIZER_TTL_SECONDS",
            "`0`",
            "For how long API Gateway caches a policy, equal to the authorizer's \
             `authorizerResultTtlInSeconds`. Above 0 the authorizer refuses to start with \
             `POLICY_SCOPE=request`.",
        ),
        Var::new(
            "TOKEN_SOURCES",
            "`header`; for a WebSocket `header,query,subprotocol`",
            "Where a request may carry its token: `header` (`Authorization: Bearer`), `query` \
             (`access_token`), `cookie`, `session` (`SESSION_COOKIE`, whose tokens are in \
             `BROWSER_SESSION_TABLE`), `subprotocol` (`Sec-WebSocket-Protocol: bearer, \
             <token>`; `$connect` answers `bearer`, or the client's own subprotocol where it \
             offers one, as browsers demand). Two tokens in one request are refused. Unset, a \
             second one in the query is refused too; set, sources that are not listed are \
             ignored.",
        ),
        Var::new(
            "TOKEN_COOKIE",
            "`__Host-access_token`",
            "The cookie that carries a token, if `TOKEN_SOURCES` names cookies.",
        ),
        vars::SESSION_COOKIE,
        vars::BROWSER_SESSION_TABLE,
        vars::BROWSER_SESSION_KEYS_ARN,
        Var::new(
            "ALLOWED_ORIGINS",
            "unset; required if tokens are in cookies",
            "Comma-separated origins: pages that may open a WebSocket (a client without \
             `Origin` is not a browser and is allowed); and pages, besides those of the \
             request's own origin, that may send a request other than GET, HEAD and OPTIONS \
             whose token is in a cookie (a request that states no origin is refused).",
        ),
        Var::new(
            "HTTP_API_RESPONSE",
            "`iam`",
            "The format that an HTTP API with payload 2.0 expects: `iam`, or `simple` with \
             `EnableSimpleResponses`.",
        ),
        vars::LOG_LEVEL,
        vars::METRICS_NAMESPACE,
        vars::STACK_NAME,
        vars::LOG_ALLOWED_PERCENT,
        vars::LOG_REFUSALS_PER_SECOND,
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
        let scope = policy_scope::read(&mut env, &routes, policies.as_ref());
        let token_rules = auth_jwks::config::token_rules(&mut env);
        let revocation_table = env.required("REVOCATION_TABLE");
        let api_key_table = env.optional("API_KEY_TABLE");
        let api_key_header = api_key_header(&mut env).filter(|_| api_key_table.is_some());
        let context_claims = context_claims(&mut env);
        let browser_sessions = BrowserSessionSettings::read(&mut env);
        let token_sources = token_sources(&mut env, browser_sessions.as_ref());
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
            sources.any(TokenSource::is_cookie)
        };
        if matches!(scope, PolicyScope::Api(_)) && has_cookies(false) {
            env.problem(
                "POLICY_SCOPE",
                "cannot be `api` with tokens in cookies: what is remembered for one page's request \
                 would pass another's",
            );
        }
        let reads_sessions = token_sources
            .to_try(false)
            .any(|source| source == TokenSource::Session);
        let log = LogRules::read(&mut env);
        let Some(policies) = policies else {
            return Err(env.into_error());
        };
        env.finish(Self {
            issuers,
            token_rules,
            revocation_table,
            api_key_table,
            browser_sessions: browser_sessions.filter(|_| reads_sessions),
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

fn token_sources(env: &mut Env<'_>, sessions: Option<&BrowserSessionSettings>) -> TokenSources {
    let names = env.list("TOKEN_SOURCES");
    let chosen = names.map(|names| {
        names
            .iter()
            .filter_map(|name| match name.as_str() {
                "header" => Some(TokenSource::Header),
                "query" => Some(TokenSource::Query),
                "cookie" => Some(TokenSource::Cookie),
                "session" => {
                    if sessions.is_none() {
                        env.problem(
                            "BROWSER_SESSION_TABLE",
                            "must be set if TOKEN_SOURCES names `session`",
                        );
                    }
                    Some(TokenSource::Session)
                }
                "subprotocol" => Some(TokenSource::Subprotocol),
                _ => {
                    env.problem(
                        "TOKEN_SOURCES",
                        "is not a list of `header`, `query`, `cookie`, `session`, `subprotocol`",
                    );
                    None
                }
            })
            .collect()
    });
    let cookie = env
        .cookie_name("TOKEN_COOKIE")
        .unwrap_or_else(|| "__Host-access_token".to_owned());
    let session_cookie = sessions.map(|settings| settings.cookie.clone());
    if session_cookie.as_ref() == Some(&cookie) {
        env.problem("SESSION_COOKIE", "is the same as TOKEN_COOKIE");
    }
    TokenSources {
        chosen,
        cookie,
        session_cookie: session_cookie.unwrap_or_default(),
    }
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
    if origins.is_empty() && sources.to_try(true).any(TokenSource::is_cookie) {
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

fn context_claims(env: &mut Env<'_>) -> ContextClaims {
    const NAME: &str = "CONTEXT_CLAIMS";
    let names = env.list(NAME);
    let choice = names.map_or_else(
        || Ok(ContextClaims::default_choice()),
        |names| ContextClaims::of(&names),
    );
    choice.unwrap_or_else(|unfit| {
        for (at, unfit) in unfit {
            env.problem(
                NAME,
                &format!("is invalid: element {} {}", at + 1, unfit.as_str()),
            );
        }
        ContextClaims::default_choice()
    })
}
