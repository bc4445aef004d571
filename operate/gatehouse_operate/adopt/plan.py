"""Builds a plan: what would change, in which order, what it needs, and the fingerprints by which apply sees a drift."""

import datetime
import secrets

from . import functions, http_api, needs, read, rest_api, rules
from .common import AUTHORIZER, Refused, made_by
from .run import KINDS, WATCHERS

HEADER = {"rest": "method.request.header.Authorization", "http": "$request.header.Authorization"}


def facts(aws, options):
    """Everything that is read: the pool, its clients, the stack if it is named, and the APIs.

    Without a named API, every one whose authorizer accepts the pool's tokens."""
    found = read.pool_facts(aws, options.user_pool)
    found["stack"] = read.stack_facts(aws, options.stack) if options.stack else None
    listed = read.all_apis(aws)
    rest, http = options.rest_api, options.http_api
    if not rest and not http:
        rest, http = read.apis_of_pool(listed, found["pool"]["Arn"], found["pool"]["Id"])
    found["rest"] = [read.rest_facts(aws, api, options) for api in dict.fromkeys(rest)]
    found["http"] = [read.http_facts(aws, api, options) for api in dict.fromkeys(http)]
    names = {stage for api in found["rest"] + found["http"] for stage in api["stages"]}
    if missing := set(options.stage) - names:
        raise Refused(f"no API has the stage {', '.join(sorted(missing))}")
    found["switched"] = read.switched(aws, found, listed)
    found["owners"] = read.owners(aws, found, options)
    return found


def chosen_routes(found, options):
    """The routes to switch, by API: those whose authorizer is the pool's own, or one that the options include.

    An API whose stages are all left out by the options has none.

    Raises Refused if `--only` names a route that no API has, or `--authorizer` an authorizer that none has, or
    Gatehouse's own."""
    apis = found["rest"] + found["http"]
    if missing := set(options.only) - {route for api in apis for route in api["routes"]}:
        raise Refused(f"no API has the route {', '.join(sorted(missing))}")
    others = {key for api in apis for key in api["authorizers"].keys() - read.own_authorizers(api)}
    if missing := set(options.authorizer) - others:
        raise Refused(f"no API has another authorizer with the id {', '.join(sorted(missing))}")
    arn, pool_id = found["pool"]["Arn"], found["pool"]["Id"]
    chosen = {}
    for api in found["rest"]:
        included = {
            key
            for key, one in api["authorizers"].items()
            if one["name"] != AUTHORIZER and (arn in (one.get("providerARNs") or []) or key in options.authorizer)
        }
        chosen[api["id"]] = selected(api["routes"], "authorizerId", included, options.only)
    for api in found["http"]:
        included = {
            key
            for key, one in api["authorizers"].items()
            if one["Name"] != AUTHORIZER and (read.is_issuer(one, pool_id) or key in options.authorizer)
        }
        chosen[api["id"]] = selected(api["routes"], "AuthorizerId", included, options.only)
    return chosen | {api["id"]: {} for api in apis if api["left_out"] and not api["stages"]}


def selected(routes, key, authorizers, only):
    return {name: one for name, one in routes.items() if one.get(key) in authorizers and (not only or name in only)}


def build(aws, options, known):
    """The plan and the facts on which it rests. `known` is the folder of rules to start from."""
    found, plan_id = facts(aws, options), secrets.token_hex(4)
    chosen = chosen_routes(found, options)
    found["rules"], found["adopted"] = known, rules.adopted(found, chosen, known, plan_id)
    plan = {
        "version": 1,
        "id": plan_id,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "region": aws.region,
        "account": found["pool"]["Arn"].split(":")[4],
        "pool": found["pool"]["Id"],
        "locks": [found["pool"]["Id"], *chosen],
        "needs": needs.found(found, chosen, options),
    }
    plan["steps"] = steps(aws, found, chosen, options, plan["id"]) if found["stack"] else []
    plan["watched"] = watched(aws, found, chosen, plan["steps"])
    return plan, found, chosen


def steps(aws, found, chosen, options, plan_id):
    """The steps in the order of apply: what changes no request first, then the routes, stages last."""
    stack, pool_facts = found["stack"], found["pool"]
    revocation = revocation_steps(found, options)
    apis = [("rest", one) for one in found["rest"]] + [("http", one) for one in found["http"]]
    apis = [(kind, one) for kind, one in apis if chosen[one["id"]]]
    entrances = [step for kind, one in apis for step in entrance_steps(aws, kind, one, stack, pool_facts, plan_id)]
    triggers = trigger_steps(aws, pool_facts, stack, options, plan_id)
    prepared = entrances + triggers
    switches = []
    for kind, one in apis:
        switches += SWITCHES[kind](one, chosen[one["id"]], plan_id)
    # Two reads for each step: a listing has all routes, so those need none.
    for step in prepared + [one for one in switches if one["kind"].endswith("-deployment")]:
        step["before"] = KINDS[step["kind"]].read(aws, step).state
        if step["before"] not in (None, step["after"]) and step["kind"].endswith("-authorizer"):
            raise Refused(
                f"{step['target']['api']} has an authorizer {AUTHORIZER} with other settings: remove it first."
            )
    waits = []
    if revocation and switches:
        changed = read.lacking_revocation(found["clients"]).values()
        seconds = max(read.lifetime(one, token) for one in changed for token in ("Access", "Id"))
        waits = [pause_step("tokens", "pause until tokens without a session have expired", revocation, seconds=seconds)]
    if switches and prepared:
        waits.append(
            pause_step("settle", "pause until permissions and authorizers have reached every part of AWS", prepared)
        )
    return revocation + prepared + waits + switches


