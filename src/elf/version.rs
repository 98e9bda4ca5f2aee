//! Versions of the symbols that an image defines, and which of them it exports at all.
//!
//! A *version node* has a name, such as `V2`, and symbols: `foo` of the node `V2` is `foo@@V2` to whoever looks at the
//! library, where `@@` marks the *default* version, which references without a version bind to. An object may define
//! further ones itself, with the version in the name (the assembler's `.symver`): `foo@V1` for programs that were linked when
//! `V1` was the newest version, and `foo@@V2`, which is what `foo` means.
//!
//! Which node a symbol goes to, and what is made local, a *version script* says ([`script`]). Of several patterns that fit,
//! the rules of GNU ld (manual, *VERSION Command*) and LLD choose, in this order:
//!
//! 1. a name without wildcards, in the first node that has it;
//! 2. a pattern with wildcards other than `*` alone, in the last node that has one that fits;
//! 3. `*`, in the last node that has it;
//!
//! and within a node what is global before what is local. A version in the symbol's own name goes before all of these,
//! except that a `local` name hides it, and a `local` pattern of its own node hides an old version (as in LLD).
//!
//! All of this is done once, when it is known what defines each symbol, and costs nothing where there is neither a script nor
//! a version in a name. The tables that the loader reads are made in [`tables`] (LSB Core, *Symbol Versioning*).

#![deny(clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub(crate) mod pattern;
pub(crate) mod script;
mod source_names;
pub(crate) mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use pattern::{Pattern, SOURCE_STEPS};
use script::{Node, SymbolList, VersionScript};
use source_names::source_form;

use crate::error::{Error, Errors, Result};
use crate::link::{Link, over};
use crate::model::{GlobalId, SymbolSection, Visibility};
use crate::symbols::{Definition, Duplicate, Global, GlobalFlags};

/// `VER_NDX_LOCAL`: not for others.
pub(crate) const LOCAL: u16 = 0;
/// `VER_NDX_GLOBAL`: without a version.
pub(crate) const GLOBAL: u16 = 1;
/// `VERSYM_HIDDEN`: not the default version.
pub(crate) const HIDDEN: u16 = 1 << 15;
/// One more than the highest number of a version.
pub(crate) const LIMIT: u64 = 1 << 15;

/// How many steps of comparing patterns with names count as one name looked up.
const STEPS: u64 = 16;

/// What is known of an image's own versions.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What scripts say: those of the options, then those among the inputs.
    pub(crate) script: VersionScript,
    /// Names in the script that no symbol has, and that archives could define.
    pub(crate) in_archives: HashSet<Vec<u8>>,
}

impl Plan {
    /// The nodes that have a name, with their numbers in `.gnu.version`.
    pub(crate) fn named(&self) -> impl Iterator<Item = (u16, &Node)> {
        (2..).zip(self.script.nodes.iter().filter(|node| !node.name.is_empty()))
    }
}

/// Names without wildcards in a script.
pub(crate) fn exact_names(script: &VersionScript) -> impl Iterator<Item = &[u8]> {
    script.nodes.iter().flat_map(|node| node.globals.iter().chain(&node.locals)).filter_map(|pattern| match pattern {
        Pattern::Exact(name) => Some(&**name),
        _ => None,
    })
}

/// Gives each definition its version, and hides what is to be local.
///
/// # Errors
/// Scripts whose nodes contradict each other; names in them that nothing defines, unless the options allow it;
/// definitions in versions that no node has.
pub(crate) fn assign(link: &mut Link<'_>) -> Result<()> {
    let plan = std::mem::take(&mut link.elf.versions);
    let result = match plan.script.is_empty() && link.symbols.versioned.is_empty() {
        true => Ok(()),
        false => assign_versions(link, &plan),
    };
    link.elf.versions = plan;
    result?;
    mark_listed(link)
}

