//! What is told about the link.

use super::super::flag::{Flag, Group, Takes};
use super::super::reading::{Color, MapTo};
use super::{HELP, VERSION};

pub(super) const GROUP: Group = Group {
    title: "Messages",
    flags: &[
        // The parser acts on these two before it reads anything else.
        Flag::does(&[HELP], Takes::Nothing, "print this text and exit", |_, _| Ok(())),
        Flag::does(&[VERSION], Takes::Nothing, "print the version and exit", |_, _| Ok(())),
        Flag::on(&["v", "V"], "print the version, and link if there are inputs", |reading| &mut reading.show.version),
        Flag::on(
            &["verbose"],
            "tell inputs, libraries, counts, times and the checksum (CRC-32C) of the image, on standard error",
            |reading| &mut reading.show.verbose,
        ),
        Flag::on(&["t", "trace"], "print the names of the inputs that take part", |reading| &mut reading.show.trace),
        Flag::does(
            &["y", "trace-symbol"],
            Takes::Value("SYMBOL"),
            "print which inputs define SYMBOL, or could, and which refer to it",
            |reading, given| {
                reading.options.traced_symbols.push(given.name()?);
                Ok(())
            },
        ),
        Flag::does(
            &["Map"],
            Takes::Value("FILE"),
            "write the link map to FILE, or to standard output for '-'",
            |reading, given| {
                let path = given.path()?;
                reading.show.map_to(if path.as_os_str() == "-" { MapTo::Stdout } else { MapTo::File(path) });
                Ok(())
            },
        ),
        Flag::does(&["M", "print-map"], Takes::Nothing, "print the link map on standard output", |reading, _| {
            reading.show.map_to(MapTo::Stdout);
            Ok(())
        }),
        Flag::does(
            &["color-diagnostics"],
            Takes::Optional("WHEN"),
            "colour messages: auto (default: on a terminal), always or never",
            |reading, given| {
                let choices = [("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)];
                reading.show.color = if given.value.is_none() { Color::Always } else { given.choice(&choices)? };
                Ok(())
            },
        ),
        Flag::does(&["no-color-diagnostics"], Takes::Nothing, "do not colour messages", |reading, _| {
            reading.show.color = Color::Never;
            Ok(())
        }),
        Flag::on(&["fatal-warnings"], "fail if there is a warning", |reading| &mut reading.show.fatal_warnings),
        Flag::off(&["no-fatal-warnings"], "undo --fatal-warnings", |reading| &mut reading.show.fatal_warnings),
        Flag::off(&["w", "no-warnings"], "tell no warnings, and fail for none", |reading| &mut reading.show.warnings),
        Flag::does(
            &["error-limit"],
            Takes::Value("N"),
            "spell out N problems and count the rest; 0, the default, stands for as many as are kept",
            |reading, given| reading.error_limit(given.value().to_str()).map_err(|expected| given.bad(expected)),
        ),
    ],
};
