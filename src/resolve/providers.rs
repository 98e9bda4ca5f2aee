//! Who defines a name that no object defines yet: archives, which give members, and shared libraries.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::bracketed::Bracketed;
use super::{Library, Resolver, Search, require};
use crate::archive::{Archive, Index, Member, MemberId};
use crate::error::{Error, Result};
use crate::format;
use crate::library::SharedLibrary;
use crate::link::over;
use crate::macho;
use crate::model::{GlobalId, InputName, Object, SymbolKind, Visibility};
use crate::options::{Format, Limits, Options, number};
use crate::pe;
use crate::symbols::{Definition, Global, GlobalFlags};

/// An archive whose members take part when they are needed.
#[derive(Debug)]
pub(crate) struct Lazy<'a> {
    pub(super) name: &'a str,
    pub(super) archive: Archive<'a>,
    pub(super) index: Index<'a>,
    pub(super) taken: HashSet<MemberId>,
    /// Members that tell of imports, with the libraries they are of.
    pub(super) imports: HashMap<MemberId, u32>,
    /// The libraries that such members are of, by the names of the DLLs.
    pub(super) dlls: HashMap<&'a [u8], u32>,
    /// Bytes of members that are not taken yet.
    pub(super) left: u64,
    pub(super) hide: bool,
}

impl<'a> Lazy<'a> {
    /// Reads a member that is taken.
    fn object(&mut self, name: &'a [u8], bytes: &'a [u8]) -> Result<Object<'a>, Error> {
        // An index may lead into a member, and a member that is taken there reach over others.
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| Error::malformed(self.name, "malformed archive: its members overlap"))?;
        let name = InputName { file: self.name, member: Some(Cow::Borrowed(name)) };
        let mut object = format::parse(name, bytes)?;
        object.hide_symbols = self.hide;
        Ok(object)
    }
}

/// Who may define a name that nothing defines yet, in command-line order.
pub(super) enum Provider<'a> {
    Archive(Box<Lazy<'a>>),
    Bracketed(Box<Bracketed<'a>>),
    Library(u32),
}

impl<'a> Provider<'a> {
    /// Whether it has an object that defines a name.
    pub(super) fn could_define(&self, name: &[u8]) -> bool {
        match self {
            Provider::Archive(lazy) => lazy.index.definer(name).is_some(),
            Provider::Bracketed(objects) => objects.definer(name).is_some(),
            Provider::Library(_) => false,
        }
    }

    /// A name that one of its objects defines.
    pub(super) fn name(&self, name: &[u8]) -> Option<&'a [u8]> {
        match self {
            Provider::Archive(lazy) => lazy.index.symbol(name),
            Provider::Bracketed(objects) => objects.name(name),
            Provider::Library(_) => None,
        }
    }

    /// Whether it has objects that take part when they are needed.
    pub(super) fn has_objects(&self) -> bool {
        !matches!(self, Provider::Library(_))
    }
}

/// What a provider answers.
pub(super) enum Answer<'a> {
    /// It does not have the name.
    No,
    /// It gives the name: as a library, or with a member that is on its way.
    Given,
    /// It gives the name with this member.
    Member(Box<Object<'a>>),
}

/// The names by which archives may have what a symbol means: one with a version is defined as such, or as the default one.
fn sought<'n>(global: &Global<'n>) -> [Option<Cow<'n, [u8]>>; 2] {
    match global.version() {
        None => [Some(Cow::Borrowed(global.name)), None],
        Some(version) => {
            [Some(Cow::Borrowed(global.full_name())), Some(Cow::Owned([global.name, b"@@", version].concat()))]
        }
    }
}

/// Counts questions that are asked of archives and libraries.
///
/// # Errors
/// More of them than the limit.
pub(super) fn count_lookups(lookups: &mut u64, questions: u64, limits: &Limits) -> Result<(), Error> {
    *lookups = lookups.saturating_add(questions);
    over("lookups", "the number of names looked up in archives and libraries", *lookups, limits.lookups)
}

