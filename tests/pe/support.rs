//! Assembling and linking.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use pkgld::{Errors, Input, Inputs, Options, Target};

use crate::dll::Dll;

/// The object that clang makes of assembly.
pub(crate) fn assemble(target: Target, text: &str) -> Vec<u8> {
    let triple = match target {
        Target::WINDOWS_X86 => "i686-w64-windows-gnu",
        Target::WINDOWS_AARCH64 => "aarch64-w64-windows-gnu",
        _ => "x86_64-w64-windows-gnu",
    };
    let mut child = Command::new("clang-19")
        .arg(format!("--target={triple}"))
        .args(["-c", "-x", "assembler", "-o", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("clang-19 is in the package clang-19");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Options for a target, as they are by default.
pub(crate) fn options(target: Target) -> Options {
    let mut options = Options::default();
    options.target = Some(target);
    options
}

/// The image of objects, called `0.o` and so on.
pub(crate) fn link(options: &Options, objects: &[Vec<u8>]) -> Result<Vec<u8>, Errors> {
    let names = (0..).map(|number| format!("{number}.o"));
    let inputs = objects.iter().zip(names).map(|(bytes, name)| Input::bytes(name, bytes)).collect();
    link_inputs(options, inputs)
}

/// The image of inputs.
pub(crate) fn link_inputs(options: &Options, inputs: Vec<Input<'_>>) -> Result<Vec<u8>, Errors> {
    let inputs = Inputs::open(inputs, options)?;
    Ok(pkgld::link(&inputs, options)?.to_vec()?.0)
}

/// The image of assembly, each text an object.
pub(crate) fn dll_of(options: &Options, texts: &[&str]) -> Dll {
    let target = options.target.unwrap();
    let objects: Vec<Vec<u8>> = texts.iter().map(|text| assemble(target, text)).collect();
    let image = link(options, &objects).unwrap_or_else(|errors| panic!("{errors}"));
    let dll = Dll::new(&image);
    let (stored, right) = dll.checksums();
    assert_eq!(stored, right, "checksum");
    dll
}

/// The same image, and what the link warns of.
pub(crate) fn dll_and_warnings(options: &Options, texts: &[&str]) -> (Dll, String) {
    let target = options.target.unwrap();
    let objects: Vec<Vec<u8>> = texts.iter().map(|text| assemble(target, text)).collect();
    let names = (0..).map(|number| format!("{number}.o"));
    let inputs = objects.iter().zip(names).map(|(bytes, name)| Input::bytes(name, bytes)).collect();
    let inputs = Inputs::open(inputs, options).unwrap();
    let image = pkgld::link(&inputs, options).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings = image.report().warnings.join("\n");
    (Dll::new(&image.to_vec().unwrap().0), warnings)
}

/// What a link of assembly says that cannot be.
pub(crate) fn refusal(options: &Options, texts: &[&str]) -> String {
    let target = options.target.unwrap();
    let objects: Vec<Vec<u8>> = texts.iter().map(|text| assemble(target, text)).collect();
    link(options, &objects).expect_err("this cannot be linked").to_string()
}

/// Runs a program in a folder; returns what it prints.
pub(crate) fn run(folder: &Path, program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is in the package {package}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a Windows program of a folder, which finds DLLs beside it; `wine` is one of the runners in `tests/hosts`.
pub(crate) fn under_wine(folder: &Path, wine: &str, program: &str, arguments: &[&str]) -> String {
    let wine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(wine);
    let program = folder.join(program);
    run(folder, wine.to_str().unwrap(), "wine64", &[&[program.to_str().unwrap()], arguments].concat())
}
