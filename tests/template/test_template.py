"""Tests of the template as AWS receives it: expanded for many sets of parameters, without AWS or a network.

    .tools/sam/bin/python -m unittest discover tests/template
"""

import json
import re
import unittest

import checks
import parameters
import stack

PARSED = stack.Parsed(stack.text())


class AsItIs(unittest.TestCase):
    maxDiff = None

    def test_every_set_of_parameters_deploys(self):
        self.assertGreaterEqual(len(parameters.SETS), 15)
        stacks = {name: PARSED.stack(given) for name, given in parameters.SETS.items()}
        for name, made in stacks.items():
            with self.subTest(name):
                self.assertEqual([], list(checks.values(PARSED, parameters.SETS[name])))
                self.assertEqual([], [line for check in checks.OF_ONE_SET for line in check(made)])
        self.assertEqual([], list(checks.never_made(PARSED, stacks.values())))

    def test_linters_see_every_set_at_once(self):
        # The translator resolves no parameter, so the file that expand.py writes is valid for every set.
        def expanded(given):
            made = json.dumps(PARSED.expand(given), sort_keys=True)
            return re.sub("ApiDeployment[0-9a-f]{10}|deployment id: [0-9a-f]{40}", "", made)

        once = expanded({})
        for name, given in parameters.SETS.items():
            self.assertEqual(once, expanded(given), name)

    def versioned(self, given):
        """What decides whether CloudFormation publishes a version: the record, whose number is in its description."""
        made = PARSED.stack(parameters.ALIAS | given)
        return made.plain(made.resources["AuthorizerConfiguration"]["Properties"]["Content"])

    def test_another_build_or_another_value_publishes_a_version(self):
        deployed = self.versioned({})
        self.assertEqual(deployed, self.versioned({}))
        changes = {"AuthorizerBuild": "5a6b", "TokenUse": "id", "TrustedIssuers": "[]", "LogLevel": "WARN", "Architecture": "arm64"}
        for name, value in changes.items():
            self.assertNotEqual(deployed, self.versioned({name: value}), name)
        # These are not a version's: a new one without a difference would be refused.
        for given in (parameters.LIMITS, parameters.GRADUAL, {"StageName": "test"}, {"MigrateUserMemory": "3008"}):
            self.assertEqual(deployed, self.versioned(given), given)

    def test_every_time_of_caching(self):
        for seconds in PARSED.parameters["AuthorizerResultTtlSeconds"]["AllowedValues"]:
            made = PARSED.stack({"AuthorizerResultTtlSeconds": seconds, "PolicyScope": "api"} | parameters.ALIAS)
            for check in (checks.cached, checks.configuration, checks.rules):
                self.assertEqual([], list(check(made)), seconds)
            self.assertTrue(made.plain(made.outputs["RevocationBound"]["Value"]).startswith(f"{seconds} s"))

    def test_every_way_to_deploy(self):
        for kind in PARSED.parameters["AuthorizerDeployment"]["AllowedValues"]:
            made = PARSED.stack({"AuthorizerDeployment": kind, "AuthorizerBuild": "1f2e3d4c", "WebSocketApi": "true"})
            for check in (checks.alias, checks.configuration, checks.gradual, checks.rules, checks.absent_references):
                self.assertEqual([], list(check(made)), kind)

    def test_an_alias_needs_a_build_and_provisioned_concurrency_an_alias(self):
        for given, rule in (
            ({"AuthorizerDeployment": "AllAtOnce"}, "VersionsNameTheirBuild"),
            ({"AuthorizerProvisionedConcurrency": "1"}, "ProvisionedConcurrencyHasAnAlias"),
        ):
            broken = list(checks.rules(PARSED.stack(given)))
            self.assertEqual([line.split(":")[0] for line in broken], [f"rule {rule}"])

    def test_forward_auth_behind_a_function_url_or_of_sessions_is_one_that_can_work(self):
        for given, rule in (
            ({"CredentialHeader": ""}, "ForwardAuthUrlIsSigned"),
            ({"ProxyDialect": "envoy"}, "ForwardAuthUrlIsSigned"),
            ({"ForwardAuthTokenSources": "session"}, "ForwardAuthHasSessions"),
            ({"ForwardAuthTokenSources": "header,session"}, "ForwardAuthHasSessions"),
            ({"ForwardAuthTokenSources": "cookie,session"}, "ForwardAuthHasSessions"),
            ({"ForwardAuthTokenSources": "header,cookie,session"}, "ForwardAuthHasSessions"),
        ):
            broken = list(checks.rules(PARSED.stack(parameters.FORWARD_AUTH | given)))
            self.assertEqual([line.split(":")[0] for line in broken], [f"rule {rule}"], given)

    def test_forward_auth_may_read_sessions_only_if_requests_have_them(self):
        for sources in PARSED.parameters["ForwardAuthTokenSources"]["AllowedValues"]:
            made = PARSED.stack(
                parameters.FORWARD_AUTH_ALB | parameters.SESSIONS | {"ForwardAuthTokenSources": sources}
            )
            reads = "session" in sources.split(",")
            variables = made.resources["ForwardAuthFunction"]["Properties"]["Environment"]["Variables"]
            role = str(made.plain(made.resources["ForwardAuthFunctionRole"]))
            for name in ("BROWSER_SESSION_TABLE", "BROWSER_SESSION_KEYS_ARN"):
                self.assertEqual(bool(made.plain(variables[name])), reads, sources)
            for name in ("BrowserSessionTable", "BrowserSessionKeys"):
                self.assertEqual(name in role, reads, sources)

    def test_the_template_itself(self):
        self.assertEqual([], [line for check in checks.OF_THE_TEMPLATE for line in check(PARSED)])


