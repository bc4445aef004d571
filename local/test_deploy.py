"""Tests of deploy.py: its questions, what it writes into samconfig.toml, and what it refuses before it builds."""

import contextlib
import io
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import boto3
import tomlkit
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

import account
import deploy
from account import Problem

SHIPPED = deploy.CONFIG.read_text()
PARAMETERS = deploy.template_parameters(deploy.TEMPLATE.read_text())
CORE = deploy.template_parameters(deploy.CORE.read_text())
HUSH = "hunter2" * 4
POOL = {"UserPoolId": "us-east-1_AbC123xyz", "AppClientIds": "one,two", "RefreshTokenSeconds": "2592000"}


def shipped():
    return tomlkit.parse(SHIPPED)


def answers(*given):
    """A fake `input` that returns these answers in order."""
    return mock.patch("builtins.input", side_effect=[*given])


def quiet():
    return contextlib.redirect_stdout(io.StringIO())


class Features(unittest.TestCase):
    def test_an_endpoint_for_spans_needs_the_feature_that_sends_them(self):
        self.assertEqual(deploy.features(deploy.deployed_values({}, PARAMETERS, {})), [])
        values = deploy.deployed_values({"OtlpEndpoint": "http://localhost:4318"}, PARAMETERS, {})
        self.assertEqual(deploy.features(values), ["otlp"])


class Questions(unittest.TestCase):
    def ask(self, document, *given, config="", region="eu-central-1", template=""):
        with answers(*given) as asked, quiet():
            choice = deploy.ask(document, config, region, template)
        return choice, asked.call_count

    def test_enter_answers_all_six(self):
        choice, count = self.ask(shipped(), "", "", "", "", "", "")
        self.assertEqual(count, 6)
        self.assertEqual((choice.stack, choice.region), ("gatehouse", "eu-central-1"))
        self.assertEqual(choice.overrides["AllowedOrigin"], "https://app.example.com")
        self.assertEqual(choice.overrides["SecurityMail"], "")
        values = deploy.deployed_values(choice.overrides, PARAMETERS, {})
        self.assertEqual(values["Architecture"], "x86_64")

    def test_an_invalid_answer_is_asked_again(self):
        choice, count = self.ask(
            shipped(), "minimal", "9x", "prod", "europe", "eu-west-1", "", "app.example.com", "https://a.example.com", "", ""
        )
        self.assertEqual(count, 10)
        self.assertEqual((choice.stack, choice.region), ("prod", "eu-west-1"))
        self.assertEqual(choice.overrides["AllowedOrigin"], "https://a.example.com")

    def test_a_preset_brings_its_parameters(self):
        choice, _ = self.ask(shipped(), "web", "", "web-cookies", "", "", "-")
        self.assertEqual(choice.overrides["LogoutCookies"], "true")

    def test_a_second_run_begins_with_the_answers_of_the_first(self):
        document = shipped()
        first, _ = self.ask(document, "prod", "eu-west-1", "web-cookies", "https://a.example.com", "Ada's", "ops@example.com")
        deploy.keep(document, first)
        again, count = self.ask(document, "", "", "", "", "", "", region="us-east-1")
        self.assertEqual(count, 6)
        self.assertEqual((again.stack, again.region, again.overrides), ("prod", "eu-west-1", first.overrides))
        changed, _ = self.ask(document, "", "", "federation", "", "", "")
        self.assertNotIn("LogoutCookies", changed.overrides)
        self.assertEqual(changed.overrides["AppName"], "Ada's")

    def test_a_closed_input_names_the_option_for_no_questions(self):
        with mock.patch("builtins.input", side_effect=EOFError), quiet(), self.assertRaisesRegex(Problem, "YES=1"):
            deploy.ask(shipped(), "", None)

    def core(self, document, stack="", template="core.yaml", config=""):
        """Deployed alone: what it requires is asked until it is given."""
        given = (stack, "us-east-1", "", "-", "", "us-east-1_AbC123xyz", "one two", "one,two", "30 days", "2592000")
        return self.ask(document, *given, template=template, config=config)

    def test_the_core_asks_for_the_pool(self):
        choice, count = self.core(shipped())
        self.assertEqual(count, 10)
        self.assertEqual((choice.stack, choice.template), ("gatehouse-core", "core.yaml"))
        self.assertEqual({name: choice.overrides[name] for name in POOL}, POOL)
        self.assertEqual(deploy.deployed_values(choice.overrides, CORE, {})["AuthorizerDeployment"], "Direct")

    def test_the_core_is_a_preset_too(self):
        given = ("edge", "us-east-1", "core", "", "-", *POOL.values())
        choice, _ = self.ask(shipped(), *given)
        self.assertEqual((choice.template, choice.overrides["AppClientIds"]), ("core.yaml", "one,two"))

    def test_a_stack_keeps_its_template(self):
        document = shipped()
        for stack in ("core-a", "core-b"):
            choice, _ = self.core(document, stack)
            deploy.keep(document, choice)
        document = tomlkit.parse(tomlkit.dumps(document))
        self.assertEqual(deploy.chosen(document, "core-a").template, "core.yaml")
        self.assertEqual(deploy.chosen(document, "", "template.yaml").name, "minimal")
        with self.assertRaisesRegex(Problem, "core-a, core-b"):
            deploy.chosen(document, "", "core.yaml")
        # A later run asks no preset, and begins with the answers.
        again, count = self.ask(document, "core-a", "", "as it is", "", "", "", "", "")
        self.assertEqual((count, again.template), (8, "core.yaml"))
        self.assertEqual(again.overrides, deploy.Choice.of(document, "core-a").overrides)
        # The presets of the other template are not for this stack.
        with self.assertRaisesRegex(Problem, "The input is closed"), quiet():
            with mock.patch("builtins.input", side_effect=["core-a", "", "minimal", EOFError]):
                deploy.ask(document, "", None)
        # The whole does not begin with the core's answers.
        whole, _ = self.ask(document, "", "", "", "", "", "", template="template.yaml")
        self.assertEqual((whole.stack, whole.template), ("gatehouse", "template.yaml"))