fn assign_versions(link: &mut Link<'_>, plan: &Plan) -> Result<()> {
    let numbers = check_nodes(plan)?;
    let own = own_versions(link);
    let mut chosen = vec![None; link.symbols.len()];
    assign_names(link, plan, &numbers, &own, &mut chosen)?;
    assign_patterns(link, plan, &numbers, &own, &mut chosen)?;
    let mut problems = Vec::new();
    for (id, (version, default)) in &own {
        let Some(place) = chosen.get_mut(id.index()) else { continue };
        if *place == Some(LOCAL) || version.is_empty() {
            continue;
        }
        let name = String::from_utf8_lossy(version);
        if let Some(number) = numbers.get(&*name) {
            *place = Some(if *default { *number } else { number | HIDDEN });
            continue;
        }
        let global = link.symbols.get(*id);
        // What is not for others has no version for them.
        if global.visibility != Visibility::Default && global.visibility != Visibility::Protected
            || global.flags.has(GlobalFlags::HIDDEN_BY_OPTION)
        {
            continue;
        }
        let what = format!(
            "defines {} in version {name}, which no version script has (--version-script)",
            String::from_utf8_lossy(global.name)
        );
        problems.push(match global.mention {
            Some((object, _)) => Error::unsupported(&link.object(object).name, what),
            None => Error::Options(format!("--defsym {what}")),
        });
    }
    Errors::check(problems)?;
    for (id, number) in (0_u32..).zip(chosen) {
        let global = link.symbols.get_mut(GlobalId(id));
        match number {
            Some(LOCAL) => global.flags.set(GlobalFlags::HIDDEN_BY_OPTION),
            Some(number) => global.version_number = number,
            None => {}
        }
    }
    combine(link, plan, &own);
    Ok(())
}

/// The numbers of nodes by their names.
fn check_nodes(plan: &Plan) -> Result<HashMap<&str, u16>, Error> {
    let nodes = &plan.script.nodes;
    let wrong = |what: String| Error::Options(format!("version script: {what}"));
    over("ELF symbol versions", "the number of versions", (nodes.len() as u64).saturating_add(2), LIMIT)?;
    let mut numbers = HashMap::new();
    for (number, node) in plan.named() {
        if numbers.insert(&*node.name, number).is_some() {
            return Err(wrong(format!("version {} is defined twice", node.name)));
        }
    }
    for node in nodes {
        let parents = node.parents.len() as u64;
        over("ELF symbol versions", "the number of versions before another", parents, u64::from(u16::MAX - 1))?;
        if let Some(parent) = node.parents.iter().find(|parent| !numbers.contains_key(&***parent)) {
            return Err(wrong(format!("version {} comes after {parent}, which is not defined", node.name)));
        }
    }
    Ok(numbers)
}

/// The versions that definitions have in their own names, and whether they are the default ones.
fn own_versions<'a>(link: &Link<'a>) -> BTreeMap<GlobalId, (&'a [u8], bool)> {
    let mut own = BTreeMap::new();
    // Of several with one name the first counts.
    let mut given: HashMap<&[u8], &[u8]> = HashMap::new();
    for (name, _) in &link.definitions {
        if let Some((name, version)) = name.split_once("@@") {
            given.entry(name.as_bytes()).or_insert(version.as_bytes());
        }
    }
    for id in &link.symbols.versioned {
        let global = link.symbols.get(*id);
        let version = match global.version() {
            _ if !global.is_defined_here() => None,
            Some(version) => Some((version, false)),
            None => default_version(link, global, &given).map(|version| (version, true)),
        };
        own.extend(version.map(|version| (*id, version)));
    }
    own
}

/// The version in the name of a definition, `name@@version`, if that has one; `given` are those of the options.
fn default_version<'a>(link: &Link<'a>, global: &Global<'a>, given: &HashMap<&'a [u8], &'a [u8]>) -> Option<&'a [u8]> {
    let version = |name: &'a [u8]| name.strip_prefix(global.name)?.strip_prefix(b"@@");
    match global.mention.filter(|_| !matches!(global.definition, Definition::Alias(..) | Definition::Absolute(_))) {
        Some((object, index)) => {
            let object = link.object(object);
            version(object.symbol_name(object.symbols.get(index as usize)?))
        }
        None => given.get(global.name).copied(),
    }
}

type Own<'a> = BTreeMap<GlobalId, (&'a [u8], bool)>;

