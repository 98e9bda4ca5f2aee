//! DWARF debug information.
