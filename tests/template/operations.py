"""What an operator sees of a stack: log groups, access logs, alarms, saved queries, the dashboard. Checks of the expanded
template, which yield one line for each fault, and the evaluation of an alarm as CloudWatch does it."""

import functools
import json
import math
import re

import stack

ALARM, DASHBOARD, GROUP = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Logs::LogGroup"
QUERY, FILTER = "AWS::Logs::QueryDefinition", "AWS::Logs::MetricFilter"
SUBSCRIPTION = "AWS::Logs::SubscriptionFilter"
FUNCTION = "AWS::Lambda::Function"
PAGE = "docs/operations.md"
COLUMNS = 24
# CloudWatch accepts no more metrics in one alarm.
METRICS_OF_AN_ALARM = 10

# Metrics that AWS services publish, with their dimensions. Sources: the pages "metrics and dimensions" of the user guides
# of API Gateway, Lambda, SQS, DynamoDB and SES.
OF_AWS = {
    ("AWS/ApiGateway", name): {"ApiName", "Stage"}
    for name in ("Count", "4XXError", "5XXError", "Latency", "IntegrationLatency")
}
OF_AWS |= {
    ("AWS/Lambda", name): {"FunctionName"}
    for name in ("Duration", "Errors", "Throttles", "ConcurrentExecutions", "IteratorAge")
}
OF_AWS |= {
    ("AWS/SQS", name): {"QueueName"}
    for name in ("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible")
}
OF_AWS |= {("AWS/DynamoDB", name): {"TableName"} for name in ("ReadThrottleEvents", "WriteThrottleEvents")}
OF_AWS[("AWS/DynamoDB", "SuccessfulRequestLatency")] = {"TableName", "Operation"}
OF_AWS |= {("AWS/SES", f"Reputation.{name}Rate"): set() for name in ("Bounce", "Complaint")}

# The variables that an access log may have. They are times, sizes, ids that API Gateway generates, words of closed lists
# and the address of the client. Paths, query strings, headers, claims and messages can contain tokens, names and addresses.
LOGGED = {
    "authorizer.latency",
    "authorizer.requestId",
    "authorizer.status",
    "connectionId",
    "error.responseType",
    "eventType",
    "httpMethod",
    "identity.sourceIp",
    "integration.latency",
    "integration.requestId",
    "integration.status",
    "requestId",
    "requestTimeEpoch",
    "resourcePath",
    "responseLatency",
    "responseLength",
    "routeKey",
    "status",
    "waf.status",
    "xrayTraceId",
}
# Words of the query language that are not fields.
LANGUAGE = {
    "and", "as", "asc", "bin", "by", "coalesce", "count", "desc", "fields", "filter", "in", "ispresent", "latest", "like",
    "limit", "max", "min", "not", "or", "pct", "sort", "SOURCE", "stats", "sum",
}  # fmt: skip


# Metrics


@functools.cache
def sources(folder):
    files = sorted((stack.ROOT / folder).rglob("*.rs"))
    return "\n".join(path.read_text() for path in files if "tests" not in path.relative_to(stack.ROOT).parts)


@functools.cache
def words():
    """The string literals of the functions and the shared crates."""
    return set(re.findall(r'"(\w+)"', sources("functions") + sources("shared")))


DECISION_LOG = stack.ROOT / "shared/runtime/src/decision_log.rs"


