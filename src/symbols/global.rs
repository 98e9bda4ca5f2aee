//! What is known of one global symbol.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::elf::library::VersionId;
use crate::elf::version;
use crate::model::{CommonKind, GlobalId, ObjectId, SymbolIndex, SymbolKind, Traits, Visibility, flags};

/// Where a global symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Definition {
    /// Nowhere in the image or the libraries.
    Undefined,
    /// In an object.
    Object(ObjectId, SymbolIndex),
    /// In no section yet: the largest of its mentions is allotted (size in bytes, alignment as the power of two).
    Common { size: u64, align: u8, kind: CommonKind },
    /// In the block of allotted common symbols of a kind, at this offset.
    Allotted(CommonKind, u64),
    /// In a shared library: its index, and the version in it.
    Library(u32, Option<VersionId>),
    /// A number.
    Absolute(u64),
    /// A place that layout knows.
    Anchor(Anchor),
    /// Another global symbol plus a number of bytes (`--defsym`).
    Alias(GlobalId, i64),
}

/// A place that the linker itself names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The first byte of the image.
    ImageStart,
    /// What offsets from the GOT count from: `_GLOBAL_OFFSET_TABLE_`.
    GotBase,
    /// The dynamic section: `_DYNAMIC`.
    Dynamic,
    /// The start of the thread-local storage: `_TLS_MODULE_BASE_`, against which local-dynamic descriptors are asked for.
    TlsStart,
    /// The end of code: `etext`.
    TextEnd,
    /// The end of initialised data: `edata`.
    DataEnd,
    /// The start of zero-initialised data: `__bss_start`.
    ZeroStart,
    /// The end of the image: `end`.
    ImageEnd,
    /// An offset, in bytes, in the code that the linker provides.
    ProvidedCode(u64),
    /// The start of an output section (index into the plan's list; none: the image's start).
    SectionStart(u32),
    /// The end of an output section.
    SectionEnd(u32),
    /// A place that only a PE image has.
    Pe(crate::pe::Place),
    /// A place that only a Mach-O image has.
    MachO(crate::macho::define::Boundary),
}

/// `STO_AARCH64_VARIANT_PCS` and `STO_RISCV_VARIANT_CC` of `st_other`.
pub(crate) const VARIANT_CALL: u8 = 0x80;

flags! {
    /// What is known of a global symbol beside its definition.
    GlobalFlags: u16 {
        /// An object mentions it (an undefined mention or a definition).
        IN_OBJECT = 1,
        /// An object needs it: mentioned undefined and not weak.
        STRONG_REFERENCE = 1 << 1,
        /// The definition is weak.
        WEAK_DEFINITION = 1 << 2,
        /// Its definition is exported.
        EXPORTED = 1 << 3,
        /// The object that defines it hides its symbols.
        HIDDEN_BY_OPTION = 1 << 4,
        /// One definition in the whole process.
        UNIQUE = 1 << 5,
        /// A mention has the highest bit of `st_other` set: on AArch64 and RISC-V, it is called by a variant of the ABI's
        /// calling convention.
        VARIANT_CALL = 1 << 6,
        /// The definition is in a section that is not part of the image.
        LEFT_OUT = 1 << 7,
        /// An option names it as one that stays preemptible.
        LISTED = 1 << 8,
        /// An option, or an assignment of a script, says what it is.
        ASSIGNED = 1 << 9,
        /// An option, a script or the entry point asks for it by name.
        ASKED = 1 << 10,
    }
}

flags! {
    /// What relocations ask the image to provide for a symbol.
    Needs: u8 {
        /// A GOT slot with its address.
        GOT = 1,
        /// A PLT entry.
        PLT = 1 << 1,
        /// A GOT pair: module and offset.
        TLS_GD = 1 << 2,
        /// A GOT slot with the offset from the thread pointer.
        TLS_IE = 1 << 3,
        /// A GOT pair: descriptor.
        TLS_DESC = 1 << 4,
        /// An entry in the dynamic symbol table, for a relocation in a section.
        DYNAMIC = 1 << 5,
        /// A GOT slot with the offset in the module's TLS block.
        TLS_BLOCK = 1 << 6,
    }
}

