//! From inputs to objects with symbols that have a meaning.
//!
//! Inputs are entered in command-line order. An object, or a whole archive, takes part at once. An archive gives a member
//! only for a name that something needs and nothing defines yet; a shared library is asked for the names that are left.
//! Whoever stands first on the command line and has a name, gives it. A name that comes up later is looked for in all before
//! it: from the first archive or library on again; for ELF in libraries first, since these define what they have whether it
//! is needed or not, and archives need not give what is defined (GNU ld's and LLD's rule).

mod bracketed;
mod libraries;
mod named;
mod parse;
mod providers;

pub(crate) use libraries::{Library, Search, mark_needed};
pub(crate) use named::{check_required, fits};
pub(crate) use parse::{Parsed, parse};

use std::collections::{HashMap, HashSet, VecDeque};

use crate::blob;
use crate::elf;
use crate::error::{Error, Result};
use crate::format;
use crate::input::{Inputs, LibraryRole, Opened};
use crate::link::{Link, over};
use crate::macho;
use crate::model::{GlobalId, Object, ObjectId};
use crate::options::{Filter, Format, Limits, Options, SymbolValue, Target};
use crate::pe;
use crate::reloc::Kinds;
use crate::report::Report;
use crate::symbols::{Customs, Definition, GlobalFlags, Hasher, Key, Symbols};
use crate::workers::Workers;
use providers::{Answer, Provider, count_lookups};

struct Resolver<'a> {
    objects: Vec<Object<'a>>,
    symbols: Symbols<'a>,
    hasher: Hasher,
    libraries: Vec<Library<'a>>,
    providers: Vec<Provider<'a>>,
    /// If members of archives with code of Objective-C take part in any case, the archives that have been looked into: one may
    /// be given several times.
    objc_archives: Option<HashSet<&'a str>>,
    /// Names that were undefined when they came up.
    wanted: Vec<GlobalId>,
    limits: Limits,
    /// The number of sections of all objects.
    sections: u64,
    /// The number of symbols of all objects.
    symbol_count: u64,
    /// The number of relocations of all objects.
    relocations: u64,
    /// The number of questions asked of providers.
    lookups: u64,
    target: Option<(Target, String)>,
    /// Symbols that objects define as other names for symbols.
    aliases: Vec<GlobalId>,
    /// Undefined symbols that import libraries have as data, where these are not imported automatically.
    importable: HashMap<GlobalId, String>,
    /// References that mean other names than their own.
    redirections: named::Redirections<'a>,
}

/// Gives each global symbol its definition.
///
/// # Errors
/// Inputs for different machines; too many sections or symbols; no object at all.
pub(crate) fn resolve<'a>(
    inputs: &'a Inputs<'a>,
    parsed: Vec<Parsed<'a>>,
    options: &'a Options,
    workers: Workers,
    hasher: Hasher,
) -> Result<Link<'a>> {
    let likely_target = target(options, &parsed);
    let mut resolver = Resolver::new(options, likely_target, hasher);
    resolver.ask_for(options, inputs);
    let own = options.defined_symbols.iter().map(|(name, value)| (name.as_str(), value));
    let scripts = inputs.definitions().iter().filter(|definition| !definition.provided);
    let mut definitions: Vec<(&'a str, &'a SymbolValue)> =
        own.chain(scripts.map(|definition| (definition.name.as_str(), &definition.value))).collect();
    define(&mut resolver.symbols, &definitions)?;
    for (_, value) in &definitions {
        if let SymbolValue::Symbol(target, _) = value {
            resolver.wanted.extend(require(&mut resolver.symbols, target.as_bytes()));
        }
    }
    let files = resolver.definition_files(&parsed, likely_target)?;
    // Each input in its turn; what is undefined then is asked of those that come later, too.
    resolver.enter_all(parsed, likely_target)?;
    resolver.provide(inputs, &mut definitions)?;
    resolver.take_matching(options)?;
    resolver.supply_entry(options)?;
    resolver.supply_exports(options, &files, likely_target)?;
    resolver.supply_libraries()?;
    resolver.shorten_aliases()?;
    resolver.import_automatically(options)?;
    mark_needed(&mut resolver.libraries, &resolver.symbols);
    resolver.into_link(inputs, options, workers, definitions, files)
}

