//! `.riscv.attributes`: what a file's code needs of the processor and of other code (psABI, *Attributes*).
//!
//! The section starts with `A` and holds subsections, each with its length, the name of a vendor and parts that concern the
//! whole file (`Tag_file`), a section or a symbol. A part is a list of tags and values: numbers where the tag is even,
//! strings where it is odd. A tool that does not know a tag must refuse the file if the tag modulo 128 is below 64, else it
//! may pass over it.
//!
//! The image states the same for all objects together:
//!
//! | tag | what | rule |
//! |---|---|---|
//! | 4 `stack_align` | alignment of the stack, in bytes | equal |
//! | 5 `arch` | the instruction set | union, see [`isa`](super::isa) |
//! | 6 `unaligned_access` | code may access memory unaligned | in any |
//! | 8, 10, 12 `priv_spec…` | version of the privileged specification | equal |
//! | 14 `atomic_abi` | how atomic operations are mapped | a table of what goes together |
//! | 16 `x3_reg_usage` | what register `gp` is for | equal; unknown gives way to all but a temporary register |
//!
//! An object without a tag says nothing about it. Parts about single sections and symbols, of which the psABI defines no
//! use, and subsections of other vendors are not passed on.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use super::isa::Isa;
use crate::error::Error;
use crate::reader::{Malformed, Reader};

const STACK_ALIGN: u64 = 4;
const ARCH: u64 = 5;
const UNALIGNED_ACCESS: u64 = 6;
const PRIV_SPEC: u64 = 8;
const PRIV_SPEC_MINOR: u64 = 10;
const PRIV_SPEC_REVISION: u64 = 12;
const ATOMIC_ABI: u64 = 14;
const X3_REG_USAGE: u64 = 16;

/// `Tag_file`: a part concerns the whole file.
const FILE: u64 = 1;

/// What one object says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    arch: Option<Isa>,
    /// Tags with a number, in the order of [`NUMBERS`].
    numbers: [Option<u64>; NUMBERS.len()],
}

/// The tags with a number, ascending, and what messages call them.
const NUMBERS: [(u64, &str); 7] = [
    (STACK_ALIGN, "aligns the stack to"),
    (UNALIGNED_ACCESS, "has unaligned access"),
    (PRIV_SPEC, "is for the privileged specification, major version"),
    (PRIV_SPEC_MINOR, "is for the privileged specification, minor version"),
    (PRIV_SPEC_REVISION, "is for the privileged specification, revision"),
    (ATOMIC_ABI, "uses the atomic ABI"),
    (X3_REG_USAGE, "uses register x3 in the way"),
];

impl Attributes {
    /// Reads a `.riscv.attributes` section.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the section.
    pub(crate) fn parse(section: &[u8]) -> Result<Self, String> {
        let shown = |malformed: Malformed| format!("at offset 0x{:x}: {}", malformed.offset, malformed.what);
        let mut attributes = Self::default();
        let mut reader = Reader::new(section);
        if reader.remaining() == 0 {
            return Ok(attributes);
        }
        if reader.u8("the version is missing").map_err(shown)? != b'A' {
            return Err("at offset 0x0: the version is not 'A'".to_owned());
        }
        while reader.remaining() > 0 {
            let start = reader.offset();
            let mut part = length_first(&mut reader, start).map_err(shown)?;
            if part.string("a vendor's name does not end").map_err(shown)? == b"riscv" {
                attributes.parse_parts(part).map_err(|problem| problem.shown())?;
            }
        }
        Ok(attributes)
    }

    /// Reads the parts of a subsection, which are all that `reader` has left.
    fn parse_parts(&mut self, mut reader: Reader<'_>) -> Result<(), Problem> {
        while reader.remaining() > 0 {
            let start = reader.offset();
            let about = reader.uleb128("a tag is cut off")?;
            let mut part = length_first(&mut reader, start)?;
            if about != FILE {
                continue;
            }
            while part.remaining() > 0 {
                self.parse_value(&mut part)?;
            }
        }
        Ok(())
    }

    fn parse_value(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        let tag = reader.uleb128("a tag is cut off")?;
        if tag == ARCH {
            self.arch =
                Some(Isa::parse(reader.string("the architecture string does not end")?).map_err(Problem::Words)?);
            return Ok(());
        }
        let known = NUMBERS.iter().position(|(known, _)| *known == tag);
        if known.is_none() && tag & 0x7f < 64 {
            return Err(Problem::Words(format!("attribute {tag} is not known, and may not be passed over")));
        }
        if tag & 1 == 1 {
            reader.string("an attribute's string does not end")?;
            return Ok(());
        }
        let value = reader.uleb128("an attribute's number is cut off")?;
        if let Some(slot) = known.and_then(|known| self.numbers.get_mut(known)) {
            *slot = Some(value);
        }
        Ok(())
    }

