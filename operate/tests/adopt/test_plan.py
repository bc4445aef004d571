"""What a plan says: findings, parameters, schema and rules, costs, limits."""

import json
import pathlib
import re
import types
import unittest
from unittest import mock

from gatehouse_operate.adopt import costs, needs, read, rules
from gatehouse_operate.adopt import plan as plans

from . import OPERATE, fake
from .account import Account

ROOT = OPERATE.parent
OTHER = fake.POOL_ARN.replace(fake.POOL_ID, "eu-central-1_Other")


class Findings(Account):
    def found(self, *arguments):
        """The level of each finding, and everything that was told."""
        told = self.plan(*arguments)
        return {one["id"]: one["level"] for one in self.planned()["needs"]}, told

    def expect(self, name, level, *words, arguments=()):
        found, told = self.found(*arguments)
        self.assertEqual(found.get(name), level, told)
        (line,) = [one for one in told.splitlines() if one.split(" ")[1:2] == [f"{name}:"]]
        for word in words:
            self.assertIn(word, line)

    def expect_no(self, name, arguments=()):
        self.assertNotIn(name, self.found(*arguments)[0])

    def variables(self, **values):
        self.aws.variables["gatehouse-Authorizer"] |= values

    def test_a_plan_without_findings_that_stop(self):
        found, _ = self.found()
        self.assertNotIn("stop", found.values())
        # What the account has by itself.
        confirm = {"backend", "bearer", "scopes-shop", "scopes-store", "deployment-shop", "deployment-store"}
        self.assertEqual({name for name, level in found.items() if level == "confirm"}, confirm)
        notes = {"open-shop", "open-store", "trigger-CustomMessage", "trigger-PreTokenGenerationConfig"}
        self.assertEqual({name for name, level in found.items() if level == "note"}, notes)

    def test_another_pool(self):
        self.variables(USER_POOL_ID="eu-central-1_Other")
        self.expect("pool", "stop", "eu-central-1_Other", fake.POOL_ID)

    def test_tokens_that_are_not_read_from_the_header(self):
        self.variables(TOKEN_SOURCES="cookie, query")
        self.expect("token-sources", "stop", "cookie, query")
        self.variables(TOKEN_SOURCES="cookie,header")
        self.expect_no("token-sources")

    def test_a_taken_trigger(self):
        self.expect("trigger-CustomMessage", "note", "their-custom-message", "it stays", "--replace CustomMessage")
        arguments = ("--replace", "CustomMessage")
        self.expect("trigger-CustomMessage", "confirm", "no longer be invoked", arguments=arguments)

    def test_token_generation_that_is_taken_in_its_first_version(self):
        self.aws.pool["LambdaConfig"]["PreTokenGeneration"] = fake.function("theirs")
        self.expect("trigger-PreTokenGenerationConfig", "note", "theirs: it stays")

    def test_a_trigger_without_a_function(self):
        self.expect("trigger-PreSignUp", "stop", "no function", arguments=("--trigger", "PreSignUp"))
        given = fake.function("gatehouse-elsewhere")
        self.expect("trigger-PreSignUp", "note", arguments=("--trigger", f"PreSignUp={given}"))
        self.assertNotIn(given, json.dumps(self.planned()["steps"]), "the slot is taken")
        del self.aws.pool["LambdaConfig"]["PreSignUp"]
        self.plan("--trigger", f"PreSignUp={given}")
        self.assertIn(given, json.dumps(self.planned()["steps"]))

    def test_an_unknown_trigger(self):
        with self.assertRaises(SystemExit) as stopped:
            self.plan("--trigger", "CustomSMSSender")
        self.assertEqual(stopped.exception.code, 2)

    def test_the_plan_of_the_pool(self):
        self.aws.pool["UserPoolTier"] = "LITE"
        self.expect("plan", "stop", "Essentials", arguments=("--trigger", "PreTokenGenerationConfig"))
        self.expect_no("plan")

    def test_clients_without_token_revocation(self):
        self.aws.clients_of_pool["web"]["EnableTokenRevocation"] = False
        self.expect("token-revocation", "stop", "web (web app)")
        self.expect("token-revocation", "confirm", "expired", arguments=("--enable-token-revocation",))
        self.variables(REQUIRE_SESSION="false")
        self.expect("token-revocation", "confirm", "cannot be revoked")

    def test_clients_that_the_authorizer_refuses(self):
        self.aws.add_client("mobile")
        self.expect("clients", "confirm", "mobile (mobile app)")

    def test_clients_that_the_pool_lacks(self):
        self.variables(APP_CLIENT_IDS="web, gone")
        self.expect("unknown-clients", "confirm", "gone")

    def test_refresh_tokens_that_outlive_revocations(self):
        self.aws.clients_of_pool["web"] |= {
            "RefreshTokenValidity": 721,
            "TokenValidityUnits": {"RefreshToken": "hours"},
        }
        self.expect("refresh-lifetime", "stop", "web (web app)")
        self.aws.clients_of_pool["web"]["RefreshTokenValidity"] = 720
        self.expect_no("refresh-lifetime")
        del self.aws.variables["gatehouse-Logout"]
        self.expect("refresh-lifetime", "note")

    def test_hosted_ui_tokens_without_the_users_scope(self):
        self.aws.clients_of_pool["web"] |= {"AllowedOAuthFlowsUserPoolClient": True, "AllowedOAuthScopes": ["openid"]}
        self.expect("user-scope", "note", needs.ADMIN, "web (web app)")
        self.aws.clients_of_pool["web"]["AllowedOAuthScopes"].append(needs.ADMIN)
        self.expect_no("user-scope")

    def test_resources_of_a_stack(self):
        self.aws.rest["shop"]["tags"] = {"aws:cloudformation:stack-name": "shop-prod"}
        self.expect("managed", "confirm", "shop-name by the stack shop-prod")

    def test_methods_that_take_id_tokens(self):
        self.expect_no("token-use-shop")
        self.variables(TOKEN_USE="access")
        self.expect("token-use-shop", "confirm", "GET /orders", "TokenUse=any")
        self.expect("token-use-store", "confirm")
        self.aws.rest["shop"]["routes"]["GET /orders"]["authorizationScopes"] = ["orders/read"]
        self.expect_no("token-use-shop")

    def test_another_header(self):
        self.aws.rest["shop"]["authorizers"]["cognito"]["identitySource"] = "method.request.header.X-Token"
        self.expect("identity-source", "stop", "X-Token")
        self.aws.rest["shop"]["authorizers"]["cognito"]["identitySource"] = "method.request.header.authorization"
        self.expect_no("identity-source")

    def test_tokens_of_other_pools(self):
        self.aws.rest["shop"]["authorizers"]["cognito"]["providerARNs"].append(OTHER)
        self.expect("other-pools-shop", "confirm", "eu-central-1_Other")

    def test_a_canary(self):
        self.aws.rest["shop"]["stages"]["prod"]["canarySettings"] = {"percentTraffic": 10.0}
        self.expect("canary-shop", "stop", "prod")

    def test_changes_that_are_not_deployed(self):
        self.expect("deployment-shop", "confirm", "prod of 2026-11-01, test of 2026-11-01")
        self.expect("deployment-store", "confirm", "to fixed")
        self.aws.rest["shop"]["routes"]["DELETE /orders"] = {"httpMethod": "DELETE", "authorizationType": "NONE"}
        self.expect("deployment-shop", "confirm", "methods differ: DELETE /orders")
        del self.aws.rest["shop"]["routes"]["DELETE /orders"]
        self.aws.rest["shop"]["routes"]["GET /health"]["authorizationType"] = "AWS_IAM"
        self.expect("deployment-shop", "confirm", "methods differ: GET /health")

    def test_one_stage_alone(self):
        before = self.aws.snapshot()
        self.expect("deployment-shop", "confirm", "serve: test of", arguments=("--stage", "test"))
        self.apply()
        self.assertEqual(self.aws.rest["shop"]["stages"]["prod"], before[3]["shop"]["stages"]["prod"])
        self.assertNotEqual(self.aws.rest["shop"]["stages"]["test"], before[3]["shop"]["stages"]["test"])
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)
        (self.folder / "journal.jsonl").unlink()
        self.assertIn("no API has the stage nothing", self.plan("--stage", "nothing", expect=1))

    def test_an_audience_that_is_smaller(self):
        self.aws.add_client("mobile")
        self.variables(APP_CLIENT_IDS="web,mobile")
        self.expect("audience-store", "confirm", "also mobile")

    def test_open_routes_and_other_authorizations(self):
        self.aws.rest["shop"]["routes"]["GET /iam"] = {"httpMethod": "GET", "authorizationType": "AWS_IAM"}
        self.aws.rest["shop"]["routes"]["OPTIONS /orders"] = {"httpMethod": "OPTIONS", "authorizationType": "NONE"}
        found, told = self.found()
        self.assertEqual((found["open-shop"], found["left-shop"]), ("note", "note"))
        self.assertIn("left as it is: GET /health\n", told)
        self.assertIn("left as it is: GET /iam\n", told)

    def test_another_authorizer_is_left_unless_it_is_named(self):
        theirs = {"id": "theirs", "name": "theirs", "type": "TOKEN"}
        self.aws.rest["shop"]["authorizers"]["theirs"] = theirs | {
            "identitySource": "method.request.header.Authorization"
        }
        method = {"httpMethod": "GET", "authorizationType": "CUSTOM", "authorizerId": "theirs"}
        self.aws.rest["shop"]["routes"]["GET /custom"] = method
        self.expect("left-shop", "note", "GET /custom", "--authorizer theirs")
        self.assertNotIn("GET /custom from", self.plan())
        self.assertIn("GET /custom from theirs", self.plan("--authorizer", "theirs"))

    def test_only_some_routes(self):
        self.plan("--only", "GET /orders")
        switched = [one["id"] for one in self.planned()["steps"] if one["kind"] in ("rest-method", "http-route")]
        self.assertEqual(switched, ["rest:shop:GET /orders"])
        self.assertIn("no API has the route GET /nothing", self.plan("--only", "GET /nothing", expect=1))

    def test_routes_of_administrators(self):
        self.aws.rest["shop"]["routes"]["GET /admin/users"] = dict(self.aws.rest["shop"]["routes"]["GET /orders"])
        self.aws.rest["shop"]["routes"]["GET /administration"] = dict(self.aws.rest["shop"]["routes"]["GET /orders"])
        self.expect("admin-shop", "confirm", "for GET /admin/users")

    def test_scopes_without_an_action(self):
        self.aws.add_http_api("rest", {"$default": ["all"]})
        self.expect("default-scopes-rest", "confirm")

    def test_a_full_api(self):
        for number in range(9):
            self.aws.rest["shop"]["authorizers"][f"a{number}"] = {"id": f"a{number}", "name": f"a{number}"}
        self.expect("quota-shop", "note")

    def test_no_stack(self):
        told = self.run_command("plan", "--user-pool", fake.POOL_ID)
        self.assertIn("STOP stack", told)
        self.assertEqual(self.planned()["steps"], [])
        self.assertIn("Mend what stops the plan", self.apply(expect=1))

    def test_a_stack_that_does_not_exist(self):
        arguments = ("--user-pool", fake.POOL_ID, "--stack", "nothing")
        self.assertIn("does not exist", self.run_command("plan", *arguments, expect=1))

    def test_a_pool_that_does_not_exist(self):
        told = self.run_command("plan", "--user-pool", "eu-central-1_Nothing", expect=4)
        self.assertIn("DescribeUserPool: ResourceNotFoundException", told)

    def test_a_web_socket_api(self):
        self.aws.http["store"]["protocol"] = "WEBSOCKET"
        self.assertIn("docs/existing-api.md", self.plan("--http-api", "store", expect=1))

    def test_apply_lists_what_must_be_confirmed(self):
        self.plan()
        told = self.run_command("apply", "--yes", "--confirm", "bearer", expect=1)
        self.assertIn("CONFIRM backend", told)
        self.assertNotIn("CONFIRM bearer", told)
        self.assertEqual(self.aws.changes, [])

    def test_a_plan_of_another_account(self):
        self.plan()
        made = self.planned() | {"account": "444455556666"}
        (self.folder / "plan.json").write_text(json.dumps(made))
        self.assertIn("is for 444455556666", self.apply(expect=1))

    def test_no_plan_and_a_damaged_plan(self):
        self.assertIn("make a plan first", self.run_command("apply", expect=1))
        self.folder.mkdir()
        for text in ("", "[]", "{}", "null"):
            (self.folder / "plan.json").write_text(text)
            self.assertIn("is no plan", self.run_command("apply", expect=1))


