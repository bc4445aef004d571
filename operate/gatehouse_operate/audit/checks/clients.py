"""Checks of a user pool's app clients."""

import json
import urllib.parse

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.facts import DEFAULT_FLOWS, STANDARD_ATTRIBUTES, signs_users_in, sounds_trusted
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of

check = subjects_of(lambda facts: facts.clients)
pools = subjects_of(lambda facts: [pool for pool in facts.pools if pool.detail and pool.client_ids is not None])
HOUR = 3600
DAY = 24 * HOUR
LONG = 90 * DAY
PASSWORD_FLOWS = {
    "ALLOW_USER_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_USER_SRP_AUTH",
    "USER_PASSWORD_AUTH",
}
ADMIN_FLOWS = {"ADMIN_NO_SRP_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"}
LEGACY_FLOWS = {
    "ADMIN_NO_SRP_AUTH": "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "CUSTOM_AUTH_FLOW_ONLY": "ALLOW_CUSTOM_AUTH",
    "USER_PASSWORD_AUTH": "ALLOW_USER_PASSWORD_AUTH",
}
SELF_SERVICE = "aws.cognito.signin.user.admin"
LOCAL = {"localhost", "127.0.0.1", "[::1]", "::1"}
# For Cognito an empty list of writable attributes is a missing one: every standard attribute.
WITHOUT = (
    f".WriteAttributes = ((if (.WriteAttributes // []) == [] then {json.dumps(STANDARD_ATTRIBUTES)} "
    'else .WriteAttributes end) - [{attribute}] | if . == [] then (["locale", "zoneinfo"] - [{attribute}])[:1] '
    "else . end)"
)
# Without the addresses. Cognito refuses a DefaultRedirectURI that is not in CallbackURLs.
REMOVED = (
    'with_entries(if .key == "CallbackURLs" or .key == "LogoutURLs" then .value -= {urls} else . end) '
    "| if [.DefaultRedirectURI] - {urls} == [] then del(.DefaultRedirectURI) else . end"
)


def replaced(other):
    """A change by jq: one address, wherever it stands, becomes another."""
    change = f"(if . == {{url}} then {other} else . end)"
    return (
        f'with_entries(if .key == "CallbackURLs" or .key == "LogoutURLs" then .value |= (map{change} | unique) '
        f'elif .key == "DefaultRedirectURI" then .value |= {change} else . end)'
    )


# A password of this length is out of reach of guessing at the rate that Cognito's own lockout allows.
GUESSABLE = 12


@check(
    "client-access-lifetime",
    MEDIUM,
    "Access tokens live longer than an hour",
    why="An access token cannot be taken back at Cognito: an API that only verifies it accepts it until it expires.",
    sources=("aws-access-tokens", "aws-revocation"),
    mend=mend.client('.AccessTokenValidity = 30 | .TokenValidityUnits.AccessToken = "minutes"'),
    breaks="Clients refresh more often.",
)
def access_lifetime(client, _):
    if (seconds := client.seconds("AccessToken")) > HOUR:
        yield f"Access tokens live {spoken(seconds)}."


@check(
    "client-id-lifetime",
    LOW,
    "ID tokens live longer than an hour",
    why="An ID token carries the user's attributes, and an identity pool exchanges it for AWS credentials.",
    sources=("aws-client-api", "aws-identity-flows"),
    mend=mend.client('.IdTokenValidity = 30 | .TokenValidityUnits.IdToken = "minutes"'),
    breaks="Clients refresh more often.",
)
def id_lifetime(client, _):
    if (seconds := client.seconds("IdToken")) > HOUR and not client.is_machine_only:
        yield f"ID tokens live {spoken(seconds)}."


@check(
    "client-refresh-lifetime",
    MEDIUM,
    "Refresh tokens live longer than a day",
    why="A refresh token taken from a browser is a session for as long as it lives. Cognito's default is 30 days.",
    sources=("aws-refresh", "aws-client-api", "rfc9700"),
    mend=mend.client('.RefreshTokenValidity = 8 | .TokenValidityUnits.RefreshToken = "hours"'),
    breaks="Users sign in again after that time. Sessions that exist keep their lifetime.",
)
def refresh_lifetime(client, _):
    seconds = client.seconds("RefreshToken")
    if seconds > DAY and not client.is_machine_only:
        severity = HIGH if seconds > LONG else None if client.is_public else LOW
        yield Hit(f"Refresh tokens live {spoken(seconds)}.", severity)


