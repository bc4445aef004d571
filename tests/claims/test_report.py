"""The arithmetic and the judgements of the benchmarks' report (`benches/report`)."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

REPORT = pathlib.Path(__file__).resolve().parents[2] / "benches/report"
sys.path.insert(0, str(REPORT))
# Only in .tools/bench: pygal, which draws the charts, and cryptography for the proxy of the keys.
for name in ("charts", "keys_proxy"):
    sys.modules.setdefault(name, mock.Mock())

import parts  # noqa: E402
import results  # noqa: E402
import text  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_claims import FIELDS  # noqa: E402

SPECIFICATION = importlib.util.spec_from_file_location("command", REPORT / "__main__.py")
command = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(command)
OTHERS_USE = parts.others_use


HEAD = {
    "command": "make bench", "date": "2026-11-27", "commit": "c", "modified": [], "load": [0, 0], "others": [0, 0],
    "seconds": 1, "quick": False, "versions": {}, "machine": {
        "processors": 2, "architecture": "x86_64", "model": "m", "memory_gb": 1, "kernel": "6"},
}  # fmt: skip


def us(value):
    return {"median": value, "low": value, "high": value, "runs": 1}


class Recorded(dict):
    """Records the fields that are read."""

    read = set()

    def __getitem__(self, name):
        Recorded.read.add(name)
        return super().__getitem__(name)


def start_row(name, **members):
    row = {
        "bench": "start", "kind": "loopback", "name": name, "mb": 1.5, "instructions": 8_923_498.0, "resident_mb": us(7),
        "start_ms": {**us(6.5), "low": 6, "high": 9}, "cpu_ms": {**us(4.25), "low": 4, "high": 5.5},
        "floor_cpu_ms": us(1.25), "ratio": {**us(3.5), "low": 3.25, "high": 4.75},
    }  # fmt: skip
    return row | members


class Starts(unittest.TestCase):
    def shown(self, *rows, **head):
        return "\n".join(text.start(results.Results({"start": {**HEAD, **head, "results": list(rows)}}), ""))

    def test_a_line_has_both_times_and_the_median_of_the_ratios_with_its_spread(self):
        shown = self.shown(start_row("whoami"), start_row("logout"))
        self.assertIn(
            "| function | MB | until the first poll, ms | CPU, ms | whoami's CPU beside it, ms | CPU, × whoami | "
            "million instructions | resident, MB |",
            shown,
        )
        self.assertIn(
            "\n| logout | 1.50 | 6.50 (6.00 to 9.00) | 4.25 (4.00 to 5.50) | 1.25 | 3.50 (3.25 to 4.75) | 8.9 | 7.00 |\n",
            shown,
        )
        # 3.40 is the quotient of the two columns.
        self.assertNotIn("3.40", shown)
        self.assertNotIn("disturbed", shown)

    def test_a_disturbed_run_says_so(self):
        shown = self.shown(start_row("whoami"), start_row("logout", floor_cpu_ms=us(2)))
        self.assertIn("whoami's CPU time beside the functions is between 1.25 and 2.00 ms.", " ".join(shown.split()))

    def test_the_goal_of_instructions_is_for_x86_64(self):
        rows = [start_row("authorizer"), start_row("authorizer, TLS with 5 roots", kind="tls", instructions=30e6)]
        goal = "| authorizer with TLS on x86_64, million instructions | at most 22 | 30.0 | no |"
        shown = self.shown(*rows)
        self.assertIn(goal, shown)
        self.assertIn("without TLS the authorizer's start takes 8.9 million", " ".join(shown.split()))
        shown = self.shown(*rows, machine={**HEAD["machine"], "architecture": "aarch64"})
        self.assertNotIn("million instructions | at most", shown)
        self.assertIn("On arm64 it stays on", shown)


class Files(unittest.TestCase):
    def test_results_are_json_with_one_measurement_a_line(self):
        part = {"part": "start", "machine": {"processors": 2}, "results": [{"name": "a"}, {"name": "b", "us": us(1)}]}
        written = results.as_json(part)
        self.assertEqual(json.loads(written), part)
        self.assertIn('\n  {"name": "a"},\n', written)

    def test_the_declared_fields_are_those_that_the_page_reads(self):
        for file in (REPORT.parent / "last").glob("*.json"):
            part = json.loads(file.read_text())
            self.assertEqual(results.lacking(part), [], f"{file.stem} is of another version")
            declared = {field for row in part["results"] for field in results.FIELDS[row["bench"]]}
            # What a refusal has depends on its kind; the last row of the table has how it was filled.
            declared |= {"bench", "kind", "median_us", "between", "p", "runs", "filled_seconds", "writers", "folder"}
            part["results"] = json.loads(json.dumps(part["results"]), object_hook=Recorded)
            Recorded.read = set()
            list(dict(text.SECTIONS)[file.stem](results.Results({file.stem: part}), ""))
            with self.subTest(file.stem):
                self.assertLessEqual(Recorded.read, {one for field in declared for one in field.split(".")})

    def test_results_of_another_version_are_left_out_with_a_line(self):
        for spoil, field in (
            (lambda part: part["results"][1].pop("floor_cpu_ms"), "floor_cpu_ms.median"),
            (lambda part: part["results"][1]["ratio"].pop("low"), "ratio.low"),
            (lambda part: part["results"][1].update(cpu_ms=4.5), "cpu_ms.median"),
            (lambda part: part.pop("others"), "others"),
            (lambda part: part.pop("results"), "results"),
        ):
            part = {**HEAD, "results": [start_row("whoami"), start_row("authorizer")]}
            with self.subTest(field), tempfile.TemporaryDirectory() as folder, mock.patch("builtins.print") as shown:
                for name in ("start", "warm"):
                    pathlib.Path(folder, f"{name}.json").write_text(json.dumps({**part, "results": []}))
                spoil(part)
                pathlib.Path(folder, "start.json").write_text(json.dumps(part))
                self.assertEqual(set(results.Results.read(pathlib.Path(folder)).parts), {"warm"})
                self.assertIn("start.json is left out", shown.call_args[0][0])
                self.assertIn(field, shown.call_args[0][0])
                self.assertIn("make bench PART=start", shown.call_args[0][0])


class Exponents(unittest.TestCase):
    def test_a_power_law_has_its_exponent(self):
        for power in (0, 0.5, 1, 2):
            points = [(size, us(3 * size**power)) for size in (1, 10, 100, 1_000, 10_000)]
            self.assertAlmostEqual(results.exponent(points), power)
            self.assertAlmostEqual(results.exponent(points, least=100), power)

    def test_a_constant_part_weighs_less_in_large_sizes(self):
        points = [(size, us(20 + 0.01 * size)) for size in (1, 10, 100, 1_000, 10_000, 100_000)]
        self.assertLess(results.exponent(points), results.exponent(points, least=1_000))

    def test_two_points_are_no_curve(self):
        self.assertIsNone(results.exponent([(1, us(1)), (10, us(10))]))


class Goals(unittest.TestCase):
    def shown(self, value, bound=("at most", 22), name="instructions", load=0.4):
        goal = (name, bound, lambda _: value, "The certificates take the rest.")
        parts = {"start": {"load": [9.0, 9.0], "others": [load, 0.1], "machine": {"processors": 2}}}
        return "\n".join(text.goals(results.Results(parts), "start", [goal]))

    def test_a_goal_that_is_missed_says_so_with_its_cause(self):
        self.assertIn("| instructions | at most 22 | 22.1 | no |", self.shown(22.1))
        self.assertIn("The certificates take the rest.", self.shown(22.1))
        self.assertIn("| no |", self.shown(2.99, ("at least", 3)))

    def test_a_goal_that_is_reached_has_no_cause(self):
        self.assertIn("| yes |", self.shown(22.0))
        self.assertNotIn("certificates", self.shown(21.9))
        self.assertIn("| yes |", self.shown(3, ("at least", 3)))

    def test_goals_with_the_same_cause_share_its_paragraph(self):
        found = results.Results({"start": HEAD})
        goals = [(name, ("at most", 1), lambda _: 2, "it is large.") for name in ("a", "b")]
        self.assertEqual(list(text.goals(found, "start", goals))[1:], ["a; b: it is large."])

    def test_a_goal_without_a_measurement_is_not_shown(self):
        self.assertEqual(self.shown(None), "")

    def test_a_ratio_of_times_is_not_judged_on_a_busy_machine(self):
        for value in (1, 30):
            self.assertIn("| not judged", self.shown(value, name="CPU, x", load=2.5))
            self.assertNotIn("| not judged", self.shown(value, name="CPU, x"))
            self.assertIn("| not judged", self.shown(value, name="a, ms until the first poll", load=2.5))
            self.assertNotIn("| not judged", self.shown(value, load=2.5))


class Figures(unittest.TestCase):
    def test_three_digits(self):
        for value, shown in ((0, "0"), (0.012346, "0.0123"), (1.1, "1.10"), (13.94, "13.9"), (20045, "20,045")):
            self.assertEqual(text.number(value), shown)

    def test_two_digits(self):
        for value, shown in ((0, "0"), (0.0126, "0.013"), (1.04, "1.0"), (9.96, "10"), (46.2, "46"), (34_635, "35,000")):
            self.assertEqual(text.digits(value), shown)

    def test_what_saturates_first(self):
        for cpu_us, first, most in (
            # forward-auth takes most of a request, on every processor.
            ({"nginx": 50, "forward-auth": 100}, "all 2 processors", "13,000"),
            ({"nginx": 90, "wrk": 10}, "the thread of nginx", "11,000"),
            # Not the program that takes most.
            ({"nginx": 90, "forward-auth": 95}, "all 2 processors", "11,000"),
            ({"nginx": 90, "forward-auth": 85}, "the thread of nginx", "11,000"),
            ({"nginx": 60, "backend": 70, "wrk": 0}, "the thread of backend", "14,000"),
            ({"the emulator": 900, "authorizer": 800, "wrk": 1}, "the thread of the emulator", "1,100"),
            ({"the emulator": 800, "authorizer": 900, "wrk": 1}, "all 2 processors", "1,200"),
        ):
            with self.subTest(cpu_us):
                # The rounded shares of the processors do not decide.
                shown = text.limit({"cpu_us": cpu_us, "used": {"wrk": 0.02}, "rate": 1}, 2)
                self.assertEqual((shown[0], shown[2]), (first, most))


    def test_a_verifier_is_compared_with_the_bare_check_around_it(self):
        floor, ours = {"ns": us(10)}, {"ns": us(12), "ratio": us(1.2)}
        rows = [
            {"bench": "decision", "name": "bare RSA-2048 check", **floor, "ratio": us(1), "allocations": 0, "instructions": 1},
            {"bench": "decision", "name": "token verified", **ours, "allocations": 0, "instructions": 1},
            # Measured while the machine was half as fast.
            {"bench": "peer", "name": "other", "ns": us(60), "floor_ns": us(20)},
        ]
        part = {"command": "make bench", "date": "today", "quick": False, "commit": "abc", "versions": {}, "load": [0, 0],
                "others": [0, 0], "modified": [],
                "machine": {"processors": 2, "architecture": "x", "model": "y", "memory_gb": 1, "kernel": "6"}, "results": rows}
        shown = "\n".join(text.verify(results.Results({"verify": part}), ""))
        self.assertIn("| other | 0.0600 (0.0600 to 0.0600) | 3.00 | 2.50 |", shown)

        self.assertIn("These results are older than the line of jwt-verify", " ".join(shown.split()))
        rows.append({"bench": "peer", "name": "jwt-verify, verify_access_token", "ns": us(60), "floor_ns": us(20)})
        shown = " ".join("\n".join(text.verify(results.Results({"verify": part}), "")).split())
        self.assertIn("jsonwebtokens-cognito and jwt-verify are asynchronous", shown)
        self.assertNotIn("older", shown)

    def test_how_the_table_was_filled(self):
        def shown(*rows):
            rows = [{"bench": "growth", "dimension": "table", "step": "p99", **row} for row in rows]
            return text.filled(results.Results({"growth": {"results": rows}}))
        first = {"size": 30_000, "us": us(2), "filled_seconds": 1.0}
        self.assertEqual(shown(first), "")
        self.assertEqual(
            shown(first, {"size": 100_000, "us": us(2), "filled_seconds": 70.0}),
            "The last 70,000 rows took 70 s, 1,000 a second; 1,000,000 would take 15 minutes more. "
            "The p99 is of one run and has no spread.",
        )
        new = {"size": 1_000_000, "filled_seconds": 97.0, "writers": 16, "folder": "/dev/shm",
               "us": {"median": 2, "low": 1, "high": 3, "runs": 5}}
        self.assertEqual(
            shown(first, new),
            "16 tasks write it at once, into a file in `/dev/shm`. The last 970,000 rows took 97 s, 10,000 a second. "
            "The p99 is the median of 5 runs, in brackets the fastest and the slowest.",
        )

    def test_one_value_has_no_brackets(self):
        self.assertEqual(text.several(us(1160)), "1,160")
        self.assertEqual(text.several({"median": 2, "low": 1, "high": 3}), "2.00 (1.00 to 3.00)")

    def test_the_bare_check_is_measured_before_and_after(self):
        order = []
        floors = iter([[10.0, 12.0, 14.0], [20.0, 22.0, 24.0]])
        with mock.patch.object(parts, "floor_rounds", lambda _: order.append("floor") or next(floors)):
            rows = list(parts.beside_floor("material", lambda word: [order.append(word) or {"name": "a"}], "peer"))
        self.assertEqual(order, ["floor", "peer", "floor"])
        self.assertEqual((rows[0]["name"], rows[0]["floor_ns"]["low"], rows[0]["floor_ns"]["high"]), ("a", 10.0, 24.0))


class Builds(unittest.TestCase):
    """Two builds of a function beside each other."""

    def found(self, instructions):
        side = {"cpu": us(2), "took": us(8), "resident_mb": us(3), "instructions": instructions}
        after = {**side, "took": us(5), "resident_mb": us(3.3)}
        row = {"before": side, "after": after, "ratio": {"median": 0.5, "low": 0.25, "high": 1}}
        kinds = [("start", "authorizer, TLS"), ("warm", "authorizer")]
        named = [{**row, "kind": kind, "name": name} for kind, name in kinds]
        package = {"bench": "zip", "name": "authorizer", "commit": "0123456789", "before": 4.56, "after": 4.21}
        tried = [{**one, "bench": "tried", "variant": "another", "zip": 4.2} for one in named]
        return results.Results({
            "before": {**HEAD, "results": [package, *({**one, "bench": "before"} for one in named)]},
            "tried": {**HEAD, "results": tried},
        })  # fmt: skip

    def test_ratios_instructions_and_sizes_are_shown(self):
        shown = "\n".join(text.before(self.found(14_670_000.0), ""))
        self.assertIn("| authorizer, TLS, a start | 2.00 (2.00 to 2.00) | 2.00 (2.00 to 2.00) | 0.50 (0.25 to 1.00) |", shown)
        self.assertIn("| 0.50 (0.25 to 1.00) | 8.00 | 5.00 | 14.67 | 14.67 | 3.00 | 3.30 |", shown)
        self.assertIn("| authorizer | 4.56 | 4.21 |", shown)
        self.assertIn("The functions of commit 0123456789,", shown)
        shown = "\n".join(text.tried(self.found(14_670_000.0), ""))
        self.assertIn("| another | 0.50 (0.25 to 1.00) | 14.67 to 14.67 |", shown)

    def test_without_valgrind_the_rest_is_shown(self):
        self.assertIn("|  |  | 3.00 | 3.30 |", "\n".join(text.before(self.found(None), "")))
        self.assertIn("| another | 0.50", "\n".join(text.tried(self.found(None), "")))

    def test_goals_of_each_compared_function_are_judged(self):
        shown = "\n".join(text.before(self.found(None), ""))
        for goal in (
            "| authorizer with TLS, ms until the first poll, after / before | at most 0.5 | 0.625 | no |",
            "| authorizer, zip, after / before | at most 1 | 0.923 | yes |",
            "| authorizer, TLS, resident memory of a start, after / before | at most 1 | 1.10 | no |",
        ):
            self.assertIn(goal, shown)
        self.assertIn("a start, after / before: crates that all functions share", " ".join(shown.split()))

    def test_each_part_has_a_heading_of_its_own(self):
        self.assertTrue(next(iter(text.tried(self.found(None), ""))).startswith("## "))
        last = results.Results.read(REPORT.parent / "last")
        for name, section in text.SECTIONS:
            self.assertTrue(next(iter(section(last, ""))).startswith("## "), name)

    def test_the_parts_of_a_start_are_differences_of_lines(self):
        counts = {"whoami": 0.4e6, "connections": 2e6, "authorizer": 8.9e6, "authorizer, TLS with 5 roots": 14.7e6}
        def of(counted):
            rows = [{"bench": "start", "name": name, "instructions": count} for name, count in counted.items()]
            return "\n".join(text.parts_of_a_start(results.Results({"start": {"results": rows}})))
        shown = of(counts)
        for part in ("| 0.4 | whoami |", "| 1.6 | connections", "| 6.9 | authorizer", "| 5.8 | authorizer, TLS with 5 roots"):
            self.assertIn(part, shown)
        self.assertEqual(of(counts | {"connections": None}), "", "without valgrind")

    def test_parts_that_build_for_long_run_only_by_their_name(self):
        self.assertFalse({"before", "tried", "migration"} & set(parts.USUAL))
        self.assertLess({"before", "tried", "migration"}, set(parts.PARTS))

    def test_the_earlier_commit_is_one_of_this_history(self):
        counted = subprocess.run(["git", "-C", parts.ROOT, "rev-list", "--count", "HEAD"], capture_output=True, text=True)
        if counted.returncode or int(counted.stdout) < 500:
            self.skipTest("not the whole history: a shallow clone, or an export")
        parts.output("git", "-C", parts.ROOT, "merge-base", "--is-ancestor", parts.EARLIER, "HEAD")


class Runs(unittest.TestCase):
    """`make bench`, without the programs that measure."""

    def setUp(self):
        self.here = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.fresh, self.last = self.here / "fresh", self.here / "last"
        for module, name, value in (
            (command, "ROOT", self.here),
            (command, "FRESH", self.fresh),
            (command, "LAST", self.last),
            (command, "DOCUMENT", self.here / "benchmarks.md"),
            (command, "PICTURES", self.here),
            (text, "document", lambda found, prefix: self.rendered(found)),
            (command.charts, "drawn", lambda found: []),
            (parts, "ROOT", self.here),
            (parts, "BINARIES", self.here / "release"),
            (parts, "JOBS", []),
            (parts, "USUAL", ["start", "quota", "load"]),
            (parts, "others_use", lambda: self.others.pop(0)),
            (parts, "no_control_group", lambda: self.lacking),
            (parts, "versions", dict),
        ):
            self.enterContext(mock.patch.object(module, name, value))
        self.enterContext(mock.patch("builtins.print"))
        self.enterContext(mock.patch.dict(os.environ))
        for name in ("GATEHOUSE_QUICK", "GATEHOUSE_BUILT", "GATEHOUSE_BIN_DIR"):
            os.environ.pop(name, None)
        self.others, self.lacking, self.ran = [0.0] * 20, None, []
        for name in parts.PARTS:
            self.part(name, lambda: iter([{"bench": "x"}]))
        self.git("init", "-q")
        (self.here / ".gitignore").write_text("/fresh/\n/last/\n/release/\n/benchmarks.md\n")
        (self.here / "release").mkdir()
        for name in parts.FUNCTIONS:
            (self.here / "release" / name).write_text("")
        self.commit()

    def rendered(self, found):
        return " ".join(sorted(found.parts))

    def part(self, name, run, prepare=lambda: None):
        def both():
            self.ran.append(name)
            return run()

        self.enterContext(mock.patch.dict(parts.PARTS, {name: (prepare, both)}))

    def git(self, *words):
        settings = [word for one in ("user.name=a", "user.email=a", "commit.gpgsign=false") for word in ("-c", one)]
        done = subprocess.run(["git", "-C", self.here, *settings, *words], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "--short=10", "HEAD")

    def saved(self):
        return {file.stem for file in self.last.glob("*.json")}

    def result(self, name):
        return json.loads((self.fresh / f"{name}.json").read_text())

    def test_a_part_that_fails_loses_no_other_and_the_run_fails(self):
        def fails():
            yield {"bench": "x"}
            raise SystemExit("quota failed (1)")

        self.part("quota", fails)
        self.assertEqual(command.main(["--save"]), 1)
        self.assertEqual(self.ran, ["start", "quota", "load"])
        self.assertEqual(self.saved(), {"start", "load"})

    def test_quota_without_a_control_group_is_skipped_unless_it_is_asked_for(self):
        self.lacking = "a control group needs root"
        self.assertEqual(command.main(["--save"]), 0)
        self.assertEqual((self.ran, self.saved()), (["start", "load"], {"start", "load"}))
        self.assertEqual(command.main(["quota"]), 1)
        self.assertEqual(self.ran, ["start", "load"])

    def test_a_page_that_cannot_be_rendered_replaces_no_saved_result(self):
        self.assertEqual(command.main(["start", "--save"]), 0)
        before = (self.last / "start.json").read_text()
        self.part("start", lambda: iter([{"bench": "x", "new": 1}]))
        with mock.patch.object(text, "document", side_effect=KeyError("floor_cpu_ms")):
            with self.assertRaises(KeyError):
                command.main(["start", "--save"])
        self.assertEqual((self.last / "start.json").read_text(), before)
        self.assertEqual((self.here / "benchmarks.md").read_text(), "start")

    def test_the_saved_page_does_not_depend_on_the_fresh_results(self):
        self.fresh.mkdir()
        (self.fresh / "quota.json").write_text('{"results": []}')
        self.assertEqual(command.main(["start", "--save"]), 0)
        self.assertEqual((self.here / "benchmarks.md").read_text(), "start")
        self.assertEqual((self.fresh / "report.md").read_text(), "start", "without what another version has written")
        with mock.patch.object(self, "rendered", side_effect=["start", "start", KeyError("fresh")]):
            with self.assertRaises(KeyError):
                command.main(["start", "--save"])
        self.assertEqual((self.here / "benchmarks.md").read_text(), "start")

    def test_the_saved_page_is_written_with_each_part(self):
        def interrupted():
            raise KeyboardInterrupt
            yield

        self.part("quota", interrupted)
        with self.assertRaises(KeyboardInterrupt):
            command.main(["start", "quota", "--save"])
        self.assertEqual((self.saved(), (self.here / "benchmarks.md").read_text()), ({"start"}, "start"))

    def test_a_disturbed_start_is_not_saved(self):
        for floors, saved in (((1.0, 1.6, 1.2), set()), ((1.0, 1.5, 1.2), {"start"})):
            self.part("start", lambda: iter([{**start_row("f"), "floor_cpu_ms": us(one)} for one in floors]))
            with mock.patch("builtins.print") as shown:
                self.assertEqual(command.main(["start", "--save"]), 0 if saved else 1)
            self.assertEqual(self.saved(), saved)
            words = " ".join(str(one) for call in shown.call_args_list for one in call[0])
            self.assertEqual("between 1.00 and 1.60 ms" in words, not saved)

    def test_without_git_the_reason_is_plain(self):
        shutil.rmtree(self.here / ".git")
        for words in (["start"], ["start", "--save"]):
            with self.assertRaisesRegex(SystemExit, "needs a checkout with git, .*not a git repository"):
                command.main(words)
        with mock.patch.dict(os.environ, {"PATH": "/nonexistent"}), self.assertRaisesRegex(SystemExit, "needs a checkout"):
            command.main([])
        self.assertEqual(self.ran, [])

    def test_a_shallow_clone_cannot_compare_with_the_earlier_commit(self):
        self.assertIn("the whole history", parts.lacking("before"))
        self.assertIn("git fetch --unshallow", parts.lacking("before"))
        self.assertEqual(command.main(["before"]), 1)
        self.assertEqual(self.ran, [])
        with mock.patch.object(parts, "EARLIER", self.git("rev-parse", "HEAD")):
            self.assertIsNone(parts.lacking("before"))
        parts.earlier_folder().mkdir(parents=True)
        self.assertIsNone(parts.lacking("before"), "its sources are there")

    def test_a_part_names_the_function_that_it_needs(self):
        for name, function in (("start", "whoami"), ("warm", "whoami"), ("quota", "authorizer"), ("load", "forward-auth")):
            with self.subTest(name), mock.patch("builtins.print") as shown:
                (self.here / "release" / function).unlink()
                self.assertEqual(command.main([name]), 1)
                self.assertIn(f"{name} needs {function}, which", str(shown.call_args_list))
                (self.here / "release" / function).write_text("")
        self.assertEqual(self.ran, [])

    def test_functions_that_a_folder_lacks_are_not_compared(self):
        earlier = parts.earlier_folder() / "target/release"
        earlier.mkdir(parents=True)
        with mock.patch.object(parts, "program", lambda *_: iter([{"bench": "before"}])):
            with self.assertRaisesRegex(SystemExit, "before compares nothing"):
                list(parts.run_before())
            (earlier / "logout").write_text("")
            self.assertEqual([row["bench"] for row in parts.run_before()], ["zip", "before"])

    def test_functions_are_built_from_the_present_folder(self):
        with mock.patch.object(subprocess, "run") as run, mock.patch.object(parts, "TARGET", self.here / "elsewhere"):
            parts.function("whoami")
        words, folder = run.call_args[0][0], run.call_args[1]["cwd"]
        self.assertIn(str(self.here / "functions/whoami/Cargo.toml"), words)
        self.assertIn(str(self.here / "elsewhere"), words)
        self.assertEqual(folder, self.here)

    def test_a_result_has_the_commit_that_was_built(self):
        built = self.git("rev-parse", "--short=10", "HEAD")
        self.part("start", lambda: iter([{"bench": self.commit()}]))
        self.assertEqual(command.main(["start", "--save"]), 1)
        self.assertEqual(self.result("start")["commit"], built)
        self.assertIn("another commit was checked out", " ".join(self.result("start")["modified"]))
        self.assertEqual(self.saved(), set())

    def test_a_part_has_the_fields_that_are_published(self):
        self.assertEqual(command.main(["start"]), 0)
        self.assertEqual(set(self.result("start")), FIELDS)

    def test_changes_are_recorded_and_not_saved(self):
        for name in ("docs", "benches/last"):
            (self.here / name).mkdir(parents=True)
            (self.here / name / "page.md").write_text("x")
        self.assertEqual(command.main(["start", "--save"]), 0)
        self.assertEqual(self.result("start")["modified"], [])
        (self.here / "new.rs").write_text("x")
        self.assertEqual(command.main(["start"]), 0)
        self.assertEqual(self.result("start")["modified"], ["the checkout has changes (new.rs)"])
        with self.assertRaisesRegex(SystemExit, "new.rs"):
            command.main(["start", "--save"])
        self.assertEqual(self.ran, ["start", "start"])

    def test_a_change_during_the_run_is_not_saved(self):
        for prepare, run in (
            (lambda: (self.here / "built.rs").write_text("x"), lambda: iter(())),
            (lambda: None, lambda: iter([{"bench": (self.here / "later.rs").write_text("x")}])),
        ):
            self.part("start", run, prepare)
            self.assertEqual(command.main(["start", "--save"]), 1)
            self.assertEqual(self.saved(), set())
            self.commit()

    def test_what_was_built_before_and_another_folder_are_not_saved(self):
        for name in ("GATEHOUSE_BUILT", "GATEHOUSE_BIN_DIR"):
            with self.subTest(name), mock.patch.dict(os.environ, {name: "1"}):
                with self.assertRaisesRegex(SystemExit, name):
                    command.main(["start", "--save"])
                self.assertEqual(command.main(["start"]), 0)
                self.assertIn(name, self.result("start")["modified"][0])

    def test_rates_of_a_busy_machine_are_not_saved(self):
        # Asked before the part, after its build and after the part.
        for name in ("start", "warm", "quota", "load", "front-door", "growth"):
            for others, ran in (([0.6], []), ([0.1, 0.6, 0.1], [name]), ([0.1, 0.1, 0.6], [name])):
                with self.subTest(name, others=others):
                    self.others, self.ran = list(others), []
                    self.assertEqual(command.main([name, "--save"]), 1)
                    self.assertEqual((self.ran, self.saved()), (ran, set()))
        self.others = [0.6, 0.6]
        self.assertEqual(command.main(["verify", "--save"]), 0)
        self.assertIn("rates are lower bounds, times are upper bounds", text.note(self.result("verify")))
        self.others = [0.4, 0.4]
        self.assertEqual(command.main(["verify", "--save"]), 0)
        self.assertEqual(text.note(self.result("verify")), "")

    def test_an_idle_machine_is_idle(self):
        with mock.patch.object(parts, "used_seconds", side_effect=[10.0, 11.5]), mock.patch("time.sleep"):
            with mock.patch("time.monotonic", side_effect=[0, 5]):
                self.assertEqual(OTHERS_USE(), 0.3)
        first, second = parts.used_seconds(), parts.used_seconds()
        self.assertGreater(first, 0)
        self.assertLessEqual(first, second)


if __name__ == "__main__":
    unittest.main()
