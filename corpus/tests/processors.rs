//! Links each committed archive of a processor that is not the machine's with the toolchain's own LLD, and runs the
//! image: what fails here is wrong in the corpus or in the running, not in a linker under test.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{self, Target};
use pkgld_corpus::{Manifest, committed_for, run};

use common::{link, scratch};

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

/// The running finds what is wrong with an image, and says it.
#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu and qemu-user-static"]
fn a_wrong_image_is_found() {
    let target = target::LINUX_AARCH64;
    let entry = committed_for(target).pop().unwrap();
    let stubs = Stubs::committed_for(target, entry.julia);
    let check = |image: &Path, manifest: &Manifest| run::check(target, image, manifest, &stubs);
    // Another test links the archive too.
    let linked = |name: &str, more: &[&str]| {
        let copy = scratch("wrong").join(target.name).join(format!("{name}.a"));
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&entry.path, &copy).unwrap();
        link(&copy, entry.julia, more)
    };
    let image = linked("good", &["--eh-frame-hdr"]);

    let mut manifest = entry.manifest.clone();
    manifest.probes[0].result ^= 1;
    assert!(check(&image, &manifest).unwrap_err().contains(&manifest.probes[0].what));
    let mut manifest = entry.manifest.clone();
    manifest.unwind[0].frames += 1;
    assert!(check(&image, &manifest).unwrap_err().contains("frames of the image"));
    // Without the header the unwinder finds nothing: the backtrace ends at the first frame of the image.
    let blind = linked("blind", &[]);
    assert!(check(&blind, &entry.manifest).unwrap_err().contains("frames of the image"));
    assert!(check(Path::new("nowhere"), &entry.manifest).unwrap_err().contains("nowhere"));
}
