//! What a link is asked to do: parsed once, valid ever after.
//!
//! Every field says which flag of the program sets it. [`Options::julia`] gives what Julia's own command line asks for.

mod macho;
mod symbols;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::elf::version::script::{SymbolList, VersionScript};
use crate::error::{Error, Result};

pub use macho::{CreatedSection, Exports, MachOOptions};
pub(crate) use macho::{Filter, is_pattern};
pub use symbols::{SymbolValue, WrappedSymbol};
pub(crate) use symbols::{is_symbol, number};

/// The container of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Executable and Linkable Format: Linux and FreeBSD.
    Elf,
    /// Mach object: macOS.
    MachO,
    /// Portable Executable: Windows.
    Pe,
}

/// The instruction set of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// AMD64, 64-bit little-endian.
    X86_64,
    /// IA-32: i386 to i686, 32-bit little-endian.
    X86,
    /// AArch64 (Arm, 64-bit), little-endian.
    Aarch64,
    /// Arm, 32-bit little-endian: ARM and Thumb-2 code of ARMv7, EABI version 5.
    Arm,
    /// RISC-V, 64-bit little-endian.
    Riscv64,
    /// POWER, 64-bit little-endian, ELFv2 ABI.
    Ppc64,
}

/// The operating system that loads the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Os {
    /// Linux; ELF OSABI 0 (or 3 where an input says so).
    Linux,
    /// FreeBSD; ELF OSABI 9.
    FreeBsd,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// What the image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Container format.
    pub format: Format,
    /// Instruction set.
    pub arch: Arch,
    /// Operating system.
    pub os: Os,
}

impl Target {
    /// 64-bit x86 Linux.
    pub const LINUX_X86_64: Self = Self::elf(Arch::X86_64, Os::Linux);
    /// 32-bit x86 Linux.
    pub const LINUX_X86: Self = Self::elf(Arch::X86, Os::Linux);
    /// 64-bit Arm Linux.
    pub const LINUX_AARCH64: Self = Self::elf(Arch::Aarch64, Os::Linux);
    /// 32-bit Arm Linux.
    pub const LINUX_ARM: Self = Self::elf(Arch::Arm, Os::Linux);
    /// 64-bit RISC-V Linux.
    pub const LINUX_RISCV64: Self = Self::elf(Arch::Riscv64, Os::Linux);
    /// 64-bit little-endian POWER Linux.
    pub const LINUX_PPC64: Self = Self::elf(Arch::Ppc64, Os::Linux);
    /// 64-bit x86 FreeBSD.
    pub const FREEBSD_X86_64: Self = Self::elf(Arch::X86_64, Os::FreeBsd);
    /// 64-bit Arm FreeBSD.
    pub const FREEBSD_AARCH64: Self = Self::elf(Arch::Aarch64, Os::FreeBsd);
    /// 64-bit Arm macOS.
    pub const MACOS_AARCH64: Self = Self { format: Format::MachO, arch: Arch::Aarch64, os: Os::MacOs };
    /// 64-bit x86 macOS.
    pub const MACOS_X86_64: Self = Self { format: Format::MachO, arch: Arch::X86_64, os: Os::MacOs };
    /// 64-bit x86 Windows.
    pub const WINDOWS_X86_64: Self = Self { format: Format::Pe, arch: Arch::X86_64, os: Os::Windows };
    /// 32-bit x86 Windows.
    pub const WINDOWS_X86: Self = Self { format: Format::Pe, arch: Arch::X86, os: Os::Windows };
    /// 64-bit Arm Windows.
    pub const WINDOWS_AARCH64: Self = Self { format: Format::Pe, arch: Arch::Aarch64, os: Os::Windows };

    /// Whether images for it can be linked.
    fn is_linked_for(self) -> bool {
        match self.format {
            Format::Elf => true,
            Format::Pe => matches!(self.arch, Arch::X86_64 | Arch::X86 | Arch::Aarch64),
            Format::MachO => matches!(self.arch, Arch::X86_64 | Arch::Aarch64),
        }
    }

