"""Apply and undo against the account in memory: order, crashes, drift, another hand, two at once."""

import datetime
import json
import os
import unittest
from unittest import mock

from gatehouse_operate.adopt import journal as journals
from gatehouse_operate.adopt import lock, run
from gatehouse_operate.adopt.common import Refused

from . import fake
from .account import Account


class ApplyAndUndo(Account):
    def test_everything_is_as_before_after_an_undo(self):
        before = self.aws.snapshot()
        self.plan()
        self.assertEqual(self.aws.snapshot(), before)
        self.apply()
        self.assert_applied()
        after = self.aws.snapshot()
        changed = {**before[0], "LambdaConfig": after[0]["LambdaConfig"]}
        self.assertEqual(after[0], changed, "a field of the pool was lost")
        added = {"PostConfirmation": fake.function("gatehouse-PostConfirmation")}
        self.assertEqual(after[0]["LambdaConfig"], before[0]["LambdaConfig"] | added)
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_tags_of_aws_stay_and_are_not_sent(self):
        self.aws.pool["UserPoolTags"] |= {"aws:cloudformation:stack-name": "users"}
        before = self.aws.snapshot()
        self.plan()
        self.apply()
        self.assertEqual(self.aws.snapshot()[0]["UserPoolTags"], before[0]["UserPoolTags"])
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_nothing_changes_without_yes(self):
        self.plan()
        self.run_command("apply")
        self.run_command("undo")
        self.assertEqual(self.aws.changes, [])
        self.assertFalse((self.folder / "journal.jsonl").exists())
        self.apply()
        count = len(self.aws.changes)
        self.assertIn("back: ", self.run_command("undo"))
        self.assertEqual(len(self.aws.changes), count)

    def test_a_second_apply_and_a_second_undo_change_nothing(self):
        self.plan()
        self.apply()
        state, count = self.aws.snapshot(), len(self.changes())
        self.apply()
        self.assertEqual(self.aws.snapshot(), state)
        self.assertEqual(len(self.changes()), count)
        self.undo()
        state, count = self.aws.snapshot(), len(self.changes())
        self.undo()
        self.assertEqual(self.aws.snapshot(), state)
        self.assertEqual(len(self.changes()), count)

    def test_the_plan_can_be_applied_again_after_an_undo(self):
        before = self.aws.snapshot()
        self.plan()
        for _ in range(2):
            self.apply()
            self.assert_applied()
            self.undo()
            self.assertEqual(self.aws.snapshot(), before)

    def changes(self):
        """The calls that changed something, without those of the lock."""
        return [one for one in self.aws.changes if one[0] != "ssm"]

    def test_the_order_is_entrance_permission_methods_deployment_stages(self):
        self.plan()
        self.apply()
        names = [name for _, name, _ in self.changes()]
        shop = ["CreateAuthorizer", "AddPermission"]
        self.assertEqual(names[:4], shop * 2)
        self.assertEqual(names[4:6], ["AddPermission", "UpdateUserPool"])
        rest = ["UpdateMethod"] * 2 + ["CreateDeployment"] + ["UpdateStage"] * 2
        self.assertEqual(names[6:11], rest)
        self.assertEqual(names[11:], ["UpdateRoute"] * 2 + ["CreateDeployment", "UpdateStage"])

    def test_a_pause_comes_before_the_first_switch_and_before_the_permissions_are_removed(self):
        self.plan()
        slept = []
        with mock.patch("time.sleep", slept.append), mock.patch.object(run.time, "sleep", slept.append):
            with mock.patch.object(run, "apply", with_sleep(run.apply, slept)):
                self.apply("--settle", "7")
            with mock.patch.object(run, "undo", with_sleep(run.undo, slept)):
                self.undo("--settle", "9")
        self.assertEqual(slept, [7, 9])

    def test_a_repeated_undo_waits_for_what_the_one_before_took_back(self):
        self.aws.http.clear()
        before = self.aws.snapshot()
        self.run_command("plan", "--user-pool", fake.POOL_ID, "--stack", "gatehouse")
        self.apply()
        slept = []
        with mock.patch.object(run, "undo", with_sleep(run.undo, slept)):
            self.aws.refuse = {"DeleteDeployment": "TooManyRequestsException"}
            self.undo("--settle", "9", expect=4)
            self.aws.refuse = {"DeleteAuthorizer": "TooManyRequestsException"}
            self.assertEqual(slept, [])
            self.assertIn("waiting 9 s", self.undo("--settle", "9", expect=4))
            self.aws.refuse = {}
            self.assertNotIn("waiting", self.undo("--settle", "9"), "the one before has waited")
        self.assertEqual(slept, [9])
        self.assertEqual(self.aws.snapshot(), before)

    def test_what_was_there_before_is_not_undone(self):
        """Another hand attaches the trigger between plan and apply."""
        ours = fake.function("gatehouse-PostConfirmation")
        self.plan()
        self.aws.pool["LambdaConfig"]["PostConfirmation"] = ours
        self.assertIn("triggers PostConfirmation: found done", self.apply())
        self.assertIn("left out, because the pool uses it", self.undo())
        self.assertEqual(self.aws.pool["LambdaConfig"]["PostConfirmation"], ours)
        self.assertEqual(len(self.aws.policies[ours]), 1, "Cognito may not invoke the trigger")

    def test_replacing_a_trigger_names_the_function_and_gives_it_back(self):
        before = self.aws.snapshot()
        told = self.plan("--replace", "CustomMessage")
        self.assertIn("CONFIRM trigger-CustomMessage", told)
        self.assertIn("their-custom-message", told)
        self.apply()
        self.assertEqual(self.aws.pool["LambdaConfig"]["CustomMessage"], fake.function("gatehouse-CustomMessage"))
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_a_stack_whose_authorizer_is_an_alias(self):
        self.aws.alias = ":live"
        before = self.aws.snapshot()
        self.aws.variables["live"] = self.aws.variables["gatehouse-Authorizer"]
        self.plan()
        self.aws.variables["gatehouse-Authorizer"] = {}
        self.apply()
        self.assert_applied()
        self.assertIn(fake.function("gatehouse-Authorizer:live"), self.aws.policies)
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_one_route_first_and_then_the_others(self):
        before, later = self.aws.snapshot(), self.folder.with_name("later")
        self.plan("--only", "GET /orders")
        self.apply()
        first, self.folder = self.folder, later
        told = self.plan("--policies", str(first / "policies"))
        self.assertNotIn("GET /orders from", told)
        self.apply()
        self.assert_applied()
        self.folder = first
        self.assertIn("rest:shop:stage:prod: deploymentId", self.undo(expect=1))
        self.folder = later
        self.undo()
        self.folder = first
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_an_authorizer_of_that_name_with_other_settings(self):
        theirs = {"id": "theirs", "name": "gatehouse-adopt", "type": "REQUEST", "authorizerUri": "arn:theirs"}
        self.aws.rest["shop"]["authorizers"]["theirs"] = theirs
        self.assertIn("shop has an authorizer gatehouse-adopt with other settings", self.plan(expect=1))

    def test_token_generation_fills_both_of_its_slots(self):
        before = self.aws.snapshot()
        self.plan("--trigger", "PreTokenGenerationConfig")
        self.apply()
        ours = fake.function("gatehouse-PreTokenGeneration")
        triggers = self.aws.pool["LambdaConfig"]
        self.assertEqual(triggers["PreTokenGenerationConfig"], {"LambdaVersion": "V2_0", "LambdaArn": ours})
        self.assertEqual(triggers["PreTokenGeneration"], ours)
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)


