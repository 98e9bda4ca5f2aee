//! COFF relocations: decoding them from the input, and what becomes of each in a DLL.
//!
//! A relocation's table has no addends: they stand in the fields. Relative kinds count from the end of the field (`REL32`)
//! or from so many bytes behind it (`REL32_1` to `REL32_5`, for instructions with an immediate after the field), which
//! here is a constant added to the addend. A DLL binds all its references when it is linked: other images are reached
//! through slots and thunks that are symbols of the image. The loader is left with one thing, adding the
//! distance from the preferred base to fields that hold addresses.
//!
//! Source: PE/COFF specification, *COFF Relocations (Object Only)*, *Type Indicators*.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::pe;

use super::arm64;
use super::parse::{base_name, is_list};
use crate::link::Link;
use crate::model::{ObjectId, Section, SectionFlags, Symbol, SymbolSection, Traits};
use crate::options::Arch;
use crate::reloc::{Action, Field, Origin, RawReloc, Reason, Reloc, Value, What};
use crate::symbols::Definition;

/// Size of a relocation, in bytes.
pub(crate) const SIZE: usize = 10;

/// The relocation of an object for `arch` that `entry` encodes; `contents` are those of the section.
#[inline]
pub(crate) fn decode(entry: &[u8; SIZE], arch: Arch, contents: &[u8]) -> RawReloc {
    let [o0, o1, o2, o3, s0, s1, s2, s3, k0, k1] = *entry;
    let offset = u32::from_le_bytes([o0, o1, o2, o3]);
    let number = u16::from_le_bytes([k0, k1]);
    let field = contents.get(offset as usize..).unwrap_or_default();
    let (kind, addend) = match (arch, amd64_addend(number, field)) {
        (Arch::X86_64, Some(addend)) => (number.into(), addend),
        _ => rare(arch, number, field),
    };
    RawReloc { offset: offset.into(), symbol: u32::from_le_bytes([s0, s1, s2, s3]), kind, addend }
}

/// The kind, with what it depends on besides its number, and the addend of a relocation.
#[inline(never)]
fn rare(arch: Arch, number: u16, field: &[u8]) -> (u32, i64) {
    let (kind, addend) = if arch == Arch::Aarch64 {
        let kind = arm64::with_form(number, field);
        (kind, arm64::addend(kind, field))
    } else {
        let kind = number.into();
        (kind, table(arch, kind).and_then(|(_, bits, bias)| bits.load(field)?.checked_add(bias)))
    };
    (kind, addend.unwrap_or(0))
}

/// The addend that stands in a field of four bytes of an x86-64 section: what [`amd64`] says, in fewer instructions.
#[inline]
fn amd64_addend(number: u16, field: &[u8]) -> Option<i64> {
    /// What each kind counts from behind the start of its field: REL32 is number 4, and the other five follow. The others
    /// have nothing to load, eight bytes, or two.
    #[rustfmt::skip]
    const BEHIND: [Option<i64>; 12] = [
        None, None, Some(0), Some(0),
        Some(4), Some(5), Some(6), Some(7), Some(8), Some(9),
        None, Some(0),
    ];
    let behind = (*BEHIND.get(usize::from(number))?)?;
    field.first_chunk().map(|bytes| i64::from(i32::from_le_bytes(*bytes)).wrapping_sub(behind))
}

/// What a kind of relocation of a CPU asks for, or `None` if it is unknown.
pub(crate) fn coff_reloc(arch: Arch, kind: u32) -> Option<(Value, Field)> {
    if arch == Arch::Aarch64 {
        return arm64::table(kind);
    }
    table(arch, kind).map(|(value, field, _)| (value, field))
}

/// Why a kind that [`coff_reloc`] does not know cannot be linked, where there is a reason to tell.
pub(crate) fn refusal(arch: Arch, kind: u32) -> Option<Reason> {
    if arch == Arch::Aarch64 { arm64::refusal(kind) } else { None }
}

/// The PE/COFF specification's name of a kind.
pub(crate) fn name(arch: Arch, kind: u32) -> String {
    let kind = if arch == Arch::Aarch64 { kind & arm64::KIND } else { kind };
    let Ok(number) = u16::try_from(kind) else { return format!("number {kind}") };
    let (prefix, names): (_, &[_]) = match arch {
        Arch::X86_64 => ("IMAGE_REL_AMD64_", &AMD64_NAMES),
        Arch::X86 => ("IMAGE_REL_I386_", &I386_NAMES),
        Arch::Aarch64 => ("IMAGE_REL_ARM64_", &arm64::NAMES),
        _ => ("", &[]),
    };
    match names.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => format!("{prefix}{name}"),
        None => format!("number {number}"),
    }
}

