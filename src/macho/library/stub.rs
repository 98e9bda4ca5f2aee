//! Text stubs: what a dylib exports, as YAML (versions 1 to 4) or JSON (version 5).
//!
//! One file describes a library and, in further documents (versions 3 and 4) or under `libraries` (version 5), libraries
//! that it re-exports. Each list of names says for which targets it holds, as `arm64-macos`; up to version 3 it names CPUs,
//! all of the one platform that the document is for.
//!
//! There is no standard; these rules are those of LLVM's `TextAPI` documentation (*TextAPI File Format*) and of the files
//! that Apple's SDKs and Julia ship.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::yaml::{self, Value};
use super::{Cpus, Export, Library, Table, version};
use crate::error::Error;
use crate::options::Arch;

/// The names of a stub, for each CPU.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: HashMap<Box<str>, Found, foldhash::quality::RandomState>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Found {
    cpus: u8,
    weak: u8,
    thread_local: u8,
}

impl Names {
    pub(super) fn find(&self, name: &[u8], arch: Option<Arch>) -> Option<Export> {
        let found = self.names.get(std::str::from_utf8(name).ok()?)?;
        let cpus = arch.map_or(Cpus(u8::MAX), Cpus::of);
        let is = |set: u8| Cpus(set).has(cpus);
        is(found.cpus).then(|| Export { weak: is(found.weak), thread_local: is(found.thread_local) })
    }

