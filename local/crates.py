#!/usr/bin/env python3
"""The crates of each function, as `cargo tree` lists them, in three documents:

    crates.py sbom FOLDER       completes and checks the SBOMs that local/sbom had written beside the functions
    crates.py notices FOLDER    THIRD-PARTY.txt: each crate with its licence, and the licences' texts
    crates.py features          checks local/authorizer.features: the features of the authorizer's large dependencies
    crates.py features --write  writes that file
"""

import collections
import functools
import json
import pathlib
import re
import subprocess
import sys

import resolved
from resolved import Crate

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
FEATURES = ROOT / "local" / "authorizer.features"
# Each feature of these brings code or a behaviour into the path of a request.
LARGE = re.compile(r"tokio|hyper|hyper-util|hyper-rustls|rustls|aws-[a-z0-9-]+|cedar-policy(-[a-z-]+)?|serde_json")
# A licence that a crate offers beside others is chosen in this order; this one's text is the same for each crate.
PREFERRED = "Apache-2.0"
TEXTS = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
# What a text of each licence says, in words that the other licences' texts lack.
SAYS = {
    "Apache-2.0": r"TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    "BSD-3-Clause": r"Neither the name .{1,80} may be used to endorse|names of (its|the) contributors may",
    "CDLA-Permissive-2.0": r"Community Data License Agreement",
    "ISC": r"(Permission to use, copy, modify, and/or distribute this software|ISC License)",
    "MIT": r"Permission is hereby granted, free of charge",
    "OpenSSL": r"OpenSSL",
    "Unicode-3.0": r"UNICODE LICENSE V3",
    "Zlib": r"provided 'as-is'",
}


class Wrong(Exception):
    """What a document lacks. It ends the script with status 1."""


def main(arguments):
    match arguments:
        case ["sbom", folder]:
            print(write_sboms(pathlib.Path(folder)))
        case ["notices", folder]:
            print(write_notices(pathlib.Path(folder)))
        case ["features"]:
            print(check_features(features("authorizer"), FEATURES.read_text()))
        case ["features", "--write"]:
            FEATURES.write_text(listed(features("authorizer")))
        case _:
            print(__doc__)
            return 2
    return 0


def functions():
    return sorted(manifest.parent.name for manifest in ROOT.glob("functions/*/Cargo.toml"))


def cargo(*arguments):
    result = subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Wrong(f"cargo {arguments[0]} failed: {result.stderr}")
    return result.stdout


@functools.cache
def tree(function, target, form="{p}"):
    """The lines of `cargo tree` for a function's binary, without what only its build and its tests use."""
    command = ["tree", "--locked", "-e", "normal", "--prefix", "none", "--no-dedupe", "-f", form]
    return frozenset(cargo(*command, "--target", target, "-p", function).splitlines())


def crates(function):
    """The crates of a function's binary on both architectures, those of this workspace included."""
    found = set()
    for target in TARGETS:
        for line in tree(function, target):
            name, version = line.split()[:2]
            found.add(Crate(name, version.removeprefix("v")))
    return found


def edges(function):
    """Which crate of a function's binary needs which, on either architecture: pairs."""
    found = set()
    for target in TARGETS:
        command = ["tree", "--locked", "-e", "normal", "--prefix", "depth", "-f", " {p}", "--target", target, "-p", function]
        above = []
        for line in cargo(*command).splitlines():
            depth, name, version = line.split()[:3]
            above[int(depth) :] = [Crate(name, version.removeprefix("v"))]
            if len(above) > 1:
                found.add((above[-2], above[-1]))
    return found


@functools.cache
def metadata():
    """What cargo resolved for the whole workspace, on each architecture."""
    command = ["metadata", "--locked", "--format-version", "1", "--filter-platform"]
    return [json.loads(cargo(*command, target)) for target in TARGETS]


# SBOMs


