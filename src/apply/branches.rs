//! Branches as the rooms of thunks see them: what a relocation of a branch instruction leads to, and through what.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use super::Context;
use crate::arch;
use crate::model::Symbol;
use crate::reloc::{self, Action, Field, RawReloc, Reloc};
use crate::slots::SymbolRef;
use crate::thunks::{Branch, Destination};

impl<'l> Context<'l, '_> {
    /// The distance from a branch to its thunk, if it has one, as the field holds it.
    #[cold]
    pub(super) fn through_thunk(&self, branch: &Branch) -> Option<i64> {
        let thunk = self.link.thunks.of_branch(self.link, branch)?;
        Some(thunk.wrapping_sub(branch.place).cast_signed().wrapping_sub(arch::branch_bias(branch.field)))
    }

    /// The branch that a relocation fills in, if it is one for which there can be thunks.
    pub(crate) fn branch(&self, raw: &RawReloc) -> Option<Branch> {
        let reloc = reloc::understand(self.link.target, *raw).filter(|reloc| arch::is_branch(reloc.field))?;
        let symbol = self.object.symbols.get(raw.symbol as usize)?;
        let action = reloc::classify(self.link.target, self.section, &reloc, symbol.traits).ok()?;
        let reference = self.reference(raw, symbol);
        if let Field::Arm(imm) = reloc.field
            && self.goes_on_as_written(raw, imm, action == Action::Plt, reference)
        {
            return None;
        }
        Some(self.call(raw, &reloc, action, symbol))
    }

    /// As [`branch`](Self::branch), of what is known to be one.
    pub(super) fn call(&self, raw: &RawReloc, reloc: &Reloc, action: Action, symbol: &Symbol) -> Branch {
        let bias = arch::branch_bias(reloc.field);
        let (plt, addend) = (action == Action::Plt, raw.addend.wrapping_add(bias));
        let to = Destination { symbol: self.reference(raw, symbol), addend, plt };
        let place = self.base.wrapping_add(raw.offset);
        let target = self.number(raw, reloc, action, symbol, place).wrapping_add_signed(bias);
        let switches = matches!(reloc.field, Field::Arm(imm) if imm.changes_state(self.code(raw)));
        Branch { field: reloc.field, switches, kind: raw.kind, place, target, to }
    }

    /// The symbol of a relocation as the whole link knows it.
    pub(super) fn reference(&self, raw: &RawReloc, symbol: &Symbol) -> SymbolRef {
        symbol.global.get().map_or(SymbolRef::Local(self.id, raw.symbol), SymbolRef::Global)
    }

    /// The section's bytes, before they are relocated, from a relocation's field on.
    pub(super) fn code(&self, raw: &RawReloc) -> &'l [u8] {
        let offset = usize::try_from(raw.offset).ok();
        offset.and_then(|offset| self.section.data.get(offset..)).unwrap_or_default()
    }
}
