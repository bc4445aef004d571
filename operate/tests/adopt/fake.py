"""An AWS account in memory, behind real boto3 clients: botocore validates each request, and each response's shape.

It has the rules that matter to an adoption and that MiniStack lacks: an update of a pool or client resets what it does
not send, a REST API serves deployments, scopes are refused on a route with a Lambda authorizer, resources in use cannot
be deleted. After each change `check` proves that every served route has an authorizer that exists and may be invoked.
"""

import collections
import copy
import datetime
import itertools
import json

import boto3
from botocore.awsrequest import AWSResponse
from botocore.validate import validate_parameters
from gatehouse_operate.aws import Aws

REGION, ACCOUNT = "eu-central-1", "111122223333"
POOL_ID = f"{REGION}_Existing1"
POOL_ARN = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{POOL_ID}"
STACK = "gatehouse"
READS = ("Get", "Describe", "List")
SAVED = ("pool", "mfa", "clients_of_pool", "rest", "http", "policies", "parameters", "changes")
# Shared, because it reads the services' models once.
SESSION = boto3.Session("test", "test", region_name=REGION)


class Crash(BaseException):
    """The process ends here. No `except Exception` sees it."""


def function(name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


class Fake(Aws):
    """The account. `crash_at` counts calls that change something: the process ends before or after that call."""

    def __init__(self):
        super().__init__(session=SESSION)
        self.changes, self.crash_at, self.crash_after, self.ids = [], None, False, itertools.count(1)
        self.refuse, self.alias, self.dead = {}, "", False
        # When deployments are made; None is now.
        self.today = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
        self.parameters, self.policies = {}, {}
        self.versions = collections.defaultdict(lambda: 1)
        # The stacks that own resources, by physical id, and the status there.
        self.owners = {}
        self.rest, self.http = {}, {}
        self.pool, self.mfa, self.clients_of_pool = pool(), {"MfaConfiguration": "OPTIONAL"}, {}
        self.mfa["SoftwareTokenMfaConfiguration"] = {"Enabled": True}
        self.add_client("web")
        self.variables = {
            "gatehouse-Authorizer": {"USER_POOL_ID": POOL_ID, "APP_CLIENT_IDS": "web", "TOKEN_USE": "any"},
            "gatehouse-Logout": {"REFRESH_TOKEN_TTL_SECONDS": "2592000", "APP_CLIENT_SECRET_ARN": "not read"},
            "gatehouse-PostConfirmation": {},
            "gatehouse-CustomMessage": {},
            "gatehouse-PreTokenGeneration": {},
        }

    def client(self, service):
        if service not in self.clients:
            client = super().client(service)
            client.meta.events.register("before-parameter-build", self.keep)
            client.meta.events.register("before-call", self.answer)
        return self.clients[service]

    def keep(self, params, context, **_):
        context["params"] = copy.deepcopy(params)

    def answer(self, model, context, **_):
        if self.dead:
            raise Crash
        name, params = model.name, context["params"]
        service = model.service_model.service_name
        changing = not name.startswith(READS)
        if changing:
            self.changes.append((service, name, params))
            if self.crash_at == len(self.changes) and not self.crash_after:
                self.crash()
        if code := self.refuse.get(name):
            return AWSResponse(None, 400, {}, None), {"Error": {"Code": code, "Message": "refused by the test"}}
        try:
            response = getattr(self, f"{service.replace('-', '_')}_{name}")(**params) or {}
        except Failure as failure:
            code, text = failure.args
            return AWSResponse(None, 400, {}, None), {"Error": {"Code": code, "Message": text}}
        response = copy.deepcopy(response)
        if model.output_shape:
            validate_parameters(response, model.output_shape)
        if changing:
            self.check()
            if self.crash_at == len(self.changes) and self.crash_after:
                self.crash()
        return AWSResponse(None, 200, {}, None), response

    def crash(self):
        """Ends the process. What it does while it unwinds reaches nothing."""
        self.dead = True
        raise Crash

    def saved(self):
        """A copy of the account, for `restore`."""
        return {name: copy.deepcopy(getattr(self, name)) for name in SAVED}

    def restore(self, saved):
        for name, value in saved.items():
            setattr(self, name, copy.deepcopy(value))

    def snapshot(self):
        """Everything that an operator can see, without what changes by itself."""
        state = (self.pool, self.mfa, self.clients_of_pool, self.rest, self.http, self.policies, self.parameters)
        return json.loads(json.dumps(state, default=str, sort_keys=True))

    def check(self):
        """Raises AssertionError if a request with a valid token would be refused anywhere."""
        for api, one in self.rest.items():
            for stage in one["stages"].values():
                for route, method in one["snapshots"][stage["deploymentId"]].items():
                    self.check_served(api, one, route, method.get("authorizationType"), method.get("authorizerId"))
        for api, one in self.http.items():
            for stage in one["stages"].values():
                served = one["routes"] if stage["AutoDeploy"] else one["snapshots"][stage["DeploymentId"]]
                for route in served.values():
                    self.check_served(
                        api, one, route["RouteKey"], route["AuthorizationType"], route.get("AuthorizerId")
                    )

    def check_served(self, api, one, route, kind, authorizer):
        if kind in ("NONE", None):
            return
        assert authorizer in one["authorizers"], f"{api} {route}: its authorizer is gone"
        if kind != "CUSTOM":
            return
        uri = one["authorizers"][authorizer].get("authorizerUri") or one["authorizers"][authorizer].get("AuthorizerUri")
        if uri is None:
            return
        invoked = uri.partition("/functions/")[2].partition("/invocations")[0]
        source = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/authorizers/{authorizer}"
        granted = [each["Condition"]["ArnLike"]["AWS:SourceArn"] for each in self.policies.get(invoked, {}).values()]
        assert source in granted, f"{api} {route}: API Gateway may not invoke the authorizer"

    def now(self):
        return self.today or datetime.datetime.now(datetime.UTC)

    def id(self):
        return f"made{next(self.ids)}"

    # The account's contents

    def add_client(self, key, **settings):
        client = {
            "UserPoolId": POOL_ID,
            "ClientName": f"{key} app",
            "ClientId": key,
            "ClientSecret": "not-in-a-journal-of-a-plan",
        }
        client |= {"RefreshTokenValidity": 30, "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]}
        client |= {"EnableTokenRevocation": True, "CallbackURLs": ["https://app.example.com/zurück"]}
        client |= {"TokenValidityUnits": {"RefreshToken": "days"}, "PreventUserExistenceErrors": "ENABLED"}
        self.clients_of_pool[key] = client | settings

    def add_rest_api(self, api, routes, stages=("prod",)):
        """Routes are `GET /path` with their scopes; None is a route without an authorizer."""
        one = {"name": f"{api}-name", "authorizers": {}, "routes": {}, "stages": {}, "snapshots": {}, "deployments": {}}
        self.rest[api] = one
        cognito = {"id": "cognito", "name": "pool", "type": "COGNITO_USER_POOLS", "providerARNs": [POOL_ARN]}
        one["authorizers"]["cognito"] = cognito | {"identitySource": "method.request.header.Authorization"}
        for route, scopes in routes.items():
            method = {"httpMethod": route.partition(" ")[0], "authorizationType": "NONE", "apiKeyRequired": False}
            method["methodIntegration"] = {"type": "MOCK", "uri": "größe"}
            if scopes is not None:
                method |= {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": "cognito"}
                method |= {"authorizationScopes": scopes} if scopes else {}
            one["routes"][route] = method
        for stage in stages:
            made = self.apigateway_CreateDeployment(api, description="by hand")["id"]
            one["stages"][stage] = {"stageName": stage, "deploymentId": made, "variables": {"a": "b"}}

    def add_http_api(self, api, routes, stages=(("$default", True),)):
        one = {"name": f"{api}-name", "authorizers": {}, "routes": {}, "stages": {}, "snapshots": {}, "deployments": {}}
        self.http[api] = one
        issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL_ID}"
        jwt = {"AuthorizerId": "jwt", "Name": "jwt", "AuthorizerType": "JWT"}
        jwt |= {"IdentitySource": ["$request.header.Authorization"]}
        one["authorizers"]["jwt"] = jwt | {"JwtConfiguration": {"Audience": ["web"], "Issuer": issuer}}
        for number, (key, scopes) in enumerate(routes.items()):
            route = {"RouteId": f"r{number}", "RouteKey": key, "Target": "integrations/i", "AuthorizationType": "NONE"}
            if scopes is not None:
                route |= {"AuthorizationType": "JWT", "AuthorizerId": "jwt", "AuthorizationScopes": scopes}
            one["routes"][f"r{number}"] = route
        for stage, automatic in stages:
            made = None if automatic else self.apigatewayv2_CreateDeployment(api, Description="by hand")["DeploymentId"]
            one["stages"][stage] = {"StageName": stage, "AutoDeploy": automatic}
            one["stages"][stage] |= {"DeploymentId": made} if made else {}

    # Amazon Cognito

    def cognito_idp_DescribeUserPool(self, UserPoolId):
        self.same_pool(UserPoolId)
        return {"UserPool": self.pool}

    def cognito_idp_GetUserPoolMfaConfig(self, UserPoolId):
        self.same_pool(UserPoolId)
        return self.mfa

    def cognito_idp_SetUserPoolMfaConfig(self, UserPoolId, **settings):
        self.same_pool(UserPoolId)
        self.mfa = settings
        return {}

    def cognito_idp_UpdateUserPool(self, UserPoolId, **sent):
        self.same_pool(UserPoolId)
        days = "TemporaryPasswordValidityDays" in sent.get("Policies", {}).get("PasswordPolicy", {})
        if days and "UnusedAccountValidityDays" in sent.get("AdminCreateUserConfig", {}):
            raise Failure("InvalidParameterException", "Please use TemporaryPasswordValidityDays instead.")
        if sent.get("MfaConfiguration") == "ON" != self.mfa["MfaConfiguration"]:
            raise Failure("InvalidParameterException", "Cannot turn MFA functionality ON, once the pool is created.")
        if any(one.startswith("aws:") for one in sent.get("UserPoolTags", {})):
            raise Failure("InvalidParameterException", "aws: prefixed tag key names are not allowed for external use.")
        own = {key: one for key, one in self.pool.get("UserPoolTags", {}).items() if key.startswith("aws:")}
        sent["UserPoolTags"] = sent.get("UserPoolTags", {}) | own
        name = sent.pop("PoolName", self.pool["Name"])
        self.pool = reset(self.pool, sent, self.taken("UpdateUserPool"), {"MfaConfiguration": "OFF"}) | {"Name": name}
        if days:
            self.pool.setdefault("AdminCreateUserConfig", {})["UnusedAccountValidityDays"] = 7
        self.mfa["MfaConfiguration"] = self.pool["MfaConfiguration"]

    def cognito_idp_ListUserPoolClients(self, UserPoolId, MaxResults=60, NextToken="0"):
        self.same_pool(UserPoolId)
        keys = sorted(self.clients_of_pool)[int(NextToken) : int(NextToken) + 60]
        listed = [{"ClientId": key, "UserPoolId": POOL_ID, "ClientName": key} for key in keys]
        more = int(NextToken) + 60
        return {"UserPoolClients": listed} | ({"NextToken": str(more)} if more < len(self.clients_of_pool) else {})

    def cognito_idp_DescribeUserPoolClient(self, UserPoolId, ClientId):
        self.same_pool(UserPoolId)
        return {"UserPoolClient": self.clients_of_pool[ClientId]}

    def cognito_idp_UpdateUserPoolClient(self, UserPoolId, ClientId, **sent):
        self.same_pool(UserPoolId)
        before = self.clients_of_pool[ClientId]
        kept = {"UserPoolId": UserPoolId, "ClientId": ClientId, "ClientSecret": before["ClientSecret"]}
        self.clients_of_pool[ClientId] = sent | kept
        return {"UserPoolClient": self.clients_of_pool[ClientId]}

    def taken(self, operation):
        return self.client("cognito-idp").meta.service_model.operation_model(operation).input_shape.members

    def same_pool(self, pool_id):
        if pool_id != POOL_ID:
            raise Failure("ResourceNotFoundException", "User pool does not exist.")

    # AWS Lambda, AWS CloudFormation, AWS STS, AWS Systems Manager

    def lambda_GetFunctionConfiguration(self, FunctionName, Qualifier=None):
        name = Qualifier or FunctionName.rpartition(":")[2]
        if name not in self.variables:
            raise Failure("ResourceNotFoundException", "no such function")
        return {
            "FunctionArn": function(FunctionName.rpartition(":")[2]),
            "Environment": {"Variables": self.variables[name]},
        }

    def lambda_GetPolicy(self, FunctionName, Qualifier=None):
        FunctionName = qualified(FunctionName, Qualifier)
        if not self.policies.get(FunctionName):
            raise Failure("ResourceNotFoundException", "no policy")
        return {"Policy": json.dumps({"Statement": list(self.policies[FunctionName].values())}), "RevisionId": "1"}

    def lambda_AddPermission(self, FunctionName, StatementId, Action, Principal, SourceArn, Qualifier=None):
        FunctionName = qualified(FunctionName, Qualifier)
        statements = self.policies.setdefault(FunctionName, {})
        if StatementId in statements:
            raise Failure("ResourceConflictException", "the statement exists")
        condition = {"ArnLike": {"AWS:SourceArn": SourceArn}}
        statement = {"Sid": StatementId, "Effect": "Allow", "Principal": {"Service": Principal}, "Action": Action}
        statements[StatementId] = statement | {"Resource": FunctionName, "Condition": condition}
        return {"Statement": json.dumps(statements[StatementId])}

    def lambda_RemovePermission(self, FunctionName, StatementId, Qualifier=None):
        FunctionName = qualified(FunctionName, Qualifier)
        if StatementId not in self.policies.get(FunctionName, {}):
            raise Failure("ResourceNotFoundException", "no such statement")
        del self.policies[FunctionName][StatementId]
        if not self.policies[FunctionName]:
            del self.policies[FunctionName]

    def cloudformation_DescribeStacks(self, StackName):
        if StackName != STACK:
            raise Failure("ValidationError", "Stack with id nothing does not exist")
        outputs = [{"OutputKey": "AuthorizerArn", "OutputValue": function("gatehouse-Authorizer") + self.alias}]
        status = {"StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-11-26T00:00:00Z"}
        return {"Stacks": [{"StackName": STACK, "Outputs": outputs} | status]}

    def cloudformation_DescribeStackResources(self, PhysicalResourceId):
        if PhysicalResourceId not in self.owners:
            raise Failure("ValidationError", f"Stack for {PhysicalResourceId} does not exist")
        stack, status = self.owners[PhysicalResourceId]
        same = {"StackName": stack, "ResourceType": "AWS::Any::Thing", "Timestamp": "2026-11-26T00:00:00Z"}
        listed = {"Other": ("other", "CREATE_COMPLETE"), "Own": (PhysicalResourceId, status)}
        return {
            "StackResources": [
                same | {"LogicalResourceId": key, "PhysicalResourceId": one, "ResourceStatus": its}
                for key, (one, its) in listed.items()
            ]
        }

    def cloudformation_ListStackResources(self, StackName):
        names = {one.partition("-")[2] + "Function": one for one in self.variables}
        same = {"ResourceType": "AWS::Lambda::Function", "ResourceStatus": "CREATE_COMPLETE"}
        same["LastUpdatedTimestamp"] = "2026-11-26T00:00:00Z"
        listed = [{"LogicalResourceId": key, "PhysicalResourceId": one} | same for key, one in names.items()]
        return {"StackResourceSummaries": listed}

    def sts_GetCallerIdentity(self):
        return {"Account": ACCOUNT}

    def ssm_PutParameter(self, Name, Value, Type, Overwrite=False):
        if Name in self.parameters and not Overwrite:
            raise Failure("ParameterAlreadyExists", "The parameter already exists.")
        # In AWS the versions of a parameter start anew when it is deleted.
        self.versions[Name] = self.versions[Name] + 1 if Name in self.parameters else 1
        self.parameters[Name] = Value
        return {"Version": self.versions[Name]}

    def ssm_GetParameter(self, Name):
        if Name not in self.parameters:
            raise Failure("ParameterNotFound", "no such parameter")
        return {"Parameter": {"Name": Name, "Value": self.parameters[Name], "Version": self.versions.get(Name, 1)}}

    def ssm_DeleteParameter(self, Name):
        if Name not in self.parameters:
            raise Failure("ParameterNotFound", "no such parameter")
        del self.parameters[Name]

    # Amazon API Gateway, REST APIs

    def apigateway_GetRestApis(self, **_):
        return {"items": [{"id": key, "name": one["name"]} for key, one in self.rest.items()]}

    def apigateway_GetRestApi(self, restApiId):
        one = self.rest[restApiId]
        return {"id": restApiId, "name": one["name"], "tags": one.get("tags", {})}

    def apigateway_GetAuthorizers(self, restApiId, **_):
        if restApiId not in self.rest:
            raise Failure("NotFoundException", "Invalid API identifier specified")
        return {"items": list(self.rest[restApiId]["authorizers"].values())}

    def apigateway_CreateAuthorizer(self, restApiId, **settings):
        one = self.rest[restApiId]["authorizers"]
        if settings["name"] in [each["name"] for each in one.values()]:
            raise Failure("ConflictException", "the name is taken")
        made = self.id()
        one[made] = settings | {"id": made, "authType": "custom"}
        return one[made]

    def apigateway_DeleteAuthorizer(self, restApiId, authorizerId):
        one = self.rest[restApiId]
        if authorizerId in [method.get("authorizerId") for method in one["routes"].values()]:
            raise Failure("ConflictException", "the authorizer is in use")
        del one["authorizers"][authorizerId]

    def apigateway_GetResources(self, restApiId, position="0", embed=(), **_):
        routes = self.rest[restApiId]["routes"]
        paths = sorted({route.partition(" ")[2] for route in routes})
        listed = []
        for path in paths[int(position) : int(position) + 25]:
            verbs = {key.partition(" ")[0]: one for key, one in routes.items() if key.partition(" ")[2] == path}
            listed.append({"id": path, "path": path, "resourceMethods": verbs})
        more = {"position": str(int(position) + 25)} if int(position) + 25 < len(paths) else {}
        return {"items": listed} | more

    def apigateway_GetMethod(self, restApiId, resourceId, httpMethod):
        route = self.rest.get(restApiId, {"routes": {}})["routes"].get(f"{httpMethod} {resourceId}")
        if route is None:
            raise Failure("NotFoundException", "Invalid Method identifier specified")
        return route

    def apigateway_UpdateMethod(self, restApiId, resourceId, httpMethod, patchOperations):
        one = self.rest[restApiId]
        method = copy.deepcopy(one["routes"][f"{httpMethod} {resourceId}"])
        for each in patchOperations:
            member = each["path"].removeprefix("/")
            match each["op"], member:
                case "replace", "authorizationType" | "authorizerId":
                    method[member] = each["value"]
                case "add", "authorizationScopes":
                    method.setdefault(member, []).append(each["value"])
                case "remove", "authorizationScopes":
                    method[member].remove(each["value"])
                case _:
                    raise Failure("BadRequestException", f"Invalid patch path {each['path']}")
        if not method.get("authorizationScopes"):
            method.pop("authorizationScopes", None)
        lambda_type = one["authorizers"][method["authorizerId"]]["type"] in ("REQUEST", "TOKEN")
        if lambda_type != (method["authorizationType"] == "CUSTOM"):
            raise Failure("BadRequestException", "the authorizer does not match the authorization type")
        one["routes"][f"{httpMethod} {resourceId}"] = method
        return method

    def apigateway_GetDeployments(self, restApiId, **_):
        if restApiId not in self.rest:
            raise Failure("NotFoundException", "Invalid API identifier specified")
        return {"items": list(self.rest[restApiId]["deployments"].values())}

    def apigateway_GetDeployment(self, restApiId, deploymentId, embed=()):
        summary = {}
        for route, one in self.rest[restApiId]["snapshots"][deploymentId].items():
            verb, _, path = route.partition(" ")
            summary.setdefault(path, {})[verb] = {
                "authorizationType": one["authorizationType"],
                "apiKeyRequired": False,
            }
        return self.rest[restApiId]["deployments"][deploymentId] | {"apiSummary": summary}

    def apigateway_CreateDeployment(self, restApiId, description="", stageName=None):
        one, made = self.rest[restApiId], self.id()
        one["deployments"][made] = {"id": made, "description": description, "createdDate": self.now()}
        one["snapshots"][made] = copy.deepcopy(one["routes"])
        if stageName:
            one["stages"][stageName]["deploymentId"] = made
        return one["deployments"][made]

    def apigateway_DeleteDeployment(self, restApiId, deploymentId):
        one = self.rest[restApiId]
        if deploymentId in [stage["deploymentId"] for stage in one["stages"].values()]:
            raise Failure("BadRequestException", "Active stages pointing to this deployment must be moved or deleted")
        del one["deployments"][deploymentId], one["snapshots"][deploymentId]

    def apigateway_GetStages(self, restApiId):
        return {"item": list(self.rest[restApiId]["stages"].values())}

    def apigateway_GetStage(self, restApiId, stageName):
        if stageName not in self.rest.get(restApiId, {"stages": {}})["stages"]:
            raise Failure("NotFoundException", "Invalid stage identifier specified")
        return self.rest[restApiId]["stages"][stageName]

    def apigateway_UpdateStage(self, restApiId, stageName, patchOperations):
        (change,) = patchOperations
        assert change["path"] == "/deploymentId"
        if change["value"] not in self.rest[restApiId]["deployments"]:
            raise Failure("BadRequestException", "Invalid deployment identifier specified")
        stage = self.rest[restApiId]["stages"][stageName]
        stage["deploymentId"] = change["value"]
        return stage

    # Amazon API Gateway, HTTP APIs

    def apigatewayv2_GetApis(self, **_):
        return {"Items": [self.apigatewayv2_GetApi(key) for key in self.http]}

    def apigatewayv2_GetApi(self, ApiId):
        one = self.http[ApiId]
        same = {"ApiId": ApiId, "Name": one["name"], "ProtocolType": one.get("protocol", "HTTP"), "Tags": {}}
        return same | {"RouteSelectionExpression": "$request.method $request.path"}

    def apigatewayv2_GetAuthorizers(self, ApiId, **_):
        return {"Items": list(self.http[ApiId]["authorizers"].values())}

    def apigatewayv2_CreateAuthorizer(self, ApiId, **settings):
        made = self.id()
        self.http[ApiId]["authorizers"][made] = settings | {"AuthorizerId": made}
        return self.http[ApiId]["authorizers"][made]

    def apigatewayv2_DeleteAuthorizer(self, ApiId, AuthorizerId):
        if AuthorizerId in [route.get("AuthorizerId") for route in self.http[ApiId]["routes"].values()]:
            raise Failure("ConflictException", "the authorizer is in use")
        del self.http[ApiId]["authorizers"][AuthorizerId]

    def apigatewayv2_GetRoutes(self, ApiId, **_):
        return {"Items": list(self.http[ApiId]["routes"].values())}

    def apigatewayv2_GetRoute(self, ApiId, RouteId):
        if RouteId not in self.http[ApiId]["routes"]:
            raise Failure("NotFoundException", "Unable to find Route")
        return self.http[ApiId]["routes"][RouteId]

    def apigatewayv2_UpdateRoute(self, ApiId, RouteId, **settings):
        one = self.http[ApiId]
        route = one["routes"][RouteId] | settings
        if route["AuthorizationType"] == "CUSTOM" and route.get("AuthorizationScopes"):
            text = "Authorization Scopes are only valid for COGNITO_USER_POOLS and JWT authorization types"
            raise Failure("BadRequestException", text)
        if (one["authorizers"][route["AuthorizerId"]]["AuthorizerType"] == "REQUEST") != (
            route["AuthorizationType"] == "CUSTOM"
        ):
            raise Failure("BadRequestException", "the authorizer does not match the authorization type")
        one["routes"][RouteId] = route
        return route

    def apigatewayv2_GetDeployments(self, ApiId, **_):
        return {"Items": list(self.http[ApiId]["deployments"].values())}

    def apigatewayv2_CreateDeployment(self, ApiId, Description="", StageName=None):
        one, made = self.http[ApiId], self.id()
        one["deployments"][made] = {"DeploymentId": made, "Description": Description, "CreatedDate": self.now()}
        one["snapshots"][made] = copy.deepcopy(one["routes"])
        if StageName:
            one["stages"][StageName]["DeploymentId"] = made
        return one["deployments"][made]

    def apigatewayv2_GetDeployment(self, ApiId, DeploymentId):
        return self.http[ApiId]["deployments"][DeploymentId]

    def apigatewayv2_DeleteDeployment(self, ApiId, DeploymentId):
        one = self.http[ApiId]
        if DeploymentId in [stage.get("DeploymentId") for stage in one["stages"].values()]:
            raise Failure("BadRequestException", "the deployment is in use")
        del one["deployments"][DeploymentId], one["snapshots"][DeploymentId]

    def apigatewayv2_GetStages(self, ApiId, **_):
        return {"Items": list(self.http[ApiId]["stages"].values())}

    def apigatewayv2_GetStage(self, ApiId, StageName):
        if StageName not in self.http[ApiId]["stages"]:
            raise Failure("NotFoundException", "Unable to find Stage")
        return self.http[ApiId]["stages"][StageName]

    def apigatewayv2_UpdateStage(self, ApiId, StageName, DeploymentId):
        stage = self.http[ApiId]["stages"][StageName]
        stage["DeploymentId"] = DeploymentId
        return stage


def gone(*_):
    raise Failure("ResourceNotFoundException", "User pool does not exist.")


def qualified(name, alias):
    return f"{name}:{alias}" if alias else name


class Failure(Exception):
    """An error response: its code and message."""


def reset(before, sent, taken, defaults):
    """AWS's rule: what an update takes and is not sent gets its default."""
    after = {name: value for name, value in before.items() if name not in taken}
    return after | defaults | {name: value for name, value in sent.items() if name in taken}


def pool():
    """A pool as DescribeUserPool returns it: three foreign triggers, and a setting in every field."""
    return {
        "Id": POOL_ID,
        "Name": "Kundenkonten größer",
        "Arn": POOL_ARN,
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 14,
                "RequireUppercase": True,
                "RequireLowercase": False,
                "RequireNumbers": True,
                "RequireSymbols": False,
                "PasswordHistorySize": 5,
                "TemporaryPasswordValidityDays": 3,
            },
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
        },
        "DeletionProtection": "ACTIVE",
        "LambdaConfig": {
            "PreSignUp": function("their-pre-sign-up"),
            "PostAuthentication": function("their-post-authentication"),
            "CustomMessage": function("their-custom-message"),
        },
        "SchemaAttributes": [{"Name": "email", "AttributeDataType": "String", "Required": True, "Mutable": True}],
        "AutoVerifiedAttributes": ["email"],
        "UsernameAttributes": ["email"],
        "SmsVerificationMessage": "Ihr Code ist {####}",
        "EmailVerificationMessage": "Ihr Code ist {####}",
        "EmailVerificationSubject": "Grüße",
        "VerificationMessageTemplate": {
            "SmsMessage": "Ihr Code ist {####}",
            "EmailMessage": "Ihr Code ist {####}",
            "EmailSubject": "Grüße",
            "DefaultEmailOption": "CONFIRM_WITH_CODE",
        },
        "SmsAuthenticationMessage": "Anmeldung: {####}",
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
        "MfaConfiguration": "OPTIONAL",
        "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True, "DeviceOnlyRememberedOnUserPrompt": True},
        "EstimatedNumberOfUsers": 41_234,
        "EmailConfiguration": {
            "SourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.com",
            "EmailSendingAccount": "DEVELOPER",
            "From": "Konten <konten@example.com>",
            "ReplyToEmailAddress": "hilfe@example.com",
        },
        "SmsConfiguration": {
            "SnsCallerArn": f"arn:aws:iam::{ACCOUNT}:role/sms",
            "ExternalId": "e",
            "SnsRegion": REGION,
        },
        "UserPoolTags": {"team": "identity"},
        "Domain": "konten",
        "AdminCreateUserConfig": {
            "AllowAdminCreateUserOnly": False,
            "UnusedAccountValidityDays": 7,
            "InviteMessageTemplate": {"EmailMessage": "{username} {####}", "EmailSubject": "Willkommen"},
        },
        "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT"},
        "UsernameConfiguration": {"CaseSensitive": False},
        "AccountRecoverySetting": {"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]},
        "UserPoolTier": "PLUS",
    }