    const fn elf(arch: Arch, os: Os) -> Self {
        Self { format: Format::Elf, arch, os }
    }
}

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
    /// The number of threads; by default the number of processors that the process may use (`--threads`).
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
    /// Leave out sections that nothing reachable refers to (`--gc-sections`).
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
    /// The symbol whose address becomes the image's entry point (`-e`).
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

/// The hash tables of the dynamic symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashStyle {
    /// `.hash`, of the System V gABI.
    Sysv,
    /// `.gnu.hash`.
    Gnu,
    /// Both.
    #[default]
    Both,
}

/// The contents of `.note.gnu.build-id`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BuildId {
    /// No note.
    #[default]
    None,
    /// 8 bytes of a fast hash (XXH3) of the image: `--build-id`, `--build-id=fast`.
    Fast,
    /// 16 bytes of a SHA-256 of the image: `--build-id=md5` and `=uuid`, whose lengths these are.
    Bytes16,
    /// 20 bytes of a SHA-256 of the image: `--build-id=sha1`, `=tree`.
    Bytes20,
    /// The bytes given: `--build-id=0x…`.
    Given(Vec<u8>),
}

/// Which references to own definitions bind at link time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symbolic {
    /// None: another library may preempt every exported definition.
    #[default]
    None,
    /// Those to functions: `-Bsymbolic-functions`.
    Functions,
    /// Those to functions that are not weak: `-Bsymbolic-non-weak-functions`.
    NonWeakFunctions,
    /// Those to what is not weak: `-Bsymbolic-non-weak`.
    NonWeak,
    /// All: `-Bsymbolic`.
    All,
}

/// What to say of an object whose code is not made for control-flow protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum MissingFeature {
    /// Nothing.
    #[default]
    Allow,
    /// A warning.
    Warn,
    /// The link fails.
    Error,
}

/// How debug sections are compressed in the output (gABI, *Section Compression*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugCompression {
    /// `ELFCOMPRESS_ZLIB`.
    Zlib,
    /// `ELFCOMPRESS_ZSTD`.
    Zstd,
}

/// Flags for `DT_FLAGS` and `DT_FLAGS_1`, by the `-z` keyword that sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DynamicFlags {
    /// `-z nodelete`: `DF_1_NODELETE`.
    pub nodelete: bool,
    /// `-z nodlopen`: `DF_1_NOOPEN`.
    pub nodlopen: bool,
    /// `-z initfirst`: `DF_1_INITFIRST`.
    pub initfirst: bool,
    /// `-z interpose`: `DF_1_INTERPOSE`.
    pub interpose: bool,
    /// `-z global`: `DF_1_GLOBAL`.
    pub global: bool,
    /// `-z origin`: `DF_ORIGIN` and `DF_1_ORIGIN`.
    pub origin: bool,
    /// `-z nodefaultlib`: `DF_1_NODEFLIB`.
    pub nodefaultlib: bool,
}

