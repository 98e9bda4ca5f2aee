//! Every committed archive, linked by LLD and by pkgld, means the same; and pkgld's image is what its inputs ask for.
//!
//! [`pkgld_differ`] compares exports, imports and versions, needed libraries, every symbol's bytes with each relocated
//! field decoded, protection, unwind rows and line rows. Each difference that is allowed has a rule with a reason.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgld::{BuildId, HashStyle, Input, Inputs, Options, Report, Strip, Symbolic};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{self, Cpu, Target};
use pkgld_corpus::{Entry, Manifest, committed, committed_for, presets};
use pkgld_differ::compare::compare;
use pkgld_differ::image::Image;
use pkgld_differ::rules::{self, Check, Rule};

/// A set of options with the flags that ask LLD for the same.
struct Variant {
    name: &'static str,
    flags: &'static [&'static str],
    set: fn(&mut Options),
}

/// What Julia asks for first, then what else changes the tables of an image.
const VARIANTS: [Variant; 9] = [
    Variant { name: "julia", flags: &[], set: |_| {} },
    Variant { name: "now", flags: &["-z", "now"], set: |options| options.elf.now = true },
    Variant { name: "norelro", flags: &["-z", "norelro"], set: |options| options.elf.relro = false },
    Variant { name: "gnu-hash", flags: &["--hash-style=gnu"], set: |options| options.elf.hash_style = HashStyle::Gnu },
    Variant {
        name: "sysv-hash",
        flags: &["--hash-style=sysv"],
        set: |options| options.elf.hash_style = HashStyle::Sysv,
    },
    Variant { name: "symbolic", flags: &["-Bsymbolic"], set: |options| options.elf.symbolic = Symbolic::All },
    Variant { name: "relr", flags: &["-z", "pack-relative-relocs"], set: |options| options.elf.relr = true },
    Variant {
        name: "names",
        flags: &["-soname", "libx.so.1", "-rpath", "$ORIGIN/../lib"],
        set: |options| {
            options.elf.soname = Some("libx.so.1".to_owned());
            options.elf.rpath = vec!["$ORIGIN/../lib".to_owned()];
        },
    },
    Variant { name: "strip-debug", flags: &["--strip-debug"], set: |options| options.strip = Strip::Debug },
];

/// The platforms beside x86-64 whose archives are compared.
const OTHERS: [Target; 6] = [
    target::LINUX_I686,
    target::LINUX_AARCH64,
    target::FREEBSD_AARCH64,
    target::LINUX_ARMV7,
    target::LINUX_RISCV64,
    target::LINUX_PPC64LE,
];

/// With `-z now` nothing is bound lazily.
const CALLS_THROUGH_THE_GOT: Rule = Rule {
    name: "calls-through-the-got",
    reason: "with -z now calls go through the GOT's slots, and there is no table of lazily bound ones",
    allows: |finding| {
        // The last is DT_PPC64_GLINK, which tells where lazily bound calls go.
        let tags = ["DT_PLTRELSZ", "DT_PLTGOT", "DT_PLTREL", "DT_JMPREL", "tag 0x70000000"];
        finding.check == Check::Dynamic && tags.contains(&finding.subject.as_str()) && finding.found == "false"
    },
};

/// The differences that pkgld makes on purpose.
const ALLOWED: [&str; 2] = ["relro-extent", "heap-image-section"];

fn allowed(variant: &Variant) -> Vec<Rule> {
    let general = rules::ALL.iter().filter(|rule| ALLOWED.contains(&rule.name)).copied();
    let special = match variant.name {
        "now" => Some(CALLS_THROUGH_THE_GOT),
        "strip-debug" => Some(rules::STRIPPED_DEBUG),
        _ => None,
    };
    // POWER's stubs; no other CPU needs any here.
    general.chain(special).chain([rules::THUNK_SYMBOLS]).collect()
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential").join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What says to LLD, beside the variant, what the linker does by itself.
fn flags_of(entry: &Entry) -> &'static [&'static str] {
    // LLD shortens code where it can, which pkgld does for x86-64 only.
    match entry.target.cpu {
        Cpu::Aarch64 | Cpu::Riscv64 => &["--no-relax"],
        Cpu::Ppc64 => &["--no-toc-optimize"],
        _ => &[],
    }
}

fn options(entry: &Entry, set: fn(&mut Options)) -> Options {
    let mut options = Options::default();
    options.search_paths = vec![Stubs::committed_for(entry.target, entry.julia).dir];
    set(&mut options);
    options
}

