//! What only ELF has. Source of the rules: the gABI (System V Application Binary Interface, Edition 4.1 and the later
//! drafts of chapters 4 and 5), the psABI of each CPU, and the GNU extensions where no ABI speaks.

pub(crate) mod parse;
pub(crate) mod property;
pub(crate) mod relocs;

/// What only ELF objects have.
#[derive(Debug)]
pub(crate) struct ObjectInfo {
    /// `e_machine`.
    pub(crate) machine: u16,
    /// `e_flags`.
    pub(crate) flags: u32,
    /// `e_ident[EI_OSABI]`.
    pub(crate) os_abi: u8,
    /// Whether its code needs an executable stack (`.note.GNU-stack` with SHF_EXECINSTR).
    pub(crate) exec_stack: bool,
}