class Planted(unittest.TestCase):
    """Each check reports its fault when the fault is planted in the template."""

    def found(self, check, line, *changes, given="defaults"):
        source = stack.text()
        for old, new in changes:
            self.assertIn(old, source, "the template no longer contains this text: plant the fault elsewhere")
            source = source.replace(old, new)
        parsed = stack.Parsed(source)
        made = parsed if check in checks.OF_THE_TEMPLATE else parsed.stack(parameters.SETS[given])
        self.assertIn(line, list(check(made)))

    def test_trigger_without_its_functions_condition(self):
        self.found(
            checks.absent_references,
            "resource UserPool: Fn::GetAtt of MigrateUserFunction, which is absent",
            ("!If [HasLegacySource, !GetAtt MigrateUserFunction.Arn, !Ref AWS::NoValue]", "!GetAtt MigrateUserFunction.Arn"),
        )

    def test_cognito_event_on_a_conditional_function(self):
        event = """
      Events:
        SignUp:
          Type: Cognito
          Properties:
            UserPool: !Ref UserPool
            Trigger: PreSignUp
      CodeUri: functions/pre-sign-up
"""
        self.found(
            checks.absent_references,
            "resource UserPool: Fn::GetAtt of PreSignUpFunction, which is absent",
            ("\n      CodeUri: functions/pre-sign-up\n", event),
            ("        PreSignUp: !If [HasPreSignUp, !GetAtt PreSignUpFunction.Arn, !Ref AWS::NoValue]\n", ""),
        )

    def test_output_of_an_absent_resource(self):
        self.found(
            checks.absent_references,
            "output UsagePlanId: Ref of UsagePlan, which is absent",
            ("  UsagePlanId:\n    Condition: HasApiKeys\n", "  UsagePlanId:\n"),
        )

    def test_dependence_on_an_absent_resource(self):
        self.found(
            checks.absent_references,
            "resource AppClient: DependsOn of ResourceServer, which is absent",
            ("  AppClient:\n    Type: AWS::Cognito::UserPoolClient\n", "  AppClient:\n    Type: AWS::Cognito::UserPoolClient\n    DependsOn: [ResourceServer]\n"),
        )

    def test_own_call_that_is_reported(self):
        self.found(
            checks.own_roles,
            "OWN_ROLE_ARNS: <LogoutRetryFunctionRole.Arn> is missing",
            ("              - !GetAtt LogoutRetryFunctionRole.Arn\n", ""),
        )

    def test_trigger_that_cognito_may_not_invoke(self):
        self.found(
            checks.triggers,
            "the pool names CustomMessageFunction, which Cognito may not invoke",
            ("      FunctionName: !Ref CustomMessageFunction\n", "      FunctionName: !Ref PostConfirmationFunction\n"),
        )

    def test_plain_path_of_a_throttle(self):
        self.found(
            checks.throttles,
            "method setting POST /auth/login: a path is written as /~1auth~1login",
            ("ResourcePath: /~1auth~1login\n", "ResourcePath: /auth/login\n"),
        )

    def test_throttle_of_another_verb(self):
        self.found(
            checks.throttles,
            "method setting POST /~1auth~1me: openapi.yaml has no POST /auth/me",
            ("- HttpMethod: PATCH\n", "- HttpMethod: POST\n"),
        )

    def test_costly_route_without_a_throttle(self):
        self.found(
            checks.throttles,
            "POST /auth/refresh has no limit of its own",
            ("ResourcePath: /~1auth~1refresh\n", "ResourcePath: /~1auth~1logout\n"),
        )

    def test_second_stage(self):
        self.found(checks.stages, "the API has the stages Stage, prod, not one", ("      OpenApiVersion: 3.0.1\n", ""))

    def test_permission_for_every_stage(self):
        self.found(
            checks.stages,
            "LogoutPermission: its SourceArn admits the stage *",
            ("${Api}/${StageName}/*", "${Api}/*"),
        )

    def test_parameter_that_does_not_reach_the_stage(self):
        source = stack.text().replace("      AlwaysDeploy: true\n", "")
        found = list(checks.redeployed(stack.Parsed(source)))
        for name in ("AllowedOrigin", "ApiKeys", "LogoutCookies", "TokenSources"):
            self.assertTrue([line for line in found if line.startswith(f"parameter {name}: a change leaves")], found)

    def test_managed_policy_for_every_queue(self):
        event = """
      Events:
        Retry:
          Type: SQS
          Properties:
            Queue: !GetAtt RetryQueue.Arn
      CodeUri: functions/logout-retry
"""
        self.found(
            checks.rights,
            "LogoutRetryFunction: the managed policy AWSLambdaSQSQueueExecutionRole reaches beyond its own resources",
            ("\n      CodeUri: functions/logout-retry\n", event),
        )

    def test_right_on_everything(self):
        self.found(
            checks.rights,
            "UserSweepFunction: cognito-idp:UntagResource on *",
            ("              Action: cognito-idp:UntagResource\n              Resource: !GetAtt UserPool.Arn\n", "              Action: cognito-idp:UntagResource\n              Resource: \"*\"\n"),
        )

    def test_source_without_its_rights(self):
        self.found(
            checks.rights,
            "LogoutRetryFunction reads <RetryQueue.Arn> and lacks sqs:DeleteMessage",
            ("sqs:ReceiveMessage, sqs:DeleteMessage,", "sqs:ReceiveMessage,"),
        )

    def test_right_on_the_queue_of_another(self):
        self.found(
            checks.rights,
            "UserEventsFunction: sqs:ReceiveMessage on <RetryQueue.Arn>, which is not its source",
            ("              Resource: !GetAtt UserEventQueue.Arn\n", "              Resource: !GetAtt RetryQueue.Arn\n"),
        )

    def found_in_the_definition(self, line, old, new, given, check=checks.alias):
        parsed = stack.Parsed(stack.text())
        api = parsed.template["Resources"]["Api"]["Properties"]
        definition = json.dumps(api["DefinitionBody"])
        self.assertIn(old, definition)
        api["DefinitionBody"] = json.loads(definition.replace(old, new))
        self.assertIn(line, list(check(parsed.stack(given))))

    def test_decisions_that_are_cached_for_another_time(self):
        right = '"CachesDecisionsFor60", 60'
        for found, wrong in (
            ("0", '"CachesDecisionsFor60", 0'),
            ("'60'", '"CachesDecisionsFor60", {"Ref": "AuthorizerResultTtlSeconds"}'),
            ("None", '"CachesDecisionsFor60", {"Ref": "AWS::NoValue"}'),
        ):
            line = f"Api: authorizerResultTtlInSeconds is {found}, not 60"
            self.found_in_the_definition(line, right, wrong, parameters.CACHED, checks.cached)
        self.found(
            checks.cached,
            "AuthorizerFunction: AUTHORIZER_TTL_SECONDS is 0, AuthorizerResultTtlSeconds 60",
            ("AUTHORIZER_TTL_SECONDS: !Ref AuthorizerResultTtlSeconds", 'AUTHORIZER_TTL_SECONDS: "0"'),
            given="cached decisions",
        )

    def test_api_that_invokes_the_wrong_one(self):
        chosen = '{"Fn::If": ["HasAuthorizerAlias", {"Ref": "AuthorizerAlias"}, {"Fn::GetAtt": ["AuthorizerFunction", "Arn"]}]}'
        self.found_in_the_definition(
            "Api: its authorizer is <AuthorizerFunction.Arn>/invocations, not <AuthorizerAlias>",
            chosen,
            '{"Fn::GetAtt": ["AuthorizerFunction", "Arn"]}',
            parameters.ALIAS,
        )
        self.found_in_the_definition(
            "Api: its authorizer is <AuthorizerAlias>/invocations, not <AuthorizerFunction.Arn>",
            chosen,
            '{"Ref": "AuthorizerAlias"}',
            {},
        )

    def test_web_sockets_that_invoke_the_wrong_one(self):
        chosen = "        - Authorizer: !If [HasAuthorizerAlias, !Ref AuthorizerAlias, !GetAtt AuthorizerFunction.Arn]\n"
        self.found(
            checks.alias,
            "WebSocketAuthorizer: its authorizer is <AuthorizerFunction.Arn>/invocations, not <AuthorizerAlias>",
            (chosen, "        - Authorizer: !GetAtt AuthorizerFunction.Arn\n"),
            given="alias",
        )
        self.found(
            checks.alias,
            "WebSocketAuthorizer: its authorizer is <AuthorizerAlias>/invocations, not <AuthorizerFunction.Arn>",
            (chosen, "        - Authorizer: !Ref AuthorizerAlias\n"),
            given="WebSockets",
        )

    def test_alias_that_an_api_may_not_invoke(self):
        permission = "Action: lambda:InvokeFunction\n      FunctionName: !Ref {}\n      Principal: apigateway.amazonaws.com\n"
        for given, function, missing in (("alias", "AuthorizerAlias", "<AuthorizerAlias>"), ("WebSockets", "AuthorizerFunction", "<AuthorizerFunction>")):
            for resource in ("Api", "WebSocketAuthorizer"):
                self.found(
                    checks.alias,
                    f"{resource}: it may not invoke {missing}",
                    (permission.format(function), permission.format("LogoutFunction")),
                    given=given,
                )

    def test_alias_that_a_default_stack_has(self):
        kinds = {
            "AuthorizerVersion": checks.VERSION,
            "AuthorizerAlias": checks.ALIAS,
            "AuthorizerConfigurations": "AWS::AppConfig::Application",
            "AuthorizerConfiguration": "AWS::AppConfig::HostedConfigurationVersion",
        }
        for name, kind in kinds.items():
            resource = f"  {name}:\n    Type: {kind}\n"
            self.found(
                checks.alias,
                f"{name}: it exists, and no API invokes an alias",
                (resource + "    Condition: HasAuthorizerAlias\n", resource),
            )

    def test_description_that_a_default_stack_changes(self):
        self.found(
            checks.absent_references,
            "resource AuthorizerFunction: Fn::Sub of AuthorizerConfiguration, which is absent",
            ("        - Verifies tokens, reads revocations, returns a policy.\n", "        - !Sub \"${AuthorizerConfiguration.VersionNumber}\"\n"),
        )

    def test_output_of_an_alias_that_is_absent(self):
        self.found(
            checks.alias,
            "output AuthorizerAlias: it refers to an alias, and no API invokes one",
            ("  AuthorizerAlias:\n    Condition: HasAuthorizerAlias\n    Description", "  AuthorizerAlias:\n    Description"),
        )

    def test_version_that_is_deleted_with_its_configuration(self):
        self.found(
            checks.alias,
            "AuthorizerVersion: its UpdateReplacePolicy deletes the version to which a roll-back leads",
            ("    UpdateReplacePolicy: Retain\n    Properties:\n      FunctionName: !Ref AuthorizerFunction\n", "    Properties:\n      FunctionName: !Ref AuthorizerFunction\n"),
            given="alias",
        )

    def test_provisioned_concurrency_that_is_ignored(self):
        self.found(
            checks.alias,
            "AuthorizerAlias: AuthorizerProvisionedConcurrency is '10', and its own is None",
            ("        - ProvisionedConcurrentExecutions: !Ref AuthorizerProvisionedConcurrency\n", "        - !Ref AWS::NoValue\n"),
            given="alias",
        )

    def test_configuration_that_reaches_no_version(self):
        for line, *change in (
            ("TOKEN_USE is None, the function's 'access'", '          - !Sub "TOKEN_USE=${TokenUse}"\n', ""),
            ("Build is None, the function's '1f2e3d4c'", '        - - !Sub "Build=${AuthorizerBuild}"\n          - !Sub', "        - - !Sub"),
            ("Timeout is '5', the function's '6'", "before Lambda's timeout.\n      Timeout: 5\n", "before Lambda's timeout.\n      Timeout: 6\n"),
        ):
            self.found(checks.configuration, f"AuthorizerConfiguration: {line}", change, given="alias")
        self.found(
            checks.configuration,
            "AuthorizerConfiguration: API_KEY_TABLE is '', the function's '<ApiKeyTable>'",
            ('!If [HasApiKeys, !Sub "API_KEY_TABLE=${ApiKeyTable}", "API_KEY_TABLE="]', '"API_KEY_TABLE="'),
            given="everything",
        )
        self.found(
            checks.configuration,
            "AuthorizerFunction: is EphemeralStorage kept by a version? Then the record must have it",
            ("      CodeUri: functions/authorizer\n", "      CodeUri: functions/authorizer\n      EphemeralStorage: { Size: 1024 }\n"),
            given="alias",
        )

    def test_version_that_its_configuration_does_not_replace(self):
        number = "Configuration ${AuthorizerConfigurations}.${AuthorizerConfiguration.VersionNumber}"
        for name, old, new in (
            ("AuthorizerVersion", f'"{number}"', '"Configuration"'),
            ("AuthorizerFunction", f" {number}.", ""),
        ):
            self.found(checks.configuration, f"{name}: its description does not name the record", (old, new), given="alias")

    def test_deployment_that_is_gradual_unasked(self):
        gradual = "  HasGradualDeployment: !And [!Condition HasAuthorizerAlias, !Not [!Equals [!Ref AuthorizerDeployment, AllAtOnce]]]\n"
        self.found(
            checks.gradual,
            "AuthorizerDeployments: it exists, and nothing is deployed gradually",
            (gradual, "  HasGradualDeployment: !Condition HasAuthorizerAlias\n"),
            given="alias",
        )
        self.found(
            checks.gradual,
            "AuthorizerDeploymentGroup: it exists, and nothing is deployed gradually",
            (gradual, "  HasGradualDeployment: !Not [!Equals [!Ref AuthorizerDeployment, AllAtOnce]]\n"),
        )

    def test_deployment_that_is_not_gradual(self):
        self.found(
            checks.gradual,
            "AuthorizerAlias: an update moves it at once",
            ("    UpdatePolicy: !If\n      - HasGradualDeployment\n", "    UpdatePolicy: !If\n      - HasWebSocketApi\n"),
            given="gradual deployment",
        )

    def test_deployment_that_no_alarm_rolls_back(self):
        for change in (
            ("          - Name: !Ref AuthorizerDeploymentAlarm\n", "          []\n"),
            (", DEPLOYMENT_STOP_ON_ALARM", ""),
        ):
            self.found(checks.gradual, "no alarm rolls the deployment back", change, given="gradual deployment")

    def test_deployment_of_another_kind(self):
        self.found(
            checks.gradual,
            "the deployment is CodeDeployDefault.LambdaAllAtOnce",
            ('!Sub "CodeDeployDefault.Lambda${AuthorizerDeployment}"', "CodeDeployDefault.LambdaAllAtOnce"),
            given="gradual deployment",
        )

    def test_alarm_that_any_client_can_ring(self):
        self.found(
            checks.gradual,
            "AuthorizerDeploymentAlarm: every 401 is an error of the function, so any client can ring it",
            ("      Namespace: AWS/ApiGateway\n      MetricName: 5XXError\n", "      Namespace: AWS/Lambda\n      MetricName: Errors\n"),
            given="gradual deployment",
        )

    def test_role_that_shifts_other_functions(self):
        self.found(
            checks.gradual,
            "AuthorizerDeploymentRole: lambda:GetAlias, lambda:UpdateAlias, lambda:GetProvisionedConcurrencyConfig on *",
            ('                  - !GetAtt AuthorizerFunction.Arn\n', '                  - "*"\n'),
            given="gradual deployment",
        )

    def test_claims_in_a_layer_that_the_function_lacks(self):
        self.found(
            checks.layers,
            "PreTokenGenerationFunction: CLAIMS_FILE names a file under /opt, without a layer",
            ("      Layers: !If [HasClaimsLayer, [!Ref ClaimsLayerArn], !Ref AWS::NoValue]\n", ""),
            given="docs/rules.md",
        )

    def test_rules_in_a_layer_that_the_authorizer_lacks(self):
        self.found(
            checks.without_layers,
            "AuthorizerFunction: the parameter PoliciesDir names a file of a layer, and it has none",
            ("      Layers: !If [HasPoliciesLayer, [!Ref PoliciesLayerArn], !Ref AWS::NoValue]\n", ""),
        )

    def test_protection_that_stops_a_rollback(self):
        self.found(
            checks.deletion,
            "RevocationTable: it is protected from deletion, so a first deployment that fails is not rolled back",
            ("DeletionProtectionEnabled: !If [HasDeletionProtection, true, false]", "DeletionProtectionEnabled: true"),
        )
        self.found(
            checks.deletion,
            "UserPool: it is protected from deletion, so a first deployment that fails is not rolled back",
            ("DeletionProtection: !If [HasDeletionProtection, ACTIVE, INACTIVE]", "DeletionProtection: ACTIVE"),
        )

    def test_protection_that_is_asked_for_and_missing(self):
        self.found(
            checks.deletion,
            "UserPool: DeletionProtection=true does not protect it",
            ("DeletionProtection: !If [HasDeletionProtection, ACTIVE, INACTIVE]", "DeletionProtection: INACTIVE"),
            given="protected",
        )

    def test_attribute_that_the_client_may_not_write(self):
        line = next(line for line in stack.text().splitlines(True) if line.startswith("      WriteAttributes:"))
        self.found(
            checks.clients,
            "AppClient: WriteAttributes lacks zoneinfo",
            (line, "      WriteAttributes: [email, name, locale]\n"),
            given="other attributes",
        )
        self.found(
            checks.clients,
            "AppClient: WriteAttributes lacks name",
            (line, '      WriteAttributes: !Split [",", !Sub "email,${SignUpAttributes}"]\n'),
            given="other attributes and a provider",
        )
        self.found(
            checks.clients,
            "AppClient: WriteAttributes lacks custom:subject",
            (line, line.replace(",custom:subject", "")),
            given="every provider",
        )
        missing = "AppClient: the pool has no custom:subject"
        self.found(checks.clients, missing, ("          - Name: subject\n", "          - Name: other\n"), given="every provider")
        others = (line, line.replace("HasProviderSubject", "HasOidc"))
        self.found(checks.clients, missing, others, given="providers without a subject")
        self.found(
            checks.clients,
            "AppClient: WriteAttributes names an attribute twice",
            (line, '      WriteAttributes: !Split [",", !Sub "email,name,${SignUpAttributes}"]\n'),
        )

    def test_rotation_beside_the_flow_that_it_excludes(self):
        self.found(
            checks.clients,
            "AppClient: Cognito accepts either ALLOW_REFRESH_TOKEN_AUTH or rotation",
            ("!If [HasRotation, !Ref AWS::NoValue, ALLOW_REFRESH_TOKEN_AUTH]", "ALLOW_REFRESH_TOKEN_AUTH"),
            given="life of tokens",
        )

    def test_revocations_that_expire_before_refresh_tokens(self):
        self.found(
            checks.clients,
            "AppClient: refresh tokens live 2592000 s, revocations of their sessions 28800 s",
            ("RefreshTokenValidity: !Ref RefreshTokenSeconds", "RefreshTokenValidity: 2592000"),
        )

    def test_client_of_a_machine_that_signs_users_in(self):
        for flows in ("", "      ExplicitAuthFlows: [ALLOW_USER_SRP_AUTH]\n"):
            self.found(
                checks.clients,
                "MachineAppClient: a machine's client signs users in",
                ("      ExplicitAuthFlows: [ALLOW_REFRESH_TOKEN_AUTH]\n", flows),
                given="machines",
            )

    def test_public_client_that_accepts_passwords(self):
        for flow in ("!If [HasConfidentialClient, !Ref AWS::NoValue, ALLOW_USER_PASSWORD_AUTH]", "!If [HasConfidentialClient, ALLOW_CUSTOM_AUTH, ALLOW_USER_SRP_AUTH]"):
            self.found(
                checks.clients,
                "AppClient: it accepts passwords without a secret",
                (flow, flow.rpartition(" ")[2].rstrip("]")),
                given="confidential client",
            )

    def test_secret_of_another_client(self):
        self.found(
            checks.secrets,
            "LogoutFunction: the secret is ApiAppClient's, the first of its clients is <AppClient>,<ApiAppClient>",
            ('"${ApiAppClient},${AppClient}"', '"${AppClient},${ApiAppClient}"'),
            given="confidential client",
        )

    def test_secret_that_may_not_be_read(self):
        self.found(
            checks.secrets,
            "AuthApiFunction may not read <ApiAppClientSecret>",
            ("Action: secretsmanager:GetSecretValue\n                Resource: !Ref ApiAppClientSecret", "Action: secretsmanager:DescribeSecret\n                Resource: !Ref ApiAppClientSecret"),
            given="confidential client",
        )

    def test_rate_rule_that_spares_the_pool(self):
        self.found(
            checks.rate_rule,
            "the rate rule does not cover <UserPool.Arn>",
            ("      ResourceArn: !GetAtt UserPool.Arn\n", "      ResourceArn: !GetAtt UserPool.ProviderName\n"),
            given="rate rule",
        )

    def test_sender_that_is_empty(self):
        # The parameter is empty in the defaults; the template's rules reject an identity without it.
        self.found(
            checks.mail,
            "UserPool: the sender's address is empty",
            ("From: !If [HasMailFrom, !Ref MailFrom, !Ref AWS::NoValue]", 'From: ""'),
            given="mail",
        )

    def test_secret_that_must_be_typed(self):
        self.found(
            checks.empty_answers,
            "parameter GoogleClientId: with NoEcho there is no empty answer",
            ('  GoogleClientId: { Type: String, Default: "" }', '  GoogleClientId: { Type: String, Default: "", NoEcho: true }'),
        )

    def test_parameter_without_a_default(self):
        self.found(
            checks.empty_answers,
            "parameter MailFrom: it has no default",
            ('  MailFrom:\n    Type: String\n    Default: ""\n', "  MailFrom:\n    Type: String\n"),
            given="mail",
        )

    def test_function_that_nothing_invokes(self):
        self.found(
            checks.unreachable,
            "LogoutRetryFunction: nothing may invoke it",
            ("      FunctionName: !Ref LogoutRetryFunction\n", "      FunctionName: !Ref UserSweepFunction\n"),
        )

    def test_grid_of_refusals(self):
        """It is longer while migrate-user computes hashes, unless an operator has chosen one."""
        for name, given, expected in [
            ("defaults", {}, "1000"),
            ("users of an old pool", {}, "2000"),
            ("users of an old pool", {"RefusalGridMilliseconds": "0"}, "0"),
            ("defaults", {"RefusalGridMilliseconds": "5000"}, "5000"),
        ]:
            made = PARSED.stack(parameters.SETS[name] | given)
            variables = made.resources["AuthApiFunction"]["Properties"]["Environment"]["Variables"]
            self.assertEqual(expected, made.plain(variables["REFUSAL_GRID_MILLISECONDS"]), (name, given))
        parameter = PARSED.parameters["RefusalGridMilliseconds"]
        for value in ["", "0", "25", "999", "1000", "4999", "5000"]:
            self.assertEqual([], list(checks.refused("RefusalGridMilliseconds", parameter, value)))
        for value in ["5001", "10000", "-1", "1s", " "]:
            self.assertTrue(list(checks.refused("RefusalGridMilliseconds", parameter, value)), value)

    def test_question_to_the_old_pool(self):
        """migrate-user may ask the old pool whether it is case-sensitive."""
        made = PARSED.stack(parameters.SETS["users of an old pool"])
        _, statements = checks.policies_of(made, "MigrateUserFunction")
        asked = [made.plain(one["Resource"]) for one in statements if "cognito-idp:DescribeUserPool" in one["Action"]]
        self.assertEqual(["arn:aws:cognito-idp:*:123456789012:userpool/us-east-1_AbC123xyz"], asked)

    def test_queue_into_which_nothing_writes(self):
        self.found(
            checks.unreachable,
            "UserEventSource reads UserEventQueue, into which nothing writes",
            ("  UserEventRule:\n    Type: AWS::Events::Rule\n    Condition: HasUserEvents\n", "  UserEventRule:\n    Type: AWS::Events::Rule\n    Condition: HasApiKeys\n"),
        )

    def test_resource_that_nothing_names(self):
        self.found(
            checks.unreachable,
            "SecurityTopic (AWS::SNS::Topic): nothing refers to it",
            ("!Ref SecurityTopic", "!Ref UserPool"),
        )

    def test_condition_and_parameter_that_nothing_uses(self):
        self.found(checks.unused, "condition HasSecurityMail: nothing uses it", ("    Condition: HasSecurityMail\n", ""), given="security mail")
        self.found(checks.unused, "parameter SecurityMail: nothing uses it", ("!Ref SecurityMail\n", "ada@example.com\n"), ("!Equals [!Ref SecurityMail, ", "!Equals [!Ref AWS::Region, "))