    fn add(&mut self, name: String, cpus: Cpus, kind: Kind) {
        let found = self.names.entry(name.into_boxed_str()).or_default();
        found.cpus |= cpus.0;
        match kind {
            Kind::Plain => {}
            Kind::Weak => found.weak |= cpus.0,
            Kind::ThreadLocal => found.thread_local |= cpus.0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain,
    Weak,
    ThreadLocal,
}

/// A list of names: what it is called, what stands before each name, and what is known of them.
type List = (&'static str, &'static [&'static str], Kind);

/// What stands before the names of classes, of exceptions and of variables of classes.
type Classes = [&'static [&'static str]; 3];

const CLASSES: Classes = [&["_OBJC_CLASS_$_", "_OBJC_METACLASS_$_"], &["_OBJC_EHTYPE_$_"], &["_OBJC_IVAR_$_"]];
/// Where the names themselves begin with the underscore of C.
const CLASSES_2: Classes = [&["_OBJC_CLASS_$", "_OBJC_METACLASS_$"], &["_OBJC_EHTYPE_$"], &["_OBJC_IVAR_$"]];

/// The lists of names of a version: of symbols, weak ones, thread-local ones, classes, exceptions and variables of classes.
const fn lists(names: [&'static str; 6], classes: Classes) -> [List; 6] {
    let [symbols, weak, thread_local, class, exception, variable] = names;
    let [before_class, before_exception, before_variable] = classes;
    [
        (symbols, &[""], Kind::Plain),
        (weak, &[""], Kind::Weak),
        (thread_local, &[""], Kind::ThreadLocal),
        (class, before_class, Kind::Plain),
        (exception, before_exception, Kind::Plain),
        (variable, before_variable, Kind::Plain),
    ]
}

const NAMES_4: [&str; 6] =
    ["symbols", "weak-symbols", "thread-local-symbols", "objc-classes", "objc-eh-types", "objc-ivars"];
const NAMES_3: [&str; 6] =
    ["symbols", "weak-def-symbols", "thread-local-symbols", "objc-classes", "objc-eh-types", "objc-ivars"];
/// Below `text` and `data`.
const NAMES_5: [&str; 6] = ["global", "weak", "thread_local", "objc_class", "objc_eh_type", "objc_ivar"];

const LISTS_4: [List; 6] = lists(NAMES_4, CLASSES);
const LISTS_3: [List; 6] = lists(NAMES_3, CLASSES);
/// Of versions 1 and 2.
const LISTS_2: [List; 6] = lists(NAMES_3, CLASSES_2);
const LISTS_5: [List; 6] = lists(NAMES_5, CLASSES);

/// One library of a stub.
struct Description {
    install_name: String,
    versions: (u32, u32),
    cpus: Cpus,
    names: Vec<(String, Cpus, Kind)>,
    reexports: Vec<String>,
}

/// Reads a stub.
pub(super) fn parse<'a>(name: &'a str, bytes: &'a [u8]) -> Result<Library<'a>, Error> {
    let malformed = |what: String| Error::malformed(name, format!("malformed text stub: {what}"));
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let documents = yaml::documents(text).map_err(malformed)?;
    let descriptions = if text.trim_start().starts_with('{') {
        match documents.as_slice() {
            [tree] => version_5(tree),
            _ => Err("more than one document".to_owned()),
        }
    } else {
        // Of versions 1 to 3 it is the tag that says which it is; the first has none.
        let early = if text.starts_with("--- !tapi-tbd-v3") { &LISTS_3 } else { &LISTS_2 };
        let is_early = |tree: &Value| tree.get("archs").is_some() && tree.get("tbd-version").is_none();
        let describe = |tree| if is_early(tree) { version_3(tree, early) } else { version_4(tree) };
        documents.iter().map(describe).collect()
    };
    let mut descriptions: VecDeque<Description> = descriptions.map_err(malformed)?.into();
    let main = descriptions.pop_front().ok_or_else(|| malformed("it describes no library".to_owned()))?;
    Ok(join(name, main, descriptions.into()))
}

/// Whether the libraries that a stub of version 4 re-exports are all in the same file, as those of the system are: found out
/// without reading the lists of names, of which these have thousands. `false` says nothing.
pub(super) fn is_closed(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if text.trim_start().starts_with('{') || text.contains("re-exports:") {
        return false;
    }
    let plain = |word: &str| word.trim_matches(['\'', '"', ' ', '\t', '\r', '\n']).to_owned();
    let names: HashSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("install-name:")).map(plain).collect();
    text.split("reexported-libraries:").skip(1).all(|part| {
        // Up to the next key that stands at the start of a line.
        let end = part.match_indices('\n').map(|(at, _)| at).find(|at| {
            let next = part.as_bytes().get(at.saturating_add(1));
            next.is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        });
        let part = part.get(..end.unwrap_or(part.len())).unwrap_or_default();
        part.split("libraries:").skip(1).all(|list| {
            let list = list.trim_start().strip_prefix('[').and_then(|list| list.split_once(']'));
            list.is_some_and(|(list, _)| list.split(',').map(plain).all(|name| names.contains(&name)))
        })
    })
}

/// The library `main` with the names of those of `others` that it re-exports, directly or not.
fn join<'a>(name: &'a str, main: Description, others: Vec<Description>) -> Library<'a> {
    let mut by_name: HashMap<String, Description> =
        others.into_iter().map(|other| (other.install_name.clone(), other)).collect();
    let mut names = Names::default();
    let mut reexports = Vec::new();
    let mut seen = HashSet::from([main.install_name.clone()]);
    let mut queue: VecDeque<String> = main.reexports.into();
    main.names.into_iter().for_each(|(name, cpus, kind)| names.add(name, cpus, kind));
    // Each library is taken once, so circles come to an end.
    while let Some(next) = queue.pop_front() {
        if !seen.insert(next.clone()) {
            continue;
        }
        match by_name.remove(&next) {
            Some(inner) => {
                inner.names.into_iter().for_each(|(name, cpus, kind)| names.add(name, cpus, kind));
                queue.extend(inner.reexports);
            }
            None => reexports.push(Cow::Owned(next.into_bytes())),
        }
    }
    let (current_version, compatibility_version) = main.versions;
    Library {
        name,
        install_name: Cow::Owned(main.install_name.into_bytes()),
        current_version,
        compatibility_version,
        reexports,
        rpaths: Vec::new(),
        cpus: main.cpus,
        // What it has for others is not looked at.
        platform: None,
        dead_strippable: false,
        weak: names.names.values().any(|found| found.weak != 0),
        table: Table::Stub(names),
    }
}

/// The elements of a list that stands under `key`; none if there is nothing.
fn list<'v>(tree: &'v Value, key: &str) -> Result<&'v [Value], String> {
    match tree.get(key) {
        None => Ok(&[]),
        Some(Value::List(list)) => Ok(list),
        Some(_) => Err(format!("'{key}' is no list")),
    }
}

