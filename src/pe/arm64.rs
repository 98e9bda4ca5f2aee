//! Relocations of COFF objects for Arm64.
//!
//! Addends stand in the fields, as for every CPU, also where the field is part of an instruction. That of an `adrp` (REL21
//! of a page) has 21 bits for pages but holds an addend of *bytes*: sym+0x1234 is `adrp x0, 0x1234` and
//! `add x0, x0, 0x234` before they are relocated, which together give the page and the low 12 bits of one sum.
//!
//! A few kinds say what they store but not how: an offset in a page goes into an addition (`…12A`) or into a load or
//! store (`…12L`), which counts it in units of what it accesses. So the instruction has to be looked at, and for that its
//! form becomes part of the kind when a relocation is decoded: [`with_form`].
//!
//! Letters are those of [`reloc`](crate::reloc); B is the image's base, and Section(S) the start of S's section:
//!
//! | kind | number | where |
//! |---|---|---|
//! | ADDR64, ADDR32 | S + A | word |
//! | ADDR32NB | S + A − B | word |
//! | REL32 | S + A − (P + 4) | word |
//! | SECREL | S + A − Section(S) | word |
//! | SECTION | the section's number | half a word |
//! | BRANCH26, BRANCH19, BRANCH14 | S + A − P | `b`, `bl`; `b.cond`, `cbz`; `tbz` |
//! | PAGEBASE_REL21 | Page(S + A) − Page(P) | `adrp` |
//! | REL21 | S + A − P | `adr` |
//! | PAGEOFFSET_12A, PAGEOFFSET_12L | (S + A) mod 4096 | `add`; `ldr`, `str` |
//! | SECREL_LOW12A, SECREL_LOW12L | (S + A − Section(S)) mod 4096 | the same |
//! | SECREL_HIGH12A | (S + A − Section(S)) / 4096 | `add …, lsl #12` |
//!
//! Source: PE/COFF specification, *Type Indicators*, *ARM64 Processors*; for addends in instructions, of which it says
//! nothing, what LLVM's assembler writes and both its linkers read.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::pe;

use crate::arch::aarch64::Imm;
use crate::reloc::{Field, Origin, Reason, Value, What};

/// The kinds' names, which the prefix `IMAGE_REL_ARM64_` makes complete.
pub(super) const NAMES: [(u16, &str); 18] = [
    (0, "ABSOLUTE"),
    (1, "ADDR32"),
    (2, "ADDR32NB"),
    (3, "BRANCH26"),
    (4, "PAGEBASE_REL21"),
    (5, "REL21"),
    (6, "PAGEOFFSET_12A"),
    (7, "PAGEOFFSET_12L"),
    (8, "SECREL"),
    (9, "SECREL_LOW12A"),
    (10, "SECREL_HIGH12A"),
    (11, "SECREL_LOW12L"),
    (12, "TOKEN"),
    (13, "SECTION"),
    (14, "ADDR64"),
    (15, "BRANCH19"),
    (16, "BRANCH14"),
    (17, "REL32"),
];

/// What the low half of a kind is in the object; the upper half is the form of the instruction.
pub(super) const KIND: u32 = 0xffff;
const FORM_SHIFT: u32 = 16;
/// `add`, `adds` of a number as it is.
const ADD: u32 = 1;
/// `add`, `adds` of a number that is shifted by 12 bits.
const ADD_SHIFTED: u32 = 2;
/// A load or store with an unsigned offset; the binary logarithm of the bytes that it accesses is added.
const LOAD: u32 = 3;

/// The form of an instruction that the low bits of a number can go into; 0 for others (DDI 0487, C4.1, *Add/subtract
/// (immediate)* and *Load/store register (unsigned immediate)*).
fn form(instruction: u32) -> u32 {
    // sf 0 S 100010 sh imm12 Rn Rd.
    if instruction & 0x5f80_0000 == 0x1100_0000 {
        return if instruction & 1 << 22 == 0 { ADD } else { ADD_SHIFTED };
    }
    match Imm::of_page_offset(instruction) {
        Some(Imm::Load12 { shift }) => LOAD.wrapping_add(shift.into()),
        _ => 0,
    }
}

