//! What the kinds of a target's relocations mean, looked up once for each kind instead of for each relocation.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{Field, Origin, RawReloc, Reloc, Value, What, understand};
use crate::macho;
use crate::model::Traits;
use crate::options::{Format, Target};

/// What a target's table says of the kinds of relocations, looked up once for each.
///
/// Nearly all relocations of data and of debug sections store an address or a distance in whole bytes: what is to be done
/// for these *simple* kinds fits in a few instructions.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    simple: Vec<Option<Simple>>,
    distances: Vec<Option<Distance>>,
    known: Vec<Known>,
}

/// What [`understand`] says of all relocations of a kind.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// The same.
    Same(Value, Field),
    /// That it does not know them.
    None,
    /// It looks at each.
    Various,
}

/// A kind that stores S + A, S + A − P, S + A − GOT or S + A − B in four or eight bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simple {
    /// Where the number counts from.
    pub(crate) from: Start,
    /// Whether the field has eight bytes.
    wide: bool,
    /// Whether the field holds any address ([`Field::is_word`]).
    pub(crate) word: bool,
    /// The smallest number that fits.
    least: i64,
    /// How much more the largest is.
    span: u64,
}

/// Where the number of a [`Simple`] kind counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Zero.
    Zero,
    /// P.
    Place,
    /// GOT.
    GotBase,
    /// B.
    Image,
}

impl Simple {
    fn new(target: Target, value: Value, field: Field) -> Option<Self> {
        let from = match (value.what, value.from) {
            // What the loader fills in Mach-O images is more than the address.
            (What::Symbol, Origin::Zero) if target.format != Format::MachO => Start::Zero,
            (What::Symbol | What::Plt, Origin::Place) => Start::Place,
            (What::Symbol | What::Plt, Origin::GotBase) => Start::GotBase,
            (What::Symbol, Origin::Image) => Start::Image,
            _ => return None,
        };
        let whole = matches!(field, Field::U32 | Field::I32 | Field::Any32 | Field::Word32 | Field::U64);
        let (least, most) = field.range();
        let (wide, word) = (field == Field::U64, field.is_word());
        whole.then_some(Self { from, wide, word, least, span: most.wrapping_sub(least).cast_unsigned() })
    }

    /// Width of the field, in bytes.
    #[inline]
    pub(crate) fn size(self) -> u64 {
        if self.wide { 8 } else { 4 }
    }

    /// Stores a number at offset `at` of `out`. Returns `None`, with `out` unchanged, if it does not fit there.
    #[inline]
    pub(crate) fn store(self, number: u64, at: usize, out: &mut [u8]) -> Option<()> {
        if number.wrapping_sub(self.least.cast_unsigned()) > self.span {
            return None;
        }
        match self.wide {
            true => *out.get_mut(at..)?.first_chunk_mut()? = number.to_le_bytes(),
            false => *out.get_mut(at..)?.first_chunk_mut()? = (number as u32).to_le_bytes(),
        }
        Some(())
    }
}

/// A kind that stores a distance, or a part of one ([`Reloc::is_distance`]), in an instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distance {
    from: Origin,
    field: Field,
    /// The smallest number that fits.
    least: i64,
    /// How much more the largest is.
    span: u64,
    /// Bits of the number that are not stored, and zero.
    below: i64,
}

impl Distance {
    fn new(target: Target, value: Value, field: Field) -> Option<Self> {
        let reloc = Reloc { offset: 0, symbol: 0, kind: 0, value, field, addend: 0 };
        let (least, most) = field.range();
        let span = most.wrapping_sub(least).cast_unsigned();
        let below = field.step().wrapping_sub(1);
        let short = reloc.is_distance() && field.is_plain(target.arch);
        short.then_some(Self { from: value.from, field, least, span, below })
    }

    /// Width of the field, in bytes.
    #[inline]
    pub(crate) fn size(self) -> u64 {
        self.field.size()
    }

    /// Stores at offset `at` of `out` the distance to an address from a place. Returns `None`, with `out` unchanged, if it
    /// does not fit there.
    #[inline]
    pub(crate) fn store(self, address: u64, place: u64, at: usize, out: &mut [u8]) -> Option<()> {
        // None of them counts from the GOT.
        let value = self.from.count(address, place, || 0).cast_signed();
        if value.wrapping_sub(self.least).cast_unsigned() > self.span || value & self.below != 0 {
            return None;
        }
        let field = out.get_mut(at..).filter(|field| field.len() as u64 >= self.field.size())?;
        self.field.store(field, value)
    }
}

