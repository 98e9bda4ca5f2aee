//! Program properties: `.note.gnu.property` (Linux gABI extensions, *Program Property*; x86-64 psABI and AArch64 ELF ABI
//! for the processors' own).
//!
//! An object states what its code needs, what it may do, and what it is prepared for, as a list of typed values in a note
//! of type `NT_GNU_PROPERTY_TYPE_0`. The image states the same for all objects together; how the values of a type are
//! brought together is part of the type, by ranges:
//!
//! | type | rule | left out where |
//! |---|---|---|
//! | `GNU_PROPERTY_STACK_SIZE` | largest | no object has it |
//! | `GNU_PROPERTY_NO_COPY_ON_PROTECTED` | present in any | no object has it |
//! | `…_UINT32_AND_LO…HI`, x86 and AArch64 `FEATURE_1_AND` | bits set in all, absent is 0 | no bit is left |
//! | `…_UINT32_OR_LO…HI`, x86 `ISA_1_NEEDED`, `FEATURE_2_NEEDED` | bits set in any | no bit is set |
//! | x86 `ISA_1_USED`, `FEATURE_2_USED` | bits set in any | an object does not have it |
//!
//! Types that are not in this table are left out: what they would mean for the image is not known. Shared libraries
//! take no part.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use object::elf::{EM_386, EM_AARCH64, EM_RISCV, EM_X86_64, Machine, NT_GNU_PROPERTY_TYPE_0};

use crate::reader::{Malformed, Reader};

/// The properties of one object, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Type → rule and value, of what counts if one object states it.
    any: BTreeMap<u32, (Rule, u64)>,
    /// The same of what counts only if all objects state it: what one does not is gone for good.
    all: BTreeMap<u32, (Rule, u64)>,
}

/// How the values of a type are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The largest number, of the size of an address.
    Largest,
    /// No value: it is there or not.
    Present,
    /// The bits that are set in all objects.
    And,
    /// The bits that are set in any object.
    Or,
    /// The bits that are set in any object, if all have the property.
    OrInAll,
}

const STACK_SIZE: u32 = 1;
const NO_COPY_ON_PROTECTED: u32 = 2;
/// x86: `GNU_PROPERTY_X86_FEATURE_1_AND`.
const X86_FEATURE_1_AND: u32 = 0xc000_0002;
/// AArch64 and RISC-V: `GNU_PROPERTY_…_FEATURE_1_AND`.
const FEATURE_1_AND: u32 = 0xc000_0000;

/// x86, in `FEATURE_1_AND`: indirect branches lead to `endbr` instructions only. The image's PLT must do its part.
pub(crate) const X86_FEATURE_1_IBT: u32 = 1;

/// x86, in `FEATURE_1_AND`: code goes with a shadow stack.
pub(crate) const X86_FEATURE_1_SHSTK: u32 = 2;

/// AArch64, in `FEATURE_1_AND`: indirect branches lead to landing pads only. The image's PLT must do its part.
pub(crate) const AARCH64_FEATURE_1_BTI: u32 = 1;

/// RISC-V, in `FEATURE_1_AND`: indirect jumps lead to landing pads only, which have labels by the type of their function or
/// have none (`GNU_PROPERTY_RISCV_FEATURE_1_CFI_LP_FUNC_SIG`, `…_UNLABELED`). The image's PLT must do its part.
pub(crate) const RISCV_FEATURE_1_LANDING_PADS: u32 = 1 | 4;

impl Properties {
    /// The properties of an object that states none.
    pub(crate) fn absent() -> Self {
        Self::default()
    }

    /// Reads a `.note.gnu.property` section of an object for `machine`.
    ///
    /// Notes and properties are aligned to 8 bytes where `class64`, else to 4. Several notes, several properties of one
    /// type, and any order are accepted, as `ld -r` may leave them.
    ///
    /// # Errors
    /// A note or a property is cut off, or a property has another size than its type.
    pub(crate) fn parse(section: &[u8], class64: bool, machine: Machine) -> Result<Self, Malformed> {
        const CUT: &str = "a property note is cut off";
        let alignment = if class64 { 8 } else { 4 };
        let mut properties = Self::absent();
        let mut reader = Reader::new(section);
        while reader.remaining() > 0 {
            let name_size = reader.u32(CUT)?;
            let size = reader.u32(CUT)?;
            let kind = reader.u32(CUT)?;
            let name = reader.take(u64::from(name_size), CUT)?;
            pad(&mut reader, alignment);
            let end = reader.offset().saturating_add(u64::from(size));
            if name == b"GNU\0" && kind == NT_GNU_PROPERTY_TYPE_0.0 {
                properties.parse_array(reader.until(end, CUT)?, alignment, machine)?;
            }
            reader.skip(u64::from(size), CUT)?;
            pad(&mut reader, alignment);
        }
        Ok(properties)
    }