/// What only ELF images have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ElfOptions {
    /// `DT_SONAME` (`-soname`).
    pub soname: Option<String>,
    /// Directories of `DT_RUNPATH` (or `DT_RPATH`), in order (`-rpath`).
    pub rpath: Vec<String>,
    /// `DT_RUNPATH` rather than `DT_RPATH` (`--enable-new-dtags`, the default; `--disable-new-dtags`).
    pub new_dtags: bool,
    /// Hash tables (`--hash-style`).
    pub hash_style: HashStyle,
    /// Identity note (`--build-id`).
    pub build_id: BuildId,
    /// Binary search table for unwinders (`--eh-frame-hdr`, on by default here; `--no-eh-frame-hdr`).
    pub eh_frame_hdr: bool,
    /// Protect relocated constants after loading (`-z relro`, the default; `-z norelro`).
    pub relro: bool,
    /// Bind every function when the image is loaded (`-z now`; `-z lazy` is the default).
    pub now: bool,
    /// Refuse dynamic relocations in read-only sections (`-z text`, the default; `-z notext`).
    pub text: bool,
    /// Flags of the dynamic section (`-z nodelete` and others).
    pub dynamic_flags: DynamicFlags,
    /// Binding of own references (`-Bsymbolic` and its like).
    pub symbolic: Symbolic,
    /// The symbols that stay preemptible, where there is a list: references to others bind at link time (`--dynamic-list`).
    pub dynamic_list: Option<SymbolList>,
    /// As if a list named all data (`--dynamic-list-data`).
    pub dynamic_list_data: bool,
    /// Symbols that stay preemptible whatever binds the others at link time (`--export-dynamic-symbol`,
    /// `--export-dynamic-symbol-list`).
    pub export_dynamic_symbols: SymbolList,
    /// Versions, and which symbols are local (`--version-script`). Linker scripts among the inputs add theirs (`VERSION`).
    pub version_script: VersionScript,
    /// Let version scripts name symbols that nothing defines (`--undefined-version`; by default an error).
    pub undefined_version: bool,
    /// Keep `STB_GNU_UNIQUE`, by which a process has one definition of a symbol whatever loads it (`--gnu-unique`, the default;
    /// `--no-gnu-unique`).
    pub gnu_unique: bool,
    /// `DT_AUXILIARY`: libraries whose definitions, if they are there, go before the image's (`-f`).
    pub auxiliary: Vec<String>,
    /// `DT_FILTER`: libraries whose definitions stand for the image's (`-F`).
    pub filters: Vec<String>,
    /// Rewrite instructions that load from the GOT and can do without (`--relax`, the default; `--no-relax`).
    pub relax: bool,
    /// Pack relative relocations in `.relr.dyn` (`-z pack-relative-relocs`, `--pack-dyn-relocs=relr`).
    pub relr: bool,
    /// The function of `DT_INIT`, if it is defined (`-init`; `_init`).
    pub init: String,
    /// The function of `DT_FINI`, if it is defined (`-fini`; `_fini`).
    pub fini: String,
    /// State that the image goes with indirect-branch tracking, and make the PLT fit for it (`-z ibt`; `-z force-ibt`, which
    /// also warns of objects that do not).
    pub ibt: bool,
    /// Warn of objects that do not go with indirect-branch tracking, and state that the image does (`-z force-ibt`).
    pub force_ibt: bool,
    /// State that the image goes with shadow stacks (`-z shstk`).
    pub shstk: bool,
    /// Warn of objects that are not made for branch target identification, and state that the image is (`-z force-bti`).
    pub force_bti: bool,
    /// What to say of objects that do not go with IBT or shadow stacks (`-z cet-report`).
    pub report_cet: MissingFeature,
    /// What to say of objects that do not go with BTI (`-z bti-report`).
    pub report_bti: MissingFeature,
    /// Hide the symbols `__start_SECTION` and `__stop_SECTION` from other libraries (`-z start-stop-visibility=hidden`).
    pub hide_section_bounds: bool,
    /// What references become in sections that are not loaded, by their names, where they refer to what was left out
    /// (`-z dead-reloc-in-nonalloc`). Of several that fit the last counts.
    pub dead_references: Vec<(SymbolList, u64)>,
    /// JSON that says which package the image belongs to, for a note (`--package-metadata`).
    pub package_metadata: Option<String>,
    /// Permissions of the stack: executable or not; by default what the inputs ask for, never executable for want of a
    /// note (`-z execstack`, `-z noexecstack`).
    pub exec_stack: Option<bool>,
    /// The largest page size the image can be loaded with, in bytes, a power of two; by default the psABI's
    /// (`-z max-page-size`).
    pub max_page_size: Option<u64>,
    /// Compress debug sections (`--compress-debug-sections`).
    pub compress_debug: Option<DebugCompression>,
    /// Move debug sections and `.symtab` into a companion file ([`Image::companion`](crate::Image::companion)) of this path
    /// (`--separate-debug-file`).
    ///
    /// The image refers to it by its file name; the directory shows in neither. Debuggers and Julia's stack traces look
    /// for a file of that name beside the image, in `.debug` there, and in the image's directory below `/usr/lib/debug`.
    pub separate_debug_file: Option<PathBuf>,
}

