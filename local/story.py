"""Gatehouse's walkthrough, run against a stack: after a logout the very next
request with the same token is rejected. Every response is checked; the first unexpected one
ends the walkthrough."""

import base64
import concurrent.futures
import contextlib
import functools
import hmac
import html
import json
import os
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

import provider
import srp

PASSWORD = "correct horse battery staple".replace(" ", "-")


class CheckFailed(Exception):
    """The stack's response differs from the expected one."""


def play(state, narrate):
    """Runs the walkthrough with new users. Its parts have separate users and run concurrently; the output of each is
    printed after that of the parts before it."""
    parts = [sessions, administration, account, migration, federation]
    told = [queue.SimpleQueue() for _ in parts]

    def played(part, lines):
        try:
            part(state, lines.put)
        finally:
            lines.put(None)

    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        playing = [pool.submit(played, *each) for each in zip(parts, told)]
        for lines, part in zip(told, playing):
            for line in iter(lines.get, None):
                if narrate:
                    print(line, flush=True)
            part.result()
    if narrate:
        print("\nAll checks passed.")


def sessions(state, say):
    """Logout of one session and of all sessions."""
    say("\n1. A user signs up, confirms the code from the email, and signs in on two devices.")
    person = Person(state, say)
    person.sign_up()
    phone, laptop = person.sign_in(), person.sign_in()

    say("   A stranger signs up with another person's address: confirmed by its owner, the stranger's password fails.")
    owner = Person(state, say)
    stranger = {"email": owner.email, "password": "the-password-of-a-stranger"}
    owner.api("POST", "/auth/signup", None, stranger, 202)
    confirm = {"email": owner.email, "password": owner.password, "code": owner.code_in_mail()}
    refused = owner.api("POST", "/auth/confirm", None, confirm, 403)
    expect(refused["code"] == "password_reset_required", "the account has the stranger's password")
    owner.cognito("InitiateAuth", {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": owner.of(stranger)}, expected=400)
    owner.api("POST", "/auth/forgot-password", None, {"email": owner.email}, 202)
    owner.api("POST", "/auth/confirm-forgot-password", None, confirm | {"code": owner.code_in_mail()}, 200)
    owner.call(owner.log_in().access, 200)

    suspect = {"email": f"ada-{secrets.token_hex(4)}@xn--pple-43d.com", "password": PASSWORD}
    refused = person.api("POST", "/auth/signup", None, suspect, 400)
    expect(refused["code"] == "sign_up_refused", "a domain that is displayed as another one")

    say("\n2. A request without a token is rejected, one with a token reaches the backend.")
    person.call(None, 401)
    context = person.call(phone.access, 200)["context"]
    expect(context["sub"] == claims(phone.access)["sub"], "the context contains the caller")
    person.call(laptop.access, 200)
    person.expect_cors_allowed("/auth/login")
    person.call_by_cookie(laptop.access, 200)
    person.call_by_cookie("not-a-token", 401)

    say("\n3. The phone refreshes its token, then logs out. Its tokens are valid for another half hour.")
    refreshed = person.refresh(phone)
    person.call(refreshed, 200)
    person.log_out(phone.access, {"refresh_token": phone.refresh}, 200)

    say("\n4. The very next request is rejected: with the token, with the refreshed one, and at Cognito.")
    person.call(phone.access, 401)
    person.call(refreshed, 401)
    person.expect_refresh_rejected(phone)
    person.log_out(phone.access, {}, 200, "logging out twice is no error")

    say("\n5. The laptop's session stays valid.")
    person.call(laptop.access, 200)

    say("\n6. A logout without the refresh token: Cognito still refreshes, the API rejects the new token.")
    tablet = person.sign_in()
    person.log_out(tablet.access, {}, 200)
    person.call(person.refresh(tablet), 401)

    say("\n7. A revoked token cannot revoke other sessions; a valid one revokes all of them.")
    person.log_out(phone.access, {"scope": "all"}, 401)
    person.call(laptop.access, 200)
    person.log_out(laptop.access, {"scope": "all"}, 200)
    person.call(laptop.access, 401)
    person.expect_refresh_rejected(laptop)
    person.log_out(laptop.access, {"scope": "all"}, 200, "also if it is revoked already")

    say("\n8. A forged token revokes nothing.")
    person.log_out(forged(laptop.access), {}, 401)

    say("\n9. A new sign-in opens a new session, which can revoke all others.")
    phone, laptop = person.sign_in(), person.sign_in()
    person.api("POST", "/auth/sessions", laptop.access, {"device": "laptop"}, 200)
    person.api("POST", "/auth/sessions", phone.access, {"device": "phone"}, 200)
    sessions = person.api("GET", "/auth/sessions", phone.access, None, 200)["sessions"]
    expect({one["device"] for one in sessions} == {"phone", "laptop"}, "the list contains both")
    ended = claims(laptop.access)["origin_jti"]
    person.api("DELETE", f"/auth/sessions/{ended}", phone.access, None, 200, "/auth/sessions/{laptop}")
    person.call(laptop.access, 401)
    tablet = person.sign_in()
    person.log_out(tablet.access, {"scope": "others"}, 200)
    person.call(phone.access, 401)
    person.call(tablet.access, 200)


def administration(state, say):
    """Administrators' calls, and connections that are closed with their session."""
    say("\n10. An administrator disables an account and enables it again.")
    person = Person(state, say)
    person.sign_up()
    tablet = person.sign_in()
    boss = Person(state, say)
    boss.sign_up()
    boss.join_group("admins")
    boss.join_group("tenant-story")
    boss = boss.sign_in().access
    context = person.call(boss, 200)["context"]
    expect(context["roles"] == '["administrator"]', "a claim from policies/claims.json")
    expect(context["tenant"] == "story", "a second claim from policies/claims.json")
    user = claims(tablet.access)["sub"]
    shown = "/admin/users/{user}"
    person.api("POST", f"/admin/users/{user}/disable", tablet.access, {}, 403, f"{shown}/disable")
    person.api("POST", f"/admin/users/{user}/disable", boss, {"reason": "story"}, 200, f"{shown}/disable")
    person.call(tablet.access, 401)
    time.sleep(1.1)  # Within one second, disabling wins over enabling.
    person.api("POST", f"/admin/users/{user}/enable", boss, {}, 200, f"{shown}/enable")
    person.call(tablet.access, 401)
    tablet = person.sign_in()
    person.call(tablet.access, 200)

    say("\n11. A WebSocket connection is closed with the session that opened it.")
    person.expect_connection_rejected("not-a-token")
    connection = person.connect(tablet.access)
    expect(connection.is_open(), "it is open while the session is valid")
    person.log_out(tablet.access, {}, 200)
    connection.expect_closed_soon()
    person.expect_connection_rejected(tablet.access)

    say("\n12. An administrator deletes the user: the token is rejected.")
    gone = Person(state, say)
    gone.sign_up()
    token = gone.sign_in().access
    gone.call(token, 200)
    person.api("DELETE", f"/admin/users/{claims(token)['sub']}", boss, None, 200, shown)
    gone.call(token, 401)


def account(state, say):
    """Users' changes to their own account, and CloudTrail's records."""
    say("\n13. A password change revokes all sessions at once; the client that made it gets a new one.")
    person = Person(state, say)
    person.sign_up()
    other, before = person.sign_in(), person.sign_in()
    change = {"current_password": person.password, "new_password": "another-Pass-phrase", "keep_session": True}
    tablet = Tokens.of_api(person.api("POST", "/auth/change-password", before.access, change, 200))
    person.password = change["new_password"]
    person.call(tablet.access, 200)
    person.call(before.access, 401)
    person.call(other.access, 401)
    person.expect_refresh_rejected(other)
    person.api("POST", "/auth/refresh", None, {"refresh_token": tablet.refresh}, 200)

    say("\n14. A password reset revokes all sessions.")
    person.api("POST", "/auth/forgot-password", None, {"email": person.email}, 202)
    reset = {"email": person.email, "code": person.code_in_mail(), "password": PASSWORD}
    person.api("POST", "/auth/confirm-forgot-password", None, reset, 200)
    person.password = PASSWORD
    person.call(tablet.access, 401)
    tablet = person.log_in()
    person.call(tablet.access, 200)

    say("   A sign-in without sending the password (SRP).")
    expect(person.log_in_by_srp("another-one", 401) is None, "a proof with a wrong password is rejected")
    person.call(person.log_in_by_srp(person.password).access, 200)

    say("\n15. An authenticator: from now on a sign-in requires its code (RFC 6238).")
    totp = person.api("POST", "/auth/mfa/totp", tablet.access, {}, 200)
    code = {"code": one_time_code(totp["secret"])}
    person.api("POST", "/auth/mfa/totp/verify", tablet.access, code, 200)
    challenge = person.log_in()
    expect(challenge["challenge"] == "SOFTWARE_TOKEN_MFA", "the sign-in requires the code")
    answer = {name: challenge[name] for name in ("challenge", "session", "username")}
    code = {"code": one_time_code(totp["secret"])}
    tablet = Tokens.of_api(person.api("POST", "/auth/challenge", None, answer | code, 200))
    me = person.api("GET", "/auth/me", tablet.access, None, 200)
    expect(me["mfa"] == ["SOFTWARE_TOKEN_MFA"] and me["attributes"]["email"] == person.email, "me")

    say("\n16. A sign-out in AWS's console: after CloudTrail's record the token is rejected here too.")
    person.send_cloudtrail_event("AdminUserGlobalSignOut", claims(tablet.access)["sub"])
    person.expect_rejected_soon(tablet.access)


def migration(state, say):
    """Users of an old pool, who are migrated when they sign in."""
    say("\n17. A user of the old, case-sensitive pool signs in here and is migrated.")
    grace = Person(state, say)
    grace.email, grace.password = f"grace-{secrets.token_hex(4)}@example.com", "Old-Password-1906"
    grace.add_to_old_pool(grace.email.capitalize())
    grace.ensure_group("staff")
    moved = grace.log_in()
    groups = claims(grace.refresh(moved)).get("cognito:groups")
    expect(groups == ["staff"], "with her group, under its name in this pool")
    expect(grace.api("GET", "/auth/me", moved.access, None, 200)["attributes"]["name"] == "Grace", "with her name")
    twin = Person(state, say)
    twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
    twin.add_to_old_pool(twin.email)
    twin.add_to_old_pool(twin.email.capitalize())
    twin.log_in(401)
    with grace.conflict_rule("verified-wins"):
        twin = Person(state, say)
        twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
        twin.add_to_old_pool(twin.email)
        twin.add_to_old_pool(twin.email.capitalize(), verified=False)
        twin.log_in()


def federation(state, say):
    """Users of another identity provider."""
    say("\n18. A user signs in with another identity provider: it is the same account, unless it has an authenticator.")
    eve, fay = Person(state, say), Person(state, say)
    eve.api("POST", "/auth/signup", None, eve.credentials(), 202)
    fay.sign_up()
    with provider.running(secrets.token_hex(4), fay.email) as address:
        fay.configure_provider(address)
        federated = fay.federated_sign_in()
        expect(claims(federated)["sub"] == claims(fay.sign_in().access)["sub"], "linked by the verified address")
        fay.call(federated, 200)
    subject = secrets.token_hex(4)
    with provider.running(subject, eve.email) as address:
        eve.configure_provider(address)
        stranger = claims(eve.federated_sign_in())
        expect(stranger["username"] == f"Corp_{subject}", "an unconfirmed account is not linked")


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
        mapping = {"email": "email", "email_verified": "email_verified", "name": "name"}
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
        return client(service, self.state["endpoint"])

    def http(self, method, url, headers, body, expected, shown):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        answer = json.loads(answer or b"{}")
        self.say(f"   {shown:<46} {status}  {summary(answer)}")
        expect(status == expected, f"{shown}: {status} instead of {expected}: {answer}")
        return answer


@functools.cache
def client(service, endpoint):
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
            f"Authorization: Bearer {token}",
        ]
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


def print_curl(state):
    """Prints the walkthrough as shell commands."""
    print(
        f"""
The stack is running: an account console at {state['cognito']}/console/, the emails at
{state['cognito']}/outbox. The walkthrough as shell commands:

  API={state['api']}
  ME=ada+$RANDOM@example.com PW={PASSWORD}
  post() {{ curl -s -H 'Content-Type: application/json' "${{@:3}}" -d "$2" $API$1; }}
  post /auth/signup '{{"email":"'$ME'","password":"'$PW'"}}'
  post /auth/confirm '{{"email":"'$ME'","password":"'$PW'","code":"123456"}}' # or press the button in the email
  TOKEN=$(post /auth/login '{{"email":"'$ME'","password":"'$PW'"}}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 200, and who you are
  curl -i -H "Authorization: Bearer $TOKEN" -X POST $API/auth/logout    # 200
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 401, with the same token

`make demo` runs the walkthrough again, `make stop` stops the stack."""
    )


if __name__ == "__main__":
    play(json.loads(os.environ["GATEHOUSE_STACK"]), narrate=True)
