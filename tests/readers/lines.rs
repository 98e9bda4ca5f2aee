//! The line tables of DLLs: function by function those of LLD's image of the same archive.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use gimli::{RunTimeEndian, SectionId};
use pkgld_corpus::{command_line, committed_for};
use pkgld_differ::lines::{Debug, compare_debug};

use crate::common::rust_lld;
use crate::dll::Dll;
use crate::{link, link_with, windows};

/// What the DWARF of a DLL says.
fn debug(path: &Path) -> Debug<String> {
    let dll = Dll::new(&fs::read(path).unwrap());
    let sections: HashMap<String, Vec<u8>> = dll
        .sections
        .iter()
        .filter(|section| section.name.starts_with(".debug_"))
        .map(|section| (section.name.clone(), dll.at(section.start, section.size)))
        .collect();
    assert!(sections.contains_key(SectionId::DebugLine.name()), "{}", path.display());
    let code = dll.section(".text");
    let code = code.start..code.start + code.size;
    let function = |address: u64| {
        let place = u32::try_from(address.checked_sub(dll.base)?).ok()?;
        let (name, distance) = code.contains(&place).then(|| dll.place(place))?;
        Some((name, address - u64::from(distance)))
    };
    let section = |name: &str| sections.get(name).map_or(&[][..], |bytes| bytes);
    Debug::read(RunTimeEndian::Little, section, &function).unwrap()
}

#[test]
fn rows_of_dlls_are_those_of_lld() {
    for target in windows::PLATFORMS.map(|platform| platform.target) {
        let mut compared = 0;
        for entry in committed_for(target) {
            let what = entry.path.display();
            let entry_point = command_line::entry_point(target.cpu);
            let theirs = link_with(&mut Command::new(rust_lld()), &entry, "-lld.dll", &["-e", entry_point]);
            let (theirs, ours) = (debug(&theirs), debug(&link(&entry, "-lines.dll", &[])));
            let mut findings = Vec::new();
            compared += compare_debug(&theirs, &ours, &mut findings);
            assert!(findings.is_empty(), "{what}: {findings:#?}");
            assert!(ours.units > 0 && ours.subprograms.len() > 20, "{what}: {} units", ours.units);
        }
        assert!(compared > 500, "{}: {compared} rows", target.name);
    }
}
