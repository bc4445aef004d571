"""Checks, what they find, and the list of all checks."""

import enum
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field


class Severity(enum.IntEnum):
    """How much a finding matters. `--fail-on` compares them."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self):
        return self.name.lower()


CRITICAL, HIGH, MEDIUM, LOW, INFO = reversed(Severity)
GROUPS = {
    "pool": "User pool",
    "client": "App clients",
    "identity": "Identity pools",
    "api": "APIs",
    "entry": "Other ways in",
    "system": "This system",
    "federation": "Federation",
    "audit": "The audit itself",
}


@dataclass(frozen=True)
class Hit:
    """What a check found. A severity replaces the check's own, a resource and label those of the subject.

    `part` tells several findings of one check and subject apart; it becomes part of the resource's name."""

    found: str
    severity: Severity = None
    resource: str = None
    label: str = None
    values: dict = field(default_factory=dict)
    part: str = ""
    # Replaces the check's own command.
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """One question about one kind of subject."""

    id: str
    group: str
    severity: Severity
    title: str
    why: str
    sources: tuple
    mend: str
    breaks: str
    run: Callable = None
    subjects: Callable = None


@dataclass(frozen=True)
class Finding:
    """A fault of one resource."""

    check: Check
    severity: Severity
    resource: str
    label: str
    found: str
    mend: str

    @property
    def fingerprint(self):
        """Stable across runs for the same fault of the same resource."""
        return f"{self.check.id}:{self.resource}"


CHECKS = {}


def subjects_of(kind):
    """A decorator for the checks of one kind of subject.

    `kind` returns the subjects of `Facts`; the decorated function yields texts or Hits for one subject."""

    def check(id, severity, title, *, why, sources, mend, breaks):
        def decorate(function):
            group = id.partition("-")[0]
            if id in CHECKS or group not in GROUPS:
                raise ValueError(f"check {id}")
            CHECKS[id] = Check(id, group, severity, title, why, tuple(sources), mend, breaks, function, kind)
            return function

        return decorate

    return check


def run(facts):
    """The findings of every check, worst first."""
    found = []
    for check in CHECKS.values():
        if check.run:
            found += findings(check, facts)
    return sorted(
        found, key=lambda one: (-one.severity, list(GROUPS).index(one.check.group), one.check.id, one.resource)
    )


def findings(check, facts):
    """The findings of one check. Input that it cannot read is a finding too."""
    for subject in check.subjects(facts):
        try:
            for hit in check.run(subject, facts):
                yield finding(check, subject, hit)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            text = f"{check.id} could not read its input ({type(error).__name__}): is it an answer of AWS?"
            yield finding(CHECKS["audit-not-checked"], subject, Hit(text))


def finding(check, subject, hit):
    """A Finding, with the subject's names in the command that mends it."""
    hit = Hit(hit) if isinstance(hit, str) else hit
    severity = check.severity if hit.severity is None else hit.severity
    values = Names(subject.values | hit.values)
    resource = (hit.resource or subject.resource) + (f"/{hit.part}" if hit.part else "")
    return Finding(
        check, severity, resource, hit.label or subject.label, hit.found, (hit.mend or check.mend).format_map(values)
    )


class Names(dict):
    """The names in a command, safe for a shell. An unknown one stays a placeholder."""

    def __missing__(self, key):
        return Name(f"<{key.replace('_', '-')}>", is_known=False)

    def __getitem__(self, key):
        return Name(super().__getitem__(key)) if key in self else self.__missing__(key)


class Name:
    """A value in a command: `{pool}` is a word of the shell, `{attribute:jq}` a string of a jq program in quotes.

    A list of texts is an array of the jq program."""

    def __init__(self, value, is_known=True):
        self._value = [printable(one) for one in value] if isinstance(value, list) else printable(value)
        self._is_known = is_known

    def __format__(self, form):
        if form == "jq":
            return json.dumps(self._value, ensure_ascii=False).replace("'", "'\\''")
        return shlex.quote(str(self._value)) if self._is_known else self._value


def printable(value):
    """A text without control characters: a line break would end a comment."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", str(value))
