"""What the audit knows of a set-up: AWS's own shapes, grouped by what belongs together.

A member that is None could not be read; `problems` says why, and becomes a finding. Checks skip it.
"""

import json
from dataclasses import dataclass, field

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
# Cognito's own values for an app client that does not set them (CreateUserPoolClient).
DEFAULT_FLOWS = ["ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"]
STANDARD_ATTRIBUTES = (
    "address birthdate email family_name gender given_name locale middle_name name nickname phone_number picture "
    "preferred_username profile updated_at website zoneinfo"
).split()


@dataclass
class Problem:
    """A call whose answer is missing, and what cannot be checked without it."""

    call: object
    subject: str
    kind: str
    reason: str


@dataclass
class Function:
    """A Lambda function. `configuration` and `policy` are None if unread, empty if absent."""

    name: str
    configuration: dict = None
    policy: dict = None
    # The alias or version that is invoked.
    qualifier: str = ""
    # The addresses of the function and of its aliases.
    urls: list = None

    @property
    def resource(self):
        return self.name

    @property
    def label(self):
        return f"function {self.name}"

    @property
    def values(self):
        return {"function": self.name}

    @property
    def variables(self):
        return ((self.configuration or {}).get("Environment") or {}).get("Variables") or {}

    @property
    def target(self):
        """The name with the alias or version, as the commands of Lambda accept it."""
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name


@dataclass
class Client:
    """An app client of a user pool."""

    pool: object
    detail: dict

    @property
    def id(self):
        return self.detail.get("ClientId", "")

    @property
    def name(self):
        return self.detail.get("ClientName", "")

    @property
    def resource(self):
        return f"{self.pool.id}/{self.id}"

    @property
    def label(self):
        return f"app client {self.name} ({self.id})" if self.name else f"app client {self.id}"

    @property
    def values(self):
        return self.pool.values | {"client": self.id, "client_name": self.name}

    @property
    def is_public(self):
        return not self.detail.get("ClientSecret")

    @property
    def flows(self):
        """The sign-in flows in effect, with Cognito's default for none."""
        return self.detail.get("ExplicitAuthFlows") or DEFAULT_FLOWS

    @property
    def grants(self):
        """The OAuth grants in effect."""
        return self.detail.get("AllowedOAuthFlows") or [] if self.detail.get("AllowedOAuthFlowsUserPoolClient") else []

    @property
    def is_machine_only(self):
        return self.grants == ["client_credentials"] and not signs_users_in(self.flows)

    @property
    def writable(self):
        """The attributes that a signed-in user can set."""
        return self.detail.get("WriteAttributes") or STANDARD_ATTRIBUTES

    def seconds(self, token):
        """The lifetime of AccessToken, IdToken or RefreshToken."""
        unit, default = ("days", 30) if token == "RefreshToken" else ("hours", 1)
        unit = (self.detail.get("TokenValidityUnits") or {}).get(token) or unit
        return int(self.detail.get(f"{token}Validity") or default) * UNITS[unit]


@dataclass
class Provider:
    """An identity provider of a user pool."""

    pool: object
    detail: dict

    @property
    def name(self):
        return self.detail.get("ProviderName", "")

    @property
    def resource(self):
        return f"{self.pool.id}/{self.name}"

    @property
    def label(self):
        return f"identity provider {self.name}"

    @property
    def values(self):
        return self.pool.values | {"provider": self.name}

    @property
    def mapping(self):
        return self.detail.get("AttributeMapping") or {}

    @property
    def settings(self):
        return self.detail.get("ProviderDetails") or {}


@dataclass
class Pool:
    """A user pool with its app clients, providers and triggers."""

    id: str
    region: str
    detail: dict = None
    mfa: dict = None
    risk: dict = None
    web_acl: dict = None
    clients: list = None
    client_ids: list = None
    providers: list = None
    # The names of all providers, also of those that could not be read.
    provider_names: list = None
    triggers: dict = field(default_factory=dict)
    # Whether a stack keeps the pool when it is deleted; None if no stack of the audit has it.
    is_retained: bool = None

    @property
    def resource(self):
        return self.id

    @property
    def label(self):
        name = (self.detail or {}).get("Name")
        return f"user pool {name} ({self.id})" if name else f"user pool {self.id}"

    @property
    def values(self):
        return {"pool": self.id, "region": self.region}

    @property
    def sign_up_is_open(self):
        return not (self.detail.get("AdminCreateUserConfig") or {}).get("AllowAdminCreateUserOnly", False)

    @property
    def sign_in_attributes(self):
        """The attributes that are used as user names."""
        return {*(self.detail.get("UsernameAttributes") or []), *(self.detail.get("AliasAttributes") or [])}

    @property
    def verified_before_update(self):
        settings = self.detail.get("UserAttributeUpdateSettings") or {}
        return set(settings.get("AttributesRequireVerificationBeforeUpdate") or [])


