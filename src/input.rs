//! The inputs of a link, in command-line order: files, libraries by name, bytes in memory.
//!
//! [`Inputs::open`] does everything that touches the file system on the way in: it searches libraries, expands linker
//! scripts, maps (or reads) each file once. From there on the link works on borrowed bytes.

pub(crate) mod content;
mod open;

pub(crate) use content::Content;
pub(crate) use open::in_sysroot;

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive::{Archive, MemberId};
use crate::blob::{Blob, Prepared};
use crate::elf::script::ScriptDefinition;
use crate::elf::version::script::VersionScript;
use crate::error::{Error, Result};
use crate::library::SharedLibrary;
use crate::map::Contents;
use crate::options::Options;

/// One input as the caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input<'a> {
    /// Where its bytes come from.
    pub source: Source<'a>,
    /// How it takes part.
    pub mode: Mode,
}

impl<'a> Input<'a> {
    /// A file.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::Path(path.into()), mode: Mode::default() }
    }

    /// A library that is searched for (`-lNAME`).
    pub fn library(name: impl Into<String>) -> Self {
        Self { source: Source::Library(name.into()), mode: Mode::default() }
    }

    /// Bytes in memory, which messages call `name`.
    pub fn bytes(name: impl Into<String>, bytes: &'a [u8]) -> Self {
        Self { source: Source::Bytes { name: name.into(), bytes }, mode: Mode::default() }
    }

    /// Bytes that become data of the image as they are.
    pub fn blob(blob: Blob<'a>) -> Self {
        Self { source: Source::Blob(blob), mode: Mode::default() }
    }

    /// The same, with every member linked if it is an archive (`--whole-archive`).
    pub fn whole_archive(mut self) -> Self {
        self.mode.whole_archive = true;
        self
    }

    /// The same, linked only if it defines something that is referenced, if it is an object (`--start-lib`).
    pub fn lazy(mut self) -> Self {
        self.mode.lazy = true;
        self
    }

    /// The same, recorded as needed only if it defines something that is referenced (`--as-needed`).
    pub fn as_needed(mut self) -> Self {
        self.mode.as_needed = true;
        self
    }
}

/// Where an input's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A file: object, archive, shared library or linker script, told apart by content; text is a definition file
    /// if its name ends in `.def`.
    Path(PathBuf),
    /// A library searched for in the search paths (`-lNAME`; `-l:FILE` is the name `:FILE`).
    Library(String),
    /// The library of a framework of macOS (`-framework`), searched for in
    /// [`framework_paths`](crate::MachOOptions::framework_paths).
    Framework(String),
    /// Bytes in memory, under a name for messages.
    Bytes {
        /// The name, as a path would stand in messages.
        name: String,
        /// The contents.
        bytes: &'a [u8],
    },
    /// Bytes that become data of the image as they are.
    Blob(Blob<'a>),
}

/// How an input takes part: the flags in force at its place on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mode {
    /// Link every member of an archive (`--whole-archive`).
    pub whole_archive: bool,
    /// Link an object only if it defines something that is referenced, as members of archives are (`--start-lib`).
    pub lazy: bool,
    /// Record a shared library as needed only if it defines something that is referenced (`--as-needed`).
    pub as_needed: bool,
    /// Search for static archives only (`-Bstatic`).
    pub static_only: bool,
    /// What a shared library is to the image (Mach-O: `-weak-l` and the like).
    pub role: LibraryRole,
    /// Name a shared library to the loader even where those that nothing is used of are left out (Mach-O: `-needed-l`).
    pub needed: bool,
    /// Hide what an archive's members define from others (Mach-O: `-hidden-l`, `-load_hidden`).
    pub hidden: bool,
}

/// What a shared library is to a Mach-O image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LibraryRole {
    /// The loader loads it, and fails if it is missing.
    #[default]
    Plain,
    /// It may be missing, and its symbols are 0 then (`-weak-l`, `-weak_library`).
    Weak,
    /// What it has for others counts as the image's own (`-reexport-l`, `-reexport_library`).
    Reexport,
    /// It uses the image in its turn (`-upward-l`, `-upward_library`).
    Upward,
}

/// The inputs of a link, opened: they own the mappings, and what a link produces borrows from them.
#[derive(Debug)]
pub struct Inputs<'a> {
    files: Vec<File<'a>>,
    items: Vec<Item>,
    paths: Vec<PathBuf>,
    warnings: Vec<String>,
    default_libraries: HashSet<Vec<u8>>,
    /// What linker scripts say of versions.
    versions: VersionScript,
    /// The symbols that linker scripts define.
    definitions: Vec<ScriptDefinition>,
    /// The symbols that linker scripts say are referenced.
    required: Vec<String>,
}

impl<'a> Inputs<'a> {
    /// Opens `inputs`: finds libraries, expands linker scripts, maps each file once or, if
    /// [`Options::read_inputs`] says so, reads it.
    ///
    /// Libraries are searched in [`Options::search_paths`] in order: in each directory for `libNAME.so`, unless
    /// [`Mode::static_only`], then `libNAME.a`; for macOS, `libNAME.tbd`, `libNAME.dylib`, `libNAME.a`; for Windows,
    /// `libNAME.dll.a`, `NAME.dll.a`, `libNAME.a`, `NAME.lib`, `libNAME.dll`, `NAME.dll`. If [`Options::target`] is given, files for another machine are passed
    /// over.
    ///
    /// Libraries that Windows objects ask for by name (`-defaultlib:NAME` in `.drectve`) are searched for, too, and come
    /// last: `NAME` or `NAME.lib`, or `libNAME.a`. What is not found may not be needed. Members of archives ask for theirs
    /// whether or not something will need them: a library more is searched then, in vain if nothing does.
    ///
    /// Bytes in memory never cause a file to be opened: linker scripts and thin archives have to be given by path.
    ///
    /// # Errors
    /// All that is wrong with any of them: files that cannot be read, libraries that are not found, files that are
    /// nothing that can be linked, linker scripts that do more than name files.
    pub fn open(inputs: Vec<Input<'a>>, options: &Options) -> Result<Self> {
        open::open(inputs, options)
    }