class Permissions(Account):
    def test_the_page_has_every_action_that_the_command_needs(self):
        seen, answer = set(), fake.Fake.answer

        def recording(account, model, context, **more):
            seen.add(action(model))
            return answer(account, model, context, **more)

        with mock.patch.object(fake.Fake, "answer", recording):
            self.aws = fake.Fake()
            self.aws.add_client("legacy", EnableTokenRevocation=False)
            self.aws.add_rest_api("shop", {"GET /orders": []})
            self.aws.add_http_api("store", {"GET /stock": []}, (("fixed", False),))
            self.plan("--enable-token-revocation")
            self.aws.ssm_PutParameter("/gatehouse/adopt/shop", "{}", "String")
            self.apply("--unlock", expect=3)
            self.skip_expiry()
            self.apply()
            self.undo()
        section = (ROOT / "docs/adopt.md").read_text().partition("## Permissions")[2].partition("\n## ")[0]
        table = "".join(line for line in section.splitlines() if line.startswith("|"))
        named = set(re.findall(r"`([a-z-]+:[A-Za-z]+)`", table)) - {"cognito-idp:SetUserPoolMfaConfig"}
        self.assertEqual(named, seen)

    def skip_expiry(self):
        """The plan without the pause for tokens to expire."""
        made = self.planned()
        made["steps"] = [one for one in made["steps"] if one["id"] != "pause:tokens"]
        (self.folder / "plan.json").write_text(json.dumps(made))


