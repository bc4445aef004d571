"""Where each check's reason was read: pages of AWS, advisories, and published write-ups."""

COGNITO = "https://docs.aws.amazon.com/cognito/latest/developerguide/"
GATEWAY = "https://docs.aws.amazon.com/apigateway/latest/developerguide/"
BALANCER = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
REFERENCE = "https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/"

SOURCES = {
    "aws-access-logs": ("API Gateway: logging", GATEWAY + "set-up-logging.html"),
    "aws-access-tokens": ("Cognito: access tokens", COGNITO + "amazon-cognito-user-pools-using-the-access-token.html"),
    "aws-alarms": (
        "CloudWatch: alarms and actions",
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html",
    ),
    "aws-alb-jwt": ("Application Load Balancer: verifying JWTs", BALANCER + "listener-verify-jwt.html"),
    "aws-alb-users": (
        "Application Load Balancer: authenticating users",
        BALANCER + "listener-authenticate-users.html",
    ),
    "aws-appsync": (
        "AppSync: authorization and authentication",
        "https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html",
    ),
    "aws-appsync-lambda": (
        "AppSync: LambdaAuthorizerConfig",
        "https://docs.aws.amazon.com/appsync/latest/APIReference/API_LambdaAuthorizerConfig.html",
    ),
    "aws-appsync-pool": (
        "AppSync: UserPoolConfig",
        "https://docs.aws.amazon.com/appsync/latest/APIReference/API_UserPoolConfig.html",
    ),
    "aws-attributes": ("Cognito: attributes and their permissions", COGNITO + "user-pool-settings-attributes.html"),
    "aws-attribute-update": (
        "UserAttributeUpdateSettingsType",
        REFERENCE + "API_UserAttributeUpdateSettingsType.html",
    ),
    "aws-authorization-flow": (
        "API Gateway: how resource policies affect authorization",
        GATEWAY + "apigateway-authorization-flow.html",
    ),
    "aws-authorizers": ("API Gateway: Lambda authorizers", GATEWAY + "apigateway-use-lambda-authorizer.html"),
    "aws-cache": ("API Gateway: caching", GATEWAY + "api-gateway-caching.html"),
    "aws-case": ("Cognito: case sensitivity", COGNITO + "user-pool-case-sensitivity.html"),
    "aws-case-blog": (
        "AWS Security Blog: case sensitivity in Amazon Cognito",
        "https://aws.amazon.com/blogs/security/how-to-set-case-sensitivity-in-the-amazon-cognito-console/",
    ),
    "aws-client": ("Cognito: app clients", COGNITO + "user-pool-settings-client-apps.html"),
    "aws-client-api": ("CreateUserPoolClient: defaults", REFERENCE + "API_CreateUserPoolClient.html"),
    "aws-cloudtrail-events": (
        "EventBridge: events of AWS calls by CloudTrail",
        "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html",
    ),
    "aws-dead-letters": (
        "SQS: dead-letter queues",
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html",
    ),
    "aws-default-endpoint": (
        "API Gateway: disabling the default endpoint",
        GATEWAY + "rest-api-disable-default-endpoint.html",
    ),
    "aws-deletion": ("Cognito: deletion protection", COGNITO + "user-pool-settings-deletion-protection.html"),
    "aws-deletion-api": ("DeleteUserPool", REFERENCE + "API_DeleteUserPool.html"),
    "aws-devices": ("Cognito: remembered devices", COGNITO + "amazon-cognito-user-pools-device-tracking.html"),
    "aws-email": ("Cognito: email settings", COGNITO + "user-pool-email.html"),
    "aws-errors": ("Cognito: managing error responses", COGNITO + "cognito-user-pool-managing-errors.html"),
    "aws-flows": (
        "Cognito: authentication flows",
        COGNITO + "amazon-cognito-user-pools-authentication-flow-methods.html",
    ),
    "aws-function-urls": (
        "Lambda: access to function URLs",
        "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
    ),
    "aws-gateway-responses": (
        "API Gateway: gateway responses",
        GATEWAY + "api-gateway-gatewayResponse-definition.html",
    ),
    "aws-groups": ("Cognito: role-based access control", COGNITO + "role-based-access-control.html"),
    "aws-http-authorizers": ("API Gateway: HTTP API Lambda authorizers", GATEWAY + "http-api-lambda-authorizer.html"),
    "aws-http-cors": ("API Gateway: CORS for HTTP APIs", GATEWAY + "http-api-cors.html"),
    "aws-identity-flows": ("Cognito: identity pool authentication flow", COGNITO + "authentication-flow.html"),
    "aws-identity-roles": ("Cognito: IAM roles of an identity pool", COGNITO + "iam-roles.html"),
    "aws-identity-tags": ("Cognito: attributes for access control", COGNITO + "attributes-for-access-control.html"),
    "aws-identity-trust": ("Cognito: role trust and permissions", COGNITO + "role-trust-and-permissions.html"),
    "aws-identity-provider-api": (
        "CognitoIdentityProvider: ServerSideTokenCheck",
        "https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_CognitoIdentityProvider.html",
    ),
    "aws-lambda-triggers": (
        "Cognito: Lambda triggers",
        COGNITO + "user-pool-settings-triggers.html",
    ),
    "aws-lambda-versions": (
        "Lambda: versions",
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html",
    ),
    "aws-mapping": (
        "Cognito: mapping IdP attributes",
        COGNITO + "cognito-user-pools-specifying-attribute-mapping.html",
    ),
    "aws-mfa": ("Cognito: multi-factor authentication", COGNITO + "user-pool-settings-mfa.html"),
    "aws-mutual-tls": ("API Gateway: mutual TLS", GATEWAY + "rest-api-mutual-tls.html"),
    "aws-passwords": (
        "CloudFormation: the password policy of a user pool",
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
        "aws-properties-cognito-userpool-passwordpolicy.html",
    ),
    "aws-pitr": (
        "DynamoDB: point-in-time recovery",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html",
    ),
    "aws-recovery": ("AccountRecoverySetting", REFERENCE + "API_AccountRecoverySettingType.html"),
    "aws-refresh": ("Cognito: refresh tokens", COGNITO + "amazon-cognito-user-pools-using-the-refresh-token.html"),
    "aws-revocation": ("Cognito: token revocation", COGNITO + "token-revocation.html"),
    "aws-saml": (
        "Cognito: IdP-initiated SAML sign-in",
        COGNITO + "cognito-user-pools-SAML-session-initiation.html",
    ),
    "aws-saml-signing": (
        "Cognito: SAML signing and encryption",
        COGNITO + "cognito-user-pools-SAML-signing-encryption.html",
    ),
    "aws-sign-up": ("Cognito: signing up and confirming accounts", COGNITO + "signing-up-users-in-your-app.html"),
    "aws-sms": ("Cognito: SMS settings", COGNITO + "cognito-user-pool-sms-settings.html"),
    "aws-stack-drift": (
        "CloudFormation: drift",
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html",
    ),
    "aws-threat-protection": (
        "Cognito: threat protection",
        COGNITO + "cognito-user-pool-settings-threat-protection.html",
    ),
    "aws-throttling": ("API Gateway: throttling", GATEWAY + "api-gateway-request-throttling.html"),
    "aws-ttl": (
        "DynamoDB: time to live",
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html",
    ),
    "aws-unverified": (
        "Cognito: verification at sign-up",
        COGNITO + "user-pool-settings-email-phone-verification.html",
    ),
    "aws-waf": ("Cognito: web ACLs", COGNITO + "user-pool-waf.html"),
    "amplify-625": (
        "Amplify: roles that trusted every identity pool",
        "https://github.com/aws-amplify/amplify-backend/pull/625",
    ),
    "amplify-1083": (
        "Amplify: every role that identity pools assume must name the pool",
        "https://github.com/aws-amplify/amplify-backend/pull/1083",
    ),
    "aws-trigger-errors": (
        "AWS re:Post: errors of Lambda triggers in Cognito",
        "https://repost.aws/knowledge-center/cognito-lambda-trigger-errors",
    ),
    "aws-well-architected": (
        "AWS Well-Architected Labs: prevent requests from accessing the API directly",
        "https://wellarchitectedlabs.com/security/300_labs/300_multilayered_api_security_with_cognito_and_waf/"
        "3_prevent_requests_from_accessing_api_directly/",
    ),
    "cdk-19604": ("CDK: trigger permissions without SourceArn", "https://github.com/aws/aws-cdk/issues/19604"),
    "bedefended": (
        "A. Cocco: It's time to secure your AWS Cognito configuration (2022)",
        "https://newsroom.bedefended.com/secure-aws-cognito-configuration",
    ),
    "cve-2024-28056": (
        "CVE-2024-28056: Amplify's roles could be assumed by anyone",
        "https://nvd.nist.gov/vuln/detail/CVE-2024-28056",
    ),
    "datadog-appsync": (
        "Datadog: GraphQL APIs should not use API keys for authentication",
        "https://docs.datadoghq.com/security/default_rules/def-000-crl",
    ),
    "datadog-classic": (
        "Datadog: identity pools should not have the classic flow",
        "https://docs.datadoghq.com/security/default_rules/def-000-k8u.md",
    ),
    "gatehouse-existing": ("docs/existing-api.md", "docs/existing-api.md"),
    "gatehouse-operations": ("docs/operations.md", "docs/operations.md"),
    "gatehouse-tokens": ("docs/tokens.md", "docs/tokens.md"),
    "hackingthecloud": (
        "N. Frichette: bypass Cognito account enumeration controls",
        "https://hackingthe.cloud/aws/enumeration/bypass_cognito_user_enumeration_controls",
    ),
    "nist-63b": ("NIST SP 800-63B-4", "https://pages.nist.gov/800-63-4/sp800-63b.html"),
    "noauth": ("Descope: nOAuth (2023)", "https://www.descope.com/blog/post/noauth"),
    "rfc9700": (
        "RFC 9700: OAuth 2.0 Security Best Current Practice",
        "https://www.rfc-editor.org/rfc/rfc9700",
    ),
    "aws-http-routes": (
        "API Gateway: route keys of HTTP APIs",
        GATEWAY + "http-api-develop-routes.html",
    ),
    "truesec": (
        "Truesec: Amazon Cognito, a quick look into token security",
        "https://www.truesec.com/hub/blog/aws-cognito-token-security-one-step-closer",
    ),
    "valtik": (
        "Valtik: identity pool misconfiguration and the IAM role confusion attack (2026)",
        "https://valtikstudios.com/blog/aws-cognito-iam-role-confusion",
    ),
}
