"""The crates' manifests: a target for which cargo runs no tests, to save its link, has none."""

import json
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_TEST = re.compile(r"#\[(tokio::)?test\b|\bproptest! *[{(]")
DOC_TEST = re.compile(r"^\s*//[/!] ```|include_str!\([^)]*\.md\"", re.MULTILINE)


def sources(package, target):
    """The text of a target's own files: those of the library, or the binary's one."""
    main = pathlib.Path(target["src_path"])
    files = [main]
    if "lib" in target["kind"]:
        others = {pathlib.Path(one["src_path"]) for one in package["targets"]} - {main}
        files = [one for one in main.parent.rglob("*.rs") if one not in others]
    return "\n".join(one.read_text() for one in files)


class Targets(unittest.TestCase):
    def test_targets_without_tests_have_none(self):
        command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
        output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        switched_off = 0
        for package in json.loads(output)["packages"]:
            for target in package["targets"]:
                if not {"lib", "bin"} & set(target["kind"]):
                    continue
                text = sources(package, target)
                where = f"{package['name']}: {target['name']}"
                if not target["test"]:
                    switched_off += 1
                    self.assertIsNone(UNIT_TEST.search(text), f"{where} has tests: remove `test = false`")
                if "lib" in target["kind"] and not target["doctest"]:
                    self.assertIsNone(DOC_TEST.search(text), f"{where} has examples: remove `doctest = false`")
        self.assertGreater(switched_off, 20)


if __name__ == "__main__":
    unittest.main()
