//! The tests bite: every named malfunction of the linker is noticed.
//!
//! A debug build of the program makes one mistake if `PKGLD_MALFUNCTION` names it (`src/malfunction.rs`). Each is given to
//! the checker that other tests of this crate use on every image, and that shares nothing with the linker; the checker must
//! find fault with that image, and with no image that is linked without the mistake.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use gimli::{AttributeValue, EndianSlice, LittleEndian, SectionId};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{LittleEndian as LE, Object as _, ObjectSection as _};
use pkgld::{Input, Inputs, Options};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::target::{
    Format, LINUX_AARCH64, LINUX_ARMV7, LINUX_PPC64LE, LINUX_X86_64, MACOS_ARM64, MACOS_X86_64, Target,
    WINDOWS_AARCH64, WINDOWS_X86_64,
};
use pkgld_corpus::{Entry, command_line, committed_for, run};
use pkgld_differ::compare::compare;
use pkgld_differ::image::Image as ElfImage;
use pkgld_differ::inputs::Inputs as ElfInputs;
use pkgld_differ::rules;

use crate::common::{rust_lld, scratch};
use crate::contents;
use crate::dll::Dll;
use crate::image::Image;
use crate::meaning::Meaning;

/// The variable that names a malfunction.
const VARIABLE: &str = "PKGLD_MALFUNCTION";

/// Who is to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checker {
    /// `tests/differ`: LLD's image of the same input, and the input itself, by what they mean.
    Comparer,
    /// What is in the image, by a reader of its format, is what is in LLD's: `tests/pe`, `tests/macho`, `contents.rs`.
    Reader,
    /// The system's loader, or the tests' own in its place: the image is loaded and its functions are called.
    Loader,
    /// Images of different inputs have different identities, which readers find.
    Identity,
    /// A debugger's rule: the checksum in `.gnu_debuglink` is that of the file it names.
    Companion,
    /// Functions in the dSYM begin where the image's functions begin.
    Bundle,
    /// The checksum that the library reports is that of the bytes it made.
    Report,
    /// As [`Comparer`], of an object in assembly.
    Assembled(&'static str),
}

use Checker::{Assembled, Bundle, Companion, Comparer, Identity, Loader, Reader, Report};

const INITIALISER: &str = ".text\n.globl f\n.type f, @function\nf: ret\n.size f, .-f\n\
                           .section .init_array, \"aw\", @init_array\n.p2align 3\n.quad f\n";
