"""Checks of REST, HTTP and WebSocket APIs."""

import dataclasses
import json

from gatehouse_operate.audit.calls import partition_of
from gatehouse_operate.audit.checks.pool import matches
from gatehouse_operate.audit.facts import document, listed, services, source_arns
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of
from gatehouse_operate.audit.read import function_name, home, invoked, is_same

register = subjects_of(lambda facts: [api for api in facts.apis if api.detail])


def check(id, severity, title, *, mend_v2="", **texts):
    """A decorator for the checks of APIs. `mend_v2` is the command for HTTP and WebSocket APIs, if it differs."""

    def decorate(function):
        def run(api, facts):
            for hit in function(api, facts):
                hit = Hit(hit) if isinstance(hit, str) else hit
                is_other = mend_v2 and api.kind != "rest" and not hit.mend
                yield dataclasses.replace(hit, mend=mend_v2) if is_other else hit

        register(id, severity, title, **texts)(run)
        return function

    return decorate


# The functions of Gatehouse's stack that check requests by themselves: sign-in and logout.
PUBLIC = ("AuthApiFunction", "LogoutFunction")
# API Gateway's limit for an account and region; a stage with it has no limit of its own.
ACCOUNT_LIMIT = 10000
DEFAULT_TTL = 300
RESPONSES = ("UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_5XX")
DEPLOY = "\naws apigatewayv2 create-deployment --api-id {api} --stage-name <stage>  # if it has no AutoDeploy"
PROTECT = {
    "rest": "aws apigateway update-method --rest-api-id {api} --resource-id {resource} --http-method {verb} "
    "--patch-operations op=replace,path=/authorizationType,value=CUSTOM "
    "op=replace,path=/authorizerId,value=<authorizer>\n"
    "aws apigateway create-deployment --rest-api-id {api} --stage-name <stage>",
    "http": "aws apigatewayv2 update-route --api-id {api} --route-id {route} --authorization-type CUSTOM "
    "--authorizer-id <authorizer>" + DEPLOY,
    "websocket": "aws apigatewayv2 create-route --api-id {api} --route-key '$connect' --authorization-type CUSTOM "
    "--authorizer-id <authorizer> --target integrations/<integration>" + DEPLOY,
}
PUT_RESPONSE = (
    "aws apigateway put-gateway-response --rest-api-id {api} --response-type {response} --response-parameters "
    "'{{\"gatewayresponse.header.Access-Control-Allow-Origin\": \"'\\''<origin>'\\''\"}}'"
)
UPDATE_RESPONSE = (
    "aws apigateway update-gateway-response --rest-api-id {api} --response-type {response} --patch-operations "
    '\'[{{"op": "add", "path": "/responseParameters/gatewayresponse.header.Access-Control-Allow-Origin", '
    "\"value\": \"'\\''<origin>'\\''\"}}]'"
)
PATCH_STAGE = "aws apigateway update-stage --rest-api-id {api} --stage-name {stage} --patch-operations {patches}"
UPDATE_STAGE = "aws apigatewayv2 update-stage --api-id {api} --stage-name {stage} --default-route-settings {settings}"
GET_AUTHORIZERS = "aws apigatewayv2 get-authorizers --api-id {api}"
GET_ROUTES = "aws apigatewayv2 get-routes --api-id {api}"


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
    own = [function_of(one, name) for one in facts.systems for name in PUBLIC if one.has(name)]
    for method in methods(api):
        is_own = any(is_same(arn, integrated(method)) for arn in own)
        if is_open(method) and not greedy_over(api, method) and not is_own:
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
    # API Gateway accepts every connection without the route.
    if api.kind == "websocket" and api.methods and not routes(api):
        text = "The API has no route $connect, so no authorizer: every client may connect."
        yield Hit(text, None, f"{api.id}/$connect", mend=PROTECT["websocket"])


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
    mend_v2=GET_AUTHORIZERS + "  # then docs/existing-api.md",
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
    mend_v2=GET_AUTHORIZERS + "  # then docs/existing-api.md",
    breaks="Rules of the other authorizer must be written anew (docs/rules.md).",
)
def foreign_authorizer(api, facts):
    arns = [*facts.authorizers, *(one.outputs.get("AuthorizerArn", "") for one in facts.systems)]
    ours = [arn for arn in arns if arn]
    for authorizer in lambdas(api) if ours else ():
        arn = invoked(uri(authorizer))
        if uses(api, authorizer) and not any(is_same(one, arn) for one in ours):
            name = function_name(arn)[0]
            # A namesake in another account or region.
            name = arn if name in {function_name(one)[0] for one in ours} else name
            yield Hit(f"{named(authorizer)} invokes {name}.", part=id_of(authorizer))