class Refused(unittest.TestCase):
    """Inconsistent parameters are rejected before any resource is created."""

    def refused(self, rule, given):
        made = PARSED.stack(given)
        found = [line for line in checks.rules(made) if line.startswith(f"rule {rule}: ")]
        self.assertEqual(1, len(found), (rule, list(checks.rules(made))))

    def test_file_without_its_layer(self):
        self.refused("PoliciesInALayer", {"PoliciesDir": "/opt/policies"})
        self.refused("ClaimsInALayer", parameters.CLAIMS | {"ClaimsFile": "/opt/claims.json"})
        self.refused("TemplatesInALayer", {"TemplatesDir": "/opt/brands/ours"})

    def test_layer_without_its_file(self):
        self.refused("PoliciesOfTheLayer", {"PoliciesLayerArn": parameters.LAYER.format("policies")})
        self.refused("ClaimsOfTheLayer", parameters.CLAIMS | {"ClaimsLayerArn": parameters.LAYER.format("claims")})

    def test_identity_without_a_sender(self):
        self.refused("MailHasASender", {"SesIdentityArn": parameters.MAIL["SesIdentityArn"]})
        self.refused("SenderHasAnIdentity", {"MailFrom": parameters.MAIL["MailFrom"]})

    def test_machines_without_a_token_endpoint(self):
        self.refused("MachinesHaveATokenEndpoint", {"MachineClient": "true"})

    def test_provider_without_its_secret_or_a_hosted_ui(self):
        for provider in ("Google", "Facebook", "Amazon", "Apple", "Oidc"):
            whole = {name: value for name, value in parameters.PROVIDERS.items() if name.startswith(provider)}
            secret = next(name for name in whole if name.endswith("Arn"))
            self.refused(f"{provider}IsWhole", whole)
            self.refused(f"{provider}IsWhole", parameters.HOSTED_UI | whole | {secret: ""})
        self.refused("SamlIsWhole", {"SamlMetadataUrl": "https://id.example.com/metadata"})

    def test_domain_in_part(self):
        self.refused("DomainHasACertificate", {"ApiDomainName": "api.example.com"})
        for name in ("ApiCertificateArn", "ApiHostedZoneId", "ApiBasePath"):
            self.refused("DomainIsNamed", {name: parameters.DOMAIN[name]})

    def test_cached_decisions_of_one_route(self):
        for wrong in ({"PolicyScope": "request"}, {"TokenSources": "header"}, {"ApiKeyHeader": "x-api-key"}):
            self.refused("CachedDecisionsAreOfTheWholeApi", parameters.CACHED | wrong)
        parameter = PARSED.parameters["AuthorizerResultTtlSeconds"]
        for value in ("-1", "1", "301", "3600"):
            self.assertTrue(list(checks.refused("AuthorizerResultTtlSeconds", parameter, value)), value)

    def test_cookies_that_are_not_read(self):
        self.refused("CookiesAreRead", {"LogoutCookies": "true"})
        self.refused("SessionsAreInCookies", parameters.SESSIONS | {"LogoutCookies": "false"})
        self.refused("CookiesAreRead", parameters.SESSIONS | {"TokenSources": ""})
        self.refused("SessionsAreInCookies", parameters.SESSIONS | {"TokenSources": "cookie"})
        self.refused("SessionsHaveATable", {"LogoutCookies": "true", "TokenSources": "cookie,session"})

    def test_attributes_that_users_may_not_set(self):
        parameter = PARSED.parameters["SignUpAttributes"]
        for value in ("name,locale", "name", "given_name,family_name"):
            self.assertEqual([], list(checks.refused("SignUpAttributes", parameter, value)))
        for value in ("", "email", "email_verified", "custom:tenant", "name,", "name, locale", "sub"):
            self.assertTrue(list(checks.refused("SignUpAttributes", parameter, value)), value)

    def test_rate_that_waf_does_not_accept(self):
        parameter = PARSED.parameters["RequestsPerFiveMinutes"]
        for value in ("0", "10", "100", "2000"):
            self.assertEqual([], list(checks.refused("RequestsPerFiveMinutes", parameter, value)))
        for value in ("1", "9", "05", "-10", ""):
            self.assertTrue(list(checks.refused("RequestsPerFiveMinutes", parameter, value)), value)


if __name__ == "__main__":
    unittest.main()