    /// Reads the properties of one note, which are all that `reader` has left.
    fn parse_array(&mut self, mut reader: Reader<'_>, alignment: u64, machine: Machine) -> Result<(), Malformed> {
        const CUT: &str = "a program property is cut off";
        while reader.remaining() > 0 {
            let start = reader;
            let kind = reader.u32(CUT)?;
            let size = u64::from(reader.u32(CUT)?);
            let mut value = reader;
            reader.skip(size, CUT)?;
            pad(&mut reader, alignment);
            let Some(rule) = Rule::of(kind, machine) else { continue };
            if size != rule.size(alignment) {
                return Err(start.malformed("a program property has another size than its type says"));
            }
            let value = match size {
                0 => 0,
                4 => u64::from(value.u32(CUT)?),
                _ => value.u64(CUT)?,
            };
            self.add(kind, rule, value);
        }
        Ok(())
    }

    /// Adds what another section of the same object states.
    pub(crate) fn add_section(&mut self, other: &Self) {
        for (kind, rule, value) in other.values() {
            self.add(kind, rule, value);
        }
    }

    fn add(&mut self, kind: u32, rule: Rule, value: u64) {
        let values = if rule.is_of_all() { &mut self.all } else { &mut self.any };
        let (_, own) = values.entry(kind).or_insert((rule, value));
        *own = match rule {
            Rule::Largest => value.max(*own),
            Rule::Present => 0,
            Rule::And | Rule::Or | Rule::OrInAll => value | *own,
        };
    }

    /// Type, rule and value of each property.
    fn values(&self) -> impl Iterator<Item = (u32, Rule, u64)> {
        self.any.iter().chain(&self.all).map(|(&kind, &(rule, value))| (kind, rule, value))
    }

    /// Brings the properties of a further object in. The order of objects makes no difference, and what it costs depends on
    /// what that object states, not on what is known already.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.all.retain(|kind, (rule, value)| {
            let Some((_, bits)) = other.all.get(kind) else { return false };
            *value = if *rule == Rule::And { *value & bits } else { *value | bits };
            true
        });
        for (&kind, &(rule, value)) in &other.any {
            self.add(kind, rule, value);
        }
    }

    /// Sets bits of `FEATURE_1_AND`, whatever objects state.
    pub(crate) fn demand(&mut self, bits: u32, aarch64: bool) {
        let kind = if aarch64 { FEATURE_1_AND } else { X86_FEATURE_1_AND };
        self.add(kind, Rule::And, bits.into());
    }

    /// Clears bits of AArch64's and RISC-V's `FEATURE_1_AND`, whatever objects state.
    pub(crate) fn withdraw(&mut self, bits: u32) {
        if let Some((_, value)) = self.all.get_mut(&FEATURE_1_AND) {
            *value &= !u64::from(bits);
        }
    }

    /// The bits of x86's `FEATURE_1_AND`: [`X86_FEATURE_1_IBT`] and others.
    pub(crate) fn x86_features(&self) -> u32 {
        let value = self.all.get(&X86_FEATURE_1_AND).map_or(0, |(_, value)| *value);
        u32::try_from(value).unwrap_or(0)
    }

    /// The bits of AArch64's `FEATURE_1_AND`: [`AARCH64_FEATURE_1_BTI`] and others.
    pub(crate) fn aarch64_features(&self) -> u32 {
        let value = self.all.get(&FEATURE_1_AND).map_or(0, |(_, value)| *value);
        u32::try_from(value).unwrap_or(0)
    }

    /// The image's `.note.gnu.property`, aligned to 8 bytes where `class64`, else to 4; empty where there is nothing to
    /// state.
    pub(crate) fn write(&self, class64: bool) -> Vec<u8> {
        let alignment: u64 = if class64 { 8 } else { 4 };
        let mut array = Vec::new();
        // Ascending by type, as the extensions have it.
        let mut values: Vec<_> = self.values().collect();
        values.sort_unstable_by_key(|(kind, ..)| *kind);
        for (kind, rule, value) in values {
            let vacuous = matches!(rule, Rule::And | Rule::Or) && value == 0;
            let size = rule.size(alignment);
            let bytes = value.to_le_bytes();
            let Some(bytes) = usize::try_from(size).ok().and_then(|size| bytes.get(..size)) else { continue };
            if !vacuous {
                array.extend_from_slice(&kind.to_le_bytes());
                array.extend_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
                array.extend_from_slice(bytes);
                let padding = array.len().next_multiple_of(if class64 { 8 } else { 4 });
                array.resize(padding, 0);
            }
        }
        // There are some hundred thousand types at most, of 16 bytes each.
        let Some(size) = u32::try_from(array.len()).ok().filter(|size| *size > 0) else { return Vec::new() };
        let mut note = Vec::new();
        note.extend_from_slice(&4_u32.to_le_bytes());
        note.extend_from_slice(&size.to_le_bytes());
        note.extend_from_slice(&NT_GNU_PROPERTY_TYPE_0.0.to_le_bytes());
        note.extend_from_slice(b"GNU\0");
        note.append(&mut array);
        note
    }
}

