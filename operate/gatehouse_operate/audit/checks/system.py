"""Checks of a deployed stack of Gatehouse: what revokes, retries, sweeps and alarms."""

import datetime
import json

from gatehouse_operate.audit.finding import CRITICAL, HIGH, INFO, LOW, MEDIUM, Hit, subjects_of

check = subjects_of(lambda facts: facts.systems)
OPERATIONS = ("gatehouse-operations",)
# The calls of which user-events must learn (UserEventRule of template.yaml; a test compares them).
EVENTS = (
    "AdminAddUserToGroup AdminDeleteUser AdminDeleteUserAttributes AdminDisableProviderForUser AdminDisableUser "
    "AdminEnableUser AdminForgetDevice AdminRemoveUserFromGroup AdminResetUserPassword AdminRevokeUserSession "
    "AdminSetUserMFAPreference AdminSetUserPassword AdminSetUserSettings AdminUpdateUserAttributes "
    "AdminUserGlobalSignOut ChangePassword ConfirmForgotPassword CreateIdentityProvider DeleteGroup "
    "DeleteIdentityProvider DeleteUser DeleteUserAttributes DeleteUserPool DeleteUserPoolClient ForgetDevice "
    "GlobalSignOut RevokeToken RevokeUserSession SetUserMFAPreference SetUserPoolMfaConfig SetUserSettings "
    "UntagResource UpdateGroup UpdateIdentityProvider UpdateUserAttributes UpdateUserPool UpdateUserPoolClient "
    "VerifyUserAttribute"
).split()
TTL = {"RevocationTable": "expires_at", "SessionTable": "expires_at", "ConnectionTable": "expires_at"}
TTL |= {"AttemptTable": "expires_at", "PendingGroupsTable": "expires_at", "ApiKeyTable": "expires_at"}
TTL |= {"BrowserSessionTable": "expires_at"}
BACKED_UP = ("RevocationTable", "UsersTable", "ApiKeyTable")
# The queue to which dead letters return. SQS moves none that come from a stream or an asynchronous invocation.
DEAD_LETTERS = {
    "RetryDeadLetters": "RetryQueue",
    "LateMarkDeadLetters": "LateMarkQueue",
    "UserEventDeadLetters": "UserEventQueue",
    "CloseConnectionsDeadLetters": "",
    "ActDeadLetters": "",
}
# The queue or stream that each function reads, by the resource that is its source.
SOURCES = {
    "UserEventsFunction": ("UserEventQueue",),
    "LogoutRetryFunction": ("RetryQueue", "LateMarkQueue"),
    "CloseConnectionsFunction": ("RevocationTable",),
}
SWEEP = "UserSweepFunctionHourly"
SETTLED = datetime.timedelta(hours=1)


@check(
    "system-trail",
    HIGH,
    "No trail reports what is done at Cognito",
    why="EventBridge receives calls to Cognito only through a trail of the region. Without one a user who is disabled, "
    "or whose password is reset, at Cognito keeps the session here until the sweep; a sign-out is never seen.",
    sources=("aws-cloudtrail-events", "gatehouse-operations"),
    mend="aws cloudtrail create-trail --name gatehouse --s3-bucket-name <bucket>\n"
    "aws cloudtrail start-logging --name gatehouse",
    breaks="Nothing. The first trail's management events are free; the bucket costs.",
)
def trail(system, _):
    if system.trails is None:
        return
    here = [one for one in system.trails if is_here(one["trail"], system.region)]
    if not here:
        yield "The region has no trail."
        return
    logging = [one for one in here if one["status"] is None or one["status"].get("IsLogging")]
    if not logging:
        yield "No trail is logging."
    elif not any(writes(one["selectors"]) for one in logging):
        yield "No trail records management events that write."


