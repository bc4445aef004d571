"""Tests that the proxies of examples/forward-auth ask before each request, pass on each kind of answer, and let a
backend see no identity that forward-auth did not state. The proxies are real, forward-auth is scripted, and the backend
keeps what it receives. test_forward_auth.py has the decisions of the real forward-auth."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import yaml

import proxies
from proxies import Recorder, head, raw, send, serving

IDENTITY = {
    "X-Auth-Subject": "s-1",
    "X-Auth-Username": "ada",
    "X-Auth-Groups": "staff,r%26d",
    "X-Auth-Scope": "read%20write",
    "X-Auth-Client-Id": "c-1",
    "X-Auth-Issuer": "https://issuer.example.com/pool",
    "X-Auth-Session": "o-1",
    "X-Auth-Key-Id": "",
}
ALLOWED = (200, IDENTITY | {"Cache-Control": "no-store"})
CHALLENGE = 'Bearer error="invalid_token"'
# Every character of a header's name (RFC 9110, section 5.6.2) that backends may read as a hyphen.
CONFUSED = "!#$%&'*+.^_`|~"
STATED = {name.lower() for name in (*IDENTITY, "X-Auth-Token", "Authorization")}


def as_variable(name):
    """A header's name as CGI and what descends from it see it."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def identity_seen(request):
    """What a backend may take for the caller's identity, by the name of a CGI variable, trailers included."""
    seen = [(as_variable(name), value) for name, value in (*request.fields, *request.trailers)]
    return sorted((name, value) for name, value in seen if name.startswith("X_AUTH_") and value)


def stated():
    return sorted((as_variable(name), value) for name, value in IDENTITY.items() if value)


NO_NGINX = "**** nginx is NOT INSTALLED, its tests are SKIPPED: local/debian .tools/nginx nginx ****"


def setUpModule():
    if not proxies.NGINX.exists():
        print(NO_NGINX, file=sys.stderr)
        return
    # Debian's, of this machine's release.
    environment = proxies.unpacked(proxies.NGINX)
    print(subprocess.run([proxies.NGINX, "-v"], env=environment, capture_output=True, text=True, check=True).stderr.strip())


