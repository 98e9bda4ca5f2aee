//! Compares generated archives with those that Julia wrote, and runs what is linked from them.
//!
//! Needs `llc-16`; a machine without it is told the package.

#![allow(clippy::unwrap_used)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::count::count;
use common::{link, run, scratch};
use pkgld_corpus::Manifest;
use pkgld_corpus::generate;
use pkgld_corpus::presets::{COUNTED, Counted, KINDS, presets};

/// How far each number may be from the counted one, in percent of it.
const TOLERANCE: usize = 15;

/// The presets that are quick to make: the same constants make the others.
#[test]
fn sizes_and_relocations_are_as_counted() {
    for counted in &COUNTED[..2] {
        compare(counted);
    }
}

fn compare(counted: &Counted) {
    let preset = presets().into_iter().find(|preset| preset.spec.name == counted.preset).unwrap();
    let generated = generate(&preset.spec, &scratch("proportions")).unwrap();
    let counts = count(&generated.archive, "text#");
    let kinds: Vec<&str> = counts.relocations.keys().copied().collect();
    let mut expected = KINDS;
    expected.sort_unstable();
    assert_eq!(kinds, expected, "{}", counted.preset);
    let section = |name: &str| *counts.sections.get(name).unwrap() as usize;
    let mut rows = vec![
        (".text".to_owned(), section(".text"), counted.text),
        (".debug_info".to_owned(), section(".debug_info"), counted.debug_info),
        (".symtab + .strtab".to_owned(), section(".symtab") + section(".strtab"), counted.symbols),
    ];
    for (kind, expected) in KINDS.iter().zip(counted.relocations) {
        rows.push((format!("R_X86_64_{kind}"), counts.relocations[kind], expected));
    }
    let mut wrong = false;
    for (what, found, expected) in rows {
        let off = found.abs_diff(expected) * 100 > TOLERANCE * expected;
        wrong |= off;
        println!("{:5} {what:22} {found:9} {expected:9} {:4} %", counted.preset, found * 100 / expected);
    }
    assert!(!wrong, "a number of {} is more than {TOLERANCE} % off", counted.preset);

    let manifest = Manifest::read(&generated.expect).unwrap();
    let image = link(&generated.archive, manifest.julia, &["--eh-frame-hdr"]);
    run(&image, &manifest).unwrap_or_else(|error| panic!("{}:\n{error}", counted.preset));
}
