"""Checks of identity pools and of the IAM roles that they hand out."""

import dataclasses
import re

from gatehouse_operate.audit.facts import document, listed
from gatehouse_operate.audit.finding import CRITICAL, HIGH, LOW, MEDIUM, Hit, subjects_of
from gatehouse_operate.audit.mend import escaped

check = subjects_of(lambda facts: [pool for pool in facts.identity_pools if pool.detail])
UPDATE = (
    "aws cognito-identity describe-identity-pool --identity-pool-id {identity_pool} | jq '{change}' >pool.json &&\n"
    "aws cognito-identity update-identity-pool --cli-input-json file://pool.json"
)
ISSUER = "cognito-identity.amazonaws.com"
# GovCloud and China have names of their own for it.
ISSUERS = re.compile(r"cognito-identity[\w.-]*\.amazonaws\.com(\.cn)?(?=:|$)", re.IGNORECASE)
AUDIENCE = f"{ISSUER}:aud"
METHOD = f"{ISSUER}:amr"
DEMANDING = ("stringequals", "stringequalsignorecase", "stringlike")
# What Cognito's console gives every guest; it reaches no data of others.
HARMLESS = {"cognito-identity:*", "cognito-identity:getcredentialsforidentity", "cognito-sync:*"}
HARMLESS |= {"mobileanalytics:putevents", "mobiletargeting:putevents", "mobiletargeting:updateendpoint"}
# Reading these in general, or changing them at all, is the account.
POWER = (
    "iam",
    "sts",
    "organizations",
    "lambda",
    "s3",
    "dynamodb",
    "secretsmanager",
    "ssm",
    "kms",
    "ec2",
    "cognito-idp",
)


def update(change, *names):
    return UPDATE.replace("{change}", escaped(change, names))


@check(
    "identity-guest-access",
    MEDIUM,
    "Guests get AWS credentials",
    why="GetId and GetCredentialsForIdentity are public calls: a stranger who reads the pool's id in the page gets "
    "credentials of the guest role.",
    sources=("aws-identity-flows", "valtik"),
    mend=update(".AllowUnauthenticatedIdentities = false"),
    breaks="Pages that call AWS before sign-in fail.",
)
def guest_access(pool, _):
    if pool.detail.get("AllowUnauthenticatedIdentities"):
        yield "AllowUnauthenticatedIdentities is true."


@check(
    "identity-classic-flow",
    MEDIUM,
    "The classic flow is allowed",
    why="In the classic flow the client chooses the role and assumes it at STS, without the limits that Cognito puts "
    "on guests in the enhanced flow.",
    sources=("aws-identity-flows", "datadog-classic"),
    mend=update(".AllowClassicFlow = false"),
    breaks="Clients that call GetOpenIdToken and AssumeRoleWithWebIdentity must use GetCredentialsForIdentity.",
)
def classic_flow(pool, _):
    if pool.detail.get("AllowClassicFlow"):
        yield Hit("AllowClassicFlow is true.", HIGH if pool.detail.get("AllowUnauthenticatedIdentities") else None)


@check(
    "identity-token-check",
    MEDIUM,
    "A signed-out user still gets AWS credentials",
    why="Without the server-side check the pool only verifies the token's signature: a token of a user who was "
    "signed out globally or deleted is exchanged until it expires.",
    sources=("aws-identity-provider-api",),
    mend=update(
        ".CognitoIdentityProviders |= map(if .ClientId == {client} and (.ProviderName | endswith({user_pool})) "
        "then .ServerSideTokenCheck = true else . end)",
        "client",
        "user_pool",
    ),
    breaks="Each exchange asks the user pool, which counts against its quota.",
)
def token_check(pool, _):
    for user_pool, client, is_checked in pool.pool_clients:
        if not is_checked:
            text = f"ServerSideTokenCheck is off for {user_pool} and app client {client}."
            yield Hit(text, values={"client": client, "user_pool": f"/{user_pool}"}, part=client)


@check(
    "identity-guest-role",
    HIGH,
    "The guests' role may do more than a guest needs",
    why="Its credentials are public. What the role may read is published, what it may write belongs to strangers.",
    sources=("aws-identity-roles", "valtik"),
    mend="aws iam list-role-policies --role-name {role}\naws iam list-attached-role-policies --role-name {role}",
    breaks="Pages that call AWS before sign-in fail for what is removed.",
)
def guest_role(pool, _):
    if not pool.detail.get("AllowUnauthenticatedIdentities"):
        return
    for role in pool.known_roles:
        if role.kind == "unauthenticated":
            yield from wide(role)


