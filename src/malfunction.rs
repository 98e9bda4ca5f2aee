//! Named malfunctions of the linker: that the tests notice each shows that they would notice a mistake.
//!
//! In a build with debug assertions, `PKGLD_MALFUNCTION=NAME` in the environment makes the linker do one thing wrong, in the
//! way a mistake of a programmer would: an addend is dropped, a table is not sorted, a checksum is taken too early. The
//! image is made without a word of complaint, and `tests/readers/malfunctions.rs` sees to it that some independent reader, comparer
//! or loader complains in its place. A build without debug assertions never looks at the variable: [`on`] is `false` there
//! for the compiler already, and no trace of it is left.

#[cfg(debug_assertions)]
use std::sync::OnceLock;

#[cfg(debug_assertions)]
use crate::error::Error;
use crate::error::Result;

/// The variable that names the malfunction.
#[cfg(debug_assertions)]
const VARIABLE: &str = "PKGLD_MALFUNCTION";

macro_rules! malfunctions {
    ($($(#[doc = $what:literal])+ $variant:ident = $name:literal,)+) => {
        /// Something that a linker can do wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Malfunction {
            $($(#[doc = $what])+ $variant,)+
        }

        /// All of them, with their names.
        #[cfg(debug_assertions)]
        const ALL: &[(&str, Malfunction)] = &[$(($name, Malfunction::$variant),)+];
    };
}

malfunctions! {
    /// Every second relocation stores a number that is too large by 1.
    RelocationOffByOne = "relocation-off-by-one",
    /// The last name for others is in no table of exports.
    ExportLost = "export-lost",
    /// The last library that the image needs is not named.
    NeededLibraryDropped = "needed-library-dropped",
    /// Sections are put side by side, whatever their alignment.
    AlignmentLost = "alignment-lost",
    /// What is read-only can be written to.
    ReadOnlyWritable = "read-only-writable",
    /// The bytes that identify the contents do not depend on them.
    IdentityConstant = "identity-constant",
    /// The checksum in the report is that of other bytes.
    ReportChecksumStale = "report-checksum-stale",
    /// The sizes of symbols are too large by 1.
    SymbolSizeOff = "symbol-size-off",
    /// What debug information refers to, that of a dSYM too, is 16 bytes further than it says.
    DebugAddressOff = "debug-address-off",
    /// ELF: relative relocations have no addend.
    RelativeAddendDropped = "relative-addend-dropped",
    /// ELF: two neighbouring words of the GOT are filled with each other's symbols.
    GotSlotsSwapped = "got-slots-swapped",
    /// ELF: two neighbouring words of the PLT's slots are filled with each other's functions.
    PltSlotsSwapped = "plt-slots-swapped",
    /// ELF: a bucket of `.gnu.hash` starts one symbol late.
    GnuHashBucketOff = "gnu-hash-bucket-off",
    /// ELF: the first bucket of `.hash` is empty.
    HashBucketLost = "hash-bucket-lost",
    /// ELF: imports want no version.
    VersionsDropped = "versions-dropped",
    /// ELF: the last word of `.relr.dyn` is missing.
    RelrWordLost = "relr-word-lost",
    /// ELF: two neighbouring rows of `.eh_frame_hdr` stand the wrong way round.
    FrameTableUnsorted = "frame-table-unsorted",
    /// ELF: `.eh_frame_hdr` counts one row less than there are.
    FrameTableCountOff = "frame-table-count-off",
    /// ELF: the first record of each `.eh_frame` that describes a function is left out.
    FrameRecordLost = "frame-record-lost",
    /// ELF: functions that run first do not run.
    InitArrayDropped = "init-array-dropped",
    /// ELF: notes are in no segment.
    NoteSegmentLost = "note-segment-lost",
    /// ELF: two neighbouring rows of `.ARM.exidx` stand the wrong way round.
    ArmIndexUnsorted = "arm-index-unsorted",
    /// ELF: code that calls through a slot takes its neighbour's.
    CallStubOff = "call-stub-off",
    /// ELF: the checksum by which debuggers know the companion is that of other bytes.
    CompanionChecksumStale = "companion-checksum-stale",
    /// Mach-O: a chain of fixups begins at the wrong place of its page.
    ChainStartOff = "chain-start-off",
    /// Mach-O: a chain of fixups ends before its last.
    ChainCutShort = "chain-cut-short",
    /// Mach-O: binds name the library before theirs.
    ImportLibraryOff = "import-library-off",
    /// Mach-O: two pointers are bound to each other's symbols.
    BindsSwapped = "binds-swapped",
    /// Mach-O: a node of the export trie has lost its terminal.
    TrieTerminalLost = "trie-terminal-lost",
    /// Mach-O: the hash of a page is that of other bytes.
    PageHashWrong = "page-hash-wrong",
    /// Mach-O: functions in `__unwind_info` start 4 bytes late.
    CompactUnwindOff = "compact-unwind-off",
    /// Mach-O: the last function is not in `LC_FUNCTION_STARTS`.
    FunctionStartLost = "function-start-lost",
    /// Mach-O: stubs jump through the slots of their neighbours.
    StubSlotOff = "stub-slot-off",
    /// PE: the first field with an address is not in `.reloc`.
    BaseRelocationLost = "base-relocation-lost",
    /// PE: two neighbouring rows of `.pdata` stand the wrong way round.
    FunctionRowsUnsorted = "function-rows-unsorted",
    /// PE: thunks jump through the slots of their neighbours.
    ImportThunkOff = "import-thunk-off",
    /// PE: the last import of each DLL has its neighbour's name in the address table.
    ImportSlotOff = "import-slot-off",
    /// PE: names of exports have the numbers of their neighbours.
    ExportNumbersOff = "export-numbers-off",
    /// PE: the checksum in the header was taken before the identity was known.
    ImageChecksumStale = "image-checksum-stale",
}

/// Whether the linker is to have this malfunction.
#[cfg(debug_assertions)]
pub(crate) fn on(which: Malfunction) -> bool {
    *active() == Ok(Some(which))
}

/// Whether the linker is to have this malfunction: never.
#[cfg(not(debug_assertions))]
pub(crate) const fn on(_: Malfunction) -> bool {
    false
}

/// Refuses a name that no malfunction has.
///
/// # Errors
/// [`Error::Options`], with all names.
#[cfg(debug_assertions)]
pub(crate) fn check() -> Result<()> {
    let Err(name) = active() else { return Ok(()) };
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    Err(Error::Options(format!("{VARIABLE}: no malfunction is called '{name}'; there are {}", names.join(", "))).into())
}

/// Refuses nothing.
///
/// # Errors
/// None.
#[cfg(not(debug_assertions))]
pub(crate) const fn check() -> Result<()> {
    Ok(())
}

/// What the environment asks for, looked up once.
#[cfg(debug_assertions)]
fn active() -> &'static std::result::Result<Option<Malfunction>, String> {
    static ACTIVE: OnceLock<std::result::Result<Option<Malfunction>, String>> = OnceLock::new();
    ACTIVE.get_or_init(|| {
        let Some(asked) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let found = ALL.iter().find(|(name, _)| asked == **name);
        found.map(|(_, which)| Some(*which)).ok_or_else(|| asked.to_string_lossy().into_owned())
    })
}