@check(
    "system-event-rule",
    HIGH,
    "The rule for user events is missing, disabled or without its queue",
    why="Events of CloudTrail reach no function: nothing that is done at Cognito itself revokes a session.",
    sources=("aws-cloudtrail-events", "gatehouse-operations"),
    mend="aws events enable-rule --name {rule}",
    breaks="Nothing.",
)
def event_rule(system, _):
    if not system.has("UserEventRule"):
        if "UserEvents" not in system.parameters:
            yield Hit(
                "The stack is of core.yaml, which has no user-events: what is done at Cognito itself revokes nothing.",
                LOW,
                mend="gatehouse revoke user <name>  # after each act, or deploy the whole: docs/existing-api.md",
            )
        elif system.parameters["UserEvents"] == "true":
            yield "The stack has no UserEventRule."
        else:
            yield Hit("UserEvents is off: the hourly sweep alone finds users who were disabled at Cognito.", LOW)
        return
    found = system.rules.get("UserEventRule") or {}
    values = {"rule": found.get("name", "")}
    if found.get("rule") is None:
        return
    if not found["rule"]:
        yield Hit("The rule was deleted.", values=values)
    elif found["rule"].get("State") == "DISABLED":
        yield Hit("The rule is disabled.", values=values)
    elif found["targets"] is not None:
        queue = (system.queues.get("UserEventQueue") or {}).get("QueueArn")
        if not any(not queue or one.get("Arn") == queue for one in found["targets"]):
            yield Hit("The rule's target is not UserEventQueue.", values=values)


@check(
    "system-event-names",
    MEDIUM,
    "The rule for user events misses calls",
    why="A call that the rule does not name revokes nothing.",
    sources=("aws-cloudtrail-events", "gatehouse-operations"),
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing.",
)
def event_names(system, _):
    rule = (system.rules.get("UserEventRule") or {}).get("rule")
    if not rule or not rule.get("EventPattern"):
        return
    named = (json.loads(rule["EventPattern"]).get("detail") or {}).get("eventName")
    missing = [name for name in EVENTS if name not in named] if named else []
    if missing:
        yield f"Not in the rule: {', '.join(missing)}."


@check(
    "system-dead-letters",
    HIGH,
    "Dead letters wait",
    why="Each message is a revocation, a sign-out or an event that was not applied, or an act that no subscriber "
    "learnt of.",
    sources=("aws-dead-letters", "gatehouse-operations"),
    mend="aws sqs start-message-move-task --source-arn {queue}",
    breaks="Nothing; repair the cause first, or the messages return (docs/operations.md#alarms).",
)
def dead_letters(system, _):
    for name, source in DEAD_LETTERS.items():
        queue = system.queues.get(name) or {}
        waiting = int(queue.get("ApproximateNumberOfMessages", 0))
        if waiting:
            values = {"queue": queue.get("QueueArn", ""), "url": system.physical(name)}
            command = (
                "" if source else "aws sqs purge-queue --queue-url {url}  # once docs/operations.md#alarms is done"
            )
            yield Hit(f"{name} has about {waiting} messages.", values=values, part=name, mend=command)


@check(
    "system-queue",
    HIGH,
    "A queue is missing or not consumed",
    why="Calls that a logout could not make are not repeated, late revocations are not written, events are not read.",
    sources=OPERATIONS,
    mend="aws lambda update-event-source-mapping --uuid {mapping} --enabled",
    breaks="Nothing.",
)
def queue(system, _):
    for name, found in system.queues.items():
        if found == {}:
            yield Hit(f"{name} was deleted.", part=name)
    for function, sources in SOURCES.items():
        mappings = system.mappings.get(function)
        if mappings is None or not system.has(function):
            continue
        for source in sources:
            if not system.has(source):
                continue
            found = [one for one in mappings if reads(one, source, system)]
            if not found:
                yield Hit(f"{function} does not read {source}.", part=source)
            elif not any(
                one.get("State", "Enabled") in ("Enabled", "Enabling", "Creating", "Updating") for one in found
            ):
                values = {"mapping": found[0].get("UUID", "")}
                yield Hit(
                    f"{function} has stopped reading {source} ({found[0].get('State')}).", values=values, part=source
                )


