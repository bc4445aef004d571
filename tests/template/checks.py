"""Checks of the expanded template. Each yields one line for each fault."""

import collections
import itertools
import re
from unittest import mock

import operations
import stack

COGNITO, GATEWAY = "cognito-idp.amazonaws.com", "apigateway.amazonaws.com"
FUNCTION, PERMISSION = "AWS::Lambda::Function", "AWS::Lambda::Permission"
MAPPING, QUEUE = "AWS::Lambda::EventSourceMapping", "AWS::SQS::Queue"
ALIAS, VERSION = "AWS::Lambda::Alias", "AWS::Lambda::Version"
CODE_DEPLOY, APP_CONFIG = "AWS::CodeDeploy::", "AWS::AppConfig::"
DEPLOYMENT, STAGE = "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage"
# Resources that no other resource need refer to: they attach themselves, or are a result of the stack.
ROOTS = {
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGateway::BasePathMapping",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Cognito::UserPoolClient",
    "AWS::Cognito::UserPoolDomain",
    "AWS::Cognito::UserPoolGroup",
    "AWS::Cognito::UserPoolIdentityProvider",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::SubscriptionFilter",
    "AWS::Logs::QueryDefinition",
    "AWS::Route53::RecordSet",
    "AWS::Route53::RecordSetGroup",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::WAFv2::WebACLAssociation",
}
# Routes that send an email, compute a hash or check a password or code need a limit below that of the whole API.
COSTLY = {
    ("POST", "/auth/signup"),
    ("POST", "/auth/confirm"),
    ("POST", "/auth/resend"),
    ("POST", "/auth/login"),
    ("POST", "/auth/challenge"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/forgot-password"),
    ("POST", "/auth/confirm-forgot-password"),
    ("POST", "/auth/change-password"),
    ("POST", "/auth/mfa/totp"),
    ("POST", "/auth/mfa/totp/verify"),
    ("PATCH", "/auth/me"),
    ("POST", "/auth/me/verify"),
}
# The permissions that a reader of a source needs on it; it may have no others.
READING = {
    "sqs": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    "dynamodb": {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
}
IN_A_LAYER = "/opt"
# What a version keeps, besides its code and its variables. The role's name and the account's reservations are not kept.
KEPT = ("Architectures", "Handler", "Layers", "LoggingConfig", "MemorySize", "Runtime", "Timeout")
NOT_KEPT = {"Code", "Description", "Environment", "ReservedConcurrentExecutions", "Role", "Tags"}


def listed(value):
    return value if isinstance(value, list) else [value]


def members(value):
    return list(value.values()) if isinstance(value, dict) else listed(value)


def absent_references(made):
    """CloudFormation refuses a template that refers to a resource whose condition does not hold."""
    known = made.resources.keys() | made.parameters.keys() | stack.PSEUDO.keys()
    for kind, things in (("resource", made.resources), ("output", made.outputs)):
        for name, thing in things.items():
            for function, target in sorted(set(stack.references(thing))):
                if target not in known:
                    yield f"{kind} {name}: {function} of {target}, which is absent"


def stages(made):
    """There is only one stage, because throttles and the rate rule belong to a stage."""
    names = [made.plain(stage["StageName"]) for stage in made.of_type(STAGE).values()]
    names += [made.plain(each["StageName"]) for each in made.of_type(DEPLOYMENT).values() if "StageName" in each]
    if len(names) != 1:
        yield f"the API has the stages {', '.join(sorted(names))}, not one"
    for name, permission in made.of_type(PERMISSION).items():
        if permission["Principal"] != GATEWAY:
            continue
        place = made.plain(permission["SourceArn"]).split(":", 5)[5].split("/")
        if place[1] not in (*names, "authorizers"):
            yield f"{name}: its SourceArn admits the stage {place[1]}"


def throttles(made):
    """The path of a method setting is an encoded route, `/~1auth~1login`. Other paths limit nothing."""
    routes, limited = stack.routes(), set()
    for stage in made.of_type(STAGE).values():
        for setting in stage["MethodSettings"]:
            path, verb = setting["ResourcePath"], setting["HttpMethod"]
            if "ThrottlingRateLimit" not in setting or "ThrottlingBurstLimit" not in setting:
                yield f"method setting {verb} {path}: it has no limit"
            if (verb, path) == ("*", "/*"):
                continue
            decoded = path[1:].replace("~1", "/")
            if not path.startswith("/~1") or "/" in path[1:]:
                yield f"method setting {verb} {path}: a path is written as /~1auth~1login"
            elif (verb, decoded) not in routes:
                yield f"method setting {verb} {path}: openapi.yaml has no {verb} {decoded}"
            limited.add((verb, decoded))
    for verb, path in sorted(COSTLY - limited):
        yield f"{verb} {path} has no limit of its own"


def policies_of(made, function):
    """The managed policies and the statements of a function's role."""
    role = made.plain(made.resources[function]["Properties"]["Role"]).strip("<>").removesuffix(".Arn")
    properties = made.resources[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    for policy in made.of_type("AWS::IAM::Policy").values():
        if stack.MADE.format(role) in made.plain(policy["Roles"]):
            documents.append(policy["PolicyDocument"])
    return properties.get("ManagedPolicyArns", []), [
        statement for document in documents for statement in listed(document["Statement"])
    ]


def rights(made):
    """No managed policy except for logs, no permission on `*`, and readers may read only their own source."""
    sources = collections.defaultdict(set)
    for mapping in made.of_type(MAPPING).values():
        function = made.plain(mapping["FunctionName"]).strip("<>")
        sources[function].add(made.plain(mapping["EventSourceArn"]))
    for function in made.of_type(FUNCTION):
        managed, statements = policies_of(made, function)
        for arn in managed:
            name = str(arn).rpartition("/")[2]
            if name != "AWSLambdaBasicExecutionRole":
                yield f"{function}: the managed policy {name} reaches beyond its own resources"
        may = collections.defaultdict(set)
        for statement in statements:
            resources = [made.plain(resource) for resource in listed(statement["Resource"])]
            for action, resource in itertools.product(listed(statement["Action"]), resources):
                if resource == "*" or "*" in action:
                    yield f"{function}: {action} on {resource}"
                may[action].add(resource)
        for source in sources[function]:
            service = "dynamodb" if "StreamArn" in source else "sqs"
            for action in sorted(READING[service] - may.keys()):
                yield f"{function} reads {source} and lacks {action}"
        for action in sorted(READING["sqs"] & may.keys()):
            for queue in sorted(may[action] - sources[function]):
                yield f"{function}: {action} on {queue}, which is not its source"


def own_roles(made):
    """user-events knows the role of each function that makes a call which its rule delivers, other than /admin's."""
    if "UserEventsFunction" not in made.resources:
        return
    pattern = made.resources["UserEventRule"]["Properties"]["EventPattern"]
    delivered = {f"cognito-idp:{name}" for name in pattern["detail"]["eventName"]}
    variables = made.resources["UserEventsFunction"]["Properties"]["Environment"]["Variables"]
    known = set(made.plain(variables["OWN_ROLE_ARNS"]).split(","))
    calling = set()
    for function in made.of_type(FUNCTION).keys() - {"AdminFunction"}:
        _, statements = policies_of(made, function)
        actions = {action for statement in statements for action in listed(statement["Action"])}
        if actions & delivered:
            calling.add(made.plain(made.resources[function]["Properties"]["Role"]))
    for role in sorted(calling ^ known):
        yield f"OWN_ROLE_ARNS: {role} is {'missing' if role in calling else 'of a function without such calls'}"


def triggers(made):
    """The pool's triggers and the functions that Cognito may invoke are the same."""
    (pool,) = made.of_type("AWS::Cognito::UserPool").values()
    named = set()
    for value in made.plain(pool.get("LambdaConfig", {})).values():
        arn = value["LambdaArn"] if isinstance(value, dict) else value
        named.add(arn.strip("<>").removesuffix(".Arn"))
    allowed = {}
    for name, permission in made.of_type(PERMISSION).items():
        if permission["Principal"] == COGNITO:
            function = made.plain(permission["FunctionName"]).strip("<>").removesuffix(".Arn")
            allowed[function] = made.plain(permission.get("SourceArn"))
    for function in sorted(named - allowed.keys()):
        yield f"the pool names {function}, which Cognito may not invoke"
    for function in sorted(allowed.keys() - named):
        yield f"Cognito may invoke {function}, which the pool does not name"
    for function, source in sorted(allowed.items()):
        if source != "<UserPool.Arn>":
            yield f"{function} may be invoked by pools other than the stack's"


def imported_alias(made):
    """In the core alone other stacks import the alias, or without one the authorizer itself, and the role may invoke it."""
    direct = made.parameters["AuthorizerDeployment"] == "Direct"
    target = "<AuthorizerFunction.Arn>" if direct else "<AuthorizerAlias>"
    if made.plain(made.outputs["AuthorizerArn"]["Value"]) != target:
        yield f"output AuthorizerArn: it is {made.plain(made.outputs['AuthorizerArn']['Value'])}, not {target}"
    (policy,) = made.resources["AuthorizerInvokeRole"]["Properties"]["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        if (statement["Action"], made.plain(statement["Resource"])) != ("lambda:InvokeFunction", target):
            yield f"AuthorizerInvokeRole: {statement['Action']} on {made.plain(statement['Resource'])}"
    if direct:
        yield from idle(made)
    else:
        yield from moved(made)


def authorizer_uris(made):
    """The addresses of the functions that decide, by the resource that names them."""
    for name, api in made.of_type("AWS::ApiGateway::RestApi").items():
        for scheme in api["Body"]["components"]["securitySchemes"].values():
            if "x-amazon-apigateway-authorizer" in scheme:
                yield name, made.plain(scheme["x-amazon-apigateway-authorizer"]["authorizerUri"])
    for name, authorizer in made.of_type("AWS::ApiGatewayV2::Authorizer").items():
        yield name, made.plain(authorizer["AuthorizerUri"])


def cached(made):
    """API Gateway repeats a decision for as long as the authorizer is told, whose policies are then for every route."""
    seconds = made.parameters["AuthorizerResultTtlSeconds"]
    variables = made.resources["AuthorizerFunction"]["Properties"]["Environment"]["Variables"]
    told = made.plain(variables["AUTHORIZER_TTL_SECONDS"])
    if str(told) != str(seconds):
        yield f"AuthorizerFunction: AUTHORIZER_TTL_SECONDS is {told}, AuthorizerResultTtlSeconds {seconds}"
    for name, api in made.of_type("AWS::ApiGateway::RestApi").items():
        for scheme in api["Body"]["components"]["securitySchemes"].values():
            if "x-amazon-apigateway-authorizer" in scheme:
                given = made.plain(scheme["x-amazon-apigateway-authorizer"].get("authorizerResultTtlInSeconds"))
                # API Gateway documents a number, not text, and caches for 300 s without one.
                if given != int(seconds):
                    yield f"{name}: authorizerResultTtlInSeconds is {given!r}, not {seconds}"
    for name, authorizer in made.of_type("AWS::ApiGatewayV2::Authorizer").items():
        if "AuthorizerResultTtlInSeconds" in authorizer:
            yield f"{name}: API Gateway caches no decision about a WebSocket"


def alias(made):
    """Direct: every API invokes the authorizer itself, and nothing of an alias exists. Else every API invokes the alias."""
    direct = made.parameters["AuthorizerDeployment"] == "Direct"
    target = "<AuthorizerFunction.Arn>" if direct else "<AuthorizerAlias>"
    admitted = {"<AuthorizerFunction>"} if direct else {"<AuthorizerFunction>", "<AuthorizerAlias>"}
    uris = dict(authorizer_uris(made))
    if "Api" not in uris:
        yield "the REST API has no authorizer"
    for resource, uri in uris.items():
        if uri.partition("/functions/")[2] != f"{target}/invocations":
            yield f"{resource}: its authorizer is {uri.partition('/functions/')[2]}, not {target}"
        permitted = set(permitted_authorizers(made, resource))
        for function in sorted(admitted - permitted):
            yield f"{resource}: it may not invoke {function}"
        for function in sorted(permitted - admitted):
            yield f"{resource}: it may invoke {function}"
    if direct:
        yield from idle(made)
    else:
        yield from moved(made)


def permitted_authorizers(made, resource):
    """The functions that the API of this resource may invoke as authorizers."""
    for permission in made.of_type(PERMISSION).values():
        source = str(made.plain(permission.get("SourceArn")))
        of_api = f":<{resource}>/authorizers/" in source or source.endswith(f"/authorizers/<{resource}>")
        if of_api and permission["Principal"] == GATEWAY:
            yield made.plain(permission["FunctionName"])


def idle(made):
    """What exists although no alias is used. A changed parameter would not reach the API by a version."""
    for name, resource in made.resources.items():
        if resource["Type"] in (ALIAS, VERSION) or resource["Type"].startswith((CODE_DEPLOY, APP_CONFIG)):
            yield f"{name}: it exists, and no API invokes an alias"
    for kind, things in (("resource", made.resources), ("output", made.outputs)):
        for name, thing in things.items():
            for _, target in stack.references(thing):
                if target == "AuthorizerAlias":
                    yield f"{kind} {name}: it refers to an alias, and no API invokes one"
    description = made.plain(made.resources["AuthorizerFunction"]["Properties"]["Description"])
    if "Configuration" in description:
        yield f"AuthorizerFunction: its description is {description!r}, and there is no record"


def moved(made):
    """The alias is at its version, of which the replaced ones remain."""
    properties = made.resources["AuthorizerAlias"]["Properties"]
    if made.plain(properties["FunctionVersion"]) != "<AuthorizerVersion.Version>":
        yield "AuthorizerAlias: it is not at AuthorizerVersion"
    provisioned = properties.get("ProvisionedConcurrencyConfig")
    wanted = made.parameters["AuthorizerProvisionedConcurrency"]
    if made.plain(provisioned) != ({"ProvisionedConcurrentExecutions": wanted} if wanted else None):
        yield f"AuthorizerAlias: AuthorizerProvisionedConcurrency is {wanted!r}, and its own is {provisioned}"
    if made.resources["AuthorizerVersion"].get("UpdateReplacePolicy") != "Retain":
        yield "AuthorizerVersion: its UpdateReplacePolicy deletes the version to which a roll-back leads"
    if made.plain(made.outputs["AuthorizerAlias"]["Value"]) != "<AuthorizerAlias>":
        yield "output AuthorizerAlias: it is not the alias"


def configuration(made):
    """The record equals what the authorizer's version keeps, so that every change publishes a version."""
    if made.parameters["AuthorizerDeployment"] == "Direct":
        return
    record = made.resources["AuthorizerConfiguration"]["Properties"]
    lines = made.plain(record["Content"]).split("\n")
    recorded = dict(line.split("=", 1) for line in lines)
    function = made.resources["AuthorizerFunction"]["Properties"]
    kept = {name: ",".join(map(str, members(made.plain(function.get(name, []))))) for name in KEPT}
    kept |= {name: str(value) for name, value in made.plain(function["Environment"]["Variables"]).items()}
    kept["Build"] = made.parameters["AuthorizerBuild"]
    for name in sorted(kept.keys() | recorded.keys()):
        if kept.get(name) != recorded.get(name):
            yield f"AuthorizerConfiguration: {name} is {recorded.get(name)!r}, the function's {kept.get(name)!r}"
    for name in sorted(function.keys() - NOT_KEPT - set(KEPT)):
        yield f"AuthorizerFunction: is {name} kept by a version? Then the record must have it"
    for name in ("AuthorizerFunction", "AuthorizerVersion"):
        described = str(made.plain(made.resources[name]["Properties"].get("Description")))
        if "<AuthorizerConfigurations>.<AuthorizerConfiguration.VersionNumber>" not in described:
            yield f"{name}: its description does not name the record"


def gradual(made):
    """CodeDeploy exists only for gradual deployments; then it shifts the alias, rolls back by alarm, and may do no more."""
    kind = made.parameters["AuthorizerDeployment"]
    policy = made.resources.get("AuthorizerAlias", {}).get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate")
    tools = [key for key, value in made.resources.items() if value["Type"].startswith(CODE_DEPLOY)]
    if kind in ("Direct", "AllAtOnce"):
        for tool in {*tools, *(key for key in made.resources if key.startswith("AuthorizerDeployment"))}:
            yield f"{tool}: it exists, and nothing is deployed gradually"
        if policy:
            yield "AuthorizerAlias: CodeDeploy updates it, and nothing is deployed gradually"
        return
    groups = made.of_type("AWS::CodeDeploy::DeploymentGroup")
    if not policy or len(groups) != 1 or made.plain(policy["DeploymentGroupName"]) != stack.MADE.format(*groups):
        yield "AuthorizerAlias: an update moves it at once"
        return
    (group,) = groups.values()
    if policy["ApplicationName"] != group["ApplicationName"]:
        yield "AuthorizerAlias: its deployment group is not of its application"
    if made.plain(group["DeploymentConfigName"]) != f"CodeDeployDefault.Lambda{kind}":
        yield f"the deployment is {made.plain(group['DeploymentConfigName'])}"
    alarms = [made.plain(alarm["Name"]).strip("<>") for alarm in group.get("AlarmConfiguration", {}).get("Alarms", [])]
    if not alarms or not group["AlarmConfiguration"]["Enabled"] or "DEPLOYMENT_STOP_ON_ALARM" not in group["AutoRollbackConfiguration"]["Events"]:
        yield "no alarm rolls the deployment back"
    for alarm in alarms:
        properties = made.resources[alarm]["Properties"]
        if (properties["Namespace"], properties["MetricName"]) == ("AWS/Lambda", "Errors"):
            yield f"{alarm}: every 401 is an error of the function, so any client can ring it"
        dimensions = {each["Name"]: made.plain(each["Value"]) for each in properties["Dimensions"]}
        (api,) = made.of_type("AWS::ApiGateway::RestApi").values()
        if dimensions.get("ApiName", "") != made.plain(api["Body"]["info"]["title"]):
            yield f"{alarm}: no API has the name {dimensions.get('ApiName')}"
    role = made.plain(group["ServiceRoleArn"]).strip("<>").removesuffix(".Arn")
    if made.resources[role]["Properties"].get("ManagedPolicyArns"):
        yield f"{role}: a managed policy reaches beyond the authorizer"
    for document in made.resources[role]["Properties"].get("Policies", []):
        for statement in document["PolicyDocument"]["Statement"]:
            for resource in listed(made.plain(statement["Resource"])):
                reads = listed(statement["Action"]) == ["cloudwatch:DescribeAlarms"]
                if not reads and resource not in ("<AuthorizerFunction.Arn>", "<AuthorizerFunction.Arn>:*"):
                    yield f"{role}: {', '.join(listed(statement['Action']))} on {resource}"


def layers(made):
    """A variable that names a file under /opt needs a layer, because a function's package is its binary only."""
    for name, function in made.of_type(FUNCTION).items():
        variables = made.plain(function.get("Environment", {}).get("Variables", {}))
        inside = [key for key, value in variables.items() if str(value).startswith(IN_A_LAYER)]
        if inside and not made.plain(function.get("Layers", [])):
            yield f"{name}: {', '.join(sorted(inside))} names a file under {IN_A_LAYER}, without a layer"


def unreachable(made):
    """Each function has an invoker, each queue with a reader has a writer, and other resources are referred to."""
    users = collections.defaultdict(set)
    # The core alone: the stack of an API imports what this one exports, and permits its API to invoke it.
    exported = set()
    if not made.of_type("AWS::ApiGateway::RestApi"):
        exported = {f"output {name}" for name, output in made.outputs.items() if "Export" in output}
    for name, thing in (*made.resources.items(), *((f"output {n}", o) for n, o in made.outputs.items())):
        for _, target in stack.references(thing):
            if target != name:
                users[target].add(name)
    for name, resource in made.resources.items():
        kind = resource["Type"]
        if kind not in ROOTS and not users[name]:
            yield f"{name} ({kind}): nothing refers to it"
        if kind == FUNCTION:
            callers = {user for user in users[name] if made.resources.get(user, {}).get("Type") in (PERMISSION, MAPPING)}
            aliases = {user for user in users[name] if made.resources.get(user, {}).get("Type") == ALIAS}
            if not callers and not any(users[one] & exported for one in (name, *aliases)):
                yield f"{name}: nothing may invoke it"
        elif kind == MAPPING:
            source = made.plain(resource["Properties"]["EventSourceArn"]).strip("<>").partition(".")[0]
            if made.resources.get(source, {}).get("Type") == QUEUE and not any(writers(made, users[source], source)):
                yield f"{name} reads {source}, into which nothing writes"
        elif kind == "AWS::DynamoDB::Table":
            if not any(made.resources.get(user, {}).get("Type") == FUNCTION for user in users[name]):
                yield f"{name}: no function has its name"


def writers(made, users, queue):
    for user in users:
        resource = made.resources.get(user, {})
        if resource.get("Type") == "AWS::Events::Rule":
            yield user
        elif resource.get("Type") == FUNCTION:
            _, statements = policies_of(made, user)
            for statement in statements:
                resources = [made.plain(each) for each in listed(statement["Resource"])]
                if "sqs:SendMessage" in listed(statement["Action"]) and f"<{queue}.Arn>" in resources:
                    yield user


def deletion(made):
    """CloudFormation deletes created resources when a first deployment fails: deletion protection would block it."""
    wanted = made.parameters["DeletionProtection"] == "true"
    for name, resource in made.resources.items():
        if resource["Type"] not in ("AWS::Cognito::UserPool", "AWS::DynamoDB::Table"):
            continue
        properties = resource["Properties"]
        protected = properties.get("DeletionProtectionEnabled") is True or properties.get("DeletionProtection") == "ACTIVE"
        kept = resource.get("DeletionPolicy", "Delete")
        if protected and not wanted:
            yield f"{name}: it is protected from deletion, so a first deployment that fails is not rolled back"
        if protected and kept == "Delete":
            yield f"{name}: it is protected from deletion, and stack deletion deletes it"
        if wanted and kept != "Delete" and not protected:
            yield f"{name}: DeletionProtection=true does not protect it"
        if resource["Type"] == "AWS::Cognito::UserPool" and kept != "RetainExceptOnCreate":
            yield f"{name}: DeletionPolicy is {kept}"


def clients(made):
    """A client may write the attributes of users and of identity providers, and has one way to refresh."""
    seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
    wanted = {"email", *made.parameters["SignUpAttributes"].split(",")}
    mapped = {
        attribute
        for provider in made.of_type("AWS::Cognito::UserPoolIdentityProvider").values()
        for attribute in provider["AttributeMapping"]
        # Cognito does not let a client have these.
        if not attribute.endswith("_verified")
    }
    lifetimes = {
        made.plain(function["Environment"]["Variables"]["REFRESH_TOKEN_TTL_SECONDS"])
        for function in made.of_type(FUNCTION).values()
        if "REFRESH_TOKEN_TTL_SECONDS" in function.get("Environment", {}).get("Variables", {})
    }
    confidential = made.parameters["ConfidentialClient"] == "true"
    for name, client in made.of_type("AWS::Cognito::UserPoolClient").items():
        client = made.plain(client)
        flows = client.get("ExplicitAuthFlows", [])
        if confidential and not client["GenerateSecret"] and (not flows or "PASSWORD" in str(flows) or "SRP" in str(flows)):
            yield f"{name}: it accepts passwords without a secret"
        if client.get("AllowedOAuthFlows") == ["client_credentials"]:
            # Without a list Cognito enables SRP and custom sign-in.
            if flows != ["ALLOW_REFRESH_TOKEN_AUTH"]:
                yield f"{name}: a machine's client signs users in"
            continue
        pools = made.of_type("AWS::Cognito::UserPool").values()
        has = {f"custom:{one['Name']}" for pool in pools for one in made.plain(pool)["Schema"]}
        for attribute in sorted(mapped | set(client["WriteAttributes"])):
            if attribute.startswith("custom:") and attribute not in has:
                yield f"{name}: the pool has no {attribute}"
        # Custom attributes are for triggers, and only for a client through which providers sign users in.
        supplied = mapped if len(client["SupportedIdentityProviders"]) > 1 else set()
        shown = {attribute for attribute in mapped if not attribute.startswith("custom:")}
        for right, needed in (("ReadAttributes", wanted | shown), ("WriteAttributes", wanted | shown | supplied)):
            attributes = client[right]
            if len(set(attributes)) != len(attributes):
                yield f"{name}: {right} names an attribute twice"
            for attribute in sorted(needed - set(attributes)):
                yield f"{name}: {right} lacks {attribute}"
        rotates = client.get("RefreshTokenRotation", {}).get("Feature") == "ENABLED"
        if rotates == ("ALLOW_REFRESH_TOKEN_AUTH" in client["ExplicitAuthFlows"]):
            yield f"{name}: Cognito accepts either ALLOW_REFRESH_TOKEN_AUTH or rotation"
        life = int(client["RefreshTokenValidity"]) * seconds[client["TokenValidityUnits"]["RefreshToken"]]
        for lifetime in lifetimes:
            if int(lifetime) < life:
                yield f"{name}: refresh tokens live {life} s, revocations of their sessions {lifetime} s"


def secrets(made):
    """A function with a client's secret may read it, and names that client first in its list of clients."""
    configured = made.parameters.get("ConfidentialClient") == "true" or bool(made.parameters.get("AppClientSecretArn"))
    for name, function in made.of_type(FUNCTION).items():
        variables = made.plain(function.get("Environment", {}).get("Variables", {}))
        secret = variables.get("APP_CLIENT_SECRET_ARN")
        wanted = configured and secret is not None
        if wanted != bool(secret):
            yield f"{name}: APP_CLIENT_SECRET_ARN is {secret!r}"
        if not secret:
            continue
        if secret != made.parameters.get("AppClientSecretArn"):
            source = made.resources[secret.strip("<>")]["Properties"]["SecretString"]
            owner = made.plain(source).strip("<>").partition(".")[0]
            # logout-retry has no list of clients: each message of its queue says whether it needs the secret.
            clients = variables.get("APP_CLIENT_IDS")
            if clients is not None and clients.split(",")[0] != f"<{owner}>":
                yield f"{name}: the secret is {owner}'s, the first of its clients is {clients}"
        _, statements = policies_of(made, name)
        readable = {
            made.plain(resource)
            for statement in statements
            if "secretsmanager:GetSecretValue" in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }
        if secret not in readable:
            yield f"{name} may not read {secret}"


# The property that names a resource of a type, in the account and region; None if there is none that must be unique.
NAMED = {
    "AWS::ApiGateway::BasePathMapping": None,
    "AWS::ApiGateway::Deployment": None,
    "AWS::ApiGateway::DomainName": None,
    "AWS::ApiGateway::RestApi": None,
    "AWS::ApiGateway::Stage": None,
    "AWS::ApiGateway::UsagePlan": None,
    "AWS::ApiGatewayV2::Api": None,
    "AWS::ApiGatewayV2::Authorizer": None,
    "AWS::ApiGatewayV2::Integration": None,
    "AWS::ApiGatewayV2::Route": None,
    "AWS::ApiGatewayV2::Stage": None,
    "AWS::AppConfig::Application": "Name",
    "AWS::AppConfig::ConfigurationProfile": None,
    "AWS::AppConfig::HostedConfigurationVersion": None,
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentGroup": "DeploymentGroupName",
    "AWS::Cognito::UserPool": None,
    "AWS::Cognito::UserPoolClient": None,
    # A parameter, unique in the region by AWS's rule.
    "AWS::Cognito::UserPoolDomain": None,
    "AWS::Cognito::UserPoolGroup": None,
    "AWS::Cognito::UserPoolIdentityProvider": None,
    "AWS::Cognito::UserPoolResourceServer": None,
    "AWS::DynamoDB::Table": "TableName",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Alias": None,
    "AWS::Lambda::EventSourceMapping": None,
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::Permission": None,
    "AWS::Lambda::Url": None,
    "AWS::Lambda::Version": None,
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::MetricFilter": None,
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::Logs::SubscriptionFilter": None,
    "AWS::Route53::RecordSet": None,
    "AWS::SNS::Subscription": None,
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SQS::QueuePolicy": None,
    "AWS::SecretsManager::Secret": "Name",
    "AWS::WAFv2::WebACL": "Name",
    "AWS::WAFv2::WebACLAssociation": None,
}
SECOND = {
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/second/1",
    "AWS::StackName": "second",
}


def copies(made):
    """A second stack in the account has other names: of resources, and of exports."""

    def names():
        for name, resource in made.resources.items():
            kind = resource["Type"]
            if kind not in NAMED:
                yield name, f"which property names a {kind}? NAMED must have it"
            elif NAMED[kind] in resource.get("Properties", {}):
                yield name, made.plain(resource["Properties"][NAMED[kind]])
        for name, output in made.outputs.items():
            if "Export" in output:
                yield f"output {name}", made.plain(output["Export"]["Name"])

    first = dict(names())
    with mock.patch.dict(stack.PSEUDO, SECOND):
        second = dict(names())
    for name, value in first.items():
        if value == second[name]:
            yield f"{name}: a second stack has the same name, {value}"


def rate_rule(made):
    """The rate rule covers every endpoint that users call: the API's stage and the pool."""
    if made.parameters["RequestsPerFiveMinutes"] == "0":
        return
    places = [made.plain(each["ResourceArn"]) for each in made.of_type("AWS::WAFv2::WebACLAssociation").values()]
    (stage,) = made.of_type(STAGE)
    for place in ("<UserPool.Arn>", f"arn:aws:apigateway:us-east-1::/restapis/<Api>/stages/<{stage}>"):
        if place not in places:
            yield f"the rate rule does not cover {place}"


def mail(made):
    """Without an identity the pool names no sender."""
    for name, pool in made.of_type("AWS::Cognito::UserPool").items():
        if made.plain(pool.get("EmailConfiguration", {})).get("From") == "":
            yield f"{name}: the sender's address is empty"


def rules(made):
    """The violations of the template's own Rules by these parameters."""
    for name, rule in made.expanded.get("Rules", {}).items():
        if "RuleCondition" not in rule or made.truth(rule["RuleCondition"]):
            for assertion in rule["Assertions"]:
                if not made.truth(assertion["Assert"]):
                    yield f"rule {name}: {assertion['AssertDescription']}"


def empty_answers(parsed, required=frozenset()):
    """`sam deploy --guided` accepts Enter for every parameter that is not required: it has a default within its own
    limits. A required one has none."""
    for name in sorted(required):
        if "Default" in parsed.parameters.get(name, {"Default": ""}):
            yield f"parameter {name}: it is not required"
    for name, parameter in parsed.parameters.items():
        if parameter.get("NoEcho"):
            yield f"parameter {name}: with NoEcho there is no empty answer"
        if name in required:
            continue
        if "Default" not in parameter:
            yield f"parameter {name}: it has no default"
            continue
        yield from refused(name, parameter, parameter["Default"])


def refused(name, parameter, value):
    text = str(value)
    if "AllowedValues" in parameter and text not in map(str, parameter["AllowedValues"]):
        yield f"parameter {name}: {text} is not among its AllowedValues"
    if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], text):
        yield f"parameter {name}: {text!r} does not match its AllowedPattern"
    if parameter["Type"] == "Number":
        number = float(text)
        if not parameter.get("MinValue", number) <= number <= parameter.get("MaxValue", number):
            yield f"parameter {name}: {text} is outside of its limits"


def values(parsed, given):
    """The parameters accept a set's values."""
    for name, value in given.items():
        yield from refused(name, parsed.parameters[name], value)


def in_the_definition(parsed):
    """The parameters that api-gateway.json depends on, also through conditions."""
    body = parsed.template["Resources"]["Api"]["Properties"]["DefinitionBody"]
    conditions = parsed.template["Conditions"]

    def names(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "Fn::If":
                    yield from names({"Condition": inner[0]})
                if key == "Condition" and isinstance(inner, str):
                    yield from names(conditions[inner])
                else:
                    yield from names(inner)
            yield from (name for _, name in stack.references(value))
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    return sorted(set(names(body)) & parsed.parameters.keys())


def redeployed(parsed):
    """A parameter that the definition depends on reaches the stage: its change creates a new deployment."""
    depends = in_the_definition(parsed)
    if not depends:
        yield "api-gateway.json depends on no parameter: the check is out of date"
    for name in depends:
        parameter = parsed.parameters[name]
        others = [value for value in map(str, parameter.get("AllowedValues", [])) if value != str(parameter["Default"])]
        change = {name: others[0] if others else f"{parameter['Default']}x"}
        before, after = (list(parsed.stack(given).of_type(DEPLOYMENT)) for given in ({}, change))
        if before == after:
            yield f"parameter {name}: a change leaves the deployment {before[0]}, so it never reaches the stage"


def without_layers(parsed):
    """A parameter whose description mentions /opt reaches only functions that can have a layer."""
    for name, parameter in parsed.parameters.items():
        if IN_A_LAYER not in parameter.get("Description", ""):
            continue
        for function, resource in parsed.template["Resources"].items():
            properties = resource.get("Properties", {})
            if resource["Type"] != "AWS::Serverless::Function" or "Layers" in properties:
                continue
            variables = properties.get("Environment", {}).get("Variables", {})
            if name in {target for _, target in stack.references(variables)}:
                yield f"{function}: the parameter {name} names a file of a layer, and it has none"


def unused(parsed):
    """Each parameter and condition is used."""
    template = parsed.template
    used = {name for _, name in stack.references({key: value for key, value in template.items() if key != "Parameters"})}
    conditions = set(re.findall(r"'(?:Condition|Fn::If)': \[?'(\w+)'", str(template)))
    for name in sorted(parsed.parameters.keys() - used):
        yield f"parameter {name}: nothing uses it"
    for name in sorted(template["Conditions"].keys() - conditions):
        yield f"condition {name}: nothing uses it"


def never_made(parsed, stacks):
    """Each resource exists for at least one of the sets; otherwise no other check covers it."""
    exists = {name for made in stacks for name in made.resources}
    for name in parsed.template["Resources"]:
        if name not in exists and parsed.template["Resources"][name]["Type"] != "AWS::Serverless::Api":
            yield f"{name}: no set of parameters creates it"


# Checks of one set of parameters, and checks of the template itself.
OF_ONE_SET = (absent_references, stages, throttles, rights, own_roles, triggers, layers, cached, alias, configuration, gradual, unreachable, deletion, clients, secrets, copies, rate_rule, mail, rules, *operations.OF_ONE_SET)
OF_THE_TEMPLATE = (empty_answers, redeployed, without_layers, unused)
# Those that apply to core.yaml, which has neither an API nor a pool.
OF_THE_CORE = (
    absent_references,
    rights,
    layers,
    cached,
    imported_alias,
    configuration,
    gradual,
    unreachable,
    deletion,
    secrets,
    copies,
    rules,
    *operations.OF_THE_CORE,
)