@check(
    "identity-user-role",
    HIGH,
    "The users' role reaches everything of a service",
    why="Every signed-in user has these credentials, and with open sign-up any visitor becomes one. A policy should "
    "limit the resource to the identity: ${cognito-identity.amazonaws.com:sub}.",
    sources=("aws-identity-roles", "valtik"),
    mend="aws iam list-role-policies --role-name {role}\naws iam list-attached-role-policies --role-name {role}",
    breaks="What users did with the removed permissions.",
)
def user_role(pool, facts):
    is_open = any((found := facts.pool(one)) and found.sign_up_is_open for one, _, _ in pool.pool_clients)
    for role in distinct(role for role in pool.known_roles if role.kind != "unauthenticated"):
        for found in wide(role, only_services=True):
            yield dataclasses.replace(found, found=found.found + (" Sign-up is open." if is_open else ""))


@check(
    "identity-role-trusts-any-pool",
    CRITICAL,
    "A role can be assumed through any identity pool",
    why="Without a condition on the audience, a stranger makes an identity pool in another account and assumes the "
    "role with its tokens. Amplify left roles like this behind when its authentication was removed from a project.",
    sources=("cve-2024-28056", "amplify-625", "amplify-1083", "aws-identity-trust"),
    mend="aws iam update-assume-role-policy --role-name {role} --policy-document <policy>"
    "  # with StringEquals cognito-identity.amazonaws.com:aud {identity_pool}",
    breaks="Other identity pools that share the role.",
)
def trusts_any_pool(pool, _):
    for role, audience, _, statement in trusts(distinct(pool.known_roles)):
        if not audience:
            yield hit(role, f"{role.kind} role {short(role)} trusts {statement} without {AUDIENCE}.")


@check(
    "identity-role-trusts-other-pool",
    MEDIUM,
    "A role trusts another identity pool",
    why="The other pool's users get the role, by the other pool's rules.",
    sources=("aws-identity-trust",),
    mend="aws iam update-assume-role-policy --role-name {role} --policy-document <policy>"
    "  # with StringEquals cognito-identity.amazonaws.com:aud {identity_pool}",
    breaks="Users of the other pool lose the role.",
)
def trusts_other_pool(pool, _):
    for role, audience, _, _ in trusts(distinct(pool.known_roles)):
        others = sorted(set(audience) - {pool.id})
        if others:
            severity = HIGH if any("*" in one for one in others) else None
            yield hit(role, f"{role.kind} role {short(role)} trusts {', '.join(others)}.", severity)


@check(
    "identity-role-trusts-guests",
    HIGH,
    "Guests can assume a role of users",
    why="Without a condition on the authentication method, the token of a guest assumes the role.",
    sources=("aws-identity-trust", "valtik"),
    mend="aws iam update-assume-role-policy --role-name {role} --policy-document "
    "'<the policy with ForAnyValue:StringLike cognito-identity.amazonaws.com:amr authenticated>'",
    breaks="Nothing for signed-in users.",
)
def trusts_guests(pool, _):
    for role, _, methods, _ in trusts(distinct(role for role in pool.known_roles if role.kind != "unauthenticated")):
        if not methods or "unauthenticated" in methods or "*" in methods:
            yield hit(role, f"{role.kind} role {short(role)} does not demand amr=authenticated.")


@check(
    "identity-role-missing",
    MEDIUM,
    "A role of the pool does not exist",
    why="Users get an error in place of credentials, and a role created under the name later is handed out at once.",
    sources=("aws-identity-roles",),
    mend="aws cognito-identity get-identity-pool-roles --identity-pool-id {identity_pool}",
    breaks="Nothing.",
)
def role_missing(pool, _):
    for role in distinct(pool.known_roles):
        if role.detail == {}:
            yield hit(role, f"{role.kind} role {short(role)} does not exist.")


@check(
    "identity-role-by-written-claim",
    HIGH,
    "A rule gives a role by a claim that users write",
    why="A user sets the attribute at Cognito's public API, refreshes, and is handed the role.",
    sources=("aws-groups", "truesec"),
    mend="aws cognito-identity set-identity-pool-roles --identity-pool-id {identity_pool} --roles <roles> "
    "--role-mappings <rules by cognito:groups>",
    breaks="Users whom the rule gave the role need a group.",
)
def role_by_written_claim(pool, facts):
    for role in pool.known_roles:
        for claim in role.claims:
            if is_written(pool, facts, claim):
                yield hit(role, f"{short(role)} is given by {claim}, which users can write.", part=claim)