def with_sleep(command, slept):
    """The command with a `sleep` that only records."""

    def called(*arguments, **named):
        return command(*arguments, **named, sleep=slept.append)

    return called


class Crashes(Account):
    """The process ends after each call that changes AWS, and after each line of the journal.

    Each call has a line before it and one after it, so these are the points before calls and before lines too."""

    def crash(self, command, **at):
        with self.assertRaises(fake.Crash):
            with mock.patch.object(self.aws, "crash_at", at.get("call") and len(self.aws.changes) + at["call"]):
                with mock.patch.object(self.aws, "crash_after", at.get("after", False)):
                    with mock.patch.object(
                        journals.Journal, "write", crashing(self.aws, at.get("line"), at.get("after", False))
                    ):
                        command()

        self.aws.dead = False

    def points(self, command):
        """Each point at which the command can end."""
        calls, lines = len(self.aws.changes), self.lines()
        command()
        calls, lines = len(self.aws.changes) - calls, self.lines() - lines
        self.assertGreater(min(calls, lines), 10)
        yield from ({"call": number, "after": True} for number in range(1, calls + 1))
        yield from ({"line": number, "after": True} for number in range(1, lines + 1))

    def lines(self):
        path = self.folder / "journal.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def each(self, points, play):
        """Plays each point in the account as it was before the plan was applied."""
        for at in points:
            with self.subTest(**at):
                self.aws.restore(self.saved)
                (self.folder / "journal.jsonl").unlink(missing_ok=True)
                play(at)

    def setUp(self):
        super().setUp()
        self.plan()
        self.saved = self.aws.saved()

    def test_apply_continues_and_undo_restores(self):
        points = list(self.points(self.apply))

        def play(at):
            before = self.aws.snapshot()
            self.crash(self.apply, **at)
            self.apply()
            self.assert_applied()
            self.undo()
            self.assertEqual(self.aws.snapshot(), before)

        self.each(points, play)

    def test_undo_restores_what_a_crashed_apply_left(self):
        points = list(self.points(self.apply))

        def play(at):
            before = self.aws.snapshot()
            self.crash(self.apply, **at)
            self.undo()
            self.assertEqual(self.aws.snapshot(), before)

        self.each(points, play)

    def test_undo_continues(self):
        self.apply()
        points = list(self.points(self.undo))

        def play(at):
            before = self.aws.snapshot()
            self.apply()
            self.crash(self.undo, **at)
            self.undo()
            self.assertEqual(self.aws.snapshot(), before)

        self.each(points, play)

    def test_apply_refuses_while_an_undo_is_not_finished(self):
        self.apply()
        self.crash(self.undo, call=6)
        self.assertIn("An undo of this plan was begun", self.apply(expect=1))


