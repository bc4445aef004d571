"""How the checks read policies of functions, roles and APIs."""

import json
import unittest

from gatehouse_operate.audit.checks import apis, identity_pools
from gatehouse_operate.audit.facts import Role, document, services, source_arns

ARN = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_A"


def allowing(principal, condition=None):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "lambda:InvokeFunction"}
    return statement | ({"Condition": condition} if condition else {})


class Principals(unittest.TestCase):
    def test_the_forms_of_a_principal(self):
        for principal, expected in (
            ({"Service": "cognito-idp.amazonaws.com"}, {"cognito-idp.amazonaws.com"}),
            ({"Service": ["a", "b"]}, {"a", "b"}),
            ("*", {"*"}),
            ({"AWS": "*"}, {"*"}),
            ({"AWS": ["arn:aws:iam::1:root", "*"]}, {"*"}),
            ({"AWS": "arn:aws:iam::1:root"}, set()),
            (None, set()),
        ):
            self.assertEqual(services({"Principal": principal}), expected, principal)

    def test_source_arns_of_a_statement(self):
        for condition, expected in (
            ({"ArnLike": {"AWS:SourceArn": ARN}}, [ARN]),
            ({"StringEquals": {"aws:sourcearn": [ARN, "b"]}}, [ARN, "b"]),
            ({"StringEquals": {"aws:SourceAccount": "123456789012"}}, ["*"]),
            ({"ArnNotLike": {"aws:SourceArn": ARN}}, ["*"]),
            (None, ["*"]),
        ):
            statement = allowing({"Service": "cognito-idp.amazonaws.com"}, condition)
            self.assertEqual(source_arns(statement), expected, condition)

    def test_source_arns_of_api_gateway(self):
        open_to_all = {"Statement": allowing({"AWS": "*"})}
        self.assertEqual(apis.gateway_sources(open_to_all), ["*"])
        denied = {"Statement": [allowing("*") | {"Effect": "Deny"}]}
        self.assertEqual(apis.gateway_sources(denied), [])


class Trust(unittest.TestCase):
    AUD, AMR = identity_pools.AUDIENCE, identity_pools.METHOD

    def test_conditions_that_demand_a_value(self):
        for condition, expected in (
            ({"StringEquals": {self.AUD: "pool"}}, ["pool"]),
            ({"StringLike": {self.AUD.upper(): ["pool", "b*"]}}, ["pool", "b*"]),
            ({"ForAnyValue:StringEquals": {self.AUD: "pool"}}, ["pool"]),
            ({"StringNotEquals": {self.AUD: "pool"}}, []),
            ({"StringEqualsIfExists": {self.AUD: "pool"}}, []),
            ({"ForAllValues:StringEquals": {self.AUD: "pool"}}, []),
            ({"Null": {self.AUD: "false"}}, []),
            (None, []),
        ):
            found = identity_pools.condition({"Condition": condition}, self.AUD)
            self.assertEqual(found, expected, condition)


class Width(unittest.TestCase):
    def test_what_a_role_allows_too_much(self):
        for statement, everywhere, services_only in (
            ({"Action": "*", "Resource": "*"}, True, True),
            ({"NotAction": "iam:*", "Resource": "*"}, True, True),
            ({"Action": "s3:*", "Resource": "*"}, True, True),
            ({"Action": "S3:*", "Resource": "arn:aws:s3:::*"}, True, True),
            ({"Action": ["dynamodb:GetItem"], "Resource": "*"}, True, False),
            ({"Action": "dynamodb:GetItem", "Resource": "arn:aws:dynamodb:us-east-1:1:table/*"}, False, False),
            (
                {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${cognito-identity.amazonaws.com:sub}/*"},
                False,
                False,
            ),
            ({"Action": ["mobileanalytics:PutEvents", "cognito-sync:*"], "Resource": "*"}, False, False),
            ({"Action": "*", "Resource": "*", "Effect": "Deny"}, False, False),
        ):
            role = Role("arn:aws:iam::1:role/r", "x", policies={"p": {"Statement": {"Effect": "Allow"} | statement}})
            self.assertEqual(bool(list(identity_pools.wide(role))), everywhere, statement)
            self.assertEqual(bool(list(identity_pools.wide(role, only_services=True))), services_only, statement)


class Documents(unittest.TestCase):
    def test_the_forms_of_a_document(self):
        policy = {"Version": "2012-10-17", "Statement": [{"Resource": 'a"b'}]}
        text = json.dumps(policy)
        for form in (policy, text, json.dumps(text)[1:-1]):
            self.assertEqual(document(form), policy)
        for form in (None, "", "not json", "[]", "5", 5):
            self.assertIsNone(document(form))


if __name__ == "__main__":
    unittest.main()
