//! Relocations that say what they mean together with another one of the same section.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use crate::arch::riscv64::{self, Imm, Operation};
use crate::model::{Object, Section, SectionIndex, SymbolSection};
use crate::reloc::{self, Field, Origin, RawReloc, Reason};

/// The most relocations at one offset that are looked at: a dozen times as many as there ever are. A bound is needed, as each
/// of many may ask for all others.
const AT_ONE_PLACE: usize = 64;

/// The relocations at one offset of a section, in order.
fn at<'s>(section: &'s Section<'_>, offset: u64) -> impl Iterator<Item = RawReloc> + use<'s> {
    reloc::decode(section, reloc::find(section, offset..offset.saturating_add(1))).take(AT_ONE_PLACE)
}

/// The relocation of the upper part of the number whose lower part `raw` stores: that of the instruction at the label that
/// `raw` names (psABI, *PC-Relative Symbol Addresses*). The section is that of `raw`.
///
/// # Errors
/// There is none.
pub(crate) fn upper_part(object: &Object<'_>, index: SectionIndex, raw: &RawReloc) -> Result<RawReloc, Reason> {
    if raw.addend != 0 {
        return Err("its addend must be 0, as it names the label of the auipc instruction whose address it completes");
    }
    let label = usize::try_from(raw.symbol).ok().and_then(|symbol| object.symbols.get(symbol));
    let section = usize::try_from(index).ok().and_then(|index| object.sections.get(index));
    let (Some(label), Some(section)) = (label, section) else { return Err("there is no such symbol") };
    if label.section() != SymbolSection::In(index) {
        return Err("the symbol must be the label of an auipc instruction in the same section");
    }
    at(section, label.value)
        .find(|upper| riscv64::is_upper_part(upper.kind, raw.kind))
        .ok_or("there is no relocation of the upper 20 bits at the label that it names")
}

/// What a LEB128 difference subtracts: the relocation that goes with `raw`, which sets it.
///
/// # Errors
/// There is none.
pub(crate) fn subtrahend(section: &Section<'_>, raw: &RawReloc) -> Result<RawReloc, Reason> {
    let subtracts = |other: &RawReloc| {
        let field = riscv64::elf_reloc(other.kind).map(|(_, field)| field);
        field == Some(Field::Riscv64(Imm::Uleb(Operation::Subtract)))
    };
    at(section, raw.offset).find(subtracts).ok_or(ALONE)
}

/// Checks that the relocations at `offset` that make a difference together add as often as they subtract: the address that
/// the image is loaded at then plays no part in it.
///
/// # Errors
/// They do not, or not in a way that has a meaning.
pub(crate) fn check_difference(section: &Section<'_>, offset: u64) -> Result<(), Reason> {
    let mut balance = 0_i64;
    let mut lebs = [0_u64; 2];
    for (index, raw) in (0_u64..).zip(at(section, offset)) {
        let Some((value, Field::Riscv64(imm))) = riscv64::elf_reloc(raw.kind) else { continue };
        if value.from != Origin::Difference {
            continue;
        }
        let operation = match imm {
            Imm::Part(operation, _) | Imm::Uleb(operation) => operation,
            _ => continue,
        };
        if operation == Operation::Set && index > 0 {
            return Err("it must be the first relocation of its place, as it discards what was there");
        }
        balance = match operation {
            Operation::Set | Operation::Add => balance.saturating_add(1),
            Operation::Subtract => balance.saturating_sub(1),
        };
        let [set, subtract] = &mut lebs;
        match imm {
            Imm::Uleb(Operation::Subtract) => *subtract = subtract.saturating_add(1),
            Imm::Uleb(_) => *set = set.saturating_add(1),
            _ => {}
        }
    }
    if at(section, offset).count() == AT_ONE_PLACE {
        return Err("there are too many relocations at this place");
    }
    if balance != 0 || lebs.iter().any(|count| *count > 1) {
        return Err(ALONE);
    }
    Ok(())
}

/// The number that the relocations at `offset` make of `there`, which stands there, where `address` tells what one refers to.
pub(crate) fn difference(section: &Section<'_>, offset: u64, there: u64, address: impl Fn(&RawReloc) -> u64) -> u64 {
    at(section, offset).fold(there, |number, raw| match riscv64::elf_reloc(raw.kind) {
        Some((_, Field::Riscv64(Imm::Part(operation, _)))) => operation.of(number, address(&raw)),
        _ => number,
    })
}

const ALONE: Reason = "one half of a difference stands alone: where the image is loaded is not known now";
