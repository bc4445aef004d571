#!/usr/bin/env python3
"""MiniStack with additions to its Cognito: AWS's rules that it lacks (cognito_rules.py), and a thin
proxy in front of it that calls the user pool's CustomMessage, PostConfirmation, PostAuthentication and
UserMigration triggers with AWS's own events, keeps the emails in an outbox, and lower-cases names for a
case-insensitive pool. All other requests are forwarded unchanged.

    cognito.py PORT     runs MiniStack at the environment's GATEWAY_PORT, and serves at PORT until MiniStack exits

    GET /outbox, /outbox/<n>, /outbox.json     the emails
    GET /console/                              the account console
    /auth/..., /whoami                         the API, at the address that confirmation links lead to
    /triggers.json                             the triggers that the proxy called: source and username
    PUT /rules                                 chooses between AWS's texts for a domain's users (cognito_rules.py)
"""

import base64
import html
import http.client
import http.server
import json
import os
import pathlib
import secrets
import sys
import threading
import urllib.parse

import boto3
import ministack.app
from botocore.config import Config

import cognito_rules

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGION = "us-east-1"
PREFIX = "AWSCognitoIdentityProviderService."
CONFIRMATIONS = {
    "ConfirmSignUp": "PostConfirmation_ConfirmSignUp",
    "ConfirmForgotPassword": "PostConfirmation_ConfirmForgotPassword",
}
CONSOLE = {
    "index.html": "text/html; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "config.json": "application/json",
}
ABOUT_A_NAME = {"SignUp", "ResendConfirmationCode", "ForgotPassword", *CONFIRMATIONS}


# Headers of MiniStack's responses that are not forwarded.
OWN_HEADERS = {"connection", "content-length", "transfer-encoding", "date", "server", cognito_rules.MAIL.lower()}


class Refused(Exception):
    """An exception that Cognito returns instead: its name and message."""


