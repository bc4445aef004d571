"""Tests the decisions of the built forward-auth, behind the proxies of examples/forward-auth and for requests as the
documentation of other proxies shows them. test_proxies.py has the proxies' own part."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import threading
import time
import unicodedata
import unittest
import urllib.parse

import forward_auth
import proxies
from forward_auth import log_out, token
from proxies import HOST, Keeping, Recorder, head, raw, send, serving

# Public for a signed-in user, and routes of administrators, by policies/default.cedar.
OPEN = ["/", "/orders", "/orders/", "/orders?next=/../admin", "/a%20b", "/%C3%A9t%C3%A9", "/administrator", "/x/admin"]
ADMIN = ["/admin", "/admin/", "/admin/users", "/%61dmin", "/admi%6E/users", "/admin?x=1", "/admin/a%20b"]
# Paths that two programs read differently.
AMBIGUOUS = [
    "//admin", "///admin", "/./admin", "/x/../admin", "/x/..//admin", "/../admin", "/x/%2e%2e/admin", "/x/.%2E/admin",
    "/x/..%2fadmin", "/x%2f..%2fadmin", "/%2fadmin", "/admin%2fusers", "/admin;x=1", "/;/admin", "/x/..;/admin",
    "/x/..;a=b/admin", "/%3b/admin", "/%2561dmin", "/x/%252e%252e/admin", "/admin%00", "/admin%20", "/admin%20/users",
    "/admin.", "/admin./users", "/admin%2e", "/x\\..\\admin", "/x%5c..%5cadmin", "/\\admin", "/x%3f/../admin",
    "/x%23/../admin", "/x#/../admin", "/admin#x", "/%c0%ae%c0%ae/admin", "/%ef%bc%8fadmin", "/x/%e2%80%a5/admin",
    "/admin%e2%80%8b", "/adm%c2%adin", "/admin%", "/admin%zz", "/admin%0a", "/admin%09", "/admin//users",
]  # fmt: skip
TARGETS = ["*", "admin", f"http://{HOST}//admin", f"http://{HOST}/x/../admin", "http://other.example.com//admin"]


def readings(target):
    """The paths that backends may read in a target: with and without further decoding, parameters, dots and slashes."""
    path = re.sub(r"^https?://[^/]*", "", target).split("?", 1)[0]
    found = {path}
    for _ in range(6):
        for one in list(found):
            found.add(one.split("#", 1)[0])
            found.add(urllib.parse.unquote(one))
            found.add(re.sub("(?i)%c0%ae", ".", one))
            found.add(one.replace("\\", "/"))
            found.add(re.sub(r";[^/]*", "", one))
            found.add(re.sub(r"/{2,}", "/", one))
            found.add(re.sub(r"[\x00-\x20.\u200b\xad]+(?=/|$)", "", one))
            found.add(unicodedata.normalize("NFKC", one).replace("\u200b", "").replace("\xad", ""))
            found.add(re.sub(r"(^|/)\.(?=/|$)", "", one))
            found.add(re.sub(r"(^|/)(?!\.\./)[^/]*/\.\.(?=/|$)", "", one))
    return found


def reads_as_admin(target):
    return any(re.match(r"/?admin(/|$|\.|%|;)", one) for one in readings(target))


@contextlib.contextmanager
def rule_for(network):
    """A folder of policies: callers from the network may call."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-policies-") as folder:
        shutil.copy(proxies.ROOT / "policies/schema.cedarschema", folder)
        rule = f'context has source_ip && context.source_ip.isInRange(ip("{network}"))'
        pathlib.Path(folder, "network.cedar").write_text(f"permit (principal, action, resource) when {{ {rule} }};\n")
        yield folder


def requires_binary(case):
    return unittest.skipUnless(forward_auth.BINARY.exists(), "local/prepare builds forward-auth")(case)


