//! Names, defaults and meanings of the variables.

use env_config::{Var, vars};

/// See [`super::Config::VARS`].
pub(super) const VARS: &[Var] = &[
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
    Var::new(
        "REVOCATION_TABLE",
        "required",
        "The DynamoDB table of revocations. With `REVOCATION_STORE=memory` it must be unset.",
    ),
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
