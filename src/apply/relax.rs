//! Loads from the GOT that are rewritten to do without it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use super::Context;
use crate::arch::x86_64::GotLoad;
use crate::arch::{aarch64, x86_64};
use crate::debug::Fault;
use crate::reloc::{Field, RawReloc, Reloc};

impl Context<'_, '_> {
    /// Rewrites an instruction of x86-64 that uses a GOT slot to use the symbol's address (x86-64 psABI, B.2).
    pub(super) fn relax_got_load(
        &self,
        raw: &RawReloc,
        reloc: &Reloc,
        form: GotLoad,
        at: usize,
        out: &mut [u8],
    ) -> Result<(), Fault> {
        let place = self.base.wrapping_add(raw.offset);
        let value = self.address(raw.symbol).wrapping_add_signed(raw.addend).wrapping_sub(place) as i64;
        self.check(reloc, value)?;
        let code = at.checked_sub(2).and_then(|from| out.get_mut(from..at.checked_add(4)?));
        // Cannot be short: the field and its instruction are in the section.
        code.and_then(|code| x86_64::relax_got_load(form, code, value as i32))
            .ok_or(Fault::Because("the instruction is cut off"))
    }

    /// Turns an instruction of AArch64 that loads from a GOT slot into one that adds the lower part of the symbol's address,
    /// `value`, to its page.
    pub(super) fn relax_to_add(&self, reloc: &Reloc, value: i64, at: usize, out: &mut [u8]) -> Result<(), Fault> {
        let code = at.checked_add(4).and_then(|end| out.get_mut(at..end)).and_then(<[u8]>::first_chunk_mut);
        let code: &mut [u8; 4] = code.ok_or(Fault::Outside)?;
        *code = aarch64::load_to_add(*code);
        self.store(&Reloc { field: Field::Aarch64(aarch64::Imm::Add12), ..*reloc }, at, out, value)
    }
}
