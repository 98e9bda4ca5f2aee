//! Several relocations of one place that add up.
//!
//! Source: gABI chapter 4, *Relocation*: of consecutive relocations with one offset, the result of each is the addend of the
//! next. Here that is so on i386 alone, where addends stand in the fields. Go's compiler relies on it there: the distance from
//! code to the slot of a thread-local variable is `R_386_GOTPC` and `R_386_TLS_GOTIE` together. RISC-V has rules of its own;
//! on other CPUs the second relocation of a place is a mark, or a mistake.

use super::Context;
use crate::options::{Arch, Format};
use crate::reloc::RawReloc;

impl Context<'_, '_> {
    /// Whether relocations of one place add up.
    pub(super) fn composes(&self) -> bool {
        (self.link.target.format, self.link.target.arch) == (Format::Elf, Arch::X86)
    }

    /// A relocation as it is once those before it are carried out on `out`, whose first byte is at offset `start` of the section:
    /// `last` is the offset of the one before it, and becomes that of this one.
    pub(super) fn composed(&self, raw: RawReloc, last: &mut Option<u64>, start: u64, out: &[u8]) -> RawReloc {
        if last.replace(raw.offset) != Some(raw.offset) {
            return raw;
        }
        let field = self.link.kinds.understand(self.link.target, raw).map(|reloc| reloc.field);
        let bytes = out.get(raw.offset.wrapping_sub(start) as usize..);
        let stored = field.zip(bytes).and_then(|(field, bytes)| field.load(bytes));
        RawReloc { addend: stored.unwrap_or(raw.addend), ..raw }
    }
}
