//! What a link is asked to do: parsed once, valid ever after.
//!
//! Every field says which flag of the program sets it. [`Options::julia`] gives what Julia's own command line asks for.

mod elf;
mod macho;
mod pe;
mod symbols;
mod target;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::elf::version::script::SymbolList;
use crate::error::{Error, Result};

pub use elf::{BuildId, DebugCompression, DynamicFlags, ElfOptions, HashStyle, MissingFeature, Symbolic};
pub use macho::{CreatedSection, Exports, MachOOptions};
pub(crate) use macho::{Filter, is_pattern};
pub use pe::{AutoExport, PeOptions};
pub use symbols::{SymbolValue, WrappedSymbol};
pub(crate) use symbols::{is_symbol, number};
pub use target::{Arch, Format, Os, Target};

/// What to do about a symbol that nothing defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Undefined {
    /// Leave it to the loader: what a shared library does by default.
    #[default]
    Allow,
    /// Leave it to the loader and say so in the report's warnings.
    Warn,
    /// Fail: `-z defs`, `--no-undefined`.
    Error,
}

/// What to leave out of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strip {
    /// Nothing: symbols and debug sections are kept, as Julia's stack traces need them.
    #[default]
    None,
    /// Debug sections: `--strip-debug`, `-S`.
    Debug,
    /// Debug sections and the symbol table: `--strip-all`, `-s`.
    All,
}

/// Bounds on what one link may produce, for services that link foreign input.
///
/// The defaults fit every real package image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The image's size, in bytes of file and of address space each.
    pub output_size: u64,
    /// The number of symbols in all inputs together.
    pub symbols: u64,
    /// The number of sections in all inputs together.
    pub sections: u64,
    /// The decompressed size of compressed input sections, all together, in bytes.
    pub decompressed_size: u64,
    /// The number of times that a name is looked up in an archive or a library, all together.
    pub lookups: u64,
    /// The number of relocations in all inputs together.
    pub relocations: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            output_size: 64 << 30,
            symbols: 1 << 28,
            sections: 1 << 24,
            decompressed_size: 8 << 30,
            lookups: 1 << 30,
            relocations: 1 << 32,
        }
    }
}

impl Limits {
    /// The names of all limits: those of the fields, as [`Error::Limit`] and `--limit` have them.
    pub const NAMES: [&'static str; 6] =
        ["output_size", "symbols", "sections", "decompressed_size", "lookups", "relocations"];

    /// Sets a limit by its name; tells whether there is one of this name.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let limit = match name {
            "output_size" => &mut self.output_size,
            "symbols" => &mut self.symbols,
            "sections" => &mut self.sections,
            "decompressed_size" => &mut self.decompressed_size,
            "lookups" => &mut self.lookups,
            "relocations" => &mut self.relocations,
            _ => return false,
        };
        *limit = value;
        true
    }
}

/// Everything a link is asked to do, apart from its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// What the image is for; by default what the first object is for (`-m`).
    pub target: Option<Target>,
    /// The number of threads, of which 256 are used at the most; by default the number of processors that the process may use
    /// (`--threads`).
    pub threads: Option<NonZeroUsize>,
    /// Bounds on the result.
    pub limits: Limits,
    /// Directories searched for libraries, in order (`-L`).
    pub search_paths: Vec<PathBuf>,
    /// The directory that stands for `=` and `$SYSROOT` at the start of a search path, and under which linker scripts' absolute paths are looked up first (`--sysroot`).
    pub sysroot: Option<PathBuf>,
    /// What to do about symbols that nothing defines (`-z defs`, `--no-undefined`, `--unresolved-symbols`).
    pub undefined: Undefined,
    /// Let the first of several definitions win, on Windows and macOS with a warning (`--allow-multiple-definition`).
    pub allow_multiple_definition: bool,
    /// Warn of common symbols of several objects, and of those that give way to definitions (`--warn-common`).
    pub warn_common: bool,
    /// What to leave out (`--strip-debug`, `--strip-all`).
    pub strip: Strip,
    /// Leave out sections that nothing reachable refers to (`--gc-sections`, `-dead_strip`); of Mach-O objects the parts of
    /// sections that begin with a symbol, if the object allows it.
    pub gc_sections: bool,
    /// Tell which sections are left out, in [`Report::collected`](crate::Report::collected) (`--print-gc-sections`).
    pub print_collected: bool,
    /// Symbols that count as referenced from the start, so that archives are searched for them (`-u`).
    pub required_symbols: Vec<String>,
    /// Symbols that the image must define, or the link fails; they count as referenced, too (`--require-defined`).
    pub required_definitions: Vec<String>,
    /// Members of archives that define what one of these patterns fits take part (`--undefined-glob`).
    pub required_patterns: SymbolList,
    /// Symbols of which references mean others (`--wrap`).
    pub wrapped_symbols: Vec<WrappedSymbol>,
    /// Symbols of which [`Report::traces`](crate::Report::traces) is to tell what each input says (`--trace-symbol`).
    pub traced_symbols: Vec<String>,
    /// Symbols defined by the caller, in order (`--defsym`).
    pub defined_symbols: Vec<(String, SymbolValue)>,
    /// The symbol whose address becomes the image's entry point; for ELF it may be an address, a number as C spells it, and `0`
    /// means that there is none (`-e`).
    pub entry: Option<String>,
    /// Archives whose symbols are not exported: file names, or `ALL` (`--exclude-libs`).
    pub exclude_libs: Vec<String>,
    /// Read inputs into memory instead of mapping them, so that nobody who changes a file meanwhile can disturb the link.
    pub read_inputs: bool,
    /// Write the link map: [`Report::map`](crate::Report) (`-Map`, `--print-map`).
    pub map: bool,
    /// What only ELF images have.
    pub elf: ElfOptions,
    /// What only PE images have.
    pub pe: PeOptions,
    /// What only Mach-O images have.
    pub macho: MachOOptions,
}

