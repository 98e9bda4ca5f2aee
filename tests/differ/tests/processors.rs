//! The same defects as in `defects.rs`, planted in the images of the corpus of every processor.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::{File, Linker, USUAL, corpus, inputs, link};
use object::elf::*;
use pkgld_differ::arch::{self, DynamicKind, What};
use pkgld_differ::check::check_against_inputs;
use pkgld_differ::compare::compare;
use pkgld_differ::exidx;
use pkgld_differ::image::{DynamicRelocation, Image, Table};
use pkgld_differ::inputs::Inputs;
use pkgld_differ::lint::lint;
use pkgld_differ::place::{Location, Placement};
use pkgld_differ::rules::Check;

/// One archive of each platform that has no tests of its own: with two shards, so that there are calls between members.
fn archives() -> Vec<(File, Vec<PathBuf>)> {
    let others = corpus().into_iter().filter(|((name, _), _)| !name.contains("x86_64") && !name.contains("freebsd"));
    others.filter(|((name, _), _)| name.contains("1.12-llvm19-shards2")).collect()
}

/// Whether some finding is there after `patch` that none was before.
fn is_found(output: &[u8], inputs: &Inputs<'_>, patch: impl FnOnce(&mut [u8])) -> bool {
    let mut bytes = output.to_vec();
    patch(&mut bytes);
    assert_ne!(bytes, output, "the patch changes something");
    match Image::parse(&bytes) {
        Ok(image) => !lint(&image).is_empty() || !check_against_inputs(&image, inputs).findings.is_empty(),
        Err(_) => true,
    }
}

#[test]
fn every_kind_of_field_counts() {
    for (archive, libraries) in archives() {
        let name = archive.0.clone();
        let files = [archive];
        let output = link(Linker::RustLld, &files, USUAL, &libraries);
        let (image, inputs) = (Image::parse(&output).expect("a library"), inputs(&files));
        let placement = Placement::find(&inputs, &image);
        let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
        for id in inputs.sections() {
            let Location::At { section, offset } = placement.location(id) else { continue };
            let out = &image.file.sections[section];
            if out.is_nobits() || out.compressed {
                continue;
            }
            for relocation in &inputs.objects[id.object].relocations[id.section] {
                let kind = arch::static_kind(image.file.machine, relocation.kind).expect("a known type");
                let place = out.address + offset + relocation.offset;
                // The loader overwrites these fields: the record is what counts, see below.
                let loaded = out.is_allocated() && image.relocations_in(place, place + 1).next().is_some();
                let explicit = image.relocations_in(place, place + 1).any(|record| record.table == Table::Rela);
                if kind.field.width() == 0 || kind.what == What::None || loaded && explicit {
                    continue;
                }
                // Four fields of each kind; in each, the lowest and the highest byte.
                let count = tried.entry(kind.name).or_default();
                if *count >= 4 {
                    continue;
                }
                *count += 1;
                let start = (out.offset + offset + relocation.offset) as usize;
                for (byte, mask) in [(0, 0x20), (kind.field.width() - 1, 0x02)] {
                    let found = is_found(&output, &inputs, |bytes| bytes[start + byte] ^= mask);
                    let subject = format!("{}+{:#x}", inputs.section_name(id), relocation.offset);
                    assert!(found, "{name}: {subject} {}, byte {byte} was not found", kind.name);
                }
            }
        }
        assert!(tried.len() >= 5, "{name}: {tried:?}");
    }
}

#[test]
fn every_byte_of_code_counts() {
    for (archive, libraries) in archives() {
        let name = archive.0.clone();
        let files = [archive];
        let output = link(Linker::RustLld, &files, USUAL, &libraries);
        let image = Image::parse(&output).expect("a library");
        let inputs = inputs(&files);
        let text = image.file.section_named(".text").expect(".text");
        let function = image.symbols.iter().find(|symbol| symbol.name.starts_with("julia_runtime_")).expect("one");
        let start = (text.offset + (function.value - text.address)) as usize;
        let steps = (0..function.size.min(400) as usize).step_by(7);
        for (at, mask) in steps.zip([0x01, 0x10, 0x80].into_iter().cycle()) {
            let found = is_found(&output, &inputs, |bytes| bytes[start + at] ^= mask);
            assert!(found, "{name}: {}+{at:#x} ^ {mask:#x} was not found", function.name);
        }
    }
}

/// The file offset of the record that fills `relocation`'s place, and its size.
fn record(image: &Image<'_>, relocation: &DynamicRelocation) -> (usize, usize) {
    let rela = image.dynamic_value(DT_RELA).is_some();
    let tag = match relocation.table {
        Table::Plt => DT_JMPREL,
        _ if rela => DT_RELA,
        _ => DT_REL,
    };
    let start = image.dynamic_value(tag).expect("the table");
    let same = image.relocations.iter().filter(|other| other.table == relocation.table);
    let index = same.take_while(|other| other.address != relocation.address).count();
    let size = image.word_size() * if rela { 3 } else { 2 };
    let segment = image.segment_at(start).expect("the table is loaded");
    ((segment.offset + (start - segment.address)) as usize + size * index, size)
}

