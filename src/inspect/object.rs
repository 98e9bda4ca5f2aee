//! Objects, alone and in archives: what the linker would be given, as the linker reads it.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use std::borrow::Cow;

use super::facts::{Inspection, Member, Section};
use super::parts::permissions;
use super::text_of;
use crate::archive::Archive;
use crate::bytes;
use crate::error::Error;
use crate::format;
use crate::model::{Binding, InputName, Object, SectionFlags, SymbolSection};
use crate::options::{Arch, Format, Os, Target};
use crate::symbols::{Hasher, Key};

/// Tells of every member of an archive.
pub(super) fn archive(name: &str, file: &[u8], told: &mut Inspection) -> Result<(), Error> {
    told.kind = "archive";
    for member in Archive::parse(name, file)?.members() {
        let member = match member {
            Ok(member) => member,
            Err(error) => {
                told.note(error.to_string());
                break;
            }
        };
        let input = InputName { file: name, member: Some(Cow::Borrowed(member.name)) };
        let facts = one(input, short(member.name), member.bytes, told);
        told.members.push(facts);
    }
    Ok(())
}

/// Tells of an object.
pub(super) fn object(name: &str, file: &[u8], told: &mut Inspection) {
    told.kind = "object";
    let facts = one(InputName { file: name, member: None }, name.to_owned(), file, told);
    told.members.push(facts);
}

fn one(input: InputName<'_>, name: String, file: &[u8], told: &mut Inspection) -> Member {
    let mut facts = Member { name, size: file.len() as u64, ..Member::default() };
    // Names are walked as in a link first, which refuses a table that is made to cost time.
    let checked = format::parse(input, file).and_then(|object| Key::all(&object, &Hasher::default()).map(|_| object));
    let object = match checked {
        Ok(object) => object,
        Err(error) => {
            told.note(error.to_string());
            return facts;
        }
    };
    match format::target_of(&object) {
        Ok(target) => {
            let target_name = target_name(target);
            told.format.get_or_insert(format_name(target.format));
            told.target.get_or_insert_with(|| target_name.clone());
            facts.target = Some(target_name);
        }
        Err(error) => told.note(error.to_string()),
    }
    facts.producer = producer(&object);
    for section in object.sections.iter().filter(|section| !section.name.is_empty()) {
        let has = |flag| section.flags.has(flag);
        let alloc = has(SectionFlags::ALLOC);
        facts.relocations = facts.relocations.saturating_add(section.relocs.len() as u64);
        facts.sections.push(Section {
            name: short(section.name),
            size: section.size,
            file_size: section.data.len() as u64,
            permissions: permissions(alloc, alloc && has(SectionFlags::WRITE), alloc && has(SectionFlags::EXEC)),
            ..Section::default()
        });
    }
    for symbol in object.symbols.iter().skip(1).filter(|symbol| symbol.binding != Binding::Local) {
        let count = match symbol.section() {
            SymbolSection::Undefined => &mut facts.undefined,
            _ => &mut facts.defined,
        };
        *count = count.saturating_add(1);
    }
    facts
}

/// Text for a name of which there may be many that overlap.
fn short(name: &[u8]) -> String {
    text_of(name.get(..256).unwrap_or(name))
}

/// What a target is called.
fn target_name(target: Target) -> String {
    let os = match target.os {
        Os::Linux => "linux",
        Os::FreeBsd => "freebsd",
        Os::MacOs => "macos",
        Os::Windows => "windows",
    };
    let arch = match target.arch {
        Arch::X86_64 => "x86_64",
        Arch::X86 => "i686",
        Arch::Aarch64 if target.os == Os::MacOs => "arm64",
        Arch::Aarch64 => "aarch64",
        Arch::Arm => "armv7",
        Arch::Riscv64 => "riscv64",
        Arch::Ppc64 => "ppc64le",
    };
    format!("{os}-{arch}")
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Elf => "ELF",
        Format::MachO => "Mach-O",
        Format::Pe => "PE",
    }
}

/// What made an object: the first line of `.comment`, else the first string of `.debug_str` where the first attribute of
/// the first unit is its producer, as LLVM writes it.
fn producer(object: &Object<'_>) -> Option<String> {
    let section = |names: [&[u8]; 2]| object.sections.iter().find(|section| names.contains(&section.name));
    let first = |bytes: &[u8]| {
        let line = bytes.split(|byte| *byte == 0).find(|line| !line.is_empty())?;
        Some(text_of(line))
    };
    if let Some(comment) = section([b".comment", b".comment"]) {
        return first(&comment.data);
    }
    let abbreviations = section([b".debug_abbrev", b"__debug_abbrev"])?;
    // Code 1, DW_TAG_compile_unit, with children, DW_AT_producer (DWARF 5, §7.5.3).
    if bytes::slice(&abbreviations.data, 0, 4)? != [0x01, 0x11, 0x01, 0x25] {
        return None;
    }
    first(&section([b".debug_str", b"__debug_str"])?.data)
}
