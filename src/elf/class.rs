//! The two classes of ELF files: sizes of their structures, and writing their fields.
//!
//! Source: gABI chapters 4 and 5; the structures of both classes stand side by side there.

use crate::arch::Bits;

impl Bits {
    /// Size of an `Ehdr`, in bytes.
    pub(crate) const fn file_header_size(self) -> u64 {
        self.choose(52, 64)
    }

    /// Size of a `Phdr`, in bytes.
    pub(crate) const fn program_header_size(self) -> u64 {
        self.choose(32, 56)
    }

    /// Size of a `Shdr`, in bytes.
    pub(crate) const fn section_header_size(self) -> u64 {
        self.choose(40, 64)
    }

    /// Size of a `Sym`, in bytes.
    pub(crate) const fn symbol_size(self) -> u64 {
        self.choose(16, 24)
    }

    /// Size of a `Dyn`, in bytes.
    pub(crate) const fn dynamic_size(self) -> u64 {
        2 * self.word()
    }
}

/// Writes fields one after the other, little-endian.
#[derive(Debug)]
pub(crate) struct Writer {
    bits: Bits,
    /// What has been written.
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    /// Of a file of a class.
    pub(crate) fn new(bits: Bits) -> Self {
        Self { bits, bytes: Vec::new() }
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    /// An address, offset or size: as wide as the class says.
    pub(crate) fn word(&mut self, value: u64) {
        match self.bits {
            // Layout has checked that an image of this class ends below 4 GiB.
            Bits::B32 => self.u32(value as u32),
            Bits::B64 => self.bytes.extend(value.to_le_bytes()),
        }
    }
}
