"""The generated parts of docs/audit.md. A test compares them with the page; GATEHOUSE_UPDATE=1 writes them."""

import json

from gatehouse_operate.audit.calls import CALLS, policy
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import GROUPS
from gatehouse_operate.audit.sources import SOURCES


def checks():
    """The list of checks, a table for each group."""
    parts = [f"{len(CHECKS)} checks. A severity that depends on what is found is explained in the finding.", ""]
    for group, title in GROUPS.items():
        parts += [
            f"### {title}",
            "",
            "| id | severity | what is wrong | why it matters | sources |",
            "|---|---|---|---|---|",
        ]
        for check in CHECKS.values():
            if check.group == group:
                links = ", ".join(link(name) for name in check.sources) or "the audit itself"
                cells = [f"`{check.id}`", check.severity.word, check.title, check.why, links]
                parts.append("| " + " | ".join(one.replace("|", "\\|") for one in cells) + " |")
        parts.append("")
    return "\n".join(parts).rstrip("\n")


def link(name):
    """A source as a link; a page of this repository relative to docs/."""
    title, address = SOURCES[name]
    return f"[{title}]({address.removeprefix('docs/')})"


def files():
    """The names of the files of an export."""
    rows = ["| file | from `aws ..` |", "|---|---|"]
    for call in CALLS.values():
        name = ".".join([call.name, *(f"<{one}>" for one in call.by if one != "AlarmNames")])
        command = " ".join(filter(None, (call.service, call.command, call.options)))
        rows.append(f"| `{name}.json` | `{command}` |")
    return "\n".join(rows)


def permissions():
    """The IAM policy."""
    return "```json\n" + json.dumps(policy(), indent=1) + "\n```"


PARTS = {"checks": checks, "files": files, "policy": permissions}


def filled(text):
    """The page with its generated parts as the code has them."""
    for name, make in PARTS.items():
        begin, end = f"<!-- generated: {name} -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        if not rest:
            raise ValueError(f"the page has no part {name}")
        text = before + begin + make() + "\n" + end + rest.partition(end)[2]
    return text
