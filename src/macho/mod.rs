//! What only Mach-O has. Source of the rules: Apple's headers `mach-o/*.h`, which are all the specification there is, and
//! dyld, the loader, where these are silent.

pub(crate) mod content;
pub(crate) mod fixups;
pub(crate) mod functions;
pub(crate) mod leb;
pub(crate) mod library;
pub(crate) mod opcodes;
pub(crate) mod signature;
pub(crate) mod trie;

use crate::options::Arch;

/// What Apple's tools call a CPU.
pub(crate) fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::Aarch64 => "arm64",
        _ => "another CPU",
    }
}
