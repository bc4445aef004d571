"""Each figure that the documents claim has a command that prints it: `make test`, or `python3 -m unittest discover
tests/claims`."""

import pathlib
import re
import subprocess
import sys
import unittest

import claims

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Sentences that look like claims and are not: the page, a phrase of the sentence, and why.
EXCEPTIONS = (
    ("docs/costs.md", "`AccessLogs` adds 0.43 KB", "API Gateway writes it: the length of the template's format, filled in"),
    ("docs/costs.md", "each environment of 256 MB, all the time", "the template's setting, times a month"),
    ("docs/configuration.md", "refuses at 500, 1000 or 1500 ms", "its setting, `REFUSAL_STEP_MS`"),
    ("docs/costs.md", "0.4 KB of Lambda's START, END and REPORT lines", "Lambda writes them: the length of an example"),
    ("docs/costs.md", "1 read unit for each 4 KB of tokens", "DynamoDB's definition of a unit"),
    ("docs/deploy.md", "arm64 costs a fifth less a millisecond", "AWS's prices, in docs/costs.md"),
    ("docs/forward-auth.md", "while 200 requests a second are sent", "what a test sends"),
    ("docs/operations.md", "Amazon SES reviews an account", "a rule of Amazon SES"),
    ("docs/outcomes.md", "a request line of 70 KB", "what a test sends"),
    ("docs/outcomes.md", "the trigger took 3.5 s", "its time limit"),
    ("docs/testing.md", "acknowledged logout while 200 a second run", "what a test sends"),
)
# What benches/report/parts.py writes of a part.
FIELDS = {"part", "command", "date", "commit", "modified", "machine", "load", "others", "seconds", "quick", "versions", "results"}
LISTED = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
# The parts of `make bench`, without importing what only its own tools have.
PARTS = set(re.findall(r'^    "([\w-]+)": \(prepare_', (ROOT / "benches/report/parts.py").read_text(), re.MULTILINE))
PAGES = {name: (ROOT / name).read_text() for name in LISTED.splitlines()}


