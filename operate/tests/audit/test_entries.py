"""The checks of ways around an authorizer, on what must and must not be found."""

import unittest

from gatehouse_operate.audit.catalogue import CHECKS
from gatehouse_operate.audit.facts import Api, Balancer, Domain, Facts, Function, GraphqlApi, Pool
from gatehouse_operate.audit.finding import findings

REGION = "us-east-1"
DEFAULT = "api0000001.execute-api.us-east-1.amazonaws.com"


def found(check, **facts):
    """Severities and texts of a check's findings."""
    return [(one.severity.word, one.found) for one in findings(CHECKS[check], Facts(region=REGION, **facts))]


def severities(check, **facts):
    return [severity for severity, _ in found(check, **facts)]


def rest(stages=(), methods=(), **detail):
    return Api("api0000001", "rest", REGION, {"id": "api0000001"} | detail, list(methods), [], list(stages))


def distribution(origin=DEFAULT, acl="acl", headers=(), **more):
    sent = {"Items": [{"HeaderName": name} for name in headers]} if headers else {"Quantity": 0}
    origins = {"Items": [{"DomainName": origin, "CustomHeaders": sent}]}
    return {"Id": "E1", "DomainName": "d1.cloudfront.net", "Enabled": True, "WebACLId": acl, "Origins": origins} | more


class Domains(unittest.TestCase):
    def test_the_default_address_beside_a_domain(self):
        domain = Domain("api.example.com", ("api.example.com",), False, ("api0000001",))
        mutual = Domain("mtls.example.com", ("mtls.example.com",), True, ("api0000001",))
        other = Domain("x.example.com", ("x.example.com",), True, ("api0000002",))
        private = rest(endpointConfiguration={"types": ["PRIVATE"]})
        for domains, api, expected in (
            ([], rest(), []),
            ([other], rest(), []),
            ([domain, other], rest(), ["low"]),
            ([domain, mutual], rest(), ["high"]),
            ([mutual], rest(disableExecuteApiEndpoint=True), []),
            ([mutual], private, []),
        ):
            self.assertEqual(severities("entry-default-endpoint", apis=[api], domains=domains), expected)

    def test_a_distribution_in_front(self):
        domain = Domain("api.example.com", ("api.example.com", "d-1.execute-api.us-east-1.amazonaws.com"), False)
        domain.apis = ("api0000001",)
        with_key = [{"verb": "GET", "apiKeyRequired": True}, {"verb": "OPTIONS", "apiKeyRequired": False}]
        policy = '{"Statement": [{"Effect": "Deny"}]}'
        china = "api0000001.execute-api.cn-north-1.amazonaws.com.cn"
        for api, one, expected in (
            (rest(), distribution(), ["medium"]),
            (rest(), distribution(china), ["medium"]),
            (rest(), distribution("api.example.com"), ["medium"]),
            (rest(), distribution("d-1.execute-api.us-east-1.amazonaws.com"), ["medium"]),
            (rest(), distribution("other.execute-api.us-east-1.amazonaws.com"), []),
            (rest(), distribution(Enabled=False), []),
            (rest(), distribution(acl=""), ["low"]),
            (rest([{"webAclArn": "own"}]), distribution(), ["low"]),
            (rest([{"webAclArn": "own"}, {}]), distribution(), ["medium"]),
            (rest(), distribution(headers=["x-origin-verify"]), ["low"]),
            (rest(policy=policy), distribution(), ["low"]),
            (rest(methods=with_key), distribution(headers=["X-Api-Key"]), []),
            (rest(methods=[{"verb": "GET"}]), distribution(headers=["x-api-key"]), ["low"]),
            (rest(endpointConfiguration={"types": ["PRIVATE"]}), distribution(), []),
        ):
            facts = {"apis": [api], "domains": [domain], "distributions": [one]}
            self.assertEqual(severities("entry-cloudfront-bypass", **facts), expected, one)
        self.assertEqual(severities("entry-cloudfront-bypass", apis=[rest()], distributions=None), [])


