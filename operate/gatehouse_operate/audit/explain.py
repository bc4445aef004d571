"""`gatehouse audit explain ID`: what a check asks, and where its reason was read."""

import textwrap

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import GROUPS, Names
from gatehouse_operate.audit.sources import SOURCES

WIDTH = 100


def render(check_id):
    """The explanation of a check; None for an unknown id."""
    check = CHECKS.get(check_id)
    if check is None:
        return None
    parts = [
        f"{check.id} ({check.severity.word}, {GROUPS[check.group]})",
        check.title + ".",
        "",
        *textwrap.wrap(f"Why: {check.why}", WIDTH),
        "",
        "Mend:",
        *(f"  {line}" for line in mend.complete(check.mend.format_map(Names())).splitlines()),
        "",
        *textwrap.wrap(f"Breaks: {check.breaks}", WIDTH),
        "",
        "Sources:",
        *(
            [f"  {title}\n  {url}" for title, url in (SOURCES[name] for name in check.sources)]
            or ["  the audit itself"]
        ),
    ]
    return "\n".join(parts) + "\n"


def alike(check_id):
    """The ids that contain a word of an unknown id."""
    words = [word for word in check_id.split("-") if len(word) > 2]
    return [known for known in CHECKS if any(word in known for word in words)]
