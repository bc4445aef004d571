#!/usr/bin/env python3
"""Deletes a stack, and lists before and after which resources remain.

    destroy.py [--config NAME] [--stack NAME --region REGION] [--yes NAME]

It disables no protection and deletes nothing that the template keeps: users, tables and logs remain, and
the last lines explain how to reuse or delete them. --yes takes the stack's name and skips the question.
"""

import json

import botocore.exceptions

import account
import target
from account import Problem

POOL = "AWS::Cognito::UserPool"
TABLE = "AWS::DynamoDB::Table"
FUNCTION = "AWS::Lambda::Function"
LOGS = "AWS::Logs::LogGroup"
# Deletion policies that keep a resource, except in a stack whose first deployment failed.
KEEPS = {"Retain", "RetainExceptOnCreate"}


def main(arguments):
    given = target.options(arguments, "destroy", lambda made: made.add_argument("--yes", default=""))
    name, region, _ = target.named(given)
    session = target.session(region)
    cloudformation = session.client("cloudformation")
    stack = account.describe(cloudformation, name)
    if stack is None:
        raise Problem(f"There is no stack {name} in {session.region_name}.")
    resources = list(resources_of(cloudformation, name))
    failed = stack["StackStatus"] in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
    kept = [] if failed else staying(resources, policies(cloudformation, name))
    logs = log_groups(session.client("logs"), resources, failed)
    whole = any(one["ResourceType"] == POOL for one in resources)
    print(before(stack, kept, logs, failed, whole))
    if (given.yes or asked(name)) != name:
        raise Problem("This is not the stack's name: nothing was done.")
    delete(cloudformation, stack["StackId"], name)
    print(after(kept, logs, session.region_name))
    return 0


def resources_of(cloudformation, name):
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        yield from page["StackResourceSummaries"]


def policies(cloudformation, name):
    """Each resource's DeletionPolicy, from the template as it was deployed."""
    body = cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return None
    return {key: value.get("DeletionPolicy", "Delete") for key, value in body.get("Resources", {}).items()}


def staying(resources, kept_by):
    """The pool and the tables that remain. All of them, if the template cannot be read."""
    found = []
    for one in resources:
        if one["ResourceStatus"].startswith("DELETE") or not one.get("PhysicalResourceId"):
            continue
        if one["ResourceType"] in (POOL, TABLE) and (kept_by is None or kept_by.get(one["LogicalResourceId"]) in KEEPS):
            found.append(one)
    return found


def log_groups(logs, resources, failed):
    """The stack's log groups, which remain, and those that Lambda created for its functions before it had any."""
    managed = {one.get("PhysicalResourceId") for one in resources if one["ResourceType"] == LOGS}
    found = [] if failed else sorted(group for group in managed if group)
    for one in resources:
        if one["ResourceType"] != FUNCTION or not one.get("PhysicalResourceId"):
            continue
        name = f"/aws/lambda/{one['PhysicalResourceId']}"
        try:
            groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            return found
        found += [group["logGroupName"] for group in groups if group["logGroupName"] == name and name not in managed]
    return found


def before(stack, kept, logs, failed, whole):
    start = f"make destroy deletes the stack {stack['StackName']} ({stack['StackStatus']}): "
    if whole or failed:
        lines = [start + "the API, the functions, the app",
                 "client, the hosted UI and identity providers, queues and alarms. All requests of clients will fail."]
    else:
        lines = [start + "the authorizer, logout, queues and alarms.",
                 "APIs that still use the authorizer will respond to every request with 500."]
    if failed:
        lines.append("Its first deployment failed. Resources that CloudFormation could not delete are protected: docs/deploy.md.")
    if stack.get("EnableTerminationProtection"):
        lines.append("Termination protection is on: CloudFormation will refuse until you disable it.")
    if kept or logs:
        lines.append("It keeps:")
        lines += [f"  {one['LogicalResourceId']}: {one['PhysicalResourceId']}" for one in kept]
        if logs:
            lines.append(f"  {len(logs)} log groups")
    return "\n".join(lines)


def asked(name):
    try:
        return input(f"Type the stack's name ({name}) to delete it: ").strip()
    except EOFError:
        return ""


def delete(cloudformation, identifier, name):
    cloudformation.delete_stack(StackName=name)
    print(f"Deleting {name}; this takes some minutes ...", flush=True)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=identifier)
    except botocore.exceptions.WaiterError:
        reasons = [
            f"  {one['LogicalResourceId']} ({one.get('PhysicalResourceId', '')}): {one.get('ResourceStatusReason', '')}"
            for one in resources_of(cloudformation, identifier)
            if one["ResourceStatus"] == "DELETE_FAILED"
        ]
        raise Problem("CloudFormation could not delete everything:\n" + "\n".join(reasons) + "\n"
                      "No protection was disabled. docs/deploy.md, \"A first deployment that failed\", explains how.") from None


def after(kept, logs, region):
    """The commands that delete each remaining resource; docs/deploy.md explains how to reuse them."""
    lines = ["The stack is deleted."]
    if kept or logs:
        lines += ["", "The remaining resources cost little and hold your users. docs/deploy.md, \"Reusing kept data\", explains how",
                  "to reuse them. These commands delete them permanently:"]
    for one in kept:
        identifier = one["PhysicalResourceId"]
        if one["ResourceType"] == POOL:
            # update-user-pool resets settings that are not given, which is harmless before the pool's deletion.
            lines.append(f"  aws cognito-idp update-user-pool --region {region} --user-pool-id {identifier} --deletion-protection INACTIVE"
                         " --auto-verified-attributes email"
                         " --user-attribute-update-settings AttributesRequireVerificationBeforeUpdate=email")
            lines.append(f"  aws cognito-idp delete-user-pool --region {region} --user-pool-id {identifier}")
        else:
            lines.append(f"  aws dynamodb update-table --region {region} --table-name {identifier} --no-deletion-protection-enabled")
            lines.append(f"  aws dynamodb delete-table --region {region} --table-name {identifier}")
    lines += [f"  aws logs delete-log-group --region {region} --log-group-name {name}" for name in logs]
    return "\n".join(lines)


if __name__ == "__main__":
    account.run(main)