@check(
    "system-sweep",
    HIGH,
    "The sweep does not run",
    why="It finds users whose disabling no event reported, and app clients that outlive revocations.",
    sources=OPERATIONS,
    mend="aws events enable-rule --name {rule}",
    breaks="Nothing.",
)
def sweep(system, _):
    found = system.rules.get(SWEEP)
    if found is None:
        if system.resources and system.has("UserSweepFunction"):
            yield "The stack has no schedule for user-sweep."
        return
    values = {"rule": found["name"]}
    if found["rule"] == {}:
        yield Hit("The schedule was deleted.", values=values)
    elif found["rule"] and found["rule"].get("State") == "DISABLED":
        yield Hit("The schedule is disabled.", values=values)
    elif found["targets"] == []:
        yield Hit("The schedule has no target.", values=values)


@check(
    "system-alarm-raised",
    HIGH,
    "An alarm is raised",
    why="What the alarm watches has failed. Its runbook is in docs/operations.md.",
    sources=("gatehouse-operations", "aws-alarms"),
    mend="aws cloudwatch describe-alarms --state-value ALARM --alarm-names {alarm}",
    breaks="Nothing.",
)
def alarm_raised(system, _):
    for logical, alarm in alarms(system):
        if alarm and alarm.get("StateValue") == "ALARM":
            yield Hit(f"{logical} is raised.", values={"alarm": alarm.get("AlarmName", "")}, part=logical)


@check(
    "system-alarm-silent",
    MEDIUM,
    "An alarm is missing or notifies no target",
    why="The failure that it watches is not noticed.",
    sources=("gatehouse-operations", "aws-alarms"),
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing.",
)
def alarm_silent(system, _):
    for logical, alarm in alarms(system):
        if alarm is None:
            yield Hit(f"{logical} was deleted.", part=logical)
        elif not alarm.get("ActionsEnabled", True):
            yield Hit(f"The actions of {logical} are disabled.", part=logical)
        elif not alarm.get("AlarmActions") and logical != "AuthorizerDeploymentAlarm":
            yield Hit(f"{logical} has no action.", part=logical)


@check(
    "system-topic-unread",
    INFO,
    "The alarms' topic has no subscriber",
    why="Alarms and security messages are published, and reach no mailbox.",
    sources=("gatehouse-operations", "aws-alarms"),
    mend="make deploy CONFIG={stack} YES=1 SET=SecurityMail=<address>",
    breaks="Nothing. The address must confirm the subscription.",
)
def topic_unread(system, _):
    if system.subscriptions is None:
        return
    confirmed = [one for one in system.subscriptions if one.get("SubscriptionArn") != "PendingConfirmation"]
    if not system.subscriptions:
        yield "SecurityTopic has no subscription."
    elif not confirmed:
        yield Hit("No subscription of SecurityTopic was confirmed.", MEDIUM)


@check(
    "system-table",
    CRITICAL,
    "A table is missing",
    why="Without the revocation table every decision is a 500, and no logout is acknowledged.",
    sources=OPERATIONS,
    mend="aws dynamodb list-backups --table-name {table} --backup-type SYSTEM",
    breaks="See docs/operations.md#the-table-was-restored-to-an-earlier-time.",
)
def table(system, _):
    for logical, found in system.tables.items():
        if found["table"] == {}:
            severity = None if logical == "RevocationTable" else HIGH
            yield Hit(f"{logical} was deleted.", severity, values={"table": found["name"]}, part=logical)


