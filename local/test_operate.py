"""Tests of smoke.py, rollback.py, admin.py and destroy.py, with a fake API and AWS's responses by botocore's stubs.

The last class runs them against the local stack that `stack.py exec` has started.
"""

import contextlib
import datetime
import http.server
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

import boto3
import tomlkit
from botocore.stub import ANY, Stubber

import account
import admin
import build
import deploy
import destroy
import rollback
import smoke
import target
from account import Problem

SUB = "2d7b6d34-a518-4461-af40-82c2548098a7"
POOL = "us-east-1_AbC123xyz"
NOW = datetime.datetime(2026, 1, 1)


class FakeStack:
    """A stack whose clients are stubs."""

    def __init__(self, test, parameters=None, api=""):
        self.name, self.region = "prod", "us-east-1"
        self.parameters = parameters or {}
        self.outputs = {"UserPoolId": POOL, "AppClientId": "client", "ApiId": "api"}
        self.address = api
        self.session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        self.clients, self.stubs, self.test = {}, {}, test

    def stub(self, service):
        self.client(service)
        return self.stubs[service]

    def client(self, service, **_):
        if service not in self.clients:
            self.clients[service] = self.session.client(service)
            self.stubs[service] = Stubber(self.clients[service])
            self.stubs[service].activate()
            self.test.addCleanup(self.stubs[service].deactivate)
        return self.clients[service]

    def output(self, name):
        return self.outputs[name]

    def api(self):
        return self.address


