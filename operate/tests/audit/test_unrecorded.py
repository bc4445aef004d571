"""Cases that the recorded set-ups do not have: other accounts, regions and partitions, wildcards, shared roles."""

import json
import os
import pathlib
import tempfile
import unittest
import unittest.mock

from audit.support import audit, cli, lines, run
from gatehouse_operate.audit import source
from gatehouse_operate.audit.calls import partition_of
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.checks import apis, identity_pools, pool
from gatehouse_operate.audit.facts import Api, Facts, Function, IdentityPool, Pool, Role, System
from gatehouse_operate.audit.read import Reader, Targets, handed_out

HERE, OTHER = "123456789012", "999999999999"
POOL = f"arn:aws:cognito-idp:us-east-1:{HERE}:userpool/us-east-1_X"


def hits(check, subject, facts=None):
    """What a check yields for a subject."""
    return list(CHECKS[check].run(subject, facts or Facts("us-east-1")))


def permission(*sources, service="apigateway.amazonaws.com"):
    """A function's policy with a permission for each source ARN; one without a condition for an empty one."""
    return {
        "Statement": [
            {"Sid": f"s{number}", "Effect": "Allow", "Principal": {"Service": service}}
            | ({"Condition": {"ArnLike": {"AWS:SourceArn": arn}}} if arn else {})
            for number, arn in enumerate(sources)
        ]
    }


