"""Checks of the ways to an application beside an API's methods: domains, CloudFront, functions, AppSync, balancers."""

from gatehouse_operate.audit.calls import partition_of
from gatehouse_operate.audit.facts import document, listed, services
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of
from gatehouse_operate.audit.read import function_name, is_same

apis = subjects_of(lambda facts: [api for api in facts.apis if api.detail])
functions = subjects_of(lambda facts: [one for one in facts.addressed if one.urls])
graphql = subjects_of(lambda facts: [api for api in facts.graphql_apis if api.detail])
balancers = subjects_of(lambda facts: [one for one in facts.balancers if one.listeners])

SIGNED = (
    "aws lambda update-function-url-config --function-name {{function}}{qualifier} --auth-type AWS_IAM"
    "  # or delete-function-url-config, if no client needs it"
)
CLOSE = (
    "aws apigatewayv2 update-api --api-id {api} --disable-execute-api-endpoint"
    "  # once the origin is a custom domain with mutual TLS"
)
DAY = 86400
# Elastic Load Balancing's own value (AuthenticateCognitoActionConfig).
SESSION = 7 * DAY
SIGN_IN = {"authenticate-cognito": "AuthenticateCognitoConfig", "authenticate-oidc": "AuthenticateOidcConfig"}
TOKENS = "jwt-validation"
# A token's claims that name the app client: access tokens of Cognito have client_id, ID tokens aud.
CLIENT_CLAIMS = {"aud", "client_id", "azp"}
USER_MODES = {"AMAZON_COGNITO_USER_POOLS", "OPENID_CONNECT"}


@apis(
    "entry-default-endpoint",
    LOW,
    "The execute-api address stays open beside a custom domain",
    why="Requests to the default address reach the API without the custom domain's mutual TLS and whatever else is "
    "in front of the domain.",
    sources=("aws-default-endpoint", "aws-mutual-tls"),
    mend="aws apigateway update-rest-api --rest-api-id {api} "
    "--patch-operations op=replace,path=/disableExecuteApiEndpoint,value=True\n"
    "aws apigateway create-deployment --rest-api-id {api} --stage-name <stage>\n"
    "aws apigatewayv2 update-api --api-id {api} --disable-execute-api-endpoint  # an HTTP or WebSocket API",
    breaks="Clients, and CloudFront distributions, that use the execute-api address get 403.",
)
def default_endpoint(api, facts):
    domains = facts.domains_of(api)
    if domains and not is_disabled(api) and not is_private(api):
        mutual = [one.name for one in domains if one.is_mutual]
        text = f"{address(api)} answers beside {', '.join(one.name for one in domains)}."
        yield Hit(text + (f" {mutual[0]} demands client certificates." if mutual else ""), HIGH if mutual else None)


@apis(
    "entry-cloudfront-bypass",
    MEDIUM,
    "The API answers beside the CloudFront distribution in front of it",
    why="A client that calls the API's own address is not seen by the distribution: its web ACL, its geographic "
    "limits, its functions and its log are bypassed.",
    sources=("aws-well-architected",),
    mend="aws wafv2 associate-web-acl --web-acl-arn <acl> --resource-arn "
    "{stage_arn}  # whose rule demands a header that the origin sends",
    breaks="Clients that call the API's own address.",
)
def cloudfront_bypass(api, facts):
    names = {name for one in facts.domains_of(api) for name in one.names}
    for distribution in facts.distributions or [] if not is_private(api) else ():
        for origin in members(distribution.get("Origins")):
            name = origin.get("DomainName", "")
            leads_here = name in names or name.startswith(f"{api.id}.execute-api.")
            if leads_here and distribution.get("Enabled", True):
                yield from bypassed(api, distribution, origin)


