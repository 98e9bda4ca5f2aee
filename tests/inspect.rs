//! Looking into images: those of the committed archives, by this linker and by LLD, whole and damaged.

#![cfg(all(feature = "inspect", target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../corpus/tests/common/mod.rs"]
mod common;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object as _, ObjectSymbol as _};
use pkgld::cli::{Console, Exit};
use pkgld::inspect::{Inspection, inspect};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{self, Format};
use pkgld_corpus::{Entry, Julia, command_line, committed_for};

use common::{rust_lld, scratch};

/// What the loader would say of any image of the corpus: the generator's lists of CPU targets are its own.
const TARGETS: &str = "jl_dispatch_target_ids is not what a Julia writes";

fn name_of(entry: &Entry) -> String {
    format!("{}-{}", entry.target.name, entry.path.file_stem().unwrap().display())
}

/// Julia's command line for an archive.
fn arguments(entry: &Entry, output: &Path) -> Vec<OsString> {
    let mut words = command_line::arguments(entry, output);
    if entry.target.format == Format::Elf {
        let mut search = OsString::from("-L");
        search.push(Stubs::committed_for(entry.target, entry.julia).dir);
        let stubs = words.iter_mut().find(|word| word.to_string_lossy().starts_with("-L"));
        *stubs.unwrap() = search;
    }
    words
}

fn link(entry: &Entry) -> PathBuf {
    let output = scratch("inspect").join(name_of(entry));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let words = [OsString::from("lld")].into_iter().chain(arguments(entry, &output));
    let exit = pkgld::cli::run(words, &mut Console::new(&mut out, &mut err, false));
    assert_eq!(exit, Exit::Success, "{}: {}", name_of(entry), String::from_utf8_lossy(&err));
    output
}

fn link_by_lld(entry: &Entry) -> PathBuf {
    let output = scratch("inspect").join(format!("{}-lld", name_of(entry)));
    let mut words = arguments(entry, &output);
    if entry.target.format == Format::Coff {
        words.extend(["-e", command_line::entry_point(entry.target.cpu)].map(OsString::from));
    }
    let result = Command::new(rust_lld()).args(words).output().unwrap();
    assert!(result.status.success(), "{}: {}", name_of(entry), String::from_utf8_lossy(&result.stderr));
    output
}

