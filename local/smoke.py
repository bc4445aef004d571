#!/usr/bin/env python3
"""Plays the story against a deployed stack with a temporary user, and deletes the user in every case.

    smoke.py [--config NAME] [--stack NAME --region REGION]

The script creates the user by AdminCreateUser, which sends no email here; the user signs in through the API.
"""

import http.client
import json
import secrets
import signal
import string
import sys
import urllib.error
import urllib.parse
import urllib.request

import account
import target
from account import Problem


def main(arguments):
    stack = target.of(arguments, "smoke")
    signal.signal(signal.SIGTERM, interrupted)
    # First: a stack without an API gets no user.
    caller = Caller(stack)
    with ThrowawayUser(stack) as user:
        play(caller, user)
    print("All checks passed.")
    return 0


def interrupted(*_):
    raise KeyboardInterrupt


def play(caller, user):
    """After a sign-in the token is accepted; after the logout the same token is refused."""
    expect("a request without a token is refused", caller.call("GET", "/whoami").status, 401)
    caller.sign_in(user)
    answer = caller.call("GET", "/whoami")
    expect("the token reaches the backend", answer.status, 200)
    told = answer.body.get("context", {}).get("sub", user.sub)
    expect("the backend receives the caller's sub", told, user.sub)
    expect("the session is revoked", caller.call("POST", "/auth/logout", {}).status, 200)
    expect("the very next request with the same token is refused", caller.call("GET", "/whoami").status, 401)


def expect(what, found, wanted):
    print(f"  {'ok' if found == wanted else 'NOT'}  {what} ({found})", flush=True)
    if found != wanted:
        raise Problem(f"Expected {wanted}, got {found}: {what}.")


class ThrowawayUser:
    """A confirmed user with a password, for as long as the `with` lasts."""

    def __init__(self, stack):
        self.cognito = stack.client("cognito-idp")
        self.pool = stack.output("UserPoolId")
        self.email = f"gatehouse-smoke-{secrets.token_hex(8)}@example.com"
        # Letters of each case, a digit and a symbol, to satisfy any password policy.
        alphabet = string.ascii_letters + string.digits
        self.password = "Aa1-" + "".join(secrets.choice(alphabet) for _ in range(28))
        self.sub = None

    def __enter__(self):
        names = {"UserPoolId": self.pool, "Username": self.email}
        try:
            made = self.cognito.admin_create_user(
                **names,
                MessageAction="SUPPRESS",
                UserAttributes=[
                    {"Name": "email", "Value": self.email},
                    {"Name": "email_verified", "Value": "true"},
                ],
            )
            self.sub = next(one["Value"] for one in made["User"]["Attributes"] if one["Name"] == "sub")
            self.cognito.admin_set_user_password(**names, Password=self.password, Permanent=True)
        except BaseException:
            self.delete()
            raise
        print(f"Created the temporary user {self.email}.", flush=True)
        return self

    def __exit__(self, *_):
        self.delete()

    def delete(self):
        """Deletes the user. Accepts a user that was never created, and reports one that could not be deleted."""
        try:
            self.cognito.admin_delete_user(UserPoolId=self.pool, Username=self.email)
        except self.cognito.exceptions.UserNotFoundException:
            return
        except BaseException:
            print(
                f"The user could not be deleted. Delete it with: aws cognito-idp admin-delete-user --user-pool-id {self.pool} "
                f"--username {self.email}",
                file=sys.stderr,
            )
            raise
        print("Deleted the temporary user.", flush=True)


class Caller:
    """A client of the API that sends its tokens as the stack is configured: in headers or in cookies."""

    def __init__(self, stack):
        self.api = stack.api()
        self.origin = stack.parameters.get("AllowedOrigin", "")
        sources = stack.parameters.get("TokenSources", "")
        self.by_cookie = stack.parameters.get("LogoutCookies") == "true" or sources == "cookie"
        of_session = stack.parameters.get("CookieMode") == "session"
        self.cookie = stack.parameters.get("SessionCookie" if of_session else "TokenCookie", "")
        self.token = None
        self.refresh_token = None

    def sign_in(self, user):
        answer = self.call("POST", "/auth/login", {"email": user.email, "password": user.password})
        expect("the user signs in", answer.status, 200)
        self.take(answer)

    def take(self, answer):
        """Stores the tokens from the body or from cookies."""
        self.token = answer.body.get("access_token") or answer.cookies.get(self.cookie)
        self.refresh_token = answer.body.get("refresh_token")
        if not self.token:
            raise Problem("The response to the sign-in has no access token.")

    def call(self, method, path, body=None, headers=None):
        made = dict(headers or {})
        if self.token and self.by_cookie:
            made["cookie"] = f"{self.cookie}={self.token}"
        elif self.token:
            made["authorization"] = f"Bearer {self.token}"
        if self.by_cookie and self.origin:
            made["origin"] = self.origin
        return Answer.to(self.api + path, method, made, body)


class Answer:
    """An HTTP response: status, JSON body, cookies, headers."""

    def __init__(self, status, headers, content):
        self.status = status
        self.headers = headers
        try:
            body = json.loads(content or b"{}")
        except ValueError:
            body = {}
        self.body = body if isinstance(body, dict) else {}
        pairs = (line.partition(";")[0].partition("=") for line in headers.get_all("set-cookie", []))
        self.cookies = {name.strip(): value.strip() for name, _, value in pairs if value}

    @classmethod
    def to(cls, url, method, headers, body=None):
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers = headers | {"content-type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return cls(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return cls(error.code, error.headers, error.read())
        except (OSError, http.client.HTTPException) as error:
            raise Problem(f"{urllib.parse.urlsplit(url).hostname} did not answer: {error}") from None


if __name__ == "__main__":
    account.run(main)
