"""Reads what a plan depends on: pool, app clients, APIs, the deployed stack. Changes nothing."""

from botocore.exceptions import ClientError

from ..aws import code_of, pages
from . import functions, http_api, pool, rest_api
from .common import Refused

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


def apis_of_pool(aws, pool_arn, pool_id):
    """The ids of the REST and HTTP APIs with an authorizer that accepts the pool's tokens."""
    gateway, second = aws.client("apigateway"), aws.client("apigatewayv2")
    rest, http = [], []
    for api in pages(gateway, "get_rest_apis", "items"):
        known = pages(gateway, "get_authorizers", "items", restApiId=api["id"])
        if any(pool_arn in (one.get("providerARNs") or []) for one in known):
            rest.append(api["id"])
    for api in pages(second, "get_apis", "Items"):
        known = pages(second, "get_authorizers", "Items", ApiId=api["ApiId"])
        if api["ProtocolType"] == "HTTP" and any(is_issuer(one, pool_id) for one in known):
            http.append(api["ApiId"])
    return rest, http


def is_issuer(authorizer, pool_id):
    """Whether an HTTP API's authorizer accepts tokens of the pool."""
    issuer = (authorizer.get("JwtConfiguration") or {}).get("Issuer") or ""
    return authorizer.get("AuthorizerType") == "JWT" and issuer.rstrip("/").endswith(f"/{pool_id}")


def of_stages(stages, options):
    """The stages that the options name, or all."""
    return {name: one for name, one in stages.items() if not options.stage or name in options.stage}


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
        "stages": of_stages(stages, options),
        "deployed": deployed,
    }


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
        "stages": of_stages({one["StageName"]: one for one in http_api.stages(aws, api)}, options),
    }