def tests():
    """Each test as `make test T=` and `make chaos T=` find it: Rust's by module, Python's by file and class."""
    listed = subprocess.run(["git", "ls-files", "*.rs", "*.py"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in listed.splitlines():
        path = pathlib.Path(name)
        text = (ROOT / path).read_text()
        if path.suffix == ".rs":
            tested = re.findall(r"#\[(?:tokio::)?test\b.*?\bfn (\w+)", text, re.DOTALL)
            yield from (f"{path.parent.name}::{path.stem}::{one}" for one in tested)
        elif path.stem.startswith("test_"):
            yield path.stem
            yield from re.findall(r"^(?:class|    def) (\w+)", text, re.MULTILINE)


def found(text, **more):
    """The claims that are found in a page with this text."""
    pages = {"docs/page.md": text, **more}
    return [claim for claim in claims.unproven(pages) if claim.page == "docs/page.md"]


class Documents(unittest.TestCase):
    maxDiff = None

    def test_each_document_is_read(self):
        self.assertLessEqual({"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "local/README.md", claims.BENCHMARKS}, PAGES.keys())

    def test_each_figure_names_the_command_that_measures_it(self):
        self.assertEqual([str(claim) for claim in claims.unproven(PAGES, EXCEPTIONS)], [])

    def test_each_named_part_and_test_exists(self):
        self.assertEqual([str(claim) for claim in claims.unknown(PAGES, PARTS, list(tests()))], [])

    def test_each_part_has_a_section(self):
        known = claims.figures_of_parts(claims.sections(PAGES[claims.BENCHMARKS]))
        self.assertEqual({part for part, figures in known.items() if figures}, PARTS)

    def test_each_exception_is_needed(self):
        for exception in EXCEPTIONS:
            others = [one for one in EXCEPTIONS if one != exception]
            page, phrase, why = exception
            with self.subTest(page=page, phrase=phrase):
                self.assertTrue(why)
                self.assertTrue(any(phrase in claim.text for claim in claims.unproven(PAGES, others)))

    def test_the_page_of_benchmarks_is_what_its_results_give(self):
        sys.path.insert(0, str(ROOT / "benches/report"))
        self.addCleanup(sys.path.remove, str(ROOT / "benches/report"))
        import results
        import text

        last = results.Results.read(ROOT / "benches/last")
        self.assertEqual(set(last.parts), {file.stem for file in (ROOT / "benches/last").glob("*.json")}, "another version's")
        self.assertEqual(text.document(last, "pictures/"), PAGES[claims.BENCHMARKS], "make bench SAVE=1, not by hand")
        self.assertFalse([name for name, part in last.parts.items() if part["quick"]], "a quick run is not published")
        self.assertFalse([name for name, part in last.parts.items() if part["modified"]], "of no commit")
        # Text that a part's program did not write would have a field of its own.
        self.assertEqual({name: sorted(set(part) - FIELDS) for name, part in last.parts.items() if set(part) - FIELDS}, {})
        self.assertLessEqual(set(last.parts), {part for part, _ in text.SECTIONS})


class Found(unittest.TestCase):
    def test_figures_without_a_command(self):
        for sentence in (
            "A decision takes 0.2 ms.",
            "A decision takes 200 µs of processor time, and a start 8 ms.",
            "Gatehouse is 3 times as fast as Node.",
            "The authorizer's zip has 4.0 MB.",
            "A start needs 22 million instructions.",
            "It answers 20,000 requests a second.",
            "That saves 40 % of the time.",
            "The build took 12 minutes.",
            "- logout: 5 ms\n- admin: 6 ms",
            "| function | start, ms |\n|---|---|\n| logout | 5.5 |",
            "| what | × bare check |\n|---|---|\n| a token | 1.11 |",
            "| set-up | requests/s |\n|---|---|\n| nginx | 93,566 |",
            "| set-up | it takes |\n|---|---|\n| nginx | 0.5 ms |",
            "The file has 114 kB.",
            "A process holds 12 MiB.",
            "The authorizer's zip has 4.0 mb.",
            # A word of a bound, and another figure.
            "A decision takes 0.2 ms, which is above the floor.",
            "By default a decision takes 0.2 ms.",
            "Within a function a decision takes 0.2 ms.",
            "A decision takes 0.2 ms, and a response has at most 8 KB.",
            "The limit is not reached by a start of 8 ms.",
            "`MEMORY_MB` is small, so a start takes 8 ms.",
            "A decision of `authorizer` (0.2 ms).",
            # Commands that do not print it.
            "A decision takes 0.2 ms (`make test`).",
            "A build takes 7 minutes of processor time, as the tests do (`make test`).",
            "It needs 7 GB of disk (`make run`).",
            "It needs 7 GB of disk after `make test`.",
            "The licences took 3 minutes of processor time (`make notices`).",
            "A decision takes 0.2 ms (`make fuzz`).",
            "A decision takes 0.2 ms (`make chaos`).",
            "`make test` is there. A start took 3 s of processor time.",
            "| what | it takes |\n|---|---|\n| nginx | 0.5 ms |\n| `make bench` | measures |",
            "| function | start, ms |\n|---|---|\n| logout, by `make test` | 5.5 |",
            # Shares in words.
            "Gatehouse takes half as long as Node.",
            "A start takes an eighth of the processor's time.",
            "It is twice as fast as before.",
            "A zip takes a third less.",
            "Policies are four fifths of Cedar's part of a start.",
            "A decision needs two thirds of the instructions.",
        ):
            with self.subTest(sentence):
                self.assertTrue(found(f"# Page\n\n{sentence}\n"))

    def test_prices_settings_and_bounds_are_not_claims(self):
        for sentence in (
            "API Gateway costs $3.50 a million.",
            "The response is at most 8 KB.",
            "forward-auth answers 503 within 2.5 s.",
            "At a multiple of `REFUSAL_STEP_MS` (500 ms).",
            "A revocation lives for 8 hours.",
            "Responses exceed API Gateway's 8 KB.",
            "A start that takes more than a further 2 s fails.",
            "It has a 500 ms limit, and a retry a limit of 2 s.",
            "It waits 250 ms at most.",
            "`GATEHOUSE_STEP=500 ms` is the default of 1.5 s.",
            "See section 2.4 of RFC 7515.",
            "`make test` took 7 min 4 s, and `make run` 4 min.",
            "The first `make build` took 35 minutes of processor time.",
            "The zips have 0.4 to 4.0 MB, which `make build` prints.",
            "It waits for a quarter of an hour, half a second or half the sessions.",
            "A third of the clients' requests carry a cookie, and a name that occurs twice stops the start.",
            "Refusals are sent at steps of 25 ms.",
            "It costs 4 ms assumed for the read.",
            "```\nmake bench   # 3 ms\n```",
        ):
            with self.subTest(sentence):
                self.assertEqual(found(f"# Page\n\n{sentence}\n"), [])

    def test_a_command_in_the_block_the_section_or_the_linked_one_is_enough(self):
        claim = "A decision takes 0.2 ms"
        measured = "# Speed\n\nMeasured by `make bench PART=warm`, 2026-11-26.\n\n| what | ms |\n|---|---|\n| a decision | 0.2 |\n"
        for text in (
            f"# Page\n\n{claim} (`make bench PART=warm`).\n",
            f"# Page\n\n{claim} (`GATEHOUSE_ROUNDS=1 make bench`).\n",
            "# Page\n\nA mutant took 2 s (`nice -n 19 local/mutants requests`).\n",
            f"# Page\n\n- A thing.\n- {claim} (`make bench\n  PART=warm`).\n",
            f"# Page\n\nMeasured by `make bench PART=warm` on 2026-11-26, two cores.\n\n{claim}.\n",
            f"# Page\n\n{claim} ([measured](benchmarks.md#speed)).\n",
            f"# Page\n\n{claim} ([measured](benchmarks.md)).\n",
        ):
            with self.subTest(text):
                self.assertEqual(found(text, **{"docs/benchmarks.md": measured}), [])
        for text in (
            # Another section's line, a command that measures nothing, a section without a line, one that is not there.
            f"# Page\n\nMeasured by `make bench`.\n\n# Other\n\n{claim}.\n",
            f"# Page\n\n{claim} after `make deploy`.\n",
            f"# Page\n\n{claim} (`make template`).\n",
            f"# Page\n\n{claim} (`local/deploy.py`).\n",
            f"# Page\n\n{claim} (`cargo build`).\n",
            f"# Page\n\n{claim} (`make benchmarks`).\n",
            f"# Page\n\nMeasured by `make test`.\n\n{claim}.\n",
            # Of another part, or of none.
            f"# Page\n\n{claim} (`make bench PART=start`).\n",
            f"# Page\n\n{claim} (`make bench PART=nonsense`).\n",
            # Another item, and a measured section without a command that measures.
            f"# Page\n\n- {claim}.\n- Another thing is measured by `make bench`.\n",
            f"# Page\n\nMeasured by `make lint`.\n\n{claim}.\n",
            f"# Page\n\n{claim} ([measured](benchmarks.md#other)).\n",
            f"# Page\n\n{claim} ([measured](elsewhere.md#speed)).\n",
        ):
            with self.subTest(text):
                more = {"docs/benchmarks.md": measured + "\n# Other\n\nText.\n"}
                self.assertTrue(found(text, **more))

    def test_a_quoted_figure_is_one_of_the_last_run(self):
        measured = "# Speed\n\nMeasured by `make bench`.\n\n| what | µs |\n|---|---|\n| a decision | 207 (200 to 215) |\n"
        for figure, count in (("0.2 ms", 0), ("207 µs", 0), ("0.21 ms", 0), ("0.35 ms", 1), ("150 µs", 1)):
            with self.subTest(figure):
                text = f"# Page\n\nA decision takes {figure} ([measured](benchmarks.md#speed)).\n"
                self.assertEqual(len(found(text, **{"docs/benchmarks.md": measured})), count)
        for text, count in (
            ("Of 256 MB, a decision takes [207 µs](benchmarks.md#speed).", 0),
            ("Of 256 MB, a decision takes [350 µs](benchmarks.md#speed).", 1),
            ("A decision takes 207 µs ([measured](benchmarks.md#speed)), and a start 207 µs.", 0),
            ("A decision takes 207 µs ([measured](benchmarks.md#speed)), and a start 9 ms.", 1),
            ("As [the benchmarks](benchmarks.md#speed) show, a decision takes 350 µs.", 1),
            ("A decision takes 350 µs (`make bench`).", 1),
            ("`make bench` counted 350 µs for it.", 1),
            ("`make bench` counted 207 µs for it.", 0),
            ("After `make test`, a decision takes 207 µs (`QUICK=1 make bench`), in a period of at most 9 ms.", 0),
            ("| what | |\n|---|---|\n| a decision | 207 µs ([measured](benchmarks.md#speed)) |", 0),
            ("| what | |\n|---|---|\n| a decision | 350 µs ([measured](benchmarks.md#speed)) |", 1),
        ):
            with self.subTest(text):
                self.assertEqual(len(found(f"# Page\n\n{text}\n", **{"docs/benchmarks.md": measured})), count)


    def test_a_quoted_figure_has_the_unit_of_the_last_run(self):
        measured = (
            "# Speed\n\nMeasured by `make bench`: 2 cores, 25 GB.\n\nIt answers at 65 MB.\n\n"
            "| what | µs | CPU, ms | × bare check | log, bytes | zip, MB | requests/s |\n|---|---|---|---|---|---|---|\n"
            "| a decision | 207 (150 to 350) | 4.1 | 1.93 | 467 | 4.2 | 9,041 |\n\n"
            "| µs | 1 | 10 | exponent |\n|---|---|---|---|\n| a route | 0.05 | 80 (79 to 81) | 0.11 |\n"
        )
        for figure, count in (
            ("207 µs", 0),
            ("207 ms", 1),
            ("207 MB", 1),
            ("0.207 ms", 0),
            ("0.207 s", 1),
            # The limits of the repetitions, the machine's memory, a size in a heading.
            ("150 µs", 1),
            ("25 GB", 1),
            ("10 µs", 1),
            ("4.1 ms", 0),
            ("4.1 s", 1),
            ("4.1 MB", 0),
            ("1.93 times as long", 0),
            ("207 times as long", 1),
            ("0.47 KB", 0),
            ("4.0 MiB", 0),
            ("9,000 requests a second", 0),
            ("80 µs", 0),
            ("0.11 µs", 1),
            ("65 MB", 0),
            ("65 ms", 1),
        ):
            with self.subTest(figure):
                text = f"# Page\n\nA decision takes {figure} ([measured](benchmarks.md#speed)).\n"
                self.assertEqual(len(found(text, **{"docs/benchmarks.md": measured})), count)

    def test_a_figure_of_a_part_is_in_its_sections(self):
        measured = (
            "# Growth\n\nMeasured by `make bench PART=growth`.\n\n## Routes\n\n| µs | 1 |\n|---|---|\n| a route | 5 |\n\n"
            "# Before\n\nMeasured by `make bench PART=before`.\n\n| what | CPU, ms, before | after | after / before |\n"
            "|---|---|---|---|\n| a start | 38 | 5.1 (4 to 6) | 0.13 |\n\n"
            "| function | medians, µs |\n|---|---|\n| trigger | wrong password 27,391, unknown user 29,999 |\n"
        )
        for text, count in (
            ("A route takes 5 µs (`make bench PART=growth`).", 0),
            ("A route takes 7 µs (`make bench PART=growth`).", 1),
            ("A route takes 5 µs (`make bench PART=before`).", 1),
            ("A route takes 5 µs (`make bench PART=\"before growth\"`).", 0),
            ("A start takes 5.1 ms, 38 ms before (`make bench PART=before`).", 0),
            ("A start takes 5.1 ms, 27 ms before (`make bench PART=before`).", 0),
            ("A start takes 5.1 ms, 20 ms before (`make bench PART=before`).", 1),
            ("A start takes an eighth of the time (`make bench PART=before`).", 0),
            ("A start takes half of the time (`make bench PART=before`).", 1),
            ("A start takes seven eighths less (`make bench PART=before`).", 0),
            ("A start is twice as fast ([measured](benchmarks.md#before)).", 1),
            ("A route takes 5 µs (`make bench PART=growth`), and a start 5.1 ms (`make bench PART=before`).", 0),
            ("A route takes 5 µs (`make bench PART=before`), and a start 5.1 ms (`make bench PART=growth`).", 2),
        ):
            with self.subTest(text):
                self.assertEqual(len(found(f"# Page\n\n{text}\n", **{"docs/benchmarks.md": measured})), count)

    def test_a_named_part_or_test_exists(self):
        for command, count in (
            ("make bench PART=warm", 0),
            ("make bench PART=nonsense", 1),
            ("make bench PART=\"warm nonsense\" QUICK=1", 1),
            ("make bench PART=warm QUICK=1", 0),
            ("make bench\nPART=nonsense", 1),
            ("make bench", 0),
            ("make test T=flows::logout", 0),
            ("make test T=logout_is", 0),
            ("make test T=nonsense", 1),
            ("make chaos T=nonsense", 1),
            ("make test T=name", 0),
            ("make mutants PART=nonsense", 0),
        ):
            with self.subTest(command):
                pages = {"docs/page.md": f"# Page\n\nSee `{command}`.\n"}
                unknown = claims.unknown(pages, {"warm", "start"}, ["it::flows::logout_is_final", "test_faults"])
                self.assertEqual(len(list(unknown)), count)


if __name__ == "__main__":
    unittest.main()
