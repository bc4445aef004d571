"""Checks of a user pool's identity providers."""

import re

from gatehouse_operate.audit.facts import sounds_trusted
from gatehouse_operate.audit.finding import HIGH, INFO, LOW, MEDIUM, Hit, subjects_of

check = subjects_of(lambda facts: facts.providers)
pools = subjects_of(lambda facts: [pool for pool in facts.pools if pool.detail and pool.clients is not None])
MAP = (
    "aws cognito-idp update-identity-provider --user-pool-id {pool} --provider-name {provider} "
    "--attribute-mapping <all mappings but this one>"
)
SETTING = (
    "aws cognito-idp update-identity-provider --user-pool-id {pool} --provider-name {provider} "
    "--provider-details <all details with the change>"
)
# Tenants of Entra ID that accept users of any organisation.
ANY_TENANT = re.compile(r"login\.microsoftonline\.com/(common|organizations|consumers)\b", re.IGNORECASE)
# Providers that verify an address themselves before they call it verified.
VERIFY = {"Google", "SignInWithApple"}


@check(
    "federation-any-tenant",
    HIGH,
    "A provider accepts users of any organisation",
    why="An administrator of any tenant of Entra ID writes an arbitrary address into the email claim (nOAuth).",
    sources=("noauth",),
    mend=SETTING + "  # oidc_issuer=https://login.microsoftonline.com/<tenant id>/v2.0",
    breaks="Users of other tenants cannot sign in any more.",
)
def any_tenant(provider, _):
    for name in ("oidc_issuer", "authorize_url", "token_url", "MetadataURL"):
        if ANY_TENANT.search(str(provider.settings.get(name, ""))):
            yield f"{name} is {provider.settings[name]}."
            return


@check(
    "federation-email-verified",
    MEDIUM,
    "A provider decides that an address is verified",
    why="The pool takes the provider's claim as its own: an application that matches accounts by verified address "
    "hands an account to each user whom the provider believes.",
    sources=("aws-mapping", "noauth"),
    mend=MAP,
    breaks="Federated users count as unverified until they confirm the address.",
)
def email_verified(provider, _):
    trusted = [name for name in ("email_verified", "phone_number_verified") if name in provider.mapping]
    if trusted and provider.detail.get("ProviderType") not in VERIFY:
        severity = HIGH if provider.detail.get("ProviderType") == "SAML" else None
        yield Hit(f"{trusted[0]} is taken from the claim {provider.mapping[trusted[0]]}.", severity)


@check(
    "federation-overwrites-trusted",
    HIGH,
    "A provider overwrites an attribute that applications trust",
    why="Cognito writes mapped attributes at every sign-in, so an edited profile at the provider sets it here.",
    sources=("aws-mapping",),
    mend=MAP,
    breaks="The attribute keeps its last value; set it by AdminUpdateUserAttributes.",
)
def overwrites_trusted(provider, facts):
    for attribute, claim in sorted(provider.mapping.items()):
        if attribute in facts.trusted or (attribute.startswith("custom:") and sounds_trusted(attribute)):
            yield Hit(f"{attribute} is written from the claim {claim}.", part=attribute)
        elif attribute.startswith("custom:"):
            yield Hit(f"{attribute} is written from the claim {claim}.", LOW, part=attribute)


@check(
    "federation-plain-http",
    HIGH,
    "A provider is reached without TLS",
    why="An attacker on the network can answer for the provider.",
    sources=("rfc9700",),
    mend=SETTING,
    breaks="Nothing, if the provider has https.",
)
def plain_http(provider, _):
    for name, value in sorted(provider.settings.items()):
        if isinstance(value, str) and value.lower().startswith("http://") and not name.startswith("attribute"):
            yield Hit(f"{name} is {value}.", part=name)


@check(
    "federation-saml-idp-initiated",
    MEDIUM,
    "The SAML provider may start a sign-in",
    why="Such a response belongs to no request of the user's browser, so a page can sign a victim in as the attacker.",
    sources=("aws-saml",),
    mend=SETTING + "  # IDPInit=false",
    breaks="Tiles of the provider's portal that start the application stop working.",
)
def saml_idp_initiated(provider, _):
    if str(provider.settings.get("IDPInit", "false")).lower() == "true":
        yield "IDPInit is true."


@check(
    "federation-saml-unsigned",
    INFO,
    "SAML requests are not signed",
    why="The provider cannot tell the pool's requests from others'. Responses are always verified.",
    sources=("aws-saml-signing",),
    mend=SETTING + "  # RequestSigningAlgorithm=rsa-sha256",
    breaks="The provider needs the pool's signing certificate.",
)
def saml_unsigned(provider, _):
    if provider.detail.get("ProviderType") == "SAML" and not provider.settings.get("RequestSigningAlgorithm"):
        yield "RequestSigningAlgorithm is not set."


@pools(
    "federation-provider-missing",
    MEDIUM,
    "An app client names a provider that does not exist",
    why="Its sign-in page offers a way that fails, and a provider created later under the name is trusted at once.",
    sources=("aws-client",),
    mend="aws cognito-idp list-identity-providers --user-pool-id {pool}",
    breaks="Nothing.",
)
def provider_missing(pool, _):
    if pool.provider_names is None:
        return
    known = {"COGNITO", *pool.provider_names}
    for client in pool.clients:
        for name in sorted(set(client.detail.get("SupportedIdentityProviders") or []) - known):
            yield Hit(f"{client.name} names {name}.", resource=client.resource, label=client.label, part=name)


@check(
    "federation-provider-unused",
    INFO,
    "No app client offers the provider",
    why="What is not used is not watched; its secret stays valid at the provider.",
    sources=("aws-client",),
    mend="aws cognito-idp delete-identity-provider --user-pool-id {pool} --provider-name {provider}",
    breaks="Users who signed in through it lose that way.",
)
def provider_unused(provider, _):
    clients = provider.pool.clients
    if clients is None:
        return
    if not any(provider.name in (client.detail.get("SupportedIdentityProviders") or []) for client in clients):
        yield "No app client lists it."
