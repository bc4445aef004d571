"""Writes the expanded template to files for linters: expanded.json with its conditions, which is the
same for every set of parameters, and defaults.json and everything.json with the conditions evaluated.

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
    parsed = stack.Parsed(stack.text())
    write(folder / "expanded.json", parsed.expand({}))
    for name in ("defaults", "everything"):
        made = parsed.stack(parameters.SETS[name])
        write(folder / f"{name}.json", {"AWSTemplateFormatVersion": "2010-09-09", "Resources": made.plain(made.resources)})


def write(path, template):
    path.write_text(json.dumps(template, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
