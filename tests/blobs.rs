//! Blobs: the heap image given as plain bytes makes the image that it makes inside of an object.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use object::read::{ExportTarget, NameOrOrdinal};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};
use pkgld::{Blob, Input, Inputs, Options, Report};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::{self, Cpu, Format, Target};
use pkgld_corpus::{Entry, Julia, committed_for, run};

const DATA: &str = "jl_system_image_data";
const SIZE: &str = "jl_system_image_size";
/// What Julia aligns it to.
const ALIGN: u64 = 64;

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("blobs");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

/// The archives in which one member holds the heap image and nothing else: those of 1.10 to 1.12.
fn entries(target: Target) -> Vec<Entry> {
    let entries = committed_for(target).into_iter();
    // Those that rely on automatic imports have another command line.
    let plain = |entry: &Entry| !entry.path.to_string_lossy().contains("-auto.");
    let entries = entries.filter(|entry| (Julia::V1_10..=Julia::V1_12).contains(&entry.julia) && plain(entry));
    let entries: Vec<Entry> = entries.take(2).collect();
    assert!(!entries.is_empty(), "{}", target.name);
    entries
}

/// The members of an archive: name and contents.
fn members(archive: &[u8]) -> Vec<(String, &[u8])> {
    let file = object::read::archive::ArchiveFile::parse(archive).unwrap();
    let members = file.members().map(|member| {
        let member = member.unwrap();
        (String::from_utf8(member.name().to_vec()).unwrap(), member.data(archive).unwrap())
    });
    members.collect()
}

/// What the member `sysimg.o` has under [`DATA`].
fn heap_image<'a>(members: &[(String, &'a [u8])]) -> &'a [u8] {
    use object::ObjectSection as _;
    let (_, member) = members.iter().find(|(name, _)| name == "sysimg.o").unwrap();
    let file = object::File::parse(*member).unwrap();
    let named = |symbol: &object::Symbol<'_, '_>| symbol.name().unwrap().trim_start_matches('_') == DATA;
    let symbol = file.symbols().find(named).unwrap();
    let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
    assert_eq!(symbol.address(), section.address());
    section.data().unwrap()
}

/// Options and libraries as Julia has them for the archive.
fn options(entry: &Entry) -> (Options, &'static [&'static str]) {
    let mut options = Options::default();
    let libraries: &[&str] = match entry.target.format {
        Format::Elf => {
            options.search_paths = vec![Stubs::committed_for(entry.target, entry.julia).dir];
            &["julia", "julia-internal"]
        }
        Format::MachO => {
            options.target = Some(ours(entry.target));
            options.search_paths = vec![MacosStubs::committed(entry.target, entry.julia).dir];
            options.macho.platform_version = Some((0xd_0301, 0xd_0300));
            &["julia", "julia-internal"]
        }
        Format::Coff => {
            let stubs = WindowsStubs::committed(entry.target);
            options.target = Some(ours(entry.target));
            options.search_paths = vec![stubs.mingw, stubs.bin];
            options.allow_multiple_definition = true;
            options.pe.auto_import = false;
            &["julia", "julia-internal", "openlibm", "ssp", "gcc_s", "gcc", "msvcrt"]
        }
    };
    (options, libraries)
}

fn ours(target: Target) -> pkgld::Target {
    match (target.format, target.cpu) {
        (Format::MachO, Cpu::Aarch64) => pkgld::Target::MACOS_AARCH64,
        (Format::MachO, _) => pkgld::Target::MACOS_X86_64,
        (Format::Coff, Cpu::X86) => pkgld::Target::WINDOWS_X86,
        _ => pkgld::Target::WINDOWS_X86_64,
    }
}

fn link(entry: &Entry, objects: Vec<Input<'_>>) -> (Vec<u8>, Report) {
    let (options, libraries) = options(entry);
    let inputs = objects.into_iter().chain(libraries.iter().copied().map(Input::library)).collect();
    let inputs = Inputs::open(inputs, &options).unwrap();
    let image = pkgld::link(&inputs, &options).unwrap_or_else(|errors| panic!("{}: {errors}", entry.path.display()));
    image.to_vec().unwrap()
}

