//! One person, one account: a federated identity joins the account of its verified address.

use std::collections::BTreeMap;

use auth_cognito::{CognitoUsers, Profile};
use aws_types::SdkConfig;
use usernames::{Providers, normalize};

use crate::outcome::{Admission, Refusal, SignUpError};
use crate::sign_up::SignUp;

/// The attribute that Google's `hd` claim must be mapped to.
const HOSTED_DOMAIN: &str = "custom:hd";

/// Links a federated identity to the account of its address, if both sides have verified the
/// address. An unconfirmed account is not linked: a stranger may have created it as a trap.
/// Source: AWS, "Linking federated users to an existing user profile".
pub(crate) async fn link(
    sign_up: &SignUp,
    providers: &Providers,
    sdk: &SdkConfig,
) -> Result<Admission, SignUpError> {
    let Some((provider, subject)) = provider_of(&sign_up.username, providers) else {
        return Ok(Admission::Admitted);
    };
    let Some(email) = sign_up
        .attribute("email")
        .filter(|_| sign_up.email_is_verified())
    else {
        return Ok(Admission::NotVouchedFor);
    };
    let hosted = sign_up.attribute(HOSTED_DOMAIN);
    if !providers.decides(provider, email, hosted) {
        return Ok(Admission::NotItsDomain);
    }
    let users = CognitoUsers::new(sdk, sign_up.user_pool_id.clone());
    let mut accounts: BTreeMap<String, Profile> = BTreeMap::new();
    // As it came, and in lower case if that differs.
    let lower = normalize(email, false);
    let spellings = std::iter::once(email).chain((email != lower).then_some(lower.as_str()));
    for spelling in spellings {
        let found = users.find("email", spelling).await?;
        let own = found.into_iter().filter(Profile::is_proven);
        accounts.extend(own.map(|user| (user.username.clone(), user)));
    }
    let mut accounts = accounts.into_values();
    match (accounts.next(), accounts.next()) {
        (None, _) => Ok(Admission::Admitted),
        (Some(_), Some(_)) => Err(Refusal::AmbiguousAccount.into()),
        (Some(account), None) if !account.enabled => Err(Refusal::DisabledAccount.into()),
        (Some(account), None) => {
            // Cognito asks federated users for no second factor.
            if users.standing(&account.username).await?.has_second_factor {
                return Err(Refusal::SecondFactor.into());
            }
            users.link(&account.username, provider, subject).await?;
            Ok(Admission::Linked)
        }
    }
}

/// The trusted provider, by its name in the configuration, and the user's id there. Cognito
/// writes `<provider>_<id>`, in lower case if the pool is case-insensitive.
fn provider_of<'n, 'p>(name: &'n str, providers: &'p Providers) -> Option<(&'p str, &'n str)> {
    let matching = providers.names().filter_map(|provider| {
        let (prefix, rest) = name.split_at_checked(provider.len())?;
        let id = rest.strip_prefix('_')?;
        let same = prefix.eq_ignore_ascii_case(provider) && !id.is_empty();
        same.then_some((provider, id))
    });
    matching.max_by_key(|(provider, _)| provider.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_the_longest_matching_prefix() {
        let providers = Providers::parse("Corp=a.com;Corp_EU=b.com").unwrap();
        for (name, found) in [
            ("Corp_123", Some(("Corp", "123"))),
            ("corp_123", Some(("Corp", "123"))),
            ("corp_eu_123", Some(("Corp_EU", "123"))),
            ("Corp_EU", Some(("Corp", "EU"))),
            ("Corp_", None),
            ("Corp", None),
            ("Corporation_1", None),
            ("Cor\u{e9}_1", None),
            ("", None),
        ] {
            assert_eq!(provider_of(name, &providers), found, "{name}");
        }
    }
}