class FakeApi(http.server.BaseHTTPRequestHandler):
    """Signs in and out as Gatehouse does; a faulty one ignores logouts."""

    ended, faulty, cookies, cookie_name = False, False, False, "__Host-access_token"

    def do_GET(self):
        carried = self.headers.get("authorization") == "Bearer token"
        carried |= self.cookies and self.headers.get("cookie") == f"{self.cookie_name}=token"
        allowed = carried and (self.faulty or not type(self).ended)
        self.answer(200 if allowed else 401, {"context": {"sub": SUB}} if allowed else {"message": "Unauthorized"})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/auth/login":
            type(self).ended = False
            cookie = f"{self.cookie_name}=token; Path=/; Secure; HttpOnly"
            return self.answer(200, {} if self.cookies else {"access_token": "token"}, cookie if self.cookies else None)
        type(self).ended = True
        return self.answer(200, {"ended": "session"})

    def answer(self, status, body, cookie=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        if cookie:
            self.send_header("set-cookie", cookie)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def served(test, **kind):
    """The address of an API of that kind."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (FakeApi,), kind))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    test.addCleanup(server.server_close)
    test.addCleanup(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def quiet():
    output = contextlib.ExitStack()
    output.enter_context(contextlib.redirect_stdout(io.StringIO()))
    output.enter_context(contextlib.redirect_stderr(io.StringIO()))
    return output


class Smoke(unittest.TestCase):
    def play(self, parameters=None, **kind):
        """The story, with a pool that expects the creation and the deletion of the user."""
        stack = FakeStack(self, parameters, served(self, **kind))
        pool = stack.stub("cognito-idp")
        made = {"User": {"Username": SUB, "Attributes": [{"Name": "sub", "Value": SUB}]}}
        pool.add_response("admin_create_user", made)
        pool.add_response("admin_set_user_password", {})
        pool.add_response("admin_delete_user", {}, {"UserPoolId": POOL, "Username": ANY})
        try:
            with quiet(), smoke.ThrowawayUser(stack) as user:
                smoke.play(smoke.Caller(stack), user)
        finally:
            pool.assert_no_pending_responses()

    def test_the_story_holds(self):
        self.play()

    def test_the_story_holds_with_cookies(self):
        self.play({"TokenSources": "cookie", "LogoutCookies": "true", "TokenCookie": "__Host-access_token"}, cookies=True)

    def test_the_story_holds_with_browser_sessions(self):
        parameters = {"TokenSources": "session", "LogoutCookies": "true", "CookieMode": "session"}
        parameters |= {"TokenCookie": "__Host-access_token", "SessionCookie": "__Host-session"}
        self.play(parameters, cookies=True, cookie_name="__Host-session")

    def test_a_token_that_outlives_its_logout_fails_and_the_user_is_deleted(self):
        with self.assertRaisesRegex(Problem, "Expected 401, got 200"):
            self.play(faulty=True)

    def test_a_partly_created_user_is_deleted(self):
        stack = FakeStack(self)
        pool = stack.stub("cognito-idp")
        pool.add_response("admin_create_user", {"User": {"Attributes": [{"Name": "sub", "Value": SUB}]}})
        pool.add_client_error("admin_set_user_password", "InvalidPasswordException")
        pool.add_response("admin_delete_user", {})
        with self.assertRaisesRegex(Exception, "InvalidPassword"), quiet(), smoke.ThrowawayUser(stack):
            self.fail("the user was not created")
        pool.assert_no_pending_responses()

    def test_a_stack_without_an_api_gets_no_user(self):
        stack = FakeStack(self)
        stack.stub("cognito-idp")
        stack.api = mock.Mock(side_effect=Problem("has no output ApiUrl"))
        with mock.patch("target.of", return_value=stack), mock.patch("signal.signal"), quiet():
            # A call to the pool would be another error: the stub has no response.
            with self.assertRaisesRegex(Problem, "has no output ApiUrl"):
                smoke.main([])

    def test_an_interrupt_deletes_the_user(self):
        stack = FakeStack(self)
        pool = stack.stub("cognito-idp")
        pool.add_response("admin_create_user", {"User": {"Attributes": [{"Name": "sub", "Value": SUB}]}})
        pool.add_response("admin_set_user_password", {})
        pool.add_response("admin_delete_user", {})
        with self.assertRaises(KeyboardInterrupt), quiet(), smoke.ThrowawayUser(stack):
            smoke.interrupted()
        pool.assert_no_pending_responses()


class Administrator(unittest.TestCase):
    def setUp(self):
        self.stack = FakeStack(self, {"AdminGroup": "bosses"})
        self.pool = self.stack.stub("cognito-idp")

    def found(self, *states, **more):
        self.pool.add_client_error("admin_get_user", "UserNotFoundException")
        users = [{"Username": f"{SUB}{number}", "UserStatus": state} | more for number, state in enumerate(states)]
        self.pool.add_response("list_users", {"Users": users}, {"UserPoolId": POOL, "Filter": 'email = "ada@example.com"', "Limit": 2})
        self.pool.add_response("list_users", {"Users": []})

    def make(self):
        with quiet():
            admin.make_administrator(self.stack, "ada@example.com")
        self.pool.assert_no_pending_responses()

    def test_the_group_of_the_stack_is_created_and_joined(self):
        self.found("CONFIRMED")
        self.pool.add_response("create_group", {}, {"UserPoolId": POOL, "GroupName": "bosses", "Description": ANY})
        joined = {"UserPoolId": POOL, "GroupName": "bosses", "Username": f"{SUB}0"}
        self.pool.add_response("admin_add_user_to_group", {}, joined)
        self.make()

    def test_an_existing_group_is_accepted(self):
        self.found("CONFIRMED")
        self.pool.add_client_error("create_group", "GroupExistsException")
        self.pool.add_response("admin_add_user_to_group", {})
        self.make()

    def test_unknown_unconfirmed_disabled_and_ambiguous_users_are_refused(self):
        for states, more, said in (
            ([], {}, "There is no user"),
            (["UNCONFIRMED"], {}, "has not confirmed"),
            (["CONFIRMED"], {"Enabled": False}, "is disabled"),
            (["CONFIRMED", "CONFIRMED"], {}, "Several users"),
        ):
            self.found(*states, **more)
            with self.assertRaisesRegex(Problem, said):
                self.make()

    def test_a_quotation_mark_does_not_change_the_filter(self):
        self.pool.add_client_error("admin_get_user", "UserNotFoundException")
        with self.assertRaisesRegex(Problem, "There is no user"):
            admin.find(self.stack.client("cognito-idp"), POOL, 'a" or email ^= "b')


class Rollback(unittest.TestCase):
    FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:prod-Authorizer"

    def setUp(self):
        self.stack = FakeStack(self)
        self.stack.description = {"StackStatus": "UPDATE_COMPLETE"}
        self.stack.outputs["AuthorizerAlias"] = f"{self.FUNCTION}:live"
        self.functions = self.stack.stub("lambda")

    def found(self, present, *versions):
        names = {"FunctionName": self.FUNCTION}
        self.functions.add_response("get_alias", {"FunctionVersion": present, "RevisionId": "r"}, names | {"Name": "live"})
        listed = [{"Version": one, "LastModified": "2026-01-01T00:00:00"} for one in ("$LATEST", *versions)]
        self.functions.add_response("list_versions_by_function", {"Versions": listed}, names)

    def to(self, wanted, expected):
        # No weight remains: the version gets every request.
        change = {"FunctionVersion": expected, "RoutingConfig": {"AdditionalVersionWeights": {}}, "RevisionId": "r"}
        self.functions.add_response("update_alias", {}, {"FunctionName": self.FUNCTION, "Name": "live"} | change)
        with quiet():
            rollback.roll_back(self.stack, wanted)
        self.functions.assert_no_pending_responses()

    def test_the_alias_returns_to_the_version_before(self):
        # By number, not by text; versions after the present one are those that were rolled back before.
        self.found("10", "8", "9", "10", "11")
        self.to("", "9")

    def test_the_version_can_be_named(self):
        self.found("10", "8", "9", "10")
        self.to("8", "8")

    def test_without_such_a_version_nothing_changes(self):
        for present, wanted, said in (("1", "", "no version before 1"), ("1", "2", "no version 2"), ("1", "live", "no version live")):
            self.found(present, "1")
            with self.assertRaisesRegex(Problem, said), quiet():
                rollback.roll_back(self.stack, wanted)

    def test_without_an_alias_there_is_no_earlier_version(self):
        del self.stack.outputs["AuthorizerAlias"]
        with self.assertRaisesRegex(Problem, "AuthorizerDeployment is Direct"):
            rollback.roll_back(self.stack, "")

    def test_an_update_under_way_is_cancelled_instead(self):
        self.stack.description = {"StackStatus": "UPDATE_IN_PROGRESS"}
        with self.assertRaisesRegex(Problem, "cancel-update-stack --stack-name prod"), quiet():
            rollback.roll_back(self.stack, "")


class Destruction(unittest.TestCase):
    RESOURCES = [
        {"LogicalResourceId": "UserPool", "PhysicalResourceId": POOL, "ResourceType": destroy.POOL},
        {"LogicalResourceId": "UsersTable", "PhysicalResourceId": "users", "ResourceType": destroy.TABLE},
        {"LogicalResourceId": "SessionTable", "PhysicalResourceId": "sessions", "ResourceType": destroy.TABLE},
        {"LogicalResourceId": "Authorizer", "PhysicalResourceId": "auth", "ResourceType": destroy.FUNCTION},
        {"LogicalResourceId": "AuthorizerLogs", "PhysicalResourceId": "prod-AuthorizerLogs", "ResourceType": destroy.LOGS},
    ]

    def setUp(self):
        self.stack = FakeStack(self)
        self.cloudformation = self.stack.stub("cloudformation")

    def run_with(self, *arguments, status="CREATE_COMPLETE", typed="prod", lacking=""):
        described = {"StackName": "prod", "StackId": "arn", "StackStatus": status, "CreationTime": NOW}
        self.cloudformation.add_response("describe_stacks", {"Stacks": [described]})
        complete = {"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": NOW}
        present = [one | complete for one in self.RESOURCES if one["LogicalResourceId"] != lacking]
        listed = {"StackResourceSummaries": present}
        self.cloudformation.add_response("list_stack_resources", listed)
        if status == "CREATE_COMPLETE":
            kept = {"DeletionPolicy": "RetainExceptOnCreate"}
            template = {"Resources": {"UserPool": kept, "UsersTable": kept, "SessionTable": {}}}
            self.cloudformation.add_response("get_template", {"TemplateBody": json.dumps(template)})
        groups = {"logGroups": [{"logGroupName": "/aws/lambda/auth"}, {"logGroupName": "/aws/lambda/auth-2"}]}
        self.stack.stub("logs").add_response("describe_log_groups", groups)
        output = io.StringIO()
        with (
            mock.patch("target.session", return_value=mock.Mock(client=self.stack.client, region_name="us-east-1")),
            mock.patch("builtins.input", return_value=typed),
            contextlib.redirect_stdout(output),
        ):
            try:
                destroy.main(["--stack", "prod", *arguments])
            finally:
                self.output = output.getvalue()
        return self.output

    def test_another_name_deletes_nothing(self):
        with self.assertRaisesRegex(Problem, "nothing was done"):
            self.run_with(typed="")
        self.cloudformation.assert_no_pending_responses()

    def test_remaining_resources_are_listed_before_and_after(self):
        with mock.patch("destroy.delete") as delete:
            said = self.run_with()
        delete.assert_called_once()
        before, _, after = said.partition("The stack is deleted.")
        for name in (POOL, "users"):
            self.assertIn(name, before)
            self.assertIn(name, after)
        self.assertNotIn("sessions", said)
        self.assertIn("/aws/lambda/auth\n", after + "\n")
        self.assertIn("--log-group-name prod-AuthorizerLogs\n", after)
        self.assertNotIn("auth-2", said)
        self.assertIn("the app\nclient", before)

    def test_the_core_alone_has_neither_a_pool_nor_an_api(self):
        with mock.patch("destroy.delete"):
            said = self.run_with(lacking="UserPool")
        self.assertIn("the authorizer, logout, queues and alarms", said)
        for other in ("the API,", "app\nclient", POOL, "delete-user-pool"):
            self.assertNotIn(other, said)

    def test_a_failed_first_deployment_keeps_nothing(self):
        with mock.patch("destroy.delete"):
            said = self.run_with(status="ROLLBACK_COMPLETE")
        self.assertIn("first deployment failed", said)
        self.assertNotIn("UsersTable: users", said)
        self.assertNotIn("prod-AuthorizerLogs", said)

    def test_a_refused_deletion_names_the_protected_resources(self):
        self.cloudformation.add_response("delete_stack", {})
        described = {"StackName": "prod", "StackStatus": "DELETE_FAILED", "CreationTime": NOW}
        self.cloudformation.add_response("describe_stacks", {"Stacks": [described]})
        failed = {"ResourceStatus": "DELETE_FAILED", "ResourceStatusReason": "protected", "LastUpdatedTimestamp": NOW}
        self.cloudformation.add_response("list_stack_resources", {"StackResourceSummaries": [self.RESOURCES[0] | failed]})
        with self.assertRaisesRegex(Problem, f"UserPool \\({POOL}\\): protected"), quiet():
            destroy.delete(self.stack.client("cloudformation"), "arn", "prod")


class Stacks(unittest.TestCase):
    def test_a_missing_stack_is_reported(self):
        stack = FakeStack(self)
        said = "Stack with id prod does not exist"
        stack.stub("cloudformation").add_client_error("describe_stacks", "ValidationError", said)
        with self.assertRaisesRegex(Problem, "make deploy"):
            account.Stack(mock.Mock(client=stack.client, region_name="us-east-1"), "prod")

    def test_the_region_is_the_shells_as_every_sdk_reads_it(self):
        with mock.patch.dict(os.environ, {"AWS_REGION": "eu-west-3"}):
            self.assertEqual(account.session().region_name, "eu-west-3")
        self.assertEqual(account.session("us-west-2").region_name, "us-west-2")

    def test_the_stack_is_named_by_its_environment(self):
        given = target.options(["--config", "minimal"], "smoke")
        self.assertEqual(target.named(given), ("gatehouse", None, "minimal"))
        given = target.options(["--stack", "other", "--region", "us-west-2"], "smoke")
        self.assertEqual(target.named(given), ("other", "us-west-2", ""))


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    """The scripts themselves, against the template deployed into the emulator."""

    def setUp(self):
        self.stack = json.loads(os.environ["GATEHOUSE_STACK"])
        settings = tempfile.TemporaryDirectory()
        self.addCleanup(settings.cleanup)
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": self.stack["endpoint"],
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": self.stack["cognito"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "__SAM_CLI_APP_DIR": settings.name,
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def run_python(self, *arguments):
        command = [sys.executable, *arguments]
        here = pathlib.Path(__file__).parent
        return subprocess.run(command, env=self.environment, cwd=here, capture_output=True, text=True, check=False)

    def run_script(self, script, *arguments):
        return self.run_python(script, "--stack", "gatehouse", *arguments)

    def test_a_stack_is_deployed_from_its_environment_and_keeps_its_answers(self):
        with tempfile.TemporaryDirectory() as folder:
            # All of the template's parameters, and one resource: the test checks which values arrive.
            template = pathlib.Path(folder, "template.yaml")
            parameters = re.search(r"^Parameters:\n(?:[ #].*\n|\n)+", deploy.TEMPLATE.read_text(), re.MULTILINE)[0]
            # CloudFormation sees no change in a parameter that no resource uses.
            resources = "Resources: {Topic: {Type: 'AWS::SNS::Topic', Properties: {DisplayName: !Ref LogLevel}}}\n"
            template.write_text(parameters + resources + "Outputs: {ApiUrl: {Value: 'https://api.example'}}\n")
            config = pathlib.Path(folder, "samconfig.toml")
            config.write_text(deploy.CONFIG.read_text())
            program = (
                "import pathlib, sys, account, deploy;"
                f"deploy.CONFIG = pathlib.Path({str(config)!r});"
                "account.run(deploy.main)"
            )
            given = ["--config", "minimal", "--yes", "--template", str(template), "--set", f"JwksHost={self.stack['endpoint']}"]
            given += ["AppName=Ada & Co", "LogLevel=WARN", "AuthorizerDeployment=AllAtOnce"]
            package = pathlib.Path(folder, "AuthorizerFunction")
            package.mkdir()
            package.joinpath("bootstrap").write_bytes(b"a build")
            # Another name than that of the running stack.
            config.write_text(config.read_text().replace('stack_name = "gatehouse"', 'stack_name = "second"'))
            result = self.run_python("-c", program, *given)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("make smoke CONFIG=second", result.stdout)
            kept = deploy.Choice.of(tomlkit.parse(config.read_text()), "second")
            self.assertEqual((kept.region, kept.overrides["AppName"]), ("us-east-1", "Ada & Co"))
            # The file is authoritative: a removed line means the default.
            with mock.patch.dict(os.environ, self.environment):
                deployed = account.Stack(account.session("us-east-1"), "second").parameters
                self.assertEqual((deployed["AppName"], deployed["LogLevel"]), ("Ada & Co", "WARN"))
                # The build's identity is not a setting: each deployment has its own.
                self.assertEqual(deployed["AuthorizerBuild"], build.identity(pathlib.Path(folder), "AuthorizerFunction"))
                self.assertNotIn("AuthorizerBuild", kept.overrides)
                document = tomlkit.parse(config.read_text())
                del document["second"]["deploy"]["parameters"]["parameter_overrides"]["LogLevel"]
                config.write_text(tomlkit.dumps(document))
                result = self.run_python("-c", program, "--yes", "--template", str(template))
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                deployed = account.Stack(account.session("us-east-1"), "second").parameters
                self.assertEqual((deployed["AppName"], deployed["LogLevel"]), ("Ada & Co", "INFO"))

    def test_sam_deploys_the_whole_template(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "samconfig.toml")
            config.write_text(deploy.CONFIG.read_text().replace('stack_name = "gatehouse"', 'stack_name = "whole"'))
            program = f"import pathlib, account, deploy; deploy.CONFIG = pathlib.Path({str(config)!r}); account.run(deploy.main)"
            given = ["--config", "minimal", "--yes", "--template", str(deploy.TEMPLATE), "--built"]
            result = self.run_python("-c", program, *given, "--set", f"JwksHost={self.stack['endpoint']}")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("make smoke CONFIG=whole", result.stdout)

    def test_smoke(self):
        result = self.run_script("smoke.py")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("Deleted the temporary user.", result.stdout)

    def update(self, **changes):
        stack = account.Stack(account.session("us-east-1"), "gatehouse")
        parameters = [
            {"ParameterKey": name, "ParameterValue": changes[name]} if name in changes else {"ParameterKey": name, "UsePreviousValue": True}
            for name in stack.parameters
        ]
        client = stack.client("cloudformation")
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        client.update_stack(StackName="gatehouse", UsePreviousTemplate=True, Parameters=parameters, Capabilities=capabilities)
        client.get_waiter("stack_update_complete").wait(StackName="gatehouse", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return account.Stack(account.session("us-east-1"), "gatehouse")

    def smoke(self):
        """The error of smoke.py, which gets an access token. With TokenUse=id the authorizer refuses it."""
        result = self.run_script("smoke.py")
        if result.returncode:
            self.assertIn("Expected 200, got 401", result.stderr)
        return result.returncode

    def test_decisions_are_cached_for_as_long_as_the_parameter_says(self):
        """A token is accepted after its logout, but no longer than that."""
        self.enterContext(mock.patch.dict(os.environ, self.environment))
        before = account.Stack(account.session("us-east-1"), "gatehouse").parameters
        changes = {"AuthorizerResultTtlSeconds": "5", "PolicyScope": "api", "TokenSources": ""}
        self.addCleanup(self.update, **{name: before[name] for name in changes})
        stack = self.update(**changes)
        made = stack.client("apigateway").get_authorizers(restApiId=stack.output("ApiId"))["items"]
        self.assertEqual([one["authorizerResultTtlInSeconds"] for one in made], [5])
        self.assertTrue(stack.output("RevocationBound").startswith("5 s"))
        with quiet(), smoke.ThrowawayUser(stack) as user:
            caller = smoke.Caller(stack)
            caller.sign_in(user)
            statuses = [caller.call("GET", "/whoami").status]
            decided = time.monotonic()
            statuses.append(caller.call("POST", "/auth/logout", {}).status)
            statuses.append(caller.call("GET", "/whoami").status)
            while caller.call("GET", "/whoami").status == 200 and time.monotonic() < decided + 20:
                time.sleep(0.1)
            elapsed = time.monotonic() - decided
        self.assertEqual(statuses, [200, 200, 200])
        self.assertLess(elapsed, 6)
        self.assertGreater(elapsed, 3)

    def test_directly_a_parameter_is_effective_at_once(self):
        self.enterContext(mock.patch.dict(os.environ, self.environment))
        self.addCleanup(self.update, TokenUse="access")
        stack = self.update(TokenUse="id")
        self.assertNotIn("AuthorizerAlias", stack.outputs)
        self.assertEqual(self.smoke(), 1)
        result = self.run_script("rollback.py")
        self.assertIn("AuthorizerDeployment is Direct", result.stderr)

    def test_with_an_alias_a_parameter_and_a_build_publish_a_version_which_rolls_back(self):
        self.enterContext(mock.patch.dict(os.environ, self.environment))
        self.addCleanup(self.update, TokenUse="access", AuthorizerDeployment="Direct", AuthorizerConcurrency="")
        stack = self.update(AuthorizerDeployment="AllAtOnce", AuthorizerBuild="1")
        function = stack.output("AuthorizerAlias").rpartition(":")[0]

        def version():
            return int(stack.client("lambda").get_alias(FunctionName=function, Name="live")["FunctionVersion"])

        first = version()
        self.assertEqual(self.smoke(), 0)
        self.update(AuthorizerBuild="2")
        self.assertEqual(version(), first + 1)
        # The alias is at the new version, whose configuration API Gateway meets.
        self.update(TokenUse="id")
        self.assertEqual(version(), first + 2)
        self.assertEqual(self.smoke(), 1)
        result = self.run_script("rollback.py")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(version(), first + 1)
        self.assertEqual(self.smoke(), 0)
        # Reservations are the function's own.
        self.update(AuthorizerConcurrency="10")
        self.assertEqual(version(), first + 1)
        # Directly the function is invoked as the last update left it, not as the roll-back chose.
        stack = self.update(AuthorizerDeployment="Direct")
        self.assertNotIn("AuthorizerAlias", stack.outputs)
        self.assertEqual(self.smoke(), 1)
        # Again, with the code of the last version: a version that differs by its record alone.
        stack = self.update(AuthorizerDeployment="AllAtOnce", TokenUse="access")
        self.assertGreater(version(), first + 2)
        self.assertEqual(self.smoke(), 0)

    def test_an_unknown_user_is_not_made_an_administrator(self):
        result = self.run_script("admin.py", "unknown@example.com")
        self.assertIn("There is no user", result.stderr)

    def test_destroy_asks_first(self):
        result = self.run_script("destroy.py", "--yes", "another")
        self.assertIn("It keeps:", result.stdout)
        self.assertIn("nothing was done", result.stderr)


if __name__ == "__main__":
    unittest.main()
