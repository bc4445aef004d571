"""Tests of what an operator sees: each alarm is raised by recorded data points and stays quiet on ordinary ones, its
runbook exists, and the dashboard, saved queries and log formats name only what is written."""

import re
import unittest
import unittest.mock

import botocore.session
import draw
import operations
import parameters
import stack

PARSED = stack.Parsed(stack.text())
PAGE = (stack.ROOT / operations.PAGE).read_text()
FULL = ("everything", "defaults", "gradual deployment", "WebSockets", "docs/operations.md", "browser sessions")

# The data points of each alarm: label to periods, the newest last, and in each period what was published. A label is a
# metric and a dimension's value. Each alarm is raised by every case of the first list, and by none of the second one.
ONE, NONE, HOURS = [1], None, 3600
DATA = {
    "DecisionsAlarm": (
        [
            {"Decisions/revocations_unavailable": [NONE, ONE, ONE, NONE, ONE]},
            {"Decisions/jwks_unavailable": [[3, 1], NONE, NONE], "Decisions/out_of_time": [NONE, ONE, ONE]},
            {"Decisions/api_keys_unavailable": [ONE] * 5},
        ],
        [
            {},
            {"Decisions/revocations_unavailable": [NONE, NONE, [40], NONE, ONE]},
            # Over, though the alarm was raised before.
            {"Decisions/revocations_unavailable": [ONE, ONE, ONE, NONE, NONE, NONE]},
        ],
    ),
    "SignInsAlarm": (
        [
            {"Failures": [NONE, ONE, [1, 1], NONE, ONE]},
            {"Failures": [ONE] * 3},
            # It does not start.
            {"Errors": [ONE] * 3, "Failures": [NONE] * 3},
        ],
        [
            {},
            {"Failures": [NONE, [90], ONE]},
            {"Failures": [ONE, ONE, ONE, NONE, NONE, NONE]},
            {"Errors": [[0]] * 5},
        ],
    ),
    "FailuresAlarm": (
        [
            {"Failures/LogoutFunction": [ONE, NONE, ONE]},
            {"Failures/AdminFunction": [ONE, NONE], "Failures/SessionsFunction": [NONE, [2]]},
        ],
        [{}, {"Failures/LogoutFunction": [NONE, [9], NONE]}],
    ),
    "ServerErrorsAlarm": (
        [{"5XXError": [[0] * 90 + [1] * 10, [0] * 50, [0] * 97 + [1] * 3]}, {"5XXError": [ONE, ONE]}],
        [{}, {"5XXError": [[0] * 98 + [1] * 2] * 3}, {"5XXError": [[0] * 10, [1] * 10, [0] * 10]}],
    ),
    "AuthorizerDeploymentAlarm": (
        [{"5XXError": [[0] * 10, [0] * 97 + [1] * 3]}],
        [{}, {"5XXError": [[1] * 10, [0] * 98 + [1] * 2]}],
    ),
    "DecisionTimeAlarm": (
        [{"Duration": [[6] * 98 + [1400] * 2] * 3}],
        # Cold starts: few of many. Then one slow period of three.
        [{}, {"Duration": [[6] * 990 + [1400] * 9] * 3}, {"Duration": [[6] * 100, [2400] * 100, [6] * 100]}],
    ),
    "ThrottlesAlarm": (
        [
            {"Throttles/AuthorizerFunction": [ONE, NONE, [0], [7], NONE]},
            {"Throttles/AuthApiFunction": [ONE, NONE], "Throttles/MigrateUserFunction": [NONE, ONE]},
        ],
        [{}, {"Throttles/AuthorizerFunction": [[0], [0], [9], [0], [0]]}],
    ),
    "TriggersAlarm": (
        [
            {"Errors/PostConfirmationFunction": [ONE, [0], ONE]},
            {"Errors/MigrateUserFunction": [ONE, NONE, NONE], "Failures/PreSignUpFunction": [NONE, NONE, ONE]},
            # Triggers that answer Cognito all the same.
            {"Failures/PostAuthenticationFunction": [ONE, ONE]},
            {"Failures/PostConfirmationFunction": [ONE, ONE]},
        ],
        [{}, {"Errors/CustomMessageFunction": [[0], [2], [0]]}],
    ),
    "MailAlarm": (
        [
            {"Requests/delivery_failed": [ONE, NONE, ONE]},
            {"UnsentMails": [[1, 1], ONE, NONE]},
            {"Messages/template": [NONE, ONE, ONE]},
        ],
        [{}, {"Requests/delivery_failed": [NONE, NONE, ONE]}, {"UnsentMails": [NONE, [9], NONE]}],
    ),
    "BouncesAlarm": ([{"Reputation.BounceRate": [[0.02], [0.06]]}], [{}, {"Reputation.BounceRate": [[0.08], [0.05]]}]),
    "ComplaintsAlarm": (
        [{"Reputation.ComplaintRate": [[0.0012]]}],
        [{}, {"Reputation.ComplaintRate": [[0.0005]]}],
    ),
    "LateMarkAlarm": (
        [{"ApproximateAgeOfOldestMessage": [[1500], [1790, 1850]]}],
        [{}, {"ApproximateAgeOfOldestMessage": [[2400], [0]]}],
    ),
    "LateMarkDeadLettersAlarm": (
        [{"ApproximateNumberOfMessagesVisible": [[0], [0, 1]]}],
        [{}, {"ApproximateNumberOfMessagesVisible": [[2], [0]]}],
    ),
    "RetryAgeAlarm": (
        [{"ApproximateAgeOfOldestMessage": [[600], [901]]}],
        [{}, {"ApproximateAgeOfOldestMessage": [[300], [720], [360]]}],
    ),
    "ActsAlarm": (
        [{"ApproximateNumberOfMessagesVisible": [[0], [1]]}],
        [{}, {"ApproximateNumberOfMessagesVisible": [[2], [0]]}],
    ),
    "RetryAlarm": (
        [{"ApproximateNumberOfMessagesVisible": [[0], [1]]}],
        [{}, {"ApproximateNumberOfMessagesVisible": [[3], [0]]}],
    ),
    "UserEventAlarm": (
        [{"ApproximateNumberOfMessagesVisible": [[1]]}],
        [{}, {"ApproximateNumberOfMessagesVisible": [[0]]}],
    ),
    "UserEventAgeAlarm": (
        [{"ApproximateAgeOfOldestMessage": [[1000]]}],
        [{}, {"ApproximateAgeOfOldestMessage": [[380]]}],
    ),
    "CloseConnectionsAlarm": (
        [{"ApproximateNumberOfMessagesVisible": [[1]]}],
        [{}, {"ApproximateNumberOfMessagesVisible": [[0]]}],
    ),
    "CloseConnectionsAgeAlarm": (
        [{"IteratorAge": [[61_000], [120_000, 5], [180_000]]}],
        [{}, {"IteratorAge": [[90_000], [800], [70_000]]}],
    ),
    # These two are raised by silence too: a sweep that does not run, a trail that is gone.
    "SweepAgeAlarm": (
        [{}, {"SweepAge": [[10_801], [14_400], [18_000]]}, {"SweepAge": [[600], NONE, NONE, NONE]}],
        [{"SweepAge": [[700], [3_700], [650]]}, {"SweepAge": [[10_900], [14_500], [900]]}, {"SweepAge": [NONE, NONE, [900]]}],
    ),
    "TrailAlarm": (
        [{}, {"UserEvents/heartbeat": [ONE, NONE, NONE, NONE]}],
        [{"UserEvents/heartbeat": [ONE, ONE, ONE]}, {"UserEvents/heartbeat": [NONE, NONE, ONE]}],
    ),
    "OutlivingClientsAlarm": (
        [{"OutlivingClients": [[0], [1]]}],
        [{}, {"OutlivingClients": [[2], [0]]}],
    ),
    "MissingRevocationsAlarm": (
        [{"MissingMarks/marks_were_missing": [NONE, [4]]}],
        [{}, {"MissingMarks/marks_were_missing": [[4], NONE]}],
    ),
    "GuessingAlarm": (
        [{"Migrations/too_many_failures_in_all": [NONE, ONE]}],
        [{}, {"Migrations/too_many_failures_in_all": [ONE, NONE]}],
    ),
}