@check(
    "api-authorizer-ttl",
    HIGH,
    "Decisions are cached",
    why="A revoked token works for as long as an earlier decision is cached, also past its expiry. A cached policy "
    "for one route refuses or allows the others.",
    sources=("aws-authorizers", "gatehouse-existing"),
    mend="aws apigateway update-authorizer --rest-api-id {api} --authorizer-id {authorizer} "
    "--patch-operations op=replace,path=/authorizerResultTtlInSeconds,value=0\n"
    "aws apigateway create-deployment --rest-api-id {api} --stage-name <stage>",
    mend_v2="aws apigatewayv2 update-authorizer --api-id {api} --authorizer-id {authorizer} "
    "--authorizer-result-ttl-in-seconds 0" + DEPLOY,
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
    mend_v2=GET_AUTHORIZERS,
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
    mend="aws lambda add-permission --function-name {function} --statement-id apigateway-{api}-{authorizer} "
    "--action lambda:InvokeFunction --principal apigateway.amazonaws.com --source-arn {source}",
    breaks="Nothing.",
)
def authorizer_forbidden(api, facts):
    for authorizer, function in permitted_by_policy(api):
        arn = source_of(api, authorizer, facts)
        if not any(covers(arn, pattern) for pattern in gateway_sources(function.policy)):
            text = f"{function.name} has no permission for {named(authorizer)}."
            values = {"function": function.target, "authorizer": id_of(authorizer), "source": arn}
            yield Hit(text, values=values, part=id_of(authorizer))


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
    # An API of another account.
    other = f"arn:{partition_of(api.region)}:execute-api:{api.region}:000000000000:0000000000/authorizers/000000"
    found = {}
    for _, function in permitted_by_policy(api):
        if any(matches(other, pattern) for pattern in gateway_sources(function.policy)):
            found.setdefault(function.name, function.target)
    for name, target in found.items():
        yield Hit(f"{name} allows every API.", values={"function": target}, part=name)


