"""Alarms on what the built functions really print: each runs with the variables that the template gives it, over a
fake AWS whose calls fail as a case says. The embedded metrics of its lines are evaluated by the definitions of the
alarms, so that a namespace, a metric or a dimension of either side that does not fit the other is found."""

import base64
import functools
import http.server
import json
import pathlib
import re
import time
import unittest

import on_call
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from invoked import BINARIES, invoked, serving

ROOT = pathlib.Path(__file__).resolve().parent.parent
POOL, CLIENT = "us-east-1_Gatehouse", "4example0client1id2345678"
# Every feature with a function or an alarm of its own, in a namespace that no code has as its default.
PARAMETERS = {
    "MetricsNamespace": "Team/Auth",
    "ApiKeys": "true",
    "ApiKeyHeader": "x-api-key",
    "WebSocketApi": "true",
    "SignUpGuard": "true",
    "LinkProviders": "Google",
    "LegacySource": "cognito",
    "LegacyUserPoolId": "us-east-1_OldPool01",
    "LegacyAppClientId": "2example0client1id2345678",
    "LegacyGroups": '{"Staff":"staff"}',
}
DENIED = (400, {"__type": "AccessDeniedException", "message": "denied"})
KEY = f"gh_{'0' * 24}_{'A' * 43}"
HOURS = 3600


def refused(exception, message="m"):
    return 400, {"__type": exception, "message": message}


def rows(body):
    """DynamoDB's answer to a BatchGetItem on tables in which only the sweep's state is: its last pass was long ago."""
    began = {name: {"N": str(int(time.time()) - 6 * HOURS)} for name in ("began_at", "passed_at", "compared_at")}
    tables = {table: asked["Keys"] for table, asked in body["RequestItems"].items()}
    found = {table: [key | began for key in keys if key["sk"]["S"] == "sweep"] for table, keys in tables.items()}
    return 200, {"Responses": found, "UnprocessedKeys": {}}


def counted(body):
    """DynamoDB's answer to an UpdateItem: one attempt, and more than any limit of all names together."""
    in_all = body["Key"].get("id", {}).get("S", "").startswith("migrate#everybody#")
    return 200, {"Attributes": {"attempts": {"N": str(10**9 if in_all else 1)}}}


USER = {
    "Username": "ada", "Enabled": False, "UserStatus": "CONFIRMED",
    "UserCreateDate": 1.7e9, "UserLastModifiedDate": 1.7e9,
    "Attributes": [{"Name": "sub", "Value": "s-1"}], "UserAttributes": [{"Name": "sub", "Value": "s-1"}],
}  # fmt: skip
OUTLIVING = {"ClientName": "web", "RefreshTokenValidity": 3650, "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"]}
WORKING = {
    "BatchGetItem": rows,
    "UpdateItem": counted,
    "ListUsers": (200, {"Users": [USER]}),
    "AdminGetUser": (200, USER),
    "ListUserPoolClients": (200, {"UserPoolClients": [{"ClientId": "c-1", "ClientName": "web"}]}),
    "DescribeUserPoolClient": (200, {"UserPoolClient": OUTLIVING}),
}