@check(
    "client-token-revocation",
    HIGH,
    "Tokens cannot be revoked",
    why="Without token revocation the tokens carry no origin_jti: no session can be revoked, here or at Cognito.",
    sources=("aws-revocation", "gatehouse-tokens"),
    mend=mend.client(".EnableTokenRevocation = true"),
    breaks="Nothing. Sessions from before stay without origin_jti until they end.",
)
def token_revocation(client, _):
    if not client.detail.get("EnableTokenRevocation") and not client.is_machine_only:
        yield "EnableTokenRevocation is off."


@check(
    "client-user-existence",
    MEDIUM,
    "Responses reveal which accounts exist",
    why="Sign-in and recovery answer UserNotFoundException for unknown names, which makes a list of accounts.",
    sources=("aws-errors", "hackingthecloud"),
    mend=mend.client('.PreventUserExistenceErrors = "ENABLED"'),
    breaks="Clients that show 'unknown user' get 'incorrect username or password'.",
)
def user_existence(client, _):
    if client.detail.get("PreventUserExistenceErrors", "LEGACY") != "ENABLED" and not client.is_machine_only:
        yield "PreventUserExistenceErrors is LEGACY."


@check(
    "client-writes-trusted",
    HIGH,
    "Users can write an attribute that applications trust",
    why="A signed-in user sets any writable attribute with the own access token, at Cognito's public API. Roles and "
    "tenants in such attributes were published as break-ins more than once.",
    sources=("aws-attributes", "truesec"),
    mend=mend.client(WITHOUT, "attribute"),
    breaks="The application sets the attribute by AdminUpdateUserAttributes. An identity provider cannot map it.",
)
def writes_trusted(client, facts):
    for attribute in sorted(client.writable):
        rule = claims_of(facts, client.pool.id).get(attribute)
        if attribute in facts.trusted:
            yield Hit(
                f"{attribute} is writable, and --trusted names it.", values={"attribute": attribute}, part=attribute
            )
        elif rule:
            yield Hit(
                f"{attribute} is writable, and {rule} decides by it.", values={"attribute": attribute}, part=attribute
            )
        elif attribute.startswith("custom:") and sounds_trusted(attribute):
            text = f"{attribute} is writable, and its name suggests that it decides something."
            yield Hit(text, values={"attribute": attribute}, part=attribute)


@check(
    "client-writes-custom",
    LOW,
    "Users can write custom attributes",
    why="Custom attributes usually hold what the application decided. The user can change them.",
    sources=("aws-attributes", "truesec"),
    mend=mend.client(".WriteAttributes = [<attributes that users may set>]"),
    breaks="The application sets other attributes by AdminUpdateUserAttributes.",
)
def writes_custom(client, facts):
    ruled = claims_of(facts, client.pool.id)
    found = [
        name
        for name in client.writable
        if name.startswith("custom:") and not sounds_trusted(name) and name not in facts.trusted and name not in ruled
    ]
    if found:
        yield f"Writable: {', '.join(sorted(found))}."


@check(
    "client-writes-everything",
    LOW,
    "Users can write every standard attribute",
    why="A client without WriteAttributes may write all standard attributes, email and phone_number included. The "
    "console used to list them all.",
    sources=("aws-attributes", "bedefended"),
    mend=mend.client('.WriteAttributes = ["email", "name"]'),
    breaks="Pages that set other attributes fail. Attributes that an identity provider maps must be in the list.",
)
def writes_everything(client, _):
    if client.is_machine_only:
        return
    if not client.detail.get("WriteAttributes"):
        yield "WriteAttributes is not set."
    elif set(STANDARD_ATTRIBUTES) <= set(client.writable):
        yield "WriteAttributes lists every standard attribute."