@functools.cache
def emitted():
    """The metrics that the functions write: (function, metric) to its dimension besides `function`, or to None."""
    found = {}
    for folder in sorted((stack.ROOT / "functions").iterdir()):
        text = sources(folder.relative_to(stack.ROOT))
        # The authorizer and forward-auth write the same log.
        if "DecisionLog" in text:
            text += DECISION_LOG.read_text()
        name = "".join(part.capitalize() for part in folder.name.split("-")) + "Function"
        for metric in re.findall(r'log::outcome\(\s*\w+,\s*"[^"]*",\s*"(\w+)"', text):
            found[name, metric] = "outcome"
        if re.search(r"log::request(?:_to)?\(", text):
            found[name, "Requests"] = "outcome"
        for metric, dimension in re.findall(r'(?:log::(?:metric|counted)|MetricText::new)\(\s*"(\w+)",\s*"(\w+)"', text):
            found[name, metric] = dimension
        # These write a failed dependency as the metric `Failures` too.
        if re.search(r"log::(?:outcome|request|request_to|counted)\(", text):
            found[name, "Failures"] = None
        for metric, dimension in re.findall(r'measure\(\s*"(\w+)",\s*"\w+",\s*(?:Some\("(\w+)"\)|None)', text):
            found[name, metric] = dimension or None
    return found


def filtered(made):
    """The metrics that CloudWatch counts in log lines."""
    return {
        (each["MetricNamespace"], each["MetricName"])
        for metric_filter in made.of_type(FILTER).values()
        for each in made.plain(metric_filter["MetricTransformations"])
    }


def filters(made):
    """A filter reads a log group of the stack, and compares fields that the functions write with their own words."""
    for name, given in made.of_type(FILTER).items():
        if made.plain(given["LogGroupName"]).strip("<>") not in made.of_type(GROUP):
            yield f"{name}: it reads {made.plain(given['LogGroupName'])}"
        compared = re.findall(r'\$\.(\w+) = "(\w+)"', given["FilterPattern"])
        if not compared:
            yield f"{name}: it compares nothing"
        for word in sorted({word for pair in compared for word in pair} - words()):
            yield f"{name}: the functions never write {word}"


def unknown(made, where, namespace, metric, dimensions):
    """A metric, with the values of its dimensions, that neither the functions nor AWS write."""
    names = set(dimensions)
    if (namespace, metric) in filtered(made) and not names:
        return
    if namespace != made.plain({"Ref": "MetricsNamespace"}):
        if OF_AWS.get((namespace, metric)) != names:
            yield f"{where}: AWS does not publish {namespace} {metric} by {', '.join(sorted(names)) or 'nothing'}"
        return
    function = str(dimensions.get("function")).strip("<>")
    if (function, metric) not in emitted():
        yield f"{where}: {function} does not write {metric}"
        return
    written = emitted()[function, metric]
    if names != {"stack", "function", *filter(None, [written])}:
        yield f"{where}: {metric} has the dimensions stack, function and {written}, not {', '.join(sorted(names))}"
    if dimensions.get("stack") != made.plain({"Ref": "AWS::StackName"}):
        yield f"{where}: {metric} of the stack {dimensions.get('stack')}"
    for name, value in dimensions.items():
        if name not in ("stack", "function") and value is not ANY and value not in words():
            yield f"{where}: {metric} never has the {name} {value}"


ANY = object()


# Alarms


