"""Checks of a user pool's own settings."""

import fnmatch
import ipaddress

from gatehouse_operate.audit import mend
from gatehouse_operate.audit.facts import listed, services, source_arns
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of

check = subjects_of(lambda facts: [pool for pool in facts.pools if pool.detail])
# NIST SP 800-63B-4: 15 characters if the password is the only factor, 8 beside a second one.
SINGLE_FACTOR = 15
SHORT = 12
LEAST = 8
DAYS = 7


@check(
    "pool-case-sensitive",
    HIGH,
    "User names are case-sensitive",
    why="Ada@example.com and ada@example.com are two users. An application that compares addresses without case gives "
    "one of them the other's account. The setting is fixed when the pool is created.",
    sources=("aws-case", "aws-case-blog"),
    mend="Create a pool with UsernameConfiguration CaseSensitive=false and move the users (docs/migration.md)",
    breaks="Users move to a new pool: each gets another sub, and passwords move at the next sign-in only.",
)
def case_sensitive(pool, _):
    if (pool.detail.get("UsernameConfiguration") or {}).get("CaseSensitive", True):
        yield "The pool is case-sensitive."


@check(
    "pool-mfa",
    MEDIUM,
    "Users have no second factor",
    why="A password that leaked elsewhere signs in. With OPTIONAL the user decides, and a rule can demand it of some.",
    sources=("aws-mfa", "nist-63b"),
    mend=mend.mfa('.SoftwareTokenMfaConfiguration.Enabled = true | .MfaConfiguration = "OPTIONAL"'),
    breaks="Nothing with OPTIONAL. With ON every user without a factor must set one up at the next sign-in.",
)
def mfa(pool, _):
    configuration = (pool.mfa or {}).get("MfaConfiguration") or pool.detail.get("MfaConfiguration") or "OFF"
    if configuration == "OFF":
        yield "Multi-factor authentication is OFF."
    elif configuration == "OPTIONAL":
        demanded = mend.mfa('.MfaConfiguration = "ON"')
        yield Hit("Multi-factor authentication is OPTIONAL: each user decides.", INFO, mend=demanded)


@check(
    "pool-mfa-by-sms",
    MEDIUM,
    "A text message is the only second factor",
    why="A phone number can be taken over at its provider, and each message costs. NIST restricts SMS.",
    sources=("aws-mfa", "nist-63b"),
    mend=mend.mfa(".SoftwareTokenMfaConfiguration.Enabled = true"),
    breaks="Nothing: users of SMS keep it, and may add an authenticator app.",
)
def mfa_by_sms(pool, _):
    if not pool.mfa or pool.mfa.get("MfaConfiguration", "OFF") == "OFF":
        return
    token = (pool.mfa.get("SoftwareTokenMfaConfiguration") or {}).get("Enabled")
    others = pool.mfa.get("EmailMfaConfiguration") or pool.mfa.get("WebAuthnConfiguration")
    if (pool.mfa.get("SmsMfaConfiguration") or {}).get("SmsConfiguration") and not token and not others:
        yield "SMS is the only factor that users can set up."


@check(
    "pool-password-length",
    MEDIUM,
    "Passwords may be short",
    why="Length decides how long guessing takes. Below 8 characters is no longer accepted by any standard; a password "
    "without a second factor should have 15.",
    sources=("aws-passwords", "nist-63b"),
    mend=mend.pool(".Policies.PasswordPolicy.MinimumLength = 15"),
    breaks="Nothing for existing passwords: the policy is applied when a password is set.",
)
def password_length(pool, _):
    policy = (pool.detail.get("Policies") or {}).get("PasswordPolicy") or {}
    length = policy.get("MinimumLength", LEAST)
    if length < SINGLE_FACTOR:
        severity = HIGH if length < LEAST else MEDIUM if length < SHORT else INFO
        yield Hit(f"The shortest password has {length} characters.", severity)