/// A kind, with the form of the instruction at the start of `field` if it depends on that.
pub(super) fn with_form(kind: u16, field: &[u8]) -> u32 {
    let form = match pe::RelocationType(kind) {
        pe::IMAGE_REL_ARM64_PAGEOFFSET_12A
        | pe::IMAGE_REL_ARM64_PAGEOFFSET_12L
        | pe::IMAGE_REL_ARM64_SECREL_LOW12A
        | pe::IMAGE_REL_ARM64_SECREL_HIGH12A
        | pe::IMAGE_REL_ARM64_SECREL_LOW12L => field.first_chunk().map_or(0, |bytes| form(u32::from_le_bytes(*bytes))),
        _ => 0,
    };
    u32::from(kind) | form << FORM_SHIFT
}

/// The addend that a field holds.
pub(super) fn addend(kind: u32, field: &[u8]) -> Option<i64> {
    let known = pe::RelocationType(u16::try_from(kind & KIND).ok()?);
    match known {
        pe::IMAGE_REL_ARM64_PAGEBASE_REL21 => Imm::Adr.load(field),
        pe::IMAGE_REL_ARM64_REL32 => Field::I32.load(field)?.checked_sub(4),
        _ => table(kind)?.1.load(field),
    }
}

/// What a kind asks for, with the form of its instruction; `None` if it is unknown or the instruction is not one of its own.
pub(super) fn table(kind: u32) -> Option<(Value, Field)> {
    use Imm::{Add12, Add12High, Adr, Adrp, Branch14, Branch26, Words19};
    use Origin::{Image, Page, PageOffset, Place, Section, SectionPageOffset, Zero};
    use What::{Nothing, Plt, SectionNumber, Symbol};
    let form = kind >> FORM_SHIFT;
    let imm = |imm: Imm| Field::Aarch64(imm);
    let add = || (form == ADD).then_some(imm(Add12));
    let load = || {
        let shift = form.checked_sub(LOAD).and_then(|shift| u8::try_from(shift).ok()).filter(|shift| *shift <= 4)?;
        Some(imm(Imm::Load12 { shift }))
    };
    Some(match pe::RelocationType(u16::try_from(kind & KIND).ok()?) {
        pe::IMAGE_REL_ARM64_ABSOLUTE => (Nothing.from(Zero), Field::Nothing),
        pe::IMAGE_REL_ARM64_ADDR32 => (Symbol.from(Zero), Field::U32),
        pe::IMAGE_REL_ARM64_ADDR64 => (Symbol.from(Zero), Field::U64),
        pe::IMAGE_REL_ARM64_ADDR32NB => (Symbol.from(Image), Field::U32),
        pe::IMAGE_REL_ARM64_REL32 => (Symbol.from(Place), Field::I32),
        pe::IMAGE_REL_ARM64_SECREL => (Symbol.from(Section), Field::U32),
        pe::IMAGE_REL_ARM64_SECTION => (SectionNumber.from(Zero), Field::Any16),
        pe::IMAGE_REL_ARM64_BRANCH26 => (Plt.from(Place), imm(Branch26)),
        pe::IMAGE_REL_ARM64_BRANCH19 => (Plt.from(Place), imm(Words19)),
        pe::IMAGE_REL_ARM64_BRANCH14 => (Plt.from(Place), imm(Branch14)),
        pe::IMAGE_REL_ARM64_PAGEBASE_REL21 => (Symbol.from(Page), imm(Adrp)),
        pe::IMAGE_REL_ARM64_REL21 => (Symbol.from(Place), imm(Adr)),
        pe::IMAGE_REL_ARM64_PAGEOFFSET_12A => (Symbol.from(PageOffset), add()?),
        pe::IMAGE_REL_ARM64_PAGEOFFSET_12L => (Symbol.from(PageOffset), load()?),
        pe::IMAGE_REL_ARM64_SECREL_LOW12A => (Symbol.from(SectionPageOffset), add()?),
        pe::IMAGE_REL_ARM64_SECREL_LOW12L => (Symbol.from(SectionPageOffset), load()?),
        // The specification wants no shift, compilers and what the code means want one.
        pe::IMAGE_REL_ARM64_SECREL_HIGH12A if matches!(form, ADD | ADD_SHIFTED) => {
            (Symbol.from(Section), imm(Add12High))
        }
        _ => return None,
    })
}

