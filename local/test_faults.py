"""Walks from a symptom to its cause as docs/operations.md tells it: plants a fault in the local stack, looks at what
users get, which alarm is raised, what the saved queries find in the lines that the functions really wrote, and what the
page's commands show."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import client
import faults
import on_call
import stand_ins

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/operations.md").read_text()
CLI = ROOT / ".tools/awscli/bin"
BEGIN = "Where to begin"
# The queries in the order in which the page runs them.
QUERIES = ("failures", "refusals by reason")
WORKS = {"login": 200, "signup": 202, "whoami": 200}

FAILS = {"login": 503, "signup": 503, "whoami": 200}
# Each row of the page's table that is walked: what users get, the alarms, the query that has a row with its words, and
# the section with the commands.
WALKS = {
    "permission of the authorizer": (
        WORKS | {"whoami": 500},
        {"DecisionsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "decision", "failure": "revocations_unavailable", "cause": "access_denied"}),
        "A permission is missing",
    ),
    "permission of auth-api": (
        FAILS,
        {"SignInsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "auth api", "failure": "attempts_unavailable", "cause": "access_denied"}),
        "A permission is missing",
    ),
    "throttled table of revocations": (
        WORKS | {"whoami": 500},
        {"DecisionsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "decision", "failure": "revocations_unavailable", "cause": "throttled"}),
        "A table is throttled",
    ),
    "throttled table of attempts": (
        FAILS,
        {"SignInsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "auth api", "failure": "attempts_unavailable", "cause": "throttled"}),
        "A table is throttled",
    ),
    "client id of the authorizer": (
        WORKS | {"whoami": 401},
        set(),
        ("refusals by reason", {"reason": "wrong_audience"}),
        "An app client's id is wrong",
    ),
    "client id of auth-api": (
        FAILS | {"login": 500, "signup": 500},
        {"SignInsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "auth api", "failure": "internal_error", "cause": "not_found"}),
        "An app client's id is wrong",
    ),
    "key set": (
        WORKS | {"whoami": 401},
        set(),
        ("refusals by reason", {"reason": "unknown_key"}),
        "The key set is another one",
    ),
    "unreachable key set": (
        WORKS | {"whoami": 500},
        {"DecisionsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "decision", "failure": "jwks_unavailable", "cause": "connection"}),
        "The key set is another one",
    ),
    "secret": (
        FAILS | {"login": 500, "signup": 500},
        {"SignInsAlarm", "ServerErrorsAlarm"},
        ("failures", {"message": "auth api", "failure": "internal_error", "cause": "access_denied"}),
        "The app client's secret is wrong",
    ),
}


def section(title):
    """The text of a section of the page."""
    parts = re.split(r"^##+ ", PAGE, flags=re.MULTILINE)
    (found,) = [part for part in parts if part.partition("\n")[0] == title]
    return found


def commands(title):
    """The first `sh` block of a section of the page."""
    return re.search(r"^```sh\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)[1]


def table():
    """The rows of the page's table of symptoms: what users report, the steps and the cause."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section(BEGIN), re.MULTILINE)
    return rows[1:]


def spoken(statuses):
    """How the table's first column says what users get."""
    parts = []
    if statuses["login"] != 200:
        parts.append(f"sign-in {'and sign-up get' if statuses['login'] < 500 else 'gets'} {statuses['login']}")
        parts.append("requests work")
    else:
        parts += [f"requests get {statuses['whoami']}", "sign-in works"]
    return ", ".join(parts)