def crashing(aws, at, after):
    """Journal.write, which ends the process at a line: before it is written, or once it is on the disk."""
    write, count = journals.Journal.write, iter(range(1, 10_000))

    def called(self, *arguments, **members):
        last = next(count) == at
        if last and not after:
            aws.crash()
        write(self, *arguments, **members)
        if last:
            aws.crash()

    return called


class Drift(Account):
    def refuses(self, what):
        self.assertIn(what, self.run_command("apply", expect=1))
        count = len(self.aws.changes)
        told = self.apply(expect=1)
        self.assertIn("Changed since the plan", told)
        self.assertIn(what, told)
        calls = [one for one in self.aws.changes[count:] if one[0] != "ssm"]
        self.assertEqual(calls, [])
        self.assertEqual(self.aws.parameters, {}, "the lock was left")

    def test_a_changed_setting_of_the_pool(self):
        self.plan()
        self.aws.pool["Policies"]["PasswordPolicy"]["MinimumLength"] = 8
        self.refuses(f"pool {fake.POOL_ID}: Policies")

    def test_a_changed_mfa_setting(self):
        self.plan()
        self.aws.mfa["SoftwareTokenMfaConfiguration"] = {"Enabled": False}
        self.refuses("MFA settings")

    def test_a_trigger_that_another_function_took(self):
        self.plan()
        self.aws.pool["LambdaConfig"]["PostConfirmation"] = fake.function("theirs")
        self.refuses("pool: PostConfirmation")

    def test_another_trigger_that_was_removed(self):
        self.plan()
        del self.aws.pool["LambdaConfig"]["PreSignUp"]
        self.refuses("LambdaConfig.PreSignUp")

    def test_a_changed_client(self):
        self.plan()
        self.aws.clients_of_pool["web"]["RefreshTokenValidity"] = 31
        self.refuses("client web: RefreshTokenValidity")

    def test_a_new_method(self):
        self.plan()
        self.aws.rest["shop"]["routes"]["DELETE /orders"] = dict(self.aws.rest["shop"]["routes"]["GET /orders"])
        self.refuses("shop-name (shop): DELETE /orders")

    def test_a_method_of_another_authorizer(self):
        self.plan()
        self.aws.rest["shop"]["authorizers"]["theirs"] = {"id": "theirs", "name": "theirs", "type": "REQUEST"}
        self.aws.rest["shop"]["routes"]["GET /orders"] |= {"authorizationType": "CUSTOM", "authorizerId": "theirs"}
        self.refuses("rest:shop:GET /orders")

    def test_another_deployment(self):
        self.plan()
        self.aws.apigateway_CreateDeployment("shop", "new", "prod")
        self.refuses("rest:shop:stage:prod")

    def test_a_route_with_another_target(self):
        self.plan()
        self.aws.http["store"]["routes"]["r0"]["Target"] = "integrations/other"
        self.refuses("store-name (store): GET /stock")

    def test_a_stage_that_deploys_automatically_now(self):
        self.plan("--rest-api", "shop", "--http-api", "store")
        self.aws.http["store"]["stages"]["fixed"]["AutoDeploy"] = True
        self.refuses("store-name (store): AutoDeploy of fixed")

    def test_a_new_stage_that_deploys_automatically(self):
        self.plan("--stage", "fixed", "--stage", "$default")
        self.aws.http["store"]["stages"]["new"] = {"StageName": "new", "AutoDeploy": True}
        self.refuses("store-name (store): AutoDeploy of new")

    def plan_api(self, option, api):
        """A plan without triggers."""
        self.run_command("plan", "--user-pool", fake.POOL_ID, "--stack", "gatehouse", option, api)

    def test_an_api_that_another_plan_adopted_since(self):
        """The rules of this plan, which replace the deployed ones, lack those of the other."""
        self.plan_api("--rest-api", "shop")
        first, self.folder = self.folder, self.folder.with_name("other")
        self.plan_api("--http-api", "store")
        self.apply()
        self.folder = first
        self.refuses("gatehouse-adopt of other APIs: store")

    def test_an_api_that_another_plan_adopted_while_apply_was_interrupted(self):
        self.plan_api("--rest-api", "shop")
        self.aws.refuse = {"UpdateMethod": "TooManyRequestsException"}
        self.apply(expect=4)
        self.aws.refuse = {}
        first, self.folder = self.folder, self.folder.with_name("other")
        self.plan_api("--http-api", "store")
        self.apply()
        self.folder = first
        self.apply()
        self.assertEqual(self.aws.rest["shop"]["routes"]["GET /orders"]["authorizationType"], "CUSTOM")

    def test_an_authorizer_of_another_pool(self):
        self.plan()
        self.aws.variables["gatehouse-Authorizer"]["USER_POOL_ID"] = "eu-central-1_Other"
        self.refuses("the authorizer: USER_POOL_ID")

    def test_a_number_of_users_is_no_drift(self):
        self.plan()
        self.aws.pool |= {"EstimatedNumberOfUsers": 50_000}
        self.apply()

    def test_a_change_while_apply_runs(self):
        """Between the check of everything and the step itself."""
        self.plan()
        update, aws = fake.Fake.apigateway_UpdateMethod, self.aws

        def interfering(self, restApiId, resourceId, httpMethod, patchOperations):
            aws.rest["shop"]["authorizers"]["theirs"] = {"id": "theirs", "name": "theirs", "type": "REQUEST"}
            theirs = {"authorizationType": "CUSTOM", "authorizerId": "theirs"}
            aws.rest["shop"]["routes"]["POST /orders"] |= theirs
            return update(self, restApiId, resourceId, httpMethod, patchOperations)

        with mock.patch.object(fake.Fake, "apigateway_UpdateMethod", interfering):
            told = self.apply(expect=1)
        self.assertIn("rest:shop:POST /orders is neither as planned nor as applied", told)


