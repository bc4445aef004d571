"""The sets of parameters that the template is expanded for."""

ARN = "arn:aws:{service}:us-east-1:123456789012:{rest}"
SECRET = ARN.format(service="secretsmanager", rest="secret:{0}-a1b2c3")
LAYER = ARN.format(service="lambda", rest="layer:{0}:1")

HOSTED_UI = {"HostedUiDomainPrefix": "my-app", "CallbackUrls": "https://app.example.com/callback"}
USER_EVENTS = {"UserEvents": "false"}
COOKIES = {"TokenSources": "cookie", "LogoutCookies": "true", "AllowedOrigin": "https://app.example.com"}
SESSIONS = {"TokenSources": "session", "LogoutCookies": "true", "CookieMode": "session"}
SESSIONS |= {"AllowedOrigin": "https://app.example.com"}
API_KEYS = {"ApiKeys": "true", "ApiKeyHeader": "x-api-key"}
WEB_SOCKETS = {"WebSocketApi": "true"}
POOL_MIGRATION = {
    "LegacySource": "cognito",
    "LegacyUserPoolId": "us-east-1_AbC123xyz",
    "LegacyAppClientId": "1example23456789",
    "LegacyCaseSensitive": "false",
    "PasswordChangeAttribute": "custom:password_is_old",
}
GROUPS = POOL_MIGRATION | {"LegacyGroups": '{"Staff":"staff"}'}
TABLE_MIGRATION = {"LegacySource": "dynamodb", "LegacyTable": "users", "LegacySpellingsTable": "spellings"}
DATABASE_MIGRATION = {
    "LegacySource": "postgres",
    "LegacyQuery": "select * from users where lower(name) = $1",
    "LegacySecretArn": SECRET.format("database"),
}
OTHER_ACCOUNT = POOL_MIGRATION | {"LegacyRoleArn": "arn:aws:iam::210987654321:role/migration"}
SIGN_UP = {
    "SignUpGuard": "true",
    "AllowedEmailDomains": "example.com,*.example.com",
    "DeniedEmailDomains": "old.example.com",
    "LinkProviders": "Google",
}
MAIL = {
    "SesIdentityArn": ARN.format(service="ses", rest="identity/example.com"),
    "MailFrom": "no-reply@example.com",
}
BRAND = {"BrandLayerArn": LAYER.format("brands"), "TemplatesDir": "/opt/brands/ours"}
CLAIMS = {"TokenClaims": "true"}
CLAIMS_LAYER = CLAIMS | {"ClaimsLayerArn": LAYER.format("claims"), "ClaimsFile": "/opt/claims.json"}
POLICIES_LAYER = {"PoliciesLayerArn": LAYER.format("policies"), "PoliciesDir": "/opt/policies"}
GOOGLE = HOSTED_UI | {"GoogleClientId": "google", "GoogleClientSecretArn": SECRET.format("google")}
PROVIDERS = GOOGLE | {
    "FacebookClientId": "facebook",
    "FacebookClientSecretArn": SECRET.format("facebook"),
    "AmazonClientId": "amazon",
    "AmazonClientSecretArn": SECRET.format("amazon"),
    "AppleServicesId": "com.example.app",
    "AppleTeamId": "TEAM",
    "AppleKeyId": "KEY",
    "ApplePrivateKeyArn": SECRET.format("apple"),
    "OidcIssuer": "https://id.example.com",
    "OidcClientId": "oidc",
    "OidcClientSecretArn": SECRET.format("oidc"),
    "SamlMetadataUrl": "https://id.example.com/metadata",
}
SUBJECTS = PROVIDERS | {"ProviderSubject": "true"}
MACHINES = HOSTED_UI | {"MachineClient": "true"}
RATE_RULE = {"RequestsPerFiveMinutes": "1000"}
PROTECTED = {"DeletionProtection": "true"}
TOKENS = {"RefreshTokenSeconds": "2592000", "AccessTokenMinutes": "5", "RefreshTokenRotation": "true"}
ATTRIBUTES = {"SignUpAttributes": "locale,zoneinfo"}
DOMAIN = {
    "ApiDomainName": "api.example.com",
    "ApiCertificateArn": ARN.format(service="acm", rest="certificate/0"),
    "ApiHostedZoneId": "Z0123456789",
    "ApiBasePath": "v1",
}
LIMITS = {
    "RequestsPerSecond": "1000",
    "RequestBurst": "2000",
    "CostlyRequestsPerSecond": "5",
    "CostlyRequestBurst": "10",
    "AuthorizerConcurrency": "100",
    "MigrateUserConcurrency": "10",
}
ALIAS = {"AuthorizerDeployment": "AllAtOnce", "AuthorizerBuild": "1f2e3d4c", "AuthorizerProvisionedConcurrency": "10"}
GRADUAL = {"AuthorizerDeployment": "Canary10Percent5Minutes", "AuthorizerBuild": "1f2e3d4c"}
CONFIDENTIAL = {"ConfidentialClient": "true"}
OBSERVED = {"AccessLogs": "true", "Tracing": "true", "Dashboard": "true", "LogRetentionDays": "365"}
# With the authorizer's record, which must have these variables too.
SPANS = {"OtlpEndpoint": "http://localhost:4318", "OtlpSampler": "always_on"}
SPANS |= {"AuthorizerDeployment": "AllAtOnce", "AuthorizerBuild": "1f2e3d4c"}
FORWARD_AUTH = POLICIES_LAYER | {"ForwardAuth": "FunctionUrl", "CredentialHeader": "X-Original-Authorization"}
FORWARD_AUTH_ALB = POLICIES_LAYER | {
    "ForwardAuth": "Alb",
    "ProxyDialect": "forwarded",
    "ForwardAuthRoutesFile": "/opt/policies/routes",
    "ClientAddressHeader": "X-Forwarded-For",
    "TrustedHops": "2",
    "IdentityHeaders": "subject,groups,session",
    "ResourceMetadata": "https://api.example.com/.well-known/oauth-protected-resource",
    "DecisionCacheSeconds": "5",
    "PhantomIssuer": "https://auth.example.com",
    "PhantomKeysArn": SECRET.format("phantom-keys"),
    "PhantomAudiences": '{"orders.example.com":"orders"}',
    "PhantomTtlSeconds": "30",
}
CACHED = {"AuthorizerResultTtlSeconds": "60", "PolicyScope": "api"}
# As the local stack, whose emulator lacks some resources.
EMULATED = {"JwksHost": "http://127.0.0.1:4566"}
SECURITY_MAIL = {"SecurityMail": "security@example.com"}

