#!/usr/bin/env python3
"""Starts and stops local stacks: MiniStack with this repository's template deployed into it.

    stack.py up              start a stack, run the walkthrough, leave the stack running
    stack.py demo            run the walkthrough again on the running stack
    stack.py down            stop the stack that `up` started
    stack.py env             print local/functions.env with the values of the running stack
    stack.py exec CMD ...    start a temporary stack, run CMD against it, stop it
    stack.py exec --databases CMD ...
                             and PostgreSQL and DynamoDB Local with the stack's tables, which `make tools` installs
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

import boto3

import compose
import dynamodb
import elapsed
import gateway
import postgres
import story
from invoked import BINARIES
from servers import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / ".local"
STATE = HOME / "run" / "state.json"
TEMPLATE = ROOT / "template.yaml"
DEFINITION = ROOT / "generated/api-gateway.json"
COGNITO = ROOT / "local" / "cognito.py"
FUNCTIONS_ENVIRONMENT = ROOT / "local" / "functions.env"
REGION = "us-east-1"
PREFERRED_PORT = 4566
PAGES = "http://localhost:8080"
# MiniStack's root user. These are no secrets: the emulator listens on the loopback interface only.
ROOT_USER = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def main(arguments):
    match arguments:
        case ["up"]:
            return up()
        case ["demo"]:
            return demo()
        case ["down"]:
            return down()
        case ["env"]:
            return print_environment()
        case ["exec", "--databases", *command] if command:
            return execute(command, databases)
        case ["exec", *command] if command:
            return execute(command)
    print(__doc__)
    return 2


def up():
    state = running()
    if state:
        print(f"Already up at {state['endpoint']}. `make demo` runs the walkthrough, `make stop` stops the stack.")
        story.print_curl(state)
        return 0
    began = elapsed.began()
    state = start(HOME / "run", free_port(PREFERRED_PORT))
    STATE.write_text(json.dumps(state, indent=2))
    try:
        story.play(state, narrate=True)
    except BaseException:
        print(f"The walkthrough failed. The log is {state['log']}; `make stop` stops the stack.")
        raise
    print(f"\nAll of this took {elapsed.since(began)}.")
    story.print_curl(state)
    return 0


def demo():
    state = running()
    if not state:
        print("Nothing is running: `make run` first.")
        return 1
    story.play(state, narrate=True)
    return 0


def down():
    state = running()
    if not state:
        print("Nothing is running.")
    else:
        stop(state["pid"])
        print(f"Stopped {state['endpoint']}.")
    STATE.unlink(missing_ok=True)
    return 0


def print_environment():
    state = running()
    if not state:
        print("Nothing is running: `make run` first.", file=sys.stderr)
        return 1
    print(environment(state), end="")
    return 0


def environment(state):
    """The variables of local/functions.env, with the values of a stack where it has them."""
    old_pool = state["old_pool"]
    values = {
        "AWS_ENDPOINT_URL": state["endpoint"],
        "USER_POOL_ID": state["user_pool_id"],
        "APP_CLIENT_IDS": state["client_id"],
        "JWKS_URI": f"{state['endpoint']}/{state['user_pool_id']}/.well-known/jwks.json",
        "REVOCATION_TABLE": state["table"],
        "ACCOUNT_ID": state["account_id"],
        "SESSION_TABLE": state["session_table"],
        "ATTEMPT_TABLE": state["attempt_table"],
        "USERS_TABLE": state["users_table"],
        "CONNECTION_TABLE": state["connection_table"],
        "CONNECTIONS_URL": f"http://{state['web_socket']}",
        "LEGACY_USER_POOL_ID": old_pool["id"],
        "LEGACY_APP_CLIENT_ID": old_pool["client_id"],
        "LEGACY_SPELLINGS_TABLE": old_pool["spellings"],
        "PENDING_GROUPS_TABLE": state["pending_groups_table"],
    }
    text = FUNCTIONS_ENVIRONMENT.read_text()
    for name, value in values.items():
        text, replaced = re.subn(rf"^{name}=.*$", lambda _, line=f"{name}={value}": line, text, flags=re.MULTILINE)
        if replaced != 1:
            raise SystemExit(f"{FUNCTIONS_ENVIRONMENT} does not set {name}")
    return text + f"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER={state['cognito']}\n"


@contextlib.contextmanager
def databases(state):
    """Yields the addresses of PostgreSQL and of the tables of this stack in DynamoDB Local."""
    with postgres.running() as address, dynamodb.running(client_session(), state["endpoint"]) as tables:
        yield {"postgres": address, "tables": tables}


def execute(command, further=lambda _state: contextlib.nullcontext({})):
    port = free_port()
    folder = HOME / f"exec-{port}"
    state = start(folder, port)
    failed = True
    try:
        with temporary_folder() as temporary, further(state) as addresses:
            environment = os.environ | {
                "GATEHOUSE_STACK": json.dumps(state | addresses),
                "TMPDIR": temporary,
            }
            failed = subprocess.run(command, env=environment, check=False).returncode
        return failed
    finally:
        stop(state["pid"])
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"The stack's log is {state['log']}.")


@contextlib.contextmanager
def temporary_folder():
    """A temporary folder for a command, deleted when the command ends."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as another user, who must be able to read the folder.
        pathlib.Path(folder).chmod(0o755)
        yield folder


