"""An adoption in the local stack, with requests all the time: `local/stack.py exec` starts one for it.

The pool, its triggers and the APIs are made by boto3, as a team has them before it knows Gatehouse. The stack's
authorizer and logout get that pool by their variables, as core.yaml's parameters would set them.
"""

import concurrent.futures
import contextlib
import http.client
import io
import itertools
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse
import zipfile

import boto3

from . import OPERATE

PASSWORD = "Correct-horse-battery-1"
SCOPE = "aws.cognito.signin.user.admin"
ECHO = "def handler(event, _):\n    return event\n"
# MiniStack waits 50 ms for a line of a function's log, at each of its invocations.
BACKEND = """import sys


def handler(event, _):
    print("orders", file=sys.stderr)
    return {"statusCode": 200, "body": "orders"}
"""
FOREIGN = ("PreSignUp", "PostAuthentication", "CustomMessage")
RATE = 50
VOLATILE = {"LastModifiedDate", "lastUpdatedDate", "LastUpdatedDate", "ResponseMetadata"}


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.state = json.loads(os.environ["GATEHOUSE_STACK"])
        cls.session = boto3.Session("test", "test", region_name="us-east-1")
        cls.made = secrets.token_hex(3)
        cls.role = cls.make_role()
        cls.foreign = {slot: cls.make_function(f"their-{slot}-{cls.made}", ECHO) for slot in FOREIGN}
        cls.backend = cls.make_function(f"their-orders-{cls.made}", BACKEND)
        cls.make_pool()
        cls.rest, cls.http = cls.make_rest_api(), cls.make_http_api()
        endpoint = cls.state["endpoint"]
        cls.urls = [f"{endpoint}/restapis/{cls.rest}/prod/_user_request_/orders"]
        cls.urls += [f"{endpoint}/_aws/execute-api/{cls.http}/prod/{path}" for path in ("orders", "reports")]

    @classmethod
    def aws(cls, service):
        return cls.session.client(service, endpoint_url=cls.state["endpoint"])

    @classmethod
    def make_role(cls):
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        name = f"their-role-{cls.made}"
        return cls.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]

    @classmethod
    def make_function(cls, name, text):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("index.py", text)
        settings = {"Handler": "index.handler", "Runtime": "python3.13", "Role": cls.role}
        made = cls.aws("lambda").create_function(FunctionName=name, **settings, Code={"ZipFile": code.getvalue()})
        return made["FunctionArn"]

    @classmethod
    def make_pool(cls):
        cognito = cls.aws("cognito-idp")
        cls.pool = cognito.create_user_pool(
            PoolName="Kundenkonten größer",
            Policies={"PasswordPolicy": {"MinimumLength": 14, "TemporaryPasswordValidityDays": 3}},
            LambdaConfig=cls.foreign,
            AutoVerifiedAttributes=["email"],
            EmailVerificationSubject="Grüße",
            EmailVerificationMessage="Ihr Code ist {####}",
            SmsAuthenticationMessage="Anmeldung: {####}",
            UserPoolTags={"team": "identity"},
            AdminCreateUserConfig={"AllowAdminCreateUserOnly": True},
            AccountRecoverySetting={"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]},
            UserAttributeUpdateSettings={"AttributesRequireVerificationBeforeUpdate": ["email"]},
            DeletionProtection="ACTIVE",
        )["UserPool"]["Id"]
        cls.client_id = cognito.create_user_pool_client(
            UserPoolId=cls.pool,
            ClientName="web",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            EnableTokenRevocation=True,
            RefreshTokenValidity=7,
            CallbackURLs=["https://app.example.com/callback"],
        )["UserPoolClient"]["ClientId"]
        cognito.admin_create_user(UserPoolId=cls.pool, Username="ada", TemporaryPassword=PASSWORD)
        named = {"UserPoolId": cls.pool, "Username": "ada"}
        cognito.admin_set_user_password(**named, Password=PASSWORD, Permanent=True)

    @classmethod
    def make_rest_api(cls):
        gateway = cls.aws("apigateway")
        api = {"restApiId": gateway.create_rest_api(name="shop")["id"]}
        root = gateway.get_resources(**api)["items"][0]["id"]
        arn = f"arn:aws:cognito-idp:us-east-1:{cls.state['account_id']}:userpool/{cls.pool}"
        header = {"identitySource": "method.request.header.Authorization"}
        kind = {"name": "pool", "type": "COGNITO_USER_POOLS", "providerARNs": [arn]}
        cognito = gateway.create_authorizer(**api, **kind, **header)["id"]
        for path in ("orders", "health"):
            resource = gateway.create_resource(**api, parentId=root, pathPart=path)["id"]
            for verb in ("GET", "POST"):
                method = api | {"resourceId": resource, "httpMethod": verb}
                guarded = {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": cognito}
                gateway.put_method(**method, **(guarded if path == "orders" else {"authorizationType": "NONE"}))
                templates = {"application/json": '{"statusCode": 200}'}
                gateway.put_integration(**method, type="MOCK", requestTemplates=templates)
                gateway.put_method_response(**method, statusCode="200")
                gateway.put_integration_response(**method, statusCode="200")
        gateway.create_deployment(**api, stageName="prod")
        return api["restApiId"]

    @classmethod
    def make_http_api(cls):
        gateway = cls.aws("apigatewayv2")
        api = {"ApiId": gateway.create_api(Name="store", ProtocolType="HTTP")["ApiId"]}
        issuer = f"https://cognito-idp.us-east-1.amazonaws.com/{cls.pool}"
        kind = {"Name": "jwt", "AuthorizerType": "JWT", "IdentitySource": ["$request.header.Authorization"]}
        jwt = gateway.create_authorizer(**api, **kind, JwtConfiguration={"Audience": [cls.client_id], "Issuer": issuer})
        settings = {"IntegrationType": "AWS_PROXY", "PayloadFormatVersion": "2.0"}
        integration = gateway.create_integration(**api, **settings, IntegrationUri=cls.backend)["IntegrationId"]
        guarded = {"AuthorizationType": "JWT", "AuthorizerId": jwt["AuthorizerId"]}
        for key, scopes in (("GET /orders", []), ("GET /reports", [SCOPE])):
            route = {"RouteKey": key, "Target": f"integrations/{integration}", "AuthorizationScopes": scopes}
            gateway.create_route(**api, **route, **guarded)
        gateway.create_stage(**api, StageName="prod", AutoDeploy=True)
        return api["ApiId"]

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.accept_pool()

    def accept_pool(self):
        """Deploys the authorizer and logout for the pool, as core.yaml's parameters do."""
        jwks = f"{self.state['endpoint']}/{self.pool}/.well-known/jwks.json"
        accepted = {"USER_POOL_ID": self.pool, "APP_CLIENT_IDS": self.client_id, "JWKS_URI": jwks}
        # DynamoDB Local, if it runs: MiniStack answers late while it serves RATE requests a second.
        if "tables" in self.state:
            accepted["AWS_ENDPOINT_URL_DYNAMODB"] = self.state["tables"]
        self.deploy("Authorizer", accepted | {"TOKEN_USE": "any"})
        self.deploy("Logout", accepted | {"REFRESH_TOKEN_TTL_SECONDS": str(7 * 86_400)})
        (logout,) = self.function("Logout")["Role"].rsplit("/", 1)[1:]
        table = {"Effect": "Allow", "Action": ["dynamodb:UpdateItem", "dynamodb:BatchGetItem"]}
        statement = table | {"Resource": f"arn:aws:dynamodb:us-east-1:*:table/{self.state['table']}"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.aws("iam").put_role_policy(RoleName=logout, PolicyName="adopted", PolicyDocument=policy)
        self.addCleanup(self.aws("iam").delete_role_policy, RoleName=logout, PolicyName="adopted")

    def function(self, name):
        functions = self.aws("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        name = next(one for one in names if f"gatehouse-{name}Function-" in one)
        return functions.get_function_configuration(FunctionName=name)

    def deploy(self, name, variables):
        function = self.function(name)
        before = function["Environment"]["Variables"]
        update = self.aws("lambda").update_function_configuration
        named = {"FunctionName": function["FunctionName"]}
        self.addCleanup(update, **named, Environment={"Variables": before})
        update(**named, Environment={"Variables": before | variables})

    def sign_in(self, kind="AccessToken"):
        parameters = {"USERNAME": "ada", "PASSWORD": PASSWORD}
        flow = {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters, "ClientId": self.client_id}
        return self.aws("cognito-idp").initiate_auth(**flow)["AuthenticationResult"][kind]

    def log_out(self, token):
        url = f"{self.state['api']}/auth/logout"
        self.assertEqual(call(url, token, "POST", b"{}", {"Content-Type": "application/json"}), 200)

    def command(self, *arguments):
        places = ["--dir", str(self.folder), "--endpoint-url", self.state["endpoint"], "--region", "us-east-1"]
        return [sys.executable, "-m", "gatehouse_operate.adopt.cli", arguments[0], *places, *arguments[1:]]

    def environment(self):
        secrets_of_root = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return secrets_of_root | {"PATH": os.environ["PATH"], "PYTHONPATH": str(OPERATE), "HOME": str(self.folder)}

    def run_command(self, *arguments, expect=0):
        named = {"env": self.environment(), "capture_output": True, "text": True, "check": False}
        result = subprocess.run(self.command(*arguments), **named)
        self.assertEqual(result.returncode, expect, result.stdout + result.stderr)
        return result.stdout

    def apply_killed_at(self, line, *arguments):
        """Applies, and kills the process at once when it has written that line."""
        with subprocess.Popen(
            self.command("apply", *arguments), env=self.environment(), stdout=subprocess.PIPE, text=True
        ) as process:
            for written in process.stdout:
                if line in written:
                    process.send_signal(signal.SIGKILL)
                    break
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def described(self):
        """Everything of pool, clients, APIs and function policies, as AWS describes it."""
        cognito, rest, http = self.aws("cognito-idp"), self.aws("apigateway"), self.aws("apigatewayv2")
        pool = {"UserPoolId": self.pool}
        functions = [self.function(name)["FunctionArn"] for name in ("Authorizer", "PostConfirmation")]
        found = {
            "pool": cognito.describe_user_pool(**pool)["UserPool"],
            "mfa": cognito.get_user_pool_mfa_config(**pool),
            "client": cognito.describe_user_pool_client(**pool, ClientId=self.client_id)["UserPoolClient"],
            "methods": rest.get_resources(restApiId=self.rest, embed=["methods"])["items"],
            "authorizers": rest.get_authorizers(restApiId=self.rest)["items"],
            "deployments": [one["id"] for one in rest.get_deployments(restApiId=self.rest)["items"]],
            "stages": rest.get_stages(restApiId=self.rest)["item"],
            "routes": http.get_routes(ApiId=self.http)["Items"],
            "HTTP authorizers": http.get_authorizers(ApiId=self.http)["Items"],
            "HTTP stages": http.get_stages(ApiId=self.http)["Items"],
            "policies": [json.loads(self.aws("lambda").get_policy(FunctionName=one)["Policy"]) for one in functions],
        }
        return json.loads(json.dumps(without_volatile(found), default=str))

    @contextlib.contextmanager
    def traffic(self, token):
        """Requests with a valid token to every URL in turn, RATE a second: those that a cold start delays are sent late."""
        statuses, failed, stop = [], [], threading.Event()
        turns = itertools.count()

        def send(_worker):
            turn = next(turns)
            while not stop.wait(max(0, began + turn / RATE - time.monotonic())):
                sent = time.monotonic()
                url = self.urls[turn % len(self.urls)]
                status = call(url, token)
                statuses.append(status)
                if status != 200:
                    failed.append((url, status, time.monotonic() - sent))
                turn = next(turns)

        workers, began = 8, time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            running = [pool.submit(send, number) for number in range(workers)]
            try:
                yield
            finally:
                stop.set()
            for one in running:
                one.result()
        seconds = time.monotonic() - began
        print(f"\n{len(statuses)} requests in {seconds:.1f} s, {len(statuses) / seconds:.0f} a second", file=sys.stderr)
        self.assertGreater(len(statuses), 50)
        log = self.authorizer_log() if failed else ""
        # On a busy machine the emulator's table may answer later than the authorizer waits, which its log tells. That
        # is no failure of the adoption.
        self.assertEqual([one for one in failed if one[1] != 500], [], log)
        self.assertLessEqual(len(failed), log.count('"cause":"timeout"'), f"{failed}\n{log}")

    def authorizer_log(self):
        """The last lines of the authorizer's log about errors."""
        logs = self.aws("logs")
        groups = [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]]
        found = []
        for group in groups:
            if "Authorizer" in group:
                found += [one["message"] for one in logs.filter_log_events(logGroupName=group)["events"]]
        return "\n".join([one for one in found if "ERROR" in one or "unavailable" in one.lower()][-20:])

    def test_an_adoption_and_its_undo_under_load(self):
        self.assertEqual([call(url, None) for url in self.urls], [401] * 3)
        named = ("--user-pool", self.pool, "--stack", "gatehouse", "--trigger", "PostConfirmation")
        told = self.run_command("plan", *named)
        self.assertIn(f"this one is taken by {self.foreign['CustomMessage']}: it stays", told)
        # The rules for the scope and the schema with the APIs' routes, and the plan of that authorizer.
        self.deploy("Authorizer", {"POLICIES_DIR": str(self.folder / "policies")})
        self.run_command("plan", *named)
        before = self.described()
        plan = json.loads((self.folder / "plan.json").read_text())
        self.assertEqual([one for one in plan["needs"] if one["level"] == "stop"], [])
        asked = [one["id"] for one in plan["needs"] if one["level"] == "confirm"]
        confirmed = ("--yes", "--settle", "2", "--confirm", ",".join(asked))
        staying, leaving = self.sign_in(), self.sign_in()
        with self.traffic(staying):
            self.apply_killed_at("shop: GET /orders", *confirmed)
            self.run_command("apply", *confirmed)
            adopted = self.described()
            self.assertEqual([call(url, leaving) for url in self.urls], [200] * 3)
            # An ID token has no scope: the generated rule refuses it where the route demanded one.
            self.assertEqual([call(url, self.sign_in("IdToken")) for url in self.urls], [200, 200, 403])
            self.log_out(leaving)
            # MiniStack answers an authorizer's error of an HTTP API with 500.
            self.assertEqual(call(self.urls[0], leaving), 401)
            self.assertTrue({call(url, leaving) for url in self.urls[1:]} <= {401, 500})
            self.compare(before, adopted)
            self.run_command("undo", "--yes", "--settle", "2")
        self.assertEqual(self.described(), before)
        self.assertEqual([call(url, leaving) for url in self.urls], [200] * 3)

    def test_the_commands_of_the_page(self):
        """The blocks of docs/adopt.md in their order, as they are, with the pause cut short."""
        page = (OPERATE.parent / "docs/adopt.md").read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        script = "".join(one for one in blocks if "pip install" not in one).replace("--yes", "--yes --settle 0")
        self.assertEqual(script.count("gatehouse-adopt"), 6)
        command = self.folder / "gatehouse-adopt"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gatehouse_operate.adopt.cli "$@"\n')
        command.chmod(0o755)
        asked = ["bearer", "backend", f"scopes-{self.http}", f"deployment-{self.rest}"]
        environment = self.environment() | {"POOL": self.pool, "STACK": "gatehouse", "CONFIRMED": ",".join(asked)}
        environment |= {"PATH": f"{self.folder}:{os.environ['PATH']}", "AWS_DEFAULT_REGION": "us-east-1"}
        environment["AWS_ENDPOINT_URL"] = self.state["endpoint"]
        before = self.described()
        run = ["bash", "-euxo", "pipefail", "-c", script]
        named = {"cwd": self.folder, "capture_output": True, "text": True, "check": False}
        result = subprocess.run(run, env=environment, **named)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("Applied.", result.stdout)
        self.assertIn("Undone.", result.stdout)
        self.assertEqual(self.described(), before)

    def compare(self, before, adopted):
        """Only what the plan names has changed."""
        ours = self.function("PostConfirmation")["FunctionArn"]
        triggers = before["pool"]["LambdaConfig"] | {"PostConfirmation": ours}
        self.assertEqual(adopted["pool"], before["pool"] | {"LambdaConfig": triggers})
        self.assertEqual((adopted["mfa"], adopted["client"]), (before["mfa"], before["client"]))
        changed = {"authorizationType", "authorizerId", "AuthorizationType", "AuthorizerId", "AuthorizationScopes"}
        for name in ("methods", "routes"):
            self.assertEqual(without(adopted[name], changed), without(before[name], changed))
        kinds = [one["AuthorizationType"] for one in adopted["routes"]]
        self.assertEqual(kinds, ["CUSTOM", "CUSTOM"])
        kinds = [
            one["authorizationType"] for item in adopted["methods"] for one in item.get("resourceMethods", {}).values()
        ]
        self.assertEqual(sorted(kinds), ["CUSTOM", "CUSTOM", "NONE", "NONE"])
        self.assertEqual(without(adopted["stages"], {"deploymentId"}), without(before["stages"], {"deploymentId"}))
        (made,) = [one for one in adopted["authorizers"] if one["name"] == "gatehouse-adopt"]
        self.assertEqual(made["authorizerResultTtlInSeconds"], 0)


def call(url, token, verb="GET", body=None, headers=None):
    """The status of a response."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(verb, parts.path, body, authorization | (headers or {}))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def without_volatile(value):
    return without(value, VOLATILE)


def without(value, names):
    """The value without these members, at any depth."""
    match value:
        case dict():
            return {name: without(one, names) for name, one in value.items() if name not in names}
        case list():
            return [without(one, names) for one in value]
    return value


if __name__ == "__main__":
    unittest.main()
