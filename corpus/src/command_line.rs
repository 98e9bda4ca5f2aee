//! The command lines that Julia gives its linker, for every platform: what `Base.Linking.link_image` runs.
//!
//! What comes out is for `rust-lld` and whatever takes LLD's place alike.

use std::ffi::OsString;
use std::path::Path;

use crate::committed::Entry;
use crate::julia::Julia;
use crate::stubs::Stubs;
use crate::stubs::macos::MacosStubs;
use crate::stubs::windows::WindowsStubs;
use crate::target::{Cpu, Format};

/// The arguments, `-flavor` first, that link a committed archive to the committed libraries: those of 1.12 for all
/// versions but 1.14 on macOS, where `-force_load` and the compiler's library are new. LLD 22 wants `-e` besides on Windows,
/// see [`entry_point`].
pub fn arguments(entry: &Entry, output: &Path) -> Vec<OsString> {
    let mut line = Line(Vec::new());
    let newest = entry.julia >= Julia::V1_14;
    match entry.target.format {
        Format::Elf => {
            line.words("-flavor gnu").empty().words("-shared -o").path(output);
            line.words("--whole-archive").path(&entry.path).words("--no-whole-archive");
            line.directory(&Stubs::committed_for(entry.target, entry.julia).dir).words("-ljulia -ljulia-internal");
        }
        Format::MachO => {
            let stubs = MacosStubs::committed(entry.target, entry.julia);
            let arch = if entry.target.cpu == Cpu::Aarch64 { "arm64" } else { "x86_64" };
            line.words("-flavor darwin -arch").words(arch).words("-undefined dynamic_lookup");
            line.words("-platform_version macos 13.3.1 13.3");
            if newest {
                line.words("-syslibroot").path(&stubs.system);
            }
            line.empty().words("-dylib -o").path(output);
            if newest {
                line.words("-force_load").path(&entry.path);
            } else {
                line.words("-all_load").path(&entry.path).empty();
            }
            line.directory(&stubs.dir).words("-ljulia -ljulia-internal");
            if newest {
                line.path(&stubs.system.join("libclang_rt.osx.a")).path(&stubs.system.join("libSystem.tbd"));
            }
        }
        Format::Coff => {
            let stubs = WindowsStubs::committed(entry.target);
            let emulation = match entry.target.cpu {
                Cpu::X86 => "i386pe",
                Cpu::Aarch64 => "arm64pe",
                _ => "i386pep",
            };
            line.words("-flavor gnu -m").words(emulation);
            line.words("-Bdynamic --enable-auto-image-base --allow-multiple-definition");
            // The archives that need the automatic import have the command line of the Julia that relied on it.
            if !entry.path.to_string_lossy().contains("-auto.") {
                line.words("--disable-auto-import --disable-runtime-pseudo-reloc");
            }
            line.empty().words("-shared -o").path(output);
            line.words("--whole-archive").path(&entry.path).words("--no-whole-archive");
            line.directory(&stubs.mingw).directory(&stubs.bin);
            line.words("-ljulia -ljulia-internal -lopenlibm -lssp -lgcc_s -lgcc -lmsvcrt");
        }
    }
    line.0
}

/// What a Windows archive calls the entry point of its DLL, as the argument of `-e`: LLD's default was that up to LLD 19.
pub fn entry_point(cpu: Cpu) -> &'static str {
    if cpu == Cpu::X86 { "__DllMainCRTStartup@12" } else { "_DllMainCRTStartup" }
}

struct Line(Vec<OsString>);

impl Line {
    fn words(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(OsString::from));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.0.push(path.into());
        self
    }

    fn directory(&mut self, path: &Path) -> &mut Self {
        let mut word = OsString::from("-L");
        word.push(path);
        self.0.push(word);
        self
    }

    /// The place of `--verbose`, which is empty without it.
    fn empty(&mut self) -> &mut Self {
        self.path(Path::new(""))
    }
}