def action(model):
    """The IAM action of an operation."""
    service = model.service_model.service_name
    if service in ("apigateway", "apigatewayv2"):
        return f"apigateway:{model.http['method']}"
    return f"{service}:{model.name}"


class Core(Account):
    def test_a_stack_without_functions_for_triggers(self):
        self.aws.variables = {name: one for name, one in self.aws.variables.items() if name.endswith(("er", "out"))}
        before = self.aws.snapshot()
        arguments = ("--user-pool", fake.POOL_ID, "--stack", "gatehouse")
        self.assertNotIn("trigger-", self.run_command("plan", *arguments))
        self.apply()
        self.assertEqual(self.aws.snapshot()[:3], before[:3])
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)


class Large(Account):
    def test_300_clients_and_300_routes(self):
        for number in range(299):
            self.aws.add_client(f"c{number}", EnableTokenRevocation=False)
        self.aws.add_rest_api("large", {f"GET /größe{number}": [] for number in range(300)})
        told = self.plan("--enable-token-revocation")
        self.assertIn("300 app clients", told)
        self.assertIn("large-name (large): 300 of 300 routes", told)
        self.assertIn(" and 291 more", told)
        steps = self.planned()["steps"]
        self.assertEqual(len([one for one in steps if one["kind"] == "token-revocation"]), 299)
        self.assertEqual(len([one for one in steps if one["id"].startswith("rest:large:GET ")]), 300)

    def test_an_account_without_apis(self):
        self.aws.rest, self.aws.http = {}, {}
        self.assertIn("no API accepts its tokens", self.plan())
        self.assertEqual([one["id"] for one in self.planned()["steps"]], ["permission:PostConfirmation", "pool"])


