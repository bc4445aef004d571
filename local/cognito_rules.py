"""Corrects MiniStack's Cognito, inside MiniStack's process, where it differs from AWS's texts.
`install()` replaces functions of `ministack.services.cognito`; the replacements call the originals.

Where the texts disagree, a rule chooses between them: for all users by the environment variable
`GATEHOUSE_COGNITO_RULES` of `stack.py`, or for the users of one e-mail domain by
`PUT /rules {"domain": "one.example", "rules": {"limit": 2}}`, as concurrent tests do.

| rule | value | Cognito's behaviour |
|---|---|---|
| `unconfirmed` | `any-password` | reveals that a user is unconfirmed after any password (amazon-cognito-identity-js#288, amplify-js#11209: "expected behavior") |
| | `right-password` | responds to a wrong password with NotAuthorizedException (asked for in aws-sdk-js#4608) |
| `reset_required` | `right-password` | reveals that a reset is required only after the right password (MiniStack's authors) |
| | `any-password` | after any password (AWS, `AdminResetUserPassword`: "If a user tries to sign in after the API is called") |
| | `hidden` | never, if user existence errors are prevented (AWS, "Managing user existence error responses": "Imported users") |
| `no_medium` | `simulated` | responds to ForgotPassword as if a code were sent, if user existence errors are prevented (AWS, the same page: "ForgotPassword") |
| | `error` | responds with InvalidParameterException (AWS, `ForgotPassword`; that page as of 2026 says that the two alternate) |
| `alias_exists` | `verify` | rejects the address of another user when it is verified (AWS, `VerifyUserAttribute`) |
| | `update` | when the change is requested (aws-sdk-net#4387) |
| `pre_sign_up_on_migration` | none | doesn't call PreSignUp for migrated users: AWS's texts name no such call |
| | a trigger source | calls it with that source (foxy.io, "Using Migration and Pre-Signup Triggers with AWS Cognito") |
| `limit` | none | allows a user the number of calls per hour that AWS documents ("Quotas in Amazon Cognito") |
| | a number | allows that many calls of each kind |
"""

import json
import os
import threading
import time

from ministack.services import cognito

CHOICES = {
    "unconfirmed": ("any-password", "right-password"),
    "reset_required": ("right-password", "any-password", "hidden"),
    "no_medium": ("simulated", "error"),
    "alias_exists": ("verify", "update"),
    "pre_sign_up_on_migration": (None, "PreSignUp_SignUp", "PreSignUp_AdminCreateUser", "PreSignUp_UserMigration"),
}
# Calls per user and hour. For ForgotPassword with ConfirmForgotPassword AWS says "5-20, depending on risk".
# Source: AWS, "Quotas in Amazon Cognito", codes and security.
LIMITS = {
    "ForgotPassword": 20,
    "ConfirmForgotPassword": 20,
    "ResendConfirmationCode": 5,
    "ConfirmSignUp": 15,
    "ChangePassword": 5,
    "GetUserAttributeVerificationCode": 5,
    "VerifyUserAttribute": 15,
}
HOUR = 3600
# The code for a new address; MiniStack's codes for sign-ups and resets are constant too.
CODE = "246810"
# A response header that tells the proxy which email to send. The proxy removes it.
MAIL = "X-Gatehouse-Mail"


class Rules:
    """The chosen readings: per e-mail domain, and without a domain for all other users."""

    def __init__(self, text):
        self.by_domain = {"": {name: values[0] for name, values in CHOICES.items()} | {"limit": None}}
        self.set("", json.loads(text or "{}"))

    def set(self, domain, rules):
        for name, value in rules.items():
            limit = name == "limit" and (value is None or isinstance(value, int))
            if not limit and value not in CHOICES.get(name, ()):
                raise ValueError(f"no such rule: {name}={value}")
        self.by_domain[domain] = self.by_domain.get(domain, {}) | rules

    def of(self, address):
        return self.by_domain[""] | self.by_domain.get((address or "").rpartition("@")[2].lower(), {})