/// The image of the members as objects of their own, and that with a blob in the place of the last.
fn both(entry: &Entry) -> ((Vec<u8>, Report), (Vec<u8>, Report)) {
    let archive = fs::read(&entry.path).unwrap();
    let members = members(&archive);
    let heap = heap_image(&members);
    let object = |(name, bytes): &(String, &'static [u8])| Input::bytes(name.clone(), bytes);
    // The inputs outlive the link, however long the compiler wants them to live.
    let members: Vec<(String, &'static [u8])> =
        members.iter().map(|(name, bytes)| (name.clone(), &*bytes.to_vec().leak())).collect();
    let with_object = link(entry, members.iter().map(object).collect());
    let others = members.iter().filter(|(name, _)| name != "sysimg.o");
    let blob = Blob::new(DATA, heap).align(ALIGN).size_symbol(SIZE);
    let with_blob = link(entry, others.map(object).chain([Input::blob(blob)]).collect());
    // Its place among the inputs does not matter, nor whether the bytes come from a file.
    let file = scratch(&format!("{}-heap", entry.target.name));
    fs::write(&file, heap).unwrap();
    let blob = Blob::file(DATA, &file).align(ALIGN).size_symbol(SIZE);
    let others = members.iter().filter(|(name, _)| name != "sysimg.o");
    let first = link(entry, [Input::blob(blob)].into_iter().chain(others.map(object)).collect()).0;
    assert_eq!(Exports::of(&first).at(DATA, heap.len()), heap);
    (with_object, with_blob)
}

/// An image by its exports.
struct Exports<'a> {
    file: object::File<'a>,
    addresses: BTreeMap<String, u64>,
}

impl<'a> Exports<'a> {
    fn of(image: &'a [u8]) -> Self {
        let file = object::File::parse(image).unwrap();
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let underscore = file.format() == object::BinaryFormat::MachO;
        let plain = |name: String| if underscore { name.strip_prefix('_').unwrap().to_owned() } else { name };
        let exports = file.exports().unwrap().map(|export| {
            let export = export.unwrap();
            let (NameOrOrdinal::Name(bytes), ExportTarget::Address { address }) = (export.name(), export.target())
            else {
                panic!("{export:?}")
            };
            (plain(name(bytes)), address)
        });
        let addresses = exports.collect();
        Self { file, addresses }
    }

    fn at(&self, name: &str, size: usize) -> &'a [u8] {
        let address = self.addresses[name];
        let segments = self.file.segments();
        let mut found = segments.filter_map(|segment| segment.data_range(address, size as u64).unwrap());
        found.next().unwrap_or_else(|| panic!("{name} is not in the file"))
    }
}

fn same(target: Target) {
    for entry in entries(target) {
        let what = entry.path.display();
        let archive = fs::read(&entry.path).unwrap();
        let members = members(&archive);
        let heap = heap_image(&members);
        let word = if matches!(target.cpu, Cpu::X86 | Cpu::Arm) { 4 } else { 8 };
        let ((object, object_report), (blob, blob_report)) = both(&entry);
        assert_eq!(blob_report.exports, object_report.exports, "{what}");
        assert_eq!(blob_report.needed, object_report.needed, "{what}");
        assert_eq!(blob_report.counts.relocations, object_report.counts.relocations, "{what}");
        assert!(blob_report.inputs.iter().any(|input| input == "blob jl_system_image_data"), "{what}");
        for image in [&object, &blob] {
            let exports = Exports::of(image);
            assert!(exports.at(DATA, heap.len()) == heap, "{what}");
            assert_eq!(exports.at(SIZE, word), &(heap.len() as u64).to_le_bytes()[..word], "{what}");
            assert_eq!(exports.addresses[DATA] % ALIGN, 0, "{what}");
            let last = exports.addresses.values().max().unwrap();
            assert_eq!(exports.addresses[DATA], *last, "{what}: the heap image goes last");
        }
        let (with_object, with_blob) = (Exports::of(&object), Exports::of(&blob));
        assert!(with_object.addresses.keys().eq(with_blob.addresses.keys()), "{what}");
    }
}

#[test]
fn of_elf_for_every_processor() {
    use target::*;
    for target in [LINUX_X86_64, FREEBSD_X86_64, LINUX_I686, LINUX_AARCH64, LINUX_ARMV7, LINUX_RISCV64, LINUX_PPC64LE] {
        same(target);
    }
}

#[test]
fn of_macho_for_every_processor() {
    [target::MACOS_X86_64, target::MACOS_ARM64].into_iter().for_each(same);
}

#[test]
fn of_pe_for_every_processor() {
    [target::WINDOWS_X86_64, target::WINDOWS_I686].into_iter().for_each(same);
}

