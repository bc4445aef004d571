"""docs/audit.md, the commands that mend, and the sources."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from audit.support import RECORDED, ROOT, audit
from gatehouse_operate.audit import mend, page
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.checks import system
from gatehouse_operate.audit.finding import Names
from gatehouse_operate.audit.sources import SOURCES

sys.path.insert(0, str(ROOT / "local"))
import stand_ins  # noqa: E402 - of the folder that is named above

PAGE = ROOT / "docs/audit.md"
PROWLER = {
    "advanced_security_enabled",
    "blocks_compromised_credentials_sign_in_attempts",
    "blocks_potential_malicious_sign_in_attempts",
    "client_prevent_user_existence_errors",
    "client_token_revocation_enabled",
    "cognito_identity_pool_guest_access_disabled",
    "deletion_protection_enabled",
    "mfa_enabled",
    "password_policy_lowercase",
    "password_policy_minimum_length_14",
    "password_policy_number",
    "password_policy_symbol",
    "password_policy_uppercase",
    "self_registration_disabled",
    "temporary_password_expiration",
    "waf_acl_attached",
}


class Page(unittest.TestCase):
    def test_the_generated_parts_are_those_of_the_code(self):
        text = PAGE.read_text()
        made = page.filled(text)
        if "GATEHOUSE_UPDATE" in os.environ:
            PAGE.write_text(made)
        else:
            self.assertEqual(text, made, "GATEHOUSE_UPDATE=1 python -m unittest discover operate/tests -k generated")

    def test_each_of_prowlers_checks_has_a_counterpart_or_a_reason(self):
        table = PAGE.read_text().partition("## Compared with prowler")[2].partition("\n## ")[0]
        rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE))
        self.assertEqual(rows.keys(), PROWLER)
        for name, here in rows.items():
            self.assertTrue(set(re.findall(r"`([\w-]+)`", here)) <= CHECKS.keys(), name)
            self.assertTrue("`" in here or here.startswith("none"), name)
        counterparts = {one for here in rows.values() for one in re.findall(r"`([\w-]+)`", here)}
        self.assertGreaterEqual(len(CHECKS.keys() - counterparts), 20)

    def test_what_the_page_says_of_common_set_ups_is_what_the_audit_says(self):
        text = re.sub(r"\s+", " ", PAGE.read_text())
        for folder, sentence in (
            ("amplify", "{} findings, none of them high"),
            ("sam", "{} findings, {} of them high"),
        ):
            _, report = audit(RECORDED / folder)
            self.assertIn(sentence.format(len(report["findings"]), report["counts"]["high"]), text)

    def test_every_id_on_the_page_exists(self):
        text = PAGE.read_text().partition("## The checks")[0]
        groups = "pool|client|identity|api|system|federation|audit"
        for name in re.findall(rf"`((?:{groups})-[a-z-]+)`", text):
            self.assertIn(name, CHECKS)


class Sources(unittest.TestCase):
    def test_every_check_has_a_source_and_every_source_a_check(self):
        used = {name for check in CHECKS.values() for name in check.sources}
        self.assertEqual(used, SOURCES.keys())
        for check in CHECKS.values():
            self.assertTrue(check.sources or check.group == "audit", check.id)

    def test_pages_of_this_repository_exist(self):
        for _, address in SOURCES.values():
            if not address.startswith("https://"):
                self.assertTrue((ROOT / address).is_file(), address)

    def test_texts_are_sentences(self):
        for check in CHECKS.values():
            for text in (check.why, check.breaks):
                self.assertTrue(text.endswith((".", ")")) and text[0].isupper(), f"{check.id}: {text}")
            self.assertFalse(check.title.endswith("."), check.id)


class Commands(unittest.TestCase):
    """Every command of a finding has operations and options that exist."""

    def test_the_commands_of_the_checks_exist(self):
        session = botocore.session.get_session()
        seen = 0
        for check in CHECKS.values():
            for service, operation, options in commands(mend.complete(check.mend.format_map(Names()))):
                with self.subTest(check=check.id, operation=operation):
                    model = session.get_service_model(service)
                    names = {one.lower(): one for one in model.operation_names}
                    shape = model.operation_model(names[operation.replace("-", "")]).input_shape
                    known = {dashed(one) for one in shape.members} | {"cli-input-json", "query"}
                    # A flag of the AWS CLI for a boolean member.
                    known |= {f"no-{one}" for one in known}
                    self.assertEqual(options - known, set())
                    seen += 1
        self.assertGreater(seen, 60)

    def test_the_updates_drop_only_what_they_do_not_accept(self):
        model = botocore.session.get_session().get_service_model("cognito-idp")
        accepted = set(model.operation_model("UpdateUserPool").input_shape.members)
        described = set(model.shape_for("UserPoolType").members)
        self.assertEqual(set(mend.POOL_READ_ONLY), described - accepted)
        accepted = set(model.operation_model("UpdateUserPoolClient").input_shape.members)
        described = set(model.shape_for("UserPoolClientType").members)
        self.assertEqual(set(mend.CLIENT_READ_ONLY), described - accepted)

    def test_the_commands_write_valid_updates(self):
        """Runs each command in a shell whose `aws` prints the recorded answer, and validates what it would send."""
        _, report = audit(RECORDED / "planted")
        model = botocore.session.get_session().get_service_model("cognito-idp")
        programs = self.enterContext(tempfile.TemporaryDirectory())
        environment = os.environ | {"PATH": stand_ins.path_with(programs, os.environ["PATH"])}
        tried = 0
        for finding in report["findings"]:
            call = finding["mend"].splitlines()[-1]
            words = shlex.split(call)
            if words[0] not in ("change_pool", "change_client") or re.search(r"<[\w' ]+>", call):
                continue
            kind = {"change_pool": "user-pool", "change_client": "user-pool-client"}[words[0]]
            recorded = RECORDED / "planted" / f"{'.'.join([f'cognito-idp.describe-{kind}', *words[1:-1]])}.json"
            (described,) = json.loads(recorded.read_text()).values()
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "described.json").write_text(json.dumps(described))
                stub = (
                    'aws() { case "$2" in describe-*) cat described.json ;; *) cp "${4#file://}" sent.json ;; esac; }\n'
                )
                command = ["bash", "-euc", stub + finding["mend"]]
                made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
                self.assertEqual(made.returncode, 0, (finding["check"], made.stderr))
                update = json.loads((pathlib.Path(folder) / "sent.json").read_text())
            operation = {"change_pool": "UpdateUserPool", "change_client": "UpdateUserPoolClient"}[words[0]]
            errors = ParamValidator().validate(update, model.operation_model(operation).input_shape)
            self.assertFalse(errors.has_errors(), (finding["check"], errors.generate_report()))
            self.assertNotIn("ClientSecret", update)
            # One setting differs, the others are as they were.
            kept = {name: value for name, value in described.items() if name in update and update[name] == value}
            self.assertGreaterEqual(len(kept), len(update) - 5, finding["check"])
            tried += 1
        self.assertGreater(tried, 15)

    def test_names_in_commands_are_no_code(self):
        """Runs every command of a set-up whose names are shell code."""
        code = "x'\"`touch made`$(touch made);touch made\ntouch made #"
        with tempfile.TemporaryDirectory() as folder:
            export = pathlib.Path(folder) / "export"
            shutil.copytree(RECORDED / "planted", export)
            for file in export.iterdir():
                text = file.read_text()
                for name in (
                    "custom:role",
                    '"web',
                    '"Entra',
                    '"files',
                    "http://app.example.com/cb",
                    '"open"',
                    '"planted"',
                ):
                    text = text.replace(name, name.rstrip('"') + json.dumps(code)[1:-1] + '"' * name.endswith('"'))
                file.write_text(text)
            targets = ("--user-pool-id", "us-east-1_Planted01", "--rest-api", "planted001")
            targets += ("--identity-pool", "us-east-1:11111111-2222-4333-8444-555555555555", "--region", "us-east-1")
            _, report = audit(export, *targets)
            commands = [one["mend"] for one in report["findings"] if one["mend"].startswith(("aws ", "change_"))]
            self.assertTrue(any("touch made" in one for one in commands))
            stub = "aws() { echo '{}'; }\n"
            for command in commands:
                subprocess.run(["bash", "-c", stub + command], cwd=folder, capture_output=True, check=False)
                self.assertFalse((pathlib.Path(folder) / "made").exists(), command)


class Contract(unittest.TestCase):
    def test_the_events_are_those_of_the_template(self):
        text = (ROOT / "template.yaml").read_text().partition("\n  UserEventRule:")[2].partition("Targets:")[0]
        self.assertEqual(sorted(re.findall(r"^            - (\w+)$", text, re.MULTILINE)), sorted(system.EVENTS))

    def test_the_tables_queues_and_functions_are_those_of_the_template(self):
        text = (ROOT / "template.yaml").read_text()
        named = {*system.TTL, *system.BACKED_UP, *system.DEAD_LETTERS, *system.SOURCES}
        named |= {source for sources in system.SOURCES.values() for source in sources}
        for name in named:
            self.assertIn(f"\n  {name}:\n", text)
        for attribute in set(re.findall(r"AttributeName: (\w+)\n        Enabled: true", text)):
            self.assertIn(attribute, system.TTL.values())


def commands(text):
    """Service, operation and option names of each `aws` command in a text."""
    for line in text.splitlines():
        for part in re.split(r"\||\$\(", re.sub(r"'[^']*'", "''", line)):
            words = part.strip().rstrip(')"').partition("  #")[0].split()
            if words[:1] == ["aws"]:
                yield words[1], words[2], {word[2:] for word in words[3:] if word.startswith("--")}


def dashed(member):
    """The AWS CLI's option for a member: UserPoolId is user-pool-id."""
    return xform_name(member, "-")


if __name__ == "__main__":
    unittest.main()