impl Default for ElfOptions {
    fn default() -> Self {
        Self {
            soname: None,
            rpath: Vec::new(),
            new_dtags: true,
            hash_style: HashStyle::default(),
            build_id: BuildId::default(),
            eh_frame_hdr: true,
            relro: true,
            now: false,
            text: true,
            dynamic_flags: DynamicFlags::default(),
            symbolic: Symbolic::default(),
            dynamic_list: None,
            dynamic_list_data: false,
            export_dynamic_symbols: SymbolList::default(),
            version_script: VersionScript::default(),
            undefined_version: false,
            gnu_unique: true,
            auxiliary: Vec::new(),
            filters: Vec::new(),
            relax: true,
            relr: false,
            init: "_init".to_owned(),
            fini: "_fini".to_owned(),
            ibt: false,
            force_ibt: false,
            shstk: false,
            force_bti: false,
            report_cet: MissingFeature::default(),
            report_bti: MissingFeature::default(),
            hide_section_bounds: false,
            dead_references: Vec::new(),
            package_metadata: None,
            exec_stack: None,
            max_page_size: None,
            compress_debug: None,
            separate_debug_file: None,
        }
    }
}

impl Options {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// A page size that is no power of two or below 4096 bytes; names with a NUL byte; a build id of more than 64 bytes; a
    /// companion without a file name, or with nothing in it because all was to be left out; a dSYM that is not called so.
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

/// What a DLL exports beside what objects and options say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoExport {
    /// Every symbol of one's own objects, if nothing says what is exported: what MinGW linkers do.
    #[default]
    Unless,
    /// Every symbol of one's own objects (`--export-all-symbols`).
    All,
    /// None (`--exclude-all-symbols`).
    None,
}

