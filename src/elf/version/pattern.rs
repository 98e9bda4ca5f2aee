//! Names as version scripts and lists of symbols write them: whole, or with wildcards.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use super::source_names::source_form;

/// How many steps of comparing it costs to bring a name into its source form.
pub(super) const SOURCE_STEPS: u64 = 256;

/// A name, or which names are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This name.
    Exact(Box<[u8]>),
    /// Names of a form.
    Glob(Glob),
    /// Every name: `*`, which counts less than other patterns.
    All,
    /// Names whose [source form](super::source_names) is meant (`extern "C++"`).
    Source(Box<Pattern>),
}

impl Pattern {
    /// What an unquoted word means: `*` stands for any bytes, `?` for one, `[…]` for one of several and `[!…]` or `[^…]` for
    /// any other one; a backslash takes the meaning from what follows it (GNU ld's manual, *VERSION Command*; POSIX,
    /// *Pattern Matching Notation*).
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn parse(word: &str) -> Result<Self, &'static str> {
        if word == "*" {
            return Ok(Self::All);
        }
        let mut glob = Glob { prefix: Vec::new(), rest: Vec::new(), sets: Vec::new() };
        let mut bytes = word.bytes();
        while let Some(byte) = bytes.next() {
            let element = match byte {
                b'*' if glob.rest.last() == Some(&Element::Many) => continue,
                b'*' => Element::Many,
                b'?' => Element::One,
                b'[' => {
                    glob.sets.push(set(&mut bytes)?);
                    Element::Set(u32::try_from(glob.sets.len().saturating_sub(1)).unwrap_or(u32::MAX))
                }
                b'\\' => Element::Byte(bytes.next().ok_or("ends with a backslash")?),
                byte => Element::Byte(byte),
            };
            match element {
                Element::Byte(byte) if glob.rest.is_empty() => glob.prefix.push(byte),
                element => glob.rest.push(element),
            }
        }
        Ok(if glob.rest.is_empty() { Self::Exact(glob.prefix.into()) } else { Self::Glob(glob) })
    }

    /// Whether `name` is meant. Takes the steps that are needed from `budget`; without steps left, no name of a form is.
    pub(crate) fn fits(&self, name: &[u8], budget: &mut u64) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Glob(glob) => glob.fits(name, budget),
            Self::All => true,
            Self::Source(pattern) => {
                *budget = budget.saturating_sub(SOURCE_STEPS);
                pattern.fits(&source_form(name), budget)
            }
        }
    }

    /// What a word in quotes means: itself.
    pub(crate) fn quoted(word: &str) -> Self {
        Self::Exact(word.as_bytes().into())
    }
}