impl Rule {
    /// Whether a property counts only if all objects state it.
    fn is_of_all(self) -> bool {
        matches!(self, Self::And | Self::OrInAll)
    }

    /// The rule of a type, `None` if the type is not known.
    fn of(kind: u32, machine: Machine) -> Option<Self> {
        let x86 = matches!(machine, EM_386 | EM_X86_64);
        match kind {
            STACK_SIZE => Some(Self::Largest),
            NO_COPY_ON_PROTECTED => Some(Self::Present),
            0xb000_0000..=0xb000_7fff => Some(Self::And),
            0xb000_8000..=0xb000_ffff => Some(Self::Or),
            // The two types before these are of an older psABI, which gave them no rule.
            X86_FEATURE_1_AND..=0xc000_7fff if x86 => Some(Self::And),
            0xc000_8000..=0xc000_ffff if x86 => Some(Self::Or),
            0xc001_0000..=0xc001_7fff if x86 => Some(Self::OrInAll),
            FEATURE_1_AND if matches!(machine, EM_AARCH64 | EM_RISCV) => Some(Self::And),
            _ => None,
        }
    }

    /// Bytes of the value; `address` is the size of an address.
    fn size(self, address: u64) -> u64 {
        match self {
            Self::Largest => address,
            Self::Present => 0,
            Self::And | Self::Or | Self::OrInAll => 4,
        }
    }
}

