//! The form in which names and addresses are compared.

use unicode_normalization::UnicodeNormalization;

/// A name or an address as a user pool compares it: in Unicode's normal form C, and in lower case unless the pool
/// is case-sensitive. Normalizing the result again does not change it. Rejects nothing.
#[must_use]
pub fn normalize(name: &str, case_sensitive: bool) -> String {
    let name: String = name.nfc().collect();
    if case_sensitive {
        name
    } else {
        // Lower case may be decomposed where upper case is not.
        name.to_lowercase().nfc().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        // (name, in a case-insensitive pool, in a case-sensitive one)
        for (name, insensitive, sensitive) in [
            ("", "", ""),
            ("ada", "ada", "ada"),
            ("Ada@Example.COM", "ada@example.com", "Ada@Example.COM"),
            ("+15551234567", "+15551234567", "+15551234567"),
            // A letter and its mark, composed and decomposed.
            ("Zo\u{eb}", "zo\u{eb}", "Zo\u{eb}"),
            ("Zoe\u{308}", "zo\u{eb}", "Zo\u{eb}"),
            ("E\u{301}VE@x.org", "\u{e9}ve@x.org", "\u{c9}VE@x.org"),
            // Two marks in another order.
            ("q\u{307}\u{323}", "q\u{323}\u{307}", "q\u{323}\u{307}"),
            // A capital whose small letter is two characters.
            ("\u{130}a", "i\u{307}a", "\u{130}a"),
            // Only the capital J is without a composed form.
            ("J\u{30c}", "\u{1f0}", "J\u{30c}"),
            // A sigma at the end of a word.
            (
                "\u{39f}\u{394}\u{39f}\u{3a3}",
                "\u{3bf}\u{3b4}\u{3bf}\u{3c2}",
                "\u{39f}\u{394}\u{39f}\u{3a3}",
            ),
            // Kelvin and angstrom signs are other encodings of letters.
            ("\u{212a}\u{212b}", "k\u{e5}", "K\u{c5}"),
            // Hangul syllables.
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}", "\u{d55c}"),
            // A compatibility character is not replaced, nor is a space.
            ("\u{ff21}da", "\u{ff41}da", "\u{ff21}da"),
            ("\u{fb01} x", "\u{fb01} x", "\u{fb01} x"),
        ] {
            assert_eq!(normalize(name, false), insensitive, "{name:?}");
            assert_eq!(normalize(name, true), sensitive, "{name:?}");
            for case_sensitive in [false, true] {
                let once = normalize(name, case_sensitive);
                assert_eq!(normalize(&once, case_sensitive), once, "{name:?}, twice");
            }
        }
    }
}
