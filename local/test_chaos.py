"""The exit code of local/chaos.py: an experiment without a result is not one that held."""

import contextlib
import io
import pathlib
import tempfile
import unittest
from unittest import mock

import chaos


class Verdicts(unittest.TestCase):
    def verdict(self, results, missing, skipped=""):
        """The exit code, and what is printed."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            file = pathlib.Path(folder) / "skipped.txt"
            if skipped:
                file.write_text(skipped)
            with mock.patch.object(chaos, "SKIPPED", file):
                return chaos.verdict(results, missing), printed.getvalue()

    def test_a_run_with_all_its_rows_succeeds(self):
        self.assertEqual(self.verdict([(0, 18), (0, 3)], []), (0, ""))

    def test_a_failed_test_fails_the_run(self):
        code, printed = self.verdict([(101, 18), (0, 3)], [])
        self.assertEqual(code, 101)
        self.assertIn(".local/chaos.log", printed)

    def test_a_missing_row_fails_the_run_and_a_skipped_experiment_is_named(self):
        code, printed = self.verdict([(0, 18), (0, 3)], ["clock-jumps"], "wrong clocks\nwrong clocks\n")
        self.assertEqual(code, 1)
        self.assertEqual(printed, "Skipped: wrong clocks\nExperiments without a result: clock-jumps\n")

    def test_a_name_that_no_test_has_fails_the_run(self):
        code, printed = self.verdict([(0, 0)], [])
        self.assertEqual((code, printed), (2, "No test was run.\n"))


class Experiments(unittest.TestCase):
    def test_every_experiment_has_an_id_and_a_test(self):
        found = chaos.experiments()
        self.assertEqual(len(found), chaos.EXPERIMENTS.read_text().count("    Experiment {"))
        self.assertIn(("frozen", "chaos::frozen::a_frozen_process_decides_by_the_present"), found)

    def test_the_line_of_libtest_has_the_number_of_tests(self):
        line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 400 filtered out; finished in 9.0s"
        self.assertEqual(chaos.RESULT.search(line).groups(), ("3", "1"))


if __name__ == "__main__":
    unittest.main()