class AnotherHand(Account):
    def setUp(self):
        super().setUp()
        self.before = self.aws.snapshot()
        self.plan()
        self.apply()

    def test_a_setting_that_is_not_ours_survives(self):
        self.aws.pool["SmsAuthenticationMessage"] = "neu: {####}"
        self.aws.rest["shop"]["routes"]["GET /orders"]["apiKeyRequired"] = True
        self.undo()
        self.assertEqual(self.aws.pool["SmsAuthenticationMessage"], "neu: {####}")
        self.assertTrue(self.aws.rest["shop"]["routes"]["GET /orders"]["apiKeyRequired"])
        self.assertEqual(self.aws.rest["shop"]["routes"]["GET /orders"]["authorizerId"], "cognito")

    def test_a_trigger_of_another_hand_is_kept_unless_it_is_named(self):
        theirs = fake.function("theirs")
        self.aws.pool["LambdaConfig"]["PostConfirmation"] = theirs
        state = self.aws.snapshot()
        self.assertIn(f"'pool' overwrites it: PostConfirmation {theirs}", self.run_command("undo"))
        told = self.undo(expect=1)
        self.assertIn(f"pool: PostConfirmation {theirs}", told)
        self.assertEqual(self.aws.snapshot(), state)
        self.undo("--force", "pool")
        self.assertEqual(self.aws.snapshot(), self.before)

    def test_a_newer_deployment_is_kept(self):
        """With --force the stage gets a deployment of the restored methods, not the former one without the news."""
        new = {"httpMethod": "GET", "authorizationType": "NONE"}
        self.aws.rest["shop"]["routes"]["GET /new"] = new
        newer = self.aws.apigateway_CreateDeployment("shop", "theirs", "prod")["id"]
        self.assertIn(f"rest:shop:stage:prod: deploymentId {newer}", self.undo(expect=1))
        self.undo("--force", "rest:shop:stage:prod")
        served = self.aws.rest["shop"]["snapshots"][self.aws.rest["shop"]["stages"]["prod"]["deploymentId"]]
        self.assertEqual(served["GET /new"], new)
        self.assertEqual(served["GET /orders"]["authorizerId"], "cognito")
        self.assertEqual(list(self.aws.rest["shop"]["authorizers"]), ["cognito"])

    def test_an_authorizer_in_use_by_another_route_stays(self):
        (ours,) = set(self.aws.rest["shop"]["authorizers"]) - {"cognito"}
        theirs = {"httpMethod": "PUT", "authorizationType": "CUSTOM", "authorizerId": ours}
        self.aws.rest["shop"]["routes"]["PUT /orders"] = theirs
        self.assertIn("rest:shop:authorizer: in use by rest:shop:PUT /orders", self.undo(expect=1))
        told = self.undo("--force", "rest:shop:authorizer")
        self.assertIn("permission to invoke the authorizer: left out, because rest:shop:authorizer uses it", told)
        self.assertIn(ours, self.aws.rest["shop"]["authorizers"])
        self.aws.apigateway_CreateDeployment("shop", "theirs", "test")
        self.aws.check()
        self.assertEqual(self.aws.rest["shop"]["routes"]["GET /orders"]["authorizerId"], "cognito")

    def test_the_permission_of_an_authorizer_in_use_stays_for_http_apis_too(self):
        (ours,) = set(self.aws.http["store"]["authorizers"]) - {"jwt"}
        (route,) = [one for one in self.aws.http["store"]["routes"].values() if one["RouteKey"] == "GET /open"]
        route |= {"AuthorizationType": "CUSTOM", "AuthorizerId": ours}
        self.assertIn("http:store:authorizer: in use by http:store:GET /open", self.undo(expect=1))
        self.undo("--force", "http:store:authorizer")
        self.aws.check()

    def test_a_permission_is_not_needed_if_another_statement_grants_the_same(self):
        self.aws.rest["shop"]["routes"]["PUT /orders"] = dict(self.aws.rest["shop"]["routes"]["POST /orders"])
        statements = self.aws.policies[fake.function("gatehouse-Authorizer")]
        (name,) = [one for one in statements if one.endswith("-shop")]
        statements["theirs"] = statements[name] | {"Sid": "theirs"}
        self.undo("--force", "rest:shop:authorizer")
        self.assertEqual(list(statements), ["theirs"])
        self.aws.check()

    def test_a_canary_that_serves_what_apply_made(self):
        shop = self.aws.rest["shop"]
        newer = self.aws.apigateway_CreateDeployment("shop", "theirs")["id"]
        shop["stages"]["prod"]["canarySettings"] = {"deploymentId": newer, "percentTraffic": 5.0}
        told = self.undo(expect=1)
        self.assertIn("rest:shop:authorizer: in use by rest:shop:stage:prod canary", told)
        shop["stages"]["prod"]["canarySettings"]["deploymentId"] = shop["stages"]["prod"]["deploymentId"]
        self.assertIn("rest:shop:deployment: in use by rest:shop:stage:prod canary", self.undo(expect=1))

    def test_a_repeated_undo_after_a_new_deployment_of_the_restored_routes(self):
        """Their deployment is newer than the authorizer, and does not use it."""
        self.aws.apigatewayv2_CreateDeployment("store", "theirs", "fixed")
        self.aws.apigateway_CreateDeployment("shop", "theirs", "prod")
        forced = [word for api in ("http:store:stage:fixed", "rest:shop:stage:prod") for word in ("--force", api)]
        self.aws.refuse = {"DeleteAuthorizer": "TooManyRequestsException"}
        self.undo(*forced, expect=4)
        self.aws.refuse = {}
        self.undo()
        self.assertEqual(list(self.aws.http["store"]["authorizers"]), ["jwt"])
        self.assertEqual(list(self.aws.rest["shop"]["authorizers"]), ["cognito"])

    def test_a_method_that_is_gone(self):
        del self.aws.rest["shop"]["routes"]["POST /orders"]
        self.assertIn("rest:shop:POST /orders: absent", self.undo(expect=1))
        self.undo("--force", "rest:shop:POST /orders")
        self.assertEqual(list(self.aws.rest["shop"]["authorizers"]), ["cognito"])

    def test_an_api_and_a_pool_that_are_gone(self):
        del self.aws.rest["shop"]
        told = self.undo(expect=1)
        steps = [one["id"] for one in self.planned()["steps"] if one["kind"] in ("rest-method", "rest-stage")]
        for step in steps:
            self.assertIn(f"{step}: absent", told)
        with mock.patch.object(fake.Fake, "same_pool", fake.gone):
            self.assertIn("pool: absent", self.undo(expect=1))
            self.undo(*[word for step in [*steps, "pool"] for word in ("--force", step)])
        self.assertEqual(self.aws.snapshot()[4:], self.before[4:])

    def test_only_steps_of_the_plan_can_be_forced(self):
        self.assertIn("no step everything", self.undo("--force", "everything", expect=1))