@check(
    "pool-temporary-password",
    MEDIUM,
    "Temporary passwords live long",
    why="An invitation lies in a mailbox with a password that works. An old one is a way in.",
    sources=("aws-passwords",),
    mend=mend.pool(".Policies.PasswordPolicy.TemporaryPasswordValidityDays = 1"),
    breaks="Invited users who wait longer need a new invitation (AdminCreateUser with RESEND).",
)
def temporary_password(pool, _):
    policy = (pool.detail.get("Policies") or {}).get("PasswordPolicy") or {}
    created = pool.detail.get("AdminCreateUserConfig") or {}
    days = policy.get("TemporaryPasswordValidityDays") or created.get("UnusedAccountValidityDays") or DAYS
    if days > DAYS:
        yield f"A temporary password is valid for {days} days."


@check(
    "pool-sign-up-open",
    MEDIUM,
    "Sign-up is open to the public",
    why="Sign-up is a public call of Cognito, also if the application has no page for it. An application that takes "
    "any token of the pool for an employee's lets strangers in.",
    sources=("aws-sign-up", "valtik"),
    mend=mend.pool(".AdminCreateUserConfig.AllowAdminCreateUserOnly = true"),
    breaks="Sign-up answers NotAuthorizedException; administrators create users.",
)
def sign_up_open(pool, _):
    if not pool.sign_up_is_open:
        return
    if not pool.detail.get("AutoVerifiedAttributes"):
        yield "Sign-up is open, and nothing about a new user is verified."
    else:
        guard = "a pre sign-up trigger decides" if "PreSignUp" in pool.triggers else "no trigger decides who may"
        yield Hit(f"Sign-up is open; the address is verified, and {guard}.", INFO)


@check(
    "pool-unverified-sign-in",
    HIGH,
    "Users sign in by an address that is not verified",
    why="A stranger signs up with another person's address. Where the application looks users up by address, the "
    "account is the other person's.",
    sources=("aws-unverified", "aws-sign-up"),
    mend=mend.pool(".AutoVerifiedAttributes |= ((. // []) + [{attribute}] | unique)", "attribute"),
    breaks="New users get a code by mail before they can sign in; existing users stay as they are.",
)
def unverified_sign_in(pool, _):
    verified = set(pool.detail.get("AutoVerifiedAttributes") or [])
    used = pool.sign_in_attributes & {"email", "phone_number"}
    if pool.sign_up_is_open and used and not used & verified:
        text = f"Sign-up is open and does not verify {' or '.join(sorted(used))}, which users sign in with."
        yield Hit(text, values={"attribute": min(used)})


@check(
    "pool-update-unverified",
    HIGH,
    "A changed address counts before it is verified",
    why="A signed-in user sets another person's address, and every token from then on carries it. Cognito keeps the "
    "old one until the new one is verified only if the pool demands it.",
    sources=("aws-attribute-update", "bedefended"),
    mend=mend.pool(
        ".UserAttributeUpdateSettings.AttributesRequireVerificationBeforeUpdate |= ((. // []) + {attributes} | unique)",
        "attributes",
    ),
    breaks="A user who cannot read the new mailbox keeps the old address.",
)
def update_unverified(pool, facts):
    verified = set(pool.detail.get("AutoVerifiedAttributes") or [])
    relied_on = (pool.sign_in_attributes | verified) & {"email", "phone_number"}
    written = facts.written_by_users(pool.id)
    missing = relied_on - pool.verified_before_update
    # With no client that may write it, only administrators change the attribute.
    missing = missing if written is None else missing & written
    if missing:
        names = sorted(missing)
        yield Hit(f"Users change {' and '.join(names)} without proof.", values={"attributes": names})


