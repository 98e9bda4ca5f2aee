//! Links each committed archive with the toolchain's own LLD, loads the image with the stub libraries, and makes every
//! call of its manifest: what fails here is wrong in the corpus, not in a linker under test.
//!
//! Needs nothing but Rust: archives and stubs are committed, rust-lld comes with rustc.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use pkgld_corpus::{Entry, committed};

use common::{link, run};

#[test]
fn every_committed_archive_computes_what_its_manifest_says() {
    let entries = committed();
    assert!(entries.len() >= 15, "only {} archives", entries.len());
    for Entry { path, manifest, .. } in entries {
        let output = link(&path, manifest.julia, &["--eh-frame-hdr"]);
        let report = run(&output, &manifest).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        assert!(report.calls > 50 && report.words > 0, "{}: {report:?}", path.display());
    }
}

/// The check finds what a linker could get wrong: one byte changed in each of several places of a good image.
#[test]
fn a_wrong_byte_is_found() {
    let entries = committed();
    let entry = entries.iter().find(|entry| entry.path.ends_with("linux-x86_64/julia-1.12-llvm19.a")).unwrap();
    let good = link(&entry.path, entry.julia, &["--eh-frame-hdr", "-z", "norelro"]);
    let bytes = std::fs::read(&good).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let place = |name: &str, offset: u64| {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap();
        let section = elf.section_by_index(symbol.section_index().unwrap()).unwrap();
        (symbol.address() - section.address() + section.file_range().unwrap().0 + offset) as usize
    };
    let wrong = [
        ("the heap image", place("jl_system_image_data", 4711)),
        ("its size", place("jl_system_image_size", 0)),
        ("the distance of a variable", place("jl_gvar_offsets_0", 4)),
        ("the index of a variable", place("jl_gvar_idxs_0", 8)),
        ("the index of a function", place("jl_fvar_idxs_0", 16)),
        ("a constant", place("_j_const_28", 0)),
    ];
    for (what, at) in wrong {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x08;
        let path = good.with_extension("wrong.so");
        std::fs::write(&path, bytes).unwrap();
        assert!(run(&path, &entry.manifest).is_err(), "{what} is wrong at {at:#x}, and nobody sees");
        std::fs::remove_file(&path).unwrap();
    }
}
