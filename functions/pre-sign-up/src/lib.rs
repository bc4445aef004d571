//! Cognito's PreSignUp trigger: who may sign up, and whose account a federated identity belongs to.
//!
//! The trigger can't change an address, so what is not in its normal form is refused. It confirms
//! and verifies nobody: that is what the code in the mail is for.
//! Source: AWS, "Pre sign-up Lambda trigger".

mod config;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use addresses::{Fault, check_email, check_name, check_shown_name};
use auth::{Unavailable, spellings};
use auth_cognito::{CognitoUsers, Profile, Trouble};
use aws_types::SdkConfig;
use lambda::log::{self, Level};
use lambda::{Failure, Handler, TriggerEvent};
use migrate_user::Lookup;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use config::Config;

/// What Cognito shows to whoever is refused, the same for every reason. auth-api knows it by this.
const REFUSAL: &str = "sign-up refused";
/// What it shows to whoever signs up with a name of the old store: auth-api answers as if the pool
/// knew the name, which to everybody is the answer for a new one.
const KNOWN: &str = "already known";
/// Everything, in the five seconds that Cognito gives.
const BUDGET: Duration = Duration::from_millis(3_500);
/// The attribute that Google's `hd` claim has to be mapped to, to count.
const HOSTED_DOMAIN: &str = "custom:hd";

/// The function.
pub struct PreSignUp {
    config: Config,
    legacy: Option<Lookup>,
    sdk: SdkConfig,
}

