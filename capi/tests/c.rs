//! Programs in C and C++ make the images that the crate makes, plainly and under valgrind.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use linker::cli::{self, Console, Exit};
use linker::{Blob, Input, Inputs, Options, Report, Target};
use pkgld_corpus::stubs::Stubs;
use pkgld_corpus::stubs::macos::MacosStubs;
use pkgld_corpus::stubs::windows::WindowsStubs;
use pkgld_corpus::target::{self, Format};
use pkgld_corpus::{Julia, committed_for};
use tempfile::TempDir;

/// Where `capi/install` has put the library, its header and what tells compilers of them.
fn installed() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let directory = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
        let mut command = Command::new(script);
        command.args(["--profile", "dev"]).arg(directory.path()).env("CARGO", env!("CARGO"));
        // It is built for these tests alone, and there sooner so.
        run(command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0"));
        directory
    };
    MADE.get_or_init(make).path()
}

/// What pkg-config tells of the installed library.
fn pkg_config(options: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(options).arg("pkgld").env("PKG_CONFIG_PATH", installed().join("lib/pkgconfig"));
    let output = String::from_utf8(run(&mut command).stdout).unwrap();
    output.split_whitespace().map(str::to_owned).collect()
}

/// Starts a program, which has to succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: see tests/install"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

/// Compiles one of the programs beside this file against the shared library.
fn compile(compiler: &str, standard: &str, source: &str, directory: &Path) -> PathBuf {
    compile_with(compiler, standard, source, directory, &[])
}

fn compile_with(compiler: &str, standard: &str, source: &str, directory: &Path, more: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let program = directory.join(source.file_name().unwrap()).with_extension("out");
    let mut command = Command::new(compiler);
    command.args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-pthread"]);
    command.args(pkg_config(&["--cflags"])).arg(source).arg("-o").arg(&program).args(pkg_config(&["--libs"]));
    command.arg(format!("-Wl,-rpath,{}/lib", installed().display()));
    run(command.args(more));
    program
}

/// The program, or valgrind with it: any finding, a leak too, is a failure.
fn start(program: &Path, valgrind: bool) -> Command {
    if !valgrind {
        return Command::new(program);
    }
    let mut command = Command::new("valgrind");
    command
        .args([
            "-q",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite",
        ])
        .arg(program);
    command
}

fn image(inputs: Vec<Input<'_>>, options: &Options) -> (Vec<u8>, u32) {
    let inputs = Inputs::open(inputs, options).unwrap();
    let (bytes, report) = linker::link(&inputs, options).unwrap().to_vec().unwrap();
    (bytes, report.crc32c.unwrap())
}

fn blob_image() -> Vec<u8> {
    let heap = [7; 1000];
    let blob = Blob::new("data", &heap).align(64).size_symbol("size");
    image(vec![Input::blob(blob)], &Options::julia(Target::LINUX_X86_64)).0
}

#[test]
#[ignore = "needs the packages gcc and valgrind"]
fn c_makes_the_images_that_the_crate_makes() {
    let entry = committed_for(target::LINUX_X86_64).into_iter().find(|entry| entry.julia == Julia::V1_12).unwrap();
    let stubs = Stubs::committed_for(entry.target, entry.julia).dir;
    let mut options = Options::julia(Target::LINUX_X86_64);
    options.elf.soname = Some("image.so".to_owned());
    options.search_paths = vec![stubs.clone()];
    let archive = fs::read(&entry.path).unwrap();
    let inputs = vec![
        Input::bytes("archive", &archive).whole_archive(),
        Input::library("julia"),
        Input::library("julia-internal"),
    ];
    let (expected, sum) = image(inputs, &options);
    let directory = tempfile::tempdir().unwrap();
    let program = compile("gcc", "-std=c11", "use.c", directory.path());
    for valgrind in [false, true] {
        let out = directory.path().join(format!("image-{valgrind}"));
        let output = run(start(&program, valgrind).arg(&entry.path).arg(&stubs).arg(&out));
        // The library says nothing by itself.
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{sum:08x}\n"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let made = |way: &str| fs::read(format!("{}.{way}", out.display())).unwrap();
        for way in ["file", "fd", "memory", "buffer", "run"] {
            assert!(made(way) == expected, "{way}");
        }
        assert!(made("blob") == blob_image());
    }
}