class Alarm:
    """The definition of an alarm, and its evaluation."""

    def __init__(self, made, name):
        self.name = name
        self.given = made.plain(made.resources[name]["Properties"])
        self.expression, self.metrics = None, {}
        if "Metrics" not in self.given:
            stat = self.given.get("Statistic") or self.given.get("ExtendedStatistic")
            self.metrics["metric"] = self.series(self.given, self.given["Period"], stat)
        for query in self.given.get("Metrics", []):
            if "Expression" in query:
                self.expression = query["Expression"]
            else:
                of = query["MetricStat"]
                self.metrics[query["Id"]] = self.series(of["Metric"], of["Period"], of["Stat"])

    @staticmethod
    def series(metric, period, stat):
        dimensions = {each["Name"]: str(each["Value"]) for each in metric.get("Dimensions", [])}
        return metric["Namespace"], metric["MetricName"], dimensions, int(period), stat

    def matching(self, label):
        """The series with this label: a metric's name and, after a slash, a dimension's value."""
        name, _, value = label.partition("/")
        found = [
            key
            for key, (_, metric, dimensions, _, _) in self.metrics.items()
            if metric == name and (not value or value in {each.strip("<>") for each in dimensions.values()})
        ]
        if len(found) != 1:
            raise AssertionError(f"{self.name}: {label} is {len(found)} of its metrics")
        return found[0]

    def state(self, recorded):
        """The state after the recorded periods: for each label a list of periods, the last one the newest, and for each
        period a list of what was published in it. Source: AWS, "Using Amazon CloudWatch alarms", "Evaluating an alarm"
        and "Configuring how alarms treat missing data"."""
        series = {key: [] for key in self.metrics}
        length = max(map(len, recorded.values()), default=0)
        for label, periods in recorded.items():
            series[self.matching(label)] = [None] * (length - len(periods)) + list(periods)
        points = {
            key: [statistic(self.metrics[key][4], samples) for samples in periods] for key, periods in series.items()
        }
        values = self.combined({key: each or [None] * length for key, each in points.items()}, length)
        count = int(self.given["EvaluationPeriods"])
        window = ([None] * count + values)[-count:]
        needed = int(self.given.get("DatapointsToAlarm", count))
        missing = self.given.get("TreatMissingData", "missing")
        threshold = float(self.given["Threshold"])
        compare = {
            "GreaterThanThreshold": lambda value: value > threshold,
            "GreaterThanOrEqualToThreshold": lambda value: value >= threshold,
            "LessThanThreshold": lambda value: value < threshold,
            "LessThanOrEqualToThreshold": lambda value: value <= threshold,
        }[self.given["ComparisonOperator"]]
        if missing in ("missing", "ignore") and None in window:
            window = [value for value in window if value is not None]
            if not window:
                return "INSUFFICIENT_DATA" if missing == "missing" else "UNCHANGED"
        breaching = sum(missing == "breaching" if value is None else compare(value) for value in window)
        return "ALARM" if breaching >= needed else "OK"

    def combined(self, points, length):
        if self.expression is None:
            return points["metric"]
        fill = re.fullmatch(r"SUM\(FILL\(METRICS\(\), (\d+)\)\)", self.expression)
        if not fill:
            raise AssertionError(f"{self.name}: the evaluation does not know {self.expression}")
        written = [each for each in points.values() if any(value is not None for value in each)]
        if not written:
            return [None] * length
        return [sum(float(fill[1]) if each[at] is None else each[at] for each in written) for at in range(length)]


def statistic(name, samples):
    """The statistic of what was published in a period; `None` if that is nothing."""
    if not samples:
        return None
    if name.startswith("p"):
        # The smallest value that this share of the samples does not exceed.
        ordered = sorted(samples)
        return ordered[max(0, math.ceil(float(name[1:]) / 100 * len(ordered)) - 1)]
    return {"Sum": sum, "Maximum": max, "Minimum": min, "Average": lambda all: sum(all) / len(all)}[name](samples)


def headings(text):
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()).strip() for title in titles)
    return [each.replace(" ", "-") for each in plain]


def runbooks(text):
    """The alarms that the page has a runbook for: the headings of its section "Alarms"."""
    section = re.search(r"^## Alarms\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^### (\w+)$", section[1], re.MULTILINE)


def alarms(made):
    """Each alarm notifies the topic, names its runbook, reads metrics that exist, and no client can raise it at will."""
    for name in made.of_type(ALARM):
        alarm = Alarm(made, name)
        given = alarm.given
        if given.get("AlarmActions") != ["<SecurityTopic>"]:
            yield f"{name}: it notifies {given.get('AlarmActions')}"
        if not re.search(rf"[.?] Runbook: {PAGE}#{name.lower()}$", str(given["AlarmDescription"])):
            yield f"{name}: its description does not end with its runbook"
        if "TreatMissingData" not in given:
            yield f"{name}: what is missing data?"
        if int(given.get("DatapointsToAlarm", 1)) > int(given["EvaluationPeriods"]):
            yield f"{name}: it never has so many periods"
        if len(alarm.metrics) > METRICS_OF_AN_ALARM:
            yield f"{name}: {len(alarm.metrics)} metrics"
        if len({period for *_, period, _ in alarm.metrics.values()}) != 1:
            yield f"{name}: its metrics have several periods"
        for namespace, metric, dimensions, period, stat in alarm.metrics.values():
            yield from unknown(made, name, namespace, metric, dimensions)
            if period not in (60, 300, 3600):
                yield f"{name}: a period of {period} s"
            yield from refusals(name, metric, dimensions)