class OtherStages(Account):
    """Another hand deploys what apply has switched to a stage that the plan leaves alone."""

    def undo_refuses(self, api, stage):
        told = self.run_command("undo")
        self.assertIn(f"--force '{api}:authorizer' leaves it: in use by {api}:stage:{stage}", told)
        count = len(self.aws.changes)
        self.assertIn(f"{api}:authorizer: in use by {api}:stage:{stage}", self.undo(expect=1))
        self.assertEqual([one for one in self.aws.changes[count:] if one[0] != "ssm"], [])
        self.undo("--force", f"{api}:authorizer", "--force", f"{api}:deployment")
        self.aws.check()

    def test_of_a_rest_api(self):
        self.plan("--rest-api", "shop", "--stage", "test")
        self.apply()
        self.aws.apigateway_CreateDeployment("shop", "theirs", "prod")
        self.undo_refuses("rest:shop", "prod")

    def test_of_a_rest_api_by_a_new_stage(self):
        self.plan("--rest-api", "shop")
        self.apply()
        made = self.aws.rest["shop"]["stages"]["prod"]["deploymentId"]
        self.aws.rest["shop"]["stages"]["new"] = {"stageName": "new", "deploymentId": made}
        self.undo_refuses("rest:shop", "new")

    def test_of_an_http_api(self):
        self.aws.http["store"]["stages"]["$default"] |= {
            "AutoDeploy": False,
            "DeploymentId": self.aws.apigatewayv2_CreateDeployment("store")["DeploymentId"],
        }
        self.aws.http["store"]["deployments"]["made4"]["CreatedDate"] -= datetime.timedelta(days=1)
        self.plan("--http-api", "store", "--stage", "fixed")
        self.apply()
        self.aws.apigatewayv2_CreateDeployment("store", "theirs", "$default")
        self.undo_refuses("http:store", "$default")

    def test_before_apply_came_to_the_stage(self):
        """The plan would have switched the stage, and undo does not restore what apply did not change."""
        self.plan("--rest-api", "shop")
        self.aws.refuse = {"CreateDeployment": "TooManyRequestsException"}
        self.apply(expect=4)
        self.aws.refuse = {}
        self.aws.apigateway_CreateDeployment("shop", "theirs", "prod")
        self.undo_refuses("rest:shop", "prod")

    def test_an_older_deployment_is_not_in_the_way(self):
        """It has another Lambda authorizer, or does not show which."""
        self.aws.today = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
        shop, store = self.aws.rest["shop"], self.aws.http["store"]
        older = shop["snapshots"][shop["stages"]["prod"]["deploymentId"]]
        older["GET /orders"] |= {"authorizationType": "CUSTOM", "authorizerId": "cognito"}
        manual = {"AutoDeploy": False, "DeploymentId": self.aws.apigatewayv2_CreateDeployment("store")["DeploymentId"]}
        store["stages"]["$default"] |= manual
        self.aws.today = None
        before = self.aws.snapshot()
        self.plan("--stage", "test", "--stage", "fixed")
        self.apply()
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_a_deployment_without_a_lambda_authorizer_is_not_in_the_way(self):
        self.plan("--rest-api", "shop", "--stage", "test")
        self.apply()
        self.aws.apigateway_CreateDeployment("shop", "theirs", "prod")
        for method in self.aws.rest["shop"]["snapshots"][
            self.aws.rest["shop"]["stages"]["prod"]["deploymentId"]
        ].values():
            method["authorizationType"] = "NONE"
        self.undo()
        self.assertEqual(list(self.aws.rest["shop"]["authorizers"]), ["cognito"])


