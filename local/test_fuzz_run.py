"""fuzz/run.py keeps the input that leaked a secret, and counts it as a find every time; the table of docs/fuzzing.md."""

import collections
import importlib.util
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def program():
    spec = importlib.util.spec_from_file_location("fuzz_run", ROOT / "fuzz" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Leaks(unittest.TestCase):
    def setUp(self):
        self.run = program()

    def test_the_input_before_the_line_is_the_leaking_one(self):
        secret = b'{"message":"P-secret-value-0001"}\n'
        lines = [b"input 3031\n", b'{"message":"fine"}\n', b"input ff32\n", secret, b"input 33\n"]
        self.assertEqual(self.run.leak_of(lines), (b"\xff2", secret))

    def test_an_input_is_no_line_of_the_log(self):
        lines = [b"input " + b"P-secret-value-0001".hex().encode() + b"\n", b'{"message":"fine"}\n']
        self.assertIsNone(self.run.leak_of(lines))

    def test_the_input_and_the_line_are_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            self.run.keep((b"\xff2", b"the line"), pathlib.Path(folder))
            files = {path.suffix: path for path in pathlib.Path(folder).iterdir()}
            self.assertEqual(files[""].read_bytes(), b"\xff2")
            self.assertEqual(files[".log"].read_bytes(), b"the line")
            self.assertEqual(files[".log"].stem, files[""].name)


class Documented(unittest.TestCase):
    ROW = re.compile(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,.]+) s \| [\d,]+ \| (\d+) \| (\d+) \|$", re.MULTILINE)
    TOTAL = re.compile(r"^\| all \| ([\d,]+) \| ([\d,.]+) s \| \| \| (\d+) \|$", re.MULTILINE)

    def setUp(self):
        self.page = (ROOT / "docs/fuzzing.md").read_text()
        self.rows = self.ROW.findall(self.page)

    def test_the_page_has_the_number_of_committed_inputs(self):
        listed = subprocess.run(
            ["git", "ls-files", "fuzz/corpus"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()
        committed = collections.Counter(pathlib.Path(name).parent.name for name in listed)
        self.assertEqual({target: int(inputs) for target, _, _, inputs, _ in self.rows}, dict(committed))
        self.assertEqual(sorted(committed), program().all_targets())

    def test_the_last_row_is_the_sum(self):
        numbers = [[float(cell.replace(",", "")) for cell in (row[1], row[2], row[4])] for row in self.rows]
        total = [float(cell.replace(",", "")) for cell in self.TOTAL.search(self.page).groups()]
        self.assertEqual([round(sum(column), 1) for column in zip(*numbers)], total)


if __name__ == "__main__":
    unittest.main()