class Functions(unittest.TestCase):
    def test_the_addresses_of_a_function(self):
        everyone = {"Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunctionUrl"}

        def policy(**statement):
            return {"Statement": [everyone | statement]}

        for kind, given, expected in (
            ("NONE", policy(), ["high"]),
            ("NONE", policy(Action=["lambda:*"]), ["high"]),
            ("NONE", policy(Principal={"AWS": "*"}), ["high"]),
            ("NONE", policy(Effect="Deny"), ["low"]),
            ("NONE", policy(Principal={"AWS": "arn:aws:iam::1:root"}), ["low"]),
            ("NONE", policy(Action="lambda:InvokeFunction"), ["low"]),
            ("NONE", {}, ["low"]),
            ("NONE", None, ["high"]),
            ("AWS_IAM", None, ["info"]),
        ):
            url = {"FunctionUrl": "https://x/", "FunctionArn": "arn:aws:lambda:r:1:function:f", "AuthType": kind}
            function = Function("f", urls=[url | {"policy": given}])
            self.assertEqual(severities("entry-function-url", addressed=[function]), expected, (kind, given))
        self.assertEqual(severities("entry-function-url", addressed=[Function("f", urls=[]), Function("g")]), [])


class AppSync(unittest.TestCase):
    def api(self, mode, *others, keys=None, **detail):
        providers = [{"authenticationType": other} if isinstance(other, str) else other for other in others]
        known = {"name": "x", "authenticationType": mode, "additionalAuthenticationProviders": providers}
        return {"graphql_apis": [GraphqlApi("g1", REGION, known | detail, keys)]}

    def test_an_api_key(self):
        for facts, expected in (
            (self.api("API_KEY", keys=[{}]), ["high"]),
            (self.api("API_KEY"), ["high"]),
            (self.api("API_KEY", keys=[]), ["info"]),
            (self.api("AWS_IAM", "API_KEY", keys=[{}]), ["medium"]),
            (self.api("AWS_IAM", "API_KEY", keys=[]), ["info"]),
            (self.api("AWS_IAM"), []),
        ):
            self.assertEqual(severities("entry-appsync-key", **facts), expected)

    def test_the_default_action_is_that_of_the_default_mode(self):
        user_pool = {"userPoolId": "us-east-1_A", "defaultAction": "ALLOW"}
        cognito = {"authenticationType": "AMAZON_COGNITO_USER_POOLS", "userPoolConfig": {"userPoolId": "us-east-1_A"}}
        open_pool = {"pools": [Pool("us-east-1_A", REGION, {"Id": "us-east-1_A"})]}
        allow = self.api("AMAZON_COGNITO_USER_POOLS", userPoolConfig=user_pool)
        deny = self.api("AMAZON_COGNITO_USER_POOLS", userPoolConfig=user_pool | {"defaultAction": "DENY"})
        check = "entry-appsync-any-user"
        self.assertEqual(severities(check, **allow), ["low"])
        self.assertEqual(severities(check, **allow, **open_pool), ["medium"])
        self.assertEqual(severities(check, **deny), [])
        self.assertEqual(severities(check, **self.api("AWS_IAM", cognito)), [])

    def test_app_clients_and_revocations(self):
        user_pool = {"userPoolId": "us-east-1_A", "appIdClientRegex": "web"}
        limited = self.api("AMAZON_COGNITO_USER_POOLS", userPoolConfig=user_pool)
        oidc = self.api("AWS_IAM", {"authenticationType": "OPENID_CONNECT", "openIDConnectConfig": {"issuer": "i"}})
        self.assertEqual(severities("entry-appsync-any-client", **limited), [])
        self.assertEqual(severities("entry-appsync-any-client", **oidc), ["low"])
        for facts in (limited, oidc):
            self.assertEqual(severities("entry-appsync-no-revocation", **facts), ["medium"])
        self.assertEqual(severities("entry-appsync-no-revocation", **self.api("AWS_LAMBDA", "AWS_IAM")), [])

    def test_the_time_for_which_decisions_are_cached(self):
        def api(**settings):
            arn = "arn:aws:lambda:us-east-1:1:function:own"
            return self.api("AWS_LAMBDA", lambdaAuthorizerConfig={"authorizerUri": arn} | settings)

        check = "entry-appsync-ttl"
        self.assertEqual(severities(check, **api(authorizerResultTtlInSeconds=300)), ["high"])
        self.assertEqual(severities(check, **api(authorizerResultTtlInSeconds=0)), [])
        self.assertEqual(severities(check, **api()), [])
        # Its answer has a ttlOverride.
        self.assertEqual(severities(check, **api(authorizerResultTtlInSeconds=300), authorizers=("own",)), [])


