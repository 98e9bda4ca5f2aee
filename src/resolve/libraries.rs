//! Shared libraries: what each is to the image, and whom it speaks for.

use std::collections::{HashMap, HashSet, VecDeque};

use indexmap::IndexSet;

use super::Resolver;
use super::parse::Parsed;
use crate::input::LibraryRole;
use crate::library::{Export, SharedLibrary};
use crate::options::Target;
use crate::symbols::{Definition, GlobalFlags, Symbols};

/// A shared library that the image may refer to.
#[derive(Debug)]
pub(crate) struct Library<'a> {
    /// What can be looked up in it.
    pub(crate) shared: SharedLibrary<'a>,
    /// It is to be asked for whether or not something is used of it.
    pub(super) wanted: bool,
    /// The image asks the loader for it.
    pub(crate) needed: bool,
    /// The names by which other libraries re-export it, beside its own.
    pub(super) reexported_as: &'a [String],
    /// The numbers of the given libraries that it re-exports.
    pub(super) reexports: Vec<u32>,
    /// It is asked for names. A library that was only found because others re-export it is asked through these.
    pub(crate) asked: bool,
    /// What it is to the image (Mach-O).
    pub(crate) role: LibraryRole,
    /// It stays even if nothing is used of it and such libraries are left out (Mach-O).
    pub(crate) stays: bool,
}

impl<'a> Library<'a> {
    /// A library as ordinary ones are.
    pub(super) fn new(shared: SharedLibrary<'a>, wanted: bool) -> Self {
        Self {
            shared,
            wanted,
            needed: wanted,
            reexported_as: &[],
            reexports: Vec::new(),
            asked: true,
            role: LibraryRole::Plain,
            stays: false,
        }
    }
}

/// Marks the libraries that are to be asked for, and those that define something the image needs.
pub(crate) fn mark_needed(libraries: &mut [Library<'_>], symbols: &Symbols<'_>) {
    libraries.iter_mut().for_each(|library| library.needed = library.wanted);
    let needs = GlobalFlags::STRONG_REFERENCE.and(GlobalFlags::IN_OBJECT);
    for (_, global) in symbols.iter().filter(|(_, global)| global.flags.has(needs)) {
        if let Definition::Library(library, _) = global.definition {
            libraries[library as usize].needed = true;
        }
    }
}

/// Looks for a name in one library after the other, and in those that these re-export.
#[derive(Debug)]
pub(crate) struct Search<'l, 'a> {
    libraries: &'l [Library<'a>],
    name: &'l [u8],
    version: Option<&'l [u8]>,
    target: Option<Target>,
    /// Those that have been asked because others re-export them. None is asked so twice, and circles come to an end.
    reached: HashSet<u32>,
    /// How many have been asked or come to.
    pub(super) steps: u64,
}

impl<'l, 'a> Search<'l, 'a> {
    /// Of a name and, if it matters, its version.
    pub(crate) fn new(
        libraries: &'l [Library<'a>],
        name: &'l [u8],
        version: Option<&'l [u8]>,
        target: Option<Target>,
    ) -> Self {
        Self { libraries, name, version, target, reached: HashSet::new(), steps: 0 }
    }

    /// What a library, or one of the given libraries that it re-exports, defines, if none of those asked before does.
    pub(crate) fn find_in(&mut self, library: u32) -> Option<Export> {
        let mut next = library;
        let mut waiting = VecDeque::new();
        loop {
            self.steps += 1;
            let library = self.libraries.get(next as usize)?;
            if let Some(export) = library.shared.lookup(self.name, self.version, self.target) {
                return Some(export);
            }
            self.steps += library.reexports.len() as u64;
            waiting.extend(library.reexports.iter().copied().filter(|number| self.reached.insert(*number)));
            next = waiting.pop_front()?;
        }
    }
}

impl<'a> Resolver<'a> {
    /// Takes out of the inputs the libraries that may re-export each other, since one that is asked may lead to any of them: those
    /// first that are there for nothing else, then those that are asked, which leave their numbers behind.
    pub(super) fn know_libraries(&mut self, parsed: Vec<Parsed<'a>>) -> Vec<Parsed<'a>> {
        let (implied, asked): (Vec<_>, Vec<_>) =
            parsed.into_iter().partition(|item| matches!(item, Parsed::Library(library) if !library.asked));
        let mut rest = Vec::with_capacity(asked.len());
        for item in implied.into_iter().chain(asked) {
            match item {
                Parsed::Library(library) if library.shared.install_name().is_some() => {
                    rest.extend(library.asked.then_some(Parsed::Known(self.libraries.len() as u32)));
                    self.libraries.push(*library);
                }
                other => rest.push(other),
            }
        }
        let mut numbers: HashMap<&[u8], u32> = HashMap::new();
        for (number, library) in (0..).zip(&self.libraries) {
            if let Some(name) = library.shared.install_name() {
                numbers.entry(name).or_insert(number);
            }
        }
        // One that is called so itself is meant first.
        for (number, library) in (0..).zip(&self.libraries) {
            for name in library.reexported_as {
                numbers.entry(name.as_bytes()).or_insert(number);
            }
        }
        let reexports = |library: &Library<'_>| -> IndexSet<u32> {
            library.shared.reexports().filter_map(|name| numbers.get(name).copied()).collect()
        };
        let reexports: Vec<_> = self.libraries.iter().map(reexports).collect();
        for (library, reexports) in self.libraries.iter_mut().zip(reexports) {
            library.reexports = reexports.into_iter().collect();
        }
        rest
    }
}