/// What is told of an image, after what must be true of every one.
fn told(entry: &Entry, path: &Path) -> Inspection {
    let what = path.display();
    let file = fs::read(path).unwrap();
    let told = inspect("image", &file).unwrap_or_else(|error| panic!("{what}: {error}"));
    let manifest = &entry.manifest;
    assert_eq!(told.notes, [""; 0], "{what}");
    assert_eq!(told.target.as_deref(), Some(entry.target.name), "{what}");
    assert_eq!((told.kind, told.size), ("shared library", file.len() as u64), "{what}");

    let julia = told.julia.as_ref().unwrap_or_else(|| panic!("{what}: nothing of Julia's"));
    assert!(julia.version.split(" or ").any(|version| version == entry.julia.name()), "{what}: {}", julia.version);
    assert_eq!(julia.header, (entry.julia >= Julia::V1_10).then_some(1), "{what}");
    assert_eq!(julia.shards.len() as u64, u64::from(manifest.shards), "{what}");
    assert_eq!((julia.functions, julia.variables), (manifest.fvars.into(), manifest.gvars.into()), "{what}");
    assert_eq!(julia.shards.iter().map(|shard| shard.functions).sum::<u64>(), julia.functions, "{what}");
    assert_eq!(julia.shards.iter().map(|shard| shard.variables).sum::<u64>(), julia.variables, "{what}");
    assert_eq!(julia.targets.len() as u64, u64::from(manifest.targets), "{what}");
    assert_eq!((julia.targets[0].base, julia.targets[0].clones), (None, julia.functions), "{what}");
    let unpack = (entry.julia >= Julia::V1_13).then_some("jl_image_unpack_uncomp");
    assert_eq!(julia.unpack.as_deref(), unpack, "{what}");
    let sum = pkgld_corpus::mix::heap_word(manifest.heap_seed, u64::MAX) as u32;
    assert_eq!(julia.checksum, (entry.julia >= Julia::V1_14).then_some(sum), "{what}");
    let heap = julia.heap.as_ref().unwrap();
    assert_eq!((heap.size, heap.compression), (manifest.heap, "none"), "{what}");
    assert_eq!(heap.alignment % manifest.heap_align, 0, "{what}");
    for offset in [0, (manifest.heap - 1) / 8 * 8] {
        let mut word = [0; 8];
        let rest = (manifest.heap - offset).min(8) as usize;
        let start = (heap.file_offset + offset) as usize;
        word[..rest].copy_from_slice(&file[start..start + rest]);
        assert_eq!(u64::from_le_bytes(word), manifest.heap_word(offset), "{what}: the heap image at {offset}");
    }
    assert!(matches!(julia.reasons.as_slice(), [one] if one.starts_with(TARGETS)), "{what}: {:#?}", julia.reasons);

    let image = told.image.as_ref().unwrap();
    let prefix = if entry.target.format == Format::MachO { "_" } else { "" };
    for export in manifest.exports.iter().map(|export| export.symbol.as_str()).chain(["jl_system_image_data"]) {
        assert!(image.exports.names.contains(&format!("{prefix}{export}")), "{what}: {export} in {:?}", image.exports);
    }
    assert_eq!(image.exports.count, image.exports.names.len() as u64, "{what}");
    assert_eq!(image.space.iter().map(|space| space.bytes).sum::<u64>(), told.size, "{what}");
    assert!(image.space.iter().any(|space| (space.what, space.bytes) == ("heap image", manifest.heap)), "{what}");
    assert!(image.needed.iter().any(|needed| needed.contains("julia-internal")), "{what}: {:?}", image.needed);
    assert!(image.symbols > 100 && image.biggest.len() == 10, "{what}");
    assert!(image.biggest.is_sorted_by_key(|symbol| std::cmp::Reverse(symbol.size)), "{what}");
    if let Some(signature) = &image.signature {
        assert_eq!((signature.problem.as_deref(), signature.ad_hoc), (None, true), "{what}");
    }
    assert_eq!(image.signature.is_some(), entry.target.name == "macos-arm64", "{what}");
    let unwind = &image.unwind;
    assert!(unwind.functions >= julia.functions, "{what}: {unwind:?}");
    assert_eq!(unwind.uncovered.len() as u64, (unwind.functions - unwind.covered).min(10), "{what}: {unwind:?}");

    let json: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
    assert_eq!(json["schema"], 1, "{what}");
    assert_eq!(json["julia"]["functions"], manifest.fvars, "{what}");
    assert_eq!(json["julia"]["heap"]["size"], manifest.heap, "{what}");
    assert_eq!(json["image"]["exports"]["count"], image.exports.count, "{what}");
    told
}

/// What must not differ between two linkers' images: without addresses, sizes and the order of tables.
fn meaning(told: &Inspection) -> serde_json::Value {
    let mut json: serde_json::Value = serde_json::from_str(&told.to_json()).unwrap();
    let mut julia = json["julia"].take();
    for key in ["address", "file_offset", "alignment"] {
        julia["heap"].as_object_mut().unwrap().remove(key);
    }
    // Windows' loader wants the libraries in no order.
    let mut needed: Vec<_> = json["image"]["needed"].as_array().unwrap().clone();
    if json["format"] == "PE" {
        needed.sort_by_key(|name| name.to_string());
    }
    serde_json::json!({
        "target": json["target"].take(),
        "julia": julia,
        "needed": needed,
        "exports": json["image"]["exports"].take(),
        "imports": json["image"]["imports"].take(),
    })
}

#[test]
fn every_image_is_told_as_its_manifest_says() {
    for target in target::ALL {
        for entry in committed_for(*target) {
            let ours = told(&entry, &link(&entry));
            let unwind = &ours.image.as_ref().unwrap().unwind;
            // LLVM writes no rows for functions that cannot throw, where there is no debug information to want them.
            // On 64-bit Windows functions that leave the stack alone need none, on 32-bit Windows no function does.
            let wanted = if entry.target.format == Format::Coff { 0 } else { unwind.functions * 9 / 10 };
            assert!(unwind.covered >= wanted, "{}: {unwind:?}", name_of(&entry));
            assert!(unwind.rows > 0 || entry.target.name == "windows-i686", "{}", name_of(&entry));
            // One of each target by LLD, too.
            if entry.julia == Julia::V1_14 {
                let lld = told(&entry, &link_by_lld(&entry));
                assert_eq!(meaning(&ours), meaning(&lld), "{}", name_of(&entry));
            }
        }
    }
}

