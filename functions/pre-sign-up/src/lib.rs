//! Cognito's PreSignUp trigger: decides who may sign up, and links federated identities to
//! accounts.
//!
//! The trigger cannot change an address, so it rejects one that is not in its normal form. It
//! neither confirms users nor verifies addresses: that is what the code in the email is for.
//! Source: AWS, "Pre sign-up Lambda trigger".

mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auth::Unavailable;
use auth_cognito::{CognitoUsers, Profile, UserPoolError};
use aws_types::SdkConfig;
use migrate_user::Lookup;
use runtime::log::{self, Level};
use runtime::{Handler, InvocationError, TriggerEvent};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use usernames::{AddressError, check_email, check_name, check_shown_name, spellings};

pub use config::Config;

/// The message of every refusal, independent of its reason. auth-api recognizes a refusal by this
/// text.
const REFUSAL: &str = "sign-up refused";
/// The message for a name of the old store. auth-api answers as if the pool knew the name, and that
/// is the same answer as for a new one.
const KNOWN: &str = "already known";
/// The total budget, within the five seconds that Cognito allows.
const BUDGET: Duration = Duration::from_millis(3_500);
/// The attribute that Google's `hd` claim must be mapped to.
const HOSTED_DOMAIN: &str = "custom:hd";

/// The function.
pub struct PreSignUp {
    config: Config,
    legacy: Option<Lookup>,
    sdk: SdkConfig,
}