class Page(unittest.TestCase):
    def test_each_walk_is_a_row_of_the_table(self):
        rows = table()[: len(WALKS)]
        self.assertEqual(len(rows), len(WALKS))
        for row, (statuses, alarms, (query, words), title) in zip(rows, WALKS.values(), strict=True):
            reported, steps, cause = row
            with self.subTest(row=row):
                self.assertEqual(reported, spoken(statuses))
                self.assertEqual(set(re.findall(r"\w+Alarm", steps)), alarms - {"ServerErrorsAlarm"})
                for name in QUERIES[: QUERIES.index(query) + 1] if query else QUERIES:
                    self.assertIn(f"*{name}*", steps)
                found = re.findall(r"`([^`]+)`", steps.rpartition(" → ")[0])
                self.assertEqual(found, list(words.values()))
                anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                self.assertIn(f"(#{anchor})", cause)

    def test_the_queries_find_what_they_should_and_no_more(self):
        lines = [
            {"message": "decision", "level": "INFO", "reason": "allowed", "Decisions": 4},
            {"message": "decision", "level": "WARN", "reason": "expired", "Decisions": 7},
            {"message": "decision", "level": "WARN", "reason": "expired", "Decisions": 2},
            {"message": "auth api", "level": "ERROR", "outcome": "unavailable", "cause": "timeout", "request_id": "b"},
            {"@message": "Runtime exited"},
        ]
        found = [("AuthorizerLogs", line) for line in lines]
        self.assertEqual(on_call.saved("refusals by reason", found), [{"reason": "expired", "decisions": 9}])
        failure = {"message": "auth api", "failure": "unavailable", "cause": "timeout", "lines": 1, "example": "b"}
        self.assertEqual(on_call.saved("failures", found), [failure])
        self.assertEqual(on_call.saved("crashes and timeouts", found), [{"@message": "Runtime exited"}])
        self.assertEqual(on_call.saved("refusals by reason", [("LogoutLogs", line) for line in lines]), [])
        unread = ("parse @message", "filter a ~ b", "stats median(a) as b by c", "stats count(*) as n by bin(5m)")
        for unknown in unread:
            with self.assertRaises(ValueError, msg=unknown):
                on_call.queried(unknown, lines)


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = json.loads(os.environ["GATEHOUSE_STACK"])
        cls.person = client.Person(cls.state, lambda _: None)
        cls.person.sign_up()
        cls.token = cls.person.log_in().access

    def status(self, method, path, body=None, token=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.state["api"] + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def statuses(self, names):
        """What users get at a sign-in, at a sign-up, and at a request with a token."""
        stranger = client.Person(self.state, lambda _: None)
        requests = {
            "login": ("POST", "/auth/login", self.person.credentials()),
            "signup": ("POST", "/auth/signup", stranger.credentials()),
            "whoami": ("GET", "/whoami", None, self.token),
        }
        return {name: self.status(*requests[name]) for name in names}

    def walk(self, name, fault, look=None):
        """Follows the page while the fault is planted, and checks that all works without it. `look` runs the commands
        of the section to which the page leads."""
        statuses, alarms, (query, words), title = WALKS[name]
        with fault:
            began = time.time()
            self.assertEqual(self.statuses(statuses), statuses)
            found = on_call.lines_of(self.state, began, {"AuthApiLogs": 2, "AuthorizerLogs": 1})
            samples = on_call.metrics(self.state, found, list(statuses.values()))
            self.assertEqual(set(on_call.raised(samples)), alarms)
            # Among many responses of backends the failing ones are less than 2 %.
            samples = on_call.metrics(self.state, found, [*statuses.values(), *[200] * 300])
            self.assertEqual(set(on_call.raised(samples)), alarms - {"ServerErrorsAlarm"})
            self.find(query, words, found)
            if look:
                look(title)
        works = {name: WORKS[name] for name in ("login", "whoami")}
        self.assertEqual(self.statuses(works), works)

    def find(self, query, words, found):
        """The queries before the one with the row are empty, and that one has this row alone."""
        for name in QUERIES:
            rows = on_call.saved(name, found)
            if name == query:
                (row,) = rows
                self.assertEqual({key: row.get(key) for key in words}, words)
                return
            self.assertEqual(rows, [])

    def run_page(self, *parts, given=None):
        """Runs commands of the page after those of its first section, with the AWS CLI: what they print. `given` are
        resources and outputs that a stack with more parameters has."""
        # `resource` and `output` have a test of their own: each call of the CLI takes a second.
        known = faults.resources(self.state) | {"RevocationTableName": self.state["table"]} | (given or {})
        cases = "\n".join(f"{name}) echo '{value}' ;;" for name, value in known.items())
        begin = commands(BEGIN).partition("export USER_POOL_ID")[0]
        script = [
            begin.replace("STACK=prod", "STACK=gatehouse"),
            f"export USER_POOL_ID={self.state['user_pool_id']}",
            f'resource() {{ case "$1" in\n{cases}\nesac; }}\noutput() {{ resource "$1"; }}',
            *parts,
        ]
        return self.bash("\n".join(script))

    def bash(self, script):
        stand_ins_folder = self.enterContext(tempfile.TemporaryDirectory())
        environment = {
            "PATH": stand_ins.path_with(stand_ins_folder, f"{CLI}:{os.environ['PATH']}"),
            "HOME": os.environ["TMPDIR"],
            "AWS_ENDPOINT_URL": self.state["endpoint"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
        }
        command = ["bash", "-c", script]
        # Cognito's refusal is an answer, and the CLI prints it as an error.
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return result.stdout + result.stderr

    def test_names_of_the_first_section(self):
        ends = 'echo "$USER_POOL_ID $REVOCATION_TABLE"; resource AuthorizerFunction'
        printed = self.bash(commands(BEGIN).replace("STACK=prod", "STACK=gatehouse") + ends)
        function = faults.resources(self.state)["AuthorizerFunction"]
        self.assertEqual(printed, f"{self.state['user_pool_id']} {self.state['table']}\n{function}\n")

    def test_permission_of_the_authorizer(self):
        def look(title):
            # MiniStack keeps no saved queries, finds no drift, and leaves `stats` out of a query.
            groups = [faults.resources(self.state)["AuthorizerLogs"]]
            kept = {"queryDefinitions": [{"logGroupNames": groups, "queryString": 'filter @message like /"ERROR"/'}]}
            difference = {"PropertyPath": "/Policies/0", "ExpectedValue": "{}", "ActualValue": "null"}
            drift = {"StackResourceDriftStatus": "MODIFIED", "PropertyDifferences": [difference]}
            instead = f"""aws() {{
              case "$2" in
              describe-query-definitions) echo '{json.dumps(kept)}' ;;
              detect-stack-resource-drift) echo '{json.dumps({"StackResourceDrift": drift})}' ;;
              *) command aws "$@" ;;
              esac
            }}"""
            # A query's range ends at a whole second, and the lines are newer.
            time.sleep(1)
            printed = self.run_page(instead, "saved failures", commands(title))
            self.assertIn("revocations_unavailable", printed)
            self.assertIn('"PropertyPath": "/Policies/0"', printed)
            self.assertIn('["Allow","dynamodb:GetItem",', printed)
            self.assertNotIn("dynamodb:BatchGetItem", printed)

        fault = faults.missing_permission(self.state, "AuthorizerFunction", "dynamodb:BatchGetItem")
        self.walk("permission of the authorizer", fault, look)

    def test_permission_of_auth_api(self):
        fault = faults.missing_permission(self.state, "AuthApiFunction", "dynamodb:UpdateItem")
        self.walk("permission of auth-api", fault)

    def test_throttled_table_of_revocations(self):
        def look(title):
            self.assertIn("PAY_PER_REQUEST", self.run_page(commands(title)))

        fault = faults.throttled_table(self.state, "AuthorizerFunction", self.state["table"])
        self.walk("throttled table of revocations", fault, look)

    def test_throttled_table_of_attempts(self):
        fault = faults.throttled_table(self.state, "AuthApiFunction", self.state["attempt_table"])
        self.walk("throttled table of attempts", fault)

    def test_client_id_of_the_authorizer(self):
        def look(title):
            printed = self.run_page(commands(title)).splitlines()
            self.assertEqual(printed[:2], [faults.UNKNOWN_CLIENT, self.state["client_id"]])
            self.assertIn(self.state["client_id"], "".join(printed[2:]))
            self.assertNotIn(faults.UNKNOWN_CLIENT, "".join(printed[2:]))

        self.walk("client id of the authorizer", faults.wrong_client_id(self.state, "AuthorizerFunction"), look)

    def test_client_id_of_auth_api(self):
        self.walk("client id of auth-api", faults.wrong_client_id(self.state, "AuthApiFunction"))

    def test_key_set(self):
        def look(title):
            printed = self.run_page(commands(title), f"echo; echo {self.token} | kid").strip().splitlines()
            (kid,) = json.loads("{" + printed[-1] + "}").values()
            self.assertGreater(len(printed), 1)
            self.assertNotIn(kid, "".join(printed[:-1]))

        self.walk("key set", faults.withdrawn_key_set(self.state, "AuthorizerFunction"), look)

    def test_unreachable_key_set(self):
        self.walk("unreachable key set", faults.unreachable_key_set(self.state, "AuthorizerFunction"))

    def test_secret(self):
        with faults.confidential_client(self.state) as (arn, client_id):

            def ask(title):
                return self.run_page(commands(title), given={"ApiAppClientId": client_id, "ApiAppClientSecret": arn})

            def look(title):
                self.assertIn("Unable to verify secret hash", ask(title))

            self.walk("secret", faults.expired_secret(self.state, arn), look)
            self.assertIn("Incorrect username or password", ask("The app client's secret is wrong"))


if __name__ == "__main__":
    unittest.main()
