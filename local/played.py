"""Scenarios over the local stack's rules for Cognito; tests/it/cognito.rs runs each one against a stack.

    played.py SCENARIO ...     with the stack in GATEHOUSE_STACK

cognito_rules.py cites AWS's texts. Scenarios that choose between two readings do so for an e-mail
domain of their own.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from botocore.exceptions import ClientError

import srp
from client import CheckFailed, Person, Tokens, claims, expect

# A wrong password.
WRONG = "wrong-Pass-phrase-1"
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class User(Person):
    """A person with an address in the domain, who also calls Cognito directly."""

    def __init__(self, state, domain="example.com"):
        super().__init__(state, print)
        self.email = f"played-{secrets.token_hex(6)}@{domain}"

    def add_self_to_old_pool(self):
        # The old pool has another policy for passwords.
        self.password = "Old-Password-1906"
        self.add_to_old_pool(self.email)

    def cognito_call(self, operation, request, exception=None):
        """Returns Cognito's response, which must be this exception if one is given."""
        answer = self.cognito(operation, request, 400 if exception else 200)
        kind = answer.get("__type", "").rpartition("#")[2]
        expect(not exception or kind == exception, f"{operation}: {kind} instead of {exception}")
        return answer

    def cognito_sign_up(self, confirmed=True):
        attributes = [{"Name": "email", "Value": self.email}]
        self.cognito_call("SignUp", {"Username": self.email, "Password": self.password, "UserAttributes": attributes})
        if confirmed:
            self.cognito_call("ConfirmSignUp", {"Username": self.email, "ConfirmationCode": self.code_in_mail()})
        return self

    def cognito_sign_in(self, password, exception=None):
        parameters = {"USERNAME": self.email, "PASSWORD": password}
        request = {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters}
        return self.cognito_call("InitiateAuth", request, exception)

    def cognito_srp_sign_in(self, password, exception):
        """Signs in by SRP, without sending the password."""
        client = srp.Client(self.state["user_pool_id"], password)
        request = {"AuthFlow": "USER_SRP_AUTH", "AuthParameters": {"USERNAME": self.email, "SRP_A": client.a}}
        challenge = self.cognito("InitiateAuth", request, None)
        if "ChallengeParameters" not in challenge:
            kind = challenge["__type"].rpartition("#")[2]
            return expect(kind == exception, f"SRP: {kind} instead of {exception}")
        parameters = challenge["ChallengeParameters"]
        proof = client.proof(parameters)
        responses = {
            "USERNAME": parameters["USER_ID_FOR_SRP"],
            "PASSWORD_CLAIM_SECRET_BLOCK": proof["secret_block"],
            "PASSWORD_CLAIM_SIGNATURE": proof["signature"],
            "TIMESTAMP": proof["timestamp"],
        }
        request = {"ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": responses}
        return self.cognito_call("RespondToAuthChallenge", request, exception)

    def mails(self):
        with urllib.request.urlopen(self.state["cognito"] + "/outbox.json", timeout=30) as response:
            return [mail for mail in json.load(response) if mail["to"] == self.email]

    def http(self, method, url, headers, body, expected, shown):
        """Accepts any status if `expected` is None."""
        try:
            return super().http(method, url, headers, body, expected or 200, shown)
        except CheckFailed as broken:
            if expected is not None:
                raise
            return json.loads(str(broken).partition("instead of 200: ")[2].replace("'", '"'))

    def triggers(self, name):
        """The sources of the triggers that the proxy called for this username."""
        with urllib.request.urlopen(self.state["cognito"] + "/triggers.json", timeout=30) as response:
            return {one["source"] for one in json.load(response) if one["userName"] == name}

    def attributes(self, access):
        user = self.cognito("GetUser", {"AccessToken": access})
        return user["Username"], {one["Name"]: one["Value"] for one in user["UserAttributes"]}

    def admin_call(self, call, **more):
        names = {"UserPoolId": self.state["user_pool_id"], "Username": self.email}
        return getattr(self.aws("cognito-idp"), call)(**names, **more)