class Behind:
    """The tests of forward-auth behind a proxy."""

    @classmethod
    def setUpClass(cls):
        cls.open = contextlib.ExitStack()
        cls.addClassCleanup(cls.open.close)
        cls.backend = cls.open.enter_context(serving(Recorder()))
        auth = cls.open.enter_context(forward_auth.running(cls.dialect, **forward_auth.NO_AWS))
        cls.port = cls.open.enter_context(cls.start(auth, cls.backend.port))
        cls.user = [f"Authorization: Bearer {token(groups=['staff', 'r&d, x', 'été'])}"]
        cls.admin = [f"Authorization: Bearer {token(groups=['admins'])}"]

    def setUp(self):
        self.backend.requests.clear()

    def expect_refusal(self, answer, status, error):
        self.assertEqual(answer.status, status)
        (challenge,) = answer.all("WWW-Authenticate")
        self.assertTrue(challenge.startswith("Bearer"), challenge)
        self.assertEqual(re.findall(r'error="(\w+)"', challenge), error)
        self.assertEqual(self.backend.requests, [])

    def test_the_backend_receives_the_identity(self):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
            self.setUp()
            self.assertEqual(send(self.port, "/orders", self.user, method).status, 200)
            request = self.backend.last()
            self.assertEqual((request.method, request.get("x-auth-subject")), (method, "s-1"))
            self.assertEqual(request.get("x-auth-username"), "ada")
            self.assertEqual(request.get("x-auth-client-id"), forward_auth.CLIENT)
            groups = [urllib.parse.unquote(one) for one in request.get("x-auth-groups").split(",")]
            self.assertEqual(groups, ["staff", "r&d, x", "été"])
            self.assertEqual(request.get("x-auth-issuer"), forward_auth.POOL)
            self.assertRegex("".join(value for name, value in request.fields if "auth-" in name.lower()), r"^[!-~]*$")

    def test_a_caller_without_groups_has_none_of_a_clients(self):
        fields = [f"Authorization: Bearer {token()}", "X-Auth-Groups: admins", "x_auth_groups: admins"]
        self.assertEqual(send(self.port, "/orders", fields).status, 200)
        received = {value for name, value in self.backend.last().fields if "groups" in name.lower()}
        self.assertLessEqual(received, {""})

    def test_without_credentials_there_is_no_error_code(self):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            self.expect_refusal(send(self.port, "/orders", method=method), 401, [])
        self.expect_refusal(send(self.port, "/orders", ["X-Auth-Subject: s-1", "X-Auth-Groups: admins"]), 401, [])

    def test_bad_tokens_are_refused_without_a_reason(self):
        good = token()
        first, payload, signature = good.split(".")
        none = forward_auth.encoded(json.dumps({"alg": "none"}).encode())
        bad = [
            "x", signature, good[:-4] + "AAAA", f"{none}.{payload}.", f"{first}.{payload}", f"{good},{good}",
            token(lives=-1), token(iss="https://x"), token(client_id="other"), token(token_use="id"),
        ]  # fmt: skip
        for one in bad:
            self.expect_refusal(send(self.port, "/orders", [f"Authorization: Bearer {one}"]), 401, ["invalid_token"])
        self.assertEqual(send(self.port, "/orders", [f"Authorization: Bearer {good}"]).status, 200)

    def test_two_credentials_are_refused(self):
        answer = send(self.port, "/orders", [*self.user, *self.user])
        self.assertIn(answer.status, (400, 401))
        self.assertEqual(self.backend.requests, [])

    def test_a_known_caller_without_permission_is_refused(self):
        self.expect_refusal(send(self.port, "/admin/users", self.user), 403, ["insufficient_scope"])
        self.assertEqual(send(self.port, "/admin/users", self.admin).status, 200)

    def test_paths_are_decided_as_the_backend_sees_them(self):
        for path in OPEN:
            with self.subTest(path):
                self.setUp()
                self.assertEqual(send(self.port, path, self.user).status, 200)
                self.assertEqual(self.backend.last().path, path)
        for path in ADMIN:
            with self.subTest(path):
                self.setUp()
                self.assertEqual((send(self.port, path, self.user).status, self.backend.requests), (403, []))
                self.assertEqual(send(self.port, path, self.admin).status, 200)

    def test_no_path_reaches_the_backend_as_an_administrators_one(self):
        for path in AMBIGUOUS:
            self.assertTrue(reads_as_admin(path), path)
        for path in [*AMBIGUOUS, *TARGETS]:
            with self.subTest(path):
                self.setUp()
                answer = send(self.port, path, self.user)
                for request in self.backend.requests:
                    self.assertFalse(reads_as_admin(request.path), request.path)
                if path in AMBIGUOUS:
                    self.assertIn(answer.status, (400, 403))

    def test_a_clients_statement_of_the_original_request_changes_nothing(self):
        lies = ["X-Original-URI: /orders", "X-Original-Method: GET", "X-Original-URL: https://x/orders"]
        lies += ["X-Forwarded-Uri: /orders", "X-Forwarded-Method: GET", "X-Forwarded-Host: x", "X-Rewrite-URL: /orders"]
        for fields in (lies, lies + lies, [line.replace("-", "_", 2) for line in lies]):
            self.assertEqual(send(self.port, "/admin/users", [*self.user, *fields]).status, 403)
            self.assertEqual(send(self.port, "/orders", [*self.user, *fields]).status, 200)

    def test_a_header_of_64_kb_reaches_nothing(self):
        answer = send(self.port, "/orders", [*self.user, f"X-Large: {'a' * 66_000}"])
        self.assertIn(answer.status, (400, 431, 494))
        self.assertEqual(self.backend.requests, [])

    def test_many_groups_reach_the_backend_whole_or_not_at_all(self):
        for count, statuses in ((100, [200]), (300, [200]), (355, [200]), (390, [403]), (700, [400, 401])):
            self.setUp()
            groups = [f"group-{n:04}" for n in range(count)]
            answer = send(self.port, "/orders", [f"Authorization: Bearer {token(groups=groups)}"])
            self.assertIn(answer.status, statuses, count)
            received = [one.get("x-auth-groups").split(",") for one in self.backend.requests]
            self.assertEqual(received, [groups] if statuses == [200] else [])

    def test_a_websocket_is_decided(self):
        fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAA="]
        self.assertEqual(raw(self.port, head("/socket", fields)).status, 401)
        self.assertEqual(raw(self.port, head("/admin/socket", [*fields, *self.user])).status, 403)
        self.assertEqual(self.backend.requests, [])

    def test_a_client_cannot_claim_another_address(self):
        claimed = [f"{name}: 203.0.113.9" for name in ("X-Forwarded-For", "X-Real-IP", "X_Forwarded_For", "Forwarded")]
        for network, status in (("127.0.0.0/8", 200), ("203.0.113.0/24", 403)):
            with rule_for(network) as folder, contextlib.ExitStack() as stack:
                further = forward_auth.NO_AWS | {"POLICIES_DIR": folder}
                auth = stack.enter_context(forward_auth.running(self.dialect, **further))
                port = stack.enter_context(self.start(auth, self.backend.port))
                for fields in ([], claimed, claimed + claimed, ["X-Forwarded-For: 203.0.113.9, 203.0.113.9"]):
                    self.assertEqual(send(port, "/orders", [*self.user, *fields]).status, status)

    def test_a_token_in_a_cookie_needs_an_origin_where_it_changes_something(self):
        further = {"TOKEN_SOURCES": "cookie", "ALLOWED_ORIGINS": "https://pages.example.com"}
        cookie = f"Cookie: theme=dark; __Host-access_token={token()}"
        with forward_auth.running(self.dialect, **forward_auth.NO_AWS, **further) as auth:
            with self.start(auth, self.backend.port) as port:
                for method, fields, status in (
                    ("GET", [cookie], 200),
                    ("POST", [cookie, "Origin: https://pages.example.com"], 200),
                    ("POST", [cookie], 403),
                    ("POST", [cookie, "Origin: https://evil.example.com"], 403),
                    ("POST", [cookie, "Origin: https://evil.example.com", "X-Forwarded-Method: GET"], 403),
                    ("DELETE", [cookie, "Sec-Fetch-Site: cross-site"], 403),
                    ("GET", [f"{cookie}; __Host-access_token=x"], 401),
                    ("GET", [cookie, "Cookie: __Host-access_token=x"], 401),
                    ("GET", self.user, 401),
                ):
                    with self.subTest(method=method, fields=fields[1:]):
                        self.setUp()
                        self.assertEqual(send(port, "/orders", fields, method).status, status)
                        self.assertEqual(len(self.backend.requests), status == 200)

    def test_the_backend_receives_a_phantom_token_instead_of_the_callers(self):
        with forward_auth.phantom_tokens() as phantom:
            with forward_auth.running(self.dialect, **forward_auth.NO_AWS, **phantom) as auth:
                keys = send(auth, "/.well-known/jwks.json").body
                with self.start(auth, self.backend.port) as port:
                    self.assertEqual(send(port, "/orders", [*self.user, "X-Auth-Token: forged"]).status, 200)
                    self.assertEqual(send(port, "/orders", ["X-Auth-Token: forged"]).status, 401)
        (request,) = self.backend.requests
        self.assertNotIn(self.user[0].split()[-1], str(request.fields))
        self.assertEqual(request.all("x-auth-token"), [])
        scheme, phantom = request.get("authorization").split()
        claims = forward_auth.verified(phantom, keys)
        self.assertEqual((scheme, claims["aud"], claims["sub"]), ("Bearer", "orders", "s-1"))
        self.assertEqual(claims["groups"], ["staff", "r&d, x", "été"])
        self.assertLessEqual(claims["exp"] - claims["iat"], 60)

    def test_a_store_that_cannot_be_read_is_a_503(self):
        away = forward_auth.NO_AWS | {"REVOCATION_TABLE": "revocations"}
        with forward_auth.running(self.dialect, **away) as auth, self.start(auth, self.backend.port) as port:
            answer = send(port, "/orders", self.user)
        self.assertEqual((answer.status, answer.all("Retry-After")), (503, ["1"]))
        self.assertEqual(self.backend.requests, [])


