"""A client of the local stack, for the walkthrough and the scenarios: signs up, signs in, calls the API, reads emails,
opens WebSockets. Each call expects a status and raises CheckFailed at another one."""

import base64
import contextlib
import functools
import hmac
import html
import json
import queue
import re
import secrets
import socket
import struct
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3

import srp

# Seconds between the attempts of a call.
RETRY_PAUSES = (0.5, 1, 2)
BUSY = (500, 502, 503)
PASSWORD = "correct horse battery staple".replace(" ", "-")


class CheckFailed(Exception):
    """The stack's response differs from the expected one."""


class Tokens:
    def __init__(self, result):
        self.access = result["AccessToken"]
        self.refresh = result.get("RefreshToken")

    @classmethod
    def of_api(cls, answer):
        return cls({"AccessToken": answer["access_token"], "RefreshToken": answer.get("refresh_token")})


class Person:
    """A new user with a mailbox."""

    def __init__(self, state, say):
        self.state, self.say = state, say
        # An address that reveals missing encoding.
        self.email = f"ada+{secrets.token_hex(4)}&c%d@example.com"
        self.password = PASSWORD

    def sign_up(self):
        """Signs up through the API, and confirms with the button on the page that the email links to."""
        self.api("POST", "/auth/signup", None, {"email": self.email, "password": PASSWORD}, 202)
        self.press(self.link_in_mail())

    def last_mail(self):
        with urllib.request.urlopen(self.state["cognito"] + "/outbox.json", timeout=30) as response:
            return [mail for mail in json.load(response) if mail["to"] == self.email][-1]["html"]

    def code_in_mail(self):
        return re.search(r">\s*(\d{6})\s*<", self.last_mail())[1]

    def link_in_mail(self):
        link = html.unescape(re.search(r'href="([^"]+/auth/confirm[^"]+)"', self.last_mail())[1])
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)
        expect(query["email"] == [self.email], "the link decodes to the address")
        return link

    def press(self, link):
        """Opens the link as a browser does, and presses the page's button."""
        with urllib.request.urlopen(link, timeout=60) as response:
            page = response.read().decode()
        self.say(f"   {'GET /auth/confirm?...':<46} 200  a page with a button")
        self.api("POST", "/auth/login", None, self.credentials(), 401)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
        fields["password"] = self.password
        form = urllib.parse.urlencode({name: html.unescape(value) for name, value in fields.items()})
        url = urllib.parse.urljoin(link, re.search(r'action="(\w+)"', page)[1])
        origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(link))
        headers = {"Origin": origin, "Content-Type": "application/x-www-form-urlencoded"}
        request = urllib.request.Request(url, form.encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            expect("is confirmed" in response.read().decode(), "the button confirms")
        self.say(f"   {'POST /auth/confirm (the button)':<46} 200")

    @staticmethod
    def of(credentials):
        """The credentials under Cognito's names."""
        return {"USERNAME": credentials["email"], "PASSWORD": credentials["password"]}

    def credentials(self):
        return {"email": self.email, "password": self.password}

    def log_in(self, expected=200):
        answer = self.api("POST", "/auth/login", None, self.credentials(), expected)
        return answer if "challenge" in answer or expected != 200 else Tokens.of_api(answer)

    def log_in_by_srp(self, password, expected=200):
        client = srp.Client(self.state["user_pool_id"], password)
        challenge = self.api("POST", "/auth/login", None, {"email": self.email, "srp_a": client.a}, 200)
        expect(challenge["challenge"] == "PASSWORD_VERIFIER", "the sign-in requires a proof")
        answer = {"challenge": "PASSWORD_VERIFIER", "username": challenge["username"]}
        answer["srp"] = client.proof(challenge["parameters"])
        if challenge.get("session"):
            answer["session"] = challenge["session"]
        answer = self.api("POST", "/auth/challenge", None, answer, expected)
        return Tokens.of_api(answer) if expected == 200 else None

    def sign_in(self):
        parameters = {"USERNAME": self.email, "PASSWORD": self.password}
        return Tokens(self.authenticate("USER_PASSWORD_AUTH", parameters))

    def refresh(self, tokens):
        return self.authenticate("REFRESH_TOKEN_AUTH", {"REFRESH_TOKEN": tokens.refresh})[
            "AccessToken"
        ]

    def expect_refresh_rejected(self, tokens):
        request = {
            "AuthFlow": "REFRESH_TOKEN_AUTH",
            "AuthParameters": {"REFRESH_TOKEN": tokens.refresh},
        }
        self.cognito("InitiateAuth", request, expected=400)

    def authenticate(self, flow, parameters):
        request = {"AuthFlow": flow, "AuthParameters": parameters}
        return self.cognito("InitiateAuth", request)["AuthenticationResult"]

    def cognito(self, operation, request, expected=200):
        target = f"AWSCognitoIdentityProviderService.{operation}"
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        body = {"ClientId": self.state["client_id"]} | request
        return self.http("POST", self.state["cognito"] + "/", headers, body, expected, operation)

    def call(self, token, expected):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http("GET", self.state["api"] + "/whoami", headers, None, expected, "GET /whoami")

    def expect_cors_allowed(self, path):
        """Sends the preflight of a browser for a page of another origin (CORS)."""
        request = urllib.request.Request(self.state["api"] + path, method="OPTIONS")
        with urllib.request.urlopen(request, timeout=60) as response:
            allowed = {name.lower(): value for name, value in response.headers.items()}
        self.say(f"   {'OPTIONS ' + path:<46} {response.status}")
        expect(allowed["access-control-allow-origin"] == "http://localhost:8080", "the application's pages may call it")
        expect(allowed["access-control-allow-methods"] == "POST,OPTIONS", "with the methods of the route")

    def call_by_cookie(self, token, expected):
        headers = {"Cookie": f"theme=dark; __Host-access_token={token}"}
        return self.http("GET", self.state["api"] + "/whoami", headers, None, expected, "GET /whoami (cookie)")

    def log_out(self, token, body, expected, why=""):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        shown = f"POST /auth/logout {body.get('scope', '')} {why and f'({why})'}".strip()
        return self.http("POST", self.state["api"] + "/auth/logout", headers, body, expected, shown)

    def api(self, method, path, token, body, expected, shown=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self.state["api"] + path
        return self.http(method, url, headers, body, expected, f"{method} {shown or path}")

    def connect(self, token):
        connection = WebSocket(self.state["web_socket"], token)
        self.say(f"   {'WebSocket $connect':<46} {connection.status}")
        expect(connection.status == 101, "the connection is opened")
        return connection

    def expect_connection_rejected(self, token):
        """AWS responds with 401; MiniStack treats the rejection as a failure and responds with 500."""
        connection = WebSocket(self.state["web_socket"], token)
        self.say(f"   {'WebSocket $connect':<46} {connection.status}")
        expect(connection.status != 101, "the connection is rejected")

    @contextlib.contextmanager
    def conflict_rule(self, rule):
        """Deploys migrate-user with another rule for names that match several users."""
        functions = self.aws("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        function = {"FunctionName": next(name for name in names if "-MigrateUserFunction-" in name)}
        variables = functions.get_function_configuration(**function)["Environment"]["Variables"]

        def deploy(rule):
            environment = {"Variables": variables | {"CONFLICT_RULE": rule}}
            functions.update_function_configuration(**function, Environment=environment)

        self.say(f"   migrate-user: CONFLICT_RULE={rule}")
        deploy(rule)
        try:
            yield
        finally:
            deploy(variables["CONFLICT_RULE"])

    def configure_provider(self, address):
        """Creates the provider as the template's parameters do: MiniStack's CloudFormation has no providers."""
        cognito = self.aws("cognito-idp")
        pool = {"UserPoolId": self.state["user_pool_id"]}
        with contextlib.suppress(cognito.exceptions.ResourceNotFoundException):
            cognito.delete_identity_provider(**pool, ProviderName="Corp")
        details = {"client_id": "gatehouse", "client_secret": "x", "oidc_issuer": address}
        details |= {"authorize_scopes": "openid email", "attributes_request_method": "GET"}
        details |= {"authorize_url": f"{address}/authorize", "token_url": f"{address}/token"}
        details |= {"attributes_url": f"{address}/userinfo", "jwks_uri": f"{address}/jwks"}
        mapping = {"email": "email", "email_verified": "email_verified", "name": "name", "custom:subject": "sub"}
        names = {"ProviderName": "Corp", "ProviderType": "OIDC"}
        cognito.create_identity_provider(**pool, **names, ProviderDetails=details, AttributeMapping=mapping)

    def federated_sign_in(self):
        """Follows the code grant like a browser: Cognito, the provider, Cognito, the application."""
        callback, client = "http://localhost:8080/callback", self.state["client_id"]
        query = {"response_type": "code", "client_id": client, "redirect_uri": callback, "identity_provider": "Corp"}
        url = f"{self.state['endpoint']}/oauth2/authorize?{urllib.parse.urlencode(query)}"
        while not url.startswith(callback):
            # The pool's domain; MiniStack serves it here.
            url = re.sub(r"^https://[\w.-]+\.amazoncognito\.com", self.state["endpoint"], redirect(url))
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["code"][0]
        self.say(f"   {'/oauth2/authorize, the provider, and back':<46} 302  a code")
        form = {"grant_type": "authorization_code", "client_id": client, "code": code, "redirect_uri": callback}
        request = urllib.request.Request(f"{self.state['endpoint']}/oauth2/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["access_token"]

    def add_to_old_pool(self, spelling, verified=True):
        cognito, old = self.aws("cognito-idp"), self.state["old_pool"]
        names = {"UserPoolId": old["id"], "Username": spelling}
        attributes = {"email": spelling, "email_verified": str(verified).lower(), "name": "Grace"}
        attributes = [{"Name": name, "Value": value} for name, value in attributes.items()]
        cognito.admin_create_user(**names, UserAttributes=attributes, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**names, Password=self.password, Permanent=True)
        cognito.admin_add_user_to_group(**names, GroupName="Staff")
        self.say(f"   the old pool has the user {spelling.partition('-')[0]}-...")

    def ensure_group(self, group):
        cognito = self.aws("cognito-idp")
        names = {"GroupName": group, "UserPoolId": self.state["user_pool_id"]}
        with contextlib.suppress(cognito.exceptions.GroupExistsException):
            cognito.create_group(**names)
        return cognito, names

    def join_group(self, group):
        cognito, names = self.ensure_group(group)
        cognito.admin_add_user_to_group(Username=self.email, **names)

    def send_cloudtrail_event(self, call, user):
        """Sends a record of a call made outside of Gatehouse as EventBridge puts it into the queue. Only AWS
        may put events of aws.cognito-idp on the bus, so the record goes directly into the queue."""
        detail = {
            "eventSource": "cognito-idp.amazonaws.com",
            "eventName": call,
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "requestParameters": {"userPoolId": self.state["user_pool_id"]},
            "additionalEventData": {"sub": user},
        }
        record = {
            "source": "aws.cognito-idp",
            "detail-type": "AWS API Call via CloudTrail",
            "account": self.state["account_id"],
            "region": "us-east-1",
            "detail": detail,
        }
        queue = self.state["user_event_queue"]
        self.aws("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(record))
        self.say(f"   CloudTrail: {call}")

    def expect_rejected_soon(self, token):
        """Waits until the token is rejected, because events are asynchronous."""
        for _ in range(60):
            headers = {"Authorization": f"Bearer {token}"}
            request = urllib.request.Request(self.state["api"] + "/whoami", None, headers)
            try:
                urllib.request.urlopen(request, timeout=60).close()
            except urllib.error.HTTPError as error:
                self.say(f"   {'GET /whoami':<46} {error.code}")
                expect(error.code == 401, "rejected, not failed")
                return
            time.sleep(0.5)
        raise CheckFailed("the event does not revoke the session")

    def aws(self, service):
        """An operator's client, with MiniStack's root user."""
        return aws_client(service, self.state["endpoint"])

    def http(self, method, url, headers, body, expected, shown):
        """The JSON of a response with the expected status.

        A 500, 502 or 503 that is not expected says that a function or a dependency did not answer in time, as happens
        while the machine is busy. It is repeated, as clients do.
        """
        data = None if body is None else json.dumps(body).encode()
        for pause in (*RETRY_PAUSES, None):
            request = urllib.request.Request(url, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    status, answer = response.status, response.read()
            except urllib.error.HTTPError as error:
                status, answer = error.code, error.read()
            answer = json.loads(answer or b"{}")
            self.say(f"   {shown:<46} {status}  {summary(answer)}")
            if pause is None or status == expected or status not in BUSY:
                break
            time.sleep(pause)
        expect(status == expected, f"{shown}: {status} instead of {expected}: {answer}")
        return answer


@functools.cache
def aws_client(service, endpoint):
    """Creates a client once, because that takes a tenth of a second."""
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.Session(region_name="us-east-1", **credentials).client(service, endpoint_url=endpoint)


class Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def redirect(url):
    """The address that a response redirects to."""
    try:
        with urllib.request.build_opener(Unfollowed).open(url, timeout=60) as response:
            raise CheckFailed(f"{url} does not redirect: {response.status}")
    except urllib.error.HTTPError as error:
        expect(error.code in (302, 303), f"a redirect: {error.code} {error.read()[:300]}")
        return urllib.parse.urljoin(url, error.headers["Location"])


class WebSocket:
    """The part of RFC 6455 that opens a connection and detects its end."""

    def __init__(self, address, token):
        host, _, path = address.partition("/")
        name, _, port = host.partition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=60)
        lines = [
            f"GET /{path} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(secrets.token_bytes(16)).decode()}",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.status = int(self.socket.recv(4096).split(b" ")[1])

    def is_open(self):
        self.socket.settimeout(1)
        try:
            return self.socket.recv(64) == b"anything"
        except TimeoutError:
            return True

    def expect_closed_soon(self):
        self.socket.settimeout(60)
        # A close frame (section 5.5.1), or the end of the connection.
        expect(self.socket.recv(64)[:1] in (b"\x88", b""), "the server closes it")


def summary(answer):
    """One line of a response, without its secrets."""
    text = json.dumps(answer)
    text = re.sub(r'"(\w*(?:Token|_token|secret|session))": "[^"]+"', r'"\1": "..."', text)
    return text if len(text) < 90 else text[:87] + "..."


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def one_time_code(secret):
    """RFC 6238, with SHA-1, 6 digits and 30 seconds."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    tag = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), "sha1")
    at = tag[-1] & 15
    number = int.from_bytes(tag[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def forged(token):
    """The same token for another user, with the signature of the first."""
    header, _, signature = token.split(".")
    payload = json.dumps(claims(token) | {"sub": "another-user"}).encode()
    return ".".join([header, base64.urlsafe_b64encode(payload).rstrip(b"=").decode(), signature])


def expect(holds, expectation):
    if not holds:
        raise CheckFailed(expectation)
