"""One apply or undo at a time for a pool or API, on all machines: a parameter of Systems Manager is the lock.

PutParameter without `Overwrite` succeeds for one caller only. The value names the holder. A lock that a crashed process
left is taken again with the same journal on the same machine, whose file lock proves that the process is gone. Others
need `--unlock`.
"""

import contextlib
import getpass
import json
import re
import socket

from ..aws import code_of, or_none
from .common import Refused

PREFIX = "/gatehouse/adopt/"


@contextlib.contextmanager
def held(aws, plan, journal, unlock=False):
    """Holds the locks of the plan's pool and APIs. Raises Refused if another process holds one."""
    names = [PREFIX + re.sub(r"[^A-Za-z0-9_.-]", "-", one) for one in sorted(plan["locks"])]
    holder = {"plan": plan["id"], "by": f"{getpass.getuser()}@{socket.gethostname()}"}
    holder["journal"] = str(journal.path.resolve())
    taken = []
    try:
        for name in names:
            take(aws.client("ssm"), name, holder, unlock)
            taken.append(name)
        yield
    finally:
        for name in taken:
            release(aws.client("ssm"), name, holder)


def take(ssm, name, holder, unlock):
    value = {"Name": name, "Type": "String", "Value": json.dumps(holder)}
    try:
        ssm.put_parameter(**value)
    except ssm.exceptions.ParameterAlreadyExists:
        other = holder_of(ssm, name)
        if other not in (None, holder) and not unlock:
            text = f"{name} is held by plan {other.get('plan')} of {other.get('by')}."
            raise Refused(f"{text} If that process is gone, repeat the command with --unlock.") from None
        ssm.put_parameter(**value, Overwrite=True)


def holder_of(ssm, name):
    """Who holds a lock, or None."""
    response = or_none(ssm.get_parameter, "ParameterNotFound", Name=name)
    if response is None:
        return None
    with contextlib.suppress(ValueError):
        value = json.loads(response["Parameter"]["Value"])
        if isinstance(value, dict):
            return value
    return {"plan": "(unreadable)", "by": "(unreadable)"}


def release(ssm, name, holder):
    """Removes a lock that this process holds."""
    with contextlib.suppress(ssm.exceptions.ParameterNotFound):
        if holder_of(ssm, name) == holder:
            ssm.delete_parameter(Name=name)


def explain_denied(error):
    """The text for a caller who may not write parameters, or None for another error."""
    if code_of(error) == "AccessDeniedException" and error.operation_name.endswith("Parameter"):
        return f"The lock needs ssm:PutParameter, GetParameter and DeleteParameter on {PREFIX}*."
    return None