class Answers:
    """A source with these answers by the call's name and the parameter that tells them apart."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def fetch(self, call, parameters):
        self.asked.append((call.name, dict(parameters)))
        found = self.answers.get((call.name, next(iter(parameters.values()), "")), source.Absent("no answer"))
        if isinstance(found, Exception):
            raise found
        return found


def uri(arn):
    return f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"


def set_up(arn, functions, user_pool=True):
    """The facts about an API whose authorizer is this function, beside a user pool that says whose account it is."""
    answers = {
        ("apigateway.get-rest-api", "api1"): {"id": "api1"},
        ("apigateway.get-resources", "api1"): {"items": []},
        ("apigateway.get-authorizers", "api1"): {"items": [{"id": "a1", "name": "central", "authorizerUri": uri(arn)}]},
        ("cognito-idp.describe-user-pool", "us-east-1_X"): {"UserPool": {"Id": "us-east-1_X", "Arn": POOL}},
    }
    answers |= {("lambda.get-function-configuration", name): answer for name, answer in functions.items()}
    answers |= {("lambda.get-policy", name): {"Policy": json.dumps(permission())} for name in functions}
    asked = Answers(answers)
    pools = ("us-east-1_X",) if user_pool else ()
    facts = Reader(asked, "us-east-1").read(Targets(pools=pools, rest_apis=("api1",)))
    return facts, asked.asked


class OtherAccounts(unittest.TestCase):
    """A function of another account is never judged by the own account's namesake."""

    ARN = f"arn:aws:lambda:us-east-1:{OTHER}:function:central"

    def findings(self, facts):
        return {check for check in CHECKS if check.startswith("api-") for api in facts.apis if hits(check, api, facts)}

    def test_a_denied_function_of_another_account_is_not_checked(self):
        for user_pool in (True, False):
            for arn in (self.ARN, self.ARN + ":live"):
                denied = {self.ARN: source.Unread("denied", "AccessDeniedException")}
                facts, asked = set_up(arn, denied, user_pool)
                names = [given["FunctionName"] for call, given in asked if call == "lambda.get-function-configuration"]
                self.assertEqual(names, [self.ARN])
                self.assertNotIn("api-authorizer-missing", self.findings(facts))
                self.assertIn("denied", [one.kind for one in facts.problems])

    def test_the_own_accounts_namesake_is_not_judged(self):
        own = {"central": {"FunctionName": "central", "FunctionArn": self.ARN.replace(OTHER, HERE)}}
        own |= {self.ARN: source.Unread("denied", "AccessDeniedException")}
        facts, _ = set_up(self.ARN, own)
        self.assertNotIn("api-authorizer-forbidden", self.findings(facts))

    def test_a_readable_function_of_another_account_is_judged_and_named_by_its_arn(self):
        facts, _ = set_up(self.ARN + ":live", {self.ARN: {"FunctionName": "central", "FunctionArn": self.ARN}})
        (hit,) = hits("api-authorizer-forbidden", facts.apis[0], facts)
        self.assertEqual(hit.values["function"], self.ARN + ":live")

    def test_a_function_of_another_region_is_not_checked(self):
        arn = f"arn:aws:lambda:eu-west-1:{HERE}:function:central"
        facts, asked = set_up(arn, {})
        self.assertNotIn("lambda.get-function-configuration", [call for call, _ in asked])
        self.assertNotIn("api-authorizer-missing", self.findings(facts))
        self.assertIn("it is in eu-west-1", [one.reason for one in facts.problems])

    def test_a_missing_function_of_the_own_account_is_a_finding(self):
        for user_pool in (True, False):
            facts, _ = set_up(self.ARN.replace(OTHER, HERE), {}, user_pool)
            self.assertIn("api-authorizer-missing", self.findings(facts))

    def test_a_folder_finds_functions_by_name_but_not_those_of_another_account(self):
        for account, expected in ((HERE, 0), (OTHER, 1)):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                files = {
                    "apigateway.get-rest-api.api1": {"id": "api1"},
                    "apigateway.get-resources.api1": {"items": []},
                    "apigateway.get-stages.api1": {"item": []},
                    "apigateway.get-gateway-responses.api1": {"items": []},
                    "apigateway.get-authorizers.api1": {"items": [{"id": "a1", "authorizerUri": uri(self.ARN)}]},
                    "lambda.get-function-configuration.central": {
                        "FunctionName": "central",
                        "FunctionArn": self.ARN.replace(OTHER, HERE if account == OTHER else OTHER),
                    },
                    "lambda.get-policy.central": {"Policy": json.dumps(permission(""))},
                }
                for file, answer in files.items():
                    (folder / f"{file}.json").write_text(json.dumps(answer))
                _, report = audit(folder, "--rest-api", "api1", "--region", "us-east-1")
                found = [one["found"] for one in report["findings"] if "function central" in one["label"]]
                self.assertEqual(len([one for one in found if "not checked" in one]), expected, found)
                is_judged = any("api-authorizer-any-api" in line for line in lines(report))
                self.assertEqual(is_judged, not expected)

    def test_a_role_of_another_account_is_not_checked(self):
        answers = {("iam.get-role", "guests"): {"Role": {"Arn": f"arn:aws:iam::{HERE}:role/guests"}}}
        reader = Reader(Answers(answers), "us-east-1")
        reader.facts.account = HERE
        self.assertIsNone(reader._role(f"arn:aws:iam::{OTHER}:role/guests", "unauthenticated", ()).detail)
        self.assertEqual([one.kind for one in reader.facts.problems], ["failed"])
        self.assertTrue(reader._role(f"arn:aws:iam::{HERE}:role/guests", "unauthenticated", ()).detail)
        self.assertEqual(reader._role(f"arn:aws:iam::{HERE}:role/none", "unauthenticated", ()).detail, {})

    def test_a_namesake_of_gatehouses_authorizer_is_foreign(self):
        api = Api("api1", "rest", "us-east-1", {"id": "api1"})
        api.authorizers = [{"id": "a1", "name": "x", "authorizerUri": uri(self.ARN + ":live")}]
        api.methods = [{"path": "/", "verb": "GET", "authorizationType": "CUSTOM", "authorizerId": "a1"}]
        for known, expected in (
            (self.ARN, 0),
            (self.ARN + ":live", 0),
            ("central", 0),
            (self.ARN.replace(OTHER, HERE), 1),
            (self.ARN.replace("us-east-1", "eu-west-1"), 1),
        ):
            facts = Facts("us-east-1", authorizers=(known,))
            self.assertEqual(len(hits("api-foreign-authorizer", api, facts)), expected, known)

    def test_a_namesake_of_a_function_that_checks_requests_itself_is_not_it(self):
        name, stack = "g-LogoutFunction", {"AuthorizerArn": f"arn:aws:lambda:us-east-1:{HERE}:function:g-A:live"}
        system = System("g", "us-east-1", {}, stack, {"LogoutFunction": {"PhysicalResourceId": name}})
        for account, expected in ((HERE, 0), (OTHER, 1)):
            integration = {"type": "AWS_PROXY", "uri": uri(f"arn:aws:lambda:us-east-1:{account}:function:{name}")}
            api = Api("api1", "rest", "us-east-1", {"id": "api1"})
            api.methods = [{"path": "/auth/logout", "verb": "POST", "methodIntegration": integration}]
            facts = Facts("us-east-1", systems=[system])
            self.assertEqual(len(hits("api-open-method", api, facts)), expected, account)


