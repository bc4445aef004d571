//! The environment variables, described in `docs/configuration.md`.

use std::path::Path;
use std::time::Duration;

use api_gateway::routes::Route;
use auth::{Issuer, MAX_TOKEN_BYTES, TokenRules};
use auth_cedar::CedarPolicies;
use auth_jwks::KeyLocation;
use auth_phantom::{
    Audiences, DEFAULT_TTL_SECONDS, MAX_TTL_SECONDS, MIN_TTL_SECONDS, Minter, MinterError,
};
use auth_tower::{ApiKeyPlace, Challenges, Places};
use env_config::{BrowserSessionSettings, ConfigError, Env, Var, vars};
use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderName, Uri};
use runtime::LogRules;

use crate::dialect::{ClientAddress, Dialect};
use crate::identity::Identity;
use crate::phantom::{KeysLocation, PhantomSettings};

/// A valid configuration: [`Config::from_lookup`] rejects all others.
pub struct Config {
    /// The issuers and the locations of their keys.
    pub issuers: Vec<(Issuer, KeyLocation)>,
    /// The requirements for tokens.
    pub token_rules: TokenRules,
    /// `MAX_TOKEN_BYTES`.
    pub max_token_bytes: usize,
    /// `REVOCATION_STORE` and `REVOCATION_TABLE`.
    pub store: StoreChoice,
    /// `API_KEY_TABLE`; without it, API keys are not accepted.
    pub api_key_table: Option<String>,
    /// Where requests have their credentials.
    pub places: Places,
    /// The policies of `POLICIES_DIR`.
    pub policies: CedarPolicies,
    /// The routes of `ROUTES_FILE`.
    pub routes: Vec<Route>,
    /// The table and the keys of browser sessions, if `TOKEN_SOURCES` names them.
    pub sessions: Option<BrowserSessionSettings>,
    /// Phantom tokens, if `PHANTOM_ISSUER` is set.
    pub phantom: Option<PhantomSettings>,
    /// All other settings.
    pub settings: Settings,
}

/// Settings for reading requests and writing responses.
pub struct Settings {
    /// `PROXY_DIALECT`.
    pub dialect: Dialect,
    /// `CLIENT_ADDRESS_HEADER` and `TRUSTED_HOPS`.
    pub client_address: Option<ClientAddress>,
    /// `CREDENTIAL_HEADER`: the header that is read in place of `Authorization`.
    pub credential_header: Option<HeaderName>,
    /// `IDENTITY_HEADERS`.
    pub identity: Vec<Identity>,
    /// `RESOURCE_METADATA`.
    pub challenges: Challenges,
    /// `DECISION_CACHE_SECONDS`.
    pub cache: Duration,
    /// Which decisions are logged.
    pub log: LogRules,
}

/// Where revocations are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In this DynamoDB table.
    DynamoDb(String),
    /// In this process, for as long as a refresh token lives, in seconds.
    Memory(u64),
}

