//! Compressed sections as compilers write them, and as readers of the image find them.

use std::fs;

use pkgld::{DebugCompression, Options};

use super::common::{asks, compile, links, sections, with_image};

const SOURCE: &str = "\
struct record { int first; long second; const char *text; };
long sum(const struct record *r, int n) {
    long all = 0;
    for (int i = 0; i < n; i++)
        all += r[i].first + r[i].second + (r[i].text ? r[i].text[0] : 0);
    return all;
}
";

/// Compilers compress the sections themselves, with relocations against the contents.
#[test]
fn what_compilers_compress_links_as_if_they_had_not() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (gcc, clang) = (["-gz=zlib", "-gz=zlib-gnu"], ["-gz=zlib", "-gz=zstd"]);
    // Headers of 32-bit objects are shorter.
    for (compiler, target, forms) in [
        ("gcc", "", gcc),
        ("i686-linux-gnu-gcc", "", gcc),
        ("clang-19", "", clang),
        ("clang-19", "--target=i686-linux-gnu", clang),
        ("clang-19", "--target=arm-linux-gnueabihf", clang),
    ] {
        // The command line is part of what -g records.
        let mut common = vec!["-g", "-O1", "-fPIC", "-gno-record-gcc-switches"];
        common.extend(Some(target).filter(|target| !target.is_empty()));
        compile(directory, compiler, "sum", SOURCE, &common);
        links(directory, &["sum.o"]);
        let plain = fs::read(directory.join("image.so")).unwrap();
        for form in forms {
            compile(directory, compiler, "sum", SOURCE, &[&common[..], &[form]].concat());
            let object = fs::read(directory.join("sum.o")).unwrap();
            let is_packed = {
                use object::{Object as _, ObjectSection as _};
                let file = object::File::parse(&*object).unwrap();
                file.sections().any(|section| {
                    let range = section.compressed_file_range().unwrap();
                    range.format != object::CompressionFormat::None
                })
            };
            assert!(is_packed, "{compiler} {target} {form} compressed nothing");
            links(directory, &["sum.o"]);
            assert!(fs::read(directory.join("image.so")).unwrap() == plain, "{compiler} {target} {form}");
        }
    }
}

#[test]
fn packed_images_of_packages_hold_what_others_hold() {
    for entry in pkgld_corpus::committed().into_iter().filter(|entry| entry.path.to_str().unwrap().contains("g2")) {
        let archive = fs::read(&entry.path).unwrap();
        let plain = with_image(&archive, &Options::default(), |image| image.to_vec().unwrap().0);
        for algorithm in [DebugCompression::Zlib, DebugCompression::Zstd] {
            let mut options = Options::default();
            options.elf.compress_debug = Some(algorithm);
            let packed = with_image(&archive, &options, |image| image.to_vec().unwrap().0);
            assert!(packed.len() < plain.len(), "{algorithm:?}");
            let (plain, packed) = (sections_without_names(&plain), sections_without_names(&packed));
            assert!(plain == packed, "{algorithm:?}: {}", entry.path.display());
        }
    }
}

/// Everything but the table of section names, which binutils write anew when they decompress the others.
fn sections_without_names(file: &[u8]) -> Vec<(String, super::common::Section)> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("packed.so"), file).unwrap();
    let arguments = ["--decompress-debug-sections", "packed.so", "plain.so"];
    asks(directory.path(), "objcopy", "binutils", &arguments);
    let plain = fs::read(directory.path().join("plain.so")).unwrap();
    sections(&plain).into_iter().filter(|(name, _)| name != ".shstrtab").collect()
}

#[test]
fn debuggers_read_packed_images() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // A long comment in macro information is worth packing.
    let source = format!("{SOURCE}{}", "// nothing\n#define A_RATHER_LONG_NAME 1\n".repeat(50));
    for (compiler, how) in
        [("gcc", "zlib"), ("gcc", "zstd"), ("i686-linux-gnu-gcc", "zlib"), ("i686-linux-gnu-gcc", "zstd")]
    {
        compile(directory, compiler, "sum", &source, &["-g3", "-O1", "-fPIC"]);
        links(directory, &["sum.o", &format!("--compress-debug-sections={how}")]);
        let listed = asks(directory, "readelf", "binutils", &["-tW", "image.so"]);
        assert!(listed.contains(&how.to_uppercase()), "{listed}");
        let line = "of \"sum.c\" starts at address";
        let said = asks(directory, "gdb", "gdb", &["-batch", "-nx", "-ex", "info line sum", "image.so"]);
        assert!(said.contains(line), "{how}: {said}");
        let said = asks(directory, "llvm-dwarfdump-19", "llvm-19", &["--verify", "image.so"]);
        assert!(said.contains("No errors."), "{how}: {said}");
        let said = asks(directory, "llvm-dwarfdump-19", "llvm-19", &["--name=sum", "image.so"]);
        assert!(said.contains("DW_TAG_subprogram"), "{how}: {said}");
        let said = asks(directory, "eu-readelf", "elfutils", &["--debug-dump=decodedline", "image.so"]);
        assert!(said.contains("sum.c"), "{how}: {said}");
    }
}

#[test]
fn stripping_needs_no_decompression() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    compile(directory, "gcc", "sum", SOURCE, &["-g", "-fPIC", "-gz=zlib"]);
    let mut object = fs::read(directory.join("sum.o")).unwrap();
    // Break every stream; whoever looked would see.
    let ranges: Vec<_> = {
        use object::{Object as _, ObjectSection as _};
        let file = object::File::parse(&*object).unwrap();
        let packed = file.sections().map(|section| section.compressed_file_range().unwrap());
        packed.filter(|range| range.format != object::CompressionFormat::None).collect()
    };
    for range in &ranges {
        object[range.offset as usize..][..range.compressed_size as usize].fill(0xff);
    }
    assert!(!ranges.is_empty());
    fs::write(directory.join("sum.o"), object).unwrap();
    for strip in ["--strip-debug", "--strip-all"] {
        links(directory, &["sum.o", strip]);
    }
    let output = super::common::pkgld(directory, &["sum.o"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("sum.o: .debug_info at offset 0x18"), "{said}");
}