def made_with(name):
    """A stack that has this alarm."""
    for given in FULL:
        made = PARSED.stack(parameters.SETS[given])
        if name in made.resources:
            return made
    raise AssertionError(f"no set of parameters creates {name}")


class Alarms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stacks = {name: PARSED.stack(parameters.SETS[name]) for name in FULL}
        cls.names = sorted({name for made in cls.stacks.values() for name in made.of_type(operations.ALARM)})

    def evaluated(self, name, recorded):
        made = next(made for made in self.stacks.values() if name in made.resources)
        return operations.Alarm(made, name).state(recorded)

    def test_every_alarm_has_data_points(self):
        in_the_template = [name for name, each in PARSED.template["Resources"].items() if each["Type"] == operations.ALARM]
        self.assertEqual(sorted(in_the_template), self.names)
        self.assertEqual(self.names, sorted(DATA))

    def test_alarms_are_raised(self):
        for name, (raised, _) in DATA.items():
            for recorded in raised:
                with self.subTest(name, recorded=recorded):
                    self.assertEqual("ALARM", self.evaluated(name, recorded))

    def test_alarms_stay_quiet_and_end(self):
        for name, (_, quiet) in DATA.items():
            for recorded in quiet:
                with self.subTest(name, recorded=recorded):
                    self.assertIn(self.evaluated(name, recorded), ("OK", "UNCHANGED"))

    def test_each_metric_of_an_alarm_raises_it(self):
        """A sum over several metrics leaves none out."""
        for made in self.stacks.values():
            for name in made.of_type(operations.ALARM):
                alarm = operations.Alarm(made, name)
                if alarm.expression is None:
                    continue
                for _, metric, dimensions, *_ in alarm.metrics.values():
                    value = ["", *(each.strip("<>") for each in dimensions.values())][-1]
                    label = f"{metric}/{value}" if value else metric
                    recorded = {label: [ONE] * int(alarm.given["EvaluationPeriods"])}
                    self.assertEqual("ALARM", alarm.state(recorded), (name, recorded))

    def test_every_alarm_has_a_runbook_and_every_runbook_an_alarm(self):
        self.assertEqual(sorted(operations.runbooks(PAGE)), self.names)
        for name in self.names:
            made = next(made for made in self.stacks.values() if name in made.resources)
            anchor = made.resources[name]["Properties"]["AlarmDescription"].rpartition("#")[2]
            self.assertIn(anchor, operations.headings(PAGE))

    def test_every_runbook_says_what_to_do(self):
        section = re.search(r"^## Alarms\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)[1]
        for runbook in re.split(r"^### ", section, flags=re.MULTILINE)[1:]:
            name = runbook.partition("\n")[0]
            for part in ("**Means.**", "**Look at.**", "**Do.**", "**Over when.**"):
                self.assertIn(part, runbook, name)


class Mail(unittest.TestCase):
    def test_the_mail_takes_what_is_done_and_what_is_left_half_way(self):
        made = PARSED.stack(parameters.SETS["security mail"])
        policy = made.resources["SecurityMailSubscription"]["Properties"]["FilterPolicy"]
        # user-events' messages have no outcome; alarms have no kind either.
        self.assertEqual(policy["outcome"], [{"exists": False}, "done", "incomplete"])
        outcome = (stack.ROOT / "functions/admin/src/outcome.rs").read_text()
        self.assertIn('INCOMPLETE: &str = "incomplete"', outcome)


class Page(unittest.TestCase):
    def test_the_picture_is_that_of_the_definition(self):
        made = PARSED.stack(parameters.SETS["observed WebSockets"])
        picture = (stack.ROOT / "docs/pictures/dashboard.svg").read_text()
        self.assertEqual(picture, draw.drawn(made), "run tests/template/draw.py")

    def test_saved_queries_that_the_page_names_exist(self):
        made = PARSED.stack(parameters.SETS["everything"] | {"JwksHost": ""})
        exist = {made.plain(each["Name"]).partition("/")[2] for each in made.of_type(operations.QUERY).values()}
        named = set(re.findall(r"[Qq]uer(?:y|ies:) \*([^*\n]+)\*", PAGE))
        self.assertEqual(set(), named - exist)
        self.assertEqual(set(), exist - named, "the page does not name these queries")

    def test_links_lead_to_files_and_headings(self):
        links = re.findall(r"\]\(([^)\s]+)\)", PAGE)
        self.assertGreater(len(links), 5)
        for link in links:
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            target = (stack.ROOT / "docs" / path) if path else stack.ROOT / operations.PAGE
            self.assertTrue(target.exists(), link)
            if anchor:
                self.assertIn(anchor, operations.headings(target.read_text()), link)

    def test_the_page_about_costs_counts_the_alarms_and_their_metrics(self):
        page = (stack.ROOT / "docs/costs.md").read_text()
        counted = {}
        for given in ("defaults", "everything"):
            made = PARSED.stack(parameters.SETS[given])
            alarms = [operations.Alarm(made, name) for name in made.of_type(operations.ALARM)]
            counted[given] = (len(alarms), sum(len(alarm.metrics) for alarm in alarms))
        (least, of_least), (most, of_most) = counted["defaults"], counted["everything"]
        prices = f"{of_least / 10:.2f} to {of_most / 10:.2f}"
        self.assertIn(f"{least} alarms that read {of_least} metrics, with every feature {most} with {of_most};", page)
        self.assertIn(f"(2026-02) | {prices} |", page)
        self.assertIn(f"| {least} alarms, {of_least} metrics | | {of_least / 10:.2f} |", page)

    def test_commands_of_gatehouse_exist(self):
        """Each subcommand and option of `gatehouse` in the page is one of cli/src."""
        source = "\n".join(path.read_text() for path in sorted((stack.ROOT / "cli/src").glob("*.rs")))
        variants = re.findall(r"^    ([A-Z][A-Za-z]+)(?:\(|,| \{)", source, re.MULTILINE)
        variants = {re.sub(r"\B([A-Z])", r"-\1", each).lower() for each in variants}
        options = {each.replace("_", "-") for each in re.findall(r"#\[arg\([^]]*\blong\b[^]]*\)\]\s+(?:pub\(crate\) )?(\w+):", source)}
        commands = re.findall(r"^gatehouse (.+)$", PAGE, re.MULTILINE)
        self.assertGreater(len(commands), 3)
        for command in commands:
            command = command.partition("#")[0]
            parts = [part for part in command.split() if not part.startswith(("-", "<", "$", '"'))]
            self.assertIn(parts[0], variants, command)
            for option in re.findall(r"--([a-z-]+)", command):
                self.assertIn(option, options, command)

    def test_commands_of_aws_exist(self):
        """Operations and options of the AWS CLI are those of the service models."""
        session = botocore.session.get_session()
        page = re.sub(r"\\\n\s*", " ", PAGE)
        # A command between backticks may continue on the next line.
        page = re.sub(r"(?<!`)`([^`]+)`(?!`)", lambda code: "\n" + code[1].replace("\n", " ") + "\n", page)
        commands = re.findall(r"\baws ([a-z][a-z0-9-]+) ([a-z-]+)([^\n]*)", page)
        self.assertGreater(len(commands), 25)
        for service, operation, rest in commands:
            model = session.get_service_model({"s3": "s3api"}.get(service, service))
            names = {botocore.xform_name(name, "-"): name for name in model.operation_names}
            self.assertIn(operation, names, (service, operation))
            input_shape = model.operation_model(names[operation]).input_shape
            known = {botocore.xform_name(name, "-") for name in input_shape.members}
            rest = rest.partition(" aws ")[0].partition("$(aws")[0]
            for option in re.findall(r"(?<=\s)--([a-z-]+)", rest):
                self.assertIn(option, known | {"query", "output", "endpoint-url", "cli-binary-format"}, (service, operation))

    def test_parameters_of_the_page_exist(self):
        for name in re.findall(r"SET=\"?(\w+)=", PAGE):
            self.assertIn(name, PARSED.parameters, name)

    def test_variables_of_the_shell_are_outputs(self):
        for name in re.findall(r"\$\(output (\w+)\)", PAGE):
            self.assertIn(name, PARSED.template["Outputs"], name)


class Planted(unittest.TestCase):
    """Each check reports its fault when the fault is planted in the template."""

    def found(self, check, line, *changes, given="docs/operations.md"):
        source = stack.text()
        for old, new in changes:
            self.assertIn(old, source, "the template no longer contains this text: plant the fault elsewhere")
            source = source.replace(old, new)
        self.assertIn(line, list(check(stack.Parsed(source).stack(parameters.SETS[given]))))

    def test_alarm_that_notifies_nothing(self):
        self.found(operations.alarms, "MailAlarm: it notifies None", ("      AlarmActions: [!Ref SecurityTopic]\n", ""))

    def test_alarm_without_its_runbook(self):
        self.found(
            operations.alarms,
            "MailAlarm: its description does not end with its runbook",
            ("docs/operations.md#mailalarm", "docs/operations.md#mail"),
        )

    def test_alarm_on_a_metric_that_the_code_does_not_write(self):
        self.found(
            operations.alarms,
            "SweepAgeAlarm: UserSweepFunction does not write AgeOfSweep",
            ("      MetricName: SweepAge\n", "      MetricName: AgeOfSweep\n"),
        )
        self.found(
            operations.alarms,
            "SweepAgeAlarm: AdminFunction does not write SweepAge",
            ("      MetricName: SweepAge\n      Dimensions:\n        - Name: stack\n          Value: !Ref AWS::StackName\n        - Name: function\n          Value: !Ref UserSweepFunction\n", "      MetricName: SweepAge\n      Dimensions:\n        - Name: stack\n          Value: !Ref AWS::StackName\n        - Name: function\n          Value: !Ref AdminFunction\n"),
        )

    def test_alarm_on_dimensions_that_the_code_does_not_write(self):
        self.found(
            operations.alarms,
            "MissingRevocationsAlarm: MissingMarks has the dimensions stack, function and outcome, not function, stack",
            ("        - Name: outcome\n          Value: marks_were_missing\n", ""),
        )
        self.found(
            operations.alarms,
            "MissingRevocationsAlarm: MissingMarks never has the outcome revocations_were_missing",
            ("Value: marks_were_missing", "Value: revocations_were_missing"),
        )
        self.found(
            operations.alarms,
            "ServerErrorsAlarm: AWS does not publish AWS/ApiGateway 5XXError by ApiName",
            ("        - Name: Stage\n          Value: !Ref StageName\n", ""),
        )

    def test_filter_of_words_that_the_functions_do_not_write(self):
        self.found(
            operations.filters,
            "UnsentMails: the functions never write DeliveryFailureException",
            ('"CodeDeliveryFailureException"', '"DeliveryFailureException"'),
        )
        self.found(
            operations.alarms,
            "MailAlarm: AWS does not publish Gatehouse/gatehouse UnsentMail by nothing",
            ("              MetricName: UnsentMails\n", "              MetricName: UnsentMail\n"),
        )

    def test_acts_that_are_not_published_or_twice(self):
        self.found(operations.acts, "<AdminLogs>: not published", ("LogGroupName: !Ref AdminLogs", "LogGroupName: !Ref LogoutLogs"))
        self.found(operations.acts, "<WhoamiLogs>: not in the trail", ("LogGroupName: !Ref AdminLogs", "LogGroupName: !Ref WhoamiLogs"))
        self.found(
            operations.acts,
            "published twice: <AuthApiLogs>, <AuthorizerLogs>, <LogoutLogs>, <OperatorLogs>, <SessionsLogs>, <UserEventsLogs>",
            ("LogGroupName: !Ref AdminLogs", "LogGroupName: !Ref UserEventsLogs"),
        )
        self.found(
            operations.acts,
            "AdminActs: it sends act to <PublishActsFunction.Arn>",
            ("LogGroupName: !Ref AdminLogs\n      FilterPattern: audit", "LogGroupName: !Ref AdminLogs\n      FilterPattern: act"),
        )

    def test_alarm_that_any_client_can_raise(self):
        self.found(operations.alarms, "ServerErrorsAlarm: any client can cause 4xx", ("MetricName: 5XXError", "MetricName: 4XXError"))
        self.found(operations.alarms, "DecisionsAlarm: expired is a refusal", ("Value: out_of_time", "Value: expired"))
        self.found(
            operations.alarms,
            "TriggersAlarm: a refusal is an error of AuthorizerFunction",
            ("MetricName: Errors\n              Dimensions:\n                - { Name: FunctionName, Value: !Ref CustomMessageFunction }", "MetricName: Errors\n              Dimensions:\n                - { Name: FunctionName, Value: !Ref AuthorizerFunction }"),
        )

    def test_function_without_its_log_group(self):
        self.found(
            operations.log_groups,
            "LogoutFunction: it writes into a group that Lambda creates, whose lines never expire",
            ("      LoggingConfig: { LogGroup: !Ref LogoutLogs }\n", ""),
        )

    def test_lines_that_never_expire(self):
        self.found(
            operations.log_groups,
            "LogoutLogs: its lines are kept for None days",
            ("      RetentionInDays: !Ref LogRetentionDays\n", "      LogGroupClass: STANDARD\n"),
        )

    def test_secrets_in_an_access_log(self):
        for variable in ("path", "identity.userAgent", "authorizer.principalId", "authorizer.claims.email", "error.messageString", "requestOverride.querystring.token"):
            self.found(
                operations.access_logs,
                f"ApiStage: $context.{variable} may be secret or personal".replace("ApiStage", self.stage()),
                ('"route":"$context.resourcePath"', f'"route":"$context.{variable}"'),
            )
        self.found(
            operations.access_logs,
            f"{self.stage()}: route is $input.params('token'), not one variable",
            ('"route":"$context.resourcePath"', "\"route\":\"$input.params('token')\""),
        )

    def stage(self):
        (name,) = PARSED.stack({}).of_type("AWS::ApiGateway::Stage")
        return name

    def test_access_log_that_is_not_json(self):
        self.found(
            operations.access_logs,
            f"{self.stage()}: its log format is not JSON",
            ('"trace":"$context.xrayTraceId"}', '"trace":"$context.xrayTraceId"'),
        )

    def test_stage_without_an_access_log(self):
        self.found(
            operations.access_logs,
            "WebSocketStage: it has no access log",
            ("      AccessLogSettings: !If\n        - HasAccessLogs\n", "      AccessLogSettings: !If\n        - HasApiKeys\n"),
            given="observed WebSockets",
        )
        self.found(
            operations.access_logs,
            f"{self.stage()}: it has an access log",
            ("      AccessLogSetting: !If\n        - HasAccessLogs\n", "      AccessLogSetting: !If\n        - HasUserEvents\n"),
            given="defaults",
        )

    def test_tracing_that_is_on(self):
        self.found(
            operations.tracing,
            f"{self.stage()}: Tracing=false, and TracingEnabled is True",
            ("TracingEnabled: !If [HasTracing, true, !Ref AWS::NoValue]", "TracingEnabled: true"),
            given="defaults",
        )

    def test_spans_that_a_function_does_not_send(self):
        self.found(
            operations.spans,
            "LogoutFunction: OTEL_EXPORTER_OTLP_ENDPOINT is '', and OtlpEndpoint 'http://localhost:4318'",
            ("          RETRY_QUEUE_URL: !Ref RetryQueue\n          # Logout requires", "          RETRY_QUEUE_URL: !Ref RetryQueue\n          OTEL_EXPORTER_OTLP_ENDPOINT: ''\n          # Logout requires"),
            given="OpenTelemetry",
        )
        self.found(
            operations.spans,
            "WhoamiFunction: OTEL_TRACES_SAMPLER is None, and OtlpSampler 'always_on'",
            ("        OTEL_TRACES_SAMPLER: !Ref OtlpSampler\n", ""),
            given="OpenTelemetry",
        )

    def test_the_endpoint_is_one_that_the_functions_accept(self):
        """They send by http:// alone, and add the path themselves."""
        pattern = PARSED.parameters["OtlpEndpoint"]["AllowedPattern"]
        for accepted in ("", "http://localhost:4318", "http://127.0.0.1:4318", "http://[::1]:4318", "http://collector.internal"):
            self.assertRegex(accepted, f"^(?:{pattern})$")
        for wrong in ("https://localhost:4318", "localhost:4318", "http://localhost:4318/v1/traces", "http://", "grpc://localhost:4317"):
            self.assertNotRegex(wrong, f"^(?:{pattern})$")

    def test_query_of_a_field_that_nothing_writes(self):
        self.found(
            operations.queries,
            "RefusalsQuery: nothing writes the field rejection",
            ('filter message = "decision" and reason != "allowed"', 'filter message = "decision" and rejection != "allowed"'),
        )
        self.found(
            operations.queries,
            "AccessQuery: nothing writes the field target_path",
            ("by route, method, status, error\n", "by target_path, method, status, error\n"),
        )

    def test_query_without_the_lines_of_a_function(self):
        last = "        - !Ref PublishActsLogs\n      QueryString: |\n        filter level"
        self.found(
            operations.queries,
            "FailuresQuery: it does not read ['PublishActsLogs']",
            (last, last.replace("        - !Ref PublishActsLogs\n", "")),
        )

    def test_dashboard_of_a_metric_that_the_code_does_not_write(self):
        self.found(
            operations.dashboard,
            "Decisions of the authorizer, by reason: AuthorizerFunction does not write Decision",
            ('MetricName=\\"Decisions\\"', 'MetricName=\\"Decision\\"'),
        )
        self.found(
            operations.dashboard,
            "Sweep: seconds since a whole pass began: UserSweepFunction does not write SweepTime",
            ('"SweepAge", "stack"', '"SweepTime", "stack"'),
        )

    def test_alarm_and_dashboard_of_another_stack_or_namespace(self):
        self.found(
            operations.alarms,
            "SweepAgeAlarm: SweepAge of the stack other",
            (
                "MetricName: SweepAge\n      Dimensions:\n        - Name: stack\n          Value: !Ref AWS::StackName\n",
                "MetricName: SweepAge\n      Dimensions:\n        - Name: stack\n          Value: other\n",
            ),
        )
        self.found(
            operations.dashboard,
            "Decisions of the authorizer, by reason: Decisions of the stack other",
            ('MetricName=\\"Decisions\\" stack=\\"${AWS::StackName}\\"', 'MetricName=\\"Decisions\\" stack=\\"other\\"'),
        )
        self.found(
            operations.dashboard,
            "Sweep: seconds since a whole pass began: AWS does not publish Other SweepAge by function, stack",
            ('["${MetricsNamespace}", "SweepAge"', '["Other", "SweepAge"'),
        )

    def test_the_namespace_is_that_of_the_parameter(self):
        given = {**parameters.OBSERVED, "MetricsNamespace": "Team/Auth"}
        made = stack.Parsed(stack.text()).stack(given)
        self.assertEqual([*operations.alarms(made), *operations.dashboard(made)], [])

    def test_widgets_that_overlap(self):
        self.found(
            operations.dashboard,
            "Decisions of the authorizer, by reason: it overlaps Requests",
            ('{"type": "metric", "x": 8, "y": 6,', '{"type": "metric", "x": 7, "y": 6,'),
        )

    def test_dashboard_that_is_not_json(self):
        source = stack.text().replace('{"widgets": [\n', '{"widgets": [,\n')
        (line,) = operations.dashboard(stack.Parsed(source).stack(parameters.OBSERVED))
        self.assertTrue(line.startswith("the dashboard is not JSON"), line)

    def test_alarm_that_the_dashboard_lacks(self):
        self.found(operations.dashboard, "the dashboard lacks the alarm: RetryAlarm", ('"${RetryAlarm.Arn}", ', ""))


class Evaluation(unittest.TestCase):
    """The evaluation itself, on an alarm of one metric."""

    def state(self, periods, **given):
        given = {"Namespace": "N", "MetricName": "M", "Period": 60, "Statistic": "Sum", "Threshold": 5, "EvaluationPeriods": 3,
                 "ComparisonOperator": "GreaterThanThreshold"} | given  # fmt: skip
        made = unittest.mock.Mock(resources={"A": {"Properties": given}}, plain=lambda value: value)
        return operations.Alarm(made, "A").state({"M": periods})

    def test_comparisons(self):
        for operator, at_the_threshold, above in (
            ("GreaterThanThreshold", "OK", "ALARM"),
            ("GreaterThanOrEqualToThreshold", "ALARM", "ALARM"),
            ("LessThanThreshold", "OK", "OK"),
            ("LessThanOrEqualToThreshold", "ALARM", "OK"),
        ):
            self.assertEqual(at_the_threshold, self.state([[5]] * 3, ComparisonOperator=operator))
            self.assertEqual(above, self.state([[3, 3]] * 3, ComparisonOperator=operator))

    def test_periods(self):
        self.assertEqual("OK", self.state([[9], [9], [1]]))
        self.assertEqual("ALARM", self.state([[9], [1], [9]], DatapointsToAlarm=2))
        self.assertEqual("OK", self.state([[9], [9], [1], [1], [1]], DatapointsToAlarm=2))

    def test_missing_data(self):
        self.assertEqual("INSUFFICIENT_DATA", self.state([None] * 3))
        self.assertEqual("UNCHANGED", self.state([None] * 3, TreatMissingData="ignore"))
        self.assertEqual("OK", self.state([None] * 3, TreatMissingData="notBreaching"))
        self.assertEqual("ALARM", self.state([None] * 3, TreatMissingData="breaching"))

    def test_statistics(self):
        self.assertEqual(3, operations.statistic("Maximum", [1, 3, 2]))
        self.assertEqual(2, operations.statistic("Average", [1, 3, 2]))
        self.assertEqual(99, operations.statistic("p99", list(range(1, 101))))
        self.assertEqual(7, operations.statistic("p99", [7]))
        self.assertIsNone(operations.statistic("Sum", []))


if __name__ == "__main__":
    unittest.main()
