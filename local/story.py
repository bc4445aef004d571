"""The story that Gatehouse is about, played against a running stack: after a logout the very next
request with the same token is refused. Every answer is checked; the first that is not as promised
ends the story."""

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


class BrokenPromise(Exception):
    """The stack answered otherwise than the story promises."""


def play(state, narrate):
    """Plays the story with new users. Its parts have users of their own and are played at the same time; each is
    told when those before it have been."""
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
        print("\nAll as promised.")


def sessions(state, say):
    """Logout, of one session and of all."""
    say("\n1. A user signs up, confirms the code from the mail, and signs in on two devices.")
    person = Person(state, say)
    person.sign_up()
    phone, laptop = person.sign_in(), person.sign_in()

    say("   A stranger signs up with a person's address: confirmed by its owner, the stranger's password opens nothing.")
    owner = Person(state, say)
    stranger = {"email": owner.email, "password": "the-password-of-a-stranger"}
    owner.api("POST", "/auth/signup", None, stranger, 202)
    confirm = {"email": owner.email, "password": owner.password, "code": owner.code_in_mail()}
    refused = owner.api("POST", "/auth/confirm", None, confirm, 403)
    expect(refused["code"] == "password_reset_required", "the password is the stranger's")
    owner.cognito("InitiateAuth", {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": owner.of(stranger)}, expected=400)
    owner.api("POST", "/auth/forgot-password", None, {"email": owner.email}, 202)
    owner.api("POST", "/auth/confirm-forgot-password", None, confirm | {"code": owner.code_in_mail()}, 200)
    owner.call(owner.log_in().access, 200)

    suspect = {"email": f"ada-{secrets.token_hex(4)}@xn--pple-43d.com", "password": PASSWORD}
    refused = person.api("POST", "/auth/signup", None, suspect, 400)
    expect(refused["code"] == "sign_up_refused", "a domain that is displayed as another one")

    say("\n2. A request without a token is refused, one with a token reaches the backend.")
    person.call(None, 401)
    context = person.call(phone.access, 200)["context"]
    expect(context["sub"] == claims(phone.access)["sub"], "the context names the caller")
    person.call(laptop.access, 200)
    person.may_be_called_by_pages("/auth/login")
    person.call_by_cookie(laptop.access, 200)
    person.call_by_cookie("nobody", 401)

    say("\n3. The phone refreshes its token, then logs out. Its tokens have half an hour left.")
    refreshed = person.refresh(phone)
    person.call(refreshed, 200)
    person.log_out(phone.access, {"refresh_token": phone.refresh}, 200)

    say("\n4. The very next request is refused: the token, the refreshed one, and Cognito.")
    person.call(phone.access, 401)
    person.call(refreshed, 401)
    person.cannot_refresh(phone)
    person.log_out(phone.access, {}, 200, "logging out twice is no error")

    say("\n5. The laptop is another session and goes on.")
    person.call(laptop.access, 200)

    say("\n6. A session ended without its refresh token: Cognito still refreshes, we still refuse.")
    tablet = person.sign_in()
    person.log_out(tablet.access, {}, 200)
    person.call(person.refresh(tablet), 401)

    say("\n7. An ended token cannot end the others; a living one can, everywhere at once.")
    person.log_out(phone.access, {"scope": "all"}, 401)
    person.call(laptop.access, 200)
    person.log_out(laptop.access, {"scope": "all"}, 200)
    person.call(laptop.access, 401)
    person.cannot_refresh(laptop)
    person.log_out(laptop.access, {"scope": "all"}, 200, "also when it is over already")

    say("\n8. A token that nobody signed ends nothing.")
    person.log_out(forged(laptop.access), {}, 401)

    say("\n9. Signing in again opens a new session, which goes on while all others end.")
    phone, laptop = person.sign_in(), person.sign_in()
    person.api("POST", "/auth/sessions", laptop.access, {"device": "laptop"}, 200)
    person.api("POST", "/auth/sessions", phone.access, {"device": "phone"}, 200)
    sessions = person.api("GET", "/auth/sessions", phone.access, None, 200)["sessions"]
    expect({one["device"] for one in sessions} == {"phone", "laptop"}, "both are in the list")
    ended = claims(laptop.access)["origin_jti"]
    person.api("DELETE", f"/auth/sessions/{ended}", phone.access, None, 200, "/auth/sessions/{laptop}")
    person.call(laptop.access, 401)
    tablet = person.sign_in()
    person.log_out(tablet.access, {"scope": "others"}, 200)
    person.call(phone.access, 401)
    person.call(tablet.access, 200)


def administration(state, say):
    """What an administrator ends, and connections that end with their session."""
    say("\n10. An administrator disables an account, and enables it again.")
    person = Person(state, say)
    person.sign_up()
    tablet = person.sign_in()
    boss = Person(state, say)
    boss.sign_up()
    boss.join_group("admins")
    boss.join_group("tenant-story")
    boss = boss.sign_in().access
    context = person.call(boss, 200)["context"]
    expect(context["roles"] == '["administrator"]', "a claim by policies/claims.json")
    expect(context["tenant"] == "story", "and another")
    user = claims(tablet.access)["sub"]
    shown = "/admin/users/{user}"
    person.api("POST", f"/admin/users/{user}/disable", tablet.access, {}, 403, f"{shown}/disable")
    person.api("POST", f"/admin/users/{user}/disable", boss, {"reason": "story"}, 200, f"{shown}/disable")
    person.call(tablet.access, 401)
    time.sleep(1.1)  # An enabling of the same second counts less.
    person.api("POST", f"/admin/users/{user}/enable", boss, {}, 200, f"{shown}/enable")
    person.call(tablet.access, 401)
    tablet = person.sign_in()
    person.call(tablet.access, 200)

    say("\n11. A WebSocket connection ends with the session that opened it.")
    person.cannot_connect("nobody")
    connection = person.connect(tablet.access)
    expect(connection.is_open(), "it is open while the session lives")
    person.log_out(tablet.access, {}, 200)
    connection.is_closed_soon()
    person.cannot_connect(tablet.access)

    say("\n12. Deleted by an administrator: the token opens nothing any more.")
    gone = Person(state, say)
    gone.sign_up()
    token = gone.sign_in().access
    gone.call(token, 200)
    person.api("DELETE", f"/admin/users/{claims(token)['sub']}", boss, None, 200, shown)
    gone.call(token, 401)


def account(state, say):
    """What users change about their own account, and what Cognito tells of it."""
    say("\n13. A changed password ends all sessions at once; the client that changed it gets a new one.")
    person = Person(state, say)
    person.sign_up()
    other, before = person.sign_in(), person.sign_in()
    change = {"current_password": person.password, "new_password": "another-Pass-phrase", "keep_session": True}
    tablet = Tokens.of_api(person.api("POST", "/auth/change-password", before.access, change, 200))
    person.password = change["new_password"]
    person.call(tablet.access, 200)
    person.call(before.access, 401)
    person.call(other.access, 401)
    person.cannot_refresh(other)
    person.api("POST", "/auth/refresh", None, {"refresh_token": tablet.refresh}, 200)

    say("\n14. A forgotten one ends them all.")
    person.api("POST", "/auth/forgot-password", None, {"email": person.email}, 202)
    reset = {"email": person.email, "code": person.code_in_mail(), "password": PASSWORD}
    person.api("POST", "/auth/confirm-forgot-password", None, reset, 200)
    person.password = PASSWORD
    person.call(tablet.access, 401)
    tablet = person.log_in()
    person.call(tablet.access, 200)

    say("   And signed in without sending the password (SRP).")
    expect(person.log_in_by_srp("another-one", 401) is None, "a proof of another password is none")
    person.call(person.log_in_by_srp(person.password).access, 200)

    say("\n15. An authenticator: from now on a sign-in asks for its code (RFC 6238).")
    totp = person.api("POST", "/auth/mfa/totp", tablet.access, {}, 200)
    code = {"code": one_time_code(totp["secret"])}
    person.api("POST", "/auth/mfa/totp/verify", tablet.access, code, 200)
    challenge = person.log_in()
    expect(challenge["challenge"] == "SOFTWARE_TOKEN_MFA", "the code is asked for")
    answer = {name: challenge[name] for name in ("challenge", "session", "username")}
    code = {"code": one_time_code(totp["secret"])}
    tablet = Tokens.of_api(person.api("POST", "/auth/challenge", None, answer | code, 200))
    me = person.api("GET", "/auth/me", tablet.access, None, 200)
    expect(me["mfa"] == ["SOFTWARE_TOKEN_MFA"] and me["attributes"]["email"] == person.email, "me")

    say("\n16. Signed out in AWS's console: CloudTrail tells, and the token is refused here too.")
    person.told_by_cloudtrail("AdminUserGlobalSignOut", claims(tablet.access)["sub"])
    person.refused_soon(tablet.access)


def migration(state, say):
    """Users of an old pool, who are moved when they sign in."""
    say("\n17. A user of the old pool, which told cases apart, signs in here and is moved.")
    grace = Person(state, say)
    grace.email, grace.password = f"grace-{secrets.token_hex(4)}@example.com", "Old-Password-1906"
    grace.lives_in_the_old_pool(grace.email.capitalize())
    grace.can_join("staff")
    moved = grace.log_in()
    groups = claims(grace.refresh(moved)).get("cognito:groups")
    expect(groups == ["staff"], "with her group, by the name that it has here")
    expect(grace.api("GET", "/auth/me", moved.access, None, 200)["attributes"]["name"] == "Grace", "with her name")
    twin = Person(state, say)
    twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
    twin.lives_in_the_old_pool(twin.email)
    twin.lives_in_the_old_pool(twin.email.capitalize())
    twin.log_in(401)
    with grace.conflict_rule("verified-wins"):
        twin = Person(state, say)
        twin.email, twin.password = f"twin-{secrets.token_hex(4)}@example.com", grace.password
        twin.lives_in_the_old_pool(twin.email)
        twin.lives_in_the_old_pool(twin.email.capitalize(), verified=False)
        twin.log_in()


def federation(state, say):
    """Users of another identity provider."""
    say("\n18. A user signs in by another identity provider: it is the same account, unless it has an authenticator.")
    eve, fay = Person(state, say), Person(state, say)
    eve.api("POST", "/auth/signup", None, eve.credentials(), 202)
    fay.sign_up()
    with provider.running(secrets.token_hex(4), fay.email) as address:
        fay.knows_provider(address)
        federated = fay.come_by_provider()
        expect(claims(federated)["sub"] == claims(fay.sign_in().access)["sub"], "linked, by the verified address")
        fay.call(federated, 200)
    subject = secrets.token_hex(4)
    with provider.running(subject, eve.email) as address:
        eve.knows_provider(address)
        stranger = claims(eve.come_by_provider())
        expect(stranger["username"] == f"Corp_{subject}", "an account that nobody confirmed is not joined")


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
        # What is not encoded rightly breaks on it.
        self.email = f"ada+{secrets.token_hex(4)}&c%d@example.com"
        self.password = PASSWORD

    def sign_up(self):
        """By the API, and by the button behind the link in the mail."""
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
        expect(query["email"] == [self.email], "the link decodes to the very address")
        return link

    def press(self, link):
        """Opens the link as a browser does, and presses the page's button."""
        with urllib.request.urlopen(link, timeout=60) as response:
            page = response.read().decode()
        self.say(f"   {'GET /auth/confirm?...':<46} 200  a page with a button")
        self.api("POST", "/auth/login", None, self.credentials(), 403)
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
        """As Cognito names them."""
        return {"USERNAME": credentials["email"], "PASSWORD": credentials["password"]}

    def credentials(self):
        return {"email": self.email, "password": self.password}

    def log_in(self, expected=200):
        answer = self.api("POST", "/auth/login", None, self.credentials(), expected)
        return answer if "challenge" in answer or expected != 200 else Tokens.of_api(answer)

    def log_in_by_srp(self, password, expected=200):
        client = srp.Client(self.state["user_pool_id"], password)
        challenge = self.api("POST", "/auth/login", None, {"email": self.email, "srp_a": client.a}, 200)
        expect(challenge["challenge"] == "PASSWORD_VERIFIER", "a proof is asked for")
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

    def cannot_refresh(self, tokens):
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

    def may_be_called_by_pages(self, path):
        """What a browser asks first for a page of another origin (CORS)."""
        request = urllib.request.Request(self.state["api"] + path, method="OPTIONS")
        with urllib.request.urlopen(request, timeout=60) as response:
            allowed = {name.lower(): value for name, value in response.headers.items()}
        self.say(f"   {'OPTIONS ' + path:<46} {response.status}")
        expect(allowed["access-control-allow-origin"] == "http://localhost:8080", "the application's pages may")
        expect(allowed["access-control-allow-methods"] == "POST,OPTIONS", "by the methods that there are")

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

    def cannot_connect(self, token):
        """AWS answers 401; MiniStack takes a refusal for a failure there, and answers 500."""
        connection = WebSocket(self.state["web_socket"], token)
        self.say(f"   {'WebSocket $connect':<46} {connection.status}")
        expect(connection.status != 101, "the connection is refused")

    @contextlib.contextmanager
    def conflict_rule(self, rule):
        """Deploys migrate-user with another rule for names that are several people."""
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

    def knows_provider(self, address):
        """What `OidcIssuer` and its like do in the template: MiniStack's CloudFormation has no providers."""
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

    def come_by_provider(self):
        """The code grant, as a browser walks through it: Cognito, the provider, Cognito, the application."""
        callback, client = "http://localhost:8080/callback", self.state["client_id"]
        query = {"response_type": "code", "client_id": client, "redirect_uri": callback, "identity_provider": "Corp"}
        url = f"{self.state['endpoint']}/oauth2/authorize?{urllib.parse.urlencode(query)}"
        while not url.startswith(callback):
            # The pool's domain, which is MiniStack here.
            url = re.sub(r"^https://[\w.-]+\.amazoncognito\.com", self.state["endpoint"], redirect(url))
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["code"][0]
        self.say(f"   {'/oauth2/authorize, the provider, and back':<46} 302  a code")
        form = {"grant_type": "authorization_code", "client_id": client, "code": code, "redirect_uri": callback}
        request = urllib.request.Request(f"{self.state['endpoint']}/oauth2/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["access_token"]

    def lives_in_the_old_pool(self, spelling, verified=True):
        cognito, old = self.aws("cognito-idp"), self.state["old_pool"]
        names = {"UserPoolId": old["id"], "Username": spelling}
        attributes = {"email": spelling, "email_verified": str(verified).lower(), "name": "Grace"}
        attributes = [{"Name": name, "Value": value} for name, value in attributes.items()]
        cognito.admin_create_user(**names, UserAttributes=attributes, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**names, Password=self.password, Permanent=True)
        cognito.admin_add_user_to_group(**names, GroupName="Staff")
        self.say(f"   the old pool knows {spelling.partition('-')[0]}-...")

    def can_join(self, group):
        cognito = self.aws("cognito-idp")
        names = {"GroupName": group, "UserPoolId": self.state["user_pool_id"]}
        with contextlib.suppress(cognito.exceptions.GroupExistsException):
            cognito.create_group(**names)
        return cognito, names

    def join_group(self, group):
        cognito, names = self.can_join(group)
        cognito.admin_add_user_to_group(Username=self.email, **names)

    def told_by_cloudtrail(self, call, user):
        """What EventBridge puts into the queue of a call that somebody makes elsewhere. Nobody but AWS
        may put events of aws.cognito-idp on the bus, so it goes into the queue itself."""
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

    def refused_soon(self, token):
        """Events take their time."""
        for _ in range(60):
            headers = {"Authorization": f"Bearer {token}"}
            request = urllib.request.Request(self.state["api"] + "/whoami", None, headers)
            try:
                urllib.request.urlopen(request, timeout=60).close()
            except urllib.error.HTTPError as error:
                self.say(f"   {'GET /whoami':<46} {error.code}")
                expect(error.code == 401, "refused, not failed")
                return
            time.sleep(0.5)
        raise BrokenPromise("the event ends the session")

    def aws(self, service):
        """A client with MiniStack's root user, as an operator has one."""
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
    """To make one takes a tenth of a second."""
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.Session(region_name="us-east-1", **credentials).client(service, endpoint_url=endpoint)


class Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def redirect(url):
    """Where an answer sends the browser on to."""
    try:
        with urllib.request.build_opener(Unfollowed).open(url, timeout=60) as response:
            raise BrokenPromise(f"{url} redirects: {response.status}")
    except urllib.error.HTTPError as error:
        expect(error.code in (302, 303), f"a redirect: {error.code} {error.read()[:300]}")
        return urllib.parse.urljoin(url, error.headers["Location"])


class WebSocket:
    """As much of RFC 6455 as it takes to open a connection and to see it closed."""

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

    def is_closed_soon(self):
        self.socket.settimeout(60)
        # A close frame (section 5.5.1), or the end.
        expect(self.socket.recv(64)[:1] in (b"\x88", b""), "the server closes it")


def summary(answer):
    """One line of an answer, without its secrets."""
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
    payload = json.dumps(claims(token) | {"sub": "somebody-else"}).encode()
    return ".".join([header, base64.urlsafe_b64encode(payload).rstrip(b"=").decode(), signature])


def expect(holds, promise):
    if not holds:
        raise BrokenPromise(promise)


def print_curl(state):
    """The same story to paste into a shell."""
    print(
        f"""
The system is up: an account console at {state['cognito']}/console/, the mails at
{state['cognito']}/outbox. The same story to paste:

  API={state['api']}
  ME=ada+$RANDOM@example.com PW={PASSWORD}
  post() {{ curl -s -H 'Content-Type: application/json' "${{@:3}}" -d "$2" $API$1; }}
  post /auth/signup '{{"email":"'$ME'","password":"'$PW'"}}'
  post /auth/confirm '{{"email":"'$ME'","password":"'$PW'","code":"123456"}}' # or press the mail's button
  TOKEN=$(post /auth/login '{{"email":"'$ME'","password":"'$PW'"}}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 200, and who you are
  curl -i -H "Authorization: Bearer $TOKEN" -X POST $API/auth/logout    # 200
  curl -i -H "Authorization: Bearer $TOKEN" $API/whoami                 # 401, with the same token

`make demo` plays it again, `make stop` ends it."""
    )


if __name__ == "__main__":
    play(json.loads(os.environ["GATEHOUSE_STACK"]), narrate=True)
