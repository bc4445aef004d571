#!/usr/bin/env python3
"""Builds functions twice, in this checkout and in a copy elsewhere, and compares the binaries and the zips.

    reproduce.py x86_64|arm64 FUNCTION ...

The copy has another path, another home and cargo home, another target folder, other caches, and a cargo-lambda and a
zig of its own. Only cargo's downloads are shared. Without a difference, each function's hashes are printed.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import build
from account import Problem, run
from build import ROOT


def main(arguments):
    if len(arguments) < 2:
        print(__doc__)
        return 2
    architecture, *names = arguments
    different = []
    with tempfile.TemporaryDirectory(prefix="gatehouse-reproduce-") as temporary:
        folder = pathlib.Path(temporary).resolve()
        second = folder / "another" / "checkout"
        copy(second)
        variables = elsewhere(folder)
        print(f"==> the second builds are in {second}", flush=True)
        command = ["local/venv", ".tools/lambda", "local/lambda.txt"]
        if subprocess.run(command, cwd=second, check=False).returncode:
            raise Problem("cargo-lambda could not be installed for the second build: see the lines above.")
        for name in names:
            build.build(architecture, [name])
            build.sam_build(architecture, [name], "template.yaml", root=second, variables=variables)
            # SAM removes the functions that it built before.
            lines, equal = compared(name, ROOT, second)
            print(f"{name}: {'equal' if equal else 'DIFFERENT'}", *lines, sep="\n  ", flush=True)
            different += [] if equal else [name]
    if different:
        raise Problem(f"Two builds of the same sources differ: {', '.join(different)}.")
    print(f"{len(names)} of {len(names)} functions are equal in both builds.")
    return 0


def copy(folder):
    """The committed files, and those that could be committed, as they are in this checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)


def elsewhere(folder):
    """The variables of a build with another home and cargo home, into which cargo's downloads are copied."""
    home = pathlib.Path.home()
    downloads = pathlib.Path(os.environ.get("CARGO_HOME", home / ".cargo"))
    cargo_home = folder / "cargo-home"
    for name in ("registry/cache", "registry/index", "config.toml"):
        if (downloads / name).is_dir():
            shutil.copytree(downloads / name, cargo_home / name)
        elif (downloads / name).is_file():
            cargo_home.mkdir(exist_ok=True)
            shutil.copy2(downloads / name, cargo_home / name)
    (folder / "home").mkdir()
    return {
        "HOME": str(folder / "home"),
        "CARGO_HOME": str(cargo_home),
        "CARGO_TARGET_DIR": str(folder / "target-of-the-second"),
        # The compiler itself is the same; rust-toolchain.toml pins it.
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(home / ".rustup")),
    }


def compared(name, *roots):
    """The lines to print about a function's builds below the roots, and whether they are equal."""
    folders = [root / ".aws-sam" / "build" / name for root in roots]
    binaries = [(folder / "bootstrap").read_bytes() for folder in folders]
    zips = [build.packed(folder) for folder in folders]
    lines = []
    for kind, contents in (("bootstrap", binaries), ("zip", zips)):
        hashes = [hashlib.sha256(content).hexdigest() for content in contents]
        lines += [f"{kind:9} {one}" for one in dict.fromkeys(hashes)]
    equal = binaries[0] == binaries[1] and zips[0] == zips[1]
    if not equal:
        lines += difference(*binaries)
    lines += leaks(binaries, roots)
    return lines, equal and not leaks(binaries, roots)


def difference(first, second):
    """Where two binaries begin to differ, and the texts that only one of them has."""
    if first == second:
        return ["the binaries are equal, the zips are not"]
    at = next((index for index, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))
    lines = [f"{len(first)} and {len(second)} bytes, different from byte {at} on"]
    texts = [set(re.findall(rb"[\x20-\x7e]{8,}", content)) for content in (first, second)]
    for some, sign in ((texts[0] - texts[1], "-"), (texts[1] - texts[0], "+")):
        lines += [f"{sign} {text[:100].decode()}" for text in sorted(some)[:10]]
    return lines


def leaks(binaries, roots):
    """Folders of the machine that a binary names."""
    places = {str(root) for root in roots} | {str(pathlib.Path.home())}
    return [f"names {place}" for place in sorted(places) if any(f"{place}/".encode() in one for one in binaries)]


if __name__ == "__main__":
    run(main)
