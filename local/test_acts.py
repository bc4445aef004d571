"""Acts of the deployed stack: from the request to the topic, by the log line, and to the exported trail."""

import json
import os
import pathlib
import subprocess
import time
import unittest

import boto3
import client

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@unittest.skipUnless("GATEHOUSE_STACK" in os.environ, "stack.py exec starts a stack to play this against")
class LocalStack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.state = json.loads(os.environ["GATEHOUSE_STACK"])
        (stack,) = cls.aws("cloudformation").describe_stacks(StackName="gatehouse")["Stacks"]
        cls.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        cls.person = client.Person(cls.state, lambda _: None)
        cls.person.sign_up()

    @classmethod
    def aws(cls, service):
        session = boto3.Session("test", "test", region_name="us-east-1")
        return session.client(service, endpoint_url=cls.state["endpoint"])

    def subscribed(self, name, policy):
        """The address of a new queue with a subscription to the topic by this filter policy."""
        sqs = self.aws("sqs")
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topic = self.outputs["SecurityTopicArn"]
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document})
        attributes = {"FilterPolicy": json.dumps(policy), "RawMessageDelivery": "true"}
        self.aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
        return queue

    def received(self, queue):
        """The messages of a queue, once there are any, and what follows within two seconds."""
        found, deadline = [], time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2)
            messages = answer.get("Messages", [])
            if found and not messages:
                break
            for message in messages:
                self.aws("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                found.append(json.loads(message["Body"]))
        return found

    def test_a_logout_and_the_use_of_its_token_reach_the_topic_and_the_trail(self):
        logouts = self.subscribed("log-outs", {"kind": ["log_out"], "outcome": ["done"]})
        uses = self.subscribed("uses", {"kind": ["use_after_revocation"]})
        others = self.subscribed("others", {"source": ["sessions"]})
        token = self.person.log_in().access
        self.person.call(token, 200)
        self.person.log_out(token, {}, 200)
        self.person.call(token, 401)
        (logout,) = self.received(logouts)
        (use,) = self.received(uses)
        self.assertEqual((logout["kind"], logout["source"], logout["outcome"]), ("log_out", "logout", "done"))
        self.assertEqual((use["kind"], use["outcome"]), ("use_after_revocation", "session_revoked"))
        self.assertEqual(logout["actor"], use["actor"])
        self.assertRegex(logout["actor"], "^[0-9a-f]{16}$")
        answer = self.aws("sqs").receive_message(QueueUrl=others, WaitTimeSeconds=0)
        self.assertEqual(answer.get("Messages", []), [])
        exported = self.trail("--since", "1h", "--of", logout["actor"])
        self.assertCountEqual([act["id"] for act in exported], [logout["id"], use["id"]])

    def trail(self, *arguments):
        """The exported acts."""
        environment = KEYS | {
            "AUDIT_LOG_GROUPS": self.outputs["AuditLogGroups"],
            "AWS_ENDPOINT_URL": self.state["endpoint"],
        }
        target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
        command = [pathlib.Path(target, "debug/gatehouse"), "audit-trail", *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]


if __name__ == "__main__":
    unittest.main()