@requires_binary
@unittest.skipUnless(proxies.NGINX.exists(), "test_proxies.py says it loudly: nginx is not installed")
class BehindNginx(Behind, unittest.TestCase):
    dialect = "nginx"
    start = staticmethod(proxies.nginx)


@requires_binary
@unittest.skipUnless(proxies.CADDY.exists(), "local/venv .tools/caddy local/caddy.txt installs Caddy")
class BehindCaddy(Behind, unittest.TestCase):
    dialect = "forwarded"
    start = staticmethod(proxies.caddy)


# Requests to the authorization server as the documentation of these proxies shows them. RECORDED SHAPES: no such proxy
# runs here. Traefik: doc.traefik.io, ForwardAuth. Envoy: ext_authz.proto, and its HTTP client, which adds the last two
# lines. ingress-nginx: its annotation auth-url.


def traefik(method, path, fields):
    return head("/auth", [
        *fields, "Accept-Encoding: gzip", f"X-Forwarded-Host: {HOST}", f"X-Forwarded-Method: {method}",
        "X-Forwarded-Port: 443", "X-Forwarded-Proto: https", "X-Forwarded-Server: traefik-1",
        f"X-Forwarded-Uri: {path}", "X-Forwarded-For: 203.0.113.7", "X-Real-Ip: 203.0.113.7",
    ], host="forward-auth:9000")  # fmt: skip


