//! The normal form of a path: a URL parser reads the same, and normalizing it again changes nothing.

use api_gateway::path::normalize_path;
use percent_encoding::percent_decode_str;
use url::Url;

/// The path as a browser and a backend's library read it (WHATWG URL), decoded, without empty segments. `None` if a URL
/// cannot have it. `path` begins after the leading slash.
pub(crate) fn as_a_url_parser_reads(path: &str) -> Option<String> {
    let url = Url::parse(&format!("https://host.example/{path}")).ok()?;
    let read = percent_decode_str(url.path()).decode_utf8_lossy();
    let segments: Vec<&str> = read.split('/').filter(|one| !one.is_empty()).collect();
    Some(format!("/{}", segments.join("/")))
}

/// Whether it is the path or the template of an administrator's route.
pub(crate) fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

/// Runs the target.
///
/// # Panics
/// An accepted path can be read in another way.
pub fn run(bytes: &[u8]) {
    let path = String::from_utf8_lossy(bytes);
    let Some(normal) = normalize_path(&path) else {
        return;
    };
    assert!(normal.starts_with('/') && !normal.contains("//") && !normal.contains('%'));
    assert!(normal == "/" || !normal.ends_with('/'));
    assert!(
        normal
            .split('/')
            .all(|segment| segment != "." && segment != "..")
    );
    let again = normalize_path(&normal[1..]);
    assert_eq!(again.as_deref(), Some(normal.as_str()), "a second time");
    // As a browser and a backend's library read it (WHATWG URL).
    let url = Url::parse("https://host.example/").expect("a URL");
    let url = url
        .join(&format!("https://host.example/{path}"))
        .expect("a URL");
    let read = percent_decode_str(url.path()).decode_utf8().expect("UTF-8");
    let read = match read.strip_suffix('/') {
        Some("") | None => &*read,
        Some(read) => read,
    };
    // It ends a URL with a space, which an escape keeps.
    assert_eq!(
        read.trim_end_matches(' '),
        normal.trim_end_matches(' '),
        "a URL parser"
    );
    assert!(url.query().is_none() && url.fragment().is_none());
}