# Reasons of the authorizer that are failures, which it logs as errors. The others are refusals.
FAILURES = {
    "jwks_unavailable", "revocations_unavailable", "api_keys_unavailable", "browser_sessions_unavailable", "out_of_time",
    "answer_too_large", "unknown_route", "invalid_method_arn",
}  # fmt: skip
# A refusal is an error of these functions.
REFUSING = {"AuthorizerFunction", "PreSignUpFunction"}


def refusals(name, metric, dimensions):
    """Any client can cause refusals, and so an alarm that counts them."""
    if metric == "4XXError":
        yield f"{name}: any client can cause 4xx"
    if metric == "Errors" and dimensions.get("FunctionName", "").strip("<>") in REFUSING:
        yield f"{name}: a refusal is an error of {dimensions['FunctionName'].strip('<>')}"
    if metric == "Decisions" and dimensions.get("reason") not in FAILURES:
        yield f"{name}: {dimensions.get('reason')} is a refusal"


# Logs


def log_groups(made):
    """Each function writes into its own log group, and each group's lines expire."""
    used = {}
    for name, function in made.of_type(FUNCTION).items():
        group = made.plain(function.get("LoggingConfig", {})).get("LogGroup", "")
        expected = name.removesuffix("Function") + "Logs"
        if group != f"<{expected}>":
            yield f"{name}: it writes into {group or 'a group that Lambda creates, whose lines never expire'}"
        used[expected] = name
    for name, group in made.of_type(GROUP).items():
        if made.plain(group.get("RetentionInDays")) != made.parameters["LogRetentionDays"]:
            yield f"{name}: its lines are kept for {made.plain(group.get('RetentionInDays'))} days"
        if made.resources[name].get("DeletionPolicy") != "RetainExceptOnCreate":
            yield f"{name}: DeletionPolicy is {made.resources[name].get('DeletionPolicy')}"
        # `gatehouse` writes an operator's acts itself.
        if name not in used and name != "OperatorLogs" and not name.endswith("AccessLogGroup"):
            yield f"{name}: no function writes into it"


def acts(made):
    """The lines about acts of each group of the trail are published once: by a subscription, or by user-events itself."""
    trail = set(made.plain(made.outputs["AuditLogGroups"]["Value"]).split(","))
    subscribed = []
    for name, subscription in made.of_type(SUBSCRIPTION).items():
        given = made.plain(subscription)
        subscribed.append(given["LogGroupName"])
        if (given["FilterPattern"], given["DestinationArn"]) != ("audit", "<PublishActsFunction.Arn>"):
            yield f"{name}: it sends {given['FilterPattern']} to {given['DestinationArn']}"
    for group in sorted(trail ^ ({*subscribed} | ({"<UserEventsLogs>"} & trail))):
        yield f"{group}: {'not published' if group in trail else 'not in the trail'}"
    if len(subscribed) != len({*subscribed}) or "<UserEventsLogs>" in subscribed:
        yield f"published twice: {', '.join(sorted(subscribed))}"


def access_logs(made):
    """With AccessLogs each stage has a log, of values that are not secret. Without it none has."""
    wanted = made.parameters["AccessLogs"] == "true"
    for kind, key in (("AWS::ApiGateway::Stage", "AccessLogSetting"), ("AWS::ApiGatewayV2::Stage", "AccessLogSettings")):
        for name, stage in made.of_type(kind).items():
            setting = made.plain(stage.get(key))
            if bool(setting) != wanted:
                yield f"{name}: it has {'an' if setting else 'no'} access log"
            if setting:
                yield from log_format(name, setting["Format"])
                group = setting["DestinationArn"].rpartition(":")[2].strip("<>")
                if group not in made.of_type(GROUP):
                    yield f"{name}: its access log is {setting['DestinationArn']}"


