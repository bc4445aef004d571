"""The checks, on recorded answers."""

import json
import os
import pathlib
import random
import shutil
import tempfile
import unittest
import unittest.mock

import botocore.session

from audit.support import RECORDED, audit, cli, lines, run
from gatehouse_operate.audit import source
from gatehouse_operate.audit.calls import CALLS
from gatehouse_operate.audit.catalogue import CHECKS

SECRET = "planted-secret-that-must-not-be-printed"
ABOUT_SUPPRESSIONS = {"audit-suppression-expired", "audit-suppression-unreasoned", "audit-suppression-unused"}


class Planted(unittest.TestCase):
    def test_every_planted_fault_is_found_and_nothing_else(self):
        code, report = audit(RECORDED / "planted")
        expected = (RECORDED / "planted.txt").read_text().splitlines()
        self.assertGreater(len(expected), 100)
        self.assertEqual(sorted(lines(report)), sorted(expected))
        self.assertEqual(code, cli.FAILED)

    def test_every_check_has_a_planted_fault(self):
        planted = {line.split()[1] for line in (RECORDED / "planted.txt").read_text().splitlines()}
        self.assertEqual(CHECKS.keys() - planted, ABOUT_SUPPRESSIONS)

    def test_findings_have_distinct_fingerprints(self):
        _, report = audit(RECORDED / "planted")
        found = [(one["check"], one["resource"]) for one in report["findings"]]
        self.assertEqual(len(found), len(set(found)))

    def test_a_good_pool_beside_them_has_no_finding(self):
        _, report = audit(RECORDED / "planted")
        self.assertEqual([line for line in lines(report) if "us-east-1_Good00001" in line], [])
        self.assertIn("user pool good (us-east-1_Good00001)", report["scope"])

    def test_no_output_contains_a_secret(self):
        self.assertIn(SECRET, "".join(file.read_text() for file in (RECORDED / "planted").iterdir()))
        for output in (["--json"], ["--sarif", "-"], ["--junit", "-"], []):
            _, out, err = run("--from", RECORDED / "planted", *output)
            self.assertNotIn(SECRET, out + err, output)

    def test_every_command_names_the_resource(self):
        _, report = audit(RECORDED / "planted")
        mends = [one["mend"] for one in report["findings"] if one["check"] == "client-token-revocation"]
        self.assertIn("change_client us-east-1_Planted01 1weba1b2c3d4e5f6g7h8i9j0k1", mends[0])

    def test_what_the_operator_says_of_attributes_hosts_and_authorizers_counts(self):
        told = ["--trusted", "custom:colour", "--host", "demo.ngrok.app", "--authorizer", "legacy-authorizer"]
        _, report = audit(RECORDED / "planted", *told)
        client = "us-east-1_Planted01/1weba1b2c3d4e5f6g7h8i9j0k1"
        self.assertIn(f"high client-writes-trusted {client}/custom:colour", lines(report))
        self.assertNotIn(f"low client-writes-custom {client}", lines(report))
        self.assertNotIn(f"medium client-callback-foreign {client}/https://demo.ngrok.app/cb", lines(report))
        self.assertNotIn("medium api-foreign-authorizer planted001/auth02", lines(report))

    def test_apis_that_the_authorizer_permits_are_found_from_the_stack(self):
        _, report = audit(RECORDED / "planted", "--stack", "planted", "--region", "us-east-1")
        self.assertIn("WebSocket API existing (planted003)", report["scope"])
        # Of another account.
        self.assertFalse(any("planted004" in line for line in [*lines(report), *report["scope"]]))

    def test_a_permitted_api_that_cannot_be_read_is_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in (RECORDED / "planted").iterdir():
                if "get-api.planted003" not in file.name:
                    shutil.copy(file, folder)
            _, report = audit(folder, "--stack", "planted", "--region", "us-east-1")
            texts = [one["found"] for one in report["findings"] if "API planted003" in one["label"]]
            self.assertEqual(len(texts), 1, texts)
            # A deleted API is no problem.
            for name in ("apigateway.get-rest-api", "apigatewayv2.get-api"):
                file = pathlib.Path(folder) / f"{name}.planted003.json"
                file.write_text('{"Error": {"Code": "NotFoundException"}}')
            _, report = audit(folder, "--stack", "planted", "--region", "us-east-1")
            self.assertFalse(any("planted003" in one["label"] for one in report["findings"]))


class Defaults(unittest.TestCase):
    """What docs/audit.md says of the defaults of Amplify and SAM."""

    def test_the_defaults_of_amplify(self):
        code, report = audit(RECORDED / "amplify")
        self.assertEqual(lines(report), (RECORDED / "amplify.txt").read_text().splitlines())
        self.assertEqual(code, cli.PASSED)

    def test_the_example_of_sam(self):
        code, report = audit(RECORDED / "sam")
        self.assertEqual(lines(report), (RECORDED / "sam.txt").read_text().splitlines())
        self.assertEqual(code, cli.FAILED)


