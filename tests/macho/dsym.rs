//! The dSYM that is written with the image says what `dsymutil` finds out afterwards, and bears damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use gimli::{AttributeValue, EndianSlice, LittleEndian, SectionId};
use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _};
use pkgld_corpus::target::{MACOS_ARM64, MACOS_X86_64};
use pkgld_corpus::{Entry, Julia, Manifest, Spec, generate};

use super::image::Image;
use super::{all, link, name, program, scratch};

/// A row of a line table: address, file, line and column.
type Row = (u64, Vec<u8>, u64, u64);

/// A function by DWARF.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Function {
    name: Vec<u8>,
    size: u64,
    rows: Vec<Row>,
}

impl Function {
    /// Whether lines of it are known.
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }
}

/// The file in a bundle.
fn dwarf_in(bundle: &Path) -> PathBuf {
    let mut files = fs::read_dir(bundle.join("Contents/Resources/DWARF")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "{}", bundle.display());
    file
}

/// Runs a program of an LLVM, and returns what it prints.
fn run(name: &str, llvm: u32, arguments: &[&Path]) -> String {
    let mut command = Command::new(format!("{name}-{llvm}"));
    let out = command.args(arguments).output();
    let out = out.unwrap_or_else(|_| panic!("{name}-{llvm} is not installed; it is in the Debian package llvm-{llvm}"));
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && !text.contains("warning:"), "{command:?}: {text}");
    text
}

