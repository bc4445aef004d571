"""Checks of REST, HTTP and WebSocket APIs."""

from gatehouse_operate.audit.facts import document, listed, services, source_arns
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of
from gatehouse_operate.audit.read import function_name, invoked

check = subjects_of(lambda facts: [api for api in facts.apis if api.detail])
# The functions of Gatehouse's stack that check requests by themselves: sign-in and logout.
PUBLIC = ("AuthApiFunction", "LogoutFunction")
# API Gateway's limit for an account and region; a stage with it has no limit of its own.
ACCOUNT_LIMIT = 10000
DEFAULT_TTL = 300
RESPONSES = ("UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_5XX")
PROTECT = {
    "rest": "aws apigateway update-method --rest-api-id {api} --resource-id {resource} --http-method {verb} "
    "--patch-operations op=replace,path=/authorizationType,value=CUSTOM "
    "op=replace,path=/authorizerId,value=<authorizer>\n"
    "aws apigateway create-deployment --rest-api-id {api} --stage-name <stage>",
    "http": "aws apigatewayv2 update-route --api-id {api} --route-id {route} --authorization-type CUSTOM "
    "--authorizer-id <authorizer>",
}


@check(
    "api-open-method",
    HIGH,
    "A method has no authorizer",
    why="API Gateway passes every request on. A forgotten method is the usual hole of an API that is protected "
    "otherwise. An API key is no authentication.",
    sources=("aws-authorizers", "gatehouse-existing"),
    mend=PROTECT["rest"],
    breaks="Clients without a token get 401.",
)
def open_method(api, facts):
    own = {one.physical(name) for one in facts.systems for name in PUBLIC if one.has(name)}
    for method in methods(api):
        if is_open(method) and not greedy_over(api, method) and not own & {integrated(method)}:
            key = (
                " It demands an API key, which identifies a client and no user." if method.get("apiKeyRequired") else ""
            )
            mock = (method.get("methodIntegration") or {}).get("type") == "MOCK"
            values = {"verb": method["verb"], "resource": method.get("resourceId", "<resource>")}
            resource = f"{api.id}/{method['verb']} {method['path']}"
            text = f"{method['verb']} {method['path']} has no authorizer.{key}"
            yield Hit(text, LOW if mock else None, resource, values=values)


@check(
    "api-open-route",
    HIGH,
    "A route has no authorizer",
    why="API Gateway passes every request on. HTTP APIs have no default authorizer: each new route is open.",
    sources=("aws-http-authorizers", "gatehouse-existing"),
    mend=PROTECT["http"],
    breaks="Clients without a token get 401.",
)
def open_route(api, _):
    for route in routes(api):
        if is_open(route) and not greedy_over(api, route):
            values = {"route": route.get("RouteId", "<route>")}
            yield Hit(f"{route['RouteKey']} has no authorizer.", None, f"{api.id}/{route['RouteKey']}", values=values)


@check(
    "api-open-fallback",
    HIGH,
    "An open catch-all stands beside protected paths",
    why="What misses a protected path by a slash, a case or a verb falls into the catch-all. If the same function "
    "serves both, the protection is bypassed.",
    sources=("aws-http-routes", "gatehouse-existing"),
    mend="aws apigateway get-resources --rest-api-id {api}\naws apigatewayv2 get-routes --api-id {api}",
    breaks="Paths that only the catch-all served need a token.",
)
def open_fallback(api, _):
    for one in methods(api) + routes(api):
        if is_open(one) and greedy_over(api, one):
            yield Hit(f"{spelled(one)} is open, other paths below it are protected.", None, f"{api.id}/{spelled(one)}")


@check(
    "api-no-revocation-check",
    MEDIUM,
    "An authorizer does not see logouts",
    why="API Gateway's own authorizers verify the token and nothing else: after a logout, or once a user is disabled, "
    "it works until it expires.",
    sources=("aws-revocation", "aws-access-tokens", "gatehouse-existing"),
    mend="aws apigateway get-authorizers --rest-api-id {api}  # then docs/existing-api.md",
    breaks="Scopes that methods demand must be written as a rule first (docs/rules.md).",
)
def no_revocation_check(api, _):
    used = [one for one in methods(api) + routes(api) if kind(one) in ("COGNITO_USER_POOLS", "JWT")]
    if used:
        kinds = ", ".join(sorted({kind(one) for one in used}))
        yield f"{count(used, 'method')} of type {kinds}: {some(used)}."