    /// The section's contents; empty where nothing is stated.
    fn write(&self) -> Vec<u8> {
        let mut values = Vec::new();
        let mut arch = self.arch.as_ref();
        for ((tag, _), value) in NUMBERS.iter().zip(&self.numbers) {
            if let Some(value) = value {
                uleb128(&mut values, *tag);
                uleb128(&mut values, *value);
            }
            // The tag behind the first of the numbers.
            if let Some(isa) = arch.take() {
                uleb128(&mut values, ARCH);
                values.extend_from_slice(isa.text().as_bytes());
                values.push(0);
            }
        }
        if values.is_empty() {
            return Vec::new();
        }
        // Lengths count themselves: of the part with its tag, of the subsection with its vendor.
        let size = |of: &[u8], head: usize| u32::try_from(of.len().saturating_add(head)).unwrap_or(u32::MAX);
        let mut section = vec![b'A'];
        section.extend_from_slice(&size(&values, 4 + 6 + 1 + 4).to_le_bytes());
        section.extend_from_slice(b"riscv\0\x01");
        section.extend_from_slice(&size(&values, 1 + 4).to_le_bytes());
        section.extend_from_slice(&values);
        section
    }
}

/// The bytes from here to the end that the next four bytes give: they hold the length counted from the offset `start`.
/// The `reader` is left behind them.
fn length_first<'data>(reader: &mut Reader<'data>, start: u64) -> Result<Reader<'data>, Malformed> {
    const WRONG: &str = "a length is wrong";
    let end = u64::from(reader.u32("a length is cut off")?).saturating_add(start);
    let part = reader.until(end, WRONG)?;
    reader.skip(part.remaining(), WRONG)?;
    Ok(part)
}

fn uleb128(bytes: &mut Vec<u8>, mut value: u64) {
    while let [low, ..] = value.to_le_bytes()
        && value > 0x7f
    {
        bytes.push(low | 0x80);
        value >>= 7;
    }
    bytes.extend(value.to_le_bytes().first());
}

/// What is wrong with a section.
enum Problem {
    /// A rule of the encoding is broken.
    Encoding(Malformed),
    /// Anything else.
    Words(String),
}

impl Problem {
    fn shown(self) -> String {
        match self {
            Self::Encoding(malformed) => format!("at offset 0x{:x}: {}", malformed.offset, malformed.what),
            Self::Words(words) => words,
        }
    }
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::Encoding(malformed)
    }
}

/// The attributes of the objects met so far, and who brought each first.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    all: Attributes,
    arch_from: String,
    numbers_from: [String; NUMBERS.len()],
}