class Selection(unittest.TestCase):
    def test_a_template_of_the_repository_is_built_first(self):
        for given in ("core.yaml", str(deploy.CORE)):
            self.assertEqual(deploy.selected(given, False), ("core.yaml", None))
        self.assertEqual(deploy.selected("", False), ("", None))
        self.assertEqual(deploy.selected(str(deploy.TEMPLATE), True), ("template.yaml", deploy.TEMPLATE))

    def test_another_file_is_built_already(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "core.yaml")
            file.touch()
            for built in (False, True):
                self.assertEqual(deploy.selected(str(file), built), ("", file))
            with self.assertRaisesRegex(Problem, "no template .*/other.yaml"):
                deploy.selected(f"{folder}/other.yaml", False)

    def test_the_core_is_built_and_deployed(self):
        """`make deploy TEMPLATE=core.yaml`, without AWS: what is built, and what CloudFormation would get."""
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "samconfig.toml")
            config.write_text(SHIPPED)
            deployed = mock.Mock(outputs={"AuthorizerArn": "arn:authorizer"})
            with (
                quiet(),
                mock.patch.object(deploy, "CONFIG", config),
                mock.patch.object(account, "session", return_value=mock.Mock(region_name="us-east-1")),
                mock.patch.object(account, "identity", return_value={"Account": "1", "Arn": "arn"}),
                mock.patch.object(account, "Stack", return_value=deployed),
                mock.patch.object(deploy, "look"),
                mock.patch.object(deploy.build, "build") as built,
                mock.patch.object(deploy, "deploy") as sent,
            ):
                settings = [f"{name}={value}" for name, value in POOL.items()]
                given = ["--yes", "--template", "core.yaml", "--set", *settings]
                # Each value is required.
                with self.assertRaisesRegex(Problem, 'RefreshTokenSeconds is still "\\?"'):
                    deploy.main(given[:-1])
                config.write_text(SHIPPED)
                self.assertEqual(deploy.main(given), 0)
                built.assert_called_once_with("x86_64", template="core.yaml", features=[])
                (choice, values, template, _), _ = sent.call_args
                self.assertEqual(template, deploy.build.BUILT / "template.yaml")
                self.assertEqual(values.keys(), CORE.keys())
                # The next time the stack's environment says which template it is.
                self.assertEqual(deploy.main(["--yes", "--config", "gatehouse-core"]), 0)
                built.assert_called_with("x86_64", template="core.yaml", features=[])
                with self.assertRaisesRegex(Problem, "an environment of core.yaml, not of template.yaml"):
                    deploy.main(["--yes", "--config", "gatehouse-core", "--template", "template.yaml"])

    def test_built_functions_have_the_feature_of_their_parameters(self):
        with tempfile.TemporaryDirectory() as folder:
            built = pathlib.Path(folder, "build")
            (built / "WhoamiFunction").mkdir(parents=True)
            (built / "WhoamiFunction/bootstrap").write_bytes(deploy.build.LACKS["otlp"])
            (built / "template.yaml").write_text((deploy.ROOT / "template.yaml").read_text())
            config = pathlib.Path(folder, "samconfig.toml")
            config.write_text(SHIPPED)
            with (
                quiet(),
                mock.patch.object(deploy, "CONFIG", config),
                mock.patch.object(account, "session", return_value=mock.Mock(region_name="us-east-1")),
                mock.patch.object(account, "identity", return_value={"Account": "1", "Arn": "arn"}),
                mock.patch.object(account, "Stack", return_value=mock.Mock(outputs={})),
                mock.patch.object(deploy, "look"),
                mock.patch.object(deploy, "next_steps"),
                mock.patch.object(deploy, "deploy") as sent,
            ):
                given = ["--yes", "--template", str(built / "template.yaml"), "--set", "AuthorizerDeployment=Direct"]
                with self.assertRaisesRegex(Problem, "without the feature otlp: WhoamiFunction"):
                    deploy.main([*given, "OtlpEndpoint=http://localhost:4318"])
                sent.assert_not_called()
                self.assertEqual(deploy.main([*given, "OtlpEndpoint="]), 0)


