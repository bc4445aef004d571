"""What must be true before an adoption: each finding has an id, a level and a text.

`stop`: apply refuses until it is mended and planned again. `confirm`: apply refuses unless `--confirm` names it,
because only a person can know. `note`: for information.
"""

from . import http_api, pool, rest_api, rules
from .common import AUTHORIZER
from .read import lacking_revocation, lifetime, of_users, own_authorizers

HEADER = {"method.request.header.authorization", "$request.header.authorization"}
ADMIN = "aws.cognito.signin.user.admin"
# AWS's quota of authorizers, of a REST API and of an HTTP API.
AUTHORIZERS = 10


def found(facts, chosen, options):
    """All findings. `chosen` has the routes that the plan switches, by API."""
    needs = []
    stack = facts["stack"]
    if stack:
        needs += of_stack(facts, stack)
        needs += of_triggers(facts, stack, options)
    else:
        needs.append(need("stack", "stop", "no authorizer is deployed: deploy parameters.json, then plan with --stack"))
    needs += of_unknown_fields(facts, options)
    needs += of_clients(facts, stack, options)
    needs += of_management(facts)
    needs += of_rules(facts, chosen)
    for api in facts["rest"]:
        needs += of_rest(api, chosen[api["id"]], facts)
    for api in facts["http"]:
        needs += of_http(api, chosen[api["id"]], facts)
    for api in facts["rest"] + facts["http"]:
        needs += of_stages(api, chosen[api["id"]])
        needs += of_routes(api, chosen[api["id"]])
    return [*needs, *of_backends(chosen)]


def need(name, level, text):
    return {"id": name, "level": level, "text": text}


def listed(names):
    """The first names of a long list, for people."""
    names = sorted(names)
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def of_stack(facts, stack):
    pool_id, accepts = facts["pool"]["Id"], stack["accepts"]
    if accepts.get("USER_POOL_ID") != pool_id:
        text = f"the authorizer of {stack['name']} accepts tokens of {accepts.get('USER_POOL_ID')}, not of {pool_id}"
        yield need("pool", "stop", text)
    sources = accepts.get("TOKEN_SOURCES") or "header"
    if "header" not in [one.strip() for one in sources.split(",")]:
        yield need("token-sources", "stop", f"TOKEN_SOURCES is {sources}: the authorizer does not read the header")


def of_triggers(facts, stack, options):
    """Every function that could be a trigger, and what is in its slot."""
    taken, wanted = facts["pool"].get("LambdaConfig") or {}, options.triggers.keys() | options.replace
    for slot in sorted(stack["triggers"].keys() | wanted):
        function, other = function_for(stack, options, slot), occupant(taken, slot)
        if function is None:
            text = f"the stack {stack['name']} has no function for this trigger: name one with --trigger {slot}=ARN"
            yield need(f"trigger-{slot}", "stop", text)
        elif other is None and slot not in wanted:
            yield need(f"trigger-{slot}", "note", f"free: `--trigger {slot}` attaches Gatehouse's function")
        elif other not in (None, function):
            one = f"a pool invokes one function per trigger, and this one is taken by {other}"
            if slot in options.replace:
                yield need(f"trigger-{slot}", "confirm", f"{one}: it will no longer be invoked")
            else:
                text = f"{one}: it stays. Let it invoke Gatehouse's, or take its place with `--replace {slot}`"
                yield need(f"trigger-{slot}", "note", text)
    if "PreTokenGenerationConfig" in wanted and facts["pool"].get("UserPoolTier") == "LITE":
        yield need("plan", "stop", "claims in access tokens need the Essentials plan, and the pool is on Lite")


def function_for(stack, options, slot):
    """The ARN of the function that would be attached to a slot, or None."""
    return options.triggers.get(slot) or stack["triggers"].get(slot)


def occupant(triggers, slot):
    """The ARN of the function in a slot, or None. Token generation has two slots that AWS keeps equal."""
    value = triggers.get(slot)
    if slot == "PreTokenGenerationConfig":
        return (value or {}).get("LambdaArn") or triggers.get("PreTokenGeneration")
    return value