def bypassed(api, distribution, origin):
    """A Hit for an API that is an origin, unless it demands the API key that the distribution sends."""
    headers = [one.get("HeaderName", "") for one in members(origin.get("CustomHeaders"))]
    by_key = api.kind == "rest" and any(name.lower() == "x-api-key" for name in headers)
    if by_key and all(one.get("apiKeyRequired") for one in api.methods or [{}] if one.get("verb") != "OPTIONS"):
        return
    text = f"{distribution.get('Id')} ({distribution.get('DomainName')}) forwards to {origin.get('DomainName')}."
    acl = bool(distribution.get("WebACLId"))
    own_acl = bool(api.stages) and all(stage.get("webAclArn") for stage in api.stages)
    text += " Its web ACL does not see requests to the API's own address." if acl and not own_acl else ""
    if headers:
        text += f" The distribution sends {', '.join(sorted(headers))}: make sure that the API demands it."
    policy = bool(listed((document(api.detail.get("policy")) or {}).get("Statement")))
    if policy:
        text += " The API has a resource policy: make sure that it refuses other callers."
    severity = None if acl and not own_acl and not headers and not policy else LOW
    arn = f"arn:{partition_of(api.region)}:apigateway:{api.region}::/restapis/{api.id}/stages/<stage>"
    # AWS WAF takes stages of REST APIs only.
    mend = "" if api.kind == "rest" else CLOSE
    yield Hit(text, severity, values={"stage_arn": arn}, mend=mend, part=distribution.get("Id", ""))


@functions(
    "entry-function-url",
    HIGH,
    "A function answers at an address of its own",
    why="With AuthType NONE and a policy for everyone, each request on the internet invokes the function: no API, no "
    "authorizer, no throttling and no web ACL is in front of it.",
    sources=("aws-function-urls",),
    mend=SIGNED.format(qualifier=""),
    breaks="Clients of the address; with AWS_IAM they must sign requests.",
)
def function_url(function, _):
    for one in function.urls:
        url, qualifier = one.get("FunctionUrl"), function_name(one.get("FunctionArn"))[1]
        # An alias has an address of its own.
        command = SIGNED.format(qualifier=" --qualifier {qualifier}" if qualifier else "")
        of_alias = {"values": {"qualifier": qualifier}, "mend": command, "part": qualifier}
        if one.get("AuthType") != "NONE":
            text = f"{url} has AuthType {one.get('AuthType')}: IAM decides, not the authorizer."
            yield Hit(text, INFO, **of_alias)
        elif one["policy"] is not None and not is_public(one["policy"]):
            yield Hit(f"{url} has AuthType NONE; the function's policy lets no stranger in.", LOW, **of_alias)
        else:
            yield Hit(f"{url} has AuthType NONE.", **of_alias)


@graphql(
    "entry-appsync-key",
    HIGH,
    "An API key opens the GraphQL API",
    why="The key stands in the page or the app, so each visitor has it. It identifies no user; AWS calls the mode "
    "unauthenticated.",
    sources=("aws-appsync", "datadog-appsync"),
    mend="aws appsync get-graphql-api --api-id {api}  # then docs/existing-api.md, AppSync\n"
    "aws appsync delete-api-key --api-id {api} --id <key>",
    breaks="Requests with the key get 401. Fields for visitors need another mode.",
)
def appsync_key(api, _):
    modes = [mode for mode, _ in api.modes]
    if "API_KEY" not in modes:
        return
    keys = "" if api.keys is None else f" It has {len(api.keys)} key{'' if len(api.keys) == 1 else 's'}."
    if modes[0] == "API_KEY":
        yield Hit(f"API_KEY is the default mode.{keys}", INFO if api.keys == [] else None)
    else:
        text = f"API_KEY is an additional mode, for fields with @aws_api_key.{keys}"
        yield Hit(text, INFO if api.keys == [] else MEDIUM)


@graphql(
    "entry-appsync-any-user",
    LOW,
    "Every signed-in user may use every field",
    why="With the default action ALLOW a field without a directive is open to each user of the pool, also to those "
    "who have just signed up.",
    sources=("aws-appsync", "aws-appsync-pool"),
    mend="aws appsync get-introspection-schema --api-id {api} --format SDL schema.graphql  # fields without @aws_auth",
    breaks="Users without the group get Unauthorized for the field.",
)
def appsync_any_user(api, facts):
    # An additional mode has no default action: it opens only fields with its directive.
    mode, settings = api.modes[0]
    if mode == "AMAZON_COGNITO_USER_POOLS" and settings.get("defaultAction", "ALLOW") == "ALLOW":
        pool = settings.get("userPoolId", "")
        is_open = bool((found := facts.pool(pool)) and found.sign_up_is_open)
        text = f"The default action for {pool} is ALLOW." + (" Sign-up is open." if is_open else "")
        yield Hit(text, MEDIUM if is_open else None, part=pool)