class Balancers(unittest.TestCase):
    FORWARD = {"Type": "forward"}

    def balancer(self, *rules, default=()):
        listener = {"ListenerArn": "l", "Port": 443, "Protocol": "HTTPS", "DefaultActions": list(default)}
        listener["rules"] = list(rules) or None
        return {"balancers": [Balancer("arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/1", REGION, [listener])]}

    def rule(self, *actions, is_default=False):
        return {"Priority": "default" if is_default else "1", "IsDefault": is_default, "Actions": list(actions)}

    def cognito(self, **settings):
        return {"Type": "authenticate-cognito", "AuthenticateCognitoConfig": settings}

    def test_users_who_are_not_signed_in(self):
        oidc = {"Type": "authenticate-oidc", "AuthenticateOidcConfig": {"OnUnauthenticatedRequest": "allow"}}
        for action, expected in (
            (self.cognito(OnUnauthenticatedRequest="allow"), ["high"]),
            (self.cognito(OnUnauthenticatedRequest="deny"), []),
            (self.cognito(), []),
            (oidc, ["high"]),
        ):
            facts = self.balancer(self.rule(action, self.FORWARD))
            self.assertEqual(severities("entry-alb-unauthenticated", **facts), expected)
            # Rules that could not be read leave the default actions.
            facts = self.balancer(default=[action, self.FORWARD])
            self.assertEqual(severities("entry-alb-unauthenticated", **facts), expected)

    def test_open_rules_count_beside_protected_ones_only(self):
        protected, opened = self.rule(self.cognito(), self.FORWARD), self.rule(self.FORWARD)
        fixed = self.rule({"Type": "fixed-response"}, is_default=True)
        fallback = self.rule(self.FORWARD, is_default=True)
        for rules, expected in (
            ((opened, fallback), []),
            ((protected, fixed), []),
            ((protected, opened, fixed), ["medium"]),
            ((protected, fallback), ["high"]),
        ):
            self.assertEqual(severities("entry-alb-open-rule", **self.balancer(*rules)), expected)

    def test_sessions(self):
        for settings, expected in (
            ({}, ["medium"]),
            ({"SessionTimeout": 86400}, []),
            ({"SessionTimeout": 90000}, ["medium"]),
        ):
            facts = self.balancer(self.rule(self.cognito(**settings), self.FORWARD))
            self.assertEqual(severities("entry-alb-session", **facts), expected)

    def test_tokens(self):
        for names, expected in (
            ((), ["medium"]),
            (("scope",), ["medium"]),
            (("aud",), []),
            (("scope", "client_id"), []),
        ):
            claims = [{"Name": name, "Format": "single-string", "Values": ["x"]} for name in names]
            action = {"Type": "jwt-validation", "JwtValidationConfig": {"AdditionalClaims": claims}}
            facts = self.balancer(self.rule(action, self.FORWARD))
            self.assertEqual(severities("entry-alb-any-client", **facts), expected)
            self.assertEqual(severities("entry-alb-no-revocation", **facts), ["medium"])


if __name__ == "__main__":
    unittest.main()
