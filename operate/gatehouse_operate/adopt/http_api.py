"""HTTP APIs: authorizers, routes, deployments, stages. With automatic deployment each route is live at once."""

from ..aws import or_none, pages, pages_or_none
from .common import Found, fingerprints, only, routes_watched

ABSENT = "NotFoundException"
AUTHORIZATION = ("AuthorizationType", "AuthorizerId", "AuthorizationScopes")


def routes(aws, api):
    """Every route of the API by its key."""
    return {one["RouteKey"]: one for one in pages(aws.client("apigatewayv2"), "get_routes", "Items", ApiId=api)}


def authorization(route):
    """The part of a route that a step changes."""
    scopes = sorted(route.get("AuthorizationScopes") or [])
    kind = route.get("AuthorizationType") or "NONE"
    return {"AuthorizationType": kind, "AuthorizerId": route.get("AuthorizerId"), "AuthorizationScopes": scopes}


def watched_http_api(aws, target):
    """Fingerprints of the API's routes, without what the plan switches, and of which stages deploy automatically."""
    automatic = {
        f"AutoDeploy of {one['StageName']}": one.get("AutoDeploy", False) for one in stages(aws, target["api"])
    }
    return routes_watched(routes(aws, target["api"]), target["routes"], AUTHORIZATION) | fingerprints(automatic)


class Authorizer:
    """A Lambda authorizer, found by its name."""

    @staticmethod
    def read(aws, step):
        name, api = step["after"]["Name"], step["target"]["api"]
        entries = pages_or_none(aws.client("apigatewayv2"), "get_authorizers", "Items", ApiId=api)
        found = only([one for one in entries if one["Name"] == name], f"{api}: authorizer {name}")
        if not found:
            return Found(None)
        return Found({key: found.get(key) for key in step["after"]}, found["AuthorizerId"])

    @staticmethod
    def write(aws, step, now, wanted):
        client, api = aws.client("apigatewayv2"), {"ApiId": step["target"]["api"]}
        if wanted is None:
            client.delete_authorizer(**api, AuthorizerId=now.id)
        else:
            client.create_authorizer(**api, **wanted)

    @staticmethod
    def used_by(aws, step, authorizer, since, redeployed):
        """The ids that steps would have which switch the routes with this authorizer, or stages that may serve it.

        A deployment does not show its routes. Those that were made since, other than of an undo, may have this one."""
        api = step["target"]["api"]
        used = [key for key, one in routes(aws, api).items() if one.get("AuthorizerId") == authorizer]
        found = [f"http:{api}:{key}" for key in used]
        for stage in stages(aws, api):
            deployment = stage.get("DeploymentId")
            if deployment and deployment not in redeployed and not stage.get("AutoDeploy"):
                names = {"ApiId": api, "DeploymentId": deployment}
                one = or_none(aws.client("apigatewayv2").get_deployment, ABSENT, **names)
                if one and one.get("CreatedDate", since) >= since:
                    found.append(f"http:{api}:stage:{stage['StageName']}")
        return found


class Route:
    """The authorization of a route."""

    @staticmethod
    def read(aws, step):
        route = or_none(aws.client("apigatewayv2").get_route, ABSENT, **Route.names(step))
        return Found(authorization(route) if route else None)

    @staticmethod
    def write(aws, step, _, wanted):
        # API Gateway refuses a Lambda authorizer on a route with scopes, so the call sets all three.
        aws.client("apigatewayv2").update_route(**Route.names(step), **wanted)

    @staticmethod
    def names(step):
        return {"ApiId": step["target"]["api"], "RouteId": step["target"]["route"]}


class Deployment:
    """A deployment without a stage, found by its description. For stages without automatic deployment."""

    @staticmethod
    def read(aws, step):
        text, api = step["after"]["Description"], step["target"]["api"]
        entries = pages_or_none(aws.client("apigatewayv2"), "get_deployments", "Items", ApiId=api)
        found = only([one for one in entries if one.get("Description") == text], f"{api}: deployment {text!r}")
        return Found({"Description": text}, found["DeploymentId"]) if found else Found(None)

    @staticmethod
    def write(aws, step, now, wanted):
        client, api = aws.client("apigatewayv2"), {"ApiId": step["target"]["api"]}
        if wanted is None:
            client.delete_deployment(**api, DeploymentId=now.id)
        else:
            client.create_deployment(**api, Description=wanted["Description"])

    @staticmethod
    def used_by(aws, step, deployment, *_):
        """The ids that steps would have which point the stages with this deployment to it."""
        api = step["target"]["api"]
        used = [one["StageName"] for one in stages(aws, api) if one.get("DeploymentId") == deployment]
        return [f"http:{api}:stage:{name}" for name in used]


class Stage:
    """The deployment that a stage serves."""

    @staticmethod
    def read(aws, step):
        stage = or_none(aws.client("apigatewayv2").get_stage, ABSENT, **Stage.names(step))
        return Found({"DeploymentId": stage.get("DeploymentId")} if stage else None)

    @staticmethod
    def write(aws, step, _, wanted):
        aws.client("apigatewayv2").update_stage(**Stage.names(step), DeploymentId=wanted["DeploymentId"])

    @staticmethod
    def redeploy(aws, step, text):
        """Deploys the present routes to the stage, and returns the deployment's id."""
        return aws.client("apigatewayv2").create_deployment(**Stage.names(step), Description=text)["DeploymentId"]

    @staticmethod
    def names(step):
        return {"ApiId": step["target"]["api"], "StageName": step["target"]["stage"]}


def stages(aws, api):
    """The API's stages."""
    return pages(aws.client("apigatewayv2"), "get_stages", "Items", ApiId=api)
