"""The command line of `gatehouse-audit`, which `gatehouse audit` runs."""

import argparse
import datetime
import json
import os
import pathlib
import sys

from botocore.exceptions import BotoCoreError, ProfileNotFound

from gatehouse_operate.audit import explain, finding, suppressions
from gatehouse_operate.audit.calls import CALLS, partition_of, policy
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.finding import GROUPS, Severity
from gatehouse_operate.audit.read import Reader, Targets
from gatehouse_operate.audit.report import Report, as_json, junit, sarif, table
from gatehouse_operate.audit.source import Fatal, Folder, Live, Saving
from gatehouse_operate.aws import Aws

PASSED, FAILED, USAGE, UNCHECKED, UNREADABLE = range(5)
CODES = """exit codes:
  0  no finding at or above --fail-on, and everything was read
  1  findings at or above --fail-on
  2  wrong arguments, or an unreadable file of suppressions
  3  no such finding, but something could not be read (--unchecked warn makes it 0)
  4  nothing could be read: no credentials, no region, no folder
"""
NEVER = "never"
EVERY = 50


def main(arguments=None):
    """Runs the command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown by its code.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if arguments[:1] == ["explain"]:
        return explained(arguments[1:])
    if arguments[:1] == ["checks"]:
        return listed_checks()
    options = parser().parse_args(arguments)
    try:
        return audit(options)
    except KeyboardInterrupt:
        return complain(UNREADABLE, "interrupted")
    except BrokenPipeError:
        # The reader of standard output has ended; Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except suppressions.Invalid as error:
        return complain(USAGE, str(error))
    except OSError as error:
        return complain(USAGE, f"{error.filename or 'output'}: {error.strerror}")
    except Fatal as error:
        return complain(UNREADABLE, str(error))
    except ProfileNotFound as error:
        return complain(USAGE, str(error))
    except BotoCoreError as error:
        return complain(UNREADABLE, type(error).__name__)


def parser():
    found = argparse.ArgumentParser(
        prog="gatehouse audit",
        description="Looks at a set-up of Amazon Cognito and API Gateway, and says what is wrong, why, and what "
        "mends it. `gatehouse audit explain ID` explains a check, `gatehouse audit checks` lists them.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = found.add_argument_group("what to look at (each may be repeated)")
    what.add_argument("--stack", action="append", default=[], help="a CloudFormation stack: everything that it has")
    what.add_argument("--user-pool-id", action="append", default=[])
    what.add_argument("--rest-api", action="append", default=[], metavar="ID")
    what.add_argument("--http-api", action="append", default=[], metavar="ID", help="an HTTP or WebSocket API")
    what.add_argument("--identity-pool", action="append", default=[], metavar="ID")
    what.add_argument("--graphql-api", action="append", default=[], metavar="ID", help="an API of AppSync")
    what.add_argument("--load-balancer", action="append", default=[], metavar="ARN", help="one that authenticates")
    what.add_argument("--from", dest="folder", metavar="FOLDER", help="read exported JSON files, not the account")
    what.add_argument("--region")
    what.add_argument("--profile")
    known = found.add_argument_group("what you know of it (each may be repeated)")
    known.add_argument("--trusted", action="append", default=[], metavar="ATTRIBUTE", help="applications decide by it")
    known.add_argument("--host", action="append", default=[], help="the application's host, with its subdomains")
    known.add_argument("--authorizer", action="append", default=[], metavar="ARN", help="Gatehouse's authorizer")
    out = found.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="JSON on standard output")
    out.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0 (- for standard output)")
    out.add_argument("--junit", metavar="FILE", help="write JUnit XML (- for standard output)")
    out.add_argument("--anchor", metavar="FILE", help="the file at which code scanning shows SARIF's results")
    out.add_argument("--save", metavar="FOLDER", help="write what was read into a folder for --from, without secrets")
    out.add_argument("--quiet", action="store_true", help="no progress on standard error")
    out.add_argument("--print-iam-policy", action="store_true", help="print the policy that the audit needs, and end")
    judge = found.add_argument_group("judgement")
    levels = [severity.word for severity in reversed(Severity)]
    judge.add_argument("--fail-on", choices=[*levels, NEVER], default="high", help="default: high")
    judge.add_argument("--unchecked", choices=["fail", "warn"], default="fail", help="what was not read: default fail")
    judge.add_argument(
        "--suppressions", metavar="FILE", help=f"accepted findings; default: {suppressions.NAME}, if it exists"
    )
    return found


def audit(options):
    """Reads, checks and reports; returns the exit code."""
    if options.print_iam_policy:
        pools = tuple(options.user_pool_id)
        partition = partition_of(Aws(region=options.region, profile=options.profile).region)
        print(json.dumps(policy(partition, options.region or "*", pools=pools), indent=2))
        return PASSED
    if outputs_to_stdout(options) > 1:
        return complain(USAGE, "only one of --json, --sarif - and --junit - can use standard output")
    targets = Targets(
        tuple(options.stack),
        tuple(options.user_pool_id),
        tuple(options.rest_api),
        tuple(options.http_api),
        tuple(options.identity_pool),
        tuple(options.graphql_api),
        tuple(options.load_balancer),
    )
    if not all(all(one) for one in vars(targets).values()):
        return complain(USAGE, "a name or an id is empty")
    file, accepted = accepted_findings(options)
    named = any(vars(targets).values())
    source, region, targets = chosen_source(options, targets)
    if not any(vars(targets).values()):
        if options.folder:
            raise Fatal(f"{options.folder} describes no pool, stack or API; docs/audit.md has the names of the files")
        return complain(USAGE, "name something to look at: --stack, --user-pool-id, --rest-api, ..")
    show, done = progress(options.quiet)
    reader = Reader(source, region, show)
    facts = reader.read(targets)
    if options.folder and not named:
        facts.problems += source.broken(DESCRIBING)
    facts.trusted, facts.hosts = tuple(options.trusted), tuple(one.lower() for one in options.host)
    facts.authorizers = tuple(options.authorizer)
    done()
    today = datetime.date.today()
    found, hidden = suppressions.apply(finding.run(facts), accepted, file, today)
    report = Report(facts.region, facts.account, scope(facts), found, hidden)
    never = options.fail_on == NEVER
    # "never" is a threshold above every severity; the report says what it compared with.
    report.fail_on = Severity.CRITICAL if never else Severity[options.fail_on.upper()]
    write(report, options)
    if report.failed and not never:
        return FAILED
    return UNCHECKED if report.unchecked and options.unchecked == "fail" else PASSED


def accepted_findings(options):
    """The file of suppressions and its entries."""
    file = options.suppressions or (suppressions.NAME if pathlib.Path(suppressions.NAME).is_file() else None)
    return file, suppressions.load(file) if file else []


def chosen_source(options, targets):
    """The source of answers, its region and the targets, which a folder names itself."""
    if options.folder:
        source = Folder(options.folder)
        if not any(vars(targets).values()):
            targets = targets_in(source)
        return source, options.region or region_of(targets), targets
    aws = Aws(region=options.region, profile=options.profile)
    if not aws.region:
        raise Fatal("no region: --region, or AWS_REGION")
    source = Live(aws)
    return Saving(source, options.save) if options.save else source, aws.region, targets


# The calls that describe something to look at, with the path to its id in the answer.
DESCRIBING = {
    "cloudformation.describe-stacks": ("Stacks", "StackName"),
    "cognito-idp.describe-user-pool": ("UserPool", "Id"),
    "apigateway.get-rest-api": ("id",),
    "apigatewayv2.get-api": ("ApiId",),
    "cognito-identity.describe-identity-pool": ("IdentityPoolId",),
    "appsync.get-graphql-api": ("graphqlApi", "apiId"),
    "elbv2.describe-listeners": ("Listeners", "LoadBalancerArn"),
}


def targets_in(folder):
    """Everything that the files of a folder describe."""
    ids = [
        tuple(found for answer in folder.answers(CALLS[name]) for found in at(answer, path))
        for name, path in DESCRIBING.items()
    ]
    stacks, pools, rest, http, identities, graphql, balancers = ids
    # A nested stack is read with its parent.
    stacks = tuple(name for name in dict.fromkeys(stacks) if "NestedStack" not in name)
    return Targets(stacks, pools, rest, http, identities, graphql, balancers)


def at(value, path):
    """The texts at a path of an answer; a list on the way stands for each of its entries."""
    if isinstance(value, list):
        return [found for entry in value for found in at(entry, path)]
    if path:
        return at(value.get(path[0]), path[1:]) if isinstance(value, dict) else []
    return [value] if isinstance(value, str) and value else []


def region_of(targets):
    """The region in the id of a pool, or that of the shell."""
    for pool in targets.pools:
        return pool.partition("_")[0]
    for pool in targets.identity_pools:
        return pool.partition(":")[0]
    for arn in targets.balancers:
        return arn.split(":")[3]
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def scope(facts):
    """The names of what was looked at, without what could not be read."""
    described = (*facts.systems, *facts.pools, *facts.identity_pools, *facts.apis, *facts.graphql_apis)
    balancers = [one for one in facts.balancers if one.listeners is not None]
    return [one.label for one in (*(one for one in described if one.detail), *balancers)]


def outputs_to_stdout(options):
    return options.json + (options.sarif == "-") + (options.junit == "-")


def write(report, options):
    """Writes the report in each format that was asked for."""
    now = datetime.datetime.now(datetime.timezone.utc)
    texts = [("-", as_json.render(report, now))] if options.json else []
    texts += [(options.sarif, sarif.render(report, options.anchor))] if options.sarif else []
    texts += [(options.junit, junit.render(report))] if options.junit else []
    for file, text in texts:
        if file == "-":
            sys.stdout.write(text)
        else:
            pathlib.Path(file).write_text(text, encoding="utf-8")
    if not outputs_to_stdout(options):
        coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        sys.stdout.write(table.render(report, coloured))


def progress(quiet):
    """A function that shows what is read, and one that clears the line. Without a terminal, a line for each thing."""
    if quiet:
        return lambda text: None, lambda: None
    if sys.stderr.isatty():
        return (
            lambda text: print(f"\r\033[KReading {text}", end="", file=sys.stderr, flush=True),
            lambda: print("\r\033[K", end="", file=sys.stderr, flush=True),
        )
    shown = set()

    def show(text):
        thing, _, part = text.partition(": app client ")
        number, _, total = part.partition(" of ")
        if thing not in shown or (number and (int(number) % EVERY == 0 or number == total)):
            shown.add(thing)
            print(f"Reading {text}", file=sys.stderr, flush=True)

    return show, lambda: None


def explained(arguments):
    if len(arguments) != 1:
        return complain(USAGE, "usage: gatehouse audit explain ID")
    text = explain.render(arguments[0])
    if text is None:
        alike = explain.alike(arguments[0])
        return complain(
            USAGE, f"unknown check {arguments[0]}" + (f"; do you mean {', '.join(alike)}?" if alike else "")
        )
    sys.stdout.write(text)
    return PASSED


def listed_checks():
    for group, title in GROUPS.items():
        print(title)
        for check in CHECKS.values():
            if check.group == group:
                print(f"  {check.severity.word:9}{check.id:34}{check.title}")
    return PASSED


def complain(code, text):
    print(f"gatehouse audit: {text}", file=sys.stderr)
    return code
