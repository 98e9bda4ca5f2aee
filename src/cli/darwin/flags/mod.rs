//! The options of the darwin dialect, as data.

mod ignored;
mod inputs;
mod messages;
mod output;
mod refused;
mod symbols;

use super::{Darwin, Flag, Given, Meaning};
use crate::cli::problem::Problem;

/// The options, by heading.
pub(super) const GROUPS: &[(&str, &[Flag])] = &[
    ("Inputs", inputs::INPUTS),
    ("Output", output::OUTPUT),
    ("Symbols", symbols::SYMBOLS),
    ("Messages", messages::MESSAGES),
    ("Ignored", ignored::IGNORED),
    ("Refused", refused::REFUSED),
];

/// All options.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|(_, flags)| flags.iter())
}

type Does = fn(&mut Darwin, &Given) -> Result<(), Problem>;

const fn does(names: &'static [&'static str], values: &'static [&'static str], help: &'static str, does: Does) -> Flag {
    Flag { names, values, joined: false, equals: None, help, meaning: Meaning::Does(does) }
}

/// An option that sets something to a value.
const fn sets(
    names: &'static [&'static str],
    help: &'static str,
    what: fn(&mut Darwin) -> &mut bool,
    value: bool,
) -> Flag {
    Flag { names, values: &[], joined: false, equals: None, help, meaning: Meaning::Sets(what, value) }
}

const fn joined(
    names: &'static [&'static str],
    values: &'static [&'static str],
    help: &'static str,
    does: Does,
) -> Flag {
    Flag { names, values, joined: true, equals: None, help, meaning: Meaning::Does(does) }
}

const fn ignored(names: &'static [&'static str], values: &'static [&'static str], reason: &'static str) -> Flag {
    Flag { names, values, joined: false, equals: None, help: reason, meaning: Meaning::Ignored }
}

const fn refused(names: &'static [&'static str], values: &'static [&'static str], instead: &'static str) -> Flag {
    Flag { names, values, joined: false, equals: None, help: instead, meaning: Meaning::Refused }
}

/// An option whose value is part of the same word, behind an equals sign.
const fn equals(names: &'static [&'static str], value: &'static str, help: &'static str, does: Does) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help, meaning: Meaning::Does(does) }
}

const fn ignored_equals(names: &'static [&'static str], value: &'static str, reason: &'static str) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help: reason, meaning: Meaning::Ignored }
}

const fn equals_refused(names: &'static [&'static str], value: &'static str, instead: &'static str) -> Flag {
    Flag { names, values: &[], joined: false, equals: Some(value), help: instead, meaning: Meaning::Refused }
}
