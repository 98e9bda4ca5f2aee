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

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use indexmap::IndexSet;
use object::elf::{ELFCLASS32, ELFCLASS64, ELFMAG};

use super::content::Content;
use super::{File, Input, Inputs, Item, Kind, LibraryRole, Mode, Source, Storage, is_definition_file};
use crate::arch::{Bits, ElfMachine};
use crate::archive::{self, Archive};
use crate::blob::{self, Blob, Prepared};
use crate::bytes;
use crate::elf::script::{Script, ScriptFile};
use crate::elf::version::script::VersionScript;
use crate::error::{Error, Errors, Result};
use crate::macho;
use crate::map::{Contents, Identity};
use crate::options::{Format, Options, Target};
use crate::pe;
use crate::pe::definitions::Definitions;

/// How deep linker scripts may nest.
const SCRIPT_DEPTH: usize = 16;
/// How many files all linker scripts together may name.
const SCRIPT_INPUTS: usize = 1 << 16;
/// The largest linker script, in bytes.
const SCRIPT_SIZE: usize = 1 << 20;

/// Opens `inputs` in order. All problems are collected.
pub(super) fn open<'a>(inputs: Vec<Input<'a>>, options: &Options) -> Result<Inputs<'a>> {
    let macho = options.target.is_some_and(|target| target.format == Format::MachO);
    let search_paths = match &options.sysroot {
        Some(root) if macho => in_syslibroot(root, &options.search_paths, &["/usr/lib", "/usr/local/lib"]),
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
        scripts: Vec::new(),
        script_inputs: 0,
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
    search_paths: Vec<PathBuf>,
    inputs: Inputs<'a>,
    /// The files opened so far by path: indices into `inputs.files`, or `None` if the problem was told.
    paths: HashMap<PathBuf, Option<usize>>,
    /// The same by what the file is, whatever the path.
    identities: HashMap<Identity, usize>,
    /// The items that are shared libraries, by file.
    libraries: HashMap<usize, usize>,
    /// The scripts that are being expanded, the outermost first.
    scripts: Vec<ScriptPlace>,
    script_inputs: usize,
    problems: Vec<Error>,
}

/// A script that is being expanded.
struct ScriptPlace {
    file: usize,
    /// Where the script is.
    path: PathBuf,
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

