//! What only ELF has. Source of the rules: the gABI (System V Application Binary Interface, Edition 4.1 and the later
//! drafts of chapters 4 and 5), the psABI of each CPU, and the GNU extensions where no ABI speaks.

pub(crate) mod library;
pub(crate) mod parse;
pub(crate) mod property;
pub(crate) mod relocs;
pub(crate) mod script;
