#!/usr/bin/env python3
"""Injects the faults of tests/it/chaos for about half an hour, and writes the table of docs/reliability.md.

    chaos.py           everything; the table is in .local/chaos.md
    chaos.py NAME      only the tests whose names contain it; their rows are printed

`make chaos` calls it. Logs are in .local/chaos.log.
"""

import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
ROWS = HOME / "chaos"
LOG = HOME / "chaos.log"
TABLE = HOME / "chaos.md"
EXPERIMENTS = ROOT / "tests/it/chaos.rs"
STACK = [sys.executable, ROOT / "local/stack.py", "exec", "--databases"]
TESTS = ["cargo", "test", "-q", "--workspace", "--test", "it", "--"]
# The freeze of ten minutes takes one of the threads.
FAULTS = ["chaos::", "--include-ignored", "--test-threads", "3"]
# One after the other: its third rule is about errors on a machine that has no other work.
CHECKER = [
    "checker::only_revoked", "checker::forward_auth_rejects_only", "checker::forward_auth_keeps", "--test-threads", "1",
]  # fmt: skip
OPERATIONS = "12000"
HEADER = "| fault | promise | injected | observed | worst value | command |\n|---|---|---|---|---|---|\n"


def main(names):
    HOME.mkdir(exist_ok=True)
    shutil.rmtree(ROWS, ignore_errors=True)
    LOG.unlink(missing_ok=True)
    began = time.monotonic()
    runs = [[*names, *FAULTS[1:]]] if names else [FAULTS, CHECKER]
    codes = [run(arguments) for arguments in runs]
    minutes = (time.monotonic() - began) / 60
    rows = [(ROWS / name).read_text() for name in names_of_experiments() if (ROWS / name).exists()]
    head = (
        f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}, "
        f"{minutes:.0f} minutes, {len(rows)} experiments\n\n"
    )
    text = head + HEADER + "".join(rows)
    if names:
        print(text, end="")
    else:
        TABLE.write_text(text)
        print(f"{TABLE.relative_to(ROOT)}: {head}", end="")
    if any(codes):
        print(f"A promise was broken, or a test failed: {LOG.relative_to(ROOT)}")
    return max(codes)


def run(arguments):
    """The exit code of tests on a new stack, with their rows in a folder."""
    environment = os.environ | {"GATEHOUSE_CHAOS_ROWS": str(ROWS), "GATEHOUSE_OPERATIONS": OPERATIONS}
    command = [*STACK, *TESTS, *arguments, "--nocapture"]
    with LOG.open("a") as log, subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            log.write(line)
            log.flush()
            if found := re.search(r"chaos: \| ([^|]*) \|.*; (\d+) violations", line):
                print(f"{found[1]}: {found[2]} violations", flush=True)
            elif re.search(r"test result|FAILED|chaos: skipped", line):
                print(line, end="", flush=True)
    return abs(process.returncode)


def names_of_experiments():
    """The ids of the experiments, in the order of the table."""
    return re.findall(r'^ +id: "([a-z-]+)"', EXPERIMENTS.read_text(), re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
