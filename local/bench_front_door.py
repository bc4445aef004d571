#!/usr/bin/env python3
"""Measures how much load the local stack's API Gateway bears, which is the emulator's, and what is busy at its limit:
`make bench PART=front-door`.

    bench_front_door.py FOLDER    a folder with release builds of all functions; GATEHOUSE_QUICK=1 for a check in seconds

wrk sends. One method has no authorizer, one has it in front of a function, and one set-up is refused by it. The tables are
the emulator's, too.
"""

import contextlib
import pathlib
import shutil
import sys

import load
import proxies
import stack
from client import Person
from servers import free_port

CONNECTIONS = (1, 16) if load.QUICK else (1, 8, 32)
EMULATOR = "the emulator"
# The emulator throttles as the template says, which is what its defaults would measure.
UNLIMITED = {"RequestsPerSecond": "10000", "RequestBurst": "5000"}


def main(arguments):
    binaries = pathlib.Path(arguments[0]).resolve()
    functions = sorted(folder.name for folder in (stack.ROOT / "functions").iterdir())
    if not proxies.WRK.exists():
        raise SystemExit(f"**** {proxies.WRK} is missing: this benchmark needs Debian's wrk. ****")
    programs = load.Programs({str(binaries / name): name for name in functions})
    with contextlib.ExitStack() as stacks:
        with programs.starting(EMULATOR):
            state = stacks.enter_context(running(binaries))
        load.measure("front-door", list(setups(state)), CONNECTIONS, programs, seconds=4)


@contextlib.contextmanager
def running(binaries):
    """A local stack whose functions are in `binaries`."""
    port = free_port()
    folder = stack.HOME / f"load-{port}"
    state = stack.start(folder, port, lambda name: binaries / name, UNLIMITED)
    try:
        yield state
    finally:
        stack.stop(state["pid"])
        shutil.rmtree(folder, ignore_errors=True)


def setups(state):
    """Each set-up's name, the address that wrk asks, the headers of its requests, and whether it refuses them."""
    person = Person(state, say=lambda _line: None)
    person.sign_up()
    signed_in, signed_out = person.sign_in().access, person.sign_in()
    person.log_out(signed_out.access, {"refresh_token": signed_out.refresh}, 200)
    yield "a page of auth-api, without the authorizer", f"{state['api']}/auth/confirm", {}, False
    address = f"{state['api']}/whoami"
    yield "the authorizer, then whoami", address, {"Authorization": f"Bearer {signed_in}"}, False
    yield "the authorizer refuses: logged out", address, {"Authorization": f"Bearer {signed_out.access}"}, True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
