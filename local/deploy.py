#!/usr/bin/env python3
"""Deploys a template: checks the account, asks a few questions, builds, runs `sam deploy`.

    deploy.py [--config NAME] [--yes] [--arch x86_64|arm64] [--set NAME=VALUE ...] [--template FILE] [--built]
              [--confirm]

--config    an environment of samconfig.toml: a preset, or a stack that was deployed from here
--yes       ask no questions: deploy the environment that --config names
--arch      of the functions; stored in samconfig.toml
--set       a parameter of the template; stored in samconfig.toml
--template  template.yaml, or core.yaml for a user pool and an API that exist; stored in samconfig.toml. A file in
            another folder is a template whose functions are already built
--built     the template's functions are already built
--confirm   sam shows its change set and asks before it executes it
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import tempfile

import botocore.exceptions
import tomlkit
import yaml

import account
import build
from account import Problem

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = ROOT / "samconfig.toml"
TEMPLATE = ROOT / "template.yaml"
CORE = ROOT / "core.yaml"
# A parameter of CORE that TEMPLATE lacks.
OF_THE_CORE = "UserPoolId"
# Environments of samconfig.toml that are presets, not stacks. SAM names its default "default".
PRESETS = {
    "minimal": "default",
    "web-cookies": "web-cookies",
    "migration": "migration",
    "federation": "federation",
    "core": "core",
}
# The value of a parameter that must be filled in.
MISSING = "?"
STACK_NAME = r"[A-Za-z][-A-Za-z0-9]{0,127}"
# Words that Cognito refuses in a domain prefix.
RESERVED = ("aws", "amazon", "cognito")


def main(arguments):
    options = parser().parse_args(arguments)
    wanted, built = selected(options.template, options.built)
    shell = account.session()
    caller = account.identity(shell)
    print(f"Account {caller['Account']}, as {caller['Arn']}.")
    document = tomlkit.parse(CONFIG.read_text())
    if options.yes:
        choice = chosen(document, options.config, wanted)
    else:
        choice = ask(document, options.config, shell.region_name, wanted)
    if wanted and choice.template != wanted:
        raise Problem(f"{choice.name} is an environment of {choice.template}, not of {wanted}.")
    choice.region = choice.region or shell.region_name
    if not choice.region:
        raise Problem("No region: set AWS_REGION, or give the environment a line region = \"...\" in samconfig.toml.")
    choice.overrides |= dict(assignment(text) for text in options.set)
    if options.arch:
        choice.overrides["Architecture"] = options.arch
    fill_in(choice, caller["Account"])
    parameters = template_parameters((built or ROOT / choice.template).read_text())
    keep(document, choice)
    CONFIG.write_text(tomlkit.dumps(document))
    values = deployed_values(choice.overrides, parameters, os.environ)
    look(account.session(choice.region), choice, values)
    if built:
        build.has_features(built.parent.iterdir(), features(values))
    else:
        build.build(values["Architecture"], template=choice.template, features=features(values))
        built = build.BUILT / "template.yaml"
    if values["AuthorizerDeployment"] != "Direct":
        # A changed build publishes a version of the authorizer.
        values["AuthorizerBuild"] = build.identity(built.parent, "AuthorizerFunction")
    deploy(choice, values, built, options.confirm)
    told = account.Stack(account.session(choice.region), choice.stack)
    print(next_steps(choice, told.outputs, values))
    return 0


def selected(template, built):
    """The name of the repository's template that `--template` selects, or an empty text, and the built template, if
    its functions are built already."""
    if not template:
        return "", None
    file = next((file for file in (pathlib.Path(template), ROOT / template) if file.is_file()), None)
    if not file:
        raise Problem(f"There is no template {template}.")
    of_here = file.resolve() in (TEMPLATE, CORE)
    return file.name if of_here else "", None if of_here and not built else file


def features(values):
    """The cargo features that the parameters need: without `otlp` a function cannot send spans."""
    return ["otlp"] if values["OtlpEndpoint"] else []


def parser():
    made = argparse.ArgumentParser(prog="make deploy", usage=__doc__)
    made.add_argument("--config", default="")
    made.add_argument("--yes", action="store_true")
    made.add_argument("--arch", default="", choices=["", *build.TARGETS])
    made.add_argument("--set", nargs="*", default=[])
    made.add_argument("--template", default="")
    made.add_argument("--built", action="store_true")
    made.add_argument("--confirm", action="store_true")
    return made


class Choice:
    """A deployment: an environment of samconfig.toml, its stack, its region and its template."""

    def __init__(self, name, stack, region, overrides, template=TEMPLATE.name):
        self.name = name
        self.stack = stack
        self.region = region
        self.overrides = overrides
        self.template = template

    @classmethod
    def of(cls, document, name):
        """The environment of that name, as in the file."""
        table = document.get(PRESETS.get(name, name), {}).get("deploy", {}).get("parameters")
        if table is None:
            known = ", ".join([*PRESETS, *saved(document)])
            raise Problem(f"samconfig.toml has no environment {name}. It has: {known}.")
        overrides = {key: text(value) for key, value in table.get("parameter_overrides", {}).items()}
        stack, region = str(table.get("stack_name", "gatehouse")), str(table.get("region", ""))
        return cls(name, stack, region, overrides, template_of(document, name))


def text(value):
    """A TOML value in the form that CloudFormation expects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(text(one) for one in value)
    return str(value)