/// What the image is for: what is asked for or, without that, what the first object is for or, without any, what is in the
/// first archive or DLL that tells.
fn target(options: &Options, parsed: &[Parsed<'_>]) -> Option<Target> {
    let objects = || {
        parsed.iter().find_map(|item| match item {
            Parsed::Objects(objects) => format::target_of(&objects.first()?.0).ok(),
            Parsed::Bracketed(objects) => format::target_of(objects.all_waiting().next()?).ok(),
            _ => None,
        })
    };
    let others = || {
        parsed.iter().find_map(|item| match item {
            Parsed::Archive(lazy) => {
                let members = lazy.archive.members().map_while(Result::ok);
                members.filter(|member| !member.bytes.is_empty()).find_map(|member| pe::target_of_file(member.bytes))
            }
            Parsed::Library(library) => library.shared.pe().and_then(|library| pe::target_of_machine(library.machine)),
            _ => None,
        })
    };
    options.target.or_else(objects).or_else(others)
}

/// What the format makes of names and visibility.
fn customs(target: Option<Target>) -> Customs {
    match target.map(|target| target.format) {
        Some(Format::Pe) => Customs::Plain,
        Some(Format::MachO) => Customs::MachO,
        Some(Format::Elf) | None => Customs::Elf,
    }
}

/// Has a symbol count as referenced; returns it if nothing defines it yet.
fn require<'a>(symbols: &mut Symbols<'a>, name: &'a [u8]) -> Option<GlobalId> {
    let id = symbols.intern(name);
    symbols.get_mut(id).flags.set(GlobalFlags::STRONG_REFERENCE.and(GlobalFlags::IN_OBJECT));
    symbols.is_wanted(id).then_some(id)
}

/// Enters the symbols that the caller, or a script, defines. What they stand for is still to count as referenced.
fn define<'a>(symbols: &mut Symbols<'a>, definitions: &[(&'a str, &'a SymbolValue)]) -> Result<(), Error> {
    for (name, value) in definitions {
        let id = symbols.intern(name.as_bytes());
        let definition = match value {
            SymbolValue::Number(number) => Definition::Absolute(*number),
            SymbolValue::Symbol(target, offset) => Definition::Alias(symbols.intern(target.as_bytes()), *offset),
        };
        let global = symbols.get_mut(id);
        global.definition = definition;
        global.flags.set(GlobalFlags::IN_OBJECT.and(GlobalFlags::ASSIGNED));
    }
    for (name, _) in definitions {
        if let Some((id, _)) = symbols.find(name.as_bytes())
            && !shorten(symbols, id)
        {
            return Err(Error::Options(format!("{name}: defined by itself (--defsym, -alias)")));
        }
    }
    Ok(())
}

/// Makes an alias, and those that it leads to, aliases of what the chain ends at, so that nobody has to follow chains. `false`
/// if the chain goes in a circle.
pub(crate) fn shorten(symbols: &mut Symbols<'_>, mut next: GlobalId) -> bool {
    let mut chain = Vec::new();
    while let Definition::Alias(target, offset) = symbols.get(next).definition {
        // A chain of as many links as there are symbols goes in a circle.
        if chain.len() > symbols.len() {
            return false;
        }
        chain.push((next, offset));
        next = target;
    }
    let mut total = 0_i64;
    for (id, offset) in chain.into_iter().rev() {
        total = total.wrapping_add(offset);
        symbols.get_mut(id).definition = Definition::Alias(next, total);
    }
    true
}

