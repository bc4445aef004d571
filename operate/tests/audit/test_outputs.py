"""The reports, the exit codes, suppressions and the other commands."""

import datetime
import io
import json
import os
import pathlib
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree as ElementTree

import jsonschema

from audit.support import RECORDED, audit, cli, lines, run
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import Severity
from gatehouse_operate.audit.sources import SOURCES

SCHEMA = pathlib.Path(__file__).parent / "sarif-2.1.0-rtm.5.json"
AMPLIFY = RECORDED / "amplify"
PLANTED = RECORDED / "planted"
POOL = "us-east-1_Amplify01"


class Formats(unittest.TestCase):
    def test_sarif_is_valid(self):
        schema = json.loads(SCHEMA.read_text())
        for folder in ("planted", "amplify", "sam"):
            for anchor in ([], ["--anchor", "template.yaml"]):
                _, out, _ = run("--from", RECORDED / folder, "--sarif", "-", *anchor)
                log = json.loads(out)
                jsonschema.Draft7Validator(schema).validate(log)
                (found,) = log["runs"]
                count = len((RECORDED / f"{folder}.txt").read_text().splitlines())
                self.assertEqual(len(found["results"]), count)
                prints = [one["partialFingerprints"]["gatehouseAudit/v1"] for one in found["results"]]
                self.assertEqual(len(prints), len(set(prints)))
                for one in found["results"]:
                    self.assertEqual(found["tool"]["driver"]["rules"][one["ruleIndex"]]["id"], one["ruleId"])

    def test_the_schema_refuses_a_wrong_log(self):
        schema = json.loads(SCHEMA.read_text())
        log = {"version": "2.1.0", "runs": [{"results": [{"message": {"text": "x"}}]}]}
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(schema).validate(log)

    def test_junit_counts_failures_and_errors(self):
        _, out, _ = run("--from", PLANTED, "--junit", "-")
        root = ElementTree.fromstring(out)
        expected = (RECORDED / "planted.txt").read_text().splitlines()
        failed = [one for one in expected if one.startswith(("critical ", "high "))]
        self.assertEqual(int(root.get("failures")), len(failed))
        self.assertEqual(int(root.get("errors")), 1)
        # Every check that passes is a case too.
        _, out, _ = run("--from", AMPLIFY, "--junit", "-")
        names = {case.get("classname").rpartition(".")[2] for case in ElementTree.fromstring(out).iter("testcase")}
        self.assertEqual(names, CHECKS.keys())

    def test_files_are_written_beside_the_table(self):
        with tempfile.TemporaryDirectory() as folder:
            sarif, junit = pathlib.Path(folder) / "a.sarif", pathlib.Path(folder) / "a.xml"
            _, out, _ = run("--from", AMPLIFY, "--sarif", sarif, "--junit", junit)
            self.assertIn("User pool\n=========", out)
            self.assertEqual(json.loads(sarif.read_text())["version"], "2.1.0")
            self.assertEqual(ElementTree.parse(junit).getroot().tag, "testsuites")

    def test_the_table_says_what_why_how_and_what_breaks(self):
        _, out, _ = run("--from", PLANTED)
        part = out.partition("client-token-revocation")[2]
        for text in ("EnableTokenRevocation is off", "why: ", "change_client us-east-1_Planted01", "breaks: "):
            self.assertIn(text, part)

    def test_many_findings_of_a_check_are_shown_together(self):
        _, out, _ = run("--from", PLANTED)
        self.assertEqual(out.count("client-outlives-revocations:"), 1)

    def test_colours_are_for_terminals_without_no_color(self):
        for is_terminal, environment, coloured in (
            (False, {}, False),
            (True, {}, True),
            (True, {"NO_COLOR": ""}, False),
            (True, {"NO_COLOR": "1"}, False),
            (True, {"TERM": "dumb"}, False),
        ):
            with self.subTest(is_terminal=is_terminal, environment=environment):
                kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
                with (
                    unittest.mock.patch.dict(os.environ, kept | environment, clear=True),
                    terminal(is_terminal),
                ):
                    _, out, _ = run("--from", AMPLIFY)
                self.assertEqual("\033[" in out, coloured)