def saved(document):
    """The environments that are stacks, in the file's order."""
    return [name for name, value in document.items() if isinstance(value, dict) and name not in PRESETS.values()]


def template_of(document, name):
    """The name of the template of an environment."""
    of_build = document.get(PRESETS.get(name, name), {}).get("build", {}).get("parameters", {})
    return str(of_build.get("template_file", TEMPLATE.name))


def chosen(document, name, template=""):
    """Without questions: the named environment, else the only stack, else the first preset, of the template."""
    stacks = [stack for stack in saved(document) if template in ("", template_of(document, stack))]
    if not name and len(stacks) > 1:
        raise Problem(f"samconfig.toml has several stacks: select one with CONFIG=. It has: {', '.join(stacks)}.")
    return Choice.of(document, name or next(iter(stacks), presets(document, template or TEMPLATE.name)[0]))


def presets(document, template):
    """The presets of a template, the smallest first."""
    return [name for name in PRESETS if template_of(document, name) == template]


def ask(document, config, region, template=""):
    """The questions. Each has a default, which Enter accepts, other than what the template requires."""
    stacks = saved(document)
    last = next((stack for stack in reversed(stacks) if template in ("", template_of(document, stack))), None)
    known = Choice.of(document, config or last or presets(document, template or TEMPLATE.name)[0])
    print("Enter accepts the default in brackets.")
    stack = question("Name of the stack", known.stack, is_name)
    if stack in stacks:
        known = Choice.of(document, stack)
    region = question("Region", known.region or region or "us-east-1", is_region)
    if stack in stacks:
        preset = "as it is"
        allowed = [preset, *presets(document, known.template)]
    else:
        preset = known.name if known.name in PRESETS else presets(document, known.template)[0]
        allowed = presets(document, template) if template else list(PRESETS)
    wanted = preset
    if len(allowed) > 1:
        listed = ", ".join(allowed)
        wanted = question(f"Preset ({listed})", preset, lambda answer: None if answer in allowed else f"one of {listed}")
    overrides = dict(known.overrides)
    if wanted in PRESETS:
        template = template_of(document, wanted)
        if wanted != known.name:
            overrides = Choice.of(document, wanted).overrides
    else:
        template = known.template
    parameters = template_parameters((ROOT / template).read_text())
    if wanted in PRESETS and wanted != known.name and known.name not in PRESETS:
        shared = ("AllowedOrigin", "AppName", "SecurityMail", "Architecture")
        overrides |= {name: known.overrides[name] for name in shared if name in known.overrides and name in parameters}
    for name, asked in questions(parameters):
        default = overrides.get(name, parameters[name].get("Default", MISSING))

        def objection(answer, name=name):
            return wrong(name, "" if answer == "-" else answer, parameters)

        answer = question(asked, str(default) or "-", objection)
        overrides[name] = "" if answer == "-" else answer
    return Choice(stack, stack, region, overrides, template)


def questions(parameters):
    """The parameters that are asked for, each with its question: some of all templates, and those without a default."""
    for name, asked in (
        ("AllowedOrigin", "Origin of the page that calls the API"),
        ("AppName", "Name of the application, for emails and pages"),
        ("SecurityMail", "Address for security messages (- for none)"),
    ):
        if name in parameters:
            yield name, asked
    for name, rules in parameters.items():
        if "Default" not in rules and not is_secret(rules):
            yield name, f"{name}: {rules['Description'].partition('. ')[0].rstrip('.')}"


