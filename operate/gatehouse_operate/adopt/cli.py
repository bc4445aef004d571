"""gatehouse-adopt: puts Gatehouse in front of a user pool and APIs that exist.

    gatehouse-adopt plan --user-pool ID [--stack NAME] [--rest-api ID] [--http-api ID] ...
    gatehouse-adopt apply [--yes] [--confirm ID,...]
    gatehouse-adopt undo  [--yes] [--force STEP]

Exit status: 0 done, or shown without --yes; 1 refused, nothing more was changed; 2 wrong arguments; 3 not finished,
repeat the command; 4 an AWS call failed, repeat the command.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys

from botocore.exceptions import BotoCoreError, ClientError

from ..aws import Aws, code_of
from . import costs, lock, plan, read, rules, run
from .common import Refused, Unfinished
from .journal import Journal, Nothing

SLOTS = sorted(read.TRIGGERS.values())
LEVELS = {"stop": "STOP", "confirm": "CONFIRM", "note": "note"}


def main(arguments=None, session=None):
    """Runs one command and returns its exit status."""
    options = parsed(arguments)
    try:
        return options.command(options, Aws(options.region, options.profile, options.endpoint_url, session))
    except Unfinished as unfinished:
        print(f"Not finished. {unfinished}", file=sys.stderr)
        return 3
    except Refused as refused:
        print(f"Refused. {refused}", file=sys.stderr)
        return 1
    except ClientError as error:
        text = lock.explain_denied(error) or f"{error.operation_name}: {code_of(error)}: {message_of(error)}"
        print(f"An AWS call failed. {text}", file=sys.stderr)
        return 4
    except (BotoCoreError, OSError) as error:
        print(f"A call failed. {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("Interrupted: repeat the command.", file=sys.stderr)
        return 3


def message_of(error):
    return error.response.get("Error", {}).get("Message", "")


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="gatehouse-adopt", description="Puts Gatehouse in front of what exists.")
    commands = parser.add_subparsers(required=True, metavar="plan | apply | undo")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=pathlib.Path, default=pathlib.Path("adopt"), help="folder of plan and journal")
    common.add_argument("--region", help="default: the shell's")
    common.add_argument("--profile", help="default: the shell's")
    common.add_argument("--endpoint-url", help="for a local stack")
    made = commands.add_parser("plan", parents=[common], help="read, and say what would change")
    made.add_argument("--user-pool", required=True, metavar="ID")
    made.add_argument("--stack", metavar="NAME", help="Gatehouse's stack; without it, the plan has no steps")
    made.add_argument("--rest-api", action="append", default=[], metavar="ID", help="default: every one of the pool")
    made.add_argument("--http-api", action="append", default=[], metavar="ID", help="default: every one of the pool")
    made.add_argument("--only", action="append", default=[], metavar="'GET /path'", help="switch these routes only")
    made.add_argument("--stage", action="append", default=[], metavar="NAME", help="default: every stage")
    made.add_argument("--authorizer", action="append", default=[], metavar="ID", help="switch its routes too")
    made.add_argument("--trigger", action="append", default=[], metavar="NAME[=ARN]", help="attach a function")
    made.add_argument("--replace", action="append", default=[], metavar="NAME", help="replace another function")
    made.add_argument("--enable-token-revocation", action="store_true", help="on every app client that lacks it")
    made.add_argument("--requests", type=int, default=1_000_000, metavar="N", help="a month, for the costs")
    made.add_argument("--policies", type=pathlib.Path, metavar="FOLDER", help="default: the plan's of before")
    made.set_defaults(command=make_plan)
    for name, command, text in (("apply", apply, "make the planned changes"), ("undo", undo, "take them back")):
        one = commands.add_parser(name, parents=[common], help=text)
        one.add_argument("--yes", action="store_true", help="without it, the command changes nothing")
        one.add_argument("--settle", type=int, default=30, metavar="SECONDS", help="pause for AWS's propagation")
        one.add_argument("--unlock", action="store_true", help="take the lock of a process that is gone")
        one.set_defaults(command=command)
        if name == "apply":
            one.add_argument("--confirm", default="", metavar="ID,...", help="findings that are taken care of")
            one.add_argument("--wait", action="store_true", help="wait for tokens to expire")
        else:
            one.add_argument("--force", action="append", default=[], metavar="STEP", help="overwrite a foreign change")
    options = parser.parse_args(arguments)
    if options.command is make_plan:
        triggers = [one.partition("=") for one in options.trigger]
        options.triggers = {name: arn or None for name, _, arn in triggers}
        options.replace = set(options.replace)
        if wrong := (options.triggers.keys() | options.replace) - set(SLOTS):
            parser.error(f"unknown trigger {', '.join(sorted(wrong))}: one of {', '.join(SLOTS)}")
    return options


def make_plan(options, aws):
    if applied(options):
        raise Refused(f"{options.dir} has the journal of an applied plan: keep it for undo, name another --dir.")
    made, found, chosen = plan.build(aws, options, rules.read(options))
    options.dir.mkdir(parents=True, exist_ok=True)
    values = plan.parameters(found)
    written = [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]
    (options.dir / "parameters.json").write_text(json.dumps(written, indent=2) + "\n")
    rules.write(options.dir / "policies", found, made["id"])
    file = os.open(options.dir / "plan.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as output:
        json.dump(made, output, indent=1, default=str, ensure_ascii=False)
    show(made, values, found, chosen, options)
    return 0


def show(made, values, found, chosen, options):
    print(f"Plan {made['id']} for pool {made['pool']} in {made['region']}: {len(found['clients'])} app clients")
    for api in found["rest"] + found["http"]:
        print(f"  {api['name']} ({api['id']}): {len(chosen[api['id']])} of {len(api['routes'])} routes")
    if not found["rest"] + found["http"]:
        print("  no API accepts its tokens")
    for level in LEVELS:
        for one in made["needs"]:
            if one["level"] == level:
                print(f"{LEVELS[level]} {one['id']}: {one['text']}")
    print("Would change:")
    for step in made["steps"]:
        print(f"  {step['says']}")
    if not made["steps"]:
        print("  nothing")
    print("Would cost:")
    for line in costs.lines(options.requests):
        print(f"  {line}")
    print("Parameters of core.yaml: " + " ".join(f"{name}={value}" for name, value in values.items()))
    print(f"Written: plan.json, parameters.json and policies/ (from {found['rules']['source']}) in {options.dir}")


def loaded(options, aws):
    """The plan, if it is of this account and region."""
    path = options.dir / "plan.json"
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        if made["version"] != 1:
            raise Refused(f"{path} is of another version of this command.")
    except FileNotFoundError:
        raise Refused(f"{path} does not exist: make a plan first.") from None
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{path} is no plan.") from None
    account = aws.client("sts").get_caller_identity()["Account"]
    if (made["account"], made["region"]) != (account, aws.region):
        raise Refused(f"The plan is for {made['account']} in {made['region']}, this is {account} in {aws.region}.")
    return made


def apply(options, aws):
    made = loaded(options, aws)
    confirmed = {one.strip() for one in options.confirm.split(",") if one.strip()}
    stops = [one for one in made["needs"] if one["level"] == "stop"]
    asked = [one for one in made["needs"] if one["level"] == "confirm" and one["id"] not in confirmed]
    for one in stops + asked:
        print(f"{LEVELS[one['level']]} {one['id']}: {one['text']}")
    if not options.yes:
        for step in made["steps"]:
            print(f"  {step['says']}")
        with journal_of(options, made) if applied(options) else contextlib.nullcontext(Nothing()) as journal:
            run.check(aws, made, journal)
        print("Nothing was changed: repeat with --yes.")
        return 0
    if stops:
        raise Refused("Mend what stops the plan, and plan again.")
    if asked:
        raise Refused(f"Take care of what is listed, then add --confirm {','.join(one['id'] for one in asked)}")
    with journal_of(options, made) as journal, lock.held(aws, made, journal, options.unlock):
        run.apply(aws, made, journal, say, options.settle, options.wait)
    print("Applied. Look at Gatehouse/Decisions by reason and at the APIs' 4XX and 5XX for a day (docs/outcomes.md).")
    return 0


def undo(options, aws):
    made = loaded(options, aws)
    if not applied(options):
        print("Nothing was applied.")
        return 0
    if unknown := set(options.force) - {step["id"] for step in made["steps"]}:
        raise Refused(f"The plan has no step {', '.join(sorted(unknown))}.")
    with journal_of(options, made) as journal:
        if not options.yes:
            for step in run.to_undo(made, journal):
                print(f"  back: {step['says']}")
            for step, text in run.changed_by_others(aws, made, journal).items():
                what = "leaves it" if text.startswith(run.IN_USE) else "overwrites it"
                print(f"CHANGED by another hand, --force {step!r} {what}: {text}")
            print("Nothing was changed: repeat with --yes.")
            return 0
        with lock.held(aws, made, journal, options.unlock):
            run.undo(aws, made, journal, say, options.force, options.settle)
    print("Undone.")
    return 0


def applied(options):
    return (options.dir / "journal.jsonl").exists()


def journal_of(options, made):
    return Journal(options.dir / "journal.jsonl", made["id"])


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
