"""What `--save` writes: no secrets, and every answer of a call."""

import json
import pathlib
import tempfile
import unittest
import unittest.mock

from audit.support import RECORDED
from gatehouse_operate.audit import source
from gatehouse_operate.audit.calls import CALLS
from gatehouse_operate.audit.read import Reader, Targets

URI = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:1:function:f/invocations"


class Saved(unittest.TestCase):
    def test_static_secrets_are_removed(self):
        answer = {
            "Items": [{"StageName": "kept", "StageVariables": {"p": "secret"}}],
            "item": [{"canarySettings": {"stageVariableOverrides": {"p": "secret"}}, "variables": {"p": "secret"}}],
            "items": [
                {
                    "resourceMethods": {
                        "GET": {
                            "authorizationType": "kept",
                            "methodIntegration": {
                                "type": "kept",
                                "uri": "https://backend.example.com/?code=secret",
                                "requestParameters": {"integration.request.header.x-origin-key": "'secret'"},
                                "requestTemplates": {"application/json": "secret"},
                                "integrationResponses": {"200": {"responseTemplates": {"a": "secret"}}},
                            },
                        },
                        "PUT": {"methodIntegration": {"uri": URI.replace(":f/", ":kept/")}},
                    }
                }
            ],
            "Targets": [
                {
                    "Id": "kept",
                    "Arn": "kept",
                    "Input": "secret",
                    "InputTransformer": {"InputTemplate": "secret"},
                    "HttpParameters": {"HeaderParameters": {"x": "secret"}},
                }
            ],
            "Rules": [
                {
                    "Conditions": [
                        {"Field": "kept", "HttpHeaderConfig": {"HttpHeaderName": "x", "Values": ["secret"]}},
                        {"Field": "kept", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "secret"}]}},
                    ],
                    "Actions": [{"Type": "kept", "AuthenticationRequestExtraParams": {"p": "secret"}}],
                }
            ],
            "StackResourceSummaries": [
                {"ResourceType": "AWS::AppSync::ApiKey", "PhysicalResourceId": "arn:aws:appsync:.../apikeys/secret"}
            ],
            "WebACL": {
                "Name": "kept",
                "Rules": [{"Statement": {"ByteMatchStatement": {"SearchString": b"secret"}}}],
            },
            "Subscriptions": [{"SubscriptionArn": "kept", "Endpoint": "https://user:secret@example.com"}],
            "Stacks": [
                {
                    "Outputs": [
                        {"OutputKey": "kept", "OutputValue": "secret", "Description": "secret"},
                        {"OutputKey": "AuthorizerArn", "OutputValue": "kept"},
                    ]
                }
            ],
            "UserPool": {"SmsConfiguration": {"SnsCallerArn": "kept", "ExternalId": "secret"}},
            "policy": json.dumps(
                {"Statement": [{"Sid": "kept", "Condition": {"StringEquals": {"aws:Referer": "secret"}}}]}
            ),
            "Policy": json.dumps(
                {"Statement": {"Condition": {"StringEquals": {"lambda:EventSourceToken": ["secret"]}}}}
            ),
            "Role": {
                "AssumeRolePolicyDocument": {"Statement": {"Condition": {"StringEquals": {"sts:ExternalId": "secret"}}}}
            },
            "ImageConfigResponse": {"ImageConfig": {"Command": ["--password=secret"]}},
        }
        text = json.dumps(source.redacted(answer), default=str)
        self.assertNotIn("secret", text)
        self.assertEqual(text.count("kept"), json.dumps(answer, default=str).count("kept"))

    def test_a_policy_of_api_gateway_with_escaped_quotes_is_read(self):
        policy = {"Statement": [{"Condition": {"StringEquals": {"aws:Referer": "secret"}}, "Effect": "Allow"}]}
        escaped = json.dumps(json.dumps(policy))[1:-1]
        text = source.redacted({"policy": escaped})["policy"]
        self.assertNotIn("secret", text)
        self.assertEqual(json.loads(text)["Statement"][0]["Effect"], "Allow")

    def test_the_alarms_of_every_call_are_kept(self):
        call = CALLS["cloudwatch.describe-alarms"]
        for answers, expected in (
            ([["a"], ["b"], ["c"]], ["a", "b", "c"]),
            ([["a"], source.Unread("denied", "AccessDenied")], None),
            ([source.Unread("denied", "AccessDenied"), ["b"]], None),
        ):
            with tempfile.TemporaryDirectory() as folder:
                stub = unittest.mock.Mock()
                saving = source.Saving(stub, folder)
                for names in answers:
                    is_error = isinstance(names, Exception)
                    given = names if is_error else {"MetricAlarms": [{"AlarmName": name} for name in names]}
                    stub.fetch = unittest.mock.Mock(side_effect=[given])
                    try:
                        saving.fetch(call, {"AlarmNames": ["x"] if is_error else names})
                    except source.Unread:
                        self.assertTrue(is_error)
                read = source.Folder(folder)
                if expected is None:
                    # What was read of one stack says nothing about the other's alarms.
                    self.assertRaises(source.Unread, read.fetch, call, {"AlarmNames": ["a"]})
                else:
                    found = [one["AlarmName"] for one in read.fetch(call, {"AlarmNames": ["a"]})["MetricAlarms"]]
                    self.assertEqual(found, expected)

    def test_two_saved_stacks_are_two_stacks(self):
        with tempfile.TemporaryDirectory() as name:
            export, saved = pathlib.Path(name) / "export", pathlib.Path(name) / "saved"
            export.mkdir()
            for file in (RECORDED / "planted").iterdir():
                text = file.read_text()
                (export / file.name).write_text(text)
                if "cloudwatch.describe-alarms" not in file.name:
                    (export / file.name.replace("planted", "second")).write_text(text.replace("planted", "second"))
            alarms = json.loads((export / "cloudwatch.describe-alarms.json").read_text())
            both = json.dumps(alarms).replace("planted", "second")
            alarms["MetricAlarms"] += json.loads(both)["MetricAlarms"]
            folder = source.Folder(export)

            class OfNames:
                """Answers as CloudWatch does: with the alarms that were asked for."""

                def fetch(self, call, parameters):
                    if call.name != "cloudwatch.describe-alarms":
                        return folder.fetch(call, parameters)
                    names = parameters["AlarmNames"]
                    return {"MetricAlarms": [one for one in alarms["MetricAlarms"] if one["AlarmName"] in names]}

            targets = Targets(stacks=("planted", "second"))
            facts = Reader(source.Saving(OfNames(), saved), "us-east-1").read(targets)
            self.assertEqual(len(facts.systems), 2)
            offline = Reader(source.Folder(saved), "us-east-1").read(targets)
            for live, read in zip(facts.systems, offline.systems):
                self.assertTrue(live.alarms)
                self.assertEqual(live.alarms, read.alarms)


if __name__ == "__main__":
    unittest.main()
