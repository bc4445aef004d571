"""Runs the commands of docs/existing-api.md, as they are on the page, against APIs in the local stack."""

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import threading
import unittest
import urllib.error
import urllib.request
import zipfile

import boto3

import client

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/existing-api.md"
CLI = ROOT / ".tools/awscli/bin"
COMMON = "What holds for every kind"
BACKEND = """
import json
def handler(event, _):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"].get("authorizer"))}
"""


def commands(section):
    """The `sh` blocks of a section of the page."""
    text = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (found,) = [one for one in text if one.partition("\n")[0] == section]
    return re.findall(r"^```sh\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


class Page(unittest.TestCase):
    def test_every_kind_of_api_has_commands(self):
        found = {section: len(commands(section)) for section in (COMMON, *KINDS)}
        self.assertEqual(found, {COMMON: 1} | KINDS)

    def test_the_page_of_the_context_has_every_claim_that_can_be_chosen(self):
        rows = (ROOT / "docs/configuration.md").read_text().splitlines()
        (row,) = [row for row in rows if row.startswith("| `CONTEXT_CLAIMS` |") and "](#" not in row]
        default, meaning = row.split(" | ")[1:3]
        chosen = {"sub", *default.strip("`").split(","), *re.findall(r"`(\w+)`", meaning)} - {"jti", "iat", "email"}
        self.assertEqual(documented_claims(), chosen)


def documented_claims():
    """Gatehouse's own names in docs/context.md."""
    table = (ROOT / "docs/context.md").read_text().partition("## Claim by claim")[2].partition("\n### ")[0]
    return set(re.findall(r"^\| [^|]+ \| `(\w+)` \|", table, re.MULTILINE))


# The sections, and how many blocks of commands each has.
KINDS = {"REST API, `REQUEST`": 1, "REST API, `TOKEN`": 1, "HTTP API": 2, "WebSocket API": 1, "AppSync": 1}


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    """Each API exists, with another authorizer or none, before the page's commands change it."""

    @classmethod
    def setUpClass(cls):
        cls.state = json.loads(os.environ["GATEHOUSE_STACK"])
        cls.backend = cls.make_backend()
        cls.person = client.Person(cls.state, lambda _: None)
        cls.person.sign_up()

    @classmethod
    def aws(cls, service):
        credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        session = boto3.Session(region_name="us-east-1", **credentials)
        return session.client(service, endpoint_url=cls.state["endpoint"])

    @classmethod
    def make_backend(cls):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as made:
            made.writestr("index.py", BACKEND)
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = cls.aws("iam").create_role(RoleName="existing-backend", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
        names = {"FunctionName": "existing-backend", "Handler": "index.handler", "Runtime": "python3.13", "Role": role}
        return cls.aws("lambda").create_function(**names, Code={"ZipFile": code.getvalue()})["FunctionArn"]

    def setUp(self):
        self.token = self.person.log_in().access

    def log_out(self):
        self.person.log_out(self.token, {}, 200)

    def run_page(self, section, api, block=0):
        """Runs the common block of the page and one of the section's, with the AWS CLI."""
        environment = {
            "PATH": f"{CLI}:{os.environ['PATH']}",
            "HOME": os.environ["TMPDIR"],
            "AWS_ENDPOINT_URL": self.state["endpoint"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # The first version of the CLI does not read AWS_REGION, which the page exports.
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "API": api,
        }
        script = commands(COMMON)[0] + commands(section)[block]
        command = ["bash", "-euxo", "pipefail", "-c", script]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    @contextlib.contextmanager
    def traffic(self, url):
        """Requests with a valid token, one after the other, all of which must get 200."""
        statuses, stop = [], threading.Event()

        def send():
            while not stop.is_set():
                statuses.append(self.call(url, self.token)[0])

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        self.assertGreater(len(statuses), 5)
        self.assertEqual(set(statuses), {200}, statuses)

    def call(self, url, token=None, body=None):
        """The status, the parsed body and the headers of a response."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response), response.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null"), error.headers

    def invocation(self):
        return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{self.backend}/invocations"

    def make_rest_api(self):
        """A REST API whose method has an authorizer of the type COGNITO_USER_POOLS."""
        gateway = self.aws("apigateway")
        api = {"restApiId": gateway.create_rest_api(name="orders")["id"]}
        root = gateway.get_resources(**api)["items"][0]["id"]
        pool = f"arn:aws:cognito-idp:us-east-1:{self.state['account_id']}:userpool/{self.state['user_pool_id']}"
        cognito = gateway.create_authorizer(
            **api,
            name="cognito",
            type="COGNITO_USER_POOLS",
            providerARNs=[pool],
            identitySource="method.request.header.Authorization",
        )
        resource = gateway.create_resource(**api, parentId=root, pathPart="orders")["id"]
        method = api | {"resourceId": resource, "httpMethod": "GET"}
        gateway.put_method(**method, authorizationType="COGNITO_USER_POOLS", authorizerId=cognito["id"])
        gateway.put_integration(**method, type="AWS_PROXY", integrationHttpMethod="POST", uri=self.invocation())
        gateway.create_deployment(**api, stageName="prod")
        return api["restApiId"]

    def expect_permission(self, api, service="execute-api", suffix="/authorizers/"):
        """The function's policy names this API alone."""
        functions = self.aws("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        authorizer = next(name for name in names if name.startswith("gatehouse-AuthorizerFunction-"))
        policy = json.loads(functions.get_policy(FunctionName=authorizer)["Policy"])
        sources = [json.dumps(one.get("Condition")) for one in policy["Statement"]]
        self.assertTrue(any(f":{service}:" in one and f"{api}{suffix}" in one for one in sources), sources)

    def expect_context(self, context, principal):
        """What the backend reads, as docs/context.md has it."""
        claims = client.claims(self.token)
        self.assertIn(principal, (None, claims["sub"]))
        self.assertLessEqual(set(context), documented_claims())
        self.assertTrue(all(isinstance(value, str) for value in context.values()), context)
        names = {"sub": "sub", "username": "username", "client_id": "client_id", "scope": "scope", "session": "origin_jti"}
        names |= {"token_use": "token_use", "token_id": "jti", "auth_time": "auth_time"}
        for name, claim in names.items():
            self.assertEqual(context[name], str(claims[claim]), name)
        self.assertEqual(json.loads(context["groups"]), claims.get("cognito:groups", []))
        self.assertEqual(context["issuer"], claims["iss"].rpartition("/")[2])

    def play_rest(self, section):
        api = self.make_rest_api()
        url = f"{self.state['endpoint']}/restapis/{api}/prod/_user_request_/orders"
        self.assertEqual(self.call(url)[0], 401)
        with self.traffic(url):
            self.run_page(section, api)
        self.expect_permission(api)
        (made,) = [one for one in self.aws("apigateway").get_authorizers(restApiId=api)["items"] if one["name"] != "cognito"]
        self.assertEqual(made["authorizerResultTtlInSeconds"], 0)
        status, context, _ = self.call(url, self.token)
        self.assertEqual(status, 200)
        self.expect_context(context, context.pop("principalId"))
        for token in (None, client.forged(self.token)):
            status, _, headers = self.call(url, token)
            self.assertEqual(status, 401)
            self.assertEqual(headers["Access-Control-Allow-Origin"], "https://app.example.com")
        self.log_out()
        status, _, headers = self.call(url, self.token)
        self.assertEqual(status, 401)
        self.assertEqual(headers["WWW-Authenticate"], "Bearer")
        self.assertEqual(headers["Access-Control-Allow-Origin"], "https://app.example.com")

    def test_rest_request(self):
        self.play_rest("REST API, `REQUEST`")

    def test_rest_token(self):
        self.play_rest("REST API, `TOKEN`")

    def make_http_api(self):
        """An HTTP API whose route has a JWT authorizer."""
        gateway = self.aws("apigatewayv2")
        api = {"ApiId": gateway.create_api(Name="orders", ProtocolType="HTTP")["ApiId"]}
        jwt = gateway.create_authorizer(
            **api,
            Name="jwt",
            AuthorizerType="JWT",
            IdentitySource=["$request.header.Authorization"],
            JwtConfiguration={
                "Audience": [self.state["client_id"]],
                "Issuer": f"https://cognito-idp.us-east-1.amazonaws.com/{self.state['user_pool_id']}",
            },
        )
        integration = gateway.create_integration(
            **api, IntegrationType="AWS_PROXY", IntegrationUri=self.backend, PayloadFormatVersion="2.0"
        )
        gateway.create_route(
            **api,
            RouteKey="GET /orders",
            Target=f"integrations/{integration['IntegrationId']}",
            AuthorizationType="JWT",
            AuthorizerId=jwt["AuthorizerId"],
        )
        gateway.create_stage(**api, StageName="prod", AutoDeploy=True)
        return api["ApiId"]

    def play_http(self, block):
        api = self.make_http_api()
        url = f"{self.state['endpoint']}/_aws/execute-api/{api}/prod/orders"
        self.assertEqual(self.call(url)[0], 401)
        with self.traffic(url):
            self.run_page("HTTP API", api, block)
        self.expect_permission(api)
        (made,) = [one for one in self.aws("apigatewayv2").get_authorizers(ApiId=api)["Items"] if one["Name"] != "jwt"]
        self.assertEqual(made["AuthorizerResultTtlInSeconds"], 0)
        self.assertEqual(made.get("EnableSimpleResponses", False), block == 1)
        status, context, _ = self.call(url, self.token)
        self.assertEqual(status, 200)
        self.assertEqual(set(context), {"lambda"})
        self.expect_context(context["lambda"], context["lambda"].pop("principalId", None))
        self.assertEqual(self.call(url)[0], 401)
        # MiniStack answers an authorizer's error with 500 here.
        self.assertIn(self.call(url, client.forged(self.token))[0], (401, 500))
        self.log_out()
        self.assertIn(self.call(url, self.token)[0], (401, 500))

    def test_http(self):
        self.play_http(0)

    def test_http_with_simple_responses(self):
        """The function gets HTTP_API_RESPONSE as the template's parameter HttpApiResponse would set it."""
        functions = self.aws("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        function = {"FunctionName": next(name for name in names if name.startswith("gatehouse-AuthorizerFunction-"))}
        variables = functions.get_function_configuration(**function)["Environment"]["Variables"]
        simple = variables | {"HTTP_API_RESPONSE": "simple"}
        self.addCleanup(functions.update_function_configuration, **function, Environment={"Variables": variables})
        functions.update_function_configuration(**function, Environment={"Variables": simple})
        self.play_http(1)

    def test_web_socket(self):
        gateway = self.aws("apigatewayv2")
        names = {"Name": "orders", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}
        api = {"ApiId": gateway.create_api(**names)["ApiId"]}
        integration = gateway.create_integration(**api, IntegrationType="AWS_PROXY", IntegrationUri=self.invocation())
        gateway.create_route(**api, RouteKey="$connect", Target=f"integrations/{integration['IntegrationId']}")
        gateway.create_stage(**api, StageName="prod", AutoDeploy=False)
        self.run_page("WebSocket API", api["ApiId"])
        self.expect_permission(api["ApiId"])
        address = self.state["endpoint"].removeprefix("http://") + f"/_aws/execute-api/{api['ApiId']}/prod"
        self.assertEqual(self.handshake(address, self.token), 101)
        self.assertEqual(self.handshake(address, None), 401)
        self.log_out()
        # MiniStack answers an authorizer's error with 500 here.
        self.assertIn(self.handshake(address, self.token), (401, 500))

    def handshake(self, address, token):
        connection = client.WebSocket(address, token)
        connection.socket.close()
        return connection.status

    def test_app_sync(self):
        graphql = self.aws("appsync")
        pool = {"userPoolId": self.state["user_pool_id"], "awsRegion": "us-east-1", "defaultAction": "ALLOW"}
        made = graphql.create_graphql_api(name="orders", authenticationType="AMAZON_COGNITO_USER_POOLS", userPoolConfig=pool)
        api = made["graphqlApi"]["apiId"]
        graphql.start_schema_creation(apiId=api, definition=b"type Query { me: String }")
        self.run_page("AppSync", api)
        self.expect_permission(api, "appsync", "")
        changed = graphql.get_graphql_api(apiId=api)["graphqlApi"]
        self.assertEqual((changed["name"], changed["authenticationType"]), ("orders", "AWS_LAMBDA"))
        self.assertEqual(changed["lambdaAuthorizerConfig"]["authorizerResultTtlInSeconds"], 0)
        url = f"{self.state['endpoint']}/v1/apis/{api}/graphql"
        query = json.dumps({"query": "{ me }"}).encode()
        status, answer, _ = self.call(url, self.token, query)
        self.assertEqual((status, answer), (200, {"data": {"me": None}}))
        self.assertEqual(self.call(url, None, query)[0], 401)
        self.log_out()
        self.assertEqual(self.call(url, self.token, query)[0], 401)


if __name__ == "__main__":
    unittest.main()
