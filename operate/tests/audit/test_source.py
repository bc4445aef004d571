"""Reading from AWS: throttles, failures, pages, pace, secrets."""

import collections
import contextlib
import http.server
import io
import json
import os
import pathlib
import tempfile
import threading
import unittest
import unittest.mock

import boto3
from botocore.config import Config

from audit.support import RECORDED, cli, lines, run
from gatehouse_operate import aws
from gatehouse_operate.audit import source
from gatehouse_operate.audit.calls import CALLS, policy
from gatehouse_operate.audit.read import Reader, Targets

POOL = "us-east-1_Amplify01"
CLIENTS = 300
# For tests that are not about many.
FEW = 12
PAGE = 60


class Fake(http.server.BaseHTTPRequestHandler):
    """Cognito with a pool of many clients. `answers` replaces an operation's answer; a function may count calls."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        with self.server.lock:
            self.server.calls[operation] += 1
            number = self.server.calls[operation]
        status, answer = self.server.answers.get(operation, recorded)(operation, body, number)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def recorded(operation, body, _):
    """The recorded answer of Amplify's pool."""
    command = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in operation).strip("-")
    names = {"get-web-a-c-l-for-resource": "get-web-acl-for-resource"}
    found = next(RECORDED.glob(f"amplify/*.{names.get(command, command)}.*json"), None)
    return (200, json.loads(found.read_text(), object_hook=without_times)) if found else (400, {"__type": "X"})


def without_times(value):
    return {key: member for key, member in value.items() if not key.endswith("Date")}


def pages(clients):
    """ListUserPoolClients of a pool with so many clients."""

    def answer(_, body, __):
        start = int(body.get("NextToken", 0))
        end = min(start + PAGE, clients)
        ids = [{"ClientId": f"client{number:020}", "UserPoolId": POOL} for number in range(start, end)]
        return 200, {"UserPoolClients": ids} | ({"NextToken": str(end)} if end < clients else {})

    return answer


def one_client(_, body, __):
    names = {"UserPoolId": POOL, "ClientId": body["ClientId"], "ClientName": "many", "ClientSecret": "very-secret"}
    return 200, {"UserPoolClient": names | {"EnableTokenRevocation": True, "RefreshTokenValidity": 30}}


def failing(code, times=10**9, otherwise=one_client, status=400):
    """An answer that fails as often as stated, and then is another."""

    def answer(operation, body, number):
        if number <= times:
            return status, {"__type": code, "message": f"{POOL} is not yours, arn:aws:iam::1:user/x"}
        return otherwise(operation, body, number)

    return answer


