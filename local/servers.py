"""Servers of the local stack and its tests: a free loopback port, and waiting until one listens there."""

import contextlib
import socket
import time

PATIENCE_SECONDS = 60


def free_port(preferred=0):
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise SystemExit("no free port")


def wait_for(name, port, process):
    """Returns when the process accepts connections; ends the program if it exits or takes over a minute."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} exited during its start")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{name} did not accept connections within a minute")