impl Config {
    /// The variables that [`Config::from_lookup`] reads, besides [`auth_jwks::config::VARS`].
    pub const VARS: &'static [Var] = &[
        Var::new(
            "PROXY_DIALECT",
            "required",
            "How the proxy reports the original request: `nginx` (`auth_request`: `X-Original-Method`, \
             `X-Original-Host`, `X-Original-URI`), `ingress-nginx` (`X-Original-Method`, `X-Original-URL`), \
             `forwarded` (Traefik, Caddy: `X-Forwarded-Method`, `X-Forwarded-Host`, `X-Forwarded-Uri`) or `envoy` \
             (HTTP `ext_authz` with `path_prefix: /auth`). A request that lacks one of these, or has it twice, gets \
             400; headers of other dialects are ignored.",
        ),
        Var::new(
            "CLIENT_ADDRESS_HEADER",
            "unset; required if a rule uses `source_ip`",
            "The header with the client's address, such as `X-Forwarded-For`. The proxy must write it. If a rule uses \
             `source_ip`, a request without a valid address in its place gets 400.",
        ),
        Var::new(
            "TRUSTED_HOPS",
            "`1`",
            "The position of the address in `CLIENT_ADDRESS_HEADER`, from the right: the number of proxies that \
             added one, 1 to 16. Addresses further to the left come from the client. A function URL and a load \
             balancer add the proxy's own address to `X-Forwarded-For`: one more.",
        ),
        Var::new(
            "CREDENTIAL_HEADER",
            "`authorization`",
            "The header in which the proxy passes on the client's `Authorization`, if its own request has another \
             one, such as a signature (AWS_IAM). The proxy must write it; `Authorization` is then ignored.",
        ),
        Var::new(
            "ROUTES_FILE",
            "unset",
            "A file with the services' routes, one `VERB /template` a line as in `GET /orders/{id}` or \
             `GET /files/{path+}`; lines with `#` are comments. Rules name these templates. The route of a request \
             that matches none is its path.",
        ),
        Var::new(
            "POLICIES_DIR",
            "required",
            "A folder with `*.cedar` and `schema.cedarschema`. See [rules.md](rules.md).",
        ),
        Var::new(
            "IDENTITY_HEADERS",
            "`subject,username,groups,scope,client_id,issuer`",
            "The headers of an allowed request: a choice of these, `session` and `key_id`. `X-Auth-Subject` and so \
             on; each chosen one is in every 200, empty where the caller has no such value. Values are \
             percent-encoded except for letters, digits and `-._~@:/`; groups are joined by `,` and scopes by a \
             space. All together have at most 4,096 bytes: a caller with more gets 403.",
        ),
        Var::new(
            "RESOURCE_METADATA",
            "unset",
            "The `https://` address of the protected resource's metadata (RFC 9728), for `WWW-Authenticate`.",
        ),
        Var::new(
            "DECISION_CACHE_SECONDS",
            "`0`",
            "For how long an allowed decision is repeated for the same credential, method, host and route, 0 to 60. \
             A logout takes effect that much later. Ignored where a rule depends on more of a request \
             (`source_ip`, `auth_age`, path parameters). Printed at the start.",
        ),
        Var::new(
            "REVOCATION_STORE",
            "`dynamodb`",
            "`dynamodb`: the table that the other functions write. `memory`: only for `--listen`, one process and no \
             `REVOCATION_TABLE`, no API keys and no browser sessions; `POST /logout` revokes the caller's session. A \
             restart forgets all revocations.",
        ),
        vars::REVOCATION_TABLE,
        vars::REFRESH_TOKEN_TTL_SECONDS,
        vars::API_KEY_TABLE,
        vars::API_KEY_HEADER,
        Var::new(
            "TOKEN_SOURCES",
            "`header`",
            "Where a request may carry its credential: `header` (`Authorization: Bearer`), `cookie`, and `session`, a \
             cookie with the id of a browser session. Two of them in one request are refused, and so is any \
             `access_token` in the query.",
        ),
        Var::new(
            "TOKEN_COOKIE",
            "`__Host-access_token`",
            "The cookie that carries a token, if `TOKEN_SOURCES` names cookies.",
        ),
        Var::new(
            "ALLOWED_ORIGINS",
            "unset; required if tokens are in cookies",
            "Comma-separated origins: pages, besides those of the request's own origin, that may send a request \
             other than GET, HEAD and OPTIONS whose token or session is in a cookie (a request that states no origin is \
             refused).",
        ),
        vars::SESSION_COOKIE,
        vars::BROWSER_SESSION_TABLE,
        vars::BROWSER_SESSION_KEYS_ARN,
        Var::new(
            "PHANTOM_ISSUER",
            "unset: backends get no token",
            "The `iss` of phantom tokens, an `https://` address that is not one of the accepted issuers. Set, each 200 \
             has `X-Auth-Token`, and `/.well-known/jwks.json` the public keys. See \
             [phantom-tokens.md](phantom-tokens.md).",
        ),
        Var::new(
            "PHANTOM_KEYS_ARN",
            "unset",
            "The ARN in Secrets Manager of the keys of phantom tokens, read again before they are four minutes old. If \
             that fails, they are used until they are ten minutes old.",
        ),
        Var::new(
            "PHANTOM_KEYS_FILE",
            "unset",
            "The file of these keys, in place of `PHANTOM_KEYS_ARN`.",
        ),
        Var::new(
            "PHANTOM_AUDIENCES",
            "unset; required with `PHANTOM_ISSUER`",
            "The `aud` for each host, a JSON object: `{\"orders.example.com\": \"orders\"}`. A request to another host \
             gets 403.",
        ),
        Var::new(
            "PHANTOM_TTL_SECONDS",
            "`60`",
            "The lifetime of phantom tokens, 10 to 300. A token outlives a logout by at most so long.",
        ),
        vars::TRUSTED_ISSUERS,
        vars::ALLOW_DELEGATED_TOKENS,
        vars::TOKEN_USE,
        vars::RESOURCE_AUDIENCE,
        vars::CLOCK_LEEWAY_SECONDS,
        vars::IAT_LEEWAY_SECONDS,
        vars::MAX_TOKEN_BYTES,
        vars::REQUIRE_SESSION,
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
        let token_rules = auth_jwks::config::token_rules(&mut env);
        let max_token_bytes = env.number("MAX_TOKEN_BYTES", 8_192, 1_024..=10_240);
        let store = store(&mut env);
        let api_key_table = env.optional("API_KEY_TABLE");
        if api_key_table.is_some() && matches!(store, StoreChoice::Memory(_)) {
            env.problem(
                "API_KEY_TABLE",
                "cannot be set with REVOCATION_STORE=memory",
            );
        }
        let api_key = api_key_place(&mut env).filter(|_| api_key_table.is_some());
        let sessions = BrowserSessionSettings::read(&mut env);
        let places = places(&mut env, api_key, sessions.as_ref());
        if places.session.is_some() && matches!(store, StoreChoice::Memory(_)) {
            // Other functions revoke browser sessions, in a table that this process would not read.
            env.problem(
                "TOKEN_SOURCES",
                "cannot name sessions with REVOCATION_STORE=memory",
            );
        }
        let phantom = phantom(&mut env, &issuers);
        let routes = routes(&mut env);
        let dialect = dialect(&mut env);
        let settings = Settings {
            dialect: dialect.unwrap_or(Dialect::Nginx),
            client_address: client_address(&mut env),
            credential_header: credential_header(&mut env),
            identity: identity(&mut env),
            challenges: challenges(&mut env)?,
            cache: Duration::from_secs(env.number("DECISION_CACHE_SECONDS", 0, 0..=60)),
            log: LogRules::read(&mut env),
        };
        let Some(policies) = policies(&mut env, &pool) else {
            return Err(env.into_error());
        };
        if policies.uses_address() && settings.client_address.is_none() {
            // Without an address a rule that forbids one would not apply.
            env.problem(
                "CLIENT_ADDRESS_HEADER",
                "must be set: a rule uses `source_ip`",
            );
        }
        env.finish(Self {
            issuers,
            token_rules,
            max_token_bytes: usize::try_from(max_token_bytes).unwrap_or(MAX_TOKEN_BYTES),
            store,
            api_key_table,
            sessions: sessions.filter(|_| places.session.is_some()),
            places,
            policies,
            routes,
            phantom,
            settings,
        })
    }
}

