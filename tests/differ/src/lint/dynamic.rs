//! PT_DYNAMIC, dynamic relocations and versions: gABI, "Dynamic Section"; LSB, "Symbol Versioning".

use std::collections::HashSet;

use object::elf::*;

use super::Faults;
use crate::arch::{self, DynamicKind};
use crate::image::{Image, Table};
use crate::rules::{Check, Finding};
use crate::symbolic::Symbolic;

pub(super) fn lint(image: &Image<'_>, findings: &mut Vec<Finding>) {
    tables(image, &mut Faults::new(Check::Dynamic, findings));
    relocations(image, &mut Faults::new(Check::DynamicRelocations, findings));
    plt(image, &mut Faults::new(Check::DynamicRelocations, findings));
    versions(image, &mut Faults::new(Check::Versions, findings));
}

fn tables(image: &Image<'_>, faults: &mut Faults<'_>) {
    let of_kind =
        |kind: SectionType| image.file.sections.iter().find(|section| section.kind == kind.0 && section.is_allocated());
    let named = |name: &str| image.file.section_named(name).filter(|section| section.size != 0);
    let dynstr = of_kind(SHT_DYNSYM).and_then(|section| image.file.sections.get(section.link as usize));
    let relr = of_kind(SHT_RELR);
    let initial = [
        ("DT_SYMTAB", DT_SYMTAB, of_kind(SHT_DYNSYM).map(|section| section.address)),
        ("DT_STRTAB", DT_STRTAB, dynstr.map(|section| section.address)),
        ("DT_STRSZ", DT_STRSZ, dynstr.map(|section| section.size)),
        ("DT_HASH", DT_HASH, of_kind(SHT_HASH).map(|section| section.address)),
        ("DT_GNU_HASH", DT_GNU_HASH, of_kind(SHT_GNU_HASH).map(|section| section.address)),
        ("DT_VERSYM", DT_VERSYM, of_kind(SHT_GNU_VERSYM).map(|section| section.address)),
        ("DT_VERNEED", DT_VERNEED, of_kind(SHT_GNU_VERNEED).map(|section| section.address)),
        ("DT_VERNEEDNUM", DT_VERNEEDNUM, of_kind(SHT_GNU_VERNEED).map(|section| section.info.into())),
        ("DT_VERDEF", DT_VERDEF, of_kind(SHT_GNU_VERDEF).map(|section| section.address)),
        ("DT_VERDEFNUM", DT_VERDEFNUM, of_kind(SHT_GNU_VERDEF).map(|section| section.info.into())),
        ("DT_INIT_ARRAY", DT_INIT_ARRAY, named(".init_array").map(|section| section.address)),
        ("DT_INIT_ARRAYSZ", DT_INIT_ARRAYSZ, named(".init_array").map(|section| section.size)),
        ("DT_FINI_ARRAY", DT_FINI_ARRAY, named(".fini_array").map(|section| section.address)),
        ("DT_FINI_ARRAYSZ", DT_FINI_ARRAYSZ, named(".fini_array").map(|section| section.size)),
        ("DT_RELR", DT_RELR, relr.map(|section| section.address)),
        ("DT_RELRSZ", DT_RELRSZ, relr.map(|section| section.size)),
    ];
    for (name, tag, expected) in initial {
        faults.equal(name, expected, image.dynamic_value(tag));
    }
    let word = image.word_size() as u64;
    let (symbol, rela, rel) = if word == 8 { (24, 24, 16) } else { (16, 12, 8) };
    faults.equal("DT_SYMENT", Some(symbol), image.dynamic_value(DT_SYMENT));
    let pairs = [
        (DT_RELA, DT_RELASZ, DT_RELAENT, rela, SHT_RELA, "DT_RELA"),
        (DT_REL, DT_RELSZ, DT_RELENT, rel, SHT_REL, "DT_REL"),
        (DT_RELR, DT_RELRSZ, DT_RELRENT, word, SHT_RELR, "DT_RELR"),
    ];
    for (start, size, entry, bytes, kind, name) in pairs {
        let present = image.dynamic_value(start);
        if present.is_some() != image.dynamic_value(size).is_some() {
            faults.add(name, "with its size", "one without the other");
        }
        if let Some(start) = present {
            faults.equal(format!("{name}ENT"), Some(bytes), image.dynamic_value(entry));
            let at_start = |section: &&crate::elf::Section<'_>| section.kind == kind.0 && section.address == start;
            if !image.file.sections.iter().any(|section| at_start(&section)) {
                faults.add(name, "the start of a section of its type", format!("{start:#x}"));
            }
        }
    }
    if let Some(start) = image.dynamic_value(DT_JMPREL) {
        let wanted = if image.dynamic_value(DT_PLTREL) == Some(DT_RELA.0 as u64) { SHT_RELA } else { SHT_REL };
        let size = image.dynamic_value(DT_PLTRELSZ);
        let same = |section: &crate::elf::Section<'_>| {
            section.kind == wanted.0 && section.address == start && Some(section.size) == size
        };
        if !image.file.sections.iter().any(same) {
            faults.add(
                "DT_JMPREL",
                "a section of the type that DT_PLTREL names",
                format!("{start:#x}, {size:x?} bytes"),
            );
        }
        if image.dynamic_value(DT_PLTGOT).is_none() {
            faults.add("DT_PLTGOT", "one, for lazy binding", "none");
        }
    }
    for (name, tag) in [("DT_INIT", DT_INIT), ("DT_FINI", DT_FINI)] {
        let Some(address) = image.dynamic_value(tag) else { continue };
        if image.segment_at(address).is_none_or(|segment| segment.flags & PF_X.0 == 0) {
            faults.add(name, "an address in code", format!("{address:#x}"));
        }
    }
    let mut seen = HashSet::new();
    for entry in &image.dynamic {
        if entry.tag != DT_NEEDED.0 && !seen.insert(entry.tag) {
            faults.add("PT_DYNAMIC", "each tag once", format!("tag {:#x} twice", entry.tag));
        }
        let is_string = [DT_NEEDED.0, DT_SONAME.0, DT_RPATH.0, DT_RUNPATH.0].contains(&entry.tag);
        if is_string && image.dynamic_string(entry.value).is_none() {
            faults.add("PT_DYNAMIC", "strings of DT_STRTAB", format!("offset {:#x}", entry.value));
        }
    }
    let mut needed: Vec<_> =
        image.dynamic_values(DT_NEEDED).filter_map(|offset| image.dynamic_string(offset)).collect();
    let count = needed.len();
    needed.sort();
    needed.dedup();
    faults.equal("number of distinct DT_NEEDED", count, needed.len());
    let flags = image.dynamic_value(DT_FLAGS).unwrap_or_default();
    if image.dynamic_value(DT_TEXTREL).is_some() || flags & DF_TEXTREL.0 != 0 {
        faults.add("DT_TEXTREL", "none: no loader has to write to read-only memory", "one");
    }
}

