//! Opens the inputs: searches libraries, expands linker scripts, maps each file once.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod macos;
mod script;
mod search;
mod windows;

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::script::ScriptPlace;
use self::search::in_syslibroot;
pub(crate) use self::search::in_sysroot;
use super::content::Content;
use super::{File, Input, Inputs, Item, Kind, LibraryRole, Mode, Source, Storage, is_definition_file};
use indexmap::IndexSet;

use crate::archive;
use crate::blob::{self, Blob, Prepared};
use crate::elf::version::script::VersionScript;
use crate::error::{Error, Errors, Result};
use crate::macho;
use crate::map::{Contents, Identity};
use crate::options::{Format, Options};

/// How many places inputs may have looked at, in all: each costs a call of the system.
const PLACES: usize = 1 << 18;

/// Opens `inputs` in order. All problems are collected.
pub(super) fn open<'a>(inputs: Vec<Input<'a>>, options: &Options) -> Result<Inputs<'a>> {
    let macho = options.target.is_some_and(|target| target.format == Format::MachO);
    let search_paths = match &options.sysroot {
        Some(root) if macho => {
            in_syslibroot(root, &options.search_paths, &["/usr/lib", "/usr/local/lib"]).into_iter().collect()
        }
        _ => options.search_paths.iter().map(|path| in_sysroot(path, options)).collect(),
    };
    let mut opener = Opener {
        options,
        search_paths,
        inputs: Inputs {
            files: Vec::new(),
            items: Vec::new(),
            paths: Vec::new(),
            warnings: Vec::new(),
            default_libraries: HashSet::new(),
            versions: VersionScript::default(),
            definitions: Vec::new(),
            required: Vec::new(),
        },
        paths: HashMap::new(),
        identities: HashMap::new(),
        libraries: HashMap::new(),
        archives: HashMap::new(),
        scripts: Vec::new(),
        script_inputs: 0,
        places: 0,
        problems: Vec::new(),
    };
    for input in inputs {
        match input.source {
            Source::Path(path) => opener.path(&path, input.mode, SonameRule::Path),
            Source::Library(name) => opener.library(&name, input.mode),
            Source::Framework(name) => opener.framework(&name, input.mode),
            Source::Bytes { name, bytes } => opener.bytes(name, bytes, input.mode),
            Source::Blob(blob) => opener.blob(&blob, input.mode),
        }
    }
    opener.default_libraries();
    opener.automatic_libraries();
    opener.reexports();
    Errors::check(opener.problems)?;
    Ok(opener.inputs)
}

struct Opener<'o, 'a> {
    options: &'o Options,
    /// The directories searched for libraries: those of the options and those that scripts add.
    search_paths: IndexSet<PathBuf>,
    inputs: Inputs<'a>,
    /// The files opened so far by path: indices into `inputs.files`, or `None` if the problem was told.
    paths: HashMap<PathBuf, Option<usize>>,
    /// The same by what the file is, whatever the path.
    identities: HashMap<Identity, usize>,
    /// The items that are shared libraries, by file.
    libraries: HashMap<usize, usize>,
    /// The items that are archives of Mach-O, by file.
    archives: HashMap<usize, usize>,
    /// The scripts that are being expanded, the outermost first.
    scripts: Vec<ScriptPlace>,
    script_inputs: usize,
    /// The places that inputs, not the caller, have had looked at: scripts and libraries that others re-export.
    places: usize,
    problems: Vec<Error>,
}

/// What a library without `DT_SONAME` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SonameRule {
    /// By the path as it was given.
    Path,
    /// By the file name: the directory was found by search.
    FileName,
}

