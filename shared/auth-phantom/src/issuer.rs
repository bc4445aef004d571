//! The form of an issuer's address.

use url::{Host, Url};

const MAX_ISSUER_BYTES: usize = 512;

/// Whether `issuer` is an `https://` address that every URL library reads in the same way and leaves as it is: `iss` is
/// compared byte for byte, and services derive the address of the key set from it.
pub(crate) fn is_issuer(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else {
        return false;
    };
    // The normal form of an address without a path ends with a slash.
    let normal = match url.path() {
        "/" => url.as_str().trim_end_matches('/'),
        _ => url.as_str(),
    };
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(in_path);
    let path = url.path().strip_prefix('/').unwrap_or_default();
    issuer.len() <= MAX_ISSUER_BYTES
        && issuer == normal
        && url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port() != Some(0)
        && url.host().is_some_and(|host| is_host(&host))
        && (path.is_empty() || path.split('/').all(is_segment))
}

/// An address, or a name of letters, digits, `-` and `_` ([RFC 1123 section 2.1], and what is in use).
///
/// [RFC 1123 section 2.1]: https://www.rfc-editor.org/rfc/rfc1123#section-2
fn is_host(host: &Host<&str>) -> bool {
    let Host::Domain(name) = host else {
        return true;
    };
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(in_label)
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