fn store(env: &mut Env<'_>) -> StoreChoice {
    const NAME: &str = "REVOCATION_STORE";
    let ttl = env.refresh_token_ttl_seconds();
    match env.optional(NAME).as_deref() {
        None | Some("dynamodb") => StoreChoice::DynamoDb(env.required("REVOCATION_TABLE")),
        Some("memory") => {
            if env.optional("REVOCATION_TABLE").is_some() {
                env.problem(
                    "REVOCATION_TABLE",
                    "cannot be set with REVOCATION_STORE=memory",
                );
            }
            StoreChoice::Memory(ttl)
        }
        Some(_) => {
            env.problem(NAME, "is neither `dynamodb` nor `memory`");
            StoreChoice::Memory(ttl)
        }
    }
}

fn api_key_place(env: &mut Env<'_>) -> Option<ApiKeyPlace> {
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

fn places(
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

fn routes(env: &mut Env<'_>) -> Vec<Route> {
    const NAME: &str = "ROUTES_FILE";
    let Some(file) = env.optional(NAME) else {
        return Vec::new();
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            env.problem(NAME, &format!("cannot be read: {error}"));
            return Vec::new();
        }
    };
    let mut routes: Vec<Route> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = at + 1;
        let parts = line.split_once(char::is_whitespace);
        match parts.map(|(verb, template)| Route::parse(verb, template.trim())) {
            Some(Ok(route)) if routes.contains(&route) => {
                env.problem(NAME, &format!("is invalid: line {number} repeats a route"));
            }
            Some(Ok(route)) => routes.push(route),
            Some(Err(error)) => {
                env.problem(NAME, &format!("is invalid: line {number}: {error}"));
            }
            None => env.problem(
                NAME,
                &format!("is invalid: line {number} is not `VERB /template`"),
            ),
        }
    }
    routes
}

fn policies(env: &mut Env<'_>, user_pool_id: &str) -> Option<CedarPolicies> {
    const NAME: &str = "POLICIES_DIR";
    let folder = env.required(NAME);
    if folder.is_empty() {
        return None;
    }
    match CedarPolicies::from_folder(Path::new(&folder), user_pool_id) {
        Ok(policies) => Some(policies),
        Err(error) => {
            env.problem(NAME, &format!("is invalid: {error}"));
            None
        }
    }
}