impl<'a> Resolver<'a> {
    /// Asks one provider for a symbol.
    pub(super) fn ask(&mut self, number: usize, id: GlobalId) -> Result<Answer<'a>> {
        if !self.symbols.is_wanted(id) {
            return Ok(Answer::Given);
        }
        let global = self.symbols.get(id);
        if !matches!(self.providers.get(number), Some(Provider::Library(_))) {
            count_lookups(&mut self.lookups, 1, &self.limits)?;
        }
        let target = self.target.as_ref().map(|(target, _)| *target);
        let takes_member = global.flags.has(GlobalFlags::STRONG_REFERENCE) || format::weak_takes_member(target);
        match &mut self.providers[number] {
            Provider::Archive(lazy) => {
                if !takes_member {
                    return Ok(Answer::No);
                }
                let mut sought = sought(global).into_iter().flatten();
                let Some(member) = sought.find_map(|name| lazy.index.definer(&name)) else { return Ok(Answer::No) };
                if format::is_made(target, global.name) {
                    return Ok(Answer::No);
                }
                if !lazy.taken.insert(member) && !lazy.imports.contains_key(&member) {
                    return Ok(Answer::Given);
                }
                self.take(number, id, member)
            }
            Provider::Bracketed(objects) => {
                let mut sought = sought(global).into_iter().flatten().filter(|_| takes_member);
                let Some(number) = sought.find_map(|name| objects.definer(&name)) else { return Ok(Answer::No) };
                // One that has been taken is on its way.
                Ok(objects.take(number).map_or(Answer::Given, |object| Answer::Member(Box::new(object))))
            }
            Provider::Library(library) => {
                // What must not be seen from outside cannot come from there.
                let strong = global.flags.has(GlobalFlags::STRONG_REFERENCE);
                if global.visibility != Visibility::Default || !(strong || format::weak_takes_library(target)) {
                    return Ok(Answer::No);
                }
                let library = *library;
                let mut search = Search::new(&self.libraries, global.name, global.version(), target);
                let found = search.find_in(library);
                count_lookups(&mut self.lookups, search.steps, &self.limits)?;
                let Some(export) = found else { return Ok(Answer::No) };
                // Of weak definitions the first one stays.
                if export.coalesced && global.definition != Definition::Undefined {
                    return Ok(Answer::No);
                }
                let global = self.symbols.get_mut(id);
                global.definition = Definition::Library(library, export.version);
                if export.kind != SymbolKind::None {
                    global.kind = export.kind;
                }
                let flags = global.flags.without(GlobalFlags::WEAK_DEFINITION);
                global.flags = flags.when(export.coalesced, GlobalFlags::WEAK_DEFINITION);
                // Others may have something better.
                Ok(if self.symbols.is_wanted(id) { Answer::No } else { Answer::Given })
            }
        }
    }

    /// Takes the member that defines the entry point, if nothing does and its name is no address (ELF; Windows:
    /// [`supply_exports`](Self::supply_exports)).
    pub(super) fn supply_entry(&mut self, options: &'a Options) -> Result<()> {
        let is_elf = self.target.as_ref().is_some_and(|(target, _)| target.format == Format::Elf);
        let entry = options.entry.as_deref().filter(|name| is_elf && number(name).is_none());
        let Some(name) = entry.map(str::as_bytes) else { return Ok(()) };
        let Some(number) = self.providers.iter().position(|provider| provider.could_define(name)) else {
            return Ok(());
        };
        let Some(id) = require(&mut self.symbols, name) else { return Ok(()) };
        match self.ask(number, id)? {
            Answer::Member(member) => self.enter(&mut VecDeque::from([*member])),
            Answer::No | Answer::Given => Ok(()),
        }
    }

    /// Takes the members of archives that shared libraries need, where no input defines what they miss.
    pub(super) fn supply_libraries(&mut self) -> Result<()> {
        // Without archives nobody need look at all names of all libraries.
        if !self.providers.iter().any(Provider::has_objects) {
            return Ok(());
        }
        let mut missed = Vec::new();
        for library in &self.libraries {
            missed.extend(
                library.shared.undefined().filter(|name| self.providers.iter().any(|it| it.could_define(name))),
            );
        }
        let target = self.target.as_ref().map(|(target, _)| *target);
        for name in missed {
            if self.symbols.find(name).is_some_and(|(_, global)| global.definition != Definition::Undefined) {
                continue;
            }
            let mut search = Search::new(&self.libraries, name, None, target);
            let first = self.providers.iter().position(|provider| match provider {
                Provider::Library(number) => search.find_in(*number).is_some(),
                objects => objects.could_define(name),
            });
            count_lookups(&mut self.lookups, self.providers.len() as u64, &self.limits)?;
            // What another library has is not for the image to import.
            let Some(number) = first.filter(|number| self.providers[*number].has_objects()) else {
                continue;
            };
            let Some(id) = require(&mut self.symbols, name) else { continue };
            if let Answer::Member(member) = self.ask(number, id)? {
                self.enter(&mut VecDeque::from([*member]))?;
            }
        }
        Ok(())
    }

    /// Has import libraries tell of the slots of what is left undefined: it may be data that a DLL has, which only a slot
    /// stands for.
    pub(super) fn import_automatically(&mut self, options: &Options) -> Result<()> {
        let target = self.target.as_ref().map(|(target, _)| *target);
        if !format::imports_automatically(target) {
            return Ok(());
        }
        let undefined: Vec<GlobalId> = self
            .symbols
            .iter()
            .filter(|(_, global)| global.definition == Definition::Undefined)
            .filter(|(_, global)| global.flags.has(GlobalFlags::STRONG_REFERENCE))
            .map(|(id, _)| id)
            .collect();
        for id in undefined.iter().copied() {
            let slot = [pe::library::SLOT_PREFIX, self.symbols.get(id).name].concat();
            if !options.pe.auto_import {
                let archives = self.providers.iter().filter_map(|provider| match provider {
                    Provider::Archive(lazy) => Some(lazy),
                    Provider::Bracketed(_) | Provider::Library(_) => None,
                });
                let mut having = archives.filter(|lazy| lazy.index.definer(&slot).is_some());
                self.importable.extend(having.next().map(|lazy| (id, lazy.name.to_owned())));
                continue;
            }
            for number in 0..self.providers.len() {
                count_lookups(&mut self.lookups, 1, &self.limits)?;
                let Provider::Archive(lazy) = &mut self.providers[number] else { continue };
                let Some(member) = lazy.index.definer(&slot).filter(|member| lazy.taken.insert(*member)) else {
                    continue;
                };
                if let Answer::Member(object) = self.take(number, id, member)? {
                    self.enter(&mut VecDeque::from([*object]))?;
                }
                break;
            }
        }
        // Start code that is there brings this along; else it is looked for where something has to be corrected.
        let relocator = pe::pseudo::relocator(target.map(|target| target.arch));
        if options.pe.auto_import && options.pe.pseudo_relocs && self.symbols.find(relocator).is_none() {
            let candidates: HashSet<GlobalId> = undefined
                .iter()
                .copied()
                .filter(|id| self.symbols.get(*id).definition == Definition::Undefined)
                .collect();
            if pe::pseudo::is_needed(&self.objects, &self.symbols, &self.libraries, &candidates) {
                let id = self.symbols.intern(relocator);
                self.symbols.get_mut(id).flags.set(GlobalFlags::STRONG_REFERENCE);
                let member = self.ask_in(&self.order(), id)?;
                self.enter(&mut member.into_iter().collect())?;
            }
        }
        Ok(())
    }

    /// Takes a member of an archive for the sake of a symbol.
    pub(super) fn take(&mut self, number: usize, id: GlobalId, member: MemberId) -> Result<Answer<'a>> {
        let Provider::Archive(lazy) = &mut self.providers[number] else { return Ok(Answer::No) };
        let Member { name, bytes, .. } = lazy.archive.member(member)?;
        if pe::library::is_short_import(bytes) {
            return self.import(number, id, member, name, bytes);
        }
        Ok(Answer::Member(Box::new(lazy.object(name, bytes)?)))
    }

    /// Takes the members of archives, and objects that are as such, that take part though nobody asks for them by name: those of
    /// Objective-C, if all of these are wanted.
    pub(super) fn take_unasked(&mut self, number: usize) -> Result<()> {
        let Some(known) = &mut self.objc_archives else { return Ok(()) };
        let is_class = |name: &[u8]| macho::objc::is_class(name);
        let mut queue = VecDeque::new();
        match self.providers.get_mut(number) {
            Some(Provider::Archive(lazy)) if known.insert(lazy.name) => {
                let classes: HashSet<MemberId> =
                    lazy.index.iter().filter(|(name, _)| is_class(name)).map(|(_, id)| id).collect();
                for member in lazy.archive.members() {
                    let Member { id, name, bytes } = member?;
                    if (classes.contains(&id) || macho::objc::is_found_by_name(bytes)) && lazy.taken.insert(id) {
                        queue.push_back(lazy.object(name, bytes)?);
                    }
                }
            }
            Some(Provider::Bracketed(objects)) => {
                let classes: HashSet<usize> =
                    objects.names().filter(|(name, _)| is_class(name)).map(|(_, number)| number).collect();
                let is_wanted = |number: usize, object: &Object<'_>| {
                    classes.contains(&number) || macho::objc::has_what_is_found_by_name(object)
                };
                queue.extend(objects.take_all(is_wanted));
            }
            _ => {}
        }
        self.enter(&mut queue)
    }

    /// Takes a definition from a member of an import library in short form, which is no object: it tells of one import of
    /// a DLL.
    pub(super) fn import(
        &mut self,
        number: usize,
        id: GlobalId,
        member: MemberId,
        name: &'a [u8],
        bytes: &'a [u8],
    ) -> Result<Answer<'a>> {
        let Provider::Archive(lazy) = &mut self.providers[number] else { return Ok(Answer::No) };
        let place = || InputName { file: lazy.name, member: Some(Cow::Borrowed(name)) };
        let import = pe::library::ShortImport::parse(bytes).map_err(|what| Error::malformed(place(), what))?;
        let libraries = &mut self.libraries;
        let library = *lazy.dlls.entry(import.dll).or_insert_with(|| {
            let shared = SharedLibrary::Pe(pe::library::Library::short(lazy.name, &import));
            libraries.push(Library::new(shared, false));
            libraries.len() as u32 - 1
        });
        lazy.imports.insert(member, library);
        let Some(Library { shared: SharedLibrary::Pe(shared), .. }) = libraries.get_mut(library as usize) else {
            return Ok(Answer::No);
        };
        shared.add(&import);
        let global = self.symbols.get_mut(id);
        let Some(found) = shared.lookup(global.name) else { return Ok(Answer::No) };
        global.definition = Definition::Library(library, None);
        global.kind = if found.code { SymbolKind::Function } else { SymbolKind::Object };
        Ok(Answer::Given)
    }
}