/// A malfunction, who is to notice, in an image for which platform, and what is asked of the linker besides.
type Case = (&'static str, Checker, Target, &'static [&'static str]);

const HASH: &[&str] = &["--hash-style=sysv"];
const RELR: &[&str] = &["-z", "pack-relative-relocs"];
const BUILD_ID: &[&str] = &["--build-id"];
const SIGNED: &[&str] = &["-adhoc_codesign"];
const PROGRAMS: &[&str] = &["-no_fixup_chains"];

const CASES: &[Case] = &[
    ("relocation-off-by-one", Comparer, LINUX_X86_64, &[]),
    ("relocation-off-by-one", Comparer, LINUX_AARCH64, &[]),
    ("relocation-off-by-one", Loader, MACOS_X86_64, &[]),
    ("relocation-off-by-one", Reader, WINDOWS_X86_64, &[]),
    ("export-lost", Comparer, LINUX_X86_64, &[]),
    ("export-lost", Reader, MACOS_X86_64, &[]),
    ("export-lost", Reader, WINDOWS_AARCH64, &[]),
    ("needed-library-dropped", Comparer, LINUX_X86_64, &[]),
    ("needed-library-dropped", Reader, MACOS_ARM64, &[]),
    ("needed-library-dropped", Reader, WINDOWS_X86_64, &[]),
    ("alignment-lost", Comparer, LINUX_X86_64, &[]),
    ("alignment-lost", Loader, LINUX_X86_64, &[]),
    ("read-only-writable", Comparer, LINUX_X86_64, &[]),
    ("read-only-writable", Loader, MACOS_X86_64, &[]),
    ("read-only-writable", Reader, WINDOWS_X86_64, &[]),
    ("identity-constant", Identity, LINUX_X86_64, BUILD_ID),
    ("identity-constant", Identity, MACOS_ARM64, &[]),
    ("identity-constant", Identity, WINDOWS_X86_64, &[]),
    ("report-checksum-stale", Report, LINUX_X86_64, &[]),
    ("symbol-size-off", Comparer, LINUX_X86_64, &[]),
    ("debug-address-off", Comparer, LINUX_X86_64, &[]),
    ("debug-address-off", Bundle, MACOS_ARM64, &[]),
    ("relative-addend-dropped", Comparer, LINUX_X86_64, &[]),
    ("relative-addend-dropped", Loader, LINUX_X86_64, &[]),
    ("got-slots-swapped", Comparer, LINUX_X86_64, &[]),
    ("plt-slots-swapped", Comparer, LINUX_X86_64, &[]),
    ("plt-slots-swapped", Comparer, LINUX_PPC64LE, &[]),
    ("gnu-hash-bucket-off", Comparer, LINUX_X86_64, &[]),
    ("hash-bucket-lost", Comparer, LINUX_X86_64, HASH),
    ("versions-dropped", Comparer, LINUX_X86_64, &[]),
    ("relr-word-lost", Comparer, LINUX_X86_64, RELR),
    ("frame-table-unsorted", Comparer, LINUX_X86_64, &[]),
    ("frame-table-count-off", Comparer, LINUX_X86_64, &[]),
    ("frame-record-lost", Comparer, LINUX_X86_64, &[]),
    ("note-segment-lost", Identity, LINUX_X86_64, BUILD_ID),
    ("arm-index-unsorted", Comparer, LINUX_ARMV7, &[]),
    ("call-stub-off", Comparer, LINUX_PPC64LE, &[]),
    ("init-array-dropped", Assembled(INITIALISER), LINUX_X86_64, &[]),
    ("companion-checksum-stale", Companion, LINUX_X86_64, BUILD_ID),
    ("chain-start-off", Reader, MACOS_X86_64, &[]),
    ("chain-cut-short", Reader, MACOS_X86_64, &[]),
    ("import-library-off", Reader, MACOS_ARM64, &[]),
    ("binds-swapped", Loader, MACOS_X86_64, &[]),
    ("trie-terminal-lost", Reader, MACOS_X86_64, &[]),
    ("trie-terminal-lost", Loader, MACOS_X86_64, PROGRAMS),
    ("page-hash-wrong", Loader, MACOS_X86_64, SIGNED),
    ("page-hash-wrong", Reader, MACOS_ARM64, &[]),
    ("compact-unwind-off", Reader, MACOS_X86_64, &[]),
    ("function-start-lost", Reader, MACOS_ARM64, &[]),
    ("stub-slot-off", Loader, MACOS_X86_64, &[]),
    ("base-relocation-lost", Reader, WINDOWS_X86_64, &[]),
    ("function-rows-unsorted", Reader, WINDOWS_X86_64, &[]),
    ("function-rows-unsorted", Reader, WINDOWS_AARCH64, &[]),
    ("import-thunk-off", Reader, WINDOWS_X86_64, &[]),
    ("import-slot-off", Reader, WINDOWS_X86_64, &[]),
    ("export-numbers-off", Reader, WINDOWS_X86_64, &[]),
    ("image-checksum-stale", Reader, WINDOWS_X86_64, &[]),
];

fn newest(target: Target) -> Entry {
    committed_for(target).pop().unwrap()
}

/// Julia's arguments for an archive, and `more`.
fn arguments(entry: &Entry, output: &Path, more: &[&str]) -> Vec<OsString> {
    let mut all = command_line::arguments(entry, output);
    if entry.target.format == Format::Elf {
        // The stubs of the platform in place of those of x86-64.
        let stubs = Stubs::committed_for(entry.target, entry.julia).dir;
        let place = all.iter().position(|word| word.to_string_lossy().starts_with("-L")).unwrap();
        let mut search = OsString::from("-L");
        search.push(stubs);
        all[place] = search;
        all.push("--eh-frame-hdr".into());
    }
    all.extend(more.iter().map(OsString::from));
    all
}

/// Runs a program, which has to be content.
fn execute(linker: &mut Command) {
    let out = linker.output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{linker:?}: {text}");
}

/// The program, with a malfunction or without.
fn program(malfunction: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkgld"));
    command.env_remove(VARIABLE).envs(malfunction.map(|name| (VARIABLE, name)));
    command
}

/// Links the newest archive of a platform.
fn link(target: Target, more: &[&str], malfunction: Option<&str>) -> (Entry, PathBuf) {
    let entry = newest(target);
    let output = scratch("malfunctions").join(format!("{}-{}", target.name, malfunction.unwrap_or("none")));
    execute(program(malfunction).args(arguments(&entry, &output, more)));
    (entry, output)
}

/// LLD's image of the same.
fn reference(entry: &Entry, more: &[&str]) -> Vec<u8> {
    let output = scratch("malfunctions").join(format!("{}-lld{}", entry.target.name, more.concat()));
    if !output.exists() {
        let mut linker = Command::new(rust_lld());
        linker.args(arguments(entry, &output, more));
        match entry.target {
            LINUX_AARCH64 => linker.arg("--no-relax"),
            LINUX_PPC64LE => linker.arg("--no-toc-optimize"),
            target if target.format == Format::Coff => linker.args(["-e", command_line::entry_point(target.cpu)]),
            _ => &mut linker,
        };
        execute(&mut linker);
    }
    fs::read(output).unwrap()
}

/// What a checker has against an image that is linked with a malfunction, or without.
fn complaint(checker: Checker, target: Target, more: &[&str], malfunction: Option<&str>) -> Option<String> {
    let check = || match checker {
        Comparer => comparer(target, more, malfunction),
        Reader if target.format == Format::Coff => dll_reader(target, more, malfunction),
        Reader => dylib_reader(target, more, malfunction),
        Loader => {
            let (entry, image) = link(target, more, malfunction);
            run::check_committed(&entry, &image).map(drop)
        }
        Identity => identity(target, more, malfunction),
        Companion => companion(target, more, malfunction),
        Bundle => bundle(target, malfunction),
        Report => report(malfunction),
        Assembled(source) => assembled(source, malfunction),
    };
    // Readers of images in tests end with a panic where something is not as it must be.
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(text.unwrap_or_else(|| "a panic".to_owned()))
        }
    }
}

