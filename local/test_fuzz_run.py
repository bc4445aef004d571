"""fuzz/run.py keeps the input that leaked a secret, and counts it as a find every time."""

import importlib.util
import pathlib
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


if __name__ == "__main__":
    unittest.main()