/// Julia's line: the archive whole, then the two libraries.
fn link(entry: &Entry, options: &Options) -> (Vec<u8>, Report) {
    let archive = fs::read(&entry.path).unwrap();
    let archive = Input::bytes(entry.path.display().to_string(), &archive).whole_archive();
    let inputs = vec![archive, Input::library("julia"), Input::library("julia-internal")];
    let inputs = Inputs::open(inputs, options).unwrap();
    let image = pkgld::link(&inputs, options).unwrap_or_else(|errors| panic!("{}: {errors}", entry.path.display()));
    image.to_vec().unwrap()
}

fn reference(linker: &mut Command, entry: &Entry, variant: &Variant, output: &Path) -> Vec<u8> {
    let stubs = Stubs::committed_for(entry.target, entry.julia);
    linker.args(flags_of(entry)).args(variant.flags).args(["--eh-frame-hdr", "-shared", "-o"]).arg(output);
    linker.arg("--whole-archive").arg(&entry.path).arg("--no-whole-archive");
    linker.arg("-L").arg(&stubs.dir).args(["-ljulia", "-ljulia-internal"]);
    let result = linker.output().unwrap_or_else(|error| panic!("{linker:?}: {error}"));
    assert!(result.status.success(), "{linker:?}: {}", String::from_utf8_lossy(&result.stderr));
    fs::read(output).unwrap()
}

fn rust_lld() -> Command {
    let sysroot = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
        .args(["--print", "sysroot"])
        .output()
        .expect("rustc tells its sysroot");
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    let path = format!("{}/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", sysroot.trim());
    let mut command = Command::new(path);
    command.args(["-flavor", "gnu"]);
    command
}

fn inputs_of<'a>(entry: &Entry, archive: &'a [u8]) -> pkgld_differ::inputs::Inputs<'a> {
    pkgld_differ::inputs::Inputs::parse(&[(entry.path.display().to_string(), archive)], &[]).unwrap()
}

/// Compares archives in all variants with what `linker` makes of them; each rule that allows a difference must be needed.
fn compare_all(name: &str, entries: &[Entry], linker: impl Fn() -> Command) {
    let used = compare_each(name, entries, linker);
    let unused: Vec<_> = ALLOWED.iter().filter(|rule| !used.contains(**rule)).collect();
    assert!(unused.is_empty(), "rules that allow nothing: {unused:?}");
}

/// The same; returns the rules that were needed.
fn compare_each(name: &str, entries: &[Entry], linker: impl Fn() -> Command) -> BTreeSet<&'static str> {
    let directory = scratch(name);
    let mut used = BTreeSet::new();
    for entry in entries {
        let archive = fs::read(&entry.path).unwrap();
        let inputs = inputs_of(entry, &archive);
        for variant in &VARIANTS {
            let theirs = reference(&mut linker(), entry, variant, &directory.join("reference.so"));
            let (ours, _) = link(entry, &options(entry, variant.set));
            let (theirs, image) = (Image::parse(&theirs).unwrap(), Image::parse(&ours).unwrap());
            let report = compare(&theirs, &image, Some(&inputs), &allowed(variant));
            assert!(report.is_equal(), "{} ({}):\n{report}", entry.path.display(), variant.name);
            used.extend(report.allowed.keys().copied());
        }
    }
    assert!(!entries.is_empty(), "no archive was compared");
    used
}

#[test]
fn means_what_rust_lld_means() {
    compare_all("rust-lld", &committed(), rust_lld);
}

#[test]
fn means_what_rust_lld_means_on_other_processors() {
    for target in OTHERS {
        compare_each(target.name, &committed_for(target), rust_lld);
    }
}

#[test]
#[ignore = "needs the package lld-19"]
fn means_what_lld_19_means() {
    compare_all("lld-19", &committed(), || Command::new("ld.lld-19"));
}

#[test]
#[ignore = "needs the package lld-16"]
fn means_what_lld_16_means() {
    compare_all("lld-16", &committed(), || Command::new("ld.lld-16"));
}

#[test]
#[ignore = "needs the packages llvm-16, llvm-19 and llvm-22"]
fn archives_of_real_sizes_mean_what_rust_lld_means() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sizes");
    fs::create_dir_all(&directory).unwrap();
    let made = |name: &&str| {
        let preset = presets::preset(name).unwrap();
        let made = presets::cached(name, &directory).unwrap_or_else(|error| panic!("{name}: {error}"));
        let manifest = Manifest::read(&made.expect).unwrap();
        let (llvm, julia) = (manifest.llvm, manifest.julia);
        Entry { path: made.archive, expect: made.expect, target: preset.spec.target, llvm, julia, manifest }
    };
    let entries: Vec<Entry> = ["3m", "3m-llvm19", "3m-llvm22"].iter().map(made).collect();
    compare_all("sizes", &entries, rust_lld);
}