RULES = Rules(os.environ.get("GATEHOUSE_COGNITO_RULES"))


def install():
    """Replaces the functions that differ from AWS's texts."""
    keep_auth_time()
    ignore_case()
    lower_case_names_of_identities()
    tell_states()
    call_pre_sign_up_for_invitations()
    migrate_any_password()
    recover_by_verified_addresses()
    verify_before_update()
    count_calls()


# The original functions.
original = type("Original", (), {name: staticmethod(getattr(cognito, name)) for name in (
    "_signed_jwt", "_resolve_user", "_initiate_auth", "_initiate_user_srp_auth", "_respond_to_auth_challenge",
    "_password_auth_result", "_sign_up", "_forgot_password", "_confirmation_code_error", "_resend_confirmation_code",
    "_admin_create_user", "_admin_set_user_password", "_admin_reset_user_password", "_admin_update_user_attributes", "_update_user_attributes", "_run_idp_handler",
    "_dispatch_idp", "_build_presignup_event",
)})


def error(kind, message):
    return cognito.error_response_json(kind, message, 400)


def denied():
    return error("NotAuthorizedException", "Incorrect username or password.")


def attributes_of(user):
    return cognito._attr_list_to_dict(user.get("Attributes", []))


def rules_of(user):
    return RULES.of(attributes_of(user).get("email"))


def pool_and_user(data, name):
    """The pool of an app client and the user of a name, or None."""
    pool, pool_id = cognito._pool_for_client(data.get("ClientId"))
    user = cognito._resolve_user(pool, name)[0] if pool and name else None
    return pool, pool_id, user


def hides(pool, data):
    return cognito._hides_user_existence(pool, data.get("ClientId"))


def simulated(name):
    return cognito._code_delivery_response(cognito._masked_destination(name))


def with_mail(answer, source, user, code, to=None):
    """The response, with the header that tells the proxy which email to send."""
    status, headers, body = answer
    if status != 200:
        return answer
    to = to or attributes_of(user).get("email")
    mail = {"source": source, "name": user["Username"], "code": code, "to": to}
    return status, headers | {MAIL: json.dumps(mail)}, body


# --- Tokens ---


def keep_auth_time():
    """A refresh keeps `auth_time`, the time of the sign-in, as it keeps `origin_jti`.
    Source: AWS, "Understanding the access token": `auth_time`, "when your user completed authentication"."""
    sign_ins = {}

    def signed_jwt(claims, pool_id="", use=""):
        session = claims.get("origin_jti")
        if session and "auth_time" in claims:
            claims = claims | {"auth_time": sign_ins.setdefault(session, claims["auth_time"])}
        return original._signed_jwt(claims, pool_id, use)

    cognito._signed_jwt = signed_jwt


# --- Names ---


def ignore_case():
    """In a case-insensitive pool a name in any case finds the user, in answers to challenges as well.
    Source: AWS, `UsernameConfigurationType`: "username, email alias, or preferred username alias"."""

    def resolve_user(pool, username):
        user, failure = original._resolve_user(pool, username)
        cases = pool.get("UsernameConfiguration", {}).get("CaseSensitive", True)
        if user or cases or not isinstance(username, str):
            return user, failure
        user, _ = original._resolve_user(pool, username.lower())
        return (user, None) if user else (None, failure)

    cognito._resolve_user = resolve_user


def lower_case_names_of_identities():
    """In a case-insensitive pool PreSignUp gets the name of a provider's user in lower case.
    Source: AWS, "User pool case sensitivity"; aws-amplify/amplify-js#13844."""

    def build_presignup_event(pool_id, username, trigger_source, **more):
        cases = cognito._user_pools[pool_id].get("UsernameConfiguration", {}).get("CaseSensitive", True)
        if trigger_source == "PreSignUp_ExternalProvider" and not cases:
            username = username.lower()
        names = {"pool_id": pool_id, "username": username, "trigger_source": trigger_source}
        return original._build_presignup_event(**names, **more)

    cognito._build_presignup_event = build_presignup_event