def envoy(method, path, fields):
    return head(f"/auth{path}", [
        *fields, "Content-Length: 0", "X-Request-Id: 1d5f", "X-Envoy-Expected-Rq-Timeout-Ms: 3000",
        "X-Envoy-Internal: true", "X-Forwarded-For: 203.0.113.7,10.0.0.3",
    ], method)  # fmt: skip


def ingress_nginx(method, path, fields):
    return head("/auth", [
        *fields, f"X-Original-URL: https://{HOST}{path}", f"X-Original-Method: {method}",
        "X-Sent-From: nginx-ingress-controller", "X-Real-IP: 203.0.113.7", "X-Forwarded-For: 203.0.113.7",
        "X-Auth-Request-Redirect: /", "X-Request-ID: 1d5f",
    ], host="forward-auth:9000")  # fmt: skip


@requires_binary
class RecordedShapes(unittest.TestCase):
    """forward-auth alone, asked as proxies ask that the tests cannot run."""

    SHAPES = {"forwarded": traefik, "envoy": envoy, "ingress-nginx": ingress_nginx}

    def test_each_shape_is_decided_by_its_method_and_path(self):
        user = [f"Authorization: Bearer {token()}", "Connection: close"]
        admin = [f"Authorization: Bearer {token(groups=['admins'])}", "Connection: close"]
        for dialect, shape in self.SHAPES.items():
            with self.subTest(dialect), forward_auth.running(dialect, **forward_auth.NO_AWS) as port:
                for method in ("GET", "POST", "HEAD", "OPTIONS", "DELETE"):
                    answer = raw(port, shape(method, "/orders/1?x=%2F", user))
                    self.assertEqual((answer.status, answer.get("x-auth-subject"), answer.body), (200, "s-1", b""))
                    self.assertEqual(answer.get("cache-control"), "no-store")
                    # Empty, so that a proxy that copies it overwrites a client's.
                    self.assertEqual(answer.all("x-auth-groups"), [""])
                    answer = raw(port, shape(method, "/orders", ["Connection: close"]))
                    self.assertEqual((answer.status, answer.all("www-authenticate")), (401, ["Bearer"]))
                for path in ADMIN:
                    self.assertEqual(raw(port, shape("GET", path, user)).status, 403, path)
                    self.assertEqual(raw(port, shape("GET", path, admin)).status, 200, path)
                for path in AMBIGUOUS:
                    # Envoy refuses a fragment itself, before it asks.
                    if dialect == "envoy" and "#" in path:
                        continue
                    self.assertIn(raw(port, shape("GET", path, admin)).status, (400, 403), path)

    def test_the_clients_address_is_counted_from_the_right(self):
        user = [f"Authorization: Bearer {token()}", "Connection: close", "X-Forwarded-For: 198.51.100.1"]
        with rule_for("203.0.113.7/32") as folder:
            for dialect, shape, hops, status in (
                ("forwarded", traefik, 1, 200),
                ("forwarded", traefik, 2, 403),
                ("forwarded", traefik, 3, 400),
                ("envoy", envoy, 2, 200),
                ("envoy", envoy, 1, 403),
                ("envoy", envoy, 9, 400),
            ):
                further = forward_auth.NO_AWS | {"POLICIES_DIR": folder, "TRUSTED_HOPS": str(hops)}
                with self.subTest(dialect, hops=hops), forward_auth.running(dialect, **further) as port:
                    self.assertEqual(raw(port, shape("GET", "/orders", user)).status, status)

    def test_a_cached_decision_and_a_logout_are_in_the_log(self):
        user, lines = [f"Authorization: Bearer {token()}", "Connection: close"], []
        cached = forward_auth.NO_AWS | {"DECISION_CACHE_SECONDS": "60"}
        with forward_auth.running("forwarded", lines, **cached) as port:
            for _ in range(2):
                self.assertEqual(raw(port, traefik("GET", "/orders", user)).status, 200)
            for fields, status in ((user, 204), ([], 401), (user, 401)):
                self.assertEqual(raw(port, head("/logout", [*fields, "Connection: close"], "POST")).status, status)
            self.assertEqual(raw(port, traefik("GET", "/orders", user)).status, 401)
        decisions = [(one["reason"], one["issuer"]) for one in lines if one["message"] == "decision"]
        pool = forward_auth.POOL
        self.assertEqual(decisions[:4], [("allowed", pool), ("allowed", pool), ("logged_out", pool), ("missing_token", None)])
        self.assertEqual({reason for reason, _ in decisions[4:]}, {"session_revoked"})
        [act] = [one for one in lines if one["message"] == "audit"]
        self.assertEqual((act["source"], act["act"], act["outcome"]), ("forward-auth", "log_out", "logged_out"))
        self.assertEqual(act["actor"], act["target"])
        self.assertRegex(act["id"], "^[0-9a-f]{16}$")
        self.assertNotIn("s-1", json.dumps(lines))

    def test_a_question_without_the_original_request_is_refused(self):
        user = [f"Authorization: Bearer {token()}", "Connection: close"]
        cases = {
            "nginx": ["X-Original-Method: GET", f"X-Original-Host: {HOST}", "X-Original-URI: /orders"],
            "forwarded": ["X-Forwarded-Method: GET", f"X-Forwarded-Host: {HOST}", "X-Forwarded-Uri: /orders"],
            "ingress-nginx": ["X-Original-Method: GET", f"X-Original-URL: https://{HOST}/orders"],
        }
        for dialect, fields in cases.items():
            with self.subTest(dialect), forward_auth.running(dialect, **forward_auth.NO_AWS) as port:
                self.assertEqual(raw(port, head("/auth", [*user, *fields])).status, 200)
                for n, field in enumerate(fields):
                    name = field.split(":")[0]
                    without = fields[:n] + fields[n + 1 :]
                    for wrong in ([], [field, field], [f"{name}:"], [f"{name}: x y"], [f"{name}: \xff\x01"]):
                        answer = raw(port, head("/auth", [*user, *without, *wrong]))
                        self.assertEqual(answer.status, 400, (name, wrong))
                # The headers of another dialect are no substitute.
                others = [one for name, lines in cases.items() if name != dialect for one in lines if one not in fields]
                self.assertEqual(raw(port, head("/auth", [*user, *others])).status, 400)


