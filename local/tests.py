#!/usr/bin/env python3
"""Runs the workspace's tests and lists the ten slowest. Arguments are passed to `cargo test`."""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMED = re.compile(r"^test (\S.*?) \.\.\. \S+ <([0-9.]+)s>$")
SHOWN = 10


def main(arguments):
    host = re.search(r"^host: (\S+)$", output_of("rustc", "-vV"), re.MULTILINE)[1]
    runner = f"CARGO_TARGET_{host.upper().replace('-', '_')}_RUNNER"
    environment = os.environ | {runner: str(ROOT / "local" / "test-runner")}
    command = ["cargo", "test", "--workspace", "--no-fail-fast", *arguments]
    slowest = []
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := TIMED.match(line.rstrip()):
                slowest.append((float(found[2]), found[1]))
    print(f"\nThe slowest of {len(slowest)} tests:")
    for seconds, name in sorted(slowest, reverse=True)[:SHOWN]:
        print(f"{seconds:8.1f} s  {name}")
    return process.returncode


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
