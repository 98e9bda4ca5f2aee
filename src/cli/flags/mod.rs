//! The options of the GNU dialect, as data.
//!
//! One file per heading of `--help`. Names that are not honoured stand in [`ignored`], with the reason why ignoring them
//! is right, or in [`refused`], with what to do instead.

mod debug;
mod dynamic;
mod ignored;
mod inputs;
mod keywords;
mod messages;
mod output;
mod refused;
mod symbols;
mod windows;

use std::ffi::OsStr;

use super::flag::{Flag, Given, Group};
use super::problem::Problem;

/// The name of the option that asks for the help text.
pub(super) const HELP: &str = "help";
/// The name of the option that asks for the version and nothing else.
pub(super) const VERSION: &str = "version";

/// The options, by heading, those that are honoured first.
pub(super) const GROUPS: &[&Group] = &[
    &inputs::GROUP,
    &output::GROUP,
    &symbols::GROUP,
    &dynamic::GROUP,
    &windows::GROUP,
    &debug::GROUP,
    &messages::GROUP,
    &ignored::GROUP,
    &ignored::LTO,
    &refused::OUTPUT,
    &refused::REST,
];

/// The keywords of `-z`, by heading.
pub(super) const KEYWORDS: &[&Group] =
    &[&keywords::HONOURED, &keywords::IGNORED, &keywords::WARNED, &keywords::REFUSED];

/// All options.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    GROUPS.iter().flat_map(|group| group.flags)
}

/// All keywords of `-z`.
pub(super) fn keywords() -> impl Iterator<Item = &'static Flag> {
    KEYWORDS.iter().flat_map(|group| group.flags)
}

/// The error for an emulation (`-m`) of a format that is not linked for yet.
pub(super) fn other_format(given: &Given) -> Option<Problem> {
    output::other_format(given)
}

/// Whether an emulation (`-m`) is one of Windows.
pub(super) fn is_windows(emulation: &OsStr) -> bool {
    output::is_windows(emulation)
}

#[cfg(test)]
mod tests {
    use super::super::flag::Takes;
    use super::*;
    use std::collections::HashSet;

    fn distinct(flags: impl Iterator<Item = &'static Flag>) {
        let mut seen = HashSet::new();
        for flag in flags {
            assert!(!flag.names.is_empty());
            for name in flag.names {
                assert!(seen.insert(*name), "{name} stands in two items");
                assert!(name.is_ascii() && !name.is_empty() && !name.starts_with('-') && !name.contains('='), "{name}");
            }
        }
    }

    #[test]
    fn every_name_stands_in_one_item() {
        distinct(all());
        distinct(keywords());
    }

    #[test]
    fn every_item_is_documented_as_one_sentence() {
        for flag in all().chain(keywords()) {
            let help = flag.help;
            assert!(help.len() > 3 && !help.ends_with('.') && help.trim() == help, "{:?}: {help}", flag.names);
        }
    }

    #[test]
    fn letters_take_no_optional_value() {
        let mut letters = all().filter(|flag| flag.names.iter().any(|name| name.len() == 1));
        assert!(letters.all(|flag| matches!(flag.takes, Takes::Nothing | Takes::Value(_))));
    }
}