#[test]
fn every_kind_of_dynamic_relocation_counts() {
    for (archive, libraries) in archives() {
        let name = archive.0.clone();
        let files = [archive];
        let output = link(Linker::RustLld, &files, USUAL, &libraries);
        let image = Image::parse(&output).expect("a library");
        let inputs = inputs(&files);
        let mut tried: BTreeMap<DynamicKind, usize> = BTreeMap::new();
        for relocation in &image.relocations {
            let count = tried.entry(relocation.meaning).or_default();
            if *count >= 6 {
                continue;
            }
            *count += 1;
            let (at, size) = record(&image, relocation);
            let word = image.word_size();
            // Another place; type NONE; another symbol; another addend, or what the field holds in its stead.
            let (kind, symbol) = if word == 8 { (word, word + 4) } else { (word, word + 1) };
            let mut changes = vec![(at, 1 << (word / 4 + 1)), (at + kind, relocation.kind as u8)];
            if relocation.symbol != 0 {
                changes.push((at + symbol, 1));
            }
            if size == 3 * word {
                changes.push((at + 2 * word, 1));
            } else if relocation.meaning == DynamicKind::Relative {
                let segment = image.segment_at(relocation.address).expect("memory");
                changes.push(((segment.offset + (relocation.address - segment.address)) as usize, 4));
            }
            for (place, mask) in changes {
                let found = is_found(&output, &inputs, |bytes| bytes[place] ^= mask);
                assert!(found, "{name}: {relocation:x?}, {} ^ {mask:#x} was not found", place - at.min(place));
            }
        }
        assert!(tried.len() >= 3, "{name}: {tried:?}");
    }
}

/// An archive of the platform.
fn one(platform: &str) -> (File, Vec<PathBuf>) {
    archives().into_iter().find(|((name, _), _)| name.starts_with(platform)).expect("an archive")
}

#[test]
fn rows_of_the_unwind_index_count() {
    let (archive, libraries) = one("linux-armv7");
    let files = [archive];
    let output = link(Linker::RustLld, &files, USUAL, &libraries);
    let image = Image::parse(&output).expect("a library");
    let inputs = inputs(&files);
    let rows = exidx::rows(&image).expect("rows");
    assert!(rows.len() > 10, "{rows:x?}");
    let start = image.file.section_named(".ARM.exidx").expect("the table").offset as usize;
    for row in (0..rows.len()).step_by(5) {
        for (word, mask) in [(0, 0x08), (4, 0x04)] {
            assert!(is_found(&output, &inputs, |bytes| bytes[start + 8 * row + word] ^= mask), "row {row}, {word}");
        }
    }
    // Two rows change places.
    assert!(is_found(&output, &inputs, |bytes| {
        let (first, second) = bytes[start..start + 16].split_at_mut(8);
        first.swap_with_slice(second);
    }));
}

#[test]
fn calls_of_other_libraries_restore_the_toc_pointer() {
    let (archive, libraries) = one("linux-ppc64le");
    let files = [archive];
    let output = link(Linker::RustLld, &files, USUAL, &libraries);
    let image = Image::parse(&output).expect("a library");
    let inputs = inputs(&files);
    let text = image.file.section_named(".text").expect(".text");
    let restore = |word: &[u8]| word == [0x18, 0, 0x41, 0xe8];
    let calls = text.data.chunks(4).enumerate().filter(|(_, word)| restore(word)).map(|(index, _)| 4 * index);
    let calls: Vec<usize> = calls.collect();
    assert!(calls.len() > 5);
    for call in calls.into_iter().take(10) {
        let at = text.offset as usize + call;
        let patched = |bytes: &mut [u8]| bytes[at..at + 4].copy_from_slice(&0x6000_0000u32.to_le_bytes());
        assert!(is_found(&output, &inputs, patched), "the nop after {call:#x}");
    }
}

#[test]
fn plt_entries_are_read() {
    for (archive, libraries) in archives() {
        let name = archive.0.clone();
        let files = [archive];
        let output = link(Linker::RustLld, &files, USUAL, &libraries);
        let image = Image::parse(&output).expect("a library");
        let inputs = inputs(&files);
        let jumps: Vec<_> =
            image.relocations.iter().filter(|relocation| relocation.meaning == DynamicKind::JumpSlot).collect();
        let executable = image.file.sections.iter().filter(|section| section.is_executable());
        let entries: Vec<u64> = executable
            .flat_map(|section| (section.address..section.end()).step_by(4))
            .filter(|address| {
                let slot = arch::jump_slot(&image, *address);
                jumps.iter().any(|jump| Some(jump.address) == slot)
            })
            .collect();
        assert!(entries.len() >= jumps.len() && !jumps.is_empty(), "{name}: {} of {}", entries.len(), jumps.len());
        // An entry that goes through its neighbour's slot.
        let [first, second] = [jumps[0], jumps[1]].map(|jump| {
            *entries.iter().find(|entry| arch::jump_slot(&image, **entry) == Some(jump.address)).expect("its entry")
        });
        let offset = |address: u64| {
            let segment = image.segment_at(address).expect("memory");
            (segment.offset + (address - segment.address)) as usize
        };
        let length = (first.abs_diff(second) as usize).min(12);
        let found = is_found(&output, &inputs, |bytes| {
            let code = bytes[offset(second)..offset(second) + length].to_vec();
            bytes[offset(first)..offset(first) + length].copy_from_slice(&code);
        });
        assert!(found, "{name}: an entry of another slot");
    }
}

#[test]
fn comparisons_go_through_the_inputs() {
    for (archive, libraries) in archives() {
        let files = [archive];
        let output = link(Linker::RustLld, &files, USUAL, &libraries);
        let image = Image::parse(&output).expect("a library");
        assert!(compare(&image, &image, Some(&inputs(&files)), &[]).is_equal());
        // Without them code is not looked at, and that is no pass.
        let report = compare(&image, &image, None, &[]);
        let silent = report.findings.iter().filter(|finding| finding.check == Check::Bytes);
        assert!(silent.count() > 10, "{report}");
    }
}
