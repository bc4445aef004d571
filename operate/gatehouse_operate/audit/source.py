"""Where the answers of AWS come from: the account itself, or a folder of exported JSON files.

Both return the same shapes, so the reader and the checks do not know which one they have.
"""

import contextlib
import hashlib
import json
import pathlib
import re
import threading
import time

from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError, PartialCredentialsError

from gatehouse_operate.audit import shapes
from gatehouse_operate.audit.calls import CALLS
from gatehouse_operate.audit.facts import Problem, document

REMOVED = "(removed)"
# Members that hold secrets. They are removed as soon as an answer is received.
SECRETS = {"ClientSecret", "HeaderValue", "TemplateURL", "Token", "client_secret", "private_key", "variables"}
# The variables of Gatehouse's functions that a check reads. Other variables of a function may be secrets.
VARIABLES = {
    "APP_CLIENT_IDS",
    "AUTHORIZER_TTL_SECONDS",
    "POLICY_SCOPE",
    "REFRESH_TOKEN_TTL_SECONDS",
    "REVOCATION_TABLE",
    "USER_POOL_ID",
}
# The parameters of a stack that a check reads. Others may be secrets of a stack that is not Gatehouse's.
PARAMETERS = {"AllowedOrigin", "ApiDomainName", "AppBaseUrl", "UserEvents"}
# The outputs of a stack that the audit reads.
OUTPUTS = {"AuthorizerArn", "RevocationTableName", "UserPoolId"}
# Stage variables, external ids, and addresses of subscriptions, which may have a password.
SECRETS |= {"StageVariables", "stageVariableOverrides", "ExternalId", "Endpoint"}
# Parameters that a load balancer adds to requests to an identity provider.
SECRETS |= {"AuthenticationRequestExtraParams"}
# Members of which checks read a part; the rest may be secrets: headers that a backend or a firewall expects, texts for
# a rule's target, arguments of a function's container, headers that a load balancer's rule demands.
PARTS = {
    "Conditions": ("Field",),
    "methodIntegration": ("type", "uri"),
    "Targets": ("Id", "Arn"),
    "WebACL": ("Name", "Id", "ARN"),
    "ImageConfigResponse": (),
}
# Keys of conditions whose values are passwords in all but name.
CONDITIONS = {"aws:referer", "aws:useragent", "lambda:eventsourcetoken", "sts:externalid"}
ABSENT = {
    "ListenerNotFound",
    "LoadBalancerNotFound",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchEntity",
    "NoSuchEntityException",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "TrailNotFoundException",
    "WAFNonexistentItemException",
}
FATAL = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
DENIED = re.compile("AccessDenied|Unauthorized|NotAuthorized|Forbidden|AuthorizationError")
THROTTLED = re.compile("Throttl|TooManyRequests|LimitExceeded|RequestLimit|SlowDown")
# Cognito's quotas: 15 requests a second for reading app clients (UserPoolClientRead), 5 for one operation on one pool.
PER_SECOND = 5
# The identifiers of a call, its name and `.json` fit into the 255 bytes of a file name.
LONGEST = 180
# The bytes of an exported file. AWS's largest answers, a stack's template or an API's resources, have a few MB.
LARGEST = 64 << 20


class Absent(Exception):
    """AWS says that the resource does not exist."""


class Unread(Exception):
    """The answer could not be read. `kind` is denied, throttled, missing or failed; the text says why."""

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind = kind


class Fatal(Exception):
    """Nothing can be read: no credentials, no region, no folder."""


class Live:
    """Reads the account of an `Aws`."""

    def __init__(self, aws, per_second=PER_SECOND):
        self._aws = aws
        self._lock = threading.Lock()
        self._per_second = per_second
        self._paces = {}

    def fetch(self, call, parameters):
        """The answer to the call, all pages of it, without secrets."""
        if call.service == "cognito-idp":
            self._pace_of(call, parameters.get("UserPoolId")).wait()
        try:
            return redacted(self._ask(self._client_of(call.service), call, parameters))
        except (NoCredentialsError, NoRegionError, PartialCredentialsError) as error:
            raise Fatal(str(error)) from None
        except ClientError as error:
            raise classified(error) from None
        except Exception as error:  # The boundary to a library: an unreadable answer is a finding, never a crash.
            raise Unread("failed", type(error).__name__) from None

    def _pace_of(self, call, pool):
        with self._lock:
            return self._paces.setdefault((call.operation, pool), Pace(self._per_second))

    def _client_of(self, service):
        with self._lock:
            return self._aws.client(service)

    def _ask(self, client, call, parameters):
        given = {name: value for name, value in parameters.items() if value not in (None, "")}
        if call.name == "apigateway.get-resources":
            given["embed"] = ["methods"]
        if call.name == "sqs.get-queue-attributes":
            given["AttributeNames"] = ["All"]
        if call.name == "cloudformation.get-template":
            given["TemplateStage"] = "Processed"
        if client.can_paginate(call.operation):
            answer = client.get_paginator(call.operation).paginate(**given).build_full_result()
        else:
            answer = whole(getattr(client, call.operation), given)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def whole(operation, given):
    """The answer of an operation that boto3 has no paginator for, with the entries of all its pages."""
    answer = operation(**given)
    while token := answer.get("NextToken"):
        page = operation(**given, NextToken=token)
        lists = {key: answer.get(key, []) + page[key] for key in page if isinstance(page[key], list)}
        answer = page | lists
    return answer


