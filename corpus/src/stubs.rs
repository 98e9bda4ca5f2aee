//! The libraries that images are linked to: stand-ins for libjulia and libjulia-internal.
//!
//! They define the functions and variables that images refer to, with symbol versions (`JL_LIBJULIA_1.12`) and sonames
//! (`libjulia.so.1.12`) as Julia's have, under the plain names that `-ljulia -ljulia-internal` looks for. A test
//! that runs an image opens both before it: the dynamic linker then knows the image's needed libraries by soname.

pub mod macos;
pub mod windows;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::julia::Julia;
use crate::llc::missing;
use crate::target::{Cpu, LINUX_X86_64, Target};

/// Where the sources are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("stubs")
}

/// The two libraries of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stubs {
    /// The directory for `-L`.
    pub dir: PathBuf,
    /// `libjulia.so` in it.
    pub libjulia: PathBuf,
    /// `libjulia-internal.so` in it.
    pub libjulia_internal: PathBuf,
}

impl Stubs {
    /// The libraries in `dir`, which need not be there yet.
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            libjulia: dir.join("libjulia.so"),
            libjulia_internal: dir.join("libjulia-internal.so"),
        }
    }

    /// The committed libraries for images of `julia` on x86-64 Linux; FreeBSD's images, whose `EI_OSABI` a test
    /// patches to run them here, are linked to them too.
    pub fn committed(julia: Julia) -> Self {
        Self::committed_for(LINUX_X86_64, julia)
    }

    /// The committed libraries for images of `julia` on `target`, on FreeBSD those of Linux.
    ///
    /// On x86-64 there are some for each Julia, on the others for those of which an archive is committed.
    pub fn committed_for(target: Target, julia: Julia) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::at(&root.join(target.stubs().name).join("stubs").join(julia.name()))
    }
}

/// Builds both libraries for `julia` on `target` into `dir`, with the C compiler `cc` (a program's name, or its path), by
/// default [`Target::compiler`].
///
/// # Errors
/// A missing compiler, named with its Debian package; a failing one; a directory that cannot be written.
pub fn build_stubs(dir: &Path, target: Target, julia: Julia, cc: Option<&str>) -> io::Result<Stubs> {
    let (usual, package) = target.compiler();
    let cc = cc.unwrap_or(usual);
    fs::create_dir_all(dir)?;
    let stubs = Stubs::at(dir);
    let script = dir.join("version.map");
    fs::write(&script, format!("JL_LIBJULIA_{julia} {{ global: ijl_*; jl_*; julia_*; pkgld_*; local: *; }};\n"))?;
    for (library, output) in [("libjulia", &stubs.libjulia), ("libjulia-internal", &stubs.libjulia_internal)] {
        let mut command = Command::new(cc);
        command.args(["-shared", "-fPIC", "-O2", "-nostdlib", "-fvisibility=hidden", "-fno-stack-protector"]);
        command.args(["-fasynchronous-unwind-tables", "-Wl,--hash-style=gnu", "-Wl,--build-id=none", "-Wl,-s"]);
        command.arg(format!("-Wl,-soname,{library}.so.{julia}"));
        command.arg(format!("-Wl,--version-script,{}", script.display()));
        // Nothing from libgcc, which is not linked in; and no padding to pages of 64 KiB.
        command.args(match target.cpu {
            Cpu::Aarch64 => &["-mno-outline-atomics", "-Wl,-z,norelro"][..],
            Cpu::Arm => &["-mtp=cp15"],
            Cpu::Ppc64 => &["-Wl,-z,norelro"],
            Cpu::X86 => &["-msse2"],
            Cpu::X86_64 | Cpu::Riscv64 => &[],
        });
        if julia.llvm() < 15 {
            command.arg("-DHALF_IN_INTEGER_REGISTER");
        }
        command.arg("-I").arg(sources()).arg("-o").arg(output).arg(sources().join(format!("{library}.c")));
        run(command, cc, package)?;
    }
    fs::remove_file(&script)?;
    Ok(stubs)
}

/// Runs a tool, which the Debian package has.
fn run(mut command: Command, program: &str, package: &str) -> io::Result<()> {
    let out = command.output().map_err(|error| missing(error, program, package))?;
    if !out.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))));
    }
    Ok(())
}