#[test]
fn every_archive_is_told_member_by_member() {
    for target in target::ALL {
        for entry in committed_for(*target) {
            let file = fs::read(&entry.path).unwrap();
            let told = inspect("archive", &file).unwrap();
            let what = name_of(&entry);
            assert_eq!((told.kind, told.notes.as_slice()), ("archive", &[][..]), "{what}");
            assert_eq!(told.target.as_deref(), Some(entry.target.name), "{what}");
            let names: Vec<_> = told.members.iter().map(|member| member.name.as_str()).collect();
            let others = if entry.julia == Julia::V1_9 { 1 } else { 2 };
            assert_eq!(names.len() as u64, u64::from(entry.manifest.shards) + others, "{what}: {names:?}");
            assert!(names[0].starts_with("text"), "{what}: {names:?}");
            for member in &told.members {
                assert_eq!(member.target, told.target, "{what}");
                assert!(member.size < told.size && !member.sections.is_empty(), "{what}");
            }
            let heap = told.members.iter().flat_map(|member| &member.sections).map(|section| section.size).max();
            assert!(heap >= Some(entry.manifest.heap), "{what}");
            assert!(told.to_string().contains(&format!("Member {}", names[0])), "{what}");
        }
    }
}

/// Writes Julia's own list of CPU targets into an image, in place of the generator's: at the heap image's start, to where the
/// pointer in `jl_image_pointers` is bent.
fn with_julias_targets(path: &Path) -> Vec<u8> {
    let mut file = fs::read(path).unwrap();
    let elf = object::File::parse(&*file).unwrap();
    let address = |name: &str| elf.dynamic_symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address();
    let (pointers, heap) = (address("jl_image_pointers"), address("jl_system_image_data"));
    let offset = inspect("image", &file).unwrap().julia.unwrap().heap.unwrap().file_offset as usize;
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (name, enabled) in [("generic", 1_u32 << 13), ("haswell", 1 << 28 | 1 << 12)] {
        list.extend([0, 11, enabled].iter().flat_map(|word: &u32| word.to_le_bytes()));
        list.extend([0; 4 * 21]);
        list.extend((name.len() as u32).to_le_bytes());
        list.extend(name.as_bytes());
        list.extend([0; 4]);
    }
    // Offset, R_X86_64_RELATIVE, addend.
    let relocation = [(pointers + 32).to_le_bytes(), 8_u64.to_le_bytes()].concat();
    let place = file.windows(16).position(|bytes| bytes == relocation).unwrap() + 16;
    file[place..place + 8].copy_from_slice(&heap.to_le_bytes());
    file[offset..offset + list.len()].copy_from_slice(&list);
    file
}

fn one(target: target::Target, julia: Julia) -> Entry {
    committed_for(target).into_iter().find(|entry| entry.julia == julia).unwrap()
}

#[test]
fn an_image_with_all_that_julia_wants_would_load() {
    let path = link(&one(target::LINUX_X86_64, Julia::V1_12));
    let mut file = with_julias_targets(&path);
    let julia = inspect("image", &file).unwrap().julia.unwrap();
    assert_eq!((julia.accepted, julia.reasons.as_slice()), (true, &[][..]));
    let targets: Vec<_> = julia.targets.iter().map(|target| (target.name.as_str(), target.base)).collect();
    assert_eq!(targets, [("generic", None), ("haswell", Some(0))]);
    assert_eq!(julia.targets[1].features, ["fma", "avx"]);

    // Of a version of the header that no Julia knows it would not.
    let elf = object::File::parse(&*file).unwrap();
    let header = elf.symbol_by_name("jl_image_header").unwrap().address();
    let place = inspect("image", &file).unwrap().image.unwrap().segments.into_iter();
    let segment = place.filter(|segment| segment.name == "LOAD");
    let segment =
        segment.into_iter().find(|segment| (segment.address..segment.address + segment.size).contains(&header));
    let segment = segment.unwrap();
    let place = (header - segment.address + segment.file_offset) as usize;
    assert_eq!(file[place], 1);
    file[place] = 2;
    let julia = inspect("image", &file).unwrap().julia.unwrap();
    assert_eq!((julia.accepted, julia.reasons[0].as_str()), (false, "the header's version is 2: Julia knows 1"));
}

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

