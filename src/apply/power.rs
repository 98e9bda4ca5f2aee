//! Calls in code for POWER: the TOC pointer before and after them (ELFv2 ABI, 2.2.1 and 3.4.1).

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic)]

use super::Context;
use crate::arch::ThunkKind;
use crate::arch::ppc64::stubs::{self, Thunk};
use crate::debug::Fault;
use crate::model::Symbol;
use crate::reloc::{Action, RawReloc, Reloc, What};
use crate::thunks;

impl Context<'_, '_> {
    /// Carries out the relocation of a call in code for POWER, which may have to restore the TOC pointer afterwards.
    pub(super) fn power_call(
        &self,
        raw: &RawReloc,
        reloc: &Reloc,
        action: Action,
        symbol: &Symbol,
        at: usize,
        out: &mut [u8],
    ) -> Result<(), Fault> {
        let branch = self.call(raw, reloc, action, symbol);
        let thunk = thunks::needed(self.link, &branch);
        let target = match thunk {
            Some(ThunkKind::Ppc64(Thunk::Long)) => self.link.thunks.of_branch(self.link, &branch).unwrap_or(branch.target),
            Some(_) => self.link.thunks.of_branch(self.link, &branch).ok_or(Fault::Because(
                "the caller and the function treat the TOC pointer differently, and there is no place for code between them",
            ))?,
            None => branch.target,
        };
        let value = target.wrapping_sub(branch.place).cast_signed();
        self.check(reloc, value)?;
        self.store(reloc, at, out, value)?;
        let saves = action == Action::Plt || thunk == Some(ThunkKind::Ppc64(Thunk::SaveToc));
        if reloc.value.what == What::CallToc && saves {
            let (call, behind) =
                out.get_mut(at..).and_then(|code| code.split_at_mut_checked(4)).ok_or(Fault::Outside)?;
            stubs::restore_toc(call, behind).map_err(Fault::Because)?;
        }
        Ok(())
    }
}