fn comparer(target: Target, more: &[&str], malfunction: Option<&str>) -> Result<(), String> {
    let (entry, image) = link(target, more, malfunction);
    let (theirs, ours) = (reference(&entry, more), fs::read(image).unwrap());
    let (theirs, ours) = (ElfImage::parse(&theirs).unwrap(), ElfImage::parse(&ours).map_err(|error| error.0)?);
    compare_elf(&entry.path, &theirs, &ours)
}

/// An object's image beside LLD's.
fn assembled(source: &str, malfunction: Option<&str>) -> Result<(), String> {
    let directory = scratch("malfunctions");
    let [text, object, theirs, ours] = ["s", "o", "lld", "ours"].map(|end| directory.join(format!("assembled.{end}")));
    fs::write(&text, source).unwrap();
    let mut clang = Command::new("clang-19");
    execute(clang.args(["--target=x86_64-linux-gnu", "-c"]).arg(&text).arg("-o").arg(&object));
    let linkers = [(Command::new(rust_lld()), &theirs), (program(malfunction), &ours)];
    for (mut linker, output) in linkers {
        execute(linker.args(["-flavor", "gnu", "-shared", "--eh-frame-hdr", "-o"]).arg(output).arg(&object));
    }
    let (theirs, ours) = (fs::read(theirs).unwrap(), fs::read(ours).unwrap());
    let (theirs, ours) = (ElfImage::parse(&theirs).unwrap(), ElfImage::parse(&ours).map_err(|error| error.0)?);
    compare_elf(&object, &theirs, &ours)
}

fn compare_elf(input: &Path, theirs: &ElfImage<'_>, ours: &ElfImage<'_>) -> Result<(), String> {
    let bytes = fs::read(input).unwrap();
    let inputs = ElfInputs::parse(&[(input.display().to_string(), &bytes)], &[]).unwrap();
    let allowed = [rules::RELRO_EXTENT, rules::HEAP_IMAGE_SECTION, rules::THUNK_SYMBOLS];
    let report = compare(theirs, ours, Some(&inputs), &allowed);
    if report.is_equal() { Ok(()) } else { Err(report.to_string()) }
}

