"""The calls to AWS that the audit makes. The IAM policy and the names of exported files are made from this list."""

import functools
from dataclasses import dataclass

import botocore.session
from botocore.exceptions import UnknownRegionError

ANY = "*"


@dataclass(frozen=True)
class Call:
    """One operation of an AWS service.

    `by` are the parameters that tell two results of the operation apart; they are part of an exported file's name.
    `what` says what the audit cannot check without the call. `resource` is the ARN that the permission is limited to,
    `options` what else the AWS CLI needs to return the same answer.
    """

    service: str
    operation: str
    by: tuple
    what: str
    resource: str = ANY
    actions: tuple = ()
    options: str = ""

    @property
    def command(self):
        """The operation's name in the AWS CLI: `describe-user-pool`."""
        return self.operation.replace("_", "-")

    @property
    def name(self):
        """Service and operation as in a file name: `cognito-idp.describe-user-pool`."""
        return f"{self.service}.{self.command}"

    @property
    def permissions(self):
        """The IAM actions that the call needs."""
        return self.actions or (f"{self.service}:{''.join(word.title() for word in self.operation.split('_'))}",)


POOL = "arn:{partition}:cognito-idp:{region}:{account}:userpool/{pool}"
IDENTITY_POOL = "arn:{partition}:cognito-identity:{region}:{account}:identitypool/*"
ROLE = "arn:{partition}:iam::{account}:role/*"
FUNCTION = "arn:{partition}:lambda:{region}:{account}:function:*"
STACK = "arn:{partition}:cloudformation:{region}:{account}:stack/*"
API = "arn:{partition}:apigateway:{region}::/"
GRAPHQL = "arn:{partition}:appsync:{region}:{account}:apis/*"
TABLE = "arn:{partition}:dynamodb:{region}:{account}:table/*"
QUEUE = "arn:{partition}:sqs:{region}:{account}:*"
RULE = "arn:{partition}:events:{region}:{account}:rule/*"
TRAIL = "arn:{partition}:cloudtrail:{region}:{account}:trail/*"
TOPIC = "arn:{partition}:sns:{region}:{account}:*"
GET = ("apigateway:GET",)

