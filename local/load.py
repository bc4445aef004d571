"""Load of a program by wrk, and the processor time that each program of the set-up uses meanwhile: what
`bench_forward.py` and `bench_front_door.py` share. GATEHOUSE_QUICK=1 measures for seconds only."""

import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import time

import proxies

QUICK = "GATEHOUSE_QUICK" in os.environ
ROUNDS = 1 if QUICK else int(os.environ.get("GATEHOUSE_ROUNDS", "3"))
UNITS = {"us": 0.001, "ms": 1, "s": 1000}


def measure(bench, setups, connections, programs, seconds=2):
    """Measures each set-up (its name, an address, the headers of the requests, whether it refuses them) with each number
    of connections for so many seconds, in turns, and prints the results under the name `bench`."""
    seconds = 1 if QUICK else seconds
    runs = {(name, count): [] for name, *_ in setups for count in connections}
    for _ in range(ROUNDS):
        for name, address, headers, refuses in setups:
            for count in connections:
                runs[name, count].append(measured(address, headers, refuses, count, programs, seconds))
    report(bench, runs, seconds)


class Programs:
    """The CPU time of the programs that this one started, by name. `executables` names those that the others start, by
    their files."""

    def __init__(self, executables=()):
        self.names, self.executables = {}, dict(executables)

    @contextlib.contextmanager
    def starting(self, name):
        """The processes that start in this block have this name, and so do theirs."""
        before = {pid for pid, (parent, _) in processes().items() if parent == os.getpid()}
        yield
        after = {pid for pid, (parent, _) in processes().items() if parent == os.getpid()}
        self.names |= dict.fromkeys(after - before, name)

    def seconds(self):
        """CPU seconds so far, by name."""
        all_of_them, used = processes(), {}
        for pid, (parent, seconds) in all_of_them.items():
            name = self.executables.get(executable(pid)) or self.names.get(pid) or self.names.get(parent)
            if name:
                used[name] = used.get(name, 0) + seconds
        return used


def executable(pid):
    """The file that a process runs, if it still runs and may be asked."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/exe")


def processes():
    """The parent and the CPU seconds of each process."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            found[int(stat.parent.name)] = (int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def measured(address, headers, refuses, connections, programs, seconds):
    """Requests a second, the 50th and 99th percentile of the time of a response in ms, and the processors that each
    program used. Every response is a success, or if `refuses` every one a refusal."""
    command = [proxies.WRK, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    before, began, children = programs.seconds(), time.monotonic(), os.times()
    done = subprocess.run(
        [*command, address],
        env=proxies.unpacked(proxies.WRK), capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, after, ended = time.monotonic() - began, programs.seconds(), os.times()
    output = done.stdout
    # wrk's rate is of its own duration.
    requests = int(re.search(r"(\d+) requests in ", output)[1])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if int(failed[1] if failed else 0) != (requests if refuses else 0) or "Socket errors" in output:
        raise SystemExit(output)
    percentiles = {}
    for percent, value, unit in re.findall(r"^ +(\d+)% +([0-9.]+)(us|ms|s)$", output, re.MULTILINE):
        percentiles[percent] = float(value) * UNITS[unit]
    used = {name: (seconds - before.get(name, 0)) / took for name, seconds in after.items()}
    wrk = ended.children_user + ended.children_system - children.children_user - children.children_system
    rate = float(re.search(r"Requests/sec: +([0-9.]+)", output)[1])
    used["wrk"] = wrk / took
    cpu_seconds = {name: share * took for name, share in used.items()}
    return {"rate": rate, "p50": percentiles["50"], "p99": percentiles["99"], "used": used, "cpu_seconds": cpu_seconds,
            "requests": requests}  # fmt: skip


def report(bench, runs, seconds):
    print(f"\nMedians of {ROUNDS} runs of {seconds} s on {os.cpu_count()} processors; times in ms.\n")
    print("| set-up | connections | requests/s | p50 | p99 | processors used |")
    print("|---|---|---|---|---|---|")
    for (name, count), found in runs.items():
        middle = {key: statistics.median(one[key] for one in found) for key in ("rate", "p50", "p99")}
        rates = [one["rate"] for one in found]
        used = {one: statistics.median(run["used"].get(one, 0) for run in found) for one in found[0]["used"]}
        used = {one: round(share, 2) for one, share in used.items() if share >= 0.02}
        # Of all runs together, unrounded: the kernel counts in hundredths of a second.
        requests = sum(run["requests"] for run in found)
        cpu_us = {one: sum(run["cpu_seconds"].get(one, 0) for run in found) / requests * 1e6 for one in found[0]["used"]}
        shown = ", ".join(f"{one} {share:.2f}" for one, share in sorted(used.items(), key=lambda pair: -pair[1]))
        print(f"| {name} | {count} | {middle['rate']:,.0f} | {middle['p50']:.2f} | {middle['p99']:.2f} | {shown} |")
        result = {"name": name, "connections": count, "runs": len(found), "rate_low": min(rates),
                  "rate_high": max(rates), **middle, "used": used, "cpu_us": cpu_us}  # fmt: skip
        print(json.dumps({"bench": bench, "result": result}, separators=(",", ":")))
