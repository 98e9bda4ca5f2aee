//! Which kinds of relocation and which sections the committed archives have. Needs nothing but Rust.

#![allow(clippy::unwrap_used)]

#[path = "common/count.rs"]
mod count;

use std::collections::BTreeMap;

use count::count;
use pkgld_corpus::presets::KINDS;
use pkgld_corpus::target::{ALL, Cpu, Format};
use pkgld_corpus::{Julia, committed, committed_for};

/// Kinds by section as LLVM emits them for Julia's code: for the code model, what `.text` may have; the names of the
/// data sections.
fn expected(llvm: u32, medium: bool) -> BTreeMap<&'static str, Vec<&'static str>> {
    let text: &[&str] = match (medium, llvm) {
        (false, ..16) => &["GOTPCREL", "PC32", "PLT32"],
        (false, _) => &["PC32", "PLT32", "REX_GOTPCRELX"],
        (true, _) => &["GOTOFF64", "GOTPC32", "PC32", "PLT32", "REX_GOTPCRELX"],
    };
    let large = medium && llvm >= 18;
    let mut kinds = BTreeMap::from([
        (".text", text.to_vec()),
        (".rodata", vec!["PC32"]),
        (".eh_frame", vec!["PC32"]),
        (".debug_info", vec!["32", "64"]),
        (".debug_line", vec!["64"]),
        (if large { ".ldata" } else { ".data" }, vec!["64"]),
        (if large && llvm < 22 { ".ldata.rel.ro" } else { ".data.rel.ro" }, vec!["64"]),
    ]);
    if large {
        kinds.insert(".lrodata", vec!["PC32"]);
    }
    if llvm <= 16 {
        kinds.extend([(".debug_gnu_pubnames", vec!["32"]), (".debug_gnu_pubtypes", vec!["32"])]);
    }
    kinds
}

#[test]
fn sections_have_the_kinds_that_llvm_emits() {
    for entry in committed() {
        let counts = count(&entry.path, "text");
        let medium = entry.target.code_model(entry.julia) == "medium";
        let mut expected = expected(entry.llvm, medium);
        // LLVM 16 reaches its own data by GOTOFF64 throughout, constant pools too; PC32 is left for other shards' functions.
        let lone = entry.llvm == 16 && entry.manifest.shards == 1;
        for (section, kinds) in &mut expected {
            if section.starts_with(".debug") && !counts.kinds.contains_key(".debug_info") {
                kinds.clear();
            }
            if *section == ".text" && medium && lone {
                kinds.retain(|kind| *kind != "PC32");
            }
        }
        expected.retain(|_, kinds| !kinds.is_empty());
        let found: BTreeMap<&str, Vec<&str>> = (counts.kinds.iter())
            .map(|(section, kinds)| (section.as_str(), kinds.clone()))
            .filter(|(section, _)| *section != ".debug_ranges" && *section != ".debug_loc")
            .collect();
        assert_eq!(found, expected, "{}", entry.path.display());
    }
}

#[test]
fn medium_model_archives_have_exactly_the_seven_kinds_counted_on_real_ones() {
    let mut archives = 0;
    for entry in committed() {
        let counts = count(&entry.path, "text");
        if entry.target.code_model(entry.julia) == "medium" && counts.sections.contains_key(".debug_info") {
            let mut seven = KINDS;
            seven.sort_unstable();
            assert_eq!(counts.relocations.keys().copied().collect::<Vec<_>>(), seven, "{}", entry.path.display());
            archives += 1;
        }
    }
    assert!(archives >= 8, "only {archives} archives");
}

#[test]
fn only_the_newest_generations_mark_large_sections() {
    for entry in committed() {
        let counts = count(&entry.path, if entry.julia == Julia::V1_9 { "data" } else { "sysimg" });
        let linux = entry.target.name == "linux-x86_64";
        let in_ldata = counts.sections.contains_key(".ldata");
        assert_eq!(in_ldata, entry.llvm >= 18 || linux && entry.llvm == 16, "{}", entry.path.display());
    }
}

