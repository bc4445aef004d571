//! Lenient reader for the header maps of API Gateway events.
//!
//! REST APIs pass header names in the client's spelling, `null` means no headers, and a manual
//! invocation can send values of any type. The reader never fails: a member that is not a header
//! is not found.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use auth::DenyReason;

/// A JSON object whose values are not parsed; empty for any other JSON value.
#[derive(Default)]
pub struct RawMap<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawMap<'a> {
    /// Whether the map has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of all members with this name in any case. There can be several: names may differ
    /// by case, and JSON allows duplicate names.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a RawValue> {
        self.0
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = RawMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or any other value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMap<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Borrowed(name), value)) = map.next_entry()? {
                    if members.is_empty() {
                        // Most requests have fewer headers; an empty map costs nothing.
                        members.reserve(24);
                    }
                    members.push((name, value));
                }
                Ok(RawMap(members))
            }

            fn visit_unit<E>(self) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<RawMap<'de>, E> {
                Ok(RawMap::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMap<'de>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(RawMap::default())
            }
        }

        deserializer.deserialize_any(Members)
    }
}

/// A string that is copied only if it contains an escape.
struct Borrowed<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The text of a JSON string; `None` for anything else.
#[must_use]
pub fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    if let Some(plain) = plain_between(json, "\"", "\"") {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str::<Borrowed<'_>>(json.get())
        .ok()
        .map(|Borrowed(text)| text)
}

/// The text between `open` and `close`, if it has no escapes: the JSON is valid, so text without an
/// escape or a quote is one string.
fn plain_between<'a>(json: &'a RawValue, open: &str, close: &str) -> Option<&'a str> {
    let text = json.get().strip_prefix(open)?.strip_suffix(close)?;
    memchr::memchr2(b'"', b'\\', text.as_bytes())
        .is_none()
        .then_some(text)
}

/// The only value of the header `name`, looked up in the single-value map and the multi-value map.
///
/// # Errors
/// [`DenyReason::MissingToken`] without a value; [`DenyReason::AmbiguousToken`] if there are several
/// different values, if the client sent the header more than once, or if a value is not a string.
pub fn single_value<'a>(
    headers: &RawMap<'a>,
    multi_value_headers: &RawMap<'a>,
    name: &str,
) -> Result<Cow<'a, str>, DenyReason> {
    let mut found: Option<Cow<'a, str>> = None;
    let mut add = |value: Option<Cow<'a, str>>| {
        let value = value.ok_or(DenyReason::AmbiguousToken)?;
        match &found {
            Some(known) if *known != value => Err(DenyReason::AmbiguousToken),
            Some(_) => Ok(()),
            None => {
                found = Some(value);
                Ok(())
            }
        }
    };
    let is_present = |value: &&RawValue| value.get() != "null";
    for value in headers.values(name).filter(is_present) {
        add(text(value))?;
    }
    for list in multi_value_headers.values(name).filter(is_present) {
        add(only_element(list))?;
    }
    found.ok_or(DenyReason::MissingToken)
}

/// The string in a list of exactly one.
fn only_element(json: &RawValue) -> Option<Cow<'_, str>> {
    struct One;

    impl<'de> Visitor<'de> for One {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of one string")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let first = seq.next_element::<Borrowed<'de>>()?;
            let more = seq.next_element::<Borrowed<'de>>()?;
            Ok(first.filter(|_| more.is_none()).map(|Borrowed(text)| text))
        }
    }

    // The form that API Gateway sends.
    if let Some(plain) = plain_between(json, "[\"", "\"]") {
        return Some(Cow::Borrowed(plain));
    }
    let mut reader = serde_json::Deserializer::from_str(json.get());
    reader.deserialize_seq(One).ok().flatten()
}

