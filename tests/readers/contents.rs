//! Code and data of DLLs, symbol by symbol: the bytes are those in LLD's image of the same archive, and where they say an
//! address it is that of the same thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use pkgld_corpus::target::Target;
use pkgld_corpus::target::{WINDOWS_AARCH64, WINDOWS_I686, WINDOWS_X86_64};
use pkgld_corpus::{command_line, committed_for};
use pkgld_differ::pages;

use crate::common::rust_lld;
use crate::dll::{Dll, Place};
use crate::{link, link_with};

/// A part of a symbol's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    /// An address, however the field says it, by what is there.
    Address(Place),
}

struct Contents<'d> {
    dll: &'d Dll,
    imports: BTreeMap<u32, (String, String)>,
    fixups: BTreeSet<u32>,
}

impl<'d> Contents<'d> {
    fn new(dll: &'d Dll) -> Self {
        let fixups = dll.base_relocations().into_iter().map(|(_, place)| place).collect();
        Self { dll, imports: dll.imports(), fixups }
    }

    /// What is at a place: an import, or a symbol and the distance to it.
    fn place(&self, at: u32) -> Place {
        if let Some((dll, name)) = self.imports.get(&at) {
            return (format!("{dll}!{name}"), 0);
        }
        self.dll.symbol_before(at)
    }

    /// Symbols of a section with their bytes, up to the next symbol of any kind.
    fn symbols(&self, section: &str) -> Vec<(String, u32, Vec<u8>)> {
        let section = self.dll.section(section);
        let end = section.start + section.size;
        let starts: Vec<u32> = self.dll.symbols().range(section.start..end).map(|(start, _)| *start).collect();
        let ends = starts.iter().skip(1).copied().chain([end]);
        let bytes = starts.iter().zip(ends).map(|(start, end)| {
            let (name, distance) = self.dll.symbol_before(*start);
            assert_eq!(distance, 0);
            (name, *start, self.dll.at(*start, end - start))
        });
        bytes.collect()
    }

    /// Data: each field that the loader fixes up is an address.
    fn data(&self) -> BTreeMap<String, Vec<Part>> {
        let mut all = BTreeMap::new();
        // Where the heap image has a section of its own, it is in that.
        let sections =
            [".data", ".image"].into_iter().filter(|name| self.dll.sections.iter().any(|it| it.name == *name));
        for (name, start, bytes) in sections.flat_map(|section| self.symbols(section)) {
            let mut parts = Vec::new();
            let mut plain = 0;
            let end = start + bytes.len() as u32;
            for field in self.fixups.range(start..end) {
                let at = (field - start) as usize;
                parts.push(Part::Bytes(bytes[plain..at].to_vec()));
                parts.push(Part::Address(self.place(self.dll.address(*field))));
                plain = at + self.dll.word as usize;
            }
            // Whatever stands between it and the next one is zero.
            let rest = bytes[plain..].iter().rposition(|byte| *byte != 0).map_or(plain, |last| plain + last + 1);
            parts.push(Part::Bytes(bytes[plain..rest].to_vec()));
            all.insert(name, parts);
        }
        all
    }

    /// Code of x86: an instruction's displacement from the program counter, its branch's target, and what the loader fixes up
    /// are addresses.
    fn code_of_x86(&self) -> BTreeMap<String, Vec<Part>> {
        let bits = if self.dll.word == 8 { 64 } else { 32 };
        let mut all = BTreeMap::new();
        for (name, start, bytes) in self.symbols(".text") {
            let mut parts = Vec::new();
            // Where filling begins: linkers differ in what it is.
            let mut end = 0;
            let mut decoder = Decoder::with_ip(bits, &bytes, start.into(), DecoderOptions::NONE);
            while decoder.can_decode() {
                let position = decoder.position();
                let instruction = decoder.decode();
                let fields = decoder.get_constant_offsets(&instruction);
                let code = &bytes[position..decoder.position()];
                let mut found: Vec<(usize, usize, u32)> = Vec::new();
                let near = (0..instruction.op_count())
                    .any(|n| matches!(instruction.op_kind(n), OpKind::NearBranch64 | OpKind::NearBranch32));
                if near {
                    let target = instruction.near_branch_target() as u32;
                    found.push((fields.immediate_offset(), fields.immediate_size(), target));
                } else if instruction.is_ip_rel_memory_operand() {
                    let target = instruction.ip_rel_memory_address() as u32;
                    found.push((fields.displacement_offset(), fields.displacement_size(), target));
                }
                let field = start + position as u32;
                for at in self.fixups.range(field..field + code.len() as u32) {
                    found.push(((at - field) as usize, self.dll.word as usize, self.dll.address(*at)));
                }
                found.sort_unstable();
                let mut plain = 0;
                for (at, size, target) in found {
                    // Of code that is none, fields may overlap.
                    if at < plain || at + size > code.len() {
                        continue;
                    }
                    parts.push(Part::Bytes(code[plain..at].to_vec()));
                    parts.push(Part::Address(self.place(target)));
                    plain = at + size;
                }
                parts.push(Part::Bytes(code[plain..].to_vec()));
                let fills = matches!(instruction.mnemonic(), Mnemonic::Int3 | Mnemonic::Nop | Mnemonic::INVALID);
                if !fills && code.iter().any(|byte| *byte != 0) {
                    end = parts.len();
                }
            }
            parts.truncate(end);
            all.insert(name, parts);
        }
        all
    }

