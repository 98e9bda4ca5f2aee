//! Compiling, linking, and asking other programs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use object::{Object as _, ObjectSection as _};
use pkgld::{Input, Inputs, Mode, Options, Source};

/// Runs a program of a Debian package in a directory.
pub(crate) fn run<S: AsRef<OsStr>>(directory: &Path, program: &str, package: &str, arguments: &[S]) -> Output {
    let output = Command::new(program).current_dir(directory).args(arguments).output();
    output.unwrap_or_else(|error| panic!("`{program}`: {error}: install the package {package}"))
}

/// What a program says that has to succeed.
#[track_caller]
pub(crate) fn asks<S: AsRef<OsStr>>(directory: &Path, program: &str, package: &str, arguments: &[S]) -> String {
    let output = run(directory, program, package, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Compiles a source file to `name.o`; `gcc` or `clang-19`.
#[track_caller]
pub(crate) fn compile(directory: &Path, compiler: &str, name: &str, source: &str, arguments: &[&str]) {
    fs::write(directory.join(format!("{name}.c")), source).unwrap();
    let (source, output) = (format!("{name}.c"), format!("{name}.o"));
    asks(directory, compiler, compiler, &[&["-c", &source, "-o", &output], arguments].concat());
}

/// Links with the program.
pub(crate) fn pkgld(directory: &Path, arguments: &[&str]) -> Output {
    let arguments = [&["-flavor", "gnu", "-shared", "-o", "image.so"], arguments].concat();
    run(directory, env!("CARGO_BIN_EXE_pkgld"), "pkgld", &arguments)
}

/// Links with the program, which has to succeed.
#[track_caller]
pub(crate) fn links(directory: &Path, arguments: &[&str]) {
    let output = pkgld(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Links all members of an archive with the library, and hands the image to `use_it`.
#[track_caller]
pub(crate) fn with_image<T>(archive: &[u8], options: &Options, use_it: impl FnOnce(&pkgld::Image<'_>) -> T) -> T {
    let mode = {
        let mut mode = Mode::default();
        mode.whole_archive = true;
        mode
    };
    let source = Source::Bytes { name: "package.a".to_owned(), bytes: archive };
    let inputs = Inputs::open(vec![Input { source, mode }], options).unwrap();
    let image = pkgld::link(&inputs, options).unwrap();
    use_it(&image)
}

/// A section as a reader of the file sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) contents: Vec<u8>,
}

/// The sections of a file, by name.
pub(crate) fn sections(file: &[u8]) -> BTreeMap<String, Section> {
    let file = object::File::parse(file).unwrap();
    let all = file.sections().map(|section| {
        let contents = section.data().unwrap().to_vec();
        let name = section.name().unwrap().to_owned();
        (name, Section { address: section.address(), size: section.size(), contents })
    });
    all.collect()
}

/// The names of the files in a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
