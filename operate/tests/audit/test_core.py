"""The audit of a stack of core.yaml, and of queues and tables that a template has."""

import json
import pathlib
import shutil
import sys
import tempfile
import unittest

from audit.support import RECORDED, ROOT, audit
from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.checks import system
from gatehouse_operate.audit.facts import System
from gatehouse_operate.audit.read import CONSUMERS

sys.path.append(str(ROOT / "tests/template"))

NAME, POOL, CLIENT = "core", "us-east-1_Good00001", "4gooda1b2c3d4e5f6g7h8i9j0k1"
GIVEN = {"UserPoolId": POOL, "AppClientIds": CLIENT, "RefreshTokenSeconds": "2592000", "DeletionProtection": "true"}
PREFIX = "us-east-1:123456789012"


def resources(template, given):
    """The resources of a template by logical id, expanded by SAM's translator."""
    import stack as templates

    return templates.Parsed(templates.text(template)).stack(given).resources


def exported(folder, outputs):
    """Writes the answers about a healthy stack of core.yaml, beside a good pool; returns a function that adds more."""

    def write(name, answer):
        (folder / f"{name}.json").write_text(json.dumps(answer))

    for file in (RECORDED / "planted").glob("*Good00001*"):
        shutil.copy(file, folder)
    found = resources("core.yaml", GIVEN)
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in GIVEN.items()]
    outputs = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
    stack_id = f"arn:aws:cloudformation:{PREFIX}:stack/{NAME}/0"
    stack = {"StackName": NAME, "StackId": stack_id, "StackStatus": "CREATE_COMPLETE"}
    stack |= {"CreationTime": "2026-03-01T10:00:00+00:00", "Parameters": parameters, "Outputs": outputs}
    write(f"cloudformation.describe-stacks.{NAME}", {"Stacks": [stack]})
    write(f"cloudformation.get-template.{NAME}", {"TemplateBody": {"Resources": {}}})
    summaries, alarms = [], []
    for logical, one in found.items():
        physical = f"{NAME}-{logical}"
        kind, properties = one["Type"], one.get("Properties") or {}
        if kind == "AWS::Lambda::Function":
            write(
                f"lambda.get-function-configuration.{physical}",
                {
                    "FunctionName": physical,
                    "FunctionArn": f"arn:aws:lambda:{PREFIX}:function:{physical}",
                    "Environment": {"Variables": {"REFRESH_TOKEN_TTL_SECONDS": GIVEN["RefreshTokenSeconds"]}},
                },
            )
            write(f"lambda.get-policy.{physical}", {"Policy": json.dumps({"Statement": []})})
            write(f"lambda.list-function-url-configs.{physical}", {"FunctionUrlConfigs": []})
        elif kind == "AWS::DynamoDB::Table":
            is_kept = properties["DeletionProtectionEnabled"]
            write(f"dynamodb.describe-table.{physical}", {"Table": {"DeletionProtectionEnabled": is_kept}})
            ttl = {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
            write(f"dynamodb.describe-time-to-live.{physical}", {"TimeToLiveDescription": ttl})
            backups = {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
            backups = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"} | backups}
            write(f"dynamodb.describe-continuous-backups.{physical}", backups)
        elif kind == "AWS::SQS::Queue":
            arn = f"arn:aws:sqs:{PREFIX}:{physical}"
            attributes = {"QueueArn": arn, "ApproximateNumberOfMessages": "0"}
            write(f"sqs.get-queue-attributes.{physical}", {"Attributes": attributes})
        elif kind == "AWS::CloudWatch::Alarm":
            alarms.append({"AlarmName": physical, "StateValue": "OK", "AlarmActions": ["arn"], "ActionsEnabled": True})
        summaries.append({"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceType": kind})
    write(f"cloudformation.list-stack-resources.{NAME}", {"StackResourceSummaries": summaries})
    write("cloudwatch.describe-alarms", {"MetricAlarms": alarms})
    subscription = {"SubscriptionArn": f"arn:aws:sns:{PREFIX}:topic:0", "Protocol": "email"}
    write(f"sns.list-subscriptions-by-topic.{NAME}-SecurityTopic", {"Subscriptions": [subscription]})
    for function, sources in system.SOURCES.items():
        mappings = [
            {"EventSourceArn": f"arn:aws:sqs:{PREFIX}:{NAME}-{source}", "State": "Enabled"} for source in sources
        ]
        write(f"lambda.list-event-source-mappings.{NAME}-{function}", {"EventSourceMappings": mappings})
    return write


class Core(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        arn = f"arn:aws:lambda:{PREFIX}:function:{NAME}-AuthorizerFunction"
        outputs = {"AuthorizerArn": arn, "RevocationTableName": f"{NAME}-RevocationTable", "UserPoolId": POOL}
        self.write = exported(self.folder, outputs)

    def test_a_healthy_core_passes(self):
        code, report = audit(self.folder)
        found = [(one["severity"], one["check"], one["found"]) for one in report["findings"]]
        self.assertEqual([one[:2] for one in found if one[0] != "info"], [("low", "system-event-rule")], found)
        self.assertEqual((code, report["not_checked"]), (0, 0), found)
        self.assertIn("stack core", report["scope"])

    def test_a_fault_of_the_core_is_found(self):
        attributes = {"QueueArn": f"arn:aws:sqs:{PREFIX}:{NAME}-RetryDeadLetters", "ApproximateNumberOfMessages": "3"}
        self.write(f"sqs.get-queue-attributes.{NAME}-RetryDeadLetters", {"Attributes": attributes})
        code, report = audit(self.folder)
        self.assertEqual(
            [one["check"] for one in report["findings"] if one["severity"] == "high"], ["system-dead-letters"]
        )
        self.assertEqual(code, 1)


class EventRule(unittest.TestCase):
    """What the lack of UserEventRule means depends on the template and its parameter."""

    def test_severity_by_parameter(self):
        for parameters, expected in (
            ({}, ["low"]),
            ({"UserEvents": "false"}, ["low"]),
            ({"UserEvents": "true"}, [None]),
        ):
            given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
            stack = System("s", "us-east-1", {"Parameters": given}, {})
            hits = list(CHECKS["system-event-rule"].run(stack, None))
            found = [getattr(getattr(hit, "severity", None), "word", None) for hit in hits]
            self.assertEqual(found, expected, parameters)


class DeadLetters(unittest.TestCase):
    def test_each_queue_of_dead_letters_is_looked_at_and_emptied_as_sqs_allows(self):
        for name, source in system.DEAD_LETTERS.items():
            stack = System("s", "us-east-1", {}, {}, resources={name: {"PhysicalResourceId": f"https://sqs/{name}"}})
            stack.queues = {name: {"ApproximateNumberOfMessages": "2", "QueueArn": "arn"}}
            (hit,) = CHECKS["system-dead-letters"].run(stack, None)
            command = hit.mend or CHECKS["system-dead-letters"].mend
            self.assertEqual("start-message-move-task" in command, bool(source), name)
            self.assertEqual("purge-queue --queue-url {url}" in command, not source, name)

    def test_the_queues_that_return_dead_letters_are_those_of_the_template(self):
        """SQS moves dead letters back to a queue only."""
        found = resources("template.yaml", {"WebSocketApi": "true"})
        queues = {name: one for name, one in found.items() if one["Type"] == "AWS::SQS::Queue"}
        sources = {}
        for name, one in queues.items():
            if target := (one["Properties"].get("RedrivePolicy") or {}).get("deadLetterTargetArn"):
                (dead,) = [logical for logical in queues if logical in str(target)]
                sources[dead] = name
        named = {name: source for name, source in system.DEAD_LETTERS.items() if source}
        self.assertEqual(named, sources)


class Contract(unittest.TestCase):
    """What the templates have is named in checks/system.py, whatever their parameters."""

    def of_type(self, kind):
        import stack as templates

        for template in ("template.yaml", "core.yaml"):
            found = templates.Parsed(templates.text(template)).template["Resources"]
            yield template, {name: one["Properties"] for name, one in found.items() if one["Type"] == kind}

    def test_each_queue_is_named(self):
        named = {*system.DEAD_LETTERS, *(one for sources in system.SOURCES.values() for one in sources)}
        for template, queues in self.of_type("AWS::SQS::Queue"):
            self.assertEqual(queues.keys() - named, set(), template)
            dead = {name for name in queues if name.endswith("DeadLetters")}
            self.assertEqual(dead - system.DEAD_LETTERS.keys(), set(), template)

    def test_each_table_is_named(self):
        for template, tables in self.of_type("AWS::DynamoDB::Table"):
            lived = {
                name: one["TimeToLiveSpecification"]["AttributeName"]
                for name, one in tables.items()
                if "TimeToLiveSpecification" in one
            }
            backed_up = {name for name, one in tables.items() if "PointInTimeRecoverySpecification" in one}
            self.assertEqual(lived.items() - system.TTL.items(), set(), template)
            self.assertEqual(backed_up - set(system.BACKED_UP), set(), template)

    def test_each_consumer_is_named(self):
        self.assertEqual(set(CONSUMERS), system.SOURCES.keys())
        named = {(function, source) for function, sources in system.SOURCES.items() for source in sources}
        for template, mappings in self.of_type("AWS::Lambda::EventSourceMapping"):
            found = {(logical(one["FunctionName"]), logical(one["EventSourceArn"])) for one in mappings.values()}
            self.assertEqual(found - named, set(), template)


def logical(reference):
    """The logical id in a Ref or a GetAtt."""
    (value,) = reference.values()
    return (value if isinstance(value, list) else value.split("."))[0]


if __name__ == "__main__":
    unittest.main()
