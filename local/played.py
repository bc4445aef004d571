"""What the local stack plays of Cognito, each scene by itself; tests/it/cognito.rs runs them beside a stack.

    played.py SCENE ...     with the stack in GATEHOUSE_STACK

The texts that each goes by are in cognito_rules.py. Scenes that choose between two readings do so for an e-mail
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
from story import BrokenPromise, Person, Tokens, claims, expect

# Where a wrong one is needed.
WRONG = "wrong-Pass-phrase-1"
SCENES = {}


def scene(function):
    SCENES[function.__name__] = function
    return function


class User(Person):
    """A person of a domain, who also says what Cognito itself answers."""

    def __init__(self, state, domain="example.com"):
        super().__init__(state, print)
        self.email = f"played-{secrets.token_hex(6)}@{domain}"

    def is_still_to_be_moved(self):
        # The old pool has another policy for passwords.
        self.password = "Old-Password-1906"
        self.lives_in_the_old_pool(self.email)

    def asks(self, operation, request, exception=None):
        """Cognito's answer, or that it refuses by this exception."""
        answer = self.cognito(operation, request, 400 if exception else 200)
        kind = answer.get("__type", "").rpartition("#")[2]
        expect(not exception or kind == exception, f"{operation}: {kind} instead of {exception}")
        return answer

    def signs_up(self, confirmed=True):
        attributes = [{"Name": "email", "Value": self.email}]
        self.asks("SignUp", {"Username": self.email, "Password": self.password, "UserAttributes": attributes})
        if confirmed:
            self.asks("ConfirmSignUp", {"Username": self.email, "ConfirmationCode": self.code_in_mail()})
        return self

    def enters(self, password, exception=None):
        parameters = {"USERNAME": self.email, "PASSWORD": password}
        request = {"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": parameters}
        return self.asks("InitiateAuth", request, exception)

    def proves(self, password, exception):
        """The same without sending the password."""
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
        return self.asks("RespondToAuthChallenge", request, exception)

    def mails(self):
        with urllib.request.urlopen(self.state["cognito"] + "/outbox.json", timeout=30) as response:
            return [mail for mail in json.load(response) if mail["to"] == self.email]

    def http(self, method, url, headers, body, expected, shown):
        """Takes any status if none is expected."""
        try:
            return super().http(method, url, headers, body, expected or 200, shown)
        except BrokenPromise as broken:
            if expected is not None:
                raise
            return json.loads(str(broken).partition("instead of 200: ")[2].replace("'", '"'))

    def triggers(self, name):
        """The sources of the triggers that were called for this user name."""
        with urllib.request.urlopen(self.state["cognito"] + "/triggers.json", timeout=30) as response:
            return {one["source"] for one in json.load(response) if one["userName"] == name}

    def attributes(self, access):
        user = self.cognito("GetUser", {"AccessToken": access})
        return user["Username"], {one["Name"]: one["Value"] for one in user["UserAttributes"]}

    def administered(self, call, **more):
        names = {"UserPoolId": self.state["user_pool_id"], "Username": self.email}
        return getattr(self.aws("cognito-idp"), call)(**names, **more)


