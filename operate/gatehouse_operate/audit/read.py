"""Reads a set-up, from AWS or from a folder, into `Facts`."""

import concurrent.futures
from dataclasses import dataclass

from gatehouse_operate.audit.calls import CALLS, partition_of
from gatehouse_operate.audit.facts import (
    Api,
    Balancer,
    Client,
    Domain,
    Facts,
    Function,
    GraphqlApi,
    IdentityPool,
    Pool,
    Problem,
    Provider,
    Role,
    System,
    document,
    listed,
    source_arns,
)
from gatehouse_operate.audit.source import Absent, Unread

WORKERS = 8
# Alarms in one call of DescribeAlarms.
ALARMS = 100
NESTED = 20
# The partitions of AWS that have CloudFront.
WITH_CLOUDFRONT = {"aws", "aws-cn"}
# The resources of a stack that make it worth an audit.
AUDITED = {
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGatewayV2::Api",
    "AWS::AppSync::GraphQLApi",
    "AWS::Cognito::IdentityPool",
    "AWS::Cognito::UserPool",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::Lambda::Function",
}


@dataclass
class Targets:
    """What to audit: names and ids by kind."""

    stacks: tuple = ()
    pools: tuple = ()
    rest_apis: tuple = ()
    http_apis: tuple = ()
    identity_pools: tuple = ()
    graphql_apis: tuple = ()
    balancers: tuple = ()