impl<'a> Opener<'_, 'a> {
    fn path(&mut self, path: &Path, mode: Mode, rule: SonameRule) {
        match self.file(path) {
            Ok(Some(file)) => self.add(file, path, mode, rule),
            Ok(None) => {}
            Err(error) => self.fail(path, error),
        }
    }

    fn bytes(&mut self, name: String, bytes: &'a [u8], mode: Mode) {
        let slice = match self.slice(&name, bytes) {
            Ok(slice) => slice,
            Err(error) => return self.problems.push(error),
        };
        let bytes = slice.and_then(|slice| bytes.get(slice)).unwrap_or(bytes);
        let kind = match content(&name, bytes) {
            Content::Object => Kind::Object,
            Content::Archive => Kind::Archive,
            Content::SharedLibrary => Kind::SharedLibrary,
            // What names files may come from a stranger: bytes in memory never cause a file to be opened.
            Content::ThinArchive => return self.refuse(&name, "thin archive: its members are files, so give its path"),
            Content::Text if is_definition_file(&name) => Kind::Definitions,
            Content::Text => return self.refuse(&name, "text in memory: a linker script has to be given by its path"),
            Content::Refused(what) => return self.refuse(&name, what),
        };
        let file = self.inputs.files.len();
        self.inputs.files.push(File { storage: Storage::Borrowed(bytes), members: Vec::new(), slice: None });
        self.inputs.items.push(Item {
            file,
            default_soname: name.clone(),
            name,
            mode,
            kind,
            blob: None,
            implied: false,
            reexported_as: Vec::new(),
        });
    }

    /// Adds bytes that are nothing but themselves, so that it does not matter what they look like.
    fn blob(&mut self, blob: &Blob<'a>, mode: Mode) {
        let storage = match &blob.contents {
            blob::Contents::Bytes(bytes) => Storage::Borrowed(bytes),
            blob::Contents::File(path) => match Contents::open(path, self.options.read_inputs) {
                Ok((contents, _)) => {
                    self.inputs.paths.push(path.clone());
                    Storage::Owned(contents)
                }
                Err(error) => return self.problems.push(Error::read(path, error)),
            },
        };
        let prepared = match Prepared::new(blob, storage.bytes()) {
            Ok(prepared) => Some(Box::new(prepared)),
            Err(error) => return self.problems.push(error),
        };
        let (file, name) = (self.inputs.files.len(), format!("blob {}", blob.name));
        self.inputs.files.push(File { storage, members: Vec::new(), slice: None });
        let default_soname = String::new();
        let kind = Kind::Blob;
        let (blob, implied, reexported_as) = (prepared, false, Vec::new());
        self.inputs.items.push(Item { file, default_soname, name, mode, kind, blob, implied, reexported_as });
    }
}

impl Opener<'_, '_> {
    /// Where the slice for the target's CPU is, if `bytes` are a universal file.
    fn slice(&self, name: &str, bytes: &[u8]) -> Result<Option<Range<usize>>, Error> {
        if macho::content::of(bytes) != Some(macho::content::Content::Universal) {
            return Ok(None);
        }
        macho::content::slice(name, bytes, self.options.target.map(|target| target.arch)).map(Some)
    }

    /// The file at `path`, opened now or earlier; `None` if it cannot be opened and that has been told.
    fn file(&mut self, path: &Path) -> io::Result<Option<usize>> {
        if let Some(&file) = self.paths.get(path) {
            return Ok(file);
        }
        let (contents, identity) = Contents::open(path, self.options.read_inputs)?;
        let slice = match self.slice(&path.display().to_string(), contents.bytes()) {
            Ok(slice) => slice,
            Err(error) => {
                self.problems.push(error);
                self.paths.insert(path.to_owned(), None);
                return Ok(None);
            }
        };
        let next = self.inputs.files.len();
        let file = *self.identities.entry(identity).or_insert(next);
        if file == next {
            self.inputs.files.push(File { storage: Storage::Owned(contents), members: Vec::new(), slice });
        }
        self.paths.insert(path.to_owned(), Some(file));
        self.inputs.paths.push(path.to_owned());
        Ok(Some(file))
    }

    /// Whether inputs may have so many places more looked at.
    fn may_look(&mut self, places: usize) -> bool {
        self.places = self.places.saturating_add(places);
        self.places <= PLACES
    }

    fn contents(&self, file: usize) -> &[u8] {
        self.inputs.files.get(file).map(File::bytes).unwrap_or_default()
    }