class Common(unittest.TestCase):
    """Answers that others published, rebuilt: recorded/README.md names the sources. Each has a list of its findings."""

    TARGETS = {"escaped-policy": ["--rest-api", "pwned00001", "--http-api", "a1b2c3d4", "--region", "us-west-2"]}

    def test_the_findings_of_published_answers(self):
        folders = sorted(one for one in (RECORDED / "published").iterdir() if one.is_dir())
        self.assertGreater(len(folders), 6)
        for folder in folders:
            with self.subTest(folder.name):
                _, report = audit(folder, *self.TARGETS.get(folder.name, []))
                expected = folder.with_suffix(".txt")
                if "GATEHOUSE_UPDATE" in os.environ:
                    expected.write_text("\n".join(lines(report)) + "\n")
                self.assertEqual(lines(report), expected.read_text().splitlines())

    def test_a_provider_that_could_not_be_read_is_not_missing(self):
        _, report = audit(RECORDED / "published/amplify-reference")
        checks = [one["check"] for one in report["findings"]]
        self.assertEqual(checks.count("audit-not-checked"), 3)
        self.assertNotIn("federation-provider-missing", checks)

    def test_nulls_are_read_as_members_that_are_absent(self):
        """The AWS SDK for Go writes nulls."""
        _, report = audit(RECORDED / "published/sdk-go")
        self.assertEqual(report["not_checked"], 0)


