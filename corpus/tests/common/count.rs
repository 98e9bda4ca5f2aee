//! Counts what is in an archive.

use std::collections::BTreeMap;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Architecture, Object as _, ObjectSection as _, RelocationFlags};

/// Sizes and relocations of an archive's text members.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Relocations by psABI name without `R_` and the processor.
    pub(crate) relocations: BTreeMap<&'static str, usize>,
    /// Kinds of relocation by section.
    pub(crate) kinds: BTreeMap<String, Vec<&'static str>>,
    /// Bytes of sections by name.
    pub(crate) sections: BTreeMap<String, u64>,
}

/// The psABI's name of a relocation type, without `R_` and the processor's name.
fn name(architecture: Architecture, kind: u32) -> &'static str {
    use Architecture::{Aarch64, Arm, I386, PowerPc64, Riscv64, X86_64};
    match (architecture, kind) {
        (X86_64, 1) => "64",
        (X86_64, 2) => "PC32",
        (X86_64, 4) => "PLT32",
        (X86_64, 9) => "GOTPCREL",
        (X86_64, 10) => "32",
        (X86_64, 25) => "GOTOFF64",
        (X86_64, 26) => "GOTPC32",
        (X86_64, 41) => "GOTPCRELX",
        (X86_64, 42) => "REX_GOTPCRELX",
        (I386, 1) => "32",
        (I386, 2) => "PC32",
        (I386, 3) => "GOT32",
        (I386, 4) => "PLT32",
        (I386, 9) => "GOTOFF",
        (I386, 10) => "GOTPC",
        (I386, 43) => "GOT32X",
        (Aarch64, 257) => "ABS64",
        (Aarch64, 258) => "ABS32",
        (Aarch64, 260) => "PREL64",
        (Aarch64, 261) => "PREL32",
        (Aarch64, 275) => "ADR_PREL_PG_HI21",
        (Aarch64, 277) => "ADD_ABS_LO12_NC",
        (Aarch64, 278) => "LDST8_ABS_LO12_NC",
        (Aarch64, 282) => "JUMP26",
        (Aarch64, 283) => "CALL26",
        (Aarch64, 284) => "LDST16_ABS_LO12_NC",
        (Aarch64, 285) => "LDST32_ABS_LO12_NC",
        (Aarch64, 286) => "LDST64_ABS_LO12_NC",
        (Aarch64, 299) => "LDST128_ABS_LO12_NC",
        (Aarch64, 311) => "ADR_GOT_PAGE",
        (Aarch64, 312) => "LD64_GOT_LO12_NC",
        (Arm, 0) => "NONE",
        (Arm, 2) => "ABS32",
        (Arm, 3) => "REL32",
        (Arm, 28) => "CALL",
        (Arm, 29) => "JUMP24",
        (Arm, 42) => "PREL31",
        (Arm, 96) => "GOT_PREL",
        (Riscv64, 1) => "32",
        (Riscv64, 2) => "64",
        (Riscv64, 18) => "CALL",
        (Riscv64, 19) => "CALL_PLT",
        (Riscv64, 20) => "GOT_HI20",
        (Riscv64, 23) => "PCREL_HI20",
        (Riscv64, 24) => "PCREL_LO12_I",
        (Riscv64, 25) => "PCREL_LO12_S",
        (Riscv64, 34) => "ADD16",
        (Riscv64, 35) => "ADD32",
        (Riscv64, 36) => "ADD64",
        (Riscv64, 37) => "SUB8",
        (Riscv64, 38) => "SUB16",
        (Riscv64, 39) => "SUB32",
        (Riscv64, 40) => "SUB64",
        (Riscv64, 52) => "SUB6",
        (Riscv64, 53) => "SET6",
        (Riscv64, 54) => "SET8",
        (Riscv64, 55) => "SET16",
        (Riscv64, 56) => "SET32",
        (Riscv64, 57) => "32_PCREL",
        (Riscv64, 60) => "SET_ULEB128",
        (Riscv64, 61) => "SUB_ULEB128",
        (PowerPc64, 1) => "ADDR32",
        (PowerPc64, 10) => "REL24",
        (PowerPc64, 26) => "REL32",
        (PowerPc64, 38) => "ADDR64",
        (PowerPc64, 44) => "REL64",
        (PowerPc64, 48) => "TOC16_LO",
        (PowerPc64, 50) => "TOC16_HA",
        (PowerPc64, 64) => "TOC16_LO_DS",
        (PowerPc64, 250) => "REL16_LO",
        (PowerPc64, 252) => "REL16_HA",
        _ => panic!("relocation type {kind} of {architecture:?} is none of those that Julia's archives have"),
    }
}

/// Counts in the members whose names begin with `prefix`.
pub(crate) fn count(archive: &Path, prefix: &str) -> Counts {
    let data = std::fs::read(archive).unwrap();
    let mut counts = Counts::default();
    for member in ArchiveFile::parse(&*data).unwrap().members() {
        let member = member.unwrap();
        if !member.name().starts_with(prefix.as_bytes()) {
            continue;
        }
        let object = object::File::parse(member.data(&*data).unwrap()).unwrap();
        for section in object.sections() {
            let section_name = section.name().unwrap().to_owned();
            *counts.sections.entry(section_name.clone()).or_default() += section.size();
            for (_, relocation) in section.relocations() {
                let RelocationFlags::Elf { r_type } = relocation.flags() else { panic!("not ELF") };
                let kind = name(object.architecture(), r_type.0);
                *counts.relocations.entry(kind).or_default() += 1;
                let kinds = counts.kinds.entry(section_name.clone()).or_default();
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                    kinds.sort_unstable();
                }
            }
        }
    }
    counts
}