def log_format(name, text):
    if "\n" in text:
        yield f"{name}: its log format has several lines"
    try:
        fields = json.loads(text)
    except ValueError:
        yield f"{name}: its log format is not JSON"
        return
    if "$context.requestId" not in text:
        yield f"{name}: API Gateway requires $context.requestId in a log format"
    for field, value in fields.items():
        if not re.fullmatch(r"\$context\.[\w.]+", str(value)):
            yield f"{name}: {field} is {value}, not one variable"
        elif str(value).removeprefix("$context.") not in LOGGED:
            yield f"{name}: {value} may be secret or personal"


def tracing(made):
    for name, stage in made.of_type("AWS::ApiGateway::Stage").items():
        wanted = made.parameters["Tracing"] == "true"
        if bool(made.plain(stage.get("TracingEnabled"))) != wanted:
            yield f"{name}: Tracing={made.parameters['Tracing']}, and TracingEnabled is {stage.get('TracingEnabled')}"


def spans(made):
    """Every function sends its spans to OtlpEndpoint, by OtlpSampler; without an endpoint none does. Its layers are
    those of its own files: the collector's is the user's (docs/operations.md)."""
    expected = {"OTEL_EXPORTER_OTLP_ENDPOINT": "OtlpEndpoint", "OTEL_TRACES_SAMPLER": "OtlpSampler"}
    for name, function in made.of_type(FUNCTION).items():
        variables = made.plain(function.get("Environment", {}).get("Variables", {}))
        for variable, parameter in expected.items():
            if variables.get(variable) != made.parameters[parameter]:
                wanted = made.parameters[parameter]
                yield f"{name}: {variable} is {variables.get(variable)!r}, and {parameter} {wanted!r}"
        for layer in made.plain(function.get("Layers", [])):
            if layer not in made.parameters.values():
                yield f"{name}: the layer {layer} is no parameter's"


def logged(made):
    """The members of access log lines."""
    found = set()
    for kind, key in (("AWS::ApiGateway::Stage", "AccessLogSetting"), ("AWS::ApiGatewayV2::Stage", "AccessLogSettings")):
        for stage in made.of_type(kind).values():
            if key in stage:
                found |= json.loads(made.plain(stage[key])["Format"]).keys()
    return found


def query_fields(text):
    """The fields that a query reads, without those of CloudWatch itself, which begin with @."""
    text = re.sub(r'#[^\n]*|"[^"]*"|\'[^\']*\'|/[^/\n]+/(?=\s|$)|@\w+', " ", text)
    named = set(re.findall(r"\bas (\w+)", text))
    return {word for word in re.findall(r"\b[A-Za-z_]\w*\b", text)} - LANGUAGE - named


# The saved queries that runbooks name for any function.
OF_EVERY_FUNCTION = {"FailuresQuery", "CrashesQuery", "StartsQuery"}


def queries(made):
    """Saved queries read log groups of this stack, and fields that the functions or API Gateway write."""
    of_functions = {
        made.plain(function["LoggingConfig"]["LogGroup"]).strip("<>") for function in made.of_type(FUNCTION).values()
    }
    for name, query in made.of_type(QUERY).items():
        groups = [str(each) for each in made.plain(query["LogGroupNames"])]
        if not groups or not {each.strip("<>") for each in groups} <= made.of_type(GROUP).keys():
            yield f"{name}: it reads {groups}"
        missing = of_functions - {each.strip("<>") for each in groups}
        if name in OF_EVERY_FUNCTION and missing:
            yield f"{name}: it does not read {sorted(missing)}"
        for field in sorted(query_fields(made.plain(query["QueryString"])) - words() - logged(made)):
            yield f"{name}: nothing writes the field {field}"
        if not made.plain(query["Name"]).startswith(f"{stack.PSEUDO['AWS::StackName']}/"):
            yield f"{name}: its name is that of every stack"