@graphql(
    "entry-appsync-any-client",
    LOW,
    "Tokens of any app client of the pool are accepted",
    why="A client for another application, with longer tokens or other flows, signs users in here too.",
    sources=("aws-appsync-pool",),
    mend="aws appsync get-graphql-api --api-id {api}  # then userPoolConfig.appIdClientRegex, or clientId",
    breaks="Applications whose client the expression does not match.",
)
def appsync_any_client(api, _):
    for mode, settings in api.modes:
        name = {"AMAZON_COGNITO_USER_POOLS": "appIdClientRegex", "OPENID_CONNECT": "clientId"}.get(mode)
        if name and not settings.get(name):
            provider = settings.get("userPoolId") or settings.get("issuer", "")
            yield Hit(f"{mode} of {provider} has no {name}.", part=provider)


@graphql(
    "entry-appsync-no-revocation",
    MEDIUM,
    "The GraphQL API does not see logouts",
    why="The modes for Cognito and OpenID Connect verify the token and nothing else: after a logout it works until it "
    "expires. A token in JWT form may be judged by such a mode although the API also has a Lambda authorizer.",
    sources=("aws-appsync", "aws-revocation", "gatehouse-existing"),
    mend="aws appsync get-graphql-api --api-id {api}  # then docs/existing-api.md, AppSync",
    breaks="Directives such as @aws_cognito_user_pools must become rules or checks of resolvers.",
)
def appsync_no_revocation(api, _):
    if used := [mode for mode, _ in api.modes if mode in USER_MODES]:
        yield f"Mode {', '.join(dict.fromkeys(used))}."


@graphql(
    "entry-appsync-ttl",
    HIGH,
    "AppSync caches decisions",
    why="A revoked token works for as long as an earlier decision is cached, unless the authorizer's answer has a "
    "ttlOverride.",
    sources=("aws-appsync-lambda", "gatehouse-existing"),
    mend="aws appsync get-graphql-api --api-id {api}  # then authorizerResultTtlInSeconds=0: docs/existing-api.md",
    breaks="The authorizer is invoked for each request.",
)
def appsync_ttl(api, facts):
    arns = [*facts.authorizers, *(one.outputs.get("AuthorizerArn", "") for one in facts.systems)]
    for mode, settings in api.modes:
        name = function_name(settings.get("authorizerUri", ""))[0]
        ttl = settings.get("authorizerResultTtlInSeconds") or 0
        # Gatehouse's authorizer answers with a ttlOverride of 0 (docs/existing-api.md).
        is_ours = any(is_same(arn, settings.get("authorizerUri", "")) for arn in arns if arn)
        if mode == "AWS_LAMBDA" and ttl > 0 and not is_ours:
            yield Hit(f"Decisions of {name} are cached for {ttl} s.", part=name)


@balancers(
    "entry-alb-unauthenticated",
    HIGH,
    "The load balancer passes requests of users who are not signed in",
    why="With OnUnauthenticatedRequest allow the request reaches the target without a user. A target that reads no "
    "x-amzn-oidc-data serves everyone.",
    sources=("aws-alb-users",),
    mend="aws elbv2 describe-rules --listener-arn {listener}  # then modify-rule with OnUnauthenticatedRequest deny",
    breaks="Pages for visitors need a rule of their own without the action.",
)
def alb_unauthenticated(balancer, _):
    for listener, rule, action in sign_ins(balancer):
        if settings_of(action).get("OnUnauthenticatedRequest", "authenticate") == "allow":
            yield rule_hit(balancer, listener, rule, "forwards requests of users who are not signed in")


@balancers(
    "entry-alb-open-rule",
    MEDIUM,
    "A rule forwards without authentication beside rules that demand it",
    why="What misses a protected rule by its path, host or port falls into the open one. If the same targets serve "
    "both, the protection is bypassed.",
    sources=("aws-alb-users",),
    mend="aws elbv2 describe-rules --listener-arn {listener}",
    breaks="Paths that only the open rule served need a sign-in.",
)
def alb_open_rule(balancer, _):
    rules = [(listener, rule, kinds(rule)) for listener, rule in balancer.rules]
    if not any(found & {*SIGN_IN, TOKENS} for _, _, found in rules):
        return
    for listener, rule, found in rules:
        if "forward" in found and not found & {*SIGN_IN, TOKENS}:
            text = "forwards everything else without authentication" if rule.get("IsDefault") else "is open"
            yield rule_hit(balancer, listener, rule, text, HIGH if rule.get("IsDefault") else None)


