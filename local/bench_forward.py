#!/usr/bin/env python3
"""Measures what forward-auth adds to a request through nginx on the loopback interface: `make bench-forward`.

    bench_forward.py [BINARY]    a release build of forward-auth; GATEHOUSE_SECONDS (5) for each of the measurements

wrk sends; one nginx proxies; another nginx is the backend, so that it costs little. Everything shares the processors,
so the numbers compare: the first line is an nginx that only proxies, the second asks an nginx that always allows.
Each set-up is measured in turn, ROUNDS times; the table has the medians.
"""

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys

import forward_auth
import proxies

ROUNDS = 3
SECONDS = int(os.environ.get("GATEHOUSE_SECONDS", "5"))
# One connection shows the time that is added, several show how many requests a second there may be.
CONNECTIONS = (1, 32)
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


def main(arguments):
    if arguments:
        forward_auth.BINARY = pathlib.Path(arguments[0]).resolve()
    for program in (proxies.NGINX, proxies.WRK, forward_auth.BINARY):
        if not program.exists():
            raise SystemExit(f"**** {program} is missing: this benchmark needs Debian's nginx and wrk. ****")
    with contextlib.ExitStack() as stack:
        setups = dict(started(stack))
        found = {name: {count: [] for count in CONNECTIONS} for name in setups}
        for _ in range(ROUNDS):
            for name, port in setups.items():
                for count in CONNECTIONS:
                    found[name][count].append(measured(port, count))
    report({name: {count: middle(runs) for count, runs in each.items()} for name, each in found.items()})


def started(stack):
    """Starts each set-up; yields its name and the port of its proxy."""

    def alone(site):
        return stack.enter_context(proxies.nginx(0, 0, site))

    backend = alone(ALWAYS.format(status=200))
    allowing = alone(ALWAYS.format(status=204))
    yield "nginx that only proxies", alone(PLAIN.format(backend=backend))
    yield "nginx, asks an nginx that allows", stack.enter_context(proxies.nginx(allowing, backend))
    memory = stack.enter_context(forward_auth.running("nginx", **forward_auth.NO_AWS, LOG_LEVEL="WARN"))
    yield "nginx, forward-auth, memory", stack.enter_context(proxies.nginx(memory, backend))
    logging = stack.enter_context(forward_auth.running("nginx", **forward_auth.NO_AWS))
    yield "the same, each decision logged", stack.enter_context(proxies.nginx(logging, backend))
    if forward_auth.HAS_TABLES:
        store = stack.enter_context(forward_auth.revocations())
        table = stack.enter_context(forward_auth.running("nginx", **store, LOG_LEVEL="WARN"))
        yield "nginx, forward-auth, DynamoDB Local", stack.enter_context(proxies.nginx(table, backend))
        cached = stack.enter_context(
            forward_auth.running("nginx", **store, LOG_LEVEL="WARN", DECISION_CACHE_SECONDS="1")
        )
        yield "the same, decisions cached for 1 s", stack.enter_context(proxies.nginx(cached, backend))


def measured(port, connections):
    """Requests a second, and the 50th and 99th percentile of the time of a response in ms. Every response is a 200."""
    command = [proxies.WRK, "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-H", f"Host: {proxies.HOST}"]
    command += ["-H", f"Authorization: Bearer {forward_auth.token()}", f"http://127.0.0.1:{port}/orders/1"]
    done = subprocess.run(command, env=proxies.unpacked(proxies.WRK), capture_output=True, text=True, check=True)
    output = done.stdout
    if re.search("Non-2xx|Socket errors", output):
        raise SystemExit(output)
    percentiles = {}
    for percent, value, unit in re.findall(r"^ +(\d+)% +([0-9.]+)(us|ms|s)$", output, re.MULTILINE):
        percentiles[percent] = float(value) * UNITS[unit]
    return float(re.search(r"Requests/sec: +([0-9.]+)", output)[1]), percentiles["50"], percentiles["99"]


def middle(runs):
    return [statistics.median(values) for values in zip(*runs)]


def report(results):
    floor = next(iter(results.values()))
    print(f"\nMedians of {ROUNDS} runs of {SECONDS} s on {os.cpu_count()} processors; times in ms.\n")
    print("| set-up | p50, 1 connection | added | p99 | added | requests/s, 32 connections | p50 | p99 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, found in results.items():
        (_, p50, p99), (rate, busy50, busy99) = (found[count] for count in CONNECTIONS)
        added = [f"{one - other:.2f}" for one, other in zip((p50, p99), floor[1][1:])]
        alone = f"{p50:.2f} | {added[0]} | {p99:.2f} | {added[1]}"
        print(f"| {name} | {alone} | {rate:,.0f} | {busy50:.2f} | {busy99:.2f} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