/// Carries out what is said of names without wildcards.
fn assign_names(
    link: &mut Link<'_>,
    plan: &Plan,
    numbers: &HashMap<&str, u16>,
    own: &Own<'_>,
    table: &mut [Option<u16>],
) -> Result<()> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut versioned = Vec::new();
    let mut source: indexmap::IndexMap<&[u8], (u16, &Node, bool)> = indexmap::IndexMap::new();
    for node in &plan.script.nodes {
        let number = numbers.get(&*node.name).copied().unwrap_or(GLOBAL);
        let lists = [(&node.globals, number), (&node.locals, LOCAL)];
        for (pattern, number) in lists.into_iter().flat_map(|(list, number)| list.iter().map(move |it| (it, number))) {
            if let Pattern::Source(pattern) = pattern
                && let Pattern::Exact(name) = &**pattern
            {
                source.entry(name).or_insert((number, node, false));
            }
            let Pattern::Exact(name) = pattern else { continue };
            let defined = |name: &[u8]| link.symbols.find(name).filter(|(_, global)| global.is_defined_here());
            let plain = defined(name).map(|(id, _)| id);
            let mut with_version = None;
            if !link.symbols.versioned.is_empty() {
                versioned.clear();
                versioned.extend([name, &b"@"[..], node.name.as_bytes()].concat());
                with_version = defined(&versioned).map(|(id, _)| id);
            }
            let text = || String::from_utf8_lossy(name);
            let found = plain.is_some() || with_version.is_some();
            if !found && !link.options.elf.undefined_version && !plan.in_archives.contains(&**name) {
                problems.push(undefined(node, name));
            }
            // A version in the name stands, unless the symbol is not for others at all.
            let plain = plain.filter(|id| number == LOCAL || !own.contains_key(id));
            for id in plain.into_iter().chain(with_version) {
                let Some(place) = table.get_mut(id.index()) else { continue };
                if *place.get_or_insert(number) != number {
                    warnings.push(format!("version script: {}: named more than once, the first counts", text()));
                }
            }
        }
    }
    if !source.is_empty() {
        let mut left = budget(link);
        for ((id, global), place) in link.symbols.iter().zip(table) {
            if !global.is_defined_here() {
                continue;
            }
            left = left.saturating_sub(SOURCE_STEPS);
            check_budget(link, left)?;
            let Some((number, _, found)) = source.get_mut(&*source_form(global.name)) else { continue };
            *found = true;
            if *number == LOCAL || !own.contains_key(&id) {
                place.get_or_insert(*number);
            }
        }
        let missing = source.iter().filter(|(_, (.., found))| !found && !link.options.elf.undefined_version);
        problems.extend(missing.map(|(name, (_, node, _))| undefined(node, name)));
    }
    link.report.warnings.extend(warnings);
    Errors::check(problems)
}

/// The problem that nothing defines what a node names.
fn undefined(node: &Node, name: &[u8]) -> Error {
    let home = if node.name.is_empty() { String::new() } else { format!(" of {}", node.name) };
    Error::Options(format!(
        "version script: {}{home}: nothing defines such a symbol (--undefined-version allows it)",
        String::from_utf8_lossy(name)
    ))
}

/// What patterns with wildcards say, the ones that count most first.
fn assign_patterns(
    link: &Link<'_>,
    plan: &Plan,
    numbers: &HashMap<&str, u16>,
    own: &Own<'_>,
    table: &mut [Option<u16>],
) -> Result<(), Error> {
    let mut rules: Vec<(&Pattern, bool, &Node, u16)> = Vec::new();
    for all in [false, true] {
        for node in plan.script.nodes.iter().rev() {
            let number = numbers.get(&*node.name).copied().unwrap_or(GLOBAL);
            for (list, number) in [(&node.globals, number), (&node.locals, LOCAL)] {
                rules.extend(list.iter().filter_map(|pattern| {
                    let (pattern, source) = match pattern {
                        Pattern::Source(pattern) => (&**pattern, true),
                        pattern => (pattern, false),
                    };
                    let wanted = if all { *pattern == Pattern::All } else { matches!(pattern, Pattern::Glob(_)) };
                    wanted.then_some((pattern, source, node, number))
                }));
            }
        }
    }
    if rules.is_empty() {
        return Ok(());
    }
    let mut budget = budget(link);
    for ((id, global), place) in link.symbols.iter().zip(table) {
        if place.is_some() || !global.is_defined_here() {
            continue;
        }
        let of_node = match own.get(&id) {
            // A default version stands.
            Some((_, true)) => continue,
            Some((version, false)) => Some(*version),
            None => None,
        };
        let mut form = None;
        let rule = rules.iter().find(|(pattern, source, node, _)| {
            budget = budget.saturating_sub(1);
            if of_node.is_some_and(|version| version != node.name.as_bytes() || version.is_empty()) {
                return false;
            }
            if !source {
                return pattern.fits(global.name, &mut budget);
            }
            let form = form.get_or_insert_with(|| {
                budget = budget.saturating_sub(SOURCE_STEPS);
                source_form(global.name)
            });
            pattern.fits(form, &mut budget)
        });
        *place = rule.map(|(.., number)| *number);
        check_budget(link, budget)?;
    }
    Ok(())
}

/// How many steps patterns may be compared with names in.
fn budget(link: &Link<'_>) -> u64 {
    link.options.limits.lookups.saturating_mul(STEPS)
}

fn check_budget(link: &Link<'_>, left: u64) -> Result<(), Error> {
    let limit = link.options.limits.lookups;
    let wanted = if left == 0 { limit.saturating_add(1) } else { limit };
    over("lookups", "the names compared with patterns", wanted, limit)
}

