"""User pools and app clients: one change of a complete configuration, which no other field survives by chance.

UpdateUserPool and UpdateUserPoolClient set every field that a request leaves out to its default. So an update sends
everything that Describe returned and the update takes, reads again, and compares. If a field changed that should not
have, the former configuration is sent back at once.
"""

import functools

from botocore.exceptions import ClientError

from ..aws import code_of, with_unknown_members
from .common import Found, Refused, differences, fingerprints, settled

# What Describe returns and the update does not take: fixed at creation, counted by AWS, or set by another operation.
POOL_READ_ONLY = {
    "AliasAttributes",
    "Arn",
    "CreationDate",
    "CustomDomain",
    "Domain",
    "EmailConfigurationFailure",
    "EstimatedNumberOfUsers",
    "Id",
    "LastModifiedDate",
    "Name",  # The update calls it PoolName.
    "SchemaAttributes",
    "SmsConfigurationFailure",
    "Status",
    "UsernameAttributes",
    "UsernameConfiguration",
}
CLIENT_READ_ONLY = {"ClientSecret", "CreationDate", "LastModifiedDate"}
# These change without an update of the configuration.
VOLATILE = {"CreationDate", "EmailConfigurationFailure", "EstimatedNumberOfUsers", "LastModifiedDate"}
VOLATILE |= {"SmsConfigurationFailure"}
MFA = "MFA settings"
UNKNOWN = "unknown fields"


def describe_pool(aws, pool_id):
    """The pool's configuration, with GetUserPoolMfaConfig's response and the unknown fields as further members."""
    cognito = aws.client("cognito-idp")
    response, unknown = with_unknown_members(cognito, "describe_user_pool", UserPoolId=pool_id)
    mfa = cognito.get_user_pool_mfa_config(UserPoolId=pool_id)
    mfa.pop("ResponseMetadata", None)
    return response["UserPool"] | {MFA: mfa, UNKNOWN: names_of(unknown)}


def describe_client(aws, pool_id, client_id):
    """The app client's configuration, without its secret, with the unknown fields as a further member."""
    names = {"UserPoolId": pool_id, "ClientId": client_id}
    response, unknown = with_unknown_members(aws.client("cognito-idp"), "describe_user_pool_client", **names)
    client = response["UserPoolClient"]
    client.pop("ClientSecret", None)
    return client | {UNKNOWN: names_of(unknown)}


def names_of(unknown):
    return sorted({one.partition(".")[2] for one in unknown})


def refuse_unknown(described, name):
    """Raises Refused if AWS returned fields that this boto3 drops: an update would reset them."""
    if described[UNKNOWN]:
        fields = ", ".join(described[UNKNOWN])
        raise Refused(f"{name}: AWS returns fields that this boto3 does not know ({fields}). Update boto3 first.")


def or_absent(read, *arguments):
    """What the call returns, or None if the pool or client does not exist."""
    try:
        return read(*arguments)
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return None
        raise


def settings(described):
    """The configuration without what changes by itself."""
    return {name: value for name, value in described.items() if name not in VOLATILE | {UNKNOWN}}


def pool_update(aws, pool):
    """The UpdateUserPool request that changes nothing."""
    request = taken(aws, "UpdateUserPool", pool) | {"UserPoolId": pool["Id"], "PoolName": pool["Name"]}
    # AWS's own tags are reserved: it keeps them, and refuses to take them.
    if tags := request.get("UserPoolTags"):
        request["UserPoolTags"] = {name: value for name, value in tags.items() if not name.startswith("aws:")}
    # AWS returns both and accepts one; the second is the deprecated form of the first.
    if "TemporaryPasswordValidityDays" in request.get("Policies", {}).get("PasswordPolicy", {}):
        request.get("AdminCreateUserConfig", {}).pop("UnusedAccountValidityDays", None)
    return request


def taken(aws, operation, described):
    """A copy of the members of a configuration that the operation takes."""
    members = aws.client("cognito-idp").meta.service_model.operation_model(operation).input_shape.members
    return {name: without_empty_texts(described[name]) for name in members if described.get(name, "") != ""}


def without_empty_texts(value):
    """A copy without texts that are empty: they stand for unset ones, and no update takes them."""
    if isinstance(value, dict):
        return {name: without_empty_texts(one) for name, one in value.items() if one != ""}
    return [without_empty_texts(one) for one in value] if isinstance(value, list) else value


def changed_settings(expected, read):
    """The settings that differ from the expected ones after an update."""
    return differences(expected, settings(settled(read, lambda found: settings(found) == expected)))


