"""The report for programs."""

import json

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.sources import SOURCES

VERSION = 1


def render(report, now):
    """The report as JSON."""
    document = {
        "version": VERSION,
        "time": now.isoformat(timespec="seconds"),
        "region": report.region,
        "account": report.account,
        "scope": report.scope,
        "fail_on": report.fail_on.word,
        "failed": len(report.failed),
        "not_checked": len(report.unchecked),
        "counts": report.counts(),
        "findings": [entry(one) for one in report.findings],
        "suppressed": [
            entry(one) | {"reason": by.reason, "expires": by.expires.isoformat()} for one, by in report.suppressed
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def entry(finding):
    """One finding."""
    check = finding.check
    return {
        "check": check.id,
        "severity": finding.severity.word,
        "resource": finding.resource,
        "label": finding.label,
        "title": check.title,
        "found": finding.found,
        "why": check.why,
        "mend": mend.complete(finding.mend),
        "breaks": check.breaks,
        "sources": [SOURCES[name][1] for name in check.sources],
    }
