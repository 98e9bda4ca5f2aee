//! Options about what is told.

use super::{does, equals, joined};
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
    does(&["v"], &[], "say the version, then link if there is something to link", |darwin, _| {
        darwin.reading.show.version = true;
        Ok(())
    }),
    does(&["version_details", "version"], &[], "say the version and nothing else", |darwin, _| {
        darwin.version_only = true;
        Ok(())
    }),
    does(&["verbose"], &[], "say what is linked and what came of it", |darwin, _| {
        darwin.reading.show.verbose = true;
        Ok(())
    }),
    does(&["help"], &[], "say what the options are", |darwin, _| {
        darwin.help = true;
        Ok(())
    }),
    does(&["t"], &[], "say the names of the inputs", |darwin, _| {
        darwin.reading.show.trace = true;
        Ok(())
    }),
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
    does(&["warn-duplicate-rpath"], &[], "warn if an -rpath is given twice (default)", |darwin, _| {
        darwin.duplicate_rpaths = false;
        Ok(())
    }),
    does(&["no-warn-duplicate-rpath"], &[], "do not warn if an -rpath is given twice", |darwin, _| {
        darwin.duplicate_rpaths = true;
        Ok(())
    }),
    does(&["w"], &[], "tell no warnings", |darwin, _| {
        darwin.reading.show.warnings = false;
        Ok(())
    }),
    does(&["fatal_warnings"], &[], "fail if there is a warning", |darwin, _| {
        darwin.reading.show.fatal_warnings = true;
        Ok(())
    }),
];