fn relocations(image: &Image<'_>, faults: &mut Faults<'_>) {
    let symbolic = Symbolic::new(image);
    let end = image.segments_of(PT_LOAD).map(|load| load.end()).max().unwrap_or_default();
    let mut last: Option<u64> = None;
    for relocation in image.relocations_in(0, u64::MAX) {
        let subject = || symbolic.describe(relocation.address);
        if relocation.meaning == DynamicKind::None {
            continue;
        }
        if last == Some(relocation.address) {
            faults.add(subject(), "one dynamic relocation", "two");
        }
        last = Some(relocation.address);
        let writable = image.segment_at(relocation.address).is_some_and(|segment| segment.flags & PF_W.0 != 0);
        if !writable {
            faults.add(subject(), "a dynamic relocation in writable memory", "one in read-only memory or outside");
        }
        let symbol = image.dynamic_symbols.get(relocation.symbol as usize);
        if symbol.is_none() {
            faults.add(subject(), "a symbol of .dynsym", format!("number {}", relocation.symbol));
        }
        use DynamicKind as K;
        match relocation.meaning {
            K::Relative | K::Irelative => {
                faults.equal(format!("{}: symbol", subject()), 0, relocation.symbol);
                if relocation.addend as u64 > end {
                    faults.add(subject(), "an address of the image", format!("{:#x}", relocation.addend));
                }
            }
            K::Slot | K::JumpSlot | K::Address if relocation.symbol == 0 => {
                faults.add(subject(), "a symbol", "none");
            }
            K::Slot | K::JumpSlot | K::TlsModule => {
                faults.equal(format!("{}: addend", subject()), 0, relocation.addend);
            }
            K::Copy | K::PcRelative => {
                faults.add(subject(), "a relocation that a library may have", format!("{relocation:?}"))
            }
            _ => {}
        }
    }
    for relocation in &image.relocations {
        use DynamicKind as K;
        // glibc takes only these from DT_JMPREL when it binds lazily, and JUMP_SLOT from nowhere else.
        let lazy = [K::JumpSlot, K::Irelative, K::TlsDescriptor].contains(&relocation.meaning);
        let in_plt = relocation.table == Table::Plt;
        if in_plt && !lazy || !in_plt && relocation.meaning == K::JumpSlot {
            let found = format!("{:?} in {:?}", relocation.meaning, relocation.table);
            faults.add(symbolic.describe(relocation.address), "JUMP_SLOT in DT_JMPREL", found);
        }
    }
    // Loaders apply DT_RELACOUNT entries without looking at their type.
    for (table, tag) in [(Table::Rela, DT_RELACOUNT), (Table::Rel, DT_RELCOUNT)] {
        let entries: Vec<bool> = image
            .relocations
            .iter()
            .filter(|relocation| relocation.table == table)
            .map(|relocation| relocation.meaning == DynamicKind::Relative)
            .collect();
        let first = entries.iter().take_while(|relative| **relative).count();
        let all = entries.iter().filter(|relative| **relative).count();
        faults.equal(format!("{table:?}: RELATIVE entries before others"), all, first);
        if let Some(count) = image.dynamic_value(tag) {
            faults.equal(format!("{table:?}: count of RELATIVE entries"), first as u64, count);
        }
    }
}

