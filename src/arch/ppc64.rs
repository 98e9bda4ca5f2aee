//! (placeholder for essay)
pub(crate) mod imm;
pub(crate) mod save_restore;
pub(crate) mod stubs;