def pause_step(name, says, after, seconds=None):
    target = {"reason": name, "after": [one["id"] for one in after], "seconds": seconds}
    return {"id": f"pause:{name}", "kind": "pause", "target": target, "says": says, "before": None, "after": None}


def step(name, kind, target, after, says, before=None):
    return {"id": name, "kind": kind, "target": target, "before": before, "after": after, "says": says}


def revocation_steps(found, options):
    if not options.enable_token_revocation:
        return []
    made = []
    for key in sorted(read.lacking_revocation(found["clients"])):
        target = {"pool": found["pool"]["Id"], "client": key}
        before, after = {"EnableTokenRevocation": False}, {"EnableTokenRevocation": True}
        says = f"client {key}: token revocation"
        made.append(step(f"client:{key}", "token-revocation", target, after, says, before))
    return made


def entrance_steps(aws, kind, api, stack, described, plan_id):
    """The authorizer of an API, which no route uses yet, and the permission to invoke the function for it alone."""
    name, uri = f"{kind}:{api['id']}:authorizer", functions.invocation_uri(aws, stack["authorizer"])
    account = described["Arn"].split(":")[4]
    if kind == "rest":
        after = {"name": AUTHORIZER, "type": "REQUEST", "authorizerUri": uri}
        after |= {"identitySource": HEADER[kind], "authorizerResultTtlInSeconds": 0}
    else:
        simple = stack["accepts"].get("HTTP_API_RESPONSE") == "simple"
        after = {"Name": AUTHORIZER, "AuthorizerType": "REQUEST", "AuthorizerUri": uri}
        after |= {"IdentitySource": [HEADER[kind]], "AuthorizerResultTtlInSeconds": 0}
        after |= {"AuthorizerPayloadFormatVersion": "2.0", "EnableSimpleResponses": simple}
    source = f"arn:{aws.partition}:execute-api:{aws.region}:{account}:{api['id']}/authorizers/{made_by(name)}"
    target = {"function": stack["authorizer"], "statement": f"gatehouse-adopt-{plan_id}-{api['id']}"}
    return [
        step(name, f"{kind}-authorizer", {"api": api["id"]}, after, f"{api['name']}: unused authorizer {AUTHORIZER}"),
        step(
            f"{kind}:{api['id']}:permission",
            "permission",
            target,
            {"principal": "apigateway.amazonaws.com", "source": source},
            f"{api['name']}: permission to invoke the authorizer",
        ),
    ]


def trigger_steps(aws, described, stack, options, plan_id):
    """Permissions for the pool, then all triggers in one update of the pool."""
    present = described.get("LambdaConfig") or {}
    permissions, before, after = [], {}, {}
    for slot in sorted(options.triggers.keys() | options.replace):
        function, taken = needs.function_for(stack, options, slot), needs.occupant(present, slot)
        if not function or taken == function or taken and slot not in options.replace:
            continue
        for name, value in slots(slot, function).items():
            before[name], after[name] = present.get(name), value
        target = {"function": function, "statement": f"gatehouse-adopt-{plan_id}-{slot}"}
        state = {"principal": "cognito-idp.amazonaws.com", "source": described["Arn"]}
        says = f"permission of the pool to invoke {slot}"
        permissions.append(step(f"permission:{slot}", "permission", target, state, says))
    if not after:
        return []
    says = f"pool {described['Id']}: triggers {', '.join(after)}"
    return [*permissions, step("pool", "triggers", {"pool": described["Id"]}, after, says, before)]


def slots(slot, function):
    """A trigger's members of LambdaConfig."""
    if slot == "PreTokenGenerationConfig":
        return {slot: {"LambdaVersion": "V2_0", "LambdaArn": function}, "PreTokenGeneration": function}
    return {slot: function}


