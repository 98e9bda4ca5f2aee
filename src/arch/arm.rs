//! Placeholder essay
pub(crate) mod imm;
