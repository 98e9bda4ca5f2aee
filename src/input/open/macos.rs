//! Where the libraries of macOS are: frameworks, and libraries that others re-export.
//!
//! A framework is a directory `NAME.framework` in which the library, or its text stub, has the directory's name. A library
//! that re-exports another one names that by its install name: what it has counts as its own, so it has to be found without
//! having been named. Its place is looked for as Apple's linker and LLD do: by the last part of the name where libraries
//! are searched, then where the name says.

use std::path::{Path, PathBuf};

use indexmap::IndexSet;

use super::search::{in_syslibroot, is_absence};
use super::{File, Opener, SonameRule};
use crate::error::Error;
use crate::input::content::Content;
use crate::input::{Kind, Mode};
use crate::macho::content::{Wanted, wanted};
use crate::macho::library::Library;
use crate::options::{Format, Options};

/// How many libraries may be found through re-exports, in all.
const REEXPORTS: usize = 1 << 12;
/// Directories that are searched for frameworks if nothing else has one.
const FRAMEWORKS: [&str; 2] = ["/Library/Frameworks", "/System/Library/Frameworks"];

/// The directories to search for frameworks.
fn framework_paths(options: &Options) -> Vec<PathBuf> {
    let given = options.macho.framework_paths.as_slice();
    match &options.sysroot {
        Some(root) => in_syslibroot(root, given, &FRAMEWORKS),
        None => given.to_vec(),
    }
}

/// The files in a framework's directory that may be its library.
fn framework_files(name: &str) -> [PathBuf; 2] {
    let directory = PathBuf::from(format!("{name}.framework"));
    [directory.join(format!("{name}.tbd")), directory.join(name)]
}

impl Opener<'_, '_> {
    /// Whether a macOS image is asked for.
    pub(super) fn is_for_macos(&self) -> bool {
        self.options.target.is_some_and(|target| target.format == Format::MachO)
    }

    /// Adds the library of a framework.
    pub(super) fn framework(&mut self, name: &str, mode: Mode) {
        let searched = framework_paths(self.options);
        let files = searched.iter().flat_map(|directory| framework_files(name).map(|file| directory.join(file)));
        match self.first_of(&files.collect::<Vec<_>>()) {
            Some((path, file)) => self.add(file, &path, mode, SonameRule::FileName),
            None => self.problems.push(Error::LibraryNotFound { name: format!("framework {name}"), searched }),
        }
    }

    /// Adds the libraries that objects ask for by name, once each. The loader is to load them if something of them is used. What
    /// is not found was not needed, or what it has is undefined in the end.
    pub(super) fn automatic_libraries(&mut self) {
        let macho = &self.options.macho;
        if !macho.auto_link || self.options.target.is_none_or(|target| target.format != Format::MachO) {
            return;
        }
        let mut all: IndexSet<Wanted> = IndexSet::new();
        let (mut read, mut looked) = (0, 0);
        // Each library is looked for once, so circles come to an end.
        loop {
            for item in self.inputs.items().skip(read) {
                match item.kind {
                    _ if item.in_memory => {}
                    Kind::Object => all.extend(wanted(item.bytes)),
                    // Which members take part is not known yet. A library that only others ask for is one that nothing of
                    // is used, which is not named to the loader.
                    Kind::Archive => {
                        let members = item.archive().into_iter().flat_map(|archive| archive.members());
                        members.map_while(Result::ok).for_each(|member| all.extend(wanted(member.bytes)));
                    }
                    _ => {}
                }
            }
            read = self.inputs.items.len();
            let Some(wanted) = all.get_index(looked).cloned() else { break };
            looked = looked.saturating_add(1);
            let (Wanted::Library(name) | Wanted::Framework(name)) = &wanted;
            // A name leads into the directories that are searched, and nowhere else.
            let ignored = macho.auto_link_ignored.contains(name);
            if name.is_empty() || name.contains(['/', '\\', ':', '\0']) || ignored {
                continue;
            }
            let files: Vec<PathBuf> = match wanted {
                Wanted::Library(name) => {
                    let files = ["tbd", "dylib", "a"].map(|extension| format!("lib{name}.{extension}"));
                    self.search_paths.iter().flat_map(|path| files.iter().map(|file| path.join(file))).collect()
                }
                Wanted::Framework(name) => {
                    let paths = framework_paths(self.options);
                    paths.iter().flat_map(|path| framework_files(&name).map(|file| path.join(file))).collect()
                }
            };
            if let Some((path, file)) = self.first_of(&files) {
                self.add(file, &path, Mode { as_needed: true, ..Mode::default() }, SonameRule::FileName);
            }
        }
    }

