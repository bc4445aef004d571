"""What a plan says: findings, parameters, schema and rules, costs, limits."""

import json
import pathlib
import re
import shutil
import types
import unittest
from unittest import mock

from gatehouse_operate.adopt import costs, needs, read, rules
from gatehouse_operate.adopt import plan as plans

from . import OPERATE, fake
from .account import Account

ROOT = OPERATE.parent
MACHINE = {
    "AllowedOAuthFlowsUserPoolClient": True,
    "AllowedOAuthFlows": ["client_credentials"],
    "AllowedOAuthScopes": ["orders/read"],
    "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"],
}
# Changes by which users can sign in.
NOT_MACHINE = [
    {"ExplicitAuthFlows": []},
    {"ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]},
    {"AllowedOAuthFlows": ["code", "client_credentials"]},
    {"AllowedOAuthFlowsUserPoolClient": False},
]
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

    def test_clients_of_machines_have_no_sessions(self):
        machine = MACHINE | {"RefreshTokenValidity": 0, "EnableTokenRevocation": False}
        self.aws.add_client("machine", **machine)
        self.variables(APP_CLIENT_IDS="web,machine")
        self.aws.variables["gatehouse-Logout"]["REFRESH_TOKEN_TTL_SECONDS"] = "28800"
        self.aws.clients_of_pool["web"] |= {"RefreshTokenValidity": 8, "TokenValidityUnits": {"RefreshToken": "hours"}}
        for name in ("refresh-lifetime", "token-revocation", "user-scope"):
            self.expect_no(name, arguments=("--enable-token-revocation",))
        self.assertNotIn("token-revocation", [one["kind"] for one in self.planned()["steps"]])
        values = json.loads((self.folder / "parameters.json").read_text())
        self.assertIn({"ParameterKey": "RefreshTokenSeconds", "ParameterValue": "28800"}, values)
        for changes in NOT_MACHINE:
            self.aws.add_client("machine", **machine | changes)
            self.expect("refresh-lifetime", "stop", "machine (machine app)")
            self.expect("token-revocation", "stop", "machine (machine app)")

    def test_hosted_ui_tokens_without_the_users_scope(self):
        self.aws.clients_of_pool["web"] |= {"AllowedOAuthFlowsUserPoolClient": True, "AllowedOAuthScopes": ["openid"]}
        self.expect("user-scope", "note", needs.ADMIN, "web (web app)")
        self.aws.clients_of_pool["web"]["AllowedOAuthScopes"].append(needs.ADMIN)
        self.expect_no("user-scope")

    def test_resources_of_a_stack(self):
        self.aws.rest["shop"]["tags"] = {"aws:cloudformation:stack-name": "shop-prod"}
        self.expect("managed", "confirm", "shop-name by the stack shop-prod")

    def test_resources_of_a_stack_without_its_tags(self):
        self.expect_no("managed")
        self.aws.owners = {fake.POOL_ID: ("users", "UPDATE_COMPLETE"), "store": ("stock", "CREATE_COMPLETE")}
        text = "the pool by the stack users (eu-central-1_Existing1), store-name by the stack stock (store)"
        self.expect("managed", "confirm", text)
        self.aws.owners = {fake.POOL_ID: ("users", "DELETE_SKIPPED")}
        self.expect_no("managed")
        self.aws.owners = {fake.POOL_ID: ("users", "DELETE_FAILED")}
        self.expect("managed", "confirm", "the pool by the stack users")

    def test_apis_of_the_same_name(self):
        for number, tags in enumerate(({"aws:cloudformation:stack-name": "prod"}, {})):
            self.aws.add_rest_api(f"same{number}", {"GET /same": []})
            self.aws.rest[f"same{number}"] |= {"name": "same", "tags": tags}
        self.expect("managed", "confirm", "same by the stack prod (same0).")

    def test_clients_of_a_stack(self):
        self.aws.owners = {"web": ("clients", "CREATE_COMPLETE")}
        self.expect_no("managed")
        self.aws.clients_of_pool["web"]["EnableTokenRevocation"] = False
        self.expect("managed", "confirm", "the client web by the stack", arguments=("--enable-token-revocation",))

    def test_stacks_that_may_not_be_read(self):
        self.aws.refuse = {"DescribeStackResources": "AccessDenied"}
        self.expect("managed", "confirm", "could not be read (cloudformation:DescribeStackResources)")

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

    def test_a_stage_that_would_serve_the_routes_too(self):
        arguments = ("--stage", "fixed")
        self.expect("stage-store", "stop", "$default would serve the switched routes at once", arguments=arguments)
        self.assertIn("Mend what stops the plan", self.apply(expect=1))
        self.expect_no("stage-store", arguments=(*arguments, "--stage", "$default"))
        self.expect_no("stage-store")
        self.aws.http["store"]["stages"]["$default"] |= {"AutoDeploy": False}
        self.aws.http["store"]["stages"]["$default"] |= {
            "DeploymentId": self.aws.apigatewayv2_CreateDeployment("store")["DeploymentId"]
        }
        self.expect("stage-store", "note", "$default will serve", "the next deployment", arguments=arguments)
        served = json.dumps(self.aws.http["store"]["stages"]["$default"])
        self.apply()
        self.assertEqual(json.dumps(self.aws.http["store"]["stages"]["$default"]), served)

    def test_apis_without_the_stage_are_left(self):
        self.expect("stage-shop", "note", "left as it is", arguments=("--stage", "$default", "--stage", "fixed"))
        self.assertEqual({one["target"].get("api") for one in self.planned()["steps"]}, {"store", None})
        self.expect("stage-store", "note", "left as it is", arguments=("--stage", "test"))
        self.expect("stage-shop", "note", "prod will serve", arguments=("--stage", "test"))

    def test_an_api_without_stages(self):
        self.aws.rest["shop"]["stages"].clear()
        self.expect("stage-shop", "note", "has no stage")

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
        text = rules.scope_rules([{"route": 'GET /a"b', "scopes": ['x"]) || true || ["'], "others": []}])
        self.assertIn(r'Gatehouse::Action::"get /a\"b"', text)
        self.assertIn(r'containsAny(["x\"]) || true || [\""])', text)
        listed = rules.schema('  action "get /x"\n    appliesTo {}', ['GET /a"b', "GET /x"])
        self.assertEqual(listed, '  action "get /x",\n    "get /a\\"b"\n    appliesTo {}')

    def test_a_folder_that_is_none_of_rules_is_refused(self):
        self.folder.mkdir()
        arguments = ("--policies", str(self.folder))
        self.assertIn("no schema.cedarschema", self.plan(*arguments, expect=1))
        (self.folder / "schema.cedarschema").write_text("schema")
        self.assertIn("no default.cedar", self.plan(*arguments, expect=1))
        (self.folder / "default.cedar").touch()
        self.assertIn("no `action", self.plan(*arguments, expect=1))
        (self.folder / "schema.cedarschema").write_bytes(b"\xff")
        self.assertIn("is not UTF-8", self.plan(*arguments, expect=1))
        self.assertFalse((self.folder / "plan.json").exists())


class Rules(Account):
    """The folder of rules replaces the deployed one: it must have every rule that is still needed."""

    def rules(self):
        return (self.folder / "policies/adopted.cedar").read_text()

    def names(self):
        return sorted(path.name for path in (self.folder / "policies").iterdir())

    def needs(self):
        return {one["id"]: one["level"] for one in self.planned()["needs"]}

    def adopt_orders(self):
        """Applies a plan for one route with scopes. The following plans are of another folder."""
        self.plan("--only", "POST /orders")
        self.apply()
        first, self.folder = self.folder, self.folder.with_name("later")
        return first / "policies"

    def test_a_later_plan_keeps_the_rules_of_switched_routes(self):
        first = self.adopt_orders()
        told = self.plan("--policies", str(first))
        self.assertIn("note adopted-shop: shop-name: on gatehouse-adopt already: POST /orders; their rules stay", told)
        self.assertNotIn("--authorizer made", told)
        self.assertIn('action == Gatehouse::Action::"post /orders"', self.rules())
        self.assertIn('action == Gatehouse::Action::"get /stock"', self.rules())
        # Planned again, from the folder that it wrote itself.
        self.plan()
        self.assertEqual(self.needs()["adopted-shop"], "note")
        self.assertEqual(self.rules().count("forbid"), 2)
        self.apply()
        self.assert_applied()

    def test_a_later_plan_without_the_scopes_of_switched_routes_stops(self):
        self.adopt_orders()
        told = self.plan()
        self.assertIn("STOP adopted-shop: shop-name: on gatehouse-adopt already: POST /orders, and", told)
        self.assertIn("STOP adopted-shop", self.plan(), "planned again, it stops too")
        self.assertIn("Mend what stops the plan", self.apply(expect=1))

    def test_a_plan_of_other_apis_alone_stops_too(self):
        first = self.adopt_orders()
        self.aws.rest["shop"]["authorizers"].pop("cognito")
        self.assertIn("STOP adopted-shop", self.plan("--http-api", "store"))
        self.assertIn("STOP adopted-shop", self.plan())
        self.plan("--policies", str(first))
        self.assertEqual(self.needs()["adopted-shop"], "note")
        self.assertIn('action == Gatehouse::Action::"post /orders"', self.rules())

    def test_routes_of_another_stack_have_other_rules(self):
        first = self.adopt_orders()
        (own,) = [one for one in self.aws.rest["shop"]["authorizers"].values() if one["name"] == "gatehouse-adopt"]
        own["authorizerUri"] = own["authorizerUri"].replace("gatehouse-Authorizer", "other-Authorizer")
        self.plan("--http-api", "store")
        self.assertNotIn("adopted-shop", self.needs())
        own["authorizerUri"] = own["authorizerUri"].replace("other-Authorizer", "gatehouse-Authorizer:live")
        self.plan("--http-api", "store")
        self.assertEqual(self.needs()["adopted-shop"], "stop")
        self.assertTrue(first.is_dir())

    def test_a_route_that_another_hand_switched_is_added_by_hand(self):
        first = self.adopt_orders()
        routes = self.aws.rest["shop"]["routes"]
        routes["PUT /orders"] = dict(routes["POST /orders"])
        told = self.plan("--policies", str(first))
        self.assertIn("STOP adopted-shop: shop-name: on gatehouse-adopt already: PUT /orders, and", told)
        record = json.loads((first / "adopted.json").read_text())
        record["routes"].append({"api": "shop", "route": "PUT /orders", "scopes": ["größe"]})
        (first / "adopted.json").write_text(json.dumps(record))
        self.plan("--policies", str(first))
        self.assertEqual(self.needs()["adopted-shop"], "note")
        self.assertIn('["größe"]', self.rules())

    def test_a_plan_that_was_not_applied_is_replaced_by_the_next_one_of_its_folder(self):
        self.plan()
        self.plan("--only", "GET /stock")
        self.assertNotIn("post /orders", self.rules())
        self.assertIn("get /stock", self.rules())

    def test_a_plan_that_was_not_applied_counts_for_another_folder(self):
        self.plan("--only", "POST /orders")
        first, self.folder = self.folder, self.folder.with_name("later")
        self.plan("--only", "GET /stock", "--policies", str(first / "policies"))
        self.assertEqual(self.rules().count("forbid"), 2)
        self.plan("--only", "GET /stock")
        self.assertEqual(self.rules().count("forbid"), 2)

    def test_a_route_that_is_gone_needs_no_rule(self):
        first = self.adopt_orders()
        del self.aws.rest["shop"]["routes"]["POST /orders"]
        self.plan("--policies", str(first))
        self.assertNotIn("post /orders", self.rules())

    def test_every_rule_of_the_folder_is_kept(self):
        theirs = self.folder.with_name("theirs")
        shutil.copytree(ROOT / "policies", theirs)
        (theirs / "suspended.cedar").write_text('forbid (principal, action, resource) unless { "größe" == "" };\n')
        (theirs / "default.cedar").write_text("// theirs\n")
        self.plan("--policies", str(theirs))
        files = ["adopted.cedar", "adopted.json", "default.cedar", "schema.cedarschema", "suspended.cedar"]
        self.assertEqual(self.names(), files)
        for name in ("default.cedar", "suspended.cedar"):
            self.assertEqual((self.folder / "policies" / name).read_bytes(), (theirs / name).read_bytes())

    def test_rules_that_were_written_by_hand_survive_the_next_plan(self):
        self.plan()
        default = self.folder / "policies/default.cedar"
        default.write_text("// changed\n")
        (self.folder / "policies/more.cedar").write_text("// more\n")
        self.plan()
        self.assertEqual(default.read_text(), "// changed\n")
        self.assertIn("more.cedar", self.names())

    def test_generated_rules_that_were_changed_by_hand_are_not_overwritten(self):
        self.plan()
        adopted = self.folder / "policies/adopted.cedar"
        for changed in (adopted.read_text() + "\nforbid (principal, action, resource);\n", "// no head\n"):
            adopted.write_text(changed)
            self.assertIn("adopted.cedar was changed by hand", self.plan(expect=1))
            self.assertIn("changed by hand", self.plan("--policies", str(ROOT / "policies"), expect=1))
            self.assertEqual(adopted.read_text(), changed)

    def test_rules_of_another_origin_are_not_mixed_in(self):
        self.plan()
        more = self.folder / "policies/more.cedar"
        more.write_text("// more\n")
        told = self.plan("--policies", str(ROOT / "policies"), expect=1)
        self.assertIn("has more.cedar, which", told)
        self.assertTrue(more.exists())

    def test_a_damaged_record(self):
        self.plan()
        record = self.folder / "policies/adopted.json"
        for text in ("", "[]", "null", '{"routes": 1}', '{"routes": [1]}', '{"routes": [{"api": "shop"}]}', "\xff"):
            record.write_bytes(text.encode("latin-1"))
            self.assertIn("is no record", self.plan(expect=1))
        record.unlink()
        self.plan()

    def test_deployed_rules_of_another_folder(self):
        self.plan()
        self.assertNotIn("rules-folder", self.needs())
        self.aws.variables["gatehouse-Authorizer"]["POLICIES_DIR"] = "/opt/policies"
        self.plan()
        self.assertNotIn("rules-folder", self.needs(), "the plan starts from its own folder")
        self.folder = self.folder.with_name("later")
        for _ in range(2):
            self.plan()
            self.assertEqual(self.needs()["rules-folder"], "confirm")
        # As the page does it: first without the stack, which nothing tells about the deployed rules.
        self.folder = self.folder.with_name("first")
        self.run_command("plan", "--user-pool", fake.POOL_ID)
        self.assertNotIn("rules-folder", self.needs())
        self.plan()
        self.assertEqual(self.needs()["rules-folder"], "confirm")
        self.folder = self.folder.with_name("named")
        self.plan("--policies", str(ROOT / "policies"))
        self.assertNotIn("rules-folder", self.needs())

    def test_one_route_with_different_scopes_in_two_apis_stops(self):
        self.aws.add_rest_api("b", {"POST /orders": ["b/write"]})
        told = self.plan()
        self.assertIn("STOP shared-routes: rules cannot tell APIs apart, and post /orders have different scopes", told)
        self.assertIn("shop-name (shop) orders/all or orders/write, b-name (b) b/write", told)
        # What was written anyway grants nothing: both rules apply.
        self.assertEqual(self.rules().count('action == Gatehouse::Action::"post /orders"'), 2)
        self.assertEqual(self.rules().count('@id("POST /orders requires a scope")'), 1)
        self.plan("--rest-api", "b")
        self.assertNotIn("shared-routes", self.needs())
        self.assertNotIn("orders/write", self.rules())

    def test_one_route_with_scopes_in_one_of_two_apis_stops(self):
        for routes in ({"POST /orders": []}, {"ANY /orders": []}, {"ANY /orders": ["orders/all"]}):
            self.aws.add_rest_api("b", routes)
            self.plan()
            self.assertEqual(self.needs()["shared-routes"], "stop", routes)
            del self.aws.rest["b"]
        self.aws.add_rest_api("b", {"POST /orders": None, "ANY /orders": ["b/any"]})
        self.plan("--rest-api", "b", "--rest-api", "shop", "--only", "POST /orders", "--only", "ANY /orders")
        self.assertNotIn("shared-routes", self.needs(), "that API has its own POST, which no plan switches")

    def test_one_route_with_the_same_scopes_in_two_apis_is_one_rule(self):
        self.aws.add_rest_api("b", {"POST /orders": ["orders/write", "orders/all"]})
        self.plan()
        self.assertNotIn("shared-routes", self.needs())
        self.assertEqual(self.rules().count('"post /orders"'), 1)

    def test_an_api_that_was_adopted_before_counts(self):
        first = self.adopt_orders()
        self.aws.add_rest_api("b", {"POST /orders": ["b/write"]})
        self.plan("--rest-api", "b", "--policies", str(first))
        self.assertEqual(self.needs()["shared-routes"], "stop")

    def test_any_does_not_bind_the_verbs_that_have_a_method_of_their_own(self):
        routes = {"ANY /x": ["x/all"], "GET /x": ["x/get"], "POST /x": None, "ANY /x/{proxy+}": ["x/rest"]}
        self.aws.add_rest_api("b", routes)
        self.plan("--rest-api", "b")
        # POST has no authorizer, and would be served by ANY without its method.
        wanted = '{ context.route == "/x" && !(action in [Gatehouse::Action::"get /x"]) }'
        self.assertIn(f'when {wanted}\nunless {{ context.token.scope.containsAny(["x/all"]) }};', self.rules())
        self.assertIn('(principal, action == Gatehouse::Action::"get /x", resource)\nunless', self.rules())
        self.assertIn('when { context.route == "/x/{proxy+}" }\n', self.rules())

    def test_any_of_two_apis_binds_what_one_of_them_serves_by_it(self):
        self.aws.add_rest_api("b", {"ANY /x": ["x/all"], "GET /x": [], "PUT /x": []})
        self.aws.add_http_api("c", {"ANY /x": ["x/all"], "GET /x": []})
        self.plan()
        self.assertEqual(self.needs()["shared-routes"], "stop", "PUT needs the scope in one of them")
        self.assertIn('context.route == "/x" && !(action in [Gatehouse::Action::"get /x"]) }', self.rules())

    def test_the_namespace_is_that_of_the_schema(self):
        theirs = self.folder.with_name("theirs")
        shutil.copytree(ROOT / "policies", theirs)
        schema = (theirs / "schema.cedarschema").read_text().replace("namespace Gatehouse", "namespace Shop::Api")
        (theirs / "schema.cedarschema").write_text(schema)
        self.plan("--policies", str(theirs))
        self.assertIn('action == Shop::Api::Action::"post /orders"', self.rules())

    def test_an_authorizer_that_cannot_be_included(self):
        self.adopt_orders()
        (own,) = set(self.aws.rest["shop"]["authorizers"]) - {"cognito"}
        for key in (own, "nothing"):
            told = self.plan("--authorizer", key, expect=1)
            self.assertIn(f"no API has another authorizer with the id {key}", told)


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
