"""The SAM templates of docs/existing-api.md, expanded by the pinned translator and checked by cfn-lint."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import stack
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

PAGE = stack.ROOT / "docs/existing-api.md"
CORE_OUTPUTS = stack.Parsed(stack.text("core.yaml")).template["Outputs"]
ARN = "arn:aws:lambda:us-east-1:123456789012:function:gatehouse-authorizer:live"
HEADER = {
    "REST API, `REQUEST`": "method.request.header.Authorization",
    "REST API, `TOKEN`": "method.request.header.Authorization",
    "HTTP API": ["$request.header.Authorization"],
    "WebSocket API": ["route.request.header.Authorization"],
}


def templates():
    """The `yaml` block of each section, expanded."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    found = {}
    for section in sections:
        for source in re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            name = section.partition("\n")[0]
            assert name not in found, name
            parameters = {"AuthorizerArn": ARN}
            found[name] = Translator(stack.MANAGED, Parser()).translate(stack.yaml_parse(source), parameters)
    return found


# Imports the core; the other sections have an API of their own.
CORE = "The core alone"


def of_type(template, kind):
    return [one["Properties"] for one in template["Resources"].values() if one["Type"] == kind]


class ExistingApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.every = templates()
        cls.templates = {name: template for name, template in cls.every.items() if name != CORE}

    def test_every_kind_of_api_has_a_template(self):
        self.assertEqual(set(self.templates), {*HEADER, "AppSync"})

    def test_what_is_imported_is_what_the_core_exports(self):
        found = set(re.findall(r"'Fn::ImportValue': '([\w-]+)'", str(self.every[CORE])))
        exported = {f"gatehouse-core-{name}" for name, each in CORE_OUTPUTS.items() if "Export" in each}
        self.assertEqual(found, {"gatehouse-core-AuthorizerArn", "gatehouse-core-LogoutFunctionArn"})
        self.assertLessEqual(found, exported)
        sources = [json.dumps(one["SourceArn"]) for one in of_type(self.every[CORE], "AWS::Lambda::Permission")]
        self.assertEqual([":${Api}/" in source for source in sources], [True, True])

    def test_the_permission_names_the_authorizers_of_this_api(self):
        for name, template in self.templates.items():
            permissions = of_type(template, "AWS::Lambda::Permission")
            of_authorizer = [one for one in permissions if one["FunctionName"] in (ARN, {"Ref": "AuthorizerArn"})]
            self.assertEqual(len(of_authorizer), 1, name)
            source = json.dumps(of_authorizer[0]["SourceArn"])
            if name == "AppSync":
                self.assertEqual(of_authorizer[0]["Principal"], "appsync.amazonaws.com")
                self.assertEqual(of_authorizer[0]["SourceArn"], {"Fn::GetAtt": ["Api", "Arn"]})
            else:
                self.assertEqual(of_authorizer[0]["Principal"], "apigateway.amazonaws.com")
                self.assertIn("/authorizers/", source, name)
                self.assertIn("Api", source, name)

    def test_no_decision_is_cached_and_the_header_is_the_identity_source(self):
        for name, template in self.templates.items():
            with self.subTest(name):
                if name == "AppSync":
                    (api,) = of_type(template, "AWS::AppSync::GraphQLApi")
                    self.assertEqual(api["LambdaAuthorizerConfig"]["AuthorizerResultTtlInSeconds"], 0)
                    continue
                if name == "WebSocket API":
                    (made,) = of_type(template, "AWS::ApiGatewayV2::Authorizer")
                    self.assertEqual(made["IdentitySource"], HEADER[name])
                    continue
                kind = "AWS::ApiGatewayV2::Api" if name == "HTTP API" else "AWS::ApiGateway::RestApi"
                (api,) = of_type(template, kind)
                body = api["Body"]
                schemes = body.get("securityDefinitions") or body["components"]["securitySchemes"]
                made = schemes["Gatehouse"]["x-amazon-apigateway-authorizer"]
                self.assertEqual(made["authorizerResultTtlInSeconds"], 0)
                self.assertEqual(made["type"], "token" if "TOKEN" in name else "request")
                if name == "HTTP API":
                    self.assertEqual((made["authorizerPayloadFormatVersion"], made.get("enableSimpleResponses", False)), ("2.0", False))
                if made["type"] == "token":
                    self.assertIn("identityValidationExpression", made)
                    self.assertEqual(schemes["Gatehouse"]["name"], "Authorization")
                else:
                    self.assertEqual(made["identitySource"], HEADER[name])
                self.assertEqual(body["paths"]["/orders"]["get"]["security"], [{"Gatehouse": []}])

    def test_refusals_of_a_rest_api_have_cors_headers(self):
        for name in ("REST API, `REQUEST`", "REST API, `TOKEN`"):
            (api,) = of_type(self.templates[name], "AWS::ApiGateway::RestApi")
            responses = api["Body"]["x-amazon-apigateway-gateway-responses"]
            self.assertEqual(set(responses), {"UNAUTHORIZED", "ACCESS_DENIED", "DEFAULT_5XX"})
            for response in responses.values():
                header = "gatewayresponse.header.Access-Control-Allow-Origin"
                self.assertEqual(response["responseParameters"][header], "'https://app.example.com'")

    def test_cfn_lint_has_no_finding(self):
        linter = pathlib.Path(sys.executable).with_name("cfn-lint")
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for number, template in enumerate(self.every.values()):
                file = pathlib.Path(folder, f"{number}.json")
                file.write_text(json.dumps(template))
                files.append(str(file))
            # W2001: the translator has put the parameter's value into the API's definition.
            command = [linter, "--regions", "us-east-1", "--ignore-checks", "W2001", "--", *files]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
