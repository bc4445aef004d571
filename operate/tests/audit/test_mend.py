"""What the commands that mend do to a set-up whose other settings have values too."""

import copy
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import botocore.session
from botocore.validate import ParamValidator

from audit.support import RECORDED, ROOT, audit
from audit.test_page import commands, dashed
from gatehouse_operate.audit import mend
from gatehouse_operate.audit.checks import apis
from gatehouse_operate.audit.facts import STANDARD_ATTRIBUTES
from gatehouse_operate.audit.finding import Names

sys.path.insert(0, str(ROOT / "local"))
import stand_ins  # noqa: E402 - of the folder that is named above

POOL, CLIENT = "us-east-1_Good00001", "4gooda1b2c3d4e5f6g7h8i9j0k1"
IDENTITY_POOL = "us-east-1:99999999-2222-4333-8444-555555555555"
ARN = f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{POOL}"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}"
OTHER = f"{FUNCTION}kept"

# What `aws` of the commands does: it prints the recorded answer, or appends what it would send.
AWS = """
import json, pathlib, sys
service, operation, *words = sys.argv[1:]
options, name = {}, ""
for word in words:
    if word.startswith("--"):
        name = word[2:]
        options[name] = []
    else:
        options[name].append(word)
if operation.startswith(("describe-", "get-")):
    answer = json.loads(next(pathlib.Path("export").glob(f"{service}.{operation}.*json")).read_text())
    for key in options.get("query", []):
        answer = answer.get(key)
    print(json.dumps(answer))
else:
    for key, values in options.items():
        options[key] = [pathlib.Path(one[7:]).read_text() if one.startswith("file://") else one for one in values]
    with open("sent", "a") as sent:
        sent.write(json.dumps([service, operation, options]) + "\\n")
"""


def good():
    """The answers of a set-up without findings in which each setting has a value, by file name."""
    found = {}
    for name in (f"describe-user-pool.{POOL}", f"describe-user-pool-client.{POOL}.{CLIENT}"):
        found[f"cognito-idp.{name}"] = json.loads((RECORDED / f"planted/cognito-idp.{name}.json").read_text())
    pool = found[f"cognito-idp.describe-user-pool.{POOL}"]["UserPool"]
    pool["LambdaConfig"] = {"PostConfirmation": OTHER, "CustomMessage": OTHER}
    pool["EmailConfiguration"] |= {"From": "no-reply@example.com", "ConfigurationSet": "main"}
    pool["SmsConfiguration"] = {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "x"}
    pool["Policies"]["PasswordPolicy"] |= {"RequireSymbols": True, "PasswordHistorySize": 5}
    pool["UserPoolAddOns"]["AdvancedSecurityAdditionalFlows"] = {"CustomAuthMode": "ENFORCED"}
    pool["DeviceConfiguration"] = {"ChallengeRequiredOnNewDevice": True, "DeviceOnlyRememberedOnUserPrompt": True}
    pool["UserPoolTags"] = {"team": "identity"}
    client = found[f"cognito-idp.describe-user-pool-client.{POOL}.{CLIENT}"]["UserPoolClient"]
    client |= {"ReadAttributes": ["email"], "LogoutURLs": ["https://app.example.com/bye"]}
    client |= {"DefaultRedirectURI": "https://app.example.com/cb", "EnablePropagateAdditionalUserContextData": True}
    found[f"cognito-idp.get-user-pool-mfa-config.{POOL}"] = {
        "MfaConfiguration": "ON",
        "SmsMfaConfiguration": {"SmsAuthenticationMessage": "{####}", "SmsConfiguration": pool["SmsConfiguration"]},
        "SoftwareTokenMfaConfiguration": {"Enabled": True},
        "EmailMfaConfiguration": {"Message": "{####}", "Subject": "Code"},
        "WebAuthnConfiguration": {"RelyingPartyId": "example.com", "UserVerification": "required"},
    }
    block = {"Notify": True, "EventAction": "BLOCK"}
    found[f"cognito-idp.describe-risk-configuration.{POOL}"] = {
        "RiskConfiguration": {
            "UserPoolId": POOL,
            "CompromisedCredentialsRiskConfiguration": {
                "EventFilter": ["SIGN_IN"],
                "Actions": {"EventAction": "BLOCK"},
            },
            "AccountTakeoverRiskConfiguration": {
                "NotifyConfiguration": {"SourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com"},
                "Actions": {"LowAction": block | {"EventAction": "NO_ACTION"}, "HighAction": block},
            },
            "RiskExceptionConfiguration": {
                "BlockedIPRangeList": ["198.51.100.0/24"],
                "SkippedIPRangeList": ["192.0.2.0/24"],
            },
            "LastModifiedDate": "2026-03-01T10:00:00+00:00",
        }
    }
    found[f"cognito-idp.list-user-pool-clients.{POOL}"] = {"UserPoolClients": [{"ClientId": CLIENT}]}
    found[f"cognito-idp.list-identity-providers.{POOL}"] = {"Providers": []}
    web_acl = f"wafv2.get-web-acl-for-resource.arn_aws_cognito-idp_us-east-1_123456789012_userpool_{POOL}"
    found[web_acl] = {"WebACL": {"Name": "main", "Id": "1", "ARN": "arn"}}
    for name in ("kept", "changed"):
        found |= function(name, statement("cognito-idp", ARN, "pool"))
    for name in ("authorizer", "authorizer.live"):
        source = "arn:aws:execute-api:us-east-1:123456789012:*/authorizers/*"
        found |= function(name, statement("apigateway", source, "other"))
    provider = {"ProviderName": f"cognito-idp.us-east-1.amazonaws.com/{POOL}", "ServerSideTokenCheck": True}
    found[f"cognito-identity.describe-identity-pool.{IDENTITY_POOL.replace(':', '_')}"] = {
        "IdentityPoolId": IDENTITY_POOL,
        "IdentityPoolName": "good",
        "AllowUnauthenticatedIdentities": False,
        "AllowClassicFlow": False,
        "SupportedLoginProviders": {"accounts.google.com": "id"},
        "CognitoIdentityProviders": [provider | {"ClientId": CLIENT}, provider | {"ClientId": "other"}],
        "IdentityPoolTags": {"team": "identity"},
    }
    found[f"cognito-identity.get-identity-pool-roles.{IDENTITY_POOL.replace(':', '_')}"] = {"Roles": {}}
    tags = f"cognito-identity.get-principal-tag-attribute-map.{IDENTITY_POOL.replace(':', '_')}"
    found[f"{tags}.cognito-idp~2eus-east-1~2eamazonaws~2ecom_{POOL}"] = {"PrincipalTags": {}}
    return found | rest_api() | http_api()