#[test]
fn damaged_files_are_told_or_refused() {
    let mut files = Vec::new();
    for target in target::ALL {
        let entry = one(*target, Julia::V1_14);
        files.push(fs::read(&entry.path).unwrap());
        files.push(fs::read(link(&entry)).unwrap());
    }
    // Opcodes in place of chained fixups, and tables of offsets.
    files.push(fs::read(link_by_lld(&one(target::MACOS_X86_64, Julia::V1_9))).unwrap());
    files.push(fs::read(link(&one(target::LINUX_X86_64, Julia::V1_10))).unwrap());
    let mut chance = Chance(7);
    for file in &files {
        for round in 0..120 {
            let mut damaged = file.clone();
            if round % 4 == 0 {
                damaged.truncate(chance.below(file.len()));
            }
            for _ in 0..1 + chance.below(8) {
                if damaged.is_empty() {
                    break;
                }
                // Headers and tables are where damage tells; they stand at both ends.
                let reach = damaged.len().min(if round % 2 == 0 { 4096 } else { usize::MAX });
                let at = chance.below(reach);
                let at = if round % 3 == 0 { damaged.len() - 1 - at } else { at };
                damaged[at] = [0, 1, 0x7f, 0x80, 0xff, chance.below(256) as u8][chance.below(6)];
            }
            if let Ok(told) = inspect("damaged", &damaged) {
                assert!(told.to_string().len() + told.to_json().len() < 100 * file.len());
                if let Some(image) = told.image {
                    assert_eq!(image.space.iter().map(|space| space.bytes).sum::<u64>(), damaged.len() as u64);
                }
            }
        }
    }
}

#[test]
fn the_programs_command() {
    let directory = scratch("inspect-command");
    let path = link(&one(target::LINUX_X86_64, Julia::V1_12));
    let image = directory.join("Example.so");
    fs::copy(&path, &image).unwrap();
    let _ = fs::remove_file(directory.join("Example.ji"));
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pkgld")).current_dir(&directory).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = run(&["inspect", "Example.so"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("Example.so: ELF shared library for linux-x86_64, "), "{out}");
    assert!(!out.contains('\x1b') && !out.contains("jl_image_pointers\n"), "{out}");
    assert!(run(&["inspect", "--exports", "Example.so"]).1.contains("jl_image_pointers\n"));
    let (code, out, _) = run(&["inspect", "--json", "Example.so"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["file"]), (Some(0), &"Example.so".into()));
    assert!(run(&["inspect", "--help"]).1.starts_with("Usage: pkgld inspect"));
    assert!(run(&["--help"]).1.contains("pkgld inspect"));
    // What is beside the image is looked into, and must be what its name says.
    fs::write(directory.join("Example.ji"), "no cache").unwrap();
    let (code, _, err) = run(&["inspect", "Example.so"]);
    assert_eq!((code, err.as_str()), (Some(1), "pkgld: error: Example.ji: not a .ji file: it does not begin as one\n"));
    assert_eq!(run(&["inspect", "--no-ji", "Example.so"]).0, Some(0));
    for (arguments, problem) in [
        (&["inspect", "gone.so"][..], "pkgld: error: cannot read gone.so: "),
        (&["inspect"], "pkgld: error: no file to look into (see 'pkgld inspect --help')"),
        (&["inspect", "--no-ji", "--flags=-O2", "Example.so"], "pkgld: error: there is no image with a .ji file"),
        (&["inspect", "Example.ji"], "pkgld: error: Example.ji: neither an archive"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(err.starts_with(problem), "{arguments:?}: {err}");
    }
}
