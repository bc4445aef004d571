#!/usr/bin/env python3
"""Checks on a deployed stack what no emulator can prove. docs/live-checks.md describes each check's consequence.

    live_checks.py [--config NAME] [--stack NAME --region REGION] [--wait MINUTES] [--load] [--only ID ...]

Reads, and acts with temporary users only, which are deleted at the end. --wait is the time to wait for CloudTrail's
records, in minutes (15; 0 skips them). --load sends 120 sign-ins at once, to see them throttled.
The exit status is 1 if a check failed; UNKNOWN is not a failure.
"""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import secrets
import signal
import time
import urllib.parse

import botocore.exceptions

import account
import smoke
import target

PASS, FAIL, UNKNOWN = "PASS", "FAIL", "UNKNOWN"
CHECKS = {}
# Calls whose records must name the user, because user-events acts on them.
RECORDED = [
    "RevokeToken",
    "GlobalSignOut",
    "ChangePassword",
    "AdminSetUserPassword",
    "AdminUserGlobalSignOut",
    "AdminAddUserToGroup",
    "AdminRemoveUserFromGroup",
    "AdminDisableUser",
    "AdminEnableUser",
    "AdminResetUserPassword",
    "AdminDeleteUser",
]
THROTTLED = ["signup", "resend", "login", "challenge", "forgot-password", "confirm-forgot-password"]


def check(identifier, what):
    """Registers a function as a check; it returns a verdict and an observation."""

    def register(function):
        CHECKS[identifier] = (what, function)
        return function

    return register


def main(arguments):
    stack = target.of(arguments, "live-checks", extend)
    signal.signal(signal.SIGTERM, smoke.interrupted)
    with contextlib.ExitStack() as cleanup:
        results = run(Live(stack, cleanup), stack.options.only)
    counts = {verdict: [one for one, (found, _) in results.items() if found == verdict] for verdict in (PASS, FAIL, UNKNOWN)}
    print(", ".join(f"{len(found)} {verdict}" for verdict, found in counts.items()) + ". docs/live-checks.md describes the consequences.")
    return 1 if counts[FAIL] else 0


def extend(made):
    made.add_argument("--wait", type=float, default=15)
    made.add_argument("--load", action="store_true")
    made.add_argument("--only", nargs="*", default=[])


def run(live, only=()):
    """Every check, or those of `only`. A check that raises an error is UNKNOWN."""
    results = {}
    for identifier, (what, function) in CHECKS.items():
        if only and identifier not in only:
            continue
        try:
            verdict, seen = function(live)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, account.Problem) as error:
            verdict, seen = UNKNOWN, f"{account.code_of(error) or type(error).__name__}: {error}"
        except (KeyError, ValueError, AttributeError) as error:
            verdict, seen = UNKNOWN, f"unexpected response ({type(error).__name__})"
        results[identifier] = (verdict, seen)
        print(f"{verdict:8}{identifier:18}{what}: {seen}", flush=True)
    return results


class Live:
    """The stack under test, and the temporary users that the checks share."""

    def __init__(self, stack, cleanup):
        self.stack = stack
        self.cleanup = cleanup
        self.cognito = stack.client("cognito-idp")
        self.pool = stack.output("UserPoolId")
        self.client_id = stack.output("AppClientId")
        self.stage = stack.parameters.get("StageName", "prod")

    def user(self):
        """A confirmed user. Its email goes to SES's simulator, which does not affect the sender's reputation."""
        user = smoke.ThrowawayUser(self.stack)
        user.email = simulated_address()
        return self.cleanup.enter_context(user)

    def sign_in(self, name, password):
        """Tokens from Cognito itself."""
        parameters = {"USERNAME": name, "PASSWORD": password}
        return self.authenticate("USER_PASSWORD_AUTH", parameters)

    def refresh(self, token):
        return self.authenticate("REFRESH_TOKEN_AUTH", {"REFRESH_TOKEN": token})

    def authenticate(self, flow, parameters):
        answer = self.cognito.initiate_auth(ClientId=self.client_id, AuthFlow=flow, AuthParameters=parameters)
        return answer["AuthenticationResult"]

    def refusal(self, function, *arguments, **named):
        """The error code of a call; empty if it succeeds."""
        try:
            function(*arguments, **named)
        except botocore.exceptions.ClientError as error:
            return account.code_of(error)
        return ""

    def call(self, method, path, headers=None, body=None):
        return smoke.Answer.to(self.stack.api() + path, method, headers or {}, body)