class Aws(http.server.BaseHTTPRequestHandler):
    """Answers each operation as the case says, or with an empty success, and a GET with the key set."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.give(*self.server.answers.get("keys", (200, {"keys": [public_key()]})))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "{}")
        answer = self.server.answers.get(self.headers.get("x-amz-target", "").rpartition(".")[2], (200, {}))
        self.give(*(answer(body) if callable(answer) else answer))

    def give(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


# Tokens and events


@functools.cache
def private_key():
    return rsa.generate_private_key(65537, 2048)


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_key():
    numbers = private_key().public_key().public_numbers()
    modulus, exponent = (encoded(n.to_bytes((n.bit_length() + 7) // 8, "big")) for n in (numbers.n, numbers.e))
    return {"kty": "RSA", "kid": "k-1", "use": "sig", "alg": "RS256", "n": modulus, "e": exponent}


def token(lives=1800):
    """An access token of the pool, whose lifetime ends in so many seconds."""
    now = int(time.time())
    claims = {
        "iss": f"https://cognito-idp.us-east-1.amazonaws.com/{POOL}", "sub": "s-1", "client_id": CLIENT,
        "token_use": "access", "origin_jti": "o-1", "jti": "j-1", "username": "ada",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": now - 2 * HOURS, "iat": now - 2 * HOURS, "exp": now + lives,
    }  # fmt: skip
    parts = [encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k-1"}, claims)]
    signature = private_key().sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
    return ".".join([*parts, encoded(signature)])


def event(name, **members):
    """A sample event with other members."""
    return json.loads((ROOT / "events" / f"{name}.json").read_text()) | members


def request(credential, header="authorization"):
    """A request for the authorizer of a REST API."""
    text = json.dumps(event("authorizer/rest-request")).replace("Bearer {{ACCESS_TOKEN}}", "")
    given = json.loads(text)
    given["headers"] = {header: credential}
    given["multiValueHeaders"] = {header: [credential]}
    return given


def post(path, body, headers=None):
    """A request of a REST API's proxy integration."""
    headers = {"Content-Type": "application/json"} | (headers or {})
    of_api = {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}, "resourcePath": path, "httpMethod": "POST"}
    return event(
        "admin/disable-user", resource=path, path=path, httpMethod="POST", headers=headers, body=json.dumps(body),
        multiValueHeaders={name: [value] for name, value in headers.items()}, requestContext=of_api,
        pathParameters=None,
    )  # fmt: skip


def heartbeat():
    """The record of CloudTrail about user-sweep's hourly call."""
    account = on_call.modules()[1].PSEUDO["AWS::AccountId"]
    sent = event("user-events/admin-disable-user", account=account)
    detail = {"eventName": "UntagResource", "additionalEventData": None, "recipientAccountId": account}
    arn = f"arn:aws:cognito-idp:us-east-1:{account}:userpool/{POOL}"
    detail["requestParameters"] = {"resourceArn": arn, "tagKeys": ["gatehouse-heartbeat"]}
    sent["detail"] |= detail
    message = {"messageId": "m-1", "body": json.dumps(sent), "eventSource": "aws:sqs"}
    return {"Records": [message | {"eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:q"}]}


def of_gmail():
    """A first sign-in with Google, whose address Google vouches for: pre-sign-up looks for its account."""
    sent = event("pre-sign-up/external-provider")
    sent["request"]["userAttributes"]["email"] = "ada@gmail.com"
    return sent


SIGN_IN = {"email": "ada@example.com", "password": "Tr0ub4dor-and-3-secret"}
LOGIN, SIGN_UP = post("/auth/login", SIGN_IN), post("/auth/signup", SIGN_IN)
REFRESH = post("/auth/refresh", {"refresh_token": "opaque"})
NO_KEYS = {"keys": (500, {})}

