"""What an operator sees of a local stack: the functions' log lines, the rows of saved queries over them, and the alarms
that their metrics raise. MiniStack creates no saved queries and evaluates no alarms, so both are read from the
template, as tests/template does."""

import collections
import functools
import importlib
import json
import pathlib
import re
import sys
import time

import client
import faults

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests/template"
STAGE = "prod"


@functools.cache
def modules():
    """The modules operations.py and stack.py of tests/template."""
    # Its module `stack` is not the one of this folder.
    ours = sys.modules.pop("stack", None)
    sys.path.insert(0, str(TESTS))
    try:
        operations = importlib.import_module("operations")
        stack = sys.modules.pop("stack")
    finally:
        sys.path.remove(str(TESTS))
        if ours:
            sys.modules["stack"] = ours
    return operations, stack


@functools.cache
def evaluation():
    """The module operations.py of tests/template, and the resources of the template on AWS."""
    operations, stack = modules()
    return operations, stack.Parsed(stack.text()).stack({"ConfidentialClient": "true", "StageName": STAGE})


def lines(state, since):
    """The log lines of all functions since a time in seconds: for each one its log group's logical id, and its members
    with its text as `@message`."""
    logs = client.aws_client("logs", state["endpoint"])
    found = []
    for logical, physical in faults.resources(state).items():
        if not logical.endswith("Logs"):
            continue
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=physical, startTime=int(since * 1000))
        for page in pages:
            for event in page["events"]:
                text = event["message"].strip()
                members = json.loads(text) if text.startswith("{") else {}
                found.append((logical, event["timestamp"], {"@message": text} | members))
    return [(logical, line) for logical, _, line in sorted(found, key=lambda one: one[1])]


def lines_of(state, since, expected):
    """The lines, once there are so many reports of ended invocations in each of the log groups `expected`."""
    for _ in range(50):
        found = lines(state, since)
        ended = collections.Counter(group for group, line in found if line["@message"].startswith("REPORT"))
        if all(ended[group] >= count for group, count in expected.items()):
            return found
        time.sleep(0.1)
    raise TimeoutError(f"{dict(ended)} invocations have ended, not {expected}")


# Metrics and alarms


def metrics(state, found, statuses):
    """The samples that the lines publish, and those of API Gateway for responses with these statuses: by namespace,
    name and dimensions."""
    logical = {physical: name for name, physical in faults.resources(state).items()}
    samples = published((line for _, line in found), logical)
    of_stage = frozenset({"ApiName": "gatehouse", "Stage": STAGE}.items())
    samples["AWS/ApiGateway", "5XXError", of_stage] = [int(status >= 500) for status in statuses]
    samples["AWS/ApiGateway", "4XXError", of_stage] = [int(400 <= status < 500) for status in statuses]
    return samples


def published(lines, logical):
    """The samples of the embedded metrics of lines: by namespace, name and dimensions, in which `function` is a logical
    id in angle brackets, as in the evaluated template."""
    samples = collections.defaultdict(list)
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for metric in directive["Metrics"]:
                for names in directive["Dimensions"]:
                    values = {name: line[name] for name in names}
                    if "function" in values:
                        values["function"] = f"<{logical[values['function']]}>"
                    key = directive["Namespace"], metric["Name"], frozenset(values.items())
                    samples[key].append(line[metric["Name"]])
    return samples


def raised(samples, made=None):
    """The alarms that are raised if every period has these samples, of the stack `made` or the default one. Alarms on
    metrics without samples are left out."""
    operations, default = evaluation()
    made = made or default
    alarms = (operations.Alarm(made, name) for name in made.of_type(operations.ALARM))
    of_each = ((alarm, recorded_for(alarm, samples)) for alarm in alarms)
    return [alarm.name for alarm, recorded in of_each if recorded and alarm.state(recorded) == "ALARM"]


def recorded_for(alarm, samples):
    """The samples that an alarm reads, in every period: by label. Namespace, name and all dimensions are compared."""
    periods = int(alarm.given["EvaluationPeriods"])
    recorded = {}
    for namespace, metric, dimensions, _, _ in alarm.metrics.values():
        found = samples.get((namespace, metric, frozenset(dimensions.items())))
        if found:
            value = ["", *(each.strip("<>") for each in dimensions.values())][-1]
            recorded[f"{metric}/{value}" if value else metric] = [found] * periods
    return recorded