def of_unknown_fields(facts, options):
    """An update would reset the fields that boto3 has dropped from a response."""
    updated = [facts["pool"]] if options.triggers or options.replace else []
    updated += list(facts["clients"].values()) if options.enable_token_revocation else []
    unknown = {field for one in updated for field in one[pool.UNKNOWN]}
    if unknown:
        yield need("unknown-fields", "stop", f"this boto3 does not know {listed(unknown)}: update it, or do not update")


def of_clients(facts, stack, options):
    clients = facts["clients"]
    names = {key: f"{key} ({one.get('ClientName')})" for key, one in clients.items()}
    required = (stack or {}).get("accepts", {}).get("REQUIRE_SESSION") != "false"
    lacking = lacking_revocation(clients)
    if lacking:
        what = "tokens without a session are refused" if required else "their sessions cannot be revoked one by one"
        text = f"clients without token revocation: {listed(names[key] for key in lacking)}; {what}"
        if options.enable_token_revocation:
            text += ". Apply enables it, and continues once the tokens of before have expired; a session of before may"
            text += " need a new sign-in: read a refreshed token of one"
            yield need("token-revocation", "confirm", text)
        else:
            level = "stop" if required else "confirm"
            yield need("token-revocation", level, text + ". `--enable-token-revocation` plans it")
    if stack:
        yield from of_accepted_clients(facts, stack, names)
    no_admin = [
        names[key]
        for key, one in of_users(clients).items()
        if one.get("AllowedOAuthFlowsUserPoolClient") and ADMIN not in (one.get("AllowedOAuthScopes") or [])
    ]
    if no_admin:
        text = f"tokens of the hosted UI without the scope {ADMIN}: {listed(no_admin)}. They pass the authorizer, but"
        yield need("user-scope", "note", text + " Cognito refuses them where a user changes the own account (GetUser)")


def of_accepted_clients(facts, stack, names):
    accepted = {one.strip() for one in (stack["accepts"].get("APP_CLIENT_IDS") or "").split(",") if one.strip()}
    refused = facts["clients"].keys() - accepted
    if refused:
        text = f"the authorizer refuses tokens of {listed(names[key] for key in refused)}"
        yield need("clients", "confirm", f"{text}: deploy with their ids, unless they do not call the APIs")
    unknown = accepted - facts["clients"].keys()
    if unknown:
        yield need("unknown-clients", "confirm", f"the pool lacks clients that are accepted: {listed(unknown)}")
    longest = stack["revocation_seconds"]
    if longest is None:
        yield need("refresh-lifetime", "note", "no logout function: the revocations' lifetime was not read")
        return
    users = of_users(facts["clients"])
    outliving = [names[key] for key, one in users.items() if lifetime(one, "Refresh") > longest]
    if outliving:
        text = f"refresh tokens outlive revocations ({longest} s): {listed(outliving)}. Revoked sessions could"
        yield need("refresh-lifetime", "stop", f"{text} become valid again: deploy with the longest (parameters.json)")


def of_rules(facts, chosen):
    """What the folder of rules would lose, or cannot say: the deployed one is replaced by what the plan writes."""
    source = facts["rules"]["source"]
    if rules.starts_over(facts) and any(chosen.values()):
        text = f"the authorizer reads its rules from {facts['stack']['accepts']['POLICIES_DIR']}, and the plan's start"
        text += " from the shipped ones: name the folder that was deployed with --policies"
        yield need("rules-folder", "confirm", text)
    unknown = rules.unknown(facts)
    for api, one in sorted(facts["switched"].items()):
        text = f"{one['name']}: on {AUTHORIZER} already: {listed(unknown.get(api, one['routes']))}"
        if api not in unknown:
            yield need(f"adopted-{api}", "note", f"{text}; their rules stay")
        else:
            text += f", and {source} does not record their scopes, whose rules the plan's would replace. Name with"
            text += f" --policies the folder policies of the plan that switched them, or add them to its {rules.RECORD}"
            yield need(f"adopted-{api}", "stop", text)
    names = {api["id"]: api["name"] for api in facts["rest"] + facts["http"]}
    names |= {key: one["name"] for key, one in facts["switched"].items()}
    if shared := rules.conflicts(facts["adopted"]):
        action, apis = min(shared.items())
        parts = [f"{names.get(key, key)} ({key}) {' or '.join(scopes) or 'none'}" for key, scopes in apis.items()]
        text = f"rules cannot tell APIs apart, and {listed(shared)} have different scopes in several: {action} needs"
        text += f" {', '.join(parts)}. Adopt one of them alone (--rest-api, --http-api, --only), or with another stack"
        yield need("shared-routes", "stop", text)