class Reader:
    """Reads through a source, records what could not be read, and reports progress."""

    def __init__(self, source, region, progress=lambda text: None):
        self._source = source
        self._progress = progress
        self.facts = Facts(region=region)
        self._functions = {}
        self._roles = {}

    def read(self, targets):
        """The facts about the targets, and about what belongs to them."""
        pools, rest, http = list(targets.pools), list(targets.rest_apis), list(targets.http_apis)
        identity_pools = list(targets.identity_pools)
        graphql, balancers, functions = list(targets.graphql_apis), list(targets.balancers), []
        for stack in targets.stacks:
            known = len(self.facts.problems)
            resources = self._stack(stack)
            if len(self.facts.problems) == known and not any(one.get("ResourceType") in AUDITED for one in resources):
                # Another stack's name would look like a clean result.
                call = CALLS["cloudformation.list-stack-resources"]
                self.facts.problems.append(Problem(call, f"stack {stack}", "absent", "it has nothing to audit"))
            pools += of_type(resources, "AWS::Cognito::UserPool")
            identity_pools += of_type(resources, "AWS::Cognito::IdentityPool")
            rest += of_type(resources, "AWS::ApiGateway::RestApi")
            http += of_type(resources, "AWS::ApiGatewayV2::Api")
            graphql += [arn.rpartition("/")[2] for arn in of_type(resources, "AWS::AppSync::GraphQLApi")]
            balancers += of_type(resources, "AWS::ElasticLoadBalancingV2::LoadBalancer")
            balancers += map(balancer_of, of_type(resources, "AWS::ElasticLoadBalancingV2::Listener"))
            functions += of_type(resources, "AWS::Lambda::Function")
        for pool_id in unique(identity_pools):
            found = self._identity_pool(pool_id)
            self.facts.identity_pools.append(found)
            # Its rules are judged by what users of the pool can write.
            for pool in unique(pool for pool, _, _ in found.pool_clients):
                if pool.startswith(f"{self.facts.region}_"):
                    pools.append(pool)
                else:
                    call = CALLS["cognito-idp.describe-user-pool"]
                    self.facts.problems.append(Problem(call, f"user pool {pool}", "failed", "it is in another region"))
        for pool_id in unique(pools):
            self.facts.pools.append(self._pool(pool_id))
        for api in unique(rest):
            self.facts.apis.append(self._rest_api(api))
        for api in unique(http):
            self.facts.apis.append(self._http_api(api))
        known = {*rest, *http}
        for api in unique(api for system in self.facts.systems for api in self._permitted(system, "execute-api")):
            if api not in known:
                self._api(api)
        self.facts.graphql_apis = [self._graphql_api(api) for api in unique(graphql)]
        permitted = [api for system in self.facts.systems for api in self._permitted(system, "appsync")]
        for api in unique(permitted):
            # The permission of a deleted one harms nothing.
            if api not in graphql and (found := self._graphql_api(api, is_named=False)).detail:
                self.facts.graphql_apis.append(found)
        # Network and gateway load balancers do not authenticate.
        applications = [arn for arn in unique(balancers) if ":loadbalancer/app/" in arn]
        self.facts.balancers = [self._balancer(arn) for arn in applications]
        self.facts.addressed = [self._addressed(name) for name in unique(functions)]
        if any(api.detail for api in self.facts.apis):
            self._domains()
            self.facts.distributions = self._distributions()
        return self.facts

    def _distributions(self):
        """CloudFront's distributions of the account: none in a partition without CloudFront, None if unread."""
        if partition_of(self.facts.region) not in WITH_CLOUDFRONT:
            return []
        answer = self.ask("cloudfront.list-distributions", "the account")
        return answer and ((answer.get("DistributionList") or {}).get("Items") or [])

    def _permitted(self, system, service):
        """The APIs of a service, in the stack's account and region, that may invoke its authorizer."""
        arn = system.outputs.get("AuthorizerArn", "")
        account = account_of(arn)
        for statement in listed((self._function(arn).policy or {}).get("Statement")):
            for source in source_arns(statement):
                parts = source.split(":")
                if len(parts) > 5 and parts[2:5] == [service, self.facts.region, account]:
                    # execute-api has the id in front of the stage, AppSync behind `apis/`.
                    yield parts[5].removeprefix("apis/").partition("/")[0].replace("*", "")

    def _api(self, api_id):
        """An API of which only the id is known. The permission of a deleted one harms nothing."""
        unread = None
        for name, read, key in (
            ("apigateway.get-rest-api", self._rest_api, "restApiId"),
            ("apigatewayv2.get-api", self._http_api, "ApiId"),
        ):
            try:
                self._source.fetch(CALLS[name], {key: api_id})
                self.facts.apis.append(read(api_id))
                return
            except Absent:
                continue
            except Unread as error:
                unread = Problem(CALLS[name], f"API {api_id}", error.kind, str(error))
        if unread:
            self.facts.problems.append(unread)

    def ask(self, name, subject, **parameters):
        """An answer; an empty one if the resource does not exist; None, and a problem, if it cannot be read."""
        call = CALLS[name]
        try:
            return self._source.fetch(call, parameters)
        except Absent:
            return {}
        except Unread as error:
            self.facts.problems.append(Problem(call, subject, error.kind, str(error)))
            return None

    def _required(self, name, subject, key, **parameters):
        """A member of an answer. A target that does not exist is a problem, not a clean result."""
        answer = self.ask(name, subject, **parameters)
        found = (answer or {}).get(key) if key else answer
        if answer is not None and not found:
            self.facts.problems.append(Problem(CALLS[name], subject, "absent", "does not exist"))
        return found or None

    def _pool(self, pool_id):
        self._progress(f"user pool {pool_id}")
        subject = f"user pool {pool_id}"
        pool = Pool(pool_id, self.facts.region)
        pool.detail = self._required("cognito-idp.describe-user-pool", subject, "UserPool", UserPoolId=pool_id)
        if pool.detail is None:
            return pool
        pool.mfa = self.ask("cognito-idp.get-user-pool-mfa-config", subject, UserPoolId=pool_id)
        pool.clients, pool.client_ids = self._clients(pool)
        pool.providers, pool.provider_names = self._providers(pool)
        if ((pool.detail.get("UserPoolAddOns") or {}).get("AdvancedSecurityMode") or "OFF") != "OFF":
            answer = self.ask("cognito-idp.describe-risk-configuration", subject, UserPoolId=pool_id)
            pool.risk = answer and (answer.get("RiskConfiguration") or {})
        if arn := pool.detail.get("Arn"):
            pool.web_acl = self.ask("wafv2.get-web-acl-for-resource", subject, ResourceArn=arn)
            self.facts.account = self.facts.account or account_of(arn)
        pool.triggers = {name: self._function(arn) for name, arn in triggers(pool.detail).items()}
        for system in self.facts.systems:
            if system.outputs.get("UserPoolId") == pool_id and system.retained is not None:
                pool.is_retained = "UserPool" in system.retained
        return pool

    def _clients(self, pool):
        answer = self.ask("cognito-idp.list-user-pool-clients", pool.label, UserPoolId=pool.id)
        if answer is None:
            return None, None
        ids = unique(one.get("ClientId") for one in answer.get("UserPoolClients") or [])

        def one(client_id):
            label = f"app client {client_id}"
            name = "cognito-idp.describe-user-pool-client"
            answer = self.ask(name, label, UserPoolId=pool.id, ClientId=client_id)
            return (answer or {}).get("UserPoolClient")

        found = []
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as threads:
            for number, detail in enumerate(threads.map(one, ids), 1):
                self._progress(f"user pool {pool.id}: app client {number} of {len(ids)}")
                if detail:
                    found.append(Client(pool, detail))
        return found, ids

    def _providers(self, pool):
        answer = self.ask("cognito-idp.list-identity-providers", pool.label, UserPoolId=pool.id)
        if answer is None:
            return None, None
        found = []
        names = [one.get("ProviderName", "") for one in answer.get("Providers") or []]
        for name in names:
            label = f"identity provider {name}"
            call = "cognito-idp.describe-identity-provider"
            answer = self.ask(call, label, UserPoolId=pool.id, ProviderName=name)
            if detail := (answer or {}).get("IdentityProvider"):
                found.append(Provider(pool, detail))
        return found, names

    def _function(self, arn):
        """The function of an ARN or a name. Its policy is that of the alias or version, if the ARN names one."""
        if arn in self._functions:
            return self._functions[arn]
        name, qualifier = function_name(arn)
        region, account = home(arn)
        # A name means the own account's function, so the one of another account is asked for by its ARN.
        asked = name if not account or account == self.facts.account else arn.removesuffix(f":{qualifier}")
        name = asked if account and self.facts.account and account != self.facts.account else name
        label = f"function {name}"
        found = Function(name, qualifier=qualifier)
        call = CALLS["lambda.get-function-configuration"]
        if region and self.facts.region and region != self.facts.region:
            # For Lambda the functions of other regions do not exist.
            self.facts.problems.append(Problem(call, label, "failed", f"it is in {region}"))
        else:
            found.configuration = self.ask(call.name, label, FunctionName=asked)
        if found.configuration and not is_same(arn, found.configuration.get("FunctionArn") or arn):
            # A folder's file for the name.
            self.facts.problems.append(Problem(call, label, "missing", f"the file is of another function than {arn}"))
            found.configuration = None
        if found.configuration:
            found.policy = self._policy(asked, qualifier, label)
        self._functions[arn] = found
        return found

    def _policy(self, function, qualifier, label):
        """The policy of a function, or of its alias or version; empty without one, None if unread."""
        answer = self.ask("lambda.get-policy", label, FunctionName=function, Qualifier=qualifier)
        return {} if answer == {} else answer and (document(answer.get("Policy")) or {})

    def _identity_pool(self, pool_id):
        self._progress(f"identity pool {pool_id}")
        label = f"identity pool {pool_id}"
        pool = IdentityPool(pool_id, self.facts.region)
        pool.detail = self._required("cognito-identity.describe-identity-pool", label, None, IdentityPoolId=pool_id)
        if pool.detail is None:
            return pool
        pool.roles = self.ask("cognito-identity.get-identity-pool-roles", label, IdentityPoolId=pool_id)
        for kind, arn, claims in handed_out(pool.roles or {}):
            pool.known_roles.append(self._role(arn, kind, claims))
        for provider in pool.detail.get("CognitoIdentityProviders") or []:
            name = provider.get("ProviderName", "")
            call = "cognito-identity.get-principal-tag-attribute-map"
            pool.tags[name] = self.ask(call, label, IdentityPoolId=pool_id, IdentityProviderName=name)
        return pool

    def _role(self, arn, kind, claims):
        name = arn.rpartition("/")[2]
        label = f"role {name}"
        role = Role(arn, kind, claims=claims)
        if arn in self._roles:
            role.detail, role.policies = self._roles[arn]
            return role
        if {home(arn)[1], self.facts.account} - {"", home(arn)[1]}:
            # IAM knows the own account's roles only.
            self.facts.problems.append(Problem(CALLS["iam.get-role"], label, "failed", f"{arn} is of another account"))
            answer = None
        else:
            answer = self.ask("iam.get-role", label, RoleName=name)
        role.detail = answer and answer.get("Role")
        role.detail = {} if answer == {} else role.detail
        if role.detail:
            role.policies = self._policies(name, label)
        self._roles[arn] = role.detail, role.policies
        return role

    def _policies(self, role, label):
        found = {}
        inline = self.ask("iam.list-role-policies", label, RoleName=role)
        attached = self.ask("iam.list-attached-role-policies", label, RoleName=role)
        for name in (inline or {}).get("PolicyNames") or []:
            answer = self.ask("iam.get-role-policy", label, RoleName=role, PolicyName=name)
            found[name] = document((answer or {}).get("PolicyDocument"))
        for one in (attached or {}).get("AttachedPolicies") or []:
            arn = one.get("PolicyArn", "")
            answer = self.ask("iam.get-policy", label, PolicyArn=arn)
            if version := ((answer or {}).get("Policy") or {}).get("DefaultVersionId"):
                answer = self.ask("iam.get-policy-version", label, PolicyArn=arn, VersionId=version)
                found[one.get("PolicyName", arn)] = document(
                    ((answer or {}).get("PolicyVersion") or {}).get("Document")
                )
        # Documents that could not be read are problems of their own.
        return {name: policy for name, policy in found.items() if policy}

    def _rest_api(self, api_id):
        self._progress(f"REST API {api_id}")
        label = f"REST API {api_id}"
        api = Api(api_id, "rest", self.facts.region)
        api.detail = self._required("apigateway.get-rest-api", label, None, restApiId=api_id)
        if api.detail is None:
            return api
        answer = self.ask("apigateway.get-resources", label, restApiId=api_id)
        api.methods = None if answer is None else rest_methods(answer)
        if any("authorizationType" not in one for one in api.methods or []):
            # Without it every method would look open.
            call = CALLS["apigateway.get-resources"]
            self.facts.problems.append(Problem(call, label, "failed", f"exported without {call.options}"))
            api.methods = None
        answer = self.ask("apigateway.get-authorizers", label, restApiId=api_id)
        api.authorizers = answer and (answer.get("items") or [])
        answer = self.ask("apigateway.get-stages", label, restApiId=api_id)
        api.stages = answer and (answer.get("item") or [])
        answer = self.ask("apigateway.get-gateway-responses", label, restApiId=api_id)
        api.gateway_responses = answer and (answer.get("items") or [])
        self._authorizer_functions(api, [one.get("authorizerUri") for one in api.authorizers or []])
        return api

    def _http_api(self, api_id):
        self._progress(f"API {api_id}")
        label = f"API {api_id}"
        api = Api(api_id, "http", self.facts.region)
        api.detail = self._required("apigatewayv2.get-api", label, None, ApiId=api_id)
        if api.detail is None:
            return api
        api.kind = "websocket" if api.detail.get("ProtocolType") == "WEBSOCKET" else "http"
        answer = self.ask("apigatewayv2.get-routes", label, ApiId=api_id)
        api.methods = answer and (answer.get("Items") or [])
        answer = self.ask("apigatewayv2.get-authorizers", label, ApiId=api_id)
        api.authorizers = answer and (answer.get("Items") or [])
        answer = self.ask("apigatewayv2.get-stages", label, ApiId=api_id)
        api.stages = answer and (answer.get("Items") or [])
        self._authorizer_functions(api, [one.get("AuthorizerUri") for one in api.authorizers or []])
        return api

    def _graphql_api(self, api_id, is_named=True):
        self._progress(f"GraphQL API {api_id}")
        label = f"GraphQL API {api_id}"
        api = GraphqlApi(api_id, self.facts.region)
        call = "appsync.get-graphql-api"
        if is_named:
            api.detail = self._required(call, label, "graphqlApi", apiId=api_id)
        else:
            api.detail = (self.ask(call, label, apiId=api_id) or {}).get("graphqlApi")
        if api.detail and "API_KEY" in [mode for mode, _ in api.modes]:
            answer = self.ask("appsync.list-api-keys", label, apiId=api_id)
            api.keys = answer and (answer.get("apiKeys") or [])
            api.keys = [] if answer == {} else api.keys
        return api

    def _balancer(self, arn):
        found = Balancer(arn, self.facts.region)
        self._progress(found.label)
        answer = self._required("elbv2.describe-listeners", found.label, None, LoadBalancerArn=arn)
        found.listeners = answer and (answer.get("Listeners") or [])
        for listener in found.listeners or []:
            answer = self.ask("elbv2.describe-rules", found.label, ListenerArn=listener.get("ListenerArn", ""))
            listener["rules"] = answer and (answer.get("Rules") or [])
        return found

    def _addressed(self, name):
        function = Function(function_name(name)[0])
        answer = self.ask("lambda.list-function-url-configs", function.label, FunctionName=function.name)
        function.urls = answer and (answer.get("FunctionUrlConfigs") or [])
        for url in function.urls or []:
            url["policy"] = None
            if url.get("AuthType") == "NONE":
                qualifier = function_name(url.get("FunctionArn"))[1]
                url["policy"] = self._policy(function.name, qualifier, function.label)
        return function

    def _domains(self):
        """The custom domains of the account's region, with their APIs."""
        answer = self.ask("apigateway.get-domain-names", "the account")
        for one in (answer or {}).get("items") or []:
            name = one.get("domainName", "")
            types = (one.get("endpointConfiguration") or {}).get("types") or []
            if "PRIVATE" in types:
                continue
            label = f"custom domain {name}"
            self._progress(label)
            if "EDGE" in types:
                mappings = self.ask("apigateway.get-base-path-mappings", label, domainName=name)
                ids = [mapping.get("restApiId", "") for mapping in (mappings or {}).get("items") or []]
            else:
                mappings = self.ask("apigatewayv2.get-api-mappings", label, DomainName=name)
                ids = [mapping.get("ApiId", "") for mapping in (mappings or {}).get("Items") or []]
            aliases = (name, one.get("regionalDomainName"), one.get("distributionDomainName"))
            mutual = bool((one.get("mutualTlsAuthentication") or {}).get("truststoreUri"))
            self.facts.domains.append(Domain(name, tuple(filter(None, aliases)), mutual, tuple(ids)))

    def _authorizer_functions(self, api, uris):
        for uri in uris:
            if arn := invoked(uri):
                api.functions[arn] = self._function(arn)

    def _stack(self, name, depth=0):
        """The resources of a stack and of the stacks nested in it; a stack of Gatehouse becomes a `System`."""
        self._progress(f"stack {name}")
        label = f"stack {name}"
        found = self._required("cloudformation.describe-stacks", label, "Stacks", StackName=name)
        if not found:
            return []
        detail = found[0]
        self.facts.account = self.facts.account or home(detail.get("StackId"))[1]
        answer = self.ask("cloudformation.list-stack-resources", label, StackName=name)
        resources = (answer or {}).get("StackResourceSummaries") or []
        outputs = {one.get("OutputKey"): one.get("OutputValue", "") for one in detail.get("Outputs") or []}
        if {"RevocationTableName", "AuthorizerArn"} <= outputs.keys():
            system = System(detail.get("StackName", name), self.facts.region, detail, outputs)
            system.resources = {one.get("LogicalResourceId", ""): one for one in resources}
            self.facts.systems.append(system)
            self._system(system, label)
        for one in resources:
            if one.get("ResourceType") == "AWS::CloudFormation::Stack" and depth < NESTED:
                resources = resources + self._stack(one.get("PhysicalResourceId", ""), depth + 1)
        return resources

    def _system(self, system, label):
        answer = self.ask("cloudformation.get-template", label, StackName=system.stack)
        template = document((answer or {}).get("TemplateBody"))
        if template:
            kept = template.get("Resources") or {}
            system.retained = {
                name for name, one in kept.items() if str(one.get("DeletionPolicy")).startswith("Retain")
            }
        by_type = {}
        for logical, one in system.resources.items():
            by_type.setdefault(one.get("ResourceType"), []).append((logical, one.get("PhysicalResourceId", "")))
        for logical, name in by_type.get("AWS::Lambda::Function", []):
            system.functions[logical] = self._function(name)
        for logical, name in by_type.get("AWS::DynamoDB::Table", []):
            system.tables[logical] = self._table(logical, name)
        for logical, url in by_type.get("AWS::SQS::Queue", []):
            answer = self.ask("sqs.get-queue-attributes", f"queue {logical}", QueueUrl=url)
            system.queues[logical] = answer and answer.get("Attributes")
            system.queues[logical] = {} if answer == {} else system.queues[logical]
        for logical, name in by_type.get("AWS::Events::Rule", []):
            system.rules[logical] = self._rule(logical, name)
        for logical, one in system.functions.items():
            if logical in CONSUMERS:
                answer = self.ask("lambda.list-event-source-mappings", f"function {logical}", FunctionName=one.name)
                system.mappings[logical] = answer and (answer.get("EventSourceMappings") or [])
        self._alarms(system, [name for _, name in by_type.get("AWS::CloudWatch::Alarm", [])], label)
        if topic := system.physical("SecurityTopic"):
            answer = self.ask("sns.list-subscriptions-by-topic", "topic SecurityTopic", TopicArn=topic)
            system.subscriptions = answer and (answer.get("Subscriptions") or [])
        if system.has("UserEventRule"):
            system.trails = self._trails(label)
        name, alias = function_name(system.outputs.get("AuthorizerArn", ""))
        if alias:
            system.alias = self.ask("lambda.get-alias", label, FunctionName=name, Name=alias)

    def _table(self, logical, name):
        label = f"table {logical}"
        answer = self.ask("dynamodb.describe-table", label, TableName=name)
        found = {"name": name, "table": answer and answer.get("Table", {}), "ttl": None, "backups": None}
        found["table"] = {} if answer == {} else found["table"]
        if found["table"]:
            answer = self.ask("dynamodb.describe-time-to-live", label, TableName=name)
            found["ttl"] = answer and answer.get("TimeToLiveDescription")
            answer = self.ask("dynamodb.describe-continuous-backups", label, TableName=name)
            found["backups"] = answer and answer.get("ContinuousBackupsDescription")
        return found

    def _rule(self, logical, name):
        label = f"rule {logical}"
        found = {"name": name, "rule": self.ask("events.describe-rule", label, Name=name), "targets": None}
        if found["rule"]:
            answer = self.ask("events.list-targets-by-rule", label, Rule=name)
            found["targets"] = answer and (answer.get("Targets") or [])
        return found

    def _alarms(self, system, names, label):
        system.alarms = []
        for start in range(0, len(names), ALARMS):
            some = names[start : start + ALARMS]
            answer = self.ask("cloudwatch.describe-alarms", label, AlarmNames=some)
            if answer is None:
                system.alarms = None
                return
            # A file may have all alarms of the account.
            found = (answer.get("MetricAlarms") or []) + (answer.get("CompositeAlarms") or [])
            system.alarms += [one for one in found if one.get("AlarmName") in some]

    def _trails(self, label):
        answer = self.ask("cloudtrail.describe-trails", label)
        if answer is None:
            return None
        found = []
        for trail in answer.get("trailList") or []:
            arn = trail.get("TrailARN") or trail.get("Name", "")
            label = f"trail {trail.get('Name')}"
            status = self.ask("cloudtrail.get-trail-status", label, Name=arn)
            selectors = self.ask("cloudtrail.get-event-selectors", label, TrailName=arn)
            found.append({"trail": trail, "status": status, "selectors": selectors})
        return found