impl Kinds {
    /// Of a target.
    pub(crate) fn of(target: Target) -> Self {
        // One more than the highest number of a kind that is looked at. ELF and PE number kinds of data low.
        let count = if target.format == Format::MachO { macho::relocs::PLAIN_KINDS } else { 512 };
        let known = |kind| {
            if target.format == Format::MachO && !macho::relocs::is_plain(kind) {
                return Known::Various;
            }
            let reloc = understand(target, RawReloc { offset: 0, symbol: 0, kind, addend: 0 });
            reloc.map_or(Known::None, |reloc| Known::Same(reloc.value, reloc.field))
        };
        let mut known: Vec<_> = (0..count).map(known).collect();
        // Most CPUs have few kinds; of what is in no table each is asked for.
        let last = known.iter().rposition(|known| !matches!(known, Known::None));
        known.truncate(last.map_or(0, |last| last.saturating_add(1)));
        let simple = |known: &Known| match known {
            Known::Same(value, field) => Simple::new(target, *value, *field),
            Known::None | Known::Various => None,
        };
        let distance = |known: &Known| match known {
            Known::Same(value, field) => Distance::new(target, *value, *field),
            Known::None | Known::Various => None,
        };
        Self { simple: known.iter().map(simple).collect(), distances: known.iter().map(distance).collect(), known }
    }

    /// The traits of symbols for which a relocation means more than their address.
    pub(crate) const SPECIAL: Traits = Traits(u8::MAX).without(Traits::FAR);

    /// What is simple about a kind, if it is.
    #[inline]
    pub(crate) fn simple(&self, kind: u32) -> Option<Simple> {
        *self.simple.get(kind as usize)?
    }

    /// The distance that a kind stores, if it does.
    #[inline]
    pub(crate) fn distance(&self, kind: u32) -> Option<Distance> {
        *self.distances.get(kind as usize)?
    }

    /// As [`understand`].
    #[inline]
    pub(crate) fn understand(&self, target: Target, raw: RawReloc) -> Option<Reloc> {
        match self.known.get(raw.kind as usize) {
            Some(Known::Same(value, field)) => {
                let RawReloc { offset, symbol, kind, addend } = raw;
                Some(Reloc { offset, symbol, kind, value: *value, field: *field, addend })
            }
            Some(Known::None) => None,
            Some(Known::Various) | None => understand(target, raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_stored_as_the_long_way_stores_them() {
        let mut count = 0;
        for target in [Target::LINUX_AARCH64, Target::MACOS_AARCH64, Target::MACOS_X86_64, Target::WINDOWS_AARCH64] {
            let kinds = Kinds::of(target);
            for kind in 0..512 {
                let Some(distance) = kinds.distance(kind) else { continue };
                let raw = RawReloc { offset: 0, symbol: 0, kind, addend: 0 };
                let Some(reloc) = understand(target, raw) else { continue };
                count += 1;
                assert_eq!(distance.size(), reloc.field.size());
                for address in [0, 0x1000, 0x1234, 0x1238, 0x8_1000, 0x123_4567_8000, u64::MAX - 7] {
                    let place = 0x1_0008;
                    let value = reloc.value.from.count(address, place, || 0).cast_signed();
                    let (least, most) = reloc.field.range();
                    let fits = (least..=most).contains(&value) && value % reloc.field.step() == 0;
                    // An instruction `bl 0` of Arm64, and what is no instruction.
                    for before in [[0, 0, 0, 0x94], [0xff; 4]] {
                        let (mut short, mut long) = (before, before);
                        let stored = distance.store(address, place, 0, &mut short);
                        let expected = if fits { reloc.field.store(&mut long, value) } else { None };
                        assert_eq!((stored, short), (expected, long), "{target:?} {kind} {address:#x}");
                    }
                }
                assert_eq!(distance.store(0, 0, 4, &mut [0; 4]), None, "{target:?} {kind}");
            }
        }
        assert!(count > 20, "{count}");
    }
}