# Each case: the function, its event, what AWS answers, and the alarms that are raised if it goes on.
CASES = {
    "key set": ("AuthorizerFunction", lambda: request(f"Bearer {token()}"), NO_KEYS, {"DecisionsAlarm"}),
    "table": ("AuthorizerFunction", lambda: request(f"Bearer {token()}"), {"BatchGetItem": DENIED}, {"DecisionsAlarm"}),
    "table of keys": ("AuthorizerFunction", lambda: request(KEY, "x-api-key"), {"GetItem": DENIED}, {"DecisionsAlarm"}),
    "attempts": ("AuthApiFunction", LOGIN, {"UpdateItem": DENIED}, {"SignInsAlarm"}),
    "Cognito": ("AuthApiFunction", LOGIN, {"InitiateAuth": refused("InternalErrorException")}, {"SignInsAlarm"}),
    "app client": ("AuthApiFunction", LOGIN, {"InitiateAuth": refused("ResourceNotFoundException")}, {"SignInsAlarm"}),
    "trigger": ("AuthApiFunction", LOGIN, {"InitiateAuth": refused("UnexpectedLambdaException")}, {"SignInsAlarm"}),
    "delivery": (
        "AuthApiFunction", LOGIN, {"InitiateAuth": refused("CodeDeliveryFailureException")},
        {"SignInsAlarm", "MailAlarm"},
    ),
    "hidden delivery": ("AuthApiFunction", SIGN_UP, {"SignUp": refused("CodeDeliveryFailureException")}, {"MailAlarm"}),
    "logout": (
        "LogoutFunction", lambda: post("/auth/logout", {}, {"Authorization": f"Bearer {token()}"}), NO_KEYS,
        {"FailuresAlarm"},
    ),
    "sessions": (
        "SessionsFunction", event("sessions/unknown"), {"Query": DENIED, "UpdateItem": DENIED}, {"FailuresAlarm"},
    ),
    "admin": ("AdminFunction", event("admin/disable-user"), {"AdminGetUser": DENIED}, {"FailuresAlarm"}),
    "connection": ("ConnectionsFunction", event("connections/disconnect"), {"DeleteItem": DENIED}, {"FailuresAlarm"}),
    "reset": (
        "PostConfirmationFunction", event("post-confirmation/confirm-forgot-password"), {"UpdateItem": DENIED},
        {"TriggersAlarm"},
    ),
    "profile": (
        "PostConfirmationFunction", event("post-confirmation/confirm-sign-up"), {"UpdateItem": DENIED},
        {"TriggersAlarm"},
    ),
    "groups": (
        "PostAuthenticationFunction", event("post-authentication/signed-in"), {"GetItem": DENIED}, {"TriggersAlarm"},
    ),
    "admission": (
        "PreSignUpFunction", of_gmail(), {"ListUsers": DENIED}, {"TriggersAlarm"},
    ),
    "guessing": ("MigrateUserFunction", event("migrate-user/authentication"), {}, {"GuessingAlarm"}),
    "missed disabling": (
        "UserSweepFunction", event("user-sweep/scheduled"), {}, {"MissingRevocationsAlarm", "OutlivingClientsAlarm"},
    ),
    "sweep": ("UserSweepFunction", event("user-sweep/scheduled"), {"ListUsers": DENIED}, {"SweepAgeAlarm"}),
    # What is ordinary, or what any client can do.
    "heartbeat": ("UserEventsFunction", heartbeat, {}, set()),
    "expired token": ("AuthorizerFunction", lambda: request(f"Bearer {token(-1800)}"), {}, set()),
    "no token": ("AuthorizerFunction", request("Bearer nothing"), {}, set()),
    "wrong password": ("AuthApiFunction", LOGIN, {"InitiateAuth": refused("NotAuthorizedException")}, set()),
    "lock-out": (
        "AuthApiFunction", LOGIN, {"InitiateAuth": refused("NotAuthorizedException", "Password attempts exceeded")},
        set(),
    ),
    "refused refresh": ("AuthApiFunction", REFRESH, {"GetTokensFromRefreshToken": refused("NotAuthorizedException"),
                                                     "InitiateAuth": refused("NotAuthorizedException")}, set()),
    "no route": ("AuthApiFunction", post("/auth/nothing", {}), {}, set()),
    "logout without a token": ("LogoutFunction", post("/auth/logout", {}), {}, set()),
    "sessions without a context": ("SessionsFunction", event("sessions/without-authorizer"), {}, set()),
    "no administrator": ("AdminFunction", event("admin/not-an-administrator"), {}, set()),
    "look-alike": ("PreSignUpFunction", event("pre-sign-up/look-alike"), {}, set()),
    "mail": ("CustomMessageFunction", event("custom-message/sign-up"), {}, set()),
}  # fmt: skip
# Outcomes that no event causes from outside: a decision that takes 2.5 s although each call is limited to less, and a
# template that fails though the start has rendered it. Their metric is printed with another value of the dimension.
UNCAUSED = {
    ("AuthorizerFunction", "Decisions"): {"out_of_time"},
    ("CustomMessageFunction", "Messages"): {"template", "rules", "panic"},
}


