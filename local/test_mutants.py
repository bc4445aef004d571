"""The judgement of local/mutants on what cargo-mutants, which a stand-in plays, writes."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Writes its arguments, and the lists of the next run that the test planned; ends with that run's code.
CARGO = """#!/usr/bin/env bash
set -eu
runs=$(ls "$PLAN/asked" | wc -l)
printf '%s\\n' "$@" >"$PLAN/asked/$runs"
while [[ $1 != --output ]]; do shift; done
if [[ -e $PLAN/$runs/caught.txt ]]; then cp -r "$PLAN/$runs" "$2/mutants.out"; fi
exit "$(cat "$PLAN/$runs.code")"
"""
SLOW = "shared/api-gateway/src/routes.rs:12:5: replace Set<T>::a -> Option<(u8, u8)> with Some((0, 1))"


class Mutants(unittest.TestCase):
    def setUp(self):
        self.here = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("local", "plan/asked", "bin", ".tools/cargo-mutants/bin"):
            (self.here / name).mkdir(parents=True)
        for name in ("mutants", "cargo-tool"):
            shutil.copy(ROOT / "local" / name, self.here / "local")
        version = re.search(r"cargo-tool cargo-mutants (\S+)", (ROOT / "local/mutants").read_text())[1]
        (self.here / ".tools/cargo-mutants/installed.txt").write_text(version)
        (self.here / "bin/cargo").write_text(CARGO)
        (self.here / "bin/cargo").chmod(0o755)

    def run_parts(self, *parts, runs):
        """The code and the text of local/mutants, for runs of cargo-mutants: (code, {list: lines})."""
        for at, (code, lists) in enumerate(runs):
            (self.here / f"plan/{at}.code").write_text(str(code))
            for name in ("caught", "missed", "timeout", "unviable") if lists else ():
                (self.here / f"plan/{at}").mkdir(exist_ok=True)
                (self.here / f"plan/{at}/{name}.txt").write_text("".join(f"{line}\n" for line in lists.get(name, ())))
        names = os.environ | {"PATH": f"{self.here}/bin:{os.environ['PATH']}", "PLAN": str(self.here / "plan")}
        done = subprocess.run(
            [self.here / "local/mutants", *parts], env=names, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.asked = [path.read_text().splitlines() for path in sorted((self.here / "plan/asked").iterdir())]
        self.assertEqual(len(self.asked), len(runs), done.stdout)
        return done.returncode, done.stdout

    def test_caught_mutants_are_a_success(self):
        code, printed = self.run_parts("rows", "cedar", runs=[(0, {"caught": ["a"]}), (0, {"unviable": ["b"]})])
        self.assertEqual(code, 0, printed)
        self.assertIn("1 .local/mutants/rows/mutants.out/caught.txt", printed)

    def test_a_survivor_is_a_failure(self):
        code, printed = self.run_parts("rows", "cedar", runs=[(2, {"missed": ["it lives"]}), (0, {"caught": ["b"]})])
        self.assertEqual(code, 1)
        self.assertIn("survivors:\nit lives", printed)

    def test_a_time_limit_hides_no_survivor(self):
        runs = [(3, {"missed": ["it lives"], "timeout": [SLOW]}), (0, {"caught": [SLOW]})]
        code, printed = self.run_parts("routes", runs=runs)
        self.assertEqual(code, 1)
        self.assertIn("survivors:\nit lives", printed)

    def test_a_mutant_that_reached_the_time_limit_is_tested_again_with_more(self):
        for second, expected in (((0, {"caught": [SLOW]}), 0), ((3, {"timeout": [SLOW]}), 0), ((2, {"missed": [SLOW]}), 1)):
            with self.subTest(second):
                self.doCleanups()
                self.setUp()
                code, printed = self.run_parts("routes", runs=[(3, {"caught": ["a"], "timeout": [SLOW]}), second])
                self.assertEqual(code, expected, printed)
                first, again = self.asked
                pattern = again[again.index("--re") + 1]
                self.assertTrue(re.search(pattern, SLOW), pattern)
                self.assertFalse(re.search(pattern, SLOW.replace("12:5", "12:55")))
                self.assertEqual(again[again.index("--minimum-test-timeout") + 1], "600")
                # The same mutants and tests otherwise.
                self.assertLessEqual(set(first) - {".local/mutants/routes"}, set(again))

    def test_an_empty_run_and_one_that_could_not_test_are_failures(self):
        for run in ((0, None), (0, {"caught": []}), (4, {"caught": ["a"]}), (1, None)):
            with self.subTest(run):
                self.doCleanups()
                self.setUp()
                self.assertNotEqual(self.run_parts("limiter", runs=[run])[0], 0)

    def test_the_lists_of_an_earlier_run_count_for_nothing(self):
        old = self.here / ".local/mutants/limiter/mutants.out"
        old.mkdir(parents=True)
        (old / "caught.txt").write_text("a\n")
        self.assertNotEqual(self.run_parts("limiter", runs=[(0, None)])[0], 0)


if __name__ == "__main__":
    unittest.main()