fn words<'v>(tree: &'v Value, key: &'v str) -> impl Iterator<Item = Result<&'v str, String>> {
    let (list, problem) = match list(tree, key) {
        Ok(list) => (list, None),
        Err(problem) => (&[][..], Some(Err(problem))),
    };
    let words =
        list.iter().map(move |word| word.word().ok_or_else(|| format!("'{key}' has something that is no word")));
    problem.into_iter().chain(words)
}

/// The CPUs of a list of targets. Names of other systems are no error: they are for others.
fn targets<'v>(targets: impl Iterator<Item = Result<&'v str, String>>) -> Result<Cpus, String> {
    let mut cpus = Cpus::default();
    for target in targets {
        match target? {
            "x86_64-macos" | "x86_64h-macos" => cpus.0 |= Cpus::X86_64.0,
            "arm64-macos" | "arm64e-macos" => cpus.0 |= Cpus::AARCH64.0,
            _ => {}
        }
    }
    Ok(cpus)
}

fn version_of(value: Option<&Value>, absent: u32) -> Result<u32, String> {
    match value {
        None => Ok(absent),
        Some(Value::Word(text)) => version(text).ok_or_else(|| format!("'{text}' is no version")),
        Some(_) => Err("a list stands where a version should".to_owned()),
    }
}

/// Version 1.0, which holds where a stub says nothing.
const ONE: u32 = 0x1_0000;

/// The CPUs of a list of version 3, of a document for macOS.
fn cpus<'v>(archs: impl Iterator<Item = Result<&'v str, String>>) -> Result<Cpus, String> {
    let mut cpus = Cpus::default();
    for arch in archs {
        match arch? {
            "x86_64" | "x86_64h" => cpus.0 |= Cpus::X86_64.0,
            "arm64" | "arm64e" => cpus.0 |= Cpus::AARCH64.0,
            _ => {}
        }
    }
    Ok(cpus)
}

/// A document of versions 1 to 3, whose lists of names are `lists`.
fn version_3(tree: &Value, lists: &[List]) -> Result<Description, String> {
    let install_name = tree.get("install-name").and_then(Value::word).ok_or("'install-name' is missing")?;
    // What is *zippered* is for macOS and for programs of iOS on it.
    let is_mac = matches!(tree.get("platform").and_then(Value::word), Some("macosx" | "zippered"));
    let here = |tree| Ok::<_, String>(if is_mac { cpus(words(tree, "archs"))? } else { Cpus::default() });
    let versions = (version_of(tree.get("current-version"), ONE)?, version_of(tree.get("compatibility-version"), ONE)?);
    let (mut reexports, mut names) = (Vec::new(), Vec::new());
    for part in list(tree, "exports")? {
        let cpus = here(part)?;
        if cpus != Cpus::default() {
            for library in words(part, "re-exports") {
                reexports.push(library?.to_owned());
            }
            add_names(part, lists, cpus, &mut names)?;
        }
    }
    Ok(Description { install_name: install_name.to_owned(), versions, cpus: here(tree)?, names, reexports })
}