# The dashboard


def body_of(made):
    (properties,) = made.of_type(DASHBOARD).values()
    return json.loads(made.plain(properties["DashboardBody"]).replace("${!", "${"))


def metrics_of(rows):
    """The metrics of a widget, with abbreviations resolved: `.` is the value above, `...` all values above that are left
    out. Source: AWS, "Dashboard body structure and syntax", "Metrics array format"."""
    above = []
    for row in rows:
        options = row[-1] if isinstance(row[-1], dict) else {}
        values = [each for each in row if not isinstance(each, dict)]
        if "expression" in options:
            yield options["expression"]
            continue
        if values[:1] == ["..."]:
            values = above[: len(above) - len(values) + 1] + values[1:]
        values = [above[at] if each == "." else each for at, each in enumerate(values)]
        above = values
        yield values


def dashboard(made):
    wanted = made.parameters["Dashboard"] == "true"
    if len(made.of_type(DASHBOARD)) != wanted:
        yield f"Dashboard={made.parameters['Dashboard']}, and there are {len(made.of_type(DASHBOARD))}"
    if not wanted:
        return
    try:
        widgets = body_of(made)["widgets"]
    except ValueError as error:
        yield f"the dashboard is not JSON: {error}"
        return
    taken = {}
    listed = set()
    for widget in widgets:
        properties = widget["properties"]
        title = properties.get("title", "the text")
        if widget["x"] < 0 or widget["x"] + widget["width"] > COLUMNS or widget["height"] < 1:
            yield f"{title}: it is outside of the {COLUMNS} columns"
        for x in range(widget["x"], widget["x"] + widget["width"]):
            for y in range(widget["y"], widget["y"] + widget["height"]):
                if (x, y) in taken:
                    yield f"{title}: it overlaps {taken[x, y]}"
                    break
                taken[x, y] = title
            else:
                continue
            break
        match widget["type"]:
            case "metric":
                yield from shown(made, title, properties)
            case "log":
                yield from read(made, title, properties["query"])
            case "alarm":
                listed |= {arn.strip("<>").removesuffix(".Arn") for arn in properties["alarms"]}
            case "text":
                pass
            case kind:
                yield f"{title}: a widget of the type {kind}"
    for name in sorted(listed ^ made.of_type(ALARM).keys()):
        yield f"the dashboard {'shows an alarm that does not exist' if name in listed else 'lacks the alarm'}: {name}"


SEARCH = re.compile(
    r"""SEARCH\('\{"([\w./#-]+)",([\w,]+)\} MetricName="(\w+)" stack="(\S+)" function="(\S+)"', '\w+', \d+\)"""
)


def shown(made, title, properties):
    for metric in metrics_of(properties["metrics"]):
        if isinstance(metric, str):
            found = SEARCH.fullmatch(metric)
            if not found:
                yield f"{title}: {metric}"
                continue
            dimensions = dict.fromkeys(found[2].split(","), ANY) | {"stack": found[4], "function": found[5]}
            yield from unknown(made, title, found[1], found[3], dimensions)
        else:
            namespace, name, *rest = metric
            dimensions = dict(zip(rest[::2], rest[1::2], strict=True))
            yield from unknown(made, title, namespace, name, dimensions)
            for value in dimensions.values():
                resource = str(value).strip("<>").partition(".")[0]
                if str(value).startswith("<") and resource not in made.resources:
                    yield f"{title}: {resource} does not exist"


def read(made, title, query):
    groups = re.findall(r"SOURCE '<(\w+)>'", query)
    if not groups or not set(groups) <= made.of_type(GROUP).keys():
        yield f"{title}: it reads {groups}"
    for field in sorted(query_fields(query.rpartition("SOURCE ")[2].partition("| ")[2]) - words()):
        yield f"{title}: nothing writes the field {field}"


OF_ONE_SET = (alarms, filters, log_groups, acts, access_logs, tracing, spans, queries, dashboard)
OF_THE_CORE = (alarms, log_groups, spans, queries)
