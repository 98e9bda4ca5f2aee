//! What an option is: a documented item of data.
//!
//! A [`Flag`] says how an option is spelled, whether a value follows, what it does, and the sentence that stands in
//! `--help`. The tables in [`flags`](super::flags) hold one item per option; the parser and the help text are made from
//! them, so that neither can know an option that the other does not.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::named_file;
use super::problem::Problem;
use super::reading::Reading;
pub(super) use crate::options::number;

/// One option.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names without dashes, the one to be shown first at the front. Names of one character take one dash; longer
    /// ones take one or two, except that those in `o` take two, since `-oNAME` is an output file (the rule of GNU ld). For
    /// Windows two of these take one as well, as by LLD: [`WINDOWS_FILES`].
    pub(super) names: &'static [&'static str],
    /// What follows the name.
    pub(super) takes: Takes,
    /// What the option does, why it is ignored, or what to do instead: one sentence for `--help` and messages.
    pub(super) help: &'static str,
    /// What becomes of it.
    pub(super) meaning: Meaning,
}

/// What follows an option's name. The strings name the value in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing,
    /// A value: `--name=VALUE` or `--name VALUE`; `-nVALUE` or `-n VALUE`.
    Value(&'static str),
    /// Perhaps a value: `--name` or `--name=VALUE`.
    Optional(&'static str),
    /// Perhaps a number: `--name`, `--name=N`, or `--name N`, where what follows is all digits.
    Number(&'static str),
    /// A value that is part of the same word, with no sign between: `--lto-O2`.
    Joined(&'static str),
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning {
    /// It is honoured.
    Does(fn(&mut Reading, &Given) -> Result<(), Problem>),
    /// It is honoured by setting something to a value.
    Sets(fn(&mut Reading) -> &mut bool, bool),
    /// It is accepted and changes nothing, for the reason in [`Flag::help`].
    Ignored,
    /// It is an error, with the advice in [`Flag::help`].
    Refused,
}

impl Flag {
    /// An option that is honoured.
    pub(super) const fn does(
        names: &'static [&'static str],
        takes: Takes,
        help: &'static str,
        does: fn(&mut Reading, &Given) -> Result<(), Problem>,
    ) -> Self {
        Self { names, takes, help, meaning: Meaning::Does(does) }
    }

    /// An option that sets something to true.
    pub(super) const fn on(
        names: &'static [&'static str],
        help: &'static str,
        what: fn(&mut Reading) -> &mut bool,
    ) -> Self {
        Self { names, takes: Takes::Nothing, help, meaning: Meaning::Sets(what, true) }
    }

    /// An option that sets something to false.
    pub(super) const fn off(
        names: &'static [&'static str],
        help: &'static str,
        what: fn(&mut Reading) -> &mut bool,
    ) -> Self {
        Self { names, takes: Takes::Nothing, help, meaning: Meaning::Sets(what, false) }
    }

    /// An option that changes nothing, and why.
    pub(super) const fn ignored(names: &'static [&'static str], takes: Takes, reason: &'static str) -> Self {
        Self { names, takes, help: reason, meaning: Meaning::Ignored }
    }

    /// An option that is refused, and what to do instead.
    pub(super) const fn refused(names: &'static [&'static str], takes: Takes, instead: &'static str) -> Self {
        Self { names, takes, help: instead, meaning: Meaning::Refused }
    }
}

/// How `name` is written on a command line.
pub(super) fn dashed(name: &str) -> String {
    if name.chars().count() == 1 { format!("-{name}") } else { format!("--{name}") }
}

/// Whether `name` may stand after a single dash.
pub(super) fn one_dash(name: &str) -> bool {
    name.chars().count() == 1 || !name.starts_with('o')
}

/// Options in `o` that take one dash, too, where the image is for Windows: nobody means an output file `ut-implib=x.a`.
pub(super) const WINDOWS_FILES: [&str; 2] = ["out-implib", "output-def"];

/// Options that belong together, under one heading of `--help`.
#[derive(Debug)]
pub(super) struct Group {
    /// The heading.
    pub(super) title: &'static str,
    /// The options.
    pub(super) flags: &'static [Flag],
}

/// An option as typed, to be read by its [`Meaning::Does`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// The option's name as typed, with its dashes and without its value.
    pub(super) option: String,
    /// Its value.
    pub(super) value: Option<OsString>,
}

impl Given {
    /// The value; empty if there is none.
    pub(super) fn value(&self) -> &OsStr {
        self.value.as_deref().unwrap_or_default()
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&str, Problem> {
        let value = self.value();
        value.to_str().ok_or_else(|| Problem::NotText { option: self.option.clone(), value: value.to_owned() })
    }

    /// The value as a name: text that is not empty and has no NUL in it.
    pub(super) fn name(&self) -> Result<String, Problem> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') { Err(self.bad("a name")) } else { Ok(text.to_owned()) }
    }

    /// The value as a path, in whatever encoding it has.
    pub(super) fn path(&self) -> Result<PathBuf, Problem> {
        if self.value().is_empty() { Err(self.bad("the name of a file or directory")) } else { Ok(self.value().into()) }
    }

    /// What `parse` makes of the file that the value names, given its path and its contents.
    pub(super) fn contents<T>(&self, parse: fn(&str, &[u8]) -> crate::Result<T>) -> Result<T, Problem> {
        self.contents_of(&self.path()?, parse)
    }

    /// The same of the file at `path`, which the value stands for.
    pub(super) fn contents_of<T>(&self, path: &Path, parse: fn(&str, &[u8]) -> crate::Result<T>) -> Result<T, Problem> {
        let text = named_file::read(&self.option, path, named_file::LIST_LIMIT)?;
        parse(&path.display().to_string(), &text).map_err(|error| Problem::Options(format!("{}: {error}", self.option)))
    }

    /// The value as a number, as C spells it.
    pub(super) fn number(&self) -> Result<u64, Problem> {
        self.value().to_str().and_then(number).ok_or_else(|| self.bad("a number, as 4096 or 0x1000"))
    }

    /// The meaning of the value among `choices`.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Result<T, Problem> {
        let found = choices.iter().find(|(name, _)| self.value() == OsStr::new(name));
        found.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.bad(match names.as_slice() {
                [one] => format!("'{one}', the only value there is"),
                names => format!("one of {}", names.join(", ")),
            })
        })
    }

    /// The problem that the value is not what is `expected`.
    pub(super) fn bad(&self, expected: impl Into<String>) -> Problem {
        Problem::BadValue { option: self.option.clone(), value: self.value().to_owned(), expected: expected.into() }
    }

    /// The problem that what the option asks for is not done.
    pub(super) fn refused(&self, instead: &'static str) -> Problem {
        let mut option = self.option.clone();
        if let Some(value) = &self.value {
            option = format!("{option}={}", value.display());
        }
        Problem::Refused { option, instead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_names_what_may_be_chosen() {
        let given = Given { option: "--hash-style".into(), value: Some("fast".into()) };
        let problem = given.choice(&[("gnu", 1), ("sysv", 2)]).unwrap_err();
        assert_eq!(problem.to_string(), "--hash-style: 'fast' is not one of gnu, sysv");
    }
}
