"""core.yaml deployed twice beside a user pool, a REST API and an HTTP API that exist, by `make deploy` as it is."""

import io
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
import zipfile

import boto3
import botocore.exceptions

import deploy
from invoked import BINARIES

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTIONS = ("authorizer", "logout", "logout-retry")
BACKEND = """
def handler(event, _):
    return {"statusCode": 200, "body": event["requestContext"].get("authorizer", {}).get("sub", "")}
"""
PAGE = ROOT / "docs/existing-api.md"


def importing(stack):
    """The template of the page's section "The core alone": what the stack of an API imports from a copy of the core."""
    section = PAGE.read_text().partition("\n## The core alone\n")[2].partition("\n## ")[0]
    (template,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return template.replace("gatehouse-core-", f"{stack}-")



@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStackCore(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.state = json.loads(os.environ["GATEHOUSE_STACK"])
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.make_pool()
        cls.backend = cls.make_backend()
        cls.make_template()
        cls.stacks = {name: cls.deployed(name) for name in ("core-a", "core-b")}

    @classmethod
    def aws(cls, service):
        credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        session = boto3.Session(region_name="us-east-1", **credentials)
        return session.client(service, endpoint_url=cls.state["cognito" if service == "cognito-idp" else "endpoint"])

    @classmethod
    def make_pool(cls):
        """A pool of no stack, with an app client of Cognito's default lifetime, and a user."""
        cognito = cls.aws("cognito-idp")
        pool = cls.pool = {"UserPoolId": cognito.create_user_pool(PoolName="existing")["UserPool"]["Id"]}
        client = cognito.create_user_pool_client(
            **pool,
            ClientName="web",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            RefreshTokenValidity=30,
            EnableTokenRevocation=True,
        )
        cls.client_id = client["UserPoolClient"]["ClientId"]
        cognito.admin_create_user(**pool, Username="ada", MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**pool, Username="ada", Password="Correct-horse-9", Permanent=True)

    @classmethod
    def make_backend(cls):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as made:
            made.writestr("index.py", BACKEND)
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = cls.aws("iam").create_role(RoleName="core-backend", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        names = {"FunctionName": "core-backend", "Handler": "index.handler", "Runtime": "python3.13", "Role": role}
        return cls.aws("lambda").create_function(**names, Code={"ZipFile": code.getvalue()})["FunctionArn"]

    @classmethod
    def make_template(cls):
        """core.yaml beside functions that start the built binaries in place."""
        (cls.folder / "core.yaml").write_text(deploy.CORE.read_text())
        for name in FUNCTIONS:
            bootstrap = cls.folder / "functions" / name / "bootstrap"
            bootstrap.parent.mkdir(parents=True)
            bootstrap.write_text(f"#!/bin/sh\nexec {shlex.quote(str(BINARIES / name / 'bootstrap'))}\n")
            bootstrap.chmod(0o755)

    @classmethod
    def run_deploy(cls, stack, *settings):
        """`make deploy`, with a samconfig.toml of the test."""
        config = cls.folder / f"{stack}.toml"
        shipped = deploy.CONFIG.read_text()
        config.write_text(shipped.replace('stack_name = "gatehouse-core"', f'stack_name = "{stack}"'))
        program = (
            f"import pathlib, account, deploy; deploy.CONFIG = pathlib.Path({str(config)!r}); account.run(deploy.main)"
        )
        given = ["--config", "core", "--yes", "--template", str(cls.folder / "core.yaml"), "--built"]
        given += ["--set", f"JwksHost={cls.state['endpoint']}", *settings]
        environment = os.environ | {
            "AWS_ENDPOINT_URL": cls.state["endpoint"],
            "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": cls.state["cognito"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "__SAM_CLI_APP_DIR": str(cls.folder),
            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        command = [sys.executable, "-c", program, *given]
        return subprocess.run(command, env=environment, cwd=ROOT / "local", capture_output=True, text=True, check=False)

    @classmethod
    def settings(cls, seconds):
        pool = f"UserPoolId={cls.pool['UserPoolId']}"
        return [pool, f"AppClientIds={cls.client_id}", f"RefreshTokenSeconds={seconds}"]

    @classmethod
    def deployed(cls, stack):
        """The outputs of a copy of the core."""
        result = cls.run_deploy(stack, *cls.settings(30 * 86400))
        assert result.returncode == 0, result.stdout + result.stderr
        return cls.outputs(stack)

    @classmethod
    def outputs(cls, stack):
        described = cls.aws("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        return {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}

    def invocation(self, function):
        return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"

    def sign_in(self):
        """An access token of a new session."""
        given = {"USERNAME": "ada", "PASSWORD": "Correct-horse-9"}
        answer = self.aws("cognito-idp").initiate_auth(
            AuthFlow="USER_PASSWORD_AUTH", ClientId=self.client_id, AuthParameters=given
        )
        return answer["AuthenticationResult"]["AccessToken"]

    def status(self, url, token, method="GET"):
        request = urllib.request.Request(url, None, {"Authorization": f"Bearer {token}"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def make_rest_api(self):
        """The REST API that exists, open at first: its address, after its stack has imported core-a."""
        gateway = self.aws("apigateway")
        api = {"restApiId": gateway.create_rest_api(name="orders")["id"]}
        root = gateway.get_resources(**api)["items"][0]["id"]
        method = api | {"httpMethod": "GET"}
        method["resourceId"] = gateway.create_resource(**api, parentId=root, pathPart="orders")["id"]
        gateway.put_method(**method, authorizationType="NONE")
        uri = self.invocation(self.backend)
        gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        parameters = {"Api": api["restApiId"], "Root": root}
        self.aws("cloudformation").create_stack(
            StackName="orders",
            TemplateBody=importing("core-a"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        self.wait("orders", "stack_create_complete")
        changes = {"/authorizationType": "CUSTOM", "/authorizerId": self.outputs("orders")["Authorizer"]}
        patches = [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]
        gateway.update_method(**method, patchOperations=patches)
        gateway.create_deployment(**api, stageName="prod")
        return f"{self.state['endpoint']}/restapis/{api['restApiId']}/prod/_user_request_"

    def wait(self, stack, state):
        waiter = self.aws("cloudformation").get_waiter(state)
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def make_http_api(self):
        """The HTTP API that exists, with a route for each copy of the core."""
        gateway = self.aws("apigatewayv2")
        api = {"ApiId": gateway.create_api(Name="orders", ProtocolType="HTTP")["ApiId"]}
        integration = gateway.create_integration(
            **api, IntegrationType="AWS_PROXY", IntegrationUri=self.backend, PayloadFormatVersion="2.0"
        )
        for stack, outputs in self.stacks.items():
            authorizer = gateway.create_authorizer(
                **api,
                Name=stack,
                AuthorizerType="REQUEST",
                AuthorizerUri=self.invocation(outputs["AuthorizerArn"]),
                AuthorizerPayloadFormatVersion="2.0",
                AuthorizerCredentialsArn=outputs["AuthorizerInvokeRoleArn"],
                IdentitySource=["$request.header.Authorization"],
                AuthorizerResultTtlInSeconds=0,
            )
            gateway.create_route(
                **api,
                RouteKey=f"GET /{stack}",
                Target=f"integrations/{integration['IntegrationId']}",
                AuthorizationType="CUSTOM",
                AuthorizerId=authorizer["AuthorizerId"],
            )
        gateway.create_stage(**api, StageName="prod", AutoDeploy=True)
        return f"{self.state['endpoint']}/_aws/execute-api/{api['ApiId']}/prod"

    def rows(self, stack):
        return self.aws("dynamodb").scan(TableName=self.stacks[stack]["RevocationTableName"])["Items"]

    def test_a_logout_through_one_copy_leaves_the_other_as_it_is(self):
        rest, http = self.make_rest_api(), self.make_http_api()
        token, other = self.sign_in(), self.sign_in()
        for url in (f"{rest}/orders", f"{http}/core-a", f"{http}/core-b"):
            self.assertEqual(self.status(url, token), 200, url)
        self.assertEqual(self.status(f"{rest}/orders", token + "x"), 401)
        self.assertEqual(self.status(f"{rest}/auth/logout", token, "POST"), 200)
        self.assertEqual(self.status(f"{rest}/orders", token), 401)
        # MiniStack answers an authorizer's error with 500 here.
        self.assertIn(self.status(f"{http}/core-a", token), (401, 500))
        # The other session, and the other copy, whose table is another.
        self.assertEqual(self.status(f"{rest}/orders", other), 200)
        self.assertEqual(self.status(f"{http}/core-b", token), 200)
        revoked = [row for row in self.rows("core-a") if "revoked_at" in row]
        self.assertEqual([row["pk"]["S"].partition("#")[0] for row in revoked], [self.pool["UserPoolId"]])
        self.assertEqual(self.rows("core-b"), [])
        # A revocation outlives the refresh token.
        (row,) = revoked
        self.assertGreaterEqual(int(row["expires_at"]["N"]) - int(row["revoked_at"]["N"]), 30 * 86400)
        self.expect_no_shared_names()
        self.expect_imports_to_hold()
        self.expect_the_other_copy_to_survive(f"{http}/core-b", token)

    def expect_no_shared_names(self):
        """No resource of one copy is a resource of the other."""
        found = []
        for stack in self.stacks:
            pages = self.aws("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
            summaries = [one for page in pages for one in page["StackResourceSummaries"]]
            found.append({(one["ResourceType"], one["PhysicalResourceId"]) for one in summaries})
        self.assertGreater(len(found[0]), 20)
        self.assertEqual(len(found[0]), len(found[1]))
        self.assertEqual(found[0] & found[1], set())

    def expect_imports_to_hold(self):
        """CloudFormation deletes no copy of which a stack imports."""
        exports = {one["Name"] for one in self.aws("cloudformation").list_exports()["Exports"]}
        for stack in self.stacks:
            self.assertIn(f"{stack}-AuthorizerArn", exports)
        imported = "core-a-AuthorizerArn is imported by stack orders"
        with self.assertRaisesRegex(botocore.exceptions.ClientError, imported):
            self.aws("cloudformation").delete_stack(StackName="core-a")

    def expect_the_other_copy_to_survive(self, url, token):
        for stack in ("orders", "core-a"):
            self.aws("cloudformation").delete_stack(StackName=stack)
            self.wait(stack, "stack_delete_complete")
        self.assertEqual(self.status(url, token), 200)
        # The table of the deleted copy remains.
        self.assertTrue(self.rows("core-a"))

    @classmethod
    def tearDownClass(cls):
        for stack in cls.stacks:
            cls.aws("cloudformation").delete_stack(StackName=stack)

    def test_a_lifetime_below_that_of_the_clients_is_refused(self):
        result = self.run_deploy("core-c", *self.settings(8 * 3600))
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("Set RefreshTokenSeconds=2592000", result.stderr)

    def test_a_client_that_does_not_exist_is_refused(self):
        pool = f"UserPoolId={self.pool['UserPoolId']}"
        result = self.run_deploy("core-c", pool, "AppClientIds=unknown", "RefreshTokenSeconds=2592000")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("has no app client unknown", result.stderr)

    def test_the_core_does_not_replace_the_whole(self):
        result = self.run_deploy("gatehouse", *self.settings(30 * 86400))
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("was deployed from another template", result.stderr)


if __name__ == "__main__":
    unittest.main()
