#![allow(clippy::panic)]

use super::imm::{Imm, Part};
use super::*;

/// Names, numbers, expressions and fields of psABI chapter 3, *Relocation Types*, in its order; where a group of
/// kinds differs in the part only, its first and last member.
#[rustfmt::skip]
const ABI: [(u32, &str, What, Origin, Field); 81] = {
    use Field::{Any16, Any32, I32, Nothing, Ppc64, U64};
    use Imm::{Branch14, Branch24, D, D28, D34, D34Ha30, D34Hi30, D34Lo, Ds, Dx, Word30};
    use Origin::{GotBase, Place, Zero};
    use Part::{Ha, Hi, High, HighA, Higher, Higher34, HigherA34, Highest34, HighestA, HighestA34, Lo, Whole};
    use What::{CallNoToc, CallToc, Got, Symbol, TlsBlock, TlsBlockSlot, TlsModule, TlsOffset, TlsPair, TlsStatic};
    [
        (0, "NONE", What::Nothing, Zero, Nothing),
        (1, "ADDR32", Symbol, Zero, Any32),
        (2, "ADDR24", Symbol, Zero, Ppc64(Branch24)),
        (3, "ADDR16", Symbol, Zero, Any16),
        (4, "ADDR16_LO", Symbol, Zero, Ppc64(D(Lo))),
        (5, "ADDR16_HI", Symbol, Zero, Ppc64(D(Hi))),
        (6, "ADDR16_HA", Symbol, Zero, Ppc64(D(Ha))),
        (7, "ADDR14", Symbol, Zero, Ppc64(Branch14)),
        (10, "REL24", CallToc, Place, Ppc64(Branch24)),
        (11, "REL14", CallToc, Place, Ppc64(Branch14)),
        (14, "GOT16", Got, GotBase, Ppc64(D(Whole))),
        (15, "GOT16_LO", Got, GotBase, Ppc64(D(Lo))),
        (16, "GOT16_HI", Got, GotBase, Ppc64(D(Hi))),
        (17, "GOT16_HA", Got, GotBase, Ppc64(D(Ha))),
        (26, "REL32", Symbol, Place, I32),
        (29, "PLT16_LO", Got, GotBase, Ppc64(D(Lo))),
        (31, "PLT16_HA", Got, GotBase, Ppc64(D(Ha))),
        (37, "REL30", Symbol, Place, Ppc64(Word30)),
        (38, "ADDR64", Symbol, Zero, U64),
        (39, "ADDR16_HIGHER", Symbol, Zero, Ppc64(D(Higher))),
        (42, "ADDR16_HIGHESTA", Symbol, Zero, Ppc64(D(HighestA))),
        (43, "UADDR64", Symbol, Zero, U64),
        (44, "REL64", Symbol, Place, U64),
        (47, "TOC16", Symbol, GotBase, Ppc64(D(Whole))),
        (48, "TOC16_LO", Symbol, GotBase, Ppc64(D(Lo))),
        (49, "TOC16_HI", Symbol, GotBase, Ppc64(D(Hi))),
        (50, "TOC16_HA", Symbol, GotBase, Ppc64(D(Ha))),
        (51, "TOC", What::GotBase, Zero, U64),
        (56, "ADDR16_DS", Symbol, Zero, Ppc64(Ds(Whole))),
        (57, "ADDR16_LO_DS", Symbol, Zero, Ppc64(Ds(Lo))),
        (58, "GOT16_DS", Got, GotBase, Ppc64(Ds(Whole))),
        (59, "GOT16_LO_DS", Got, GotBase, Ppc64(Ds(Lo))),
        (60, "PLT16_LO_DS", Got, GotBase, Ppc64(Ds(Lo))),
        (63, "TOC16_DS", Symbol, GotBase, Ppc64(Ds(Whole))),
        (64, "TOC16_LO_DS", Symbol, GotBase, Ppc64(Ds(Lo))),
        (67, "TLS", What::Nothing, Zero, Nothing),
        (69, "TPREL16", TlsStatic, Zero, Ppc64(D(Whole))),
        (72, "TPREL16_HA", TlsStatic, Zero, Ppc64(D(Ha))),
        (73, "TPREL64", TlsStatic, Zero, U64),
        (74, "DTPREL16", TlsBlock, Zero, Ppc64(D(Whole))),
        (75, "DTPREL16_LO", TlsBlock, Zero, Ppc64(D(Lo))),
        (77, "DTPREL16_HA", TlsBlock, Zero, Ppc64(D(Ha))),
        (78, "DTPREL64", TlsBlock, Zero, U64),
        (79, "GOT_TLSGD16", TlsPair, GotBase, Ppc64(D(Whole))),
        (82, "GOT_TLSGD16_HA", TlsPair, GotBase, Ppc64(D(Ha))),
        (83, "GOT_TLSLD16", TlsModule, GotBase, Ppc64(D(Whole))),
        (86, "GOT_TLSLD16_HA", TlsModule, GotBase, Ppc64(D(Ha))),
        (87, "GOT_TPREL16_DS", TlsOffset, GotBase, Ppc64(Ds(Whole))),
        (88, "GOT_TPREL16_LO_DS", TlsOffset, GotBase, Ppc64(Ds(Lo))),
        (89, "GOT_TPREL16_HI", TlsOffset, GotBase, Ppc64(D(Hi))),
        (90, "GOT_TPREL16_HA", TlsOffset, GotBase, Ppc64(D(Ha))),
        (91, "GOT_DTPREL16_DS", TlsBlockSlot, GotBase, Ppc64(Ds(Whole))),
        (94, "GOT_DTPREL16_HA", TlsBlockSlot, GotBase, Ppc64(D(Ha))),
        (102, "DTPREL16_LO_DS", TlsBlock, Zero, Ppc64(Ds(Lo))),
        (107, "TLSGD", What::Nothing, Zero, Nothing),
        (108, "TLSLD", What::Nothing, Zero, Nothing),
        (110, "ADDR16_HIGH", Symbol, Zero, Ppc64(D(High))),
        (115, "DTPREL16_HIGHA", TlsBlock, Zero, Ppc64(D(HighA))),
        (116, "REL24_NOTOC", CallNoToc, Place, Ppc64(Branch24)),
        (123, "PCREL_OPT", What::Nothing, Zero, Nothing),
        (124, "REL24_P9NOTOC", CallNoToc, Place, Ppc64(Branch24)),
        (128, "D34", Symbol, Zero, Ppc64(D34)),
        (129, "D34_LO", Symbol, Zero, Ppc64(D34Lo)),
        (130, "D34_HI30", Symbol, Zero, Ppc64(D34Hi30)),
        (131, "D34_HA30", Symbol, Zero, Ppc64(D34Ha30)),
        (132, "PCREL34", Symbol, Place, Ppc64(D34)),
        (133, "GOT_PCREL34", Got, Place, Ppc64(D34)),
        (134, "PLT_PCREL34", Got, Place, Ppc64(D34)),
        (136, "ADDR16_HIGHER34", Symbol, Zero, Ppc64(D(Higher34))),
        (139, "ADDR16_HIGHESTA34", Symbol, Zero, Ppc64(D(HighestA34))),
        (141, "REL16_HIGHERA34", Symbol, Place, Ppc64(D(HigherA34))),
        (142, "REL16_HIGHEST34", Symbol, Place, Ppc64(D(Highest34))),
        (144, "D28", Symbol, Zero, Ppc64(D28)),
        (146, "TPREL34", TlsStatic, Zero, Ppc64(D34)),
        (147, "DTPREL34", TlsBlock, Zero, Ppc64(D34)),
        (148, "GOT_TLSGD_PCREL34", TlsPair, Place, Ppc64(D34)),
        (149, "GOT_TLSLD_PCREL34", TlsModule, Place, Ppc64(D34)),
        (150, "GOT_TPREL_PCREL34", TlsOffset, Place, Ppc64(D34)),
        (151, "GOT_DTPREL_PCREL34", TlsBlockSlot, Place, Ppc64(D34)),
        (246, "REL16DX_HA", Symbol, Place, Ppc64(Dx(Ha))),
        (252, "REL16_HA", Symbol, Place, Ppc64(D(Ha))),
    ]
};

