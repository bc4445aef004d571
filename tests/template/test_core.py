"""Tests of core.yaml as AWS receives it: the core alone, for a pool and an API that exist."""

import json
import unittest

import checks
import parameters
import stack

PARSED, WHOLE = stack.Parsed(stack.text("core.yaml")), stack.Parsed(stack.text())
REQUIRED = set(parameters.CORE)
EXPORTED = {
    "AuthorizerArn",
    "AuthorizerInvokeRoleArn",
    "LogoutFunctionArn",
    "RevocationTableArn",
    "RevocationTableName",
    "SecurityTopicArn",
}
# Of fewer functions than in the whole.
SMALLER = {"FailuresAlarm", "FailuresQuery", "ThrottlesAlarm"}


class AsItIs(unittest.TestCase):
    maxDiff = None

    def test_every_set_of_parameters_deploys(self):
        stacks = {name: PARSED.stack(given) for name, given in parameters.CORE_SETS.items()}
        for name, made in stacks.items():
            with self.subTest(name):
                self.assertEqual([], list(checks.values(PARSED, parameters.CORE_SETS[name])))
                self.assertEqual([], [line for check in checks.OF_THE_CORE for line in check(made)])
        self.assertEqual([], list(checks.never_made(PARSED, stacks.values())))

    def test_the_template_itself(self):
        self.assertEqual([], list(checks.empty_answers(PARSED, REQUIRED)))
        self.assertEqual([], [line for check in (checks.without_layers, checks.unused) for line in check(PARSED)])

    def test_it_makes_neither_a_pool_nor_an_api(self):
        for name, resource in PARSED.stack(parameters.CORE_SETS["everything"]).resources.items():
            self.assertFalse(resource["Type"].startswith(("AWS::Cognito::", "AWS::ApiGateway")), name)

    def test_linters_see_every_set_at_once(self):
        once = PARSED.expand(parameters.CORE)
        for name, given in parameters.CORE_SETS.items():
            self.assertEqual(once, PARSED.expand(given), name)

    def test_its_exports_are_what_the_stack_of_an_api_imports(self):
        for name, given in parameters.CORE_SETS.items():
            made = PARSED.stack(given)
            outputs = made.outputs.items()
            exports = {key: made.plain(each["Export"]["Name"]) for key, each in outputs if "Export" in each}
            self.assertEqual(exports, {key: f"gatehouse-{key}" for key in EXPORTED}, name)

    def test_its_resources_are_those_of_the_whole(self):
        """Besides its own pool and clients: the two templates do not differ in what they do."""
        of_the_pool = parameters.CORE["UserPoolId"]
        arn = f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{of_the_pool}"
        texts = {"<UserPool.Arn>": arn, "<UserPool>": of_the_pool, "<AppClient>": parameters.CORE["AppClientIds"]}
        compared = 0
        for name in ("core", "protected", "cookies", "browser sessions", "API keys", "rules", "security mail", "alias", "local stack"):
            given = parameters.CORE_SETS[name]
            core = PARSED.stack(given)
            shared = {key: value for key, value in given.items() if key in WHOLE.parameters and key not in SHIFTED}
            whole = WHOLE.stack(shared)
            for resource in core.resources.keys() & whole.resources.keys() - SMALLER:
                ours, theirs = (
                    json.dumps(made.plain(made.resources[resource]), sort_keys=True) for made in (core, whole)
                )
                for old, new in texts.items():
                    theirs = theirs.replace(old, new)
                self.assertEqual(ours, theirs, (name, resource))
                compared += 1
        self.assertGreater(compared, 200)
        core = PARSED.stack(parameters.CORE_SETS["everything"])
        self.assertEqual(core.resources.keys() - WHOLE.template["Resources"].keys() - ROLES, {"AuthorizerInvokeRole"})