@check(
    "client-implicit-grant",
    HIGH,
    "The implicit grant is allowed",
    why="Tokens stand in the address bar: in histories, logs and Referer headers. RFC 9700 forbids it.",
    sources=("rfc9700",),
    mend=mend.client('.AllowedOAuthFlows |= (. - ["implicit"] | if . == [] then ["code"] else . end)'),
    breaks="Applications that use response_type=token must use the code grant with PKCE.",
)
def implicit_grant(client, _):
    if "implicit" in client.grants:
        yield "AllowedOAuthFlows contains implicit."


@check(
    "client-callback-http",
    HIGH,
    "A redirect address has no TLS",
    why="The code or the token passes the network readable.",
    sources=("rfc9700", "aws-client"),
    mend=mend.client(replaced('"https" + .[4:]'), "url"),
    breaks="Applications at the address cannot sign in.",
)
def callback_http(client, _):
    for text, url in redirects(client):
        if url.scheme == "http" and url.hostname not in LOCAL:
            yield Hit(f"{url.geturl()} is allowed.", values={"url": text}, part=url.geturl())


@check(
    "client-callback-wildcard",
    HIGH,
    "A redirect address has a wildcard",
    why="Any page that matches receives the code.",
    sources=("rfc9700",),
    mend=mend.client(replaced('"<exact address>"'), "url"),
    breaks="Applications at other addresses cannot sign in.",
)
def callback_wildcard(client, _):
    for text, url in redirects(client):
        if "*" in text:
            yield Hit(f"{url.geturl()} is allowed.", values={"url": text}, part=url.geturl())


@check(
    "client-callback-foreign",
    MEDIUM,
    "A redirect address is on a foreign host",
    why="A host that is not the application's receives its users' codes. Hosts of demonstrations and former partners "
    "are registered again by others.",
    sources=("rfc9700",),
    mend=mend.client(REMOVED, "urls"),
    breaks="Applications at the address cannot sign in.",
)
def callback_foreign(client, facts):
    own = hosts_of(facts, client.pool)
    for text, url in redirects(client):
        host = url.hostname or ""
        known = any(host == one or host.endswith("." + one) for one in own)
        if own and url.scheme in ("http", "https") and host not in LOCAL and not known:
            found = f"{url.geturl()} is not on {', '.join(sorted(own))}."
            yield Hit(found, values={"urls": [text]}, part=url.geturl())


@check(
    "client-callback-local",
    LOW,
    "A redirect address is on the user's own machine",
    why="A program on the machine, or a page that starts one, receives the code of a production user.",
    sources=("rfc9700",),
    mend=mend.client(REMOVED, "urls"),
    breaks="Developers need an app client of their own, in a pool of their own.",
)
def callback_local(client, _):
    local = [text for text, url in redirects(client) if url.hostname in LOCAL]
    if local:
        yield Hit(f"{', '.join(local)} allowed.", values={"urls": local})


@check(
    "client-callback-scheme",
    LOW,
    "A redirect address has a private scheme",
    why="Another app on the phone can register the same scheme. With PKCE it gets a code that it cannot use; Cognito "
    "does not demand PKCE.",
    sources=("rfc9700",),
    mend=mend.client(replaced('"<claimed https address>"'), "url"),
    breaks="The app must claim the https address (universal links, app links).",
)
def callback_scheme(client, _):
    for text, url in redirects(client):
        if url.scheme not in ("http", "https"):
            yield Hit(f"{url.geturl()} is allowed.", values={"url": text}, part=url.geturl())


@check(
    "client-secret-missing",
    MEDIUM,
    "A client of a server has no secret",
    why="The flow is for a server with AWS credentials or a secret. Without one every holder of the client's id can "
    "act as the server where no credentials are needed.",
    sources=("aws-client", "aws-flows"),
    mend="aws cognito-idp create-user-pool-client --user-pool-id {pool} --client-name {client_name} --generate-secret",
    breaks="A secret cannot be added to a client: the server changes to the new client's id.",
)
def secret_missing(client, _):
    if client.is_public and "client_credentials" in client.grants:
        yield "The client has the grant client_credentials and no secret."
    elif client.is_public and ADMIN_FLOWS & set(client.flows):
        yield f"The client has {sorted(ADMIN_FLOWS & set(client.flows))[0]} and no secret."


