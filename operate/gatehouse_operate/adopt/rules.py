"""The authorizer's folder of rules: the Cedar schema with the APIs' routes, the rules of the folder that it starts
from, and rules for the scopes that a Lambda authorizer does not check itself.

A deployment replaces the whole folder, and API Gateway keeps no scopes of a switched route. So `adopted.json` records
the scopes of the routes that earlier plans switched, and each plan writes the rules of all of them.
"""

import json
import pathlib
import re

from .common import Refused, fingerprint

# The checkout's, or that of the folder in which an installed package is run.
CHECKOUT = pathlib.Path(__file__).resolve().parents[3] / "policies"
POLICIES = CHECKOUT if CHECKOUT.is_dir() else pathlib.Path("policies")
SCHEMA, DEFAULT, ADOPTED, RECORD = "schema.cedarschema", "default.cedar", "adopted.cedar", "adopted.json"
VERBS = ("delete", "get", "head", "options", "patch", "post", "put")
ACTIONS = re.compile(r"(^  action )(.*?)(\n    appliesTo )", re.MULTILINE | re.DOTALL)
NAMESPACE = re.compile(r"^namespace\s+([\w:]+)", re.MULTILINE)
HEAD = re.compile(r"// gatehouse-adopt wrote this file \(([0-9a-f]+)\): write other rules into another one\.\n")
MEMBERS = {"api": str, "route": str, "scopes": list, "others": list, "plan": str}
# Of an entry that was added by hand.
DEFAULTS = {"others": [], "plan": ""}


def read(options):
    """What the folder contains that the plan's starts from: the schema, the other rules by file, the recorded routes.

    It is the named one, else the one that an earlier plan wrote into `--dir`, else the shipped one. `replaced` is the
    plan to which the folder belongs, and which is replaced now. Raises Refused if it is no folder of rules, or if a
    rule would be lost or mixed in."""
    target = options.dir / "policies"
    source = options.policies or (target if (target / SCHEMA).exists() else POLICIES)
    if not (source / SCHEMA).is_file():
        raise Refused(f"{source} has no {SCHEMA}: name the repository's policies with --policies.")
    if not (source / DEFAULT).is_file():
        raise Refused(f"{source} has no {DEFAULT}: an authorizer with its rules would lack the shipped ones.")
    files = {path.name: path.read_bytes() for path in sorted(source.glob("*.cedar")) if path.is_file()}
    files.pop(ADOPTED, None)
    changed_by_hand(source / ADOPTED)
    changed_by_hand(target / ADOPTED)
    in_place = target.is_dir() and source.resolve() == target.resolve()
    foreign = {path.name for path in target.glob("*.cedar")} - {ADOPTED, *files}
    if foreign and not in_place:
        names = ", ".join(sorted(foreign))
        raise Refused(f"{target} has {names}, which {source} lacks: remove it, or name another --dir.")
    record = recorded(source / RECORD)
    return {
        "schema": text_of(source / SCHEMA),
        "files": files,
        "routes": record["routes"],
        "replaced": record.get("plan") if in_place else None,
        "source": source,
        # Started from the shipped rules, while the authorizer had others.
        "shipped": not options.policies and (source == POLICIES or record.get("shipped", False)),
    }


def text_of(path):
    """A file's text. Raises Refused if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{path} is not UTF-8.") from None


def changed_by_hand(path):
    """Raises Refused if adopted.cedar is not as a plan wrote it: the next plan would drop what was added."""
    text = text_of(path) if path.exists() else ""
    head = HEAD.match(text)
    if text and (not head or head[1] != fingerprint(text[head.end() :])):
        raise Refused(f"{path} was changed by hand: move what was added into another file, and restore the rest.")


def recorded(path):
    """The record of a folder. Raises Refused if it is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        routes = record["routes"] = [DEFAULTS | one for one in record.get("routes", [])]
        if all(isinstance(one[name], kind) for one in routes for name, kind in MEMBERS.items()):
            if all(isinstance(text, str) for one in routes for text in one["scopes"] + one["others"]):
                return record
    except FileNotFoundError:
        return {"routes": []}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise Refused(f"{path} is no record of switched routes: restore the file that a plan wrote.")


def adopted(found, chosen, known, plan_id):
    """Every switched route with its scopes: those of the plan, then those of earlier plans.

    `others` are the verbs that have a method of their own at the path of an `ANY`, which does not serve them."""
    apis = {api["id"]: api for api in found["rest"] + found["http"]}
    switched = {(api, route) for api, one in found["switched"].items() for route in one["routes"]}
    new = []
    for api, routes in chosen.items():
        for route, one in sorted(routes.items()):
            scopes = sorted(one.get("authorizationScopes") or one.get("AuthorizationScopes") or [])
            new.append({"api": api, "route": route, "scopes": scopes, "others": [], "plan": plan_id})
    fresh = {(one["api"], one["route"]) for one in new}
    for one in known["routes"]:
        key = (one["api"], one["route"])
        gone = one["api"] in apis and one["route"] not in apis[one["api"]]["routes"]
        replaced = one["plan"] == known["replaced"] and key not in switched
        if key not in fresh and not gone and not replaced:
            new.append({name: one[name] for name in MEMBERS} | {"scopes": sorted(one["scopes"])})
    for one in new:
        if one["api"] in apis:
            one["others"] = others(one["route"], apis[one["api"]]["routes"])
    return new


