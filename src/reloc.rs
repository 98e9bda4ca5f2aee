//! What a relocation asks for: *which number* goes into *which bits*.
//!
//! A format and CPU's table turns each relocation kind into a [`Reloc`]; scanning looks at [`Value`] to learn what the
//! image must provide, applying computes the value and stores it through [`Field`].
//!
//! Letters in the formulas are those of the psABIs: S the symbol's address, A the addend, P the address of the field,
//! G the offset of the symbol's GOT slot from the GOT base, GOT the GOT base, L the address of the symbol's PLT entry,
//! Z the symbol's size.

use crate::model::SymbolIndex;

/// One decoded relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reloc {
    /// Offset of the field in its section, in bytes.
    pub(crate) offset: u64,
    /// The symbol, in its object's table; 0 for none.
    pub(crate) symbol: SymbolIndex,
    /// The format's number of the kind, for messages and instruction-specific rules.
    pub(crate) kind: u32,
    /// Which number.
    pub(crate) value: Value,
    /// Which bits.
    pub(crate) field: Field,
    /// The constant to add.
    pub(crate) addend: i64,
}

/// Which number a relocation stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing: the relocation only marks a place or a dependence.
    None,
    /// S + A.
    Absolute,
    /// S + A − P.
    Relative,
    /// L + A − P, or S + A − P for what the image itself defines for good.
    PltRelative,
    /// L + A − GOT, or S + A − GOT.
    PltOffset,
    /// G + A.
    GotOffset,
    /// G + GOT + A − P.
    GotRelative,
    /// As [`GotRelative`](Self::GotRelative), in an instruction that may be rewritten to use S + A − P.
    GotRelaxable,
    /// S + A − GOT.
    GotBaseOffset,
    /// GOT + A − P.
    GotBaseRelative,
    /// Z + A.
    Size,
    /// Address of the GOT pair (module, offset) of a thread-local symbol, + A − P.
    TlsGeneralDynamic,
    /// Address of the GOT pair (module, 0) of the image, + A − P.
    TlsLocalDynamic,
    /// Offset of a thread-local symbol in its module's block, + A.
    TlsBlockOffset,
    /// Address of the GOT slot with a thread-local symbol's offset from the thread pointer, + A − P.
    TlsInitialExec,
    /// Offset of a thread-local symbol from the thread pointer, + A.
    TlsLocalExec,
    /// Address of the GOT pair that is a thread-local symbol's descriptor, + A − P.
    TlsDescriptor,
}

/// Which bits a relocation changes, and which numbers they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// None.
    Nothing,
    /// 8 bits, signed or unsigned.
    Any8,
    /// 8 bits, signed.
    I8,
    /// 16 bits, signed or unsigned.
    Any16,
    /// 16 bits, signed.
    I16,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, signed.
    I32,
    /// 64 bits.
    U64,
}

impl Field {
    /// Width in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Any8 | Self::I8 => 1,
            Self::Any16 | Self::I16 => 2,
            Self::U32 | Self::I32 => 4,
            Self::U64 => 8,
        }
    }

    /// The smallest and the largest value that fits, each inclusive; 64-bit fields wrap and hold every value.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Self::Nothing | Self::U64 => (i64::MIN, i64::MAX),
            Self::Any8 => (i8::MIN as i64, u8::MAX as i64),
            Self::I8 => (i8::MIN as i64, i8::MAX as i64),
            Self::Any16 => (i16::MIN as i64, u16::MAX as i64),
            Self::I16 => (i16::MIN as i64, i16::MAX as i64),
            Self::U32 => (0, u32::MAX as i64),
            Self::I32 => (i32::MIN as i64, i32::MAX as i64),
        }
    }

    /// Stores the low bits of `value` at the start of `bytes`, little-endian. Returns `None`, with `bytes` unchanged, if
    /// they are too few.
    pub(crate) fn store(self, bytes: &mut [u8], value: i64) -> Option<()> {
        let all = value.to_le_bytes();
        let width = self.size() as usize;
        bytes.get_mut(..width)?.copy_from_slice(all.get(..width)?);
        Some(())
    }
}