def play_by(state, domain, **rules):
    """Chooses readings for the users of a domain."""
    body = json.dumps({"domain": domain, "rules": rules}).encode()
    request = urllib.request.Request(state["cognito"] + "/rules", body, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


@scene
def a_new_address_requires_its_code(state):
    user, owner = User(state).signs_up(), User(state).signs_up()
    tokens = user.log_in()
    old, new = user.email, User(state).email
    change = {"attributes": {"email": new, "locale": "de"}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", tokens.access, change, 200)
    expect("email" in answer["to_verify"], "the address is to be verified")
    me = user.api("GET", "/auth/me", tokens.access, None, 200)["attributes"]
    expect(me["email"] == old and me["email_verified"] == "true", "it is the old one until then")
    expect(me["locale"] == "de", "what needs no code counts at once")
    at_new = User(state)
    at_new.email = new
    at_new.log_in(401)

    def verify(code, expected):
        body = {"attribute": "email", "code": code}
        return user.api("POST", "/auth/me/verify", tokens.access, body, expected)

    expect(verify("000000", 400)["code"] == "invalid_code", "another code is none")
    verify(at_new.code_in_mail(), 200)
    me = user.api("GET", "/auth/me", tokens.access, None, 200)["attributes"]
    expect(me["email"] == new and me["email_verified"] == "true", "from then on it is the new one")
    expect(verify(at_new.code_in_mail(), 400)["code"] == "invalid_code", "a code is good for once")
    expect(claims(at_new.log_in().access)["sub"] == claims(tokens.access)["sub"], "the same user by the new address")
    user.log_in(401)

    # The address of another user: nothing tells, and nothing comes of it.
    change = {"attributes": {"email": owner.email}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", tokens.access, change, 200)
    expect("email" in answer["to_verify"], "the same answer for an address that is taken")
    code = owner.code_in_mail()
    expect(verify(code, 400)["code"] == "invalid_code", "the owner's code verifies nothing")
    at_cognito = {"AccessToken": tokens.access, "AttributeName": "email", "Code": code}
    user.asks("VerifyUserAttribute", at_cognito, "AliasExistsException")
    expect(user.attributes(tokens.access)[1]["email"] == new, "and the address stays")
    owner.log_in()


@scene
def codes_for_an_address_can_be_resent(state):
    user = User(state).signs_up()
    access = user.log_in().access
    new = User(state)
    pending = {"AccessToken": access, "UserAttributes": [{"Name": "email", "Value": new.email}]}
    answer = user.asks("UpdateUserAttributes", pending)
    expect(answer["CodeDeliveryDetailsList"][0]["AttributeName"] == "email", "a code is on its way")
    first = len(new.mails())
    user.asks("GetUserAttributeVerificationCode", {"AccessToken": access, "AttributeName": "email"})
    expect((first, len(new.mails())) == (1, 2), "another mail to the new address")
    expect(len(user.mails()) == 1, "and none but the sign-up's to the old one")
    # Only the owner of an address says that it is verified.
    verified = {"AccessToken": access, "UserAttributes": [{"Name": "email_verified", "Value": "true"}]}
    user.asks("UpdateUserAttributes", verified, "NotAuthorizedException")
    # An administrator says so at once, and not of an address that another user has.
    owner = User(state).signs_up()
    attributes = [{"Name": "email", "Value": owner.email}, {"Name": "email_verified", "Value": "true"}]
    try:
        user.administered("admin_update_user_attributes", UserAttributes=attributes)
    except ClientError as error:
        expect(error.response["Error"]["Code"] == "AliasExistsException", "taken")
    else:
        raise BrokenPromise("an administrator gives an address to two users")
    attributes[0]["Value"] = new.email
    user.administered("admin_update_user_attributes", UserAttributes=attributes)
    expect(user.attributes(access)[1]["email"] == new.email, "at once")


@scene
def a_taken_address_may_be_rejected_on_update(state):
    domain = "update.example"
    play_by(state, domain, alias_exists="update")
    user, owner = User(state, domain).signs_up(), User(state, domain).signs_up()
    access = user.log_in().access
    mails = len(owner.mails())
    change = {"AccessToken": access, "UserAttributes": [{"Name": "email", "Value": owner.email}]}
    user.asks("UpdateUserAttributes", change, "AliasExistsException")
    change = {"attributes": {"email": owner.email}, "current_password": user.password}
    answer = user.api("PATCH", "/auth/me", access, change, 200)
    expect("email" in answer["to_verify"], "our API tells nothing")
    expect(len(owner.mails()) == mails, "and no mail is sent")


@scene
def users_are_migrated_with_the_guard_enabled(state):
    suspect = {"email": f"grace-{secrets.token_hex(4)}@xn--pple-43d.com", "password": WRONG}
    refused = User(state).api("POST", "/auth/signup", None, suspect, 400)
    expect(refused["code"] == "sign_up_refused", "the guard is on")
    sources = (None, "PreSignUp_SignUp", "PreSignUp_AdminCreateUser", "PreSignUp_UserMigration")
    for number, source in enumerate(sources):
        domain = f"moved-{number}.example"
        play_by(state, domain, pre_sign_up_on_migration=source)
        user = User(state, domain)
        user.is_still_to_be_moved()
        user.log_in()
        forgetful = User(state, domain)
        forgetful.is_still_to_be_moved()
        forgetful.api("POST", "/auth/forgot-password", None, {"email": forgetful.email}, 202)
        expect(len(forgetful.mails()) == 1, f"{source}: moved to be reset")


@scene
def users_whose_names_the_guard_rejects_are_migrated(state):
    for number, source in enumerate((None, "PreSignUp_AdminCreateUser", "PreSignUp_UserMigration")):
        domain = f"odd-{number}.example"
        play_by(state, domain, pre_sign_up_on_migration=source)
        # A look-alike: Cyrillic a.
        odd = User(state)
        odd.email = f"gr\u0430ce-{secrets.token_hex(4)}@{domain}"
        refused = odd.api("POST", "/auth/signup", None, odd.credentials(), 400)
        expect(refused["code"] == "sign_up_refused", "the guard refuses the name")
        odd.is_still_to_be_moved()
        odd.log_in()


@scene
def the_guard_checks_invitations(state):
    welcome = User(state)
    welcome.administered("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    odd = User(state, "xn--pple-43d.com")
    try:
        odd.administered("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    except ClientError as error:
        expect(error.response["Error"]["Code"] == "UserLambdaValidationException", "refused by the trigger")
    else:
        raise BrokenPromise("a domain that is displayed as another one is invited")


@scene
def unconfirmed_users_cannot_sign_in(state):
    user = User(state).signs_up(confirmed=False)
    for password in (user.password, WRONG):
        user.enters(password, "UserNotConfirmedException")
        user.proves(password, "UserNotConfirmedException")
    domain = "unconfirmed.example"
    play_by(state, domain, unconfirmed="right-password")
    other = User(state, domain).signs_up(confirmed=False)
    other.enters(other.password, "UserNotConfirmedException")
    other.proves(other.password, "UserNotConfirmedException")
    other.enters(WRONG, "NotAuthorizedException")
    other.proves(WRONG, "NotAuthorizedException")


@scene
def password_resets_require_a_verified_address(state):
    user = User(state).signs_up(confirmed=False)
    mails = len(user.mails())
    user.asks("ForgotPassword", {"Username": user.email})
    user.api("POST", "/auth/forgot-password", None, {"email": user.email}, 202)
    expect(len(user.mails()) == mails, "no mail to an address that is not confirmed")
    reset = {"Username": user.email, "ConfirmationCode": "654321", "Password": WRONG}
    user.asks("ConfirmForgotPassword", reset, "ExpiredCodeException")
    body = {"email": user.email, "code": "654321", "password": WRONG}
    refused = user.api("POST", "/auth/confirm-forgot-password", None, body, 400)
    expect(refused["code"] == "invalid_code", "our API says the same as for any wrong code")
    user.enters(user.password, "UserNotConfirmedException")

    domain = "no-medium.example"
    play_by(state, domain, no_medium="error")
    other = User(state, domain).signs_up(confirmed=False)
    other.asks("ForgotPassword", {"Username": other.email}, "InvalidParameterException")

    confirmed = User(state).signs_up()
    confirmed.asks("ResendConfirmationCode", {"Username": confirmed.email}, "InvalidParameterException")
    mails = len(confirmed.mails())
    confirmed.administered("admin_disable_user")
    confirmed.asks("ForgotPassword", {"Username": confirmed.email})
    expect(len(confirmed.mails()) == mails, "nor to one that is disabled")
    confirmed.asks("ConfirmForgotPassword", reset | {"Username": confirmed.email}, "CodeMismatchException")


@scene
def users_with_a_required_reset_cannot_sign_in(state):
    required, denied = "PasswordResetRequiredException", "NotAuthorizedException"
    readings = {"right-password": (required, denied), "any-password": (required, required), "hidden": (denied, denied)}
    for rule, (right, wrong) in readings.items():
        domain = f"{rule}.example"
        play_by(state, domain, reset_required=rule)
        user = User(state, domain).signs_up()
        user.administered("admin_reset_user_password")
        user.enters(user.password, right)
        user.enters(WRONG, wrong)
        user.asks("ForgotPassword", {"Username": user.email})
        reset = {"Username": user.email, "ConfirmationCode": user.code_in_mail(), "Password": WRONG}
        user.asks("ConfirmForgotPassword", reset)
        user.enters(WRONG)


@scene
def usernames_are_uuids_and_addresses_are_aliases(state):
    user = User(state)
    user.email = user.email.upper()
    user.api("POST", "/auth/signup", None, user.credentials(), 202)
    user.email = user.email.lower()
    user.asks("ConfirmSignUp", {"Username": user.email.upper(), "ConfirmationCode": user.code_in_mail()})
    access = user.log_in().access
    name, attributes = user.attributes(access)
    expect(name == attributes["sub"] == claims(access)["username"] == claims(access)["sub"], "the name is the sub")
    expect(re.fullmatch(r"[0-9a-f-]{36}", name), "a UUID")
    expect(user.administered("admin_get_user")["Username"] == name, "found by the address")
    user.api("POST", "/auth/forgot-password", None, {"email": user.email}, 202)
    sources = {"CustomMessage_SignUp", "PostConfirmation_ConfirmSignUp", "CustomMessage_ForgotPassword"}
    expect(sources <= user.triggers(name) and not user.triggers(user.email), "and so say the triggers' events")
    user.email = name
    user.enters(user.password)
    # The migration's event alone has the name that was typed: there is no user yet.
    moved = User(state)
    moved.is_still_to_be_moved()
    name = claims(moved.log_in().access)["username"]
    expect(moved.triggers(moved.email) == {"UserMigration_Authentication"}, "the typed name")
    expect("PostAuthentication_Authentication" in moved.triggers(name), "and the user's from then on")

    # In every case, in the answer to a challenge as well.
    invited = User(state)
    invited.administered("admin_create_user", TemporaryPassword=WRONG, MessageAction="SUPPRESS")
    challenge = invited.enters(WRONG)
    expect(challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED", "a challenge")
    responses = {"USERNAME": invited.email.upper(), "NEW_PASSWORD": invited.password}
    answer = {"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenge["Session"], "ChallengeResponses": responses}
    invited.asks("RespondToAuthChallenge", answer)
    invited.log_in()


@scene
def revoked_sessions_stay_revoked_after_a_refresh_at_cognito(state):
    user = User(state).signs_up()

    def refreshed(tokens):
        """Straight at Cognito, by both of its calls."""
        first = claims(tokens.access)
        time.sleep(1.1)  # `auth_time` is of seconds.
        again = user.refresh(tokens)
        request = {"RefreshToken": tokens.refresh}
        other = user.asks("GetTokensFromRefreshToken", request)["AuthenticationResult"]["AccessToken"]
        for token in (again, other):
            now = claims(token)
            same = [now[name] == first[name] for name in ("auth_time", "origin_jti")]
            expect(all(same) and now["iat"] > first["iat"], "a refresh keeps both and is issued now")
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
    user.cannot_refresh(stolen)
    user.asks("GetUser", {"AccessToken": thief}, "NotAuthorizedException")
    for token in refreshed(kept):
        user.call(token, 200)


@scene
def direct_cognito_calls_do_not_restore_a_revoked_session(state):
    user, thief = User(state).signs_up(), User(state)
    stolen, other = user.sign_in(), user.sign_in()
    user.log_out(other.access, {"scope": "others"}, 200)
    # Cognito does not know of it: docs/tokens.md, "What Cognito keeps alive".
    access = user.refresh(stolen)
    theft = {"AccessToken": access}
    user.asks("GetUser", theft)
    user.asks("UpdateUserAttributes", theft | {"UserAttributes": [{"Name": "email", "Value": thief.email}]})
    user.asks("AssociateSoftwareToken", theft)
    user.call(access, 401)
    user.call(user.refresh(stolen), 401)
    user.asks("VerifyUserAttribute", theft | {"AttributeName": "email", "Code": thief.code_in_mail()})
    user.call(user.refresh(stolen), 401)
    passwords = {"PreviousPassword": user.password, "ProposedPassword": WRONG}
    user.asks("ChangePassword", theft | passwords)
    user.call(user.refresh(stolen), 401)
    user.call(other.access, 200)
    # CloudTrail tells of the change, which takes back what `others` spared.
    user.told_by_cloudtrail("ChangePassword", claims(access)["sub"])
    user.refused_soon(other.access)
    user.call(user.refresh(stolen), 401)


@scene
def calls_per_user_and_hour_are_limited(state):
    domain = "limit.example"
    play_by(state, domain, limit=2)
    user, other = User(state, domain).signs_up(confirmed=False), User(state, domain).signs_up(confirmed=False)
    resend = {"Username": user.email}
    user.asks("ResendConfirmationCode", resend)
    user.asks("ResendConfirmationCode", resend)
    mails = len(user.mails())
    user.asks("ResendConfirmationCode", resend, "LimitExceededException")
    expect(len(user.mails()) == mails, "and no mail")
    # Each user, and each kind of call, has its own.
    other.asks("ResendConfirmationCode", {"Username": other.email})
    wrong = {"Username": user.email, "ConfirmationCode": "000000"}
    user.asks("ConfirmSignUp", wrong, "CodeMismatchException")
    user.asks("ConfirmSignUp", wrong, "CodeMismatchException")
    user.asks("ConfirmSignUp", wrong | {"ConfirmationCode": user.code_in_mail()}, "LimitExceededException")


@scene
def managed_rules_apply_to_all_users_or_a_domain(state):
    for rules in ({"limit": "two"}, {"unconfirmed": "sometimes"}, {"other": 1}):
        try:
            play_by(state, "rule.example", **rules)
        except urllib.error.HTTPError as error:
            expect(error.code == 400, "refused")
        else:
            raise BrokenPromise(f"{rules} is taken")
    # Those of the environment hold for all users, and those of a domain come first.
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
        SCENES[name](json.loads(os.environ["GATEHOUSE_STACK"]))
        print(f"{name}: as AWS says.")