#[test]
fn relocations_are_those_of_the_abi() {
    for (kind, name, what, origin, field) in ABI {
        assert_eq!(elf_reloc(kind), Some((what.from(origin), field)), "{name}");
        assert_eq!(elf_reloc_name(kind), format!("R_PPC64_{name}"));
    }
}

#[test]
fn part_names_and_parts_agree() {
    for kind in 0..=255 {
        let Some((_, field)) = elf_reloc(kind) else { continue };
        let name = elf_reloc_name(kind);
        assert!(name.starts_with("R_PPC64_"), "{kind} has no name");
        let endings = [
            ("_LO", Part::Lo),
            ("_LO_DS", Part::Lo),
            ("_HI", Part::Hi),
            ("_HA", Part::Ha),
            ("_HIGH", Part::High),
            ("_HIGHA", Part::HighA),
            ("_HIGHER", Part::Higher),
            ("_HIGHERA", Part::HigherA),
            ("_HIGHEST", Part::Highest),
            ("_HIGHESTA", Part::HighestA),
            ("_HIGHER34", Part::Higher34),
            ("_HIGHERA34", Part::HigherA34),
            ("_HIGHEST34", Part::Highest34),
            ("_HIGHESTA34", Part::HighestA34),
        ];
        let ending = endings.iter().find(|(ending, _)| name.ends_with(ending) && name.contains("16"));
        match (ending, field) {
            (Some((_, part)), Field::Ppc64(Imm::D(of) | Imm::Ds(of) | Imm::Dx(of))) => assert_eq!(*part, of, "{name}"),
            (Some(_), other) => panic!("{name}: {other:?}"),
            (None, Field::Ppc64(Imm::D(of) | Imm::Ds(of))) => assert_eq!(of, Part::Whole, "{name}"),
            (None, _) => {}
        }
        let ds = matches!(field, Field::Ppc64(Imm::Ds(_)));
        assert_eq!(ds, name.ends_with("_DS"), "{name}");
    }
}

#[test]
fn what_loaders_resolve_is_not_for_objects() {
    for kind in [
        elf::R_PPC64_COPY,
        elf::R_PPC64_GLOB_DAT,
        elf::R_PPC64_JMP_SLOT,
        elf::R_PPC64_RELATIVE,
        elf::R_PPC64_DTPMOD64,
        elf::R_PPC64_IRELATIVE,
    ] {
        assert_eq!(elf_reloc(kind.0), None, "{}", elf_reloc_name(kind.0));
    }
}

#[test]
fn entry_points_are_where_st_other_says() {
    // psABI chapter 3, *Symbol Values*: the value of the three bits, the offset, whether r2 is kept, whether r12 is wanted.
    let table = [
        (0, 0, true, false),
        (1, 0, false, false),
        (2, 4, true, true),
        (3, 8, true, true),
        (4, 16, true, true),
        (5, 32, true, true),
        (6, 64, true, true),
    ];
    for (bits, offset, keeps, uses) in table {
        // With any visibility beside them.
        for visibility in 0..4 {
            let other = bits << 5 | visibility;
            assert_eq!((local_entry(other), keeps_toc(other), uses_toc(other)), (offset, keeps, uses), "{bits}");
        }
    }
}
