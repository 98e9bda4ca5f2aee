//! Section headers: gABI, "Sections".

use object::elf::*;

use super::Faults;
use crate::elf::Section;
use crate::exidx;
use crate::image::Image;
use crate::rules::{Check, Finding};

pub(super) fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) {
    let mut faults = Faults::new(Check::Sections, findings);
    if let Some(null) = image.file.sections.first() {
        let numbers = [null.kind.into(), null.flags, null.address, null.offset, null.size, null.link.into()];
        let more = [null.info.into(), null.align - 1, null.entry_size, null.name.0.len() as u64];
        // Section 0 holds the numbers that are too great for the header.
        if image.file.sections.len() < SHN_LORESERVE.into() && numbers.iter().chain(&more).any(|number| *number != 0) {
            faults.add("section 0", "all zero", format!("{null:?}"));
        }
    }
    for section in image.file.sections.iter().skip(1) {
        named(image.file.machine, section, &mut faults);
        placed(image, section, &mut faults);
        links(image, section, &mut faults);
        if section.kind == SHT_STRTAB.0 {
            let bounded = section.data.first() == Some(&0) && section.data.last() == Some(&0);
            if !bounded {
                faults.add(section.name.to_string(), "a string table that begins and ends with NUL", "another byte");
            }
        }
    }
    overlaps(image, &mut faults);
}

/// gABI, "Special Sections": tools find tables by type, people and older tools by name.
fn named(machine: u16, section: &Section<'_>, faults: &mut Faults<'_>) {
    const ARM_EXIDX: u32 = 0x7000_0001;
    const ATTRIBUTES: u32 = 0x7000_0003;
    let names: &[&str] = match SectionType(section.kind) {
        SHT_SYMTAB => &[".symtab"],
        SHT_DYNSYM => &[".dynsym"],
        SHT_STRTAB => &[".strtab", ".dynstr", ".shstrtab"],
        SHT_HASH => &[".hash"],
        SHT_GNU_HASH => &[".gnu.hash"],
        SHT_GNU_VERSYM => &[".gnu.version"],
        SHT_GNU_VERNEED => &[".gnu.version_r"],
        SHT_GNU_VERDEF => &[".gnu.version_d"],
        SHT_DYNAMIC => &[".dynamic"],
        SHT_RELR => &[".relr.dyn"],
        SHT_RELA => &[".rela.dyn", ".rela.plt"],
        SHT_REL => &[".rel.dyn", ".rel.plt"],
        SHT_INIT_ARRAY => &[".init_array"],
        SHT_FINI_ARRAY => &[".fini_array"],
        SHT_PREINIT_ARRAY => &[".preinit_array"],
        SHT_SYMTAB_SHNDX => &[".symtab_shndx"],
        // Their names are the inputs'; SHT_X86_64_UNWIND is the psABI's type of .eh_frame.
        SectionType(ARM_EXIDX | ATTRIBUTES) if Machine(machine) == EM_ARM => return,
        SectionType(ATTRIBUTES) if Machine(machine) == EM_RISCV => return,
        SHT_PROGBITS | SHT_NOBITS | SHT_NOTE | SHT_X86_64_UNWIND => return,
        _ => {
            return faults.add(
                format!("{}'s sh_type", section.name),
                "a type that is known",
                format!("{:#x}", section.kind),
            );
        }
    };
    if !names.iter().any(|name| &section.name == *name) {
        faults.add(
            format!("section of type {:#x}", section.kind),
            format!("one of {names:?}"),
            section.name.to_string(),
        );
    }
}

/// gABI, "Section Attribute Flags", the GNU extensions, and the CPU's own.
fn known_flags(machine: u16) -> u64 {
    // SHF_X86_64_LARGE; SHF_ARM_PURECODE and SHF_AARCH64_PURECODE; SHF_LINK_ORDER, which Arm's table for unwinding keeps.
    let own = match Machine(machine) {
        EM_X86_64 => 0x1000_0000,
        EM_ARM => 0x2000_0000 | SHF_LINK_ORDER.0,
        EM_AARCH64 => 0x2000_0000,
        _ => 0,
    };
    let generic = [SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_STRINGS, SHF_INFO_LINK];
    let more = [SHF_TLS, SHF_COMPRESSED, SHF_GNU_RETAIN];
    generic.iter().chain(&more).fold(own, |flags, flag| flags | flag.0)
}

