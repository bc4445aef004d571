"""Findings about the audit: what it could not read, and suppressions that no longer hold."""

from gatehouse_operate.audit.finding import INFO, MEDIUM, Hit, subjects_of

HINT = {
    "denied": "the credentials lack {actions}",
    "throttled": "AWS throttled {actions} after every retry",
    "missing": "the folder has no answer to {command}",
    "failed": "{command} failed",
    "absent": "{command} found nothing",
}


class Whole:
    """The audit as a subject."""

    resource = "audit"
    label = "the audit"
    values = {}


check = subjects_of(lambda facts: [Whole])


@check(
    "audit-not-checked",
    MEDIUM,
    "A part of the set-up could not be read",
    why="What was not read was not judged: without this finding a missing permission would look like a clean result.",
    sources=(),
    mend="gatehouse-audit --print-iam-policy",
    breaks="Nothing: the policy allows reading only.",
)
def not_checked(_, facts):
    for problem in facts.problems:
        actions = ", ".join(problem.call.permissions)
        reason = HINT[problem.kind].format(actions=actions, command=problem.call.name.replace(".", " "))
        text = f"not checked: {problem.call.what} of {problem.subject}: {reason} ({problem.kind}: {problem.reason})"
        yield Hit(text, resource=f"{problem.subject}/{problem.call.name}", label=problem.subject)


SUPPRESSION = subjects_of(lambda facts: [])


@SUPPRESSION(
    "audit-suppression-expired",
    MEDIUM,
    "A suppression has expired",
    why="A finding was accepted until a date, which has passed. It counts again.",
    sources=(),
    mend="Mend the finding, or set a later date in the file of suppressions",
    breaks="Nothing.",
)
def expired(*_):
    return ()


@SUPPRESSION(
    "audit-suppression-unreasoned",
    MEDIUM,
    "A suppression has no reason or no expiry, or is malformed",
    why="A finding that is hidden without a reason or for ever cannot be reviewed. It counts all the same.",
    sources=(),
    mend="Add `reason` and `expires` to the entry in the file of suppressions",
    breaks="Nothing.",
)
def unreasoned(*_):
    return ()


@SUPPRESSION(
    "audit-suppression-unused",
    INFO,
    "A suppression matches no finding",
    why="What it hid is mended, or the check or the resource has another name now.",
    sources=(),
    mend="Remove the entry from the file of suppressions",
    breaks="Nothing.",
)
def unused(*_):
    return ()