const AMD64_NAMES: [(u16, &str); 17] = [
    (0, "ABSOLUTE"),
    (1, "ADDR64"),
    (2, "ADDR32"),
    (3, "ADDR32NB"),
    (4, "REL32"),
    (5, "REL32_1"),
    (6, "REL32_2"),
    (7, "REL32_3"),
    (8, "REL32_4"),
    (9, "REL32_5"),
    (10, "SECTION"),
    (11, "SECREL"),
    (12, "SECREL7"),
    (13, "TOKEN"),
    (14, "SREL32"),
    (15, "PAIR"),
    (16, "SSPAN32"),
];

const I386_NAMES: [(u16, &str); 11] = [
    (0, "ABSOLUTE"),
    (1, "DIR16"),
    (2, "REL16"),
    (6, "DIR32"),
    (7, "DIR32NB"),
    (9, "SEG12"),
    (10, "SECTION"),
    (11, "SECREL"),
    (12, "TOKEN"),
    (13, "SECREL7"),
    (20, "REL32"),
];

type Row = (Value, Field, i64);

fn table(arch: Arch, kind: u32) -> Option<Row> {
    let kind = pe::RelocationType(u16::try_from(kind).ok()?);
    match arch {
        Arch::X86_64 => amd64(kind),
        Arch::X86 => i386(kind),
        _ => None,
    }
}

const NOTHING: Row = (What::Nothing.from(Origin::Zero), Field::Nothing, 0);
const SECTION: Row = (What::SectionNumber.from(Origin::Zero), Field::Any16, 0);
const SECREL: Row = (What::Symbol.from(Origin::Section), Field::U32, 0);
const IMAGE_RELATIVE: Row = (What::Symbol.from(Origin::Image), Field::U32, 0);

/// *x64 Processors*.
fn amd64(kind: pe::RelocationType) -> Option<Row> {
    let relative = |behind: i64| (What::Symbol.from(Origin::Place), Field::I32, 0_i64.wrapping_sub(behind));
    Some(match kind {
        pe::IMAGE_REL_AMD64_ABSOLUTE => NOTHING,
        pe::IMAGE_REL_AMD64_ADDR64 => (What::Symbol.from(Origin::Zero), Field::U64, 0),
        pe::IMAGE_REL_AMD64_ADDR32 => (What::Symbol.from(Origin::Zero), Field::U32, 0),
        pe::IMAGE_REL_AMD64_ADDR32NB => IMAGE_RELATIVE,
        pe::IMAGE_REL_AMD64_REL32 => relative(4),
        pe::IMAGE_REL_AMD64_REL32_1 => relative(5),
        pe::IMAGE_REL_AMD64_REL32_2 => relative(6),
        pe::IMAGE_REL_AMD64_REL32_3 => relative(7),
        pe::IMAGE_REL_AMD64_REL32_4 => relative(8),
        pe::IMAGE_REL_AMD64_REL32_5 => relative(9),
        pe::IMAGE_REL_AMD64_SECTION => SECTION,
        pe::IMAGE_REL_AMD64_SECREL => SECREL,
        _ => return None,
    })
}

/// *Intel 386 Processors*.
fn i386(kind: pe::RelocationType) -> Option<Row> {
    Some(match kind {
        pe::IMAGE_REL_I386_ABSOLUTE => NOTHING,
        pe::IMAGE_REL_I386_DIR32 => (What::Symbol.from(Origin::Zero), Field::Word32, 0),
        pe::IMAGE_REL_I386_DIR32NB => IMAGE_RELATIVE,
        pe::IMAGE_REL_I386_REL32 => (What::Symbol.from(Origin::Place), Field::Word32, -4),
        pe::IMAGE_REL_I386_SECTION => SECTION,
        pe::IMAGE_REL_I386_SECREL => SECREL,
        _ => return None,
    })
}

/// What becomes of a relocation of `section`, which is loaded, against a symbol with `traits`.
///
/// MinGW's compilers leave data behind by functions that are not part of the image: GCC knows no association, so the table of
/// a `switch` in a copy that was not taken stays, in plain `.rdata`, and one `.pdata` may have the rows of functions that
/// were taken, that were not, and that nothing refers to. Such data hold 0 where they mean the function, be it an address or
/// a distance: nobody reads them, or, as unwinders do, takes 0 for no function. Code is another matter, which would run into
/// nothing, and so are lists that are gone through from end to end, of constructors and such.
///
/// # Errors
/// Why it cannot be resolved, for a person.
pub(crate) fn classify(section: &Section<'_>, reloc: &Reloc, traits: Traits) -> Result<Action, Reason> {
    if traits.has(Traits::DISCARDED) && reloc.value.what != What::Nothing {
        let is_list = is_list(section.name) && base_name(section.name) != b".eh_frame";
        if section.flags.has(SectionFlags::EXEC) || is_list {
            return Err(
                "the symbol's section is not part of the image: another copy of its COMDAT was taken, and only that may be referred to",
            );
        }
        return Ok(Action::Link);
    }
    if traits.has(Traits::PREEMPTIBLE) {
        return match (reloc.value, reloc.field.size()) {
            (Value { what: What::Nothing, .. }, _) => Ok(Action::Link),
            (Value { what: What::Symbol, from: Origin::Zero | Origin::Place }, 4 | 8) if is_plain(reloc.field) => {
                Ok(Action::Startup)
            }
            _ => Err("start code cannot put the address of a DLL's data there; declare the data with dllimport"),
        };
    }
    if reloc.value == What::Symbol.from(Origin::Zero) && !traits.has(Traits::ABSOLUTE) {
        return Ok(Action::Relative);
    }
    Ok(Action::Link)
}