class Configuration(unittest.TestCase):
    def test_every_preset_names_parameters_that_the_template_has(self):
        for preset in deploy.PRESETS:
            choice = deploy.Choice.of(shipped(), preset)
            parameters = CORE if choice.template == "core.yaml" else PARAMETERS
            for name, value in choice.overrides.items():
                self.assertIn(name, parameters, preset)
                if value != deploy.MISSING:
                    self.assertIsNone(deploy.wrong(name, value, parameters), f"{preset}: {name}")

    def test_what_is_commented_out_names_parameters_too(self):
        for line in SHIPPED.splitlines():
            name, found, _ = line.removeprefix("# ").partition(" = ")
            if line.startswith("# ") and found and name.isidentifier():
                # A secret is given directly, or by its ARN.
                self.assertTrue({name, name.removesuffix("Arn")} & (PARAMETERS | CORE).keys(), name)

    def test_the_comments_of_the_file_are_kept(self):
        document = shipped()
        choice = deploy.Choice.of(document, "minimal")
        choice.stack, choice.region = "prod", "eu-west-1"
        deploy.keep(document, choice)
        written = tomlkit.dumps(document)
        self.assertTrue(written.startswith(SHIPPED.rstrip()))
        kept = deploy.Choice.of(tomlkit.parse(written), "prod")
        self.assertEqual((kept.stack, kept.region, kept.overrides), ("prod", "eu-west-1", choice.overrides))
        self.assertEqual(deploy.saved(tomlkit.parse(written)), ["prod"])

    def test_sam_reads_what_was_written(self):
        from samcli.cli.types import CfnParameterOverridesType
        from samcli.lib.config.samconfig import SamConfig

        document = shipped()
        choice = deploy.Choice.of(document, "federation")
        choice.stack, choice.region = "prod", "eu-west-1"
        choice.overrides["AppName"] = 'Ada & "Co", Ltd.'
        deploy.keep(document, choice)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "samconfig.toml")
            file.write_text(tomlkit.dumps(document))
            read = SamConfig(folder, "samconfig.toml").get_all(["deploy"], "parameters", env="prod")
        self.assertEqual((read["stack_name"], read["region"]), ("prod", "eu-west-1"))
        values = CfnParameterOverridesType().convert((read["parameter_overrides"],), None, None)
        self.assertEqual(values, choice.overrides)

    def test_sam_builds_the_template_that_was_written(self):
        from samcli.lib.config.samconfig import SamConfig

        document = shipped()
        choice = deploy.Choice.of(document, "core")
        choice.stack = "edge"
        deploy.keep(document, choice)
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "samconfig.toml").write_text(tomlkit.dumps(document))
            read = SamConfig(folder, "samconfig.toml").get_all(["build"], "parameters", env="edge")
        self.assertEqual(read["template_file"], "core.yaml")

    def test_without_questions_the_only_stack_is_chosen(self):
        document = shipped()
        self.assertEqual(deploy.chosen(document, "").name, "minimal")
        for stack in ("one", "two"):
            choice = deploy.Choice.of(document, "minimal")
            choice.stack = stack
            deploy.keep(document, choice)
            if stack == "one":
                self.assertEqual(deploy.chosen(document, "").name, "one")
        with self.assertRaisesRegex(Problem, "one, two"):
            deploy.chosen(document, "")
        with self.assertRaisesRegex(Problem, "no environment three"):
            deploy.chosen(document, "three")


