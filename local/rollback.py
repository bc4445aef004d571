#!/usr/bin/env python3
"""Points the alias that API Gateway invokes at an earlier version of the authorizer, which takes effect at once.

    rollback.py [--config NAME] [--stack NAME --region REGION] [--to VERSION]

Without --to: the version before the present one. It changes no other function and no parameter. The next deployment
that changes the authorizer moves the alias forward again.
"""

import account
import target
from account import Problem


def main(arguments):
    stack = target.of(arguments, "rollback", lambda made: made.add_argument("--to", default=""))
    roll_back(stack, stack.options.to)
    return 0


def roll_back(stack, wanted):
    state = stack.description["StackStatus"]
    if state.endswith("_IN_PROGRESS"):
        raise Problem(
            f"The stack is {state}. To stop an update that is under way, which rolls it back:\n"
            f"  aws cloudformation cancel-update-stack --stack-name {stack.name} --region {stack.region}"
        )
    alias_arn = stack.outputs.get("AuthorizerAlias")
    if not alias_arn:
        raise Problem(
            "AuthorizerDeployment is Direct: the API invokes the authorizer itself, and there is no earlier version of it.\n"
            "Deploy the former build instead (docs/deploy.md)."
        )
    function, _, name = alias_arn.rpartition(":")
    client = stack.client("lambda")
    alias = client.get_alias(FunctionName=function, Name=name)
    present = int(alias["FunctionVersion"])
    versions = published(client, function)
    for number, one in sorted(versions.items()):
        print(f"{'*' if number == present else ' '} {number:<5}{one['LastModified']:<32}{one.get('Description', '')}")
    chosen = choose(versions, present, wanted)
    # The revision: an update by another program in the meantime is not undone.
    client.update_alias(
        FunctionName=function,
        Name=name,
        FunctionVersion=str(chosen),
        RoutingConfig={"AdditionalVersionWeights": {}},
        RevisionId=alias["RevisionId"],
    )
    print(
        f"API Gateway invokes version {chosen} of the authorizer, no longer {present}, with that version's configuration.\n"
        "The stack's template still has the later one: the next deployment that changes the authorizer, its parameters\n"
        "included, moves the alias to what is deployed then."
    )


def published(client, function):
    """The published versions by number."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    return {int(one["Version"]): one for page in pages for one in page["Versions"] if one["Version"].isdigit()}


def choose(versions, present, wanted):
    if wanted:
        if not wanted.isdigit() or int(wanted) not in versions:
            raise Problem(f"There is no version {wanted} of the authorizer.")
        return int(wanted)
    earlier = [number for number in versions if number < present]
    if not earlier:
        raise Problem(f"There is no version before {present}: deploy a former build.")
    return max(earlier)


if __name__ == "__main__":
    account.run(main)