/// The bytes that a bracket expression stands for, from behind its `[`.
fn set(bytes: &mut std::str::Bytes<'_>) -> Result<[u64; 4], &'static str> {
    const OPEN: &str = "has a '[' without ']'";
    let mut members = [0_u64; 4];
    let mut first = bytes.next().ok_or(OPEN)?;
    let negative = matches!(first, b'!' | b'^');
    if negative {
        first = bytes.next().ok_or(OPEN)?;
    }
    // A bracket at the front is a member.
    let mut next = Some(first);
    let mut front = true;
    loop {
        let mut low = next.ok_or(OPEN)?;
        if low == b']' && !front {
            break;
        }
        front = false;
        if low == b'\\' {
            low = bytes.next().ok_or(OPEN)?;
        }
        let mut high = low;
        let mut after = bytes.clone();
        next = bytes.next();
        if next == Some(b'-') {
            after.next();
            match after.next() {
                Some(b']') | None => {}
                Some(end) => {
                    high = if end == b'\\' { after.next().ok_or(OPEN)? } else { end };
                    next = after.next();
                    *bytes = after;
                }
            }
        }
        for byte in low..=high {
            if let Some(word) = members.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
    }
    Ok(if negative { members.map(|word| !word) } else { members })
}

/// Names of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    /// The bytes in front of the first wildcard.
    prefix: Vec<u8>,
    rest: Vec<Element>,
    /// For each of 256 bytes, whether it is a member.
    sets: Vec<[u64; 4]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Byte(u8),
    One,
    Many,
    /// One of the bytes of a set, by its number.
    Set(u32),
}

impl Glob {
    /// Whether `name` is of this form. Takes the steps that are needed from `budget`: at most about the product of both
    /// lengths, because a star that did not do takes one byte more, and only the last one can. Without steps left, no name
    /// is.
    pub(crate) fn fits(&self, name: &[u8], budget: &mut u64) -> bool {
        let Some(name) = name.strip_prefix(self.prefix.as_slice()) else { return false };
        let (mut at, mut from) = (0_usize, 0_usize);
        let mut star: Option<(usize, usize)> = None;
        loop {
            let Some(left) = budget.checked_sub(1) else { return false };
            *budget = left;
            let element = self.rest.get(at);
            if element == Some(&Element::Many) {
                at = at.saturating_add(1);
                star = Some((at, from));
                continue;
            }
            match (element, name.get(from), star) {
                (Some(element), Some(byte), _) if self.one(*element, *byte) => {
                    (at, from) = (at.saturating_add(1), from.saturating_add(1));
                }
                (None, None, _) => return true,
                (_, Some(_), Some((after, taken))) => {
                    let taken = taken.saturating_add(1);
                    star = Some((after, taken));
                    (at, from) = (after, taken);
                }
                _ => return false,
            }
        }
    }

    fn one(&self, element: Element, byte: u8) -> bool {
        match element {
            Element::Byte(literal) => literal == byte,
            Element::One => true,
            Element::Many => false,
            Element::Set(number) => {
                let word = self.sets.get(number as usize).and_then(|set| set.get(usize::from(byte >> 6)));
                word.is_some_and(|word| word >> (byte & 63) & 1 == 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, name: &[u8]) -> bool {
        Pattern::parse(pattern).unwrap().fits(name, &mut 1000)
    }

    #[test]
    fn patterns_mean_what_the_manual_says() {
        for (pattern, fitting, other) in [
            ("foo", &["foo"][..], &["", "fo", "fooo"][..]),
            ("foo*", &["foo", "foobar"], &["fo", "xfoo"]),
            ("*", &["", "x"], &[]),
            ("**x", &["x", "axx"], &["", "xa"]),
            ("f?o", &["foo", "f?o"], &["fo", "fooo"]),
            ("a*b*c", &["abc", "aXbXbXc"], &["ab", "abcd"]),
            ("[abc]x", &["ax", "cx"], &["dx", "x", "abcx"]),
            ("[a-cx]", &["a", "b", "x"], &["d", "-", ""]),
            ("[!a-c]", &["d", "-"], &["a", "b"]),
            ("[^]]", &["a"], &["]"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[\\]-a]", &["]", "^", "a"], &["\\", "b"]),
            ("bar\\*", &["bar*"], &["bar", "bar\\*", "barx"]),
            ("bar\\_x", &["bar_x"], &["bar\\_x"]),
            ("\\**", &["*", "*a"], &["a"]),
            ("?", &["x", "*"], &["", "xy"]),
        ] {
            fitting.iter().for_each(|name| assert!(fits(pattern, name.as_bytes()), "{pattern} {name}"));
            other.iter().for_each(|name| assert!(!fits(pattern, name.as_bytes()), "{pattern} {name}"));
        }
        for (wrong, what) in [("[", "'['"), ("[a", "'['"), ("x[!", "'['"), ("[a-", "'['"), ("a\\", "backslash")] {
            assert!(Pattern::parse(wrong).unwrap_err().contains(what), "{wrong}");
        }
        assert_eq!(Pattern::parse("a\\?").unwrap(), Pattern::Exact(b"a?".as_slice().into()));
    }

    #[test]
    fn the_time_is_the_product_of_both_lengths() {
        let pattern = format!("{}b", "*a".repeat(300));
        let Pattern::Glob(glob) = Pattern::parse(&pattern).unwrap() else { panic!() };
        let (name, mut budget) = (vec![b'a'; 3000], 601 * 3001);
        assert!(!glob.fits(&name, &mut budget) && budget > 0);
        let Pattern::Glob(glob) = Pattern::parse("a*b").unwrap() else { panic!() };
        assert!(glob.fits(b"aaab", &mut 9) && !glob.fits(b"aaab", &mut 3));
    }

    proptest! {
        #[test]
        fn a_star_takes_any_bytes(parts in proptest::collection::vec("[a-c]{0,3}", 1..5), fill in "[a-d]{0,4}") {
            let name = parts.join(&fill);
            prop_assert!(fits(&parts.join("*"), name.as_bytes()));
            let leading = format!("*{}", parts.join("*"));
            prop_assert!(fits(&leading, name.as_bytes()));
        }

        #[test]
        fn any_word_is_survived(word in "[\\[\\]!^a-c*?\\\\-]{0,12}", name in "[a-c\\]-]{0,12}") {
            if let Ok(Pattern::Glob(glob)) = Pattern::parse(&word) {
                let _ = glob.fits(name.as_bytes(), &mut 100);
            }
        }
    }
}
