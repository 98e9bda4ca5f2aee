//! The libraries that Windows images are linked to: DLLs, their import libraries in both forms, and stand-ins for the
//! few libraries of mingw that Julia's command line names, so that linking needs no mingw.
//!
//! | directory | what | for |
//! |---|---|---|
//! | `bin` | `libjulia.dll`, `libjulia-internal.dll` | Julia's `bin`: the linker reads the DLLs' own export tables |
//! | `lib` | `libjulia.dll.a`, `libjulia-internal.dll.a` | import libraries as GNU's tools make them, a member a symbol |
//! | `lib-short` | the same | import libraries of short import members |
//! | `mingw` | `libopenlibm.dll`, `libmsvcrt.a`, `libssp.a`, `libgcc_s.a`, `libgcc.a` | what else the command line has |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{run, sources};
use crate::target::{Cpu, Target};

/// The directories of the libraries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowsStubs {
    /// With the two DLLs: what images are linked to and run with.
    pub bin: PathBuf,
    /// With their import libraries.
    pub lib: PathBuf,
    /// With their import libraries in the short form.
    pub lib_short: PathBuf,
    /// With what else Julia's command line names.
    pub mingw: PathBuf,
}

impl WindowsStubs {
    /// The libraries under `dir`, which need not be there yet.
    pub fn at(dir: &Path) -> Self {
        Self { bin: dir.join("bin"), lib: dir.join("lib"), lib_short: dir.join("lib-short"), mingw: dir.join("mingw") }
    }

    /// The committed libraries for images of `target`: the same for all versions of Julia, as their names have none.
    pub fn committed(target: Target) -> Self {
        Self::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join(target.name).join("stubs"))
    }
}

/// Names of msvcrt.dll that images refer to.
const MSVCRT: &str = "LIBRARY msvcrt.dll\nEXPORTS\nmemcpy\nmemmove\nmemset\nmemcmp\n";

/// Builds the libraries of `target` under `dir`.
///
/// # Errors
/// A missing tool, named with its Debian package; a failing one; a directory that cannot be written.
pub fn build(dir: &Path, target: Target) -> io::Result<WindowsStubs> {
    let stubs = WindowsStubs::at(dir);
    for directory in [&stubs.bin, &stubs.lib, &stubs.lib_short, &stubs.mingw] {
        fs::create_dir_all(directory)?;
    }
    let tools = Tools::of(target);
    for library in ["libjulia", "libjulia-internal"] {
        let dll = stubs.bin.join(format!("{library}.dll"));
        let mut command = tools.shared(&dll);
        command.arg("-I").arg(sources()).arg(sources().join(format!("{library}.c"))).arg("-lkernel32");
        let definitions = stubs.lib.join(format!("{library}.def"));
        command.arg(format!("-Wl,--output-def,{}", definitions.display()));
        run(command, &tools.compiler, tools.package)?;

        tools.import_library(&format!("{library}.dll"), &definitions, &stubs.lib.join(format!("{library}.dll.a")))?;
        let mut short = Command::new("llvm-dlltool-22");
        short.args(["-m", tools.machine, "-D", &format!("{library}.dll"), "-d"]).arg(&definitions);
        short.arg("-l").arg(stubs.lib_short.join(format!("{library}.dll.a")));
        run(short, "llvm-dlltool-22", "llvm-22")?;
        fs::remove_file(&definitions)?;
    }

    let definitions = stubs.mingw.join("msvcrt.def");
    fs::write(&definitions, MSVCRT)?;
    tools.import_library("msvcrt.dll", &definitions, &stubs.mingw.join("libmsvcrt.a"))?;
    fs::remove_file(&definitions)?;
    for empty in ["libssp.a", "libgcc_s.a", "libgcc.a"] {
        fs::write(stubs.mingw.join(empty), "!<arch>\n")?;
    }
    let mut command = tools.shared(&stubs.mingw.join("libopenlibm.dll"));
    command.arg("-I").arg(sources()).arg(sources().join("libopenlibm.c"));
    run(command, &tools.compiler, tools.package)?;
    Ok(stubs)
}

/// mingw's tools for a processor.
struct Tools {
    compiler: String,
    dlltool: String,
    package: &'static str,
    binutils: &'static str,
    /// LLVM's name of the machine.
    machine: &'static str,
    entry: &'static str,
    cpu: &'static str,
}

impl Tools {
    fn of(target: Target) -> Self {
        let x86 = target.cpu == Cpu::X86;
        let prefix = if x86 { "i686-w64-mingw32" } else { "x86_64-w64-mingw32" };
        Self {
            compiler: format!("{prefix}-gcc"),
            dlltool: format!("{prefix}-dlltool"),
            package: if x86 { "gcc-mingw-w64-i686" } else { "gcc-mingw-w64-x86-64" },
            binutils: if x86 { "binutils-mingw-w64-i686" } else { "binutils-mingw-w64-x86-64" },
            machine: if x86 { "i386" } else { "i386:x86-64" },
            entry: if x86 { "_DllMain@12" } else { "DllMain" },
            cpu: if x86 { "-march=pentium4" } else { "-march=x86-64" },
        }
    }

    /// A command that compiles a DLL without any of C's own library.
    fn shared(&self, output: &Path) -> Command {
        let mut command = Command::new(&self.compiler);
        command.args(["-shared", "-O2", "-nostdlib", "-fno-stack-protector", "-s", self.cpu]);
        command.args(["-Wl,--no-insert-timestamp", "-Wl,--disable-auto-import"]);
        command.arg(format!("-Wl,-e,{}", self.entry)).arg("-o").arg(output);
        command
    }

    /// Makes an import library of `dll` in GNU's form.
    fn import_library(&self, dll: &str, definitions: &Path, output: &Path) -> io::Result<()> {
        let mut command = Command::new(&self.dlltool);
        command.args(["--deterministic-libraries", "-D", dll]).arg("-d").arg(definitions).arg("-l").arg(output);
        // The tool names its temporary files, and with them the library's members, after this.
        command.args(["--temp-prefix", "stub"]).current_dir(output.parent().unwrap_or(Path::new(".")));
        run(command, &self.dlltool, self.binutils)
    }
}
