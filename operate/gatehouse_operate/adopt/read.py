"""Reads what a plan depends on: pool, app clients, APIs, the deployed stack. Changes nothing."""

from botocore.exceptions import ClientError

from ..aws import code_of, or_none, pages, pages_or_none
from . import functions, http_api, pool, rest_api
from .common import AUTHORIZER, Refused, fingerprints

# The functions of the stack that can be triggers, by their logical ids in template.yaml, with their slots.
TRIGGERS = {
    "PostConfirmationFunction": "PostConfirmation",
    "CustomMessageFunction": "CustomMessage",
    "PreSignUpFunction": "PreSignUp",
    "PostAuthenticationFunction": "PostAuthentication",
    "MigrateUserFunction": "UserMigration",
    "PreTokenGenerationFunction": "PreTokenGenerationConfig",
}
LOGOUT = "LogoutFunction"
DELETED = ("DELETE_COMPLETE", "DELETE_SKIPPED")
STACK_TAG = "aws:cloudformation:stack-name"
DAY = 86_400
UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": DAY}


def pool_facts(aws, pool_id):
    """The pool's configuration, and its app clients' by id."""
    described = pool.describe_pool(aws, pool_id)
    listed = pages(aws.client("cognito-idp"), "list_user_pool_clients", "UserPoolClients", UserPoolId=pool_id)
    clients = {one["ClientId"]: pool.describe_client(aws, pool_id, one["ClientId"]) for one in listed}
    return {"pool": described, "clients": clients}


def lifetime(client, token):
    """The seconds for which the client's `Access`, `Id` or `Refresh` tokens are valid."""
    value = client.get(f"{token}TokenValidity") or 0
    if not value:
        return 30 * DAY if token == "Refresh" else 3_600
    unit = (client.get("TokenValidityUnits") or {}).get(f"{token}Token")
    return value * UNITS[unit or ("days" if token == "Refresh" else "hours")]


def stack_facts(aws, name):
    """The stack's authorizer, the pool and clients that it accepts, and its functions that can be triggers.

    Raises Refused if the stack is not deployed or is no stack of Gatehouse."""
    client = aws.client("cloudformation")
    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError":
            raise Refused(f"The stack {name} does not exist in {aws.region}.") from None
        raise
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        raise Refused(f"The stack {name} is {stack['StackStatus']}.")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs") or []}
    if "AuthorizerArn" not in outputs:
        raise Refused(f"The stack {name} has no output AuthorizerArn: it is no stack of Gatehouse.")
    authorizer = outputs["AuthorizerArn"]
    functions.require_same_region(aws, authorizer)
    resources = pages(client, "list_stack_resources", "StackResourceSummaries", StackName=name)
    physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
    lambdas = aws.client("lambda")
    triggers = {
        slot: lambdas.get_function_configuration(FunctionName=physical[logical])["FunctionArn"]
        for logical, slot in TRIGGERS.items()
        if logical in physical
    }
    variables = functions.variables(aws, authorizer)
    lifetimes = {}
    if LOGOUT in physical:
        lifetimes = functions.variables(aws, physical[LOGOUT])
    return {
        "name": name,
        "authorizer": authorizer,
        "accepts": variables,
        "revocation_seconds": int(lifetimes.get("REFRESH_TOKEN_TTL_SECONDS") or 0) or None,
        "triggers": triggers,
    }


def owners(aws, found, options):
    """The CloudFormation stacks that own what a plan may change: name, id and stack. None if they may not be read."""
    resources = [("the pool", found["pool"]["Id"], found["pool"].get("UserPoolTags") or {})]
    resources += [(one["name"], one["id"], one["tags"]) for one in found["rest"] + found["http"]]
    if options.enable_token_revocation:
        resources += [(f"the client {key}", key, {}) for key in sorted(lacking_revocation(found["clients"]))]
    try:
        # CloudFormation does not put its tags on everything that it creates.
        named = [(name, key, tags.get(STACK_TAG) or owner(aws, key)) for name, key, tags in resources]
    except ClientError as error:
        if code_of(error) in ("AccessDenied", "AccessDeniedException"):
            return None
        raise
    return [one for one in named if one[2]]


def owner(aws, physical_id):
    """The name of the stack that has a resource, or None."""
    describe = aws.client("cloudformation").describe_stack_resources
    response = or_none(describe, "ValidationError", PhysicalResourceId=physical_id)
    listed = response["StackResources"] if response else []
    # The response has up to 100 resources of the stack, and deleted stacks that retained the resource.
    same = [one for one in listed if one.get("PhysicalResourceId") == physical_id] or listed
    return next((one["StackName"] for one in same if one["ResourceStatus"] not in DELETED), None)


def lacking_revocation(clients):
    """The app clients of users without token revocation."""
    return {key: one for key, one in of_users(clients).items() if not one.get("EnableTokenRevocation")}


def of_users(clients):
    """The app clients that users sign in to. The others only get tokens of machines, which have no session."""
    return {key: one for key, one in clients.items() if not is_machine_only(one)}


def is_machine_only(client):
    """Whether an app client has client_credentials only, and no flow that signs a user in, as Cognito's default has."""
    grants = client.get("AllowedOAuthFlows") if client.get("AllowedOAuthFlowsUserPoolClient") else None
    return grants == ["client_credentials"] and client.get("ExplicitAuthFlows") == ["ALLOW_REFRESH_TOKEN_AUTH"]


