#!/usr/bin/env python3
"""Fails if modules of a crate use each other in a ring: `local/rings.py`. The crate's root may be used by all."""

import graphlib
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# `crate::a::b::C` and `crate::{a, b::C}`.
PATH = re.compile(r"\bcrate::((?:\w+::)*\w+)")
GROUP = re.compile(r"\bcrate::\{([^}]*)\}")


def main():
    rings = [ring for crate in crates() if (ring := ring_in(crate))]
    for ring in rings:
        print(" -> ".join(ring))
    return 1 if rings else 0


def crates():
    for pattern in ("functions/*/src", "shared/*/src", "cli/src"):
        yield from sorted(ROOT.glob(pattern))


def ring_in(crate):
    """The modules of a ring, each with its crate; `None` without one."""
    modules = {name_of(path, crate): path for path in crate.rglob("*.rs") if path.name not in ("lib.rs", "main.rs")}
    uses = {name: used(path, modules) - {name} for name, path in modules.items()}
    try:
        graphlib.TopologicalSorter(uses).prepare()
    except graphlib.CycleError as error:
        return [f"{crate.parent.name}::{name}" for name in error.args[1]]
    return None


def name_of(path, crate):
    return "::".join(path.relative_to(crate).with_suffix("").parts)


def used(path, modules):
    """The modules that the code of `path` uses, without its tests."""
    code = path.read_text().split("#[cfg(test)]")[0]
    code = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("//"))
    paths = PATH.findall(code)
    for group in GROUP.findall(code):
        paths += re.findall(r"[\w:]+", group)
    return {module for path in paths if (module := module_of(path, modules))}


def module_of(path, modules):
    parts = path.split("::")
    for length in range(len(parts), 0, -1):
        if (name := "::".join(parts[:length])) in modules:
            return name
    return None


if __name__ == "__main__":
    sys.exit(main())
