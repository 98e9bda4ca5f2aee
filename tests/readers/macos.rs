//! The dylibs, with chained fixups and with programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pkgld_corpus::committed_for;
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64};

use crate::image::Image;
use crate::{lines_with, link, read};

/// An archive's two images.
pub(crate) struct Pair {
    /// With chained fixups, for systems from macOS 12 on.
    pub(crate) chained: PathBuf,
    /// With programs of opcodes.
    pub(crate) programs: PathBuf,
}

pub(crate) fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for target in [MACOS_ARM64, MACOS_X86_64] {
        let entries = committed_for(target);
        assert!(entries.len() >= 4, "{}", target.name);
        for entry in entries {
            let chained = link(&entry, "-chained.dylib", &[]);
            let exports = Image::new(&fs::read(&chained).unwrap()).exports();
            for export in &entry.manifest.exports {
                assert!(exports.contains_key(format!("_{}", export.symbol).as_bytes()), "{}", chained.display());
            }
            // With everything bound at load, as chains do it, so that both fill the same places.
            let programs = link(&entry, "-programs.dylib", &["-no_fixup_chains", "-bind_at_load"]);
            pairs.push(Pair { chained, programs });
        }
    }
    pairs
}

#[test]
#[ignore = "needs the package llvm-22"]
fn llvm_reads_dylibs() {
    for pair in pairs() {
        let bytes = fs::read(&pair.chained).unwrap();
        let image = Image::new(&bytes);
        let (binds, rebases) = (image.binds(), image.rebases());
        for path in [&pair.chained, &pair.programs] {
            let what = path.display();
            let bytes = fs::read(path).unwrap();
            let image = Image::new(&bytes);
            let objdump = |options: &str| read(&format!("llvm-objdump-22 --macho {options}"), path, "llvm-22");
            let text = objdump("--exports-trie");
            assert_eq!(lines_with(&text, "0x"), image.exports().len(), "{what}: {text}");
            let text = objdump("--function-starts=addrs");
            for start in image.function_starts() {
                assert!(text.contains(&format!("{start:016x}")), "{what}: {start:#x}");
            }
            assert!(objdump("--unwind-info").contains("Second level indices:"), "{what}");
            assert!(objdump("--indirect-symbols").contains("__got"), "{what}");
            assert!(objdump("--private-headers").contains("LC_FUNCTION_STARTS"), "{what}");
            assert!(objdump("--data-in-code").contains("Data in code table"), "{what}");
            assert!(objdump("-d").contains("(__TEXT,__text) section"), "{what}");
        }
        let objdump = |options: &str| read(&format!("llvm-objdump-22 --macho {options}"), &pair.programs, "llvm-22");
        let what = pair.programs.display();
        // A name, a type and an address to each; the line above them names the columns.
        assert_eq!(lines_with(&objdump("--rebase"), "__DATA"), rebases.len(), "{what}");
        assert_eq!(lines_with(&objdump("--bind"), "__DATA"), binds.len(), "{what}");
        let text = read("llvm-objdump-22 --macho --chained-fixups", &pair.chained, "llvm-22");
        assert!(lines_with(&text, "dyld chained import[") > 0 || text.contains("imports_count"), "{text}");
        let text = read("llvm-objdump-22 --macho --dyld-info", &pair.chained, "llvm-22");
        assert_eq!(lines_with(&text, "__DATA"), binds.len() + rebases.len(), "{}", pair.chained.display());
    }
}

#[test]
fn goblin_reads_dylibs() {
    for pair in pairs() {
        let bytes = fs::read(&pair.chained).unwrap();
        let image = Image::new(&bytes);
        for path in [&pair.chained, &pair.programs] {
            let what = path.display();
            let bytes = fs::read(path).unwrap();
            let read = goblin::mach::MachO::parse(&bytes, 0).unwrap_or_else(|error| panic!("{what}: {error}"));
            let exports = read.exports().unwrap();
            let exports: BTreeSet<_> = exports.into_iter().map(|export| (export.name, export.offset)).collect();
            let wanted = Image::new(&bytes).exports().into_iter();
            let wanted = wanted.map(|(name, at)| (String::from_utf8(name).unwrap(), at)).collect();
            assert_eq!(exports, wanted, "{what}");
            // The first is the image itself.
            assert_eq!(read.libs.len(), image.libraries().len() + 1, "{what}");
            if path == &pair.programs {
                let mut imports: Vec<_> = read.imports().unwrap().into_iter().map(|it| it.name.to_owned()).collect();
                imports.sort();
                let binds: Vec<_> = image.binds().into_iter().map(|it| String::from_utf8(it.0).unwrap()).collect();
                assert_eq!(imports, binds, "{what}");
            }
        }
    }
}