@dataclass
class Role:
    """An IAM role that an identity pool hands out. `policies` are documents by name."""

    arn: str
    kind: str
    detail: dict = None
    policies: dict = None
    # The claims of the rules that lead to this role.
    claims: tuple = ()


@dataclass
class IdentityPool:
    """An identity pool with the roles that it hands out."""

    id: str
    region: str
    detail: dict = None
    roles: dict = None
    tags: dict = field(default_factory=dict)
    known_roles: list = field(default_factory=list)

    @property
    def resource(self):
        return self.id

    @property
    def label(self):
        name = (self.detail or {}).get("IdentityPoolName")
        return f"identity pool {name} ({self.id})" if name else f"identity pool {self.id}"

    @property
    def values(self):
        return {"identity_pool": self.id, "region": self.region}

    @property
    def pool_clients(self):
        """The user pools and app clients whose tokens it accepts."""
        found = []
        for provider in (self.detail or {}).get("CognitoIdentityProviders") or []:
            pool = str(provider.get("ProviderName", "")).partition("/")[2]
            found.append((pool, provider.get("ClientId", ""), provider.get("ServerSideTokenCheck", False)))
        return found


@dataclass
class Api:
    """A REST API (`kind` is rest) or an API of API Gateway v2 (http or websocket)."""

    id: str
    kind: str
    region: str
    detail: dict = None
    methods: list = None
    authorizers: list = None
    stages: list = None
    gateway_responses: list = None
    # By function ARN, for the authorizers that are functions.
    functions: dict = field(default_factory=dict)

    @property
    def resource(self):
        return self.id

    @property
    def label(self):
        kind = {"rest": "REST API", "http": "HTTP API", "websocket": "WebSocket API"}[self.kind]
        name = (self.detail or {}).get("name") or (self.detail or {}).get("Name")
        return f"{kind} {name} ({self.id})" if name else f"{kind} {self.id}"

    @property
    def values(self):
        return {"api": self.id, "region": self.region}


@dataclass
class Domain:
    """A custom domain with the ids of its APIs. `names` are its own and those that AWS gave it."""

    name: str
    names: tuple
    is_mutual: bool
    apis: tuple = ()


@dataclass
class GraphqlApi:
    """An API of AppSync. `keys` are its API keys, without the keys themselves."""

    id: str
    region: str
    detail: dict = None
    keys: list = None

    @property
    def resource(self):
        return self.id

    @property
    def label(self):
        name = (self.detail or {}).get("name")
        return f"GraphQL API {name} ({self.id})" if name else f"GraphQL API {self.id}"

    @property
    def values(self):
        return {"api": self.id, "region": self.region}

    @property
    def modes(self):
        """Each authorization mode with its settings, the default mode first."""
        parts = {
            "AMAZON_COGNITO_USER_POOLS": "userPoolConfig",
            "AWS_LAMBDA": "lambdaAuthorizerConfig",
            "OPENID_CONNECT": "openIDConnectConfig",
        }
        found = [self.detail, *(self.detail.get("additionalAuthenticationProviders") or [])]
        modes = [(one.get("authenticationType", ""), one) for one in found]
        return [(mode, one.get(parts.get(mode)) or {}) for mode, one in modes]


@dataclass
class Balancer:
    """An application load balancer. Each listener has its rules as `rules`; None if they could not be read."""

    arn: str
    region: str
    listeners: list = None

    @property
    def resource(self):
        return self.arn.partition(":loadbalancer/")[2] or self.arn

    @property
    def label(self):
        return f"load balancer {self.resource}"

    @property
    def values(self):
        return {"balancer": self.arn, "region": self.region}

    @property
    def rules(self):
        """Listener and rule, for every rule; the default actions stand for rules that could not be read."""
        for listener in self.listeners or []:
            default = {"IsDefault": True, "Actions": listener.get("DefaultActions") or []}
            for rule in [default] if listener.get("rules") is None else listener["rules"]:
                yield listener, rule


