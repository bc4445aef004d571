"""Shell commands that change one setting of a pool or an app client and keep the others.

UpdateUserPool and UpdateUserPoolClient reset every member that a request omits (AWS's API reference), so a command
with one option alone would undo the rest of the configuration.
"""

# The members of a described client or pool that the update accepts; a test compares them with botocore's models.
CLIENT_READ_ONLY = ("ClientSecret", "CreationDate", "LastModifiedDate")
POOL_UPDATABLE = (
    "AccountRecoverySetting AcrConfiguration AdminCreateUserConfig AutoVerifiedAttributes DeletionProtection "
    "DeviceConfiguration EmailConfiguration EmailVerificationMessage EmailVerificationSubject IssuerConfiguration "
    "KeyConfiguration LambdaConfig MfaConfiguration Policies SmsAuthenticationMessage SmsConfiguration "
    "SmsVerificationMessage UserAttributeUpdateSettings UserPoolAddOns UserPoolTags UserPoolTier "
    "VerificationMessageTemplate"
).split()


def client(change):
    """A command that applies a jq expression to an app client."""
    dropped = ", ".join(f".{name}" for name in CLIENT_READ_ONLY)
    return (
        "aws cognito-idp describe-user-pool-client --user-pool-id {pool} --client-id {client} --query UserPoolClient "
        + jq(f"del({dropped}) | {change}", "client.json")
        + "aws cognito-idp update-user-pool-client --cli-input-json file://client.json"
    )


def pool(change):
    """A command that applies a jq expression to a user pool."""
    kept = ", ".join(f'"{name}"' for name in POOL_UPDATABLE)
    # UnusedAccountValidityDays is refused beside TemporaryPasswordValidityDays, which replaced it.
    updatable = (
        f"{{UserPoolId: .Id, PoolName: .Name}} + with_entries(select(.key | IN({kept})))"
        " | del(.AdminCreateUserConfig.UnusedAccountValidityDays)"
    )
    return (
        "aws cognito-idp describe-user-pool --user-pool-id {pool} --query UserPool "
        + jq(f"{updatable} | {change}", "pool.json")
        + "aws cognito-idp update-user-pool --cli-input-json file://pool.json"
    )


def jq(expression, file):
    """A pipe through jq into a file. The expression's braces stay when the command is formatted."""
    escaped = expression.replace("{", "{{").replace("}", "}}")
    return f"| jq '{escaped}' >{file}\n"