# Parameters that belong to the pool in the one template and to the core in the other.
SHIFTED = {"UserPoolId", "AppClientIds", "AppClientSecretArn"}
# SAM's own.
ROLES = {f"{name}FunctionRole" for name in ("Authorizer", "Logout", "LogoutRetry")}


class Planted(unittest.TestCase):
    def found(self, check, line, *changes, given="core"):
        source = stack.text("core.yaml")
        for old, new in changes:
            self.assertIn(old, source, "the template no longer contains this text: plant the fault elsewhere")
            source = source.replace(old, new)
        self.assertIn(line, list(check(stack.Parsed(source).stack(parameters.CORE_SETS[given]))))

    def test_reference_to_a_resource_of_the_whole(self):
        self.found(
            checks.absent_references,
            "resource LogoutFunction: Ref of AppClient, which is absent",
            ("APP_CLIENT_IDS: !Ref AppClientIds", "APP_CLIENT_IDS: !Ref AppClient"),
        )

    def test_function_that_no_stack_can_import(self):
        export = '    Export: { Name: !Sub "${AWS::StackName}-LogoutFunctionArn" }\n'
        self.found(checks.unreachable, "LogoutFunction: nothing may invoke it", (export, ""))

    def test_role_that_invokes_the_wrong_one(self):
        chosen = "Resource: !If [HasAuthorizerAlias, !Ref AuthorizerAlias, !GetAtt AuthorizerFunction.Arn]"
        for wrong, place in (
            ("Resource: !GetAtt AuthorizerFunction.Arn", "<AuthorizerFunction.Arn>"),
            ('Resource: "*"', "*"),
        ):
            line = f"AuthorizerInvokeRole: lambda:InvokeFunction on {place}"
            self.found(checks.imported_alias, line, (chosen, wrong), given="alias")

    def test_name_of_every_copy(self):
        same = "a second stack has the same name"
        for line, *change in (
            (f"output AuthorizerArn: {same}, AuthorizerArn", '!Sub "${AWS::StackName}-AuthorizerArn"', "AuthorizerArn"),
            (f"SecurityTopic: {same}, security", "DisplayName: Gatehouse security messages", "TopicName: security"),
            (f"RefusalsQuery: {same}, refusals", '!Sub "${AWS::StackName}/refusals by reason"', "refusals"),
        ):
            self.found(checks.copies, line, change)

    def test_secret_that_may_not_be_read(self):
        self.found(
            checks.secrets,
            f"LogoutFunction may not read {parameters.SECRET.format('client')}",
            ("Action: secretsmanager:GetSecretValue", "Action: secretsmanager:DescribeSecret"),
            given="client with a secret",
        )


class Refused(unittest.TestCase):
    def test_gradual_deployment(self):
        broken = list(checks.rules(PARSED.stack(parameters.CORE | parameters.GRADUAL)))
        self.assertEqual([line.split(":")[0] for line in broken], ["rule NothingIsDeployedGradually"])

    def test_pools_clients_and_lifetimes_that_do_not_exist(self):
        for name, right, wrong in (
            (
                "UserPoolId",
                ["us-east-1_AbC123xyz", "us-gov-west-1_1"],
                ["", "AbC123xyz", "us-east-1", "us-east-1_a,us-east-1_b", "arn:aws:x"],
            ),
            ("AppClientIds", ["1example", "1example,2example"], ["", ",", "1example,", "1example, 2example", "1 2"]),
            ("RefreshTokenSeconds", ["3600", "2592000", "315360000"], ["0", "3599", "315360001"]),
            (
                "AppClientSecretArn",
                ["", parameters.SECRET.format("a")],
                ["a", "arn:aws:secretsmanager:us-east-1:1:secret:a"],
            ),
        ):
            parameter = PARSED.parameters[name]
            for value in right:
                self.assertEqual([], list(checks.refused(name, parameter, value)))
            for value in wrong:
                self.assertTrue(list(checks.refused(name, parameter, value)), value)


if __name__ == "__main__":
    unittest.main()