@check(
    "client-password-flows",
    MEDIUM,
    "Passwords can be tried at Cognito itself",
    why="A public client accepts passwords at Cognito's endpoint, where only Cognito's own lockout counts: limits of "
    "the application, such as auth-api's, are bypassed.",
    sources=("aws-flows", "nist-63b"),
    mend="make deploy CONFIG=<stack> YES=1 SET=ConfidentialClient=true",
    breaks="Applications that sign in at Cognito directly must use auth-api.",
)
def password_flows(client, _):
    flows = sorted(PASSWORD_FLOWS & set(client.flows))
    if client.is_public and flows:
        policy = ((client.pool.detail.get("Policies") or {}).get("PasswordPolicy")) or {}
        length = policy.get("MinimumLength", 8)
        severity = INFO if length >= GUESSABLE else None
        yield Hit(f"{', '.join(flows)} without a secret; the shortest password has {length} characters.", severity)


@check(
    "client-legacy-flows",
    LOW,
    "A sign-in flow has its old name",
    why="The old names cannot be combined with the new ones, so no later setting can be added.",
    sources=("aws-flows",),
    # Beside the old names Cognito allows its default flows, but for SRP with CUSTOM_AUTH_FLOW_ONLY.
    mend=mend.client(
        f".ExplicitAuthFlows |= ({json.dumps(DEFAULT_FLOWS)} "
        '- (if index("CUSTOM_AUTH_FLOW_ONLY") then ["ALLOW_USER_SRP_AUTH"] else [] end) '
        f"+ map({json.dumps(LEGACY_FLOWS)}[.] // .) | unique)"
    ),
    breaks="Nothing: the flows that the old names imply are named.",
)
def legacy_flows(client, _):
    if found := sorted(LEGACY_FLOWS.keys() & set(client.flows)):
        yield f"{', '.join(found)} is set."


@check(
    "client-refresh-rotation",
    INFO,
    "Refresh tokens are not rotated",
    why="With rotation a stolen refresh token is noticed when both holders use it.",
    sources=("aws-refresh", "rfc9700"),
    mend="make deploy CONFIG=<stack> YES=1 SET=RefreshTokenRotation=true",
    breaks="Clients must store the new refresh token; REFRESH_TOKEN_AUTH is refused.",
)
def refresh_rotation(client, _):
    rotation = (client.detail.get("RefreshTokenRotation") or {}).get("Feature", "DISABLED")
    if client.is_public and rotation != "ENABLED":
        yield "RefreshTokenRotation is off."


@check(
    "client-self-service-scope",
    INFO,
    "Tokens of managed login can change the account",
    why=f"The scope {SELF_SERVICE} lets an access token change attributes, password and second factor at Cognito's "
    "public API. A thief of the token can too.",
    sources=("truesec", "aws-access-tokens"),
    mend=mend.client(f'.AllowedOAuthScopes -= ["{SELF_SERVICE}"]'),
    breaks="The application cannot change attributes, passwords or factors with the user's token; nor can auth-api.",
)
def self_service_scope(client, _):
    if client.grants and SELF_SERVICE in (client.detail.get("AllowedOAuthScopes") or []):
        yield f"AllowedOAuthScopes contains {SELF_SERVICE}."


@check(
    "client-machine-signs-users-in",
    LOW,
    "A machine's client signs users in too",
    why="A client without ExplicitAuthFlows accepts SRP. A rule that takes the client for a machine then meets users, "
    "with refresh tokens of 30 days.",
    sources=("aws-client-api",),
    mend=mend.client('.ExplicitAuthFlows = ["ALLOW_REFRESH_TOKEN_AUTH"]'),
    breaks="Nothing for machines: client_credentials needs no flow.",
)
def machine_signs_users_in(client, _):
    if client.grants == ["client_credentials"] and signs_users_in(client.flows):
        yield f"The client has client_credentials, and {', '.join(sorted(client.flows))}."


