//! DWARF debug information: unpacking and packing it, and asking it where code comes from.

pub(crate) mod compress;
pub(crate) mod source_lines;