class Sockets(unittest.TestCase):
    def test_a_websocket_api_without_connect_is_open(self):
        for keys, expected in (
            (["$default", "sendMessage"], 1),
            (["$disconnect"], 1),
            (["$connect", "$default"], 1),
            ([], 0),
        ):
            api = Api("ws1", "websocket", "us-east-1", {"ApiId": "ws1"})
            api.methods = [{"RouteKey": key, "RouteId": key} for key in keys]
            found = hits("api-open-route", api)
            self.assertEqual(len(found), expected, keys)
            self.assertEqual({hit.resource for hit in found}, {"ws1/$connect"} if expected else set())
            if "$connect" not in keys and found:
                self.assertIn("create-route --api-id {api} --route-key '$connect'", found[0].mend)

    def test_a_websocket_api_that_authorizes_connections_is_not(self):
        api = Api("ws1", "websocket", "us-east-1", {"ApiId": "ws1"})
        api.methods = [{"RouteKey": "$connect", "AuthorizationType": "CUSTOM"}, {"RouteKey": "$default"}]
        self.assertEqual(hits("api-open-route", api), [])

    def test_unread_routes_are_not_taken_for_missing_ones(self):
        self.assertEqual(hits("api-open-route", Api("ws1", "websocket", "us-east-1", {"ApiId": "ws1"})), [])


class Limits(unittest.TestCase):
    def test_which_rates_are_limits(self):
        for value, is_limit in (
            (-1, False),
            (-1.0, False),
            (0, True),
            (0.5, True),
            (9999, True),
            (10000, False),
            (None, False),
        ):
            for kind, key, stage in (
                ("rest", "throttlingRateLimit", lambda one: {"stageName": "p", "methodSettings": {"*/*": one}}),
                ("http", "ThrottlingRateLimit", lambda one: {"StageName": "p", "DefaultRouteSettings": one}),
            ):
                api = Api("a", kind, "us-east-1", {"id": "a"}, stages=[stage({} if value is None else {key: value})])
                self.assertEqual(hits("api-no-throttle", api) == [], is_limit, (kind, value))


class Stages(unittest.TestCase):
    def test_the_command_names_no_stage_that_may_be_the_good_one(self):
        for kind, names, expected in (
            ("rest", ["dev", "prod"], {}),
            ("rest", ["Stage", "prod"], {"stage": "Stage"}),
            ("http", ["$default", "Stage"], {}),
        ):
            api = Api("a", kind, "us-east-1", {"id": "a"}, stages=[{"stageName": name} for name in names])
            (hit,) = hits("api-second-stage", api)
            self.assertEqual(hit.values, expected)


class Shared(unittest.TestCase):
    """A role of guests and users is judged as both."""

    ARN = f"arn:aws:iam::{HERE}:role/both"

    def test_each_kind_of_a_role_is_kept(self):
        rule = {"Claim": "custom:role", "RoleARN": self.ARN}
        roles = {
            "Roles": {"authenticated": self.ARN, "unauthenticated": self.ARN},
            "RoleMappings": {"p": {"RulesConfiguration": {"Rules": [rule, rule | {"Claim": "cognito:groups"}]}}},
        }
        expected = [
            ("authenticated", self.ARN, ()),
            ("mapped", self.ARN, ("cognito:groups", "custom:role")),
            ("unauthenticated", self.ARN, ()),
        ]
        self.assertEqual(sorted(handed_out(roles)), expected)

    def test_a_guests_permission_on_everything_is_found_and_each_fault_once(self):
        trust = {"Statement": {"Effect": "Allow", "Principal": {"Federated": identity_pools.ISSUER}}}
        policies = {"p": {"Statement": {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}}}
        wide = {"w": {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}}
        kinds = ("authenticated", "unauthenticated", "mapped")
        for order in (kinds, kinds[::-1]):
            subject = IdentityPool("p", "us-east-1", {"AllowUnauthenticatedIdentities": True})
            detail = {"AssumeRolePolicyDocument": trust}
            subject.known_roles = [Role(self.ARN, kind, detail, policies | wide) for kind in order]
            found = hits("identity-guest-role", subject)
            self.assertEqual([hit.part for hit in found], ["p/0", "w/0"])
            for check in ("identity-user-role", "identity-role-trusts-any-pool", "identity-role-trusts-guests"):
                self.assertEqual(len(hits(check, subject)), 1, check)
            subject.known_roles = [Role(self.ARN, kind, {}, None) for kind in order]
            (hit,) = hits("identity-role-missing", subject)
            for kind in kinds:
                self.assertIn(kind, hit.found)