class Pace:
    """Spaces calls of all threads so that no more than so many begin in a second."""

    def __init__(self, per_second, clock=time.monotonic, sleep=time.sleep):
        self._gap = 1 / per_second
        self._next = 0.0
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()

    def wait(self):
        """Returns when the next call may begin."""
        with self._lock:
            now = self._clock()
            at = max(self._next, now)
            self._next = at + self._gap
        if at > now:
            self._sleep(at - now)


class Folder:
    """Reads files that `--save` or the AWS CLI wrote: `cognito-idp.describe-user-pool.<pool id>.json`."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder)
        if not self.path.is_dir():
            raise Fatal(f"{folder} is not a folder")
        self._files = {file.name.removesuffix(".json"): file for file in sorted(self.path.glob("*.json"))}
        if not self._files:
            raise Fatal(f"{folder} has no *.json file")
        self._asked = set()

    def fetch(self, call, parameters):
        """The answer in the file of this call, without secrets."""
        name = file_name(call, parameters)
        # The file may omit the identifiers if it is the only one of its operation.
        file = self._files.get(name) or self._named(call, parameters) or self._only(call)
        if file is None:
            raise Unread("missing", f"no file {name}.json")
        self._asked.add(file)
        return self._answer(call, file)

    def _answer(self, call, file):
        answer = parsed(file)
        if isinstance(answer, dict) and isinstance(error := answer.get("Error"), dict):
            raise of_code(str(error.get("Code", "")), str(error.get("Message", "")))
        try:
            path = shapes.misfit(answer, shapes.output(call)) if isinstance(answer, dict) else "the answer"
            if path:
                raise Unread("failed", f"{file.name} is no answer of AWS: {path}")
            return redacted(answer)
        except RecursionError:
            raise Unread("failed", f"{file.name} is nested too deeply") from None

    def answers(self, call):
        """The answers in all files of one operation; files that cannot be read are left to `fetch`."""
        for name, file in self._files.items():
            if name == call.name or name.startswith(call.name + "."):
                with contextlib.suppress(Unread):
                    answer = parsed(file)
                    if isinstance(answer, dict) and not shapes.misfit(answer, shapes.output(call)):
                        yield answer

    def broken(self, names):
        """A Problem for each file of these operations that `fetch` was not asked for, and that has no answer."""
        found = []
        for name, file in self._files.items():
            call = CALLS.get(".".join(name.split(".")[:2]))
            if call and call.name in names and file not in self._asked:
                try:
                    self._answer(call, file)
                except Absent as error:
                    found.append(Problem(call, file.name, "absent", str(error)))
                except Unread as error:
                    found.append(Problem(call, file.name, error.kind, str(error)))
        return found

    def _only(self, call):
        found = [name for name in self._files if name == call.name or name.startswith(call.name + ".")]
        return self._files[call.name] if found == [call.name] else None

    def _named(self, call, parameters):
        """The file with the name of a function that is asked for by its ARN."""
        arn = str(parameters.get("FunctionName", "")).split(":")
        name = parameters | {"FunctionName": arn[6]} if len(arn) > 6 else parameters
        return self._files.get(file_name(call, name))


def parsed(file):
    """The JSON value in a file: UTF-8, or UTF-16 as PowerShell's `>` writes it."""
    try:
        if file.stat().st_size > LARGEST:
            raise Unread("failed", f"{file.name} is larger than {LARGEST >> 20} MiB")
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise Unread("failed", f"{file.name} is not JSON") from None


class Saving:
    """Passes answers of another source on, and writes each into a folder that `Folder` reads."""

    def __init__(self, source, folder):
        self._source = source
        self._folder = pathlib.Path(folder)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lists = {}

    def fetch(self, call, parameters):
        """The other source's answer."""
        try:
            answer = self._source.fetch(call, parameters)
        except Absent:
            self._write(call, parameters, {"Error": {"Code": "NotFoundException"}})
            raise
        except Unread as error:
            if error.kind == "denied":
                self._write(call, parameters, {"Error": {"Code": "AccessDeniedException"}})
            raise
        self._write(call, parameters, answer)
        return answer

    def _write(self, call, parameters, answer):
        if any(isinstance(parameters.get(key), list) for key in call.by):
            # The names of a list are not in the file's name: one file has all answers of the call.
            answer = self._lists[call.name] = joined(self._lists.get(call.name, {}), answer)
        text = json.dumps(answer, indent=1, default=plain, ensure_ascii=False)
        (self._folder / f"{file_name(call, parameters)}.json").write_text(text + "\n", "utf-8", "backslashreplace")