    /// Adds the file, found at `path`, as what it is.
    fn add(&mut self, file: usize, path: &Path, mode: Mode, rule: SonameRule) {
        let name = path.display().to_string();
        let default_soname = match rule {
            SonameRule::Path => name.clone(),
            SonameRule::FileName => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let item = |kind| {
            let (blob, implied, reexported_as) = (None, false, Vec::new());
            Item { file, name: name.clone(), default_soname, mode, kind, blob, implied, reexported_as }
        };
        // GNU ld and LLD take it for a linker script that says nothing; other formats have none.
        let scripts = self.options.target.is_none_or(|target| target.format == Format::Elf);
        match content(&name, self.contents(file)) {
            _ if scripts && self.contents(file).is_empty() => {}
            Content::Object => self.inputs.items.push(item(Kind::Object)),
            archive @ (Content::Archive | Content::ThinArchive) => {
                if archive == Content::ThinArchive {
                    self.open_members(file, path);
                }
                // With Mach-O the order of archives means nothing, so that one mention says what several do.
                let once = self.options.target.is_some_and(|target| target.format == Format::MachO);
                let next = self.inputs.items.len();
                let first = if once { *self.archives.entry(file).or_insert(next) } else { next };
                match self.inputs.items.get_mut(first) {
                    Some(first) => first.mode.whole_archive |= mode.whole_archive,
                    None => self.inputs.items.push(item(Kind::Archive)),
                }
            }
            Content::SharedLibrary => {
                let next = self.inputs.items.len();
                let first = *self.libraries.entry(file).or_insert(next);
                match self.inputs.items.get_mut(first) {
                    // It is needed as soon as one of its mentions says so. A role is not taken back.
                    Some(first) => {
                        first.mode.as_needed &= mode.as_needed;
                        first.mode.needed |= mode.needed;
                        if first.mode.role == LibraryRole::Plain {
                            first.mode.role = mode.role;
                        }
                    }
                    None => self.inputs.items.push(item(Kind::SharedLibrary)),
                }
            }
            Content::Text if is_definition_file(&name) => self.inputs.items.push(item(Kind::Definitions)),
            Content::Text => self.script(file, path, mode),
            Content::Refused(what) => self.refuse(&name, what),
        }
    }

    /// Opens the files of a thin archive, unless that has been done. Their paths are relative to the archive's.
    fn open_members(&mut self, file: usize, path: &Path) {
        let name = path.display().to_string();
        let directory = path.parent().unwrap_or(Path::new(""));
        let Some(archive) = self.inputs.files.get_mut(file).filter(|file| file.members.is_empty()) else { return };
        let members = match archive::thin_members(&name, archive.storage.bytes()) {
            Ok(members) => members,
            Err(error) => return self.problems.push(error),
        };
        let (mut opened, mut paths) = (Vec::new(), Vec::new());
        // A file is opened once, however many members it is; the system has a limit to mappings.
        let mut files: HashMap<PathBuf, Arc<Contents>> = HashMap::new();
        let mut identities: HashMap<Identity, Arc<Contents>> = HashMap::new();
        for (id, member) in members {
            let path = match path_from_bytes(member) {
                Some(member) => directory.join(member),
                None => {
                    let what = format!("thin archive: {:?} is no file name here", String::from_utf8_lossy(member));
                    self.problems.push(Error::unsupported(&name, what));
                    continue;
                }
            };
            if let Some(contents) = files.get(&path) {
                opened.push((id, Arc::clone(contents)));
                continue;
            }
            match Contents::open(&path, self.options.read_inputs) {
                Ok((contents, identity)) => {
                    let contents = identities.entry(identity).or_insert_with(|| Arc::new(contents));
                    opened.push((id, Arc::clone(contents)));
                    files.insert(path.clone(), Arc::clone(contents));
                    paths.push(path);
                }
                Err(error) => {
                    let what = format!("{error}; thin archive {name} names it");
                    self.problems.push(Error::read(&path, io::Error::new(error.kind(), what)));
                }
            }
        }
        archive.members = opened;
        self.inputs.paths.extend(paths);
    }

    /// Records that `path` cannot be opened, once.
    fn fail(&mut self, path: &Path, error: io::Error) {
        self.paths.insert(path.to_owned(), None);
        self.problems.push(Error::read(path, error));
    }

    fn refuse(&mut self, name: &str, what: &str) {
        self.problems.push(Error::unsupported(name, what));
    }
}

/// What the bytes of a file are. A definition file without any says nothing, and is one all the same.
fn content(name: &str, bytes: &[u8]) -> Content {
    if bytes.is_empty() && is_definition_file(name) { Content::Text } else { Content::of(bytes) }
}

#[cfg(unix)]
fn path_from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_from_bytes(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}
