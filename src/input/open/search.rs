//! Libraries that are asked for by name, and where they are searched.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use object::elf::{ELFCLASS32, ELFCLASS64, ELFMAG};

use super::script::SCRIPT_SIZE;
use super::{Opener, SonameRule};
use crate::arch::{Bits, ElfMachine};
use crate::archive::Archive;
use crate::bytes;
use crate::elf::script::Script;
use crate::error::{Error, SHOWN};
use crate::input::Mode;
use crate::input::content::Content;
use crate::macho;
use crate::options::{Format, Options, Target};
use crate::pe;

impl Opener<'_, '_> {
    pub(super) fn library(&mut self, name: &str, mode: Mode) {
        let candidates = match name.strip_prefix(':') {
            Some(file) => vec![file.to_owned()],
            None if self.is_for_windows() => {
                pe_candidates(name, self.options.pe.dll_search_prefix.as_deref(), mode.static_only)
            }
            None if mode.static_only => vec![format!("lib{name}.a")],
            // As Apple's linker has it: `-lcrt1.o` is the file of this name.
            None if self.is_for_macos() && name.ends_with(".o") => vec![name.to_owned()],
            None if self.is_for_macos() => {
                [".tbd", ".dylib", ".so", ".a"].map(|extension| format!("lib{name}{extension}")).into()
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
        // Of problems that are only counted nobody will read the places.
        let told = self.problems.len() < SHOWN;
        let searched = if told { self.search_paths.iter().cloned().collect() } else { Vec::new() };
        self.problems.push(Error::LibraryNotFound { name: name.to_owned(), searched });
    }

    /// The first of `names` in the first of the search paths that has one, with its path. What is there and cannot be
    /// read is passed over and added to `unreadable`.
    pub(super) fn search(&mut self, names: &[String], unreadable: &mut Vec<Error>) -> Option<(PathBuf, usize)> {
        let mut number = 0;
        while let Some(directory) = self.search_paths.get_index(number) {
            let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
            number = number.saturating_add(1);
            for path in paths {
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
                let script = (bytes.len() <= SCRIPT_SIZE).then(|| Script::parse(&name, bytes));
                let formats = script.and_then(Result::ok).map(|script| script.formats).unwrap_or_default();
                formats.first().is_some_and(|format| !is_format_for(format, target))
            }
            Content::ThinArchive | Content::Refused(_) => false,
        }
    }
}

/// Whether an error says that nothing that could be linked is there.
pub(super) fn is_absence(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidInput | InvalidFilename)
}

/// `path` with the system root in the place of `=` or `$SYSROOT` at its start.
pub(crate) fn in_sysroot(path: &Path, options: &Options) -> PathBuf {
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
pub(super) fn in_syslibroot(root: &Path, paths: &[PathBuf], system: &[&str]) -> Vec<PathBuf> {
    let below = |path: &Path| {
        let inside = path.has_root().then(|| root.join(path.strip_prefix("/").unwrap_or(path)));
        inside.filter(|inside| inside.is_dir())
    };
    let given = paths.iter().map(|path| below(path).unwrap_or_else(|| path.clone()));
    let own = system.iter().filter_map(|path| below(Path::new(path)));
    given.chain(own).collect()
}

/// The files that a library's name may mean on Windows, in the order in which MinGW's linkers look for them.
fn pe_candidates(name: &str, prefix: Option<&str>, static_only: bool) -> Vec<String> {
    let imports = [format!("lib{name}.dll.a"), format!("{name}.dll.a")];
    let archives = [format!("lib{name}.a"), format!("{name}.lib")];
    let libraries = [format!("lib{name}.dll"), format!("{name}.dll")];
    let prefixed: Vec<String> = prefix.map(|prefix| format!("{prefix}{name}.dll")).into_iter().collect();
    if static_only { archives.into() } else { [&imports[..], &archives, &prefixed, &libraries].concat() }
}

/// Whether a member of an archive tells by its first bytes what machine it is for.
pub(super) fn is_known(member: &[u8]) -> bool {
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