@contextlib.contextmanager
def cognito(answers, clients=FEW):
    """A server with these answers, and a boto3 session's variables for it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.answers = {"ListUserPoolClients": pages(clients), "DescribeUserPoolClient": one_client} | answers
    server.calls, server.lock = collections.Counter(), threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        with unittest.mock.patch.dict(os.environ, variables):
            yield server
    finally:
        server.shutdown()
        server.server_close()


def quick():
    """A source without pauses between calls, whose retries are those of the product in number and mode."""
    return source.Live(aws.Aws(region="us-east-1"), per_second=10000)


def read(live):
    return Reader(live, "us-east-1").read(Targets(pools=(POOL,)))


class Retries(unittest.TestCase):
    def setUp(self):
        # botocore waits by time.sleep; the tests do not.
        self.enterContext(unittest.mock.patch("botocore.endpoint.time.sleep", lambda _: None))

    def test_the_retries_are_adaptive(self):
        self.assertEqual(aws.RETRIES.retries, {"mode": "adaptive", "total_max_attempts": 12})

    def test_a_throttled_call_is_repeated(self):
        for code in ("TooManyRequestsException", "ThrottlingException"):
            with cognito({"DescribeUserPool": failing(code, 2, recorded)}) as server:
                facts = read(quick())
                self.assertEqual(server.calls["DescribeUserPool"], 3)
            self.assertEqual([one for one in facts.problems if one.kind == "throttled"], [])
            self.assertEqual(len(facts.pools[0].clients), FEW)

    def test_a_call_that_is_throttled_for_ever_is_reported(self):
        never = Config(retries={"mode": "standard", "total_max_attempts": 2})
        with unittest.mock.patch.object(aws, "RETRIES", never):
            with cognito({"GetUserPoolMfaConfig": failing("TooManyRequestsException")}):
                facts = read(quick())
        self.assertEqual([one.kind for one in facts.problems if "mfa" in one.call.operation], ["throttled"])

    def test_denied_failed_and_unreadable_answers_are_reported_without_their_message(self):
        cases = {
            "AccessDeniedException": "denied",
            "NotAuthorizedException": "denied",
            "InternalErrorException": "failed",
            "InvalidParameterException": "failed",
        }
        never = Config(retries={"mode": "standard", "total_max_attempts": 1})
        for code, kind in cases.items():
            with unittest.mock.patch.object(aws, "RETRIES", never):
                with cognito({"DescribeUserPoolClient": failing(code)}):
                    facts = read(quick())
            found = [one for one in facts.problems if one.call.operation == "describe_user_pool_client"]
            self.assertEqual({one.kind for one in found}, {kind}, code)
            self.assertEqual(len(found), FEW)
            self.assertNotIn("user/x", "".join(one.reason for one in found))

    def test_a_server_that_ends_the_connection_is_reported(self):
        never = Config(retries={"mode": "standard", "total_max_attempts": 1})
        variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        with unittest.mock.patch.dict(os.environ, variables), unittest.mock.patch.object(aws, "RETRIES", never):
            facts = read(quick())
        self.assertEqual([one.kind for one in facts.problems], ["failed"])

    def test_expired_credentials_end_the_audit(self):
        with cognito({"DescribeUserPool": failing("ExpiredTokenException")}):
            code, out, err = run("--user-pool-id", POOL, "--quiet")
        self.assertEqual((code, out), (cli.UNREADABLE, ""))
        self.assertNotIn("user/x", err)

    def test_a_client_deleted_meanwhile_is_no_problem(self):
        deleted = {"DescribeUserPoolClient": failing("ResourceNotFoundException", 7)}
        with cognito(deleted):
            facts = read(quick())
        self.assertEqual(len(facts.pools[0].clients), FEW - 7)
        self.assertEqual([one for one in facts.problems if "client" in one.call.operation], [])


class ManyClients(unittest.TestCase):
    def test_all_pages_and_clients_are_read_with_progress(self):
        seen = []
        with cognito({}, CLIENTS) as server:
            reader = Reader(quick(), "us-east-1", seen.append)
            facts = reader.read(Targets(pools=(POOL,)))
            self.assertEqual(server.calls["ListUserPoolClients"], CLIENTS // PAGE)
            self.assertEqual(server.calls["DescribeUserPoolClient"], CLIENTS)
        self.assertEqual(len({client.id for client in facts.pools[0].clients}), CLIENTS)
        self.assertIn(f"user pool {POOL}: app client 300 of 300", seen)

    def test_the_pace_stays_within_cognitos_quota_and_a_minute(self):
        now, waits = [0.0], []

        def sleep(seconds):
            waits.append(seconds)
            now[0] += seconds

        pace = source.Pace(source.PER_SECOND, clock=lambda: now[0], sleep=sleep)
        began = []
        for _ in range(CLIENTS):
            pace.wait()
            began.append(now[0])
        self.assertLess(began[-1], 60)
        for second in range(int(began[-1])):
            self.assertLessEqual(sum(second <= one + 1e-6 < second + 1 for one in began), 5)

    def test_the_report_names_three_of_three_hundred(self):
        with tempfile.TemporaryDirectory() as folder, cognito({}, CLIENTS):
            read(source.Saving(quick(), folder))
            _, out, _ = run("--from", folder, "--user-pool-id", POOL, "--quiet")
        self.assertIn("and 297 more: Refresh tokens live 30 days.", out)
        self.assertLess(len(out.splitlines()), 150)

    def test_progress_without_a_terminal_is_a_line_for_fifty_clients(self):
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            show, done = cli.progress(False)
            for number in range(1, 301):
                show(f"user pool {POOL}: app client {number} of 300")
            done()
        self.assertEqual(len(err.getvalue().splitlines()), 7)


class Pages(unittest.TestCase):
    def test_every_listing_is_read_to_its_end(self):
        """An operation whose answer has a token has a paginator, or `whole` reads its pages."""
        for call in CALLS.values():
            client = boto3.client(call.service, region_name="us-east-1")
            shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[call.operation])
            tokens = {"NextToken", "nextToken", "NextMarker", "Marker", "position"} & set(shape.output_shape.members)
            self.assertTrue(client.can_paginate(call.operation) or tokens <= {"NextToken"}, call.name)

    def test_pages_without_a_paginator(self):
        pages = {
            None: {"Items": [1, 2], "NextToken": "a", "ResponseMetadata": {}},
            "a": {"Items": [3], "NextToken": "b"},
            "b": {"Items": [4]},
        }
        asked = []

        def operation(NextToken=None, **given):
            asked.append(given)
            return pages[NextToken]

        answer = source.whole(operation, {"DomainName": "x"})
        self.assertEqual(answer["Items"], [1, 2, 3, 4])
        self.assertNotIn("NextToken", answer)
        self.assertEqual(asked, [{"DomainName": "x"}] * 3)


class Secrets(unittest.TestCase):
    def test_secrets_are_removed_as_soon_as_they_are_received(self):
        with cognito({}), tempfile.TemporaryDirectory() as folder:
            facts = read(source.Saving(quick(), folder))
            saved = "".join(file.read_text() for file in pathlib.Path(folder).iterdir())
        self.assertNotIn("very-secret", repr(facts))
        self.assertNotIn("very-secret", saved)
        self.assertFalse(facts.clients[0].is_public)

    def test_each_kind_of_secret_is_removed(self):
        answer = {
            "UserPoolClient": {"ClientSecret": "s1"},
            "IdentityProvider": {"ProviderDetails": {"client_secret": "s2", "private_key": "s3", "client_id": "kept"}},
            "Environment": {"Variables": {"PASSWORD": "s4", "APP_CLIENT_IDS": "kept"}},
            "item": [{"variables": {"token": "s5"}, "stageName": "kept"}],
            "Stacks": [{"Parameters": [{"ParameterKey": "Password", "ParameterValue": "s6"}]}],
            "TemplateBody": json.dumps({"Resources": {"A": {"Type": "T", "Properties": {"Secret": "s7"}}}}),
            "apiKeys": [{"id": "s8", "description": "kept"}],
            "Origins": {"Items": [{"CustomHeaders": {"Items": [{"HeaderName": "kept", "HeaderValue": "s9"}]}}]},
        }
        text = json.dumps(source.redacted(answer))
        for number in range(1, 10):
            self.assertNotIn(f"s{number}", text)
        self.assertEqual(text.count("kept"), 5)

    def test_names_that_differ_are_different_files(self):
        call = CALLS["cognito-idp.describe-identity-provider"]
        names = ["a.b", "a-b", "ab", "日本", "中国", "x" * 200 + "1", "x" * 200 + "2", "..", "../../etc/passwd", "~2e"]
        files = {source.file_name(call, {"UserPoolId": POOL, "ProviderName": name}) for name in names}
        self.assertEqual(len(files), len(names))
        for file in files:
            self.assertRegex(file, r"^[A-Za-z0-9_~.-]{1,250}$")
            self.assertNotIn("/", file)

    def test_a_saved_folder_is_readable_by_its_owner_only(self):
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder) / "new"
            source.Saving(None, made)
            self.assertEqual(made.stat().st_mode & 0o077, 0)

    def test_a_saved_audit_is_the_same_audit(self):
        with tempfile.TemporaryDirectory() as folder:
            saving = source.Saving(source.Folder(RECORDED / "planted"), folder)
            targets = cli.targets_in(source.Folder(RECORDED / "planted"))
            Reader(saving, "us-east-1").read(targets)
            _, out, _ = run("--from", folder, "--json", "--quiet")
        expected = (RECORDED / "planted.txt").read_text().splitlines()
        self.assertEqual(sorted(lines(json.loads(out))), sorted(expected))


class Permissions(unittest.TestCase):
    def test_the_policy_has_every_action_and_only_reads(self):
        actions = {one for statement in policy()["Statement"] for one in statement["Action"]}
        self.assertEqual(actions, {one for call in CALLS.values() for one in call.permissions})
        verbs = ("Describe", "Get", "List")
        for action in actions - {"apigateway:GET"}:
            self.assertTrue(action.partition(":")[2].startswith(verbs), action)

    def test_a_pool_limits_the_policy(self):
        _, out, _ = run("--print-iam-policy", "--user-pool-id", POOL, "--region", "us-east-1")
        resources = [one for statement in json.loads(out)["Statement"] for one in statement["Resource"]]
        self.assertIn(f"arn:aws:cognito-idp:us-east-1:*:userpool/{POOL}", resources)
        self.assertNotIn("arn:aws:cognito-idp:us-east-1:*:userpool/*", resources)

    def test_every_call_exists_in_boto3(self):
        for call in CALLS.values():
            client = boto3.client(call.service, region_name="us-east-1")
            members = client.meta.service_model.operation_model(
                client.meta.method_to_api_mapping[call.operation]
            ).input_shape.members
            self.assertEqual(set(call.by) - set(members), set(), call.name)


if __name__ == "__main__":
    unittest.main()