@check(
    "api-authorizer-unused",
    INFO,
    "An authorizer is used by no method",
    why="The API looks protected. Nothing invokes the authorizer.",
    sources=("aws-authorizers",),
    mend="aws apigateway get-resources --rest-api-id {api}",
    mend_v2=GET_ROUTES,
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
    mend_v2=GET_ROUTES + "  # then a rule: docs/rules.md",
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
    mend_v2="aws apigatewayv2 update-route --api-id {api} --route-id <route> --authorization-scopes <scope>",
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
    mend=PUT_RESPONSE,
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
        yield Hit(text, None if used_by_pages else INFO, mend=with_header(api, missing))


@check(
    "api-no-throttle",
    MEDIUM,
    "A stage has no limit of its own",
    why="One client can use up the account's limit for all APIs of the region, and try passwords at that rate.",
    sources=("aws-throttling",),
    mend="aws apigateway update-stage --rest-api-id {api} --stage-name {stage} --patch-operations "
    "'op=replace,path=/*/*/throttling/rateLimit,value=100' 'op=replace,path=/*/*/throttling/burstLimit,value=200'",
    mend_v2=UPDATE_STAGE,
    breaks="Requests above the limit get 429.",
)
def no_throttle(api, _):
    for stage in api.stages or []:
        limit = rate(stage)
        # A negative one, Terraform's -1 for instance, switches throttling off.
        if limit is None or not 0 <= limit < ACCOUNT_LIMIT:
            limits = {"ThrottlingRateLimit": 100, "ThrottlingBurstLimit": 200}
            yield Hit(f"Stage {stage_name(stage)} has no limit.", None, *of_stage(api, stage, limits))


@check(
    "api-second-stage",
    MEDIUM,
    "The API has a second stage",
    why="A forgotten stage serves an old deployment: methods from before the authorizer, no throttling, no web ACL. "
    "SAM makes one called Stage unless the template sets OpenApiVersion.",
    sources=("aws-throttling", "gatehouse-existing"),
    mend="aws apigateway delete-stage --rest-api-id {api} --stage-name {stage}",
    mend_v2="aws apigatewayv2 delete-stage --api-id {api} --stage-name {stage}",
    breaks="Clients that use the stage's address.",
)
def second_stage(api, _):
    names = [stage_name(stage) for stage in api.stages or []]
    if len(names) > 1:
        # Which other one is forgotten, only the operator knows.
        is_of_sam = api.kind == "rest" and "Stage" in names
        yield Hit(f"Stages: {', '.join(names)}.", values={"stage": "Stage"} if is_of_sam else {})


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
        text = f"Data tracing is on in stage {stage_name(stage)}."
        traced = switched_on(stage, "dataTraceEnabled")
        routes = {key: one for key, one in (stage.get("RouteSettings") or {}).items() if one.get("DataTraceEnabled")}
        if traced:
            place, label, values = of_stage(api, stage)
            values |= {"patches": switched_off(traced, "logging/dataTrace")}
            yield Hit(text, None, place, label, values, mend=PATCH_STAGE)
        elif routes or (stage.get("DefaultRouteSettings") or {}).get("DataTraceEnabled"):
            place, label, values = of_stage(api, stage, {"DataTraceEnabled": False})
            values |= {"routes": json.dumps({key: one | {"DataTraceEnabled": False} for key, one in routes.items()})}
            yield Hit(
                text, None, place, label, values, mend=UPDATE_STAGE + (" --route-settings {routes}" * bool(routes))
            )


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
        cached = switched_on(stage, "cachingEnabled")
        if stage.get("cacheClusterEnabled") and cached and protected(api):
            place, label, values = of_stage(api, stage)
            values |= {"patches": switched_off(cached, "caching/enabled")}
            yield Hit(f"Stage {stage_name(stage)} caches responses.", None, place, label, values, mend=PATCH_STAGE)


@check(
    "api-cors-credentials",
    HIGH,
    "Pages of any origin may send cookies",
    why="With credentials and a wildcard every page on the web calls the API as the user who visits it.",
    sources=("aws-http-cors",),
    mend="aws apigatewayv2 get-api --api-id {api} --query CorsConfiguration | "
    "jq '.AllowOrigins = [<origins>]' >cors.json &&\n"
    "aws apigatewayv2 update-api --api-id {api} --cors-configuration file://cors.json",
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
    """The ARN of the function that a REST method invokes."""
    return invoked((method.get("methodIntegration") or {}).get("uri", ""))


def function_of(system, logical):
    """The ARN of a function of the stack; its name if the stack's account is unknown."""
    name = system.physical(logical)
    parts = system.outputs.get("AuthorizerArn", "").split(":")
    return ":".join([*parts[:6], name]) if len(parts) > 6 else name


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


def source_of(api, authorizer, facts):
    """The ARN for which API Gateway invokes an authorizer."""
    account = facts.account or "<account>"
    # A folder may not tell the region; the function is in the API's.
    region = api.region or home(invoked(uri(authorizer)))[0]
    return f"arn:{partition_of(region)}:execute-api:{region}:{account}:{api.id}/authorizers/{id_of(authorizer)}"


def covers(arn, pattern):
    """Whether a permission is for the ARN of an authorizer, in the account of the permission if it is unknown."""
    parts = pattern.split(":", 5)
    if len(parts) == 6:
        arn = arn.replace("<account>", parts[4])
    return matches(arn, pattern)


def rate(stage):
    """The rate limit of a whole stage; None if there is none."""
    everything = (stage.get("methodSettings") or {}).get("*/*") or {}
    limit = everything.get("throttlingRateLimit")
    return (stage.get("DefaultRouteSettings") or {}).get("ThrottlingRateLimit") if limit is None else limit


def switched_on(stage, setting):
    """The keys of a REST stage's method settings that have a setting on."""
    return [key for key, one in (stage.get("methodSettings") or {}).items() if one.get(setting)]


def switched_off(keys, setting):
    """The patch operations, in JSON, that switch a setting of a REST stage off where it is on."""
    return json.dumps([{"op": "replace", "path": f"/{pointer(key)}/{setting}", "value": "false"} for key in keys])


def pointer(key):
    """The key of a method's settings as a part of a patch's path: `~1orders~1{id}/GET`."""
    path, _, verb = key.rpartition("/")
    path = path if path == "*" else "~1" + path.replace("/", "~1").removeprefix("~1")
    return f"{path}/{verb}"


def with_header(api, missing):
    """Commands that add the header for CORS to gateway responses, and keep what else an existing one has."""
    own = {one.get("responseType") for one in api.gateway_responses if not one.get("defaultResponse")}
    lines = []
    for name in missing:
        # A response of its own replaces that of every status of its class.
        name = "DEFAULT_4XX" if name not in own and name in RESPONSES[:2] and "DEFAULT_4XX" in own else name
        form = UPDATE_RESPONSE if name in own else PUT_RESPONSE
        lines.append(form.replace("{response}", name))
    return "\n".join(
        [*dict.fromkeys(lines), "aws apigateway create-deployment --rest-api-id {api} --stage-name <stage>"]
    )


def stage_name(stage):
    return stage.get("stageName") or stage.get("StageName", "")


def of_stage(api, stage, change=None):
    """Resource, label and the command's values of a Hit for a stage.

    UpdateStage replaces the settings of an HTTP or WebSocket API's stage, so the command has all of them."""
    name = stage_name(stage)
    settings = json.dumps((stage.get("DefaultRouteSettings") or {}) | (change or {}))
    return f"{api.id}/{name}", f"stage {name} of {api.label}", {"stage": name, "settings": settings}


def count(found, noun):
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def some(found):
    """Up to five methods or routes, and how many more."""
    names = [spelled(one) for one in found]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