class Wildcards(unittest.TestCase):
    def test_patterns_of_arns(self):
        for pattern, expected in (
            (POOL, True),
            ("*", True),
            (POOL.replace("us-east-1:", "*:"), True),
            (POOL.replace(HERE, "*"), True),
            (POOL.replace(HERE, "12345678901?"), True),
            (POOL.replace("aws", "*", 1), True),
            (POOL[:-1] + "*", True),
            (POOL[:-1] + "?", True),
            (f"arn:aws:cognito-idp:us-east-1:{HERE}:*", True),
            ("arn:aws:cognito-idp:*", True),
            (POOL[:-1] + "Y", False),
            (POOL + "?", False),
            # A wildcard ends with its part.
            (f"arn:aws:*:{HERE}:userpool/us-east-1_X", False),
            (POOL.replace("us-east-1_X", "us-east-1[_]X"), False),
            (POOL.replace("-", ".", 1), False),
        ):
            self.assertEqual(pool.matches(POOL, pattern), expected, pattern)

    def test_a_pattern_of_many_wildcards_takes_no_time(self):
        self.assertFalse(pool.like("a" * 500 + "b", "*a" * 100))
        self.assertTrue(pool.like("a" * 500 + "b", "*a" * 100 + "*"))

    def test_a_pool_without_an_arn_matches_what_every_pool_does(self):
        self.assertTrue(pool.matches("", "*"))
        self.assertFalse(pool.matches("", POOL))

    def test_a_trigger_that_a_pattern_permits(self):
        service = "cognito-idp.amazonaws.com"
        for pattern, forbidden, any_pool in (
            (POOL.replace(":us-east-1:", ":*:"), 0, 0),
            (POOL[:-1] + "?", 0, 1),
            (f"arn:aws:cognito-idp:us-east-1:{HERE}:userpool/*", 0, 1),
            ("", 0, 1),
            (POOL.replace(HERE, OTHER), 1, 0),
        ):
            function = Function("f", {"FunctionName": "f"}, permission(pattern, service=service))
            subject = Pool("us-east-1_X", "us-east-1", {"Arn": POOL}, triggers={"PreSignUp": function})
            self.assertEqual(len(hits("pool-trigger-forbidden", subject)), forbidden, pattern)
            self.assertEqual(len(hits("pool-trigger-any-pool", subject)), any_pool, pattern)

    def test_an_authorizer_that_a_pattern_permits(self):
        arn = f"arn:aws:lambda:us-east-1:{HERE}:function:f"
        api = f"arn:aws:execute-api:us-east-1:{HERE}:api1"
        for pattern, forbidden, any_api in (
            (f"{api}/authorizers/a1", 0, 0),
            (f"{api}/authorizers/*", 0, 0),
            (f"{api}/*", 0, 0),
            (f"{api}/*/*", 0, 0),
            (api.replace("api1", "*"), 0, 0),
            (api.replace(":us-east-1:", ":*:") + "/authorizers/*", 0, 0),
            ("", 0, 1),
            ("arn:aws:execute-api:*:*:*", 0, 1),
            ("arn:aws:execute-api:us-east-1:*:*/authorizers/*", 0, 1),
            # Permissions for an integration of the same function.
            (f"{api}/*/GET/orders", 1, 0),
            (f"{api}/prod/*", 1, 0),
            (f"{api}/authorizers/a2", 1, 0),
            (f"{api}2/authorizers/a1", 1, 0),
            (api.replace(HERE, OTHER) + "/*", 1, 0),
            (api.replace("us-east-1", "eu-west-1") + "/*", 1, 0),
        ):
            subject = Api("api1", "rest", "us-east-1", {"id": "api1"})
            subject.authorizers = [{"id": "a1", "name": "x", "authorizerUri": uri(arn)}]
            subject.functions = {arn: Function("f", {"FunctionName": "f"}, permission(pattern))}
            facts = Facts("us-east-1", HERE)
            self.assertEqual(len(hits("api-authorizer-forbidden", subject, facts)), forbidden, pattern)
            self.assertEqual(len(hits("api-authorizer-any-api", subject, facts)), any_api, pattern)

    def test_the_region_of_an_api_in_a_folder_is_that_of_its_authorizer(self):
        arn = f"arn:aws-cn:lambda:cn-north-1:{HERE}:function:f"
        for region, forbidden in (("cn-north-1", 0), ("cn-northwest-1", 1)):
            subject = Api("api1", "rest", "", {"id": "api1"})
            subject.authorizers = [{"id": "a1", "name": "x", "authorizerUri": uri(arn)}]
            pattern = f"arn:aws-cn:execute-api:{region}:{HERE}:api1/authorizers/a1"
            subject.functions = {arn: Function("f", {"FunctionName": "f"}, permission(pattern))}
            self.assertEqual(len(hits("api-authorizer-forbidden", subject, Facts("", HERE))), forbidden, region)

    def test_an_unknown_account_is_that_of_the_permission(self):
        self.assertTrue(
            apis.covers(
                "arn:aws:execute-api:us-east-1:<account>:a/authorizers/b", f"arn:aws:execute-api:us-east-1:{OTHER}:a/*"
            )
        )


