//! ELF relocations: decoding them from the input, and what becomes of each in a shared library.
//!
//! [`classify`] is asked the same question twice, in scanning (to count and to reserve) and in applying (to do it), and
//! looks at nothing that an address could change: so both get the same answer.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use crate::arch::ppc64::imm::Imm;
use crate::arch::{self, x86, x86_64};
use crate::model::{Section, SectionFlags, Traits};
use crate::options::Arch;
use crate::reloc::{Action, Field, Origin, RawReloc, Reason, Reloc, Value, What};
use crate::symbols::Needs;

/// Decodes an `Elf64_Rela`.
#[inline]
pub(crate) fn rela64(entry: &[u8; 24]) -> RawReloc {
    let [o0, o1, o2, o3, o4, o5, o6, o7, k0, k1, k2, k3, s0, s1, s2, s3, addend @ ..] = *entry;
    RawReloc {
        offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
        kind: u32::from_le_bytes([k0, k1, k2, k3]),
        symbol: u32::from_le_bytes([s0, s1, s2, s3]),
        addend: i64::from_le_bytes(addend),
    }
}

/// Decodes an `Elf32_Rela`.
pub(crate) fn rela32(entry: &[u8; 12]) -> RawReloc {
    let [o0, o1, o2, o3, kind, s0, s1, s2, addend @ ..] = *entry;
    RawReloc {
        offset: u32::from_le_bytes([o0, o1, o2, o3]).into(),
        kind: kind.into(),
        symbol: u32::from_le_bytes([s0, s1, s2, 0]),
        addend: i32::from_le_bytes(addend).into(),
    }
}

/// Decodes an `Elf32_Rel`, whose addend is what its field holds in `contents`.
pub(crate) fn rel32(entry: &[u8; 8], arch: Arch, contents: &[u8]) -> RawReloc {
    let [o0, o1, o2, o3, kind, s0, s1, s2] = *entry;
    let offset = u32::from_le_bytes([o0, o1, o2, o3]);
    let field = arch::elf_reloc(arch, kind.into()).map(|(_, field)| field);
    let bytes = contents.get(offset as usize..);
    RawReloc {
        offset: offset.into(),
        kind: kind.into(),
        symbol: u32::from_le_bytes([s0, s1, s2, 0]),
        // What lies outside is refused when it is scanned or applied.
        addend: field.zip(bytes).and_then(|(field, bytes)| field.load(bytes)).unwrap_or(0),
    }
}

/// The number of entries, of `SIZE` bytes each and with an offset of `WORD` bytes in front, whose offsets are below `limit`.
/// The offsets ascend.
pub(crate) fn count_before<const SIZE: usize, const WORD: usize>(table: &[u8], limit: u64) -> usize {
    let offset = |entry: &[u8; SIZE]| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(entry.iter().take(WORD)).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    };
    let (entries, _) = table.as_chunks::<SIZE>();
    entries.partition_point(|entry| offset(entry) < limit)
}

const RECOMPILE: Reason = "the image is loaded at an address that is not known now; recompile with -fPIC";
const PREEMPTIBLE: Reason =
    "another library may define the symbol anew; recompile with -fPIC, or give the symbol hidden visibility";

/// AArch64's instructions ask for slots with S + A. Compilers put the addend into an instruction of its own.
const ADDEND: Reason =
    "slots hold addresses of symbols, not of places at an offset from one; add the addend to what is loaded";