@check(
    "system-ttl",
    HIGH,
    "A table's time to live is not that of the functions",
    why="With another attribute rows disappear too early, or none does: the revocation table grows, and each scan of "
    "the sweep with it.",
    sources=("aws-ttl", "gatehouse-operations"),
    mend="aws dynamodb update-time-to-live --table-name {table} "
    "--time-to-live-specification Enabled=true,AttributeName=expires_at",
    breaks="Nothing.",
)
def ttl(system, _):
    for logical, attribute in TTL.items():
        found = (system.tables.get(logical) or {}).get("ttl")
        if found is None:
            continue
        values = {"table": system.tables[logical]["name"]}
        if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
            yield Hit(f"{logical} has no time to live.", MEDIUM, values=values, part=logical)
        elif found.get("AttributeName") != attribute:
            yield Hit(
                f"{logical} expires by {found.get('AttributeName')}, not by {attribute}.", values=values, part=logical
            )


@check(
    "system-pitr",
    MEDIUM,
    "A table has no point-in-time recovery",
    why="After a mistaken deletion the revocations, the profiles or the API keys are gone.",
    sources=("aws-pitr", "gatehouse-operations"),
    mend="aws dynamodb update-continuous-backups --table-name {table} "
    "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
    breaks="Nothing. Backups cost.",
)
def pitr(system, _):
    for logical in BACKED_UP:
        backups = (system.tables.get(logical) or {}).get("backups")
        if backups is None:
            continue
        status = (backups.get("PointInTimeRecoveryDescription") or {}).get("PointInTimeRecoveryStatus")
        if status != "ENABLED":
            yield Hit(f"{logical} has none.", values={"table": system.tables[logical]["name"]}, part=logical)


@check(
    "system-table-deletion",
    MEDIUM,
    "One call deletes a table",
    why="Without the revocation table no request passes, and what was revoked passes again after a restore.",
    sources=OPERATIONS,
    mend="make deploy CONFIG={stack} YES=1 SET=DeletionProtection=true",
    breaks="The table can be deleted only after protection is off.",
)
def table_deletion(system, _):
    for logical in BACKED_UP:
        found = (system.tables.get(logical) or {}).get("table")
        if found and not found.get("DeletionProtectionEnabled"):
            kept = logical in (system.retained or ())
            text = f"{logical} has no deletion protection" + ("; the stack keeps it." if kept else ".")
            yield Hit(text, INFO if kept else None, part=logical)


@check(
    "system-function-missing",
    HIGH,
    "A function of the stack does not exist",
    why="What it does is not done; a missing authorizer or trigger refuses every request or sign-in.",
    sources=OPERATIONS,
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing.",
)
def function_missing(system, _):
    for logical, function in system.functions.items():
        if function.configuration == {}:
            yield Hit(f"{logical} was deleted.", part=logical)


@check(
    "system-function-changed",
    LOW,
    "A function's code or variables are not those of the stack",
    why="The function was changed after the stack's last update of it, by hand: its code may be older than the "
    "template's, its variables others.",
    sources=("aws-stack-drift", "gatehouse-operations"),
    mend="aws cloudformation detect-stack-drift --stack-name {stack}",
    breaks="Nothing; the next deployment replaces the change.",
)
def function_changed(system, _):
    for logical, function in system.functions.items():
        changed = moment((function.configuration or {}).get("LastModified"))
        deployed = moment(system.resources[logical].get("LastUpdatedTimestamp"))
        if changed and deployed and abs(changed - deployed) > SETTLED and system.detail.get("StackStatus") in STABLE:
            if changed > deployed:
                text = f"{logical} was changed on {changed:%Y-%m-%d}; the stack deployed it on {deployed:%Y-%m-%d}."
                yield Hit(text, part=logical)
            else:
                text = f"{logical} is of {changed:%Y-%m-%d}; the stack updated it on {deployed:%Y-%m-%d}."
                yield Hit(text, MEDIUM, part=logical)