/// Why somebody may not sign up, or why that could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trap {
    Refused(&'static str),
    /// The name is that of somebody who is still to be moved.
    Known,
    Failed(&'static str),
}

impl From<Fault> for Trap {
    fn from(fault: Fault) -> Self {
        Self::Refused(match fault {
            Fault::Malformed => "malformed",
            Fault::LookAlike => "look_alike",
        })
    }
}

impl From<Trouble> for Trap {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(Unavailable::from(trouble).as_str())
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

    /// Whether somebody vouches for the address. Providers' booleans come as text.
    fn email_is_verified(&self) -> bool {
        self.is("email_verified")
    }

    /// Whether Cognito makes this user by itself: no client may write these attributes.
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

    /// All that somebody could sign in by.
    fn names<'a>(&'a self, user_name: &'a str) -> BTreeSet<&'a str> {
        let aliases = ["email", "phone_number", "preferred_username"];
        let aliases = aliases.into_iter().filter_map(|name| self.text(name));
        // Where names are addresses, Cognito makes up a UUID as the user's name.
        let name = Some(user_name).filter(|name| !name.is_empty() && !is_uuid(name));
        aliases.chain(name).collect()
    }
}

impl PreSignUp {
    /// Makes the clients, and those of the old store.
    ///
    /// # Errors
    /// [`Unavailable::Legacy`] if the old store's secret is none, or can't be read.
    pub async fn connect(mut config: Config) -> Result<Self, Unavailable> {
        let sdk = aws_config::load_from_env().await;
        let legacy = match config.legacy.take() {
            Some(legacy) => Some(Lookup::connect(legacy, &sdk).await?),
            None => None,
        };
        Ok(Self {
            config,
            legacy,
            sdk,
        })
    }

    /// What was done about a sign-up that may go on.
    async fn admit(&self, event: &TriggerEvent<'_>) -> Result<&'static str, Trap> {
        let source = event.text("triggerSource");
        let source = source.ok_or(Trap::Failed("no_trigger_event"))?;
        let request = event.member("request").map(RawValue::get);
        let request: Option<Request> = request.and_then(|json| serde_json::from_str(json).ok());
        let request = request.ok_or(Trap::Failed("incomplete_event"))?;
        let name = event.text("userName").unwrap_or_default();
        let pool = event.text("userPoolId").filter(|pool| !pool.is_empty());
        let pool = pool.ok_or(Trap::Failed("incomplete_event"))?;

        match &*source {
            "PreSignUp_SignUp" => {
                self.look_at(&request)?;
                self.check_names(&pool, &name, &request).await?;
                if self.config.guards {
                    self.check_domain(&request, true)?;
                }
                // After all that refuses without the old store: what that knows is worth guessing.
                // A verified address comes from a move: nobody signs up with one.
                if !request.is_verified() && self.old_store_knows(&name, &request).await? {
                    return Err(Trap::Known);
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
            // Cognito is reported to call this trigger for users who are moved, too, and AWS does not
            // say under which source. Whoever the old store knows passes as they are.
            _ if matches!(self.old_store_knows(&name, &request).await, Ok(true)) => Ok("moved"),
            // An administrator may invite whomever.
            "PreSignUp_AdminCreateUser" => {
                self.look_at(&request)?;
                self.check_names(&pool, &name, &request).await?;
                Ok("admitted")
            }
            _ => Err(Trap::Failed("unknown_source")),
        }
    }

    fn look_at(&self, request: &Request) -> Result<(), Trap> {
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

    async fn check_names(&self, pool: &str, name: &str, request: &Request) -> Result<(), Trap> {
        if !self.config.guards {
            return Ok(());
        }
        check_user_name(name)?;
        self.check_twins(pool, name, request.text("email")).await
    }

    /// Whether somebody of one of these names is still to be moved. Whoever signed up with it first
    /// would keep its owner out: Cognito moves nobody whom the pool knows.
    /// Source: aws-amplify/amplify-js#5081.
    async fn old_store_knows(&self, name: &str, request: &Request) -> Result<bool, Trap> {
        let Some(legacy) = &self.legacy else {
            return Ok(false);
        };
        for name in request.names(name) {
            let known = legacy.knows(name).await;
            if known.map_err(|unavailable| Trap::Failed(unavailable.as_str()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the address is of a domain that may sign up. An address for which a provider doesn't
    /// vouch is of none; one that is typed in gets a code.
    fn check_domain(&self, request: &Request, counts: bool) -> Result<(), Trap> {
        let email = request.text("email");
        let (allowed, denied) = (&self.config.allowed, &self.config.denied);
        if email.is_some_and(|email| denied.contain(email)) {
            return Err(Trap::Refused("domain_denied"));
        }
        if !allowed.is_empty() && !email.is_some_and(|email| counts && allowed.contain(email)) {
            return Err(Trap::Refused("domain_not_allowed"));
        }
        Ok(())
    }

    /// In a pool that tells cases apart: nobody signs up as somebody who is there in another case.
    async fn check_twins(&self, pool: &str, name: &str, email: Option<&str>) -> Result<(), Trap> {
        if !self.config.case_sensitive {
            return Ok(());
        }
        let users = CognitoUsers::new(&self.sdk, pool.to_owned());
        // A user name may be an address too: it is looked for as both.
        let typed = [("username", Some(name)), ("email", email)];
        for (attribute, typed) in typed {
            let Some(typed) = typed else { continue };
            let lower = typed.to_lowercase();
            if lower != typed {
                return Err(Trap::Refused("not_lower_case"));
            }
            for spelling in spellings(typed, &lower) {
                if !users.find(attribute, &spelling).await?.is_empty() {
                    return Err(Trap::Refused("case_twin"));
                }
            }
        }
        Ok(())
    }

    /// Makes a federated identity one more way into the account of its address, if both sides have
    /// proved that the address is theirs. An account that nobody confirmed may be a trap that somebody
    /// else has set up.
    /// Source: AWS, "Linking federated users to an existing user profile".
    async fn link(&self, pool: &str, name: &str, request: &Request) -> Result<&'static str, Trap> {
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
        // As it came, and in lower case if that is another.
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
            (Some(_), Some(_)) => Err(Trap::Refused("ambiguous_account")),
            (Some(account), None) if !account.enabled => Err(Trap::Refused("disabled_account")),
            (Some(account), None) => {
                // Cognito asks a provider's users for no second factor.
                if users.standing(&account.username).await?.has_second_factor {
                    return Err(Trap::Refused("second_factor"));
                }
                users.link(&account.username, provider, subject).await?;
                Ok("linked")
            }
        }
    }

    /// The provider whose word is taken, by its name in the configuration, and the user's id there.
    /// Cognito writes `<provider>_<id>`, in lower case if the pool knows no cases.
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

fn check_user_name(name: &str) -> Result<(), Fault> {
    if name.contains('@') {
        check_email(name)
    } else {
        check_name(name)
    }
}

impl Handler for PreSignUp {
    type Answer = Box<RawValue>;

    async fn handle(&self, json: &RawValue, request_id: &str) -> Result<Box<RawValue>, Failure> {
        let event = TriggerEvent::read(json);
        let result = tokio::time::timeout(BUDGET, self.admit(&event)).await;
        let result = result.unwrap_or(Err(Trap::Failed("time_is_up")));
        let (level, outcome) = match result {
            Ok(outcome) => (Level::Info, outcome),
            Err(Trap::Refused(outcome)) => (Level::Warn, outcome),
            Err(Trap::Known) => (Level::Warn, "still_to_be_moved"),
            Err(Trap::Failed(outcome)) => (Level::Error, outcome),
        };
        if level <= self.config.log_level {
            log::outcome(level, "pre sign-up", "SignUps", outcome, request_id);
        }
        match result {
            Ok(_) => Ok(json.to_owned()),
            Err(Trap::Refused(_)) => Err(Failure::Refused(REFUSAL)),
            Err(Trap::Known) => Err(Failure::Refused(KNOWN)),
            Err(Trap::Failed(_)) => Err(Failure::Internal),
        }
    }
}
