//! The inputs of a link, in command-line order: files, libraries by name, bytes in memory.
//!
//! [`Inputs::open`] does everything that touches the file system on the way in: it searches libraries, expands linker
//! scripts, maps (or reads) each file once. From there on the link works on borrowed bytes.

use std::path::PathBuf;

/// One input as the caller names it.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// Where its bytes come from.
    pub source: Source<'a>,
    /// How it takes part.
    pub mode: Mode,
}

/// Where an input's bytes come from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A file: object, archive, shared library or linker script, told apart by content.
    Path(PathBuf),
    /// A library searched for in the search paths (`-lNAME`; `-l:FILE` is the name `:FILE`).
    Library(String),
    /// Bytes in memory, under a name for messages.
    Bytes {
        /// The name, as a path would stand in messages.
        name: String,
        /// The contents.
        bytes: &'a [u8],
    },
}

/// How an input takes part: the flags in force at its place on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mode {
    /// Link every member of an archive (`--whole-archive`).
    pub whole_archive: bool,
    /// Record a shared library as needed only if it defines something that is referenced (`--as-needed`).
    pub as_needed: bool,
    /// Search for static archives only (`-Bstatic`).
    pub static_only: bool,
}
