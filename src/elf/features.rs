//! Control-flow protection: what all objects state of it, and what options ask for.
//!
//! An object says in `.note.gnu.property` that its code is fit for it: each target of an indirect branch is a landing pad
//! (x86 *IBT*, AArch64 *BTI*), each return goes where the shadow stack says (x86 *SHSTK*). The image says so if all objects
//! do, or if an option demands it; who demands what some objects do not have is told of these.

use super::property::{
    AARCH64_FEATURE_1_BTI, Properties, RISCV_FEATURE_1_LANDING_PADS, X86_FEATURE_1_IBT, X86_FEATURE_1_SHSTK,
};
use crate::arch::Bits;
use crate::elf::machine;
use crate::error::{Error, Errors, Result};
use crate::link::Link;
use crate::options::{Arch, MissingFeature};

/// A feature: how messages call it, its bit, and the option that demands it of the image, with what is said of objects without.
type Feature = (&'static str, u32, bool, MissingFeature);

/// Merges what objects state.
///
/// # Errors
/// Objects without a feature that an option reports as an error.
pub(crate) fn merge(link: &mut Link<'_>) -> Result<()> {
    let options = &link.options.elf;
    let forced = |on| if on { MissingFeature::Warn } else { MissingFeature::Allow };
    let features: [Feature; 2] = match link.target.arch {
        Arch::X86_64 | Arch::X86 => [
            ("IBT", X86_FEATURE_1_IBT, options.ibt, options.report_cet.max(forced(options.force_ibt))),
            ("SHSTK", X86_FEATURE_1_SHSTK, options.shstk, options.report_cet),
        ],
        Arch::Aarch64 => {
            let report = options.report_bti.max(forced(options.force_bti));
            [("BTI", AARCH64_FEATURE_1_BTI, false, report), ("", 0, false, MissingFeature::Allow)]
        }
        _ => [("", 0, false, MissingFeature::Allow); 2],
    };
    let forced = [options.force_ibt && features[0].0 == "IBT" || options.force_bti && features[0].0 == "BTI", false];

    let bits = |properties: &Properties| match link.target.arch {
        Arch::Aarch64 => properties.aarch64_features(),
        _ => properties.x86_features(),
    };
    let mut merged: Option<Properties> = None;
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for (info, name) in super::infos(link).zip(link.objects.iter().map(|object| &object.name)) {
        let Some(properties) = &info.properties else { continue };
        for (feature, bit, _, report) in features {
            let what = format!("its code is not made for {feature}, which an option asks about");
            match report {
                _ if bits(properties) & bit == bit => {}
                MissingFeature::Allow => {}
                MissingFeature::Warn => warnings.push(format!("{name}: {what}")),
                MissingFeature::Error => problems.push(Error::unsupported(name, what)),
            }
        }
        match &mut merged {
            Some(merged) => merged.merge(properties),
            None => merged = Some(properties.clone()),
        }
    }
    Errors::check(problems)?;
    let wanted = features.iter().zip(forced).filter(|((.., on, _), forced)| *on || *forced);
    let wanted = wanted.fold(0, |bits, ((_, bit, ..), _)| bits | bit);
    if wanted != 0 {
        merged.get_or_insert_with(Properties::absent).demand(wanted, link.target.arch == Arch::Aarch64);
    }
    link.report.warnings.extend(warnings);
    let Some(mut merged) = merged else { return Ok(()) };
    // The PLT of this linker has no landing pads, and its first entry is jumped to through a register.
    if link.target.arch == Arch::Riscv64 && !(link.slots.lazy.is_empty() && link.slots.through_got.is_empty()) {
        merged.withdraw(RISCV_FEATURE_1_LANDING_PADS);
    }
    link.elf.ibt = match link.target.arch {
        Arch::Aarch64 => merged.aarch64_features() & AARCH64_FEATURE_1_BTI != 0,
        _ => merged.x86_features() & X86_FEATURE_1_IBT != 0,
    };
    link.elf.properties = merged.write(machine(link).bits == Bits::B64);
    Ok(())
}
