//! What is linked, and what holds for the inputs that follow.

use super::super::flag::{Flag, Group, Takes};
use crate::Source;

pub(super) const GROUP: Group = Group {
    title: "Inputs",
    flags: &[
        Flag::does(
            &["L", "library-path"],
            Takes::Value("DIR"),
            "search DIR for the libraries of all -l, wherever these stand; '=' or '$SYSROOT' at its front is the system root",
            |reading, given| {
                if !given.value().is_empty() {
                    reading.options.search_paths.push(given.path()?);
                }
                Ok(())
            },
        ),
        Flag::does(
            &["l", "library"],
            Takes::Value("NAME"),
            "link libNAME.so or libNAME.a, or the file FILE for ':FILE', from the first directory that has one",
            |reading, given| {
                let name = given.name()?;
                reading.input(Source::Library(name));
                Ok(())
            },
        ),
        Flag::does(&["sysroot"], Takes::Value("DIR"), "take DIR as the system root", |reading, given| {
            reading.options.sysroot = if given.value().is_empty() { None } else { Some(given.path()?) };
            Ok(())
        }),
        Flag::on(
            &["whole-archive"],
            "link all members of the archives that follow, rather than those that define what is referenced",
            |reading| &mut reading.mode.whole_archive,
        ),
        Flag::off(&["no-whole-archive"], "undo --whole-archive", |reading| &mut reading.mode.whole_archive),
        Flag::on(
            &["as-needed"],
            "ask the loader for the shared libraries that follow only where they define what is referenced",
            |reading| &mut reading.mode.as_needed,
        ),
        Flag::off(&["no-as-needed"], "undo --as-needed", |reading| &mut reading.mode.as_needed),
        Flag::on(
            &["Bstatic", "static", "dn", "non_shared"],
            "search for archives only, for the -l that follow",
            |reading| &mut reading.mode.static_only,
        ),
        Flag::off(&["Bdynamic", "dy", "call_shared"], "undo -Bstatic", |reading| &mut reading.mode.static_only),
        Flag::does(
            &["push-state"],
            Takes::Nothing,
            "remember --whole-archive, --as-needed and -Bstatic as they are",
            |reading, _| {
                reading.push_state();
                Ok(())
            },
        ),
        Flag::does(&["pop-state"], Takes::Nothing, "go back to what --push-state remembered", |reading, given| {
            reading.pop_state(given)
        }),
        Flag::does(
            &["start-group", "("],
            Takes::Nothing,
            "begin a group of archives; groups need not be marked, since archives are searched until nothing more is found",
            |reading, given| reading.start_group(given),
        ),
        Flag::does(&["end-group", ")"], Takes::Nothing, "end a group of archives", |reading, given| {
            reading.end_group(given)
        }),
        Flag::does(
            &["start-lib"],
            Takes::Nothing,
            "link the objects that follow only where they define what is referenced, as the members of an archive",
            |reading, given| reading.start_lib(&given.option),
        ),
        Flag::does(&["end-lib"], Takes::Nothing, "undo --start-lib", |reading, given| reading.end_lib(&given.option)),
        Flag::does(
            &["b", "format"],
            Takes::Value("FORMAT"),
            "read the inputs that follow as FORMAT, which is elf or default",
            |_, given| match given.text()? {
                "elf" | "default" | "elf64-x86-64" | "elf64-x86-64-freebsd" => Ok(()),
                "binary" => Err(given.refused("wrap the bytes in an object file first, as with 'objcopy -I binary'")),
                _ => Err(given.bad("one of elf, default")),
            },
        ),
        Flag::on(
            &["read-inputs"],
            "read inputs into memory rather than map them, so that nobody who changes one meanwhile disturbs the link",
            |reading| &mut reading.options.read_inputs,
        ),
        Flag::does(
            &["rsp-quoting"],
            Takes::Value("STYLE"),
            "read response files (@FILE) with the quoting of STYLE: posix, or windows (the default on Windows)",
            // The response files have been expanded when this is read.
            |_, given| given.choice(&[("posix", ()), ("windows", ())]),
        ),
    ],
};
