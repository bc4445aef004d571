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
import pathlib
import sys

import forward_auth
import load
import proxies

# One connection shows the time that is added, more show how many requests a second there may be.
CONNECTIONS = (1, 32) if load.QUICK else (1, 4, 16, 32, 64, 128)
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
# As nginx asks.
ASKED = {"X-Original-Method": "GET", "X-Original-Host": proxies.HOST, "X-Original-URI": "/orders/1",
         "X-Forwarded-For": "192.0.2.1"}  # fmt: skip


def main(arguments):
    if arguments:
        forward_auth.BINARY = pathlib.Path(arguments[0]).resolve()
    for program in (proxies.NGINX, proxies.WRK, forward_auth.BINARY):
        if not program.exists():
            raise SystemExit(f"**** {program} is missing: this benchmark needs Debian's nginx and wrk. ****")
    programs = load.Programs()
    with contextlib.ExitStack() as stack:
        setups = [(*setup, False) for setup in started(stack, programs)]
        load.measure("load", setups, CONNECTIONS, programs)


def started(stack, programs):
    """Starts each set-up; yields its name, the address that wrk asks, and the headers of its requests."""
    caller = {"Host": proxies.HOST, "Authorization": f"Bearer {forward_auth.token()}"}

    def at(port, path="/orders/1"):
        return f"http://127.0.0.1:{port}{path}"

    def entered(name, manager):
        with programs.starting(name):
            return stack.enter_context(manager)

    def site(name, text):
        return entered(name, proxies.nginx(0, 0, text))

    def asking(port, name="nginx"):
        return entered(name, proxies.nginx(port, backend))

    backend = site("backend", ALWAYS.format(status=200))
    allowing = site("allowing nginx", ALWAYS.format(status=204))
    yield "nginx that only proxies", at(site("nginx", PLAIN.format(backend=backend))), caller
    yield "nginx, asks an nginx that allows", at(asking(allowing)), caller
    quiet = forward_auth.NO_AWS | {"LOG_LEVEL": "WARN"}
    memory = entered("forward-auth", forward_auth.running("nginx", **quiet))
    yield "forward-auth alone, memory", at(memory, "/auth"), caller | ASKED
    yield "nginx, forward-auth, memory", at(asking(memory)), caller
    logging = entered("forward-auth", forward_auth.running("nginx", **forward_auth.NO_AWS))
    yield "nginx, forward-auth, memory, each decision logged", at(asking(logging)), caller
    if forward_auth.HAS_TABLES:
        store = entered("DynamoDB Local", forward_auth.revocations())
        table = entered("forward-auth", forward_auth.running("nginx", **store, LOG_LEVEL="WARN"))
        yield "nginx, forward-auth, DynamoDB Local", at(asking(table)), caller
        caching = forward_auth.running("nginx", **store, LOG_LEVEL="WARN", DECISION_CACHE_SECONDS="1")
        cached = asking(entered("forward-auth", caching))
        yield "nginx, forward-auth, DynamoDB Local, cached for 1 s", at(cached), caller


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