/// Kinds by section on other processors: the processor, the versions of LLVM, the section, what its relocations are.
///
/// Text members of several shards alone have relocations for calls of what another member hides (`R_386_PC32` in
/// `.text`, and with LLVM 15 `R_RISCV_CALL`); where a lone one has less, its kinds stand in a row of their own.
const ELSEWHERE: &[(Cpu, &[u32], &str, &str)] = &[
    (Cpu::X86, &[15], ".text", "GOT32 GOTOFF GOTPC PLT32"),
    (Cpu::X86, &[19], ".text", "GOT32X GOTOFF GOTPC PC32 PLT32"),
    (Cpu::X86, &[22], ".text", "GOT32X GOTOFF GOTPC PLT32"),
    (Cpu::X86, &[15], ".rodata", "GOTOFF"),
    (Cpu::X86, &[19, 22], ".rodata", "GOTOFF PC32"),
    (Cpu::X86, &[15, 19, 22], ".eh_frame", "PC32"),
    (Cpu::X86, &[15, 19, 22], ".data", "32"),
    (Cpu::X86, &[15, 19, 22], ".data.rel.ro", "32"),
    (Cpu::X86, &[15, 19, 22], ".debug_info", "32"),
    (Cpu::X86, &[15, 19, 22], ".debug_line", "32"),
    (
        Cpu::Aarch64,
        &[15, 22],
        ".text",
        "ADD_ABS_LO12_NC ADR_GOT_PAGE ADR_PREL_PG_HI21 CALL26 JUMP26 LD64_GOT_LO12_NC LDST128_ABS_LO12_NC \
         LDST64_ABS_LO12_NC",
    ),
    (
        Cpu::Aarch64,
        &[19],
        ".text",
        "ADD_ABS_LO12_NC ADR_GOT_PAGE ADR_PREL_PG_HI21 CALL26 JUMP26 LD64_GOT_LO12_NC LDST128_ABS_LO12_NC \
         LDST16_ABS_LO12_NC LDST32_ABS_LO12_NC LDST64_ABS_LO12_NC LDST8_ABS_LO12_NC",
    ),
    (Cpu::Aarch64, &[19, 22], ".rodata", "PREL32"),
    (Cpu::Aarch64, &[15, 19, 22], ".eh_frame", "PREL32"),
    (Cpu::Aarch64, &[15, 19, 22], ".data", "ABS64"),
    (Cpu::Aarch64, &[15, 19, 22], ".data.rel.ro", "ABS64"),
    (Cpu::Aarch64, &[15, 19, 22], ".debug_info", "ABS32 ABS64"),
    (Cpu::Aarch64, &[15, 19, 22], ".debug_line", "ABS64"),
    (Cpu::Arm, &[15, 19, 22], ".text", "CALL GOT_PREL JUMP24 REL32"),
    (Cpu::Arm, &[19, 22], ".rodata", "REL32"),
    (Cpu::Arm, &[15, 19, 22], ".ARM.exidx", "NONE PREL31"),
    (Cpu::Arm, &[15, 19, 22], ".data", "ABS32"),
    (Cpu::Arm, &[15, 19, 22], ".data.rel.ro", "ABS32"),
    (Cpu::Arm, &[15, 19, 22], ".debug_frame", "ABS32"),
    (Cpu::Arm, &[15, 19, 22], ".debug_info", "ABS32"),
    (Cpu::Arm, &[15, 19, 22], ".debug_line", "ABS32"),
    (Cpu::Riscv64, &[15], ".text", "CALL CALL_PLT GOT_HI20 PCREL_HI20 PCREL_LO12_I"),
    (Cpu::Riscv64, &[19, 22], ".text", "CALL_PLT GOT_HI20 PCREL_HI20 PCREL_LO12_I PCREL_LO12_S"),
    (Cpu::Riscv64, &[15, 19, 22], ".rodata", "ADD32 SUB32"),
    (Cpu::Riscv64, &[15], ".eh_frame", "32_PCREL ADD32 SET6 SUB32 SUB6"),
    (Cpu::Riscv64, &[19], ".eh_frame", "32_PCREL ADD32 SET8 SUB32 SUB8"),
    (Cpu::Riscv64, &[22], ".eh_frame", "32_PCREL"),
    (Cpu::Riscv64, &[15, 19], ".sdata", "64"),
    (Cpu::Riscv64, &[19, 22], ".data", "64"),
    (Cpu::Riscv64, &[15, 19, 22], ".data.rel.ro", "64"),
    (Cpu::Riscv64, &[15, 19], ".debug_info", "32 64 ADD32 SUB32"),
    (Cpu::Riscv64, &[22], ".debug_info", "32 64"),
    (Cpu::Riscv64, &[15, 19], ".debug_line", "64 ADD16 SUB16"),
    (Cpu::Riscv64, &[22], ".debug_line", "64"),
    (Cpu::Ppc64, &[15, 19, 22], ".text", "REL16_HA REL16_LO REL24 TOC16_HA TOC16_LO TOC16_LO_DS"),
    (Cpu::Ppc64, &[15, 19, 22], ".toc", "ADDR64"),
    (Cpu::Ppc64, &[15, 19, 22], ".rodata", "REL32"),
    (Cpu::Ppc64, &[15, 19, 22], ".eh_frame", "REL32"),
    (Cpu::Ppc64, &[15, 19, 22], ".data", "ADDR64"),
    (Cpu::Ppc64, &[15, 19, 22], ".data.rel.ro", "ADDR64"),
    (Cpu::Ppc64, &[15, 19, 22], ".debug_info", "ADDR32 ADDR64"),
    (Cpu::Ppc64, &[15, 19, 22], ".debug_line", "ADDR64"),
];

#[test]
fn other_processors_have_the_kinds_that_llvm_emits() {
    let mut archives = 0;
    for &target in ALL.iter().filter(|target| target.cpu != Cpu::X86_64 && target.format == Format::Elf) {
        for entry in committed_for(target) {
            let counts = count(&entry.path, "text");
            if entry.path.to_str().unwrap().ends_with("guards.a") {
                // Tables of the handlers, and where they name the personality: Arm's by itself, the others' by a
                // variable of its own in a group.
                let (table, personality) = match target.cpu {
                    Cpu::Arm => (".ARM.extab", ".ARM.extab"),
                    _ => (".gcc_except_table", ".data.DW.ref.__gcc_personality_v0"),
                };
                assert!(counts.sections.contains_key(table), "{}", entry.path.display());
                assert_eq!(counts.kinds[personality].len(), 1, "{}", entry.path.display());
                continue;
            }
            let expected: BTreeMap<&str, Vec<&str>> = ELSEWHERE
                .iter()
                .filter(|(cpu, versions, ..)| *cpu == target.cpu && versions.contains(&entry.llvm))
                .map(|(.., section, kinds)| (*section, kinds.split(' ').collect()))
                .collect();
            let found: BTreeMap<&str, Vec<&str>> = (counts.kinds.iter())
                .map(|(section, kinds)| (section.as_str(), kinds.clone()))
                .filter(|(section, _)| *section != ".debug_ranges" && !section.starts_with(".debug_gnu"))
                .collect();
            assert_eq!(found, expected, "{}", entry.path.display());
            archives += 1;
        }
    }
    assert!(archives >= 18, "only {archives} archives");
}
