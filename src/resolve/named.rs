//! What options say of symbols by their names: which members to take for a pattern, what must be defined, and what each input
//! says of a symbol.

use std::collections::{HashMap, HashSet};

use super::providers::{Provider, count_lookups};
use super::{Resolver, Search, define, require};
use crate::elf::script::ScriptDefinition;
use crate::elf::version::script::SymbolList;
use crate::error::{Error, Errors, Result};
use crate::input::Inputs;
use crate::link::Link;
use crate::model::{Binding, GlobalId, Object, ObjectId, SymbolIndex, SymbolSection};
use crate::options::{Format, Options, SymbolValue, Target};
use crate::pe;
use crate::symbols::{Definition, GlobalFlags};

/// Which names mean others where they are undefined (`--wrap`).
#[derive(Debug, Default)]
pub(super) struct Redirections<'a> {
    names: HashMap<&'a [u8], &'a [u8]>,
}

/// A symbol of an object that is a reference to another name than its own.
pub(super) struct Redirected<'a> {
    symbol: SymbolIndex,
    binding: Binding,
    name: &'a [u8],
}

impl<'a> Redirections<'a> {
    pub(super) fn new(options: &'a Options, target: Option<Target>) -> Self {
        let wrapped = options.wrapped_symbols.iter();
        Self { names: wrapped.flat_map(|symbol| symbol.redirections(target)).collect() }
    }

    /// Takes those references out of an object's global symbols that mean others, for [`Resolver::enter_redirected`] to put back.
    pub(super) fn take(&self, object: &mut Object<'a>) -> Vec<Redirected<'a>> {
        let mut taken = Vec::new();
        if self.names.is_empty() {
            return taken;
        }
        for index in 0..object.symbols.len() {
            let Some(symbol) = object.symbols.get(index).copied() else { break };
            if symbol.binding == Binding::Local || symbol.section() != SymbolSection::Undefined {
                continue;
            }
            let Some(name) = self.names.get(object.symbol_name(&symbol)) else { continue };
            taken.push(Redirected { symbol: index as u32, binding: symbol.binding, name });
            if let Some(symbol) = object.symbols.get_mut(index) {
                symbol.binding = Binding::Local;
            }
        }
        taken
    }
}

impl<'a> Resolver<'a> {
    /// Enters references under the names that they mean, and looks for these if nothing defines them yet.
    pub(super) fn enter_redirected(
        &mut self,
        object: &mut Object<'a>,
        taken: Vec<Redirected<'a>>,
        wanted: &mut Vec<GlobalId>,
    ) {
        for Redirected { symbol, binding, name } in taken {
            let Some(symbol) = object.symbols.get_mut(symbol as usize) else { continue };
            symbol.binding = binding;
            wanted.extend(self.symbols.refer(symbol, name));
        }
    }

    /// Takes the members that define what one of the patterns fits.
    pub(super) fn take_matching(&mut self, options: &Options) -> Result<()> {
        if options.required_patterns.is_empty() {
            return Ok(());
        }
        let mut found: Vec<&'a [u8]> = Vec::new();
        for provider in &self.providers {
            let names: Vec<&'a [u8]> = match provider {
                Provider::Archive(lazy) => lazy.index.iter().map(|(name, _)| name).collect(),
                Provider::Bracketed(objects) => objects.names().map(|(name, _)| name).collect(),
                Provider::Library(_) => continue,
            };
            for name in names {
                count_lookups(&mut self.lookups, 1, &self.limits)?;
                let mut budget = STEPS;
                if options.required_patterns.fits(name, &mut budget) {
                    found.push(name);
                }
                self.lookups = self.lookups.saturating_add((STEPS - budget) / 16);
            }
        }
        // The tables have no order of their own.
        found.sort_unstable();
        found.dedup();
        for name in found {
            self.pull(name)?;
        }
        Ok(())
    }

    /// Has a symbol count as referenced, and takes the member that defines it if nothing does yet.
    fn pull(&mut self, name: &'a [u8]) -> Result<()> {
        let Some(id) = require(&mut self.symbols, name) else { return Ok(()) };
        let member = self.ask_in(&self.order(), id)?;
        self.enter(&mut member.into_iter().collect())
    }