def simulated_address():
    return f"success+gatehouse-{secrets.token_hex(8)}@simulator.amazonses.com"


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def verdict(holds):
    return PASS if holds else FAIL


@check("D2", "the throttles of the sign-in routes are on their methods")
def throttles(live):
    settings = live.stack.client("apigateway").get_stage(restApiId=live.stack.output("ApiId"), stageName=live.stage)["methodSettings"]
    missing = [route for route in THROTTLED if not is_throttled(settings, route)]
    return verdict(not missing), f"not on {', '.join(missing)}" if missing else f"on {len(THROTTLED)} methods"


def is_throttled(settings, route):
    """The key is <path>/<verb>, the path with ~1 for each slash. A key with plain slashes applies to no method."""
    keys = (f"~1auth~1{route}/POST", f"auth~1{route}/POST", f"/~1auth~1{route}/POST")
    everywhere = settings.get("*/*", {}).get("throttlingRateLimit", float("inf"))
    return any(settings[key].get("throttlingRateLimit", everywhere) < everywhere for key in keys if key in settings)


@check("D2-load", "120 sign-ins at once are throttled (--load)")
def load(live):
    if not live.stack.options.load:
        return UNKNOWN, "not asked: make live-checks LOAD=1"
    with concurrent.futures.ThreadPoolExecutor(120) as pool:
        body = {"email": "unknown@example.com", "password": "wrong-password"}
        answers = list(pool.map(lambda _: live.call("POST", "/auth/login", body=body), range(120)))
    # The functions refuse repeated attempts too; theirs are problem documents with a code.
    refused = sum(answer.status == 429 and "code" not in answer.body for answer in answers)
    return verdict(refused), f"{refused} of 120 refused with 429 by API Gateway"


@check("D3", "there is one stage only")
def stages(live):
    found = live.stack.client("apigateway").get_stages(restApiId=live.stack.output("ApiId"))["item"]
    names = sorted(one["stageName"] for one in found)
    return verdict(names == [live.stage]), ", ".join(names)


@check("D4", "the deployed API has the parameters of the last update")
def deployed(live):
    origin = live.stack.parameters.get("AllowedOrigin", "")
    headers = {"origin": origin, "access-control-request-method": "POST"}
    told = live.call("OPTIONS", "/auth/login", headers).headers.get("access-control-allow-origin", "")
    return verdict(told == origin), f"pages of {told or 'no origin'} may call, AllowedOrigin is {origin}"


@check("alias", "API Gateway invokes the authorizer with the code and the configuration of the last update")
def alias(live):
    authorizers = live.stack.client("apigateway").get_authorizers(restApiId=live.stack.output("ApiId"))["items"]
    invoked = {one["name"]: one["authorizerUri"].partition("/functions/")[2].removesuffix("/invocations") for one in authorizers}
    arn = live.stack.outputs.get("AuthorizerAlias")
    if not arn:
        # arn:aws:lambda:<region>:<account>:function:<name>, and no qualifier.
        others = [name for name, function in invoked.items() if function.count(":") != 6]
        return verdict(authorizers and not others), f"no alias; a version is invoked by: {', '.join(others) or '-'}"
    function, _, name = arn.rpartition(":")
    others = [one for one, function in invoked.items() if function != arn]
    functions = live.stack.client("lambda")
    version = functions.get_function_configuration(FunctionName=function, Qualifier=name)
    latest = functions.get_function_configuration(FunctionName=function)
    kept = ("CodeSha256", "Environment", "Layers", "Architectures", "MemorySize", "Timeout")
    stale = [one for one in kept if without_state(version.get(one)) != without_state(latest.get(one))]
    seen = f"version {version['Version']}; not by the alias: {', '.join(others) or '-'}; stale: {', '.join(stale) or '-'}"
    return verdict(authorizers and not others and not stale), seen


