"""How long a command of `make` took, for its last lines: README.md and docs/deploy.md have the times of some runs."""

import os
import resource
import time


def began():
    """The start of the command, by `time.time()`: of make's, which has prepared something before, if it says so."""
    return float(os.environ.get("GATEHOUSE_BEGAN") or time.time())


def since(start):
    return words(time.time() - start)


def processor_time():
    """Of all processes that this one has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return words(used.ru_utime + used.ru_stime)


def words(seconds):
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