fn dll_reader(target: Target, more: &[&str], malfunction: Option<&str>) -> Result<(), String> {
    let (entry, image) = link(target, more, malfunction);
    let (theirs, ours) = (Dll::new(&reference(&entry, more)), Dll::new(&fs::read(image).unwrap()));
    let (stored, right) = ours.checksums();
    differ(&[
        ("what the two mean", Meaning::of(&ours) == Meaning::of(&theirs)),
        ("checksum in the header", stored == right),
        ("contents of symbols", contents::differences(&theirs, &ours, target).is_empty()),
    ])
}

fn dylib_reader(target: Target, more: &[&str], malfunction: Option<&str>) -> Result<(), String> {
    let (entry, image) = link(target, more, malfunction);
    let (theirs, ours) = (reference(&entry, more), fs::read(image).unwrap());
    let (theirs, ours) = (Image::new(&theirs), Image::new(&ours));
    if ours.is_signed() {
        ours.check_signature(b"image.dylib");
    }
    differ(&[
        ("exports", ours.exported() == theirs.exported()),
        ("libraries", ours.libraries() == theirs.libraries()),
        ("symbols", ours.symbols() == theirs.symbols()),
        ("binds", ours.binds() == theirs.binds()),
        ("pointers", ours.pointers() == theirs.pointers()),
        ("functions", ours.functions() == theirs.functions()),
    ])
}

/// What is not as in LLD's image.
fn differ(alike: &[(&str, bool)]) -> Result<(), String> {
    let found: Vec<&str> = alike.iter().filter(|(_, alike)| !alike).map(|(what, _)| *what).collect();
    if found.is_empty() { Ok(()) } else { Err(format!("not as in LLD's image: {}", found.join(", "))) }
}

/// The bytes that tell images apart.
fn identity_of(target: Target, bytes: &[u8]) -> Result<Vec<u8>, String> {
    match target.format {
        Format::MachO => Image::new(bytes).uuid().map(Vec::from).ok_or("no UUID".to_owned()),
        Format::Coff => Ok(Dll::new(bytes).timestamp().to_le_bytes().to_vec()),
        Format::Elf => {
            let file = ElfFile64::<LE>::parse(bytes).unwrap();
            let mut notes = file.elf_program_headers().iter().filter_map(|it| it.notes(LE, bytes).unwrap());
            let note = notes.find_map(|mut notes| notes.next().unwrap());
            Ok(note.ok_or("no note in a segment")?.desc().to_vec())
        }
    }
}

fn identity(target: Target, more: &[&str], malfunction: Option<&str>) -> Result<(), String> {
    let output = scratch("malfunctions").join("identity");
    let mut seen = BTreeSet::new();
    for entry in committed_for(target) {
        execute(program(malfunction).args(arguments(&entry, &output, more)));
        let identity = identity_of(target, &fs::read(&output).unwrap())?;
        if identity.iter().all(|byte| *byte == 0) || !seen.insert(identity) {
            return Err(format!("{}: an identity of zeros, or another image's", entry.path.display()));
        }
    }
    Ok(())
}

fn companion(target: Target, more: &[&str], malfunction: Option<&str>) -> Result<(), String> {
    let path = scratch("malfunctions").join("companion.debug");
    let option = format!("--separate-debug-file={}", path.display());
    let (_, image) = link(target, &[more, &[&option]].concat(), malfunction);
    let bytes = fs::read(image).unwrap();
    let (name, checksum) = object::File::parse(&*bytes).unwrap().gnu_debuglink().unwrap().ok_or("no link")?;
    assert_eq!(name, b"companion.debug");
    let right = crc32fast::hash(&fs::read(path).unwrap());
    if checksum == right { Ok(()) } else { Err(format!("checksum {checksum:#x}, the file has {right:#x}")) }
}

