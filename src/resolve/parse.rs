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
    /// The number of one that is known already.
    Known(u32),
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
    // By the number of the input that has them.
    let mut problems: Vec<(usize, Error)> = Vec::new();
    let items: Vec<Opened<'a>> = inputs.items().collect();
    for (number, item) in items.iter().enumerate() {
        if let Err(problem) = add_tasks(item, |task| tasks.push((number, task))) {
            problems.push((number, problem));
        }
    }
    let results = workers.map(&tasks, |(_, task)| match task {
        Task::Object(name, bytes) => {
            let object = format::parse(name.clone(), bytes)?;
            let keys = Key::all(&object, hasher)?;
            Ok(Outcome::Object(object, keys))
        }
        Task::Other(item) => other(item, options).map(Outcome::Other),
    });
    let mut parsed: Vec<Parsed<'a>> = Vec::new();
    let mut results = tasks.iter().zip(results).peekable();
    for (number, item) in items.iter().enumerate() {
        let (mut objects, mut other) = (Vec::new(), None);
        while let Some((_, result)) = results.next_if(|((of, _), _)| *of == number) {
            match result {
                Ok(Outcome::Object(object, keys)) => objects.push((object, keys)),
                Ok(Outcome::Other(item)) => other = Some(item),
                Err(problem) => problems.push((number, problem)),
            }
        }
        if item.kind == Kind::Object && item.mode.lazy {
            let mut bracketed = match parsed.pop() {
                Some(Parsed::Bracketed(before)) => before,
                before => {
                    parsed.extend(before);
                    Box::new(Bracketed::new())
                }
            };
            objects.into_iter().for_each(|(object, _)| bracketed.add(object));
            parsed.push(Parsed::Bracketed(bracketed));
            continue;
        }
        if item.kind == Kind::Archive {
            // Beside members that tell of imports nobody needs those that make tables of them.
            if other.is_some() {
                objects.retain(|(object, _)| !pe::is_import_glue(object));
            }
            let hide = item.mode.hidden || is_excluded(item.name, &options.exclude_libs);
            objects.iter_mut().for_each(|(object, _)| object.hide_symbols = hide);
        }
        if !objects.is_empty() {
            parsed.push(Parsed::Objects(objects));
        }
        parsed.extend(other);
    }
    problems.sort_by_key(|(number, _)| *number);
    Errors::check(problems.into_iter().map(|(_, problem)| problem).collect())?;
    Ok(parsed)
}

enum Task<'a> {
    Object(InputName<'a>, &'a [u8]),
    Other(Opened<'a>),
}

/// What has become of a task.
enum Outcome<'a> {
    Object(Object<'a>, Vec<Key>),
    Other(Parsed<'a>),
}

/// What is to be done for an input.
///
/// # Errors
/// An archive of which all members are wanted is malformed.
fn add_tasks<'a>(item: &Opened<'a>, mut add: impl FnMut(Task<'a>)) -> Result<(), Error> {
    match item.kind {
        Kind::Object => add(Task::Object(InputName { file: item.name, member: None }, item.bytes)),
        Kind::Archive if item.mode.whole_archive => {
            let mut imports = false;
            for member in item.archive()?.members() {
                let Member { name, bytes, .. } = member?;
                if pe::library::is_short_import(bytes) {
                    imports = true;
                    continue;
                }
                add(Task::Object(InputName { file: item.name, member: Some(Cow::Borrowed(name)) }, bytes));
            }
            if imports {
                // Members that tell of imports are no objects: they answer questions.
                add(Task::Other(*item));
            }
        }
        Kind::Archive | Kind::SharedLibrary | Kind::Blob | Kind::Definitions => add(Task::Other(*item)),
    }
    Ok(())
}

fn other<'a>(item: &Opened<'a>, options: &Options) -> Result<Parsed<'a>, Error> {
    match item.kind {
        Kind::SharedLibrary => {
            let Mode { role, needed, as_needed, .. } = item.mode;
            let library = Library {
                role,
                asked: !item.implied,
                reexported_as: item.reexported_as,
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
