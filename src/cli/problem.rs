//! What can be wrong with a command line.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// One thing wrong with a command line.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No option has this name.
    #[error("unknown option '{}'{}", argument.display(), did_you_mean(nearest.as_deref()))]
    Unknown {
        /// The argument as typed.
        argument: OsString,
        /// The option whose name is nearest to it.
        nearest: Option<String>,
    },
    /// The option needs a value, and the command line ends.
    #[error("{option}: a value is needed: {metavar}")]
    NoValue {
        /// The option as typed.
        option: String,
        /// What the value is.
        metavar: &'static str,
    },
    /// The option takes no value, and has one.
    #[error("{option}: takes no value, but '{}' is given", value.display())]
    NeedlessValue {
        /// The option as typed.
        option: String,
        /// The value as typed.
        value: OsString,
    },
    /// The value is not one that the option takes.
    #[error("{option}: '{}' is not {expected}", value.display())]
    BadValue {
        /// The option as typed.
        option: String,
        /// The value as typed.
        value: OsString,
        /// What the option takes.
        expected: String,
    },
    /// The value is a name and not UTF-8. Paths need not be Unicode; names must be.
    #[error("{option}: '{}' is not UTF-8", value.display())]
    NotText {
        /// The option as typed.
        option: String,
        /// The value as typed.
        value: OsString,
    },
    /// The option is known, and this linker does not do what it asks for.
    #[error("{option}: not supported: {instead}")]
    Refused {
        /// The option as typed.
        option: String,
        /// Why, and what to do instead.
        instead: &'static str,
    },
    /// The option ends what nothing began.
    #[error("{option}: there is no {opening} before it")]
    Unbalanced {
        /// The option as typed.
        option: String,
        /// The option that it belongs to.
        opening: &'static str,
    },
    /// A format or machine that LLD links for, and this program does not.
    #[error("{option}: {what} is not supported")]
    Format {
        /// The option, or the name that the program was called by.
        option: String,
        /// The format or machine.
        what: String,
    },
    /// The command line does not ask for a shared library.
    #[error("only shared libraries are linked: add -shared")]
    NotShared,
    /// The command line names no input.
    #[error("no input files")]
    NoInput,
    /// Options that contradict each other, or a value out of its range.
    #[error("{0}")]
    Options(String),
    /// A response file could not be read.
    #[error("cannot read response file {}: {source}", path.display())]
    Response {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Response files that expand beyond bounds.
    #[error("response file {}: {what}", path.display())]
    Expansion {
        /// The file.
        path: PathBuf,
        /// The bound.
        what: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(", did you mean '{nearest}'?")).unwrap_or_default()
}