/// Joins symbols that are one: `foo@V` with `foo@@V`, and `foo` with `foo@V` where the assembler has made both of one
/// definition.
fn combine(link: &mut Link<'_>, plan: &Plan, own: &Own<'_>) {
    let mut joined: HashMap<GlobalId, GlobalId> = HashMap::new();
    let versions: HashMap<u16, &str> = plan.named().map(|(number, node)| (number, &*node.name)).collect();
    for id in link.symbols.versioned.clone() {
        let global = link.symbols.get(id);
        let Some(version) = global.version().filter(|version| !version.is_empty()) else { continue };
        let Some((base, plain)) = link.symbols.find(global.name) else { continue };
        // Another name for something is not what a chain of names may end at.
        let alias = matches!(plain.definition, Definition::Alias(..));
        if !plain.is_defined_here() || alias || joined.contains_key(&base) {
            continue;
        }
        if own.get(&base) == Some(&(version, true)) {
            let weak = global.flags.and(plain.flags).has(GlobalFlags::WEAK_DEFINITION);
            let (first, second) = (plain.mention, global.mention);
            let twice = second.filter(|_| matches!(global.definition, Definition::Object(..)) && !weak);
            let (visibility, strong) = (global.visibility, global.flags.has(GlobalFlags::STRONG_REFERENCE));
            link.symbols.duplicates.extend(twice.map(|second| Duplicate { global: base, first, second }));
            let plain = link.symbols.get_mut(base);
            plain.visibility = plain.visibility.max(visibility);
            plain.flags = plain.flags.when(strong, GlobalFlags::STRONG_REFERENCE);
            joined.insert(id, base);
        } else if let (Definition::Object(..), None) = (global.definition, own.get(&base)) {
            let same = match versions.get(&plain.version_number) {
                Some(name) => name.as_bytes() == version,
                None => is_one_place(link, global, plain),
            };
            if same {
                joined.insert(base, id);
            }
        }
    }
    if joined.is_empty() {
        return;
    }
    for id in joined.keys() {
        let global = link.symbols.get_mut(*id);
        (global.definition, global.mention) = (Definition::Undefined, None);
        (global.flags, global.visibility) = (GlobalFlags::default(), Visibility::Default);
    }
    for symbol in link.objects.iter_mut().flat_map(|object| &mut object.symbols) {
        if let Some(other) = symbol.global.get().and_then(|id| joined.get(&id)) {
            symbol.global = *other;
        }
    }
    for (name, _) in &link.definitions {
        let Some((id, global)) = link.symbols.find(name.as_bytes()) else { continue };
        if let Definition::Alias(target, offset) = global.definition
            && let Some(other) = joined.get(&target)
        {
            link.symbols.get_mut(id).definition = Definition::Alias(*other, offset);
        }
    }
}

/// Whether two symbols are two names of one definition in an object.
fn is_one_place(link: &Link<'_>, one: &Global<'_>, other: &Global<'_>) -> bool {
    let place = |global: &Global<'_>| {
        let Definition::Object(id, index) = global.definition else { return None };
        let symbol = link.object(id).symbols.get(index as usize)?;
        let section = symbol.section();
        matches!(section, SymbolSection::In(_)).then_some((id, section, symbol.value))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// Marks the symbols that stay preemptible where others are bound at link time.
fn mark_listed(link: &mut Link<'_>) -> Result<()> {
    let options = link.options;
    let lists: Vec<&SymbolList> =
        options.elf.dynamic_list.iter().chain([&options.elf.export_dynamic_symbols]).collect();
    let patterns = || lists.iter().flat_map(|list| &list.patterns);
    if patterns().next().is_none() {
        return Ok(());
    }
    let (mut names, mut others, mut all) = (HashSet::new(), Vec::new(), false);
    for pattern in patterns() {
        match pattern {
            Pattern::Exact(name) => {
                names.insert(&**name);
            }
            Pattern::Glob(_) | Pattern::Source(_) => others.push(pattern),
            Pattern::All => all = true,
        }
    }
    let mut budget = budget(link);
    for id in (0..link.symbols.len() as u32).map(GlobalId) {
        let global = link.symbols.get_mut(id);
        budget = budget.saturating_sub(others.len() as u64);
        if all || names.contains(global.name) || others.iter().any(|pattern| pattern.fits(global.name, &mut budget)) {
            global.flags.set(GlobalFlags::LISTED);
        }
        check_budget(link, budget)?;
    }
    Ok(())
}
