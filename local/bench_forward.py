#!/usr/bin/env python3
"""Measures how much load forward-auth bears, alone and behind nginx, and what is busy at its limit:
`make bench PART=load`.

    bench_forward.py [BINARY]    a release build of forward-auth; GATEHOUSE_QUICK=1 for a check in seconds

wrk sends; one nginx with one worker proxies; another nginx is the backend, so that it costs little. Everything shares the
processors, so the numbers compare: one set-up is an nginx that only proxies, another asks an nginx that always allows.
Each set-up is measured with each number of connections in turn, several times. CPU time is that of each program's
processes during the measurement.
"""

import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import forward_auth
import proxies

QUICK = "GATEHOUSE_QUICK" in os.environ
ROUNDS, SECONDS = (1, 1) if QUICK else (int(os.environ.get("GATEHOUSE_ROUNDS", "3")), 2)
# One connection shows the time that is added, more show how many requests a second there may be.
CONNECTIONS = (1, 32) if QUICK else (1, 4, 16, 32, 64, 128)
ALWAYS = "keepalive_requests 1000000; server {{ listen 127.0.0.1:{{port}}; return {status}; }}"
PLAIN = """
upstream backend {{ server 127.0.0.1:{backend}; keepalive 32; }}
keepalive_requests 1000000;
server {{
    listen 127.0.0.1:{{port}};
    location / {{
        proxy_pass http://backend;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
    }}
}}
"""
UNITS = {"us": 0.001, "ms": 1, "s": 1000}
# As nginx asks.
ASKED = {"X-Original-Method": "GET", "X-Original-Host": proxies.HOST, "X-Original-URI": "/orders/1",
         "X-Forwarded-For": "192.0.2.1"}  # fmt: skip


def main(arguments):
    if arguments:
        forward_auth.BINARY = pathlib.Path(arguments[0]).resolve()
    for program in (proxies.NGINX, proxies.WRK, forward_auth.BINARY):
        if not program.exists():
            raise SystemExit(f"**** {program} is missing: this benchmark needs Debian's nginx and wrk. ****")
    programs = Programs()
    with contextlib.ExitStack() as stack:
        setups = list(started(stack, programs))
        runs = {(name, count): [] for name, *_ in setups for count in CONNECTIONS}
        for _ in range(ROUNDS):
            for name, port, path, headers in setups:
                for count in CONNECTIONS:
                    runs[name, count].append(measured(port, path, headers, count, programs))
    report(runs)


def started(stack, programs):
    """Starts each set-up; yields its name, the port that wrk asks, the path and further headers."""

    def entered(name, manager):
        with programs.starting(name):
            return stack.enter_context(manager)

    def site(name, text):
        return entered(name, proxies.nginx(0, 0, text))

    def asking(port, name="nginx"):
        return entered(name, proxies.nginx(port, backend))

    backend = site("backend", ALWAYS.format(status=200))
    allowing = site("allowing nginx", ALWAYS.format(status=204))
    yield "nginx that only proxies", site("nginx", PLAIN.format(backend=backend)), "/orders/1", {}
    yield "nginx, asks an nginx that allows", asking(allowing), "/orders/1", {}
    quiet = forward_auth.NO_AWS | {"LOG_LEVEL": "WARN"}
    memory = entered("forward-auth", forward_auth.running("nginx", **quiet))
    yield "forward-auth alone, memory", memory, "/auth", ASKED
    yield "nginx, forward-auth, memory", asking(memory), "/orders/1", {}
    logging = entered("forward-auth", forward_auth.running("nginx", **forward_auth.NO_AWS))
    yield "nginx, forward-auth, memory, each decision logged", asking(logging), "/orders/1", {}
    if forward_auth.HAS_TABLES:
        store = entered("DynamoDB Local", forward_auth.revocations())
        table = entered("forward-auth", forward_auth.running("nginx", **store, LOG_LEVEL="WARN"))
        yield "nginx, forward-auth, DynamoDB Local", asking(table), "/orders/1", {}
        caching = forward_auth.running("nginx", **store, LOG_LEVEL="WARN", DECISION_CACHE_SECONDS="1")
        yield "nginx, forward-auth, DynamoDB Local, cached for 1 s", asking(entered("forward-auth", caching)), "/orders/1", {}


class Programs:
    """The CPU time of the programs that this one started, by name."""

    def __init__(self):
        self.names = {}

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
            name = self.names.get(pid) or self.names.get(parent)
            if name:
                used[name] = used.get(name, 0) + seconds
        return used


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


def measured(port, path, headers, connections, programs):
    """Requests a second, the 50th and 99th percentile of the time of a response in ms, and the processors that each
    program used. Every response is a 200."""
    headers = {"Host": proxies.HOST, "Authorization": f"Bearer {forward_auth.token()}"} | headers
    command = [proxies.WRK, "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency"]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    before, began, children = programs.seconds(), time.monotonic(), os.times()
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{path}"],
        env=proxies.unpacked(proxies.WRK), capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, after, ended = time.monotonic() - began, programs.seconds(), os.times()
    output = done.stdout
    if re.search("Non-2xx|Socket errors", output):
        raise SystemExit(output)
    percentiles = {}
    for percent, value, unit in re.findall(r"^ +(\d+)% +([0-9.]+)(us|ms|s)$", output, re.MULTILINE):
        percentiles[percent] = float(value) * UNITS[unit]
    used = {name: (seconds - before.get(name, 0)) / took for name, seconds in after.items()}
    wrk = ended.children_user + ended.children_system - children.children_user - children.children_system
    rate = float(re.search(r"Requests/sec: +([0-9.]+)", output)[1])
    used["wrk"] = wrk / took
    # wrk's rate is of its own duration.
    requests = int(re.search(r"(\d+) requests in ", output)[1])
    seconds = {name: share * took for name, share in used.items()}
    return {"rate": rate, "p50": percentiles["50"], "p99": percentiles["99"], "used": used, "seconds": seconds,
            "requests": requests}  # fmt: skip


def report(runs):
    print(f"\nMedians of {ROUNDS} runs of {SECONDS} s on {os.cpu_count()} processors; times in ms.\n")
    print("| set-up | connections | requests/s | p50 | p99 | processors used |")
    print("|---|---|---|---|---|---|")
    for (name, count), found in runs.items():
        middle = {key: statistics.median(one[key] for one in found) for key in ("rate", "p50", "p99")}
        rates = [one["rate"] for one in found]
        used = {one: statistics.median(run["used"].get(one, 0) for run in found) for one in found[0]["used"]}
        used = {one: round(share, 2) for one, share in used.items() if share >= 0.02}
        # Of all runs together, unrounded: the kernel counts in hundredths of a second.
        requests = sum(run["requests"] for run in found)
        cpu_us = {one: sum(run["seconds"].get(one, 0) for run in found) / requests * 1e6 for one in found[0]["used"]}
        shown = ", ".join(f"{one} {share:.2f}" for one, share in sorted(used.items(), key=lambda pair: -pair[1]))
        print(f"| {name} | {count} | {middle['rate']:,.0f} | {middle['p50']:.2f} | {middle['p99']:.2f} | {shown} |")
        result = {"name": name, "connections": count, "runs": len(found), "rate_low": min(rates),
                  "rate_high": max(rates), **middle, "used": used, "cpu_us": cpu_us}  # fmt: skip
        print(json.dumps({"bench": "load", "result": result}, separators=(",", ":")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
