//! What only ELF has.

pub(crate) mod library;
pub(crate) mod script;
