//! Identity providers that are trusted to verify e-mail addresses, and for which domains.

/// A list of providers by their names in the pool, each with the domains that it is authoritative
/// for.
///
/// `Google=gmail.com,corp.com;Oidc=corp.com`: semicolons separate providers, commas separate
/// domains, and `*` means every domain. Google and Apple need no list: they are then authoritative
/// for their own mailboxes, and Google also for the domain of an organization's account (claim
/// `hd`).
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Provider>);

#[derive(Clone, Debug)]
struct Provider {
    name: String,
    domains: Vec<String>,
    all: bool,
    /// Whether it is authoritative for an organization's own domain (`hd`).
    hosted: bool,
}

impl Providers {
    /// Parses a list.
    ///
    /// # Errors
    /// The problem with the list.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut providers = Vec::new();
        let entries = text.split(';').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if let Some((name, domains)) = entry.split_once('=') {
                providers.push(listed(name.trim(), domains)?);
                continue;
            }
            for name in entry.split(',').map(str::trim) {
                providers.push(well_known(name)?);
            }
        }
        Ok(Self(providers))
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The providers' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|provider| provider.name.as_str())
    }

    /// Whether `provider` is authoritative for this address. `hosted` is Google's `hd` claim.
    /// Source: Google, "Authenticate with a backend server": authoritative for `@gmail.com`, and
    /// with `email_verified` and `hd`; otherwise "ownership of the third party email account may
    /// have since changed".
    #[must_use]
    pub fn decides(&self, provider: &str, email: &str, hosted: Option<&str>) -> bool {
        let Some((_, domain)) = email.rsplit_once('@') else {
            return false;
        };
        let mut known = self.0.iter().filter(|one| one.name == provider);
        known.any(|one| {
            one.all
                || one
                    .domains
                    .iter()
                    .any(|own| own.eq_ignore_ascii_case(domain))
                || (one.hosted && hosted.is_some_and(|hosted| hosted.eq_ignore_ascii_case(domain)))
        })
    }
}

fn listed(name: &str, domains: &str) -> Result<Provider, &'static str> {
    if name.is_empty() || name.contains(',') {
        return Err("is not like Google=gmail.com,example.com;Oidc=example.com");
    }
    let mut provider = Provider {
        name: name.to_owned(),
        domains: Vec::new(),
        all: false,
        hosted: false,
    };
    for domain in domains.split(',').map(str::trim) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let is_domain = domain.contains('.') && domain.chars().all(plain);
        match domain {
            "*" => provider.all = true,
            _ if is_domain => provider.domains.push(domain.to_owned()),
            _ => return Err("contains an invalid domain"),
        }
    }
    Ok(provider)
}

fn well_known(name: &str) -> Result<Provider, &'static str> {
    let (domains, hosted): (&[&str], bool) = match name {
        "Google" => (&["gmail.com", "googlemail.com"], true),
        "SignInWithApple" => (
            &[
                "icloud.com",
                "me.com",
                "mac.com",
                "privaterelay.appleid.com",
            ],
            false,
        ),
        _ => return Err("names a provider without its domains"),
    };
    let domains = domains.iter().map(|domain| (*domain).to_owned());
    Ok(Provider {
        name: name.to_owned(),
        domains: domains.collect(),
        all: false,
        hosted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_authoritative_for_their_own_domains_only() {
        let text = "Google, SignInWithApple; Oidc=corp.com,Corp.org ;Saml=*";
        let providers = Providers::parse(text).unwrap();
        for (provider, email, hosted, decides) in [
            ("Google", "a@gmail.com", None, true),
            ("Google", "a@GoogleMail.com", None, true),
            ("Google", "a@corp.com", None, false),
            ("Google", "a@corp.com", Some("corp.com"), true),
            ("Google", "a@corp.com", Some("other.com"), false),
            ("Google", "a@x.gmail.com", None, false),
            ("SignInWithApple", "a@privaterelay.appleid.com", None, true),
            ("SignInWithApple", "a@corp.com", Some("corp.com"), false),
            ("Oidc", "a@corp.com", None, true),
            ("Oidc", "a@CORP.org", None, true),
            ("Oidc", "a@gmail.com", Some("gmail.com"), false),
            ("Saml", "a@any.example", None, true),
            ("Other", "a@gmail.com", None, false),
            ("Google", "gmail.com", None, false),
        ] {
            let found = providers.decides(provider, email, hosted);
            assert_eq!(found, decides, "{provider} {email} {hosted:?}");
        }
        // A list replaces the built-in domains of Google.
        let listed = Providers::parse("Google=corp.com").unwrap();
        assert!(!listed.decides("Google", "a@gmail.com", None));
        assert!(!listed.decides("Google", "a@x.com", Some("x.com")));
        assert!(Providers::parse("").unwrap().is_empty());
    }

    #[test]
    fn rejects_an_unknown_provider_without_domains() {
        for text in [
            "Oidc",
            "Google,Oidc",
            "Oidc=",
            "Oidc=corp",
            "=corp.com",
            "Google=gmail.com,Oidc=corp.com",
            "Oidc=a@corp.com",
        ] {
            assert!(Providers::parse(text).is_err(), "{text}");
        }
    }
}
