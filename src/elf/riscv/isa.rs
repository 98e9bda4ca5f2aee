//! The architecture string of RISC-V: which instructions a file may use (psABI, *Attributes*, `Tag_RISCV_arch`; ISA manual
//! volume I, chapter *ISA Extension Naming Conventions*).
//!
//! `rv64i2p1_m2p0_zicsr2p0` is the width of a register, the base instruction set and the extensions, each with its
//! version: a major number, `p`, a minor number. Abbreviations are spelt out and everything is lower-case. An image needs
//! what any of its objects needs, so strings are merged into their union, in the *canonical order* of the manual:
//! the base, the extensions of one letter in a fixed order, then those that start with `z` (by their second letter in that
//! same order, then by name), those of supervisor mode (`s`), and those of vendors (`x`).
//!
//! The union of strings that hold all that their extensions imply does so as well, so nothing is added here.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

/// The order of one-letter extensions, the bases first.
const ORDER: &[u8] = b"iemafdqlcbkjtpvnh";

/// The most bytes of an architecture string: some ten times as much as all extensions that there are.
const LONGEST: usize = 1 << 14;

/// A set of extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Isa {
    /// Bits of a register: 32, 64 or 128.
    pub(crate) width: u32,
    /// Name → version; iterates in canonical order.
    extensions: BTreeMap<Name, Version>,
}

/// Major and minor number.
type Version = (u32, u32);

/// The name of an extension, ordered as the ISA manual orders them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    rank: (u8, u16),
    name: String,
}

impl Name {
    fn new(name: &str) -> Self {
        let letter = |letter: Option<u8>| {
            let letter = letter.unwrap_or(0);
            let place = ORDER.iter().position(|known| *known == letter);
            // Letters that the manual gives no place come last, by the alphabet.
            place.and_then(|place| u16::try_from(place).ok()).unwrap_or(0x100 | u16::from(letter))
        };
        let rank = match name.as_bytes() {
            [one] => (0, letter(Some(*one))),
            [b'z', rest @ ..] => (1, letter(rest.first().copied())),
            [b's', ..] => (2, 0),
            [b'x', ..] => (3, 0),
            _ => (4, 0),
        };
        Self { rank, name: name.to_owned() }
    }
}

impl Isa {
    /// Reads an architecture string.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let shown = || String::from_utf8_lossy(text.get(..60).unwrap_or(text)).into_owned();
        let malformed = |what: &str| Err(format!("architecture string '{}': {what}", shown()));
        if text.len() > LONGEST {
            return malformed("it is too long");
        }
        let Ok(text) = std::str::from_utf8(text) else { return malformed("it is not in ASCII") };
        let (width, rest) = match text {
            _ if text.starts_with("rv32") => (32, text.get(4..)),
            _ if text.starts_with("rv64") => (64, text.get(4..)),
            _ if text.starts_with("rv128") => (128, text.get(5..)),
            _ => return malformed("it does not start with rv32, rv64 or rv128"),
        };
        let mut extensions = BTreeMap::new();
        for (index, part) in rest.unwrap_or_default().split('_').enumerate() {
            let Some((name, version)) = extension(part) else {
                return malformed(&format!("'{part}' is no extension with its version, as 'm2p0'"));
            };
            if (index == 0) != matches!(name, "i" | "e") {
                return malformed("the base instruction set, i or e, must come first");
            }
            let kept: &mut Version = extensions.entry(Name::new(name)).or_insert(version);
            *kept = version.max(*kept);
        }
        Ok(Self { width, extensions })
    }

    /// Adds the extensions of `other`; of two versions of one, the later stays.
    ///
    /// # Errors
    /// Why no processor can have both, in words that follow the name of the file of `other`; `self` is as before then.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), String> {
        if self.width != other.width {
            return Err(format!("is for {}-bit RISC-V", other.width));
        }
        // 32 or 16 registers; floating-point numbers in registers of their own or not; and two that took over the encodings
        // of compressed loads and stores of doubles.
        const EXCLUSIVE: [(&str, &str); 4] = [("i", "e"), ("f", "zfinx"), ("zcd", "zcmp"), ("zcd", "zcmt")];
        for (one, another) in EXCLUSIVE {
            for (here, there) in [(one, another), (another, one)] {
                if self.has(here) && other.has(there) {
                    return Err(format!("uses the instruction set extension {there}, which excludes {here}"));
                }
            }
        }
        for (name, version) in &other.extensions {
            let kept = self.extensions.entry(name.clone()).or_insert(*version);
            *kept = (*version).max(*kept);
        }
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.extensions.contains_key(&Name::new(name))
    }

    /// The architecture string, in canonical order.
    pub(crate) fn text(&self) -> String {
        self.parts(usize::MAX)
    }

    /// The same for messages, of which there may be one for each object: of more extensions than processors have, the first.
    pub(crate) fn brief(&self) -> String {
        const SHOWN: usize = 100;
        self.parts(SHOWN) + if self.extensions.len() > SHOWN { "…" } else { "" }
    }

    fn parts(&self, most: usize) -> String {
        let parts = self.extensions.iter().map(|(Name { name, .. }, (major, minor))| format!("{name}{major}p{minor}"));
        format!("rv{}{}", self.width, parts.take(most).collect::<Vec<_>>().join("_"))
    }
}