@check(
    "api-foreign-authorizer",
    MEDIUM,
    "An authorizer is not Gatehouse's",
    why="Its decisions know nothing of revocations, and its rules are others.",
    sources=("gatehouse-existing",),
    mend="aws apigateway get-authorizers --rest-api-id {api}  # then docs/existing-api.md",
    breaks="Rules of the other authorizer must be written anew (docs/rules.md).",
)
def foreign_authorizer(api, facts):
    arns = [*facts.authorizers, *(one.outputs.get("AuthorizerArn", "") for one in facts.systems)]
    ours = {function_name(arn)[0] for arn in arns if arn}
    for authorizer in lambdas(api) if ours else ():
        name = function_name(invoked(uri(authorizer)))[0]
        if name not in ours and uses(api, authorizer):
            yield Hit(f"{named(authorizer)} invokes {name}.", part=id_of(authorizer))


@check(
    "api-authorizer-ttl",
    HIGH,
    "Decisions are cached",
    why="A revoked token works for as long as an earlier decision is cached, also past its expiry. A cached policy "
    "for one route refuses or allows the others.",
    sources=("aws-authorizers", "gatehouse-existing"),
    mend="aws apigateway update-authorizer --rest-api-id {api} --authorizer-id {authorizer} "
    "--patch-operations op=replace,path=/authorizerResultTtlInSeconds,value=0",
    breaks="The authorizer is invoked for each request.",
)
def authorizer_ttl(api, facts):
    bounds = [int(text) for one in facts.systems if (text := bound(one)).isdigit()]
    # API Gateway authorizes a WebSocket when it connects, and caches nothing.
    for authorizer in lambdas(api) if api.kind != "websocket" else ():
        ttl = authorizer.get("authorizerResultTtlInSeconds", DEFAULT_TTL)
        ttl = ttl if api.kind == "rest" else authorizer.get("AuthorizerResultTtlInSeconds") or 0
        if ttl > max(bounds, default=0):
            promised = f"; {max(bounds)} s are promised" if bounds else ""
            severity = None if bounds or ttl > DEFAULT_TTL else MEDIUM
            text = f"{named(authorizer)} caches decisions for {ttl} s{promised}."
            yield Hit(text, severity, values={"authorizer": id_of(authorizer)}, part=id_of(authorizer))


@check(
    "api-authorizer-missing",
    HIGH,
    "An authorizer's function does not exist",
    why="Every request is answered with 500, and a function created later under the name decides at once.",
    sources=("aws-authorizers",),
    mend="aws apigateway get-authorizers --rest-api-id {api}",
    breaks="Nothing.",
)
def authorizer_missing(api, _):
    for authorizer in lambdas(api):
        function = api.functions.get(invoked(uri(authorizer)))
        if function and function.configuration == {}:
            text = f"{named(authorizer)} invokes {function.name}, which does not exist."
            yield Hit(text, part=id_of(authorizer))


@check(
    "api-authorizer-forbidden",
    HIGH,
    "API Gateway may not invoke the authorizer",
    why="Every request is answered with 500.",
    sources=("aws-authorizers", "gatehouse-existing"),
    mend="aws lambda add-permission --function-name {function} --statement-id apigateway "
    "--action lambda:InvokeFunction --principal apigateway.amazonaws.com "
    "--source-arn arn:aws:execute-api:{region}:<account>:{api}/authorizers/*",
    breaks="Nothing.",
)
def authorizer_forbidden(api, _):
    for authorizer, function in permitted_by_policy(api):
        if not any(covers(api, arn) for arn in gateway_sources(function.policy)):
            text = f"{function.name} has no permission for {named(authorizer)}."
            yield Hit(text, values={"function": function.name}, part=id_of(authorizer))


@check(
    "api-authorizer-any-api",
    MEDIUM,
    "Any API may invoke the authorizer",
    why="A permission without SourceArn lets an API of another account invoke the function with requests of its own, "
    "at this account's cost, and try tokens.",
    sources=("aws-authorizers", "gatehouse-existing"),
    mend="aws lambda get-policy --function-name {function}",
    breaks="Other APIs that share the authorizer need a permission each.",
)
def authorizer_any_api(api, _):
    for name, function in {function.name: function for _, function in permitted_by_policy(api)}.items():
        if "*" in gateway_sources(function.policy):
            yield Hit(f"{name} allows every API.", values={"function": name}, part=name)