@check(
    "client-outlives-revocations",
    HIGH,
    "Sessions outlive their revocations",
    why="A revocation is deleted after the lifetime that the functions were told. A refresh token that lives longer "
    "then brings the session back.",
    sources=("gatehouse-tokens", "gatehouse-operations"),
    mend="make deploy CONFIG=<stack> YES=1 SET=RefreshTokenSeconds={seconds}",
    breaks="Revocations are kept longer. Revoke the client's sessions if some were revoked before.",
)
def outlives_revocations(client, facts):
    kept = kept_for(facts.system_of(client.pool))
    seconds = client.seconds("RefreshToken")
    if kept and seconds > kept and not client.is_machine_only:
        text = f"Refresh tokens live {spoken(seconds)}; revocations are written for {spoken(kept)}."
        yield Hit(text, values={"seconds": seconds})


@pools(
    "client-configured-missing",
    MEDIUM,
    "The authorizer accepts an app client that does not exist",
    why="The configuration is not the pool's: a client was replaced by hand, and its successor is refused.",
    sources=("gatehouse-operations",),
    mend="aws cloudformation detect-stack-drift --stack-name {stack}",
    breaks="Nothing.",
)
def configured_missing(pool, facts):
    if system := facts.system_of(pool):
        for client in configured(system):
            if client not in pool.client_ids:
                yield Hit(f"APP_CLIENT_IDS names {client}.", resource=f"{pool.id}/{client}", values=system.values)


@pools(
    "client-not-configured",
    INFO,
    "An app client's tokens are not accepted",
    why="A client that the authorizer does not know signs users in to something else, or to nothing.",
    sources=("gatehouse-existing",),
    mend="aws cognito-idp describe-user-pool-client --user-pool-id {pool} --client-id {client}"
    "  # then add it to AppClientIds, or delete it",
    breaks="Nothing. If the client is deleted, applications that use it cannot sign in any more.",
)
def not_configured(pool, facts):
    system = facts.system_of(pool)
    accepted = configured(system) if system else ()
    for client in pool.client_ids if accepted else ():
        if client not in accepted:
            label = f"app client {client}"
            yield Hit("It is not in APP_CLIENT_IDS.", None, f"{pool.id}/{client}", label, {"client": client})


def redirects(client):
    """The redirect addresses of a client that uses managed login, each as its text and in parts."""
    urls = [*(client.detail.get("CallbackURLs") or []), *(client.detail.get("LogoutURLs") or [])]
    return [(url, parsed(url)) for url in dict.fromkeys(urls)]


def parsed(url):
    """A URL in parts; one that cannot be parsed has only a path."""
    try:
        found = urllib.parse.urlsplit(url)
        found.hostname  # noqa: B018 - raises for a malformed host
        return found
    except ValueError:
        return urllib.parse.SplitResult("invalid", "", url, "", "")


def hosts_of(facts, pool):
    """The hosts of the application: the operator's, and those in the stack's parameters."""
    found = set(facts.hosts)
    if system := facts.system_of(pool):
        named = [system.parameters.get(name, "") for name in ("AllowedOrigin", "AppBaseUrl", "ApiDomainName")]
        hosts = [urllib.parse.urlsplit(text).hostname if "//" in text else text for text in named]
        found |= {host for host in hosts if host}
    return found


def claims_of(facts, pool_id):
    """The claims by which identity pools choose roles or tags for users of a pool, and where."""
    found = {}
    for identity_pool in facts.identity_pools:
        if pool_id not in [pool for pool, _, _ in identity_pool.pool_clients]:
            continue
        for role in identity_pool.known_roles:
            found |= {claim: f"a rule of {identity_pool.label}" for claim in role.claims}
        for tags in identity_pool.tags.values():
            claims = ((tags or {}).get("PrincipalTags") or {}).values()
            found |= {claim: f"a tag of {identity_pool.label}" for claim in claims}
    return found


def kept_for(system):
    """The seconds for which the stack's functions write revocations; the shortest counts."""
    if system is None:
        return None
    texts = [one.variables.get("REFRESH_TOKEN_TTL_SECONDS", "") for one in system.functions.values()]
    return min((int(text) for text in texts if text.isdigit()), default=None)


def configured(system):
    """The app clients that the stack's authorizer accepts."""
    return [one for one in system.variable("AuthorizerFunction", "APP_CLIENT_IDS").split(",") if one]


def spoken(seconds):
    """A duration for people: `30 days`."""
    for unit, size in (("days", DAY), ("hours", HOUR), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit if seconds > size else unit.removesuffix('s')}"
    return f"{seconds} seconds"