SETS = {
    "defaults": {},
    "nothing optional": USER_EVENTS,
    "protected": PROTECTED,
    "cookies": COOKIES,
    "browser sessions": SESSIONS,
    "API keys": API_KEYS,
    "WebSockets": WEB_SOCKETS,
    "users of an old pool": POOL_MIGRATION,
    "users of an old pool with groups": GROUPS,
    "users of a table": TABLE_MIGRATION,
    "users of a database": DATABASE_MIGRATION,
    "users of another account": OTHER_ACCOUNT,
    "docs/sign-up.md": SIGN_UP,
    "sign-up guard without links": {"SignUpGuard": "true"},
    "mail": MAIL,
    "docs/mail.md": MAIL | BRAND,
    "claims": CLAIMS,
    "docs/rules.md": CLAIMS_LAYER | POLICIES_LAYER,
    "hosted UI": HOSTED_UI,
    "docs/federation.md": GOOGLE | {"LogoutRedirectUri": "https://app.example.com/"},
    "every provider": SUBJECTS,
    "providers without a subject": PROVIDERS,
    "machines": MACHINES,
    "rate rule": RATE_RULE,
    "security mail": SECURITY_MAIL,
    "docs/operations.md": OBSERVED,
    "docs/operations.md with everything else off": OBSERVED | USER_EVENTS,
    "observed WebSockets": OBSERVED | WEB_SOCKETS,
    "local stack": EMULATED | WEB_SOCKETS,
    "life of tokens": TOKENS,
    "forward auth behind a function URL": FORWARD_AUTH,
    "forward auth behind a load balancer": FORWARD_AUTH_ALB,
    "forward auth of API keys": FORWARD_AUTH | API_KEYS,
    "forward auth of browser sessions": FORWARD_AUTH_ALB | SESSIONS | {"ForwardAuthTokenSources": "header,session"},
    "forward auth beside browser sessions": FORWARD_AUTH_ALB | SESSIONS,
    "cached decisions": CACHED,
    "OpenTelemetry": SPANS,
    "OpenTelemetry and layers": SPANS | CLAIMS_LAYER | POLICIES_LAYER,
    "other attributes": ATTRIBUTES,
    "other attributes and a provider": ATTRIBUTES | GOOGLE,
    "a domain without a zone": {key: DOMAIN[key] for key in ("ApiDomainName", "ApiCertificateArn")},
    "docs/stack.md": DOMAIN | COOKIES,
    "limits": LIMITS,
    "alias": ALIAS | WEB_SOCKETS,
    "gradual deployment": GRADUAL,
    "confidential client": CONFIDENTIAL,
    "confidential client, rotation, machines": CONFIDENTIAL | TOKENS | MACHINES,
}
SETS["everything"] = {
    key: value
    for one in (PROTECTED, COOKIES, API_KEYS, WEB_SOCKETS, GROUPS, DATABASE_MIGRATION, OTHER_ACCOUNT, TABLE_MIGRATION)
    for key, value in one.items()
} | SIGN_UP | MAIL | BRAND | CLAIMS_LAYER | POLICIES_LAYER | SUBJECTS | MACHINES | RATE_RULE | SECURITY_MAIL
SETS["everything"] |= FORWARD_AUTH_ALB | TOKENS | ATTRIBUTES | DOMAIN | LIMITS | CONFIDENTIAL | ALIAS | GRADUAL | OBSERVED

# Of core.yaml. The first has what it requires, as all of them.
CORE = {"UserPoolId": "us-east-1_AbC123xyz", "AppClientIds": "1example23456789", "RefreshTokenSeconds": "2592000"}
CORE_SETS = {
    "core": {},
    "protected": PROTECTED,
    "several clients": {"AppClientIds": "1example23456789,2example23456789"},
    "client with a secret": {"AppClientSecretArn": SECRET.format("client")},
    "cookies": COOKIES,
    "browser sessions": SESSIONS,
    "API keys": API_KEYS,
    "rules": POLICIES_LAYER,
    "hosted UI": {"HostedUiUrl": "https://sign-in.example.com", "LogoutRedirectUri": "https://app.example.com/"},
    "security mail": SECURITY_MAIL,
    "alias": ALIAS,
    "OpenTelemetry": SPANS,
    "local stack": EMULATED,
}
CORE_SETS["everything"] = {key: value for one in CORE_SETS.values() for key, value in one.items()} | {"JwksHost": ""}
CORE_SETS["everything"] |= {"AuthorizerConcurrency": "100"}
CORE_SETS["cached decisions"] = CACHED
CORE_SETS = {name: CORE | given for name, given in CORE_SETS.items()}
