//! Encoded pointers, as `.eh_frame` and `.eh_frame_hdr` hold them (LSB core, *DWARF Extensions*, `DW_EH_PE_*`).
//!
//! One byte says how a pointer is stored: the low four bits give the *format* (width and sign), the next three the
//! *application* (what the stored number is relative to), the top bit that the result is the address of the pointer
//! rather than the pointer.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used)]
#![deny(clippy::panic, clippy::cast_possible_truncation)]

use crate::reader::{Malformed, Reader};

/// How a pointer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding(pub(crate) u8);

impl Encoding {
    /// A pointer of the target's size, as it is.
    pub(crate) const ABSPTR: Self = Self(0x00);
    /// Unsigned LEB128.
    pub(crate) const ULEB128: Self = Self(0x01);
    /// 2 bytes, unsigned.
    pub(crate) const UDATA2: Self = Self(0x02);
    /// 4 bytes, unsigned.
    pub(crate) const UDATA4: Self = Self(0x03);
    /// 8 bytes, unsigned.
    pub(crate) const UDATA8: Self = Self(0x04);
    /// Signed LEB128.
    pub(crate) const SLEB128: Self = Self(0x09);
    /// 2 bytes, signed.
    pub(crate) const SDATA2: Self = Self(0x0a);
    /// 4 bytes, signed.
    pub(crate) const SDATA4: Self = Self(0x0b);
    /// 8 bytes, signed.
    pub(crate) const SDATA8: Self = Self(0x0c);
    /// Application: relative to the address of the field.
    pub(crate) const PCREL: u8 = 0x10;
    /// Application: relative to the start of the text section.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) const TEXTREL: u8 = 0x20;
    /// Application: relative to the start of `.eh_frame_hdr`, or to the target's data base.
    pub(crate) const DATAREL: u8 = 0x30;
    /// Application: relative to the start of the function.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) const FUNCREL: u8 = 0x40;
    /// Application: absolute, at the next multiple of the pointer size.
    pub(crate) const ALIGNED: u8 = 0x50;
    /// The result is the address where the pointer stands.
    #[cfg(test)]
    pub(crate) const INDIRECT: u8 = 0x80;
    /// There is no pointer.
    pub(crate) const OMIT: Self = Self(0xff);

    /// This format, relative to what `application` says.
    pub(crate) const fn relative(self, application: u8) -> Self {
        Self(self.0 | application)
    }

    /// The width and sign alone.
    pub(crate) fn format(self) -> Self {
        Self(self.0 & 0x0f)
    }

    /// What the stored number is relative to: [`Self::PCREL`] and its like, or 0 for nothing.
    pub(crate) fn application(self) -> u8 {
        self.0 & 0x70
    }

    /// Whether the result is the address of the pointer.
    #[cfg(test)]
    pub(crate) fn is_indirect(self) -> bool {
        self != Self::OMIT && self.0 & Self::INDIRECT != 0
    }

    /// Bytes that a pointer takes: `None` for LEB128 and for encodings without meaning, 0 where there is no pointer.
    pub(crate) fn size(self, address_size: u8) -> Option<u8> {
        if self == Self::OMIT {
            return Some(0);
        }
        match self.format() {
            Self::ABSPTR | Self(0x08) => Some(address_size),
            Self::UDATA2 | Self::SDATA2 => Some(2),
            Self::UDATA4 | Self::SDATA4 => Some(4),
            Self::UDATA8 | Self::SDATA8 => Some(8),
            _ => None,
        }
    }

    /// Reads the stored number and says where it stands: nothing is added to it, signed formats are extended to 64 bits.
    ///
    /// # Errors
    /// The bytes end within the pointer, the encoding has no meaning, or there is no pointer.
    pub(crate) fn read(self, reader: &mut Reader<'_>, address_size: u8) -> Result<Stored, Malformed> {
        const CUT: &str = "an encoded pointer is cut off";
        if self == Self::OMIT {
            return Err(reader.malformed("a pointer is needed where the encoding says that there is none"));
        }
        if self.application() == Self::ALIGNED {
            // Only the absolute pointer can be aligned. The section starts aligned, so that its offsets can stand for
            // addresses.
            let misaligned = reader.offset().checked_rem(u64::from(address_size)).unwrap_or(0);
            if misaligned != 0 {
                reader.skip(u64::from(address_size).saturating_sub(misaligned), CUT)?;
            }
        }
        let offset = reader.offset();
        let value = match (self.format(), address_size) {
            (Self::ABSPTR, 8) | (Self(0x08), 8) | (Self::UDATA8 | Self::SDATA8, _) => reader.u64(CUT)?,
            (Self::ABSPTR, 4) | (Self::UDATA4, _) => u64::from(reader.u32(CUT)?),
            (Self(0x08), 4) | (Self::SDATA4, _) => i64::from(reader.u32(CUT)?.cast_signed()).cast_unsigned(),
            (Self::ABSPTR, 2) | (Self::UDATA2, _) => u64::from(reader.u16(CUT)?),
            (Self(0x08), 2) | (Self::SDATA2, _) => i64::from(reader.u16(CUT)?.cast_signed()).cast_unsigned(),
            (Self::ULEB128, _) => reader.uleb128(CUT)?,
            (Self::SLEB128, _) => reader.sleb128(CUT)?.cast_unsigned(),
            _ => return Err(reader.malformed("a pointer encoding has no meaning")),
        };
        Ok(Stored { offset, size: reader.offset().saturating_sub(offset), value })
    }

    /// For those who read images; a link goes by relocations. The pointer that `stored` stands for, modulo the address size; of an indirect one, the address of it.
    ///
    /// `None` if the encoding is relative to a base that is not given.
    #[cfg(any(test, feature = "inspect"))]
    pub(crate) fn resolve(self, stored: Stored, bases: &Bases, address_size: u8) -> Option<u64> {
        let base = match self.application() {
            // A stored zero is the null pointer, whatever it would be relative to (LSB says nothing, all readers agree).
            _ if stored.value == 0 => return Some(0),
            0 | Self::ALIGNED => 0,
            Self::PCREL => bases.section?.wrapping_add(stored.offset),
            Self::TEXTREL => bases.text?,
            Self::DATAREL => bases.data?,
            Self::FUNCREL => bases.function?,
            _ => return None,
        };
        let value = base.wrapping_add(stored.value);
        Some(if address_size == 8 { value } else { value & 0xffff_ffff })
    }
}

/// A pointer as it stands in a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Offset of the field in the section, in bytes.
    pub(crate) offset: u64,
    /// Bytes of the field.
    pub(crate) size: u64,
    /// The number in the field, extended to 64 bits.
    pub(crate) value: u64,
}

/// The addresses that encoded pointers may be relative to.
#[cfg(any(test, feature = "inspect"))]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bases {
    /// Address of the section that holds the pointer.
    pub(crate) section: Option<u64>,
    /// Address of the text section.
    pub(crate) text: Option<u64>,
    /// Address of `.eh_frame_hdr`, or the data base of the target.
    pub(crate) data: Option<u64>,
    /// Address of the function that the record describes.
    pub(crate) function: Option<u64>,
}
