"""Shell commands that change one setting of a pool or an app client and keep the others.

UpdateUserPool, UpdateUserPoolClient, SetUserPoolMfaConfig and SetRiskConfiguration reset every member that a request
omits (AWS's API reference), so a command with one option alone would undo the rest of the configuration. `change_pool`
and its siblings are shell functions: reports define them once, or in front of each command.
"""

# The members of a described client or pool that the update accepts; a test compares them with botocore's models.
CLIENT_READ_ONLY = ("ClientSecret", "CreationDate", "LastModifiedDate")
POOL_READ_ONLY = (
    "Id Name Arn Status CreationDate LastModifiedDate SchemaAttributes AliasAttributes UsernameAttributes "
    "UsernameConfiguration EstimatedNumberOfUsers Domain CustomDomain EmailConfigurationFailure "
    "SmsConfigurationFailure"
).split()
# UpdateUserPool refuses the days of an invitation under both names. A pool may have them under the old name alone.
OLD_DAYS = ".AdminCreateUserConfig.UnusedAccountValidityDays"
DAYS = ".Policies.PasswordPolicy.TemporaryPasswordValidityDays"


def dropped(members):
    return ", ".join(f".{name}" for name in members)


FUNCTIONS = {
    "change_pool": f"""change_pool() {{  # <user pool> <change by jq>: writes pool.json, and sends it
  aws cognito-idp describe-user-pool --user-pool-id "$1" --query UserPool |
    jq '. + {{UserPoolId: .Id, PoolName: .Name}} | del({dropped(POOL_READ_ONLY)}) | '"$2"'
      | if {DAYS} then del({OLD_DAYS}) else . end' >pool.json &&
    aws cognito-idp update-user-pool --cli-input-json file://pool.json
}}""",
    "change_client": f"""change_client() {{  # <user pool> <app client> <change by jq>: writes client.json, and sends it
  aws cognito-idp describe-user-pool-client --user-pool-id "$1" --client-id "$2" --query UserPoolClient |
    jq 'del({dropped(CLIENT_READ_ONLY)}) | '"$3" >client.json &&
    aws cognito-idp update-user-pool-client --cli-input-json file://client.json
}}""",
    "change_mfa": """change_mfa() {  # <user pool> <change by jq>: writes mfa.json, and sends it
  aws cognito-idp get-user-pool-mfa-config --user-pool-id "$1" |
    jq "$2" >mfa.json &&
    aws cognito-idp set-user-pool-mfa-config --cli-input-json file://mfa.json --user-pool-id "$1"
}""",
    "change_risk": """change_risk() {  # <user pool> <change by jq>: writes risk.json, and sends it
  aws cognito-idp describe-risk-configuration --user-pool-id "$1" --query RiskConfiguration |
    jq 'del(.LastModifiedDate) | '"$2" >risk.json &&
    aws cognito-idp set-risk-configuration --cli-input-json file://risk.json --user-pool-id "$1"
}""",
}


def client(change, *names):
    """A command that applies a jq expression to an app client; `{name}` in it is a value of the finding."""
    return f"change_client {{pool}} {{client}} '{escaped(change, names)}'"


def pool(change, *names):
    """A command that applies a jq expression to a user pool; `{name}` in it is a value of the finding."""
    return f"change_pool {{pool}} '{escaped(change, names)}'"


def mfa(change):
    """A command that applies a jq expression to a user pool's second factors."""
    return f"change_mfa {{pool}} '{escaped(change, ())}'"


def risk(change, *names):
    """A command that applies a jq expression to threat protection's reactions; `{name}` in it is a value."""
    return f"change_risk {{pool}} '{escaped(change, names)}'"


def escaped(expression, names):
    """An expression whose braces stay when the command is formatted, but for those of the names."""
    text = expression.replace("{", "{{").replace("}", "}}")
    for name in names:
        text = text.replace(f"{{{{{name}}}}}", f"{{{name}:jq}}")
    return text


def functions(commands):
    """The definitions of the shell functions that commands use."""
    used = {command.split(" ", 1)[0] for command in commands}
    return [text for name, text in FUNCTIONS.items() if name in used]


def complete(command):
    """A command behind the functions that it uses."""
    return "\n".join([*functions([command]), command])
