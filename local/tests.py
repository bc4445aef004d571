#!/usr/bin/env python3
"""Runs every test: cargo's against a local stack; beside them those of Python that need one, against three others; and at a
lower priority those of Python that need no stack.

    tests.py [-jN] [NAME]    with NAME only the tests whose names contain it
    tests.py cargo ARG ...   `cargo test ARG ...` with the ten slowest tests, against the stack of the caller

The output of what runs beside something else is in .local/test-*.log, and is printed when it has ended.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

import elapsed

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
SAM = ROOT / ".tools/sam/bin/python"
STACK = [sys.executable, ROOT / "local/stack.py", "exec"]
DATABASES = [*STACK, "--databases"]
OURS = [sys.executable, ROOT / "local/tests.py"]
TIMED = re.compile(r"^test (\S.*?) \.\.\. \S+ <([0-9.]+)s>$")
SHOWN = 10
# A line for each experiment that this machine cannot run.
SKIPPED = HOME / "skipped.txt"
UNITTEST = [SAM, "-m", "unittest", "discover"]
TEMPLATE = [*UNITTEST, "tests/template"]
SCRIPTS = [*UNITTEST, "-s", "local", "-p", "test_*.py"]
# test_operate.py and the others, each with a stack of its own.
SCRIPTS_ON_A_STACK = [*UNITTEST, "-s", "local", "-p", "test_[!o]*.py"]
DEPLOYMENTS_ON_A_STACK = [*UNITTEST, "-s", "local", "-p", "test_o*.py"]
OPERATE = [*UNITTEST, "operate/tests"]
CLAIMS = [*UNITTEST, "tests/claims"]
ON_A_STACK = ["-k", "LocalStack"]
# One after the other. They wait for their stacks most of the time, as cargo's tests do for theirs.
ON_STACKS = {
    "deployments on a stack": [*STACK, *DEPLOYMENTS_ON_A_STACK, *ON_A_STACK],
    "scripts on a stack": [*STACK, *SCRIPTS_ON_A_STACK, *ON_A_STACK],
    "operators' programs on a stack": [*DATABASES, *OPERATE, *ON_A_STACK],
}
# These need no stack, only the processor's time that the others leave. The first ones compute, the last ones wait. With
# more of it for them, functions in the local stack exceed their time limits on two cores.
BESIDE = [
    {
        "template": ["nice", *TEMPLATE],
        "claims": ["nice", *CLAIMS],
        "operators' programs": ["nice", *OPERATE],
    },
    {"scripts": ["nice", *SCRIPTS]},
]


def main(arguments):
    if arguments[:1] == ["cargo"]:
        return cargo(arguments[1:])
    names = [one for one in arguments if not one.startswith("-")]
    if names:
        return worst(chosen(names, arguments))
    began = elapsed.began()
    # Most tests wait for other processes half of the time.
    os.environ.setdefault("RUST_TEST_THREADS", str(2 * (os.cpu_count() or 1)))
    lanes = [ON_STACKS, *BESIDE]
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        running = [pool.submit(parts, lane) for lane in lanes]
        codes = [run([*DATABASES, *OURS, "cargo", *arguments])]
        for lane in running:
            for name, code, seconds in lane.result():
                print(f"\n==> tests of the {name} ({seconds:.0f} s)\n{log_of(name).read_text()}", end="", flush=True)
                codes.append(code)
    report_skipped()
    outcome = "failed" if any(codes) else "passed"
    print(f"\nTests {outcome} in {elapsed.since(began)}, with what was built for them.")
    return worst(codes)


def worst(codes):
    """The exit code of several commands. A signal's is negative; a shell reports it as 128 and more."""
    return max(128 - code if code < 0 else code for code in codes)


def chosen(names, arguments):
    """The exit codes of the tests with one of these names, one after the other, against one stack."""
    patterns = [word for name in names for word in ("-k", name)]
    if "GATEHOUSE_STACK" not in os.environ:
        alone = [run_some([*command, *patterns]) for command in (TEMPLATE, CLAIMS)]
        return [*alone, run([*DATABASES, *OURS, *arguments])]
    return [run_some([*SCRIPTS, *patterns]), run_some([*OPERATE, *patterns]), cargo(arguments)]


def run_some(command):
    """The exit code of a selection of tests. From Python 3.12 on, unittest reports an empty one as 5."""
    code = run(command)
    return 0 if code == 5 else code


def parts(lane):
    """Runs commands one after the other."""
    return [part(name, command) for name, command in lane.items()]


def part(name, command):
    """Runs a command with its output in a file: its name, exit code and seconds."""
    HOME.mkdir(exist_ok=True)
    began = time.monotonic()
    with log_of(name).open("w") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
    return name, code, time.monotonic() - began


def log_of(name):
    return HOME / f"test-{name.replace(' ', '-')}.log"


def run(command):
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def cargo(arguments):
    host = re.search(r"^host: (\S+)$", output_of("rustc", "-vV"), re.MULTILINE)[1]
    runner = f"CARGO_TARGET_{host.upper().replace('-', '_')}_RUNNER"
    HOME.mkdir(exist_ok=True)
    SKIPPED.unlink(missing_ok=True)
    environment = os.environ | {runner: str(ROOT / "local" / "test-runner"), "GATEHOUSE_SKIPPED": str(SKIPPED)}
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
    report_skipped()
    return process.returncode


def skipped(file):
    """What tests could not run on this machine, each once: the file has a line for each time."""
    return sorted(set(file.read_text().splitlines())) if file.exists() else []


def report_skipped():
    for line in skipped(SKIPPED):
        print(f"**** SKIPPED: {line} ****", flush=True)


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
