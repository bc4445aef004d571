//! Which addresses, names and domains may sign up.

use auth_cognito::CognitoUsers;
use usernames::{
    AddressError, Domains, check_email, check_name, check_shown_name, normalize, spellings,
};

use crate::outcome::{Refusal, SignUpError};
use crate::sign_up::SignUp;

/// Checks the form of the address and of the displayed name.
pub(crate) fn check_form(sign_up: &SignUp) -> Result<(), AddressError> {
    if let Some(email) = sign_up.attribute("email") {
        check_email(email)?;
    }
    if let Some(name) = sign_up.attribute("preferred_username") {
        check_shown_name(name)?;
    }
    Ok(())
}

pub(crate) fn check_user_name(name: &str) -> Result<(), AddressError> {
    if name.contains('@') {
        check_email(name)
    } else {
        check_name(name)
    }
}

/// Checks the domain of the address. An address that the provider has not verified is of no
/// allowed domain; an address that was typed in gets a code.
pub(crate) fn check_domain(
    email: Option<&str>,
    counts: bool,
    allowed: &Domains,
    denied: &Domains,
) -> Result<(), Refusal> {
    if email.is_some_and(|email| denied.contain(email)) {
        return Err(Refusal::DomainDenied);
    }
    if !allowed.is_empty() && !email.is_some_and(|email| counts && allowed.contain(email)) {
        return Err(Refusal::DomainNotAllowed);
    }
    Ok(())
}

/// In a case-sensitive pool: rejects a name that differs from an existing one only in case.
pub(crate) async fn check_twins(
    users: &CognitoUsers,
    name: &str,
    email: Option<&str>,
) -> Result<(), SignUpError> {
    // A user name may be an address too, so it is looked up as both.
    let typed = [("username", Some(name)), ("email", email)];
    for (attribute, typed) in typed {
        let Some(typed) = typed else { continue };
        let lower = normalize(typed, false);
        if lower != typed {
            return Err(Refusal::NotLowerCase.into());
        }
        for spelling in spellings(typed, &lower) {
            if !users.find(attribute, &spelling).await?.is_empty() {
                return Err(Refusal::CaseTwin.into());
            }
        }
    }
    Ok(())
}