fn placed(image: &Image<'_>, section: &Section<'_>, faults: &mut Faults<'_>) {
    let name = section.name.to_string();
    if !section.align.is_power_of_two() {
        faults.add(name, "sh_addralign a power of two", format!("{:#x}", section.align));
        return;
    }
    if section.flags & !known_flags(image.file.machine) != 0 {
        faults.add(format!("{name}'s sh_flags"), "flags that are known", format!("{:#x}", section.flags));
    }
    if !section.is_allocated() {
        faults.equal(format!("{name}'s sh_addr"), 0, section.address);
        return;
    }
    if !section.address.is_multiple_of(section.align) {
        faults.add(
            name.clone(),
            format!("sh_addr a multiple of {:#x}", section.align),
            format!("{:#x}", section.address),
        );
    }
    if section.size == 0 || (section.is_tls() && section.is_nobits()) {
        return;
    }
    let Some(load) = image.segment_at(section.address).filter(|load| section.end() <= load.end()) else {
        // A RELRO padding section may reach past the end of the segment's memory.
        if &section.name != ".relro_padding" {
            faults.add(name, "inside a PT_LOAD", format!("{:#x}..{:#x}", section.address, section.end()));
        }
        return;
    };
    let distance = section.address - load.address;
    if !section.is_nobits() {
        faults.equal(format!("{name}'s sh_offset"), load.offset.wrapping_add(distance), section.offset);
        if distance.saturating_add(section.size) > load.file_size {
            faults.add(name.clone(), "in the segment's file part", format!("{:#x}", section.address));
        }
    } else if !image.is_zero(section.address, section.size) {
        faults.add(name.clone(), "zeros in memory", "bytes from the file");
    }
    let allowed = |section_has: bool, flag: ProgramFlags| !section_has || load.flags & flag.0 != 0;
    if !allowed(section.is_writable(), PF_W) || !allowed(section.is_executable(), PF_X) || !allowed(true, PF_R) {
        faults.add(name, "a segment that allows what sh_flags say", format!("p_flags {}", load.flags));
    }
}

fn links(image: &Image<'_>, section: &Section<'_>, faults: &mut Faults<'_>) {
    let name = section.name.to_string();
    let word = image.word_size() as u64;
    let (symbol, rela, rel) = if word == 8 { (24, 24, 16) } else { (16, 12, 8) };
    let linked = image.file.sections.get(section.link as usize).map(|linked| linked.kind);
    let (link, entry) = match SectionType(section.kind) {
        SHT_SYMTAB | SHT_DYNSYM => (Some(SHT_STRTAB), symbol),
        SHT_RELA => (Some(SHT_DYNSYM), rela),
        SHT_REL => (Some(SHT_DYNSYM), rel),
        SHT_RELR => (None, word),
        SHT_HASH => (Some(SHT_DYNSYM), 4),
        SHT_GNU_HASH => (Some(SHT_DYNSYM), section.entry_size),
        SHT_GNU_VERSYM => (Some(SHT_DYNSYM), 2),
        SHT_GNU_VERNEED | SHT_GNU_VERDEF => (Some(SHT_STRTAB), section.entry_size),
        SHT_DYNAMIC => (Some(SHT_STRTAB), 2 * word),
        SHT_SYMTAB_SHNDX => (Some(SHT_SYMTAB), 4),
        _ if exidx::is_table(image.file.machine, section) => {
            // The code that it describes, of which there may be more than one section.
            if !image.file.sections.get(section.link as usize).is_some_and(|linked| linked.is_executable()) {
                faults.add(format!("{name}'s sh_link"), "a section of code", format!("{}", section.link));
            }
            return;
        }
        _ => {
            faults.equal(format!("{name}'s sh_link and sh_info"), (0, 0), (section.link, section.info));
            if section.entry_size != 0 && !section.is_mergeable() && !section.name.starts_with(".plt") {
                let one_word = [word, 2 * word].contains(&section.entry_size);
                if !one_word {
                    faults.add(
                        format!("{name}'s sh_entsize"),
                        "0, or an entry's size",
                        format!("{}", section.entry_size),
                    );
                }
            }
            return;
        }
    };
    if let Some(link) = link {
        let no_symbols = section.size == 0 && section.link == 0;
        if linked != Some(link.0) && !no_symbols {
            faults.add(format!("{name}'s sh_link"), format!("a section of type {}", link.0), format!("{linked:?}"));
        }
    }
    let no_info = [SHT_HASH, SHT_GNU_HASH, SHT_GNU_VERSYM, SHT_DYNAMIC, SHT_RELR].map(|kind| kind.0);
    if no_info.contains(&section.kind) {
        faults.equal(format!("{name}'s sh_info"), 0, section.info);
    }
    faults.equal(format!("{name}'s sh_entsize"), entry, section.entry_size);
    if entry != 0 && !section.size.is_multiple_of(entry) {
        faults.add(format!("{name}'s sh_size"), format!("a multiple of {entry}"), format!("{}", section.size));
    }
    let patched = image.file.sections.get(section.info as usize);
    if section.flags & SHF_INFO_LINK.0 != 0 && !patched.is_some_and(|section| section.is_allocated()) {
        faults.add(format!("{name}'s sh_info"), "an allocated section", format!("{}", section.info));
    }
}

fn overlaps(image: &Image<'_>, faults: &mut Faults<'_>) {
    let mut in_memory = Vec::new();
    let mut in_file = Vec::new();
    for section in image.file.sections.iter().skip(1).filter(|section| section.size != 0) {
        if section.is_allocated() && !(section.is_tls() && section.is_nobits()) {
            in_memory.push((section.address, section.end(), section));
        }
        if !section.is_nobits() && !section.compressed {
            in_file.push((section.offset, section.offset.saturating_add(section.size), section));
        }
    }
    for (what, mut ranges) in [("memory", in_memory), ("the file", in_file)] {
        ranges.sort_by_key(|(start, _, _)| *start);
        for pair in ranges.windows(2) {
            if pair[0].1 > pair[1].0 {
                let (first, second) = (pair[0].2.name, pair[1].2.name);
                faults.add(first.to_string(), format!("room of its own in {what}"), format!("{second} lies over it"));
            }
        }
    }
}