class Partitions(unittest.TestCase):
    def test_the_partition_of_a_region(self):
        for region, expected in (
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("", "aws"),
            (None, "aws"),
            ("*", "aws"),
            ("nowhere", "aws"),
        ):
            self.assertEqual(partition_of(region), expected, region)

    def test_the_printed_policy_is_of_the_regions_partition(self):
        for arguments, variables, expected in (
            (["--region", "cn-north-1"], {}, "arn:aws-cn:cognito-idp:cn-north-1:"),
            (["--region", "us-gov-west-1"], {}, "arn:aws-us-gov:cognito-idp:us-gov-west-1:"),
            ([], {"AWS_DEFAULT_REGION": "cn-north-1", "AWS_REGION": "cn-north-1"}, "arn:aws-cn:cognito-idp:*:"),
            (["--region", "us-east-1"], {"AWS_DEFAULT_REGION": "cn-north-1"}, "arn:aws:cognito-idp:us-east-1:"),
        ):
            with unittest.mock.patch.dict(os.environ, variables):
                code, out, _ = run("--print-iam-policy", *arguments)
            resources = [one for statement in json.loads(out)["Statement"] for one in statement["Resource"]]
            partitions = {one.split(":")[1] for one in resources if one != "*"}
            self.assertEqual((code, partitions), (cli.PASSED, {expected.split(":")[1]}))
            self.assertTrue(any(one.startswith(expected) for one in resources), resources)

    def test_a_role_of_another_partition_is_judged(self):
        for principal, keys, expected in (
            ("cognito-identity.amazonaws.com", "cognito-identity.amazonaws.com", 0),
            ("cognito-identity-us-gov.amazonaws.com", "cognito-identity-us-gov.amazonaws.com", 0),
            ("cognito-identity.us-gov-east-1.amazonaws.com", "cognito-identity.us-gov-east-1.amazonaws.com", 0),
            ("cognito-identity.cn-north-1.amazonaws.com.cn", "cognito-identity.amazonaws.com.cn", 0),
            ("cognito-identity-us-gov.amazonaws.com", "", 1),
            ("cognito-identity.cn-north-1.amazonaws.com.cn", "", 1),
            ("accounts.google.com", "", 0),
        ):
            statement = {"Effect": "Allow", "Principal": {"Federated": principal}}
            if keys:
                demanded = {f"{keys}:aud": "p", f"{keys}:amr": "authenticated"}
                statement["Condition"] = {"StringEquals": demanded}
            subject = IdentityPool("p", "us-gov-west-1", {"IdentityPoolId": "p"})
            detail = {"AssumeRolePolicyDocument": {"Statement": statement}}
            subject.known_roles = [Role("arn:aws-us-gov:iam::1:role/r", "authenticated", detail, {})]
            for check in ("identity-role-trusts-any-pool", "identity-role-trusts-guests"):
                self.assertEqual(len(hits(check, subject)), expected, (principal, check))

    def test_the_arn_in_a_command_is_of_the_regions_partition(self):
        arn = f"arn:aws-us-gov:lambda:us-gov-west-1:{HERE}:function:f"
        subject = Api("api1", "rest", "us-gov-west-1", {"id": "api1"})
        subject.authorizers = [{"id": "a1", "name": "x", "authorizerUri": uri(arn)}]
        subject.functions = {arn: Function("f", {"FunctionName": "f"}, permission())}
        (hit,) = hits("api-authorizer-forbidden", subject, Facts("us-gov-west-1", HERE))
        self.assertEqual(hit.values["source"], f"arn:aws-us-gov:execute-api:us-gov-west-1:{HERE}:api1/authorizers/a1")


if __name__ == "__main__":
    unittest.main()
