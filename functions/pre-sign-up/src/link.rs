//! One person, one account: a federated identity joins the account of its verified address.

use std::collections::BTreeMap;

use auth_cognito::{CognitoUsers, Profile};
use aws_types::SdkConfig;
use usernames::{Providers, normalize};

use crate::Config;
use crate::outcome::{Admission, Refusal, SignUpError};
use crate::sign_up::SignUp;

/// The attribute that Google's `hd` claim must be mapped to.
const HOSTED_DOMAIN: &str = "custom:hd";
/// The attribute that a provider's user id, such as `sub`, must be mapped to.
const SUBJECT: &str = "custom:subject";
/// The provider whose ids have letters, all of them in lower case.
const APPLE: &str = "SignInWithApple";

/// Links a federated identity to the account of its address, if both sides have verified the
/// address. An unconfirmed account is not linked: a stranger may have created it as a trap.
/// Source: AWS, "Linking federated users to an existing user profile".
pub(crate) async fn link(
    sign_up: &SignUp,
    Config {
        link_providers: providers,
        case_sensitive,
        ..
    }: &Config,
    sdk: &SdkConfig,
) -> Result<Admission, SignUpError> {
    let Some((provider, id)) = provider_of(&sign_up.username, providers) else {
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
            let mapped = sign_up.attribute(SUBJECT);
            let subject = subject(provider, id, mapped, *case_sensitive)?;
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

/// The user's id at the provider as the provider spells it: Cognito compares a link's id in its exact case. The name of
/// a user of a case-insensitive pool has it in lower case, so an id with letters is read from an attribute. A UUID,
/// such as Keycloak's, is taken to be in lower case at the provider, too, as RFC 4122 section 3 demands of its output.
/// Source: AWS, "User pool case sensitivity"; aws-amplify/amplify-js#13844.
fn subject<'s>(
    provider: &str,
    id: &'s str,
    mapped: Option<&'s str>,
    case_sensitive: bool,
) -> Result<&'s str, Refusal> {
    let has_case = !case_sensitive && provider != APPLE && id.contains(char::is_alphabetic);
    match mapped {
        Some(mapped) if mapped == id => Ok(mapped),
        Some(mapped) if has_case && mapped.to_ascii_lowercase() == id => Ok(mapped),
        Some(_) => Err(Refusal::OtherSubject),
        None if has_case && !is_lower_case_uuid(id) => Err(Refusal::UnknownSubject),
        None => Ok(id),
    }
}

fn is_lower_case_uuid(id: &str) -> bool {
    auth_cognito::is_uuid(id) && !id.contains(|c: char| c.is_ascii_uppercase())
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

    #[test]
    fn a_subject_with_letters_is_spelled_as_by_the_provider() {
        let (unknown, other) = (Err(Refusal::UnknownSubject), Err(Refusal::OtherSubject));
        for (provider, id, mapped, folded, exact) in [
            // (in a case-insensitive pool, in a case-sensitive one)
            ("Oidc", "00uab1", Some("00uAB1"), Ok("00uAB1"), other),
            ("Oidc", "00uab1", Some("00uab1"), Ok("00uab1"), Ok("00uab1")),
            ("Oidc", "00uab1", Some("00uab2"), other, other),
            ("Oidc", "00uab1", None, unknown, Ok("00uab1")),
            // A name that Cognito has not changed.
            ("Oidc", "00uAB1", Some("00uAB1"), Ok("00uAB1"), Ok("00uAB1")),
            ("Oidc", "00uAB1", Some("00uab1"), other, other),
            ("Oidc", "00uAB1", None, unknown, Ok("00uAB1")),
            // A letter of another script.
            ("Oidc", "\u{3c3}", None, unknown, Ok("\u{3c3}")),
            ("Oidc", "12-3", None, Ok("12-3"), Ok("12-3")),
            ("Oidc", "12-3", Some("12-4"), other, other),
            (
                "Oidc",
                "5f7e6d5c-1234-4abc-9def-0123456789ab",
                None,
                Ok("5f7e6d5c-1234-4abc-9def-0123456789ab"),
                Ok("5f7e6d5c-1234-4abc-9def-0123456789ab"),
            ),
            (
                "Oidc",
                "5f7e6d5c-1234-4abc-9def-0123456789ab",
                Some("5F7E6D5C-1234-4ABC-9DEF-0123456789AB"),
                Ok("5F7E6D5C-1234-4ABC-9DEF-0123456789AB"),
                other,
            ),
            (
                "Oidc",
                "5f7e6d5c-1234-4abc-9def-0123456789ag",
                None,
                unknown,
                Ok("5f7e6d5c-1234-4abc-9def-0123456789ag"),
            ),
            (
                "Oidc",
                "5f7e6d5c-12344-abc-9def-0123456789ab",
                None,
                unknown,
                Ok("5f7e6d5c-12344-abc-9def-0123456789ab"),
            ),
            ("Google", "108", None, Ok("108"), Ok("108")),
            ("SignInWithApple", "0.ab", None, Ok("0.ab"), Ok("0.ab")),
            ("SignInWithApple", "0.ab", Some("0.aB"), other, other),
            (
                "LoginWithAmazon",
                "amzn1.account.ab",
                None,
                unknown,
                Ok("amzn1.account.ab"),
            ),
        ] {
            let found = subject(provider, id, mapped, false);
            assert_eq!(found, folded, "{provider} {id} {mapped:?}");
            let found = subject(provider, id, mapped, true);
            assert_eq!(found, exact, "{provider} {id} {mapped:?}, case-sensitive");
        }
    }
}
