//! The libraries that Windows images are linked to: DLLs, their import libraries in both forms, and stand-ins for the
//! few libraries of mingw that Julia's command line names, so that linking needs no mingw.
//!
//! | directory | what | for |
//! |---|---|---|
//! | `bin` | `libjulia.dll`, `libjulia-internal.dll` | Julia's `bin`: the linker reads the DLLs' own export tables |
//! | `lib` | `libjulia.dll.a`, `libjulia-internal.dll.a` | import libraries as GNU's tools make them, a member a symbol; not for Arm |
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
    for directory in [&stubs.bin, &stubs.lib_short, &stubs.mingw] {
        fs::create_dir_all(directory)?;
    }
    let tools = Tools::of(target);
    tools.system_library(&stubs.bin)?;
    for library in ["libjulia", "libjulia-internal"] {
        let dll = stubs.bin.join(format!("{library}.dll"));
        let mut command = tools.shared(&dll);
        command.arg("-I").arg(sources()).arg(sources().join(format!("{library}.c")));
        command.arg("-L").arg(&stubs.bin).arg("-lkernel32");
        let definitions = stubs.bin.join(format!("{library}.def"));
        command.arg(format!("-Wl,--output-def,{}", definitions.display()));
        run(command, &tools.compiler, tools.package)?;

        if tools.dlltool.is_some() {
            fs::create_dir_all(&stubs.lib)?;
            let output = stubs.lib.join(format!("{library}.dll.a"));
            tools.import_library(&format!("{library}.dll"), &definitions, &output)?;
        }
        tools.short_import_library(&definitions, &format!("{library}.dll"), &stubs.lib_short)?;
        fs::remove_file(&definitions)?;
    }
    tools.remove_system_library(&stubs.bin)?;

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

/// The tools for a processor: mingw's, and for Arm, for which Debian has none, LLVM's with mingw's headers.
struct Tools {
    compiler: String,
    /// GNU's maker of import libraries.
    dlltool: Option<String>,
    package: &'static str,
    binutils: &'static str,
    /// LLVM's name of the machine.
    machine: &'static str,
    entry: &'static str,
    /// What the compiler gets besides.
    options: &'static [&'static str],
}

/// Options of clang for Arm: [`Tools`], and the program that loads images (`run/foreign.rs`).
pub(crate) const CLANG_ARM64: &[&str] =
    &["--target=aarch64-w64-windows-gnu", "-fuse-ld=lld", "-isystem", "/usr/share/mingw-w64/include", "-nostdlib"];

/// What of the system the stubs call, where there is no import library of mingw's.
const KERNEL32: &str = "LIBRARY kernel32.dll\nEXPORTS\nRaiseException\n";

impl Tools {
    fn of(target: Target) -> Self {
        if target.cpu == Cpu::Aarch64 {
            return Self {
                compiler: "clang-19".to_owned(),
                dlltool: None,
                package: "clang-19 lld-19 mingw-w64-common",
                binutils: "llvm-22",
                machine: "arm64",
                entry: "DllMain",
                options: &["-fno-builtin", "-Wno-pragma-pack"],
            };
        }
        let x86 = target.cpu == Cpu::X86;
        let prefix = if x86 { "i686-w64-mingw32" } else { "x86_64-w64-mingw32" };
        Self {
            compiler: format!("{prefix}-gcc"),
            dlltool: Some(format!("{prefix}-dlltool")),
            package: if x86 { "gcc-mingw-w64-i686" } else { "gcc-mingw-w64-x86-64" },
            binutils: if x86 { "binutils-mingw-w64-i686" } else { "binutils-mingw-w64-x86-64" },
            machine: if x86 { "i386" } else { "i386:x86-64" },
            entry: if x86 { "_DllMain@12" } else { "DllMain" },
            options: if x86 { &["-march=pentium4"] } else { &["-march=x86-64"] },
        }
    }

    /// A command that compiles a DLL without any of C's own library.
    fn shared(&self, output: &Path) -> Command {
        let mut command = Command::new(&self.compiler);
        if self.dlltool.is_none() {
            command.args(CLANG_ARM64);
        }
        command.args(["-shared", "-O2", "-nostdlib", "-fno-stack-protector", "-s"]).args(self.options);
        command.args(["-Wl,--no-insert-timestamp", "-Wl,--disable-auto-import"]);
        command.arg(format!("-Wl,-e,{}", self.entry)).arg("-o").arg(output);
        command
    }

    /// Makes an import library of `dll` in GNU's form, or in the short one where there is no tool for that.
    fn import_library(&self, dll: &str, definitions: &Path, output: &Path) -> io::Result<()> {
        let Some(dlltool) = &self.dlltool else {
            return self.llvm_dlltool(definitions, Some(dll), output);
        };
        let mut command = Command::new(dlltool);
        command.args(["--deterministic-libraries", "-D", dll]).arg("-d").arg(definitions).arg("-l").arg(output);
        // The tool names its temporary files, and with them the library's members, after this.
        command.args(["--temp-prefix", "stub"]).current_dir(output.parent().unwrap_or(Path::new(".")));
        run(command, dlltool, self.binutils)
    }

    /// Makes the import library of a DLL in the short form in a directory.
    fn short_import_library(&self, definitions: &Path, dll: &str, directory: &Path) -> io::Result<()> {
        self.llvm_dlltool(definitions, Some(dll), &directory.join(format!("{dll}.a")))
    }

    fn llvm_dlltool(&self, definitions: &Path, dll: Option<&str>, output: &Path) -> io::Result<()> {
        let mut command = Command::new("llvm-dlltool-22");
        command.args(["-m", self.machine]);
        if let Some(dll) = dll {
            command.args(["-D", dll]);
        }
        command.arg("-d").arg(definitions).arg("-l").arg(output);
        run(command, "llvm-dlltool-22", "llvm-22")
    }

    /// Makes the system's import library in `directory`, where mingw has none.
    fn system_library(&self, directory: &Path) -> io::Result<()> {
        if self.dlltool.is_some() {
            return Ok(());
        }
        let definitions = directory.join("kernel32.def");
        fs::write(&definitions, KERNEL32)?;
        self.llvm_dlltool(&definitions, None, &directory.join("libkernel32.a"))?;
        fs::remove_file(&definitions)
    }

    fn remove_system_library(&self, directory: &Path) -> io::Result<()> {
        if self.dlltool.is_some() { Ok(()) } else { fs::remove_file(directory.join("libkernel32.a")) }
    }
}