/// Lazy binding: a slot first holds the address of code that pushes the index of the slot's relocation.
fn plt(image: &Image<'_>, faults: &mut Faults<'_>) {
    let jumps: Vec<_> = image.relocations.iter().filter(|relocation| relocation.table == Table::Plt).collect();
    let flags = image.dynamic_value(DT_FLAGS).unwrap_or_default();
    let flags_1 = image.dynamic_value(DT_FLAGS_1).unwrap_or_default();
    let now = flags & DF_BIND_NOW.0 != 0 || flags_1 & DF_1_NOW.0 != 0;
    if now || !jumps.iter().any(|jump| jump.meaning == DynamicKind::JumpSlot) {
        return;
    }
    let dynamic = image.segments_of(PT_DYNAMIC).next().map(|segment| segment.address);
    let first_word = image.dynamic_value(DT_PLTGOT).and_then(|got| image.word(got));
    if Machine(image.file.machine) == EM_X86_64 {
        faults.equal("first word of DT_PLTGOT", dynamic, first_word);
    }
    if Machine(image.file.machine) == EM_PPC64 {
        // ELFv2 ABI 4.2.5.3: the loader fills the slots itself, with addresses that it works out from this one.
        let glink = image.dynamic_value(DT_PPC64_GLINK);
        if glink.and_then(|glink| image.segment_at(glink)).is_none_or(|segment| segment.flags & PF_X.0 == 0) {
            faults.add("DT_PPC64_GLINK", "an address in code", format!("{glink:x?}"));
        }
        return;
    }
    for (index, jump) in jumps.iter().enumerate() {
        if jump.meaning != DynamicKind::JumpSlot {
            continue;
        }
        let name = image.dynamic_symbol_name(jump.symbol);
        let entry = image.word(jump.address).unwrap_or_default();
        if image.segment_at(entry).is_none_or(|segment| segment.flags & PF_X.0 == 0) {
            faults.add(format!("slot of {name}"), "the address of its lazy binding code", format!("{entry:#x}"));
            continue;
        }
        if let Err(found) = arch::lazy_binding(image, jump.address, entry, index as u64) {
            faults.add(format!("slot of {name}"), "code that binds it", found);
        }
    }
}

fn versions(image: &Image<'_>, faults: &mut Faults<'_>) {
    let needed: Vec<_> = image.dynamic_values(DT_NEEDED).filter_map(|offset| image.dynamic_string(offset)).collect();
    let mut seen = HashSet::new();
    for version in &image.versions {
        faults.equal(format!("hash of version {}", version.name), object::elf::hash(version.name.0), version.hash);
        if !seen.insert(version.index) {
            faults.add(format!("version {}", version.name), "a number of its own", format!("{}", version.index));
        }
        if version.library.is_some_and(|library| !needed.contains(&library)) {
            faults.add(format!("version {}", version.name), "a library of DT_NEEDED", format!("{:?}", version.library));
        }
    }
    if image.symbol_versions.is_empty() {
        return;
    }
    for (index, (symbol, number)) in image.dynamic_symbols.iter().zip(&image.symbol_versions).enumerate() {
        let number = number & 0x7fff;
        let version = image.symbol_version(index);
        if number >= 2 && version.is_none() {
            faults.add(format!("version of {}", symbol.name), "a version that exists", format!("number {number}"));
        }
        let from_library = version.is_some_and(|version| version.library.is_some());
        if version.is_some() && symbol.is_defined() == from_library {
            faults.add(format!("version of {}", symbol.name), "needed if undefined, else defined", format!("{number}"));
        }
        if symbol.is_defined() && !symbol.is_local() && number == 0 {
            faults.add(format!("version of {}", symbol.name), "not local: it is exported", "number 0");
        }
    }
}
