//! Normalized paths and routes for Cedar policies.

/// Normalizes a path: decodes percent escapes once and drops one trailing slash. `path` starts
/// after the leading slash.
///
/// `None` for a path that two programs could read differently, because a policy would then decide
/// on another path than the gateway routes or the backend serves: `.` and `..`, a segment that ends
/// in a dot or a space (dropped on some systems), an empty segment, `\`, `;` (path parameters), `?`
/// and `#`, an escape of one of these or of `/` and `%` (double decoding), an invalid escape, bytes
/// that are not UTF-8, and characters that are invisible or fold into ASCII.
#[must_use]
pub fn normalize_path(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len() + 1);
    decoded.push(b'/');
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (byte, behind) = escape(tail)?;
                if b"/.%".contains(&byte) || divides(byte) {
                    return None;
                }
                decoded.push(byte);
                rest = behind;
            }
            byte if divides(*byte) => return None,
            byte => decoded.push(*byte),
        }
    }
    let mut text = String::from_utf8(decoded).ok()?;
    if text.chars().any(is_ambiguous) {
        return None;
    }
    if text.len() > 1 && text.ends_with('/') {
        text.pop();
        // Two adjacent slashes.
        if text.ends_with('/') {
            return None;
        }
    }
    let segments = text.get(1..).filter(|inner| !inner.is_empty());
    let odd = |segment: &str| segment.is_empty() || segment.ends_with(['.', ' ']);
    let is_plain = segments.is_none_or(|inner| !inner.split('/').any(odd));
    is_plain.then_some(text)
}

/// Whether a template does not fix the start or the end of the path, or two adjacent segments of it, so that policies need
/// the path itself: `/{proxy+}`, `/files/{path+}`, `/{page}`, `/api/{area}/{page}`.
#[must_use]
pub fn is_open(template: &str) -> bool {
    template.starts_with("/{") || template.ends_with("+}") || template.contains("}/{")
}

/// Whether some parsers, but not all, end the path or a segment at this character.
fn divides(byte: u8) -> bool {
    b"\\;?#".contains(&byte)
}

/// Whether it is a control character, invisible, or turned into ASCII by compatibility mappings.
fn is_ambiguous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2024}'..='\u{2026}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2044}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29f8}'
            | '\u{29f9}'
            | '\u{fe52}'
            | '\u{fe68}'
            | '\u{feff}'
            | '\u{ff01}'..='\u{ff5e}'
            | '\u{fffd}')
}

/// Decodes the escape whose `%` precedes `text`; returns its byte and the rest of the text.
pub(crate) fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, behind) = text.split_at_checked(2)?;
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` also accepts a sign.
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = u8::from_str_radix(digits, 16).ok().filter(|_| plain)?;
    Some((value, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        for (path, expected) in [
            ("", "/"),
            ("admin/x", "/admin/x"),
            ("admin/x/", "/admin/x"),
            ("%61dmin/x", "/admin/x"),
            ("a b", "/a b"),
            ("a%20b", "/a b"),
            ("a:b@c,d=e+f", "/a:b@c,d=e+f"),
            ("%C3%A9t%c3%A9", "/\u{e9}t\u{e9}"),
            ("v1.2/a..b/.well-known", "/v1.2/a..b/.well-known"),
            ("ADMIN/x", "/ADMIN/x"),
            ("*", "/*"),
        ] {
            assert_eq!(normalize_path(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn rejects_ambiguous_paths() {
        for path in [
            // Dot segments leave or enter a prefix.
            "y/../admin/x",
            "admin/../x",
            "./admin/x",
            "admin/.",
            "..",
            "admin/%2e%2e/x",
            "admin/.%2E/x",
            "admin/%2e/x",
            "admin%2ex",
            // Characters that some systems drop from the end of a segment.
            "admin./x",
            "admin.",
            "admin%20/x",
            "admin ",
            "...",
            // Slashes.
            "/",
            "/admin/x",
            "admin//x",
            "admin//",
            "admin%2Fx",
            "admin%2f",
            "admin/..%2f..%2fpublic",
            "admin\\x",
            "admin/x/..%5c..%5cpublic",
            "admin%5Cx",
            // Double encoding.
            "%2561dmin/x",
            "100%25",
            // Path parameters, query and fragment.
            "admin;a=b/x",
            "admin%3Bx",
            "admin%3Fx",
            "admin?x",
            "admin%23",
            "admin#",
            // Invalid escapes.
            "%",
            "%6",
            "%zz",
            "%+1",
            "%u0061dmin",
            // Control characters and invisible ones.
            "admin%00",
            "admin%0d%0a",
            "ad\u{7f}min",
            "admin%C2%85",
            "ad%E2%80%8Bmin",
            "\u{feff}admin",
            "ad%C2%ADmin",
            // Invalid UTF-8: overlong, a surrogate, a lone byte.
            "%c0%af",
            "%c0%ae%c0%ae/x",
            "%e0%80%af",
            "%ed%a0%80",
            "%ff",
            // Characters that compatibility mappings fold into `/`, `.`, `\` and letters.
            "admin%EF%BC%8Fx",
            "%EF%BC%8E%EF%BC%8E/x",
            "admin\u{2215}x",
            "\u{2025}/x",
            "%EF%BD%81dmin/x",
        ] {
            assert_eq!(normalize_path(path), None, "{path}");
        }
    }

    #[test]
    fn recognizes_open_templates() {
        for (template, open) in [
            ("/{proxy+}", true),
            ("/files/{path+}", true),
            ("/{area}/{page}", true),
            ("/{id}", true),
            ("/api/{area}/{page}", true),
            ("/api/{area}/{page}/edit", true),
            ("/users/{id}", false),
            ("/users/{id}/orders/{order}", false),
            ("/whoami", false),
            ("/", false),
        ] {
            assert_eq!(is_open(template), open, "{template}");
        }
    }
}