/// The only cookie with this name ([RFC 6265 section 4.2]): events of payload format 2.0 list
/// cookies, others have a header.
///
/// # Errors
/// [`DenyReason::MissingToken`] without one; [`DenyReason::AmbiguousToken`] for several cookies of this
/// name or several headers.
///
/// [RFC 6265 section 4.2]: https://www.rfc-editor.org/rfc/rfc6265#section-4.2
pub fn cookie(
    listed: Option<&RawValue>,
    header: Result<Cow<'_, str>, DenyReason>,
    name: &str,
) -> Result<String, DenyReason> {
    let listed: Option<Vec<String>> =
        listed.and_then(|cookies| serde_json::from_str(cookies.get()).ok());
    if header == Err(DenyReason::AmbiguousToken) {
        return Err(DenyReason::AmbiguousToken);
    }
    let pairs = listed.into_iter().flatten().chain(
        header
            .iter()
            .flat_map(|line| line.split(';'))
            .map(str::to_owned),
    );
    let mut found = None;
    for pair in pairs {
        if let Some((known, value)) = trim(&pair).split_once('=')
            && known == name
            && found.replace(value.to_owned()).is_some()
        {
            return Err(DenyReason::AmbiguousToken);
        }
    }
    found.ok_or(DenyReason::MissingToken)
}

/// Without the optional white space of [RFC 9110 section 5.6.3] around it: spaces and tabs. `str::trim` also removes
/// characters of other scripts, and would read a cookie of another name, which has no `__Host-` prefix for the browser.
///
/// [RFC 9110 section 5.6.3]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.3
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Whether a request with this method changes nothing, so that a page of another origin may send it with the caller's
/// cookie.
#[must_use]
pub fn only_reads(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// The sender of a request, as the browser reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A page of the same origin or of an allowed one.
    Known,
    /// Not a browser, or a browser that does not report it.
    Unsaid,
    /// A page of another origin.
    Foreign,
}