def of_management(facts):
    """Another tool that owns a resource sets it back at its next deployment."""
    if facts["owners"] is None:
        text = "whether a CloudFormation stack manages pool and APIs could not be read"
        yield need("managed", "confirm", f"{text} (cloudformation:DescribeStackResources)")
    elif facts["owners"]:
        text = ", ".join(f"{name} by the stack {stack} ({key})" for name, key, stack in facts["owners"])
        advice = "Its next deployment sets back what apply changes: add docs/existing-api.md's lines to its template"
        yield need("managed", "confirm", f"managed: {text}. {advice}")


def of_rest(api, chosen, facts):
    name, accepts = api["name"], (facts["stack"] or {}).get("accepts", {})
    used = [api["authorizers"][one["authorizerId"]] for one in chosen.values()]
    yield from of_identity(name, [one.get("identitySource") for one in used])
    others = {arn for one in used for arn in one.get("providerARNs") or []} - {facts["pool"]["Arn"]}
    if others:
        yield need(f"other-pools-{api['id']}", "confirm", f"{name} also accepts {listed(others)}: they will be refused")
    use = accepts.get("TOKEN_USE") or "access"
    without = [key for key, one in chosen.items() if is_cognito(api, one) and not one.get("authorizationScopes")]
    if without and use == "access":
        text = f"{name} takes ID tokens where a method has no scopes ({listed(without)}), the authorizer access tokens"
        yield need(f"token-use-{api['id']}", "confirm", f"{text}: deploy with TokenUse=any until clients have changed")
    canaries = [stage for stage, one in api["stages"].items() if one.get("canarySettings")]
    if chosen and canaries:
        yield need(f"canary-{api['id']}", "stop", f"{name} has a canary on {listed(canaries)}: promote or end it first")
    dates = [f"{stage} of {date(one)}" for stage, one in sorted(api["deployed"].items()) if stage in api["stages"]]
    if chosen and dates:
        text = f"apply deploys {name} as it is now, with everything that was changed since the deployments that the"
        text += f" stages serve: {', '.join(dates)}"
        waiting = {route for stage in api["stages"] for route in undeployed(api, stage)}
        text += f". Their methods differ: {listed(waiting)}" if waiting else ""
        yield need(f"deployment-{api['id']}", "confirm", text)


def date(deployment):
    """The day of a deployment, for people."""
    made = deployment.get("createdDate")
    return made.date().isoformat() if made else "an unknown day"


def is_cognito(api, method):
    return api["authorizers"].get(method.get("authorizerId"), {}).get("type") == "COGNITO_USER_POOLS"


def undeployed(api, stage):
    """The methods that differ between the API and the stage's deployment, as far as a deployment's summary shows."""
    summary = api["deployed"].get(stage, {}).get("apiSummary")
    if summary is None:
        return []
    served = {f"{verb} {path}": one for path, verbs in summary.items() for verb, one in verbs.items()}
    changed = set(served.keys() ^ api["routes"].keys())
    for key in served.keys() & api["routes"].keys():
        kind = served[key].get("authorizationType")
        if kind and kind != api["routes"][key].get("authorizationType"):
            changed.add(key)
    return sorted(changed)


def of_http(api, chosen, facts):
    name, accepts = api["name"], (facts["stack"] or {}).get("accepts", {})
    used = [api["authorizers"][one["AuthorizerId"]] for one in chosen.values()]
    yield from of_identity(name, [source for one in used for source in one.get("IdentitySource") or []])
    if chosen and (accepts.get("TOKEN_USE") or "access") == "access":
        text = f"{name} accepts ID tokens too, the authorizer access tokens only: deploy with TokenUse=any if clients"
        yield need(f"token-use-{api['id']}", "confirm", f"{text} send ID tokens")
    by_hand = [stage for stage, one in api["stages"].items() if one.get("DeploymentId") and not one.get("AutoDeploy")]
    if chosen and by_hand:
        text = f"apply deploys {name} as it is now to {listed(by_hand)}, with everything that was changed since"
        yield need(f"deployment-{api['id']}", "confirm", text)
    audience = {one for entry in used for one in (entry.get("JwtConfiguration") or {}).get("Audience") or []}
    accepted = {one.strip() for one in (accepts.get("APP_CLIENT_IDS") or "").split(",") if one.strip()}
    if audience and accepted - audience:
        text = f"{name} accepts the clients {listed(audience)}; the authorizer also {listed(accepted - audience)}"
        yield need(f"audience-{api['id']}", "confirm", f"{text}: write a rule if they must not call it")