fn dialect(env: &mut Env<'_>) -> Option<Dialect> {
    const NAME: &str = "PROXY_DIALECT";
    let name = env.required(NAME);
    let found = Dialect::ALL.iter().find(|(known, _)| *known == name);
    if found.is_none() && !name.is_empty() {
        env.problem(
            NAME,
            "is not `nginx`, `ingress-nginx`, `forwarded` or `envoy`",
        );
    }
    found.map(|(_, dialect)| *dialect)
}

fn client_address(env: &mut Env<'_>) -> Option<ClientAddress> {
    const NAME: &str = "CLIENT_ADDRESS_HEADER";
    let hops = env.number("TRUSTED_HOPS", 1, 1..=16);
    let name = env.optional(NAME)?;
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(header) => Some(ClientAddress {
            header,
            hops: usize::try_from(hops).unwrap_or(1),
        }),
        Err(_) => {
            env.problem(NAME, "is not a header's name");
            None
        }
    }
}

fn credential_header(env: &mut Env<'_>) -> Option<HeaderName> {
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

fn identity(env: &mut Env<'_>) -> Vec<Identity> {
    const NAME: &str = "IDENTITY_HEADERS";
    let Some(names) = env.list(NAME) else {
        return Identity::DEFAULT.to_vec();
    };
    let mut chosen = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        match Identity::ALL.iter().find(|(known, _)| known == name) {
            Some((_, identity)) if chosen.contains(identity) => {
                env.problem(NAME, "names a header twice");
            }
            Some((_, identity)) => chosen.push(*identity),
            None => env.problem(
                NAME,
                "is not a list of `subject`, `username`, `groups`, `scope`, `client_id`, `issuer`, `session`, `key_id`",
            ),
        }
    }
    chosen
}