@check(
    "pool-recovery-by-phone",
    MEDIUM,
    "A forgotten password is reset by text message",
    why="A phone number can be taken over at its provider, and with it the account. Without a setting Cognito prefers "
    "SMS to mail.",
    sources=("aws-recovery", "nist-63b"),
    mend=mend.pool('.AccountRecoverySetting.RecoveryMechanisms = [{"Name": "verified_email", "Priority": 1}]'),
    breaks="Users without a verified address cannot reset their password by themselves.",
)
def recovery_by_phone(pool, _):
    mechanisms = (pool.detail.get("AccountRecoverySetting") or {}).get("RecoveryMechanisms") or []
    first = min(mechanisms, key=lambda one: one.get("Priority", 9), default={}).get("Name")
    writes = "phone_number" in pool.sign_in_attributes | set(pool.detail.get("AutoVerifiedAttributes") or [])
    if first == "verified_phone_number":
        sends = pool.detail.get("SmsConfiguration")
        text = "The phone number is the first way of recovery."
        yield Hit(text if sends else text + " The pool sends no text messages yet.", None if sends else INFO)
    elif not mechanisms and (writes or pool.detail.get("SmsConfiguration")):
        yield "No way of recovery is set, and Cognito prefers SMS."
    elif not mechanisms:
        yield Hit("No way of recovery is set. The pool sends no text messages, so mail is used.", INFO)


@check(
    "pool-deletion-protection",
    MEDIUM,
    "One call deletes the pool",
    why="A deleted pool takes its users, passwords and subs with it. AWS Support may restore it for 14 days; "
    "Cognito has no other backup.",
    sources=("aws-deletion", "aws-deletion-api"),
    mend=mend.pool('.DeletionProtection = "ACTIVE"'),
    breaks="The pool can be deleted only after protection is set to INACTIVE.",
)
def deletion_protection(pool, _):
    if pool.detail.get("DeletionProtection", "INACTIVE") != "ACTIVE":
        kept = pool.is_retained
        text = "Deletion protection is off" + ("; the stack keeps the pool when it is deleted." if kept else ".")
        yield Hit(text, INFO if kept else None)


@check(
    "pool-threat-protection",
    INFO,
    "Threat protection is off or only watches",
    why="Cognito's own detection of stolen passwords and unusual sign-ins needs the Plus plan, which costs per user.",
    sources=("aws-threat-protection",),
    mend=mend.pool('.UserPoolTier = "PLUS" | .UserPoolAddOns.AdvancedSecurityMode = "ENFORCED"'),
    breaks="The plan costs per active user. Sign-ins that look unusual are refused or need a second factor.",
)
def threat_protection(pool, _):
    mode = (pool.detail.get("UserPoolAddOns") or {}).get("AdvancedSecurityMode") or "OFF"
    if mode == "OFF":
        yield "Threat protection is off."
    elif mode == "AUDIT":
        yield Hit("Threat protection is paid for and only watches (AUDIT).", LOW)


@check(
    "pool-stolen-passwords",
    LOW,
    "Known stolen passwords are accepted",
    why="The pool pays for threat protection, and lets a password from a public leak sign in. Cognito compares "
    "passwords only, so a sign-in by SRP is never blocked.",
    sources=("aws-threat-protection",),
    # No events are all events.
    mend=mend.risk(
        '.CompromisedCredentialsRiskConfiguration |= (.Actions.EventAction = "BLOCK" '
        '| if (.EventFilter // []) == [] then . else .EventFilter |= (. + ["SIGN_IN"] | unique) end)'
    ),
    breaks="Users of leaked passwords must reset them.",
)
def stolen_passwords(pool, _):
    if pool.risk is None:
        return
    setting = pool.risk.get("CompromisedCredentialsRiskConfiguration") or {}
    events = setting.get("EventFilter") or ["SIGN_IN"]
    if (setting.get("Actions") or {}).get("EventAction") != "BLOCK" or "SIGN_IN" not in events:
        yield "A sign-in with a stolen password is not blocked."


@check(
    "pool-risky-sign-ins",
    LOW,
    "A high-risk sign-in is not stopped",
    why="The pool pays for threat protection, which rates a sign-in as high risk, and nothing happens.",
    sources=("aws-threat-protection",),
    mend=mend.risk(
        '.AccountTakeoverRiskConfiguration.Actions.HighAction |= ({"Notify": false} + . + {"EventAction": "BLOCK"})'
    ),
    breaks="A user whose sign-in looks unusual is refused.",
)
def risky_sign_ins(pool, _):
    if pool.risk is None:
        return
    actions = (pool.risk.get("AccountTakeoverRiskConfiguration") or {}).get("Actions") or {}
    if (actions.get("HighAction") or {}).get("EventAction", "NO_ACTION") == "NO_ACTION":
        yield "A high-risk sign-in causes no action."