# --- States ---


def tell_states():
    """Sign-in of users who are unconfirmed or have to reset the password: rules `unconfirmed` and
    `reset_required`."""

    def initiate_auth(data):
        parameters = data.get("AuthParameters") or {}
        pool, _, user = pool_and_user(data, parameters.get("USERNAME"))
        if not user or not user.get("Enabled", True):
            return original._initiate_auth(data)
        rules, status, flow = rules_of(user), user.get("UserStatus"), data.get("AuthFlow")
        if flow not in ("USER_PASSWORD_AUTH", "USER_SRP_AUTH"):
            return original._initiate_auth(data)
        wrong = flow == "USER_PASSWORD_AUTH" and parameters.get("PASSWORD") != user.get("_password")
        if status == "UNCONFIRMED" and rules["unconfirmed"] == "right-password" and wrong:
            return denied()
        if status == "RESET_REQUIRED" and rules["reset_required"] == "any-password":
            return cognito._password_reset_required()
        return hidden(original._initiate_auth(data), pool, data, rules)

    def initiate_user_srp_auth(pool, pool_id, client_id, parameters):
        user, _ = cognito._resolve_user(pool, parameters.get("USERNAME"))
        waits = user and user.get("UserStatus") == "UNCONFIRMED" and user.get("Enabled", True)
        if not waits or rules_of(user)["unconfirmed"] == "any-password":
            return original._initiate_user_srp_auth(pool, pool_id, client_id, parameters)
        name = user["Username"]
        token, session = cognito._create_challenge_session(pool_id, client_id, name)
        session["auth_flow"] = "USER_SRP_AUTH"
        challenge, session["srp"] = cognito._srp_challenge(pool_id, user, name, parameters["SRP_A"], token)
        return cognito.json_response({"ChallengeName": "PASSWORD_VERIFIER", "ChallengeParameters": challenge})

    def password_auth_result(pool, pool_id, client_id, user, username, *more, **named):
        if user.get("UserStatus") == "UNCONFIRMED":
            return error("UserNotConfirmedException", "User is not confirmed.")
        return original._password_auth_result(pool, pool_id, client_id, user, username, *more, **named)

    def respond_to_auth_challenge(data):
        name = (data.get("ChallengeResponses") or {}).get("USERNAME")
        pool, _, user = pool_and_user(data, name)
        answer = original._respond_to_auth_challenge(data)
        return hidden(answer, pool, data, rules_of(user)) if user else answer

    def hidden(answer, pool, data, rules):
        status, _, body = answer
        told = status != 200 and json.loads(body).get("__type", "").endswith("PasswordResetRequiredException")
        return denied() if told and rules["reset_required"] == "hidden" and hides(pool, data) else answer

    cognito._initiate_auth = initiate_auth
    cognito._initiate_user_srp_auth = initiate_user_srp_auth
    cognito._password_auth_result = password_auth_result
    cognito._respond_to_auth_challenge = respond_to_auth_challenge


# Usernames of running migrations: AdminCreateUser creates these users here, without an invitation.
MOVING = set()


