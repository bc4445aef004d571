"""Tests of live_checks.py: each verdict from responses of AWS's form, and that the page names every check."""

import json
import pathlib
import re
import unittest
from unittest import mock

from botocore.exceptions import ClientError

import live_checks as live
from test_operate import SUB, FakeStack, quiet

ROUTES = {f"~1auth~1{route}/POST": {"throttlingRateLimit": 20.0} for route in live.THROTTLED}
EVERYWHERE = {"*/*": {"throttlingRateLimit": 100.0}}


def refused(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")


class Verdicts(unittest.TestCase):
    def setUp(self):
        self.stack = FakeStack(self, {"StageName": "prod"})
        self.stack.options = mock.Mock(wait=0, load=False)
        self.stack.client("cognito-idp")
        self.live = live.Live(self.stack, mock.Mock())

    def of(self, identifier):
        with quiet():
            return live.run(self.live, [identifier])[identifier]

    def test_throttles_count_only_where_the_method_is(self):
        gateway = self.stack.stub("apigateway")
        for settings, wanted in (
            (EVERYWHERE | ROUTES, live.PASS),
            (EVERYWHERE | {key.replace("~1", "/"): value for key, value in ROUTES.items()}, live.FAIL),
            (EVERYWHERE | {key: EVERYWHERE["*/*"] for key in ROUTES}, live.FAIL),
            (EVERYWHERE, live.FAIL),
        ):
            gateway.add_response("get_stage", {"methodSettings": settings})
            self.assertEqual(self.of("D2")[0], wanted, settings)

    def test_a_second_stage_fails(self):
        gateway = self.stack.stub("apigateway")
        for names, wanted in ((["prod"], live.PASS), (["Stage", "prod"], live.FAIL)):
            gateway.add_response("get_stages", {"item": [{"stageName": name} for name in names]})
            self.assertEqual(self.of("D3")[0], wanted)

    def test_the_alias_must_have_the_last_update(self):
        function = "arn:aws:lambda:us-east-1:123456789012:function:prod-Authorizer"
        self.stack.outputs["AuthorizerAlias"] = f"{function}:live"
        code = {"CodeSha256": "a", "Environment": {"Variables": {"TOKEN_USE": "access"}}, "Layers": [{"Arn": "layer:1", "CodeSize": 1}]}
        for uri, latest, wanted in (
            (f"{function}:live", {}, live.PASS),
            (f"{function}:live", {"Layers": [{"Arn": "layer:1", "CodeSize": 2}]}, live.PASS),
            (function, {}, live.FAIL),
            (f"{function}:live", {"CodeSha256": "b"}, live.FAIL),
            (f"{function}:live", {"Environment": {"Variables": {"TOKEN_USE": "id"}}}, live.FAIL),
            (f"{function}:live", {"Layers": [{"Arn": "layer:2"}]}, live.FAIL),
        ):
            authorizer = {"name": "gatehouse", "authorizerUri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{uri}/invocations"}
            self.stack.stub("apigateway").add_response("get_authorizers", {"items": [authorizer]})
            functions = self.stack.stub("lambda")
            functions.add_response("get_function_configuration", code | {"Version": "2"}, {"FunctionName": function, "Qualifier": "live"})
            functions.add_response("get_function_configuration", code | latest, {"FunctionName": function})
            self.assertEqual(self.of("alias")[0], wanted, latest)

    def test_without_an_alias_the_function_itself_is_invoked(self):
        function = "arn:aws:lambda:us-east-1:123456789012:function:prod-Authorizer"
        for uris, wanted in (([function], live.PASS), ([function, f"{function}:live"], live.FAIL), ([f"{function}:7"], live.FAIL), ([], live.FAIL)):
            authorizers = [
                {"name": str(place), "authorizerUri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{uri}/invocations"}
                for place, uri in enumerate(uris)
            ]
            self.stack.stub("apigateway").add_response("get_authorizers", {"items": authorizers})
            self.assertEqual(self.of("alias")[0], wanted, uris)

    def test_a_call_without_permission_is_unknown(self):
        self.stack.stub("apigateway").add_client_error("get_stages", "AccessDeniedException")
        verdict, seen = self.of("D3")
        self.assertEqual(verdict, live.UNKNOWN)
        self.assertIn("AccessDenied", seen)

    def test_an_unexpected_response_is_unknown(self):
        self.stack.stub("apigateway").add_response("get_stages", {})
        self.assertEqual(self.of("D3")[0], live.UNKNOWN)

    def test_mapped_attributes(self):
        pool = self.stack.stub("cognito-idp")
        for mapping, writable, wanted in (
            ({"email": "email", "email_verified": "email_verified"}, ["email", "name"], live.UNKNOWN),
            ({"email": "email", "picture": "picture"}, ["email", "name"], live.FAIL),
            ({"email": "email", "username": "sub"}, ["email", "name"], live.PASS),
            ({"picture": "picture"}, None, live.PASS),
        ):
            pool.add_response("list_identity_providers", {"Providers": [{"ProviderName": "Google"}]})
            client = {"WriteAttributes": writable} if writable else {}
            pool.add_response("describe_user_pool_client", {"UserPoolClient": client})
            provider = {
                "UserPoolId": "us-east-1_AbC123xyz",
                "ProviderName": "Google",
                "ProviderType": "Google",
                "ProviderDetails": {},
                "AttributeMapping": mapping,
            }
            pool.add_response("describe_identity_provider", {"IdentityProvider": provider})
            self.assertEqual(self.of("D41")[0], wanted, mapping)

    def with_user(self):
        user = mock.Mock(email="a@example.com", password="Aa1-password", sub=SUB)
        return mock.patch.object(live.Live, "user", return_value=user)

    def test_reset_required_must_not_tell_who_has_an_account(self):
        for wrong, wanted in (("NotAuthorizedException", live.PASS), ("PasswordResetRequiredException", live.FAIL)):
            self.stack.stub("cognito-idp").add_response("admin_reset_user_password", {})
            told = ["PasswordResetRequiredException", wrong, "NotAuthorizedException"]
            with self.with_user(), mock.patch.object(live.Live, "sign_in", side_effect=map(refused, told)):
                self.assertEqual(self.of("reset-required")[0], wanted)

    def test_refreshing_must_keep_the_session(self):
        def token(**claims):
            import base64

            return "x." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".x"

        first = {"AccessToken": token(origin_jti="o", auth_time=1, jti="a"), "RefreshToken": "r"}
        for claims, wanted in (({"origin_jti": "o", "auth_time": 1}, live.PASS), ({"origin_jti": "o", "auth_time": 2}, live.FAIL)):
            second = {"AccessToken": token(jti="b", **claims)}
            with (
                self.with_user(),
                mock.patch.object(live.Live, "sign_in", return_value=first),
                mock.patch.object(live.Live, "refresh", return_value=second),
                mock.patch("live_checks.time.sleep"),
            ):
                self.assertEqual(self.of("refresh")[0], wanted)

    def records(self, record):
        """The verdict if every call has this record (None: no record), after one lookup."""
        self.stack.options = mock.Mock(wait=1e-9)
        events = [{"CloudTrailEvent": json.dumps(record)}] if record else []
        pages = mock.Mock()
        pages.get_paginator.return_value.paginate.return_value = [{"Events": events}]
        with (
            self.with_user(),
            mock.patch("live_checks.provoke", return_value=["RevokeToken", "ChangePassword"]),
            mock.patch("live_checks.time.sleep"),
            mock.patch.object(self.stack, "client", return_value=pages),
        ):
            return self.of("D7-records")

    def test_records_must_name_the_user(self):
        self.assertEqual(self.records({"additionalEventData": {"sub": SUB}})[0], live.PASS)
        hidden = {"additionalEventData": {"sub": "HIDDEN_DUE_TO_SECURITY_REASONS"}, "errorCode": ""}
        verdict, seen = self.records(hidden)
        self.assertEqual(verdict, live.FAIL)
        self.assertIn("empty errorCode: RevokeToken", seen)
        self.assertEqual(self.records({"requestParameters": None, "additionalEventData": None})[0], live.FAIL)

    def test_missing_records_are_unknown(self):
        self.assertEqual(self.records(None)[0], live.UNKNOWN)

    def test_the_status_is_that_of_the_failures(self):
        for verdict, status in ((live.FAIL, 1), (live.UNKNOWN, 0), (live.PASS, 0)):
            with (
                mock.patch("live_checks.target.of", return_value=self.stack),
                mock.patch("live_checks.run", return_value={"D3": (verdict, "")}),
                mock.patch("live_checks.signal.signal"),
                quiet(),
            ):
                self.assertEqual(live.main([]), status)


class Page(unittest.TestCase):
    def test_the_page_has_every_check_that_is_scripted(self):
        page = (pathlib.Path(__file__).parent.parent / "docs" / "live-checks.md").read_text()
        scripted = re.findall(r"^\| `([A-Za-z0-9-]+)` \|", page, re.MULTILINE)
        self.assertEqual(sorted(scripted), sorted(live.CHECKS))


if __name__ == "__main__":
    unittest.main()
