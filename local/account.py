"""Shared by the scripts for a deployed stack: the session, the stack, and readable errors."""

import os
import sys

import boto3
import botocore.exceptions

# Error codes about the shell's credentials, as botocore reports them.
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorizedException"}


class Problem(Exception):
    """An error message for the operator. It ends the script with status 1."""


def session(region=None):
    """A session with the shell's credentials, for `region` or the shell's own: AWS_REGION, which boto3 doesn't read."""
    try:
        return boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
    except botocore.exceptions.ProfileNotFound as error:
        raise Problem(
            f"{error}. AWS_PROFILE names a profile that ~/.aws/config does not have: correct it, or `unset AWS_PROFILE`."
        ) from None


def identity(of):
    """The account of the credentials, or a Problem that explains how to obtain credentials."""
    try:
        return of.client("sts", region_name=of.region_name or "us-east-1").get_caller_identity()
    except botocore.exceptions.NoCredentialsError:
        raise Problem(
            "This shell has no AWS credentials. Sign in with `aws sso login` or `aws login` and set AWS_PROFILE,\n"
            "or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from None
    except botocore.exceptions.ClientError as error:
        raise Problem(credentials_problem(error)) from None
    except botocore.exceptions.BotoCoreError as error:
        raise Problem(f"The call to AWS STS failed: {error}") from None


def credentials_problem(error):
    """The message for the error of the first call to AWS."""
    code = code_of(error)
    if code in EXPIRED:
        return "The AWS credentials of this shell have expired: sign in again (`aws sso login`, `aws login`)."
    if code in UNKNOWN:
        return (
            "AWS does not know the credentials of this shell, or not in this region. A region that is disabled by\n"
            "default must be enabled for the account first."
        )
    if code in FORBIDDEN:
        return "The credentials of this shell may not call sts:GetCallerIdentity: a policy denies it."
    return f"AWS refused the credentials of this shell: {code}"


def code_of(error):
    """The error code of a response, or an empty text for an error without a response."""
    return getattr(error, "response", {}).get("Error", {}).get("Code", "")


class Stack:
    """A deployed stack: its outputs and parameters by name."""

    def __init__(self, of, name):
        self.session = of
        self.name = name
        self.region = of.region_name
        self.description = describe(of.client("cloudformation"), name)
        if self.description is None:
            raise Problem(f"There is no stack {name} in {self.region}. `make deploy` creates one.")
        self.outputs = by_key(self.description.get("Outputs", []), "OutputKey", "OutputValue")
        self.parameters = by_key(self.description.get("Parameters", []), "ParameterKey", "ParameterValue")

    def output(self, name):
        """An output that every stack of this template has."""
        if name not in self.outputs:
            status = self.description["StackStatus"]
            raise Problem(f"The stack {self.name} has no output {name} (status {status}): does it use another template?")
        return self.outputs[name]

    def api(self):
        """The API's address: AWS's, or that of the emulator that AWS_ENDPOINT_URL names."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            stage = self.parameters.get("StageName", "prod")
            return f"{endpoint.rstrip('/')}/restapis/{self.output('ApiId')}/{stage}/_user_request_"
        return self.output("ApiUrl").rstrip("/")

    def client(self, service):
        return self.session.client(service)


def describe(cloudformation, name):
    """CloudFormation's description of a stack, or None if the stack does not exist."""
    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except botocore.exceptions.ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        if code_of(error) in FORBIDDEN:
            raise Problem("These credentials may not read stacks (cloudformation:DescribeStacks).") from None
        raise


def by_key(rows, key, value):
    return {row[key]: row.get(value, "") for row in rows}


def run(main):
    """Runs a script's main function. Prints a Problem or a refused call as one line."""
    try:
        return sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
    except botocore.exceptions.ClientError as error:
        print(f"\nAWS refused {error.operation_name}: {code_of(error)}: {error}", file=sys.stderr)
    except botocore.exceptions.BotoCoreError as error:
        print(f"\nThe call to AWS failed: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
    return sys.exit(1)
