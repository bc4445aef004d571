"""Findings that the operator accepts, with a reason and until a date.

[[suppress]]
check = "client-refresh-lifetime"
resource = "us-east-1_AbCdEfGhI/*"        # fnmatch; left out: every resource
reason = "The kiosk has no keyboard; ticket SEC-41"
expires = 2027-03-31
"""

import datetime
import fnmatch
import tomllib
from dataclasses import dataclass

from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import Finding

NAME = "gatehouse-audit.toml"
# Checks that cannot be accepted: they are about the audit.
NEVER = {"audit-suppression-expired", "audit-suppression-unreasoned"}


class Invalid(Exception):
    """The file cannot be read as suppressions."""


@dataclass(frozen=True)
class Suppression:
    """One entry of the file. `problem` says why it has no effect."""

    number: int
    check: str
    resource: str
    reason: str
    expires: datetime.date
    problem: str

    def covers(self, finding):
        """Whether the entry names the finding."""
        return finding.check.id == self.check and fnmatch.fnmatchcase(finding.resource, self.resource)


def load(file):
    """The entries of a file."""
    try:
        with open(file, "rb") as opened:
            entries = tomllib.load(opened).get("suppress", [])
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise Invalid(f"{file}: suppressions are tables [[suppress]]")
    return [suppression(number, one) for number, one in enumerate(entries, 1)]


def suppression(number, entry):
    """One entry, with what is wrong with it."""
    check, reason, expires = entry.get("check", ""), entry.get("reason", ""), entry.get("expires")
    expires = expires.date() if isinstance(expires, datetime.datetime) else expires
    unknown = sorted(entry.keys() - {"check", "resource", "reason", "expires"})
    problem = ""
    if not isinstance(check, str) or check not in CHECKS:
        problem = f"names the unknown check {check}"
    elif check in NEVER:
        problem = f"names {check}, which cannot be suppressed"
    elif unknown:
        problem = f"has unknown members: {', '.join(unknown)}"
    elif not isinstance(reason, str) or not reason.strip():
        problem = "has no reason"
    elif not isinstance(expires, datetime.date):
        problem = "has no expiry that is a date"
    text = reason if isinstance(reason, str) else ""
    return Suppression(number, str(check), str(entry.get("resource", "*")), text, expires, problem)


def apply(findings, suppressions, file, today):
    """The findings that count, and the suppressed ones with their entry.

    Entries that are malformed, expired or without a match are findings too, and the first two hide nothing."""
    counted, hidden, about = [], [], []
    effective = [one for one in suppressions if not one.problem and one.expires >= today]
    used = set()
    for finding in findings:
        entry = next((one for one in effective if one.covers(finding)), None)
        if entry:
            used.add(entry)
            hidden.append((finding, entry))
        else:
            counted.append(finding)
    for one in suppressions:
        if one.problem:
            about.append(entry_finding("audit-suppression-unreasoned", one, file, one.problem))
        elif one.expires < today:
            about.append(entry_finding("audit-suppression-expired", one, file, f"expired on {one.expires}"))
        elif one not in used:
            about.append(entry_finding("audit-suppression-unused", one, file, "matches no finding"))
    return counted + about, hidden


def entry_finding(check, entry, file, text):
    """A finding about an entry of the file."""
    found = f"Entry {entry.number} ({entry.check or 'no check'}, {entry.resource}) {text}."
    check = CHECKS[check]
    return Finding(check, check.severity, f"{file}#{entry.number}", str(file), found, check.mend)
