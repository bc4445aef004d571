"""Writes the expanded templates to files for linters: expanded.json and core-expanded.json with their conditions, which
are the same for every set of parameters, and defaults.json, everything.json and core.json with them evaluated.

    .tools/sam/bin/python tests/template/expand.py .local/expanded
"""

import json
import pathlib
import sys

import parameters
import stack


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole, core = stack.Parsed(stack.text()), stack.Parsed(stack.text("core.yaml"))
    write(folder / "expanded.json", whole.expand({}))
    write(folder / "core-expanded.json", core.expand(parameters.CORE))
    for name, made in (
        ("defaults", whole.stack(parameters.SETS["defaults"])),
        ("everything", whole.stack(parameters.SETS["everything"])),
        ("core", core.stack(parameters.CORE_SETS["everything"])),
    ):
        write(folder / f"{name}.json", {"AWSTemplateFormatVersion": "2010-09-09", "Resources": made.plain(made.resources)})


def write(path, template):
    path.write_text(json.dumps(template, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
