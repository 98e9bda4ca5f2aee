//! Pairs of relocations of RISC-V that only together tell a number (RISC-V psABI, *PC-Relative Symbol Addresses* and
//! *ULEB128*).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use super::Context;
use crate::arch::riscv64::{Imm, Operation};
use crate::debug::Fault;
use crate::elf::riscv::pairs;
use crate::reloc::{self, Field, RawReloc, Reloc};

impl Context<'_, '_> {
    /// What a pair of relocations stores together in LEB128, of which `value` is what is subtracted from: each alone may
    /// need more bytes than there are. `None` for other relocations.
    pub(super) fn leb_difference(
        &self,
        raw: &RawReloc,
        reloc: &Reloc,
        value: i64,
    ) -> Option<Result<Option<i64>, Fault>> {
        match reloc.field {
            Field::Riscv64(Imm::Uleb(Operation::Subtract)) => Some(Ok(None)),
            Field::Riscv64(Imm::Uleb(_)) => Some(match pairs::subtrahend(self.section, raw) {
                Ok(other) => {
                    let other = self.address(other.symbol).wrapping_add_signed(other.addend);
                    Ok(Some(value.wrapping_sub(other.cast_signed())))
                }
                Err(reason) => Err(Fault::Because(reason)),
            }),
            _ => None,
        }
    }

    pub(super) fn store_leb(
        &self,
        reloc: &Reloc,
        at: usize,
        out: &mut [u8],
        difference: Option<i64>,
    ) -> Result<(), Fault> {
        let Some(difference) = difference else { return Ok(()) };
        let stored = out.get_mut(at..).and_then(|field| reloc.field.store(field, difference));
        stored.ok_or(Fault::Because("the difference does not fit in the bytes that the compiler left for it"))
    }

    /// The number of which a relocation stores the lower part.
    pub(super) fn upper_part(&self, raw: &RawReloc) -> i64 {
        let upper = || {
            let raw = pairs::upper_part(self.object, self.index, raw).ok()?;
            let reloc = reloc::understand(self.link.target, raw)?;
            let symbol = self.object.symbols.get(raw.symbol as usize)?;
            let action = reloc::classify(self.link.target, self.section, &reloc, symbol.traits).ok()?;
            let place = self.base.wrapping_add(raw.offset);
            Some(self.count(&reloc, symbol, self.number(&raw, &reloc, action, symbol, place), place))
        };
        // Scanning has refused what has none.
        upper().unwrap_or(0)
    }
}
