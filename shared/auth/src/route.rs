//! Paths and routes as rules see them.

/// The plainest spelling of a path: percent escapes undone as long as there are any, slashes
/// single, `.` and `..` resolved, no slash at the end.
///
/// For `TOKEN` events, which name no route: a rule about `/admin/*` must also meet `//admin/x`,
/// `/%61dmin/x` and `/x/../admin/y`, whichever of them the gateway would route there.
#[must_use]
pub fn canonical(path: &str) -> String {
    let mut decoded = path.as_bytes().to_vec();
    loop {
        let next = percent_decoded(&decoded);
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let text = String::from_utf8_lossy(&decoded).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let escape = (*first == b'%').then(|| tail.split_at_checked(2)).flatten();
        let byte = escape.and_then(|(digits, behind)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
            let value = u8::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            Some((value, behind))
        });
        if let Some((value, behind)) = byte {
            decoded.push(value);
            rest = behind;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_spellings_are_one() {
        for path in [
            "/admin/x",
            "admin/x",
            "//admin//x/",
            "/%61dmin/x",
            "/%2561dmin/x",
            "/admin%2Fx",
            "/./admin/./x",
            "/y/../admin/x",
            "/../../admin/x",
            "/y/%2e%2E/admin/x",
            "\\admin\\x",
        ] {
            assert_eq!(canonical(path), "/admin/x", "{path}");
        }
        for (path, plain) in [
            ("", "/"),
            ("/", "/"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/%+1", "/%+1"),
            ("/a b", "/a b"),
        ] {
            assert_eq!(canonical(path), plain, "{path}");
        }
        assert_eq!(canonical("/%ff"), "/\u{fffd}");
    }
}