def rest_switches(api, chosen, plan_id):
    """Every method, then one deployment, then each stage: nothing is live before the stages."""
    made, prefix = [], f"rest:{api['id']}"
    for route, one in sorted(chosen.items()):
        target = {"api": api["id"], "resource": one["resourceId"], "verb": one["httpMethod"]}
        after = {"authorizationType": "CUSTOM", "authorizerId": made_by(f"{prefix}:authorizer")}
        after["authorizationScopes"] = []
        says = f"{api['name']}: {route} from {api['authorizers'][one['authorizerId']]['name']} to {AUTHORIZER}"
        made.append(step(f"{prefix}:{route}", "rest-method", target, after, says, rest_api.authorization(one)))
    stages = {name: one for name, one in api["stages"].items() if one.get("deploymentId")}
    if stages:
        after = {"description": f"gatehouse adopt {plan_id}"}
        says = f"{api['name']}: deployment, not served yet"
        made.append(step(f"{prefix}:deployment", "rest-deployment", {"api": api["id"]}, after, says))
    for name, one in sorted(stages.items()):
        target, before = {"api": api["id"], "stage": name}, {"deploymentId": one["deploymentId"]}
        after = {"deploymentId": made_by(f"{prefix}:deployment")}
        says = f"{api['name']}: stage {name} serves the deployment"
        made.append(step(f"{prefix}:stage:{name}", "rest-stage", target, after, says, before))
    return made


def http_switches(api, chosen, plan_id):
    """Every route, each live at once where a stage deploys automatically; a deployment for the other stages."""
    made, prefix = [], f"http:{api['id']}"
    for route, one in sorted(chosen.items()):
        target = {"api": api["id"], "route": one["RouteId"]}
        after = {"AuthorizationType": "CUSTOM", "AuthorizerId": made_by(f"{prefix}:authorizer")}
        after["AuthorizationScopes"] = []
        says = f"{api['name']}: {route} from {api['authorizers'][one['AuthorizerId']]['Name']} to {AUTHORIZER}"
        made.append(step(f"{prefix}:{route}", "http-route", target, after, says, http_api.authorization(one)))
    stages = {name: one for name, one in api["stages"].items() if not one.get("AutoDeploy") and one.get("DeploymentId")}
    if stages:
        after = {"Description": f"gatehouse adopt {plan_id}"}
        says = f"{api['name']}: deployment, not served yet"
        made.append(step(f"{prefix}:deployment", "http-deployment", {"api": api["id"]}, after, says))
    for name, one in sorted(stages.items()):
        target, before = {"api": api["id"], "stage": name}, {"DeploymentId": one["DeploymentId"]}
        after = {"DeploymentId": made_by(f"{prefix}:deployment")}
        says = f"{api['name']}: stage {name} serves the deployment"
        made.append(step(f"{prefix}:stage:{name}", "http-stage", target, after, says, before))
    return made


SWITCHES = {"rest": rest_switches, "http": http_switches}


def watched(aws, found, chosen, planned):
    """The resources that must not change between plan and apply, with their fingerprints."""
    pool_id = found["pool"]["Id"]
    slots_changed = sorted({slot for one in planned if one["kind"] == "triggers" for slot in one["after"]})
    watch = [("pool", f"pool {pool_id}", {"pool": pool_id, "slots": slots_changed})]
    watch += [("client", f"client {key}", {"pool": pool_id, "client": key}) for key in sorted(found["clients"])]
    if found["stack"]:
        function = found["stack"]["authorizer"]
        watch.append(("function", "the authorizer", {"function": function}))
        # The rules of these routes are in the plan's folder.
        watch.append(("others", f"{AUTHORIZER} of other APIs", {"function": function, "apis": sorted(chosen)}))
    for kind in ("rest", "http"):
        for api in found[kind]:
            target = {"api": api["id"], "routes": sorted(chosen[api["id"]])}
            watch.append((f"{kind}-api", f"{api['name']} ({api['id']})", target))
    return [
        {"kind": kind, "id": name, "target": target, "fingerprints": WATCHERS[kind](aws, target)}
        for kind, name, target in watch
    ]


def parameters(found):
    """The parameters of core.yaml for this pool and these APIs, by name."""
    clients = found["clients"]
    longest = max((read.lifetime(one, "Refresh") for one in read.of_users(clients).values()), default=30 * read.DAY)
    values = {
        "UserPoolId": found["pool"]["Id"],
        "AppClientIds": ",".join(sorted(clients)),
        "RefreshTokenSeconds": str(max(longest, 3_600)),
        "TokenUse": "any" if takes_id_tokens(found) else "access",
    }
    origins = {origin for api in found["http"] for origin in api["cors"].get("AllowOrigins") or []}
    if len(origins) == 1 and "*" not in origins:
        values["AllowedOrigin"] = origins.pop()
    return values


def takes_id_tokens(found):
    """Whether an API accepts ID tokens today: HTTP APIs do, and methods of a Cognito authorizer without scopes."""
    methods = [(api, one) for api in found["rest"] for one in api["routes"].values()]
    return bool(found["http"]) or any(
        needs.is_cognito(api, one) and not one.get("authorizationScopes") for api, one in methods
    )