    /// Adds the libraries that those of macOS re-export and nobody has named, and those that these re-export.
    pub(super) fn reexports(&mut self) {
        if self.options.target.is_none_or(|target| target.format != Format::MachO) {
            return;
        }
        let mut number = 0;
        // Each file is added once, so circles come to an end.
        while number < self.inputs.items.len() {
            self.reexported(number);
            number = number.saturating_add(1);
        }
    }

    /// Adds the libraries that an item re-exports from other files.
    fn reexported(&mut self, number: usize) {
        let Some(item) = self.inputs.items.get(number).filter(|item| item.kind == Kind::SharedLibrary) else { return };
        // Bytes in memory never cause a file to be opened.
        if self.inputs.files.get(item.file).is_none_or(File::is_in_memory) {
            return;
        }
        let bytes = self.contents(item.file);
        if Library::is_closed(bytes) {
            return;
        }
        // What is malformed is told when it is read.
        let Ok(library) = Library::parse(&item.name, bytes) else { return };
        let directory = Path::new(&item.name).parent().unwrap_or(Path::new("")).to_owned();
        let names: IndexSet<String> =
            library.reexports().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let rpaths = library.rpaths().to_vec();
        for name in names {
            let places = self.places(&name, &directory, &rpaths);
            if !self.may_look(places.len()) {
                let file = self.inputs.items.get(number).map(|item| item.name.clone()).unwrap_or_default();
                return self.refuse(&file, "libraries that others re-export have too many places in all");
            }
            self.reexport(number, name, &places);
        }
    }

    /// Where the library with an install name may be, if one in `directory` that has these `rpaths` re-exports it.
    fn places(&self, name: &str, directory: &Path, rpaths: &[String]) -> Vec<PathBuf> {
        let mut places = Vec::new();
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if name.contains(&format!("{stem}.framework/")) {
            let directories = framework_paths(self.options);
            places.extend(directories.iter().flat_map(|path| framework_files(stem).map(|file| path.join(file))));
        } else if !stem.is_empty() {
            let files = [format!("{stem}.tbd"), format!("{stem}.dylib")];
            places.extend(self.search_paths.iter().flat_map(|path| files.iter().map(|file| path.join(file))));
        }
        let mut named = |path: PathBuf| places.extend([path.with_extension("tbd"), path]);
        let below = |start: &str| Some(name.strip_prefix(start)?.trim_start_matches('/').to_owned());
        if let Some(rest) = below("@rpath") {
            for rpath in rpaths {
                let path = match rpath.strip_prefix("@loader_path") {
                    Some(inside) => directory.join(inside.trim_start_matches('/')),
                    None => PathBuf::from(rpath),
                };
                named(path.join(&rest));
            }
        } else if let Some(rest) = below("@loader_path") {
            named(directory.join(rest));
        } else if name.starts_with('/') {
            // What is not in the system root may be where the image will find it, as libraries that were just made are.
            if let Some(root) = &self.options.sysroot {
                named(root.join(name.trim_start_matches('/')));
            }
            named(PathBuf::from(name));
        }
        places
    }

    /// Adds the library that the item `number` re-exports by a name, from the first of `places` that has it.
    fn reexport(&mut self, number: usize, name: String, places: &[PathBuf]) {
        if self.libraries.len() >= REEXPORTS {
            let file = self.inputs.items.get(number).map(|item| item.name.clone()).unwrap_or_default();
            return self.refuse(&file, "libraries re-export too many others in all");
        }
        let Some((path, file)) = self.first_of(places) else { return };
        if !matches!(Content::of(self.contents(file)), Content::SharedLibrary) {
            return;
        }
        let before = self.inputs.items.len();
        self.add(file, &path, Mode::default(), SonameRule::FileName);
        if let Some(item) = self.inputs.items.get_mut(before) {
            item.implied = true;
        }
        if let Some(item) = self.libraries.get(&file).and_then(|item| self.inputs.items.get_mut(*item)) {
            item.reexported_as.push(name);
        }
    }

    /// The first of these files that is there.
    fn first_of(&mut self, paths: &[PathBuf]) -> Option<(PathBuf, usize)> {
        for path in paths {
            match self.file(path) {
                Ok(Some(file)) => return Some((path.clone(), file)),
                Ok(None) => return None,
                Err(error) if is_absence(&error) => {}
                Err(error) => {
                    self.fail(path, error);
                    return None;
                }
            }
        }
        None
    }
}