@check(
    "system-authorizer-version",
    MEDIUM,
    "The authorizer's alias is not at the template's version",
    why="API Gateway invokes older code than the template's: a roll-back, or a deployment that did not finish.",
    sources=("aws-lambda-versions", "gatehouse-operations"),
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing, once the reason for the roll-back is repaired.",
)
def authorizer_version(system, _):
    deployed = system.physical("AuthorizerVersion").rpartition(":")[2]
    used = (system.alias or {}).get("FunctionVersion", "")
    if deployed.isdigit() and used.isdigit() and used != deployed:
        yield f"The alias is at version {used}, the template's is {deployed}."


@check(
    "system-lifetimes-differ",
    HIGH,
    "Functions keep revocations for different times",
    why="A revocation that one function writes expires before a session that another one knows.",
    sources=OPERATIONS,
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing.",
)
def lifetimes_differ(system, _):
    yield from differing(system, "REFRESH_TOKEN_TTL_SECONDS", " s")


@check(
    "system-other-table",
    CRITICAL,
    "Functions use different revocation tables",
    why="What one function revokes, the authorizer does not read.",
    sources=OPERATIONS,
    mend="make deploy CONFIG={stack} YES=1",
    breaks="Nothing.",
)
def other_table(system, _):
    yield from differing(system, "REVOCATION_TABLE")


def differing(system, variable, unit=""):
    """A text with the functions by each value of a variable, if there are several values."""
    found = {}
    for logical, function in system.functions.items():
        if value := function.variables.get(variable):
            found.setdefault(value, []).append(logical)
    if len(found) > 1:
        each = "; ".join(f"{value}{unit}: {', '.join(sorted(names))}" for value, names in sorted(found.items()))
        yield f"{variable} differs: {each}."


@check(
    "system-stack-state",
    MEDIUM,
    "The stack's last deployment failed",
    why="What the template says is not what runs.",
    sources=("aws-stack-drift",),
    mend="aws cloudformation describe-stack-events --stack-name {stack}",
    breaks="Nothing.",
)
def stack_state(system, _):
    status = system.detail.get("StackStatus", "")
    if "FAILED" in status or status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"):
        yield f"The stack is in {status}."


STABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


def is_here(trail, region):
    return trail.get("IsMultiRegionTrail") or trail.get("HomeRegion") in (region, None) or not region


def writes(selectors):
    """Whether a trail records management events that write; unread selectors are a finding of their own."""
    if selectors is None:
        return True
    for one in selectors.get("EventSelectors") or []:
        if one.get("IncludeManagementEvents", True) and one.get("ReadWriteType", "All") in ("All", "WriteOnly"):
            return "cognito-idp.amazonaws.com" not in (one.get("ExcludeManagementEventSources") or [])
    for one in selectors.get("AdvancedEventSelectors") or []:
        fields = {member.get("Field"): member for member in one.get("FieldSelectors") or []}
        management = "Management" in ((fields.get("eventCategory") or {}).get("Equals") or [])
        if management and "true" not in ((fields.get("readOnly") or {}).get("Equals") or []):
            return True
    return not selectors.get("EventSelectors") and not selectors.get("AdvancedEventSelectors")


def reads(mapping, source, system):
    """Whether an event source mapping reads one of the stack's queues, or a table's stream."""
    arn = str(mapping.get("EventSourceArn", ""))
    if queue := system.queues.get(source):
        return arn == queue.get("QueueArn")
    name = system.physical(source).rpartition("/")[2]
    return bool(name) and (arn.endswith(f":{name}") or f":table/{name}/" in arn)


def alarms(system):
    """Each alarm of the stack by its logical id; None for one that was deleted."""
    if system.alarms is None:
        return
    known = {one.get("AlarmName"): one for one in system.alarms}
    for logical, one in system.resources.items():
        if one.get("ResourceType") == "AWS::CloudWatch::Alarm":
            yield logical, known.get(one.get("PhysicalResourceId"))


def moment(value):
    """A time of an answer, as boto3 or JSON has it."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.replace("+0000", "+00:00").replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime.datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
