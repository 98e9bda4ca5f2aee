//! What only ELF images are asked for.

use std::path::PathBuf;

use crate::elf::version::script::{SymbolList, VersionScript};

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
    /// 8 bytes of a fast hash (XXH3) of the image: `--build-id=fast`.
    Fast,
    /// 20 bytes of a fast hash (XXH3) of the image: `--build-id`. That many are what tools expect that file images by it, and
    /// other linkers' default.
    Fast20,
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
    /// `-z loadfltr`: `DF_1_LOADFLTR`.
    pub loadfltr: bool,
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
    /// AArch64: move instructions that some Cortex-A53 processors may carry out wrongly at the end of a page, with others in
    /// front of them (`--fix-cortex-a53-843419`).
    pub fix_cortex_a53_843419: bool,
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
    /// Permissions of the stack: executable or not (`-z execstack`, `-z noexecstack`); by default not, and an input that asks
    /// for more is refused. For want of a note nothing is asked for.
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
            fix_cortex_a53_843419: false,
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