@check(
    "api-authorizer-unused",
    INFO,
    "An authorizer is used by no method",
    why="The API looks protected. Nothing invokes the authorizer.",
    sources=("aws-authorizers",),
    mend="aws apigateway get-resources --rest-api-id {api}",
    breaks="Nothing.",
)
def authorizer_unused(api, _):
    for authorizer in api.authorizers or []:
        if api.methods is not None and not uses(api, authorizer):
            severity = None if protected(api) else MEDIUM
            yield Hit(f"{named(authorizer)} is used by no method.", severity, part=id_of(authorizer))


@check(
    "api-policy-allows",
    MEDIUM,
    "The resource policy turns silence into Allow",
    why="With an Allow in the API's policy, a request passes if the authorizer returns neither Allow nor Deny for it: "
    "a policy for another route, or an empty one.",
    sources=("aws-authorization-flow",),
    mend="aws apigateway update-rest-api --rest-api-id {api} "
    "--patch-operations op=replace,path=/policy,value=<Deny statements only>",
    breaks="Callers that the Allow admitted without an authorizer. A private API needs its Allow.",
)
def policy_allows(api, _):
    statements = listed((document(api.detail.get("policy")) or {}).get("Statement"))
    allows = [one for one in statements if one.get("Effect") == "Allow"]
    if allows and any(kind(one) == "CUSTOM" for one in methods(api)):
        yield f"The API's policy has {count(allows, 'Allow statement')}."


@check(
    "api-scopes-ignored",
    MEDIUM,
    "Scopes of a method have no effect",
    why="API Gateway compares authorizationScopes only for its own authorizers. With a Lambda authorizer the method "
    "looks limited and is not.",
    sources=("gatehouse-existing", "aws-authorizers"),
    mend="aws apigateway get-resources --rest-api-id {api} --embed methods  # then a rule: docs/rules.md",
    breaks="Nothing.",
)
def scopes_ignored(api, _):
    found = [one for one in methods(api) + routes(api) if kind(one) == "CUSTOM" and scopes(one)]
    if found:
        yield f"{count(found, 'method')} with scopes and a Lambda authorizer: {some(found)}."


@check(
    "api-id-tokens-accepted",
    LOW,
    "Methods accept ID tokens",
    why="Without scopes API Gateway takes the pool's ID tokens, which are for the client and carry personal data, from "
    "any app client of the pool.",
    sources=("aws-access-tokens", "rfc9700"),
    mend="aws apigateway update-method --rest-api-id {api} --resource-id <resource> --http-method <verb> "
    "--patch-operations op=add,path=/authorizationScopes,value=<scope>",
    breaks="Clients that send the ID token get 401.",
)
def id_tokens_accepted(api, _):
    found = [
        one for one in methods(api) + routes(api) if kind(one) in ("COGNITO_USER_POOLS", "JWT") and not scopes(one)
    ]
    if found:
        yield f"{count(found, 'method')} without scopes: {some(found)}."


@check(
    "api-gateway-responses",
    LOW,
    "Refusals have no CORS headers",
    why="Responses that API Gateway makes itself lack the headers, so a page sees a network error in place of 401 and "
    "never signs in again.",
    sources=("aws-gateway-responses", "gatehouse-existing"),
    mend="aws apigateway put-gateway-response --rest-api-id {api} --response-type {response} --response-parameters "
    "'{{\"gatewayresponse.header.Access-Control-Allow-Origin\": \"'\\''<origin>'\\''\"}}'",
    breaks="Nothing.",
)
def gateway_responses(api, _):
    if api.kind != "rest" or api.gateway_responses is None or not any(kind(one) == "CUSTOM" for one in methods(api)):
        return
    set_ones = {
        one.get("responseType")
        for one in api.gateway_responses
        if not one.get("defaultResponse")
        and any("access-control-allow-origin" in name.lower() for name in one.get("responseParameters") or {})
    }
    covered = set_ones | (set(RESPONSES[:2]) if "DEFAULT_4XX" in set_ones else set())
    missing = [name for name in RESPONSES if name not in covered]
    if missing:
        used_by_pages = any(one["verb"] == "OPTIONS" for one in api.methods or [])
        text = f"Without Access-Control-Allow-Origin: {', '.join(missing)}."
        yield Hit(text, None if used_by_pages else INFO, values={"response": missing[0]})


