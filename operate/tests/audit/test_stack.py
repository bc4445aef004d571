"""Audits this repository's template, deployed with its defaults into the local stack."""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import time
import unittest
import unittest.mock

import boto3

from gatehouse_operate.audit import cli
from gatehouse_operate.audit.calls import policy

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/template", "local")]

NAME = "defaults"


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    """The template's defaults, and what breaks when permissions or parts are taken away."""

    @classmethod
    def setUpClass(cls):
        cls.endpoint = json.loads(os.environ["GATEHOUSE_STACK"])["endpoint"]
        cls.environment = {
            "AWS_ENDPOINT_URL": cls.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        cls.enterClassContext(unittest.mock.patch.dict(os.environ, cls.environment))
        cls.stack = deployed(cls.endpoint)

    def audit(self, *arguments):
        """The exit code and the JSON report."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = cli.main(["--stack", NAME, "--json", *arguments])
        return code, json.loads(out.getvalue())

    def test_the_defaults_have_nothing_above_info(self):
        code, report = self.audit()
        above = [(one["check"], one["found"]) for one in report["findings"] if one["severity"] != "info"]
        self.assertEqual(above, [])
        self.assertEqual((code, report["not_checked"]), (0, 0))
        # The whole system was read, not a part.
        self.assertEqual(len(report["scope"]), 3, report["scope"])

    def test_a_saved_audit_says_the_same_without_an_account(self):
        with tempfile.TemporaryDirectory() as folder:
            _, live = self.audit("--save", folder)
            out = io.StringIO()
            with (
                contextlib.redirect_stdout(out),
                unittest.mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": "http://x"}),
            ):
                code = cli.main(["--from", folder, "--json"])
        offline = json.loads(out.getvalue())
        self.assertEqual(code, 0)
        self.assertEqual(offline["findings"], live["findings"])

    def test_a_role_without_permission_leaves_findings(self):
        allowed = ["cloudformation:*", "cognito-idp:DescribeUserPool", "sts:*"]
        with role(allowed) as credentials, unittest.mock.patch.dict(os.environ, credentials):
            code, report = self.audit()
        texts = [one["found"] for one in report["findings"] if one["check"] == "audit-not-checked"]
        self.assertTrue(any("lack cognito-idp:ListUserPoolClients" in text for text in texts), texts)
        self.assertGreater(len(texts), 20)
        self.assertIn(code, (cli.UNCHECKED, cli.FAILED))

    def test_the_printed_policy_is_enough(self):
        # The emulator takes ListTargetsByRule for a call without a resource, ListFunctionUrlConfigs for GetFunction.
        actions = ["events:ListTargetsByRule", "lambda:GetFunction"]
        emulated = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        statements = [*policy()["Statement"], emulated]
        with role(None, statements) as credentials, unittest.mock.patch.dict(os.environ, credentials):
            code, report = self.audit()
        self.assertEqual((code, report["not_checked"]), (0, 0), report["findings"])

    def test_ways_around_the_authorizer_are_found(self):
        functions, graphql = boto3.client("lambda"), boto3.client("appsync")
        name = resource("WhoamiFunction")
        functions.create_function_url_config(FunctionName=name, AuthType="NONE")
        self.addCleanup(functions.delete_function_url_config, FunctionName=name)
        functions.add_permission(
            FunctionName=name,
            StatementId="public",
            Action="lambda:InvokeFunctionUrl",
            Principal="*",
            FunctionUrlAuthType="NONE",
        )
        self.addCleanup(functions.remove_permission, FunctionName=name, StatementId="public")
        api = graphql.create_graphql_api(name="around", authenticationType="API_KEY")["graphqlApi"]["apiId"]
        self.addCleanup(graphql.delete_graphql_api, apiId=api)
        key = graphql.create_api_key(apiId=api)["apiKey"]["id"]
        with role(None, policy()["Statement"]) as credentials, unittest.mock.patch.dict(os.environ, credentials):
            _, report = self.audit("--graphql-api", api)
        found = {one["check"]: one for one in report["findings"]}
        self.assertIn("It has 1 key.", found["entry-appsync-key"]["found"])
        self.assertNotIn(key, json.dumps(report))
        _, report = self.audit()
        found = [one for one in report["findings"] if one["check"] == "entry-function-url"]
        self.assertEqual([(one["severity"], one["resource"]) for one in found], [("high", name)])

    def test_planted_faults_are_found(self):
        outputs = {one["OutputKey"]: one["OutputValue"] for one in self.stack["Outputs"]}
        cognito, events = boto3.client("cognito-idp"), boto3.client("events")
        client = cognito.create_user_pool_client(
            UserPoolId=outputs["UserPoolId"], ClientName="second", EnableTokenRevocation=False
        )["UserPoolClient"]["ClientId"]
        rule = resource("UserEventRule")
        events.disable_rule(Name=rule)
        self.addCleanup(events.enable_rule, Name=rule)
        self.addCleanup(cognito.delete_user_pool_client, UserPoolId=outputs["UserPoolId"], ClientId=client)
        code, report = self.audit()
        found = {one["check"] for one in report["findings"]}
        expected = {
            "client-token-revocation",
            "client-refresh-lifetime",
            "client-outlives-revocations",
            "client-not-configured",
            "client-user-existence",
            "system-event-rule",
        }
        self.assertEqual(expected - found, set())
        self.assertEqual(code, cli.FAILED)


def deployed(endpoint):
    """The stack with the template's defaults, made once for an emulator."""
    stacks = boto3.client("cloudformation")
    stacks.create_stack(
        StackName=NAME,
        TemplateURL=f"{endpoint}/gatehouse-artifacts/template.yaml",
        Parameters=[{"ParameterKey": "JwksHost", "ParameterValue": endpoint}],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + 120
    while (stack := stacks.describe_stacks(StackName=NAME)["Stacks"][0])["StackStatus"].endswith("IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise TimeoutError(NAME)
        time.sleep(0.1)
    complete(stack)
    return stack


def complete(made):
    """What the emulator's CloudFormation leaves out of the template, and a trail, which the template asks for."""
    import gateway
    import stack as templates

    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    definition = json.loads((ROOT / "generated/api-gateway.json").read_text())
    origin = {"AllowedOrigin": "https://app.example.com"}
    gateway.complete(boto3.client("apigateway"), outputs["ApiId"], "prod", definition, origin)
    tables = boto3.client("dynamodb")
    for logical, one in templates.Parsed(templates.text()).stack({}).resources.items():
        properties = one["Properties"]
        if one["Type"] != "AWS::DynamoDB::Table":
            continue
        if "TimeToLiveSpecification" in properties:
            tables.update_time_to_live(
                TableName=resource(logical), TimeToLiveSpecification=properties["TimeToLiveSpecification"]
            )
        if "PointInTimeRecoverySpecification" in properties:
            tables.update_continuous_backups(
                TableName=resource(logical),
                PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
            )
    boto3.client("s3").create_bucket(Bucket="audit-trail")
    trails = boto3.client("cloudtrail")
    trails.create_trail(Name="audit", S3BucketName="audit-trail")
    trails.start_logging(Name="audit")


def resource(logical):
    """The physical id of a resource of the stack."""
    stacks = boto3.client("cloudformation")
    found = stacks.describe_stack_resource(StackName=NAME, LogicalResourceId=logical)
    return found["StackResourceDetail"]["PhysicalResourceId"]


@contextlib.contextmanager
def role(actions, statements=None):
    """The variables of a user whose policy allows these actions, or has these statements."""
    users = boto3.client("iam")
    name = f"audit-{time.monotonic_ns()}"
    users.create_user(UserName=name)
    statements = statements or [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    users.put_user_policy(UserName=name, PolicyName="audit", PolicyDocument=document)
    key = users.create_access_key(UserName=name)["AccessKey"]
    yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


if __name__ == "__main__":
    unittest.main()