/// What becomes of a relocation of `section`, which is loaded, against a symbol with `traits`.
///
/// # Errors
/// Why it cannot be resolved, for a person.
pub(crate) fn classify(arch: Arch, section: &Section<'_>, reloc: &Reloc, traits: Traits) -> Result<Action, Reason> {
    let preemptible = traits.has(Traits::PREEMPTIBLE);
    let ifunc = traits.has(Traits::IFUNC);
    let absolute = traits.has(Traits::ABSOLUTE);
    let Value { what, from } = reloc.value;
    if traits.has(Traits::DISCARDED) && !section.flags.has(SectionFlags::EH_FRAME) {
        // An object's table of contents is no part of the groups whose functions use it: entries of functions of which another
        // copy was taken stay, and nobody reads them.
        if arch == Arch::Ppc64 && section.name == b".toc" {
            return Ok(Action::Link);
        }
        return Err(
            "the symbol's section is not part of the image: another copy of its group was taken, and only that may be referred to",
        );
    }
    if traits.has(Traits::TLS) != what.is_tls() && !matches!(what, What::Nothing | What::Size) {
        // A reference from assembly to an undefined symbol has no type; only a definition can contradict.
        if traits.has(Traits::TLS) {
            return Err("the symbol is thread-local, the relocation is not for such symbols");
        }
        if !preemptible && what != What::TlsModule && !traits.has(Traits::UNDEFINED) {
            return Err("the symbol is not thread-local, the relocation is for such symbols only");
        }
    }
    // The address of a slot is not known before the image is loaded, and no loader's relocation tells it.
    if from == Origin::Zero && (what.is_slot() || (what == What::GotBase && !reloc.field.is_word())) {
        return Err(RECOMPILE);
    }
    if reloc.addend != 0 && what.is_slot() && matches!(reloc.field, Field::Aarch64(_)) {
        return Err(ADDEND);
    }
    Ok(match what {
        What::Nothing => Action::Link,
        What::Alignment if section.flags.has(SectionFlags::EXEC) => Action::Link,
        What::Alignment => return Err("only code can be left to the linker to align"),
        What::AtLabel => Action::Link,
        What::Symbol if from == Origin::Zero => match () {
            () if preemptible && reloc.field.is_word() => Action::Symbolic,
            () if traits.has(Traits::PLT_ADDRESS) && reloc.field.is_word() => Action::Relative,
            // What the loader stores is what the resolver at the address returns: nothing can be added to that, but to the address
            // of its PLT entry.
            () if ifunc && reloc.field.is_word() && reloc.addend != 0 => Action::Plt,
            () if ifunc && reloc.field.is_word() => Action::Indirect,
            () if absolute && !preemptible => Action::Link,
            () if reloc.field.is_word() => Action::Relative,
            () => return Err(RECOMPILE),
        },
        What::Symbol => match () {
            // No loader adds or subtracts: the image's own definition is meant.
            () if preemptible && from != Origin::Difference => return Err(PREEMPTIBLE),
            () if ifunc => Action::Plt,
            () if absolute && !traits.has(Traits::UNDEFINED) => return Err(RECOMPILE),
            () => Action::Link,
        },
        What::Plt => match () {
            () if preemptible || ifunc => Action::Plt,
            () if absolute && !traits.has(Traits::UNDEFINED) => return Err(RECOMPILE),
            () => Action::Link,
        },
        What::CallToc | What::CallNoToc => match () {
            () if (preemptible || ifunc) && reloc.field != Field::Ppc64(Imm::Branch24) => {
                return Err(
                    "a conditional branch cannot leave the image; recompile with -fPIC, or give the function hidden visibility",
                );
            }
            () if preemptible || ifunc => Action::Plt,
            () if absolute && !traits.has(Traits::UNDEFINED) => return Err(RECOMPILE),
            () => Action::Link,
        },
        What::Got if arch == Arch::X86 && x86::is_without_base(reloc, &section.data) => return Err(RECOMPILE),
        What::Got => Action::Got(Needs::GOT),
        What::GotRelaxable => {
            let stays = preemptible || ifunc || absolute || traits.has(Traits::FAR);
            match x86_64::got_load(&section.data, reloc.offset, reloc.addend) {
                Some(form) if !stays => Action::Relax(form),
                _ => Action::Got(Needs::GOT),
            }
        }
        What::GotBase if from == Origin::Zero && reloc.field.is_word() => Action::Relative,
        What::GotBase => Action::Link,
        What::Size if preemptible => Action::Symbolic,
        What::Size => Action::Link,
        What::TlsPair => Action::Got(Needs::TLS_GD),
        What::TlsOffset => Action::Got(Needs::TLS_IE),
        What::TlsDescriptor => Action::Got(Needs::TLS_DESC),
        What::TlsBlockSlot => Action::Got(Needs::TLS_BLOCK),
        What::TlsModule => Action::GotTlsModule,
        What::TlsBlock => Action::Link,
        What::SectionNumber => return Err("ELF images have no such numbers"),
        What::TlsStatic => {
            return Err("local-exec thread-local storage is for executables only; recompile with -fPIC");
        }
    })
}
