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

use std::ops::Range;

use crate::arch::x86_64::{self, GotLoad};
use crate::model::{RelocEncoding, Relocs, Section, SectionFlags, SymbolIndex, Traits};
use crate::options::Arch;
use crate::reloc::{Field, Reloc, Value};
use crate::symbols::Needs;

/// A relocation as it stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawReloc {
    /// `r_offset`: offset in the section, in bytes.
    pub(crate) offset: u64,
    /// Symbol part of `r_info`.
    pub(crate) symbol: SymbolIndex,
    /// Type part of `r_info`.
    pub(crate) kind: u32,
    /// `r_addend`.
    pub(crate) addend: i64,
}

/// The relocations of a table with indices in `range`, in order.
pub(crate) fn decode<'r>(relocs: &'r Relocs<'_>, range: Range<usize>) -> impl Iterator<Item = RawReloc> + use<'r> {
    let RelocEncoding::Rela64 = relocs.encoding;
    let (entries, _) = relocs.bytes.as_chunks::<24>();
    entries.get(range).unwrap_or_default().iter().map(rela64)
}

fn rela64(entry: &[u8; 24]) -> RawReloc {
    let [o0, o1, o2, o3, o4, o5, o6, o7, k0, k1, k2, k3, s0, s1, s2, s3, addend @ ..] = *entry;
    RawReloc {
        offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
        kind: u32::from_le_bytes([k0, k1, k2, k3]),
        symbol: u32::from_le_bytes([s0, s1, s2, s3]),
        addend: i64::from_le_bytes(addend),
    }
}

/// The indices of the relocations whose offsets are in `range`.
pub(crate) fn find(relocs: &Relocs<'_>, range: Range<u64>) -> Range<usize> {
    let RelocEncoding::Rela64 = relocs.encoding;
    let (entries, _) = relocs.bytes.as_chunks::<24>();
    let before = |limit: u64| entries.partition_point(|entry| rela64(entry).offset < limit);
    before(range.start)..before(range.end)
}

/// What the CPU's table says of a relocation, or `None` if its kind is unknown.
pub(crate) fn understand(arch: Arch, raw: RawReloc) -> Option<Reloc> {
    let Arch::X86_64 = arch;
    let (value, field) = x86_64::elf_reloc(raw.kind)?;
    Some(Reloc { offset: raw.offset, symbol: raw.symbol, kind: raw.kind, value, field, addend: raw.addend })
}

/// The psABI's name of a relocation kind.
pub(crate) fn name(arch: Arch, kind: u32) -> String {
    let Arch::X86_64 = arch;
    x86_64::elf_reloc_name(kind)
}

/// What becomes of a relocation of a loaded section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The value is computed now, from the symbol's own address.
    Link,
    /// The value is computed now, from the address of the symbol's PLT entry.
    Plt,
    /// The value is computed now, from the address of what the GOT holds for the symbol.
    Got(Needs),
    /// The GOT pair of the image's own TLS module.
    GotTlsModule,
    /// The instruction is rewritten to do without the GOT.
    Relax(GotLoad),
    /// The loader adds the image's base (`R_*_RELATIVE`).
    Relative,
    /// The loader stores the symbol's address or size.
    Symbolic,
    /// The loader stores what the image's own resolver function returns (`R_*_IRELATIVE`).
    Indirect,
}

/// Why a relocation cannot stand in a shared library.
pub(crate) type Reason = &'static str;

const RECOMPILE: Reason = "the image is loaded at an address that is not known now; recompile with -fPIC";
const PREEMPTIBLE: Reason =
    "another library may define the symbol anew; recompile with -fPIC, or give the symbol hidden visibility";

/// What becomes of a relocation of `section`, which is loaded, against a symbol with `traits`.
///
/// # Errors
/// Why it cannot be resolved, for a person.
pub(crate) fn classify(section: &Section<'_>, reloc: &Reloc, traits: Traits) -> Result<Action, Reason> {
    let preemptible = traits.has(Traits::PREEMPTIBLE);
    let ifunc = traits.has(Traits::IFUNC);
    let absolute = traits.has(Traits::ABSOLUTE);
    if traits.has(Traits::DISCARDED) && !section.flags.has(SectionFlags::EH_FRAME) {
        return Err(
            "the symbol's section is not part of the image: another copy of its group was taken, and only that may be referred to",
        );
    }
    if traits.has(Traits::TLS) != is_tls(reloc.value) && !matches!(reloc.value, Value::None | Value::Size) {
        // A reference from assembly to an undefined symbol has no type; only a definition can contradict.
        if traits.has(Traits::TLS) {
            return Err("the symbol is thread-local, the relocation is not for such symbols");
        }
        if !preemptible && !matches!(reloc.value, Value::TlsLocalDynamic) && !traits.has(Traits::UNDEFINED) {
            return Err("the symbol is not thread-local, the relocation is for such symbols only");
        }
    }
    Ok(match reloc.value {
        Value::None => Action::Link,
        Value::Absolute => match () {
            () if preemptible && reloc.field == Field::U64 => Action::Symbolic,
            () if traits.has(Traits::PLT_ADDRESS) && reloc.field == Field::U64 => Action::Relative,
            () if ifunc && reloc.field == Field::U64 => Action::Indirect,
            () if absolute && !preemptible => Action::Link,
            () if reloc.field == Field::U64 => Action::Relative,
            () => return Err(RECOMPILE),
        },
        Value::Relative | Value::GotBaseOffset => match () {
            () if preemptible => return Err(PREEMPTIBLE),
            () if ifunc => Action::Plt,
            () if absolute && !traits.has(Traits::UNDEFINED) => return Err(RECOMPILE),
            () => Action::Link,
        },
        Value::PltRelative | Value::PltOffset => match () {
            () if preemptible || ifunc => Action::Plt,
            () if absolute && !traits.has(Traits::UNDEFINED) => return Err(RECOMPILE),
            () => Action::Link,
        },
        Value::GotOffset | Value::GotRelative => Action::Got(Needs::GOT),
        Value::GotRelaxable => {
            let stays = preemptible || ifunc || absolute || traits.has(Traits::FAR);
            match x86_64::got_load(&section.data, reloc.offset, reloc.addend) {
                Some(form) if !stays => Action::Relax(form),
                _ => Action::Got(Needs::GOT),
            }
        }
        Value::GotBaseRelative => Action::Link,
        Value::Size if preemptible => Action::Symbolic,
        Value::Size => Action::Link,
        Value::TlsGeneralDynamic => Action::Got(Needs::TLS_GD),
        Value::TlsInitialExec => Action::Got(Needs::TLS_IE),
        Value::TlsDescriptor => Action::Got(Needs::TLS_DESC),
        Value::TlsLocalDynamic => Action::GotTlsModule,
        Value::TlsBlockOffset if preemptible => {
            return Err("the symbol may lie in another library's thread-local storage; recompile with -fPIC");
        }
        Value::TlsBlockOffset => Action::Link,
        Value::TlsLocalExec => {
            return Err("local-exec thread-local storage is for executables only; recompile with -fPIC");
        }
    })
}

fn is_tls(value: Value) -> bool {
    matches!(
        value,
        Value::TlsGeneralDynamic
            | Value::TlsLocalDynamic
            | Value::TlsBlockOffset
            | Value::TlsInitialExec
            | Value::TlsLocalExec
            | Value::TlsDescriptor
    )
}