# The functions that read queues and streams.
CONSUMERS = ("UserEventsFunction", "LogoutRetryFunction", "CloseConnectionsFunction")


def of_type(resources, kind):
    """The physical ids of the resources of one CloudFormation type."""
    # A resource that could not be created has no id.
    return [one.get("PhysicalResourceId") for one in resources if one.get("ResourceType") == kind]


def balancer_of(listener):
    """The ARN of a listener's load balancer."""
    return listener.replace(":listener/", ":loadbalancer/").rpartition("/")[0]


def account_of(arn):
    """The account in an ARN; empty if it has none."""
    return arn.split(":")[4] if arn.count(":") > 4 else ""


def unique(values):
    return list(dict.fromkeys(value for value in values if value))


def function_name(arn):
    """The function's name and the alias or version of its ARN; a name alone stays as it is."""
    parts = str(arn).split(":")
    if len(parts) < 7:
        return (parts[0], parts[1] if len(parts) == 2 else "")
    return parts[6], parts[7] if len(parts) > 7 else ""


def home(arn):
    """The region and account of an ARN; empty for a name."""
    parts = str(arn).split(":")
    return (parts[3], parts[4]) if len(parts) > 5 else ("", "")


def is_same(one, other):
    """Whether two ARNs, or names, are of the same function. A name is one of any account."""
    homes = {home(one), home(other)} - {("", "")}
    return function_name(one)[0] == function_name(other)[0] and len(homes) < 2