/// What a Mach-O file with DWARF says of each function, by address.
pub(crate) fn functions(bytes: &[u8]) -> BTreeMap<u64, Function> {
    let file = object::File::parse(bytes).unwrap();
    let load = |id: SectionId| {
        let data = file.section_by_name(id.name()).map(|section| section.data().unwrap()).unwrap_or_default();
        Ok::<_, gimli::Error>(EndianSlice::new(data, LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(load).unwrap();
    let mut functions = BTreeMap::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs().unwrap() {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let Some(AttributeValue::Addr(low)) = entry.attr_value(gimli::DW_AT_low_pc) else { continue };
            // Of code that is not in the image.
            if low >= u64::MAX - 1 {
                continue;
            }
            let size = match entry.attr_value(gimli::DW_AT_high_pc).unwrap() {
                AttributeValue::Addr(high) => high - low,
                other => other.udata_value().unwrap(),
            };
            let name = entry.attr_value(gimli::DW_AT_linkage_name).or_else(|| entry.attr_value(gimli::DW_AT_name));
            let name = name.map(|name| dwarf.attr_string(&unit, name).unwrap().to_vec()).unwrap_or_default();
            assert!(functions.insert(low, Function { name, size, rows: Vec::new() }).is_none(), "two at {low:#x}");
        }
        let Some(program) = unit.line_program.clone() else { continue };
        let mut table = program.rows();
        while let Some((header, row)) = table.next_row().unwrap() {
            if row.end_sequence() {
                continue;
            }
            let file = row.file(header).unwrap().path_name();
            let file = dwarf.attr_string(&unit, file).unwrap().to_vec();
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            rows.push((row.address(), file, row.line().map_or(0, |line| line.get()), column));
        }
    }
    for row in rows {
        if let Some((low, function)) = functions.range_mut(..=row.0).next_back()
            && row.0 - low < function.size
        {
            function.rows.push(row);
        }
    }
    functions.values_mut().for_each(|function| function.rows.sort());
    functions
}

/// Links with a dSYM; returns the image and the bundle.
fn link_with(entry: &Entry, suffix: &str) -> (PathBuf, PathBuf) {
    let file = name(entry, suffix);
    let bundle = scratch("macho").join(format!("{file}.dSYM"));
    let _ = fs::remove_dir_all(&bundle);
    (link(entry, &file, &["-dsym", bundle.to_str().unwrap()]), bundle)
}

/// Archives of the LLVMs of which none is committed for a CPU.
fn of_other_llvms() -> Vec<Entry> {
    let of = |(target, julia)| {
        let made = generate(&Spec::new(target, julia), &scratch("macho-other-llvms").join(target.name)).unwrap();
        let manifest = Manifest::read(&made.expect).unwrap();
        Entry { path: made.archive, expect: made.expect, target, llvm: manifest.llvm, julia, manifest }
    };
    [(MACOS_ARM64, Julia::V1_9), (MACOS_X86_64, Julia::V1_10)].map(of).into()
}

/// Links an archive without libraries, which debug information has nothing to do with.
fn link_alone(entry: &Entry, image: &str, more: &[&Path]) -> PathBuf {
    let output = scratch("macho").join(name(entry, image));
    let arch = if entry.target == MACOS_ARM64 { "arm64" } else { "x86_64" };
    let common = ["-flavor", "darwin", "-arch", arch, "-undefined", "dynamic_lookup", "-dylib", "-all_load", "-o"];
    let arguments = common.iter().map(Path::new).chain([output.as_path(), &entry.path]).chain(more.iter().copied());
    let out = program(arguments);
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.is_empty(), "{}: {text}", entry.path.display());
    output
}

/// For each LLVM and both CPUs: LLVM's own and the newest verifier are content, and functions and rows are those that
/// the LLVM's own `dsymutil` finds.
#[test]
#[ignore = "needs the packages llvm-14, llvm-15, llvm-16, llvm-19 and llvm-22"]
fn the_bundle_says_what_dsymutil_finds() {
    let mut seen = BTreeSet::new();
    for entry in all().chain(of_other_llvms()) {
        let what = entry.path.display();
        seen.insert((entry.target.name, entry.llvm));
        let bundle = scratch("macho").join(name(&entry, "-alone.dylib.dSYM"));
        let _ = fs::remove_dir_all(&bundle);
        let image = link_alone(&entry, "-alone.dylib", &[Path::new("-dsym"), &bundle]);
        let ours = dwarf_in(&bundle);
        assert_eq!(ours.file_name(), image.file_name());
        for llvm in BTreeSet::from([entry.llvm, 22]) {
            let verdict = run("llvm-dwarfdump", llvm, &[Path::new("--verify"), &ours]);
            assert!(verdict.contains("No errors."), "{what}: {verdict}");
        }
        let plain = link_alone(&entry, "-without.dylib", &[]);
        let theirs = plain.with_extension("dSYM");
        let _ = fs::remove_dir_all(&theirs);
        run("dsymutil", entry.llvm, &[&plain, Path::new("-o"), &theirs]);
        let (ours, theirs) = (fs::read(ours).unwrap(), fs::read(dwarf_in(&theirs)).unwrap());
        let (ours, theirs) = (functions(&ours), functions(&theirs));
        // Else the debug map has led nowhere.
        assert!(theirs.len() > 50 && theirs.values().all(Function::has_rows), "{what}");
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{what}");
        for (address, function) in &ours {
            assert_eq!(*function, theirs[address], "{what}: at {address:#x}");
        }
    }
    assert_eq!(seen.len(), 2 * 5, "{seen:?}");
}

#[test]
fn the_bundle_belongs_to_an_image_without_debug_map() {
    for entry in all() {
        let (image, bundle) = link_with(&entry, "-own.dylib");
        let (image, dwarf) = (fs::read(image).unwrap(), fs::read(dwarf_in(&bundle)).unwrap());
        let (image, dwarf) = (Image::new(&image), Image::new(&dwarf));
        assert!(image.debug_map().is_empty() && dwarf.debug_map().is_empty());
        assert!(image.uuid().is_some_and(|uuid| uuid != [0; 16]));
        assert_eq!(image.uuid(), dwarf.uuid(), "{}", entry.path.display());
        assert!(fs::read_to_string(bundle.join("Contents/Info.plist")).unwrap().contains("<string>dSYM</string>"));
    }
}

/// Where the debug sections of an archive's members are.
fn debug_sections(archive: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for member in ArchiveFile::parse(archive).unwrap().members() {
        let member = member.unwrap();
        let start = member.file_range().0;
        let Ok(file) = object::File::parse(member.data(archive).unwrap()) else { continue };
        for section in file.sections().filter(|section| section.name().unwrap_or_default().starts_with("__debug_")) {
            let (offset, size) = section.file_range().unwrap();
            found.push((start + offset) as usize..(start + offset + size) as usize);
        }
    }
    found
}

/// Damage makes a wrong bundle, one without the object, or an error; never a panic.
#[test]
fn damaged_debug_information_does_no_harm() {
    let entry = all().find(|entry| entry.target == MACOS_ARM64).unwrap();
    let archive = fs::read(&entry.path).unwrap();
    let sections = debug_sections(&archive);
    assert!(sections.len() > 3);
    let mut options = pkgld::Options::julia(pkgld::Target::MACOS_AARCH64);
    options.macho.dsym = Some("x.dylib.dSYM".into());
    let (mut whole, mut left_out) = (0, 0);
    for round in 0..100_usize {
        for (number, section) in sections.iter().enumerate() {
            // Headers first, then all over the section.
            let at = if round < 30 { round } else { (round * 7919 + number * 31) % section.len().max(1) };
            if at >= section.len() {
                continue;
            }
            let mut damaged = archive.clone();
            let bits = [0x01, 0x80, 0xff, 0x40][(round + number) % 4];
            damaged[section.start + at] ^= bits;
            let inputs = vec![pkgld::Input::bytes("damaged.a", &damaged).whole_archive()];
            let inputs = pkgld::Inputs::open(inputs, &options).unwrap();
            let Ok(image) = pkgld::link(&inputs, &options) else { continue };
            let Ok(bytes) = image.companion().unwrap().to_vec() else { continue };
            assert!(bytes.len() as u64 == image.companion().unwrap().size());
            match &image.report().warnings[..] {
                [] => whole += 1,
                warnings => {
                    assert!(warnings.iter().all(|text| text.contains("is left out of the dSYM")), "{warnings:?}");
                    left_out += 1;
                }
            }
        }
    }
    assert!(whole > 50 && left_out > 20, "{whole} whole, {left_out} left out");
}

#[test]
fn what_makes_no_bundle_is_refused() {
    let entry = all().next().unwrap();
    let bundle = scratch("macho").join("refused.dSYM");
    let plain = scratch("macho").join("refused");
    let cases: [(&[&str], &str); 4] = [
        (&["-dsym", plain.to_str().unwrap()], "-dsym: the path of a bundle is needed"),
        (&["-dsym", bundle.to_str().unwrap(), "-S"], "-dsym: -S leaves nothing to put there"),
        (&["-dsym", bundle.to_str().unwrap(), "-no_uuid"], "-dsym: debuggers know by the UUID"),
        (&["-dsym"], "-dsym"),
    ];
    for (more, wanted) in cases {
        let output = scratch("macho").join("refused.dylib");
        let mut arguments = pkgld_corpus::command_line::arguments(&entry, &output);
        arguments.extend(more.iter().map(Into::into));
        let out = program(arguments);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success() && text.contains(wanted), "{more:?}: {text}");
        assert!(!output.exists() && !bundle.exists() && !plain.exists());
    }
}