def all_apis(aws):
    """Every REST and HTTP API of the region: `rest` or `http`, id, name and authorizers."""
    gateway, second = aws.client("apigateway"), aws.client("apigatewayv2")
    found = []
    for api in pages(gateway, "get_rest_apis", "items"):
        known = pages_or_none(gateway, "get_authorizers", "items", restApiId=api["id"])
        found.append(("rest", api["id"], api.get("name", api["id"]), known))
    for api in pages(second, "get_apis", "Items"):
        if api["ProtocolType"] == "HTTP":
            known = pages_or_none(second, "get_authorizers", "Items", ApiId=api["ApiId"])
            found.append(("http", api["ApiId"], api["Name"], known))
    return found


def apis_of_pool(listed, pool_arn, pool_id):
    """The ids of the REST and HTTP APIs with an authorizer that accepts the pool's tokens."""
    rest = [
        api
        for kind, api, _, known in listed
        if kind == "rest" and any(pool_arn in (one.get("providerARNs") or []) for one in known)
    ]
    http = [api for kind, api, _, known in listed if kind == "http" and any(is_issuer(one, pool_id) for one in known)]
    return rest, http


def own_authorizers(api):
    """The ids of the API's authorizers that an earlier plan made."""
    return {key for key, one in api["authorizers"].items() if name_of(one) == AUTHORIZER}


def name_of(authorizer):
    return authorizer.get("name") or authorizer.get("Name")


def switched(aws, found, listed):
    """By id, the name and the routes of each API with routes on an authorizer that an earlier plan made.

    Of the plan's own APIs, and of every other whose authorizer is the stack's: the same rules apply to its requests."""
    apis = {
        api["id"]: (kind, api["name"], own_authorizers(api), api["routes"])
        for kind in ("rest", "http")
        for api in found[kind]
    }
    if found["stack"]:
        apis |= other_apis(aws, listed, found["stack"]["authorizer"], apis)
    result = {}
    for key, (kind, name, own, routes) in apis.items():
        member = "authorizerId" if kind == "rest" else "AuthorizerId"
        if used := sorted(route for route, one in routes.items() if one.get(member) in own):
            result[key] = {"name": name, "routes": used}
    return result


def other_apis(aws, listed, function, left_out):
    """The APIs with an authorizer that an earlier plan made for the function: kind, name, its ids, routes, by id."""
    apis = {}
    for kind, key, name, known in listed:
        own = {one.get("id") or one.get("AuthorizerId") for one in known if is_of_function(one, function)}
        if own and key not in left_out:
            apis[key] = kind, name, own, rest_api.routes(aws, key) if kind == "rest" else http_api.routes(aws, key)
    return apis


def watched_others(aws, target):
    """Fingerprints of the routes that plans switched to the function, in the APIs that are not the plan's."""
    listed = [one for one in all_apis(aws) if one[1] not in target["apis"]]
    facts = {"rest": [], "http": [], "stack": {"authorizer": target["function"]}}
    return fingerprints({key: one["routes"] for key, one in switched(aws, facts, listed).items()})


def is_of_function(authorizer, function):
    """Whether an earlier plan made the authorizer, and it invokes the function, by any alias."""
    uri = authorizer.get("authorizerUri") or authorizer.get("AuthorizerUri") or ""
    arn = uri.partition("/functions/")[2].partition("/invocations")[0]
    same = arn.split(":")[:7] == function.split(":")[:7]
    return name_of(authorizer) == AUTHORIZER and same


def is_issuer(authorizer, pool_id):
    """Whether an HTTP API's authorizer accepts tokens of the pool."""
    issuer = (authorizer.get("JwtConfiguration") or {}).get("Issuer") or ""
    return authorizer.get("AuthorizerType") == "JWT" and issuer.rstrip("/").endswith(f"/{pool_id}")


def of_stages(stages, options):
    """The stages that the options name, or all, and those that they leave out."""
    named = {name: one for name, one in stages.items() if not options.stage or name in options.stage}
    return {"stages": named, "left_out": {name: one for name, one in stages.items() if name not in named}}


def rest_facts(aws, api, options):
    """A REST API: name, tags, authorizers by id, methods, stages, and what its stages' deployments contain."""
    client = aws.client("apigateway")
    described = client.get_rest_api(restApiId=api)
    stages = {one["stageName"]: one for one in rest_api.stages(aws, api)}
    deployed = {}
    for name, stage in stages.items():
        if stage.get("deploymentId"):
            names = {"restApiId": api, "deploymentId": stage["deploymentId"]}
            deployed[name] = client.get_deployment(**names, embed=["apisummary"])
    return {
        "id": api,
        "name": described.get("name", api),
        "tags": described.get("tags") or {},
        "authorizers": {one["id"]: one for one in pages(client, "get_authorizers", "items", restApiId=api)},
        "routes": rest_api.routes(aws, api),
        "deployed": deployed,
    } | of_stages(stages, options)


def http_facts(aws, api, options):
    """An HTTP API: name, tags, authorizers by id, routes, stages."""
    client = aws.client("apigatewayv2")
    described = client.get_api(ApiId=api)
    if described["ProtocolType"] != "HTTP":
        raise Refused(f"{api} is a {described['ProtocolType']} API: docs/existing-api.md has the commands for it.")
    return {
        "id": api,
        "name": described["Name"],
        "tags": described.get("Tags") or {},
        "cors": described.get("CorsConfiguration") or {},
        "authorizers": {one["AuthorizerId"]: one for one in pages(client, "get_authorizers", "Items", ApiId=api)},
        "routes": http_api.routes(aws, api),
    } | of_stages({one["StageName"]: one for one in http_api.stages(aws, api)}, options)