/// The sender according to `Origin`, or without that header to `Sec-Fetch-Site` (WHATWG Fetch; W3C
/// Fetch Metadata).
#[must_use]
pub fn sender(
    origin: &Result<Cow<'_, str>, DenyReason>,
    site: &Result<Cow<'_, str>, DenyReason>,
    known_origins: &[String],
) -> Sender {
    match (origin, site.as_deref()) {
        (Ok(origin), _) if known_origins.iter().any(|known| known == origin) => Sender::Known,
        (Ok(origin), Ok("same-origin")) if origin != "null" => Sender::Known,
        (Err(DenyReason::MissingToken), Ok("same-origin")) => Sender::Known,
        (
            Err(DenyReason::MissingToken),
            Ok("same-site" | "none") | Err(DenyReason::MissingToken),
        ) => Sender::Unsaid,
        _ => Sender::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(headers: &str, multi: &str) -> Result<String, DenyReason> {
        let map = |json| serde_json::from_str::<RawMap<'_>>(json).unwrap();
        single_value(&map(headers), &map(multi), "authorization").map(Cow::into_owned)
    }

    #[test]
    fn finds_one_unambiguous_value_or_none() {
        use DenyReason::{AmbiguousToken, MissingToken};
        let rows = [
            (r#"{"Authorization":"a"}"#, "null", Ok("a")),
            (r#"{"AUTHORIZATION":"a"}"#, "{}", Ok("a")),
            (
                r#"{"authorization":"a"}"#,
                r#"{"Authorization":["a"]}"#,
                Ok("a"),
            ),
            ("null", r#"{"Authorization":["a"]}"#, Ok("a")),
            ("null", r#"{"Authorization":[ "a" ]}"#, Ok("a")),
            ("null", r#"{"Authorization":["a\u0062"]}"#, Ok("ab")),
            ("null", r#"{"Authorization":["a\"b"]}"#, Ok("a\"b")),
            (
                r#"{"Authorization":"a","authorization":"a"}"#,
                "null",
                Ok("a"),
            ),
            (
                r#"{"X":null,"Y":7,"Authorization":"a\u0062"}"#,
                "null",
                Ok("ab"),
            ),
            (r#"{"X":"a\nb\u0000","Authorization":"a"}"#, "null", Ok("a")),
            (
                r#"{"Authorization":null}"#,
                r#"{"Authorization":["a"]}"#,
                Ok("a"),
            ),
            ("null", "null", Err(MissingToken)),
            ("7", "-7.5", Err(MissingToken)),
            ("true", r#"[{"a":1},[]]"#, Err(MissingToken)),
            ("{}", "{}", Err(MissingToken)),
            (r#""text""#, "[]", Err(MissingToken)),
            (r#"{"Authorization":null}"#, "null", Err(MissingToken)),
            (r#"{"Authorization":7}"#, "null", Err(AmbiguousToken)),
            (
                r#"{"Authorization":"a","authorization":"b"}"#,
                "null",
                Err(AmbiguousToken),
            ),
            (
                r#"{"Authorization":"a","Authorization":"b"}"#,
                "null",
                Err(AmbiguousToken),
            ),
            (
                r#"{"Authorization":"a"}"#,
                r#"{"Authorization":["b"]}"#,
                Err(AmbiguousToken),
            ),
            (
                r#"{"Authorization":"b"}"#,
                r#"{"Authorization":["a","b"]}"#,
                Err(AmbiguousToken),
            ),
            (
                "null",
                r#"{"Authorization":["a","a"]}"#,
                Err(AmbiguousToken),
            ),
            (
                r#"{"Authorization":"a"}"#,
                r#"{"Authorization":[]}"#,
                Err(AmbiguousToken),
            ),
            ("null", r#"{"Authorization":[7]}"#, Err(AmbiguousToken)),
            ("null", r#"{"Authorization":"a"}"#, Err(AmbiguousToken)),
        ];
        for (headers, multi, expected) in rows {
            assert_eq!(
                look(headers, multi),
                expected.map(str::to_owned),
                "{headers} {multi}"
            );
        }
    }

    #[test]
    fn values_are_found_in_any_case_and_any_order() {
        let map: RawMap<'_> =
            serde_json::from_str(r#"{"A":1,"b":2,"a":"x","\u0041":[3]}"#).unwrap();
        let values: Vec<_> = map.values("a").map(RawValue::get).collect();
        assert_eq!(values, ["1", "\"x\"", "[3]"]);
        assert_eq!(map.values("c").count(), 0);
        assert!(!map.is_empty());
        for empty in ["{}", "null", "7", "true", "\"a\"", "[{}]"] {
            let map: RawMap<'_> = serde_json::from_str(empty).unwrap();
            assert!(map.is_empty(), "{empty}");
        }
    }

    #[test]
    fn only_strings_have_a_text() {
        for (json, expected) in [
            (r#""a""#, Some("a")),
            (r#""""#, Some("")),
            (r#""a\"b\u00e9\n""#, Some("a\"b\u{e9}\n")),
            ("null", None),
            ("7", None),
            ("true", None),
            (r#"["a"]"#, None),
            (r#"{"a":"b"}"#, None),
        ] {
            let json: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(text(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn finds_one_cookie_of_a_name_or_none() {
        use DenyReason::{AmbiguousToken, MissingToken};
        let rows = [
            // The header alone: REST APIs, and payload format 1.0.
            (None, Ok("id=a"), Ok("a")),
            (None, Ok("x=y; id=a; z="), Ok("a")),
            (None, Ok("x=y;id=a"), Ok("a")),
            (None, Ok("  id=a  "), Ok("a")),
            (None, Ok("\tid=a\t;x=y"), Ok("a")),
            (None, Ok("\u{2000}id=a"), Err(MissingToken)),
            (None, Ok("\u{a0}id=a"), Err(MissingToken)),
            (None, Ok("\u{85}id=a"), Err(MissingToken)),
            (None, Ok("x=y; \u{3000}id=a"), Err(MissingToken)),
            (None, Ok("\u{b}id=a"), Err(MissingToken)),
            (None, Ok("\nid=a"), Err(MissingToken)),
            (None, Ok("id=a; \u{2000}id=b"), Ok("a")),
            (None, Ok("id=a\u{a0}"), Ok("a\u{a0}")),
            (None, Ok("id=a=b="), Ok("a=b=")),
            (None, Ok("id="), Ok("")),
            (None, Ok("id=\"a\""), Ok("\"a\"")),
            (None, Ok(""), Err(MissingToken)),
            (None, Ok("id"), Err(MissingToken)),
            (None, Ok("ID=a"), Err(MissingToken)),
            (None, Ok("xid=a; idx=a"), Err(MissingToken)),
            (None, Ok("x=id=a"), Err(MissingToken)),
            (None, Ok("id=a; id=a"), Err(AmbiguousToken)),
            (None, Ok("id=a; x=y; id=b"), Err(AmbiguousToken)),
            (None, Err(MissingToken), Err(MissingToken)),
            (None, Err(AmbiguousToken), Err(AmbiguousToken)),
            // The list of payload format 2.0.
            (Some(r#"["x=y","id=a"]"#), Err(MissingToken), Ok("a")),
            (
                Some(r#"["\u2000id=a"]"#),
                Err(MissingToken),
                Err(MissingToken),
            ),
            (Some("[]"), Err(MissingToken), Err(MissingToken)),
            (Some("null"), Err(MissingToken), Err(MissingToken)),
            (Some(r#""id=a""#), Err(MissingToken), Err(MissingToken)),
            (Some(r#"["id=a",7]"#), Err(MissingToken), Err(MissingToken)),
            (
                Some(r#"["id=a","id=a"]"#),
                Err(MissingToken),
                Err(AmbiguousToken),
            ),
            // Both.
            (Some(r#"["x=y"]"#), Ok("id=a"), Ok("a")),
            (Some(r#"["id=a"]"#), Ok("id=a"), Err(AmbiguousToken)),
            (
                Some(r#"["id=a"]"#),
                Err(AmbiguousToken),
                Err(AmbiguousToken),
            ),
        ];
        for (listed, header, expected) in rows {
            let list: Option<&RawValue> = listed.map(|json| serde_json::from_str(json).unwrap());
            let found = cookie(list, header.map(Cow::Borrowed), "id");
            assert_eq!(found, expected.map(str::to_owned), "{listed:?} {header:?}");
        }
    }

    #[test]
    fn methods_that_only_read() {
        for (method, reads) in [
            ("GET", true),
            ("HEAD", true),
            ("OPTIONS", true),
            ("get", false),
            ("POST", false),
            ("PUT", false),
            ("PATCH", false),
            ("DELETE", false),
            ("TRACE", false),
            ("", false),
        ] {
            assert_eq!(only_reads(method), reads, "{method}");
        }
    }

    #[test]
    fn recognises_the_sender_by_origin_or_site() {
        use DenyReason::{AmbiguousToken, MissingToken};
        use Sender::{Foreign, Known, Unsaid};
        const ALLOWED: &str = "https://app.example";
        let rows = [
            (Ok(ALLOWED), Err(MissingToken), Known),
            (Ok(ALLOWED), Ok("cross-site"), Known),
            (Ok("https://other.example"), Ok("same-origin"), Known),
            (Ok("https://other.example"), Err(MissingToken), Foreign),
            (Ok("https://other.example"), Ok("same-site"), Foreign),
            (Ok("https://other.example"), Ok("none"), Foreign),
            (Ok("https://app.example/"), Err(MissingToken), Foreign),
            (Ok("https://APP.example"), Err(MissingToken), Foreign),
            (Ok("http://app.example"), Err(MissingToken), Foreign),
            // A sandboxed page has the opaque origin `null`.
            (Ok("null"), Ok("same-origin"), Foreign),
            (Ok("null"), Err(MissingToken), Foreign),
            (Ok(""), Err(MissingToken), Foreign),
            (Err(MissingToken), Ok("same-origin"), Known),
            (Err(MissingToken), Ok("same-site"), Unsaid),
            (Err(MissingToken), Ok("none"), Unsaid),
            (Err(MissingToken), Err(MissingToken), Unsaid),
            (Err(MissingToken), Ok("cross-site"), Foreign),
            (Err(MissingToken), Ok("Same-Origin"), Foreign),
            (Err(MissingToken), Err(AmbiguousToken), Foreign),
            (Err(AmbiguousToken), Ok("same-origin"), Foreign),
            (Err(AmbiguousToken), Err(MissingToken), Foreign),
        ];
        for (origin, site, expected) in rows {
            let found = sender(
                &origin.map(Cow::Borrowed),
                &site.map(Cow::Borrowed),
                &[ALLOWED.to_owned()],
            );
            assert_eq!(found, expected, "{origin:?} {site:?}");
        }
    }
}