/// Why a kind that [`table`] does not know cannot be linked, where there is a reason to tell.
pub(super) fn refusal(kind: u32) -> Option<Reason> {
    match pe::RelocationType(u16::try_from(kind & KIND).ok()?) {
        pe::IMAGE_REL_ARM64_TOKEN => Some("it is a token of managed code, which only .NET's linker knows"),
        pe::IMAGE_REL_ARM64_PAGEOFFSET_12A | pe::IMAGE_REL_ARM64_SECREL_LOW12A | pe::IMAGE_REL_ARM64_SECREL_HIGH12A => {
            Some("the instruction is no addition of a number of 12 bits")
        }
        pe::IMAGE_REL_ARM64_PAGEOFFSET_12L | pe::IMAGE_REL_ARM64_SECREL_LOW12L => {
            Some("the instruction is no load or store with an unsigned offset")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::unwrap_used)]

    use pe::*;

    use super::*;

    /// *ARM64 Processors*: the kind, an instruction or word with an addend, what it asks for, and the addend. Instructions
    /// are `llvm-mc --triple=aarch64-windows --show-encoding` of the text in the margin.
    #[rustfmt::skip]
    fn kinds() -> [(RelocationType, u32, Value, Field, i64); 21] {
        use Origin::{Image, Page, PageOffset, Place, Section, SectionPageOffset, Zero};
        use What::{Nothing, Plt, SectionNumber, Symbol};
        let imm = |imm: Imm| Field::Aarch64(imm);
        let load = |shift: u8| Field::Aarch64(Imm::Load12 { shift });
        [
            (IMAGE_REL_ARM64_ABSOLUTE, 7, Nothing.from(Zero), Field::Nothing, 0),
            (IMAGE_REL_ARM64_ADDR32, 8, Symbol.from(Zero), Field::U32, 8),
            (IMAGE_REL_ARM64_ADDR32NB, 0xffff_fffc, Symbol.from(Image), Field::U32, -4),
            (IMAGE_REL_ARM64_BRANCH26, 0x9400_0001, Plt.from(Place), imm(Imm::Branch26), 4), // bl #4
            (IMAGE_REL_ARM64_PAGEBASE_REL21, 0x9000_91a0, Symbol.from(Page), imm(Imm::Adrp), 0x1234), // adrp, immhi 0x48d
            (IMAGE_REL_ARM64_PAGEBASE_REL21, 0xf0ff_ffe0, Symbol.from(Page), imm(Imm::Adrp), -1), // adrp x0, #-0x1000
            (IMAGE_REL_ARM64_REL21, 0x70ff_ffe0, Symbol.from(Place), imm(Imm::Adr), -1), // adr x0, #-1
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0x9108_d021, Symbol.from(PageOffset), imm(Imm::Add12), 0x234), // add x1, x1, #0x234
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0x3100_0421, Symbol.from(PageOffset), imm(Imm::Add12), 1), // adds w1, w1, #1
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0x3940_0420, Symbol.from(PageOffset), load(0), 1), // ldrb w0, [x1, #1]
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0x7900_0420, Symbol.from(PageOffset), load(1), 2), // strh w0, [x1, #2]
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0xb980_0420, Symbol.from(PageOffset), load(2), 4), // ldrsw x0, [x1, #4]
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0xf940_0420, Symbol.from(PageOffset), load(3), 8), // ldr x0, [x1, #8]
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0x3dc0_0420, Symbol.from(PageOffset), load(4), 16), // ldr q0, [x1, #16]
            (IMAGE_REL_ARM64_SECREL, 3, Symbol.from(Section), Field::U32, 3),
            (IMAGE_REL_ARM64_SECREL_LOW12A, 0x9100_0c21, Symbol.from(SectionPageOffset), imm(Imm::Add12), 3), // add x1, x1, #3
            (IMAGE_REL_ARM64_SECREL_HIGH12A, 0x9140_0821, Symbol.from(Section), imm(Imm::Add12High), 0x2000), // add x1, x1, #2, lsl #12
            (IMAGE_REL_ARM64_SECREL_LOW12L, 0xb940_0420, Symbol.from(SectionPageOffset), load(2), 4), // ldr w0, [x1, #4]
            (IMAGE_REL_ARM64_SECTION, 0, SectionNumber.from(Zero), Field::Any16, 0),
            (IMAGE_REL_ARM64_ADDR64, 5, Symbol.from(Zero), Field::U64, 5),
            (IMAGE_REL_ARM64_REL32, 0, Symbol.from(Place), Field::I32, -4),
        ]
    }

    #[test]
    fn kinds_ask_for_what_the_specification_says() {
        for (kind, word, value, field, expected) in kinds() {
            let bytes = [word.to_le_bytes(), [0; 4]].concat();
            let whole = with_form(kind.0, &bytes);
            assert_eq!(whole & KIND, u32::from(kind.0));
            assert_eq!(table(whole), Some((value, field)), "{kind:?} {word:08x}");
            assert_eq!(addend(whole, &bytes), Some(expected), "{kind:?} {word:08x}");
        }
        for kind in [IMAGE_REL_ARM64_BRANCH19, IMAGE_REL_ARM64_BRANCH14] {
            let field = table(kind.0.into()).unwrap();
            assert_eq!(field.0, What::Plt.from(Origin::Place));
        }
        assert_eq!(addend(IMAGE_REL_ARM64_BRANCH19.0.into(), &0x5480_0001_u32.to_le_bytes()), Some(-0x10_0000));
        assert_eq!(addend(IMAGE_REL_ARM64_BRANCH14.0.into(), &0x371c_0001_u32.to_le_bytes()), Some(-0x8000));
    }

    /// The widths of the fields that the table names, as the first numbers that do not fit.
    #[test]
    fn ranges_are_those_of_the_fields() {
        let word =
            |kind: RelocationType, instruction: u32| table(with_form(kind.0, &instruction.to_le_bytes())).unwrap().1;
        for (kind, instruction, below, above, step) in [
            (IMAGE_REL_ARM64_BRANCH26, 0, -(1_i64 << 27), 1_i64 << 27, 4),
            (IMAGE_REL_ARM64_BRANCH19, 0, -(1 << 20), 1 << 20, 4),
            (IMAGE_REL_ARM64_BRANCH14, 0, -(1 << 15), 1 << 15, 4),
            (IMAGE_REL_ARM64_PAGEBASE_REL21, 0, -(1 << 32), 1 << 32, 4096),
            (IMAGE_REL_ARM64_REL21, 0, -(1 << 20), 1 << 20, 1),
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0x9100_0000, 0, 1 << 12, 1),
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0xf940_0000, 0, 1 << 12, 8),
            (IMAGE_REL_ARM64_SECREL_LOW12A, 0x9100_0000, 0, 1 << 12, 1),
            (IMAGE_REL_ARM64_SECREL_HIGH12A, 0x9140_0000, 0, 1 << 24, 1),
            (IMAGE_REL_ARM64_SECREL_LOW12L, 0x3dc0_0000, 0, 1 << 12, 16),
            (IMAGE_REL_ARM64_ADDR32, 0, 0, 1 << 32, 1),
            (IMAGE_REL_ARM64_ADDR32NB, 0, 0, 1 << 32, 1),
            (IMAGE_REL_ARM64_SECREL, 0, 0, 1 << 32, 1),
            (IMAGE_REL_ARM64_REL32, 0, -(1 << 31), 1 << 31, 1),
        ] {
            let field = word(kind, instruction);
            assert_eq!((field.range(), field.step()), ((below, above - 1), step), "{kind:?}");
        }
    }

    #[test]
    fn other_instructions_are_refused() {
        for (kind, instruction) in [
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0xf940_0020_u32), // ldr x0, [x1]
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0x9140_0021),     // add x1, x1, #0, lsl #12
            (IMAGE_REL_ARM64_PAGEOFFSET_12A, 0xd100_0021),     // sub x1, x1, #0
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0x9100_0021),     // add x1, x1, #0
            (IMAGE_REL_ARM64_PAGEOFFSET_12L, 0xf840_0020),     // ldur x0, [x1]
            (IMAGE_REL_ARM64_SECREL_LOW12A, 0xd503_201f),      // nop
            (IMAGE_REL_ARM64_SECREL_LOW12L, 0x9000_0010),      // adrp x16, #0
            (IMAGE_REL_ARM64_SECREL_HIGH12A, 0xf940_0020),     // ldr x0, [x1]
            (IMAGE_REL_ARM64_TOKEN, 0),
        ] {
            let kind = with_form(kind.0, &instruction.to_le_bytes());
            assert_eq!(table(kind), None, "{kind:x} {instruction:08x}");
            assert!(refusal(kind).is_some(), "{kind:x}");
        }
        // One that is cut off has no form.
        assert_eq!(table(with_form(IMAGE_REL_ARM64_PAGEOFFSET_12A.0, &[0; 3])), None);
        assert_eq!((table(18), refusal(18)), (None, None));
        assert_eq!(table(0x8_0007), None);
    }
}
