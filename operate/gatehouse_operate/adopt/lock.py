"""One apply or undo at a time for a pool or API, on all machines: a parameter of Systems Manager is the lock.

PutParameter without `Overwrite` succeeds for one caller only. The value names the holder. A lock that a crashed process
left is taken again with the same journal on the same machine, whose file lock proves that the process is gone. Others
need `--unlock`, which overwrites the parameter: its version then tells whether another process has taken it meanwhile.
"""

import contextlib
import getpass
import json
import re
import socket

from ..aws import code_of, or_none
from .common import Refused

PREFIX = "/gatehouse/adopt/"
# Of a lock that is released between two calls.
TRIES = 5


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
    """Takes a lock. Raises Refused if another process holds it, or takes it at the same time."""
    for _ in range(TRIES):
        try:
            ssm.put_parameter(**value_of(name, holder))
            return
        except ssm.exceptions.ParameterAlreadyExists:
            other, version = holder_of(ssm, name)
        if other == holder:
            return
        if other is not None:
            break
        # It was released in between.
    else:
        raise Refused(f"{name} is taken and released all the time: repeat the command.")
    if not unlock:
        text = f"{name} is held by plan {other.get('plan')} of {other.get('by')}."
        raise Refused(f"{text} If that process is gone, repeat the command with --unlock.")
    written = ssm.put_parameter(**value_of(name, holder), Overwrite=True)["Version"]
    # The first version of a new parameter, or the one after the version that was read.
    if written not in (1, version + 1):
        raise Refused(f"{name} was taken by another process too. Repeat the command with --unlock once that is done.")


def value_of(name, holder):
    return {"Name": name, "Type": "String", "Value": json.dumps(holder)}


def holder_of(ssm, name):
    """Who holds a lock, or None, and the version of its parameter."""
    response = or_none(ssm.get_parameter, "ParameterNotFound", Name=name)
    if response is None:
        return None, 0
    version = response["Parameter"]["Version"]
    with contextlib.suppress(ValueError):
        value = json.loads(response["Parameter"]["Value"])
        if isinstance(value, dict):
            return value, version
    return {"plan": "(unreadable)", "by": "(unreadable)"}, version


def release(ssm, name, holder):
    """Removes a lock that this process holds."""
    with contextlib.suppress(ssm.exceptions.ParameterNotFound):
        if holder_of(ssm, name)[0] == holder:
            ssm.delete_parameter(Name=name)


def explain_denied(error):
    """The text for a caller who may not write parameters, or None for another error."""
    if code_of(error) == "AccessDeniedException" and error.operation_name.endswith("Parameter"):
        return f"The lock needs ssm:PutParameter, GetParameter and DeleteParameter on {PREFIX}*."
    return None