class Pool:
    """The user pool of one app client, called with MiniStack's root user."""

    def __init__(self, backend, client_id):
        self.client_id, self.called = client_id, []
        retries = Config(retries={"total_max_attempts": 1}, read_timeout=30)
        session = boto3.Session("test", "test", region_name=REGION)
        self.cognito = session.client("cognito-idp", endpoint_url=backend, config=retries)
        self.functions = session.client("lambda", endpoint_url=backend, config=retries)
        self.id = next(
            pool["Id"]
            for pool in self.cognito.list_user_pools(MaxResults=60)["UserPools"]
            for client in self.cognito.list_user_pool_clients(UserPoolId=pool["Id"], MaxResults=60)["UserPoolClients"]
            if client["ClientId"] == client_id
        )
        pool = self.cognito.describe_user_pool(UserPoolId=self.id)["UserPool"]
        self.triggers = pool.get("LambdaConfig", {})
        self.has_cases = pool.get("UsernameConfiguration", {}).get("CaseSensitive", True)

    def user(self, name):
        """The user's attributes and names, or None."""
        try:
            user = self.cognito.admin_get_user(UserPoolId=self.id, Username=name)
        except self.cognito.exceptions.UserNotFoundException:
            return None
        attributes = {one["Name"]: one["Value"] for one in user["UserAttributes"]}
        return {
            "name": user["Username"],
            "attributes": attributes | {"cognito:user_status": user["UserStatus"]},
        }

    def call(self, trigger, source, name, request, response):
        """Invokes a trigger's function, if the pool has one, and returns its `response`."""
        function = self.triggers.get(trigger)
        if not function:
            return None
        event = {
            "version": "1",
            "triggerSource": source,
            "region": REGION,
            "userPoolId": self.id,
            "userName": name,
            "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": self.client_id},
            "request": request,
            "response": response,
        }
        self.called.append({"source": source, "userName": name})
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps(event))
        payload = json.load(answer["Payload"])
        if answer.get("FunctionError"):
            message = f"{trigger} failed with error {payload.get('errorMessage')}."
            raise Refused("UserLambdaValidationException", message)
        return payload["response"]

    def send_mail(self, source, name, code, to, outbox):
        user = self.user(name)
        if not user:
            return
        request = {
            "userAttributes": user["attributes"],
            "codeParameter": "{####}",
            "linkParameter": "{##Click Here##}",
            "usernameParameter": None,
        }
        empty = {"smsMessage": None, "emailMessage": None, "emailSubject": None}
        message = self.call("CustomMessage", source, user["name"], request, empty) or empty
        if message["emailMessage"]:
            outbox.append(
                {
                    "to": to,
                    "subject": message["emailSubject"],
                    "html": message["emailMessage"].replace("{####}", code),
                }
            )

    def confirmed(self, source, name):
        user = self.user(name)
        if user:
            # The code proves control of the address.
            verified = [{"Name": "email_verified", "Value": "true"}]
            self.cognito.admin_update_user_attributes(UserPoolId=self.id, Username=name, UserAttributes=verified)
            user["attributes"]["email_verified"] = "true"
            self.call("PostConfirmation", source, user["name"], {"userAttributes": user["attributes"]}, {})

    def signed_in(self, name):
        user = self.user(name)
        if user:
            request = {"userAttributes": user["attributes"], "newDeviceUsed": False}
            self.call("PostAuthentication", "PostAuthentication_Authentication", user["name"], request, {})

    def migrate(self, source, name, password):
        """Calls the trigger for a user who is not in the pool."""
        if self.user(name):
            return
        request = {"password": password, "validationData": None, "clientMetadata": None}
        members = ("userAttributes", "forceAliasCreation", "enableSMSMFA", "finalUserStatus", "messageAction", "desiredDeliveryMediums")
        if password is None:
            del request["password"]
        moved = self.call("UserMigration", source, name, request, dict.fromkeys(members)) or {}
        if not moved.get("userAttributes"):
            return
        source = cognito_rules.RULES.of(name)["pre_sign_up_on_migration"]
        if source:
            request = {"userAttributes": moved["userAttributes"], "validationData": None}
            confirm = dict.fromkeys(("autoConfirmUser", "autoVerifyEmail", "autoVerifyPhone"), False)
            self.call("PreSignUp", source, name, request, confirm)
        attributes = [{"Name": key, "Value": value} for key, value in moved["userAttributes"].items()]
        names = {"UserPoolId": self.id, "Username": name}
        cognito_rules.MOVING.add(name)
        try:
            self.cognito.admin_create_user(**names, UserAttributes=attributes, MessageAction=moved["messageAction"])
            usable = moved["finalUserStatus"] == "CONFIRMED"
            secret = password if usable else secrets.token_urlsafe(24)
            self.cognito.admin_set_user_password(**names, Password=secret, Permanent=True)
        finally:
            cognito_rules.MOVING.discard(name)
        if not usable and password is not None:
            self.cognito.admin_reset_user_password(**names)


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, backend_port):
        super().__init__(("127.0.0.1", port), Handler)
        self.backend_port = backend_port
        self.backend = f"http://127.0.0.1:{backend_port}"
        self.outbox, self.pools, self.api = [], {}, None

    def pool(self, client_id):
        if client_id not in self.pools:
            try:
                self.pools[client_id] = Pool(self.backend, client_id)
            except StopIteration:
                raise Refused("ResourceNotFoundException", f"User pool client {client_id} does not exist.") from None
        return self.pools[client_id]

    def pool_of(self, request):
        """The pool of the app client that the call names, or that its access token was issued to."""
        if "ClientId" in request:
            return self.pool(request["ClientId"])
        payload = request["AccessToken"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return self.pool(claims["client_id"])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Logs nothing, because URLs contain codes."""

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if self.command == "GET" and path.startswith("/outbox"):
            return self.show(path)
        if self.command == "PUT" and path == "/api":
            self.server.api = urllib.parse.urlsplit(json.loads(body)).path
            return self.answer(200, b"{}", "application/json")
        if self.command == "GET" and path == "/triggers.json":
            called = [one for pool in self.server.pools.values() for one in pool.called]
            return self.answer(200, json.dumps(called).encode(), "application/json")
        if self.command == "PUT" and path == "/rules":
            return self.set_rules(json.loads(body))
        if self.command == "GET" and path.startswith("/console/"):
            return self.serve_file(path.removeprefix("/console/") or "index.html")
        if (path.startswith("/auth/") or path == "/whoami") and self.server.api:
            return self.pass_on(self.server.api + self.path, body)
        operation = (self.headers.get("X-Amz-Target") or "").removeprefix(PREFIX)
        try:
            self.cognito(operation, body)
        except Refused as refused:
            exception, message = refused.args
            text = json.dumps({"__type": exception, "message": message}).encode()
            self.answer(400, text, "application/x-amz-json-1.1")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do

    def set_rules(self, wish):
        try:
            cognito_rules.RULES.set(wish["domain"], wish["rules"])
        except ValueError as unknown:
            return self.answer(400, str(unknown).encode(), "text/plain")
        self.answer(200, b"{}", "application/json")

    def cognito(self, operation, body):
        by_password = False
        if operation in ABOUT_A_NAME or operation == "InitiateAuth":
            request = json.loads(body)
            pool = self.server.pool(request["ClientId"])
            holder = request.get("AuthParameters", {}) if operation == "InitiateAuth" else request
            key = "USERNAME" if operation == "InitiateAuth" else "Username"
            name = holder.get(key)
            if name and "@" in name and not pool.has_cases:
                name = holder[key] = name.lower()
                body = json.dumps(request).encode()
            by_password = request.get("AuthFlow") == "USER_PASSWORD_AUTH"
            if by_password:
                pool.migrate("UserMigration_Authentication", name, holder.get("PASSWORD"))
            if operation == "ForgotPassword":
                pool.migrate("UserMigration_ForgotPassword", name, None)
        status, headers, answer = self.ask(self.path, body)
        mail = next((json.loads(value) for key, value in headers if key.lower() == cognito_rules.MAIL.lower()), None)
        if mail:
            self.server.pool_of(json.loads(body)).send_mail(**mail, outbox=self.server.outbox)
        if status == 200 and operation in CONFIRMATIONS:
            pool.confirmed(CONFIRMATIONS[operation], name)
        if status == 200 and by_password and b"AccessToken" in answer:
            pool.signed_in(name)
        self.give_back(status, headers, answer)

    def ask(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.backend_port, timeout=120)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("connection", "content-length")}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, response.getheaders(), answer

    def pass_on(self, path, body):
        self.give_back(*self.ask(path, body))

    def give_back(self, status, headers, answer):
        self.send_response(status)
        for key, value in headers:
            if key.lower() not in OWN_HEADERS:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def answer(self, status, body, content_type):
        self.give_back(status, [("Content-Type", content_type)], body)

    def serve_file(self, name):
        kind = CONSOLE.get(name)
        if not kind:
            return self.answer(404, b"", "text/plain")
        self.answer(200, (ROOT / "local" / "console" / name).read_bytes(), kind)

    def show(self, path):
        outbox = list(self.server.outbox)
        if path == "/outbox.json":
            return self.answer(200, json.dumps(outbox).encode(), "application/json")
        number = path.removeprefix("/outbox").strip("/")
        if number.isdecimal() and int(number) < len(outbox):
            return self.answer(200, outbox[int(number)]["html"].encode(), "text/html; charset=utf-8")
        rows = "".join(
            f"<li><a href='/outbox/{at}'>{html.escape(mail['subject'])}</a> to {html.escape(mail['to'] or '')}"
            for at, mail in enumerate(outbox)
        )
        page = f"<!doctype html><meta charset=utf-8><title>Outbox</title><h1>Outbox</h1><ol>{rows}</ol>"
        self.answer(200, page.encode(), "text/html; charset=utf-8")


def main(port):
    cognito_rules.install()
    proxy = Proxy(port, int(os.environ["GATEWAY_PORT"]))
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    sys.argv = ["ministack"]
    return ministack.app.main()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