class Unreadable(unittest.TestCase):
    """What cannot be read is a finding, and never a crash or a clean result."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name) / "copy"
        shutil.copytree(RECORDED / "planted", self.folder)

    def test_each_missing_answer_is_reported(self):
        for file in sorted(self.folder.iterdir()):
            kept = file.read_text()
            file.unlink()
            with self.subTest(file.name):
                code, report = self.read()
                texts = [one["found"] for one in report["findings"] if one["check"] == "audit-not-checked"]
                if file.name not in INFERRED:
                    self.assertTrue(any("(missing: no file" in text for text in texts), texts)
            file.write_text(kept)

    def test_each_denied_answer_is_reported_with_its_permission(self):
        denied = json.dumps(
            {"Error": {"Code": "AccessDeniedException", "Message": "User arn:aws:iam::1:user/x is not"}}
        )
        for file in sorted(self.folder.iterdir()):
            kept = file.read_text()
            file.write_text(denied)
            with self.subTest(file.name):
                code, report = self.read()
                call = CALLS[".".join(file.name.split(".")[:2])]
                texts = [one["found"] for one in report["findings"] if one["check"] == "audit-not-checked"]
                if file.name not in INFERRED:
                    self.assertTrue(any(call.permissions[0] in text for text in texts), (file.name, texts))
                self.assertFalse(any("user/x" in text for text in texts))
            file.write_text(kept)

    def test_answers_of_another_form_are_reported(self):
        for text in ("", "not json", "[]", "null", '"text"', "\ufeff{}", "{" * 2000):
            for name in ("cognito-idp.describe-user-pool.us-east-1_Planted01", "apigateway.get-resources.planted001"):
                file = self.folder / f"{name}.json"
                kept = file.read_text()
                file.write_text(text)
                with self.subTest(text=text[:10], name=name):
                    code, report = self.read("--user-pool-id", "us-east-1_Planted01", "--rest-api", "planted001")
                    self.assertIn(code, (cli.FAILED, cli.UNCHECKED))
                    if text != "\ufeff{}" or "pool" in name:
                        self.assertGreater(report["not_checked"], 0)
                file.write_text(kept)

    def test_each_encoding_of_json_is_read(self):
        """PowerShell's `>` writes UTF-16, and Notepad a byte order mark."""
        file = self.folder / "cognito-idp.describe-user-pool.us-east-1_Planted01.json"
        answer = json.loads(file.read_text())
        answer["UserPool"]["Name"] = "Käufer 顧客"
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
            file.write_bytes(json.dumps(answer, ensure_ascii=False).encode(encoding))
            with self.subTest(encoding):
                _, report = self.read("--user-pool-id", "us-east-1_Planted01")
                self.assertEqual(report["scope"], ["user pool Käufer 顧客 (us-east-1_Planted01)"])
                self.assertEqual(report["not_checked"], 0)

    def test_answers_that_are_cut_deep_or_large_are_reported(self):
        file = self.folder / "cognito-idp.describe-user-pool.us-east-1_Planted01.json"
        kept = file.read_bytes()
        deep = b'{"UserPool": {"Unknown": %s}}'
        texts = [kept[:300], b"\0" * 99, deep % (b"[" * 900 + b"]" * 900), deep % (b"[" * 99999 + b"]" * 99999)]
        for text in (*texts, kept.decode().replace("planted", "pläntéd").encode("latin-1")):
            file.write_bytes(text)
            code, report = self.read("--user-pool-id", "us-east-1_Planted01")
            self.assertEqual((code, report["not_checked"]), (cli.UNCHECKED, 1), text[:40])
        file.write_bytes(kept)
        with unittest.mock.patch.object(source, "LARGEST", len(kept) - 1):
            code, report = self.read("--user-pool-id", "us-east-1_Planted01")
        self.assertIn("is larger than", report["findings"][0]["found"])

    def test_an_answer_without_its_member_is_not_a_clean_result(self):
        for name, text in (
            ("cognito-idp.describe-user-pool.us-east-1_Planted01", '{"UserPool": {}}'),
            ("cognito-idp.describe-user-pool.us-east-1_Planted01", "{}"),
            ("cloudformation.describe-stacks.planted", '{"Stacks": []}'),
            ("apigateway.get-rest-api.planted001", "{}"),
        ):
            file = self.folder / f"{name}.json"
            kept = file.read_text()
            file.write_text(text)
            targets = ("--stack", "planted", "--user-pool-id", "us-east-1_Planted01", "--rest-api", "planted001")
            with self.subTest(name=name, text=text):
                _, report = self.read(*targets)
                texts = [one["found"] for one in report["findings"] if one["check"] == "audit-not-checked"]
                self.assertTrue(any("absent: does not exist" in text for text in texts), texts)
            file.write_text(kept)

    def test_a_file_that_describes_a_target_and_cannot_be_read_is_reported(self):
        """Without targets the folder's files name them."""
        file = self.folder / "cognito-idp.describe-user-pool.us-east-1_Planted02.json"
        for text in (file.read_text()[:200], '{"Error": {"Code": "AccessDeniedException"}}', "[]", '{"UserPool": 5}'):
            file.write_text(text)
            _, report = audit(self.folder)
            labels = [one["label"] for one in report["findings"] if one["check"] == "audit-not-checked"]
            self.assertEqual(labels, [file.name], text[:40])

    def test_a_stack_without_anything_to_audit_is_not_a_clean_result(self):
        file = self.folder / "cloudformation.list-stack-resources.planted.json"
        network = {"LogicalResourceId": "Net", "PhysicalResourceId": "vpc-1", "ResourceType": "AWS::EC2::VPC"}
        file.write_text(json.dumps({"StackResourceSummaries": [network]}))
        stack = self.folder / "cloudformation.describe-stacks.planted.json"
        answer = json.loads(stack.read_text())
        answer["Stacks"][0]["Outputs"] = []
        stack.write_text(json.dumps(answer))
        code, report = self.read("--stack", "planted")
        self.assertEqual((code, report["not_checked"]), (cli.UNCHECKED, 1))
        self.assertIn("it has nothing to audit", report["findings"][0]["found"])

    def test_users_of_another_region_are_reported(self):
        file = next(self.folder.glob("cognito-identity.describe-identity-pool.*.json"))
        file.write_text(file.read_text().replace("us-east-1_Planted01", "eu-west-1_Planted01"))
        _, report = self.read("--identity-pool", "us-east-1:11111111-2222-4333-8444-555555555555")
        texts = [one["found"] for one in report["findings"] if "eu-west-1_Planted01" in one["label"]]
        self.assertTrue(any("it is in another region" in text for text in texts), texts)

    def test_values_of_another_type_are_no_crash(self):
        """Puts values of other types into random places of the answers, the same ones in each run."""
        chosen = random.Random(18)
        answers = {file: json.loads(file.read_text()) for file in sorted(self.folder.iterdir())}
        values = (5, -1, True, None, "", "x", [], {}, ["x"], {"x": 1}, 1e99, "::::", "\ud800")
        for _ in range(150):
            changed = chosen.sample(sorted(answers), 3)
            for file in changed:
                file.write_text(json.dumps(replaced(answers[file], chosen, values)))
            code, _ = audit(self.folder, "--fail-on", "info")
            self.assertEqual(code, cli.FAILED)
            for file in changed:
                file.write_text(json.dumps(answers[file]))

    def test_methods_without_their_details_are_not_taken_for_open(self):
        file = self.folder / "apigateway.get-resources.planted001.json"
        answer = json.loads(file.read_text())
        for one in answer["items"]:
            one["resourceMethods"] = {verb: {} for verb in one["resourceMethods"]}
        file.write_text(json.dumps(answer))
        _, report = self.read()
        found = [one for one in report["findings"] if one["check"] == "api-open-method"]
        self.assertEqual(found, [])
        texts = [one["found"] for one in report["findings"] if one["check"] == "audit-not-checked"]
        self.assertTrue(any("without --embed methods" in text for text in texts), texts)

    def test_files_without_identifiers_stand_for_the_only_one(self):
        for file in self.folder.iterdir():
            file.unlink()
        for file in (RECORDED / "amplify").iterdir():
            service, operation = file.name.split(".")[:2]
            if service == "cognito-idp":
                (self.folder / f"{service}.{operation}.json").write_text(file.read_text())
        _, report = audit(self.folder)
        self.assertEqual(report["scope"], ["user pool amplifyAuthUserPool4BA7F805-Qk3 (us-east-1_Amplify01)"])
        self.assertEqual(report["not_checked"], 1, "the web ACL")
        self.assertIn("client-refresh-lifetime", {one["check"] for one in report["findings"]})

    def test_members_of_another_type_are_reported(self):
        file = self.folder / "cognito-idp.describe-user-pool.us-east-1_Planted01.json"
        kept = json.loads(file.read_text())
        for member in (
            "Policies",
            "LambdaConfig",
            "SmsConfiguration",
            "AdminCreateUserConfig",
            "UserAttributeUpdateSettings",
        ):
            for value in ("text", 5, ["x"]):
                changed = {"UserPool": kept["UserPool"] | {member: value}}
                file.write_text(json.dumps(changed))
                with self.subTest(member=member, value=value):
                    code, report = self.read()
                    self.assertEqual(code, cli.FAILED)
        file.write_text(json.dumps(kept))

    def test_names_outside_of_ascii_and_with_control_characters_are_shown_safely(self):
        file = self.folder / "cognito-idp.describe-user-pool.us-east-1_Planted01.json"
        answer = json.loads(file.read_text())
        answer["UserPool"]["Name"] = "Käufer \u001b[2J\u202e 顧客 \u0000"
        file.write_text(json.dumps(answer))
        _, out, _ = run("--from", self.folder, "--quiet")
        self.assertIn("Käufer", out)
        self.assertIn("顧客", out)
        for character in ("\u001b", "\u202e", "\u0000"):
            self.assertNotIn(character, out)
        _, out, _ = run("--from", self.folder, "--quiet", "--junit", "-")
        self.assertNotIn("\u001b", out)

    def read(self, *targets):
        targets = targets or ("--stack", "planted", "--user-pool-id", "us-east-1_Planted02")
        return audit(self.folder, *targets, "--region", "us-east-1")