@check(
    "identity-tag-by-written-claim",
    HIGH,
    "A tag for access control comes from a claim that users write",
    why="Policies decide by the tag. The user sets the attribute and with it the decision.",
    sources=("aws-identity-tags", "truesec"),
    mend="aws cognito-identity set-principal-tag-attribute-map --identity-pool-id {identity_pool} "
    "--identity-provider-name {provider} --principal-tags <tags of claims that only administrators write>",
    breaks="Policies that use the tag.",
)
def tag_by_written_claim(pool, facts):
    for provider, tags in pool.tags.items():
        for tag, claim in sorted(((tags or {}).get("PrincipalTags") or {}).items()):
            if is_written(pool, facts, claim):
                yield Hit(f"Tag {tag} is {claim}, which users can write.", values={"provider": provider}, part=tag)


@check(
    "identity-role-fallback",
    LOW,
    "Users without a group get the default role",
    why="With the roles of groups in use, a user in no group should get none.",
    sources=("aws-groups",),
    mend="aws cognito-identity set-identity-pool-roles --identity-pool-id {identity_pool} --roles <roles> "
    "--role-mappings '<mappings with AmbiguousRoleResolution Deny>'",
    breaks="Users in no group, or in several without a preferred role, get no credentials.",
)
def role_fallback(pool, _):
    for provider, mapping in ((pool.roles or {}).get("RoleMappings") or {}).items():
        if mapping.get("AmbiguousRoleResolution") == "AuthenticatedRole":
            text = f"AmbiguousRoleResolution of {provider} is AuthenticatedRole ({mapping.get('Type')})."
            yield Hit(text, part=provider)


def is_written(pool, facts, claim):
    """Whether users of one of the pool's user pools can write a claim."""
    return any(claim in (facts.written_by_users(one) or ()) for one, _, _ in pool.pool_clients)


def distinct(roles):
    """Each role once, with all kinds that it has."""
    found = {}
    for role in roles:
        first = found.get(role.arn)
        found[role.arn] = dataclasses.replace(role, kind=f"{first.kind} and {role.kind}") if first else role
    return found.values()


def trusts(roles):
    """Role, audiences, methods and principal of each statement that lets an identity pool's users assume a role."""
    for role in roles:
        policy = document((role.detail or {}).get("AssumeRolePolicyDocument")) or {}
        for statement in listed(policy.get("Statement")):
            principal = statement.get("Principal")
            federated = listed(principal.get("Federated")) if isinstance(principal, dict) else [principal]
            issuers = {ISSUERS.sub(ISSUER, str(one)) for one in federated}
            if statement.get("Effect") == "Allow" and {ISSUER, "*"} & issuers:
                audience, methods = condition(statement, AUDIENCE), condition(statement, METHOD)
                yield role, audience, methods, federated[0]


def condition(statement, key):
    """The values that a statement demands for a key.

    Operators that negate, or that also match a missing key, demand none."""
    found = []
    for operator, members in (statement.get("Condition") or {}).items():
        name = operator.lower()
        if name.startswith("forallvalues") or name.rpartition(":")[2] not in DEMANDING:
            continue
        found += [
            one
            for member, value in members.items()
            if ISSUERS.sub(ISSUER, member).lower() == key
            for one in listed(value)
        ]
    return found


def wide(role, only_services=False):
    """Hits for the statements of a role that allow a service as a whole, or any resource."""
    for name, policy in (role.policies or {}).items():
        for number, statement in enumerate(listed(policy.get("Statement"))):
            text, severity = too_much(statement, only_services)
            if text:
                found = hit(role, f"{short(role)} allows {text} (policy {name}).", severity)
                yield dataclasses.replace(found, part=f"{name}/{number}")


def too_much(statement, only_services):
    """What a statement allows too much, and how bad that is."""
    if statement.get("Effect") != "Allow":
        return "", None
    actions = [str(one).lower() for one in listed(statement.get("Action"))]
    actions = [one for one in actions + ["*"] * ("NotAction" in statement) if one not in HARMLESS]
    any_resource = any(is_wide(one) for one in listed(statement.get("Resource")) or ["*"])
    services = [one for one in actions if one.endswith(":*")]
    power = [one for one in services if one.partition(":")[0] in POWER]
    if "*" in actions:
        return "every action", CRITICAL
    if power and any_resource:
        return f"{power[0]} on every resource", CRITICAL
    wide_actions = services if only_services else actions
    return (f"{wide_actions[0]} on every resource", None) if wide_actions and any_resource else ("", None)


def is_wide(resource):
    """Whether a resource pattern covers everything of a service."""
    return resource == "*" or (resource.count(":") >= 5 and resource.split(":", 5)[5] == "*")


def hit(role, text, severity=None, part=""):
    return Hit(text, severity, role.arn, f"role {short(role)}", {"role": short(role)}, part)


def short(role):
    return role.arn.rpartition("/")[2]
