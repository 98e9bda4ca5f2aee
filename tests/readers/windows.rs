//! The DLLs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pkgld_corpus::committed_for;
use pkgld_corpus::target::{Target, WINDOWS_AARCH64, WINDOWS_I686, WINDOWS_X86_64};

use crate::dll::Dll;
use crate::{lines_with, link, read};

/// A platform, and what readers call its things.
pub(crate) struct Platform {
    pub(crate) target: Target,
    /// What `llvm-readobj` calls the fixup of a pointer.
    fixup: &'static str,
    /// Where the functions are that are listed for unwinding.
    rows: fn(&Dll) -> Vec<u32>,
}

pub(crate) const PLATFORMS: [Platform; 3] = [
    Platform {
        target: WINDOWS_X86_64,
        fixup: "Type: DIR64",
        rows: |dll| dll.functions().into_iter().map(|row| row.0).collect(),
    },
    Platform { target: WINDOWS_I686, fixup: "Type: HIGHLOW", rows: |_| Vec::new() },
    Platform {
        target: WINDOWS_AARCH64,
        fixup: "Type: DIR64",
        rows: |dll| dll.functions_of_arm64().into_iter().map(|row| row.0).collect(),
    },
];

/// An image, and what the tests' own reader makes of it.
pub(crate) struct Read {
    pub(crate) path: PathBuf,
    pub(crate) dll: Dll,
    /// Where the functions are that are listed for unwinding.
    pub(crate) rows: Vec<u32>,
    pub(crate) platform: &'static Platform,
}

pub(crate) fn images() -> Vec<Read> {
    let mut images = Vec::new();
    for platform in &PLATFORMS {
        let entries = committed_for(platform.target);
        assert!(entries.len() >= 4, "{}", platform.target.name);
        for entry in entries {
            let path = link(&entry, ".dll", &[]);
            let dll = Dll::new(&fs::read(&path).unwrap());
            let exports: BTreeSet<String> = dll.exports().1.into_iter().map(|(_, name, _)| name).collect();
            for export in &entry.manifest.exports {
                assert!(exports.contains(&export.symbol), "{}: {}", path.display(), export.symbol);
            }
            assert!(dll.imports().len() > 100 && !dll.base_relocations().is_empty(), "{}", path.display());
            let rows = (platform.rows)(&dll);
            assert_eq!(rows.is_empty(), platform.target == WINDOWS_I686, "{}", path.display());
            images.push(Read { path, dll, rows, platform });
        }
    }
    images
}

#[test]
#[ignore = "needs the package llvm-22"]
fn llvm_reads_dlls() {
    for Read { path, dll, rows, platform } in images() {
        let what = path.display();
        let text = read("llvm-readobj-22 --file-headers --sections --symbols", &path, "llvm-22");
        assert_eq!(lines_with(&text, "Section {"), dll.sections.len(), "{what}");
        let text = read("llvm-readobj-22 --coff-exports", &path, "llvm-22");
        assert_eq!(lines_with(&text, "Export {"), dll.exports().1.len(), "{what}");
        let text = read("llvm-readobj-22 --coff-imports", &path, "llvm-22");
        assert_eq!(lines_with(&text, "Symbol: "), dll.imports().len(), "{what}");
        let text = read("llvm-readobj-22 --coff-basereloc", &path, "llvm-22");
        assert_eq!(lines_with(&text, platform.fixup), dll.base_relocations().len(), "{what}");
        let text = read("llvm-readobj-22 --unwind", &path, "llvm-22");
        assert_eq!(lines_with(&text, "RuntimeFunction {"), rows.len(), "{what}");
        let text =
            read("llvm-readobj-22 --coff-tls-directory --coff-load-config --coff-debug-directory", &path, "llvm-22");
        assert!(text.contains("Format: COFF"), "{what}");
        let text = read("llvm-objdump-22 -p -h -t -d", &path, "llvm-22");
        assert!(text.contains("Disassembly of section .text"), "{what}");
        let text = read("llvm-dwarfdump-22 --verify", &path, "llvm-22");
        assert!(text.contains("No errors."), "{what}: {text}");
    }
}

#[test]
#[ignore = "needs the package wine64-tools"]
fn winedump_reads_dlls() {
    for Read { path, dll, rows, .. } in images() {
        let what = path.display();
        // It dumps the last of several directories.
        let text = ["export", "import", "except", "reloc"].map(|directory| {
            let text = read(&format!("winedump-stable -j {directory}"), &path, "wine64-tools");
            assert!(text.contains("Done dumping"), "{what}: {text}");
            text
        });
        let text = text.concat();
        for (number, name, place) in dll.exports().1 {
            assert!(text.contains(&format!("  {place:08X} {number:5} {name}\n")), "{what}: {name}");
        }
        let imports = dll.imports();
        for (slot, (_, name)) in &imports {
            let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{slot:08x} ")));
            assert!(line.is_some_and(|line| line.ends_with(&format!("  {name}"))), "{what}: {name}: {line:?}");
        }
        assert_eq!(lines_with(&text, "Function "), rows.len(), "{what}");
        let fixups = text.lines().filter(|line| line.trim_start().starts_with("off ") && !line.contains("ABSOLUTE"));
        assert_eq!(fixups.count(), dll.base_relocations().len(), "{what}");
    }
}

#[test]
fn goblin_reads_dlls() {
    for Read { path, dll, .. } in images() {
        let what = path.display();
        let bytes = fs::read(&path).unwrap();
        let image = goblin::pe::PE::parse(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(image.is_lib && image.is_64 == (dll.word == 8) && image.entry == dll.entry, "{what}");
        let exports: BTreeSet<(String, u32)> =
            image.exports.iter().map(|export| (export.name.unwrap().to_owned(), export.rva as u32)).collect();
        assert_eq!(exports, dll.exports().1.into_iter().map(|(_, name, place)| (name, place)).collect(), "{what}");
        let imports: BTreeSet<(String, String)> =
            image.imports.iter().map(|import| (import.dll.to_lowercase(), import.name.to_string())).collect();
        assert_eq!(imports, dll.imports().into_values().collect(), "{what}");
    }
}
