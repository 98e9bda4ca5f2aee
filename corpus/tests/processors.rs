//! Links each committed archive of a processor that is not the machine's with the toolchain's own LLD, and runs the
//! image: what fails here is wrong in the corpus or in the running, not in a linker under test.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{self, Target};
use pkgld_corpus::{committed_for, run};

use common::link;

fn every_archive_computes_what_its_manifest_says(target: Target) {
    let entries = committed_for(target);
    assert!(entries.len() >= 3, "only {} archives", entries.len());
    for entry in entries {
        let image = link(&entry.path, entry.julia, &["--eh-frame-hdr"]);
        let stubs = Stubs::committed_for(target, entry.julia);
        let report = run::check(target, &image, &entry.manifest, &stubs);
        let report = report.unwrap_or_else(|error| panic!("{}:\n{error}", entry.path.display()));
        assert!(report.calls > 50 && report.words > 0 && report.frames > 5, "{}: {report}", entry.path.display());
    }
}

#[test]
#[ignore = "needs the package gcc-i686-linux-gnu"]
fn i686() {
    every_archive_computes_what_its_manifest_says(target::LINUX_I686);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu and qemu-user-static"]
fn aarch64() {
    every_archive_computes_what_its_manifest_says(target::LINUX_AARCH64);
    every_archive_computes_what_its_manifest_says(target::FREEBSD_AARCH64);
}

#[test]
#[ignore = "needs the packages gcc-arm-linux-gnueabihf and qemu-user-static"]
fn armv7() {
    every_archive_computes_what_its_manifest_says(target::LINUX_ARMV7);
}

#[test]
#[ignore = "needs the packages gcc-riscv64-linux-gnu and qemu-user-static"]
fn riscv64() {
    every_archive_computes_what_its_manifest_says(target::LINUX_RISCV64);
}

#[test]
#[ignore = "needs the packages gcc-powerpc64le-linux-gnu and qemu-user-static"]
fn ppc64le() {
    every_archive_computes_what_its_manifest_says(target::LINUX_PPC64LE);
}