class Files(Account):
    def written(self, name):
        return (self.folder / name).read_text()

    def test_the_parameters(self):
        self.aws.add_client("mobile", RefreshTokenValidity=60)
        self.plan()
        values = {one["ParameterKey"]: one["ParameterValue"] for one in json.loads(self.written("parameters.json"))}
        expected = {"UserPoolId": fake.POOL_ID, "AppClientIds": "mobile,web", "RefreshTokenSeconds": "5184000"}
        self.assertEqual(values, expected | {"TokenUse": "any"})

    @unittest.skipUnless((ROOT / "core.yaml").exists(), "core.yaml is not in this checkout")
    def test_the_parameters_are_those_of_the_core(self):
        core = (ROOT / "core.yaml").read_text().partition("\nParameters:")[2].partition("\nResources:")[0]
        known = set(re.findall(r"^  (\w+):$", core, re.MULTILINE))
        found = plans.facts(self.aws, options(user_pool=fake.POOL_ID))
        for api in found["http"]:
            api["cors"] = {"AllowOrigins": ["https://app.example.com"]}
        self.assertLessEqual(set(plans.parameters(found)), known)
        self.assertIn("AllowedOrigin", plans.parameters(found))

    def test_the_schema_has_the_routes_of_the_apis_after_its_own(self):
        self.plan()
        schema = self.written("policies/schema.cedarschema")
        actions = re.findall(r'"([a-z]+ /[^"]*)"', schema)
        own = re.findall(r'"([a-z]+ /[^"]*)"', (ROOT / "policies/schema.cedarschema").read_text())
        self.assertEqual(actions[: len(own)], own)
        files = [f"{verb} /files/{{proxy+}}" for verb in rules.VERBS]
        added = ["get /health", "get /open", "get /orders", "get /stock", "post /orders", *files]
        self.assertEqual(sorted(actions[len(own) :]), sorted(added))
        self.assertEqual(self.written("policies/default.cedar"), (ROOT / "policies/default.cedar").read_text())

    def test_the_rules_demand_one_of_the_scopes(self):
        self.plan()
        text = self.written("policies/adopted.cedar")
        self.assertIn('action == Gatehouse::Action::"post /orders"', text)
        self.assertIn('unless { context.token.scope.containsAny(["orders/all", "orders/write"]) };', text)
        self.assertEqual(text.count("forbid"), 2)

    def test_without_scopes_there_are_no_rules(self):
        self.plan()
        self.plan("--only", "GET /orders")
        self.assertFalse((self.folder / "policies/adopted.cedar").exists())

    def test_names_with_quotes_stay_names(self):
        text = rules.scope_rules({'GET /a"b': ['x"]) || true || ["']})
        self.assertIn(r'Gatehouse::Action::"get /a\"b"', text)
        self.assertIn(r'containsAny(["x\"]) || true || [\""])', text)
        listed = rules.schema('  action "get /x"\n    appliesTo {}', ['GET /a"b', "GET /x"])
        self.assertEqual(listed, '  action "get /x",\n    "get /a\\"b"\n    appliesTo {}')

    def test_a_folder_without_a_schema(self):
        self.assertIn("--policies", self.plan("--policies", str(self.folder), expect=1))