def set_rules(state, domain, **rules):
    """Chooses readings for the users of a domain."""
    body = json.dumps({"domain": domain, "rules": rules}).encode()
    request = urllib.request.Request(state["cognito"] + "/rules", body, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


@scenario
def a_new_address_requires_its_code(state):
    user, owner = User(state).cognito_sign_up(), User(state).cognito_sign_up()
    tokens = user.log_in()
    old, new = user.email, User(state).email
    change = {"attributes": {"email": new, "locale": "de"}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", tokens.access, change, 200)
    expect("email" in answer["to_verify"], "the address is to be verified")
    me = user.api("GET", "/auth/me", tokens.access, None, 200)["attributes"]
    expect(me["email"] == old and me["email_verified"] == "true", "the old address stays until the code is confirmed")
    expect(me["locale"] == "de", "attributes without a code change at once")
    at_new = User(state)
    at_new.email = new
    at_new.log_in(401)

    def verify(code, expected):
        body = {"attribute": "email", "code": code}
        return user.api("POST", "/auth/me/verify", tokens.access, body, expected)

    expect(verify("000000", 400)["code"] == "invalid_code", "a wrong code is rejected")
    verify(at_new.code_in_mail(), 200)
    me = user.api("GET", "/auth/me", tokens.access, None, 200)["attributes"]
    expect(me["email"] == new and me["email_verified"] == "true", "the address is the new one after the confirmation")
    expect(verify(at_new.code_in_mail(), 400)["code"] == "invalid_code", "a code is valid once")
    expect(claims(at_new.log_in().access)["sub"] == claims(tokens.access)["sub"], "the user has the new address")
    user.log_in(401)

    # Another user's address: the response does not reveal it, and the address does not change.
    change = {"attributes": {"email": owner.email}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", tokens.access, change, 200)
    expect("email" in answer["to_verify"], "a taken address gets the same response")
    code = owner.code_in_mail()
    expect(verify(code, 400)["code"] == "invalid_code", "the owner's code does not verify the address")
    at_cognito = {"AccessToken": tokens.access, "AttributeName": "email", "Code": code}
    user.cognito_call("VerifyUserAttribute", at_cognito, "AliasExistsException")
    expect(user.attributes(tokens.access)[1]["email"] == new, "the address does not change")
    owner.log_in()


@scenario
def codes_for_an_address_can_be_resent(state):
    user = User(state).cognito_sign_up()
    access = user.log_in().access
    new = User(state)
    pending = {"AccessToken": access, "UserAttributes": [{"Name": "email", "Value": new.email}]}
    answer = user.cognito_call("UpdateUserAttributes", pending)
    expect(answer["CodeDeliveryDetailsList"][0]["AttributeName"] == "email", "a code is sent")
    first = len(new.mails())
    user.cognito_call("GetUserAttributeVerificationCode", {"AccessToken": access, "AttributeName": "email"})
    expect((first, len(new.mails())) == (1, 2), "a second email to the new address")
    expect(len(user.mails()) == 1, "no email but the sign-up's to the old address")
    # A user cannot mark an address as verified.
    verified = {"AccessToken": access, "UserAttributes": [{"Name": "email_verified", "Value": "true"}]}
    user.cognito_call("UpdateUserAttributes", verified, "NotAuthorizedException")
    # An administrator can, except for an address that belongs to another user.
    owner = User(state).cognito_sign_up()
    attributes = [{"Name": "email", "Value": owner.email}, {"Name": "email_verified", "Value": "true"}]
    try:
        user.admin_call("admin_update_user_attributes", UserAttributes=attributes)
    except ClientError as error:
        expect(error.response["Error"]["Code"] == "AliasExistsException", "taken")
    else:
        raise CheckFailed("an administrator could give one address to two users")
    attributes[0]["Value"] = new.email
    user.admin_call("admin_update_user_attributes", UserAttributes=attributes)
    expect(user.attributes(access)[1]["email"] == new.email, "at once")


@scenario
def a_taken_address_may_be_rejected_on_update(state):
    domain = "update.example"
    set_rules(state, domain, alias_exists="update")
    user, owner = User(state, domain).cognito_sign_up(), User(state, domain).cognito_sign_up()
    access = user.log_in().access
    mails = len(owner.mails())
    change = {"AccessToken": access, "UserAttributes": [{"Name": "email", "Value": owner.email}]}
    user.cognito_call("UpdateUserAttributes", change, "AliasExistsException")
    change = {"attributes": {"email": owner.email}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", access, change, 200)
    expect("email" in answer["to_verify"], "our API does not reveal it")
    expect(len(owner.mails()) == mails, "no email is sent")


@scenario
def users_are_migrated_with_the_guard_enabled(state):
    suspect = {"email": f"grace-{secrets.token_hex(4)}@xn--pple-43d.com", "password": WRONG}
    refused = User(state).api("POST", "/auth/signup", None, suspect, 400)
    expect(refused["code"] == "sign_up_refused", "the guard is enabled")
    sources = (None, "PreSignUp_SignUp", "PreSignUp_AdminCreateUser", "PreSignUp_UserMigration")
    for number, source in enumerate(sources):
        domain = f"moved-{number}.example"
        set_rules(state, domain, pre_sign_up_on_migration=source)
        user = User(state, domain)
        user.add_self_to_old_pool()
        user.log_in()
        forgetful = User(state, domain)
        forgetful.add_self_to_old_pool()
        forgetful.api("POST", "/auth/forgot-password", None, {"email": forgetful.email}, 202)
        expect(len(forgetful.mails()) == 1, f"{source}: migrated for the password reset")


@scenario
def users_whose_names_the_guard_rejects_are_migrated(state):
    for number, source in enumerate((None, "PreSignUp_AdminCreateUser", "PreSignUp_UserMigration")):
        domain = f"odd-{number}.example"
        set_rules(state, domain, pre_sign_up_on_migration=source)
        # A look-alike: Cyrillic a.
        odd = User(state)
        odd.email = f"gr\u0430ce-{secrets.token_hex(4)}@{domain}"
        refused = odd.api("POST", "/auth/signup", None, odd.credentials(), 400)
        expect(refused["code"] == "sign_up_refused", "the guard rejects the name")
        odd.add_self_to_old_pool()
        odd.log_in()


@scenario
def a_migrated_password_must_be_changed(state):
    """A password that the pool's policy would refuse is migrated, and returns no tokens before it is changed."""
    user = User(state)
    user.password = "Old-Pass-1"
    user.add_to_old_pool(user.email)
    old, new = user.password, "a-new-Pass-phrase-1"
    for _ in range(2):
        refused = user.api("POST", "/auth/login", None, user.credentials(), 403)
        expect(refused["code"] == "password_change_required", "the sign-in returns no tokens")
        expect(user.log_in_by_srp(old, 403) is None, "nor does SRP")
    directly = user.sign_in()
    body = user.credentials() | {"new_password": "short"}
    expect(user.api("POST", "/auth/login", None, body, 400)["code"] == "password_policy", "the pool's policy applies")
    body["new_password"] = new
    moved = Tokens.of_api(user.api("POST", "/auth/login", None, body, 200))
    user.api("GET", "/auth/me", moved.access, None, 200)
    user.api("GET", "/auth/me", directly.access, None, 401)
    user.api("POST", "/auth/login", None, user.credentials(), 401)
    user.password = new
    user.log_in()

    user = User(state)
    user.password = "Old-Pass-1"
    user.add_to_old_pool(user.email)
    user.api("POST", "/auth/login", None, user.credentials(), 403)
    user.admin_call("admin_update_user_attributes", UserAttributes=[{"Name": "email_verified", "Value": "true"}])
    user.api("POST", "/auth/forgot-password", None, {"email": user.email}, 202)
    body = {"email": user.email, "code": user.code_in_mail(), "password": new}
    user.api("POST", "/auth/confirm-forgot-password", None, body, 200)
    user.password = new
    user.log_in()


@scenario
def the_guard_checks_invitations(state):
    welcome = User(state)
    welcome.admin_call("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    odd = User(state, "xn--pple-43d.com")
    try:
        odd.admin_call("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    except ClientError as error:
        expect(error.response["Error"]["Code"] == "UserLambdaValidationException", "the trigger rejects it")
    else:
        raise CheckFailed("a domain that is displayed as another one could be invited")


@scenario
def unconfirmed_users_cannot_sign_in(state):
    user = User(state).cognito_sign_up(confirmed=False)
    for password in (user.password, WRONG):
        user.cognito_sign_in(password, "UserNotConfirmedException")
        user.cognito_srp_sign_in(password, "UserNotConfirmedException")
        refuses_as_unknown(user, password)
    domain = "unconfirmed.example"
    set_rules(state, domain, unconfirmed="right-password")
    other = User(state, domain).cognito_sign_up(confirmed=False)
    other.cognito_sign_in(other.password, "UserNotConfirmedException")
    other.cognito_srp_sign_in(other.password, "UserNotConfirmedException")
    other.cognito_sign_in(WRONG, "NotAuthorizedException")
    other.cognito_srp_sign_in(WRONG, "NotAuthorizedException")
    for password in (other.password, WRONG):
        refuses_as_unknown(other, password)


def refuses_as_unknown(user, password):
    """Our API refuses the sign-in of an unconfirmed user as that of an unknown one."""
    unknown = User(user.state)
    answers = [
        each.api("POST", "/auth/login", None, {"email": each.email, "password": password}, 401) for each in (user, unknown)
    ]
    expect(answers[0] == answers[1], f"the same response: {answers}")
    for each in (user, unknown):
        expect(each.log_in_by_srp(password, 401) is None, "SRP begins, and no proof solves it")


@scenario
def password_resets_require_a_verified_address(state):
    user = User(state).cognito_sign_up(confirmed=False)
    mails = len(user.mails())
    user.cognito_call("ForgotPassword", {"Username": user.email})
    user.api("POST", "/auth/forgot-password", None, {"email": user.email}, 202)
    expect(len(user.mails()) == mails, "no email to an unconfirmed address")
    reset = {"Username": user.email, "ConfirmationCode": "654321", "Password": WRONG}
    user.cognito_call("ConfirmForgotPassword", reset, "ExpiredCodeException")
    body = {"email": user.email, "code": "654321", "password": WRONG}
    refused = user.api("POST", "/auth/confirm-forgot-password", None, body, 400)
    expect(refused["code"] == "invalid_code", "our API responds as to any wrong code")
    user.cognito_sign_in(user.password, "UserNotConfirmedException")

    domain = "no-medium.example"
    set_rules(state, domain, no_medium="error")
    other = User(state, domain).cognito_sign_up(confirmed=False)
    other.cognito_call("ForgotPassword", {"Username": other.email}, "InvalidParameterException")

    confirmed = User(state).cognito_sign_up()
    confirmed.cognito_call("ResendConfirmationCode", {"Username": confirmed.email}, "InvalidParameterException")
    mails = len(confirmed.mails())
    confirmed.admin_call("admin_disable_user")
    confirmed.cognito_call("ForgotPassword", {"Username": confirmed.email})
    expect(len(confirmed.mails()) == mails, "no email to a disabled user")
    confirmed.cognito_call("ConfirmForgotPassword", reset | {"Username": confirmed.email}, "CodeMismatchException")


@scenario
def users_with_a_required_reset_cannot_sign_in(state):
    required, denied = "PasswordResetRequiredException", "NotAuthorizedException"
    readings = {"right-password": (required, denied), "any-password": (required, required), "hidden": (denied, denied)}
    for rule, (right, wrong) in readings.items():
        domain = f"{rule}.example"
        set_rules(state, domain, reset_required=rule)
        user = User(state, domain).cognito_sign_up()
        user.admin_call("admin_reset_user_password")
        user.cognito_sign_in(user.password, right)
        user.cognito_sign_in(WRONG, wrong)
        user.cognito_call("ForgotPassword", {"Username": user.email})
        reset = {"Username": user.email, "ConfirmationCode": user.code_in_mail(), "Password": WRONG}
        user.cognito_call("ConfirmForgotPassword", reset)
        user.cognito_sign_in(WRONG)


@scenario
def usernames_are_uuids_and_addresses_are_aliases(state):
    user = User(state)
    user.email = user.email.upper()
    user.api("POST", "/auth/signup", None, user.credentials(), 202)
    user.email = user.email.lower()
    user.cognito_call("ConfirmSignUp", {"Username": user.email.upper(), "ConfirmationCode": user.code_in_mail()})
    access = user.log_in().access
    name, attributes = user.attributes(access)
    expect(name == attributes["sub"] == claims(access)["username"] == claims(access)["sub"], "the username is the sub")
    expect(re.fullmatch(r"[0-9a-f-]{36}", name), "a UUID")
    expect(user.admin_call("admin_get_user")["Username"] == name, "the address finds the user")
    user.api("POST", "/auth/forgot-password", None, {"email": user.email}, 202)
    sources = {"CustomMessage_SignUp", "PostConfirmation_ConfirmSignUp", "CustomMessage_ForgotPassword"}
    expect(sources <= user.triggers(name) and not user.triggers(user.email), "the triggers' events have the username")
    user.email = name
    user.cognito_sign_in(user.password)
    # Only the migration's event has the typed name, because the user does not exist yet.
    moved = User(state)
    moved.add_self_to_old_pool()
    name = claims(moved.log_in().access)["username"]
    expect(moved.triggers(moved.email) == {"UserMigration_Authentication"}, "the typed name")
    expect("PostAuthentication_Authentication" in moved.triggers(name), "later events have the username")

    # An address in any case finds the user, also in the response to a challenge.
    invited = User(state)
    invited.admin_call("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    challenge = invited.cognito_sign_in(WRONG)
    expect(challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED", "a challenge")
    responses = {"USERNAME": invited.email.upper(), "NEW_PASSWORD": invited.password}
    answer = {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenge["Session"], "ChallengeResponses": responses}
    invited.cognito_call("RespondToAuthChallenge", answer)
    invited.log_in()


@scenario
def revoked_sessions_stay_revoked_after_a_refresh_at_cognito(state):
    user = User(state).cognito_sign_up()

    def refreshed(tokens):
        """Refreshes directly at Cognito, with both of its calls."""
        first = claims(tokens.access)
        time.sleep(1.1)  # `auth_time` has a resolution of seconds.
        again = user.refresh(tokens)
        request = {"RefreshToken": tokens.refresh}
        other = user.cognito_call("GetTokensFromRefreshToken", request)["AuthenticationResult"]["AccessToken"]
        for token in (again, other):
            now = claims(token)
            same = [now[name] == first[name] for name in ("auth_time", "origin_jti")]
            expect(all(same) and now["iat"] > first["iat"], "a refresh keeps both claims and has a new iat")
        return again, other

    phone, laptop, tablet = user.sign_in(), user.sign_in(), user.sign_in()
    for token in refreshed(phone):
        user.call(token, 200)
    user.log_out(tablet.access, {"scope": "others"}, 200)
    for tokens in (phone, laptop):
        user.call(tokens.access, 401)
        for token in refreshed(tokens):
            user.call(token, 401)
    user.call(tablet.access, 200)
    for token in refreshed(tablet):
        user.call(token, 200)

    user.log_out(tablet.access, {}, 200)
    for token in refreshed(tablet):
        user.call(token, 401)

    mine, stolen = user.sign_in(), user.sign_in()
    thief = refreshed(stolen)[0]
    change = {"current_password": user.password, "new_password": "another-Pass-phrase", "keep_session": True}
    kept = Tokens.of_api(user.api("POST", "/auth/change-password", mine.access, change, 200))
    for token in (mine.access, stolen.access, thief):
        user.call(token, 401)
    user.expect_refresh_rejected(stolen)
    user.cognito_call("GetUser", {"AccessToken": thief}, "NotAuthorizedException")
    for token in refreshed(kept):
        user.call(token, 200)


@scenario
def direct_cognito_calls_do_not_restore_a_revoked_session(state):
    user, thief = User(state).cognito_sign_up(), User(state)
    stolen, other = user.sign_in(), user.sign_in()
    user.log_out(other.access, {"scope": "others"}, 200)
    # Cognito is not told about it: docs/tokens.md, "What Cognito keeps alive".
    access = user.refresh(stolen)
    theft = {"AccessToken": access}
    user.cognito_call("GetUser", theft)
    user.cognito_call("UpdateUserAttributes", theft | {"UserAttributes": [{"Name": "email", "Value": thief.email}]})
    user.cognito_call("AssociateSoftwareToken", theft)
    user.call(access, 401)
    user.call(user.refresh(stolen), 401)
    user.cognito_call("VerifyUserAttribute", theft | {"AttributeName": "email", "Code": thief.code_in_mail()})
    user.call(user.refresh(stolen), 401)
    passwords = {"PreviousPassword": user.password, "ProposedPassword": WRONG}
    user.cognito_call("ChangePassword", theft | passwords)
    user.call(user.refresh(stolen), 401)
    user.call(other.access, 200)
    # CloudTrail's record of the change revokes the session that `others` exempted.
    user.send_cloudtrail_event("ChangePassword", claims(access)["sub"])
    user.expect_rejected_soon(other.access)
    user.call(user.refresh(stolen), 401)


@scenario
def calls_per_user_and_hour_are_limited(state):
    domain = "limit.example"
    set_rules(state, domain, limit=2)
    user, other = (User(state, domain).cognito_sign_up(confirmed=False) for _ in range(2))
    resend = {"Username": user.email}
    user.cognito_call("ResendConfirmationCode", resend)
    user.cognito_call("ResendConfirmationCode", resend)
    mails = len(user.mails())
    user.cognito_call("ResendConfirmationCode", resend, "LimitExceededException")
    expect(len(user.mails()) == mails, "no email is sent")
    # Each user, and each kind of call, has a limit of its own.
    other.cognito_call("ResendConfirmationCode", {"Username": other.email})
    wrong = {"Username": user.email, "ConfirmationCode": "000000"}
    user.cognito_call("ConfirmSignUp", wrong, "CodeMismatchException")
    user.cognito_call("ConfirmSignUp", wrong, "CodeMismatchException")
    user.cognito_call("ConfirmSignUp", wrong | {"ConfirmationCode": user.code_in_mail()}, "LimitExceededException")


@scenario
def managed_rules_apply_to_all_users_or_a_domain(state):
    for rules in ({"limit": "two"}, {"unconfirmed": "sometimes"}, {"other": 1}):
        try:
            set_rules(state, "rule.example", **rules)
        except urllib.error.HTTPError as error:
            expect(error.code == 400, "refused")
        else:
            raise CheckFailed(f"{rules} was accepted")
    # The environment's rules apply to all users; those of a domain take precedence.
    rules = json.dumps({"unconfirmed": "right-password", "limit": 3})
    program = (
        "from cognito_rules import RULES; RULES.set('b.example', {'limit': 2});"
        "print(*(RULES.of(at)[name] for at in ('a@a.example', 'b@B.example') for name in ('unconfirmed', 'limit')))"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"GATEHOUSE_COGNITO_RULES": rules, "STATE_DIR": folder}
        environment["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__))
        printed = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    expect(printed.stdout.decode().split() == ["right-password", "3", "right-password", "2"], "the environment's rules")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        SCENARIOS[name](json.loads(os.environ["GATEHOUSE_STACK"]))
        print(f"{name}: passed")
