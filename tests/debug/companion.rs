//! `--separate-debug-file`: debuggers find in the companion what the image lacks, and the two belong together.

use std::fs;
use std::path::Path;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use pkgld::{BuildId, DebugCompression, Options, Strip};

use super::common::{asks, compile, files, links, pkgld, sections, with_image};

/// A function that only `.symtab` names, and one that the loader sees.
const SOURCE: &str = "\
int counter = 1;
static __attribute__((noinline)) int hidden_step(int x) {
    counter += x;
    return counter * 3;
}

int visible_step(int x) {
    return hidden_step(x + 1) - 1;
}
";

const HOST: &str = "\
#include <dlfcn.h>
int main(void) {
    void *image = dlopen(\"./image.so\", RTLD_NOW);
    int (*step)(int) = image ? (int (*)(int))dlsym(image, \"visible_step\") : 0;
    return step ? step(4) != 17 : 2;
}
";

/// A directory with `step.o`.
fn object() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    compile(directory.path(), "gcc", "step", SOURCE, &["-g", "-O1", "-fPIC", "-fno-optimize-sibling-calls"]);
    directory
}

/// What `.gnu_debuglink` says: the name and the checksum.
fn debug_link(image: &[u8]) -> (String, u32) {
    let contents = sections(image).remove(".gnu_debuglink").expect("a .gnu_debuglink").contents;
    assert_eq!(contents.len() % 4, 0);
    let (name, checksum) = contents.split_at(contents.len() - 4);
    let end = name.iter().position(|byte| *byte == 0).expect("a NUL byte behind the name");
    assert!(name.len() - end <= 4 && name[end..].iter().all(|byte| *byte == 0), "{contents:?}");
    let checksum = u32::from_le_bytes(checksum.try_into().unwrap());
    (String::from_utf8(name[..end].to_vec()).unwrap(), checksum)
}

fn build_id(file: &[u8]) -> Vec<u8> {
    object::File::parse(file).unwrap().build_id().unwrap().expect("a build id").to_vec()
}

/// The committed archive with the most debug information, and one with little.
fn archives() -> Vec<Vec<u8>> {
    let committed = pkgld_corpus::committed();
    let wanted = ["julia-1.11-llvm16-g2.a", "julia-1.14-llvm22.a", "julia-1.12-llvm19-g0.a"];
    let paths = wanted.map(|name| committed.iter().find(|entry| entry.path.ends_with(name)).expect(name).path.clone());
    paths.map(|path| fs::read(path).unwrap()).to_vec()
}

fn options(more: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    options.elf.separate_debug_file = Some("some/where/package.debug".into());
    more(&mut options);
    options
}

#[test]
fn gdb_shows_function_file_and_line() {
    for more in [&[][..], &["--build-id=sha1"], &["--compress-debug-sections=zlib", "--build-id"]] {
        let directory = object();
        let directory = directory.path();
        links(directory, &[&["step.o", "--separate-debug-file"], more].concat());
        compile(directory, "gcc", "host", HOST, &["-g"]);
        asks(directory, "gcc", "gcc", &["host.o", "-o", "host"]);
        asks(directory, "./host", "gcc", &[""; 0]);

        let gdb = |commands: &[&str], program: &str| {
            let mut arguments = vec!["-batch", "-nx", "-ex", "set confirm off"];
            commands.iter().for_each(|command| arguments.extend(["-ex", command]));
            arguments.push(program);
            asks(directory, "gdb", "gdb", &arguments)
        };
        let said = gdb(&["info line hidden_step", "info symbol hidden_step", "list visible_step"], "image.so");
        assert!(said.contains("of \"step.c\" starts at address"), "{said}");
        assert!(said.contains("hidden_step in section .text"), "{said}");
        assert!(said.contains("8\t    return hidden_step(x + 1) - 1;"), "{said}");
        let said = gdb(&["set breakpoint pending on", "break hidden_step", "run", "backtrace"], "./host");
        assert!(said.contains("hidden_step (x=5) at step.c:"), "{said}");
        assert!(said.contains("visible_step (x=") && said.contains(") at step.c:8"), "{said}");

        // Without the companion there is nothing of that.
        fs::remove_file(directory.join("image.so.dbg")).unwrap();
        let output =
            super::common::run(directory, "gdb", "gdb", &["-batch", "-nx", "-ex", "info line hidden_step", "image.so"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("step.c"), "{said}");
    }
}

#[test]
fn a_companion_that_is_not_the_images_is_refused_by_gdb() {
    let directory = object();
    let directory = directory.path();
    links(directory, &["step.o", "--separate-debug-file"]);
    let path = directory.join("image.so.dbg");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let output =
        super::common::run(directory, "gdb", "gdb", &["-batch", "-nx", "-ex", "info line hidden_step", "image.so"]);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("image.so\" (CRC mismatch)") && !said.contains("step.c"), "{said}");
}

/// Put together again, the two are the image that is linked without the option.
#[test]
fn other_tools_put_the_two_together() {
    let directory = object();
    let directory = directory.path();
    links(directory, &["step.o", "--build-id=sha1"]);
    fs::rename(directory.join("image.so"), directory.join("whole.so")).unwrap();
    links(directory, &["step.o", "--build-id=sha1", "--separate-debug-file=image.debug"]);
    asks(directory, "eu-unstrip", "elfutils", &["image.so", "image.debug", "-o", "joined.so"]);
    let symbols = |file: &str| asks(directory, "nm", "binutils", &["-a", file]);
    assert_eq!(symbols("joined.so"), symbols("whole.so"));
    assert!(symbols("image.debug").contains(" t hidden_step\n"));
    let lines = |file: &str| {
        let said = asks(directory, "llvm-dwarfdump-19", "llvm-19", &["--debug-line", file]);
        said.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("joined.so"), lines("whole.so"));
    let verified = asks(directory, "llvm-dwarfdump-19", "llvm-19", &["--verify", "image.debug"]);
    assert!(verified.contains("No errors."), "{verified}");

    for file in ["image.so", "image.debug"] {
        let arguments = ["--wide", "--headers", "--notes", "--symbols", file];
        let output = super::common::run(directory, "readelf", "binutils", &arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    asks(directory, "eu-elflint", "elfutils", &["--gnu-ld", "--debuginfo", "image.debug"]);
    asks(directory, "eu-elflint", "elfutils", &["--gnu-ld", "image.so"]);
    // binutils follow the link, checking the sum.
    let followed = asks(directory, "readelf", "binutils", &["--debug-dump=links,follow-links,decodedline", "image.so"]);
    assert!(followed.contains("Found separate debug info file: image.debug"), "{followed}");
    assert!(followed.contains("step.c"), "{followed}");
}

#[test]
fn the_image_has_no_debug_information_and_the_companion_nothing_else() {
    for archive in archives() {
        let mut plain = Options::default();
        plain.elf.build_id = BuildId::Bytes20;
        let separate = options(|options| options.elf.build_id = BuildId::Bytes20);
        let plain = with_image(&archive, &plain, |image| image.to_vec().unwrap().0);
        let (image, companion) = with_image(&archive, &separate, |image| {
            let (bytes, report) = image.to_vec().unwrap();
            let companion = image.companion().expect("a companion").to_vec().unwrap();
            let file = report.debug_file.expect("a report on the companion");
            assert_eq!((file.name.as_str(), file.size), ("package.debug", companion.len() as u64));
            assert_eq!(file.crc32, Some(crc32fast::hash(&companion)));
            assert_eq!(report.crc32c, Some(crc32c::crc32c(&bytes)));
            assert_eq!(report.size, bytes.len() as u64);
            (bytes, companion)
        });
        assert_eq!(debug_link(&image), ("package.debug".to_owned(), crc32fast::hash(&companion)));
        assert_eq!(build_id(&image), build_id(&companion));
        assert_ne!(build_id(&image), build_id(&plain), "two files are not one");

        let [plain_sections, image_sections, mut companion_sections] =
            [&plain, &image, &companion].map(|file| sections(file));
        for (name, section) in &plain_sections {
            let moved = name.starts_with(".debug_") || name == ".symtab" || name == ".strtab";
            if name == ".shstrtab" {
                continue;
            }
            let Some(there) = companion_sections.remove(name) else { panic!("{name} is not in the companion") };
            assert_eq!((there.address, there.size), (section.address, section.size), "{name}");
            if name == ".note.gnu.build-id" {
                continue;
            }
            let here = image_sections.get(name);
            if moved {
                assert!(here.is_none(), "{name} is in the image");
                assert!(there.contents == section.contents, "{name} differs");
            } else {
                assert!(here == Some(section), "{name} differs");
                let kept = name == ".comment" || name.starts_with(".note");
                assert!(kept || there.contents.is_empty(), "{name} has contents in the companion");
            }
        }
        companion_sections.remove(".shstrtab");
        assert_eq!(companion_sections.into_keys().collect::<Vec<_>>(), [""; 0]);

        // Symbols mean what they mean in an image that has them itself.
        let symbols = |file: &[u8]| {
            let file = object::File::parse(file).unwrap();
            let section = |symbol: &object::Symbol<'_, '_>| {
                let index = symbol.section_index()?;
                Some(file.section_by_index(index).unwrap().name().unwrap().to_owned())
            };
            let all = file
                .symbols()
                .map(|symbol| (symbol.name().unwrap().to_owned(), symbol.address(), symbol.size(), section(&symbol)));
            all.collect::<Vec<_>>()
        };
        assert_eq!(symbols(&companion), symbols(&plain));
        assert_eq!(symbols(&image), []);

        // The program headers say the same of memory.
        let segments = |file: &[u8]| {
            use object::read::elf::{FileHeader as _, ProgramHeader as _};
            let header = object::elf::FileHeader64::<object::LittleEndian>::parse(file).unwrap();
            let all = header.program_headers(object::LittleEndian, file).unwrap().iter().map(|segment| {
                let endian = object::LittleEndian;
                let congruent = segment.p_offset(endian) % 4096 == segment.p_vaddr(endian) % 4096;
                assert!(segment.p_filesz(endian) == 0 || congruent);
                (
                    segment.p_type(endian).0,
                    segment.p_flags(endian).0,
                    segment.p_vaddr(endian),
                    segment.p_memsz(endian),
                    segment.p_align(endian),
                )
            });
            all.collect::<Vec<_>>()
        };
        assert_eq!(segments(&companion), segments(&image));
        assert_eq!(segments(&image), segments(&plain));
    }
}

/// However the two are asked for, and in which order, their bytes are the same.
#[test]
fn every_way_gives_the_same_bytes() {
    let archive = &archives()[0];
    for build_id in [BuildId::None, BuildId::Fast, BuildId::Fast20, BuildId::Bytes20, BuildId::Given(vec![1, 2, 3])] {
        for compress in [None, Some(DebugCompression::Zlib)] {
            let directory = tempfile::tempdir().unwrap();
            let set = |options: &mut Options, path: &Path, threads: usize| {
                options.elf.build_id = build_id.clone();
                options.elf.compress_debug = compress;
                options.elf.separate_debug_file = Some(path.join("package.debug"));
                options.threads = std::num::NonZeroUsize::new(threads);
            };
            let mut pairs = Vec::new();
            for (number, threads) in [1, 2, 7].into_iter().enumerate() {
                let folder = directory.path().join(format!("folder {number}"));
                fs::create_dir(&folder).unwrap();
                let options = options(|options| set(options, &folder, threads));
                // Both by one call.
                with_image(archive, &options, |image| image.write_file(folder.join("image.so")).unwrap());
                assert_eq!(files(&folder), ["image.so", "package.debug"]);
                pairs.push(["image.so", "package.debug"].map(|name| fs::read(folder.join(name)).unwrap()));
                // The companion first, each by streaming.
                with_image(archive, &options, |image| {
                    let (mut main, mut other) = (Vec::new(), Vec::new());
                    let companion = image.companion().unwrap();
                    companion.write_to(&mut other).unwrap();
                    image.write_to(&mut main).unwrap();
                    assert_eq!(companion.describe().unwrap().crc32, Some(crc32fast::hash(&other)));
                    pairs.push([main, other]);
                });
                // The image first, into buffers; the companion under another path.
                with_image(archive, &options, |image| {
                    let mut main = vec![0xaa; image.size() as usize + 7];
                    let report = image.write_into(&mut main).unwrap();
                    assert_eq!(main.split_off(report.size as usize), [0xaa; 7]);
                    let path = folder.join("renamed.debug");
                    image.companion().unwrap().write_file(&path).unwrap();
                    pairs.push([main, fs::read(path).unwrap()]);
                });
            }
            assert!(pairs.iter().all(|pair| pair == &pairs[0]), "{build_id:?} {compress:?}");
            let [image, companion] = &pairs[0];
            assert_eq!(debug_link(image).1, crc32fast::hash(companion));
            if build_id != BuildId::None {
                assert_eq!(self::build_id(image), self::build_id(companion));
            }
            let file = object::File::parse(&**companion).unwrap();
            let format = file.section_by_name(".debug_line").unwrap().compressed_file_range().unwrap().format;
            assert_eq!(format != object::CompressionFormat::None, compress.is_some());
        }
    }
}

#[test]
fn pipes_are_written_in_order() {
    let directory = object();
    let directory = directory.path();
    links(directory, &["step.o", "--build-id=sha1", "--separate-debug-file"]);
    let [image, companion] = ["image.so", "image.so.dbg"].map(|name| fs::read(directory.join(name)).unwrap());
    let output =
        pkgld(directory, &["step.o", "--build-id=sha1", "--separate-debug-file=image.so.dbg", "-o", "/dev/stdout"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == image);
    assert!(fs::read(directory.join("image.so.dbg")).unwrap() == companion);
}

#[test]
fn failures_leave_nothing_behind() {
    let directory = object();
    let directory = directory.path();
    fs::write(directory.join("image.so"), "former").unwrap();
    compile(directory, "gcc", "needs", "int missing(void);\nint needs(void) { return missing(); }\n", &["-fPIC"]);
    let before = files(directory);
    for (arguments, wanted) in [
        (&["--separate-debug-file=no/such/directory/x"][..], "cannot write no/such/directory/x"),
        (&["--separate-debug-file=/dev/full"], "cannot write /dev/full: No space left on device"),
        (&["--separate-debug-file=image.so"], "image.so: debug information would overwrite the image"),
        (&["--separate-debug-file=.//image.so"], "debug information would overwrite the image"),
        (&["--separate-debug-file=.."], "--separate-debug-file: a file name is needed"),
        (&["--separate-debug-file", "-S"], "leave nothing to move"),
        (&["--separate-debug-file", "-z", "defs", "needs.o"], "undefined symbol: missing"),
    ] {
        let output = pkgld(directory, &[&["step.o"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{wanted:?} is not in\n{said}");
        assert_eq!(files(directory), before, "{arguments:?}");
        assert_eq!(fs::read(directory.join("image.so")).unwrap(), b"former");
    }
    let stripped = options(|options| options.strip = Strip::Debug);
    assert!(stripped.validate().is_err());
}

/// Relocations are carried out when bytes are produced; what is wrong with those of the companion is told like the rest.
#[test]
fn relocations_that_do_not_fit_are_told_for_both_files() {
    const SOURCE: &str = "\
.text
.globl f
f:  .byte 0xc3
.section .debug_info,\"\",@progbits
    .long 0
    .word f+0x70000
.section .rodata
    .byte g-.
.data
    .zero 0x1000
g:  .byte 0
";
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::write(directory.join("narrow.s"), SOURCE).unwrap();
    asks(directory, "gcc", "gcc", &["-c", "narrow.s", "-o", "narrow.o"]);
    let output = pkgld(directory, &["narrow.o", "--separate-debug-file"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("narrow.o:(.debug_info+0x4): relocation R_X86_64_16 out of range"), "{said}");
    assert!(said.contains("narrow.o:(.rodata+0x0)") && said.contains("relocation R_X86_64_PC8 out of range"), "{said}");
    assert_eq!(files(directory), ["narrow.o", "narrow.s"]);
}

#[test]
fn verbose_tells_of_the_companion() {
    let directory = object();
    let directory = directory.path();
    let output = pkgld(directory, &["step.o", "--separate-debug-file=the.debug", "--verbose"]);
    let companion = fs::read(directory.join("the.debug")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let crc = crc32fast::hash(&companion);
    let wanted = format!("pkgld: debug file: the.debug: {} bytes, CRC-32 0x{crc:08x}\n", companion.len());
    assert!(said.contains(&wanted), "{wanted:?} is not in\n{said}");
}
