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
    def used_by(aws, step, authorizer, since, _):
        """The ids that steps would have which switch the methods with this authorizer, or stages that may serve it.

        A deployment does not show whose authorizer it has. Those that were made since may have this one."""
        api = step["target"]["api"]
        used = [name for name, one in routes(aws, api).items() if one.get("authorizerId") == authorizer]
        found = [f"rest:{api}:{name}" for name in used]
        for name, deployment in served(aws, api):
            names = {"restApiId": api, "deploymentId": deployment}
            one = or_none(aws.client("apigateway").get_deployment, ABSENT, **names, embed=["apisummary"])
            if one and one.get("createdDate", since) >= since and has_lambda_authorizer(one):
                found.append(f"rest:{api}:stage:{name}")
        return found


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
    def used_by(aws, step, deployment, *_):
        """The ids that steps would have which point the stages with this deployment to it."""
        api = step["target"]["api"]
        return [f"rest:{api}:stage:{name}" for name, one in served(aws, api) if one == deployment]


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
        """Deploys the present methods to the stage, and returns the deployment's id."""
        return aws.client("apigateway").create_deployment(**Stage.names(step), description=text)["id"]

    @staticmethod
    def names(step):
        return {"restApiId": step["target"]["api"], "stageName": step["target"]["stage"]}


def stages(aws, api):
    """The API's stages."""
    return aws.client("apigateway").get_stages(restApiId=api)["item"]


def served(aws, api):
    """The deployments that stages serve: pairs of a stage's name and an id. A canary is no part of the stage's step."""
    found = []
    for stage in stages(aws, api):
        canary = stage.get("canarySettings") or {}
        found += [
            (stage["stageName"], stage.get("deploymentId")),
            (f"{stage['stageName']} canary", canary.get("deploymentId")),
        ]
    return [(name, deployment) for name, deployment in found if deployment]


def has_lambda_authorizer(deployment):
    """Whether a method of a deployment has one. True if the deployment has no summary."""
    summary = deployment.get("apiSummary")
    methods = [one for verbs in (summary or {}).values() for one in verbs.values()]
    return summary is None or any(one.get("authorizationType") == "CUSTOM" for one in methods)