fn phantom(env: &mut Env<'_>, issuers: &[(Issuer, KeyLocation)]) -> Option<PhantomSettings> {
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

/// Fails only if a constant text cannot be in a header.
fn challenges(env: &mut Env<'_>) -> Result<Challenges, ConfigError> {
    const NAME: &str = "RESOURCE_METADATA";
    let url = env.optional(NAME);
    let is_plain = |url: &String| {
        let uri: Option<Uri> = url.parse().ok();
        let is_https = uri.is_some_and(|uri| uri.scheme_str() == Some("https"));
        is_https
            && url.bytes().all(|b| b.is_ascii_graphic())
            && !url.contains(['"', '\\', '@', '#'])
    };
    let url = match url {
        Some(url) if !is_plain(&url) => {
            env.problem(NAME, "is not a plain https:// address");
            None
        }
        url => url,
    };
    let problem = || ConfigError(vec![format!("{NAME} cannot be in a header")]);
    Challenges::new(url.as_deref()).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let given = [("PROXY_DIALECT", "nginx"), ("POLICIES_DIR", POLICIES)];
        let all: Vec<(&str, &str)> = variables.iter().copied().chain(given).collect();
        Config::from_lookup(&testkit::events::variables(&all))
    }

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        read(variables)
            .err()
            .map(|error| error.0)
            .unwrap_or_default()
    }

    #[test]
    fn invalid_values_stop_the_start() {
        for (name, value) in [
            ("PROXY_DIALECT", "traefik"),
            ("CLIENT_ADDRESS_HEADER", "a b"),
            ("TRUSTED_HOPS", "0"),
            ("CREDENTIAL_HEADER", "a b"),
            ("CREDENTIAL_HEADER", "Cookie"),
            ("ROUTES_FILE", "/nonexistent"),
            ("POLICIES_DIR", "/nonexistent"),
            ("IDENTITY_HEADERS", "subject,email"),
            ("IDENTITY_HEADERS", "subject,subject"),
            ("RESOURCE_METADATA", "http://a.example"),
            ("RESOURCE_METADATA", "https://a.example/\"x"),
            ("RESOURCE_METADATA", "https://a.example/ x"),
            ("DECISION_CACHE_SECONDS", "61"),
            ("REVOCATION_STORE", "redis"),
            ("API_KEY_HEADER", "cookie"),
            ("TOKEN_SOURCES", "header,query"),
            ("TOKEN_SOURCES", "session"),
            ("PHANTOM_TTL_SECONDS", "9"),
            ("PHANTOM_AUDIENCES", "{}"),
            ("PHANTOM_KEYS_FILE", "/keys"),
        ] {
            let problems = problems(&[(name, value)]);
            assert!(
                problems.iter().any(|problem| problem.starts_with(name)),
                "{name}={value}: {problems:?}"
            );
        }
        assert_eq!(problems(&[]), Vec::<String>::new());
    }

    #[test]
    fn contradictory_values_stop_the_start() {
        let memory = ("REVOCATION_STORE", "memory");
        let issuer = ("PHANTOM_ISSUER", "https://auth.example.com");
        let (file, arn) = (("PHANTOM_KEYS_FILE", "/keys"), ("PHANTOM_KEYS_ARN", "arn"));
        let audiences = ("PHANTOM_AUDIENCES", "{\"a.example\": \"a\"}");
        let pool = testkit::Pool::ours().issuer();
        assert_eq!(problems(&[issuer, file, audiences]), Vec::<String>::new());
        for (variables, name) in [
            (vec![memory], "REVOCATION_TABLE"),
            (
                vec![memory, ("REVOCATION_TABLE", ""), ("API_KEY_TABLE", "keys")],
                "API_KEY_TABLE",
            ),
            (
                vec![
                    memory,
                    ("REVOCATION_TABLE", ""),
                    ("TOKEN_SOURCES", "header,session"),
                    ("ALLOWED_ORIGINS", "https://app.example"),
                    ("BROWSER_SESSION_TABLE", "sessions"),
                    ("BROWSER_SESSION_KEYS_ARN", "arn"),
                ],
                "TOKEN_SOURCES cannot name sessions",
            ),
            (vec![("TOKEN_SOURCES", "cookie")], "ALLOWED_ORIGINS"),
            (vec![("TOKEN_SOURCES", "session")], "ALLOWED_ORIGINS"),
            (vec![issuer], "PHANTOM_ISSUER"),
            (vec![issuer, file], "PHANTOM_ISSUER"),
            (vec![issuer, audiences], "PHANTOM_ISSUER"),
            (vec![issuer, file, audiences, arn], "PHANTOM_KEYS_FILE"),
            (
                vec![issuer, file, ("PHANTOM_AUDIENCES", "{}")],
                "PHANTOM_AUDIENCES",
            ),
            (
                vec![("PHANTOM_ISSUER", "http://a"), file, audiences],
                "PHANTOM_ISSUER",
            ),
            (
                vec![("PHANTOM_ISSUER", &pool), file, audiences],
                "PHANTOM_ISSUER",
            ),
        ] {
            let problems = problems(&variables);
            assert!(
                problems.iter().any(|problem| problem.starts_with(name)),
                "{problems:?}"
            );
        }
        assert_eq!(
            problems(&[memory, ("REVOCATION_TABLE", "")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn rules_about_addresses_need_the_header_with_the_address() {
        let folder = crate::scratch("policies-of-addresses");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(
            Path::new(POLICIES).join("schema.cedarschema"),
            folder.join("schema.cedarschema"),
        )
        .unwrap();
        let rule = "forbid (principal, action, resource) when { context has source_ip && \
                    context.source_ip.isInRange(ip(\"203.0.113.0/24\")) };";
        std::fs::write(folder.join("rule.cedar"), rule).unwrap();
        let with = |header: &str| {
            let variables = [
                ("PROXY_DIALECT", "nginx"),
                ("POLICIES_DIR", folder.to_str().unwrap()),
                ("CLIENT_ADDRESS_HEADER", header),
            ];
            let config = Config::from_lookup(&testkit::events::variables(&variables));
            config.err().map(|error| error.0)
        };
        let refused = "CLIENT_ADDRESS_HEADER must be set: a rule uses `source_ip`";
        assert_eq!(with(""), Some(vec![refused.to_owned()]));
        assert_eq!(with("x-forwarded-for"), None);
    }

    #[test]
    fn routes_are_read_by_line() {
        let file = crate::scratch("routes");
        let path = file.to_str().unwrap();
        std::fs::write(&file, "# comment\n\nGET /orders/{id}\n  POST   /orders\n").unwrap();
        let config = read(&[("ROUTES_FILE", path)])
            .map_err(|error| error.0)
            .unwrap();
        let routes: Vec<_> = config.routes.iter().map(Route::template).collect();
        assert_eq!(routes, ["/orders/{id}", "/orders"]);
        std::fs::write(&file, "GET /a\nget /b\nGET\nGET /a\n").unwrap();
        let problems = problems(&[("ROUTES_FILE", path)]);
        for line in ["line 2", "line 3", "line 4"] {
            assert!(
                problems.iter().any(|problem| problem.contains(line)),
                "{problems:?}"
            );
        }
    }
}
