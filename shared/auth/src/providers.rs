//! Identity providers whose word on an address is taken, and for which addresses.

/// A list of providers by their names in the pool, each with the domains that it decides on.
///
/// `Google=gmail.com,corp.com;Oidc=corp.com`: providers apart by semicolons, domains by commas, `*` for
/// every domain. Google and Apple may stand without a list: then they decide on their own mailboxes,
/// and Google on the domain of an organization's account, as its `hd` claim names it.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Provider>);

#[derive(Clone, Debug)]
struct Provider {
    name: String,
    domains: Vec<String>,
    all: bool,
    /// Whether an organization's own domain counts.
    hosted: bool,
}

impl Providers {
    /// Reads a list.
    ///
    /// # Errors
    /// What is wrong with it.
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

    /// Whether the list names no provider.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The providers' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|provider| provider.name.as_str())
    }

    /// Whether `provider` decides who has this address. `hosted` is the `hd` claim of Google.
    /// Source: Google, "Authenticate with a backend server": authoritative for `@gmail.com`, and with
    /// `email_verified` and `hd`; else "ownership of the third party email account may have since changed".
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
            _ => return Err("names a domain that is none"),
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
        _ => return Err("names a provider without the domains that it decides on"),
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
    fn each_provider_decides_on_its_own_domains() {
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
        // A list takes the place of what is known of Google.
        let listed = Providers::parse("Google=corp.com").unwrap();
        assert!(!listed.decides("Google", "a@gmail.com", None));
        assert!(!listed.decides("Google", "a@x.com", Some("x.com")));
        assert!(Providers::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_provider_without_domains_is_refused() {
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
