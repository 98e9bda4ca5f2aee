//! The program in Julia's place on macOS: its own command lines, its own archives, and dylibs that load and compute what
//! they must.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod big;
mod choices;
mod coalesced;
#[path = "../../corpus/tests/common/mod.rs"]
mod common;
mod contents;
mod dsym;
// The tests of other readers use the rest of it.
#[allow(dead_code)]
mod image;
mod libraries;
mod makers;
mod objc;
mod odds;
mod options;
mod stripping;
mod unwind;
mod variables;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64, Target};
use pkgld_corpus::{Entry, command_line, committed_for, run};

use common::{rust_lld, scratch};
use image::Image;

fn program(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Output {
    let arguments = arguments.into_iter().map(Into::into);
    Command::new(env!("CARGO_BIN_EXE_pkgld")).args(arguments).output().unwrap()
}

/// Links an archive by Julia's own command line, and `more`.
fn link(entry: &Entry, name: &str, more: &[&str]) -> PathBuf {
    let output = scratch("macho").join(name);
    let mut arguments = command_line::arguments(entry, &output);
    arguments.extend(more.iter().map(OsString::from));
    let out = program(arguments);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.is_empty(), "{}: {text}", entry.path.display());
    output
}

/// As [`link`], by LLD.
fn link_by_lld(entry: &Entry, name: &str, more: &[&str]) -> PathBuf {
    let output = scratch("macho").join(name);
    let mut lld = Command::new(rust_lld());
    let out = lld.args(command_line::arguments(entry, &output)).args(more).output().unwrap();
    assert!(out.status.success(), "{}: {}", entry.path.display(), String::from_utf8_lossy(&out.stderr));
    output
}

fn name(entry: &Entry, suffix: &str) -> String {
    format!("{}-{}{suffix}", entry.target.name, entry.path.file_stem().unwrap().to_str().unwrap())
}

/// With chains, and with programs, which is what loaders before macOS 12 know.
fn every_archive_of(target: Target) {
    let entries = committed_for(target);
    assert!(entries.len() >= 4, "only {} archives", entries.len());
    for entry in entries {
        for (suffix, more) in [("", &[][..]), ("-programs", &["-no_fixup_chains"])] {
            let image = link(&entry, &name(&entry, suffix), more);
            let report = run::check_committed(&entry, &image);
            let report = report.unwrap_or_else(|error| panic!("{}:\n{error}", image.display()));
            assert!(report.calls > 50 && report.words > 0 && report.frames == 10, "{}: {report:?}", image.display());
        }
    }
}