/// Why a sign-up is refused, or could not be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignUpError {
    Refused(&'static str),
    /// The name belongs to a user who is not migrated yet.
    Known,
    Failed(&'static str),
}

impl From<AddressError> for SignUpError {
    fn from(fault: AddressError) -> Self {
        Self::Refused(match fault {
            AddressError::Malformed => "malformed",
            AddressError::LookAlike => "look_alike",
        })
    }
}

impl From<UserPoolError> for SignUpError {
    fn from(error: UserPoolError) -> Self {
        Self::Failed(Unavailable::from(error).as_str())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    user_attributes: BTreeMap<String, Value>,
}

impl Request {
    fn text(&self, name: &str) -> Option<&str> {
        let value = self.user_attributes.get(name).and_then(Value::as_str);
        value.filter(|text| !text.is_empty())
    }

    /// Whether the provider, or Cognito, has verified the address. Providers send booleans as text.
    fn email_is_verified(&self) -> bool {
        self.is("email_verified")
    }

    /// Whether Cognito creates this user itself: no client may write these attributes.
    fn is_verified(&self) -> bool {
        self.is("email_verified") || self.is("phone_number_verified")
    }

    fn is(&self, name: &str) -> bool {
        match self.user_attributes.get(name) {
            Some(Value::Bool(verified)) => *verified,
            Some(value) => value.as_str() == Some("true"),
            None => false,
        }
    }

    /// All names that the user could sign in with.
    fn names<'a>(&'a self, user_name: &'a str) -> BTreeSet<&'a str> {
        let aliases = ["email", "phone_number", "preferred_username"];
        let aliases = aliases.into_iter().filter_map(|name| self.text(name));
        // Where names are addresses, Cognito generates a UUID as the user's name.
        let name = Some(user_name).filter(|name| !name.is_empty() && !is_uuid(name));
        aliases.chain(name).collect()
    }
}

impl PreSignUp {
    /// Creates the clients, including those of the old store.
    ///
    /// # Errors
    /// [`Unavailable::Legacy`] if the old store's secret is invalid or cannot be read.
    pub async fn connect(mut config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let legacy = match config.legacy.take() {
            Some(legacy) => Some(Lookup::connect(legacy, &sdk).await?),
            None => None,
        };
        Ok(Self::new(sdk, config, legacy))
    }

    /// The function over the services that `sdk` leads to, and over the old store.
    #[must_use]
    pub fn new(sdk: SdkConfig, config: Config, legacy: Option<Lookup>) -> Self {
        Self {
            config,
            legacy,
            sdk,
        }
    }

    /// The log's word for a sign-up that may proceed.
    async fn admit(&self, event: &TriggerEvent<'_>) -> Result<&'static str, SignUpError> {
        let source = event.text("triggerSource");
        let source = source.ok_or(SignUpError::Failed("no_trigger_event"))?;
        let request = event.member("request").map(RawValue::get);
        let request: Option<Request> = request.and_then(|json| serde_json::from_str(json).ok());
        let request = request.ok_or(SignUpError::Failed("incomplete_event"))?;
        let name = event.text("userName").unwrap_or_default();
        let pool = event.text("userPoolId").filter(|pool| !pool.is_empty());
        let pool = pool.ok_or(SignUpError::Failed("incomplete_event"))?;

        match &*source {
            "PreSignUp_SignUp" => {
                self.look_at(&request)?;
                self.check_names(&pool, &name, &request).await?;
                if self.config.guards {
                    self.check_domain(&request, true)?;
                }
                // The old store is asked last, because its answer is worth guessing at. A verified
                // address comes from a migration: a client cannot sign up with one.
                if !request.is_verified() && self.old_store_knows(&name, &request).await? {
                    return Err(SignUpError::Known);
                }
                Ok("admitted")
            }
            // The name is the provider's.
            "PreSignUp_ExternalProvider" => {
                self.look_at(&request)?;
                if self.config.guards {
                    self.check_domain(&request, request.email_is_verified())?;
                }
                self.link(&pool, &name, &request).await
            }
            // Cognito is reported to call this trigger for migrated users too, and AWS does not
            // document under which source. Users of the old store pass unchecked.
            _ if matches!(self.old_store_knows(&name, &request).await, Ok(true)) => Ok("moved"),
            // An administrator may invite users of any domain.
            "PreSignUp_AdminCreateUser" => {
                self.look_at(&request)?;
                self.check_names(&pool, &name, &request).await?;
                Ok("admitted")
            }
            _ => Err(SignUpError::Failed("unknown_source")),
        }
    }

    fn look_at(&self, request: &Request) -> Result<(), SignUpError> {
        if !self.config.guards {
            return Ok(());
        }
        if let Some(email) = request.text("email") {
            check_email(email)?;
        }
        if let Some(name) = request.text("preferred_username") {
            check_shown_name(name)?;
        }
        Ok(())
    }

    async fn check_names(
        &self,
        pool: &str,
        name: &str,
        request: &Request,
    ) -> Result<(), SignUpError> {
        if !self.config.guards {
            return Ok(());
        }
        check_user_name(name)?;
        self.check_twins(pool, name, request.text("email")).await
    }

    /// Whether one of these names belongs to a user who is not migrated yet. A stranger who signs
    /// up with such a name would lock its owner out: Cognito does not migrate a user that the pool
    /// already has.
    /// Source: aws-amplify/amplify-js#5081.
    async fn old_store_knows(&self, name: &str, request: &Request) -> Result<bool, SignUpError> {
        let Some(legacy) = &self.legacy else {
            return Ok(false);
        };
        for name in request.names(name) {
            let known = legacy.knows(name).await;
            if known.map_err(|unavailable| SignUpError::Failed(unavailable.as_str()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks the domain of the address. An address that the provider has not verified is of no
    /// allowed domain; an address that was typed in gets a code.
    fn check_domain(&self, request: &Request, counts: bool) -> Result<(), SignUpError> {
        let email = request.text("email");
        let (allowed, denied) = (&self.config.allowed, &self.config.denied);
        if email.is_some_and(|email| denied.contain(email)) {
            return Err(SignUpError::Refused("domain_denied"));
        }
        if !allowed.is_empty() && !email.is_some_and(|email| counts && allowed.contain(email)) {
            return Err(SignUpError::Refused("domain_not_allowed"));
        }
        Ok(())
    }

    /// In a case-sensitive pool: rejects a name that differs from an existing one only in case.
    async fn check_twins(
        &self,
        pool: &str,
        name: &str,
        email: Option<&str>,
    ) -> Result<(), SignUpError> {
        if !self.config.case_sensitive {
            return Ok(());
        }
        let users = CognitoUsers::new(&self.sdk, pool.to_owned());
        // A user name may be an address too, so it is looked up as both.
        let typed = [("username", Some(name)), ("email", email)];
        for (attribute, typed) in typed {
            let Some(typed) = typed else { continue };
            let lower = typed.to_lowercase();
            if lower != typed {
                return Err(SignUpError::Refused("not_lower_case"));
            }
            for spelling in spellings(typed, &lower) {
                if !users.find(attribute, &spelling).await?.is_empty() {
                    return Err(SignUpError::Refused("case_twin"));
                }
            }
        }
        Ok(())
    }

    /// Links a federated identity to the account of its address, if both sides have verified the
    /// address. An unconfirmed account is not linked: a stranger may have created it as a trap.
    /// Source: AWS, "Linking federated users to an existing user profile".
    async fn link(
        &self,
        pool: &str,
        name: &str,
        request: &Request,
    ) -> Result<&'static str, SignUpError> {
        let Some((provider, subject)) = self.provider_of(name) else {
            return Ok("admitted");
        };
        let Some(email) = request
            .text("email")
            .filter(|_| request.email_is_verified())
        else {
            return Ok("not_vouched_for");
        };
        let hosted = request.text(HOSTED_DOMAIN);
        if !self.config.link_providers.decides(provider, email, hosted) {
            return Ok("not_its_domain");
        }
        let users = CognitoUsers::new(&self.sdk, pool.to_owned());
        let mut accounts: BTreeMap<String, Profile> = BTreeMap::new();
        // As it came, and in lower case if that differs.
        let lower = email.to_lowercase();
        let spellings = std::iter::once(email).chain((email != lower).then_some(lower.as_str()));
        for spelling in spellings {
            let found = users.find("email", spelling).await?;
            let own = found.into_iter().filter(Profile::is_proven);
            accounts.extend(own.map(|user| (user.username.clone(), user)));
        }
        let mut accounts = accounts.into_values();
        match (accounts.next(), accounts.next()) {
            (None, _) => Ok("admitted"),
            (Some(_), Some(_)) => Err(SignUpError::Refused("ambiguous_account")),
            (Some(account), None) if !account.enabled => {
                Err(SignUpError::Refused("disabled_account"))
            }
            (Some(account), None) => {
                // Cognito asks federated users for no second factor.
                if users.standing(&account.username).await?.has_second_factor {
                    return Err(SignUpError::Refused("second_factor"));
                }
                users.link(&account.username, provider, subject).await?;
                Ok("linked")
            }
        }
    }

    /// The trusted provider, by its name in the configuration, and the user's id there. Cognito
    /// writes `<provider>_<id>`, in lower case if the pool is case-insensitive.
    fn provider_of<'n>(&self, name: &'n str) -> Option<(&str, &'n str)> {
        let providers = self.config.link_providers.names();
        let matching = providers.filter_map(|provider| {
            let (prefix, rest) = name.split_at_checked(provider.len())?;
            let id = rest.strip_prefix('_')?;
            let same = prefix.eq_ignore_ascii_case(provider) && !id.is_empty();
            same.then_some((provider, id))
        });
        matching.max_by_key(|(provider, _)| provider.len())
    }
}

fn is_uuid(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.split('-').all(digits)
}

fn check_user_name(name: &str) -> Result<(), AddressError> {
    if name.contains('@') {
        check_email(name)
    } else {
        check_name(name)
    }
}

impl Handler for PreSignUp {
    type Answer = Box<RawValue>;

    async fn handle(
        &self,
        json: &RawValue,
        request_id: &str,
    ) -> Result<Box<RawValue>, InvocationError> {
        let event = TriggerEvent::read(json);
        let result = tokio::time::timeout(BUDGET, self.admit(&event)).await;
        let result = result.unwrap_or(Err(SignUpError::Failed("time_is_up")));
        let (level, outcome) = match result {
            Ok(outcome) => (Level::Info, outcome),
            Err(SignUpError::Refused(outcome)) => (Level::Warn, outcome),
            Err(SignUpError::Known) => (Level::Warn, "still_to_be_moved"),
            Err(SignUpError::Failed(outcome)) => (Level::Error, outcome),
        };
        if level <= self.config.log_level {
            log::outcome(level, "pre sign-up", "SignUps", outcome, request_id);
        }
        match result {
            Ok(_) => Ok(json.to_owned()),
            Err(SignUpError::Refused(_)) => Err(InvocationError::Refused(REFUSAL)),
            Err(SignUpError::Known) => Err(InvocationError::Refused(KNOWN)),
            Err(SignUpError::Failed(_)) => Err(InvocationError::Internal),
        }
    }
}
