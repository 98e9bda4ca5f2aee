//! Shared libraries of any format: what the middle of the link asks of them.

use crate::elf::library::VersionId;
use crate::error::Error;
use crate::model::SymbolKind;
use crate::options::Target;
use crate::pe;
use crate::{elf, macho};

/// A shared library, ready to be asked for symbols.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a link has few libraries")]
pub(crate) enum SharedLibrary<'a> {
    /// Of ELF.
    Elf(elf::library::SharedLibrary<'a>),
    /// A DLL.
    Pe(pe::library::Library<'a>),
    /// Of Mach-O: a dylib, or a text stub.
    MachO(macho::library::Library<'a>),
}

/// A symbol that a library defines for others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    /// What it stands for.
    pub(crate) kind: SymbolKind,
    /// Its version; none if it has none.
    pub(crate) version: Option<VersionId>,
    /// The definition is weak, and the process has one of all those there are (Mach-O).
    pub(crate) coalesced: bool,
}

impl<'a> SharedLibrary<'a> {
    /// Reads a library, of whatever format its first bytes say.
    ///
    /// Where it does not say what it is called, that is `default_name`.
    ///
    /// # Errors
    /// Bytes that contradict their format.
    pub(crate) fn parse(name: &'a str, default_name: &'a str, bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.starts_with(b"MZ") {
            return pe::library::Library::dll(name, default_name, bytes).map(Self::Pe);
        }
        match macho::content::of(bytes) {
            Some(_) => macho::library::Library::parse(name, bytes).map(Self::MachO),
            None => elf::library::SharedLibrary::parse(name, default_name, bytes).map(Self::Elf),
        }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> &'a str {
        match self {
            Self::Elf(library) => library.name(),
            Self::Pe(library) => library.file,
            Self::MachO(library) => library.name(),
        }
    }

    /// Checks that it is for a target.
    ///
    /// # Errors
    /// [`Error::Incompatible`].
    pub(crate) fn check(&self, target: Target) -> Result<(), Error> {
        match self {
            Self::Elf(library) => elf::check_library(library, target),
            Self::Pe(library) => pe::check_machine(library.file, library.machine, target, "the image"),
            Self::MachO(library) => macho::check_library(library, target),
        }
    }

    /// What it defines for `target` under a name, in a version if one is given.
    pub(crate) fn lookup(&self, symbol: &[u8], version: Option<&[u8]>, target: Option<Target>) -> Option<Export> {
        match self {
            Self::Elf(library) => {
                let export = library.lookup(symbol, version)?;
                let kind = elf::parse::symbol_kind(export.kind);
                Some(Export { kind, version: export.version, coalesced: false })
            }
            Self::Pe(library) => {
                let import = library.lookup(symbol)?;
                let kind = if import.code { SymbolKind::Function } else { SymbolKind::Object };
                Some(Export { kind, version: None, coalesced: false })
            }
            Self::MachO(library) => {
                let export = library.lookup(symbol, target.map(|target| target.arch))?;
                let kind = if export.thread_local { SymbolKind::Tls } else { SymbolKind::None };
                Some(Export { kind, version: None, coalesced: export.weak })
            }
        }
    }

    /// The names that it needs from others and that archives may give, as far as its format has linkers care: in ELF an
    /// undefined symbol of a library counts as one of an object.
    pub(crate) fn undefined(&self) -> impl Iterator<Item = &'a [u8]> {
        let library = match self {
            Self::Elf(library) => Some(library),
            Self::Pe(_) | Self::MachO(_) => None,
        };
        library.into_iter().flat_map(|library| library.undefined())
    }

    /// The names by which the loader knows those libraries whose symbols count as this one's.
    pub(crate) fn reexports(&self) -> impl Iterator<Item = &[u8]> {
        let library = match self {
            Self::MachO(library) => Some(library),
            Self::Elf(_) | Self::Pe(_) => None,
        };
        library.into_iter().flat_map(|library| library.reexports())
    }

    /// The name by which libraries that re-export it know it, as far as its format has that.
    pub(crate) fn install_name(&self) -> Option<&[u8]> {
        match self {
            Self::MachO(library) => Some(library.install_name()),
            Self::Elf(_) | Self::Pe(_) => None,
        }
    }

    /// It, if it is of ELF.
    pub(crate) fn elf(&self) -> Option<&elf::library::SharedLibrary<'a>> {
        match self {
            Self::Elf(library) => Some(library),
            Self::Pe(_) | Self::MachO(_) => None,
        }
    }

    /// It, if it is a DLL.
    pub(crate) fn pe(&self) -> Option<&pe::library::Library<'a>> {
        match self {
            Self::Pe(library) => Some(library),
            Self::Elf(_) | Self::MachO(_) => None,
        }
    }
}