#[test]
#[ignore = "needs the packages g++ and valgrind"]
fn cpp_makes_the_image_that_the_crate_makes() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile("g++", "-std=c++14", "use.cpp", directory.path());
    for valgrind in [false, true] {
        let out = directory.path().join("image");
        let output = run(start(&program, valgrind).arg(&out));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
        assert!(fs::read(&out).unwrap() == blob_image());
        fs::remove_file(&out).unwrap();
    }
}

/// The program with AddressSanitizer and UBSan, which also see what it does with the library's memory, and leaks.
#[test]
#[ignore = "needs the package gcc"]
fn sanitizers_find_nothing() {
    let entry = committed_for(target::LINUX_X86_64).into_iter().find(|entry| entry.julia == Julia::V1_12).unwrap();
    let stubs = Stubs::committed_for(entry.target, entry.julia).dir;
    let directory = tempfile::tempdir().unwrap();
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let program = compile_with("gcc", "-std=c11", "use.c", directory.path(), &sanitizers);
    let out = directory.path().join("image");
    let output = run(Command::new(&program).arg(&entry.path).arg(&stubs).arg(&out));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// What the program itself says and makes, with the report.
fn program(arguments: &[OsString]) -> (String, Option<Report>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console::new(&mut out, &mut err, false);
    let (exit, report) = cli::run_with_report(arguments.iter().cloned(), &mut console);
    let told = report.as_ref().map_or((0, 0), |report| (report.size, report.crc32c.unwrap()));
    let exit = if exit == Exit::Success { 0 } else { 1 };
    let first = format!("{exit} {} {:08x}\n", told.0, told.1);
    (first + &String::from_utf8_lossy(&out) + &String::from_utf8_lossy(&err), report)
}

/// Every platform's command lines of Julia 1.9 to 1.14, as `julia/PkgLD.jl` passes them on: the C library makes what the
/// program makes, and says what it says.
#[test]
#[ignore = "needs the package gcc"]
fn command_lines_of_julia_make_the_same_images() {
    let directory = tempfile::tempdir().unwrap();
    let calls = compile("gcc", "-std=c11", "calls.c", directory.path());
    // What the image is called may stand in it.
    let places = ["c", "program"].map(|name| directory.path().join(name).join("jl_AbCdEf"));
    places.iter().for_each(|place| fs::create_dir(place.parent().unwrap()).unwrap());
    let mut versions = BTreeSet::new();
    for entry in target::ALL.iter().flat_map(|&target| committed_for(target)) {
        let lines = places.each_ref().map(|place| {
            let mut line = vec![OsString::from("/usr/libexec/julia/lld")];
            line.extend(pkgld_corpus::command_line::arguments(&entry, place));
            line
        });
        let name = entry.path.display();
        let said = run(Command::new(&calls).arg("run").args(&lines[0])).stdout;
        let (expected, report) = program(&lines[1]);
        let report = report.unwrap_or_else(|| panic!("{name}: {expected}"));
        assert_eq!(String::from_utf8(said).unwrap(), expected, "{name}");
        let images = places.each_ref().map(|place| fs::read(place).unwrap());
        assert!(images[0] == images[1], "{name}");
        assert_eq!(images[0].len() as u64, report.size);
        versions.insert((entry.target.name, entry.julia));
    }
    assert!(versions.len() > 20, "{versions:?}");
    assert!(Julia::ALL.iter().all(|julia| versions.contains(&("linux-x86_64", *julia))), "{versions:?}");

    // From 1.13 on, start files and all libraries are named on Linux.
    let gcc = |name: &str| {
        let output = run(Command::new("gcc").arg(format!("-print-file-name={name}")));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    let openlibm = directory.path().join("libopenlibm.so");
    run(Command::new("gcc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&openlibm));
    for entry in committed_for(target::LINUX_X86_64).iter().filter(|entry| entry.julia >= Julia::V1_13) {
        let directories = [Stubs::committed_for(entry.target, entry.julia).dir, directory.path().to_owned()];
        let directories = directories.map(|path| format!("-L{}", path.display()));
        let lines = places.each_ref().map(|place| {
            let mut line: Vec<OsString> = vec!["/usr/libexec/julia/lld".into(), "-flavor".into(), "gnu".into()];
            let mut words = |words: &str| line.extend(words.split(' ').map(OsString::from));
            words("--build-id --eh-frame-hdr --hash-style=gnu --as-needed -z relro -z defs  -shared -o");
            words(place.to_str().unwrap());
            words(&format!("{} {}", gcc("crti.o").display(), gcc("crtbeginS.o").display()));
            words(&format!("--whole-archive {} --no-whole-archive", entry.path.display()));
            words(&format!("{} -L{}", directories.join(" "), gcc("libgcc.a").parent().unwrap().display()));
            words("-L/usr/lib/x86_64-linux-gnu -ljulia -ljulia-internal -lgcc --as-needed -lgcc_s -latomic -lopenlibm");
            words(
                "--no-as-needed /lib/x86_64-linux-gnu/libc.so.6 --as-needed /lib64/ld-linux-x86-64.so.2 --no-as-needed",
            );
            words(&format!("{} {}", gcc("crtendS.o").display(), gcc("crtn.o").display()));
            line
        });
        let said = run(Command::new(&calls).arg("run").args(&lines[0])).stdout;
        assert_eq!(String::from_utf8(said).unwrap(), program(&lines[1]).0, "{}", entry.path.display());
        assert!(fs::read(&places[0]).unwrap() == fs::read(&places[1]).unwrap());
    }

    // A failure leaves what was there.
    let line = ["lld", "-flavor", "gnu", "-shared", "-o"].map(OsString::from);
    let line = [&line[..], &[places[0].clone().into(), "/no/such/archive".into()]].concat();
    let before = fs::read(&places[0]).unwrap();
    let said = String::from_utf8(run(Command::new(&calls).arg("run").args(&line)).stdout).unwrap();
    assert!(said.starts_with("1 0 00000000\n") && said.contains("/no/such/archive"), "{said}");
    assert!(fs::read(&places[0]).unwrap() == before);
}

/// Options of the C library, as `-sNUMBER=VALUE`, and the same of the crate.
type Settings = (&'static str, fn(&mut Options));

/// Archives in memory, linked through the C library's jobs as `PkgLD.link_objects` does it, are what the crate makes: of each
/// format.
#[test]
#[ignore = "needs the package gcc"]
fn jobs_make_the_images_that_the_crate_makes() {
    let directory = tempfile::tempdir().unwrap();
    let calls = compile("gcc", "-std=c11", "calls.c", directory.path());
    let none: Settings = ("", |_| {});
    let elf = ["julia", "julia-internal"];
    let pe = ["julia", "julia-internal", "openlibm", "ssp", "gcc_s", "gcc", "msvcrt"];
    let windows: Settings = ("-s4=1 -s10=0", |options| {
        options.allow_multiple_definition = true;
        options.pe.auto_import = false;
    });
    let macos: Settings = ("-s9=852224", |options| {
        options.macho.platform_version = Some((0xd_0100, 0xd_0100));
    });
    for (number, ours, theirs, libraries, (flags, set)) in [
        (1, Target::LINUX_X86_64, target::LINUX_X86_64, &elf[..], none),
        (3, Target::LINUX_AARCH64, target::LINUX_AARCH64, &elf, none),
        (9, Target::MACOS_AARCH64, target::MACOS_ARM64, &elf, macos),
        (11, Target::WINDOWS_X86_64, target::WINDOWS_X86_64, &pe, windows),
    ] {
        let entry = committed_for(theirs).into_iter().find(|entry| entry.julia == Julia::V1_12).unwrap();
        let mut options = Options::julia(ours);
        options.search_paths = match theirs.format {
            Format::Elf => vec![Stubs::committed_for(theirs, entry.julia).dir],
            Format::MachO => vec![MacosStubs::committed(theirs, entry.julia).dir],
            Format::Coff => {
                let stubs = WindowsStubs::committed(theirs);
                vec![stubs.mingw, stubs.bin]
            }
        };
        set(&mut options);
        let names = ("image.so".to_owned(), "image.so".to_owned(), "image.so".to_owned());
        options.elf.soname = Some(names.0);
        options.pe.dll_name = Some(names.1);
        options.macho.install_name = Some(names.2);
        let archive = fs::read(&entry.path).unwrap();
        let inputs = std::iter::once(Input::bytes("archive", &archive).whole_archive());
        let (expected, sum) = image(inputs.chain(libraries.iter().copied().map(Input::library)).collect(), &options);

        let out = directory.path().join("out");
        let mut command = Command::new(&calls);
        command.args(["link", &number.to_string(), "image.so"]).arg(&out).arg(&entry.path);
        command.args(options.search_paths.iter().map(|path| format!("-L{}", path.display())));
        command.args(libraries.iter().map(|name| format!("-l{name}"))).args(flags.split_whitespace());
        let output = run(&mut command);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{sum:08x}\n"), "{}", theirs.name);
        for way in ["file", "memory"] {
            assert!(fs::read(out.with_extension(way)).unwrap() == expected, "{} {way}", theirs.name);
        }
    }
}

#[test]
#[ignore = "needs the package binutils"]
fn library_has_no_other_names_for_others() {
    let mut command = Command::new("nm");
    let output =
        run(command.args(["-D", "--defined-only", "--format=just-symbols"]).arg(installed().join("lib/libpkgld.so")));
    let names = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = names.lines().collect();
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/pkgld.h")).unwrap();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(name.starts_with("pkgld_") && header.contains(&format!("{name}(")), "{name}");
    }
}

/// Which library a program asks for, and that a static one leaves none to ask for.
#[test]
#[ignore = "needs the packages gcc, pkg-config and binutils"]
fn programs_find_what_has_been_installed() {
    let directory = tempfile::tempdir().unwrap();
    let header = fs::read_to_string(installed().join("include/pkgld.h")).unwrap();
    let abi = header.lines().find_map(|line| line.strip_prefix("#define PKGLD_ABI_VERSION ")).unwrap().to_owned();
    let soname = format!("libpkgld.so.{abi}");
    let needed = |program: &Path| {
        let output = run(Command::new("readelf").arg("-dW").arg(program));
        String::from_utf8(output.stdout).unwrap()
    };
    let shared = compile("g++", "-std=c++14", "use.cpp", directory.path());
    assert!(needed(&shared).contains(&format!("Shared library: [{soname}]")));
    let library = installed().join("lib").join(&soname);
    assert!(needed(&library).contains(&format!("Library soname: [{soname}]")));
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);

    // -lpkgld would find the shared library first.
    let program = directory.path().join("static");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/use.cpp");
    let mut command = Command::new("g++");
    command.args(["-std=c++14", "-pthread"]).args(pkg_config(&["--cflags"])).arg(source).arg("-o").arg(&program);
    let libraries = pkg_config(&["--static", "--libs"]);
    let fixed = libraries.iter().map(|word| if word == "-lpkgld" { "-l:libpkgld.a" } else { word });
    run(command.args(fixed));
    assert!(!needed(&program).contains("pkgld"), "{}", needed(&program));
    let image = directory.path().join("image");
    run(Command::new(&program).arg(&image));
    assert!(fs::read(&image).unwrap() == blob_image());
    for file in ["PkgLD.jl", "README.md"] {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../julia").join(file);
        assert!(fs::read(installed().join("share/pkgld").join(file)).unwrap() == fs::read(original).unwrap());
    }
}

/// The program and the commands of `README.md`.
#[test]
#[ignore = "needs the packages gcc and pkg-config"]
fn readme_program_links() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let block = |start: &str| readme.split_once(start).unwrap().1.split("```").next().unwrap();
    let program = block("```c\n");
    let commands = readme.split("```sh\n").find(|block| block.contains("cc link.c")).unwrap();
    let commands = commands.split("```").next().unwrap();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("link.c"), program).unwrap();
    let strict = commands.replace("cc link.c", "cc -Wall -Wextra -Werror link.c");
    let script = strict.replace("PREFIX", installed().to_str().unwrap());
    run(Command::new("sh").args(["-euc", &script]).current_dir(directory.path()));

    let entry = committed_for(target::LINUX_AARCH64).into_iter().next().unwrap();
    let out = directory.path().join("image.so");
    let output = run(Command::new(directory.path().join("link")).arg(&entry.path).arg(&out));
    let options = Options::default();
    let (expected, sum) = image(vec![Input::path(&entry.path).whole_archive()], &options);
    assert!(fs::read(&out).unwrap() == expected);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{sum:08x}\n"));
    let mut missing = Command::new(directory.path().join("link"));
    let output = missing.args(["/no/such/archive"]).arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/archive"), "{output:?}");
}