impl Options {
    /// What `base/linking.jl` of Julia 1.9 to 1.14 asks for on `target`, plus what package images profit from
    /// (`.eh_frame_hdr`).
    ///
    /// Undefined symbols are left to the loader, as Julia up to 1.12 needs it. For Windows, data of DLLs have to be declared
    /// as imported (`--disable-auto-import`, `--disable-runtime-pseudo-reloc`) and the first of several definitions counts
    /// (`--allow-multiple-definition`).
    pub fn julia(target: Target) -> Self {
        let windows = target.format == Format::Pe;
        let mut options = Self { target: Some(target), allow_multiple_definition: windows, ..Self::default() };
        (options.pe.auto_import, options.pe.pseudo_relocs) = (!windows, !windows);
        options
    }
}

impl Options {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// A target that no images are made for; a page size that is no power of two or below 4096 bytes; a build id of no byte or more
    /// than 64; an image base that is no multiple of 64 KiB; more memory than address space for stack or heap; names with a NUL
    /// byte; a companion without a file name, or with nothing in it because all was to be left out; a dSYM that is not called so,
    /// or whose lines would not be those of the image; what [`MachOOptions`] say of sections and segments and cannot be had.
    pub fn validate(&self) -> Result<()> {
        if let Some(target) = self.target
            && !target.is_linked_for()
        {
            let what = format!("no images can be made for {:?} on {:?}", target.arch, target.os);
            return Err(Error::Options(what).into());
        }
        if let Some(size) = self.elf.max_page_size
            && (!size.is_power_of_two() || !(4096..=1 << 30).contains(&size))
        {
            let what = format!("-z max-page-size={size}: a power of two from 4096 to 2^30 bytes is needed");
            return Err(Error::Options(what).into());
        }
        if let BuildId::Given(bytes) = &self.elf.build_id
            && (bytes.is_empty() || bytes.len() > 64)
        {
            let what = format!("--build-id: {} bytes given, 1 to 64 are allowed", bytes.len());
            return Err(Error::Options(what).into());
        }
        if let Some(base) = self.pe.image_base
            && (!base.is_multiple_of(1 << 16) || base > i64::MAX as u64)
        {
            let what = format!("--image-base=0x{base:x}: a multiple of 64 KiB (0x10000) below 2^63 is needed");
            return Err(Error::Options(what).into());
        }
        for (option, sizes) in [("--stack", self.pe.stack), ("--heap", self.pe.heap)] {
            if let Some((reserved, committed)) = sizes
                && committed > reserved
            {
                let what = format!("{option}={reserved},{committed}: more memory than address space");
                return Err(Error::Options(what).into());
            }
        }
        if let Some(path) = &self.elf.separate_debug_file {
            let problem = match path.file_name() {
                _ if self.strip != Strip::None => "--strip-debug and --strip-all leave nothing to move; leave them out",
                None => "a file name is needed",
                Some(name) if name.as_encoded_bytes().contains(&0) => "name with a NUL byte",
                Some(_) => "",
            };
            if !problem.is_empty() {
                return Err(Error::Options(format!("--separate-debug-file: {problem}")).into());
            }
        }
        if let Some(problem) = self.macho.problem() {
            return Err(Error::Options(problem).into());
        }
        if let Some(path) = &self.macho.dsym {
            let problem = match crate::macho::dsym::image_name(path) {
                _ if self.strip != Strip::None => "-S leaves nothing to put there; leave it out",
                _ if self.gc_sections => {
                    "what stays of the code is not where its lines say; leave out -dead_strip, or run dsymutil on the image"
                }
                _ if !self.macho.uuid => "debuggers know by the UUID that it belongs to the image; leave out -no_uuid",
                None => "the path of a bundle is needed, NAME.dSYM, where NAME is the image's",
                Some(name) if name.as_encoded_bytes().contains(&0) => "name with a NUL byte",
                Some(_) => "",
            };
            if !problem.is_empty() {
                return Err(Error::Options(format!("-dsym: {problem}")).into());
            }
        }
        let names = [&self.elf.init, &self.elf.fini].into_iter();
        let names =
            names.chain(&self.elf.soname).chain(&self.elf.rpath).chain(&self.entry).chain(&self.required_symbols);
        let names = names.chain(&self.required_definitions).chain(&self.traced_symbols);
        let names = names.chain(&self.elf.package_metadata);
        let names = names.chain(&self.elf.auxiliary).chain(&self.elf.filters);
        let names = names.chain(self.defined_symbols.iter().map(|(name, _)| name));
        let names = names.chain(&self.pe.dll_name).chain(&self.pe.exports).chain(&self.pe.excluded_symbols);
        for name in names {
            if name.contains('\0') {
                return Err(Error::Options(format!("name with a NUL byte: {name:?}")).into());
            }
        }
        Ok(())
    }
}
