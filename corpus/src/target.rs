//! What the generated code runs on.

use crate::julia::Julia;

/// A platform of Julia: the triple and what Julia's target machine is set to there.
///
/// Adding a platform means adding a constant here, and, where its assembly or object format differs, the places that
/// match on [`Target::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Julia's name of the platform, and of its folder in the corpus: `linux-x86_64`.
    pub name: &'static str,
    /// LLVM's target triple.
    pub triple: &'static str,
    /// The baseline that `llc` gets as `-mcpu`.
    pub cpu: &'static str,
    /// The features of the second target of multi-versioned images, as an LLVM attribute.
    pub clone_features: &'static str,
    /// Whether the platform has glibc's `__sigsetjmp`.
    pub sigsetjmp: bool,
    /// The value of `EI_OSABI` in its objects.
    pub osabi: u8,
}

/// Linux on x86-64.
pub const LINUX_X86_64: Target = Target {
    name: "linux-x86_64",
    triple: "x86_64-unknown-linux-gnu",
    cpu: "x86-64",
    clone_features: "+cx16,+popcnt,+sahf,+sse3,+sse4.1,+sse4.2,+ssse3",
    sigsetjmp: true,
    osabi: 0,
};

/// FreeBSD on x86-64.
pub const FREEBSD_X86_64: Target =
    Target { name: "freebsd-x86_64", triple: "x86_64-unknown-freebsd", sigsetjmp: false, osabi: 9, ..LINUX_X86_64 };

/// All platforms that the generator knows.
pub const ALL: &[Target] = &[LINUX_X86_64, FREEBSD_X86_64];

impl Target {
    /// The platform of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|target| target.name == name)
    }

    /// The code model that Julia's `jl_dump_native` asks for: medium on x86-64 Linux from 1.11, small else.
    pub fn code_model(self, julia: Julia) -> &'static str {
        if self.name == "linux-x86_64" && julia >= Julia::V1_11 { "medium" } else { "small" }
    }

    /// How the definition of `jl_system_image_data` asks for a place out of the way of 32-bit relocations:
    /// by section name with LLVM 16, by the variable's own code model from LLVM 18, not at all before.
    pub fn heap_placement(self, julia: Julia, llvm: u32) -> HeapPlacement {
        if llvm >= 18 {
            HeapPlacement::CodeModel
        } else if julia >= Julia::V1_11 && self.name == "linux-x86_64" {
            HeapPlacement::Section
        } else {
            HeapPlacement::Ordinary
        }
    }
}

/// See [`Target::heap_placement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapPlacement {
    /// In `.data` with everything else.
    Ordinary,
    /// `section ".ldata"`, which LLVM 16 gives no `SHF_X86_64_LARGE`.
    Section,
    /// `code_model "large"`.
    CodeModel,
}
