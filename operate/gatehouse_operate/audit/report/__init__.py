"""What one run of the audit found, and the formats that it is written in."""

import re
from dataclasses import dataclass, field

from gatehouse_operate.audit.finding import Severity

# Control characters: a name in an answer must not move the cursor of a terminal, nor break XML.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


@dataclass
class Report:
    """The result of a run."""

    region: str
    account: str
    scope: list
    findings: list
    suppressed: list = field(default_factory=list)
    fail_on: Severity = Severity.HIGH
    checks_run: list = field(default_factory=list)

    @property
    def failed(self):
        """The findings at or above the threshold."""
        return [one for one in self.findings if one.severity >= self.fail_on]

    @property
    def unchecked(self):
        """The findings that say that something was not read."""
        return [one for one in self.findings if one.check.id == "audit-not-checked"]

    def counts(self):
        """How many findings there are of each severity."""
        found = {severity.word: 0 for severity in reversed(Severity)}
        for one in self.findings:
            found[one.severity.word] += 1
        return found


def clean(text):
    """Text without control characters."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