def without_state(value):
    """A layer's size and signature are no configuration."""
    return [one["Arn"] for one in value] if value and isinstance(value, list) and isinstance(value[0], dict) else value


@check("D7-trail", "a trail logs management events in this region")
def trail(live):
    client = live.stack.client("cloudtrail")
    trails = client.describe_trails(includeShadowTrails=True)["trailList"]
    logging = [one["Name"] for one in trails if client.get_trail_status(Name=one["TrailARN"])["IsLogging"]]
    if live.stack.parameters.get("UserEvents", "true") != "true":
        return UNKNOWN, "UserEvents is off"
    return verdict(logging), ", ".join(logging) or "none: user-events receives no events"


@check("D29", "a refusal of the authorizer has WWW-Authenticate")
def challenge(live):
    answer = live.call("GET", "/whoami")
    held = answer.headers.get("www-authenticate")
    remapped = live.call("POST", "/auth/logout", body={}).headers
    function = "kept" if remapped.get("www-authenticate") else "renamed" if remapped.get("x-amzn-remapped-www-authenticate") else "absent"
    return verdict(answer.status == 401 and held), f"{answer.status}, {held or 'no header'}; a function's own is {function}"


@check("refresh", "a refreshed token keeps origin_jti and auth_time")
def refreshed(live):
    user = live.user()
    tokens = live.sign_in(user.email, user.password)
    time.sleep(1.1)
    before, after = claims(tokens["AccessToken"]), claims(live.refresh(tokens["RefreshToken"])["AccessToken"])
    kept = {name: before.get(name) == after.get(name) and name in after for name in ("origin_jti", "auth_time")}
    changed = [name for name, same in kept.items() if not same]
    return verdict(not changed), f"changed: {', '.join(changed)}" if changed else f"kept; jti {'new' if before['jti'] != after['jti'] else 'kept'}"


@check("session-id", "Cognito's own SessionId is origin_jti")
def session_id(live):
    if not hasattr(live.cognito, "admin_list_user_sessions"):
        return UNKNOWN, "this boto3 has no AdminListUserSessions: see the command"
    user = live.user()
    token = claims(live.sign_in(user.email, user.password)["AccessToken"])
    sessions = live.cognito.admin_list_user_sessions(UserPoolId=live.pool, Username=user.email).get("Sessions", [])
    if not sessions:
        return UNKNOWN, "session tracking is off"
    ids = [one.get("SessionId") for one in sessions]
    return verdict(token.get("origin_jti") in ids), "equal" if token.get("origin_jti") in ids else "another value"


@check("password-change", "a changed password does not revoke Cognito's refresh tokens, as docs/tokens.md says")
def password_change(live):
    user = live.user()
    first, second = live.sign_in(user.email, user.password), live.sign_in(user.email, user.password)
    changed = user.password + "-2"
    live.cognito.change_password(PreviousPassword=user.password, ProposedPassword=changed, AccessToken=first["AccessToken"])
    refused = live.refusal(live.refresh, second["RefreshToken"])
    return verdict(not refused), f"refused: {refused}" if refused else "the other session still refreshes"


@check("reset-required", "a sign-in of a user in RESET_REQUIRED gets the same response as an unknown user")
def reset_required(live):
    user = live.user()
    live.cognito.admin_reset_user_password(UserPoolId=live.pool, Username=user.email)
    right = live.refusal(live.sign_in, user.email, user.password)
    wrong = live.refusal(live.sign_in, user.email, "Wrong-" + user.password)
    # A response unlike that to an unknown name would reveal that the account exists.
    unknown = live.refusal(live.sign_in, simulated_address(), user.password)
    return verdict(wrong == unknown), f"right password {right}, wrong {wrong}, unknown user {unknown}"


