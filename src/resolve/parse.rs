//! Every input is read at once, each by whichever thread has time.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Library;
use super::bracketed::Bracketed;
use super::providers::Lazy;
use crate::archive::Member;
use crate::error::{Error, Errors, Result};
use crate::format;
use crate::input::{Inputs, Kind, LibraryRole, Mode, Opened};
use crate::model::{InputName, Object};
use crate::options::Options;
use crate::pe;
use crate::symbols::{Hasher, Key};
use crate::workers::Workers;

/// An input after parsing.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// Objects that take part in any case, with the keys of their names.
    Objects(Vec<(Object<'a>, Vec<Key>)>),
    /// An archive whose members take part when they are needed.
    Archive(Box<Lazy<'a>>),
    /// Objects that take part when they are needed.
    Bracketed(Box<Bracketed<'a>>),
    /// A shared library.
    Library(Box<Library<'a>>),
    /// Plain bytes, which become an object once it is known what for.
    Blob(Opened<'a>),
    /// A module-definition file, and what it says.
    Definitions(Opened<'a>, Box<pe::definitions::Definitions<'a>>),
}

/// Reads all inputs, in parallel.
///
/// # Errors
/// Every input that cannot be read.
pub(crate) fn parse<'a>(
    inputs: &'a Inputs<'a>,
    options: &Options,
    workers: &Workers,
    hasher: &Hasher,
) -> Result<Vec<Parsed<'a>>> {
    // A task is an object or another input; members of an archive are tasks of their own.
    let mut tasks: Vec<(usize, Task<'a>)> = Vec::new();
    let mut problems = Vec::new();
    // Import libraries of which all members are wanted.
    let mut wanted_imports: HashSet<usize> = HashSet::new();
    let items: Vec<Opened<'a>> = inputs.items().collect();
    for (number, item) in items.iter().enumerate() {
        match item.kind {
            Kind::Object => tasks.push((number, Task::Object(InputName { file: item.name, member: None }, item.bytes))),
            Kind::Archive if item.mode.whole_archive => {
                let mut imports = false;
                for member in item.archive()?.members() {
                    let Member { name, bytes, .. } = member?;
                    if pe::library::is_short_import(bytes) {
                        imports = true;
                        continue;
                    }
                    let name = InputName { file: item.name, member: Some(Cow::Borrowed(name)) };
                    tasks.push((number, Task::Object(name, bytes)));
                }
                if imports {
                    // Members that tell of imports are no objects: they answer questions.
                    tasks.push((number, Task::Other(*item)));
                    wanted_imports.insert(number);
                }
            }
            Kind::Archive | Kind::SharedLibrary | Kind::Blob | Kind::Definitions => {
                tasks.push((number, Task::Other(*item)))
            }
        }
    }
    let results = workers.map(&tasks, |(_, task)| match task {
        Task::Object(name, bytes) => {
            let object = format::parse(name.clone(), bytes)?;
            let keys = Key::all(&object, hasher)?;
            Ok(Parsed::Objects(vec![(object, keys)]))
        }
        Task::Other(item) => other(item, options),
    });
    let mut parsed: Vec<Parsed<'a>> = Vec::new();
    let mut last = None;
    for ((number, _), result) in tasks.iter().zip(results) {
        match (result, parsed.last_mut()) {
            (Err(error), _) => problems.push(error),
            // Nobody needs it beside the members that tell of imports.
            (Ok(Parsed::Objects(more)), _)
                if wanted_imports.contains(number) && more.iter().all(|(object, _)| pe::is_import_glue(object)) =>
            {
                continue;
            }
            (Ok(Parsed::Objects(more)), Some(Parsed::Objects(objects))) if last == Some(*number) => {
                objects.extend(more);
            }
            (Ok(Parsed::Objects(objects)), before)
                if items[*number].kind == Kind::Object && items[*number].mode.lazy =>
            {
                let objects = objects.into_iter().map(|(object, _)| object);
                match before {
                    Some(Parsed::Bracketed(others)) => objects.for_each(|object| others.add(object)),
                    _ => {
                        let mut new = Bracketed::new();
                        objects.for_each(|object| new.add(object));
                        parsed.push(Parsed::Bracketed(Box::new(new)));
                    }
                }
            }
            (Ok(mut item), _) => {
                if let Parsed::Objects(objects) = &mut item {
                    let hide = items[*number].mode.hidden || is_excluded(items[*number].name, &options.exclude_libs);
                    objects
                        .iter_mut()
                        .for_each(|(object, _)| object.hide_symbols = hide && items[*number].kind == Kind::Archive);
                }
                parsed.push(item);
            }
        }
        last = Some(*number);
    }
    Errors::check(problems)?;
    Ok(parsed)
}

enum Task<'a> {
    Object(InputName<'a>, &'a [u8]),
    Other(Opened<'a>),
}

fn other<'a>(item: &Opened<'a>, options: &Options) -> Result<Parsed<'a>, Error> {
    match item.kind {
        Kind::SharedLibrary => {
            let Mode { role, needed, as_needed, .. } = item.mode;
            let library = Library {
                role,
                asked: !item.implied,
                stays: needed || role == LibraryRole::Reexport,
                ..Library::new(item.library()?, !as_needed && !item.implied)
            };
            return Ok(Parsed::Library(Box::new(library)));
        }
        Kind::Blob => return Ok(Parsed::Blob(*item)),
        Kind::Definitions => {
            let definitions = pe::definitions::Definitions::parse(item.name, item.bytes)?;
            return Ok(Parsed::Definitions(*item, Box::new(definitions)));
        }
        Kind::Object | Kind::Archive => {}
    }
    let archive = item.archive()?;
    let index = archive.index()?;
    let hide = item.mode.hidden || is_excluded(item.name, &options.exclude_libs);
    let left = archive.size();
    let (taken, imports, dlls) = (HashSet::new(), HashMap::new(), HashMap::new());
    let lazy = Lazy { name: item.name, archive, index, taken, imports, dlls, left, hide };
    Ok(Parsed::Archive(Box::new(lazy)))
}

/// Whether `--exclude-libs` names an archive: by its file name, or with `ALL`.
fn is_excluded(path: &str, excluded: &[String]) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    excluded.iter().any(|excluded| excluded == "ALL" || excluded == name)
}
