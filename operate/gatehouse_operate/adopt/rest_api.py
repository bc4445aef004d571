"""REST APIs: authorizers, methods, deployments, stages. Nothing that a client sees changes before the stage does."""

from ..aws import or_none, pages, pages_or_none
from .common import Found, only, routes_watched

ABSENT = "NotFoundException"
AUTHORIZATION = ("authorizationType", "authorizerId", "authorizationScopes")


def routes(aws, api):
    """Every method of the API by `GET /path`, with its resource's id as `resourceId`."""
    found = {}
    client = aws.client("apigateway")
    for resource in pages(client, "get_resources", "items", restApiId=api, embed=["methods"]):
        for verb, method in (resource.get("resourceMethods") or {}).items():
            found[f"{verb} {resource['path']}"] = method | {"httpMethod": verb, "resourceId": resource["id"]}
    return found


def authorization(method):
    """The part of a method that a step changes."""
    scopes = sorted(method.get("authorizationScopes") or [])
    kind = method.get("authorizationType") or "NONE"
    return {"authorizationType": kind, "authorizerId": method.get("authorizerId"), "authorizationScopes": scopes}


def watched_rest_api(aws, target):
    """Fingerprints of the API's methods, without what the plan switches."""
    return routes_watched(routes(aws, target["api"]), target["routes"], AUTHORIZATION)


class Authorizer:
    """A Lambda authorizer, found by its name, which API Gateway keeps unique in a REST API."""

    @staticmethod
    def read(aws, step):
        name, api = step["after"]["name"], step["target"]["api"]
        entries = pages_or_none(aws.client("apigateway"), "get_authorizers", "items", restApiId=api)
        found = only([one for one in entries if one["name"] == name], f"{api}: authorizer {name}")
        if not found:
            return Found(None)
        return Found({key: found.get(key) for key in step["after"]}, found["id"])

    @staticmethod
    def write(aws, step, now, wanted):
        client, api = aws.client("apigateway"), {"restApiId": step["target"]["api"]}
        if wanted is None:
            client.delete_authorizer(**api, authorizerId=now.id)
        else:
            client.create_authorizer(**api, **wanted)

    @staticmethod
    def used_by(aws, step, authorizer):
        """The ids that steps would have which switch the methods with this authorizer."""
        api = step["target"]["api"]
        used = [name for name, one in routes(aws, api).items() if one.get("authorizerId") == authorizer]
        return [f"rest:{api}:{name}" for name in used]


class Method:
    """The authorization of a method."""

    @staticmethod
    def read(aws, step):
        method = or_none(aws.client("apigateway").get_method, ABSENT, **Method.names(step))
        return Found(authorization(method) if method else None)

    @staticmethod
    def write(aws, step, now, wanted):
        path = "/authorizationScopes"
        old, new = set(now.state["authorizationScopes"]), set(wanted["authorizationScopes"])
        # One call, so that the method has at no time the type of one authorizer and the id of another.
        changes = [{"op": "replace", "path": f"/{key}", "value": wanted[key]} for key in AUTHORIZATION[:2]]
        changes += [{"op": "remove", "path": path, "value": scope} for scope in sorted(old - new)]
        changes += [{"op": "add", "path": path, "value": scope} for scope in sorted(new - old)]
        aws.client("apigateway").update_method(**Method.names(step), patchOperations=changes)

    @staticmethod
    def names(step):
        target = step["target"]
        return {"restApiId": target["api"], "resourceId": target["resource"], "httpMethod": target["verb"]}


class Deployment:
    """A deployment without a stage, found by its description."""

    @staticmethod
    def read(aws, step):
        text, api = step["after"]["description"], step["target"]["api"]
        entries = pages_or_none(aws.client("apigateway"), "get_deployments", "items", restApiId=api)
        found = only([one for one in entries if one.get("description") == text], f"{api}: deployment {text!r}")
        return Found({"description": text}, found["id"]) if found else Found(None)

    @staticmethod
    def write(aws, step, now, wanted):
        client, api = aws.client("apigateway"), {"restApiId": step["target"]["api"]}
        if wanted is None:
            client.delete_deployment(**api, deploymentId=now.id)
        else:
            client.create_deployment(**api, description=wanted["description"])

    @staticmethod
    def used_by(aws, step, deployment):
        """The ids that steps would have which point the stages with this deployment to it."""
        api = step["target"]["api"]
        used = [one["stageName"] for one in stages(aws, api) if one.get("deploymentId") == deployment]
        return [f"rest:{api}:stage:{name}" for name in used]


class Stage:
    """The deployment that a stage serves."""

    @staticmethod
    def read(aws, step):
        stage = or_none(aws.client("apigateway").get_stage, ABSENT, **Stage.names(step))
        return Found({"deploymentId": stage["deploymentId"]} if stage else None)

    @staticmethod
    def write(aws, step, _, wanted):
        change = {"op": "replace", "path": "/deploymentId", "value": wanted["deploymentId"]}
        aws.client("apigateway").update_stage(**Stage.names(step), patchOperations=[change])

    @staticmethod
    def redeploy(aws, step, text):
        """Deploys the present methods to the stage."""
        aws.client("apigateway").create_deployment(**Stage.names(step), description=text)

    @staticmethod
    def names(step):
        return {"restApiId": step["target"]["api"], "stageName": step["target"]["stage"]}


def stages(aws, api):
    """The API's stages."""
    return aws.client("apigateway").get_stages(restApiId=api)["item"]