@check("unconfirmed", "a wrong password of an unconfirmed user is refused as any wrong password")
def unconfirmed(live):
    user = smoke.ThrowawayUser(live.stack)
    user.email = simulated_address()
    live.cognito.sign_up(
        ClientId=live.client_id,
        Username=user.email,
        Password=user.password,
        UserAttributes=[{"Name": "email", "Value": user.email}],
    )
    live.cleanup.callback(user.delete)
    wrong = live.refusal(live.sign_in, user.email, "Wrong-" + user.password)
    right = live.refusal(live.sign_in, user.email, user.password)
    return verdict(wrong == "NotAuthorizedException"), f"wrong password {wrong}, right {right}"


@check("code-first", "a reset with a bad password does not reveal whether the user exists")
def code_first(live):
    user = live.user()
    told = []
    for name in (user.email, simulated_address()):
        request = {"ClientId": live.client_id, "Username": name, "ConfirmationCode": "000000", "Password": "x"}
        told.append(live.refusal(live.cognito.confirm_forgot_password, **request))
    return verdict(told[0] == told[1]), f"known user {told[0]}, unknown user {told[1]}"


@check("encoded-path", "an encoded `..` stays within its path parameter")
def encoded_path(live):
    user = live.user()
    token = live.sign_in(user.email, user.password)["AccessToken"]
    seen = {}
    for path in ("/auth/sessions/..%2f..%2fwhoami", "/auth/sessions/%2e%2e/%2e%2e/whoami", "/auth/../whoami"):
        seen[path] = raw(live.stack.api() + path, token)
    escaped = [path for path, (status, backend) in seen.items() if backend]
    return verdict(not escaped), ", ".join(f"{path} {status}" for path, (status, _) in seen.items())


