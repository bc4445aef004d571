"""A PostgreSQL server for the tests, on a free loopback port."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from servers import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNPRIVILEGED = 65534


@contextlib.contextmanager
def running():
    """Yields the connection string for libpq."""
    packages = next((ROOT / ".tools" / "postgres" / "lib").glob("python3*/site-packages"))
    home = pathlib.Path(tempfile.mkdtemp(prefix="gatehouse-postgres-"))
    home.chmod(0o755)
    owner = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root, and another user may not be able to read this checkout.
        for part in ("pgserver", "pgserver.libs"):
            shutil.copytree(packages / part, home / part)
        packages = home
        owner = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    programs = packages / "pgserver" / "pginstall" / "bin"
    data = home / "data"
    data.mkdir()
    if owner:
        os.chown(data, UNPRIVILEGED, UNPRIVILEGED)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, **owner}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C"}
    try:
        options = ["--username=gatehouse", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C"]
        subprocess.run([programs / "initdb", "-D", data, *options], check=True, env=environment, **quiet)
        port = free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen([programs / "postgres", "-D", data, *arguments], env=environment, **quiet)
        try:
            wait_for("PostgreSQL", port, server)
            yield f"postgres://gatehouse@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)
