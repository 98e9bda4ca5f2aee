//! What is known of each CPU: relocation kinds, instruction encodings, stub templates.

pub(crate) mod x86_64;

/// The numbers of the relocation kinds that an ELF loader resolves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ElfDynamicKinds {
    /// Image base + A.
    pub(crate) relative: u32,
    /// S, in a GOT slot.
    pub(crate) got: u32,
    /// S, in a slot of a PLT entry, which may wait for the first call.
    pub(crate) plt: u32,
    /// What the function at image base + A returns.
    pub(crate) indirect: u32,
    /// The TLS module of S.
    pub(crate) tls_module: u32,
    /// The offset of S in its module's TLS block.
    pub(crate) tls_offset: u32,
    /// The offset of S from the thread pointer.
    pub(crate) tls_static: u32,
    /// The TLS descriptor of S, two words.
    pub(crate) tls_descriptor: u32,
}