@check(
    "pool-risk-exceptions",
    MEDIUM,
    "Threat protection skips a wide range of addresses",
    why="Sign-ins from skipped addresses are never rated. A range of millions is no exception but an off switch.",
    sources=("aws-threat-protection",),
    mend=mend.risk(".RiskExceptionConfiguration.SkippedIPRangeList -= [{range}]", "range"),
    breaks="Sign-ins from these addresses are rated again.",
)
def risk_exceptions(pool, _):
    ranges = ((pool.risk or {}).get("RiskExceptionConfiguration") or {}).get("SkippedIPRangeList") or []
    for text in ranges:
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen < (16 if network.version == 4 else 32):
            yield Hit(f"Addresses of {text} are not rated.", values={"range": text}, part=text)


@check(
    "pool-email-default",
    INFO,
    "Cognito's own mailer sends the mails",
    why="It sends 50 mails a day. The next sign-up or reset gets no code.",
    sources=("aws-email",),
    mend=mend.pool('.EmailConfiguration += {"EmailSendingAccount": "DEVELOPER", "SourceArn": "<SES identity>"}'),
    breaks="Amazon SES must be out of its sandbox first.",
)
def email_default(pool, _):
    configuration = pool.detail.get("EmailConfiguration") or {}
    if configuration.get("EmailSendingAccount", "COGNITO_DEFAULT") == "COGNITO_DEFAULT":
        yield "Mails are sent by Cognito itself, 50 a day."


@check(
    "pool-mail-fails",
    HIGH,
    "Cognito reports that it cannot send",
    why="Codes for sign-up, recovery and the second factor do not arrive.",
    sources=("aws-email", "aws-sms"),
    mend="aws cognito-idp describe-user-pool --user-pool-id {pool} "
    "--query 'UserPool.[EmailConfigurationFailure,SmsConfigurationFailure]'",
    breaks="Nothing.",
)
def mail_fails(pool, _):
    for kind in ("EmailConfigurationFailure", "SmsConfigurationFailure"):
        if pool.detail.get(kind):
            yield Hit(f"The pool has {kind}.", part=kind)


@check(
    "pool-sms-external-id",
    LOW,
    "The role for text messages can be used through another pool",
    why="Without an external id another user pool that names the role can send at this account's cost.",
    sources=("aws-sms",),
    mend=mend.pool('.SmsConfiguration.ExternalId = "<id in the role\'s trust policy>"').replace("'s", "s"),
    breaks="Text messages fail until the role's trust policy has the same id.",
)
def sms_external_id(pool, _):
    configuration = pool.detail.get("SmsConfiguration") or {}
    if configuration.get("SnsCallerArn") and not configuration.get("ExternalId"):
        yield "SmsConfiguration has no ExternalId."


@check(
    "pool-devices-skip-mfa",
    LOW,
    "Remembered devices skip the second factor",
    why="Every device is remembered without asking, so the holder of a used device needs the password alone.",
    sources=("aws-devices",),
    mend=mend.pool(".DeviceConfiguration.DeviceOnlyRememberedOnUserPrompt = true"),
    breaks="Users are asked whether to remember a device.",
)
def devices_skip_mfa(pool, _):
    devices = pool.detail.get("DeviceConfiguration") or {}
    if devices.get("ChallengeRequiredOnNewDevice") and not devices.get("DeviceOnlyRememberedOnUserPrompt"):
        yield "All devices are remembered, and a remembered one needs no second factor."


@check(
    "pool-trigger-missing",
    HIGH,
    "A trigger's function does not exist",
    why="Cognito refuses each sign-up, sign-in or reset that would invoke it.",
    sources=("aws-lambda-triggers", "aws-trigger-errors"),
    # PreTokenGeneration repeats the ARN of PreTokenGenerationConfig.
    mend=mend.pool('del(.LambdaConfig[{trigger}], .LambdaConfig[{trigger} + "Config"])', "trigger"),
    breaks="What the trigger did is not done any more.",
)
def trigger_missing(pool, _):
    for name, function in pool.triggers.items():
        if function.configuration == {}:
            yield Hit(f"{name} invokes {function.name}, which does not exist.", values={"trigger": name}, part=name)