def function(name, *statements):
    """The answers about a function, or about its alias `live`."""
    plain, _, alias = name.partition(".")
    return {
        f"lambda.get-function-configuration.{plain}": {"FunctionName": plain, "FunctionArn": FUNCTION + plain},
        f"lambda.get-policy.{name}": {"Policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})},
    }


def statement(service, arn, sid):
    """A permission as AddPermission writes it."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
    } | ({"Condition": {"ArnLike": {"AWS:SourceArn": arn}}} if arn else {})


def rest_api():
    settings = {"throttlingRateLimit": 100.0, "throttlingBurstLimit": 200, "loggingLevel": "INFO"}
    settings |= {"dataTraceEnabled": False, "cachingEnabled": False, "cacheTtlInSeconds": 300}
    header = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://app.example.com'"}
    method = {"authorizationType": "CUSTOM", "authorizerId": "auth01", "methodIntegration": {"type": "MOCK"}}
    return {
        "apigateway.get-rest-api.rest000001": {"id": "rest000001", "name": "good"},
        "apigateway.get-resources.rest000001": {
            "items": [{"id": "r1", "path": "/orders/{id}", "resourceMethods": {"GET": method, "OPTIONS": method}}]
        },
        "apigateway.get-authorizers.rest000001": {
            "items": [
                {
                    "id": "auth01",
                    "name": "main",
                    "type": "TOKEN",
                    "authorizerUri": f"{URI}authorizer:live/invocations",
                    "identitySource": "method.request.header.Authorization",
                    "identityValidationExpression": "^Bearer .+$",
                    "authorizerResultTtlInSeconds": 0,
                }
            ]
        },
        "apigateway.get-stages.rest000001": {
            "item": [
                {
                    "stageName": "prod",
                    "cacheClusterEnabled": True,
                    "methodSettings": {"*/*": dict(settings), "~1orders~1{id}/GET": dict(settings)},
                    "accessLogSettings": {"destinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:x"},
                }
            ]
        },
        "apigateway.get-gateway-responses.rest000001": {
            "items": [
                {"responseType": name, "responseParameters": dict(header), "defaultResponse": False}
                for name in ("UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_5XX")
            ]
        },
    }


def http_api():
    return {
        "apigatewayv2.get-api.http000001": {
            "ApiId": "http000001",
            "Name": "good",
            "ProtocolType": "HTTP",
            "CorsConfiguration": {
                "AllowOrigins": ["https://app.example.com"],
                "AllowCredentials": True,
                "AllowHeaders": ["authorization"],
                "MaxAge": 300,
            },
        },
        "apigatewayv2.get-routes.http000001": {
            "Items": [
                {
                    "RouteId": "route1",
                    "RouteKey": "GET /orders",
                    "AuthorizationType": "CUSTOM",
                    "AuthorizerId": "lam001",
                }
            ]
        },
        "apigatewayv2.get-authorizers.http000001": {
            "Items": [
                {
                    "AuthorizerId": "lam001",
                    "Name": "main",
                    "AuthorizerType": "REQUEST",
                    "AuthorizerUri": f"{URI}authorizer/invocations",
                    "AuthorizerResultTtlInSeconds": 0,
                    "EnableSimpleResponses": True,
                }
            ]
        },
        "apigatewayv2.get-stages.http000001": {
            "Items": [
                {
                    "StageName": "$default",
                    "AutoDeploy": True,
                    "DefaultRouteSettings": {"ThrottlingRateLimit": 50.0, "DetailedMetricsEnabled": True},
                    "RouteSettings": {},
                    "AccessLogSettings": {"DestinationArn": "arn:aws:logs:us-east-1:123456789012:log-group:x"},
                }
            ]
        },
    }


def at(path):
    """The file's name and the keys of `file: key/key`; numbers are positions in a list."""
    name, _, keys = path.partition(": ")
    return name, [int(key) if key.isdigit() else key.replace("|", "/") for key in keys.split("/")]


def planted(files, path, value):
    """Sets a member of the answer whose file's name begins with the path's."""
    name, keys = at(path)
    where = next(answer for file, answer in files.items() if file.startswith(name + ".") or file == name)
    for key in keys[:-1]:
        where = where[key]
    if value is None:
        where.pop(keys[-1])
    else:
        where[keys[-1]] = value


def differences(one, other, path=""):
    """The paths of members that differ, in the form of `at`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from differences(one.get(key), other.get(key), f"{path}/{str(key).replace('/', '|')}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and dict in map(type, one):
        for number, pair in enumerate(zip(one, other)):
            yield from differences(*pair, f"{path}/{number}")
    elif one != other:
        yield path.removeprefix("/")


class Account:
    """Applies what commands send to the answers, as AWS documents each operation."""

    def __init__(self, files):
        self.files = files

    def apply(self, service, operation, options):
        body = json.loads(options["cli-input-json"][0]) if "cli-input-json" in options else None
        if body is not None:
            if "user-pool-id" in options:
                # An option replaces the member of the JSON.
                body["UserPoolId"] = options["user-pool-id"][0]
            validated(service, operation, body)
        getattr(self, operation.replace("-", "_"))(body, options)

    def _answer(self, name):
        return next(answer for file, answer in self.files.items() if file.startswith(name + ".") or file == name)

    # UpdateUserPool and its like reset what a request omits.
    def update_user_pool(self, body, _):
        answer = self._answer("cognito-idp.describe-user-pool")
        kept = {name: value for name, value in answer["UserPool"].items() if name in mend.POOL_READ_ONLY}
        both = (body.get("AdminCreateUserConfig") or {}).get("UnusedAccountValidityDays") and (
            body["Policies"]["PasswordPolicy"].get("TemporaryPasswordValidityDays")
        )
        if both:
            raise ValueError("Use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays")
        days = body["Policies"]["PasswordPolicy"].get("TemporaryPasswordValidityDays")
        if days and "UnusedAccountValidityDays" in answer["UserPool"]["AdminCreateUserConfig"]:
            # The old name of the same setting.
            body["AdminCreateUserConfig"]["UnusedAccountValidityDays"] = days
        name = body.pop("PoolName")
        del body["UserPoolId"]
        answer["UserPool"] = kept | body | {"Name": name}

    def update_user_pool_client(self, body, _):
        answer = self._answer("cognito-idp.describe-user-pool-client")
        read_only = {name: answer["UserPoolClient"][name] for name in mend.CLIENT_READ_ONLY}
        answer["UserPoolClient"] = read_only | body

    def set_user_pool_mfa_config(self, body, _):
        del body["UserPoolId"]
        answer = self._answer("cognito-idp.get-user-pool-mfa-config")
        answer.clear()
        answer.update(body)
        self._answer("cognito-idp.describe-user-pool")["UserPool"]["MfaConfiguration"] = body["MfaConfiguration"]

    def set_risk_configuration(self, body, _):
        answer = self._answer("cognito-idp.describe-risk-configuration")
        answer["RiskConfiguration"] = body | {"LastModifiedDate": answer["RiskConfiguration"]["LastModifiedDate"]}

    def update_identity_pool(self, body, _):
        answer = self._answer("cognito-identity.describe-identity-pool")
        answer.clear()
        answer.update(body)

    def _policy(self, options):
        name, _, alias = options["function-name"][0].partition(":")
        return self.files[".".join(filter(None, ("lambda.get-policy", name, alias)))]

    def add_permission(self, _, options):
        answer = self._policy(options)
        policy = json.loads(answer["Policy"])
        service = options["principal"][0].removesuffix(".amazonaws.com")
        made = statement(service, options["source-arn"][0], options["statement-id"][0])
        if made["Sid"] in [one["Sid"] for one in policy["Statement"]]:
            raise ValueError("ResourceConflictException")
        policy["Statement"].append(made)
        answer["Policy"] = json.dumps(policy)

    def remove_permission(self, _, options):
        answer = self._policy(options)
        policy = json.loads(answer["Policy"])
        policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != options["statement-id"][0]]
        answer["Policy"] = json.dumps(policy)

    def create_deployment(self, *_):
        pass

    def update_authorizer(self, _, options):
        if "rest-api-id" in options:
            answer = self._answer("apigateway.get-authorizers")["items"][0]
            for patch in patches(options):
                answer[patch["path"].removeprefix("/")] = int(patch["value"])
        else:
            answer = self._answer("apigatewayv2.get-authorizers")["Items"][0]
            answer["AuthorizerResultTtlInSeconds"] = int(options["authorizer-result-ttl-in-seconds"][0])

    def update_stage(self, _, options):
        if "rest-api-id" not in options:
            answer = self._answer("apigatewayv2.get-stages")["Items"][0]
            answer["DefaultRouteSettings"] = json.loads(options["default-route-settings"][0])
            if "route-settings" in options:
                answer["RouteSettings"] |= json.loads(options["route-settings"][0])
            return
        settings = self._answer("apigateway.get-stages")["item"][0]["methodSettings"]
        names = {"throttling/rateLimit": "throttlingRateLimit", "throttling/burstLimit": "throttlingBurstLimit"}
        names |= {"logging/dataTrace": "dataTraceEnabled", "caching/enabled": "cachingEnabled"}
        for patch in patches(options):
            path, verb, setting = patch["path"].removeprefix("/").split("/", 2)
            settings.setdefault(f"{path}/{verb}", {})[names[setting]] = json.loads(patch["value"])

    def put_gateway_response(self, _, options):
        items = self._answer("apigateway.get-gateway-responses")["items"]
        items[:] = [one for one in items if one["responseType"] != options["response-type"][0]]
        parameters = json.loads(options["response-parameters"][0])
        items.append({"responseType": options["response-type"][0], "responseParameters": parameters})

    def update_gateway_response(self, _, options):
        items = self._answer("apigateway.get-gateway-responses")["items"]
        one = next(one for one in items if one["responseType"] == options["response-type"][0])
        for patch in patches(options):
            one.setdefault("responseParameters", {})[patch["path"].rpartition("/")[2]] = patch["value"]

    def update_api(self, _, options):
        answer = self._answer("apigatewayv2.get-api")
        answer["CorsConfiguration"] = json.loads(options["cors-configuration"][0])


def patches(options):
    """The patch operations of a command, which are JSON or `op=..,path=..,value=..` each."""
    words = options["patch-operations"]
    if words[0].startswith("["):
        return json.loads(words[0])
    return [dict(part.split("=", 1) for part in word.split(",")) for word in words]


def validated(service, operation, body):
    """Fails if the request is not one of the operation."""
    found = botocore.session.get_session().get_service_model(service)
    name = next(one for one in found.operation_names if one.lower() == operation.replace("-", ""))
    errors = ParamValidator().validate(body, found.operation_model(name).input_shape)
    if errors.has_errors():
        raise ValueError(errors.generate_report())


USER_POOL = "cognito-idp.describe-user-pool"
APP = "cognito-idp.describe-user-pool-client"
MFA = "cognito-idp.get-user-pool-mfa-config"
RISK = "cognito-idp.describe-risk-configuration"
IDENTITY = "cognito-identity.describe-identity-pool"
STAGES = "apigateway.get-stages"
STAGES_2 = "apigatewayv2.get-stages"
RESPONSES = "apigateway.get-gateway-responses"
RECOVERY = {"Name": "verified_phone_number", "Priority": 1}
SETTINGS = f"{STAGES}: item/0/methodSettings"
UPDATES = f"{USER_POOL}: UserPool/UserAttributeUpdateSettings/AttributesRequireVerificationBeforeUpdate"
HEADER = "responseParameters/gatewayresponse.header.Access-Control-Allow-Origin"

# Each row: the check, what is planted, the members that its command may change with their values afterwards. `None`
# removes a member, or says that only the change matters.
ROWS = (
    ("pool-mfa", {f"{MFA}: MfaConfiguration": "OFF"}, {f"{MFA}: MfaConfiguration": "OPTIONAL"}),
    (
        "pool-mfa",
        {f"{MFA}: MfaConfiguration": "OFF", f"{MFA}: SoftwareTokenMfaConfiguration": {"Enabled": False}},
        {f"{MFA}: MfaConfiguration": "OPTIONAL", f"{MFA}: SoftwareTokenMfaConfiguration/Enabled": True},
    ),
    ("pool-mfa", {f"{MFA}: MfaConfiguration": "OPTIONAL"}, {f"{MFA}: MfaConfiguration": "ON"}),
    *(
        (
            "pool-mfa-by-sms",
            {
                f"{MFA}: MfaConfiguration": mode,
                f"{MFA}: SoftwareTokenMfaConfiguration": {"Enabled": False},
                f"{MFA}: EmailMfaConfiguration": None,
                f"{MFA}: WebAuthnConfiguration": None,
            },
            {f"{MFA}: SoftwareTokenMfaConfiguration/Enabled": True},
        )
        for mode in ("ON", "OPTIONAL")
    ),
    (
        "pool-password-length",
        {f"{USER_POOL}: UserPool/Policies/PasswordPolicy/MinimumLength": 8},
        {f"{USER_POOL}: UserPool/Policies/PasswordPolicy/MinimumLength": 15},
    ),
    (
        # A pool that has the days of an invitation under the old name alone keeps them.
        "pool-password-length",
        {
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/MinimumLength": 8,
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/TemporaryPasswordValidityDays": None,
        },
        {f"{USER_POOL}: UserPool/Policies/PasswordPolicy/MinimumLength": 15},
    ),
    (
        "pool-temporary-password",
        {
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/TemporaryPasswordValidityDays": 30,
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/UnusedAccountValidityDays": 30,
        },
        {
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/TemporaryPasswordValidityDays": 1,
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/UnusedAccountValidityDays": 1,
        },
    ),
    (
        "pool-temporary-password",
        {
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/TemporaryPasswordValidityDays": None,
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/UnusedAccountValidityDays": 30,
        },
        {
            f"{USER_POOL}: UserPool/Policies/PasswordPolicy/TemporaryPasswordValidityDays": 1,
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/UnusedAccountValidityDays": 1,
        },
    ),
    (
        "pool-sign-up-open",
        {f"{USER_POOL}: UserPool/AdminCreateUserConfig/AllowAdminCreateUserOnly": False},
        {f"{USER_POOL}: UserPool/AdminCreateUserConfig/AllowAdminCreateUserOnly": True},
    ),
    (
        "pool-unverified-sign-in",
        {
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/AllowAdminCreateUserOnly": False,
            f"{USER_POOL}: UserPool/AutoVerifiedAttributes": ["phone_number"],
        },
        {f"{USER_POOL}: UserPool/AutoVerifiedAttributes": ["email", "phone_number"]},
    ),
    (
        "pool-unverified-sign-in",
        {
            f"{USER_POOL}: UserPool/AdminCreateUserConfig/AllowAdminCreateUserOnly": False,
            f"{USER_POOL}: UserPool/UsernameAttributes": ["phone_number"],
        },
        {f"{USER_POOL}: UserPool/AutoVerifiedAttributes": ["email", "phone_number"]},
    ),
    ("pool-update-unverified", {UPDATES: ["phone_number"]}, {UPDATES: ["email", "phone_number"]}),
    (
        "pool-update-unverified",
        {
            f"{USER_POOL}: UserPool/UsernameAttributes": ["email", "phone_number"],
            f"{APP}: UserPoolClient/WriteAttributes": ["phone_number"],
        },
        {UPDATES: ["email", "phone_number"]},
    ),
    (
        "pool-recovery-by-phone",
        {f"{USER_POOL}: UserPool/AccountRecoverySetting/RecoveryMechanisms": [RECOVERY]},
        {f"{USER_POOL}: UserPool/AccountRecoverySetting/RecoveryMechanisms/0/Name": "verified_email"},
    ),
    (
        "pool-deletion-protection",
        {f"{USER_POOL}: UserPool/DeletionProtection": "INACTIVE"},
        {f"{USER_POOL}: UserPool/DeletionProtection": "ACTIVE"},
    ),
    (
        "pool-threat-protection",
        {f"{USER_POOL}: UserPool/UserPoolAddOns/AdvancedSecurityMode": "AUDIT"},
        {f"{USER_POOL}: UserPool/UserPoolAddOns/AdvancedSecurityMode": "ENFORCED"},
    ),
    (
        "pool-stolen-passwords",
        {f"{RISK}: RiskConfiguration/CompromisedCredentialsRiskConfiguration/Actions/EventAction": "NO_ACTION"},
        {f"{RISK}: RiskConfiguration/CompromisedCredentialsRiskConfiguration/Actions/EventAction": "BLOCK"},
    ),
    (
        "pool-stolen-passwords",
        {f"{RISK}: RiskConfiguration/CompromisedCredentialsRiskConfiguration/EventFilter": ["SIGN_UP"]},
        {f"{RISK}: RiskConfiguration/CompromisedCredentialsRiskConfiguration/EventFilter": ["SIGN_IN", "SIGN_UP"]},
    ),
    (
        "pool-risky-sign-ins",
        {f"{RISK}: RiskConfiguration/AccountTakeoverRiskConfiguration/Actions/HighAction/EventAction": "NO_ACTION"},
        {f"{RISK}: RiskConfiguration/AccountTakeoverRiskConfiguration/Actions/HighAction/EventAction": "BLOCK"},
    ),
    *(
        # A pool that threat protection watches with its defaults.
        (check, {f"{RISK}: RiskConfiguration/{part}": None}, {f"{RISK}: RiskConfiguration/{part}": None})
        for check, part in (
            ("pool-stolen-passwords", "CompromisedCredentialsRiskConfiguration"),
            ("pool-risky-sign-ins", "AccountTakeoverRiskConfiguration"),
        )
    ),
    (
        "pool-risk-exceptions",
        {f"{RISK}: RiskConfiguration/RiskExceptionConfiguration/SkippedIPRangeList": ["0.0.0.0/0", "192.0.2.0/24"]},
        {f"{RISK}: RiskConfiguration/RiskExceptionConfiguration/SkippedIPRangeList": ["192.0.2.0/24"]},
    ),
    (
        "pool-email-default",
        {f"{USER_POOL}: UserPool/EmailConfiguration/EmailSendingAccount": "COGNITO_DEFAULT"},
        {
            f"{USER_POOL}: UserPool/EmailConfiguration/EmailSendingAccount": "DEVELOPER",
            f"{USER_POOL}: UserPool/EmailConfiguration/SourceArn": "filled-in-by-the-operator",
        },
    ),
    (
        "pool-sms-external-id",
        {f"{USER_POOL}: UserPool/SmsConfiguration/ExternalId": None},
        {f"{USER_POOL}: UserPool/SmsConfiguration/ExternalId": "filled-in-by-the-operator"},
    ),
    (
        "pool-devices-skip-mfa",
        {f"{USER_POOL}: UserPool/DeviceConfiguration/DeviceOnlyRememberedOnUserPrompt": False},
        {f"{USER_POOL}: UserPool/DeviceConfiguration/DeviceOnlyRememberedOnUserPrompt": True},
    ),
    (
        "pool-trigger-missing",
        {f"{USER_POOL}: UserPool/LambdaConfig/PreSignUp": f"{FUNCTION}gone"},
        {f"{USER_POOL}: UserPool/LambdaConfig/PreSignUp": None},
    ),
    (
        "pool-trigger-missing",
        {
            f"{USER_POOL}: UserPool/LambdaConfig/PreTokenGeneration": f"{FUNCTION}gone",
            f"{USER_POOL}: UserPool/LambdaConfig/PreTokenGenerationConfig": {
                "LambdaArn": f"{FUNCTION}gone",
                "LambdaVersion": "V2_0",
            },
        },
        {
            f"{USER_POOL}: UserPool/LambdaConfig/PreTokenGeneration": None,
            f"{USER_POOL}: UserPool/LambdaConfig/PreTokenGenerationConfig": None,
        },
    ),
    (
        "pool-trigger-forbidden",
        {f"{USER_POOL}: UserPool/LambdaConfig/PreSignUp": f"{FUNCTION}authorizer:live"},
        {"lambda.get-policy.authorizer.live: Policy": None},
    ),
    (
        "pool-trigger-any-pool",
        {
            f"{USER_POOL}: UserPool/LambdaConfig/PreSignUp": f"{FUNCTION}changed",
            "lambda.get-policy.changed: Policy": json.dumps({"Statement": [statement("cognito-idp", "", "wide")]}),
        },
        {"lambda.get-policy.changed: Policy": None},
    ),
    (
        "client-access-lifetime",
        {f"{APP}: UserPoolClient/AccessTokenValidity": 90},
        {f"{APP}: UserPoolClient/AccessTokenValidity": 30},
    ),
    (
        "client-id-lifetime",
        {f"{APP}: UserPoolClient/IdTokenValidity": 90},
        {f"{APP}: UserPoolClient/IdTokenValidity": 30},
    ),
    (
        "client-refresh-lifetime",
        {f"{APP}: UserPoolClient/RefreshTokenValidity": 90},
        {f"{APP}: UserPoolClient/RefreshTokenValidity": 8},
    ),
    (
        "client-token-revocation",
        {f"{APP}: UserPoolClient/EnableTokenRevocation": False},
        {f"{APP}: UserPoolClient/EnableTokenRevocation": True},
    ),
    (
        "client-user-existence",
        {f"{APP}: UserPoolClient/PreventUserExistenceErrors": "LEGACY"},
        {f"{APP}: UserPoolClient/PreventUserExistenceErrors": "ENABLED"},
    ),
    (
        "client-writes-trusted",
        {f"{APP}: UserPoolClient/WriteAttributes": ["custom:role", "email"]},
        {f"{APP}: UserPoolClient/WriteAttributes": ["email"]},
    ),
    (
        # For Cognito an empty list is every standard attribute.
        "client-writes-trusted",
        {f"{APP}: UserPoolClient/WriteAttributes": ["custom:role"]},
        {f"{APP}: UserPoolClient/WriteAttributes": ["locale"]},
    ),
    (
        "client-writes-trusted",
        {f"{APP}: UserPoolClient/WriteAttributes": None},
        {f"{APP}: UserPoolClient/WriteAttributes": [one for one in STANDARD_ATTRIBUTES if one != "nickname"]},
    ),
    (
        "client-writes-everything",
        {f"{APP}: UserPoolClient/WriteAttributes": None},
        {f"{APP}: UserPoolClient/WriteAttributes": ["email", "name"]},
    ),
    (
        "client-implicit-grant",
        {f"{APP}: UserPoolClient/AllowedOAuthFlows": ["implicit"]},
        {f"{APP}: UserPoolClient/AllowedOAuthFlows": ["code"]},
    ),
    (
        "client-callback-local",
        {
            f"{APP}: UserPoolClient/CallbackURLs": ["http://LOCALHOST:3000", "https://a.example/?to=//localhost"],
            f"{APP}: UserPoolClient/LogoutURLs": ["http://[::1]/bye", "https://a.example/bye"],
            f"{APP}: UserPoolClient/DefaultRedirectURI": "http://LOCALHOST:3000",
        },
        {
            f"{APP}: UserPoolClient/CallbackURLs": ["https://a.example/?to=//localhost"],
            f"{APP}: UserPoolClient/LogoutURLs": ["https://a.example/bye"],
            f"{APP}: UserPoolClient/DefaultRedirectURI": None,
        },
    ),
    *(
        (
            check,
            {
                f"{APP}: UserPoolClient/CallbackURLs": [url, "https://a.example/cb"],
                f"{APP}: UserPoolClient/DefaultRedirectURI": url,
            },
            {
                f"{APP}: UserPoolClient/CallbackURLs": sorted([other, "https://a.example/cb"]),
                f"{APP}: UserPoolClient/DefaultRedirectURI": other,
            },
        )
        for check, url, other in (
            ("client-callback-http", "HTTP://a.example/it's", "https://a.example/it's"),
            ("client-callback-wildcard", "https://*.example/cb", "https://exact.example/cb"),
            ("client-callback-scheme", "app://cb", "https://exact.example/cb"),
        )
    ),
    (
        "client-callback-foreign",
        {f"{APP}: UserPoolClient/CallbackURLs": ["https://demo.other/cb", "https://app.example.com/cb"]},
        {f"{APP}: UserPoolClient/CallbackURLs": ["https://app.example.com/cb"]},
    ),
    (
        "client-callback-http",
        {f"{APP}: UserPoolClient/LogoutURLs": ["http://a.example/bye", "https://a.example/bye"]},
        {f"{APP}: UserPoolClient/LogoutURLs": ["https://a.example/bye"]},
    ),
    (
        "client-callback-local",
        {
            f"{APP}: UserPoolClient/CallbackURLs": ["http://127.0.0.1/cb", "https://app.example.com/cb"],
            f"{APP}: UserPoolClient/LogoutURLs": None,
        },
        {f"{APP}: UserPoolClient/CallbackURLs": ["https://app.example.com/cb"]},
    ),
    (
        "client-legacy-flows",
        {f"{APP}: UserPoolClient/ExplicitAuthFlows": ["CUSTOM_AUTH_FLOW_ONLY"]},
        {f"{APP}: UserPoolClient/ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]},
    ),
    (
        "client-legacy-flows",
        {f"{APP}: UserPoolClient/ExplicitAuthFlows": ["ADMIN_NO_SRP_AUTH", "USER_PASSWORD_AUTH"]},
        {
            f"{APP}: UserPoolClient/ExplicitAuthFlows": [
                "ALLOW_ADMIN_USER_PASSWORD_AUTH",
                "ALLOW_CUSTOM_AUTH",
                "ALLOW_REFRESH_TOKEN_AUTH",
                "ALLOW_USER_PASSWORD_AUTH",
                "ALLOW_USER_SRP_AUTH",
            ]
        },
    ),
    (
        "client-self-service-scope",
        {f"{APP}: UserPoolClient/AllowedOAuthScopes": ["openid", "aws.cognito.signin.user.admin"]},
        {f"{APP}: UserPoolClient/AllowedOAuthScopes": ["openid"]},
    ),
    (
        "client-machine-signs-users-in",
        {f"{APP}: UserPoolClient/AllowedOAuthFlows": ["client_credentials"]},
        {f"{APP}: UserPoolClient/ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"]},
    ),
    (
        "identity-guest-access",
        {f"{IDENTITY}: AllowUnauthenticatedIdentities": True},
        {f"{IDENTITY}: AllowUnauthenticatedIdentities": False},
    ),
    ("identity-classic-flow", {f"{IDENTITY}: AllowClassicFlow": True}, {f"{IDENTITY}: AllowClassicFlow": False}),
    (
        "identity-token-check",
        {f"{IDENTITY}: CognitoIdentityProviders/1/ServerSideTokenCheck": False},
        {f"{IDENTITY}: CognitoIdentityProviders/1/ServerSideTokenCheck": True},
    ),
    (
        "api-authorizer-ttl",
        {"apigateway.get-authorizers: items/0/authorizerResultTtlInSeconds": 600},
        {"apigateway.get-authorizers: items/0/authorizerResultTtlInSeconds": 0},
    ),
    (
        "api-authorizer-ttl",
        {"apigatewayv2.get-authorizers: Items/0/AuthorizerResultTtlInSeconds": 600},
        {"apigatewayv2.get-authorizers: Items/0/AuthorizerResultTtlInSeconds": 0},
    ),
    (
        # The permission of an alias is another than that of the function.
        "api-authorizer-forbidden",
        {"lambda.get-policy.authorizer.live: Policy": json.dumps({"Statement": []})},
        {"lambda.get-policy.authorizer.live: Policy": None},
    ),
    (
        "api-no-throttle",
        {f"{SETTINGS}/*|*/throttlingRateLimit": -1.0, f"{SETTINGS}/*|*/throttlingBurstLimit": -1},
        {f"{SETTINGS}/*|*/throttlingRateLimit": 100, f"{SETTINGS}/*|*/throttlingBurstLimit": 200},
    ),
    (
        "api-no-throttle",
        {f"{STAGES_2}: Items/0/DefaultRouteSettings/ThrottlingRateLimit": 20000.0},
        {
            f"{STAGES_2}: Items/0/DefaultRouteSettings/ThrottlingRateLimit": 100,
            f"{STAGES_2}: Items/0/DefaultRouteSettings/ThrottlingBurstLimit": 200,
        },
    ),
    *(
        (
            check,
            {f"{SETTINGS}/{method}/{setting}": True},
            {f"{SETTINGS}/{method}/{setting}": False},
        )
        for check, setting in (("api-logs-bodies", "dataTraceEnabled"), ("api-caches-responses", "cachingEnabled"))
        for method in ("*|*", "~1orders~1{id}|GET")
    ),
    (
        "api-logs-bodies",
        {
            f"{STAGES_2}: Items/0/DefaultRouteSettings/DataTraceEnabled": True,
            f"{STAGES_2}: Items/0/RouteSettings": {"GET /orders": {"DataTraceEnabled": True, "LoggingLevel": "INFO"}},
        },
        {
            f"{STAGES_2}: Items/0/DefaultRouteSettings/DataTraceEnabled": False,
            f"{STAGES_2}: Items/0/RouteSettings/GET |orders/DataTraceEnabled": False,
        },
    ),
    (
        "api-cors-credentials",
        {"apigatewayv2.get-api: CorsConfiguration/AllowOrigins": ["*"]},
        {"apigatewayv2.get-api: CorsConfiguration/AllowOrigins": ["filled-in-by-the-operator"]},
    ),
    (
        "api-gateway-responses",
        {
            f"{RESPONSES}: items/2/responseParameters": {"gatewayresponse.header.X-Other": "'kept'"},
            f"{RESPONSES}: items/2/responseTemplates": {"application/json": "{}"},
        },
        {f"{RESPONSES}: items/2/{HEADER}": "'filled-in-by-the-operator'"},
    ),
    (
        # Responses for 401 and 403 of their own would hide the API's template for every 4xx.
        "api-gateway-responses",
        {
            f"{RESPONSES}: items": [
                {"responseType": "DEFAULT_4XX", "responseTemplates": {"application/json": "{}"}},
                {"responseType": "UNAUTHORIZED", "defaultResponse": True},
                {"responseType": "DEFAULT_5XX", "responseParameters": {HEADER.partition("/")[2]: "'*'"}},
            ]
        },
        {f"{RESPONSES}: items/0/responseParameters": None},
    ),
)
# What rows may change beside: SetUserPoolMfaConfig is a setting of the pool too.
BESIDE = f"{USER_POOL}: UserPool/MfaConfiguration"


class Effects(unittest.TestCase):
    def test_the_set_up_has_no_finding_of_these_checks(self):
        with tempfile.TemporaryDirectory() as folder:
            found = {one["check"] for one in findings(pathlib.Path(folder), good())}
        self.assertEqual(found & {check for check, _, _ in ROWS}, set())

    def test_a_command_mends_its_fault_and_changes_nothing_else(self):
        for check, plant, expected in ROWS:
            with self.subTest(check=check, planted=plant), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                files = good()
                for path, value in plant.items():
                    planted(files, path, copy.deepcopy(value))
                before, others = copy.deepcopy(files), findings(folder, files)
                commands = {one["mend"] for one in others if one["check"] == check}
                self.assertEqual(len(commands), 1, commands)
                (command,) = commands
                account = Account(files)
                for call in sent(folder, filled(command)):
                    account.apply(*call)
                changed = {
                    f"{short(file)}: {path}"
                    for file, answer in files.items()
                    for path in differences(before[file], answer)
                }
                self.assertEqual(changed - {BESIDE}, set(expected), command)
                for path, value in expected.items():
                    if value is not None:
                        self.assertEqual(value_at(files, path), value)
                after = findings(folder, files)
                left = {one["check"] for one in after if one["severity"] != "info"}
                self.assertNotIn(check, left)
                self.assertEqual({one["check"] for one in after} - {one["check"] for one in others}, set())

    def test_of_two_faults_a_command_mends_its_own(self):
        with tempfile.TemporaryDirectory() as name:
            folder, files = pathlib.Path(name), good()
            for number in (0, 1):
                planted(files, f"{IDENTITY}: CognitoIdentityProviders/{number}/ServerSideTokenCheck", False)
            found = [one for one in findings(folder, files) if one["check"] == "identity-token-check"]
            self.assertEqual(len(found), 2)
            account = Account(files)
            for call in sent(folder, next(one["mend"] for one in found if one["resource"].endswith("other"))):
                account.apply(*call)
        providers = value_at(files, f"{IDENTITY}: CognitoIdentityProviders")
        self.assertEqual([one["ServerSideTokenCheck"] for one in providers], [False, True])

    def test_the_commands_of_findings_exist(self):
        """A finding's command may be another than its check's."""
        session, (_, report) = botocore.session.get_session(), audit(RECORDED / "planted")
        own = [apis.UPDATE_STAGE, *apis.PROTECT.values(), apis.PUT_RESPONSE, apis.UPDATE_RESPONSE]
        texts = [one["mend"] for one in report["findings"]] + [one.format_map(Names()) for one in own]
        for service, operation, options in (call for text in texts for call in commands(text)):
            found = session.get_service_model(service)
            names = {one.lower(): one for one in found.operation_names}
            shape = found.operation_model(names[operation.replace("-", "")]).input_shape
            known = {dashed(one) for one in shape.members} | {"cli-input-json", "enabled", "query"}
            self.assertEqual(options - known, set(), operation)

    def test_every_command_that_runs_as_printed_has_a_row(self):
        """A command that sends something, and has no gap for the operator, is tried above."""
        _, report = audit(RECORDED / "planted")
        reading = re.compile(r"^aws \S+ (get|list|describe|detect|start)-")
        tried = {check for check, _, _ in ROWS}
        for finding in report["findings"]:
            text = finding["mend"]
            for definition in mend.FUNCTIONS.values():
                text = text.removeprefix(definition).lstrip()
            if text.startswith(("aws ", "change_")) and not reading.match(text) and "<" not in text:
                self.assertIn(finding["check"], tried | UNTRIED, text)


# Commands that create or delete the resource itself, or have one option for one setting of the stack's resources.
UNTRIED = {
    "api-second-stage",
    "client-secret-missing",
    "entry-cloudfront-bypass",
    "entry-function-url",
    "federation-provider-unused",
    "system-dead-letters",
    "system-event-rule",
    "system-pitr",
    "system-queue",
    "system-sweep",
    "system-ttl",
}


def short(file):
    """A file's name without the identifiers that have one value in the set-up."""
    return file if file.startswith("lambda.") else ".".join(file.split(".")[:2])


def value_at(files, path):
    name, keys = at(path)
    found = next(answer for file, answer in files.items() if short(file) == name)
    return functools.reduce(lambda where, key: where[key], keys, found)


def findings(folder, files):
    """The findings on these answers."""
    export = folder / "export"
    shutil.rmtree(export, ignore_errors=True)
    export.mkdir()
    for name, answer in files.items():
        (export / f"{name}.json").write_text(json.dumps(answer))
    gone = {"Error": {"Code": "ResourceNotFoundException"}}
    (export / "lambda.get-function-configuration.gone.json").write_text(json.dumps(gone))
    _, report = audit(export, "--host", "example", "--host", "app.example.com", "--trusted", "nickname")
    return report["findings"]


def filled(command):
    """A command whose gaps the operator has filled."""
    command = re.sub('"<(exact|claimed https) address>"', '"https://exact.example/cb"', command)
    return re.sub(
        r"\[<[\w ]+>\]",
        '["filled-in-by-the-operator"]',
        re.sub(r"<(?:origin|stage|SES identity|id in [\w ]+)>", "filled-in-by-the-operator", command),
    )


def sent(folder, command):
    """Service, operation and options of each call that a command makes in a shell."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "aws").write_text(f"#!{sys.executable}\n{AWS}")
    (tools / "aws").chmod(0o755)
    path = stand_ins.path_with(tools, os.environ["PATH"])
    subprocess.run(["bash", "-euc", command], cwd=folder, env=os.environ | {"PATH": path}, check=True)
    return [json.loads(line) for line in (folder / "sent").read_text().splitlines()]


if __name__ == "__main__":
    unittest.main()
