"""Lambda functions: what a deployed authorizer accepts, and the permissions to invoke it."""

import json

from ..aws import or_none
from .common import Found, Refused, fingerprints

# The authorizer's variables that a plan depends on. No other variable is read into a plan.
READ = ("USER_POOL_ID", "APP_CLIENT_IDS", "TOKEN_USE", "TOKEN_SOURCES", "REQUIRE_SESSION", "HTTP_API_RESPONSE")
READ += ("REVOCATION_TABLE", "POLICIES_DIR", "REFRESH_TOKEN_TTL_SECONDS")


def variables(aws, arn):
    """The function's variables that a plan depends on."""
    configuration = aws.client("lambda").get_function_configuration(**named(arn))
    values = configuration.get("Environment", {}).get("Variables", {})
    return {name: values[name] for name in READ if name in values}


def watched_function(aws, target):
    """Fingerprints of the function's variables."""
    return fingerprints(variables(aws, target["function"]))


def named(arn):
    """A function's name and, if its ARN has one, its alias, as arguments of Lambda's calls."""
    parts = arn.split(":")
    qualifier = {"Qualifier": parts[7]} if len(parts) > 7 else {}
    return {"FunctionName": ":".join(parts[:7])} | qualifier


class Permission:
    """A statement of a function's policy: `principal` may invoke it for `source`."""

    @staticmethod
    def read(aws, step):
        found = statements(aws, step["target"]["function"]).get(step["target"]["statement"])
        return Found(state_of(found) if found else None)

    @staticmethod
    def is_granted_otherwise(aws, step):
        """Whether another statement of the function's policy grants the same."""
        found = statements(aws, step["target"]["function"])
        own = found.pop(step["target"]["statement"], None)
        return own is not None and state_of(own) in [state_of(one) for one in found.values()]

    @staticmethod
    def write(aws, step, _, wanted):
        target = step["target"]
        names = named(target["function"]) | {"StatementId": target["statement"]}
        if wanted is None:
            aws.client("lambda").remove_permission(**names)
        else:
            action = "lambda:InvokeFunction"
            grant = {"Principal": wanted["principal"], "SourceArn": wanted["source"]}
            aws.client("lambda").add_permission(**names, Action=action, **grant)


def statements(aws, function):
    """The statements of a function's policy by their ids."""
    response = or_none(aws.client("lambda").get_policy, "ResourceNotFoundException", **named(function))
    return {one.get("Sid"): one for one in json.loads(response["Policy"])["Statement"]} if response else {}


def state_of(statement):
    """A statement in the form of the step's state. One that grants more has a further member, and so differs."""
    condition = statement.get("Condition", {})
    source = (condition.get("ArnLike") or condition.get("ArnEquals") or {}).get("AWS:SourceArn")
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else principal
    state = {"principal": service, "source": source}
    if statement.get("Effect") != "Allow" or statement.get("Action") != "lambda:InvokeFunction":
        state["statement"] = statement
    return state


def invocation_uri(aws, arn):
    """The form in which API Gateway takes a function's ARN."""
    return f"arn:{aws.partition}:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}/invocations"


def require_same_region(aws, arn):
    if arn.split(":")[3] != aws.region:
        raise Refused(f"The authorizer is in {arn.split(':')[3]}, the APIs are in {aws.region}.")