fn version_4(tree: &Value) -> Result<Description, String> {
    match tree.get("tbd-version").and_then(Value::word) {
        Some("4") => {}
        Some(other) => return Err(format!("version {other} of the format is not read: 1 to 5 are")),
        None => return Err("'tbd-version', and 'archs', are missing: it is of none of the versions 1 to 5".to_owned()),
    }
    let install_name = tree.get("install-name").and_then(Value::word).ok_or("'install-name' is missing")?;
    let cpus = targets(words(tree, "targets"))?;
    let versions = (version_of(tree.get("current-version"), ONE)?, version_of(tree.get("compatibility-version"), ONE)?);
    let mut reexports = Vec::new();
    for part in list(tree, "reexported-libraries")? {
        if targets(words(part, "targets"))? != Cpus::default() {
            for library in words(part, "libraries") {
                reexports.push(library?.to_owned());
            }
        }
    }
    let mut names = Vec::new();
    for part in list(tree, "exports")?.iter().chain(list(tree, "reexports")?) {
        let cpus = targets(words(part, "targets"))?;
        if cpus != Cpus::default() {
            add_names(part, &LISTS_4, cpus, &mut names)?;
        }
    }
    Ok(Description { install_name: install_name.to_owned(), versions, cpus, names, reexports })
}

fn version_5(tree: &Value) -> Result<Vec<Description>, String> {
    match tree.get("tapi_tbd_version").and_then(Value::word) {
        Some("5") => {}
        Some(other) => return Err(format!("version {other} of the format is not read: 1 to 5 are")),
        None => return Err("'tapi_tbd_version' is missing".to_owned()),
    }
    let main = tree.get("main_library").ok_or("'main_library' is missing")?;
    std::iter::once(main).chain(list(tree, "libraries")?).map(library_5).collect()
}

fn library_5(tree: &Value) -> Result<Description, String> {
    /// The first value of a list of objects with one member.
    fn first<'v>(tree: &'v Value, key: &str, member: &str) -> Result<Option<&'v Value>, String> {
        Ok(list(tree, key)?.first().and_then(|item| item.get(member)))
    }
    let install_name = first(tree, "install_names", "name")?.and_then(Value::word);
    let install_name = install_name.ok_or("'install_names' is missing")?;
    let all = list(tree, "target_info")?.iter();
    let all =
        targets(all.map(|info| info.get("target").and_then(Value::word).ok_or("a 'target' is missing".to_owned())))?;
    // A list without targets holds for all.
    let cpus = |part: &Value| match part.get("targets") {
        Some(_) => targets(words(part, "targets")),
        None => Ok(all),
    };
    let versions = (
        version_of(first(tree, "current_versions", "version")?, ONE)?,
        version_of(first(tree, "compatibility_versions", "version")?, ONE)?,
    );
    let mut reexports = Vec::new();
    for part in list(tree, "reexported_libraries")? {
        if cpus(part)? != Cpus::default() {
            for library in words(part, "names") {
                reexports.push(library?.to_owned());
            }
        }
    }
    let mut names = Vec::new();
    for part in list(tree, "exported_symbols")?.iter().chain(list(tree, "reexported_symbols")?) {
        let cpus = cpus(part)?;
        for lists in [part.get("text"), part.get("data")].into_iter().flatten() {
            if cpus != Cpus::default() {
                add_names(lists, &LISTS_5, cpus, &mut names)?;
            }
        }
    }
    Ok(Description { install_name: install_name.to_owned(), versions, cpus: all, names, reexports })
}

fn add_names(part: &Value, lists: &[List], cpus: Cpus, names: &mut Vec<(String, Cpus, Kind)>) -> Result<(), String> {
    for (key, prefixes, kind) in lists {
        for name in list(part, key)? {
            let name = name.word().ok_or_else(|| format!("'{key}' has something that is no word"))?;
            // Orders to Apple's linker for single versions of the system, as "not there in 10.4".
            if name.starts_with("$ld$") {
                continue;
            }
            names.extend(prefixes.iter().map(|prefix| (format!("{prefix}{name}"), cpus, *kind)));
        }
    }
    Ok(())
}