def write_sboms(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in functions():
        path = ROOT / "functions" / name / f"{name}_bin.cdx.json"
        document = completed(json.loads(path.read_text()), crates(name), edges(name))
        # Completed by `cargo tree`, compared with what this repository resolves from the manifests.
        if problem := differs(document, *resolved.of(metadata(), name)):
            raise Wrong(f"The SBOM of {name}: {problem}")
        (folder / f"{name}.cdx.json").write_text(json.dumps(document, indent=2) + "\n")
    return f"{len(functions())} SBOMs in {folder}: each lists the crates of `cargo tree` and of the manifests"


def completed(document, wanted, between):
    """An SBOM with the wanted crates and the edges between them only, and without the paths, the time and the serial
    number of this build.

    cargo-cyclonedx reads features as cargo unifies them for the whole workspace, so it also lists crates, and edges
    between them, that only another member of the workspace enables.
    """
    text = json.dumps(document).replace(f"file://{ROOT}", "file:///gatehouse")
    document = json.loads(text)
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    kept = [one for one in document["components"] if Crate(one["name"], one["version"]) in wanted]
    document["components"] = sorted(kept, key=lambda one: (one["name"], one["version"]))
    refs = crates_of(document)
    listed_edges = []
    for edge in document["dependencies"]:
        if own := refs.get(edge["ref"]):
            targets = sorted(ref for ref in edge.get("dependsOn", []) if (own, refs.get(ref)) in between)
            listed_edges.append({"ref": edge["ref"], "dependsOn": targets})
    document["dependencies"] = sorted(listed_edges, key=lambda edge: edge["ref"])
    return document


def crates_of(document):
    """The crate of each reference of an SBOM; the binary is one of its crate."""
    own = document["metadata"]["component"]
    found = {one["bom-ref"]: Crate(one["name"], one["version"]) for one in document["components"]}
    return found | dict.fromkeys(refs_of(own), Crate(own["name"], own["version"]))


def refs_of(component):
    yield component["bom-ref"]
    for part in component.get("components", []):
        yield from refs_of(part)


def differs(document, wanted, between):
    """What an SBOM lists too much or too little; nothing if it lists exactly the wanted crates and edges."""
    own = document["metadata"]["component"]
    listed_crates = {Crate(one["name"], one["version"]) for one in document["components"]}
    listed_crates.add(Crate(own["name"], own["version"]))
    if len(document["components"]) + 1 != len(listed_crates):
        return "lists a crate twice"
    if difference := listed_difference(wanted, listed_crates, " ".join):
        # The edges differ as well then.
        return difference
    refs = crates_of(document)
    needed = [(edge["ref"], ref) for edge in document["dependencies"] for ref in edge.get("dependsOn", [])]
    if unknown := sorted({ref for pair in needed for ref in pair} - refs.keys()):
        return f"has an edge of {', '.join(unknown)}, which it does not list"
    return listed_difference(between, {(refs[parent], refs[child]) for parent, child in needed}, shown)


def listed_difference(wanted, found, text):
    missing, more = (sorted(map(text, some)) for some in (wanted - found, found - wanted))
    return "; ".join(f"{verb} {', '.join(some)}" for verb, some in (("lacks", missing), ("has", more)) if some)


def shown(edge):
    return " -> ".join(" ".join(crate) for crate in edge)


# Licences


def write_notices(folder):
    packages = {}
    for package in json.loads(cargo("metadata", "--locked", "--format-version", "1"))["packages"]:
        if package["source"]:
            packages[Crate(package["name"], package["version"])] = package
    users = {name: crates(name) & packages.keys() for name in functions()}
    text = notices({crate: packages[crate] for crate in set().union(*users.values())})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "THIRD-PARTY.txt"
    path.write_text(text)
    return f"{path}: {len(text):,} bytes, {len(set().union(*users.values()))} crates"


def notices(packages):
    """The document for these packages of `cargo metadata`; Wrong if a text is missing."""
    chosen = {crate: choice(package["license"]) for crate, package in packages.items()}
    # The same text once, with all crates that have it.
    texts = collections.defaultdict(set)
    apache = None
    for crate, package in sorted(packages.items()):
        found = texts_of(pathlib.Path(package["manifest_path"]).parent)
        for licence in sorted(chosen[crate]):
            fitting = [text for name, text in found.items() if re.search(SAYS[licence], text, re.DOTALL)]
            if licence == PREFERRED:
                apache = apache or next(iter(sorted(fitting, key=len)), None)
            elif fitting:
                for text in fitting:
                    texts[text].add(crate)
            else:
                texts[without_file(licence, package)].add(crate)
        for name, text in found.items():
            if name.rsplit("/", 1)[-1].upper().startswith("NOTICE"):
                texts[text].add(crate)
    if apache is None and any(PREFERRED in some for some in chosen.values()):
        raise Wrong(f"no crate has the text of {PREFERRED}")
    lines = ["The functions of Gatehouse contain these crates, each under the licence that stands behind it.", ""]
    for crate, package in sorted(packages.items()):
        where = package["repository"] or f"https://crates.io/crates/{crate.name}"
        lines.append(f"{crate.name} {crate.version}: {' AND '.join(sorted(chosen[crate]))}, {where}")
    for text, some in sorted(texts.items(), key=lambda item: sorted(item[1])):
        lines += ["", "-" * 80, ", ".join(" ".join(crate) for crate in sorted(some)), "", text]
    if apache:
        lines += ["", "-" * 80, f"{PREFERRED}, for each crate above with this licence", "", apache]
    return "\n".join(lines) + "\n"


def choice(expression):
    """The licences of an SPDX expression to comply with: all of an AND, one of an OR."""
    words = re.findall(r"\(|\)|[\w.+-]+(?: WITH [\w.-]+)?|/", expression.replace("/", " OR "))
    result, rest = either(words)
    if rest:
        raise Wrong(f"not an SPDX expression: {expression}")
    return result


def either(words):
    best, words = both(words)
    options = [best]
    while words[:1] == ["OR"]:
        option, words = both(words[1:])
        options.append(option)
    return min(options, key=lambda some: (some != {PREFERRED}, len(some), sorted(some))), words


def both(words):
    result, words = single(words)
    while words[:1] == ["AND"]:
        more, words = single(words[1:])
        result = result | more
    return result, words


def single(words):
    if words[:1] == ["("]:
        result, words = either(words[1:])
        return result, words[1:]
    # An exception only grants more.
    licence = words[0].split(" WITH ")[0]
    # An OR may offer a licence that is never chosen.
    return frozenset([licence]), words[1:]


def texts_of(folder):
    """The texts of licences and notices of a crate's folder, by name. Code that a crate contains has its own."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and TEXTS.match(path.name) and path.suffix.lower() in ("", ".md", ".txt", *LICENCE_SUFFIXES):
            text = path.read_text(errors="replace")
            found[path.relative_to(folder).as_posix()] = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return found


# As in `LICENSE.MIT`.
LICENCE_SUFFIXES = (".mit", ".apache", ".isc", ".bsd", ".openssl", ".zlib")


def without_file(licence, package):
    """The text of a crate that declares the licence and ships no text of it, with the authors whom it names."""
    if licence != "MIT":
        raise Wrong(f"{package['name']} has no text of {licence}")
    authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
    return f"Copyright (c) {authors}\n\n{MIT}"


MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


# Features


def features(function):
    """The enabled features of a function's large dependencies, by crate."""
    found = {}
    for line in tree(function, TARGETS[0], "{p}|{f}"):
        package, enabled = line.rsplit("|", 1)
        name = package.split()[0]
        # Not a crate of this workspace, which stands with its path.
        if LARGE.fullmatch(name) and f"({ROOT}" not in package:
            found.setdefault(name, set()).update(filter(None, enabled.split(",")))
    return found


def listed(found):
    lines = [
        "# The features that are enabled in the authorizer's large dependencies. A new one adds code to the path of each",
        "# request: state its reason in the commit that runs `local/crates.py features --write`.",
    ]
    return "\n".join([*lines, *(f"{name}: {' '.join(sorted(some)) or '-'}" for name, some in sorted(found.items()))]) + "\n"


def check_features(found, expected):
    known = {}
    for line in expected.splitlines():
        if not line.startswith("#"):
            name, _, some = line.partition(": ")
            known[name] = set(some.split()) - {"-"}
    problems = []
    for name in sorted(found.keys() | known.keys()):
        new, gone = found.get(name, set()) - known.get(name, set()), known.get(name, set()) - found.get(name, set())
        if name not in known:
            problems.append(f"{name} is new")
        elif name not in found:
            problems.append(f"{name} is gone")
        if new and name in known:
            problems.append(f"{name} also has {', '.join(sorted(new))}")
        if gone and name in found:
            problems.append(f"{name} has no {', '.join(sorted(gone))} any more")
    if problems:
        raise Wrong(
            "The authorizer's features differ from local/authorizer.features: " + "; ".join(problems) + ".\n"
            "If that is intended, run `local/crates.py features --write`, and state the reason in the commit."
        )
    return f"{sum(map(len, found.values()))} features of {len(found)} crates, all of them in local/authorizer.features"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Wrong as wrong:
        sys.exit(str(wrong))
