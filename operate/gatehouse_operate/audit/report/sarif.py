"""The report as SARIF 2.1.0, for code scanning."""

import hashlib
import json

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import GROUPS, Severity
from gatehouse_operate.audit.report import clean
from gatehouse_operate.audit.sources import SOURCES

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# GitHub sorts rules by this number: 9 and above are critical, 7 high, 4 medium.
SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0",
    Severity.INFO: "0.0",
}


def render(report, anchor=None):
    """The report as SARIF. GitHub shows only results with a file: `anchor` names one, such as template.yaml."""
    used = sorted({one.check.id for one in report.findings} | {one.check.id for one, _ in report.suppressed})
    run = {
        "tool": {"driver": {"name": "gatehouse-audit", "rules": [rule(CHECKS[name]) for name in used]}},
        "columnKind": "utf16CodeUnits",
        "results": [result(one, used, anchor) for one in report.findings]
        + [
            result(one, used, anchor) | {"suppressions": [{"kind": "external", "justification": clean(by.reason)}]}
            for one, by in report.suppressed
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def rule(check):
    """A check as a reportingDescriptor."""
    sources = [f"[{title}]({url})" for title, url in (SOURCES[name] for name in check.sources)]
    text = f"{check.why}\n\nWhat breaks when it is mended: {check.breaks}\n\nSources: {', '.join(sources) or 'none'}"
    web = next((SOURCES[name][1] for name in check.sources if SOURCES[name][1].startswith("https:")), None)
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "help": {"text": text, "markdown": text},
        **({"helpUri": web} if web else {}),
        "defaultConfiguration": {"level": LEVELS[check.severity]},
        "properties": {"security-severity": SCORES[check.severity], "tags": ["security", GROUPS[check.group]]},
    }


def result(finding, used, anchor):
    """A finding as a result."""
    location = {"logicalLocations": [{"fullyQualifiedName": clean(finding.resource), "kind": "resource"}]}
    if anchor:
        location["physicalLocation"] = {"artifactLocation": {"uri": anchor}, "region": {"startLine": 1}}
    return {
        "ruleId": finding.check.id,
        "ruleIndex": used.index(finding.check.id),
        "level": LEVELS[finding.severity],
        "message": {"text": clean(f"{finding.label}: {finding.found} Mend: {mend.complete(finding.mend)}")},
        "locations": [location],
        "partialFingerprints": {"gatehouseAudit/v1": hashlib.sha256(finding.fingerprint.encode()).hexdigest()},
        "properties": {"severity": finding.severity.word},
    }
