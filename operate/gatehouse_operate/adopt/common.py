"""What every module of the command shares: refusals, fingerprints, the form of a step.

A *step* is one change of one resource: `id`, `kind`, `target` (what names the resource), `before` and `after` (its
state, None for absent) and `says` (the line for people). Each kind has a module with `read`, which returns the present
state, and `write`, which changes the resource from one state to another. Applying a step writes `after`, undoing it
writes `before`.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass

# The name of the authorizers that apply makes.
AUTHORIZER = "gatehouse-adopt"
MADE = re.compile(r"\$\{made:([^}]*)\}")


class Refused(Exception):
    """The command stops, and has not begun the change that the text names."""


class Unfinished(Exception):
    """The command stops in between; the same command continues later."""


@dataclass
class Found:
    """A resource's present state, None if it is absent, and its id where AWS chose it."""

    state: dict | None
    id: str | None = None


def fingerprint(value):
    """A short hash of a JSON value, the same for each order of members."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprints(members):
    """A fingerprint for each member."""
    return {name: fingerprint(value) for name, value in members.items()}


def routes_watched(routes, switched, authorization):
    """A fingerprint of each route. Of those that the plan switches, the members of the authorization are left out."""
    found = {}
    for name, route in routes.items():
        left_out = authorization if name in switched else ()
        found[name] = {key: value for key, value in route.items() if key not in left_out}
    return fingerprints(found)


def differences(before, after):
    """The names whose values differ, sorted; an absent one differs from every value."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def made_by(step_id):
    """Stands in a state for the id of the resource that the step creates."""
    return f"${{made:{step_id}}}"


def resolved(value, made):
    """A state with the ids of created resources in it. An id that is not known yet stays a reference."""
    match value:
        case dict():
            return {name: resolved(one, made) for name, one in value.items()}
        case list():
            return [resolved(one, made) for one in value]
        case str():
            return MADE.sub(lambda found: made.get(found[1], found[0]), value)
    return value


def settled(read, wanted, tries=5):
    """What `read` returns, once `wanted` accepts it or some seconds have passed: AWS may serve a former state."""
    for _ in range(tries - 1):
        found = read()
        if wanted(found):
            return found
        time.sleep(1)
    return read()


def only(entries, what):
    """The one entry, or None. Two are refused: the command cannot know which of them is its own."""
    if len(entries) > 1:
        raise Refused(f"{what}: there are {len(entries)} of that name. Remove those that are not in use.")
    return entries[0] if entries else None
