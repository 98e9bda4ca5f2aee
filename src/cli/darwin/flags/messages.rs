//! Options about what is told.

use super::{does, equals, joined, sets};
use crate::cli::darwin::Flag;
use crate::cli::reading::{Color, MapTo};
pub(super) const MESSAGES: &[Flag] = &[
    joined(
        &["limit="],
        &["NAME=N"],
        "fail beyond N of what may be output_size, symbols, sections, decompressed_size, lookups or relocations",
        |darwin, given| {
            let set = darwin.reading.limit(given.value(0).to_str());
            set.map_err(|expected| given.bad(0, &expected))
        },
    ),
    sets(
        &["v"],
        "say the version, then link if there is something to link",
        |darwin| &mut darwin.reading.show.version,
        true,
    ),
    sets(&["version_details", "version"], "say the version and nothing else", |darwin| &mut darwin.version_only, true),
    sets(&["verbose"], "say what is linked and what came of it", |darwin| &mut darwin.reading.show.verbose, true),
    sets(&["help"], "say what the options are", |darwin| &mut darwin.help, true),
    sets(&["t"], "say the names of the inputs", |darwin| &mut darwin.reading.show.trace, true),
    does(&["map"], &["FILE"], "write to FILE what stands where in the image", |darwin, given| {
        let path = given.path()?;
        darwin.reading.show.map_to(MapTo::File(path));
        Ok(())
    }),
    does(&["dependency_info"], &["FILE"], "write to FILE what files were read and written", |darwin, given| {
        darwin.reading.show.dependency_info = Some(given.path()?);
        Ok(())
    }),
    equals(&["threads"], "N", "use N threads (default: as many as processors may be used)", |darwin, given| {
        let set = darwin.reading.threads(given.value(0).to_str());
        set.map_err(|expected| given.bad(0, expected))
    }),
    equals(&["error-limit"], "N", "spell out N problems at most; 0 for all that are known", |darwin, given| {
        let set = darwin.reading.error_limit(given.value(0).to_str());
        set.map_err(|expected| given.bad(0, expected))
    }),
    equals(
        &["color-diagnostics"],
        "WHEN",
        "colour messages: always, never or auto, if they go to a terminal",
        |darwin, given| {
            darwin.reading.show.color = match given.value(0).to_str() {
                Some("always" | "") => Color::Always,
                Some("never") => Color::Never,
                Some("auto") => Color::Auto,
                _ => return Err(given.bad(0, "one of always, never, auto")),
            };
            Ok(())
        },
    ),
    does(&["no-color-diagnostics"], &[], "do not colour messages", |darwin, _| {
        darwin.reading.show.color = Color::Never;
        Ok(())
    }),
    sets(
        &["warn-duplicate-rpath"],
        "warn if an -rpath is given twice (default)",
        |darwin| &mut darwin.duplicate_rpaths,
        false,
    ),
    sets(
        &["no-warn-duplicate-rpath"],
        "do not warn if an -rpath is given twice",
        |darwin| &mut darwin.duplicate_rpaths,
        true,
    ),
    sets(&["w"], "tell no warnings", |darwin| &mut darwin.reading.show.warnings, false),
    sets(&["fatal_warnings"], "fail if there is a warning", |darwin| &mut darwin.reading.show.fatal_warnings, true),
];
