//! Objects with compressed sections give the image that they give uncompressed.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SOURCES: [(&str, &str); 2] = [
    ("one", "struct pair { int first, second; };\nint one(struct pair *p) { return p->first + p->second; }\n"),
    ("two", "int one(void *);\nint two(int x) {\n    int both[2] = {x, x};\n    return one(both);\n}\n"),
];

fn run(directory: &Path, program: &str, package: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    let output = command.current_dir(directory).args(arguments).output();
    output.unwrap_or_else(|error| panic!("`{program}`: {error}: install the package {package}"))
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A directory with the sources' objects.
fn objects() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, source) in SOURCES {
        fs::write(directory.path().join(format!("{name}.c")), source).unwrap();
        let (source, output) = (format!("{name}.c"), format!("{name}.o"));
        succeeds(&run(directory.path(), "cc", "gcc", &["-c", "-g3", "-fPIC", &source, "-o", &output]));
    }
    directory
}

fn compress(directory: &Path, how: &str) {
    for (name, _) in SOURCES {
        let (input, output) = (format!("{name}.o"), format!("{name}.{how}.o"));
        succeeds(&run(
            directory,
            "objcopy",
            "binutils",
            &[&format!("--compress-debug-sections={how}"), &input, &output],
        ));
        let sections = run(directory, "readelf", "binutils", &["-SW", &output]);
        let sections = String::from_utf8(sections.stdout).unwrap();
        let compressed = if how == "zlib-gnu" { ".zdebug_info" } else { " C  " };
        assert!(sections.contains(compressed), "{sections}");
    }
}

fn link(directory: &Path, objects: [&str; 2], more: &[&str]) -> Output {
    let arguments = [&["-flavor", "gnu", "-shared", "-o", "image.so"], more, &objects].concat();
    run(directory, env!("CARGO_BIN_EXE_pkgld"), "pkgld", &arguments)
}

#[test]
fn compressed_objects_give_the_same_image() {
    let directory = objects();
    for strip in [&[][..], &["--strip-debug"]] {
        succeeds(&link(directory.path(), ["one.o", "two.o"], strip));
        let plain = fs::read(directory.path().join("image.so")).unwrap();
        for how in ["zlib", "zlib-gnu", "zstd"] {
            compress(directory.path(), how);
            let [one, two] = ["one", "two"].map(|name| format!("{name}.{how}.o"));
            succeeds(&link(directory.path(), [&one, &two], strip));
            let compressed = fs::read(directory.path().join("image.so")).unwrap();
            assert!(plain == compressed, "{how} {strip:?}");
        }
    }
}

#[test]
fn damaged_streams_are_errors_that_name_the_section() {
    let directory = objects();
    compress(directory.path(), "zlib");
    let path = directory.path().join("two.zlib.o");
    let mut bytes = fs::read(&path).unwrap();
    let place = {
        use object::{Object as _, ObjectSection as _};
        let file = object::File::parse(&*bytes).unwrap();
        file.section_by_name(".debug_info").unwrap().compressed_file_range().unwrap()
    };
    // Behind the compression header; the last four bytes are a checksum.
    let last = (place.offset + place.compressed_size) as usize - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let output = link(directory.path(), ["one.zlib.o", "two.zlib.o"], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("two.zlib.o: .debug_info at offset 0x18: a compressed section's zlib stream"), "{said}");
}

#[test]
fn the_limit_is_for_all_together_and_counted() {
    use pkgld::{Error, Input, Inputs, Mode, Options, Source};
    let directory = objects();
    compress(directory.path(), "zlib");
    let files = ["one", "two"].map(|name| fs::read(directory.path().join(format!("{name}.zlib.o"))).unwrap());
    let link = |options: &Options| {
        let input =
            |bytes| Input { source: Source::Bytes { name: "object.o".to_owned(), bytes }, mode: Mode::default() };
        let inputs = Inputs::open(files.iter().map(|bytes| input(bytes)).collect(), options).unwrap();
        Ok(pkgld::link(&inputs, options)?.report().counts.decompressed_bytes)
    };
    let mut options = Options::default();
    let size: u64 = link(&options).map_err(|errors: pkgld::Errors| errors.to_string()).unwrap();
    assert!(size > 1000, "{size}");
    options.limits.decompressed_size = size;
    assert_eq!(link(&options).unwrap(), size);
    options.limits.decompressed_size = size - 1;
    let errors = link(&options).unwrap_err();
    let [Error::Limit { name: "decompressed_size", wanted, limit, .. }] = errors.problems() else {
        panic!("{errors}");
    };
    assert_eq!((*wanted, *limit), (size, size - 1));
}

/// Names, addresses and contents of the sections of an image, decompressed by another program.
fn sections(directory: &Path) -> Vec<(String, u64, Vec<u8>)> {
    use object::{Object as _, ObjectSection as _};
    succeeds(&run(directory, "objcopy", "binutils", &["--decompress-debug-sections", "image.so", "plain.so"]));
    let bytes = fs::read(directory.join("plain.so")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let sections = file.sections().filter(|section| section.name().unwrap() != ".shstrtab");
    let facts = sections
        .map(|section| (section.name().unwrap().to_owned(), section.address(), section.data().unwrap().to_vec()));
    facts.collect()
}

#[test]
fn compressed_images_hold_what_others_hold() {
    let directory = objects();
    succeeds(&link(directory.path(), ["one.o", "two.o"], &[]));
    let plain = sections(directory.path());
    assert!(plain.iter().any(|(name, _, contents)| name == ".debug_info" && contents.len() > 100));
    let size = fs::metadata(directory.path().join("image.so")).unwrap().len();
    for how in ["zlib", "zstd"] {
        let option = format!("--compress-debug-sections={how}");
        let mut images = Vec::new();
        for threads in ["--threads=1", "--threads=3"] {
            succeeds(&link(directory.path(), ["one.o", "two.o"], &[&option, threads]));
            images.push(fs::read(directory.path().join("image.so")).unwrap());
        }
        assert!(images[0] == images[1], "{how}: other bytes on other threads");
        assert!(images[0].len() as u64 * 2 < size, "{how}: {} of {size} bytes", images[0].len());
        let listed = run(directory.path(), "readelf", "binutils", &["-tW", "image.so"]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.contains(&format!("{}, ", how.to_uppercase())), "{listed}");
        assert!(sections(directory.path()) == plain, "{how}");
    }
}