class Cases:
    """The tests of each proxy. `start` is a context manager that yields the proxy's port."""

    # The status of a request that forward-auth did not answer.
    unreachable = None

    @classmethod
    def setUpClass(cls):
        cls.open = contextlib.ExitStack()
        cls.addClassCleanup(cls.open.close)
        cls.auth = cls.open.enter_context(serving(Recorder()))
        cls.backend = cls.open.enter_context(serving(Recorder()))
        cls.port = cls.open.enter_context(cls.start(cls.auth.port, cls.backend.port))

    def setUp(self):
        self.auth.answer = lambda _: ALLOWED
        self.backend.answer = lambda _: (200, {})
        self.auth.requests.clear()
        self.backend.requests.clear()
        self.backend.tunnelled = b""

    def refuse(self, status, headers=None):
        self.auth.answer = lambda _: (status, headers or {})

    def asked(self):
        """The original method, host and path of the last question."""
        request = self.auth.last()
        return tuple(request.get(name) for name in self.original)

    def seen(self):
        """The one request that reached the backend."""
        self.assertEqual(len(self.backend.requests), 1)
        return self.backend.last()

    # Answers

    def test_an_allowed_request_reaches_the_backend_with_the_identity(self):
        answer = send(self.port, "/orders/1?x=%2F", ["Authorization: Bearer t"])
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.auth.last().get("authorization"), "Bearer t")
        self.assertEqual((self.seen().path, identity_seen(self.seen())), ("/orders/1?x=%2F", stated()))

    def test_a_401_is_passed_on_with_its_challenge(self):
        for challenge in ("Bearer", CHALLENGE, 'Bearer resource_metadata="https://app.example.com/.well-known/x"'):
            self.refuse(401, {"WWW-Authenticate": challenge})
            answer = send(self.port)
            self.assertEqual((answer.status, answer.all("WWW-Authenticate")), (401, [challenge]))
        self.assertEqual(self.backend.requests, [])

    def test_a_403_is_passed_on_with_its_challenge(self):
        challenge = 'Bearer error="insufficient_scope"'
        self.refuse(403, {"WWW-Authenticate": challenge})
        answer = send(self.port)
        self.assertEqual((answer.status, answer.all("WWW-Authenticate")), (403, [challenge]))
        self.refuse(403)
        answer = send(self.port)
        self.assertEqual((answer.status, answer.all("WWW-Authenticate")), (403, []))
        self.assertEqual(self.backend.requests, [])

    def test_a_503_is_passed_on_with_retry_after(self):
        self.refuse(503, {"Retry-After": "1"})
        answer = send(self.port)
        self.assertEqual((answer.status, answer.all("Retry-After")), (503, ["1"]))
        self.assertEqual(self.backend.requests, [])

    def test_a_400_is_passed_on(self):
        self.refuse(400)
        self.assertEqual(send(self.port).status, 400)
        self.assertEqual(self.backend.requests, [])

    def test_any_other_answer_keeps_the_request_from_the_backend(self):
        for status in (100, 301, 302, 304, 404, 429, 431, 500, 502):
            with self.subTest(status):
                self.refuse(status, IDENTITY | {"Location": "/"})
                self.assertNotEqual(send(self.port).status // 100, 2)
        self.assertEqual(self.backend.requests, [])

    def test_a_431_is_passed_on_as_the_clients_fault(self):
        self.refuse(431)
        self.assertEqual(send(self.port).status, 431)
        self.assertEqual(self.backend.requests, [])

    def test_a_backends_own_refusals_reach_the_client(self):
        for status in (401, 403, 500, 503):
            self.backend.answer = lambda _, status=status: (status, {"WWW-Authenticate": "Basic", "X-Own": "yes"})
            answer = send(self.port)
            self.assertEqual((answer.status, answer.get("X-Own")), (status, "yes"))
            self.assertEqual(answer.all("WWW-Authenticate"), ["Basic"])

    def test_the_client_does_not_see_the_identity(self):
        answer = send(self.port)
        self.assertEqual([name for name, _ in answer.fields if name.lower() in STATED], [])

    # The original request

    def test_method_host_and_path_are_sent_as_they_are(self):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            with self.subTest(method):
                send(self.port, "/a%20b/c?d=e&f=%00", method=method)
                self.assertEqual(self.asked(), (method, proxies.HOST, "/a%20b/c?d=e&f=%00"))
                self.assertEqual((self.backend.last().method, self.backend.last().path), (method, "/a%20b/c?d=e&f=%00"))

    def test_the_path_that_is_decided_is_the_path_that_the_backend_receives(self):
        for path in (
            "/", "//", "//admin", "/a//b", "/./admin", "/a/../admin", "/a/%2e%2e/admin", "/a/..%2fadmin", "/%61dmin",
            "/a%2Fb", "/a%5cb", "/a;b=c/d", "/a/..;/admin", "/%2561dmin", "/admin%20", "/admin.", "/a%00", "/a?b?c#d",
            "/?", "/a?", "/a?/../admin", "/%e4", "/\xe4", "/a%", "/a%zz", "/a|b", "/a\"b", "/{http.request.host}",
            "/$request_method", "/a%0d%0aX-Auth-Subject:%20root", "/%c0%ae%c0%ae/admin", "/" + "a" * 4000,
        ):  # fmt: skip
            with self.subTest(path):
                self.backend.requests.clear()
                answer = send(self.port, path)
                if answer.status == 200:
                    self.assertEqual(self.asked()[2], self.seen().path)
                else:
                    self.assertEqual(self.backend.requests, [])
                    self.assertEqual(answer.status // 100, 4)

    def test_an_absolute_target_is_decided_as_the_backend_receives_it(self):
        for target, host in (
            (f"http://{proxies.HOST}/a/../admin", proxies.HOST),
            (f"http://{proxies.HOST}/x", proxies.HOST),
            (f"http://{proxies.HOST}/x", "other.example.com"),
        ):
            self.backend.requests.clear()
            self.assertEqual(send(self.port, target, host=host).status, 200, target)
            self.assertEqual(self.asked()[2], self.seen().path)
            self.assertEqual(self.asked()[1], self.seen().get("host"))

    def test_the_host_that_is_decided_is_the_host_that_the_backend_receives(self):
        reached = 0
        for host in (proxies.HOST, proxies.HOST.upper(), f"{proxies.HOST}.", f"{proxies.HOST}:8443"):
            self.backend.requests.clear()
            # Caddy answers 200 itself for a host that it does not serve.
            if send(self.port, host=host).status == 200 and self.backend.requests:
                reached += 1
                self.assertEqual(self.asked()[1], self.seen().get("host"), host)
        self.assertGreaterEqual(reached, 3)

    def test_two_hosts_or_none_reach_nothing(self):
        for request in (
            head("/", ["Host: other.example.com", "Connection: close"]),
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        ):
            self.assertIn(raw(self.port, request).status, (400, 404))
        self.assertEqual(self.backend.requests, [])

    def test_targets_that_are_no_paths_do_not_reach_the_backend_undecided(self):
        for method in ("GET", "OPTIONS", "CONNECT"):
            for target in ("*", f"{proxies.HOST}:80", "admin", "", "@", "?", "#", f"{proxies.HOST}/admin"):
                with self.subTest(method=method, target=target):
                    self.setUp()
                    send(self.port, target, method=method)
                    self.assertEqual([one.path for one in self.backend.requests if one.path != self.asked()[2]], [])
                    self.setUp()
                    self.refuse(401, {"WWW-Authenticate": "Bearer"})
                    send(self.port, target, method=method)
                    self.assertEqual(self.backend.requests, [])

    def test_older_versions_of_http_are_decided_too(self):
        self.refuse(401, {"WWW-Authenticate": "Bearer"})
        with_host = head("/admin", []).replace(b"1.1", b"1.0")
        for request in (b"GET /admin\r\n\r\n", b"GET /admin HTTP/1.0\r\n\r\n", with_host):
            raw(self.port, request)
        self.assertEqual(self.backend.requests, [])

    def test_a_clients_own_statement_of_the_original_request_is_ignored(self):
        lies = [
            "X-Original-Method: TRACE", "X-Original-Host: evil.example.com", "X-Original-URI: /public",
            "X-Original-URL: http://evil.example.com/public", "X-Forwarded-Method: TRACE", "X-Forwarded-Uri: /public",
            "X-Forwarded-Host: evil.example.com", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher",
            "Forwarded: for=203.0.113.9;host=evil.example.com", "X-Rewrite-URL: /public", "X-Forwarded-Prefix: /evil",
            "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET",
        ]  # fmt: skip
        underscored = [line.replace("-", "_", 2) for line in lies]
        for fields in (lies, [line.lower() for line in lies], lies + lies, underscored):
            self.backend.requests.clear()
            self.assertEqual(send(self.port, "/admin", fields, method="POST").status, 200)
            self.assertEqual(self.asked(), ("POST", proxies.HOST, "/admin"))
            self.assertEqual(self.auth.last().get("x-forwarded-for"), "127.0.0.1")
            for name, value in self.seen().fields:
                self.assertNotRegex(value, r"evil|203\.0\.113\.9|/public|gopher|TRACE", name)
                self.assertNotRegex(name, "(?i)override|rewrite|http.method", name)

    def test_a_connection_header_removes_neither_the_original_request_nor_the_identity(self):
        listed = ", ".join(["close", *self.original, *IDENTITY, "Authorization", "X-Forwarded-For"])
        for fields in ([f"Connection: {listed}"], [f"Connection: {part}" for part in listed.split(", ")]):
            self.backend.requests.clear()
            answer = raw(self.port, head("/admin", [*fields, "Authorization: Bearer t"]))
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.asked(), ("GET", proxies.HOST, "/admin"))
            self.assertEqual(identity_seen(self.seen()), stated())

    # Identity from clients

    def spellings(self):
        """Header lines by which a client may try to state an identity of its own."""
        for name in (*IDENTITY, "X-Auth-Token"):
            yield from (f"{one}: root" for one in (name, name.lower(), name.upper()))
            for separator in CONFUSED:
                yield f"{name.replace('-', separator)}: root"
                yield f"{name.replace('-', separator, 1)}: root"
                yield f"{separator.join(name.rsplit('-', 1))}: root"
            yield from (f"{name} : root", f"{name}\t: root", f" {name}: root", f"{name}:root", f"{name}\x00: root")
            yield from (f"X-Other: 1\r\n {name}: root", f"X-Other: 1\n{name}: root", f"{name}\xad: root", f"{name}:")

    def test_identity_headers_of_a_client_are_dropped_in_every_spelling(self):
        reached = 0
        for line in self.spellings():
            with self.subTest(line):
                self.backend.requests.clear()
                answer = send(self.port, "/", [line])
                if answer.status == 200:
                    reached += 1
                    self.assertEqual(identity_seen(self.seen()), stated())
                else:
                    self.assertEqual((answer.status, self.backend.requests), (400, []))
        self.assertGreater(reached, 30)

    def test_repeated_identity_headers_of_a_client_are_dropped(self):
        for name in IDENTITY:
            fields = [f"{name}: root", f"{name.lower()}: admin", f"{name}: ", f"{name.replace('-', '_')}: root"]
            self.backend.requests.clear()
            self.assertEqual(send(self.port, "/", fields).status, 200)
            self.assertEqual(identity_seen(self.seen()), stated())

    def test_identity_headers_of_a_client_are_dropped_where_the_answer_has_none(self):
        self.auth.answer = lambda _: (200, {"X-Auth-Subject": "s-1", "X-Auth-Username": ""})
        reached = 0
        for line in self.spellings():
            self.backend.requests.clear()
            if send(self.port, "/", [line]).status == 200:
                reached += 1
                self.assertEqual(identity_seen(self.seen()), [("X_AUTH_SUBJECT", "s-1")], line)
        self.assertGreater(reached, 30)

    def test_trailers_carry_no_identity(self):
        for name in ("X-Auth-Subject", "X_Auth_Subject", "X-Auth-Groups"):
            body = f"3\r\nabc\r\n0\r\n{name}: root\r\n\r\n".encode()
            fields = ["Connection: close", "Transfer-Encoding: chunked", f"Trailer: {name}", "TE: trailers"]
            self.backend.requests.clear()
            answer = raw(self.port, head("/", fields, "POST") + body)
            self.assertEqual(answer.status, 200)
            self.assertEqual((self.seen().body, identity_seen(self.seen())), (b"abc", stated()))

    def test_a_client_cannot_ask_forward_auth_itself(self):
        for path in ("/_forward_auth", "/auth", "/_forward_auth/", "/_forward%5fauth"):
            self.setUp()
            answer = send(self.port, path)
            self.assertEqual([name for name, _ in answer.fields if name.lower().startswith("x-auth")], [])
            self.assertEqual(len(self.backend.requests), 0 if answer.status == 404 else 1)

    # Bodies, sizes, connections

    def test_a_body_reaches_the_backend_and_not_forward_auth(self):
        send(self.port, "/", method="POST", body=b"secret" * 20_000)
        self.assertEqual(self.seen().body, b"secret" * 20_000)
        self.assertEqual(self.auth.last().body, b"")

    def test_a_body_of_two_lengths_smuggles_no_request(self):
        hidden = b"GET /admin HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
        for fields in (
            [f"Content-Length: {5 + len(hidden)}", "Transfer-Encoding: chunked"],
            ["Content-Length: 5", "Transfer-Encoding: chunked"],
            ["Content-Length: 5", f"Content-Length: {5 + len(hidden)}"],
            ["Transfer-Encoding: xchunked"],
            ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
            ["Transfer-Encoding : chunked"],
            [f"Content-Length: +{5 + len(hidden)}"],
        ):
            with self.subTest(fields):
                self.setUp()
                # Every request but the first is refused, so that /admin reaches the backend only undecided.
                self.auth.answer = lambda one: ALLOWED if self.path_of(one) == "/" else (403, {})
                raw(self.port, head("/", [*fields, "Connection: keep-alive"], "POST") + b"0\r\n\r\n" + hidden)
                self.assertNotIn("/admin", [one.path for one in self.backend.requests])

    def path_of(self, request):
        return request.get(self.original[2])

    def test_each_request_of_a_connection_is_decided(self):
        self.auth.answer = lambda one: ALLOWED if self.path_of(one) == "/1" else (401, {"WWW-Authenticate": "Bearer"})
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(head("/1", []) + head("/2", []) + head("/3", ["Connection: close"]))
            answers = b"".join(iter(lambda: connection.recv(65536), b""))
        self.assertEqual(re.findall(rb"HTTP/1.1 (\d+)", answers), [b"200", b"401", b"401"])
        self.assertEqual([one.path for one in self.backend.requests], ["/1"])

    def test_large_headers(self):
        fields = [f"X-Large-{n}: {'a' * 6000}" for n in range(3)]
        self.assertEqual(send(self.port, "/", fields).status, 200)
        self.assertEqual(self.seen().get("x-large-2"), "a" * 6000)
        self.backend.requests.clear()
        # What forward-auth says of more than it reads.
        self.refuse(431)
        answer = send(self.port, "/", [f"X-Large-{n}: {'a' * 6000}" for n in range(20)])
        self.assertNotEqual(answer.status // 100, 2)
        self.assertEqual(self.backend.requests, [])

    def test_the_largest_identity_reaches_the_backend_whole(self):
        largest = {"X-Auth-Groups": "g" * 4096, "X-Auth-Token": "t" * 4300}
        self.auth.answer = lambda _: (200, largest)
        self.assertEqual(send(self.port).status, 200)
        self.assertEqual(self.seen().get("x-auth-groups"), largest["X-Auth-Groups"])
        self.assertEqual(self.seen().get("authorization"), f"Bearer {largest['X-Auth-Token']}")

    def test_a_websocket_is_decided_and_then_tunnelled(self):
        fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAA="]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(head("/socket", fields))
            self.assertIn(b"101", connection.recv(65536))
            connection.sendall(b"frame.")
            self.assertEqual(connection.recv(65536), b"tunnelled")
        self.assertEqual((self.backend.tunnelled, identity_seen(self.seen())), (b"frame", stated()))
        self.setUp()
        listed = [f"Connection: Upgrade, {', '.join(IDENTITY)}", *fields[1:]]
        self.assertEqual(raw(self.port, head("/socket", listed)).status, 101)
        self.assertEqual(identity_seen(self.seen()), stated())
        self.setUp()
        self.refuse(401, {"WWW-Authenticate": "Bearer"})
        self.assertEqual(raw(self.port, head("/socket", fields)).status, 401)
        self.assertEqual(self.backend.requests, [])

    def test_other_protocols_are_not_tunnelled(self):
        for fields in (
            ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
            ["Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"],
            ["Connection: Upgrade", "Upgrade: h2c, websocket"],
            ["Connection: Upgrade", "Upgrade: websocket, h2c"],
            ["Connection: Upgrade", "Upgrade: anything"],
        ):
            with self.subTest(fields):
                self.setUp()
                with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
                    connection.sendall(head("/", fields))
                    connection.recv(65536)
                upgraded = [one.get("upgrade") for one in self.backend.requests]
                self.assertIn(upgraded, ([], [None], ["websocket"]))

    def test_without_forward_auth_nothing_reaches_the_backend(self):
        with serving(Recorder()) as gone:
            port = gone.port
        with self.start(port, self.backend.port) as other:
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                self.assertEqual(send(other, "/public", method=method).status, self.unreachable)
        self.assertEqual(self.backend.requests, [])

    def test_a_forward_auth_that_does_not_answer_is_not_awaited_for_long(self):
        began = time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            with self.start(silent.getsockname()[1], self.backend.port) as other:
                self.assertIn(send(other, "/public").status, (503, 504))
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.backend.requests, [])

    def test_a_phantom_token_replaces_the_clients_credential(self):
        self.auth.answer = lambda _: (200, IDENTITY | {"X-Auth-Token": "short.jwt.here"})
        for fields, cookies in (
            (["Authorization: Bearer long-lived"], []),
            (["X-Auth-Token: long-lived"], []),
            (["X-Api-Key: long-lived"], []),
            (["X-API-KEY: long-lived", "Authorization: ApiKey long-lived"], []),
            (["Cookie: __Host-session=long-lived"], []),
            (["Cookie: __Host-access_token=long-lived"], []),
            (["Cookie: a=1; __Host-session=long-lived"], ["a=1"]),
            (["Cookie: __Host-session=long-lived; a=1"], ["a=1"]),
            (["Cookie: a=1; __Host-session=long-lived; b=2"], ["a=1", "b=2"]),
            (["Cookie: a=1;__Host-access_token=long-lived;b=2"], ["a=1", "b=2"]),
            (["Cookie: __Host-access_token=long-lived; __Host-session=long-lived; b=2"], ["b=2"]),
            (["Cookie: x__Host-session=1; __Host-session2=2"], ["x__Host-session=1", "__Host-session2=2"]),
            (["Cookie: a=1; b=2"], ["a=1", "b=2"]),
            (["Cookie: a=1", "Cookie: __Host-session=long-lived", "Cookie: b=2"], ["a=1", "b=2"]),
        ):
            with self.subTest(fields):
                self.backend.requests.clear()
                self.assertEqual(send(self.port, "/", fields).status, 200)
                self.assertEqual(self.seen().all("authorization"), ["Bearer short.jwt.here"])
                self.assertEqual(self.seen().all("x-auth-token"), [])
                self.assertNotIn("long-lived", repr(self.seen().fields))
                kept = [one.strip() for line in self.seen().all("cookie") for one in line.split(";")]
                self.assertEqual([one for one in kept if one], cookies)

    def test_without_phantom_tokens_the_credential_stays_as_it_is(self):
        cookies = "a=1; __Host-session=s; __Host-access_token=t; b=2"
        send(self.port, "/", ["Authorization: Bearer long", "X-Auth-Token: forged", "X-Api-Key: k", f"Cookie: {cookies}"])
        self.assertEqual(self.seen().all("authorization"), ["Bearer long"])
        self.assertEqual((self.seen().all("x-api-key"), self.seen().all("cookie")), (["k"], [cookies]))


FORWARDED = ("X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri")


@unittest.skipUnless(proxies.NGINX.exists(), NO_NGINX)
class Nginx(Cases, unittest.TestCase):
    start = staticmethod(proxies.nginx)
    original = ("X-Original-Method", "X-Original-Host", "X-Original-URI")
    unreachable = 503


@unittest.skipUnless(proxies.CADDY.exists(), "local/venv .tools/caddy local/caddy.txt installs Caddy")
class Caddy(Cases, unittest.TestCase):
    start = staticmethod(proxies.caddy)
    original = FORWARDED
    unreachable = 502


class Unpacking(unittest.TestCase):
    def test_only_a_folder_of_the_checkout_is_emptied(self):
        with tempfile.TemporaryDirectory() as folder:
            kept = pathlib.Path(folder, "here/kept")
            kept.parent.mkdir()
            kept.touch()
            for arguments in ([], [folder, "x"], ["tools"], ["..", "x"], [".", "x"], ["./", "x"], ["a/../..", "x"], ["", "x"]):
                command = [proxies.ROOT / "local/debian", *arguments]
                done = subprocess.run(command, cwd=kept.parent, capture_output=True, check=False)
                self.assertEqual((done.returncode, kept.exists()), (2, True), arguments)


class Examples(unittest.TestCase):
    """The files of examples/forward-auth, those of proxies too that the tests do not run."""

    SHOWN = re.compile(r"(\[`examples/forward-auth/(\S+)`\]\([^)]*\):\n\n```\w+\n)(.*?)(```\n)", re.DOTALL)
    # By proxy, the file that has the headers which forward-auth answers with.
    COPIES = ("nginx.conf", "Caddyfile", "traefik-dynamic.yaml", "ingress-nginx.yaml")

    def test_the_document_shows_them_as_they_are(self):
        """GATEHOUSE_UPDATE=1 writes them into the document."""
        page = proxies.ROOT / "docs/forward-auth.md"
        text = page.read_text()
        files = {file.name: file.read_text() for file in proxies.EXAMPLES.iterdir()}
        if os.environ.get("GATEHOUSE_UPDATE") == "1":
            text = self.SHOWN.sub(lambda found: found[1] + files[found[2]] + found[4], text)
            page.write_text(text)
        self.assertEqual({name: content for _, name, content, _ in self.SHOWN.findall(text)}, files)

    def test_each_replaces_every_identity_header(self):
        for name in self.COPIES:
            words = set(re.findall(r"[\w-]+", (proxies.EXAMPLES / name).read_text()))
            self.assertEqual({*IDENTITY, "X-Auth-Token"} - words, set(), name)

    @unittest.skipUnless((proxies.ROOT / ".tools/envoy").exists(), "local/venv .tools/envoy local/envoy.txt")
    def test_envoys_api_has_each_name_and_value(self):
        command = [proxies.ROOT / ".tools/envoy/bin/python", proxies.ROOT / "local/envoy_file.py"]
        done = subprocess.run([*command, proxies.EXAMPLES / "envoy.yaml"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_envoy_asks_after_it_removed_the_clients_headers(self):
        listener = yaml.safe_load((proxies.EXAMPLES / "envoy.yaml").read_text())["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        filters = {one["name"]: one["typed_config"] for one in manager["http_filters"]}
        self.assertEqual([*filters][:2], ["drop-client-headers", "forward-auth"])
        self.assertIs(filters["forward-auth"]["failure_mode_allow"], False)
        removals = [one.get("remove_on_match", {}).get("key_matcher", {}) for one in
                    filters["drop-client-headers"]["mutations"]["request_mutations"]]  # fmt: skip
        patterns = [one["safe_regex"]["regex"] for one in removals if "safe_regex" in one]
        prefixes = tuple(one["prefix"] for one in removals if "prefix" in one)
        for name in IDENTITY:
            self.assertTrue(name.lower().startswith(prefixes))
            for separator in CONFUSED:
                alias = name.lower().replace("-", separator)
                self.assertTrue(any(re.fullmatch(one, alias) for one in patterns), alias)
        for name in (":path", ":authority", "authorization", "x-forwarded-for", "cookie", "sec-websocket-key"):
            self.assertFalse(name.startswith(prefixes) or any(re.fullmatch(one, name) for one in patterns), name)

    def test_a_phantom_token_leaves_no_credential_behind_envoy_and_traefik(self):
        listener = yaml.safe_load((proxies.EXAMPLES / "envoy.yaml").read_text())["static_resources"]["listeners"][0]
        filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        [phantom] = [one["typed_config"]["mutations"] for one in filters if one["name"] == "phantom-token"]
        removed = {one["remove"] for one in phantom["request_mutations"] if "remove" in one}
        self.assertEqual(removed, {"x-auth-token", "x-api-key", "cookie"})
        dynamic = yaml.safe_load((proxies.EXAMPLES / "traefik-dynamic.yaml").read_text())["http"]["middlewares"]
        dropped = dynamic["drop-credentials"]["headers"]["customRequestHeaders"]
        self.assertEqual(dropped, {"Authorization": "", "Cookie": "", "X-Api-Key": ""})

    def test_traefik_trusts_nothing_that_a_client_states(self):
        static = yaml.safe_load((proxies.EXAMPLES / "traefik.yaml").read_text())["entryPoints"]["web"]
        self.assertEqual(static["http"]["aliasHeadersStrategy"], "reject")
        self.assertNotIn("forwardedHeaders", static)
        dynamic = yaml.safe_load((proxies.EXAMPLES / "traefik-dynamic.yaml").read_text())["http"]
        self.assertIs(dynamic["middlewares"]["forward-auth"]["forwardAuth"]["trustForwardHeader"], False)
        for router in dynamic["routers"].values():
            self.assertEqual(router["middlewares"][-1], "forward-auth")


if __name__ == "__main__":
    unittest.main()
