"""The report for people."""

import textwrap

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.finding import GROUPS, Severity
from gatehouse_operate.audit.report import clean

COLOURS = {
    Severity.CRITICAL: "\033[1;97;41m",
    Severity.HIGH: "\033[1;31m",
    Severity.MEDIUM: "\033[33m",
    Severity.LOW: "\033[36m",
    Severity.INFO: "\033[2m",
}
PLAIN = "\033[0m"
# Resources that are named for one text, and texts for one check.
NAMED = 3
TEXTS = 8
WIDTH = 118


def render(report, coloured=False):
    """The report as text, by group and then by severity."""
    lines = []
    for group, title in GROUPS.items():
        found = [one for one in report.findings if one.check.group == group]
        if found:
            lines += ["", title, "=" * len(title)]
            for same in merged(found):
                lines += block(same, coloured)
    counts = ", ".join(f"{number} {word}" for word, number in report.counts().items() if number)
    lines += ["", f"{len(report.findings)} findings: {counts or 'none'}; {len(report.suppressed)} suppressed."]
    if report.scope:
        lines.append(f"Looked at: {clean(', '.join(report.scope))}.")
    if report.unchecked:
        lines.append(f"Not everything could be checked: {len(report.unchecked)} answers are missing.")
    shown = [one.mend for one in report.findings if one.severity > Severity.INFO]
    if functions := mend.functions(shown):
        lines += [
            "",
            "The commands use these shell functions, because an update resets what it does not name:",
            *functions,
        ]
    lines += ["", "`gatehouse audit explain ID` has the sources of a check."]
    return "\n".join(lines).lstrip("\n") + "\n"


def merged(findings):
    """Findings with the same check and severity, together."""
    found = {}
    for one in findings:
        found.setdefault((one.check.id, one.severity), []).append(one)
    return list(found.values())


def block(same, coloured):
    """The lines of one check's findings: where, and once why and how to mend."""
    first = same[0]
    word = first.severity.name.ljust(8)
    word = f"{COLOURS[first.severity]}{word}{PLAIN}" if coloured else word
    lines = [f"{word} {first.check.id}: {first.check.title}"]
    texts = {}
    for one in same:
        texts.setdefault(clean(one.found), []).append(clean(one.label))
    for number, (text, labels) in enumerate(texts.items()):
        if number == TEXTS:
            lines += wrapped(f"and {len(texts) - TEXTS} more (--json has all)", "")
            break
        labels = list(dict.fromkeys(labels))
        more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
        lines += wrapped(f"{', '.join(labels[:NAMED])}{more}: {text}", "- ")
    if first.severity == Severity.INFO:
        return lines
    lines += wrapped(first.check.why, "why: ")
    lines.append(" " * 9 + ("mend (the first one):" if len(same) > 1 else "mend:"))
    lines += [" " * 11 + clean(line) for line in first.mend.splitlines()]
    return lines + wrapped(first.check.breaks, "breaks: ")


def wrapped(text, label):
    return textwrap.wrap(label + text, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9, break_long_words=False)