def question(asked, default, objection):
    """Asks until the answer is valid. A closed input ends the script."""
    while True:
        try:
            answer = input(f"{asked} [{default}]: ").strip() or default
        except EOFError:
            raise Problem("The input is closed. To deploy without questions: make deploy CONFIG=<environment> YES=1.") from None
        objected = objection(answer)
        if objected is None:
            return answer
        print(f"  It must be {objected}.")


def is_name(answer):
    taken = answer in PRESETS or answer in PRESETS.values()
    if re.fullmatch(STACK_NAME, answer) and not taken:
        return None
    return "a letter, then letters, digits and hyphens, and not the name of a preset"


def is_region(answer):
    return None if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-[0-9]", answer) else "a region such as us-east-1"


def wrong(name, value, parameters):
    """The template's constraint on a parameter, if `value` violates it."""
    rules = parameters.get(name)
    if rules is None:
        return f"a parameter of the template, which has no {name}"
    allowed = [str(one) for one in rules.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return "one of " + ", ".join(allowed)
    pattern = rules.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        return rules.get("ConstraintDescription", f"of the form {pattern}")
    if rules.get("Type") == "Number":
        if not re.fullmatch(r"-?[0-9]+", value):
            return "a number"
        if not rules.get("MinValue", int(value)) <= int(value) <= rules.get("MaxValue", int(value)):
            return f"from {rules.get('MinValue', 'any number')} to {rules.get('MaxValue', 'any number')}"
    return None


def assignment(given):
    name, found, value = given.partition("=")
    if not found:
        raise Problem(f"SET expects NAME=VALUE; {given} has no equals sign.")
    return name, value


def fill_in(choice, number):
    """Derives the values that a preset leaves empty from the stack's name and the account."""
    if choice.overrides.get("HostedUiDomainPrefix") == "" and "CallbackUrls" in choice.overrides:
        prefix = f"{choice.stack.lower()}-{number}"
        for word in RESERVED:
            prefix = prefix.replace(word, "x")
        choice.overrides["HostedUiDomainPrefix"] = prefix


def keep(document, choice):
    """Writes the choice into the document: into the existing environment, or a new one named after the stack."""
    name = choice.stack if choice.name in PRESETS else choice.name
    choice.name = name
    tables = document.get(name)
    if tables is None:
        table = tomlkit.table(is_super_table=True)
        table["deploy"] = tomlkit.table(is_super_table=True)
        table["deploy"]["parameters"] = tomlkit.table()
        if choice.template != TEMPLATE.name:
            # Where `sam build` looks for it. `sam deploy` takes what was built.
            table["build"] = tomlkit.table(is_super_table=True)
            table["build"]["parameters"] = tomlkit.table()
            table["build"]["parameters"]["template_file"] = choice.template
        document.add(tomlkit.nl())
        document[name] = table
        tables = document[name]
    parameters = tables["deploy"]["parameters"]
    parameters["stack_name"] = choice.stack
    parameters["region"] = choice.region
    parameters.setdefault("capabilities", "CAPABILITY_IAM")
    parameters.setdefault("resolve_s3", True)
    if "parameter_overrides" not in parameters:
        parameters["parameter_overrides"] = tomlkit.table()
    for key, value in choice.overrides.items():
        if text(parameters["parameter_overrides"].get(key)) != value:
            parameters["parameter_overrides"][key] = value


def template_parameters(template):
    """The template's parameters, read with every CloudFormation tag as null."""

    class Reader(yaml.SafeLoader):
        pass

    Reader.add_multi_constructor("!", lambda loader, tag, node: None)
    return yaml.load(template, Reader)["Parameters"]


def deployed_values(overrides, parameters, environment):
    """Every parameter's value: the file's, else the template's default, so that the file is authoritative.

    A secret comes from the shell or from Secrets Manager; without either it keeps its deployed value.
    """
    problems = []
    values = {}
    for name, value in overrides.items():
        if value == MISSING:
            problems.append(f"{name} is still \"?\": the stack needs it")
        elif objected := wrong(name, value, parameters):
            problems.append(f"{name} must be {objected}")
        elif is_secret(parameters[name]) and value and not value.startswith("{{resolve:"):
            problems.append(f"{name} is a secret and does not belong in samconfig.toml: export it, or name it in Secrets Manager")
    for name, rules in parameters.items():
        if name in overrides:
            values[name] = overrides[name]
        elif is_secret(rules):
            if environment.get(name):
                values[name] = environment[name]
        elif "Default" in rules:
            values[name] = text(rules["Default"])
        else:
            problems.append(f"{name} has no default: the stack needs it")
    if problems:
        raise Problem("samconfig.toml:\n" + "\n".join(f"  {one}." for one in problems))
    return values


def is_secret(rules):
    return str(rules.get("NoEcho", "")).lower() == "true"


def look(at, choice, values):
    """Checks the region and the stack before minutes of building. Raises a Problem or prints notes."""
    try:
        stack = account.describe(at.client("cloudformation"), choice.stack)
    except botocore.exceptions.EndpointConnectionError:
        raise Problem(f"CloudFormation is unreachable in {choice.region}: check the region's name and the network.") from None
    except botocore.exceptions.ClientError as error:
        raise Problem(f"{choice.region}: {account.credentials_problem(error)}") from None
    state = stack["StackStatus"] if stack else ""
    if state in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
        raise Problem(
            f"The stack {choice.stack} is {state}: its first deployment failed, or its deletion did. CloudFormation\n"
            f"cannot update it: run `make destroy CONFIG={choice.name}` first (docs/deploy.md, \"A first deployment that failed\")."
        )
    if state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS":
        raise Problem(f"The stack {choice.stack} is {state}: wait until it has finished.")
    deployed = [one["ParameterKey"] for one in (stack or {}).get("Parameters", [])]
    if deployed and (OF_THE_CORE in deployed) != (OF_THE_CORE in values):
        raise Problem(
            f"The stack {choice.stack} was deployed from another template than {choice.template}: the update would\n"
            "delete what this one lacks. Choose another name for the stack."
        )
    if OF_THE_CORE in values:
        for note in of_the_pool(at, choice.region, values):
            print(f"Note: {note}")
    print(f"{'Updates' if stack else 'Creates'} the stack {choice.stack} in {choice.region} ({values['Architecture']}).")
    for note in notes(at, values):
        print(f"Note: {note}")


def notes(at, values):
    """Features that will not work as expected, although the deployment succeeds."""
    if values.get("UserEvents") == "true" and not has_trail(at):
        yield (
            "UserEvents needs a CloudTrail trail that logs management events in this region, and none was found.\n"
            "  Without one, changes of users in the console or by an SDK are not detected, except for disabled\n"
            "  users, at the hourly sweep. docs/deploy.md has the command."
        )
    if OF_THE_CORE in values:
        return
    if not values.get("SesIdentityArn"):
        yield (
            "Cognito's own mailer sends 50 emails a day, with its own text: no brand, no button.\n"
            "  Set SesIdentityArn and MailFrom to use Amazon SES."
        )
    elif not has_production_mail(at):
        yield "Amazon SES is in its sandbox in this region: emails reach verified addresses only."
    sources = values.get("TokenSources", "")
    if ("cookie" in sources or "session" in sources) and values.get("AllowedOrigin", "").endswith("app.example.com"):
        yield "AllowedOrigin is still the example's: browsers will not send the cookies."


def of_the_pool(at, region, values):
    """Notes about the pool that exists and its app clients. Raises a Problem if they do not exist, or if a client's
    refresh tokens would outlive the revocations. What the credentials may not read is not checked."""
    pool = {"UserPoolId": values[OF_THE_CORE]}
    if values[OF_THE_CORE].partition("_")[0] != region:
        raise Problem(f"The user pool {values[OF_THE_CORE]} is not in {region}.")
    cognito = at.client("cognito-idp")
    for number, name in enumerate(values["AppClientIds"].split(",")):
        try:
            client = cognito.describe_user_pool_client(**pool, ClientId=name)["UserPoolClient"]
        except cognito.exceptions.ResourceNotFoundException:
            raise Problem(f"The user pool {values[OF_THE_CORE]} has no app client {name}, or does not exist.") from None
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            yield f"The app client {name} could not be read (cognito-idp:DescribeUserPoolClient) and was not checked."
            continue
        if is_machine_only(client):
            continue
        life = refresh_seconds(client)
        if life > int(values["RefreshTokenSeconds"]):
            raise Problem(
                f"Refresh tokens of the app client {name} live {life} s, revocations {values['RefreshTokenSeconds']} s and a"
                f"\nday: a revoked session would become valid again. Set RefreshTokenSeconds={life}."
            )
        if not client.get("EnableTokenRevocation"):
            yield (
                f"The app client {name} has no token revocation (EnableTokenRevocation): its tokens have no session and are\n"
                "  refused."
            )
        if number == 0 and client.get("ClientSecret") and not values["AppClientSecretArn"]:
            yield f"The app client {name} has a secret: logout needs AppClientSecretArn to revoke its refresh tokens."
        if number > 0 and client.get("ClientSecret"):
            yield f"The app client {name} has a secret, and is not the first: logout cannot revoke its refresh tokens."


def is_machine_only(client):
    """Whether an app client has client_credentials only, and no flow that signs a user in (no flows are Cognito's
    default, which has). Then it has no refresh tokens, and its tokens need no session."""
    grants = client.get("AllowedOAuthFlows") if client.get("AllowedOAuthFlowsUserPoolClient") else None
    return grants == ["client_credentials"] and client.get("ExplicitAuthFlows") == ["ALLOW_REFRESH_TOKEN_AUTH"]


def refresh_seconds(client):
    """How long refresh tokens of an app client live. Without a unit Cognito counts days; 0 is its default of 30."""
    seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
    unit = client.get("TokenValidityUnits", {}).get("RefreshToken", "days")
    given = client.get("RefreshTokenValidity")
    return given * seconds[unit] if given else 30 * seconds["days"]


def has_trail(at):
    """Whether a trail logs here. True if the credentials may not ask, so that no note is printed."""
    client = at.client("cloudtrail")
    try:
        trails = client.describe_trails(includeShadowTrails=True)["trailList"]
        return any(client.get_trail_status(Name=trail["TrailARN"])["IsLogging"] for trail in trails)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return True


def has_production_mail(at):
    """Whether SES is out of its sandbox. True if the credentials may not ask."""
    try:
        return at.client("sesv2").get_account()["ProductionAccessEnabled"]
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
        return True


def deploy(choice, values, template, confirm):
    """`sam deploy` of the built template. The values are passed in a file that only this user can read."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "parameters.yaml")
        file.write_text(json.dumps(values))
        command = [
            *("sam", "deploy", "--template-file", str(template), "--stack-name", choice.stack),
            *("--region", choice.region, "--capabilities", "CAPABILITY_IAM", "--resolve-s3"),
            *("--config-file", str(CONFIG), "--config-env", choice.name),
            *("--no-fail-on-empty-changeset", "--parameter-overrides", f"file://{file}"),
            "--confirm-changeset" if confirm else "--no-confirm-changeset",
        ]
        environment = os.environ | {"SAM_CLI_TELEMETRY": "0"}
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            raise Problem(
                "sam deploy failed: see the lines above. If it was the first deployment, `make destroy "
                f"CONFIG={choice.name}`\nremoves the rest; docs/deploy.md describes what CloudFormation cannot delete itself."
            )


def next_steps(choice, outputs, values):
    """The result of the deployment, and the next commands."""
    which = f"CONFIG={choice.name}"
    lines = [
        "",
        f"Deployed: {outputs.get('ApiUrl') or outputs.get('AuthorizerArn', '')}",
        f"samconfig.toml has its configuration in [{choice.name}]: commit it.",
        "",
    ]
    if OF_THE_CORE not in values:
        lines += [
            f"  make smoke {which}                     signs a temporary user in and out",
            f"  make admin {which} USER=<e-mail>       makes a user an administrator",
            f"  make live-checks {which}               checks what only a real account can prove",
        ]
    lines.append(f"  make deploy {which} YES=1              updates the stack")
    if OF_THE_CORE in values:
        lines += ["", "docs/existing-api.md puts the authorizer in front of your API, and logout at POST /auth/logout."]
    if values.get("DeletionProtection") == "false":
        lines += [
            "",
            "Deletion protection is off, so that a failed first deployment could be rolled back. Enable it now:",
            f"  make deploy {which} YES=1 SET=DeletionProtection=true",
        ]
    if not values.get("AppBaseUrl") and values.get("SesIdentityArn"):
        lines += [
            "",
            "Emails contain codes only. For a button that leads to the confirmation page:",
            f"  make deploy {which} YES=1 SET=AppBaseUrl={outputs.get('ApiUrl', '<ApiUrl>')}",
        ]
    if values.get("SecurityMail"):
        lines += ["", "Amazon SNS has sent a confirmation link to the address for security messages: none are sent before it is opened."]
    return "\n".join(lines)


if __name__ == "__main__":
    account.run(main)