def replaced(value, chosen, values):
    """A copy of a JSON value in which one member, at a random depth, is another value."""
    if not isinstance(value, (dict, list)) or not value or chosen.random() < 0.2:
        return chosen.choice(values)
    copy = value.copy()
    key = chosen.choice(sorted(value)) if isinstance(value, dict) else chosen.randrange(len(value))
    copy[key] = replaced(value[key], chosen, values)
    return copy


# Answers that the chosen targets do not need: another pool's.
INFERRED = {file.name for file in (RECORDED / "planted").iterdir() if "Good00001" in file.name}


class Shapes(unittest.TestCase):
    """No recorded answer has a member, type or value that AWS's service models do not define."""

    def test_the_recorded_answers_have_the_shapes_of_the_service_models(self):
        session = botocore.session.get_session()
        checked = 0
        for file in sorted(RECORDED.glob("*/*.json")):
            service, command = file.name.split(".")[:2]
            answer = json.loads(file.read_text())
            if "Error" in answer:
                continue
            model = session.get_service_model(service)
            name = next(one for one in model.operation_names if spelled(one) == command.replace("-", ""))
            shape = model.operation_model(name).output_shape
            self.assertEqual(list(differences(answer, shape, file.name)), [])
            checked += 1
        self.assertGreater(checked, 120)


def spelled(operation):
    return operation.lower()


# boto3 and the AWS CLI return these JSON texts as objects.
DOCUMENTS = {"policyDocumentType", "TemplateBody"}
TYPES = {"string": str, "boolean": bool, "integer": int, "long": int, "double": (int, float), "float": (int, float)}


def differences(value, shape, path):
    """Where a JSON value is not of a shape of botocore."""
    if shape.name in DOCUMENTS:
        if not isinstance(value, (dict, str)):
            yield f"{path}: {type(value).__name__}"
    elif shape.type_name == "structure":
        if not isinstance(value, dict):
            yield f"{path}: not a structure"
            return
        for name, member in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown to {shape.name}"
            else:
                yield from differences(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for number, member in enumerate(value):
            yield from differences(member, shape.member, f"{path}[{number}]")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from differences(member, shape.value, f"{path}.{name}")
    elif shape.type_name == "timestamp":
        if not isinstance(value, str):
            yield f"{path}: no time"
    elif not isinstance(value, TYPES[shape.type_name]):
        yield f"{path}: {value!r} is no {shape.type_name}"
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is not in {shape.enum}"


if __name__ == "__main__":
    unittest.main()