impl Merged {
    /// Brings in what `file` says.
    ///
    /// # Errors
    /// [`Error::Incompatible`] for each attribute of it that contradicts another file's.
    pub(crate) fn add(&mut self, file: &str, attributes: &Attributes) -> Result<(), Vec<Error>> {
        let mut problems = Vec::new();
        let incompatible = |what: String, other: &str, other_what: String| Error::Incompatible {
            file: file.to_owned(),
            what,
            other: other.to_owned(),
            other_what,
        };
        match (&mut self.all.arch, &attributes.arch) {
            (_, None) => {}
            (kept @ None, Some(arch)) => {
                *kept = Some(arch.clone());
                self.arch_from = file.to_owned();
            }
            (Some(kept), Some(arch)) => {
                if let Err(what) = kept.merge(arch) {
                    let other_what = format!("is for {}", kept.brief());
                    problems.push(incompatible(what, &self.arch_from, other_what));
                }
            }
        }
        let kept = self.all.numbers.iter_mut().zip(&mut self.numbers_from);
        for (((kept, from), new), (tag, words)) in kept.zip(attributes.numbers).zip(NUMBERS) {
            match (kept.as_mut(), new) {
                (_, None) => {}
                (None, Some(_)) => {
                    *kept = new;
                    file.clone_into(from);
                }
                (Some(kept), Some(new)) => match together(tag, *kept, new) {
                    Some(both) if both != *kept => {
                        *kept = both;
                        file.clone_into(from);
                    }
                    Some(_) => {}
                    None => problems.push(incompatible(
                        format!("{words} {}", value_name(tag, new)),
                        from,
                        format!("{words} {}", value_name(tag, *kept)),
                    )),
                },
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The image's `.riscv.attributes`; empty where no object states anything.
    pub(crate) fn write(&self) -> Vec<u8> {
        self.all.write()
    }
}

/// The value of a tag for two files together; `None` if they exclude each other.
fn together(tag: u64, one: u64, other: u64) -> Option<u64> {
    let (low, high) = (one.min(other), one.max(other));
    match tag {
        _ if low == high => Some(low),
        UNALIGNED_ACCESS => Some(high),
        // Unknown goes with each; A6S with both its neighbours, as the neighbour.
        ATOMIC_ABI => match (low, high) {
            (0, 1..=3) => Some(high),
            (1, 2) => Some(1),
            (2, 3) => Some(3),
            _ => None,
        },
        X3_REG_USAGE => (low == 0 && high <= 2).then_some(high),
        _ => None,
    }
}

/// What messages call the value of a tag.
fn value_name(tag: u64, value: u64) -> String {
    let name = match (tag, value) {
        (STACK_ALIGN, _) => return format!("{value} bytes"),
        (ATOMIC_ABI, 0) => "UNKNOWN",
        (ATOMIC_ABI, 1) => "A6C",
        (ATOMIC_ABI, 2) => "A6S",
        (ATOMIC_ABI, 3) => "A7",
        (X3_REG_USAGE, 1) => "1 (global pointer)",
        (X3_REG_USAGE, 2) => "2 (shadow stack)",
        (X3_REG_USAGE, 3) => "3 (temporary register)",
        _ => return value.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use proptest::prelude::*;

    /// A section with one part about the file.
    fn section(values: &[u8]) -> Vec<u8> {
        let mut section = vec![b'A'];
        section.extend((values.len() as u32 + 15).to_le_bytes());
        section.extend(b"riscv\0\x01");
        section.extend((values.len() as u32 + 5).to_le_bytes());
        section.extend(values);
        section
    }

    fn parse(values: &[u8]) -> Attributes {
        Attributes::parse(&section(values)).unwrap()
    }

    /// What the image states for objects `0.o`, `1.o` …
    fn merged(objects: &[&[u8]]) -> Result<Vec<u8>, String> {
        let mut merged = Merged::default();
        for (index, values) in objects.iter().enumerate() {
            let errors = merged
                .add(&format!("{index}.o"), &parse(values))
                .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            errors?;
        }
        Ok(merged.write())
    }

    #[test]
    fn what_gcc_writes_is_written_again() {
        // GNU as 2.40: stack_align 16, arch.
        let values = b"\x04\x10\x05rv64i2p1_m2p0_a2p1_f2p2_d2p2_c2p0_zicsr2p0_zifencei2p0_zmmul1p0\0";
        assert_eq!(merged(&[values, values]), Ok(section(values)));
        assert_eq!(merged(&[]), Ok(Vec::new()));
        assert_eq!(merged(&[b""]), Ok(Vec::new()));
        let all = b"\x04\x10\x05rv64i2p1\0\x06\x01\x08\x01\x0a\x0b\x0c\x00\x0e\x03\x10\x02";
        assert_eq!(merged(&[all]), Ok(section(all)));
    }

    #[test]
    fn each_rule_is_kept() {
        let error = |text: &str| Err::<&[u8], _>(text.to_owned());
        type Case = (&'static [&'static [u8]], Result<&'static [u8], String>);
        let cases: [Case; 19] = [
            (&[b"\x04\x10", b"", b"\x04\x10"], Ok(b"\x04\x10")),
            (
                &[b"\x04\x10", b"\x04\x08"],
                error("1.o: aligns the stack to 8 bytes, but 0.o aligns the stack to 16 bytes"),
            ),
            (&[b"\x05rv64i2p1\0", b"\x05rv64i2p1_m2p0\0"], Ok(b"\x05rv64i2p1_m2p0\0")),
            (&[b"\x05rv64i2p1\0", b"\x05rv32i2p1\0"], error("1.o: is for 32-bit RISC-V, but 0.o is for rv64i2p1")),
            (&[b"\x06\x00", b"\x06\x01", b"\x06\x00"], Ok(b"\x06\x01")),
            (&[b"\x06\x00", b"\x06\x00"], Ok(b"\x06\x00")),
            (
                &[b"\x08\x01", b"\x08\x02"],
                error(
                    "1.o: is for the privileged specification, major version 2, \
                     but 0.o is for the privileged specification, major version 1",
                ),
            ),
            (&[b"\x0e\x00", b"\x0e\x01"], Ok(b"\x0e\x01")),
            (&[b"\x0e\x03", b"\x0e\x00"], Ok(b"\x0e\x03")),
            (&[b"\x0e\x02", b"\x0e\x01"], Ok(b"\x0e\x01")),
            (&[b"\x0e\x02", b"\x0e\x03"], Ok(b"\x0e\x03")),
            (&[b"\x0e\x01", b"\x0e\x03"], error("1.o: uses the atomic ABI A7, but 0.o uses the atomic ABI A6C")),
            (
                &[b"\x0e\x02", b"\x0e\x01", b"\x0e\x03"],
                error("2.o: uses the atomic ABI A7, but 1.o uses the atomic ABI A6C"),
            ),
            (&[b"\x0e\x04", b"\x0e\x00"], error("1.o: uses the atomic ABI UNKNOWN, but 0.o uses the atomic ABI 4")),
            (&[b"\x10\x00", b"\x10\x02"], Ok(b"\x10\x02")),
            (&[b"\x10\x01", b"\x10\x00"], Ok(b"\x10\x01")),
            (
                &[b"\x10\x00", b"\x10\x03"],
                error("1.o: uses register x3 in the way 3 (temporary register), but 0.o uses register x3 in the way 0"),
            ),
            (
                &[b"\x10\x01", b"\x10\x02"],
                error(
                    "1.o: uses register x3 in the way 2 (shadow stack), \
                     but 0.o uses register x3 in the way 1 (global pointer)",
                ),
            ),
            // Tags that may be passed over: a number (64) and a string (65).
            (&[b"\x40\x85\x01\x41text\0\x04\x10"], Ok(b"\x04\x10")),
        ];
        for (objects, expected) in cases {
            assert_eq!(merged(objects), expected.map(section), "{objects:?}");
        }
    }

    #[test]
    fn other_vendors_and_parts_are_passed_over() {
        let mut bytes = section(b"\x04\x10");
        // A part about a section (tag 2), and a subsection of another vendor.
        bytes[1] += 9;
        bytes.extend(b"\x02\x09\0\0\0\x04\x08\x05\x05");
        bytes.extend(b"\x0b\0\0\0nobody\0");
        assert_eq!(Attributes::parse(&bytes).unwrap(), parse(b"\x04\x10"));
    }

    #[test]
    fn broken_sections_are_refused() {
        for (bytes, expected) in [
            (b"B".to_vec(), "at offset 0x0: the version is not 'A'"),
            (section(b"\x03x\0"), "attribute 3 is not known, and may not be passed over"),
            (section(b"\x12\x01"), "attribute 18 is not known, and may not be passed over"),
            (section(b"\x05rv64\0"), "architecture string 'rv64': '' is no extension with its version, as 'm2p0'"),
            (section(b"\x05rv64i2p1"), "at offset 0x11: the architecture string does not end"),
            (b"A\x03\0\0\0".to_vec(), "at offset 0x5: a length is wrong"),
            (b"A\xff\0\0\0".to_vec(), "at offset 0x5: a length is wrong"),
            (b"A\x06\0\0\0zz".to_vec(), "at offset 0x5: a vendor's name does not end"),
        ] {
            assert_eq!(Attributes::parse(&bytes).unwrap_err(), expected, "{bytes:?}");
        }
        let whole = section(b"\x04\x10\x05rv64i2p1\0");
        for length in 2..whole.len() {
            assert!(Attributes::parse(&whole[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Attributes::parse(&bytes);
            let _ = Attributes::parse(&section(&bytes));
        }

        #[test]
        fn order_makes_no_difference(objects in proptest::collection::vec((0..3_u8, 0..3_u8, 0..2_u8), 1..5)) {
            let objects: Vec<[u8; 6]> = objects.iter().map(|(a, x, u)| [6, *u, 14, *a, 16, *x]).collect();
            let forth: Vec<&[u8]> = objects.iter().map(|object| &object[..]).collect();
            let back: Vec<&[u8]> = forth.iter().rev().copied().collect();
            let (forth, back) = (merged(&forth), merged(&back));
            prop_assert_eq!(forth.clone().ok(), back.ok());
        }
    }
}