class Triggers:
    """The triggers of a pool. The state has the slots that the step changes: an ARN, a structure, or None."""

    @staticmethod
    def read(aws, step):
        pool = or_absent(describe_pool, aws, step["target"]["pool"])
        if pool is None:
            return Found(None)
        config = pool.get("LambdaConfig") or {}
        return Found({slot: config.get(slot) for slot in step["after"]})

    @staticmethod
    def write(aws, step, _, wanted):
        before = describe_pool(aws, step["target"]["pool"])
        refuse_unknown(before, before["Id"])
        request = pool_update(aws, before)
        triggers = with_slots(request.get("LambdaConfig", {}), wanted)
        request["LambdaConfig"] = triggers
        aws.client("cognito-idp").update_user_pool(**request)
        expected = settings(before) | {"LambdaConfig": triggers}
        read = functools.partial(describe_pool, aws, before["Id"])
        changed = changed_settings(expected, read)
        if changed:
            put_back(before["Id"], changed, restore_pool, aws, before)


def invokes(aws, pool_id, function):
    """Whether a trigger of the pool is this function."""
    config = (or_absent(describe_pool, aws, pool_id) or {}).get("LambdaConfig") or {}
    return any(function in (value, isinstance(value, dict) and value.get("LambdaArn")) for value in config.values())


def restore_pool(aws, before):
    """Sends the former configuration, and returns the fields that still differ."""
    cognito, pool_id = aws.client("cognito-idp"), before["Id"]
    # First, because UpdateUserPool cannot turn MFA on.
    if describe_pool(aws, pool_id)[MFA] != before[MFA]:
        cognito.set_user_pool_mfa_config(UserPoolId=pool_id, **before[MFA])
    cognito.update_user_pool(**pool_update(aws, before))
    if describe_pool(aws, pool_id)[MFA] != before[MFA]:
        cognito.set_user_pool_mfa_config(UserPoolId=pool_id, **before[MFA])
    return changed_settings(settings(before), functools.partial(describe_pool, aws, pool_id))


class TokenRevocation:
    """EnableTokenRevocation of an app client."""

    @staticmethod
    def read(aws, step):
        client = or_absent(describe_client, aws, step["target"]["pool"], step["target"]["client"])
        return Found(client and {"EnableTokenRevocation": client.get("EnableTokenRevocation", False)})

    @staticmethod
    def write(aws, step, _, wanted):
        names = step["target"]["pool"], step["target"]["client"]
        before = describe_client(aws, *names)
        refuse_unknown(before, names[1])
        aws.client("cognito-idp").update_user_pool_client(**taken(aws, "UpdateUserPoolClient", before) | wanted)
        changed = changed_settings(settings(before) | wanted, functools.partial(describe_client, aws, *names))
        if changed:
            put_back(names[1], changed, restore_client, aws, before)


def restore_client(aws, before):
    """Sends the former configuration, and returns the fields that still differ."""
    aws.client("cognito-idp").update_user_pool_client(**taken(aws, "UpdateUserPoolClient", before))
    read = functools.partial(describe_client, aws, before["UserPoolId"], before["ClientId"])
    return changed_settings(settings(before), read)


def with_slots(triggers, wanted):
    """The triggers with the wanted slots: None removes one."""
    merged = triggers | wanted
    return {slot: value for slot, value in merged.items() if value is not None}


def put_back(name, changed, restore, aws, before):
    """Restores the former configuration, and raises Refused with what the update had changed."""
    try:
        left = restore(aws, before)
    except ClientError as error:
        left = [f"{', '.join(changed)} ({error.operation_name}: {code_of(error)})"]
    text = f"{name}: the update changed {', '.join(changed)} besides what it was for. It was put back"
    raise Refused(text + (f", except {', '.join(left)}: set that by hand." if left else "."))


def watched_pool(aws, target):
    """Fingerprints of the pool's settings, without the slots that the plan changes."""
    pool = settings(describe_pool(aws, target["pool"]))
    triggers = pool.pop("LambdaConfig", None) or {}
    rest = {slot: value for slot, value in triggers.items() if slot not in target["slots"]}
    return fingerprints(pool | {f"LambdaConfig.{slot}": value for slot, value in rest.items()})


def watched_client(aws, target):
    """Fingerprints of the client's settings, without the one that the plan may change."""
    client = settings(describe_client(aws, target["pool"], target["client"]))
    client.pop("EnableTokenRevocation", None)
    return fingerprints(client)