class TwoAtOnce(Account):
    def test_another_plan_of_the_same_api_waits(self):
        self.plan()
        held = json.dumps({"plan": "other", "by": "ada@laptop"})
        self.aws.parameters["/gatehouse/adopt/shop"] = held
        told = self.apply(expect=1)
        self.assertIn("held by plan other of ada@laptop", told)
        self.assertEqual(self.aws.parameters, {"/gatehouse/adopt/shop": held})
        self.apply("--unlock")
        self.assert_applied()
        self.assertEqual(self.aws.parameters, {})

    def test_the_same_plan_on_another_machine_waits(self):
        self.plan()
        with mock.patch("socket.gethostname", lambda: "other"), self.assertRaises(fake.Crash):
            with mock.patch.object(self.aws, "crash_at", 4):
                self.apply()
        self.aws.dead = False
        self.assertTrue(self.aws.parameters)
        self.assertIn("@other", self.apply(expect=1))
        self.apply("--unlock")
        self.assertEqual(self.aws.parameters, {})

    def test_a_lock_that_another_took_over_stays_theirs(self):
        self.plan()
        theirs = {"/gatehouse/adopt/shop": json.dumps({"plan": "other", "by": "ada@laptop"})}
        update = fake.Fake.cognito_idp_UpdateUserPool

        def taken_over(account, **sent):
            account.parameters |= theirs
            update(account, **sent)

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", taken_over):
            self.apply()
        self.assertEqual(self.aws.parameters, theirs)

    def test_the_same_plan_on_this_machine_waits(self):
        self.plan()
        with journals.Journal(self.folder / "journal.jsonl", self.planned()["id"]):
            self.assertIn("is in use", self.apply(expect=1))
        self.apply()

    def test_a_caller_without_the_parameter_store_is_told_what_is_missing(self):
        self.plan()
        self.aws.refuse = {"PutParameter": "AccessDeniedException"}
        self.assertIn("needs ssm:PutParameter", self.apply(expect=4))
        self.assertEqual(self.changes(), [])

    def changes(self):
        return [one for one in self.aws.changes if one[0] != "ssm"]

    def test_a_missing_permission_stops_where_it_is_and_a_later_apply_continues(self):
        self.plan()
        self.aws.refuse = {"UpdateUserPool": "AccessDeniedException"}
        self.assertIn("UpdateUserPool: AccessDeniedException", self.apply(expect=4))
        self.assertEqual(self.aws.parameters, {})
        self.aws.refuse = {}
        self.apply()
        self.assert_applied()


class TheLock(Account):
    """Two processes between each other's calls."""

    name = "/gatehouse/adopt/shop"

    def take(self, plan, unlock=False):
        lock.take(self.aws.client("ssm"), self.name, {"plan": plan, "by": plan}, unlock)

    def between(self, operation, *plays):
        """Plays something before each call of an operation."""
        plays, method = iter(plays), getattr(fake.Fake, f"ssm_{operation}")

        def called(account, **sent):
            next(plays, lambda: None)()
            return method(account, **sent)

        return mock.patch.object(fake.Fake, f"ssm_{operation}", called)

    def holder(self):
        return json.loads(self.aws.parameters[self.name])["plan"]

    def release(self):
        del self.aws.parameters[self.name]

    def test_a_lock_that_is_released_between_is_taken_by_one(self):
        self.take("c")

        def b_takes_it():
            self.release()
            self.take("b")

        with self.between("GetParameter", b_takes_it), self.assertRaisesRegex(Refused, "held by plan b"):
            self.take("a")
        self.assertEqual(self.holder(), "b")

    def test_a_lock_that_is_released_and_taken_after_it_was_read(self):
        self.take("c")
        with self.between("GetParameter", self.release):
            with self.between("PutParameter", lambda: None, lambda: self.take("b")):
                with self.assertRaisesRegex(Refused, "held by plan b"):
                    self.take("a")
        self.assertEqual(self.holder(), "b")

    def test_a_lock_that_is_free_again_is_taken(self):
        self.take("c")
        with self.between("GetParameter", self.release):
            self.take("a")
        self.assertEqual(self.holder(), "a")

    def test_two_that_unlock_at_once(self):
        self.take("gone")
        with self.between("PutParameter", lambda: None, lambda: self.take("b", unlock=True)):
            with self.assertRaisesRegex(Refused, "taken by another process too"):
                self.take("a", unlock=True)
        # B goes on. Its lock is not removed by B, whose name it lacks: the next process needs --unlock.
        lock.release(self.aws.client("ssm"), self.name, {"plan": "b", "by": "b"})
        with self.assertRaisesRegex(Refused, "held by plan a"):
            self.take("c")
        self.take("c", unlock=True)
        self.assertEqual(self.holder(), "c")

    def test_an_unlock_of_what_is_released_meanwhile(self):
        self.take("gone")
        with self.between("PutParameter", lambda: None, self.release):
            self.take("a", unlock=True)
        self.assertEqual(self.holder(), "a")

    def test_its_own_lock_is_taken_again(self):
        self.take("a")
        self.take("a")
        self.assertEqual((self.holder(), self.aws.versions[self.name]), ("a", 1))

    def test_one_that_changes_all_the_time(self):
        def refused(account, **_):
            raise fake.Failure("ParameterAlreadyExists", "it exists")

        with mock.patch.object(fake.Fake, "ssm_PutParameter", refused):
            with self.assertRaisesRegex(Refused, "all the time"):
                self.take("a")


