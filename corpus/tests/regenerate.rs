//! Regenerates what is committed and compares bytes.
//!
//! Needs `llc-14`, `-15`, `-16`, `-19`, `-22` (Debian packages `llvm-N`) and `cc`; what is missing is told by name.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use pkgld_corpus::presets::presets;
use pkgld_corpus::{generate, reference_sysimg, written_sysimg};

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("regenerate").join(name)
}

#[test]
fn regeneration_gives_the_committed_bytes() {
    for preset in presets().into_iter().filter(|preset| preset.committed) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(preset.spec.target.name);
        let made = generate(&preset.spec, &scratch(preset.spec.target.name)).unwrap();
        for path in [made.archive, made.expect] {
            let committed = folder.join(path.file_name().unwrap());
            assert!(fs::read(&path).unwrap() == fs::read(&committed).unwrap(), "{} differs", committed.display());
        }
    }
}

#[test]
fn the_heap_image_member_is_what_llc_writes() {
    for preset in presets().into_iter().filter(|preset| preset.committed) {
        let mut spec = preset.spec;
        for (heap, align) in [(1, 64), (100, 16384), (4096, spec.heap_align)] {
            (spec.heap, spec.heap_align) = (heap, align);
            let reference = reference_sysimg(&spec, &scratch("sysimg")).unwrap();
            assert!(written_sysimg(&spec) == reference, "{} with {heap} bytes", spec.name);
        }
    }
}
