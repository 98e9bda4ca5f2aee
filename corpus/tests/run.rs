//! Links each committed archive with the toolchain's own LLD, loads the image with the stub libraries, and makes every
//! call of its manifest: what fails here is wrong in the corpus, not in a linker under test.
//!
//! Needs nothing but Rust: archives and stubs are committed, rust-lld comes with rustc.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

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
