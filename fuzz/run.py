#!/usr/bin/env python3
"""Fuzzes the targets of fuzz/, guided by coverage: `make fuzz`.

    run.py [--seconds N] [TARGET ..]    N seconds (600) for each target, after building them
    run.py --corpus [TARGET ..]         replaces fuzz/corpus by the fewest inputs with the coverage of all known ones
    run.py --table                      the sums of all runs that .local/fuzz.jsonl has, as Markdown

New inputs are kept in fuzz/found, and an input that breaks a promise in fuzz/artifacts: then the exit code is 1.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZ = ROOT / "fuzz"
RUNS = ROOT / ".local/fuzz.jsonl"
TOOLS = ROOT / ".tools/fuzz"
VERSION = "0.13.2"
# No address sanitizer: the project forbids unsafe code, and its C library is not instrumented. Without it no option is
# needed that only nightly compilers have.
OPTIONS = ["--fuzz-dir", FUZZ, "--sanitizer", "none", "--no-cfg-fuzzing"]
# The longest input, in bytes; the longest time of one by the clock, in seconds, on a machine that has other work; the most
# memory, in MB: a password hash may take 128 MB, as docs/migration.md says.
LIMITS = ["-max_len=4096", "-timeout=120", "-report_slow_units=120", "-rss_limit_mb=1024"]
# The smallest corpus keeps short inputs: what a committed one may have.
MAX_COMMITTED = 2048
# Secrets of the inputs' events, none of which belongs into a log line.
SECRETS = [b"-secret-value-0001", b"correct-horse-battery-staple"]
# What precedes an input, in hexadecimal digits, in the log of the targets whose lines are searched.
INPUT = b"input "
STATUS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--built", action="store_true", help="do not build")
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return 0
    targets = arguments.targets or all_targets()
    if unknown := set(targets) - set(all_targets()):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    if not arguments.built:
        install()
        build()
    if arguments.corpus:
        for target in targets:
            print(f"{target}: {merge(target)} inputs", flush=True)
        return 0
    found = [target for target in targets if not fuzz(target, arguments.seconds)]
    for target in found:
        print(f"{target} breaks a promise: {', '.join(map(str, artifacts(target)))}", file=sys.stderr)
    return 1 if found else 0


def all_targets():
    return sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))


def install():
    """cargo-fuzz in the checkout, once."""
    done = TOOLS / f"cargo-fuzz-{VERSION}"
    if not done.exists():
        print(f"Installing cargo-fuzz {VERSION} into .tools/fuzz (once; about a minute) ...", flush=True)
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", TOOLS, "--version", VERSION, "cargo-fuzz"],
                       cwd=ROOT, check=True)
        done.touch()


def build():
    path = f"{TOOLS / 'bin'}:{os.environ['PATH']}"
    subprocess.run(["cargo", "fuzz", "build", *OPTIONS], cwd=ROOT, env=os.environ | {"PATH": path}, check=True)


def program(target):
    host = re.search(r"^host: (\S+)$", output_of("rustc", "-vV"), re.MULTILINE)[1]
    return FUZZ / "target" / host / "release" / target


def fuzz(target, seconds):
    """Whether the target kept its promises. Its log is in .local."""
    work, corpus = FUZZ / "found" / target, FUZZ / "corpus" / target
    folder = FUZZ / "artifacts" / target
    for one in (work, corpus, folder, RUNS.parent):
        one.mkdir(parents=True, exist_ok=True)
    known = set(artifacts(target))
    command = [program(target), work, corpus, f"-max_total_time={seconds}", "-print_final_stats=1",
               f"-dict={FUZZ / 'dictionary'}", f"-artifact_prefix={folder}/", *LIMITS]
    log = RUNS.parent / f"fuzz-{target}.log"
    began, used = time.monotonic(), processor_seconds()
    with log.open("w") as errors:
        # Functions write their log to the standard output.
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as process:
            leak = leak_of(process.stdout)
            if leak:
                process.terminate()
        code = process.returncode
    if leak:
        keep(leak, folder)
    text = log.read_text(errors="replace")
    statuses = STATUS.findall(text)
    last = statuses[-1] if statuses else ("0", "0", "0")
    executions = EXECUTIONS.search(text)
    run = {
        "target": target,
        "at": int(time.time()),
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(processor_seconds() - used, 1),
        "executions": int(executions[1] if executions else last[0]),
        "edges": int(last[1]),
        "features": int(last[2]),
        # An input that was found before has the same name.
        "finds": max(len(set(artifacts(target)) - known), int(bool(code or leak))),
        "code": code,
    }
    with RUNS.open("a") as runs:
        runs.write(json.dumps(run) + "\n")
    print(f"{target}: {run['executions']} inputs in {run['seconds']:.0f} s, {run['edges']} edges, "
          f"{run['finds']} finds", flush=True)
    return code == 0 and not leak


def leak_of(lines):
    """The first line of a log with a secret, and the input that caused it; None if there is no such line."""
    last = b""
    for line in lines:
        if line.startswith(INPUT):
            last = line
        elif any(secret in line for secret in SECRETS):
            return bytes.fromhex(last.removeprefix(INPUT).decode()), line
    return None


def keep(leak, folder):
    """Writes the input and the line into files that are named as libFuzzer names those of a crash."""
    data, line = leak
    name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    (folder / f"leak-{name}").write_bytes(data)
    (folder / f"leak-{name}.log").write_bytes(line)


def artifacts(target):
    """The inputs that broke a promise, without the log lines beside them."""
    return sorted(path for path in (FUZZ / "artifacts" / target).glob("*") if path.suffix != ".log")


def merge(target):
    """Replaces the committed inputs of a target by the fewest that cover what all known ones cover: their number."""
    work, corpus = FUZZ / "found" / target, FUZZ / "corpus" / target
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [program(target), "-merge=1", folder, corpus, work, *LIMITS, f"-max_len={MAX_COMMITTED}"]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        shutil.rmtree(corpus)
        shutil.copytree(folder, corpus)
    return len(list(corpus.iterdir()))


def table():
    """Each target's sums. The edges are those of the last run, which began with all inputs of the earlier ones."""
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    rows = ["| target | inputs | processor time | edges | committed inputs | finds |", "|---|--:|--:|--:|--:|--:|"]
    total = {"executions": 0, "processor_seconds": 0.0, "finds": 0}
    for target in all_targets():
        own = [run for run in runs if run["target"] == target]
        sums = {name: sum(run[name] for run in own) for name in total}
        for name, value in sums.items():
            total[name] += value
        edges = max((run["edges"] for run in own), default=0)
        corpus = len(list((FUZZ / "corpus" / target).glob("*")))
        numbers = f"{sums['executions']:,} | {time_of(sums)} | {edges:,} | {corpus} | {sums['finds']}"
        rows.append(f"| `{target}` | {numbers} |")
    rows.append(f"| all | {total['executions']:,} | {time_of(total)} | | | {total['finds']} |")
    return "\n".join(rows)


def time_of(sums):
    return f"{sums['processor_seconds']:,.1f} s"


def processor_seconds():
    """The processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