    /// Code of Arm64: branches, and offsets in pages whose addresses instructions before them made.
    fn code_of_arm64(&self) -> BTreeMap<String, Vec<Part>> {
        let mut all = BTreeMap::new();
        for (name, start, bytes) in self.symbols(".text") {
            let mut parts = Vec::new();
            // Filling: zeros, traps and instructions without effect.
            for (plain, target) in pages::code(start.into(), &bytes, &[0, 0xd503_201f, 0xd420_0000, 0xd43e_0000]) {
                parts.push(Part::Bytes(plain.to_le_bytes().to_vec()));
                // An address beyond the image is of nothing.
                parts.extend(target.map(|target| match u32::try_from(target) {
                    Ok(target) => Part::Address(self.place(target)),
                    Err(_) => Part::Bytes(target.to_le_bytes().to_vec()),
                }));
            }
            all.insert(name, parts);
        }
        all
    }

    fn code(&self, target: Target) -> BTreeMap<String, Vec<Part>> {
        if target == WINDOWS_AARCH64 { self.code_of_arm64() } else { self.code_of_x86() }
    }
}

/// The symbols of DLLs that are not alike, code and data.
pub(crate) fn differences(theirs: &Dll, ours: &Dll, target: Target) -> Vec<String> {
    let (theirs, ours) = (Contents::new(theirs), Contents::new(ours));
    let mut found = differences_of(&theirs.code(target), &ours.code(target));
    found.extend(differences_of(&theirs.data(), &ours.data()));
    found
}

/// The symbols that are not alike, the first difference of each.
fn differences_of(theirs: &BTreeMap<String, Vec<Part>>, ours: &BTreeMap<String, Vec<Part>>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, parts) in theirs {
        let Some(other) = ours.get(name) else {
            found.push(format!("{name}: not there"));
            continue;
        };
        let length = parts.len().max(other.len());
        if let Some(at) = (0..length).find(|at| parts.get(*at) != other.get(*at)) {
            found.push(format!("{name}, part {at}: {:x?}, not {:x?}", other.get(at), parts.get(at)));
        }
    }
    found
}

#[test]
fn symbols_of_dlls_are_those_of_lld() {
    let dll = |path: &Path| Dll::new(&fs::read(path).unwrap());
    for target in [WINDOWS_X86_64, WINDOWS_I686, WINDOWS_AARCH64] {
        let mut addresses = 0;
        for entry in committed_for(target) {
            let entry_point = command_line::entry_point(target.cpu);
            let theirs = link_with(&mut Command::new(rust_lld()), &entry, "-lld-contents.dll", &["-e", entry_point]);
            let (theirs, ours) = (dll(&theirs), dll(&link(&entry, "-contents.dll", &[])));
            let found = differences(&theirs, &ours, target);
            assert!(found.is_empty(), "{}: {} differences: {found:#?}", entry.path.display(), found.len());
            let ours = Contents::new(&ours);
            let parts = ours.code(target).into_values().chain(ours.data().into_values()).flatten();
            addresses += parts.filter(|part| matches!(part, Part::Address(_))).count();
        }
        assert!(addresses > 1000, "{}: {addresses}", target.name);
    }
}

/// Any bit of code that is changed is noticed.
#[test]
fn changes_are_noticed() {
    for target in [WINDOWS_X86_64, WINDOWS_I686, WINDOWS_AARCH64] {
        let entry = committed_for(target).pop().unwrap();
        let image = fs::read(link(&entry, "-changed.dll", &[])).unwrap();
        let plain = Dll::new(&image);
        let plain = Contents::new(&plain);
        let code = plain.code(target);
        let text = plain.dll.section(".text");
        let function = plain.symbols(".text").into_iter().find(|(_, _, bytes)| bytes.len() > 400).unwrap();
        let start = (text.file + function.1 - text.start) as usize;
        for bit in (0..8 * 256).step_by(7) {
            let mut changed = image.clone();
            changed[start + bit / 8] ^= 1 << (bit % 8);
            let changed = Dll::new(&changed);
            let found = differences_of(&code, &Contents::new(&changed).code(target));
            assert!(!found.is_empty(), "{}: bit {bit} of {}", target.name, function.0);
        }
    }
}