CALLS = {
    call.name: call
    for call in (
        Call("cloudformation", "describe_stacks", ("StackName",), "the stack's parts", STACK),
        Call("cloudformation", "list_stack_resources", ("StackName",), "the stack's resources", STACK),
        Call(
            "cloudformation",
            "get_template",
            ("StackName",),
            "which resources outlive the stack",
            STACK,
            options="--template-stage Processed",
        ),
        Call("cognito-idp", "describe_user_pool", ("UserPoolId",), "the user pool", POOL),
        Call("cognito-idp", "get_user_pool_mfa_config", ("UserPoolId",), "the second factors", POOL),
        Call("cognito-idp", "list_user_pool_clients", ("UserPoolId",), "the app clients", POOL),
        Call("cognito-idp", "describe_user_pool_client", ("UserPoolId", "ClientId"), "the app client", POOL),
        Call("cognito-idp", "list_identity_providers", ("UserPoolId",), "the identity providers", POOL),
        Call(
            "cognito-idp", "describe_identity_provider", ("UserPoolId", "ProviderName"), "the identity provider", POOL
        ),
        Call("cognito-idp", "describe_risk_configuration", ("UserPoolId",), "threat protection's reactions", POOL),
        Call(
            "wafv2",
            "get_web_acl_for_resource",
            ("ResourceArn",),
            "the web ACL",
            ANY,
            ("wafv2:GetWebACLForResource", "cognito-idp:GetWebACLForResource"),
        ),
        Call("lambda", "get_function_configuration", ("FunctionName",), "whether the function exists", FUNCTION),
        Call("lambda", "get_policy", ("FunctionName", "Qualifier"), "who may invoke the function", FUNCTION),
        Call("lambda", "get_alias", ("FunctionName", "Name"), "the authorizer's version in use", FUNCTION),
        Call("lambda", "list_event_source_mappings", ("FunctionName",), "whether the queue is consumed", ANY),
        Call("cognito-identity", "describe_identity_pool", ("IdentityPoolId",), "the identity pool", IDENTITY_POOL),
        Call("cognito-identity", "get_identity_pool_roles", ("IdentityPoolId",), "its roles", IDENTITY_POOL),
        Call(
            "cognito-identity",
            "get_principal_tag_attribute_map",
            ("IdentityPoolId", "IdentityProviderName"),
            "attributes for access control",
            IDENTITY_POOL,
        ),
        Call("iam", "get_role", ("RoleName",), "the role's trust policy", ROLE),
        Call("iam", "list_attached_role_policies", ("RoleName",), "the role's policies", ROLE),
        Call("iam", "list_role_policies", ("RoleName",), "the role's inline policies", ROLE),
        Call("iam", "get_role_policy", ("RoleName", "PolicyName"), "the role's inline policy", ROLE),
        Call("iam", "get_policy", ("PolicyArn",), "the attached policy", "arn:{partition}:iam::*:policy/*"),
        Call(
            "iam",
            "get_policy_version",
            ("PolicyArn", "VersionId"),
            "the attached policy",
            "arn:{partition}:iam::*:policy/*",
        ),
        Call("apigateway", "get_rest_api", ("restApiId",), "the REST API", API + "restapis/*", GET),
        Call(
            "apigateway",
            "get_resources",
            ("restApiId",),
            "the methods",
            API + "restapis/*/resources",
            GET,
            "--embed methods",
        ),
        Call("apigateway", "get_authorizers", ("restApiId",), "the authorizers", API + "restapis/*/authorizers", GET),
        Call("apigateway", "get_stages", ("restApiId",), "the stages", API + "restapis/*/stages", GET),
        Call(
            "apigateway",
            "get_gateway_responses",
            ("restApiId",),
            "the gateway responses",
            API + "restapis/*/gatewayresponses",
            GET,
        ),
        Call("apigatewayv2", "get_api", ("ApiId",), "the API", API + "apis/*", GET),
        Call("apigatewayv2", "get_routes", ("ApiId",), "the routes", API + "apis/*/routes", GET),
        Call("apigatewayv2", "get_authorizers", ("ApiId",), "the authorizers", API + "apis/*/authorizers", GET),
        Call("apigatewayv2", "get_stages", ("ApiId",), "the stages", API + "apis/*/stages", GET),
        Call("apigateway", "get_domain_names", (), "the custom domains of APIs", API + "domainnames", GET),
        Call(
            "apigateway",
            "get_base_path_mappings",
            ("domainName",),
            "the APIs of the custom domain",
            API + "domainnames/*/basepathmappings",
            GET,
        ),
        Call(
            "apigatewayv2",
            "get_api_mappings",
            ("DomainName",),
            "the APIs of the custom domain",
            API + "domainnames/*/apimappings",
            GET,
        ),
        Call("cloudfront", "list_distributions", (), "the distributions in front of APIs"),
        Call("lambda", "list_function_url_configs", ("FunctionName",), "whether the function has an address", FUNCTION),
        Call("appsync", "get_graphql_api", ("apiId",), "the GraphQL API", GRAPHQL),
        # IAM knows no resource for this action.
        Call("appsync", "list_api_keys", ("apiId",), "the API keys"),
        Call(
            "elbv2",
            "describe_listeners",
            ("LoadBalancerArn",),
            "the load balancer",
            ANY,
            ("elasticloadbalancing:DescribeListeners",),
        ),
        Call(
            "elbv2",
            "describe_rules",
            ("ListenerArn",),
            "the listener's rules",
            ANY,
            ("elasticloadbalancing:DescribeRules",),
        ),
        Call("cloudtrail", "describe_trails", (), "the trail"),
        Call("cloudtrail", "get_trail_status", ("Name",), "whether the trail records", TRAIL),
        Call("cloudtrail", "get_event_selectors", ("TrailName",), "what the trail records", TRAIL),
        Call("events", "describe_rule", ("Name",), "the EventBridge rule", RULE),
        Call("events", "list_targets_by_rule", ("Rule",), "the rule's targets", RULE),
        Call("sqs", "get_queue_attributes", ("QueueUrl",), "the queue", QUEUE, options="--attribute-names All"),
        Call("dynamodb", "describe_table", ("TableName",), "the table", TABLE),
        Call("dynamodb", "describe_time_to_live", ("TableName",), "the table's time to live", TABLE),
        Call("dynamodb", "describe_continuous_backups", ("TableName",), "point-in-time recovery", TABLE),
        Call("cloudwatch", "describe_alarms", ("AlarmNames",), "the alarms"),
        Call("sns", "list_subscriptions_by_topic", ("TopicArn",), "who receives the alarms", TOPIC),
    )
}


@functools.cache
def partition_of(region):
    """The partition of a region: aws, aws-cn, aws-us-gov, ..; aws without a region that exists."""
    try:
        return botocore.session.get_session().get_partition_for_region(region or "")
    except UnknownRegionError:
        return "aws"


def policy(partition="aws", region="*", account="*", pools=()):
    """The IAM policy, as a document, that allows these calls and nothing else."""
    resources = {}
    for call in CALLS.values():
        for pool in pools or ("*",):
            resource = call.resource.format(partition=partition, region=region, account=account, pool=pool)
            resources.setdefault(resource, set()).update(call.permissions)
    grouped = {}
    for resource, actions in resources.items():
        grouped.setdefault(tuple(sorted(actions)), set()).add(resource)
    statements = [
        {"Effect": "Allow", "Action": list(actions), "Resource": sorted(found)} for actions, found in grouped.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}