/// Whether a field holds a number in whole bytes, and nothing else.
fn is_plain(field: Field) -> bool {
    matches!(field, Field::U32 | Field::I32 | Field::Any32 | Field::Word32 | Field::U64)
}

/// The kind of base relocation that a field needs (PE/COFF specification, *Base Relocation Types*).
pub(crate) fn base_kind(field: Field) -> u16 {
    if field == Field::U64 { pe::IMAGE_REL_BASED_DIR64.0 } else { pe::IMAGE_REL_BASED_HIGHLOW.0 }
}

/// The section of the image that holds a symbol: an index into [`Plan::sections`](super::Plan::sections).
pub(crate) fn section_of(link: &Link<'_>, id: ObjectId, symbol: &Symbol) -> Option<u16> {
    let (id, symbol) = match symbol.global.get() {
        None => (id, *symbol),
        Some(global) => {
            let (root, _) = link.symbols.root(global, 0);
            match link.symbols.get(root).definition {
                Definition::Object(id, index) => (id, *link.object(id).symbols.get(index as usize)?),
                Definition::Allotted(..) | Definition::Anchor(_) => {
                    return super::section_at(link, link.global_address(root));
                }
                _ => return None,
            }
        }
    };
    let SymbolSection::In(section) = symbol.section() else { return None };
    let section = link.section(id, section);
    link.pe.section_of.get(section.output as usize).copied().filter(|_| section.is_live())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic)]
    #![allow(clippy::expect_used, clippy::cast_possible_truncation)]

    use super::*;

    /// Kinds, what is in the field, and the addend that comes of it.
    const ADDENDS: [(Arch, pe::RelocationType, [u8; 4], i64); 6] = [
        (Arch::X86_64, pe::IMAGE_REL_AMD64_REL32, [0, 0, 0, 0], -4),
        (Arch::X86_64, pe::IMAGE_REL_AMD64_REL32_5, [1, 0, 0, 0], -8),
        (Arch::X86_64, pe::IMAGE_REL_AMD64_ADDR32NB, [8, 0, 0, 0], 8),
        (Arch::X86_64, pe::IMAGE_REL_AMD64_SECREL, [0xff, 0xff, 0xff, 0xff], -1),
        (Arch::X86, pe::IMAGE_REL_I386_DIR32, [0xfc, 0xff, 0xff, 0xff], -4),
        (Arch::X86, pe::IMAGE_REL_I386_REL32, [0, 0, 0, 0], -4),
    ];

    #[test]
    fn addends_stand_in_fields() {
        for (arch, kind, field, addend) in ADDENDS {
            let mut entry = [0; SIZE];
            entry[0] = 2;
            entry[4] = 7;
            entry[8..].copy_from_slice(&kind.0.to_le_bytes());
            let contents = [&[0; 2][..], &field].concat();
            let raw = decode(&entry, arch, &contents);
            assert_eq!(raw, RawReloc { offset: 2, symbol: 7, kind: kind.0.into(), addend }, "{}", name(arch, raw.kind));
            // A field that is cut off has no addend; scanning tells.
            assert_eq!(decode(&entry, arch, contents.get(..5).unwrap_or_default()).addend, 0);
        }
    }

    #[test]
    fn the_short_way_to_an_addend_leads_where_the_table_does() {
        for field in [&[][..], &[1, 2, 3], &[0xfe, 0xff, 0xff, 0xff], &[1, 2, 3, 4, 5, 6, 7, 0x88, 9]] {
            for number in 0..20 {
                let long = rare(Arch::X86_64, number, field);
                let short = amd64_addend(number, field);
                assert_eq!((number.into(), short.unwrap_or(long.1)), long, "{number} {field:?}");
                assert_eq!(short.is_some(), matches!(number, 2..=9 | 11) && field.len() >= 4, "{number} {field:?}");
            }
        }
    }

    #[test]
    fn kinds_that_images_cannot_have_are_unknown() {
        assert_eq!(coff_reloc(Arch::X86_64, pe::IMAGE_REL_AMD64_PAIR.0.into()), None);
        assert_eq!(coff_reloc(Arch::X86, pe::IMAGE_REL_I386_SEG12.0.into()), None);
        assert_eq!(coff_reloc(Arch::X86_64, 0x1_0004), None);
        assert_eq!(coff_reloc(Arch::Riscv64, 1), None);
    }
}