def call_pre_sign_up_for_invitations():
    """AdminCreateUser calls PreSignUp, whose response it ignores unless it is an error.
    Source: AWS, "Pre sign-up Lambda trigger": `PreSignUp_AdminCreateUser`."""

    def admin_create_user(data):
        pool_id, name = data.get("UserPoolId"), data.get("Username")
        pool = cognito._user_pools.get(pool_id)
        invited = pool and isinstance(name, str) and name not in MOVING and data.get("MessageAction") != "RESEND"
        if invited and not cognito._resolve_user(pool, name)[0]:
            attributes = cognito._attr_list_to_dict(data.get("UserAttributes") or [])
            alias = cognito._username_alias_attribute(pool, name)
            if alias:
                attributes.setdefault(alias, name)
            # If addresses are aliases, Cognito generates the username.
            shown = cognito.new_uuid() if alias else name
            source = {"trigger_source": "PreSignUp_AdminCreateUser"}
            try:
                cognito._apply_presignup_trigger(pool_id, "CLIENT_ID_NOT_APPLICABLE", shown, attributes, **source)
            except cognito._PreSignUpRejected as refusal:
                return error("UserLambdaValidationException", f"PreSignUp failed with error {refusal}.")
        return original._admin_create_user(data)

    cognito._admin_create_user = admin_create_user


def migrate_any_password():
    """A migrated password need not meet the pool's policy.
    Source: AWS, "Migrate user Lambda trigger"."""

    def admin_set_user_password(data):
        pool = cognito._user_pools.get(data.get("UserPoolId"))
        user = cognito._resolve_user(pool, data["Username"])[0] if pool and data.get("Username") in MOVING else None
        if not user:
            return original._admin_set_user_password(data)
        user["_password"], user["UserStatus"] = data["Password"], "CONFIRMED"
        return cognito.json_response({})

    cognito._admin_set_user_password = admin_set_user_password


def recover_by_verified_addresses():
    """A code to reset a password goes only to a verified address of an enabled and confirmed user.
    Source: AWS, "Managing user existence error responses", `ForgotPassword`, `AdminResetUserPassword`; re:Post,
    "Why doesn't Amazon Cognito send the verification code ... with the ForgotPassword API?"."""

    def has_medium(user):
        return attributes_of(user).get("email_verified") == "true"

    def forgot_password(data):
        pool, _, user = pool_and_user(data, data.get("Username"))
        if not user:
            return original._forgot_password(data)
        if not user.get("Enabled", True):
            return simulated(data["Username"]) if hides(pool, data) else error("NotAuthorizedException", "User is disabled.")
        if not has_medium(user):
            if hides(pool, data) and rules_of(user)["no_medium"] == "simulated":
                return simulated(data["Username"])
            return error(
                "InvalidParameterException",
                "Cannot reset password for the user as there is no registered/verified email or phone_number",
            )
        if user.get("UserStatus") not in ("CONFIRMED", "RESET_REQUIRED"):
            return error("NotAuthorizedException", "User password cannot be reset in the current state.")
        answer = original._forgot_password(data)
        return with_mail(answer, "CustomMessage_ForgotPassword", user, user["_reset_code"])

    def confirmation_code_error(action, data):
        pool, _, user = pool_and_user(data, data.get("Username"))
        disabled = action == "ConfirmForgotPassword" and user and not user.get("Enabled", True)
        if disabled and hides(pool, data):
            return error("CodeMismatchException", "Invalid verification code provided, please try again.")
        return original._confirmation_code_error(action, data)

    def admin_reset_user_password(data):
        answer = original._admin_reset_user_password(data)
        pool = cognito._user_pools.get(data.get("UserPoolId"))
        user = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
        if user and not has_medium(user):
            user.pop("_reset_code", None)
        return answer

    def resend_confirmation_code(data):
        pool, _, user = pool_and_user(data, data.get("Username"))
        if not user:
            return original._resend_confirmation_code(data)
        if not user.get("Enabled", True) and hides(pool, data):
            return simulated(data["Username"])
        if user.get("UserStatus") != "UNCONFIRMED":
            return error("InvalidParameterException", "User is already confirmed.")
        answer = original._resend_confirmation_code(data)
        return with_mail(answer, "CustomMessage_ResendCode", user, user["_confirmation_code"])

    def sign_up(data):
        forbidden = write_error(cognito._pool_for_client(data.get("ClientId"))[0], data.get("ClientId"), data)
        answer = forbidden or original._sign_up(data)
        user = pool_and_user(data, data.get("Username"))[2] if answer[0] == 200 else None
        if not user or "_confirmation_code" not in user or user["UserStatus"] != "UNCONFIRMED":
            return answer
        return with_mail(answer, "CustomMessage_SignUp", user, user["_confirmation_code"])

    cognito._forgot_password = forgot_password
    cognito._confirmation_code_error = confirmation_code_error
    cognito._admin_reset_user_password = admin_reset_user_password
    cognito._resend_confirmation_code = resend_confirmation_code
    cognito._sign_up = sign_up