def of_stages(api, chosen):
    """What becomes of the stages that `--stage` leaves out: routes belong to the API, not to a stage."""
    name, automatic = api["name"], [stage for stage, one in api["left_out"].items() if one.get("AutoDeploy")]
    if not chosen and api["left_out"] and not api["stages"]:
        yield need(f"stage-{api['id']}", "note", f"{name} has no stage that --stage names: it is left as it is")
    elif chosen and automatic:
        text = f"{name}: {listed(automatic)} would serve the switched routes at once, because of automatic deployment"
        yield need(f"stage-{api['id']}", "stop", f"{text}: name it with --stage too, or switch that off first")
    elif chosen and api["left_out"]:
        text = f"{name}: {listed(api['left_out'])} will serve the switched routes from the next deployment on"
        yield need(f"stage-{api['id']}", "note", text)
    elif chosen and not api["stages"]:
        yield need(f"stage-{api['id']}", "note", f"{name} has no stage: nothing serves its routes")


def of_identity(name, sources):
    for source in sorted({one for one in sources if one and one.lower() not in HEADER}):
        text = f"{name} reads the token from {source}; the authorizer from the header Authorization"
        yield need("identity-source", "stop", text)


def of_routes(api, chosen):
    kind, key, scopes = rest_api.AUTHORIZATION if "deployed" in api else http_api.AUTHORIZATION
    open_routes = [
        route
        for route, one in api["routes"].items()
        if (one.get(kind) or "NONE") == "NONE" and not route.startswith("OPTIONS ")
    ]
    if open_routes:
        yield need(f"open-{api['id']}", "note", f"{api['name']}: no authorizer, left as it is: {listed(open_routes)}")
    kinds = {route: one.get(kind) or "NONE" for route, one in api["routes"].items() if route not in chosen}
    own = own_authorizers(api)
    others = [route for route, one in kinds.items() if one != "NONE" and api["routes"][route].get(key) not in own]
    if others:
        text = f"{api['name']}: another authorization, left as it is: {listed(others)}"
        ids = {api["routes"][route].get(key) for route in others} - {None}
        more = f"; `--authorizer {sorted(ids)[0]}` includes one" if ids else ""
        yield need(f"left-{api['id']}", "note", text + more)
    scoped = [route for route, one in chosen.items() if one.get(scopes)]
    if scoped:
        text = f"{api['name']}: a Lambda authorizer checks no scopes ({listed(scoped)}): deploy the rules of"
        yield need(f"scopes-{api['id']}", "confirm", f"{text} policies/adopted.cedar first")
    if "$default" in scoped:
        text = f"{api['name']}: $default has scopes and no action of its own, so no rule was written for it"
        yield need(f"default-scopes-{api['id']}", "confirm", text)
    admin = [route for route in chosen if is_admin(route)]
    if admin:
        text = f"{api['name']}: the shipped rules require the group admins for {listed(admin)}"
        yield need(f"admin-{api['id']}", "confirm", text)
    if chosen and len(api["authorizers"]) >= AUTHORIZERS:
        yield need(f"quota-{api['id']}", "note", f"{api['name']} has AWS's quota of {AUTHORIZERS} authorizers")


def is_admin(route):
    path = route.partition(" ")[2]
    return path == "/admin" or path.startswith("/admin/")


def of_backends(chosen):
    if any(chosen.values()):
        text = "the authorizer requires `Bearer ` before the token; the built-in ones accept both. Change clients first"
        yield need("bearer", "confirm", text)
        text = "backends read other names: deploy one that reads both (docs/context.md)"
        yield need("backend", "confirm", text)