@functools.cache
def stack_of(source=None):
    """The stack of PARAMETERS, of the template or of another text."""
    _, stack = on_call.modules()
    return stack.Parsed(source or stack.text()).stack(PARAMETERS)


def folder(function):
    """The folder of a function: `auth-api` of `AuthApiFunction`."""
    return re.sub(r"\B([A-Z])", r"-\1", function.removesuffix("Function")).lower()


def variables(function, url):
    """The variables of a function as the template gives them to it, with its AWS at this address."""
    topic = "arn:aws:sns:us-east-1:111122223333:topic"
    physical = {"<UserPool>": POOL, "<AppClient>": CLIENT, "<SecurityTopic>": topic}

    def real(value):
        named = re.sub(r"<(\w+)>", lambda found: physical.get(found[0], f"gatehouse-{found[1]}"), str(value))
        return re.sub(r"^gatehouse-(\w*Queue)$", rf"{url}/111122223333/\1", named)

    made = stack_of()
    given = made.plain(made.resources[function]["Properties"]["Environment"]["Variables"])
    of_lambda = {
        "AWS_LAMBDA_FUNCTION_NAME": f"gatehouse-{function}", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    of_test = {"JWKS_URI": f"{url}/jwks.json"} if "JWKS_URI" in given else {}
    return {name: real(value) for name, value in given.items() if real(value)} | of_lambda | of_test


@functools.cache
def lines(case):
    """The lines that the case's function prints. Again, if a call took too long: the machine may be busy."""
    for _ in range(3):
        found = lines_of_one_run(case)
        if not any(line.get("cause") == "timeout" for line in found):
            break
    return found


def lines_of_one_run(case):
    function, sent, answers, _ = CASES[case]
    sent = sent() if callable(sent) else sent
    with serving(Aws, answers=WORKING | answers) as aws:
        url = f"http://127.0.0.1:{aws.server_port}"
        _, _, output = invoked(folder(function), json.dumps(sent), variables(function, url))
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def samples(case, made):
    """What the case publishes: embedded metrics, and what metric filters of the stack count in its lines."""
    function = CASES[case][0]
    found = on_call.published(lines(case), {f"gatehouse-{function}": function})
    for given in made.of_type("AWS::Logs::MetricFilter").values():
        if made.plain(given["LogGroupName"]) != f"<{function.removesuffix('Function')}Logs>":
            continue
        pairs = re.findall(r'\$\.(\w+) = "(\w+)"', given["FilterPattern"])
        count = sum(any(line.get(name) == value for name, value in pairs) for line in lines(case))
        for one in made.plain(given["MetricTransformations"]) if count else []:
            found[one["MetricNamespace"], one["MetricName"], frozenset()] = [float(one["MetricValue"])] * count
    return found


def uncaused(found):
    """The same samples with the values that no event causes."""
    for (namespace, metric, dimensions), values in list(found.items()):
        function = dict(dimensions).get("function", "").strip("<>")
        for word in UNCAUSED.get((function, metric), ()):
            (name,) = {name for name, _ in dimensions} - {"stack", "function"}
            found[namespace, metric, frozenset((dict(dimensions) | {name: word}).items())] = values
    return found


def own(made):
    """The alarms that read metrics of the functions' lines, each with these metrics. AWS publishes the others."""
    operations, _ = on_call.modules()
    for name in made.of_type(operations.ALARM):
        alarm = operations.Alarm(made, name)
        if metrics := {key for key, (namespace, *_) in alarm.metrics.items() if not namespace.startswith("AWS/")}:
            yield alarm, metrics


def unprinted(made):
    """The metrics of alarms that no case publishes, or that do not raise the alarm: one line for each."""
    published = [uncaused(samples(case, made)) for case in CASES]
    for alarm, metrics in own(made):
        for key in sorted(metrics):
            namespace, metric, dimensions, *_ = alarm.metrics[key]
            of_it = (namespace, metric, frozenset(dimensions.items()))
            several = [on_call.recorded_for(alarm, {of_it: found[of_it]}) for found in published if of_it in found]
            silent = alarm.state({}) == "ALARM"
            if not several:
                yield f"{alarm.name}: no function prints {metric} of {namespace} by {dict(sorted(dimensions.items()))}"
            # An alarm that silence raises must end with a sample.
            elif not silent and "ALARM" not in map(alarm.state, several):
                yield f"{alarm.name}: {metric} does not raise it"
            elif silent and "OK" not in map(alarm.state, several):
                yield f"{alarm.name}: {metric} does not end it"


def mismatched(made):
    """The cases that raise other alarms than theirs: one line for each alarm too many or too few."""
    names = {alarm.name for alarm, _ in own(made)}
    for case, (*_, alarms) in CASES.items():
        raised = set(on_call.raised(samples(case, made), made)) & names
        for name in sorted(raised ^ alarms):
            yield f"{name}: {case} {'raises' if name in raised else 'does not raise'} it: {lines(case)}"


@unittest.skipUnless(BINARIES.exists(), "local/prepare builds the functions")
class Printed(unittest.TestCase):
    def test_each_case_raises_its_alarms_and_no_other(self):
        for case in CASES:
            self.assertTrue(samples(case, stack_of()), f"{case}: {lines(case)}")
        self.assertEqual(list(mismatched(stack_of())), [])

    def test_every_metric_of_an_alarm_is_printed(self):
        self.assertEqual(list(unprinted(stack_of())), [])

    def test_outcomes_without_a_case_are_words_of_their_function(self):
        for (function, _), words in UNCAUSED.items():
            source = (ROOT / "functions" / folder(function) / "src/outcome.rs").read_text()
            for word in words:
                self.assertIn(f'"{word}"', source, function)

    def test_alarms_that_do_not_fit_the_lines_are_found(self):
        """A wrong namespace, metric, dimension or value in each kind of definition."""
        _, stack = on_call.modules()
        source = stack.text()
        for name, old, new in (
            ("SignInsAlarm", "MetricName: Failures", "MetricName: Failure"),
            ("SignInsAlarm", "Namespace: !Ref MetricsNamespace", "Namespace: Gatehouse"),
            ("SignInsAlarm", "                - { Name: function, Value: !Ref AuthApiFunction }\n", ""),
            ("SignInsAlarm", "{ Name: stack, Value:", "{ Name: Stack, Value:"),
            ("SignInsAlarm", "Value: !Ref AuthApiFunction", "Value: !Ref LogoutFunction"),
            ("SignInsAlarm", "      Threshold: 0\n", "      Threshold: 5\n"),
            ("FailuresAlarm", "Value: !Ref AdminFunction", "Value: !Ref WhoamiFunction"),
            ("FailuresAlarm", "MetricName: Failures", "MetricName: Requests"),
            ("TriggersAlarm", "{ Name: stack, Value: !Ref AWS::StackName }", "{ Name: stack, Value: other }"),
            ("DecisionsAlarm", "Name: reason, Value: jwks", "Name: outcome, Value: jwks"),
            ("DecisionsAlarm", "Value: jwks_unavailable", "Value: keys_unavailable"),
            ("MailAlarm", "MetricName: UnsentMails", "MetricName: UnsentMail"),
            ("MailAlarm", "Value: delivery_failed", "Value: delivery_failure"),
            ("GuessingAlarm", "Value: too_many_failures_in_all", "Value: too_many_failures"),
            ("TrailAlarm", "Value: heartbeat", "Value: heartbeats"),
            ("SweepAgeAlarm", "MetricName: SweepAge", "MetricName: AgeOfSweep"),
        ):
            with self.subTest(name, new=new):
                began = source.index(f"\n  {name}:\n")
                text = source[began : re.compile(r"\n  \w+:\n").search(source, began + 1).start()]
                self.assertIn(old, text)
                planted = source.replace(text, text.replace(old, new, 1))
                made = stack_of(planted)
                found = [*unprinted(made), *mismatched(made)]
                self.assertTrue([line for line in found if line.startswith(f"{name}:")], found)


if __name__ == "__main__":
    unittest.main()