#[test]
fn the_image_is_what_its_inputs_ask_for() {
    // Without a reference: each relocated field by its psABI formula, everything else as it was.
    for entry in committed().into_iter().chain(OTHERS.into_iter().flat_map(committed_for)) {
        let archive = fs::read(&entry.path).unwrap();
        let inputs = inputs_of(&entry, &archive);
        for variant in &VARIANTS {
            let (ours, _) = link(&entry, &options(&entry, variant.set));
            let image = Image::parse(&ours).unwrap();
            let mut findings = pkgld_differ::lint::lint(&image);
            findings.extend(pkgld_differ::check::check_against_inputs(&image, &inputs).findings);
            let report = rules::Report::new(findings, Default::default(), &allowed(variant));
            assert!(report.is_equal(), "{} ({}):\n{report}", entry.path.display(), variant.name);
        }
    }
}

#[test]
fn same_inputs_same_bytes() {
    let elsewhere = scratch("elsewhere");
    for entry in committed() {
        let identified = |options: &mut Options| options.elf.build_id = BuildId::Fast;
        let once = link(&entry, &options(&entry, identified));
        for threads in [1, 2, 7] {
            let mut options = options(&entry, identified);
            options.threads = NonZeroUsize::new(threads);
            let again = link(&entry, &options);
            assert!(once.0 == again.0, "{}: other bytes on {threads} threads", entry.path.display());
            assert_eq!(once.1.crc32c, again.1.crc32c);
        }
        // Another file name, another directory, the file in place of the bytes.
        let copy = elsewhere.join("jl_AbCdEf");
        fs::copy(&entry.path, &copy).unwrap();
        let moved = Entry { path: copy, ..entry.clone() };
        let options = options(&moved, identified);
        let mut inputs = vec![Input::path(&moved.path).whole_archive()];
        inputs.extend(["julia", "julia-internal"].map(Input::library));
        let inputs = Inputs::open(inputs, &options).unwrap();
        let output = elsewhere.join("jl_Output");
        let report = pkgld::link(&inputs, &options).unwrap().write_file(&output).unwrap();
        let written = fs::read(&output).unwrap();
        assert!(once.0 == written, "{}: other bytes under another name", entry.path.display());
        assert_eq!(report.crc32c, Some(crc32c::crc32c(&written)));
        assert_eq!(report.size, written.len() as u64);
    }
}

#[test]
fn the_build_id_follows_the_contents() {
    let entries = committed();
    let ids = [BuildId::Fast, BuildId::Bytes16, BuildId::Bytes20, BuildId::Given(vec![0xab; 7])];
    let sizes = [8, 16, 20, 7];
    for (id, size) in ids.into_iter().zip(sizes) {
        let mut seen = BTreeSet::new();
        for entry in &entries {
            let mut options = options(entry, |_| {});
            options.elf.build_id = id.clone();
            let (bytes, _) = link(entry, &options);
            let note = build_id_note(&bytes);
            assert_eq!(note.len(), size);
            assert!(note.iter().any(|byte| *byte != 0));
            seen.insert(note);
            // A stream gets the same bytes as a vector.
            let archive = fs::read(&entry.path).unwrap();
            let inputs = vec![Input::bytes("archive", &archive).whole_archive()];
            let inputs = Inputs::open(inputs, &options).unwrap();
            let image = pkgld::link(&inputs, &options).unwrap();
            let (vector, report) = image.to_vec().unwrap();
            let mut stream = Vec::new();
            assert_eq!(image.write_to(&mut stream).unwrap().crc32c, report.crc32c);
            assert!(stream == vector);
        }
        let different = if matches!(id, BuildId::Given(_)) { 1 } else { entries.len() };
        assert_eq!(seen.len(), different, "{id:?}");
    }
}

fn build_id_note(image: &[u8]) -> Vec<u8> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(image).unwrap();
    let note = file.section_by_name(".note.gnu.build-id").expect("there is a build id");
    let data = note.data().unwrap();
    let size = u32::from_le_bytes(data[4..8].try_into().unwrap()) as usize;
    data[16..16 + size].to_vec()
}