@check(
    "api-no-throttle",
    MEDIUM,
    "A stage has no limit of its own",
    why="One client can use up the account's limit for all APIs of the region, and try passwords at that rate.",
    sources=("aws-throttling",),
    mend="aws apigateway update-stage --rest-api-id {api} --stage-name {stage} --patch-operations "
    "'op=replace,path=/*/*/throttling/rateLimit,value=100' 'op=replace,path=/*/*/throttling/burstLimit,value=200'",
    breaks="Requests above the limit get 429.",
)
def no_throttle(api, _):
    for stage in api.stages or []:
        limit = rate(stage)
        if limit is None or limit >= ACCOUNT_LIMIT:
            yield Hit(f"Stage {stage_name(stage)} has no limit.", None, *of_stage(api, stage))


@check(
    "api-second-stage",
    MEDIUM,
    "The API has a second stage",
    why="A forgotten stage serves an old deployment: methods from before the authorizer, no throttling, no web ACL. "
    "SAM makes one called Stage unless the template sets OpenApiVersion.",
    sources=("aws-throttling", "gatehouse-existing"),
    mend="aws apigateway delete-stage --rest-api-id {api} --stage-name {stage}",
    breaks="Clients that use the stage's address.",
)
def second_stage(api, _):
    names = [stage_name(stage) for stage in api.stages or []]
    if len(names) > 1:
        yield Hit(f"Stages: {', '.join(names)}.", values={"stage": "Stage" if "Stage" in names else names[-1]})


@check(
    "api-access-logs",
    INFO,
    "A stage writes no access log",
    why="After an incident the log says which address called which route.",
    sources=("aws-access-logs", "gatehouse-operations"),
    mend="make deploy CONFIG=<stack> YES=1 SET=AccessLogs=true",
    breaks="API Gateway needs a role of the account. Log lines cost.",
)
def access_logs(api, _):
    for stage in api.stages or []:
        settings = stage.get("accessLogSettings") or stage.get("AccessLogSettings") or {}
        if not (settings.get("destinationArn") or settings.get("DestinationArn")):
            yield Hit(f"Stage {stage_name(stage)} writes none.", None, *of_stage(api, stage))


@check(
    "api-logs-bodies",
    MEDIUM,
    "A stage logs requests with their bodies",
    why="Passwords, codes and refresh tokens in bodies and query strings end in CloudWatch Logs.",
    sources=("aws-access-logs",),
    mend="aws apigateway update-stage --rest-api-id {api} --stage-name {stage} --patch-operations "
    "'op=replace,path=/*/*/logging/dataTrace,value=false'",
    breaks="Less to look at while debugging. Delete the log group's lines.",
)
def logs_bodies(api, _):
    for stage in api.stages or []:
        settings = [stage.get("DefaultRouteSettings") or {}, *(stage.get("methodSettings") or {}).values()]
        if any(one.get("dataTraceEnabled") or one.get("DataTraceEnabled") for one in settings):
            yield Hit(f"Data tracing is on in stage {stage_name(stage)}.", None, *of_stage(api, stage))


@check(
    "api-caches-responses",
    MEDIUM,
    "A stage caches responses",
    why="The cache's key has no Authorization header unless a method names it: one user receives what was made for "
    "another.",
    sources=("aws-cache",),
    mend="aws apigateway update-stage --rest-api-id {api} --stage-name {stage} --patch-operations "
    "'op=replace,path=/*/*/caching/enabled,value=false'",
    breaks="The backend is asked for each request.",
)
def caches_responses(api, _):
    for stage in api.stages or []:
        cached = any(one.get("cachingEnabled") for one in (stage.get("methodSettings") or {}).values())
        if stage.get("cacheClusterEnabled") and cached and protected(api):
            yield Hit(f"Stage {stage_name(stage)} caches responses.", None, *of_stage(api, stage))


@check(
    "api-cors-credentials",
    HIGH,
    "Pages of any origin may send cookies",
    why="With credentials and a wildcard every page on the web calls the API as the user who visits it.",
    sources=("aws-http-cors",),
    mend="aws apigatewayv2 update-api --api-id {api} --cors-configuration AllowOrigins=<origins>,AllowCredentials=true",
    breaks="Pages of other origins.",
)
def cors_credentials(api, _):
    cors = api.detail.get("CorsConfiguration") or {}
    wide = [one for one in cors.get("AllowOrigins") or [] if "*" in one]
    if cors.get("AllowCredentials") and wide:
        yield f"AllowCredentials with {', '.join(wide)}."