/// What only PE images have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeOptions {
    /// The DLL's name in its export directory, unless a definition file states one (`LIBRARY`); by default a constant, never
    /// the output's (`-soname`).
    pub dll_name: Option<String>,
    /// Write an import library there, beside the image ([`Image::import_library`](crate::Image::import_library);
    /// `--out-implib`).
    pub import_library: Option<PathBuf>,
    /// Write a definition file there, beside the image
    /// ([`Image::definition_file`](crate::Image::definition_file); `--output-def`).
    pub definition_file: Option<PathBuf>,
    /// The preferred address, a multiple of 64 KiB; by default 0x180000000, for 32-bit images 0x10000000 (`--image-base`).
    pub image_base: Option<u64>,
    /// What is exported without being asked for (`--export-all-symbols`, `--exclude-all-symbols`).
    pub auto_export: AutoExport,
    /// Symbols to export beside those that objects ask for.
    pub exports: Vec<String>,
    /// Symbols that are not exported automatically (`--exclude-symbols`).
    pub excluded_symbols: Vec<String>,
    /// On i386, export functions of `__stdcall` and `__fastcall` without the size of their arguments (`--kill-at`).
    pub kill_at: bool,
    /// On i386, let an export that nothing defines be a function of that name with the size of its arguments; by
    /// default with a warning (`--enable-stdcall-fixup`, `--disable-stdcall-fixup`).
    pub stdcall_fixup: Option<bool>,
    /// Let code refer to a DLL's data as if they were the image's own (`--enable-auto-import`, the
    /// default; `--disable-auto-import`).
    pub auto_import: bool,
    /// Have the image's start code correct what refers to a DLL's data in another way, as MinGW's does, where
    /// [`auto_import`](Self::auto_import) is on (`--enable-runtime-pseudo-reloc`, the default;
    /// `--disable-runtime-pseudo-reloc`).
    pub pseudo_relocs: bool,
    /// `Subsystem`: 2, a graphical program, or 3, one of the console (`--subsystem`).
    pub subsystem: u16,
    /// The version of the operating system, which no loader looks at (`--major-os-version`, `--minor-os-version`).
    pub os_version: (u16, u16),
    /// The version of Windows that is needed: major and minor number (`--major-subsystem-version`,
    /// `--minor-subsystem-version`).
    pub subsystem_version: (u16, u16),
    /// The image's own version; if it is 0.0, a definition file may state one (`--major-image-version`,
    /// `--minor-image-version`).
    pub image_version: (u16, u16),
    /// The stack of a program's first thread, bytes of address space and of memory; by default what a definition file says,
    /// or 1 MiB and 4096. A DLL's is looked at by nobody (`--stack`).
    pub stack: Option<(u64, u64)>,
    /// The same of a program's heap (`--heap`).
    pub heap: Option<(u64, u64)>,
    /// The loader may choose the address (`--dynamicbase`, the default; `--disable-dynamicbase`).
    pub dynamic_base: bool,
    /// The loader may choose among all 64-bit addresses (`--high-entropy-va`, the default; `--disable-high-entropy-va`).
    pub high_entropy_va: bool,
    /// Data are never executed (`--nxcompat`, the default; `--disable-nxcompat`).
    pub nx_compat: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_SEH`: no structured exception is handled in the image (`--no-seh`).
    pub no_seh: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_BIND`: the image's imports are not bound in advance (`--no-bind`).
    pub no_bind: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_ISOLATION`: the image has no use for a manifest (`--no-isolation`).
    pub no_isolation: bool,
    /// `IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY`: the loader is to check the image's signature (`--forceinteg`).
    pub force_integrity: bool,
    /// `IMAGE_DLLCHARACTERISTICS_APPCONTAINER`: the image runs in an app container (`--appcontainer`).
    pub app_container: bool,
    /// `IMAGE_DLLCHARACTERISTICS_WDM_DRIVER`: the image is a driver (`--wdmdriver`).
    pub wdm_driver: bool,
    /// Names of sections of debug information of more than eight bytes are kept (`--enable-long-section-names`, the default;
    /// `--disable-long-section-names` cuts them).
    pub long_section_names: bool,
    /// Addresses beyond 2 GiB are no problem; by default said of 64-bit images (`--large-address-aware`).
    pub large_address_aware: Option<bool>,
    /// Have a time stamp, made of the contents (`--insert-timestamp`, the default; `--no-insert-timestamp`: zero).
    pub timestamp: bool,
    /// Have a debug directory with an identity made of the contents (`--build-id`).
    pub build_id: bool,
    /// Link an image of more than 2 GiB (`--allow-large-image`).
    pub large_image: bool,
}

impl Default for PeOptions {
    fn default() -> Self {
        Self {
            dll_name: None,
            import_library: None,
            definition_file: None,
            image_base: None,
            auto_export: AutoExport::default(),
            exports: Vec::new(),
            excluded_symbols: Vec::new(),
            kill_at: false,
            stdcall_fixup: None,
            auto_import: true,
            pseudo_relocs: true,
            subsystem: 2,
            os_version: (6, 0),
            subsystem_version: (6, 0),
            image_version: (0, 0),
            stack: None,
            heap: None,
            dynamic_base: true,
            high_entropy_va: true,
            nx_compat: true,
            no_seh: false,
            no_bind: false,
            no_isolation: false,
            force_integrity: false,
            app_container: false,
            wdm_driver: false,
            long_section_names: true,
            large_address_aware: None,
            timestamp: true,
            build_id: false,
            large_image: false,
        }
    }
}