    /// Takes the members that define what nothing defines yet and is to be exported, the entry point, or to stand for what is
    /// missing (PE).
    pub(super) fn supply_exports(
        &mut self,
        options: &Options,
        definitions: &pe::definitions::Definitions<'a>,
        likely_target: Option<Target>,
    ) -> Result<()> {
        let target = self.target.as_ref().map(|(target, _)| *target).or(likely_target);
        let Some(target) = target.filter(|target| target.format == Format::Pe) else { return Ok(()) };
        if self.providers.is_empty() {
            return Ok(());
        }
        let has_objects = self.providers.iter().any(Provider::has_objects);
        if has_objects {
            let exports = definitions.exports.iter().filter_map(|export| export.wanted());
            let exports = exports.map(|name| pe::spellings(name, target.arch)).collect();
            self.supply(exports)?;
            self.supply(pe::entry::wanted(options, target.arch).into_iter().collect())?;
        }
        // Members that are taken say more.
        let (mut next, mut alternates) = (0, Vec::new());
        loop {
            while let Some(object) = self.objects.get(next) {
                alternates.extend(pe::alternates(object));
                let there = |name: &[u8]| self.is_there(name);
                let wanted = if has_objects { pe::undefined_exports(object, target, there) } else { Vec::new() };
                self.supply(wanted)?;
                next = next.saturating_add(1);
            }
            if !self.supply_alternates(&mut alternates, target)? {
                return Ok(());
            }
        }
    }

    /// Whether something defines a symbol.
    fn is_there(&self, name: &[u8]) -> bool {
        self.symbols.find(name).is_some_and(|(_, global)| global.definition != Definition::Undefined)
    }

    /// Of symbols that have several spellings, takes the members that define the first one that archives have, where nothing
    /// defines any.
    fn supply(&mut self, wanted: Vec<Vec<Vec<u8>>>) -> Result<()> {
        for spellings in wanted {
            if spellings.iter().any(|name| self.is_there(name)) {
                continue;
            }
            let questions = (self.providers.len() as u64).saturating_mul(spellings.len() as u64);
            count_lookups(&mut self.lookups, questions, &self.limits)?;
            let mut known = spellings.iter().flat_map(|name| self.providers.iter().find_map(|it| it.name(name)));
            if let Some(name) = known.next() {
                self.pull(name)?;
            }
        }
        Ok(())
    }