impl<'a> Resolver<'a> {
    /// Knows nothing yet but what the options say.
    fn new(options: &'a Options, likely_target: Option<Target>, hasher: Hasher) -> Self {
        Self {
            objects: Vec::new(),
            symbols: Symbols::new(customs(likely_target), hasher.clone()),
            hasher,
            libraries: Vec::new(),
            providers: Vec::new(),
            objc_archives: options.macho.load_objc.then(HashSet::new),
            wanted: Vec::new(),
            limits: options.limits,
            sections: 0,
            symbol_count: 0,
            relocations: 0,
            lookups: 0,
            aliases: Vec::new(),
            importable: HashMap::new(),
            redirections: named::Redirections::new(options, likely_target),
            target: options.target.map(|target| {
                let option = if target.format == Format::MachO { "-arch" } else { "-m" };
                (target, option.to_owned())
            }),
        }
    }

    /// Has symbols count as referenced that options and scripts name.
    fn ask_for(&mut self, options: &'a Options, inputs: &'a Inputs<'a>) {
        let required = options.required_symbols.iter().chain(&options.required_definitions).chain(inputs.required());
        for name in required.map(|name| name.as_bytes()) {
            self.wanted.extend(require(&mut self.symbols, name));
            let id = self.symbols.intern(name);
            self.symbols.get_mut(id).flags.set(GlobalFlags::ASKED);
        }
    }

    /// What module-definition files say, all together.
    ///
    /// # Errors
    /// There is one, and the image is not for Windows.
    fn definition_files(
        &self,
        parsed: &[Parsed<'a>],
        likely_target: Option<Target>,
    ) -> Result<pe::definitions::Definitions<'a>, Error> {
        let mut definitions = pe::definitions::Definitions::default();
        for item in parsed {
            let Parsed::Definitions(file, said) = item else { continue };
            if likely_target.is_some_and(|target| target.format != Format::Pe) {
                let what = "a module-definition file (.def): only Windows images have one";
                return Err(Error::unsupported(file.name, what));
            }
            definitions.merge((**said).clone());
        }
        Ok(definitions)
    }

    /// Enters all inputs, in command-line order.
    fn enter_all(&mut self, parsed: Vec<Parsed<'a>>, likely_target: Option<Target>) -> Result<()> {
        let mentions = parsed.iter().map(|item| match item {
            Parsed::Objects(objects) => objects.iter().map(|(_, keys)| keys.len()).sum(),
            _ => 0,
        });
        self.symbols.reserve(mentions.sum());
        for item in self.know_libraries(parsed) {
            match item {
                Parsed::Objects(objects) => {
                    for (object, keys) in objects {
                        self.add(object, &keys)?;
                    }
                }
                Parsed::Archive(archive) => self.provider(Provider::Archive(archive))?,
                Parsed::Bracketed(objects) => self.provider(Provider::Bracketed(objects))?,
                Parsed::Library(library) => {
                    let number = self.libraries.len() as u32;
                    self.libraries.push(*library);
                    self.provider(Provider::Library(number))?;
                }
                Parsed::Known(number) => self.provider(Provider::Library(number))?,
                Parsed::Definitions(..) => {}
                Parsed::Blob(item) => {
                    let target = self.target.as_ref().map(|(target, _)| *target).or(likely_target);
                    self.blob(&item, target)?;
                }
            }
        }
        Ok(())
    }