def options(**values):
    names = {"rest_api": [], "http_api": [], "only": [], "stage": [], "authorizer": [], "stack": None, "triggers": {}}
    return types.SimpleNamespace(**names | {"replace": set(), "enable_token_revocation": False} | values)


class Figures(unittest.TestCase):
    def test_the_costs_are_those_of_the_page(self):
        page = (ROOT / "docs/costs.md").read_text()
        section = page.partition("## A million requests")[2].partition("\n\n|")[2].partition("\n\n")[0]
        rows = [[cell.strip(" *") for cell in row.split("|")[1:-1]] for row in section.splitlines() if row[:1] == "|"]
        prices = {row[0]: float(row[-1].split(",")[0]) for row in rows[2:]}
        own = ["the authorizer's invocation", "its duration", "DynamoDB", "CloudWatch Logs"]
        self.assertEqual([prices[name] for name in own], list(costs.PER_MILLION.values()))
        idle = page.partition("## Idle")[2]
        low, high = re.search(r"\*\*together\*\* \| \| \*\*([0-9.]+) to ([0-9.]+)\*\*", idle).groups()
        self.assertEqual(costs.IDLE, (float(low), float(high)))
        self.assertIn("$1.06 for a million requests", costs.lines(2_000_000)[0])
        self.assertIn("$2.12 for 2,000,000", costs.lines(2_000_000)[0])

    def test_the_lifetimes_of_tokens(self):
        units = {"AccessToken": "minutes", "RefreshToken": "hours"}
        client = {"AccessTokenValidity": 5, "RefreshTokenValidity": 2, "TokenValidityUnits": units}
        self.assertEqual([read.lifetime(client, one) for one in ("Access", "Id", "Refresh")], [300, 3_600, 7_200])
        self.assertEqual(read.lifetime({}, "Refresh"), 30 * read.DAY)
        self.assertEqual(read.lifetime({"RefreshTokenValidity": 2}, "Refresh"), 2 * read.DAY)

    def test_every_option_and_exit_status_is_on_the_page(self):
        page = (ROOT / "docs/adopt.md").read_text()
        source = pathlib.Path(OPERATE / "gatehouse_operate/adopt/cli.py").read_text()
        for option in re.findall(r'"(--[a-z-]+)"', source):
            self.assertIn(option, page)

    def test_every_finding_is_on_the_page(self):
        page = (ROOT / "docs/adopt.md").read_text()
        source = pathlib.Path(OPERATE / "gatehouse_operate/adopt/needs.py").read_text()
        names = re.findall(r'need\(f?"([a-z-]+[a-z])', source)
        self.assertGreater(len(set(names)), 20)
        for name in names:
            self.assertIn(f"`{name}", page)


if __name__ == "__main__":
    unittest.main()