@dataclass
class System:
    """A deployed stack of Gatehouse."""

    stack: str
    region: str
    detail: dict
    outputs: dict
    # By logical id.
    resources: dict = field(default_factory=dict)
    retained: set = None
    functions: dict = field(default_factory=dict)
    tables: dict = field(default_factory=dict)
    queues: dict = field(default_factory=dict)
    rules: dict = field(default_factory=dict)
    mappings: dict = field(default_factory=dict)
    alarms: list = None
    subscriptions: list = None
    trails: list = None
    alias: dict = None

    @property
    def resource(self):
        return self.stack

    @property
    def label(self):
        return f"stack {self.stack}"

    @property
    def values(self):
        return {"stack": self.stack, "region": self.region}

    @property
    def parameters(self):
        found = self.detail.get("Parameters") or []
        return {one.get("ParameterKey"): one.get("ParameterValue", "") for one in found}

    def has(self, logical):
        return logical in self.resources

    def physical(self, logical):
        return (self.resources.get(logical) or {}).get("PhysicalResourceId", "")

    def variable(self, function, name):
        """A variable of one of the stack's functions; empty if unset or unread."""
        found = self.functions.get(function)
        return found.variables.get(name, "") if found else ""


@dataclass
class Facts:
    """Everything that was read."""

    region: str = ""
    account: str = ""
    pools: list = field(default_factory=list)
    identity_pools: list = field(default_factory=list)
    apis: list = field(default_factory=list)
    systems: list = field(default_factory=list)
    graphql_apis: list = field(default_factory=list)
    balancers: list = field(default_factory=list)
    # The functions of the stacks, for their addresses.
    addressed: list = field(default_factory=list)
    domains: list = field(default_factory=list)
    distributions: list = None
    problems: list = field(default_factory=list)
    # What the operator says: attributes that applications trust, hosts of the application, authorizers.
    trusted: tuple = ()
    hosts: tuple = ()
    authorizers: tuple = ()

    def pool(self, pool_id):
        """The user pool of this id, if it was read."""
        return next((pool for pool in self.pools if pool.id == pool_id and pool.detail), None)

    def domains_of(self, api):
        """The custom domains of an API."""
        return [domain for domain in self.domains if api.id in domain.apis]

    def system_of(self, pool):
        """The stack that has this user pool."""
        return next((one for one in self.systems if one.outputs.get("UserPoolId") == pool.id), None)

    @property
    def clients(self):
        return [client for pool in self.pools for client in pool.clients or []]

    @property
    def providers(self):
        return [provider for pool in self.pools for provider in pool.providers or []]

    def written_by_users(self, pool_id, client_id=""):
        """The attributes of a pool that users of any client, or of this client, can set; None if unknown."""
        pool = self.pool(pool_id)
        if pool is None or pool.clients is None:
            return None
        # A token of another client changes the same user.
        return {name for client in pool.clients if not client.is_machine_only for name in client.writable}


def signs_users_in(flows):
    """Whether a list of sign-in flows contains more than the refresh."""
    return any(flow not in ("ALLOW_REFRESH_TOKEN_AUTH",) for flow in flows)


def document(text):
    """A policy document as a dict: from a dict, from JSON, or from JSON with escaped quotes as API Gateway has it."""
    if isinstance(text, dict):
        return text
    for candidate in (text, f'"{text}"'):
        try:
            found = json.loads(candidate)
            found = json.loads(found) if isinstance(found, str) else found
        except (TypeError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return None


def services(statement):
    """The services in a statement's principal; `*` if it is everyone."""
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        return set(listed(principal)) & {"*"}
    return set(listed(principal.get("Service"))) | (set(listed(principal.get("AWS"))) & {"*"})


def source_arns(statement):
    """The source ARNs that a statement is limited to; `*` if it is not."""
    found = []
    for operator, members in (statement.get("Condition") or {}).items():
        if operator.lower() in ("arnlike", "arnequals", "stringequals", "stringlike"):
            found += [arn for key, value in members.items() if key.lower() == "aws:sourcearn" for arn in listed(value)]
    return found or ["*"]


def listed(value):
    """A member of a policy that may be one value or a list, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


# Words in the name of a custom attribute that say what a user may do or belongs to.
TRUST = (
    "access account admin allow approved auth claim company customer employee entitle flag group internal is_ level "
    "limit manager member org owner paid partner permission plan policy premium priv quota rank role scope staff "
    "status subscription superuser team tenant tier verified workspace"
).split()


def sounds_trusted(attribute):
    """Whether a custom attribute's name suggests that applications decide by it."""
    name = attribute.partition(":")[2].lower()
    return any(word in name for word in TRUST)
