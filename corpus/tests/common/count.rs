//! Counts what is in an archive.

use std::collections::BTreeMap;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _, RelocationFlags};

/// Sizes and relocations of an archive's text members.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Relocations by psABI name without `R_X86_64_`.
    pub(crate) relocations: BTreeMap<&'static str, usize>,
    /// Kinds of relocation by section.
    pub(crate) kinds: BTreeMap<String, Vec<&'static str>>,
    /// Bytes of sections by name.
    pub(crate) sections: BTreeMap<String, u64>,
}

/// The psABI's name of a relocation type.
fn name(kind: u32) -> &'static str {
    match kind {
        1 => "64",
        2 => "PC32",
        4 => "PLT32",
        9 => "GOTPCREL",
        10 => "32",
        25 => "GOTOFF64",
        26 => "GOTPC32",
        41 => "GOTPCRELX",
        42 => "REX_GOTPCRELX",
        _ => panic!("relocation type {kind} is none of those that Julia's archives have"),
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
                let kind = name(r_type.0);
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