def raw(url, token):
    """GET of a path that no library normalises: the status, and whether whoami responded."""
    parts = urllib.parse.urlsplit(url)
    made = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = made(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path, headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, b"principalId" in answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise account.Problem(f"no response: {error}") from None
    finally:
        connection.close()


@check("D41", "the app client can write each attribute that a provider maps")
def mapped_attributes(live):
    providers = live.cognito.list_identity_providers(UserPoolId=live.pool, MaxResults=60)["Providers"]
    if not providers:
        return UNKNOWN, "the pool has no identity provider"
    client = live.cognito.describe_user_pool_client(UserPoolId=live.pool, ClientId=live.client_id)["UserPoolClient"]
    mapped = set()
    for one in providers:
        described = live.cognito.describe_identity_provider(UserPoolId=live.pool, ProviderName=one["ProviderName"])
        mapped |= set(described["IdentityProvider"].get("AttributeMapping", {})) - {"username"}
    writable = client.get("WriteAttributes")
    missing = mapped - set(writable) if writable else set()
    if missing == {"email_verified"}:
        return UNKNOWN, "email_verified is mapped and not writable: sign in through the provider once"
    return verdict(not missing), f"mapped, not writable: {', '.join(sorted(missing))}" if missing else "all"


@check("machine", "a machine's token has no user name and no origin_jti, and its client's id as sub")
def machine(live):
    domain, client_id = live.stack.outputs.get("HostedUiUrl"), live.stack.outputs.get("MachineClientId")
    if not domain or not client_id:
        return UNKNOWN, "no MachineClient with a HostedUiDomainPrefix"
    client = live.cognito.describe_user_pool_client(UserPoolId=live.pool, ClientId=client_id)["UserPoolClient"]
    secret = base64.b64encode(f"{client_id}:{client['ClientSecret']}".encode()).decode()
    form = urllib.parse.urlencode({"grant_type": "client_credentials"})
    connection = http.client.HTTPSConnection(urllib.parse.urlsplit(domain).netloc, timeout=30)
    with contextlib.closing(connection):
        headers = {"authorization": f"Basic {secret}", "content-type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/oauth2/token", form, headers)
        token = claims(json.loads(connection.getresponse().read())["access_token"])
    unlike = [name for name in ("username", "origin_jti", "cognito:groups") if name in token]
    unlike += [] if token.get("sub") == client_id else ["sub"]
    return verdict(not unlike), f"unexpected: {', '.join(unlike)}" if unlike else "as expected"


@check("D7-records", "CloudTrail's records of calls to the pool name the user")
def records(live):
    if not live.stack.options.wait:
        return UNKNOWN, "skipped: WAIT is 0"
    user = live.user()
    began = time.time()
    made = provoke(live, user)
    found = {}
    deadline = time.monotonic() + live.stack.options.wait * 60
    client = live.stack.client("cloudtrail")
    while True:
        for name in made:
            if name not in found and (record := recorded(client, name, user.sub, live, began)):
                found[name] = record
        if len(found) == len(made) or time.monotonic() >= deadline:
            break
        time.sleep(20)
    nameless = [name for name, record in found.items() if not names_user(record, user.sub)]
    late = [name for name in made if name not in found]
    empty = [name for name, record in found.items() if record.get("errorCode") == ""]
    seen = f"{len(found) - len(nameless)} of {len(made)} by sub; without: {', '.join(nameless) or '-'}; "
    seen += f"not yet there: {', '.join(late) or '-'}; empty errorCode: {', '.join(empty) or '-'}"
    return (FAIL if nameless else UNKNOWN if late else PASS), seen


def provoke(live, user):
    """Makes one call of each kind, in an order in which each succeeds. Deletes the user at the end."""
    names = {"UserPoolId": live.pool, "Username": user.email}
    cognito = live.cognito
    tokens = [live.sign_in(user.email, user.password) for _ in range(3)]
    cognito.revoke_token(ClientId=live.client_id, Token=tokens[0]["RefreshToken"])
    changed = user.password + "-2"
    cognito.change_password(PreviousPassword=user.password, ProposedPassword=changed, AccessToken=tokens[1]["AccessToken"])
    cognito.global_sign_out(AccessToken=tokens[2]["AccessToken"])
    cognito.admin_set_user_password(**names, Password=user.password, Permanent=True)
    cognito.admin_user_global_sign_out(**names)
    made = ["RevokeToken", "ChangePassword", "GlobalSignOut", "AdminSetUserPassword", "AdminUserGlobalSignOut"]
    if groups := cognito.list_groups(UserPoolId=live.pool, Limit=60)["Groups"]:
        # The group with the fewest permissions, for a user that is disabled at once.
        group = max(groups, key=lambda one: one.get("Precedence", 0))["GroupName"]
        cognito.admin_add_user_to_group(**names, GroupName=group)
        cognito.admin_remove_user_from_group(**names, GroupName=group)
        made += ["AdminAddUserToGroup", "AdminRemoveUserFromGroup"]
    cognito.admin_disable_user(**names)
    cognito.admin_enable_user(**names)
    cognito.admin_reset_user_password(**names)
    cognito.admin_delete_user(**names)
    return made + ["AdminDisableUser", "AdminEnableUser", "AdminResetUserPassword", "AdminDeleteUser"]


def recorded(client, name, sub, live, began):
    """The record of this script's call of that name: by sub, else by pool, else the only one since it began."""
    pages = client.get_paginator("lookup_events").paginate(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}], StartTime=began - 5
    )
    events = [json.loads(one["CloudTrailEvent"]) for page in pages for one in page["Events"]]
    ours = [one for one in events if names_user(one, sub)]
    ours += [one for one in events if live.pool in json.dumps(one.get("requestParameters"))]
    ours += events if len(events) == 1 else []
    return next(iter(ours), None)


def names_user(record, sub):
    return (record.get("additionalEventData") or {}).get("sub") == sub


if __name__ == "__main__":
    account.run(main)