    fn library(&mut self, name: &str, mode: Mode) {
        let candidates = match name.strip_prefix(':') {
            Some(file) => vec![file.to_owned()],
            None if self.is_for_windows() => pe_candidates(name, mode.static_only),
            None if mode.static_only => vec![format!("lib{name}.a")],
            // As Apple's linker has it: `-lcrt1.o` is the file of this name.
            None if self.is_for_macos() && name.ends_with(".o") => vec![name.to_owned()],
            None if self.is_for_macos() => {
                vec![format!("lib{name}.tbd"), format!("lib{name}.dylib"), format!("lib{name}.a")]
            }
            None => vec![format!("lib{name}.so"), format!("lib{name}.a")],
        };
        let mut unreadable = Vec::new();
        let found = self.search(&candidates, &mut unreadable);
        if let Some((path, file)) = found {
            self.inputs.warnings.extend(unreadable.iter().map(ToString::to_string));
            return self.add(file, &path, mode, SonameRule::FileName);
        }
        self.problems.extend(unreadable);
        self.problems.push(Error::LibraryNotFound { name: name.to_owned(), searched: self.search_paths.clone() });
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
        let decorated = if kind == Kind::Definitions { decorated(&name, bytes) } else { Vec::new() };
        self.inputs.items.push(Item {
            file,
            default_soname: name.clone(),
            name,
            mode,
            kind,
            blob: None,
            decorated,
            implied: false,
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
        let (kind, decorated) = (Kind::Blob, Vec::new());
        self.inputs.items.push(Item {
            file,
            default_soname,
            name,
            mode,
            kind,
            blob: prepared,
            decorated,
            implied: false,
        });
    }

    /// Whether a Windows image is made: it is asked for or, if nothing is, the first file that tells is of that kind.
    fn is_for_macos(&self) -> bool {
        self.options.target.is_some_and(|target| target.format == Format::MachO)
    }

    fn is_for_windows(&self) -> bool {
        if let Some(target) = self.options.target {
            return target.format == Format::Pe;
        }
        let first = self.inputs.items().find_map(|item| match Content::of(item.bytes) {
            Content::Object | Content::SharedLibrary => Some(pe::machine(item.bytes).is_some()),
            Content::Archive => {
                let mut members = item.archive().into_iter().flat_map(|archive| archive.members());
                let member = members.find_map(|member| member.ok().filter(|member| is_known(member.bytes)))?;
                Some(pe::machine(member.bytes).is_some())
            }
            _ => None,
        });
        first.unwrap_or(false)
    }

    /// Adds the libraries that objects and members of archives ask for by name, once each, as LLD finds them for MinGW: `NAME`, with `.lib` if it has
    /// no extension, then `libNAME.a`.
    fn default_libraries(&mut self) {
        if !self.is_for_windows() {
            return;
        }
        let mut wanted: IndexSet<Vec<u8>> = IndexSet::new();
        let (mut read, mut looked) = (0, 0);
        // What is found asks in its turn.
        while read < self.inputs.items.len() {
            for item in self.inputs.items().skip(read) {
                // Bytes in memory never cause a file to be opened.
                let owned = self.paths.contains_key(Path::new(item.name));
                match item.kind {
                    Kind::Object if owned => wanted.extend(pe::directives::default_libraries(item.bytes)),
                    Kind::Archive if owned && may_ask(&item) => {
                        let members = item.archive().into_iter().flat_map(|archive| archive.members());
                        for member in members.map_while(std::result::Result::ok) {
                            wanted.extend(pe::directives::default_libraries(member.bytes));
                        }
                    }
                    _ => {}
                }
            }
            read = self.inputs.items.len();
            while let Some(library) = wanted.get_index(looked).cloned() {
                looked = looked.saturating_add(1);
                self.default_library(library);
            }
        }
    }

    /// Adds a library that objects ask for by name, if it is found.
    fn default_library(&mut self, library: Vec<u8>) {
        // A name leads into the directories that are searched, and nowhere else.
        let name = std::str::from_utf8(&library).ok().filter(|name| !name.contains(['/', '\\', ':', '\0']));
        let Some(name) = name.filter(|name| !name.is_empty()) else { return };
        let file = if name.contains('.') { name.to_owned() } else { format!("{name}.lib") };
        let stem = file.rsplit_once('.').map_or(&*file, |(stem, _)| stem);
        let candidates = [file.clone(), format!("lib{stem}.a")];
        let mut unreadable = Vec::new();
        if let Some((path, file)) = self.search(&candidates, &mut unreadable) {
            self.add(file, &path, Mode::default(), SonameRule::FileName);
            self.inputs.default_libraries.insert(library);
        }
        self.problems.extend(unreadable);
    }

    /// The first of `names` in the first of the search paths that has one, with its path. What is there and cannot be
    /// read is passed over and added to `unreadable`.
    fn search(&mut self, names: &[String], unreadable: &mut Vec<Error>) -> Option<(PathBuf, usize)> {
        for directory in self.search_paths.clone() {
            for name in names {
                let path = directory.join(name);
                match self.file(&path) {
                    Ok(Some(file)) if self.is_foreign(file, &path) => {
                        let path = path.display();
                        self.inputs.warnings.push(format!("{path}: passed over in the search: for another machine"));
                    }
                    Ok(Some(file)) => return Some((path, file)),
                    Ok(None) => {}
                    Err(error) if is_absence(&error) => {}
                    Err(error) => unreadable.push(Error::read(&path, error)),
                }
            }
        }
        None
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
            let (blob, decorated) = (None, Vec::new());
            Item { file, name: name.clone(), default_soname, mode, kind, blob, decorated, implied: false }
        };
        // GNU ld and LLD take it for a linker script that says nothing; other formats have none.
        let scripts = self.options.target.is_none_or(|target| target.format == Format::Elf);
        match content(&name, self.contents(file)) {
            _ if scripts && self.contents(file).is_empty() => {}
            Content::Object => self.inputs.items.push(item(Kind::Object)),
            Content::Archive => self.inputs.items.push(item(Kind::Archive)),
            Content::ThinArchive => {
                self.open_members(file, path);
                self.inputs.items.push(item(Kind::Archive));
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
            Content::Text if is_definition_file(&name) => {
                let decorated = decorated(&name, self.contents(file));
                self.inputs.items.push(Item { decorated, ..item(Kind::Definitions) });
            }
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
        for (id, member) in members {
            let path = match path_from_bytes(member) {
                Some(member) => directory.join(member),
                None => {
                    let what = format!("thin archive: {:?} is no file name here", String::from_utf8_lossy(member));
                    self.problems.push(Error::unsupported(&name, what));
                    continue;
                }
            };
            match Contents::open(&path, self.options.read_inputs) {
                Ok((contents, _)) => {
                    opened.push((id, contents));
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

    /// Adds what a linker script names.
    fn script(&mut self, file: usize, path: &Path, mode: Mode) {
        let name = path.display().to_string();
        if self.scripts.iter().any(|script| script.file == file) {
            return self.refuse(&name, "linker script that names itself");
        }
        if self.scripts.len() >= SCRIPT_DEPTH {
            return self.refuse(&name, "linker script inside of too many others");
        }
        if self.contents(file).len() > SCRIPT_SIZE {
            return self.refuse(&name, "text file, too large for a linker script that names libraries");
        }
        let text = self.contents(file).to_vec();
        let script = match Script::parse(&name, &text) {
            Ok(script) => script,
            Err(error) => return self.problems.push(error),
        };
        for directory in script.search_paths {
            self.search_paths.push(in_sysroot(Path::new(directory), self.options));
        }
        self.inputs.versions.extend(script.versions);
        self.inputs.definitions.extend(script.definitions);
        self.inputs.required.extend(script.required.into_iter().map(str::to_owned));
        self.scripts.push(ScriptPlace { file, path: path.to_owned() });
        for input in script.inputs {
            self.script_inputs = self.script_inputs.saturating_add(1);
            if self.script_inputs > SCRIPT_INPUTS {
                self.refuse(&name, "linker script: scripts name too many files in all");
                break;
            }
            let mode = Mode { as_needed: mode.as_needed || input.as_needed, ..mode };
            match input.file {
                ScriptFile::Library(library) => self.library(library, mode),
                ScriptFile::Path(path) => self.script_path(path, mode),
            }
        }
        self.scripts.pop();
    }

    /// Adds the file that the innermost script calls `name`.
    ///
    /// An absolute path in a script that is inside of the system root is looked up there first; a relative one beside
    /// the script, in the current directory, and in the search paths.
    fn script_path(&mut self, name: &str, mode: Mode) {
        let script = self.scripts.last().map(|script| script.path.clone()).unwrap_or_default();
        let path = in_sysroot(Path::new(name), self.options);
        let mut places = Vec::new();
        if path.has_root() {
            places.extend(self.options.sysroot.as_deref().filter(|root| is_inside(&script, root)).map(|root| {
                let below = path.strip_prefix("/").unwrap_or(&path);
                (root.join(below), SonameRule::Path)
            }));
            places.push((path, SonameRule::Path));
        } else {
            let directory = script.parent().unwrap_or(Path::new(""));
            places.push((directory.join(&path), SonameRule::Path));
            places.extend(self.search_paths.iter().map(|directory| (directory.join(&path), SonameRule::FileName)));
            places.insert(1, (path, SonameRule::Path));
        }
        for (path, rule) in places {
            match self.file(&path) {
                Ok(Some(file)) => return self.add(file, &path, mode, rule),
                Ok(None) => return,
                Err(error) if is_absence(&error) => {}
                Err(error) => return self.fail(&path, error),
            }
        }
        let what = format!("no such file; linker script {} names it", script.display());
        let error = io::Error::new(ErrorKind::NotFound, what);
        self.problems.push(Error::read(Path::new(name), error));
    }

    /// Whether the file is for another machine than the one asked for, so that the search for a library passes over it.
    fn is_foreign(&self, file: usize, path: &Path) -> bool {
        let Some(target) = self.options.target else { return false };
        let bytes = self.contents(file);
        let name = path.display().to_string();
        if target.format == Format::MachO {
            // What is for another CPU is told when it is read: universal files have been cut to what is right.
            let library = matches!(Content::of(bytes), Content::Object | Content::SharedLibrary);
            return library && macho::content::of(bytes).is_none();
        }
        match Content::of(bytes) {
            Content::Object | Content::SharedLibrary => !is_for(bytes, target),
            Content::Archive => {
                let members = Archive::parse(&name, bytes).into_iter().flat_map(|archive| archive.members());
                let mut objects = members.map_while(Result::ok).filter(|member| is_known(member.bytes));
                objects.next().is_some_and(|member| !is_for(member.bytes, target))
            }
            Content::Text => {
                let script = bytes.get(..SCRIPT_SIZE).is_none().then(|| Script::parse(&name, bytes));
                let formats = script.and_then(Result::ok).map(|script| script.formats).unwrap_or_default();
                formats.first().is_some_and(|format| !is_format_for(format, target))
            }
            Content::ThinArchive | Content::Refused(_) => false,
        }
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

/// The symbols, as i386 decorates them, of what a definition file exports. What is wrong with it is told when it is read.
fn decorated(name: &str, text: &[u8]) -> Vec<Vec<u8>> {
    let definitions = Definitions::parse(name, text).unwrap_or_default();
    definitions.exports.iter().filter_map(|export| export.wanted()).map(|name| [&b"_"[..], name].concat()).collect()
}

/// Whether members of an archive may ask for libraries. That few do is found out faster than by reading all.
fn may_ask(item: &super::Opened<'_>) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(item.bytes, text).is_some();
    item.mode.whole_archive || !item.members.is_empty() || has(b"DEFAULTLIB") || has(b"defaultlib")
}

/// Whether an error says that nothing that could be linked is there.
fn is_absence(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidInput | InvalidFilename)
}

/// `path` with the system root in the place of `=` or `$SYSROOT` at its start.
fn in_sysroot(path: &Path, options: &Options) -> PathBuf {
    let below = match path.to_str() {
        Some(text) => text.strip_prefix('=').or_else(|| text.strip_prefix("$SYSROOT")),
        None => None,
    };
    match (below, &options.sysroot) {
        (None, _) => path.to_owned(),
        (Some(below), None) => PathBuf::from(below),
        (Some(below), Some(root)) => root.join(below.trim_start_matches('/')),
    }
}

/// The directories to search for a macOS image: of those with a root of their own, what is in the system root takes their
/// place if it is there; the system's own come last.
fn in_syslibroot(root: &Path, paths: &[PathBuf], system: &[&str]) -> Vec<PathBuf> {
    let below = |path: &Path| {
        let inside = path.has_root().then(|| root.join(path.strip_prefix("/").unwrap_or(path)));
        inside.filter(|inside| inside.is_dir())
    };
    let given = paths.iter().map(|path| below(path).unwrap_or_else(|| path.clone()));
    let own = system.iter().filter_map(|path| below(Path::new(path)));
    given.chain(own).collect()
}

/// Whether `path` is below the directory `root`, as written or in fact.
fn is_inside(path: &Path, root: &Path) -> bool {
    let in_fact = || Some(path.canonicalize().ok()?.starts_with(root.canonicalize().ok()?));
    path.starts_with(root) || in_fact().unwrap_or(false)
}

/// The files that a library's name may mean on Windows, in the order in which MinGW's linkers look for them.
fn pe_candidates(name: &str, static_only: bool) -> Vec<String> {
    let imports = [format!("lib{name}.dll.a"), format!("{name}.dll.a")];
    let archives = [format!("lib{name}.a"), format!("{name}.lib")];
    let libraries = [format!("lib{name}.dll"), format!("{name}.dll")];
    if static_only { archives.into() } else { [&imports[..], &archives, &libraries].concat() }
}

/// Whether a member of an archive tells by its first bytes what machine it is for.
fn is_known(member: &[u8]) -> bool {
    member.starts_with(&ELFMAG) || pe::machine(member).is_some()
}

/// Whether an object or library is for the target's machine.
fn is_for(file: &[u8], target: Target) -> bool {
    if target.format == Format::Pe {
        return pe::machine(file) == Some(pe::machine_of(target.arch));
    }
    let machine = ElfMachine::of(target.arch);
    let class = if machine.bits == Bits::B64 { ELFCLASS64 } else { ELFCLASS32 };
    file.get(4) == Some(&class.0) && bytes::u16(file, 18) == Some(machine.machine.0)
}

/// Whether an output format, by BFD's name, is for the target's machine.
fn is_format_for(format: &str, target: Target) -> bool {
    // FreeBSD and Solaris have names of their own, which start with the general one.
    format.starts_with(ElfMachine::of(target.arch).bfd_name)
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