class TheJournal(Account):
    def setUp(self):
        super().setUp()
        self.plan()
        self.path = self.folder / "journal.jsonl"

    def test_it_has_no_secret_and_one_reader(self):
        os.umask(os.umask(0o022))
        self.apply()
        for path in (self.path, self.folder / "plan.json"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertNotIn("not-in-a-journal-of-a-plan", path.read_text())
            self.assertNotIn("not read", path.read_text())

    def test_each_line_is_on_the_disk_before_the_call(self):
        with mock.patch("os.fsync") as synced:
            self.apply()
        lines = self.path.read_text().splitlines()
        self.assertEqual(synced.call_count, len(lines))

    def test_a_torn_last_line_is_left_out(self):
        self.apply()
        text = self.path.read_text()
        self.path.write_text(text[:-20])
        self.apply()
        self.assertEqual([json.loads(line) for line in self.path.read_text().splitlines()][0]["event"], "opened")

    def test_a_damaged_line_is_refused(self):
        self.apply()
        lines = self.path.read_text().splitlines(keepends=True)
        for damaged in ("{\n", "[]\n", '{"at": 1}\n', "\n"):
            self.path.write_text("".join([lines[0], damaged, *lines[1:]]))
            self.assertIn("line 2 is damaged", self.apply(expect=1))

    def test_a_journal_of_another_plan_is_refused(self):
        self.apply()
        self.assertIn("keep it for undo", self.plan(expect=1))
        made = self.planned() | {"id": "other"}
        (self.folder / "plan.json").write_text(json.dumps(made))
        self.assertIn("belongs to another plan", self.apply(expect=1))


class Stale(Account):
    """AWS serves the former state for a moment after a change."""

    def test_reads_after_a_change_are_repeated(self):
        self.plan()
        before, answer, former = self.aws.snapshot(), fake.Fake.answer, {}

        def stale(account, model, context, **more):
            name = (model.name, json.dumps(context["params"], sort_keys=True))
            changes = len([one for one in account.changes if one[0] != "ssm"])
            response = answer(account, model, context, **more)
            if not model.name.startswith(fake.READS) or model.service_model.service_name in ("ssm", "sts"):
                return response
            seen, old = former.get(name, (changes, response))
            former[name] = (changes, response)
            return old if seen == changes - 1 else response

        self.aws.clients.clear()
        with mock.patch.object(fake.Fake, "answer", stale):
            self.apply()
            self.assert_applied()
            updates = [name for _, name, _ in self.aws.changes if name == "UpdateUserPool"]
            self.assertEqual(len(updates), 1)
            former.clear()
            self.undo()
        self.assertEqual(self.aws.snapshot(), before)


class LostFields(Account):
    """AWS changes more than it was asked to: the update is taken back."""

    def test_a_field_of_the_pool(self):
        self.plan()
        before, update = self.aws.snapshot(), fake.Fake.cognito_idp_UpdateUserPool
        calls = []

        def losing(account, UserPoolId, **sent):
            calls.append(sent)
            if len(calls) == 1:
                sent = {name: value for name, value in sent.items() if name != "UserPoolAddOns"}
            update(account, UserPoolId, **sent)

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", losing):
            told = self.apply(expect=1)
        self.assertIn("changed UserPoolAddOns besides what it was for. It was put back.", told)
        self.assertEqual(self.aws.snapshot()[:2], before[:2])
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_the_mfa_settings(self):
        self.plan()
        before, update = self.aws.snapshot(), fake.Fake.cognito_idp_UpdateUserPool

        def losing(account, UserPoolId, **sent):
            update(account, UserPoolId, **sent)
            account.mfa["SoftwareTokenMfaConfiguration"] = {"Enabled": False}

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", losing):
            self.assertIn("MFA settings", self.apply(expect=1))
        self.assertEqual(self.aws.snapshot()[1], before[1])

    def test_required_mfa_is_put_back_in_an_order_that_aws_accepts(self):
        self.aws.pool["MfaConfiguration"] = self.aws.mfa["MfaConfiguration"] = "ON"
        self.plan()
        before, update = self.aws.snapshot(), fake.Fake.cognito_idp_UpdateUserPool
        calls = []

        def losing(account, UserPoolId, **sent):
            calls.append(sent)
            update(account, UserPoolId, **sent if len(calls) > 1 else sent | {"MfaConfiguration": "OFF"})

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", losing):
            told = self.apply(expect=1)
        self.assertIn("changed MFA settings, MfaConfiguration besides what it was for. It was put back.", told)
        self.assertEqual(self.aws.snapshot()[:2], before[:2])

    def test_a_call_that_fails_while_it_is_put_back_is_named(self):
        self.plan()
        update, calls = fake.Fake.cognito_idp_UpdateUserPool, []

        def losing(account, UserPoolId, **sent):
            calls.append(sent)
            if len(calls) > 1:
                raise fake.Failure("InternalErrorException", "again")
            update(account, UserPoolId, **{name: value for name, value in sent.items() if name != "UserPoolTags"})

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", losing):
            told = self.apply(expect=1)
        self.assertIn("except UserPoolTags (UpdateUserPool: InternalErrorException): set that by hand", told)

    def test_a_field_that_cannot_be_put_back_is_named(self):
        self.plan()
        update = fake.Fake.cognito_idp_UpdateUserPool

        def losing(account, UserPoolId, **sent):
            update(account, UserPoolId, **{name: value for name, value in sent.items() if name != "UserPoolTags"})

        with mock.patch.object(fake.Fake, "cognito_idp_UpdateUserPool", losing):
            self.assertIn("except UserPoolTags: set that by hand", self.apply(expect=1))


class TokenRevocation(Account):
    def setUp(self):
        super().setUp()
        self.aws.add_client("legacy", EnableTokenRevocation=False, AccessTokenValidity=2)
        self.aws.variables["gatehouse-Authorizer"]["APP_CLIENT_IDS"] = "web,legacy"

    def test_it_stops_the_plan(self):
        self.assertIn("STOP token-revocation: clients without token revocation: legacy (legacy app)", self.plan())
        self.assertIn("STOP token-revocation", self.apply(expect=1))

    def test_apply_enables_it_and_continues_once_the_tokens_of_before_have_expired(self):
        before = self.aws.snapshot()
        self.plan("--enable-token-revocation")
        told = self.apply(expect=3)
        self.assertIn("repeat the command after", told)
        client = before[2]["legacy"] | {"EnableTokenRevocation": True}
        self.assertEqual(self.aws.snapshot()[2]["legacy"], client)
        self.assertEqual({one["authorizationType"] for one in self.served()}, {"COGNITO_USER_POOLS", "NONE"})
        self.assertEqual(self.aws.parameters, {})
        later = [0]
        with mock.patch.object(run, "apply", with_sleep(run.apply, later)):
            self.apply("--wait")
        self.assertTrue(7_000 < later[1] <= 7_200, later)
        self.assert_applied()
        self.undo()
        self.assertEqual(self.aws.snapshot(), before)

    def test_the_tokens_of_before_have_to_expire_again_after_an_undo(self):
        before = self.aws.snapshot()
        self.plan("--enable-token-revocation")
        for _ in range(2):
            self.assertIn("repeat the command after", self.apply(expect=3))
            self.assertEqual({one["authorizationType"] for one in self.served()}, {"COGNITO_USER_POOLS", "NONE"})
            later = [0]
            with mock.patch.object(run, "apply", with_sleep(run.apply, later)):
                self.apply("--wait", "--settle", "7")
            self.assertTrue(7_000 < later[1] <= 7_200, later)
            self.assertEqual(later[2:], [7], "permissions are new too")
            self.undo()
            self.assertEqual(self.aws.snapshot(), before)

    def test_the_tokens_of_before_have_to_expire_if_another_hand_enabled_it(self):
        self.plan("--enable-token-revocation")
        self.aws.clients_of_pool["legacy"]["EnableTokenRevocation"] = True
        self.assertIn("repeat the command after", self.apply(expect=3))
        self.undo()
        self.assertTrue(self.aws.clients_of_pool["legacy"]["EnableTokenRevocation"])

    def test_a_pause_is_not_repeated_by_an_apply_that_continues(self):
        self.plan("--enable-token-revocation")
        later = [0]
        with mock.patch.object(run, "apply", with_sleep(run.apply, later)):
            self.aws.refuse = {"UpdateMethod": "TooManyRequestsException"}
            self.apply("--wait", "--settle", "7", expect=4)
            self.aws.refuse = {}
            self.apply("--settle", "7")
        self.assertEqual(len(later), 3)

    def served(self):
        stage = self.aws.rest["shop"]["stages"]["prod"]
        return self.aws.rest["shop"]["snapshots"][stage["deploymentId"]].values()


if __name__ == "__main__":
    unittest.main()
