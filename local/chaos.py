#!/usr/bin/env python3
"""Injects the faults of tests/it/chaos for about a quarter of an hour, and writes the table of docs/reliability.md.

    chaos.py           everything; the table is in .local/chaos.md
    chaos.py NAME      only the tests whose names contain it; their rows are printed

`make chaos` calls it. Logs are in .local/chaos.log. The exit code is not 0 after a failed test, if an experiment has no
row because this machine cannot run it, and if no test has the name.
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

import tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
ROWS = HOME / "chaos"
LOG = HOME / "chaos.log"
TABLE = HOME / "chaos.md"
SKIPPED = HOME / "chaos-skipped.txt"
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
RESULT = re.compile(r"test result: .* (\d+) passed; (\d+) failed;")
HEADER = "| fault | promise | injected | observed | worst value | command |\n|---|---|---|---|---|---|\n"


def main(names):
    HOME.mkdir(exist_ok=True)
    shutil.rmtree(ROWS, ignore_errors=True)
    for file in (LOG, SKIPPED):
        file.unlink(missing_ok=True)
    began = time.monotonic()
    runs = [[*names, *FAULTS[1:]]] if names else [FAULTS, CHECKER]
    results = [run(arguments) for arguments in runs]
    minutes = (time.monotonic() - began) / 60
    ids = [name for name, test in experiments() if not names or any(part in test for part in names)]
    rows = [(ROWS / name).read_text() for name in ids if (ROWS / name).exists()]
    missing = [name for name in ids if not (ROWS / name).exists()]
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
    return verdict(results, missing)


def verdict(results, missing):
    """The exit code of runs with these exit codes and numbers of tests, and without these rows. Prints why it is not 0."""
    code = max(code for code, _ in results)
    if code:
        print(f"A promise was broken, or a test failed: {LOG.relative_to(ROOT)}")
    for line in tests.skipped(SKIPPED):
        print(f"Skipped: {line}")
    if missing:
        print(f"Experiments without a result: {', '.join(missing)}")
    if not all(count for _, count in results):
        print("No test was run.")
        return code or 2
    return code or (1 if missing else 0)


def run(arguments):
    """The exit code of tests on a new stack, with their rows in a folder, and the number of tests that were run."""
    environment = os.environ | {
        "GATEHOUSE_CHAOS_ROWS": str(ROWS),
        "GATEHOUSE_OPERATIONS": OPERATIONS,
        "GATEHOUSE_SKIPPED": str(SKIPPED),
    }
    count = 0
    command = [*STACK, *TESTS, *arguments, "--nocapture"]
    with LOG.open("a") as log, subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout:
            log.write(line)
            log.flush()
            if found := re.search(r"chaos: \| ([^|]*) \|.*; (\d+) violations", line):
                print(f"{found[1]}: {found[2]} violations", flush=True)
            elif re.search(r"test result|FAILED|skipped: ", line):
                print(line, end="", flush=True)
            if found := RESULT.search(line):
                count += int(found[1]) + int(found[2])
    return abs(process.returncode), count


def experiments():
    """The id and the test of each experiment, in the order of the table."""
    return re.findall(r'^ +id: "([a-z-]+)".*?^ +test: "([a-z_:]+)"', EXPERIMENTS.read_text(), re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