/// A symbol that has one meaning in the whole link, in 64 bytes: there are many.
#[derive(Debug)]
pub(crate) struct Global<'a> {
    /// The name, without a version.
    pub(crate) name: &'a [u8],
    /// Of a mention as `name@version`, which few symbols have: all of it, and the version. A mention as `name@@version` is one
    /// of the name alone.
    versioned: Option<Box<(&'a [u8], &'a [u8])>>,
    /// Where it is defined.
    pub(crate) definition: Definition,
    /// An object and symbol that mention it: the definition, or the first reference.
    pub(crate) mention: Option<(ObjectId, SymbolIndex)>,
    /// Who may see it.
    pub(crate) visibility: Visibility,
    /// What it stands for.
    pub(crate) kind: SymbolKind,
    /// What else is known.
    pub(crate) flags: GlobalFlags,
    /// What relocations need to know.
    pub(crate) traits: Traits,
    /// Its place in the dynamic symbol table, 0 for none.
    pub(crate) dynamic_index: u32,
    /// Of a definition, its version in `.gnu.version`.
    pub(crate) version_number: u16,
    needs: AtomicU8,
}

impl<'a> Global<'a> {
    /// A symbol that nothing is known of but its name, in which an `@` may set off a version.
    pub(super) fn new(name: &'a [u8], versioned: bool) -> Self {
        let at = if versioned { memchr::memchr(b'@', name) } else { None };
        let (name, versioned) = match at {
            Some(at) if at > 0 => {
                let version = name[at + 1..].strip_prefix(b"@").unwrap_or(&name[at + 1..]);
                (&name[..at], Some(Box::new((name, version))))
            }
            _ => (name, None),
        };
        Self {
            name,
            versioned,
            definition: Definition::Undefined,
            mention: None,
            visibility: Visibility::Default,
            kind: SymbolKind::None,
            flags: GlobalFlags::default(),
            traits: Traits::default(),
            dynamic_index: 0,
            version_number: version::GLOBAL,
            needs: AtomicU8::new(0),
        }
    }

    /// The version of a mention as `name@version`.
    pub(crate) fn version(&self) -> Option<&'a [u8]> {
        self.versioned.as_ref().map(|both| both.1)
    }

    /// The name, with the version of a mention as `name@version`.
    pub(crate) fn full_name(&self) -> &'a [u8] {
        self.versioned.as_ref().map_or(self.name, |both| both.0)
    }

    /// Takes note of the visibility that a mention has. What must not be seen from outside has to be defined in the image (gABI,
    /// *Symbol Table*): the definition that a library has given to earlier mentions is none any more.
    pub(super) fn constrain(&mut self, visibility: Visibility) {
        self.visibility = self.visibility.max(visibility);
        if self.visibility != Visibility::Default && matches!(self.definition, Definition::Library(..)) {
            self.definition = Definition::Undefined;
        }
    }

    /// What relocations ask for.
    pub(crate) fn needs(&self) -> Needs {
        Needs(self.needs.load(Ordering::Relaxed))
    }

    /// Adds to what relocations ask for.
    pub(crate) fn require(&self, needs: Needs) {
        // Most relocations repeat what is known; a load is cheaper than a locked store.
        if !self.needs().has(needs) {
            self.needs.fetch_or(needs.0, Ordering::Relaxed);
        }
    }

    /// Whether something in the image, the linker included, defines it.
    pub(crate) fn is_defined_here(&self) -> bool {
        !matches!(self.definition, Definition::Undefined | Definition::Library(..))
    }

    /// Whether it is a common symbol.
    pub(crate) fn is_common(&self) -> bool {
        matches!(self.definition, Definition::Common { .. })
    }

    /// Whether every mention that lacks a definition is weak.
    pub(crate) fn is_weak_reference(&self) -> bool {
        !self.is_defined_here() && !self.flags.has(GlobalFlags::STRONG_REFERENCE)
    }
}