@check(
    "pool-trigger-forbidden",
    HIGH,
    "Cognito may not invoke a trigger",
    why="Cognito refuses each sign-up, sign-in or reset that would invoke it.",
    sources=("aws-lambda-triggers", "aws-trigger-errors"),
    mend="aws lambda add-permission --function-name {function} --statement-id cognito-{pool} "
    "--action lambda:InvokeFunction --principal cognito-idp.amazonaws.com --source-arn {pool_arn}",
    breaks="Nothing.",
)
def trigger_forbidden(pool, _):
    for name, function in pool.triggers.items():
        if function.configuration and function.policy is not None:
            allowed = list(invokers(function.policy))
            arn = pool.detail.get("Arn", "")
            if not any(matches(arn, pattern) for pattern in allowed):
                values = {"function": function.target, "pool_arn": arn}
                yield Hit(f"{name} invokes {function.name}, which does not allow this pool.", values=values, part=name)


@check(
    "pool-trigger-any-pool",
    MEDIUM,
    "Other user pools may invoke a trigger",
    why="A permission without SourceArn lets every user pool, of every account, invoke the function with users of its "
    "own: a post-confirmation trigger would revoke, a pre-token trigger would reveal.",
    sources=("aws-lambda-triggers", "cdk-19604"),
    # In this order no sign-in fails in between.
    mend="aws lambda add-permission --function-name {function} --statement-id cognito-{pool} "
    "--action lambda:InvokeFunction --principal cognito-idp.amazonaws.com --source-arn {pool_arn}\n"
    "aws lambda remove-permission --function-name {function} --statement-id {statement}",
    breaks="Other pools that share the function need a permission of their own.",
)
def trigger_any_pool(pool, _):
    for name, function in pool.triggers.items():
        for statement in listed((function.policy or {}).get("Statement")):
            # The id of a pool is unique across accounts, so wildcards in front of it admit no other pool.
            wide = [arn for arn in source_arns(statement) if set("*?") & set(arn.split(":", 5)[-1])]
            if allows_cognito(statement) and wide:
                sid = statement.get("Sid", "<id>")
                values = {"function": function.target, "statement": sid, "pool_arn": pool.detail.get("Arn", "")}
                yield Hit(
                    f"{name}: {function.name} allows {wide[0]} (statement {sid}).", values=values, part=f"{name}/{sid}"
                )


@check(
    "pool-web-acl",
    INFO,
    "No web ACL is in front of the pool",
    why="Cognito's public calls have limits for the whole account and region only: one client can use them up.",
    sources=("aws-waf",),
    mend="aws wafv2 associate-web-acl --web-acl-arn <acl> --resource-arn {pool_arn}",
    breaks="A rule that is too strict refuses sign-ins. A web ACL costs.",
)
def web_acl(pool, _):
    if pool.web_acl is not None and not pool.web_acl.get("WebACL"):
        yield Hit("No web ACL is associated.", values={"pool_arn": pool.detail.get("Arn", "")})


def allows_cognito(statement):
    """Whether a statement of a function's policy lets Cognito invoke it."""
    return statement.get("Effect") == "Allow" and bool({"cognito-idp.amazonaws.com", "*"} & services(statement))


def invokers(policy):
    """The patterns of pools that a function's policy allows."""
    for statement in listed(policy.get("Statement")):
        if allows_cognito(statement):
            yield from source_arns(statement)


def matches(arn, pattern):
    """Whether an ARN matches a pattern as IAM's ArnLike compares: `*` and `?` within each of the six parts."""
    if pattern == "*":
        return True
    parts, found = pattern.split(":", 5), arn.split(":", 5)
    if pattern.endswith("*"):
        # At the end of fewer parts `*` stands for the rest.
        parts += ["*"] * (6 - len(parts))
    return len(found) == len(parts) == 6 and all(map(like, found, parts))


def like(text, pattern):
    """Whether a text matches a pattern with `*` for any characters and `?` for one."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
