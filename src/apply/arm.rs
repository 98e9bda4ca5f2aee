//! Addresses of code for Arm, whose bit 0 tells the instruction set (AAELF32, *Relocation codes table*: S | T).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use super::Context;
use crate::arch::arm;
use crate::model::{Symbol, Traits};
use crate::reloc::RawReloc;
use crate::slots::SymbolRef;

impl Context<'_, '_> {
    /// The number that a branch of an Arm object holds, whose bit 0 is the state that it ends in: from the `address` of the
    /// symbol, or that of its PLT entry.
    pub(super) fn arm_branch(&self, raw: &RawReloc, imm: arm::Imm, symbol: &Symbol, address: u64, plt: bool) -> u64 {
        let code = self.code(raw);
        let written = imm.written_state(code).unwrap_or(0);
        if plt {
            let stays_thumb = imm.is_thumb() && !imm.changes_state(code);
            let entry = if stays_thumb { arm::stubs::thumb_entrance(address) } else { address };
            return arm::add_to_function(entry, raw.addend);
        }
        if symbol.traits.has(Traits::UNDEFINED) {
            // A call of what is not there goes on to the next instruction (AAELF32, *Call and Jump relocations*).
            let next = self.base.wrapping_add(raw.offset).wrapping_add(imm.size());
            return arm::add_to_function(next | written, raw.addend);
        }
        let function = self.link.is_function(self.reference(raw, symbol));
        arm::add_to_function(if function { address } else { address & !1 | written }, raw.addend)
    }

    /// Whether a branch leads to what has no state of its own, by an instruction that ends in the other state than the
    /// caller's: a thunk would go on in the caller's, so there is none for it.
    pub(super) fn goes_on_as_written(&self, raw: &RawReloc, imm: arm::Imm, plt: bool, to: SymbolRef) -> bool {
        let own = u64::from(imm.is_thumb());
        !plt && imm.written_state(self.code(raw)) != Some(own) && !self.link.is_function(to)
    }
}
