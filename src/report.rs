//! What a link did: sizes, names, counts, times.

use std::time::Duration;

/// What a link did.
///
/// [`size`](Self::size) and [`crc32c`](Self::crc32c) describe the image's bytes; the checksum is known once they have
/// been produced, which is when the image has been written or copied out.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// Size of the image, in bytes.
    pub size: u64,
    /// CRC-32C (Castagnoli) of all bytes of the image, as Julia stores it in the `.ji` file; `None` before the image has been produced.
    pub crc32c: Option<u32>,
    /// The inputs that took part, as `path` or `path(member)`, in link order.
    pub inputs: Vec<String>,
    /// The shared libraries found, as paths, in command-line order.
    pub libraries: Vec<String>,
    /// The names of the libraries that the image asks the loader for, in order.
    pub needed: Vec<String>,
    /// The names of the exported symbols, in the order of the dynamic symbol table.
    pub exports: Vec<Vec<u8>>,
    /// Counts of what was linked.
    pub counts: Counts,
    /// Bytes of memory that the link has taken of its own, at most at one time.
    ///
    /// Counted are the tables of sections and symbols, decompressed and otherwise rewritten contents of inputs, the tables
    /// made for the image, and the buffers in which threads work; after the image has been produced, the buffers used for
    /// that, too. Not counted are what belongs to others: mapped or read input files, a vector that the image is copied
    /// to, the stacks of threads; nor what allocators add. The number is computed from the sizes of these things, which
    /// is right to about a third.
    pub memory_peak: u64,
    /// The passes in order, with the wall-clock time each took.
    pub phases: Vec<(&'static str, Duration)>,
    /// The companion that has the image's debug information, if
    /// [`ElfOptions::separate_debug_file`](crate::ElfOptions::separate_debug_file) asked for it.
    pub debug_file: Option<DebugFile>,
    /// Things that are allowed and probably not wanted.
    pub warnings: Vec<String>,
    /// What the inputs say of the symbols that [`Options::traced_symbols`](crate::Options::traced_symbols) names, a line for
    /// each that says something.
    pub traces: Vec<String>,
    /// The sections left out since nothing reachable refers to them, as `input:(section)`, if
    /// [`Options::print_collected`](crate::Options::print_collected) asked for it.
    pub collected: Vec<String>,
    /// The link map, if [`Options::map`](crate::Options::map) asked for it.
    pub map: Option<String>,
}

/// A file with debug information beside the image: [`Image::companion`](crate::Image::companion).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebugFile {
    /// The name by which the image refers to it, without a directory.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
    /// CRC-32 (IEEE 802.3) of all its bytes, as the image states it in `.gnu_debuglink`; `None` before the image or the
    /// companion has been produced.
    pub crc32: Option<u32>,
}

/// Counts of what was linked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Object files.
    pub objects: u64,
    /// Input sections that reached the image.
    pub sections: u64,
    /// Symbols of all objects, local ones included.
    pub symbols: u64,
    /// Relocations of the sections that are loaded.
    pub relocations: u64,
    /// Relocations left to the loader.
    pub dynamic_relocations: u64,
    /// Entries of the procedure linkage table.
    pub plt_entries: u64,
    /// Entries of the global offset table.
    pub got_entries: u64,
    /// Bytes of compressed input sections after decompression.
    pub decompressed_bytes: u64,
}