# Saved queries


def saved(name, found):
    """The rows of a saved query over these lines, without columns that have no value."""
    operations, made = evaluation()
    given = [one for one in made.of_type(operations.QUERY).values() if made.plain(one["Name"]).endswith(f"/{name}")]
    if len(given) != 1:
        raise LookupError(f"{len(given)} saved queries have the name {name}")
    groups = {made.plain(group).strip("<>") for group in given[0]["LogGroupNames"]}
    return queried(made.plain(given[0]["QueryString"]), [line for group, line in found if group in groups])


def queried(text, rows):
    """The rows of a query in the language of CloudWatch Logs Insights. Only the commands of the saved queries that the
    walks use are known; another one is a ValueError."""
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    for stage in re.split(r"\n\s*\|\s*", text.strip()):
        command, _, rest = stage.partition(" ")
        match command:
            case "filter":
                rows = [row for row in rows if holds(rest, row)]
            case "stats":
                rows = grouped(rest, rows)
            case "fields":
                names = [name.strip() for name in rest.split(",")]
                rows = [{name: row.get(name) for name in names} for row in rows]
            case "limit":
                rows = rows[: int(rest)]
            case "sort":
                name, _, order = rest.partition(" ")
                if rows and name in rows[0] and not name.startswith("@"):
                    rows = sorted(rows, key=lambda row: row[name], reverse=order == "desc")
            case _:
                raise ValueError(f"unknown command: {stage}")
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def holds(expression, row):
    """Whether a row passes a filter."""
    if " or " in expression:
        return any(holds(part, row) for part in expression.split(" or "))
    if " and " in expression:
        return all(holds(part, row) for part in expression.split(" and "))
    if found := re.fullmatch(r"ispresent\((\w+)\)", expression):
        return row.get(found[1]) is not None
    if found := re.fullmatch(r"(@?\w+) like /(.+)/", expression):
        return re.search(found[2], str(row.get(found[1], ""))) is not None
    if found := re.fullmatch(r'(@?\w+) (!?=) "([^"]*)"', expression):
        return (row.get(found[1]) == found[3]) == (found[2] == "=")
    raise ValueError(f"unknown filter: {expression}")


def grouped(expression, rows):
    """The rows of `stats`: one for each group."""
    aggregates, _, keys = expression.partition(" by ")
    groups = collections.defaultdict(list)
    columns = [column(one) for one in separated(keys)]
    for row in rows:
        groups[tuple(value(row) for _, value in columns)].append(row)
    names = [name for name, _ in columns]
    totals = [aggregate(one) for one in separated(aggregates)]
    return [
        dict(zip(names, key, strict=True)) | {name: total(members) for name, total in totals}
        for key, members in groups.items()
    ]


def separated(text):
    """The parts between commas, other than those in parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)]


def column(text):
    """The name of a column, and a function that reads it from a row."""
    if found := re.fullmatch(r"coalesce\((.+)\) as (\w+)", text):
        options = [name.strip() for name in found[1].split(",")]
        return found[2], lambda row: next((row[name] for name in options if row.get(name) is not None), None)
    if re.fullmatch(r"@?\w+", text):
        return text, lambda row: row.get(text)
    raise ValueError(f"unknown column: {text}")


def aggregate(text):
    """The name of a total, and a function that computes it of rows."""
    found = re.fullmatch(r"(count|sum|min|max|latest)\((\*|@?\w+)\) as (\w+)", text)
    if not found:
        raise ValueError(f"unknown total: {text}")
    function, name, title = found.groups()

    def total(rows):
        if function == "count" and name == "*":
            return len(rows)
        values = [row[name] for row in rows if row.get(name) is not None]
        if function == "count":
            return len(values)
        if not values:
            return None
        return {"sum": sum, "min": min, "max": max, "latest": lambda all: all[-1]}[function](values)

    return title, total
