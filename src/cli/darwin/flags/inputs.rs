//! Options that name inputs and say where they are.

use std::path::Path;

use super::{does, equals, joined, sets};
use crate::cli::darwin::{Darwin, Flag, Given};
use crate::cli::named_file;
use crate::cli::problem::Problem;
use crate::{LibraryRole, Mode, Source};
/// Takes an input, with `change` made to how it takes part.
fn input(darwin: &mut Darwin, source: Source<'static>, change: fn(&mut Mode)) -> Result<(), Problem> {
    let mode = darwin.reading.mode;
    change(&mut darwin.reading.mode);
    darwin.reading.input(source);
    darwin.reading.mode = mode;
    Ok(())
}

/// Takes a library that is searched for.
fn searched(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    input(darwin, Source::Library(given.text()?.to_owned()), change)
}

/// Takes a file.
fn named(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    input(darwin, Source::Path(given.path()?), change)
}

/// Takes a framework. A suffix that follows a comma asks for a variant, which is looked for at no place but the usual one.
fn framework(darwin: &mut Darwin, given: &Given, change: fn(&mut Mode)) -> Result<(), Problem> {
    let name = given.text()?;
    if name.contains(['/', ',']) {
        return Err(given.bad(0, "the name of a framework without a directory and a suffix"));
    }
    input(darwin, Source::Framework(name.to_owned()), change)
}

