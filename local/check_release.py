#!/usr/bin/env python3
"""Builds a release again, from the tag that is checked out, and compares the files that were published:

    check_release.py FOLDER x86_64|arm64

FOLDER has what was downloaded: SHA256SUMS, bootstrap-<architecture>.sha256 and the zips of one architecture. Each
file that SHA256SUMS names and that is there must have its hash, each published zip the binary that was built here,
and each built binary the published hash. A zip that differs while its binary is equal was packed by another zlib: it
is reported, and is not a failure. docs/supply-chain.md says what this does not prove.
"""

import hashlib
import io
import pathlib
import subprocess
import sys
import zipfile

import build
from account import Problem, run
from build import BUILT, ROOT


def main(arguments):
    if len(arguments) != 2:
        print(__doc__)
        return 2
    folder, architecture = pathlib.Path(arguments[0]), arguments[1]
    tag = tag_of(ROOT)
    published = read(folder, architecture)
    build.build(architecture)
    print(compared(tag, published, architecture, BUILT))
    return 0


def tag_of(root):
    """The tag that is checked out; a Problem without one, or if a file differs from it."""
    found = git(root, "describe", "--tags", "--exact-match", "HEAD")
    if found.returncode:
        raise Problem("No tag is checked out: `git checkout vX.Y.Z` in a clone first.")
    if changed := git(root, "status", "--porcelain").stdout.splitlines():
        raise Problem(f"The checkout differs from {found.stdout.strip()}: {', '.join(line[3:] for line in changed[:5])}")
    return found.stdout.strip()


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)


def read(folder, architecture):
    """The published files of an architecture, by name, each with the hash that SHA256SUMS has of it."""
    sums = hashes(folder / "SHA256SUMS")
    files = {name: (folder / name).read_bytes() for name in sums if (folder / name).is_file()}
    wrong = [name for name, content in files.items() if sha256(content) != sums[name]]
    if wrong:
        raise Problem(f"SHA256SUMS has another hash of {', '.join(wrong)}.")
    binaries = build.binaries_file(architecture)
    expected = {name for name in sums if name == binaries or name.endswith(f"-{architecture}.zip")}
    if binaries not in expected or not [name for name in expected if name != binaries]:
        raise Problem(f"SHA256SUMS names no {binaries}, or no zip for {architecture}.")
    if missing := sorted(expected - files.keys()):
        raise Problem(f"Not in {folder}: {', '.join(missing)}.")
    return {name: files[name] for name in expected}


def hashes(file):
    """A list of sha256sum: {name: hash}."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        raise Problem(f"{file} is missing.") from None
    found = {}
    for line in lines:
        hashed, _, name = line.partition("  ")
        found[name] = hashed
    return found


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def compared(tag, published, architecture, built):
    """What is equal; a Problem names each function whose binary differs, or which only one side has."""
    listed = {}
    for line in published[build.binaries_file(architecture)].decode().splitlines():
        hashed, _, name = line.partition("  ")
        listed[name.removesuffix("/bootstrap")] = hashed
    zips = {
        name.removesuffix(f"-{architecture}.zip"): content for name, content in published.items() if name.endswith(".zip")
    }
    binaries = {file.parent.name: file.read_bytes() for file in built.glob("*/bootstrap")}
    different, packed_otherwise = [], []
    for name in sorted(listed.keys() | zips.keys() | binaries.keys()):
        if not (name in listed and name in zips and name in binaries):
            different.append(f"{name} (not everywhere)")
        elif not sha256(only_binary(zips[name])) == listed[name] == sha256(binaries[name]):
            different.append(name)
        elif zips[name] != build.packed(built / name):
            packed_otherwise.append(name)
    if different:
        raise Problem(f"Not what {tag} gives for {architecture}: {', '.join(different)}.")
    lines = [f"{len(binaries)} binaries are what {tag} gives for {architecture}, and so are those in the published zips."]
    if packed_otherwise:
        lines.append(f"Packed by another zlib, with an equal binary: {', '.join(packed_otherwise)}.")
    else:
        lines.append("The zips are equal, too.")
    return "\n".join(lines)


def only_binary(content):
    """The binary of a zip; nothing if it has another file, which Lambda would unpack beside it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read("bootstrap") if archive.namelist() == ["bootstrap"] else b""
    except zipfile.BadZipFile:
        return b""


if __name__ == "__main__":
    run(main)