def binary_of(name):
    """What `make run` and `make test` have built of a function."""
    return BINARIES / name / "bootstrap"


def start(folder, port, binary_of=binary_of, parameters=()):
    """Starts MiniStack on `port`, deploys with further values of the template's parameters, and returns the state that
    clients need."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    endpoint = f"http://127.0.0.1:{port}"
    # The proxy in front of Cognito; see cognito.py.
    cognito_port = free_port()
    cognito = f"http://127.0.0.1:{cognito_port}"
    log = folder / "ministack.log"
    step(f"Starting MiniStack at {endpoint}")
    # MiniStack passes its whole environment to the functions, so it gets only variables that they may see.
    environment = ROOT_USER | {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder / "state"),
        "LANG": "C.UTF-8",
        "AUTH": "true",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": cognito,
        "GATEWAY_PORT": str(port),
        "GATEHOUSE_COGNITO_RULES": os.environ.get("GATEHOUSE_COGNITO_RULES", ""),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        # As at AWS: if the trigger fails, no token is issued.
        "MINISTACK_COGNITO_PRETOKEN_STRICT": "1",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, COGNITO, str(cognito_port)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(endpoint, process)
        old_pool = make_old_pool(endpoint)
        step("Deploying template.yaml into it")
        outputs = deploy(folder, endpoint, cognito, old_pool, binary_of, dict(parameters))
    except BaseException:
        stop(process.pid)
        print(log.read_text()[-4000:])
        raise
    api = f"{endpoint}/restapis/{outputs['ApiId']}/prod/_user_request_"
    put = urllib.request.Request(f"{cognito}/api", json.dumps(api).encode(), method="PUT")
    urllib.request.urlopen(put, timeout=30).close()
    return {
        "pid": process.pid,
        "started": start_time(process.pid),
        "endpoint": endpoint,
        "log": str(log),
        "api": api,
        "cognito": cognito,
        "old_pool": old_pool,
        "user_pool_id": outputs["UserPoolId"],
        "client_id": outputs["AppClientId"],
        "table": outputs["RevocationTableName"],
        "api_key_table": outputs["ApiKeyTableName"],
        "users_table": outputs["UsersTableName"],
        "pending_groups_table": outputs["PendingGroupsTableName"],
        "attempt_table": outputs["AttemptTableName"],
        "session_table": outputs["SessionTableName"],
        "account_id": outputs["RevocationTableArn"].split(":")[4],
        "user_event_queue": outputs["UserEventQueueUrl"],
        "web_socket": f"127.0.0.1:{port}/_aws/execute-api/{outputs['WebSocketId']}/prod",
        "connection_table": outputs["ConnectionTableName"],
    }


def make_old_pool(endpoint):
    """A case-sensitive pool, the default of the API, whose users will be migrated, and its table of spellings."""
    cognito = client_session().client("cognito-idp", endpoint_url=endpoint)
    pool = cognito.create_user_pool(
        PoolName="old",
        UsernameConfiguration={"CaseSensitive": True},
        Policies={"PasswordPolicy": {"MinimumLength": 8}},
    )
    cognito.create_group(UserPoolId=pool["UserPool"]["Id"], GroupName="Staff")
    names = {"UserPoolId": pool["UserPool"]["Id"], "ClientName": "migration"}
    client = cognito.create_user_pool_client(**names, ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"])
    spellings = "legacy-spellings"
    client_session().client("dynamodb", endpoint_url=endpoint).create_table(
        TableName=spellings,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {"id": names["UserPoolId"], "client_id": client["UserPoolClient"]["ClientId"], "spellings": spellings}


def deploy(folder, endpoint, cognito, old_pool, binary_of, further):
    """Calls S3 and CloudFormation as `sam deploy` does, in a third of the time. test_operate.py deploys with SAM
    itself."""
    if wrong := compose.problem(TEMPLATE.name):
        raise SystemExit(wrong)
    session = client_session()
    bucket = "gatehouse-artifacts"
    store = session.client("s3", endpoint_url=endpoint)
    store.create_bucket(Bucket=bucket)

    def uploaded(path):
        store.upload_file(str(path), bucket, path.name)
        return f"s3://{bucket}/{path.name}"

    template = folder / "template.yaml"
    built = re.sub(
        r"CodeUri: functions/(\S+)",
        lambda found: f"CodeUri: {uploaded(packed(folder, found[1], binary_of(found[1])))}",
        TEMPLATE.read_text(),
    )
    template.write_text(built.replace("Location: generated/api-gateway.json", f"Location: {uploaded(DEFINITION)}"))
    uploaded(template)
    parameters = {
        "JwksHost": endpoint,
        "ApiKeys": "true",
        "WebSocketApi": "true",
        "AllowedOrigin": PAGES,
        "TokenSources": "header,cookie",
        "SignUpGuard": "true",
        "DeniedEmailDomains": "mailinator.com",
        # A short grid: the walkthrough waits for it at each refusal.
        "RefusalGridMilliseconds": "100",
        "LinkProviders": "Corp=*",
        "TokenClaims": "true",
        "ProviderSubject": "true",
        "HostedUiDomainPrefix": "gatehouse-local",
        "CallbackUrls": f"{PAGES}/callback",
        "ContextClaims": "sub,username,client_id,scope,groups,token_use,auth_time,session,key_id,issuer,roles,tenant,"
        "token_id",
        "AppBaseUrl": cognito,
        "SesIdentityArn": "arn:aws:ses:us-east-1:000000000000:identity/example.com",
        "MailFrom": "no-reply@example.com",
        "LegacySource": "cognito",
        "LegacyUserPoolId": old_pool["id"],
        "LegacyAppClientId": old_pool["client_id"],
        "LegacySpellingsTable": old_pool["spellings"],
        "LegacyGroups": '{"Staff":"staff"}',
        "PasswordChangeAttribute": "custom:password_is_old",
    } | further
    stacks = session.client("cloudformation", endpoint_url=endpoint)
    stacks.create_stack(
        StackName="gatehouse",
        TemplateURL=f"{endpoint}/{bucket}/{template.name}",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stack = created(stacks)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    apigateway = session.client("apigateway", endpoint_url=endpoint)
    definition = json.loads(DEFINITION.read_text())
    gateway.complete(apigateway, outputs["ApiId"], "prod", definition, {"AllowedOrigin": PAGES})
    return outputs


def created(stacks):
    """The stack, once it is created."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        stack = stacks.describe_stacks(StackName="gatehouse")["Stacks"][0]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return stack
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            events = stacks.describe_stack_events(StackName="gatehouse")["StackEvents"]
            failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
            for event in failed:
                print(event["LogicalResourceId"], event.get("ResourceStatusReason"))
            break
        time.sleep(0.1)
    raise SystemExit("the stack could not be created")


def packed(folder, name, binary):
    """A function's code, which starts the built binary in place: packing, uploading and unpacking the binaries takes
    longer than all else."""
    archive = folder / f"{name}.zip"
    bootstrap = zipfile.ZipInfo("bootstrap")
    bootstrap.external_attr = 0o755 << 16
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(bootstrap, f"#!/bin/sh\nexec {shlex.quote(str(binary))}\n")
    return archive


def client_session():
    return boto3.Session(
        aws_access_key_id=ROOT_USER["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ROOT_USER["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )


def wait_for(endpoint, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("MiniStack exited at once")
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2)
            return
        time.sleep(0.1)
    raise SystemExit("MiniStack did not answer within a minute")


def running():
    """The state of the stack that `up` started, if its process is still running."""
    if not STATE.exists():
        return None
    state = json.loads(STATE.read_text())
    return state if start_time(state["pid"]) == state["started"] else None


def start_time(pid):
    """The start time of a process; together with the pid it identifies the process."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return None if fields[0] == "Z" else fields[19]


def stop(pid):
    """Ends a process and the functions that it started: they are its process group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return
        for _ in range(30):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if start_time(pid) is None:
                break
            time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def step(text):
    print(f"\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
