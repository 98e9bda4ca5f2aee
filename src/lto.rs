//! Objects of compilers that leave the making of code to the link.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// What is wrong with an object that has nothing else.
pub(crate) const SLIM: &str =
    "holds nothing but GCC's intermediate code (LTO), compile it with -fno-lto or -ffat-lto-objects";

/// How the names of GCC's sections of intermediate code begin.
const GCC: &[u8] = b".gnu.lto_";

/// Whether a section is called as those that hold a compiler's own form of code.
pub(crate) fn is_intermediate(name: &[u8]) -> bool {
    name.starts_with(GCC) || matches!(name, b".llvmbc" | b".llvmcmd" | b".llvm.lto")
}

/// Whether an object with these sections, and this string table, holds GCC's intermediate code and no other: GCC marks it by a
/// symbol, `__gnu_lto_slim` (its plugin for linkers looks for that, too). A fat object has code as well, and is linked as any.
pub(crate) fn is_slim<'a>(mut sections: impl Iterator<Item = &'a [u8]>, strings: &[u8]) -> bool {
    sections.any(|name| name.starts_with(GCC)) && memchr::memmem::find(strings, b"__gnu_lto_slim\0").is_some()
}