def invoked(uri):
    """The function's ARN in an authorizer's URI; empty for another kind of authorizer."""
    _, found, rest = str(uri or "").partition("/functions/")
    return rest.partition("/invocations")[0] if found else ""


def triggers(detail):
    """The function of each trigger of a user pool."""
    found = {}
    for name, value in (detail.get("LambdaConfig") or {}).items():
        if name == "KMSKeyID":
            continue
        arn = value.get("LambdaArn") if isinstance(value, dict) else value
        if arn:
            # PreTokenGeneration repeats the ARN of PreTokenGenerationConfig.
            found[name.removesuffix("Config")] = arn
    return found


def handed_out(roles):
    """Kind, ARN and the rules' claims of each role of GetIdentityPoolRoles; a role of several kinds once for each."""
    found = {(kind, arn): set() for kind, arn in (roles.get("Roles") or {}).items()}
    for mapping in (roles.get("RoleMappings") or {}).values():
        for rule in (mapping.get("RulesConfiguration") or {}).get("Rules") or []:
            found.setdefault(("mapped", rule.get("RoleARN", "")), set()).add(rule.get("Claim", ""))
    return [(kind, arn, tuple(sorted(claims))) for (kind, arn), claims in found.items() if arn]


def rest_methods(answer):
    """The methods of GetResources with their path."""
    found = []
    for resource in answer.get("items") or []:
        for verb, method in (resource.get("resourceMethods") or {}).items():
            found.append({"path": resource.get("path", ""), "verb": verb, **(method or {})})
    return sorted(found, key=lambda one: (one["path"], one["verb"]))
