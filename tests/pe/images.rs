//! Julia's archives under Julia's command lines.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld_corpus::run::check_committed;
use pkgld_corpus::target::{Target, WINDOWS_AARCH64, WINDOWS_I686, WINDOWS_X86_64};
use pkgld_corpus::{Entry, command_line, committed_for};

use crate::common::{rust_lld, scratch};
use crate::dll::{Dll, Place};
use crate::meaning::Meaning;

/// Links an archive with a linker and Julia's line for it, with words before the first `-L`.
fn link(entry: &Entry, linker: &mut Command, kind: &str, more: &[OsString]) -> PathBuf {
    // Julia's output has no extension.
    let name = format!("{}-{}-{kind}", entry.target.name, entry.path.file_stem().unwrap().display());
    let output = scratch("pe").join(name);
    let mut arguments = command_line::arguments(entry, &output);
    let first = arguments.iter().position(|word| word.to_string_lossy().starts_with("-L")).unwrap();
    arguments.splice(first..first, more.iter().cloned());
    let result = linker.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(result.status.success(), "{}: {said}", entry.path.display());
    assert_eq!(said, "", "{}: a link that succeeds is quiet", entry.path.display());
    output
}

fn pkgld() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pkgld"))
}

fn every_archive_runs(target: Target) {
    let entries = committed_for(target);
    assert!(!entries.is_empty());
    for entry in entries {
        let image = link(&entry, &mut pkgld(), "run", &[]);
        check_committed(&entry, &image).unwrap_or_else(|error| panic!("{}: {error}", entry.path.display()));
    }
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn every_archive_of_x86_64_runs() {
    every_archive_runs(WINDOWS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-i686 and mmdebstrap"]
fn every_archive_of_i686_runs() {
    every_archive_runs(WINDOWS_I686);
}

#[test]
#[ignore = "needs the packages clang-19, lld-19, llvm-22, mingw-w64-common, mmdebstrap and qemu-user-static"]
fn every_archive_of_arm64_runs() {
    every_archive_runs(WINDOWS_AARCH64);
}

/// What is imported through import libraries is what is imported from the DLLs themselves.
#[test]
fn import_libraries_and_dlls_are_alike() {
    for target in [WINDOWS_X86_64, WINDOWS_I686, WINDOWS_AARCH64] {
        for entry in committed_for(target) {
            let bare = read(&link(&entry, &mut pkgld(), "bare", &[]));
            // GNU's tools make none for Arm64.
            let forms: &[&str] = if target == WINDOWS_AARCH64 { &["lib-short"] } else { &["lib", "lib-short"] };
            for form in forms {
                let mut search = OsString::from("-L");
                search.push(entry.path.parent().unwrap().join("stubs").join(form));
                let image = read(&link(&entry, &mut pkgld(), form, &[search]));
                let names = |dll: &Dll| {
                    let mut names: Vec<(String, String)> = dll.imports().into_values().collect();
                    names.sort();
                    names
                };
                assert_eq!(names(&image), names(&bare), "{} {form}", entry.path.display());
            }
        }
    }
}

fn read(path: &Path) -> Dll {
    Dll::new(&fs::read(path).unwrap())
}

#[test]
fn images_mean_what_lld_s_mean() {
    for target in [WINDOWS_X86_64, WINDOWS_I686, WINDOWS_AARCH64] {
        let entries = committed_for(target);
        assert!(entries.len() >= 4, "{}: only {} archives", target.name, entries.len());
        for entry in entries {
            let ours = read(&link(&entry, &mut pkgld(), "ours", &[]));
            let entry_point = ["-e", command_line::entry_point(target.cpu)].map(OsString::from);
            let theirs = read(&link(&entry, &mut Command::new(rust_lld()), "theirs", &entry_point));
            let (mut ours, mut theirs) = (Meaning::of(&ours), Meaning::of(&theirs));
            if target == WINDOWS_I686 {
                // Constants and jump tables have no names there.
                let named = |(_, (name, _)): &(u16, Place)| name.starts_with("_jl_") || name.starts_with("_julia_");
                ours.relocations.retain(|field, _| named(field) && field.1.1 == 0);
                theirs.relocations.retain(|field, _| named(field) && field.1.1 == 0);
            }
            assert_eq!(ours, theirs, "{}", entry.path.display());
            assert!(!ours.relocations.is_empty() && ours.exports.len() >= 5 && ours.imports.len() > 100);
        }
    }
}

#[test]
fn bytes_depend_on_inputs_alone() {
    let entry = committed_for(WINDOWS_X86_64).remove(0);
    let bytes = ["1", "2", "7"].map(|threads| {
        let more = OsString::from(format!("--threads={threads}"));
        fs::read(link(&entry, &mut pkgld(), &format!("threads-{threads}"), &[more])).unwrap()
    });
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2]);
    let dll = Dll::new(&bytes[0]);
    assert_eq!(dll.exports().0, "image.dll", "a temporary name says nothing");
    assert_ne!(dll.timestamp(), 0);
    let (stored, right) = dll.checksums();
    assert_eq!(stored, right);
    let unstamped = link(&entry, &mut pkgld(), "unstamped", &["--no-insert-timestamp".into()]);
    assert_eq!(read(&unstamped).timestamp(), 0);
}

/// The heap image is the last section that is used at run time, alone.
#[test]
fn the_heap_image_is_last() {
    for entry in committed_for(WINDOWS_X86_64) {
        let dll = read(&link(&entry, &mut pkgld(), "heap", &[]));
        let names: Vec<&str> = dll.sections.iter().map(|section| &*section.name).collect();
        let heap = names.iter().position(|name| *name == ".image").unwrap();
        assert_eq!(names[heap - 1], ".reloc", "{names:?}");
        assert!(names[heap + 1..].iter().all(|name| name.starts_with(".debug_")), "{names:?}");
        let exports = dll.exports().1;
        let data = exports.iter().find(|(_, name, _)| name == "jl_system_image_data").unwrap();
        assert_eq!(data.2, dll.section(".image").start);
    }
}

/// The line of 1.13 and 1.14: the start files and libraries of MinGW itself.
fn with_start_files(target: Target, prefix: &str, entry_point: &str) {
    let ask = |what: &str| {
        let compiler = format!("{prefix}-gcc");
        let output = Command::new(compiler).arg(format!("-print-file-name={what}")).output().expect("gcc-mingw-w64");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    let (crt, begin, end) = (ask("dllcrt2.o"), ask("crtbegin.o"), ask("crtend.o"));
    for entry in committed_for(target).into_iter().filter(|entry| entry.julia.name() == "1.14") {
        let directory = |file: &Path| {
            let mut word = OsString::from("-L");
            word.push(file.parent().unwrap());
            word
        };
        let mut more = vec!["-e".into(), entry_point.into(), crt.clone().into(), begin.clone().into()];
        more.extend([directory(&crt), directory(&begin), end.clone().into()]);
        let libraries = "-lmingw32 -lgcc_s -lgcc -lmoldname -lmingwex -lmsvcrt -lkernel32 -lpthread -ladvapi32 -lshell32 \
                         -luser32 -lmingw32 -lmingwex -lmsvcrt -lkernel32";
        more.extend(libraries.split_whitespace().map(OsString::from));
        let image = link(&entry, &mut pkgld(), "start", &more);
        let dll = read(&image);
        assert_ne!(dll.directory(9).1, 0, "MinGW's start files bring a TLS directory");
        let wanted = entry_point.trim_start_matches('_');
        assert!(dll.place(dll.entry).0.contains(wanted), "{:?}", dll.place(dll.entry));
        check_committed(&entry, &image).unwrap_or_else(|error| panic!("{}: {error}", entry.path.display()));
    }
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn start_files_of_x86_64() {
    with_start_files(WINDOWS_X86_64, "x86_64-w64-mingw32", "DllMainCRTStartup");
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-i686 and mmdebstrap"]
fn start_files_of_i686() {
    with_start_files(WINDOWS_I686, "i686-w64-mingw32", "_DllMainCRTStartup");
}