fn bundle(target: Target, malfunction: Option<&str>) -> Result<(), String> {
    let bundle = scratch("malfunctions").join("image.dSYM");
    let (_, image) = link(target, &["-dsym", bundle.to_str().unwrap()], malfunction);
    let bytes = fs::read(image).unwrap();
    let starts: BTreeSet<u64> = Image::new(&bytes).function_starts().into_iter().collect();
    let dwarf = fs::read(bundle.join("Contents/Resources/DWARF/image")).unwrap();
    let file = object::File::parse(&*dwarf).unwrap();
    let load = |id: SectionId| {
        let data = file.section_by_name(id.name()).map(|section| section.data().unwrap()).unwrap_or_default();
        Ok::<_, gimli::Error>(EndianSlice::new(data, LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(load).unwrap();
    let (mut units, mut functions) = (dwarf.units(), 0);
    while let Some(header) = units.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().unwrap() {
            let low = entry.attr_value(gimli::DW_AT_low_pc);
            if let (gimli::DW_TAG_subprogram, Some(AttributeValue::Addr(low))) = (entry.tag(), low) {
                functions += 1;
                if !starts.contains(&low) {
                    return Err(format!("no function starts at {low:#x}"));
                }
            }
        }
    }
    assert!(functions > 20, "only {functions} functions");
    Ok(())
}

/// The library has it from the environment of its process, so the test that checks it runs in one of its own.
fn report(malfunction: Option<&str>) -> Result<(), String> {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "malfunctions::the_report_has_the_checksum_of_the_bytes"]);
    let out = test.env_remove(VARIABLE).envs(malfunction.map(|name| (VARIABLE, name))).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("running 1 test"), "{text}");
    if out.status.success() { Ok(()) } else { Err(text) }
}

#[test]
fn the_report_has_the_checksum_of_the_bytes() {
    for target in [LINUX_X86_64, MACOS_ARM64] {
        let archive = fs::read(&newest(target).path).unwrap();
        let mut options = Options::default();
        options.undefined = pkgld::Undefined::Allow;
        let inputs = Inputs::open(vec![Input::bytes("archive", &archive).whole_archive()], &options).unwrap();
        let (bytes, report) = pkgld::link(&inputs, &options).unwrap().to_vec().unwrap();
        assert_eq!(report.crc32c, Some(crc32c::crc32c(&bytes)), "{}", target.name);
    }
}

/// The names that the program knows: it lists them when it does not know one.
fn known() -> BTreeSet<String> {
    let output = scratch("malfunctions").join("refused");
    let out = program(Some("?")).args(arguments(&newest(LINUX_X86_64), &output, &[])).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "an unknown malfunction is not refused");
    let (_, names) = text.split_once("there are ").unwrap_or_else(|| panic!("{text}"));
    names.trim().split(", ").map(str::to_owned).collect()
}

#[test]
#[cfg(debug_assertions)]
#[ignore = "needs the packages gcc and clang-19"]
fn every_malfunction_is_noticed() {
    let mut clean: Vec<(Checker, &str, &[&str])> = Vec::new();
    let mut silent = Vec::new();
    // Readers end with a panic; what each says is told below.
    let (usual, this) = (std::panic::take_hook(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != this {
            usual(info);
        }
    }));
    for (name, checker, target, more) in CASES.iter().copied() {
        if !clean.contains(&(checker, target.name, more)) {
            if let Some(said) = complaint(checker, target, more, None) {
                silent.push(format!("{checker:?}, {} {more:?}: without a malfunction: {said}", target.name));
            }
            clean.push((checker, target.name, more));
        }
        match complaint(checker, target, more, Some(name)) {
            Some(said) => println!("{name}: {checker:?}, {}: {}", target.name, said.lines().next().unwrap_or_default()),
            None => silent.push(format!("{name}: {checker:?} did not notice, {} {more:?}", target.name)),
        }
    }
    let _ = std::panic::take_hook();
    assert!(silent.is_empty(), "{silent:#?}");
    let tried: BTreeSet<String> = CASES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(tried, known(), "a malfunction that no case is about, or a case about none");
}

/// Nothing of it is in a build that people use.
#[test]
#[cfg(not(debug_assertions))]
fn release_builds_have_no_malfunctions() {
    for target in [LINUX_X86_64, MACOS_ARM64, WINDOWS_X86_64] {
        let image = |malfunction| fs::read(link(target, &[], malfunction).1).unwrap();
        let clean = image(None);
        for (name, ..) in CASES {
            assert!(image(Some(*name)) == clean, "{}: {name}", target.name);
        }
    }
}
