//! ELF.

pub(crate) mod property;