# --- Attributes ---


def write_error(pool, client_id, data):
    """An app client writes only its `WriteAttributes`, and no client can mark an address as verified.
    Source: AWS, "Working with user attributes": "Attribute permissions and scopes"."""
    client = ((pool or {}).get("_clients") or {}).get(client_id) or {}
    allowed = client.get("WriteAttributes") or None
    for attribute in data.get("UserAttributes") or []:
        name = attribute.get("Name")
        if name in ("email_verified", "phone_number_verified") or allowed and name not in allowed:
            return error("NotAuthorizedException", "A client attempted to write unauthorized attribute")
    return None


def verify_before_update():
    """A new address is pending until its code is confirmed, if the pool is configured so; else it replaces the old one
    at once, unverified.
    Source: AWS, `UserAttributeUpdateSettingsType`, `VerifyUserAttribute` ("updates the affected attribute to its
    pending value"), `GetUserAttributeVerificationCode`; re:Post, "How do I troubleshoot issues with an Amazon
    Cognito user's email_verified attribute?"; `AliasExistsException`."""

    def waits(pool):
        settings = pool.get("UserAttributeUpdateSettings") or {}
        return "email" in (settings.get("AttributesRequireVerificationBeforeUpdate") or [])

    def taken(pool, user, address):
        owner, _ = cognito._resolve_user(pool, address)
        other = owner is not None and owner is not user and "email" in aliases(pool)
        return error("AliasExistsException", "An account with the given email already exists.") if other else None

    def aliases(pool):
        return {*(pool.get("UsernameAttributes") or []), *(pool.get("AliasAttributes") or [])}

    def signed_in(data):
        user, pool = cognito._user_pool_for_access_token(data.get("AccessToken"))
        failure = None if user else error("NotAuthorizedException", "Invalid access token.")
        return user, pool, failure

    def delivery(address):
        return {"Destination": cognito._masked_destination(address), "DeliveryMedium": "EMAIL", "AttributeName": "email"}

    def without_email(data):
        return [one for one in data.get("UserAttributes") or [] if one.get("Name") != "email"]

    def ask_for_code(user, address):
        user["_pending_email"], user["_email_code"] = address, CODE

    def update_user_attributes(data):
        user, pool, failure = signed_in(data)
        client_id = cognito._token_claims(data.get("AccessToken")).get("client_id")
        failure = failure or write_error(pool, client_id, data)
        if failure:
            return failure
        address = cognito._attr_list_to_dict(data.get("UserAttributes") or []).get("email")
        if address is None:
            return original._update_user_attributes(data)
        refused = taken(pool, user, address)
        if refused and (rules_of(user)["alias_exists"] == "update" or not waits(pool)):
            return refused
        changed = without_email(data)
        if not waits(pool):
            changed = [*data["UserAttributes"], {"Name": "email_verified", "Value": "false"}]
        original._update_user_attributes(data | {"UserAttributes": changed})
        if not waits(pool) and "email" not in (pool.get("AutoVerifiedAttributes") or []):
            return cognito.json_response({"CodeDeliveryDetailsList": []})
        ask_for_code(user, address)
        answer = cognito.json_response({"CodeDeliveryDetailsList": [delivery(address)]})
        return with_mail(answer, "CustomMessage_UpdateUserAttribute", user, CODE, address)

    def get_user_attribute_verification_code(data):
        user, _, failure = signed_in(data)
        address = user and (user.get("_pending_email") or attributes_of(user).get("email"))
        if failure or data.get("AttributeName") != "email" or not address:
            return failure or error("InvalidParameterException", "User has no attribute of that name to verify.")
        ask_for_code(user, address)
        answer = cognito.json_response({"CodeDeliveryDetails": delivery(address)})
        return with_mail(answer, "CustomMessage_VerifyUserAttribute", user, CODE, address)

    def verify_user_attribute(data):
        user, pool, failure = signed_in(data)
        if failure or data.get("AttributeName") != "email":
            return failure or error("InvalidParameterException", "Invalid attribute name.")
        address = user.get("_pending_email")
        failure = cognito._code_error(user.get("_email_code"), data.get("Code")) or taken(pool, user, address)
        if failure:
            return failure
        del user["_pending_email"], user["_email_code"]
        verified = cognito._dict_to_attr_list({"email": address, "email_verified": "true"})
        user["Attributes"] = cognito._merge_attributes(user["Attributes"], verified)
        user["UserLastModifiedDate"] = cognito._now_epoch()
        return cognito.json_response({})

    def admin_update_user_attributes(data):
        """With `email_verified` an administrator changes an address at once."""
        pool = cognito._user_pools.get(data.get("UserPoolId"))
        user = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
        changes = cognito._attr_list_to_dict(data.get("UserAttributes") or [])
        address = changes.get("email")
        if not user or address is None:
            return original._admin_update_user_attributes(data)
        at_once = changes.get("email_verified") == "true" or not waits(pool)
        refused = taken(pool, user, address)
        if refused and (at_once or rules_of(user)["alias_exists"] == "update"):
            return refused
        if at_once:
            unverified = cognito._dict_to_attr_list({"email_verified": "false"} | changes)
            return original._admin_update_user_attributes(data | {"UserAttributes": unverified})
        original._admin_update_user_attributes(data | {"UserAttributes": without_email(data)})
        ask_for_code(user, address)
        return with_mail(cognito.json_response({}), "CustomMessage_UpdateUserAttribute", user, CODE, address)

    more = {
        "GetUserAttributeVerificationCode": get_user_attribute_verification_code,
        "VerifyUserAttribute": verify_user_attribute,
    }

    async def dispatch_idp(action, data):
        if action not in more:
            return await original._dispatch_idp(action, data)
        return await cognito.run_reentrant(
            cognito._run_idp_handler, more[action], action, data, thread_name="ministack-cognito-trigger"
        )

    cognito._update_user_attributes = update_user_attributes
    cognito._admin_update_user_attributes = admin_update_user_attributes
    cognito._UNSIGNED_IDP_ACTIONS |= more.keys()
    cognito._dispatch_idp = dispatch_idp


# --- Limits ---


def count_calls():
    """A user has a number of calls of each kind per hour; further ones get LimitExceededException. AWS's text is
    about users: calls with unknown names are not counted.
    Source: AWS, "Quotas in Amazon Cognito"."""
    calls, lock = {}, threading.Lock()

    def run_idp_handler(handler, action, data):
        limit = LIMITS.get(action)
        user = limit and user_of(data)
        if user:
            chosen = rules_of(user)["limit"]
            limit = limit if chosen is None else chosen
            now = time.monotonic()
            with lock:
                recent = [at for at in calls.get((user["Username"], action), []) if at > now - HOUR]
                calls[(user["Username"], action)] = [*recent, now]
            if len(recent) >= limit:
                return error("LimitExceededException", "Attempt limit exceeded, please try after some time.")
        return original._run_idp_handler(handler, action, data)

    def user_of(data):
        if "AccessToken" in data:
            if cognito._access_token_error(data):
                return None
            return cognito._user_pool_for_access_token(data["AccessToken"])[0]
        return pool_and_user(data, data.get("Username"))[2]

    cognito._run_idp_handler = run_idp_handler