fn runs(target: Target) {
    let entry = entries(target).pop().unwrap();
    let (_, (image, _)) = both(&entry);
    // Windows gives a name without an extension one of its own.
    let path = scratch(&format!("{}-image.dll", target.name));
    fs::write(&path, image).unwrap();
    run::check_committed(&entry, &path).unwrap_or_else(|error| panic!("{}: {error}", entry.path.display()));
}

#[test]
fn images_of_linux_x86_64_run() {
    runs(target::LINUX_X86_64);
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn images_of_windows_x86_64_run() {
    runs(target::WINDOWS_X86_64);
}

#[test]
#[ignore = "needs the package gcc"]
fn images_of_macos_x86_64_run() {
    runs(target::MACOS_X86_64);
}

fn refusal(inputs: Vec<Input<'_>>, options: &Options) -> String {
    let said = Inputs::open(inputs, options).and_then(|inputs| Ok(pkgld::link(&inputs, options)?.to_vec()?.0));
    said.expect_err("this cannot be linked").to_string()
}

#[test]
fn what_is_wrong_with_a_blob_is_told() {
    let options = Options::julia(pkgld::Target::LINUX_X86_64);
    let bytes = [1, 2, 3];
    // Every problem at once.
    let wrong = vec![
        Input::blob(Blob::new(DATA, &[])),
        Input::blob(Blob::new("a\0b", &bytes)),
        Input::blob(Blob::new(DATA, &bytes).align(48)),
        Input::blob(Blob::file(DATA, "no/such/file")),
    ];
    let said = refusal(wrong, &options);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    assert_eq!(lines[0], "blob \"jl_system_image_data\": it has no bytes, at least one is needed");
    assert_eq!(lines[1], "blob \"a\\0b\": a name with a NUL byte cannot be a symbol's");
    assert_eq!(lines[2], "blob \"jl_system_image_data\": alignment 48 is no power of two up to 2^32");
    assert!(lines[3].starts_with("cannot read no/such/file: "), "{said}");

    // A blob and an object, and two blobs, of one name.
    let entry = entries(target::LINUX_X86_64).pop().unwrap();
    let archive = fs::read(&entry.path).unwrap();
    let archive = Input::bytes("package.a", &archive).whole_archive();
    let said = refusal(vec![archive, Input::blob(Blob::new(DATA, &bytes))], &options);
    assert!(said.starts_with("duplicate symbol: jl_system_image_data\n"), "{said}");
    assert!(said.contains("package.a(sysimg.o)") && said.contains("blob jl_system_image_data"), "{said}");
    let blob = || Input::blob(Blob::new(DATA, &bytes));
    assert!(refusal(vec![blob(), blob()], &options).starts_with("duplicate symbol: jl_system_image_data\n"));
    // Nothing says what the image is for.
    let said = refusal(vec![blob()], &Options::default());
    assert_eq!(said, "blob jl_system_image_data: no object says what the image is for; set the target (-m)");
}

/// Blobs need no object beside them, and may be constants, of any name and of every format.
#[test]
fn a_blob_alone_is_an_image() {
    let bytes = b"constant".as_slice();
    let targets = [
        (pkgld::Target::LINUX_X86_64, 8),
        (pkgld::Target::LINUX_X86, 4),
        (pkgld::Target::LINUX_RISCV64, 8),
        (pkgld::Target::MACOS_AARCH64, 8),
        (pkgld::Target::WINDOWS_X86_64, 8),
        (pkgld::Target::WINDOWS_X86, 4),
    ];
    for (target, word) in targets {
        for name in ["table", DATA] {
            for blob in [Blob::new(name, bytes), Blob::new(name, bytes).read_only()] {
                let mut options = Options::julia(target);
                options.gc_sections = true;
                let inputs = vec![Input::blob(blob.align(4096).size_symbol("how much"))];
                let inputs = Inputs::open(inputs, &options).unwrap();
                let image = pkgld::link(&inputs, &options).unwrap_or_else(|errors| panic!("{target:?}: {errors}"));
                let (image, report) = image.to_vec().unwrap();
                let exports = Exports::of(&image);
                assert_eq!(exports.addresses.len(), 2, "{target:?}: {:?}", report.exports);
                assert_eq!(exports.at(name, 8), bytes);
                assert_eq!(exports.addresses[name] % 4096, 0);
                assert_eq!(exports.at("how much", word), &8_u64.to_le_bytes()[..word]);
            }
        }
    }
}