@balancers(
    "entry-alb-session",
    MEDIUM,
    "The load balancer's session lives longer than a day",
    why="The session is a cookie of the balancer, seven days by default. It renews the user's claims as long as the "
    "refresh token works, so it ends with a revocation at the provider, and not with one written here.",
    sources=("aws-alb-users",),
    mend="aws elbv2 describe-rules --listener-arn {listener}  # then modify-rule with SessionTimeout",
    breaks="Users sign in again after that time.",
)
def alb_session(balancer, _):
    for listener, rule, action in sign_ins(balancer):
        seconds = int(settings_of(action).get("SessionTimeout") or SESSION)
        if seconds > DAY:
            yield rule_hit(balancer, listener, rule, f"keeps sessions for {seconds} s")


@balancers(
    "entry-alb-no-revocation",
    MEDIUM,
    "The load balancer accepts tokens without a look at logouts",
    why="The action verifies signature, issuer and expiry: after a logout, or once a user is disabled, a token works "
    "until it expires.",
    sources=("aws-alb-jwt", "aws-revocation"),
    mend="aws elbv2 describe-rules --listener-arn {listener}",
    breaks="Targets must ask for revocations themselves, or stand behind API Gateway.",
)
def alb_no_revocation(balancer, _):
    for listener, rule, _action in validations(balancer):
        yield rule_hit(balancer, listener, rule, "validates tokens and sees no revocation")


@balancers(
    "entry-alb-any-client",
    MEDIUM,
    "The load balancer accepts tokens of any app client",
    why="Only the issuer is compared: an ID token, or a token for another application of the pool, is as good as the "
    "application's own.",
    sources=("aws-alb-jwt", "rfc9700"),
    mend="aws elbv2 describe-rules --listener-arn {listener}  # then modify-rule with AdditionalClaims client_id",
    breaks="Tokens of other app clients are refused.",
)
def alb_any_client(balancer, _):
    for listener, rule, action in validations(balancer):
        claims = (action.get("JwtValidationConfig") or {}).get("AdditionalClaims") or []
        if not CLIENT_CLAIMS & {one.get("Name") for one in claims}:
            yield rule_hit(balancer, listener, rule, "compares no client_id and no aud")


def address(api):
    """The host of an API's default endpoint."""
    return f"{api.id}.execute-api.{api.region or '<region>'}.amazonaws.com"


def is_disabled(api):
    return bool(api.detail.get("disableExecuteApiEndpoint") or api.detail.get("DisableExecuteApiEndpoint"))


def is_private(api):
    return "PRIVATE" in ((api.detail.get("endpointConfiguration") or {}).get("types") or [])


def is_public(policy):
    """Whether a function's policy lets everyone use its address."""
    wanted = {"*", "lambda:*", "lambda:invokefunctionurl"}
    return any(
        statement.get("Effect") == "Allow"
        and "*" in services(statement)
        and wanted & {str(one).lower() for one in listed(statement.get("Action"))}
        for statement in listed(policy.get("Statement"))
    )


def members(value):
    """The entries of one of CloudFront's lists."""
    return (value or {}).get("Items") or []


def kinds(rule):
    return {action.get("Type") for action in rule.get("Actions") or []}


def actions(balancer, wanted):
    for listener, rule in balancer.rules:
        for action in rule.get("Actions") or []:
            if action.get("Type") in wanted:
                yield listener, rule, action


def sign_ins(balancer):
    """Listener, rule and action of each action that signs users in."""
    return actions(balancer, SIGN_IN)


def validations(balancer):
    """Listener, rule and action of each action that validates tokens."""
    return actions(balancer, {TOKENS})


def settings_of(action):
    return action.get(SIGN_IN[action["Type"]]) or {}


def rule_hit(balancer, listener, rule, text, severity=None):
    port = f"{listener.get('Protocol', '')} {listener.get('Port', '')}".strip()
    priority = "default" if rule.get("IsDefault") else rule.get("Priority", "")
    values = {"listener": listener.get("ListenerArn", "")}
    part = f"{listener.get('Port', '')}/{priority}"
    return Hit(f"Rule {priority} of {port} {text}.", severity, values=values, part=part)