def joined(one, other):
    """One answer with the lists of two. An error stays: what the other answer lacks would look deleted."""
    if "Error" in one or "Error" in other:
        return one if "Error" in one else other
    lists = {key: [*one.get(key, []), *value] for key, value in other.items() if isinstance(value, list)}
    return one | other | lists


def plain(value):
    """A time as the AWS CLI writes it."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def file_name(call, parameters):
    """The name of the call's file, without `.json`."""
    # A list of alarms is always the stack's; its names make no usable file name.
    values = [parameters.get(key) for key in call.by if not isinstance(parameters.get(key), list)]
    return ".".join([call.name, *(spelled(str(value), LONGEST // len(call.by)) for value in values if value)])


def spelled(value, longest):
    """An identifier as a part of a file name: `:` and `/` become `_`, other special characters `~` and their code.

    A long one is cut, and gets the beginning of its SHA-256."""
    safe = re.sub(r"[^A-Za-z0-9_-]", lambda one: f"~{ord(one[0]):x}", re.sub("[:/]", "_", value))
    return safe if len(safe) <= longest else safe[:longest] + hashlib.sha256(value.encode()).hexdigest()[:8]


def classified(error):
    """Absent, Unread or Fatal for an error of botocore, without its message: that may quote what was sent."""
    return of_code(error.response.get("Error", {}).get("Code", ""), error.response.get("Error", {}).get("Message", ""))


def of_code(code, message):
    """Absent, Unread or Fatal for an error code of AWS."""
    if code in FATAL:
        return Fatal(f"AWS refused the credentials: {code}")
    if code in ABSENT or (code == "ValidationError" and "does not exist" in message):
        return Absent(code)
    if DENIED.search(code):
        return Unread("denied", code)
    if THROTTLED.search(code):
        return Unread("throttled", code)
    return Unread("failed", code or "unknown error")


def redacted(value, key=""):
    """A copy of an answer without secrets and nulls."""
    if key in SECRETS and value:
        return REMOVED if isinstance(value, str) else {}
    if key.lower() in CONDITIONS:
        return REMOVED
    if key in PARTS:
        value = part(value, PARTS[key])
    if key == "uri" and "/functions/" not in str(value):
        # An address of a backend, which may have a key in its query.
        return REMOVED
    if key.endswith(("olicy", "Document")) and isinstance(value, str) and document(value):
        return json.dumps(redacted(document(value)))
    if key == "Variables" and isinstance(value, dict):
        return {name: text for name, text in value.items() if name in VARIABLES}
    if key == "TemplateBody":
        return kept_of_template(value)
    if isinstance(value, dict) and value.get("OutputKey", "UserPoolId") not in OUTPUTS:
        return {"OutputKey": value["OutputKey"], "OutputValue": REMOVED}
    if isinstance(value, dict) and value.get("ResourceType") == "AWS::AppSync::ApiKey":
        # Its ARN ends with the key.
        return {**value, "PhysicalResourceId": REMOVED}
    if key == "apiKeys" and isinstance(value, list):
        # The id of one of AppSync's keys is the key.
        return [redacted({**one, "id": REMOVED}) if isinstance(one, dict) else REMOVED for one in value]
    if isinstance(value, dict):
        if "ParameterKey" in value and value["ParameterKey"] not in PARAMETERS:
            return {"ParameterKey": value["ParameterKey"], "ParameterValue": REMOVED}
        # SDKs other than boto3 and the AWS CLI write null for what AWS leaves out.
        return {name: redacted(member, name) for name, member in value.items() if member is not None}
    if isinstance(value, (list, tuple)):
        return [redacted(member) for member in value if member is not None]
    return value


def part(value, names):
    """An object with these members only, or a list of such objects."""
    if isinstance(value, dict):
        return {name: member for name, member in value.items() if name in names}
    return [part(one, names) for one in value] if isinstance(value, (list, tuple)) else value


def kept_of_template(body):
    """Types and deletion policies of a template's resources; the rest may hold secrets, and no check reads it."""
    template = document(body) or {}
    resources = template.get("Resources") if isinstance(template.get("Resources"), dict) else {}
    members = ("Type", "DeletionPolicy")
    kept = {
        name: {key: one[key] for key in members if key in one}
        for name, one in resources.items()
        if isinstance(one, dict)
    }
    return {"Resources": kept}
