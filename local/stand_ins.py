"""Stands in for jq, curl and openssl where a machine lacks them, so that tests run the commands of pages everywhere.

`jq` is jq's own engine (the package jq); `curl` and `openssl` know only what the pages use.
"""

import argparse
import hashlib
import hmac
import json
import pathlib
import shlex
import shutil
import sys
import urllib.error
import urllib.request

EMPTY, FALSE, FAILED = 4, 1, 5


def path_with(folder, path, names=None):
    """A PATH on which each program is found: the machine's own, else a stand-in that is written into the folder."""
    for name in names or PROGRAMS:
        if names or not shutil.which(name, path=path):
            script = pathlib.Path(folder) / name
            command = shlex.join([sys.executable, str(pathlib.Path(__file__).resolve()), name])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)
    return f"{folder}:{path}"


def jq(arguments):
    """`jq [-r] [-c] [-e] FILTER [FILE]`."""
    import jq as engine

    found = argparse.ArgumentParser(prog="jq")
    for option in ("-r", "-c", "-e"):
        found.add_argument(option, action="store_true")
    found.add_argument("filter")
    found.add_argument("file", nargs="?")
    options = found.parse_args(arguments)
    text = pathlib.Path(options.file).read_text() if options.file else sys.stdin.read()
    try:
        results = engine.compile(options.filter).input_text(text).all() if text.strip() else []
    except ValueError as error:
        print(f"jq: error: {error}", file=sys.stderr)
        return FAILED
    for one in results:
        layout = {"separators": (",", ":")} if options.c else {"indent": 2}
        raw = options.r and isinstance(one, str)
        print(one if raw else json.dumps(one, ensure_ascii=False, **layout))
    if options.e:
        return EMPTY if not results else FALSE if results[-1] in (None, False) else 0
    return 0


def curl(arguments):
    """`curl -s URL`."""
    found = argparse.ArgumentParser(prog="curl")
    found.add_argument("-s", action="store_true")
    found.add_argument("url")
    try:
        with urllib.request.urlopen(found.parse_args(arguments).url, timeout=30) as response:
            sys.stdout.buffer.write(response.read())
    except urllib.error.HTTPError as error:
        # curl prints the body of a refusal too.
        sys.stdout.buffer.write(error.read())
    except OSError:
        return 7
    return 0


def openssl(arguments):
    """`openssl dgst -sha256 -binary -hmac KEY`."""
    if arguments[:4] != ["dgst", "-sha256", "-binary", "-hmac"] or len(arguments) != 5:
        print("openssl: the stand-in knows `dgst -sha256 -binary -hmac KEY` only", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(hmac.digest(arguments[4].encode(), sys.stdin.buffer.read(), hashlib.sha256))
    return 0


PROGRAMS = {"jq": jq, "curl": curl, "openssl": openssl}

if __name__ == "__main__":
    sys.exit(PROGRAMS[sys.argv[1]](sys.argv[2:]))