pub(super) const INPUTS: &[Flag] = &[
    joined(
        &["l"],
        &["NAME"],
        "link with libNAME.tbd, libNAME.dylib or libNAME.a of the first directory that has one",
        |darwin, given| {
            let name = given.text()?.to_owned();
            darwin.reading.input(Source::Library(name));
            Ok(())
        },
    ),
    joined(&["L"], &["DIRECTORY"], "search DIRECTORY for libraries", |darwin, given| {
        darwin.reading.options.search_paths.push(given.path()?);
        Ok(())
    }),
    does(
        &["syslibroot"],
        &["DIRECTORY"],
        "look for the absolute directories of -L, and for /usr/lib and /usr/local/lib, in DIRECTORY first",
        |darwin, given| {
            darwin.reading.options.sysroot = Some(given.path()?);
            Ok(())
        },
    ),
    sets(&["all_load"], "link every member of every archive", |darwin| &mut darwin.all_load, true),
    sets(&["noall_load"], "undo -all_load", |darwin| &mut darwin.all_load, false),
    sets(
        &["ObjC"],
        "link every member of archives that has a class or category of Objective-C, or Swift code",
        |darwin| &mut darwin.reading.options.macho.load_objc,
        true,
    ),
    does(&["force_load"], &["FILE"], "link every member of the archive FILE", |darwin, given| {
        let path = given.path()?;
        if !darwin.forced.insert(path.clone()) {
            return Ok(());
        }
        let mode = darwin.reading.mode;
        darwin.reading.mode.whole_archive = true;
        darwin.reading.file(path.into());
        darwin.reading.mode = mode;
        Ok(())
    }),
    joined(&["weak-l"], &["NAME"], "as -l; the library may be missing when the image is loaded", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Weak)
    }),
    joined(&["reexport-l"], &["NAME"], "as -l; what the library has counts as the image's own", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Reexport)
    }),
    joined(&["upward-l"], &["NAME"], "as -l; the library uses the image in its turn", |darwin, given| {
        searched(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    joined(&["needed-l"], &["NAME"], "as -l; -dead_strip_dylibs leaves the library in", |darwin, given| {
        searched(darwin, given, |mode| mode.needed = true)
    }),
    joined(&["hidden-l"], &["NAME"], "as -l; what the archive defines is not for others", |darwin, given| {
        searched(darwin, given, |mode| mode.hidden = true)
    }),
    does(
        &["weak_library"],
        &["FILE"],
        "link with FILE, which may be missing when the image is loaded",
        |darwin, given| named(darwin, given, |mode| mode.role = LibraryRole::Weak),
    ),
    does(&["reexport_library"], &["FILE"], "link with FILE; what it has counts as the image's own", |darwin, given| {
        named(darwin, given, |mode| mode.role = LibraryRole::Reexport)
    }),
    does(&["upward_library"], &["FILE"], "link with FILE, which uses the image in its turn", |darwin, given| {
        named(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    does(&["needed_library"], &["FILE"], "link with FILE; -dead_strip_dylibs leaves it in", |darwin, given| {
        named(darwin, given, |mode| mode.needed = true)
    }),
    does(
        &["load_hidden"],
        &["FILE"],
        "link with the archive FILE; what it defines is not for others",
        |darwin, given| named(darwin, given, |mode| mode.hidden = true),
    ),
    does(
        &["framework"],
        &["NAME"],
        "link with NAME.framework/NAME, or its .tbd, of the first directory of -F that has one",
        |darwin, given| framework(darwin, given, |_| {}),
    ),
    does(
        &["weak_framework"],
        &["NAME"],
        "as -framework; it may be missing when the image is loaded",
        |darwin, given| framework(darwin, given, |mode| mode.role = LibraryRole::Weak),
    ),
    does(
        &["reexport_framework"],
        &["NAME"],
        "as -framework; what it has counts as the image's own",
        |darwin, given| framework(darwin, given, |mode| mode.role = LibraryRole::Reexport),
    ),
    does(&["upward_framework"], &["NAME"], "as -framework; it uses the image in its turn", |darwin, given| {
        framework(darwin, given, |mode| mode.role = LibraryRole::Upward)
    }),
    does(&["needed_framework"], &["NAME"], "as -framework; -dead_strip_dylibs leaves it in", |darwin, given| {
        framework(darwin, given, |mode| mode.needed = true)
    }),
    joined(&["F"], &["DIRECTORY"], "search DIRECTORY for frameworks", |darwin, given| {
        darwin.reading.options.macho.framework_paths.push(given.path()?);
        Ok(())
    }),
    does(
        &["filelist"],
        &["FILE[,DIRECTORY]"],
        "link with the files that FILE names, one a line; in DIRECTORY if it is given",
        |darwin, given| {
            let value = given.text()?;
            // A comma may be part of the file's name.
            let whole = Path::new(value).exists();
            let (file, directory) = value.rsplit_once(',').filter(|_| !whole).unwrap_or((value, ""));
            let bytes = named_file::read(&given.option, Path::new(file), named_file::LIST_LIMIT)?;
            for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()) {
                darwin.reading.file(Path::new(directory).join(line).into());
            }
            Ok(())
        },
    ),
    does(
        &["sub_library", "sub_umbrella"],
        &["NAME"],
        "what the library libNAME, given as NAME with its lib, or the framework NAME has counts as the image's own",
        |darwin, given| {
            let name = given.name(0)?;
            darwin.sub_libraries.push((given.option.clone(), name));
            Ok(())
        },
    ),
    does(
        &["start-lib"],
        &[],
        "link the objects that follow only where they define what is referenced, as the members of an archive",
        |darwin, given| darwin.reading.start_lib(&given.option),
    ),
    does(&["end-lib"], &[], "undo --start-lib", |darwin, given| darwin.reading.end_lib(&given.option)),
    sets(
        &["ignore_auto_link"],
        "do not link with libraries that only objects ask for",
        |darwin| &mut darwin.reading.options.macho.auto_link,
        false,
    ),
    equals(
        &["ignore-auto-link-option"],
        "-lNAME",
        "do not link with the library or framework NAME if only objects ask for it",
        |darwin, given| {
            let name = given.name(0)?;
            let name = name.strip_prefix("-l").unwrap_or(&name).to_owned();
            darwin.reading.options.macho.auto_link_ignored.push(name);
            Ok(())
        },
    ),
    sets(
        &["dead_strip"],
        "leave out functions and data that nothing reachable refers to",
        |darwin| &mut darwin.reading.options.gc_sections,
        true,
    ),
    sets(
        &["dead_strip_dylibs"],
        "do not ask for libraries that nothing is used of",
        |darwin| &mut darwin.reading.options.macho.dead_strip_dylibs,
        true,
    ),
];
