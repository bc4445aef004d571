//! Parser for untrusted JSON objects, stricter than `serde` by default.
//!
//! [RFC 7515 section 4] and [RFC 7519 section 4] require unique member names. `serde_json` does the
//! rest: no trailing bytes, no NaN, no byte order mark.
//!
//! [RFC 7515 section 4]: https://www.rfc-editor.org/rfc/rfc7515#section-4
//! [RFC 7519 section 4]: https://www.rfc-editor.org/rfc/rfc7519#section-4

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The member names that a parser uses.
pub(crate) trait Known {
    /// The variant for `name`.
    fn of(name: &str) -> Self;

    /// Its index, below 32; `None` for names that the parser does not use.
    fn place(&self) -> Option<u32>;
}

/// Rejects an object with duplicate member names, even if they are escaped differently.
///
/// For unused names it stores hashes. A deliberate collision only causes the refusal of the token
/// that contains it.
pub(crate) struct UniqueNames {
    /// One bit for each known name.
    known: u32,
    known_twice: bool,
    /// Large enough for the tokens that Cognito issues; larger objects use the heap.
    first: [u64; Self::INLINE],
    count: usize,
    all: Vec<u64>,
}

impl UniqueNames {
    const INLINE: usize = 32;

    pub(crate) fn new() -> Self {
        Self {
            known: 0,
            known_twice: false,
            first: [0; Self::INLINE],
            count: 0,
            all: Vec::new(),
        }
    }

    /// Reads the next name.
    pub(crate) fn next<T: Known>(&mut self) -> Name<'_, T> {
        Name(self, PhantomData)
    }

    fn add<T: Known>(&mut self, name: &str) -> T {
        let known = T::of(name);
        match known.place() {
            Some(place) => {
                let bit = 1 << place;
                self.known_twice |= self.known & bit != 0;
                self.known |= bit;
            }
            None => self.add_other(name),
        }
        known
    }

    fn add_other(&mut self, name: &str) {
        let hash = fnv_1a(name.as_bytes());
        if let Some(place) = self.first.get_mut(self.count) {
            *place = hash;
        } else {
            if self.all.is_empty() {
                self.all.extend(self.first);
            }
            self.all.push(hash);
        }
        self.count += 1;
    }

    pub(crate) fn check<E: Error>(mut self) -> Result<(), E> {
        let hashes = if self.all.is_empty() {
            self.first.get_mut(..self.count).unwrap_or_default()
        } else {
            &mut self.all
        };
        hashes.sort_unstable();
        if !self.known_twice && hashes.is_sorted_by(|a, b| a < b) {
            Ok(())
        } else {
            Err(E::custom("duplicate member name"))
        }
    }
}

/// Source: Fowler, Noll, Vo and Eastlake, "The FNV Non-Cryptographic Hash Algorithm", sections 2
/// and 5.
fn fnv_1a(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    bytes.iter().fold(BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

/// Any JSON value, parsed and dropped.
///
/// Unlike [`serde::de::IgnoredAny`] it reads every value through `deserialize_any`, so `serde_json`
/// checks escapes, and the depth against its limit of 128.
pub(crate) struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Ignored;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_str<E>(self, _: &str) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_unit<E>(self) -> Result<Ignored, E> {
                Ok(Ignored)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ignored, A::Error> {
                while seq.next_element::<Ignored>()?.is_some() {}
                Ok(Ignored)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ignored, A::Error> {
                while map.next_entry::<Ignored, Ignored>()?.is_some() {}
                Ok(Ignored)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

/// A string of 1 to `MAX` bytes without control characters.
pub(crate) struct Text<const MAX: usize>(pub(crate) String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.len() > MAX || has_control(&text) {
            return Err(D::Error::custom("invalid string"));
        }
        Ok(Self(text))
    }
}

/// Whether the text contains a control character (Unicode's `Cc`): most text is plain ASCII.
fn has_control(text: &str) -> bool {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    !text.bytes().all(is_plain) && text.chars().any(char::is_control)
}

/// A string that is mapped to a value and not stored.
pub(crate) struct Word<T>(pub(crate) fn(&str) -> T);

impl<'de, T> serde::de::DeserializeSeed<'de> for Word<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

/// A member's name, recorded in [`UniqueNames`].
pub(crate) struct Name<'a, T>(&'a mut UniqueNames, PhantomData<T>);

impl<'de, T: Known> serde::de::DeserializeSeed<'de> for Name<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: Known> Visitor<'_> for Name<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<T, E> {
        Ok(self.0.add(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_match_the_drafts_test_vectors() {
        assert_eq!(fnv_1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    /// Every third name is known.
    struct Member(Option<u32>);

    impl Known for Member {
        fn of(name: &str) -> Self {
            let number = name.strip_prefix("member-").and_then(|n| n.parse().ok());
            Self(number.filter(|n| n % 3 == 0 && *n < 32))
        }

        fn place(&self) -> Option<u32> {
            self.0
        }
    }

    #[test]
    fn rejects_duplicate_names_in_small_and_large_objects() {
        for count in [0, 1, 2, 31, 32, 33, 34, 1_000] {
            let names = || (0..count).map(|n| format!("member-{n}"));
            let check = |extra: Option<String>| {
                let mut seen = UniqueNames::new();
                for name in names().chain(extra) {
                    let _: Member = seen.add(&name);
                }
                seen.check::<serde_json::Error>().is_ok()
            };
            assert!(check(None), "{count}");
            assert!(check(Some("another".to_owned())), "{count}");
            for twice in names() {
                assert!(!check(Some(twice)), "{count}");
            }
        }
    }
}