#[test]
#[ignore = "needs the package gcc"]
fn images_of_x86_64_load_and_compute() {
    every_archive_of(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static"]
fn images_of_arm64_load_and_compute() {
    every_archive_of(MACOS_ARM64);
}

/// Two functions that run when the image is loaded, in this order: the word is 12 then, which the loader checks.
const INITIALISERS: [&str; 2] = [
    "_first: movq $1, _pkgld_initialised(%rip)\nret\n\
     _second: imulq $10, _pkgld_initialised(%rip), %rax\naddq $2, %rax\nmovq %rax, _pkgld_initialised(%rip)\nret\n",
    "_first: adrp x0, _pkgld_initialised@PAGE\nmov x1, #1\nstr x1, [x0, _pkgld_initialised@PAGEOFF]\nret\n\
     _second: adrp x0, _pkgld_initialised@PAGE\nldr x1, [x0, _pkgld_initialised@PAGEOFF]\nmov x2, #10\n\
     mul x1, x1, x2\nadd x1, x1, #2\nstr x1, [x0, _pkgld_initialised@PAGEOFF]\nret\n",
];

/// An empty directory that no other call is given: tests run at the same time.
fn place() -> PathBuf {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let directory = scratch("macho").join(format!("place-{}", CALLS.fetch_add(1, Ordering::Relaxed)));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Has `llvm-mc` assemble a text, the first line of which says what system it is for.
fn assemble(target: Target, name: &str, text: &str) -> PathBuf {
    assemble_by(19, target, name, text)
}

/// As [`assemble`], by another LLVM.
fn assemble_by(llvm: u32, target: Target, name: &str, text: &str) -> PathBuf {
    let arm = target == MACOS_ARM64;
    let object = place().join(format!("{name}-{}.o", target.name));
    let source = object.with_extension("s");
    fs::write(&source, format!(".build_version macos, 11, 0\n{text}.subsections_via_symbols\n")).unwrap();
    let triple = if arm { "arm64-apple-macos11" } else { "x86_64-apple-macos11" };
    let mut mc = Command::new(format!("llvm-mc-{llvm}"));
    let out = mc.args(["-filetype=obj", "-triple", triple, "-o"]).arg(&object).arg(source).output();
    let out =
        out.unwrap_or_else(|_| panic!("llvm-mc-{llvm} is not installed; it is in the Debian package llvm-{llvm}"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    object
}

fn initialisers(target: Target) -> PathBuf {
    let code = INITIALISERS[usize::from(target == MACOS_ARM64)];
    let text = format!(
        ".section __TEXT,__text,regular,pure_instructions\n.p2align 2\n{code}\
         .section __DATA,__mod_init_func,mod_init_funcs\n.p2align 3\n.quad _first\n.quad _second\n\
         .section __DATA,__data\n.globl _pkgld_initialised\n.p2align 3\n_pkgld_initialised: .quad 0\n"
    );
    assemble(target, "first", &text)
}

/// The forms in which the loader is told of functions: their lists of functions to run are of entries of 4 or 8 bytes.
const FORMS: [(&str, &[&str], [u64; 2]); 3] = [
    ("-chains", &[], [8, 0]),
    ("-lists", &["-no_fixup_chains"], [0, 16]),
    ("-offsets", &["-no_fixup_chains", "-init_offsets"], [8, 0]),
];

/// Functions run in their order when the image is loaded; LLD's image has them, and looks functions up lazily, alike.
fn functions_run_first(target: Target) {
    let object = initialisers(target);
    let entry = committed_for(target).remove(0);
    for (suffix, more, sizes) in FORMS {
        let more: Vec<&str> = more.iter().copied().chain([object.to_str().unwrap()]).collect();
        let path = link(&entry, &name(&entry, &format!("{suffix}-first")), &more);
        let report = run::check_committed(&entry, &path);
        report.unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let reference = link_by_lld(&entry, &name(&entry, &format!("{suffix}-first-lld")), &more);
        let (ours, theirs) = (fs::read(path).unwrap(), fs::read(reference).unwrap());
        let (ours, theirs) = (Image::new(&ours), Image::new(&theirs));
        assert!(ours.symbols().contains(&(b"_pkgld_initialised".to_vec(), true)));
        for image in [&ours, &theirs] {
            assert_eq!([image.size_of(b"__init_offsets"), image.size_of(b"__mod_init_func")], sizes, "{suffix}");
        }
        if suffix != "-chains" {
            let [bound, lazy] = ours.bound_by_programs();
            let [their_bound, mut their_lazy] = theirs.bound_by_programs();
            // Of what has a slot too the stub jumps through that.
            their_lazy.retain(|function| !bound.contains(function));
            assert_eq!((bound, &lazy), (their_bound, &their_lazy), "{suffix}");
            assert!(!lazy.is_empty() && ours.size_of(b"__la_symbol_ptr") == 8 * lazy.len() as u64, "{suffix}");
            let now: Vec<&str> = more.iter().copied().chain(["-bind_at_load"]).collect();
            let now = fs::read(link(&entry, &name(&entry, &format!("{suffix}-now")), &now)).unwrap();
            assert!(Image::new(&now).bound_by_programs()[1].is_empty());
        }
    }
}

#[test]
#[ignore = "needs the packages gcc and llvm-19"]
fn functions_of_x86_64_run_first() {
    functions_run_first(MACOS_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, llvm-19 and qemu-user-static"]
fn functions_of_arm64_run_first() {
    functions_run_first(MACOS_ARM64);
}

fn all() -> impl Iterator<Item = Entry> {
    committed_for(MACOS_ARM64).into_iter().chain(committed_for(MACOS_X86_64))
}

/// LLD's image of the same archive by the same command line means the same.
#[test]
fn images_mean_what_llds_mean() {
    for entry in all() {
        let theirs = fs::read(link_by_lld(&entry, &name(&entry, "-lld"), &[])).unwrap();
        let ours = fs::read(link(&entry, &name(&entry, "-ours"), &[])).unwrap();
        let (theirs, ours) = (Image::new(&theirs), Image::new(&ours));
        let what = entry.path.display();
        assert_eq!(ours.exported(), theirs.exported(), "{what}");
        assert_eq!(ours.libraries(), theirs.libraries(), "{what}");
        assert_eq!(ours.symbols(), theirs.symbols(), "{what}");
        assert_eq!(ours.binds(), theirs.binds(), "{what}");
        assert_eq!(ours.rebases().len(), theirs.rebases().len(), "{what}");
        assert_eq!(ours.pointers(), theirs.pointers(), "{what}");
        // Of two names of one function LLD gives the first no size.
        let (ours_map, mut theirs_map) = (ours.debug_map(), theirs.debug_map());
        for (object, named) in &mut theirs_map {
            for (name, size) in named.iter_mut().filter(|(_, size)| **size == 0) {
                *size = ours_map.get(object).and_then(|named| named.get(name)).copied().unwrap_or(0);
            }
        }
        assert!(ours_map == theirs_map && !ours_map.is_empty(), "{what}");
        assert_eq!(ours.functions(), theirs.functions(), "{what}");
    }
}

#[test]
fn signatures_hold_for_every_page() {
    for entry in all() {
        let image = fs::read(link(&entry, &name(&entry, "-signed"), &["-adhoc_codesign"])).unwrap();
        Image::new(&image).check_signature(b"image.dylib");
        let image = fs::read(link(&entry, &name(&entry, "-unsigned"), &["-no_adhoc_codesign"])).unwrap();
        assert!(!Image::new(&image).is_signed());
    }
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    for entry in all() {
        let first = fs::read(link(&entry, &name(&entry, "-a"), &[])).unwrap();
        // Neither the name of the output nor the number of threads shows.
        assert!(first == fs::read(link(&entry, &name(&entry, "-another"), &[])).unwrap());
        let mut options = pkgld::Options::julia(match entry.target == MACOS_ARM64 {
            true => pkgld::Target::MACOS_AARCH64,
            false => pkgld::Target::MACOS_X86_64,
        });
        let images = [1, 2, 7].map(|threads| {
            options.threads = std::num::NonZeroUsize::new(threads);
            let inputs = vec![pkgld::Input::path(&entry.path).whole_archive()];
            let inputs = pkgld::Inputs::open(inputs, &options).unwrap();
            let image = pkgld::link(&inputs, &options).unwrap();
            let (bytes, _) = image.to_vec().unwrap();
            let mut written = Vec::new();
            image.write_to(&mut written).unwrap();
            assert!(bytes == written);
            bytes
        });
        assert!(images[0] == images[1] && images[0] == images[2], "{}", entry.path.display());
    }
}

/// The debug map leads `dsymutil` to the archive's members, and what it makes of them is sound.
#[test]
#[ignore = "needs the package llvm-22"]
fn dsymutil_finds_the_debug_information() {
    for entry in all().filter(|entry| entry.path.to_string_lossy().contains("g2")) {
        let image = link(&entry, &name(&entry, "-debug.dylib"), &[]);
        let bundle = image.with_extension("dSYM");
        let out = Command::new("dsymutil-22").arg(&image).arg("-o").arg(&bundle).output();
        let out = out.expect("dsymutil-22 is not installed; it is in the Debian package llvm-22");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && !text.contains("warning"), "{text}");
        let dwarf = bundle.join("Contents/Resources/DWARF").join(image.file_name().unwrap());
        let linked = fs::read(&dwarf).unwrap();
        assert_eq!(Image::new(&linked).uuid(), Image::new(&fs::read(&image).unwrap()).uuid());
        let out = Command::new("llvm-dwarfdump-22").arg("--verify").arg(&dwarf).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        let out = Command::new("llvm-dwarfdump-22").arg("--debug-line").arg(&dwarf).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).lines().filter(|line| line.contains("is_stmt")).count() > 10);
        let functions = dsym::functions(&linked);
        assert!(functions.len() > 50 && functions.values().all(dsym::Function::has_rows), "{}", functions.len());
    }
}

#[test]
fn options_show_in_the_image() {
    let entry = committed_for(MACOS_X86_64).remove(0);
    let more = [
        "-install_name",
        "@rpath/libx.dylib",
        "-current_version",
        "1.2.3",
        "-compatibility_version",
        "1.1",
        "-rpath",
        "@loader_path/..",
        "-x",
        "-S",
        "-no_uuid",
        "-exported_symbol",
        "_jl_system_image_*",
    ];
    let image = fs::read(link(&entry, &name(&entry, "-options"), &more)).unwrap();
    let image = Image::new(&image);
    assert_eq!(image.install_name(), (b"@rpath/libx.dylib".to_vec(), 0x1_0203, 0x1_0100));
    assert_eq!(image.rpaths(), [b"@loader_path/..".to_vec()]);
    assert!(image.uuid().is_none() && image.debug_map().is_empty());
    let names: Vec<_> = image.exports().into_keys().collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with(b"_jl_system_image_")));
    assert!(image.symbols().iter().all(|(_, external)| *external));
    let plain = fs::read(link(&entry, "named.dylib", &[])).unwrap();
    assert_eq!(Image::new(&plain).install_name().0, b"named.dylib");
}

#[test]
fn what_is_undefined_is_told_with_its_places() {
    let entry = committed_for(MACOS_ARM64).remove(0);
    let out = program(["-flavor", "darwin", "-dylib", "-arch", "arm64", "-o"].map(OsString::from).into_iter().chain([
        scratch("macho").join("undefined").into(),
        "-all_load".into(),
        entry.path.clone().into(),
    ]));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    assert!(text.contains("undefined symbol: _") && text.contains(">>> referenced by"), "{text}");
    // Of another CPU.
    let out =
        program(["-flavor", "darwin", "-dylib", "-arch", "x86_64", "-o"].map(OsString::from).into_iter().chain([
            scratch("macho").join("other").into(),
            "-all_load".into(),
            entry.path.into(),
        ]));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("is for arm64 macOS") && text.contains("is for x86_64 macOS"), "{text}");
}

/// The heap image is in a segment of its own before `__LINKEDIT`, on the last pages of the image.
#[test]
fn the_heap_image_goes_last() {
    for entry in all() {
        let image = fs::read(link(&entry, &name(&entry, "-heap"), &[])).unwrap();
        let image = Image::new(&image);
        let segments = image.segments();
        let names: Vec<&[u8]> = segments.iter().map(|segment| segment.0.as_slice()).collect();
        let wanted: [&[u8]; 5] = [b"__TEXT", b"__DATA_CONST", b"__DATA", b"__HEAP_IMAGE", b"__LINKEDIT"];
        assert_eq!(names, wanted, "{}", entry.path.display());
        let heap = image.exports()[&b"_jl_system_image_data".to_vec()];
        assert_eq!(heap, segments[3].1, "{}", entry.path.display());
    }
}