def terminal(is_terminal):
    """Lets `run`'s outputs be a terminal or not."""

    class Output(io.StringIO):
        def isatty(self):
            return is_terminal

    return unittest.mock.patch("io.StringIO", Output)


class ExitCodes(unittest.TestCase):
    def test_the_threshold_decides(self):
        for threshold, code in (("high", 0), ("medium", 1), ("low", 1), ("info", 1), ("critical", 0), ("never", 0)):
            self.assertEqual(audit(AMPLIFY, "--fail-on", threshold)[0], code, threshold)
        self.assertEqual(audit(PLANTED, "--fail-on", "never", "--unchecked", "warn")[0], cli.PASSED)

    def test_what_was_not_read_has_its_own_code(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in AMPLIFY.iterdir():
                if "web-acl" not in file.name:
                    (pathlib.Path(folder) / file.name).write_text(file.read_text())
            self.assertEqual(audit(folder)[0], cli.UNCHECKED)
            self.assertEqual(audit(folder, "--unchecked", "warn")[0], cli.PASSED)
            self.assertEqual(audit(folder, "--fail-on", "medium")[0], cli.FAILED)

    def test_a_target_that_does_not_exist_is_not_a_clean_result(self):
        code, report = audit(AMPLIFY, "--user-pool-id", "us-east-1_Unknown01")
        self.assertEqual((code, report["not_checked"], report["scope"]), (cli.UNCHECKED, 1, []))

    def test_wrong_arguments(self):
        for arguments in (
            ["--fail-on", "sometimes"],
            ["--no-such-option"],
            ["--from", AMPLIFY, "--json", "--sarif", "-"],
            # An empty variable of a shell.
            ["--user-pool-id", ""],
            ["--from", AMPLIFY, "--stack", "", "--user-pool-id", POOL],
            ["explain"],
            ["explain", "pool-unknown"],
            ["--from", AMPLIFY, "--suppressions", "no-such-file.toml"],
            ["--from", AMPLIFY, "--sarif", "/no-such-folder/a.sarif"],
        ):
            code, out, err = run(*arguments)
            self.assertEqual(code, cli.USAGE, arguments)
            self.assertTrue(err, arguments)

    def test_nothing_to_read(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run("--from", folder)[0], cli.UNREADABLE)
            (pathlib.Path(folder) / "other.json").write_text("{}")
            self.assertEqual(run("--from", folder)[0], cli.UNREADABLE)
        self.assertEqual(run("--from", "no-such-folder")[0], cli.UNREADABLE)

    def test_no_credentials_and_no_region(self):
        empty = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", "PATH": os.environ["PATH"]}
        with unittest.mock.patch.dict(os.environ, empty, clear=True):
            for arguments in (["--user-pool-id", POOL], ["--user-pool-id", POOL, "--region", "us-east-1"]):
                code, _, err = run(*arguments)
                self.assertEqual(code, cli.UNREADABLE, err)
            code, _, err = run("--user-pool-id", POOL, "--region", "us-east-1", "--profile", "none")
            self.assertEqual(code, cli.USAGE, err)
            self.assertEqual(run("--region", "us-east-1")[0], cli.USAGE)


class Suppressions(unittest.TestCase):
    CLIENT = "client-refresh-lifetime"

    def audit(self, text, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "gatehouse-audit.toml"
            file.write_text(text)
            return audit(AMPLIFY, "--suppressions", file, *arguments)

    def entry(self, check=CLIENT, resource="*", reason='"SEC-41"', days=30):
        expires = datetime.date.today() + datetime.timedelta(days=days)
        return f'[[suppress]]\ncheck = "{check}"\nresource = "{resource}"\nreason = {reason}\nexpires = {expires}\n'

    def test_an_entry_hides_a_finding_and_is_reported(self):
        _, report = self.audit(self.entry())
        self.assertNotIn(self.CLIENT, {one["check"] for one in report["findings"]})
        (hidden,) = report["suppressed"]
        self.assertEqual((hidden["check"], hidden["reason"]), (self.CLIENT, "SEC-41"))

    def test_the_last_day_counts(self):
        self.assertEqual(len(self.audit(self.entry(days=0))[1]["suppressed"]), 1)
        self.assertEqual(len(self.audit(self.entry(days=-1))[1]["suppressed"]), 0)

    def test_a_resource_limits_an_entry(self):
        self.assertEqual(len(self.audit(self.entry(resource=f"{POOL}/*"))[1]["suppressed"]), 1)
        _, report = self.audit(self.entry(resource="us-east-1_Other0001/*"))
        self.assertEqual(report["suppressed"], [])
        self.assertIn("audit-suppression-unused", {one["check"] for one in report["findings"]})

    def test_an_expired_entry_hides_nothing_and_is_a_finding(self):
        _, report = self.audit(self.entry(days=-1))
        found = {one["check"] for one in report["findings"]}
        self.assertEqual({self.CLIENT, "audit-suppression-expired"} - found, set())

    def test_entries_without_a_reason_or_expiry_hide_nothing_and_are_findings(self):
        for text in (
            self.entry(reason='""'),
            self.entry(reason='"  "'),
            self.entry(reason="5"),
            f'[[suppress]]\ncheck = "{self.CLIENT}"\nreason = "x"\n',
            f'[[suppress]]\ncheck = "{self.CLIENT}"\nreason = "x"\nexpires = "2030-01-01"\n',
            f'[[suppress]]\ncheck = "{self.CLIENT}"\nreason = "x"\nexpires = 2030-01-01\nresorce = "typo"\n',
            self.entry(check="no-such-check"),
            self.entry(check="audit-suppression-expired"),
            "[[suppress]]\n",
            '[[suppress]]\ncheck = ["client-refresh-lifetime"]\nreason = "x"\nexpires = 2030-01-01\n',
        ):
            with self.subTest(text):
                _, report = self.audit(text)
                found = {one["check"] for one in report["findings"]}
                self.assertEqual({self.CLIENT, "audit-suppression-unreasoned"} - found, set())

    def test_an_unreadable_file_is_an_error(self):
        for text in ("[[suppress", "suppress = 1\n", 'suppress = ["x"]\n'):
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / "x.toml"
                file.write_text(text)
                self.assertEqual(run("--from", AMPLIFY, "--suppressions", file)[0], cli.USAGE, text)

    def test_suppressed_findings_stay_in_sarif_and_junit(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "x.toml"
            file.write_text(self.entry())
            _, out, _ = run("--from", AMPLIFY, "--suppressions", file, "--sarif", "-")
            kinds = [
                one["suppressions"][0]["kind"] for one in json.loads(out)["runs"][0]["results"] if "suppressions" in one
            ]
            self.assertEqual(kinds, ["external"])
            _, out, _ = run("--from", AMPLIFY, "--suppressions", file, "--junit", "-")
            self.assertEqual(ElementTree.fromstring(out).get("skipped"), "1")


class Explanations(unittest.TestCase):
    def test_every_check_is_explained_with_its_sources(self):
        for check in CHECKS.values():
            code, out, _ = run("explain", check.id)
            self.assertEqual(code, cli.PASSED)
            for text in (check.title, *(SOURCES[name][1] for name in check.sources)):
                self.assertIn(text, out)

    def test_an_unknown_check_gets_a_proposal(self):
        _, _, err = run("explain", "client-revocation")
        self.assertIn("client-token-revocation", err)

    def test_all_checks_are_listed(self):
        _, out, _ = run("checks")
        for check in CHECKS:
            self.assertIn(f" {check} ", out)


class Severities(unittest.TestCase):
    def test_the_order(self):
        self.assertEqual([one.word for one in Severity], ["info", "low", "medium", "high", "critical"])

    def test_findings_are_sorted_by_severity(self):
        _, report = audit(PLANTED)
        found = [Severity[line.split()[0].upper()] for line in lines(report)]
        self.assertEqual(found, sorted(found, reverse=True))


if __name__ == "__main__":
    unittest.main()