/// Name and version of one extension. No name ends in a digit.
fn extension(part: &str) -> Option<(&str, Version)> {
    let (rest, minor) = number_at_end(part)?;
    let (name, major) = number_at_end(rest.strip_suffix('p')?)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(plain);
    valid.then_some((name, (major, minor)))
}

fn number_at_end(text: &str) -> Option<(&str, u32)> {
    let rest = text.trim_end_matches(|digit: char| digit.is_ascii_digit());
    Some((rest, text.get(rest.len()..)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_put_in_canonical_order() {
        for (input, expected) in [
            ("rv64i2p1", "rv64i2p1"),
            ("rv32e1p9_c2p0", "rv32e1p9_c2p0"),
            // As GNU as 2.40 and LLVM 19 write them.
            (
                "rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zifencei2p0_zmmul1p0",
                "rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zifencei2p0_zmmul1p0",
            ),
            ("rv64i2p1_xfoo1p0_svinval1p0_zba1p0_v1p0_c2p0_m2p0", "rv64i2p1_m2p0_c2p0_v1p0_zba1p0_svinval1p0_xfoo1p0"),
            // By the second letter in the order of one-letter extensions, then by the alphabet.
            (
                "rv64i2p1_zvl128b1p0_zbb1p0_zba1p0_zve64d1p0_zicsr2p0_zfh1p0_zmmul1p0_zca1p0_zaamo1p0",
                "rv64i2p1_zicsr2p0_zmmul1p0_zaamo1p0_zfh1p0_zca1p0_zba1p0_zbb1p0_zve64d1p0_zvl128b1p0",
            ),
        ] {
            assert_eq!(Isa::parse(input.as_bytes()).unwrap().text(), expected);
        }
    }

    #[test]
    fn strings_are_merged() {
        for (one, other, expected) in [
            ("rv64i2p1_m2p0", "rv64i2p0_c2p0", Ok("rv64i2p1_m2p0_c2p0")),
            ("rv64i2p1_f2p2", "rv64i2p1_v1p0_zba1p0", Ok("rv64i2p1_f2p2_v1p0_zba1p0")),
            ("rv64i2p1", "rv32i2p1", Err("is for 32-bit RISC-V")),
            ("rv64i2p1", "rv64e2p0", Err("uses the instruction set extension e, which excludes i")),
            ("rv64i2p1_f2p2", "rv64i2p1_zfinx1p0", Err("uses the instruction set extension zfinx, which excludes f")),
            ("rv64i2p1_zfinx1p0", "rv64i2p1_f2p2", Err("uses the instruction set extension f, which excludes zfinx")),
        ] {
            let mut isa = Isa::parse(one.as_bytes()).unwrap();
            let merged = isa.merge(&Isa::parse(other.as_bytes()).unwrap()).map(|()| isa.text());
            assert_eq!(merged, expected.map(str::to_owned).map_err(str::to_owned), "{one} and {other}");
        }
    }

    #[test]
    fn broken_strings_are_refused() {
        for (text, what) in [
            (&b""[..], "it does not start with rv32, rv64 or rv128"),
            (b"x86", "it does not start with rv32, rv64 or rv128"),
            (b"rv64", "'' is no extension with its version, as 'm2p0'"),
            (b"rv64gc", "'gc' is no extension with its version, as 'm2p0'"),
            (b"rv64i2p1__m2p0", "'' is no extension with its version, as 'm2p0'"),
            (b"rv64i2p1_2p0", "'' is no extension with its version, as 'm2p0'"),
            (b"rv64i2p1_M2p0", "'M2p0' is no extension with its version, as 'm2p0'"),
            (b"rv64i2p99999999999", "'i2p99999999999' is no extension with its version, as 'm2p0'"),
            (b"rv64m2p0_i2p1", "the base instruction set, i or e, must come first"),
            (b"rv64i2p1_e2p0", "the base instruction set, i or e, must come first"),
            (b"rv64i2p1\xff", "it is not in ASCII"),
        ] {
            let error = Isa::parse(text).unwrap_err();
            let what = if what.starts_with("''") { "is no extension" } else { what };
            assert!(error.starts_with("architecture string '") && error.contains(what), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_and_read_again(text in "rv64i[0-9]p[0-9](_[a-z][a-z0-9]{0,3}[a-z][0-9]p[0-9]){0,9}") {
            if let Ok(isa) = Isa::parse(text.as_bytes()) {
                prop_assert_eq!(Isa::parse(isa.text().as_bytes()).unwrap(), isa);
            }
        }

        #[test]
        fn order_makes_no_difference(parts in proptest::collection::vec("[a-df-hj-z][a-y]{0,3}[0-9]p[0-9]", 0..6)) {
            let isas: Vec<Isa> = parts.iter().map(|part| Isa::parse(format!("rv64i2p1_{part}").as_bytes()).unwrap()).collect();
            let merged = |isas: Vec<&Isa>| {
                let mut all = Isa::parse(b"rv64i2p1").unwrap();
                isas.into_iter().try_for_each(|isa| all.merge(isa)).map(|()| all.text()).ok()
            };
            prop_assert_eq!(merged(isas.iter().collect()), merged(isas.iter().rev().collect()));
        }

        #[test]
        fn any_bytes_are_read_to_an_end(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Isa::parse(&text);
        }
    }
}