class Values(unittest.TestCase):
    def refused(self, overrides, environment=None):
        with self.assertRaises(Problem) as caught:
            deploy.deployed_values(overrides, PARAMETERS, environment or {})
        return str(caught.exception)

    def test_each_problem_is_named(self):
        said = self.refused({"LegacySource": "?", "TokenUse": "both", "Nonsense": "1", "LogAllowedPercent": "101"})
        for part in ('LegacySource is still "?"', "TokenUse must be one of", "no Nonsense", "from 0 to 100"):
            self.assertIn(part, said)

    def test_a_secret_stays_out_of_the_file(self):
        secrets = [name for name, rules in PARAMETERS.items() if deploy.is_secret(rules)]
        for name in secrets:
            self.assertIn("Secrets Manager", self.refused({name: "hunter2"}))
            self.assertNotIn("hunter2", self.refused({name: "hunter2"}))
            reference = "{{resolve:secretsmanager:a:SecretString:b}}"
            self.assertEqual(deploy.deployed_values({name: reference}, PARAMETERS, {})[name], reference)
            self.assertEqual(deploy.deployed_values({}, PARAMETERS, {name: "hunter2"})[name], "hunter2")
            # Without both it keeps its deployed value.
            self.assertNotIn(name, deploy.deployed_values({}, PARAMETERS, {}))

    def test_a_removed_line_means_the_default(self):
        self.assertEqual(deploy.deployed_values({}, PARAMETERS, {})["TokenSources"], "")

    def test_the_hosted_ui_gets_a_prefix_that_cognito_accepts(self):
        choice = deploy.Choice("federation", "My-Cognito", "us-east-1", deploy.Choice.of(shipped(), "federation").overrides)
        deploy.fill_in(choice, "123456789012")
        self.assertEqual(choice.overrides["HostedUiDomainPrefix"], "my-x-123456789012")
        minimal = deploy.Choice.of(shipped(), "minimal")
        deploy.fill_in(minimal, "123456789012")
        self.assertNotIn("HostedUiDomainPrefix", minimal.overrides)

    def test_set_wants_an_equals_sign(self):
        self.assertEqual(deploy.assignment("A=b=c"), ("A", "b=c"))
        with self.assertRaisesRegex(Problem, "NAME=VALUE"):
            deploy.assignment("A")


