"""Plants faults in a running local stack, as context managers that remove them: a permission that a role lost, a
throttled table, another app client's id, a key set without the keys in use or out of reach, an app client's secret that
is no longer the one in Secrets Manager. docs/operations.md tells how an operator finds each; test_faults.py follows
it."""

import contextlib
import hashlib
import http.client
import http.server
import json
import secrets
import threading
import urllib.parse

import client

# DynamoDB's answer to a call for a table, or a partition of one, without capacity.
# Source: AWS, "Error handling with DynamoDB", "ProvisionedThroughputExceededException".
THROTTLED = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "The level of configured provisioned throughput for the table was exceeded.",
    }
).encode()


# An id that no pool has.
UNKNOWN_CLIENT = "4example0wrong0client0id1"


def resources(state):
    """The physical ids of the stack's resources, by logical id."""
    stacks = client.aws_client("cloudformation", state["endpoint"])
    found = stacks.describe_stack_resources(StackName="gatehouse")["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}


@contextlib.contextmanager
def variables(state, function, changes):
    """Gives a function other environment variables. Its processes start anew, as Lambda's do."""
    functions = client.aws_client("lambda", state["endpoint"])
    name = {"FunctionName": resources(state)[function]}
    before = functions.get_function_configuration(**name)["Environment"]["Variables"]
    functions.update_function_configuration(**name, Environment={"Variables": before | changes})
    try:
        yield before
    finally:
        functions.update_function_configuration(**name, Environment={"Variables": before})


@contextlib.contextmanager
def policy(state, function, change):
    """Gives a function's role the statements that `change` makes of those that it has. The role has one policy."""
    roles = client.aws_client("iam", state["endpoint"])
    role = {"RoleName": resources(state)[f"{function}Role"]}
    (name,) = roles.list_role_policies(**role)["PolicyNames"]
    document = roles.get_role_policy(**role, PolicyName=name)["PolicyDocument"]

    def put(statements):
        text = json.dumps(document | {"Statement": statements})
        roles.put_role_policy(**role, PolicyName=name, PolicyDocument=text)

    put(change(document["Statement"]))
    try:
        yield
    finally:
        put(document["Statement"])


def actions(statement):
    """The actions of a policy's statement, which has one or several."""
    given = statement["Action"]
    return [given] if isinstance(given, str) else given


@contextlib.contextmanager
def missing_permission(state, function, action):
    """The function's role loses the statements that allow the action."""

    def without(statements):
        kept = [one for one in statements if action not in actions(one)]
        if kept == statements:
            raise AssertionError(f"the role of {function} does not allow {action}")
        return kept

    with policy(state, function, without):
        yield


@contextlib.contextmanager
def throttled_table(state, function, table):
    """DynamoDB throttles each call of the function that names the table."""
    with serving(DynamoDb, backend=urllib.parse.urlsplit(state["endpoint"]).netloc, table=table.encode()) as url:
        with variables(state, function, {"AWS_ENDPOINT_URL_DYNAMODB": url}):
            yield


@contextlib.contextmanager
def wrong_client_id(state, function):
    """The function is configured with an app client that the pool does not have."""
    with variables(state, function, {"APP_CLIENT_IDS": UNKNOWN_CLIENT}):
        yield


@contextlib.contextmanager
def withdrawn_key_set(state, function):
    """The issuer publishes other keys than those of the tokens in use: the same ones under other key ids."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(state["endpoint"]).netloc, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", f"/{state['user_pool_id']}/.well-known/jwks.json")
        keys = json.load(connection.getresponse())["keys"]
    others = [key | {"kid": hashlib.sha256(key["kid"].encode()).hexdigest()} for key in keys]
    with serving(Document, body=json.dumps({"keys": others}).encode()) as url:
        with variables(state, function, {"JWKS_URI": f"{url}/jwks.json"}):
            yield


@contextlib.contextmanager
def unreachable_key_set(state, function):
    """Nothing listens at the address of the issuer's keys."""
    with serving(Document, body=b"") as url:
        pass
    with variables(state, function, {"JWKS_URI": f"{url}/jwks.json"}):
        yield


@contextlib.contextmanager
def confidential_client(state):
    """An app client with a secret, as `ConfidentialClient=true` creates it, with which auth-api signs users in. Yields
    the secret's ARN in Secrets Manager and the client's id."""
    cognito = client.aws_client("cognito-idp", state["endpoint"])
    store = client.aws_client("secretsmanager", state["endpoint"])
    pool = {"UserPoolId": state["user_pool_id"]}
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    settings = {"GenerateSecret": True, "ExplicitAuthFlows": flows, "PreventUserExistenceErrors": "ENABLED"}
    made = cognito.create_user_pool_client(**pool, ClientName="confidential", **settings)["UserPoolClient"]
    name = f"confidential-{secrets.token_hex(4)}"
    arn = store.create_secret(Name=name, SecretString=made["ClientSecret"])["ARN"]
    read = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
    ids = f"{made['ClientId']},{state['client_id']}"
    try:
        with policy(state, "AuthApiFunction", lambda statements: [*statements, read]):
            with variables(state, "AuthApiFunction", {"APP_CLIENT_IDS": ids, "APP_CLIENT_SECRET_ARN": arn}):
                yield arn, made["ClientId"]
    finally:
        store.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        cognito.delete_user_pool_client(**pool, ClientId=made["ClientId"])


@contextlib.contextmanager
def expired_secret(state, arn):
    """The app client has another secret than Secrets Manager. MiniStack has no call that replaces a client's secret, so
    the copy in Secrets Manager is replaced, and auth-api started anew as after a deployment."""
    store = client.aws_client("secretsmanager", state["endpoint"])
    current = store.get_secret_value(SecretId=arn)["SecretString"]
    store.put_secret_value(SecretId=arn, SecretString=secrets.token_urlsafe(38))
    try:
        with variables(state, "AuthApiFunction", {"APP_NAME": "Restarted"}):
            yield
    finally:
        store.put_secret_value(SecretId=arn, SecretString=current)


@contextlib.contextmanager
def serving(handler, **members):
    """Serves on a free port of the loopback interface, and yields the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), members))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Document(http.server.BaseHTTPRequestHandler):
    """Answers each GET with `body`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Logs nothing."""

    def do_GET(self):
        self.give(200, "application/json", self.body)

    def give(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class DynamoDb(Document):
    """Throttles calls whose body names `table`, and forwards the others to `backend`."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b'"%s"' % self.table in body:
            return self.give(400, "application/x-amz-json-1.0", THROTTLED)
        connection = http.client.HTTPConnection(self.backend, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", self.path, body, dict(self.headers))
            answer = connection.getresponse()
            self.give(answer.status, answer.headers["Content-Type"], answer.read())
