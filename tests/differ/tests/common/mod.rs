//! Links the committed objects with whatever linker a test asks for.

#![allow(dead_code)] // Each test file uses a part.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use object::elf::{EM_AARCH64, EM_PPC64, EM_RISCV, Machine};
use pkgld_differ::inputs::Inputs;

/// A linker and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linker {
    /// Part of every rustup toolchain.
    RustLld,
    /// A program of this name, of this package.
    Program(&'static str, &'static str),
}

/// The linkers to compare rust-lld with.
pub(crate) const OTHERS: &[Linker] = &[
    Linker::Program("ld.lld-16", "lld-16"),
    Linker::Program("ld.lld-19", "lld-19"),
    Linker::Program("mold", "mold"),
    Linker::Program("ld.bfd", "binutils"),
];

/// What Julia asks for, and a table to search FDEs.
pub(crate) const USUAL: &[&str] = &["--eh-frame-hdr", "-z", "relro"];

/// A file of objects with its name.
pub(crate) type File = (String, Vec<u8>);

/// The committed objects of these names.
pub(crate) fn objects(names: &[&str]) -> Vec<File> {
    names.iter().map(|name| read(&fixtures().join("objects").join(format!("{name}.o")))).collect()
}

/// The sets of objects that are linked together.
pub(crate) fn sets() -> Vec<(&'static str, Vec<File>)> {
    let set = |compiler: &str| {
        let names = ["main", "other", "throws", "shares"].map(|name| format!("{compiler}-{name}"));
        objects(&names.each_ref().map(String::as_str))
    };
    vec![
        ("gcc", set("gcc")),
        ("clang", set("clang-19")),
        ("no-plt", objects(&["models-no-plt"])),
        ("medium", objects(&["models-medium"])),
        ("descriptors", objects(&["models-descriptors"])),
        ("crel", objects(&["models-crel"])),
    ]
}

/// The inputs of a link.
pub(crate) fn inputs(files: &[File]) -> Inputs<'_> {
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), &bytes[..])).collect();
    Inputs::parse(&files, &[]).expect("the objects can be read")
}

/// Links `files` and the libraries of these paths; fails, with the package's name, if the linker is missing.
pub(crate) fn link(linker: Linker, files: &[File], options: &[&str], libraries: &[PathBuf]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = directory.path().join("out.so");
    let (mut command, package) = match linker {
        Linker::RustLld => (rust_lld(), "rustup's toolchain"),
        Linker::Program(name, package) => (Command::new(name), package),
    };
    command.args(["-shared", "-o"]).arg(&output).args(options).args(plain_code(files)).arg("--whole-archive");
    for (name, bytes) in files {
        let path = directory.path().join(Path::new(name).file_name().expect("a file name"));
        std::fs::write(&path, bytes).expect("room for a copy");
        command.arg(path);
    }
    command.arg("--no-whole-archive").args(libraries);
    let result = command.output().unwrap_or_else(|error| panic!("{linker:?}: {error}: install {package}"));
    assert!(result.status.success(), "{linker:?}: {}", String::from_utf8_lossy(&result.stderr));
    std::fs::read(output).expect("the linker's output")
}

/// What keeps linkers from shortening code: how far each goes there is its own affair.
fn plain_code(files: &[File]) -> &'static [&'static str] {
    let machine = files.first().and_then(|(name, bytes)| {
        let inputs = Inputs::parse(&[(name.clone(), &bytes[..])], &[]).ok()?;
        inputs.objects.first().map(|object| Machine(object.file.machine))
    });
    match machine {
        Some(EM_AARCH64 | EM_RISCV) => &["--no-relax"],
        Some(EM_PPC64) => &["--no-toc-optimize"],
        _ => &[],
    }
}

/// The library that the committed objects import from, with versions.
pub(crate) fn library() -> PathBuf {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let script = format!("--version-script={}", fixtures().join("version.map").display());
        let bytes = link(Linker::RustLld, &objects(&["library"]), &[&script, "-soname=libsample.so.1"], &[]);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("libsample.so");
        std::fs::write(&path, bytes).expect("room for the library");
        (directory, path)
    });
    path.clone()
}

/// The platforms of the corpus.
const TARGETS: [&str; 8] = [
    "linux-x86_64",
    "freebsd-x86_64",
    "linux-i686",
    "linux-aarch64",
    "freebsd-aarch64",
    "linux-riscv64",
    "linux-armv7",
    "linux-ppc64le",
];

/// The archives of the corpus, each with the libraries that it imports from.
pub(crate) fn corpus() -> Vec<(File, Vec<PathBuf>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let folders = TARGETS.map(|target| corpus.join(target));
    let files = folders.iter().flat_map(|folder| list(folder));
    let mut archives: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "a")).collect();
    archives.sort();
    archives
        .iter()
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let version = name.split('-').nth(1).unwrap_or_default();
            let target = path.parent().and_then(Path::file_name).expect("the target's folder").to_string_lossy();
            // The stubs of FreeBSD are Linux's.
            let stubs = corpus.join(target.replace("freebsd", "linux")).join("stubs").join(version);
            let mut libraries = list(&stubs);
            libraries.sort_by(|a, b| b.cmp(a)); // libjulia, then libjulia-internal, as Julia has them.
            let (name, bytes) = read(path);
            ((format!("{target}/{name}"), bytes), libraries)
        })
        .collect()
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a directory entry").path()).collect()
}

fn read(path: &Path) -> File {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path.file_name().expect("a file name").to_string_lossy().into_owned(), bytes)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn rust_lld() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(&rustc).args(["-vV"]).output().expect("rustc");
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc -vV names the host");
        let output = Command::new(&rustc).args(["--print", "sysroot"]).output().expect("rustc");
        let root = String::from_utf8_lossy(&output.stdout).trim().to_string();
        Path::new(&root).join("lib/rustlib").join(host).join("bin/rust-lld")
    });
    let mut command = Command::new(path);
    command.args(["-flavor", "gnu"]);
    command
}