def methods(api):
    """The methods of a REST API that a client can call with credentials."""
    return [one for one in api.methods or [] if one["verb"] != "OPTIONS"] if api.kind == "rest" else []


def routes(api):
    """The routes of an API of version 2 that can have an authorizer."""
    if api.kind == "rest":
        return []
    found = [one for one in api.methods or [] if not str(one.get("RouteKey", "")).startswith("OPTIONS ")]
    # A WebSocket API is authorized when it connects.
    return [one for one in found if one.get("RouteKey") == "$connect"] if api.kind == "websocket" else found


def kind(one):
    return one.get("authorizationType") or one.get("AuthorizationType") or "NONE"


def is_open(one):
    return kind(one) == "NONE"


def scopes(one):
    return one.get("authorizationScopes") or one.get("AuthorizationScopes")


def spelled(one):
    """A method or route as `GET /orders`."""
    return one.get("RouteKey") or f"{one['verb']} {one['path']}"


def path_of(one):
    key = one.get("RouteKey")
    return (key.partition(" ")[2] if " " in key else key) if key else one["path"]


def greedy_over(api, one):
    """Whether a method or route is a catch-all with protected paths below it."""
    path = path_of(one)
    if path != "$default" and not path.endswith("+}"):
        return False
    prefix = "" if path == "$default" else path.rpartition("/")[0]
    others = methods(api) + routes(api)
    return any(not is_open(other) and path_of(other).startswith(prefix) for other in others if other is not one)


def protected(api):
    return any(not is_open(one) for one in methods(api) + routes(api))


def integrated(method):
    """The function that a REST method invokes."""
    uri = (method.get("methodIntegration") or {}).get("uri", "")
    return function_name(invoked(uri))[0]


def lambdas(api):
    """The authorizers that are functions."""
    return [one for one in api.authorizers or [] if invoked(uri(one))]


def uri(authorizer):
    return authorizer.get("authorizerUri") or authorizer.get("AuthorizerUri")


def named(authorizer):
    name = authorizer.get("name") or authorizer.get("Name")
    return f"Authorizer {name} ({id_of(authorizer)})"


def id_of(authorizer):
    return authorizer.get("id") or authorizer.get("AuthorizerId", "")


def uses(api, authorizer):
    """Whether a method or route uses the authorizer."""
    used = [one.get("authorizerId") or one.get("AuthorizerId") for one in methods(api) + routes(api)]
    return id_of(authorizer) in used


def bound(system):
    return system.variable("AuthorizerFunction", "AUTHORIZER_TTL_SECONDS")


def permitted_by_policy(api):
    """The authorizers that API Gateway invokes by the function's policy, not by a role, if the policy was read."""
    for authorizer in lambdas(api):
        function = api.functions.get(invoked(uri(authorizer)))
        role = authorizer.get("authorizerCredentials") or authorizer.get("AuthorizerCredentialsArn")
        if function and function.configuration and function.policy is not None and not role:
            yield authorizer, function


def gateway_sources(policy):
    """The source ARNs for which a function's policy lets API Gateway invoke it; `*` for all."""
    found = []
    for statement in listed(policy.get("Statement")):
        if statement.get("Effect") == "Allow" and {"apigateway.amazonaws.com", "*"} & services(statement):
            found += source_arns(statement)
    return found


def covers(api, arn):
    """Whether a source ARN is one of this API."""
    part = arn.split(":")[-1]
    return arn == "*" or part.split("/")[0] in (api.id, "*")


def rate(stage):
    """The rate limit of a whole stage; None if there is none."""
    everything = (stage.get("methodSettings") or {}).get("*/*") or {}
    return everything.get("throttlingRateLimit") or (stage.get("DefaultRouteSettings") or {}).get("ThrottlingRateLimit")


def stage_name(stage):
    return stage.get("stageName") or stage.get("StageName", "")


def of_stage(api, stage):
    """Resource, label and the command's values of a Hit for a stage."""
    name = stage_name(stage)
    return f"{api.id}/{name}", f"stage {name} of {api.label}", {"stage": name}


def count(found, noun):
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def some(found):
    """Up to five methods or routes, and how many more."""
    names = [spelled(one) for one in found]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
