//! Likely spellings of a username in a case-sensitive store.

/// The likely spellings of a name: as it was `typed`, in `lower` case, and with common
/// capitalizations.
#[must_use]
pub fn spellings(typed: &str, lower: &str) -> Vec<String> {
    // The domain of an address is case-insensitive, but some users capitalize it.
    let (local, domain) = lower.split_once('@').unwrap_or((lower, ""));
    let words: Vec<String> = local.split('.').map(capital).collect();
    let words = words.join(".");
    let with_domain = |local: &str, domain: &str| match domain {
        "" => local.to_owned(),
        domain => format!("{local}@{domain}"),
    };
    let mut spellings = vec![
        typed.to_owned(),
        lower.to_owned(),
        capital(lower),
        lower.to_uppercase(),
        with_domain(&words, domain),
        with_domain(&local.to_uppercase(), domain),
        with_domain(local, &capital(domain)),
        with_domain(&capital(local), &capital(domain)),
    ];
    let mut seen = std::collections::BTreeSet::new();
    spellings.retain(|spelling| seen.insert(spelling.clone()));
    spellings
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_each_spelling_once() {
        assert_eq!(spellings("ada", "ada"), ["ada", "Ada", "ADA"]);
        let of_an_address = spellings("Ada.L@x.org", "ada.l@x.org");
        for spelling in [
            "Ada.L@x.org",
            "ada.l@x.org",
            "ADA.L@X.ORG",
            "ADA.L@x.org",
            "ada.l@X.org",
        ] {
            assert!(
                of_an_address.iter().any(|one| one == spelling),
                "{spelling}"
            );
        }
    }
}