@requires_binary
@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "runs when the tests that fill the processors have ended")
@unittest.skipUnless(forward_auth.HAS_TABLES, "local/prepare installs DynamoDB Local")
class LocalStackLogout(unittest.TestCase):
    """After the real logout function has acknowledged, the first request is refused, while others run: 200 a second are
    sent, and at least 120 must be answered, because the tests share the machine."""

    RATE, CLIENTS, LEAST = 200, 8, 120

    def test_behind_nginx(self):
        if not proxies.NGINX.exists():
            self.skipTest("nginx is not installed")
        self.play("nginx", proxies.nginx)

    def test_behind_caddy(self):
        self.play("forwarded", proxies.caddy)

    def play(self, dialect, start):
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(forward_auth.revocations())
            backend = stack.enter_context(serving(Recorder()))
            backend.keep = False
            auth = stack.enter_context(forward_auth.running(dialect, **store))
            port = stack.enter_context(start(auth, backend.port))
            sessions = [token(session=f"o-{n}") for n in range(6)]
            staying = token(session="stays", subject="s-2")
            load = stack.enter_context(Load(port, [staying, *sessions], self.RATE, self.CLIENTS))
            load.wait_for(200)
            ended = {}
            for bearer in sessions:
                self.assertEqual(send(port, "/", [f"Authorization: Bearer {bearer}"]).status, 200)
                self.assertEqual(log_out(bearer, store), 200)
                ended[bearer] = time.monotonic()
                self.assertEqual(send(port, "/", [f"Authorization: Bearer {bearer}"]).status, 401)
            load.wait_for(200)
        self.assertGreater(load.rate(), self.LEAST)
        late = [status for bearer, sent, status in load.answers if sent > ended.get(bearer, sent) and status != 401]
        self.assertEqual(late, [])
        self.assertEqual({status for bearer, _, status in load.answers if bearer == staying}, {200})
        self.assertEqual({status for _, _, status in load.answers}, {200, 401})


class Load:
    """Clients that send a number of requests a second in all, each with the next of these tokens."""

    def __init__(self, port, tokens, rate, clients):
        self.port, self.tokens, self.pause = port, tokens, clients / rate
        self.answers, self.stopped = [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(clients)]

    def run(self, number):
        connection = Keeping(self.port)
        due = time.monotonic() + self.pause * number / len(self.threads)
        while not self.stopped.wait(max(0, due - time.monotonic())):
            due += self.pause
            number += 1
            bearer = self.tokens[number % len(self.tokens)]
            sent = time.monotonic()
            self.answers.append((bearer, sent, connection.status("/", {"Authorization": f"Bearer {bearer}"})))
        connection.close()

    def wait_for(self, further):
        target, deadline = len(self.answers) + further, time.monotonic() + 60
        while len(self.answers) < target and time.monotonic() < deadline:
            time.sleep(0.01)
        if len(self.answers) < target:
            raise AssertionError(f"{len(self.answers)} answers of {target}")

    def rate(self):
        moments = [sent for _, sent, _ in self.answers]
        return len(moments) / (max(moments) - min(moments))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=proxies.SECONDS)


if __name__ == "__main__":
    unittest.main()
