//! The normal form of a path: a URL parser reads the same, and normalizing it again changes nothing.

use api_gateway::path::normalize_path;
use percent_encoding::percent_decode_str;
use url::Url;

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