    /// The files that were opened, under the paths that led to them, in that order: inputs, libraries found, linker
    /// scripts, members of thin archives.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// The inputs in link order. Each shared library occurs once, where it was first named, and is
    /// [`as_needed`](Mode::as_needed) only if it was so each time; objects and archives occur as often as they were named.
    pub(crate) fn items(&self) -> impl Iterator<Item = Opened<'_>> {
        self.items.iter().filter_map(|item| {
            let file = self.files.get(item.file)?;
            let (bytes, members) = (file.bytes(), file.members.as_slice());
            let Item { name, default_soname, mode, kind, blob, implied, reexported_as, .. } = item;
            let (blob, mode, kind, implied) = (blob.as_deref(), *mode, *kind, *implied);
            let in_memory = file.is_in_memory();
            Some(Opened { name, default_soname, bytes, members, blob, mode, kind, implied, reexported_as, in_memory })
        })
    }

    /// Size of all files together, in bytes; a file counts once, however often it is named.
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.bytes().len() as u64).sum()
    }

    /// The libraries that objects ask for (`-defaultlib:` in `.drectve`) and that have been found, as these call them.
    pub(crate) fn default_libraries(&self) -> &HashSet<Vec<u8>> {
        &self.default_libraries
    }

    /// Things that are allowed and probably not wanted.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The symbols that linker scripts among them define.
    pub(crate) fn definitions(&self) -> &[ScriptDefinition] {
        &self.definitions
    }

    /// The symbols that linker scripts among them say are referenced.
    pub(crate) fn required(&self) -> &[String] {
        &self.required
    }

    /// What linker scripts among them say of versions.
    pub(crate) fn versions(&self) -> &VersionScript {
        &self.versions
    }
}

/// An opened input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened<'a> {
    /// What messages call it: the path under which it was found, or the name given with bytes in memory.
    pub(crate) name: &'a str,
    /// The contents.
    pub(crate) bytes: &'a [u8],
    /// How it takes part.
    pub(crate) mode: Mode,
    /// What it is.
    pub(crate) kind: Kind,
    /// A library that nobody has named: another one re-exports it.
    pub(crate) implied: bool,
    /// The names by which other libraries re-export it, which need not be its own.
    pub(crate) reexported_as: &'a [String],
    /// The caller has given its bytes: nothing in them may cause a file to be opened.
    pub(crate) in_memory: bool,
    default_soname: &'a str,
    members: &'a [(MemberId, Arc<Contents>)],
    blob: Option<&'a Prepared>,
}

/// What an opened input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A relocatable object.
    Object,
    /// An archive, thin or not: see [`Opened::archive`].
    Archive,
    /// A shared library: see [`Opened::library`].
    SharedLibrary,
    /// Plain bytes: see [`Opened::blob`].
    Blob,
    /// A module-definition file.
    Definitions,
}

impl<'a> Opened<'a> {
    /// The input as an archive.
    ///
    /// # Errors
    /// As of [`Archive::parse`].
    pub(crate) fn archive(&self) -> Result<Archive<'a>, Error> {
        Archive::parse_thin(self.name, self.bytes, self.members)
    }

    /// What is known of the input as a blob, if it is one.
    pub(crate) fn blob(&self) -> Option<&'a Prepared> {
        self.blob
    }

    /// The input as a shared library.
    ///
    /// # Errors
    /// As of [`SharedLibrary::parse`].
    pub(crate) fn library(&self) -> Result<SharedLibrary<'a>, Error> {
        SharedLibrary::parse(self.name, self.default_soname, self.bytes)
    }
}

/// Whether a file of text is a module-definition file, by its name: nothing in it need say so.
fn is_definition_file(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("def"))
}

/// A file, or bytes given as one.
#[derive(Debug)]
struct File<'a> {
    storage: Storage<'a>,
    /// The files of a thin archive's members, ascending.
    members: Vec<(MemberId, Arc<Contents>)>,
    /// The slice for the target's CPU, if it is a universal file.
    slice: Option<Range<usize>>,
}

#[derive(Debug)]
enum Storage<'a> {
    Borrowed(&'a [u8]),
    Owned(Contents),
}

/// A place in the link order.
#[derive(Debug)]
struct Item {
    file: usize,
    name: String,
    default_soname: String,
    mode: Mode,
    kind: Kind,
    blob: Option<Box<Prepared>>,
    /// A library that nobody has named: another one re-exports it.
    implied: bool,
    /// The names by which other libraries re-export it.
    reexported_as: Vec<String>,
}

impl File<'_> {
    fn is_in_memory(&self) -> bool {
        matches!(self.storage, Storage::Borrowed(_))
    }

    fn bytes(&self) -> &[u8] {
        let bytes = self.storage.bytes();
        match &self.slice {
            Some(slice) => bytes.get(slice.clone()).unwrap_or_default(),
            None => bytes,
        }
    }
}

impl Storage<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(contents) => contents.bytes(),
        }
    }
}

#[cfg(test)]
mod tests;