class Looks(unittest.TestCase):
    """The checks of the AWS account before the build."""

    def setUp(self):
        self.session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        self.clients = {}

    def stub(self, service):
        client = self.session.client(service)
        stubber = Stubber(client)
        stubber.activate()
        self.addCleanup(stubber.deactivate)
        self.clients[service] = client
        return stubber

    def looking(self):
        return mock.Mock(client=lambda service, **_: self.clients[service])

    def test_credentials_are_the_first_thing(self):
        sts = self.stub("sts")
        for code, said in (
            ("ExpiredToken", "expired"),
            ("InvalidClientTokenId", "does not know"),
            ("AccessDenied", "may not call"),
            ("Other", "refused"),
        ):
            sts.add_client_error("get_caller_identity", code)
            with self.assertRaisesRegex(Problem, said):
                account.identity(self.looking())
        anonymous = mock.Mock()
        anonymous.client.return_value.get_caller_identity.side_effect = NoCredentialsError()
        with self.assertRaisesRegex(Problem, "no AWS credentials"):
            account.identity(anonymous)
        with mock.patch.dict(os.environ, {"AWS_PROFILE": "missing"}), self.assertRaisesRegex(Problem, "unset AWS_PROFILE"):
            account.session()

    def test_a_stack_that_cannot_be_updated_stops_it(self):
        cloudformation = self.stub("cloudformation")
        choice = deploy.Choice("prod", "prod", "us-east-1", {})
        for state, said in (("ROLLBACK_COMPLETE", "make destroy"), ("UPDATE_IN_PROGRESS", "wait")):
            stack = {"StackName": "prod", "CreationTime": "2026-01-01", "StackStatus": state}
            cloudformation.add_response("describe_stacks", {"Stacks": [stack]})
            with self.assertRaisesRegex(Problem, said):
                deploy.look(self.looking(), choice, {})
        cloudformation.add_client_error("describe_stacks", "AccessDenied")
        with self.assertRaisesRegex(Problem, "DescribeStacks"):
            deploy.look(self.looking(), choice, {})

    def client(self, **changes):
        made = {"RefreshTokenValidity": 30, "TokenValidityUnits": {"RefreshToken": "days"}}
        return {"UserPoolClient": made | {"EnableTokenRevocation": True} | changes}

    def looked(self, *clients, **values):
        """What is said about the core's pool, whose app clients are described so."""
        pool = self.stub("cognito-idp")
        for name, described in zip(("one", "two"), clients, strict=False):
            if isinstance(described, str):
                pool.add_client_error("describe_user_pool_client", described)
            else:
                expected = {"UserPoolId": POOL["UserPoolId"], "ClientId": name}
                pool.add_response("describe_user_pool_client", described, expected)
        notes = list(deploy.of_the_pool(self.looking(), "us-east-1", POOL | {"AppClientSecretArn": ""} | values))
        pool.assert_no_pending_responses()
        return " ".join(notes)

    def test_a_pool_that_fits_is_not_mentioned(self):
        short = self.client(RefreshTokenValidity=3600, TokenValidityUnits={"RefreshToken": "seconds"})
        self.assertEqual(self.looked(self.client(), short), "")

    def test_a_pool_or_a_client_that_does_not_exist_stops_it(self):
        with self.assertRaisesRegex(Problem, "has no app client two"):
            self.looked(self.client(), "ResourceNotFoundException")
        with self.assertRaisesRegex(Problem, "eu-west-1_AbC is not in us-east-1"):
            self.looked(UserPoolId="eu-west-1_AbC")

    def test_refresh_tokens_that_outlive_revocations_stop_it(self):
        for changes, life in (
            ({"RefreshTokenValidity": 31}, 31 * 86400),
            ({"RefreshTokenValidity": 31, "TokenValidityUnits": {}}, 31 * 86400),
            ({"RefreshTokenValidity": 721, "TokenValidityUnits": {"RefreshToken": "hours"}}, 721 * 3600),
        ):
            with self.assertRaisesRegex(Problem, f"RefreshTokenSeconds={life}"):
                self.looked(self.client(), self.client(**changes))
        # Cognito's default is 30 days.
        with self.assertRaisesRegex(Problem, "RefreshTokenSeconds=2592000"):
            self.looked({"UserPoolClient": {"EnableTokenRevocation": True}}, RefreshTokenSeconds="2591999")

    def test_a_client_of_machines_has_no_sessions(self):
        machine = {"AllowedOAuthFlowsUserPoolClient": True, "AllowedOAuthFlows": ["client_credentials"]}
        machine |= {"ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"], "EnableTokenRevocation": False}
        machine |= {"ClientSecret": HUSH, "RefreshTokenValidity": 31}
        self.assertEqual(self.looked(self.client(), self.client(**machine)), "")
        for changes in (
            {"ExplicitAuthFlows": []},
            {"ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]},
            {"AllowedOAuthFlows": ["code", "client_credentials"]},
            {"AllowedOAuthFlowsUserPoolClient": False},
        ):
            with self.subTest(**changes), self.assertRaisesRegex(Problem, "RefreshTokenSeconds="):
                self.looked(self.client(), self.client(**machine | changes))

    def test_what_the_pool_lacks_is_reported(self):
        self.assertIn("EnableTokenRevocation", self.looked(self.client(EnableTokenRevocation=False), self.client()))
        self.assertIn("AppClientSecretArn", self.looked(self.client(ClientSecret=HUSH), self.client()))
        self.assertEqual(self.looked(self.client(ClientSecret=HUSH), self.client(), AppClientSecretArn="arn"), "")
        said = self.looked(self.client(), self.client(ClientSecret=HUSH), AppClientSecretArn="arn")
        self.assertIn("two has a secret, and is not the first", said)
        self.assertNotIn(HUSH, said)
        self.assertIn("was not checked", self.looked("AccessDeniedException", "AccessDeniedException"))

    def test_a_stack_of_another_template_is_not_updated(self):
        cloudformation = self.stub("cloudformation")
        stack = {"StackName": "prod", "CreationTime": "2026-01-01", "StackStatus": "UPDATE_COMPLETE"}
        for deployed, template, values in (("UserPoolId", "template.yaml", {}), ("AppName", "core.yaml", POOL)):
            parameters = [{"ParameterKey": deployed, "ParameterValue": "x"}]
            cloudformation.add_response("describe_stacks", {"Stacks": [stack | {"Parameters": parameters}]})
            choice = deploy.Choice("prod", "prod", "us-east-1", {}, template)
            with self.assertRaisesRegex(Problem, f"from another template than {template}"):
                deploy.look(self.looking(), choice, values)

    def test_a_missing_trail_and_the_mail_sandbox_are_reported(self):
        trail = self.stub("cloudtrail")
        mail = self.stub("sesv2")
        values = {"UserEvents": "true", "SesIdentityArn": "arn:aws:ses:us-east-1:1:identity/example.com"}
        trail.add_response("describe_trails", {"trailList": []})
        mail.add_response("get_account", {"ProductionAccessEnabled": False})
        said = " ".join(deploy.notes(self.looking(), values))
        self.assertIn("none was found", said)
        self.assertIn("sandbox", said)
        trail.add_response("describe_trails", {"trailList": [{"TrailARN": "arn:aws:cloudtrail:us-east-1:1:trail/t"}]})
        trail.add_response("get_trail_status", {"IsLogging": True})
        mail.add_response("get_account", {"ProductionAccessEnabled": True})
        self.assertEqual(list(deploy.notes(self.looking(), values)), [])
        # No note without permission to check.
        trail.add_client_error("describe_trails", "AccessDenied")
        mail.add_client_error("get_account", "AccessDenied")
        self.assertEqual(list(deploy.notes(self.looking(), values)), [])

    def test_the_next_commands_name_the_environment(self):
        choice = deploy.Choice("prod", "prod", "us-east-1", {})
        told = deploy.next_steps(choice, {"ApiUrl": "https://api.example"}, {"SesIdentityArn": "x", "SecurityMail": "a@b.c"})
        self.assertIn("make smoke CONFIG=prod", told)
        self.assertIn("SET=AppBaseUrl=https://api.example", told)
        self.assertIn("SNS", told)
        told = deploy.next_steps(choice, {"AuthorizerArn": "arn:authorizer"}, POOL)
        self.assertIn("Deployed: arn:authorizer", told)
        self.assertIn("make deploy CONFIG=prod YES=1", told)
        self.assertNotIn("smoke", told)


if __name__ == "__main__":
    unittest.main()