    /// Has symbols count as referenced that stand for others which are missing (`-alternatename:`), where archives or libraries
    /// have them. Those that nothing asks for yet stay in the list; `false` if there was nothing to do.
    fn supply_alternates(&mut self, alternates: &mut Vec<pe::Alternate<'a>>, target: Target) -> Result<bool> {
        let mut supplied = false;
        for (from, to) in std::mem::take(alternates) {
            count_lookups(&mut self.lookups, 1, &self.limits)?;
            let is_missing = self.symbols.find(from).is_some_and(|(_, global)| {
                global.definition == Definition::Undefined && global.flags.has(GlobalFlags::STRONG_REFERENCE)
            });
            if !is_missing {
                alternates.push((from, to));
                continue;
            }
            let mut search = Search::new(&self.libraries, to, None, Some(target));
            let has = |provider: &Provider<'_>| match provider {
                Provider::Library(number) => search.find_in(*number).is_some(),
                objects => objects.could_define(to),
            };
            let known = self.providers.iter().any(has);
            count_lookups(&mut self.lookups, self.providers.len() as u64, &self.limits)?;
            if known {
                self.pull(to)?;
                supplied = true;
            }
        }
        Ok(supplied)
    }

    /// Defines what scripts provide where something needs it that nothing defines. What is done is added to `definitions`.
    pub(super) fn provide(
        &mut self,
        inputs: &'a Inputs<'a>,
        definitions: &mut Vec<(&'a str, &'a SymbolValue)>,
    ) -> Result<()> {
        for ScriptDefinition { name, value, .. } in inputs.definitions().iter().filter(|it| it.provided) {
            let missing = self.symbols.find(name.as_bytes()).filter(|(id, _)| self.symbols.is_wanted(*id));
            if missing.is_none() {
                continue;
            }
            let definition = (name.as_str(), value);
            define(&mut self.symbols, &[definition])?;
            definitions.push(definition);
            if let SymbolValue::Symbol(target, _) = value {
                self.pull(target.as_bytes())?;
            }
        }
        Ok(())
    }

    /// What each input says of symbols (`--trace-symbol`): the objects that take part, then who could have given what does
    /// not.
    pub(super) fn traces(&self, options: &Options) -> Vec<String> {
        let mut lines = Vec::new();
        let names: Vec<&[u8]> = options.traced_symbols.iter().map(|name| name.as_bytes()).collect();
        let ids: HashSet<GlobalId> = names.iter().filter_map(|name| Some(self.symbols.find(name)?.0)).collect();
        if names.is_empty() {
            return lines;
        }
        let mut say = |place: &dyn std::fmt::Display, what: &str, name: &[u8]| {
            lines.push(format!("{place}: {what} {}", String::from_utf8_lossy(name)));
        };
        for object in &self.objects {
            for symbol in object.symbols.iter().filter(|symbol| symbol.global.get().is_some_and(|id| ids.contains(&id)))
            {
                let what = match symbol.section() {
                    SymbolSection::Undefined => "reference to",
                    SymbolSection::Common(_) => "common definition of",
                    _ => "definition of",
                };
                say(&object.name, what, self.symbols.get(symbol.global).name);
            }
        }
        let target = self.target.as_ref().map(|(target, _)| *target);
        for provider in &self.providers {
            for name in &names {
                match provider {
                    Provider::Archive(lazy) => {
                        let Some(id) = lazy.index.definer(name).filter(|id| !lazy.taken.contains(id)) else { continue };
                        let Ok(member) = lazy.archive.member(id) else { continue };
                        let member = String::from_utf8_lossy(member.name);
                        say(&format_args!("{}({member})", lazy.name), "lazy definition of", name);
                    }
                    Provider::Bracketed(objects) => {
                        let waiting = objects.definer(name).and_then(|number| objects.waiting(number));
                        waiting.into_iter().for_each(|object| say(&object.name, "lazy definition of", name));
                    }
                    Provider::Library(number) => {
                        let Some(library) = self.libraries.get(*number as usize) else { continue };
                        if library.shared.lookup(name, None, target).is_some() {
                            say(&library.shared.name(), "shared definition of", name);
                        }
                    }
                }
            }
        }
        lines
    }
}

/// How many steps comparing one name with the patterns may take.
const STEPS: u64 = 1 << 20;

/// Whether a name fits one of the patterns, which an option gives.
pub(crate) fn fits(patterns: &SymbolList, name: &[u8]) -> bool {
    let mut budget = STEPS;
    patterns.fits(name, &mut budget)
}

/// Checks that the image defines what it must (`--require-defined`).
///
/// # Errors
/// Every symbol that it does not.
pub(crate) fn check_required(link: &Link<'_>) -> Result<(), Errors> {
    let missing = link
        .options
        .required_definitions
        .iter()
        .filter(|name| !link.symbols.find(name.as_bytes()).is_some_and(|(_, global)| global.is_defined_here()));
    let problem = |name: &String| Error::Undefined {
        symbol: name.clone(),
        references: Vec::new(),
        more: 0,
        hint: Some("the image must define it: --require-defined".to_owned()),
    };
    Errors::check(missing.map(problem).collect())
}

/// Tells of common symbols that others took the place of (`--warn-common`).
pub(super) fn common_warnings(resolver: &Resolver<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (number, object) in resolver.objects.iter().enumerate() {
        for (index, symbol) in object.symbols.iter().enumerate() {
            let Some(id) = symbol.global.get().filter(|_| matches!(symbol.section(), SymbolSection::Common(_))) else {
                continue;
            };
            let global = resolver.symbols.get(id);
            let Some((other, at)) = global.mention else { continue };
            if (other, at) == (ObjectId(number as u32), index as u32) {
                continue;
            }
            let Some(winner) = resolver.objects.get(other.index()) else { continue };
            let name = String::from_utf8_lossy(global.name);
            let how = if global.is_common() { "is common in several objects" } else { "gives way to a definition" };
            warnings.push(format!("{}: common symbol {name} {how}: {}", object.name, winner.name));
        }
    }
    warnings
}