def others(route, routes):
    """The verbs that have a route of their own at the path of an `ANY`."""
    verb, _, path = route.partition(" ")
    found = [one.partition(" ") for one in routes]
    return sorted(one.lower() for one, _, at in found if verb == "ANY" and one != "ANY" and at == path)


def actions(route, without=()):
    """The names of a route's actions. `ANY` stands for every verb but these; `$default` has no template."""
    verb, _, path = route.partition(" ")
    if not path:
        return []
    verbs = VERBS if verb == "ANY" else (verb.lower(),)
    return [f"{one} {path}" for one in verbs if one not in without]


def conflicts(switched):
    """The actions that have different scopes in several APIs: a rule has no name of the API."""
    found = {}
    for one in switched:
        for action in actions(one["route"], one["others"]):
            found.setdefault(action, {})[one["api"]] = tuple(one["scopes"])
    return {action: apis for action, apis in found.items() if len(set(apis.values())) > 1}


def schema(text, routes):
    """The schema with the routes' actions after its own. Raises Refused if it has no list of actions."""
    found = ACTIONS.search(text)
    if not found:
        raise Refused('The schema has no `action "..." appliesTo`.')
    known = re.findall(r'"((?:[^"\\]|\\.)*)"', found[2])
    new = {quoted(action) for route in routes for action in actions(route)} - set(known)
    listed = ",\n    ".join(f'"{action}"' for action in known + sorted(new))
    return text[: found.start()] + found[1] + listed + found[3] + text[found.end() :]


def scope_rules(switched, namespace="Gatehouse"):
    """A rule for each route with scopes: one of them must be in the token, as for the built-in authorizers.

    APIs that share a route and its scopes share the rule. Different scopes make a rule each: all of them apply. The
    rule of an `ANY` leaves out a verb with a method of its own if that is switched too; others may be removed later."""
    wanted, named = {}, {one["route"] for one in switched}
    for one in switched:
        # `$default` has no action of its own: its rule is written by hand (needs.py says so).
        if one["scopes"] and actions(one["route"]):
            wanted.setdefault((one["route"], tuple(one["scopes"])), []).append(set(one["others"]))
    rules, ids = [], {}
    for (route, scopes), without in sorted(wanted.items()):
        ids[route] = ids.get(route, 0) + 1
        name = f"{route} requires a scope" + (f" ({ids[route]})" if ids[route] > 1 else "")
        words = ", ".join(f'"{quoted(scope)}"' for scope in scopes)
        path = route.partition(" ")[2]
        left_out = {verb for verb in set.intersection(*without) if f"{verb.upper()} {path}" in named}
        rules.append(
            f'@id("{quoted(name)}")\n'
            f"{applies_to(route, left_out, namespace)}"
            f"unless {{ context.token.scope.containsAny([{words}]) }};\n"
        )
    return "\n".join(rules)


def applies_to(route, without, namespace):
    """The head of a route's rule. That of an `ANY` names the route, because no list of verbs is complete."""
    verb, _, path = route.partition(" ")
    if verb != "ANY":
        return f'forbid (principal, action == {namespace}::Action::"{quoted(actions(route)[0])}", resource)\n'
    named = ", ".join(f'{namespace}::Action::"{quoted(f"{one} {path}")}"' for one in sorted(without))
    but = f" && !(action in [{named}])" if named else ""
    return f'forbid (principal, action, resource)\nwhen {{ context.route == "{quoted(path)}"{but} }}\n'


def quoted(text):
    """The text between the quotes of a Cedar string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def unknown(found):
    """The switched routes of which no scopes are recorded, by API."""
    recorded = {(one["api"], one["route"]) for one in found["adopted"]}
    missing = {}
    for api, one in found["switched"].items():
        if routes := [route for route in one["routes"] if (api, route) not in recorded]:
            missing[api] = routes
    return missing


def starts_over(found):
    """Whether the folder starts from the shipped rules, and the authorizer has others."""
    deployed, known = (found["stack"] or {}).get("accepts", {}).get("POLICIES_DIR"), found["rules"]
    return bool(deployed and known["shipped"])


def write(target, found, plan_id):
    """Writes the folder: the schema with the routes, the known rules, and those of the switched routes' scopes."""
    known, switched = found["rules"], found["adopted"]
    target.mkdir(parents=True, exist_ok=True)
    routes = [route for api in found["rest"] + found["http"] for route in api["routes"]]
    routes += [one["route"] for one in switched]
    (target / SCHEMA).write_text(schema(known["schema"], routes), encoding="utf-8")
    for name, content in known["files"].items():
        (target / name).write_bytes(content)
    namespace = NAMESPACE.search(known["schema"])
    text = scope_rules(switched, namespace[1] if namespace else "Gatehouse")
    # The record first: without it the next plan could not tell which rules to write.
    # Without a stack it is unknown which rules are deployed: a plan with one asks.
    is_shipped = known["shipped"] and (found["stack"] is None or starts_over(found))
    record = {"plan": plan_id, "shipped": is_shipped, "routes": switched}
    (target / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if text:
        head = f"// gatehouse-adopt wrote this file ({fingerprint(text)}): write other rules into another one.\n"
        (target / ADOPTED).write_text(head + text, encoding="utf-8")
    else:
        (target / ADOPTED).unlink(missing_ok=True)
