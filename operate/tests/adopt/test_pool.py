"""What AWS's models say about updates, and what the command does with responses that it does not know."""

import json
import unittest

import boto3
from botocore.awsrequest import AWSResponse
from gatehouse_operate.adopt import pool, read
from gatehouse_operate.adopt.common import Refused
from gatehouse_operate.aws import Aws

from . import fake

MODEL = fake.SESSION.client("cognito-idp").meta.service_model


def members(operation, side, *path):
    shape = getattr(MODEL.operation_model(operation), f"{side}_shape")
    for name in path:
        shape = shape.members[name]
    return shape.members


class Models(unittest.TestCase):
    """A field that AWS adds fails a test here, once botocore knows it."""

    def test_what_describe_returns_and_the_update_does_not_take(self):
        described = set(members("DescribeUserPool", "output", "UserPool"))
        self.assertEqual(described - set(members("UpdateUserPool", "input")), pool.POOL_READ_ONLY)
        described = set(members("DescribeUserPoolClient", "output", "UserPoolClient"))
        self.assertEqual(described - set(members("UpdateUserPoolClient", "input")), pool.CLIENT_READ_ONLY)

    def test_what_the_update_takes_and_describe_does_not_return(self):
        taken = set(members("UpdateUserPool", "input")) - set(members("DescribeUserPool", "output", "UserPool"))
        self.assertEqual(taken, {"UserPoolId", "PoolName"})
        described = members("DescribeUserPoolClient", "output", "UserPoolClient")
        self.assertEqual(set(members("UpdateUserPoolClient", "input")) - set(described), set())

    def test_both_sides_have_the_same_shapes(self):
        for update, describe, member in (
            ("UpdateUserPool", "DescribeUserPool", "UserPool"),
            ("UpdateUserPoolClient", "DescribeUserPoolClient", "UserPoolClient"),
        ):
            taken, described = members(update, "input"), members(describe, "output", member)
            for name in taken.keys() & described.keys():
                self.assertEqual(taken[name].name, described[name].name)

    def test_the_mfa_settings_can_be_sent_back(self):
        settings = set(members("GetUserPoolMfaConfig", "output"))
        self.assertEqual(set(members("SetUserPoolMfaConfig", "input")) - settings, {"UserPoolId"})

    def test_the_pool_of_these_tests_has_every_field_that_an_update_takes(self):
        rare = {"AcrConfiguration", "IssuerConfiguration", "KeyConfiguration", "PoolName", "UserPoolId"}
        self.assertEqual(set(members("UpdateUserPool", "input")) - set(fake.pool()), rare)

    def test_the_triggers_are_slots_of_lambda_config(self):
        slots = members("UpdateUserPool", "input", "LambdaConfig")
        self.assertLessEqual(set(read.TRIGGERS.values()), set(slots))


class Update(unittest.TestCase):
    def test_it_sends_everything_that_it_takes(self):
        aws, described = fake.Fake(), fake.pool()
        request = pool.pool_update(aws, described)
        described["AdminCreateUserConfig"].pop("UnusedAccountValidityDays")
        for name, value in described.items():
            if name not in pool.POOL_READ_ONLY:
                self.assertEqual(request[name], value)
        self.assertEqual((request["UserPoolId"], request["PoolName"]), (fake.POOL_ID, described["Name"]))

    def test_the_deprecated_days_are_sent_where_they_are_the_only_ones(self):
        described = fake.pool()
        described["Policies"]["PasswordPolicy"].pop("TemporaryPasswordValidityDays")
        request = pool.pool_update(fake.Fake(), described)
        self.assertEqual(request["AdminCreateUserConfig"]["UnusedAccountValidityDays"], 7)

    def test_empty_texts_are_left_out_at_every_depth(self):
        described = fake.pool() | {"SmsVerificationMessage": "", "VerificationMessageTemplate": {"SmsMessage": ""}}
        request = pool.pool_update(fake.Fake(), described)
        self.assertNotIn("SmsVerificationMessage", request)
        self.assertEqual(request["VerificationMessageTemplate"], {})

    def test_a_client_keeps_every_field(self):
        aws = fake.Fake()
        aws.add_client("web", EnableTokenRevocation=False, RefreshTokenRotation={"Feature": "ENABLED"})
        before = dict(aws.clients_of_pool["web"])
        step = {"target": {"pool": fake.POOL_ID, "client": "web"}}
        pool.TokenRevocation.write(aws, step, None, {"EnableTokenRevocation": True})
        self.assertEqual(aws.clients_of_pool["web"], before | {"EnableTokenRevocation": True})

    def test_no_described_client_has_its_secret(self):
        self.assertNotIn("ClientSecret", pool.describe_client(fake.Fake(), fake.POOL_ID, "web"))


class Responses(unittest.TestCase):
    """Recorded forms of DescribeUserPool, by a client whose connection is replaced."""

    def answering(self, *answers):
        """AWS clients that get these statuses and bodies, one after the other."""
        aws, left = Aws(session=boto3.Session("test", "test", region_name=fake.REGION)), list(answers)

        def answer(request, **_):
            status, body = left.pop(0)
            response = AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.1"}, Raw(body))
            return response

        aws.client("cognito-idp").meta.events.register("before-send", answer)
        return aws

    def test_a_field_that_boto3_does_not_know_is_refused(self):
        step = {"target": {"pool": fake.POOL_ID}}
        for unknown, name in (
            ({"NewSetting": True}, "NewSetting"),
            ({"LambdaConfig": {"NewTrigger": "arn"}}, "LambdaConfig.NewTrigger"),
            ({"SchemaAttributes": [{"Name": "email", "NewConstraint": 1}]}, "SchemaAttributes.NewConstraint"),
        ):
            # The connection has no answer to an update.
            aws = self.answering((200, {"UserPool": fake.pool() | unknown}), (200, {}))
            with self.assertRaisesRegex(Refused, rf"does not know \({name}\). Update boto3"):
                pool.Triggers.write(aws, step, None, {"PreSignUp": None})

    def test_known_fields_are_not_refused(self):
        aws = self.answering((200, {"UserPool": fake.pool()}), (200, {"MfaConfiguration": "OFF"}))
        expected = fake.pool() | {pool.MFA: {"MfaConfiguration": "OFF"}, pool.UNKNOWN: []}
        self.assertEqual(pool.describe_pool(aws, fake.POOL_ID), expected)

    def test_a_throttled_call_is_repeated(self):
        throttled = (400, {"__type": "TooManyRequestsException", "message": "Rate exceeded"})
        answers = [throttled, throttled, (200, {"UserPool": fake.pool()}), (200, {"MfaConfiguration": "OFF"})]
        self.assertEqual(pool.describe_pool(self.answering(*answers), fake.POOL_ID)["Id"], fake.POOL_ID)


class Raw:
    """A body as the HTTP client hands it over."""

    def __init__(self, body):
        self.text = json.dumps(body).encode()

    def stream(self, **_):
        text, self.text = self.text, b""
        yield text


if __name__ == "__main__":
    unittest.main()
