"""The Cedar schema with the routes of the APIs, and rules for what a Lambda authorizer does not check itself."""

import pathlib
import re

from .common import Refused

# The checkout's, or that of the folder in which an installed package is run.
CHECKOUT = pathlib.Path(__file__).resolve().parents[3] / "policies"
POLICIES = CHECKOUT if CHECKOUT.is_dir() else pathlib.Path("policies")
VERBS = ("delete", "get", "head", "options", "patch", "post", "put")
ACTIONS = re.compile(r"(^  action )(.*?)(\n    appliesTo )", re.MULTILINE | re.DOTALL)


def actions(route):
    """The names of a route's actions. `ANY` stands for every verb; `$default` has no template."""
    verb, _, path = route.partition(" ")
    if not path:
        return []
    verbs = VERBS if verb == "ANY" else (verb.lower(),)
    return [f"{one} {path}" for one in verbs]


def schema(text, routes):
    """The schema with the routes' actions after its own. Raises Refused if it has no list of actions."""
    found = ACTIONS.search(text)
    if not found:
        raise Refused('The schema has no `action "..." appliesTo`.')
    known = re.findall(r'"((?:[^"\\]|\\.)*)"', found[2])
    new = {quoted(action) for route in routes for action in actions(route)} - set(known)
    listed = ",\n    ".join(f'"{action}"' for action in known + sorted(new))
    return text[: found.start()] + found[1] + listed + found[3] + text[found.end() :]


def scope_rules(scopes):
    """A rule for each route with scopes: one of them must be in the token, as for the built-in authorizers."""
    rules = []
    for route, wanted in sorted(scopes.items()):
        # `$default` has no action of its own: its rule is written by hand (needs.py says so).
        if not wanted or not actions(route):
            continue
        named = [f'Gatehouse::Action::"{quoted(action)}"' for action in actions(route)]
        matching = f"action == {named[0]}" if len(named) == 1 else f"action in [{', '.join(named)}]"
        words = ", ".join(f'"{quoted(scope)}"' for scope in sorted(wanted))
        rules.append(
            f'@id("{quoted(route)} requires a scope")\n'
            f"forbid (principal, {matching}, resource)\n"
            f"unless {{ context.token.scope.containsAny([{words}]) }};\n"
        )
    return "\n".join(rules)


def quoted(text):
    """The text between the quotes of a Cedar string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def write(folder, routes, scopes, source=POLICIES):
    """Writes schema.cedarschema, default.cedar and, if a route has scopes, adopted.cedar: a folder of policies."""
    if not (source / "schema.cedarschema").exists():
        raise Refused(f"{source} has no schema.cedarschema: name the repository's policies with --policies.")
    folder.mkdir(parents=True, exist_ok=True)
    text = (source / "schema.cedarschema").read_text(encoding="utf-8")
    (folder / "schema.cedarschema").write_text(schema(text, routes), encoding="utf-8")
    (folder / "default.cedar").write_text((source / "default.cedar").read_text(encoding="utf-8"), encoding="utf-8")
    rules = scope_rules(scopes)
    if rules:
        (folder / "adopted.cedar").write_text(rules, encoding="utf-8")
    else:
        (folder / "adopted.cedar").unlink(missing_ok=True)
