//! Runs LLVM's `llc`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::Spec;

/// Compiles LLVM assembly to an object, in the scratch directory `dir`.
///
/// # Errors
/// A missing compiler is told by the Debian package that has it; a failing one by what it printed.
pub(crate) fn compile(spec: &Spec, dir: &Path, member: &str, assembly: &str) -> io::Result<Vec<u8>> {
    let input = dir.join(format!("{member}.ll"));
    fs::write(&input, assembly)?;
    let program = format!("llc-{}", spec.llvm);
    let mut command = Command::new(&program);
    command.args(["-filetype=obj", "-O3"]).arg(format!("-relocation-model={}", spec.target.relocation_model()));
    command.arg(format!("-code-model={}", spec.target.code_model(spec.julia)));
    command.args(spec.target.cpu.llc_arguments());
    if spec.llvm < 15 {
        command.arg("-opaque-pointers");
    }
    // By way of the standard output: the name of a file would stand in CodeView's records.
    command.args(["-o", "-"]).arg(&input);
    let out = command.output().map_err(|error| missing(error, &program, &format!("llvm-{}", spec.llvm)))?;
    if !out.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))));
    }
    fs::remove_file(&input)?;
    Ok(out.stdout)
}

/// Says which package has a program that was not found.
pub(crate) fn missing(error: io::Error, program: &str, package: &str) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{program} is not installed; it is in the Debian package {package}"),
        )
    } else {
        error
    }
}