/// Passes over padding; at the end of the bytes it may be missing.
fn pad(reader: &mut Reader<'_>, alignment: u64) {
    let misaligned = reader.offset().checked_rem(alignment).unwrap_or(0);
    if misaligned != 0 {
        let padding = alignment.saturating_sub(misaligned).min(reader.remaining());
        let skipped = reader.skip(padding, "padding");
        debug_assert!(skipped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use proptest::prelude::*;

    const STACK: u32 = STACK_SIZE;
    const ISA_1_NEEDED: u32 = 0xc000_8002;
    const ISA_1_USED: u32 = 0xc001_0002;

    /// A note with the given properties, each of 4 bytes unless it is the stack's size or has no value.
    fn note(properties: &[(u32, u64)], class64: bool) -> Vec<u8> {
        let mut array = Vec::new();
        let alignment = if class64 { 8 } else { 4 };
        for (kind, value) in properties {
            let size = match *kind {
                STACK_SIZE => alignment,
                NO_COPY_ON_PROTECTED => 0,
                _ => 4,
            };
            array.extend(kind.to_le_bytes());
            array.extend((size as u32).to_le_bytes());
            array.extend(&value.to_le_bytes()[..size]);
            array.resize(array.len().next_multiple_of(alignment), 0);
        }
        let mut note = vec![4, 0, 0, 0];
        note.extend((array.len() as u32).to_le_bytes());
        note.extend([5, 0, 0, 0, b'G', b'N', b'U', 0]);
        note.extend(array);
        note
    }

    fn x86(properties: &[(u32, u64)]) -> Properties {
        Properties::parse(&note(properties, true), true, EM_X86_64).unwrap()
    }

    fn merged(objects: &[Properties]) -> Properties {
        let mut objects = objects.iter();
        let mut merged = objects.next().unwrap().clone();
        objects.for_each(|object| merged.merge(object));
        merged
    }

    #[test]
    fn what_was_written_is_read() {
        let all = [
            (STACK, 0x10_0000),
            (NO_COPY_ON_PROTECTED, 0),
            (0xb000_0000, 5),
            (0xb000_8000, 1),
            (X86_FEATURE_1_AND, 3),
            (ISA_1_NEEDED, 7),
            (ISA_1_USED, 0),
        ];
        for class64 in [true, false] {
            let bytes = note(&all, class64);
            let properties = Properties::parse(&bytes, class64, EM_X86_64).unwrap();
            assert_eq!(properties.write(class64), bytes);
            // Any order, in any number of notes.
            let mut notes: Vec<u8> = all.iter().rev().flat_map(|one| note(&[*one], class64)).collect();
            assert_eq!(Properties::parse(&notes, class64, EM_X86_64).unwrap(), properties);
            // Notes of others, and padding that is missing at the end.
            notes.extend([4, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0, b'G', b'N', b'U', 0, 1, 2, 3]);
            assert_eq!(Properties::parse(&notes, class64, EM_X86_64).unwrap(), properties);
        }
        assert_eq!(Properties::absent().write(true), [0_u8; 0]);
    }

    #[test]
    fn each_rule_is_kept() {
        let none = Properties::absent();
        let features = |bits| x86(&[(X86_FEATURE_1_AND, bits)]);
        let needed = |bits| x86(&[(ISA_1_NEEDED, bits)]);
        let used = |bits| x86(&[(ISA_1_USED, bits)]);
        let stack = |size| x86(&[(STACK, size)]);
        let protected = x86(&[(NO_COPY_ON_PROTECTED, 0)]);
        for (objects, expected) in [
            (vec![features(3), features(3)], features(3)),
            (vec![features(3), features(1)], features(1)),
            (vec![features(3), none.clone()], none.clone()),
            (vec![none.clone(), features(3), features(3)], none.clone()),
            (vec![features(1), features(2)], none.clone()),
            (vec![needed(1), needed(4), none.clone()], needed(5)),
            (vec![needed(0)], none.clone()),
            (vec![used(1), used(4)], used(5)),
            (vec![used(0), used(0)], used(0)),
            (vec![used(1), none.clone(), used(4)], none.clone()),
            (vec![stack(8), none.clone(), stack(16), stack(12)], stack(16)),
            (vec![none.clone(), protected.clone(), none.clone()], protected),
        ] {
            assert_eq!(merged(&objects).write(true), expected.write(true), "{objects:?}");
            let turned: Vec<_> = objects.iter().rev().cloned().collect();
            assert_eq!(merged(&turned).write(true), expected.write(true), "{turned:?}");
        }
    }

    #[test]
    fn types_belong_to_machines() {
        let bytes = note(&[(FEATURE_1_AND, 3), (X86_FEATURE_1_AND, 3), (0xc001_8000, 1), (0xe000_0000, 1)], true);
        let written = |machine| Properties::parse(&bytes, true, machine).unwrap().write(true);
        assert_eq!(written(EM_X86_64), note(&[(X86_FEATURE_1_AND, 3)], true));
        assert_eq!(written(EM_AARCH64), note(&[(FEATURE_1_AND, 3)], true));
        assert_eq!(written(object::elf::EM_PPC64), [0_u8; 0]);
        let mut properties = Properties::parse(&bytes, true, EM_RISCV).unwrap();
        properties.withdraw(RISCV_FEATURE_1_LANDING_PADS);
        assert_eq!(properties.write(true), note(&[(FEATURE_1_AND, 2)], true));
    }

    #[test]
    fn features_are_told() {
        assert_eq!(x86(&[(X86_FEATURE_1_AND, 3)]).x86_features(), X86_FEATURE_1_IBT | 2);
        assert_eq!(Properties::absent().x86_features(), 0);
    }

    #[test]
    fn broken_notes_are_refused() {
        let whole = note(&[(X86_FEATURE_1_AND, 3), (STACK, 8)], true);
        for length in 1..whole.len() {
            assert!(Properties::parse(&whole[..length], true, EM_X86_64).is_err(), "{length}");
        }
        let mut wrong = whole.clone();
        wrong[20] = 3;
        let error = Properties::parse(&wrong, true, EM_X86_64).unwrap_err();
        assert_eq!(error.to_string(), "a program property has another size than its type says (at offset 0x10)");
        // An unknown type may have any size.
        wrong[16] = 0;
        assert!(Properties::parse(&wrong, true, EM_X86_64).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..120), class64 in any::<bool>()) {
            let _ = Properties::parse(&bytes, class64, EM_X86_64);
        }

        #[test]
        fn changed_notes_are_read_or_refused(at in 0..64_usize, value in any::<u8>(), class64 in any::<bool>()) {
            let mut bytes = note(&[(STACK, 8), (X86_FEATURE_1_AND, 3), (ISA_1_USED, 1)], class64);
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(properties) = Properties::parse(&bytes, class64, EM_X86_64) {
                let written = properties.write(class64);
                let again = Properties::parse(&written, class64, EM_X86_64).unwrap();
                prop_assert_eq!(again.write(class64), written);
            }
        }

        #[test]
        fn order_makes_no_difference(objects in proptest::collection::vec(proptest::collection::vec((0..4_usize, 0..8_u64), 0..4), 1..6)) {
            let kinds = [STACK, X86_FEATURE_1_AND, ISA_1_NEEDED, ISA_1_USED];
            let object = |list: &Vec<(usize, u64)>| x86(&list.iter().map(|(kind, value)| (kinds[*kind], *value)).collect::<Vec<_>>());
            let objects: Vec<_> = objects.iter().map(object).collect();
            let turned: Vec<_> = objects.iter().rev().cloned().collect();
            prop_assert_eq!(merged(&objects).write(true), merged(&turned).write(true));
        }
    }
}