    /// The link as it begins: what takes part is known, and what each name means.
    ///
    /// # Errors
    /// No object takes part; a library is for another machine; a version that no library has is asked for.
    fn into_link(
        mut self,
        inputs: &'a Inputs<'a>,
        options: &'a Options,
        workers: Workers,
        definitions: Vec<(&'a str, &'a SymbolValue)>,
        definition_files: pe::definitions::Definitions<'a>,
    ) -> Result<Link<'a>> {
        let versions = self.versions(inputs, options)?;
        let traces = self.traces(options);
        let mut warnings = inputs.warnings().to_vec();
        if options.warn_common {
            warnings.extend(named::common_warnings(&self));
        }
        // macOS has libraries that do nothing but re-export others.
        let reexports = self.libraries.iter().any(|library| library.role == LibraryRole::Reexport);
        let Some((target, _)) = self.target.filter(|_| reexports || !self.objects.is_empty()) else {
            return Err(Error::NoInput.into());
        };
        for library in &self.libraries {
            library.shared.check(target)?;
        }
        let report = Report {
            inputs: self.objects.iter().map(|object| object.name.to_string()).collect(),
            libraries: self.libraries.iter().map(|library| library.shared.name().to_owned()).collect(),
            warnings,
            traces,
            ..Report::default()
        };
        let package = options.elf.package_metadata.as_deref().filter(|_| target.format == Format::Elf);
        let package = package.map(|json| elf::package::note(json, target));
        Ok(Link {
            options,
            target,
            workers,
            objects: self.objects.into_iter().chain(package).collect(),
            symbols: self.symbols,
            libraries: self.libraries,
            definitions,
            heap_image: None,
            slots: Default::default(),
            thunks: crate::thunks::Thunks::default(),
            outputs: Vec::new(),
            kinds: Kinds::of(target),
            special: Vec::new(),
            addresses: Vec::new(),
            elf: elf::Plan { versions, ..Default::default() },
            pe: pe::Plan {
                importable: self.importable,
                definitions: definition_files,
                default_libraries: inputs.default_libraries().clone(),
                ..Default::default()
            },
            macho: macho::Plan {
                allowed: Filter::new(&options.macho.exports),
                named_locals: Filter::new(&options.macho.locals),
                ..Default::default()
            },
            report,
        })
    }

    /// Enters an object whose names have these keys, and looks for what it needs among the providers so far.
    fn add(&mut self, object: Object<'a>, keys: &[Key]) -> Result<()> {
        let mut queue = VecDeque::new();
        self.enter_one(object, keys, &mut queue)?;
        self.enter(&mut queue)
    }

    /// Enters plain bytes as an object.
    fn blob(&mut self, item: &Opened<'a>, target: Option<Target>) -> Result<()> {
        let Some(blob) = item.blob() else { return Ok(()) };
        let target = target.ok_or_else(|| {
            Error::Options(format!("{}: no object says what the image is for; set the target (-m)", item.name))
        })?;
        self.enter(&mut VecDeque::from([blob::object(item.name, blob, item.bytes, target)?]))
    }

    /// Enters the objects of `queue`, and those that they pull in.
    fn enter(&mut self, queue: &mut VecDeque<Object<'a>>) -> Result<()> {
        while let Some(object) = queue.pop_front() {
            let keys = Key::all(&object, &self.hasher)?;
            self.enter_one(object, &keys, queue)?;
        }
        Ok(())
    }

    /// Enters an object whose names have these keys; those that it pulls in are added to `queue`.
    fn enter_one(&mut self, mut object: Object<'a>, keys: &[Key], queue: &mut VecDeque<Object<'a>>) -> Result<()> {
        let (target, source) = match &self.target {
            Some(known) => known,
            None => {
                let target = format::target_of(&object)?;
                self.symbols.customs = customs(Some(target));
                self.target.insert((target, object.name.to_string()))
            }
        };
        format::check_object(&object, *target, source)?;
        let mut wanted = Vec::new();
        let id = ObjectId(self.objects.len() as u32);
        let (sections, symbols) = (object.sections.len() as u64, object.symbols.len() as u64);
        (self.sections, self.symbol_count) = (self.sections + sections, self.symbol_count + symbols);
        over("sections", "the number of sections", self.sections, self.limits.sections)?;
        // Indices of symbols have 32 bits.
        let limit = self.limits.symbols.min(u64::from(u32::MAX) / 2);
        over("symbols", "the number of symbols", self.symbol_count, limit)?;
        let relocations = object.sections.iter().map(|section| section.relocs.len() as u64);
        self.relocations = self.relocations.saturating_add(relocations.sum());
        over("relocations", "the number of relocations", self.relocations, self.limits.relocations)?;
        let redirected = self.redirections.take(&mut object);
        if redirected.is_empty() {
            self.symbols.add_object(id, &mut object, keys, &mut wanted);
        } else {
            let keys = Key::all(&object, &self.hasher)?;
            self.symbols.add_object(id, &mut object, &keys, &mut wanted);
            self.enter_redirected(&mut object, redirected, &mut wanted);
        }
        for (index, target) in format::aliases(&object) {
            wanted.extend(require(&mut self.symbols, target));
            self.aliases.extend(self.symbols.add_alias(&object, (id, index), target));
        }
        for name in format::included(&object) {
            wanted.extend(require(&mut self.symbols, name));
        }
        self.objects.push(object);
        let order = if wanted.is_empty() { Vec::new() } else { self.order() };
        for symbol in &wanted {
            queue.extend(self.ask_in(&order, *symbol)?);
        }
        self.wanted.extend(wanted);
        Ok(())
    }

    /// The numbers of archives and libraries in the order in which a new name is looked for in them.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.providers.len()).collect();
        if self.target.as_ref().is_some_and(|(target, _)| target.format == Format::Elf) {
            order.sort_by_key(|number| self.providers[*number].has_objects());
        }
        order
    }

    /// Asks providers for a symbol, in this order, until one gives it; with a member, perhaps.
    fn ask_in(&mut self, order: &[usize], id: GlobalId) -> Result<Option<Object<'a>>> {
        for number in order {
            match self.ask(*number, id)? {
                Answer::No => {}
                Answer::Given => break,
                Answer::Member(member) => return Ok(Some(*member)),
            }
        }
        Ok(None)
    }

    /// Enters an archive or library, and looks in it for what is needed so far.
    fn provider(&mut self, provider: Provider<'a>) -> Result<()> {
        let number = self.providers.len();
        self.providers.push(provider);
        self.take_unasked(number)?;
        let symbols = &self.symbols;
        self.wanted.sort_unstable();
        self.wanted.dedup();
        self.wanted.retain(|id| symbols.is_wanted(*id));
        let mut queue = VecDeque::new();
        for symbol in self.wanted.clone() {
            if let Answer::Member(member) = self.ask(number, symbol)? {
                queue.push_back(*member);
            }
        }
        self.enter(&mut queue)
    }

    /// What version scripts say, and which names in them archives could define, had something asked for them.
    fn versions(&mut self, inputs: &Inputs<'_>, options: &Options) -> Result<elf::version::Plan, Error> {
        let mut plan = elf::version::Plan { script: options.elf.version_script.clone(), ..Default::default() };
        plan.script.extend(inputs.versions().clone());
        for name in elf::version::exact_names(&plan.script) {
            if self.symbols.find(name).is_some_and(|(_, global)| global.is_defined_here()) {
                continue;
            }
            for provider in &self.providers {
                count_lookups(&mut self.lookups, 1, &self.limits)?;
                if provider.could_define(name) {
                    plan.in_archives.insert(name.to_vec());
                    break;
                }
            }
        }
        Ok(plan)
    }

    /// Has each alias lead to what it is another name for in the end.
    fn shorten_aliases(&mut self) -> Result<(), Error> {
        for id in std::mem::take(&mut self.aliases) {
            if shorten(&mut self.symbols, id) {
                continue;
            }
            let global = self.symbols.get(id);
            let (name, object) = (String::from_utf8_lossy(global.name).into_owned(), global.mention);
            let object = object.and_then(|(object, _)| self.objects.get(object.index()));
            let what = format!("{name} is another name for itself");
            return Err(object.map_or(Error::Options(what.clone()), |object| Error::malformed(&object.name, what)));
        }
        Ok(())
    }
}
